/* The store: rows in order, settlements by name, the ledger balances at every step, and survives a reopen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "rig/spooldir.h"

static struct store *open_it(const struct store_options *options, struct store_report *report)
{
	struct store *s = NULL;
	struct error e = {0};

	if (store_open(options, &s, report, &e) != ERR_OK)
		fail_msg("open: %s", e.text);
	return s;
}

#define ok(call)                                                                      \
	do {                                                                          \
		struct error e_ = {0};                                                \
		struct error *e = &e_;                                                \
		if ((call) != ERR_OK)                                                 \
			fail_msg("%s:%d %s: %s", __FILE__, __LINE__, #call, e_.text); \
	} while (0)

static void append(struct store *s, uint64_t first, uint64_t count, uint32_t bytes)
{
	ok(store_begin(s, e));
	for (uint64_t n = first; n < first + count; n++) {
		struct message *m = spooldir_message(n, bytes);

		ok(store_append(s, m, e));
		assert_int_equal(m->id, n);
		message_free(m);
	}
	ok(store_commit(s, e));
}

static void settle(struct store *s, const struct store_settlement *items, size_t count)
{
	ok(store_begin(s, e));
	ok(store_settle(s, items, count, e));
	ok(store_commit(s, e));
}

static void settle_run(struct store *s, uint64_t first, uint64_t last, enum settle_kind kind)
{
	for (uint64_t id = first; id <= last; id++)
		settle(s, &(struct store_settlement){.id = id, .kind = kind, .code = "x"}, 1);
}

static uint64_t sum_of(const struct store_ledger *l)
{
	uint64_t sum = 0;

#define LEDGER_STATE(id, column, meaning) sum += l->column;
#include "base/ledger.def"
	return sum;
}

static struct store_state state_of(struct store *s)
{
	struct store_state st;

	store_state(s, &st);
	assert_int_equal(st.ledger.accepted, sum_of(&st.ledger));
	return st;
}

static uint32_t read_all(struct store *s, uint64_t after, uint64_t *ids, uint32_t max)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m;
	uint32_t count;
	uint64_t last;
	uint32_t i = 0;

	ok(store_read(s, after, max, UINT64_MAX, &list, &count, &last, e));
	STAILQ_FOREACH (m, &list, link)
		ids[i++] = m->id;
	assert_int_equal(i, count);
	message_list_free(&list);
	return count;
}

/* Id 49 stays, 50 is gone: the whole group goes back, and only a damaged file can answer so. */
static void refuses_what_is_not_there(struct store *s, enum settle_kind kind)
{
	const struct store_settlement items[] = {{.id = 49, .kind = SETTLE_DELIVERED},
	                                         {.id = 50, .kind = kind, .code = "x"}};

	ok(store_begin(s, e));
	assert_int_equal(store_settle(s, items, 2, NULL), ERR_DAMAGED);
	assert_false(store_in_group(s));
}

