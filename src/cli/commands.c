#include "cli/commands.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "config/options.h"
#include "cli/shown.h"

const struct command commands[] = {
#define COMMAND(name, function, arguments, sentence, notes) {name, function, arguments, sentence, notes},
#include "cli/commands.def"
#undef COMMAND
};
const unsigned command_count = sizeof commands / sizeof *commands;

int command_unknown(const char *given)
{
	/* of Redpanda Connect; what does the same here */
	static const struct {
		const char *name, *instead;
	} elsewhere[] = {
	    {"echo", "kspool create shows every option, kspool lint what is wrong with a file"},
	    {"version", "kspool --version prints it"},
	    {"streams", "kspool runs one stream; several are kspool@NAME units"},
	    {"studio", "it is not part of kspool"},
	    {"template", "templates are not part of kspool"},
	    {"test", "unit tests of a file are not run by kspool; kspool blobl tries a mapping out"},
	};
	struct nearest near = {.given = given};

	for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
		if (strcmp(given, elsewhere[i].name) == 0) {
			(void)fprintf(stderr, "kspool: there is no command %s: %s\n", given, elsewhere[i].instead);
			return EX_USAGE;
		}
	for (unsigned i = 0; i < command_count; i++)
		nearest_offer(&near, commands[i].name);
	if (nearest_is_near(&near))
		(void)fprintf(stderr, "kspool: there is no command %s; did you mean %s?\n", shown(given), near.best);
	else
		(void)fprintf(stderr, "kspool: there is no command %s; see kspool --help\n", shown(given));
	return EX_USAGE;
}

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
