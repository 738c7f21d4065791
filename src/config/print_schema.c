/*
 * The JSON Schema of a file, from the rows.
 *
 * Invariants:
 * 1. What lint accepts the schema accepts: a text with ${ may stand for any value that is not a text already.
 * 2. Whoever opens an object closes it, but for those that print_one_of closes.
 * 3. The order is that of the tables, so that one new row is one new line.
 */
#include "config/print.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "config/processors.h"

/* JSON Schema, draft 2020-12. An environment reference may stand for any value that is not a text already. */
#define REFERENCE "{\"type\": \"string\", \"pattern\": \"\\\\$\\\\{[A-Za-z0-9_.]\"}"

/* What may stand beside the name of any component. */
#define BESIDE "\"plugin\": {}, \"meta\": {\"type\": [\"object\", \"null\"]}"

static void print_string(struct buf *out, const char *text)
{
	(void)buf_add_char(out, '"');
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			(void)buf_add_char(out, '\\');
		(void)buf_add_char(out, *p);
	}
	(void)buf_add_char(out, '"');
}

static void open_line(struct buf *out, int depth) { (void)buf_addf(out, "%*s", depth * 2, ""); }

static void print_bounds(struct buf *out, const struct option_row *row)
{
	if (row->least == 0 && row->most == 0)
		return;
	(void)buf_addf(out, ", \"minimum\": %" PRId64, row->least);
	if (row->most != INT64_MAX)
		(void)buf_addf(out, ", \"maximum\": %" PRId64, row->most);
}

#define LIST_OF(definition) "\"array\", \"items\": {\"$ref\": \"#/$defs/" definition "\"}"
static const char *const nodes_types[] = {
    [SHAPE_list] = "\"array\"",
    [SHAPE_map] = "\"object\"",
    [SHAPE_inputs] = LIST_OF("input"),
    [SHAPE_processors] = LIST_OF("processor"),
    [SHAPE_input_resources] =
        "\"array\", \"items\": {\"allOf\": [{\"$ref\": \"#/$defs/input\"}, {\"required\": [\"label\"]}]}",
    [SHAPE_resources] =
        "\"array\", \"items\": {\"allOf\": [{\"$ref\": \"#/$defs/processor\"}, {\"required\": [\"label\"]}]}",
    [SHAPE_rate_limits] = LIST_OF("rate_limit"),
    [SHAPE_caches] = LIST_OF("cache"),
    [SHAPE_templates] = "\"object\", \"additionalProperties\": {\"type\": [\"string\", \"number\", \"boolean\"]}",
};

/* Words are taken in any case, and a regular expression of JSON Schema has no flag for that. */
static void print_word(struct buf *out, const char *word)
{
	for (const char *p = word; *p; p++) {
		if (isalpha((unsigned char)*p))
			(void)buf_addf(out, "[%c%c]", toupper((unsigned char)*p), tolower((unsigned char)*p));
		else
			(void)buf_add_char(out, *p);
	}
}

static void print_words(struct buf *out, const struct option_row *row)
{
	(void)buf_add_text(out, "{\"enum\": [");
	for (const struct option_word *word = row->words; word->text; word++) {
		(void)buf_add_text(out, word == row->words ? "" : ", ");
		print_string(out, word->text);
	}
	(void)buf_add_text(out, "]}, {\"type\": \"string\", \"pattern\": \"^(");
	for (const struct option_word *word = row->words; word->text; word++) {
		(void)buf_add_text(out, word == row->words ? "" : "|");
		print_word(out, word->text);
	}
	(void)buf_add_text(out, ")$\"}");
}

