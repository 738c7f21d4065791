/*
 * The wall clock is set, forward and back, while a spool is open and while it is not: retries wait their own wait, keys
 * are known for their own time, and a message is as old as the uptime says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "rig/ownclock.h"

/* steps: what is added to the wall clock, in days; each while the spool is open, or while it is closed. */
static void a_retry_waits_its_own_wait(void **state)
{
	static const int days[] = {30, -30, 1, -1};

	(void)state;
	for (int i = 0; i < 8; i++) {
		int64_t step = days[i / 2] * DAY_MS;
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		set_clocks(5000, NOW_MS);
		s = open_it(&d);
		append_now(s);
		append_now(s);
		fail_for(s, 1, 2000);
		let_pass(500);
		if (i % 2 == 0) {
			set_wall(wall_ms + step);
		} else {
			ok(store_close(s, e));
			set_wall(wall_ms + step);
			s = open_it(&d);
		}
		assert_int_equal(waits_ms(s), 1500);
		assert_int_equal(age_ms(s, 2), 500);
		let_pass(1000);
		assert_int_equal(waits_ms(s), 500);
		assert_int_equal(age_ms(s, 2), 1500);
		ok(store_close(s, e));
		clock_test_end();
		spooldir_remove(&d);
	}
}

/* A machine without a clock of its own: 1970 after each start, right as soon as the network is there. */
static void a_boot_in_1970_ends_nothing(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	clock_test_boot(1);
	set_clocks(5000, 5000);
	s = open_it(&d);
	append_now(s);
	let_pass(1000);
	set_wall(NOW_MS);
	append_now(s);
	let_pass(1000);
	assert_int_equal(age_ms(s, 1), 2000);
	assert_int_equal(age_ms(s, 2), 1000);
	fail_for(s, 2, 10000);
	store_abandon(s);
	clock_test_boot(2); /* the power was gone for how long? */
	set_clocks(3000, 3000);
	s = open_it(&d);
	assert_int_equal(age_ms(s, 1), 2000);
	assert_int_equal(waits_ms(s), 10000);
	append_now(s);
	let_pass(500);
	set_wall(NOW_MS + 5 * DAY_MS);
	assert_int_equal(age_ms(s, 1), 2500);
	assert_int_equal(age_ms(s, 3), 500);
	ok(store_close(s, e));
	s = open_it(&d);
	assert_int_equal(age_ms(s, 1), 2500);
	assert_int_equal(age_ms(s, 3), 500);
	ok(store_close(s, e));
	clock_test_end();
	spooldir_remove(&d);
}

static void a_key_is_known_for_its_own_time(void **state)
{
	struct spooldir d;
	struct store *s;
	bool is_new;

	(void)state;
	spooldir_make(&d);
	set_clocks(5000, NOW_MS);
	s = open_it(&d);
	ok(store_cache_add(s, "c", "k", 1, 60000, &is_new, e));
	set_wall(NOW_MS + 30 * DAY_MS);
	assert_true(is_known(s));
	ok(store_close(s, e));
	set_wall(NOW_MS - 30 * DAY_MS);
	s = open_it(&d);
	let_pass(59999);
	assert_true(is_known(s));
	let_pass(1);
	assert_false(is_known(s));
	ok(store_close(s, e));
	clock_test_end();
	spooldir_remove(&d);
}

/* What a group noted that did not happen did not happen. */
static void an_undone_group_leaves_no_time_behind(void **state)
{
	struct message *m;
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	set_clocks(5000, NOW_MS);
	s = open_it(&d);
	append_now(s);
	set_wall(NOW_MS + DAY_MS);
	m = message_new(NULL, 0, "x", 1, clock_wall_ms());
	ok(store_begin(s, e));
	ok(store_append(s, m, e));
	store_rollback(s);
	set_wall(NOW_MS - DAY_MS);
	append_now(s); /* id 3: 2 was given out once */
	let_pass(100);
	assert_int_equal(age_ms(s, 1), 100);
	assert_int_equal(age_ms(s, 3), 100);
	message_free(m);
	ok(store_close(s, e));
	clock_test_end();
	spooldir_remove(&d);
}

