/*
 * Small keyed tables, number by number: positions of inputs and what they count, keys and when they end, and rows of
 * the clock, from which difference on there is one and which of them are believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_internal.h"

static struct spooldir d;
static struct store *s;
static struct error e;

static void set_clocks(int64_t mono_ms, int64_t wall_ms) { clock_test_set(mono_ms * NS_PER_MS, wall_ms * NS_PER_MS); }

static int begin(void **state)
{
	(void)state;
	set_clocks(5000000, INT64_C(1790000000000));
	s = life_begin(&d);
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_abandon(s);
	clock_test_end();
	spooldir_remove(&d);
	return 0;
}

static void put(const char *key, const char *value)
{
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, key, value, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void expect(const char *key, const char *want, bool is_damaged)
{
	char *value = NULL;
	bool damaged = !is_damaged;

	assert_int_equal(store_position_get(s, key, &value, &damaged, &e), ERR_OK);
	if (damaged != is_damaged || (value == NULL) != (want == NULL) || (want && strcmp(value, want) != 0))
		fail_msg("%s: %s, %d", key, value ? value : "none", damaged);
	free(value);
}

static uint64_t checksum_of(const char *key)
{
	char sql[100];

	(void)snprintf(sql, sizeof sql, "SELECT checksum FROM positions WHERE key = '%s'", key);
	return (uint64_t)life_number(s, sql);
}

/* One that is new takes the place of one that is gone; one that moves does not. */
static void positions_are_counted(void **state)
{
	(void)state;
	s->rows.positions_gone = s->rows_durable.positions_gone = 1;
	put("a", "1");
	assert_int_equal(s->rows.positions, 1);
	assert_int_equal(s->rows.positions_gone, 0);
	assert_true(s->rows.positions_sum == checksum_of("a"));
	s->rows.positions_gone = s->rows_durable.positions_gone = 1;
	put("a", "2");
	assert_int_equal(s->rows.positions, 1);
	assert_int_equal(s->rows.positions_gone, 1);
	assert_true(s->rows.positions_sum == checksum_of("a"));
	put("b", "");
	put("c", "3");
	assert_int_equal(s->rows.positions, 3);
	assert_int_equal(s->rows.positions_gone, 0);
	assert_true(s->rows.positions_sum == checksum_of("a") + checksum_of("b") + checksum_of("c"));
	assert_int_equal(life_number(s, "SELECT count(*) FROM positions WHERE position_is_sound(key, value, checksum)"),
	                 3);
	expect("a", "2", false);
	expect("b", "", false);
	expect("d", NULL, false);
	s->positions_lost = 1; /* it may be of this one */
	expect("d", NULL, true);
	expect("a", "2", false);
	s->positions_lost = 0;
	s->rows.positions_gone = 1;
	expect("d", NULL, true);
	expect("a", "2", false);
	s->rows.positions_gone = 0;
	s->rows.positions_off = 1; /* none of them may be the one that was written last */
	expect("d", NULL, false);
	expect("a", "2", true);
	s->rows.positions_off = 0;
	life_sql(s, "UPDATE positions SET checksum = old_position_sum(key, value) WHERE key = 'c'");
	expect("c", "3", true);
	life_sql(s, "UPDATE positions SET value = 'x' WHERE key = 'c'");
	expect("c", NULL, true);
	/* What is neither text nor bytes has none. */
	assert_int_equal(
	    life_number(s, "SELECT position_sum(NULL, 'v') = position_sum('', 'v') AND position_sum(1.5, 'v') ="
	                   " position_sum('', 'v') AND position_sum('1.5', 'v') <> position_sum('', 'v')"),
	    1);
}

static bool has_key(const char *cache, const char *key)
{
	bool known = false;

	assert_int_equal(store_cache_has(s, cache, key, strlen(key), &known, &e), ERR_OK);
	return known;
}

