/*
 * The log is lost in which messages were put back from the shelf, or purged: their rows stand on the shelf again, and
 * are counted once, whatever became of their new ids.
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

#include "base/mem.h"
#include "rig/lives.h"
#include "store/store_internal.h"
#include "store/store_damage.h"

enum { SHELF = 20, GONE_BEFORE = 20, LOG_HEADER = 32 };

static void set_aside(struct store *s, uint64_t first, uint64_t last)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id <= last; id++) {
		const struct store_settlement x = {
		    .id = id, .kind = SETTLE_DEAD, .attempts = 1, .code = "a", .reason = mem_string("b")};

		assert_int_equal(store_settle(s, &x, 1, &e), ERR_OK);
		free(x.reason);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

struct scene {
	const char *name;
	uint64_t purged;       /* the first of the shelf; the others are put back */
	bool one_by_one;       /* each in a commit of its own */
	uint32_t others;       /* accepted after each */
	uint32_t between;      /* accepted before they are put back */
	uint32_t after;        /* and after it */
	uint64_t delivered;    /* of what was put back, the first */
	bool is_killed;        /* once, when they were put back */
	bool is_in_the_file;   /* what was put back was no more in the log alone when it was lost */
	bool keeps_its_frames; /* of the log its header alone is not what was written */
};
static const struct scene scenes[] = {
    {.name = "put back"},
    {.name = "put back one by one", .one_by_one = true, .after = 7},
    {.name = "put back one by one, others between", .one_by_one = true, .others = 2, .after = 7},
    {.name = "others after it", .after = 30},
    {.name = "others before it", .between = 30},
    {.name = "others on both sides", .between = 11, .after = 13},
    {.name = "some delivered", .after = 10, .delivered = 6},
    {.name = "all delivered", .after = 10, .delivered = SHELF},
    {.name = "a kill after it", .is_killed = true, .after = 10, .delivered = 6},
    {.name = "a kill after each", .one_by_one = true, .others = 1, .is_killed = true, .after = 10},
    {.name = "some purged", .purged = 5, .after = 10},
    {.name = "all purged", .purged = SHELF, .after = 10},
    {.name = "some purged, some delivered", .purged = 5, .between = 10, .after = 10, .delivered = 4},
    {.name = "in the file already", .after = 10, .delivered = 3, .is_in_the_file = true},
    {.name = "in the file already, and a kill", .after = 10, .is_killed = true, .is_in_the_file = true},
    {.name = "the log can be read", .after = 10, .keeps_its_frames = true},
    {.name = "the log can be read, some purged", .purged = 5, .between = 5, .after = 10, .keeps_its_frames = true},
};

static void put_back(struct store *s, const struct scene *c)
{
	uint64_t count, damaged;
	struct error e;

	for (uint64_t id = 1; id <= c->purged; id++)
		assert_int_equal(store_dead_purge(s, id, &count, &e), ERR_OK);
	for (uint64_t id = c->purged + 1; id <= SHELF && c->one_by_one; id++) {
		assert_int_equal(store_dead_retry(s, id, &count, &damaged, &e), ERR_OK);
		life_append(s, 3000 + id * 100, c->others);
	}
	if (!c->one_by_one)
		assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
}

/* What a kill leaves. */
static void kill_one(struct spooldir *d, struct store *s, struct spooldir *left_behind)
{
	unsigned char *left;
	size_t bytes;

	spooldir_make(left_behind);
	spooldir_copy(d, left_behind);
	left = spooldir_load(spooldir_file(d, ".left"), &bytes);
	spooldir_store(spooldir_file(left_behind, ".left"), left, bytes);
	free(left);
	life_end(d, s);
}

/* As it was when the machine lost its log. */
static void make(const struct scene *c, struct spooldir *left_behind)
{
	const uint64_t new_first = SHELF + GONE_BEFORE + c->between + 1;
	struct spooldir d, first;
	struct store *s = life_begin(&d);
	struct store_report report;

	life_append(s, 0, SHELF + GONE_BEFORE);
	set_aside(s, 1, SHELF);
	life_settle(s, SHELF + 1, SHELF + GONE_BEFORE);
	life_checkpoint(s);
	if (c->between > 0)
		life_append(s, 1000, c->between);
	put_back(s, c);
	if (c->is_killed) {
		first = d;
		kill_one(&first, s, &d);
		s = life_open(&d, &report);
	}
	if (c->is_in_the_file)
		life_checkpoint(s);
	if (c->delivered > 0)
		life_settle(s, new_first, new_first + c->delivered - 1);
	if (c->after > 0)
		life_append(s, 2000, c->after);
	kill_one(&d, s, left_behind);
}

static void lose_log(const struct scene *c, const struct spooldir *d)
{
	const char *log = spooldir_file(d, "-wal");
	size_t bytes;
	unsigned char *data;

	if (!c->keeps_its_frames) {
		assert_int_equal(truncate(log, 0), 0);
		return;
	}
	data = spooldir_load(log, &bytes);
	assert_true(bytes > LOG_HEADER);
	memset(data, 0x5a, LOG_HEADER);
	spooldir_store(log, data, bytes);
	free(data);
}

static void read_back(struct store *s)
{
	uint64_t first, last;
	bool more = true;
	struct error e;

	while (more)
		assert_int_equal(store_salvage(s, 1000, &first, &last, &more, &e), ERR_OK);
}

