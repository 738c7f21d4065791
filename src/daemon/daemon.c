/*
 * Invariants:
 * 1. The phase moves only along `moves`, by set_phase, and never back. Doors are told to stop at CLOSING and no
 * earlier.
 * 2. What was started is stopped in the opposite order: doors, delivery, journal. The journal outlives whoever asks it.
 * 3. A configuration that was replaced lives until the end: another thread may still look at it.
 * 4. Every event of `events` fires on this thread, and none is left when the rooms it calls are gone.
 * 5. The exit is 0 only when the journal closed, and every finite input was read to its end (promise 10).
 */
#include "daemon/daemon.h"

#include <event2/event.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/num.h"
#include "server/httpd.h"
#include "journal/journal.h"
#include "pipeline/poison.h"
#include "delivery/delivery.h"
#include "doors/doors.h"
#include "daemon/device_wear.h"
#include "daemon/daemon_limits.h"
#include "daemon/notify.h"
#include "daemon/reload.h"
#include "daemon/servers.h"
#include "daemon/status.h"
#include "daemon/stop_times.h"
#include "daemon/watchdog.h"

enum {
	TICK_MS = 1000,
	WATCH_DRAIN_MS = 5,
	STATUS_EVERY_TICKS = 5,
	DEVICE_EVERY_TICKS = 600,
	EVENTS_MAX = 12,
	LOST_SHOWN_S = 10,
};

enum phase { PHASE_STARTING, PHASE_RUNNING, PHASE_DRAINING, PHASE_DELAYED, PHASE_CLOSING, PHASE_CLOSED };

struct daemon {
	struct event_base *base;
	struct config *config;
	struct config_load_options load;
	struct journal *journal;
	struct delivery *delivery;
	struct servers servers;
	struct doors *doors;
	struct delivery_status delivery_status;
	struct rates rates;
	struct status_source source;
	enum phase phase;
	struct stop_times stop; /* no client's slowness holds the end up longer */
	bool hurry;             /* a second signal came: wait for nothing */
	struct status_told told;
	unsigned ticks;
	int64_t lost_ns;      /* monotonic: since when the files were seen to be gone; 0: they are not */
	int upgraded_percent; /* as it was logged */
	struct event *events[EVENTS_MAX];
	size_t event_count;
	struct watchdog watchdog;
	struct event *watch;      /* looks for the end of draining and closing */
	struct config **replaced; /* configurations other threads may still look at */
	size_t replaced_count;
	char *input_failure; /* why a finite input ended before its end; null: none did */
};

/* Legal moves: a bit for each phase that may follow. */
static const unsigned moves[] = {
    [PHASE_STARTING] = 1u << PHASE_RUNNING | 1u << PHASE_DRAINING, /* an empty input ends before the loop begins */
    [PHASE_RUNNING] = 1u << PHASE_DRAINING | 1u << PHASE_DELAYED | 1u << PHASE_CLOSING,
    [PHASE_DRAINING] = 1u << PHASE_DELAYED | 1u << PHASE_CLOSING,
    [PHASE_DELAYED] = 1u << PHASE_CLOSING,
    [PHASE_CLOSING] = 1u << PHASE_CLOSED,
    [PHASE_CLOSED] = 0,
};

static const char *const phase_names[] = {"starting", "running", "draining", "delayed", "closing", "closed"};

/* The only writer of phase. */
static void set_phase(struct daemon *d, enum phase phase, const char *why)
{
	must(moves[d->phase] & 1u << phase);
	LOG(LOG_INFO, "phase changed", LOG_S("from", phase_names[d->phase]), LOG_S("to", phase_names[phase]),
	    LOG_S("reason", why));
	d->phase = phase;
	d->source.closing = phase >= PHASE_CLOSING;
}

/* Journal or delivery thread: the disk can no longer be trusted (promises 1 and 4). */
static void on_condemned(const struct error *reason)
{
	LOG(LOG_FATAL, "journal condemned", LOG_S("error", reason->text), LOG_S("outcome", "nothing more is accepted"));
	notify_send("STATUS=journal condemned: %s", reason->text);
	_exit(error_exit_status(ERR_DISK));
}

static struct timeval timeval_of_ms(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / MS_PER_S, .tv_usec = ms % MS_PER_S * 1000};
}

static void watch_again(struct daemon *d)
{
	struct timeval soon = timeval_of_ms(WATCH_DRAIN_MS);

	must(event_add(d->watch, &soon) == 0);
}

