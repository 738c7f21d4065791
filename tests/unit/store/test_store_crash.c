/*
 * Power cuts: the real store on a recording VFS, then thousands of states a cut could leave, each opened by the real
 * open sequence. Acknowledged and not settled: must be there, byte for byte. Settled: must be gone. Nothing is
 * repaired, moved aside or reported missing, for a power cut is no damage.
 *
 *   test_journal_crash [states [seed]]        (1,000 by default; 20,000 is the nightly run)
 *
 * With synchronous=NORMAL the same loop must report loss: that shows that it can.
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

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "store/files/spool_files.h"
#include "rig/crashvfs.h"
#include "rig/sanitizer.h"
#include "rig/spooldir.h"
#include "store/store_internal.h"

enum { GROUPS = 220, MAX_IDS = 4000, NORMAL_STATES = 150 };
enum { NOTE_ACCEPTED, NOTE_SETTLING, NOTE_SETTLED };

static uint64_t states = IS_SANITIZED ? 200 : 400; /* tools/campaign wants more */
static uint64_t seed = 20240607;
static bool expect_loss;
static bool joining; /* text, which becomes smaller */

static uint64_t random_below_(uint64_t *x, uint64_t bound)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x % bound;
}

static uint32_t bytes_of(uint64_t id)
{
	static const uint32_t sizes[] = {0, 20, 200, 1000, 5000, 30000};

	return sizes[id * 2654435761u % 97 % 6];
}

/* Lines that many together are smaller than each alone. */
static struct message *message_of(uint64_t id)
{
	char text[200];
	int bytes;

	if (!joining)
		return spooldir_message(id, bytes_of(id));
	bytes = snprintf(text, sizeof text, "{\"sensor\":\"pump-%llu\",\"sequence\":%llu,\"state\":\"running\"}",
	                 (unsigned long long)id % 5, (unsigned long long)id);
	return message_new(NULL, 0, text, (uint32_t)bytes, (int64_t)id);
}

static bool is_message_of(const struct message *m)
{
	struct message *want = message_of(m->id);
	bool same = m->meta_bytes == want->meta_bytes && m->body_bytes == want->body_bytes &&
	            memcmp(message_body(m), message_body(want), m->body_bytes) == 0;

	message_free(want);
	return same && (joining || spooldir_is_message(m, m->id, bytes_of(m->id)));
}

static void append_some(struct store *s, uint64_t *next, uint64_t count)
{
	struct error e;

	for (uint64_t i = 0; i < count; i++) {
		struct message *m = message_of(*next + i);

		must(store_append(s, m, &e) == ERR_OK);
		must(m->id == *next + i);
		message_free(m);
	}
	*next += count;
}

static void settle_some(struct store *s, uint64_t first, uint64_t count)
{
	struct error e;

	for (uint64_t id = first; id < first + count; id++) {
		struct store_settlement item = {.id = id, .kind = id % 7 ? SETTLE_DELIVERED : SETTLE_DEAD, .code = "x"};

		must(store_settle(s, &item, 1, &e) == ERR_OK);
	}
}

/* As the first schema left them. */
static void append_rows(struct store *s, uint64_t *next, uint64_t count)
{
	struct error e;

	must(store_begin(s, &e) == ERR_OK);
	for (uint64_t i = 0; i < count; i++, ++*next) {
		struct message *m = message_of(*next);
		sqlite3_stmt *st = store_statement(s, ST_INSERT);

		row_bind(st, 1, *next, m, 0);
		must(store_run(s, st, &e, "insert") == ERR_OK);
		s->now.next_id++;
		s->now.ledger.accepted++;
		s->now.ledger.pending++;
		s->now.pending_bytes += (uint64_t)m->meta_bytes + m->body_bytes;
		message_free(m);
	}
	must(store_commit(s, &e) == ERR_OK);
}

