/*
 * Leaves of `blocks` exchanged in a spool that is too large to be looked through at a start: each page is whole, and
 * the tree shows ids that do not ascend. What is counted in it, or asked for its lowest id, is not the truth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rig/fullspool.h"
#include "rig/journalrig.h"
#include "store/store_internal.h"

enum { OFFERS = 40, EACH = 200, TOTAL = OFFERS * EACH, LENGTH = 100, PAGE_BYTES = 4096, LEAVES_MAX = 64, PARTS = 100 };
enum { INTERIOR = 5, LEAF = 13, CELLS = 3, RIGHTMOST = 8, INTERIOR_POINTERS = 12 };

static struct store_ledger noted;

static void note_ledger(struct store *s) { noted = *store_ledger(s); }

static unsigned number(const unsigned char *at, int bytes)
{
	unsigned n = 0;

	for (int i = 0; i < bytes; i++)
		n = n << 8 | at[i];
	return n;
}

/* Of a tree of two floors; pages from 0. */
static size_t leaves_of_blocks(const struct spooldir *d, const unsigned char *bytes, size_t *leaves)
{
	const unsigned char *root = bytes + full_page(d->path, "blocks") * PAGE_BYTES;
	size_t count = 0;

	assert_int_equal(root[0], INTERIOR);
	for (unsigned i = 0; i < number(root + CELLS, 2); i++)
		leaves[count++] = number(root + number(root + INTERIOR_POINTERS + 2 * (size_t)i, 2), 4) - 1;
	leaves[count++] = number(root + RIGHTMOST, 4) - 1;
	assert_in_range(count, 8, LEAVES_MAX);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(bytes[leaves[i] * PAGE_BYTES], LEAF);
	return count;
}

static void turn(unsigned char *bytes, const size_t *pages, size_t count)
{
	unsigned char first[PAGE_BYTES];

	memcpy(first, bytes + pages[0] * PAGE_BYTES, PAGE_BYTES);
	for (size_t i = 0; i + 1 < count; i++)
		memcpy(bytes + pages[i] * PAGE_BYTES, bytes + pages[i + 1] * PAGE_BYTES, PAGE_BYTES);
	memcpy(bytes + pages[count - 1] * PAGE_BYTES, first, PAGE_BYTES);
}

/* Delivery, which takes at most so many at once, until each message has come and nothing waits. Returns how many came
 * twice. */
static uint32_t deliver(struct journal *j, uint32_t at_once)
{
	static uint64_t ids[TOTAL];
	uint8_t seen[TOTAL + 1] = {0};
	uint32_t came = 0, twice = 0;
	const time_t until = time(NULL) + 30;

	journal_credit(j, at_once, 64 << 20);
	while (came < TOTAL || !journal_is_empty(j)) {
		struct journal_rows rows;
		struct message *m;
		uint32_t n = 0;

		assert_true(time(NULL) < until);
		if (!journal_take_rows(j, &rows)) {
			(void)usleep(1000);
			continue;
		}
		STAILQ_FOREACH (m, &rows.messages, link) {
			assert_true(spooldir_is_message(m, m->id, LENGTH));
			twice += seen[m->id] > 0;
			came += seen[m->id] == 0;
			seen[m->id] = 1;
			ids[n++] = m->id;
		}
		message_list_free(&rows.messages);
		rig_settle_ids(j, ids, n, SETTLE_DELIVERED, 0);
		journal_credit(j, n, 64 << 20);
	}
	return twice;
}

static void make(struct spooldir *d, struct journal_options *o)
{
	struct answers a = {0};
	struct journal *j;

	spooldir_make(d);
	*o = (struct journal_options){.store = spooldir_options(d)};
	o->store.page_size = PAGE_BYTES;
	o->store.compress = STORE_COMPRESS_NEVER;
	j = rig_start(o, NULL);
	for (uint64_t n = 0; n < OFFERS; n++)
		rig_offer_and_wait(j, rig_offer(1 + n * EACH, EACH, LENGTH, &a));
	rig_stop(j);
}

/* The leaves at these parts of the table take each other's places, and the file is as large as that. */
static void make_unordered(struct spooldir *d, struct journal_options *o, const size_t *places, size_t count,
                           off_t size)
{
	unsigned char *bytes;
	size_t length, leaves[LEAVES_MAX], pages[3], leaf_count;

	make(d, o);
	bytes = spooldir_load(d->path, &length);
	leaf_count = leaves_of_blocks(d, bytes, leaves);
	for (size_t i = 0; i < count; i++)
		pages[i] = leaves[places[i] * leaf_count / PARTS];
	turn(bytes, pages, count);
	spooldir_store(d->path, bytes, length);
	free(bytes);
	assert_int_equal(truncate(d->path, size), 0);
}

