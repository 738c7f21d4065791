/*
 * Files that were set aside are not there for one start, which counts what they hold as damaged, and then they are:
 * what PATH.left proves to have had no end is taken out of the damaged, once, and nothing is accepted twice; where it
 * cannot prove it, no more is told than before.
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
#include <unistd.h>

#include "base/clock.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/store_damage.h"
#include "store/store_dead.h"
#include "store/store_internal.h"
#include "store/upkeep/store_upkeep.h"

enum { ROWS = 300, LEFT = 120, DEAD = 5, WAIT = ROWS - LEFT - DEAD };
#define ASIDE ".quarantine-20260101T000000Z-000"
#define AGAIN ".quarantine-20260102T000000Z-000"

static void move_file(const struct spooldir *d, const char *from, const char *to)
{
	char name[400];

	(void)snprintf(name, sizeof name, "%s", spooldir_file(d, from));
	assert_true(rename(name, spooldir_file(d, to)) == 0 || access(name, F_OK) != 0);
}

static void move_set(const struct spooldir *d, const char *from, const char *to)
{
	char log_from[100], log_to[100];

	(void)snprintf(log_from, sizeof log_from, "%s-wal", from);
	(void)snprintf(log_to, sizeof log_to, "%s-wal", to);
	move_file(d, from, to);
	move_file(d, log_from, log_to);
}

static void stop(struct store *s, bool clean)
{
	if (clean)
		life_close(s);
	else
		store_abandon(s);
}

/* 1 .. LEFT are delivered, the next DEAD on the shelf, the rest waits. */
static void make(struct spooldir *d, bool clean)
{
	struct store *s = life_begin(d);
	struct error e;

	life_append(s, 0, ROWS);
	life_checkpoint(s);
	life_settle(s, 1, LEFT);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = LEFT + 1; id <= LEFT + DEAD; id++)
		assert_int_equal(store_settle(s,
		                              &(struct store_settlement){.id = id,
		                                                         .kind = SETTLE_DEAD,
		                                                         .code = "code",
		                                                         .reason = (char *)(uintptr_t) "reason"},
		                              1, &e),
		                 ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	stop(s, clean);
}

static int root_of_ledger(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);
	const int64_t root = life_number(s, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'");

	store_abandon(s);
	return (int)root;
}

static void read_back(struct store *s)
{
	struct error e;
	uint64_t first, last;

	for (bool more = true; more;)
		if (store_salvage(s, 50, &first, &last, &more, &e) != ERR_OK)
			fail_msg("%s", e.text);
}

static struct store *start(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);

	read_back(s);
	assert_int_equal(s->aside_unread, 0);
	return s;
}

static void expect(struct store *s, uint64_t delivered, uint64_t pending, uint64_t damaged)
{
	life_expect(s, ROWS, delivered, pending, damaged);
}

/* All damaged are told to a person. */
static void tell(const struct spooldir *d)
{
	struct error e;
	struct buf out;

	buf_init(&out, 1 << 20);
	if (store_repair(d->path, &(struct store_repair){0}, &out, &e) != ERR_OK)
		fail_msg("repair: %s\n%.*s", e.text, (int)out.len, out.data);
	assert_non_null(memmem(out.data, out.len, "told: 180 messages", 18));
	buf_fini(&out);
	assert_int_equal(life_problems(d, NULL, 0), 0);
}

static void what_was_away_comes_back_once(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 16; how++) {
		const bool clean = how & 1, only_file = how & 2, is_told = how & 4, at_once = how & 8;
		struct spooldir d;
		struct store *s;

		make(&d, clean);
		if (only_file) {
			move_file(&d, "", ".away");
			move_file(&d, "-wal", ASIDE "-wal");
		} else {
			move_set(&d, "", ".away");
		}
		s = start(&d);
		if (!only_file || clean)
			expect(s, LEFT, 0, WAIT + DEAD);
		life_append(s, ROWS, 10);
		if (at_once)
			life_settle(s, ROWS + 1, ROWS + 10);
		life_close(s);
		if (is_told && (!only_file || clean))
			tell(&d);
		if (only_file)
			move_file(&d, ".away", ASIDE);
		else
			move_set(&d, ".away", ASIDE);
		s = start(&d);
		life_expect(s, ROWS + 10, LEFT + (at_once ? 10 : 0), WAIT + (at_once ? 0 : 10), 0);
		assert_int_equal(store_ledger(s)->dead, DEAD);
		assert_int_equal(store_possible_duplicates(s), 0);
		assert_int_equal(s->durable.told, 0);
		assert_int_equal(life_waiting(s, 0), WAIT + (at_once ? 0 : 10));
		life_settle(s, LEFT + DEAD + 1, ROWS);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		s = start(&d);
		life_expect(s, ROWS + 10, LEFT + WAIT + (at_once ? 10 : 0), at_once ? 0 : 10, 0);
		life_end(&d, s);
	}
}

