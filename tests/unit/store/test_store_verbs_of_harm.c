/*
 * What is done about rows and files that are not what was written, in full: every column of every row, the counts that
 * are told, the tide mark and PATH.left, before and after; and the words for it.
 */
#include "rig/spooldiff.h"

#include <errno.h>

static struct store *open_and_listen(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store_report report;
	struct store *s = NULL;

	ok(store_open(&o, &s, &report, e));
	diff_say_report(d, &report);
	return s;
}

static void restart(struct store **s, const struct spooldir *d)
{
	ok(store_close(*s, e));
	*s = open_and_listen(d);
}

static void mend(struct store *s, const struct spooldir *d)
{
	struct store_report report;

	ok(store_mend(s, true, &report, e));
	diff_say(d, report.warning);
}

static void say_read(const struct spooldir *d, const struct message_list *list, uint64_t last)
{
	char text[200];
	size_t used = (size_t)snprintf(text, sizeof text, "read up to %llu:", (unsigned long long)last);
	const struct message *m;

	STAILQ_FOREACH (m, list, link)
		used += (size_t)snprintf(text + used, sizeof text - used, " %llu", (unsigned long long)m->id);
	assert_true(used < sizeof text);
	diff_say(d, text);
}

static void read_all(struct store *s, const struct spooldir *d)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t n = 9;
	uint64_t last = 9;

	ok(store_read(s, 0, 1000, UINT64_MAX, &list, &n, &last, e));
	say_read(d, &list, last);
	message_list_free(&list);
}

/* Blocks 1 to 4, 5 to 8, 9 to 12, 13 to 16; 2 has left, 6 stands alone, 7 failed, 10 and 11 are on the shelf. */
static void fill(struct store **s, const struct spooldir *d)
{
	bool was_new;

	(void)d;
	for (int i = 0; i < 4; i++) {
		diff_append(*s, 4);
		let_pass(10);
	}
	diff_settle(*s, (struct store_settlement){.id = 2, .kind = SETTLE_DELIVERED});
	diff_settle(*s, (struct store_settlement){
	                    .id = 6, .kind = SETTLE_RETRY, .attempts = 2, .wait_ms = 5000, .code = "Slow"});
	diff_settle(*s, (struct store_settlement){
	                    .id = 7, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = 800, .code = "Slow"});
	for (uint64_t id = 10; id <= 11; id++)
		diff_settle(*s, (struct store_settlement){.id = id, .kind = SETTLE_DEAD, .attempts = 1, .code = "x"});
	ok(store_begin(*s, e));
	ok(store_position_put(*s, "file", "10", e));
	ok(store_position_put(*s, "other", "20", e));
	ok(store_cache_add(*s, "c", "one", 3, 500000, &was_new, e));
	ok(store_cache_add(*s, "c", "two", 3, 500000, &was_new, e));
	ok(store_commit(*s, e));
}

static void read_past_a_wrong_mark(struct store **s, const struct spooldir *d)
{
	diff_do(*s, "UPDATE partial SET bytes = 77 WHERE block_id = 9");
	read_all(*s, d);
}

static void mend_it(struct store **s, const struct spooldir *d) { mend(*s, d); }

/* Those that failed, as they come due: one is on its way; they may be two at most, or weigh as much as one. */
static bool is_on_its_way(void *arg, uint64_t id) { return id == *(const uint64_t *)arg; }

static void read_what_is_due(struct store **s, const struct spooldir *d)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint64_t claimed = 14;
	uint32_t n = 9;

	for (uint64_t id = 13; id <= 16; id++)
		diff_settle(
		    *s, (struct store_settlement){
		            .id = id, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = (int64_t)(30 - id), .code = "x"});
	let_pass(100);
	ok(store_read_due(*s, store_clock_ms(*s), 2, UINT64_MAX, is_on_its_way, &claimed, &list, &n, e));
	assert_int_equal(n, 2);
	ok(store_read_due(*s, store_clock_ms(*s), 2, 1, NULL, NULL, &list, &n, e));
	assert_int_equal(n, 1);
	ok(store_read_due(*s, store_clock_ms(*s), 2, 1, NULL, NULL, &list, &n, e));
	assert_int_equal(n, 0);
	say_read(d, &list, n);
	message_list_free(&list);
}

