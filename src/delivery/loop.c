/*
 * loop: the delivery thread. One turn: commands, batches that were prepared, rows in, requests out, settlements and
 * credit back, status.
 *
 * Invariants:
 * 1. A turn looks at everything: an event only ends the wait, and none can be lost between two turns.
 * 2. The phase only moves forward. Nothing is sent after RUNNING; requests are given up once, by the move to CANCELLED.
 * 3. DONE with nothing in flight and nothing being prepared: every row is settled, given back, or pending as it was.
 * 4. The timer is set at the end of each turn, to the earliest of what dispatch, status and the stop want.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/random.h"
#include "pipeline/poison.h"
#include "delivery/delivery_internal.h"
#include "delivery/dispatch_settings.h"

enum { STATUS_EVERY_MS = 100, LAST_SETTLE_MS = 5000 };

#define SLICE_NS (INT64_C(50) * NS_PER_MS) /* of a turn, for rows: a check may look at each */

static void on_done(struct aws_request *request, const struct aws_answer *answer)
{
	struct request *q = (struct request *)(void *)((char *)request - offsetof(struct request, aws));
	struct delivery *d = request->arg;

	FAILPOINT("before_settle");
	dispatch_answered(d->dispatch, q, answer, clock_mono_ns(), clock_wall_ms());
	FAILPOINT("after_settle");
}

static void port_send(void *arg, struct request *q)
{
	struct delivery *d = arg;

	q->aws.done = on_done;
	q->aws.arg = d;
	FAILPOINT("before_send");
	aws_client_send(d->client, &q->aws);
}

static void port_settle(void *arg, const struct store_settlement *s, uint32_t row_bytes)
{
	struct delivery *d = arg;

	outbox_settle(&d->outbox, s, row_bytes);
}

static bool port_prepare(void *arg, struct batch *batch, struct prepared *ret)
{
	struct delivery *d = arg;

	if (!d->worker)
		return preparer_run(d->preparer, d->config, batch, NULL, ret);
	prepare_worker_put(d->worker, d->config, batch);
	return false;
}

static void port_fetch(void *arg, uint64_t id)
{
	struct delivery *d = arg;

	outbox_fetch(&d->outbox, id);
}

static double port_unit(void *arg)
{
	(void)arg;
	return random_unit();
}

static void port_credentials_stale(void *arg)
{
	struct delivery *d = arg;

	aws_client_credentials_stale(d->client);
}

static void port_clock_learn(void *arg, int64_t server_wall_ms)
{
	struct delivery *d = arg;

	aws_client_clock_learn(d->client, server_wall_ms);
}

static enum transport_wait port_moved(void *arg, const struct request *q, int64_t *at_ns)
{
	(void)arg;
	return aws_client_moved(&q->aws, at_ns);
}

static void port_connections_suspect(void *arg)
{
	struct delivery *d = arg;

	aws_client_drop_connections(d->client);
}

struct dispatch_ports delivery_ports(struct delivery *d)
{
	return (struct dispatch_ports){.arg = d,
	                               .send = port_send,
	                               .settle = port_settle,
	                               .prepare = port_prepare,
	                               .fetch = port_fetch,
	                               .unit = port_unit,
	                               .credentials_stale = port_credentials_stale,
	                               .clock_learn = port_clock_learn,
	                               .connections_suspect = port_connections_suspect,
	                               .moved = port_moved,
	                               .tells_way = true,
	                               .flight = journal_flight(d->journal)};
}

static bool check_newest(void *arg, const struct batch *open)
{
	struct delivery *d = arg;

	return preparer_check(d->preparer, open);
}

void delivery_settings(struct delivery *d, struct dispatch_settings *ret)
{
	dispatch_settings_fill(d->config, ret);
	if (preparer_has_check(d->preparer)) {
		ret->policy.check = check_newest;
		ret->policy.arg = d;
	}
}

static void reload(struct delivery *d)
{
	const struct config *next = atomic_exchange(&d->next_config, NULL);
	struct dispatch_settings settings;
	struct aws_client_options options;
	struct error e;

	if (!next)
		return;
	d->config = next;
	options = (struct aws_client_options){.output = &next->output,
	                                      .kspool = &next->kspool,
	                                      .service = "kinesis",
	                                      .max_connections = (unsigned)next->output.max_in_flight};
	if (aws_client_reload(d->client, &options, &e) != ERR_OK)
		LOG(LOG_ERROR, "credentials settings not taken over", LOG_S("reason", e.text));
	delivery_settings(d, &settings);
	dispatch_configure(d->dispatch, &settings);
	dispatch_kick(d->dispatch, clock_mono_ns());
	LOG(LOG_INFO, "delivery settings taken over");
}

