/*
 * trusted: whether a file may be obeyed, or believed to keep a secret.
 *
 * What it is: the one rule for configurations, token files, TLS keys, certificates and authorities, the shared AWS
 * files and the log. A link at the
 * end of a path is followed when root or we made it; the file it leads to is regular, belongs to root or to us, and
 * nobody else may write it. Who may read it is told, not judged, where root mounted it for us: behind the ..data link
 * of a Kubernetes volume and in $CREDENTIALS_DIRECTORY of systemd. Promises: 11 (never waits on a FIFO, a device or a
 * lease). Owner: none. Thread: any. Fails: with a sentence that names the fix. Does not: look at the folders on the
 * way.
 */
#ifndef KSPOOL_BASE_TRUSTED_H
#define KSPOOL_BASE_TRUSTED_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* Opens with `flags` (O_RDONLY, or what a log needs) and 0640 for a new file. *ret_lax (may be null): others may read.
 */
enum err trusted_open(const char *path, int flags, int *ret_fd, bool *ret_lax, struct error *e) MUST_CHECK;
/* All of it, into `out` (initialised, with its maximum), which is cleared first. ERR_NOINPUT: it is not there;
 * ERR_TOOBIG; ERR_ENVIRONMENT: kind, mode, permission. */
enum err trusted_read(const char *path, struct buf *out, bool *ret_lax, struct error *e) MUST_CHECK;
/* Only the link at the end of the path: ERR_OK when there is none. */
enum err trusted_link(const char *path, struct error *e) MUST_CHECK;
/* Root mounted it for us. */
bool trusted_is_mounted(const char *path);

#endif
