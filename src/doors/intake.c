#include "doors/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "doors/until.h"

enum err intake_open(struct intake *i, struct error *e)
{
	TAILQ_INIT(&i->kept);
	intake_room_open(i);
	if (until_open(i, e) != ERR_OK)
		return ERR_CONFIG;
	return processors_compile(i->config->intake_processors, i->config, "pipeline.processors", &i->common, e);
}

void intake_close(struct intake *i)
{
	must(i->outstanding == 0);
	intake_free_patterns(i);
	worker_close(i->worker);
	pipeline_free(i->common);
	intake_room_close(i);
	until_close(i);
}

static void count_answer(const struct group *g)
{
	static const enum metric refusals[] = {
	    [OFFER_FULL] = M_INPUT_REFUSED_FULL,
	    [OFFER_TOO_BIG] = M_INPUT_REFUSED_SIZE,
	    [OFFER_FAILED] = M_INPUT_REFUSED_BUSY,
	    [OFFER_CLOSED] = M_INPUT_REFUSED_BUSY,
	};

	if (g->offer.verdict == OFFER_ACCEPTED) {
		metric_add(M_INPUT_RECEIVED, g->received + g->offer.set_aside_count);
		metric_observe_ns(M_INPUT_LATENCY, clock_mono_ns() - g->begun_ns);
		return;
	}
	if (g->comes_again)
		return;
	metric_add(g->limited_ns ? M_INPUT_REFUSED_BUSY : refusals[g->offer.verdict], g->received);
	LOG_LIMITED(LOG_WARN, "messages refused", LOG_U("messages", g->received), LOG_S("reason", g->offer.error.text));
}

static void on_done(struct offer *offer, void *arg)
{
	struct group *g = arg;

	must(&g->offer == offer);
	/* the journal freed the messages: only the lists' heads are left */
	STAILQ_INIT(&offer->messages);
	STAILQ_INIT(&offer->set_aside);
	g->intake->outstanding--;
	intake_release(g->intake, g->charged_bytes);
	g->charged_bytes = 0;
	count_answer(g);
	until_answered(g);
	if (g->answered)
		g->answered(g, g->door);
	group_free(g);
}

static void offer_group(struct group *g)
{
	struct intake *i = g->intake;

	if (TAILQ_EMPTY(&i->kept)) {
		g->place = GROUP_OFFERED;
		if (journal_offer(i->journal, &g->offer))
			return;
	}
	g->place = GROUP_KEPT;
	TAILQ_INSERT_TAIL(&i->kept, g, link);
}

/* What the group holds now, in place of what it held. */
static void charge_group(struct group *g)
{
	uint64_t bytes = g->offer.bytes + g->copied_bytes;
	struct message *m;

	STAILQ_FOREACH (m, &g->todo, link)
		bytes += message_cost(m);
	STAILQ_FOREACH (m, &g->offer.messages, link)
		bytes += origin_cost(m->origin);
	STAILQ_FOREACH (m, &g->offer.set_aside, link)
		bytes += message_cost(m) + origin_cost(m->origin) + strlen(m->failure->reason);
	intake_charge(g->intake, bytes);
	intake_release(g->intake, g->charged_bytes);
	g->charged_bytes = bytes;
	budget_give(g->taken_bytes);
	g->taken_bytes = 0;
	g->fresh_bytes = 0;
}

void group_refuse(struct group *g, enum offer_verdict verdict, enum err code, const char *why)
{
	message_list_free(&g->todo);
	message_list_free(&g->offer.messages);
	message_list_free(&g->offer.set_aside);
	g->offer.verdict = verdict;
	(void)error_set(&g->offer.error, code, "%s", why);
	on_done(&g->offer, g);
}

static void refuse_limited(struct group *g)
{
	if (g->limited_ns == INT64_MAX)
		group_refuse(g, OFFER_TOO_BIG, ERR_TOOBIG,
		             "the request has more messages than a rate_limit lets pass at once; not stored");
	else
		group_refuse(g, OFFER_FULL, ERR_UNAVAILABLE,
		             "a rate_limit of its processors is used up just now; not stored");
}

/* What it took of a limit may be what others waited for: who would wait for too long does not. */
static void refuse_late(struct intake *i)
{
	struct group *g;

	while ((g = worker_take_late(i->worker))) {
		g->limited_ns = intake_held_ns(i, g->own);
		refuse_limited(g);
	}
}

static void group_worked(struct group *g)
{
	struct intake *i = g->intake;

	charge_group(g);
	if (g->is_cancelled) {
		i->outstanding--;
		if (g->until)
			g->until->outstanding--;
		group_free(g);
	} else if (g->was_starved) {
		group_refuse(g, OFFER_FULL, ERR_MEMORY,
		             "there is no memory just now for what processors make of it; not stored");
	} else if (g->limited_ns > 0) {
		refuse_limited(g);
	} else if (g->maker && g->offer.count == 0 && g->offer.set_aside_count == 0 && g->offer.filtered == 0) {
		g->offer.verdict = OFFER_ACCEPTED; /* of nothing */
		on_done(&g->offer, g);
	} else {
		offer_group(g);
	}
	refuse_late(i);
}

void group_send(struct group *g)
{
	struct intake *i = g->intake;

	charge_group(g);
	g->offer.done = on_done;
	g->offer.arg = g;
	i->outstanding++;
	until_sent(g);
	if (!i->common && !g->own && !g->maker && !until_has_check(g->until)) {
		offer_group(g);
		return;
	}
	if (!i->worker)
		i->worker = worker_open(i, group_worked, charge_group);
	worker_put(i->worker, g);
}

void intake_retry(struct intake *i)
{
	struct group *g;

	worker_go_on(i->worker);
	while ((g = TAILQ_FIRST(&i->kept))) {
		/* once it is offered the group belongs to the journal: leave the list first */
		TAILQ_REMOVE(&i->kept, g, link);
		g->place = GROUP_OFFERED;
		if (journal_offer(i->journal, &g->offer))
			continue;
		g->place = GROUP_KEPT;
		TAILQ_INSERT_HEAD(&i->kept, g, link);
		return;
	}
}

void intake_stop(struct intake *i)
{
	i->stopping = true;
	worker_go_on(i->worker);
}

void intake_drop_kept(struct intake *i)
{
	struct group *g;

	while ((g = worker_take_out(i->worker)))
		group_refuse(g, OFFER_CLOSED, ERR_CLOSED, "kspool is stopping; not stored");
	while ((g = TAILQ_FIRST(&i->kept))) {
		TAILQ_REMOVE(&i->kept, g, link);
		group_refuse(g, OFFER_CLOSED, ERR_CLOSED, "kspool is stopping; not stored");
	}
}

void group_cancel(struct group *g)
{
	must(g->place == GROUP_WAITING || g->place == GROUP_WORKED || g->place == GROUP_KEPT);
	g->answered = NULL;
	if (g->place == GROUP_WORKED) {
		g->is_cancelled = true;
		return;
	}
	if (g->place == GROUP_WAITING)
		worker_forget(g->intake->worker, g);
	else
		TAILQ_REMOVE(&g->intake->kept, g, link);
	g->intake->outstanding--;
	if (g->until)
		g->until->outstanding--;
	group_free(g);
}
