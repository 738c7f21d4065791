/*
 * What each verb changes of a spool, in full: every column of every row, the counts that are told, the tide mark and
 * PATH.left. And that nothing else changes.
 */
#include "rig/spooldiff.h"

static void append_three(struct store **s, const struct spooldir *d)
{
	(void)d;
	diff_append(*s, 3);
}

static void append_five_later(struct store **s, const struct spooldir *d)
{
	(void)d;
	let_pass(700);
	diff_append(*s, 5);
}

static void deliver(struct store **s, const struct spooldir *d)
{
	(void)d;
	diff_settle(*s, (struct store_settlement){.id = 2, .kind = SETTLE_DELIVERED});
}

static void expire_a_run(struct store **s, const struct spooldir *d)
{
	const struct store_settlement items[] = {{.id = 4, .kind = SETTLE_EXPIRED, .bytes = 5},
	                                         {.id = 5, .kind = SETTLE_EXPIRED}};

	(void)d;
	ok(store_begin(*s, e));
	ok(store_settle(*s, items, 2, e));
	ok(store_commit(*s, e));
}

static void fail_once(struct store **s, const struct spooldir *d)
{
	(void)d;
	diff_settle(*s, (struct store_settlement){
	                    .id = 3, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = 900, .code = "Slow"});
}

static void fail_for_long(struct store **s, const struct spooldir *d)
{
	static char reason[] = "down";

	(void)d;
	diff_settle(
	    *s, (struct store_settlement){
	            .id = 6, .kind = SETTLE_RETRY, .attempts = 3, .wait_ms = 60000, .code = "Down", .reason = reason});
}

static void fail_again(struct store **s, const struct spooldir *d)
{
	(void)d;
	let_pass(10);
	diff_settle(*s, (struct store_settlement){
	                    .id = 3, .kind = SETTLE_RETRY, .attempts = 2, .wait_ms = -5, .code = "Slower"});
}

static void fail_for_ever(struct store **s, const struct spooldir *d)
{
	(void)d;
	diff_settle(*s, (struct store_settlement){
	                    .id = 6, .kind = SETTLE_RETRY, .attempts = 4, .wait_ms = INT64_MAX, .code = "Down"});
}

static void set_aside(struct store **s, const struct spooldir *d)
{
	static char reason[] = "too large";

	(void)d;
	for (uint64_t id = 7; id <= 8; id++)
		diff_settle(*s, (struct store_settlement){
		                    .id = id, .kind = SETTLE_DEAD, .attempts = 3, .code = "big", .reason = reason});
}

static void set_aside_at_the_door(struct store **s, const struct spooldir *d)
{
	struct message *m = message_new("meta", 4, "long", 4, 77);

	(void)d;
	ok(store_begin(*s, e));
	ok(store_append_dead(*s, m, "too_long", e));
	assert_int_equal(m->id, 9);
	ok(store_commit(*s, e));
	message_free(m);
}

static void filter_at_the_door(struct store **s, const struct spooldir *d)
{
	(void)d;
	ok(store_begin(*s, e));
	store_count_filtered(*s, 4);
	ok(store_commit(*s, e));
}

static void damage(struct store **s, const struct spooldir *d)
{
	(void)d;
	diff_append(*s, 2);
	diff_settle(*s, (struct store_settlement){.id = 10, .kind = SETTLE_DAMAGED});
}

static void settle_what_is_gone(struct store **s, const struct spooldir *d)
{
	(void)d;
	diff_settle(*s, (struct store_settlement){.id = 2, .kind = SETTLE_DELIVERED, .may_be_gone = true});
	diff_settle(*s, (struct store_settlement){.id = 2, .kind = SETTLE_RETRY, .code = "x", .may_be_gone = true});
}

static void note_positions(struct store **s, const struct spooldir *d)
{
	(void)d;
	ok(store_begin(*s, e));
	ok(store_position_put(*s, "file", "10", e));
	ok(store_position_put(*s, "other", "20", e));
	ok(store_position_put(*s, "file", "30", e));
	ok(store_commit(*s, e));
}

