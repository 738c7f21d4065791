/*
 * doors: every way in.
 *
 * What it is: the inputs of a configuration on the intake thread. A door cuts bytes into messages, offers them to the
 * journal in groups and says yes only when the journal's answer came. When the journal's lane is full, when the spool
 * refuses, or when the memory share of the doors is used up, doors stop reading: back-pressure, never growth.
 * Promises: 1, 6, 11 (every peer has limits and deadlines), 12.
 * Owner: doors_start's caller. Thread: intake.
 * Fails: at start only for what is wrong in the configuration. An input that cannot be opened (address taken, path not
 * there) is tried again with growing waits, and said by doors_trouble; it stops neither the others nor the daemon. When
 * every input is finite, none is waited for: the run goes over the others and ends as failed.
 * Does not: store or deliver anything itself.
 */
#ifndef KSPOOL_DOORS_DOORS_H
#define KSPOOL_DOORS_DOORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "journal/journal.h"

struct event_base;
struct httpd;
struct doors;

struct doors_options {
	struct event_base *base;
	const struct config *config;
	struct journal *journal;
	struct httpd *shared_http; /* the admin server, for http_server inputs without an address; may be null */
	/* Most bytes received and not yet committed; at least two messages of the largest kind in any case. */
	uint64_t memory_bytes;
	/* Every finite input reached its end and all it gave is durable; never called when an input is endless. */
	void (*on_finished)(void *arg);
	void *arg;
};

/* The faults of what only a door can read (an interval); for lint. */
void doors_lint(const struct config *config, struct config_faults *faults);
enum err doors_start(const struct doors_options *options, struct doors **ret, struct error *e) MUST_CHECK;
/* Call after journal_intake_run handed answers out: lets paused doors read again. */
void doors_resume(struct doors *d);
/*
 * Listeners close, reading stops, what was received whole is offered; doors_is_idle turns true when all is answered.
 * Always before journal_stop: a door that still reads would answer its last yes with the next offer.
 */
void doors_stop(struct doors *d);
/* Reads files of tokens and of TLS again; where one is wrong the old ones stay and the log says so. */
void doors_read_files(struct doors *d);
bool doors_is_idle(const struct doors *d);
/* Why a finite input ended before its end; null when none did. */
const char *doors_failure(const struct doors *d);
/* How long processors have been at one request or group of lines; 0: they are at none. */
int64_t doors_work_ns(const struct doors *d);
uint64_t doors_memory_bytes(const struct doors *d);
/* The port an input listens on, 0 when it has none (tests bind port 0). */
uint16_t doors_port(const struct doors *d, size_t input);
/* The admin server opened after the doors did. */
void doors_share_http(struct doors *d, struct httpd *shared_http);
/* Why an input is not open, or not wholly (one of its files is not there); null when all is well. */
const char *doors_trouble(const struct doors *d, size_t input);
/* Accepts null. No offer may be under way: doors_is_idle, or the journal has stopped. */
void doors_free(struct doors *d);

#endif
