/*
 * store_copy: a spool as one file, out and in.
 *
 * What it is: export writes a consistent copy while the spool is open; import appends what another copy holds.
 * Promises: 1 (the copy is synced before it has its name), 7 (what is taken in twice is counted), 9.
 * Owner: the caller of the store.
 * Thread: the store's.
 * Fails: ERR_INPUT a target that exists, a source that is no spool or has no sound row; ERR_NOSPACE an import for
 * which its file system has no room; otherwise as the store.
 * Does not: overwrite a file; change the source.
 */
#ifndef KSPOOL_STORE_UPKEEP_STORE_COPY_H
#define KSPOOL_STORE_UPKEEP_STORE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "message/message.h" /* meta_next reads metadata */

struct store;
struct store_options;

/* A consistent copy of the spool to a new file, synced; the spool stays open. What is damaged is in it as it was found
 * (store_check_copy names it). Refuses an existing target, and one that
 * would take the room beside the spool that is to stay free. */
enum err store_export(struct store *s, const char *target, struct error *e) MUST_CHECK;
/* Messages of a copy in the form of the first release. */
struct store_old_copy {
	uint64_t waiting, dead;
	uint64_t damaged; /* that are not what was written: in its table `damaged` */
};
/*
 * Of a copy, its like in the form of the first release (schema 1), which that one takes in, and runs on. Ids are kept;
 * what that form has no place for is not in it. `spool`: null, or where it may not take the room that is to stay free.
 * Refuses an existing target. The copy stays as it is.
 */
enum err store_export_old(const char *copy, const char *target, const struct store_options *spool,
                          struct store_old_copy *ret, struct error *e) MUST_CHECK;
/* A pending message, as it is shown; its bytes last for the visit. */
struct store_peeked {
	uint64_t id;
	uint64_t block_id; /* 0: it stands alone */
	int64_t received_ms;
	const void *meta, *body;
	size_t meta_bytes, body_bytes;
	bool is_sound; /* it is what was written */
};
typedef bool store_peek_visit(void *arg, const struct store_peeked *m); /* false ends the visit */
/* Shows what waits in a stopped spool, or in a copy; changes neither. */
enum err store_peek(const char *path, bool is_copy, store_peek_visit *visit, void *arg, struct error *e) MUST_CHECK;
/*
 * Appends what another spool's copy holds pending and set aside; counted as accepted here. All that is what was
 * written, or nothing. What other copies of that spool brought before, told by id and checksum, is left out; when
 * nothing is new, or of a copy of this very spool when it had messages that are not here any more, it is refused
 * (ERR_INPUT). With `again` all of it is taken in, and what was taken in before counts as possible duplicates.
 */
enum err store_import(struct store *s, const char *source, bool again, uint64_t *ret_rows, struct error *e) MUST_CHECK;
/* What is wrong with a copy, as lines of "problem: ": numbers that no checksum bears out, or that contradict each
 * other. Of what an import takes in each message is sound all the same; what does not show there may be missing. */
enum err store_check_copy(const char *path, struct buf *out, uint64_t *ret_problems, struct error *e) MUST_CHECK;
/* How many messages the last one left out. */
uint64_t store_import_left_out(const struct store *s);
/* How many it did not take in because they are not what was written. */
uint64_t store_import_damaged(const struct store *s);
/* How many of those it took in came to the other spool from this one, or from one that this one knows: they may be here
 * already, or have been sent, and count as possible duplicates. */
uint64_t store_import_by_way(const struct store *s);

#endif
