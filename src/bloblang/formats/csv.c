#include "bloblang/formats/csv.h"

#include <string.h>

#include "base/utf8.h"
#include "value/json.h"
#include "bloblang/golang/goquote.h"

struct csv_reader {
	struct arena *arena;
	const char *next; /* the lines not read yet */
	const char *end;
	const char *line; /* what is left of the current line, its break (one \n) included */
	const char *line_end;
	const char *line_start;
	size_t number; /* of the current line */
	size_t record; /* line at which the record began */
	char comma[UTF8_MAX];
	size_t comma_length;
	bool lazy;
	const char *error;
};

/* Reads the next line; "\r\n" becomes "\n", a "\r" before the end is dropped. */
static bool next_line(struct csv_reader *r)
{
	const char *feed;

	r->line = r->line_end = r->line_start = "";
	if (r->next == r->end)
		return false;
	feed = memchr(r->next, '\n', (size_t)(r->end - r->next));
	r->number++;
	if (feed && feed > r->next && feed[-1] == '\r') {
		char *copy = arena_copy(r->arena, r->next, (size_t)(feed - r->next));

		copy[feed - r->next - 1] = '\n';
		r->line = copy;
		r->line_end = copy + (feed - r->next);
	} else {
		r->line = r->next;
		r->line_end = feed ? feed + 1 : r->end;
		if (!feed && r->line_end > r->line && r->line_end[-1] == '\r')
			r->line_end--;
	}
	r->line_start = r->line;
	r->next = feed ? feed + 1 : r->end;
	return true;
}

/* The line without its break. */
static size_t text_length(const struct csv_reader *r)
{
	size_t n = (size_t)(r->line_end - r->line);

	return n > 0 && r->line_end[-1] == '\n' ? n - 1 : n;
}

static bool fail(struct csv_reader *r, size_t column, const char *what)
{
	if (r->record == r->number)
		r->error = arena_format(r->arena, "parse error on line %zu, column %zu: %s", r->number, column, what);
	else
		r->error = arena_format(r->arena, "record on line %zu; parse error on line %zu, column %zu: %s",
		                        r->record, r->number, column, what);
	return false;
}

static size_t column_of(const struct csv_reader *r) { return (size_t)(r->line - r->line_start) + 1; }

static bool starts_with_comma(const struct csv_reader *r)
{
	return (size_t)(r->line_end - r->line) >= r->comma_length && memcmp(r->line, r->comma, r->comma_length) == 0;
}

/* *ret_more: a comma followed. */
static bool plain_field(struct csv_reader *r, struct value row, bool *ret_more)
{
	const char *comma = memmem(r->line, (size_t)(r->line_end - r->line), r->comma, r->comma_length);
	size_t n = comma ? (size_t)(comma - r->line) : text_length(r);
	const char *mark = n ? memchr(r->line, '"', n) : NULL;

	if (mark && !r->lazy)
		return fail(r, column_of(r) + (size_t)(mark - r->line), "bare \" in non-quoted-field");
	value_array_push(r->arena, row, value_string(r->line, n));
	*ret_more = comma;
	if (comma)
		r->line = comma + r->comma_length;
	return true;
}

static bool quoted_field(struct csv_reader *r, struct value row, bool *ret_more)
{
	struct text field;

	text_init(&field, r->arena);
	r->line++;
	*ret_more = false;
	for (;;) {
		const char *mark = memchr(r->line, '"', (size_t)(r->line_end - r->line));

		if (mark) {
			text_add(&field, r->line, (size_t)(mark - r->line));
			r->line = mark + 1;
			if (r->line < r->line_end && *r->line == '"') {
				text_add_char(&field, '"');
				r->line++;
			} else if (starts_with_comma(r)) {
				r->line += r->comma_length;
				*ret_more = true;
				break;
			} else if (text_length(r) == 0) {
				break;
			} else if (r->lazy) {
				text_add_char(&field, '"');
			} else {
				return fail(r, column_of(r) - 1, "extraneous or missing \" in quoted-field");
			}
		} else if (r->line < r->line_end) {
			size_t column = column_of(r) + (size_t)(r->line_end - r->line);

			text_add(&field, r->line, (size_t)(r->line_end - r->line));
			if (next_line(r))
				continue;
			if (!r->lazy)
				return fail(r, column, "extraneous or missing \" in quoted-field");
			break; /* the text's end closes a lazy field */
		} else if (r->lazy) {
			break;
		} else {
			return fail(r, column_of(r), "extraneous or missing \" in quoted-field");
		}
	}
	value_array_push(r->arena, row, value_from_text(&field, VALUE_STRING));
	return true;
}

static bool read_row(struct csv_reader *r, struct value row)
{
	bool more = true;

	r->record = r->number;
	while (more) {
		bool quoted = r->line < r->line_end && *r->line == '"';

		if (!(quoted ? quoted_field(r, row, &more) : plain_field(r, row, &more)))
			return false;
	}
	return true;
}

bool csv_parse(struct arena *a, const char *s, size_t length, const struct csv_options *options, struct value *ret,
               const char **ret_error)
{
	struct csv_reader r = {.arena = a, .next = s, .end = s + length, .lazy = options->lazy_quotes};

	if (options->delimiter == '"' || options->delimiter == '\r' || options->delimiter == '\n' ||
	    options->delimiter == 0 || options->delimiter == UTF8_REPLACEMENT) {
		*ret_error = "csv: invalid field or comment delimiter";
		return false;
	}
	r.comma_length = utf8_encode(r.comma, options->delimiter);
	*ret = value_array(a, 8);
	while (next_line(&r) && !arena_is_spent(a)) {
		struct value row;

		if (text_length(&r) == 0)
			continue;
		row = value_array(a, ret->array->count ? ret->array->items[0].array->count : 8);
		if (!read_row(&r, row)) {
			*ret_error = r.error;
			return false;
		}
		if (ret->array->count > 0 && row.array->count != ret->array->items[0].array->count) {
			*ret_error = arena_format(a, "record on line %zu: wrong number of fields", r.record);
			return false;
		}
		value_array_push(a, *ret, row);
	}
	return true;
}
