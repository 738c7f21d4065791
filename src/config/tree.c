/*
 * The reader of YAML events.
 *
 * Invariants:
 * 1. Every event that was read is deleted once, by the function that read it.
 * 2. After failed is set no event is read and the root is thrown away.
 * 3. A node is read to its end before the next of its siblings is appended, which may move them all.
 * 4. keys and items count the whole file, not one map or list.
 * 5. A member whose key came before has repeated set; the first one has not.
 */
#include "config/tree.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/check.h"
#include "base/mem.h"

struct parse {
	yaml_parser_t yaml;
	const struct expansion *x;
	struct config_faults *faults;
	size_t keys;
	size_t items;
	bool failed; /* no event can be read any more */
};

static void fault_at(struct parse *p, const yaml_mark_t *mark, const char *sentence)
{
	int line, column;

	expansion_place(p->x, mark->index, &line, &column);
	config_faults_add(p->faults, line, column, false, "%s", sentence);
}

static void stop(struct parse *p, const yaml_mark_t *mark, const char *sentence)
{
	fault_at(p, mark, sentence);
	p->failed = true;
}

static void report_syntax(struct parse *p)
{
	const char *problem = p->yaml.problem ? p->yaml.problem : "not YAML";
	const char *context = p->yaml.context ? p->yaml.context : "";
	int line, column;

	expansion_place(p->x, p->yaml.problem_mark.index, &line, &column);
	config_faults_add(p->faults, line, column, false, "YAML: %s%s%s", problem, *context ? ", " : "", context);
	p->failed = true;
}

static bool next(struct parse *p, yaml_event_t *event)
{
	if (p->failed)
		return false;
	if (!yaml_parser_parse(&p->yaml, event)) {
		if (p->yaml.error == YAML_MEMORY_ERROR) /* no fault of the file's: a restart may help */
			mem_exhausted();
		report_syntax(p);
		return false;
	}
	return true;
}

static void refuse_extras(struct parse *p, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		fault_at(p, &event->start_mark, "anchors (&name) are not accepted: write the value where it is used");
	if (tag)
		fault_at(p, &event->start_mark, "tags (!name) are not accepted: the type follows from the option");
}

static bool is_null_text(const char *text)
{
	return *text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 || strcmp(text, "Null") == 0 ||
	       strcmp(text, "NULL") == 0;
}

static void read_scalar(struct parse *p, const yaml_event_t *event, struct config_node *node)
{
	const char *value = (const char *)event->data.scalar.value;
	yaml_scalar_style_t style = event->data.scalar.style;

	refuse_extras(p, event, event->data.scalar.anchor, event->data.scalar.tag);
	node->kind = NODE_SCALAR;
	node->quoted = style != YAML_PLAIN_SCALAR_STYLE;
	expansion_origin(p->x, event->start_mark.index, event->end_mark.index, &node->unset, &node->from_env);
	if (strlen(value) != event->data.scalar.length)
		fault_at(p, &event->start_mark, "a NUL character in a text");
	node->text_line = node->line;
	node->text_column = node->column;
	if (style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE) {
		node->text_column++;
	} else if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE) {
		node->text_line++;
		node->text_column = expansion_indent(p->x, node->text_line);
		node->keeps_lines = style == YAML_LITERAL_SCALAR_STYLE;
	}
	if (node->quoted || !is_null_text(value))
		node->scalar = mem_string(value);
}

static void read_node(struct parse *p, const yaml_event_t *event, struct config_node *node, int depth);

static void read_list(struct parse *p, struct config_node *node, int depth)
{
	yaml_event_t event;

	node->kind = NODE_LIST;
	while (next(p, &event)) {
		bool end = event.type == YAML_SEQUENCE_END_EVENT;

		if (!end && ++p->items > TREE_ITEMS_MAX)
			stop(p, &event.start_mark, "more than 20000 list items in one file");
		else if (!end)
			read_node(p, &event, tree_append(node, NULL), depth + 1);
		yaml_event_delete(&event);
		if (end)
			return;
	}
}

/* The key of a map's next member; null (after a fault) when it is no text, and its value is to be thrown away. */
static char *read_key(struct parse *p, const yaml_event_t *event)
{
	const char *key = (const char *)event->data.scalar.value;

	if (event->type != YAML_SCALAR_EVENT) {
		struct config_node thrown = {0};

		fault_at(p, &event->start_mark, "a key must be plain text");
		read_node(p, event, &thrown, TREE_DEPTH_MAX - 1);
		tree_clear(&thrown);
		return NULL;
	}
	refuse_extras(p, event, event->data.scalar.anchor, event->data.scalar.tag);
	if (strlen(key) != event->data.scalar.length) {
		fault_at(p, &event->start_mark, "a NUL character in a key");
		return NULL;
	}
	if (strcmp(key, "<<") == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		fault_at(p, &event->start_mark, "merge keys (<<) are not accepted: write the keys out");
		return NULL;
	}
	return mem_string(key);
}

