/*
 * door_generate: messages that a mapping makes.
 *
 * The mapping runs on the intake's worker, as processors do, and has no message to look at. What it made counts when it
 * is stored: what the spool refused is kept and offered again, so no message is made anew for it. A mapping that fails
 * makes none of its batch; the next turn tries again. Where a turn was missed (a full spool, a machine asleep) one is
 * made up for. After a restart it begins anew: its count is of one run.
 *
 *   state     is left when                                      may become
 *   WAITING   its turn came and there is room                   MAKING
 *   MAKING    the group was answered                            WAITING, KEPT, ENDED
 *   KEPT      it is time to offer what was refused              MAKING
 *   ENDED     nothing
 *   STOPPED   nothing; every state may become it
 *
 * Invariants:
 * 1. `group` is set in MAKING, and in STOPPED until its answer.
 * 2. `kept` has messages in KEPT, and while they are in the group in MAKING: they go when all of them were accepted.
 * 3. `left` counts down by what was accepted only.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bloblang/bloblang.h"
#include "doors/door.h"
#include "doors/schedule.h"
#include "doors/until.h"

enum { AT_ONCE = 512, AT_ONCE_BYTES = 1048576, RETRY_FIRST_MS = 10, RETRY_MS = 250, IDLE_MS = 10, LOOK_MS = 30000 };

enum generate_state { GENERATE_WAITING, GENERATE_MAKING, GENERATE_KEPT, GENERATE_ENDED, GENERATE_STOPPED };

struct door_generate {
	struct door door;
	enum generate_state state;
	struct bloblang_mapping *mapping;
	struct schedule schedule;
	struct event *turn;
	int64_t due; /* of a period: monotonic ns; of a calendar: unix seconds */
	int64_t left;
	struct group *group;
	struct message_list kept;
	uint32_t kept_count;
	uint64_t kept_bytes; /* as charged */
	uint32_t taking;     /* of those kept: in the group */
	uint32_t most;       /* of them at once: halved by a refusal */
	bool never_fits;     /* the first one alone was refused for its size: it is set aside */
	int retry_ms;
	bool is_checked, is_last; /* what is kept, by the check of its read_until */
};

static void take_turn(struct door_generate *d, int64_t delay_ms)
{
	const struct timeval delay = {.tv_sec = delay_ms / MS_PER_S, .tv_usec = delay_ms % MS_PER_S * 1000};

	(void)evtimer_add(d->turn, &delay);
}

static bool is_calendar(const struct door_generate *d)
{
	return d->schedule.kind == SCHEDULE_CRON || d->schedule.kind == SCHEDULE_EVERY;
}

