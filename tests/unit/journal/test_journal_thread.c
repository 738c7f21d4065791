/*
 * The journal's thread: yes only after the commit, rows in order within credit, settlements by name, failed rows come
 * back alone and when they are due, nothing lost over a stop. Two real threads drive it (run under TSan).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "journal/journal.h"
#include "journal/journal_questions.h"
#include "rig/journalrig.h"
#include "rig/spooldir.h"

static void offers_are_answered_and_rows_flow_in_order(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[400];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, rig_offer(1, 100, 50, &a));
	assert_int_equal(a.last, OFFER_ACCEPTED);
	assert_int_equal(a.first_id, 1);
	assert_false(journal_is_empty(j));
	journal_credit(j, 150, 1 << 20); /* 100 by reading */
	rig_take_ids(j, ids, 100);
	rig_offer_and_wait(j, rig_offer(101, 100, 50, &a)); /* 50 handed on, 50 without credit */
	rig_take_ids(j, ids + 100, 50);
	journal_credit(j, 300, 1 << 20);
	rig_take_ids(j, ids + 150, 50);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(ids[i], i + 1);
	rig_settle_ids(j, ids, 200, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	rig_stop(j);
	spooldir_remove(&d);
}

static void failed_rows_come_back_when_due_without_their_neighbours(void **state)
{
	static const uint64_t at_once[] = {7, 3, 4};
	static const uint64_t later[] = {5, 9};
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[20];
	uint64_t unknown = 4711;
	int64_t due;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, rig_offer(1, 10, 50, &a));
	journal_credit(j, 10, 1 << 20);
	rig_take_ids(j, ids, 10);
	due = clock_wall_ms() + 100;
	rig_settle_ids(j, later, 2, SETTLE_RETRY, 100);
	rig_settle_ids(j, at_once, 3, SETTLE_RETRY, 0);
	rig_settle_ids(j, &unknown, 1, SETTLE_DELIVERED, 0); /* never handed out: counted, nothing else */
	journal_credit(j, 10, 1 << 20); /* for five, and enough to be worth a read when they come due one by one */
	rig_take_ids(j, ids, 5);
	assert_int_equal(ids[0], 3);
	assert_int_equal(ids[1], 4);
	assert_int_equal(ids[2], 7);
	assert_int_equal(ids[3], 5);
	assert_int_equal(ids[4], 9);
	assert_true(clock_wall_ms() >= due - 5); /* each clock is read in whole milliseconds */
	rig_settle_ids(j, (uint64_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 10, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	rig_stop(j);
	spooldir_remove(&d);
}

static void what_was_in_flight_is_pending_after_a_restart(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct store_report report;
	struct answers a = {0};
	struct journal *j;
	struct journal_rows rows;
	uint64_t ids[20];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, rig_offer(1, 10, 50, &a));
	journal_credit(j, 6, 1 << 20);
	rig_take_ids(j, ids, 6);
	rig_settle_ids(j, ids, 2, SETTLE_DELIVERED, 0);
	rig_stop(j);
	j = rig_start(&o, &report);
	assert_false(report.unclean);
	assert_int_equal(report.rows, 8);
	assert_false(journal_take_rows(j, &rows)); /* no credit yet */
	journal_credit(j, 100, 1 << 20);
	rig_take_ids(j, ids, 8);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(ids[i], i + 3);
	rig_stop(j);
	spooldir_remove(&d);
}

