/*
 * asides: what was set aside beside a spool, found by its names.
 *
 * What it is: the list of PATH.quarantine-<time> with their logs (read back until PATH.quarantine-<time>.read says that
 * nothing is left to do; it names the sizes of both, and what has grown since, or came back, is to be read again), of
 * PATH.stranger-<time> and of PATH-wal.damaged-<time>, which are never read back. Promises: 8 (what was set aside is
 * looked for at every start; a person finds all of it by one list). Owner: the list is the caller's, also after an
 * error. Thread: any. Fails: ERR_DISK when the folder cannot be listed. Does not: open a database, or change what was
 * set aside.
 */
#ifndef KSPOOL_STORE_ASIDES_H
#define KSPOOL_STORE_ASIDES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "store/files/spool_files.h"

enum { ASIDE_SUFFIX_BYTES = 64 };
#define ASIDE_PREFIX ".quarantine-"
#define STRANGER_PREFIX ".stranger-"
#define COPY_PREFIX "-wal.damaged-" /* of a log, before it was mended */

enum aside_kind {
	ASIDE_QUARANTINE,
	ASIDE_STRANGER,
	ASIDE_COPY /* of a damaged log */
};
struct aside {
	char suffix[ASIDE_SUFFIX_BYTES]; /* after the spool's name; "-wal" behind it is the log */
	enum aside_kind kind;
	bool has_file, has_log;
	bool is_read;      /* nothing is left to do */
	char outcome[160]; /* in words, when it is */
};
struct aside_list {
	struct aside *items; /* oldest first */
	size_t count;
};

/* Oldest first. */
enum err asides_find(const struct files *f, struct aside_list *ret, struct error *e) MUST_CHECK;
void asides_fini(struct aside_list *list);
/* Something, of whatever kind, has the name PATH + suffix + more. */
bool asides_is_taken(const struct files *f, const char *suffix, const char *more);
/* A name that is free: the prefix and the time. */
enum err asides_new_suffix(const struct files *f, const char *prefix, char out[ASIDE_SUFFIX_BYTES],
                           struct error *e) MUST_CHECK;
/* A line for each, and what became of it; *ret_unread: how many are still to be read back. */
enum err asides_print(const struct files *f, struct buf *out, uint64_t *ret_unread, struct error *e) MUST_CHECK;
/* The name by which a person finds it; to be freed. */
char *asides_name(const struct files *f, const struct aside *a);
/* Why it cannot be read back and what to do, as far as a look at it tells, at each byte when `whole`; "": nothing. */
void asides_trouble(const struct files *f, const struct aside *a, bool whole, char *out, size_t size);
/* The set that a person named by a path, or by its last part; ERR_INPUT: there is none. */
enum err asides_named(const struct files *f, const char *file, char suffix[ASIDE_SUFFIX_BYTES], bool *ret_is_read,
                      struct error *e) MUST_CHECK;
/* What there is of a set: bytes of its database and of its log; 0: none. False: one of them cannot be looked at. */
struct aside_parts {
	uint64_t file, log;
};
bool asides_parts(const struct files *f, const char *suffix, struct aside_parts *ret);
static inline bool asides_have_grown(const struct aside_parts *now, const struct aside_parts *before)
{
	return now->file > before->file || now->log > before->log;
}
/* Whether its marker says that nothing is left to do, with what is there now; the outcome in words. ERR_DISK: the
 * marker cannot be looked at. */
enum err asides_is_read(const struct files *f, const char *suffix, bool *ret, char *outcome, size_t size,
                        struct error *e) MUST_CHECK;
/* Nothing is left to do with these files, of which so much was there. */
enum err asides_close(const struct files *f, const char *suffix, const struct aside_parts *parts, const char *outcome,
                      struct error *e) MUST_CHECK;
/* How many there are, and how many of them are still to be read back. */
enum err asides_count(const struct files *f, uint64_t *ret_all, uint64_t *ret_unread, struct error *e) MUST_CHECK;
/*
 * Each set of files that was set aside beside the spool at `path`, oldest first, also while a daemon has the spool: the
 * name of its database, or of its log when that is all there is, and what became of it. is_read: nothing is left to do.
 */
typedef void asides_visit(void *arg, const char *name, bool is_read, const char *outcome);
enum err asides_each(const char *path, asides_visit *each, void *arg, struct error *e) MUST_CHECK;
/* Removes what `kspool peek` had copied (PATH.peek-PID) when it was killed. With the lock held nobody makes one. */
void asides_sweep_copies(const struct files *f);

#endif
