/*
 * scanner_csv: rows as Go's encoding/csv reads them, and what they are as JSON.
 *
 * Invariants:
 * 1. `place` is where in its row the byte at `looked` stands; FIELD_BEGIN at the begin of a row.
 * 2. A row with a flaw ends at the next line break, as in Go, and the row behind it is read as if nothing had been.
 * 3. `names` are sorted: members of an object come in the order in which Redpanda Connect prints them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "value/json.h"
#include "doors/scanner_internal.h"

static const char bare_quote[] = "bare \" in non-quoted-field";
static const char stray_quote[] = "extraneous or missing \" in quoted-field";
static const char field_count[] = "wrong number of fields";
static const char long_header[] = "its header row is longer than 32 KiB";
static const char many_names[] = "its header row has more than 1024 names";

/* Bytes of the first character. */
static size_t rune_length(const char *text)
{
	size_t n = *text != '\0';

	while (n > 0 && n < UTF8_MAX && (text[n] & 0xc0) == 0x80)
		n++;
	return n;
}

bool scanner_is_rune(const char *text) { return *text && text[rune_length(text)] == '\0'; }

void scanner_csv_init(struct scanner *s, const struct config_scanner *config)
{
	struct scanner_csv *c = &s->csv;
	const char *delimiter = config->csv.custom_delimiter;

	if (!delimiter || !*delimiter)
		delimiter = ",";
	c->delimiter_length = rune_length(delimiter);
	memcpy(c->delimiter, delimiter, c->delimiter_length);
	c->is_lazy = config->csv.lazy_quotes;
	c->has_header = config->csv.parse_header_row;
	c->goes_on = config->csv.continue_on_error;
	c->is_input = config->csv_input;
}

void scanner_csv_fini(struct scanner *s)
{
	for (uint32_t i = 0; i < s->csv.name_count; i++) {
		free(s->csv.names[i].key);
		free(s->csv.names[i].name);
	}
	free(s->csv.names);
	free(s->csv.spans);
	free(s->csv.header);
	s->csv = (struct scanner_csv){0};
}

void scanner_csv_rewind(struct scanner *s)
{
	s->csv.place = CSV_FIELD_BEGIN;
	s->csv.fields = 0;
	s->csv.flaw = NULL;
}

/* 1: the delimiter stands here; 0: it does not; -1: its other bytes may come. */
static int is_delimiter(const struct scanner_csv *c, const char *at, size_t left, bool at_end)
{
	size_t n = left < c->delimiter_length ? left : c->delimiter_length;

	if (memcmp(at, c->delimiter, n) != 0)
		return 0;
	return n == c->delimiter_length ? 1 : at_end ? 0 : -1;
}

static void break_row(struct scanner_csv *c, const char *flaw)
{
	c->flaw = flaw;
	c->place = CSV_BROKEN;
}

/* One byte that neither is a delimiter nor ends the row. */
static void step(struct scanner_csv *c, char byte)
{
	switch (c->place) {
	case CSV_FIELD_BEGIN:
		c->place = byte == '"' ? CSV_QUOTED : CSV_PLAIN;
		break;
	case CSV_PLAIN:
		if (byte == '"' && !c->is_lazy)
			break_row(c, bare_quote);
		break;
	case CSV_QUOTED:
		if (byte == '"')
			c->place = CSV_QUOTE;
		break;
	case CSV_QUOTE:
		if (byte == '"' || c->is_lazy)
			c->place = CSV_QUOTED;
		else
			break_row(c, stray_quote);
		break;
	case CSV_BROKEN:
		break;
	}
}

/* Goes on from s->looked; true with s->looked behind the row's line break, or at the end. */
static bool find_end(struct scanner *s, const char *data, size_t length, bool at_end)
{
	struct scanner_csv *c = &s->csv;

	while (s->looked < length) {
		const char *at = data + s->looked;
		const size_t left = length - s->looked;
		const char *found;
		int is;

		if (c->place == CSV_QUOTED) {
			found = memchr(at, '"', left);
			s->looked = found ? (size_t)(found - data) + 1 : length;
			c->place = found ? CSV_QUOTE : CSV_QUOTED;
			continue;
		}
		if (*at == '\n') {
			s->looked++;
			return true;
		}
		if (*at == '\r' && left == 1 && !at_end)
			return false;
		if (*at == '\r' && (left == 1 || at[1] == '\n')) {
			s->looked++; /* a part of the line break */
			continue;
		}
		is = c->place == CSV_BROKEN ? 0 : is_delimiter(c, at, left, at_end);
		if (is < 0)
			return false;
		if (is > 0) {
			c->fields++;
			c->place = CSV_FIELD_BEGIN;
			s->looked += c->delimiter_length;
			continue;
		}
		step(c, *at);
		s->looked++;
	}
	return at_end && length > 0;
}

