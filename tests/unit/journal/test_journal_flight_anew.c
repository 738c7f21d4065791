/* PATH.flight is deleted, replaced or overwritten while it is open: it is made anew whole, whatever delivery counts
 * meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "journal/flight.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"

static struct spooldir d;

static void begin(struct flight *f, struct flight_start *start)
{
	spooldir_make(&d);
	*f = (struct flight){.fd = -1};
	*start = (struct flight_start){
	    .path = d.path, .possible = 9, .handed = 400, .pending = 700, .state = 1, .spool = {3, 4}};
	assert_int_equal(flight_open(f, start), 0);
	flight_send(f, 100);
	flight_send(f, 40);
	flight_end(f, 100, 90, 10); /* 90 wait for their commit */
	flight_settling(f, 60, 2);
	flight_settled(f, 60, 2);
}

/* Killed now: 40 and 30 were with the service, 10 were possible, and so were 9. */
static void expect_all(struct flight *f, const struct flight_start *before)
{
	struct flight_start start = *before;

	flight_close(f);
	start.unclean = true;
	start.state = 2;
	assert_int_equal(flight_open(f, &start), 40 + 30);
	assert_int_equal(atomic_load(&f->possible), 9 + 10 + 40 + 30);
	assert_false(f->was_anothers || f->was_damaged);
	flight_close(f);
	spooldir_remove(&d);
}

static char *of_another(void)
{
	char *path = strdup(spooldir_file(&d, ".another.flight"));
	struct flight f = {.fd = -1};
	AUTOFREE char *spool = strdup(spooldir_file(&d, ".another"));
	struct flight_start start = {.path = spool, .state = 2, .spool = {8, 8}};

	(void)flight_open(&f, &start);
	flight_send(&f, 5000);
	flight_close(&f);
	return path;
}

/* The other one may have another name still, and its own life. */
static void what_was_taken_away_or_replaced_is_made_anew(void **state)
{
	enum { DELETED, RENAMED, MOVED_OVER, LINKED, EMPTY, WAYS };

	(void)state;
	for (int how = 0; how < WAYS; how++) {
		AUTOFREE unsigned char *before = NULL, *after = NULL;
		AUTOFREE char *another = NULL, *path = NULL;
		struct flight_start start;
		struct flight f;
		size_t count, count_after;

		begin(&f, &start);
		another = of_another();
		path = strdup(spooldir_file(&d, ".flight"));
		before = spooldir_load(another, &count);
		assert_false(flight_look(&f));
		assert_int_equal(how == RENAMED ? rename(path, spooldir_file(&d, ".flight.old")) : unlink(path), 0);
		if (how == MOVED_OVER)
			assert_int_equal(rename(another, path), 0);
		else if (how == LINKED)
			assert_int_equal(link(another, path), 0);
		else if (how == EMPTY)
			spooldir_store(path, "", 0);
		assert_true(flight_look(&f));
		assert_false(flight_look(&f));
		assert_int_equal(atomic_load(&f.name_trouble), 0);
		if (how != MOVED_OVER) {
			after = spooldir_load(another, &count_after);
			assert_int_equal(count_after, count);
			assert_memory_equal(after, before, count);
		}
		expect_all(&f, &start);
	}
}

/* Its name and its inode stay. */
static void what_was_overwritten_is_made_anew(void **state)
{
	enum { EMPTIED, CUT, ZEROS, A_BIT, OF_ANOTHER, OF_BEFORE, WAYS };

	(void)state;
	for (int how = 0; how < WAYS; how++) {
		AUTOFREE unsigned char *bytes = NULL;
		AUTOFREE char *another = NULL, *path = NULL;
		struct flight_start start;
		struct flight f;
		size_t count;

		begin(&f, &start);
		another = of_another();
		path = strdup(spooldir_file(&d, ".flight"));
		bytes = spooldir_load(how == OF_ANOTHER ? another : path, &count);
		flight_send(&f, 3);
		flight_end(&f, 3, 3, 0);
		flight_settling(&f, 3, 2);
		flight_settled(&f, 3, 2);
		assert_false(flight_look(&f));
		if (how == ZEROS)
			memset(bytes, 0, count);
		else if (how == A_BIT)
			bytes[count - 12] ^= 1;
		spooldir_store(path, bytes, how == EMPTIED ? 0 : how == CUT ? count / 2 : count);
		assert_true(flight_look(&f));
		assert_false(flight_look(&f));
		expect_all(&f, &start);
	}
}

