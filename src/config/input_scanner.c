#include "config/components.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "config/tree.h"

static const char *foreign_scanner(const char *key) { return component_foreign("scanner", key); }

static void read_lines(struct options_reader *r, const struct config_node *node, void *base)
{
	struct config_scanner *scanner = base;
	size_t length = options_reader_enter(r, "lines");

	scanner->kind = SCANNER_LINES;
	options_read(r, options_scanner_lines(), node, &scanner->lines, NULL);
	options_reader_leave(r, length);
}

static void read_to_the_end(struct options_reader *r, const struct config_node *node, void *base)
{
	struct config_scanner *scanner = base;

	scanner->kind = SCANNER_TO_THE_END;
	if (node->count > 0 || (node->kind == NODE_SCALAR && node->scalar))
		config_faults_add(r->faults, node->line, node->column, false, "%s.to_the_end has no options: write {}",
		                  r->path);
}

static void read_chunker(struct options_reader *r, const struct config_node *node, void *base)
{
	struct config_scanner *scanner = base;
	size_t length = options_reader_enter(r, "chunker");

	scanner->kind = SCANNER_CHUNKER;
	options_read(r, options_scanner_chunker(), node, &scanner->chunker, NULL);
	options_reader_leave(r, length);
}

/* The older field: lines, all-bytes, delim:x, chunker:N. */
static void read_codec(struct options_reader *r, const struct config_node *codec, struct config_scanner *ret)
{
	const char *text = codec->scalar;
	uint64_t size;

	if (strcmp(text, "lines") == 0) {
		ret->kind = SCANNER_LINES;
	} else if (strcmp(text, "all-bytes") == 0) {
		ret->kind = SCANNER_TO_THE_END;
	} else if (strncmp(text, "delim:", 6) == 0 && text[6] != '\0') {
		ret->kind = SCANNER_LINES;
		ret->lines.custom_delimiter = mem_string(text + 6);
	} else if (strncmp(text, "chunker:", 8) == 0 && num_parse_u64(text + 8, &size) && size >= 1 &&
	           size <= 10485760) {
		ret->kind = SCANNER_CHUNKER;
		ret->chunker.size_bytes = size;
	} else {
		config_faults_add(r->faults, codec->line, codec->column, false,
		                  "%s.codec: expected lines, all-bytes, delim:x or chunker:N, not \"%.60s\"", r->path,
		                  text);
	}
}

void input_scanner_read(struct options_reader *r, const struct config_node *input, const struct config_node *scanner,
                        struct config_scanner *ret)
{
	static const struct option_section nothing = {.name = "scanner"};
	static const struct key_handler handlers[] = {
	    {"lines", read_lines}, {"to_the_end", read_to_the_end}, {"chunker", read_chunker}, {NULL, NULL}};
	static const struct options_extras extras = {.handlers = handlers, .foreign = foreign_scanner};
	const struct config_node *codec = tree_member(input, "codec");
	size_t length;

	if (codec && codec->kind == NODE_SCALAR && codec->scalar && *codec->scalar && !codec->unset) {
		if (scanner)
			config_faults_add(r->faults, codec->key_line, codec->key_column, false,
			                  "%s holds both scanner and codec; keep scanner", r->path);
		else
			read_codec(r, codec, ret);
	}
	if (!scanner || scanner->kind != NODE_MAP)
		return;
	length = options_reader_enter(r, "scanner");
	options_read(r, &nothing, scanner, ret, &extras);
	if (scanner->count > 1)
		config_faults_add(r->faults, scanner->key_line, scanner->key_column, false,
		                  "%s must name one scanner, not %zu", r->path, scanner->count);
	options_reader_leave(r, length);
}

void input_scanner_free(struct config_scanner *scanner)
{
	options_free(options_scanner_lines(), &scanner->lines);
	options_free(options_scanner_chunker(), &scanner->chunker);
}
