/* kspool: argument zero of the command line, looked up in the table of commands. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/cli.h"

static int wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		command_print_overview();
		return argc < 2 ? EX_USAGE : EX_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("kspool " KSPOOL_VERSION "\n");
		return EX_OK;
	}
	for (unsigned i = 0; i < command_count; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (wants_help(argc - 1, argv + 1)) {
			command_print_help(&commands[i]);
			return EX_OK;
		}
		return commands[i].run(argc - 1, argv + 1);
	}
	(void)fprintf(stderr, "kspool: there is no command %s; see kspool --help\n", argv[1]);
	return EX_USAGE;
}
