/* Lanes against a plain model that looks at all records each time, and units that come apart as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "kinesis/aggregate.h"
#include "delivery/queues/lanes.h"
#include "delivery/queues/unit.h"

enum { IDS = 400, KEYS = 7, PERIOD = 50 };

static struct record *record_of(uint64_t id, const char *key, const char *hash_key, size_t bytes)
{
	struct message *m = message_new_room(bytes, 1000 + (int64_t)id);

	m->id = id;
	memset(m->bytes, 'a' + (int)(id % 26), bytes);
	return record_new(m, key, (uint32_t)strlen(key), false, hash_key, (uint32_t)strlen(hash_key));
}

static char *key_of(uint64_t id, char text[16])
{
	(void)snprintf(text, 16, "k%u", (unsigned)(id * id % KEYS));
	return text;
}

/* Where each record is. */
enum place { NOWHERE, QUEUED, OUT, AWAY, ASKED, DONE };
struct model {
	enum place at[IDS + 1];
	struct record *records[IDS + 1];
};

static uint64_t first_of(const struct model *m, unsigned key, enum place a, enum place b)
{
	for (uint64_t id = 1; id <= IDS; id++)
		if (id * id % KEYS == key && (m->at[id] == a || m->at[id] == b))
			return id;
	return UINT64_MAX;
}

/* What is given is the smallest of its key that is not done, and nothing of its key is elsewhere. */
static void assert_turn(const struct model *m, uint64_t id)
{
	const unsigned key = (unsigned)(id * id % KEYS);

	assert_int_equal(first_of(m, key, OUT, OUT), UINT64_MAX);
	assert_true(first_of(m, key, AWAY, ASKED) > id);
	assert_int_equal(first_of(m, key, QUEUED, QUEUED), id);
}

static bool someone_has_a_turn(const struct model *m)
{
	for (unsigned key = 0; key < KEYS; key++) {
		uint64_t queued = first_of(m, key, QUEUED, QUEUED);

		if (queued != UINT64_MAX && first_of(m, key, OUT, OUT) == UINT64_MAX &&
		    first_of(m, key, AWAY, ASKED) > queued)
			return true;
	}
	return false;
}

/* Each lane counts what its queue has, and all of them together. */
static void assert_sums(const struct lanes *all)
{
	uint32_t records = 0;

	for (size_t at = 0; at < all->places; at++)
		for (const struct lane *l = all->table[at]; l; l = l->next) {
			const struct record *r;
			uint64_t bytes = 0, cost = 0;
			uint32_t count = 0;

			TAILQ_FOREACH (r, &l->queue, link) {
				bytes += aggregate_item_bytes(r->hash_key_bytes > 0, r->data_bytes);
				cost += message_cost(r->message);
				count++;
			}
			assert_int_equal(l->count, count);
			assert_int_equal(l->bytes, bytes);
			assert_int_equal(l->cost, cost);
			records += count;
		}
	assert_int_equal(all->records, records);
}

static void put(struct lanes *all, struct model *m, uint64_t id)
{
	char key[16];
	struct record *r = record_of(id, key_of(id, key), "", 10);
	struct lane *l = lanes_of(all, r);

	r->since_ns = (int64_t)id;
	lanes_put(all, l, r, false);
	m->at[id] = QUEUED;
	m->records[id] = r;
}

static void give_one(struct lanes *all, struct model *m)
{
	struct lane *l = lanes_next(all, 0, true);
	struct record *r;

	assert_sums(all);
	assert_int_equal(l != NULL, someone_has_a_turn(m));
	if (!l)
		return;
	assert_int_equal(lanes_take(all, l, 1 << 20, &r, 1), 1);
	assert_turn(m, r->id);
	assert_ptr_equal(r->lane, l);
	m->at[r->id] = OUT;
}

static void end_one(struct lanes *all, struct model *m, bool is_back)
{
	uint64_t id = first_of(m, (unsigned)random_below(KEYS), OUT, OUT);
	struct record *r;

	if (id == UINT64_MAX)
		return;
	r = m->records[id];
	m->at[id] = is_back ? QUEUED : DONE;
	if (is_back) {
		lanes_put(all, r->lane, r, true);
		return;
	}
	lanes_left(all, r->lane);
	record_free(r);
}

