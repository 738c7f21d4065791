/*
 * secret_file: small files that may hold a secret (shared files, tokens, SSO caches).
 *
 * What it is: where they lie, and that their text is a secret until it is wiped; base/trusted.h reads them, and one
 * that others may read is taken and reported, as the AWS tools take it. Promises: 6 (at most the buffer's maximum).
 * Owner: the caller; secret_file_wipe after use. Thread: any. Fails: never. Does not: write.
 */
#ifndef KSPOOL_AWS_IDENTITY_SECRET_FILE_H
#define KSPOOL_AWS_IDENTITY_SECRET_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* Its text is a secret from now on; once, after its last change. secret_file_wipe ends that. */
void secret_file_is_secret(struct buf *b);
/* Wipes and frees. */
void secret_file_wipe(struct buf *b);
/* "~/x" with the home folder in place of "~"; free() it. */
char *secret_file_expand_home(const char *path);
/* "{$CREDENTIALS_DIRECTORY}/{name}" when that file exists; else null. free() it. */
char *secret_file_systemd_credential(const char *name);

#endif
