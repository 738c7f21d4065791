/*
 * What Go's regexp says otherwise than RE2, and what RE2 leaves to its caller: walks, templates, bad UTF-8.
 *
 * Invariants:
 * 1. What RE2 sees is valid UTF-8, pattern and subject: a subject with bad bytes is searched as a repaired copy.
 * 2. Spans that leave this file are offsets in the caller's subject, never in the repaired copy.
 * 3. A walk's position never goes back, and it stands between two characters of what RE2 sees.
 * 4. Every step of a walk moves the position or ends the walk, so a walk of n bytes takes at most n + 1 searches.
 */
#include "bloblang/golang/regex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unictype.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "bloblang/golang/re2_internal.h"

enum { PATTERN_MAX = 1 << 20 };

/* All searches of one walk together. One search is linear, but ".*b|a" over a's makes one search a byte. */
#define WALK_NS_MAX (2 * NS_PER_S)

struct regex {
	struct re2_pattern *compiled;
	uint32_t groups;
};

struct regex_walk {
	const struct regex *re;
	const char *subject; /* as RE2 sees it: valid UTF-8 */
	size_t length;
	char *repaired; /* owned copy with U+FFFD for bad bytes; null when the subject was valid */
	size_t *bad;    /* offsets in `subject` of the replacements, ascending */
	size_t bad_count;
	size_t *bounds; /* pairs, as re2_search fills them */
	struct regex_span *spans;
	size_t position;
	size_t previous_end; /* SIZE_MAX: no match so far */
	int64_t started_ns;
	bool done;
};

static void set_fault(char fault[REGEX_FAULT_MAX], const char *what, const char *fragment, size_t length)
{
	(void)snprintf(fault, REGEX_FAULT_MAX, "error parsing regexp: %s: `%.*s`", what,
	               (int)(length > 200 ? 200 : length), fragment);
}

static size_t valid_prefix(const char *p, const char *end)
{
	const char *q = p;
	bool valid = true;

	while (q < end && valid) {
		uint32_t c;
		size_t n = utf8_decode(q, end, &c, &valid);

		q += valid ? n : 0;
	}
	return (size_t)(q - p);
}

/* Where the class that opens at p ends, behind its "]"; end when it is never closed. */
static const char *class_end(const char *p, const char *end)
{
	const char *q = p + 1;

	q += q < end && *q == '^';
	q += q < end && *q == ']';
	while (q < end && *q != ']') {
		const char *named =
		    end - q > 2 && q[0] == '[' && q[1] == ':' ? memmem(q + 2, (size_t)(end - q - 2), ":]", 2) : NULL;

		if (named)
			q = named + 2;
		else
			q += *q == '\\' && end - q > 1 ? 2 : 1;
	}
	return q < end ? q + 1 : end;
}

/* The end of what is the same for Go and RE2 at p: a class, \Q...\E, an escape, one byte. */
static const char *piece_end(const char *p, const char *end)
{
	const char *close;

	if (*p == '[')
		return class_end(p, end);
	if (*p != '\\' || end - p < 2)
		return p + 1;
	if (p[1] != 'Q')
		return p + 2;
	close = memmem(p + 2, (size_t)(end - p - 2), "\\E", 2);
	return close ? close + 2 : end;
}

/* A Go pattern as this RE2 reads it: (?<name> is spelt (?P<name>; \C, which Go refuses, is spelt \c, which RE2 refuses.
 */
static size_t translate(const char *p, const char *end, char *out)
{
	char *start = out;

	while (p < end) {
		const char *next = piece_end(p, end);

		if (end - p > 3 && memcmp(p, "(?<", 3) == 0) {
			memcpy(out, "(?P<", 4);
			out += 4;
			next = p + 3;
		} else {
			memcpy(out, p, (size_t)(next - p));
			out += next - p;
			if (next - p == 2 && p[0] == '\\' && p[1] == 'C')
				out[-1] = 'c';
		}
		p = next;
	}
	return (size_t)(out - start);
}

/* RE2 names what is wrong; a fragment that is not in the pattern is one that was translated. */
static void explain(const struct re2_fault *f, const char *pattern, size_t length, char fault[REGEX_FAULT_MAX])
{
	size_t n = strlen(f->fragment);
	bool translated = !memmem(pattern, length, f->fragment, n);

	if (f->about_whole)
		set_fault(fault, f->what, pattern, length);
	else if (translated && strcmp(f->fragment, "\\c") == 0)
		set_fault(fault, f->what, "\\C", 2);
	else if (translated && strncmp(f->fragment, "(?P<", 4) == 0)
		(void)snprintf(fault, REGEX_FAULT_MAX, "error parsing regexp: %s: `(?%s`", f->what, f->fragment + 3);
	else
		set_fault(fault, f->what, f->fragment, n);
}

