#include "server/resolve.h"

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

enum { PATIENCE_MS = 500 };

/* What the thread owns; `to` is its end of the pair. */
struct question {
	char *host;
	char *port;
	int to;
};

struct answer {
	int failed; /* of getaddrinfo; 0: none */
	struct resolved resolved;
};

struct name {
	SLIST_ENTRY(name) link;
	char *host;
	char *port;
	int from; /* -1: nothing is asked */
	int last; /* how the last question ended */
};

/* They stay, for a name that failed is asked for again: no more than the configuration has. */
static SLIST_HEAD(, name) names = SLIST_HEAD_INITIALIZER(names);
static int64_t patience_ms = PATIENCE_MS;

static int look_up(const char *host, const char *port, int family, int flags, struct resolved *ret)
{
	const struct addrinfo hints = {
	    .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV | flags};
	struct addrinfo *list = NULL;
	int failed = getaddrinfo(host, port, &hints, &list);

	if (failed)
		return failed;
	must(list->ai_addrlen <= sizeof ret->address);
	memcpy(&ret->address, list->ai_addr, list->ai_addrlen);
	ret->length = list->ai_addrlen;
	freeaddrinfo(list);
	return 0;
}

/* Nobody reads any more when the process ends: then the send fails, and says nothing. */
static void *ask(void *arg)
{
	struct question *q = arg;
	struct answer a = {0};

	a.failed = look_up(q->host, q->port, AF_UNSPEC, 0, &a.resolved);
	(void)send(q->to, &a, sizeof a, MSG_NOSIGNAL);
	(void)close(q->to);
	free(q->host);
	free(q->port);
	free(q);
	return NULL;
}

static bool start_thread(struct question *q)
{
	sigset_t all, before;
	pthread_t thread;
	int failed;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the intake thread's */
	failed = pthread_create(&thread, NULL, ask, q);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return false;
	(void)pthread_detach(thread);
	return true;
}

static enum err begin(struct name *n, struct error *e)
{
	struct question *q;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "asking for the address of \"%s\"", n->host);
	q = mem_zero(sizeof *q);
	*q = (struct question){.host = mem_string(n->host), .port = mem_string(n->port), .to = pair[1]};
	if (start_thread(q)) {
		n->from = pair[0];
		return ERR_OK;
	}
	free(q->host);
	free(q->port);
	free(q);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return error_set(e, ERR_ENVIRONMENT, "no thread to ask for the address of \"%s\"", n->host);
}

static struct name *name_of(const char *host, const char *port)
{
	struct name *n;

	SLIST_FOREACH (n, &names, link)
		if (strcmp(n->host, host) == 0 && strcmp(n->port, port) == 0)
			return n;
	n = mem_zero(sizeof *n);
	n->host = mem_string(host);
	n->port = mem_string(port);
	n->from = -1;
	SLIST_INSERT_HEAD(&names, n, link);
	return n;
}

/* Who needs no name server has its answer at once, however long others' names took. */
static void wait_a_little(const struct name *n)
{
	struct pollfd wait = {.fd = n->from, .events = POLLIN};
	int64_t begun_ns = clock_mono_ns();

	if (strcmp(n->host, "localhost") == 0) {
		(void)poll(&wait, 1, PATIENCE_MS);
	} else if (patience_ms > 0) {
		(void)poll(&wait, 1, (int)patience_ms);
		patience_ms -= (clock_mono_ns() - begun_ns) / NS_PER_MS;
	}
}

static enum err failed_with(const struct name *n, int failed, struct error *e)
{
	return error_set(e, ERR_ENVIRONMENT, "\"%s\": %s", n->host,
	                 failed ? gai_strerror(failed) : "no answer yet to what its address is");
}

enum err resolve(const char *host, const char *port, struct resolved *ret, struct error *e)
{
	struct answer a = {0};
	struct name *n;
	ssize_t got;

	if (!*host && look_up(NULL, port, AF_INET6, 0, ret) == 0)
		return ERR_OK;
	if (look_up(*host ? host : NULL, port, *host ? AF_UNSPEC : AF_INET, AI_NUMERICHOST, ret) == 0)
		return ERR_OK;
	n = name_of(host, port);
	if (n->from < 0) {
		enum err err = begin(n, e);

		if (err != ERR_OK)
			return err;
		wait_a_little(n);
	}
	got = recv(n->from, &a, sizeof a, MSG_DONTWAIT);
	if (got < 0)
		return failed_with(n, n->last, e); /* the same words while it is asked anew */
	(void)close(n->from);
	n->from = -1;
	n->last = got == sizeof a ? a.failed : EAI_FAIL;
	if (n->last)
		return failed_with(n, n->last, e);
	*ret = a.resolved;
	return ERR_OK;
}
