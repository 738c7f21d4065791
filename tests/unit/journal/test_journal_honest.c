/* What the journal says of itself is what happened: a disk that refuses, files that are gone, a stop that wrote less.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "base/metrics.h"
#include "rig/crashvfs.h"
#include "rig/one_journal.h"

static void begin_refusing(void)
{
	o.store.vfs = CRASHVFS_NAME;
	begin();
	offer(1, 20, 50);
	assert_int_equal(a.accepted, 1);
	crashvfs_fail(1, FAULT_ENOSPC, true);
}

/* The numbers say there is room; a write says there is none. Until one works the answer is no. */
static void a_refused_append_is_what_counts(void **state)
{
	struct error e;

	(void)state;
	begin_refusing();
	for (int i = 0; i < 40; i++) {
		offer(100, 5, 50);
		assert_int_equal(a.last, OFFER_FULL);
		assert_int_equal(journal_admission(j, &e), ERR_FULL);
		assert_non_null(strstr(e.text, "refuses"));
		assert_int_equal(metric_get(M_DISK_FULL), 1);
		steps_advance(i % 2 ? 30 : 1700);
		assert_int_equal(journal_admission(j, &e), ERR_FULL);
	}
	crashvfs_fail(0, FAULT_ENOSPC, false);
	steps_advance(10);
	offer(100, 5, 50); /* the first that comes is tried, and tells */
	assert_int_equal(a.last, OFFER_ACCEPTED);
	assert_int_equal(journal_admission(j, &e), ERR_OK);
	assert_int_equal(metric_get(M_DISK_FULL), 0);
	end();
}

/* What was answered once may come again, and its first answer is forgotten. */
static void an_offer_that_was_refused_may_come_again(void **state)
{
	(void)state;
	for (int verdict = OFFER_FULL; verdict <= OFFER_CLOSED; verdict++) {
		struct offer *again;

		begin();
		again = rig_offer(1, 5, 50, &a);
		again->verdict = (enum offer_verdict)verdict;
		a.accepted = 0;
		must(journal_offer(j, again));
		steps_run();
		(void)journal_intake_run(j);
		assert_int_equal(a.accepted, 1);
		assert_int_equal(a.first_id, 1);
		assert_int_equal(a.last, OFFER_ACCEPTED);
		end();
	}
}

/* Whoever was sent away by it does not come to find out: the journal does. */
static void room_is_found_without_an_offer(void **state)
{
	struct error e;

	(void)state;
	begin_refusing();
	offer(100, 5, 50);
	assert_int_equal(journal_admission(j, &e), ERR_FULL);
	steps_advance(5000);
	assert_int_equal(journal_admission(j, &e), ERR_FULL);
	crashvfs_fail(0, FAULT_ENOSPC, false);
	steps_advance(30100);
	assert_int_equal(journal_admission(j, &e), ERR_OK);
	end();
}

static enum err heard_between;

static void ask_between(struct store *s, struct journal_question *q)
{
	struct error e;

	(void)s;
	(void)q;
	heard_between = journal_admission(j, &e);
}

static void nothing_more(struct journal_question *q) { (void)q; }

/* Who was refused and asks at once whether the door is ready: in the middle of the round, too. */
static void a_refusal_and_what_is_said_of_it_are_one(void **state)
{
	(void)state;
	for (int is_full = 0; is_full < 2; is_full++) {
		struct journal_question q = {.run = ask_between, .done = nothing_more};

		begin();
		o.store.max_bytes = 20000;
		journal_reconfigure(j, &o.store);
		steps_run();
		offer(1, 18, 1000);
		assert_int_equal(a.accepted, 1);
		must(journal_offer(j, rig_offer(100, is_full ? 5 : 1, 1000, &a)));
		assert_true(journal_ask(j, &q));
		steps_run();
		(void)journal_intake_run(j);
		assert_int_equal(a.last, is_full ? OFFER_FULL : OFFER_ACCEPTED);
		assert_int_equal(heard_between, is_full ? ERR_FULL : ERR_OK);
		end();
	}
}

