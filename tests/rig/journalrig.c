#include "rig/journalrig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "journal/journal_internal.h"
#include "rig/errorwatch.h"

static void must_not_condemn(const struct error *reason)
{
	fprintf(stderr, "condemned: %s\n", reason->text);
	abort();
}

struct journal *rig_start(const struct journal_options *o, struct store_report *report)
{
	struct journal *j = NULL;
	struct error e = {0};

	if (journal_start(o, must_not_condemn, &j, report, &e) != ERR_OK)
		must_not_condemn(&e);
	return j;
}

void rig_stop(struct journal *j)
{
	struct error e = {0};

	if (journal_stop(j, &e) != ERR_OK)
		must_not_condemn(&e);
}

static void answered(struct offer *offer, void *arg)
{
	struct answers *a = arg;

	a->count++;
	a->accepted += offer->verdict == OFFER_ACCEPTED;
	a->last = offer->verdict;
	a->first_id = offer->first_id;
	if (offer->verdict != OFFER_ACCEPTED)
		errorwatch_hear(offer->error.text);
	must(STAILQ_EMPTY(&offer->messages));
	free(offer->position_key);
	free(offer->position);
	free(offer);
}

struct offer *rig_offer(uint64_t first, uint32_t count, uint32_t bytes, struct answers *a)
{
	struct offer *offer = mem_zero(sizeof *offer);

	STAILQ_INIT(&offer->messages);
	STAILQ_INIT(&offer->set_aside);
	for (uint32_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(first + i, bytes);

		offer->bytes += message_cost(m);
		STAILQ_INSERT_TAIL(&offer->messages, m, link);
	}
	offer->count = count;
	offer->done = answered;
	offer->arg = a;
	return offer;
}

void rig_wait_fd(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	must(poll(&p, 1, 20000) == 1);
}

void rig_wait_answers(struct journal *j, struct answers *a, uint32_t count)
{
	while (a->count < count) {
		rig_wait_fd(journal_intake_fd(j));
		(void)journal_intake_run(j);
	}
}

void rig_offer_and_wait(struct journal *j, struct offer *offer)
{
	struct answers *a = offer->arg;
	uint32_t want = a->count + 1;

	must(journal_offer(j, offer));
	rig_wait_answers(j, a, want);
}

/* Takes `want` rows; their ids go to ids. */
void rig_take_ids(struct journal *j, uint64_t *ids, uint32_t want)
{
	uint32_t have = 0;

	while (have < want) {
		struct journal_rows rows;
		struct message *m;

		if (!journal_take_rows(j, &rows)) {
			rig_wait_fd(journal_delivery_fd(j));
			continue;
		}
		STAILQ_FOREACH (m, &rows.messages, link) {
			must(have < want && !m->origin); /* whose count of references is another thread's */
			ids[have++] = m->id;
		}
		message_list_free(&rows.messages);
	}
}

void rig_settle_ids(struct journal *j, const uint64_t *ids, uint32_t count, enum settle_kind kind, int64_t wait_ms)
{
	struct store_settlements *group = store_settlements_new(count);

	for (uint32_t i = 0; i < count; i++)
		group->items[group->count++] = (struct store_settlement){.id = ids[i],
		                                                         .kind = kind,
		                                                         .sent = kind == SETTLE_DELIVERED,
		                                                         .attempts = 1,
		                                                         .wait_ms = wait_ms,
		                                                         .code = "T",
		                                                         .reason = mem_string("why")};
	while (!journal_settle(j, group))
		rig_wait_fd(journal_delivery_fd(j));
}

void rig_wait_empty(struct journal *j)
{
	for (int i = 0; i < 2000 && !journal_is_empty(j); i++)
		(void)usleep(5000);
	must(journal_is_empty(j));
}

struct order {
	struct journal_question head;
	void (*act)(struct store *s);
	bool done;
};

static void obey(struct store *s, struct journal_question *q) { ((struct order *)q)->act(s); }

static void obeyed(struct journal_question *q) { ((struct order *)q)->done = true; }

/* Runs act on the journal's thread. */
void rig_on_journal_thread(struct journal *j, void (*act)(struct store *s))
{
	struct order o = {.head = {.run = obey, .done = obeyed}, .act = act};

	must(journal_ask(j, &o.head));
	while (!o.done) {
		rig_wait_fd(journal_intake_fd(j));
		(void)journal_intake_run(j);
	}
}
