/*
 * faultsql: makes the n-th call of SQLite fail.
 *
 * What it is: what can fail of SQLite's functions (open, prepare, step, exec, checkpoint, a look at columns) under
 * their own names, for a test linked with this; it reaches every error path behind a statement, which faults of files
 * seldom do. Nothing is counted unless armed; the call that fails is not made. Thread: one.
 */
#ifndef KSPOOL_TESTS_FAULTSQL_H
#define KSPOOL_TESTS_FAULTSQL_H

#include <stdbool.h>
#include <stdint.h>

/* The n-th call from now on (1: the next) fails with this result code of SQLite; and all after it when persistent. n 0:
 * none. */
void faultsql_arm(uint64_t n, int code, bool persistent);
/* Where a run cannot be made twice, so that nothing can be noted first: the next call whose callers made none that
 * failed since faultpoints_forget. */
void faultsql_arm_new(int code);
/* Each checkpoint fails with this code, besides; 0: none. How many were asked for since. */
void faultsql_arm_checkpoints(int code);
unsigned faultsql_checkpoints(void);
/* What the test asks of itself in the meantime is not counted, and does not fail. */
void faultsql_pause(bool is_paused);
/* One failed since then. */
bool faultsql_failed(void);
/* The text of the statement that failed; "" when it was none. */
const char *faultsql_what(void);

#endif
