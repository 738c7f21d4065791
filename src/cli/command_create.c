#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "cli/cli.h"

int command_create(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"small", no_argument, NULL, 's'},
	    {"schema", no_argument, NULL, 'j'},
	    {"man", no_argument, NULL, 'm'},
	    {NULL, 0, NULL, 0},
	};
	struct buf out;
	int what = 0, opt;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (opt == '?' || what)
			return command_misused("create", "one option at most");
		what = opt;
	}
	if (optind < argc)
		return command_misused("create", "takes no argument");
	buf_init(&out, 4 << 20);
	if (what == 'm')
		command_print_man(&out);
	else if (what == 'j')
		config_print_schema(&out);
	else
		config_print_example(&out, what == 's');
	(void)fwrite(out.data ? out.data : "", 1, out.len, stdout);
	buf_fini(&out);
	return EX_OK;
}
