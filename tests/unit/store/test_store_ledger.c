/* The ledger: every end has its own count, it balances after each, and what is lost is counted and reported. */
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

static void append(struct store *s, uint32_t count)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint32_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(i, 100);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static struct store *open_it(const struct spooldir *d, struct store_report *report)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;

	if (store_open(&o, &s, report, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return s;
}

static uint64_t sum_of(const struct store_ledger *l)
{
	uint64_t sum = 0;

#define LEDGER_STATE(id, column, meaning) sum += l->column;
#include "base/ledger.def"
	return sum;
}

static const struct end {
	enum settle_kind kind;
	size_t offset;
	const char *word;
} ends[] = {
#define LEDGER_END(id, column, meaning) {SETTLE_##id, offsetof(struct store_ledger, column), #column},
#include "base/ledger.def"
};

/* One, then a run of three: only the count of that end grows, by as many as pending loses; a restart changes nothing.
 */
static void every_end_has_its_own_count(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct store_settlement gone[4] = {{.id = 2}, {.id = 5}, {.id = 6}, {.id = 7}};
		struct spooldir d;
		struct store *s;
		struct error e;
		uint64_t bytes;

		spooldir_make(&d);
		s = open_it(&d, NULL);
		append(s, 10);
		bytes = store_pending_bytes(s) / 10;
		for (int n = 0; n < 4; n++) {
			gone[n].kind = ends[i].kind;
			gone[n].code = "x";
		}
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_settle(s, gone, 4, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		for (int restarted = 0; restarted < 2; restarted++) {
			const struct store_ledger *l = store_ledger(s);
			struct store_ledger want = {.accepted = 10, .pending = 6};

			*(uint64_t *)(void *)((char *)&want + ends[i].offset) = 4;
			if (memcmp(l, &want, sizeof want) != 0)
				fail_msg("%s is not what grew", ends[i].word);
			assert_int_equal(store_pending_bytes(s), 6 * bytes);
			assert_int_equal(sum_of(l), 10);
			assert_int_equal(store_close(s, &e), ERR_OK);
			s = open_it(&d, NULL);
		}
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

/* With another connection, which leaves the log where it is. */
static void run_sql(const struct spooldir *d, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_row_that_is_gone_after_an_unclean_end_is_damaged(void **state)
{
	struct store_report report;
	struct spooldir d;
	struct store *s;
	struct error e;
	uint64_t bytes;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 10);
	bytes = store_pending_bytes(s) / 10;
	store_abandon(s);
	spooldir_lose(d.path, 4);
	s = open_it(&d, &report);
	assert_true(report.unclean);
	assert_int_equal(report.missing_rows, 1);
	assert_int_equal(store_ledger(s)->pending, 9);
	assert_int_equal(store_ledger(s)->damaged, 1);
	assert_int_equal(store_ledger(s)->accepted, 10);
	assert_int_equal(store_pending_bytes(s), 9 * bytes);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* Its length is as wrong as its bytes: what waits is measured anew. */
static void a_damaged_row_does_not_bend_the_bytes_that_wait(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct spooldir d;
	struct store *s;
	struct error e;
	uint64_t bytes, last;
	uint32_t count;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 10);
	bytes = store_pending_bytes(s) / 10;
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_damage(d.path, 4);
	run_sql(&d, "PRAGMA wal_checkpoint(TRUNCATE)");
	s = open_it(&d, NULL);
	assert_int_equal(store_read(s, 0, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	message_list_free(&list);
	assert_int_equal(count, 9);
	assert_int_equal(store_ledger(s)->damaged, 1);
	assert_int_equal(store_pending_bytes(s), 9 * bytes);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

static void what_the_tide_mark_proves_lost_is_reported(void **state)
{
	struct store_report report;
	struct spooldir before, d;
	unsigned char *tide;
	struct store *s;
	struct error e;
	size_t count;

	(void)state;
	spooldir_make(&before);
	spooldir_make(&d);
	s = open_it(&before, NULL);
	append(s, 10);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_copy(&before, &d);
	s = open_it(&before, NULL);
	append(s, 7);
	assert_int_equal(store_close(s, &e), ERR_OK);
	tide = spooldir_load(spooldir_file(&before, ".tide"), &count);
	spooldir_store(spooldir_file(&d, ".tide"), tide, count); /* of the younger file beside the older one */
	free(tide);
	s = open_it(&d, &report);
	assert_int_equal(report.missing_rows, 7);
	assert_int_equal(store_ledger(s)->damaged, 7);
	assert_int_equal(store_ledger(s)->accepted, 17);
	assert_int_equal(store_next_id(s), 18);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&before);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_end_has_its_own_count),
	    cmocka_unit_test(a_row_that_is_gone_after_an_unclean_end_is_damaged),
	    cmocka_unit_test(a_damaged_row_does_not_bend_the_bytes_that_wait),
	    cmocka_unit_test(what_the_tide_mark_proves_lost_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
