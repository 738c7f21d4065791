/*
 * One value of the tables of options: reading, freeing, comparing, copying.
 *
 * Invariants:
 * 1. A member is owned by its struct, but for nodes, which stay the tree's they were read from.
 * 2. A freed member is null or empty, so it may be freed or set again.
 */
#include "config/options.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/tree.h"

/* A value is shown in a fault up to this many characters; the rest of a long one says nothing more. */
enum { SHOWN_MAX = 60 };

static void *member_of(const struct option_row *row, void *base) { return (char *)base + row->offset; }

void option_print_number(enum option_kind kind, int64_t number, struct buf *out)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	char text[NUM_DURATION_MAX];
	size_t unit = 0;

	if (kind == OPTION_DURATION) {
		size_t n = strlen(num_format_duration(number, text));

		/* Go prints 5m0s and 1h0m0s; people write 5m and 1h. */
		if (n > 3 && strcmp(text + n - 3, "m0s") == 0)
			text[n -= 2] = '\0';
		if (n > 3 && strcmp(text + n - 3, "h0m") == 0)
			text[n - 2] = '\0';
		(void)buf_add_text(out, text);
	} else if (kind == OPTION_SIZE) {
		while (number >= 1024 && number % 1024 == 0 && unit < 4) {
			number /= 1024;
			unit++;
		}
		(void)buf_addf(out, "%" PRId64 "%s", number, unit ? units[unit] : "");
	} else {
		(void)buf_addf(out, "%" PRId64, number);
	}
}

static const char *complain(struct buf *why, const char *expected, const char *text)
{
	(void)buf_addf(why, "expected %s, not \"%.*s\"", expected, SHOWN_MAX, text);
	return why->data;
}

/* A number out of range leaves the default, so that nothing is said about it a second time. */
static const char *store_number(const struct option_row *row, void *base, int64_t value, const char *text,
                                struct buf *why)
{
	if ((row->least != 0 || row->most != 0) && (value < row->least || value > row->most)) {
		(void)buf_add_text(why, row->most == INT64_MAX ? "must be at least " : "must be from ");
		option_print_number(row->kind, row->least, why);
		if (row->most != INT64_MAX) {
			(void)buf_add_text(why, " to ");
			option_print_number(row->kind, row->most, why);
		}
		(void)buf_addf(why, ", not \"%.*s\"", SHOWN_MAX, text);
		return why->data;
	}
	if (row->kind == OPTION_SIZE)
		*(uint64_t *)member_of(row, base) = (uint64_t)value;
	else
		*(int64_t *)member_of(row, base) = value;
	return NULL;
}

static const char *set_string(const struct option_row *row, void *base, const char *text, struct buf *why)
{
	char **member = member_of(row, base);

	(void)why;
	free(*member);
	/* Without a default the empty text is how Redpanda Connect writes "not set". */
	*member = *text == '\0' && *row->fallback == '\0' ? NULL : mem_string(text);
	return NULL;
}

static const char *set_bool(const struct option_row *row, void *base, const char *text, struct buf *why)
{
	bool yes = strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "TRUE") == 0;
	bool no = strcmp(text, "false") == 0 || strcmp(text, "False") == 0 || strcmp(text, "FALSE") == 0;

	if (!yes && !no)
		return complain(why, "true or false", text);
	*(bool *)member_of(row, base) = yes;
	return NULL;
}

static const char *set_int(const struct option_row *row, void *base, const char *text, struct buf *why)
{
	int64_t value;

	if (!num_parse_i64(text, &value))
		return complain(why, "a whole number", text);
	return store_number(row, base, value, text, why);
}

static const char *set_size(const struct option_row *row, void *base, const char *text, struct buf *why)
{
	uint64_t value;

	if (!num_parse_size(text, &value) || value > INT64_MAX)
		return complain(why, "bytes such as 65536, 64KiB or 5MiB", text);
	return store_number(row, base, (int64_t)value, text, why);
}

static const char *set_duration(const struct option_row *row, void *base, const char *text, struct buf *why)
{
	int64_t value = 0;

	/* Redpanda Connect reads "" as zero in backoff.* and batching.period; a range that excludes zero still does. */
	if (*text != '\0' && !num_parse_duration(text, &value))
		return complain(why, "a duration such as 300ms, 5s or 1m30s", text);
	return store_number(row, base, value, text, why);
}

static const char *set_enum(const struct option_row *row, void *base, const char *text, struct buf *why)
{
	(void)buf_add_text(why, "expected ");
	for (const struct option_word *word = row->words; word->text; word++) {
		if (strcasecmp(word->text, text) == 0) {
			*(int *)member_of(row, base) = word->value;
			return NULL;
		}
		(void)buf_addf(why, "%s%s", word == row->words ? "" : word[1].text ? ", " : " or ", word->text);
	}
	(void)buf_addf(why, ", not \"%.*s\"", SHOWN_MAX, text);
	return why->data;
}

static const char *set_text(const struct option_row *row, void *base, const char *text, struct buf *why)
{
	struct config_text *member = member_of(row, base);

	(void)why;
	free(member->text);
	member->text = *text == '\0' ? NULL : mem_string(text);
	return NULL;
}

