/*
 * new_file: a file that somebody asked for gets its name when it is whole.
 *
 * What it is: the first step and the last ones of a copy that is written as PART. Promises: 1 (synced before it has its
 * name). Owner: the caller's files. Thread: any.
 * Fails: ERR_FULL, ERR_INPUT when there is a file of that name, ERR_ENVIRONMENT, ERR_DISK when it cannot be synced.
 * Does not: replace a file, or follow a link that was put in its place.
 */
#ifndef KSPOOL_STORE_NEW_FILE_H
#define KSPOOL_STORE_NEW_FILE_H

#include "base/error.h"

/* An empty file that only we may read; one that was cut short is not in its way. */
enum err new_file_begin(const char *part, int *ret_fd, struct error *e) MUST_CHECK;
/* Under its own name only when it is whole, and never over a file that is there. */
enum err new_file_publish(const char *part, const char *target, struct error *e) MUST_CHECK;
/* The file that we made, and nobody else's in its place. */
enum err new_file_is_still(const char *path, int fd, struct error *e) MUST_CHECK;
/* After whoever wrote it, and `err` came of that: published, and still ours; or what there is of it is taken away. */
enum err new_file_finish(enum err err, const char *part, const char *target, int fd, struct error *e) MUST_CHECK;

#endif
