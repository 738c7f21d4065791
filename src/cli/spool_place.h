/*
 * spool_place: which spool, and which daemon, a command is about.
 *
 * What it is: the answer to -c CONFIG and --spool PATH: the database's path and the control socket beside it.
 * Promises: none of its own. Owner: the caller; spool_place_fini, also after a failure. Thread: the command's.
 * Fails: as config_load does, after the faults of the configuration were printed; ERR_USAGE when both are given.
 * Does not: look whether the spool exists, or whether a daemon runs.
 */
#ifndef KSPOOL_CLI_SPOOL_PLACE_H
#define KSPOOL_CLI_SPOOL_PLACE_H

#include "config/config.h"

struct spool_place {
	const char *config_path; /* -c; null: KSPOOL_CONFIG_FILE */
	const char *spool_path;  /* --spool */
	struct config *config;   /* loaded unless --spool was given */
	char *path;              /* of the spool's database */
	char *control;           /* of the control socket */
};

/* Fills path and control. */
enum err spool_place_find(struct spool_place *p, struct error *e) MUST_CHECK;
void spool_place_fini(struct spool_place *p);

#endif
