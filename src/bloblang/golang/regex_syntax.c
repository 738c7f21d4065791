/*
 * RE2's grammar (https://github.com/google/re2/wiki/Syntax, as Go's regexp/syntax reads it with its Perl flags),
 * rewritten for PCRE2 in one pass. Errors are reported in the order and the words of Go's parser.
 */
#include "bloblang/golang/regex_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"

static bool is_alnum(uint32_t c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

bool regex_fail(struct parser *s, const char *what, const char *from, const char *to)
{
	(void)snprintf(s->fault, REGEX_FAULT_MAX, "error parsing regexp: %s: `%.*s`", what,
	               (int)(to - from > 200 ? 200 : to - from), from);
	return false;
}

void regex_emit(struct parser *s, const char *text) { (void)buf_add_text(&s->out->pattern, text); }

void regex_emit_rune(struct parser *s, uint32_t c)
{
	char text[16];

	if (is_alnum(c))
		(void)snprintf(text, sizeof text, "%c", (int)c);
	else
		(void)snprintf(text, sizeof text, "\\x{%x}", c);
	regex_emit(s, text);
}

void regex_begin_atom(struct parser *s)
{
	bool fold = s->flags & FOLD;

	if (fold != s->fold)
		regex_emit(s, fold ? "(?i)" : "(?-i)");
	s->fold = fold;
	s->atom = s->out->pattern.len;
	s->atom_worst = 1;
	s->atom_repeated = false;
}

void regex_end_atom(struct parser *s)
{
	struct level *l = &s->levels[s->depth];

	if (s->atom_worst > l->worst)
		l->worst = s->atom_worst;
}

static void add_atom(struct parser *s, const char *text)
{
	regex_begin_atom(s);
	regex_emit(s, text);
	regex_end_atom(s);
}

bool regex_next_rune(struct parser *s, const char **p, uint32_t *ret)
{
	bool valid;
	size_t n = utf8_decode(*p, s->end, ret, &valid);

	if (!valid)
		return regex_fail(s, "invalid UTF-8", *p, s->end);
	*p += n;
	return true;
}

/* After "\x": two digits, or any number in braces. */
static bool take_hex(struct parser *s, const char **p, uint32_t *ret)
{
	uint32_t value = 0;
	const char *q = *p;

	if (q < s->end && *q == '{') {
		const char *digits = ++q;

		for (; q < s->end && hex_value(*q) >= 0; q++) {
			value = value * 16 + (uint32_t)hex_value(*q);
			if (value > RUNE_MAX)
				return false;
		}
		if (q == digits || q == s->end || *q != '}')
			return false;
		q++;
	} else {
		if (s->end - q < 2 || hex_value(q[0]) < 0 || hex_value(q[1]) < 0)
			return false;
		value = (uint32_t)(hex_value(q[0]) * 16 + hex_value(q[1]));
		q += 2;
	}
	*p = q;
	*ret = value;
	return true;
}

static bool take_octal(struct parser *s, const char **p, uint32_t first, uint32_t *ret)
{
	uint32_t value = first;

	if (first != 0 && (*p == s->end || **p < '0' || **p > '7'))
		return false; /* a back-reference */
	for (int i = 1; i < 3 && *p < s->end && **p >= '0' && **p <= '7'; i++, (*p)++)
		value = value * 8 + (uint32_t)(**p - '0');
	*ret = value;
	return true;
}

/* A backslash escape that stands for one rune. *p is at the backslash. */
bool regex_take_escape(struct parser *s, const char **p, uint32_t *ret)
{
	static const char letters[] = "afnrtv", values[] = "\a\f\n\r\t\v";
	const char *start = *p, *q = start + 1;
	const char *letter;
	uint32_t c;

	if (q == s->end) {
		(void)snprintf(s->fault, REGEX_FAULT_MAX,
		               "error parsing regexp: trailing backslash at end of expression: ``");
		return false;
	}
	if (!regex_next_rune(s, &q, &c))
		return false;
	*p = q;
	if (c >= '0' && c <= '7' && take_octal(s, p, c - '0', ret))
		return true;
	if (c == 'x' && take_hex(s, p, ret))
		return true;
	letter = c < 128 && c ? strchr(letters, (int)c) : NULL;
	if (letter) {
		*ret = (unsigned char)values[letter - letters];
		return true;
	}
	if (c < 128 && !is_alnum(c)) {
		*ret = c;
		return true;
	}
	return regex_fail(s, "invalid escape sequence", start, *p > q ? *p : q);
}

/* "{2}", "{2,}", "{2,5}": false when the brace is a literal. -1 stands for "no upper bound"; -2 for an absurd number.
 */
static bool take_count(const struct parser *s, const char **p, int *ret_min, int *ret_max)
{
	const char *q = *p + 1;
	int *number = ret_min;

	*ret_min = *ret_max = -1;
	for (;;) {
		int value = 0;
		const char *digits = q;

		if (q == s->end || *q < '0' || *q > '9')
			return false;
		if (*q == '0' && q + 1 < s->end && q[1] >= '0' && q[1] <= '9')
			return false; /* leading zeros are not a count */
		for (; q < s->end && *q >= '0' && *q <= '9'; q++)
			value = q - digits > 7 ? 100000000 : value * 10 + (*q - '0');
		*number = value;
		if (q == s->end)
			return false;
		if (*q == '}')
			break;
		if (*q++ != ',' || number == ret_max)
			return false;
		if (q < s->end && *q == '}') {
			*p = q + 1;
			return true;
		}
		number = ret_max;
	}
	if (number == ret_min)
		*ret_max = *ret_min;
	*p = q + 1;
	return true;
}

static void insert(struct parser *s, size_t at, const char *text)
{
	struct buf *b = &s->out->pattern;
	size_t n = strlen(text);

	if (buf_add(b, text, n) != ERR_OK)
		return;
	memmove(b->data + at + n, b->data + at, b->len - n - at);
	memcpy(b->data + at, text, n);
}

/* A repeat operator from s->p to after; min and max as in {min,max}. */
static bool repeat(struct parser *s, const char *after, int min, int max, bool counted)
{
	const char *before = s->p;
	bool lazy = s->flags & LAZY;
	char text[32];
	int product = max < 0 ? min : max;

	if (after < s->end && *after == '?') {
		lazy = !lazy;
		after++;
	}
	if (s->last_repeat)
		return regex_fail(s, "invalid nested repetition operator", s->last_repeat, after);
	if (s->atom == SIZE_MAX)
		return regex_fail(s, "missing argument to repetition operator", before, after);
	if (counted && product >= 1) {
		if (s->atom_worst > REPEAT_MAX / product && product >= 2)
			return regex_fail(s, "invalid repeat count", before, after);
		s->atom_worst *= product;
	}
	if (s->atom_repeated) {
		insert(s, s->atom, "(?:");
		regex_emit(s, ")");
	}
	if (counted && max < 0)
		(void)snprintf(text, sizeof text, "{%d,}", min);
	else if (counted)
		(void)snprintf(text, sizeof text, "{%d,%d}", min, max);
	else
		(void)snprintf(text, sizeof text, "%c", *before);
	regex_emit(s, text);
	if (lazy)
		regex_emit(s, "?");
	s->atom_repeated = true;
	regex_end_atom(s);
	s->last_repeat = before;
	s->p = after;
	return true;
}

static bool open_group(struct parser *s, const char *text, unsigned flags)
{
	struct level *l;

	if (s->depth == DEPTH_MAX)
		return regex_fail(s, "expression nests too deeply", s->whole, s->end);
	l = &s->levels[++s->depth];
	l->start = s->out->pattern.len;
	l->flags = flags;
	l->fold = s->fold;
	l->worst = 1;
	regex_emit(s, text);
	s->atom = SIZE_MAX;
	return true;
}

static bool open_capture(struct parser *s, const char *name, size_t length)
{
	struct regex_syntax *o = s->out;

	o->groups++;
	o->names = mem_grow(o->names, o->groups + 1, sizeof *o->names);
	o->names[o->groups] = name ? mem_string_n(name, length) : NULL;
	return open_group(s, "(", s->flags);
}

static bool named_capture(struct parser *s, const char *name)
{
	const char *close = memchr(s->p, '>', (size_t)(s->end - s->p));

	if (!close)
		return regex_fail(s, "invalid named capture", s->p, s->end);
	for (const char *c = name; c < close; c++)
		if (*c != '_' && !is_alnum((unsigned char)*c))
			return regex_fail(s, "invalid named capture", s->p, close + 1);
	if (close == name)
		return regex_fail(s, "invalid named capture", s->p, close + 1);
	s->p = close + 1;
	return open_capture(s, name, (size_t)(close - name));
}

static unsigned flag_bit(char c)
{
	switch (c) {
	case 'i':
		return FOLD;
	case 'm':
		return MULTILINE;
	case 's':
		return DOT_NEWLINE;
	case 'U':
		return LAZY;
	default:
		return 0;
	}
}

/* "(?": a named group, a group with flags, or flags for the rest of this group. */
static bool parse_extension(struct parser *s)
{
	const char *start = s->p, *p = start + 2;
	unsigned flags = s->flags, outer = s->flags;
	bool clear = false, seen = false;

	if (s->end - start > 4 && p[0] == 'P' && p[1] == '<')
		return named_capture(s, start + 4);
	if (s->end - start > 3 && p[0] == '<')
		return named_capture(s, start + 3);
	while (p < s->end) {
		uint32_t c;

		if (!regex_next_rune(s, &p, &c))
			return false;
		if (c < 128 && flag_bit((char)c)) {
			flags = clear ? flags & ~flag_bit((char)c) : flags | flag_bit((char)c);
			seen = true;
		} else if (c == '-' && !clear) {
			clear = true;
			seen = false;
		} else if ((c == ':' || c == ')') && (!clear || seen)) {
			s->flags = flags;
			s->p = p;
			return c == ')' || open_group(s, "(?:", outer);
		} else {
			break;
		}
	}
	return regex_fail(s, "invalid or unsupported Perl syntax", start, p);
}

static bool close_group(struct parser *s)
{
	struct level *l = &s->levels[s->depth];

	if (s->depth == 0)
		return regex_fail(s, "unexpected )", s->whole, s->end);
	regex_emit(s, ")");
	s->flags = l->flags;
	s->fold = l->fold;
	s->depth--;
	s->atom = l->start;
	s->atom_worst = l->worst;
	s->atom_repeated = false;
	s->p++;
	regex_end_atom(s);
	return true;
}

static void quote(struct parser *s, uint32_t c)
{
	regex_begin_atom(s);
	regex_emit_rune(s, c);
	regex_end_atom(s);
}

/* \Q...\E */
static bool parse_quoted(struct parser *s)
{
	const char *p = s->p + 2;
	const char *close = memmem(p, (size_t)(s->end - p), "\\E", 2);
	const char *end = close ? close : s->end;

	while (p < end) {
		uint32_t c;

		if (!regex_next_rune(s, &p, &c))
			return false;
		quote(s, c);
	}
	s->p = close ? close + 2 : s->end;
	return true;
}

static bool parse_backslash(struct parser *s)
{
	static const struct {
		char letter;
		const char *text;
	} anchors[] = {{'A', "(?:\\A)"}, {'b', "(?:\\b)"}, {'B', "(?:\\B)"}, {'z', "(?:\\z)"}};
	const char *perl = regex_perl_class(s, s->p);
	char next = s->p + 1 < s->end ? s->p[1] : '\0';
	uint32_t c;

	for (size_t i = 0; i < sizeof anchors / sizeof *anchors; i++) {
		if (next == anchors[i].letter) {
			add_atom(s, anchors[i].text);
			s->p += 2;
			return true;
		}
	}
	if (next == 'C')
		return regex_fail(s, "invalid escape sequence", s->p, s->p + 2);
	if (next == 'Q')
		return parse_quoted(s);
	if (next == 'p' || next == 'P') {
		char name[64];

		if (!regex_take_property(s, &s->p, name))
			return false;
		add_atom(s, name);
		return true;
	}
	if (perl) {
		regex_begin_atom(s);
		regex_emit(s, "[");
		regex_emit(s, perl);
		regex_emit(s, "]");
		regex_end_atom(s);
		s->p += 2;
		return true;
	}
	if (!regex_take_escape(s, &s->p, &c))
		return false;
	quote(s, c);
	return true;
}

static bool parse_brace(struct parser *s)
{
	const char *after = s->p;
	int min, max;

	if (!take_count(s, &after, &min, &max)) {
		quote(s, '{');
		s->p++;
		return true;
	}
	if (min > REPEAT_MAX || max > REPEAT_MAX || (max >= 0 && min > max))
		return regex_fail(s, "invalid repeat count", s->p, after);
	return repeat(s, after, min, max, true);
}

static bool parse_one(struct parser *s)
{
	uint32_t c;

	switch (*s->p) {
	case '(':
		if (s->end - s->p >= 2 && s->p[1] == '?')
			return parse_extension(s);
		s->p++;
		return open_capture(s, NULL, 0);
	case ')':
		return close_group(s);
	case '|':
		regex_emit(s, "|");
		s->atom = SIZE_MAX;
		break;
	case '^':
		add_atom(s, s->flags & MULTILINE ? "(?m:^)" : "(?:\\A)");
		break;
	case '$':
		add_atom(s, s->flags & MULTILINE ? "(?m:$)" : "(?:\\z)");
		break;
	case '.':
		add_atom(s, s->flags & DOT_NEWLINE ? "(?s:.)" : "\\N");
		break;
	case '[':
		return regex_parse_class(s);
	case '*':
	case '+':
	case '?':
		return repeat(s, s->p + 1, 0, -1, false);
	case '{':
		return parse_brace(s);
	case '\\':
		return parse_backslash(s);
	default:
		if (!regex_next_rune(s, &s->p, &c))
			return false;
		quote(s, c);
		return true;
	}
	s->p++;
	return true;
}

bool regex_syntax_parse(struct regex_syntax *out, const char *pattern, size_t length, char fault[REGEX_FAULT_MAX])
{
	struct parser *s = mem_zero(sizeof *s);
	bool ok = true;

	memset(out, 0, sizeof *out);
	buf_init(&out->pattern, PATTERN_MAX);
	(void)buf_reserve(&out->pattern, 1, NULL);
	out->names = mem_zero(sizeof *out->names);
	s->p = s->whole = pattern;
	s->end = pattern + length;
	s->fault = fault;
	s->out = out;
	s->atom = SIZE_MAX;
	s->levels[0].worst = 1;
	while (ok && s->p < s->end) {
		const char *before = s->last_repeat;

		ok = parse_one(s);
		if (s->last_repeat == before)
			s->last_repeat = NULL;
	}
	if (ok && s->depth > 0)
		ok = regex_fail(s, "missing closing )", pattern, s->end);
	if (ok && out->pattern.overflow)
		ok = regex_fail(s, "expression too large", pattern, s->end);
	free(s);
	return ok;
}

void regex_syntax_fini(struct regex_syntax *s)
{
	buf_fini(&s->pattern);
	for (uint32_t i = 0; s->names && i <= s->groups; i++)
		free(s->names[i]);
	free(s->names);
	memset(s, 0, sizeof *s);
}