static bool add_key(const char *cache, const char *key, int64_t ttl_ms)
{
	bool was_new = false;

	assert_int_equal(store_cache_add(s, cache, key, strlen(key), ttl_ms, &was_new, &e), ERR_OK);
	return was_new;
}

/* To the millisecond; one that has ended is new, and is there once. */
static void keys_end(void **state)
{
	(void)state;
	assert_true(add_key("c", "k", 1000));
	assert_int_equal(s->rows.keys, 1);
	assert_false(has_key("d", "k"));
	clock_test_advance(999 * NS_PER_MS);
	assert_true(has_key("c", "k"));
	assert_false(add_key("c", "k", 1000)); /* and does not live longer for it */
	assert_true(add_key("c", "", 0));
	assert_int_equal(s->rows.keys, 2);
	clock_test_advance(NS_PER_MS);
	assert_false(has_key("c", "k"));
	assert_true(add_key("c", "k", INT64_MAX)); /* both that had ended go, and it comes */
	assert_int_equal(s->rows.keys, 1);
	assert_int_equal(life_number(s, "SELECT count(*) FROM cache"), 1);
	assert_true(life_number(s, "SELECT expires_ms FROM cache") == INT64_MAX);
	life_sql(s, "DELETE FROM cache");
	assert_true(add_key("c", "k", INT64_MAX - store_clock_ms(s) - 1));
	assert_true(life_number(s, "SELECT expires_ms FROM cache") == INT64_MAX - 1);
	assert_int_equal(s->rows.keys, 2); /* what another took away is not known here */
	assert_int_equal(
	    life_number(s, "SELECT count(*) FROM cache WHERE checksum = side_sum(8, cache, key, expires_ms)"), 1);
}

/* A key that is not what was written keeps nothing back: it is counted where a group can count it. */
static void a_key_that_lies_is_none(void **state)
{
	(void)state;
	assert_true(add_key("c", "k", 100000));
	life_sql(s, "UPDATE cache SET checksum = checksum + 1");
	assert_false(s->mend_is_due);
	assert_false(has_key("c", "k"));
	assert_true(s->mend_is_due);
	assert_int_equal(s->now.possible, 0);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	s->possible_noted = 40; /* sent and not settled */
	assert_false(has_key("c", "k"));
	assert_int_equal(s->now.possible, 41);
	assert_int_equal(s->possible_in_group, 1);
	s->possible_noted = 0;
	assert_true(add_key("c", "k", 100000));
	assert_int_equal(s->now.possible, 42);
	assert_int_equal(store_take_possible(s), 0);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_take_possible(s), 2);
	assert_int_equal(store_take_possible(s), 0);
	assert_int_equal(s->rows.keys, 1); /* it stood there still */
	assert_true(has_key("c", "k"));
	assert_int_equal(life_number(s, "SELECT count(*) FROM cache"), 1);
}

static void note(int64_t lead, size_t rows)
{
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_false(s->lead_is_noted);
	assert_int_equal(store_leads_note_as(s, lead, &e), ERR_OK);
	assert_true(s->lead_is_noted);
	assert_int_equal(store_leads_note(s, &e), ERR_OK); /* once a group */
	s->clock_is_due = true;
	assert_int_equal(store_commit(s, &e), ERR_OK);
	if (s->lead_count != rows || (size_t)life_number(s, "SELECT count(*) FROM clock WHERE checksum != 0") != rows)
		fail_msg("%zu rows, and not %zu", s->lead_count, rows);
	assert_int_equal(s->leads_durable, rows);
}

/* Some id was given out meanwhile. */
static void note_next(int64_t lead, size_t rows)
{
	s->now.next_id++;
	s->durable.next_id++;
	note(lead, rows);
}

