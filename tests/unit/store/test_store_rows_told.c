/*
 * Rows beside the messages, counted and held against what the tide mark had of them: each number that comes of it, each
 * sentence, and what is noted of what was told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_byway.h"
#include "store/store_salvage_internal.h"

enum { POSITIONS = 2, KEYS = 3, IMPORTS = 2 };

static struct spooldir d;
static struct store *s;
static struct error e;
static struct store_report report;

/* Modulo 2^64. */
static uint64_t sum_of(const char *table)
{
	sqlite3_stmt *st = NULL;
	uint64_t sum = 0;
	char sql[100];

	(void)snprintf(sql, sizeof sql, "SELECT checksum FROM %s", table);
	assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW)
		sum += (uint64_t)sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return sum;
}

/* As begin notes it; and where the first note is not what was written. */
static const struct put_backs put_back = {{{5, 7, 3}, {9, 9, 1}}}, sound_put_back = {{{9, 9, 1}}};

static int begin(void **state)
{
	bool was_new;

	(void)state;
	report = (struct store_report){0};
	s = life_begin(&d);
	life_append(s, 0, 10);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, "a", "100", &e), ERR_OK);
	assert_int_equal(store_position_put(s, "b", "200", &e), ERR_OK);
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(store_cache_add(s, "c", &i, sizeof i, 1800000, &was_new, &e), ERR_OK);
	assert_int_equal(store_byway_note(s, 5, 0, 3, &e), ERR_OK);
	assert_int_equal(store_byway_note(s, 9, 0, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
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

static void begin_anew(void)
{
	(void)end(NULL);
	(void)begin(NULL);
}

static void put_note(const char *key, uint64_t after)
{
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_note_put(s, key, &(struct note){.after = after}, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static uint64_t note_of(const char *key)
{
	struct note note;

	assert_int_equal(store_note_get(s, key, &note, &e), ERR_OK);
	return note.after;
}

/* What is counted with each change is what stands in the tables. */
static void what_is_known_is_what_there_is(void **state)
{
	struct tide t;

	(void)state;
	assert_int_equal(s->rows.positions, POSITIONS);
	assert_int_equal(s->rows.keys, KEYS);
	assert_int_equal(s->rows.imports, IMPORTS);
	assert_true(s->rows.positions_sum == sum_of("positions"));
	assert_true(s->rows.imports_sum == sum_of("imports"));
	for (int done = 0; done < 2; done++) {
		s->salvage_is_done = done;
		s->rows_durable.positions_gone = 10;
		s->rows_durable.keys_gone = 20;
		s->rows_durable.imports_gone = 30;
		s->rows_durable.positions_off = 40;
		s->rows_durable.imports_off = 50;
		s->now.possible = 77;
		t = store_tide_of_run(s);
		assert_int_equal(t.id, s->now.next_id - 1);
		assert_int_equal(t.commits, s->now.commits);
		assert_int_equal(t.counts[TIDE_POSITIONS], POSITIONS + 10);
		assert_int_equal(t.counts[TIDE_KEYS], KEYS + 20);
		assert_int_equal(t.counts[TIDE_IMPORTS], IMPORTS + 30);
		assert_true(t.counts[TIDE_POSITIONS_SUM] == s->rows.positions_sum + 40);
		assert_true(t.counts[TIDE_IMPORTS_SUM] == s->rows.imports_sum + 50);
		assert_int_equal(t.counts[TIDE_LEFT], left_commit_due(s->left));
		assert_int_equal(t.counts[TIDE_POSSIBLE], 77);
		assert_int_equal(t.counts[TIDE_CLOCK], s->now.clock_ms);
		assert_int_equal(t.counts[TIDE_BOOT], s->now.clock_boot);
		assert_int_equal(t.counts[TIDE_OFFSET], s->now.clock_offset);
		assert_true(t.counts[TIDE_LEAD] == (done ? store_leads_last(s) : 0));
		assert_memory_equal(&t.counts[TIDE_BACK], &put_back, sizeof put_back);
		s->now.possible = s->durable.possible;
	}
	assert_true(store_leads_last(s) != 0);
}

static const struct {
	uint64_t positions, keys, imports, mended, note; /* of the tide mark; note: of keys that were counted */
	int64_t off;                                     /* both sums */
	bool is_behind, has_more, all, no_keys, wrong;   /* wrong: a row of each is not what was written */
	uint64_t positions_gone, keys_gone, imports_gone, keys_are;
} starts[] = {
    {.positions = 2, .keys = 3, .imports = 2, .has_more = true, .all = true, .keys_are = 3},
    {.positions = 5, .keys = 3, .imports = 2, .has_more = true, .all = true, .positions_gone = 3, .keys_are = 3},
    {.positions = 2, .keys = 9, .imports = 2, .has_more = true, .all = true, .keys_gone = 6, .keys_are = 3},
    {.positions = 2,
     .keys = 9,
     .imports = 2,
     .mended = 4,
     .has_more = true,
     .all = true,
     .keys_gone = 2,
     .keys_are = 3},
    {.positions = 2, .keys = 9, .imports = 2, .mended = 20, .has_more = true, .all = true, .keys_are = 3},
    {.positions = 2, .keys = 3, .imports = 6, .has_more = true, .all = true, .imports_gone = 4, .keys_are = 3},
    {.positions = 1, .keys = 1, .imports = 1, .has_more = true, .all = true, .keys_are = 3},
    {.positions = 2, .keys = 3, .imports = 2, .off = 5, .has_more = true, .all = true, .keys_are = 3},
    {.positions = 2, .keys = 3, .imports = 2, .off = 5, .all = true, .keys_are = 3},
    {.positions = 2, .keys = 3, .imports = 2, .off = 5, .has_more = true, .wrong = true, .all = true, .keys_are = 3},
    {.positions = 2,
     .keys = 3,
     .imports = 2,
     .off = 5,
     .has_more = true,
     .is_behind = true,
     .all = true,
     .keys_are = 3},
    {.positions = 5,
     .keys = 9,
     .imports = 6,
     .has_more = true,
     .is_behind = true,
     .all = true,
     .positions_gone = 3,
     .imports_gone = 4,
     .keys_are = 3},
    {.positions = 2, .keys = 9, .imports = 2, .has_more = true, .keys_are = 9},
    {.positions = 2, .keys = 0, .imports = 2, .has_more = true, .keys_are = 1},
    {.positions = 2, .keys = 9, .imports = 2, .mended = 9, .has_more = true, .keys_are = 1},
    {.positions = 2, .keys = 9, .imports = 2, .mended = 2, .has_more = true, .keys_are = 7},
    {.positions = 2, .keys = 9, .imports = 2, .has_more = true, .is_behind = true, .keys_are = 1},
    {.positions = 2, .keys = 9, .imports = 2, .has_more = true, .no_keys = true, .keys_gone = 9},
    {.positions = 2, .keys = 9, .imports = 2, .has_more = true, .no_keys = true, .is_behind = true, .keys_gone = 9},
    {.positions = 2,
     .keys = 9,
     .imports = 2,
     .has_more = true,
     .no_keys = true,
     .is_behind = true,
     .note = 100,
     .keys_gone = 9},
    {.positions = 2, .keys = 9, .imports = 2, .has_more = true, .no_keys = true, .is_behind = true, .note = 101},
    {.positions = 2, .keys = 9, .imports = 2, .has_more = true, .no_keys = true, .note = 101, .keys_gone = 9},
    {.positions = 2,
     .keys = 9,
     .imports = 2,
     .has_more = true,
     .no_keys = true,
     .is_behind = true,
     .all = true,
     .keys_gone = 9},
};

/* Held against a tide mark of this commit, or of before; keys are counted, or said to be as many. */
static void a_start_holds_them_against_the_tide_mark(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		struct totals found = {.commits = 100, .next_id = 11};
		const struct side_rows *r;
		bool off;

		begin_anew();
		r = &s->rows;
		if (starts[i].note > 0)
			put_note(SALVAGE_KEYS, starts[i].note);
		s->tide = (struct tide){.is_valid = true,
		                        .has_more = starts[i].has_more,
		                        .commits = 100,
		                        .id = starts[i].is_behind ? 9 : 10};
		s->tide.counts[TIDE_POSITIONS] = starts[i].positions;
		s->tide.counts[TIDE_KEYS] = starts[i].keys;
		s->tide.counts[TIDE_IMPORTS] = starts[i].imports;
		if (starts[i].wrong) /* another spool's sum */
			life_sql(s, "UPDATE positions SET checksum = checksum + 1 WHERE key = 'a';"
			            "UPDATE imports SET checksum = checksum + 1 WHERE first_id = 5");
		if (starts[i].no_keys)
			life_sql(s, "DELETE FROM cache");
		s->tide.counts[TIDE_POSITIONS_SUM] = sum_of("positions") + (uint64_t)starts[i].off;
		s->tide.counts[TIDE_IMPORTS_SUM] = sum_of("imports") + (uint64_t)starts[i].off;
		s->rows = (struct side_rows){0};
		s->rows_durable = (struct side_rows){.keys = 55};
		assert_int_equal(store_rows_load(s, &found, starts[i].mended, starts[i].all, &e), ERR_OK);
		if (r->positions != POSITIONS || r->imports != IMPORTS || r->keys != starts[i].keys_are ||
		    r->positions_gone != starts[i].positions_gone || r->keys_gone != starts[i].keys_gone ||
		    r->imports_gone != starts[i].imports_gone)
			fail_msg("case %zu: %d keys; gone: %d positions, %d keys, %d imports", i, (int)r->keys,
			         (int)r->positions_gone, (int)r->keys_gone, (int)r->imports_gone);
		off = starts[i].off != 0 && starts[i].has_more && !starts[i].wrong && !starts[i].is_behind;
		assert_int_equal(r->positions_off, off ? 5 : 0);
		assert_int_equal(r->imports_off, off ? 5 : 0);
		assert_int_equal(s->positions_are_untold, off || starts[i].positions_gone > 0);
		assert_memory_equal(&r->back, starts[i].wrong ? &sound_put_back : &put_back, sizeof put_back);
		assert_memory_equal(&s->rows, &s->rows_durable, sizeof s->rows);
	}
}

/* What was there and is not is gone; what came back is not gone any more. */
static void a_count_while_it_runs(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		uint64_t positions, imports;

		begin_anew();
		s->rows.positions_gone = 1;
		s->rows.keys_gone = 2;
		s->rows.imports_gone = 3;
		s->rows.positions_off = 4;
		s->rows.imports_off = 5;
		s->positions_are_untold = i == 2;
		positions = s->rows.positions_sum + 4;
		imports = s->rows.imports_sum + 5;
		if (i == 1) {
			life_sql(s, "DELETE FROM positions; DELETE FROM cache WHERE key != x'00000000';"
			            "DELETE FROM imports WHERE first_id = 5");
		}
		if (i == 2)
			s->rows.positions_off = 0;
		assert_int_equal(store_rows_recount(s, &e), ERR_OK);
		assert_int_equal(s->rows.positions, i == 1 ? 0 : POSITIONS);
		assert_int_equal(s->rows.keys, i == 1 ? 1 : KEYS);
		assert_int_equal(s->rows.imports, i == 1 ? 1 : IMPORTS);
		assert_int_equal(s->rows.positions_gone, i == 1 ? 3 : 1);
		assert_int_equal(s->rows.keys_gone, i == 1 ? 4 : 2);
		assert_int_equal(s->rows.imports_gone, i == 1 ? 4 : 3);
		if (i == 1)
			assert_true(s->rows.positions_sum == 0 && s->rows.positions_off == positions);
		else
			assert_int_equal(s->rows.positions_off, i == 2 ? 0 : 4);
		assert_true(s->rows.imports_off == imports - sum_of("imports"));
		assert_true(s->positions_are_untold);
		assert_memory_equal(&s->rows.back, &put_back, sizeof put_back);
	}
	begin_anew();
	s->positions_are_untold = false;
	assert_int_equal(store_rows_recount(s, &e), ERR_OK);
	assert_false(s->positions_are_untold);
	life_sql(s, "DELETE FROM positions WHERE key = 'a'; DELETE FROM imports WHERE first_id = 5");
	s->rows.positions_gone = 9;
	assert_int_equal(store_rows_changed(s, &e), ERR_OK); /* on purpose */
	assert_int_equal(s->rows.positions, 1);
	assert_int_equal(s->rows.imports, 1);
	assert_int_equal(s->rows.keys, KEYS);
	assert_int_equal(s->rows.positions_gone, 9);
	assert_true(s->rows.positions_sum == sum_of("positions"));
	assert_true(s->rows.imports_sum == sum_of("imports"));
}

#define GONE                                                                                                     \
	" positions of inputs are gone: what they are of is read again from its start, and counted as possible " \
	"duplicates"
#define OLD                                                                                                        \
	"2 positions of inputs are not those that were written last: what they are of is read on from where they " \
	"say, and counted as possible duplicates"
#define KEYS_GONE " dedupe keys are gone: what they kept back may be sent, and is counted as possible duplicates"
#define NOTES " notes of copies that were taken in, or of what was put back from the shelf, are "
#define FROM_NOW ": what is taken in from a copy from now on may have been before, and counts as possible duplicates"

static const struct {
	bool waits, untold;
	uint64_t positions_gone, told, positions_off, keys_gone, imports_gone, imports_off;
	const char *says;
} tellings[] = {
    {.says = ""},
    {.untold = true, .says = ""},
    {.untold = true, .positions_gone = 4, .says = "4" GONE},
    {.positions_gone = 4, .says = ""},
    {.untold = true, .positions_gone = 4, .told = 3, .says = "4" GONE},
    {.untold = true, .positions_gone = 4, .told = 4, .says = ""},
    {.untold = true, .positions_gone = 4, .told = 5, .says = ""},
    {.untold = true, .positions_off = 4, .says = OLD},
    {.untold = true, .positions_off = 4, .positions_gone = 6, .says = OLD "; 6" GONE},
    {.keys_gone = 7, .says = "7" KEYS_GONE},
    {.imports_gone = 8, .says = "8" NOTES "gone" FROM_NOW},
    {.imports_off = 9, .says = "2" NOTES "not those that were written last" FROM_NOW},
    {.imports_gone = 8, .imports_off = 9, .says = "8" NOTES "gone" FROM_NOW},
    {.untold = true, .positions_gone = 4, .keys_gone = 7, .says = "4" GONE "; 7" KEYS_GONE},
    {.waits = true,
     .untold = true,
     .positions_gone = 4,
     .keys_gone = 7,
     .imports_gone = 8,
     .positions_off = 1,
     .says = ""},
};

/* Each once, and all that can be said of it. */
static void what_is_gone_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof tellings / sizeof *tellings; i++) {
		const uint64_t keys = tellings[i].waits ? 0 : tellings[i].keys_gone;
		const bool old = tellings[i].positions_off != 0 && !tellings[i].waits;
		const bool lost = (tellings[i].imports_gone > 0 || tellings[i].imports_off != 0) && !tellings[i].waits;
		uint64_t commits, possible;

		begin_anew();
		if (tellings[i].told > 0)
			put_note(SALVAGE_POSITIONS, tellings[i].told);
		s->salvage_is_done = !tellings[i].waits;
		s->positions_are_untold = tellings[i].untold;
		s->rows.positions_gone = tellings[i].positions_gone;
		s->rows.positions_off = tellings[i].positions_off;
		s->rows.keys_gone = tellings[i].keys_gone;
		s->rows.imports_gone = tellings[i].imports_gone;
		s->rows.imports_off = tellings[i].imports_off;
		s->rows_durable = s->rows;
		commits = s->durable.commits;
		possible = s->durable.possible;
		assert_int_equal(store_rows_tell_now(s, &report, &e), ERR_OK);
		assert_false(store_in_group(s));
		if (strcmp(report.warning, tellings[i].says) != 0)
			fail_msg("case %zu: %s", i, report.warning);
		assert_int_equal(s->durable.possible - possible, keys);
		assert_int_equal(note_of(SALVAGE_KEYS), keys > 0 ? commits + 1 : 0);
		assert_int_equal(note_of(SALVAGE_POSITIONS), tellings[i].told); /* which a person does */
		assert_int_equal(s->rows.keys_gone, tellings[i].waits ? tellings[i].keys_gone : 0);
		assert_int_equal(s->rows.positions_off, old ? 0 : tellings[i].positions_off);
		assert_int_equal(s->rows.positions_gone, tellings[i].positions_gone);
		assert_int_equal(s->rows.imports_gone, lost ? 0 : tellings[i].imports_gone);
		assert_int_equal(s->rows.imports_off, 0);
		assert_int_equal(s->rows.imports, IMPORTS + lost);
		assert_true(s->rows.positions_sum == sum_of("positions"));
		assert_true(s->rows.imports_sum == sum_of("imports"));
		assert_int_equal(life_number(s, "SELECT count(*) FROM imports WHERE copy = x''"), lost);
		assert_int_equal(
		    life_number(s, "SELECT count(*) FROM positions WHERE checksum = old_position_sum(key, value)"),
		    old ? POSITIONS : 0);
		assert_int_equal(s->positions_are_untold, tellings[i].untold && tellings[i].waits);
	}
}