/* ahead: the clock of the machine where a copy is made, which may be set right in between; here it is right. */
static void a_copy_s_messages_are_as_old_as_they_were_there(void **state)
{
	static const int64_t ahead[] = {0, 30, -30, -20000};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof ahead / sizeof *ahead; i++) {
		const bool is_set = i % 2 == 1;
		struct spooldir there, here;
		struct store *s;
		uint64_t rows;
		char *copy;

		spooldir_make(&there);
		spooldir_make(&here);
		copy = mem_format("%s.copy", there.path);
		clock_test_boot(1);
		set_clocks(5000, NOW_MS + ahead[i / 2] * DAY_MS);
		s = open_it(&there);
		append_now(s);
		let_pass(3000);
		if (is_set)
			set_wall(NOW_MS + 3000);
		append_now(s);
		let_pass(4000);
		append_now(s);
		ok(store_export(s, copy, e));
		ok(store_close(s, e));

		clock_test_boot(2); /* another machine, a while later */
		set_clocks(100000, NOW_MS + 5 * DAY_MS);
		s = open_it(&here);
		append_now(s);
		let_pass(1000);
		ok(store_import(s, copy, false, &rows, e));
		assert_int_equal(rows, 3);
		assert_int_equal(age_ms(s, 1), 1000);
		assert_in_range(age_ms(s, 2), 7000, 7000 + CLOCK_STEP_MS);
		assert_in_range(age_ms(s, 3), 4000, 4000 + CLOCK_STEP_MS);
		assert_in_range(age_ms(s, 4), 0, CLOCK_STEP_MS);
		append_now(s);
		let_pass(500);
		set_wall(NOW_MS);
		assert_in_range(age_ms(s, 2), 7500, 7500 + CLOCK_STEP_MS);
		assert_int_equal(last_age_ms(s), 500);
		ok(store_close(s, e));
		s = open_it(&here);
		assert_in_range(age_ms(s, 4), 500, 500 + CLOCK_STEP_MS);
		assert_int_equal(last_age_ms(s), 500);
		ok(store_close(s, e));
		clock_test_end();
		free(copy);
		spooldir_remove(&there);
		spooldir_remove(&here);
	}
}

/* So many steps of the clock, each as it would be written, the last one at message 1. */
static void crowd_clock(sqlite3 *db, uint32_t tag)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_exec(db, "BEGIN; DELETE FROM clock", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(db, "INSERT INTO clock(first_id, lead_ms, checksum) VALUES(?,?,?)", -1, &st, NULL),
	    SQLITE_OK);
	for (uint64_t i = 0; i <= CLOCK_LEADS_MAX; i++) {
		const uint64_t row[] = {i < 2 ? i : 1000 + i,
		                        i % 2 == 0 ? (uint64_t)(-50 * DAY_MS) : (uint64_t)(-90 * DAY_MS)};

		(void)sqlite3_bind_int64(st, 1, (int64_t)row[0]);
		(void)sqlite3_bind_int64(st, 2, (int64_t)row[1]);
		(void)sqlite3_bind_int64(st, 3, sum_numbers(tag, SUM_OF_LEAD, row, 2));
		assert_int_equal(sqlite3_step(st), SQLITE_DONE);
		assert_int_equal(sqlite3_reset(st), SQLITE_OK);
	}
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
}

/* A copy that does not say soundly how old its messages are: they are not too old. */
static void a_copy_without_a_sound_clock_ends_nothing(void **state)
{
	static const char *const harms[] = {"UPDATE clock SET lead_ms = lead_ms + 1", "DELETE FROM clock",
	                                    "UPDATE ledger SET checksum = checksum + 1", NULL};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct spooldir there, here;
		struct store *s;
		uint64_t rows;
		uint32_t tag;
		char *copy;
		sqlite3 *db;

		spooldir_make(&there);
		spooldir_make(&here);
		copy = mem_format("%s.copy", there.path);
		set_clocks(5000, NOW_MS);
		s = open_it(&there);
		append_now(s);
		tag = s->tag;
		ok(store_export(s, copy, e));
		ok(store_close(s, e));
		assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
		if (harms[i])
			assert_int_equal(sqlite3_exec(db, harms[i], NULL, NULL, NULL), SQLITE_OK);
		else
			crowd_clock(db, tag);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		let_pass(40 * DAY_MS);
		s = open_it(&here);
		ok(store_import(s, copy, false, &rows, e));
		assert_int_equal(age_ms(s, 1), 0);
		append_now(s);
		let_pass(200);
		assert_int_equal(last_age_ms(s), 200);
		ok(store_close(s, e));
		clock_test_end();
		free(copy);
		spooldir_remove(&there);
		spooldir_remove(&here);
	}
}

