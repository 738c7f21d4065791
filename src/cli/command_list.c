/* What kspool has, for people and for editors. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/jsonout.h"
#include "bloblang/bloblang.h"
#include "cli/command.h"
#include "cli/commands.h"

enum { LIST_MAX_BYTES = 4 << 20, NAMES_MAX = 256 };

/* Redpanda Connect's word for a kind, and the slot of a file that holds it. */
static const struct {
	const char *kind;
	const char *slot;
} kinds[] = {
    {"inputs", "input"},   {"outputs", "output"},         {"processors", "processor"},
    {"caches", "cache"},   {"buffers", "buffer"},         {"metrics", "metrics"},
    {"tracers", "tracer"}, {"rate-limits", "rate_limit"}, {"scanners", "scanner"},
};

static bool is_kind(const char *word)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(word, kinds[i].kind) == 0)
			return true;
	return false;
}

static bool is_wanted(const char *kind, int count, char **wanted)
{
	for (int i = 0; i < count; i++)
		if (strcmp(wanted[i], kind) == 0)
			return true;
	return count == 0;
}

static void list_text(struct buf *out, int count, char **wanted)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (!is_wanted(kinds[i].kind, count, wanted))
			continue;
		if (count != 1)
			(void)buf_addf(out, "%s:\n", kinds[i].kind);
		config_print_components(out, kinds[i].slot);
		if (count != 1)
			(void)buf_add_char(out, '\n');
	}
}

static void list_json(struct buf *out, int count, char **wanted)
{
	struct jsonout j;

	jsonout_init(&j, out);
	jsonout_object(&j, NULL);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const char *names[NAMES_MAX];
		size_t n = config_component_names(kinds[i].slot, names, NAMES_MAX);

		if (!is_wanted(kinds[i].kind, count, wanted))
			continue;
		jsonout_array(&j, kinds[i].kind);
		for (size_t k = 0; k < n; k++)
			jsonout_text(&j, NULL, names[k]);
		jsonout_array_end(&j);
	}
	jsonout_object_end(&j);
	(void)buf_add_char(out, '\n');
}

int command_list(int argc, char **argv)
{
	const char *format = "text";
	const struct command_option options[] = {{"format", .text = &format}};
	int status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	const char *first = status == EX_OK && optind < argc ? argv[optind] : "";
	struct buf out;

	if (status != EX_OK)
		return status;
	for (int i = optind; i < argc; i++)
		if (!is_kind(argv[i]) &&
		    (argc - optind > 1 ||
		     (strcmp(first, "functions") != 0 && strcmp(first, "methods") != 0 &&
		      strcmp(first, "bloblang-functions") != 0 && strcmp(first, "bloblang-methods") != 0)))
			return command_misused("list",
			                       "there is no kind %s: say inputs, outputs, processors, caches, buffers, "
			                       "metrics, tracers, rate-limits, scanners, or functions or methods alone",
			                       argv[i]);
	buf_init(&out, LIST_MAX_BYTES);
	if (strstr(first, "functions"))
		bloblang_list_functions(&out);
	else if (strstr(first, "methods"))
		bloblang_list_methods(&out);
	else if (strcmp(format, "text") == 0)
		list_text(&out, argc - optind, argv + optind);
	else if (strcmp(format, "json") == 0)
		list_json(&out, argc - optind, argv + optind);
	else if (strcmp(format, "jsonschema") == 0)
		config_print_schema(&out);
	else
		status = command_misused("list", "there is no format %s: say text, json or jsonschema", format);
	(void)fwrite(out.data ? out.data : "", 1, out.len, stdout);
	buf_fini(&out);
	return status;
}