/* It is told the next time; a full disk refuses no start. */
static void what_could_not_be_told_is_still_known(void **state)
{
	bool failed = true;
	uint64_t n = 1;

	(void)state;
	for (; failed; n++) {
		for (int is_full = 0; is_full < 2; is_full++) {
			enum err err;

			begin_anew();
			s->salvage_is_done = true;
			s->positions_are_untold = true;
			s->rows.positions_off = 4;
			s->rows.positions_gone = 5;
			s->rows.keys_gone = 6;
			s->rows.imports_gone = 7;
			s->rows_durable = s->rows;
			(void)snprintf(report.warning, sizeof report.warning, "before");
			faultsql_arm(n, is_full ? SQLITE_FULL : SQLITE_NOMEM, false);
			err = store_rows_tell_now(s, &report, &e);
			failed = faultsql_failed();
			if (!is_full)
				ERRORWATCH_EXPECT(err, &e, NULL, "what is gone", n);
			faultsql_arm(0, 0, false);
			assert_int_equal(err, failed && !is_full ? ERR_MEMORY : ERR_OK);
			assert_false(store_in_group(s));
			if (failed)
				assert_string_equal(report.warning, "before");
			else
				assert_non_null(strstr(report.warning, "before; 2 positions"));
			assert_int_equal(s->rows.positions_off, failed ? 4 : 0);
			assert_int_equal(s->rows.keys_gone, failed ? 6 : 0);
			assert_int_equal(s->rows.imports_gone, failed ? 7 : 0);
			assert_true(store_rows_are_untold(s) == failed);
		}
	}
	assert_true(n > 10);
}

