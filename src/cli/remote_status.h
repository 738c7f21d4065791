/*
 * remote_status: /status of a running daemon, as a command reads it.
 *
 * What it is: one answer of the control socket, parsed, with members found by their dot path.
 * Promises: none of its own. Owner: the caller; remote_status_fini, also after a failure. Thread: the command's.
 * Fails: at take only: as control_call does, or with ERR_FORMAT. A member that is not there reads as "" or 0.
 * Does not: look again; each look is a new one.
 */
#ifndef KSPOOL_CLI_REMOTE_STATUS_H
#define KSPOOL_CLI_REMOTE_STATUS_H

#include "base/buf.h"
#include "base/error.h"
#include "value/value.h"

struct remote_status {
	struct buf text;
	struct arena arena;
	struct value document;
};

enum err remote_status_take(struct remote_status *p, const char *control, struct error *e) MUST_CHECK;
void remote_status_fini(struct remote_status *p);

/* A member by its dot path; "" and 0 when it is not there. remote_status_text's result lives as long as the status. */
const char *remote_status_text(struct remote_status *p, const char *path);
double remote_status_number(struct remote_status *p, const char *path);
bool remote_status_bool(struct remote_status *p, const char *path);
/* False when the member is missing or null. */
bool remote_status_has(struct remote_status *p, const char *path);

#endif
