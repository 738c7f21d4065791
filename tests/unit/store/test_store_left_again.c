/*
 * Messages that had left come back with an old or damaged page, and hide others that are gone: whatever is done to the
 * files, what is lost and what may be sent twice are counted apart, each once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "rig/left_lives.h"
#include "store/store_internal.h"
#include "store/store_damage.h"

/* A run in which the spool was sound has made it anew: it knows as much as the one that was lost, some being damaged or
 * none. */
static void one_made_anew_knows_as_much(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof harms / sizeof *harms; i++) {
		const struct harm *h = &harms[i / 2];
		struct store_report report;
		uint64_t lost, again;
		struct spooldir d;
		struct store *s;

		make(&d);
		if (i % 2 == 1) {
			run_sql(&d, "DELETE FROM blocks WHERE id BETWEEN 205 AND 215;"
			            " DELETE FROM partial WHERE block_id BETWEEN 205 AND 215");
			life_close(life_open(&d, NULL));
		}
		assert_int_equal(unlink(spooldir_file(&d, ".left")), 0);
		life_close(life_open(&d, NULL));
		do_harm(&d, h);
		s = life_open(&d, &report);
		compare(s, &lost, &again);
		assert_true(i % 2 == 0 || lost >= 5);
		expect(s, h, lost, again);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* First pages of tables, and of the file, as they were at the stop before, one by one and together. */
static void pages_of_an_earlier_time(void **state)
{
	static const char *const tables[] = {"ledger", "partial", "blocks", "file", "failures"};
	enum { TABLES = sizeof tables / sizeof *tables };

	(void)state;
	for (unsigned set = 0; set < 1U << TABLES; set++) {
		AUTOFREE char *name = mem_format("pages %u", set);
		const struct harm h = {.name = name};
		struct spooldir d, before;
		uint64_t lost, again;
		unsigned char *data, *old;
		size_t bytes, old_bytes;
		struct store *s = life_begin(&d);

		life_append(s, 0, ROWS - 100);
		for (uint64_t id = 1; id <= 100; id += 2)
			life_settle(s, id, id);
		life_close(s);
		spooldir_make(&before);
		spooldir_copy(&d, &before);
		s = life_open(&d, NULL);
		life_append(s, ROWS - 100, 100);
		for (uint64_t id = 101; id <= ROWS; id += 2)
			life_settle(s, id, id);
		life_close(s);
		data = spooldir_load(d.path, &bytes);
		old = spooldir_load(before.path, &old_bytes);
		for (unsigned t = 0; t < TABLES; t++) {
			const size_t at = (root_of(&d, tables[t]) - 1) * PAGE;

			if (set >> t & 1)
				memcpy(data + at, old + at, PAGE);
		}
		spooldir_store(d.path, data, bytes);
		s = life_open(&d, NULL);
		compare(s, &lost, &again);
		expect(s, &h, lost, again);
		life_close(s);
		free(data);
		free(old);
		spooldir_remove(&before);
		spooldir_remove(&d);
	}
}

/* One too large to be counted at its start: with the first that had left, when it is read. */
static void a_large_spool_is_counted_when_one_comes_back(void **state)
{
	enum { LARGE = 1000000, LARGES = 68 };
	unsigned char *body = mem_zero(LARGE);

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		const struct harm *h = &harms[i];
		struct store_report report;
		uint64_t lost, again;
		struct spooldir d;
		struct store *s;
		struct error e;

		if (!h->sql || !strstr(h->name, "come back"))
			continue;
		make(&d);
		s = life_open(&d, NULL);
		for (int n = 0; n < LARGES; n++) {
			struct message *m;

			for (size_t at = 0; at < LARGE; at++) /* nothing makes it smaller */
				body[at] = (unsigned char)rand();
			m = message_new(NULL, 0, body, LARGE, 1);
			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_append(s, m, &e), ERR_OK);
			assert_int_equal(store_commit(s, &e), ERR_OK);
			message_free(m);
		}
		life_close(s);
		do_harm(&d, h);
		s = life_open(&d, &report);
		assert_int_equal(store_possible_duplicates(s), 0);
		assert_false(store_mend_is_due(s));
		compare(s, &lost, &again);
		assert_int_equal(store_mend_is_due(s), again > 0);
		if (again > 0)
			assert_int_equal(store_mend(s, false, &report, &e), ERR_OK);
		else
			assert_int_equal(store_recount(s, &report, &e), ERR_OK);
		assert_int_equal(report.missing_rows, lost);
		assert_int_equal(store_ledger(s)->damaged, lost);
		assert_int_equal(store_ledger(s)->delivered, ROWS / 2 - again);
		assert_int_equal(store_possible_duplicates(s), again);
		assert_int_equal(store_take_possible(s), again);
		compare(s, &lost, &again);
		assert_false(store_mend_is_due(s));
		life_close(s);
		spooldir_remove(&d);
	}
	free(body);
}

