#include <getopt.h>
#include <sysexits.h>

#include "base/mem.h"
#include "daemon/daemon.h"
#include "cli/cli.h"

enum { SETS_MAX = 64 };

int command_run(int argc, char **argv)
{
	static const struct option longs[] = {{"set", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
	static const char *sets[SETS_MAX + 1]; /* the daemon reads them again at every reload */
	struct daemon_options options = {.load = {.for_run = true, .sets = sets, .inspect = daemon_inspect}};
	struct error e = {.code = ERR_OK};
	const char *path = KSPOOL_CONFIG_FILE;
	int opt;

	while ((opt = getopt_long(argc, argv, "s:", longs, NULL)) != -1) {
		if (opt != 's' || options.load.set_count == SETS_MAX)
			return command_misused("run", "unknown option");
		sets[options.load.set_count++] = optarg;
	}
	if (argc - optind > 1)
		return command_misused("run", "one configuration at most");
	if (optind < argc)
		path = argv[optind];
	if (command_load(path, &options.load, false, &options.config, &e) != ERR_OK)
		return command_fail("run", &e);
	if (daemon_run(&options, &e) != ERR_OK)
		return command_fail("run", &e);
	return EX_OK;
}
