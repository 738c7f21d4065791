#include "doors/until.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bloblang/bloblang.h"

enum { META_MAX_BYTES = 1 << 20 };

enum err until_open(struct intake *i, struct error *e)
{
	const struct config *config = i->config;

	i->untils = mem_array(config->until_count + 1, sizeof *i->untils);
	for (size_t n = 0; n < config->until_count; n++)
		i->untils[n] = (struct until){.config = &config->untils[n], .heard_ns = clock_mono_ns()};
	for (size_t n = 0; n < config->until_count; n++) {
		const char *check = config->untils[n].options.check.text;
		struct bloblang_fault fault = {0};

		if (check && *check && bloblang_mapping_parse(check, ".", &i->untils[n].check, &fault) != ERR_OK)
			return error_set(e, ERR_CONFIG, "%s.check: %s", config->untils[n].path, fault.text);
	}
	return ERR_OK;
}

void until_close(struct intake *i)
{
	for (size_t n = 0; i->untils && n < i->config->until_count; n++)
		bloblang_mapping_free(i->untils[n].check);
	free(i->untils);
	i->untils = NULL;
}

struct until *until_of(const struct intake *i, const struct config_input *input)
{
	return input->until > 0 ? &i->untils[input->until - 1] : NULL;
}

bool until_is_met(const struct until *u) { return u && u->is_met; }

bool until_has_check(const struct until *u) { return u && u->check; }

/* The first of the batch says that it is the last. */
static void mark_last(struct pipeline_batch *batch)
{
	struct message *m = batch->items[0];
	struct buf meta;

	buf_init(&meta, m->meta_bytes + META_MAX_BYTES);
	(void)buf_add(&meta, message_meta(m), m->meta_bytes);
	(void)meta_add(&meta, 's', "benthos_read_until", 18, "final", 5);
	batch->items[0] = message_derive(m, meta.data, meta.len, message_body(m), m->body_bytes);
	buf_fini(&meta);
	message_free(m);
}

void until_look(struct group *g, struct evaluator *ev, struct pipeline_batch *batch)
{
	const struct message_batch context = {.messages = batch->items, .count = batch->count};
	struct error e = {.code = ERR_OK};

	if (!until_has_check(g->until) || batch->count == 0)
		return;
	if (!g->is_checked && bloblang_mapping_check(g->until->check, ev, &context, &g->is_last, &e) != ERR_OK) {
		g->is_last = false;
		LOG_LIMITED(LOG_ERROR, "check failed", LOG_S("input", g->until->config->path), LOG_S("reason", e.text),
		            LOG_S("outcome", "the input goes on"));
	}
	g->is_checked = true;
	if (g->is_last)
		mark_last(batch);
}

void until_sent(struct group *g)
{
	if (!g->until)
		return;
	g->until->outstanding++;
	g->until->heard_ns = clock_mono_ns();
}

void until_answered(struct group *g)
{
	struct until *u = g->until;

	if (!u)
		return;
	u->outstanding--;
	u->heard_ns = clock_mono_ns();
	if (g->offer.verdict != OFFER_ACCEPTED || !g->is_last || u->is_met)
		return;
	u->is_met = true;
	LOG(LOG_INFO, "last message came", LOG_S("input", u->config->path));
}

bool until_is_idle_now(struct until *u)
{
	const int64_t idle_ns = u->config->options.idle_timeout_ns;

	if (u->is_met || idle_ns == 0 || u->outstanding > 0 || clock_mono_ns() - u->heard_ns < idle_ns)
		return false;
	u->is_met = true;
	LOG(LOG_INFO, "idle timeout reached", LOG_S("input", u->config->path));
	return true;
}
