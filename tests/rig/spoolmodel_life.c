#include "rig/spoolmodel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig/faultsql.h"
#include "rig/spoolmodel_internal.h"

enum { PAYLOAD = 300, SETTLE_MAX = 40 };

static uint64_t random_state;
static bool is_large; /* this life's groups */

uint64_t model_pick(uint64_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (random_state >> 33) % n;
}

static uint32_t some_bytes(void)
{
	static const uint32_t sizes[] = {0, 1, 7, 100, 1000, 5000};

	return model_pick(3) ? (uint32_t)model_pick(PAYLOAD) : sizes[model_pick(sizeof sizes / sizeof *sizes)];
}

/* What is refused is refused, and the group goes on. */
static enum err refused(const struct model *m, enum err err)
{
	return (err == ERR_FULL || err == ERR_TOOBIG) && store_in_group(m->s) ? ERR_OK : err;
}

/* Groups that change nothing but note the ids that were given out. */
static enum err own_groups(struct model *m, enum err err)
{
	if (err == ERR_OK && store_next_id(m->s) == m->now.next_id)
		m->durable_next = m->now.next_id;
	return err;
}

static enum err checkpoint(struct model *m, struct error *e)
{
	const bool force = model_pick(2);
	const uint64_t before = m->s->checkpoints;
	enum err err = store_checkpoint(m->s, force, e);

	assert_true(err != ERR_OK || m->s->checkpoints == before + force);
	return own_groups(m, err);
}

static enum err append_each(struct model *m, struct error *e)
{
	const uint64_t count = model_pick(8) ? 1 + model_pick(6) : 1 + model_pick(60);
	const bool waits = model_pick(3) == 0;
	enum err err = model_begin(m, e);

	if (err == ERR_OK && waits)
		store_let_ledger_wait(m->s);
	for (uint64_t i = 0; i < count && err == ERR_OK; i++)
		err = refused(m, model_append(m, some_bytes(), e));
	if (err == ERR_OK)
		err = model_commit(m, e);
	return err == ERR_OK && waits && model_pick(3) == 0 ? checkpoint(m, e) : err;
}

static enum err append_lists(struct model *m, struct error *e)
{
	uint32_t bytes[30];
	const uint64_t count = 1 + model_pick(30);
	enum err err = model_begin(m, e);

	for (int lists = 1 + (int)model_pick(3); lists > 0 && err == ERR_OK; lists--) {
		for (uint64_t i = 0; i < count; i++)
			bytes[i] = some_bytes();
		err = refused(m, model_append_list(m, bytes, count, e));
	}
	if (err == ERR_OK && model_pick(4) == 0)
		err = refused(m, model_append_dead(m, some_bytes(), e));
	if (err == ERR_OK && model_pick(4) == 0) {
		const uint32_t filtered = (uint32_t)model_pick(5);

		store_count_filtered(m->s, filtered);
		m->now.ledger.accepted += filtered;
		m->now.ledger.filtered += filtered;
	}
	if (err == ERR_OK && model_pick(4) == 0)
		err = model_put_position(m, (int)model_pick(MODEL_KEYS), 1 + (int)model_pick(1000), e);
	if (err == ERR_OK && model_pick(4) == 0)
		err = model_add_key(m, (int)model_pick(MODEL_KEYS), (int64_t)model_pick(20000), e);
	return err == ERR_OK ? model_commit(m, e) : err;
}

/* Groups at the limits of a block, and messages that stand alone. */
static enum err append_large(struct model *m, struct error *e)
{
	static const struct {
		uint32_t count, bytes;
	} groups[] = {{511, 10},
	              {512, 10},
	              {513, 3},
	              {1025, 1},
	              {3, BLOCK_BYTES / 3},
	              {1, BLOCK_BYTES},
	              {2, BLOCK_BYTES},
	              {70, 16384},
	              {1, BLOCK_BYTES + 1},
	              {5, 300000}};
	const size_t which = model_pick(sizeof groups / sizeof *groups);
	const bool in_list = model_pick(2);
	static uint32_t bytes[1025];
	enum err err = model_begin(m, e);

	for (size_t i = 0; i < groups[which].count; i++)
		bytes[i] = groups[which].bytes;
	if (err == ERR_OK && in_list)
		err = refused(m, model_append_list(m, bytes, groups[which].count, e));
	for (size_t i = 0; i < groups[which].count && err == ERR_OK && !in_list; i++)
		err = refused(m, model_append(m, bytes[i], e));
	return err == ERR_OK ? model_commit(m, e) : err;
}

/* A pending message at or behind a random place; 0: none. */
uint64_t model_some_pending(const struct model *m)
{
	uint64_t id = 1 + model_pick(m->now.next_id);

	while (id < m->now.next_id && m->now.items[id].place != MODEL_WAITS)
		id++;
	return id < m->now.next_id ? id : 0;
}

