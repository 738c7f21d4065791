#include <unistd.h>
#include <stdio.h>
#include <sysexits.h>

#include "daemon/inspect.h"
#include "cli/command.h"
#include "cli/command_whoami.h"
#include "cli/commands.h"
#include "cli/shown.h"

enum { FINDINGS = 1 };

/* Without network: a provider that would have to ask one is said to be what would be used. */
static void explain_places(const char *path, const struct config *config)
{
	const struct aws_whoami_wish wish = {0};
	struct aws_whoami found = {0};
	struct error e = {.code = ERR_OK};

	(void)printf("%s\n", shown(path));
	if (command_whoami_find(config, &wish, &found, &e) == ERR_OK)
		command_whoami_print(&found, stdout);
	else
		(void)printf("%s\n", shown(e.text));
}

static int lint_one(const char *path, const struct config_load_options *options, bool explain, bool strict)
{
	struct error e = {.code = ERR_OK};
	struct config_faults faults = {0};
	struct config *config = NULL;
	enum err err = config_load(path, options, &config, &faults, &e);
	int status = err != ERR_OK || (strict && faults.count > 0) ? FINDINGS : EX_OK;

	for (size_t i = 0; i < faults.count; i++)
		if (faults.items[i].foreseen)
			status = FINDINGS;
	for (size_t i = 0; i < faults.count; i++)
		(void)printf("%s(%d,%d) %s%s\n", shown(path), faults.items[i].line, faults.items[i].column,
		             faults.items[i].warning ? "warning: " : "", shown(faults.items[i].text));
	if (err != ERR_OK && faults.count == 0)
		(void)printf("%s(1,1) %s\n", shown(path), shown(e.text));
	if (config && explain)
		explain_places(path, config);
	config_faults_fini(&faults);
	config_free(config);
	return status;
}

int command_lint(int argc, char **argv)
{
	struct config_load_options load = {.inspect = inspect_config};
	bool explain = false, strict = false;
	const struct command_option options[] = {
	    {"explain", .flag = &explain},
	    {"strict", .flag = &strict},
	    {"skip-env-var-check", .flag = &load.skip_env_check},
	};
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	if (optind == argc)
		return command_misused("lint", "name at least one configuration");
	for (int i = optind; i < argc; i++)
		if (lint_one(argv[i], &load, explain, strict) != EX_OK)
			status = FINDINGS;
	return status;
}