static void read_back(struct store *s)
{
	uint64_t first, last;
	bool more = true;

	while (more)
		ok(store_salvage(s, 1000, &first, &last, &more, e));
}

static struct store *a_life_with_a_step(const struct spooldir *d, int64_t step_ms)
{
	struct store *s;

	set_clocks(5000, NOW_MS);
	s = open_it(d);
	read_back(s);
	append_now(s);
	let_pass(1000);
	set_wall(wall_ms + step_ms);
	append_now(s);
	let_pass(2000);
	return s;
}

/* A page of the clock as it was before the last step: what it does not say any more makes nothing old. */
static void a_clock_of_an_earlier_time_ends_nothing(void **state)
{
	static const int64_t steps[] = {30 * DAY_MS, -30 * DAY_MS};

	(void)state;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct store_report report;
		struct store_options o;
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		ok(store_close(a_life_with_a_step(&d, steps[i]), e));
		s = open_it(&d);
		read_back(s);
		assert_in_range(age_ms(s, 1), 3000, 3000 + CLOCK_STEP_MS);
		assert_int_equal(sqlite3_exec(s->db, "DELETE FROM clock WHERE first_id > 0", NULL, NULL, NULL),
		                 SQLITE_OK);
		ok(store_close(s, e));
		o = spooldir_options(&d);
		ok(store_open(&o, &s, &report, e));
		assert_non_null(strstr(report.warning, "rows of the clock were gone"));
		assert_int_equal(age_ms(s, 1), 0);
		assert_int_equal(age_ms(s, 2), 0);
		read_back(s);
		append_now(s);
		ok(store_close(s, e));
		let_pass(700);
		ok(store_open(&o, &s, &report, e)); /* told once */
		assert_string_equal(report.warning, "");
		assert_int_equal(age_ms(s, 1), 0);
		assert_int_equal(age_ms(s, 3), 700);
		ok(store_close(s, e));
		clock_test_end();
		spooldir_remove(&d);
	}
}

/* The spool's own time goes on where its database cannot be read for a while: what comes back later is as old as it is,
 * and so is what came in meanwhile. has_rows: its clock comes back too. */
static void what_comes_back_later_is_as_old_as_it_is(void **state)
{
	static const int64_t steps[] = {0, 30 * DAY_MS, -30 * DAY_MS};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof steps / sizeof *steps; i++) {
		const bool has_rows = i % 2 == 0 || steps[i / 2] == 0;
		struct spooldir d;
		struct store *s;
		char *away;

		spooldir_make(&d);
		away = mem_format("%s.quarantine-20260101T000000Z-000", d.path);
		s = a_life_with_a_step(&d, steps[i / 2]);
		ok(store_close(s, e));
		s = open_it(&d);
		if (!has_rows)
			assert_int_equal(sqlite3_exec(s->db, "DELETE FROM clock", NULL, NULL, NULL), SQLITE_OK);
		ok(store_close(s, e));
		assert_int_equal(rename(d.path, spooldir_file(&d, ".away")), 0);
		s = open_it(&d);
		read_back(s);
		append_now(s);
		let_pass(500);
		assert_int_equal(last_age_ms(s), 500);
		ok(store_close(s, e));
		assert_int_equal(rename(spooldir_file(&d, ".away"), away), 0);
		s = open_it(&d);
		read_back(s);
		assert_in_range(age_ms(s, 1), has_rows ? 3500 : 0, 3500 + CLOCK_STEP_MS);
		assert_in_range(age_ms(s, 2), has_rows ? 2500 : 0, 2500 + CLOCK_STEP_MS);
		assert_int_equal(last_age_ms(s), 500);
		ok(store_close(s, e));
		clock_test_end();
		free(away);
		spooldir_remove(&d);
	}
}

