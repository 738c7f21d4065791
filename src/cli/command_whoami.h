/*
 * command_whoami: what whoami and `lint --explain` print of aws/identity/whoami.h.
 *
 * What it is: the chain of providers, run once on an event base of its own, and its outcome for people.
 * Promises: none of its own. Owner: the caller owns the outcome; it has no pointers. Thread: the command's; it blocks.
 * Fails: with what makes the chain impossible; a chain that found nothing is an outcome.
 * Does not: print secrets.
 */
#ifndef KSPOOL_CLI_COMMAND_WHOAMI_H
#define KSPOOL_CLI_COMMAND_WHOAMI_H

#include <stdio.h>

#include "config/config.h"
#include "aws/identity/whoami.h"

enum err command_whoami_find(const struct config *config, const struct aws_whoami_wish *wish, struct aws_whoami *ret,
                             struct error *e) MUST_CHECK;
void command_whoami_print(const struct aws_whoami *w, FILE *out);

#endif
