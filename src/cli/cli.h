/*
 * cli: the commands.
 *
 * Each command is one file with one function of the form int command(int argc, char **argv), argv[0] being its name;
 * it returns the exit status (sysexits.h). The rows of commands.def tie names to functions. Messages for people go to
 * standard error as "kspool NAME: sentence".
 */
#ifndef KSPOOL_CLI_CLI_H
#define KSPOOL_CLI_CLI_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/config.h"

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
/* The manual page: overview, commands, options of the configuration. */
void command_print_man(struct buf *out);

/* Prints "kspool NAME: text" and returns the error's exit status. */
int command_fail(const char *name, const struct error *e);
/* Prints a usage error with a hint at --help and returns EX_USAGE. */
int command_misused(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What most commands are told: where the configuration or the spool is. */
struct spool_place {
	const char *config_path; /* -c */
	const char *spool_path;  /* --spool */
	struct config *config;   /* loaded unless --spool was given */
	char *path;              /* of the spool's database */
	char *control;           /* of the control socket */
};

/* Fills path and control. Faults of the configuration are printed. */
enum err spool_place_find(struct spool_place *p, struct error *e) MUST_CHECK;
void spool_place_fini(struct spool_place *p);

/* Loads a configuration and prints its faults (errors always, warnings when asked) as path(line,column) message. */
enum err command_load(const char *path, const struct config_load_options *options, bool warnings, struct config **ret,
                      struct error *e) MUST_CHECK;

/*
 * One request to the control socket of a running daemon. ERR_UNAVAILABLE when nobody answers there. A refusal by the
 * daemon comes back as its own error. body may be null.
 */
enum err control_call(const char *socket_path, const char *method, const char *target, struct buf *ret_body,
                      struct error *e) MUST_CHECK;

#endif
