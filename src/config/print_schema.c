/*
 * The JSON Schema of a file, from the rows.
 *
 * Invariants:
 * 1. What lint accepts the schema accepts: a text with ${ may stand for any value that is not a text already.
 * 2. Whoever opens an object closes it, but for print_slot_components, which leaves its object open for one more rule.
 * 3. The order is that of the tables, so that one new row is one new line.
 */
#include "config/print.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/processors.h"

/* JSON Schema, draft 2020-12. An environment reference may stand for any value that is not a text already. */
#define OR_REFERENCE ", {\"type\": \"string\", \"pattern\": \"\\\\$\\\\{\"}]"

#define ANY_TEXT "\"type\": [\"string\", \"number\", \"boolean\", \"null\"]"

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

static void print_number_type(struct buf *out, const struct option_row *row)
{
	bool bounds = row->least != 0 || row->most != 0;

	if (row->kind == OPTION_DURATION) {
		(void)buf_add_text(out, "\"type\": [\"string\", \"integer\"], \"pattern\": "
		                        "\"^$|^-?([0-9]*[.]?[0-9]+(ns|us|\\u00b5s|ms|s|m|h))+$|^0$|\\\\$\\\\{\"");
		return;
	}
	(void)buf_add_text(out, "\"anyOf\": [{\"type\": \"integer\"");
	if (bounds)
		(void)buf_addf(out, ", \"minimum\": %" PRId64, row->least);
	if (bounds && row->most != INT64_MAX)
		(void)buf_addf(out, ", \"maximum\": %" PRId64, row->most);
	(void)buf_add_text(out, "}");
	if (row->kind == OPTION_SIZE)
		(void)buf_add_text(out, ", {\"type\": \"string\", \"pattern\": \"^[0-9]+([KMGT]i?B|B)?$\"}");
	(void)buf_add_text(out, OR_REFERENCE);
}

#define LIST_OF(definition) "\"type\": [\"array\", \"null\"], \"items\": {\"$ref\": \"#/$defs/" definition "\"}"
static const char *const nodes_types[] = {
    [SHAPE_list] = "\"type\": \"array\"",
    [SHAPE_map] = "\"type\": \"object\"",
    [SHAPE_inputs] = LIST_OF("input"),
    [SHAPE_scanner] = "\"$ref\": \"#/$defs/scanner\"",
    [SHAPE_processors] = LIST_OF("processor"),
    [SHAPE_rate_limits] = LIST_OF("rate_limit"),
    [SHAPE_caches] = LIST_OF("cache"),
    [SHAPE_templates] = "\"type\": \"object\", \"additionalProperties\": {" ANY_TEXT "}",
};

