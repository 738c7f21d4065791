/*
 * unarchive: one message becomes many; the inverse of archive, and json_documents, json_map, csv, csv:<char>.
 *
 * tar and zip add the metadata archive_filename, json_map adds archive_key. Every piece stands for the whole's rows. A
 * message that cannot be cut stays as it was, flagged.
 *
 * Invariants:
 * 1. Pieces share the origin of the whole; the whole is freed only when all of them are made.
 * 2. A message that cannot be cut leaves as it came, flagged, and its pieces so far are freed.
 * 3. Pieces of one message have at most BODY_MAX_BYTES and PIECES_MAX, and cost no more than the run may hold.
 */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "value/json.h"
#include "pipeline/stage_internal.h"

enum { BODY_MAX_BYTES = 64 << 20, PIECES_MAX = 1000000 };

struct unarchiver;

struct cutting {
	const struct unarchiver *unarchiver;
	struct runner *runner;
	const struct stage *stage;
	const struct message *whole;
	struct pipeline_batch pieces;
	size_t cost;    /* of all pieces as messages */
	uint64_t bytes; /* of all pieces: a small archive may hold very much */
	struct error error;
};

struct unarchiver {
	bool (*cut)(struct cutting *c);
	struct bloblang_mapping *csv;
};

static bool cut_fails(struct cutting *c, const char *why)
{
	(void)error_set(&c->error, ERR_INPUT, "%s", why);
	return false;
}

static bool add_piece(struct cutting *c, const char *key, const char *name, const void *body, size_t length)
{
	const struct message *m = c->whole;
	struct message *piece;
	size_t cost =
	    STAGE_MESSAGE_BYTES + sizeof *piece + m->meta_bytes + length + (key ? strlen(key) + strlen(name) : 0);

	c->bytes += length;
	if (c->pieces.count == PIECES_MAX || c->bytes > BODY_MAX_BYTES)
		return cut_fails(c, "the archive holds too much");
	if (stage_is_spent(c->stage, c->runner) || !stage_make(c->stage, c->runner, cost))
		return cut_fails(c, c->runner->spent ? c->runner->spent : stage_too_much);
	c->cost += cost;
	if (key) {
		struct buf meta;

		stage_meta_with(m, key, name, strlen(name), &meta);
		piece = message_derive(m, meta.data, meta.len, body, length);
		buf_fini(&meta);
	} else {
		piece = message_derive(m, message_meta(m), m->meta_bytes, body, length);
	}
	pipeline_batch_add(&c->pieces, piece);
	return true;
}

static bool cut_lines(struct cutting *c)
{
	const char *p = (const char *)message_body(c->whole), *end = p + c->whole->body_bytes;

	for (;;) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		if (!add_piece(c, NULL, NULL, p, (size_t)((stop ? stop : end) - p)))
			return false;
		if (!stop)
			return true;
		p = stop + 1;
	}
}

static uint32_t get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool cut_binary(struct cutting *c)
{
	const unsigned char *p = message_body(c->whole);
	size_t left = c->whole->body_bytes;
	uint32_t count;

	if (left < 4)
		return cut_fails(c, "the binary archive is cut off");
	count = get_u32(p);
	p += 4;
	left -= 4;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t length;

		if (left < 4 || (length = get_u32(p)) > left - 4)
			return cut_fails(c, "the binary archive is cut off");
		if (!add_piece(c, NULL, NULL, p + 4, length))
			return false;
		p += 4 + (size_t)length;
		left -= 4 + (size_t)length;
	}
	return true;
}

static bool add_value(struct cutting *c, struct arena *arena, const char *key, const char *name, struct value v)
{
	const struct json_style style = {0};
	const char *wrong;
	struct text text;

	text_init(&text, arena);
	if (!json_print(&text, v, &style, &wrong))
		return cut_fails(c, wrong);
	(void)text_end(&text);
	return add_piece(c, key, name, text.data, text.length);
}

