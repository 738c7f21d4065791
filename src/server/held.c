/*
 * Invariants:
 * 1. A holder stands in the list while it has a connection; its bytes are the sum over these, and the pool's over all.
 * 2. `relief` stands while there are members; what it calls may free any of them.
 * 3. `worst`, `costliest` and what belongs to them hold until the next call that frees a connection.
 */
#include "server/held.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

enum { YOUNG_SHARE = 16, BUDGET_SHARE = 8, COSTS_MS = 10, AGE_MAX_MS = 1 << 22 };

TAILQ_HEAD(members, held);

/* A peer, and what its connections on all doors hold. */
struct holder {
	LIST_ENTRY(holder) link;
	unsigned char key[LISTENER_KEY_BYTES];
	uint32_t connections;
	uint64_t bytes;
	struct held *worst; /* while one is chosen: what it would give up */
	size_t weight;
	uint64_t cost;          /* of its unfinished messages, at costs_ns */
	struct held *costliest; /* the first of its to go, then */
	uint64_t costliest_cost;
	int64_t costliest_since_ns;
	bool costliest_goes_on; /* more of it is here, and waits for us */
};

static struct {
	struct members members;
	LIST_HEAD(, holder) holders;
	uint64_t bytes;
	struct event *relief;
	uint64_t unfinished; /* bytes, at costs_ns */
	uint64_t most_cost;  /* of a peer, then */
	int64_t costs_ns;
} pool = {.members = TAILQ_HEAD_INITIALIZER(pool.members)};

uint64_t held_bytes(void) { return pool.bytes; }

bool held_is_over(void)
{
	uint64_t budget = budget_size();

	return budget > 0 && pool.bytes > HELD_OWN_BYTES + budget / BUDGET_SHARE;
}

/* How much giving it up is worth. */
static size_t weight(const struct held *h, int64_t now_ns)
{
	if (h->bytes <= HELD_SMALL_BYTES || !h->kind->may_go(h->owner))
		return 0;
	return now_ns - h->since_ns < HELD_YOUNG_MS * NS_PER_MS ? h->bytes / YOUNG_SHARE : h->bytes;
}

static struct held *heaviest(void)
{
	int64_t now_ns = clock_mono_ns();
	struct holder *o, *most = NULL;
	struct held *h;

	LIST_FOREACH (o, &pool.holders, link) {
		o->worst = NULL;
		o->weight = 0;
	}
	TAILQ_FOREACH (h, &pool.members, link)
		if (weight(h, now_ns) > h->holder->weight) {
			h->holder->worst = h;
			h->holder->weight = weight(h, now_ns);
		}
	LIST_FOREACH (o, &pool.holders, link)
		if (o->worst && (!most || o->bytes > most->bytes))
			most = o;
	return most ? most->worst : NULL;
}

bool held_must_wait(const struct held *h)
{
	const struct holder *o;

	if (!held_is_over())
		return false;
	LIST_FOREACH (o, &pool.holders, link)
		if (o->bytes / 2 > h->holder->bytes)
			return false;
	return true;
}

static void relieve(evutil_socket_t fd, short what, void *arg)
{
	struct held *h;

	(void)fd;
	(void)what;
	(void)arg;
	while (held_is_over() && (h = heaviest())) {
		metric_add(M_INPUT_REFUSED_BUSY, 1);
		LOG_LIMITED(LOG_WARN, "connection given up", LOG_U("bytes", h->bytes),
		            LOG_S("reason", "connections hold all the memory they may"));
		h->kind->go(h->owner);
	}
}

static void set_bytes(struct held *h, size_t bytes)
{
	pool.bytes += bytes;
	pool.bytes -= h->bytes;
	h->holder->bytes += bytes;
	h->holder->bytes -= h->bytes;
	h->bytes = bytes;
	budget_tell(BUDGET_CONNECTIONS, pool.bytes > HELD_OWN_BYTES ? pool.bytes - HELD_OWN_BYTES : 0);
}

static struct holder *holder_of(const struct peer *peer)
{
	struct holder *o;

	LIST_FOREACH (o, &pool.holders, link)
		if (memcmp(o->key, peer->key, sizeof o->key) == 0)
			return o;
	o = mem_zero(sizeof *o);
	memcpy(o->key, peer->key, sizeof o->key);
	LIST_INSERT_HEAD(&pool.holders, o, link);
	return o;
}

static void holder_put(struct holder *o)
{
	if (--o->connections > 0)
		return;
	must(o->bytes == 0);
	LIST_REMOVE(o, link);
	free(o);
}

