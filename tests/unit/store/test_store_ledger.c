/* The ledger: every end has its own count, it balances after each, and what is lost is counted and reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>

#include "rig/spooldir.h"
#include "store/store_internal.h"

static void append(struct store *s, uint32_t count)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint32_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(i, 100);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static struct store *open_it(const struct spooldir *d, struct store_report *report)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;

	if (store_open(&o, &s, report, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return s;
}

static uint64_t sum_of(const struct store_ledger *l)
{
	uint64_t sum = 0;

#define LEDGER_STATE(id, column, meaning) sum += l->column;
#include "base/ledger.def"
	return sum;
}

static const struct end {
	enum settle_kind kind;
	size_t offset;
	const char *word;
} ends[] = {
#define LEDGER_END(id, column, meaning) {SETTLE_##id, offsetof(struct store_ledger, column), #column},
#include "base/ledger.def"
};

/* One, then a run of three: only the count of that end grows, by as many as pending loses; a restart changes nothing.
 */
static void every_end_has_its_own_count(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct store_settlement gone[4] = {{.id = 2}, {.id = 5}, {.id = 6}, {.id = 7}};
		struct spooldir d;
		struct store *s;
		struct error e;
		uint64_t bytes;

		spooldir_make(&d);
		s = open_it(&d, NULL);
		append(s, 10);
		bytes = store_pending_bytes(s) / 10;
		for (int n = 0; n < 4; n++) {
			gone[n].kind = ends[i].kind;
			gone[n].code = "x";
		}
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_settle(s, gone, 4, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		for (int restarted = 0; restarted < 2; restarted++) {
			const struct store_ledger *l = store_ledger(s);
			struct store_ledger want = {.accepted = 10, .pending = 6};

			*(uint64_t *)(void *)((char *)&want + ends[i].offset) = 4;
			if (memcmp(l, &want, sizeof want) != 0)
				fail_msg("%s is not what grew", ends[i].word);
			assert_int_equal(store_pending_bytes(s), 6 * bytes);
			assert_int_equal(sum_of(l), 10);
			assert_int_equal(store_close(s, &e), ERR_OK);
			s = open_it(&d, NULL);
		}
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

/* With another connection, which leaves the log where it is. */
static void run_sql(const struct spooldir *d, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_row_that_is_gone_after_an_unclean_end_is_damaged(void **state)
{
	struct store_report report;
	struct spooldir d;
	struct store *s;
	struct error e;
	uint64_t bytes;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 10);
	bytes = store_pending_bytes(s) / 10;
	store_abandon(s);
	spooldir_lose(d.path, 4);
	s = open_it(&d, &report);
	assert_true(report.unclean);
	assert_int_equal(report.missing_rows, 1);
	assert_int_equal(store_ledger(s)->pending, 9);
	assert_int_equal(store_ledger(s)->damaged, 1);
	assert_int_equal(store_ledger(s)->accepted, 10);
	assert_int_equal(store_pending_bytes(s), 9 * bytes);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* Its length is as wrong as its bytes: what waits is measured anew. */
static void a_damaged_row_does_not_bend_the_bytes_that_wait(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct spooldir d;
	struct store *s;
	struct error e;
	uint64_t bytes, last;
	uint32_t count;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 10);
	bytes = store_pending_bytes(s) / 10;
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_damage(d.path, 4);
	run_sql(&d, "PRAGMA wal_checkpoint(TRUNCATE)");
	s = open_it(&d, NULL);
	assert_int_equal(store_read(s, 0, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	message_list_free(&list);
	assert_int_equal(count, 9);
	assert_int_equal(store_ledger(s)->damaged, 1);
	assert_int_equal(store_pending_bytes(s), 9 * bytes);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

static void what_the_tide_mark_proves_lost_is_reported(void **state)
{
	struct store_report report;
	struct spooldir before, d;
	unsigned char *tide;
	struct store *s;
	struct error e;
	size_t count;

	(void)state;
	spooldir_make(&before);
	spooldir_make(&d);
	s = open_it(&before, NULL);
	append(s, 10);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_copy(&before, &d);
	s = open_it(&before, NULL);
	append(s, 7);
	assert_int_equal(store_close(s, &e), ERR_OK);
	tide = spooldir_load(spooldir_file(&before, ".tide"), &count);
	spooldir_store(spooldir_file(&d, ".tide"), tide, count); /* of the younger file beside the older one */
	free(tide);
	s = open_it(&d, &report);
	assert_int_equal(report.missing_rows, 7);
	assert_int_equal(store_ledger(s)->damaged, 7);
	assert_int_equal(store_ledger(s)->accepted, 17);
	assert_int_equal(store_next_id(s), 18);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&before);
	spooldir_remove(&d);
}

/* Of the ledger's arithmetic: accepted, then the states in the order of ledger.def. */
struct counts {
	uint64_t accepted, delivered, pending, dead, expired, evicted, damaged, filtered, purged;
};

static struct totals totals_of(struct counts c, uint64_t commits)
{
	return (struct totals){.ledger = {.accepted = c.accepted,
	                                  .delivered = c.delivered,
	                                  .pending = c.pending,
	                                  .dead = c.dead,
	                                  .expired = c.expired,
	                                  .evicted = c.evicted,
	                                  .damaged = c.damaged,
	                                  .filtered = c.filtered,
	                                  .purged = c.purged},
	                       .commits = commits,
	                       .next_id = 50};
}

static struct tide tide_of(struct counts c, uint64_t commits)
{
	return (struct tide){.is_valid = true,
	                     .id = 70,
	                     .commits = commits,
	                     .count = 9,
	                     .counts = {c.accepted, c.delivered, c.pending, c.dead, c.expired, c.evicted, c.damaged,
	                                c.filtered, c.purged}};
}

/* What the tide mark counted after the row was written: what is gone is damaged, what may be sent again is counted. */
static void what_the_tide_mark_saw_later_is_followed(void **state)
{
	static const struct counts row = {.accepted = 10, .delivered = 6, .pending = 3, .dead = 1};
	static const struct {
		struct counts tide, then;
		uint64_t lost, possible;
	} cases[] = {
	    {{10, 6, 3, 1, 0, 0, 0, 0, 0}, {10, 6, 3, 1, 0, 0, 0, 0, 0}, 0, 0},
	    {{15, 6, 8, 1, 0, 0, 0, 0, 0}, {15, 6, 3, 1, 0, 0, 5, 0, 0}, 5, 0},  /* none of them ended */
	    {{10, 9, 0, 1, 0, 0, 0, 0, 0}, {10, 6, 3, 1, 0, 0, 0, 0, 0}, 0, 3},  /* these ended, and are here still */
	    {{15, 12, 2, 1, 0, 0, 0, 0, 0}, {15, 8, 3, 1, 0, 0, 3, 0, 0}, 3, 4}, /* two of the ends must be theirs */
	    {{12, 14, 0, 0, 0, 0, 0, 0, 0}, {12, 8, 3, 1, 0, 0, 0, 0, 0}, 0, 4}, /* all of them ended */
	    {{20, 8, 7, 0, 5, 0, 0, 0, 0}, {20, 8, 3, 1, 1, 0, 7, 0, 0}, 7, 4},  /* of two kinds */
	    {{20, 6, 8, 1, 0, 0, 2, 1, 2}, {20, 6, 3, 1, 0, 0, 10, 0, 0}, 9, 4}, /* one end more than waits */
	    {{20, 5, 15, 0, 0, 0, 0, 0, 0}, {20, 6, 3, 1, 0, 0, 10, 0, 0}, 10, 0},
	    {{9, 5, 4, 0, 0, 0, 0, 0, 0}, {10, 6, 3, 1, 0, 0, 0, 0, 0}, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct totals t = totals_of(row, 7), want = totals_of(cases[i].then, 7);
		const struct tide tide = tide_of(cases[i].tide, i % 2 ? 5 : 9);

		assert_int_equal(store_ledger_follow(&t, &tide), cases[i].lost);
		assert_int_equal(t.possible, cases[i].possible);
		assert_int_equal(t.commits, i % 2 ? 7 : 9);
		assert_true(store_ledger_balances(&t));
		if (memcmp(&t.ledger, &want.ledger, sizeof t.ledger) != 0)
			fail_msg("case %u: delivered %u expired %u damaged %u", (unsigned)i,
			         (unsigned)t.ledger.delivered, (unsigned)t.ledger.expired, (unsigned)t.ledger.damaged);
	}
}

static void the_later_of_two_states(void **state)
{
	const struct counts c = {.accepted = 10, .delivered = 6, .pending = 4};
	const struct counts more = {.accepted = 11, .delivered = 6, .pending = 5};
	const struct counts ended = {.accepted = 10, .delivered = 7, .pending = 3};
	struct totals a = totals_of(c, 7), b;
	struct tide tide;

	(void)state;
	assert_false(store_ledger_is_later(&a, &a));
	b = totals_of(c, 8);
	b.next_id = 40; /* commits decide, then ids, then what was accepted, then what ended */
	assert_true(store_ledger_is_later(&b, &a) && !store_ledger_is_later(&a, &b));
	b = totals_of(c, 7);
	b.next_id = 51;
	a = totals_of(more, 7);
	assert_true(store_ledger_is_later(&b, &a) && !store_ledger_is_later(&a, &b));
	b = totals_of(ended, 7);
	assert_true(store_ledger_is_later(&a, &b) && !store_ledger_is_later(&b, &a));
	a = totals_of(c, 7);
	assert_true(store_ledger_is_later(&b, &a) && !store_ledger_is_later(&a, &b));
	tide = tide_of(c, 7);
	assert_false(store_tide_is_ahead(&tide, &a));
	tide = tide_of(c, 8);
	assert_true(store_tide_is_ahead(&tide, &a));
	tide.count = 0;
	assert_false(store_tide_is_ahead(&tide, &a));
	tide = tide_of(more, 7);
	assert_true(store_tide_is_ahead(&tide, &a));
	tide = tide_of(more, 6);
	assert_false(store_tide_is_ahead(&tide, &a));
	store_ledger_of_tide(&a, &tide);
	assert_int_equal(a.ledger.accepted, 11);
	assert_int_equal(a.ledger.pending, 5);
	assert_int_equal(a.next_id, 71);
	assert_int_equal(a.commits, 6);
}

/* More than were counted leave: they were accepted, too. */
static void no_count_goes_below_nothing(void **state)
{
	static struct store s;

	(void)state;
	s.now = totals_of((struct counts){.accepted = 10, .delivered = 7, .pending = 3}, 1);
	store_count_out(&s, &s.now.ledger.pending, 2);
	assert_int_equal(s.now.ledger.pending, 1);
	assert_int_equal(s.now.ledger.accepted, 10);
	store_count_out(&s, &s.now.ledger.pending, 1);
	assert_int_equal(s.now.ledger.pending, 0);
	assert_int_equal(s.now.ledger.accepted, 10);
	store_count_out(&s, &s.now.ledger.pending, 5);
	assert_int_equal(s.now.ledger.pending, 0);
	assert_int_equal(s.now.ledger.accepted, 15);
	s.now = totals_of((struct counts){.accepted = 10, .delivered = 5, .pending = 3, .dead = 1, .damaged = 1}, 1);
	s.now.pending_bytes = s.now.retrying = 9;
	assert_int_equal(store_ledger_succeed(&s.now), 4);
	assert_int_equal(s.now.ledger.damaged, 5);
	assert_int_equal(s.now.ledger.pending + s.now.ledger.dead + s.now.pending_bytes + s.now.retrying, 0);
	assert_true(store_ledger_balances(&s.now));
}

static const char *const every_column[] = {
#define LEDGER_PLACE(column) #column,
#define LEDGER_SUM(id, column, meaning) #column,
#define LEDGER_STATE(id, column, meaning) #column,
#include "base/ledger.def"
    "checksum",
};
enum { EVERY = sizeof every_column / sizeof *every_column };

static bool parse(struct store *s, struct totals *t)
{
	sqlite3_stmt *st = store_statement(s, ST_LEDGER_GET);
	bool sound;

	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	sound = store_ledger_parse(st, t);
	(void)sqlite3_reset(st);
	return sound;
}

/* Each column is under the checksum, and has its own place. */
static void a_row_is_what_was_written_or_none(void **state)
{
	struct spooldir d;
	struct store *s;
	struct totals t;
	struct error e;
	char sql[200];

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 10);
	assert_true(parse(s, &t));
	assert_int_equal(t.ledger.pending, 10);
	for (int i = 0; i < EVERY; i++)
		for (int by = -1; by <= 1; by += 2) {
			(void)snprintf(sql, sizeof sql, "UPDATE ledger SET %s = %s + %d", every_column[i],
			               every_column[i], by);
			assert_int_equal(sqlite3_exec(s->db, sql, NULL, NULL, NULL), SQLITE_OK);
			if (parse(s, &t))
				fail_msg("%s may be wrong", every_column[i]);
			(void)snprintf(sql, sizeof sql, "UPDATE ledger SET %s = %s - %d", every_column[i],
			               every_column[i], by);
			assert_int_equal(sqlite3_exec(s->db, sql, NULL, NULL, NULL), SQLITE_OK);
			assert_true(parse(s, &t));
		}
	s->now.told = 1; /* the last column */
	assert_int_equal(store_begin(s, &e), ERR_OK);
	s->now.told = 1;
	s->now.ledger.accepted++; /* and one that does not balance, though it is what was written */
	assert_int_equal(store_ledger_put(s, &e), ERR_OK);
	assert_false(parse(s, &t));
	assert_int_equal(t.told, 1);
	s->now.ledger.delivered++;
	assert_int_equal(store_ledger_put(s, &e), ERR_OK);
	assert_true(parse(s, &t));
	assert_int_equal(t.ledger.delivered, 1);
	store_rollback(s);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* As a page has it: one, eleven columns, the checksum, those that came later. */
static void a_record_of_the_ledger(void **state)
{
	struct stored_record r = {.rowid = 1};
	struct spooldir d;
	struct store *s;
	struct totals t, of_record;
	struct error e;
	sqlite3_stmt *st;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 10);
	st = store_statement(s, ST_LEDGER_GET);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	r.count = sqlite3_column_count(st);
	assert_int_equal(r.count, EVERY + 1);
	for (int i = 0; i < r.count; i++)
		r.values[i] =
		    (struct stored_value){.type = i ? VALUE_INT : VALUE_NULL, .number = sqlite3_column_int64(st, i)};
	assert_true(store_ledger_parse(st, &t));
	(void)sqlite3_reset(st);
	assert_true(store_ledger_of_record(&r, &of_record));
	assert_memory_equal(&t, &of_record, sizeof t);
	for (int i = 0; i < r.count; i++) {
		struct stored_record harmed = r;

		harmed.values[i].number++;
		assert_int_equal(store_ledger_of_record(&harmed, &of_record), i == 0);
		harmed.values[i].number--;
		harmed.values[i].type = i ? VALUE_NULL : VALUE_INT;
		assert_int_equal(store_ledger_of_record(&harmed, &of_record), i == 12); /* the checksum itself */
	}
	for (int kind = 0; kind < 4; kind++) {
		struct stored_record harmed = r;

		harmed.is_index = kind == 0;
		harmed.rowid += kind == 1;
		harmed.count = kind == 2 ? 12 : kind == 3 ? r.count + 1 : r.count;
		assert_false(store_ledger_of_record(&harmed, &of_record));
	}
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_end_has_its_own_count),
	    cmocka_unit_test(a_row_that_is_gone_after_an_unclean_end_is_damaged),
	    cmocka_unit_test(a_damaged_row_does_not_bend_the_bytes_that_wait),
	    cmocka_unit_test(what_the_tide_mark_proves_lost_is_reported),
	    cmocka_unit_test(what_the_tide_mark_saw_later_is_followed),
	    cmocka_unit_test(the_later_of_two_states),
	    cmocka_unit_test(no_count_goes_below_nothing),
	    cmocka_unit_test(a_row_is_what_was_written_or_none),
	    cmocka_unit_test(a_record_of_the_ledger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
