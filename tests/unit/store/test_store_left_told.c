/*
 * What PATH.left tells the store, function by function, beside a list of ids: which waited, which left, which are gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "rig/errorwatch.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_count_internal.h"
#include "store/store_byway.h"
#include "store/store_salvage_internal.h"

enum { ROWS = 50, NEXT = ROWS + 1 };

/* Of these nothing tells what became, unless PATH.left does. */
static const uint64_t unknown[] = {12, 13, 24, 45, 46, 50};
enum { UNKNOWN = sizeof unknown / sizeof *unknown };

static struct spooldir d;
static struct store *s;
static struct error e;
static struct store_report report;

static void settle(uint64_t id, enum settle_kind kind)
{
	const struct store_settlement item = {.id = id, .kind = kind, .attempts = 3, .wait_ms = 1800000, .code = "x"};

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* Blocks of ten: of the second and the last nothing is left, some stand alone, on the shelf, among the damaged. */
static int begin(void **state)
{
	(void)state;
	s = life_begin(&d);
	report = (struct store_report){0};
	life_append(s, 0, ROWS);
	settle(5, SETTLE_DEAD);
	settle(6, SETTLE_RETRY);
	settle(25, SETTLE_RETRY);
	settle(33, SETTLE_DAMAGED);
	life_settle(s, 11, 20);
	life_settle(s, 23, 24);
	life_settle(s, 41, 50);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultsql_arm(0, 0, false);
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

static bool is_unknown(uint64_t id)
{
	for (size_t i = 0; i < UNKNOWN; i++)
		if (unknown[i] == id)
			return true;
	return false;
}

static bool has_left(uint64_t id) { return (id >= 11 && id <= 20) || id == 23 || id == 24 || (id >= 41 && id <= 50); }

/* It is known of none of the unknown ones that they left; or of all. */
static void know(bool all)
{
	left_forget(s->left);
	for (size_t i = 0; i < UNKNOWN; i++)
		if (all)
			left_note(s->left, unknown[i], unknown[i]);
		else if (left_has(s->left, unknown[i]))
			left_note_back(s->left, unknown[i]);
	left_keep(s->left, s->durable.commits);
}

static void what_is_neither_here_nor_left_is_absent(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= NEXT; id++)
		assert_int_equal(left_has(s->left, id), has_left(id));
	for (int all = 0; all < 2; all++) {
		know(all);
		for (uint64_t from = 1; from <= NEXT + 1; from++) {
			uint64_t want = 0, absent = 77;

			for (size_t i = 0; i < UNKNOWN; i++)
				want += !all && unknown[i] >= from;
			assert_int_equal(store_left_absent(s, from, &absent, &e), ERR_OK);
			if (absent != want)
				fail_msg("from %d: %d", (int)from, (int)absent);
			assert_int_equal(left_noted(s->left).count, 0); /* nothing is noted of it */
		}
	}
}

/* Where as many are damaged as are not known, or none is unknown, or none damaged: it is known of all. */
static void it_begins_with_what_can_be_known(void **state)
{
	static const struct {
		bool is_exact, was_lost, is_whole, knows_all;
		uint64_t damaged; /* of which no row is here */
		uint64_t whole_from, want;
		bool notes;
	} cases[] = {
	    {true, true, false, false, 0, 0, 1, true},
	    {true, true, false, true, 0, 0, 1, false},
	    {true, true, false, false, 1, 0, NEXT, true},
	    {true, true, false, false, UNKNOWN - 1, 0, NEXT, true},
	    {true, true, false, false, UNKNOWN, 0, 1, false},
	    {true, true, false, false, UNKNOWN + 1, 0, NEXT, false},
	    {true, true, false, true, 3, 0, 1, false},
	    {true, true, true, false, 1, 0, NEXT, true}, /* a file that was lost is not whole */
	    {true, false, false, false, 0, 9, 1, true},
	    {true, false, false, false, 1, 9, NEXT, false},
	    {true, false, false, false, UNKNOWN, 9, 1, false},
	    {true, false, false, false, UNKNOWN + 1, 9, NEXT, false},
	    {true, false, true, false, 0, 9, 1, true},
	    {true, false, true, false, 0, 2, 1, true},
	    {true, false, true, false, 0, 1, 1, false},
	    {true, false, true, false, 1, 9, 9, false},
	    {true, false, true, false, UNKNOWN, 9, 1, false},
	    {true, false, true, false, UNKNOWN + 1, 9, 9, false},
	    {false, true, false, false, 0, 0, NEXT, false},
	    {false, false, false, false, 0, 9, NEXT, false},
	    {false, false, true, false, 0, 9, 9, false},
	    {false, false, true, false, 0, 1, 1, false},
	};
	const uint64_t noted = s->durable.ledger.damaged, commits = s->durable.commits;

	(void)state;
	assert_int_equal(noted, 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int ahead = 0; ahead < 2; ahead++) {
			know(cases[i].knows_all);
			s->is_exact = s->is_counted = cases[i].is_exact;
			s->last_commits = commits;
			s->left_knows = cases[i].is_whole ? commits + (uint64_t)ahead : commits - 1;
			if (!cases[i].is_whole && ahead) /* nothing told of a commit */
				s->last_commits = s->left_knows = 0;
			s->durable.ledger.damaged = noted + cases[i].damaged;
			left_be_whole_from(s->left, cases[i].whole_from);
			assert_int_equal(left_whole_from(s->left), cases[i].whole_from);
			assert_int_equal(store_left_begin(s, &e), ERR_OK);
			if (left_whole_from(s->left) != cases[i].want)
				fail_msg("case %zu: whole from %d", i, (int)left_whole_from(s->left));
			for (uint64_t id = 1; id <= NEXT; id++)
				assert_int_equal(left_has(s->left, id),
				                 has_left(id) &&
				                     (cases[i].notes || cases[i].knows_all || !is_unknown(id)));
			assert_int_equal(left_noted(s->left).count, 0);
			s->durable.ledger.damaged = noted;
		}
}

/* What was seen until then is not noted, for more of it may be. */
static void a_call_that_fails_notes_nothing(void **state)
{
	bool failed = true;
	uint64_t n = 1;

	(void)state;
	know(false);
	s->is_exact = true;
	for (; failed; n++) {
		enum err err;

		left_be_whole_from(s->left, 0);
		s->is_counted = false; /* as a large one */
		faultsql_arm(n, SQLITE_NOMEM, false);
		err = store_left_begin(s, &e);
		failed = faultsql_failed();
		ERRORWATCH_EXPECT(err, &e, NULL, "all that left", n);
		faultsql_arm(0, 0, false);
		assert_int_equal(err, failed ? ERR_MEMORY : ERR_OK);
		assert_int_equal(left_noted(s->left).count, 0);
		assert_int_equal(left_whole_from(s->left), !failed);
		for (size_t i = 0; i < UNKNOWN; i++)
			assert_int_equal(left_has(s->left, unknown[i]), !failed);
	}
	assert_true(n > 25);
}

/* It did not have its end: there it knows all, and has no bit. */
static void what_it_denies(void **state)
{
	static const uint64_t from[] = {0, 1, 20, 21, 22, 24, NEXT};

	(void)state;
	for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
		left_be_whole_from(s->left, from[i]);
		for (uint64_t id = 1; id <= NEXT; id++)
			assert_int_equal(store_left_denies(s, id), from[i] > 0 && id >= from[i] && !has_left(id));
	}
}

