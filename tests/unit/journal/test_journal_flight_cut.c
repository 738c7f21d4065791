/* PATH.flight after a power cut: of the file stands what was synced last, and what was sent since is never more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal/flight.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"

enum { SYNC_MS = 5 };

static unsigned char on_disk[4096];
static size_t on_disk_bytes;
static uint32_t syncs;

static void keep(int fd)
{
	const ssize_t n = pread(fd, on_disk, sizeof on_disk, 0);

	assert_true(n > 0);
	on_disk_bytes = (size_t)n;
	syncs++;
	clock_test_advance(SYNC_MS * NS_PER_MS);
}

static struct spooldir d;

static struct flight_start begin(struct flight *f, uint64_t handed)
{
	struct flight_start start = {.path = d.path, .handed = handed, .pending = handed, .state = 5};

	assert_int_equal(flight_open(f, &start), 0);
	start.path = d.path;
	syncs = 0;
	on_disk_bytes = 0;
	return start;
}

/* The next boot. Returns what is possible then, beside the `handed`. */
static uint64_t after_cut(const struct flight_start *before)
{
	struct flight f = {.fd = -1};
	struct flight_start start = *before;
	uint64_t possible;

	spooldir_store(spooldir_file(&d, ".flight"), on_disk, on_disk_bytes);
	clock_test_boot(2);
	start.unclean = true;
	assert_int_equal(flight_open(&f, &start), start.handed);
	possible = atomic_load(&f.possible);
	flight_close(&f);
	clock_test_boot(1);
	return possible - start.handed;
}

static void what_was_sent_again_is_known_after_a_cut(void **state)
{
	(void)state;
	for (int64_t every_ms = 1; every_ms <= 10000; every_ms *= 10) {
		struct flight f = {.fd = -1};
		struct flight_start start;
		uint64_t possible = 0;
		int64_t began_ms;
		const int requests = every_ms < 100 ? 4000 : 400;

		spooldir_make(&d);
		clock_test_set(50 * NS_PER_S, 0);
		clock_test_boot(1);
		start = begin(&f, 300);
		began_ms = clock_mono_ms();
		for (int i = 0; i < requests; i++) {
			flight_send(&f, 100);
			if (possible > 0) { /* as it is when these are on their way */
				const uint64_t known = after_cut(&start);

				assert_true(known >= possible);
				/* as many more as come while it is not synced */
				assert_true(known - possible <= 2 * (4 * 20 * SYNC_MS / (uint64_t)every_ms));
				spooldir_store(spooldir_file(&d, ".flight"), on_disk, on_disk_bytes);
			}
			flight_end(&f, 100, 0, 4);
			possible += 4;
			clock_test_advance(every_ms * NS_PER_MS);
		}
		assert_true(syncs * SYNC_MS * 10 <= clock_mono_ms() - began_ms); /* the disk is hardly waited for */
		flight_close(&f);
		clock_test_end();
		spooldir_remove(&d);
	}
}

/* While no answer is lost nothing waits for a disk. */
static void nothing_is_synced_for_nothing(void **state)
{
	struct flight f = {.fd = -1};
	struct flight_start start;

	(void)state;
	spooldir_make(&d);
	clock_test_set(50 * NS_PER_S, 0);
	start = begin(&f, 300);
	for (int i = 0; i < 50; i++) {
		flight_send(&f, 10);
		flight_end(&f, 10, 10, 0);
	}
	assert_int_equal(syncs, 0);
	flight_send(&f, 10);
	flight_end(&f, 10, 0, 10);
	assert_int_equal(syncs, 0);
	flight_send(&f, 10);
	flight_send(&f, 10);
	assert_int_equal(syncs, 1);
	flight_close(&f);
	start.unclean = true; /* of the same boot: the file itself is exact */
	assert_int_equal(flight_open(&f, &start), 20 + 500);
	assert_int_equal(atomic_load(&f.possible), 10 + 20 + 500);
	flight_close(&f);
	clock_test_end();
	spooldir_remove(&d);
}

/* One that was put in its place, with the same bytes, may be of before the last sends; in the same boot too. */
static void a_file_from_elsewhere_is_not_believed(void **state)
{
	(void)state;
	for (int is_copy = 0; is_copy < 2; is_copy++) {
		struct flight f = {.fd = -1};
		struct flight_start start;
		unsigned char *bytes;
		char as[400];
		size_t count;

		spooldir_make(&d);
		start = begin(&f, 300);
		flight_send(&f, 10);
		(void)close(f.fd); /* as a kill leaves it */
		f.fd = -1;
		flight_close(&f);
		bytes = spooldir_load(spooldir_file(&d, ".flight"), &count);
		if (is_copy) { /* the other one stays, so that its number is not given out again */
			(void)snprintf(as, sizeof as, "%s", spooldir_file(&d, ".kept"));
			assert_int_equal(rename(spooldir_file(&d, ".flight"), as), 0);
		}
		spooldir_store(spooldir_file(&d, ".flight"), bytes, count);
		free(bytes);
		start.unclean = true;
		assert_int_equal(flight_open(&f, &start), is_copy ? 300 : 10);
		assert_false(f.was_damaged);
		flight_close(&f);
		start.unclean = false; /* what ended well has nothing out */
		assert_int_equal(flight_open(&f, &start), 0);
		flight_close(&f);
		spooldir_remove(&d);
	}
}

/* A disk that does not sync: the file is not believed by the next start, whatever it says. */
static void a_sync_that_fails_is_told(void **state)
{
	struct flight f = {.fd = -1};
	struct flight_start start;

	(void)state;
	spooldir_make(&d);
	start = begin(&f, 300);
	start.pending = 700;
	start.unclean = true;
	flight_send(&f, 10);
	flight_end(&f, 10, 0, 10);
	faultfs_arm(FAULTFS_SYNC, 1, EIO, true);
	flight_send(&f, 10);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(atomic_load(&f.trouble), EIO);
	assert_true(atomic_load(&f.is_unsure));
	flight_end(&f, 10, 10, 0);
	(void)close(f.fd); /* as a kill leaves it */
	f.fd = -1;
	flight_close(&f);
	assert_int_equal(flight_open(&f, &start), 700);
	flight_close(&f);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_sent_again_is_known_after_a_cut),
	    cmocka_unit_test(nothing_is_synced_for_nothing),
	    cmocka_unit_test(a_file_from_elsewhere_is_not_believed),
	    cmocka_unit_test(a_sync_that_fails_is_told),
	};

	faultfs_on_sync(keep);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
