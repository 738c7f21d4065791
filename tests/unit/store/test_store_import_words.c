/*
 * What an import answers, word for word and number for number: how many came in, how many were left out, how many count
 * as possible duplicates, why it is refused; and what it brings with each message and notes of the copy.
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

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/fullspool.h"
#include "store/store_internal.h"

/* A folder for copies, and what is told with their paths left out. */
static struct spooldir here;

static const char *copy_at(const char *name)
{
	static char path[400];

	(void)snprintf(path, sizeof path, "%s/%s", here.dir, name);
	return path;
}

static void export(struct store *s, const char *name)
{
	struct error e;

	if (store_export(s, copy_at(name), &e) != ERR_OK)
		fail_msg("%s", e.text);
}

/* "in, left out, by way, more possible duplicates", or the error. */
static void expect(struct store *s, const char *name, bool again, const char *want)
{
	const uint64_t before = store_possible_duplicates(s), accepted = store_ledger(s)->accepted;
	char text[FULL_TEXT];
	uint64_t rows = 7;
	struct error e = {.code = ERR_OK, .text = ""};
	const enum err err = store_import(s, copy_at(name), again, &rows, &e);

	if (err == ERR_OK)
		(void)snprintf(text, sizeof text, "%d, %d, %d, %d", (int)rows, (int)store_import_left_out(s),
		               (int)store_import_by_way(s), (int)(store_possible_duplicates(s) - before));
	else
		(void)snprintf(text, sizeof text, "%s: %s", error_name(err), e.text);
	full_replace(text, copy_at(""), "");
	full_mask(text, "taken in at ", ";");
	if (err != ERR_OK)
		assert_int_equal(err, e.code);
	assert_int_equal(store_ledger(s)->accepted, accepted + rows);
	assert_false(store_in_group(s));
	assert_int_equal(sqlite3_txn_state(s->db, NULL), SQLITE_TXN_NONE); /* nothing keeps the log from its end */
	if (err != ERR_OK)
		assert_int_equal(rows + store_import_left_out(s) + store_import_by_way(s), 0);
	if (strcmp(text, want) != 0)
		fail_msg("%s:\n%s\nbut wanted:\n%s", name, text, want);
}

static int begin(void **state)
{
	(void)state;
	spooldir_make(&here);
	return 0;
}

static int end(void **state)
{
	(void)state;
	spooldir_remove(&here);
	return 0;
}

#define KNOWN " messages of this copy were taken in at *; with --again they are taken in once more, and sent twice"
#define KNOWN_BY_ROWS                                                                                               \
	" messages of this copy were taken in before, with other copies of that spool; with --again they are taken" \
	" in once more, and sent twice"
#define OWN_STILL "import of own: this is a copy of this very spool, which holds its "

/* The same copy, a later one, one that brings nothing new, and each of them once more. */
static void copies_of_one_spool(void **state)
{
	struct spooldir from, to;
	struct store *s = life_begin(&from);

	(void)state;
	life_append(s, 0, 20);
	export(s, "first");
	life_settle(s, 1, 5);
	life_append(s, 20, 10);
	export(s, "second");
	life_settle(s, 6, 10);
	export(s, "third");
	life_settle(s, 11, 29);
	export(s, "fourth");
	life_end(&from, s);
	s = life_begin(&to);
	expect(s, "first", false, "20, 0, 0, 0");
	expect(s, "first", false, "INPUT: import of first: all 20" KNOWN);
	expect(s, "second", false, "10, 15, 0, 0");
	expect(s, "second", false, "INPUT: import of second: all 25" KNOWN);
	expect(s, "third", false, "INPUT: import of third: all 20" KNOWN_BY_ROWS);
	expect(s, "fourth", false, "INPUT: import of fourth: all 1" KNOWN_BY_ROWS);
	expect(s, "third", true, "20, 0, 0, 20");
	expect(s, "first", true, "20, 0, 0, 20");
	life_expect(s, 70, 0, 70, 0);
	assert_int_equal(life_number(s, "SELECT group_concat(messages, '') FROM (SELECT messages FROM imports WHERE"
	                                " length(copy) = 65 ORDER BY first_id)"),
	                 252020);
	life_end(&to, s);
}

