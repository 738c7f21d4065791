/*
 * whoami: aws_whoami with fields from the command line, printed as JSON, for comparing with another SDK.
 *
 * Arguments are field=value of output.aws_kinesis (region, endpoint, stream, profile, id, secret, token, role,
 * role_external_id, from_ec2_role, spool_name, proxy, ca_file) and the words "sts" (ask STS), "dry" (ask nobody),
 * "keys" (prints the secret too: test keys only).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "aws/identity/chain.h"
#include "aws/identity/whoami.h"
#include "aws/identity/identity_context.h"

struct asked {
	struct options_aws_kinesis output;
	struct options_kspool kspool;
	struct aws_client_options options;
	struct aws_whoami_wish wish;
	bool keys;
};

static void take_argument(struct asked *a, char *argument)
{
	struct options_credentials *c = &a->output.credentials;
	const struct {
		const char *name;
		char **to;
	} rows[] = {{"region", &a->output.region},
	            {"endpoint", &a->output.endpoint},
	            {"stream", &a->output.stream},
	            {"profile", &c->profile},
	            {"id", &c->id},
	            {"secret", &c->secret},
	            {"token", &c->token},
	            {"role", &c->role},
	            {"proxy", &a->kspool.proxy},
	            {"ca_file", &a->kspool.ca_file},
	            {"role_external_id", &c->role_external_id}};
	char *value = strchr(argument, '=');

	if (strcmp(argument, "sts") == 0)
		a->wish.ask_sts = true;
	else if (strcmp(argument, "dry") == 0)
		a->wish.ask_providers = false;
	else if (strcmp(argument, "keys") == 0)
		a->keys = true;
	else if (strcmp(argument, "from_ec2_role=true") == 0)
		c->from_ec2_role = true;
	if (!value)
		return;
	*value++ = '\0';
	if (strcmp(argument, "spool_name") == 0)
		a->options.spool_name = value;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(argument, rows[i].name) == 0)
			*rows[i].to = value;
}

static void pair(const char *name, const char *value, const char *end)
{
	(void)printf("\"%s\": \"", name);
	for (const char *p = value; *p; p++) {
		if (*p == '"' || *p == '\\')
			(void)putchar('\\');
		(void)putchar((unsigned char)*p < ' ' ? ' ' : *p);
	}
	(void)printf("\"%s", end);
}

static void print(const struct aws_whoami *w)
{
	(void)printf("{\"found\": %s, \"expires_ms\": %" PRId64 ", ", w->found ? "true" : "false",
	             w->identity.expires_ms);
	pair("provider", w->identity.provider, ", ");
	pair("access_key_id", w->identity.access_key_id, ", ");
	pair("reason", w->identity.reason, ", ");
	pair("region", w->identity.region, ", ");
	pair("region_source", w->identity.region_source, ", ");
	pair("host", w->identity.host, ", ");
	pair("url", w->identity.url, ", ");
	pair("host_source", w->host_source, ", ");
	pair("profile", w->profile, ", ");
	pair("profile_source", w->profile_source, ", ");
	pair("warning", w->identity.warning, ", ");
	pair("arn", w->arn, ", ");
	pair("account", w->account, ", ");
	pair("sts_reason", w->sts_reason, ", \"providers\": [");
	for (size_t i = 0; i < w->provider_count; i++) {
		(void)printf("%s{", i ? ", " : "");
		pair("name", w->providers[i].name, ", ");
		pair("verdict", w->providers[i].verdict, ", ");
		pair("reason", w->providers[i].reason, "}");
	}
	(void)printf("]}\n");
}

struct raw {
	struct event_base *base;
	bool ended;
};

static void on_chain(struct chain *c, enum provider_verdict verdict)
{
	struct raw *r = c->arg;

	(void)verdict;
	r->ended = true;
}

/* The keys themselves, in one line a comparison can read. */
static void print_keys(struct asked *a, struct event_base *base)
{
	struct raw raw = {.base = base};
	struct chain chain = {.done = on_chain, .arg = &raw};
	struct identity_context context;
	struct error e = {0};

	if (identity_context_open(base, &a->options, &context, &e)) {
		(void)printf("{\"error\": \"%s\"}\n", e.text);
		return;
	}
	chain.context = &context;
	if (chain_start(&chain) == PROVIDER_PENDING)
		while (!raw.ended)
			(void)event_base_loop(base, EVLOOP_ONCE);
	(void)printf("{");
	pair("access_key", chain.keys.id ? chain.keys.id : "", ", ");
	pair("secret_key", chain.keys.secret ? chain.keys.secret : "", ", ");
	pair("token", chain.keys.token ? chain.keys.token : "", ", ");
	pair("source", chain.source ? chain.source : "", ", ");
	pair("reason", chain.error.text, "}\n");
	chain_stop(&chain);
	identity_context_close(&context);
}

int main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	static struct aws_whoami w;
	struct asked a = {.wish.ask_providers = true};
	struct error e;
	int status = 0;

	a.options = (struct aws_client_options){
	    .output = &a.output, .kspool = &a.kspool, .service = "kinesis", .max_connections = 4};
	for (int i = 1; i < argc; i++)
		take_argument(&a, argv[i]);
	if (a.keys) {
		print_keys(&a, base);
	} else if (aws_whoami(base, &a.options, &a.wish, &w, &e)) {
		(void)fprintf(stderr, "%s\n", e.text);
		status = 78;
	} else {
		print(&w);
	}
	event_base_free(base);
	return status;
}
