/*
 * rules: what no single row of options.def can say, checked over a typed configuration.
 *
 * What it is: tables of rules for the output, for the spool and for the doors, and the places they name.
 * Promises: 10: beyond loopback nothing listens without TLS or a token.
 * Owner: the caller of rules_check; nothing is kept. Thread: any.
 * Fails: faults only.
 * Does not: change the configuration, or ask the system whether a path or an address exists.
 */
#ifndef KSPOOL_CONFIG_RULES_H
#define KSPOOL_CONFIG_RULES_H

#include "config/config.h"

struct rules {
	const struct config *config;
	struct config_faults *faults;
};

/* Every rule over config, whose tree is set. */
void rules_check(const struct config *config, struct config_faults *faults);

/* The rule tables; each entry is one rule. Ended by a null. */
typedef void rule_check(const struct rules *r);
extern rule_check *const rules_output[];
extern rule_check *const rules_spool[];
extern rule_check *const rules_doors[];

/* The node at "output.aws_kinesis.stream"; null when the file does not have it. */
const struct config_node *rules_find(const struct rules *r, const char *path);
/* True when the file sets it to something other than nothing or "". */
bool rules_is_set(const struct rules *r, const char *path);
/* True when it holds an unset ${NAME}, so that nothing can be said about its value. */
bool rules_is_unknown(const struct rules *r, const char *path);
/* "path sentence" at the path's place, or at its nearest ancestor's. */
void rules_fault(const struct rules *r, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void rules_warn(const struct rules *r, const char *path, const char *sentence);

enum { SOCKET_PATH_MAX = 107 }; /* bytes of sockaddr_un.sun_path without its NUL */

#endif
