/* A disk that is nearly full and a shelf with a damaged row: who is let in, who makes room for whom, what moves; who is
 * due first, and what is joined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <sqlite3.h>

#include "rig/errorwatch.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { COUNT = 40 };

static enum err append_one(struct store *s, bool is_dead, uint32_t bytes, struct error *e)
{
	struct message *m = spooldir_message(COUNT + 1, bytes);
	enum err err = store_begin(s, e);

	assert_int_equal(err, ERR_OK);
	err = is_dead ? store_append_dead(s, m, "code", e) : store_append(s, m, e);
	assert_true(store_in_group(s));
	message_free(m);
	if (err == ERR_OK)
		assert_int_equal(store_commit(s, e), ERR_OK);
	else
		store_rollback(s);
	return err;
}

/* By min_free nothing may come; what waits longest makes room for what comes, byte for byte, when that is wished. */
static void near_a_full_disk_the_oldest_make_room(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct store_options o = spooldir_options(&d);
	uint64_t before, evicted;
	struct error e;

	(void)state;
	life_append(s, 0, COUNT);
	o.min_free_bytes = UINT64_C(1) << 60;
	store_reconfigure(s, &o);
	assert_int_equal(store_admission(s, &e), ERR_FULL);
	assert_int_equal(append_one(s, false, 1000, &e), ERR_FULL);
	assert_non_null(strstr(e.text, "min_free is 1152921504606846976"));
	assert_int_equal(append_one(s, true, 1000, &e), ERR_FULL); /* the shelf takes room as well */
	life_expect(s, COUNT, 0, COUNT, 0);
	o.evict_oldest = true;
	store_reconfigure(s, &o);
	assert_int_equal(store_admission(s, &e), ERR_OK);
	before = store_pending_bytes(s);
	assert_int_equal(append_one(s, false, 1000, &e), ERR_OK);
	evicted = store_ledger(s)->evicted;
	assert_in_range(evicted, 1, 5);
	assert_true(store_pending_bytes(s) <= before);
	assert_true(store_pending_bytes(s) + 3000 > before); /* and no more than it must be */
	for (uint64_t id = 1; id <= evicted; id++)
		assert_true(left_has(s->left, id));
	assert_false(left_has(s->left, evicted + 1));
	life_expect(s, COUNT + 1, 0, COUNT + 1 - evicted, 0);
	o.min_free_bytes = 0;
	store_reconfigure(s, &o);
	assert_int_equal(append_one(s, true, 1000, &e), ERR_OK);
	assert_int_equal(store_ledger(s)->evicted, evicted);
	assert_int_equal(store_ledger(s)->dead, 1);
	life_end(&d, s);
}

/* What on the shelf is not what was written is damaged, the rest stays; a call that fails moves nothing. */
static void a_damaged_row_leaves_the_shelf_whole_or_not(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e = {.code = ERR_OK};
	bool failed = true;
	uint64_t n;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(append_one(s, true, 100, &e), ERR_OK);
	assert_int_equal(
	    sqlite3_exec(s->db, "UPDATE dead SET body = CAST(body || x'00' AS BLOB) WHERE id = 2", NULL, NULL, NULL),
	    SQLITE_OK);
	for (n = 1; failed; n++) {
		enum err err;

		assert_true(n < 100);
		faultsql_arm(n, SQLITE_NOMEM, false);
		err = store_dead_move_damaged(s, &e);
		failed = faultsql_failed();
		ERRORWATCH_EXPECT(err, &e, NULL, "move what is damaged", n);
		faultsql_arm(0, 0, false);
		assert_int_equal(err, failed ? ERR_MEMORY : ERR_OK);
		store_rollback(s);
		assert_int_equal(store_ledger(s)->dead, failed ? 3 : 2);
		assert_int_equal(store_ledger(s)->damaged, failed ? 0 : 1);
		assert_int_equal(life_number(s, "SELECT count(*) FROM dead"), failed ? 3 : 2);
		assert_int_equal(life_number(s, "SELECT count(*) FROM damaged WHERE id = 2"), !failed);
	}
	assert_true(n > 6);
	assert_int_equal(life_number(s, "SELECT messages FROM losses"), 1);
	assert_false(left_has(s->left, 2)); /* damage is no end */
	life_end(&d, s);
}

