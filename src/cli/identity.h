/* identity: what whoami and `lint --explain` print of aws/whoami.h. */
#ifndef KSPOOL_CLI_IDENTITY_H
#define KSPOOL_CLI_IDENTITY_H

#include <stdio.h>

#include "aws/identity/whoami.h"
#include "cli/cli.h"

/* Runs the chain on an event base of its own. */
enum err identity_find(const struct config *config, const struct aws_whoami_wish *wish, struct aws_whoami *ret,
                       struct error *e) MUST_CHECK;
void identity_print(const struct aws_whoami *w, FILE *out);

#endif