static void is_counted_once(const struct scene *c)
{
	const uint64_t back = SHELF - c->purged, others = c->between + c->after + c->others * back;
	const bool is_here = c->is_in_the_file || c->keeps_its_frames;
	const struct store_ledger want = {
	    .accepted = SHELF + GONE_BEFORE + others,
	    .delivered = GONE_BEFORE,
	    .pending = is_here ? (c->is_in_the_file ? back : back + others) : 0,
	    .dead = is_here ? 0 : SHELF,
	    .purged = is_here ? c->purged : 0,
	    .damaged = c->keeps_its_frames ? 0 : others,
	};
	const struct store_ledger *l;
	struct store_report report;
	char text[4000];
	struct spooldir d;
	struct store *s;

	make(c, &d);
	lose_log(c, &d);
	for (int life = 0; life < 2; life++) {
		s = life_open(&d, &report);
		read_back(s);
		l = store_ledger(s);
		if (memcmp(l, &want, sizeof want) != 0)
			fail_msg(
			    "%s, life %d: accepted %llu of %llu, delivered %llu of %llu, pending %llu of %llu, dead"
			    " %llu of %llu, purged %llu of %llu, damaged %llu of %llu: %s",
			    c->name, life, (unsigned long long)l->accepted, (unsigned long long)want.accepted,
			    (unsigned long long)l->delivered, (unsigned long long)want.delivered,
			    (unsigned long long)l->pending, (unsigned long long)want.pending,
			    (unsigned long long)l->dead, (unsigned long long)want.dead, (unsigned long long)l->purged,
			    (unsigned long long)want.purged, (unsigned long long)l->damaged,
			    (unsigned long long)want.damaged, report.warning);
		assert_true(store_possible_duplicates(s) >= c->delivered);
		life_close(s);
	}
	(void)life_problems(&d, text, sizeof text);
	assert_null(strstr(text, "stand here again"));
	spooldir_remove(&d);
}

static void each_is_counted_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
		is_counted_once(&scenes[i]);
}

/*
 * An old page of the shelf: rows that had left it stand on it beside all that the spool counts. Where nothing is
 * missing they go. Else each may be what is missing: they stay, and count as what comes again: of what was purged
 * first.
 */
static void rows_of_an_old_page_of_the_shelf(void **state)
{
	enum { DELIVERED = 9, BACK = 5 };

	(void)state;
	for (int purged = 0; purged < 2; purged++)
		for (uint64_t missing = 0; missing < 3; missing++) {
			struct store_report report;
			struct spooldir d;
			struct store *s = life_begin(&d);
			uint64_t count, damaged;
			struct error e;

			life_append(s, 0, SHELF + DELIVERED);
			life_settle(s, SHELF + 1, SHELF + DELIVERED);
			set_aside(s, 1, SHELF);
			life_sql(s, "CREATE TABLE old AS SELECT * FROM dead WHERE id <= 5");
			if (purged)
				assert_int_equal(store_dead_purge(s, 0, &count, &e), ERR_OK);
			else
				assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
			assert_int_equal(count, SHELF);
			life_append(s, 1000, 10);
			life_sql(s, "INSERT INTO dead SELECT * FROM old; DROP TABLE old");
			if (missing > 0)
				life_sql(s, missing == 1 ? "DELETE FROM blocks WHERE id = (SELECT max(id) FROM blocks)"
				                         : "DELETE FROM blocks");
			store_abandon(s);
			s = life_open(&d, &report);
			const uint64_t back = missing ? BACK : 0, taken = purged ? 0 : back;

			assert_int_equal(store_ledger(s)->accepted, SHELF + DELIVERED + 10);
			assert_int_equal(store_ledger(s)->delivered, DELIVERED - taken);
			assert_int_equal(store_ledger(s)->purged, purged ? SHELF - back : 0);
			assert_int_equal(store_ledger(s)->dead, back);
			assert_int_equal(store_possible_duplicates(s), back);
			assert_int_equal(store_ledger(s)->damaged, missing == 0             ? 0
			                                           : missing == 1 || purged ? 10
			                                                                    : SHELF + 10);
			if (!strstr(report.warning, missing ? "messages that had left stand here again"
			                                    : "5 messages that had left the shelf stood on it again"))
				fail_msg("%s", report.warning);
			life_close(s);
			s = life_open(&d, &report);
			assert_string_equal(report.warning, "");
			assert_int_equal(store_ledger(s)->dead, missing ? BACK : 0);
			life_close(s);
			spooldir_remove(&d);
		}
}

/*
 * The database is as it was while they waited. Then all of them went to the shelf and were put back; or they were
 * delivered, and others that came since were put back, whose new ids are gone with their commits.
 */
static void a_database_in_which_they_waited(void **state)
{
	enum { OTHERS = 15 };

	(void)state;
	for (int delivered = 0; delivered < 2; delivered++)
		for (int others = 0; others < 2; others++) {
			const uint64_t gone = others ? OTHERS : 0;
			struct spooldir d, before;
			struct store *s = life_begin(&d);
			uint64_t count, damaged;
			struct error e;

			life_append(s, 0, SHELF);
			life_close(s);
			spooldir_make(&before);
			spooldir_copy(&d, &before);
			s = life_open(&d, NULL);
			if (delivered)
				life_settle(s, 1, SHELF);
			else
				set_aside(s, 1, SHELF);
			life_append(s, 1000, others ? OTHERS : 0);
			if (others)
				set_aside(s, SHELF + 1, SHELF + OTHERS);
			assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
			life_close(s);
			life_bring(&before, "", &d);
			s = life_open(&d, NULL);
			life_expect(s, SHELF + gone, 0, SHELF, gone);
			assert_int_equal(store_possible_duplicates(s), delivered ? SHELF : 0);
			assert_int_equal(life_waiting(s, 0), SHELF);
			life_close(s);
			spooldir_remove(&before);
			spooldir_remove(&d);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_is_counted_once),
	    cmocka_unit_test(rows_of_an_old_page_of_the_shelf),
	    cmocka_unit_test(a_database_in_which_they_waited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
