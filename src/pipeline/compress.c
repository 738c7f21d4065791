/* compress and decompress: the whole body of each message, by the codecs that the language's methods use too. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "bloblang/formats/compression.h"
#include "pipeline/stage_internal.h"

struct codec {
	const struct compression *compression;
	bool decompresses;
	int level;
};

#define NAME(value, text) [value] = (text),

static struct codec *codec_new(const char *name, bool decompresses, int level)
{
	struct codec *c = mem_zero(sizeof *c);

	c->compression = compression_find(name, strlen(name));
	must(c->compression && (decompresses || compression_can_write(c->compression)));
	c->decompresses = decompresses;
	c->level = level;
	return c;
}

/* Which levels there are; the codecs that have none take any and pass it over. */
static void check_level(struct compiler *c, const struct config_node *node, int algorithm, int64_t level)
{
	static const struct {
		int64_t least, most;
	} levels[] = {
	    [COMPRESSION_GZIP] = {-1, 9},  [COMPRESSION_PGZIP] = {-1, 9},      [COMPRESSION_ZLIB] = {-1, 9},
	    [COMPRESSION_FLATE] = {-1, 9}, [COMPRESSION_LZ4] = {INT64_MIN, 9}, [COMPRESSION_SNAPPY] = {0, -1},
	};
	bool has_levels = levels[algorithm].least <= levels[algorithm].most;

	if (!has_levels && level != -1)
		stage_compile_warning(c, node, "level has no effect: snappy has none");
	else if (has_levels && level > levels[algorithm].most)
		stage_compile_fault(c, node, "level must be at most %" PRId64 ", not %" PRId64, levels[algorithm].most,
		                    level);
	else if (has_levels && level < levels[algorithm].least)
		stage_compile_fault(c, node, "level must be from %" PRId64 " to %" PRId64 ", not %" PRId64,
		                    levels[algorithm].least, levels[algorithm].most, level);
}

static void process_compress_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	static const char *const names[] = {CONFIG_ENUM_compression(NAME)};
	struct options_processor_compress o;

	fields_read(c, options_processor_compress(), node, &o);
	check_level(c, node, o.algorithm, o.level);
	*ret_state = codec_new(names[o.algorithm], false, o.level >= 0 && o.level <= 9 ? (int)o.level : -1);
}

static void process_decompress_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	static const char *const names[] = {CONFIG_ENUM_decompression(NAME)};
	struct options_processor_decompress o;

	fields_read(c, options_processor_decompress(), node, &o);
	*ret_state = codec_new(names[o.algorithm], true, 0);
}

/* What m becomes; m itself, flagged as failed, when the codec refuses it: a bomb fails its message and nothing else. */
static struct message *recode(const struct stage *s, struct runner *r, const struct codec *c, struct message *m)
{
	const char *body = (const char *)message_body(m), *error = NULL;
	struct message *made = m;
	struct arena *arena = evaluator_arena(r->evaluator);
	struct text out;
	bool ok;

	text_init(&out, arena);
	ok = c->decompresses ? compression_decompress(c->compression, body, m->body_bytes, &out, &error)
	                     : compression_compress(c->compression, c->level, body, m->body_bytes, &out, &error);
	if (!ok) {
		stage_fail(s, r, m, error);
	} else if (stage_make(s, r, STAGE_MESSAGE_BYTES + sizeof *made + m->meta_bytes + out.length)) {
		made = message_derive(m, message_meta(m), m->meta_bytes, text_end(&out), out.length);
		r->live_bytes -= (int64_t)stage_cost(m);
		message_free(m);
	} else {
		stage_fail(s, r, m, stage_too_much);
	}
	return made;
}

static void process_codec_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                              struct batches *out)
{
	for (size_t i = 0; i < batch->count && !stage_is_spent(s, r); i++)
		batch->items[i] = recode(s, r, s->state, batch->items[i]);
	stage_pass(batch, out);
}

const struct stage_row process_compress = {
    .name = "compress", .compile = process_compress_compile, .run = process_codec_run, .free = free};

const struct stage_row process_decompress = {
    .name = "decompress", .compile = process_decompress_compile, .run = process_codec_run, .free = free};
