#include "delivery/delivery.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kinesis/aggregate.h"
#include "delivery/delivery_internal.h"
#include "delivery/dispatch_settings.h"

static enum err open_client(struct delivery *d, struct error *e)
{
	struct aws_client_options options = {.output = &d->config->output,
	                                     .kspool = &d->config->kspool,
	                                     .service = "kinesis",
	                                     .max_connections = (unsigned)d->config->output.max_in_flight};

	return aws_client_open(d->base, &options, &d->client, e);
}

static enum err add_event(struct delivery *d, struct event **ret, int fd, struct error *e)
{
	*ret = event_new(d->base, fd, fd < 0 ? 0 : EV_READ | EV_PERSIST, delivery_on_event, d);
	if (!*ret || (fd >= 0 && event_add(*ret, NULL) != 0))
		return error_set(e, ERR_SYSTEM, "no event for the delivery thread");
	return ERR_OK;
}

static enum err open_parts(struct delivery *d, struct error *e)
{
	enum err err;

	d->base = event_base_new();
	d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!d->base || d->wake_fd < 0)
		return error_set_errno(e, ERR_SYSTEM, "no event loop for the delivery thread");
	err = preparer_open(d->config, &d->preparer, e);
	if (err == ERR_OK && preparer_takes_time(d->preparer))
		err = prepare_worker_open(d->preparer, &d->worker, e);
	if (err == ERR_OK)
		err = open_client(d, e);
	if (err == ERR_OK)
		err = add_event(d, &d->wake_event, d->wake_fd, e);
	if (err == ERR_OK)
		err = add_event(d, &d->rows_event, journal_delivery_fd(d->journal), e);
	if (err == ERR_OK)
		err = add_event(d, &d->timer_event, -1, e);
	if (err == ERR_OK && d->worker)
		err = add_event(d, &d->prepared_event, prepare_worker_fd(d->worker), e);
	return err;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

static void free_parts(struct delivery *d)
{
	dispatch_free(d->dispatch);
	aws_client_close(d->client);
	prepare_worker_close(d->worker);
	preparer_close(d->preparer);
	message_list_free(&d->arrived);
	outbox_fini(&d->outbox);
	free_event(d->wake_event);
	free_event(d->rows_event);
	free_event(d->timer_event);
	free_event(d->prepared_event);
	if (d->base)
		event_base_free(d->base);
	if (d->wake_fd >= 0)
		(void)close(d->wake_fd);
	free(atomic_load(&d->newest));
	free(d);
}

static enum err start_thread(struct delivery *d, struct error *e)
{
	sigset_t all, before;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the intake thread's */
	rc = pthread_create(&d->thread, NULL, delivery_loop, d);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return error_set(e, ERR_SYSTEM, "no delivery thread: %s", strerror(rc));
	(void)pthread_setname_np(d->thread, "delivery");
	return ERR_OK;
}

static enum err try_aggregates(struct error *e)
{
	struct aggregate_writer *w;
	enum err err = aggregate_writer_new(&w, e);

	if (err == ERR_OK)
		aggregate_writer_free(w);
	else
		(void)error_wrap(e, "kspool.aggregation");
	return err;
}

enum err delivery_start(const struct config *config, struct journal *journal, struct delivery **ret, struct error *e)
{
	struct delivery *d = mem_zero(sizeof *d);
	struct memory_share memory = dispatch_settings_memory(config);
	struct dispatch_settings settings;
	struct dispatch_ports ports;
	enum err err;

	d->config = config;
	d->journal = journal;
	d->wake_fd = -1;
	d->stop_deadline_ns = INT64_MAX;
	STAILQ_INIT(&d->arrived);
	d->seen.since_ms = clock_wall_ms();
	err = open_parts(d, e);
	if (err == ERR_OK && config->kspool.aggregation != AGGREGATION_OFF)
		err = try_aggregates(e);
	if (err != ERR_OK) {
		free_parts(d);
		return err;
	}
	delivery_settings(d, &settings);
	ports = delivery_ports(d);
	d->dispatch = dispatch_new(&settings, &ports, clock_mono_ns(), clock_wall_ms());
	outbox_init(&d->outbox, journal, memory.rows, memory.bytes);
	err = start_thread(d, e);
	if (err != ERR_OK) {
		free_parts(d);
		return err;
	}
	*ret = d;
	return ERR_OK;
}

void delivery_status(struct delivery *d, struct delivery_status *ret)
{
	struct delivery_status *newest = atomic_exchange(&d->newest, NULL);

	if (newest) {
		d->seen = *newest;
		free(newest);
	}
	*ret = d->seen;
}

void delivery_command(struct delivery *d, unsigned command)
{
	uint64_t one = 1;

	atomic_fetch_or(&d->commands, command);
	(void)!write(d->wake_fd, &one, sizeof one); /* full: it is awake already */
}

enum err delivery_reload(struct delivery *d, const struct config *config, struct error *e)
{
	struct preparer *trial;
	enum err err = preparer_open(config, &trial, e);

	if (err != ERR_OK)
		return err;
	preparer_close(trial);
	atomic_store(&d->next_config, config);
	delivery_command(d, COMMAND_RELOAD);
	return ERR_OK;
}

void delivery_kick(struct delivery *d) { delivery_command(d, COMMAND_KICK); }

void delivery_prove(struct delivery *d) { delivery_command(d, COMMAND_PROVE); }

int64_t delivery_prepare_ns(const struct delivery *d) { return prepare_worker_work_ns(d->worker); }

uint64_t delivery_proofs(const struct delivery *d) { return atomic_load(&d->proofs); }

void delivery_drain(struct delivery *d) { delivery_command(d, COMMAND_DRAIN); }

uint64_t delivery_stop(struct delivery *d, int64_t timeout_ns)
{
	uint64_t unanswered;

	if (!d)
		return 0;
	atomic_store(&d->stop_timeout_ns, timeout_ns > 0 ? timeout_ns : 0);
	delivery_command(d, COMMAND_STOP);
	must(pthread_join(d->thread, NULL) == 0);
	unanswered = d->unanswered;
	free_parts(d);
	return unanswered;
}

void delivery_stop_now(struct delivery *d) { delivery_command(d, COMMAND_STOP_NOW); }
