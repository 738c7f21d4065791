/*
 * The ledger: one row that says what became of every accepted message, changed with the rows it counts; and the counts
 * of the last commit, for whoever asks.
 *
 * Its checksum is over its columns in their order, as 64-bit little-endian numbers. Columns that a later schema added
 * count up to the last one that is not 0: so a step that adds a column leaves the checksum of the row as it is.
 *
 * Invariants:
 * 1. A row is believed when its checksum holds and it balances.
 * 2. Own time never goes back within one boot; clock_offset changes only when a spool is opened.
 * 3. What is told of the state is as of the last commit.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/byte_order.h"
#include "base/random.h"
#include "store/files/sql_schema.h"
#include "store/files/vfs.h"

static const struct {
	const char *name;
	size_t offset;
} columns[] = {
#define LEDGER_PLACE(column) {#column, offsetof(struct totals, column)},
#define LEDGER_SUM(id, column, meaning) {#column, offsetof(struct totals, ledger.column)},
#define LEDGER_STATE(id, column, meaning) {#column, offsetof(struct totals, ledger.column)},
#include "base/ledger.def"
};

enum { COLUMNS = sizeof columns / sizeof *columns, FIRST_COLUMNS = 11 /* of schema 1 */ };

/* The columns in their order, then the checksum. */
const char store_ledger_put_sql[] = "INSERT OR REPLACE INTO ledger ("
#define LEDGER_PLACE(column) #column ", "
#define LEDGER_SUM(id, column, meaning) #column ", "
#define LEDGER_STATE(id, column, meaning) #column ", "
#include "base/ledger.def"
                                    "checksum, one) VALUES ("
#define LEDGER_PLACE(column) "?, "
#define LEDGER_SUM(id, column, meaning) "?, "
#define LEDGER_STATE(id, column, meaning) "?, "
#include "base/ledger.def"
                                    "?, 1)";

static int32_t checksum(const uint64_t numbers[COLUMNS])
{
	unsigned char bytes[COLUMNS * 8];
	size_t count = COLUMNS;

	while (count > FIRST_COLUMNS && numbers[count - 1] == 0)
		count--;
	for (size_t i = 0; i < count; i++)
		put_little(bytes + i * 8, numbers[i], 8);
	return (int32_t)crc32c(0, bytes, count * 8);
}

/* A column that a file of an older schema does not have is 0. */
static int64_t number_of(sqlite3_stmt *st, const char *name)
{
	for (int i = 0; i < sqlite3_column_count(st); i++)
		if (strcmp(sqlite3_column_name(st, i), name) == 0)
			return sqlite3_column_int64(st, i);
	return 0;
}

bool store_ledger_parse(sqlite3_stmt *st, struct totals *ret)
{
	uint64_t numbers[COLUMNS];

	*ret = (struct totals){0};
	for (int i = 0; i < COLUMNS; i++) {
		numbers[i] = (uint64_t)number_of(st, columns[i].name);
		memcpy((char *)ret + columns[i].offset, &numbers[i], sizeof numbers[i]);
	}
	return checksum(numbers) == number_of(st, "checksum") && store_ledger_balances(ret);
}

/* The table's columns: one, those of schema 1, checksum, those that came later. */
bool store_ledger_of_record(const struct stored_record *r, struct totals *ret)
{
	uint64_t numbers[COLUMNS] = {0};

	*ret = (struct totals){0};
	if (r->is_index || r->rowid != 1 || r->count < FIRST_COLUMNS + 2 || r->count > COLUMNS + 2 ||
	    r->values[0].type != VALUE_NULL)
		return false;
	for (int i = 0; i < r->count - 2; i++) {
		const struct stored_value *v = &r->values[i < FIRST_COLUMNS ? i + 1 : i + 2];

		if (v->type != VALUE_INT)
			return false;
		numbers[i] = (uint64_t)v->number;
		memcpy((char *)ret + columns[i].offset, &numbers[i], sizeof numbers[i]);
	}
	return checksum(numbers) == r->values[FIRST_COLUMNS + 1].number && store_ledger_balances(ret);
}