/* A row without the line break behind it, unless that is within quotes; a \r at the end of all is none of it. */
static size_t text_length(const struct scanner_csv *c, const char *row, size_t length)
{
	if (length > 0 && row[length - 1] == '\n') {
		if (c->place == CSV_QUOTED)
			return length;
		length--;
	}
	return length > 0 && row[length - 1] == '\r' ? length - 1 : length;
}

/* Adds what stands within quotes; a line break there is \n. */
static void add_quoted(struct text *out, const char *from, size_t length)
{
	const char *end = from + length, *cr;

	for (; (cr = memchr(from, '\r', (size_t)(end - from))); from = cr + 1) {
		text_add(out, from, (size_t)(cr - from));
		if (cr + 1 == end || cr[1] != '\n')
			text_add_char(out, '\r');
	}
	text_add(out, from, (size_t)(end - from));
}

/*
 * Unquotes the value at *at into out and moves *at behind its delimiter; false behind the last one. The row has no
 * flaw, so a quote that ends a value stands before a delimiter or the end.
 */
static bool next_value(const struct scanner_csv *c, const char *row, size_t length, size_t *at, struct text *out)
{
	const char *from = row + *at, *end = row + length, *stop = from;

	out->length = 0;
	if (from < end && *from == '"') {
		for (stop = ++from; stop < end; stop++) {
			stop = memchr(stop, '"', (size_t)(end - stop));
			if (!stop || stop + 1 == end) {
				add_quoted(out, from, (size_t)((stop ? stop : end) - from));
				*at = length + 1;
				return false;
			}
			if (stop[1] == '"') {
				add_quoted(out, from, (size_t)(stop - from));
				from = ++stop;
			} else if (is_delimiter(c, stop + 1, (size_t)(end - stop - 1), true) > 0) {
				add_quoted(out, from, (size_t)(stop - from));
				*at = (size_t)(stop - row) + 1 + c->delimiter_length;
				return true;
			}
		}
		add_quoted(out, from, (size_t)(end - from));
		*at = length + 1;
		return false;
	}
	stop = from < end ? memmem(from, (size_t)(end - from), c->delimiter, c->delimiter_length) : NULL;
	text_add(out, from, (size_t)((stop ? stop : end) - from));
	*at = stop ? (size_t)(stop - row) + c->delimiter_length : length + 1;
	return stop != NULL;
}

static int compare_names(const void *a, const void *b)
{
	const struct csv_name *one = a, *other = b;
	const size_t shorter = one->length < other->length ? one->length : other->length;
	const int order = memcmp(one->name, other->name, shorter);

	if (order != 0 || one->length != other->length)
		return order != 0 ? order : one->length < other->length ? -1 : 1;
	return one->column < other->column ? -1 : 1;
}

static bool is_same_name(const struct csv_name *a, const struct csv_name *b)
{
	return a->length == b->length && memcmp(a->name, b->name, a->length) == 0;
}

/* A text, as it stands in JSON. */
static void quote(struct text *out, const struct text *value)
{
	json_print_string(out, value->data, value->length, false);
}

/* Keeps the names of a header row. */
static void take_header(struct scanner *s, const char *row, size_t length)
{
	struct scanner_csv *c = &s->csv;
	struct text value, list, key;
	size_t at = 0;
	bool more;

	text_init(&value, &s->arena);
	text_init(&list, &s->arena);
	text_init(&key, &s->arena);
	text_add_char(&list, '[');
	do {
		more = next_value(c, row, length, &at, &value);
		key.length = 0;
		quote(&key, &value);
		if (c->name_count > 0)
			text_add_char(&list, ',');
		text_add(&list, key.data, key.length);
		text_add_char(&key, ':');
		c->names = mem_grow(c->names, c->name_count + 1, sizeof *c->names);
		c->names[c->name_count] = (struct csv_name){.name = mem_string_n(value.data, value.length),
		                                            .length = value.length,
		                                            .key = mem_string(text_end(&key)),
		                                            .column = c->name_count};
		c->held += sizeof *c->names + sizeof *c->spans + value.length + key.length;
		c->name_count++;
	} while (more);
	text_add_char(&list, ']');
	c->header = mem_string(text_end(&list));
	c->held += list.length;
	c->spans = mem_array(c->name_count, sizeof *c->spans);
	qsort(c->names, c->name_count, sizeof *c->names, compare_names);
	arena_fini(&s->arena);
}

