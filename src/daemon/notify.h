/*
 * notify: tells the service manager how the daemon is.
 *
 * What it is: the sd_notify protocol over NOTIFY_SOCKET, one datagram a call.
 * Promises: 10 (READY only when all doors are open). Owner: nothing is kept.
 * Thread: intake, and the journal thread's last word.
 * Fails: silently; without the variable, or without a listener, nothing happens.
 * Does not: block.
 */
#ifndef KSPOOL_DAEMON_NOTIFY_H
#define KSPOOL_DAEMON_NOTIFY_H

#include <stdint.h>

/* "READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "STATUS=...", or several lines. */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* RELOADING=1 with the monotonic time systemd wants beside it. */
void notify_reloading(void);
/* Half of WATCHDOG_USEC when it is meant for this process; 0: no watchdog. */
int64_t notify_watchdog_ns(void);

#endif
