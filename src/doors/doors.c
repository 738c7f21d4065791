#include "doors/doors.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/inputs.h"
#include "doors/door.h"

enum { READ_SLACK_BYTES = 131072 };

struct doors {
	struct intake intake;
	struct doors_options options;
	TAILQ_HEAD(, door) list; /* in the order of the inputs */
	bool finished;
};

static void on_ended(void *arg)
{
	struct doors *d = arg;
	const struct door *door;

	if (d->finished || d->intake.stopping)
		return;
	TAILQ_FOREACH (door, &d->list, link)
		if (!input_is_finite(door->input->kind) || !door->kind->has_ended(door))
			return;
	d->finished = true;
	if (d->options.on_finished)
		d->options.on_finished(d->options.arg);
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

static enum err open_door(struct doors *d, const struct config_input *input, struct error *e)
{
	AUTOFREE char *path = mem_format("%s.processors", input->path ? input->path : "input");
	struct pipeline *processors = NULL;
	struct door *door = NULL;
	enum err err = check_scanner(d, input, e);

	if (err == ERR_OK)
		err = processors_compile(input->processors, d->intake.config, path, &processors, e);
	if (err == ERR_OK)
		err = kinds[input->kind]->open(&d->intake, input, processors, &door, e);
	if (err != ERR_OK) {
		pipeline_free(processors);
		return error_wrap(e, "%s", input->path ? input->path : "input");
	}
	door->on_ended = on_ended;
	door->arg = d;
	TAILQ_INSERT_TAIL(&d->list, door, link);
	return ERR_OK;
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
	TAILQ_INIT(&d->list);
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
	err = intake_open(i, e);
	for (size_t n = 0; err == ERR_OK && n < config->input_count; n++)
		err = open_door(d, &config->inputs[n], e);
	if (err != ERR_OK) {
		doors_free(d);
		return err;
	}
	*ret = d;
	return ERR_OK;
}

void doors_resume(struct doors *d)
{
	struct door *door;

	if (d->intake.stopping) {
		intake_retry(&d->intake);
		return;
	}
	intake_retry(&d->intake);
	TAILQ_FOREACH (door, &d->list, link)
		door->kind->resume(door);
}

void doors_stop(struct doors *d)
{
	struct door *door;

	if (d->intake.stopping)
		return;
	/* whole messages first: once stopping is set nothing more is taken */
	TAILQ_FOREACH (door, &d->list, link)
		door->kind->stop(door);
	d->intake.stopping = true;
	LOG(LOG_INFO, "doors closed", LOG_U("offers_under_way", d->intake.outstanding),
	    LOG_U("memory_bytes", d->intake.memory_bytes));
}

void doors_read_tokens(struct doors *d)
{
	struct door *door;

	TAILQ_FOREACH (door, &d->list, link) {
		struct error e = {.code = ERR_OK};

		if (door->kind->read_tokens && door->kind->read_tokens(door, &e) != ERR_OK)
			LOG(LOG_ERROR, "tokens not read again, the old ones stay", LOG_S("input", door->input->path),
			    LOG_S("error", e.text));
	}
}

bool doors_is_idle(const struct doors *d)
{
	const struct door *door;

	if (d->intake.outstanding > 0)
		return false;
	TAILQ_FOREACH (door, &d->list, link)
		if (!door->kind->is_idle(door))
			return false;
	return true;
}

bool doors_have_failed(const struct doors *d)
{
	const struct door *door;

	TAILQ_FOREACH (door, &d->list, link)
		if (door->has_failed)
			return true;
	return false;
}

uint64_t doors_memory_bytes(const struct doors *d) { return d->intake.memory_bytes; }

uint16_t doors_port(const struct doors *d, size_t input)
{
	const struct door *door;

	TAILQ_FOREACH (door, &d->list, link)
		if (input-- == 0)
			return door->kind->port ? door->kind->port(door) : 0;
	return 0;
}

void doors_free(struct doors *d)
{
	struct door *door;

	if (!d)
		return;
	d->intake.stopping = true;
	intake_drop_kept(&d->intake);
	while ((door = TAILQ_FIRST(&d->list))) {
		struct pipeline *processors = door->processors;

		TAILQ_REMOVE(&d->list, door, link);
		door->kind->free(door);
		pipeline_free(processors);
	}
	intake_close(&d->intake);
	free(d);
}