/* The first row says how many values each has, and with a header their names. */
static enum scanner_event take_first_row(struct scanner *s, const char *row, size_t length)
{
	if (s->csv.flaw || (s->csv.has_header && length > SCANNER_HEADER_MAX_BYTES)) {
		s->flaw = s->csv.flaw ? s->csv.flaw : long_header;
		return SCANNER_BROKEN;
	}
	if (s->csv.has_header && s->csv.fields >= SCANNER_NAMES_MAX) {
		s->flaw = many_names;
		return SCANNER_BROKEN;
	}
	s->csv.width = s->csv.fields + 1;
	if (s->csv.has_header)
		take_header(s, row, length);
	return s->csv.has_header ? SCANNER_SKIPPED : SCANNER_MESSAGE;
}

static enum scanner_event end_row(struct scanner *s, size_t length, const char *row)
{
	const struct scanner_csv *c = &s->csv;

	if (length == 0)
		return SCANNER_SKIPPED;
	if (c->width == 0 && !(c->flaw && !c->has_header && (c->goes_on || c->is_input))) {
		enum scanner_event what = take_first_row(s, row, length);

		if (what != SCANNER_MESSAGE)
			return what;
	}
	s->flaw = c->flaw ? c->flaw : c->fields + 1 != c->width && !c->is_input ? field_count : NULL;
	if (!s->flaw)
		return SCANNER_MESSAGE;
	if (c->is_input)
		return SCANNER_REFUSED;
	return c->goes_on ? SCANNER_FLAWED : SCANNER_BROKEN;
}

enum scanner_event scanner_csv_next(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                    uint64_t *ret_length)
{
	enum scanner_event what;
	size_t n;

	if (!find_end(s, data, length, at_end))
		return scanner_wait(s, data, length, ret_used);
	if (s->csv.place == CSV_QUOTED && !s->csv.is_lazy)
		s->csv.flaw = stray_quote;
	n = text_length(&s->csv, data, s->looked);
	what = scanner_end(s, data, n, s->looked, ret_used, ret_length);
	if (what == SCANNER_MESSAGE) {
		what = end_row(s, n, data);
	} else if (s->csv.width == 0 && s->csv.has_header) {
		s->flaw = long_header;
		what = SCANNER_BROKEN;
	}
	if (what == SCANNER_BROKEN)
		*ret_used = 0;
	else
		scanner_csv_rewind(s);
	s->looked = 0;
	return what;
}

static void print_array(const struct scanner_csv *c, const char *row, size_t length, struct text *value,
                        struct text *out)
{
	size_t at = 0;
	bool more;

	text_add_char(out, '[');
	do {
		if (at > 0)
			text_add_char(out, ',');
		more = next_value(c, row, length, &at, value);
		quote(out, value);
	} while (more);
	text_add_char(out, ']');
}

/* Where the values begin that have names; *ret_more: there are others. */
static uint32_t find_values(const struct scanner_csv *c, const char *row, size_t length, struct text *value,
                            bool *ret_more)
{
	uint32_t found = 0;
	size_t at = 0;

	for (*ret_more = true; found < c->name_count && *ret_more; found++) {
		c->spans[found] = at;
		*ret_more = next_value(c, row, length, &at, value);
	}
	return found;
}

/* Names beyond the values are left out; of equal names the last one counts. */
static void print_object(const struct scanner_csv *c, const char *row, size_t length, uint32_t found,
                         struct text *value, struct text *out)
{
	const char *comma = "";

	text_add_char(out, '{');
	for (uint32_t i = 0; i < c->name_count; i++) {
		const struct csv_name *name = &c->names[i], *next = i + 1 < c->name_count ? name + 1 : NULL;
		size_t at;

		if (name->column >= found || (next && next->column < found && is_same_name(name, next)))
			continue;
		at = c->spans[name->column];
		(void)next_value(c, row, length, &at, value);
		text_add_string(out, comma);
		text_add_string(out, name->key);
		quote(out, value);
		comma = ",";
	}
	text_add_char(out, '}');
}

bool scanner_shape(struct scanner *s, const char *row, size_t length, const char *flaw, struct scanner_shaped *ret)
{
	const struct scanner_csv *c = &s->csv;
	struct text value, body;
	uint32_t found = 0;
	bool more = false;

	must(s->kind == SCANNER_CSV);
	arena_reset(&s->arena);
	text_init(&value, &s->arena);
	text_init(&body, &s->arena);
	if (c->has_header)
		found = find_values(c, row, length, &value, &more);
	ret->is_object = c->has_header && !(c->is_input && more);
	if (flaw && flaw != field_count)
		text_add_string(&body, ret->is_object ? "{}" : "[]");
	else if (ret->is_object)
		print_object(c, row, length, found, &value, &body);
	else
		print_array(c, row, length, &value, &body);
	ret->body = text_end(&body);
	ret->length = body.length;
	ret->header = c->is_input && ret->is_object ? c->header : NULL;
	ret->is_numbered = !c->is_input;
	return !s->arena.exceeded && body.length <= s->max_bytes;
}