/* What waits, or is on the shelf, and had left; a mark that is not what was written marks nothing. */
static void what_stands_here_again_is_counted(void **state)
{
	static const struct {
		const char *sql;
		uint64_t want;
	} cases[] = {
	    {"SELECT 1", 0},
	    {"UPDATE partial SET checksum = checksum + 1 WHERE block_id = 21", 2},
	    {"DELETE FROM partial", 2},
	    {"INSERT INTO messages SELECT 15, received_ms, checksum, meta, body FROM messages WHERE id = 6", 3},
	    {"INSERT INTO messages SELECT 9, received_ms, checksum, meta, body FROM messages WHERE id = 6", 3},
	    {"UPDATE dead SET id = 42", 4},
	    {"UPDATE dead SET id = -42", 3},
	    {"UPDATE messages SET id = -15 WHERE id = 15", 2},
	    {"UPDATE blocks SET count = 0 WHERE id = 21", 0},
	    {"UPDATE blocks SET count = 3 WHERE id = 21", 1},
	    {"UPDATE blocks SET id = 11, count = 10 WHERE id = 31", 11},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t again = 77;
		struct totals found;

		life_sql(s, cases[i].sql);
		for (int takes = 0; takes < 2; takes++) {
			assert_int_equal(store_left_count(s, &found, &e), ERR_OK);
			if (found.possible != cases[i].want)
				fail_msg("%s: %d", cases[i].sql, (int)found.possible);
			assert_int_equal(store_left_among(s->db, s->tag, s->left, &again), SQLITE_DONE);
			assert_int_equal(again, cases[i].want);
			assert_false(left_takes_back(s->left));
			assert_int_equal(store_left_take_back(s, &e), ERR_OK);
			assert_int_equal(left_takes_back(s->left), cases[i].want > 0);
			left_forget(s->left);
		}
		s->left_is_behind = true; /* it does not know of what came back */
		assert_int_equal(store_left_count(s, &found, &e), ERR_OK);
		assert_int_equal(found.possible, 0);
		s->left_is_behind = false;
	}
}