static bool cut_elements(struct cutting *c, struct arena *arena, struct value document)
{
	char why[128];

	if (document.kind != VALUE_ARRAY) {
		(void)snprintf(why, sizeof why, "failed to parse message into JSON array: invalid type '%s'",
		               value_go_type(document));
		return cut_fails(c, why);
	}
	for (uint32_t i = 0; i < document.array->count; i++)
		if (!add_value(c, arena, NULL, NULL, document.array->items[i]))
			return false;
	return true;
}

static bool cut_members(struct cutting *c, struct arena *arena, struct value document)
{
	char why[128];

	if (document.kind != VALUE_OBJECT) {
		(void)snprintf(why, sizeof why, "failed to parse message into JSON map: invalid type '%s'",
		               value_go_type(document));
		return cut_fails(c, why);
	}
	for (uint32_t i = 0; i < document.object->count; i++) {
		const struct value_pair *pair = &document.object->pairs[i];

		if (!add_value(c, arena, "archive_key", arena_copy(arena, pair->key, pair->key_length), pair->value))
			return false;
	}
	return true;
}

static bool cut_document(struct cutting *c, const struct message *m,
                         bool (*cut)(struct cutting *, struct arena *, struct value), const char *what)
{
	struct arena *arena = evaluator_arena(c->runner->evaluator);
	struct value document;
	const char *wrong;
	bool ok;

	ok = json_parse(arena, (const char *)message_body(m), m->body_bytes, &document, &wrong);
	if (!ok)
		(void)error_set(&c->error, ERR_INPUT, "failed to parse message into JSON %s: %s", what, wrong);
	return ok && cut(c, arena, document);
}

static bool cut_json_array(struct cutting *c) { return cut_document(c, c->whole, cut_elements, "array"); }

static bool cut_json_map(struct cutting *c) { return cut_document(c, c->whole, cut_members, "map"); }

static bool cut_json_documents(struct cutting *c)
{
	const char *p = (const char *)message_body(c->whole);
	size_t left = c->whole->body_bytes;
	struct arena *arena = evaluator_arena(c->runner->evaluator);
	bool ok = true;

	while (ok) {
		const char *wrong;
		struct value v;
		size_t used;

		while (left > 0 && strchr(" \t\r\n", *p) && *p) {
			p++;
			left--;
		}
		if (left == 0)
			break;
		ok = json_parse_first(arena, p, left, &v, &used, &wrong);
		if (!ok)
			(void)error_set(&c->error, ERR_INPUT, "%s", wrong);
		ok = ok && add_value(c, arena, NULL, NULL, v);
		if (ok) {
			p += used;
			left -= used;
			arena_reset(arena);
		}
	}
	return ok;
}

/* The language's parse_csv gives a JSON array of objects, which is cut like one. */
static bool cut_csv(struct cutting *c)
{
	struct message *source = message_copy(c->whole);
	const struct message_batch context = {.messages = &source, .count = 1};
	struct message *rows = NULL;
	bool ok;

	ok =
	    bloblang_mapping_run(c->unarchiver->csv, c->runner->evaluator, &context, false, &rows, &c->error) == ERR_OK;
	if (!ok)
		(void)error_wrap(&c->error, "failed to parse message as csv");
	ok = ok && (!rows || cut_document(c, rows, cut_elements, "array"));
	message_free(rows);
	message_free(source);
	return ok;
}

static bool read_entry(struct cutting *c, struct archive *archive, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);
	struct buf body;
	bool ok = true;

	buf_init(&body, stage_room(c->runner, BODY_MAX_BYTES));
	for (;;) {
		char *room;
		la_ssize_t n;

		if (stage_is_spent(c->stage, c->runner) || buf_reserve(&body, 64 << 10, &room) != ERR_OK) {
			ok = cut_fails(c, c->runner->spent ? c->runner->spent : "the archive holds too much");
			break;
		}
		n = archive_read_data(archive, room, 64 << 10);
		if (n <= 0) {
			ok = n == 0 || cut_fails(c, archive_error_string(archive));
			break;
		}
		buf_advance(&body, (size_t)n);
	}
	ok = ok && add_piece(c, "archive_filename", name ? name : "", body.data ? body.data : "", body.len);
	buf_fini(&body);
	return ok;
}

