#include "rig/spoolmodel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rig/faultsql.h"
#include "rig/spoolmodel_internal.h"

/* What store_append must answer, and whom it must evict; `from`: messages of this group are safe. */
enum err model_admit(struct model *m, uint64_t bytes)
{
	const uint64_t max = m->options.max_bytes;
	struct model_message *items = m->now.items;
	uint64_t sum = model_bytes(m), id, target;

	if (max > 0 && bytes > max)
		return ERR_TOOBIG;
	model_weigh(m, bytes);
	if (max == 0 || !m->is_over)
		return ERR_OK;
	if (!m->options.evict_oldest || m->now.ledger.pending == 0)
		return ERR_FULL;
	if (sum + bytes <= max)
		return ERR_OK;
	target = sum > sum + bytes - max ? sum - (sum + bytes - max) : 0;
	for (id = 1; id < m->durable_next && sum > target; id++)
		if (items[id].place == MODEL_WAITS && !model_is_claimed(m, id))
			sum -= model_weight(&items[id]);
	if (sum > target)
		return ERR_FULL;
	for (uint64_t gone = 1; gone < id; gone++)
		if (items[gone].place == MODEL_WAITS && !model_is_claimed(m, gone)) {
			items[gone].place = MODEL_GONE;
			items[gone].has_left = true;
			m->now.ledger.pending--;
			m->now.ledger.evicted++;
		}
	return ERR_OK;
}

/* The store noted how the wall clock stands when it gave out the first id of the group. */
void model_note_lead(struct model *m, int64_t lead)
{
	if (llabs(lead - m->now.lead_ms) >= 1000)
		m->now.lead_ms = lead;
}

static void take(struct model *m, const struct message *x)
{
	same("the id of a message", x->id, m->now.next_id);
	assert_true(x->id < MODEL_IDS - 1);
	model_note_lead(m, m->wall_ms - model_own_ms(m));
	m->now.items[x->id] = (struct model_message){.n = m->n,
	                                             .meta_bytes = x->meta_bytes,
	                                             .body_bytes = x->body_bytes,
	                                             .place = MODEL_WAITS,
	                                             .received_ms = x->received_ms,
	                                             .lead_ms = m->now.lead_ms};
	m->now.next_id++;
	m->now.ledger.accepted++;
	m->now.ledger.pending++;
	m->now.stored_bytes += m->now.items[x->id].body_bytes;
}

static struct message *next_message(struct model *m, uint32_t body_bytes)
{
	struct message *x = model_make(++m->n, m->no_metadata, body_bytes);

	x->received_ms = m->wall_ms - (int64_t)(m->n * 37 % 200);
	return x;
}

enum err model_append(struct model *m, uint32_t body_bytes, struct error *e)
{
	struct message *x = next_message(m, body_bytes);
	enum err err = store_append(m->s, x, e);

	if (err == ERR_OK || ((err == ERR_FULL || err == ERR_TOOBIG) && store_in_group(m->s)))
		same("the verdict of an append", err, model_admit(m, (uint64_t)x->meta_bytes + x->body_bytes));
	if (err == ERR_OK)
		take(m, x);
	message_free(x);
	return err;
}

enum err model_append_list(struct model *m, const uint32_t *body_bytes, size_t count, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const uint64_t n = m->n;
	struct message *x;
	uint64_t bytes = 0;
	enum err err;

	for (size_t i = 0; i < count; i++) {
		x = next_message(m, body_bytes[i]);
		bytes += (uint64_t)x->meta_bytes + x->body_bytes;
		STAILQ_INSERT_TAIL(&list, x, link);
	}
	err = store_admit(m->s, &list, 0, e);
	if (err == ERR_OK || ((err == ERR_FULL || err == ERR_TOOBIG) && store_in_group(m->s)))
		same("the verdict of a list", err, model_admit(m, bytes));
	if (err == ERR_OK)
		err = store_append_list(m->s, &list, e);
	m->n = n;
	STAILQ_FOREACH (x, &list, link) {
		m->n++;
		if (err == ERR_OK)
			take(m, x);
	}
	message_list_free(&list);
	return err;
}

