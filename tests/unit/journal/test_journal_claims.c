/* Claims beside a plain array, and ranges of ids beside a set of bits: after each step they are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "journal/claims.h"

enum { IDS = 5000, STEPS = 200000 };

static uint64_t state_of_chance;

static uint64_t chance(void)
{
	state_of_chance = state_of_chance * UINT64_C(6364136223846793005) + 1442695040888963407;
	return state_of_chance >> 20;
}

static struct plain {
	uint32_t bytes; /* 0: it is not claimed */
	bool is_orphan;
} plain[IDS + 1];

/* Ids that lie far apart meet in the table. */
static uint64_t id_of(uint64_t i, bool far) { return far ? i * UINT64_C(1000003) * 64 + i % 3 : i; }

static void expect_claim(const struct claims *c, uint64_t i, bool far)
{
	const struct claim_slot *claim = claims_find(c, id_of(i, far));

	assert_int_equal(claim != NULL, plain[i].bytes != 0);
	if (!claim)
		return;
	assert_true(claim->id == id_of(i, far));
	assert_int_equal(claim->bytes, plain[i].bytes);
	assert_int_equal(claim->is_orphan, plain[i].is_orphan);
	assert_false(claim->is_leaving);
}

/* As many slots as it says are taken, half of them at most; and no more than it needs for the most there were. */
static void expect_table(const struct claims *c, size_t most)
{
	size_t taken = 0, claimed = 0;

	for (size_t k = 0; k < c->capacity; k++) {
		taken += c->slots[k].id != 0;
		claimed += c->slots[k].id != 0 && c->slots[k].id != UINT64_MAX;
	}
	assert_int_equal(c->used, taken);
	assert_int_equal(c->count, claimed);
	assert_int_equal(c->capacity & (c->capacity - 1), 0);
	assert_true(c->used * 2 <= c->capacity);
	assert_true(c->capacity <= 1024 || c->capacity <= 8 * most);
	assert_null(claims_find(c, 0));
}

/* Dense runs that leave in order, and strays; and ids that lie far apart. */
static void claims_are_a_set(bool far)
{
	struct claims c = {0};
	uint64_t next = 1;
	size_t count = 0, most = 0;

	memset(plain, 0, sizeof plain);
	expect_table(&c, 0);
	for (uint32_t i = 0; i < STEPS; i++) {
		const uint64_t id = far || chance() % 16 == 0 ? 1 + chance() % IDS : next;
		uint32_t bytes = 0;

		next = next % IDS + 1;
		expect_claim(&c, id, far);
		if (plain[id].bytes) {
			assert_true(claims_remove(&c, id_of(id, far), i % 2 ? &bytes : NULL));
			assert_false(claims_remove(&c, id_of(id, far), &bytes));
			assert_int_equal(bytes, i % 2 ? plain[id].bytes : 0);
			plain[id] = (struct plain){0};
			count--;
		} else {
			plain[id] = (struct plain){.bytes = i + 1};
			assert_true(claims_add(&c, id_of(id, far), i + 1));
			assert_false(claims_add(&c, id_of(id, far), i + 2));
			count++;
		}
		expect_claim(&c, id, far);
		most = count > most ? count : most;
		assert_int_equal(c.count, count);
		if (i % 9973 == 0) {
			claims_orphan(&c);
			for (uint64_t k = 1; k <= IDS; k++)
				plain[k].is_orphan = true;
		}
		if (i % 997 == 0)
			expect_table(&c, most);
	}
	for (uint64_t k = 1; k <= IDS; k++)
		expect_claim(&c, k, far);
	claims_fini(&c);
	assert_true(claims_add(&c, 1, 1)); /* and it begins anew */
	claims_fini(&c);
}

static void claims_are_a_set_of_ids(void **state)
{
	(void)state;
	claims_are_a_set(false);
	claims_are_a_set(true);
}

/* 64 of them lie side by side, each in its place; the next 64 as likely anywhere. */
static void neighbours_share_slots(void **state)
{
	enum { BLOCKS = 15, SLOTS = 1024 };
	bool is_used[SLOTS / 64] = {false};
	size_t before = 0;
	int used = 0;

	(void)state;
	for (uint64_t block = 1; block <= BLOCKS; block++) {
		struct claims c = {0};
		size_t first;

		for (uint64_t id = block * 64; id < block * 64 + 64; id++)
			assert_true(claims_add(&c, id, 1));
		assert_int_equal(c.capacity, SLOTS);
		first = (size_t)(claims_find(&c, block * 64) - c.slots);
		assert_int_equal(first % 64, 0);
		for (uint64_t id = block * 64; id < block * 64 + 64; id++)
			assert_int_equal(claims_find(&c, id) - c.slots, first + id % 64);
		assert_true(block == 1 || first != before);
		before = first;
		used += !is_used[first / 64];
		is_used[first / 64] = true;
		claims_fini(&c);
	}
	assert_true(used >= BLOCKS / 2);
}

