/* What is refused by chance is told from what a limit refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "delivery/queues/chance.h"

static double by_limit(double limit, double speed) { return speed > limit ? 1 - limit / speed : 0; }

/* Slowed down by a quarter each time, or as it says, until it is chance or nothing is too much. */
static enum chance_verdict slow_down(struct chance *c, double limit, double part, uint32_t records, double *ret_speed)
{
	enum chance_verdict verdict = CHANCE_NOT;
	double speed = 8;

	for (int turns = 0; turns < 100 && verdict != CHANCE_IS; turns++) {
		double share = 1 - (1 - part) * (1 - by_limit(limit, speed * (1 - part)));

		if (share <= chance_borne(c, 0.03, records))
			break;
		verdict = chance_ask(c, speed, share, records, turns * NS_PER_S);
		if (verdict == CHANCE_NOT)
			speed *= 0.75;
		else if (verdict == CHANCE_HALF)
			speed = c->slower.speed / 2;
	}
	*ret_speed = speed;
	return verdict;
}

static void a_limit_is_no_chance(void **state)
{
	(void)state;
	for (double limit = 0.05; limit < 8; limit *= 1.3)
		for (uint32_t records = 5; records <= 5000; records *= 10) {
			struct chance c = {0};
			double speed;

			assert_int_not_equal(slow_down(&c, limit, 0, records, &speed), CHANCE_IS);
			assert_true(c.part <= 0);
			assert_true(speed <= 2 * limit || by_limit(limit, speed) < 0.03 + 1.0 / records);
		}
}

static void chance_is_known_at_half_the_speed(void **state)
{
	(void)state;
	for (double part = 0.1; part < 0.95; part += 0.1) {
		struct chance c = {0};
		double speed;

		assert_int_equal(slow_down(&c, 1000, part, 400, &speed), CHANCE_IS);
		assert_true(c.part > part - 0.001 && c.part < part + 0.001);
		assert_true(c.slower.speed > 7.99 && c.slower.speed < 8.01); /* where it goes back to */
		assert_true(speed <= 4 && speed >= 2);
	}
}

/* Of one in twenty slowing down makes little: after three seconds half of the speed is asked for, and tells. */
static void a_small_part_is_asked_for_at_half_the_speed(void **state)
{
	struct chance c = {0};
	enum chance_verdict verdict = CHANCE_NOT;
	double speed = 8;
	int turns = 0;

	(void)state;
	for (; verdict == CHANCE_NOT && turns < 20; turns++) {
		verdict = chance_ask(&c, speed, 0.05, 8000, turns * NS_PER_S);
		speed *= verdict == CHANCE_NOT ? 0.965 : 1;
	}
	assert_int_equal(verdict, CHANCE_HALF);
	assert_in_range(turns, 4, 6);
	assert_true(speed > 6);
	assert_int_equal(chance_ask(&c, c.slower.speed / 2, 0.05, 4000, turns * NS_PER_S), CHANCE_IS);
	assert_true(c.part > 0.049 && c.part < 0.051);
}

/* It was only the beginning of a full window: what is refused at less speed is more. */
static void what_rises_while_less_is_sent_is_no_chance(void **state)
{
	struct chance c = {0};

	(void)state;
	for (int turn = 0; turn < 8; turn++)
		assert_int_equal(chance_ask(&c, 8 - 0.5 * turn, 0.1 + 0.05 * turn, 1000, turn * NS_PER_S), CHANCE_NOT);
}

/* Three records say nothing: it waits for more at that speed. */
static void few_records_leave_it_open(void **state)
{
	struct chance c = {0};
	int open = 0;

	(void)state;
	assert_int_equal(chance_ask(&c, 2, 2 / 3.0, 100, 0), CHANCE_NOT);
	while (chance_ask(&c, 0.5, 2 / 3.0, 3, NS_PER_S) == CHANCE_OPEN)
		open++;
	assert_true(open > 3 && open < 40);
	assert_true(c.part > 0.66 && c.part < 0.67);
}

static void what_takes_nothing_is_no_chance(void **state)
{
	struct chance c = {0};

	(void)state;
	for (double speed = 8; speed > 0.01; speed /= 2)
		assert_int_equal(chance_ask(&c, speed, 1, 500, NS_PER_S), CHANCE_NOT);
	assert_true(c.part <= 0);
}

static void what_is_known_of_chance_is_borne_and_measured_anew(void **state)
{
	struct chance c;
	double speed;

	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		c = (struct chance){0};
		assert_true(chance_borne(&c, 0.03, 500) < 0.04);
		assert_int_equal(slow_down(&c, 1000, 0.5, 500, &speed), CHANCE_IS);
		assert_true(chance_borne(&c, 0.03, 500) > 0.5 && chance_borne(&c, 0.03, 500) < 0.6);
		assert_true(chance_borne(&c, 0.03, 5) < 0.96); /* all of few is never borne */
		assert_false(chance_passed(&c, 8, kind == 1 ? 0.3 : 0.49, 500, (kind == 2 ? 60 : 10) * NS_PER_S));
		assert_int_equal(c.part > 0, kind == 0); /* 1: it was not chance */
		assert_true(c.slower.speed <= 0);
	}
}

/* What is measured better is borne less widely. */
static void more_records_make_the_part_sure(void **state)
{
	struct chance c = {0};
	double speed, borne;

	(void)state;
	assert_int_equal(slow_down(&c, 1000, 0.5, 60, &speed), CHANCE_IS);
	borne = chance_borne(&c, 0.03, 100000);
	for (int i = 0; i < 20; i++)
		(void)chance_passed(&c, 8, 0.52, 1000, NS_PER_S);
	assert_true(c.part > 0.515 && c.part < 0.52);
	assert_true(chance_borne(&c, 0.03, 100000) < borne);
}

