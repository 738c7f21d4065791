#include "bloblang/golang/goquote.h"

#include <stdio.h>
#include <string.h>
#include <unictype.h>

#include "base/hex.h"
#include "base/utf8.h"

enum { RUNE_MAX = 0x10ffff };

static const char escape_letters[] = "abfnrtv", escape_values[] = "\a\b\f\n\r\t\v";

bool go_is_print(uint32_t c)
{
	if (c < 128)
		return c >= ' ' && c < 127;
	return c <= RUNE_MAX &&
	       uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M | UC_CATEGORY_MASK_N |
	                                               UC_CATEGORY_MASK_P | UC_CATEGORY_MASK_S);
}

static void quote_one(struct text *out, uint32_t c, char mark, bool only_ascii)
{
	const char *value = c && c < 128 ? strchr(escape_values, (int)c) : NULL;
	char bytes[UTF8_MAX];

	if (c == (unsigned char)mark || c == '\\') {
		text_add_char(out, '\\');
		text_add_char(out, (char)c);
	} else if (go_is_print(c) && (c < 128 || !only_ascii)) {
		text_add(out, bytes, utf8_encode(bytes, c));
	} else if (value) {
		text_add_char(out, '\\');
		text_add_char(out, escape_letters[value - escape_values]);
	} else if (c < ' ' || c == 127) {
		text_addf(out, "\\x%02x", c);
	} else if (c < 0x10000) {
		text_addf(out, "\\u%04x", c);
	} else {
		text_addf(out, "\\U%08x", c);
	}
}

void go_quote(struct text *out, const char *s, size_t length, bool only_ascii)
{
	const char *end = s + length;

	text_add_char(out, '"');
	while (s < end) {
		uint32_t c;
		bool valid;
		size_t width = utf8_decode(s, end, &c, &valid);

		if (valid)
			quote_one(out, c, '"', only_ascii);
		else
			text_addf(out, "\\x%02x", (unsigned char)*s);
		s += width;
	}
	text_add_char(out, '"');
}

void go_quote_rune(struct text *out, uint32_t c, bool only_ascii)
{
	if (c > RUNE_MAX || (c >= 0xd800 && c <= 0xdfff))
		c = UTF8_REPLACEMENT;
	text_add_char(out, '\'');
	quote_one(out, c, '\'', only_ascii);
	text_add_char(out, '\'');
}

/* count digits of a base at *p. */
static bool take_digits(const char **p, const char *end, int count, int base, uint32_t *ret)
{
	uint32_t value = 0;

	if (end - *p < count)
		return false;
	for (int i = 0; i < count; i++, (*p)++) {
		int digit = hex_value(**p);

		if (digit < 0 || digit >= base)
			return false;
		value = value * (uint32_t)base + (uint32_t)digit;
	}
	*ret = value;
	return true;
}

/* After a backslash. *ret_byte: the value is a byte and not a code point. */
static bool take_escape(const char **p, const char *end, char mark, uint32_t *ret, bool *ret_byte)
{
	const char *letter;
	char c;

	if (*p == end)
		return false;
	c = *(*p)++;
	*ret_byte = false;
	letter = c ? strchr(escape_letters, c) : NULL;
	if (letter) {
		*ret = (unsigned char)escape_values[letter - escape_letters];
		return true;
	}
	if (c == '\\' || (c == mark && c != '`')) {
		*ret = (unsigned char)c;
		return true;
	}
	if (c == 'x') {
		*ret_byte = true;
		return take_digits(p, end, 2, 16, ret);
	}
	if (c >= '0' && c <= '7') {
		*ret_byte = true;
		(*p)--;
		return take_digits(p, end, 3, 8, ret) && *ret <= 255;
	}
	if (c != 'u' && c != 'U')
		return false;
	return take_digits(p, end, c == 'u' ? 4 : 8, 16, ret) && *ret <= RUNE_MAX &&
	       !(*ret >= 0xd800 && *ret <= 0xdfff);
}

static bool unquote_raw(struct text *out, const char *s, const char *end)
{
	for (; s < end; s++) {
		if (*s == '`')
			return false;
		if (*s != '\r')
			text_add_char(out, *s);
	}
	return true;
}

bool go_unquote(struct text *out, const char *s, size_t length)
{
	const char *end;
	char mark;
	size_t runes = 0;

	if (length < 2)
		return false;
	mark = s[0];
	end = s + length - 1;
	if ((mark != '"' && mark != '\'' && mark != '`') || *end != mark)
		return false;
	s++;
	if (mark == '`')
		return unquote_raw(out, s, end);
	for (; s < end; runes++) {
		uint32_t c;
		bool byte = false;
		char bytes[UTF8_MAX];
		size_t width;

		if (*s == mark || *s == '\n')
			return false;
		if (*s != '\\') {
			width = utf8_decode(s, end, &c, NULL);
			if (mark == '\'')
				text_add(out, bytes, utf8_encode(bytes, c));
			else
				text_add(out, s, width);
			s += width;
			continue;
		}
		s++;
		if (!take_escape(&s, end, mark, &c, &byte))
			return false;
		if (byte && c >= 128)
			text_add_char(out, (char)c);
		else
			text_add(out, bytes, utf8_encode(bytes, c));
	}
	return mark != '\'' || runes == 1 || length == 2; /* '' is let through there too */
}
