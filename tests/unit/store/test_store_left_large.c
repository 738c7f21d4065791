/*
 * PATH.left is lost beside a spool that is too large to be counted at each start: where its rows are few it knows by
 * itself what ended, and writes that down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum {
	SMALL = 40,
	LARGE = 10,
	LARGE_BYTES = 7 << 20, /* together more than is counted at each start */
	ALL = SMALL + LARGE,
	PAGE_BYTES = 65536,
	ROWS_MOST = (64 << 20) / PAGE_BYTES
};

static struct spooldir d;
static struct error e;

static struct store *open_it(void)
{
	struct store_options o = spooldir_options(&d);
	struct store *s = NULL;

	o.page_size = PAGE_BYTES;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	return s;
}

static void shelve(struct store *s, uint64_t id)
{
	const struct store_settlement x = {
	    .id = id, .kind = SETTLE_DEAD, .attempts = 1, .code = "a", .reason = mem_string("b")};

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &x, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	free(x.reason);
}

/* Of what came all waits but these. */
static bool has_left(uint64_t id) { return (id >= 3 && id <= 15) || id == 17 || id == SMALL + 2; }

static void make(uint64_t shelf)
{
	struct store *s;

	spooldir_make(&d);
	s = open_it();
	life_append(s, 0, SMALL);
	for (uint64_t i = 1; i <= LARGE; i++) {
		struct message *m = spooldir_message(SMALL + i, LARGE_BYTES);

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		message_free(m);
	}
	life_settle(s, 3, 15);
	life_settle(s, 17, 17);
	life_settle(s, SMALL + 2, SMALL + 2);
	shelve(s, 20);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t i = 0; i < shelf; i++) {
		struct message *m = spooldir_message(ALL + 1 + i, 1);

		assert_int_equal(store_append_dead(s, m, "why", &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_close(s, &e), ERR_OK);
	assert_int_equal(unlink(spooldir_file(&d, ".left")), 0);
}

static void expect(bool is_filled)
{
	for (int start = 0; start < 2; start++) {
		struct store *s = open_it();

		assert_int_equal(left_whole_from(s->left), is_filled ? 1 : store_next_id(s));
		for (uint64_t id = 1; id <= ALL; id++)
			assert_int_equal(left_has(s->left, id), is_filled && has_left(id));
		assert_int_equal(store_close(s, &e), ERR_OK);
	}
	spooldir_remove(&d);
}

static void few_rows_tell_what_ended(void **state)
{
	(void)state;
	make(0);
	expect(true);
	make(ROWS_MOST - ALL); /* blocks are fewer than messages */
	expect(true);
}

static void many_rows_are_not_counted(void **state)
{
	(void)state;
	make(ROWS_MOST);
	expect(false);
}

/* One is gone, or stands here that had left: which ones had is not known. */
static void rows_that_do_not_agree_tell_nothing(void **state)
{
	static const char *const harms[] = {"DELETE FROM messages WHERE id = 45", "DELETE FROM dead WHERE id = 20",
	                                    "DELETE FROM partial WHERE block_id = 11"};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		sqlite3 *db = NULL;

		make(0);
		assert_int_equal(sqlite3_open(d.path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, harms[i], NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		expect(false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(few_rows_tell_what_ended),
	    cmocka_unit_test(many_rows_are_not_counted),
	    cmocka_unit_test(rows_that_do_not_agree_tell_nothing),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