/* What says of a copy that it is one, and what of the file where it stands. */
static void what_is_no_copy_is_refused(void **state)
{
	static const struct {
		const char *sql, *says;
	} harms[] = {
	    {"PRAGMA application_id = 7", "INPUT: import of copy: copy is not a spool"},
	    {"PRAGMA user_version = 9999", "CONFIG: import of copy: copy has schema 9999; this kspool is older"},
	    {"UPDATE messages SET id = 0 WHERE id = 6",
	     "INPUT: import of copy: 1 rows of messages there have an id that none can have; repair it first"},
	    {"UPDATE messages SET id = id - 100",
	     "INPUT: import of copy: 2 rows of messages there have an id that none can have; repair it first"},
	    {"UPDATE blocks SET id = -1 WHERE id = 21",
	     "INPUT: import of copy: 1 rows of blocks there have an id that none can have; repair it first"},
	    {"UPDATE messages SET body = x'00'; UPDATE blocks SET codec = 7; UPDATE dead SET body = x'00'",
	     "INPUT: import of copy: none of its 34 messages is what was written"},
	    {"DROP TABLE losses", "INPUT: import of copy: copy: the definition of losses is not what was written"},
	};
	struct spooldir from, to;
	struct store *s = full_open(&from);

	(void)state;
	export(s, "whole");
	life_end(&from, s);
	s = life_begin(&to);
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		size_t count;
		unsigned char *bytes = spooldir_load(copy_at("whole"), &count);

		spooldir_store(copy_at("copy"), bytes, count);
		free(bytes);
		full_change(copy_at("copy"), harms[i].sql);
		expect(s, "copy", false, harms[i].says);
		expect(s, "copy", true, harms[i].says);
	}
	spooldir_store(copy_at("empty"), "", 0);
	expect(s, "empty", false, "INPUT: import of empty: empty is empty");
	expect(s, "none", false, "NOINPUT: none: No such file or directory");
	expect(s, ".", false, "INPUT: . is not a plain file");
	expect(s, "whole", false, "34, 0, 0, 0");
	life_end(&to, s);
}

/* Each message that is not what was written stays away, and comes with a later copy in which it is: an earlier one
 * should have had it, so it counts. */
