/*
 * What the journal does when nobody asks anything of it: it reads back what was set aside, makes its files smaller, and
 * looks for what must be there and was not handed over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/metrics.h"
#include "rig/errorwatch.h"
#include "rig/faultsql.h"
#include "rig/one_journal.h"

static uint64_t size_of(const char *suffix)
{
	struct stat st;

	return stat(spooldir_file(&d, suffix), &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int64_t unused_pages(void)
{
	struct error e;
	int64_t count;

	assert_int_equal(sql_number(j->store->db, "PRAGMA freelist_count", &count, &e), ERR_OK);
	return count;
}

/* The file when all of it left: after twenty seconds of quiet it is given back, and the log with it. */
static void files_become_smaller_when_nothing_moves(void **state)
{
	uint64_t full, turns;
	int64_t unused;
	struct error e;

	(void)state;
	begin();
	for (uint64_t n = 0; n < 12; n++)
		offer(n * 100 + 1, 100, 10000);
	credit(2000, UINT64_C(1) << 30);
	assert_int_equal(take(ids), 1200);
	assert_int_equal(store_checkpoint(j->store, true, &e), ERR_OK);
	settle(1, 1200, SETTLE_DELIVERED, 0);
	assert_false(journal_is_empty(j));
	steps_run();
	assert_true(journal_is_empty(j));
	full = size_of("");
	assert_true(full > 4 << 20);
	unused = unused_pages();
	assert_true(unused > 1000);
	steps_advance(990);
	assert_int_equal(unused_pages(), unused);
	steps_advance(2000);
	assert_false(j->gave_back);
	assert_true(size_of("-wal") > 0);
	steps_advance(16000);
	assert_false(j->gave_back);
	turns = steps.turns;
	steps_advance(3000);
	assert_true(j->gave_back);
	assert_int_equal(unused_pages(), 0);
	assert_in_range(steps.turns - turns, 1, 60); /* it is done, once */
	assert_int_equal(size_of("-wal"), 0);
	assert_true(size_of("") < 1 << 20);
	offer(1, 1, 10); /* and again, after the next message */
	assert_false(j->gave_back);
	assert_true(size_of("-wal") > 0);
	steps_advance(19900);
	assert_false(j->gave_back);
	steps_advance(1500);
	assert_true(j->gave_back);
	assert_int_equal(metric_get(M_DISK_WAL_BYTES), 0);
	end();
}

/* What the start set aside comes back by itself, though nothing else moves. */
static void what_was_set_aside_comes_back_when_idle(void **state)
{
	unsigned char *bytes;
	struct store_report report;
	size_t count;

	(void)state;
	begin();
	for (uint64_t n = 0; n < 6; n++)
		offer(n * 500 + 1, 500, 20);
	rig_stop(j);
	bytes = spooldir_load(d.path, &count);
	memset(bytes + 100, 0xff, 40); /* the first page leads nowhere */
	spooldir_store(d.path, bytes, count);
	free(bytes);
	j = steps_start(&o, &report);
	assert_true(report.quarantined);
	steps_advance(200);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 3000);
	assert_int_equal(metric_get(M_LEDGER_DAMAGED), 0);
	assert_int_equal(j->looking, LOOKING_FOR_ROWS);
	steps_advance(1000);
	assert_int_equal(metric_get(M_ASIDE_UNREAD), 0);
	assert_int_equal(metric_get(M_ASIDE_FILES), 1);
	credit(4000, 1 << 30);
	assert_int_equal(take(ids), 3000);
	end();
}

static int times_looked;

static void note_looking(struct store *s, struct journal_question *q)
{
	(void)s;
	(void)q;
	times_looked += j->looking == LOOKING_FOR_SALVAGE;
}

static void nothing_more(struct journal_question *q) { (void)q; }

/* While somebody asks something of the journal, nothing is read back: nobody waits for that. */
static void what_was_set_aside_waits_for_an_idle_moment(void **state)
{
	enum { ASKED = 20 };
	struct journal_question q[ASKED];

	(void)state;
	begin();
	rig_stop(j);
	j = steps_start(&o, NULL);
	times_looked = 0;
	for (int i = 0; i < ASKED; i++) {
		q[i] = (struct journal_question){.run = note_looking, .done = nothing_more};
		assert_true(journal_ask(j, &q[i]));
	}
	steps_run();
	assert_int_equal(times_looked, ASKED);
	assert_int_equal(j->looking, LOOKING_FOR_ROWS);
	(void)journal_intake_run(j);
	end();
}

