/*
 * The journal beside a model of it, step by step on the test's clock: offers, credit in rows and bytes, settlements of
 * every kind, failures that come due, restarts. After each step: which ids came and in which order, what the metrics,
 * the ledger, PATH.flight and the journal's own counts say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "rig/journal_steps.h"

enum { IDS_MAX = 20000, LONGEST = 4000 };

enum place { NOWHERE, WAITS, WITH_DELIVERY, FAILED, ENDED };

static struct {
	enum place place;
	uint32_t bytes, attempts;
	int64_t due_ms;
} model[IDS_MAX];

static struct {
	struct spooldir d;
	struct journal_options o;
	struct journal *j;
	struct answers answers;
	uint64_t last; /* id */
	uint64_t offered, filtered;
	uint64_t with_delivery, failed, ended[SETTLE_RETRY]; /* by kind */
	int64_t credit_rows, credit_bytes;
	uint64_t groups, handed, dead, sent, base_received, base_batches, base_sent, base_groups, base_dead;
	uint64_t with[IDS_MAX], failed_ids[IDS_MAX];
	uint64_t low;     /* nothing below it waits */
	uint64_t settled; /* in this run */
} w;

static uint32_t random_below(uint32_t n)
{
	static uint64_t x = 0x2545f4914f6cdd1d;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 20) % n;
}

static uint64_t cost_of(uint64_t id) { return sizeof(struct message) + model[id].bytes; }

static int64_t now_ms(void) { return store_clock_ms(w.j->store); }

/* Of the failed ones that are due the earliest, then the lowest; 0: none. */
static uint64_t next_due(size_t *ret_at)
{
	uint64_t best = 0;

	for (size_t i = 0; i < w.failed; i++) {
		const uint64_t id = w.failed_ids[i];

		if (model[id].due_ms <= now_ms() && (best == 0 || model[id].due_ms < model[best].due_ms ||
		                                     (model[id].due_ms == model[best].due_ms && id < best))) {
			best = id;
			*ret_at = i;
		}
	}
	return best;
}

static uint64_t next_waiting(void)
{
	while (w.low <= w.last && model[w.low].place != WAITS)
		w.low++;
	return w.low <= w.last ? w.low : 0;
}

static int64_t cost_of_those_out(void)
{
	int64_t cost = 0;

	for (size_t i = 0; i < w.with_delivery; i++)
		cost += (int64_t)cost_of(w.with[i]);
	return cost;
}

/* What the journal handed over: within credit, in order, as it was given; returns how many. */
static void take_rows(void)
{
	struct journal_rows rows;

	while (journal_take_rows(w.j, &rows)) {
		uint32_t count = 0;
		uint64_t bytes = 0;
		bool had_due = false;
		struct message *m;

		assert_true(w.credit_rows > 0 && w.credit_bytes > 0);
		if (w.with_delivery > 0) /* the next may be as large as those */
			assert_true(w.credit_bytes >= cost_of_those_out() / (int64_t)w.with_delivery);
		assert_true(rows.count <= w.credit_rows && rows.count > 0);
		STAILQ_FOREACH (m, &rows.messages, link) {
			assert_true((int64_t)bytes < w.credit_bytes); /* only the last may pass it */
			if (model[m->id].place == FAILED) {
				size_t at = 0;

				assert_int_equal(m->id, next_due(&at));
				w.failed_ids[at] = w.failed_ids[--w.failed];
				had_due = true;
			} else {
				assert_int_equal(m->id, next_waiting());
				assert_false(had_due);
			}
			assert_true(spooldir_is_message(m, m->id, model[m->id].bytes - (m->meta_bytes)));
			assert_int_equal(m->attempts, model[m->id].attempts);
			model[m->id].place = WITH_DELIVERY;
			w.with[w.with_delivery++] = m->id;
			count++;
			bytes += message_cost(m);
		}
		assert_int_equal(rows.count, count);
		assert_int_equal(rows.bytes, bytes);
		w.credit_rows -= count;
		w.credit_bytes -= (int64_t)bytes;
		w.handed += count;
		w.groups++;
		message_list_free(&rows.messages);
	}
}