/* Ids that only it knows of. */
static void what_lies_beyond_was_accepted(void **state)
{
	static const struct {
		uint64_t bits[4], given, had;
		bool is_behind;
	} cases[] = {
	    {{50}, 0, 0, false},         {{51}, 1, 1, false},    {{52}, 2, 1, false},
	    {{51, 52, 55}, 5, 3, false}, {{55, 60}, 0, 0, true}, {{51, 52, 53, 54}, 4, 4, false},
	};
	const struct totals before = s->now;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint64_t gone = cases[i].given - cases[i].had;
		struct totals t = before;
		char text[512] = "";

		for (uint64_t id = NEXT; id < NEXT + 20; id++)
			left_note_back(s->left, id);
		for (size_t k = 0; k < 4 && cases[i].bits[k] > 0; k++)
			left_note(s->left, cases[i].bits[k], cases[i].bits[k]);
		left_keep(s->left, before.commits);
		s->left_is_behind = cases[i].is_behind;
		report = (struct store_report){.missing_rows = 100};
		memset(s->losses, 0, sizeof s->losses);
		store_left_beyond(s, &t, &report);
		assert_int_equal(t.ledger.accepted - before.ledger.accepted, cases[i].given);
		assert_int_equal(t.ledger.delivered - before.ledger.delivered, cases[i].had);
		assert_int_equal(t.ledger.damaged - before.ledger.damaged, gone);
		assert_int_equal(t.next_id - before.next_id, cases[i].given);
		assert_int_equal(report.missing_rows, 100 + gone);
		assert_int_equal(s->losses[LOSS_TAIL].messages, gone);
		assert_int_equal(s->losses[LOSS_TAIL].first, gone > 0 ? NEXT : 0);
		assert_int_equal(s->losses[LOSS_TAIL].last, gone > 0 ? t.next_id - 1 : 0);
		if (cases[i].given > 0)
			(void)snprintf(text, sizeof text,
			               "all that is here is of an earlier time: %s.left knows of %d messages more, of"
			               " which %d are gone",
			               s->path, (int)cases[i].given, (int)gone);
		assert_string_equal(report.warning, text);
	}
	s->left_is_behind = false;
}

