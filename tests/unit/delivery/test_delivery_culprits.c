/*
 * Requests that are refused whole for some of their records, in virtual time: how often each record is uploaded, and in
 * how many requests, however many culprits there are and wherever they stand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "delivery/culprits.h"
#include "delivery/dispatch_internal.h"
#include "rig/sanitizer.h"
#include "rig/shard_world.h"

enum { ROWS = 20000, KEYS = 1000, SECONDS = 400 };

static const struct lanes_rules ANY, BY_KEY = {.is_on = true, .is_ordered = true, .records = 1},
                                     CHECKED = {.is_on = true, .is_ordered = true, .records = 500};
static const struct world_refusal INVALID = {400, "{\"__type\":\"ValidationException\",\"message\":\"1 error\"}"},
                                  LARGE = {413, "<html>no</html>"},
                                  UNHEARD = {400, "{\"__type\":\"NeverHeardOf\",\"message\":\"no\"}"};

struct scene {
	const char *name;
	double part;           /* of the rows that are culprits */
	uint64_t first, count; /* only of these, at once again and again; 0: of all */
	const struct world_refusal *bars;
	uint32_t named;
	const struct lanes_rules *lanes;
	double uploads, requests; /* of a record, at most */
};

static bool is_culprit(void *arg, const struct record *r)
{
	const struct scene *s = arg;

	if (s->count > 0 && r->id % s->first >= s->count)
		return false;
	return (double)(r->id * UINT64_C(0x9e3779b97f4a7c15) >> 11) / 9007199254740992.0 < s->part;
}

static uint64_t culprits_of(struct scene *s)
{
	uint64_t n = 0;

	for (uint64_t id = 1; id <= ROWS; id++) {
		const struct record r = {.id = id};

		n += is_culprit(s, &r);
	}
	return n;
}

static void key_text(void *arg, uint64_t id, char *text)
{
	const struct scene *s = arg;

	(void)snprintf(text, 64, "pump-%" PRIu64, s->lanes->is_ordered ? id * 7919 % KEYS : id);
}

static bool fails(struct scene s, uint64_t seed)
{
	const struct world_rows rows = {.count = ROWS, .bytes = 200, .key_of = key_text, .arg = &s, .lanes = *s.lanes};
	const uint64_t good = ROWS - culprits_of(&s);
	struct world *w = world_new(4, 20 * NS_PER_MS, seed);
	struct world_node *n;
	double uploads, requests;
	uint64_t delivered, set_aside;

	w->bars = s.bars;
	w->bars_name = s.named;
	w->is_poison = is_culprit;
	w->arg = &s;
	for (size_t i = 0; i < w->shard_count; i++)
		w->shards[i].records_s = 0;
	n = world_add(w, &rows);
	for (int i = 0; i < SECONDS * 10 && world_delivered(n) < good; i++)
		world_run(w, NS_PER_S / 10);
	dispatch_drain(world_dispatch(n)); /* behind the last ones nobody comes */
	world_run(w, NS_PER_S);
	uploads = (double)w->offered / ROWS;
	requests = (double)w->requests / ROWS;
	delivered = world_delivered(n);
	set_aside = world_other_ends(n);
	world_free(w);
	if (delivered == good && (s.bars != &INVALID || set_aside == ROWS - good) && uploads <= s.uploads &&
	    requests <= s.requests)
		return false;
	print_message("%s: %" PRIu64 " of %" PRIu64 " delivered, %" PRIu64
	              " set aside; each in %.2f uploads (%.2f) and %.4f "
	              "requests (%.4f)\n",
	              s.name, delivered, good, set_aside, uploads, s.uploads, requests, s.requests);
	return true;
}

static void each_is_uploaded_seldom(void **state)
{
	static const struct scene SCENES[] = {
	    {"1 in 10,000", 1e-4, 0, 0, &INVALID, 0, &ANY, 1.2, 0.005},
	    {"1 in 500", 0.002, 0, 0, &INVALID, 0, &ANY, 1.6, 0.04},
	    {"1 in 100", 0.01, 0, 0, &INVALID, 0, &ANY, 1.7, 0.13},
	    {"1 in 50", 0.02, 0, 0, &INVALID, 0, &ANY, 1.8, 0.25},
	    {"1 in 10", 0.1, 0, 0, &INVALID, 0, &ANY, 2, 0.9},
	    {"1 in 3", 1 / 3., 0, 0, &INVALID, 0, &ANY, 2, 1.1},
	    {"1 in 50 of a key", 0.02, 0, 0, &INVALID, 0, &BY_KEY, 1.8, 0.25},
	    {"1 in 50 in order", 0.02, 0, 0, &INVALID, 0, &CHECKED, 1.8, 0.25},
	    {"1 in 50, all named", 0.02, 0, 0, &INVALID, 64, &ANY, 2.2, 0.1},
	    {"1 in 50, one named", 0.02, 0, 0, &INVALID, 1, &ANY, 3, 0.15},
	    {"15 in a row", 1, 5000, 15, &INVALID, 0, &ANY, 1.5, 0.06},
	    {"1 in 10 at first", 0.1, ROWS, 2000, &INVALID, 0, &ANY, 1.5, 0.12},
	    {"1 in 500 too large", 0.002, 0, 0, &LARGE, 0, &ANY, 1.8, 0.1},
	    {"1 in 50 too large", 0.02, 0, 0, &LARGE, 0, &ANY, 1.9, 0.35},
	    {"1 in 500 in words nobody knows", 0.002, 0, 0, &UNHEARD, 0, &ANY, 2, 0.1},
	    {"1 in 50 in words nobody knows", 0.02, 0, 0, &UNHEARD, 0, &ANY, 2, 0.35},
	};
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof SCENES / sizeof *SCENES; i += IS_SANITIZED ? 5 : 1)
		wrong += fails(SCENES[i], 1 + i);
	if (wrong > 0)
		fail_msg("%zu scenes", wrong);
}

/* As long as they come a request has a quarter of the distance; without them it soon has all again. */
static void requests_follow_the_distance(void **state)
{
	struct culprits c;
	uint32_t requests = 0;

	(void)state;
	culprits_init(&c);
	for (int i = 0; i < 1000; i++)
		culprits_taken(&c, 500);
	assert_int_equal(culprits_records(&c, false, 500), 500);
	culprits_refused(&c, 250);
	assert_int_equal(culprits_records(&c, false, 500), 500);
	for (uint32_t i = 0; i < 400; i++) {
		culprits_taken(&c, 36);
		if (i % 5 == 4)
			culprits_refused(&c, 20);
	}
	assert_in_range(culprits_records(&c, false, 500), 36, 50);
	assert_in_range(culprits_records(&c, true, 500), 72, 100);
	assert_int_equal(culprits_records(&c, false, 10), 10);
	for (int i = 0; i < 100; i++)
		culprits_refused(&c, 0.5);
	assert_int_equal(culprits_records(&c, false, 500), 1);
	for (; culprits_records(&c, false, 500) < 500; requests++)
		culprits_taken(&c, culprits_records(&c, false, 500));
	assert_in_range(requests, 20, 70);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_is_uploaded_seldom),
	    cmocka_unit_test(requests_follow_the_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
