/*
 * The ledger's row may be behind by blocks: whatever ends the process meanwhile, a start, a check, a copy and a salvage
 * count what they hold, and what else a commit changes brings the row up to date with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rig/spooldir.h"
#include "store/store_internal.h"

static struct error local;
static struct error *const e = &local;

static void ok(enum err err)
{
	if (err != ERR_OK)
		fail_msg("%s", local.text);
}

static struct store *open_it(const struct spooldir *d, struct store_report *report)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;

	ok(store_open(&o, &s, report, e));
	return s;
}

static int64_t number(struct store *s, const char *sql)
{
	int64_t n = 0;

	ok(sql_number(s->db, sql, &n, e));
	return n;
}

static void append_open(struct store *s, uint32_t count, uint32_t bytes)
{
	for (uint32_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(store_next_id(s) + i, bytes);

		ok(store_append(s, m, e));
		message_free(m);
	}
}

static void append(struct store *s, uint32_t count, uint32_t bytes)
{
	ok(store_begin(s, e));
	append_open(s, count, bytes);
	ok(store_commit(s, e));
}

static void append_waiting(struct store *s, uint32_t count, uint32_t bytes)
{
	ok(store_begin(s, e));
	store_let_ledger_wait(s);
	append_open(s, count, bytes);
	ok(store_commit(s, e));
}

static void settle_waiting(struct store *s, uint64_t id, enum settle_kind kind)
{
	const struct store_settlement item = {.id = id, .kind = kind, .code = "x", .attempts = 1, .wait_ms = 50};

	ok(store_begin(s, e));
	store_let_ledger_wait(s);
	ok(store_settle(s, &item, 1, e));
	ok(store_commit(s, e));
}

static void assert_row(struct store *s, int64_t accepted, int64_t next_id)
{
	assert_int_equal(number(s, "SELECT accepted FROM ledger"), accepted);
	assert_int_equal(number(s, "SELECT next_id FROM ledger"), next_id);
}

static void assert_sound(const struct spooldir *d, const char *ledger)
{
	struct buf out;
	uint64_t problems = 0;

	buf_init(&out, 1 << 16);
	ok(store_check(d->path, &out, &problems, e));
	ok(buf_add_char(&out, '\0'));
	if (problems != 0 || !strstr((const char *)out.data, ledger))
		fail_msg("%s", (const char *)out.data);
	buf_fini(&out);
}

static void blocks_alone_leave_the_row_behind(void **state)
{
	struct store_report report;
	struct spooldir d;
	struct store *s;
	uint64_t bytes;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 3, 100);
	assert_row(s, 3, 4);
	append_waiting(s, 1, 100);
	append_waiting(s, 2, 50);
	assert_row(s, 3, 4);
	assert_int_equal(store_ledger(s)->accepted, 6);
	bytes = store_pending_bytes(s);
	store_abandon(s); /* a kill */
	assert_sound(&d, "accepted 6 = delivered 0 + pending 6 ");
	s = open_it(&d, &report);
	assert_string_equal(report.warning, "");
	assert_int_equal(store_ledger(s)->accepted, 6);
	assert_int_equal(store_ledger(s)->pending, 6);
	assert_int_equal(store_pending_bytes(s), bytes);
	assert_int_equal(store_next_id(s), 7);
	ok(store_close(s, e)); /* a clean end brings the row up to date */
	s = open_it(&d, NULL);
	assert_row(s, 6, 7);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* Whatever else a group does, its commit writes the row, with all that it was behind. */
static void anything_else_writes_the_row(void **state)
{
	static const enum settle_kind kinds[] = {SETTLE_DELIVERED, SETTLE_DEAD, SETTLE_RETRY, SETTLE_EXPIRED};

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		s = open_it(&d, NULL);
		append(s, 4, 100);
		append_waiting(s, 4, 100);
		assert_row(s, 4, 5);
		if (i < 4) {
			settle_waiting(s, 6, kinds[i]);
		} else {
			ok(store_begin(s, e));
			if (i != 4)
				store_let_ledger_wait(s);
			if (i == 5)
				store_count_filtered(s, 1);
			if (i == 6)
				append_open(s, 1, BLOCK_BYTES + 1); /* stands alone: no block says that it is there */
			if (i == 7)
				store_note_flight(s, 3, 0);
			append_open(s, 1, 100);
			ok(store_commit(s, e));
		}
		assert_row(s, (int64_t)store_ledger(s)->accepted, (int64_t)store_next_id(s));
		store_abandon(s);
		s = open_it(&d, NULL);
		assert_row(s, (int64_t)store_ledger(s)->accepted, (int64_t)store_next_id(s));
		ok(store_close(s, e));
		assert_sound(&d, "ledger: ");
		spooldir_remove(&d);
	}
}

