#include "config/print.h"

#include <string.h>

#include "config/inputs.h"

const struct print_part print_parts[] = {
    {NULL, "http", options_http, false, "The admin HTTP server."},
    {"input", NULL, options_input, false,
     "Where messages come from: one of " INPUT_KEYS "resource with the label of one of input_resources, "
     "read_until around one, sequence or broker with several under inputs."},
#define PART(kind, member, key, door, flags, text) {"input", key, options_input_##member, !((flags)&SHOWN), text},
    CONFIG_INPUTS(PART)
#undef PART
        {"input", "broker", options_broker, true, "Several inputs side by side."},
    {"input", "sequence", options_sequence, true, "Several inputs, one after the other."},
    {"input", "read_until", options_read_until, true, "An input, up to a certain message."},
    {"buffer", "sqlite", options_buffer_sqlite, false, "The spool on disk."},
    {"pipeline", NULL, options_pipeline, false, "Processors between input and output."},
    {"output", NULL, options_output, false, "Where messages go."},
    {"output", "aws_kinesis", options_aws_kinesis, false, "An Amazon Kinesis data stream."},
    {NULL, "logger", options_logger, false, "Log lines."},
    {"metrics", NULL, options_metrics, false, "Counters: prometheus, or none: {}."},
    {"metrics", "prometheus", options_prometheus, false, "Served at /metrics of the admin server."},
    {NULL, "kspool", options_kspool, false, "kspool's own section; Redpanda Connect does not know it."},
    {NULL, NULL, options_root, false, "The end, and shared resources."},
    {NULL, NULL, NULL, false, NULL},
};

void print_option_default(const struct option_row *row, struct buf *out)
{
	switch (row->kind) {
	case OPTION_NODES:
		(void)buf_add_text(out, option_is_list(row) ? "[]" : "{}");
		return;
	case OPTION_STRINGS:
		(void)buf_addf(out, *row->fallback ? "[\"%s\"]" : "[]%s", row->fallback);
		return;
	case OPTION_STRING:
	case OPTION_SECRET:
	case OPTION_TEMPLATE:
	case OPTION_MAPPING:
		(void)buf_addf(out, "\"%s\"", row->fallback);
		return;
	default:
		(void)buf_add_text(out, *row->fallback ? row->fallback : "\"\"");
	}
}

void print_option_kind(const struct option_row *row, struct buf *out)
{
	static const char *const names[] = {
	    [OPTION_STRING] = "text",
	    [OPTION_SECRET] = "text, secret",
	    [OPTION_BOOL] = "true or false",
	    [OPTION_INT] = "number",
	    [OPTION_SIZE] = "bytes, also as 64KiB or 5MiB",
	    [OPTION_DURATION] = "duration such as 300ms or 1m30s",
	    [OPTION_STRINGS] = "list of texts",
	    [OPTION_TEMPLATE] = "text with ${! } interpolation",
	    [OPTION_MAPPING] = "Bloblang mapping",
	};

	if (row->kind == OPTION_ENUM)
		for (const struct option_word *word = row->words; word->text; word++)
			(void)buf_addf(out, "%s%s", word == row->words ? "" : word[1].text ? ", " : " or ", word->text);
	else if (row->kind == OPTION_NODES)
		(void)buf_add_text(out, option_shape_words(row));
	else if (row->kind != OPTION_OBJECT)
		(void)buf_add_text(out, names[row->kind]);
}

void print_option_sentence(const struct option_row *row, struct buf *out)
{
	(void)buf_add_text(out, row->text);
	if ((row->least != 0 || row->most != 0) && row->kind != OPTION_OBJECT) {
		(void)buf_add_text(out, row->most == INT64_MAX ? " At least " : " From ");
		option_print_number(row->kind, row->least, out);
		if (row->most != INT64_MAX) {
			(void)buf_add_text(out, " to ");
			option_print_number(row->kind, row->most, out);
		}
		(void)buf_add_text(out, ".");
	}
	if (row->flags & REQUIRED)
		(void)buf_add_text(out, " Required.");
	if (row->flags & RELOAD)
		(void)buf_add_text(out, " Taken over on SIGHUP.");
	if (row->flags & LATER)
		(void)buf_add_text(out, " Refused: not built yet.");
	if (row->flags & INERT)
		(void)buf_add_text(out, " No effect.");
}
