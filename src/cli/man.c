#include "cli/man.h"

#include <string.h>

#include "base/metrics.h"
#include "config/config.h"

/* The rows' texts without their functions: `kspool create --man` prints this, and is a row itself. */
static const struct {
	const char *name;
	const char *arguments;
	const char *sentence;
	const char *notes;
} texts[] = {
#define COMMAND(name, function, arguments, sentence, notes) {name, arguments, sentence, notes},
#include "cli/commands.def"
#undef COMMAND
};

static void add_roff(struct buf *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p == '-' || *p == '\\')
			(void)buf_add_char(out, '\\');
		if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
			(void)buf_add_text(out, "\\&");
		(void)buf_add_char(out, *p);
	}
}

static void add_metrics(struct buf *out)
{
	const char *previous = "";

	(void)buf_add_text(out, ".SH METRICS\nServed at /metrics for Prometheus.\n");
	for (int m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *info = metric_info((enum metric)m);

		if (strcmp(previous, info->name) == 0)
			continue;
		previous = info->name;
		(void)buf_addf(out, ".TP\n.B %s\n%s (%s)\n", info->name, info->text, info->unit);
	}
}

void man_print(struct buf *out)
{
	(void)buf_add_text(
	    out, ".TH KSPOOL 1 \"\" \"kspool " KSPOOL_VERSION "\" \"User Commands\"\n.SH NAME\n"
	         "kspool \\- durable store-and-forward spooler for Amazon Kinesis Data Streams\n"
	         ".SH SYNOPSIS\n.B kspool\n.I command\n.RI [ arguments ]\n.SH DESCRIPTION\n"
	         "Messages come in by standard input, files, HTTP or sockets, are on stable storage before they are\n"
	         "acknowledged, and leave in batches to Kinesis. A message is deleted only when its own entry in the\n"
	         "response says that it was stored.\n.SH COMMANDS\n");
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		(void)buf_add_text(out, ".SS \"kspool ");
		add_roff(out, texts[i].name);
		(void)buf_add_char(out, ' ');
		add_roff(out, texts[i].arguments);
		(void)buf_add_text(out, "\"\n");
		add_roff(out, texts[i].sentence);
		(void)buf_add_text(out, "\n.PP\n.nf\n");
		add_roff(out, texts[i].notes);
		(void)buf_add_text(out, ".fi\n");
	}
	(void)buf_add_text(out, ".SH CONFIGURATION\n");
	config_print_man(out);
	add_metrics(out);
	(void)buf_add_text(out, ".SH \"EXIT STATUS\"\n0 success; 1 findings of lint; otherwise a value of\n"
	                        ".IR sysexits.h :\n"
	                        "64 usage, 65 bad data, 66 no input, 69 no daemon, 71 system, 73 no space, 74 disk, 75 "
	                        "try later, 77 permission,\n"
	                        "78 configuration.\n.SH FILES\n.I " KSPOOL_CONFIG_FILE "\n");
}
