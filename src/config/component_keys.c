/*
 * What Redpanda Connect lets stand beside the name of any component: label, type, plugin and meta.
 *
 * Every component of a file is visited once, before anything is read, and is then as if these keys, but for label, had
 * never been there.
 *
 * Invariants:
 * 1. A label that was taken in is legal, and is the only one of its text.
 * 2. A node is settled before one of its labels is taken in: what is taken in does not move any more.
 */
#include "config/components.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "config/inputs.h"
#include "config/processors.h"
#include "config/tree.h"

struct walk {
	struct config_faults *faults;
	size_t count;
	const struct config_node **labels; /* those met so far */
};

static void fault_key(struct walk *w, const struct config_node *node, const char *path, const char *sentence)
{
	config_faults_add(w->faults, node->key_line, node->key_column, false, "%s.%s %s", path, node->key, sentence);
}

static bool label_is_legal(const char *label)
{
	return *label != '_' && *label != '-' && label[strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

static const struct config_node *find_label(const struct walk *w, const char *text)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->labels[i]->scalar, text) == 0)
			return w->labels[i];
	return NULL;
}

static void check_label(struct walk *w, const struct config_node *label, const char *path)
{
	const struct config_node *first;

	if (label->unset || tree_is_null(label) || label->repeated)
		return;
	if (label->kind != NODE_SCALAR) {
		config_faults_add(w->faults, label->line, label->column, false, "%s.label: expected one value, not %s",
		                  path, tree_kind_name(label));
		return;
	}
	if (!label->scalar || *label->scalar == '\0')
		return;
	first = find_label(w, label->scalar);
	if (!label_is_legal(label->scalar))
		config_faults_add(w->faults, label->line, label->column, false,
		                  "%s.label may hold a-z, 0-9, _ and -, and begins with a letter or digit", path);
	else if (first)
		config_faults_add(w->faults, label->line, label->column, false,
		                  "%s.label is the label of another component too, on line %d", path, first->line);
	if (label_is_legal(label->scalar) && !first) {
		w->labels = mem_grow(w->labels, w->count + 1, sizeof *w->labels);
		w->labels[w->count++] = label;
	}
}

/* A label that points at a resource belongs to the resource; a resource without one is out of reach. */
static void check_labels(struct walk *w, const struct config_node *node, const char *path, bool is_resource)
{
	const struct config_node *label = tree_member(node, "label");
	bool is_empty = !label || (!label->unset && label->kind == NODE_SCALAR && !(label->scalar && *label->scalar));

	if (is_resource && is_empty)
		config_faults_add(w->faults, node->line, node->column, false,
		                  "%s has no label, so that nothing can use it: add label: NAME, or remove it", path);
	else if (!is_empty && !is_resource && tree_member(node, "resource"))
		fault_key(w, label, path, "does not belong beside resource, which is itself a label; remove it");
	else if (label)
		check_label(w, label, path);
}