enum err model_append_dead(struct model *m, uint32_t body_bytes, struct error *e)
{
	struct message *x = next_message(m, body_bytes);
	enum err err;

	x->attempts = (uint32_t)(m->n % 9);
	message_fail(x, NULL, m->n % 2 ? "reason" : NULL);
	err = store_append_dead(m->s, x, "code", e);
	if (err == ERR_OK || (err == ERR_FULL && store_in_group(m->s)))
		same("the verdict of a dead one", err, model_admit(m, 0));
	if (err == ERR_OK) {
		const uint64_t stored = m->now.stored_bytes;

		same("id", x->id, m->now.next_id);
		m->now.items[x->id] = (struct model_message){.n = m->n,
		                                             .meta_bytes = x->meta_bytes,
		                                             .body_bytes = x->body_bytes,
		                                             .place = MODEL_DEAD,
		                                             .attempts = x->attempts,
		                                             .received_ms = x->received_ms,
		                                             .died_ms = m->wall_ms,
		                                             .code = "code"};
		(void)snprintf(m->now.items[x->id].reason, 12, "%s", m->n % 2 ? "reason" : "");
		m->now.next_id++;
		m->now.ledger.accepted++;
		m->now.ledger.dead++;
		m->now.stored_bytes = stored;
	}
	message_free(x);
	return err;
}

static uint64_t *counter_of(struct store_ledger *l, enum settle_kind kind)
{
	switch (kind) {
#define LEDGER_END(id, column, meaning) \
	case SETTLE_##id:               \
		return &l->column;
#include "base/ledger.def"
	default:
		break;
	}
	return NULL;
}

static int64_t wait_of(const struct store_settlement *item)
{
	return item->wait_ms < 0 ? 0 : item->wait_ms > 3600000 ? 3600000 : item->wait_ms;
}

/* Where there is room it moves out of its block. */
static bool must_move_out(const struct store_settlement *item)
{
	return item->kind == SETTLE_RETRY && (item->attempts >= 2 || wait_of(item) > 1000);
}

static void take_settled(struct model *m, const struct store_settlement *item, bool has_room)
{
	struct model_message *x = &m->now.items[item->id];

	if (x->place != MODEL_WAITS) {
		assert_true(item->may_be_gone);
		m->now.unexpected++;
		return;
	}
	x->attempts = item->attempts;
	(void)snprintf(x->code, sizeof x->code, "%s", item->code ? item->code : "");
	(void)snprintf(x->reason, sizeof x->reason, "%s", item->reason ? item->reason : "");
	if (item->kind == SETTLE_RETRY) {
		x->failed = true;
		x->moved_out |= has_room && must_move_out(item);
		x->due_ms = model_own_ms(m) + wait_of(item);
		if (x->due_ms <= m->due_ms) {
			m->due_ms = x->due_ms - 1;
			m->due_id = 0;
		}
		return;
	}
	x->failed = false;
	x->place = item->kind == SETTLE_DEAD ? MODEL_DEAD : MODEL_GONE;
	x->has_left = x->place == MODEL_GONE;
	x->died_ms = m->wall_ms;
	m->now.ledger.pending--;
	++*counter_of(&m->now.ledger, item->kind);
}

enum err model_settle(struct model *m, const struct store_settlement *items, size_t count, struct error *e)
{
	enum err err = store_settle(m->s, items, count, e);

	for (size_t i = 0; i < count && err == ERR_OK; i++)
		take_settled(m, &items[i], !m->s->full_disk && !m->s->disk_refused);
	return err;
}

