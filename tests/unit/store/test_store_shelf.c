/*
 * The shelf, row by row: what a look shows and where it ends; what is put back, thrown away, moved to the damaged, or
 * found to be here already; and each call that fails on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { ROWS = 20, DEAD = 6, BYTES = 50 };

static struct spooldir d;
static struct store *s;
static struct error e;

/* Messages 1 to 20 wait, in two blocks; 3, 5, 7, 9, 11 and 13 are on the shelf. */
static int begin(void **state)
{
	(void)state;
	s = life_begin(&d);
	for (uint64_t n = 0; n < ROWS; n += 10) {
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (uint64_t k = 1; k <= 10; k++) {
			struct message *m = spooldir_message(n + k, BYTES);

			assert_int_equal(store_append(s, m, &e), ERR_OK);
			message_free(m);
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	clock_test_set(clock_mono_ns(), INT64_C(1800000000000) * NS_PER_MS);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint32_t i = 0; i < DEAD; i++) {
		char reason[20];
		const struct store_settlement item = {
		    .id = 3 + 2 * (uint64_t)i, .kind = SETTLE_DEAD, .attempts = i + 1, .code = "Why", .reason = reason};

		(void)snprintf(reason, sizeof reason, "reason %u", i);
		assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultsql_arm(0, 0, false);
	clock_test_end();
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

static void begin_anew(void)
{
	(void)end(NULL);
	(void)begin(NULL);
}

struct seen {
	uint64_t ids[DEAD];
	size_t count, most;
};

static bool see(void *arg, const struct store_dead *dead)
{
	struct seen *seen = arg;
	struct message *m = spooldir_message(dead->id, BYTES);
	char reason[20];

	assert_true(seen->count < DEAD);
	seen->ids[seen->count++] = dead->id;
	(void)snprintf(reason, sizeof reason, "reason %d", (int)(dead->id - 3) / 2);
	assert_int_equal(dead->received_ms, m->received_ms);
	assert_int_equal(dead->died_ms, INT64_C(1800000000000));
	assert_int_equal(dead->attempts, (dead->id - 3) / 2 + 1);
	assert_string_equal(dead->code, dead->id == 5 ? STORE_NOTE_LOST_CODE : "Why");
	assert_string_equal(dead->reason, dead->id == 5 ? STORE_NOTE_LOST_REASON : reason);
	assert_int_equal(dead->is_damaged, dead->id == 7);
	assert_int_equal(dead->meta_bytes, m->meta_bytes);
	assert_memory_equal(dead->meta, message_meta(m), m->meta_bytes);
	if (dead->id != 7) {
		assert_int_equal(dead->body_bytes, BYTES);
		assert_memory_equal(dead->body, message_body(m), BYTES);
	}
	message_free(m);
	return seen->count < seen->most;
}

/* One whose note lies, and one that lies itself, are shown as such. */
static void harm(void)
{
	life_sql(s, "UPDATE dead SET note_checksum = note_checksum + 1 WHERE id = 5;"
	            "UPDATE dead SET body = x'00' WHERE id = 7");
}

static void a_look_shows_what_there_is(void **state)
{
	(void)state;
	harm();
	for (uint64_t after = 0; after < 16; after++)
		for (uint32_t limit = 0; limit < 9; limit++)
			for (size_t most = 1; most < 9; most++) {
				struct seen seen = {.most = most};
				size_t there = 0;

				assert_int_equal(store_dead_walk(s, after, limit, see, &seen, &e), ERR_OK);
				for (uint64_t id = 3; id <= 13; id += 2)
					if (id > after && there < limit && there < most)
						assert_int_equal(seen.ids[there++], id);
				assert_int_equal(seen.count, there);
			}
	for (uint64_t id = 1; id <= 15; id++) {
		const bool is_there = id >= 3 && id <= 13 && id % 2 == 1;
		struct seen seen = {.most = 1};
		char want[80];

		assert_int_equal(store_dead_get(s, id, see, &seen, &e), is_there ? ERR_OK : ERR_INPUT);
		assert_int_equal(seen.count, is_there);
		(void)snprintf(want, sizeof want, "no message %d is set aside", (int)id);
		if (!is_there)
			assert_string_equal(e.text, want);
	}
}

static void expect_ledger(uint64_t pending, uint64_t dead, uint64_t damaged, uint64_t purged)
{
	const struct store_ledger *l = store_ledger(s);

	if (l->accepted != ROWS || l->pending != pending || l->dead != dead || l->damaged != damaged ||
	    l->purged != purged)
		fail_msg("accepted %d, pending %d, dead %d, damaged %d, purged %d", (int)l->accepted, (int)l->pending,
		         (int)l->dead, (int)l->damaged, (int)l->purged);
	assert_int_equal(life_number(s, "SELECT count(*) FROM dead"), dead);
	life_adds_up(s);
}

/* Each, or one: it is received anew, under a new id, and its old one is gone. */
static void what_is_put_back_waits_again(void **state)
{
	(void)state;
	for (uint64_t id = 0; id <= 14; id++) {
		const bool is_one = id >= 3 && id <= 13 && id % 2 == 1 && id != 7;
		const uint64_t want = id == 0 ? DEAD - 1 : is_one;
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		uint64_t count = 77, damaged = 77, last = 0, old = 3;
		const struct message *m;
		uint32_t read = 0;
		char text[80];

		begin_anew();
		harm();
		assert_int_equal(store_dead_retry(s, id, &count, &damaged, &e), want > 0 ? ERR_OK : ERR_INPUT);
		assert_int_equal(count, want);
		assert_int_equal(damaged, id == 0 || id == 7);
		(void)snprintf(text, sizeof text, "no sound message %d is set aside", (int)id);
		if (want == 0)
			assert_string_equal(e.text, text);
		expect_ledger(ROWS - DEAD + want, DEAD - want, 0, 0);
		assert_int_equal(store_next_id(s), ROWS + 1 + want);
		assert_int_equal(s->rows.back.spans[0].count, want);
		assert_int_equal(s->rows.back.spans[0].first, want > 0 ? ROWS + 1 : 0);
		assert_int_equal(life_number(s, "SELECT count(*) FROM imports"), want > 0);
		assert_int_equal(store_read(s, ROWS, 100, UINT64_MAX, &list, &read, &last, &e), ERR_OK);
		assert_int_equal(read, want);
		STAILQ_FOREACH (m, &list, link) {
			struct message *was = spooldir_message(id ? id : old, BYTES);

			assert_int_equal(m->received_ms, INT64_C(1800000000000));
			assert_memory_equal(message_body(m), message_body(was), BYTES);
			message_free(was);
			assert_true(left_has(s->left, id ? id : old));
			old += old == 5 ? 4 : 2;
		}
		assert_false(left_has(s->left, 7));
		message_list_free(&list);
	}
}

/* One, or all. */
static void what_is_thrown_away_is_gone(void **state)
{
	(void)state;
	for (uint64_t id = 0; id <= 14; id++) {
		const bool is_one = id >= 3 && id <= 13 && id % 2 == 1;
		const uint64_t want = id == 0 ? DEAD : is_one;
		uint64_t count = 77;
		char text[80];

		begin_anew();
		harm();
		assert_int_equal(store_dead_purge(s, id, &count, &e), want > 0 ? ERR_OK : ERR_INPUT);
		assert_int_equal(count, want);
		(void)snprintf(text, sizeof text, "no message %d is set aside", (int)id);
		if (want == 0)
			assert_string_equal(e.text, text);
		expect_ledger(ROWS - DEAD, DEAD - want, 0, want);
		for (uint64_t k = 3; k <= 13; k += 2)
			assert_int_equal(left_has(s->left, k), id == 0 || id == k);
		assert_false(store_in_group(s));
	}
	begin_anew();
	for (int again = 0; again < 2; again++) {
		uint64_t count = 77;

		assert_int_equal(store_dead_purge(s, 0, &count, &e), ERR_OK);
		assert_int_equal(count, again ? 0 : DEAD);
	}
}

static void what_lies_on_the_shelf_is_moved(void **state)
{
	(void)state;
	harm();
	life_sql(s, "UPDATE dead SET checksum = checksum + 1 WHERE id = 13");
	for (int again = 0; again < 2; again++) {
		assert_int_equal(store_dead_move_damaged(s, &e), ERR_OK);
		expect_ledger(ROWS - DEAD, DEAD - 2, 2, 0);
		assert_int_equal(life_number(s, "SELECT count(*) FROM damaged WHERE id IN (7, 13) AND found_ms ="
		                                " 1800000000000 AND received_ms > 1700000000000"),
		                 2);
		assert_int_equal(life_number(s, "SELECT count(*) FROM losses WHERE messages = 2 AND first_id = 7 AND"
		                                " last_id = 13"),
		                 1);
		assert_int_equal(life_number(s, "SELECT length(body) FROM damaged WHERE id = 7"), 1);
		assert_int_equal(life_number(s, "SELECT length(body) FROM damaged WHERE id = 13"), BYTES);
	}
	for (uint64_t id = 1; id < 15; id++) { /* a person has read it */
		bool was = id != 7;

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_forget_kept(s, id, &was, &e), ERR_OK);
		assert_int_equal(was, id == 7 || id == 13);
		store_rollback(s);
	}
	assert_int_equal(store_begin(s, &e), ERR_OK);
	s->now.ledger.damaged = 0; /* nobody counted it */
	for (uint64_t id = 7; id <= 8; id++) {
		bool was = true;

		assert_int_equal(store_forget_kept(s, id, &was, &e), ERR_OK);
		assert_false(was);
	}
	store_rollback(s);
}

/* A row that comes from elsewhere: its id is taken, as one that waits or as one of the shelf; by it, or by another. */
static void what_comes_back_may_be_here(void **state)
{
	static const struct {
		uint64_t id;
		bool waits, is_dead;
	} cases[] = {{1, true, false},  {3, false, true},  {4, true, false},
	             {13, false, true}, {14, true, false}, {21, false, false}};
	struct store_settlement alone = {.id = 14, .kind = SETTLE_RETRY, .attempts = 5, .wait_ms = 1800000};

	(void)state;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &alone, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(life_number(s, "SELECT id FROM messages"), 14);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int how = 0; how < 8; how++) {
			const bool as_dead = how & 1, is_other = how & 2, before = how & 4;
			struct message *m = spooldir_message(cases[i].id + (is_other ? 100 : 0), BYTES);
			const struct store_row row = row_of(cases[i].id, m, s->tag);
			bool taken = before, same = before;

			assert_int_equal(store_is_here(s, &row, as_dead, &taken, &same, &e), ERR_OK);
			store_forget_group(s);
			if (taken != (as_dead ? cases[i].is_dead : cases[i].waits) ||
			    same != ((cases[i].waits || cases[i].is_dead) && !is_other))
				fail_msg("message %d, %d: taken %d, same %d", (int)cases[i].id, how, taken, same);
			message_free(m);
		}
	life_sql(s, "UPDATE messages SET body = x'00'"); /* what lies is not the same, whatever it says */
	{
		struct message *m = spooldir_message(14, BYTES);
		const struct store_row row = row_of(14, m, s->tag);
		bool taken = false, same = true;

		assert_int_equal(store_is_here(s, &row, false, &taken, &same, &e), ERR_OK);
		store_forget_group(s);
		assert_true(taken);
		assert_false(same);
		message_free(m);
	}
}

static enum err retry_all(void) { return store_dead_retry(s, 0, &(uint64_t){0}, &(uint64_t){0}, &e); }
static enum err retry_one(void) { return store_dead_retry(s, 9, &(uint64_t){0}, &(uint64_t){0}, &e); }
static enum err purge_all(void) { return store_dead_purge(s, 0, &(uint64_t){0}, &e); }
static enum err purge_one(void) { return store_dead_purge(s, 9, &(uint64_t){0}, &e); }
static enum err move(void) { return store_dead_move_damaged(s, &e); }
static enum err walk(void) { return store_dead_walk(s, 0, 100, see, &(struct seen){.most = 100}, &e); }
static enum err get(void) { return store_dead_get(s, 9, see, &(struct seen){.most = 100}, &e); }

/* Each call in turn: it is told, and nothing has changed. */
static void whatever_fails_is_told(void **state)
{
	static const struct {
		const char *name;
		enum err (*act)(void);
		uint64_t least;
	} acts[] = {{"put all back", retry_all, 20},
	            {"put one back", retry_one, 8},
	            {"purge all", purge_all, 6},
	            {"purge one", purge_one, 6},
	            {"move", move, 10},
	            {"look", walk, 5},
	            {"look at one", get, 1}};

	(void)state;
	begin_anew();
	harm();
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		bool failed = true;
		uint64_t n = 1;

		for (; failed; n++) {
			enum err err;

			faultsql_arm(n, SQLITE_NOMEM, false);
			err = acts[i].act();
			failed = faultsql_failed();
			ERRORWATCH_EXPECT(err, &e, NULL, acts[i].name, n);
			faultsql_arm(0, 0, false);
			if (err != (failed ? ERR_MEMORY : ERR_OK))
				fail_msg("%s: call %d: %s", acts[i].name, (int)n, e.text);
			store_rollback(s); /* which is the caller's, of some */
			if (failed)
				expect_ledger(ROWS - DEAD, DEAD, 0, 0);
		}
		if (n <= acts[i].least)
			fail_msg("%s: %d calls", acts[i].name, (int)n);
		if (i < 5) {
			begin_anew();
			harm();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_look_shows_what_there_is, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_put_back_waits_again, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_thrown_away_is_gone, begin, end),
	    cmocka_unit_test_setup_teardown(what_lies_on_the_shelf_is_moved, begin, end),
	    cmocka_unit_test_setup_teardown(what_comes_back_may_be_here, begin, end),
	    cmocka_unit_test_setup_teardown(whatever_fails_is_told, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
