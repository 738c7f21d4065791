/* The set-aside shelf, by the running daemon or on a stopped spool. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/stopped.h"
#include "value/json.h"
#include "value/path.h"

enum { ANSWER_MAX_BYTES = 64 << 20, PAGE_ROWS = 500, ALL = 'a', YES = 'y' };

struct shelf {
	struct spool_place place;
	struct store *store; /* when no daemon runs */
	uint64_t last_id;
	uint32_t seen;
};

static void print_time(int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / MS_PER_S);
	char text[32] = "-";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		(void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	(void)fputs(text, stdout);
}

static bool list_row(void *arg, const struct store_dead *dead)
{
	struct shelf *shelf = arg;

	shelf->last_id = dead->id;
	shelf->seen++;
	(void)printf("%" PRIu64 "\t", dead->id);
	print_time(dead->died_ms);
	(void)printf("\t%" PRIu32 "\t%zu\t%s\t%s\n", dead->attempts, dead->body_bytes, dead->code ? dead->code : "",
	             dead->reason ? dead->reason : "");
	return true;
}

static bool show_row(void *arg, const struct store_dead *dead)
{
	struct meta_entry entry;
	size_t cursor = 0;

	(void)arg;
	(void)printf("id        %" PRIu64 "\nreceived  ", dead->id);
	print_time(dead->received_ms);
	(void)printf("\nset aside ");
	print_time(dead->died_ms);
	(void)printf("\nattempts  %" PRIu32 "\ncode      %s\nreason    %s\nbytes     %zu\n", dead->attempts,
	             dead->code ? dead->code : "", dead->reason ? dead->reason : "", dead->body_bytes);
	while (meta_next(dead->meta, dead->meta_bytes, &cursor, &entry))
		(void)printf("metadata  %.*s = %.*s\n", (int)entry.key_length, entry.key, (int)entry.value_length,
		             entry.value);
	(void)printf("\n");
	(void)fwrite(dead->body, 1, dead->body_bytes, stdout);
	(void)printf("\n");
	return true;
}

static enum err list_stopped(struct shelf *shelf, struct error *e)
{
	for (;;) {
		enum err r;

		shelf->seen = 0;
		r = store_dead_walk(shelf->store, shelf->last_id, PAGE_ROWS, list_row, shelf, e);
		if (r != ERR_OK || shelf->seen < PAGE_ROWS)
			return r;
	}
}

/* The text or number of a member, as text. */
static const char *member(struct arena *a, struct value row, const char *name)
{
	struct json_step step = {name, (uint32_t)strlen(name)};
	struct value v = value_to_text(a, path_get(a, row, &step, 1, NULL));

	return arena_copy(a, v.text, v.length);
}

static enum err list_page(struct shelf *shelf, struct error *e)
{
	const char *wrong;
	struct arena arena;
	struct value rows;
	struct buf body;
	char target[128];
	enum err r;

	(void)snprintf(target, sizeof target, "/dead?after=%" PRIu64 "&limit=%d", shelf->last_id, PAGE_ROWS);
	buf_init(&body, ANSWER_MAX_BYTES);
	arena_init(&arena, ANSWER_MAX_BYTES);
	r = control_call(shelf->place.control, "GET", target, &body, e);
	if (r == ERR_OK &&
	    (!json_parse(&arena, body.data ? body.data : "", body.len, &rows, &wrong) || rows.kind != VALUE_ARRAY))
		r = error_set(e, ERR_FORMAT, "the daemon's list cannot be read");
	shelf->seen = 0;
	for (uint32_t i = 0; r == ERR_OK && i < value_count(rows); i++) {
		struct value row = rows.array->items[i];

		(void)printf("%s\t%s\t%s\t%s\t%s\t%s\n", member(&arena, row, "id"), member(&arena, row, "set_aside"),
		             member(&arena, row, "attempts"), member(&arena, row, "bytes"), member(&arena, row, "code"),
		             member(&arena, row, "reason"));
		(void)num_parse_u64(member(&arena, row, "id"), &shelf->last_id);
		shelf->seen++;
	}
	buf_fini(&body);
	arena_fini(&arena);
	return r;
}

static enum err list(struct shelf *shelf, struct error *e)
{
	if (shelf->store)
		return list_stopped(shelf, e);
	do {
		enum err r = list_page(shelf, e);

		if (r != ERR_OK)
			return r;
	} while (shelf->seen == PAGE_ROWS);
	return ERR_OK;
}

