#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/remote_status.h"
#include "cli/spool_place.h"
#include "cli/shown.h"

static const char *bytes_of(struct remote_status *p, const char *path, char *buffer)
{
	return num_format_size((uint64_t)remote_status_number(p, path), buffer);
}

static const char *seconds_of(struct remote_status *p, const char *path, char *buffer)
{
	return num_format_duration((int64_t)remote_status_number(p, path) * NS_PER_S, buffer);
}

static void print_shards(struct remote_status *p)
{
	char path[48];

	for (int i = 0;; i++) {
		double rate;

		(void)snprintf(path, sizeof path, "stream.shards.%d.records_per_second", i);
		if (!remote_status_has(p, path))
			return;
		rate = remote_status_number(p, path);
		(void)snprintf(path, sizeof path, "stream.shards.%d.name", i);
		(void)printf("\n            %s ",
		             remote_status_text(p, path)[0] ? remote_status_text(p, path) : "a shard");
		if (rate > 0)
			(void)printf("takes %.0f records/s and is full", rate);
		else
			(void)printf("takes nothing");
		(void)snprintf(path, sizeof path, "stream.shards.%d.key_percent", i);
		if (remote_status_number(p, path) >= 10) {
			(void)printf("; %.0f %% of it is the key ", remote_status_number(p, path));
			(void)snprintf(path, sizeof path, "stream.shards.%d.key", i);
			(void)printf("%s", remote_status_text(p, path));
		}
	}
}

/* What going by keys came to. */
static void print_keys(struct remote_status *p)
{
	double aggregates = remote_status_number(p, "stream.aggregates");

	if (aggregates > 0)
		(void)printf("\n            %.0f aggregates of %.1f messages, %.0f PUT units saved", aggregates,
		             remote_status_number(p, "stream.aggregated_messages") / aggregates,
		             remote_status_number(p, "stream.put_units_saved"));
	if (remote_status_number(p, "stream.keys_held") > 0)
		(void)printf("\n            %.0f keys are held by a message of theirs that is refused",
		             remote_status_number(p, "stream.keys_held"));
	if (remote_status_number(p, "stream.order_breaches") > 0)
		(void)printf("\n            %.0f messages were stored out of their key's order",
		             remote_status_number(p, "stream.order_breaches"));
}

static void print_link(struct remote_status *p)
{
	char rate[NUM_SIZE_MAX], request[NUM_SIZE_MAX];

	if (remote_status_number(p, "stream.link.bytes_per_second") <= 0)
		return;
	(void)printf("\n            link: %s %s/s, round trip %.0f ms, requests of up to %s",
	             remote_status_bool(p, "stream.link.is_thin") ? "thin," : "at least",
	             bytes_of(p, "stream.link.bytes_per_second", rate),
	             remote_status_number(p, "stream.link.round_trip_ms"),
	             bytes_of(p, "stream.link.request_bytes", request));
}

static void print_stream(struct remote_status *p)
{
	(void)printf("stream      %s %s", remote_status_text(p, "stream.name"), remote_status_text(p, "stream.state"));
	if (remote_status_text(p, "stream.since")[0])
		(void)printf(" since %s", remote_status_text(p, "stream.since"));
	if (remote_status_text(p, "stream.reason")[0])
		(void)printf("\n            %s: %s", remote_status_text(p, "stream.code"),
		             remote_status_text(p, "stream.reason"));
	if (remote_status_text(p, "stream.next_probe")[0])
		(void)printf("\n            next try %s", remote_status_text(p, "stream.next_probe"));
	if (remote_status_number(p, "stream.records_refused") > 0)
		(void)printf("\n            %.0f records are refused on the way, whatever the size of the request",
		             remote_status_number(p, "stream.records_refused"));
	print_link(p);
	print_shards(p);
	print_keys(p);
	(void)printf("\n            %s, region %s, last acknowledgement %s\n", remote_status_text(p, "stream.host"),
	             remote_status_text(p, "stream.region"),
	             remote_status_text(p, "stream.last_acknowledged")[0]
	                 ? remote_status_text(p, "stream.last_acknowledged")
	                 : "never");
	(void)printf("credentials %s %s\n", remote_status_text(p, "credentials.provider"),
	             remote_status_text(p, "credentials.access_key_id"));
}

static void print_ledger(struct remote_status *p)
{
	static const char *const states[] = {
#define LEDGER_STATE(id, word, meaning) #word,
#include "base/ledger.def"
	};

	(void)printf("ledger      accepted %.0f =", remote_status_number(p, "ledger.accepted"));
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		char path[32];

		(void)snprintf(path, sizeof path, "ledger.%s", states[i]);
		if (i < 2 || remote_status_number(p, path) > 0)
			(void)printf("%s %s %.0f", i ? " +" : "", states[i], remote_status_number(p, path));
	}
	(void)printf(remote_status_bool(p, "ledger.balanced") ? "\n" : "  NOT BALANCED: run kspool check\n");
}