/* Under another name, when all of it has left: sent again, and counted so. */
static void what_is_brought_back_twice_is_counted(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	make(&d, true);
	move_set(&d, "", ".away");
	life_close(start(&d));
	move_set(&d, ".away", ASIDE);
	s = start(&d);
	life_settle(s, LEFT + DEAD + 1, ROWS - 20);
	life_close(s);
	assert_int_equal(life_problems(&d, NULL, 0), 0);
	move_set(&d, ASIDE, AGAIN);
	s = start(&d);
	expect(s, LEFT, WAIT, 0);
	assert_int_equal(store_possible_duplicates(s), WAIT - 20);
	life_end(&d, s);
}

/* What left after it was made hides nothing that is gone. */
static void a_file_of_an_older_time(void **state)
{
	struct spooldir d;
	struct store *s;
	size_t count;
	unsigned char *bytes;

	(void)state;
	make(&d, true);
	bytes = spooldir_load(d.path, &count);
	s = life_open(&d, NULL);
	life_settle(s, LEFT + DEAD + 1, LEFT + DEAD + 50);
	life_close(s);
	assert_int_equal(unlink(d.path), 0);
	s = start(&d);
	expect(s, LEFT + 50, 0, WAIT - 50 + DEAD);
	life_close(s);
	spooldir_store(spooldir_file(&d, ASIDE), bytes, count);
	s = start(&d);
	expect(s, LEFT, WAIT, 0);
	assert_int_equal(store_ledger(s)->dead, DEAD);
	assert_int_equal(store_possible_duplicates(s), 50);
	life_end(&d, s);
	free(bytes);
}

/* A part of the set is damaged for good: that stays counted. */
static void what_does_not_come_back_stays_damaged(void **state)
{
	struct spooldir d;
	struct store *s;
	uint64_t back;
	size_t count;
	unsigned char *bytes;

	(void)state;
	make(&d, true);
	move_set(&d, "", ".away");
	life_close(start(&d));
	bytes = spooldir_load(spooldir_file(&d, ".away"), &count);
	memset(bytes + count - 4096, 0xa5, 4096);
	spooldir_store(spooldir_file(&d, ASIDE), bytes, count);
	free(bytes);
	s = start(&d);
	back = store_ledger(s)->pending + store_ledger(s)->dead;
	assert_true(back > 0 && back < WAIT + DEAD);
	assert_int_equal(store_ledger(s)->accepted, ROWS);
	assert_int_equal(store_ledger(s)->damaged, WAIT + DEAD - back);
	life_end(&d, s);
}

struct witness {
	const char *name;
	const char *lost;  /* a file beside the spool */
	bool lost_before;  /* while the database is there */
	bool boots, clean; /* before it is away */
	bool proves;
};
static const struct witness witnesses[] = {
    {"all are there", .proves = true},
    {"PATH.left is gone", ".left", .clean = true},
    {"it was, and the database was there since", ".left", .lost_before = true, .clean = true, .proves = true},
    {"a power cut", .boots = true},
    {"another boot after a clean stop", .boots = true, .clean = true, .proves = true},
    {"the tide mark is gone", ".tide", .clean = true},
};

/* What is not proven is counted as it was: nothing is lost, and each that may be sent twice is counted. */
static void only_what_is_known_to_be_whole_proves(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof witnesses / sizeof *witnesses; i++) {
		const struct witness *w = &witnesses[i];
		const struct store_ledger *l;
		struct spooldir d;
		struct store *s;

		clock_test_set(NS_PER_S, 1700000000 * NS_PER_S);
		clock_test_boot(1);
		make(&d, w->clean);
		if (w->lost_before) {
			assert_int_equal(unlink(spooldir_file(&d, w->lost)), 0);
			life_close(life_open(&d, NULL));
		}
		clock_test_boot(w->boots ? 2 : 1);
		move_set(&d, "", ".away");
		if (w->lost && !w->lost_before)
			assert_int_equal(unlink(spooldir_file(&d, w->lost)), 0);
		life_close(start(&d));
		move_set(&d, ".away", ASIDE);
		s = start(&d);
		l = store_ledger(s);
		if (l->pending != WAIT || l->dead != DEAD || l->damaged + l->pending + l->dead < ROWS - LEFT)
			fail_msg("%s: pending %" PRIu64 " dead %" PRIu64, w->name, l->pending, l->dead);
		if (w->proves != (l->accepted == ROWS && l->damaged == 0 && store_possible_duplicates(s) == 0) &&
		    strcmp(w->name, "the tide mark is gone") != 0)
			fail_msg("%s: accepted %" PRIu64 " damaged %" PRIu64 " possible %" PRIu64, w->name, l->accepted,
			         l->damaged, store_possible_duplicates(s));
		life_end(&d, s);
		clock_test_end();
	}
}

