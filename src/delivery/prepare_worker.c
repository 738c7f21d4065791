#include "delivery/prepare_worker.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/lane.h"
#include "base/mem.h"
#include "pipeline/poison.h"

enum { WAIT_MS = 5, WAITS = 400 };

/* Its owner is who has the pointer: the lanes carry it there and back. */
struct job {
	const struct config *config;
	struct batch *batch; /* null: the thread ends */
	struct prepared made;
};

struct prepare_worker {
	struct preparer *preparer;
	pthread_t thread;
	struct lane *work, *done;
	struct prepare_pulse pulse;
	struct job job;
	bool busy;      /* the job is with the thread, or on its way back */
	uint32_t waits; /* the thread's: for memory that nobody is known to give back, of this job */
};

/*
 * What is with the service comes back, and its memory with it; the doors' is soon stored, or refused. A turn without
 * either is no use.
 */
static bool wait_for_memory(void *arg)
{
	struct prepare_worker *w = arg;

	if (atomic_load_explicit(&w->pulse.others, memory_order_relaxed))
		w->waits = 0;
	if (atomic_load(&w->pulse.ends) || w->waits == WAITS)
		return false;
	w->waits++;
	(void)poll(NULL, 0, WAIT_MS);
	atomic_store_explicit(&w->pulse.step_ns, clock_mono_ns(), memory_order_relaxed);
	return true;
}

static void *run(void *arg)
{
	struct prepare_worker *w = arg;
	struct pollfd wait = {.fd = lane_fd(w->work), .events = POLLIN};
	bool ends = false;
	void *item;

	poison_enter(POISON_DELIVERY);
	budget_wait_by(wait_for_memory, w);
	while (!ends) {
		struct job *job;

		if (lane_take(w->work, &item, 1) == 0) {
			(void)poll(&wait, 1, -1);
			continue;
		}
		job = item;
		ends = !job->batch;
		w->waits = 0;
		if (!ends)
			(void)preparer_run(w->preparer, job->config, job->batch, &w->pulse, &job->made);
		atomic_store_explicit(&w->pulse.step_ns, 0, memory_order_relaxed);
		must(lane_put(w->done, job));
	}
	poison_leave();
	return NULL;
}

enum err prepare_worker_open(struct preparer *p, struct prepare_worker **ret, struct error *e)
{
	struct prepare_worker *w = mem_zero(sizeof *w);
	sigset_t all, before;
	int rc;

	w->preparer = p;
	w->work = lane_open(1);
	w->done = lane_open(1);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the intake thread's */
	rc = pthread_create(&w->thread, NULL, run, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		lane_close(w->work);
		lane_close(w->done);
		free(w);
		return error_set(e, ERR_SYSTEM, "no thread to prepare batches: %s", strerror(rc));
	}
	(void)pthread_setname_np(w->thread, "prepare");
	*ret = w;
	return ERR_OK;
}

int prepare_worker_fd(const struct prepare_worker *w) { return lane_fd(w->done); }

static void put(struct prepare_worker *w, const struct config *config, struct batch *batch)
{
	must(!w->busy);
	w->busy = true;
	w->job = (struct job){.config = config, .batch = batch};
	atomic_store_explicit(&w->pulse.step_ns, clock_mono_ns(), memory_order_relaxed);
	must(lane_put(w->work, &w->job));
}

void prepare_worker_put(struct prepare_worker *w, const struct config *config, struct batch *batch)
{
	must(batch);
	put(w, config, batch);
}

struct batch *prepare_worker_take(struct prepare_worker *w, struct prepared *ret)
{
	void *item;

	if (lane_take(w->done, &item, 1) == 0)
		return NULL;
	must(item == &w->job);
	w->busy = false;
	*ret = w->job.made;
	return w->job.batch;
}

void prepare_worker_give_up(struct prepare_worker *w)
{
	if (w)
		atomic_store(&w->pulse.ends, true);
}

void prepare_worker_others(struct prepare_worker *w, bool have)
{
	if (w)
		atomic_store_explicit(&w->pulse.others, have, memory_order_relaxed);
}

int64_t prepare_worker_work_ns(const struct prepare_worker *w)
{
	int64_t step_ns = w ? atomic_load_explicit(&w->pulse.step_ns, memory_order_relaxed) : 0;

	return step_ns > 0 ? clock_mono_ns() - step_ns : 0;
}

void prepare_worker_close(struct prepare_worker *w)
{
	void *item;

	if (!w)
		return;
	put(w, NULL, NULL);
	(void)pthread_join(w->thread, NULL);
	must(lane_take(w->done, &item, 1) == 1);
	lane_close(w->work);
	lane_close(w->done);
	free(w);
}
