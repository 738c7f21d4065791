/* The ledger: one row that says what became of every accepted message, changed with the rows it counts. */
#include "store/store_internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"

enum { LEDGER_NUMBERS = 11, COUNT_BUDGET_BYTES = 64 << 20 };

/* The ledger's columns in their order. */
static void flatten(const struct totals *t, uint64_t out[LEDGER_NUMBERS])
{
	const struct store_ledger *l = &t->ledger;
	const uint64_t numbers[LEDGER_NUMBERS] = {t->next_id,  l->accepted, l->delivered,    l->pending,
	                                          l->dead,     l->expired,  l->evicted,      l->damaged,
	                                          l->filtered, l->purged,   t->pending_bytes};

	memcpy(out, numbers, sizeof numbers);
}

static uint32_t checksum(const uint64_t numbers[LEDGER_NUMBERS])
{
	unsigned char bytes[LEDGER_NUMBERS * 8];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(numbers[i / 8] >> (i % 8 * 8));
	return crc32c(0, bytes, sizeof bytes);
}

bool store_ledger_parse(sqlite3_stmt *st, struct totals *ret)
{
	uint64_t n[LEDGER_NUMBERS];

	for (int i = 0; i < LEDGER_NUMBERS; i++)
		n[i] = sql_column_u64(st, i);
	*ret = (struct totals){
	    .next_id = n[0],
	    .ledger = {.accepted = n[1],
	               .delivered = n[2],
	               .pending = n[3],
	               .dead = n[4],
	               .expired = n[5],
	               .evicted = n[6],
	               .damaged = n[7],
	               .filtered = n[8],
	               .purged = n[9]},
	    .pending_bytes = n[10],
	};
	return (int32_t)checksum(n) == sqlite3_column_int64(st, LEDGER_NUMBERS) && store_ledger_balances(ret);
}

void store_count_out(struct store *s, uint64_t *counter, uint64_t rows)
{
	uint64_t uncounted = rows > *counter ? rows - *counter : 0;

	s->now.ledger.accepted += uncounted;
	*counter += uncounted;
	*counter -= rows;
}

bool store_ledger_balances(const struct totals *t)
{
	const struct store_ledger *l = &t->ledger;

	return l->accepted ==
	       l->delivered + l->pending + l->dead + l->expired + l->evicted + l->damaged + l->filtered + l->purged;
}

enum err store_ledger_put(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_LEDGER_PUT);
	uint64_t n[LEDGER_NUMBERS];

	flatten(&s->now, n);
	for (int i = 0; i < LEDGER_NUMBERS; i++)
		sql_bind_u64(st, i + 1, n[i]);
	(void)sqlite3_bind_int64(st, LEDGER_NUMBERS + 1, (int32_t)checksum(n));
	return store_run(s, st, e, "write the ledger");
}

/* What the tables themselves say. */
static enum err count_rows(struct store *s, struct totals *ret, struct error *e)
{
	static const struct {
		const char *sql;
		size_t offset;
	} counts[] = {
	    {"SELECT count(*) FROM messages", offsetof(struct totals, ledger.pending)},
	    {"SELECT coalesce(sum(ifnull(length(meta), 0) + length(body)), 0) FROM messages",
	     offsetof(struct totals, pending_bytes)},
	    {"SELECT count(*) FROM dead", offsetof(struct totals, ledger.dead)},
	};

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		int64_t n = 0;
		enum err err = sql_number(s->db, counts[i].sql, &n, e);

		if (err != ERR_OK)
			return err;
		memcpy((char *)ret + counts[i].offset, &n, sizeof n);
	}
	return ERR_OK;
}

static enum err highest_id(struct store *s, uint64_t *ret, struct error *e)
{
	static const char *const queries[] = {"SELECT coalesce(max(id), 0) FROM messages",
	                                      "SELECT coalesce(max(id), 0) FROM dead",
	                                      "SELECT coalesce(max(id), 0) FROM damaged"};

	*ret = 0;
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		int64_t id = 0;
		enum err err = sql_number(s->db, queries[i], &id, e);

		if (err != ERR_OK)
			return err;
		if ((uint64_t)id > *ret)
			*ret = (uint64_t)id;
	}
	return ERR_OK;
}

/* The row is gone or not what was written. Every id was one accepted message: what has no row was delivered. */
static enum err rebuild(struct store *s, uint64_t highest, struct store_report *report, struct error *e)
{
	struct totals t = {0};
	int64_t damaged = 0;
	uint64_t held;
	enum err err = count_rows(s, &t, e);

	if (err == ERR_OK)
		err = sql_number(s->db, "SELECT count(*) FROM damaged", &damaged, e);
	if (err != ERR_OK)
		return err;
	t.next_id = highest + 1;
	t.ledger.damaged = (uint64_t)damaged;
	held = t.ledger.pending + t.ledger.dead + t.ledger.damaged;
	t.ledger.accepted = highest > held ? highest : held;
	t.ledger.delivered = t.ledger.accepted - held;
	s->now = t;
	store_warn(report, "the ledger row was damaged and was counted anew");
	return ERR_OK;
}

