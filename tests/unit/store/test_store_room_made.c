/*
 * What makes room: who leaves for whom, when the log goes into the database, when a disk that refused is tried again;
 * to the byte and the millisecond, beside sums of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "rig/ownroom.h"
#include "store/store_internal.h"

enum { PAGE = 4096, CLOCK_MS = 5000000 };

static struct spooldir d;
static struct store *s;
static struct error e;

static int begin(void **state)
{
	(void)state;
	free_bytes = all_bytes = PLENTY;
	s = life_begin(&d);
	assert_int_equal(s->page_bytes, PAGE);
	clock_test_set((int64_t)CLOCK_MS * NS_PER_MS, clock_wall_ns());
	return 0;
}

static int end(void **state)
{
	(void)state;
	clock_test_end();
	free_bytes = all_bytes = PLENTY;
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

/* So many are free, and known to be; nobody looks for the time being. */
static void known(uint64_t bytes)
{
	free_bytes = s->free_bytes = bytes;
	s->free_checked_ms = clock_mono_ms();
}

/* As many of the oldest leave as it takes, to the byte; none of those on their way. */
static bool is_that(void *arg, uint64_t id) { return id == *(const uint64_t *)arg; }

static void the_oldest_leave_to_the_byte(void **state)
{
	enum { ROWS = 40, BYTES = 110 };
	static const struct {
		uint64_t bytes, less; /* less: below max_bytes before it comes */
		bool is_low;          /* by min_free */
		uint32_t gone;
	} cases[] = {
	    {1, 0, false, 1},
	    {BYTES, 0, false, 1},
	    {BYTES + 1, 0, false, 2},
	    {BYTES, BYTES, false, 0},
	    {BYTES, BYTES - 1, false, 1},
	    {20 * BYTES, 0, false, 20},
	    {20 * BYTES + 1, 0, false, 21},
	    {BYTES, BYTES, true, 1},
	    {2 * BYTES, BYTES, true, 2},
	    {2 * BYTES + 1, BYTES, true, 3},
	    {ROWS * BYTES - 2 * BYTES, 0, false, ROWS - 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint64_t first = store_next_id(s), evicted = store_ledger(s)->evicted;
		uint64_t bytes, last, claimed = first + i % 3;

		s->options.max_bytes = 0;
		s->options.min_free_bytes = 0;
		s->full_disk = s->full_bytes = false;
		known(PLENTY);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (uint64_t n = 0; n < ROWS; n++) {
			struct message *m = message_new("0123456789", 10, (char[100]){0}, 100, 1700000000000);

			assert_int_equal(store_append(s, m, &e), ERR_OK);
			message_free(m);
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
		bytes = store_pending_bytes(s);
		assert_int_equal(bytes, ROWS * BYTES);
		s->options.evict_oldest = true;
		s->options.max_bytes = bytes + cases[i].less;
		s->full_disk = cases[i].is_low;
		store_set_claims(s, is_that, &claimed);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_make_room(s, cases[i].bytes, &e), ERR_OK);
		assert_int_equal(s->now.ledger.evicted - evicted, cases[i].gone);
		assert_int_equal(s->now.pending_bytes, bytes - cases[i].gone * BYTES);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		store_set_claims(s, NULL, NULL);
		last = first + cases[i].gone +
		       (claimed - first <= cases[i].gone - 1 && cases[i].gone > 0); /* that stays */
		for (uint64_t id = first; id < first + ROWS; id++) {
			bool is_there = false;

			assert_int_equal(store_is_pending(s, id, &is_there, &e), ERR_OK);
			assert_int_equal(is_there, id == claimed || id >= last);
			assert_int_equal(left_has(s->left, id), !is_there);
		}
		if (claimed < last)
			life_settle(s, claimed, claimed);
		life_settle(s, last, first + ROWS - 1);
		assert_int_equal(store_pending_bytes(s), 0);
	}
}

static bool is_above(void *arg, uint64_t id) { return id > *(const uint64_t *)arg; }

/* A group that is refused in the end cost nobody his place, and what it settled before is settled. */
static void a_refused_group_evicts_nobody(void **state)
{
	enum { ROWS = 40, BYTES = 110, DONE = 10 };
	uint64_t few = 3, before;
	struct totals now;

	(void)state;
	known(PLENTY);
	life_append(s, 0, ROWS);
	before = store_pending_bytes(s);
	s->options.evict_oldest = true;
	s->options.max_bytes = before;
	store_set_claims(s, is_above, &few);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &(struct store_settlement){.id = DONE, .kind = SETTLE_DELIVERED}, 1, &e),
	                 ERR_OK);
	now = s->now;
	assert_int_equal(store_make_room(s, before - BYTES, &e), ERR_FULL);
	assert_string_equal(e.text, "the spool is full and every row of it is on its way");
	assert_memory_equal(&s->now, &now, sizeof now);
	assert_int_equal(left_noted(s->left).count, 1);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(s->evict_after, 0);
	for (uint64_t id = 1; id <= ROWS; id++) {
		bool is_there = false;

		assert_int_equal(store_is_pending(s, id, &is_there, &e), ERR_OK);
		assert_int_equal(is_there, id != DONE);
		assert_int_equal(left_has(s->left, id), id == DONE);
	}
	store_set_claims(s, NULL, NULL);
	life_expect(s, ROWS, 1, ROWS - 1, 0);
	/* One that makes room: what the group appended before is not what goes. */
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_make_room(s, before, &e), ERR_OK);
	assert_int_equal(s->now.ledger.evicted, ROWS - 1);
	assert_int_equal(s->now.pending_bytes, 0);
	store_rollback(s);
	life_expect(s, ROWS, 1, ROWS - 1, 0);
}

