/*
 * What is with the service when a process dies is counted at the next start: as the file of the counts says, or, when
 * the file is older than the database, as the last commit bounds it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "journal/flight.h"
#include "rig/faultfs.h"
#include "rig/journalrig.h"

static uint64_t reopen(struct flight *f, struct flight_start *start)
{
	uint64_t found;

	flight_close(f);
	found = flight_open(f, start);
	start->possible = atomic_load(&f->possible);
	return found;
}

/* How many were possible when this run began: tools/crashrun reads it. */
static uint64_t opened_with(const struct spooldir *d)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(d, ".flight"), &count);
	uint64_t n = 0;

	assert_in_range(count, 2 * sizeof n, 100 * sizeof n);
	memcpy(&n, bytes + sizeof n, sizeof n);
	free(bytes);
	return n;
}

/* No commit came after the file was written back, and more was sent. */
static void of_another_boot_it_may_be_older_than_what_was_sent(void **state)
{
	(void)state;
	for (int boots = 0; boots < 2; boots++)
		for (int unclean = 0; unclean < 2; unclean++) {
			struct flight f = {.fd = -1};
			struct flight_start start = {.handed = 200, .pending = 700, .state = 5};
			struct spooldir d;
			size_t count;
			unsigned char *bytes;

			spooldir_make(&d);
			start.path = d.path;
			clock_test_set(0, 0);
			clock_test_boot(1);
			assert_int_equal(reopen(&f, &start), 0);
			flight_send(&f, 10);
			bytes = spooldir_load(spooldir_file(&d, ".flight"), &count);
			flight_send(&f, 100);
			spooldir_store(spooldir_file(&d, ".flight"), bytes, count);
			free(bytes);
			clock_test_boot(boots ? 2 : 1);
			start.unclean = unclean;
			assert_int_equal(reopen(&f, &start), boots && unclean ? 200 : 10);
			assert_false(f.was_damaged);
			assert_int_equal(reopen(&f, &start), 0);
			flight_close(&f);
			clock_test_end();
			spooldir_remove(&d);
		}
}

/* By the kspool before: what it says is believed, as that one did. */
static void a_file_without_a_boot_is_read(void **state)
{
	enum { BEFORE = 15 * 8 };
	struct flight f = {.fd = -1};
	struct flight_start start = {.handed = 200, .pending = 700, .state = 5};
	struct spooldir d;
	size_t count;
	unsigned char *bytes;
	uint64_t sum;

	(void)state;
	spooldir_make(&d);
	start.path = d.path;
	assert_int_equal(reopen(&f, &start), 0);
	flight_send(&f, 70);
	flight_close(&f);
	bytes = spooldir_load(spooldir_file(&d, ".flight"), &count);
	memcpy(bytes, &(uint64_t){UINT64_C(0x6b73706c666c7432)}, 8);
	sum = crc32c(crc32c(0, &(uint64_t){0}, 8), bytes, 4 * 8);
	memcpy(bytes + 4 * 8, &sum, sizeof sum);
	spooldir_store(spooldir_file(&d, ".flight"), bytes, BEFORE);
	free(bytes);
	start.unclean = true;
	assert_int_equal(reopen(&f, &start), 70);
	assert_false(f.was_damaged);
	flight_close(&f);
	spooldir_remove(&d);
}

static void what_was_under_way_is_found(void **state)
{
	struct spooldir d;
	struct flight f = {.fd = -1};
	struct flight_start start = {.handed = 1000, .pending = 700, .state = 1};

	(void)state;
	spooldir_make(&d);
	start.path = d.path;
	assert_int_equal(reopen(&f, &start), 0); /* no file, and the last run ended well */
	flight_send(&f, 100);
	flight_send(&f, 50);
	start.unclean = true;
	assert_int_equal(reopen(&f, &start), 150);
	assert_int_equal(start.possible, 150);
	flight_send(&f, 100);
	flight_send(&f, 20);
	flight_end(&f, 100, 90, 10); /* 90 wait for their commit, 10 may have been taken */
	assert_int_equal(reopen(&f, &start), 110);
	assert_int_equal(start.possible, 150 + 10 + 110);
	assert_int_equal(opened_with(&d), start.possible);
	flight_send(&f, 100);
	flight_end(&f, 100, 100, 0);
	flight_settled(&f, 60, 2);
	start.state = 2;
	assert_int_equal(reopen(&f, &start), 40);
	flight_send(&f, 100);
	flight_end(&f, 100, 100, 0);
	flight_settling(&f, 70, 3);
	assert_int_equal(reopen(&f, &start), 100); /* the commit was not made */
	flight_send(&f, 100);
	flight_end(&f, 100, 100, 0);
	flight_settling(&f, 70, 3);
	start.state = 3; /* it was, and nobody noted it */
	assert_int_equal(reopen(&f, &start), 30);
	flight_send(&f, 5);
	start.state = 4; /* a commit the file does not know: after a power cut */
	assert_int_equal(reopen(&f, &start), 700);
	assert_int_equal(reopen(&f, &start), 0);
	flight_close(&f);
	spooldir_remove(&d);
}