static void what_is_damaged_in_a_copy_is_left_out(void **state)
{
	static const struct {
		const char *sql, *brings, *then;
		uint64_t damaged;
	} harms[] = {
	    {"UPDATE messages SET body = x'00' WHERE id = 6", "33, 0, 0, 0", "2, 33, 0, 1", 1},
	    {"UPDATE blocks SET codec = 7 WHERE id = 21", "24, 0, 0, 0", "11, 24, 0, 10", 10},
	    {"UPDATE dead SET body = x'00' WHERE id = 8", "33, 0, 0, 0", "2, 33, 0, 1", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct spooldir from, to;
		struct store *s = full_open(&from);

		export(s, "copy");
		life_append(s, 5000, 1); /* or it would be the same copy */
		export(s, "later");
		life_end(&from, s);
		full_change(copy_at("copy"), harms[i].sql);
		s = life_begin(&to);
		expect(s, "copy", false, harms[i].brings);
		assert_int_equal(store_import_damaged(s), harms[i].damaged);
		expect(s, "later", false, harms[i].then);
		assert_int_equal(store_import_damaged(s), 0);
		life_end(&to, s);
		assert_int_equal(unlink(copy_at("copy")), 0);
		assert_int_equal(unlink(copy_at("later")), 0);
	}
}

/* A copy of this very spool, of which some are here, on the shelf, or not any more; and what it has gained since. */
static void a_copy_of_this_very_spool(void **state)
{
	struct spooldir d;
	struct store *s = full_open(&d);

	(void)state;
	export(s, "own");
	expect(s, "own", false,
	       "INPUT: " OWN_STILL "34 messages still; with --again they are taken in once more, and sent twice");
	full_group(s, &(struct store_settlement){.id = 13, .kind = SETTLE_DEAD, .attempts = 1, .code = "X"});
	expect(s, "own", false,
	       "INPUT: " OWN_STILL "34 messages still; with --again they are taken in once more, and sent twice");
	life_settle(s, 1, 2);
	expect(s, "own", false,
	       "INPUT: import of own: this is a copy of this very spool: 32 of its messages are here, and 2 are not any"
	       " more, be it that they were sent or lost; with --again all are taken in once more, and sent twice");
	life_sql(s, "UPDATE dead SET body = x'00' WHERE id = 13");
	expect(s, "own", false,
	       "INPUT: import of own: this is a copy of this very spool: 32 of its messages are here, and 2 are not any"
	       " more, be it that they were sent or lost; with --again all are taken in once more, and sent twice");
	expect(s, "own", true, "34, 0, 0, 34");
	life_close(s);
	spooldir_remove(&d);
}

/* The path of this spool itself, by whichever name. */
static void this_very_spool_is_no_copy(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	uint64_t rows = 7;
	char other[400];

	(void)state;
	(void)snprintf(other, sizeof other, "%s.other", d.path);
	assert_int_equal(link(d.path, other), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(store_import(s, i ? other : d.path, true, &rows, &e), ERR_INPUT);
		assert_int_equal(rows, 0);
		assert_non_null(strstr(e.text, " is this very spool; name the copy of another one"));
	}
	assert_int_equal(unlink(other), 0);
	life_end(&d, s);
}

/* How often each was tried, and why it failed; of notes that are not what was written only that they are not. */
static void what_failed_there_has_failed(void **state)
{
	static const char *const harms[] = {"SELECT 1",
	                                    "UPDATE failures SET attempts = 4; UPDATE dead SET attempts = 4",
	                                    "UPDATE failures SET attempts = 4294967295, checksum = 0;"
	                                    "UPDATE dead SET attempts = 4294967295, note_checksum = 0",
	                                    "UPDATE failures SET attempts = 4294967296, checksum = 0;"
	                                    "UPDATE dead SET attempts = 4294967296, note_checksum = 0",
	                                    "UPDATE failures SET attempts = -1, checksum = 0;"
	                                    "UPDATE dead SET attempts = -1, note_checksum = 0"};
	static const char *const want[] = {"2 failed: 3 Slow, 2 dead: 3 Slow because",
	                                   "0 failed: - -, 2 dead: 0 " STORE_NOTE_LOST_CODE " " STORE_NOTE_LOST_REASON,
	                                   "2 failed: 4294967295 Slow, 2 dead: 4294967295 Slow because",
	                                   "2 failed: 0 Slow, 2 dead: 0 Slow because",
	                                   "2 failed: 0 Slow, 2 dead: 0 Slow because"};
	struct spooldir from;
	struct store *s = full_open(&from);

	(void)state;
	life_sql(
	    s,
	    "UPDATE dead SET reason = 'because', note_checksum = side_sum(7, id, died_ms, attempts, code, 'because')");
	export(s, "whole");
	store_abandon(s);
	spooldir_remove(&from);
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		static const char told[] =
		    "SELECT (SELECT count(*) || ' failed: ' || coalesce(max(attempts), '-') || ' ' || "
		    "coalesce(max(code),"
		    " '-') FROM failures) || ', ' || (SELECT count(*) || ' dead: ' || max(attempts) || ' ' || max(code)"
		    " || ' ' || max(reason) FROM dead) = '%s'";
		AUTOFREE char *sql = mem_format(told, want[i]);
		struct spooldir to;
		size_t count;
		unsigned char *bytes = spooldir_load(copy_at("whole"), &count);

		spooldir_store(copy_at("copy"), bytes, count);
		free(bytes);
		full_change(copy_at("copy"), harms[i]);
		s = life_begin(&to);
		expect(s, "copy", false, "34, 0, 0, 0");
		if (life_number(s, sql) != 1)
			fail_msg("%s: %s is not so", harms[i], want[i]);
		life_end(&to, s);
	}
}

