/*
 * lives: spools that live, end, and are copied, for tests of what belongs to which.
 *
 * Everything fails the test by itself. Messages are spooldir_message(n, life_bytes(n)), ten a commit.
 */
#ifndef KSPOOL_TESTS_LIVES_H
#define KSPOOL_TESTS_LIVES_H

#include "rig/spooldir.h"

enum { LIFE_OTHERS = 100000 }; /* numbers of another spool's messages begin here */

uint32_t life_bytes(uint64_t n);
/* Messages n + 1 .. n + count. */
void life_append(struct store *s, uint64_t n, uint32_t count);
/* Ids first .. last are delivered, in one commit. */
void life_settle(struct store *s, uint64_t first, uint64_t last);
/* A folder and a new spool in it; its clean end, and the folder's. */
struct store *life_begin(struct spooldir *d);
void life_end(struct spooldir *d, struct store *s);
/* Through the store's own connection: statements, and the first number of the first row. */
void life_sql(struct store *s, const char *sql);
int64_t life_number(struct store *s, const char *sql);
struct store *life_open(const struct spooldir *d, struct store_report *report);
void life_checkpoint(struct store *s);
/* Of a spool that nobody harmed: bytes, shelf, and the lowest that waits are what the tables say, and no statement goes
 * on, which would keep what it reads, and the log as long as it is. */
void life_adds_up(struct store *s);
/* What is known in memory is what the tables say; life_close asks so. */
void life_agrees(struct store *s);
void life_close(struct store *s);
/* A new spool, as a kill leaves it: in_file messages in the database, in_log more in its log alone. */
void life_make(struct spooldir *d, uint64_t n, uint32_t in_file, uint32_t in_log);
/* Messages 1 .. rows in a spool at d, the first half in the database, with a position; the rest in the log when it is
 * to have one, else it is closed. */
void life_make_halves(const struct spooldir *d, uint32_t rows, bool in_log);
/* A file of another spool in the place of ours, in the same inode when there is one. */
void life_bring(const struct spooldir *from, const char *suffix, const struct spooldir *to);
int life_count_files(const struct spooldir *d, const char *part);
/* How many wait; each is one of n + 1 .. n + 1000, as it was written, and none is there twice. */
uint32_t life_waiting(struct store *s, uint64_t n);
/* What `kspool check` finds in a stopped spool. */
uint64_t life_problems(const struct spooldir *d, char *text, size_t size);
void life_expect(struct store *s, uint64_t accepted, uint64_t delivered, uint64_t pending, uint64_t damaged);

#endif
