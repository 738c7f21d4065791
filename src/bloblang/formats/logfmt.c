#include "bloblang/formats/logfmt.h"

#include <string.h>

#include "value/json.h"
#include "bloblang/golang/goquote.h"

static bool is_key_char(char c) { return (unsigned char)c > ' ' && c != '=' && c != '"'; }

/* A quoted value: JSON's escapes; false when it does not end or an escape is wrong. */
static bool logfmt_quoted(struct arena *a, const char **p, const char *end, struct value *ret)
{
	const char *start = *p, *error;
	size_t stop;

	for (++*p; *p < end && **p != '"'; ++*p)
		if (**p == '\\' && *p + 1 < end)
			++*p;
	if (*p >= end)
		return false;
	++*p;
	if (json_parse_first(a, start, (size_t)(*p - start), ret, &stop, &error) && ret->kind == VALUE_STRING)
		return true;
	*ret = value_string(start + 1, (size_t)(*p - start) - 2);
	return true;
}

bool logfmt_parse(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error)
{
	const char *p = s, *end = s + length;

	*ret = value_object(a, 8);
	while (p < end && !arena_is_spent(a)) {
		const char *key;
		size_t n;
		struct value v = value_bool(true);

		while (p < end && !is_key_char(*p))
			p++;
		key = p;
		while (p < end && is_key_char(*p))
			p++;
		n = (size_t)(p - key);
		if (n == 0)
			break;
		if (p < end && *p == '=') {
			p++;
			if (p < end && *p == '"') {
				if (!logfmt_quoted(a, &p, end, &v)) {
					struct text t;

					text_init(&t, a);
					text_add_string(&t, "logfmt: unterminated quoted value for key ");
					go_quote(&t, key, n, false);
					*ret_error = text_end(&t);
					return false;
				}
			} else {
				const char *start = p;

				while (p < end && (unsigned char)*p > ' ')
					p++;
				v = value_string(start, (size_t)(p - start));
			}
		}
		value_object_append(a, *ret, key, n, v);
	}
	value_object_sort(a, *ret);
	return true;
}
