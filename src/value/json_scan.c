#include "value/json_scan.h"

#include <ctype.h>

#include "base/hex.h"
#include "base/utf8.h"

/* A character as Go quotes it between single quotes. */
static const char *quoted_character(struct json_scan *s)
{
	unsigned char c = (unsigned char)*s->at;

	if (c == '\'')
		return "'\\''";
	if (c == '\\')
		return "'\\\\'";
	if (c == '\n' || c == '\r' || c == '\t')
		return c == '\n' ? "'\\n'" : c == '\r' ? "'\\r'" : "'\\t'";
	if (c < 0x20 || c == 0x7F)
		return arena_format(s->arena, "'\\x%02x'", c);
	if (c < 0x80)
		return arena_format(s->arena, "'%c'", c);
	/* The reference looks at single bytes here, and shows them as Latin-1 characters. */
	return c < 0xA0 ? arena_format(s->arena, "'\\u%04x'", c)
	                : arena_format(s->arena, "'%c%c'", 0xC0 | c >> 6, 0x80 | (c & 0x3F));
}

bool scan_fail(struct json_scan *s, const char *context)
{
	if (s->at >= s->end)
		s->error = "unexpected EOF";
	else
		s->error = arena_format(s->arena, "invalid character %s %s", quoted_character(s), context);
	return false;
}

static bool scan_escape(struct json_scan *s)
{
	s->at++;
	if (s->at < s->end && strchr("\"\\/bfnrt", *s->at) && *s->at != '\0') {
		s->at++;
		return true;
	}
	if (s->at == s->end || *s->at != 'u')
		return scan_fail(s, "in string escape code");
	s->at++;
	for (int i = 0; i < 4; i++, s->at++) {
		if (s->at == s->end || !isxdigit((unsigned char)*s->at))
			return scan_fail(s, "in \\u hexadecimal character escape");
	}
	return true;
}

bool scan_string_rest(struct json_scan *s, unsigned *flags)
{
	for (;;) {
		if (s->at == s->end)
			return scan_fail(s, "");
		if (*s->at == '"')
			return true;
		if (*s->at == '\\') {
			*flags |= STRING_ESCAPED;
			if (!scan_escape(s))
				return false;
		} else if ((unsigned char)*s->at >= 0x80) {
			*flags |= STRING_HIGH;
		} else {
			return scan_fail(s, "in string literal");
		}
		/* Once seen, bytes above ASCII need no more stops. */
		s->at = scan_run(s->at, s->end, (*flags & STRING_HIGH) == 0);
	}
}

static inline bool at_digit(const struct json_scan *s) { return s->at < s->end && *s->at >= '0' && *s->at <= '9'; }

bool scan_number(struct json_scan *s)
{
	if (*s->at == '-')
		s->at++;
	if (!at_digit(s))
		return scan_fail(s, "in numeric literal");
	if (*s->at == '0') {
		s->at++;
	} else {
		while (at_digit(s))
			s->at++;
	}
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		if (!at_digit(s))
			return scan_fail(s, "after decimal point in numeric literal");
		while (at_digit(s))
			s->at++;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		if (!at_digit(s))
			return scan_fail(s, "in exponent of numeric literal");
		while (at_digit(s))
			s->at++;
	}
	return true;
}

/* Finds the character that is wrong. */
bool scan_word_slowly(struct json_scan *s, const char *word, size_t length)
{
	for (size_t i = 0; i < length; i++, s->at++) {
		if (s->at == s->end || *s->at != word[i])
			return scan_fail(s, arena_format(s->arena, "in literal %s (expecting '%c')", word, word[i]));
	}
	return true;
}

static uint32_t read_hex(const char *p)
{
	uint32_t u = 0;

	for (int i = 0; i < 4; i++)
		u = u << 4 | (uint32_t)hex_value(p[i]);
	return u;
}

/* p after the backslash; returns the position after the escape. */
static const char *decode_escape(const char *p, const char *end, char *out, size_t *ret_width)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	uint32_t rune;

	if (*p != 'u') {
		*out = to[strchr(from, *p) - from];
		*ret_width = 1;
		return p + 1;
	}
	rune = read_hex(p + 1);
	p += 5;
	if (rune >= 0xD800 && rune < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
		uint32_t low = read_hex(p + 2);

		if (low >= 0xDC00 && low < 0xE000) {
			rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
			p += 6;
		}
	}
	*ret_width = utf8_encode(out, rune);
	return p;
}

const char *scan_decode(struct arena *a, const char *text, size_t length, unsigned flags, size_t *ret_length)
{
	const char *end = text + length;
	char *out;
	size_t n = 0;

	*ret_length = length;
	if (flags == 0 || (flags == STRING_HIGH && utf8_is_valid(text, length)))
		return text;
	out = arena_alloc(a, length * 3 + 1); /* an invalid byte becomes three */
	while (text < end) {
		uint32_t rune;
		size_t width;

		if (*text == '\\') {
			text = decode_escape(text + 1, end, out + n, &width);
			n += width;
		} else {
			text += utf8_decode(text, end, &rune, NULL);
			n += utf8_encode(out + n, rune);
		}
	}
	*ret_length = n;
	return out;
}
