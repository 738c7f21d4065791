/*
 * Invariants:
 * 1. Every input has its slot from doors_start to doors_free, with its processors; the slot has a door while it is
 * open.
 * 2. A slot without a door waits for the end of others (it is not due), or for its next try (`again` is pending), or
 * has given up: then it counts as an input that failed and ended.
 * 3. What cannot be right on any day (the configuration) ends doors_start; everything else is one slot's own trouble.
 */
#include "doors/doors.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "config/inputs.h"
#include "doors/door.h"
#include "doors/scanner_internal.h"
#include "doors/schedule.h"
#include "doors/until.h"

enum { READ_SLACK_BYTES = 131072, AGAIN_FIRST_MS = 250, AGAIN_MAX_MS = 5000, LOOK_US = 50000 };

/* One input of the configuration, open or not. */
struct slot {
	TAILQ_ENTRY(slot) link;
	struct doors *doors;
	const struct config_input *input;
	struct pipeline *processors;
	struct door *door; /* null: not open */
	struct event *again;
	int64_t wait_ms;
	bool is_due;    /* those before it in its sequence have ended */
	bool is_closed; /* its read_until was met: it takes nothing more, and ends when what is under way has its answer
	                 */
	bool was_told;
	bool gave_up;
	struct error why; /* of the last try */
};

struct doors {
	struct intake intake;
	struct doors_options options;
	TAILQ_HEAD(, slot) slots; /* in the order of the inputs */
	bool finished;
	struct event *look; /* while some read_until has an idle timeout */
};

static const char *name_of(const struct config_input *input) { return input->path ? input->path : "input"; }

static const char *trouble_of(const struct slot *s)
{
	if (!s->is_due)
		return NULL;
	if (!s->door)
		return s->why.text;
	return s->door->kind->trouble ? s->door->kind->trouble(s->door) : NULL;
}

static const struct slot *slot_of(const struct doors *d, size_t input)
{
	const struct slot *s;

	TAILQ_FOREACH (s, &d->slots, link)
		if (input-- == 0)
			return s;
	return NULL;
}

/* True when nothing more comes from it by itself. */
static bool has_ended_itself(const struct slot *s)
{
	return input_is_finite(s->input) && (s->door ? s->door->kind->has_ended(s->door) : s->gave_up);
}

static bool has_ended(const struct slot *s)
{
	return s->is_closed ? !s->door || s->door->kind->is_idle(s->door) : has_ended_itself(s);
}

static bool has_failed(const struct slot *s) { return s->gave_up || (s->door && s->door->has_failed); }

/* Those that waited for what has ended now are opened, or given up when it did not end well. */
static void begin_next(struct doors *d)
{
	const struct timeval now = {0};
	struct slot *s;

	TAILQ_FOREACH (s, &d->slots, link) {
		bool is_due = true;

		if (s->is_due)
			continue;
		for (size_t i = s->input->after_begin; i < s->input->after_end; i++) {
			const struct slot *before = slot_of(d, i);

			is_due = is_due && before && has_ended(before);
			s->gave_up |= before && has_ended(before) && has_failed(before);
		}
		s->is_due = is_due;
		if (!is_due)
			continue;
		if (s->gave_up)
			(void)error_set(&s->why, ERR_NOINPUT,
			                "%s: what stands before it in its sequence was not read to its end",
			                name_of(s->input));
		(void)evtimer_add(s->again, &now); /* never from inside the door that ended */
	}
}

static void on_ended(void *arg)
{
	struct doors *d = arg;
	const struct slot *s;

	if (d->finished || d->intake.stopping)
		return;
	begin_next(d);
	TAILQ_FOREACH (s, &d->slots, link)
		if (!has_ended(s))
			return;
	d->finished = true;
	if (d->options.on_finished)
		d->options.on_finished(d->options.arg);
}

