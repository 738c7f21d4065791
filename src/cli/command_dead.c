/*
 * The set-aside shelf, by the running daemon or on a stopped spool.
 *
 * Invariants:
 * 1. `store` is open exactly when no daemon answered; then the spool's lock is ours until the command ends.
 * 2. What is printed is the same whoever was asked: both ways end in a dead_view and the same printers.
 * 3. `last_id` is the id of the last row printed; a page begins behind it, so no row comes twice.
 * 4. Nothing is purged without --yes or a person's "yes".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/mem.h"
#include "base/num.h"
#include "value/json.h"
#include "value/path.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/control_call.h"
#include "cli/spool_place.h"
#include "cli/stopped_spool.h"
#include "cli/shown.h"

enum { ANSWER_MAX_BYTES = 64 << 20, ARENA_MAX_BYTES = 256 << 20, PAGE_ROWS = 500 };

struct shelf {
	struct spool_place place;
	struct store *store; /* when no daemon runs */
	uint64_t last_id;
	uint32_t seen;
	uint64_t damaged; /* that were shown, or could not be put back */
};

/* A message of the shelf as people see it, whoever was asked. */
struct dead_view {
	const char *id;
	const char *received;
	const char *set_aside;
	const char *attempts;
	const char *bytes;
	const char *code;
	const char *reason;
	bool is_damaged;
};

enum { TIME_MAX = 48, NUMBER_MAX = 24 };

/* The texts a row's view points into. */
struct dead_texts {
	char id[NUMBER_MAX];
	char received[TIME_MAX];
	char set_aside[TIME_MAX];
	char attempts[NUMBER_MAX];
	char bytes[NUMBER_MAX];
};

static void print_time(int64_t wall_ms, char *text)
{
	if (wall_ms > 0)
		(void)dates_format_iso_ms(wall_ms, text);
	else
		(void)strcpy(text, "-");
}

static struct dead_view view_of_row(const struct store_dead *dead, struct dead_texts *t)
{
	(void)snprintf(t->id, sizeof t->id, "%" PRIu64, dead->id);
	(void)snprintf(t->attempts, sizeof t->attempts, "%" PRIu32, dead->attempts);
	(void)snprintf(t->bytes, sizeof t->bytes, "%zu", dead->body_bytes);
	print_time(dead->received_ms, t->received);
	print_time(dead->died_ms, t->set_aside);
	return (struct dead_view){
	    .id = t->id,
	    .received = t->received,
	    .set_aside = t->set_aside,
	    .attempts = t->attempts,
	    .bytes = t->bytes,
	    .code = dead->code ? dead->code : "",
	    .reason = dead->reason ? dead->reason : "",
	    .is_damaged = dead->is_damaged,
	};
}

static void print_line(const struct dead_view *p)
{
	(void)printf("%s\t%s\t%s\t%s\t%s\t%s%s\n", shown(p->id), shown(p->set_aside), shown(p->attempts),
	             shown(p->bytes), shown(p->code), shown(p->reason), p->is_damaged ? "\tdamaged" : "");
}

static void print_head(const struct dead_view *p)
{
	(void)printf(
	    "id        %s\nreceived  %s\nset aside %s\nattempts  %s\ncode      %s\nreason    %s\nbytes     %s\n",
	    shown(p->id), shown(p->received), shown(p->set_aside), shown(p->attempts), shown(p->code), shown(p->reason),
	    shown(p->bytes));
	if (p->is_damaged)
		(void)printf("damaged   it is not what was written, and cannot be put back\n");
}

static void print_metadata(const char *key, size_t key_length, const char *value, size_t value_length)
{
	(void)printf("metadata  %s = %s\n", shown_n(key, key_length), shown_n(value, value_length));
}

static void print_body(const void *body, size_t bytes)
{
	(void)printf("\n");
	shown_payload(stdout, body, bytes);
	(void)printf("\n");
}

static bool list_row(void *arg, const struct store_dead *dead)
{
	struct shelf *shelf = arg;
	struct dead_texts texts;
	struct dead_view view = view_of_row(dead, &texts);

	shelf->last_id = dead->id;
	shelf->seen++;
	shelf->damaged += dead->is_damaged;
	print_line(&view);
	return true;
}

/* By key, as the objects of a running daemon's answer are. */
static int compare_keys(const void *a, const void *b)
{
	const struct meta_entry *x = a, *y = b;
	size_t least = x->key_length < y->key_length ? x->key_length : y->key_length;
	int order = memcmp(x->key, y->key, least);

	return order ? order : (x->key_length > y->key_length) - (x->key_length < y->key_length);
}

static bool show_row(void *arg, const struct store_dead *dead)
{
	AUTOFREE struct meta_entry *entries = NULL;
	struct dead_texts texts;
	struct dead_view view = view_of_row(dead, &texts);
	struct meta_entry entry;
	struct shelf *shelf = arg;
	size_t cursor = 0, count = 0;

	shelf->damaged += dead->is_damaged;
	print_head(&view);
	while (meta_next(dead->meta, dead->meta_bytes, &cursor, &entry)) {
		entries = mem_grow(entries, count + 1, sizeof *entries);
		entries[count++] = entry;
	}
	if (count > 0)
		qsort(entries, count, sizeof *entries, compare_keys);
	for (size_t i = 0; i < count; i++)
		print_metadata(entries[i].key, entries[i].key_length, entries[i].value, entries[i].value_length);
	print_body(dead->body, dead->body_bytes);
	return true;
}

