/*
 * Rows beside the messages, one of them damaged: nothing waits for ever, nothing is dropped, what is sent again is
 * counted, and all of it is told. What one wrong bit explains is as it was.
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
#include "base/buf.h"
#include "rig/sides.h"
#include "store/blocks/side.h"
#include "store/store_mend.h"

enum { MESSAGES = SIDES_MESSAGES, FAILED = 20, LONG_MS = 30 * 60 * 1000 };

static void retry(struct store *s, uint64_t first, uint64_t last, int64_t wait_ms)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id <= last; id++)
		assert_int_equal(
		    store_settle(s,
		                 &(struct store_settlement){
		                     .id = id, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = wait_ms, .code = "Slow"},
		                 1, &e),
		    ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* Messages that can be had now: those that did not fail, and those that are due within `ahead_ms`. */
static uint64_t take(struct store *s, int64_t ahead_ms, struct message_list *list)
{
	uint64_t total = 0, last;
	uint32_t count;
	struct error e;

	assert_int_equal(store_read(s, 0, 1000, UINT64_MAX, list, &count, &last, &e), ERR_OK);
	total += count;
	assert_int_equal(
	    store_read_due(s, store_clock_ms(s) + ahead_ms, 1000, UINT64_MAX, NULL, NULL, list, &count, &e), ERR_OK);
	return total + count;
}

static uint64_t ready(struct store *s, int64_t ahead_ms)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const uint64_t count = take(s, ahead_ms, &list);

	message_list_free(&list);
	return count;
}

/* All that waits leaves, each message by itself. */
static void drain(struct store *s)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;

	(void)take(s, LONG_MS + 60000, &list);
	STAILQ_FOREACH (m, &list, link)
		life_settle(s, m->id, m->id);
	message_list_free(&list);
	assert_int_equal(store_ledger(s)->pending, 0);
}

/* In the file of a closed spool: an entry of the index says another time than the table. How many were changed. */
static int harm_index(const struct spooldir *d, const char *index, int64_t value, unsigned bit)
{
	size_t bytes, from;
	unsigned char *data = spooldir_load(d->path, &bytes), pattern[6];
	sqlite3 *db;
	sqlite3_stmt *st;
	char *sql = mem_format("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", index);
	int found = 0;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	from = ((size_t)sqlite3_column_int64(st, 0) - 1) * 4096;
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (unsigned char)(value >> (40 - 8 * i));
	for (size_t i = from; i + sizeof pattern <= from + 4096 && i + sizeof pattern <= bytes; i++)
		if (memcmp(data + i, pattern, sizeof pattern) == 0) {
			found++;
			data[i + (5 - bit / 8)] ^= (unsigned char)(1 << bit % 8);
			break;
		}
	spooldir_store(d->path, data, bytes);
	free(data);
	free(sql);
	return found;
}

static struct store *with_failures(struct spooldir *d)
{
	struct store *s = life_begin(d);

	life_append(s, 0, MESSAGES);
	retry(s, 1, FAILED, LONG_MS);
	return s;
}

/* One bit of the index, of each height that a time has: the table knows. */
static void an_index_that_lies_about_a_time_is_made_anew(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 44; bit += 3) {
		struct spooldir d;
		struct store *s = with_failures(&d);
		char *nth = mem_format("SELECT next_ms FROM failures WHERE id = %u", bit % FAILED + 1);
		const int64_t next = life_number(s, nth);
		struct store_report report = {0};

		free(nth);
		life_close(s);
		assert_int_equal(harm_index(&d, "failures_next", next, bit), 1);
		assert_true(life_problems(&d, NULL, 0) > 0);
		s = life_open(&d, &report);
		assert_non_null(strstr(report.warning, "index of retry times"));
		assert_int_equal(ready(s, LONG_MS + 60000), MESSAGES);
		life_settle(s, 1, MESSAGES); /* its rows leave the index too */
		life_expect(s, MESSAGES, MESSAGES, 0, 0);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		spooldir_remove(&d);
	}
}

