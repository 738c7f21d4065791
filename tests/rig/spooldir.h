/*
 * spooldir: a folder of its own for a test's spool, and small things every journal test needs.
 *
 * The folder is made under $TMPDIR, or in memory where that is (no test here cuts a power line: what a disk does is
 * simulated), or in /tmp; mode 0700, removed with all it holds by spooldir_remove, when nothing of it is open any more.
 */
#ifndef KSPOOL_TESTS_SPOOLDIR_H
#define KSPOOL_TESTS_SPOOLDIR_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"
#include "store/store_damage.h"
#include "store/upkeep/store_copy.h"
#include "store/upkeep/store_upkeep.h"
#include "store/store_dead.h"
#include "store/store_ledger.h"
#include "store/store_open.h"
#include "store/store_space.h"

struct sqlite3;

struct spooldir {
	char dir[256];
	char path[300]; /* of the database */
};

void spooldir_make(struct spooldir *d);
void spooldir_remove(struct spooldir *d);
/* Likewise, where the process ends with files of it open. */
void spooldir_remove_open(struct spooldir *d);
/* Options of a small spool at d->path that is made when it is not there. */
struct store_options spooldir_options(const struct spooldir *d);
/* PATH + suffix in a static buffer. */
const char *spooldir_file(const struct spooldir *d, const char *suffix);

/* A message whose body is `bytes` bytes that follow from n, and one text entry of metadata. */
struct message *spooldir_message(uint64_t n, uint32_t bytes);
/* True when m is what spooldir_message(n, bytes) made. */
bool spooldir_is_message(const struct message *m, uint64_t n, uint32_t bytes);

/* Of a spool that is closed: the bytes of message id are not what was written; it is gone without a trace. The log
 * stays where it is. */
void spooldir_damage(const char *path, uint64_t id);
void spooldir_lose(const char *path, uint64_t id);
void spooldir_lose_in(struct sqlite3 *db, uint64_t id);

/* Whole files. */
unsigned char *spooldir_load(const char *path, size_t *ret_bytes);
void spooldir_store(const char *path, const void *bytes, size_t count);
/* Copies the database and its companions into another folder. */
void spooldir_copy(const struct spooldir *from, const struct spooldir *to);

#endif