/* The forms a value may have but for a reference and nothing, each an object, with commas between. */
static void print_forms(struct buf *out, const struct option_row *row)
{
	bool fills = (row->flags & REQUIRED) && !(row->flags & BLANK);

	switch (row->kind) {
	case OPTION_BOOL:
		(void)buf_add_text(out, "{\"type\": \"boolean\"}, {\"enum\": [\"true\", \"True\", \"TRUE\", \"false\", "
		                        "\"False\", \"FALSE\"]}");
		return;
	case OPTION_INT:
	case OPTION_SIZE:
		(void)buf_add_text(out, "{\"type\": \"integer\"");
		print_bounds(out, row);
		(void)buf_add_text(out, row->kind == OPTION_INT
		                            ? "}, {\"type\": \"string\", \"pattern\": \"^-?[0-9]+$\"}"
		                            : "}, {\"type\": \"string\", \"pattern\": \"^[0-9]+([KMGT]i?B|B)?$\"}");
		return;
	case OPTION_DURATION:
		(void)buf_addf(out,
		               "%s{\"type\": \"string\", \"pattern\": "
		               "\"%s^%s(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|\\u00b5s|\\u03bcs|ms|s|m|h))+$\"}",
		               row->least > 0 ? "" : "{\"const\": 0}, ", row->least > 0 ? "" : "^$|^[-+]?0$|",
		               row->least >= 0 && row->most > 0 ? "[+]?" : "[-+]?");
		return;
	case OPTION_ENUM:
		print_words(out, row);
		return;
	case OPTION_STRINGS:
		(void)buf_addf(out,
		               "{\"type\": \"array\"%s, \"items\": {\"type\": [\"string\", \"number\", \"boolean\"]}}",
		               fills ? ", \"minItems\": 1" : "");
		return;
	case OPTION_NODES:
		(void)buf_addf(out, "{\"type\": %s%s}", nodes_types[row->shape], fills ? ", \"minItems\": 1" : "");
		return;
	default:
		(void)buf_addf(out, "{\"type\": [\"string\", \"number\", \"boolean\"]%s}",
		               fills ? ", \"minLength\": 1" : "");
	}
}

/* "key:" with nothing behind it leaves the default. */
static void print_type(struct buf *out, const struct option_row *row)
{
	bool is_whole = row->kind == OPTION_NODES || row->kind == OPTION_STRINGS;

	if (row->kind == OPTION_NODES && (row->shape == SHAPE_scanner || row->shape == SHAPE_input)) {
		(void)buf_addf(out, "\"$ref\": \"#/$defs/%s\"", row->shape == SHAPE_input ? "input" : "scanner");
		return;
	}
	(void)buf_add_text(out, "\"anyOf\": [");
	print_forms(out, row);
	if (!is_whole)
		(void)buf_add_text(out, ", " REFERENCE);
	if (!(row->flags & REQUIRED))
		(void)buf_add_text(out, ", {\"type\": \"null\"}");
	(void)buf_add_text(out, "]");
}

static void print_default(struct buf *out, const struct option_row *row)
{
	bool bare = row->kind == OPTION_BOOL || row->kind == OPTION_INT;

	if ((row->flags & REQUIRED) || *row->fallback == '\0')
		return;
	(void)buf_add_text(out, ", \"default\": ");
	if (row->kind == OPTION_STRINGS)
		print_option_default(row, out);
	else if (bare || (row->kind == OPTION_SIZE && strspn(row->fallback, "0123456789") == strlen(row->fallback)))
		(void)buf_add_text(out, row->fallback);
	else
		print_string(out, row->fallback);
}

static void print_members(struct buf *out, const struct option_section *s, int depth, const char *separator);

#define PLUGIN_NEEDS_TYPE "\"dependentRequired\": {\"plugin\": [\"type\"]}, "

static bool has_required(const struct option_section *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->rows[i].flags & REQUIRED)
			return true;
	return false;
}

/* {"type": "object", ...} of a section; beside: further properties, each with a comma behind it, or "". */
static void print_section(struct buf *out, const struct option_section *s, const char *beside, int depth)
{
	const char *separator = "";

	(void)buf_addf(out, "{\"type\": %s, \"additionalProperties\": false",
	               has_required(s) ? "\"object\"" : "[\"object\", \"null\"]");
	for (size_t i = 0; i < s->count; i++) {
		if (!(s->rows[i].flags & REQUIRED))
			continue;
		(void)buf_addf(out, "%s\"%s\"", *separator ? separator : ", \"required\": [", s->rows[i].key);
		separator = ", ";
	}
	(void)buf_addf(out, "%s, %s\"properties\": {%s", *separator ? "]" : "", *beside ? PLUGIN_NEEDS_TYPE : "",
	               beside);
	print_members(out, s, depth + 1, "");
	(void)buf_add_text(out, "\n");
	open_line(out, depth);
	(void)buf_add_text(out, "}}");
}

