/*
 * A spool of an older schema on a full disk: however much room there is, the start says what the change of its tables
 * needs and what to do, and one with room has every message; what is told is enough.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/files/sql_schema.h"
#include "store/store_internal.h"

enum { ROWS = 120 };

static void make_older(struct spooldir *d)
{
	struct store *s = life_begin(d);

	life_append(s, 0, ROWS);
	life_sql(s, "DROP TABLE losses; ALTER TABLE imports DROP COLUMN checksum; ALTER TABLE salvage DROP COLUMN"
	            " checksum; ALTER TABLE cache DROP COLUMN checksum; ALTER TABLE dead DROP COLUMN note_checksum;"
	            " ALTER TABLE failures DROP COLUMN checksum; ALTER TABLE ledger DROP COLUMN blocks_from;"
	            " ALTER TABLE ledger DROP COLUMN rows_from; PRAGMA user_version = 6");
	life_checkpoint(s);
	store_abandon(s);
	assert_int_equal(truncate(spooldir_file(d, "-wal"), 0), 0);
	assert_int_equal(unlink(spooldir_file(d, ".tide")), 0); /* it says who wrote last */
}

/* What the text says is enough, in bytes; 0: it says nothing of that. */
static uint64_t told_bytes(const char *text)
{
	static const char before[] = "must be brought to ", word[] = "for which ";
	const char *at = strstr(text, before);

	at = at ? strstr(at, word) : NULL;
	return at ? strtoull(at + sizeof word - 1, NULL, 10) * 1024 : 0;
}

static uint64_t needed_bytes(void)
{
	struct spooldir d;
	struct stat st;
	struct store *s;

	make_older(&d);
	s = life_open(&d, NULL);
	assert_int_equal(stat(spooldir_file(&d, "-wal"), &st), 0);
	life_close(s);
	spooldir_remove(&d);
	return (uint64_t)st.st_size;
}

static void a_full_disk_is_told_what_is_needed(void **state)
{
	const uint64_t needed = needed_bytes();
	unsigned told = 0;
	uint64_t failed = 1;

	(void)state;
	for (uint64_t n = 1; failed > 0; n++) {
		struct store_options o;
		struct store_report report;
		struct spooldir d;
		struct store *s = NULL;
		struct error e = {0};
		enum err err;

		make_older(&d);
		o = spooldir_options(&d);
		faultfs_arm(FAULTFS_WRITE | FAULTFS_SYNC | FAULTFS_ALLOCATE, n, ENOSPC, true);
		err = store_open(&o, &s, NULL, &e);
		failed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		if (err == ERR_OK)
			store_abandon(s);
		else if (err != ERR_NOSPACE || !strstr(e.text, "free some space"))
			fail_msg("operation %u: error %d: %s", (unsigned)n, (int)err, e.text);
		if (err != ERR_OK && told_bytes(e.text) > 0) {
			const int newest = schema_steps[schema_step_count - 1].version;
			char want[200];

			told++;
			if (told_bytes(e.text) < needed)
				fail_msg("%llu bytes are needed: %s", (unsigned long long)needed, e.text);
			(void)snprintf(want, sizeof want,
			               "the tables are of schema 6 and must be brought to %d, for which %d KiB are "
			               "enough, and ",
			               newest, (newest - 5) * 16 * 4096 / 1024);
			if (!strstr(e.text, want))
				fail_msg("%s", e.text);
		}
		s = life_open(&d, &report);
		assert_int_equal(life_number(s, "PRAGMA user_version"), schema_steps[schema_step_count - 1].version);
		life_expect(s, ROWS, 0, ROWS, 0);
		assert_int_equal(life_waiting(s, 0), ROWS);
		assert_false(report.quarantined);
		life_close(s);
		spooldir_remove(&d);
	}
	if (told <= 5)
		fail_msg("told %u times", told);
}

/* Messages of the first schema are rows of their own; where there is no room to bring them into blocks they stay so. */
static void rows_that_wait_for_room_are_told(void **state)
{
	struct store_options o;
	struct store_state is;
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	bool more = true;

	(void)state;
	life_append(s, 0, ROWS);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 1; n <= ROWS; n++)
		assert_int_equal(
		    store_settle(s, &(struct store_settlement){.id = n, .kind = SETTLE_RETRY, .wait_ms = 3600000}, 1,
		                 &e),
		    ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_sql(s, "DELETE FROM failures");
	life_close(s);
	o = spooldir_options(&d);
	for (int full = 1; full >= 0; full--) {
		o.min_free_bytes = full ? UINT64_MAX / 2 : 0;
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		assert_int_equal(store_merge_begin(s, &e), ERR_OK);
		assert_int_equal(store_admission(s, &e) != ERR_OK, full);
		assert_int_equal(store_merge(s, 0, &more, &e), ERR_OK);
		store_state(s, &is);
		assert_int_equal(is.upgrade_waits, full);
		assert_int_equal(more, !full);
		assert_int_equal(life_waiting(s, 0), ROWS);
		assert_int_equal(store_close(s, &e), ERR_OK);
	}
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_full_disk_is_told_what_is_needed),
	                                   cmocka_unit_test(rows_that_wait_for_room_are_told)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
