/* Copies that go from spool to spool: what may come twice is left out or counted, whatever way it came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "rig/lives.h"

enum { SPOOLS = 4, OF_EACH = 10 };

/* Spools of ten messages each, and a copy of each as it is now. */
static struct spooldir dirs[SPOOLS];
static struct store *spools[SPOOLS];

static const char *copy_of(int i, int version)
{
	static char path[400];

	(void)snprintf(path, sizeof path, "%s/copy-%d", dirs[i].dir, version);
	return path;
}

static void export(int i, int version)
{
	struct error e;

	if (store_export(spools[i], copy_of(i, version), &e) != ERR_OK)
		fail_msg("%s", e.text);
}

/* How many messages came in; how many of them by way of another; how many possible duplicates there are more. */
static void import(int to, const char *copy, uint64_t rows, uint64_t by_way)
{
	const uint64_t before = store_possible_duplicates(spools[to]);
	uint64_t got = 0;
	struct error e = {.text = ""};
	enum err err = store_import(spools[to], copy, false, &got, &e);

	if (err != (rows > 0 ? ERR_OK : ERR_INPUT) || got != rows || store_import_by_way(spools[to]) != by_way ||
	    store_possible_duplicates(spools[to]) != before + by_way)
		fail_msg("%s: %d %s: %d came in, %d by way, %d possible", copy, (int)err, e.text, (int)got,
		         (int)store_import_by_way(spools[to]), (int)(store_possible_duplicates(spools[to]) - before));
}

static int begin(void **state)
{
	(void)state;
	for (int i = 0; i < SPOOLS; i++) {
		spools[i] = life_begin(&dirs[i]);
		life_append(spools[i], (uint64_t)i * LIFE_OTHERS, OF_EACH);
		export(i, 0);
	}
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (int i = 0; i < SPOOLS; i++)
		life_end(&dirs[i], spools[i]);
	return 0;
}

/* There and back again. */
static void own_messages_that_come_back_are_counted(void **state)
{
	(void)state;
	import(1, copy_of(0, 0), OF_EACH, 0);
	export(1, 1);
	import(0, copy_of(1, 1), 2 * OF_EACH, OF_EACH); /* its own ten, and theirs, which are new */
}

static void by_way_of_two_spools(void **state)
{
	(void)state;
	import(1, copy_of(0, 0), OF_EACH, 0);
	export(1, 1);
	import(2, copy_of(1, 1), 2 * OF_EACH, 0);
	export(2, 1);
	import(0, copy_of(2, 1), 3 * OF_EACH, 2 * OF_EACH);
}

static void first_straight_then_by_another(void **state)
{
	(void)state;
	import(1, copy_of(0, 0), OF_EACH, 0);
	export(1, 1);
	import(2, copy_of(0, 0), OF_EACH, 0);
	import(2, copy_of(1, 1), 2 * OF_EACH, OF_EACH);
}

/* What the other had taken in is known here, message by message. */
static void first_by_another_then_straight(void **state)
{
	(void)state;
	import(1, copy_of(0, 0), OF_EACH, 0);
	export(1, 1);
	import(2, copy_of(1, 1), 2 * OF_EACH, 0);
	import(2, copy_of(0, 0), 0, 0);
	life_append(spools[0], OF_EACH, 5);
	export(0, 1);
	import(2, copy_of(0, 1), 5, 0);
	assert_int_equal(store_import_left_out(spools[2]), OF_EACH);
}

/* Nothing of where they are from is here: nothing is counted. */
static void what_is_new_is_not_counted(void **state)
{
	(void)state;
	import(1, copy_of(0, 0), OF_EACH, 0);
	export(1, 1);
	import(3, copy_of(2, 0), OF_EACH, 0);
	import(3, copy_of(1, 1), 2 * OF_EACH, 0);
	import(0, copy_of(2, 0), OF_EACH, 0);
}

static void a_note_that_is_lost_stands_for_all(void **state)
{
	(void)state;
	import(1, copy_of(0, 0), OF_EACH, 0);
	life_sql(spools[1], "UPDATE imports SET messages = messages + 1 WHERE length(copy) = 65");
	export(1, 1);
	import(0, copy_of(1, 1), 2 * OF_EACH, 2 * OF_EACH);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(own_messages_that_come_back_are_counted, begin, end),
	    cmocka_unit_test_setup_teardown(by_way_of_two_spools, begin, end),
	    cmocka_unit_test_setup_teardown(first_straight_then_by_another, begin, end),
	    cmocka_unit_test_setup_teardown(first_by_another_then_straight, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_new_is_not_counted, begin, end),
	    cmocka_unit_test_setup_teardown(a_note_that_is_lost_stands_for_all, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