int store_ledger_read(sqlite3 *db, struct totals *ret, bool *ret_found)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, "SELECT * FROM ledger WHERE one = 1", -1, &st, NULL);
	bool behind;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	*ret_found = rc == SQLITE_ROW && store_ledger_parse(st, ret);
	if (*ret_found) {
		rc = store_ledger_catch_up(db, ret, &behind);
		*ret_found = rc == SQLITE_OK;
	} else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
		rc = SQLITE_OK;
	}
	return rc;
}

enum err store_ledger_of(sqlite3 *db, struct totals *ret, bool *ret_found, struct error *e)
{
	const int rc = store_ledger_read(db, ret, ret_found);
	enum err err = rc == SQLITE_OK ? ERR_OK : sql_error(db, rc, e, "read the ledger");

	return err == ERR_DAMAGED ? ERR_OK : err;
}

int store_ledger_catch_up(sqlite3 *db, struct totals *t, bool *ret_behind)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	struct stored_block *b;
	uint64_t last;
	bool has_blocks;
	int rc = sql_has_column(db, "blocks", "id", &has_blocks);

	*ret_behind = false;
	if (rc != SQLITE_OK || !has_blocks) /* a file of the first schema */
		return rc;
	rc = sqlite3_prepare_v2(db, BLOCK_SELECT " WHERE b.id >= ?1 ORDER BY b.id", -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sql_bind_u64(st, 1, t->next_id);
	last = t->next_id; /* pages that were exchanged may show lower ones */
	b = block_new();
	b->tag = sum_tag_of(store_totals_id(t));
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t shared;

		block_read(b, st); /* its column may be damaged, and the count is all that is known of them */
		if (b->id < last) {
			rc = SQLITE_CORRUPT;
			break;
		}
		last = b->id + 1;
		shared = store_beyond(t->next_id, b->id);
		t->ledger.accepted += b->count - shared;
		t->ledger.pending += b->count - shared;
		t->pending_bytes += b->bytes <= BLOCK_BYTES ? b->bytes : 0;
		t->next_id = b->id + b->count;
		*ret_behind = true;
	}
	block_free(b);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void store_count_out(struct store *s, uint64_t *counter, uint64_t rows)
{
	uint64_t uncounted = store_beyond(rows, *counter);

	s->now.ledger.accepted += uncounted;
	*counter += uncounted;
	*counter -= rows;
}

uint64_t store_ledger_succeed(struct totals *t)
{
	uint64_t waited = t->ledger.pending + t->ledger.dead;

	t->ledger.damaged += waited;
	t->ledger.pending = t->ledger.dead = 0;
	t->pending_bytes = t->retrying = 0;
	store_clock_begin(t);
	return waited;
}

/* Each count only grows with time, but for what waits. */
bool store_ledger_is_later(const struct totals *t, const struct totals *than)
{
	const struct store_ledger *a = &t->ledger, *b = &than->ledger;

	if (t->commits != than->commits)
		return t->commits > than->commits;
	if (t->next_id != than->next_id)
		return t->next_id > than->next_id;
	if (a->accepted != b->accepted)
		return a->accepted > b->accepted;
	return a->accepted - a->pending > b->accepted - b->pending;
}

static uint64_t print_of_counts(const struct totals *t)
{
	uint64_t numbers[COLUMNS];

	if (t->next_id == 0) /* no row */
		return 0;
	for (int i = 0; i < COLUMNS; i++)
		memcpy(&numbers[i], (const char *)t + columns[i].offset, sizeof numbers[i]);
	return UINT64_C(1) << 32 | (uint32_t)checksum(numbers);
}

uint64_t store_ledger_print(const struct totals *t)
{
	return t->epoch != 0 ? t->epoch + t->commits * UINT64_C(0x9e3779b97f4a7c15) : print_of_counts(t);
}

void store_ledger_log_begins(struct store *s)
{
	s->now.base = s->durable.base = store_ledger_print(&s->row);
	s->now.epoch = s->durable.epoch = random_u64() | 1; /* never 0 */
}

/* The counts of the tide mark: accepted, then the states in their order. */
static const size_t counted[] = {
    offsetof(struct totals, ledger.accepted),
#define LEDGER_STATE(id, column, meaning) offsetof(struct totals, ledger.column),
#include "base/ledger.def"
};
enum { COUNTED = sizeof counted / sizeof *counted };
_Static_assert((int)COUNTED <= (int)TIDE_POSITIONS, "the tide mark has room for every state");