static void read_flight(uint64_t *n, size_t count)
{
	int fd = open(spooldir_file(&w.d, ".flight"), O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, n, count * sizeof *n, 0), count * sizeof *n);
	(void)close(fd);
}

static void check_flight(void)
{
	uint64_t n[15], id[2];

	read_flight(n, 15);
	store_identity(w.j->store, id);
	assert_int_equal(n[9], w.settled - w.j->held_rows);
	assert_int_equal(n[10], (uint64_t)metric_get(M_LEDGER_ACCEPTED) * 2 - (uint64_t)metric_get(M_LEDGER_PENDING));
	assert_int_equal(n[12], n[9]);
	assert_int_equal(n[13], n[10]);
	assert_int_equal(n[2], id[0]);
	assert_int_equal(n[3], id[1]);
	assert_int_equal(n[5], atomic_load(&w.j->flight.possible));
}

/* The journal's own books agree with each other, and with what everybody is told. */
static void check_books(void)
{
	const struct journal *j = w.j;
	const struct store_ledger *l = store_ledger(j->store);
	uint64_t pending = 0, held = 0, sum = 0, bytes = 0;
	int64_t held_bytes = 0;
	struct error e;

	for (size_t i = 0; i < j->held_count; i++)
		for (uint32_t k = 0; k < j->held[i]->count; k++, held++) {
			assert_int_equal(j->held[i]->items[k].kind, SETTLE_DELIVERED);
			assert_int_equal(j->held[i]->items[k].bytes, model[j->held[i]->items[k].id].bytes);
			held_bytes += (int64_t)cost_of(j->held[i]->items[k].id);
		}
	for (uint64_t id = 1; id <= w.last; id++)
		if (model[id].place != ENDED && model[id].place != NOWHERE) {
			pending++;
			bytes += model[id].bytes;
		}
	assert_int_equal(j->held_rows, held);
	assert_int_equal(j->held_bytes, held_bytes);
	assert_int_equal(j->claims.count, w.with_delivery + held);
	assert_int_equal(j->claimed_bytes, cost_of_those_out() + held_bytes);
	assert_int_equal(j->room_rows, w.credit_rows);
	assert_int_equal(j->room_bytes, w.credit_bytes);
	assert_int_equal(j->gathered_count + j->gathered_rows + j->gathered_bytes, 0);
	assert_true(j->held_count < HELD_GROUPS && held < HELD_ROWS);
	assert_int_equal(l->accepted, w.offered + w.filtered);
	assert_int_equal(l->pending, pending + held);
	assert_int_equal(l->delivered, w.ended[SETTLE_DELIVERED] - held);
	assert_int_equal(l->dead, w.ended[SETTLE_DEAD] + w.dead);
	assert_int_equal(l->expired, w.ended[SETTLE_EXPIRED]);
	assert_int_equal(l->filtered, w.ended[SETTLE_FILTERED] + w.filtered);
#define LEDGER_SUM(id, column, meaning) assert_int_equal(metric_get(M_LEDGER_##id), l->column);
#define LEDGER_STATE(id, column, meaning)                       \
	assert_int_equal(metric_get(M_LEDGER_##id), l->column); \
	sum += l->column;
#include "base/ledger.def"
	assert_int_equal(sum, l->accepted);
	assert_int_equal(metric_get(M_BACKLOG_ROWS), pending + held);
	assert_int_equal(metric_get(M_BACKLOG_BYTES), store_pending_bytes(j->store));
	assert_true(store_pending_bytes(j->store) >= bytes);
	assert_int_equal(metric_get(M_BACKLOG_RETRYING), store_retrying(j->store));
	assert_int_equal(metric_get(M_SETTLEMENTS_HELD), held);
	assert_int_equal(metric_get(M_BUFFER_SENT), w.base_sent + w.handed);
	assert_int_equal(metric_get(M_BUFFER_BATCH_SENT), w.base_groups + w.groups);
	assert_int_equal(metric_get(M_DISK_FULL), 0);
	assert_int_equal(journal_admission(j, &e), ERR_OK);
	assert_false(journal_is_far_ahead(j, store_pending_bytes(j->store)));
	assert_int_equal(journal_is_far_ahead(j, 0),
	                 bytes > 0 && j->cursor + 1 < store_next_id(j->store) &&
	                     clock_mono_ms() - atomic_load(&j->published.settled_ms) < 1000);
	assert_int_equal(j->unknown_settlements, 0);
	assert_int_equal(j->looking, LOOKING_FOR_ROWS); /* nothing is missing */
	check_flight();
}

/* Nothing is kept back that credit would pay for: "has_credit" and "is_worth_reading", written down a second time. */
static void check_progress(void)
{
	const int64_t out = (int64_t)w.with_delivery, cost = cost_of_those_out();
	int64_t rows = (w.credit_rows + out) / 4, bytes = (w.credit_bytes + cost) / 4;
	size_t at = 0;

	rows = rows < 256 ? rows : 256;
	bytes = bytes < 256 * 1024 ? bytes : 256 * 1024;
	if (out > 0 && w.credit_bytes < cost / out)
		return;
	if (w.credit_rows <= 0 || w.credit_bytes <= 0 || (out > 0 && (w.credit_rows < rows || w.credit_bytes < bytes)))
		return;
	if (next_due(&at) || next_waiting())
		fail_msg("%lld rows and %lld bytes of credit, %lld out, and message %llu waits",
		         (long long)w.credit_rows, (long long)w.credit_bytes, (long long)out,
		         (unsigned long long)(next_due(&at) ? next_due(&at) : next_waiting()));
}

static void go_on(void)
{
	steps_run();
	if (w.answers.count > 0 || lane_count(w.j->offers_done) > 0) {
		struct pollfd p = {.fd = journal_intake_fd(w.j), .events = POLLIN};
		size_t waits = lane_count(w.j->offers_done);

		assert_int_equal(look(&p, 1), waits > 0);
		assert_int_equal(journal_intake_run(w.j), waits);
		assert_int_equal(look(&p, 1), 0);
	}
	take_rows();
	check_books();
	check_progress();
}

static void offer_some(void)
{
	const uint32_t offers = 1 + random_below(4);
	const uint64_t received = (uint64_t)metric_get(M_BUFFER_RECEIVED),
	               batches = (uint64_t)metric_get(M_BUFFER_BATCH_RECEIVED);
	uint32_t rows = 0;

	for (uint32_t i = 0; i < offers; i++) {
		const uint32_t count = random_below(5) ? random_below(40) : random_below(400);
		const uint32_t bytes = random_below(3) ? random_below(200) : random_below(LONGEST);
		struct offer *offer = rig_offer(w.last + 1, count, bytes, &w.answers);
		struct message *m;
		uint64_t id = w.last;

		STAILQ_FOREACH (m, &offer->messages, link) {
			model[++id].place = WAITS;
			model[id].bytes = m->meta_bytes + m->body_bytes;
			model[id].attempts = 0;
		}
		offer->filtered = random_below(3);
		w.filtered += offer->filtered;
		if (random_below(4) == 0) {
			m = spooldir_message(1, 30);
			STAILQ_INSERT_TAIL(&offer->set_aside, m, link);
			offer->set_aside_count = 1;
			w.dead++;
			w.offered++;
			/* A dead one takes an id too. */
		}
		w.offered += count;
		rows += count;
		must(journal_offer(w.j, offer));
		w.last += count;
		if (offer->set_aside_count) {
			steps_run();
			w.last = store_next_id(w.j->store) - 1;
		}
	}
	w.answers = (struct answers){0};
	steps_run();
	assert_false(journal_is_empty(w.j) && rows > 0);
	(void)journal_intake_run(w.j);
	assert_int_equal(w.answers.accepted, offers);
	assert_int_equal(metric_get(M_BUFFER_RECEIVED), received + rows);
	assert_true(metric_get(M_BUFFER_BATCH_RECEIVED) > (int64_t)batches || rows == 0);
}

static void give_credit(void)
{
	const uint32_t rows = random_below(4) ? random_below(60) : random_below(2000);
	const uint64_t bytes = random_below(4) ? random_below(300000) : random_below(3000);

	w.credit_rows += rows;
	w.credit_bytes += (int64_t)bytes;
	journal_credit(w.j, rows, bytes);
}

static void settle_some(void)
{
	static const enum settle_kind kinds[] = {SETTLE_DEAD, SETTLE_EXPIRED, SETTLE_FILTERED, SETTLE_RETRY,
	                                         SETTLE_RETRY};
	uint32_t count = w.with_delivery ? 1 + random_below((uint32_t)w.with_delivery) : 0;
	const uint32_t odd = random_below(3) ? 1000 : 10;
	struct store_settlements *group;
	uint64_t dead = (uint64_t)metric_get(M_DEAD_LETTERS), more_dead = 0;

	if (count == 0)
		return;
	group = store_settlements_new(count);
	flight_send(&w.j->flight, count);
	flight_end(&w.j->flight, count, count, 0);
	for (uint32_t i = 0; i < count; i++) {
		const size_t at = random_below(2) ? 0 : random_below((uint32_t)w.with_delivery);
		const uint64_t id = w.with[at];
		struct store_settlement *item = &group->items[group->count++];

		memmove(w.with + at, w.with + at + 1, (--w.with_delivery - at) * sizeof *w.with);
		*item = (struct store_settlement){
		    .id = id, .kind = SETTLE_DELIVERED, .sent = 1, .attempts = model[id].attempts};
		if (random_below(1000) < 1000 / odd)
			item->kind = kinds[random_below(5)];
		if (item->kind == SETTLE_RETRY || item->kind == SETTLE_DEAD) {
			item->attempts = ++model[id].attempts;
			item->code = "T";
			item->reason = mem_string("why");
			item->wait_ms = random_below(2) ? 0 : random_below(3000);
		}
		model[id].place = item->kind == SETTLE_RETRY ? FAILED : ENDED;
		model[id].due_ms = now_ms() + item->wait_ms;
		if (item->kind == SETTLE_RETRY)
			w.failed_ids[w.failed++] = id;
		w.settled++;
		if (item->kind != SETTLE_RETRY)
			w.ended[item->kind]++;
		more_dead += item->kind == SETTLE_DEAD;
	}
	assert_true(journal_settle(w.j, group));
	steps_run();
	assert_int_equal(metric_get(M_DEAD_LETTERS), dead + more_dead);
}

static void begin(void)
{
	struct store_report report;

	w.j = steps_start(&w.o, &report);
	assert_false(report.unclean);
	assert_int_equal(report.in_flight, 0);
	steps_run();
	w.base_sent = (uint64_t)metric_get(M_BUFFER_SENT);
	w.base_groups = (uint64_t)metric_get(M_BUFFER_BATCH_SENT);
	w.handed = w.groups = 0;
	w.credit_rows = w.credit_bytes = 0;
	w.settled = 0;
	w.low = 1;
}

static void restart(void)
{
	rig_stop(w.j);
	for (size_t i = 0; i < w.with_delivery; i++) {
		const uint64_t id = w.with[i];

		model[id].place = model[id].attempts ? FAILED : WAITS;
		if (model[id].attempts)
			w.failed_ids[w.failed++] = id;
	}
	w.with_delivery = 0;
	begin();
}

static void the_journal_is_as_its_model(void **state)
{
	(void)state;
	spooldir_make(&w.d);
	w.o.store = spooldir_options(&w.d);
	begin();
	for (int step = 0; step < 600 && w.last + 2000 < IDS_MAX; step++) {
		const uint32_t dice = random_below(100);

		if (dice < 20)
			offer_some();
		else if (dice < 50)
			give_credit();
		else if (dice < 85)
			settle_some();
		else if (dice < 97)
			steps_advance(1 + random_below(random_below(3) ? 90 : 2000));
		else
			restart();
		go_on();
	}
	rig_stop(w.j);
	spooldir_remove(&w.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_journal_is_as_its_model)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
