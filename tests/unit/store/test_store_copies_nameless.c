/*
 * Copies that do not say whose they are, of the first release or in its form: what is taken in twice, in whichever
 * order and form, is left out, or counted, and told by its right name.
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

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "rig/faultfs.h"
#include "store/store_internal.h"

enum { LARGE_BYTES = 1200000 };

/* Two copies of this moment: one with a name, and one without. */
static void copies_of(const struct spooldir *d, struct store *s, int number)
{
	AUTOFREE char *named = mem_format("%s.n%d", d->path, number), *old = mem_format("%s.s%d", d->path, number);
	struct store_old_copy is;
	struct error e;

	assert_int_equal(store_export(s, named, &e), ERR_OK);
	assert_int_equal(store_export_old(named, old, NULL, &is, &e), ERR_OK);
}

static struct spooldir from, stranger;

static int begin(void **state)
{
	struct message *m = spooldir_message(21, LARGE_BYTES);
	struct store *s = life_begin(&from);
	struct error e;

	(void)state;
	life_append(s, 0, 20);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_append(s, m, &e), ERR_OK);
	message_free(m);
	assert_int_equal(store_settle(s, &(struct store_settlement){.id = 3, .kind = SETTLE_DEAD, .code = "X"}, 1, &e),
	                 ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	copies_of(&from, s, 1);
	life_append(s, 40, 10);
	copies_of(&from, s, 2);
	life_close(s);
	s = life_begin(&stranger);
	life_append(s, LIFE_OTHERS, 15);
	copies_of(&stranger, s, 1);
	life_close(s);
	return 0;
}

static int end(void **state)
{
	(void)state;
	spooldir_remove(&from);
	spooldir_remove(&stranger);
	return 0;
}

/* "2": the second copy of that spool; "s": without a name; "x": the other spool's. What comes in, and of a refusal a
 * part of its words. */
struct step {
	const char *copy;
	uint64_t rows;
	const char *words;
};
#define BEFORE " messages of this copy were taken in before, with other copies of that spool"
#define BY_MARK " messages of this copy were taken in at "

static void take_in(struct store *s, const struct step *step, const char *what)
{
	AUTOFREE char *path = step->copy[0] == 'x' ? mem_format("%s.%s", stranger.path, step->copy + 1)
	                                           : mem_format("%s.%s", from.path, step->copy);
	uint64_t rows = 0;
	struct error e = {.text = ""};
	const enum err err = store_import(s, path, false, &rows, &e);

	if (rows != step->rows || (err == ERR_OK) != !step->words || (step->words && !strstr(e.text, step->words)))
		fail_msg("%s: %s: %d rows of %d: %s", what, step->copy, (int)rows, (int)step->rows, e.text);
}

static const struct {
	const char *what;
	struct step steps[4];
} orders[] = {
    {"without, then a later one with", {{"s1", 21, NULL}, {"n2", 10, NULL}}},
    {"with, then a later one without", {{"n1", 21, NULL}, {"s2", 10, NULL}}},
    {"without, then a later one", {{"s1", 21, NULL}, {"s2", 10, NULL}}},
    {"without, then an earlier one", {{"s2", 31, NULL}, {"s1", 0, "all 21" BEFORE}}},
    {"without, then an earlier one with", {{"s2", 31, NULL}, {"n1", 0, "all 21" BEFORE}}},
    {"with, then an earlier one without", {{"n2", 31, NULL}, {"s1", 0, "all 21" BEFORE}}},
    {"the same", {{"s1", 21, NULL}, {"s1", 0, "all 21" BY_MARK}}},
    {"the same with", {{"s1", 21, NULL}, {"n1", 0, "all 21" BEFORE}}},
    {"behind another", {{"xs1", 15, NULL}, {"s2", 31, NULL}, {"s1", 0, "all 21" BEFORE}, {"xn1", 0, "all 15" BY_MARK}}},
    {"before another", {{"s1", 21, NULL}, {"xs1", 15, NULL}, {"n2", 10, NULL}, {"xs1", 0, "all 15" BY_MARK}}},
};