static const struct {
	struct put_backs back; /* what was put back got these ids */
	uint64_t noted;        /* so many of the first of them the file knows of */
	uint64_t left;         /* which of them has left; 0: none */
	uint64_t is_back;
} shelf_cases[] = {
    {{{{0}}}, 0, 0, 0},
    {{{{60, 62, 3}}}, 0, 0, 3},
    {{{{60, 69, 10}}}, 0, 0, 5},
    {{{{60, 62, 3}}}, 0, 61, 2},
    {{{{60, 62, 3}}}, 0, 63, 3},
    {{{{60, 62, 3}}}, 0, 62, 2},
    {{{{60, 62, 3}}}, 0, 60, 2},
    {{{{70, 72, 3}}}, 0, 60, 3},
    {{{{40, 42, 3}}}, 3, 0, 0},  /* known */
    {{{{57, 59, 3}}}, 3, 59, 0}, /* to the last */
    {{{{40, 62, 4}}}, 2, 0, 2},  /* joined: some are known, */
    {{{{40, 62, 4}}}, 2, 61, 1}, /* and of the others one had its end */
    {{{{40, 62, 4}}}, 2, 41, 2}, /* which no known one is */
    {{{{60, 62, 1}}}, 0, 61, 0}, /* joined: it may be of another */
    {{{{40, 42, 3}, {60, 60, 1}, {62, 63, 2}}}, 3, 0, 3},
    {{{{40, 42, 3}, {60, 60, 1}, {62, 63, 2}}}, 3, 60, 2},
    {{{{40, 42, 3}, {60, 60, 1}, {62, 63, 2}}}, 3, 61, 3}, /* between them */
};

/* Seven stand here that had left, four of them on the shelf, and two had their end since: what was put back had none.
 */
static void the_shelf_of_before_is_counted(void **state)
{
	(void)state;
	life_sql(s, "DELETE FROM dead; WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 6)"
	            " INSERT INTO dead (id, received_ms, checksum, died_ms, attempts, code, reason, meta, body,"
	            " note_checksum) SELECT id, 1, 0, 1, 1, '', '', NULL, x'00', 0 FROM n");
	for (size_t i = 0; i < sizeof shelf_cases / sizeof *shelf_cases; i++) {
		struct totals t = {.ledger.purged = 102}, found = {.possible = 7, .shelf_again = 4};
		char text[512] = "";

		for (uint64_t id = 40; id < 80; id++)
			left_note_back(s->left, id);
		left_note(s->left, 1, 4);
		if (shelf_cases[i].left > 0)
			left_note(s->left, shelf_cases[i].left, shelf_cases[i].left);
		left_keep(s->left, s->durable.commits);
		put_backs_into(&shelf_cases[i].back, &s->tide);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		if (shelf_cases[i].noted > 0)
			assert_int_equal(
			    store_byway_note(s, shelf_cases[i].back.spans[0].first, 0, shelf_cases[i].noted, &e),
			    ERR_OK);
		s->row.next_id = 60;
		s->row.ledger.purged = 100;
		report = (struct store_report){0};
		assert_int_equal(store_left_put_back_again(s, &t, 2, &found, &report, &e), ERR_OK);
		if (7 - found.possible != shelf_cases[i].is_back)
			fail_msg("case %zu: %d back", i, (int)(7 - found.possible));
		assert_int_equal(found.shelf_again, store_least(store_beyond(4, shelf_cases[i].is_back), 2));
		assert_int_equal(left_takes_back(s->left), shelf_cases[i].is_back > 0);
		if (shelf_cases[i].is_back > 0)
			(void)snprintf(text, sizeof text,
			               "%d messages that were put back from the shelf stand here as they did before",
			               (int)shelf_cases[i].is_back);
		assert_string_equal(report.warning, text);
		left_forget(s->left);
		s->row = s->durable;
		store_rollback(s);
	}
}