static void begin_closing(struct daemon *d, const char *why)
{
	set_phase(d, PHASE_CLOSING, why);
	d->stop = stop_times_from(d->config->shutdown_timeout_ns, clock_mono_ns());
	notify_send("STOPPING=1\nSTATUS=stopping: %s", why);
	doors_stop(d->doors);
	watch_again(d);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	if (d->phase == PHASE_DRAINING && doors_is_idle(d->doors) && journal_is_empty(d->journal))
		begin_closing(d, "inputs ended and everything is settled");
	else if (d->phase == PHASE_DELAYED)
		begin_closing(d, "shutdown_delay passed");
	else if (d->phase == PHASE_CLOSING && doors_is_idle(d->doors)) {
		set_phase(d, PHASE_CLOSED, "doors are closed and answered");
		(void)event_base_loopbreak(d->base);
	} else if (d->phase == PHASE_CLOSING && clock_mono_ns() >= d->stop.doors_until_ns) {
		set_phase(d, PHASE_CLOSED, "clients did not end in time");
		(void)event_base_loopbreak(d->base);
	} else
		watch_again(d);
}

static void on_inputs_finished(void *arg)
{
	struct daemon *d = arg;

	if (d->phase >= PHASE_DRAINING)
		return;
	if (doors_failure(d->doors))
		d->input_failure = mem_string(doors_failure(d->doors));
	set_phase(d, PHASE_DRAINING, "inputs ended");
	delivery_drain(d->delivery);
	watch_again(d);
}

static void on_terminate(evutil_socket_t signal_number, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	if (d->phase >= PHASE_CLOSING) {
		d->hurry = true;
		set_phase(d, PHASE_CLOSED, "second signal");
		(void)event_base_loopbreak(d->base);
	} else if (d->phase == PHASE_DELAYED || d->config->shutdown_delay_ns == 0) {
		begin_closing(d, signal_number == SIGINT ? "SIGINT" : "SIGTERM");
	} else {
		struct timeval delay = timeval_of_ms(d->config->shutdown_delay_ns / NS_PER_MS);

		set_phase(d, PHASE_DELAYED, "shutdown_delay");
		must(event_add(d->watch, &delay) == 0);
	}
}

static void say_needs_restart(void *arg, const char *field)
{
	(void)arg;
	LOG(LOG_WARN, "setting changed but needs a restart", LOG_S("field", field));
}

static void log_faults(const char *path, const struct config_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++) {
		const struct config_fault *f = &faults->items[i];

		LOG(f->warning ? LOG_WARN : LOG_ERROR, "configuration", LOG_S("path", path), LOG_I("line", f->line),
		    LOG_I("column", f->column), LOG_S("lint", f->text));
	}
}

enum { DEFAULT_MIN_FREE_BYTES = 64 << 20 };
/* Without any, a full disk would stop the drain (promise 5): nothing could be written that says what has left. */
enum { LEAST_RESERVE_BYTES = 1 << 20 };

static struct store_options store_options_of(const struct config *c)
{
	const struct options_kspool *k = &c->kspool;

	return (struct store_options){
	    .path = c->buffer.path,
	    .max_bytes = k->max_bytes_bytes,
	    .min_free_bytes = k->min_free_bytes,
	    .min_free_is_default = k->min_free_bytes == DEFAULT_MIN_FREE_BYTES,
	    .reserve_bytes = k->reserve_bytes > LEAST_RESERVE_BYTES ? k->reserve_bytes : LEAST_RESERVE_BYTES,
	    .evict_oldest = k->when_full == FULL_EVICT_OLDEST,
	    .compress = (enum store_compress)k->compress,
	    .page_size = (uint32_t)k->page_size,
	    .max_message_bytes = k->max_message_bytes_bytes ? k->max_message_bytes_bytes : k->max_record_bytes_bytes,
	    .create = true,
	};
}

/* Takes over the new configuration; on any error the old one stays. */
static enum err take_over(struct daemon *d, struct config *new, struct error *e)
{
	struct store_options store;
	struct error nobody = {.code = ERR_OK};
	enum err err;

	reload_keep(d->config, new, say_needs_restart, NULL);
	store = store_options_of(new);
	err = reload_log(new, e);
	if (err != ERR_OK)
		return err;
	/* the last step that can fail: from here on delivery looks at the new one */
	err = delivery_reload(d->delivery, new, e);
	if (err != ERR_OK) {
		if (reload_log(d->config, &nobody) != ERR_OK)
			LOG(LOG_WARN, "the new logger settings stay", LOG_S("reason", nobody.text));
		return err;
	}
	journal_reconfigure(d->journal, &store);
	d->replaced = mem_grow(d->replaced, d->replaced_count + 1, sizeof(struct config *));
	d->replaced[d->replaced_count++] = d->config;
	d->config = new;
	d->source.config = new;
	return ERR_OK;
}

