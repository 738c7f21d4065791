/* What comes one by one and waits is joined while more comes: what delivery has stays, each message leaves once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "rig/journalrig.h"
#include "store/store_internal.h"

enum { MESSAGES = 3000, TAKEN = 40 };

static int64_t blocks, first_blocks;

static void count_blocks(struct store *s)
{
	struct error e;

	assert_int_equal(sql_number(s->db, "SELECT count(*) FROM blocks", &blocks, &e), ERR_OK);
	assert_int_equal(
	    sql_number(s->db, "SELECT count(*) FROM blocks WHERE id <= 40 AND count = 1", &first_blocks, &e), ERR_OK);
}

/* Nothing but metadata: many of them together are smaller. */
static void offer_one_by_one(struct journal *j, struct answers *a, uint64_t first, uint64_t last)
{
	for (uint64_t n = first; n <= last; n++)
		rig_offer_and_wait(j, rig_offer(n, 1, 0, a));
	assert_int_equal(a->last, OFFER_ACCEPTED);
}

static void what_waits_is_joined_while_more_comes(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t *ids = mem_zero(MESSAGES * sizeof *ids);

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	journal_credit(j, TAKEN, 1 << 20);
	offer_one_by_one(j, &a, 1, TAKEN);
	rig_take_ids(j, ids, TAKEN);
	offer_one_by_one(j, &a, TAKEN + 1, MESSAGES);
	rig_on_journal_thread(j, count_blocks); /* it was never idle */
	assert_in_range(blocks, TAKEN, TAKEN + 1000);
	assert_int_equal(first_blocks, TAKEN);
	rig_settle_ids(j, ids, TAKEN, SETTLE_DELIVERED, 0);
	journal_credit(j, MESSAGES, 64 << 20);
	rig_take_ids(j, ids + TAKEN, MESSAGES - TAKEN);
	for (uint64_t i = 0; i < MESSAGES; i++)
		assert_int_equal(ids[i], i + 1);
	for (uint32_t i = TAKEN; i < MESSAGES; i += 370) /* not as they are stored */
		rig_settle_ids(j, ids + i, i + 370 < MESSAGES ? 370 : MESSAGES - i, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	rig_on_journal_thread(j, count_blocks);
	assert_int_equal(blocks, 0);
	rig_stop(j);
	spooldir_remove(&d);
	free(ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_waits_is_joined_while_more_comes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