/* The one setter. */
static void set_phase(struct delivery *d, enum delivery_phase next)
{
	static const unsigned legal[] = {
	    [PHASE_RUNNING] = 1u << PHASE_STOPPING,
	    [PHASE_STOPPING] = 1u << PHASE_CANCELLED | 1u << PHASE_DONE,
	    [PHASE_CANCELLED] = 1u << PHASE_DONE,
	    [PHASE_DONE] = 0,
	};

	must(legal[d->phase] & 1u << next);
	d->phase = next;
}

static void begin_stop(struct delivery *d)
{
	int64_t timeout_ns = atomic_load(&d->stop_timeout_ns), now_ns = clock_mono_ns();

	if (d->phase != PHASE_RUNNING)
		return;
	set_phase(d, PHASE_STOPPING);
	if (timeout_ns < INT64_MAX - now_ns && now_ns + timeout_ns < d->stop_deadline_ns)
		d->stop_deadline_ns = now_ns + timeout_ns;
	dispatch_stop(d->dispatch);
	aws_client_cancel_unsigned(d->client);
}

static void obey(struct delivery *d)
{
	unsigned commands = atomic_exchange(&d->commands, 0);

	if (commands & COMMAND_PROVE)
		atomic_fetch_add(&d->proofs, 1);
	if (commands & COMMAND_RELOAD)
		reload(d);
	if (commands & COMMAND_KICK)
		dispatch_kick(d->dispatch, clock_mono_ns());
	if (commands & COMMAND_DRAIN)
		dispatch_drain(d->dispatch);
	if (commands & COMMAND_STOP)
		begin_stop(d);
	if (commands & COMMAND_STOP_NOW)
		d->stop_deadline_ns = INT64_MIN;
}

static void take_prepared(struct delivery *d, int64_t now_ns, int64_t wall_ms)
{
	struct prepared made;
	struct batch *batch = d->worker ? prepare_worker_take(d->worker, &made) : NULL;

	if (batch)
		dispatch_prepared(d->dispatch, batch, &made, now_ns, wall_ms);
}

/* False: the slice is over, and more may be there. */
static bool take_rows(struct delivery *d, int64_t now_ns, int64_t wall_ms)
{
	bool looks = preparer_has_check(d->preparer);
	struct journal_rows rows;
	struct message *m;

	for (;;) {
		if (STAILQ_EMPTY(&d->arrived)) {
			if (!journal_take_rows(d->journal, &rows))
				return true;
			STAILQ_CONCAT(&d->arrived, &rows.messages);
			for (uint32_t i = 0; i < rows.gone_count; i++)
				dispatch_gone(d->dispatch, rows.gone[i]);
		}
		while ((m = STAILQ_FIRST(&d->arrived))) {
			STAILQ_REMOVE_HEAD(&d->arrived, link);
			dispatch_message(d->dispatch, m, now_ns, wall_ms);
			if (looks && clock_mono_ns() - now_ns >= SLICE_NS)
				return false;
		}
		if (clock_mono_ns() - now_ns >= SLICE_NS)
			return false;
	}
}

static void fill_status(struct delivery *d, int64_t now_ns, int64_t wall_ms, struct delivery_status *s)
{
	struct aws_identity identity;

	memset(s, 0, sizeof *s);
	dispatch_status(d->dispatch, now_ns, wall_ms, s);
	aws_client_identity(d->client, &identity);
	memcpy(s->region, identity.region, sizeof s->region);
	memcpy(s->host, identity.host, sizeof s->host);
	memcpy(s->provider, identity.provider, sizeof s->provider);
	memcpy(s->access_key_id, identity.access_key_id, sizeof s->access_key_id);
	s->credentials_expire_ms = identity.expires_ms;
	strncpy(s->stream, d->config->output.stream ? d->config->output.stream : "", sizeof s->stream - 1);
	metric_set(M_CREDENTIAL_EXPIRY, identity.expires_ms);
	metric_set(M_CLOCK_OFFSET_MS, aws_client_clock_offset_ms(d->client));
}

/* Another state is told at once. Returns when it wants to be called again. */
static int64_t publish(struct delivery *d, int64_t now_ns, int64_t wall_ms, bool at_once)
{
	int64_t next_ns = d->published_ns + (int64_t)STATUS_EVERY_MS * NS_PER_MS;
	struct delivery_status status, *copy;

	at_once |= dispatch_state_is_news(d->dispatch, &d->published);
	if (!at_once && now_ns < next_ns && d->published_ns != 0)
		return next_ns;
	fill_status(d, now_ns, wall_ms, &status);
	d->published_ns = now_ns;
	/* A moving probe time alone is no news. */
	if (d->published.next_probe_ms && status.next_probe_ms &&
	    llabs((long long)(d->published.next_probe_ms - status.next_probe_ms)) < STATUS_EVERY_MS)
		status.next_probe_ms = d->published.next_probe_ms;
	if (!at_once && memcmp(&status, &d->published, sizeof status) == 0)
		return INT64_MAX;
	copy = mem_alloc(sizeof *copy);
	*copy = status;
	d->published = status;
	free(atomic_exchange(&d->newest, copy));
	return INT64_MAX;
}

