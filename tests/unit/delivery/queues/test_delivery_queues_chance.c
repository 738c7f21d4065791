/* What is refused by chance is told from what a limit refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "delivery/queues/chance.h"

static double by_limit(double limit, double speed) { return speed > limit ? 1 - limit / speed : 0; }

/* Slowed down by a quarter each time, until it is chance or nothing is too much. */
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
		assert_true(c.speed > 7.99 && c.speed < 8.01); /* where it goes back to */
		assert_true(speed <= 4 && speed >= 2);
	}
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
		if (kind == 0)
			chance_passed(&c, 0.49, 500, 10 * NS_PER_S);
		else if (kind == 1)
			chance_passed(&c, 0.3, 500, 10 * NS_PER_S); /* it was not chance */
		else
			chance_passed(&c, 0.5, 500, 60 * NS_PER_S);
		assert_int_equal(c.part > 0, kind == 0);
		assert_true(c.speed <= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_limit_is_no_chance),
	    cmocka_unit_test(chance_is_known_at_half_the_speed),
	    cmocka_unit_test(few_records_leave_it_open),
	    cmocka_unit_test(what_takes_nothing_is_no_chance),
	    cmocka_unit_test(what_is_known_of_chance_is_borne_and_measured_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
