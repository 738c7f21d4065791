/*
 * journal_questions: what the intake thread may ask of the store, between two commits.
 *
 * What it is: verbs that run on the journal's thread; the answer comes back through `done` on the intake thread.
 * Promises: 2 (only these change the shelf), 9.
 * Owner: the journal owns a question until `done` returned; what the answer points at lives as long. Names and paths
 * are copied when asked. Thread: intake. Fails: false when 64 questions are on their way: nothing was asked, try again
 * later. Otherwise `done` is called once, also by journal_stop, with the error in the answer. Does not: let other rooms
 * run code on the journal's thread.
 */
#ifndef KSPOOL_JOURNAL_JOURNAL_QUESTIONS_H
#define KSPOOL_JOURNAL_JOURNAL_QUESTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/store_dead.h"

struct journal;

struct journal_answer {
	struct error error;      /* code ERR_OK when the rest holds */
	const char *position;    /* journal_ask_position: null when there is none */
	bool position_damaged;   /* likewise: it has one that is not what was written, or may have had one */
	uint64_t count;          /* journal_retry_dead, journal_purge_dead: how many */
	uint64_t damaged;        /* journal_retry_dead: how many stay, because they are not what was written */
	struct store_dead *dead; /* journal_ask_dead */
	size_t dead_count;
};

typedef void journal_done(void *arg, const struct journal_answer *answer);

/* Where the source `key` names was read to. */
bool journal_ask_position(struct journal *j, const char *key, journal_done *done, void *arg) MUST_CHECK;

struct journal_page {
	uint64_t id;        /* this message alone; 0: a page */
	uint64_t after_id;  /* a page begins behind it */
	uint32_t limit;     /* messages */
	uint64_t max_bytes; /* the page ends with the message that reaches it */
	bool with_body;     /* false: body and metadata are null, their sizes stand */
};
/* What is on the shelf of messages set aside. */
bool journal_ask_dead(struct journal *j, const struct journal_page *page, journal_done *done, void *arg) MUST_CHECK;
/* id 0: all. As store_dead_retry and store_dead_purge. */
bool journal_retry_dead(struct journal *j, uint64_t id, journal_done *done, void *arg) MUST_CHECK;
bool journal_purge_dead(struct journal *j, uint64_t id, journal_done *done, void *arg) MUST_CHECK;
/* As store_export. */
bool journal_export(struct journal *j, const char *target, journal_done *done, void *arg) MUST_CHECK;

#endif
