/* Quotas: a second's worth at once, then as much as time gives back, each identity for itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "doors/quota.h"

static const unsigned char *key_of(uint32_t n)
{
	static unsigned char key[LISTENER_KEY_BYTES];

	memset(key, 0, sizeof key);
	memcpy(key, &n, sizeof n);
	return key;
}

static void no_limit_is_no_quota(void **state)
{
	(void)state;
	assert_null(quota_new(0, 0));
	assert_int_equal(quota_wait_ms(NULL, key_of(1), NS_PER_S), 0);
	quota_spend(NULL, key_of(1), 1000, 1, NS_PER_S);
	quota_free(NULL);
}

static void what_is_over_has_to_be_waited_for(void **state)
{
	static const struct {
		uint64_t bytes_rate, messages_rate, bytes, messages;
		int64_t wait_ms;
	} cases[] = {
	    {1000, 0, 1000, 5000, 0}, {1000, 0, 1001, 0, 1},   {1000, 0, 3000, 1, 2000},   {0, 10, 99999, 10, 0},
	    {0, 10, 0, 20, 1000},     {1000, 10, 0, 20, 1000}, {1000, 10, 2000, 11, 1000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct quota *q = quota_new(cases[i].bytes_rate, cases[i].messages_rate);
		int64_t now_ns = 5 * NS_PER_S, wait_ms;

		assert_int_equal(quota_wait_ms(q, key_of(1), now_ns), 0);
		quota_spend(q, key_of(1), cases[i].bytes, cases[i].messages, now_ns);
		wait_ms = quota_wait_ms(q, key_of(1), now_ns);
		assert_in_range(wait_ms, cases[i].wait_ms, cases[i].wait_ms + 2);
		assert_int_equal(quota_wait_ms(q, key_of(2), now_ns), 0);
		assert_int_equal(quota_wait_ms(q, key_of(1), now_ns + (wait_ms + 1) * NS_PER_MS), 0);
		quota_free(q);
	}
}

static void a_quiet_hour_saves_no_more_than_a_second(void **state)
{
	struct quota *q = quota_new(1000, 0);

	(void)state;
	quota_spend(q, key_of(1), 1, 1, NS_PER_S);
	quota_spend(q, key_of(1), 1500, 1, 3600 * NS_PER_S);
	assert_in_range(quota_wait_ms(q, key_of(1), 3600 * NS_PER_S), 500, 502);
	quota_free(q);
}

/* A crowd of others, each seen once, does not make it forget who has to wait. */
static void who_waits_is_not_forgotten_for_others(void **state)
{
	struct quota *q = quota_new(1000, 0);

	(void)state;
	quota_spend(q, key_of(1), 100000, 1, NS_PER_S);
	for (uint32_t n = 2; n < 5000; n++)
		quota_spend(q, key_of(n), 10, 1, NS_PER_S);
	assert_true(quota_wait_ms(q, key_of(1), NS_PER_S) > 90000);
	quota_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_limit_is_no_quota),
	    cmocka_unit_test(what_is_over_has_to_be_waited_for),
	    cmocka_unit_test(a_quiet_hour_saves_no_more_than_a_second),
	    cmocka_unit_test(who_waits_is_not_forgotten_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
