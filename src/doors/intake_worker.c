/*
 * Processors on a thread of their own: what they take on a stranger's behalf holds no peer but those whose messages
 * wait for them too.
 *
 * Invariants:
 * 1. A group is in `waiting`, or it is `busy`, or the thread has nothing to do with it.
 * 2. At most one group is with the thread, for a slice unless its messages look at each other: whoever comes next is
 * chosen when it comes back, by the time that a peer had of late at a door with these processors, of streams and of
 * requests apart.
 * 3. The groups of one peer's streams keep their order; its requests have none, and take turns.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/lane.h"
#include "base/mem.h"
#include "doors/intake.h"
#include "pipeline/poison.h"

enum { SHARE_BITS = 8 };

struct worker {
	void (*worked)(struct group *g);
	void (*charge)(struct group *g);
	pthread_t thread;
	struct lane *work, *done;
	struct event *answers;
	struct group_list waiting;
	struct group *busy;
	int64_t since_ns;                 /* it has been busy with it */
	bool is_done;                     /* all of what comes back is; the thread's while it is busy */
	int64_t used_ns[1 << SHARE_BITS]; /* of the time, by whose groups */
	int64_t least_ns;                 /* of those that waited when one was chosen last */
	struct evaluator *evaluator;      /* the thread's */
};

/* The item that ends the thread is the worker itself. */
static void *run(void *arg)
{
	struct worker *w = arg;
	struct pollfd wait = {.fd = lane_fd(w->work), .events = POLLIN};
	void *item = NULL;

	poison_enter(POISON_INTAKE);
	while (item != w) {
		if (lane_take(w->work, &item, 1) == 0) {
			(void)poll(&wait, 1, -1);
		} else if (item != w) {
			w->is_done = processors_run(item, w->evaluator);
			must(lane_put(w->done, item));
		}
	}
	poison_leave();
	return NULL;
}

static int64_t *used_by(struct worker *w, const struct group *g)
{
	const uint64_t whose =
	    (g->peer ^ (uintptr_t)g->own ^ (g->one_batch ? UINT64_MAX : 0)) * UINT64_C(0x9e3779b97f4a7c15);

	return &w->used_ns[whose >> (64 - SHARE_BITS)];
}

/* A limit wants nothing new; what has begun is let through. */
static bool is_held(const struct group *g) { return !g->is_begun && intake_held_ns(g->intake, g->own) > 0; }

/* The oldest of those who had the least time. */
static struct group *choose(struct worker *w)
{
	struct group *g, *least = NULL;

	TAILQ_FOREACH (g, &w->waiting, link)
		if (!is_held(g) && (!least || *used_by(w, g) < *used_by(w, least)))
			least = g;
	if (least)
		w->least_ns = *used_by(w, least);
	return least;
}

/* A request behind the others; what has an order, before the first of its peer's, which came later. */
static void put_back(struct worker *w, struct group *g)
{
	struct group *other;

	g->place = GROUP_WAITING;
	TAILQ_FOREACH (other, &w->waiting, link)
		if (!g->one_batch && !other->one_batch && other->peer == g->peer) {
			TAILQ_INSERT_BEFORE(other, g, link);
			return;
		}
	TAILQ_INSERT_TAIL(&w->waiting, g, link);
}

static void feed(struct worker *w)
{
	struct group *g = w->busy ? NULL : choose(w);

	if (!g)
		return;
	TAILQ_REMOVE(&w->waiting, g, link);
	g->place = GROUP_WORKED;
	w->busy = g;
	g->room_bytes = intake_room_to_make(g->intake);
	w->since_ns = clock_mono_ns();
	must(lane_put(w->work, g));
}

void worker_go_on(struct worker *w)
{
	if (w)
		feed(w);
}

struct group *worker_take_late(struct worker *w)
{
	struct group *g;

	TAILQ_FOREACH (g, &w->waiting, link)
		if (g->one_batch && !g->comes_again && is_held(g) &&
		    clock_mono_ns() + intake_held_ns(g->intake, g->own) - g->begun_ns > LIMIT_WAIT_MS * NS_PER_MS)
			break;
	if (g)
		TAILQ_REMOVE(&w->waiting, g, link);
	return g;
}

static struct group *take_back(struct worker *w)
{
	void *item;

	if (lane_take(w->done, &item, 1) == 0)
		return NULL;
	must(item == w->busy);
	*used_by(w, w->busy) += clock_mono_ns() - w->since_ns;
	w->busy = NULL;
	return item;
}

static void on_answers(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct group *g;

	(void)fd;
	(void)what;
	while ((g = take_back(w))) {
		const bool goes_on = !w->is_done && !g->is_cancelled;

		intake_hold(g->intake, g->own, g->hold_own_ns);
		intake_hold(g->intake, g->intake->common, g->hold_common_ns);
		if (goes_on) {
			w->charge(g);
			put_back(w, g);
		}
		feed(w);
		if (!goes_on)
			w->worked(g);
	}
}

int64_t worker_work_ns(const struct worker *w) { return w && w->busy ? clock_mono_ns() - w->since_ns : 0; }

void worker_put(struct worker *w, struct group *g)
{
	int64_t *used_ns = used_by(w, g);

	if (*used_ns < w->least_ns) /* what somebody did not use is no credit: he would have it all at once */
		*used_ns = w->least_ns;
	g->place = GROUP_WAITING;
	TAILQ_INSERT_TAIL(&w->waiting, g, link);
	feed(w);
}

void worker_forget(struct worker *w, struct group *g)
{
	must(g->place == GROUP_WAITING);
	TAILQ_REMOVE(&w->waiting, g, link);
}

struct worker *worker_open(struct intake *i, void (*worked)(struct group *g), void (*charge)(struct group *g))
{
	struct worker *w = mem_zero(sizeof *w);
	sigset_t all, before;

	TAILQ_INIT(&w->waiting);
	w->worked = worked;
	w->charge = charge;
	w->work = lane_open(2);
	w->done = lane_open(2);
	w->evaluator = pipeline_evaluator_new(i->config, true);
	w->answers = event_new(i->base, lane_fd(w->done), EV_READ | EV_PERSIST, on_answers, w);
	must(w->answers && event_add(w->answers, NULL) == 0);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the intake thread's */
	must(pthread_create(&w->thread, NULL, run, w) == 0);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w;
}

struct group *worker_take_out(struct worker *w)
{
	struct group *g = w ? TAILQ_FIRST(&w->waiting) : NULL;

	if (g)
		TAILQ_REMOVE(&w->waiting, g, link);
	while (!g && w && w->busy) {
		struct pollfd wait = {.fd = lane_fd(w->done), .events = POLLIN};

		(void)poll(&wait, 1, -1);
		g = take_back(w);
	}
	return g;
}

void worker_close(struct worker *w)
{
	if (!w)
		return;
	must(TAILQ_EMPTY(&w->waiting) && !w->busy);
	must(lane_put(w->work, w));
	(void)pthread_join(w->thread, NULL);
	event_free(w->answers);
	lane_close(w->work);
	lane_close(w->done);
	evaluator_free(w->evaluator);
	free(w);
}
