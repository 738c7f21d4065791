/*
 * A spool whose head is gone is set aside, and the n-th rename, or sync of the folder, fails, n = 1, 2, ... until none
 * does: the start ends with that error, and the next one has every message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rig/faultfs.h"
#include "rig/lives.h"

enum { ROWS = 40, TRIES_MAX = 60 };

static void make(struct spooldir *d)
{
	unsigned char *bytes;
	size_t count;

	life_make(d, 0, ROWS, 0);
	life_close(life_open(d, NULL));
	bytes = spooldir_load(d->path, &count);
	memset(bytes, 0, 100);
	spooldir_store(d->path, bytes, count);
	free(bytes);
}

/* How many of them there are. */
static uint64_t try_each(unsigned kinds)
{
	for (uint64_t n = 1; n < TRIES_MAX; n++) {
		struct store_options o;
		struct store_report report;
		struct spooldir d;
		struct store *s = NULL;
		struct error e = {.code = ERR_OK};
		bool failed;
		enum err err;

		make(&d);
		o = spooldir_options(&d);
		faultfs_arm(kinds, n, EIO, false);
		err = store_open(&o, &s, &report, &e);
		failed = faultfs_failed() > 0;
		faultfs_arm(0, 0, 0, false);
		if (failed && (err != ERR_DISK || e.code != ERR_DISK || !strstr(e.text, strerror(EIO))))
			fail_msg("operation %d of %u: error %d: %s; %s", (int)n, kinds, (int)err, e.text,
			         report.warning);
		if (!failed)
			assert_int_equal(err, ERR_OK);
		if (err == ERR_OK)
			life_close(s);
		s = life_open(&d, NULL);
		life_expect(s, ROWS, 0, ROWS, 0);
		assert_int_equal(life_waiting(s, 0), ROWS);
		life_end(&d, s);
		if (!failed)
			return n - 1;
	}
	fail_msg("there is no end to it");
	return 0;
}

static void a_setting_aside_that_fails_is_told(void **state)
{
	(void)state;
	assert_true(try_each(FAULTFS_RENAME) > 2);
	assert_true(try_each(FAULTFS_SYNC_FOLDER) > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_setting_aside_that_fails_is_told),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
