/*
 * reload: which settings a new configuration may change while running.
 *
 * What it is: what differs by the tables of options, where the flag RELOAD decides, and is kept as it is until a
 * restart; and the logger's settings, which always may change.
 * Promises: none of its own. Owner: both configurations stay the caller's; the log keeps no text of them.
 * Thread: intake. Fails: reload_log with ERR_CONFIG or ERR_ENVIRONMENT, and the log stays as it was.
 * Does not: load configurations, or give them to the rooms.
 */
#ifndef KSPOOL_DAEMON_RELOAD_H
#define KSPOOL_DAEMON_RELOAD_H

#include "config/config.h"

/*
 * Gives new the old value of each setting that differs and needs a restart, and calls say(arg,
 * "output.aws_kinesis.stream") for it. new must not outlive old: nodes are shared.
 */
void reload_keep(const struct config *old, struct config *new, void (*say)(void *arg, const char *field), void *arg);

/* Log settings of a configuration; lines go to stdout as Redpanda Connect's do, or to logger.file.path. */
enum err reload_log(const struct config *config, struct error *e) MUST_CHECK;

#endif