/* How large a log may become, and how small it is not worth it. */
static void the_log_goes_into_the_database_in_time(void **state)
{
	static const struct {
		uint64_t known, now, held, reserve, least, limit;
	} cases[] = {
	    {PLENTY, PLENTY, 0, 0, MIB, 128 * MIB},
	    {PLENTY, PLENTY, 50 * MIB, 1, MIB, 40 * MIB},
	    {PLENTY, PLENTY, 50 * MIB, 0, MIB, 128 * MIB},
	    {PLENTY, 40 * MIB, 50 * MIB, 1, MIB, 10 * MIB},
	    {PLENTY, 160 * MIB, 50 * MIB, 1, MIB, 40 * MIB},
	    {PLENTY, PLENTY, 200 * MIB, 1, MIB, 128 * MIB},
	    {PLENTY, 0, 50 * MIB, 1, MIB, MIB},
	    {2 * MIB, 0, 0, 0, MIB, MIB / 2},
	    {0, 0, 0, 0, MIB, 16 * PAGE},
	    {64 * PAGE, 0, 0, 0, MIB, 16 * PAGE},
	    {68 * PAGE, 0, 0, 0, MIB, 17 * PAGE},
	    {PLENTY, 0, 0, 0, 3 * PAGE, 3 * PAGE},
	    {8 * MIB, 5 * MIB, 0, 0, MIB, 5 * MIB / 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int more = -1; more < 1; more++) {
			const uint64_t before = s->checkpoints;

			s->options.reserve_bytes = cases[i].reserve;
			s->log_held = cases[i].held;
			s->log_least = cases[i].least;
			known(cases[i].known);
			free_bytes = cases[i].now;
			s->wal_frames = (uint32_t)((cases[i].limit + PAGE - 1) / PAGE) + (uint32_t)more;
			assert_int_equal(store_checkpoint(s, false, &e), ERR_OK);
			assert_int_equal(s->checkpoints - before, more == 0);
			if (more == 0) {
				assert_int_equal(s->wal_frames, 0);
				assert_int_equal(s->free_checked_ms, 0);
			}
		}
	for (int i = 0; i < 4; i++) { /* unless it must */
		const uint64_t before = s->checkpoints;

		known(PLENTY);
		s->wal_frames = 1;
		s->log_is_due = i & 1;
		assert_int_equal(store_checkpoint(s, i & 2, &e), ERR_OK);
		assert_int_equal(s->checkpoints - before, i > 0);
		assert_false(s->log_is_due);
	}
}

/* A row of the ledger that waits goes first; where there is no room for it the log goes all the same. */
static void a_full_disk_keeps_no_log_out(void **state)
{
	static const struct {
		int code;
		enum err err;
	} cases[] = {{SQLITE_FULL, ERR_OK}, {SQLITE_NOMEM, ERR_MEMORY}};
	struct message *m = spooldir_message(1, 10);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint64_t before = s->checkpoints;

		for (int k = 0; k < 2; k++) { /* the first writes it */
			assert_int_equal(store_begin(s, &e), ERR_OK);
			store_let_ledger_wait(s);
			assert_int_equal(store_append(s, m, &e), ERR_OK);
			assert_int_equal(store_commit(s, &e), ERR_OK);
		}
		assert_true(s->lag.commits > 0);
		faultsql_arm(1, cases[i].code, false);
		assert_int_equal(store_checkpoint(s, true, &e), cases[i].err);
		assert_string_equal(faultsql_what(), "BEGIN IMMEDIATE");
		faultsql_arm(0, 0, false);
		assert_int_equal(s->checkpoints - before, cases[i].err == ERR_OK);
		s->disk_refused = false;
		life_checkpoint(s);
		assert_int_equal(s->lag.commits, 0);
	}
	message_free(m);
}