/* What is on the shelf, and nothing else, gets its bit with the group. */
static void the_shelf_is_noted(void **state)
{
	(void)state;
	settle(7, SETTLE_DEAD);
	settle(8, SETTLE_DEAD);
	for (uint64_t first = 4; first < 10; first++)
		for (uint64_t last = first; last < 10; last++) {
			assert_int_equal(store_left_note_shelf(s, first, last, &e), ERR_OK);
			left_keep(s->left, s->durable.commits);
			for (uint64_t id = 4; id < 10; id++) {
				const bool is_noted = id >= first && id <= last && (id == 5 || id == 7 || id == 8);

				assert_int_equal(left_has(s->left, id), is_noted);
				if (is_noted)
					left_note_back(s->left, id);
			}
			left_keep(s->left, s->durable.commits);
		}
}

/* A commit that takes something back says so beside the messages. */
static void what_is_taken_back_is_noted_with_its_commit(void **state)
{
	struct note note;

	(void)state;
	for (int takes = 0; takes < 3; takes++) {
		const uint64_t next = s->durable.commits + 1;

		assert_int_equal(store_begin(s, &e), ERR_OK);
		left_note(s->left, 1, 1);
		if (takes == 1)
			left_note_back(s->left, 11);
		assert_int_equal(store_left_note_commit(s, &e), ERR_OK);
		assert_int_equal(store_note_get(s, SALVAGE_LEFT, &note, &e), ERR_OK);
		assert_int_equal(note.after, takes == 1 ? next : 0);
		assert_true(note.rows == 0 && !note.done && !note.is_lost);
		store_rollback(s);
	}
}

/* Which commits it knows when it is opened, and whether it is behind. */
static void what_it_knows_when_it_is_opened(void **state)
{
	enum { TAKES = 3 };
	const uint64_t commits = s->durable.commits, boot = clock_boot_id();
	char doubt[512];
	const struct {
		bool is_valid, has_more;
		uint64_t tide_commits, tide_left, boot, known, synced, want;
		bool is_doubtful;
	} cases[] = {
	    {true, true, 90, commits, boot, 0, 80, 90, false},
	    {true, true, 79, commits, boot, 0, 80, 80, false},
	    {true, true, 80, commits, boot, 0, 80, 80, false},
	    {true, true, 90, commits, boot, 70, 80, 70, false},
	    {true, true, 90, commits, boot + 1, 0, 80, 80, false}, /* another boot */
	    {true, true, 90, commits, 0, 0, 80, 80, false},
	    {true, false, 90, commits, boot, 0, 80, 80, false},
	    {false, true, 90, commits, boot, 0, 80, 80, false},
	    {true, true, 90, commits + 1, boot, 0, 80, 0, true}, /* it is older than that */
	    {true, true, 90, commits + 1, boot, 70, 80, 0, true},
	    {false, true, 90, commits + 1, boot, 0, 80, 80, false},
	};

	(void)state;
	assert_true(boot != 0);
	(void)snprintf(doubt, sizeof doubt,
	               "%s.left, which tells what had left from what is gone, was gone, old, or not what was written:"
	               " of what left before, less can be told",
	               s->path);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct totals known = {.commits = cases[i].known};

		left_note(s->left, 41, 41);
		left_keep(s->left, commits);
		left_sync(s->left, cases[i].synced);
		s->tide.is_valid = cases[i].is_valid;
		s->tide.has_more = cases[i].has_more;
		s->tide.commits = cases[i].tide_commits;
		s->tide.counts[TIDE_LEFT] = cases[i].tide_left;
		s->tide.counts[TIDE_BOOT] = cases[i].boot;
		report = (struct store_report){0};
		assert_int_equal(store_left_open(s, cases[i].known > 0 ? &known : NULL, &report, &e), ERR_OK);
		assert_int_equal(left_commit(s->left), commits);
		assert_int_equal(left_synced(s->left), cases[i].synced);
		if (s->left_knows != cases[i].want)
			fail_msg("case %zu: %d", i, (int)s->left_knows);
		assert_int_equal(store_left_is_doubtful(s->left, &s->tide), cases[i].is_doubtful);
		assert_string_equal(report.warning, cases[i].is_doubtful ? doubt : "");
		assert_false(s->left_is_behind);
	}
	for (uint64_t after = TAKES - 1; after <= TAKES + 1; after++) {
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_note_put(s, SALVAGE_LEFT, &(struct note){.after = after}, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		left_note_back(s->left, 41);
		left_keep(s->left, TAKES);
		assert_int_equal(left_taken_back(s->left), TAKES);
		assert_int_equal(store_left_open(s, NULL, &report, &e), ERR_OK);
		assert_int_equal(s->left_is_behind, after > TAKES);
	}
	life_sql(s, "UPDATE salvage SET after_id = 0");
	assert_int_equal(store_left_open(s, NULL, &report, &e), ERR_OK);
	assert_true(s->left_is_behind);
}

