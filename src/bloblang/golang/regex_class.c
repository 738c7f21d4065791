/* Character classes: [...], \d and its kin, Unicode properties. */
#include "bloblang/golang/regex_internal.h"

#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* \pL, \p{Greek}, \P{^Lu}: *p is at the backslash. Appends PCRE2's spelling to name. */
bool regex_take_property(struct parser *s, const char **p, char name[64])
{
	const char *start = *p, *q = start + 2, *from;
	bool negative = start[1] == 'P';
	uint32_t c;
	size_t n;
	int code;
	PCRE2_SIZE offset;
	pcre2_code *trial;

	if (q == s->end || !regex_next_rune(s, &q, &c))
		return q == s->end ? regex_fail(s, "invalid character class range", start, s->end) : false;
	from = start + 2;
	if (c == '{') {
		const char *close = memchr(q, '}', (size_t)(s->end - q));

		if (!close)
			return regex_fail(s, "invalid character class range", start, s->end);
		from = q;
		n = (size_t)(close - q);
		*p = close + 1;
	} else {
		n = (size_t)(q - from);
		*p = q;
	}
	if (n > 0 && *from == '^') {
		negative = !negative;
		from++;
		n--;
	}
	if (n == 0 || n > 40 || memchr(from, ':', n) || memchr(from, '=', n) || memchr(from, '&', n))
		return regex_fail(s, "invalid character class range", start, *p);
	if (s->flags & FOLD && n == 2 && from[0] == 'L' && (from[1] == 'u' || from[1] == 'l' || from[1] == 't'))
		(void)snprintf(name, 64, "\\%c{L&}", negative ? 'P' : 'p'); /* RE2 folds the class */
	else
		(void)snprintf(name, 64, "\\%c{%s%.*s}", negative ? 'P' : 'p',
		               n <= 2 || strncmp(from, "Any", n) == 0 ? "" : "sc:", (int)n, from);
	trial = pcre2_compile((PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &offset, NULL);
	if (!trial)
		return regex_fail(s, "invalid character class range", start, *p);
	pcre2_code_free(trial);
	return true;
}

/* The Perl classes, as ASCII, spelt for the inside of a PCRE2 class. \s has no vertical tab in RE2. */
const char *regex_perl_class(const struct parser *s, const char *p)
{
	if (s->end - p < 2 || *p != '\\')
		return NULL;
	switch (p[1]) {
	case 'd':
		return "0-9";
	case 'D':
		return "\\D";
	case 's':
		return "\\x{9}\\x{a}\\x{c}\\x{d}\\x{20}";
	case 'S':
		return "\\S\\x{b}";
	case 'w':
		return "0-9A-Za-z_";
	case 'W':
		return "\\W";
	default:
		return NULL;
	}
}

/* [:alpha:] inside a class. Sets *p past it when it is one; an unknown name is an error. */
static bool take_posix(struct parser *s, const char **p)
{
	static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph",
	                                    "lower", "print", "punct", "space", "upper", "word",  "xdigit"};
	const char *close = memmem(*p + 2, (size_t)(s->end - *p - 2), ":]", 2);
	const char *name = *p + 2;
	size_t n;

	if (!close)
		return true;
	name += *name == '^';
	n = (size_t)(close - name);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) {
			(void)buf_add(&s->out->pattern, *p, (size_t)(close + 2 - *p));
			*p = close + 2;
			return true;
		}
	}
	return regex_fail(s, "invalid character class range", *p, close + 2);
}

static bool take_class_rune(struct parser *s, const char **p, const char *whole, uint32_t *ret)
{
	if (*p == s->end)
		return regex_fail(s, "missing closing ]", whole, s->end);
	return **p == '\\' ? regex_take_escape(s, p, ret) : regex_next_rune(s, p, ret);
}

static bool take_class_range(struct parser *s, const char **p, const char *whole)
{
	const char *start = *p;
	uint32_t low = 0, high;

	if (!take_class_rune(s, p, whole, &low))
		return false;
	high = low;
	if (s->end - *p >= 2 && (*p)[0] == '-' && (*p)[1] != ']') {
		++*p;
		if (!take_class_rune(s, p, whole, &high))
			return false;
		if (high < low)
			return regex_fail(s, "invalid character class range", start, *p);
	}
	regex_emit_rune(s, low);
	if (high != low) {
		regex_emit(s, "-");
		regex_emit_rune(s, high);
	}
	return true;
}

bool regex_parse_class(struct parser *s)
{
	const char *whole = s->p, *p = s->p + 1;
	bool first = true;

	regex_begin_atom(s);
	regex_emit(s, "[");
	if (p < s->end && *p == '^') {
		regex_emit(s, "^");
		p++;
	}
	for (; p == s->end || *p != ']' || first; first = false) {
		const char *before = p, *perl = regex_perl_class(s, p);
		char name[64];

		if (s->end - p > 2 && p[0] == '[' && p[1] == ':') {
			if (!take_posix(s, &p))
				return false;
			if (p != before)
				continue;
		}
		if (s->end - p >= 2 && p[0] == '\\' && (p[1] == 'p' || p[1] == 'P')) {
			if (!regex_take_property(s, &p, name))
				return false;
			regex_emit(s, name);
		} else if (perl) {
			regex_emit(s, perl);
			p += 2;
		} else if (!take_class_range(s, &p, whole)) {
			return false;
		}
	}
	regex_emit(s, "]");
	regex_end_atom(s);
	s->p = p + 1;
	return true;
}