/* More is sent and the same part refused: no limit is near. Where it rises with the speed, one is. */
static void growing_tells_too(void **state)
{
	(void)state;
	for (int is_limit = 0; is_limit <= 1; is_limit++) {
		struct chance c = {0};
		bool is_free = false;

		for (double speed = 1; speed < 1.5 && !is_free; speed *= 1.03)
			is_free = chance_passed(&c, speed, is_limit ? 1 - 0.98 / speed : 0.02, 1000, NS_PER_S);
		assert_int_equal(is_free, !is_limit);
		assert_int_equal(c.part > 0, !is_limit);
	}
}

static void how_much_speaks_against_chance(void **state)
{
	(void)state;
	assert_true(chance_against(0.03, 3, 100) <= 0 && chance_against(0.03, 2, 100) <= 0);
	assert_true(chance_against(0.03, 5, 5) < CHANCE_SURE && chance_against(0.03, 6, 6) > CHANCE_SURE);
	assert_true(chance_against(0.9, 170, 170) < CHANCE_SURE && chance_against(0.9, 171, 171) > CHANCE_SURE);
	assert_true(chance_against(0.03, 25, 500) < CHANCE_SURE && chance_against(0.03, 60, 500) > CHANCE_SURE);
	assert_true(chance_against(0.5, 300, 500) > 10 && chance_against(0.5, 300, 500) < 10.1); /* 0.0201 each */
}

/* A second, or a hundred records where these come more slowly. */
static void of_late_is_a_second_or_a_hundred_records(void **state)
{
	struct chance_late l = {0};

	(void)state;
	for (int i = 1; i <= 8; i++)
		chance_late_note(&l, 0, 1, i * 60 * NS_PER_S);
	assert_true(chance_late_is_more(&l, 0.03));
	chance_late_note(&l, 100000, 0, 600 * NS_PER_S);
	assert_false(chance_late_is_more(&l, 0.03));
	for (int i = 1; i <= 4; i++)
		chance_late_note(&l, 3, 12, (700 + 60 * i) * NS_PER_S); /* what was so long ago is a hundred records */
	assert_true(chance_late_is_more(&l, 0.03) && l.taken < 110);
	chance_late_note(&l, 100000, 0, 1000 * NS_PER_S);
	for (int i = 1; i <= 50; i++)
		chance_late_note(&l, 0, 500, 1000 * NS_PER_S + i * NS_PER_MS);
	assert_true(l.taken > 90000); /* of this second */
	assert_true(chance_late_part(&l) > 0.1 && chance_late_part(&l) < 0.3);
}

/* Five answers, none of them sent before the one before was known, and no chance any more. */
static void a_row_is_dry(void **state)
{
	static const struct {
		double part;
		uint32_t each, answers;
	} cases[] = {{0, 500, 5}, {0, 3, 5}, {0, 1, 15}, {0.9, 1, 171}, {0.99, 1, 171}, {0.9, 500, 5}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct chance_row row = {0};
		uint32_t answers = 0;

		chance_row_note(&row, 1, 0, cases[i].part, 0, NS_PER_S);
		while (!chance_row_is_dry(&row)) {
			int64_t at_ns = ++answers * 10 * NS_PER_S;

			chance_row_note(&row, 0, cases[i].each, 0, at_ns, at_ns + NS_PER_S);
		}
		assert_int_equal(answers, cases[i].answers);
		row = (struct chance_row){0};
		chance_row_note(&row, 0, 16, cases[i].part, 0, NS_PER_S); /* what is known from elsewhere */
		for (int64_t k = 1; k < 6; k++)
			chance_row_note(&row, 0, 1, cases[i].part, k * NS_PER_S * 10, k * NS_PER_S * 10 + 1);
		assert_int_equal(chance_row_is_dry(&row), cases[i].part <= 0);
		chance_row_note(&row, 0, 1, 0, 60 * NS_PER_S,
		                60 * NS_PER_S + 1); /* nothing is taken elsewhere either */
		assert_true(chance_row_is_dry(&row));
		chance_row_note(&row, 1, 5, 0.5, 0, NS_PER_S);
		assert_false(chance_row_is_dry(&row));
		for (int k = 0; k < 50; k++) /* all under way at once: one answer */
			chance_row_note(&row, 0, 500, 0.5, NS_PER_S, 2 * NS_PER_S);
		assert_false(chance_row_is_dry(&row));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_limit_is_no_chance),
	    cmocka_unit_test(chance_is_known_at_half_the_speed),
	    cmocka_unit_test(a_small_part_is_asked_for_at_half_the_speed),
	    cmocka_unit_test(what_rises_while_less_is_sent_is_no_chance),
	    cmocka_unit_test(few_records_leave_it_open),
	    cmocka_unit_test(what_takes_nothing_is_no_chance),
	    cmocka_unit_test(what_is_known_of_chance_is_borne_and_measured_anew),
	    cmocka_unit_test(more_records_make_the_part_sure),
	    cmocka_unit_test(growing_tells_too),
	    cmocka_unit_test(how_much_speaks_against_chance),
	    cmocka_unit_test(of_late_is_a_second_or_a_hundred_records),
	    cmocka_unit_test(a_row_is_dry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
