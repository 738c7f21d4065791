/* Rows that delivery gives back unread, and asks for again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/journalrig.h"

enum { ROWS = 4000 };

static struct journal *begin(const struct spooldir *dir, uint32_t rows, uint64_t max_bytes)
{
	struct journal_options o = {.store = spooldir_options(dir)};
	struct store_report report;
	struct journal *j;
	struct answers a = {0};

	o.store.max_bytes = max_bytes;
	o.store.evict_oldest = true;
	j = rig_start(&o, &report);
	for (uint32_t at = 0; at < rows; at += 500) {
		rig_offer_and_wait(j, rig_offer(at, 500, 100, &a));
		rig_wait_answers(j, &a, at / 500 + 1);
	}
	return j;
}

/* Every third row is put back, the rest leaves; then the thirds come, each once, and only these. */
static void what_is_released_comes_when_it_is_asked_for(void **state)
{
	static uint64_t ids[ROWS], third[ROWS], rest[ROWS], again[ROWS];
	uint32_t thirds = 0, others = 0;
	struct spooldir dir;
	struct journal *j;

	(void)state;
	spooldir_make(&dir);
	j = begin(&dir, ROWS, 0);
	journal_credit(j, ROWS, 100 << 20);
	rig_take_ids(j, ids, ROWS);
	for (uint32_t i = 0; i < ROWS; i++)
		if (ids[i] % 3 == 0)
			third[thirds++] = ids[i];
		else
			rest[others++] = ids[i];
	rig_settle_ids(j, third, thirds, SETTLE_RELEASE, 0);
	rig_settle_ids(j, rest, others, SETTLE_DELIVERED, 0);
	journal_credit(j, ROWS, 100 << 20);
	for (uint32_t at = 0; at < thirds; at += 100) {
		uint32_t n = thirds - at < 100 ? thirds - at : 100;

		rig_settle_ids(j, third + at, n, SETTLE_FETCH, 0);
		rig_take_ids(j, again, n);
		assert_memory_equal(again, third + at, n * sizeof *again);
		rig_settle_ids(j, again, n, SETTLE_DELIVERED, 0);
	}
	rig_wait_empty(j);
	rig_stop(j);
	spooldir_remove(&dir);
}

/* Of what waits on disk the oldest are evicted: each that is asked for is answered once, by its row or as gone. */
static void what_was_evicted_meanwhile_is_told(void **state)
{
	enum { FEW = 2000 };
	static uint64_t ids[FEW];
	static unsigned char told[FEW + 1];
	struct answers a = {0};
	struct journal_rows rows;
	uint32_t answered = 0, gone = 0;
	struct spooldir dir;
	struct journal *j;

	(void)state;
	spooldir_make(&dir);
	j = begin(&dir, FEW, 256 << 10);
	journal_credit(j, FEW, 100 << 20);
	rig_take_ids(j, ids, FEW);
	rig_settle_ids(j, ids, FEW, SETTLE_RELEASE, 0);
	for (uint32_t i = 0; i < 2; i++) /* no credit: these are for the disk */
		rig_offer_and_wait(j, rig_offer(FEW + 100 * i, 100, 500, &a));
	rig_settle_ids(j, ids, FEW, SETTLE_FETCH, 0);
	journal_credit(j, FEW, 100 << 20);
	while (answered < FEW) {
		struct message *m;

		if (!journal_take_rows(j, &rows)) {
			rig_wait_fd(journal_delivery_fd(j));
			continue;
		}
		STAILQ_FOREACH (m, &rows.messages, link)
			if (m->id <= FEW) {
				assert_int_equal(told[m->id]++, 0);
				answered++;
			}
		for (uint32_t i = 0; i < rows.gone_count; i++, gone++, answered++)
			assert_int_equal(told[rows.gone[i]]++, 0);
		message_list_free(&rows.messages);
	}
	assert_in_range(gone, 100, FEW - 100);
	rig_stop(j);
	spooldir_remove(&dir);
}

/* Delivery stops: what it knows of rows that it put back is written down, of rows that are gone too. */
static void tries_of_what_is_released_are_noted(void **state)
{
	enum { FEW = 500 };
	static uint64_t ids[FEW];
	struct store_settlements *group = store_settlements_new(3);
	struct journal_options o = {0};
	struct store_report report;
	struct journal_rows rows;
	struct spooldir dir;
	struct journal *j;
	uint32_t seen = 0;

	(void)state;
	spooldir_make(&dir);
	j = begin(&dir, FEW, 0);
	journal_credit(j, FEW, 100 << 20);
	rig_take_ids(j, ids, FEW);
	rig_settle_ids(j, ids, 1, SETTLE_DELIVERED, 0);
	rig_settle_ids(j, ids + 1, FEW - 1, SETTLE_RELEASE, 0);
	rig_settle_ids(j, ids + 2, 1, SETTLE_FETCH, 0);
	journal_credit(j, FEW, 100 << 20);
	rig_take_ids(j, ids + 2, 1);
	for (int i = 0; i < 3; i++) /* gone, on disk, and here again */
		group->items[group->count++] = (struct store_settlement){
		    .id = ids[i], .kind = SETTLE_RETRY, .is_note = true, .attempts = 3, .code = "Stopped"};
	while (!journal_settle(j, group))
		rig_wait_fd(journal_delivery_fd(j));
	rig_stop(j);
	o.store = spooldir_options(&dir);
	j = rig_start(&o, &report);
	assert_false(report.quarantined);
	assert_int_equal(report.rows, FEW - 1);
	journal_credit(j, FEW, 100 << 20);
	while (seen < FEW - 1) {
		struct message *m;

		if (!journal_take_rows(j, &rows)) {
			rig_wait_fd(journal_delivery_fd(j));
			continue;
		}
		STAILQ_FOREACH (m, &rows.messages, link) {
			assert_int_equal(m->attempts, m->id == ids[1] || m->id == ids[2] ? 3 : 0);
			seen++;
		}
		message_list_free(&rows.messages);
	}
	rig_stop(j);
	spooldir_remove(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_released_comes_when_it_is_asked_for),
	    cmocka_unit_test(what_was_evicted_meanwhile_is_told),
	    cmocka_unit_test(tries_of_what_is_released_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
