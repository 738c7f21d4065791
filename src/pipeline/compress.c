/* compress and decompress: the language's own methods of that name, on the whole body. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/stage_internal.h"

#define NAME(value, text) [value] = (text),

static struct bloblang_mapping *compile_text(struct compiler *c, const struct config_node *node, char *text)
{
	struct bloblang_mapping *m = NULL;
	struct bloblang_fault fault = {0};

	if (bloblang_mapping_parse(text, NULL, &m, &fault) != ERR_OK)
		stage_compile_fault(c, node, "%s", fault.text);
	free(text);
	return m;
}

static void compressor_free(void *state) { bloblang_mapping_free(state); }

static void process_compress_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	static const char *const names[] = {CONFIG_ENUM_compression(NAME)};
	struct options_processor_compress o;

	fields_read(c, options_processor_compress(), node, &o);
	*ret_state = compile_text(c, node,
	                          mem_format("root = content().compress(algorithm: \"%s\", level: %" PRId64 ")",
	                                     names[o.algorithm], o.level));
}

static void process_compress_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                 struct batches *out)
{
	process_mapping.run(s, r, batch, out);
}

static void process_decompress_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	static const char *const names[] = {CONFIG_ENUM_decompression(NAME)};
	struct options_processor_decompress o;

	fields_read(c, options_processor_decompress(), node, &o);
	*ret_state = compile_text(c, node, mem_format("root = content().decompress(\"%s\")", names[o.algorithm]));
}

static void process_decompress_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                   struct batches *out)
{
	process_mapping.run(s, r, batch, out);
}

const struct stage_row process_compress = {"compress", process_compress_compile, process_compress_run, compressor_free};

const struct stage_row process_decompress = {"decompress", process_decompress_compile, process_decompress_run,
                                             compressor_free};
