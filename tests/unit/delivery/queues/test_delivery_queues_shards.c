/* The map of shards, the set of parked ids and the heavy keys, against models that are slow and plain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/queues/heavy.h"
#include "delivery/queues/parked.h"
#include "delivery/queues/shards.h"
#include "delivery/queues/tries.h"

static uint64_t seed = 42;

static uint64_t chance(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return seed >> 16;
}

enum { IDS = 20000 };

/* Adds, removes and takes at random; after each step counts agree, and what is taken is the smallest there is. */
static void parked_ids_are_a_set_in_order(void **state)
{
	static unsigned char model[IDS];
	struct parked p = {0}, other = {0};
	uint64_t count = 0;

	(void)state;
	for (int step = 0; step < 60000; step++) {
		uint64_t id = chance() % 4 ? (uint64_t)step % IDS : chance() % IDS, taken[300];
		size_t most = (size_t)(chance() % 300), n;

		switch (chance() % 8) {
		case 0:
			assert_int_equal(parked_remove(&p, id), model[id]);
			count -= model[id];
			model[id] = 0;
			break;
		case 1:
			if (chance() % 16)
				break;
			n = parked_take(&p, taken, most);
			for (size_t i = 0, at = 0; i < n; i++, at++) {
				while (!model[at])
					at++;
				assert_int_equal(taken[i], at);
				model[at] = 0;
			}
			assert_true(n == most || n == count);
			count -= n;
			break;
		default:
			assert_int_equal(parked_add(&p, id), !model[id]);
			count += !model[id];
			model[id] = 1;
		}
		assert_int_equal(p.ids, count);
		assert_true((parked_bytes(&p) == 0) == (count == 0));
	}
	(void)parked_add(&other, 3 * (uint64_t)IDS);
	(void)parked_add(&other, 7);
	count += model[7] ? 1 : 2;
	parked_join(&p, &other);
	assert_int_equal(p.ids, count);
	assert_int_equal(other.ids, 0);
	parked_fini(&p);
}

/* Ten million ids of which every fourth is parked: 1.4 MiB, less than doubling may add. */
static void a_parked_backlog_is_small(void **state)
{
	struct parked p = {0};

	(void)state;
	for (uint64_t id = 1; id <= 10000000; id += 1 + chance() % 7)
		(void)parked_add(&p, id);
	assert_in_range(parked_bytes(&p), 1 << 20, 3 << 20);
	parked_fini(&p);
}

struct truth {
	uint64_t first[64];
	int name[64];
	size_t count;
};

static const char *name_of(const struct truth *t, uint64_t hash, char *text)
{
	size_t at = 0;

	while (at + 1 < t->count && t->first[at + 1] <= hash)
		at++;
	(void)sprintf(text, "shardId-%012d", t->name[at]);
	return text;
}

static void check(const struct shards *all)
{
	for (size_t i = 0; i < all->count; i++) {
		assert_true(all->items[i]->first <= all->items[i]->last);
		assert_true(i == 0 || all->items[i - 1]->last < all->items[i]->first);
		for (size_t k = 0; k < i; k++)
			assert_true(!all->items[i]->name[0] || strcmp(all->items[i]->name, all->items[k]->name) != 0);
	}
}

/* A stream whose shards split at random: what an answer said is known until the next split, and never of two shards. */
static void the_map_follows_the_stream(void **state)
{
	struct record_queue strays = TAILQ_HEAD_INITIALIZER(strays);
	struct truth t = {.count = 4};
	struct shards all;
	char text[32];
	int next = 4;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		t.first[i] = i << 62;
		t.name[i] = (int)i;
	}
	shards_init(&all);
	for (int round = 0; round < 40; round++) {
		size_t wrong = 0;

		for (int i = 0; i < 2000; i++) {
			uint64_t hash = chance() << 16;
			const char *name = name_of(&t, hash, text);
			struct shard *s = shards_learn(&all, hash, i % 50 == 0 ? "" : name, &strays);

			assert_non_null(s);
			assert_true(s == shards_find(&all, hash));
			if (i % 50 != 0)
				assert_string_equal(s->name, name);
		}
		check(&all);
		for (int i = 0; i < 1000; i++) {
			uint64_t hash = chance() << 16;
			const struct shard *s = shards_find(&all, hash);

			wrong += !s || strcmp(s->name, name_of(&t, hash, text)) != 0;
		}
		assert_in_range(wrong, 0, 60); /* the seams between shards */
		if (t.count < 40) {            /* a split */
			size_t at = (size_t)(chance() % t.count);
			uint64_t last = at + 1 < t.count ? t.first[at + 1] - 1 : UINT64_MAX;

			memmove(&t.first[at + 1], &t.first[at], (t.count - at) * sizeof *t.first);
			memmove(&t.name[at + 1], &t.name[at], (t.count - at) * sizeof *t.name);
			t.first[at + 1] = t.first[at] + (last - t.first[at]) / 2;
			t.name[at] = next++;
			t.name[at + 1] = next++;
			t.count++;
		}
	}
	assert_false(all.is_blind);
	assert_true(TAILQ_EMPTY(&strays));
	shards_fini(&all);
}

