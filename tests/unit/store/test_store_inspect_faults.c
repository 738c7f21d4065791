/*
 * A spool whose head is gone, or of a stranger, is looked at, and the n-th read of its files fails, n = 1, 2, ... until
 * none does: that is an error of the disk, never another answer (PATH.tide alone is tried again); nothing is moved, and
 * the next start finds all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { MESSAGES = 60, READS_MAX = 3000 };

static void overwrite_head(const struct spooldir *d, size_t bytes, unsigned char with)
{
	size_t all;
	unsigned char *data = spooldir_load(d->path, &all);

	memset(data, with, bytes);
	spooldir_store(d->path, data, all);
	free(data);
}

static enum err inspect(const struct spooldir *d, enum file_kind *ret, struct error *e)
{
	struct files f;
	enum err err = files_open(&f, d->path, e);

	*ret = FILE_MISSING;
	if (err == ERR_OK)
		err = store_inspect(&f, ret, e);
	files_close(&f);
	return err;
}

static void a_read_that_fails_is_no_other_answer(void **state)
{
	static const struct {
		size_t bytes; /* of the head that are gone */
		unsigned char with;
	} harms[] = {{0, 0}, {16, 'x'}, {100, 0}, {100, 'x'}, {4096, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++)
		for (int in_log = 0; in_log < 2; in_log++) {
			struct spooldir d;
			struct store *s;
			enum file_kind whole, kind;
			struct error e;
			uint64_t n = 0;
			enum err err;

			spooldir_make(&d);
			life_make_halves(&d, MESSAGES, in_log);
			overwrite_head(&d, harms[i].bytes, harms[i].with);
			assert_int_equal(inspect(&d, &whole, &e), ERR_OK);
			assert_int_equal(whole, harms[i].bytes > 0 ? FILE_DAMAGED : FILE_OURS);
			while (++n < READS_MAX) {
				faultfs_arm(FAULTFS_READ, n, EIO, false);
				err = inspect(&d, &kind, &e);
				ERRORWATCH_EXPECT(err, &e, NULL, "inspect", n);
				if (faultfs_failed() == 0)
					break;
				faultfs_arm(0, 0, 0, false);
				if (err != ERR_DISK &&
				    (err != ERR_OK || kind != whole || !strstr(faultfs_what(), ".tide")))
					fail_msg("harm %d, read %d (%s): error %d: %s", (int)i, (int)n, faultfs_what(),
					         (int)err, e.text);
			}
			faultfs_arm(0, 0, 0, false);
			assert_int_equal(life_count_files(&d, "quarantine"), 0);
			s = life_open(&d, NULL);
			assert_int_equal(store_ledger(s)->pending, MESSAGES);
			assert_int_equal(store_ledger(s)->damaged, 0);
			life_end(&d, s);
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_read_that_fails_is_no_other_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
