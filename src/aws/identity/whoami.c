#include "aws/identity/whoami.h"

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "aws/identity/chain.h"
#include "aws/identity/region.h"
#include "aws/identity/sts.h"
#include "aws/identity/identity_context.h"

/* One run: region when nothing names it, the chain, STS; each ends the loop. */
struct run {
	struct identity_context context;
	struct chain chain;
	struct region_question region;
	struct sts_call sts;
	struct aws_whoami *ret;
	bool ended;
};

static void end(struct run *r)
{
	r->ended = true;
	(void)event_base_loopbreak(r->context.base);
}

static void wait_for_end(struct run *r)
{
	while (!r->ended)
		if (event_base_loop(r->context.base, EVLOOP_ONCE) < 0)
			return;
}

static void on_region(struct region_question *q, const char *region, const struct error *error)
{
	struct run *r = q->arg;

	(void)error; /* told again by the place that has no region */
	if (region)
		identity_settings_set_region(r->context.settings, region, "IMDS");
	end(r);
}

static void on_chain(struct chain *c, enum provider_verdict verdict)
{
	struct run *r = c->arg;

	r->ret->found = verdict == PROVIDER_FOUND;
	end(r);
}

static void on_sts(struct sts_call *c, const struct error *error)
{
	struct run *r = c->arg;

	(void)snprintf(r->ret->sts_reason, sizeof r->ret->sts_reason, "%s", error ? error->text : "");
	end(r);
}

static void find_region(struct run *r)
{
	r->region = (struct region_question){.context = &r->context, .done = on_region, .arg = r};
	r->ended = false;
	if (region_ask(&r->region, NULL) == ERR_OK)
		wait_for_end(r);
	region_stop(&r->region);
}

static void run_chain(struct run *r)
{
	enum provider_verdict verdict;

	r->chain.context = &r->context;
	r->chain.done = on_chain;
	r->chain.arg = r;
	r->ended = false;
	verdict = chain_start(&r->chain);
	if (verdict == PROVIDER_PENDING)
		wait_for_end(r);
	else
		r->ret->found = verdict == PROVIDER_FOUND;
}

static void ask_sts(struct run *r)
{
	struct aws_whoami *w = r->ret;
	struct error e;

	r->sts.context = &r->context;
	r->sts.action = STS_GET_CALLER_IDENTITY;
	r->sts.signer = &r->chain.keys;
	r->sts.done = on_sts;
	r->sts.arg = r;
	r->ended = false;
	if (sts_start(&r->sts, &e) == ERR_OK) {
		wait_for_end(r);
		memcpy(w->arn, r->sts.identity.arn, sizeof w->arn);
		memcpy(w->account, r->sts.identity.account, sizeof w->account);
		memcpy(w->user_id, r->sts.identity.user_id, sizeof w->user_id);
	} else {
		memcpy(w->sts_reason, e.text, sizeof w->sts_reason);
	}
	sts_stop(&r->sts);
}

static void tell_providers(const struct run *r)
{
	static const char *const words[] = {[PROVIDER_PENDING] = "failed",
	                                    [PROVIDER_FOUND] = "found",
	                                    [PROVIDER_ABSENT] = "absent",
	                                    [PROVIDER_FAILED] = "failed"};
	struct aws_whoami *w = r->ret;

	w->provider_count = r->chain.report_count;
	for (size_t i = 0; i < w->provider_count; i++) {
		const struct chain_report *from = &r->chain.reports[i];
		struct aws_whoami_provider *to = &w->providers[i];
		bool would = from->verdict == PROVIDER_FAILED && strstr(from->error.text, PROVIDER_OFFLINE);

		memcpy(to->name, from->source, sizeof to->name);
		memcpy(to->reason, from->error.text, sizeof to->reason);
		(void)snprintf(to->verdict, sizeof to->verdict, "%s", would ? "would" : words[from->verdict]);
	}
}

static void tell_places(const struct run *r)
{
	const struct identity_settings *s = r->context.settings;
	struct aws_whoami *w = r->ret;
	struct endpoint place;
	struct error e;

	memcpy(w->identity.region, s->region, sizeof w->identity.region);
	memcpy(w->identity.region_source, s->region_source, sizeof w->identity.region_source);
	(void)snprintf(w->profile, sizeof w->profile, "%s", s->profile);
	memcpy(w->profile_source, s->profile_source, sizeof w->profile_source);
	(void)snprintf(w->warning, sizeof w->warning, "%s", s->profiles.warning ? s->profiles.warning : "");
	memcpy(w->identity.warning, w->warning, sizeof w->identity.warning);
	if (identity_endpoint(s, &place, &e)) {
		(void)snprintf(w->host_source, sizeof w->host_source, "%s", e.text);
		return;
	}
	memcpy(w->identity.host, place.host, sizeof w->identity.host);
	memcpy(w->identity.url, place.url, sizeof w->identity.url);
	if (s->endpoint)
		(void)snprintf(w->host_source, sizeof w->host_source, "custom (%s)", s->endpoint_source);
	else
		(void)snprintf(w->host_source, sizeof w->host_source, "%s", place.why);
}

static void tell_keys(const struct run *r)
{
	struct aws_identity *id = &r->ret->identity;

	if (!r->ret->found) {
		(void)snprintf(id->reason, sizeof id->reason, "%s", r->chain.error.text);
		return;
	}
	(void)snprintf(id->provider, sizeof id->provider, "%s", r->chain.source);
	(void)snprintf(id->access_key_id, sizeof id->access_key_id, "%s", r->chain.keys.id);
	id->expires_ms = r->chain.keys.expires_ms;
}

enum err aws_whoami(struct event_base *base, const struct aws_client_options *options,
                    const struct aws_whoami_wish *wish, struct aws_whoami *ret, struct error *e)
{
	struct run r = {.ret = ret};
	enum err result;

	memset(ret, 0, sizeof *ret);
	result = identity_context_open(base, options, &r.context, e);
	if (result)
		return result;
	r.context.offline = !wish->ask_providers;
	if (!r.context.settings->region[0])
		find_region(&r);
	run_chain(&r);
	tell_providers(&r);
	tell_places(&r);
	tell_keys(&r);
	if (ret->found && wish->ask_sts && wish->ask_providers)
		ask_sts(&r);
	chain_stop(&r.chain);
	identity_context_close(&r.context);
	return ERR_OK;
}
