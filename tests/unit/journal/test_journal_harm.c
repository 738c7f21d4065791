/* What delivery has in its hands while the disk is full or the file goes bad: nothing is done twice, nothing forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/metrics.h"
#include "rig/crashvfs.h"
#include "rig/journalrig.h"
#include "store/store_internal.h"

static uint64_t fails_at;
static struct store_state seen;

static void fill_the_disk(struct store *s)
{
	(void)s;
	crashvfs_fail(fails_at, FAULT_ENOSPC, true);
}

static void empty_the_disk(struct store *s)
{
	(void)s;
	crashvfs_fail(0, FAULT_ENOSPC, false);
}

static void look(struct store *s) { store_state(s, &seen); }

static struct journal *start(struct spooldir *d)
{
	struct journal_options o = {0};

	spooldir_make(d);
	o.store = spooldir_options(d);
	o.store.vfs = CRASHVFS_NAME;
	return rig_start(&o, NULL);
}

/*
 * A group is settled in steps on a full disk, and the disk is full again after some of them: the rest follows when
 * there is room, and what was settled is not settled again.
 */
static void a_group_that_was_settled_in_part_goes_on_where_it_was(void **state)
{
	enum { ROWS = 300 };

	(void)state;
	for (uint64_t n = 5; n < 120; n += 10) {
		struct spooldir d;
		struct answers a = {0};
		struct journal *j = start(&d);
		uint64_t ids[ROWS];

		rig_offer_and_wait(j, rig_offer(1, ROWS, 50, &a));
		journal_credit(j, ROWS, 1 << 20);
		rig_take_ids(j, ids, ROWS);
		fails_at = 1;
		rig_on_journal_thread(j, fill_the_disk);
		rig_settle_ids(j, ids, ROWS - 10, SETTLE_DELIVERED, 0);
		rig_settle_ids(j, ids + ROWS - 10, 5, SETTLE_DEAD, 0);
		rig_settle_ids(j, ids + ROWS - 5, 5, SETTLE_DELIVERED, 0);
		fails_at = n;
		rig_on_journal_thread(j, fill_the_disk);
		for (int i = 0; i < 3; i++) {
			rig_on_journal_thread(j, look);
			assert_int_equal(seen.ledger.accepted, ROWS);
			assert_int_equal(seen.ledger.pending + seen.ledger.delivered + seen.ledger.dead, ROWS);
		}
		rig_on_journal_thread(j, empty_the_disk);
		rig_wait_empty(j);
		rig_on_journal_thread(j, look);
		assert_int_equal(seen.ledger.delivered, ROWS - 5);
		assert_int_equal(seen.ledger.dead, 5);
		assert_int_equal(seen.unexpected_settlements, 0);
		rig_stop(j);
		spooldir_remove(&d);
	}
}

static void steal_a_row(struct store *s) { spooldir_lose_in(s->db, 50); }

static int times_damaged;

static void count_damage(const struct error *why, const struct store_report *report)
{
	assert_non_null(strstr(why->text, "were read"));
	assert_true(report->quarantined);
	times_damaged++;
}

/* The file is set aside while delivery has rows of it: they come back into the new one and are not handed over again.
 */
static void what_delivery_has_is_not_handed_over_again(void **state)
{
	enum { ROWS = 3000, HANDED = 100 };
	struct journal_options o = {.on_damaged = count_damage};
	struct spooldir d;
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[ROWS];

	(void)state;
	times_damaged = 0;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	for (uint64_t n = 1; n <= ROWS; n += 100)
		rig_offer_and_wait(j, rig_offer(n, 100, 100, &a));
	journal_credit(j, HANDED, 64 << 20);
	rig_take_ids(j, ids, HANDED);
	rig_on_journal_thread(j, steal_a_row);
	rig_settle_ids(j, ids + 49, 1, SETTLE_DELIVERED, 0);
	journal_credit(j, ROWS - HANDED, 64 << 20);
	rig_take_ids(j, ids + HANDED, ROWS - HANDED);
	for (uint64_t i = 0; i < ROWS; i++)
		assert_int_equal(ids[i], i + 1);
	rig_settle_ids(j, ids, 49, SETTLE_DELIVERED, 0);
	rig_settle_ids(j, ids + 50, ROWS - 50, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	rig_on_journal_thread(j, look);
	assert_int_equal(seen.ledger.delivered, ROWS - 1);
	assert_int_equal(seen.ledger.damaged, 1);
	assert_int_equal(times_damaged, 1);
	rig_stop(j);
	spooldir_remove(&d);
}

/* What delivery settled is in the answer to whoever asks after it, though its commit waited for company. */
static void a_question_sees_what_is_held(void **state)
{
	struct spooldir d;
	struct answers a = {0};
	struct journal *j = start(&d);
	uint64_t ids[10];

	(void)state;
	rig_offer_and_wait(j, rig_offer(1, 10, 50, &a));
	journal_credit(j, 10, 1 << 20);
	rig_take_ids(j, ids, 10);
	rig_settle_ids(j, ids, 4, SETTLE_DELIVERED, 0);
	for (seen.ledger.delivered = 0; seen.ledger.delivered == 0;) {
		bool is_held = metric_get(M_SETTLEMENTS_HELD) > 0;

		rig_on_journal_thread(j, look);
		if (is_held)
			assert_int_equal(seen.ledger.delivered, 4);
	}
	rig_stop(j);
	spooldir_remove(&d);
}

static uint64_t imported;
static char copy[400];

static void import_the_copy(struct store *s)
{
	struct error e;

	must(store_import(s, copy, false, &imported, &e) == ERR_OK);
}

/* A question may bring messages that failed elsewhere: they come due without any other event. */
static void what_failed_in_a_copy_comes_due_here(void **state)
{
	struct spooldir d, other;
	struct store_options o;
	struct store *s = NULL;
	struct answers a = {0};
	struct journal *j;
	struct error e;
	uint64_t id;

	(void)state;
	spooldir_make(&other);
	o = spooldir_options(&other);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 1; n <= 2; n++) {
		struct message *m = spooldir_message(n, 100);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(
	    store_settle(s, (struct store_settlement[]){{.id = 2, .kind = SETTLE_RETRY, .attempts = 4, .code = "x"}}, 1,
	                 &e),
	    ERR_OK);
	assert_int_equal(store_settle(s, (struct store_settlement[]){{.id = 1, .kind = SETTLE_DELIVERED}}, 1, &e),
	                 ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	(void)snprintf(copy, sizeof copy, "%s/copy", other.dir);
	assert_int_equal(store_export(s, copy, &e), ERR_OK);
	assert_int_equal(store_close(s, &e), ERR_OK);

	j = start(&d);
	rig_offer_and_wait(j, rig_offer(1, 1, 50, &a));
	journal_credit(j, 10, 1 << 20);
	rig_take_ids(j, &id, 1);
	rig_on_journal_thread(j, import_the_copy);
	assert_int_equal(imported, 1);
	rig_take_ids(j, &id, 1);
	assert_int_equal(id, 2);
	rig_stop(j);
	spooldir_remove(&d);
	spooldir_remove(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_group_that_was_settled_in_part_goes_on_where_it_was),
	    cmocka_unit_test(what_delivery_has_is_not_handed_over_again),
	    cmocka_unit_test(a_question_sees_what_is_held),
	    cmocka_unit_test(what_failed_in_a_copy_comes_due_here),
	};

	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