/* The row itself: whatever it says, its message is sent at once. */
static void a_damaged_row_of_failures_holds_nothing_back(void **state)
{
	static const char *const harm[] = {
	    "UPDATE failures SET next_ms = next_ms | 1 << 50 WHERE id = 3",
	    "UPDATE failures SET next_ms = next_ms + 1000 WHERE id = 3",
	    "UPDATE failures SET attempts = attempts | 64 WHERE id = 3",
	    "UPDATE failures SET attempts = -5 WHERE id = 3",
	    "UPDATE failures SET first_ms = first_ms - 1 WHERE id = 3",
	    "UPDATE failures SET code = 'Slox' WHERE id = 3",
	    "UPDATE failures SET reason = 'x' WHERE id = 3",
	    "UPDATE failures SET checksum = checksum + 1 WHERE id = 3",
	    "UPDATE failures SET id = 3 + 4096 WHERE id = 3",
	    "UPDATE failures SET id = 33 WHERE id = 3",
	};
	(void)state;
	for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
		struct spooldir d;
		struct store *s = with_failures(&d);
		struct store_report report = {0};

		life_sql(s, harm[i]);
		life_close(s);
		assert_true(life_problems(&d, NULL, 0) > 0);
		s = life_open(&d, &report);
		assert_non_null(strstr(report.warning, "of 1 messages the attempts were damaged"));
		assert_int_equal(ready(s, 0), MESSAGES - FAILED + 1); /* it is among those that are had at once */
		assert_int_equal(life_number(s, "SELECT count(*) FROM failures WHERE id IN (3, 33, 3 + 4096)"), 0);
		life_expect(s, MESSAGES, 0, MESSAGES, 0);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		spooldir_remove(&d);
	}
}

/* Met while it runs, without an open in between. */
static void a_row_that_is_damaged_while_it_runs_is_noticed(void **state)
{
	static const char *const harm[] = {"UPDATE failures SET attempts = 7 WHERE id = 1",
	                                   "UPDATE failures SET checksum = 5 WHERE id = 20"};
	(void)state;
	for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
		struct spooldir d;
		struct store *s = with_failures(&d);
		struct store_report report;
		struct error e;

		life_sql(s, harm[i]);
		assert_false(store_mend_is_due(s));
		(void)ready(s, LONG_MS + 60000);
		assert_true(store_mend_is_due(s));
		assert_int_equal(store_mend(s, false, &report, &e), ERR_OK);
		assert_false(store_mend_is_due(s));
		assert_non_null(strstr(report.warning, "attempts were damaged"));
		assert_int_equal(ready(s, LONG_MS + 60000), MESSAGES);
		life_end(&d, s);
	}
}

/* More than a bit: what had left is sent again, and counted; nothing is invented. */
static void what_a_lost_mark_sends_again_is_counted(void **state)
{
	static const struct {
		const char *harm;
		uint64_t again;
	} cases[] = {
	    {"UPDATE partial SET bitmap = zeroblob(64)", 10},
	    {"UPDATE partial SET bitmap = x'00'", 10},
	    {"UPDATE partial SET bitmap = CAST(x'ffff' || substr(bitmap, 3) AS BLOB)", 10},
	    {"UPDATE partial SET settled = settled + 3 WHERE block_id = 21", 5},
	    {"UPDATE partial SET settled = 500 WHERE block_id = 21", 5},
	    {"UPDATE partial SET checksum = checksum + 6 WHERE block_id = 1", 5},
	    {"UPDATE partial SET block_id = block_id + 6 WHERE block_id = 1", 5},
	    {"UPDATE partial SET block_id = 7777777, bytes = 3 WHERE block_id = 21", 5},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		struct store *s = with_marks(&d);
		struct store_report report = {0};

		life_sql(s, cases[i].harm);
		life_close(s);
		assert_true(life_problems(&d, NULL, 0) > 0);
		s = life_open(&d, &report);
		if (!strstr(report.warning, "possible duplicates") || strstr(report.warning, "not in the ledger") ||
		    strstr(report.warning, "no row"))
			fail_msg("%s: %s", cases[i].harm, report.warning);
		assert_int_equal(store_possible_duplicates(s), cases[i].again);
		life_expect(s, MESSAGES, 10 - cases[i].again, 29 + cases[i].again, 0);
		assert_int_equal(life_waiting(s, 0), 28 + cases[i].again);
		drain(s); /* the one that stands alone leaves once, whatever stands in its block */
		life_expect(s, MESSAGES, MESSAGES - 1, 0, 0);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		s = life_open(&d, &report);
		assert_int_equal(store_possible_duplicates(s), cases[i].again); /* once */
		assert_string_equal(report.warning, "");
		life_end(&d, s);
	}
}