static void read_files(struct daemon *d)
{
	struct error e = {.code = ERR_OK};

	if (d->servers.http && httpd_read_files(d->servers.http, &e) != ERR_OK)
		LOG(LOG_ERROR, "tokens and certificates not read again, the old ones stay", LOG_S("input", "http"),
		    LOG_S("error", e.text));
	if (d->doors)
		doors_read_files(d->doors);
}

static void on_reload(evutil_socket_t signal_number, short what, void *arg)
{
	struct daemon *d = arg;
	struct config_faults faults = {0};
	struct config *new = NULL;
	struct error e = {.code = ERR_OK};
	enum err err;

	(void)signal_number;
	(void)what;
	notify_reloading();
	err = config_load(d->config->file, &d->load, &new, &faults, &e);
	log_faults(d->config->file, &faults);
	if (err == ERR_OK)
		err = take_over(d, new, &e);
	if (err == ERR_OK) {
		read_files(d);
		LOG(LOG_INFO, "configuration reloaded", LOG_S("path", d->config->file));
	} else {
		LOG(LOG_ERROR, "configuration not reloaded, the old one stays", LOG_S("path", d->config->file),
		    LOG_S("error", e.text));
		config_free(new);
	}
	config_faults_fini(&faults);
	notify_send("READY=1");
}

static void on_journal(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	(void)journal_intake_run(d->journal);
	if (d->doors)
		doors_resume(d->doors);
}

static void look_at_device(const struct daemon *d)
{
	const struct device_wear wear = device_wear_read("/sys", d->config->buffer.path);

	metric_set(M_DEVICE_USED, wear.used_percent);
	metric_set(M_DEVICE_SPARES, wear.pre_eol);
}

/* The files are gone: when nothing waits in them any more, a new start does better than this one; but not before who
 * looks from outside saw why. */
static void end_when_lost(struct daemon *d)
{
	struct error why;

	if (d->phase >= PHASE_CLOSING || !journal_is_lost(d->journal, &why))
		return;
	if (d->lost_ns == 0)
		d->lost_ns = clock_mono_ns();
	if (!journal_is_empty(d->journal) ||
	    (d->phase == PHASE_RUNNING && clock_mono_ns() - d->lost_ns < LOST_SHOWN_S * NS_PER_S))
		return;
	if (metric_get(M_LEDGER_DEAD) == 0) {
		begin_closing(d, "the spool's files are gone, and what waited in them is sent");
	} else if (!d->told.shelf) {
		d->told.shelf = true;
		LOG(LOG_ERROR, "messages on the shelf are in files that are gone: they end with this process",
		    LOG_I("dead", metric_get(M_LEDGER_DEAD)),
		    LOG_S("fix", "kspool export saves them; then stop kspool"));
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	char sentence[700];

	(void)fd;
	(void)what;
	rates_sample(&d->rates, clock_mono_ns(), metric_get(M_LEDGER_ACCEPTED), metric_get(M_LEDGER_DELIVERED));
	status_look(&d->source);
	if (d->phase < PHASE_CLOSING && servers_open_again(&d->servers))
		doors_share_http(d->doors, d->servers.http);
	doors_resume(d->doors);
	status_log_upgrade(&d->upgraded_percent);
	status_log_troubles(&d->source, &d->told);
	end_when_lost(d);
	if (d->ticks % DEVICE_EVERY_TICKS == 0)
		look_at_device(d);
	if (++d->ticks % STATUS_EVERY_TICKS == 0) {
		status_sentence(&d->source, sentence, sizeof sentence);
		notify_send("STATUS=%s", sentence);
	}
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	const char *stuck = watchdog_look(&d->watchdog, d->doors);

	(void)fd;
	(void)what;
	if (stuck)
		LOG(LOG_ERROR, "a thread does not get to its work", LOG_S("thread", stuck),
		    LOG_S("outcome", "systemd is not told that all is well"));
	else
		notify_send("WATCHDOG=1");
}

static void keep_event(struct daemon *d, struct event *ev, const struct timeval *timeout)
{
	must(ev && d->event_count < EVENTS_MAX && event_add(ev, timeout) == 0);
	d->events[d->event_count++] = ev;
}

static void watch_fd(struct daemon *d, int fd, event_callback_fn callback)
{
	keep_event(d, event_new(d->base, fd, EV_READ | EV_PERSIST, callback, d), NULL);
}

static void watch_signal(struct daemon *d, int signal_number, event_callback_fn callback)
{
	keep_event(d, evsignal_new(d->base, signal_number, callback, d), NULL);
}

static void watch_timer(struct daemon *d, int64_t every_ms, event_callback_fn callback)
{
	struct timeval every = timeval_of_ms(every_ms);

	keep_event(d, event_new(d->base, -1, EV_PERSIST, callback, d), &every);
}

static enum err start_journal(struct daemon *d, struct error *e)
{
	struct journal_options options = {.store = store_options_of(d->config),
	                                  .commit_window_ns = d->config->kspool.commit_window_ns,
	                                  .on_damaged = status_log_damaged,
	                                  .on_mended = status_log_mended,
	                                  .on_companion = status_log_companion,
	                                  .on_lost = status_log_lost};
	struct store_report report = {0};
	sigset_t all, before;
	enum err err;

	notify_send("STATUS=opening the journal at %s",
	            options.store.path); /* a damaged one on a slow disk takes a while */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are this thread's, not the journal's */
	err = journal_start(&options, on_condemned, &d->journal, &report, e);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err != ERR_OK)
		return err;
	status_log_opened(options.store.path, &report);
	d->told.damaged = (int64_t)report.damaged;
	d->upgraded_percent = 100;
	status_log_upgrade(&d->upgraded_percent);
	watch_fd(d, journal_intake_fd(d->journal), on_journal);
	return ERR_OK;
}

