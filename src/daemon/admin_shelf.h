/*
 * admin_shelf: the endpoints that act.
 *
 * What it is: /dead, /dead/retry, /dead/purge, /export and /drain, for the control socket only, whose file mode is
 * their guard. What needs the spool is asked of the journal thread; its answer comes later.
 * Promises: 9 (a retry or purge is one transaction with its ledger), 11 (a list comes in pages).
 * Owner: the caller; free it after the server, as a request may still wait for the journal. Thread: intake.
 * Fails: towards the peer: 400 for a wrong query, 409 with the journal's error, 503 when it is too busy to ask.
 * Does not: check who asks.
 */
#ifndef KSPOOL_DAEMON_ADMIN_SHELF_H
#define KSPOOL_DAEMON_ADMIN_SHELF_H

#include "server/httpd.h"
#include "journal/journal.h"
#include "delivery/delivery.h"

struct admin_shelf;

struct admin_shelf *admin_shelf_open(struct httpd *server, struct journal *journal, struct delivery *delivery)
    __attribute__((returns_nonnull));
/* Accepts null. */
void admin_shelf_free(struct admin_shelf *shelf);

#endif
