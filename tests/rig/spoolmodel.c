#include "rig/spoolmodel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "rig/spoolmodel_internal.h"

int64_t model_own_ms(const struct model *m) { return m->uptime_ms + m->offset_ms; }

bool model_is_claimed(void *arg, uint64_t id)
{
	const struct model *m = arg;

	return m->claims && id % 7 == 3;
}

struct message *model_make(uint64_t n, bool no_metadata, uint32_t body_bytes)
{
	struct message *whole = spooldir_message(n, body_bytes);
	struct message *m = no_metadata || n % 5 == 0
	                        ? message_new(NULL, 0, message_body(whole), body_bytes, whole->received_ms)
	                        : message_copy(whole);

	message_free(whole);
	return m;
}

void model_same_bytes(const struct model_message *x, uint64_t id, const void *meta, size_t meta_bytes, const void *body,
                      size_t body_bytes)
{
	struct message *want = model_make(x->n, x->meta_bytes == 0, x->body_bytes);

	if (meta_bytes != want->meta_bytes || body_bytes != want->body_bytes ||
	    (meta_bytes > 0 && memcmp(meta, message_meta(want), meta_bytes) != 0) ||
	    (body_bytes > 0 && memcmp(body, message_body(want), body_bytes) != 0))
		fail_msg("message %" PRIu64 " is not what was appended", id);
	message_free(want);
}

static void claim(struct model *m) { store_set_claims(m->s, model_is_claimed, m); }

void model_open_store(struct model *m, struct store_report *report)
{
	struct error e;

	if (store_open(&m->options, &m->s, report, &e) != ERR_OK)
		fail_msg("open: %s", e.text);
	claim(m);
	m->is_over = false;
	m->due_ms = 0;
	m->due_id = 0;
	m->now.stored_bytes = m->now.unexpected = 0;
}

struct model *model_open(const struct store_options *options)
{
	struct model *m = mem_zero(sizeof *m);
	struct store_report report;

	spooldir_make(&m->dir);
	m->options = options ? *options : (struct store_options){0};
	m->options.path = m->dir.path;
	m->options.create = true;
	m->now.next_id = m->durable_next = 1;
	clock_test_set(0, 0);
	m->offset_ms = 1700000000000 - 5000;
	model_pass(m, 5000, 1700000000000);
	model_open_store(m, &report);
	assert_true(report.created && !report.unclean && !report.marker);
	return m;
}

void model_pass(struct model *m, int64_t uptime_ms, int64_t wall_ms)
{
	m->uptime_ms += uptime_ms;
	m->wall_ms += wall_ms;
	clock_test_set(m->uptime_ms * NS_PER_MS, m->wall_ms * NS_PER_MS);
}

void model_limit(struct model *m, uint64_t max_bytes, bool evict)
{
	m->options.max_bytes = max_bytes;
	m->options.evict_oldest = evict;
	m->is_over = false;
	store_reconfigure(m->s, &m->options);
}

/* A clean stop may write the ledger, with the ids that undone groups had. */
void model_ids_after_stop(struct model *m)
{
	if (store_next_id(m->s) == m->now.next_id)
		m->durable_next = m->now.next_id;
	m->now.next_id = m->durable_next;
}

/* What a handle knows and a start derives from the file: the same before and after a stop, clean or not. */
static void expect_same_handle(const struct store *is, const struct store *was)
{
#define SAME(member) same(#member, is->member, was->member)
	SAME(durable.pending_bytes);
	SAME(durable.retrying);
	SAME(durable.possible);
	SAME(durable.told);
	SAME(durable.handed);
	SAME(durable.clock_offset);
	SAME(durable.blocks_from);
	SAME(durable.rows_from);
	SAME(id.low);
	SAME(page_bytes);
	SAME(rows.positions);
	SAME(rows.positions_sum);
	SAME(rows.keys);
	SAME(rows.imports);
	SAME(rows.imports_sum);
	assert_true(is->failures_max_id <= was->failures_max_id);
	same("gone", is->rows.positions_gone + is->rows.keys_gone + is->rows.imports_gone, 0);
#undef SAME
}

void model_reopen(struct model *m, bool clean)
{
	struct store_report report;
	const struct store was = *m->s;
	const uint64_t last_lead = was.lead_count > 0 ? store_leads_last(m->s) : 0;
	struct error e;

	if (clean)
		assert_int_equal(store_close(m->s, &e), ERR_OK);
	else
		store_abandon(m->s);
	model_peek(m);
	model_open_store(m, &report);
	if (report.warning[0])
		fail_msg("a start warns: %s", report.warning);
	assert_false(report.created || report.quarantined || report.wal_mended || report.strangers);
	same("rows", report.rows, m->now.ledger.pending);
	same("missing", report.missing_rows + report.salvaged_rows + report.wal_frames_lost, 0);
	assert_false(clean && report.unclean);
	assert_int_equal(report.marker, m->disk_failed);
	m->disk_failed = false;
	model_ids_after_stop(m);
	expect_same_handle(m->s, &was);
	if (m->s->lead_count > 0) /* those of what waits, and the last */
		same("the last note of the clock", store_leads_last(m->s), last_lead);
}

