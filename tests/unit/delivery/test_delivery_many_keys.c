/*
 * Order with far more keys than a request has records, over shards that are full and change: in virtual time everything
 * arrives, and what a reader sees first of each key is in the order in which it was accepted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "delivery/dispatch_internal.h"
#include "rig/sanitizer.h"
#include "rig/shard_world.h"

enum { ROWS_EACH = 16000, ROWS_MOST = 4 * ROWS_EACH };

struct reader {
	uint64_t keys;
	bool seen[ROWS_MOST + 1];
	uint64_t last[ROWS_MOST]; /* newest first copy, by key */
	uint64_t breaches;
};

static uint64_t key_of(const struct reader *r, uint64_t id)
{
	uint64_t x = id * UINT64_C(0x9e3779b97f4a7c15);

	return (x ^ x >> 29) % r->keys;
}

static void key_text(void *arg, uint64_t id, char *text) { (void)snprintf(text, 64, "dev-%" PRIu64, key_of(arg, id)); }

static void on_stored(void *arg, const struct record *record)
{
	struct reader *r = arg;
	uint64_t *last = &r->last[key_of(r, record->id)];

	if (r->seen[record->id])
		return;
	r->seen[record->id] = true;
	r->breaches += record->id < *last;
	if (record->id > *last)
		*last = record->id;
}

static const struct lanes_rules by_key = {.is_on = true, .is_ordered = true, .records = 1};
static const struct lanes_rules checked = {.is_on = true, .is_ordered = true, .records = 500};
static const struct lanes_rules joined = {.is_on = true,
                                          .is_ordered = true,
                                          .aggregates = true,
                                          .target_bytes = 25600,
                                          .period_ns = 100 * NS_PER_MS,
                                          .records = 1};
static const struct lanes_rules joined_checked = {.is_on = true,
                                                  .is_ordered = true,
                                                  .aggregates = true,
                                                  .target_bytes = 25600,
                                                  .period_ns = 100 * NS_PER_MS,
                                                  .records = 500};

enum change { STAYS, SPLITS, GROWS, SHRINKS };

static void change_shards(struct world *w, enum change change)
{
	const size_t n = w->shard_count;

	if (change == SPLITS)
		world_split(w, 0);
	else if (change == GROWS)
		world_reshard(w, n + 1);
	else if (change == SHRINKS)
		world_reshard(w, n > 1 ? n - 1 : 2);
}

static void play(const struct lanes_rules *rules, size_t shards, uint64_t keys, enum change change)
{
	struct reader *r = calloc(1, sizeof *r);
	const struct world_rows rows = {.count = shards * ROWS_EACH,
	                                .bytes = rules->aggregates ? 900 : 40,
	                                .key_of = key_text,
	                                .arg = r,
	                                .memory_bytes = 8 << 20,
	                                .lanes = *rules};
	struct world *w = world_new(shards, 10 * NS_PER_MS, shards + (uint64_t)change);
	struct world_node *n;

	assert_non_null(r);
	r->keys = keys;
	w->on_stored = on_stored;
	w->arg = r;
	n = world_add(w, &rows);
	for (size_t i = 0; i < w->shard_count; i++) {
		w->shards[i].burst_s = 1;
		w->shards[i].records = w->shards[i].records_s;
		w->shards[i].bytes = w->shards[i].bytes_s;
	}
	world_run(w, 5 * NS_PER_S);
	change_shards(w, change);
	for (int i = 0; i < 60 && world_delivered(n) < rows.count; i++)
		world_run(w, 5 * NS_PER_S);
	if (world_delivered(n) != rows.count || (rules->records == 1 && r->breaches > 0))
		fail_msg("%zu shards, %" PRIu64 " keys, %u at once, change %d: %" PRIu64 " of %" PRIu64
		         " delivered, %" PRIu64 " out of order",
		         shards, keys, rules->records, (int)change, world_delivered(n), rows.count, r->breaches);
	world_free(w);
	free(r);
}

/* Every second of all; under a sanitizer, where they take minutes, of two shards alone. */
static void play_all(const struct lanes_rules *rules)
{
	static const uint64_t keys[] = {4000, ROWS_MOST};
	const size_t least = IS_SANITIZED ? 2 : 1, most = IS_SANITIZED ? 2 : 4;

	for (size_t shards = least; shards <= most; shards++)
		for (size_t k = IS_SANITIZED ? 1 : 0; k < sizeof keys / sizeof *keys; k++)
			for (enum change change = STAYS; change <= SHRINKS; change++)
				if ((shards + k + (size_t)change) % 2 == 1)
					play(rules, shards, keys[k], change);
}

static void by_key_all_arrives(void **state)
{
	(void)state;
	play_all(&by_key);
}

static void checked_all_arrives(void **state)
{
	(void)state;
	play_all(&checked);
}

static void in_aggregates_all_arrives(void **state)
{
	(void)state;
	play_all(&joined);
}

static void checked_in_aggregates_all_arrives(void **state)
{
	(void)state;
	play_all(&joined_checked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_key_all_arrives),
	    cmocka_unit_test(checked_all_arrives),
	    cmocka_unit_test(in_aggregates_all_arrives),
	    cmocka_unit_test(checked_in_aggregates_all_arrives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