/* From a second on a clock was set. */
static void a_clock_that_was_set_has_a_row(void **state)
{
	const int64_t lead = store_clock_lead(s);
	size_t rows;

	(void)state;
	life_append(s, 0, 10);
	rows = s->lead_count;
	assert_true(rows <= 2);
	life_sql(s, "DELETE FROM clock");
	s->lead_count = s->leads_durable = 0;
	note_next(lead, 1);
	note_next(lead + 999, 1);
	note_next(lead - 999, 1);
	note_next(lead + 1000, 2);
	note_next(lead + 1, 2);
	note_next(lead, 3);
	note_next(CLOCK_LEAD_UNKNOWN, 4);
	note_next(CLOCK_LEAD_UNKNOWN, 4);
	note_next(INT64_MIN + 1, 5);
	note_next(lead, 6);
	for (int i = 0; i < 30; i++) {
		note_next(lead + (i % 2 ? 0 : 5000), 7 + (size_t)i);
		assert_true(s->lead_capacity >= s->lead_count);
		assert_int_equal(s->leads[s->lead_count - 1].first_id, s->now.next_id);
		assert_true(s->leads[s->lead_count - 1].lead_ms == lead + (i % 2 ? 0 : 5000));
	}
	assert_true(s->leads[2].lead_ms == lead && s->leads[3].lead_ms == CLOCK_LEAD_UNKNOWN);
}

/* A message says when it was accepted by a clock that was set since; less than two seconds is the drift of one. */
static void what_was_received_is_said_by_the_lead(void **state)
{
	static const int64_t off[] = {0, 1, 1999, 2000, 2001, -1999, -2000, -90000};

	(void)state;
	for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		struct message *m = message_new(NULL, 0, "x", 1, 0), *other = message_new(NULL, 0, "y", 1, 0);
		const int64_t received = clock_wall_ms() - 300;

		m->accepted_ms = clock_mono_ms() - 300;
		m->received_ms = received + off[i];
		*other = *m;
		STAILQ_INSERT_TAIL(&list, m, link);
		STAILQ_INSERT_TAIL(&list, other, link);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_clock_stamp(s, &list, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		STAILQ_FOREACH (m, &list, link)
			assert_int_equal(m->received_ms, llabs(off[i]) >= 2000 ? received : received + off[i]);
		message_list_free(&list);
	}
	{
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		const size_t rows = s->lead_count;

		clock_test_set(clock_mono_ns(), clock_wall_ns() + 9 * NS_PER_S);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_clock_stamp(s, &list, &e), ERR_OK);
		assert_int_equal(s->lead_count, rows); /* nobody came */
		store_rollback(s);
	}
}

static bool is_sound(const char *row, uint32_t tag)
{
	sqlite3_stmt *st = NULL;
	bool sound;
	char sql[200];

	(void)snprintf(sql, sizeof sql, "SELECT %s", row);
	assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	sound = store_lead_is_sound(st, tag);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return sound;
}

static void rows_of_the_clock_say_what_they_are(void **state)
{
	static const uint64_t numbers[] = {7, 8};
	const uint32_t tag = s->tag;
	char row[200];

	(void)state;
	assert_true(is_sound("0, 0, 0", tag)); /* the first, which schema/ gives */
	assert_false(is_sound("1, 0, 0", tag));
	assert_false(is_sound("0, 1, 0", tag));
	(void)snprintf(row, sizeof row, "7, 8, %lld", (long long)sum_numbers(tag, SUM_OF_LEAD, numbers, 2));
	assert_true(is_sound(row, tag));
	assert_true(is_sound(row, 0));
	assert_false(is_sound(row, tag + 1));
	(void)snprintf(row, sizeof row, "8, 8, %lld", (long long)sum_numbers(tag, SUM_OF_LEAD, numbers, 2));
	assert_false(is_sound(row, tag));
	(void)snprintf(row, sizeof row, "7, 7, %lld", (long long)sum_numbers(tag, SUM_OF_LEAD, numbers, 2));
	assert_false(is_sound(row, tag));
	(void)snprintf(row, sizeof row, "7, 8, %lld", (long long)sum_numbers(tag, SUM_OF_MARK, numbers, 2));
	assert_false(is_sound(row, tag));
}