/* How long until its turn; 0: it came. A clock that is set is noticed within LOOK_MS. */
static int64_t wait_ms(const struct door_generate *d)
{
	int64_t left_ms = 0;

	if (d->schedule.kind == SCHEDULE_PERIOD)
		left_ms = (d->due - clock_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
	else if (is_calendar(d) && d->due > clock_wall_ms() / MS_PER_S)
		left_ms = d->due == INT64_MAX || d->due - clock_wall_ms() / MS_PER_S > LOOK_MS / MS_PER_S
		              ? LOOK_MS
		              : d->due * MS_PER_S - clock_wall_ms();
	if (left_ms > LOOK_MS)
		left_ms = LOOK_MS;
	return left_ms > 0 ? left_ms : 0;
}

/* Of the turns that were missed meanwhile one is made up for. */
static void set_next_turn(struct door_generate *d)
{
	if (d->schedule.kind == SCHEDULE_PERIOD) {
		const int64_t late_ns = clock_mono_ns() - (d->due + d->schedule.period_ns);

		d->due += d->schedule.period_ns;
		if (late_ns > 0)
			d->due += late_ns - late_ns % d->schedule.period_ns;
	} else if (is_calendar(d)) {
		const int64_t now_s = clock_wall_ms() / MS_PER_S;

		d->due = schedule_next(&d->schedule, d->due > now_s ? d->due : now_s);
	}
}

static void drop_kept(struct door_generate *d)
{
	message_list_free(&d->kept);
	intake_release(d->door.intake, d->kept_bytes);
	d->kept_bytes = 0;
	d->kept_count = 0;
}

/* What the group made is ours until it is accepted. */
static void keep_made(struct door_generate *d, struct group *g)
{
	STAILQ_CONCAT(&d->kept, &g->made);
	d->kept_count += g->made_count;
	d->kept_bytes += g->copied_bytes;
	intake_charge(d->door.intake, g->copied_bytes);
	d->most = d->kept_count;
}

static void end(struct door_generate *d)
{
	d->state = GENERATE_ENDED;
	LOG(LOG_INFO, "input ended", LOG_S("input", "generate"), LOG_S("path", d->door.input->path));
	d->door.on_ended(d->door.arg);
}

static void wait_for_next(struct door_generate *d, const struct group *g)
{
	const bool made_nothing = g->made_count == 0 && d->kept_count == 0;

	if (g->make_error)
		LOG_LIMITED(LOG_ERROR, "mapping failed", LOG_S("input", d->door.input->path),
		            LOG_S("reason", g->make_error), LOG_S("outcome", "it is tried again at its next turn"));
	d->state = GENERATE_WAITING;
	d->retry_ms = 0;
	take_turn(d, d->schedule.kind != SCHEDULE_NONE ? wait_ms(d) : made_nothing ? IDLE_MS : 0);
}

/* Those that were in the group are stored. */
static void take_off(struct door_generate *d)
{
	for (; d->taking > 0; d->taking--, d->kept_count--, d->left--) {
		struct message *m = STAILQ_FIRST(&d->kept);

		STAILQ_REMOVE_HEAD(&d->kept, link);
		d->kept_bytes -= message_cost(m);
		intake_release(d->door.intake, message_cost(m));
		message_free(m);
	}
	d->never_fits = false;
	if (d->most < d->kept_count)
		d->most *= 2;
}

/* A group that is refused comes again, smaller when a smaller one may do. */
static void come_again(struct door_generate *d, const struct group *g)
{
	const uint32_t tried = d->taking > 0 ? d->taking : d->kept_count;

	d->taking = 0;
	if (tried > 1)
		d->most = tried / 2;
	else if (g->offer.verdict == OFFER_TOO_BIG)
		d->never_fits = true;
	LOG_LIMITED(LOG_WARN, "input waits", LOG_S("input", d->door.input->path), LOG_S("reason", g->offer.error.text));
	d->retry_ms = d->retry_ms == 0 ? RETRY_FIRST_MS : 2 * d->retry_ms;
	if (d->retry_ms > RETRY_MS)
		d->retry_ms = RETRY_MS;
	d->state = GENERATE_KEPT;
	take_turn(d, d->retry_ms);
}

static void on_answered(struct group *g, void *door)
{
	struct door_generate *d = door;
	const bool is_accepted = g->offer.verdict == OFFER_ACCEPTED;

	d->group = NULL;
	if (d->state == GENERATE_STOPPED) {
		drop_kept(d);
		return;
	}
	if (g->maker && !is_accepted) {
		d->is_checked = g->is_checked;
		d->is_last = g->is_last;
	} else if (is_accepted && d->taking == d->kept_count) {
		d->is_checked = d->is_last = false;
	}
	if (is_accepted && g->maker)
		d->left -= g->made_count;
	else if (is_accepted)
		take_off(d);
	else if (g->maker)
		keep_made(d, g);
	if (!is_accepted && d->kept_count > 0) {
		come_again(d, g);
	} else if (d->kept_count > 0) {
		d->state = GENERATE_KEPT;
		take_turn(d, 0);
	} else if (d->left <= 0) {
		end(d);
	} else {
		wait_for_next(d, g);
	}
}

static void send_group(struct door_generate *d, struct group *g)
{
	g->one_batch = d->door.input->generate.batch_size > 1;
	g->comes_again = true;
	g->until = until_of(d->door.intake, d->door.input);
	g->is_checked = d->is_checked;
	g->is_last = d->is_last && d->taking == d->kept_count; /* of a batch in parts, with the last one */
	g->peer = group_peer(d->door.input->path);
	d->group = g;
	d->state = GENERATE_MAKING;
	group_send(g);
}

static void make(struct door_generate *d)
{
	const int64_t batch_size = d->door.input->generate.batch_size;
	const bool alone = batch_size > 1 || until_has_check(until_of(d->door.intake, d->door.input));
	const int64_t wanted = d->schedule.kind == SCHEDULE_NONE && !alone ? AT_ONCE : batch_size;
	struct group *g = group_new(d->door.intake, d->door.processors, on_answered, d);

	g->maker = d->mapping;
	g->to_make = (uint32_t)(wanted < d->left ? wanted : d->left);
	g->most_made_bytes = batch_size == 1 ? AT_ONCE_BYTES : 0;
	set_next_turn(d);
	send_group(d, g);
}

static void offer_again(struct door_generate *d)
{
	struct group *g = group_new(d->door.intake, d->door.processors, on_answered, d);
	const struct message *m;

	STAILQ_FOREACH (m, &d->kept, link) {
		if (d->taking >= d->most)
			break;
		if (d->never_fits)
			group_set_aside(g, message_copy(m), "larger than what kspool.max_bytes can ever hold");
		else
			group_add(g, message_copy(m));
		d->taking++;
	}
	send_group(d, g);
}

/* While messages leave, none are made far ahead of them. */
static bool may_make(const struct door_generate *d)
{
	struct intake *i = d->door.intake;

	return intake_has_room(i) && !(d->schedule.kind == SCHEDULE_NONE &&
	                               journal_is_far_ahead(i->journal, i->config->kspool.memory_bytes / 4));
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct door_generate *d = arg;

	(void)fd;
	(void)what;
	if (until_is_met(until_of(d->door.intake, d->door.input)))
		return; /* it is stopped soon */
	if (d->state == GENERATE_KEPT)
		offer_again(d);
	else if (d->state != GENERATE_WAITING)
		return;
	else if (wait_ms(d) > 0)
		take_turn(d, wait_ms(d));
	else if (may_make(d))
		make(d);
	else
		take_turn(d, IDLE_MS);
}

static void resume(struct door *door) { (void)door; }

static void stop(struct door *door)
{
	struct door_generate *d = (struct door_generate *)door;

	d->state = GENERATE_STOPPED;
	(void)event_del(d->turn);
	if (!d->group)
		drop_kept(d);
}

static bool is_idle(const struct door *door) { return !((const struct door_generate *)door)->group; }

static bool has_ended(const struct door *door) { return ((const struct door_generate *)door)->state == GENERATE_ENDED; }

static void free_door(struct door *door)
{
	struct door_generate *d = (struct door_generate *)door;

	if (d->group) {
		d->group->answered = NULL;
		d->group->door = NULL;
	}
	drop_kept(d);
	if (d->turn)
		event_free(d->turn);
	bloblang_mapping_free(d->mapping);
	free(d);
}

static enum err open_door(struct intake *i, const struct config_input *input, struct pipeline *processors,
                          struct door **ret, struct error *e)
{
	const struct options_input_generate *o = &input->generate;
	struct door_generate *d = mem_zero(sizeof *d);
	struct bloblang_fault fault = {0};
	char why[160];

	d->door = (struct door){.kind = &door_generate_kind, .intake = i, .input = input, .processors = processors};
	STAILQ_INIT(&d->kept);
	d->left = o->count > 0 ? o->count : INT64_MAX;
	if (!schedule_parse(o->interval, &d->schedule, why, sizeof why) ||
	    bloblang_mapping_parse(o->mapping.text, ".", &d->mapping, &fault) != ERR_OK) {
		const enum err err = error_set(e, ERR_CONFIG, "%s", fault.text[0] ? fault.text : why);

		free_door(&d->door);
		return err;
	}
	d->due = clock_mono_ns();
	if (is_calendar(d))
		d->due = schedule_next(&d->schedule, clock_wall_ms() / MS_PER_S);
	d->turn = evtimer_new(i->base, on_turn, d);
	must(d->turn);
	take_turn(d, wait_ms(d));
	*ret = &d->door;
	return ERR_OK;
}

const struct door_kind door_generate_kind = {
    .name = "generate",
    .open = open_door,
    .resume = resume,
    .stop = stop,
    .is_idle = is_idle,
    .has_ended = has_ended,
    .free = free_door,
};