/* The same while it runs. */
static void a_mark_that_is_lost_while_it_runs_is_counted(void **state)
{
	struct spooldir d;
	struct store *s = with_marks(&d);
	struct store_report report;
	struct error e;
	(void)state;

	life_sql(s, "UPDATE partial SET bitmap = zeroblob(64)");
	(void)ready(s, 0);
	assert_true(store_mend_is_due(s));
	assert_int_equal(store_mend(s, false, &report, &e), ERR_OK);
	assert_int_equal(store_take_possible(s), 10);
	assert_int_equal(store_take_possible(s), 0);
	assert_int_equal(store_possible_duplicates(s), 10);
	life_expect(s, MESSAGES, 0, 39, 0);
	life_close(s);
	assert_int_equal(life_problems(&d, NULL, 0), 0);
	spooldir_remove(&d);
}

static void a_position_that_is_lost_is_told(void **state)
{
	static const struct {
		const char *harm;
		bool of_unknown; /* its key is not known: any source may be the one */
	} cases[] = {
	    {"UPDATE positions SET value = 'garbage' WHERE key = 'a'", true},
	    {"UPDATE positions SET checksum = checksum + 6 WHERE key = 'a'", true},
	    {"UPDATE positions SET key = 'axx' WHERE key = 'a'", true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct store_report report = {0};
		struct buf out;
		struct error e;
		bool damaged;

		put_position(s, "a", "100");
		put_position(s, "b", "200");
		life_sql(s, cases[i].harm);
		life_close(s);
		assert_true(life_problems(&d, NULL, 0) > 0);
		s = life_open(&d, &report);
		assert_non_null(strstr(report.warning, "1 positions of inputs are damaged"));
		assert_true(position_is(s, "a", "", &damaged));
		assert_true(damaged);
		assert_true(position_is(s, "b", "200", &damaged));
		assert_false(damaged);
		life_close(s);
		buf_init(&out, 1 << 16);
		assert_int_equal(store_repair(d.path, &(struct store_repair){0}, &out, &e), ERR_OK);
		assert_non_null(strstr(out.data, "1 are forgotten"));
		buf_fini(&out);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		s = life_open(&d, &report);
		assert_true(i == 2 || position_is(s, "a", STORE_POSITION_LOST, &damaged));
		put_position(s, "a", "7");
		assert_true(position_is(s, "a", "7", &damaged));
		assert_false(damaged);
		life_end(&d, s);
	}
}

/* A key that is not what was written keeps nothing back, and does not stay for ever. */
static void a_damaged_key_keeps_no_message_back(void **state)
{
	static const char *const harm[] = {"UPDATE cache SET key = x'6b32' WHERE key = x'6b31'", /* another's now */
	                                   "UPDATE cache SET expires_ms = expires_ms | 1 << 45 WHERE key = x'6b31'",
	                                   "UPDATE cache SET checksum = checksum + 3 WHERE key = x'6b31'"};
	(void)state;
	for (size_t i = 0; i < sizeof harm / sizeof *harm; i++)
		for (int reopens = 0; reopens < 2; reopens++) {
			struct spooldir d;
			struct store *s = life_begin(&d);
			struct store_report report = {0};
			struct error e;
			bool is_new;

			assert_int_equal(store_cache_add(s, "d", "k1", 2, 100000, &is_new, &e), ERR_OK);
			assert_int_equal(store_cache_add(s, "d", "kk", 2, 100000, &is_new, &e), ERR_OK);
			life_sql(s, harm[i]);
			if (reopens) {
				life_close(s);
				assert_true(life_problems(&d, NULL, 0) > 0);
				s = life_open(&d, &report);
				assert_non_null(strstr(report.warning, "1 dedupe keys were damaged"));
			}
			assert_int_equal(store_cache_add(s, "d", i == 0 ? "k2" : "k1", 2, 100000, &is_new, &e), ERR_OK);
			assert_true(is_new);
			assert_int_equal(store_possible_duplicates(s), 1);
			assert_int_equal(store_cache_add(s, "d", "kk", 2, 100000, &is_new, &e), ERR_OK);
			assert_false(is_new);
			life_close(s);
			assert_int_equal(life_problems(&d, NULL, 0), 0);
			spooldir_remove(&d);
		}
}

/* The shelf: what is not what was written stays and is told; a note that lies is no reason. */
static void the_shelf_says_what_it_cannot_put_back(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	struct buf out;
	uint64_t count, damaged;
	(void)state;

	life_append(s, 0, 10);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = 1; id <= 10; id++)
		assert_int_equal(
		    store_settle(
		        s, &(struct store_settlement){.id = id, .kind = SETTLE_DEAD, .attempts = 3, .code = "Refused"},
		        1, &e),
		    ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_sql(s, "UPDATE dead SET body = zeroblob(9) WHERE id IN (2, 3)");
	life_sql(s, "UPDATE dead SET attempts = 99, reason = 'a lie' WHERE id = 5");
	life_sql(s, "UPDATE dead SET died_ms = died_ms + 1 WHERE id = 6");
	assert_int_equal(store_dead_retry(s, 3, &count, &damaged, &e), ERR_INPUT);
	assert_int_equal(store_dead_retry(s, 7, &count, &damaged, &e), ERR_OK);
	assert_int_equal(damaged, 0);
	life_close(s);
	assert_int_equal(life_problems(&d, NULL, 0), 2); /* messages; notes */
	buf_init(&out, 1 << 16);
	assert_int_equal(store_repair(d.path, &(struct store_repair){0}, &out, &e), ERR_OK);
	assert_non_null(strstr(out.data, "of 2 messages it is forgotten why"));
	assert_non_null(strstr(out.data, "rows: 2 with a wrong checksum moved"));
	buf_fini(&out);
	s = life_open(&d, &(struct store_report){0});
	assert_int_equal(life_number(s, "SELECT count(*) FROM dead WHERE code = '" STORE_NOTE_LOST_CODE "'"), 2);
	life_expect(s, 10, 0, 1, 2);
	life_sql(s, "UPDATE dead SET checksum = 7 WHERE id = 8");
	assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
	assert_int_equal(count, 6);
	assert_int_equal(damaged, 1);
	life_end(&d, s);
}

/* That a copy was taken in is forgotten: it is taken in again, which is counted; so is any other from then on. */
static void a_damaged_note_of_a_copy_is_told_and_counted(void **state)
{
	static const char *const harms[] = {
	    "UPDATE imports SET copy = CAST(copy || x'00' AS BLOB)",
	    "UPDATE imports SET copy = CAST(x'00' || copy AS BLOB)", "UPDATE imports SET messages = 1",
	    "UPDATE imports SET imported_ms = imported_ms + 1", "UPDATE imports SET checksum = checksum + 1"};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct spooldir from, d;
		struct store *s = life_begin(&from);
		struct error e;
		struct buf out;
		uint64_t rows;

		life_append(s, 0, MESSAGES);
		life_close(s);
		s = life_begin(&d);
		life_append(s, LIFE_OTHERS, 10); /* other ids than there */
		assert_int_equal(store_import(s, from.path, false, &rows, &e), ERR_OK);
		assert_int_equal(store_import(s, from.path, false, &rows, &e), ERR_INPUT);
		assert_int_equal(store_possible_duplicates(s), 0);
		life_sql(s, harms[i]);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 1);
		s = life_open(&d, NULL);
		if (i % 2 == 0)
			assert_int_equal(store_import(s, from.path, false, &rows, &e), ERR_OK);
		assert_int_equal(store_possible_duplicates(s), i % 2 == 0 ? MESSAGES : 0);
		life_close(s);
		buf_init(&out, 1 << 20);
		assert_int_equal(store_repair(d.path, &(struct store_repair){0}, &out, &e), ERR_OK);
		if (i != 2 && i != 4) /* taken in again under the same key, it is noted anew */
			assert_non_null(memmem(out.data, out.len, "copies it is forgotten", 22));
		buf_fini(&out);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		s = life_open(&d, NULL);
		if (i % 2 == 1) {
			assert_int_equal(store_import(s, from.path, false, &rows, &e), ERR_OK);
			assert_int_equal(store_possible_duplicates(s), MESSAGES);
		}
		assert_int_equal(store_import(s, from.path, false, &rows, &e), ERR_INPUT);
		life_close(s);
		spooldir_remove(&from);
		spooldir_remove(&d);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_index_that_lies_about_a_time_is_made_anew),
	    cmocka_unit_test(a_damaged_row_of_failures_holds_nothing_back),
	    cmocka_unit_test(a_row_that_is_damaged_while_it_runs_is_noticed),
	    cmocka_unit_test(what_a_lost_mark_sends_again_is_counted),
	    cmocka_unit_test(a_mark_that_is_lost_while_it_runs_is_counted),
	    cmocka_unit_test(a_position_that_is_lost_is_told),
	    cmocka_unit_test(a_damaged_key_keeps_no_message_back),
	    cmocka_unit_test(the_shelf_says_what_it_cannot_put_back),
	    cmocka_unit_test(a_damaged_note_of_a_copy_is_told_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
