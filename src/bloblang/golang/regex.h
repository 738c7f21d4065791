/*
 * regex: Go's regular expressions, which are RE2's.
 *
 * What it is: RE2 itself, with what Go's regexp says otherwise: (?<name>, no \C, bad UTF-8 in a subject counts as
 *     U+FFFD one byte wide, FindAll's rules for empty matches, templates with $name.
 * Promises: 11. A search ends within the time that is left to it, or is not begun: one that could take longer at worst
 *     is first measured, piece by piece. 6. A compiled pattern and its automata have a bound (re2_internal.h), copies
 * of subjects lie in the arena. Owner: the caller frees a regex and a walk; the subject and the regex outlive the walk.
 * Thread: any; a regex is immutable and may be shared, a walk belongs to one thread.
 * Fails: compile gives the text of Go's fault; a walk gives REGEX_LIMIT. A failed allocation aborts.
 * Does not: back-references, look-around.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_REGEX_H
#define KSPOOL_BLOBLANG_GOLANG_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "value/arena.h"

struct regex;

enum { REGEX_FAULT_MAX = 400 };

/*
 * Null with fault filled ("error parsing regexp: missing closing ]: `[`") when Go refuses the pattern. What it takes is
 * counted by the arena, unless that is the house's own: then null too when there is no memory or time for it.
 */
struct regex *regex_compile(struct arena *a, const char *pattern, size_t length, char fault[REGEX_FAULT_MAX]);
/* Before the arena is reset. */
void regex_free(struct regex *re);
/* Number of groups, without the whole match. */
uint32_t regex_groups(const struct regex *re);
/* Name of a group (0 is the whole match), "" when it has none. */
const char *regex_group_name(const struct regex *re, uint32_t group);

enum regex_result { REGEX_MATCH, REGEX_NONE, REGEX_LIMIT };

struct regex_span {
	size_t start; /* SIZE_MAX: the group took no part */
	size_t end;
};

/* Successive matches in one subject, by the rules of Go's FindAll. It lies in the arena, whose time is its own. */
struct regex_walk;

struct regex_walk *regex_walk_new(const struct regex *re, struct arena *a, const char *subject, size_t length);
/* *ret_spans: groups + 1 spans, valid until the next call. */
enum regex_result regex_walk_next(struct regex_walk *w, const struct regex_span **ret_spans);

/* Is there a match anywhere? REGEX_MATCH, REGEX_NONE or REGEX_LIMIT. */
enum regex_result regex_test(const struct regex *re, struct arena *a, const char *subject, size_t length);
/* Replaces every match by the expanded template. ERR_INPUT: no time is left. */
enum err regex_replace_all(const struct regex *re, const char *subject, size_t length, const char *replacement,
                           size_t replacement_length, struct text *out) MUST_CHECK;

#endif
