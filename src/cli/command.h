/*
 * command: what commands have in common.
 *
 * What it is: a reader of options from a table, the two ways a command says that something is wrong, and the loading
 * of a configuration with its faults printed.
 * Promises: none of its own. Owner: texts point into argv. Thread: the process's first; getopt's state is global.
 * Fails: a misused command with EX_USAGE, any other with the exit status of its error (errors.def).
 * Does not: log; a command prints.
 */
#ifndef KSPOOL_CLI_COMMAND_H
#define KSPOOL_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "config/config.h"

/* One option of a command: what to do when it is given. Exactly one of flag, choice, text and list is set. */
struct command_option {
	const char *name; /* without its dashes */
	char letter;      /* '\0': it has no short form */
	bool *flag;       /* becomes true */
	int *choice;      /* becomes value; the last one given counts */
	int value;
	const char **text;         /* takes an argument */
	struct command_list *list; /* takes an argument, each time it is given */
};

struct command_list {
	const char **items;
	size_t count;
	size_t most;
};

/* Reads the options of argv; optind then stands at the first argument. Anything but EX_OK was said and is final. */
int command_read_options(int argc, char **argv, const struct command_option *options, size_t count);

/* Prints "kspool NAME: text" and returns the error's exit status. */
int command_fail(const char *name, const struct error *e);
/* Prints a usage error with a hint at --help and returns EX_USAGE. */
int command_misused(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Loads a configuration and prints its faults (errors always, warnings when asked) as path(line,column) message. */
enum err command_load(const char *path, const struct config_load_options *options, bool warnings, struct config **ret,
                      struct error *e) MUST_CHECK;

#endif