static uint64_t *count_at(struct totals *t, size_t i) { return (uint64_t *)(void *)((char *)t + counted[i]); }

int store_tide_trouble(const struct store *s) { return s->tide_trouble; }

int store_left_trouble(const struct store *s) { return left_trouble(s->left); }

bool store_left_lacks_room(const struct store *s) { return files_errno_is_full(left_trouble(s->left)); }

void store_tide_write(struct store *s)
{
	struct totals t = s->durable;
	struct tide tide = {.schema = (uint32_t)schema_steps[schema_step_count - 1].version,
	                    .id = t.next_id - 1,
	                    .spool = store_totals_id(&t),
	                    .commits = t.commits,
	                    .epoch = s->row.epoch,
	                    .base = s->row.base,
	                    .count = COUNTED};

	if (t.next_id == 0) /* between two files: there is nothing to tell */
		return;
	for (size_t i = 0; i < COUNTED; i++)
		tide.counts[i] = *count_at(&t, i);
	store_rows_into(&s->rows_durable, &tide);
	tide.counts[TIDE_LEFT] = left_commit_due(s->left);
	tide.counts[TIDE_POSSIBLE] = t.possible;
	store_clock_into(&t, &tide);
	tide.counts[TIDE_LEAD] = store_lead_told(s);
	s->tide_trouble = files_tide_write(&s->files, &tide);
}

void store_ledger_of_tide(struct totals *t, const struct tide *tide)
{
	for (size_t i = 0; i < COUNTED; i++)
		*count_at(t, i) = tide->counts[i];
	t->next_id = tide->id + 1;
	t->commits = tide->commits;
}

void store_ledger_keep_possible(struct totals *t, const struct tide *tide)
{
	const uint64_t had = tide->is_valid && tide->has_more ? tide->counts[TIDE_POSSIBLE] : 0;

	t->possible = store_most(t->possible, had);
}

bool store_tide_is_ahead(const struct tide *tide, const struct totals *t)
{
	return tide->count > 0 &&
	       (tide->commits > t->commits || (tide->commits == t->commits && tide->counts[0] > t->ledger.accepted));
}

bool store_tide_is_behind(const struct tide *tide, const struct totals *t)
{
	return tide->commits < t->commits || (tide->commits == t->commits && tide->id + 1 < t->next_id);
}

/* How many more messages had this end than `t` knows of; what waits is no end. */
static uint64_t ended_since(struct totals *t, const struct tide *tide, size_t i)
{
	const bool waits =
	    counted[i] == offsetof(struct totals, ledger.pending) || counted[i] == offsetof(struct totals, ledger.dead);

	return i == 0 || waits ? 0 : store_beyond(tide->counts[i], *count_at(t, i));
}

/*
 * Messages that were accepted since are not in this file. What ended since was of what waits here, as far as that goes;
 * what is left must have been of those. The rest of those is gone.
 */
uint64_t store_ledger_follow(struct totals *t, const struct tide *tide, uint64_t waits)
{
	uint64_t lost, ends = 0, proven;

	lost = store_beyond(tide->counts[0], t->ledger.accepted);
	for (size_t i = 1; i < COUNTED; i++)
		ends += ended_since(t, tide, i);
	t->possible += store_least(ends, waits);
	t->ledger.accepted += lost;
	proven = store_beyond(ends, waits);
	for (size_t i = 1; i < COUNTED && lost > 0 && proven > 0; i++) {
		const uint64_t n = store_least(ended_since(t, tide, i), store_least(proven, lost));

		*count_at(t, i) += n;
		proven -= n;
		lost -= n;
	}
	t->ledger.damaged += lost;
	t->commits = store_most(t->commits, tide->commits);
	return lost;
}

bool store_ledger_balances(const struct totals *t)
{
	const struct store_ledger *l = &t->ledger;
	uint64_t sum = 0;

#define LEDGER_STATE(id, column, meaning) sum += l->column;
#include "base/ledger.def"
	return l->accepted == sum;
}

enum err store_ledger_first(struct store *s, struct error *e)
{
	enum err err;

