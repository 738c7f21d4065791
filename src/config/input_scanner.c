#include "config/components.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "config/inputs.h"
#include "config/tree.h"

static const char *foreign_scanner(const char *key) { return component_foreign("scanner", key); }

/* One for each kind, which its key leads to. */
#define READ(kind_, member, key, text)                                                                  \
	static void read_##member(struct options_reader *r, const struct config_node *node, void *base) \
	{                                                                                               \
		struct config_scanner *scanner = base;                                                  \
		size_t length = options_reader_enter(r, key);                                           \
                                                                                                        \
		scanner->kind = SCANNER_##kind_;                                                        \
		options_read(r, options_scanner_##member(), node, &scanner->member, NULL);              \
		options_reader_leave(r, length);                                                        \
	}
CONFIG_SCANNERS(READ)
#undef READ

static void read_scanner(struct options_reader *r, const char *key, const struct config_node *scanner,
                         struct config_scanner *ret);

static void read_skip_bom(struct options_reader *r, const struct config_node *node, void *base)
{
	struct config_scanner *scanner = base;
	struct options_scanner_skip_bom options = {0};
	size_t length = options_reader_enter(r, "skip_bom");

	scanner->kind = SCANNER_TO_THE_END;
	scanner->skip_bom = true;
	options_read(r, options_scanner_skip_bom(), node, &options, NULL);
	read_scanner(r, "into", options.into, scanner);
	options_reader_leave(r, length);
}

/* The older field: lines, all-bytes, csv, csv:x, delim:x, regex:x, chunker:N. */
static void read_codec(struct options_reader *r, const struct config_node *codec, struct config_scanner *ret)
{
	const char *text = codec->scalar;
	uint64_t size;

	if (strcmp(text, "lines") == 0) {
		ret->kind = SCANNER_LINES;
	} else if (strcmp(text, "all-bytes") == 0) {
		ret->kind = SCANNER_TO_THE_END;
	} else if (strcmp(text, "csv") == 0 || (strncmp(text, "csv:", 4) == 0 && text[4] != '\0')) {
		ret->kind = SCANNER_CSV;
		if (text[3] == ':')
			ret->csv.custom_delimiter = mem_string(text + 4);
	} else if (strncmp(text, "regex:", 6) == 0 && text[6] != '\0') {
		ret->kind = SCANNER_RE_MATCH;
		ret->re_match.pattern = mem_string(text + 6);
	} else if (strncmp(text, "delim:", 6) == 0 && text[6] != '\0') {
		ret->kind = SCANNER_LINES;
		ret->lines.custom_delimiter = mem_string(text + 6);
	} else if (strncmp(text, "chunker:", 8) == 0 && num_parse_u64(text + 8, &size) && size >= 1 &&
	           size <= 10485760) {
		ret->kind = SCANNER_CHUNKER;
		ret->chunker.size_bytes = size;
	} else {
		config_faults_add(
		    r->faults, codec->line, codec->column, false,
		    "%s.codec: expected lines, all-bytes, csv, csv:x, delim:x, regex:x or chunker:N, not \"%.60s\"",
		    r->path, text);
	}
}

static void read_scanner(struct options_reader *r, const char *key, const struct config_node *scanner,
                         struct config_scanner *ret)
{
	static const struct option_section nothing = {.name = "scanner"};
#define HANDLER(kind, member, key, text) {key, read_##member},
	static const struct key_handler handlers[] = {CONFIG_SCANNERS(HANDLER){"skip_bom", read_skip_bom},
	                                              {NULL, NULL}};
#undef HANDLER
	static const struct options_extras extras = {.handlers = handlers, .foreign = foreign_scanner};
	size_t length;

	if (!scanner || scanner->kind != NODE_MAP)
		return;
	length = options_reader_enter(r, key);
	options_read(r, &nothing, scanner, ret, &extras);
	if (scanner->count > 1)
		config_faults_add(r->faults, scanner->key_line, scanner->key_column, false,
		                  "%s must name one scanner, not %zu", r->path, scanner->count);
	options_reader_leave(r, length);
}

void input_scanner_read(struct options_reader *r, const struct config_node *input, const struct config_node *scanner,
                        struct config_scanner *ret)
{
	const struct config_node *codec = tree_member(input, "codec");

	if (codec && codec->kind == NODE_SCALAR && codec->scalar && *codec->scalar && !codec->unset) {
		if (scanner)
			config_faults_add(r->faults, codec->key_line, codec->key_column, false,
			                  "%s holds both scanner and codec; keep scanner", r->path);
		else
			read_codec(r, codec, ret);
	}
	read_scanner(r, "scanner", scanner, ret);
}

void input_scanner_defaults(struct config_scanner *ret)
{
#define DEFAULTS(kind, member, key, text) options_defaults(options_scanner_##member(), &ret->member);
	CONFIG_SCANNERS(DEFAULTS)
#undef DEFAULTS
}

void input_scanner_free(struct config_scanner *scanner)
{
#define FREE(kind, member, key, text) options_free(options_scanner_##member(), &scanner->member);
	CONFIG_SCANNERS(FREE)
#undef FREE
}
