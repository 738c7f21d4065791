/* Rows as bytes: what a record found in a page is by its shape, what is bound of a row and read back, its checksums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "rig/spooldir.h"
#include "store/files/row.h"
#include "store/files/sum.h"

/* A letter a column: n null, i integer, f real, t text, b blob. Number i is i + 10, text and bytes are i + 1 long. */
static struct stored_record record_of(const char *types, int64_t rowid)
{
	static const unsigned char bytes[RECORD_COLUMNS_MAX + 1];
	static const char letters[] = "niftb";
	static const enum value_type of[] = {VALUE_NULL, VALUE_INT, VALUE_FLOAT, VALUE_TEXT, VALUE_BLOB};
	struct stored_record r = {.rowid = rowid, .count = (int)strlen(types)};

	for (int i = 0; i < r.count; i++) {
		const enum value_type type = of[strchr(letters, types[i]) - letters];

		r.values[i] =
		    (struct stored_value){.type = type, .number = i + 10, .bytes = bytes + i, .count = (size_t)i + 1};
		if (type == VALUE_NULL)
			r.values[i].count = 0;
	}
	return r;
}

static void a_record_is_what_its_columns_say(void **state)
{
	static const struct {
		const char *types;
		enum stored_kind kind;
		int meta;
	} cases[] = {
	    {"niibb", ROW_MESSAGE, 3},
	    {"niinb", ROW_MESSAGE, 3},
	    {"niiiittbb", ROW_DEAD, 7},
	    {"niiiittnb", ROW_DEAD, 7},
	    {"niiiittbbi", ROW_DEAD, 7},
	    {"niiiittnbi", ROW_DEAD, 7},
	    {"niiiiiinnnnnb", ROW_BLOCK, 0},
	    {"niiib", ROW_PARTIAL, 0},
	    {"", ROW_NONE, 0},
	    {"n", ROW_NONE, 0},
	    {"niitb", ROW_NONE, 0},
	    {"iiibb", ROW_NONE, 0},
	    {"niibn", ROW_NONE, 0},
	    {"nifbb", ROW_NONE, 0},
	    {"niibbb", ROW_NONE, 0},
	    {"niib", ROW_NONE, 0},
	    {"niiiittbbn", ROW_NONE, 0},
	    {"niiiiiinnnnb", ROW_NONE, 0},
	    {"niiiiiinnnnib", ROW_NONE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct stored_record r = record_of(cases[i].types, 42);
		struct store_row row = {.id = 7};
		const int meta = cases[i].meta;

		if (row_of_record(&r, &row) != cases[i].kind)
			fail_msg("%s", cases[i].types);
		assert_true(row_has_types(&r, cases[i].types));
		assert_int_equal(row.id, meta > 0 ? 42 : 7); /* else it is left alone */
		if (meta > 0) {
			assert_int_equal(row.received_ms, 11);
			assert_int_equal(row.checksum, 12);
			assert_ptr_equal(row.meta, r.values[meta].bytes);
			assert_int_equal(row.meta_bytes, r.values[meta].count);
			assert_ptr_equal(row.body, r.values[meta + 1].bytes);
			assert_int_equal(row.body_bytes, meta + 2);
		}
		r.is_index = true;
		assert_int_equal(row_of_record(&r, &row), ROW_NONE);
		r = record_of(cases[i].types, 0);
		assert_int_equal(row_of_record(&r, &row), ROW_NONE);
		r = record_of(cases[i].types, -1);
		assert_int_equal(row_of_record(&r, &row), ROW_NONE);
		r = record_of(cases[i].types, 1);
		assert_int_equal(row_of_record(&r, &row), cases[i].kind);
	}
}

static sqlite3 *db;

static sqlite3_stmt *prepared(const char *sql)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	return st;
}

static int begin(void **state)
{
	(void)state;
	return sqlite3_open(":memory:", &db);
}

static int end(void **state)
{
	(void)state;
	return sqlite3_close(db);
}

