#include "base/utf8.h"

#include <stddef.h>
#include <string.h>

size_t utf8_decode(const char *s, const char *end, uint32_t *ret_rune, bool *ret_valid)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t room = (size_t)(end - s);
	uint32_t rune = p[0];
	size_t width = rune < 0x80 ? 1 : rune < 0xC2 ? 0 : rune < 0xE0 ? 2 : rune < 0xF0 ? 3 : rune < 0xF5 ? 4 : 0;
	bool valid = width != 0 && width <= room;

	if (valid && width > 1) {
		rune &= 0x7Fu >> width;
		for (size_t i = 1; i < width && valid; i++) {
			valid = (p[i] & 0xC0) == 0x80;
			rune = rune << 6 | (p[i] & 0x3Fu);
		}
		valid = valid && !(width == 3 && (rune < 0x800 || (rune >= 0xD800 && rune < 0xE000))) &&
		        !(width == 4 && (rune < 0x10000 || rune > 0x10FFFF));
	}
	if (ret_valid)
		*ret_valid = valid;
	*ret_rune = valid ? rune : UTF8_REPLACEMENT;
	return valid ? width : 1;
}

size_t utf8_encode(char *out, uint32_t rune)
{
	if (rune > 0x10FFFF || (rune >= 0xD800 && rune < 0xE000))
		rune = UTF8_REPLACEMENT;
	if (rune < 0x80) {
		out[0] = (char)rune;
		return 1;
	}
	if (rune < 0x800) {
		out[0] = (char)(0xC0 | rune >> 6);
		out[1] = (char)(0x80 | (rune & 0x3F));
		return 2;
	}
	if (rune < 0x10000) {
		out[0] = (char)(0xE0 | rune >> 12);
		out[1] = (char)(0x80 | (rune >> 6 & 0x3F));
		out[2] = (char)(0x80 | (rune & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | rune >> 18);
	out[1] = (char)(0x80 | (rune >> 12 & 0x3F));
	out[2] = (char)(0x80 | (rune >> 6 & 0x3F));
	out[3] = (char)(0x80 | (rune & 0x3F));
	return 4;
}

/* Bytes of plain ASCII from s on, eight at a look. */
static size_t ascii_run(const char *s, const char *end)
{
	const char *p = s;
	uint64_t eight;

	while (end - p >= (ptrdiff_t)sizeof eight) {
		memcpy(&eight, p, sizeof eight);
		if (eight & UINT64_C(0x8080808080808080))
			break;
		p += sizeof eight;
	}
	while (p < end && (unsigned char)*p < 0x80)
		p++;
	return (size_t)(p - s);
}

bool utf8_is_valid(const char *s, size_t length)
{
	const char *end = s + length;
	bool valid = true;
	uint32_t rune;

	for (s += ascii_run(s, end); s < end && valid; s += ascii_run(s, end))
		s += utf8_decode(s, end, &rune, &valid);
	return valid;
}

size_t utf8_count(const char *s, size_t length)
{
	const char *end = s + length;
	size_t count = 0;
	uint32_t rune;

	while (s < end) {
		size_t plain = ascii_run(s, end);

		count += plain;
		s += plain;
		if (s < end) {
			s += utf8_decode(s, end, &rune, NULL);
			count++;
		}
	}
	return count;
}

bool utf8_is_space(uint32_t rune)
{
	return (rune >= 0x09 && rune <= 0x0D) || rune == ' ' || rune == 0x85 || rune == 0xA0 || rune == 0x1680 ||
	       (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 || rune == 0x2029 || rune == 0x202F ||
	       rune == 0x205F || rune == 0x3000;
}

/* What turns the direction of text, or stands in it unseen: format characters (Cf), separators, fillers. */
static const struct {
	uint32_t first, last;
} unseen[] = {{0xAD, 0xAD},     {0x61C, 0x61C},     {0x115F, 0x1160},   {0x180E, 0x180E},   {0x200B, 0x200F},
              {0x2028, 0x202E}, {0x2060, 0x206F},   {0x3164, 0x3164},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},
              {0xFFF9, 0xFFFB}, {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}};

bool utf8_is_shown(uint32_t rune)
{
	if (rune < 0xA0)
		return rune >= 0x20 && rune < 0x7F;
	for (size_t i = 0; i < sizeof unseen / sizeof *unseen && rune >= unseen[i].first; i++)
		if (rune <= unseen[i].last)
			return false;
	return (rune & 0xFFFE) != 0xFFFE; /* no character, in any plane */
}
