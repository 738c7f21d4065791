/* A journal begins and ends: a system without a thread for it, a spool that is another's, and nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "journal/journal_questions.h"
#include "rig/journal_steps.h"

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}

static void no_thread_is_an_error_and_not_the_end(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct store_report report;
	struct journal *j = NULL;
	struct error e = {0};
	struct stat st;
	char name[16];
	int before;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	before = count_descriptors();
	steps.no_thread = EAGAIN;
	assert_int_equal(journal_start(&o, steps_condemned, &j, NULL, &e), ERR_SYSTEM);
	assert_int_equal(error_exit_status(ERR_SYSTEM), 71);
	assert_string_equal(e.text, "cannot start the journal's thread: Resource temporarily unavailable");
	assert_null(j);
	assert_int_equal(count_descriptors(), before);
	steps.no_thread = 0;
	j = steps_start(&o, &report);
	assert_false(report.unclean);
	assert_int_equal(pthread_getname_np(j->thread, name, sizeof name), 0);
	assert_string_equal(name, "journal");
	assert_int_equal(stat(spooldir_file(&d, ".flight"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	rig_stop(j);
	spooldir_remove(&d);
}

static void a_spool_that_does_not_open_is_told(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct store_report report = {0}, second;
	struct journal *j, *other = NULL;
	struct error e = {0};

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = steps_start(&o, &report);
	memset(&second, 0x55, sizeof second);
	assert_int_equal(journal_start(&o, steps_condemned, &other, &second, &e), ERR_BUSY);
	assert_null(other);
	assert_false(second.unclean || second.quarantined);
	assert_int_equal(journal_start(&o, steps_condemned, &other, NULL, &e), ERR_BUSY);
	assert_int_equal(journal_stop(NULL, &e), ERR_OK);
	rig_stop(j);
	spooldir_remove(&d);
}

/* What others may read is there before the thread does anything. */
static void everybody_knows_before_the_first_round(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	struct error e;
	uint64_t ids[5];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = steps_start(&o, NULL);
	must(journal_offer(j, rig_offer(1, 5, 10, &a)));
	journal_credit(j, 5, 1 << 20);
	steps_run();
	rig_take_ids(j, ids, 5);
	flight_send(journal_flight(j), 3);
	rig_settle_ids(j, ids, 1, SETTLE_RETRY, 100000);
	steps_run();
	rig_stop(j);
	metric_set(M_LEDGER_PENDING, 99);
	metric_set(M_BACKLOG_ROWS, 99);
	metric_set(M_BACKLOG_BYTES, 99);
	metric_set(M_BACKLOG_RETRYING, 99);
	metric_set(M_DISK_DATABASE_BYTES, -1);
	metric_set(M_DISK_FREE_BYTES, -1);
	metric_set(M_DISK_WAL_BYTES, -1);
	metric_set(M_UPGRADED, -1);
	metric_set(M_ASIDE_FILES, -1);
	metric_set(M_ASIDE_UNREAD, -1);
	metric_set(M_DISK_FULL, -1);
	metric_set(M_BACKLOG_OLDEST_MS, -1);
	o.store.max_bytes = 5000;
	{
		const int64_t possible = metric_get(M_POSSIBLE_DUPLICATES);
		struct store_report report;

		j = steps_start(&o, &report);
		assert_int_equal(report.in_flight, 3);
		assert_false(report.flight_is_anothers);
		assert_int_equal(metric_get(M_POSSIBLE_DUPLICATES), possible + 3);
	}
	assert_int_equal(metric_get(M_LEDGER_PENDING), 5);
	assert_int_equal(metric_get(M_BACKLOG_ROWS), 5);
	assert_true(metric_get(M_BACKLOG_BYTES) > 50 && metric_get(M_BACKLOG_BYTES) != 99);
	assert_int_equal(metric_get(M_BACKLOG_RETRYING), 1);
	assert_true(metric_get(M_DISK_DATABASE_BYTES) > 4096);
	assert_true(metric_get(M_DISK_FREE_BYTES) > 4096);
	assert_true(metric_get(M_DISK_WAL_BYTES) >= 0);
	assert_in_range(metric_get(M_UPGRADED), 0, 100);
	assert_int_equal(metric_get(M_ASIDE_FILES), 0);
	assert_int_equal(metric_get(M_ASIDE_UNREAD), 0);
	assert_int_equal(metric_get(M_DISK_FULL), 0);
	assert_true(metric_get(M_BACKLOG_OLDEST_MS) > 1000000000000);
	assert_int_equal(metric_get(M_DISK_FREE_BYTES), atomic_load(&j->published.free_bytes));
	assert_int_equal(atomic_load(&j->published.max_bytes), 5000);
	assert_false(journal_is_empty(j));
	steps_run();
	/* Full, for everybody, and the reason. */
	o.store.max_bytes = 60;
	journal_reconfigure(j, &o.store);
	journal_reconfigure(j, &o.store); /* the newest counts */
	assert_int_equal(journal_admission(j, &e), ERR_OK);
	steps_run();
	assert_int_equal(journal_admission(j, &e), ERR_FULL);
	assert_int_equal(metric_get(M_DISK_FULL), 1);
	assert_non_null(strstr(e.text, "the spool is full: "));
	assert_non_null(strstr(e.text, " bytes wait (max_bytes 60), "));
	rig_stop(j);
	spooldir_remove(&d);
}

