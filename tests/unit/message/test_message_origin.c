/* What a message stands for: pieces share it, joining unites it, places survive both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "message/message.h"

static void pieces_share_one_origin(void **state)
{
	struct message *whole = message_new(NULL, 0, "ab", 2, 1);
	struct message *first, *second;

	(void)state;
	message_set_origin(whole, origin_new(7));
	first = message_derive(whole, NULL, 0, "a", 1);
	second = message_copy(first);
	assert_ptr_equal(first->origin, whole->origin);
	assert_ptr_equal(second->origin, whole->origin);
	assert_int_equal(whole->origin->references, 3);
	message_free(whole);
	message_free(first);
	assert_int_equal(second->origin->references, 1);
	message_free(second);
}

static void a_join_stands_for_all_and_an_addition_for_the_first(void **state)
{
	struct origin *nodes[] = {origin_new(9), origin_new(4), origin_new(0), NULL};
	struct origin *both, *again, *added;

	(void)state;
	nodes[3] = nodes[1];
	both = origin_join(nodes, 4);
	assert_int_equal(both->count, 2);
	assert_int_equal(both->ids[0], 4);
	assert_int_equal(both->ids[1], 9);
	assert_int_equal(both->parent_count, 3);
	added = origin_add(nodes, 4);
	assert_int_equal(added->count, 1);
	assert_int_equal(added->ids[0], 9);
	assert_ptr_equal(added->parents[0], nodes[0]);
	again = origin_join(nodes + 3, 1);
	assert_ptr_equal(again, nodes[1]);
	for (int i = 0; i < 3; i++)
		origin_unref(nodes[i]);
	origin_unref(again);
	origin_unref(both);
	origin_unref(added);
}

static void a_place_is_that_of_the_nearest_line(void **state)
{
	struct origin *in = origin_new(1), *outer = origin_with_place(in, 1, 5);
	struct origin *inner = origin_with_place(outer, 2, 3);
	struct origin *keyed = origin_with_key(inner, "c", 1, "k", 1);

	(void)state;
	assert_int_equal(origin_place(keyed, 1), 5);
	assert_int_equal(origin_place(keyed, 2), 3);
	assert_true(keyed->keyed);
	assert_false(inner->keyed);
	origin_seal(keyed);
	assert_int_equal(keyed->parent_count, 1);
	origin_seal(inner);
	assert_int_equal(inner->parent_count, 0);
	assert_int_equal(inner->ids[0], 1);
	origin_unref(in);
	origin_unref(outer);
	origin_unref(inner);
	origin_unref(keyed);
}

/* However many ids a node stands for, what is made of it costs the same, and the ids outlive what they came from. */
static void ids_are_held_once(void **state)
{
	struct origin *in[100], *all, *placed, *keyed;
	uint64_t cost;

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		in[i] = origin_new(i + 1);
	all = origin_join(in, 100);
	placed = origin_with_place(all, 1, 3);
	keyed = origin_with_key(placed, "c", 1, "key", 3);
	assert_ptr_equal(placed->ids, all->ids);
	assert_ptr_equal(keyed->ids, all->ids);
	cost = origin_cost(placed); /* nothing is its own: the keyed one refers to it too */
	assert_int_equal(cost, 0);
	assert_in_range(origin_cost(keyed), sizeof *keyed + 3, sizeof *keyed + 100);
	for (int i = 0; i < 100; i++)
		origin_unref(in[i]);
	origin_unref(all);
	origin_unref(keyed);
	assert_true(origin_cost(placed) > 100 * sizeof(uint64_t));
	origin_seal(placed);
	assert_int_equal(placed->count, 100);
	assert_int_equal(placed->ids[99], 100);
	assert_int_equal(placed->holder->parent_count, 0);
	origin_unref(placed);
}

static void a_fate_holds_for_one_commit(void **state)
{
	struct origin *o = origin_new(1);

	(void)state;
	assert_int_equal(origin_fate(o, 1), ORIGIN_UNDECIDED);
	origin_decide(o, 1, ORIGIN_KNOWN);
	assert_int_equal(origin_fate(o, 1), ORIGIN_KNOWN);
	assert_int_equal(origin_fate(o, 2), ORIGIN_UNDECIDED);
	origin_decide(o, 2, ORIGIN_KEPT);
	assert_int_equal(origin_fate(o, 2), ORIGIN_KEPT);
	origin_unref(o);
}

static void a_long_chain_is_let_go_of(void **state)
{
	struct origin *o = origin_new(1);

	(void)state;
	for (int i = 0; i < 1000000; i++) {
		struct origin *next = origin_with_place(o, 1, 0);

		origin_unref(o);
		o = next;
	}
	origin_unref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pieces_share_one_origin),
	    cmocka_unit_test(a_join_stands_for_all_and_an_addition_for_the_first),
	    cmocka_unit_test(a_place_is_that_of_the_nearest_line),
	    cmocka_unit_test(ids_are_held_once),
	    cmocka_unit_test(a_fate_holds_for_one_commit),
	    cmocka_unit_test(a_long_chain_is_let_go_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