/* Of what is older than the tide mark the difference is exact where it has the ids. */
static void when_it_knows_the_ids_of_all_that_was_counted(void **state)
{
	const uint64_t commits = left_commit(s->left);
	static const struct {
		bool is_valid, has_more, is_behind;
		int64_t ahead, left, id; /* of the tide mark's commits, of its commit of PATH.left, of its last id */
		bool want;
	} cases[] = {
	    {true, true, false, 1, 0, -1, true},   {false, true, false, 1, 0, -1, false},
	    {true, false, false, 1, 0, -1, false}, {true, true, true, 1, 0, -1, false},
	    {true, true, false, -1, 0, -1, false}, {true, true, false, 1, -1, -1, true},
	    {true, true, false, 1, 1, -1, false},  {true, true, false, 1, 0, 0, true},
	    {true, true, false, 1, 0, -2, false},
	};

	(void)state;
	assert_true(commits > 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		s->tide = (struct tide){.is_valid = cases[i].is_valid,
		                        .has_more = cases[i].has_more,
		                        .count = TIDE_COUNTS_MAX,
		                        .commits = s->now.commits + (uint64_t)cases[i].ahead,
		                        .id = s->now.next_id + (uint64_t)cases[i].id};
		s->tide.counts[TIDE_LEFT] = commits + (uint64_t)cases[i].left;
		s->left_is_behind = cases[i].is_behind;
		if (store_left_knows(s, &s->now) != cases[i].want)
			fail_msg("case %zu", i);
	}
	s->left_is_behind = false;
	left_close(s->left); /* one that is new knows nothing */
	assert_int_equal(unlink(spooldir_file(&d, ".left")), 0);
	s->left = left_open(&s->files, s->id, true);
	s->tide.id = s->now.next_id - 1;
	s->tide.counts[TIDE_LEFT] = 0;
	assert_false(store_left_knows(s, &s->now));
	assert_false(store_left_is_doubtful(s->left, &s->tide));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_is_neither_here_nor_left_is_absent, begin, end),
	    cmocka_unit_test_setup_teardown(it_begins_with_what_can_be_known, begin, end),
	    cmocka_unit_test_setup_teardown(a_call_that_fails_notes_nothing, begin, end),
	    cmocka_unit_test_setup_teardown(what_it_denies, begin, end),
	    cmocka_unit_test_setup_teardown(what_stands_here_again_is_counted, begin, end),
	    cmocka_unit_test_setup_teardown(what_lies_beyond_was_accepted, begin, end),
	    cmocka_unit_test_setup_teardown(the_shelf_of_before_is_counted, begin, end),
	    cmocka_unit_test_setup_teardown(the_shelf_is_noted, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_taken_back_is_noted_with_its_commit, begin, end),
	    cmocka_unit_test_setup_teardown(what_it_knows_when_it_is_opened, begin, end),
	    cmocka_unit_test_setup_teardown(when_it_knows_the_ids_of_all_that_was_counted, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