static void count_down(const struct doors *d)
{
	const struct slot *s;
	int64_t down = 0;

	TAILQ_FOREACH (s, &d->slots, link)
		down += trouble_of(s) != NULL;
	metric_set(M_INPUTS_DOWN, down);
}

static const struct door_kind *const kinds[] = {
#define ROW(kind, member, key, door, flags, text) [INPUT_##kind] = &door##_kind,
    CONFIG_INPUTS(ROW)
#undef ROW
};

static enum err check_scanner(const struct doors *d, const struct config_input *input, struct error *e)
{
	uint64_t size = input->scanner.chunker.size_bytes;

	if (input->scanner.kind == SCANNER_CHUNKER && (size == 0 || size > d->intake.max_message_bytes))
		return error_set(e, ERR_CONFIG, "scanner.chunker.size is %llu; the limit of a message is %llu bytes",
		                 (unsigned long long)size, (unsigned long long)d->intake.max_message_bytes);
	return ERR_OK;
}

static void try_later(struct slot *s)
{
	struct timeval wait;

	s->wait_ms = s->wait_ms == 0 ? AGAIN_FIRST_MS : 2 * s->wait_ms;
	if (s->wait_ms > AGAIN_MAX_MS)
		s->wait_ms = AGAIN_MAX_MS;
	wait = (struct timeval){.tv_sec = s->wait_ms / MS_PER_S, .tv_usec = s->wait_ms % MS_PER_S * 1000};
	(void)evtimer_add(s->again, &wait);
}

/* A run over finite inputs does not wait for one that is not there: it ends, and not with success. */
static void give_up(struct slot *s)
{
	const struct timeval now = {0};

	s->gave_up = true;
	(void)evtimer_add(s->again, &now); /* the end is told by the loop, never from inside doors_start */
}

static void open_door(struct slot *s)
{
	struct doors *d = s->doors;
	struct error e = {.code = ERR_OK};
	enum err err = kinds[s->input->kind]->open(&d->intake, s->input, s->processors, &s->door, &e);

	if (err == ERR_OK) {
		if (s->why.code != ERR_OK)
			LOG(LOG_INFO, "input is open now", LOG_S("input", name_of(s->input)));
		s->why = (struct error){.code = ERR_OK};
		s->door->on_ended = on_ended;
		s->door->arg = d;
	} else {
		s->door = NULL;
		if (strcmp(s->why.text, e.text) != 0) /* once, not at every try */
			LOG(LOG_ERROR, "input cannot be opened", LOG_S("input", name_of(s->input)),
			    LOG_S("reason", e.text),
			    LOG_S("outcome",
			          d->intake.waits ? "it is tried again; the others go on" : "the others go on"));
		s->why = e;
		if (err == ERR_CONFIG)
			return;
		if (d->intake.waits)
			try_later(s);
		else
			give_up(s);
	}
	count_down(d);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct slot *s = arg;

	(void)fd;
	(void)what;
	if (s->doors->intake.stopping)
		return;
	if (s->gave_up)
		on_ended(s->doors);
	else
		open_door(s);
	count_down(s->doors);
	if (s->why.code == ERR_CONFIG) /* it was right at the start: somebody may set it right again */
		try_later(s);
}

/* Fails only with what is wrong in the configuration. */
static enum err open_slot(struct doors *d, const struct config_input *input, struct error *e)
{
	AUTOFREE char *path = mem_format("%s.processors", name_of(input));
	struct slot *s = mem_zero(sizeof *s);
	enum err err = check_scanner(d, input, e);

	s->doors = d;
	s->input = input;
	s->again = evtimer_new(d->intake.base, on_again, s);
	must(s->again);
	TAILQ_INSERT_TAIL(&d->slots, s, link);
	if (err == ERR_OK)
		err = processors_compile(input->processors, d->intake.config, path, &s->processors, e);
	s->is_due = input->after_begin == input->after_end;
	if (err == ERR_OK && s->is_due) {
		open_door(s);
		if (s->why.code == ERR_CONFIG) {
			*e = s->why;
			err = ERR_CONFIG;
		}
	}
	return err == ERR_OK ? ERR_OK : error_wrap(e, "%s", name_of(input));
}

