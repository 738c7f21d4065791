/*
 * The ledger: one row that says what became of every accepted message, changed with the rows it counts.
 *
 * Its checksum is over its columns in their order, as 64-bit little-endian numbers. Columns that a later schema added
 * count up to the last one that is not 0: so a step that adds a column leaves the checksum of the row as it is.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "store/byte_order_internal.h"

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

bool store_ledger_of(sqlite3 *db, struct totals *ret)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;

	return sqlite3_prepare_v2(db, "SELECT * FROM ledger WHERE one = 1", -1, &st, NULL) == SQLITE_OK &&
	       sqlite3_step(st) == SQLITE_ROW && store_ledger_parse(st, ret);
}

void store_count_out(struct store *s, uint64_t *counter, uint64_t rows)
{
	uint64_t uncounted = rows > *counter ? rows - *counter : 0;

	s->now.ledger.accepted += uncounted;
	*counter += uncounted;
	*counter -= rows;
}

void store_ledger_succeed(struct totals *t, const struct totals *old)
{
	t->ledger = old->ledger;
	t->ledger.damaged += old->ledger.pending + old->ledger.dead;
	t->ledger.pending = t->ledger.dead = 0;
	t->clock_ms = old->clock_ms;
	t->clock_boot = old->clock_boot;
	t->clock_offset = old->clock_offset;
	t->possible = old->possible;
	t->handed = old->handed;
	store_clock_begin(t);
	if (old->next_id > t->next_id)
		t->next_id = old->next_id;
}

bool store_ledger_balances(const struct totals *t)
{
	const struct store_ledger *l = &t->ledger;
	uint64_t sum = 0;

#define LEDGER_STATE(id, column, meaning) sum += l->column;
#include "base/ledger.def"
	return l->accepted == sum;
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
int64_t store_clock_ms(const struct store *s) { return clock_boot_ms() + (int64_t)s->now.clock_offset; }

int64_t store_clock_lead(const struct store *s) { return clock_wall_ms() - store_clock_ms(s); }

static const struct clock_lead *lead_of(const struct store *s, uint64_t id)
{
	const struct clock_lead *found = NULL;

	for (size_t i = s->lead_count; i-- > 0 && !found;)
		if (s->leads[i].first_id <= id)
			found = &s->leads[i];
	return found;
}

int64_t store_clock_received(const struct store *s, uint64_t id, int64_t received_ms)
{
	const struct clock_lead *lead = lead_of(s, id);
	int64_t step = lead ? store_clock_lead(s) - lead->lead_ms : 0;

	return llabs(step) < CLOCK_STEP_MS ? received_ms : received_ms + step;
}

void store_clock_begin(struct totals *t)
{
	uint64_t boot = clock_boot_id();
	int64_t now = clock_boot_ms();

	if (t->clock_ms == 0)
		t->clock_offset = (uint64_t)(clock_wall_ms() - now);
	else if (boot == 0 || t->clock_boot != boot)
		t->clock_offset = t->clock_ms - (uint64_t)now;
	t->clock_boot = boot;
}
