/*
 * The format on disk, byte for byte: spools written here by hand, with checksums that were worked out elsewhere from
 * what schema/ says. A kspool that cannot read them cannot read what an older one left.
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

#include <sqlite3.h>

#include "rig/lives.h"
#include "rig/spooldir.h"

#define RECEIVED_MS INT64_C(1700000000000)
#define LEDGER "INSERT OR REPLACE INTO ledger VALUES (1, 3, 2, 0, 2, 0, 0, 0, 0, 0, 0, 18, -315587725);"

/* Two messages: "hello", and 0x00 0xff with the metadata k = v. */
static const struct written {
	int version;
	const char *steps[2];
	const char *rows;
} spools[] = {
    {1,
     {"0001-spool.sql"},
     "INSERT INTO messages VALUES (1, 1700000000001, 540312826, NULL, x'68656c6c6f'),"
     " (2, 1700000000002, 94398694, x'73010000006b0100000076', x'00ff');"},
    {2,
     {"0001-spool.sql", "0002-blocks.sql"},
     "INSERT INTO blocks (id, count, bytes, codec, checksum, first_ms, last_ms, body) VALUES"
     " (1, 2, 18, 0, -789588732, 1700000000001, 1700000000002,"
     " x'fa84342082a0abfef962000568656c6c6fe668a005020b0273010000006b010000007600ff');"},
};

static void run_sql(sqlite3 *db, const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s", text);
}

static void write_spool(const struct spooldir *d, const struct written *w)
{
	char version[64];
	sqlite3 *db;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	run_sql(
	    db,
	    "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = 0x4b53504c; PRAGMA journal_mode = WAL; BEGIN");
	for (size_t i = 0; i < sizeof w->steps / sizeof *w->steps && w->steps[i]; i++) {
		char path[512];
		char *text;
		size_t count;

		(void)snprintf(path, sizeof path, "%s/schema/%s", KSPOOL_SOURCE_DIR, w->steps[i]);
		text = (char *)spooldir_load(path, &count);
		text = realloc(text, count + 1);
		assert_non_null(text);
		text[count] = '\0';
		run_sql(db, text);
		free(text);
	}
	run_sql(db, w->rows);
	run_sql(db, LEDGER);
	(void)snprintf(version, sizeof version, "PRAGMA user_version = %d; COMMIT", w->version);
	run_sql(db, version);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void check_message(const struct message *m, uint64_t id, const void *meta, size_t meta_bytes, const void *body,
                          size_t body_bytes)
{
	assert_int_equal(m->id, id);
	assert_int_equal(m->received_ms, RECEIVED_MS + (int64_t)id);
	assert_int_equal(m->meta_bytes, meta_bytes);
	assert_memory_equal(message_meta(m), meta, meta_bytes);
	assert_int_equal(m->body_bytes, body_bytes);
	assert_memory_equal(message_body(m), body, body_bytes);
}

static void what_schema_says_is_what_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof spools / sizeof *spools; i++) {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		struct spooldir d;
		struct store_options o;
		struct store_report report;
		struct store *s = NULL;
		const struct message *m;
		struct error e;
		uint32_t count;
		char text[4000];
		uint64_t last;

		spooldir_make(&d);
		write_spool(&d, &spools[i]);
		(void)life_problems(&d, text, sizeof text);
		assert_non_null(strstr(text, "structure: ok"));
		assert_null(strstr(text, "spool: ")); /* it has no name yet */
		o = spooldir_options(&d);
		if (store_open(&o, &s, &report, &e) != ERR_OK)
			fail_msg("schema %d: %s", spools[i].version, e.text);
		if (report.quarantined || report.missing_rows || report.warning[0])
			fail_msg("schema %d: %s", spools[i].version, report.warning);
		assert_int_equal(store_ledger(s)->pending, 2);
		assert_int_equal(store_pending_bytes(s), 18);
		assert_int_equal(store_read(s, 0, 10, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
		assert_int_equal(count, 2);
		m = STAILQ_FIRST(&list);
		check_message(m, 1, "", 0, "hello", 5);
		check_message(STAILQ_NEXT(m, link), 2, "s\1\0\0\0k\1\0\0\0v", 11, "\0\377", 2);
		message_list_free(&list);
		assert_int_equal(store_ledger(s)->damaged, 0);
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

/* Older kspools gave no ids: the first start gives one, and what lies beside the spool is told from another's then. */
static void a_spool_of_an_older_schema_gets_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof spools / sizeof *spools; i++) {
		struct spooldir mine, others;
		struct store_report report;
		uint64_t name[2], again[2];
		char text[4000];
		struct store *s;

		spooldir_make(&mine);
		spooldir_make(&others);
		write_spool(&mine, &spools[i]);
		write_spool(&others, &spools[i]);
		s = life_open(&others, NULL);
		life_append(s, LIFE_OTHERS, 40);
		store_abandon(s);
		s = life_open(&mine, NULL);
		store_identity(s, name);
		assert_true(name[0] != 0 && name[1] != 0);
		store_abandon(s); /* nothing came, and it was killed */
		assert_int_equal(life_problems(&mine, text, sizeof text), 0);
		assert_non_null(strstr(text, "spool: "));
		assert_int_equal(unlink(spooldir_file(&mine, ".tide")), 0);
		assert_int_equal(unlink(spooldir_file(&mine, ".lock")), 0);
		s = life_open(&mine, NULL); /* the ledger itself has it */
		store_identity(s, again);
		assert_memory_equal(again, name, sizeof name);
		life_append(s, 0, 30);
		store_abandon(s);
		life_bring(&others, "-wal", &mine);
		s = life_open(&mine, &report);
		assert_true(report.strangers);
		assert_non_null(strstr(report.warning, "the log is another spool's"));
		store_identity(s, again);
		assert_memory_equal(again, name, sizeof name);
		life_expect(s, 32, 0, 2, 30);
		life_close(s);
		spooldir_remove(&mine);
		spooldir_remove(&others);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_schema_says_is_what_is_read),
	                                   cmocka_unit_test(a_spool_of_an_older_schema_gets_its_name)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
