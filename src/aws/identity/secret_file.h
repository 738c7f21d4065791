/*
 * secret_file: small files that may hold a secret (shared files, tokens, SSO caches).
 *
 * What it is: one read of a whole file that base/trusted.h lets pass; one that others may read is taken and reported,
 * as the AWS tools take it. Promises: 6 (at most the buffer's maximum), 11 (never blocks on a FIFO). Owner: the caller;
 * secret_file_wipe after use. Thread: any. Fails: ERR_NOINPUT when it does not exist, ERR_ENVIRONMENT for kind, mode or
 * permission, ERR_TOOBIG. Does not: write.
 */
#ifndef KSPOOL_AWS_IDENTITY_SECRET_FILE_H
#define KSPOOL_AWS_IDENTITY_SECRET_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* out (initialised, with its maximum) is cleared first; wipe it after use. ret_lax (may be null): others may read it.
 */
enum err secret_file_read(const char *path, struct buf *out, bool *ret_lax, struct error *e) MUST_CHECK;
/* Its text is a secret from now on; once, after its last change. secret_file_wipe ends that. */
void secret_file_is_secret(struct buf *b);
/* Wipes and frees. */
void secret_file_wipe(struct buf *b);
/* "~/x" with the home folder in place of "~"; free() it. */
char *secret_file_expand_home(const char *path);
/* "{$CREDENTIALS_DIRECTORY}/{name}" when that file exists; else null. free() it. */
char *secret_file_systemd_credential(const char *name);

#endif
