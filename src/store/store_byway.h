/*
 * store_byway: copies of copies, which an import meets.
 *
 * What it is: which messages of a source it had taken in itself, when something of where they are from may be here.
 * Promises: 7 (what may come twice by way of another spool is counted). Owner: the caller. Thread: the store's.
 * Fails: as reading the source does; a note that is not what was written stands for all of the source's messages.
 * Does not: tell which of these messages are here: they have new ids there.
 */
#ifndef KSPOOL_STORE_STORE_BYWAY_H
#define KSPOOL_STORE_STORE_BYWAY_H

#include "store/store_internal.h"

struct byway {
	bool is_shared; /* of this spool, or of one that this one knows */
	bool is_all;    /* which messages is forgotten */
	struct byway_span {
		uint64_t first, count;
	} * spans; /* ids in the source */
	size_t count;
};

/*
 * Each note of what the source took in, whose checksums are of `tag`. Into `c`; null, inside a group: they become notes
 * of this spool, so that a copy of where these messages are from brings none of them again.
 */
enum err store_byway_each(struct store *s, sqlite3 *source, uint32_t tag, struct byway *c, struct error *e) MUST_CHECK;
/*
 * Inside a group: `count` messages were put back from the shelf, under new ids, behind `noted` others from first_id on
 * whose note this one takes the place of. Whoever takes in a copy of this spool, and had another one, may have them
 * under the old ones.
 */
enum err store_byway_note(struct store *s, uint64_t first_id, uint64_t noted, uint64_t count,
                          struct error *e) MUST_CHECK;
/* This message of the source may be here already, or may have been. */
bool store_byway_has(const struct byway *c, uint64_t id);
void store_byway_fini(struct byway *c);

#endif