/* However long nothing else happens. */
static void the_row_is_never_far_behind(void **state)
{
	struct spooldir d;
	struct store *s;
	int64_t most = 0;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	for (uint64_t i = 1; i <= 200; i++) {
		int64_t behind;

		append_waiting(s, 1, 10);
		behind = (int64_t)i - number(s, "SELECT accepted FROM ledger");
		most = behind > most ? behind : most;
	}
	assert_in_range(most, 16, 32);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* More was handed out than the row says: a power cut would count too few. */
static void what_delivery_may_have_is_in_the_row(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	for (uint64_t handed = 1; handed < 100000; handed += 1 + handed / 16) {
		ok(store_begin(s, e));
		store_let_ledger_wait(s);
		store_note_flight(s, 0, handed);
		append_open(s, 1, 10);
		ok(store_commit(s, e));
		assert_true((uint64_t)number(s, "SELECT handed FROM ledger") >= handed);
		assert_true((uint64_t)number(s, "SELECT handed FROM ledger") <= handed + handed / 8);
	}
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* Ids that a group took and gave up leave a gap, which is nobody's message. */
/* A start writes the row anew: what the last run may have handed out stays in it until it was counted. */
static void a_start_keeps_what_was_handed_out(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	store_note_flight(s, 0, 900);
	append(s, 10, 100);
	append_waiting(s, 5, 100);
	store_abandon(s);
	for (int starts = 0; starts < 3; starts++) { /* killed before it counted */
		s = open_it(&d, NULL);
		assert_in_range(store_handed(s), 900, 900 + 900 / 8);
		store_abandon(s);
	}
	s = open_it(&d, NULL);
	store_note_flight(s, 0, 3);
	append(s, 1, 100);
	assert_int_equal(store_handed(s), 3);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static void gaps_are_not_counted(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append_waiting(s, 2, 100);
	ok(store_begin(s, e));
	append_open(s, 5, 100);
	store_rollback(s);
	append_waiting(s, 2, 100);
	append_waiting(s, 1, 100);
	assert_int_equal(store_next_id(s), 11);
	store_abandon(s);
	assert_sound(&d, "accepted 5 = delivered 0 + pending 5 ");
	s = open_it(&d, NULL);
	assert_int_equal(store_ledger(s)->accepted, 5);
	assert_int_equal(store_next_id(s), 11);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* Nor does the tide mark tell of them: what was refused was nobody's, and is not gone. */
static void refused_ids_are_not_missed(void **state)
{
	(void)state;
	for (int ends_well = 0; ends_well < 2; ends_well++) {
		for (int waits = 0; waits < 2; waits++) {
			struct store_report report;
			struct spooldir d;
			struct store *s;

			spooldir_make(&d);
			s = open_it(&d, NULL);
			append_waiting(s, 2, 100);
			append_waiting(s, 2, 100);
			for (int i = 0; i < 3; i++) {
				ok(store_begin(s, e));
				append_open(s, 50, 100);
				store_rollback(s); /* a full disk */
				ok(store_begin(s, e));
				if (waits)
					store_let_ledger_wait(s);
				ok(store_commit(s, e)); /* an offer that was refused at once */
			}
			if (ends_well)
				ok(store_close(s, e));
			else
				store_abandon(s);
			assert_sound(&d, "accepted 4 = delivered 0 + pending 4 ");
			s = open_it(&d, &report);
			assert_int_equal(report.missing_rows, 0);
			assert_int_equal(store_ledger(s)->damaged, 0);
			ok(store_close(s, e));
			spooldir_remove(&d);
		}
	}
}

static void a_file_set_aside_was_behind(void **state)
{
	struct store_report report;
	struct spooldir d;
	struct store *s;
	uint64_t first, last;
	bool more = true;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 3, 100);
	append_waiting(s, 2, 100);
	append_waiting(s, 2, 100);
	assert_row(s, 3, 4);
	ok(store_restart_damaged(s, &report, e));
	while (more)
		ok(store_salvage(s, 1024, &first, &last, &more, e));
	assert_int_equal(store_ledger(s)->accepted, 7);
	assert_int_equal(store_ledger(s)->pending, 7);
	assert_int_equal(store_ledger(s)->damaged, 0);
	ok(store_close(s, e));
	assert_sound(&d, "accepted 7 = delivered 0 + pending 7 ");
	spooldir_remove(&d);
}

/* The same, by a start that knows only what the files say. */
static void a_damaged_file_was_behind(void **state)
{
	struct spooldir d;
	struct store *s;
	uint64_t first, last;
	bool more = true;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 3, 100);
	append_waiting(s, 2, 100);
	append_waiting(s, 2, 100);
	ok(store_checkpoint(s, true, e));
	store_abandon(s);
	{
		size_t count;
		unsigned char *bytes = spooldir_load(d.path, &count);

		memset(bytes, 0x5a, 100); /* the head of the file */
		spooldir_store(d.path, bytes, count);
		free(bytes);
	}
	s = open_it(&d, NULL);
	while (more)
		ok(store_salvage(s, 1024, &first, &last, &more, e));
	assert_int_equal(store_ledger(s)->accepted, 7);
	assert_int_equal(store_ledger(s)->pending, 7);
	assert_int_equal(store_ledger(s)->damaged, 0);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static void a_copy_is_known_whichever_row_it_has(void **state)
{
	struct spooldir d, other;
	char first[400], second[400];
	struct store *s;
	uint64_t rows;

	(void)state;
	spooldir_make(&d);
	spooldir_make(&other);
	(void)snprintf(first, sizeof first, "%s/first.db", d.dir);
	(void)snprintf(second, sizeof second, "%s/second.db", d.dir);
	s = open_it(&d, NULL);
	append(s, 3, 100);
	append_waiting(s, 2, 100);
	ok(store_export(s, first, e));
	ok(store_put_ledger(s, e));
	assert_row(s, 5, 6);
	ok(store_export(s, second, e));
	ok(store_close(s, e));
	s = open_it(&other, NULL);
	ok(store_import(s, first, false, &rows, e));
	assert_int_equal(rows, 5);
	assert_int_equal(store_import(s, second, false, &rows, e), ERR_INPUT);
	ok(store_close(s, e));
	spooldir_remove(&d);
	spooldir_remove(&other);
}

/* A count that is not what was written must not become a number of messages. */
static void a_block_that_lies_is_bounded(void **state)
{
	static const char *const lies[] = {
	    "UPDATE blocks SET count = 1000000000000 WHERE id = 4", "UPDATE blocks SET count = -5 WHERE id = 4",
	    "UPDATE blocks SET bytes = -1 WHERE id = 4", "UPDATE blocks SET bytes = 1000000000000 WHERE id = 4"};

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		s = open_it(&d, NULL);
		append(s, 3, 100);
		append_waiting(s, 2, 100);
		assert_int_equal(sqlite3_exec(s->db, lies[i], NULL, NULL, NULL), SQLITE_OK);
		store_abandon(s);
		s = open_it(&d, NULL);
		assert_in_range(store_ledger(s)->accepted, 3, 3 + BLOCK_MESSAGES);
		ok(store_close(s, e));
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(blocks_alone_leave_the_row_behind), cmocka_unit_test(anything_else_writes_the_row),
	    cmocka_unit_test(the_row_is_never_far_behind),       cmocka_unit_test(what_delivery_may_have_is_in_the_row),
	    cmocka_unit_test(a_start_keeps_what_was_handed_out), cmocka_unit_test(gaps_are_not_counted),
	    cmocka_unit_test(refused_ids_are_not_missed),        cmocka_unit_test(a_file_set_aside_was_behind),
	    cmocka_unit_test(a_damaged_file_was_behind),         cmocka_unit_test(a_copy_is_known_whichever_row_it_has),
	    cmocka_unit_test(a_block_that_lies_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