static enum err start_doors(struct daemon *d, struct error *e)
{
	struct doors_options options = {
	    .base = d->base,
	    .config = d->config,
	    .journal = d->journal,
	    .shared_http = d->servers.http,
	    .memory_bytes = d->config->kspool.memory_bytes / 4,
	    .on_finished = on_inputs_finished,
	    .arg = d,
	};

	return doors_start(&options, &d->doors, e);
}

/* What a message may take of the process: memory, and not its life more than twice. */
static void open_limits(const struct daemon *d)
{
	struct error e = {.code = ERR_OK};

	budget_open(d->config->kspool.memory_bytes);
	if (poison_open(d->config->buffer.path, &e) != ERR_OK)
		LOG(LOG_WARN, "a message that ends the process will not be known", LOG_S("error", e.text));
}

static const char *reason_to_run(const struct daemon *d)
{
	for (size_t i = 0; i < d->config->input_count; i++)
		if (doors_trouble(d->doors, i))
			return "not every door is open; those that are not are tried again";
	return "all doors are open";
}

static enum err start(struct daemon *d, struct error *e)
{
	enum err err = start_journal(d, e);

	if (err == ERR_OK)
		open_limits(d);
	if (err == ERR_OK)
		err = delivery_start(d->config, d->journal, &d->delivery, e);
	if (err != ERR_OK)
		return err;
	d->source = (struct status_source){
	    .config = d->config,
	    .opened = d->config,
	    .journal = d->journal,
	    .sender = d->delivery,
	    .delivery = &d->delivery_status,
	    .http_trouble = d->servers.http_why.text,
	    .rates = &d->rates,
	    .started_ms = clock_wall_ms(),
	    .started_mono_ns = clock_mono_ns(),
	};
	d->servers = (struct servers){.base = d->base, .config = d->config, .source = &d->source};
	err = servers_open(&d->servers, d->journal, d->delivery, e);
	if (err == ERR_OK)
		err = start_doors(d, e);
	d->source.doors = d->doors;
	return err;
}

static void watch_everything(struct daemon *d)
{
	int64_t watchdog_ns = notify_watchdog_ns();

	watch_timer(d, TICK_MS, on_tick);
	d->watchdog = (struct watchdog){d->journal, d->delivery, d->config->kspool.process_time_ns, false, 0, 0};
	if (watchdog_ns > 0)
		watch_timer(d, watchdog_ns / NS_PER_MS, on_watchdog);
}

/* For the handler below, which is given nothing but a number. Set before it is installed, for the rest of the process.
 */
static struct delivery *stopping;

static void cut_short(int signal_number)
{
	(void)signal_number;
	delivery_stop_now(stopping);
}

