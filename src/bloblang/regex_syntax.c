/*
 * RE2's grammar (https://github.com/google/re2/wiki/Syntax, as Go's regexp/syntax reads it with its Perl flags),
 * rewritten for PCRE2 in one pass. Errors are reported in the order and the words of Go's parser.
 */
#include "bloblang/regex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"
#include "value/utf8.h"

enum {
	REPEAT_MAX = 1000, /* RE2's bound on a count and on the product of nested counts */
	DEPTH_MAX = 250,
	PATTERN_MAX = 1 << 20,
	RUNE_MAX = 0x10ffff,
};

enum { FOLD = 1, MULTILINE = 2, DOT_NEWLINE = 4, LAZY = 8 };

/* One open parenthesis (level 0: the whole pattern). */
struct level {
	size_t start;   /* where its text begins in the output */
	unsigned flags; /* flags to restore at its end */
	bool fold;      /* PCRE2's case state to restore */
	int worst;      /* largest product of repeat counts of what it holds */
};

struct parser {
	const char *p;
	const char *end;
	const char *whole;
	char *fault;
	struct regex_syntax *out;
	unsigned flags;
	bool fold;          /* the case state PCRE2 is in at the end of the output */
	size_t atom;        /* where the last atom starts in the output, SIZE_MAX: none to repeat */
	int atom_worst;     /* its product of repeat counts */
	bool atom_repeated; /* the atom already carries a repeat operator */
	const char *last_repeat;
	int depth;
	struct level levels[DEPTH_MAX + 1];
};

