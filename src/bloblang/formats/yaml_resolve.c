/* What a plain scalar means under the core schema, as yaml.v3 reads it. */
#include <math.h>
#include <string.h>

#include "value/number.h"
#include "bloblang/golang/gotime.h"
#include "bloblang/formats/yaml.h"

struct word {
	const char *text;
	char meaning; /* 'n' null, 't' true, 'f' false, '+' and '-' infinities, '?' not a number */
};

static const struct word words[] = {
    {"", 'n'},      {"~", 'n'},     {"null", 'n'},  {"Null", 'n'},  {"NULL", 'n'},  {"true", 't'},
    {"True", 't'},  {"TRUE", 't'},  {"false", 'f'}, {"False", 'f'}, {"FALSE", 'f'}, {".inf", '+'},
    {".Inf", '+'},  {".INF", '+'},  {"+.inf", '+'}, {"+.Inf", '+'}, {"+.INF", '+'}, {"-.inf", '-'},
    {"-.Inf", '-'}, {"-.INF", '-'}, {".nan", '?'},  {".NaN", '?'},  {".NAN", '?'},
};

static bool resolve_word(const char *s, size_t length, struct value *ret)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strlen(words[i].text) != length || memcmp(words[i].text, s, length) != 0)
			continue;
		switch (words[i].meaning) {
		case 'n':
			*ret = value_null();
			return true;
		case 't':
		case 'f':
			*ret = value_bool(words[i].meaning == 't');
			return true;
		case '?':
			*ret = value_float((double)NAN);
			return true;
		default:
			*ret = value_float(words[i].meaning == '+' ? (double)INFINITY : -(double)INFINITY);
			return true;
		}
	}
	return false;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *p, const char *end)
{
	size_t before = 0, after = 0;

	p += p < end && (*p == '-' || *p == '+');
	for (; p < end && *p >= '0' && *p <= '9'; p++)
		before++;
	if (p < end && *p == '.')
		for (p++; p < end && *p >= '0' && *p <= '9'; p++)
			after++;
	if (before + after == 0)
		return false;
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '-' || *p == '+');
		if (p == end)
			return false;
		while (p < end && *p >= '0' && *p <= '9')
			p++;
	}
	return p == end;
}

static bool resolve_number(struct arena *a, const char *s, size_t length, struct value *ret)
{
	char *plain = arena_alloc(a, length + 1);
	size_t n = 0;
	int64_t i;
	uint64_t u;
	double d;

	for (size_t k = 0; k < length; k++)
		if (s[k] != '_')
			plain[n++] = s[k];
	if (number_parse_int_any(plain, n, &i)) {
		*ret = value_int(i);
		return true;
	}
	if (number_parse_uint_any(plain, n, &u)) {
		*ret = value_uint(u);
		return true;
	}
	if (is_float(plain, plain + n) && number_parse_float(plain, n, &d)) {
		*ret = value_float(d);
		return true;
	}
	return false;
}

static bool resolve_time(struct arena *a, const char *s, size_t length, struct value *ret)
{
	static const char *const layouts[] = {"2006-1-2T15:4:5.999999999Z07:00", "2006-1-2t15:4:5.999999999Z07:00",
	                                      "2006-1-2 15:4:5.999999999", "2006-1-2"};
	struct value_time t;
	const char *error;

	if (length < 8 || strspn(s, "0123456789") < 4 || s[4] != '-')
		return false;
	for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
		if (gotime_parse(a, layouts[i], strlen(layouts[i]), s, length, &t, &error)) {
			*ret = value_timestamp(a, &t);
			return true;
		}
	}
	return false;
}

struct value yaml_resolve(struct arena *a, const char *s, size_t length)
{
	struct value v;

	if (resolve_word(s, length, &v))
		return v;
	if (length > 0 && length < 128 && (strchr("+-.0123456789", *s) && *s)) {
		const char *text = arena_copy(a, s, length); /* ends with a NUL */

		if (resolve_time(a, text, length, &v) || resolve_number(a, text, length, &v))
			return v;
	}
	return value_string(s, length);
}