static void meet_a_wrong_mark(struct store **s, const struct spooldir *d)
{
	(void)d;
	diff_do(*s, "UPDATE partial SET bytes = 77 WHERE block_id = 1");
	diff_settle(*s, (struct store_settlement){.id = 3, .kind = SETTLE_DELIVERED});
}

static void mend_the_mark(struct store **s, const struct spooldir *d)
{
	diff_do(*s, "UPDATE partial SET bytes = 77 WHERE block_id = 1");
	mend(*s, d);
}

static void mend_one_bit(struct store **s, const struct spooldir *d)
{
	diff_do(*s,
	        "UPDATE partial SET bytes = bytes + 64 WHERE block_id = 9; UPDATE positions SET value = '11' WHERE key "
	        "= 'file';"
	        "UPDATE failures SET attempts = 7 WHERE id = 7; UPDATE cache SET expires_ms = 5 WHERE key = x'74776f'");
	mend(*s, d);
}

static void forget_a_position(struct store **s, const struct spooldir *d)
{
	diff_do(*s, "UPDATE positions SET value = 'nowhere' WHERE key = 'file'");
	mend(*s, d);
}

static void settle_the_sides(struct store **s, const struct spooldir *d)
{
	struct sides_settled settled;

	(void)d;
	diff_do(*s, "UPDATE dead SET reason = 'none' WHERE id = 10");
	ok(store_settle_sides(*s, &settled, e));
	assert_int_equal(settled.notes, 1);
	assert_int_equal(settled.positions, 1);
	assert_int_equal(settled.copies, 0);
}

static void lose_rows_beside(struct store **s, const struct spooldir *d)
{
	diff_do(*s, "DELETE FROM positions WHERE key = 'other'; DELETE FROM cache");
	mend(*s, d);
}

static void lose_a_note_of_an_import(struct store **s, const struct spooldir *d)
{
	uint64_t count, damaged;

	ok(store_dead_retry(*s, 11, &count, &damaged, e));
	diff_do(*s, "DELETE FROM imports");
	mend(*s, d);
}

static void read_a_wrong_row(struct store **s, const struct spooldir *d)
{
	diff_do(*s, "UPDATE messages SET body = x'6f' WHERE id = 6; DELETE FROM failures WHERE id = 6");
	read_all(*s, d);
}

static void read_a_wrong_block(struct store **s, const struct spooldir *d)
{
	diff_do(*s, "UPDATE blocks SET checksum = checksum + 1 WHERE id = 13");
	read_all(*s, d);
}

static void a_failure_of_nobody(struct store **s, const struct spooldir *d)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t n = 9;

	diff_do(*s, "INSERT INTO failures VALUES (6, 1, 1, 1, 'x', '', side_sum(6, 6, 1, 1, 1, 'x', ''))");
	ok(store_read_due(*s, store_clock_ms(*s), 10, UINT64_MAX, NULL, NULL, &list, &n, e));
	say_read(d, &list, n);
	message_list_free(&list);
}

static void move_what_is_damaged_on_the_shelf(struct store **s, const struct spooldir *d)
{
	(void)d;
	diff_do(*s, "UPDATE dead SET body = x'6f' WHERE id = 10");
	ok(store_dead_move_damaged(*s, e));
}

static void lose_and_break_at_rest(struct store **s, const struct spooldir *d)
{
	diff_append(*s, 4);
	diff_append(*s, 4);
	diff_append(*s, 4);
	diff_do(*s, "DELETE FROM blocks WHERE id = 18; UPDATE blocks SET body = zeroblob(length(body)) WHERE id = 22");
	restart(s, d);
}

/* As a kill leaves it, with a part of it gone. */
static void die_without(struct store **s, const struct spooldir *d, const char *part)
{
	store_abandon(*s);
	assert_true(unlink(spooldir_file(d, part)) == 0 || errno == ENOENT);
	*s = open_and_listen(d);
}

static void lose_a_mark(struct store **s, const struct spooldir *d)
{
	diff_settle(*s, (struct store_settlement){
	                    .id = 27, .kind = SETTLE_RETRY, .attempts = 2, .wait_ms = 5000, .code = "Slow"});
	diff_do(*s, "DELETE FROM partial WHERE block_id = 26; INSERT INTO partial VALUES (7, 1, 1, 1, x'00')");
	mend(*s, d);
}

