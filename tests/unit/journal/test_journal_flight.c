/*
 * What is with the service when a process dies is counted at the next start: as the file of the counts says, or, when
 * the file is older than the database, as the last commit bounds it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "journal/flight.h"
#include "rig/journalrig.h"

static uint64_t reopen(struct flight *f, struct flight_start *start)
{
	uint64_t found;

	flight_close(f);
	found = flight_open(f, start);
	start->possible = atomic_load(&f->possible);
	return found;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_under_way_is_found),
	    cmocka_unit_test(a_file_that_is_not_ours_is_not_believed),
	    cmocka_unit_test(a_journal_counts_what_its_predecessor_had_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