/* Of an older kspool's notes only the lowest and the highest id are known: what is between may be here. */
static void what_an_older_kspool_took_in_is_a_span(void **state)
{
	struct spooldir from, to;
	struct store *s = life_begin(&from);
	uint64_t mark[8];
	sqlite3_stmt *st = NULL;

	(void)state;
	life_append(s, 0, 40);
	export(s, "all");
	for (int which = 0; which < 5; which++) {
		static const struct {
			uint64_t spans[2][2];
			const char *want;
		} cases[] = {
		    {{{11, 13}, {18, 20}}, "40, 0, 0, 10"}, {{{18, 20}, {11, 13}}, "40, 0, 0, 10"},
		    {{{11, 13}, {0, 0}}, "40, 0, 0, 3"},    {{{0, 0}, {7, 7}}, "40, 0, 0, 1"},
		    {{{0, 0}, {0, 0}}, "40, 0, 0, 0"},
		};
		struct store *into = life_begin(&to);

		for (uint64_t i = 0; i < 2; i++) {
			memset(mark, 0, sizeof mark);
			mark[0] = 1000 + (i ^ (uint64_t)(which & 1)); /* in which order they are read */
			mark[4] = s->id.high;
			mark[5] = s->id.low;
			mark[6] = cases[which].spans[i][0];
			mark[7] = cases[which].spans[i][1];
			assert_int_equal(
			    sqlite3_prepare_v2(into->db,
			                       "INSERT INTO imports (copy, imported_ms, messages, first_id, checksum)"
			                       " VALUES (?1, 1, 2, 3, side_sum(11, ?1, 1, 2, 3))",
			                       -1, &st, NULL),
			    SQLITE_OK);
			(void)sqlite3_bind_blob(st, 1, mark, sizeof mark, SQLITE_STATIC);
			assert_int_equal(sqlite3_step(st), SQLITE_DONE);
			assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
		}
		expect(into, "all", false, cases[which].want);
		store_abandon(into);
		spooldir_remove(&to);
	}
	life_end(&from, s);
}

/* Two copies that differ in nothing but one message are two: which one, or what is in it. */
static void copies_are_told_by_their_messages(void **state)
{
	struct spooldir from, twin, to;
	struct store *s = life_begin(&from);

	(void)state;
	life_append(s, 0, 20);
	life_close(s);
	spooldir_make(&twin);
	spooldir_copy(&from, &twin);
	s = life_open(&from, NULL);
	life_settle(s, 3, 3);
	export(s, "one");
	life_close(s);
	s = life_open(&twin, NULL);
	life_settle(s, 17, 17);
	export(s, "other");
	life_close(s);
	s = life_begin(&to);
	expect(s, "one", false, "19, 0, 0, 0");
	expect(s, "other", false,
	       "1, 18, 0, 1"); /* the third: it was gone from that one, where it may have been sent */
	expect(s, "other", false, "INPUT: import of other: all 19" KNOWN);
	life_end(&to, s);
	spooldir_remove(&from);
	spooldir_remove(&twin);
}

/* Of one copy it is forgotten that it was taken in: whatever comes now may be it. */
static void after_a_lost_note_all_is_counted(void **state)
{
	static const char *const harms[] = {"UPDATE imports SET messages = 99 WHERE messages = 20",
	                                    "DELETE FROM imports WHERE messages = 20"};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct spooldir from, to;
		struct store *s = life_begin(&from);

		life_append(s, 0, 20);
		(void)unlink(copy_at("first"));
		(void)unlink(copy_at("later"));
		export(s, "first");
		life_append(s, 20, 5);
		export(s, "later");
		life_end(&from, s);
		s = life_begin(&to);
		expect(s, "first", false, "20, 0, 0, 0");
		life_close(s);
		full_change(to.path, harms[i]);
		s = life_open(&to, NULL);
		expect(s, "later", false, "5, 20, 0, 5");
		store_abandon(s);
		spooldir_remove(&to);
	}
}

