/* One limit for all of a stop: clients have three quarters of it, requests under way what is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "daemon/stop_times.h"

static const struct stop_row {
	int64_t limit_ms, doors_ms, all_ms;
	int64_t at_ms, left_ms; /* the doors are closed then */
} rows[] = {
    {20000, 15000, 20000, 0, 20000},
    {20000, 15000, 20000, 5000, 15000},
    {20000, 15000, 20000, 15000, 5000},
    {20000, 15000, 20000, 20001, 0},
    {3600000, 2700000, 3600000, 2700000, 900000},
    {8000, 10000, 12000, 0, 8000}, /* clients have ten seconds whatever it says */
    {8000, 10000, 12000, 10000, 2000},
    {100, 10000, 10025, 300, 100},
    {100, 10000, 10025, 10000, 25},
    {0, 10000, 10000, 0, 0},
};

static void clients_and_answers_share_one_limit(void **state)
{
	const int64_t now_ns = 77 * NS_PER_S;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct stop_row *r = &rows[i];
		const struct stop_times t = stop_times_from(r->limit_ms * NS_PER_MS, now_ns);

		assert_int_equal(t.doors_until_ns - now_ns, r->doors_ms * NS_PER_MS);
		assert_int_equal(t.until_ns - now_ns, r->all_ms * NS_PER_MS);
		assert_int_equal(stop_times_left_ns(&t, now_ns + r->at_ms * NS_PER_MS), r->left_ms * NS_PER_MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clients_and_answers_share_one_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
