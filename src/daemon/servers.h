/*
 * servers: where the daemon is looked at: the admin server on a port, the control socket beside the spool.
 *
 * What it is: both HTTP servers with their routes. The control socket must open, as commands find the daemon by it, but
 * for a full disk, which may have room for it later; so may the admin server: a taken port is no reason to deliver
 * nothing. Promises: 5, 10, 12. Owner: the daemon; servers_free, even when opening failed. Thread: intake.
 * Fails: with ERR_CONFIG for what is wrong in the configuration, and for the control socket; else http_why says it.
 * Does not: know what is served besides.
 */
#ifndef KSPOOL_DAEMON_SERVERS_H
#define KSPOOL_DAEMON_SERVERS_H

#include "server/httpd.h"
#include "daemon/admin_shelf.h"
#include "daemon/status.h"

struct servers {
	struct event_base *base;
	const struct config *config;
	struct status_source *source;
	struct httpd *http;        /* null: off, or not open yet */
	struct error http_why;     /* why not */
	struct httpd *control;     /* null: not open yet */
	struct admin_shelf *shelf; /* served by control */
	struct journal *journal;   /* of these */
	struct delivery *delivery;
};

enum err servers_open(struct servers *s, struct journal *journal, struct delivery *delivery,
                      struct error *e) MUST_CHECK;
/* What could not be opened is tried again. True when the admin server opened now, that could not before. */
bool servers_open_again(struct servers *s);
void servers_free(struct servers *s);

#endif