static void read_member(struct parse *p, struct config_node *node, const yaml_event_t *key_event, int depth)
{
	char *key = read_key(p, key_event);
	struct config_node thrown = {0};
	struct config_node *member = &thrown;
	yaml_event_t event;

	if (key) {
		member = tree_append(node, key);
		expansion_place(p->x, key_event->start_mark.index, &member->key_line, &member->key_column);
		free(key);
	}
	if (next(p, &event)) {
		read_node(p, &event, member, depth + 1);
		yaml_event_delete(&event);
	}
	tree_clear(&thrown);
}

static int compare_keys(const void *a, const void *b)
{
	const struct config_node *x = *(struct config_node *const *)a, *y = *(struct config_node *const *)b;
	int order = strcmp(x->key, y->key);

	return order ? order : x < y ? -1 : x > y;
}

static void check_duplicates(struct parse *p, const struct config_node *node)
{
	struct config_node **sorted;

	if (node->count < 2)
		return;
	sorted = mem_array(node->count, sizeof(struct config_node *));
	for (size_t i = 0; i < node->count; i++)
		sorted[i] = &node->children[i];
	qsort(sorted, node->count, sizeof(struct config_node *), compare_keys);
	for (size_t i = 1, first = 0; i < node->count; i++) {
		if (strcmp(sorted[first]->key, sorted[i]->key) == 0) {
			sorted[i]->repeated = true;
			config_faults_add(p->faults, sorted[i]->key_line, sorted[i]->key_column, false,
			                  "duplicate key \"%.64s\", first on line %d", sorted[i]->key,
			                  sorted[first]->key_line);
		} else {
			first = i;
		}
	}
	free(sorted);
}

static void read_map(struct parse *p, struct config_node *node, int depth)
{
	yaml_event_t event;

	node->kind = NODE_MAP;
	while (next(p, &event)) {
		bool end = event.type == YAML_MAPPING_END_EVENT;

		if (!end && ++p->keys > TREE_KEYS_MAX)
			stop(p, &event.start_mark, "more than 10000 keys in one file");
		else if (!end)
			read_member(p, node, &event, depth);
		yaml_event_delete(&event);
		if (end)
			break;
	}
	check_duplicates(p, node);
}

static void read_node(struct parse *p, const yaml_event_t *event, struct config_node *node, int depth)
{
	must(!p->failed);
	expansion_place(p->x, event->start_mark.index, &node->line, &node->column);
	if (depth > TREE_DEPTH_MAX) {
		stop(p, &event->start_mark, "nested deeper than 16 levels");
		return;
	}
	switch ((int)event->type) {
	case YAML_SCALAR_EVENT:
		read_scalar(p, event, node);
		return;
	case YAML_SEQUENCE_START_EVENT:
		refuse_extras(p, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
		read_list(p, node, depth);
		return;
	case YAML_MAPPING_START_EVENT:
		refuse_extras(p, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
		read_map(p, node, depth);
		return;
	case YAML_ALIAS_EVENT:
		fault_at(p, &event->start_mark, "aliases (*name) are not accepted: write the value where it is used");
		node->unset = true;
		return;
	default:
		never("an event that begins no node");
	}
}

static void read_document(struct parse *p, const yaml_event_t *start, struct config_node *root)
{
	yaml_event_t event;

	if (start->data.document_start.tag_directives.start != start->data.document_start.tag_directives.end)
		fault_at(p, &start->start_mark, "tag directives (%TAG) are not accepted");
	if (!next(p, &event))
		return;
	read_node(p, &event, root, 0);
	yaml_event_delete(&event);
	if (next(p, &event)) /* the end of the document */
		yaml_event_delete(&event);
}

static void read_stream(struct parse *p, struct config_node *root)
{
	yaml_event_t event;
	int documents = 0;

	while (next(p, &event)) {
		bool end = event.type == YAML_STREAM_END_EVENT;

		if (event.type == YAML_DOCUMENT_START_EVENT) {
			if (documents++ == 0)
				read_document(p, &event, root);
			else
				stop(p, &event.start_mark, "a second document: a file holds one configuration");
		}
		yaml_event_delete(&event);
		if (end)
			return;
	}
}

struct config_node *tree_parse(const struct expansion *x, struct config_faults *faults)
{
	struct parse p = {.x = x, .faults = faults};
	struct config_node *root = mem_zero(sizeof *root);

	root->line = root->column = 1;
	if (!yaml_parser_initialize(&p.yaml))
		mem_exhausted();
	yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.yaml, (const unsigned char *)x->text, x->text_bytes);
	read_stream(&p, root);
	yaml_parser_delete(&p.yaml);
	if (p.failed) {
		tree_free(root);
		return NULL;
	}
	return root;
}
