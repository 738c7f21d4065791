/*
 * Every checksum of every row, worked out here from what schema/ says of it, in a spool with rows in each table: one
 * that begins with another number, or is over other bytes, can still be read by who wrote it, and by nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sides.h"
#include "store/store_internal.h"

/* CRC-32C bit by bit. */
static uint32_t crc(uint32_t before, const void *bytes, size_t count)
{
	const unsigned char *at = bytes;

	before = ~before;
	for (size_t i = 0; i < count; i++) {
		before ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			before = before >> 1 ^ (before & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~before;
}

static uint32_t crc_number(uint32_t before, uint64_t n, int bytes)
{
	unsigned char little[8];

	for (int i = 0; i < bytes; i++)
		little[i] = (unsigned char)(n >> 8 * i);
	return crc(before, little, (size_t)bytes);
}

/*
 * What a checksum is over: a letter a column. n: a number of 64 bits; c: a length of 32 bits, and z: bytes alone;
 * b: bytes behind their length.
 */
static const struct sum {
	const char *of;
	int kind;
	const char *form, *sql; /* the checksum first */
} sums[] = {
    {"messages", 1, "nncczz",
     "SELECT checksum, id, received_ms, ifnull(length(meta), 0), length(body), meta, body FROM messages"},
    {"dead", 1, "nncczz",
     "SELECT checksum, id, received_ms, ifnull(length(meta), 0), length(body), meta, body FROM dead"},
    {"blocks", 2, "nnnnnnz", "SELECT checksum, id, count, bytes, codec, first_ms, last_ms, body FROM blocks"},
    {"partial", 3, "nnnz", "SELECT checksum, block_id, settled, bytes, bitmap FROM partial"},
    {"positions", 4, "z", "SELECT checksum, CAST(key AS BLOB) || x'00' || CAST(value AS BLOB) FROM positions"},
    {"clock", 5, "nn", "SELECT checksum, first_id, lead_ms FROM clock WHERE first_id > 0"},
    {"failures", 6, "nnnnbb", "SELECT checksum, id, attempts, next_ms, first_ms, code, reason FROM failures"},
    {"notes of the dead", 7, "nnnbb", "SELECT note_checksum, id, died_ms, attempts, code, reason FROM dead"},
    {"cache", 8, "bbn", "SELECT checksum, cache, key, expires_ms FROM cache"},
    {"salvage", 9, "bnnn", "SELECT checksum, path, after_id, salvaged, done FROM salvage"},
    {"losses", 10, "nnnnn", "SELECT checksum, reason, messages, first_id, last_id, since_ms FROM losses"},
    {"imports", 11, "bnnn", "SELECT checksum, copy, imported_ms, messages, first_id FROM imports"},
};

static uint32_t crc_column(uint32_t before, char form, sqlite3_stmt *st, int column)
{
	const void *bytes = form == 'z' || form == 'b' ? sqlite3_column_blob(st, column) : NULL;
	const size_t count = (size_t)sqlite3_column_bytes(st, column);

	if (form == 'n' || form == 'c')
		return crc_number(before, (uint64_t)sqlite3_column_int64(st, column), form == 'n' ? 8 : 4);
	if (form == 'b')
		before = crc_number(before, count, 4);
	return bytes ? crc(before, bytes, count) : before;
}

static void hold_against(struct store *s, const struct sum *sum, uint32_t tag)
{
	sqlite3_stmt *st = NULL;
	int rows = 0, rc;

	assert_int_equal(sqlite3_prepare_v2(s->db, sum->sql, -1, &st, NULL), SQLITE_OK);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const unsigned char kind = (unsigned char)sum->kind;
		uint32_t want = crc(crc_number(0, tag, 4), &kind, 1);

		for (int i = 0; sum->form[i]; i++)
			want = crc_column(want, sum->form[i], st, i + 1);
		if (sqlite3_column_int64(st, 0) != (int64_t)((uint64_t)tag << 32 | want))
			fail_msg("%s: a checksum is not what schema/ says", sum->of);
		rows++;
	}
	assert_int_equal(rc, SQLITE_DONE);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	if (rows == 0)
		fail_msg("%s: there is no row", sum->of);
}

static void what_schema_says_is_what_is_written(void **state)
{
	struct spooldir d;
	struct store *s = make_sides(&d);
	struct error e;
	uint32_t tag;

	(void)state;
	settle(s, (struct store_settlement){.id = 33, .kind = SETTLE_DAMAGED});
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_salvage_expect_more(s, 3, store_next_id(s), &e), ERR_OK);
	assert_int_equal(store_leads_note_as(s, 77000000, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	tag = (uint32_t)life_number(s, "SELECT spool_low & 0x7fffffff FROM ledger");
	assert_int_not_equal(tag, 0);
	for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
		hold_against(s, &sums[i], tag);
	store_abandon(s);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_schema_says_is_what_is_written)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
