/*
 * re2: RE2 with a face of C.
 *
 * What it is: the whole of libre2 that kspool uses, behind extern "C"; re2_face.cc is the only C++ of the project.
 * Promises: 11. A search takes time linear in the subject, without backtracking and so without a match limit: mostly 1
 *     ns a byte, at worst 10 ns for each byte and instruction (a[ab]{900}c on 1 MB of a and b: 8 s, where Go takes 13).
 *     6. A pattern, compiled, with the automata it grows while it searches, holds at most the memory it is given. While
 *     it is parsed it holds more: 60 bytes for each of its own, 31 KB for each class of Unicode's (\pL).
 * Owner: the caller closes what it opened; names lie in the pattern.
 * Thread: any; an opened pattern may search in several threads at once (RE2 locks its own cache of states).
 * Fails: open gives Go's words for what is wrong and the fragment it is about; a search cannot fail.
 * Does not: know what Go's regexp says otherwise, such as bad UTF-8, walks and templates: regex.c.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_RE2_INTERNAL_H
#define KSPOOL_BLOBLANG_GOLANG_RE2_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct re2_pattern;

/* Go's words for the kind of fault, RE2's fragment. */
struct re2_fault {
	const char *what;
	bool about_whole;   /* the fragment is the whole pattern */
	bool is_too_large;  /* for the memory it was given */
	char fragment[256]; /* cut at its size */
};

/* Null with the fault filled when RE2 refuses the pattern, which is valid UTF-8, or needs more than memory_bytes. */
struct re2_pattern *re2_open(const char *pattern, size_t length, size_t memory_bytes, struct re2_fault *ret_fault);
/* Accepts null. */
void re2_close(struct re2_pattern *re);
/* Instructions: what each byte of a subject costs at worst is proportional to it. */
uint32_t re2_size(const struct re2_pattern *re);
uint32_t re2_groups(const struct re2_pattern *re);
/* "" when the group has no name. */
const char *re2_group_name(const struct re2_pattern *re, uint32_t group);
/* The leftmost match that starts at `from` or behind it, in a subject of valid UTF-8. Fills `count` pairs of start and
 * end, the whole match first; SIZE_MAX twice for a group that took no part. Without pairs it is fastest. */
bool re2_search(const struct re2_pattern *re, const char *subject, size_t length, size_t from, size_t *ret_bounds,
                uint32_t count);

#ifdef __cplusplus
}
#endif

#endif
