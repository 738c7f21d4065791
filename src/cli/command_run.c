#include <grp.h>
#include <pwd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/daemon.h"
#include "daemon/inspect.h"
#include "cli/command.h"
#include "cli/commands.h"

enum { SETS_MAX = 64 };

/* Before anything is opened, so that whatever is made belongs to that user. */
static enum err become(const char *name, struct error *e)
{
	const struct passwd *user = getpwnam(name);

	if (!user)
		return error_set(e, ERR_ENVIRONMENT, "--user %s: there is no such user", name);
	if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "--user %s: only root may become another user", name);
	return ERR_OK;
}

int command_run(int argc, char **argv)
{
	static const char *items[SETS_MAX + 1]; /* the daemon reads them again at every reload */
	struct command_list sets = {.items = items, .most = SETS_MAX};
	struct daemon_options daemon = {.load = {.for_run = true, .sets = items, .inspect = inspect_config}};
	struct error e = {.code = ERR_OK};
	const char *path = KSPOOL_CONFIG_FILE, *user = NULL;
	const struct command_option options[] = {
	    {"set", 's', .list = &sets},
	    {"user", .text = &user},
	};
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	daemon.load.set_count = sets.count;
	if (argc - optind > 1)
		return command_misused("run", "one configuration at most");
	if (optind < argc)
		path = argv[optind];
	if (user && become(user, &e) != ERR_OK)
		return command_fail("run", &e);
	if (command_load(path, &daemon.load, true, &daemon.config, &e) != ERR_OK)
		return command_fail("run", &e);
	if (daemon_run(&daemon, &e) != ERR_OK)
		return command_fail("run", &e);
	return EX_OK;
}