static void retry(struct store *s, uint64_t id, int64_t wait_ms)
{
	const struct store_settlement item = {.id = id, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = wait_ms};
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static bool is_another(void *arg, uint64_t id) { return id != *(const uint64_t *)arg; }

/* The reader has passed the place where it is due now. */
static void what_fails_later_may_be_due_before(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	uint64_t id = 32;
	uint32_t count = 0;

	(void)state;
	life_append(s, 0, COUNT);
	retry(s, 31, 1800000);
	assert_int_equal(store_read_due(s, INT64_MAX, 10, UINT64_MAX, NULL, NULL, &list, &count, &e), ERR_OK);
	assert_int_equal(count, 1);
	message_list_free(&list);
	retry(s, id, 1);
	assert_int_equal(store_read_due(s, INT64_MAX, 10, UINT64_MAX, is_another, &id, &list, &count, &e), ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(STAILQ_FIRST(&list)->id, id);
	message_list_free(&list);
	life_end(&d, s);
}

/* Of what is gone already it is not asked how much it was, whatever the settlement says. */
static void what_was_gone_already_takes_no_bytes_along(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;

	(void)state;
	life_append(s, 0, COUNT);
	for (uint64_t id = 15; id <= 17; id++)
		retry(s, id, 1800000); /* alone now */
	for (int again = 0; again < 2; again++)
		for (uint64_t id = 14; id <= 16; id++) {
			const struct store_settlement item = {
			    .id = id, .kind = SETTLE_DELIVERED, .bytes = 100, .may_be_gone = true};

			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
			assert_int_equal(store_commit(s, &e), ERR_OK);
			if (again)
				life_adds_up(s);
		}
	life_expect(s, COUNT, 3, COUNT - 3, 0);
	life_end(&d, s);
}

static bool is_any(void *arg, uint64_t id)
{
	(void)arg;
	return id > 0;
}

/* A step ends, and the next goes on behind it. */
static void many_blocks_that_stay_as_they_are_are_passed_in_steps(void **state)
{
	enum { BLOCKS = 1100, LOOKED_AT = 1024 };
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	bool more = false;

	(void)state;
	for (int i = 0; i < BLOCKS; i++)
		assert_int_equal(append_one(s, false, 50, &e), ERR_OK);
	store_set_claims(s, is_any, NULL);
	assert_int_equal(store_merge(s, 0, &more, &e), ERR_OK);
	assert_true(more);
	assert_int_equal(s->merging.at, LOOKED_AT + 1);
	assert_int_equal(store_merge(s, 0, &more, &e), ERR_OK);
	assert_false(more);
	assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), BLOCKS);
	store_set_claims(s, NULL, NULL);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* They would be a block whose ids another one has. */
static void rows_that_left_their_block_become_no_block(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	bool more = true;

	(void)state;
	life_append(s, 0, COUNT);
	for (uint64_t id = 15; id <= 20; id++)
		retry(s, id, 1800000);
	assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 6);
	life_sql(s, "DELETE FROM failures");
	store_abandon(s);
	s = life_open(&d, NULL);
	for (int steps = 0; more; steps++) {
		assert_int_equal(store_merge(s, 0, &more, &e), ERR_OK);
		assert_true(steps < 100);
	}
	assert_int_equal(life_number(s, "SELECT count(*) FROM blocks WHERE id BETWEEN 12 AND 20"), 0);
	assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 6);
	assert_int_equal(life_waiting(s, 0), COUNT);
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(near_a_full_disk_the_oldest_make_room),
	    cmocka_unit_test(a_damaged_row_leaves_the_shelf_whole_or_not),
	    cmocka_unit_test(what_fails_later_may_be_due_before),
	    cmocka_unit_test(what_was_gone_already_takes_no_bytes_along),
	    cmocka_unit_test(many_blocks_that_stay_as_they_are_are_passed_in_steps),
	    cmocka_unit_test(rows_that_left_their_block_become_no_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
