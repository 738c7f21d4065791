#include <unistd.h>
#include <sysexits.h>

#include "base/mem.h"
#include "daemon/daemon.h"
#include "daemon/inspect.h"
#include "cli/command.h"
#include "cli/commands.h"

enum { SETS_MAX = 64 };

int command_run(int argc, char **argv)
{
	static const char *items[SETS_MAX + 1]; /* the daemon reads them again at every reload */
	struct command_list sets = {.items = items, .most = SETS_MAX};
	struct daemon_options daemon = {.load = {.for_run = true, .sets = items, .inspect = inspect_config}};
	struct error e = {.code = ERR_OK};
	const char *path = KSPOOL_CONFIG_FILE;
	const struct command_option options[] = {
	    {"set", 's', .list = &sets},
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
	if (command_load(path, &daemon.load, true, &daemon.config, &e) != ERR_OK)
		return command_fail("run", &e);
	if (daemon_run(&daemon, &e) != ERR_OK)
		return command_fail("run", &e);
	return EX_OK;
}
