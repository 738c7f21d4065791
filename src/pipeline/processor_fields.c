/* Reading a processor's fields from its part of the configuration. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/num.h"
#include "pipeline/stage.h"

void compile_fault(struct compiler *c, const struct config_node *node, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	config_faults_add(c->faults, node ? node->line : 1, node ? node->column : 1, false, "%s: %s", c->path, text);
}

void fields_begin(struct fields *f, struct compiler *c, const struct config_node *node)
{
	*f = (struct fields){.compiler = c, .node = node};
	if (node->kind == NODE_SCALAR && !node->scalar)
		f->node = NULL;
	else if (node->kind != NODE_MAP) {
		compile_fault(c, node, "expected an object of fields");
		f->node = NULL;
	} else if (node->count > 8 * sizeof f->asked) {
		compile_fault(c, node, "too many fields");
		f->node = NULL;
	}
}

const struct config_node *fields_node(struct fields *f, const char *key)
{
	for (size_t i = 0; f->node && i < f->node->count; i++) {
		if (strcmp(f->node->children[i].key, key) != 0)
			continue;
		f->asked |= 1U << i;
		return &f->node->children[i];
	}
	return NULL;
}

void fields_end(struct fields *f)
{
	for (size_t i = 0; f->node && i < f->node->count; i++)
		if (!(f->asked & 1U << i))
			compile_fault(f->compiler, &f->node->children[i], "field %s not recognised",
			              f->node->children[i].key);
}

const char *fields_text(struct fields *f, const char *key, const char *fallback, bool required)
{
	const struct config_node *node = fields_node(f, key);

	if (!node && required)
		compile_fault(f->compiler, f->node, "field %s is required", key);
	if (!node)
		return fallback;
	if (node->kind != NODE_SCALAR || !node->scalar) {
		compile_fault(f->compiler, node, "field %s: expected a text", key);
		return fallback;
	}
	return node->scalar;
}

int64_t fields_int(struct fields *f, const char *key, int64_t fallback)
{
	const char *text = fields_text(f, key, NULL, false);
	int64_t value;

	if (!text)
		return fallback;
	if (!num_parse_i64(text, &value)) {
		compile_fault(f->compiler, fields_node(f, key), "field %s: expected a whole number, got %s", key, text);
		return fallback;
	}
	return value;
}

bool fields_bool(struct fields *f, const char *key, bool fallback)
{
	const char *text = fields_text(f, key, NULL, false);

	if (!text)
		return fallback;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		compile_fault(f->compiler, fields_node(f, key), "field %s: expected true or false, got %s", key, text);
	return strcmp(text, "true") == 0;
}

int64_t fields_duration_ns(struct fields *f, const char *key, int64_t fallback_ns)
{
	const char *text = fields_text(f, key, NULL, false);
	int64_t value;

	if (!text)
		return fallback_ns;
	if (!num_parse_duration(text, &value) || value <= 0) {
		compile_fault(f->compiler, fields_node(f, key), "field %s: expected a duration such as 1s, got %s", key,
		              text);
		return fallback_ns;
	}
	return value;
}

static void language_fault(struct compiler *c, const struct config_node *node, const struct bloblang_fault *fault)
{
	const struct config_text text = config_node_text(node);
	int line, column;

	config_text_place(&text, fault->line, fault->column, &line, &column);
	config_faults_add(c->faults, line, column, false, "%s: %s", c->path, fault->text);
}

struct bloblang_mapping *compile_mapping(struct compiler *c, const struct config_node *node)
{
	struct bloblang_mapping *m = NULL;
	struct bloblang_fault fault = {0};

	if (node->kind != NODE_SCALAR || !node->scalar)
		compile_fault(c, node, "expected a Bloblang mapping");
	else if (bloblang_mapping_parse(node->scalar, ".", &m, &fault) != ERR_OK)
		language_fault(c, node, &fault);
	return m;
}

struct bloblang_template *compile_template(struct compiler *c, const struct config_node *node, const char *text)
{
	struct bloblang_template *t = NULL;
	struct bloblang_fault fault = {0};

	if (bloblang_template_parse(text, &t, &fault) != ERR_OK) {
		if (node)
			language_fault(c, node, &fault);
		else
			compile_fault(c, NULL, "%s", fault.text);
	}
	return t;
}

struct bloblang_mapping *fields_mapping(struct fields *f, const char *key, bool required)
{
	const struct config_node *node = fields_node(f, key);

	if (!node && required)
		compile_fault(f->compiler, f->node, "field %s is required", key);
	if (!node || (node->kind == NODE_SCALAR && (!node->scalar || !node->scalar[0])))
		return NULL;
	return compile_mapping(f->compiler, node);
}

struct bloblang_template *fields_template(struct fields *f, const char *key, const char *fallback, bool required)
{
	const char *text = fields_text(f, key, fallback, required);

	return text ? compile_template(f->compiler, fields_node(f, key), text) : NULL;
}

void fields_processors(struct fields *f, const char *key, struct stages *ret)
{
	size_t length = strlen(f->compiler->path);

	(void)snprintf(f->compiler->path + length, sizeof f->compiler->path - length, ".%s", key);
	stages_compile(f->compiler, fields_node(f, key), ret);
	f->compiler->path[length] = '\0';
}

const struct config_node *resource_find(const struct config_node *resources, const char *label)
{
	for (size_t i = 0; resources && resources->kind == NODE_LIST && i < resources->count; i++) {
		const struct config_node *entry = &resources->children[i];

		for (size_t k = 0; entry->kind == NODE_MAP && k < entry->count; k++)
			if (strcmp(entry->children[k].key, "label") == 0 && entry->children[k].scalar &&
			    strcmp(entry->children[k].scalar, label) == 0)
				return entry;
	}
	return NULL;
}
