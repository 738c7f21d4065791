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

/*
 * What RE2 takes to parse a byte of a pattern, and a class of Unicode's (\pL): it makes a list of all its ranges.
 * Seen with 900,000 bytes of each: 55 bytes and 700 ns, 31 KB and 590 us.
 */
enum { PARSE_BYTES = 64, PARSE_NS = 1000, CLASS_BYTES = 36 << 10, CLASS_NS = 700 * 1000 };

/* What a compiled pattern may hold: tried one after the other, the first for patterns of strangers alone. */
static const size_t memory_steps[] = {128 << 10, 2 << 20, 8 << 20};
enum { MEMORY_STEPS = sizeof memory_steps / sizeof *memory_steps };

/*
 * What RE2 takes at worst for a byte and an instruction: it makes a state of its automaton for every byte, or walks all
 * instructions for the groups. Mostly it takes a thousandth of that, and there is no telling but by trying: a search
 * that could take too long is tried on pieces that cannot, each at most PIECE_NS at worst.
 */
enum { WORST_NS = 12, PIECE_NS = 20 * NS_PER_MS, PIECE_BYTES_MIN = 256 };

struct regex {
	struct re2_pattern *compiled;
	struct arena *arena; /* counts held_bytes */
	size_t held_bytes;
	uint32_t groups;
};

struct regex_walk {
	const struct regex *re;
	struct arena *arena;
	const char *subject; /* as RE2 sees it: valid UTF-8 */
	size_t length;
	size_t *bad; /* offsets in `subject` of the replacements, ascending */
	size_t bad_count;
	size_t *bounds; /* pairs, as re2_search fills them */
	struct regex_span *spans;
	size_t position;
	size_t previous_end; /* SIZE_MAX: no match so far */
	bool is_tried;       /* the pieces of the subject from here on took little time */
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
	static const char named[4] = {'(', '?', 'P', '<'};
	char *start = out;

