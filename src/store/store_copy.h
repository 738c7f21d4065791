/*
 * store_copy: a spool as one file, out and in.
 *
 * What it is: export writes a consistent copy while the spool is open; import appends what another copy holds.
 * Promises: 1 (the copy is synced before it has its name), 9.
 * Owner: the caller of the store.
 * Thread: the store's.
 * Fails: ERR_INPUT a target that exists, a source that is no spool or has damaged rows; otherwise as the store.
 * Does not: overwrite a file; change the source.
 */
#ifndef KSPOOL_STORE_STORE_COPY_H
#define KSPOOL_STORE_STORE_COPY_H

#include <stdint.h>

#include "base/error.h"

struct store;

/* A consistent copy of the spool to a new file, synced; the spool stays open. Refuses an existing target. */
enum err store_export(struct store *s, const char *target, struct error *e) MUST_CHECK;
/* Appends what another spool's copy holds pending and set aside; counted as accepted here. All or nothing. */
enum err store_import(struct store *s, const char *source, uint64_t *ret_rows, struct error *e) MUST_CHECK;

#endif
