/*
 * daemon: the rooms wired together, from start to stop.
 *
 * What it is: `kspool run`. Opens the journal, starts delivery, the admin server and the doors, runs the intake loop,
 * reloads on SIGHUP, and stops in the order doors, delivery, journal. A finite input that reached its end leads to the
 * same stop once everything is delivered. Thread: the process's first, which becomes the intake thread.
 * Fails: with the error that stopped the start; afterwards only a disk error ends the process (status 74).
 */
#ifndef KSPOOL_DAEMON_DAEMON_H
#define KSPOOL_DAEMON_DAEMON_H

#include "base/error.h"
#include "config/config.h"

struct daemon_options {
	struct config *config;           /* owned by the daemon from here on */
	struct config_load_options load; /* for SIGHUP */
};

/* For config_load_options.inspect: what Bloblang, processors and the AWS client find wrong with a configuration. */
void daemon_inspect(const struct config *config, struct config_faults *faults);

enum err daemon_run(const struct daemon_options *options, struct error *e) MUST_CHECK;

/* Path of the control socket: kspool.control, or the spool's path plus ".sock". Returns a new string. */
char *daemon_control_path(const struct config *config);

#endif