/* What is in a new database says nothing of what the last run had out; its file does. */
static void what_was_out_is_counted_when_the_database_began_anew(void **state)
{
	struct spooldir d;

	(void)state;
	spooldir_make(&d);
	for (int i = 0; i < 8; i++) {
		struct flight_start start = {.path = d.path, .pending = 700, .state = 1, .spool = {1, 2}};
		struct flight f = {.fd = -1};
		const bool is_anew = i & 1, is_unclean = i & 2, is_ours = i & 4;

		assert_int_equal(flight_open(&f, &start), 0);
		flight_send(&f, 100);
		flight_end(&f, 100, 90, 4);
		flight_settled(&f, 60, 1);
		flight_settling(&f, 20, 2);
		flight_send(&f, 7);
		flight_close(&f);
		start.state = 9;
		start.handed = 3;
		start.is_anew = is_anew;
		start.unclean = is_unclean;
		start.spool[1] = is_ours ? 2 : 3;
		assert_int_equal(flight_open(&f, &start), !is_anew && !is_unclean ? 0 : is_ours ? 37 : 3);
		flight_close(&f);
		start.spool[1] = 2;
		(void)flight_open(&f, &start); /* what it said is counted once */
		flight_close(&f);
		assert_int_equal(unlink(spooldir_file(&d, ".flight")), 0);
	}
	spooldir_remove(&d);
}

/* Where the file cannot be opened, what was unsure stays so for the start that can. */
static void what_cannot_be_written_stays_unsure(void **state)
{
	struct spooldir d;
	struct flight f = {.fd = -1};
	struct flight_start start = {.pending = 700, .state = 1};

	(void)state;
	spooldir_make(&d);
	start.path = d.path;
	assert_int_equal(mkdir(spooldir_file(&d, ".flight"), 0700), 0);
	spooldir_store(spooldir_file(&d, ".flight.unsure"), "", 0);
	assert_int_equal(flight_open(&f, &start), 700);
	assert_int_not_equal(atomic_load(&f.trouble), 0);
	flight_send(&f, 3);
	flight_close(&f);
	assert_int_equal(access(spooldir_file(&d, ".flight.unsure"), F_OK), 0);
	assert_int_equal(rmdir(spooldir_file(&d, ".flight")), 0);
	assert_int_equal(flight_open(&f, &start), 700);
	assert_int_equal(atomic_load(&f.trouble), 0);
	assert_int_equal(access(spooldir_file(&d, ".flight.unsure"), F_OK), -1);
	flight_close(&f);
	assert_int_equal(flight_open(&f, &start), 0);
	flight_close(&f);
	spooldir_remove(&d);
}

static void a_file_that_is_not_ours_is_not_believed(void **state)
{
	struct spooldir d;
	struct flight f = {.fd = -1};
	struct flight_start start = {.handed = 30, .pending = 700, .state = 1, .possible = 5};
	char path[600];
	FILE *out;

	(void)state;
	spooldir_make(&d);
	start.path = d.path;
	(void)snprintf(path, sizeof path, "%s.flight", d.path);
	out = fopen(path, "w");
	assert_non_null(out);
	for (int i = 0; i < 100; i++)
		(void)fputs("9999999999", out);
	(void)fclose(out);
	assert_int_equal(reopen(&f, &start), 0);
	assert_int_equal(start.possible, 5);
	start.unclean = true;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(reopen(&f, &start), 30);
	assert_int_equal(start.possible, 35);
	flight_close(&f);
	spooldir_remove(&d);
}

/* Whatever bit it is: no number of the file is believed that was not written; after a kill the last commit bounds it.
 */