static void put_newest_away(struct lanes *all, struct model *m)
{
	char key[16];
	struct record probe[2] = {{.key = key_of(random_below(IDS) + 1, key), .key_bytes = 2}};
	struct lane *l = lanes_find(all, probe);
	struct record *r = l ? lanes_take_newest(all, l) : NULL;

	if (!r)
		return;
	assert_int_equal(m->at[r->id], QUEUED);
	lanes_add_away(all, l, r->id);
	m->at[r->id] = AWAY;
	record_free(r);
}

static void ask(struct lanes *all, struct model *m)
{
	struct lane *l = TAILQ_FIRST(&all->behind);
	uint64_t ids[3];
	size_t n;

	if (!l || l->asked.ids > 0)
		return;
	n = lanes_ask(all, l, ids, 3);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(m->at[ids[i]], AWAY);
		m->at[ids[i]] = ASKED;
	}
}

static void come_back(struct lanes *all, struct model *m)
{
	uint64_t id = first_of(m, (unsigned)random_below(KEYS), ASKED, ASKED);
	char key[16];
	struct record probe[2] = {{.key = key_of(id, key), .key_bytes = 2}};
	struct lane *l;

	if (id == UINT64_MAX)
		return;
	l = lanes_find(all, probe);
	assert_non_null(l);
	assert_false(lanes_remove_away(all, l, IDS + 1));
	assert_true(lanes_remove_away(all, l, id));
	put(all, m, id);
}

static void lanes_keep_order(void **state)
{
	const struct lanes_rules rules = {.is_on = true, .is_ordered = true, .records = 1};

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct lanes all;
		static struct model m;
		uint64_t next = 1;

		m = (struct model){0};
		random_test_seed(seed);
		lanes_init(&all, &rules);
		for (int step = 0; step < 3000; step++) {
			switch (random_below(7)) {
			case 0:
				if (next <= IDS && random_below(3))
					put(&all, &m, next++);
				break;
			case 1:
			case 2:
				give_one(&all, &m);
				break;
			case 3:
				end_one(&all, &m, random_below(4) == 0);
				break;
			case 4:
				if (random_below(4) == 0)
					put_newest_away(&all, &m);
				break;
			case 5:
				ask(&all, &m);
				break;
			default:
				come_back(&all, &m);
			}
		}
		for (uint64_t id = 1; id <= IDS; id++)
			if (m.at[id] == OUT) {
				struct lane *l = m.records[id]->lane;

				record_free(m.records[id]);
				lanes_left(&all, l);
			}
		lanes_fini(&all);
		assert_int_equal(all.count, 0);
	}
}

/* What was asked for and did not come holds nobody up any more. */
static void what_is_gone_is_forgotten(void **state)
{
	const struct lanes_rules rules = {.is_on = true, .is_ordered = true, .records = 1};
	struct record *r = record_of(5, "k", "", 3), *given;
	struct lanes all;
	struct lane *l;
	uint64_t id;

	(void)state;
	lanes_init(&all, &rules);
	l = lanes_of(&all, r);
	lanes_add_away(&all, l, 4);
	lanes_put(&all, l, r, false);
	assert_null(lanes_next(&all, 0, true));
	assert_int_equal(lanes_ask(&all, l, &id, 1), 1);
	assert_int_equal(id, 4);
	assert_null(lanes_next(&all, 0, true));
	assert_true(lanes_lose_asked(&all, l, id));
	assert_false(lane_is_behind(l));
	assert_ptr_equal(lanes_next(&all, 0, false), l);
	assert_int_equal(lanes_take(&all, l, 1, &given, 1), 1);
	assert_ptr_equal(given, r);
	lanes_left(&all, l);
	record_free(r);
	lanes_fini(&all);
}