void held_enter(struct held *h, struct bufferevent *bev, const struct peer *peer, const struct held_kind *kind,
                void *owner)
{
	*h = (struct held){.bev = bev, .kind = kind, .owner = owner, .holder = holder_of(peer)};
	h->holder->connections++;
	if (!pool.relief) {
		pool.relief = evtimer_new(bufferevent_get_base(bev), relieve, NULL);
		must(pool.relief);
	}
	TAILQ_INSERT_TAIL(&pool.members, h, link);
	held_note(h, 0);
}

void held_rename(struct held *h, const struct peer *peer)
{
	struct holder *old = h->holder;
	size_t bytes = h->bytes;

	set_bytes(h, 0);
	h->holder = holder_of(peer);
	h->holder->connections++;
	holder_put(old);
	set_bytes(h, bytes);
}

void held_note(struct held *h, size_t own)
{
	const SSL *ssl = bufferevent_openssl_get_ssl(h->bev);
	size_t bytes = HELD_CONNECTION_BYTES + own + evbuffer_get_length(bufferevent_get_input(h->bev)) +
	               evbuffer_get_length(bufferevent_get_output(h->bev));

	if (ssl)
		bytes += SSL_is_init_finished(ssl) ? HELD_TLS_BYTES : HELD_SHAKING_BYTES;
	if (bytes == h->bytes)
		return;
	h->since_ns = clock_mono_ns();
	set_bytes(h, bytes);
	if (held_is_over())
		event_active(pool.relief, EV_TIMEOUT, 0);
}

void held_leave(struct held *h)
{
	set_bytes(h, 0);
	holder_put(h->holder);
	TAILQ_REMOVE(&pool.members, h, link);
	if (!TAILQ_EMPTY(&pool.members))
		return;
	event_free(pool.relief);
	pool.relief = NULL;
}

static bool goes_on(const struct held *h)
{
	int waiting = 0;

	return evbuffer_get_length(bufferevent_get_input(h->bev)) > 0 ||
	       (ioctl(bufferevent_getfd(h->bev), FIONREAD, &waiting) == 0 && waiting > 0);
}

/*
 * Of one peer the costliest of those that are silent goes first. Of those that wait for us it is the last that came:
 * where all wait for memory, the first has to get it, or none is ever whole.
 */
static void choose(struct held *h, uint64_t cost, int64_t since_ns)
{
	struct holder *o = h->holder;
	const bool on = goes_on(h);

	if (o->costliest && (on != o->costliest_goes_on ? on
	                     : on                       ? since_ns <= o->costliest_since_ns
	                                                : cost <= o->costliest_cost))
		return;
	o->costliest = h;
	o->costliest_cost = cost;
	o->costliest_since_ns = since_ns;
	o->costliest_goes_on = on;
}

/* Chosen are those that are at least so old; negative: none. */
static void count_costs(int64_t now_ns, int64_t age_ns)
{
	struct holder *o;
	struct held *h;

	pool.costs_ns = now_ns;
	pool.unfinished = pool.most_cost = 0;
	LIST_FOREACH (o, &pool.holders, link) {
		o->cost = 0;
		o->costliest = NULL;
	}
	TAILQ_FOREACH (h, &pool.members, link) {
		int64_t since_ns = 0, age_ms;
		uint64_t bytes = h->kind->unfinished ? h->kind->unfinished(h->owner, &since_ns) : 0;
		uint64_t cost;

		if (bytes == 0)
			continue;
		age_ms = (now_ns - since_ns) / NS_PER_MS;
		cost = bytes * (uint64_t)(age_ms < AGE_MAX_MS ? age_ms + 1 : AGE_MAX_MS);
		o = h->holder;
		pool.unfinished += bytes;
		o->cost += cost;
		if (age_ns >= 0 && now_ns - since_ns >= age_ns)
			choose(h, cost, since_ns);
		if (o->cost > pool.most_cost)
			pool.most_cost = o->cost;
	}
}

static void count_costs_again(void)
{
	int64_t now_ns = clock_mono_ns();

	if (now_ns - pool.costs_ns >= COSTS_MS * NS_PER_MS)
		count_costs(now_ns, -1);
}

uint64_t held_unfinished_bytes(void)
{
	count_costs_again();
	return pool.unfinished;
}

bool held_may_pass(const struct held *h)
{
	count_costs_again();
	return pool.most_cost > 0 && h->holder->cost <= pool.most_cost / 2;
}

bool held_shed(int64_t age_ns)
{
	struct holder *o, *most = NULL;

	count_costs(clock_mono_ns(), age_ns);
	LIST_FOREACH (o, &pool.holders, link)
		if (o->costliest && (!most || o->cost > most->cost))
			most = o;
	if (!most)
		return false;
	metric_add(M_INPUT_REFUSED_BUSY, 1);
	most->costliest->kind->refuse(most->costliest->owner);
	pool.costs_ns = 0;
	return true;
}