static void print_row(struct buf *out, const struct option_row *row, int depth)
{
	struct buf sentence CLEANUP(buf_fini) = {0};

	if (row->kind == OPTION_OBJECT) {
		print_section(out, row->section(), "", depth);
		return;
	}
	buf_init(&sentence, 2048);
	print_option_sentence(row, &sentence);
	(void)buf_add_text(out, "{\"description\": ");
	print_string(out, sentence.data);
	(void)buf_add_text(out, ", ");
	print_type(out, row);
	print_default(out, row);
	(void)buf_add_text(out, "}");
}

static void print_members(struct buf *out, const struct option_section *s, int depth, const char *separator)
{
	for (size_t i = 0; i < s->count; i++) {
		(void)buf_addf(out, "%s\n", separator);
		open_line(out, depth);
		(void)buf_addf(out, "\"%s\": ", s->rows[i].key);
		print_row(out, &s->rows[i], depth);
		separator = ",";
	}
}

static void print_named(struct buf *out, const char *name, const struct option_section *s)
{
	(void)buf_addf(out, ",\n      \"%s\": ", name);
	print_section(out, s, "", 3);
}

static void print_component(struct buf *out, const struct processor_row *row)
{
	(void)buf_addf(out, ",\n      \"%s\": ", row->name);
	switch (row->shape) {
	case PROCESSOR_FIELDS:
		print_section(out, row->section(), "", 3);
		return;
	case PROCESSOR_CASES:
		(void)buf_add_text(out, "{\"type\": \"array\", \"items\": ");
		print_section(out, row->section(), "", 3);
		(void)buf_add_text(out, "}");
		return;
	case PROCESSOR_CHILDREN:
		(void)buf_addf(out, "{\"anyOf\": [{\"type\": %s}, {\"type\": \"null\"}]}",
		               nodes_types[SHAPE_processors]);
		return;
	case PROCESSOR_MAPPING:
	case PROCESSOR_LABEL:
		(void)buf_add_text(out, "{\"type\": [\"string\", \"number\", \"boolean\"], \"minLength\": 1}");
		return;
	}
}

enum { NAMES_MAX = 64 };

/* One of the names is written, by itself or as a type; rest: further alternatives, each with a comma before it, or "".
 */
static void print_one_of(struct buf *out, const char *const *names, size_t count, const char *rest)
{
	(void)buf_add_text(out, ", \"oneOf\": [");
	for (size_t i = 0; i < count; i++)
		(void)buf_addf(
		    out,
		    "\n      {\"required\": [\"%s\"], \"properties\": {\"plugin\": false, \"type\": {\"enum\": "
		    "[\"%s\", \"\", null]}}},",
		    names[i], names[i]);
	(void)buf_add_text(out, "\n      {\"required\": [\"type\"], \"properties\": {\"type\": {\"enum\": [");
	for (size_t i = 0; i < count; i++)
		(void)buf_addf(out, "%s\"%s\"", i ? ", " : "", names[i]);
	(void)buf_add_text(out, "]}}, \"not\": {\"anyOf\": [");
	for (size_t i = 0; i < count; i++)
		(void)buf_addf(out, "%s{\"required\": [\"%s\"]}", i ? ", " : "", names[i]);
	(void)buf_addf(out, "]}}%s]}", rest);
}

#define LABEL_OF(characters) \
	"{\"type\": \"string\", \"pattern\": \"" characters "\"}, {\"type\": [\"number\", \"boolean\"]}"

/* What a list holds: a label, and one of the processors or of the resources of a slot. */
static void print_slot_components(struct buf *out, const char *slot)
{
	const char *names[NAMES_MAX];
	bool is_resource = strcmp(slot, "processor") != 0;
	size_t count = 0;

	(void)buf_addf(out,
	               ",\n    \"%s\": {\"type\": \"object\", \"additionalProperties\": false, %s\"properties\": {\n"
	               "      \"label\": {\"anyOf\": [%s, " REFERENCE "]},\n      \"type\": {}, " BESIDE,
	               slot, is_resource ? "\"required\": [\"label\"], " : "",
	               is_resource ? LABEL_OF("^[a-z0-9][a-z0-9_-]*$")
	                           : LABEL_OF("^([a-z0-9][a-z0-9_-]*)?$") ", {\"type\": \"null\"}");
	for (const struct processor_row *row = processor_rows; row->name; row++)
		if (strcmp(row->slot, slot) == 0) {
			must(count < NAMES_MAX);
			names[count++] = row->name;
			print_component(out, row);
		}
	(void)buf_add_text(out, "\n    }");
	print_one_of(out, names, count, "");
}