static void print_type(struct buf *out, const struct option_row *row)
{
	switch (row->kind) {
	case OPTION_BOOL:
		(void)buf_add_text(out, "\"anyOf\": [{\"type\": \"boolean\"}" OR_REFERENCE);
		return;
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION:
		print_number_type(out, row);
		return;
	case OPTION_ENUM:
		(void)buf_add_text(out, "\"anyOf\": [{\"enum\": [");
		for (const struct option_word *word = row->words; word->text; word++) {
			(void)buf_add_text(out, word == row->words ? "" : ", ");
			print_string(out, word->text);
		}
		(void)buf_add_text(out, "]}" OR_REFERENCE);
		return;
	case OPTION_STRINGS:
		(void)buf_add_text(out,
		                   "\"type\": \"array\", \"items\": {\"type\": [\"string\", \"number\", \"boolean\"]}");
		return;
	case OPTION_NODES:
		(void)buf_add_text(out, nodes_types[row->shape]);
		return;
	default:
		(void)buf_add_text(out, ANY_TEXT);
	}
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

/* {"type": "object", ...} of a section. */
static void print_section(struct buf *out, const struct option_section *s, int depth)
{
	const char *separator = "";

	(void)buf_add_text(out, "{\"type\": [\"object\", \"null\"], \"additionalProperties\": false");
	for (size_t i = 0; i < s->count; i++) {
		if (!(s->rows[i].flags & REQUIRED))
			continue;
		(void)buf_addf(out, "%s\"%s\"", *separator ? separator : ", \"required\": [", s->rows[i].key);
		separator = ", ";
	}
	(void)buf_addf(out, "%s, \"properties\": {", *separator ? "]" : "");
	print_members(out, s, depth + 1, "");
	(void)buf_add_text(out, "\n");
	open_line(out, depth);
	(void)buf_add_text(out, "}}");
}

static void print_row(struct buf *out, const struct option_row *row, int depth)
{
	struct buf sentence CLEANUP(buf_fini) = {0};

	if (row->kind == OPTION_OBJECT) {
		print_section(out, row->section(), depth);
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
	print_section(out, s, 3);
}

static void print_component(struct buf *out, const struct processor_row *row)
{
	(void)buf_addf(out, ",\n      \"%s\": ", row->name);
	switch (row->shape) {
	case PROCESSOR_FIELDS:
		print_section(out, row->section(), 3);
		return;
	case PROCESSOR_CASES:
		(void)buf_add_text(out, "{\"type\": \"array\", \"items\": ");
		print_section(out, row->section(), 3);
		(void)buf_add_text(out, "}");
		return;
	case PROCESSOR_CHILDREN:
		(void)buf_addf(out, "{%s}", nodes_types[SHAPE_processors]);
		return;
	case PROCESSOR_MAPPING:
	case PROCESSOR_LABEL:
		(void)buf_add_text(out, "{" ANY_TEXT "}");
		return;
	}
}

/* What a list holds: a label, and the processors or the resources of a slot; leaves the object open. */
static void print_slot_components(struct buf *out, const char *slot, const char *limits)
{
	(void)buf_addf(out,
	               ",\n    \"%s\": {\"type\": \"object\"%s, \"properties\": {\n      \"label\": {" ANY_TEXT "}",
	               slot, limits);
	if (*limits)
		(void)buf_add_text(out, ",\n      \"type\": {}");
	for (const struct processor_row *row = processor_rows; row->name; row++)
		if (strcmp(row->slot, slot) == 0)
			print_component(out, row);
	(void)buf_add_text(out, "\n    }");
}

/* A processor has one name. */
static void print_one_of(struct buf *out)
{
	(void)buf_add_text(out, ", \"oneOf\": [");
	for (const struct processor_row *row = processor_rows; strcmp(row->slot, "processor") == 0; row++)
		(void)buf_addf(out, "%s{\"required\": [\"%s\"]}", row == processor_rows ? "" : ", ", row->name);
	(void)buf_add_text(out, "]}");
}

static void print_definitions(struct buf *out)
{
	(void)buf_add_text(out,
	                   "  \"$defs\": {\n    \"input\": {\"type\": \"object\", \"additionalProperties\": false, "
	                   "\"properties\": {");
	print_members(out, options_input(), 3, "");
	for (const struct print_part *part = print_parts; part->section; part++)
		if (part->slot && part->key && strcmp(part->slot, "input") == 0)
			print_named(out, part->key, part->section());
	(void)buf_add_text(out, "\n    }},\n    \"scanner\": {\"type\": \"object\", \"additionalProperties\": false, "
	                        "\"maxProperties\": 1, \"properties\": {\n"
	                        "      \"to_the_end\": {\"type\": [\"object\", \"null\"], \"maxProperties\": 0}");
	print_named(out, "lines", options_scanner_lines());
	print_named(out, "chunker", options_scanner_chunker());
	(void)buf_add_text(out, "\n    }}");
	print_slot_components(out, "processor", ", \"additionalProperties\": false");
	print_one_of(out);
	print_slot_components(out, "rate_limit", "");
	(void)buf_add_text(out, "}");
	print_slot_components(out, "cache", "");
	(void)buf_add_text(out, "}\n  }\n");
}

/* A slot whose rows are all there is to it. */
static void print_slot(struct buf *out, const char *key, const struct option_section *s)
{
	(void)buf_addf(out, ",\n    \"%s\": ", key);
	print_section(out, s, 2);
}

void config_print_schema(struct buf *out)
{
	(void)buf_add_text(out, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
	                        "  \"title\": \"kspool configuration\",\n  \"type\": \"object\",\n"
	                        "  \"additionalProperties\": false,\n"
	                        "  \"required\": [\"input\", \"buffer\", \"output\"],\n  \"properties\": {");
	print_members(out, options_root(), 2, "");
	(void)buf_add_text(out, ",\n    \"input\": {\"$ref\": \"#/$defs/input\"}");
	print_slot(out, "buffer", options_buffer());
	print_slot(out, "pipeline", options_pipeline());
	print_slot(out, "output", options_output());
	(void)buf_add_text(out,
	                   ",\n    \"metrics\": {\"type\": [\"object\", \"null\"], \"additionalProperties\": false, "
	                   "\"properties\": {");
	print_members(out, options_metrics(), 3, "");
	(void)buf_add_text(out, ",\n      \"none\": {\"type\": [\"object\", \"null\"]}\n    }},\n"
	                        "    \"tracer\": {\"type\": [\"object\", \"null\"], \"additionalProperties\": false, "
	                        "\"properties\": {\"none\": {\"type\": [\"object\", \"null\"]}}},\n"
	                        "    \"input_resources\": {\"type\": [\"array\", \"null\"], \"maxItems\": 0},\n"
	                        "    \"output_resources\": {\"type\": [\"array\", \"null\"], \"maxItems\": 0},\n"
	                        "    \"error_handling\": {},\n    \"tests\": {}\n  },\n");
	print_definitions(out);
	(void)buf_add_text(out, "}\n");
}
