#include "rig/spoolmodel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "rig/faultsql.h"
#include "rig/spoolmodel_internal.h"

/* The copy that was made last: what it holds. */
struct model_copy {
	struct model_state of;
	uint64_t lowest, highest, messages;
	int64_t own_ms; /* its own time */
};

static const char *copy_path(const struct model *m) { return spooldir_file(&m->dir, ".copy"); }

struct peek {
	const struct model_state *of;
	uint64_t id, seen;
};

static bool see(void *arg, const struct store_peeked *p)
{
	struct peek *k = arg;
	const struct model_message *x;

	do
		k->id++;
	while (k->id < k->of->next_id && k->of->items[k->id].place != MODEL_WAITS);
	x = &k->of->items[k->id];
	same("the message shown", p->id, k->id);
	assert_true(p->is_sound && p->block_id <= p->id &&
	            p->id < p->block_id + (p->block_id ? BLOCK_MESSAGES : p->id + 1));
	same("received", p->received_ms, x->received_ms);
	model_same_bytes(x, p->id, p->meta, p->meta_bytes, p->body, p->body_bytes);
	k->seen++;
	return true;
}

static enum err peek(const struct model_state *of, const char *path, bool is_copy, struct error *e)
{
	struct peek k = {.of = of};
	enum err err = store_peek(path, is_copy, see, &k, e);

	if (err == ERR_OK)
		same("messages shown", k.seen, of->ledger.pending);
	return err;
}

void model_peek(struct model *m)
{
	struct error e;

	if (peek(&m->now, m->dir.path, false, &e) != ERR_OK)
		fail_msg("peek: %s", e.text);
}

static int64_t own_ms_of(const char *path)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db;
	int64_t ms;

	faultsql_pause(true);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT clock_ms FROM ledger", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	ms = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	faultsql_pause(false);
	return ms;
}

enum err model_export(struct model *m, struct error *e)
{
	struct model_copy *c = m->copy ? m->copy : (m->copy = mem_zero(sizeof *c));
	struct error refused;
	enum err err;

	(void)unlink(copy_path(m));
	err = store_export(m->s, copy_path(m), e);
	if (err != ERR_OK) {
		assert_int_not_equal(access(copy_path(m), F_OK), 0);
		free(m->copy);
		m->copy = NULL;
		return err;
	}
	assert_int_not_equal(access(spooldir_file(&m->dir, ".copy.kspool-part"), F_OK), 0);
	assert_int_equal(store_export(m->s, copy_path(m), &refused), ERR_INPUT);
	*c = (struct model_copy){.of = m->now, .own_ms = own_ms_of(copy_path(m))};
	for (uint64_t id = 1; id < m->now.next_id; id++) {
		const enum model_place place = m->now.items[id].place;

		c->messages += place == MODEL_WAITS || place == MODEL_DEAD;
		if (place != MODEL_WAITS)
			continue;
		c->lowest = c->lowest ? c->lowest : id;
		c->highest = id;
	}
	return peek(&c->of, copy_path(m), true, e);
}

/* Copies are of this spool: whatever one holds is here, or was here and has left. */
static bool is_known(const struct model *m) { return m->copy->messages > 0; }

static enum err take_pending(struct model *m)
{
	const struct model_copy *c = m->copy;

	for (uint64_t id = c->lowest; id && id <= c->highest; id++) {
		struct model_message x = c->of.items[id];
		enum err err;

		if (x.place != MODEL_WAITS)
			continue;
		err = model_admit(m, model_weight(&x));
		if (err != ERR_OK)
			return err;
		model_note_lead(m, x.lead_ms + c->own_ms - model_own_ms(m)); /* as old as it was in the copy */
		x.lead_ms = m->now.lead_ms;
		x.reason[0] = '\0';
		x.moved_out = x.failed && x.attempts >= 2;
		x.due_ms = model_own_ms(m);
		if (x.failed && x.due_ms <= m->due_ms) {
			m->due_ms = x.due_ms - 1;
			m->due_id = 0;
		}
		assert_true(m->now.next_id < MODEL_IDS - 1);
		m->now.items[m->now.next_id++] = x;
		m->now.stored_bytes += x.body_bytes;
		m->now.ledger.accepted++;
		m->now.ledger.pending++;
	}
	return ERR_OK;
}

static enum err take_dead(struct model *m)
{
	const struct model_copy *c = m->copy;

	for (uint64_t id = 1; id < c->of.next_id; id++) {
		struct model_message x = c->of.items[id];
		enum err err;

		if (x.place != MODEL_DEAD)
			continue;
		err = model_admit(m, 0);
		if (err != ERR_OK)
			return err;
		x.died_ms = m->wall_ms;
		m->now.items[m->now.next_id++] = x;
		m->now.ledger.accepted++;
		m->now.ledger.dead++;
	}
	return ERR_OK;
}

uint64_t model_copied(const struct model *m) { return m->copy ? m->copy->messages : 0; }

enum err model_import(struct model *m, bool again, struct error *e)
{
	struct model_copy *c = m->copy;
	const bool known = is_known(m);
	const int64_t due_ms = m->due_ms;
	const uint64_t due_id = m->due_id;
	uint64_t rows = 7;
	enum err want, err;

	model_own_group(m);
	err = store_import(m->s, copy_path(m), again, &rows, e);
	want = known && !again ? ERR_INPUT : take_pending(m);
	if (want == ERR_OK)
		want = take_dead(m);
	if (want == ERR_OK)
		m->now.possible += c->messages;
	same("taken in", rows, err == ERR_OK ? c->messages : 0);
	if (want == ERR_FULL) /* no producer, who would come again */
		want = ERR_NOSPACE;
	if (err != ERR_OK) {
		m->due_ms = due_ms;
		m->due_id = due_id;
	}
	return model_own_group_ends(m, err, want);
}
