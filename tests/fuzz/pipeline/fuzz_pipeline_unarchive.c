/*
 * What strangers pack: the first byte chooses a way to unpack, the rest is the message. Oracles: a message that fails
 * comes out as it went in, flagged; pieces have its metadata and its origin; nothing made is more than a run may make;
 * the budget has all of it back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/processors.h"
#include "pipeline/pipeline.h"
#include "rig/fuzz.h"

enum { MEMORY_BYTES = 16 << 20 };

static const char *const ways[] = {
    "unarchive: {format: lines}",      "unarchive: {format: binary}",
    "unarchive: {format: json_array}", "unarchive: {format: json_map}",
    "unarchive: {format: csv}",        "unarchive: {format: json_documents}",
    "unarchive: {format: tar}",        "unarchive: {format: zip}",
    "unarchive: {format: \"csv:;\"}",  "decompress: {algorithm: gzip}",
    "decompress: {algorithm: zlib}",   "decompress: {algorithm: flate}",
    "decompress: {algorithm: snappy}", "decompress: {algorithm: lz4}",
    "decompress: {algorithm: bzip2}",  "mapping: 'root = content().decompress(\"zstd\")'",
};
enum { WAYS = sizeof ways / sizeof *ways };

static struct pipeline *pipelines[WAYS];
static struct config *configs[WAYS];
static struct evaluator *evaluator;

static void compile_all(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};

	log_configure(&quiet);
	for (size_t i = 0; i < WAYS; i++) {
		const struct config_load_options options = {0};
		struct config_faults faults = {0};
		struct error e;
		char text[512];

		(void)snprintf(text, sizeof text,
		               "input: {stdin: {}}\nbuffer: {sqlite: {path: /tmp/x.db}}\nkspool: {memory: 16MiB}\n"
		               "output: {aws_kinesis: {stream: s, partition_key: k}}\n"
		               "pipeline: {processors: [{%s}]}\n",
		               ways[i]);
		must(config_parse("fuzz.yaml", text, strlen(text), &options, &configs[i], &faults, &e) == ERR_OK);
		must(pipeline_compile(configs[i]->pipeline_processors, configs[i], "pipeline.processors", &pipelines[i],
		                      &faults) == ERR_OK);
		if (!evaluator)
			evaluator = pipeline_evaluator_new(configs[i], true);
		config_faults_fini(&faults);
	}
	budget_open(MEMORY_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pipeline_batch batch = {0};
	struct message *m;
	struct buf meta;
	uint64_t made = 0;

	if (size < 1)
		return 0;
	if (!evaluator)
		compile_all();
	buf_init(&meta, 1 << 10);
	(void)meta_add(&meta, 's', "k", 1, "v", 1);
	m = message_new(meta.data, meta.len, data + 1, size - 1, 1);
	m->id = 7;
	pipeline_batch_add(&batch, m);
	(void)pipeline_run(pipelines[data[0] % WAYS], evaluator, &batch);
	for (size_t i = 0; i < batch.count; i++) {
		const struct message *piece = batch.items[i];
		struct meta_entry entry;

		must(piece->origin && piece->origin->count == 1 && piece->origin->ids[0] == 7);
		must(meta_is_valid(message_meta(piece), piece->meta_bytes));
		must(meta_find(message_meta(piece), piece->meta_bytes, "k", 1, &entry));
		must(!piece->failure || (batch.count == 1 && piece->body_bytes == size - 1 &&
		                         memcmp(message_body(piece), data + 1, size - 1) == 0));
		made += message_cost(piece);
	}
	must(made <= MEMORY_BYTES / 2 + size + 4096);
	must(budget_taken() == 0);
	pipeline_batch_fini(&batch);
	buf_fini(&meta);
	return 0;
}
