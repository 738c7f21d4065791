/* Which messages were taken in, in any order, beside a table of them; and the same once more from pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "store/files/taken.h"

enum { IDS = 3000 };

static bool is_in[IDS + 1], is_twice[IDS + 1];
static uint64_t highest;

static uint32_t sum_of(uint64_t id) { return (uint32_t)(id * 2654435761U); }

static void add(struct taken *t, uint64_t id)
{
	is_twice[id] = is_in[id];
	taken_add(t, id, sum_of(id) + is_in[id]);
	is_in[id] = true;
	highest = id > highest ? id : highest;
}

static void compare(struct taken *t, bool goes_by_first)
{
	for (uint64_t id = 1; id <= IDS; id++) {
		if (goes_by_first)
			assert_int_equal(taken_went_by(t, id), !is_in[id] && id < highest);
		assert_int_equal(taken_has(t, id, sum_of(id)), is_in[id]);
		assert_int_equal(taken_has(t, id, sum_of(id) + 1), is_twice[id]);
		assert_false(taken_has(t, id, sum_of(id) - 1));
		assert_int_equal(taken_went_by(t, id), !is_in[id] && id < highest);
	}
}

static void any_order_is_what_was_added(void **state)
{
	struct taken t = {0};

	(void)state;
	srand(11);
	for (int round = 0; round < 6; round++) {
		compare(&t, round % 2);
		for (int i = 0; i < 200; i++) {
			const uint64_t id = 1 + (uint64_t)rand() % (IDS - 1);

			if (!is_twice[id])
				add(&t, id);
		}
	}
	compare(&t, false);
	taken_fini(&t);
	assert_int_equal(t.count, 0);
	assert_false(taken_has(&t, 1, sum_of(1)));
}

/* Whoever asks first finds them in order. */
static void the_first_question_is_answered_too(void **state)
{
	(void)state;
	for (uint64_t asked = 10; asked <= 35; asked += 5) {
		struct taken by = {0}, has = {0};

		for (uint64_t id = 30; id >= 10; id -= 10) {
			taken_add(&by, id, 1);
			taken_add(&has, id, 1);
		}
		assert_int_equal(taken_went_by(&by, asked), asked % 10 != 0 && asked < 30);
		assert_int_equal(taken_has(&has, asked, 1), asked % 10 == 0);
		taken_fini(&by);
		taken_fini(&has);
	}
}

static void one_is_a_set(void **state)
{
	struct taken t = {0};

	(void)state;
	assert_false(taken_has(&t, 7, 1) || taken_went_by(&t, 7));
	taken_add(&t, 7, 1);
	assert_true(taken_has(&t, 7, 1) && taken_went_by(&t, 6));
	assert_false(taken_has(&t, 7, 2) || taken_has(&t, 6, 1) || taken_went_by(&t, 7) || taken_went_by(&t, 8));
	taken_fini(&t);
}

/* Pieces hold runs of ids, each piece no more than it may; read in any order they are the same. */
static void pieces_are_what_was_added(void **state)
{
	enum { MANY = 2 * TAKEN_PIECE + 7 };
	unsigned char *bytes[5] = {NULL};
	struct taken t = {0}, again = {0};
	size_t at = 0, lengths[5], pieces = 0;

	(void)state;
	for (uint64_t i = MANY; i > 0; i--)
		taken_add(&t, i % 2 ? i * 3 : i * 3 - 2, (uint32_t)i);
	for (; pieces < 5; pieces++) {
		bytes[pieces] = mem_zero(TAKEN_PIECE_BYTES);
		lengths[pieces] = taken_write(&t, &at, bytes[pieces]);
		assert_true(lengths[pieces] <= TAKEN_PIECE_BYTES);
		if (lengths[pieces] == 0)
			break;
	}
	assert_int_equal(pieces, 3);
	assert_int_equal(at, MANY);
	for (size_t i = pieces; i-- > 0;)
		taken_read(&again, bytes[i], lengths[i]);
	assert_int_equal(again.count, MANY);
	for (uint64_t i = 1; i <= MANY; i++) {
		const uint64_t id = i % 2 ? i * 3 : i * 3 - 2;

		assert_true(taken_has(&again, id, (uint32_t)i));
		assert_false(taken_has(&again, id, (uint32_t)i + 1));
		assert_false(taken_has(&again, id - 1, (uint32_t)i) && i % 2);
	}
	taken_fini(&again);
	for (size_t cut = 1; cut <= 12 && cut < lengths[2]; cut++) { /* a piece that ends too early */
		taken_read(&again, bytes[2], lengths[2] - cut);
		assert_true(again.count <= 7);
		for (size_t i = 0; i < again.count; i++)
			assert_true(taken_has(&t, again.items[i].id, again.items[i].sum));
		taken_fini(&again);
	}
	for (size_t i = 0; i < 5; i++)
		free(bytes[i]);
	taken_fini(&t);
}

/* One run takes a head and its sums: as few bytes as that. */
static void a_run_is_one(void **state)
{
	unsigned char *bytes = mem_zero(TAKEN_PIECE_BYTES);
	struct taken t = {0};
	size_t at = 0;

	(void)state;
	for (uint64_t id = 100; id > 50; id--)
		taken_add(&t, id, (uint32_t)id);
	taken_add(&t, 200, 5);
	assert_int_equal(taken_write(&t, &at, bytes), 12 + 50 * 4 + 12 + 4);
	assert_int_equal(taken_write(&t, &at, bytes), 0);
	taken_fini(&t);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_order_is_what_was_added),
	    cmocka_unit_test(the_first_question_is_answered_too),
	    cmocka_unit_test(one_is_a_set),
	    cmocka_unit_test(pieces_are_what_was_added),
	    cmocka_unit_test(a_run_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