static void try_one(const size_t *places, size_t count, off_t size, uint32_t at_once)
{
	struct spooldir d;
	struct journal_options o;
	struct journal *j;

	make_unordered(&d, &o, places, count, size);
	j = rig_start(&o, NULL);
	assert_int_equal(deliver(j, at_once), 0);
	rig_on_journal_thread(j, note_ledger);
	assert_int_equal(noted.accepted, TOTAL);
	assert_int_equal(noted.delivered, TOTAL);
	assert_int_equal(noted.damaged, 0);
	rig_stop(j);
	spooldir_remove(&d);
}

/* Counted at the start, which does not look through it, or only when a message is missed. */
static void no_message_is_hidden_and_none_is_invented(void **state)
{
	static const size_t places[][3] = {{0, 99},  {10, 90},    {0, 50},      {50, 99},
	                                   {40, 60}, {0, 99, 50}, {90, 50, 10}, {20, 0, 99}};

	(void)state;
	for (off_t mib = 40; mib <= 70; mib += 30)
		for (size_t i = 0; i < sizeof places / sizeof *places; i++)
			for (uint32_t at_once = EACH; at_once <= TOTAL; at_once += TOTAL - EACH)
				try_one(places[i], i < 5 ? 2 : 3, mib << 20, at_once);
}

/* Below the lowest id that the ledger notes nothing waits: a later start takes away what stands there, and a file set
 * aside is read without it. */
static void the_lowest_id_is_not_believed(void **state)
{
	static const size_t places[] = {30, 70};
	struct spooldir d;
	struct journal_options o;
	struct store *s;
	struct error e;
	enum err err = ERR_OK;
	uint64_t id = 1;

	(void)state;
	make_unordered(&d, &o, places, 2, 70 << 20);
	assert_int_equal(store_open(&o.store, &s, NULL, &e), ERR_OK);
	for (; id < TOTAL && err == ERR_OK; id += EACH) {
		struct store_settlement items[EACH] = {0};

		for (uint32_t i = 0; i < EACH; i++)
			items[i] = (struct store_settlement){.id = id + i, .kind = SETTLE_DELIVERED};
		assert_int_equal(store_begin(s, &e), ERR_OK);
		err = store_settle(s, items, EACH, &e);
		if (err == ERR_OK)
			err = store_commit(s, &e);
		assert_in_range(s->durable.blocks_from, 0, id + EACH);
	}
	assert_int_equal(err, ERR_DAMAGED);
	assert_non_null(strstr(e.text, "rows are out of order: pages were exchanged"));
	assert_in_range(id, EACH, TOTAL / 2); /* as soon as one of them would have been the lowest */
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* Whoever reads a spool adds the blocks that the ledger's row does not have. */
static void blocks_behind_the_ledger_ascend_or_are_damage(void **state)
{
	static const size_t places[] = {30, 70};
	struct spooldir d;
	struct journal_options o;
	sqlite3 *db = NULL;

	(void)state;
	for (size_t count = 1; count <= 2; count++) {
		make_unordered(&d, &o, places, count, 70 << 20);
		assert_int_equal(sqlite3_open(d.path, &db), SQLITE_OK);
		for (uint64_t next = 1; next <= TOTAL + 1; next += EACH * 5) {
			struct totals t = {.next_id = next};
			bool is_behind;
			const int rc = store_ledger_catch_up(db, &t, &is_behind);
			const bool is_before = next < TOTAL * 3 / 10; /* all of what was exchanged stands behind it */

			if (count == 1) {
				assert_int_equal(rc, SQLITE_OK);
				assert_int_equal(t.ledger.accepted, TOTAL + 1 - next);
			} else if (is_before) {
				assert_int_equal(rc, SQLITE_CORRUPT);
			}
			assert_true(rc == SQLITE_CORRUPT || t.ledger.accepted <= TOTAL);
		}
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_message_is_hidden_and_none_is_invented),
	    cmocka_unit_test(the_lowest_id_is_not_believed),
	    cmocka_unit_test(blocks_behind_the_ledger_ascend_or_are_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
