/*
 * journal_steps: a journal whose thread goes on only when the test lets it, with the test's clock.
 *
 * What it is: poll, pthread_create, pthread_join and clock_gettime under their own names, so that the real thread runs
 * the real code and stops where it would sleep. steps_run wakes it only when a machine would: something it waits for is
 * there, or its time is over. So what happens in which round, and what a forgotten wake-up costs, is the same each
 * time. Included by one test file. Thread: the test's; between two calls the journal's thread sleeps, and what it owns
 * may be looked at.
 */
#ifndef KSPOOL_TESTS_JOURNAL_STEPS_H
#define KSPOOL_TESTS_JOURNAL_STEPS_H

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "journal/journal_internal.h"
#include "rig/journal_books.h"
#include "rig/journalrig.h"

enum { STEPS_TURNS_MAX = 20000 };

static struct {
	sem_t stopped, turn; /* not a condition: a broadcast on one can hang in glibc 2.36 (its bug 25847) */
	bool is_still;       /* it has stopped, and this was seen */
	bool has_ended, has_begun;
	struct pollfd fds[8];
	nfds_t count;
	int timeout_ms;
	int64_t slept_ns;
	int64_t now_ns, tick_ns; /* of each look at the clock by the journal's thread */
	uint64_t turns;          /* how often it was woken */
	void (*each_look)(void); /* on the journal's thread, whenever it looks at the clock */
	int no_thread;           /* errno of pthread_create, 0: it works */
	void *(*run)(void *arg);
	void *arg;
	struct journal *books;  /* whose they are */
	bool is_read;           /* they were, since it was woken */
	struct spooldir *dying; /* removed when the process ends by itself */
} steps = {.now_ns = 1000 * NS_PER_S};

static _Thread_local bool is_journals;

int clock_gettime(clockid_t id, struct timespec *ret)
{
	int64_t ns = steps.now_ns;

	if (id == CLOCK_THREAD_CPUTIME_ID || id == CLOCK_PROCESS_CPUTIME_ID)
		return (int)syscall(SYS_clock_gettime, id, ret);
	if (is_journals)
		steps.now_ns += steps.tick_ns;
	if (is_journals && steps.each_look) {
		void (*act)(void) = steps.each_look;

		steps.each_look = NULL; /* not within itself */
		act();
		steps.each_look = act;
	}
	if (id == CLOCK_REALTIME)
		ns += 1700000000 * NS_PER_S;
	*ret = (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
	return 0;
}

static inline int look(struct pollfd *fds, nfds_t count) { return ppoll(fds, count, &(struct timespec){0}, NULL); }

static void wait_for_turn(void)
{
	must(sem_post(&steps.stopped) == 0);
	while (sem_wait(&steps.turn) != 0)
		must(errno == EINTR);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	const struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * NS_PER_MS};

	if (!is_journals)
		return ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout, NULL);
	must(count <= sizeof steps.fds / sizeof *steps.fds);
	memcpy(steps.fds, fds, count * sizeof *fds);
	steps.count = count;
	steps.timeout_ms = timeout_ms;
	steps.slept_ns = steps.now_ns;
	wait_for_turn();
	return look(fds, count);
}

static void *run_in_steps(void *arg)
{
	is_journals = true;
	wait_for_turn();
	steps.has_begun = true;
	arg = steps.run(steps.arg);
	steps.has_ended = true;
	must(sem_post(&steps.stopped) == 0);
	return arg;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *arg), void *arg)
{
	__typeof__(&pthread_create) real = (__typeof__(&pthread_create))dlsym(RTLD_NEXT, "pthread_create");

	if (steps.no_thread)
		return steps.no_thread;
	must(sem_init(&steps.stopped, 0, 0) == 0 && sem_init(&steps.turn, 0, 0) == 0);
	steps.is_still = steps.has_ended = steps.has_begun = false;
	steps.run = run;
	steps.arg = arg;
	return real(thread, attributes, run_in_steps, NULL);
}

/* True when it goes on; false: nothing woke it, or it ended. */
static inline bool steps_turn(void)
{
	bool goes;

	while (!steps.is_still)
		steps.is_still = sem_wait(&steps.stopped) == 0;
	goes = !steps.has_ended &&
	       (!steps.has_begun || look(steps.fds, steps.count) > 0 ||
	        (steps.timeout_ms >= 0 && steps.now_ns >= steps.slept_ns + (int64_t)steps.timeout_ms * NS_PER_MS));
	if (goes) {
		steps.turns++;
		steps.is_still = false;
		must(sem_post(&steps.turn) == 0);
	}
	return goes;
}

/* Until it sleeps, and nothing would wake it now. Then its books agree. */
static inline void steps_run(void)
{
	for (int i = 0; steps_turn(); i++) {
		if (i > STEPS_TURNS_MAX)
			fail_msg("the journal's thread spins");
		steps.is_read = false;
	}
	if (!steps.is_read && steps.has_begun && !steps.has_ended) {
		books_agree(steps.books);
		steps.is_read = true; /* a test may turn something over before it runs again */
	}
}

/* Time goes by, with a stop wherever the journal would wake up by itself. */
static inline void steps_advance(int64_t ms)
{
	const int64_t until = steps.now_ns + ms * NS_PER_MS;

	for (;;) {
		int64_t next = steps.slept_ns + (int64_t)steps.timeout_ms * NS_PER_MS;

		steps_run();
		next = steps.slept_ns + (int64_t)steps.timeout_ms * NS_PER_MS;
		if (next > until || steps.now_ns >= until)
			break;
		steps.now_ns = next > steps.now_ns ? next : steps.now_ns;
	}
	if (steps.now_ns < until)
		steps.now_ns = until;
	steps_run();
}

int pthread_join(pthread_t thread, void **ret)
{
	__typeof__(&pthread_join) real = (__typeof__(&pthread_join))dlsym(RTLD_NEXT, "pthread_join");

	steps_run();
	must(steps.has_ended); /* it was told to stop, and nothing told it to look */
	return real(thread, ret);
}

/* A test that expects this runs in a child of its own. Nobody is told yes from here on. */
static inline void steps_condemned(const struct error *reason)
{
	struct error e;

	fprintf(stderr, "condemned: %s\n", reason->text);
	if (steps.books && steps.books->phase == JOURNAL_CONDEMNED)
		must(journal_admission(steps.books, &e) == ERR_DISK);
	if (steps.dying)
		spooldir_remove_open(steps.dying);
	_exit(reason->code == ERR_OK ? 1 : error_exit_status(reason->code)); /* for nothing: no good end either */
}

/* Its thread did nothing so far. */
static inline struct journal *steps_start(const struct journal_options *o, struct store_report *report)
{
	struct journal *j = NULL;
	struct error e = {0};

	steps.books = NULL;
	if (journal_start(o, steps_condemned, &j, report, &e) != ERR_OK)
		fail_msg("%s", e.text);
	steps.books = j;
	return j;
}

#endif