enum { BODY = 20000 };

static void nobody_heard(void *arg, const struct journal_answer *answer)
{
	(void)answer;
	++*(int *)arg;
}

/* Rows nobody took, offers nobody heard of, questions, settings: all of it goes with the journal. */
static void one_cycle(struct spooldir *d, struct answers *a, int *heard)
{
	struct journal_options o = {.store = spooldir_options(d)};
	struct journal *j = steps_start(&o, NULL);
	uint64_t ids[80];

	journal_credit(j, 90, 1 << 24);
	steps_run();
	for (uint64_t n = 0; n < 90; n++) {
		must(journal_offer(j, rig_offer(n, 1, BODY, a)));
		steps_run();
	}
	assert_non_null(j->blocked);
	rig_take_ids(j, ids, 20);
	rig_settle_ids(j, ids, 5, SETTLE_DELIVERED, 0);
	steps_run();
	assert_int_equal(j->held_rows, 5);
	rig_settle_ids(j, ids + 5, 5, SETTLE_DEAD, 0);
	journal_reconfigure(j, &o.store);
	must(journal_offer(j, rig_offer(1000, 3, BODY, a)));
	assert_true(journal_ask_position(j, "p", nobody_heard, heard));
	assert_true(journal_ask_dead(j, &(struct journal_page){.limit = 3, .max_bytes = 100, .with_body = true},
	                             nobody_heard, heard));
	rig_stop(j);
}

static void nothing_is_left_behind(void **state)
{
	struct spooldir d;
	struct answers a = {0};
	int heard = 0, descriptors = 0;
	size_t bytes = 0;

	(void)state;
	for (int i = 0; i < 8; i++) {
		spooldir_make(&d);
		one_cycle(&d, &a, &heard);
		spooldir_remove(&d);
		assert_int_equal(heard, 2 * (i + 1));
		assert_int_equal(a.accepted, 91 * (i + 1));
		if (i < 3) {
			descriptors = count_descriptors();
			bytes = mallinfo2().uordblks;
		}
		assert_int_equal(count_descriptors(), descriptors);
		assert_in_range(mallinfo2().uordblks, 0, bytes + BODY * 3); /* the allocator has ways of its own */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_thread_is_an_error_and_not_the_end),
	    cmocka_unit_test(a_spool_that_does_not_open_is_told),
	    cmocka_unit_test(everybody_knows_before_the_first_round),
	    cmocka_unit_test(nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
