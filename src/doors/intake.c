#include "doors/intake.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

static void on_hold_over(evutil_socket_t fd, short what, void *arg)
{
	struct intake *i = arg;

	(void)fd;
	(void)what;
	i->hold_until_ns = 0;
	if (i->on_room)
		i->on_room(i->arg);
}

void intake_hold(struct intake *i, int64_t until_ns)
{
	int64_t left_ns = until_ns - clock_mono_ns();
	struct timeval tv;

	if (left_ns <= 0 || until_ns <= i->hold_until_ns)
		return;
	i->hold_until_ns = until_ns;
	tv = (struct timeval){.tv_sec = left_ns / NS_PER_S, .tv_usec = (left_ns % NS_PER_S) / NS_PER_US + 1};
	(void)evtimer_add(i->hold, &tv);
}

enum err intake_open(struct intake *i, struct error *e)
{
	TAILQ_INIT(&i->kept);
	i->evaluator = evaluator_new();
	i->hold = evtimer_new(i->base, on_hold_over, i);
	must(i->hold);
	return processors_compile(i->config->pipeline_processors, i->config, "pipeline.processors", &i->common, e);
}

void intake_close(struct intake *i)
{
	must(i->outstanding == 0);
	pipeline_free(i->common);
	evaluator_free(i->evaluator);
	event_free(i->hold);
}

void intake_charge(struct intake *i, uint64_t bytes) { i->memory_bytes += bytes; }

void intake_release(struct intake *i, uint64_t bytes)
{
	must(i->memory_bytes >= bytes);
	i->memory_bytes -= bytes;
}

bool intake_has_room(const struct intake *i)
{
	return i->memory_bytes < i->memory_limit_bytes && TAILQ_EMPTY(&i->kept) && i->hold_until_ns == 0;
}

struct group *group_new(struct intake *i, struct pipeline *own, group_answered *answered, void *door)
{
	struct group *g = mem_zero(sizeof *g);

	STAILQ_INIT(&g->offer.messages);
	STAILQ_INIT(&g->offer.set_aside);
	g->intake = i;
	g->own = own;
	g->answered = answered;
	g->door = door;
	g->begun_ns = clock_mono_ns();
	return g;
}

void group_add(struct group *g, struct message *m)
{
	STAILQ_INSERT_TAIL(&g->offer.messages, m, link);
	g->offer.count++;
	g->offer.bytes += message_cost(m);
	g->received++;
}

void group_set_aside(struct group *g, struct message *m, const char *reason)
{
	message_fail(m, NULL, reason);
	STAILQ_INSERT_TAIL(&g->offer.set_aside, m, link);
	g->offer.set_aside_count++;
}

void group_free(struct group *g)
{
	if (!g)
		return;
	message_list_free(&g->offer.messages);
	message_list_free(&g->offer.set_aside);
	free(g->offer.position_key);
	free(g->offer.position);
	intake_release(g->intake, g->charged_bytes);
	free(g);
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
