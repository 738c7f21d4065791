#include "doors/text_mark.h"

#include <string.h>

enum { MARKLESS_MIN_BYTES = 8 };

static bool begins_with(const unsigned char *text, size_t length, const char *mark, size_t mark_length)
{
	return length >= mark_length && memcmp(text, mark, mark_length) == 0;
}

/* The characters of ASCII in so many bytes each. */
static bool is_wide(const unsigned char *text, size_t length, size_t width)
{
	bool little = true, big = true;

	for (size_t i = 0; i < length; i++) {
		bool is_nul = text[i] == 0;

		little &= is_nul == (i % width != 0);
		big &= is_nul == (i % width != width - 1);
	}
	return length >= MARKLESS_MIN_BYTES && (little || big);
}

bool text_mark_is_foreign(const void *text, size_t length, bool by_mark_alone)
{
	/* that of little UTF-32 begins as that of UTF-16 */
	if (begins_with(text, length, "\xff\xfe", 2) || begins_with(text, length, "\xfe\xff", 2) ||
	    begins_with(text, length, "\0\0\xfe\xff", 4))
		return true;
	if (length > TEXT_MARK_BYTES)
		length = TEXT_MARK_BYTES;
	return !by_mark_alone && (is_wide(text, length, 2) || is_wide(text, length, 4));
}

size_t text_mark_utf8(const void *text, size_t length) { return begins_with(text, length, "\xef\xbb\xbf", 3) ? 3 : 0; }