static void a_group_is_all_or_none_and_its_neighbours_do_not_care(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0}, b = {0}, c = {0};
	struct offer *mixed;
	struct message *aside;
	struct journal *j;
	struct error e;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	o.store.max_bytes = 1000;
	o.store.max_message_bytes = 600;
	j = rig_start(&o, NULL);
	assert_true(journal_offer(j, rig_offer(1, 2, 470, &a)));
	assert_true(journal_offer(j, rig_offer(3, 2, 20, &b))); /* two do not fit, one would */
	assert_true(journal_offer(j, rig_offer(5, 1, 601, &c)));
	rig_wait_answers(j, &a, 1);
	rig_wait_answers(j, &b, 1);
	rig_wait_answers(j, &c, 1);
	assert_int_equal(a.last, OFFER_ACCEPTED);
	assert_int_equal(b.last, OFFER_FULL);
	assert_int_equal(c.last, OFFER_TOO_BIG);
	for (int i = 0; i < 10000 && journal_admission(j, &e) == ERR_OK; i++)
		(void)usleep(1000);
	assert_int_equal(journal_admission(j, &e), ERR_FULL);
	o.store.max_bytes = 0;
	o.store.max_message_bytes = 0;
	journal_reconfigure(j, &o.store);
	for (int i = 0; i < 10000 && journal_admission(j, &e) != ERR_OK; i++)
		(void)usleep(1000);
	assert_int_equal(journal_admission(j, &e), ERR_OK);
	mixed = rig_offer(3, 2, 10, &a);
	aside = spooldir_message(5, 5000);
	STAILQ_INSERT_TAIL(&mixed->set_aside, aside, link);
	mixed->set_aside_count = 1;
	mixed->filtered = 2;
	mixed->position_key = mem_string("file");
	mixed->position = mem_string("99");
	rig_offer_and_wait(j, mixed);
	assert_int_equal(a.last, OFFER_ACCEPTED);
	assert_int_equal(a.first_id, 3);
	rig_stop(j);
	spooldir_remove(&d);
}