/* Commits that neither PATH.left nor the tide mark saw: what ended in them is not one of the damaged. */
static void a_file_that_is_newer_than_what_lies_beside_it(void **state)
{
	static const char *const names[] = {".left", ".tide"};
	unsigned char *bytes[2];
	size_t counts[2];
	struct spooldir d;
	struct store *s;

	(void)state;
	make(&d, true);
	for (int i = 0; i < 2; i++)
		bytes[i] = spooldir_load(spooldir_file(&d, names[i]), &counts[i]);
	s = life_open(&d, NULL);
	life_settle(s, LEFT + DEAD + 1, LEFT + DEAD + 50);
	life_close(s);
	for (int i = 0; i < 2; i++) {
		spooldir_store(spooldir_file(&d, names[i]), bytes[i], counts[i]);
		free(bytes[i]);
	}
	move_set(&d, "", ".away");
	s = start(&d);
	expect(s, LEFT, 0, WAIT + DEAD);
	life_close(s);
	move_set(&d, ".away", ASIDE);
	s = start(&d);
	assert_true(store_ledger(s)->damaged >= 50);
	life_end(&d, s);
}

/* Neither its ledger nor the tide mark, and one page more, or none: ids alone tell what did not come back. */
static void a_file_without_any_count(void **state)
{
	uint64_t pages = 1, holes = 0;

	(void)state;
	for (size_t page = 1; page <= pages; page += IS_SANITIZED ? 5 : 1) {
		struct spooldir d;
		struct store *s;
		struct store_ledger l;
		uint64_t back, given;
		size_t count, ledger;
		unsigned char *bytes;

		make(&d, true);
		ledger = (size_t)root_of_ledger(&d) - 1;
		assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		bytes = spooldir_load(d.path, &count);
		pages = count / 4096;
		memset(bytes, 0xa5, 100);
		memset(bytes + ledger * 4096, 0xa5, 4096);
		if (page > 1)
			memset(bytes + (page - 1) * 4096, 0xa5, 4096);
		spooldir_store(d.path, bytes, count);
		free(bytes);
		s = start(&d);
		back = (uint64_t)life_number(
		    s, "SELECT count(*) FROM (SELECT id FROM messages UNION ALL SELECT id FROM dead) WHERE id > 120");
		given = store_next_id(s) - 1;
		l = *store_ledger(s);
		if (l.accepted != given || l.damaged != given - LEFT - back)
			fail_msg("page %zu: accepted %" PRIu64 " of %" PRIu64 " delivered %" PRIu64 " damaged %" PRIu64,
			         page, l.accepted, given, l.delivered, l.damaged);
		assert_true(page > 1 || back == WAIT + DEAD);
		holes += given - LEFT - back;
		life_close(s);
		s = start(&d);
		assert_int_equal(store_ledger(s)->accepted, given);
		life_end(&d, s);
	}
	assert_true(holes > (IS_SANITIZED ? 0 : 50));
}

/* Other names, and fewer bytes, are no reason to read a set again. */
static void what_a_person_removes_is_not_read_again(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	make(&d, false);
	move_set(&d, "", ASIDE);
	s = start(&d);
	expect(s, LEFT, WAIT, 0);
	life_settle(s, LEFT + DEAD + 1, ROWS);
	life_close(s);
	assert_int_equal(unlink(spooldir_file(&d, ASIDE)), 0);
	s = life_open(&d, NULL);
	assert_int_equal(s->aside_unread, 0);
	expect(s, LEFT + WAIT, 0, 0);
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_away_comes_back_once),
	    cmocka_unit_test(what_is_brought_back_twice_is_counted),
	    cmocka_unit_test(a_file_of_an_older_time),
	    cmocka_unit_test(what_does_not_come_back_stays_damaged),
	    cmocka_unit_test(only_what_is_known_to_be_whole_proves),
	    cmocka_unit_test(a_file_that_is_newer_than_what_lies_beside_it),
	    cmocka_unit_test(a_file_without_any_count),
	    cmocka_unit_test(what_a_person_removes_is_not_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