	s->now =
	    (struct totals){.next_id = 1, .spool_high = s->id.high, .spool_low = s->id.low, .epoch = random_u64() | 1};
	err = store_ledger_put(s, e);
	s->now = (struct totals){0};
	return err;
}

enum err store_ledger_put(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_LEDGER_PUT);
	uint64_t numbers[COLUMNS];

	for (int i = 0; i < COLUMNS; i++) {
		memcpy(&numbers[i], (const char *)&s->now + columns[i].offset, sizeof numbers[i]);
		sql_bind_u64(st, i + 1, numbers[i]);
	}
	(void)sqlite3_bind_int64(st, COLUMNS + 1, checksum(numbers));
	return store_run(s, st, e, "write the ledger");
}

/* Own time = uptime + clock_offset, which changes only when a spool is opened. */
int64_t store_clock_ms(const struct store *s) { return clock_mono_ms() + (int64_t)s->now.clock_offset; }

int64_t store_clock_lead(const struct store *s) { return clock_wall_ms() - store_clock_ms(s); }

uint64_t store_lead_print(uint64_t first_id, int64_t lead_ms)
{
	return (uint64_t)sum_numbers(1, SUM_OF_LEAD, (const uint64_t[]){first_id, (uint64_t)lead_ms}, 2);
}

uint64_t store_leads_last(const struct store *s)
{
	const struct clock_lead *last = s->leads_durable > 0 ? &s->leads[s->leads_durable - 1] : NULL;

	return last ? store_lead_print(last->first_id, last->lead_ms) : 0;
}

uint64_t store_lead_told(const struct store *s)
{
	return s->lead_untold == 0 && s->salvage_is_done ? store_leads_last(s) : s->lead_untold;
}

static const struct clock_lead *lead_of(const struct store *s, uint64_t id)
{
	const struct clock_lead *found = NULL;

	for (size_t i = s->lead_count; i-- > 0 && !found;)
		if (s->leads[i].first_id <= id)
			found = &s->leads[i];
	return found;
}

/* The wall clock is asked once, or it might be set in between. */
static int64_t received_at(const struct store *s, uint64_t id, int64_t received_ms, int64_t wall_ms)
{
	const struct clock_lead *lead = lead_of(s, id);
	int64_t step;

	if (lead && lead->lead_ms == CLOCK_LEAD_UNKNOWN) /* it is as young as it can be */
		return wall_ms;
	step = lead ? wall_ms - store_clock_ms(s) - lead->lead_ms : 0;
	if (llabs(step) >= CLOCK_STEP_MS)
		return (int64_t)((uint64_t)received_ms + (uint64_t)step);
	return received_ms < CLOCK_UNSET_MS && wall_ms >= CLOCK_UNSET_MS ? wall_ms : received_ms;
}

int64_t store_clock_received(const struct store *s, uint64_t id, int64_t received_ms)
{
	return received_at(s, id, received_ms, clock_wall_ms());
}

int64_t store_clock_age_ms(const struct store *s, uint64_t id, int64_t received_ms)
{
	const int64_t wall_ms = clock_wall_ms();
	int64_t age_ms;

	if (__builtin_sub_overflow(wall_ms, received_at(s, id, received_ms, wall_ms), &age_ms) || age_ms < 0)
		return 0;
	return age_ms < CLOCK_AGE_MOST_MS ? age_ms : CLOCK_AGE_MOST_MS;
}

void store_clock_into(const struct totals *t, struct tide *tide)
{
	tide->counts[TIDE_CLOCK] = t->clock_ms;
	tide->counts[TIDE_BOOT] = t->clock_boot;
	tide->counts[TIDE_OFFSET] = t->clock_offset;
}

void store_clock_inherit(struct totals *t, const struct tide *tide)
{
	if (t->clock_ms != 0 || !tide->has_more)
		return;
	t->clock_ms = tide->counts[TIDE_CLOCK];
	t->clock_boot = tide->counts[TIDE_BOOT];
	t->clock_offset = tide->counts[TIDE_OFFSET];
}