/* The loop no longer runs here: a second signal is taken by a plain handler. */
static void stop_delivery(struct daemon *d, const sigset_t *terminating)
{
	struct sigaction action = {.sa_handler = cut_short};
	int64_t timeout_ns = d->hurry ? 0 : stop_times_left_ns(&d->stop, clock_mono_ns());
	uint64_t unanswered;

	if (!d->delivery)
		return;
	stopping = d->delivery;
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	(void)pthread_sigmask(SIG_UNBLOCK, terminating, NULL);
	LOG(LOG_INFO, "answers are waited for", LOG_I("at_most_ms", timeout_ns / NS_PER_MS));
	unanswered = delivery_stop(d->delivery, timeout_ns);
	action.sa_handler = SIG_IGN;
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	if (unanswered)
		LOG(LOG_WARN, "stopped with requests unanswered", LOG_U("messages", unanswered),
		    LOG_S("outcome", "they stay in the journal and may arrive twice"));
	d->delivery = d->source.sender = NULL;
}

static enum err stop(struct daemon *d, struct error *e)
{
	sigset_t terminating;
	enum err err;

	(void)sigemptyset(&terminating);
	(void)sigaddset(&terminating, SIGTERM);
	(void)sigaddset(&terminating, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &terminating, NULL); /* until its next handler is there */
	for (size_t i = 0; i < d->event_count; i++)
		event_free(d->events[i]);
	if (d->phase < PHASE_CLOSING) /* a start that failed */
		d->stop = stop_times_from(d->config->shutdown_timeout_ns, clock_mono_ns());
	stop_delivery(d, &terminating);
	err = journal_stop(d->journal, e);
	status_log_unsound(&d->told);
	if (err == ERR_OK && d->phase == PHASE_CLOSED)
		LOG(LOG_INFO, "stopped", LOG_I("delivered", metric_get(M_LEDGER_DELIVERED)),
		    LOG_I("pending", metric_get(M_LEDGER_PENDING)), LOG_I("dead", metric_get(M_LEDGER_DEAD)));
	doors_free(d->doors);
	poison_close(); /* a processor may have been at a message until then */
	servers_free(&d->servers);
	event_free(d->watch);
	/* a connection freed with a callback due (BEV_OPT_DEFER_CALLBACKS) is let go by that callback alone */
	(void)event_base_loop(d->base, EVLOOP_NONBLOCK);
	event_base_free(d->base);
	for (size_t i = 0; i < d->replaced_count; i++)
		config_free(d->replaced[i]);
	free(d->replaced);
	config_free(d->config);
	return err;
}

enum err daemon_run(const struct daemon_options *options, struct error *e)
{
	struct daemon d = {.config = options->config, .load = options->load, .told.damaged = INT64_MAX};
	struct error stop_error = {.code = ERR_OK};
	enum err err, stopped;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN); /* what holds again when the loop is gone: nothing is left to reload */
	daemon_limits_guard_memory();
	daemon_limits_raise_descriptors();
	d.base = event_base_new();
	must(d.base);
	watch_signal(&d, SIGHUP, on_reload); /* those that come while the journal opens are taken afterwards */
	watch_signal(&d, SIGTERM, on_terminate);
	watch_signal(&d, SIGINT, on_terminate);
	d.watch = evtimer_new(d.base, on_watch, &d);
	must(d.watch);
	err = daemon_limits_check_descriptors(e);
	if (err == ERR_OK)
		err = reload_log(d.config, e);
	if (err == ERR_OK) {
		LOG(LOG_INFO, "starting", LOG_S("version", KSPOOL_VERSION), LOG_S("config", d.config->file),
		    LOG_S("stream", d.config->output.stream));
		if (geteuid() == 0)
			LOG(LOG_WARN, "running as root",
			    LOG_S("outcome", "nothing here needs it: kspool run --user NAME"));
		err = start(&d, e);
	}
	if (err == ERR_OK) {
		/* An input that was empty from the start may have ended already. */
		if (d.phase == PHASE_STARTING)
			set_phase(&d, PHASE_RUNNING, reason_to_run(&d));
		watch_everything(&d);
		notify_send("READY=1\nSTATUS=running");
		must(event_base_dispatch(d.base) >= 0);
	}
	stopped = stop(&d, &stop_error);
	if (err == ERR_OK && stopped != ERR_OK) {
		*e = stop_error;
		err = stopped;
	}
	if (err == ERR_OK && d.input_failure)
		err = error_set(e, ERR_NOINPUT, "an input was not read to its end: %s", d.input_failure);
	free(d.input_failure);
	return err;
}