static void add_keys(struct store **s, const struct spooldir *d)
{
	static const bool wants[] = {true, true, false};
	bool was_new;

	(void)d;
	ok(store_begin(*s, e));
	for (int i = 0; i < 3; i++) {
		ok(store_cache_add(*s, "c", i == 1 ? "two" : "one", 3, 500 + i * 1000, &was_new, e));
		assert_int_equal(was_new, wants[i]);
	}
	ok(store_commit(*s, e));
}

static void add_a_key_that_expired(struct store **s, const struct spooldir *d)
{
	bool was_new;

	(void)d;
	let_pass(500); /* one of both */
	ok(store_cache_add(*s, "c", "three", 5, INT64_MAX, &was_new, e));
	assert_true(was_new);
	let_pass(1000);
	ok(store_cache_add(*s, "c", "two", 3, 100, &was_new, e));
	assert_true(was_new);
}

static void append_behind_a_step(struct store **s, const struct spooldir *d)
{
	(void)d;
	set_wall(wall_ms + 999);
	diff_append(*s, 1);
	set_wall(wall_ms + 3600000 - 999);
	diff_append(*s, 1);
}

static void put_one_back(struct store **s, const struct spooldir *d)
{
	uint64_t count = 9, damaged = 9;

	(void)d;
	ok(store_dead_retry(*s, 8, &count, &damaged, e));
	assert_int_equal(count, 1);
	assert_int_equal(damaged, 0);
}

static void put_all_back(struct store **s, const struct spooldir *d)
{
	uint64_t count = 9, damaged = 9;

	(void)d;
	ok(store_dead_retry(*s, 0, &count, &damaged, e));
	assert_int_equal(count, 2);
	assert_int_equal(damaged, 0);
}

static void purge_one_then_all(struct store **s, const struct spooldir *d)
{
	uint64_t count = 9;

	(void)d;
	for (uint64_t id = 14; id <= 16; id++)
		diff_settle(*s, (struct store_settlement){.id = id, .kind = SETTLE_DEAD, .code = "x"});
	ok(store_dead_purge(*s, 15, &count, e));
	assert_int_equal(count, 1);
	ok(store_dead_purge(*s, 0, &count, e));
	assert_int_equal(count, 2);
}

static void note_the_flight(struct store **s, const struct spooldir *d)
{
	(void)d;
	store_note_flight(*s, 5, 16);
	diff_append(*s, 1);
	ok(store_put_possible(*s, 3, e)); /* it is more already */
	ok(store_put_possible(*s, 8, e));
	ok(store_begin(*s, e));
	store_count_possible(*s, 2);
	ok(store_commit(*s, e));
	store_note_flight(*s, 0, 0);
}

static void let_the_row_wait(struct store **s, const struct spooldir *d)
{
	(void)d;
	for (int i = 0; i < 2; i++) {
		struct message *m = message_new(NULL, 0, "waits", 5, clock_wall_ms());

		let_pass(100);
		ok(store_begin(*s, e));
		ok(store_append(*s, m, e));
		store_let_ledger_wait(*s);
		ok(store_commit(*s, e));
		message_free(m);
	}
}

static void checkpoint(struct store **s, const struct spooldir *d)
{
	(void)d;
	ok(store_checkpoint(*s, true, e));
}

static void give_up_a_group(struct store **s, const struct spooldir *d)
{
	struct message *m = message_new(NULL, 0, "x", 1, 1);
	const struct store_settlement items[] = {{.id = 3, .kind = SETTLE_DELIVERED},
	                                         {.id = 11, .kind = SETTLE_DEAD, .code = "x"},
	                                         {.id = 12, .kind = SETTLE_DAMAGED},
	                                         {.id = 13, .kind = SETTLE_RETRY, .attempts = 4, .code = "x"}};
	bool was_new;

	(void)d;
	ok(store_begin(*s, e));
	set_wall(wall_ms + 5000);
	ok(store_append(*s, m, e));
	ok(store_settle(*s, items, 4, e));
	ok(store_position_put(*s, "third", "1", e));
	ok(store_cache_add(*s, "c", "four", 4, 1000, &was_new, e));
	store_count_possible(*s, 1);
	store_count_filtered(*s, 1);
	store_rollback(*s);
	set_wall(wall_ms - 5000);
	message_free(m);
}

