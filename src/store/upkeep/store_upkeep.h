/*
 * store_upkeep: what a person asks of a stopped spool.
 *
 * What it is: to look at it, to check it, to repair it; copies of it are in store_copy.h. The room's files speak SQL
 * and share store_internal.h with store, which never asks for any of this by itself.
 * Promises: 8, 9, 10 (check finds what a start would refuse, repair mends what check finds or says why it cannot).
 * Owner: the caller; what store_look opens is closed with store_close.
 * Thread: the caller's; check and repair open the files themselves.
 * Fails: as store_open; ERR_DAMAGED as each says.
 * Does not: change anything but in store_repair.
 */
#ifndef KSPOOL_STORE_UPKEEP_STORE_UPKEEP_H
#define KSPOOL_STORE_UPKEEP_STORE_UPKEEP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "store/store_open.h"

/*
 * A stopped spool to be read: store_dead_walk, store_dead_get, store_export and store_close, no other
 * verb. Nothing is changed and nothing is made, on a read-only file system too. The report's warning says what does not
 * show ("": it is all there). ERR_DAMAGED: a start or kspool repair must mend it first.
 */
enum err store_look(const struct store_options *options, struct store **ret, struct store_report *ret_report,
                    struct error *e) MUST_CHECK;
/* `kspool check`: structure, checksums, ledger of a stopped spool, without changing it. Text lines go to out. */
enum err store_check(const char *path, struct buf *out, uint64_t *ret_problems, struct error *e) MUST_CHECK;
struct store_repair {
	const char *give_up; /* a set of files that was set aside: read as far as it can be, then done; or null */
	void (*tell)(const char *text); /* how far it is, every few seconds; or null */
	/* Lines of `out` are put before a person's eyes, who is noted as told only then; false, with errno: they could
	 * not be. Null: who calls has them in `out`. */
	bool (*show)(const char *text, size_t length);
	/* the spool is open and nothing is changed yet; or null */
	enum err (*opened)(struct store *s, const char *path, struct store_report *report, struct error *e);
};
/*
 * `kspool repair`: checks every page, moves damaged rows aside, recounts the ledger, reads back what was set aside, and
 * notes that a person was told of what is gone. ERR_DAMAGED: some of it is left, and `out` says what and why.
 */
enum err store_repair(const char *path, const struct store_repair *how, struct buf *out, struct error *e) MUST_CHECK;

#endif
