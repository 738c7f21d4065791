/*
 * The walker that types an object of a file by the rows of its section.
 *
 * Invariants:
 * 1. base holds a whole value at any time: the defaults, then one member after the other replaced. options_free is
 * always possible.
 * 2. A member that is at fault keeps its default, so that nothing is said about it a second time.
 * 3. r->path names the object being read; whoever lengthens it shortens it again.
 * 4. A repeated key was told of by the tree and is never read.
 * 5. A default that its own row refuses is a bug (must).
 */
#include "config/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "config/tree.h"

enum { WHY_MAX = 600, WORD_MAX = 64 };

size_t options_reader_enter(struct options_reader *r, const char *key)
{
	size_t length = strlen(r->path);

	(void)snprintf(r->path + length, sizeof r->path - length, "%s%s", length ? "." : "", key);
	return length;
}

void options_reader_leave(struct options_reader *r, size_t length)
{
	must(length <= strlen(r->path));
	r->path[length] = '\0';
}

/* Levenshtein, over words of at most WORD_MAX bytes. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), row[WORD_MAX + 1];

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX + 1;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			best = best < row[j] + 1 ? best : row[j] + 1;
			row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
		}
	}
	return row[m];
}

void nearest_offer(struct nearest *n, const char *word)
{
	size_t distance = edit_distance(n->given, word);

	if (!n->best || distance < n->distance) {
		n->best = word;
		n->distance = distance;
	}
}

bool nearest_is_near(const struct nearest *n)
{
	size_t length = strlen(n->given);

	return n->best && n->distance <= (length < 6 ? 2 : length / 2);
}

void options_defaults(const struct option_section *s, void *base)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct option_row *row = &s->rows[i];
		struct buf why CLEANUP(buf_fini) = {0};

		buf_init(&why, WHY_MAX);
		if (row->kind == OPTION_OBJECT) {
			options_defaults(row->section(), (char *)base + row->offset);
		} else if (*row->fallback && !(row->flags & REQUIRED)) {
			const char *complaint = option_set_text(row, base, row->fallback, &why);

			must(!complaint); /* a default of options.def that its own row refuses */
		}
	}
}

static void fault(struct options_reader *r, const struct config_node *node, const char *key, const char *sentence)
{
	config_faults_add(r->faults, node->line, node->column, false, "%s%s%s%s %s", r->path, *r->path ? "." : "", key,
	                  strncmp(sentence, "expected", 8) == 0 ? ":" : "", sentence);
}

static void fault_shape(struct options_reader *r, const struct config_node *node, const char *key, const char *wanted)
{
	config_faults_add(r->faults, node->line, node->column, false, "%s%s%s: expected %s, not %s", r->path,
	                  *r->path ? "." : "", key, wanted, tree_kind_name(node));
}

static void read_strings(struct options_reader *r, const struct option_row *row, const struct config_node *node,
                         void *base)
{
	struct config_strings *member = (void *)((char *)base + row->offset);

	if (node->kind != NODE_LIST) {
		fault_shape(r, node, row->key, "a list of texts");
		return;
	}
	option_free(row, base);
	if ((row->flags & REQUIRED) && node->count == 0)
		fault(r, node, row->key, "must not be empty");
	member->items = mem_zero((node->count + 1) * sizeof *member->items);
	member->lines = mem_zero((node->count + 1) * sizeof *member->lines);
	for (size_t i = 0; i < node->count; i++) {
		const struct config_node *item = &node->children[i];

		if (item->kind != NODE_SCALAR || !item->scalar) {
			fault_shape(r, item, row->key, "a text in the list");
			continue;
		}
		member->lines[member->count] = item->line;
		member->items[member->count++] = mem_string(item->scalar);
	}
}

static void read_nodes(struct options_reader *r, const struct option_row *row, const struct config_node *node,
                       void *base)
{
	bool fits = node->kind == (option_is_list(row) ? NODE_LIST : NODE_MAP);

	if (!fits)
		fault_shape(r, node, row->key, option_is_list(row) ? "a list" : "a map");
	else if ((row->flags & REQUIRED) && node->count == 0)
		fault(r, node, row->key, "must not be empty");
	else /* the tree is config's own and lives as long; nothing writes through this pointer */
		*(const struct config_node **)(void *)((char *)base + row->offset) = node;
}

static void read_scalar(struct options_reader *r, const struct option_row *row, const struct config_node *node,
                        void *base)
{
	struct buf why CLEANUP(buf_fini) = {0};
	const char *complaint;

	if (node->kind != NODE_SCALAR) {
		fault_shape(r, node, row->key, "one value");
		return;
	}
	if (node->unset)
		return;
	if ((row->flags & (REQUIRED | BLANK)) == REQUIRED && *node->scalar == '\0') {
		fault(r, node, row->key, "is required and must not be empty");
		return;
	}
	buf_init(&why, WHY_MAX);
	complaint = option_set_text(row, base, node->scalar, &why);
	if (complaint) {
		char *shown = memmem(why.data, why.len, ", not \"", 7);

		if (shown && node->from_env) { /* a variable in the wrong place may be a secret */
			why.len = (size_t)(shown - why.data);
			(void)buf_add_text(&why, ", not what its environment variable holds");
			complaint = why.data;
		}
		fault(r, node, row->key, complaint);
	} else if (row->kind == OPTION_TEMPLATE || row->kind == OPTION_MAPPING) {
		struct config_text *text = (void *)((char *)base + row->offset);

		text->line = node->text_line;
		text->column = node->text_column;
		text->keeps_lines = node->keeps_lines;
	}
}

