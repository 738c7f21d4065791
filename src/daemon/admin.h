/*
 * admin: the endpoints that show.
 *
 * What it is: /ping, /ready, /version, /endpoints, /metrics, /stats and /status on a server, each also below
 * http.root_path. The endpoints that act are admin_shelf.h's.
 * Promises: 10 (what it shows is read at that moment). Owner: the source is the caller's and outlives the server.
 * Thread: intake. Fails: never; what is off answers 404.
 * Does not: change anything, so it may stand on a port that others reach.
 */
#ifndef KSPOOL_DAEMON_ADMIN_H
#define KSPOOL_DAEMON_ADMIN_H

#include "server/httpd.h"
#include "daemon/status.h"

void admin_show(struct httpd *server, struct status_source *source);

#endif
