/*
 * journalrig: a test's door and delivery for a running journal.
 *
 * Everything fails the test by itself. Offers' bodies are spooldir_message(n, bytes) with n = first, first + 1, ...
 */
#ifndef KSPOOL_TESTS_JOURNALRIG_H
#define KSPOOL_TESTS_JOURNALRIG_H

#include "journal/journal.h"
#include "rig/spooldir.h"

struct answers {
	uint32_t count;
	uint32_t accepted;
	enum offer_verdict last;
	uint64_t first_id;
};

struct journal *rig_start(const struct journal_options *o, struct store_report *report);
void rig_stop(struct journal *j);
/* Readable within 20 s. */
void rig_wait_fd(int fd);
/* Its answer is noted in *a; the offer frees itself. */
struct offer *rig_offer(uint64_t first, uint32_t count, uint32_t bytes, struct answers *a);
void rig_wait_answers(struct journal *j, struct answers *a, uint32_t count);
void rig_offer_and_wait(struct journal *j, struct offer *offer);
/* Takes exactly `want` rows; their ids go to ids. */
void rig_take_ids(struct journal *j, uint64_t *ids, uint32_t want);
void rig_settle_ids(struct journal *j, const uint64_t *ids, uint32_t count, enum settle_kind kind, int64_t wait_ms);
/* Within 10 s. */
void rig_wait_empty(struct journal *j);
/* Runs act on the journal's thread, between two commits. */
void rig_on_journal_thread(struct journal *j, void (*act)(struct store *s));

#endif