/* Inputs whose read_until is met are closed, and have ended when nothing of theirs is under way. */
static void close_met(struct doors *d)
{
	struct slot *s;

	TAILQ_FOREACH (s, &d->slots, link) {
		if (!until_is_met(until_of(&d->intake, s->input)))
			continue;
		if (!s->is_closed) {
			s->is_closed = s->is_due = true;
			(void)event_del(s->again);
			if (s->door && !has_ended_itself(s))
				s->door->kind->stop(s->door);
		}
		if (!s->was_told && has_ended(s)) {
			s->was_told = true;
			on_ended(d);
		}
	}
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct doors *d = arg;

	(void)fd;
	(void)what;
	if (d->intake.stopping)
		return;
	for (size_t n = 0; n < d->intake.config->until_count; n++)
		(void)until_is_idle_now(&d->intake.untils[n]);
	close_met(d);
}

static void look_for_silence(struct doors *d)
{
	const struct timeval often = {.tv_usec = LOOK_US};

	if (d->intake.config->until_count == 0)
		return;
	d->look = event_new(d->intake.base, -1, EV_PERSIST, on_look, d);
	must(d->look && event_add(d->look, &often) == 0);
}

static void lint_scanner(const struct config_input *input, struct config_faults *faults)
{
	const struct config_scanner *scanner = &input->scanner;
	const char *delimiter = scanner->csv.custom_delimiter;
	char fault[REGEX_FAULT_MAX];
	struct regex *pattern;
	struct arena arena;

	if (scanner->csv_input && !scanner_is_rune(delimiter))
		config_faults_add(faults, input->line, 1, false, "%s.csv.delimiter must be exactly one character",
		                  input->path);
	if (scanner->kind == SCANNER_CSV && delimiter &&
	    (*delimiter == '"' || *delimiter == '\r' || *delimiter == '\n'))
		config_faults_add(faults, input->line, 1, false,
		                  "%s: a quote or a line break cannot delimit values of csv", input->path);
	if (scanner->kind != SCANNER_RE_MATCH || !scanner->re_match.pattern)
		return;
	arena_init(&arena, 1048576);
	pattern = scanner_pattern(&arena, scanner, fault);
	if (!pattern)
		config_faults_add(faults, input->line, 1, false, "%s: scanner.re_match.pattern: %s", input->path,
		                  fault);
	regex_free(pattern);
	arena_fini(&arena);
}

void doors_lint(const struct config *config, struct config_faults *faults)
{
	for (size_t i = 0; i < config->input_count; i++) {
		const struct config_input *input = &config->inputs[i];
		struct schedule schedule;
		char why[160];

		if (input->kind == INPUT_GENERATE && input->generate.interval &&
		    !schedule_parse(input->generate.interval, &schedule, why, sizeof why))
			config_faults_add(faults, input->line, 1, false, "%s.generate.interval: %s", input->path, why);
		lint_scanner(input, faults);
	}
}

static void on_room(void *arg) { doors_resume(arg); }

enum err doors_start(const struct doors_options *options, struct doors **ret, struct error *e)
{
	const struct config *config = options->config;
	struct doors *d = mem_zero(sizeof *d);
	struct intake *i = &d->intake;
	uint64_t least;
	enum err err;

