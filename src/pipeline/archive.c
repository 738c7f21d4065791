/*
 * archive: all messages of a batch become one.
 *
 *   concatenate  bodies one after another
 *   lines        bodies joined by "\n", none at the end
 *   json_array   each body parsed, one JSON array
 *   binary       u32 big-endian count, then per message u32 big-endian length and bytes
 *   tar, zip     one entry a message, named by `path`, mode 0666, the present time (libarchive)
 *
 * The result has the first message's metadata and stands for every row of the batch.
 *
 * Invariants:
 * 1. A batch becomes one message that stands for all of it, or stays as it is, each of its messages flagged.
 * 2. An archive is written to the end or thrown away: no half of one goes on.
 */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "value/json.h"
#include "pipeline/stage_internal.h"

enum { BODY_MAX_BYTES = 64 << 20, PATH_MAX_BYTES = 4096, ENTRY_BYTES = 2048, ENTRY_MODE = 0666 };

struct archiver {
	bool (*join)(const struct archiver *a, struct runner *r, const struct pipeline_batch *batch, struct buf *out,
	             struct error *e);
	struct bloblang_template *path;
	bool zip;
};

static bool join_concatenate(const struct archiver *a, struct runner *r, const struct pipeline_batch *batch,
                             struct buf *out, struct error *e)
{
	(void)a;
	(void)r;
	(void)e;
	for (size_t i = 0; i < batch->count; i++)
		(void)buf_add(out, message_body(batch->items[i]), batch->items[i]->body_bytes);
	return true;
}

static bool join_lines(const struct archiver *a, struct runner *r, const struct pipeline_batch *batch, struct buf *out,
                       struct error *e)
{
	(void)a;
	(void)r;
	(void)e;
	for (size_t i = 0; i < batch->count; i++) {
		if (i > 0)
			(void)buf_add_char(out, '\n');
		(void)buf_add(out, message_body(batch->items[i]), batch->items[i]->body_bytes);
	}
	return true;
}

static void add_u32(struct buf *out, uint32_t v)
{
	const unsigned char bytes[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16), (unsigned char)(v >> 8),
	                                (unsigned char)v};

	(void)buf_add(out, bytes, sizeof bytes);
}

static bool join_binary(const struct archiver *a, struct runner *r, const struct pipeline_batch *batch, struct buf *out,
                        struct error *e)
{
	(void)a;
	(void)r;
	(void)e;
	add_u32(out, (uint32_t)batch->count);
	for (size_t i = 0; i < batch->count; i++) {
		add_u32(out, batch->items[i]->body_bytes);
		(void)buf_add(out, message_body(batch->items[i]), batch->items[i]->body_bytes);
	}
	return true;
}

static bool add_document(struct arena *arena, const struct message *m, struct buf *out, struct error *e)
{
	const struct json_style style = {0};
	const char *wrong;
	struct value document;
	struct text text;

	if (!json_parse(arena, (const char *)message_body(m), m->body_bytes, &document, &wrong)) {
		(void)error_set(e, ERR_INPUT, "failed to parse message as JSON: %s", wrong);
		return false;
	}
	text_init(&text, arena);
	if (!json_print(&text, document, &style, &wrong)) {
		(void)error_set(e, ERR_INPUT, "failed to print message as JSON: %s", wrong);
		return false;
	}
	(void)buf_add(out, text_end(&text), text.length);
	return true;
}

static bool join_json_array(const struct archiver *a, struct runner *r, const struct pipeline_batch *batch,
                            struct buf *out, struct error *e)
{
	struct arena *arena = evaluator_arena(r->evaluator);
	bool ok = true;

	(void)a;
	(void)buf_add_char(out, '[');
	for (size_t i = 0; ok && i < batch->count; i++) {
		if (i > 0)
			(void)buf_add_char(out, ',');
		arena_reset(arena);
		ok = add_document(arena, batch->items[i], out, e);
	}
	(void)buf_add_char(out, ']');
	return ok;
}

static la_ssize_t write_to_buf(struct archive *archive, void *arg, const void *bytes, size_t length)
{
	if (buf_add(arg, bytes, length) != ERR_OK) {
		archive_set_error(archive, ARCHIVE_FATAL, "the archive is larger than %d bytes", BODY_MAX_BYTES);
		return -1;
	}
	return (la_ssize_t)length;
}

static bool add_entry(const struct archiver *a, struct runner *r, const struct pipeline_batch *batch, size_t i,
                      struct archive *archive)
{
	struct message_batch context = stage_batch(batch, i);
	struct archive_entry *entry = archive_entry_new();
	struct error e = {.code = ERR_OK};
	struct buf path;
	bool ok;

