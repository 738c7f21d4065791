/* How fast a shard, or a stream, is sent to: by scripted answers, a tenth of a second apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "delivery/queues/stream_rate.h"

#define TICK_NS (INT64_C(100) * NS_PER_MS)
#define START_NS (1000 * NS_PER_S)

static struct shard_share share(uint32_t taken, uint32_t refused)
{
	return (struct shard_share){.records_taken = taken,
	                            .records_refused = refused,
	                            .taken = taken / 1000.0,
	                            .refused = refused / 1000.0,
	                            .even = 1};
}

/* So many answers, each to what was just sent; something always waits. Returns whether it was limited anew. */
static bool answer_stream(struct stream_rate *r, int64_t *now_ns, int answers, uint32_t taken, uint32_t refused)
{
	bool limits = false;

	for (int i = 0; i < answers; i++) {
		struct shard_share s = share(taken, refused);

		*now_ns += TICK_NS;
		(void)stream_rate_allows(r, *now_ns);
		r->short_ns = *now_ns;
		limits |= stream_rate_answered(r, &s, s.taken, true, *now_ns, *now_ns);
	}
	return limits;
}

static void a_stream_is_free_until_more_is_refused_than_chance_brings(void **state)
{
	struct stream_rate r = {0};
	int64_t now_ns = START_NS;
	struct shard_share all = share(0, 100);

	(void)state;
	assert_false(answer_stream(&r, &now_ns, 100, 98, 2));
	assert_true(stream_rate_allows(&r, now_ns) && stream_rate_due_ns(&r, now_ns) <= now_ns);
	assert_false(stream_rate_answered(&r, &all, 0, false, now_ns, now_ns)); /* it may not */
	assert_true(answer_stream(&r, &now_ns, 1, 50, 50));
	assert_true(r.is_limited);
	assert_true(r.speed > 0.9 && r.speed < 1.1); /* what was taken in the last second */
}

static void a_first_burst_is_no_speed(void **state)
{
	struct stream_rate r = {0};
	int64_t now_ns = START_NS;

	(void)state;
	assert_true(stream_rate_taken(&r, now_ns) <= 0);
	(void)answer_stream(&r, &now_ns, 29, 100, 0);
	assert_true(stream_rate_taken(&r, now_ns) <= 0);
	(void)answer_stream(&r, &now_ns, 3, 100, 0);
	assert_true(stream_rate_taken(&r, now_ns) > 0.9 && stream_rate_taken(&r, now_ns) < 1.1);
	(void)answer_stream(&r, &now_ns, 1, 0, 500);
	assert_true(r.is_limited && stream_rate_taken(&r, now_ns) <= 0);
}

/* Down by the part that is refused, to a third at most; twice as fast where nothing is; free when nothing waits. */
static void a_streams_speed_follows_what_is_refused(void **state)
{
	static const struct {
		uint32_t taken, refused;
		double least, most;
	} rows[] = {
	    {90, 10, 0.91, 0.92}, {50, 50, 0.51, 0.52}, {1, 99, 0.33, 0.34}, {100, 0, 2, 2}, {98, 2, 1.01, 1.06}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct stream_rate r = {0};
		int64_t now_ns = START_NS;
		double before;

		(void)answer_stream(&r, &now_ns, 40, 100, 0);
		assert_true(answer_stream(&r, &now_ns, 1, 0, 500));
		before = r.speed;
		for (int ticks = 0; r.speed <= before && r.speed >= before && ticks < 30; ticks++)
			(void)answer_stream(&r, &now_ns, 1, rows[i].taken, rows[i].refused);
		assert_true(r.speed / before >= rows[i].least - 0.001 && r.speed / before <= rows[i].most + 0.001);
		assert_int_equal(r.records, 0);
		assert_true(r.taken <= 0 && r.refused <= 0);
	}
}

static void a_stream_that_takes_all_there_is_is_free_again(void **state)
{
	struct stream_rate r = {0};
	int64_t now_ns = START_NS;

	(void)state;
	(void)answer_stream(&r, &now_ns, 40, 100, 0);
	assert_true(answer_stream(&r, &now_ns, 1, 0, 500));
	for (int i = 0; i < 49; i++) {
		struct shard_share s = share(10, 0);

		now_ns += TICK_NS;
		(void)stream_rate_answered(&r, &s, s.taken, true, now_ns, now_ns);
		assert_true(r.is_limited);
	}
	for (int i = 0; i < 5; i++) {
		struct shard_share s = share(10, 0);

		now_ns += TICK_NS;
		(void)stream_rate_answered(&r, &s, s.taken, true, now_ns, now_ns);
	}
	assert_false(r.is_limited);
	assert_true(stream_rate_allows(&r, now_ns));
}

/* A bucket that fills in steps: within ten seconds at its speed, and never before the time it names. */
static void a_stream_gives_what_its_speed_is(void **state)
{
	(void)state;
	for (double speed = 0.01; speed < 20; speed *= 10) {
		struct stream_rate r = {
		    .is_limited = true, .speed = speed, .filled_ns = START_NS, .random = 42, .refused_ns = START_NS};
		int64_t now_ns = START_NS, end_ns = START_NS + 100 * NS_PER_S;
		double sent = 0;

		while (now_ns < end_ns) {
			while (stream_rate_allows(&r, now_ns)) {
				stream_rate_sent(&r, 0.001);
				sent += 0.001;
			}
			assert_true(stream_rate_due_ns(&r, now_ns) > now_ns);
			now_ns = stream_rate_due_ns(&r, now_ns);
		}
		assert_true(sent > 0.95 * 100 * speed && sent < 1.05 * 100 * speed);
	}
}