/* A disk that refused one step has no room for what waits in this step and all that follow; for those before it had. */
void model_take_drained(struct model *m, const struct store_settlement *items, size_t count, bool has_room)
{
	const bool ends_full = m->s->full_disk || m->s->disk_refused;

	assert_true(has_room || ends_full); /* nothing that leaves proves that there is room */
	faultsql_pause(true);
	for (size_t i = 0; i < count; i++) {
		const bool waits = m->now.items[items[i].id].place == MODEL_WAITS;

		if (has_room && ends_full && waits && must_move_out(&items[i]))
			has_room = model_is_alone(m, items[i].id);
		take_settled(m, &items[i], has_room);
	}
	faultsql_pause(false);
}

static void stand_again(struct model *m, uint64_t id, uint64_t new_id)
{
	struct model_message *old = &m->now.items[id];
	struct model_message back = *old;

	model_note_lead(m, m->wall_ms - model_own_ms(m));
	back.place = MODEL_WAITS;
	back.received_ms = m->wall_ms;
	back.lead_ms = m->now.lead_ms;
	back.failed = back.moved_out = false;
	old->place = MODEL_GONE;
	old->has_left = true;
	assert_true(new_id < MODEL_IDS - 1);
	m->now.items[new_id] = back;
	m->now.ledger.dead--;
	m->now.ledger.pending++;
}

static enum err put_back(struct model *m, uint64_t id)
{
	const enum err err = model_admit(m, model_weight(&m->now.items[id]));

	if (err != ERR_OK)
		return err;
	m->now.stored_bytes += m->now.items[id].body_bytes;
	stand_again(m, id, m->now.next_id++);
	return ERR_OK;
}

void model_own_group(struct model *m)
{
	m->before = m->now;
	m->in_group = true;
}

/* A verb with a group of its own ends: as it must, or as if it had never been. */
enum err model_own_group_ends(struct model *m, enum err err, enum err want)
{
	if (err == ERR_OK || err == want)
		same("the verdict of a group", err, want);
	if (err == ERR_OK) {
		m->in_group = false;
		m->durable_next = m->now.next_id;
		if (m->is_over)
			model_weigh(m, 0);
		return ERR_OK;
	}
	model_undo(m);
	return err == want ? ERR_OK : err;
}

static uint64_t next_dead(const struct model *m, uint64_t id)
{
	while (id < m->now.next_id && m->now.items[id].place != MODEL_DEAD)
		id++;
	return id;
}

/* As many as had room, in steps whose ids the notes of them tell; ids of the others were given out too. */
static void put_back_in_part(struct model *m, uint64_t from, uint64_t done)
{
	sqlite3_stmt *st = NULL;
	uint64_t id = 0;

	assert_int_equal(sqlite3_prepare_v2(m->s->db,
	                                    "SELECT first_id, messages FROM imports WHERE first_id >= ?1 AND"
	                                    " substr(copy, 1, 8) = x'7075742d6261636b' ORDER BY first_id",
	                                    -1, &st, NULL),
	                 SQLITE_OK);
	sql_bind_u64(st, 1, from);
	while (sqlite3_step(st) == SQLITE_ROW)
		for (uint64_t k = 0; k < sql_column_u64(st, 1); k++, done--) {
			const bool was_over = m->is_over;

			id = next_dead(m, id);
			assert_true(done > 0 && id < from);
			if (m->options.evict_oldest)
				assert_int_equal(model_admit(m, model_weight(&m->now.items[id])), ERR_OK);
			m->is_over = was_over;
			stand_again(m, id, sql_column_u64(st, 0) + k);
		}
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(done, 0);
}

enum err model_retry_dead(struct model *m, uint64_t id, struct error *e)
{
	const uint64_t end = m->now.next_id, durable = m->durable_next;
	uint64_t count = 0, done = 7;
	enum err want = ERR_OK, err;