static bool is_alnum(uint32_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool fail(struct parser *s, const char *what, const char *from, const char *to)
{
	(void)snprintf(s->fault, REGEX_FAULT_MAX, "error parsing regexp: %s: `%.*s`", what,
	               (int)(to - from > 200 ? 200 : to - from), from);
	return false;
}

static void emit(struct parser *s, const char *text) { (void)buf_add_text(&s->out->pattern, text); }

static void emit_rune(struct parser *s, uint32_t c)
{
	char text[16];

	if (is_alnum(c))
		(void)snprintf(text, sizeof text, "%c", (int)c);
	else
		(void)snprintf(text, sizeof text, "\\x{%x}", c);
	emit(s, text);
}

static void begin_atom(struct parser *s)
{
	bool fold = s->flags & FOLD;

	if (fold != s->fold)
		emit(s, fold ? "(?i)" : "(?-i)");
	s->fold = fold;
	s->atom = s->out->pattern.len;
	s->atom_worst = 1;
	s->atom_repeated = false;
}

static void end_atom(struct parser *s)
{
	struct level *l = &s->levels[s->depth];

	if (s->atom_worst > l->worst)
		l->worst = s->atom_worst;
}

static void add_atom(struct parser *s, const char *text)
{
	begin_atom(s);
	emit(s, text);
	end_atom(s);
}

static bool next_rune(struct parser *s, const char **p, uint32_t *ret)
{
	bool valid;
	size_t n = utf8_decode(*p, s->end, ret, &valid);

	if (!valid)
		return fail(s, "invalid UTF-8", *p, s->end);
	*p += n;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* After "\x": two digits, or any number in braces. */
static bool take_hex(struct parser *s, const char **p, uint32_t *ret)
{
	uint32_t value = 0;
	const char *q = *p;

	if (q < s->end && *q == '{') {
		const char *digits = ++q;

		for (; q < s->end && hex_digit(*q) >= 0; q++) {
			value = value * 16 + (uint32_t)hex_digit(*q);
			if (value > RUNE_MAX)
				return false;
		}
		if (q == digits || q == s->end || *q != '}')
			return false;
		q++;
	} else {
		if (s->end - q < 2 || hex_digit(q[0]) < 0 || hex_digit(q[1]) < 0)
			return false;
		value = (uint32_t)(hex_digit(q[0]) * 16 + hex_digit(q[1]));
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
static bool take_escape(struct parser *s, const char **p, uint32_t *ret)
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
	if (!next_rune(s, &q, &c))
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
	return fail(s, "invalid escape sequence", start, *p > q ? *p : q);
}

/* \pL, \p{Greek}, \P{^Lu}: *p is at the backslash. Appends PCRE2's spelling to name. */
static bool take_property(struct parser *s, const char **p, char name[64])
{
	const char *start = *p, *q = start + 2, *from;
	bool negative = start[1] == 'P';
	uint32_t c;
	size_t n;
	int code;
	PCRE2_SIZE offset;
	pcre2_code *trial;

	if (q == s->end || !next_rune(s, &q, &c))
		return q == s->end ? fail(s, "invalid character class range", start, s->end) : false;
	from = start + 2;
	if (c == '{') {
		const char *close = memchr(q, '}', (size_t)(s->end - q));

		if (!close)
			return fail(s, "invalid character class range", start, s->end);
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
		return fail(s, "invalid character class range", start, *p);
	if (s->flags & FOLD && n == 2 && from[0] == 'L' && (from[1] == 'u' || from[1] == 'l' || from[1] == 't'))
		(void)snprintf(name, 64, "\\%c{L&}", negative ? 'P' : 'p'); /* RE2 folds the class */
	else
		(void)snprintf(name, 64, "\\%c{%s%.*s}", negative ? 'P' : 'p',
		               n <= 2 || strncmp(from, "Any", n) == 0 ? "" : "sc:", (int)n, from);
	trial = pcre2_compile((PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &offset, NULL);
	if (!trial)
		return fail(s, "invalid character class range", start, *p);
	pcre2_code_free(trial);
	return true;
}

/* The Perl classes, as ASCII, spelt for the inside of a PCRE2 class. \s has no vertical tab in RE2. */
static const char *perl_class(const struct parser *s, const char *p)
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
	return fail(s, "invalid character class range", *p, close + 2);
}

static bool take_class_rune(struct parser *s, const char **p, const char *whole, uint32_t *ret)
{
	if (*p == s->end)
		return fail(s, "missing closing ]", whole, s->end);
	return **p == '\\' ? take_escape(s, p, ret) : next_rune(s, p, ret);
}

static bool take_class_range(struct parser *s, const char **p, const char *whole)
{
	const char *start = *p;
	uint32_t low, high;

	if (!take_class_rune(s, p, whole, &low))
		return false;
	high = low;
	if (s->end - *p >= 2 && (*p)[0] == '-' && (*p)[1] != ']') {
		++*p;
		if (!take_class_rune(s, p, whole, &high))
			return false;
		if (high < low)
			return fail(s, "invalid character class range", start, *p);
	}
	emit_rune(s, low);
	if (high != low) {
		emit(s, "-");
		emit_rune(s, high);
	}
	return true;
}

static bool parse_class(struct parser *s)
{
	const char *whole = s->p, *p = s->p + 1;
	bool first = true;

	begin_atom(s);
	emit(s, "[");
	if (p < s->end && *p == '^') {
		emit(s, "^");
		p++;
	}
	for (; p == s->end || *p != ']' || first; first = false) {
		const char *before = p, *perl = perl_class(s, p);
		char name[64];

		if (s->end - p > 2 && p[0] == '[' && p[1] == ':') {
			if (!take_posix(s, &p))
				return false;
			if (p != before)
				continue;
		}
		if (s->end - p >= 2 && p[0] == '\\' && (p[1] == 'p' || p[1] == 'P')) {
			if (!take_property(s, &p, name))
				return false;
			emit(s, name);
		} else if (perl) {
			emit(s, perl);
			p += 2;
		} else if (!take_class_range(s, &p, whole)) {
			return false;
		}
	}
	emit(s, "]");
	end_atom(s);
	s->p = p + 1;
	return true;
}

/* "{2}", "{2,}", "{2,5}": false when the brace is a literal. -1 stands for "no upper bound"; -2 for an absurd number. */
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
		return fail(s, "invalid nested repetition operator", s->last_repeat, after);
	if (s->atom == SIZE_MAX)
		return fail(s, "missing argument to repetition operator", before, after);
	if (counted && product >= 1) {
		if (s->atom_worst > REPEAT_MAX / product && product >= 2)
			return fail(s, "invalid repeat count", before, after);
		s->atom_worst *= product;
	}
	if (s->atom_repeated) {
		insert(s, s->atom, "(?:");
		emit(s, ")");
	}
	if (counted && max < 0)
		(void)snprintf(text, sizeof text, "{%d,}", min);
	else if (counted)
		(void)snprintf(text, sizeof text, "{%d,%d}", min, max);
	else
		(void)snprintf(text, sizeof text, "%c", *before);
	emit(s, text);
	if (lazy)
		emit(s, "?");
	s->atom_repeated = true;
	end_atom(s);
	s->last_repeat = before;
	s->p = after;
	return true;
}

static bool open_group(struct parser *s, const char *text, unsigned flags)
{
	struct level *l;

	if (s->depth == DEPTH_MAX)
		return fail(s, "expression nests too deeply", s->whole, s->end);
	l = &s->levels[++s->depth];
	l->start = s->out->pattern.len;
	l->flags = flags;
	l->fold = s->fold;
	l->worst = 1;
	emit(s, text);
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
		return fail(s, "invalid named capture", s->p, s->end);
	for (const char *c = name; c < close; c++)
		if (*c != '_' && !is_alnum((unsigned char)*c))
			return fail(s, "invalid named capture", s->p, close + 1);
	if (close == name)
		return fail(s, "invalid named capture", s->p, close + 1);
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

		if (!next_rune(s, &p, &c))
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
	return fail(s, "invalid or unsupported Perl syntax", start, p);
}

static bool close_group(struct parser *s)
{
	struct level *l = &s->levels[s->depth];

	if (s->depth == 0)
		return fail(s, "unexpected )", s->whole, s->end);
	emit(s, ")");
	s->flags = l->flags;
	s->fold = l->fold;
	s->depth--;
	s->atom = l->start;
	s->atom_worst = l->worst;
	s->atom_repeated = false;
	s->p++;
	end_atom(s);
	return true;
}

static void quote(struct parser *s, uint32_t c)
{
	begin_atom(s);
	emit_rune(s, c);
	end_atom(s);
}

/* \Q...\E */
static bool parse_quoted(struct parser *s)
{
	const char *p = s->p + 2;
	const char *close = memmem(p, (size_t)(s->end - p), "\\E", 2);
	const char *end = close ? close : s->end;

	while (p < end) {
		uint32_t c;

		if (!next_rune(s, &p, &c))
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
	const char *perl = perl_class(s, s->p);
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
		return fail(s, "invalid escape sequence", s->p, s->p + 2);
	if (next == 'Q')
		return parse_quoted(s);
	if (next == 'p' || next == 'P') {
		char name[64];

		if (!take_property(s, &s->p, name))
			return false;
		add_atom(s, name);
		return true;
	}
	if (perl) {
		begin_atom(s);
		emit(s, "[");
		emit(s, perl);
		emit(s, "]");
		end_atom(s);
		s->p += 2;
		return true;
	}
	if (!take_escape(s, &s->p, &c))
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
		return fail(s, "invalid repeat count", s->p, after);
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
		emit(s, "|");
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
		return parse_class(s);
	case '*':
	case '+':
	case '?':
		return repeat(s, s->p + 1, 0, -1, false);
	case '{':
		return parse_brace(s);
	case '\\':
		return parse_backslash(s);
	default:
		if (!next_rune(s, &s->p, &c))
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
		ok = fail(s, "missing closing )", pattern, s->end);
	if (ok && out->pattern.overflow)
		ok = fail(s, "expression too large", pattern, s->end);
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
