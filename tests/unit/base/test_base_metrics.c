/* Counters, quantiles within their stated error, and named series. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/metrics.h"
#include "base/series.h"
#include "base/utf8.h"

static void counters_and_gauges(void **state)
{
	(void)state;
	metric_add(M_OUTPUT_SENT, 2);
	metric_add(M_OUTPUT_SENT, 3);
	metric_set(M_IN_FLIGHT, -4);
	assert_int_equal(metric_get(M_OUTPUT_SENT), 5);
	assert_int_equal(metric_get(M_IN_FLIGHT), -4);
	assert_string_equal(metric_info(M_OUTPUT_SENT)->name, "output_sent");
}

static void quantiles_are_near(void **state)
{
	(void)state;
	assert_int_equal(metric_quantile_ns(M_OUTPUT_LATENCY, 0.5), 0);
	for (int64_t i = 1; i <= 1000; i++)
		metric_observe_ns(M_OUTPUT_LATENCY, i * 1000);
	assert_int_equal(metric_get(M_OUTPUT_LATENCY), 1000);
	assert_int_equal(metric_sum_ns(M_OUTPUT_LATENCY), 500500000);
	for (int q = 1; q <= 9; q++) {
		int64_t got = metric_quantile_ns(M_OUTPUT_LATENCY, q / 10.0), truth = q * 100000;

		assert_true(got >= truth && got <= truth + truth / 4);
	}
	assert_int_equal(metric_get(M_INPUT_LATENCY), 0);
}

/* Each rune, and each byte that is none, alone and at each place of the cut: the page stays text that moves nothing. */
static void labels_of_strangers_are_text(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 0x110000; n += n < 0x3000 ? 1 : 61)
		for (size_t before = 0; before < 130; before += n % 256 == 0x1b ? 1 : 127) {
			char value[160];
			struct buf out;
			size_t width;

			memset(value, 'a', before);
			width = n < 0x100 ? 1 : utf8_encode(value + before, n);
			if (n < 0x100)
				value[before] = (char)n;
			memcpy(value + before + width, "z", 2);
			buf_init(&out, 4096);
			series_add_label(&out, "k", value);
			assert_false(out.overflow);
			assert_true(utf8_is_valid(out.data, out.len));
			for (const char *p = out.data, *end = p + out.len; p < end;) {
				uint32_t rune;

				p += utf8_decode(p, end, &rune, NULL);
				assert_true(utf8_is_shown(rune));
			}
			for (const char *p = out.data + 3; p < out.data + out.len - 1; p++) {
				assert_int_not_equal(*p, '"');
				if (*p == '\\')
					assert_non_null(strchr("\\\"n", *++p));
			}
			assert_int_equal(out.data[out.len - 1], '"');
			buf_fini(&out);
		}
}

static void *add_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10000; i++) {
		char labels[32];

		labels[0] = 'k';
		labels[1] = '=';
		labels[2] = (char)('a' + i % 8);
		labels[3] = '\0';
		series_add(series_find(SERIES_COUNTER, "Races", labels), 1);
	}
	return NULL;
}

static void series_are_made_once(void **state)
{
	pthread_t threads[2];
	struct buf out;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	series_set(series_find(SERIES_GAUGE, "Level", ""), 1.5);
	buf_init(&out, 1 << 20);
	series_print(&out);
	assert_non_null(strstr(out.data, "# TYPE Races counter\nRaces{k=a} 2500\nRaces{k=b} 2500\n"));
	assert_non_null(strstr(out.data, "# TYPE Level gauge\nLevel 1.5\n"));
	buf_fini(&out);
}

static void *set_ledgers(void *arg)
{
	atomic_bool *over = arg;

	for (int64_t n = 1; !atomic_load(over); n++) {
		const struct metric_value ledger[] = {
		    {M_LEDGER_ACCEPTED, 3 * n}, {M_LEDGER_DELIVERED, n}, {M_LEDGER_PENDING, 2 * n}};

		metric_set_together(ledger, 3);
	}
	return NULL;
}

/* Whoever reads amid a change sees the ledger before it or after it: it balances (promise 9). */
static void what_is_set_together_is_read_together(void **state)
{
	int64_t all[METRIC_COUNT], before = 0;
	atomic_bool over = false;
	pthread_t thread;

	(void)state;
	metric_add(M_OUTPUT_CONNECTION_UP, 7);
	assert_int_equal(pthread_create(&thread, NULL, set_ledgers, &over), 0);
	for (int i = 0; i < 20000 || before == 0; i++) {
		metric_get_all(all);
		assert_int_equal(all[M_LEDGER_ACCEPTED], all[M_LEDGER_DELIVERED] + all[M_LEDGER_PENDING]);
		assert_true(all[M_LEDGER_ACCEPTED] >= before);
		before = all[M_LEDGER_ACCEPTED];
	}
	atomic_store(&over, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	metric_get_all(all);
	assert_int_equal(all[M_LEDGER_ACCEPTED], metric_get(M_LEDGER_ACCEPTED));
	assert_int_equal(all[M_OUTPUT_CONNECTION_UP], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counters_and_gauges),
	    cmocka_unit_test(quantiles_are_near),
	    cmocka_unit_test(what_is_set_together_is_read_together),
	    cmocka_unit_test(labels_of_strangers_are_text),
	    cmocka_unit_test(series_are_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
