/* Clocks beside the journal's thread: the wall clock is set on a message's way there, and a disk does not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "journal/journal_internal.h"
#include "rig/journalrig.h"
#include "store/store_dead.h"

static bool take_received(void *arg, const struct store_dead *dead)
{
	*(int64_t *)arg = dead->received_ms;
	return true;
}

/* The door wrote down when it came, then the clock was set by 30 days: what stands in the journal goes by the new one.
 */
static void a_clock_set_on_the_way_to_the_journal_makes_nobody_old(void **state)
{
	const int64_t before_ms = clock_wall_ms(), day_ms = INT64_C(86400000);
	int64_t shelved_ms = 0;
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct offer *offer = rig_offer(1, 10, 50, &a);
	struct journal *j;
	struct message *m;
	struct store *s;
	struct error e;
	uint32_t count;
	uint64_t last;

	(void)state;
	m = message_new(NULL, 0, "x", 1, 0);
	message_fail(m, NULL, "no");
	STAILQ_INSERT_TAIL(&offer->set_aside, m, link);
	offer->count++;
	STAILQ_FOREACH (m, &offer->messages, link)
		m->accepted_ms = clock_mono_ms();
	STAILQ_FOREACH (m, &offer->messages, link)
		m->received_ms = before_ms - 30 * day_ms;
	STAILQ_FIRST(&offer->set_aside)->received_ms = before_ms + 30 * day_ms;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, offer);
	assert_int_equal(a.last, OFFER_ACCEPTED);
	rig_stop(j);
	assert_int_equal(store_open(&o.store, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_read(s, 0, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	assert_int_equal(count, 10);
	STAILQ_FOREACH (m, &list, link) {
		assert_in_range(m->received_ms, before_ms - 5000, before_ms + day_ms);
		assert_true(clock_mono_ms() - m->accepted_ms < day_ms);
	}
	message_list_free(&list);
	assert_int_equal(store_dead_walk(s, 0, 10, take_received, &shelved_ms, &e), ERR_OK);
	assert_in_range(shelved_ms, before_ms - 5000, before_ms + day_ms);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* A disk that hangs, as the thread sees it: it is in the middle of something. */
static int came_in[2], may_go[2];

static void hang(struct store *s, struct journal_question *q)
{
	char word = 'x';

	(void)s;
	(void)q;
	must(write(came_in[1], &word, 1) == 1 && read(may_go[0], &word, 1) == 1);
}

static bool hung;

static void stop_hanging(struct journal_question *q)
{
	(void)q;
	hung = false;
}

static void a_disk_that_hangs_accepts_nothing(void **state)
{
	struct journal_question q = {.run = hang, .done = stop_hanging};
	struct journal_options o = {0};
	struct spooldir d;
	struct journal *j;
	struct error e;
	char word;

	(void)state;
	must(pipe(came_in) == 0 && pipe(may_go) == 0);
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	assert_int_equal(journal_admission(j, &e), ERR_OK);
	assert_true(clock_test_stop());
	hung = true;
	assert_true(journal_ask(j, &q));
	assert_int_equal(read(came_in[0], &word, 1), 1);
	clock_test_advance(9 * NS_PER_S); /* the round may have begun a moment before the clock stood still */
	assert_int_equal(journal_admission(j, &e), ERR_OK);
	clock_test_advance(2 * NS_PER_S);
	assert_int_equal(journal_admission(j, &e), ERR_TIMEOUT);
	assert_non_null(strstr(e.text, "does not answer: nothing was made durable for 11 s"));
	assert_int_equal(write(may_go[1], &word, 1), 1);
	while (hung) {
		rig_wait_fd(journal_intake_fd(j));
		(void)journal_intake_run(j);
	}
	for (int i = 0; i < 2000 && journal_admission(j, &e) != ERR_OK; i++)
		(void)usleep(5000);
	assert_int_equal(journal_admission(j, &e), ERR_OK);
	clock_test_go_on();
	rig_stop(j);
	spooldir_remove(&d);
}

/* What is left of the window is rounded up: of a nanosecond too nobody is told that it is over. */
static void a_window_ends_when_it_is_over(void **state)
{
	static const struct {
		int64_t left_ns;
		int ms;
	} cases[] = {{-1, 0},      {0, 0},       {1, 1},       {2, 1},       {999999, 1},
	             {1000000, 1}, {1000001, 2}, {2000000, 2}, {5000000, 5}, {5000001, 6}};
	struct journal *j = mem_zero(sizeof *j);
	struct offer offer = {.offered_ns = 7};

	(void)state;
	STAILQ_INIT(&j->gathered);
	assert_int_equal(journal_group_window_ms(j), -1);
	STAILQ_INSERT_TAIL(&j->gathered, &offer, link);
	j->options.commit_window_ns = 5000000;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		clock_test_set(offer.offered_ns + j->options.commit_window_ns - cases[i].left_ns, 1);
		assert_int_equal(journal_group_window_ms(j), cases[i].ms);
	}
	clock_test_end();
	free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_clock_set_on_the_way_to_the_journal_makes_nobody_old),
	    cmocka_unit_test(a_disk_that_hangs_accepts_nothing),
	    cmocka_unit_test(a_window_ends_when_it_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
