/*
 * rowharms: a start of a spool, or of one beside a file that was set aside, with a row that is not what was written:
 * what is then other than if it had been, in full.
 *
 * Included first, for the clocks; everything fails the test by itself. With KSPOOL_SHOW_DIFFS what is other is printed.
 */
#ifndef KSPOOL_TESTS_ROWHARMS_H
#define KSPOOL_TESTS_ROWHARMS_H

#include "rig/spooldiff.h"

#include <errno.h>
#include <unistd.h>

#include "rig/lives.h"
#include "store/store_internal.h"

static const char rows_aside[] = ".quarantine-20260101T000000Z-000";

#define OTHER ".quarantine-20250101T000000Z-000"

/*
 * Blocks of ten bytes and less from 1, 5 and 9 on, four each; 13 and 14 failed and stand alone. 2 has left, 10 is on
 * the shelf, 11 damaged. Two positions, two keys, two copies that were taken in, how far other files were read.
 */
static inline void rows_fill(struct spooldir *d)
{
	static const char notes[] =
	    "INSERT INTO salvage VALUES ('pages:" OTHER "', 3, 2, 1, side_sum(9, 'pages:" OTHER "', 3, 2, 1)),"
	    " ('pages:', 3, 2, 1, side_sum(9, 'pages:', 3, 2, 1)), ('paged:x', 3, 2, 1, side_sum(9, 'paged:x', 3, 2, "
	    "1)),"
	    " ('part:x', 4, 5, 0, side_sum(9, 'part:x', 4, 5, 0)), ('bad:x', 6, 7, 0, side_sum(9, 'bad:x', 6, 7, 0)),"
	    " ('size:x', 8, 9, 1, side_sum(9, 'size:x', 8, 9, 1)), ('known:x', 8, 0, 1, side_sum(9, 'known:x', 8, 0, "
	    "1));"
	    "INSERT INTO imports SELECT CAST('first' || zeroblob(27) || x'11223344556677889900112233445566' || "
	    "zeroblob(16) AS BLOB), 1, 2, 3, "
	    "0;"
	    "INSERT INTO imports SELECT CAST('other' || zeroblob(27) || x'21223344556677889900112233445566' || "
	    "zeroblob(16) AS BLOB), 4, 5, 6, "
	    "0;"
	    "UPDATE imports SET checksum = side_sum(11, copy, imported_ms, messages, first_id)";
	struct side_total imports;
	struct store *s;
	bool is_new;

	spooldir_make(d);
	s = open_it(d);
	for (int i = 0; i < 3; i++)
		diff_append(s, 4);
	set_wall(wall_ms + 5000);
	diff_append(s, 2);
	diff_settle(s, (struct store_settlement){.id = 2, .kind = SETTLE_DELIVERED});
	diff_settle(s, (struct store_settlement){
	                   .id = 10, .kind = SETTLE_DEAD, .attempts = 2, .code = "x", .reason = (char[]){"why"}});
	diff_settle(s, (struct store_settlement){.id = 11, .kind = SETTLE_DAMAGED});
	for (uint64_t id = 13; id <= 14; id++)
		diff_settle(s, (struct store_settlement){
		                   .id = id, .kind = SETTLE_RETRY, .attempts = 3, .wait_ms = 70000, .code = "Slow"});
	ok(store_begin(s, e));
	ok(store_position_put(s, "file", "10", e));
	ok(store_position_put(s, "other", "20", e));
	ok(store_cache_add(s, "c", "one", 3, 500000, &is_new, e));
	ok(store_cache_add(s, "c", "two", 3, 600000, &is_new, e));
	ok(store_commit(s, e));
	diff_do(s, notes);
	ok(store_begin(s, e));
	ok(side_imports_total(s->db, &imports, e));
	s->rows.imports = imports.rows;
	s->rows.imports_sum = imports.sum;
	ok(store_position_put(s, "file", "10", e));
	ok(store_commit(s, e));
	ok(store_close(s, e));
}

static inline void rows_change(const struct spooldir *d, const char *sql)
{
	sqlite3 *db = NULL;
	char *why = NULL;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	if (strncmp(sql, "SELECT", 6) != 0 && sqlite3_changes(db) == 0)
		fail_msg("%s: nothing is changed", sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

#define WITHOUT "-- without "

/* A start with this change; of a file that was set aside, which is read back. A first line WITHOUT ".tide\n" takes that
 * file away. */
static inline void rows_start(const struct spooldir *from, const char *sql, bool is_aside, struct snapshot *to)
{
	struct store_report report;
	struct store_options o;
	struct store *s = NULL;
	struct spooldir d;
	char path[400];

	spooldir_make(&d);
	spooldir_copy(from, &d);
	life_bring(from, ".left", &d);
	rows_change(&d, sql);
	if (strncmp(sql, WITHOUT, strlen(WITHOUT)) == 0) {
		(void)snprintf(path, sizeof path, "%s%.*s", d.path, (int)strcspn(sql + strlen(WITHOUT), "\n"),
		               sql + strlen(WITHOUT));
		assert_int_equal(unlink(path), 0);
	}
	(void)snprintf(path, sizeof path, "%s%s", d.path, rows_aside);
	if (is_aside)
		assert_int_equal(rename(d.path, path), 0);
	assert_true(unlink(spooldir_file(&d, "-wal")) == 0 || errno == ENOENT);
	o = spooldir_options(&d);
	ok(store_open(&o, &s, &report, e));
	diff_take(s, to);
	*diff_words = '\0';
	diff_say(&d, report.warning);
	store_abandon(s);
	spooldir_remove(&d);
}

struct row_harm {
	const char *sql[8]; /* each does the same; the first row changes nothing, and says what is there then */
	const char *want;
};

static inline void rows_expect(const struct row_harm *harms, size_t count, bool is_aside)
{
	static struct snapshot none, whole, harmed;
	struct spooldir from;
	int wrong = 0;

	set_clocks(5000, NOW_MS);
	rows_fill(&from);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; harms[i].sql[k]; k++) {
			struct snapshot *now = i == 0 ? &whole : &harmed;
			const char *is;

			set_clocks(9000, NOW_MS + 9000);
			rows_start(&from, harms[i].sql[k], is_aside, now);
			is = diff_between(i == 0 ? &none : &whole, now);
			if (getenv("KSPOOL_SHOW_DIFFS")) {
				(void)fprintf(stderr, "## %s\n%s", harms[i].sql[k], is);
			} else if (strcmp(is, harms[i].want) != 0) {
				(void)fprintf(stderr, "%s changed:\n%sand was to change:\n%s\n", harms[i].sql[k], is,
				              harms[i].want);
				wrong++;
			}
		}
	assert_int_equal(wrong, 0);
	clock_test_end();
	spooldir_remove(&from);
}

#endif