/* That is told, and tried again. */
static void what_stands_in_the_way_is_told(void **state)
{
	struct flight_start start;
	struct flight f;

	(void)state;
	begin(&f, &start);
	assert_int_equal(unlink(spooldir_file(&d, ".flight")), 0);
	assert_int_equal(mkdir(spooldir_file(&d, ".flight"), 0700), 0);
	for (int i = 0; i < 2; i++) {
		assert_false(flight_look(&f));
		assert_int_equal(atomic_load(&f.name_trouble), EEXIST);
		flight_send(&f, 3);
		flight_end(&f, 3, 0, 0);
	}
	assert_int_equal(rmdir(spooldir_file(&d, ".flight")), 0);
	assert_true(flight_look(&f));
	assert_int_equal(atomic_load(&f.name_trouble), 0);
	expect_all(&f, &start);
}

/* Each of its operations fails once: it is told, nothing half is there, and the next look makes it. */
static void what_is_refused_is_made_by_the_next_look(void **state)
{
	uint64_t failed = 1;

	(void)state;
	for (uint64_t n = 1; failed > 0; n++) {
		struct flight_start start;
		struct flight f;
		bool is_made;

		begin(&f, &start);
		assert_int_equal(unlink(spooldir_file(&d, ".flight")), 0);
		faultfs_arm(FAULTFS_WRITE | FAULTFS_SYNC | FAULTFS_OPEN, n, ENOSPC, false);
		is_made = flight_look(&f);
		failed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(is_made, failed == 0);
		assert_int_equal(atomic_load(&f.name_trouble), failed ? ENOSPC : 0);
		assert_int_equal(access(spooldir_file(&d, ".flight"), F_OK) == 0, is_made);
		if (!is_made)
			assert_true(flight_look(&f));
		expect_all(&f, &start);
		assert_true(n < 10);
	}
}

/* One that could not be written has another name: that is no deletion. */
static void one_that_is_not_believed_is_not_made_anew(void **state)
{
	struct flight_start start;
	struct flight f;

	(void)state;
	begin(&f, &start);
	faultfs_arm(FAULTFS_WRITE, 1, EIO, false);
	flight_send(&f, 1);
	faultfs_arm(0, 0, 0, false);
	assert_true(atomic_load(&f.is_unsure));
	assert_false(flight_look(&f));
	assert_int_not_equal(access(spooldir_file(&d, ".flight"), F_OK), 0);
	flight_close(&f);
	spooldir_remove(&d);
}

enum { REQUESTS = 20000 };

static void *deliver(void *arg)
{
	struct flight *f = arg;

	for (int i = 0; i < REQUESTS; i++) {
		flight_send(f, 100);
		flight_end(f, 100, 60, i % 1000 == 0 ? 1 : 0);
	}
	flight_send(f, 7);
	return NULL;
}

/* Again and again while delivery counts: what stands under the name at the end is all of it. */
static void what_is_counted_meanwhile_is_in_it(void **state)
{
	struct flight f = {.fd = -1};
	struct flight_start start = {.pending = UINT64_MAX, .handed = UINT64_MAX, .state = 1};
	const uint64_t possible = REQUESTS / 1000;
	uint64_t settled = 0;
	pthread_t thread;
	int made = 0;

	(void)state;
	spooldir_make(&d);
	start.path = d.path;
	assert_int_equal(flight_open(&f, &start), 0);
	assert_int_equal(pthread_create(&thread, NULL, deliver, &f), 0);
	while (pthread_tryjoin_np(thread, NULL) != 0) {
		(void)unlink(spooldir_file(&d, ".flight"));
		made += flight_look(&f);
		flight_settling(&f, 1, 1);
		flight_settled(&f, 1, 1);
		settled++;
	}
	made += flight_look(&f);
	assert_true(made > 0);
	flight_close(&f);
	start.unclean = true;
	assert_int_equal(flight_open(&f, &start), REQUESTS * UINT64_C(60) + 7 - settled);
	assert_int_equal(atomic_load(&f.possible), possible + REQUESTS * UINT64_C(60) + 7 - settled);
	flight_close(&f);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_taken_away_or_replaced_is_made_anew),
	    cmocka_unit_test(what_was_overwritten_is_made_anew),
	    cmocka_unit_test(what_stands_in_the_way_is_told),
	    cmocka_unit_test(what_is_refused_is_made_by_the_next_look),
	    cmocka_unit_test(one_that_is_not_believed_is_not_made_anew),
	    cmocka_unit_test(what_is_counted_meanwhile_is_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
