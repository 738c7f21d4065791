/*
 * The one record for which a whole request is refused, found before an endpoint that is played here: any number of
 * records, any of them poisoned, positions named rightly, wrongly or not at all, and halves that fail on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/random.h"
#include "delivery/isolate.h"
#include "kinesis/limits.h"

enum { RECORDS_MOST = KINESIS_REQUEST_RECORDS };

/* What the endpoint says of where the poison is. */
enum { SAYS_NOTHING, SAYS_FROM_0, SAYS_FROM_1, SAYS_ALL_FROM_1, SAYS_ANYTHING, SAYS };

static struct isolations all;
static struct ready ready;
static uint64_t memory; /* of no interest here */
static bool is_poison[RECORDS_MOST + 1];
static uint32_t times_stored[RECORDS_MOST + 1], times_named[RECORDS_MOST + 1];
static uint64_t order[RECORDS_MOST]; /* in which they were stored */
static uint32_t stored, named, asked, failed;
static uint32_t most; /* records of a half; 0: any */

static void put(uint64_t id)
{
	struct message *m = message_new(NULL, 0, "x", 1, 1);

	m->id = id;
	ready_put_last(&ready, record_new(m, "k", 1, true, NULL, 0));
}

static void store(struct record *r)
{
	times_stored[r->id]++;
	order[stored++] = r->id;
	record_free(r);
}

/* Of the poison in q, as the endpoint says it. */
static void complain(const struct request *q, int says, struct complaint *ret)
{
	memset(ret, 0, sizeof *ret);
	for (uint32_t i = 0; i < q->count && ret->position_count < COMPLAINT_POSITIONS; i++) {
		uint32_t position = says == SAYS_FROM_0 ? i : i + 1;

		if (!is_poison[q->records[i]->id] || says == SAYS_NOTHING)
			continue;
		if (says == SAYS_ANYTHING)
			position = (uint32_t)random_below(RECORDS_MOST * 2);
		ret->positions[ret->position_count++] = position;
		if (says != SAYS_ALL_FROM_1)
			break;
	}
}

static void answer(struct request *q, int says, int64_t now)
{
	struct complaint said;
	bool refused = false;

	for (uint32_t i = 0; i < q->count; i++)
		refused |= is_poison[q->records[i]->id];
	complain(q, says, &said);
	asked++;
	if (refused)
		request_restore(q, &memory);
	if (refused && q->count > 1) {
		(void)isolate_refused(&all, &ready, q, &said, random_below(2) == 0, now);
	} else if (refused) {
		struct record *r = request_take(q, 0);

		isolate_proved(&all, q);
		if (q->isolation)
			isolate_release(&all, &ready, q);
		times_named[r->id]++;
		named++;
		record_free(r);
	} else {
		for (uint32_t i = 0; i < q->count; i++)
			store(request_take(q, i));
		if (q->isolation)
			isolate_answered(&all, &ready, q, now);
	}
	request_free(q, &memory);
}

static uint32_t suspects(void)
{
	const struct isolation *s;
	uint32_t n = 0;

	LIST_FOREACH (s, &all.list, link)
		n += s->count;
	return n;
}

/* The next half, or what is ready; null: nothing is left. */
static struct request *next(int64_t *now)
{
	struct record *records[RECORDS_MOST], *r;
	struct isolation *s;
	struct request *q;
	uint32_t count = 0;

	if (!isolate_next(&all, *now) && isolate_due_ns(&all) != INT64_MAX)
		*now = isolate_due_ns(&all);
	s = isolate_next(&all, *now);
	if (s)
		count = isolate_take_half(&all, s, most > 0 ? most : RECORDS_MOST, records);
	while (!s && (r = ready_first(&ready))) {
		bool ends = r->ends_batch;

		r->ends_batch = false;
		records[count++] = ready_take(&ready);
		if (ends)
			break;
	}
	if (count == 0)
		return NULL;
	q = request_new(PUTRECORDS_JSON, "s", records, count, &memory);
	if (s)
		isolate_sent(s, q);
	return q;
}

/* Until nothing is left: `cut` of a hundred halves fail on their way. */
static void play(uint32_t count, int says, uint32_t cut)
{
	struct request *q;
	int64_t now = 1000;

	memset(&all, 0, sizeof all);
	memset(times_stored, 0, sizeof times_stored);
	memset(times_named, 0, sizeof times_named);
	stored = named = asked = failed = 0;
	ready_init(&ready);
	for (uint32_t id = 1; id <= count; id++)
		put(id);
	while ((q = next(&now))) {
		if (q->isolation && random_below(100) < cut) {
			request_restore(q, &memory);
			isolate_failed(&all, q, now + 500);
			request_free(q, &memory);
			assert_true(isolate_due_ns(&all) <= now + 500);
			failed++;
		} else {
			answer(q, says, now);
		}
		assert_int_equal(all.records, suspects());
	}
	assert_true(LIST_EMPTY(&all.list));
	assert_int_equal(all.records, 0);
	assert_int_equal(isolate_due_ns(&all), INT64_MAX);
	for (uint32_t id = 1; id <= count; id++) {
		assert_int_equal(times_stored[id], !is_poison[id]);
		assert_int_equal(times_named[id], is_poison[id]);
	}
	ready_fini(&ready);
}