static bool stands_beside(const char *key)
{
	static const char *const keys[] = {"label", "type", "plugin", "meta", "processors"};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

/* What a type names; null when it names nothing, or nothing that can be (a fault). The caller frees it. */
static char *read_type(struct walk *w, const struct config_node *type, const char *path)
{
	if (type->unset || tree_is_null(type) || (type->kind == NODE_SCALAR && *type->scalar == '\0'))
		return NULL;
	if (type->kind == NODE_SCALAR && !stands_beside(type->scalar))
		return mem_string(type->scalar);
	config_faults_add(w->faults, type->line, type->column, false,
	                  "%s.type: expected the name of a component, not %s", path,
	                  type->kind == NODE_SCALAR ? type->scalar : tree_kind_name(type));
	return NULL;
}

static void become(struct config_node *node, const char *key)
{
	free(node->key);
	node->key = mem_string(key);
}

/* `type: NAME` names the component as `NAME:` would; what would stand behind that may stand behind `plugin:`. */
static void settle_type(struct walk *w, struct config_node *node, const char *path)
{
	struct config_node *type = tree_member(node, "type"), *plugin = tree_member(node, "plugin");
	AUTOFREE char *name = type ? read_type(w, type, path) : NULL;
	bool is_written = name && tree_member(node, name);

	if (name && !is_written && plugin) {
		become(plugin, name);
		plugin = NULL;
	} else if (name && !is_written) {
		tree_clear(type);
		become(type, name);
		type = NULL;
	}
	if (plugin)
		fault_key(w, plugin, path,
		          "stands for what is behind a component's name, which is written already or missing");
	tree_remove(node, "type");
	tree_remove(node, "plugin");
}

/* Whatever somebody wants to remember about a component. */
static void settle_meta(struct walk *w, struct config_node *node, const char *path)
{
	const struct config_node *meta = tree_member(node, "meta");

	if (meta && !meta->unset && !tree_is_null(meta) && meta->kind != NODE_MAP)
		config_faults_add(w->faults, meta->line, meta->column, false, "%s.meta: expected a map, not %s", path,
		                  tree_kind_name(meta));
	tree_remove(node, "meta");
}

static void visit(struct walk *w, const char *slot, struct config_node *node, const char *path, bool is_resource);

static void visit_list(struct walk *w, const char *slot, struct config_node *list, const char *path, bool is_resource)
{
	for (size_t i = 0; list->kind == NODE_LIST && i < list->count; i++) {
		AUTOFREE char *place = mem_format("%s.%zu", path, i);

		visit(w, slot, &list->children[i], place, is_resource);
	}
}

/* The components that the rows of a section hold. */
static void visit_rows(struct walk *w, const struct option_section *s, struct config_node *node, const char *path)
{
	static const char *const slots[] = {
	    [SHAPE_resources] = "processor",    [SHAPE_input] = "input",     [SHAPE_inputs] = "input",
	    [SHAPE_input_resources] = "input",  [SHAPE_scanner] = "scanner", [SHAPE_processors] = "processor",
	    [SHAPE_rate_limits] = "rate_limit", [SHAPE_caches] = "cache",    [SHAPE_templates] = NULL,
	};

	for (size_t i = 0; node->kind == NODE_MAP && i < s->count; i++) {
		const struct option_row *row = &s->rows[i];
		struct config_node *member = tree_member(node, row->key);
		AUTOFREE char *place = mem_format("%s%s%s", path, *path ? "." : "", row->key);

		if (!member)
			continue;
		if (row->kind == OPTION_OBJECT)
			visit_rows(w, row->section(), member, place);
		else if (row->kind == OPTION_NODES && slots[row->shape] && option_is_list(row))
			visit_list(w, slots[row->shape], member, place, s == options_root());
		else if (row->kind == OPTION_NODES && slots[row->shape])
			visit(w, slots[row->shape], member, place, false);
	}
}

static void visit_processor(struct walk *w, struct config_node *node, const char *path)
{
	for (const struct processor_row *row = processor_rows; row->name; row++) {
		struct config_node *behind = tree_member(node, row->name);
		AUTOFREE char *place = mem_format("%s.%s", path, row->name);

		if (!behind || strcmp(row->slot, "processor") != 0)
			continue;
		if (row->shape == PROCESSOR_CHILDREN)
			visit_list(w, "processor", behind, place, false);
		else if (row->shape == PROCESSOR_FIELDS)
			visit_rows(w, row->section(), behind, place);
		for (size_t i = 0; row->shape == PROCESSOR_CASES && i < behind->count; i++) {
			AUTOFREE char *inner = mem_format("%s.%zu", place, i);

			visit_rows(w, row->section(), &behind->children[i], inner);
		}
	}
}

/* The scanner that stands within another. */
static void visit_scanner(struct walk *w, struct config_node *node, const char *path)
{
	struct config_node *behind = tree_member(node, "skip_bom");
	AUTOFREE char *place = mem_format("%s.skip_bom", path);

	if (behind)
		visit_rows(w, options_scanner_skip_bom(), behind, place);
}

static void visit_input(struct walk *w, struct config_node *node, const char *path)
{
	static const struct {
		const char *key;
		const struct option_section *(*section)(void);
	} frames[] = {{"broker", options_broker}, {"sequence", options_sequence}, {"read_until", options_read_until}};

	visit_rows(w, options_input(), node, path);
	for (enum input_kind kind = 0; kind < INPUT_KINDS; kind++) {
		struct config_node *behind = tree_member(node, input_key(kind));
		AUTOFREE char *place = mem_format("%s.%s", path, input_key(kind));

		if (behind)
			visit_rows(w, input_section(kind), behind, place);
	}
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
		struct config_node *behind = tree_member(node, frames[i].key);
		AUTOFREE char *place = mem_format("%s.%s", path, frames[i].key);

		if (behind)
			visit_rows(w, frames[i].section(), behind, place);
	}
}

static void visit(struct walk *w, const char *slot, struct config_node *node, const char *path, bool is_resource)
{
	static const char *const labelled[] = {"input", "processor", "output", "cache", "rate_limit"};

	if (node->kind != NODE_MAP)
		return;
	settle_type(w, node, path);
	settle_meta(w, node, path);
	for (size_t i = 0; i < sizeof labelled / sizeof *labelled; i++)
		if (strcmp(slot, labelled[i]) == 0)
			check_labels(w, node, path, is_resource);
	if (strcmp(slot, "processor") == 0)
		visit_processor(w, node, path);
	else if (strcmp(slot, "input") == 0)
		visit_input(w, node, path);
	else if (strcmp(slot, "scanner") == 0)
		visit_scanner(w, node, path);
	else if (strcmp(slot, "output") == 0)
		visit_rows(w, options_output(), node, path);
	else if (strcmp(slot, "buffer") == 0)
		visit_rows(w, options_buffer(), node, path);
}

void component_keys_settle(struct config_node *root, struct config_faults *faults)
{
	static const char *const slots[] = {"input", "buffer", "output", "metrics", "tracer"};
	struct walk w = {.faults = faults};
	struct config_node *pipeline = tree_member(root, "pipeline");

	for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
		if (tree_member(root, slots[i]))
			visit(&w, slots[i], tree_member(root, slots[i]), slots[i], false);
	if (pipeline)
		visit_rows(&w, options_pipeline(), pipeline, "pipeline");
	visit_rows(&w, options_root(), root, "");
	free(w.labels);
}