static struct store_settlement some_end(const struct model *m, uint64_t id, uint64_t way)
{
	static const enum settle_kind kinds[] = {SETTLE_DELIVERED, SETTLE_DELIVERED, SETTLE_EXPIRED, SETTLE_FILTERED,
	                                         SETTLE_RETRY,     SETTLE_DEAD,      SETTLE_EVICTED, SETTLE_DELIVERED};
	static const int64_t waits[] = {-5, 0, 1, 50, 1000, 1001, 3600000, 3600001};
	const uint64_t kind = model_pick(3) ? way : model_pick(sizeof kinds / sizeof *kinds);

	return (struct store_settlement){.id = id,
	                                 .kind = kinds[kind],
	                                 .bytes = model_pick(2) ? model_weight(&m->now.items[id]) : 0,
	                                 .attempts = (uint32_t)model_pick(4),
	                                 .wait_ms = waits[model_pick(8)],
	                                 .code = "code",
	                                 .reason = (char *)(uintptr_t) "reason"};
}

/* Neighbours from a random place on, with gaps, some of them not there any more. */
static size_t some_settlements(const struct model *m, struct store_settlement *items, size_t max)
{
	const uint64_t way = model_pick(8), gaps = model_pick(3) ? 50 : 3;
	const bool may_be_gone = model_pick(6) == 0;
	size_t n = 0;

	for (uint64_t id = model_some_pending(m); id > 0 && id < m->now.next_id && n < max; id++) {
		const bool waits = m->now.items[id].place == MODEL_WAITS;

		if ((!waits && !may_be_gone) || model_pick(gaps) == 0)
			continue;
		items[n] = some_end(m, id, way);
		items[n].may_be_gone = may_be_gone;
		if (!waits && (items[n].kind == SETTLE_DEAD || items[n].bytes > 0))
			continue;
		n++;
	}
	return n;
}

static void swap_some(struct store_settlement *items, size_t count)
{
	for (size_t i = 0; i + 1 < count; i++) {
		const size_t k = i + model_pick(count - i);
		const struct store_settlement one = items[i];

		items[i] = items[k];
		items[k] = one;
	}
}

static enum err settle_some(struct model *m, struct error *e)
{
	static struct store_settlement items[SETTLE_MAX * 30];
	size_t count;
	enum err err = model_begin(m, e);

	if (err == ERR_OK && model_pick(4) == 0)
		err = refused(m, model_append(m, some_bytes(), e)); /* which may evict */
	count = some_settlements(m, items, model_pick(4) ? SETTLE_MAX : sizeof items / sizeof *items);
	if (model_pick(4) == 0)
		swap_some(items, count);
	for (size_t i = 0, n; i < count && err == ERR_OK; i += n) {
		n = 1 + model_pick(count - i);
		err = model_settle(m, items + i, n, e);
	}
	if (err == ERR_OK && model_pick(4) == 0)
		err = refused(m, model_append(m, some_bytes(), e));
	return err == ERR_OK ? model_commit(m, e) : err;
}

/* Whole blocks, hundreds of messages. */
static enum err settle_most(struct model *m, struct error *e)
{
	static struct store_settlement items[MODEL_IDS];
	const uint64_t keep = 50 + model_pick(100);
	size_t n = 0;
	enum err err = model_begin(m, e);

	for (uint64_t id = 1 + model_pick(50); id < m->now.next_id; id++)
		if (m->now.items[id].place == MODEL_WAITS && id + keep < m->now.next_id)
			items[n++] = (struct store_settlement){.id = id, .kind = SETTLE_DELIVERED};
	if (err == ERR_OK)
		err = model_settle(m, items, n, e);
	return err == ERR_OK ? model_commit(m, e) : err;
}

static enum err undo_some(struct model *m, struct error *e)
{
	struct store_settlement items[SETTLE_MAX];
	enum err err = model_begin(m, e);

	if (err == ERR_OK)
		err = refused(m, model_append(m, some_bytes(), e));
	if (err == ERR_OK)
		err = model_settle(m, items, some_settlements(m, items, SETTLE_MAX), e);
	if (err == ERR_OK)
		err = model_add_key(m, (int)model_pick(MODEL_KEYS), (int64_t)model_pick(20000), e);
	if (err == ERR_OK)
		err = model_put_position(m, (int)model_pick(MODEL_KEYS), 1 + (int)model_pick(1000), e);
	if (err == ERR_OK)
		model_undo(m);
	return err;
}

static enum err drain(struct model *m, struct error *e)
{
	static struct store_settlement items[SETTLE_MAX * 5];
	const bool has_room = !m->s->full_disk && !m->s->disk_refused;
	size_t count = some_settlements(m, items, sizeof items / sizeof *items), done = 7;
	enum err err = store_settle_full(m->s, items, count, &done, e);

