#include <event2/event.h>
#include <unistd.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/check.h"
#include "base/jsonout.h"
#include "cli/command.h"
#include "cli/command_whoami.h"
#include "cli/commands.h"
#include "cli/shown.h"

enum { ANSWER_MAX_BYTES = 1 << 16 };

enum err command_whoami_find(const struct config *config, const struct aws_whoami_wish *wish, struct aws_whoami *ret,
                             struct error *e)
{
	const struct aws_client_options options = {
	    .output = &config->output, .kspool = &config->kspool, .service = "kinesis", .max_connections = 2};
	struct event_base *base = event_base_new();
	enum err err;

	must(base);
	err = aws_whoami(base, &options, wish, ret, e);
	event_base_free(base);
	return err;
}

void command_whoami_print(const struct aws_whoami *w, FILE *out)
{
	const struct aws_identity *i = &w->identity;

	(void)fprintf(out, "host        %s (%s)\nregion      %s (%s)\n", shown(i->host), shown(w->host_source),
	              i->region[0] ? shown(i->region) : "none", shown(i->region_source));
	if (w->profile[0])
		(void)fprintf(out, "profile     %s (%s)\n", shown(w->profile), shown(w->profile_source));
	for (size_t n = 0; n < w->provider_count; n++)
		(void)fprintf(out, "%s %s: %s%s%s\n", n ? "           " : "providers  ", shown(w->providers[n].name),
		              w->providers[n].verdict, w->providers[n].reason[0] ? ": " : "",
		              shown(w->providers[n].reason));
	if (i->access_key_id[0])
		(void)fprintf(out, "access key  %s\n", shown(i->access_key_id));
	if (w->arn[0])
		(void)fprintf(out, "for         %s, account %s\n", shown(w->arn), shown(w->account));
	if (w->sts_reason[0])
		(void)fprintf(out, "for         unknown: %s\n", shown(w->sts_reason));
	if (w->warning[0])
		(void)fprintf(out, "warning     %s\n", shown(w->warning));
	if (!w->found && i->reason[0])
		(void)fprintf(out, "no credentials: %s\n", shown(i->reason));
}

static void print_json(const struct aws_whoami *w)
{
	struct jsonout j;
	struct buf out;

	buf_init(&out, ANSWER_MAX_BYTES);
	jsonout_init(&j, &out);
	jsonout_object(&j, NULL);
	jsonout_bool(&j, "found", w->found);
	jsonout_text(&j, "provider", w->identity.provider);
	jsonout_text(&j, "access_key_id", w->identity.access_key_id);
	jsonout_time_ms(&j, "expires", w->identity.expires_ms);
	jsonout_text(&j, "reason", w->identity.reason);
	jsonout_text(&j, "region", w->identity.region);
	jsonout_text(&j, "region_source", w->identity.region_source);
	jsonout_text(&j, "host", w->identity.host);
	jsonout_text(&j, "url", w->identity.url);
	jsonout_text(&j, "host_source", w->host_source);
	jsonout_text(&j, "profile", w->profile);
	jsonout_text(&j, "profile_source", w->profile_source);
	jsonout_text(&j, "arn", w->arn);
	jsonout_text(&j, "account", w->account);
	jsonout_text(&j, "user_id", w->user_id);
	jsonout_text(&j, "sts_reason", w->sts_reason);
	jsonout_text(&j, "warning", w->warning);
	jsonout_array(&j, "providers");
	for (size_t n = 0; n < w->provider_count; n++) {
		jsonout_object(&j, NULL);
		jsonout_text(&j, "name", w->providers[n].name);
		jsonout_text(&j, "verdict", w->providers[n].verdict);
		jsonout_text(&j, "reason", w->providers[n].reason);
		jsonout_object_end(&j);
	}
	jsonout_array_end(&j);
	jsonout_object_end(&j);
	(void)printf("%s\n", out.data);
	buf_fini(&out);
}

int command_whoami(int argc, char **argv)
{
	const struct config_load_options load = {0};
	struct aws_whoami_wish wish = {.ask_providers = true};
	const char *path = KSPOOL_CONFIG_FILE;
	struct aws_whoami found = {0};
	struct config *config = NULL;
	struct error e = {.code = ERR_OK};
	bool json = false, offline = false;
	const struct command_option options[] = {
	    {"json", .flag = &json},
	    {"offline", .flag = &offline},
	};
	enum err err;
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	wish.ask_providers = wish.ask_sts = !offline;
	if (argc - optind > 1)
		return command_misused("whoami", "one configuration at most");
	if (optind < argc)
		path = argv[optind];
	err = command_load(path, &load, false, &config, &e);
	if (err == ERR_OK)
		err = command_whoami_find(config, &wish, &found, &e);
	config_free(config);
	if (err != ERR_OK)
		return command_fail("whoami", &e);
	if (json)
		print_json(&found);
	else
		command_whoami_print(&found, stdout);
	return found.found ? EX_OK : EX_NOPERM;
}
