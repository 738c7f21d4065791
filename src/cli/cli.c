#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "daemon/daemon.h"

const struct command commands[] = {
#define COMMAND(name, function, arguments, sentence, notes) {name, function, arguments, sentence, notes},
#include "cli/commands.def"
#undef COMMAND
};
const unsigned command_count = sizeof commands / sizeof *commands;

void command_print_help(const struct command *c)
{
	(void)printf("kspool %s %s\n\n%s\n", c->name, c->arguments, c->sentence);
	if (c->notes[0])
		(void)printf("\n%s", c->notes);
}

void command_print_overview(void)
{
	(void)printf("kspool " KSPOOL_VERSION
	             ": a durable store-and-forward spooler for Amazon Kinesis Data Streams\n\n");
	for (unsigned i = 0; i < command_count; i++)
		(void)printf("  kspool %-8s %s\n", commands[i].name, commands[i].sentence);
	(void)printf("\nkspool COMMAND --help says more. kspool --version prints the version.\n");
}

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

void command_print_man(struct buf *out)
{
	(void)buf_add_text(
	    out, ".TH KSPOOL 1 \"\" \"kspool " KSPOOL_VERSION "\" \"User Commands\"\n.SH NAME\n"
	         "kspool \\- durable store-and-forward spooler for Amazon Kinesis Data Streams\n"
	         ".SH SYNOPSIS\n.B kspool\n.I command\n.RI [ arguments ]\n.SH DESCRIPTION\n"
	         "Messages come in by standard input, files, HTTP or sockets, are on stable storage before they are\n"
	         "acknowledged, and leave in batches to Kinesis. A message is deleted only when its own entry in the\n"
	         "response says that it was stored.\n.SH COMMANDS\n");
	for (unsigned i = 0; i < command_count; i++) {
		(void)buf_add_text(out, ".SS \"kspool ");
		add_roff(out, commands[i].name);
		(void)buf_add_char(out, ' ');
		add_roff(out, commands[i].arguments);
		(void)buf_add_text(out, "\"\n");
		add_roff(out, commands[i].sentence);
		(void)buf_add_text(out, "\n.PP\n.nf\n");
		add_roff(out, commands[i].notes);
		(void)buf_add_text(out, ".fi\n");
	}
	(void)buf_add_text(out, ".SH CONFIGURATION\n");
	config_print_man(out);
	add_metrics(out);
	(void)buf_add_text(
	    out, ".SH \"EXIT STATUS\"\n0 success; 1 findings of lint; otherwise a value of\n"
	         ".IR sysexits.h :\n"
	         "64 usage, 65 bad data, 66 no input, 69 no daemon, 71 system, 74 disk, 75 try later, 77 permission,\n"
	         "78 configuration.\n.SH FILES\n.I " KSPOOL_CONFIG_FILE "\n");
}

int command_fail(const char *name, const struct error *e)
{
	(void)fprintf(stderr, "kspool %s: %s\n", name, e->text);
	return error_exit_status(e->code);
}

int command_misused(const char *name, const char *format, ...)
{
	va_list ap;

	(void)fprintf(stderr, "kspool %s: ", name);
	va_start(ap, format);
	(void)vfprintf(stderr, format, ap);
	va_end(ap);
	(void)fprintf(stderr, "; see kspool %s --help\n", name);
	return EX_USAGE;
}

enum err command_load(const char *path, const struct config_load_options *options, bool warnings, struct config **ret,
                      struct error *e)
{
	struct config_load_options whole = *options;
	struct config_faults faults = {0};
	enum err err;

	whole.inspect = daemon_inspect;
	err = config_load(path, &whole, ret, &faults, e);
	for (size_t i = 0; i < faults.count; i++)
		if (warnings || !faults.items[i].warning)
			(void)fprintf(stderr, "%s(%d,%d) %s\n", path, faults.items[i].line, faults.items[i].column,
			              faults.items[i].text);
	config_faults_fini(&faults);
	return err;
}

enum err spool_place_find(struct spool_place *p, struct error *e)
{
	const struct config_load_options options = {.skip_env_check = true};
	enum err err;

	if (p->spool_path) {
		p->path = mem_string(p->spool_path);
		p->control = mem_format("%s.sock", p->spool_path);
		return ERR_OK;
	}
	if (!p->config_path)
		p->config_path = KSPOOL_CONFIG_FILE;
	err = command_load(p->config_path, &options, false, &p->config, e);
	if (err != ERR_OK)
		return err;
	p->path = mem_string(p->config->buffer.path);
	p->control = daemon_control_path(p->config);
	return ERR_OK;
}

void spool_place_fini(struct spool_place *p)
{
	config_free(p->config);
	free(p->path);
	free(p->control);
}
