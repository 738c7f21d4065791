/*
 * How far the wall clock was ahead when each message of a copy was accepted: what the copy's rows say, moved by how far
 * its own time is from ours; and nothing of any of them where one row is not what was written, or cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/fullspool.h"
#include "store/upkeep/store_upkeep_internal.h"

enum { AHEAD = 7000 }; /* the copy's own time, of ours */

static struct spooldir d;
static struct store *s;

static int begin(void **state)
{
	(void)state;
	s = life_begin(&d);
	life_append(s, 0, 10);
	life_sql(s, "DELETE FROM clock");
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

static void put_lead(int64_t first_id, int64_t lead_ms, int64_t wrong)
{
	const uint64_t numbers[] = {(uint64_t)first_id, (uint64_t)lead_ms};
	static sqlite3_stmt *st;

	assert_int_equal(sqlite3_prepare_v2(s->db,
	                                    "INSERT INTO clock (first_id, lead_ms, checksum) VALUES (?1, ?2, ?3)", -1,
	                                    &st, NULL),
	                 SQLITE_OK);
	(void)sqlite3_bind_int64(st, 1, first_id);
	(void)sqlite3_bind_int64(st, 2, lead_ms);
	(void)sqlite3_bind_int64(st, 3, sum_numbers(s->tag, SUM_OF_LEAD, numbers, 2) + wrong);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

static struct copy_clock read_clock(void)
{
	struct totals there;
	struct copy_clock c;
	struct error e;
	bool found;

	assert_int_equal(store_ledger_of(s->db, &there, &found, &e), ERR_OK);
	assert_true(found && there.clock_ms > AHEAD);
	assert_int_equal(copy_clock_read(s->db, s->tag, (int64_t)there.clock_ms - AHEAD, &c, &e), ERR_OK);
	return c;
}

static void each_message_has_its_lead(void **state)
{
	static const struct {
		uint64_t id;
		int64_t lead;
	} ids[] = {{0, CLOCK_LEAD_UNKNOWN}, {1, CLOCK_LEAD_UNKNOWN}, {2, 100 + AHEAD},        {10, 100 + AHEAD},
	           {11, -200 + AHEAD},      {11, -200 + AHEAD},      {20, -200 + AHEAD},      {21, 300 + AHEAD},
	           {9999, 300 + AHEAD},     {20, -200 + AHEAD},      {1, CLOCK_LEAD_UNKNOWN}, {30, 300 + AHEAD},
	           {2, 100 + AHEAD},        {1, CLOCK_LEAD_UNKNOWN}};
	struct copy_clock c;

	(void)state;
	put_lead(21, 300, 0);
	put_lead(2, 100, 0);
	put_lead(11, -200, 0);
	c = read_clock();
	assert_int_equal(c.count, 3);
	assert_int_equal(c.ahead_ms, AHEAD);
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
		if (copy_clock_lead(&c, ids[i].id) != ids[i].lead)
			fail_msg("ask %zu, id %d", i, (int)ids[i].id);
	copy_clock_fini(&c);
}

/* All of a kind: one that is wrong says that any may be. */
static void one_that_is_wrong_ends_them_all(void **state)
{
	static const struct {
		int64_t lead, wrong;
		bool is_known;
	} cases[] = {
	    {5, 0, true},
	    {5, 1, false},
	    {(INT64_C(1) << 52) - 1, 0, true},
	    {INT64_C(1) << 52, 0, false},
	    {1 - (INT64_C(1) << 52), 0, true},
	    {-(INT64_C(1) << 52), 0, false},
	    {CLOCK_LEAD_UNKNOWN, 0, false},
	    {INT64_MAX, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int64_t at = 1; at <= 3; at++) {
			struct copy_clock c;

			life_sql(s, "DELETE FROM clock");
			for (int64_t n = 1; n <= 3; n++)
				put_lead(n * 10, n == at ? cases[i].lead : n, n == at ? cases[i].wrong : 0);
			c = read_clock();
			assert_int_equal(c.count, cases[i].is_known ? 3 : 0);
			assert_int_equal(copy_clock_lead(&c, (uint64_t)at * 10),
			                 cases[i].is_known ? cases[i].lead + AHEAD : CLOCK_LEAD_UNKNOWN);
			copy_clock_fini(&c);
		}
}

static void there_are_not_too_many(void **state)
{
	struct copy_clock c;

	(void)state;
	life_sql(s, "BEGIN");
	for (int64_t n = 1; n <= CLOCK_LEADS_MAX; n++)
		put_lead(n, n, 0);
	life_sql(s, "COMMIT");
	c = read_clock();
	assert_int_equal(c.count, CLOCK_LEADS_MAX);
	assert_int_equal(copy_clock_lead(&c, CLOCK_LEADS_MAX), CLOCK_LEADS_MAX + AHEAD);
	copy_clock_fini(&c);
	put_lead(CLOCK_LEADS_MAX + 1, 1, 0);
	c = read_clock();
	assert_int_equal(c.count, 0);
	copy_clock_fini(&c);
}

/* No ledger that says how its own time stands, no checksums, no rows: nothing is known, and nothing is wrong. */
static void nothing_is_known_of_an_older_one(void **state)
{
	static const char *const harms[] = {"DELETE FROM clock", "DELETE FROM ledger",
	                                    "ALTER TABLE clock DROP COLUMN checksum"};
	struct copy_clock c;
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		if (i == 1)
			put_lead(1, 5, 0);
		life_sql(s, harms[i]);
		assert_int_equal(copy_clock_read(s->db, s->tag, 1, &c, &e), ERR_OK);
		assert_int_equal(c.count, 0);
		assert_int_equal(copy_clock_lead(&c, 5), CLOCK_LEAD_UNKNOWN);
		copy_clock_fini(&c);
	}
}

/* How the copy's own time stands: none, or one that no clock shows, says nothing of any message. */
static void the_time_of_the_copy_can_be(void **state)
{
	static const struct {
		int64_t clock_ms;
		bool is_known;
	} cases[] = {
	    {0, false}, {1, true}, {(INT64_C(1) << 52) - 1, true}, {INT64_C(1) << 52, false}, {INT64_MIN, false},
	};
	struct copy_clock c;
	struct error e;

	(void)state;
	put_lead(1, 5, 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		s->now.clock_ms = (uint64_t)cases[i].clock_ms;
		assert_int_equal(store_ledger_put(s, &e), ERR_OK);
		assert_int_equal(copy_clock_read(s->db, s->tag, 100, &c, &e), ERR_OK);
		assert_int_equal(c.count, cases[i].is_known ? 1 : 0);
		assert_int_equal(copy_clock_lead(&c, 5),
		                 cases[i].is_known ? 5 + cases[i].clock_ms - 100 : CLOCK_LEAD_UNKNOWN);
		copy_clock_fini(&c);
	}
}

/* What cannot be read is no clock that says nothing. */
static void a_call_that_fails_is_told(void **state)
{
	struct copy_clock c;
	struct error e;
	uint64_t n = 1;

	(void)state;
	put_lead(1, 5, 0);
	put_lead(2, 6, 0);
	for (bool failed = true; failed; n++) {
		enum err err;

		faultsql_arm(n, SQLITE_NOMEM, false);
		err = copy_clock_read(s->db, s->tag, 1, &c, &e);
		failed = faultsql_failed();
		faultsql_arm(0, 0, false);
		assert_int_equal(err, failed ? ERR_MEMORY : ERR_OK);
		copy_clock_fini(&c);
	}
	assert_in_range(n, 6, 30);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_message_has_its_lead, begin, end),
	    cmocka_unit_test_setup_teardown(one_that_is_wrong_ends_them_all, begin, end),
	    cmocka_unit_test_setup_teardown(there_are_not_too_many, begin, end),
	    cmocka_unit_test_setup_teardown(nothing_is_known_of_an_older_one, begin, end),
	    cmocka_unit_test_setup_teardown(the_time_of_the_copy_can_be, begin, end),
	    cmocka_unit_test_setup_teardown(a_call_that_fails_is_told, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
