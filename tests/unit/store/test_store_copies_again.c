/*
 * The same messages in two copies that do not show it: of one the ledger is not what was written, or some were put back
 * from the shelf, under new ids, between the copies. None comes twice uncounted, in either order, and what is new is
 * not counted.
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

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "store/upkeep/store_copy.h"
#include "store/store_dead.h"
#include "store/store_internal.h"

static char *export_of(const struct spooldir *of, struct store *s, int number)
{
	char *path = mem_format("%s.copy%d", of->path, number);
	struct error e;

	assert_int_equal(store_export(s, path, &e), ERR_OK);
	return path;
}

static void spoil(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* How many came; of them, and of those before, `possible` are counted. */
static void take_in(struct store *s, const char *copy, uint64_t want, uint64_t possible)
{
	uint64_t rows = 0;
	struct error e = {.text = ""};
	const enum err err = store_import(s, copy, false, &rows, &e);

	if (err != (want > 0 ? ERR_OK : ERR_INPUT) || rows != want || store_possible_duplicates(s) != possible)
		fail_msg("%s: %d rows of %d, %d possible of %d: %s", copy, (int)rows, (int)want,
		         (int)store_possible_duplicates(s), (int)possible, e.text);
}

static void a_copy_whose_ledger_is_damaged_is_known_by_its_rows(void **state)
{
	static const struct {
		const char *sql;
		bool is_named; /* the ledger's columns still say whose */
	} harms[] = {
	    {"UPDATE ledger SET next_id = 5", true},
	    {"UPDATE ledger SET checksum = checksum + 1", true},
	    {"UPDATE ledger SET spool_low = spool_low + 16", false},
	    {"UPDATE ledger SET spool_high = spool_high + 16", false},
	    {"DELETE FROM ledger", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++)
		for (int damaged_first = 0; damaged_first < 2; damaged_first++) {
			struct spooldir from, to;
			struct store *s = life_begin(&from);
			AUTOFREE char *whole = NULL, *damaged = NULL;

			life_append(s, 0, 25);
			whole = export_of(&from, s, 1);
			damaged = export_of(&from, s, 2);
			life_close(s);
			spoil(damaged, harms[i].sql);
			s = life_begin(&to);
			life_append(s, LIFE_OTHERS, 7);
			if (!damaged_first) {
				take_in(s, whole, 25, 0);
				take_in(s, damaged, 0, 0);
			} else if (harms[i].is_named) { /* it is told rightly, but nobody can know that */
				take_in(s, damaged, 25, 0);
				take_in(s, whole, 0, 0);
			} else if (i == 3) { /* and wrongly here */
				take_in(s, damaged, 25, 0);
				take_in(s, whole, 25, 25);
			} else {
				take_in(s, damaged, 25, 25);
				take_in(s, whole, 0, 25);
			}
			life_close(s);
			assert_int_equal(life_problems(&to, NULL, 0), 0);
			spooldir_remove(&from);
			spooldir_remove(&to);
		}
}

static void kill_some(struct store *s, uint64_t first, uint64_t last)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id <= last; id++) {
		const struct store_settlement item = {.id = id, .kind = SETTLE_DEAD, .attempts = 1, .code = "X"};

		assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* In the first copy they are on the shelf, or wait still and die later. */
static void what_was_put_back_between_two_copies_is_counted(void **state)
{
	(void)state;
	for (int die_before = 0; die_before < 2; die_before++)
		for (int later_first = 0; later_first < 2; later_first++) {
			struct spooldir from, to;
			struct store *s = life_begin(&from);
			AUTOFREE char *earlier = NULL, *later = NULL, *last = NULL;
			uint64_t count, damaged;
			struct error e;

			life_append(s, 0, 30);
			if (die_before)
				kill_some(s, 11, 20);
			earlier = export_of(&from, s, 1);
			if (!die_before)
				kill_some(s, 11, 20);
			assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
			assert_int_equal(count, 10);
			life_append(s, 40, 5);
			later = export_of(&from, s, 2);
			life_append(s, 50, 5);
			last = export_of(&from, s, 3);
			life_close(s);
			s = life_begin(&to);
			if (later_first) {
				take_in(s, later, 35, 0);
				take_in(s, earlier, 10, 10);
				take_in(s, last, 5, 10);
			} else {
				take_in(s, earlier, 30, 0);
				take_in(s, later, 15, 10);
				take_in(s, last, 5, 10);
			}
			life_end(&to, s);
			spooldir_remove(&from);
		}
}

/* A note of `imports` about a spool with these two halves of an id. */
static void note(struct store *s, uint64_t high, uint64_t low, int number, bool is_sound)
{
	const uint64_t id[2] = {high, low};
	AUTOFREE char *hex = mem_zero(2 * sizeof id + 1), *sql = NULL;

	for (size_t i = 0; i < sizeof id; i++)
		(void)sprintf(hex + 2 * i, "%02x", ((const unsigned char *)id)[i]);
	sql = mem_format("INSERT INTO imports SELECT copy, 10, 20, 3, side_sum(11, copy, 10, 20, 3) + %d FROM"
	                 " (SELECT CAST(zeroblob(31) || x'%02x' || x'%s' || zeroblob(16) AS BLOB) AS copy)",
	                 !is_sound, number, hex);
	life_sql(s, sql);
}

/* Whoever takes in a copy knows what it had taken in: of spools with a name, but of itself. */
static void notes_of_a_copy_are_kept_when_they_say_something(void **state)
{
	struct spooldir from, to;
	struct store *s = life_begin(&from), *other = life_begin(&to);
	AUTOFREE char *copy = NULL;

	(void)state;
	life_append(s, 0, 25);
	note(s, 0x11, 0x22, 1, true);
	note(s, 0x11, 0x33, 2, false);
	note(s, 0, 0, 3, true);
	note(s, other->id.high, other->id.low, 4, true);
	copy = export_of(&from, s, 1);
	store_abandon(s);
	take_in(other, copy, 25, 25); /* which of them it had from us is forgotten with the second note */
	assert_int_equal(life_number(other, "SELECT count(*) FROM imports WHERE imported_ms = 10"), 1);
	assert_int_equal(life_number(other, "SELECT count(*) FROM imports WHERE substr(copy, 32, 1) = x'01'"
	                                    " AND imported_ms = 10 AND messages = 20 AND first_id = 0"),
	                 1);
	life_end(&to, other);
	spooldir_remove(&from);
}

static struct {
	char part[400], target[400];
	const char *what;
	int found;
} stranger;

/* Called while the copy is written: another file takes its place. */
static int exchange(void *arg)
{
	struct stat st;

	(void)arg;
	if (stranger.found || stat(stranger.part, &st) != 0 || st.st_size == 0)
		return 0;
	stranger.found = 1;
	assert_int_equal(unlink(stranger.part), 0);
	if (strcmp(stranger.what, "a link") == 0)
		assert_int_equal(symlink("/etc/hostname", stranger.part), 0);
	else if (strcmp(stranger.what, "a file") == 0)
		spooldir_store(stranger.part, "another", 7);
	return 0;
}

/* Who can write in the folder puts something else in the copy's place: it is no copy, and is not called one. */
static void a_copy_that_is_exchanged_is_none(void **state)
{
	static const char *const whats[] = {"a file", "a link", "nothing"};

	(void)state;
	for (size_t i = 0; i < sizeof whats / sizeof *whats; i++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct error e = {0};

		life_append(s, 0, 500);
		stranger.what = whats[i];
		stranger.found = 0;
		(void)snprintf(stranger.target, sizeof stranger.target, "%s.copy", d.path);
		(void)snprintf(stranger.part, sizeof stranger.part, "%s.copy.kspool-part", d.path);
		sqlite3_progress_handler(s->db, 1, exchange, NULL);
		if (store_export(s, stranger.target, &e) != ERR_ENVIRONMENT)
			fail_msg("%s: error %d: %s", whats[i], (int)e.code, e.text);
		sqlite3_progress_handler(s->db, 0, NULL, NULL);
		assert_int_equal(stranger.found, 1);
		assert_non_null(strstr(e.text, stranger.part));
		assert_int_equal(access(stranger.target, F_OK), -1);
		life_end(&d, s);
	}
}

/* One spool that went on twice, as after a backup was put back: the same numbers of other messages, and as many. */
static void take_in_both(bool on_shelf)
{
	struct spooldir from[2], to;
	struct store *s = life_begin(&from[0]);

	life_append(s, 0, 10);
	life_close(s);
	spooldir_make(&from[1]);
	spooldir_copy(&from[0], &from[1]);
	life_bring(&from[0], ".left", &from[1]);
	s = life_begin(&to);
	for (uint64_t i = 0; i < 2; i++) {
		struct store *other = life_open(&from[i], NULL);
		AUTOFREE char *copy = NULL;

		life_append(other, 1000 * (i + 1), 10);
		if (on_shelf)
			kill_some(other, 11, 20);
		copy = export_of(&from[i], other, 1);
		life_close(other);
		take_in(s, copy, i == 0 ? 20 : 10, 0);
		take_in(s, copy, 0, 0);
		assert_int_equal(store_import_left_out(s), 0);
	}
	assert_int_equal(store_ledger(s)->pending, on_shelf ? 10 : 30);
	assert_int_equal(store_ledger(s)->dead, on_shelf ? 20 : 0);
	life_end(&to, s);
	spooldir_remove(&from[0]);
	spooldir_remove(&from[1]);
}

static void the_same_numbers_of_other_messages_are_another_copy(void **state)
{
	(void)state;
	take_in_both(false);
	take_in_both(true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_copy_whose_ledger_is_damaged_is_known_by_its_rows),
	    cmocka_unit_test(what_was_put_back_between_two_copies_is_counted),
	    cmocka_unit_test(notes_of_a_copy_are_kept_when_they_say_something),
	    cmocka_unit_test(a_copy_that_is_exchanged_is_none),
	    cmocka_unit_test(the_same_numbers_of_other_messages_are_another_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