static void a_name_stands_in_the_text(void **state)
{
	static const struct {
		const char *text, *name;
	} rows[] = {
	    {"Rate exceeded for shard shardId-000000000007 in stream s under account 1.", "shardId-000000000007"},
	    {"Rate exceeded for shard shardId-000000000007.", "shardId-000000000007"},
	    {"Rate exceeded for shard ", ""},
	    {"Rate exceeded", ""},
	    {"", ""},
	};
	char name[SHARD_NAME_BYTES], text[400];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		shards_named(rows[i].text, name);
		assert_string_equal(name, rows[i].name);
	}
	memset(text, 'x', sizeof text);
	memcpy(text, "for shard ", 10);
	text[sizeof text - 1] = '\0';
	shards_named(text, name);
	assert_int_equal(strlen(name), SHARD_NAME_BYTES - 1);
}

static void the_heaviest_key_is_known(void **state)
{
	struct heavy h = {0};
	const struct heavy_key *k;
	double share;

	(void)state;
	assert_null(heavy_first(&h, &share));
	for (int i = 0; i < 100000; i++)
		if (i % 10 < 4)
			heavy_add(&h, 77, "pump-0007", 9);
		else
			heavy_add(&h, chance() | 1 << 20, "other", 5);
	k = heavy_first(&h, &share);
	assert_string_equal(k->text, "pump-0007");
	assert_true(share > 0.39 && share < 0.41);
	memset(&h, 0, sizeof h);
	for (uint64_t i = 1; i <= 50000; i++) {
		heavy_add(&h, i, "one of many", 11);
		assert_true(i < 100 || !heavy_first(&h, &share)); /* each came once */
	}
	memset(&h, 0, sizeof h);
	heavy_add(&h, 1, "0123456789012345678901234567890123456789012345678901234567890\xc3\xa9\xc3\xa9", 65);
	assert_string_equal(heavy_first(&h, &share)->text,
	                    "0123456789012345678901234567890123456789012345678901234567890\xc3\xa9");
}

/* What is known of a row waits, and is the next record's of that row; of a joined one, the most of what its rows know.
 */
static void tries_are_had_again(void **state)
{
	struct record r = {.attempts = 3, .tries = 2, .first_failure_ns = 70}, fresh = {.first_failure_ns = -1};
	struct tries t = {0};
	struct tries_row row;

	(void)state;
	tries_note(&t, 5, &fresh, false); /* never tried */
	assert_int_equal(t.count, 0);
	for (uint64_t id = 1; id <= 1000; id++)
		tries_note(&t, id, &r, id == 2);
	r.attempts = r.tries = 4;
	r.first_failure_ns = 50;
	tries_note(&t, 7, &r, false); /* once more */
	assert_int_equal(t.count, 1000);
	assert_true(tries_bytes(&t) >= 1000 * sizeof row);
	tries_give_back(&t, 2000, &fresh);
	assert_int_equal(fresh.tries, 0);
	tries_give_back(&t, 7, &fresh);
	assert_true(fresh.attempts == 4 && fresh.tries == 4 && fresh.first_failure_ns == 50 && !fresh.is_noted);
	tries_give_back(&t, 2, &fresh);
	assert_true(fresh.attempts == 4 && fresh.tries == 4 && fresh.first_failure_ns == 50 && fresh.is_noted);
	tries_forget(&t, 3);
	tries_forget(&t, 3);
	assert_int_equal(t.count, 997);
	for (int left = 997; left > 10; left--)
		assert_true(tries_take(&t, &row) && row.attempts == 3 && row.id != 7 && row.id != 2 && row.id != 3);
	tries_fini(&t);
	assert_false(tries_take(&t, &row));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parked_ids_are_a_set_in_order), cmocka_unit_test(a_parked_backlog_is_small),
	    cmocka_unit_test(the_map_follows_the_stream),    cmocka_unit_test(a_name_stands_in_the_text),
	    cmocka_unit_test(the_heaviest_key_is_known),     cmocka_unit_test(tries_are_had_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