/* A door's message was on its way, for longer than a turn of delivery, when the clock was set: before its group. */
static void a_clock_set_while_messages_come_in_makes_none_older(void **state)
{
	static const int64_t froms[] = {NOW_MS, 5000, NOW_MS, NOW_MS, NOW_MS - 1},
	                     tos[] = {NOW_MS + 30 * DAY_MS, NOW_MS, NOW_MS - 30 * DAY_MS, NOW_MS + 5000, 5000};

	(void)state;
	for (size_t i = 0; i < sizeof froms / sizeof *froms; i++) {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list), none = STAILQ_HEAD_INITIALIZER(none);
		struct message *m, *shelved;
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		set_clocks(100000, froms[i]);
		s = open_it(&d);
		append_now(s);
		m = message_new(NULL, 0, "x", 1, clock_wall_ms());
		shelved = message_new(NULL, 0, "y", 1, clock_wall_ms());
		STAILQ_INSERT_TAIL(&list, m, link);
		STAILQ_INSERT_TAIL(&list, shelved, link);
		let_pass(20000);
		set_wall(tos[i]);
		ok(store_begin(s, e));
		ok(store_clock_stamp(s, &none, e));
		assert_int_equal(s->lead_count, 1); /* for no message none is noted */
		ok(store_clock_stamp(s, &list, e));
		ok(store_append_list(s, &list, e));
		ok(store_commit(s, e));
		assert_int_equal(m->received_ms, tos[i] - 20000);
		message_list_free(&list);
		let_pass(700);
		for (int opens = 0; opens < 3; opens++) {
			assert_int_equal(age_ms(s, 1), 20700);
			assert_int_equal(age_ms(s, 2), 20700);
			ok(store_close(s, e));
			set_wall(wall_ms + (opens ? -DAY_MS : DAY_MS));
			s = open_it(&d);
		}
		ok(store_close(s, e));
		clock_test_end();
		spooldir_remove(&d);
	}
}

/* What no clock says is no age: a row of a clock that was not set, of times that are none. */
static void an_age_is_one(void **state)
{
	static const struct {
		int64_t lead_ms, received_ms, wanted_ms;
	} cases[] = {
	    {0, NOW_MS - 500, 500},
	    {0, NOW_MS, 0},
	    {0, NOW_MS + 1, 0},
	    {0, INT64_MAX, 0},
	    {0, INT64_MIN, 0},
	    {0, 1000, 0},
	    {0, CLOCK_UNSET_MS - 1, 0},
	    {0, CLOCK_UNSET_MS, NOW_MS - CLOCK_UNSET_MS},
	    {999, NOW_MS - 500, 500},
	    {1000, NOW_MS - 500, 1500},
	    {-DAY_MS, NOW_MS - DAY_MS - 500, 500},
	    {-DAY_MS, NOW_MS, 0},
	    {DAY_MS, NOW_MS + DAY_MS - 7, 7},
	    {DAY_MS, NOW_MS - 7, DAY_MS + 7},
	    {5000 - NOW_MS, 4000, 1000},
	    {CLOCK_LEAD_UNKNOWN, 1, 0},
	    {DAY_MS, NOW_MS - CLOCK_AGE_MOST_MS, CLOCK_AGE_MOST_MS},
	};
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	set_clocks(5000, NOW_MS);
	s = open_it(&d);
	append_now(s);
	assert_true(s->lead_count > 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		s->leads[0].lead_ms = cases[i].lead_ms;
		if (store_clock_age_ms(s, 1, cases[i].received_ms) != cases[i].wanted_ms)
			fail_msg("case %zu: %lld", i, (long long)store_clock_age_ms(s, 1, cases[i].received_ms));
	}
	store_abandon(s);
	clock_test_end();
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_retry_waits_its_own_wait),
	    cmocka_unit_test(a_boot_in_1970_ends_nothing),
	    cmocka_unit_test(a_key_is_known_for_its_own_time),
	    cmocka_unit_test(a_copy_s_messages_are_as_old_as_they_were_there),
	    cmocka_unit_test(a_copy_without_a_sound_clock_ends_nothing),
	    cmocka_unit_test(a_clock_of_an_earlier_time_ends_nothing),
	    cmocka_unit_test(what_comes_back_later_is_as_old_as_it_is),
	    cmocka_unit_test(an_undone_group_leaves_no_time_behind),
	    cmocka_unit_test(a_clock_set_while_messages_come_in_makes_none_older),
	    cmocka_unit_test(an_age_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
