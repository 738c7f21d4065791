#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
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

struct lint {
	struct config_load_options load;
	bool explain, strict;
	int status;
};

static bool is_yaml(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static void lint_path(struct lint *l, const char *path)
{
	if (lint_one(path, &l->load, l->explain, l->strict) != EX_OK)
		l->status = FINDINGS;
}

static void say_unreadable(struct lint *l, const char *path, int error)
{
	(void)printf("%s(1,1) cannot be read: %s\n", shown(path), strerror(error));
	l->status = FINDINGS;
}

/* Every YAML file below a folder; hidden ones are left out. */
static void lint_below(struct lint *l, const char *folder)
{
	char *const roots[] = {mem_string(folder), NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

	for (FTSENT *entry = fts ? fts_read(fts) : NULL; entry; entry = fts_read(fts))
		if (entry->fts_level > 0 && entry->fts_name[0] == '.')
			(void)fts_set(fts, entry, FTS_SKIP);
		else if ((entry->fts_info == FTS_F || entry->fts_info == FTS_SL) && is_yaml(entry->fts_path))
			lint_path(l, entry->fts_path);
		else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS || entry->fts_info == FTS_ERR)
			say_unreadable(l, entry->fts_path, entry->fts_errno);
	if (!fts)
		say_unreadable(l, folder, errno);
	else
		(void)fts_close(fts);
	free(roots[0]);
}

int command_lint(int argc, char **argv)
{
	struct lint l = {.load = {.inspect = inspect_config}, .status = EX_OK};
	const struct command_option options[] = {
	    {"explain", .flag = &l.explain},
	    {"strict", .flag = &l.strict},
	    {"skip-env-var-check", .flag = &l.load.skip_env_check},
	};
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	if (optind == argc)
		return command_misused("lint", "name at least one configuration");
	for (int i = optind; i < argc; i++) {
		char *path = argv[i], *dots = strlen(path) >= 4 ? path + strlen(path) - 4 : path;
		struct stat st;

		if (strcmp(dots, "/...") == 0)
			*(dots == path ? dots + 1 : dots) = '\0';
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			lint_below(&l, path);
		else
			lint_path(&l, path);
	}
	return l.status;
}