static void look_and_count(struct store **s, const struct spooldir *d)
{
	struct store_report report;
	uint64_t missing = 9;

	(void)d;
	ok(store_count_missing(*s, &missing, e));
	assert_int_equal(missing, 0);
	ok(store_recount(*s, &report, e));
	assert_string_equal(report.warning, "");
	ok(store_mend(*s, true, &report, e));
	assert_string_equal(report.warning, "");
}

static void stop_and_start(struct store **s, const struct spooldir *d)
{
	ok(store_close(*s, e));
	*s = open_it(d);
}

static void die_and_start(struct store **s, const struct spooldir *d)
{
	let_the_row_wait(s, d);
	store_abandon(*s);
	*s = open_it(d);
}

static void evict(struct store **s, const struct spooldir *d)
{
	struct message *m = message_new(NULL, 0, "evicts two", 10, clock_wall_ms());

	(void)d;
	store_reconfigure(*s, &(struct store_options){.max_bytes = store_pending_bytes(*s) + 1, .evict_oldest = true});
	ok(store_begin(*s, e));
	ok(store_append(*s, m, e));
	ok(store_commit(*s, e));
	store_reconfigure(*s, &(struct store_options){.max_bytes = 0});
	message_free(m);
}

static void deliver_all(struct store **s, const struct spooldir *d)
{
	(void)d;
	for (uint64_t id = 1; id < store_next_id(*s); id++) {
		bool waits = false;

		ok(store_is_pending(*s, id, &waits, e));
		if (waits)
			diff_settle(*s, (struct store_settlement){.id = id, .kind = SETTLE_DELIVERED});
	}
}