static void set_timer(struct delivery *d, int64_t when_ns)
{
	int64_t wait_us;
	struct timeval tv;

	if (when_ns == INT64_MAX) {
		(void)evtimer_del(d->timer_event);
		return;
	}
	wait_us = (when_ns - clock_mono_ns()) / NS_PER_US + 1;
	if (wait_us < 0)
		wait_us = 0;
	tv.tv_sec = (time_t)(wait_us / 1000000);
	tv.tv_usec = (suseconds_t)(wait_us % 1000000);
	must(evtimer_add(d->timer_event, &tv) == 0);
}

/* Requests and a batch that do not come back in time are cancelled; their rows stay pending. */
static int64_t wind_down(struct delivery *d, int64_t now_ns)
{
	if (dispatch_in_flight(d->dispatch) == 0 && !dispatch_is_preparing(d->dispatch)) {
		dispatch_park(d->dispatch);
		set_phase(d, PHASE_DONE);
		return now_ns;
	}
	if (d->phase == PHASE_STOPPING && now_ns >= d->stop_deadline_ns) {
		set_phase(d, PHASE_CANCELLED);
		d->unanswered = dispatch_unanswered(d->dispatch);
		if (dispatch_in_flight(d->dispatch) > 0)
			LOG(LOG_WARN, "requests in flight given up", LOG_U("requests", dispatch_in_flight(d->dispatch)),
			    LOG_U("messages", d->unanswered));
		aws_client_cancel_all(d->client);
		prepare_worker_give_up(d->worker);
	}
	return d->phase == PHASE_CANCELLED ? INT64_MAX : d->stop_deadline_ns;
}

static void turn(struct delivery *d)
{
	int64_t now_ns = clock_mono_ns(), wall_ms = clock_wall_ms(), when_ns, status_ns;
	bool took_all;

	obey(d);
	if (aws_client_take_news(d->client))
		dispatch_credentials(d->dispatch, now_ns);
	take_prepared(d, now_ns, wall_ms);
	took_all = take_rows(d, now_ns, wall_ms);
	when_ns = dispatch_run(d->dispatch, now_ns, wall_ms);
	if (!took_all)
		when_ns = now_ns;
	prepare_worker_others(d->worker, dispatch_in_flight(d->dispatch) > 0);
	status_ns = publish(d, now_ns, wall_ms, false); /* whoever sees what was settled sees the state it left */
	outbox_flush(&d->outbox, dispatch_in_flight(d->dispatch) == 0);
	if (d->phase != PHASE_RUNNING)
		when_ns = wind_down(d, now_ns);
	set_timer(d, when_ns < status_ns ? when_ns : status_ns);
}

/* The journal takes the last settlements before it stops: it is alive until after delivery's end. */
static void settle_the_rest(struct delivery *d)
{
	int64_t deadline_ms = clock_mono_ms() + LAST_SETTLE_MS;

	outbox_flush(&d->outbox, false);
	while (!outbox_is_empty(&d->outbox) && clock_mono_ms() < deadline_ms) {
		struct pollfd p = {.fd = journal_delivery_fd(d->journal), .events = POLLIN};
		struct journal_rows rows;

		(void)poll(&p, 1, 10);
		while (journal_take_rows(d->journal, &rows))
			message_list_free(&rows.messages);
		outbox_flush(&d->outbox, false);
	}
	if (!outbox_is_empty(&d->outbox))
		LOG(LOG_WARN, "settlements not taken before the end: their messages will be sent again");
}

/* Events only end the wait; the turn that follows looks at everything. */
void delivery_on_event(int fd, short what, void *arg)
{
	struct delivery *d = arg;
	uint64_t count;

	/* Reset before the commands are taken: a command that comes between is seen by the turn or wakes again. */
	if (what & EV_READ && fd == d->wake_fd)
		(void)!read(fd, &count, sizeof count);
}

void *delivery_loop(void *arg)
{
	struct delivery *d = arg;

	poison_enter(POISON_CHECK);
	if (!d->worker)
		poison_enter(POISON_DELIVERY);
	turn(d);
	while (d->phase != PHASE_DONE) {
		must(event_base_loop(d->base, EVLOOP_ONCE) >= 0);
		turn(d);
	}
	settle_the_rest(d);
	(void)publish(d, clock_mono_ns(), clock_wall_ms(), true);
	poison_leave();
	return NULL;
}
