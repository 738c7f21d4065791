/*
 * The ledger's page, or its row, as it was at the stop before, while rows came to stand lower than it knows, or left,
 * or came: nothing is taken away, and the tide mark tells what it counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "rig/faultfs.h"
#include "store/store_internal.h"

enum { ROWS = 60, LATER = 40, EARLIER = 10, FAILED = 11, PAGE = 4096 };

/* Messages that failed stand alone, below those that came later. */
static void fail_some(struct store *s, uint64_t first)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id < first + FAILED; id++) {
		const struct store_settlement x = {.id = id,
		                                   .kind = SETTLE_RETRY,
		                                   .attempts = 9,
		                                   .wait_ms = 600000,
		                                   .code = "a",
		                                   .reason = mem_string("b")};

		assert_int_equal(store_settle(s, &x, 1, &e), ERR_OK);
		free(x.reason);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void exchange(const struct spooldir *d, size_t root, const unsigned char *page)
{
	size_t bytes;
	unsigned char *data = spooldir_load(d->path, &bytes);

	assert_true(root * PAGE <= bytes);
	memcpy(data + (root - 1) * PAGE, page, PAGE);
	spooldir_store(d->path, data, bytes);
	free(data);
}

static void what_came_to_stand_lower_stays(void **state)
{
	const bool *repairs = *state;
	struct store_report report;
	struct spooldir d;
	struct store *s = life_begin(&d);
	unsigned char *data, page[PAGE];
	size_t bytes, root;

	life_append(s, 0, ROWS);
	fail_some(s, LATER);
	life_settle(s, 1, 2); /* now the ledger says from where on rows stand */
	root = (size_t)life_number(s, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'");
	life_close(s);
	data = spooldir_load(d.path, &bytes);
	memcpy(page, data + (root - 1) * PAGE, PAGE);
	free(data);
	s = life_open(&d, NULL);
	fail_some(s, EARLIER);
	life_settle(s, ROWS - 1, ROWS);
	life_close(s);
	exchange(&d, root, page);
	assert_true(life_problems(&d, NULL, 0) > 0);
	if (*repairs) {
		struct error e;
		struct buf out;

		buf_init(&out, 1 << 16);
		if (store_repair(d.path, &(const struct store_repair){0}, &out, &e) != ERR_OK)
			fail_msg("%s: %s", e.text, out.data);
		buf_fini(&out);
	}
	for (int start = 0; start < 2; start++) {
		s = life_open(&d, &report);
		assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 2 * FAILED);
		assert_int_equal(store_ledger(s)->accepted, ROWS);
		assert_int_equal(store_ledger(s)->pending, ROWS - 4);
		assert_int_equal(store_ledger(s)->damaged, 0);
		life_close(s);
	}
	assert_int_equal(life_problems(&d, NULL, 0), 0);
	spooldir_remove(&d);
}

static void settle(struct store *s, uint64_t first, uint64_t last, enum settle_kind kind)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id <= last; id++) {
		const struct store_settlement x = {
		    .id = id, .kind = kind, .attempts = 1, .wait_ms = kind == SETTLE_RETRY ? 600000 : 0, .code = "a"};

		assert_int_equal(store_settle(s, &x, 1, &e), ERR_OK);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* What its life was after the row that comes back: ids first to last had this end, of `added` more; then this harm. */
static const struct later {
	const char *what;
	uint32_t added;
	uint64_t first, last;
	enum settle_kind kind;
	const char *harm;
	const char *want; /* accepted delivered pending dead damaged, possible, missing, next_id: what is said */
	const char *bare; /* without PATH.left; null: the same */
} laters[] = {
    {"to the shelf", 5, 11, 15, SETTLE_DEAD, "",
     "15 3 7 5 0, 0, 0, 16: the ledger's next id was behind the rows; the ledger's row was older than what it counts: "
     "the tide mark knows",
     NULL},
    {"delivered", 5, 11, 15, SETTLE_DELIVERED, "",
     "15 8 7 0 0, 0, 0, 16: the ledger's row was older than what it counts: the tide mark knows",
     "15 3 7 0 5, 5, 5, 16: what is here is older than what was counted: up to 5 messages may be sent twice; 5 "
     "acknowledged messages are gone: what is here ends before the tide mark"},
    {"all delivered", 5, 4, 15, SETTLE_DELIVERED, "",
     "15 15 0 0 0, 0, 0, 16: the ledger's row was older than what it counts: the tide mark knows", NULL},
    {"they failed", 5, 11, 15, SETTLE_RETRY, "",
     "15 3 12 0 0, 0, 0, 16: the ledger's next id was behind the rows; the ledger's row was older than what it counts: "
     "the tide mark knows",
     NULL},
    {"some failed", 5, 11, 12, SETTLE_RETRY, "",
     "15 3 12 0 0, 0, 0, 16: the ledger's row was older than what it counts: the tide mark knows", NULL},
    {"delivered, none came", 0, 4, 6, SETTLE_DELIVERED, "",
     "10 6 4 0 0, 0, 0, 11: the ledger's row was older than what it counts: the tide mark knows", NULL},
    {"to the shelf, none came", 0, 4, 6, SETTLE_DEAD, "",
     "10 3 4 3 0, 0, 0, 11: the ledger's row was older than what it counts: the tide mark knows", NULL},
    {"to the shelf, where one is gone", 5, 11, 15, SETTLE_DEAD, "; DELETE FROM dead WHERE id = 15",
     "15 3 7 4 1, 0, 1, 16: the ledger's next id was behind the rows; the ledger's row was older than what it counts: "
     "the tide mark knows; 1 messages of the ledger have no row",
     "15 0 7 4 4, 6, 4, 16: the ledger's next id was behind the rows; 3 messages that had left may be sent again, and "
     "are possible duplicates; 1 rows were not in the ledger; what is here is older than what was counted: up to 3 "
     "messages may be sent twice; 4 acknowledged messages are gone: what is here ends before the tide mark"},
    {"to the shelf, but no block is", 5, 11, 15, SETTLE_DEAD, "; DELETE FROM blocks; DELETE FROM partial",
     "15 3 0 5 7, 0, 7, 16: the ledger's next id was behind the rows; the ledger's row was older than what it counts: "
     "the tide mark knows; 7 messages of the ledger have no row",
     "15 3 0 5 7, 0, 7, 16: the ledger's next id was behind the rows; 2 messages of the ledger have no row; 5 "
     "acknowledged messages are gone: what is here ends before the tide mark"},
};

static void the_tide_mark_knows_what_the_row_does_not(void **state)
{
	static const char of_left[] = "less can be told; ";
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof laters / sizeof *laters; i++) {
		const struct later *l = &laters[i / 2];
		const bool is_bare = i % 2;
		const char *want = is_bare && l->bare ? l->bare : l->want;
		struct spooldir d, old;
		struct store_report report;
		struct store *s = life_begin(&d);
		const struct totals *t;
		char sql[900], is[900];
		sqlite3 *db = NULL;

		life_append(s, 0, 10);
		settle(s, 1, 3, SETTLE_DELIVERED);
		life_close(s);
		spooldir_make(&old);
		spooldir_copy(&d, &old);
		s = life_open(&d, NULL);
		if (l->added)
			life_append(s, 10, l->added);
		settle(s, l->first, l->last, l->kind);
		life_close(s);
		(void)snprintf(sql, sizeof sql,
		               "ATTACH '%s' AS old; DELETE FROM ledger; INSERT INTO ledger SELECT * FROM old.ledger%s",
		               old.path, l->harm);
		assert_int_equal(sqlite3_open(d.path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		if (is_bare)
			assert_int_equal(unlink(spooldir_file(&d, ".left")), 0);
		s = life_open(&d, &report);
		t = &s->durable;
		(void)snprintf(is, sizeof is, "%u %u %u %u %u, %u, %u, %u: %s", (unsigned)t->ledger.accepted,
		               (unsigned)t->ledger.delivered, (unsigned)t->ledger.pending, (unsigned)t->ledger.dead,
		               (unsigned)t->ledger.damaged, (unsigned)t->possible, (unsigned)report.missing_rows,
		               (unsigned)t->next_id,
		               is_bare ? strstr(report.warning, of_left) + strlen(of_left) : report.warning);
		if (strcmp(is, want) != 0) {
			(void)fprintf(stderr, "%s%s: it is\n%s\nand not\n%s\n", l->what, is_bare ? ", bare" : "", is,
			              want);
			wrong++;
		}
		life_close(s);
		if (!*l->harm)
			assert_int_equal(life_problems(&d, NULL, 0), report.missing_rows > 0);
		spooldir_remove(&old);
		spooldir_remove(&d);
	}
	assert_int_equal(wrong, 0);
}

/* Columns that a later step brought are 0 where they are not there, and the row is what was written. */
static void a_row_of_an_older_schema_is_read(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	sqlite3 *db = NULL;
	struct totals t;
	bool found;

	(void)state;
	life_append(s, 0, 5);
	life_close(s);
	assert_int_equal(sqlite3_open(d.path, &db), SQLITE_OK);
	for (int dropped = 0; dropped < 3; dropped++) {
		static const char *const drops[] = {"SELECT 1", "ALTER TABLE ledger DROP COLUMN rows_from",
		                                    "ALTER TABLE ledger DROP COLUMN blocks_from"};

		assert_int_equal(sqlite3_exec(db, drops[dropped], NULL, NULL, NULL), SQLITE_OK);
		found = false;
		assert_int_equal(store_ledger_read(db, &t, &found), SQLITE_OK);
		assert_true(found);
		assert_int_equal(t.ledger.accepted, 5);
		assert_int_equal(t.ledger.pending, 5);
		assert_int_equal(t.next_id, 6);
		assert_int_equal(t.rows_from, 0);
		assert_int_equal(t.blocks_from, 0);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	spooldir_remove(&d);
}

int main(void)
{
	static bool repairs[] = {false, true};
	const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(what_came_to_stand_lower_stays, &repairs[0]),
	                                   cmocka_unit_test_prestate(what_came_to_stand_lower_stays, &repairs[1]),
	                                   cmocka_unit_test(the_tide_mark_knows_what_the_row_does_not),
	                                   cmocka_unit_test(a_row_of_an_older_schema_is_read)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
