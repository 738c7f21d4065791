/*
 * daemon: the rooms wired together, from start to stop.
 *
 * What it is: `kspool run`. Opens the journal, starts delivery, the admin server and the doors, runs the intake loop,
 * reloads on SIGHUP, and stops in the order doors, delivery, journal. A finite input that reached its end leads to the
 * same stop once everything is delivered.
 * Promises: 3, 4 (a condemned journal ends the process, status 74), 10.
 * Owner: the configuration given is the daemon's. Thread: the process's first, which becomes the intake thread.
 * Fails: with the error that stopped the start; afterwards only a disk error ends the process.
 * Does not: fork, write a pid file, or change its user; the service manager does.
 */
#ifndef KSPOOL_DAEMON_DAEMON_H
#define KSPOOL_DAEMON_DAEMON_H

#include "base/error.h"
#include "config/config.h"

struct daemon_options {
	struct config *config;           /* owned by the daemon from here on */
	struct config_load_options load; /* for SIGHUP */
};

enum err daemon_run(const struct daemon_options *options, struct error *e) MUST_CHECK;

#endif
