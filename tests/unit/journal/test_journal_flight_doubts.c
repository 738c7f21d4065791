/* Answers were lost, what had none was sent again, and PATH.flight is not what it was, or gone, at the next start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal/flight.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/journal_steps.h"
#include "store/files/flight_file.h"
#include "store/store_internal.h"

enum { MESSAGES = 50, TIMES = 4 };

/* Each number stands with others that have a checksum of their own: one that is wrong takes no other group along. */
static void one_bit_hides_none(void **state)
{
	struct spooldir d;
	struct flight f = {.fd = -1};
	struct flight_start start = {.handed = MESSAGES, .pending = MESSAGES, .state = 5, .spool = {1, 2}};
	unsigned char *bytes;
	size_t count;

	(void)state;
	spooldir_make(&d);
	start.path = d.path;
	assert_int_equal(flight_open(&f, &start), 0);
	for (int i = 0; i < TIMES; i++) {
		steps.now_ns += 100 * NS_PER_S;
		flight_send(&f, MESSAGES);
		flight_end(&f, MESSAGES, 0, MESSAGES); /* taken, and nobody heard of it */
	}
	flight_close(&f);
	start.unclean = true;
	bytes = spooldir_load(spooldir_file(&d, ".flight"), &count);
	for (size_t bit = 0; bit <= count * 8; bit++) { /* the last time as it was written */
		uint64_t possible;

		if (bit < count * 8)
			bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		spooldir_store(spooldir_file(&d, ".flight"), bytes, count);
		if (bit < count * 8)
			bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		(void)flight_open(&f, &start);
		possible = atomic_load(&f.possible);
		assert_true(possible >= TIMES * MESSAGES && possible <= (TIMES + 1) * MESSAGES);
		assert_true(possible == TIMES * MESSAGES || bit < count * 8);
		flight_close(&f);
	}
	free(bytes);
	spooldir_remove(&d);
}

/* A run of its own: the next start reads no clock but the file's. */
static uint64_t known_without_the_file(const struct spooldir *d)
{
	struct spooldir killed;
	struct store_options o;
	struct store *s;
	struct error e;
	uint64_t ret;

	spooldir_make(&killed);
	spooldir_copy(d, &killed);
	(void)unlink(spooldir_file(&killed, ".flight"));
	o = spooldir_options(&killed);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	ret = store_possible_duplicates(s) + store_handed(s);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&killed);
	return ret;
}

/* No commit comes by itself: nothing is taken in, and nothing is settled. */
static void a_file_that_is_gone_hides_little(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct store_report report;
	struct journal *j;
	struct answers a = {0};
	uint64_t doubled = 0, commits;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = steps_start(&o, &report);
	steps_run();
	assert_true(journal_offer(j, rig_offer(1, MESSAGES, 100, &a)));
	steps_run();
	steps_advance(5000);
	for (int i = 0; i < 30; i++) {
		flight_send(journal_flight(j), MESSAGES);
		steps_run();
		flight_end(journal_flight(j), MESSAGES, 0, MESSAGES);
		doubled += MESSAGES;
		commits = j->store->durable.commits;
		steps_run();
		if (i == 0) /* at once, and by no other commit */
			assert_true(store_possible_duplicates(j->store) == doubled &&
			            j->store->durable.commits == commits + 1);
		steps_advance(i < 3 ? 1000 : 100);
		assert_true(store_possible_duplicates(j->store) + 11 * (uint64_t)MESSAGES >= doubled);
		if (i < 3)
			assert_int_equal(store_possible_duplicates(j->store), doubled);
	}
	steps_advance(1000);
	assert_int_equal(store_possible_duplicates(j->store), doubled);
	commits = j->store->durable.commits;
	steps_advance(10000); /* and nothing more is written for it */
	assert_int_equal(j->store->durable.commits, commits);
	assert_true(known_without_the_file(&d) >= doubled);
	rig_stop(j);
	spooldir_remove(&d);
}

