/*
 * inspect: what a configuration means to the rooms above config/.
 *
 * What it is: the faults that Bloblang, the processors and the AWS client find in it, for lint, for every command that
 * loads one, and for the daemon; which of the files that it names would be refused; and where the daemon of a
 * configuration has its control socket. Promises: none of its own. Owner: new strings are the caller's. Thread: any.
 * Fails: never; what is wrong is a fault of the configuration.
 * Does not: open sockets or the network.
 */
#ifndef KSPOOL_DAEMON_INSPECT_H
#define KSPOOL_DAEMON_INSPECT_H

#include "config/config.h"

/* For config_load_options.inspect. */
void inspect_config(const struct config *config, struct config_faults *faults);

/* Path of the control socket: kspool.control, or the spool's path plus ".sock". free() it. */
char *inspect_control_path(const struct config *config) __attribute__((returns_nonnull));

#endif