/* Of a default: one item, or none. */
static const char *set_strings(const struct option_row *row, void *base, const char *text, struct buf *why)
{
	struct config_strings *member = member_of(row, base);

	(void)why;
	if (*text == '\0')
		return NULL;
	member->items = mem_zero(sizeof *member->items);
	member->lines = mem_zero(sizeof *member->lines);
	member->items[0] = mem_string(text);
	member->count = 1;
	return NULL;
}

const char *option_set_text(const struct option_row *row, void *base, const char *text, struct buf *why)
{
	static const char *(*const setters[])(const struct option_row *, void *, const char *, struct buf *) = {
	    [OPTION_STRING] = set_string,   [OPTION_SECRET] = set_string, [OPTION_BOOL] = set_bool,
	    [OPTION_INT] = set_int,         [OPTION_SIZE] = set_size,     [OPTION_DURATION] = set_duration,
	    [OPTION_ENUM] = set_enum,       [OPTION_TEMPLATE] = set_text, [OPTION_MAPPING] = set_text,
	    [OPTION_STRINGS] = set_strings,
	};

	must((size_t)row->kind < sizeof setters / sizeof *setters);
	return setters[row->kind](row, base, text, why);
}

void option_free(const struct option_row *row, void *base)
{
	void *member = member_of(row, base);

	if (row->kind == OPTION_STRING || row->kind == OPTION_SECRET) {
		char **text = member;

		if (*text && row->kind == OPTION_SECRET)
			explicit_bzero(*text, strlen(*text));
		free(*text);
		*text = NULL;
	} else if (row->kind == OPTION_TEMPLATE || row->kind == OPTION_MAPPING) {
		struct config_text *text = member;

		free(text->text);
		memset(text, 0, sizeof *text);
	} else if (row->kind == OPTION_STRINGS) {
		struct config_strings *strings = member;

		for (size_t i = 0; i < strings->count; i++)
			free(strings->items[i]);
		free(strings->items);
		free(strings->lines);
		memset(strings, 0, sizeof *strings);
	} else if (row->kind == OPTION_OBJECT) {
		options_free(row->section(), member);
	}
}

void options_free(const struct option_section *s, void *base)
{
	for (size_t i = 0; i < s->count; i++)
		option_free(&s->rows[i], base);
}

static bool texts_equal(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static bool strings_equal(const struct config_strings *a, const struct config_strings *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!texts_equal(a->items[i], b->items[i]))
			return false;
	return true;
}

bool option_is_equal(const struct option_row *row, const void *a, const void *b)
{
	const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;

	switch (row->kind) {
	case OPTION_STRING:
	case OPTION_SECRET:
	case OPTION_TEMPLATE: /* text is the first member of struct config_text */
	case OPTION_MAPPING:
		return texts_equal(*(char *const *)x, *(char *const *)y);
	case OPTION_BOOL:
		return *(const bool *)x == *(const bool *)y;
	case OPTION_INT:
	case OPTION_DURATION:
		return *(const int64_t *)x == *(const int64_t *)y;
	case OPTION_SIZE:
		return *(const uint64_t *)x == *(const uint64_t *)y;
	case OPTION_ENUM:
		return *(const int *)x == *(const int *)y;
	case OPTION_NODES:
		return tree_is_equal(*(struct config_node *const *)x, *(struct config_node *const *)y);
	case OPTION_STRINGS:
		return strings_equal((const struct config_strings *)x, (const struct config_strings *)y);
	case OPTION_OBJECT:
		return false;
	}
	never("an option kind without a comparison");
}

static struct config_strings copy_strings(const struct config_strings *from)
{
	struct config_strings made = {.count = from->count};

	made.items = mem_array(from->count + 1, sizeof *made.items);
	made.lines = mem_array(from->count + 1, sizeof *made.lines);
	for (size_t i = 0; i < from->count; i++) {
		made.items[i] = mem_string(from->items[i]);
		made.lines[i] = from->lines[i];
	}
	return made;
}

void option_copy(const struct option_row *row, const void *from, void *to)
{
	const char *x = (const char *)from + row->offset;
	char *y = (char *)to + row->offset;

	must(row->kind != OPTION_OBJECT && from != to);
	option_free(row, to);
	switch (row->kind) {
	case OPTION_STRING:
	case OPTION_SECRET: {
		const char *text = *(char *const *)x;

		*(char **)y = text ? mem_string(text) : NULL;
		break;
	}
	case OPTION_TEMPLATE:
	case OPTION_MAPPING: {
		struct config_text *text = (struct config_text *)y;

		*text = *(const struct config_text *)x;
		text->text = text->text ? mem_string(text->text) : NULL;
		break;
	}
	case OPTION_BOOL:
		*(bool *)y = *(const bool *)x;
		break;
	case OPTION_INT:
	case OPTION_DURATION:
		*(int64_t *)y = *(const int64_t *)x;
		break;
	case OPTION_SIZE:
		*(uint64_t *)y = *(const uint64_t *)x;
		break;
	case OPTION_ENUM:
		*(int *)y = *(const int *)x;
		break;
	case OPTION_NODES:
		*(struct config_node **)y = *(struct config_node *const *)x;
		break;
	case OPTION_STRINGS:
		*(struct config_strings *)y = copy_strings((const struct config_strings *)x);
		break;
	case OPTION_OBJECT:
		never("an object is copied row by row");
	}
}
