/*
 * transfer_watch: whether a request moves, and what its way said of the link.
 */
#include "aws/transport/transport_internal.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"

enum {
	CONNECT_TIMEOUT_MS = 5000,
	CONNECT_TIMEOUT_MOST_MS = 30000, /* after some in a row that were not long enough */
	SILENCE_MS = 60000,              /* a radio that comes back after half a minute loses nothing */
	QUIET_MS = 5000,                 /* nothing moves for so long on any connection: it is the way */
	LOOK_MS = 1000,
	SLOWEST_BYTES_PER_MS = 4, /* where the kernel does not say what moves: time for 32 kbit/s */
	ANSWER_BYTE_MS = 10,      /* an answer that comes at 100 bytes a second is waited for */
	SLOW_MS = 1000,           /* to go out */
};

static int64_t silence_ms(const struct transport *pool)
{
	return pool->options.user_timeout_ms > 0 ? pool->options.user_timeout_ms : SILENCE_MS;
}

int64_t transfer_connect_ms(const struct transport *pool, const struct transport_request *r)
{
	return r->connect_timeout_ms              ? r->connect_timeout_ms
	       : pool->options.connect_timeout_ms ? pool->options.connect_timeout_ms
	       : pool->connect_ms                 ? pool->connect_ms
	                                          : CONNECT_TIMEOUT_MS;
}

/* A time-out of which the error says how long nothing was heard of what. */
static int64_t give_up(struct transfer *t, const char *what, int64_t ms)
{
	const struct linger at_once = {.l_onoff = 1};

	/* What the kernel still has of it must not arrive after it was given up. */
	if (t->fd >= 0)
		(void)setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	(void)snprintf(t->error, sizeof t->error, "timed out: %s for %.1f s", what, (double)ms / MS_PER_S);
	t->given_up = true;
	return 0;
}

/* True when the kernel says that all of it was acknowledged. Notes when something moved. */
static bool is_acked(struct transfer *t, int64_t now_ns)
{
	struct progress now;
	bool is_all;

	progress_look(t->fd, &now);
	if (!now.is_known || !t->first.is_known)
		return false;
	is_all = now.queued_bytes == 0 && t->sent == t->request->body_bytes;
	if (now.acked_bytes > t->last.acked_bytes) {
		/* When all is acknowledged, the time of the last is that in which something was under way. */
		int64_t at_ns = t->begun_ns + now.busy_ns - t->first.busy_ns;

		t->moved_ns = !is_all ? now_ns : at_ns > t->moved_ns ? at_ns : t->moved_ns;
		t->pool->moved_ns = now_ns;
	}
	t->last = now;
	if (!t->steady.is_known && now_ns - t->begun_ns >= LOOK_MS * (int64_t)NS_PER_MS)
		t->steady = now;
	return is_all;
}

/*
 * Part of the time for an answer that is not counted: since the last look the way was silent. An answer that is on its
 * way then comes when a radio is back, and to give it up would only send all of it twice.
 */
static int64_t excused_ms(struct transfer *t, int64_t now_ns)
{
	int64_t moved_ns = t->pool->moved_ns > t->moved_ns ? t->pool->moved_ns : t->moved_ns;
	int64_t since_ns = moved_ns + QUIET_MS * (int64_t)NS_PER_MS;

	if (since_ns < t->looked_ns)
		since_ns = t->looked_ns;
	if (now_ns > since_ns)
		t->silent_ns += now_ns - since_ns;
	return t->silent_ns / NS_PER_MS < t->request->outlasts_ms ? t->silent_ns / NS_PER_MS : t->request->outlasts_ms;
}

int64_t transfer_look(struct transfer *t)
{
	const struct transport_request *r = t->request;
	int64_t now_ns = clock_mono_ns(), since_ns = t->started_ns, answer_ms = (int64_t)t->heard * ANSWER_BYTE_MS;
	int64_t most_ms = r->timeout_ms + (int64_t)(r->body_bytes / SLOWEST_BYTES_PER_MS) + answer_ms, left_ms;
	const char *what = t->begun ? "no answer" : "no connection";

	if (t->begun && is_acked(t, now_ns)) {
		since_ns = t->moved_ns;
		most_ms = r->timeout_ms + answer_ms + excused_ms(t, now_ns);
		what = "all was acknowledged and nothing answered";
	} else if (t->begun && t->last.is_known) {
		since_ns = t->moved_ns;
		most_ms = silence_ms(t->pool);
		what = "nothing was acknowledged";
	}
	t->looked_ns = now_ns;
	left_ms = most_ms - (now_ns - since_ns) / NS_PER_MS;
	if (left_ms <= 0)
		return give_up(t, what, most_ms);
	return left_ms < LOOK_MS ? left_ms : LOOK_MS;
}

/* Of an answer only its body counts: status lines and fields can come for ever. */
enum transport_wait transport_moved(const struct transport_request *r, int64_t *at_ns)
{
	struct transfer *t = r->internal;
	int64_t heard_ns = (int64_t)t->body.len * ANSWER_BYTE_MS * (int64_t)NS_PER_MS;

	*at_ns = t->started_ns;
	if (!t->begun)
		return TRANSPORT_CONNECTING;
	if (is_acked(t, clock_mono_ns())) {
		*at_ns = t->moved_ns + heard_ns;
		return TRANSPORT_WAITING;
	}
	if (t->first.is_known && t->last.is_known) {
		*at_ns = t->moved_ns + heard_ns;
		return TRANSPORT_SENDING;
	}
	*at_ns = t->begun_ns + (int64_t)(r->body_bytes / SLOWEST_BYTES_PER_MS) * (int64_t)NS_PER_MS + heard_ns;
	return TRANSPORT_WAITING;
}

/* A link of long round trips is given longer the next time, an ordinary one never needs it. */
static void learn_connecting(struct transfer *t, bool timed_out)
{
	struct transport *pool = t->pool;
	int64_t most_ms = pool->connect_ms ? pool->connect_ms : CONNECT_TIMEOUT_MS;

	if (!t->begun && timed_out)
		pool->connect_ms = most_ms * 2 < CONNECT_TIMEOUT_MOST_MS ? most_ms * 2 : CONNECT_TIMEOUT_MOST_MS;
	else if (t->begun && t->begun_ns - t->started_ns < CONNECT_TIMEOUT_MS / 2 * (int64_t)NS_PER_MS)
		pool->connect_ms = 0;
}

void transfer_report(struct transfer *t, bool timed_out)
{
	struct transport_link *link = &t->answer.link;

	learn_connecting(t, timed_out);
	if (t->fd >= 0)
		progress_look(t->fd, &t->last);
	link->is_known = t->first.is_known && t->last.is_known;
	if (!link->is_known)
		return;
	link->wire_bytes = t->last.acked_bytes - t->first.acked_bytes;
	link->upload_ns = t->last.busy_ns - t->first.busy_ns;
	link->rtt_ns = t->last.rtt_ns;
	if (t->steady.is_known) {
		link->steady_bytes = t->last.acked_bytes - t->steady.acked_bytes;
		link->steady_ns = t->last.busy_ns - t->steady.busy_ns;
	}
	t->pool->is_slow = t->given_up || link->upload_ns > SLOW_MS * (int64_t)NS_PER_MS;
}