/* What none that waits was received under is left out; of a row that lies, or is gone, all is forgotten. */
static void rows_of_the_clock_are_believed_together(void **state)
{
	static const struct {
		const char *sql;
		int print; /* 0: none, 1: that of the last row, 2: another */
		size_t count;
		uint64_t first;
		const char *says;
	} cases[] = {
	    {"SELECT 1", 0, 3, 21, ""},
	    {"SELECT 1", 1, 3, 21, ""},
	    {"SELECT 1", 2, 1, 0, "rows of the clock were gone: no message that waits now is too old"},
	    {"UPDATE clock SET lead_ms = lead_ms + 1 WHERE first_id = 41", 0, 1, 0,
	     "a row of the clock was damaged: no message that waits now is too old"},
	    {"UPDATE clock SET lead_ms = lead_ms + 1 WHERE first_id = 1", 1, 1, 0,
	     "a row of the clock was damaged: no message that waits now is too old"},
	    {"DELETE FROM clock", 0, 1, 0, "a row of the clock was damaged: no message that waits now is too old"},
	    {"DELETE FROM clock WHERE first_id = 21", 1, 3, 11, ""}, /* that one stood there nobody knows */
	};
	const int64_t lead = store_clock_lead(s);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct store_report report = {0};
		uint64_t print;

		(void)end(NULL);
		(void)begin(NULL);
		life_sql(s, "DELETE FROM clock");
		s->lead_count = s->leads_durable = 0;
		for (uint64_t n = 0; n < 5; n++) {
			note(lead + (int64_t)n * 5000, n + 1);
			assert_int_equal(s->leads[n].first_id, 10 * n + 1);
			s->lead_is_noted = true;
			clock_test_set(clock_mono_ns(), INT64_C(1790000000000) * NS_PER_MS + (int64_t)n * 5 * NS_PER_S);
			life_append(s, 10 * n, 10);
		}
		life_settle(s, 1, 20);
		life_sql(s, cases[i].sql);
		print = cases[i].print == 0 ? 0 : store_leads_last(s) + (cases[i].print == 2);
		assert_int_equal(store_leads_load(s, print, &report, &e), ERR_OK);
		assert_string_equal(report.warning, cases[i].says);
		if (s->lead_count != cases[i].count || s->leads[0].first_id != cases[i].first)
			fail_msg("case %zu: %zu rows from %d", i, s->lead_count, (int)s->leads[0].first_id);
		assert_int_equal(s->leads_durable, s->lead_count);
		assert_int_equal(s->leads_are_lost, *cases[i].says != '\0');
		assert_int_equal(s->leads[0].lead_ms == CLOCK_LEAD_UNKNOWN, s->leads_are_lost);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_leads_mend(s, &e), ERR_OK);
		assert_false(s->leads_are_lost);
		s->clock_is_due = true;
		assert_int_equal(store_commit(s, &e), ERR_OK);
		if (*cases[i].says == '\0')
			continue;
		assert_int_equal(life_number(s, "SELECT count(*) FROM clock"), 1);
		assert_true(life_number(s, "SELECT lead_ms FROM clock WHERE first_id = 0") == CLOCK_LEAD_UNKNOWN);
		assert_int_equal(store_leads_load(s, 0, NULL, &e), ERR_OK);
		assert_false(s->leads_are_lost);
		assert_int_equal(s->lead_count, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(positions_are_counted, begin, end),
	    cmocka_unit_test_setup_teardown(keys_end, begin, end),
	    cmocka_unit_test_setup_teardown(a_key_that_lies_is_none, begin, end),
	    cmocka_unit_test_setup_teardown(a_clock_that_was_set_has_a_row, begin, end),
	    cmocka_unit_test_setup_teardown(what_was_received_is_said_by_the_lead, begin, end),
	    cmocka_unit_test_setup_teardown(rows_of_the_clock_say_what_they_are, begin, end),
	    cmocka_unit_test_setup_teardown(rows_of_the_clock_are_believed_together, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