static void nothing_comes_in_twice(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
		for (int is_empty = 0; is_empty < 2; is_empty++) { /* then ids here are those there */
			struct spooldir to;
			struct store *s = life_begin(&to);

			if (!is_empty)
				life_append(s, 2 * LIFE_OTHERS, 7);
			for (size_t n = 0; n < 4 && orders[i].steps[n].copy; n++)
				take_in(s, &orders[i].steps[n], orders[i].what);
			assert_int_equal(store_possible_duplicates(s), 0);
			life_end(&to, s);
		}
}

/* What it holds is here under the very ids, and was never taken in: it was made of this spool. */
static void a_copy_of_this_very_spool_is_none_of_another(void **state)
{
	struct spooldir d;
	struct store *s;
	struct step step = {"s1", 0, "this is a copy of this very spool, which holds its 21 messages still"};

	(void)state;
	spooldir_make(&d);
	spooldir_copy(&from, &d);
	s = life_open(&d, NULL);
	take_in(s, &step, "whole");
	life_settle(s, 10, 12);
	step.words = "this is a copy of this very spool: 18 of its messages are here, and 3 are not any more";
	take_in(s, &step, "some have left");
	life_sql(s, "UPDATE dead SET checksum = checksum + 1 WHERE id = 3");
	step.words = "this is a copy of this very spool: 17 of its messages are here, and 4 are not any more";
	take_in(s, &step, "one on the shelf is another");
	life_end(&d, s);
}

/* By way of a third spool: what comes first is known again, and what may be the same is counted. */
static void what_came_by_way_of_another_is_known(void **state)
{
	(void)state;
	for (int direct_first = 0; direct_first < 2; direct_first++) {
		struct spooldir third, to;
		struct store *s = life_begin(&third);
		const struct step direct = {"s1", direct_first ? 21 : 0, direct_first ? NULL : "all 21" BY_MARK};
		AUTOFREE char *copy = mem_format("%s.third", from.path);
		struct error e;

		life_append(s, 2 * LIFE_OTHERS, 7);
		take_in(s, &(struct step){"s1", 21, NULL}, "the third");
		assert_int_equal(store_export(s, copy, &e), ERR_OK);
		life_end(&third, s);
		s = life_begin(&to);
		if (direct_first)
			take_in(s, &direct, "first");
		take_in(s, &(struct step){"third", 28, NULL}, "by way");
		if (!direct_first)
			take_in(s, &direct, "second");
		assert_int_equal(store_possible_duplicates(s), direct_first ? 21 : 0);
		life_end(&to, s);
		assert_int_equal(remove(copy), 0);
	}
}

/* One message alone may be like another's by chance: it comes in, and counts. */
static void one_message_makes_no_copy_of_the_same(void **state)
{
	AUTOFREE char *copy = mem_format("%s.s1", from.path), *other = mem_format("%s.one", from.path);
	struct step step = {"s1", 21, NULL};
	struct spooldir to;
	struct store *s = life_begin(&to);
	size_t bytes;
	unsigned char *data = spooldir_load(copy, &bytes);
	sqlite3 *db;

	(void)state;
	spooldir_store(other, data, bytes);
	free(data);
	assert_int_equal(sqlite3_open(other, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
	                              "DELETE FROM messages WHERE id > 4; DELETE FROM dead;"
	                              "UPDATE messages SET body = x'00' WHERE id <> 2",
	                              NULL, NULL, NULL),
	                 SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	life_append(s, 2 * LIFE_OTHERS, 7);
	take_in(s, &(struct step){"one", 1, NULL}, "one of some");
	take_in(s, &step, "all of them");
	assert_int_equal(store_possible_duplicates(s), 1);
	life_end(&to, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_comes_in_twice),
	    cmocka_unit_test(a_copy_of_this_very_spool_is_none_of_another),
	    cmocka_unit_test(what_came_by_way_of_another_is_known),
	    cmocka_unit_test(one_message_makes_no_copy_of_the_same),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, begin, end);
}
