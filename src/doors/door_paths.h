/*
 * door_paths: the names a file input reads.
 *
 * What it is: patterns (glob(7)) expanded once, each sorted, and what became of each name. A name that a pattern gave
 * and that is no regular file (a folder, a pipe, a socket, a link to nothing) is left out with one warning. A plain
 * name is taken as it is: it may not be there yet.
 * Promises: 12 (one bad name harms no other). Owner: the caller; paths_fini. Thread: intake.
 * Fails: with ERR_CONFIG for a pattern that is not understood, ERR_SYSTEM when glob cannot work.
 * Does not: open files, or look for new ones later.
 */
#ifndef KSPOOL_DOORS_DOOR_PATHS_H
#define KSPOOL_DOORS_DOOR_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "config/config.h"

struct path_entry {
	char *name;
	bool is_plain;  /* named as it is, not found by a pattern */
	bool is_begun;  /* it is being read, or was */
	bool is_done;   /* read, or given up */
	bool is_absent; /* could not be opened, and is tried again */
};

struct paths {
	struct path_entry *items;
	size_t count;
};

enum err paths_expand(struct paths *p, const struct config_strings *patterns, struct error *e) MUST_CHECK;
void paths_fini(struct paths *p);
/* The first at or after `from` that is neither begun nor done; count when there is none. */
size_t paths_next(const struct paths *p, size_t from);
/* A file opened for reading, or -1 with the reason. Links of others than root and ourselves lead only to what all may
 * read and to files of the link's owner: the folder of a pattern is often theirs. */
int paths_open(const char *name, struct error *e);

#endif
