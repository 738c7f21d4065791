/*
 * status: what the daemon says of itself.
 *
 * What it is: one look at the metrics, the newest delivery status and the journal's admission, printed as JSON
 * (/status, /ready) or as a sentence.
 * Promises: 10: nothing here is a hope; `ready` names the promise it would break.
 * Owner: the source is the caller's, and so is all it points to. Thread: intake.
 * Fails: never; a full buffer shows in its overflow.
 * Does not: ask other threads.
 */
#ifndef KSPOOL_DAEMON_STATUS_H
#define KSPOOL_DAEMON_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"
#include "journal/journal.h"
#include "delivery/delivery.h"
#include "doors/doors.h"
#include "daemon/rates.h"

struct status_source {
	const struct config *config; /* the newest */
	const struct config *opened; /* the one whose inputs are the doors */
	struct journal *journal;
	const struct doors *doors; /* null: none is open yet */
	const char *http_trouble;  /* why the admin server is not open; "" when it is, or null */
	struct delivery *sender;   /* null: it has ended, or a test tells what it would say */
	struct delivery_status *delivery;
	const struct rates *rates;
	int64_t started_ms; /* wall clock */
	int64_t started_mono_ns;
	bool closing;
	uint64_t doors_memory_bytes;
};

/* Takes the newest of what delivery and doors know: before each answer, so that none is older than its question. */
void status_look(struct status_source *s);
/* False with one sentence in why when the daemon should not be given work or believed to deliver. */
bool status_is_ready(const struct status_source *s, char *why, size_t why_size);
void status_print(const struct status_source *s, struct buf *out);
/* Redpanda Connect's /ready body: a list of statuses with label, path, connected, error. */
void status_print_ready(const struct status_source *s, struct buf *out, bool ready, const char *why);
/* One line for STATUS= and the log. */
void status_sentence(const struct status_source *s, char *text, size_t size);
/* The log lines of the journal. Any thread: what opening found; */
void status_log_opened(const char *path, const struct store_report *r);
/* damage met while running and set aside (promise 8); */
void status_log_mended(const char *what);
void status_log_damaged(const struct error *why, const struct store_report *r);
/* what comes while running: damaged messages, companions that cannot be written, each once; */
struct status_told {
	int64_t damaged;
	bool companion;
	uint64_t unread; /* sets of files that are still to be read back */
	bool aside;      /* that reading back waits */
	bool upgrade;    /* that bringing messages into blocks does */
	bool shelf;      /* that it keeps a process whose files are gone */
};
void status_log_troubles(const struct status_source *s, struct status_told *told);
/* of these the damaged messages alone, which may be met by the last that a run does; */
void status_log_unsound(struct status_told *told);
/* each tenth of the way of older messages into blocks, and the end: *told is what was said last; */
void status_log_upgrade(int *told);
/* files taken away: what would be accepted now would be in a file without a name. */
void status_log_lost(const struct error *why);
/* a companion that was, and is there again; */
void status_log_companion(const char *path);

#endif
