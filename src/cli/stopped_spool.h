/*
 * stopped_spool: a spool opened by a command because no daemon runs on it.
 *
 * What it is: store_open, or store_look, with what a command knows of the spool; it takes the spool's lock as the
 * daemon does, and counts what a killed one had in flight. Promises: 7, 9 (a command never works beside a daemon).
 * Owner: the caller; store_close. Thread: the command's. Fails: with ERR_BUSY when a daemon runs all the same,
 * ERR_NOINPUT when there is no spool, unless `create` makes one. Does not: start the journal's thread, or deliver.
 */
#ifndef KSPOOL_CLI_STOPPED_SPOOL_H
#define KSPOOL_CLI_STOPPED_SPOOL_H

#include "store/store_dead.h"
#include "store/store_open.h"
#include "cli/spool_place.h"

/* Without a configuration min_free is what it is by default. */
struct store_options stopped_spool_options(const struct spool_place *place, bool create);
/* What was mended, or set aside, is told on stderr, for `command`. */
enum err stopped_spool_open(const struct spool_place *place, const char *command, bool create, struct store **ret,
                            struct error *e) MUST_CHECK;
/*
 * To be read, and ended with store_close; nothing is changed, whatever is damaged. *ret_rest: ERR_DAMAGED and what does
 * not show, with which the command is to end, else ERR_OK. ERR_DAMAGED: it must be mended first. With `newest`
 * ERR_CONFIG for the tables of an older kspool.
 */
enum err stopped_spool_read(const struct spool_place *place, bool newest, struct store **ret, struct error *ret_rest,
                            struct error *e) MUST_CHECK;

#endif