/* Wherever a mark of what was removed stands: it is no id. */
static void a_mark_is_not_found(void **state)
{
	(void)state;
	for (uint64_t block = 1; block <= 64; block++) {
		struct claims c = {0};
		const uint64_t id = block * 64 + 63;
		const struct claim_slot *slot;
		uint64_t other = id;

		assert_true(claims_add(&c, id, 1));
		slot = claims_find(&c, id);
		do { /* one of the same home, so that the mark must stay */
			if (other != id)
				assert_true(claims_remove(&c, other, NULL));
			other += 64;
			assert_true(claims_add(&c, other, 1));
		} while (claims_find(&c, other) != c.slots + (slot - c.slots + 1) % 1024);
		assert_true(claims_remove(&c, id, NULL));
		assert_true(slot->id == UINT64_MAX);
		assert_null(claims_find(&c, UINT64_MAX));
		assert_null(claims_find(&c, 0));
		claims_fini(&c);
	}
}

/* Half of the slots are taken: it grows when a quarter is claimed, else it only gets rid of what was removed. */
static void a_crowded_table_grows(void **state)
{
	enum { SLOTS = 1024 };

	(void)state;
	for (uint64_t stay = SLOTS / 4 - 1; stay <= SLOTS / 4 + 1; stay++) {
		struct claims c = {0};

		for (uint64_t id = 64; id < 64 + SLOTS / 2; id++)
			assert_true(claims_add(&c, id, 1));
		for (size_t i = 0, gone = 0; gone < SLOTS / 2 - stay; i = (i + 1) % SLOTS) /* none frees a slot */
			if (c.slots[i].id != 0 && c.slots[i].id != UINT64_MAX && c.slots[i + 1].id != 0)
				gone += claims_remove(&c, c.slots[i].id, NULL);
		assert_int_equal(c.used, SLOTS / 2);
		assert_int_equal(c.capacity, SLOTS);
		assert_true(claims_add(&c, 1, 1));
		assert_int_equal(c.capacity, stay >= SLOTS / 4 ? 2 * SLOTS : SLOTS);
		assert_int_equal(c.used, stay + 1);
		claims_fini(&c);
	}
}

enum { RANGED = 400 };
static bool in[RANGED + 2];

static void expect_ranges(const struct ranges *r)
{
	uint64_t id = 1;

	assert_true(r->count <= r->capacity);
	for (size_t i = 0; i < r->count; i++) {
		for (; id < r->items[i].first; id++)
			assert_false(in[id]);
		for (; id <= r->items[i].last; id++)
			assert_true(in[id]);
		assert_false(in[id]); /* neighbours are one range */
	}
	for (; id <= RANGED; id++)
		assert_false(in[id]);
}

/* What is read of the first range, as far as it goes; or one by one. */
static void leave(struct ranges *r, bool singly)
{
	const uint64_t first = r->count ? r->items[0].first : 0, most = r->count ? r->items[0].last : 0;
	uint64_t upto = first + chance() % 6, id = 0;

	upto = upto > 0 ? upto - 1 : 0; /* it may end before the first */
	upto = upto < most ? upto : most;
	if (singly) {
		assert_int_equal(ranges_take(r, upto, &id), first > 0 && first <= upto);
		assert_int_equal(id, first <= upto ? first : 0);
		in[id] = false;
		return;
	}
	ranges_drop_upto(r, upto);
	for (id = first; id <= upto; id++)
		in[id] = false;
}

static void ranges_are_what_was_added_and_not_dropped(void **state)
{
	struct ranges r = {0};

	(void)state;
	ranges_drop_upto(&r, 5);
	for (int round = 0; round < 6000; round++) {
		uint64_t first = chance() % (RANGED + 1), last = first + chance() % 9;

		if (round % 40 < 25) {
			last = last < RANGED ? last : RANGED;
			ranges_add(&r, first + (first == 0), last + (last == 0));
			for (uint64_t id = first + (first == 0); id <= last + (last == 0); id++)
				in[id] = true;
		} else {
			leave(&r, round % 3 == 0);
		}
		expect_ranges(&r);
	}
	ranges_fini(&r);
	assert_int_equal(r.count, 0);
	ranges_add(&r, 0, 0); /* the lowest there is, and what touches it */
	ranges_add(&r, 2, 2);
	ranges_add(&r, 1, 1);
	assert_int_equal(r.count, 1);
	assert_true(r.items[0].first == 0 && r.items[0].last == 2);
	ranges_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(claims_are_a_set_of_ids),
	    cmocka_unit_test(neighbours_share_slots),
	    cmocka_unit_test(a_mark_is_not_found),
	    cmocka_unit_test(a_crowded_table_grows),
	    cmocka_unit_test(ranges_are_what_was_added_and_not_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
