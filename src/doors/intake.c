#include "doors/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

enum err intake_open(struct intake *i, struct error *e)
{
	TAILQ_INIT(&i->kept);
	i->evaluator = pipeline_evaluator_new(i->config, true);
	intake_room_open(i);
	return processors_compile(i->config->pipeline_processors, i->config, "pipeline.processors", &i->common, e);
}

void intake_close(struct intake *i)
{
	must(i->outstanding == 0);
	pipeline_free(i->common);
	evaluator_free(i->evaluator);
	intake_room_close(i);
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
	metric_add(refusals[g->offer.verdict], g->received);
	LOG_LIMITED(LOG_WARN, "messages refused by the journal", LOG_U("messages", g->received),
	            LOG_S("reason", g->offer.error.text));
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
	if (g->answered)
		g->answered(g, g->door);
	group_free(g);
}

void group_send(struct group *g)
{
	struct intake *i = g->intake;
	struct message *m;

	if (i->common || g->own)
		processors_run(g);
	g->charged_bytes = g->offer.bytes;
	STAILQ_FOREACH (m, &g->offer.set_aside, link)
		g->charged_bytes += message_cost(m);
	intake_charge(i, g->charged_bytes);
	g->offer.done = on_done;
	g->offer.arg = g;
	i->outstanding++;
	if (TAILQ_EMPTY(&i->kept) && journal_offer(i->journal, &g->offer))
		return;
	g->is_kept = true;
	TAILQ_INSERT_TAIL(&i->kept, g, link);
}

void intake_retry(struct intake *i)
{
	struct group *g;

	while ((g = TAILQ_FIRST(&i->kept))) {
		/* once it is offered the group belongs to the journal: leave the list first */
		TAILQ_REMOVE(&i->kept, g, link);
		g->is_kept = false;
		if (journal_offer(i->journal, &g->offer))
			continue;
		g->is_kept = true;
		TAILQ_INSERT_HEAD(&i->kept, g, link);
		return;
	}
}

void intake_drop_kept(struct intake *i)
{
	struct group *g;

	while ((g = TAILQ_FIRST(&i->kept))) {
		TAILQ_REMOVE(&i->kept, g, link);
		g->is_kept = false;
		message_list_free(&g->offer.messages);
		message_list_free(&g->offer.set_aside);
		g->offer.verdict = OFFER_CLOSED;
		(void)error_set(&g->offer.error, ERR_CLOSED, "kspool is stopping; not stored");
		on_done(&g->offer, g);
	}
}

void group_cancel(struct group *g)
{
	must(g->is_kept);
	TAILQ_REMOVE(&g->intake->kept, g, link);
	g->intake->outstanding--;
	group_free(g);
}
