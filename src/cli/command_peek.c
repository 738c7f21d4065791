/*
 * kspool peek: messages that wait, for people.
 *
 * Invariants:
 * 1. Nothing is changed: a stopped spool is read under its lock, of a running one a copy, which is removed again.
 * 2. A line is printed for each message that passes every filter given, in the order of ids, up to the limit.
 * 3. One that is not what was written is marked where it is printed, and success is not the end.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/dates.h"
#include "base/jsonout.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "store/upkeep/store_copy.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/control_call.h"
#include "cli/peek_key.h"
#include "cli/spool_place.h"
#include "cli/shown.h"

enum { TIME_MAX = 48, PREVIEW_BYTES = 60 };

struct peek {
	struct spool_place place;
	bool json;
	bool show; /* one, whole */
	uint64_t id;
	int64_t since_ms, until_ms;
	const char *text;      /* null: any */
	const char *key;       /* likewise */
	struct peek_key *keys; /* null: --spool, or the configuration makes keys at random */
	uint64_t limit, printed, keyless;
	uint64_t damaged;         /* of those that were looked at */
	struct error keyless_why; /* of the last of them, or that keys are made at random */
};

/* What is shown of one. */
struct shown_key {
	const char *text; /* null: none */
	size_t bytes;
};

static bool contains(const struct store_peeked *m, const char *text)
{
	size_t bytes = strlen(text);

	return (m->body_bytes > 0 && memmem(m->body, m->body_bytes, text, bytes)) ||
	       (m->meta_bytes > 0 && memmem(m->meta, m->meta_bytes, text, bytes));
}

static struct shown_key key_of(struct peek *p, const struct store_peeked *m)
{
	struct shown_key key = {0};
	struct error e;

	if (p->keys && m->is_sound)
		key.text = peek_key_of(p->keys, m, &key.bytes, &e);
	if (p->keys && m->is_sound && !key.text) {
		p->keyless++;
		if (p->keyless_why.code != ERR_UNSUPPORTED)
			p->keyless_why = e;
	}
	return key;
}

static bool passes(const struct peek *p, const struct store_peeked *m)
{
	return (!p->show || m->id == p->id) && m->received_ms >= p->since_ms && m->received_ms <= p->until_ms &&
	       (!p->text || contains(m, p->text));
}

static bool key_passes(const struct peek *p, const struct shown_key *key)
{
	return !p->key || (key->text && key->bytes == strlen(p->key) && memcmp(key->text, p->key, key->bytes) == 0);
}

static void print_metadata(const struct store_peeked *m)
{
	struct meta_entry entry;
	size_t cursor = 0;

	while (meta_next(m->meta, m->meta_bytes, &cursor, &entry))
		(void)printf("metadata  %s = %s\n", shown_n(entry.key, entry.key_length),
		             shown_n(entry.value, entry.value_length));
}

/* As text when all of it is, and then cut between two characters. */
static void print_json_body(struct jsonout *j, const char *body, size_t bytes, size_t most)
{
	const bool is_text = utf8_is_valid(body, bytes);
	size_t shown = bytes < most ? bytes : most;

	while (is_text && shown < bytes && ((unsigned char)body[shown] & 0xc0) == 0x80)
		shown--;
	if (is_text)
		jsonout_text_n(j, "body", body, shown);
	else
		jsonout_base64(j, "body_base64", body, shown);
}

static void print_json(const struct peek *p, const struct store_peeked *m, const struct shown_key *key)
{
	struct meta_entry entry;
	struct jsonout j;
	struct buf out;
	size_t cursor = 0;

	buf_init(&out, SIZE_MAX / 2);
	jsonout_init(&j, &out);
	jsonout_object(&j, NULL);
	jsonout_uint(&j, "id", m->id);
	jsonout_uint(&j, "block", m->block_id);
	jsonout_time_ms(&j, "received", m->received_ms);
	jsonout_bool(&j, "sound", m->is_sound);
	jsonout_uint(&j, "bytes", m->body_bytes);
	if (key->text)
		jsonout_text_n(&j, "partition_key", key->text, key->bytes);
	jsonout_object(&j, "metadata");
	while (meta_next(m->meta, m->meta_bytes, &cursor, &entry)) {
		AUTOFREE char *name = mem_format("%.*s", (int)entry.key_length, entry.key);

		jsonout_text_n(&j, name, entry.value, entry.value_length);
	}
	jsonout_object_end(&j);
	print_json_body(&j, m->body_bytes ? m->body : "", m->body_bytes, p->show ? SIZE_MAX : PREVIEW_BYTES);
	jsonout_object_end(&j);
	(void)fwrite(out.data, 1, out.len, stdout);
	(void)putchar('\n');
	buf_fini(&out);
}

static void print_whole(const struct store_peeked *m, const struct shown_key *key, const char *time)
{
	(void)printf("id        %" PRIu64 "\nblock     %" PRIu64 "\nreceived  %s\nbytes     %zu\nsound     %s\n", m->id,
	             m->block_id, time, m->body_bytes, m->is_sound ? "yes" : "no");
	if (key->text)
		(void)printf("key       %s\n", shown_n(key->text, key->bytes));
	print_metadata(m);
	(void)putchar('\n');
	shown_payload(stdout, m->body_bytes ? m->body : "", m->body_bytes);
	(void)putchar('\n');
}

