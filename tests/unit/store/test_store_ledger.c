/* The ledger: every end has its own count, it balances after each, and what is lost is counted and reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sqlite3.h>

#include "rig/spooldir.h"
#include "store/store_internal.h"

static void append_in_group(struct store *s, uint32_t count)
{
	struct error e;

	for (uint32_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(i % 10, 100);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
}

static void append(struct store *s, uint32_t count)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	append_in_group(s, count);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void settle_some(struct store *s, uint64_t first, uint64_t last, enum settle_kind kind)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id <= last; id++)
		assert_int_equal(
		    store_settle(s, &(struct store_settlement){.id = id, .kind = kind, .code = "x"}, 1, &e), ERR_OK);
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

/* What a run knew is counted on, though nothing of its files can be read any more. */
static void what_this_run_knew_is_not_forgotten(void **state)
{
	static const char *const suffixes[] = {"", "-wal"};

	(void)state;
	for (int tide_is_gone = 0; tide_is_gone < 2; tide_is_gone++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;
		struct error e;

		spooldir_make(&d);
		s = open_it(&d, NULL);
		append(s, 10);
		settle_some(s, 1, 4, SETTLE_DELIVERED);
		settle_some(s, 5, 6, SETTLE_DEAD);
		for (size_t i = 0; i < 2; i++) {
			size_t count;
			unsigned char *bytes = spooldir_load(spooldir_file(&d, suffixes[i]), &count);
			int fd = open(spooldir_file(&d, suffixes[i]), O_WRONLY | O_CLOEXEC);

			memset(bytes, 0xa5, count);
			assert_int_equal(pwrite(fd, bytes, count, 0), (ssize_t)count);
			(void)close(fd);
			free(bytes);
		}
		if (tide_is_gone)
			assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		assert_int_equal(store_restart_damaged(s, &report, &e), ERR_OK);
		assert_true(report.quarantined && report.unclean && !report.created);
		assert_int_equal(store_ledger(s)->accepted, 10);
		assert_int_equal(store_ledger(s)->delivered, 4);
		assert_int_equal(store_ledger(s)->damaged, 6);
		assert_int_equal(store_ledger(s)->pending + store_ledger(s)->dead, 0);
		assert_int_equal(store_pending_bytes(s), 0);
		assert_int_equal(store_next_id(s), 11);
		append(s, 3);
		assert_int_equal(store_next_id(s), 14);
		store_abandon(s);
		s = open_it(&d, &report);
		if (report.warning[0])
			fail_msg("%s", report.warning);
		assert_int_equal(store_ledger(s)->pending, 3);
		assert_int_equal(store_ledger(s)->damaged, 6);
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

/* Without a row: the tide mark's counts, or what the rows themselves say. */
static void a_ledger_is_counted_anew(void **state)
{
	static const struct {
		const char *harm;
		bool tide;
		uint64_t accepted, delivered, pending, dead, damaged, missing, next_id;
	} cases[] = {
	    {"DELETE FROM ledger", true, 10, 3, 5, 2, 0, 0, 11},
	    {"UPDATE ledger SET checksum = checksum + 1", true, 10, 3, 5, 2, 0, 0, 11},
	    {"UPDATE ledger SET delivered = delivered + 1", false, 10, 3, 5, 2, 0, 0, 11},
	    {"DELETE FROM ledger; DELETE FROM dead WHERE id = 4", true, 10, 3, 5, 1, 1, 1, 11},
	    {"DELETE FROM ledger; DELETE FROM dead WHERE id = 4", false, 10, 4, 5, 1, 0, 0, 11},
	    {"DELETE FROM ledger; DELETE FROM blocks; DELETE FROM partial", false, 5, 3, 0, 2, 0, 0, 6},
	    {"DELETE FROM ledger; INSERT INTO damaged (id, received_ms, checksum, meta, body,"
	     " found_ms) SELECT 8, received_ms, checksum, meta, body, 7 FROM dead WHERE id = 4",
	     false, 10, 2, 5, 2, 1, 0, 11},
	    {"DELETE FROM ledger; UPDATE dead SET id = 40 WHERE id = 5", true, 40, 32, 5, 2, 1, 1, 41},
	    {"UPDATE dead SET id = 10 WHERE id = 5", true, 10, 3, 5, 2, 0, 0, 11},
	    {"UPDATE dead SET id = 11 WHERE id = 5", true, 11, 3, 5, 2, 1, 1, 12},
	    /* nobody counted it, and the ledger had no id for it */
	    {"CREATE TEMP TABLE more AS SELECT * FROM dead WHERE id = 5; UPDATE more SET id = 11;"
	     "INSERT INTO dead SELECT * FROM more",
	     true, 11, 3, 5, 3, 0, 0, 12},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct store_report report;
		const struct store_ledger *l;
		struct spooldir d;
		struct store *s;
		struct error e;

		spooldir_make(&d);
		s = open_it(&d, NULL);
		append(s, 10);
		settle_some(s, 1, 3, SETTLE_DELIVERED);
		settle_some(s, 4, 5, SETTLE_DEAD);
		assert_int_equal(store_close(s, &e), ERR_OK);
		run_sql(&d, cases[i].harm);
		if (!cases[i].tide)
			assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		s = open_it(&d, &report);
		l = store_ledger(s);
		if (l->accepted != cases[i].accepted || l->delivered != cases[i].delivered ||
		    l->pending != cases[i].pending || l->dead != cases[i].dead || l->damaged != cases[i].damaged ||
		    report.missing_rows != cases[i].missing || store_next_id(s) != cases[i].next_id)
			fail_msg(
			    "case %u: accepted %u delivered %u pending %u dead %u damaged %u missing %u next %u: %s",
			    (unsigned)i, (unsigned)l->accepted, (unsigned)l->delivered, (unsigned)l->pending,
			    (unsigned)l->dead, (unsigned)l->damaged, (unsigned)report.missing_rows,
			    (unsigned)store_next_id(s), report.warning);
		assert_true((strstr(report.warning, "was counted anew") != NULL) == (i < 8));
		assert_true((strstr(report.warning, "the ledger's next id was behind the rows") != NULL) == (i >= 9));
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

/* A tide mark of an older kspool knows the last id alone; a new one is believed to the id. */
static void a_tide_mark_knows_the_last_id(void **state)
{
	static const struct {
		uint64_t id;
		uint32_t count; /* 0: of an older kspool */
		uint64_t missing, next_id;
	} cases[] = {{10, 9, 0, 11}, {9, 9, 0, 11}, {11, 9, 0, 12}, {12, 9, 0, 13},
	             {10, 0, 0, 11}, {9, 0, 0, 11}, {11, 0, 1, 12}, {15, 0, 5, 16}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;
		struct files f;
		struct tide tide;
		struct error e;

		spooldir_make(&d);
		s = open_it(&d, NULL);
		append(s, 10);
		assert_int_equal(store_close(s, &e), ERR_OK);
		assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
		assert_int_equal(files_tide_read(&f, &tide, &e), ERR_OK);
		assert_int_equal(tide.id, 10);
		tide.id = cases[i].id;
		tide.count = cases[i].count;
		tide.commits = cases[i].count ? tide.commits : 0;
		files_tide_open(&f);
		files_tide_write(&f, &tide);
		files_close(&f);
		s = open_it(&d, &report);
		if (store_next_id(s) != cases[i].next_id || report.missing_rows != cases[i].missing)
			fail_msg("case %u: next id %u, missing %u", (unsigned)i, (unsigned)store_next_id(s),
			         (unsigned)report.missing_rows);
		assert_int_equal(store_ledger(s)->damaged, cases[i].missing);
		assert_int_equal(store_ledger(s)->accepted, 10 + cases[i].missing);
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

/* The row and the blocks behind it are what the last commit counted. */
static void a_row_that_is_behind_catches_up(void **state)
{
	struct spooldir d;
	struct store *s;
	struct totals t;
	struct error e;
	bool behind = false;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 10);
	assert_true(parse(s, &t));
	assert_int_equal(store_ledger_catch_up(s->db, &t, &behind), SQLITE_OK);
	assert_false(behind);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_begin(s, &e), ERR_OK);
		store_let_ledger_wait(s);
		append_in_group(s, 7);
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	assert_true(parse(s, &t));
	assert_int_equal(t.ledger.accepted, 10);
	assert_int_equal(store_ledger_catch_up(s->db, &t, &behind), SQLITE_OK);
	assert_true(behind);
	assert_memory_equal(&t.ledger, store_ledger(s), sizeof t.ledger);
	assert_int_equal(t.pending_bytes, store_pending_bytes(s));
	assert_int_equal(t.next_id, 32);
	assert_int_equal(
	    sqlite3_exec(s->db,
	                 "UPDATE blocks SET bytes = 1048576 WHERE id = 11; UPDATE blocks SET bytes = 1048577"
	                 " WHERE id = 18",
	                 NULL, NULL, NULL),
	    SQLITE_OK);
	assert_true(parse(s, &t));
	assert_int_equal(store_ledger_catch_up(s->db, &t, &behind), SQLITE_OK);
	assert_int_equal(t.pending_bytes, store_pending_bytes(s) * 10 / 31 + 1048576 + store_pending_bytes(s) * 7 / 31);
	store_abandon(s);
	spooldir_remove(&d);
}

/* More rows than the ledger counts: as many as had left came again, the rest nobody had counted. Each is told by
 * itself.
 */
static void what_nobody_counted_is_told(void **state)
{
	static const struct {
		uint64_t delivered, uncounted, then_delivered, possible;
		const char *words;
	} cases[] = {
	    {0, 3, 0, 0, "3 rows were not in the ledger"},
	    {2, 3, 0, 2,
	     "2 messages that had left may be sent again, and are possible duplicates; 1 rows were not in the ledger"},
	    {5, 3, 2, 3, "3 messages that had left may be sent again, and are possible duplicates"},
	    {5, 0, 5, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;
		struct error e;

		spooldir_make(&d);
		s = open_it(&d, NULL);
		append(s, 20);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		s->now.ledger.delivered += cases[i].delivered;
		s->now.ledger.accepted += cases[i].delivered - cases[i].uncounted;
		s->now.ledger.pending -= cases[i].uncounted;
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(store_recount(s, &report, &e), ERR_OK);
		assert_string_equal(report.warning, cases[i].words);
		assert_int_equal(report.missing_rows, 0);
		assert_int_equal(store_ledger(s)->pending, 20);
		assert_int_equal(store_ledger(s)->accepted, 20 + cases[i].then_delivered);
		assert_int_equal(store_ledger(s)->delivered, cases[i].then_delivered);
		assert_int_equal(store_possible_duplicates(s), cases[i].possible);
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_end_has_its_own_count),
	    cmocka_unit_test(what_nobody_counted_is_told),
	    cmocka_unit_test(a_row_that_is_gone_after_an_unclean_end_is_damaged),
	    cmocka_unit_test(a_damaged_row_does_not_bend_the_bytes_that_wait),
	    cmocka_unit_test(what_the_tide_mark_proves_lost_is_reported),
	    cmocka_unit_test(a_row_is_what_was_written_or_none),
	    cmocka_unit_test(a_record_of_the_ledger),
	    cmocka_unit_test(what_this_run_knew_is_not_forgotten),
	    cmocka_unit_test(a_ledger_is_counted_anew),
	    cmocka_unit_test(a_tide_mark_knows_the_last_id),
	    cmocka_unit_test(a_row_that_is_behind_catches_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
