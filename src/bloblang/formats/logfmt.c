#include "bloblang/formats/logfmt.h"

#include <string.h>

#include "bloblang/golang/goquote.h"

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* The character that an escape stands for; 0 when it stands for itself, backslash included. */
static char unescaped(char c)
{
	static const char from[] = "\"\\/nrtbf", to[] = "\"\\/\n\r\t\b\f";
	const char *at = c ? strchr(from, c) : NULL;

	return at ? to[at - from] : '\0';
}

/* A quoted value, from behind its quote; false when it does not end. */
static bool take_quoted(struct arena *a, const char **p, const char *end, struct value *ret)
{
	struct text t;

	text_init(&t, a);
	for (; *p < end && **p != '"'; ++*p) {
		char c = '\0';

		if (**p == '\\' && end - *p > 1) {
			c = unescaped(*++*p);
			if (!c)
				text_add_char(&t, '\\');
		}
		text_add_char(&t, c ? c : **p);
	}
	*ret = value_from_text(&t, VALUE_STRING);
	if (*p >= end)
		return false;
	++*p;
	return true;
}

static const char *take_word(const char *p, const char *end, bool is_key)
{
	while (p < end && !is_blank(*p) && !(is_key && *p == '='))
		p++;
	return p;
}

bool logfmt_parse(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error)
{
	const char *p = s, *end = s + length;

	*ret = value_object(a, 8);
	while (p < end && !arena_is_spent(a)) {
		struct value v = value_bool(true);
		const char *key = p;
		size_t n;

		p = take_word(p, end, true);
		n = (size_t)(p - key);
		if (n == 0) { /* a blank, or a value without a key */
			p++;
			continue;
		}
		if (p < end && *p == '=') {
			const char *start = ++p;

			if (p < end && *p == '"') {
				p++;
				if (!take_quoted(a, &p, end, &v)) {
					struct text t;

					text_init(&t, a);
					text_add_string(&t, "logfmt: unterminated quoted value for key ");
					go_quote(&t, key, n, false);
					*ret_error = text_end(&t);
					return false;
				}
			} else {
				p = take_word(p, end, false);
				v = value_string(start, (size_t)(p - start));
			}
		}
		value_object_append(a, *ret, key, n, v);
	}
	value_object_sort(a, *ret);
	return true;
}