static void print_input(struct buf *out)
{
	const char *names[NAMES_MAX];
	size_t count = 0;

	(void)buf_add_text(out,
	                   "    \"input\": {\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
	                   "\n      \"type\": {}, " BESIDE);
	print_members(out, options_input(), 3, ",");
	(void)buf_add_text(out, ",\n      \"resource\": {\"type\": \"string\"}");
	names[count++] = "resource";
	for (const struct print_part *part = print_parts; part->section; part++)
		if (part->slot && part->key && strcmp(part->slot, "input") == 0) {
			must(count < NAMES_MAX);
			names[count++] = part->key;
			print_named(out, part->key, part->section());
		}
	(void)buf_add_text(out, "\n    }");
	print_one_of(out, names, count, "");
}

static void print_scanner(struct buf *out)
{
#define NAME(kind, member, key, text) key,
	static const char *const names[] = {CONFIG_SCANNERS(NAME) "skip_bom"};
#undef NAME

	(void)buf_add_text(out,
	                   ",\n    \"scanner\": {\"type\": [\"object\", \"null\"], \"additionalProperties\": false, "
	                   "\"properties\": {\n      \"type\": {}, " BESIDE);
#define NAMED(kind, member, key, text) print_named(out, key, options_scanner_##member());
	CONFIG_SCANNERS(NAMED)
#undef NAMED
	print_named(out, "skip_bom", options_scanner_skip_bom());
	(void)buf_add_text(out, "\n    }");
	print_one_of(out, names, sizeof names / sizeof *names, ", {\"type\": \"null\"}, {\"maxProperties\": 0}");
}

static void print_definitions(struct buf *out)
{
	(void)buf_add_text(out, "  \"$defs\": {\n");
	print_input(out);
	print_scanner(out);
	print_slot_components(out, "processor");
	print_slot_components(out, "rate_limit");
	print_slot_components(out, "cache");
	(void)buf_add_text(out, "\n  }\n");
}

#define TYPE_BESIDE(names) "\"type\": {\"enum\": [" names ", \"\", null]}, " BESIDE

/* A slot whose rows are all there is to it but for what may stand beside a component. */
static void print_slot(struct buf *out, const char *key, const struct option_section *s, const char *beside)
{
	(void)buf_addf(out, ",\n    \"%s\": ", key);
	print_section(out, s, beside, 2);
}

void config_print_schema(struct buf *out)
{
	(void)buf_add_text(out, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
	                        "  \"title\": \"kspool configuration\",\n  \"type\": \"object\",\n"
	                        "  \"additionalProperties\": false,\n"
	                        "  \"required\": [\"input\", \"output\"],\n  \"properties\": {");
	print_members(out, options_root(), 2, "");
	(void)buf_add_text(out, ",\n    \"input\": {\"$ref\": \"#/$defs/input\"}");
	print_slot(out, "buffer", options_buffer(),
	           TYPE_BESIDE("\"sqlite\", \"none\", \"memory\"") ", \"none\": {\"type\": [\"object\", \"null\"]}, "
	                                                           "\"memory\": {\"type\": [\"object\", \"null\"]},");
	(void)buf_add_text(out, ",\n    \"pipeline\": ");
	print_section(out, options_pipeline(), "", 2);
	print_slot(out, "output", options_output(), TYPE_BESIDE("\"aws_kinesis\"") ",");
	(void)buf_add_text(
	    out,
	    ",\n    \"metrics\": {\"type\": [\"object\", \"null\"], \"additionalProperties\": false, " PLUGIN_NEEDS_TYPE
	    "\"properties\": {" TYPE_BESIDE("\"prometheus\", \"none\""));
	print_members(out, options_metrics(), 3, ",");
	(void)buf_add_text(
	    out,
	    ",\n      \"none\": {\"type\": [\"object\", \"null\"]}\n    }},\n"
	    "    \"tracer\": {\"type\": [\"object\", \"null\"], \"additionalProperties\": false, " PLUGIN_NEEDS_TYPE
	    "\"properties\": {" TYPE_BESIDE(
	        "\"none\"") ", \"none\": {\"type\": [\"object\", \"null\"]}}},\n"
	                    "    \"output_resources\": {\"type\": [\"array\", \"null\"], \"maxItems\": 0},\n"
	                    "    \"error_handling\": {},\n    \"tests\": {}\n  },\n");
	print_definitions(out);
	(void)buf_add_text(out, "}\n");
}