static enum err show(struct shelf *shelf, uint64_t id, struct error *e)
{
	char target[64];
	struct buf body;
	enum err r;

	if (shelf->store)
		return store_dead_get(shelf->store, id, show_row, shelf, e);
	(void)snprintf(target, sizeof target, "/dead?id=%" PRIu64 "&body=1", id);
	buf_init(&body, ANSWER_MAX_BYTES);
	r = control_call(shelf->place.control, "GET", target, &body, e);
	if (r == ERR_OK)
		(void)printf("%s\n", body.data ? body.data : "");
	buf_fini(&body);
	return r;
}

static enum err change(struct shelf *shelf, const char *verb, uint64_t id, struct error *e)
{
	uint64_t count = 0;
	char target[64];
	struct buf body;
	enum err r;

	if (shelf->store) {
		r = strcmp(verb, "retry") == 0 ? store_dead_retry(shelf->store, id, &count, e)
		                               : store_dead_purge(shelf->store, id, &count, e);
		if (r == ERR_OK)
			(void)printf("{\"count\":%" PRIu64 "}\n", count);
		return r;
	}
	(void)snprintf(target, sizeof target, "/dead/%s?id=%" PRIu64, verb, id);
	buf_init(&body, ANSWER_MAX_BYTES);
	r = control_call(shelf->place.control, "POST", target, &body, e);
	if (r == ERR_OK)
		(void)printf("%s\n", body.data ? body.data : "");
	buf_fini(&body);
	return r;
}

static bool person_agrees(void)
{
	char answer[16];

	(void)fprintf(stderr, "These messages will be gone for good. Type yes to purge them: ");
	return fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0;
}

static enum err act(struct shelf *shelf, const char *verb, uint64_t id, struct error *e)
{
	struct error nobody = {.code = ERR_OK};
	enum err r = control_call(shelf->place.control, "GET", "/ping", NULL, &nobody);

	if (r == ERR_UNAVAILABLE)
		r = stopped_spool_open(&shelf->place, false, &shelf->store, e);
	else if (r != ERR_OK)
		*e = nobody;
	if (r != ERR_OK)
		return r;
	if (strcmp(verb, "list") == 0)
		r = list(shelf, e);
	else if (strcmp(verb, "show") == 0)
		r = show(shelf, id, e);
	else
		r = change(shelf, verb, id, e);
	if (shelf->store && r == ERR_OK)
		return store_close(shelf->store, e);
	(void)store_close(shelf->store, NULL);
	return r;
}

int command_dead(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"spool", required_argument, NULL, 'p'},
	    {"all", no_argument, NULL, ALL},
	    {"yes", no_argument, NULL, YES},
	    {NULL, 0, NULL, 0},
	};
	struct shelf shelf = {0};
	struct error e = {.code = ERR_OK};
	bool all = false, yes = false;
	const char *verb;
	uint64_t id = 0;
	int opt, status;

	while ((opt = getopt_long(argc, argv, "c:", longs, NULL)) != -1) {
		if (opt == 'c')
			shelf.place.config_path = optarg;
		else if (opt == 'p')
			shelf.place.spool_path = optarg;
		else if (opt == ALL)
			all = true;
		else if (opt == YES)
			yes = true;
		else
			return command_misused("dead", "unknown option");
	}
	verb = optind < argc ? argv[optind++] : "";
	if (strcmp(verb, "list") != 0 && strcmp(verb, "show") != 0 && strcmp(verb, "retry") != 0 &&
	    strcmp(verb, "purge") != 0)
		return command_misused("dead", "say list, show, retry or purge");
	if (strcmp(verb, "list") != 0 && !all && (optind == argc || !num_parse_u64(argv[optind++], &id) || id == 0))
		return command_misused("dead", "%s needs the id of a message%s", verb,
		                       strcmp(verb, "show") == 0 ? "" : " or --all");
	if (optind < argc)
		return command_misused("dead", "too many arguments");
	if (strcmp(verb, "purge") == 0 && !yes && !person_agrees()) {
		(void)fprintf(stderr, "kspool dead: nothing was purged\n");
		return EX_TEMPFAIL;
	}
	status = spool_place_find(&shelf.place, &e) == ERR_OK && act(&shelf, verb, id, &e) == ERR_OK
	             ? EX_OK
	             : command_fail("dead", &e);
	spool_place_fini(&shelf.place);
	return status;
}