/* With metadata and without, with bytes and without: as it was written, and "" is no null. */
static void what_is_bound_is_read(void **state)
{
	(void)state;
	for (int with = 0; with < 4; with++)
		for (uint32_t tag = 0; tag < 2; tag++) {
			struct message *m = with & 1 ? spooldir_message(5, with & 2 ? 0 : 300)
			                             : message_new("", 0, "xyz", with & 2 ? 0 : 3, INT64_C(-5));
			sqlite3_stmt *st = prepared("SELECT ?2, ?3, ?4, ?5, ?6, typeof(?5), typeof(?6)");
			struct store_row row;
			struct message *back;

			row_bind(st, 2, UINT64_C(1) << 62, m, tag * 77);
			assert_int_equal(sqlite3_step(st), SQLITE_ROW);
			row = row_read(st);
			assert_string_equal((const char *)sqlite3_column_text(st, 5), with & 1 ? "blob" : "null");
			assert_string_equal((const char *)sqlite3_column_text(st, 6), "blob");
			assert_true(row.id == UINT64_C(1) << 62);
			assert_true(row_is_sound(&row, tag * 77));
			assert_true(row_is_sound(&row, 0)); /* of no spool: of any */
			assert_int_equal(row_is_sound(&row, 78), tag == 0);
			assert_true(row_has_sum(&row, row_plain_sum(&row)));
			assert_int_equal(row.checksum == row_plain_sum(&row), tag == 0);
			assert_false(row_has_sum(&row, row.checksum + 1));
			back = row_message(&row);
			assert_true(back->id == UINT64_C(1) << 62);
			assert_int_equal(back->received_ms, m->received_ms);
			assert_int_equal(back->meta_bytes, m->meta_bytes);
			assert_int_equal(back->body_bytes, m->body_bytes);
			assert_memory_equal(back->bytes, m->bytes, m->meta_bytes + m->body_bytes);
			message_free(back);
			row_renumber(&row, 9, 78);
			assert_int_equal(row.id, 9);
			assert_true(row_is_sound(&row, 78));
			assert_false(row_is_sound(&row, 77));
			(void)sqlite3_finalize(st);
			message_free(m);
		}
}

/* Whichever byte of it is another: id, time, metadata, body, and where one ends and the other begins. */
static void a_checksum_is_over_all_of_it(void **state)
{
	char meta[] = "abcd", body[] = "efgh";
	const struct store_row row = {
	    .id = 3, .received_ms = 4, .meta = meta, .meta_bytes = 4, .body = body, .body_bytes = 4};
	struct store_row other[] = {row, row, row, row, row};
	const int64_t sum = row_plain_sum(&row);

	(void)state;
	other[0].id = INT64_C(3) | INT64_C(1) << 60;
	other[1].received_ms = INT64_C(4) | INT64_C(1) << 60;
	other[2].meta_bytes = 3;
	other[3].body_bytes = 3;
	other[4].meta = "abcdef";
	other[4].meta_bytes = 6;
	other[4].body = "gh";
	other[4].body_bytes = 2;
	for (size_t i = 0; i < sizeof other / sizeof *other; i++)
		assert_true(row_plain_sum(&other[i]) != sum);
	meta[0] = 'x';
	assert_true(row_plain_sum(&row) != sum);
	meta[0] = 'a';
	body[3] = 'x';
	assert_true(row_plain_sum(&row) != sum);
	body[3] = 'h';
	assert_true(row_plain_sum(&row) == sum);
}

static void a_reason_is_cut(void **state)
{
	char *text = malloc(REASON_MAX + 2);

	(void)state;
	for (int length = REASON_MAX - 1; length <= REASON_MAX + 1; length++) {
		sqlite3_stmt *st = prepared("SELECT ?1");

		memset(text, 'r', (size_t)length);
		text[length] = '\0';
		row_bind_text(st, 1, text);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		assert_int_equal(sqlite3_column_bytes(st, 0), length > REASON_MAX ? REASON_MAX : length);
		(void)sqlite3_reset(st);
		row_bind_text(st, 1, NULL);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		assert_int_equal(sqlite3_column_type(st, 0), SQLITE_TEXT);
		assert_int_equal(sqlite3_column_bytes(st, 0), 0);
		(void)sqlite3_finalize(st);
	}
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_record_is_what_its_columns_say),
	    cmocka_unit_test_setup_teardown(what_is_bound_is_read, begin, end),
	    cmocka_unit_test(a_checksum_is_over_all_of_it),
	    cmocka_unit_test_setup_teardown(a_reason_is_cut, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