static void aggregates_fill_or_wait(void **state)
{
	const struct lanes_rules rules = {
	    .is_on = true, .aggregates = true, .target_bytes = 2000, .period_ns = PERIOD, .records = 1};
	struct record *taken[64];
	struct lanes all;
	struct lane *l;
	uint32_t n;

	(void)state;
	lanes_init(&all, &rules);
	for (uint64_t id = 1; id <= 3; id++) {
		struct record *r = record_of(id, "k", "", 100);

		r->since_ns = (int64_t)id * 10;
		lanes_put(&all, lanes_of(&all, r), r, false);
	}
	assert_int_equal(lanes_due_ns(&all), 10 + PERIOD);
	assert_null(lanes_next(&all, 10 + PERIOD - 1, false));
	l = lanes_next(&all, 10 + PERIOD, false);
	assert_non_null(l);
	n = lanes_take(&all, l, rules.target_bytes, taken, 64);
	assert_int_equal(n, 3);
	assert_null(taken[0]->lane);
	assert_int_equal(all.count, 0);
	while (n > 0)
		record_free(taken[--n]);
	for (uint64_t id = 1; id <= 40; id++) { /* the last ones have another hash key */
		struct record *r = record_of(id, "k", id > 15 ? "7" : "", 100);

		lanes_put(&all, lanes_of(&all, r), r, false);
	}
	assert_int_equal(lanes_due_ns(&all), INT64_MIN);
	n = lanes_take(&all, lanes_next(&all, 0, false), rules.target_bytes, taken, 64);
	assert_int_equal(n, 15);
	while (n > 0)
		record_free(taken[--n]);
	n = lanes_take(&all, lanes_next(&all, 0, false), rules.target_bytes, taken, 64);
	assert_true(n > 10 && n < 19);
	assert_int_equal(taken[0]->id, 16);
	while (n > 0)
		record_free(taken[--n]);
	lanes_fini(&all);
}

static void marks_only_grow(void **state)
{
	static const struct {
		const char *shard, *sequence;
		bool in_order;
	} rows[] = {
	    {"s1", "9", true},
	    {"s1", "10", true},
	    {"s1", "10", false},
	    {"s1", "9", false},
	    {"s1", "11", true},
	    {"s2", "3", true},
	    {"s2", "2", false},
	    {"s2", "49590338271490256608559692538361571095921575989136588898", true},
	    {"s2", "49590338271490256608559692538361571095921575989136588897", false},
	};
	const struct lanes_rules rules = {.is_on = true, .is_ordered = true, .records = 1};
	struct record *r = record_of(1, "k", "", 1);
	struct lanes all;
	struct lane *l;

	(void)state;
	lanes_init(&all, &rules);
	l = lanes_of(&all, r);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(lanes_mark(l, rows[i].shard, rows[i].sequence), rows[i].in_order);
	lanes_put(&all, l, r, false);
	lanes_fini(&all);
}

/* A lane that has nothing is remembered for its mark, but not too many of them. */
static void few_resting_lanes_are_kept(void **state)
{
	const struct lanes_rules rules = {.is_on = true, .is_ordered = true, .records = 1};
	struct lanes all;

	(void)state;
	lanes_init(&all, &rules);
	for (uint64_t id = 1; id <= LANES_RESTING + 100; id++) {
		char key[24];
		struct record *r, *given;
		struct lane *l;

		(void)snprintf(key, sizeof key, "key-%u", (unsigned)id);
		r = record_of(id, key, "", 1);
		l = lanes_of(&all, r);
		lanes_put(&all, l, r, false);
		assert_int_equal(lanes_take(&all, lanes_next(&all, 0, false), 1, &given, 1), 1);
		assert_true(lanes_mark(l, "s", "1"));
		lanes_left(&all, l);
		record_free(r);
	}
	assert_int_equal(all.count, LANES_RESTING);
	lanes_fini(&all);
}