void model_close(struct model *m)
{
	struct error e;
	struct buf out;
	uint64_t problems;

	if (m->now.ledger.damaged > 0) {
		model_stop(m);
		model_repair(m);
	}
	assert_int_equal(store_close(m->s, &e), ERR_OK);
	buf_init(&out, 1 << 20);
	assert_int_equal(store_check(m->dir.path, &out, &problems, &e), ERR_OK);
	if (problems > 0)
		fail_msg("%.*s", (int)out.len, out.data);
	buf_fini(&out);
	clock_test_end();
	spooldir_remove(&m->dir);
	free(m->copy);
	free(m);
}

/* Which messages left the block a to b, or none did: `partial` says so. */
static void expect_block(const struct model *m, sqlite3_stmt *st, const bool *alone)
{
	const uint64_t id = (uint64_t)sqlite3_column_int64(st, 0), count = (uint64_t)sqlite3_column_int64(st, 1);
	const unsigned char *bits = sqlite3_column_blob(st, 5);
	uint64_t bytes = 0, gone = 0, gone_bytes = 0;

	assert_in_range(count, 1, BLOCK_MESSAGES);
	for (uint64_t i = 0; i < count; i++) {
		const struct model_message *x = &m->now.items[id + i];
		const bool left = x->place != MODEL_WAITS || alone[id + i];

		bytes += model_weight(x);
		gone += left;
		gone_bytes += left ? model_weight(x) : 0;
		if ((bits && bits[i / 8] >> i % 8 & 1) != left)
			fail_msg("the mark of message %" PRIu64 " in block %" PRIu64 " is wrong", id + i, id);
	}
	same("bytes of a block", sqlite3_column_int64(st, 2), bytes);
	same("settled", sqlite3_column_int64(st, 3), gone);
	same("settled bytes", sqlite3_column_int64(st, 4), gone_bytes);
	assert_true(gone < count && bytes <= BLOCK_BYTES);
}

static sqlite3_stmt *ask(const struct model *m, const char *sql)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(m->s->db, sql, -1, &st, NULL), SQLITE_OK);
	return st;
}

int64_t model_count(const struct model *m, const char *sql)
{
	sqlite3_stmt *st = ask(m, sql);
	int64_t n;

	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return n;
}

static void expect_tables(const struct model *m)
{
	static bool alone[MODEL_IDS], seen[MODEL_IDS];
	sqlite3_stmt *st = ask(m, "SELECT id FROM messages ORDER BY id");
	uint64_t last = 0;

	memset(alone, 0, sizeof alone);
	memset(seen, 0, sizeof seen);
	while (sqlite3_step(st) == SQLITE_ROW) {
		const uint64_t id = (uint64_t)sqlite3_column_int64(st, 0);

		alone[id] = seen[id] = true;
		if (!m->now.items[id].moved_out && model_weight(&m->now.items[id]) <= BLOCK_BYTES && m->asides == 0 &&
		    m->now.ledger.damaged == 0)
			fail_msg("message %" PRIu64 " stands alone without a reason", id);
		same("a row alone", m->now.items[id].place, MODEL_WAITS);
	}
	sqlite3_finalize(st);
	st = ask(m, "SELECT b.id, b.count, b.bytes, p.settled, p.bytes, p.bitmap FROM blocks AS b"
	            " LEFT JOIN partial AS p ON p.block_id = b.id ORDER BY b.id");
	while (sqlite3_step(st) == SQLITE_ROW) {
		const uint64_t id = (uint64_t)sqlite3_column_int64(st, 0);

		assert_true(id > last);
		last = id + (uint64_t)sqlite3_column_int64(st, 1) - 1;
		expect_block(m, st, alone);
		for (uint64_t i = id; i <= last; i++)
			seen[i] = true;
	}
	sqlite3_finalize(st);
	/* What came back from a file set aside is joined, whatever it was before. */
	for (uint64_t id = 1; id < m->now.next_id; id++)
		if (m->now.items[id].place == MODEL_WAITS &&
		    (!seen[id] || (m->now.items[id].moved_out && !alone[id] && m->asides == 0)))
			fail_msg("message %" PRIu64 " stands nowhere, or not alone", id);
	same("failures", model_count(m, "SELECT count(*) FROM failures"), store_retrying(m->s));
	same("lost marks", model_count(m, "SELECT count(*) FROM partial WHERE block_id NOT IN (SELECT id FROM blocks)"),
	     0);
	same("blocks below the bound",
	     model_count(m, "SELECT count(*) FROM blocks WHERE id < (SELECT blocks_from FROM ledger)"), 0);
	same("rows below the bound",
	     model_count(m, "SELECT count(*) FROM messages WHERE id < (SELECT rows_from FROM ledger)"), 0);
	same("damaged rows", model_count(m, "SELECT count(*) FROM damaged"), m->now.damaged_rows);
}