static void appends_reads_settles_and_reopens(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store_report report;
	struct store *s;
	uint64_t ids[200];
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count;
	uint64_t last, bytes;
	struct message *m;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, &report);
	assert_true(report.created);
	append(s, 1, 100, 300);
	bytes = state_of(s).pending_bytes;
	assert_true(bytes > 30000);
	ok(store_read(s, 0, 10, UINT64_MAX, &list, &count, &last, e));
	assert_int_equal(count, 10);
	assert_int_equal(last, 10);
	STAILQ_FOREACH (m, &list, link)
		assert_true(spooldir_is_message(m, m->id, 300));
	message_list_free(&list);
	settle(s,
	       (struct store_settlement[]){{.id = 1, .kind = SETTLE_DELIVERED},
	                                   {.id = 2, .kind = SETTLE_DELIVERED},
	                                   {.id = 3, .kind = SETTLE_DELIVERED},
	                                   {.id = 7, .kind = SETTLE_EXPIRED},
	                                   {.id = 8, .kind = SETTLE_FILTERED},
	                                   {.id = 9, .kind = SETTLE_DEAD, .code = "too_old", .attempts = 4}},
	       6);
	assert_int_equal(state_of(s).ledger.pending, 94);
	assert_int_equal(state_of(s).ledger.delivered, 3);
	assert_int_equal(state_of(s).ledger.dead, 1);
	assert_int_equal(read_all(s, 0, ids, 200), 94);
	assert_int_equal(ids[0], 4);
	assert_int_equal(ids[3], 10);
	ok(store_close(s, e));
	s = open_it(&o, &report);
	assert_false(report.unclean);
	assert_false(report.created);
	assert_int_equal(report.rows, 94);
	assert_int_equal(state_of(s).next_id, 101);
	bytes = state_of(s).pending_bytes;
	settle_run(s, 50, 60, SETTLE_DELIVERED);
	assert_int_equal(state_of(s).pending_bytes, bytes - 11 * (300 + 1 + 4 + 1 + 4 + 2));
	settle(s, &(struct store_settlement){.id = 50, .kind = SETTLE_DELIVERED, .may_be_gone = true}, 1);
	assert_int_equal(state_of(s).unexpected_settlements, 1);
	assert_int_equal(state_of(s).ledger.delivered, 14);
	refuses_what_is_not_there(s, SETTLE_DELIVERED);
	refuses_what_is_not_there(s, SETTLE_RETRY);
	refuses_what_is_not_there(s, SETTLE_DEAD);
	refuses_what_is_not_there(s, SETTLE_DAMAGED);
	assert_int_equal(state_of(s).ledger.delivered, 14);
	assert_int_equal(state_of(s).ledger.pending, 83);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static void unclean_stop_keeps_commits_and_drops_an_open_group(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store_report report;
	struct store *s;
	struct message *m = spooldir_message(6, 10);

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, &report);
	append(s, 1, 5, 10);
	ok(store_begin(s, e));
	ok(store_append(s, m, e));
	store_abandon(s);
	message_free(m);
	s = open_it(&o, &report);
	assert_true(report.unclean);
	assert_int_equal(report.rows, 5);
	assert_int_equal(report.missing_rows, 0);
	assert_string_equal(report.warning, "");
	append(s, 6, 1, 10);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static void ids_are_never_given_twice(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s;
	struct message *m = spooldir_message(4, 10);

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	append(s, 1, 3, 10);
	settle_run(s, 1, 3, SETTLE_DELIVERED);
	ok(store_close(s, e));
	s = open_it(&o, NULL);
	ok(store_begin(s, e));
	ok(store_append(s, m, e));
	assert_int_equal(m->id, 4);
	store_rollback(s);
	ok(store_begin(s, e));
	ok(store_append(s, m, e));
	assert_int_equal(m->id, 5);
	ok(store_commit(s, e));
	message_free(m);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static bool is_even(void *arg, uint64_t id)
{
	(void)arg;
	return id % 2 == 0;
}

static void failed_rows_wait_and_come_back_when_due(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s;
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint64_t ids[32];
	uint32_t count;
	int64_t now;

	(void)state;
	clock_test_set(NS_PER_S, 1700000000 * NS_PER_S);
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	now = clock_wall_ms();
	append(s, 1, 10, 10);
	for (uint64_t id = 2; id <= 5; id++)
		settle(s,
		       &(struct store_settlement){.id = id,
		                                  .kind = SETTLE_RETRY,
		                                  .attempts = 1,
		                                  .wait_ms = 100 * (int64_t)(10 - id),
		                                  .code = "T"},
		       1);
	assert_int_equal(state_of(s).retrying, 4);
	assert_int_equal(state_of(s).next_retry_ms, now + 500);
	assert_int_equal(read_all(s, 0, ids, 32), 6);
	assert_int_equal(ids[1], 6);
	ok(store_read_due(s, now + 499, 10, UINT64_MAX, NULL, NULL, &list, &count, e));
	assert_int_equal(count, 0);
	ok(store_read_due(s, now + 700, 10, UINT64_MAX, is_even, NULL, &list, &count, e));
	assert_int_equal(count, 2); /* 5 at +500, 3 at +700; 4 at +600 is claimed */
	assert_int_equal(STAILQ_FIRST(&list)->id, 5);
	assert_int_equal(STAILQ_FIRST(&list)->attempts, 1);
	message_list_free(&list);
	settle(s, &(struct store_settlement){.id = 5, .kind = SETTLE_DELIVERED}, 1);
	settle(
	    s,
	    &(struct store_settlement){.id = 3, .kind = SETTLE_RETRY, .attempts = 2, .wait_ms = 7200000, .code = "T"},
	    1);
	assert_int_equal(state_of(s).retrying, 3);
	assert_int_equal(state_of(s).ledger.pending, 9);
	store_abandon(s);
	s = open_it(&o, NULL);
	assert_int_equal(state_of(s).retrying, 3);
	ok(store_read_due(s, now + 3599999, 10, UINT64_MAX, NULL, NULL, &list, &count, e));
	assert_int_equal(count, 2);
	message_list_free(&list);
	/* two hours were clamped to one */
	ok(store_read_due(s, now + 3600000, 10, UINT64_MAX, NULL, NULL, &list, &count, e));
	assert_int_equal(count, 1);
	assert_int_equal(STAILQ_FIRST(&list)->attempts, 2);
	message_list_free(&list);
	ok(store_close(s, e));
	clock_test_end();
	spooldir_remove(&d);
}

static bool keep_dead(void *arg, const struct store_dead *dead)
{
	*(struct store_dead *)arg = *dead;
	return true;
}

static void shelf_puts_back_and_throws_away(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s;
	struct store_dead dead = {0};
	struct message *m = spooldir_message(11, 5000);
	uint64_t count;
	uint64_t ids[20];
	struct error error;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	append(s, 1, 10, 100);
	message_fail(m, NULL, "line of 5000 bytes");
	ok(store_begin(s, e));
	ok(store_append_dead(s, m, "too_long", e));
	store_count_filtered(s, 3);
	ok(store_commit(s, e));
	settle_run(s, 1, 4, SETTLE_DEAD);
	assert_int_equal(state_of(s).ledger.dead, 5);
	assert_int_equal(state_of(s).ledger.filtered, 3);
	ok(store_dead_get(s, 11, keep_dead, &dead, e));
	assert_int_equal(dead.body_bytes, 5000);
	ok(store_dead_walk(s, 0, 2, keep_dead, &dead, e));
	assert_int_equal(dead.id, 2);
	assert_int_equal(store_dead_get(s, 99, keep_dead, &dead, &error), ERR_INPUT);
	assert_int_equal(store_dead_get(s, 7, keep_dead, &dead, &error), ERR_INPUT); /* though one stands behind it */
	assert_non_null(strstr(error.text, "no message 7 is set aside"));
	assert_int_equal(dead.id, 2);
	ok(store_dead_retry(s, 2, &count, &(uint64_t){0}, e));
	assert_int_equal(count, 1);
	assert_int_equal(state_of(s).ledger.pending, 7);
	assert_int_equal(read_all(s, 11, ids, 20), 1);
	assert_int_equal(ids[0], 12);
	assert_int_equal(store_dead_retry(s, 2, &count, &(uint64_t){0}, &error), ERR_INPUT);
	ok(store_dead_purge(s, 1, &count, e));
	ok(store_dead_retry(s, 0, &count, &(uint64_t){0}, e));
	assert_int_equal(count, 3);
	assert_int_equal(state_of(s).ledger.dead, 0);
	assert_int_equal(state_of(s).ledger.purged, 1);
	assert_int_equal(state_of(s).ledger.accepted, 14);
	ok(store_close(s, e));
	s = open_it(&o, NULL);
	assert_int_equal(read_all(s, 0, ids, 20), 10);
	ok(store_close(s, e));
	message_free(m);
	spooldir_remove(&d);
}

static void positions_and_cache_keys_survive(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s;
	char *value;
	bool is_new;

	(void)state;
	clock_test_set(NS_PER_S, 1700000000 * NS_PER_S);
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	ok(store_position_get(s, "a", &value, &(bool){false}, e));
	assert_null(value);
	ok(store_begin(s, e));
	ok(store_position_put(s, "a", "17", e));
	ok(store_position_put(s, "a", "18", e));
	ok(store_commit(s, e));
	ok(store_cache_add(s, "c", "k", 1, 1000, &is_new, e));
	assert_true(is_new);
	ok(store_cache_add(s, "d", "k", 1, 1000, &is_new, e));
	assert_true(is_new);
	store_abandon(s);
	s = open_it(&o, NULL);
	ok(store_position_get(s, "a", &value, &(bool){false}, e));
	assert_string_equal(value, "18");
	free(value);
	ok(store_cache_add(s, "c", "k", 1, 1000, &is_new, e));
	assert_false(is_new);
	clock_test_advance(1001 * (int64_t)NS_PER_MS);
	ok(store_cache_add(s, "c", "k", 1, 1000, &is_new, e));
	assert_true(is_new);
	ok(store_close(s, e));
	clock_test_end();
	spooldir_remove(&d);
}

static void odd_bodies_are_kept_byte_for_byte(void **state)
{
	static const uint32_t sizes[] = {0, 1, 4096, 100000, 10 << 20};
	struct spooldir d;
	struct store_options o;
	struct store *s;
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m = message_new(NULL, 0, NULL, 0, -5);
	struct error error;
	uint32_t count;
	uint64_t last;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	for (uint64_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		append(s, i + 1, 1, sizes[i]);
	ok(store_begin(s, e));
	ok(store_append(s, m, e));
	ok(store_commit(s, e));
	message_free(m);
	for (uint64_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		ok(store_read(s, i, 1, 1, &list, &count, &last, e));
		assert_int_equal(count, 1); /* the first is given whatever its size */
		assert_true(spooldir_is_message(STAILQ_FIRST(&list), i + 1, sizes[i]));
		message_list_free(&list);
	}
	ok(store_read(s, 5, 1, 1, &list, &count, &last, e));
	assert_int_equal(STAILQ_FIRST(&list)->received_ms, -5);
	assert_int_equal(STAILQ_FIRST(&list)->body_bytes, 0);
	message_list_free(&list);
	o.max_message_bytes = 99;
	store_reconfigure(s, &o);
	ok(store_begin(s, e));
	m = spooldir_message(7, 100);
	assert_int_equal(store_append(s, m, &error), ERR_TOOBIG);
	message_free(m);
	assert_true(store_in_group(s));
	ok(store_commit(s, e));
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static void full_refuses_with_hysteresis_and_evicts_by_choice(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s;
	struct error error;
	struct message *m = message_new(NULL, 0, "0123456789", 10, 1);
	uint64_t ids[200];

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.max_bytes = 1000;
	s = open_it(&o, NULL);
	ok(store_begin(s, e));
	for (int i = 0; i < 100; i++)
		ok(store_append(s, m, e));
	assert_int_equal(store_append(s, m, &error), ERR_FULL);
	ok(store_commit(s, e));
	assert_int_equal(store_admission(s, &error), ERR_FULL);
	settle_run(s, 1, 5, SETTLE_DELIVERED);
	assert_int_equal(store_admission(s, &error), ERR_FULL);
	settle_run(s, 6, 10, SETTLE_DELIVERED);
	assert_int_equal(store_admission(s, &error), ERR_OK);
	ok(store_begin(s, e));
	for (int i = 0; i < 9; i++)
		ok(store_append(s, m, e));
	ok(store_append(s, m, e));
	ok(store_commit(s, e));
	o.evict_oldest = true;
	store_reconfigure(s, &o);
	store_set_claims(s, is_even, NULL);
	ok(store_begin(s, e));
	for (int i = 0; i < 3; i++)
		ok(store_append(s, m, e));
	ok(store_commit(s, e));
	assert_int_equal(state_of(s).ledger.evicted, 3);
	assert_int_equal(state_of(s).ledger.pending, 100);
	assert_int_equal(read_all(s, 0, ids, 200), 100);
	assert_int_equal(ids[0], 12);
	assert_int_equal(ids[1], 14);
	assert_int_equal(ids[2], 16);
	assert_int_equal(ids[3], 17);
	o.min_free_bytes = UINT64_MAX / 2;
	o.evict_oldest = false;
	store_reconfigure(s, &o);
	assert_int_equal(store_admission(s, &error), ERR_FULL);
	assert_non_null(strstr(error.text, "min_free"));
	message_free(m);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static void the_log_is_checkpointed_at_its_mark_and_used_again(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s;
	struct store_state st;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	for (uint64_t i = 0; i < 150; i++) {
		append(s, i * 10 + 1, 10, 100000);
		ok(store_checkpoint(s, false, e));
	}
	st = state_of(s);
	assert_in_range(st.checkpoints, 2, 3); /* 150 MB through a log of 128 MiB, and one when it was made */
	assert_in_range(st.wal_bytes, 128 << 20, 136 << 20);
	assert_in_range(st.database_bytes, 100000000, 170000000);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static void crc_is_castagnoli_either_way(void **state)
{
	unsigned char bytes[3000]; /* long enough for the form that takes three parts side by side */

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 7);
	for (size_t n = 0; n < sizeof bytes; n++) {
		assert_int_equal(crc32c(5, bytes, n), crc32c_portable(5, bytes, n));
		assert_int_equal(crc32c(0, bytes, sizeof bytes),
		                 crc32c(crc32c(0, bytes, n), bytes + n, sizeof bytes - n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(crc_is_castagnoli_either_way),
	    cmocka_unit_test(the_log_is_checkpointed_at_its_mark_and_used_again),
	    cmocka_unit_test(appends_reads_settles_and_reopens),
	    cmocka_unit_test(unclean_stop_keeps_commits_and_drops_an_open_group),
	    cmocka_unit_test(ids_are_never_given_twice),
	    cmocka_unit_test(failed_rows_wait_and_come_back_when_due),
	    cmocka_unit_test(shelf_puts_back_and_throws_away),
	    cmocka_unit_test(positions_and_cache_keys_survive),
	    cmocka_unit_test(odd_bodies_are_kept_byte_for_byte),
	    cmocka_unit_test(full_refuses_with_hysteresis_and_evicts_by_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