static void a_file_that_is_not_what_was_written_hides_and_invents_nothing(void **state)
{
	struct spooldir d;
	struct flight f = {.fd = -1};
	struct flight_start start = {.handed = 130, .pending = 700, .state = 5, .spool = {1, 2}};
	char path[600];
	unsigned char *bytes;
	size_t count;

	(void)state;
	spooldir_make(&d);
	start.path = d.path;
	(void)snprintf(path, sizeof path, "%s.flight", d.path);
	assert_int_equal(reopen(&f, &start), 0);
	flight_send(&f, 150);
	flight_end(&f, 30, 28, 2);
	flight_settling(&f, 20, 5);
	flight_settled(&f, 20, 5);
	flight_close(&f);
	bytes = spooldir_load(path, &count);
	assert_int_equal(count % 8, 0);
	for (size_t bit = 0; bit <= count * 8; bit++) { /* the last time as it was written */
		struct flight_start again = start;
		uint64_t found;

		again.unclean = true;
		if (bit < count * 8)
			bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		spooldir_store(path, bytes, count);
		if (bit < count * 8)
			bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		found = reopen(&f, &again);
		assert_int_equal(f.was_damaged, bit < count * 8);
		assert_false(f.was_anothers);
		assert_true(found == 128 || (found == 130 && f.was_damaged));
		assert_true(again.possible == found + 2 || (again.possible == found && f.was_damaged));
	}
	for (size_t cut = 1; cut < count; cut++) {
		struct flight_start again = start;

		spooldir_store(path, bytes, cut);
		assert_int_equal(reopen(&f, &again), 0); /* the last run ended well */
		assert_true(f.was_damaged);
	}
	free(bytes);
	flight_close(&f);
	spooldir_remove(&d);
}

/* Each half of the id counts; who has none is an older kspool's file of ours. */
static void the_file_of_another_spool_is_not_counted(void **state)
{
	static const uint64_t others[][2] = {{1, 3}, {4, 2}, {2, 1}, {0, 2}, {1, 0}};
	struct spooldir d;
	struct flight f = {.fd = -1};
	struct flight_start start = {.handed = 30, .pending = 700, .state = 0, .spool = {1, 2}};
	char path[600];
	uint64_t numbers[9] = {UINT64_C(0x6b73706c666c7431), 7, 20, 5, 3, 0, 0, 1, 0};

	(void)state;
	spooldir_make(&d);
	start.path = d.path;
	(void)snprintf(path, sizeof path, "%s.flight", d.path);
	assert_int_equal(reopen(&f, &start), 0);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct flight_start other = {.handed = 11, .pending = 10, .state = 0, .possible = 2};

		other.path = d.path;
		other.unclean = i % 2;
		other.spool[0] = others[i][0];
		other.spool[1] = others[i][1];
		flight_send(&f, 50);
		assert_int_equal(reopen(&f, &other), i % 2 ? 10 : 0); /* as if there were no file */
		assert_true(f.was_anothers);
		assert_int_equal(other.possible, i % 2 ? 12 : 2);
		start.possible = 0;
		assert_int_equal(reopen(&f, &start), 0);
		assert_true(f.was_anothers);
	}
	flight_send(&f, 50);
	assert_int_equal(reopen(&f, &start), 50);
	assert_false(f.was_anothers);
	for (size_t bytes = 0; bytes <= sizeof numbers; bytes += 8) { /* an older one, and pieces of it */
		flight_close(&f);
		spooldir_store(path, numbers, bytes);
		start.possible = 4;
		assert_int_equal(reopen(&f, &start), bytes == sizeof numbers ? 22 : 0);
		assert_int_equal(start.possible, bytes == sizeof numbers ? 29 : 4);
		assert_false(f.was_anothers);
		assert_int_equal(f.sending + f.delivered + f.settled, 0);
	}
	flight_close(&f);
	assert_int_equal(f.fd, -1);
	flight_close(&f);
	flight_send(&f, 3);            /* nowhere to write to */
	assert_int_equal(close(0), 0); /* its descriptor may be 0 */
	assert_int_equal(reopen(&f, &start), 0);
	assert_int_equal(f.fd, 0);
	flight_send(&f, 9);
	assert_int_equal(reopen(&f, &start), 9);
	flight_close(&f);
	assert_int_equal(open("/dev/null", O_RDONLY), 0);
	spooldir_remove(&d);
}

