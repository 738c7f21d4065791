#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/default_place.h"
#include "daemon/daemon.h"
#include "daemon/inspect.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/env_file.h"

enum { SETS_MAX = 64, USER_NAME_MAX = 256, ENV_FILES_MAX = 16, LEVEL_SET_MAX = 64 };

struct identity {
	uid_t uid;
	gid_t gid;
	char name[USER_NAME_MAX]; /* whose groups it has beside gid; empty: none */
};

static bool read_id(const char *text, uint32_t *ret)
{
	uint64_t number;

	if (!num_parse_u64(text, &number) || number >= UINT32_MAX) /* the last one means "as it is" */
		return false;
	*ret = (uint32_t)number;
	return true;
}

/* "NAME", "UID", each also with ":GROUP" or ":GID": then that group is the only one. */
static enum err find_user(const char *text, struct identity *ret, struct error *e)
{
	const char *colon = strchr(text, ':');
	AUTOFREE char *name = colon ? mem_string_n(text, (size_t)(colon - text)) : mem_string(text);
	const struct group *group;
	const struct passwd *user;
	uint32_t number = 0;
	bool is_number = read_id(name, &number);

	user = is_number ? getpwuid(number) : getpwnam(name);
	if (!user && !is_number)
		return error_set(e, ERR_ENVIRONMENT, "--user %s: there is no such user", name);
	if (!user && !colon)
		return error_set(e, ERR_ENVIRONMENT,
		                 "--user %s: no user has this number, so its group is not known: --user %s:GID", name,
		                 name);
	ret->uid = user ? user->pw_uid : number;
	(void)snprintf(ret->name, sizeof ret->name, "%s", user && !colon ? user->pw_name : "");
	if (!colon) {
		ret->gid = user->pw_gid;
		return ERR_OK;
	}
	if (read_id(colon + 1, &ret->gid))
		return ERR_OK;
	group = getgrnam(colon + 1);
	if (!group)
		return error_set(e, ERR_ENVIRONMENT, "--user %s: there is no such group", text);
	ret->gid = group->gr_gid;
	return ERR_OK;
}

/* Before anything is opened, so that whatever is made belongs to that user. */
static enum err become(const char *text, struct error *e)
{
	struct identity user = {.name = ""};
	enum err err = find_user(text, &user, e);
	const struct passwd *home;

	if (err != ERR_OK)
		return err;
	if ((user.name[0] ? initgroups(user.name, user.gid) : setgroups(0, NULL)) != 0 || setgid(user.gid) != 0 ||
	    setuid(user.uid) != 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "--user %s: only root may become another user", text);
	home = getpwuid(user.uid); /* root's folders are not this user's */
	(void)unsetenv("XDG_DATA_HOME");
	(void)(home ? setenv("HOME", home->pw_dir, 1) : unsetenv("HOME"));
	return ERR_OK;
}

int command_run(int argc, char **argv)
{
	static const char *items[SETS_MAX + 1]; /* the daemon reads them again at every reload */
	struct command_list sets = {.items = items, .most = SETS_MAX};
	struct daemon_options daemon = {.load = {.for_run = true, .sets = items, .inspect = inspect_config}};
	struct error e = {.code = ERR_OK};
	static char level_set[LEVEL_SET_MAX]; /* as the items */
	const char *env_items[ENV_FILES_MAX], *named = NULL, *level = NULL;
	struct command_list env_files = {.items = env_items, .most = ENV_FILES_MAX};
	const char *path = KSPOOL_CONFIG_FILE, *user = NULL;
	const struct command_option options[] = {
	    {"set", 's', .list = &sets},   {"config", 'c', .text = &named}, {"env-file", 'e', .list = &env_files},
	    {"log.level", .text = &level}, {"user", .text = &user},
	};
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	if (level && sets.count < SETS_MAX) {
		(void)snprintf(level_set, sizeof level_set, "logger.level=%s", level);
		items[sets.count++] = level_set;
	}
	daemon.load.set_count = sets.count;
	if (argc - optind + (named != NULL) > 1)
		return command_misused("run", "one configuration at most");
	if (named || optind < argc)
		path = named ? named : argv[optind];
	for (size_t i = 0; i < env_files.count; i++)
		if (env_file_read(env_files.items[i], &e) != ERR_OK)
			return command_fail("run", &e);
	if (user && become(user, &e) != ERR_OK)
		return command_fail("run", &e);
	if (command_load(path, &daemon.load, true, &daemon.config, &e) != ERR_OK)
		return command_fail("run", &e);
	if (daemon.config->has_default_place && default_place_make(daemon.config->buffer.path, &e) != ERR_OK)
		return command_fail("run", &e);
	if (daemon_run(&daemon, &e) != ERR_OK)
		return command_fail("run", &e);
	return EX_OK;
}
