#include "bloblang/formats/html.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

enum { RUNE_MAX = 0x10ffff, LONGEST_BARE_NAME = 6, NAME_MAX_BYTES = 64 };

static const struct {
	const char *name;
	const char *text;
} entities[] = {
#define ENTITY(name, text) {name, text},
#include "bloblang/formats/html_entities.def"
#undef ENTITY
};

/* What the references 0x80..0x9f mean: Windows-1252. */
static const uint16_t windows[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                     0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                     0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                     0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};

void html_escape(struct text *out, const char *s, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		switch (s[i]) {
		case '<':
			text_add_string(out, "&lt;");
			break;
		case '>':
			text_add_string(out, "&gt;");
			break;
		case '&':
			text_add_string(out, "&amp;");
			break;
		case '\'':
			text_add_string(out, "&#39;");
			break;
		case '"':
			text_add_string(out, "&#34;");
			break;
		default:
			text_add_char(out, s[i]);
			break;
		}
	}
}

static const char *find_entity(const char *name, size_t length)
{
	size_t low = 0, high = sizeof entities / sizeof *entities;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strncmp(entities[middle].name, name, length);

		if (order == 0)
			order = entities[middle].name[length] != '\0';
		if (order == 0)
			return entities[middle].text;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* "&#65;", "&#x41": how many bytes it takes; 0: it is none. */
static size_t numeric(struct text *out, const char *s, size_t length)
{
	bool hex = length > 2 && (s[2] == 'x' || s[2] == 'X');
	size_t i = hex ? 3 : 2, first = i;
	uint32_t c = 0;
	char bytes[UTF8_MAX];

	for (; i < length; i++) {
		int digit = isdigit((unsigned char)s[i])           ? s[i] - '0'
		            : hex && isxdigit((unsigned char)s[i]) ? tolower((unsigned char)s[i]) - 'a' + 10
		                                                   : -1;

		if (digit < 0)
			break;
		if (c <= RUNE_MAX)
			c = c * (hex ? 16 : 10) + (uint32_t)digit;
	}
	if (i == first)
		return 0;
	if (i < length && s[i] == ';')
		i++;
	if (c >= 0x80 && c <= 0x9f)
		c = windows[c - 0x80];
	else if (c == 0)
		c = UTF8_REPLACEMENT;
	text_add(out, bytes, utf8_encode(bytes, c));
	return i;
}

/* "&amp;", "&ampx": how many bytes it takes; 0: it is none. */
static size_t named(struct text *out, const char *s, size_t length)
{
	size_t i = 1;
	const char *found;

	while (i < length && isalnum((unsigned char)s[i]))
		i++;
	if (i < length && s[i] == ';')
		i++;
	if (i == 1 || i > NAME_MAX_BYTES)
		return 0;
	found = find_entity(s + 1, i - 1);
	for (size_t n = i - 2 > LONGEST_BARE_NAME ? LONGEST_BARE_NAME : i - 2; !found && n > 1; n--) {
		found = find_entity(s + 1, n);
		if (found)
			i = n + 1;
	}
	if (!found)
		return 0;
	text_add_string(out, found);
	return i;
}

void html_unescape(struct text *out, const char *s, size_t length)
{
	const char *end = s + length;

	while (s < end) {
		const char *mark = memchr(s, '&', (size_t)(end - s));
		size_t used;

		text_add(out, s, (size_t)((mark ? mark : end) - s));
		if (!mark)
			return;
		used = end - mark > 1 && mark[1] == '#' ? numeric(out, mark, (size_t)(end - mark))
		                                        : named(out, mark, (size_t)(end - mark));
		if (used == 0) {
			text_add_char(out, '&');
			used = 1;
		}
		s = mark + used;
	}
}

/* The end of a tag that starts at s (past its '>'), quotes respected; null when it never ends. */
static const char *tag_end(const char *s, const char *end)
{
	char quote = '\0';

	for (; s < end; s++) {
		if (quote)
			quote = *s == quote ? '\0' : quote;
		else if (*s == '"' || *s == '\'')
			quote = *s;
		else if (*s == '>')
			return s + 1;
	}
	return NULL;
}

static bool name_is(const char *name, size_t length, const char *other)
{
	return strlen(other) == length && strncasecmp(name, other, length) == 0;
}

/* Where the content of an element ends that is dropped whole. */
static const char *skip_element(const char *s, const char *end, const char *name, size_t length)
{
	for (; end - s > (ptrdiff_t)length + 2; s++) {
		if (s[0] == '<' && s[1] == '/' && strncasecmp(s + 2, name, length) == 0) {
			const char *after = tag_end(s, end);

			return after ? after : end;
		}
	}
	return end;
}

static const char *strip_tag(struct text *out, const char *s, const char *end, const char *const *keep, size_t count)
{
	bool closing = end - s > 1 && s[1] == '/';
	const char *name = s + 1 + closing, *after;
	size_t length = 0;

	if (end - s >= 4 && memcmp(s, "<!--", 4) == 0) {
		const char *close = memmem(s + 4, (size_t)(end - s - 4), "-->", 3);

		return close ? close + 3 : end;
	}
	after = tag_end(s, end);
	if (!after)
		return end;
	while (name + length < end && isalnum((unsigned char)name[length]))
		length++;
	for (size_t i = 0; i < count; i++) {
		if (name_is(name, length, keep[i])) {
			text_add(out, s, (size_t)(name - s) + length);
			if (after - s > 2 && after[-2] == '/')
				text_add_char(out, '/');
			text_add_char(out, '>');
			return after;
		}
	}
	if (!closing && (name_is(name, length, "script") || name_is(name, length, "style")))
		return skip_element(after, end, name, length);
	return after;
}

/* Text up to what may be a tag: the reference reads its references and writes them again. */
static const char *strip_text(struct text *out, const char *s, const char *end)
{
	const char *tag = memchr(s + 1, '<', (size_t)(end - s - 1)), *stop = tag ? tag : end;
	struct text plain;

	text_init(&plain, out->arena);
	html_unescape(&plain, s, (size_t)(stop - s));
	html_escape(out, plain.data, plain.length);
	return stop;
}

void html_strip(struct text *out, const char *s, size_t length, const char *const *keep, size_t count)
{
	const char *end = s + length;

	while (s < end) {
		if (*s == '<' && end - s > 1 &&
		    (isalpha((unsigned char)s[1]) || s[1] == '/' || s[1] == '!' || s[1] == '?'))
			s = strip_tag(out, s, end, keep, count);
		else
			s = strip_text(out, s, end);
	}
}