/* A disk that refuses puts off the note; what is settled meanwhile, in commits for a full disk, must bring it. */
static void what_leaves_a_full_disk_says_what_was_doubled(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct store_report report;
	struct journal *j;
	struct answers a = {0};
	uint64_t ids[MESSAGES];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = steps_start(&o, &report);
	journal_credit(j, MESSAGES, 1 << 20);
	steps_run();
	assert_true(journal_offer(j, rig_offer(1, MESSAGES, 100, &a)));
	steps_advance(5000);
	for (uint64_t i = 0; i < MESSAGES; i++)
		ids[i] = i + 1;
	faultsql_arm(1, SQLITE_FULL, false);
	assert_true(journal_offer(j, rig_offer(2, 1, 100, &a)));
	steps_run();
	assert_true(faultsql_failed() && store_disk_refuses(j->store));
	flight_send(journal_flight(j), MESSAGES);
	flight_end(journal_flight(j), MESSAGES, 0, MESSAGES);
	flight_send(journal_flight(j), MESSAGES);
	flight_end(journal_flight(j), MESSAGES, MESSAGES, 0);
	steps_run();
	assert_int_equal(store_possible_duplicates(j->store), 0);
	rig_settle_ids(j, ids, MESSAGES, SETTLE_DELIVERED, 0);
	steps_run();
	assert_int_equal(store_ledger(j->store)->pending, 0);
	assert_int_equal(store_possible_duplicates(j->store), MESSAGES);
	faultsql_arm(0, 0, false);
	rig_stop(j);
	spooldir_remove(&d);
}

/* What the next start counts; it is sent again once it has come back. */
static uint64_t counted(const struct store_options *o, struct store_report *report)
{
	struct store *s = NULL;
	struct error e;
	uint64_t ret;

	assert_int_equal(store_open(o, &s, report, &e), ERR_OK);
	assert_int_equal(journal_count_flight(s, o->path, report, &e), ERR_OK);
	ret = store_possible_duplicates(s);
	assert_int_equal(store_close(s, &e), ERR_OK);
	return ret;
}

/* MESSAGES are with the service, and the process is gone. */
static void kill_with_messages_out(struct spooldir *ret)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct store_report report;
	struct answers a = {0};
	struct flight_start start = {0};
	struct flight f = {.fd = -1};
	struct journal *j;

	spooldir_make(&d);
	spooldir_make(ret);
	o.store = spooldir_options(&d);
	j = steps_start(&o, &report);
	journal_credit(j, 1000, 1 << 20);
	steps_run();
	assert_true(journal_offer(j, rig_offer(1, MESSAGES, 100, &a)));
	steps_run();
	spooldir_copy(&d, ret);
	start.path = ret->path;
	start.state = store_moves(j->store);
	store_identity(j->store, start.spool);
	rig_stop(j);
	assert_int_equal(flight_open(&f, &start), 0); /* a copy of the file would be of the moment when it was made */
	flight_send(&f, MESSAGES);
	flight_close(&f);
	spooldir_remove(&d);
}

/* The log alone has what waits: it is read back later, and what of it was out is counted at once, and no more. */
static void a_database_that_is_gone_takes_no_count_along(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct spooldir d;
		struct store_options o;
		struct store_report report;
		unsigned char *bytes;
		size_t count;

		kill_with_messages_out(&d);
		o = spooldir_options(&d);
		assert_int_equal(unlink(d.path), 0);
		bytes = spooldir_load(spooldir_file(&d, ".flight"), &count);
		bytes[AT_SENDING * sizeof(uint64_t)] ^= how == 1;
		spooldir_store(spooldir_file(&d, ".flight"), bytes, count);
		free(bytes);
		if (how == 2)
			assert_int_equal(unlink(spooldir_file(&d, ".flight")), 0);
		for (int i = 0; i < 2; i++) /* once */
			assert_int_equal(counted(&o, &report), MESSAGES);
		spooldir_remove(&d);
	}
}

/* A run that ends anywhere while it puts its spool aside leaves a database in which nothing was committed. */
static void a_run_that_dies_while_it_sets_aside_forgets_nothing(void **state)
{
	bool has_ended = false;
	int told = 0;
	uint64_t n = 0;

	(void)state;
	while (!has_ended) {
		struct spooldir d;
		struct store_options o;
		struct store_report report;
		int status;
		pid_t child;

		kill_with_messages_out(&d);
		o = spooldir_options(&d);
		n++;
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			struct store *s = NULL;
			struct error e;

			if (store_open(&o, &s, &report, &e) != ERR_OK)
				_exit(1);
			faultfs_arm(FAULTFS_CHANGES, n, FAULTFS_KILL, false);
			_exit(store_restart_damaged(s, &report, &e) == ERR_OK ? 2 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 1);
		has_ended = WIFEXITED(status) && WEXITSTATUS(status) == 2;
		assert_int_equal(counted(&o, &report), MESSAGES);
		told += strstr(report.warning, "it goes on in a new database") != NULL;
		spooldir_remove(&d);
	}
	assert_in_range(n, 10, 500);
	assert_true(told > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_bit_hides_none),
	    cmocka_unit_test(a_file_that_is_gone_hides_little),
	    cmocka_unit_test(what_leaves_a_full_disk_says_what_was_doubled),
	    cmocka_unit_test(a_database_that_is_gone_takes_no_count_along),
	    cmocka_unit_test(a_run_that_dies_while_it_sets_aside_forgets_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
