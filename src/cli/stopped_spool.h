/*
 * stopped: a spool opened by a command because no daemon runs on it.
 *
 * Takes the spool's lock like the daemon; ERR_BUSY when one runs all the same, ERR_NOINPUT when there is no spool,
 * unless `create` makes one.
 */
#ifndef KSPOOL_CLI_STOPPED_SPOOL_H
#define KSPOOL_CLI_STOPPED_SPOOL_H

#include "store/store_dead.h"
#include "store/store_open.h"
#include "cli/cli.h"

enum err stopped_spool_open(const struct spool_place *place, bool create, struct store **ret,
                            struct error *e) MUST_CHECK;

#endif