/* Go has names of ASCII only. */
static bool check_names(const struct regex *re, const char *pattern, size_t length, char fault[REGEX_FAULT_MAX])
{
	for (uint32_t i = 1; i <= re->groups; i++) {
		const char *name = regex_group_name(re, i);
		size_t n = strlen(name);
		char text[REGEX_FAULT_MAX];

		if (utf8_count(name, n) == n)
			continue;
		(void)snprintf(text, sizeof text, "(?P<%.200s>", name);
		if (!memmem(pattern, length, text, strlen(text)))
			(void)snprintf(text, sizeof text, "(?<%.200s>", name);
		set_fault(fault, "invalid named capture", text, strlen(text));
		return false;
	}
	return true;
}

struct regex *regex_compile(const char *pattern, size_t length, char fault[REGEX_FAULT_MAX])
{
	size_t valid, n;
	struct re2_fault why;
	struct regex *re;
	char *translated;

	if (length > PATTERN_MAX) {
		set_fault(fault, "expression too large", pattern, length);
		return NULL;
	}
	valid = valid_prefix(pattern, pattern + length);
	if (valid < length) {
		set_fault(fault, "invalid UTF-8", pattern + valid, length - valid);
		return NULL;
	}
	translated = mem_alloc(length * 4 / 3 + 1);
	n = translate(pattern, pattern + length, translated);
	re = mem_zero(sizeof *re);
	re->compiled = re2_open(translated, n, &why);
	free(translated);
	if (!re->compiled) {
		explain(&why, pattern, length, fault);
		free(re);
		return NULL;
	}
	re->groups = re2_groups(re->compiled);
	if (!check_names(re, pattern, length, fault)) {
		regex_free(re);
		return NULL;
	}
	return re;
}

void regex_free(struct regex *re)
{
	if (!re)
		return;
	re2_close(re->compiled);
	free(re);
}

uint32_t regex_groups(const struct regex *re) { return re->groups; }

const char *regex_group_name(const struct regex *re, uint32_t group) { return re2_group_name(re->compiled, group); }

/* Where RE2 finds the next match. It looks at bytes, so that its \B holds inside of a character, where Go never looks:
 * such a match is empty, and is passed over. */
static bool search(const struct regex *re, const char *subject, size_t length, size_t from, size_t *ret_bounds,
                   uint32_t count)
{
	while (re2_search(re->compiled, subject, length, from, ret_bounds, count)) {
		from = ret_bounds[0];
		if (from == length || ((unsigned char)subject[from] & 0xc0) != 0x80)
			return true;
		from++;
	}
	return false;
}

/* Go reads a bad byte as U+FFFD: give RE2 a copy that says so, and remember where. */
static void repair(struct regex_walk *w)
{
	char *copy = mem_alloc(w->length * 3 + 1);
	size_t n = 0;

	w->bad = mem_array(w->length, sizeof *w->bad);
	for (size_t i = 0; i < w->length;) {
		uint32_t c;
		bool valid;
		size_t width = utf8_decode(w->subject + i, w->subject + w->length, &c, &valid);

		if (!valid)
			w->bad[w->bad_count++] = n;
		n += utf8_encode(copy + n, c);
		i += width;
	}
	w->repaired = copy;
	w->subject = copy;
	w->length = n;
}