/* A spool that was put back to an earlier time: of a later copy of it comes what it does not have, and only that. */
static void a_copy_of_this_spool_of_a_later_time(void **state)
{
	struct spooldir d, early;
	struct store *s = life_begin(&d);

	(void)state;
	life_append(s, 0, 20);
	full_group(s, &(struct store_settlement){.id = 7, .kind = SETTLE_DEAD, .attempts = 1, .code = "X"});
	life_close(s);
	spooldir_make(&early);
	spooldir_copy(&d, &early);
	s = life_open(&d, NULL);
	life_append(s, 20, 5);
	export(s, "later");
	life_end(&d, s);
	s = life_open(&early, NULL);
	expect(s, "later", false, "5, 20, 0, 0");
	assert_int_equal(life_waiting(s, 0), 24);
	assert_int_equal(store_ledger(s)->dead, 1);
	life_end(&early, s);
}

/* Messages too large for a block are looked for in another table: nothing stays open there either. */
static void a_copy_of_large_messages(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;

	(void)state;
	for (uint64_t n = 1; n <= 2; n++) {
		struct message *m = spooldir_message(n, 1200000);

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 2);
	export(s, "own");
	expect(s, "own", false,
	       "INPUT: " OWN_STILL "2 messages still; with --again they are taken in once more, and sent twice");
	full_change(copy_at("own"), "DELETE FROM ledger");
	expect(s, "own", false,
	       "INPUT: " OWN_STILL "2 messages still; with --again they are taken in once more, and sent twice");
	full_change(copy_at("own"), "UPDATE messages SET checksum = (checksum << 32) >> 32");
	expect(s, "own", false, "INPUT: import of own: none of its 2 messages is what was written");
	life_end(&d, s);
}

/* The same messages wait; but ids were given out between, and so it is another copy. */
static void a_copy_is_of_one_moment(void **state)
{
	struct spooldir from, to;
	struct message *m = spooldir_message(99, 10);
	struct store *s = life_begin(&from);
	struct error e;

	(void)state;
	life_append(s, 0, 20);
	export(s, "first");
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_append(s, m, &e), ERR_OK);
	message_free(m);
	store_rollback(s);
	full_group(s, NULL);
	export(s, "second");
	life_end(&from, s);
	s = life_begin(&to);
	expect(s, "first", false, "20, 0, 0, 0");
	expect(s, "first", false, "INPUT: import of first: all 20" KNOWN);
	expect(s, "second", false, "INPUT: import of second: all 20" KNOWN_BY_ROWS);
	life_end(&to, s);
}

/* No memory for a call: told, and nothing came in; of a copy of this very spool too, which looks at each message here.
 */
static void an_import_without_memory(void **state)
{
	struct spooldir from, to;
	struct store *s = full_open(&from);

	(void)state;
	export(s, "own");
	life_settle(s, 1, 1);
	for (int is_own = 1; is_own >= 0; is_own--) {
		struct store *into = is_own ? s : life_begin(&to);
		struct error e;
		uint64_t n = 1, rows = 0;

		for (bool failed = true; failed; n++) {
			enum err err;

			faultsql_arm(n, SQLITE_NOMEM, false);
			err = store_import(into, copy_at("own"), false, &rows, &e);
			failed = faultsql_failed();
			faultsql_arm(0, 0, false);
			if (!failed)
				assert_int_equal(err, is_own ? ERR_INPUT : ERR_OK);
			else if (err != ERR_MEMORY && strcmp(faultsql_what(), "ROLLBACK") != 0)
				fail_msg("call %u (%s): error %d: %s", (unsigned)n, faultsql_what(), (int)err, e.text);
			assert_false(store_in_group(into));
			assert_int_equal(store_ledger(into)->accepted, is_own ? 35 : failed ? 0 : 34);
		}
		assert_true(n > 30);
		if (!is_own)
			life_end(&to, into);
	}
	life_end(&from, s);
}