static void record_scenario(bool normal_sync)
{
	struct spooldir d;
	struct store_options o;
	struct store *s = NULL;
	struct error e;
	uint64_t next = 1, oldest = 1, x = seed | 1;

	spooldir_make(&d);
	o = spooldir_options(&d);
	o.vfs = CRASHVFS_NAME;
	must(store_open(&o, &s, NULL, &e) == ERR_OK); /* a new spool appears whole, by rename */
	if (joining)
		append_rows(s, &next, 700);
	must(store_close(s, &e) == ERR_OK);
	o.normal_sync_for_test = normal_sync;
	crashvfs_record(d.path);
	must(store_open(&o, &s, NULL, &e) == ERR_OK);
	if (joining)
		crashvfs_note(NOTE_ACCEPTED, 1, next - 1);
	for (int i = 0; i < GROUPS; i++) {
		uint64_t in = random_below_(&x, 8), out = random_below_(&x, 8), first = next;

		if (out > next - oldest)
			out = next - oldest;
		must(store_begin(s, &e) == ERR_OK);
		if (i % 4) { /* most commits only add, and leave the ledger's row behind */
			store_let_ledger_wait(s);
			out = i % 4 == 3 ? out : 0;
		}
		append_some(s, &next, in);
		if (out > 0)
			crashvfs_note(NOTE_SETTLING, oldest, oldest + out - 1);
		settle_some(s, oldest, out);
		must(store_commit(s, &e) == ERR_OK);
		if (in > 0)
			crashvfs_note(NOTE_ACCEPTED, first, next - 1);
		if (out > 0)
			crashvfs_note(NOTE_SETTLED, oldest, oldest + out - 1);
		oldest += out;
		if (joining) {
			bool more = true;

			while (more)
				must(store_merge(s, i % 3 ? 0 : oldest + 20, &more, &e) == ERR_OK);
		}
		if (i % 30 == 29)
			must(store_checkpoint(s, true, &e) == ERR_OK);
	}
	must(!joining || store_merge_percent(s) == 100);
	must(store_close(s, &e) == ERR_OK);
	crashvfs_stop();
	spooldir_remove(&d);
}

struct fate {
	bool accepted, settling, settled;
};

static uint64_t replay_notes(size_t cut, struct fate *fates)
{
	uint64_t highest = 0;

	memset(fates, 0, MAX_IDS * sizeof *fates);
	for (size_t i = 0; i < cut; i++) {
		const struct crash_op *op = crashvfs_op(i);

		if (op->kind != CRASH_NOTE)
			continue;
		for (uint64_t id = op->first; id <= op->last; id++) {
			fates[id].accepted |= op->note == NOTE_ACCEPTED;
			fates[id].settling |= op->note == NOTE_SETTLING;
			fates[id].settled |= op->note == NOTE_SETTLED;
		}
		if (op->note == NOTE_ACCEPTED)
			highest = op->last;
	}
	return highest;
}

static void write_tide(const struct spooldir *d, uint64_t id)
{
	struct files f;
	struct error e;

	must(files_open(&f, d->path, &e) == ERR_OK);
	files_tide_open(&f);
	files_tide_write(&f, &(struct tide){.schema = 1, .id = id});
	files_close(&f);
}

/* Reads every pending row; true when the rows are what the fates allow. */
static bool rows_are_right(struct store *s, const struct fate *fates)
{
	bool *there = mem_zero(MAX_IDS * sizeof *there);
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m;
	uint32_t count;
	uint64_t last;
	struct error e;
	bool right = store_read(s, 0, MAX_IDS, UINT64_MAX, &list, &count, &last, &e) == ERR_OK;

	STAILQ_FOREACH (m, &list, link) {
		there[m->id] = true;
		right &= is_message_of(m);
	}
	message_list_free(&list);
	for (uint64_t id = 1; id < MAX_IDS; id++) {
		if (fates[id].accepted && !fates[id].settling)
			right &= there[id];
		if (fates[id].settled)
			right &= !there[id];
	}
	right &= store_ledger(s)->damaged == 0 && store_ledger(s)->pending == count;
	free(there);
	return right;
}

