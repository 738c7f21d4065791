/*
 * reload: which settings a new configuration may change while running.
 *
 * The flag RELOAD of options.def decides; this file only compares.
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
