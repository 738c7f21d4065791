/*
 * store_back: which ids messages got that were put back from the shelf.
 *
 * What it is: spans of them, as the notes in `imports` tell (store_byway_note) and PATH.tide repeats (TIDE_BACK). An
 * older file has such a message on its shelf still: the new id is then none of a message that is gone.
 * Promises: 9. Owner: the caller. Thread: the store's. Fails: as reading the spool does.
 * Does not: know which ids of spans that were joined are such, only how many; what is not is of other messages.
 */
#ifndef KSPOOL_STORE_STORE_BACK_H
#define KSPOOL_STORE_STORE_BACK_H

#include <stdint.h>

#include "store/files/spool_files.h"

struct store;

struct put_backs {
	struct put_back {
		uint64_t first, last, count; /* 0: there is none, nor behind it */
	} spans[TIDE_BACK_SPANS];            /* ascending ids */
};

/* Above all that it has; where there is no place left, the two that have the fewest ids between them are joined. */
void put_backs_add(struct put_backs *p, uint64_t first, uint64_t count);
void put_backs_into(const struct put_backs *p, struct tide *t);
/* As the notes of an open spool tell. */
enum err store_put_backs(struct store *s, struct put_backs *ret, struct error *e) MUST_CHECK;
/*
 * How many the tide mark knows of and the file does not, less what had its end since: at least so many. Those of others
 * between spans that were joined count as put back where they had theirs.
 */
enum err store_put_backs_lost(struct store *s, uint64_t *ret, struct error *e) MUST_CHECK;

#endif
