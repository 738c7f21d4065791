#include "cli/command.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "config/options.h"
#include "daemon/inspect.h"
#include "cli/shown.h"

enum { OPTIONS_MAX = 8, FIRST_VALUE = 256 }; /* values of long options stand above every letter */

static const struct command_option *find_option(const struct command_option *options, size_t count, int value)
{
	for (size_t i = 0; i < count; i++)
		if (value == FIRST_VALUE + (int)i || (options[i].letter && value == options[i].letter))
			return &options[i];
	return NULL;
}

/* False when a list is full. */
static bool apply(const struct command_option *option, const char *argument)
{
	if (option->flag)
		*option->flag = true;
	if (option->choice)
		*option->choice = option->value;
	if (option->text)
		*option->text = argument;
	if (!option->list)
		return true;
	if (option->list->count == option->list->most)
		return false;
	option->list->items[option->list->count++] = argument;
	return true;
}

static int unknown_option(const char *command, const char *given, const struct command_option *options, size_t count)
{
	AUTOFREE char *word = mem_string(given);
	struct nearest near = {.given = word + strspn(word, "-")};

	word[strcspn(word, "=")] = '\0';
	for (size_t i = 0; i < count && strncmp(word, "--", 2) == 0; i++)
		nearest_offer(&near, options[i].name);
	if (nearest_is_near(&near))
		return command_misused(command, "unknown option %s (did you mean --%s?)", given, near.best);
	return command_misused(command, "unknown option %s", given);
}

int command_read_options(int argc, char **argv, const struct command_option *options, size_t count)
{
	struct option longs[OPTIONS_MAX + 1] = {{.name = NULL}};
	char letters[2 * OPTIONS_MAX + 2] = ":"; /* a missing argument is told apart */
	int value;

	must(count <= OPTIONS_MAX);
	for (size_t i = 0; i < count; i++) {
		bool takes_argument = options[i].text || options[i].list;

		longs[i] = (struct option){options[i].name, takes_argument, NULL, FIRST_VALUE + (int)i};
		if (options[i].letter)
			(void)snprintf(letters + strlen(letters), 3, "%c%s", options[i].letter,
			               takes_argument ? ":" : "");
	}
	opterr = 0;
	optind = 0; /* from the start, whatever was read before */
	while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct command_option *option = find_option(options, count, value);

		if (value == ':')
			return command_misused(argv[0], "%s requires an argument", argv[optind - 1]);
		if (!option)
			return unknown_option(argv[0], argv[optind - 1], options, count);
		if (!apply(option, optarg))
			return command_misused(argv[0], "at most %zu times --%s", option->list->most, option->name);
	}
	return EX_OK;
}

int command_fail(const char *name, const struct error *e)
{
	(void)fprintf(stderr, "kspool %s: %s\n", name, shown(e->text));
	return error_exit_status(e->code);
}

int command_misused(const char *name, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	(void)fprintf(stderr, "kspool %s: %s; see kspool %s --help\n", shown(name), shown(text), shown(name));
	return EX_USAGE;
}

enum err command_load(const char *path, const struct config_load_options *options, bool warnings, struct config **ret,
                      struct error *e)
{
	struct config_load_options whole = *options;
	struct config_faults faults = {0};
	enum err err;

	whole.inspect = inspect_config;
	err = config_load(path, &whole, ret, &faults, e);
	for (size_t i = 0; i < faults.count; i++)
		if (faults.items[i].line == 0 && (warnings || !faults.items[i].warning)) /* it came from --set */
			(void)fprintf(stderr, "--set: %s%s\n", faults.items[i].warning ? "warning: " : "",
			              shown(faults.items[i].text));
		else if (warnings || !faults.items[i].warning)
			(void)fprintf(stderr, "%s(%d,%d) %s%s\n", shown(path), faults.items[i].line,
			              faults.items[i].column, faults.items[i].warning ? "warning: " : "",
			              shown(faults.items[i].text));
	config_faults_fini(&faults);
	return err;
}