static enum err list_stopped(struct shelf *shelf, struct error *e)
{
	for (;;) {
		enum err err;

		shelf->seen = 0;
		err = store_dead_walk(shelf->store, shelf->last_id, PAGE_ROWS, list_row, shelf, e);
		if (err != ERR_OK || shelf->seen < PAGE_ROWS)
			return err;
	}
}

static struct value member(struct arena *a, struct value row, const char *name)
{
	struct json_step step = {name, (uint32_t)strlen(name)};

	return path_get(a, row, &step, 1, NULL);
}

/* The text or number of a member, as text. */
static const char *member_text(struct arena *a, struct value row, const char *name, const char *when_null)
{
	struct value v = member(a, row, name);
	const char *error;

	if (value_is_nullish(v) || !value_to_text(a, v, &v, &error))
		return when_null;
	return arena_copy(a, v.text, v.length);
}

static struct dead_view view_of_answer(struct arena *a, struct value row)
{
	return (struct dead_view){
	    .id = member_text(a, row, "id", ""),
	    .received = member_text(a, row, "received", "-"),
	    .set_aside = member_text(a, row, "set_aside", "-"),
	    .attempts = member_text(a, row, "attempts", ""),
	    .bytes = member_text(a, row, "bytes", ""),
	    .code = member_text(a, row, "code", ""),
	    .reason = member_text(a, row, "reason", ""),
	    .is_damaged = strcmp(member_text(a, row, "damaged", ""), "true") == 0,
	};
}

/* Asks the daemon for rows of the shelf; they lie in the arena. */
static enum err ask_rows(const struct shelf *shelf, const char *target, struct arena *arena, struct value *ret,
                         struct error *e)
{
	const char *wrong;
	struct buf body;
	enum err err;

	buf_init(&body, ANSWER_MAX_BYTES);
	err = control_call(shelf->place.control, "GET", target, &body, e);
	if (err == ERR_OK &&
	    (!json_parse(arena, arena_copy(arena, body.data ? body.data : "", body.len), body.len, ret, &wrong) ||
	     ret->kind != VALUE_ARRAY))
		err = error_set(e, ERR_FORMAT, "the daemon's list cannot be read");
	buf_fini(&body);
	return err;
}

static enum err list_page(struct shelf *shelf, struct error *e)
{
	struct arena arena;
	struct value rows;
	char target[128];
	enum err err;

	(void)snprintf(target, sizeof target, "/dead?after=%" PRIu64 "&limit=%d", shelf->last_id, PAGE_ROWS);
	arena_init(&arena, ARENA_MAX_BYTES);
	err = ask_rows(shelf, target, &arena, &rows, e);
	shelf->seen = 0;
	for (uint32_t i = 0; err == ERR_OK && i < value_count(rows); i++) {
		struct dead_view view = view_of_answer(&arena, rows.array->items[i]);

		print_line(&view);
		(void)num_parse_u64(view.id, &shelf->last_id);
		shelf->seen++;
		shelf->damaged += view.is_damaged;
	}
	arena_fini(&arena);
	return err;
}

static enum err show_answer(struct shelf *shelf, struct arena *a, struct value row, struct error *e)
{
	struct dead_view view = view_of_answer(a, row);
	struct value metadata = member(a, row, "metadata"), body = member(a, row, "body_base64");
	char *bytes = arena_alloc(a, base64_room(body.length));
	size_t length;

	if (!value_is_text(body) || !base64_decode(BASE64_STANDARD, body.text, body.length, bytes, &length))
		return error_set(e, ERR_FORMAT, "the daemon's message cannot be read");
	shelf->damaged += view.is_damaged;
	print_head(&view);
	for (uint32_t i = 0; metadata.kind == VALUE_OBJECT && i < value_count(metadata); i++) {
		const struct value_pair *pair = &metadata.object->pairs[i];

		print_metadata(pair->key, pair->key_length, pair->value.text, pair->value.length);
	}
	print_body(bytes, length);
	return ERR_OK;
}

static enum err list(struct shelf *shelf, struct error *e)
{
	if (shelf->store)
		return list_stopped(shelf, e);
	do {
		enum err err = list_page(shelf, e);

		if (err != ERR_OK)
			return err;
	} while (shelf->seen == PAGE_ROWS);
	return ERR_OK;
}

static enum err show(struct shelf *shelf, uint64_t id, struct error *e)
{
	struct arena arena;
	struct value rows;
	char target[64];
	enum err err;