	d->options = *options;
	TAILQ_INIT(&d->slots);
	i->base = options->base;
	i->config = config;
	i->journal = options->journal;
	i->shared_http = options->shared_http;
	i->max_message_bytes = config->kspool.max_message_bytes_bytes ? config->kspool.max_message_bytes_bytes
	                                                              : config->kspool.max_record_bytes_bytes;
	least = 2 * i->max_message_bytes + READ_SLACK_BYTES;
	i->memory_limit_bytes = options->memory_bytes > least ? options->memory_bytes : least;
	i->on_room = on_room;
	i->arg = d;
	for (size_t n = 0; n < config->input_count; n++) {
		const enum input_kind kind = config->inputs[n].kind;

		i->waits = i->waits || !input_is_finite(&config->inputs[n]);
		i->has_peers = i->has_peers || kind == INPUT_HTTP_SERVER || kind == INPUT_SOCKET_SERVER;
	}
	err = intake_open(i, e);
	for (size_t n = 0; err == ERR_OK && n < config->input_count; n++)
		err = open_slot(d, &config->inputs[n], e);
	if (err != ERR_OK) {
		doors_free(d);
		return err;
	}
	look_for_silence(d);
	*ret = d;
	return ERR_OK;
}

void doors_resume(struct doors *d)
{
	struct slot *s;

	intake_retry(&d->intake);
	TAILQ_FOREACH (s, &d->slots, link)
		if (s->door)
			s->door->kind->resume(s->door);
	count_down(d);
}

void doors_stop(struct doors *d)
{
	struct slot *s;

	if (d->intake.stopping)
		return;
	/* whole messages first: once stopping is set nothing more is taken */
	TAILQ_FOREACH (s, &d->slots, link) {
		(void)event_del(s->again);
		if (s->door && !s->is_closed)
			s->door->kind->stop(s->door);
	}
	intake_stop(&d->intake);
	LOG(LOG_INFO, "doors closed", LOG_U("offers_under_way", d->intake.outstanding),
	    LOG_U("memory_bytes", d->intake.memory_bytes));
}

void doors_read_files(struct doors *d)
{
	const struct slot *s;

	TAILQ_FOREACH (s, &d->slots, link) {
		struct error e = {.code = ERR_OK};

		if (s->door && s->door->kind->read_files && s->door->kind->read_files(s->door, &e) != ERR_OK)
			LOG(LOG_ERROR, "tokens and certificates not read again, the old ones stay",
			    LOG_S("input", name_of(s->input)), LOG_S("error", e.text));
	}
}

bool doors_is_idle(const struct doors *d)
{
	const struct slot *s;

	if (d->intake.outstanding > 0)
		return false;
	TAILQ_FOREACH (s, &d->slots, link)
		if (s->door && !s->door->kind->is_idle(s->door))
			return false;
	return true;
}

const char *doors_failure(const struct doors *d)
{
	const struct slot *s;

	TAILQ_FOREACH (s, &d->slots, link) {
		if (!s->door && s->gave_up)
			return s->why.text;
		if (s->door && s->door->has_failed)
			return "the log says which and why";
	}
	return NULL;
}

int64_t doors_work_ns(const struct doors *d) { return worker_work_ns(d->intake.worker); }

uint64_t doors_memory_bytes(const struct doors *d) { return d->intake.memory_bytes; }

uint16_t doors_port(const struct doors *d, size_t input)
{
	const struct slot *s = slot_of(d, input);

	return s && s->door && s->door->kind->port ? s->door->kind->port(s->door) : 0;
}

void doors_share_http(struct doors *d, struct httpd *shared_http) { d->intake.shared_http = shared_http; }

const char *doors_trouble(const struct doors *d, size_t input)
{
	const struct slot *s = slot_of(d, input);

	return s ? trouble_of(s) : NULL;
}

static void free_slot(struct doors *d, struct slot *s)
{
	TAILQ_REMOVE(&d->slots, s, link);
	if (s->door)
		s->door->kind->free(s->door);
	pipeline_free(s->processors);
	event_free(s->again);
	free(s);
}

void doors_free(struct doors *d)
{
	struct slot *s;

	if (!d)
		return;
	d->intake.stopping = true;
	intake_drop_kept(&d->intake);
	while ((s = TAILQ_FIRST(&d->slots)))
		free_slot(d, s);
	if (d->look)
		event_free(d->look);
	intake_close(&d->intake);
	free(d);
}