void store_clock_begin(struct totals *t)
{
	uint64_t boot = clock_boot_id();
	int64_t now = clock_mono_ms();
	/* An older kspool counted sleep as uptime. */
	bool goes_back = (int64_t)(t->clock_offset + (uint64_t)now - t->clock_ms) < 0;

	if (t->clock_ms == 0)
		t->clock_offset = (uint64_t)(clock_wall_ms() - now);
	else if (boot == 0 || t->clock_boot != boot || goes_back)
		t->clock_offset = t->clock_ms - (uint64_t)now;
	t->clock_boot = boot;
}

/* Of a block its first message's, though that one may have left. */
static int64_t oldest_ms(struct store *s)
{
	static const enum store_statement homes[] = {ST_OLDEST, ST_BLOCKS_OLDEST};
	uint64_t oldest_id = UINT64_MAX;
	int64_t ms = 0;

	for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) {
		sqlite3_stmt *st = store_statement(s, homes[i]);

		if (sqlite3_step(st) == SQLITE_ROW && sql_column_u64(st, 0) < oldest_id) {
			oldest_id = sql_column_u64(st, 0);
			ms = store_clock_received(s, oldest_id, sqlite3_column_int64(st, 1));
		}
		(void)sqlite3_reset(st);
	}
	return ms;
}

/* SQLite's answer when it is none. */
static int next_retry(struct store *s, int64_t *ret)
{
	sqlite3_stmt *st;
	int rc;

	*ret = 0;
	if (s->durable.retrying == 0)
		return SQLITE_DONE;
	st = store_statement(s, ST_FAILURES_NEXT);
	(void)sqlite3_bind_int64(st, 1, s->due_ms);
	sql_bind_u64(st, 2, s->due_id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return rc;
}

void store_state(struct store *s, struct store_state *ret)
{
	*ret = (struct store_state){
	    .ledger = s->durable.ledger,
	    .pending_bytes = s->durable.pending_bytes,
	    .next_id = s->durable.next_id,
	    .retrying = s->durable.retrying,
	    .database_bytes = files_bytes(&s->files, ""),
	    .wal_bytes = files_bytes(&s->files, "-wal"),
	    .free_bytes = files_free_bytes(&s->files),
	    .unexpected_settlements = s->unexpected_settlements,
	    .checkpoints = s->checkpoints,
	    .aside_files = s->aside_files,
	    .aside_unread = s->aside_unread,
	    .aside_waits = s->salvage_waits,
	    .upgrade_waits = s->merging.last_row > 0 && (s->full_disk || s->disk_refused),
	    .written_bytes = vfs_counts().written_bytes,
	    .stored_bytes = s->stored_bytes,
	};
	ret->oldest_received_ms = oldest_ms(s);
	(void)next_retry(s, &ret->next_retry_ms);
	if (ret->next_retry_ms != 0)
		ret->next_retry_ms += clock_wall_ms() - store_clock_ms(s);
}

enum err store_next_retry_ms(struct store *s, int64_t *ret, struct error *e)
{
	int rc = next_retry(s, ret);

	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for the next retry");
}

const struct store_ledger *store_ledger(const struct store *s) { return &s->durable.ledger; }

uint64_t store_pending_bytes(const struct store *s) { return s->durable.pending_bytes; }

uint64_t store_next_id(const struct store *s) { return s->durable.next_id; }

uint64_t store_retrying(const struct store *s) { return s->durable.retrying; }

uint64_t store_possible_duplicates(const struct store *s) { return s->durable.possible; }

uint64_t store_handed(const struct store *s) { return s->durable.handed; }

void store_note_flight(struct store *s, uint64_t possible, uint64_t handed)
{
	s->possible_noted = possible;
	s->handed_noted = handed;
}

uint64_t store_moves(const struct store *s) { return s->now.ledger.accepted * 2 - s->now.ledger.pending; }

int store_walk_whole(struct block_walk *w, sqlite3 *db)
{
	struct totals of;
	bool found = false;
	int rc = store_ledger_read(db, &of, &found);

	*w = (struct block_walk){0};
	/* What is damaged the walk tells when the messages are concerned; what could not be read is no damage. */
	if (rc != SQLITE_OK && ((rc & 0xff) != SQLITE_CORRUPT || vfs_fault() != 0))
		return rc;
	return walk_open(w, db, found ? sum_tag_of(store_totals_id(&of)) : 0, 0,
	                 INT64_MAX); /* a damaged row names no spool */
}