static void expect_failures(const struct model *m)
{
	sqlite3_stmt *st = ask(m, "SELECT id, attempts, next_ms, code, reason FROM failures ORDER BY id");

	while (sqlite3_step(st) == SQLITE_ROW) {
		const struct model_message *x = &m->now.items[sqlite3_column_int64(st, 0)];

		if (x->place != MODEL_WAITS && m->orphans > 0)
			continue;
		assert_true(x->place == MODEL_WAITS && x->failed);
		same("attempts", sqlite3_column_int64(st, 1), x->attempts);
		same("due", sqlite3_column_int64(st, 2), x->due_ms);
		assert_string_equal((const char *)sqlite3_column_text(st, 3), x->code);
		assert_string_equal((const char *)sqlite3_column_text(st, 4), x->reason);
	}
	sqlite3_finalize(st);
}

/* As the table of the oldest says: the first message of a block stands for it though it may have left. */
static int64_t oldest_ms(const struct model *m)
{
	const struct model_message *x = &m->now.items[model_count(
	    m, "SELECT min(i) FROM (SELECT min(id) AS i FROM messages UNION ALL SELECT min(id) FROM blocks)")];
	int64_t step;

	if (x->place == MODEL_NEVER)
		return 0;
	step = m->wall_ms - model_own_ms(m) - x->lead_ms;
	return llabs(step) < 1000 ? x->received_ms : x->received_ms + step;
}

bool model_was_handed_out(const struct model *m, uint64_t id)
{
	const int64_t due_ms = m->now.items[id].due_ms;

	return due_ms < m->due_ms || (due_ms == m->due_ms && id <= m->due_id);
}

uint64_t model_next_due(const struct model *m)
{
	const struct model_message *items = m->now.items;
	uint64_t best = 0;

	for (uint64_t id = 1; id < m->now.next_id; id++)
		if (items[id].place == MODEL_WAITS && items[id].failed && !model_was_handed_out(m, id) &&
		    (best == 0 || items[id].due_ms < items[best].due_ms))
			best = id;
	return best;
}

static void expect_state(struct model *m)
{
	const uint64_t due = model_next_due(m);
	uint64_t bytes = 0, retrying = 0;
	struct store_state state;
	int64_t next_ms;
	struct error e;

	store_state(m->s, &state);
	for (uint64_t id = 1; id < m->now.next_id; id++)
		if (m->now.items[id].place == MODEL_WAITS) {
			bytes += model_weight(&m->now.items[id]);
			retrying += m->now.items[id].failed;
		}
	same("accepted", state.ledger.accepted, m->now.ledger.accepted);
#define LEDGER_STATE(id, column, meaning) same(#column, state.ledger.column, m->now.ledger.column);
#include "base/ledger.def"
	same("pending_bytes", state.pending_bytes, bytes);
	same("pending_bytes", store_pending_bytes(m->s), bytes);
	same("next_id", state.next_id, m->durable_next);
	same("next_id", store_next_id(m->s), m->durable_next);
	same("retrying", state.retrying, retrying + m->orphans);
	same("retrying", store_retrying(m->s), retrying + m->orphans);
	same("oldest", state.oldest_received_ms, oldest_ms(m));
	same("next retry", state.next_retry_ms, due ? m->now.items[due].due_ms + m->wall_ms - model_own_ms(m) : 0);
	same("unexpected", state.unexpected_settlements, m->now.unexpected);
	same("stored", state.stored_bytes, m->now.stored_bytes);
	same("possible duplicates", store_possible_duplicates(m->s), m->now.possible);
	same("aside", state.aside_files * 1000 + state.aside_unread, m->asides * 1000);
	same("moves", store_moves(m->s), state.ledger.accepted * 2 - state.ledger.pending);
	assert_int_equal(store_next_retry_ms(m->s, &next_ms, &e), ERR_OK);
	same("next retry", next_ms, due ? m->now.items[due].due_ms : 0);
	same("clock", store_clock_ms(m->s), model_own_ms(m));
}

