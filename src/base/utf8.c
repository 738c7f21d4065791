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

struct case_range {
	uint32_t first;
	uint32_t last;
	uint32_t step;
	int32_t difference;
};

static const struct case_range upper_ranges[] = {
#define UPPER(first, last, step, difference) {first, last, step, difference},
#include "base/case.def"
#undef UPPER
};

static const struct case_range lower_ranges[] = {
#define LOWER(first, last, step, difference) {first, last, step, difference},
#include "base/case.def"
#undef LOWER
};

static uint32_t map_case(const struct case_range *ranges, size_t count, uint32_t rune)
{
	size_t low = 0;
	size_t high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct case_range *r = &ranges[middle];

		if (rune < r->first) {
			high = middle;
		} else if (rune > r->last) {
			low = middle + 1;
		} else {
			/* Ranges of step 2 may interleave; the neighbour has the other half. */
			if ((rune - r->first) % r->step == 0)
				return (uint32_t)((int32_t)rune + r->difference);
			if (middle + 1 < count && rune >= ranges[middle + 1].first)
				low = middle + 1;
			else
				high = middle;
		}
	}
	return rune;
}

uint32_t utf8_upper(uint32_t rune)
{
	if (rune < 0x80)
		return rune >= 'a' && rune <= 'z' ? rune - 32 : rune;
	return map_case(upper_ranges, sizeof upper_ranges / sizeof *upper_ranges, rune);
}

uint32_t utf8_lower(uint32_t rune)
{
	if (rune < 0x80)
		return rune >= 'A' && rune <= 'Z' ? rune + 32 : rune;
	return map_case(lower_ranges, sizeof lower_ranges / sizeof *lower_ranges, rune);
}

uint32_t utf8_title(uint32_t rune)
{
	static const uint32_t special[][2] = {
#define TITLE(rune, mapped) {rune, mapped},
#include "base/case.def"
#undef TITLE
	};

	for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
		if (special[i][0] == rune)
			return special[i][1];
	}
	return utf8_upper(rune);
}

bool utf8_is_space(uint32_t rune)
{
	return (rune >= 0x09 && rune <= 0x0D) || rune == ' ' || rune == 0x85 || rune == 0xA0 || rune == 0x1680 ||
	       (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 || rune == 0x2029 || rune == 0x202F ||
	       rune == 0x205F || rune == 0x3000;
}