static bool visit(void *arg, const struct store_peeked *m)
{
	struct peek *p = arg;
	struct shown_key key = {0};
	char time[TIME_MAX];

	/* whether one would pass is not known when it is not what was written */
	p->damaged += !m->is_sound && (!p->show || m->id == p->id);
	if (!passes(p, m))
		return true;
	if (p->key || p->json || p->show)
		key = key_of(p, m);
	if (!key_passes(p, &key))
		return true;
	p->printed++;
	(void)dates_format_iso_ms(m->received_ms, time);
	if (p->json) {
		print_json(p, m, &key);
	} else if (p->show) {
		print_whole(m, &key, time);
	} else {
		(void)printf("%" PRIu64 "\t%s\t%zu\t", m->id, time, m->body_bytes);
		shown_preview(stdout, m->body_bytes ? m->body : "", m->body_bytes, PREVIEW_BYTES);
		(void)printf("%s\n", m->is_sound ? "" : "\tdamaged");
	}
	return p->printed < p->limit;
}

/* Beside the spool, where there is room for it and nobody else may look. ERR_UNAVAILABLE: no daemon runs. */
static enum err copy_running(const struct peek *p, const char *copy, struct error *e)
{
	struct buf target;
	enum err err;

	buf_init(&target, 3 * PATH_MAX + 64);
	(void)buf_add_text(&target, "/export?to=");
	for (const unsigned char *c = (const unsigned char *)copy; *c; c++)
		(void)buf_addf(&target, strchr("%&+#= ?", *c) || *c < 0x21 || *c > 0x7e ? "%%%02X" : "%c", *c);
	err = control_call(p->place.control, "POST", target.data, NULL, e);
	buf_fini(&target);
	return err;
}

static enum err look(struct peek *p, struct error *e)
{
	AUTOFREE char *whole = realpath(p->place.path, NULL);
	AUTOFREE char *copy = mem_format("%s.peek-%ld", whole ? whole : p->place.path, (long)getpid());
	enum err err = copy_running(p, copy, e);

	if (err == ERR_UNAVAILABLE)
		return store_peek(p->place.path, false, visit, p, e);
	if (err == ERR_OK)
		err = store_peek(copy, true, visit, p, e);
	(void)unlink(copy);
	return err;
}

static int read_arguments(int argc, char **argv, struct peek *p)
{
	const char *since = NULL, *until = NULL, *limit = NULL;
	const struct command_option options[] = {
	    {"config", 'c', .text = &p->place.config_path},
	    {"spool", .text = &p->place.spool_path},
	    {"json", .flag = &p->json},
	    {"since", .text = &since},
	    {"until", .text = &until},
	    {"text", .text = &p->text},
	    {"key", .text = &p->key},
	    {"limit", .text = &limit},
	};
	int status = command_read_options(argc, argv, options, sizeof options / sizeof *options);

	if (status != EX_OK)
		return status;
	if ((since && !dates_parse_short(since, &p->since_ms)) || (until && !dates_parse_short(until, &p->until_ms)))
		return command_misused("peek", "a time is written as 2026-11-26T18:30:00Z, 2026-11-26T18:30,"
		                               " \"2026-11-26 18:30\" or 2026-11-26, and is UTC");
	if (p->key && p->place.spool_path)
		return command_misused("peek", "--key needs -c CONFIG: output.aws_kinesis.partition_key makes the key");
	if (limit && (!num_parse_u64(limit, &p->limit) || p->limit == 0))
		return command_misused("peek", "--limit is a number above 0");
	if (argc - optind == 2 && strcmp(argv[optind], "show") == 0 && num_parse_u64(argv[optind + 1], &p->id))
		p->show = true;
	else if (argc != optind && (argc - optind != 1 || strcmp(argv[optind], "list") != 0))
		return command_misused("peek", "say list, or show and an id");
	return EX_OK;
}

/* ERR_OK also when there was none, but the search was possible. */
static enum err tell_keyless(const struct peek *p, struct error *e)
{
	if (!p->key || p->keyless == 0)
		return ERR_OK;
	if (p->keyless_why.code == ERR_UNSUPPORTED) {
		*e = p->keyless_why;
		return e->code;
	}
	(void)fprintf(stderr, "kspool peek: of %" PRIu64 " messages no key can be made, the last one: %s\n", p->keyless,
	              shown(p->keyless_why.text));
	return ERR_OK;
}

static enum err tell_damaged(const struct peek *p, struct error *e)
{
	if (p->damaged == 0)
		return ERR_OK;
	return error_set(e, ERR_DAMAGED,
	                 "%" PRIu64 " of the messages that were looked at are damaged, which is to say not what was"
	                 " written: they are not sent, and kspool repair sets them aside",
	                 p->damaged);
}

int command_peek(int argc, char **argv)
{
	struct peek p = {.until_ms = INT64_MAX, .limit = UINT64_MAX};
	struct error e = {.code = ERR_OK};
	int status = read_arguments(argc, argv, &p);

	if (status != EX_OK)
		return status;
	if (spool_place_find(&p.place, &e) != ERR_OK ||
	    (p.place.config && peek_key_new(p.place.config, &p.keys, &e) != ERR_OK && p.key) ||
	    look(&p, &e) != ERR_OK || tell_keyless(&p, &e) != ERR_OK) {
		status = command_fail("peek", &e);
	} else if (p.show && p.printed == 0) {
		(void)error_set(&e, ERR_INPUT, "no message %" PRIu64 " waits", p.id);
		status = command_fail("peek", &e);
	} else if (tell_damaged(&p, &e) != ERR_OK) {
		status = command_fail("peek", &e);
	}
	peek_key_free(p.keys);
	spool_place_fini(&p.place);
	return status;
}