/* PATH.tide has what was committed last. */
static void expect_tide(const struct store *s)
{
	const struct totals *t = &s->durable;
	const struct tide want = store_tide_of_run(s);
	const uint64_t states[] = {
#define LEDGER_STATE(id, column, meaning) t->ledger.column,
#include "base/ledger.def"
	};
	struct tide tide;
	struct error e;

	assert_int_equal(files_tide_read(&s->files, &tide, &e), ERR_OK);
	assert_true(tide.is_valid && tide.has_more && !spool_id_differs(tide.spool, s->id));
	same("id of PATH.tide", tide.id, t->next_id - 1);
	same("commits of PATH.tide", tide.commits, t->commits);
	assert_true(tide.epoch == s->row.epoch && tide.base == s->row.base);
	same("accepted of PATH.tide", tide.counts[0], t->ledger.accepted);
	same("states of PATH.tide", tide.count, 1 + sizeof states / sizeof *states);
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		same("a state of PATH.tide", tide.counts[i + 1], states[i]);
	for (size_t i = TIDE_POSITIONS; i < TIDE_COUNTS_MAX; i++)
		same("a number of PATH.tide", tide.counts[i], want.counts[i]);
}

/* PATH.left knows who had his end. */
static void expect_left(const struct model *m)
{
	for (uint64_t id = 1; id < m->durable_next; id++) {
		const struct model_message *x = &m->now.items[id];
		const bool has = left_has(m->s->left, id);

		if (has != x->has_left)
			fail_msg("message %" PRIu64 " is at %d, and has left: %d", id, x->place, has);
	}
	same("trouble with PATH.left", left_trouble(m->s->left), 0);
}

void model_expect(struct model *m)
{
	struct error e;
	uint64_t missing = 7;

	assert_false(m->in_group || store_in_group(m->s));
	if (m->is_over && !m->s->full_bytes) { /* a group of its own ended, and found a tenth free */
		assert_true(model_bytes(m) <= m->options.max_bytes - m->options.max_bytes / 10);
		m->is_over = false;
	}
	life_agrees(m->s);
	expect_state(m);
	expect_tables(m);
	expect_failures(m);
	expect_left(m);
	expect_tide(m->s);
	assert_int_equal(store_count_missing(m->s, &missing, &e), ERR_OK);
	same("missing", missing, 0);
	assert_int_equal(model_read(m, 1, m->durable_next > 1 ? m->durable_next - 1 : 1, UINT32_MAX, UINT64_MAX, &e),
	                 ERR_OK);
	assert_int_equal(model_walk_dead(m, 0, UINT32_MAX, &e), ERR_OK);
	for (int i = 0; i < MODEL_KEYS; i++) {
		assert_int_equal(model_has_key(m, i, &e), ERR_OK);
		assert_int_equal(model_get_position(m, i, &e), ERR_OK);
	}
}

void model_undo(struct model *m)
{
	store_rollback(m->s);
	assert_false(store_in_group(m->s));
	if (m->in_group)
		m->now = m->before;
	m->in_group = false;
	assert_true(m->s->now.next_id >= m->now.next_id && m->s->now.next_id < MODEL_IDS);
	assert_true(m->s->stored_bytes >= m->now.stored_bytes && m->s->unexpected_settlements >= m->now.unexpected);
	m->now.next_id = m->s->now.next_id;
	m->now.stored_bytes = m->s->stored_bytes;
	m->now.unexpected = m->s->unexpected_settlements;
	m->is_over = m->s->full_bytes;
	if (m->s->due_ms <= m->due_ms) {
		m->due_ms = m->s->due_ms;
		m->due_id = m->s->due_id;
	}
	if (m->s->durable.next_id > m->durable_next && m->s->durable.next_id <= m->now.next_id)
		m->durable_next = m->s->durable.next_id; /* a group of its own took the ids that were given out */
}

enum err model_begin(struct model *m, struct error *e)
{
	enum err err = store_begin(m->s, e);

	if (err != ERR_OK)
		return err;
	m->before = m->now;
	m->in_group = true;
	return ERR_OK;
}

uint64_t model_bytes(const struct model *m)
{
	uint64_t bytes = 0;

	for (uint64_t id = 1; id < m->now.next_id; id++)
		bytes += m->now.items[id].place == MODEL_WAITS ? model_weight(&m->now.items[id]) : 0;
	return bytes;
}

void model_weigh(struct model *m, uint64_t bytes)
{
	const uint64_t max = m->options.max_bytes, sum = model_bytes(m) + bytes;

	if (max > 0 && sum > max)
		m->is_over = true;
	else if (max > 0 && m->is_over && sum <= max - max / 10)
		m->is_over = false;
}

enum err model_commit(struct model *m, struct error *e)
{
	enum err err = store_commit(m->s, e);

	if (err != ERR_OK)
		return err;
	m->in_group = false;
	/* of a group that was refused whole nothing need say which ids were given out before it */
	if (m->now.next_id > m->before.next_id || store_next_id(m->s) == m->now.next_id)
		m->durable_next = m->now.next_id;
	if (m->is_over)
		model_weigh(m, 0);
	return ERR_OK;
}