/* While there is no room for it, it is tried again now and then, and not all the time. */
static void what_was_set_aside_waits_for_room(void **state)
{
	uint64_t turns;

	(void)state;
	begin();
	for (uint64_t n = 0; n < 6; n++)
		offer(n * 500 + 1, 500, 1000);
	credit(3000, 1 << 30);
	assert_int_equal(take(ids), 3000);
	j->store->options.min_free_bytes = UINT64_C(1) << 60;
	spooldir_lose_in(j->store->db, 77);
	settle(77, 1, SETTLE_DEAD, 0); /* it is damage */
	steps_advance(100);
	assert_int_equal(j->looking, LOOKING_FOR_SALVAGE);
	assert_int_equal(metric_get(M_ASIDE_WAITS), 1);
	turns = steps.turns;
	steps_advance(10000);
	assert_in_range(steps.turns - turns, 10, 300);
	assert_int_equal(j->looking, LOOKING_FOR_SALVAGE);
	j->store->options.min_free_bytes = 0;
	steps_advance(3000);
	assert_int_equal(j->looking, LOOKING_FOR_ROWS);
	assert_int_equal(metric_get(M_ASIDE_WAITS), 0);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 2999);
	end();
}

/* Rows that wait below the cursor, in nobody's hands: they are found when all else has drained, and found again. */
static void find_rows_nobody_has(uint32_t count)
{
	begin();
	offer(1, 10, 20);
	if (count < 10) {
		credit(10 - count, 1 << 20);
		assert_int_equal(take(ids), 10 - count);
		settle(1, 10 - count, SETTLE_DELIVERED, 0);
		steps_advance(200);
	}
	j->cursor = 10; /* as if they had been handed over */
	offer(11, 1, 20);
	credit(100, 1 << 20);
	assert_int_equal(take(ids), 1); /* it is out: nobody looks */
	assert_int_equal(j->looking, LOOKING_FOR_ROWS);
	settle(11, 1, SETTLE_RETRY, 100000); /* it failed: nobody looks */
	credit(1, 0);
	assert_int_equal(j->looking, LOOKING_FOR_ROWS);
	assert_int_equal(take(ids), 0);
	steps_advance(100000);
	assert_int_equal(take(ids), 1);
	settle(11, 1, SETTLE_DELIVERED, 0);
	steps_advance(700);
	assert_int_equal(take(ids), count);
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(ids[i], 10 - count + i + 1);
	assert_int_equal(j->looking, LOOKING_FOR_NOTHING);
	settle(10 - count + 1, count, SETTLE_DELIVERED, 0);
	steps_advance(100);
	assert_int_equal(j->looking, LOOKING_FOR_ROWS);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
	assert_int_equal(metric_get(M_LEDGER_DAMAGED), 0);
	end();
}

static void rows_nobody_has_are_found_when_all_is_drained(void **state)
{
	(void)state;
	find_rows_nobody_has(10);
	find_rows_nobody_has(1);
}

/* Given back, asked for again, and in no table any more: however little was looked for before, they are missed. */
static void what_is_asked_for_in_vain_is_missed(void **state)
{
	(void)state;
	begin();
	offer(1, 10, 20);
	j->cursor = 10; /* as if they had been handed over */
	credit(100, 1 << 20);
	steps_advance(700);
	assert_int_equal(take(ids), 10);
	assert_int_equal(j->looking, LOOKING_FOR_NOTHING);
	settle(1, 10, SETTLE_RELEASE, 0);
	assert_int_equal(j->looking, LOOKING_FOR_NOTHING);
	assert_int_equal(sqlite3_exec(j->store->db, "DELETE FROM blocks", NULL, NULL, NULL), SQLITE_OK);
	settle(1, 10, SETTLE_FETCH, 0);
	steps_advance(1000);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
	assert_int_equal(metric_get(M_LEDGER_DAMAGED), 10);
	(void)take(ids);
	end();
}

