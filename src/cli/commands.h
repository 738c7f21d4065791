/*
 * commands: the table of what kspool can be told to do.
 *
 * What it is: the rows of commands.def with their functions. Each command is one function of the form
 * int command(int argc, char **argv), argv[0] being its name; it returns the exit status (sysexits.h).
 * Promises: none of its own. Owner: static. Thread: the process's first.
 * Fails: a command says on standard error what is wrong, as "kspool NAME: sentence".
 * Does not: read the command line; main.c does.
 */
#ifndef KSPOOL_CLI_COMMANDS_H
#define KSPOOL_CLI_COMMANDS_H

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *sentence;
	const char *notes;
};

extern const struct command commands[];
extern const unsigned command_count;

#define COMMAND(name, function, arguments, sentence, notes) int function(int argc, char **argv);
#include "cli/commands.def"
#undef COMMAND

void command_print_help(const struct command *c);
void command_print_overview(void);
/* Says so, with the nearest one; returns EX_USAGE. */
int command_unknown(const char *given);

#endif
