/*
 * Random verbs on a store and on a model of it, compared after each: every number, every message, what stands in the
 * tables. A verb is tried with its n-th call of SQLite failing first: it must say so, and nothing may have happened;
 * then it succeeds as if nothing had been.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/spoolmodel.h"

enum { STEPS = 700 };

/* KSPOOL_MODEL_SEED=n tries other lives by hand. */
static uint64_t seed(uint64_t n)
{
	const char *more = getenv("KSPOOL_MODEL_SEED");

	return n + (more ? strtoull(more, NULL, 10) * 100 : 0);
}

static void a_life_of_small_groups(void **state)
{
	(void)state;
	model_live(seed(1), STEPS, 0, NULL);
}

static void another_life(void **state)
{
	(void)state;
	model_live(seed(2), STEPS, 0, &(struct store_options){.page_size = 1024, .compress = STORE_COMPRESS_ALWAYS});
}

static void a_life_of_large_groups(void **state)
{
	(void)state;
	model_live(seed(4), STEPS / 5, MODEL_LARGE, &(struct store_options){.page_size = 16384});
}

/* Exactly what fits: no block is begun before the one before it is full. */
static void a_block_is_full_at_its_limits(void **state)
{
	static const struct {
		uint32_t count, bytes, blocks, alone;
	} groups[] = {
	    {511, 1, 1, 0},
	    {512, 1, 1, 0},
	    {513, 1, 2, 0},
	    {1024, 1, 2, 0},
	    {64, BLOCK_BYTES / 64, 1, 0},
	    {65, BLOCK_BYTES / 64, 2, 0},
	    {64, BLOCK_BYTES / 64 + 1, 2, 0},
	    {1, BLOCK_BYTES, 1, 0},
	    {2, BLOCK_BYTES, 2, 0},
	    {1, BLOCK_BYTES + 1, 0, 1},
	    {3, BLOCK_BYTES + 1, 0, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		struct model *m = model_open(NULL);
		struct error e;

		m->no_metadata = true;
		assert_int_equal(model_begin(m, &e), ERR_OK);
		for (uint32_t k = 0; k < groups[i].count; k++)
			assert_int_equal(model_append(m, groups[i].bytes, &e), ERR_OK);
		assert_int_equal(model_commit(m, &e), ERR_OK);
		model_expect(m);
		assert_int_equal(model_count(m, "SELECT count(*) FROM blocks"), groups[i].blocks);
		assert_int_equal(model_count(m, "SELECT count(*) FROM messages"), groups[i].alone);
		model_close(m);
	}
}

static void a_harmed_life(void **state)
{
	(void)state;
	model_live(seed(3), STEPS, MODEL_HARMED, &(struct store_options){.compress = STORE_COMPRESS_NEVER});
}

/* Lives that told more than those above: of a disk that refused a step of a drain, and was believed after the next. */
static void lives_that_found_something(void **state)
{
	static const struct {
		uint64_t seed;
		struct store_options options;
	} lives[] = {
	    {471102, {.page_size = 1024, .compress = STORE_COMPRESS_ALWAYS}},
	    {9021001, {0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof lives / sizeof *lives; i++)
		model_live(lives[i].seed, STEPS, 0, &lives[i].options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_life_of_small_groups), cmocka_unit_test(another_life),
	    cmocka_unit_test(a_life_of_large_groups), cmocka_unit_test(a_block_is_full_at_its_limits),
	    cmocka_unit_test(a_harmed_life),          cmocka_unit_test(lives_that_found_something),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