static uint32_t poison(uint32_t count, uint32_t part)
{
	uint32_t n = 0;

	memset(is_poison, 0, sizeof is_poison);
	for (uint32_t id = 1; id <= count; id++)
		n += is_poison[id] = random_below(part) == 0;
	return n;
}

static uint32_t halvings(uint32_t count)
{
	uint32_t n = 0;

	for (; count > 1; count = (count + 1) / 2)
		n++;
	return n;
}

static void each_is_stored_or_named_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		uint32_t count, part;

		random_test_seed(seed);
		count = 1 + (uint32_t)random_below(seed % 4 ? 40 : RECORDS_MOST);
		part = 1 + (uint32_t)random_below(60);
		(void)poison(count, part);
		most = (uint32_t)random_below(20);
		play(count, (int)(seed % SAYS), seed % 3 ? 0 : 30);
	}
	most = 0;
}

/* Nothing named: one request, and for each culprit the halves to it and the rest once more. */
static void few_requests_name_a_culprit(void **state)
{
	(void)state;
	for (uint32_t at = 1; at <= RECORDS_MOST; at += at < 20 ? 1 : 37) {
		memset(is_poison, 0, sizeof is_poison);
		is_poison[at] = true;
		play(RECORDS_MOST, SAYS_NOTHING, 0);
		assert_true(asked <= 1 + halvings(RECORDS_MOST) + 2);
	}
	for (uint64_t seed = 1; seed <= 40; seed++) {
		uint32_t n;

		random_test_seed(seed);
		n = poison(RECORDS_MOST, 50);
		play(RECORDS_MOST, SAYS_NOTHING, 0);
		assert_true(asked <= 1 + n * (halvings(RECORDS_MOST) + 2));
	}
}

/* A position is believed: from 1 at the first try; from 0 once it was found out. */
static void a_position_spares_the_search(void **state)
{
	static const struct {
		int says;
		uint32_t requests;
	} cases[] = {{SAYS_FROM_1, 5}, {SAYS_FROM_0, 5}, {SAYS_ALL_FROM_1, 5}};

	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
		for (uint32_t at = 1; at <= RECORDS_MOST; at += at < 20 ? 1 : 37) {
			memset(is_poison, 0, sizeof is_poison);
			is_poison[at] = true;
			play(RECORDS_MOST, cases[c].says, 0);
			assert_true(asked <= cases[c].requests);
		}
}

/* Without positions nobody is passed by: what is left goes on in its order. */
static void the_order_stays(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		random_test_seed(seed);
		(void)poison(RECORDS_MOST, 1 + (uint32_t)random_below(300));
		play(RECORDS_MOST, SAYS_NOTHING, seed % 2 ? 0 : 30);
		for (uint32_t i = 1; i < stored; i++)
			assert_true(order[i - 1] < order[i]);
	}
}

/* Who lies with positions is not believed for ever, and who tells the truth again is. */
static void a_liar_is_heard_no_more(void **state)
{
	(void)state;
	random_test_seed(7);
	(void)poison(RECORDS_MOST, 40);
	play(RECORDS_MOST, SAYS_ANYTHING, 0);
	assert_int_equal(all.proved, READING_NONE);
}

static void what_is_left_at_the_end_is_freed(void **state)
{
	struct request *q;
	int64_t now = 1;

	(void)state;
	memset(&all, 0, sizeof all);
	(void)poison(9, 1);
	ready_init(&ready);
	for (uint32_t id = 1; id <= 9; id++)
		put(id);
	q = next(&now);
	answer(q, SAYS_NOTHING, now);
	assert_int_equal(all.records, 9);
	isolate_fini(&all);
	assert_true(LIST_EMPTY(&all.list));
	assert_int_equal(all.records, 0);
	ready_fini(&ready);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_is_stored_or_named_once), cmocka_unit_test(few_requests_name_a_culprit),
	    cmocka_unit_test(a_position_spares_the_search), cmocka_unit_test(the_order_stays),
	    cmocka_unit_test(a_liar_is_heard_no_more),      cmocka_unit_test(what_is_left_at_the_end_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