static void break_what_nobody_misses(struct store **s, const struct spooldir *d)
{
	diff_do(*s, "UPDATE losses SET messages = messages + 1 WHERE reason = 1; UPDATE clock SET lead_ms = 5");
	restart(s, d);
}

static void break_the_ledger(struct store **s, const struct spooldir *d)
{
	diff_append(*s, 2);
	diff_do(*s, "UPDATE ledger SET accepted = accepted + 1");
	die_without(s, d, ".nothing");
}

static void break_the_ledger_and_lose_the_tide_mark(struct store **s, const struct spooldir *d)
{
	diff_do(*s, "UPDATE ledger SET accepted = accepted + 1");
	die_without(s, d, ".tide");
}

static void lose_the_log(struct store **s, const struct spooldir *d)
{
	ok(store_checkpoint(*s, true, e));
	diff_append(*s, 4);
	diff_settle(*s, (struct store_settlement){.id = 26, .kind = SETTLE_EXPIRED});
	die_without(s, d, "-wal");
}

static void lose_the_log_and_what_had_left(struct store **s, const struct spooldir *d)
{
	ok(store_checkpoint(*s, true, e));
	diff_append(*s, 4);
	diff_settle(*s, (struct store_settlement){.id = 28, .kind = SETTLE_EXPIRED});
	store_abandon(*s);
	assert_int_equal(unlink(spooldir_file(d, ".left")), 0);
	*s = open_it(d);
	die_without(s, d, "-wal");
}

static void lose_the_head_of_the_file(struct store **s, const struct spooldir *d)
{
	unsigned char *bytes;
	size_t count;

	diff_append(*s, 4);
	ok(store_close(*s, e));
	bytes = spooldir_load(d->path, &count);
	memset(bytes, 0, 100);
	spooldir_store(d->path, bytes, count);
	free(bytes);
	*s = open_and_listen(d);
}

static void restart_damaged(struct store **s, const struct spooldir *d)
{
	struct store_report report;

	diff_append(*s, 2);
	ok(store_restart_damaged(*s, &report, e));
	diff_say_report(d, &report);
}

static void lose_the_file(struct store **s, const struct spooldir *d)
{
	ok(store_close(*s, e));
	assert_int_equal(unlink(d->path), 0);
	*s = open_and_listen(d);
}

