/*
 * tableprint: one number of every row of every table of an open spool, to be compared with another.
 *
 * What it is: what a verb that failed must have left as it was. Included after cmocka.h. Fails the test by itself.
 */
#ifndef KSPOOL_TESTS_TABLEPRINT_H
#define KSPOOL_TESTS_TABLEPRINT_H

#include <stdlib.h>

#include "base/mem.h"
#include "store/store_internal.h"

static inline uint64_t mixed(uint64_t print, const void *bytes, size_t count)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < count; i++)
		print = (print ^ at[i]) * 1099511628211u;
	return print;
}

static inline uint64_t print_of_table(struct store *s, const char *name, uint64_t print)
{
	char *sql = mem_format("SELECT * FROM \"%s\"", name);
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			const void *bytes = sqlite3_column_blob(st, i);

			print = mixed(print, bytes, (size_t)sqlite3_column_bytes(st, i)) + 1;
		}
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	free(sql);
	return print;
}

static inline uint64_t print_of(struct store *s)
{
	sqlite3_stmt *st = NULL;
	uint64_t print = 1469598103934665603u;
	int tables = 0;

	assert_int_equal(sqlite3_prepare_v2(s->db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
	                                    -1, &st, NULL),
	                 SQLITE_OK);
	for (; sqlite3_step(st) == SQLITE_ROW; tables++)
		print = print_of_table(s, (const char *)sqlite3_column_text(st, 0), print);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_true(tables > 10);
	return print;
}

#endif
