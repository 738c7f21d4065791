/*
 * imprint: what an open file of the spool must hold.
 *
 * What it is: a note of what this process wrote into a file, or was first to read of it: of a log its header and what
 * each frame's header says (the checksum of all before it, which SQLite made anyway), of a database a checksum of each
 * page, as far as the first 65,536. What is read later is compared with it, so that bytes of another file never pass
 * for ours. It takes 16 bytes a frame and 4 a page.
 * Promises: 8 (nothing foreign is adopted in silence).
 * Owner: the caller, until imprint_free.
 * Thread: one at a time.
 * Fails: never; what is not known is not compared.
 * Does not: read or write by itself: vfs.c shows it what goes by.
 */
#ifndef KSPOOL_STORE_IMPRINT_H
#define KSPOOL_STORE_IMPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct imprint;

enum imprint_of { IMPRINT_OF_LOG, IMPRINT_OF_DATABASE };

struct imprint *imprint_new(enum imprint_of of);
/* Accepts null. */
void imprint_free(struct imprint *p);

void imprint_wrote(struct imprint *p, const void *data, size_t count, int64_t offset);
/* The file ends at `size` now, by our own doing. */
void imprint_cut(struct imprint *p, int64_t size);
/* A write at `offset` failed: what stands from there on is not known. */
void imprint_forget(struct imprint *p, int64_t offset);

/* What was read there is known from now on, when it was not. */
void imprint_learn(struct imprint *p, const void *data, size_t count, int64_t offset);
/* False: what was read there is not what must stand there. */
bool imprint_fits(const struct imprint *p, const void *data, size_t count, int64_t offset);
/* False: a file of so many bytes lacks some, or has some where there were none. */
bool imprint_fits_size(const struct imprint *p, int64_t size);

enum { IMPRINT_PIECE_BYTES = 24 + 65536 };
/*
 * Where to look, to see whether it is the same file still: piece 0, 1, ... until there is no more (false). Those of a
 * glance tell it from every other: a log's last frame, which each commit asks for, a database's first pages. Those that
 * follow are some of the rest, others each time: what was hidden by our own later writes.
 */
bool imprint_piece(struct imprint *p, bool glance, unsigned number, int64_t *ret_offset, size_t *ret_count);
/* Likewise of a log, what zeros from byte `at` on reach into: the frame it stands in, then the next one's header. */
bool imprint_piece_at(const struct imprint *p, int64_t at, unsigned number, int64_t *ret_offset, size_t *ret_count);

#endif