/* Two messages left, one is on the shelf, and the ledger says that this one waits. */
static void count_one_elsewhere(void)
{
	begin();
	credit(100, 1 << 20);
	offer(1, 3, 20);
	assert_int_equal(take(ids), 3);
	settle(1, 2, SETTLE_DELIVERED, 0);
	settle(3, 1, SETTLE_DEAD, 0);
	steps_advance(200);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
	j->store->durable.ledger.pending = j->store->now.ledger.pending = 1;
	j->store->durable.ledger.dead = j->store->now.ledger.dead = 0;
	j->looking = LOOKING_FOR_ROWS;
}

/* As many as it counts are there, but not where it says: the ledger is put right, and nothing is damaged. Whatever
 * fails meanwhile is said. */
static void what_the_ledger_has_elsewhere_is_counted_anew(void **state)
{
	bool failed = true;

	(void)state;
	for (uint64_t n = 1; failed; n++) {
		assert_true(n < 200);
		count_one_elsewhere();
		faultsql_arm(n, SQLITE_NOMEM, false);
		credit(1, 1);
		failed = faultsql_failed();
		ERRORWATCH_EXPECT(ERR_OK, NULL, NULL, "a look for rows", n);
		faultsql_arm(0, 0, false);
		if (failed) {
			end();
			continue;
		}
		steps_advance(600);
		assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
		assert_int_equal(metric_get(M_LEDGER_DEAD), 1);
		assert_int_equal(metric_get(M_LEDGER_DAMAGED), 0);
		assert_int_equal(take(ids), 0);
		assert_int_equal(j->cursor, 3);
		end();
	}
}

/* While one of these may still bring it back, nothing is counted. */
static void nothing_is_counted_before_all_has_drained(void **state)
{
	enum { CLAIMED, AWAY, FAILED, ENDED };

	(void)state;
	for (int what = CLAIMED; what <= ENDED; what++) {
		begin();
		offer(1, 1, 20);
		credit(100, 1 << 20);
		assert_int_equal(take(ids), 1);
		if (what == AWAY)
			settle(1, 1, SETTLE_RELEASE, 0);
		if (what == FAILED)
			settle(1, 1, SETTLE_RETRY, 3600000);
		if (what == ENDED)
			settle(1, 1, SETTLE_DELIVERED, 0);
		steps_advance(2000);
		assert_int_equal(j->looking, LOOKING_FOR_ROWS);
		if (what == AWAY) {
			settle(1, 1, SETTLE_FETCH, 0);
			assert_int_equal(take(ids), 1);
		}
		end();
	}
}

/* Gone behind its back: a new spool goes on, and says what it misses. */
static void messages_that_no_table_has_are_damaged(void **state)
{
	(void)state;
	for (uint32_t count = 1; count <= 10; count += 9) {
		begin();
		offer(1, count, 20);
		assert_int_equal(sqlite3_exec(j->store->db, "DELETE FROM blocks", NULL, NULL, NULL), SQLITE_OK);
		credit(100, 1 << 20);
		steps_advance(1000);
		assert_int_equal(take(ids), 0);
		assert_int_equal(j->phase, JOURNAL_RUNNING);
		assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
		assert_int_equal(metric_get(M_LEDGER_DAMAGED), count);
		assert_int_equal(metric_get(M_ASIDE_FILES), 1); /* they may stand in it still */
		offer(11, 1, 20);
		assert_int_equal(take(ids), 1);
		assert_int_equal(ids[0], count + 1);
		settle(count + 1, 1, SETTLE_DELIVERED, 0);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_become_smaller_when_nothing_moves),
	    cmocka_unit_test(what_was_set_aside_comes_back_when_idle),
	    cmocka_unit_test(what_was_set_aside_waits_for_an_idle_moment),
	    cmocka_unit_test(what_was_set_aside_waits_for_room),
	    cmocka_unit_test(what_is_asked_for_in_vain_is_missed),
	    cmocka_unit_test(rows_nobody_has_are_found_when_all_is_drained),
	    cmocka_unit_test(messages_that_no_table_has_are_damaged),
	    cmocka_unit_test(what_the_ledger_has_elsewhere_is_counted_anew),
	    cmocka_unit_test(nothing_is_counted_before_all_has_drained),
	};

	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
