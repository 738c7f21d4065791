/*
 * store_upkeep_internal: another spool's database, as those who look at it or take it in know it.
 *
 * What it is: whether it is one, and whose copy. Promises: 7, 8. Owner: the caller. Thread: the caller's.
 * Fails: ERR_INPUT what is no spool of ours; as reading does. Does not: change the source.
 */
#ifndef KSPOOL_STORE_UPKEEP_STORE_UPKEEP_INTERNAL_H
#define KSPOOL_STORE_UPKEEP_STORE_UPKEEP_INTERNAL_H

#include "base/buf.h"
#include "store/files/taken.h"
#include "store/store_internal.h"

/* store_peek.c: another spool's tables, as this kspool knows them, and nothing else. */
enum err store_check_source(sqlite3 *db, const char *path, struct error *e) MUST_CHECK;
/* Of a block, in columns that wait for what is not built yet. */
#define BLOCK_SAYS_MORE "coalesce(data_key, route, class, origin, origin_id) IS NOT NULL"

/* store_check_tables.c: what is wrong with a database, as lines that begin with "problem:". */
struct check {
	struct files files;
	sqlite3 *db;
	struct buf *out;
	uint64_t problems;
	struct totals ledger;
	uint64_t rows, dead; /* counted */
	bool has_ledger;
	uint64_t expected; /* of the damaged: they may come back */
	uint64_t kept;     /* of the damaged: rows that can be looked at */
	uint64_t noted;    /* of the damaged: rows */
	struct tide tide;  /* of this spool */
	struct spool_id id;
	uint32_t tag;                      /* of it */
	bool is_newest;                    /* its tables are those of this kspool */
	uint64_t lowest_block, lowest_row; /* ids of what waits */
	bool clock_is_told;                /* something of it is a problem already */
};
__attribute__((format(printf, 2, 3))) void store_check_problem(struct check *c, const char *format, ...);
/* All but the ledger; tag and is_newest are set. */
enum err store_check_tables(struct check *c, struct error *e) MUST_CHECK;
enum err store_check_ledger(struct check *c, struct error *e) MUST_CHECK;
/* Of a ledger that was found, after store_check_tables. */
void store_check_counts(struct check *c);
/* store_copy_of.c */
/* Whose copy it is, when its ledger is not what was written; 0: of an older kspool, or nobody knows. *ret_is_lost: it
 * is not sure, and may be another one. */
enum err store_copy_of(struct store *s, sqlite3 *source, struct spool_id *ret, bool *ret_is_lost,
                       struct error *e) MUST_CHECK;

/* store_copy_mark.c */
/* What tells one copy from another: the state of the spool it was made of, and which messages it holds. */
struct copy_mark {
	uint64_t next_id, accepted, messages, hash; /* alone in what an older kspool noted */
	uint64_t spool_high, spool_low;
	uint64_t lowest, highest; /* ids there of what is pending */
	uint64_t first_id;        /* pending; 0: none */
	int64_t first_checksum;   /* by the rule of no spool: a copy of an older kspool has another one */
};
static inline struct spool_id copy_mark_spool(const struct copy_mark *m)
{
	return (struct spool_id){.high = m->spool_high, .low = m->spool_low};
}
/* By the rule of no spool. */
static inline uint32_t copy_sum(const struct store_row *row) { return (uint32_t)row_plain_sum(row); }
/* Of the rows that say which messages were taken in: the mark with this for next_id and a number for messages, up to
 * its spool; and a piece. */
#define TAKEN_MAGIC UINT64_C(0x6e656b61742d736b)
enum { MARK_BYTES = offsetof(struct copy_mark, first_id), TAKEN_KEY = 48 };
_Static_assert(offsetof(struct copy_mark, spool_high) == TAKEN_KEY - 16, "the mark has the spool where those rows do");
/* *ret_is_lost, when it is so: whose copy it is nobody can tell for sure. */
enum err copy_mark_read(struct store *s, sqlite3 *db, struct copy_mark *ret, bool *ret_is_lost,
                        struct error *e) MUST_CHECK;
/* What earlier copies brought: of that spool; and of whoever, where either does not say whose it is. */
struct copy_taken {
	struct taken of_spool, of_others;
	bool is_same;             /* by its messages, of a spool of which something is in of_others */
	uint64_t lowest, highest; /* ids of which an older kspool took some in; 0: none */
};
enum err copy_taken_read(struct store *s, sqlite3 *db, const struct copy_mark *m, struct copy_taken *ret,
                         struct error *e) MUST_CHECK;
bool copy_was_taken(struct copy_taken *t, uint64_t id, uint32_t sum);
bool copy_may_have_been_taken(struct copy_taken *t, uint64_t id, uint32_t sum);
void copy_taken_fini(struct copy_taken *t);

/* store_copy_clock.c */
struct copy_clock {
	struct clock_lead *leads; /* ascending by first_id; none: nothing is known */
	size_t count, capacity, at;
	int64_t ahead_ms; /* its own time, when it was made, of ours now */
};
/* tag: of its checksums. own_ms: our own time. */
enum err copy_clock_read(sqlite3 *db, uint32_t tag, int64_t own_ms, struct copy_clock *ret, struct error *e) MUST_CHECK;
/* The lead (store_internal.h) under which the message with this id there comes in here. */
int64_t copy_clock_lead(struct copy_clock *c, uint64_t id);
void copy_clock_fini(struct copy_clock *c);

#endif
