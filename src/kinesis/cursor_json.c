/*
 * cursor_json: the steps of a cursor over JSON.
 *
 * Invariants:
 * 1. at <= end, always; a byte is looked at only where at < end.
 * 2. Scratch never outgrows the text it came from: an escape is longer than what it stands for.
 * 3. A scope that was started has had an entry: the next one needs a comma before it.
 * 4. The stack of a skip holds one closer for each container that is open, CURSOR_DEPTH at most.
 */
#include "kinesis/cursor_internal.h"

#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"

void cursor_json_space(struct cursor *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool next_is(struct cursor *r, char c)
{
	cursor_json_space(r);
	return r->at < r->end && *r->at == (unsigned char)c;
}

static bool expect(struct cursor *r, char c)
{
	if (!next_is(r, c))
		return cursor_wrong(r,
		                    r->at == r->end ? "the JSON text is cut off" : "a character JSON does not allow");
	r->at++;
	return true;
}

bool cursor_json_open(struct cursor *r, struct cursor_scope *scope, char opener, char closer)
{
	if (!next_is(r, opener))
		return cursor_wrong(r, r->at == r->end ? "the JSON text is cut off"
		                                       : "not the JSON value that belongs here");
	r->at++;
	scope->closer = closer;
	return true;
}

bool cursor_json_more(struct cursor *r, struct cursor_scope *scope)
{
	if (next_is(r, scope->closer)) {
		r->at++;
		return false;
	}
	if (scope->started && !expect(r, ','))
		return false;
	scope->started = true;
	return r->at < r->end || cursor_wrong(r, "the JSON text is cut off");
}

static bool read_hex(struct cursor *r, unsigned *ret)
{
	unsigned value = 0;

	if (r->end - r->at < 4)
		return cursor_wrong(r, "the JSON text is cut off");
	for (int i = 0; i < 4; i++) {
		int digit = hex_value((char)*r->at++);

		if (digit < 0)
			return cursor_wrong(r, "a JSON escape that is none");
		value = value << 4 | (unsigned)digit;
	}
	*ret = value;
	return true;
}

static bool read_unicode(struct cursor *r)
{
	unsigned high, low;
	char out[UTF8_MAX];

	if (!read_hex(r, &high))
		return false;
	if (high >= 0xdc00 && high <= 0xdfff)
		return cursor_wrong(r, "a lone surrogate in JSON");
	if (high >= 0xd800 && high <= 0xdbff) {
		if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
			return cursor_wrong(r, "a lone surrogate in JSON");
		r->at += 2;
		if (!read_hex(r, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return cursor_wrong(r, "a lone surrogate in JSON");
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	(void)buf_add(&r->scratch, out,
	              utf8_encode(out, high)); /* an escape is longer than what it stands for: it fits */
	return true;
}

static bool read_escape(struct cursor *r)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (r->at == r->end)
		return cursor_wrong(r, "the JSON text is cut off");
	if (*r->at == 'u') {
		r->at++;
		return read_unicode(r);
	}
	found = *r->at ? strchr(names, *r->at) : NULL;
	if (!found)
		return cursor_wrong(r, "a JSON escape that is none");
	r->at++;
	(void)buf_add_char(&r->scratch, values[found - names]);
	return true;
}

/* Steps over plain characters; stops at a quote or a backslash. */
static bool pass_plain(struct cursor *r, const unsigned char **ret_from)
{

	*ret_from = r->at;
	while (r->at < r->end && *r->at != '"' && *r->at != '\\') {
		if (*r->at < 0x20)
			return cursor_wrong(r, "a control character in a JSON string");
		r->at++;
	}
	if (r->at == r->end)
		return cursor_wrong(r, "the JSON text is cut off");
	return utf8_is_valid((const char *)*ret_from, (size_t)(r->at - *ret_from)) ||
	       cursor_wrong(r, "JSON that is not UTF-8");
}

static bool read_string(struct cursor *r, struct cursor_text *ret)
{
	const unsigned char *from;

	r->at++; /* the quote */
	if (!pass_plain(r, &from))
		return false;
	if (*r->at == '"') {
		ret->data = (const char *)from;
		ret->length = (size_t)(r->at++ - from);
		return true;
	}
	buf_clear(&r->scratch);
	for (;;) {
		(void)buf_add(&r->scratch, from, (size_t)(r->at - from));
		if (*r->at++ == '"')
			break;
		if (!read_escape(r) || !pass_plain(r, &from))
			return false;
	}
	ret->data = r->scratch.data;
	ret->length = r->scratch.len;
	return true;
}

static bool read_word(struct cursor *r, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
		return cursor_wrong(r, "a word JSON does not know");
	r->at += length;
	return true;
}

bool cursor_json_text(struct cursor *r, struct cursor_text *ret, bool is_key)
{
	if (!is_key && next_is(r, 'n')) {
		ret->data = NULL;
		ret->length = 0;
		return read_word(r, "null");
	}
	if (!next_is(r, '"'))
		return cursor_wrong(r, r->at == r->end ? "the JSON text is cut off"
		                                       : "not a JSON string where one belongs");
	return read_string(r, ret) && (!is_key || expect(r, ':'));
}

static size_t pass_digits(struct cursor *r)
{
	const unsigned char *from = r->at;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return (size_t)(r->at - from);
}

static bool skip_number(struct cursor *r)
{
	if (*r->at == '-')
		r->at++;
	if (r->at < r->end && *r->at == '0')
		r->at++;
	else if (pass_digits(r) == 0)
		return cursor_wrong(r, "a JSON number that is none");
	if (r->at < r->end && *r->at == '.') {
		r->at++;
		if (pass_digits(r) == 0)
			return cursor_wrong(r, "a JSON number that is none");
	}
	if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
		r->at++;
		if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
			r->at++;
		if (pass_digits(r) == 0)
			return cursor_wrong(r, "a JSON number that is none");
	}
	return true;
}

static bool skip_scalar(struct cursor *r)
{
	struct cursor_text ignored;

	switch (*r->at) {
	case '"':
		return read_string(r, &ignored);
	case 't':
		return read_word(r, "true");
	case 'f':
		return read_word(r, "false");
	case 'n':
		return read_word(r, "null");
	default:
		if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9'))
			return skip_number(r);
		return cursor_wrong(r, "a character JSON does not allow");
	}
}

bool cursor_json_skip(struct cursor *r)
{
	struct cursor_scope open[CURSOR_DEPTH];
	struct cursor_text ignored;
	size_t depth = 0;

	for (;;) {
		cursor_json_space(r);
		if (r->at == r->end)
			return cursor_wrong(r, "the JSON text is cut off");
		if (*r->at == '{' || *r->at == '[') {
			if (depth == CURSOR_DEPTH)
				return cursor_wrong(r, "JSON nested too deep");
			memset(&open[depth], 0, sizeof open[depth]);
			open[depth++].closer = *r->at++ == '{' ? '}' : ']';
		} else if (!skip_scalar(r)) {
			return false;
		}
		while (depth > 0 && !cursor_json_more(r, &open[depth - 1])) {
			if (r->wrong)
				return false;
			depth--;
		}
		if (depth == 0)
			return true;
		if (open[depth - 1].closer == '}' && !cursor_json_text(r, &ignored, true))
			return false;
	}
}