static void units_come_apart_as_they_were(void **state)
{
	struct aggregate_writer *w;
	struct error e;

	(void)state;
	assert_int_equal(aggregate_writer_new(&w, &e), ERR_OK);
	for (uint32_t count = 2; count < 40; count++) {
		struct record *parts[40], *unit, **back;
		uint64_t memory = 0, before;
		uint32_t n;

		for (uint32_t i = 0; i < count; i++) {
			parts[i] = record_of(10 + i, "key", count % 2 ? "5" : "", i * 37 % 301);
			parts[i]->attempts = i % 3;
			memory += message_cost(parts[i]->message);
		}
		before = memory;
		unit = unit_join(w, parts, count, &memory);
		assert_int_equal(unit->id, 10);
		assert_int_equal(unit->accepted_ms, 1010);
		assert_int_equal(record_rows(unit), count);
		assert_int_equal(memory, message_cost(unit->message));
		assert_int_equal(unit->data_bytes, unit->message->body_bytes);
		assert_memory_equal(unit->key, "key", 3);
		unit->attempts = 9;
		back = unit_split(unit, &n, &memory);
		assert_int_equal(n, count);
		assert_int_equal(memory, before);
		for (uint32_t i = 0; i < n; i++) {
			const struct message *m = back[i]->message;

			assert_ptr_equal(back[i], parts[i]);
			assert_int_equal(m->id, 10 + i);
			assert_int_equal(m->body_bytes, i * 37 % 301);
			assert_int_equal(back[i]->attempts, 9);
			for (uint32_t k = 0; k < m->body_bytes; k++)
				assert_int_equal(message_body(m)[k], 'a' + (10 + i) % 26);
			record_free(back[i]);
		}
		free(back);
	}
	aggregate_writer_free(w);
}

/* An aggregate that was refused goes again as it is, with nothing around it; what came since is joined without it. */
static void what_was_joined_is_joined_once(void **state)
{
	const struct lanes_rules rules = {.is_on = true,
	                                  .is_ordered = true,
	                                  .aggregates = true,
	                                  .target_bytes = 2000,
	                                  .period_ns = PERIOD,
	                                  .records = 500};

	(void)state;
	for (uint32_t back = 2; back < 12; back++) {
		struct record *taken[64], *unit;
		struct aggregate_writer *w;
		struct lanes all;
		struct lane *l = NULL;
		uint64_t memory = 1 << 20;
		struct error e;

		assert_int_equal(aggregate_writer_new(&w, &e), ERR_OK);
		lanes_init(&all, &rules);
		for (uint64_t id = 1; id <= back; id++) {
			struct record *r = record_of(id, "k", "", 20);

			lanes_put(&all, lanes_of(&all, r), r, false);
		}
		l = lanes_next(&all, 0, true);
		assert_int_equal(lanes_take(&all, l, rules.target_bytes, taken, 64), back);
		unit = unit_join(w, taken, back, &memory);
		for (uint64_t id = 20; id < 25; id++) {
			struct record *r = record_of(id, "k", "", 20);

			lanes_put(&all, lanes_of(&all, r), r, false);
		}
		assert_null(lanes_next(&all, 0, true));
		lanes_put(&all, l, unit, true);
		assert_int_equal(lanes_take(&all, lanes_next(&all, 0, true), rules.target_bytes, taken, 64), 1);
		assert_ptr_equal(taken[0], unit);
		assert_null(lanes_next(&all, 0, true)); /* one at a time */
		lanes_left(&all, l);
		assert_int_equal(lanes_take(&all, lanes_next(&all, 0, true), rules.target_bytes, taken, 64), 5);
		assert_int_equal(taken[0]->id, 20);
		/* it comes back once more, behind one that it must not stand before */
		lanes_put(&all, l, unit, false);
		for (uint32_t i = 0; i < 5; i++)
			lanes_put(&all, l, taken[i], i == 0);
		assert_int_equal(lanes_take(&all, lanes_next(&all, 0, true), rules.target_bytes, taken, 64), 1);
		assert_ptr_equal(taken[0], unit);
		record_free(unit);
		lanes_fini(&all);
		aggregate_writer_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lanes_keep_order),
	    cmocka_unit_test(what_is_gone_is_forgotten),
	    cmocka_unit_test(aggregates_fill_or_wait),
	    cmocka_unit_test(marks_only_grow),
	    cmocka_unit_test(few_resting_lanes_are_kept),
	    cmocka_unit_test(units_come_apart_as_they_were),
	    cmocka_unit_test(what_was_joined_is_joined_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
