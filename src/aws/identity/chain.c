#include "aws/identity/chain.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

size_t chain_plan(const struct settings *s, const struct provider *steps[CHAIN_STEPS_MAX])
{
	size_t n = 0;

	if (s->from_ec2_role) {
		steps[n++] = &provider_imds;
	} else if (s->id) {
		steps[n++] = &provider_config;
	} else {
		if (!s->field_profile) {
			steps[n++] = &provider_environment;
			steps[n++] = &provider_web_identity;
		}
		steps[n++] = &provider_shared;
		steps[n++] = &provider_container;
		steps[n++] = &provider_imds;
	}
	if (s->role)
		steps[n++] = &provider_role;
	must(n <= CHAIN_STEPS_MAX);
	return n;
}

static void report(struct chain *c, enum fetch_verdict verdict)
{
	struct chain_report *r = &c->reports[c->report_count++];

	(void)snprintf(r->provider, sizeof r->provider, "%s", c->fetch.source);
	(void)snprintf(r->reason, sizeof r->reason, "%s", verdict == FETCH_FOUND ? "" : c->fetch.reason);
	r->verdict = verdict;
	/* IMDS is asked for want of anything better: that it is out of reach is not what the operator has to mend */
	if (verdict == FETCH_FAILED)
		(void)snprintf(c->reason, sizeof c->reason, "%s%.50s: %.140s",
		               c->report_count > 1 && c->fetch.provider == &provider_imds
		                   ? "no provider has credentials (see kspool whoami); "
		                   : "",
		               c->fetch.source, c->fetch.reason);
}

static bool is_role_step(const struct chain *c) { return c->steps[c->current] == &provider_role; }

static void on_fetched(struct fetch *f, enum fetch_verdict verdict);

static enum fetch_verdict start_step(struct chain *c)
{
	struct fetch *f = &c->fetch;

	memset(f, 0, sizeof *f);
	f->world = c->world;
	f->done = on_fetched;
	f->arg = c;
	if (is_role_step(c)) {
		f->role = (struct fetch_role){.arn = c->world->settings->role,
		                              .external_id = c->world->settings->role_external_id};
		f->base = &c->base;
	}
	return fetch_start(f, c->steps[c->current]);
}

/* Takes what the current step found; true when that ends the chain. */
static bool take_found(struct chain *c)
{
	bool was_role = is_role_step(c);

	if (was_role) {
		char from[sizeof c->source];

		(void)snprintf(from, sizeof from, "%s", c->source);
		(void)snprintf(c->source, sizeof c->source, "%.60s from %.90s", c->fetch.source, from);
	} else {
		(void)snprintf(c->source, sizeof c->source, "%s", c->fetch.source);
	}
	if (!was_role && c->world->settings->role) {
		keys_move(&c->base, &c->fetch.keys);
		fetch_stop(&c->fetch);
		c->current = c->step_count - 1;
		return false;
	}
	keys_move(&c->keys, &c->fetch.keys);
	fetch_stop(&c->fetch);
	return true;
}

/* Goes on from a verdict of the current step until one is pending or the chain ends. */
static enum fetch_verdict walk(struct chain *c, enum fetch_verdict verdict)
{
	for (;;) {
		if (verdict == FETCH_PENDING)
			return verdict;
		report(c, verdict);
		if (verdict == FETCH_FOUND) {
			if (take_found(c))
				return verdict;
		} else {
			fetch_stop(&c->fetch);
			if (verdict == FETCH_FAILED)
				return verdict;
			c->current++;
			if (c->current == c->step_count || is_role_step(c)) {
				(void)snprintf(c->reason, sizeof c->reason,
				               "no provider has credentials (see kspool whoami)");
				return FETCH_ABSENT;
			}
		}
		verdict = start_step(c);
	}
}

static void on_fetched(struct fetch *f, enum fetch_verdict verdict)
{
	struct chain *c = f->arg;

	verdict = walk(c, verdict);
	if (verdict != FETCH_PENDING)
		c->done(c, verdict);
}

enum fetch_verdict chain_start(struct chain *c)
{
	c->step_count = chain_plan(c->world->settings, c->steps);
	c->current = c->report_count = 0;
	c->source[0] = c->reason[0] = '\0';
	keys_wipe(&c->keys);
	keys_wipe(&c->base);
	return walk(c, start_step(c));
}

void chain_stop(struct chain *c)
{
	fetch_stop(&c->fetch);
	keys_wipe(&c->keys);
	keys_wipe(&c->base);
}
