/*
 * Pages whose pointer map cannot be read: the free list says which of them are free, if it is whole. A list that is not
 * what it must be says nothing: then such a page is an error, or may hold what was deleted, and that is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/byte_order.h"
#include "rig/faultfs.h"
#include "rig/plainpages.h"

enum { PAGE = 512, FIRST_TRUNK = 32, TOTAL = 36, MAX_LEAVES = PAGE / 4 - 2 };
enum { MAP = 2 + 2 * (PAGE / 5 + 1) }; /* that does not answer */

/* A file of which many pages are free, the last one too, and what they hold is still to be seen. */
static void make_file(const struct spooldir *d)
{
	sqlite3 *db =
	    make_database(d, PAGE,
	                  "CREATE TABLE later (id INTEGER PRIMARY KEY, x); WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL"
	                  " SELECT x + 1 FROM n WHERE x < 2000) INSERT INTO later SELECT x, 'left ' || x ||"
	                  " zeroblob(100) FROM n; PRAGMA wal_checkpoint(TRUNCATE); DROP TABLE later;"
	                  "PRAGMA wal_checkpoint(TRUNCATE)");

	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static bool is_map(uint32_t n) { return n >= 2 && (n - 2) % (PAGE / 5 + 1) == 0; }

/* All free pages of `from` in a list of our own, so many leaves a trunk; m's bytes are the caller's. */
static uint32_t build_list(const struct image *from, struct image *m, uint32_t per_trunk, uint32_t *trunks)
{
	unsigned char *at;
	uint32_t total = 0, leaves = per_trunk, count = 0;
	unsigned char *trunk = NULL;

	*m = *from;
	m->bytes = mem_alloc(m->count);
	memcpy(m->bytes, from->bytes, m->count);
	at = m->bytes + FIRST_TRUNK;
	for (uint32_t i = 0; i < m->pages; i++) {
		const uint32_t n = (MAP + i) % m->pages + 1; /* the first one stands behind the map */

		if (is_map(n) || !is_free_page(from, n))
			continue;
		total++;
		if (leaves == per_trunk) {
			put_big_u32(at, n);
			trunks[count++] = n;
			at = trunk = m->bytes + (size_t)(n - 1) * PAGE;
			memset(trunk, 0, 8);
			leaves = 0;
			continue;
		}
		put_big_u32(trunk + 8 + (size_t)leaves * 4, n);
		put_big_u32(trunk + 4, ++leaves);
	}
	put_big_u32(m->bytes + TOTAL, total);
	return count;
}

static unsigned char *number_of(const struct image *m, uint32_t trunk, uint32_t which)
{
	return m->bytes + (size_t)(trunk - 1) * PAGE + (size_t)which * 4;
}

static void add_to(unsigned char *at, uint32_t more) { put_big_u32(at, get_big_u32(at) + more); }

struct seen {
	struct lines *all;
	uint32_t refused, lost; /* pages */
};

static struct seen read_all(const struct spooldir *d, unsigned how)
{
	struct seen s = {.all = new_lines()};
	struct pages *p = open_pages(d, PAGES_OF_FILE | how);

	for (uint32_t n = 1; n <= pages_count(p); n++) {
		struct error e = {0};
		enum err err = pages_records(p, n, collect, s.all, &e);

		if (err != ERR_OK && err != ERR_DISK)
			fail_msg("page %u: %s", n, e.text);
		s.refused += err != ERR_OK && strstr(e.text, "which says what is free");
		s.lost += pages_map_is_lost(p);
	}
	pages_close(p);
	return s;
}

static size_t deleted_in(const struct lines *l, const struct lines *want)
{
	return l->count > want->count ? l->count - want->count : 0;
}

/* `is_whole`: the list is believed, so that nothing of a free page is seen and nothing else is missing. */
static void expect(const struct spooldir *d, const struct image *m, struct lines *want, bool is_whole, const char *what)
{
	static const unsigned hows[] = {PAGES_TOLERATE, PAGES_PIECEMEAL};

	spooldir_store(d->path, m->bytes, m->count);
	for (size_t i = 0; i < 2; i++) {
		const bool tolerates = hows[i] == PAGES_TOLERATE;
		struct seen s = read_all(d, hows[i]);

		if (is_whole) {
			lines_compare(want, s.all, what, i);
			assert_int_equal(s.refused + s.lost, 0);
		} else if (tolerates) {
			if (deleted_in(s.all, want) == 0 || s.lost == 0 || s.refused > 0)
				fail_msg("%s: %zu deleted rows, %u pages lost", what, deleted_in(s.all, want), s.lost);
		} else if (s.refused == 0 || deleted_in(s.all, want) > 0 || s.lost > 0) {
			fail_msg("%s: %zu deleted rows, %u pages refused", what, deleted_in(s.all, want), s.refused);
		}
		free_lines(s.all);
	}
}

static void the_free_list_stands_for_a_map(void **state)
{
	static const uint32_t per_trunk[] = {MAX_LEAVES, MAX_LEAVES - 1, 50, 3, 2, 1, 0};
	struct lines *want = new_lines();
	uint32_t trunks[4000], count;
	struct spooldir d;
	struct image m, own;

	(void)state;
	spooldir_make(&d);
	make_file(&d);
	m = image_of(d.path, PAGE);
	assert_true(m.pages > 3 * MAX_LEAVES);
	assert_true(is_free_page(&m, m.pages));
	for (uint32_t n = 1; n <= m.pages; n++)
		page_lines(&m, n, false, want);
	faultfs_dead("spool.db", (int64_t)(MAP - 1) * PAGE, PAGE);
	expect(&d, &m, want, true, "the list of SQLite");
	for (size_t i = 0; i < sizeof per_trunk / sizeof *per_trunk; i++) {
		(void)build_list(&m, &own, per_trunk[i], trunks);
		expect(&d, &own, want, true, "a list of our own");
		free(own.bytes);
	}
	for (int kind = 0; kind < 14; kind++) {
		static const char *const names[] = {"one too many in all",
		                                    "one too few in all",
		                                    "a trunk of one too many",
		                                    "a trunk that is too full",
		                                    "a leaf beyond",
		                                    "a leaf that is page 1",
		                                    "no leaf",
		                                    "a leaf twice",
		                                    "a loop of trunks",
		                                    "a trunk beyond the end",
		                                    "an end too early",
		                                    "a trunk that is a leaf",
		                                    "a trunk unread",
		                                    "the head again"};

		count = build_list(&m, &own, kind == 3 ? MAX_LEAVES : 50, trunks);
		assert_true(count >= 3);
		if (kind < 2)
			add_to(own.bytes + TOTAL, kind ? UINT32_MAX : 1);
		if (kind == 2 || kind == 3)
			add_to(number_of(&own, trunks[1], 1), 1);
		if (kind == 4)
			put_big_u32(number_of(&own, trunks[1], 2 + 7), m.pages + 1);
		if (kind == 5 || kind == 6)
			put_big_u32(number_of(&own, trunks[1], 2 + 7), kind == 5);
		if (kind == 7)
			put_big_u32(number_of(&own, trunks[1], 2 + 7), get_big_u32(number_of(&own, trunks[1], 2 + 8)));
		if (kind == 8)
			put_big_u32(number_of(&own, trunks[2], 0), trunks[1]);
		if (kind == 9)
			put_big_u32(number_of(&own, trunks[1], 0), m.pages + 1);
		if (kind == 10)
			put_big_u32(number_of(&own, trunks[1], 0), 0);
		if (kind == 11)
			put_big_u32(number_of(&own, trunks[1], 2 + 7), trunks[0]);
		if (kind == 13)
			put_big_u32(number_of(&own, trunks[1], 0), 1);
		if (kind == 12)
			faultfs_dead("spool.db", (int64_t)(MAP - 1) * PAGE, 2 * PAGE);
		expect(&d, &own, want, false, names[kind]);
		faultfs_dead("spool.db", (int64_t)(MAP - 1) * PAGE, PAGE);
		free(own.bytes);
	}
	faultfs_dead(NULL, 0, 0);
	free(m.bytes);
	free_lines(want);
	spooldir_remove(&d);
}

/* Nothing is spared here: whichever read fails, that is the answer, and not a list that was not read. */
static void a_read_that_fails_is_an_error(void **state)
{
	static const unsigned hows[] = {PAGES_OF_FILE, PAGES_OF_FILE | PAGES_OF_A_SPOOL};
	struct spooldir d;

	(void)state;
	spooldir_make(&d);
	make_file(&d);
	for (uint64_t n = 1, failed = 1; failed > 0; n += n < 400 ? 1 : 37) {
		struct pages *p = open_pages(&d, hows[n % 2]);
		struct lines *all = new_lines();
		struct error e = {0};
		enum err err = ERR_OK;

		faultfs_arm(FAULTFS_READ, n, EIO, false);
		for (uint32_t page = 1; page <= pages_count(p) && err == ERR_OK; page++)
			err = pages_records(p, page, collect, all, &e);
		failed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		if ((err == ERR_DISK) != (failed > 0))
			fail_msg("read %u: error %d: %s", (unsigned)n, (int)err, e.text);
		free_lines(all);
		pages_close(p);
	}
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_free_list_stands_for_a_map),
	                                   cmocka_unit_test(a_read_that_fails_is_an_error)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