static void print_person(struct remote_status *p)
{
	char a[NUM_SIZE_MAX], b[NUM_DURATION_MAX];

	(void)printf("kspool      %s, pid %.0f, since %s\n", remote_status_text(p, "version"),
	             remote_status_number(p, "pid"), remote_status_text(p, "started"));
	(void)printf("ready       %s%s%s\n", remote_status_bool(p, "ready") ? "yes" : "no",
	             remote_status_text(p, "why")[0] ? ": " : "", remote_status_text(p, "why"));
	print_stream(p);
	(void)printf("backlog     %.0f messages, %s, oldest %s", remote_status_number(p, "backlog.messages"),
	             bytes_of(p, "backlog.bytes", a), seconds_of(p, "backlog.oldest_age_seconds", b));
	if (remote_status_number(p, "backlog.retrying") > 0)
		(void)printf(", %.0f waiting after a failure", remote_status_number(p, "backlog.retrying"));
	if (remote_status_number(p, "backlog.messages") > 0)
		(void)printf(", empty in %s", remote_status_has(p, "backlog.time_to_drain_seconds")
		                                  ? seconds_of(p, "backlog.time_to_drain_seconds", b)
		                                  : "unknown time");
	(void)printf("\nrates       %.0f/s in, %.0f/s out\n", remote_status_number(p, "rates.accepted_per_second"),
	             remote_status_number(p, "rates.delivered_per_second"));
	print_ledger(p);
	(void)printf("spool       %s, %s on disk, ", remote_status_text(p, "spool.path"),
	             bytes_of(p, "spool.database_bytes", a));
	(void)printf(
	    "%s free, %s%s\n", bytes_of(p, "spool.free_bytes", a),
	    remote_status_bool(p, "spool.accepting") ? "accepting" : "refusing: ", remote_status_text(p, "spool.why"));
	if (remote_status_number(p, "spool.damaged_unconfirmed") > 0)
		(void)printf(
		    "damaged     %.0f messages, which nobody has confirmed: stop kspool, then kspool check says why, "
		    "and kspool repair notes that you know\n",
		    remote_status_number(p, "spool.damaged_unconfirmed"));
	if (remote_status_number(p, "spool.set_aside_files") > 0)
		(void)printf("set aside   %.0f sets of files beside the spool; kspool status --json and kspool check "
		             "list them\n",
		             remote_status_number(p, "spool.set_aside_files"));
	if (remote_status_bool(p, "spool.set_aside_waits_for_room"))
		(void)printf(
		    "            what they hold comes back when messages have left: there is no room for it now\n");
	if (remote_status_has(p, "spool.written_per_stored_byte"))
		(void)printf("wear        %s written since start, %.2f bytes for each byte of payload\n",
		             bytes_of(p, "spool.written_bytes", a),
		             remote_status_number(p, "spool.written_per_stored_byte"));
	if (remote_status_has(p, "spool.device_life_used_percent"))
		(void)printf("device      up to %.0f %% of its life is used%s%s\n",
		             remote_status_number(p, "spool.device_life_used_percent"),
		             remote_status_has(p, "spool.device_spare_blocks") ? ", spare blocks: " : "",
		             remote_status_has(p, "spool.device_spare_blocks")
		                 ? remote_status_text(p, "spool.device_spare_blocks")
		                 : "");
	(void)printf("sent        %.0f requests (%.0f failed), %.0f records throttled, %.0f possible duplicates\n",
	             remote_status_number(p, "counts.requests"), remote_status_number(p, "counts.requests_failed"),
	             remote_status_number(p, "counts.records_throttled"),
	             remote_status_number(p, "counts.possible_duplicates"));
}

static enum err show(const char *control, bool json, struct error *e)
{
	struct remote_status p = {0};
	enum err err = remote_status_take(&p, control, e);

	if (err == ERR_OK && json)
		shown_lines(stdout, p.text.data, p.text.len);
	else if (err == ERR_OK)
		print_person(&p);
	(void)fflush(stdout);
	remote_status_fini(&p);
	return err;
}

int command_status(int argc, char **argv)
{
	const struct timespec second = {.tv_sec = 1};
	struct spool_place place = {0};
	struct error e = {.code = ERR_OK};
	bool json = false, watch = false;
	const struct command_option options[] = {
	    {"config", 'c', .text = &place.config_path},
	    {"spool", .text = &place.spool_path},
	    {"json", .flag = &json},
	    {"watch", .flag = &watch},
	};
	enum err err;
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	if (optind < argc)
		return command_misused("status", "takes no argument");
	err = spool_place_find(&place, &e);
	while (err == ERR_OK) {
		if (watch && !json && isatty(STDOUT_FILENO))
			(void)printf("\033[H\033[2J");
		err = show(place.control, json, &e);
		if (!watch || err != ERR_OK)
			break;
		(void)nanosleep(&second, NULL);
	}
	if (err == ERR_UNAVAILABLE && place.path && access(place.path, F_OK) == 0)
		(void)error_wrap(
		    &e, "no kspool runs on %s here%s; kspool check and kspool peek look at a stopped one", place.path,
		    access(place.path, W_OK) != 0 && errno == EROFS ? ", which is on a read-only mount" : "");
	spool_place_fini(&place);
	return err == ERR_OK ? EX_OK : command_fail("status", &e);
}