	model_own_group(m);
	err = store_dead_retry(m->s, id, &done, &(uint64_t){0}, e);
	for (uint64_t i = id ? id : 1; i < (id ? id + 1 : end) && want == ERR_OK; i++)
		if (m->now.items[i].place == MODEL_DEAD) {
			want = put_back(m, i);
			count++;
		}
	if (want == ERR_OK && id && count == 0)
		want = ERR_INPUT;
	assert_true(err == ERR_OK ? done == count : done <= count);
	if (done == 0 || (err == ERR_OK && store_next_id(m->s) == m->now.next_id))
		return model_own_group_ends(m, err, want);
	model_undo(m);             /* a step had no room, or failed: it gave out ids */
	m->durable_next = durable; /* of these one may give its place */
	put_back_in_part(m, end, done);
	m->durable_next = store_next_id(m->s);
	return err == want ? ERR_OK : err;
}

enum err model_purge_dead(struct model *m, uint64_t id, struct error *e)
{
	uint64_t count = 0, done = 7;
	enum err err;

	model_own_group(m);
	err = store_dead_purge(m->s, id, &done, e);
	for (uint64_t i = id ? id : 1; i < (id ? id + 1 : m->now.next_id); i++)
		if (m->now.items[i].place == MODEL_DEAD) {
			m->now.items[i].place = MODEL_GONE;
			m->now.items[i].has_left = true;
			m->now.ledger.dead--;
			m->now.ledger.purged++;
			count++;
		}
	same("purged", done, err == ERR_OK ? count : 0);
	return model_own_group_ends(m, err, id && count == 0 ? ERR_INPUT : ERR_OK);
}

/* The next of what was read is this one; returns what it costs. */
static uint64_t is_next(const struct model *m, struct message_list *list, uint64_t id)
{
	const struct model_message *x = &m->now.items[id];
	const int64_t step = m->wall_ms - model_own_ms(m) - x->lead_ms;
	const int64_t age_ms = m->wall_ms - x->received_ms - (llabs(step) < 1000 ? 0 : step);
	struct message *got = STAILQ_FIRST(list);
	const uint64_t cost = sizeof *got + model_weight(x);

	if (!got)
		fail_msg("message %" PRIu64 " was not read", id);
	same("the message read", got->id, id);
	model_same_bytes(x, id, message_meta(got), got->meta_bytes, message_body(got), got->body_bytes);
	same("received", got->received_ms, x->received_ms);
	same("age", clock_mono_ms() - got->accepted_ms, age_ms > 0 ? age_ms : 0);
	same("attempts", got->attempts, x->failed ? x->attempts : 0);
	STAILQ_REMOVE_HEAD(list, link);
	message_free(got);
	return cost;
}

static uint64_t cost_of(const struct model_message *x) { return sizeof(struct message) + model_weight(x); }

enum err model_read(struct model *m, uint64_t first, uint64_t last, uint32_t max_rows, uint64_t max_bytes,
                    struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count = 7, rows = 0;
	uint64_t reached = 0, end = last, bytes = 0, before = first - 1;
	enum err err = store_read_range(m->s, first, last, max_rows, max_bytes, &list, &count, &reached, e);

	if (err != ERR_OK) {
		message_list_free(&list);
		return err;
	}
	for (uint64_t id = first; id <= last && id < m->now.next_id; id++) {
		const struct model_message *x = &m->now.items[id];

		if (x->place != MODEL_WAITS)
			continue;
		if (x->failed)
			continue;
		if (rows == max_rows || (rows > 0 && bytes + cost_of(x) > max_bytes)) {
			end = 0;
			break;
		}
		bytes += is_next(m, &list, id);
		before = id;
		rows++;
	}
	same("read", count, rows);
	assert_null(STAILQ_FIRST(&list));
	if (end != 0)
		same("the last looked at", reached, last);
	else
		assert_true(reached >= before && reached <= last);
	return ERR_OK;
}

