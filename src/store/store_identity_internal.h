/*
 * store_identity_internal: which spool the files are of, and whether they fit each other.
 *
 * What it is: the ledgers of a database and its log, and its companions that name a spool, held against each other
 * before SQLite sees any of them. Promises: 8, 9. Owner: the caller. Thread: the caller's. Fails: as reading does.
 * Does not: open a connection.
 */
#ifndef KSPOOL_STORE_STORE_IDENTITY_INTERNAL_H
#define KSPOOL_STORE_STORE_IDENTITY_INTERNAL_H

#include "store/store_internal.h"

enum log_fit { LOG_FITS, LOG_OF_ANOTHER, LOG_OLDER, LOG_NEWER };
struct identity {
	struct spool_id ours;   /* not known: nothing says */
	struct spool_id theirs; /* of what is strange, the database first */
	struct spool_id tide_of;
	struct tide tide; /* not valid when it is another's */
	struct wal_scan scan;
	uint64_t file_print;  /* of the row in the database file alone; 0: not known */
	uint64_t named_print; /* of the row that the name of a spool without one is chosen for */
	bool file_is_strange, tide_is_strange, lock_is_strange, has_journal;
	bool beside_is_strange; /* PATH.left or PATH.flight of a spool without a name; of any other whoever reads it
	                           tells */
	bool tide_is_lost;      /* the spool had one */
	bool tide_is_dead;      /* it is there and cannot be read: lost too */
	bool page_is_strange;   /* the ledger's alone: that is damage */
	bool is_nameless;       /* an older kspool's, which gave no ids, and nothing here was begun for it */
	bool tide_is_short;     /* of an older kspool, and its log went on behind it: the log alone says all */
	bool is_to_be_named;    /* likewise, or PATH.lock does not say what was */
	enum log_fit log;
};
enum { IDENTITY_WORDS_MAX = 7, IDENTITY_TEXT_BYTES = 200 };
/* Which spool the files are of, and whether they fit; no connection may be open. */
enum err store_identity_look(const struct files *f, enum file_kind kind, struct identity *ret,
                             struct error *e) MUST_CHECK;
/* The rows of PATH + suffix prove the first of these spools, and fewer pages of them the other. */
enum err store_rows_are_of(const struct files *f, const char *suffix, struct spool_id one, struct spool_id other,
                           bool *ret, struct error *e) MUST_CHECK;
/* What is wrong, a sentence each; how many. */
size_t store_identity_words(const struct identity *id, char words[IDENTITY_WORDS_MAX][IDENTITY_TEXT_BYTES]);
/* Moves away what is not this spool's, or does not fit; *kind is FILE_MISSING then when it was the database. */
enum err store_identity_part(struct store *s, enum file_kind *kind, struct identity *id, struct store_report *report,
                             struct error *e) MUST_CHECK;
/* The spool has s->id from now on: durable in PATH.lock. */
enum err store_identity_name(const struct store *s, const struct identity *id, struct error *e) MUST_CHECK;
/* Of the commits in a log; is_there[i]: one of them is a row of the print wanted[i] (0: none is looked for). */
struct log_ledgers {
	struct wal_scan scan;
	struct ledger_found last;
	struct totals first;   /* of those looked at: the first of all where wanted[0] is not there */
	struct totals unnamed; /* the last that an older kspool wrote; next_id 0: none is known */
	bool wants_unnamed;
	uint64_t wanted[2];
	bool is_there[2];
};
/* Those of PATH + suffix + "-wal". */
enum err store_ledgers_of_log(const struct files *f, const char *suffix, struct log_ledgers *l,
                              struct error *e) MUST_CHECK;

#endif
