/* Single harms, and what is said of them: by a start, by check, by repair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rig/faultfs.h"
#include "rig/lives.h"

enum { ROWS = 600 };

/*
 * A power cut may tear the header with which a log begins again: sequence and first salt are new, the rest is old, and
 * so are all frames. That is no damage, for the database holds them; a salt alone that is wrong is.
 */
static void a_torn_header_of_a_new_log_is_no_damage(void **state)
{
	(void)state;
	for (int torn = 0; torn < 2; torn++) {
		struct spooldir d;
		struct store_options o;
		struct store_report report;
		struct store *s = NULL;
		struct error e;
		unsigned char *bytes;
		size_t count;

		spooldir_make(&d);
		o = spooldir_options(&d);
		assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
		life_append(s, 0, 20);
		life_append(s, 20, 20);
		life_append(s, 40, 20);
		assert_int_equal(store_checkpoint(s, true, &e), ERR_OK);
		store_abandon(s);
		bytes = spooldir_load(spooldir_file(&d, "-wal"), &count);
		bytes[15] = (unsigned char)(bytes[15] + torn);
		bytes[19]++;
		spooldir_store(spooldir_file(&d, "-wal"), bytes, count);
		free(bytes);
		assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
		assert_int_equal(report.wal_mended, !torn);
		assert_int_equal(report.rows, 60);
		assert_int_equal(report.missing_rows, 0);
		if (torn)
			assert_string_equal(report.warning, "");
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

static void a_ledger_that_lies_is_counted_anew(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s = NULL;
	struct store_report report;
	struct error e;
	char command[500];

	(void)state;
	spooldir_make(&d);
	life_make_halves(&d, ROWS, false);
	spooldir_lose(d.path, 5);
	spooldir_lose(d.path, 6);
	(void)snprintf(command, sizeof command, "sqlite3 %s 'UPDATE ledger SET pending = 1'", d.path);
	if (system(command) != 0)
		skip();
	o = spooldir_options(&d);
	assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
	assert_non_null(strstr(report.warning, "counted anew"));
	assert_int_equal(store_ledger(s)->pending, ROWS - 2);
	assert_int_equal(store_ledger(s)->accepted, ROWS);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

static void check_and_repair_say_what_they_find(void **state)
{
	struct spooldir d;
	struct store_options options;
	struct store *s = NULL;
	struct buf out;
	struct error e;
	uint64_t problems;
	size_t before_size, after_size;
	unsigned char *before, *after;

	(void)state;
	spooldir_make(&d);
	life_make_halves(&d, ROWS, true);
	buf_init(&out, 1 << 20);
	before = spooldir_load(d.path, &before_size);
	assert_int_equal(store_check(d.path, &out, &problems, &e), ERR_OK);
	if (problems)
		fail_msg("%s", out.data);
	after = spooldir_load(d.path, &after_size);
	assert_int_equal(before_size, after_size);
	assert_memory_equal(before, after, before_size);
	free(before);
	free(after);
	options = spooldir_options(&d);
	assert_int_equal(store_open(&options, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_damage(d.path, 17);
	spooldir_lose(d.path, 8);
	buf_clear(&out);
	assert_int_equal(store_check(d.path, &out, &problems, &e), ERR_OK);
	assert_int_equal(problems, 2);
	assert_non_null(strstr(out.data, "1 rows have a wrong checksum"));
	assert_int_equal(store_repair(d.path, &(struct store_repair){0}, &out, &e), ERR_OK);
	buf_clear(&out);
	assert_int_equal(store_check(d.path, &out, &problems, &e), ERR_OK);
	assert_int_equal(problems, 0);
	assert_non_null(strstr(out.data, "damaged 2"));
	buf_fini(&out);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_torn_header_of_a_new_log_is_no_damage),
	    cmocka_unit_test(a_ledger_that_lies_is_counted_anew),
	    cmocka_unit_test(check_and_repair_say_what_they_find),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