	if (shelf->store)
		return store_dead_get(shelf->store, id, show_row, shelf, e);
	(void)snprintf(target, sizeof target, "/dead?id=%" PRIu64 "&body=1", id);
	arena_init(&arena, ARENA_MAX_BYTES);
	err = ask_rows(shelf, target, &arena, &rows, e);
	if (err == ERR_OK)
		err = value_count(rows) == 1 ? show_answer(shelf, &arena, rows.array->items[0], e)
		                             : error_set(e, ERR_INPUT, "no message %" PRIu64 " is set aside", id);
	arena_fini(&arena);
	return err;
}

/* How many the daemon's answer says could not be put back. */
static uint64_t damaged_of_answer(const struct buf *body)
{
	struct arena arena;
	struct value answer;
	const char *wrong;
	uint64_t damaged = 0;

	arena_init(&arena, ARENA_MAX_BYTES);
	if (body->data && json_parse(&arena, body->data, body->len, &answer, &wrong))
		(void)num_parse_u64(member_text(&arena, answer, "damaged", "0"), &damaged);
	arena_fini(&arena);
	return damaged;
}

static enum err change(struct shelf *shelf, const char *verb, uint64_t id, struct error *e)
{
	uint64_t count = 0;
	char target[64];
	struct buf body;
	enum err err;

	if (shelf->store) {
		err = strcmp(verb, "retry") == 0 ? store_dead_retry(shelf->store, id, &count, &shelf->damaged, e)
		                                 : store_dead_purge(shelf->store, id, &count, e);
		if (err == ERR_OK)
			(void)printf("{\"count\":%" PRIu64 "}\n", count);
		return err;
	}
	(void)snprintf(target, sizeof target, "/dead/%s?id=%" PRIu64, verb, id);
	buf_init(&body, ANSWER_MAX_BYTES);
	err = control_call(shelf->place.control, "POST", target, &body, e);
	if (err == ERR_OK)
		(void)printf("%s\n", body.data ? shown(body.data) : "");
	if (err == ERR_OK)
		shelf->damaged = damaged_of_answer(&body);
	buf_fini(&body);
	return err;
}

/* What was shown, or put back of the others, stands; `rest`: what else the spool does not show. */
static enum err tell_damaged(const struct shelf *shelf, const struct error *rest, struct error *e)
{
	if (shelf->damaged == 0 && rest->code != ERR_OK)
		*e = *rest;
	if (shelf->damaged == 0)
		return rest->code;
	(void)error_set(e, ERR_DAMAGED,
	                "%" PRIu64
	                " messages are not what was written and stay on the shelf; kspool dead list marks them,"
	                " kspool repair takes them off it",
	                shelf->damaged);
	if (rest->code != ERR_OK)
		(void)error_wrap(e, "%s", rest->text);
	return ERR_DAMAGED;
}

static bool person_agrees(void)
{
	char answer[16];

	(void)fprintf(stderr, "These messages will be gone for good. Type yes to purge them: ");
	return fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0;
}

static enum err act(struct shelf *shelf, const char *verb, uint64_t id, struct error *e)
{
	struct error nobody = {.code = ERR_OK}, rest = {.code = ERR_OK};
	enum err err = control_call(shelf->place.control, "GET", "/ping", NULL, &nobody);

	if (err == ERR_UNAVAILABLE && (strcmp(verb, "list") == 0 || strcmp(verb, "show") == 0))
		err = stopped_spool_read(&shelf->place, true, &shelf->store, &rest, e);
	else if (err == ERR_UNAVAILABLE)
		err = stopped_spool_open(&shelf->place, "dead", false, &shelf->store, e);
	else if (err != ERR_OK)
		*e = nobody;
	if (err != ERR_OK)
		return err;
	if (strcmp(verb, "list") == 0)
		err = list(shelf, e);
	else if (strcmp(verb, "show") == 0)
		err = show(shelf, id, e);
	else
		err = change(shelf, verb, id, e);
	if (shelf->store && err == ERR_OK)
		err = store_close(shelf->store, e);
	else
		(void)store_close(shelf->store, NULL);
	if (err == ERR_DAMAGED && shelf->store)
		(void)error_wrap(e, "kspool repair, or a start, mends what can be");
	return err == ERR_OK ? tell_damaged(shelf, &rest, e) : err;
}

int command_dead(int argc, char **argv)
{
	struct shelf shelf = {0};
	struct error e = {.code = ERR_OK};
	bool all = false, yes = false;
	const struct command_option options[] = {
	    {"config", 'c', .text = &shelf.place.config_path},
	    {"spool", .text = &shelf.place.spool_path},
	    {"all", .flag = &all},
	    {"yes", .flag = &yes},
	};
	const char *verb;
	uint64_t id = 0;
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	verb = optind < argc ? argv[optind++] : "";
	if (strcmp(verb, "list") != 0 && strcmp(verb, "show") != 0 && strcmp(verb, "retry") != 0 &&
	    strcmp(verb, "purge") != 0)
		return command_misused("dead", "say list, show, retry or purge");
	if (all && (strcmp(verb, "list") == 0 || strcmp(verb, "show") == 0))
		return command_misused("dead", "--all is for retry and purge");
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
