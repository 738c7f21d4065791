/*
 * fullspool: a spool that has a row in each table that kspool fills by itself, and words in which places, names and
 * times are left out, to be compared with what is expected.
 *
 * What it is: for tests of what is said of a spool. Included after cmocka.h; fails the test by itself.
 */
#ifndef KSPOOL_TESTS_FULLSPOOL_H
#define KSPOOL_TESTS_FULLSPOOL_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "rig/lives.h"
#include "store/files/spool_files.h"

/* Of that spool, when nothing is wrong with it. */
#define HEAD "log: none\nspool: *\nstructure: ok\n"
#define ROWS "messages: 32 rows, 30 of them in blocks\n"
#define DEAD "dead: 2 rows\n"
#define LEDGER                                                                                                     \
	"ledger: accepted 35 = delivered 1 + pending 32 + dead 2 + expired 0 + evicted 0 + damaged 0 + filtered 0" \
	" + purged 0\n"
#define STRUCTURE "problem: structure: "

enum { FULL_MESSAGES = 30, FULL_OTHERS = 5, FULL_TEXT = 1 << 14 };

static inline void full_group(struct store *s, const struct store_settlement *x)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	if (x)
		assert_int_equal(store_settle(s, x, 1, &e), ERR_OK);
	else
		assert_int_equal(store_position_put(s, "file", "10", &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/*
 * Three blocks of ten; 5 and 6 failed and wait by themselves, 7 and 8 are on the shelf, 12 was delivered. Two keys, two
 * positions, and a copy of another spool was taken in, of five messages (31 to 35).
 */
static inline struct store *full_open(struct spooldir *d)
{
	struct spooldir other;
	struct store *s = life_begin(d);
	struct error e;
	uint64_t rows;
	bool was_new;

	life_append(s, 0, FULL_MESSAGES);
	for (uint64_t id = 5; id <= 8; id++)
		full_group(s, &(struct store_settlement){.id = id,
		                                         .kind = id < 7 ? SETTLE_RETRY : SETTLE_DEAD,
		                                         .attempts = 3,
		                                         .wait_ms = 3600000,
		                                         .code = "Slow"});
	life_settle(s, 12, 12);
	full_group(s, NULL);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, "door", "200", &e), ERR_OK);
	assert_int_equal(store_cache_add(s, "c", "one", 3, 3600000, &was_new, &e), ERR_OK);
	assert_int_equal(store_cache_add(s, "c", "two", 3, 3600000, &was_new, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_make(&other, LIFE_OTHERS, FULL_OTHERS, 0);
	assert_int_equal(store_import(s, other.path, false, &rows, &e), ERR_OK);
	assert_int_equal(rows, FULL_OTHERS);
	spooldir_remove(&other);
	return s;
}

/* Statements of SQLite alone, on a file. */
static inline void full_change(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	char *why = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Which page, from 0, holds the rows of a table, or of an index. */
static inline size_t full_page(const char *path, const char *name)
{
	char sql[128];
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	size_t page;

	(void)snprintf(sql, sizeof sql, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	page = (size_t)sqlite3_column_int64(st, 0) - 1;
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return page;
}

/* It is overwritten by zeros. */
static inline void full_zero(const char *path, const char *name)
{
	enum { PAGE = 4096 };
	const size_t page = full_page(path, name);
	size_t count;
	unsigned char *bytes;

	bytes = spooldir_load(path, &count);
	assert_true((page + 1) * PAGE <= count);
	memset(bytes + page * PAGE, 0, PAGE);
	spooldir_store(path, bytes, count);
	free(bytes);
}

/* The first two rows of a small table change their places: no page is harmed, and no row. */
static inline void full_exchange(const char *path, const char *name)
{
	enum { PAGE = 4096, POINTERS = 8, POINTER = 2 };
	unsigned char *bytes, *first, kept[POINTER];
	size_t count;

	bytes = spooldir_load(path, &count);
	first = bytes + full_page(path, name) * PAGE + POINTERS;
	memcpy(kept, first, POINTER);
	memcpy(first, first + POINTER, POINTER);
	memcpy(first + POINTER, kept, POINTER);
	spooldir_store(path, bytes, count);
	free(bytes);
}

/* Every `from` of the text is `to`. */
static inline void full_replace(char *text, const char *from, const char *to)
{
	for (char *at = text; (at = strstr(at, from));) {
		memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
		memcpy(at, to, strlen(to));
		at += strlen(to);
	}
}

/* What follows `before`, up to one of `ends`, is "*". */
static inline void full_mask(char *text, const char *before, const char *ends)
{
	for (char *at = text; (at = strstr(at, before));) {
		size_t length;

		at += strlen(before);
		length = strcspn(at, ends);
		if (length > 0) {
			memmove(at + 1, at + length, strlen(at + length) + 1);
			*at++ = '*';
		}
	}
}

/* The words with PATH and * where each run has its own. */
static inline void full_words(const char *path, const char *bytes, size_t count, char text[FULL_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	static const char *const behind[] = {"\nmessages: ", "\nschema: ", "\nproblem: schema: "};
	char *at;

	assert_in_range(count, 0, FULL_TEXT - 1);
	(void)snprintf(text, FULL_TEXT, "%.*s", (int)count, count ? bytes : "");
	full_replace(text, path, "PATH");
	for (at = text; *at; at += strspn(at, hex) > 0 ? strspn(at, hex) : 1)
		if (strspn(at, hex) == SPOOL_ID_TEXT_BYTES - 1) {
			memmove(at + 1, at + SPOOL_ID_TEXT_BYTES - 1, strlen(at + SPOOL_ID_TEXT_BYTES - 1) + 1);
			*at = '*';
		}
	full_mask(text, ", since ", "Z\n");
	full_mask(text, "; log: ", "\n");
	full_mask(text, ": cannot read ", "\n"); /* a long path leaves less of it */
	if ((at = strstr(text, STRUCTURE))) {    /* SQLite's own words, some lines of them */
		const char *end = at + strlen(STRUCTURE);

		for (size_t i = 0; i < sizeof behind / sizeof *behind; i++)
			if (strstr(at, behind[i]))
				end = strstr(at, behind[i]);
		memmove(at + strlen(STRUCTURE), end, strlen(end) + 1);
	}
	if ((at = strstr(text, "log: ")) && isdigit((unsigned char)at[5]))
		full_mask(at, "log: ", " ");
}

/* Returns how many problems it found. A check that fails says so. */
static inline uint64_t full_check(const struct spooldir *d, bool is_copy, char text[FULL_TEXT])
{
	struct error e = {.text = ""};
	uint64_t problems = 77, lines = 0;
	struct buf out;
	enum err err;

	buf_init(&out, 1 << 20);
	err = is_copy ? store_check_copy(d->path, &out, &problems, &e) : store_check(d->path, &out, &problems, &e);
	(void)snprintf(text, FULL_TEXT, "%.*s", (int)out.len, out.len ? (char *)out.data : "");
	for (const char *at = text; (at = strstr(at, "problem: ")); at++)
		lines++;
	assert_int_equal(problems, lines);
	if (err != ERR_OK)
		assert_int_equal(err, e.code);
	if (err != ERR_OK)
		assert_int_equal(buf_addf(&out, "error %s: %s\n", error_name(err), e.text), ERR_OK);
	full_words(d->path, (const char *)out.data, out.len, text);
	buf_fini(&out);
	return problems;
}

#endif