	while (p < end) {
		const char *next = piece_end(p, end);

		if (end - p > 3 && memcmp(p, "(?<", 3) == 0) {
			memcpy(out, named, sizeof named);
			out += sizeof named;
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

/* Tries the steps of memory; null with *why, or with *ret_room false when there is none for the next. */
static struct re2_pattern *compile(struct regex *re, const char *pattern, size_t n, struct re2_fault *why,
                                   bool *ret_room)
{
	struct re2_pattern *made = NULL;

	why->is_too_large = true;
	for (int i = arena_is_own(re->arena); !made && why->is_too_large && i < MEMORY_STEPS; i++) {
		arena_let_go(re->arena, re->held_bytes);
		re->held_bytes = 0;
		*ret_room = arena_hold(re->arena, memory_steps[i]);
		if (!*ret_room)
			return NULL;
		re->held_bytes = memory_steps[i];
		made = re2_open(pattern, n, memory_steps[i], why);
	}
	return made;
}

/* What parsing the pattern takes, at worst; false when there is no time for it. */
static bool weigh(struct arena *a, const char *pattern, size_t length, size_t *ret_bytes)
{
	size_t classes = 0;

	for (size_t i = 0; i + 1 < length; i++)
		classes += pattern[i] == '\\' && (pattern[i + 1] == 'p' || pattern[i + 1] == 'P');
	*ret_bytes = length * PARSE_BYTES + classes * CLASS_BYTES;
	if ((int64_t)(length * PARSE_NS + classes * CLASS_NS) < arena_time_left(a))
		return true;
	a->late = a->exceeded = true;
	return false;
}

/* Null with `why` filled, or with *ret_room false: the arena has no memory or time for it. */
static struct re2_pattern *parse(struct regex *re, const char *pattern, size_t length, struct re2_fault *why,
                                 bool *ret_room)
{
	struct re2_pattern *made = NULL;
	char *translated;
	size_t bytes;

	*ret_room = weigh(re->arena, pattern, length, &bytes) && arena_hold(re->arena, bytes + length * 4 / 3 + 1);
	if (!*ret_room)
		return NULL;
	translated = mem_alloc(length * 4 / 3 + 1);
	made = compile(re, translated, translate(pattern, pattern + length, translated), why, ret_room);
	free(translated);
	arena_let_go(re->arena, bytes + length * 4 / 3 + 1);
	return made;
}

struct regex *regex_compile(struct arena *a, const char *pattern, size_t length, char fault[REGEX_FAULT_MAX])
{
	size_t valid;
	struct re2_fault why;
	struct regex *re;
	bool has_room;

	if (length > PATTERN_MAX) {
		set_fault(fault, "expression too large", pattern, length);
		return NULL;
	}
	valid = valid_prefix(pattern, pattern + length);
	if (valid < length) {
		set_fault(fault, "invalid UTF-8", pattern + valid, length - valid);
		return NULL;
	}
	re = mem_zero(sizeof *re);
	re->arena = a;
	re->compiled = parse(re, pattern, length, &why, &has_room);
	if (!re->compiled) {
		if (has_room)
			explain(&why, pattern, length, fault);
		else
			set_fault(fault, "there is no memory or time for it", pattern, length);
		regex_free(re);
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
	arena_let_go(re->arena, re->held_bytes);
	re2_close(re->compiled);
	free(re);
}

uint32_t regex_groups(const struct regex *re) { return re->groups; }

const char *regex_group_name(const struct regex *re, uint32_t group) { return re2_group_name(re->compiled, group); }

/* How long the instructions may take over so many bytes. */
static int64_t worst_ns(const struct regex *re, size_t bytes)
{
	double ns = (double)bytes * re2_size(re->compiled) * WORST_NS;

	return ns < (double)INT64_MAX / 2 ? (int64_t)ns : INT64_MAX / 2;
}

/*
 * Whether a search for `count` groups of w's subject from `from` on ends in time. What pieces took tells of the whole,
 * but for matches that are longer than a piece: the groups of those are walked once more.
 */
static bool ends_in_time(struct regex_walk *w, size_t from)
{
	int64_t left_ns = arena_time_left(w->arena), began_ns = left_ns;
	size_t piece = (size_t)PIECE_NS / WORST_NS / re2_size(w->re->compiled) + PIECE_BYTES_MIN, bounds[2];

	if (w->is_tried || worst_ns(w->re, w->length - from) < left_ns)
		return left_ns > 0;
	for (size_t at = from; at < w->length && left_ns > began_ns / 2; at += piece) {
		size_t n = w->length - at < piece ? w->length - at : piece;

		while (at + n < w->length && ((unsigned char)w->subject[at + n] & 0xc0) == 0x80)
			n++;
		(void)re2_search(w->re->compiled, w->subject + at, n, 0, bounds, 1);
		left_ns = arena_time_left(w->arena);
	}
	w->is_tried = left_ns > began_ns / 2;
	return w->is_tried;
}

/* Go reads a bad byte as U+FFFD: give RE2 a copy that says so, and remember where. */
static bool repair(struct regex_walk *w)
{
	size_t n = 0;
	char *copy;

	for (size_t i = 0; i < w->length;) {
		uint32_t c;
		bool valid;

		i += utf8_decode(w->subject + i, w->subject + w->length, &c, &valid);
		w->bad_count += !valid;
	}
	if (!arena_fits(w->arena, w->length + 2 * w->bad_count + 1 + w->bad_count * sizeof *w->bad))
		return false;
	copy = arena_alloc(w->arena, w->length + 2 * w->bad_count + 1);
	w->bad = arena_alloc(w->arena, w->bad_count * sizeof *w->bad);
	w->bad_count = 0;
	for (size_t i = 0; i < w->length;) {
		uint32_t c;
		bool valid;
		size_t width = utf8_decode(w->subject + i, w->subject + w->length, &c, &valid);

		if (!valid)
			w->bad[w->bad_count++] = n;
		n += utf8_encode(copy + n, c);
		i += width;
	}
	w->subject = copy;
	w->length = n;
	return true;
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

struct regex_walk *regex_walk_new(const struct regex *re, struct arena *a, const char *subject, size_t length)
{
	struct regex_walk *w = arena_alloc(a, sizeof *w);

	*w = (struct regex_walk){
	    .re = re, .arena = a, .subject = subject ? subject : "", .length = length, .previous_end = SIZE_MAX};
	if (!utf8_is_valid(w->subject, length))
		w->done = !repair(w);
	w->bounds = arena_alloc(a, 2 * ((size_t)re->groups + 1) * sizeof *w->bounds);
	w->spans = arena_alloc(a, ((size_t)re->groups + 1) * sizeof *w->spans);
	return w;
}

/* The bounds of the next match, or that of a short subject: there is always time for one more of those. */
static bool search_whole(struct regex_walk *w, size_t from, uint32_t count)
{
	size_t whole[2];

	if (count == 1 || worst_ns(w->re, w->length - from) < PIECE_NS)
		return re2_search(w->re->compiled, w->subject, w->length, from, w->bounds, count);
	/* the groups of a long match are walked instruction by instruction: only when that ends in time */
	if (!re2_search(w->re->compiled, w->subject, w->length, from, whole, 1))
		return false;
	if (worst_ns(w->re, whole[1] - whole[0]) > arena_time_left(w->arena)) {
		w->arena->late = w->arena->exceeded = true;
		return false;
	}
	return re2_search(w->re->compiled, w->subject, w->length, from, w->bounds, count);
}

/* Where RE2 finds the next match. It looks at bytes, so that its \B holds inside of a character, where Go never looks:
 * such a match is empty, and is passed over. */
static enum regex_result search(struct regex_walk *w, size_t from, uint32_t count)
{
	must(from <= w->length);
	while (ends_in_time(w, from)) {
		if (!search_whole(w, from, count))
			return w->arena->exceeded ? REGEX_LIMIT : REGEX_NONE;
		from = w->bounds[0];
		if (from == w->length || ((unsigned char)w->subject[from] & 0xc0) != 0x80)
			return REGEX_MATCH;
		from++;
	}
	return REGEX_LIMIT;
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
	if (w->arena->exceeded)
		return REGEX_LIMIT;
	while (!w->done) {
		enum regex_result r = search(w, w->position, w->re->groups + 1);
		bool accept = true;

		if (r != REGEX_MATCH) {
			w->done = true;
			return r;
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
	return w->arena->exceeded ? REGEX_LIMIT : REGEX_NONE;
}

enum regex_result regex_test(const struct regex *re, struct arena *a, const char *subject, size_t length)
{
	struct regex_walk *w = regex_walk_new(re, a, subject, length);

	return w->done ? REGEX_LIMIT : search(w, 0, 1);
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
	struct regex_walk *w = regex_walk_new(re, out->arena, subject, length);
	const struct regex_span *spans;
	enum regex_result r;
	size_t copied = 0;

	while ((r = regex_walk_next(w, &spans)) == REGEX_MATCH && !out->failed) {
		text_add(out, subject + copied, spans[0].start - copied);
		expand(re, replacement, replacement_length, subject, spans, out);
		copied = spans[0].end;
	}
	if (r == REGEX_LIMIT)
		return ERR_INPUT;
	text_add(out, subject + copied, length - copied);
	return ERR_OK;
}