/* What comes back left by whichever way: of what a door said yes to there are no more than before. */
static void whatever_way_it_left(void **state)
{
	enum { FIRST = 80, MORE = 20 };
	static const enum settle_kind kinds[] = {SETTLE_DELIVERED, SETTLE_EXPIRED, SETTLE_FILTERED, SETTLE_EVICTED};
	enum { KINDS = sizeof kinds / sizeof *kinds, HARMS = 4 };

	(void)state;
	for (unsigned i = 0; i < KINDS * HARMS; i++) {
		const unsigned harm = i % HARMS;
		struct store *s;
		struct spooldir d;
		struct error e;
		const struct store_ledger *l;

		s = life_begin(&d);
		life_append(s, 0, FIRST);
		life_close(s);
		s = life_open(&d, NULL);
		for (uint64_t id = 1; id <= FIRST; id++) {
			const struct store_settlement item = {
			    .id = id, .kind = kinds[i / HARMS], .bytes = life_bytes(id)};

			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
			assert_int_equal(store_commit(s, &e), ERR_OK);
		}
		life_append(s, FIRST, MORE);
		life_settle(s, FIRST + 1, FIRST + MORE);
		store_abandon(s);
		assert_int_equal(truncate(spooldir_file(&d, "-wal"), 0), 0);
		if (harm & 1)
			assert_int_equal(unlink(spooldir_file(&d, ".left")), 0);
		if (harm & 2) { /* it is set aside, and read back */
			size_t bytes;
			unsigned char *data = spooldir_load(d.path, &bytes);

			memset(data, 0xff, 100);
			spooldir_store(d.path, data, bytes);
			free(data);
		}
		for (int again = 0; again < 2; again++) {
			s = life_open(&d, NULL);
			l = store_ledger(s);
			if (l->accepted != FIRST + MORE)
				fail_msg("%u: accepted %d", i, (int)l->accepted);
			assert_int_equal(l->accepted, l->delivered + l->pending + l->dead + l->expired + l->evicted +
			                                  l->damaged + l->filtered + l->purged);
			assert_true(l->pending == FIRST || l->damaged > 0);
			life_close(s);
		}
		spooldir_remove(&d);
	}
}

/* A spool that is set aside while it runs: whoever runs keeps a count of his own, and is told. */
static void a_run_is_told_what_came_back(void **state)
{
	struct store_report report;
	struct spooldir d;
	struct error e;
	struct store *s;

	(void)state;
	s = life_begin(&d);
	life_append(s, 0, 3 * BLOCK);
	life_sql(s, "CREATE TEMP TABLE before AS SELECT * FROM blocks WHERE id = 11");
	life_settle(s, BLOCK + 1, 2 * BLOCK);
	life_sql(s, "INSERT INTO blocks SELECT * FROM before");
	life_checkpoint(s);
	assert_int_equal(store_begin(s, &e), ERR_OK); /* nobody asked for these yet */
	store_count_possible(s, 4);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_restart_damaged(s, &report, &e), ERR_OK);
	assert_int_equal(store_ledger(s)->pending, 3 * BLOCK);
	assert_int_equal(store_possible_duplicates(s), 4 + BLOCK);
	assert_int_equal(store_take_possible(s), 4 + BLOCK);
	assert_int_equal(store_take_possible(s), 0);
	life_close(s);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_made_anew_knows_as_much),
	    cmocka_unit_test(pages_of_an_earlier_time),
	    cmocka_unit_test(whatever_way_it_left),
	    cmocka_unit_test(a_run_is_told_what_came_back),
	    cmocka_unit_test(a_large_spool_is_counted_when_one_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
