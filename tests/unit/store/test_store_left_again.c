/*
 * Messages that had left come back with an old or damaged page, and hide others that are gone: whatever is done to the
 * files, what is lost and what may be sent twice are counted apart, each once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "store/store_internal.h"
#include "store/store_damage.h"

enum { ROWS = 300, BLOCK = 10, PAGE = 4096 };

/* Every second one left. */
static bool had_left(uint64_t id) { return id % 2 == 1; }

static void make(struct spooldir *d)
{
	struct store *s = life_begin(d);

	life_append(s, 0, ROWS);
	for (uint64_t id = 1; id <= ROWS; id++)
		if (had_left(id))
			life_settle(s, id, id);
	life_close(s);
}

static void run_sql(const struct spooldir *d, const char *sql)
{
	sqlite3 *db = NULL;
	char *text = NULL;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s: %s", sql, text);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void cut(const struct spooldir *d, int tenths)
{
	size_t bytes;
	unsigned char *data = spooldir_load(d->path, &bytes);

	spooldir_store(d->path, data, bytes / PAGE * (size_t)tenths / 10 * PAGE);
	free(data);
}

/* The first page of a table; of the file: 1. */
static size_t root_of(const struct spooldir *d, const char *table)
{
	AUTOFREE char *sql = mem_format("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	size_t root = 1;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	if (sqlite3_step(st) == SQLITE_ROW)
		root = (size_t)sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return root;
}

/* It is not what it was. */
static void spoil_table(const struct spooldir *d, const char *table, size_t pages)
{
	const size_t root = root_of(d, table);
	size_t bytes;
	unsigned char *data = spooldir_load(d->path, &bytes);

	memset(data + (root - 1) * PAGE, 0x5a, PAGE);
	for (size_t i = 0; i < pages; i++) /* and some of the file's end, where bodies stand */
		memset(data + bytes - (i + 1) * PAGE, 0xa5, PAGE);
	spooldir_store(d->path, data, bytes);
	free(data);
}

struct harm {
	const char *name, *sql;
	int tenths;        /* of the file that are left */
	const char *table; /* whose first page is not what it was */
	size_t pages;      /* and so many more */
};
static const struct harm harms[] = {
    {.name = "none"},
    {.name = "marks of some", .sql = "DELETE FROM partial WHERE block_id < 100"},
    {.name = "marks of all", .sql = "DELETE FROM partial"},
    {.name = "blocks",
     .sql = "DELETE FROM blocks WHERE id BETWEEN 101 AND 150; DELETE FROM partial WHERE block_id"
            " BETWEEN 101 AND 150"},
    {.name = "as many as come back", /* the counts agree */
     .sql = "DELETE FROM partial WHERE block_id BETWEEN 1 AND 51; DELETE FROM blocks WHERE id BETWEEN 101 AND 151;"
            " DELETE FROM partial WHERE block_id BETWEEN 101 AND 151"},
    {.name = "more than come back",
     .sql = "DELETE FROM partial WHERE block_id < 30; DELETE FROM blocks WHERE id BETWEEN 102 AND 300;"
            " DELETE FROM partial WHERE block_id BETWEEN 102 AND 300"},
    {.name = "fewer than come back",
     .sql = "DELETE FROM partial WHERE block_id < 200; DELETE FROM blocks WHERE id BETWEEN 272 AND 300;"
            " DELETE FROM partial WHERE block_id BETWEEN 272 AND 300"},
    {.name = "a page of marks", .table = "partial"},
    {.name = "a page of marks and others", .table = "partial", .pages = 3},
    {.name = "the ledger", .table = "ledger"},
    {.name = "the ledger and others", .table = "ledger", .pages = 4},
    {.name = "cut to a half", .tenths = 5},
    {.name = "cut to six tenths", .tenths = 6},
    {.name = "cut to seven tenths", .tenths = 7},
    {.name = "cut to eight tenths", .tenths = 8},
    {.name = "cut to nine tenths", .tenths = 9},
};

static void do_harm(const struct spooldir *d, const struct harm *h)
{
	if (h->sql)
		run_sql(d, h->sql);
	if (h->tenths)
		cut(d, h->tenths);
	if (h->table)
		spoil_table(d, h->table, h->pages);
}

/* What waits, held against what did: `lost` of it is not there, `again` had left. */
static void compare(struct store *s, uint64_t *ret_lost, uint64_t *ret_again)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	bool waits[ROWS + 1] = {0};
	struct message *m;
	struct error e;
	uint32_t count;
	uint64_t last;

	*ret_lost = *ret_again = 0;
	assert_int_equal(store_read_range(s, 1, ROWS, 10000, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	STAILQ_FOREACH (m, &list, link) {
		const uint64_t id = (uint64_t)(m->received_ms - 1700000000000);

		assert_true(id >= 1 && id <= ROWS && !waits[id]);
		assert_true(spooldir_is_message(m, id, life_bytes(id)));
		waits[id] = true;
	}
	message_list_free(&list);
	for (uint64_t id = 1; id <= ROWS; id++) {
		*ret_lost += !had_left(id) && !waits[id];
		*ret_again += had_left(id) && waits[id];
	}
}

static void expect(struct store *s, const struct harm *h, uint64_t lost, uint64_t again)
{
	const struct store_ledger *l = store_ledger(s);
	const uint64_t possible = store_possible_duplicates(s);

	if (l->accepted != ROWS || l->damaged != lost || possible != again || l->delivered != ROWS / 2 - again)
		fail_msg("%s: lost %u, again %u; accepted %u delivered %u damaged %u possible %u", h->name,
		         (unsigned)lost, (unsigned)again, (unsigned)l->accepted, (unsigned)l->delivered,
		         (unsigned)l->damaged, (unsigned)possible);
}

/* A run in which the spool was sound has made it anew: it knows as much as the one that was lost, some being damaged or
 * none. */
static void one_made_anew_knows_as_much(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof harms / sizeof *harms; i++) {
		const struct harm *h = &harms[i / 2];
		struct store_report report;
		uint64_t lost, again;
		struct spooldir d;
		struct store *s;

		make(&d);
		if (i % 2 == 1) {
			run_sql(&d, "DELETE FROM blocks WHERE id BETWEEN 205 AND 215;"
			            " DELETE FROM partial WHERE block_id BETWEEN 205 AND 215");
			life_close(life_open(&d, NULL));
		}
		assert_int_equal(unlink(spooldir_file(&d, ".left")), 0);
		life_close(life_open(&d, NULL));
		do_harm(&d, h);
		s = life_open(&d, &report);
		compare(s, &lost, &again);
		assert_true(i % 2 == 0 || lost >= 5);
		expect(s, h, lost, again);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* First pages of tables, and of the file, as they were at the stop before, one by one and together. */
static void pages_of_an_earlier_time(void **state)
{
	static const char *const tables[] = {"ledger", "partial", "blocks", "file", "failures"};
	enum { TABLES = sizeof tables / sizeof *tables };

	(void)state;
	for (unsigned set = 0; set < 1U << TABLES; set++) {
		AUTOFREE char *name = mem_format("pages %u", set);
		const struct harm h = {.name = name};
		struct spooldir d, before;
		uint64_t lost, again;
		unsigned char *data, *old;
		size_t bytes, old_bytes;
		struct store *s = life_begin(&d);

		life_append(s, 0, ROWS - 100);
		for (uint64_t id = 1; id <= 100; id += 2)
			life_settle(s, id, id);
		life_close(s);
		spooldir_make(&before);
		spooldir_copy(&d, &before);
		s = life_open(&d, NULL);
		life_append(s, ROWS - 100, 100);
		for (uint64_t id = 101; id <= ROWS; id += 2)
			life_settle(s, id, id);
		life_close(s);
		data = spooldir_load(d.path, &bytes);
		old = spooldir_load(before.path, &old_bytes);
		for (unsigned t = 0; t < TABLES; t++) {
			const size_t at = (root_of(&d, tables[t]) - 1) * PAGE;

			if (set >> t & 1)
				memcpy(data + at, old + at, PAGE);
		}
		spooldir_store(d.path, data, bytes);
		s = life_open(&d, NULL);
		compare(s, &lost, &again);
		expect(s, &h, lost, again);
		life_close(s);
		free(data);
		free(old);
		spooldir_remove(&before);
		spooldir_remove(&d);
	}
}

/* One too large to be counted at its start: with the first that had left, when it is read. */
static void a_large_spool_is_counted_when_one_comes_back(void **state)
{
	enum { LARGE = 1000000, LARGES = 68 };
	unsigned char *body = mem_zero(LARGE);

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		const struct harm *h = &harms[i];
		struct store_report report;
		uint64_t lost, again;
		struct spooldir d;
		struct store *s;
		struct error e;

		if (!h->sql || !strstr(h->name, "come back"))
			continue;
		make(&d);
		s = life_open(&d, NULL);
		for (int n = 0; n < LARGES; n++) {
			struct message *m;

			for (size_t at = 0; at < LARGE; at++) /* nothing makes it smaller */
				body[at] = (unsigned char)rand();
			m = message_new(NULL, 0, body, LARGE, 1);
			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_append(s, m, &e), ERR_OK);
			assert_int_equal(store_commit(s, &e), ERR_OK);
			message_free(m);
		}
		life_close(s);
		do_harm(&d, h);
		s = life_open(&d, &report);
		assert_int_equal(store_possible_duplicates(s), 0);
		assert_false(store_mend_is_due(s));
		compare(s, &lost, &again);
		assert_int_equal(store_mend_is_due(s), again > 0);
		if (again > 0)
			assert_int_equal(store_mend(s, false, &report, &e), ERR_OK);
		else
			assert_int_equal(store_recount(s, &report, &e), ERR_OK);
		assert_int_equal(report.missing_rows, lost);
		assert_int_equal(store_ledger(s)->damaged, lost);
		assert_int_equal(store_ledger(s)->delivered, ROWS / 2 - again);
		assert_int_equal(store_possible_duplicates(s), again);
		assert_int_equal(store_take_possible(s), again);
		compare(s, &lost, &again);
		assert_false(store_mend_is_due(s));
		life_close(s);
		spooldir_remove(&d);
	}
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_made_anew_knows_as_much),
	    cmocka_unit_test(pages_of_an_earlier_time),
	    cmocka_unit_test(a_large_spool_is_counted_when_one_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
