/* compress and decompress: the language's own methods of that name, on the whole body. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/stage.h"

static struct bloblang_mapping *compile_text(struct compiler *c, const struct config_node *node, char *text)
{
	struct bloblang_mapping *m = NULL;
	struct bloblang_fault fault = {0};

	if (bloblang_mapping_parse(text, NULL, &m, &fault) != ERR_OK)
		compile_fault(c, node, "%s", fault.text);
	free(text);
	return m;
}

static bool algorithm_is_known(struct compiler *c, const struct config_node *node, const char *algorithm,
                               bool decompress)
{
	static const char *const names[] = {"gzip", "pgzip", "zlib", "flate", "lz4", "snappy"};

	if (!algorithm)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], algorithm) == 0)
			return true;
	if (decompress && strcmp(algorithm, "bzip2") == 0)
		return true;
	compile_fault(c, node, "algorithm %s not recognised; one of gzip, pgzip, zlib, flate, lz4, snappy%s", algorithm,
	              decompress ? ", bzip2" : "");
	return false;
}

void process_compress_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	const char *algorithm;
	struct fields f;
	int64_t level;

	fields_begin(&f, c, node);
	algorithm = fields_text(&f, "algorithm", NULL, true);
	level = fields_int(&f, "level", -1);
	fields_end(&f);
	if (algorithm_is_known(c, node, algorithm, false))
		*ret_state = compile_text(
		    c, node,
		    mem_format("root = content().compress(algorithm: \"%s\", level: %" PRId64 ")", algorithm, level));
}

void process_compress_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch, struct batches *out)
{
	process_mapping_run(s, r, batch, out);
}

void process_decompress_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	const char *algorithm;
	struct fields f;

	fields_begin(&f, c, node);
	algorithm = fields_text(&f, "algorithm", NULL, true);
	fields_end(&f);
	if (algorithm_is_known(c, node, algorithm, true))
		*ret_state = compile_text(c, node, mem_format("root = content().decompress(\"%s\")", algorithm));
}

void process_decompress_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch, struct batches *out)
{
	process_mapping_run(s, r, batch, out);
}