/* An offset in the repaired copy as an offset in the caller's subject. */
static size_t original(const struct regex_walk *w, size_t offset)
{
	size_t low = 0, high = w->bad_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (w->bad[middle] < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return offset - 2 * low;
}

struct regex_walk *regex_walk_new(const struct regex *re, const char *subject, size_t length)
{
	struct regex_walk *w = mem_zero(sizeof *w);

	w->re = re;
	w->subject = subject ? subject : "";
	w->length = length;
	w->previous_end = SIZE_MAX;
	w->started_ns = clock_mono_ns();
	if (!utf8_is_valid(w->subject, length))
		repair(w);
	w->bounds = mem_array(2 * ((size_t)re->groups + 1), sizeof *w->bounds);
	w->spans = mem_array((size_t)re->groups + 1, sizeof *w->spans);
	return w;
}

void regex_walk_free(struct regex_walk *w)
{
	if (!w)
		return;
	free(w->bounds);
	free(w->repaired);
	free(w->bad);
	free(w->spans);
	free(w);
}

static void report(struct regex_walk *w)
{
	for (uint32_t i = 0; i <= w->re->groups; i++) {
		bool absent = w->bounds[2 * i] == SIZE_MAX;

		w->spans[i].start = absent ? SIZE_MAX : original(w, w->bounds[2 * i]);
		w->spans[i].end = absent ? SIZE_MAX : original(w, w->bounds[2 * i + 1]);
	}
}

enum regex_result regex_walk_next(struct regex_walk *w, const struct regex_span **ret_spans)
{
	while (!w->done) {
		bool accept = true;

		must(w->position <= w->length);
		if (!search(w->re, w->subject, w->length, w->position, w->bounds, w->re->groups + 1)) {
			w->done = true;
			return REGEX_NONE;
		}
		if (clock_mono_ns() - w->started_ns > WALK_NS_MAX) {
			w->done = true;
			return REGEX_LIMIT;
		}
		if (w->bounds[1] == w->position) { /* empty, at the place the search began */
			uint32_t c;

			accept = w->bounds[0] != w->previous_end;
			if (w->position < w->length)
				w->position += utf8_decode(w->subject + w->position, w->subject + w->length, &c, NULL);
			else
				w->done = true;
		} else {
			w->position = w->bounds[1];
		}
		w->previous_end = w->bounds[1];
		if (accept) {
			report(w);
			*ret_spans = w->spans;
			return REGEX_MATCH;
		}
	}
	return REGEX_NONE;
}

bool regex_test(const struct regex *re, const char *subject, size_t length)
{
	size_t bounds[2];
	struct regex_walk *w;
	bool found;

	if (utf8_is_valid(subject ? subject : "", length))
		return search(re, subject ? subject : "", length, 0, bounds, 1);
	w = regex_walk_new(re, subject, length);
	found = search(re, w->subject, w->length, 0, bounds, 1);
	regex_walk_free(w);
	return found;
}

/* The name after a dollar: a number, a group's name, or neither. Returns its length with braces; 0: not a name. */
static size_t template_name(const char *p, size_t n, const char **ret_name, size_t *ret_length)
{
	bool brace = n > 0 && *p == '{';
	size_t i = brace;

	while (i < n) {
		uint32_t c;
		size_t width = utf8_decode(p + i, p + n, &c, NULL);

		if (c != '_' && !uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_Nd))
			break;
		i += width;
	}
	*ret_name = p + brace;
	*ret_length = i - brace;
	if (*ret_length == 0 || (brace && (i == n || p[i] != '}')))
		return 0;
	return i + brace;
}

/* Which group a template's name means; -1: none. */
static int64_t template_group(const struct regex *re, const char *name, size_t length, const struct regex_span *spans)
{
	int64_t number = 0;

	for (size_t i = 0; i < length && number >= 0; i++)
		number = name[i] < '0' || name[i] > '9' || number >= 100000000 ? -1 : number * 10 + (name[i] - '0');
	if (name[0] == '0' && length > 1)
		number = -1;
	if (number >= 0)
		return number <= (int64_t)re->groups ? number : -1;
	for (uint32_t i = 1; i <= re->groups; i++) {
		const char *candidate = regex_group_name(re, i);

		if (strlen(candidate) == length && memcmp(candidate, name, length) == 0 && spans[i].start != SIZE_MAX)
			return i;
	}
	return -1;
}

static void expand(const struct regex *re, const char *template, size_t n, const char *subject,
                   const struct regex_span *spans, struct text *out)
{
	const char *end = template + n;

	while (template <end) {
		const char *dollar = memchr(template, '$', (size_t)(end - template));
		const char *name;
		size_t length, whole;
		int64_t group;

		text_add(out, template, (size_t)((dollar ? dollar : end) - template));
		if (!dollar)
			return;
		template = dollar + 1;
		if (template <end &&*template == '$') {
			text_add_char(out, '$');
			template ++;
			continue;
		}
		whole = template_name(template, (size_t)(end - template), &name, &length);
		if (whole == 0) {
			text_add_char(out, '$');
			continue;
		}
		template += whole;
		group = template_group(re, name, length, spans);
		if (group >= 0 && spans[group].start != SIZE_MAX)
			text_add(out, subject + spans[group].start, spans[group].end - spans[group].start);
	}
}

enum err regex_replace_all(const struct regex *re, const char *subject, size_t length, const char *replacement,
                           size_t replacement_length, struct text *out)
{
	struct regex_walk *w = regex_walk_new(re, subject, length);
	const struct regex_span *spans;
	enum regex_result r;
	size_t copied = 0;

	while ((r = regex_walk_next(w, &spans)) == REGEX_MATCH && !out->failed) {
		text_add(out, subject + copied, spans[0].start - copied);
		expand(re, replacement, replacement_length, subject, spans, out);
		copied = spans[0].end;
	}
	regex_walk_free(w);
	if (r == REGEX_LIMIT)
		return ERR_INPUT;
	text_add(out, subject + copied, length - copied);
	return ERR_OK;
}