static const struct diff_step steps[] = {
    {"it begins", NULL,
     "+clock 0: 0\n+ledger.next_id: 1\n+ledger.clock_offset: T-5000\n+tide.offset: T-5000\n"
     "+tide.has the clock's row: 1\n+state.checkpoints: 1\n+state.left whole from: 1\n+state.is_exact: 1\n"
     "+lead from 0: 0\n+left: \n"},
    {"three messages come", append_three,
     "ledger.next_id: 1 > 4\n+blocks 1: 3 18 0 T-1000 T-1000\n+ledger.accepted: 3\n+ledger.pending: 3\n"
     "+ledger.pending_bytes: 18\n+ledger.clock_ms: T+0\n+ledger.commits: 1\n+tide.clock: T+0\n"
     "+state.oldest: T-1000\n+state.stored: 6\n"},
    {"five messages come later", append_five_later,
     "ledger.next_id: 4 > 9\nledger.accepted: 3 > 8\nledger.pending: 3 > 8\nledger.pending_bytes: 18 > 53\n"
     "ledger.clock_ms: T+0 > T+700\nledger.commits: 1 > 2\ntide.clock: T+0 > T+700\nstate.stored: 6 > 21\n"
     "+blocks 4: 5 35 0 T-300 T-300\n"},
    {"one is delivered", deliver,
     "ledger.pending: 8 > 7\nledger.pending_bytes: 53 > 47\nledger.commits: 2 > 3\nleft:  > 2\n+partial 1: 1 6 1\n"
     "+ledger.delivered: 1\n+ledger.blocks_from: 1\n+ledger.rows_from: 9\n+tide.left: 3\n+state.left: 3\n"},
    {"two are too old", expire_a_run,
     "ledger.pending: 7 > 5\nledger.pending_bytes: 47 > 36\nledger.commits: 3 > 4\ntide.left: 3 > 4\n"
     "state.left: 3 > 4\nleft: 2 > 2,4-5\n+partial 4: 2 11 0-1\n+ledger.expired: 2\n"},
    {"one fails", fail_once,
     "ledger.commits: 4 > 5\n+failures 3: 1 T+1600 T+700 'Slow' ''\n+state.retrying: 1\n"
     "+state.next_retry: T+1600\n+state.failures_max_id: 3\n"},
    {"one fails for long", fail_for_long,
     "partial 4: 2 11 0-1 > 3 18 0-2\nledger.commits: 5 > 6\nledger.rows_from: 9 > 6\nstate.retrying: 1 > 2\n"
     "state.failures_max_id: 3 > 6\n+messages 6: T-300 meta 012\n+failures 6: 3 T+60700 T+700 'Down' 'down'\n"},
    {"one fails again", fail_again,
     "partial 1: 1 6 1 > 2 13 1-2\nfailures 3: 1 T+1600 T+700 'Slow' '' > 2 T+710 T+700 'Slower' ''\n"
     "ledger.clock_ms: T+700 > T+710\nledger.commits: 6 > 7\nledger.rows_from: 6 > 3\ntide.clock: T+700 > T+710\n"
     "state.next_retry: T+1600 > T+710\n+messages 3: T-1000 meta 012\n"},
    {"one waits for ever", fail_for_ever,
     "failures 6: 3 T+60700 T+700 'Down' 'down' > 4 T+3600710 T+700 'Down' ''\nledger.commits: 7 > 8\n"},
    {"two are set aside", set_aside,
     "-blocks 4: 5 35 0 T-300 T-300\n-partial 4: 3 18 0-2\nledger.pending: 5 > 3\nledger.pending_bytes: 36 > 19\n"
     "ledger.commits: 8 > 10\n+dead 7: T-300 T+710 3 'big' 'too large' meta 0123\n"
     "+dead 8: T-300 T+710 3 'big' 'too large' meta 01234\n+ledger.dead: 2\n"},
    {"one is set aside at the door", set_aside_at_the_door,
     "ledger.next_id: 9 > 10\nledger.accepted: 8 > 9\nledger.dead: 2 > 3\nledger.commits: 10 > 11\n"
     "+dead 9: 77 T+710 0 'too_long' '' meta long\n"},
    {"four are filtered at the door", filter_at_the_door,
     "ledger.accepted: 9 > 13\nledger.commits: 11 > 12\n+ledger.filtered: 4\n"},
    {"one of two is damaged", damage,
     "ledger.next_id: 10 > 12\nledger.accepted: 13 > 15\nledger.pending: 3 > 4\nledger.pending_bytes: 19 > 25\n"
     "ledger.commits: 12 > 14\nstate.stored: 21 > 24\n+blocks 10: 2 11 0 T-290 T-290\n+partial 10: 1 5 0\n"
     "+damaged 10: T+710 T-290 meta 0\n+losses 1: 1 10 10 T+710\n+ledger.damaged: 1\n+state.untold: 1\n"},
    {"one that left is settled", settle_what_is_gone, "+state.unexpected: 2\n"},
    {"positions", note_positions,
     "ledger.commits: 14 > 15\n+positions 'file': '30'\n+positions 'other': '20'\n+tide.positions: 2\n"},
    {"keys", add_keys, "ledger.commits: 15 > 16\n+cache 'c' one: T+1210\n+cache 'c' two: T+2210\n+tide.keys: 2\n"},
    {"keys that expired", add_a_key_that_expired,
     "-cache 'c' one: T+1210\ncache 'c' two: T+2210 > T+2310\n+cache 'c' three: 9223372036854775807\n"},
    {"the clock is set", append_behind_a_step,
     "ledger.next_id: 12 > 14\nledger.accepted: 15 > 17\nledger.pending: 4 > 6\nledger.pending_bytes: 25 > 35\n"
     "ledger.clock_ms: T+710 > T+2210\nledger.commits: 16 > 18\ntide.clock: T+710 > T+2210\n"
     "state.oldest: T-1000 > T+3599000\nstate.next_retry: T+710 > T+3600710\nstate.stored: 24 > 26\n"
     "+blocks 12: 1 5 0 T+2209 T+2209\n+blocks 13: 1 5 0 T+3601210 T+3601210\n+clock 13: 3600000\n"
     "+lead from 13: 3600000\n"},
    {"one is put back", put_one_back,
     "-dead 8: T-300 T+710 3 'big' 'too large' meta 01234\nledger.next_id: 14 > 15\nledger.pending: 6 > 7\n"
     "ledger.dead: 3 > 2\nledger.pending_bytes: 35 > 44\nledger.commits: 18 > 19\ntide.left: 4 > 19\n"
     "state.stored: 26 > 31\nstate.left: 4 > 19\nleft: 2,4-5 > 2,4-5,8\n+blocks 14: 1 9 0 T+3602210 T+3602210\n"
     "+imports put-back0e00..65: T+3602210 1 14\n+tide.imports: 1\n+tide.back_first: 14\n+tide.back_last: 14\n"
     "+tide.back_count: 1\n"},
    {"all are put back", put_all_back,
     "-dead 7: T-300 T+710 3 'big' 'too large' meta 0123\n-dead 9: 77 T+710 0 'too_long' '' meta long\n"
     "ledger.next_id: 15 > 17\nledger.pending: 7 > 9\n-ledger.dead: 2\nledger.pending_bytes: 44 > 60\n"
     "ledger.commits: 19 > 20\ntide.imports: 1 > 2\ntide.left: 19 > 20\ntide.back_last: 14 > 16\n"
     "tide.back_count: 1 > 3\nstate.stored: 31 > 39\nstate.left: 19 > 20\nleft: 2,4-5,8 > 2,4-5,7-9\n"
     "+blocks 15: 2 16 0 T+3602210 T+3602210\n+imports put-back0f00..65: T+3602210 2 15\n"},
    {"the shelf is purged", purge_one_then_all,
     "-blocks 14: 1 9 0 T+3602210 T+3602210\n-blocks 15: 2 16 0 T+3602210 T+3602210\nledger.pending: 9 > 6\n"
     "ledger.pending_bytes: 60 > 35\nledger.commits: 20 > 25\ntide.left: 20 > 25\nstate.left: 20 > 25\n"
     "left: 2,4-5,7-9 > 2,4-5,7-9,14-16\n+ledger.purged: 3\n"},
    {"the flight is noted", note_the_flight,
     "ledger.next_id: 17 > 18\nledger.accepted: 17 > 18\nledger.pending: 6 > 7\nledger.pending_bytes: 35 > 40\n"
     "ledger.commits: 25 > 28\nstate.stored: 39 > 40\n+blocks 17: 1 5 0 T+3601210 T+3601210\n"
     "+ledger.possible: 10\n+ledger.handed: 18\n+tide.possible: 10\n+state.possible_untold: 2\n"},
    {"the row waits", let_the_row_wait,
     "ledger.next_id: 18 > 20\nledger.accepted: 18 > 20\nledger.pending: 7 > 9\nledger.pending_bytes: 40 > 50\n"
     "state.stored: 40 > 50\n+blocks 18: 1 5 0 T+3602210 T+3602210\n+blocks 19: 1 5 0 T+3602310 T+3602310\n"
     "+row.next_id: 18\n+row.accepted: 18\n+row.pending: 7\n+row.pending_bytes: 40\n+state.lag: 2\n"},
    {"a checkpoint", checkpoint,
     "-row.next_id: 18\n-row.accepted: 18\n-row.pending: 7\n-row.pending_bytes: 40\n"
     "ledger.clock_ms: T+2210 > T+2410\n-ledger.handed: 18\nledger.commits: 28 > 29\ntide.clock: T+2210 > T+2410\n"
     "state.checkpoints: 1 > 2\n-state.lag: 2\n+state.left synced: 29\n"},
    {"a group is given up", give_up_a_group, "state.stored: 50 > 51\nstate.failures_max_id: 6 > 13\n"},
    {"it is counted anew", look_and_count,
     "ledger.next_id: 20 > 21\nledger.commits: 29 > 30\nstate.failures_max_id: 13 > 6\n"},
    {"a stop and a start", stop_and_start,
     "-state.unexpected: 2\n-state.checkpoints: 2\n-state.stored: 51\n-state.possible_untold: 2\n"
     "state.left synced: 29 > 30\n+state.left knows: 30\n+state.last_commits: 30\n"},
    {"a kill and a start", die_and_start,
     "ledger.next_id: 21 > 23\nledger.accepted: 20 > 22\nledger.pending: 9 > 11\nledger.pending_bytes: 50 > 60\n"
     "ledger.clock_ms: T+2410 > T+2610\nledger.commits: 30 > 32\ntide.clock: T+2410 > T+2610\n"
     "state.left knows: 30 > 31\nstate.last_commits: 30 > 31\n+blocks 21: 1 5 0 T+3602410 T+3602410\n"
     "+blocks 22: 1 5 0 T+3602510 T+3602510\n"},
    {"two are evicted", evict,
     "-messages 3: T-1000 meta 012\n-blocks 1: 3 18 0 T-1000 T-1000\n-partial 1: 2 13 1-2\n"
     "-failures 3: 2 T+710 T+700 'Slower' ''\nledger.next_id: 23 > 24\nledger.accepted: 22 > 23\n"
     "ledger.pending: 11 > 10\nledger.pending_bytes: 60 > 58\nledger.commits: 32 > 33\n"
     "ledger.blocks_from: 1 > 10\nledger.rows_from: 3 > 6\ntide.left: 25 > 33\nstate.retrying: 2 > 1\n"
     "state.oldest: T+3599000 > T+3599700\nstate.next_retry: T+3600710 > T+7200710\nstate.left: 25 > 33\n"
     "left: 2,4-5,7-9,14-16 > 1-5,7-9,14-16\n+blocks 23: 1 10 0 T+3602610 T+3602610\n+ledger.evicted: 2\n"
     "+state.stored: 10\n"},
    {"all are delivered", deliver_all,
     "-messages 6: T-300 meta 012\n-blocks 10: 2 11 0 T-290 T-290\n-blocks 12: 1 5 0 T+2209 T+2209\n"
     "-blocks 13: 1 5 0 T+3601210 T+3601210\n-blocks 17: 1 5 0 T+3601210 T+3601210\n"
     "-blocks 18: 1 5 0 T+3602210 T+3602210\n-blocks 19: 1 5 0 T+3602310 T+3602310\n"
     "-blocks 21: 1 5 0 T+3602410 T+3602410\n-blocks 22: 1 5 0 T+3602510 T+3602510\n"
     "-blocks 23: 1 10 0 T+3602610 T+3602610\n-partial 10: 1 5 0\n-failures 6: 4 T+3600710 T+700 'Down' ''\n"
     "ledger.delivered: 1 > 11\n-ledger.pending: 10\n-ledger.pending_bytes: 58\nledger.commits: 33 > 43\n"
     "ledger.blocks_from: 10 > 24\nledger.rows_from: 6 > 24\ntide.left: 33 > 43\n-state.retrying: 1\n"
     "-state.oldest: T+3599700\n-state.next_retry: T+7200710\nstate.left: 33 > 43\n"
     "left: 1-5,7-9,14-16 > 1-9,11-19,21-23\n"},
};

static void each_verb_changes_what_it_says(void **state)
{
	(void)state;
	diff_steps(steps, sizeof steps / sizeof *steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_verb_changes_what_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