	buf_init(&path, PATH_MAX_BYTES);
	if (bloblang_template_render(a->path, r->evaluator, &context, &path, &e) != ERR_OK) {
		LOG_LIMITED(LOG_ERROR, "archive: path failed", LOG_S("error", e.text));
		buf_clear(&path);
	}
	archive_entry_set_pathname(entry, path.data ? path.data : "");
	archive_entry_set_size(entry, batch->items[i]->body_bytes);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, ENTRY_MODE);
	archive_entry_set_mtime(entry, (time_t)(clock_wall_ns() / NS_PER_S), 0);
	ok = archive_write_header(archive, entry) >= ARCHIVE_WARN &&
	     archive_write_data(archive, message_body(batch->items[i]), batch->items[i]->body_bytes) ==
	         (la_ssize_t)batch->items[i]->body_bytes;
	buf_fini(&path);
	archive_entry_free(entry);
	return ok;
}

static bool join_entries(const struct archiver *a, struct runner *r, const struct pipeline_batch *batch,
                         struct buf *out, struct error *e)
{
	struct archive *archive = archive_write_new();
	bool ok = archive;

	if (ok && a->zip)
		ok = archive_write_set_format_zip(archive) == ARCHIVE_OK &&
		     archive_write_zip_set_compression_deflate(archive) == ARCHIVE_OK;
	else if (ok)
		ok = archive_write_set_format_pax_restricted(archive) == ARCHIVE_OK;
	ok = ok && archive_write_set_bytes_per_block(archive, 0) == ARCHIVE_OK &&
	     archive_write_open(archive, out, NULL, write_to_buf, NULL) == ARCHIVE_OK;
	for (size_t i = 0; ok && i < batch->count; i++)
		ok = add_entry(a, r, batch, i, archive);
	ok = ok && archive_write_close(archive) == ARCHIVE_OK;
	if (!ok)
		(void)error_set(e, ERR_INPUT, "failed to create archive: %s",
		                archive && archive_error_string(archive) ? archive_error_string(archive) : "no memory");
	if (archive)
		(void)archive_write_free(archive);
	return ok;
}

static void process_archive_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	static const struct {
		bool (*join)(const struct archiver *, struct runner *, const struct pipeline_batch *, struct buf *,
		             struct error *);
		bool zip;
	} formats[] = {
	    [JOIN_CONCATENATE] = {join_concatenate, false},
	    [JOIN_LINES] = {join_lines, false},
	    [JOIN_JSON_ARRAY] = {join_json_array, false},
	    [JOIN_BINARY] = {join_binary, false},
	    [JOIN_TAR] = {join_entries, false},
	    [JOIN_ZIP] = {join_entries, true},
	};
	struct archiver *a = mem_zero(sizeof *a);
	struct options_processor_archive o;

	fields_read(c, options_processor_archive(), node, &o);
	a->path = stage_compile_template(c, &o.path);
	a->join = formats[o.format].join;
	a->zip = formats[o.format].zip;
	options_free(options_processor_archive(), &o);
	*ret_state = a;
}

static void archiver_free(void *state)
{
	struct archiver *a = state;

	bloblang_template_free(a->path);
	free(a);
}

/* On failure the batch goes on as it was, every message flagged. */
static void process_archive_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                struct batches *out)
{
	const struct archiver *a = s->state;
	struct pipeline_batch moved = *batch;
	struct error e = {.code = ERR_OK};
	struct message *joined;
	struct buf body;
	size_t bytes = ENTRY_BYTES; /* of the archive, at most */
	bool ok;

	memset(batch, 0, sizeof *batch);
	for (size_t i = 0; i < moved.count; i++)
		bytes += moved.items[i]->body_bytes + ENTRY_BYTES;
	buf_init(&body, bytes < BODY_MAX_BYTES ? bytes : BODY_MAX_BYTES);
	ok = stage_make(s, r, 2 * bytes) ? a->join(a, r, &moved, &body, &e)
	                                 : error_set(&e, ERR_MEMORY, "%s", stage_too_much) == ERR_OK;
	if (ok && body.overflow) {
		(void)error_set(&e, ERR_TOOBIG, "the archive is larger than %d bytes", BODY_MAX_BYTES);
		ok = false;
	}
	if (ok) {
		joined = message_derive(moved.items[0], message_meta(moved.items[0]), moved.items[0]->meta_bytes,
		                        body.data ? body.data : "", body.len);
		stage_join_origins(joined, &moved);
		pipeline_batch_fini(&moved);
		batches_add_one(out, joined);
	} else {
		for (size_t i = 0; i < moved.count; i++)
			stage_fail(s, r, moved.items[i], e.text);
		batches_add(out, &moved);
	}
	buf_fini(&body);
}

const struct stage_row process_archive = {.name = "archive",
                                          .needs_batch = true,
                                          .compile = process_archive_compile,
                                          .run = process_archive_run,
                                          .free = archiver_free,
                                          .weighs_batch = true};
