/*
 * starts: starts that find something strange (another's files, files set aside, rows that are not what was written, a
 * log to mend), while the n-th file operation fails, or the n-th call of SQLite has no memory, n = 1, 2, ... until none
 * does: that is told, or what came of it is the same; a start after it makes of the spool what it would have made
 * without.
 *
 * Everything fails the test by itself. A program each for a kind of fault: together they take too long to be asked
 * often.
 */
#ifndef KSPOOL_TESTS_STARTS_H
#define KSPOOL_TESTS_STARTS_H

#include <stddef.h>

enum start_fault {
	START_READS,
	START_CALLS, /* of SQLite */
	START_OPERATIONS,
	START_FULL, /* changes of a full disk */
};

/* What such a start may find, in `parts` parts of which this is one, from 0. */
void starts_try(enum start_fault fault, size_t part, size_t parts);

#endif
