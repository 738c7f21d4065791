#include "config/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/tree.h"

/* The deepest node on the path that exists; *ret_whole tells whether it is the path's own. */
static const struct config_node *walk(const struct rules *r, const char *path, bool *ret_whole)
{
	AUTOFREE char *copy = mem_string(path);
	const struct config_node *node = r->config->tree;
	char *rest = copy;

	for (char *step = strsep(&rest, "."); step; step = strsep(&rest, ".")) {
		const struct config_node *child = tree_member(node, step);
		uint64_t index;

		if (node->kind == NODE_LIST && num_parse_u64(step, &index) && index < node->count)
			child = &node->children[index];
		if (!child) {
			*ret_whole = false;
			return node;
		}
		node = child;
	}
	*ret_whole = true;
	return node;
}

const struct config_node *rules_find(const struct rules *r, const char *path)
{
	bool whole;
	const struct config_node *node = walk(r, path, &whole);

	return whole ? node : NULL;
}

bool rules_is_set(const struct rules *r, const char *path)
{
	const struct config_node *node = rules_find(r, path);

	return node && (node->unset || (node->kind == NODE_SCALAR ? node->scalar && *node->scalar : node->count > 0));
}

bool rules_is_unknown(const struct rules *r, const char *path)
{
	const struct config_node *node = rules_find(r, path);

	return node && node->unset;
}

static void place(const struct rules *r, const char *path, int *ret_line, int *ret_column)
{
	bool whole;
	const struct config_node *node = walk(r, path, &whole);
	bool by_key = node->key_line > 0 && (!whole || node->kind != NODE_SCALAR);

	*ret_line = by_key ? node->key_line : node->line;
	*ret_column = by_key ? node->key_column : node->column;
}

void rules_fault(const struct rules *r, const char *path, const char *format, ...)
{
	char sentence[600];
	int line, column;
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(sentence, sizeof sentence, format, ap);
	va_end(ap);
	place(r, path, &line, &column);
	config_faults_add(r->faults, line, column, false, "%s %s", path, sentence);
}

void rules_warn(const struct rules *r, const char *path, const char *sentence)
{
	int line, column;

	place(r, path, &line, &column);
	config_faults_add(r->faults, line, column, true, "%s %s", path, sentence);
}

static bool label_is_valid(const char *label)
{
	return *label != '_' && *label != '-' && label[strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

static void check_labels(const struct rules *r)
{
	const struct config *c = r->config;

	for (size_t i = 0; i <= c->input_count; i++) {
		const char *label = i < c->input_count ? c->inputs[i].label : c->output_label;
		AUTOFREE char *path =
		    i < c->input_count ? mem_format("%s.label", c->inputs[i].path) : mem_string("output.label");

		if (*label == '\0')
			continue;
		if (!label_is_valid(label))
			rules_fault(r, path, "may hold a-z, 0-9, _ and -, and begins with a letter or digit");
		for (size_t k = 0; k < i; k++)
			if (strcmp(label, c->inputs[k].label) == 0) {
				rules_fault(r, path, "is the label of another component too");
				break;
			}
	}
}

static void check_static_fields(const struct rules *r)
{
	const struct config_node *fields = r->config->logger.static_fields;

	for (size_t i = 0; fields && i < fields->count; i++)
		if (fields->children[i].kind != NODE_SCALAR)
			config_faults_add(r->faults, fields->children[i].line, fields->children[i].column, false,
			                  "logger.static_fields: %.64s must be one text", fields->children[i].key);
}

void rules_check(const struct config *config, struct config_faults *faults)
{
	const struct rules r = {.config = config, .faults = faults};

	check_labels(&r);
	check_static_fields(&r);
	for (rule_check *const *rule = rules_output; *rule; rule++)
		(*rule)(&r);
	for (rule_check *const *rule = rules_doors; *rule; rule++)
		(*rule)(&r);
}