static void a_tenth_more_is_spare(void **state)
{
	static const uint64_t cases[][2] = {{0, 0},
	                                    {1, 1},
	                                    {9, 9},
	                                    {10, 11},
	                                    {19, 20},
	                                    {1000, 1100},
	                                    {10 * MIB, 11 * MIB},
	                                    {UINT64_MAX, UINT64_MAX},
	                                    {UINT64_MAX / 11 * 10 + 1, UINT64_MAX / 11 * 10 + 1},
	                                    {UINT64_MAX / 11 * 10, UINT64_MAX / 11 * 11}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		s->options.min_free_bytes = cases[i][0];
		assert_true(store_spare_bytes(s) == cases[i][1]);
	}
}

static void what_is_written_anew_is_counted(void **state)
{
	static const struct {
		enum settle_kind kind;
		uint32_t bytes;
		uint64_t want;
	} cases[] = {
	    {SETTLE_RETRY, 100, 512},  {SETTLE_DEAD, 100, 724},
	    {SETTLE_DAMAGED, 1, 514},  {SETTLE_DELIVERED, 100, 0},
	    {SETTLE_EXPIRED, 100, 0},  {SETTLE_EVICTED, 100, 0},
	    {SETTLE_FILTERED, 100, 0}, {SETTLE_DEAD, UINT32_MAX, (uint64_t)66048 + UINT32_MAX + UINT32_MAX / 8},
	    {SETTLE_RELEASE, 100, 0},  {SETTLE_FETCH, 100, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(
		    store_room_of(&(struct store_settlement){.id = 1, .kind = cases[i].kind, .bytes = cases[i].bytes}),
		    cases[i].want);
}

/* Twice as long after each refusal, half a minute at most. */
static void a_disk_that_refused_is_tried_now_and_then(void **state)
{
	static const struct {
		uint32_t refusals;
		int64_t wait_ms;
	} cases[] = {{0, 500},   {1, 500},   {2, 1000},    {3, 2000},          {6, 16000},
	             {7, 30000}, {8, 30000}, {100, 30000}, {UINT32_MAX, 30000}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int more = -1; more < 1; more++) {
			const uint64_t commits = s->durable.commits;

			known(PLENTY);
			s->disk_refused = true;
			s->refusals = cases[i].refusals;
			s->refused_ms = clock_mono_ms() - cases[i].wait_ms - more;
			assert_int_equal(store_probe_disk(s, &e), ERR_OK);
			assert_int_equal(s->disk_refused, more < 0);
			assert_int_equal(s->durable.commits - commits, more == 0); /* it was written to */
			assert_int_equal(s->refusals, cases[i].refusals);
		}
	for (int i = 0; i < 8; i++) { /* and only then */
		const bool lost = i & 1, refused = i & 2, has_room = i & 4, tries = refused && has_room && !lost;
		const uint64_t commits = s->durable.commits;

		known(has_room ? PLENTY : s->log_least);
		s->files_lost = lost;
		s->disk_refused = refused;
		s->refusals = 1;
		s->refused_ms = clock_mono_ms() - 60000;
		assert_int_equal(store_probe_disk(s, &e), ERR_OK);
		assert_int_equal(s->durable.commits - commits, tries);
		assert_int_equal(s->disk_refused, refused && !tries);
	}
	s->files_lost = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_oldest_leave_to_the_byte, begin, end),
	    cmocka_unit_test_setup_teardown(a_refused_group_evicts_nobody, begin, end),
	    cmocka_unit_test_setup_teardown(the_log_goes_into_the_database_in_time, begin, end),
	    cmocka_unit_test_setup_teardown(a_full_disk_keeps_no_log_out, begin, end),
	    cmocka_unit_test_setup_teardown(a_tenth_more_is_spare, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_written_anew_is_counted, begin, end),
	    cmocka_unit_test_setup_teardown(a_disk_that_refused_is_tried_now_and_then, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
