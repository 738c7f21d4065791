#include <unistd.h>
#include <stdio.h>
#include <sysexits.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/man.h"

int command_create(int argc, char **argv)
{
	bool small = false, schema = false, man = false;
	const struct command_option options[] = {
	    {"small", .flag = &small},
	    {"schema", .flag = &schema},
	    {"man", .flag = &man},
	};
	struct buf out;
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	if (small + schema + man > 1)
		return command_misused("create", "one option at most");
	if (optind < argc)
		return command_misused("create", "takes no argument");
	buf_init(&out, 4 << 20);
	if (man)
		man_print(&out);
	else if (schema)
		config_print_schema(&out);
	else
		config_print_example(&out, small);
	(void)fwrite(out.data ? out.data : "", 1, out.len, stdout);
	buf_fini(&out);
	return EX_OK;
}