static bool answer_shard(struct shard_rate *r, int64_t *now_ns, int answers, uint32_t taken, uint32_t refused)
{
	bool limits = false;

	for (int i = 0; i < answers; i++) {
		struct shard_share s = share(taken, refused);

		*now_ns += TICK_NS;
		(void)shard_rate_allows(r, *now_ns);
		r->short_ns = *now_ns;
		limits |= shard_rate_answered(r, &s, *now_ns, *now_ns);
	}
	return limits;
}

static void a_shard_is_free_until_more_is_refused_than_chance_brings(void **state)
{
	struct shard_rate r = {0};
	int64_t now_ns = START_NS;

	(void)state;
	assert_false(answer_shard(&r, &now_ns, 100, 98, 2));
	assert_true(answer_shard(&r, &now_ns, 2, 50, 50));
	assert_true(r.is_limited && !r.is_dead && r.speed > 0.9 && r.speed < 1.1);
	assert_false(shard_rate_allows(&r, now_ns)); /* what was sent before used up what comes next */

	r = (struct shard_rate){0}; /* one by one, with minutes between them: the sixth in a row is no chance */
	for (int i = 1; i <= 6; i++) {
		now_ns += 600 * NS_PER_S;
		assert_int_equal(answer_shard(&r, &now_ns, 1, 0, 1), i == 6);
	}
	assert_false(r.is_dead); /* six records may still be */
	assert_false(answer_shard(&r, &now_ns, 20, 0, 1));
	assert_true(r.is_dead);
}

/* Nine of ten are refused wherever it goes: fifteen in a row do not say that nobody is there. */
static void where_most_is_refused_a_row_must_be_longer(void **state)
{
	(void)state;
	for (int known = 0; known <= 1; known++) {
		struct shard_rate r = {0};
		int64_t now_ns = START_NS;
		int answers = 0;

		for (; !r.is_dead && answers < 300; answers++) {
			struct shard_share s = share(0, 1);

			now_ns += TICK_NS / 10;
			s.elsewhere = known ? 0.9 : 0;
			(void)shard_rate_answered(&r, &s, now_ns, now_ns);
		}
		assert_in_range(answers, known ? 100 : 15, known ? 180 : 20);
	}
}

/* A dead one is asked with one record a second, later every two and a half; it wakes with the first that it takes. */
static void a_dead_shard_is_asked_and_wakes(void **state)
{
	struct shard_rate r = {0};
	int64_t now_ns = START_NS;
	int asked = 0;

	(void)state;
	(void)answer_shard(&r, &now_ns, 60, 0, 10);
	assert_true(r.is_dead);
	for (int i = 0; i < 40; i++) {
		now_ns += NS_PER_S / 2;
		if (!shard_rate_allows(&r, now_ns)) {
			assert_true(shard_rate_due_ns(&r, now_ns) > now_ns);
			continue;
		}
		shard_rate_sent(&r, 0.001, now_ns);
		assert_false(answer_shard(&r, &now_ns, 1, 0, 1));
		asked++;
	}
	assert_in_range(asked, 8, 16);
	(void)answer_shard(&r, &now_ns, 1, 1, 0);
	assert_true(r.is_limited && !r.is_dead && r.speed > 0.09);
}

/* Nothing is taken for some seconds, in too few answers to call it dead: that is no speed which it refused. */
static void a_storm_of_few_answers_teaches_no_speed(void **state)
{
	static const struct {
		int64_t wait_ms;
		uint32_t refused;
	} storm[] = {{0, 126}, {400, 57}, {900, 31}, {500, 1}};
	struct shard_rate r = {0};
	int64_t now_ns = START_NS;

	(void)state;
	for (size_t i = 0; i < sizeof storm / sizeof *storm; i++) {
		now_ns += storm[i].wait_ms * NS_PER_MS;
		assert_int_equal(answer_shard(&r, &now_ns, 1, 0, storm[i].refused), i == 0);
	}
	assert_true(r.is_limited && !r.is_dead);
	now_ns += 3 * NS_PER_S / 2;
	for (int i = 0; i < 10; i++)
		(void)answer_shard(&r, &now_ns, 1, i < 2 ? 1 : 50, 0);
	assert_true(r.speed > 0.9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stream_is_free_until_more_is_refused_than_chance_brings),
	    cmocka_unit_test(a_first_burst_is_no_speed),
	    cmocka_unit_test(a_streams_speed_follows_what_is_refused),
	    cmocka_unit_test(a_stream_that_takes_all_there_is_is_free_again),
	    cmocka_unit_test(a_stream_gives_what_its_speed_is),
	    cmocka_unit_test(a_shard_is_free_until_more_is_refused_than_chance_brings),
	    cmocka_unit_test(where_most_is_refused_a_row_must_be_longer),
	    cmocka_unit_test(a_dead_shard_is_asked_and_wakes),
	    cmocka_unit_test(a_storm_of_few_answers_teaches_no_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