static const struct diff_step steps[] = {
    {"it begins", fill,
     "+messages 6: T-990 meta 01\n+blocks 1: 4 26 0 T-1000 T-1000\n+blocks 5: 4 26 0 T-990 T-990\n"
     "+blocks 9: 4 26 0 T-980 T-980\n+blocks 13: 4 26 0 T-970 T-970\n+partial 1: 1 6 1\n+partial 5: 1 6 1\n"
     "+partial 9: 2 13 1-2\n+failures 6: 2 T+5040 T+40 'Slow' ''\n+failures 7: 1 T+840 T+40 'Slow' ''\n"
     "+dead 10: T-980 T+40 1 'x' '' meta 01\n+dead 11: T-980 T+40 1 'x' '' meta 012\n+positions 'file': '10'\n"
     "+positions 'other': '20'\n+cache 'c' one: T+500040\n+cache 'c' two: T+500040\n+clock 0: 0\n"
     "+ledger.next_id: 17\n+ledger.accepted: 16\n+ledger.delivered: 1\n+ledger.pending: 13\n+ledger.dead: 2\n"
     "+ledger.pending_bytes: 85\n+ledger.clock_ms: T+40\n+ledger.clock_offset: T-5000\n+ledger.commits: 10\n"
     "+ledger.blocks_from: 1\n+ledger.rows_from: 6\n+tide.positions: 2\n+tide.keys: 2\n+tide.left: 5\n"
     "+tide.clock: T+40\n+tide.offset: T-5000\n+tide.has the clock's row: 1\n+state.retrying: 2\n"
     "+state.oldest: T-1000\n+state.next_retry: T+840\n+state.checkpoints: 1\n+state.stored: 40\n"
     "+state.failures_max_id: 7\n+state.left: 5\n+state.left whole from: 1\n+state.is_exact: 1\n+lead from 0: 0\n"
     "+left: 2\n"},
    {"a start", restart,
     "report: rows 13\n-state.checkpoints: 1\n-state.stored: 40\n+state.left synced: 10\n+state.left knows: 10\n"
     "+state.last_commits: 10\n"},
    {"a mark that is wrong is read", read_past_a_wrong_mark,
     "read up to 16: 1 3 4 5 8 9 10 11 12 13 14 15 16\npartial 9: 2 13 1-2 > 2 77 1-2\n+state.mend: 1\n"},
    {"and mended", mend_it,
     "one bit of 1 rows that say what left its block was wrong and was mended\npartial 9: 2 77 1-2 > 2 13 1-2\n"
     "-state.mend: 1\n"},
    {"what is due is read", read_what_is_due,
     "read up to 0: 16 15 13\nledger.commits: 10 > 14\nstate.retrying: 2 > 6\nstate.failures_max_id: 7 > 16\n"
     "+failures 13: 1 T+57 T+40 'x' ''\n+failures 14: 1 T+56 T+40 'x' ''\n+failures 15: 1 T+55 T+40 'x' ''\n"
     "+failures 16: 1 T+54 T+40 'x' ''\n"},
    {"a mark that is wrong is met", meet_a_wrong_mark,
     "partial 1: 1 6 1 > 1 7 2\nledger.delivered: 1 > 2\nledger.pending: 13 > 12\nledger.pending_bytes: 85 > 78\n"
     "ledger.clock_ms: T+40 > T+140\nledger.commits: 14 > 15\ntide.left: 5 > 15\ntide.clock: T+40 > T+140\n"
     "state.left: 5 > 15\nleft: 2 > 2-3\n+state.mend: 1\n"},
    {"a mark is mended", mend_the_mark,
     "what left 1 blocks was damaged and is forgotten; 2 messages that had left stand here again, and may be sent "
     "again: possible duplicates\n"
     "-partial 1: 1 7 2\n-ledger.delivered: 2\nledger.pending: 12 > 14\nledger.pending_bytes: 78 > 91\n"
     "ledger.commits: 15 > 16\ntide.left: 15 > 16\nstate.next_retry: T+840 > T+54\n-state.mend: 1\n"
     "state.left: 15 > 16\nleft: 2-3 > \n+salvage 'left': 16 0 0\n+ledger.possible: 2\n+tide.possible: 2\n"
     "+state.possible_untold: 2\n+state.left took back: 16\n"},
    {"single bits are mended", mend_one_bit,
     "of 1 messages the attempts were damaged: they are sent at once, as if anew; one bit of 1 rows that say what left "
     "its block was wrong and was mended; one bit of 1 positions of inputs was wrong and was mended; 1 dedupe keys "
     "were damaged and are forgotten: what they kept back may be sent\n"
     "-failures 7: 1 T+840 T+40 'Slow' ''\n-cache 'c' two: T+500040\nledger.possible: 2 > 3\n"
     "ledger.commits: 16 > 17\ntide.keys: 2 > 1\ntide.possible: 2 > 3\nstate.retrying: 6 > 5\n"
     "state.possible_untold: 2 > 3\n"},
    {"a position is forgotten", forget_a_position,
     "1 positions of inputs are damaged: what they are of is read again from its start\n"
     "positions 'file': '10' > 'nowhere'\n+state.positions_lost: 1\n"},
    {"what stands beside is settled", settle_the_sides,
     "dead 10: T-980 T+40 1 'x' '' meta 01 > T-980 T+40 0 'damaged_note' 'why it was set aside, and after how many "
     "attempts, is not what was written' meta 01\n"
     "positions 'file': 'nowhere' > 'damaged'\nledger.commits: 17 > 18\n-state.positions_lost: 1\n"},
    {"rows beside are gone", lose_rows_beside,
     "1 positions of inputs are not those that were written last: what they are of is read on from where they say, and "
     "counted as possible duplicates; 1 positions of inputs are gone: what they are of is read again from its start, "
     "and counted as possible duplicates; 1 dedupe keys are gone: what they kept back may be sent, and is counted as "
     "possible duplicates\n"
     "-positions 'other': '20'\n-cache 'c' one: T+500040\nledger.possible: 3 > 4\nledger.commits: 18 > 19\n"
     "-tide.keys: 1\ntide.possible: 3 > 4\nstate.possible_untold: 3 > 4\n+salvage 'keys': 19 0 0\n"
     "+state.positions gone: 1\n"},
    {"a note of an import is gone", lose_a_note_of_an_import,
     "1 notes of copies that were taken in, or of what was put back from the shelf, are gone: what is taken in from a "
     "copy from now on may have been before, and counts as possible duplicates\n"
     "-dead 11: T-980 T+40 1 'x' '' meta 012\nledger.next_id: 17 > 18\nledger.pending: 14 > 15\n"
     "ledger.dead: 2 > 1\nledger.pending_bytes: 91 > 98\nledger.commits: 19 > 21\ntide.left: 16 > 20\n"
     "state.left: 16 > 20\nleft:  > 11\n+blocks 17: 1 7 0 T+140 T+140\n+imports : 0 0 0\n+tide.imports: 1\n"
     "+tide.back_first: 17\n+tide.back_last: 17\n+tide.back_count: 1\n+state.stored: 3\n"},
    {"a row that is wrong is read", read_a_wrong_row,
     "read up to 17: 1 2 3 4 5 7 8 9 12 17\n-messages 6: T-990 meta 01\n-failures 6: 2 T+5040 T+40 'Slow' ''\n"
     "ledger.pending: 15 > 14\nledger.pending_bytes: 98 > 92\nledger.commits: 21 > 22\nledger.rows_from: 6 > 18\n"
     "+damaged 6: T+140 T-990 meta o\n+losses 1: 1 6 6 T+140\n+ledger.damaged: 1\n+state.untold: 1\n"},
    {"a block that is wrong is read", read_a_wrong_block,
     "read up to 12: 1 2 3 4 5 7 8 9 12\n-blocks 13: 4 26 0 T-970 T-970\nledger.commits: 22 > 23\n"
     "ledger.rows_from: 18 > 13\n+messages 13: T-970 meta 0\n+messages 14: T-970 meta 01\n"
     "+messages 15: T-970 meta 012\n+messages 16: T-970 meta 0123\n"},
    {"one failed that is not there", a_failure_of_nobody,
     "read up to 4: 16 15 14 13\nstate.retrying: 5 > 4\n-state.next_retry: T+54\n+state.unexpected: 1\n"},
    {"one on the shelf is damaged", move_what_is_damaged_on_the_shelf,
     "-dead 10: T-980 T+40 0 'damaged_note' 'why it was set aside, and after how many attempts, is not what was "
     "written' meta 01\n"
     "losses 1: 1 6 6 T+140 > 2 6 10 T+140\n-ledger.dead: 1\nledger.damaged: 1 > 2\nledger.commits: 23 > 24\n"
     "state.untold: 1 > 2\n+damaged 10: T+140 T-980 meta o\n"},
    {"one block is gone and one broken", lose_and_break_at_rest,
     "report: rows 18 damaged 10 missing 4\n"
     "4 messages of the ledger have no row; 1 positions of inputs are gone: what they are of is read again from its "
     "start, and counted as possible duplicates\n"
     "losses 1: 2 6 10 T+140 > 6 6 25 T+140\nledger.next_id: 18 > 30\nledger.accepted: 16 > 28\n"
     "ledger.pending: 14 > 18\nledger.damaged: 2 > 10\nledger.pending_bytes: 92 > 118\nledger.commits: 24 > 28\n"
     "-tide.back_first: 17\n-tide.back_last: 17\n-tide.back_count: 1\n-state.unexpected: 1\n-state.stored: 3\n"
     "state.untold: 2 > 10\n-state.possible_untold: 4\nstate.left synced: 10 > 27\nstate.left knows: 10 > 27\n"
     "state.last_commits: 10 > 27\n-state.is_exact: 1\n"
     "+blocks 26: 4 26 0 T-860 T-860\n+damaged 22: T+140 0 - \n+damaged 23: T+140 0 - \n+damaged 24: T+140 0 - \n"
     "+damaged 25: T+140 0 - \n+losses 2: 4 0 0 T+140\n+state.next_retry: T+54\n+state.mend: 1\n"},
    {"a mark is gone", lose_a_mark,
     "what left 1 blocks was damaged and is forgotten\nledger.commits: 28 > 29\nstate.retrying: 4 > 5\n"
     "-state.mend: 1\nstate.failures_max_id: 16 > 27\n+messages 27: T-860 meta 01\n+partial 26: 1 6 1\n"
     "+failures 27: 2 T+5140 T+140 'Slow' ''\n"},
    {"what nobody misses is wrong", break_what_nobody_misses,
     "report: rows 18 damaged 10\n"
     "1 rows that say why messages are damaged were not what was written; a row of the clock was damaged: no message "
     "that waits now is too old; 1 positions of inputs are gone: what they are of is read again from its start, and "
     "counted as possible duplicates\n"
     "clock 0: 0 > -9223372036854775808\n-losses 1: 6 6 25 T+140\nledger.commits: 29 > 30\n"
     "state.oldest: T-1000 > T+140\nstate.left synced: 27 > 29\nstate.left knows: 27 > 29\n"
     "state.last_commits: 27 > 29\nlead from 0: 0 > -9223372036854775808\n"
     "+state.mend: 1\n+state.is_exact: 1\n"},
    {"the ledger is wrong", break_the_ledger,
     "report: unclean 1 rows 20 damaged 10\n"
     "the ledger row was damaged and was counted anew; 1 positions of inputs are gone: what they are of is read again "
     "from its start, and counted as possible duplicates\n"
     "ledger.next_id: 30 > 32\nledger.accepted: 28 > 30\nledger.pending: 18 > 20\n"
     "ledger.pending_bytes: 118 > 129\nledger.commits: 30 > 32\n-ledger.blocks_from: 1\n-ledger.rows_from: 13\n"
     "state.left knows: 29 > 31\nstate.last_commits: 29 > 31\n-state.is_exact: 1\n+blocks 30: 2 11 0 T-860 T-860\n"
     "+clock 30: 0\n+lead from 30: 0\n"},
    {"the ledger is wrong and the tide mark gone", break_the_ledger_and_lose_the_tide_mark,
     "report: unclean 1 rows 20 damaged 6\n"
     "PATH.tide, which says what was acknowledged last, was gone or damaged and is made anew: whether the end of what "
     "was accepted is here cannot be told; the ledger row was damaged and was counted anew\n"
     "ledger.accepted: 30 > 31\nledger.damaged: 10 > 6\n-ledger.possible: 4\nledger.commits: 32 > 1\n"
     "tide.positions: 2 > 1\n-tide.possible: 4\nstate.untold: 10 > 6\n-state.mend: 1\n"
     "state.left whole from: 1 > 32\nstate.left knows: 31 > 29\n-state.last_commits: 31\n"
     "-state.positions gone: 1\n+ledger.delivered: 5\n"},
    {"the log is gone", lose_the_log,
     "report: older 1 rows 20 damaged 10 missing 4\n"
     "the ledger's row was older than what it counts: the tide mark knows; 1 messages that had left stand here again, "
     "and may be sent again: possible duplicates; 4 messages of the ledger have no row\n"
     "salvage 'left': 16 0 0 > 4 0 0\nlosses 2: 4 0 0 T+140 > 8 0 0 T+140\nledger.next_id: 32 > 36\n"
     "ledger.accepted: 31 > 35\nledger.damaged: 6 > 10\nledger.commits: 1 > 4\n"
     "tide.left: 20 > 4\nstate.untold: 6 > 10\nstate.left: 20 > 4\nstate.left synced: 29 > 1\n"
     "state.left took back: 16 > 4\nstate.left knows: 29 > 3\n+ledger.possible: 1\n"
     "+tide.possible: 1\n+state.last_commits: 3\n"},
    {"the log is gone and what had left", lose_the_log_and_what_had_left,
     "report: older 1 rows 20 damaged 14 missing 4\n"
     "the ledger's row was older than what it counts: the tide mark knows; 1 messages that had left stand here again, "
     "and may be sent again: possible duplicates; 4 messages of the ledger have no row\n"
     "salvage 'left': 4 0 0 > 7 0 0\nlosses 2: 8 0 0 T+140 > 12 0 0 T+140\nledger.next_id: 36 > 40\n"
     "ledger.accepted: 35 > 39\nledger.damaged: 10 > 14\n"
     "ledger.possible: 1 > 2\nledger.commits: 4 > 7\ntide.left: 4 > 7\ntide.possible: 1 > 2\n"
     "state.untold: 10 > 14\nstate.left: 4 > 7\n-state.left synced: 1\nstate.left whole from: 32 > 40\n"
     "state.left took back: 4 > 7\nstate.left knows: 3 > 6\nstate.last_commits: 3 > 6\nleft: 11 > 11,18-21,32-35\n"},
    {"the head of the file is gone", lose_the_head_of_the_file,
     "report: quarantined 1 rows 24 salvaged 24 damaged 14 as PATH.quarantine-20260921T141320Z-140\n"
     "the database was damaged and moved to PATH.quarantine-20260921T141320Z-140 (its head or its ledger is "
     "not what was written)\n"
     "-blocks 1: 4 26 0 T-1000 T-1000\n-blocks 5: 4 26 0 T-990 T-990\n-blocks 9: 4 26 0 T-980 T-980\n"
     "-blocks 17: 1 7 0 T+140 T+140\n-blocks 26: 4 26 0 T-860 T-860\n-blocks 30: 2 11 0 T-860 T-860\n"
     "-partial 5: 1 6 1\n-partial 9: 2 13 1-2\n-partial 26: 1 6 1\n"
     "failures 13: 1 T+57 T+40 'x' '' > 1 T+140 T+140 'x' ''\n"
     "failures 14: 1 T+56 T+40 'x' '' > 1 T+140 T+140 'x' ''\n"
     "failures 15: 1 T+55 T+40 'x' '' > 1 T+140 T+140 'x' ''\n"
     "failures 16: 1 T+54 T+40 'x' '' > 1 T+140 T+140 'x' ''\n"
     "failures 27: 2 T+5140 T+140 'Slow' '' > 2 T+140 T+140 'Slow' ''\n-damaged 6: T+140 T-990 meta o\n"
     "-damaged 10: T+140 T-980 meta o\n-damaged 22: T+140 0 - \n-damaged 23: T+140 0 - \n-damaged 24: T+140 0 - \n"
     "-damaged 25: T+140 0 - \n-salvage 'keys': 19 0 0\n-salvage 'left': 7 0 0\nledger.next_id: 40 > 44\n"
     "ledger.accepted: 39 > 43\nledger.pending: 20 > 24\nledger.pending_bytes: 129 > 155\nledger.commits: 7 > 10\n"
     "state.next_retry: T+54 > T+140\nstate.left knows: 6 > 8\nstate.last_commits: 6 > 8\n"
     "+messages 1: T-1000 meta 0\n+messages 2: T-1000 meta 01\n+messages 3: T-1000 meta 012\n"
     "+messages 4: T-1000 meta 0123\n+messages 5: T-990 meta 0\n+messages 7: T-990 meta 012\n"
     "+messages 8: T-990 meta 0123\n+messages 9: T-980 meta 0\n+messages 12: T-980 meta 0123\n"
     "+messages 17: T+140 meta 012\n+messages 26: T-860 meta 0\n+messages 28: T-860 meta 012\n"
     "+messages 29: T-860 meta 0123\n+messages 30: T-860 meta 0\n+messages 31: T-860 meta 01\n"
     "+messages 40: T-860 meta 0\n+messages 41: T-860 meta 01\n+messages 42: T-860 meta 012\n"
     "+messages 43: T-860 meta 0123\n+salvage 'expected': 0 0 0\n"
     "+salvage 'known:.quarantine-20260921T141320Z-140:': 44 0 1\n"
     "+salvage 'pages:.quarantine-20260921T141320Z-140': 17 24 1\n"
     "+salvage 'size:.quarantine-20260921T141320Z-140:': as they are\n+losses 4: 0 0 0 T+140\n"
     "+state.checkpoints: 1\n+state.aside: 1\n+state.mend: 1\n+state.left synced: 9\n"},
    {"it is set aside while it runs", restart_damaged,
     "report: unclean 1 quarantined 1 rows 26 salvaged 26 damaged 14 as PATH.quarantine-20260921T141320Z-141\n"
     "the database was damaged and moved to PATH.quarantine-20260921T141320Z-141\n"
     "-salvage 'known:.quarantine-20260921T141320Z-140:': 44 0 1\nledger.next_id: 44 > 46\n"
     "ledger.accepted: 43 > 45\nledger.pending: 24 > 26\nledger.pending_bytes: 155 > 166\n"
     "ledger.commits: 10 > 13\nstate.checkpoints: 1 > 2\nstate.aside: 1 > 2\nstate.left synced: 9 > 12\n"
     "state.left knows: 8 > 11\nstate.last_commits: 8 > 11\n+messages 44: T-860 meta 0\n"
     "+messages 45: T-860 meta 01\n+salvage 'known:.quarantine-20260921T141320Z-141:': 46 0 1\n"
     "+salvage 'pages:.quarantine-20260921T141320Z-141': 17 26 1\n"
     "+salvage 'size:.quarantine-20260921T141320Z-141:': as they are\n+state.stored: 3\n"},
    {"a start after that", restart,
     "report: rows 26 damaged 14\n-state.checkpoints: 2\n-state.stored: 3\n-state.mend: 1\n"
     "state.left synced: 12 > 13\nstate.left knows: 11 > 13\nstate.last_commits: 11 > 13\n+state.is_exact: 1\n"
     "+state.joins from: 1\n+state.joins to: 45\n"},
    {"the file is gone", lose_the_file,
     "report: created 1 older 1 damaged 40 missing 26\n"
     "the database was gone: the tide mark had counted 26 more that waited; 1 positions of inputs are gone: what they "
     "are of is read again from its start, and counted as possible duplicates; 1 notes of copies that were taken in, "
     "or of what was put back from the shelf, are gone: what is taken in from a copy from now on may have been before, "
     "and counts as possible duplicates\n"
     "-messages 1: T-1000 meta 0\n-messages 2: T-1000 meta 01\n-messages 3: T-1000 meta 012\n"
     "-messages 4: T-1000 meta 0123\n-messages 5: T-990 meta 0\n-messages 7: T-990 meta 012\n"
     "-messages 8: T-990 meta 0123\n-messages 9: T-980 meta 0\n-messages 12: T-980 meta 0123\n"
     "-messages 13: T-970 meta 0\n-messages 14: T-970 meta 01\n-messages 15: T-970 meta 012\n"
     "-messages 16: T-970 meta 0123\n-messages 17: T+140 meta 012\n-messages 26: T-860 meta 0\n"
     "-messages 27: T-860 meta 01\n-messages 28: T-860 meta 012\n-messages 29: T-860 meta 0123\n"
     "-messages 30: T-860 meta 0\n-messages 31: T-860 meta 01\n-messages 40: T-860 meta 0\n"
     "-messages 41: T-860 meta 01\n-messages 42: T-860 meta 012\n-messages 43: T-860 meta 0123\n"
     "-messages 44: T-860 meta 0\n-messages 45: T-860 meta 01\n-failures 13: 1 T+140 T+140 'x' ''\n"
     "-failures 14: 1 T+140 T+140 'x' ''\n-failures 15: 1 T+140 T+140 'x' ''\n-failures 16: 1 T+140 T+140 'x' ''\n"
     "-failures 27: 2 T+140 T+140 'Slow' ''\n-positions 'file': 'damaged'\n-clock 30: 0\n"
     "-salvage 'expected': 0 0 0\n-salvage 'known:.quarantine-20260921T141320Z-141:': 46 0 1\n"
     "-salvage 'pages:.quarantine-20260921T141320Z-140': 17 24 1\n"
     "-salvage 'pages:.quarantine-20260921T141320Z-141': 17 26 1\n"
     "-salvage 'size:.quarantine-20260921T141320Z-140:': as they are\n"
     "-salvage 'size:.quarantine-20260921T141320Z-141:': as they are\n-losses 2: 12 0 0 T+140\n"
     "-losses 4: 0 0 0 T+140\n-ledger.pending: 26\nledger.damaged: 14 > 40\n-ledger.pending_bytes: 166\n"
     "ledger.commits: 13 > 15\n-state.retrying: 5\n-state.oldest: T+140\n-state.next_retry: T+140\n"
     "state.untold: 14 > 40\n-state.failures_max_id: 27\nstate.left synced: 13 > 14\n-state.is_exact: 1\n"
     "-state.joins from: 1\n-state.joins to: 45\n-lead from 30: 0\n+losses 3: 26 1 45 T+140\n"
     "+state.checkpoints: 1\n+state.mend: 1\n+state.positions gone: 1\n"},
};

static void what_is_done_about_harm_is_all_that_is_done(void **state)
{
	(void)state;
	diff_steps(steps, sizeof steps / sizeof *steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_done_about_harm_is_all_that_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