/* Two hundred groups of one row, more than the lane to delivery holds: each arrives, in order. */
static void a_full_lane_to_delivery_loses_no_group(void **state)
{
	enum { OFFERS = 200 };
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[OFFERS];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	journal_credit(j, 1000, 1 << 20);
	for (uint64_t n = 1; n <= OFFERS; n++)
		rig_offer_and_wait(j, rig_offer(n, 1, 50, &a));
	rig_take_ids(j, ids, OFFERS);
	for (uint64_t i = 0; i < OFFERS; i++)
		assert_int_equal(ids[i], i + 1);
	rig_settle_ids(j, ids, OFFERS, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	rig_stop(j);
	spooldir_remove(&d);
}

static void do_nothing(struct store *s) { (void)s; }

/* Rows go on from memory, and no more of them than the credit in bytes allows; the last may pass it. */
static void credit_in_bytes_holds_on_the_way_through_memory(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal_rows rows;
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	journal_credit(j, 1000, 5000);
	rig_on_journal_thread(j, do_nothing);
	rig_on_journal_thread(j, do_nothing); /* after a whole round: the credit is known before the offer comes */
	rig_offer_and_wait(j, rig_offer(1, 100, 1000, &a));
	rig_wait_fd(journal_delivery_fd(j));
	assert_true(journal_take_rows(j, &rows));
	assert_in_range(rows.count, 2, 5);
	assert_in_range(rows.bytes, 5000, 5000 + rows.bytes / rows.count);
	message_list_free(&rows.messages);
	rig_on_journal_thread(j, do_nothing);
	assert_false(journal_take_rows(j, &rows));
	rig_stop(j);
	spooldir_remove(&d);
}

static void an_expired_row_leaves_and_is_counted(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[10];
	int64_t sum = 0;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, rig_offer(1, 10, 50, &a));
	journal_credit(j, 10, 1 << 20);
	rig_take_ids(j, ids, 10);
	rig_settle_ids(j, ids, 3, SETTLE_EXPIRED, 0);
	rig_settle_ids(j, ids + 3, 7, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	rig_stop(j);
	assert_int_equal(metric_get(M_LEDGER_ACCEPTED), 10);
	assert_int_equal(metric_get(M_LEDGER_EXPIRED), 3);
	assert_int_equal(metric_get(M_LEDGER_DELIVERED), 7);
#define LEDGER_STATE(id, column, meaning) sum += metric_get(M_LEDGER_##id);
#include "base/ledger.def"
	assert_int_equal(sum, 10);
	spooldir_remove(&d);
}

/* Gone without a page that shows it, behind a clean end: the journal finds out when it has drained the rest. */
static void a_row_that_vanished_does_not_keep_the_journal_waiting(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[10];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, rig_offer(1, 10, 50, &a));
	rig_stop(j);
	spooldir_lose(d.path, 4);
	j = rig_start(&o, NULL);
	journal_credit(j, 100, 1 << 20);
	rig_take_ids(j, ids, 9);
	rig_settle_ids(j, ids, 9, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	rig_stop(j);
	assert_int_equal(metric_get(M_LEDGER_DAMAGED), 1);
	spooldir_remove(&d);
}

struct heard {
	enum err err;
	uint64_t count;
	size_t dead;
	char position[16];
	char body[16];
	char reason[16];
	bool done;
};

static void hear(void *arg, const struct journal_answer *answer)
{
	struct heard *h = arg;

	h->err = answer->error.code;
	h->count = answer->count;
	h->dead = answer->dead_count;
	(void)snprintf(h->position, sizeof h->position, "%s", answer->position ? answer->position : "none");
	if (answer->dead_count > 0) {
		const struct store_dead *first = &answer->dead[0];

		(void)snprintf(h->body, sizeof h->body, "%.*s", first->body ? (int)first->body_bytes : 0,
		               first->body ? (const char *)first->body : "");
		(void)snprintf(h->reason, sizeof h->reason, "%s", first->reason);
	}
	h->done = true;
}

static struct heard wait_heard(struct journal *j, struct heard *h)
{
	while (!h->done) {
		rig_wait_fd(journal_intake_fd(j));
		(void)journal_intake_run(j);
	}
	h->done = false;
	return *h;
}

static void questions_are_answered_between_commits(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct heard h = {0};
	struct offer *offer;
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	assert_true(journal_ask_position(j, "p", hear, &h));
	assert_string_equal(wait_heard(j, &h).position, "none");
	offer = rig_offer(1, 0, 0, &a);
	offer->position_key = mem_string("p");
	offer->position = mem_string("5");
	rig_offer_and_wait(j, offer);
	assert_true(journal_ask_position(j, "p", hear, &h));
	assert_string_equal(wait_heard(j, &h).position, "5");
	assert_int_equal(h.err, ERR_OK);
	rig_stop(j);
	spooldir_remove(&d);
}

static void add_dead(struct offer *offer, const char *body, const char *reason)
{
	struct message *m = message_new(NULL, 0, body, strlen(body), 1);

	message_fail(m, NULL, reason);
	STAILQ_INSERT_TAIL(&offer->set_aside, m, link);
	offer->set_aside_count++;
}

static void the_shelf_is_looked_at_and_emptied_through_questions(void **state)
{
	struct journal_page page = {.limit = 10, .max_bytes = 1000, .with_body = true};
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct heard h = {0};
	struct offer *offer;
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	offer = rig_offer(1, 0, 0, &a);
	add_dead(offer, "one", "why");
	add_dead(offer, "two", "");
	add_dead(offer, "three", "");
	rig_offer_and_wait(j, offer);
	assert_true(journal_ask_dead(j, &page, hear, &h));
	assert_int_equal(wait_heard(j, &h).dead, 3);
	assert_string_equal(h.body, "one");
	assert_string_equal(h.reason, "why");
	page.max_bytes = 3; /* ends with the message that passes it */
	page.after_id = 1;
	assert_true(journal_ask_dead(j, &page, hear, &h));
	assert_int_equal(wait_heard(j, &h).dead, 2);
	assert_string_equal(h.body, "two");
	page = (struct journal_page){.id = 3};
	assert_true(journal_ask_dead(j, &page, hear, &h));
	assert_int_equal(wait_heard(j, &h).dead, 1);
	assert_string_equal(h.body, "");
	page.id = 4711;
	assert_true(journal_ask_dead(j, &page, hear, &h));
	assert_int_equal(wait_heard(j, &h).err, ERR_INPUT);
	assert_true(journal_retry_dead(j, 2, hear, &h));
	assert_int_equal(wait_heard(j, &h).count, 1);
	assert_true(journal_purge_dead(j, 0, hear, &h));
	assert_int_equal(wait_heard(j, &h).count, 2);
	assert_true(journal_export(j, d.path, hear, &h));
	assert_int_equal(wait_heard(j, &h).err, ERR_INPUT);
	assert_true(journal_export(j, spooldir_file(&d, ".copy"), hear, &h));
	rig_stop(j); /* answers what was asked */
	assert_true(h.done);
	assert_int_equal(h.err, ERR_OK);
	spooldir_remove(&d);
}

enum { FLOW_MESSAGES = 30000, FLOW_GROUP = 100, FLOW_WINDOW = 3000 };

struct flow {
	struct journal *j;
	uint8_t *seen; /* by id */
};

/* A delivery that fails and delivers, each message at last once. */
static void *deliver(void *arg)
{
	struct flow *f = arg;
	uint32_t delivered = 0;
	uint32_t round = 0;

	journal_credit(f->j, FLOW_WINDOW, 8 << 20);
	while (delivered < FLOW_MESSAGES) {
		struct store_settlements *group;
		struct journal_rows rows;
		struct message *m;

		if (!journal_take_rows(f->j, &rows)) {
			rig_wait_fd(journal_delivery_fd(f->j));
			continue;
		}
		group = store_settlements_new(rows.count);
		STAILQ_FOREACH (m, &rows.messages, link) {
			struct store_settlement *item = &group->items[group->count++];

			must(spooldir_is_message(m, m->id, 100));
			*item = (struct store_settlement){
			    .id = m->id, .attempts = 1, .code = "T", .kind = SETTLE_DELIVERED};
			if (f->seen[m->id]++ == 0 && m->id % 10 == round % 10) {
				item->kind = SETTLE_RETRY;
				item->wait_ms = (int64_t)(m->id % 20);
			} else {
				delivered++;
			}
		}
		message_list_free(&rows.messages);
		while (!journal_settle(f->j, group))
			rig_wait_fd(journal_delivery_fd(f->j));
		journal_credit(f->j, rows.count, rows.bytes);
		round++;
	}
	return NULL;
}

static void everything_flows_and_nothing_comes_twice_after_delivery(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct flow f = {.seen = mem_zero(FLOW_MESSAGES + 1)};
	pthread_t thread;
	uint64_t next = 1;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	f.j = rig_start(&o, NULL);
	assert_int_equal(pthread_create(&thread, NULL, deliver, &f), 0);
	while (next <= FLOW_MESSAGES) {
		struct offer *offer = rig_offer(next, FLOW_GROUP, 100, &a);

		while (!journal_offer(f.j, offer)) {
			rig_wait_fd(journal_intake_fd(f.j));
			(void)journal_intake_run(f.j);
		}
		next += FLOW_GROUP;
		(void)journal_intake_run(f.j);
	}
	rig_wait_answers(f.j, &a, FLOW_MESSAGES / FLOW_GROUP);
	assert_int_equal(a.accepted, FLOW_MESSAGES / FLOW_GROUP);
	assert_int_equal(pthread_join(thread, NULL), 0);
	rig_wait_empty(f.j);
	for (uint64_t id = 1; id <= FLOW_MESSAGES; id++)
		assert_true(f.seen[id] == 1 || f.seen[id] == 2);
	rig_stop(f.j);
	free(f.seen);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(offers_are_answered_and_rows_flow_in_order),
	    cmocka_unit_test(failed_rows_come_back_when_due_without_their_neighbours),
	    cmocka_unit_test(what_was_in_flight_is_pending_after_a_restart),
	    cmocka_unit_test(a_group_is_all_or_none_and_its_neighbours_do_not_care),
	    cmocka_unit_test(a_full_lane_to_delivery_loses_no_group),
	    cmocka_unit_test(credit_in_bytes_holds_on_the_way_through_memory),
	    cmocka_unit_test(an_expired_row_leaves_and_is_counted),
	    cmocka_unit_test(a_row_that_vanished_does_not_keep_the_journal_waiting),
	    cmocka_unit_test(questions_are_answered_between_commits),
	    cmocka_unit_test(the_shelf_is_looked_at_and_emptied_through_questions),
	    cmocka_unit_test(everything_flows_and_nothing_comes_twice_after_delivery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
