/*
 * reload: which settings a new configuration may change while running.
 *
 * What it is: a comparison by the tables of options, where the flag RELOAD decides; and the logger's settings, which
 * always may.
 * Promises: none of its own. Owner: both configurations stay the caller's; the log keeps no text of them.
 * Thread: intake. Fails: reload_log with ERR_CONFIG or ERR_ENVIRONMENT, and the log stays as it was.
 * Does not: load configurations, or give them to the rooms.
 */
#ifndef KSPOOL_DAEMON_RELOAD_H
#define KSPOOL_DAEMON_RELOAD_H

#include "config/config.h"

/* Calls say(arg, "output.aws_kinesis.stream") for each setting that differs and needs a restart. */
void reload_compare(const struct config *old, const struct config *new, void (*say)(void *arg, const char *field),
                    void *arg);

/* Log settings of a configuration; lines go to stdout as Redpanda Connect's do, or to logger.file.path. */
enum err reload_log(const struct config *config, struct error *e) MUST_CHECK;

#endif
