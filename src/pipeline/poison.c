/*
 * Invariants:
 * 1. A mark's state in memory is BUSY exactly from poison_begin to poison_end; DIED is written by a signal handler
 *    alone. In the file it stays BUSY until something else begins or the run ends in order: a killed process then
 *    suspects what was last worked on, which costs that nothing but being alone once. What is suspected is taken back
 *    in the file too: a process that is killed beside it proves nothing.
 * 2. What is suspected only shrinks while nothing dies: a death within it is counted on, any other begins anew. Of the
 *    kills on more than what is suspected now one counts: they may have been meant for anything.
 * 3. The handler calls nothing but pwrite, signal and raise.
 */
#include "pipeline/poison.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"

enum state { IDLE, BUSY, DIED };

/* The numbers of one place in the file, in the machine's order: it never leaves the machine. */
struct mark {
	uint64_t state, first, last;
	uint64_t suspected_first, suspected_last; /* of the run before */
	uint64_t crashes, kills;                  /* on them, so far */
};

enum { CRASHES_MAX = 2, KILLS_MAX = 5, CAREFUL_MESSAGES = 10000, STACK_BYTES = 64 << 10 };

static int file = -1;
static struct mark marks[POISON_PLACES];
static uint32_t careful[POISON_PLACES]; /* how many more are worked on one by one; intake only */
static _Thread_local unsigned here;     /* a bit for each place of this thread */
static _Thread_local void *stack;

static void put(int place)
{
	if (file >= 0 && pwrite(file, &marks[place], sizeof marks[place], place * (off_t)sizeof marks[place]) < 0)
		return; /* a disk without room: nobody is suspected then */
}

static void mark_died(int place)
{
	static const uint64_t died = DIED;

	if (marks[place].state == BUSY && pwrite(file, &died, sizeof died, place * (off_t)sizeof marks[place]) < 0)
		return;
}

/* A watchdog's SIGABRT may meet another thread than the one that does not come back. */
static void on_death(int signal_number)
{
	for (int i = 0; i < POISON_PLACES; i++)
		if (here == 0 || here & 1u << i)
			mark_died(i);
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

/* A sanitizer has its own handlers, and tells more by them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HAS_SANITIZER = true };
#else
enum { HAS_SANITIZER = false };
#endif

static void watch_signals(void)
{
	struct sigaction action = {.sa_handler = on_death, .sa_flags = SA_ONSTACK | SA_NODEFER};

	for (size_t i = 0; i < sizeof deadly / sizeof *deadly && !HAS_SANITIZER; i++)
		(void)sigaction(deadly[i], &action, NULL);
}

static bool lies_within(const struct mark *m) { return m->first >= m->suspected_first && m->last <= m->suspected_last; }

/* What the last run left. */
static void judge(enum poison_place place)
{
	struct mark *m = &marks[place];
	const bool again = m->crashes + m->kills > 0 && lies_within(m);
	const bool is_narrower = m->first > m->suspected_first || m->last < m->suspected_last;

	if (m->state == IDLE)
		return;
	if (!again)
		m->crashes = m->kills = 0;
	if (is_narrower && m->kills > 1)
		m->kills = 1;
	m->crashes += m->state == DIED;
	m->kills += m->state != DIED;
	m->suspected_first = m->first;
	m->suspected_last = m->last;
	m->state = IDLE;
	careful[place] = CAREFUL_MESSAGES;
	put(place);
}

enum err poison_open(const char *spool_path, struct error *e)
{
	AUTOFREE char *path = mem_format("%s.poison", spool_path);
	ssize_t n;

	memset(marks, 0, sizeof marks);
	memset(careful, 0, sizeof careful);
	file = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (file < 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "%s: what ends the process is not noted", path);
	n = pread(file, marks, sizeof marks, 0);
	if (n != (ssize_t)sizeof marks)
		memset(marks, 0, sizeof marks);
	for (int i = 0; i < POISON_PLACES; i++) {
		judge((enum poison_place)i);
		put(i);
	}
	watch_signals();
	return ERR_OK;
}

void poison_close(void)
{
	for (int i = 0; i < POISON_PLACES; i++) {
		marks[i].state = IDLE;
		put(i);
	}
	if (file >= 0)
		(void)close(file);
	file = -1;
}

void poison_enter(enum poison_place place)
{
	stack_t alternative = {.ss_size = STACK_BYTES};
	sigset_t heard;

	here |= 1u << place;
	if (stack)
		return;
	(void)sigemptyset(&heard);
	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
		(void)sigaddset(&heard, deadly[i]);
	(void)pthread_sigmask(SIG_UNBLOCK, &heard, NULL); /* blocked, they would end the process without the handler */
	stack = alternative.ss_sp = mem_alloc(STACK_BYTES);
	(void)sigaltstack(&alternative, NULL);
}

void poison_leave(void)
{
	const stack_t none = {.ss_flags = SS_DISABLE};

	(void)sigaltstack(&none, NULL);
	free(stack);
	stack = NULL;
	here = 0;
}

void poison_begin(enum poison_place place, uint64_t first, uint64_t last)
{
	struct mark *m = &marks[place];

	must(m->state == IDLE && first <= last);
	m->state = BUSY;
	m->first = first;
	m->last = last;
	put((int)place);
}

void poison_end(enum poison_place place)
{
	struct mark *m = &marks[place];

	must(m->state == BUSY);
	m->state = IDLE;
	if (careful[place] > 0)
		careful[place]--;
	if (m->crashes + m->kills > 0 && m->last == m->suspected_last && lies_within(m)) {
		m->crashes = m->kills = 0; /* passed */
		careful[place] = 0;
		put((int)place);
	} else if (m->crashes + m->kills > 0) {
		put((int)place);
	}
}

bool poison_is_careful(enum poison_place place) { return careful[place] > 0; }

bool poison_suspects(enum poison_place place, uint64_t first, uint64_t last)
{
	const struct mark *m = &marks[place];

	return m->crashes + m->kills > 0 && first <= m->suspected_last && last >= m->suspected_first;
}

bool poison_condemns(enum poison_place place, uint64_t id)
{
	const struct mark *m = &marks[place];

	return (m->crashes >= CRASHES_MAX || m->crashes + m->kills >= KILLS_MAX) && m->suspected_first == id &&
	       m->suspected_last == id;
}
