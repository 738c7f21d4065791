/*
 * admin: the endpoints that show and the endpoints that act.
 *
 * admin_show puts /ping, /ready, /version, /endpoints, /metrics, /stats and /status on a server, each also below
 * http.root_path. admin_act puts /drain, /dead, /dead/show, /dead/retry, /dead/purge and /export on the control socket
 * only, whose file mode is its guard. What needs the spool is asked of the journal thread; answers come later.
 * Thread: intake.
 */
#ifndef KSPOOL_DAEMON_ADMIN_H
#define KSPOOL_DAEMON_ADMIN_H

#include "server/httpd.h"
#include "daemon/status.h"

/* The source must outlive the server. */
void admin_show(struct httpd *server, struct status_source *source);
void admin_act(struct httpd *server, struct status_source *source, struct delivery *delivery);

#endif