enum err model_read_due(struct model *m, int64_t now_ms, uint32_t max_rows, uint64_t max_bytes, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count = 7, rows = 0;
	uint64_t bytes = 0, id;
	enum err err = store_read_due(m->s, now_ms, max_rows, max_bytes, model_is_claimed, m, &list, &count, e);

	if (err != ERR_OK) {
		message_list_free(&list);
		return err;
	}
	while ((id = model_next_due(m)) != 0 && m->now.items[id].due_ms <= now_ms) {
		const struct model_message *x = &m->now.items[id];

		if (!model_is_claimed(m, id)) {
			if (rows == max_rows || (rows > 0 && bytes + cost_of(x) > max_bytes))
				break;
			bytes += is_next(m, &list, id);
			rows++;
		}
		m->due_ms = x->due_ms;
		m->due_id = id;
	}
	same("read of the failed", count, rows);
	assert_null(STAILQ_FIRST(&list));
	return ERR_OK;
}

struct walk {
	const struct model *m;
	uint64_t after;
	uint32_t left, seen;
};

static bool see_dead(void *arg, const struct store_dead *d)
{
	struct walk *w = arg;
	const struct model_message *x;

	do
		w->after++;
	while (w->after < w->m->now.next_id && w->m->now.items[w->after].place != MODEL_DEAD);
	x = &w->m->now.items[w->after];
	same("the next on the shelf", d->id, w->after);
	model_same_bytes(x, d->id, d->meta, d->meta_bytes, d->body, d->body_bytes);
	same("received", d->received_ms, x->received_ms);
	same("died", d->died_ms, x->died_ms);
	same("attempts", d->attempts, x->attempts);
	assert_string_equal(d->code, x->code);
	assert_string_equal(d->reason, x->reason);
	w->seen++;
	return --w->left > 0;
}

enum err model_walk_dead(struct model *m, uint64_t after, uint32_t limit, struct error *e)
{
	struct walk w = {.m = m, .after = after, .left = limit / 2 + 1};
	uint64_t count = 0;
	enum err err = store_dead_walk(m->s, after, limit, see_dead, &w, e);

	if (err != ERR_OK)
		return err;
	for (uint64_t id = after + 1; id < m->now.next_id; id++)
		count += m->now.items[id].place == MODEL_DEAD;
	if (count > limit)
		count = limit;
	same("seen on the shelf", w.seen, count < limit / 2 + 1 ? count : limit / 2 + 1);
	return ERR_OK;
}

static const char *const caches[] = {"one", "two"};

static void key_of(int key, char out[16]) { (void)snprintf(out, 16, "key%d", key / 2); }

enum err model_add_key(struct model *m, int key, int64_t ttl_ms, struct error *e)
{
	const bool known = m->now.expires_ms[key] > model_own_ms(m), own = !m->in_group;
	bool was_new = known;
	char text[16];
	enum err err;

	key_of(key, text);
	err = store_cache_add(m->s, caches[key % 2], text, strlen(text), ttl_ms, &was_new, e);
	if (err != ERR_OK)
		return err;
	same("a new key", was_new, !known);
	if (!known)
		m->now.expires_ms[key] = ttl_ms == INT64_MAX ? INT64_MAX : model_own_ms(m) + ttl_ms;
	if (own)
		m->durable_next = m->now.next_id;
	return ERR_OK;
}

enum err model_has_key(struct model *m, int key, struct error *e)
{
	char text[16];
	bool has = false;
	enum err err;

	key_of(key, text);
	err = store_cache_has(m->s, caches[key % 2], text, strlen(text), &has, e);
	if (err == ERR_OK)
		same("a key", has, m->now.expires_ms[key] > model_own_ms(m));
	return err;
}

enum err model_put_position(struct model *m, int key, int value, struct error *e)
{
	char name[16], text[12];
	enum err err;

	key_of(key, name);
	(void)snprintf(text, sizeof text, "%d", value);
	err = store_position_put(m->s, name + key % 2, text, e);
	if (err == ERR_OK)
		m->now.positions[key] = value;
	return err;
}

enum err model_get_position(struct model *m, int key, struct error *e)
{
	char name[16];
	char *value = NULL;
	enum err err;

	key_of(key, name);
	err = store_position_get(m->s, name + key % 2, &value, &(bool){false}, e);
	if (err == ERR_OK)
		same("a position", value ? atoi(value) : 0, m->now.positions[key]);
	free(value);
	return err;
}
