#include "aws/identity/chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"

#define NOBODY "no provider has credentials (see kspool whoami)"

size_t chain_plan(const struct identity_settings *s, const struct provider *steps[CHAIN_STEPS_MAX])
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

static void report(struct chain *c, enum provider_verdict verdict)
{
	struct chain_report *r = &c->reports[c->report_count++];

	(void)snprintf(r->source, sizeof r->source, "%s", c->call.source);
	r->error = verdict == PROVIDER_FOUND ? (struct error){0} : c->call.error;
	r->verdict = verdict;
	if (verdict != PROVIDER_FAILED)
		return;
	c->error = c->call.error;
	(void)error_wrap(&c->error, "%s", c->call.source);
	/* IMDS is asked for want of anything better: that it is out of reach is not what the operator has to mend */
	if (c->report_count > 1 && c->call.provider == &provider_imds)
		(void)error_set(&c->error, c->error.code, NOBODY "; %s: %s", c->call.source, c->call.error.text);
}

static bool is_role_step(const struct chain *c) { return c->steps[c->current] == &provider_role; }

static void on_called(struct provider_call *call, enum provider_verdict verdict);

static enum provider_verdict start_step(struct chain *c)
{
	struct provider_call *call = &c->call;

	memset(call, 0, sizeof *call);
	call->context = c->context;
	call->done = on_called;
	call->arg = c;
	if (is_role_step(c)) {
		call->role = (struct assumed_role){.arn = c->context->settings->role,
		                                   .external_id = c->context->settings->role_external_id};
		call->base = &c->base;
	}
	return provider_start(call, c->steps[c->current]);
}

/* Takes what the current step found; true when that ends the chain. */
static bool take_found(struct chain *c)
{
	bool was_role = is_role_step(c);

	char *from = take(c->source);

	c->source = was_role ? mem_format("%s from %s", c->call.source, from) : mem_string(c->call.source);
	free(from);
	if (!was_role && c->context->settings->role) {
		keys_move(&c->base, &c->call.keys);
		provider_stop(&c->call);
		c->current = c->step_count - 1;
		return false;
	}
	keys_move(&c->keys, &c->call.keys);
	provider_stop(&c->call);
	return true;
}

/* Goes on from a verdict of the current step until one is pending or the chain ends. */
static enum provider_verdict walk(struct chain *c, enum provider_verdict verdict)
{
	for (;;) {
		if (verdict == PROVIDER_PENDING)
			return verdict;
		report(c, verdict);
		if (verdict == PROVIDER_FOUND) {
			if (take_found(c))
				return verdict;
		} else {
			provider_stop(&c->call);
			if (verdict == PROVIDER_FAILED)
				return verdict;
			c->current++;
			if (c->current == c->step_count || is_role_step(c)) {
				(void)error_set(&c->error, ERR_CREDENTIALS, NOBODY);
				return PROVIDER_ABSENT;
			}
		}
		verdict = start_step(c);
	}
}

static void on_called(struct provider_call *call, enum provider_verdict verdict)
{
	struct chain *c = call->arg;

	verdict = walk(c, verdict);
	if (verdict != PROVIDER_PENDING)
		c->done(c, verdict);
}

enum provider_verdict chain_start(struct chain *c)
{
	c->step_count = chain_plan(c->context->settings, c->steps);
	c->current = c->report_count = 0;
	free(take(c->source));
	c->error = (struct error){0};
	keys_wipe(&c->keys);
	keys_wipe(&c->base);
	return walk(c, start_step(c));
}

void chain_stop(struct chain *c)
{
	provider_stop(&c->call);
	keys_wipe(&c->keys);
	keys_wipe(&c->base);
	free(take(c->source));
}
