#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"
#include "kinesis/reader.h"

void json_space(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool next_is(struct reader *r, char c)
{
	json_space(r);
	return r->at < r->end && *r->at == (unsigned char)c;
}

static bool expect(struct reader *r, char c)
{
	if (!next_is(r, c))
		return reader_wrong(r,
		                    r->at == r->end ? "the JSON text is cut off" : "a character JSON does not allow");
	r->at++;
	return true;
}

bool json_open(struct reader *r, struct reader_scope *scope, char opener, char closer)
{
	if (!next_is(r, opener))
		return reader_wrong(r, r->at == r->end ? "the JSON text is cut off"
		                                       : "not the JSON value that belongs here");
	r->at++;
	scope->closer = closer;
	return true;
}

bool json_more(struct reader *r, struct reader_scope *scope)
{
	if (next_is(r, scope->closer)) {
		r->at++;
		return false;
	}
	if (scope->started && !expect(r, ','))
		return false;
	scope->started = true;
	return r->at < r->end || reader_wrong(r, "the JSON text is cut off");
}

static bool read_hex(struct reader *r, unsigned *ret)
{
	unsigned value = 0;

	if (r->end - r->at < 4)
		return reader_wrong(r, "the JSON text is cut off");
	for (int i = 0; i < 4; i++) {
		int digit = hex_value((char)*r->at++);

		if (digit < 0)
			return reader_wrong(r, "a JSON escape that is none");
		value = value << 4 | (unsigned)digit;
	}
	*ret = value;
	return true;
}

static void add_utf8(struct buf *b, unsigned c)
{
	char out[UTF8_MAX];

	(void)buf_add(b, out, utf8_encode(out, c)); /* an escape is longer than what it stands for: it fits */
}

static bool read_unicode(struct reader *r)
{
	unsigned high, low;

	if (!read_hex(r, &high))
		return false;
	if (high >= 0xdc00 && high <= 0xdfff)
		return reader_wrong(r, "a lone surrogate in JSON");
	if (high >= 0xd800 && high <= 0xdbff) {
		if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
			return reader_wrong(r, "a lone surrogate in JSON");
		r->at += 2;
		if (!read_hex(r, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return reader_wrong(r, "a lone surrogate in JSON");
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	add_utf8(&r->scratch, high);
	return true;
}

static bool read_escape(struct reader *r)
{
	static const char NAMES[] = "\"\\/bfnrt", VALUES[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (r->at == r->end)
		return reader_wrong(r, "the JSON text is cut off");
	if (*r->at == 'u') {
		r->at++;
		return read_unicode(r);
	}
	found = *r->at ? strchr(NAMES, *r->at) : NULL;
	if (!found)
		return reader_wrong(r, "a JSON escape that is none");
	r->at++;
	(void)buf_add_char(&r->scratch, VALUES[found - NAMES]);
	return true;
}

/* Steps over plain characters; stops at a quote or a backslash. */
static bool pass_plain(struct reader *r, const unsigned char **ret_from)
{

	*ret_from = r->at;
	while (r->at < r->end && *r->at != '"' && *r->at != '\\') {
		if (*r->at < 0x20)
			return reader_wrong(r, "a control character in a JSON string");
		r->at++;
	}
	if (r->at == r->end)
		return reader_wrong(r, "the JSON text is cut off");
	return utf8_is_valid((const char *)*ret_from, (size_t)(r->at - *ret_from)) ||
	       reader_wrong(r, "JSON that is not UTF-8");
}

static bool read_string(struct reader *r, struct reader_text *ret)
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

static bool read_word(struct reader *r, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
		return reader_wrong(r, "a word JSON does not know");
	r->at += length;
	return true;
}

bool json_text(struct reader *r, struct reader_text *ret, bool is_key)
{
	if (!is_key && next_is(r, 'n')) {
		ret->data = NULL;
		ret->length = 0;
		return read_word(r, "null");
	}
	if (!next_is(r, '"'))
		return reader_wrong(r, r->at == r->end ? "the JSON text is cut off"
		                                       : "not a JSON string where one belongs");
	return read_string(r, ret) && (!is_key || expect(r, ':'));
}

static size_t pass_digits(struct reader *r)
{
	const unsigned char *from = r->at;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return (size_t)(r->at - from);
}

static bool skip_number(struct reader *r)
{
	if (*r->at == '-')
		r->at++;
	if (r->at < r->end && *r->at == '0')
		r->at++;
	else if (pass_digits(r) == 0)
		return reader_wrong(r, "a JSON number that is none");
	if (r->at < r->end && *r->at == '.') {
		r->at++;
		if (pass_digits(r) == 0)
			return reader_wrong(r, "a JSON number that is none");
	}
	if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
		r->at++;
		if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
			r->at++;
		if (pass_digits(r) == 0)
			return reader_wrong(r, "a JSON number that is none");
	}
	return true;
}

static bool skip_scalar(struct reader *r)
{
	struct reader_text ignored;

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
		return reader_wrong(r, "a character JSON does not allow");
	}
}

bool json_skip(struct reader *r)
{
	struct reader_scope open[READER_DEPTH];
	struct reader_text ignored;
	size_t depth = 0;

	for (;;) {
		json_space(r);
		if (r->at == r->end)
			return reader_wrong(r, "the JSON text is cut off");
		if (*r->at == '{' || *r->at == '[') {
			if (depth == READER_DEPTH)
				return reader_wrong(r, "JSON nested too deep");
			memset(&open[depth], 0, sizeof open[depth]);
			open[depth++].closer = *r->at++ == '{' ? '}' : ']';
		} else if (!skip_scalar(r)) {
			return false;
		}
		while (depth > 0 && !json_more(r, &open[depth - 1])) {
			if (r->wrong)
				return false;
			depth--;
		}
		if (depth == 0)
			return true;
		if (open[depth - 1].closer == '}' && !json_text(r, &ignored, true))
			return false;
	}
}