	assert_true(done <= count && (err != ERR_OK || done == count));
	model_take_drained(m, items, done, has_room);
	if (done > 0)
		m->durable_next = m->now.next_id;
	assert_true(m->s->unexpected_settlements >= m->now.unexpected); /* those of a step that was tried again, too */
	m->now.unexpected = m->s->unexpected_settlements;
	return err;
}

static enum err read_range(struct model *m, struct error *e)
{
	const uint64_t end = m->durable_next > 1 ? m->durable_next - 1 : 1;
	const uint64_t first = 1 + model_pick(end), last = first + model_pick(end - first + 1);

	return model_read(m, first, last, 1 + (uint32_t)model_pick(20), model_pick(2) ? model_pick(5000) : UINT64_MAX,
	                  e);
}

static enum err read_due(struct model *m, struct error *e)
{
	return model_read_due(m, model_own_ms(m) + (int64_t)model_pick(2000) - 500, 1 + (uint32_t)model_pick(10),
	                      model_pick(2) ? model_pick(2000) : UINT64_MAX, e);
}

static enum err walk_dead(struct model *m, struct error *e)
{
	return model_walk_dead(m, model_pick(m->now.next_id), 1 + (uint32_t)model_pick(10), e);
}

static uint64_t some_dead(const struct model *m)
{
	uint64_t id = 1 + model_pick(m->now.next_id);

	while (id < m->now.next_id && m->now.items[id].place != MODEL_DEAD)
		id++;
	return id; /* perhaps none */
}

static enum err retry_dead(struct model *m, struct error *e)
{
	return model_retry_dead(m, model_pick(3) ? some_dead(m) : 0, e);
}

static enum err purge_dead(struct model *m, struct error *e)
{
	return model_purge_dead(m, model_pick(3) ? some_dead(m) : 0, e);
}

static enum err merge(struct model *m, struct error *e)
{
	bool more = true;
	enum err err = ERR_OK;

	m->claims = model_pick(2);
	for (int steps = 0; steps < 40 && more && err == ERR_OK; steps++)
		err = store_merge(m->s, model_pick(3) ? 0 : model_pick(m->durable_next), &more, e);
	m->claims = false;
	return own_groups(m, err);
}

static enum err give_back(struct model *m, struct error *e)
{
	bool more = true;
	enum err err = ERR_OK;

	while (more && err == ERR_OK)
		err = store_give_back(m->s, &more, e);
	if (err == ERR_OK)
		assert_int_equal(files_bytes(&m->s->files, "-wal"), 0);
	return own_groups(m, err);
}

static enum err recount(struct model *m, struct error *e)
{
	struct store_report counted = {.missing_rows = 7};
	enum err err = store_recount(m->s, &counted, e);

	assert_true(counted.missing_rows == 0);
	return own_groups(m, err);
}

static enum err add_key(struct model *m, struct error *e)
{
	return model_add_key(m, (int)model_pick(MODEL_KEYS), model_pick(8) ? (int64_t)model_pick(20000) : INT64_MAX, e);
}

static enum err copy_out(struct model *m, struct error *e) { return model_export(m, e); }

static enum err copy_in(struct model *m, struct error *e)
{
	const uint64_t messages = model_copied(m);

	if (!m->copy || m->now.next_id + messages > MODEL_IDS - 4500)
		return model_walk_dead(m, 0, 5, e);
	return model_import(m, model_pick(2), e);
}

typedef enum err verb(struct model *m, struct error *e);

static const struct {
	verb *run;
	unsigned weight;
} verbs[] = {
    {append_each, 8}, {append_lists, 8}, {settle_some, 14}, {settle_most, 2}, {undo_some, 2},  {drain, 2},
    {read_range, 3},  {read_due, 5},     {walk_dead, 1},    {retry_dead, 2},  {purge_dead, 1}, {merge, 2},
    {checkpoint, 2},  {give_back, 1},    {recount, 1},      {add_key, 2},     {copy_out, 1},   {copy_in, 1},
};

static verb *some_verb(void)
{
	unsigned sum = 0;
	uint64_t at;

	if (is_large && model_pick(6) == 0)
		return append_large;
	if (is_large && model_pick(6) == 0)
		return settle_most;

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		sum += verbs[i].weight;
	at = model_pick(sum);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (at < verbs[i].weight)
			return verbs[i].run;
		at -= verbs[i].weight;
	}
	return NULL;
}

