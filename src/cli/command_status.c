#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/status_document.h"

static const char *bytes_of(struct picture *p, const char *path, char *buffer)
{
	return num_format_size((uint64_t)picture_number(p, path), buffer);
}

static const char *seconds_of(struct picture *p, const char *path, char *buffer)
{
	return num_format_duration((int64_t)picture_number(p, path) * NS_PER_S, buffer);
}

static void print_stream(struct picture *p)
{
	(void)printf("stream      %s %s", picture_text(p, "stream.name"), picture_text(p, "stream.state"));
	if (picture_text(p, "stream.since")[0])
		(void)printf(" since %s", picture_text(p, "stream.since"));
	if (picture_text(p, "stream.reason")[0])
		(void)printf("\n            %s: %s", picture_text(p, "stream.code"), picture_text(p, "stream.reason"));
	if (picture_text(p, "stream.next_probe")[0])
		(void)printf("\n            next try %s", picture_text(p, "stream.next_probe"));
	(void)printf("\n            %s, region %s, last acknowledgement %s\n", picture_text(p, "stream.host"),
	             picture_text(p, "stream.region"),
	             picture_text(p, "stream.last_acknowledged")[0] ? picture_text(p, "stream.last_acknowledged")
	                                                            : "never");
	(void)printf("credentials %s %s\n", picture_text(p, "credentials.provider"),
	             picture_text(p, "credentials.access_key_id"));
}

static void print_ledger(struct picture *p)
{
	static const char *const states[] = {
#define LEDGER_STATE(id, word, meaning) #word,
#include "base/ledger.def"
	};

	(void)printf("ledger      accepted %.0f =", picture_number(p, "ledger.accepted"));
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		char path[32];

		(void)snprintf(path, sizeof path, "ledger.%s", states[i]);
		if (i < 2 || picture_number(p, path) > 0)
			(void)printf("%s %s %.0f", i ? " +" : "", states[i], picture_number(p, path));
	}
	(void)printf(picture_bool(p, "ledger.balanced") ? "\n" : "  NOT BALANCED: run kspool check\n");
}

static void print_person(struct picture *p)
{
	char a[NUM_SIZE_MAX], b[NUM_DURATION_MAX];

	(void)printf("kspool      %s, pid %.0f, since %s\n", picture_text(p, "version"), picture_number(p, "pid"),
	             picture_text(p, "started"));
	(void)printf("ready       %s%s%s\n", picture_bool(p, "ready") ? "yes" : "no",
	             picture_text(p, "why")[0] ? ": " : "", picture_text(p, "why"));
	print_stream(p);
	(void)printf("backlog     %.0f messages, %s, oldest %s", picture_number(p, "backlog.messages"),
	             bytes_of(p, "backlog.bytes", a), seconds_of(p, "backlog.oldest_age_seconds", b));
	if (picture_number(p, "backlog.retrying") > 0)
		(void)printf(", %.0f waiting after a failure", picture_number(p, "backlog.retrying"));
	if (picture_number(p, "backlog.messages") > 0)
		(void)printf(", empty in %s", picture_has(p, "backlog.time_to_drain_seconds")
		                                  ? seconds_of(p, "backlog.time_to_drain_seconds", b)
		                                  : "unknown time");
	(void)printf("\nrates       %.0f/s in, %.0f/s out\n", picture_number(p, "rates.accepted_per_second"),
	             picture_number(p, "rates.delivered_per_second"));
	print_ledger(p);
	(void)printf("spool       %s, %s on disk, ", picture_text(p, "spool.path"),
	             bytes_of(p, "spool.database_bytes", a));
	(void)printf("%s free, %s%s\n", bytes_of(p, "spool.free_bytes", a),
	             picture_bool(p, "spool.accepting") ? "accepting" : "refusing: ", picture_text(p, "spool.why"));
	(void)printf("sent        %.0f requests (%.0f failed), %.0f records throttled, %.0f possible duplicates\n",
	             picture_number(p, "counts.requests"), picture_number(p, "counts.requests_failed"),
	             picture_number(p, "counts.records_throttled"), picture_number(p, "counts.possible_duplicates"));
}

static enum err show(const char *control, bool json, struct error *e)
{
	struct picture p = {0};
	enum err err = picture_take(&p, control, e);

	if (err == ERR_OK && json)
		(void)fwrite(p.text.data, 1, p.text.len, stdout);
	else if (err == ERR_OK)
		print_person(&p);
	(void)fflush(stdout);
	picture_fini(&p);
	return err;
}

int command_status(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"spool", required_argument, NULL, 'p'},
	    {"json", no_argument, NULL, 'j'},
	    {"watch", no_argument, NULL, 'w'},
	    {NULL, 0, NULL, 0},
	};
	const struct timespec second = {.tv_sec = 1};
	struct spool_place place = {0};
	struct error e = {.code = ERR_OK};
	bool json = false, watch = false;
	enum err err;
	int opt;

	while ((opt = getopt_long(argc, argv, "c:", longs, NULL)) != -1) {
		if (opt == 'c')
			place.config_path = optarg;
		else if (opt == 'p')
			place.spool_path = optarg;
		else if (opt == 'j')
			json = true;
		else if (opt == 'w')
			watch = true;
		else
			return command_misused("status", "unknown option");
	}
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
	spool_place_fini(&place);
	return err == ERR_OK ? EX_OK : command_fail("status", &e);
}