/* A row beside the messages with another spool's checksum is none of this copy's. */
static void rows_of_another_spool_are_none_of_a_copy(void **state)
{
	static const uint64_t lead[] = {1, 5};
	const struct stored_value key = {.type = VALUE_TEXT, .bytes = (const unsigned char *)"k", .count = 1};
	struct spooldir from, copy;
	struct store *s = full_open(&from);
	char text[FULL_TEXT];
	struct error e;

	(void)state;
	spooldir_make(&copy);
	assert_int_equal(store_export(s, copy.path, &e), ERR_OK);
	for (uint32_t other = 0; other < 2; other++) {
		const uint32_t tag = s->tag + other;
		AUTOFREE char *sql = mem_format(
		    "INSERT OR REPLACE INTO positions VALUES ('k', 'k', %lld); DELETE FROM clock;"
		    "INSERT INTO clock (first_id, lead_ms, checksum) VALUES (1, 5, %lld)",
		    (long long)side_position_sum(&key, &key, tag), (long long)sum_numbers(tag, SUM_OF_LEAD, lead, 2));

		full_change(copy.path, sql);
		assert_int_equal(full_check(&copy, true, text), 2 * other);
		assert_int_equal(strstr(text, "problem: clock: 1 rows have a wrong checksum\n") != NULL, other);
		assert_int_equal(strstr(text, "problem: positions: 1 rows are not what was written") != NULL, other);
	}
	spooldir_remove(&copy);
	life_end(&from, s);
}

/* Nothing to take in is no error, and leaves no note. */
static void a_copy_without_messages(void **state)
{
	struct spooldir from, to;
	struct store *s = life_begin(&from);

	(void)state;
	export(s, "empty");
	life_end(&from, s);
	s = life_begin(&to);
	expect(s, "empty", false, "0, 0, 0, 0");
	expect(s, "empty", false, "0, 0, 0, 0");
	assert_int_equal(life_number(s, "SELECT count(*) FROM imports"), 0);
	life_end(&to, s);
}

/* More than one row of notes holds. */
static void a_large_copy_is_known_message_by_message(void **state)
{
	struct spooldir from, to;
	struct store *s = life_begin(&from);

	(void)state;
	life_append(s, 0, 10000);
	export(s, "first");
	life_settle(s, 1, 1);
	life_append(s, 10000, 10);
	export(s, "later");
	life_end(&from, s);
	s = life_begin(&to);
	expect(s, "first", false, "10000, 0, 0, 0");
	assert_true(life_number(s, "SELECT count(*) FROM imports") > 2);
	expect(s, "later", false, "10, 9999, 0, 0");
	life_end(&to, s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(copies_of_one_spool, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_no_copy_is_refused, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_damaged_in_a_copy_is_left_out, begin, end),
	    cmocka_unit_test_setup_teardown(a_copy_of_this_very_spool, begin, end),
	    cmocka_unit_test(this_very_spool_is_no_copy),
	    cmocka_unit_test_setup_teardown(what_failed_there_has_failed, begin, end),
	    cmocka_unit_test_setup_teardown(what_an_older_kspool_took_in_is_a_span, begin, end),
	    cmocka_unit_test_setup_teardown(copies_are_told_by_their_messages, begin, end),
	    cmocka_unit_test_setup_teardown(after_a_lost_note_all_is_counted, begin, end),
	    cmocka_unit_test_setup_teardown(a_copy_of_this_spool_of_a_later_time, begin, end),
	    cmocka_unit_test_setup_teardown(a_copy_of_large_messages, begin, end),
	    cmocka_unit_test_setup_teardown(a_copy_is_of_one_moment, begin, end),
	    cmocka_unit_test_setup_teardown(an_import_without_memory, begin, end),
	    cmocka_unit_test(rows_of_another_spool_are_none_of_a_copy),
	    cmocka_unit_test_setup_teardown(a_copy_without_messages, begin, end),
	    cmocka_unit_test_setup_teardown(a_large_copy_is_known_message_by_message, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