/* What happens beside the verbs; no statement fails then. */
static void let_something_happen(struct model *m)
{
	static const int64_t steps[] = {0, 0, 0, 400, -400, 5000, -86400000, 86400000};

	switch (model_pick(12)) {
	case 0:
		model_reopen(m, model_pick(2));
		break;
	case 1:
	case 2: {
		const int64_t ms = (int64_t)model_pick(3000);

		model_pass(m, ms, ms + steps[model_pick(8)]);
		break;
	}
	case 3:
		store_set_waits(m->s, model_pick(2));
		break;
	case 4:
		m->options.compress = (enum store_compress)model_pick(3);
		store_reconfigure(m->s, &m->options);
		m->is_over = false;
		break;
	case 5:
		model_limit(m, model_pick(3) ? 0 : 1 + model_pick(2 * model_bytes(m) + 1000), model_pick(2));
		break;
	case 6:
		m->claims = model_pick(2);
		break;
	default:
		break;
	}
}

/* What is tried another way, or looked at once more; and what goes on with a full disk. */
static bool may_go_on(verb *run, int code)
{
	const char *what = faultsql_what();

	return strcmp(what, "ROLLBACK") == 0 || strcmp(what, "PRAGMA freelist_count") == 0 ||
	       (code == SQLITE_FULL && (run == drain || run == checkpoint || run == append_each || run == retry_dead ||
	                                run == purge_dead || run == give_back)); /* by the reserve, or by parts */
}

/* A write was refused: nothing is admitted until there is plausibly space. */
static void pass_full_disk(struct model *m)
{
	struct error e;

	assert_true(m->s->disk_refused);
	model_limit(m, 0, false);
	assert_int_equal(store_admission(m->s, &e), ERR_FULL);
	model_pass(m, 3600000, 3600000);
	assert_int_equal(store_probe_disk(m->s, &e), ERR_OK);
	assert_false(m->s->disk_refused);
	assert_int_equal(own_groups(m, ERR_OK), ERR_OK);
	assert_int_equal(store_admission(m->s, &e), ERR_OK);
}

static void try_verb(struct model *m, uint64_t *ret_failed)
{
	static const struct {
		int code;
		enum err err;
	} faults[] = {{SQLITE_NOMEM, ERR_MEMORY},
	              {SQLITE_NOMEM, ERR_MEMORY},
	              {SQLITE_FULL, ERR_FULL},
	              {SQLITE_IOERR_WRITE, ERR_DISK}};
	verb *run = some_verb();
	const uint64_t n = m->n;
	const bool reads = run == read_range || run == read_due; /* which a full disk does not stop */
	const bool copies = run == copy_out || run == copy_in;   /* whose errors may be another's */
	const size_t some = model_pick(sizeof faults / sizeof *faults);
	const size_t fault = copies || (reads && faults[some].err == ERR_FULL) ? 0 : some;
	const uint64_t which = 1 + model_pick(model_pick(2) ? 6 : 40), seed = random_state;
	struct error e = {.code = ERR_OK};
	enum err err;

	faultsql_arm(which, faults[fault].code, false);
	err = run(m, &e);
	if (faultsql_failed() && !(err == ERR_OK && may_go_on(run, faults[fault].code))) {
		faultsql_arm(0, 0, false);
		++*ret_failed;
		if (err != faults[fault].err || e.code != err || !e.text[0])
			fail_msg("%s failed, and the answer is %d: %s", faultsql_what(), (int)err, e.text);
		model_undo(m);
		assert_int_equal(store_trust(m->s, &e), err == ERR_DISK ? ERR_DISK : ERR_OK);
		m->disk_failed = err == ERR_DISK;
		if (m->disk_failed)
			model_reopen(m, false);
		else if (err == ERR_FULL)
			pass_full_disk(m);
		model_expect(m);
		random_state = seed;
		m->n = n + 1000; /* other bytes */
		err = run(m, &e);
	}
	faultsql_arm(0, 0, false);
	if (err != ERR_OK)
		fail_msg("%d: %s", (int)err, e.text);
	if (m->s->disk_refused)
		pass_full_disk(m);
	model_expect(m);
}

void model_live(uint64_t seed, int steps, unsigned ways, const struct store_options *options)
{
	struct model *m = model_open(options);
	uint64_t failed = 0;
	struct error e;

	random_state = seed;
	is_large = ways & MODEL_LARGE;
	assert_int_equal(append_each(m, &e), ERR_OK); /* own time begins with the first commit */
	for (int step = 0; step < steps && m->now.next_id < MODEL_IDS - 3500; step++) {
		let_something_happen(m);
		if ((ways & MODEL_HARMED) && model_pick(25) == 0)
			model_do_harm(m, &failed);
		if (ways & MODEL_HARMED) {
			m->options.compress = STORE_COMPRESS_NEVER; /* of a packed block one wrong bit costs all */
			store_reconfigure(m->s, &m->options);
			m->is_over = false;
		}
		try_verb(m, &failed);
	}
	assert_true(failed > (uint64_t)steps / 10);
	print_message("%llu ids, %llu calls failed\n", (unsigned long long)m->now.next_id, (unsigned long long)failed);
	model_close(m);
}
