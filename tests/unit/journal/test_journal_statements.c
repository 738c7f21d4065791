/*
 * The journal's thread while the n-th call of SQLite runs out of memory, n = 1, 2, ... until none does: an offer is
 * refused as a whole or taken as a whole, a settlement waits, a read is read again; nothing is lost and nothing ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "rig/errorwatch.h"
#include "rig/faultsql.h"
#include "rig/journalrig.h"

enum { ROWS = 3, CALLS_MAX = 500 };

static uint64_t fails_at;
static bool has_failed;
static struct store_ledger ledger;
static char *position;

static void arm(struct store *s)
{
	(void)s;
	faultsql_arm(fails_at, SQLITE_NOMEM, false);
}

static void disarm(struct store *s)
{
	struct error e;

	has_failed = faultsql_failed();
	faultsql_arm(0, 0, false);
	ledger = *store_ledger(s);
	must(store_position_get(s, "file", &position, &(bool){false}, &e) == ERR_OK);
}

static struct origin *with_key(uint64_t round, int i)
{
	AUTOFREE char *key = mem_format("%llu-%d", (unsigned long long)round, i);
	struct origin *below = origin_new(0);
	struct origin *ret = origin_with_key(below, "cache", INT64_MAX, key, strlen(key));

	origin_unref(below);
	return ret;
}

/* A key of its own for each message of each round; the shelf's, too. The first one is joined of two. */
static void add_key(struct message *m, uint64_t round, int i)
{
	struct origin *own[2] = {with_key(round, i), with_key(round, 100)};

	message_set_origin(m, i == 0 ? origin_join(own, 2) : origin_ref(own[0]));
	origin_unref(own[0]);
	origin_unref(own[1]);
}

static struct offer *make_offer(uint64_t round, struct answers *a)
{
	struct offer *offer = rig_offer(round * ROWS, ROWS, 50, a);
	struct message *dead = spooldir_message(round, 10), *m;
	int i = 0;

	STAILQ_FOREACH (m, &offer->messages, link)
		add_key(m, round, i++);
	add_key(dead, round, i);
	message_fail(dead, NULL, "too long");
	STAILQ_INSERT_TAIL(&offer->set_aside, dead, link);
	offer->set_aside_count = 1;
	offer->filtered = 2;
	offer->position_key = mem_string("file");
	offer->position = mem_format("%llu", (unsigned long long)round);
	return offer;
}

/* The same messages once more, and nothing else: all of them are known. */
static struct offer *make_known(uint64_t round, struct answers *a)
{
	struct offer *offer = rig_offer(round * ROWS, ROWS, 50, a);
	struct message *m;
	int i = 0;

	STAILQ_FOREACH (m, &offer->messages, link)
		add_key(m, round, i++);
	return offer;
}

