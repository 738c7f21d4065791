#include "cli/commands.h"

#include <stdio.h>

const struct command commands[] = {
#define COMMAND(name, function, arguments, sentence, notes) {name, function, arguments, sentence, notes},
#include "cli/commands.def"
#undef COMMAND
};
const unsigned command_count = sizeof commands / sizeof *commands;

void command_print_help(const struct command *c)
{
	(void)printf("kspool %s %s\n\n%s\n", c->name, c->arguments, c->sentence);
	if (c->notes[0])
		(void)printf("\n%s", c->notes);
}

void command_print_overview(void)
{
	(void)printf("kspool " KSPOOL_VERSION
	             ": a durable store-and-forward spooler for Amazon Kinesis Data Streams\n\n");
	for (unsigned i = 0; i < command_count; i++)
		(void)printf("  kspool %-8s %s\n", commands[i].name, commands[i].sentence);
	(void)printf("\nkspool COMMAND --help says more. kspool --version prints the version.\n");
}
