/*
 * regex: RE2's syntax and meaning over PCRE2.
 *
 * What it is: patterns are parsed here as Go's regexp package parses them (what RE2 refuses is refused, in its words),
 * rewritten for PCRE2 and matched leftmost-first. Invalid UTF-8 in the subject counts as U+FFFD, one byte wide.
 * Promises: a match has a step limit and a heap limit, so a runaway pattern is an error and not a hang.
 * Owner: the caller frees a regex; it is immutable and may be shared by threads; a walk belongs to one thread.
 * Fails: compile gives RE2's text; matching gives REGEX_LIMIT. Does not do: back-references, look-around.
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

/* often: it will be used many times, so that compiling it to machine code pays. Null with fault filled ("error parsing
 * regexp: missing closing ]: `[`") when RE2 refuses the pattern. */
struct regex *regex_compile(const char *pattern, size_t length, bool often, char fault[REGEX_FAULT_MAX]);
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

/* Successive matches in one subject, by the rules of Go's FindAll. The subject must outlive the walk. */
struct regex_walk;

struct regex_walk *regex_walk_new(const struct regex *re, const char *subject, size_t length);
void regex_walk_free(struct regex_walk *w);
/* *ret_spans: groups + 1 spans, valid until the next call. */
enum regex_result regex_walk_next(struct regex_walk *w, const struct regex_span **ret_spans);

/* Is there a match anywhere? */
enum regex_result regex_test(const struct regex *re, const char *subject, size_t length);
/* Replaces every match by the expanded template. ERR_INPUT: the match limit. */
enum err regex_replace_all(const struct regex *re, const char *subject, size_t length, const char *replacement,
                           size_t replacement_length, struct text *out) MUST_CHECK;

/* The syntax half (regex_syntax.c): a PCRE2 pattern and the names of the groups. */
struct regex_syntax {
	struct buf pattern;
	char **names; /* [groups + 1], each owned; null where a group has no name */
	uint32_t groups;
};

bool regex_syntax_parse(struct regex_syntax *s, const char *pattern, size_t length, char fault[REGEX_FAULT_MAX]);
void regex_syntax_fini(struct regex_syntax *s);

#endif
