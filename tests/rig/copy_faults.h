/*
 * copy_faults: spools whose copies are made, taken in and mended while file operations fail.
 *
 * Included after cmocka.h by tests of the verbs that copy. Thread: one.
 */
#ifndef KSPOOL_TESTS_COPY_FAULTS_H
#define KSPOOL_TESTS_COPY_FAULTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/store_damage.h"

enum { ROWS = 40, BEFORE = 3, BODY_BYTES = 700, POINTS_MAX = 3000 };

/* A removal that fails leaves a second name, which nothing here can mend. A full disk fails what needs room. */
enum { CHANGES = FAULTFS_WRITE | FAULTFS_SYNC | FAULTFS_TRUNCATE | FAULTFS_ALLOCATE };

static const struct {
	unsigned kinds;
	int error;
	uint64_t least; /* of operations that a run has */
} faults[] = {{CHANGES | FAULTFS_READ | FAULTFS_OPEN | FAULTFS_RENAME, EIO, 6}, {CHANGES, ENOSPC, 1}};

static inline void fill(struct store *s, uint64_t first, uint32_t count)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint32_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(first + i, BODY_BYTES);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static inline struct store *open_it(const struct spooldir *d, struct store_report *report)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;

	if (store_open(&o, &s, report, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return s;
}

static inline void make_spool(struct spooldir *d, uint64_t first, uint32_t count)
{
	struct store *s;
	struct error e;

	spooldir_make(d);
	s = open_it(d, NULL);
	fill(s, first, count);
	assert_int_equal(store_close(s, &e), ERR_OK);
}

/* The spool at d: how many wait there. Nothing may have been set aside or lost on the way. */
static inline uint64_t rows_of(const struct spooldir *d)
{
	struct store_report report;
	struct store *s = open_it(d, &report);
	struct error e;
	uint64_t rows = store_ledger(s)->pending;

	assert_false(report.quarantined);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(store_ledger(s)->accepted, rows);
	assert_int_equal(store_close(s, &e), ERR_OK);
	return rows;
}

#endif