static bool cut_entries(struct cutting *c)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	int status = ARCHIVE_FATAL;
	bool ok = archive && archive_read_support_format_tar(archive) == ARCHIVE_OK &&
	          archive_read_support_format_zip(archive) == ARCHIVE_OK &&
	          archive_read_open_memory(archive, message_body(c->whole), c->whole->body_bytes) == ARCHIVE_OK;

	while (ok && (status = archive_read_next_header(archive, &entry)) >= ARCHIVE_WARN && status != ARCHIVE_EOF)
		ok = read_entry(c, archive, entry);
	if (c->error.code == ERR_OK && status != ARCHIVE_EOF)
		ok = cut_fails(c, archive && archive_error_string(archive) ? archive_error_string(archive)
		                                                           : "not an archive");
	if (archive)
		(void)archive_read_free(archive);
	return ok;
}

static void compile_csv(struct compiler *c, const struct config_node *node, const char *format, struct unarchiver *u)
{
	const char *delimiter = format[3] == ':' ? format + 4 : ",";
	struct bloblang_fault fault = {0};
	size_t length = strlen(delimiter);
	char *text;

	/* One character: one leading byte, then only continuation bytes. */
	for (size_t i = 1; i < length; i++)
		if (((unsigned char)delimiter[i] & 0xc0) != 0x80)
			length = 0;
	if (length == 0) {
		stage_compile_fault(c, node, "csv:<delimiter> needs a single character");
		return;
	}
	text = strcmp(delimiter, "\"") == 0
	           ? mem_string("root = content().parse_csv(delimiter: \"\\\"\")")
	           : mem_format("root = content().parse_csv(delimiter: \"\"\"%s\"\"\")", delimiter);
	if (bloblang_mapping_parse(text, NULL, &u->csv, &fault) != ERR_OK)
		stage_compile_fault(c, node, "%s", fault.text);
	free(text);
	u->cut = cut_csv;
}

static void process_unarchive_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	static const struct {
		const char *name;
		bool (*cut)(struct cutting *c);
	} formats[] = {
	    {"lines", cut_lines},
	    {"binary", cut_binary},
	    {"json_array", cut_json_array},
	    {"json_map", cut_json_map},
	    {"json_documents", cut_json_documents},
	    {"tar", cut_entries},
	    {"zip", cut_entries},
	};
	struct unarchiver *u = mem_zero(sizeof *u);
	struct options_processor_unarchive o;
	AUTOFREE char *format = NULL;

	*ret_state = u;
	fields_read(c, options_processor_unarchive(), node, &o);
	format = take(o.format);
	if (!format)
		return;
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (strcmp(formats[i].name, format) == 0)
			u->cut = formats[i].cut;
	if (!u->cut && (strcmp(format, "csv") == 0 || strncmp(format, "csv:", 4) == 0))
		compile_csv(c, node, format, u);
	else if (!u->cut)
		stage_compile_fault(
		    c, node,
		    "format %s not recognised; one of tar, zip, binary, lines, json_documents, json_array, "
		    "json_map, csv, csv:<delimiter>",
		    format);
}

static void unarchive_free(void *state)
{
	struct unarchiver *u = state;

	bloblang_mapping_free(u->csv);
	free(u);
}

static void process_unarchive_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                  struct batches *out)
{
	const struct unarchiver *u = s->state;
	struct pipeline_batch result = {0};

	for (size_t i = 0; i < batch->count; i++) {
		struct cutting c = {.unarchiver = u, .runner = r, .stage = s, .whole = batch->items[i]};

		if (u->cut(&c)) {
			for (size_t k = 0; k < c.pieces.count; k++)
				pipeline_batch_add(&result, c.pieces.items[k]);
			free(c.pieces.items);
			r->live_bytes -= (int64_t)stage_cost(batch->items[i]);
			message_free(batch->items[i]);
		} else {
			pipeline_batch_fini(&c.pieces);
			r->live_bytes -= (int64_t)c.cost;
			stage_fail(s, r, batch->items[i], c.error.text);
			pipeline_batch_add(&result, batch->items[i]);
		}
	}
	batches_add(out, &result);
}

const struct stage_row process_unarchive = {
    .name = "unarchive", .compile = process_unarchive_compile, .run = process_unarchive_run, .free = unarchive_free};