/* Requests that nobody ended, and an answer that was settled in part. */
static void a_journal_counts_what_its_predecessor_had_out(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct store_report report;
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[100];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, rig_offer(1, 100, 50, &a));
	journal_credit(j, 100, 1 << 20);
	rig_take_ids(j, ids, 100);
	flight_send(journal_flight(j), 80);
	flight_end(journal_flight(j), 40, 40, 0);
	rig_settle_ids(j, ids, 30, SETTLE_DELIVERED, 0);
	rig_stop(j);
	j = rig_start(&o, &report);
	assert_int_equal(report.in_flight, 50);
	rig_stop(j);
	j = rig_start(&o, &report);
	assert_int_equal(report.in_flight, 0);
	assert_int_equal(atomic_load(&journal_flight(j)->possible), 50);
	rig_stop(j);
	spooldir_remove(&d);
}

/* The options of its spool. */
static struct journal_options ends_with_100_out(struct spooldir *d)
{
	struct journal_options o = {0};
	struct answers a = {0};
	uint64_t ids[100];
	struct journal *j;

	spooldir_make(d);
	o.store = spooldir_options(d);
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, rig_offer(1, 100, 50, &a));
	journal_credit(j, 100, 1 << 20);
	rig_take_ids(j, ids, 100);
	flight_send(journal_flight(j), 100);
	rig_stop(j);
	return o;
}

static jmp_buf told;
static bool was_told;

static void tell(const struct error *reason)
{
	assert_int_equal(reason->code, ERR_DISK);
	assert_non_null(strstr(reason->text, ".flight can be neither written nor taken away"));
	was_told = true;
	longjmp(told, 1);
}

static void send_until_told(struct flight *f)
{
	was_told = false;
	if (setjmp(told) == 0)
		flight_send(f, 3);
}

/* Written when the run begins, or when a request does, by a disk that refuses all: nothing is sent. */
static void what_cannot_be_taken_away_ends_the_run(void **state)
{
	static const int refusals[] = {EIO, EROFS};

	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct spooldir d;
		struct flight f = {.fd = -1};
		struct flight_start start = {.pending = 700, .state = 1};

		spooldir_make(&d);
		start.path = d.path;
		assert_int_equal(flight_open(&f, &start), 0);
		f.on_stale = tell;
		faultfs_arm(FAULTFS_WRITE | FAULTFS_RENAME | FAULTFS_UNLINK, 1, refusals[i], true);
		send_until_told(&f);
		faultfs_arm(0, 0, 0, false);
		assert_true(was_told && atomic_load(&f.is_stale));
		flight_close(&f);
		spooldir_remove(&d);
	}
}

/* A disk that refuses all from some write of a start on: no run begins beside a file that will be believed. */
static void no_run_begins_with_a_file_that_will_be_believed(void **state)
{
	bool was_refused = false;

	(void)state;
	for (uint64_t n = 1; !was_refused && n < 200; n++) {
		struct spooldir d;
		const struct journal_options o = ends_with_100_out(&d);
		struct journal *j = NULL;
		struct error e;

		faultfs_arm(FAULTFS_WRITE | FAULTFS_RENAME | FAULTFS_UNLINK, n, EIO, true);
		assert_int_not_equal(journal_start(&o, NULL, &j, NULL, &e), ERR_OK);
		faultfs_arm(0, 0, 0, false);
		was_refused = strstr(e.text, ".flight can be neither") != NULL;
		spooldir_remove(&d);
	}
	assert_true(was_refused);
}

/* As a command does. */
static struct store *open_and_count(const struct journal_options *o)
{
	struct store_report report;
	struct store *s = NULL;
	struct error e;

	assert_int_equal(store_open(&o->store, &s, &report, &e), ERR_OK);
	assert_int_equal(journal_count_flight(s, o->store.path, &report, &e), ERR_OK);
	return s;
}

static void expect_nothing_out(const struct journal_options *o)
{
	struct store_report report;
	struct journal *j = rig_start(o, &report);

	assert_int_equal(report.in_flight, 0);
	rig_stop(j);
}

