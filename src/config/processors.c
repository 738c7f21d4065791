#include "config/processors.h"

#include <string.h>

#include "config/inputs.h"
#include "config/print.h"

#define SECTION_FIELDS(name) options_processor_##name
#define SECTION_CASES(name) options_processor_##name
#define SECTION_MAPPING(name) NULL
#define SECTION_CHILDREN(name) NULL
#define SECTION_LABEL(name) NULL
#define ROW(s, name, shape, text) {"processor", #name, PROCESSOR_##shape, SECTION_##shape(name), text},
#define RESOURCE(s, slot, name, text) {#slot, #name, PROCESSOR_FIELDS, options_##slot##_##name, text},

const struct processor_row processor_rows[] = {CONFIG_PROCESSORS(ROW, ) CONFIG_RESOURCES(RESOURCE, ){.name = NULL}};

static void print_field(struct buf *out, const struct option_row *row)
{
	(void)buf_addf(out, "    %s (", row->key);
	print_option_kind(row, out);
	if (!(row->flags & REQUIRED)) {
		(void)buf_add_text(out, "; default ");
		print_option_default(row, out);
	}
	(void)buf_add_text(out, ") ");
	print_option_sentence(row, out);
	(void)buf_add_text(out, "\n");
}

static void print_processor(struct buf *out, const struct processor_row *row)
{
	static const char *const behind[] = {
	    [PROCESSOR_FIELDS] = "",
	    [PROCESSOR_CASES] = ": list of cases",
	    [PROCESSOR_MAPPING] = ": Bloblang mapping",
	    [PROCESSOR_CHILDREN] = ": list of processors",
	    [PROCESSOR_LABEL] = ": label",
	};
	const struct option_section *s = row->section ? row->section() : NULL;

	(void)buf_addf(out, "%s%s\n    %s\n", row->name, behind[row->shape], row->text);
	for (size_t i = 0; s && i < s->count; i++)
		print_field(out, &s->rows[i]);
}

/* What is no row of processors.def or inputs.def. */
static const struct {
	const char *slot, *name, *text;
} others[] = {
#define INPUT(kind, member, key, door, flags, text) {"input", key, text},
    CONFIG_INPUTS(INPUT)
#undef INPUT
        {"input", "resource", "The input of input_resources with this label."},
    {"input", "read_until", "Another input, until a check holds of a message."},
    {"input", "sequence", "Several inputs one after the other."},
    {"input", "broker", "Several inputs side by side."},
    {"output", "aws_kinesis", "An Amazon Kinesis data stream."},
    {"buffer", "sqlite", "The spool on disk."},
    {"buffer", "none", "As no buffer: the spool in its default place."},
    {"buffer", "memory", "As none: messages are kept on disk."},
    {"metrics", "prometheus", "Served at /metrics of the admin server."},
    {"metrics", "none", "No metrics."},
    {"tracer", "none", "No tracing."},
#define SCANNER(kind, member, key, text) {"scanner", key, text},
    CONFIG_SCANNERS(SCANNER)
#undef SCANNER
        {"scanner", "skip_bom", "A byte order mark is left out before another scanner."},
};

void config_print_components(struct buf *out, const char *slot)
{
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(others[i].slot, slot) == 0)
			(void)buf_addf(out, "%s\n    %s\n", others[i].name, others[i].text);
	for (const struct processor_row *row = processor_rows; row->name; row++)
		if (strcmp(row->slot, slot) == 0)
			print_processor(out, row);
}

size_t config_component_names(const char *slot, const char **ret, size_t most)
{
	size_t count = 0;

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(others[i].slot, slot) == 0 && count < most)
			ret[count++] = others[i].name;
	for (const struct processor_row *row = processor_rows; row->name; row++)
		if (strcmp(row->slot, slot) == 0 && count < most)
			ret[count++] = row->name;
	return count;
}