/* Rows that are not there count as damaged; rows nobody counted count as accepted. */
static void correct(struct totals *t, const struct totals *found, struct store_report *report)
{
	struct store_ledger *l = &t->ledger;
	uint64_t had = l->pending + l->dead;
	uint64_t has = found->ledger.pending + found->ledger.dead;

	if (has < had) {
		l->damaged += had - has;
		report->missing_rows += had - has;
		store_warn(report, "%llu messages of the ledger have no row", (unsigned long long)(had - has));
	} else if (has > had) {
		l->accepted += has - had;
		store_warn(report, "%llu rows were not in the ledger", (unsigned long long)(has - had));
	}
	l->pending = found->ledger.pending;
	l->dead = found->ledger.dead;
	t->pending_bytes = found->pending_bytes;
}

/* The tide mark is never ahead of the truth: an acknowledged id that the ledger has not reached is proof of loss. */
static void check_tide(struct store *s, bool created, struct store_report *report)
{
	struct tide tide = files_tide_read(&s->files);
	uint64_t lost;

	if (!tide.is_valid || tide.id < s->now.next_id)
		return;
	lost = tide.id - (s->now.next_id - 1);
	s->now.next_id = tide.id + 1;
	if (created) {
		if (!report->quarantined)
			store_warn(report, "the database was gone; a new one begins at id %llu",
			           (unsigned long long)tide.id + 1);
		return;
	}
	s->now.ledger.accepted += lost;
	s->now.ledger.damaged += lost;
	report->missing_rows += lost;
	store_warn(report, "%llu acknowledged messages are gone: the log ends before the tide mark",
	           (unsigned long long)lost);
}

static enum err load_row(struct store *s, bool created, struct store_report *report, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_LEDGER_GET);
	int rc = sqlite3_step(st);
	uint64_t highest = 0;
	bool sound = rc == SQLITE_ROW && store_ledger_parse(st, &s->now);
	bool missing = rc == SQLITE_DONE;
	enum err err;

	(void)sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_fail(s, rc, e, "read the ledger");
	err = highest_id(s, &highest, e);
	if (err != ERR_OK)
		return err;
	if (missing && (created || highest == 0))
		s->now = (struct totals){.next_id = 1};
	else if (!sound)
		return rebuild(s, highest, report, e);
	else
		s->durable =
		    s->now; /* what stands there need not be written again: a full disk must not refuse a start */
	if (highest >= s->now.next_id) {
		store_warn(report, "the ledger's next id was behind the rows");
		s->now.next_id = highest + 1;
	}
	return ERR_OK;
}

static enum err load_failures(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_FAILURES_CLAMP);
	int rc;
	enum err err;

	(void)sqlite3_bind_int64(st, 1, clock_wall_ms() + MAX_RETRY_WAIT_MS);
	err = store_run(s, st, e, "clamp retries");
	if (err != ERR_OK)
		return err;
	st = store_statement(s, ST_FAILURES_TOTAL);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		s->now.retrying = sql_column_u64(st, 0);
		s->failures_max_id = sql_column_u64(st, 1);
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "count failures");
}

enum err store_ledger_load(struct store *s, bool created, struct store_report *report, struct error *e)
{
	struct totals found = {0};
	struct totals stored;
	enum err err = load_row(s, created, report, e);

	if (err != ERR_OK)
		return err;
	stored = s->now;
	/* Counting a large spool would make its start wait: there store_recount runs when the backlog has drained. */
	if (!created && report->unclean && files_bytes(&s->files, "") <= COUNT_BUDGET_BYTES) {
		err = count_rows(s, &found, e);
		if (err != ERR_OK)
			return err;
		if (found.ledger.pending != stored.ledger.pending || found.ledger.dead != stored.ledger.dead ||
		    found.pending_bytes != stored.pending_bytes)
			correct(&s->now, &found, report);
	}
	check_tide(s, created, report);
	stored = s->now;
	err = store_begin(s, e);
	s->now = stored;
	if (err == ERR_OK)
		err = load_failures(s, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

enum err store_ledger_adopt(struct store *s, const struct totals *known, struct error *e)
{
	uint64_t next_id = s->now.next_id;
	enum err err = store_begin(s, e);

	if (err != ERR_OK)
		return err;
	s->now.ledger = known->ledger;
	s->now.ledger.damaged += known->ledger.pending + known->ledger.dead;
	s->now.ledger.pending = s->now.ledger.dead = 0;
	s->now.next_id = known->next_id > next_id ? known->next_id : next_id;
	return store_commit(s, e);
}

enum err store_recount(struct store *s, uint64_t *ret_missing, struct error *e)
{
	struct store_report report = {0};
	struct totals found = {0};
	enum err err = count_rows(s, &found, e);

	*ret_missing = 0;
	if (err == ERR_OK)
		err = store_begin(s, e);
	if (err != ERR_OK)
		return err;
	correct(&s->now, &found, &report);
	*ret_missing = report.missing_rows;
	return store_commit(s, e);
}