static void report_flags(struct options_reader *r, const struct option_section *s, const struct option_row *row,
                         const struct config_node *node, void *base)
{
	AUTOFREE void *defaults = NULL;
	bool same;

	if (!(row->flags & (LATER | INERT)))
		return;
	defaults = mem_zero(s->size);
	if (*row->fallback) {
		struct buf why CLEANUP(buf_fini) = {0};

		buf_init(&why, WHY_MAX);
		(void)option_set_text(row, defaults, row->fallback, &why);
	}
	same = option_is_equal(row, base, defaults);
	option_free(row, defaults);
	if (same)
		return;
	if (row->flags & LATER)
		config_faults_add(r->faults, node->line, node->column, false,
		                  "%s.%s cannot be acted on: this kspool does not have it; remove it", r->path,
		                  row->key);
	else
		config_faults_add(r->faults, node->line, node->column, true, "%s.%s has no effect: %s", r->path,
		                  row->key, row->text);
}

static void read_row(struct options_reader *r, const struct option_section *s, const struct option_row *row,
                     const struct config_node *node, void *base)
{
	if (row->kind == OPTION_OBJECT) {
		size_t length = options_reader_enter(r, row->key);

		options_read(r, row->section(), node, (char *)base + row->offset, NULL);
		options_reader_leave(r, length);
		return;
	}
	if (tree_is_null(node)) { /* "key:" with nothing behind it leaves the default */
		if ((row->flags & REQUIRED) && !node->unset)
			fault(r, node, row->key, "is required and must not be empty");
		return;
	}
	if (row->kind == OPTION_STRINGS)
		read_strings(r, row, node, base);
	else if (row->kind == OPTION_NODES)
		read_nodes(r, row, node, base);
	else
		read_scalar(r, row, node, base);
	report_flags(r, s, row, node, base);
}

static const struct key_handler *find_handler(const struct options_extras *extras, const char *key)
{
	if (extras && extras->handlers)
		for (const struct key_handler *h = extras->handlers; h->key; h++)
			if (strcmp(h->key, key) == 0)
				return h;
	return NULL;
}

static void report_unknown(struct options_reader *r, const struct option_section *s,
                           const struct options_extras *extras, const struct config_node *node)
{
	struct nearest near = {.given = node->key};
	const char *sentence = extras && extras->foreign ? extras->foreign(node->key) : NULL;

	for (size_t i = 0; i < s->count; i++)
		nearest_offer(&near, s->rows[i].key);
	for (const struct key_handler *h = extras ? extras->handlers : NULL; h && h->key; h++)
		nearest_offer(&near, h->key);
	if (sentence)
		config_faults_add(r->faults, node->key_line, node->key_column, false, "%s", sentence);
	else if (nearest_is_near(&near))
		config_faults_add(r->faults, node->key_line, node->key_column, false,
		                  "unknown key \"%.64s\" in %s; did you mean \"%s\"?", node->key,
		                  *r->path ? r->path : "the file", near.best);
	else
		config_faults_add(r->faults, node->key_line, node->key_column, false, "unknown key \"%.64s\" in %s",
		                  node->key, *r->path ? r->path : "the file");
}

static void report_missing(struct options_reader *r, const struct option_section *s, const struct config_node *node)
{
	for (size_t i = 0; i < s->count; i++)
		if ((s->rows[i].flags & REQUIRED) && !tree_member(node, s->rows[i].key))
			config_faults_add(r->faults, node->key_line ? node->key_line : node->line,
			                  node->key_line ? node->key_column : node->column, false, "%s.%s is required",
			                  r->path, s->rows[i].key);
}

void options_read(struct options_reader *r, const struct option_section *s, const struct config_node *node, void *base,
                  const struct options_extras *extras)
{
	if (node->unset)
		return;
	if (!tree_is_null(node) && node->kind != NODE_MAP) {
		config_faults_add(r->faults, node->line, node->column, false, "%s: expected a map, not %s",
		                  *r->path ? r->path : "the file", tree_kind_name(node));
		return;
	}
	for (size_t i = 0; i < node->count; i++) {
		const struct config_node *member = &node->children[i];
		const struct option_row *row = options_find(s, member->key);
		const struct key_handler *handler = find_handler(extras, member->key);

		if (member->repeated)
			continue;
		if (handler) {
			if (handler->read)
				handler->read(r, member, base);
		} else if (row) {
			read_row(r, s, row, member, base);
		} else {
			report_unknown(r, s, extras, member);
		}
	}
	report_missing(r, s, node);
}
