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
