/*
 * pages: a database and its log as pages and records, read without SQLite and without changing a byte.
 *
 * What it is: the reader of files that were set aside. It believes no root page and no page count: the size of the file
 * and the frames of the log say which pages there are, each page says what it is, and a record whose lengths do not add
 * up is none. Pages that the pointer map calls free are left out: what stands there was deleted.
 * Formats: sqlite.org/fileformat2.html, sections 1.6, 1.8, 2.1 and 4.
 * Promises: 4 (a read error is an error), 8 (what can still be seen is read back; what was set aside stays as it is).
 * Owner: the caller owns the reader; a record's bytes hold until the next call.
 * Thread: the store's.
 * Fails: ERR_DISK.
 * Does not: know what a record means.
 */
#ifndef KSPOOL_STORE_PAGES_H
#define KSPOOL_STORE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/files/wal.h"

struct pages;

enum { RECORD_COLUMNS_MAX = 32 };

enum value_type { VALUE_NULL, VALUE_INT, VALUE_FLOAT, VALUE_TEXT, VALUE_BLOB };

struct stored_value {
	enum value_type type;
	int64_t number;
	const unsigned char *bytes; /* not terminated */
	size_t count;
};

struct stored_record {
	int64_t rowid;  /* 0 in an index */
	bool is_index;  /* of an index, or a table WITHOUT ROWID */
	bool is_cut;    /* its chain of pages ends too early: the last values are shorter than they were */
	bool is_unread; /* part of it cannot be read: no value is there (PAGES_PIECEMEAL) */
	uint32_t cell;  /* of its page, from 0 */
	int count;
	struct stored_value values[RECORD_COLUMNS_MAX];
};

/*
 * Which of `name` and `name`-wal are read. PAGES_AT_A_GLANCE, with one of them: the page size that its header names is
 * believed, and the log is read by pages_frame_records alone. PAGES_TOLERATE: what cannot be read is taken for zeros.
 * PAGES_OF_A_SPOOL: its header was looked at, and is believed. PAGES_PIECEMEAL: what cannot be read costs only itself,
 * and is told: an opening does without it, a page of its own is ERR_DISK, a record that goes on there is_unread. Of a
 * frame of the log that does not say its page's number each page may be older than it was: no opening then.
 */
enum pages_of {
	PAGES_OF_FILE = 1,
	PAGES_OF_LOG = 2,
	PAGES_OF_BOTH = 3,
	PAGES_AT_A_GLANCE = 4,
	PAGES_TOLERATE = 8,
	PAGES_PIECEMEAL = 16,
	PAGES_OF_A_SPOOL = 32
};

/* `name` and `name`-wal in the folder; either may be missing. Numbers in both are a stranger's. */
enum err pages_open(int dir_fd, const char *name, enum pages_of which, struct pages **ret, struct error *e) MUST_CHECK;
/* Accepts null. */
void pages_close(struct pages *p);
/* Pages are numbered from 1 to this. */
uint32_t pages_count(const struct pages *p);
/* The first page from n on that is not of a hole in the file, which holds nothing; more than their number: none is. */
uint32_t pages_next(const struct pages *p, uint32_t n);
/* Calls `found` for each record of page n; an error of `found` ends it. */
enum err pages_records(struct pages *p, uint32_t n,
                       enum err (*found)(void *arg, const struct stored_record *r, struct error *e), void *arg,
                       struct error *e) MUST_CHECK;
/* Pages and frames that could not be read, with PAGES_TOLERATE. */
uint64_t pages_unreadable(const struct pages *p);
/* Whether page n may hold records of a table by what the pointer map says of it: when it cannot be read itself. */
bool pages_may_hold_rows(struct pages *p, uint32_t n);
/*
 * Whether what the list of free pages names is free, as far as the pointer map says: SQLite writes over it without
 * asking.
 */
enum err pages_free_list(struct pages *p, bool *ret_sound, struct error *e) MUST_CHECK;
/* The map of the page read last could not be, or is not what the list of free pages says: what stands there may have
 * been deleted. */
bool pages_map_is_lost(const struct pages *p);
/* What was found out of the log; all 0 without one. */
const struct wal_scan *pages_log(const struct pages *p);
/* As pages_records, for the page in frame i of the log, newest or not; *ret_page is its number. */
enum err pages_frame_records(struct pages *p, uint64_t i, uint32_t last_page, uint32_t *ret_page,
                             enum err (*found)(void *arg, const struct stored_record *r, struct error *e), void *arg,
                             struct error *e) MUST_CHECK;

#endif