/* How many are gone of which no person knows. */
static void a_person_knows(void **state)
{
	static const struct {
		uint64_t gone, told, want;
	} cases[] = {{0, 0, 0}, {1, 0, 1}, {5, 0, 5}, {5, 4, 1}, {5, 5, 0}, {5, 6, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int done = 0; done < 2; done++) {
			uint64_t gone = 77, commits;

			begin_anew();
			if (cases[i].told > 0)
				put_note(SALVAGE_POSITIONS, cases[i].told);
			s->rows.positions_gone = s->rows_durable.positions_gone = cases[i].gone;
			s->salvage_is_done = done;
			assert_int_equal(store_rows_gone(s, &gone, &e), ERR_OK);
			assert_int_equal(gone, done ? cases[i].want : 0);
			commits = (uint64_t)sqlite3_total_changes(s->db);
			assert_int_equal(store_rows_told(s, &e), ERR_OK);
			assert_false(store_in_group(s));
			assert_int_equal(note_of(SALVAGE_POSITIONS), done ? cases[i].gone : 0);
			assert_int_equal((uint64_t)sqlite3_total_changes(s->db) == commits,
			                 (done ? cases[i].gone : 0) ==
			                     cases[i].told); /* nothing is written for nothing */
			assert_int_equal(store_rows_gone(s, &gone, &e), ERR_OK);
			assert_int_equal(gone, 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_is_known_is_what_there_is, begin, end),
	    cmocka_unit_test_setup_teardown(a_start_holds_them_against_the_tide_mark, begin, end),
	    cmocka_unit_test_setup_teardown(a_count_while_it_runs, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_gone_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(what_could_not_be_told_is_still_known, begin, end),
	    cmocka_unit_test_setup_teardown(a_person_knows, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