/* What left and could not be written is sent again: no good end. */
static void a_stop_that_could_not_write_says_so(void **state)
{
	struct error e;

	(void)state;
	begin_refusing();
	credit(20, 1 << 20);
	assert_int_equal(take(ids), 20);
	settle(1, 12, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	settle(13, 3, SETTLE_DELIVERED, 0);
	assert_int_equal(journal_stop(j, &e), ERR_NOSPACE);
	assert_non_null(strstr(e.text, "15 messages"));
	crashvfs_fail(0, FAULT_ENOSPC, false);
	spooldir_remove(&d);
	o = (struct journal_options){0};
}

/* Settlements that a full disk keeps waiting are tried each tenth of a second, whoever wakes the journal meanwhile. */
static void what_waits_for_room_is_tried_now_and_then(void **state)
{
	int64_t next_ms;

	(void)state;
	begin_refusing();
	credit(20, 1 << 20);
	assert_int_equal(take(ids), 20);
	assert_int_equal(j->waiting_retry_ms, 0); /* nothing waits */
	settle(1, 12, SETTLE_DELIVERED, 0);
	steps_advance(100);
	assert_int_equal(j->waiting_count, 1);
	next_ms = j->waiting_retry_ms;
	for (int i = 0; i < 50; i++) {
		const int64_t wait_ms = next_ms - clock_mono_ms();

		assert_in_range(wait_ms, 1, 100);
		steps_advance(wait_ms - 1);
		credit(1, 1);
		assert_int_equal(j->waiting_retry_ms, next_ms);
		steps_advance(1);
		credit(1, 1);
		assert_int_equal(j->waiting_retry_ms, next_ms + 100);
		next_ms += 100;
	}
	crashvfs_fail(0, FAULT_ENOSPC, false);
	steps_advance(100);
	assert_int_equal(j->waiting_count, 0);
	assert_int_equal(metric_get(M_LEDGER_DELIVERED), 12);
	end();
}

/* Each answer that the journal's thread may have put there. */
static void what_is_published_is_answered(void **state)
{
	static const enum err all[] = {ERR_FULL, ERR_DISK, ERR_MEMORY, ERR_OK};

	(void)state;
	begin();
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct error e = {0};

		atomic_store(&j->published.full, all[i]);
		assert_int_equal(journal_admission(j, &e), all[i]);
		assert_int_equal(e.code, all[i]);
		assert_int_equal(e.text[0] != '\0', all[i] != ERR_OK);
	}
	end();
}

/* Deleted between two looks: the next offer is refused, and what is stored still goes out. */
static void no_yes_for_a_file_without_a_name(void **state)
{
	(void)state;
	begin();
	offer(1, 10, 10);
	steps_advance(2000);
	assert_int_equal(unlink(d.path), 0);
	offer(11, 5, 10);
	assert_int_equal(a.last, OFFER_FULL);
	credit(20, 1 << 20);
	assert_int_equal(take(ids), 10);
	settle(1, 10, SETTLE_DELIVERED, 0);
	assert_int_equal(journal_stop(j, &(struct error){0}), ERR_DISK);
	spooldir_remove(&d);
	o = (struct journal_options){0};
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_refused_append_is_what_counts),
	    cmocka_unit_test(an_offer_that_was_refused_may_come_again),
	    cmocka_unit_test(room_is_found_without_an_offer),
	    cmocka_unit_test(a_refusal_and_what_is_said_of_it_are_one),
	    cmocka_unit_test(what_waits_for_room_is_tried_now_and_then),
	    cmocka_unit_test(what_is_published_is_answered),
	    cmocka_unit_test(a_stop_that_could_not_write_says_so),
	    cmocka_unit_test(no_yes_for_a_file_without_a_name),
	};

	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