/* A stopped spool that is worked on counts them too, once. */
static void who_works_on_a_stopped_spool_counts_what_was_out(void **state)
{
	struct spooldir d;
	const struct journal_options o = ends_with_100_out(&d);
	struct error e;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct store *s = open_and_count(&o);

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_position_put(s, "k", i ? "2" : "1", &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(store_possible_duplicates(s), 100);
		assert_int_equal(store_close(s, &e), ERR_OK);
	}
	expect_nothing_out(&o);
	spooldir_remove(&d);
}

/* A command that changes nothing leaves a clean end behind it: what it counted stands in the database. */
static void who_looks_at_a_stopped_spool_takes_no_evidence_away(void **state)
{
	struct spooldir d;
	const struct journal_options o = ends_with_100_out(&d);
	struct error e;
	struct store *s = open_and_count(&o);

	(void)state;
	assert_int_equal(store_close(s, &e), ERR_OK);
	assert_int_equal(unlink(spooldir_file(&d, ".flight")), 0);
	expect_nothing_out(&o);
	s = open_and_count(&o);
	assert_int_equal(store_possible_duplicates(s), 100);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* What a start counts stands in the database before anything is sent again: the file may be gone when that start is
 * killed. */
static void what_a_start_counts_outlives_the_file(void **state)
{
	struct spooldir d, killed;
	struct journal_options o = ends_with_100_out(&d);
	struct store_report report;
	struct journal *j;

	(void)state;
	spooldir_make(&killed);
	j = rig_start(&o, &report);
	assert_int_equal(report.in_flight, 100);
	spooldir_copy(&d, &killed);
	rig_stop(j);
	o.store = spooldir_options(&killed);
	(void)unlink(spooldir_file(&killed, ".flight"));
	j = rig_start(&o, &report);
	assert_int_equal(atomic_load(&journal_flight(j)->possible), 100 + report.in_flight);
	rig_stop(j);
	spooldir_remove(&killed);
	spooldir_remove(&d);
}

/* Written no more, it must not be believed: neither in this run nor by the next. A clean end makes it good. */
static void a_file_that_cannot_be_written_is_not_believed(void **state)
{
	(void)state;
	for (int heals = 0; heals < 2; heals++) {
		struct spooldir d;
		struct flight f = {.fd = -1};
		struct flight_start start = {.handed = 3, .pending = 700, .state = 1, .unclean = true};

		spooldir_make(&d);
		start.path = d.path;
		assert_int_equal(reopen(&f, &start), 3);
		assert_int_equal(atomic_load(&f.trouble), 0);
		flight_send(&f, 10);
		(void)close(f.fd);
		f.fd = open(spooldir_file(&d, ".flight"), O_RDONLY);
		flight_send(&f, 100);
		assert_int_equal(atomic_load(&f.trouble), EBADF);
		assert_int_equal(access(spooldir_file(&d, ".flight"), F_OK), -1);
		if (heals) {
			(void)close(f.fd);
			f.fd = open(spooldir_file(&d, ".flight.unsure"), O_RDWR);
		}
		assert_int_equal(reopen(&f, &start), heals ? 110 : 700);
		assert_int_equal(access(spooldir_file(&d, ".flight.unsure"), F_OK), -1);
		assert_int_equal(atomic_load(&f.trouble), 0);
		flight_close(&f);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(of_another_boot_it_may_be_older_than_what_was_sent),
	    cmocka_unit_test(a_file_without_a_boot_is_read),
	    cmocka_unit_test(what_was_under_way_is_found),
	    cmocka_unit_test(what_was_out_is_counted_when_the_database_began_anew),
	    cmocka_unit_test(what_cannot_be_taken_away_ends_the_run),
	    cmocka_unit_test(no_run_begins_with_a_file_that_will_be_believed),
	    cmocka_unit_test(what_cannot_be_written_stays_unsure),
	    cmocka_unit_test(a_file_that_is_not_ours_is_not_believed),
	    cmocka_unit_test(a_file_that_is_not_what_was_written_hides_and_invents_nothing),
	    cmocka_unit_test(what_a_start_counts_outlives_the_file),
	    cmocka_unit_test(the_file_of_another_spool_is_not_counted),
	    cmocka_unit_test(a_file_that_cannot_be_written_is_not_believed),
	    cmocka_unit_test(who_works_on_a_stopped_spool_counts_what_was_out),
	    cmocka_unit_test(who_looks_at_a_stopped_spool_takes_no_evidence_away),
	    cmocka_unit_test(a_journal_counts_what_its_predecessor_had_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