/* True when the state is as promised. */
static bool check_state(size_t cut, enum crash_strategy strategy, uint64_t state_seed, struct fate *fates)
{
	struct spooldir d;
	struct store_options o;
	struct store_report report;
	struct store *s = NULL;
	struct error e;
	uint64_t highest = replay_notes(cut, fates);
	bool right;

	spooldir_make(&d);
	crashvfs_build(d.path, cut, strategy, state_seed);
	if (strategy % 2 && highest > 0)
		write_tide(&d, highest); /* never synced: it survives or it does not */
	o = spooldir_options(&d);
	if (store_open(&o, &s, &report, &e) != ERR_OK) {
		print_message("cut %zu strategy %d: %s\n", cut, (int)strategy, e.text);
		spooldir_remove(&d);
		return false;
	}
	right = !report.quarantined && !report.wal_mended && report.missing_rows == 0 &&
	        strstr(report.warning, "ledger") == NULL && rows_are_right(s, fates);
	if (!right && !expect_loss)
		print_message("cut %zu strategy %d seed %llu: quarantined %d mended %d missing %llu: %s\n", cut,
		              (int)strategy, (unsigned long long)state_seed, report.quarantined, report.wal_mended,
		              (unsigned long long)report.missing_rows, report.warning);
	store_abandon(s);
	spooldir_remove(&d);
	return right;
}

static uint64_t count_wrong(uint64_t wanted_states, uint64_t stop_after)
{
	struct fate *fates = mem_zero(MAX_IDS * sizeof *fates);
	uint64_t x = seed | 1, wrong = 0;

	for (uint64_t i = 0; i < wanted_states && wrong < stop_after; i++) {
		size_t cut = random_below_(&x, crashvfs_count() + 1);

		wrong += !check_state(cut, (enum crash_strategy)(i % STRATEGY_COUNT), x, fates);
	}
	free(fates);
	return wrong;
}

static void no_acknowledged_message_is_lost_by_a_power_cut(void **state)
{
	(void)state;
	record_scenario(false);
	print_message("%zu operations, %llu states, seed %llu\n", crashvfs_count(), (unsigned long long)states,
	              (unsigned long long)seed);
	assert_int_equal(count_wrong(states, 5), 0);
}

/* The first operations are cut one by one: opening, the first log, the first commits. */
static void opening_can_be_cut_anywhere(void **state)
{
	struct fate *fates = mem_zero(MAX_IDS * sizeof *fates);
	size_t first_note = 0;
	int notes = 0;

	(void)state;
	while (notes < 8)
		notes += crashvfs_op(first_note++)->kind == CRASH_NOTE;
	for (size_t cut = 0; cut <= first_note; cut++)
		for (int strategy = 0; strategy < STRATEGY_COUNT; strategy++)
			assert_true(check_state(cut, (enum crash_strategy)strategy, cut + 1, fates));
	free(fates);
}

/* Rows of the first schema, and small blocks, on their way into large ones. */
static void no_message_is_lost_while_blocks_are_joined(void **state)
{
	(void)state;
	joining = true;
	record_scenario(false);
	assert_int_equal(count_wrong(states / 2, 5), 0);
	joining = false;
}

static void the_same_loop_reports_loss_without_the_sync(void **state)
{
	uint64_t wrong;

	(void)state;
	expect_loss = true;
	record_scenario(true);
	wrong = count_wrong(NORMAL_STATES, UINT64_MAX);
	print_message("synchronous=NORMAL: %llu of %d states lose acknowledged messages\n", (unsigned long long)wrong,
	              NORMAL_STATES);
	assert_true(wrong > NORMAL_STATES / 10);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_acknowledged_message_is_lost_by_a_power_cut),
	    cmocka_unit_test(opening_can_be_cut_anywhere),
	    cmocka_unit_test(no_message_is_lost_while_blocks_are_joined),
	    cmocka_unit_test(the_same_loop_reports_loss_without_the_sync),
	};

	if (argc > 1)
		states = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 10);
	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