/* One life of an offer with all that can become of its messages. True when it was taken. */
static bool live(struct journal *j, uint64_t round, struct answers *a)
{
	uint64_t ids[ROWS];

	rig_offer_and_wait(j, make_offer(round, a));
	if (a->last != OFFER_ACCEPTED) {
		assert_int_equal(a->last, OFFER_FAILED);
		return false;
	}
	journal_credit(j, ROWS, 1 << 20);
	rig_take_ids(j, ids, ROWS);
	for (uint64_t i = 0; i < ROWS; i++)
		assert_int_equal(ids[i], a->first_id + i);
	rig_settle_ids(j, ids, 1, SETTLE_RETRY, 0);
	rig_settle_ids(j, ids + 1, 1, SETTLE_DEAD, 0);
	rig_settle_ids(j, ids + 2, 1, SETTLE_DELIVERED, 0);
	journal_credit(j, 1, 1 << 20);
	rig_take_ids(j, ids, 1);
	assert_int_equal(ids[0], a->first_id);
	rig_settle_ids(j, ids, 1, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	return true;
}

static void a_statement_that_fails_loses_nothing(void **state)
{
	struct journal_options o = {0};
	struct answers a = {0};
	struct spooldir d;
	struct journal *j;
	uint64_t taken = 0, refused = 0, known = 0;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	has_failed = true;
	for (uint64_t n = 1; has_failed; n++) {
		bool was_taken;

		assert_true(n < CALLS_MAX);
		fails_at = n;
		rig_on_journal_thread(j, arm);
		was_taken = live(j, n, &a);
		rig_on_journal_thread(j, disarm);
		if (has_failed)
			ERRORWATCH_EXPECT(ERR_OK, NULL, NULL, "a life", n);
		if (!was_taken) { /* its door brings it again; three refusals in a row would be one too many */
			refused++;
			free(position);
			assert_true(live(j, n, &a));
			rig_on_journal_thread(j, disarm);
			has_failed = true;
		}
		taken++;
		assert_int_equal(ledger.accepted, taken * (ROWS + 1 + 2) + known);
		assert_int_equal(ledger.delivered, taken * 2);
		assert_int_equal(ledger.dead, taken * 2);
		assert_int_equal(ledger.filtered, taken * 2 + known);
		assert_int_equal(ledger.pending, 0);
		assert_int_equal(strtoull(position, NULL, 10), n);
		free(position);
		rig_offer_and_wait(j, make_known(n, &a));
		assert_int_equal(a.last, OFFER_ACCEPTED);
		known += ROWS;
	}
	assert_int_equal(metric_get(M_DEAD_LETTERS), taken * 2);
	assert_int_equal(metric_get(M_BUFFER_RECEIVED), taken * ROWS);
	assert_int_equal(metric_get(M_BUFFER_BATCH_RECEIVED), taken);
	assert_int_equal(metric_get(M_BUFFER_SENT), taken * (ROWS + 1));
	assert_int_equal(metric_get(M_BUFFER_BATCH_SENT), taken * 2);
	assert_true(refused >= 5);
	assert_true(taken >= 10);
	rig_stop(j);
	spooldir_remove(&d);
}

static void exit_as_the_daemon_would(const struct error *reason) { _exit(error_exit_status(reason->code)); }

static void arm_for_good(struct store *s)
{
	(void)s;
	faultsql_arm(1, SQLITE_NOMEM, true);
}

/* Memory may come back after one failed commit and after two, but not for ever. */
static void memory_that_does_not_come_back_ends_the_process(void **state)
{
	struct journal_options o = {0};
	struct store_report report;
	struct answers a = {0};
	struct spooldir d;
	int status;
	pid_t pid;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	pid = fork();
	if (pid == 0) {
		struct journal *j = NULL;
		struct error e;

		must(journal_start(&o, exit_as_the_daemon_would, &j, NULL, &e) == ERR_OK);
		rig_offer_and_wait(j, rig_offer(1, 10, 50, &a));
		rig_on_journal_thread(j, arm_for_good);
		for (int i = 0; i < 2; i++) {
			rig_offer_and_wait(j, rig_offer(11, 1, 50, &a));
			must(a.last == OFFER_FAILED);
		}
		rig_offer_and_wait(j, rig_offer(11, 1, 50, &a));
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), error_exit_status(ERR_MEMORY));
	rig_stop(rig_start(&o, &report));
	assert_int_equal(report.rows, 10);
	assert_false(report.quarantined);
	spooldir_remove(&d);
}

static void far_ahead_is_more_than_asked_for_that_was_not_given_while_rows_leave(void **state)
{
	struct journal_options o = {0};
	struct answers a = {0};
	struct spooldir d;
	struct journal *j;
	uint64_t ids[20];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, rig_offer(1, 20, 1000, &a));
	assert_false(journal_is_far_ahead(j, 5000)); /* nothing leaves */
	journal_credit(j, 10, 1 << 20);
	rig_take_ids(j, ids, 10);
	rig_settle_ids(j, ids, 1, SETTLE_RETRY, 60000); /* committed at once */
	while (!journal_is_far_ahead(j, 5000))
		(void)usleep(1000);
	assert_false(journal_is_far_ahead(j, 15000)); /* ten, and not the nine that were given */
	/* A shard takes nothing: what delivery puts back keeps no file waiting. */
	journal_credit(j, 10, 1 << 20);
	rig_take_ids(j, ids + 10, 10);
	rig_settle_ids(j, ids + 2, 18, SETTLE_RELEASE, 0);
	rig_settle_ids(j, ids + 1, 1, SETTLE_RETRY, 60000);
	while (metric_get(M_BACKLOG_RETRYING) < 2)
		(void)usleep(1000);
	assert_false(journal_is_far_ahead(j, 0));
	rig_stop(j);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_statement_that_fails_loses_nothing),
	    cmocka_unit_test(memory_that_does_not_come_back_ends_the_process),
	    cmocka_unit_test(far_ahead_is_more_than_asked_for_that_was_not_given_while_rows_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
