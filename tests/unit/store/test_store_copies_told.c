/*
 * What a copy may be when it comes from somewhere else, or twice: it is told from others, and taken in once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sqlite3.h>

#include "base/byte_order.h"
#include "base/clock.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

static void run_sql(const char *path, const char *sql)
{
	sqlite3 *db;
	char *text = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s", text);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Tables that are none, or more than there should be: refused, at once, and nothing was taken in. */
static void a_copy_has_our_tables_and_nothing_else(void **state)
{
	static const char *const harms[] = {
	    "DROP TABLE messages; CREATE VIEW messages AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM "
	    "c)"
	    " SELECT x AS id, x AS received_ms, x AS checksum, NULL AS meta, x'' AS body FROM c WHERE x < 0",
	    "CREATE VIEW extra AS SELECT 1",
	    "CREATE TABLE extra (x)",
	    "CREATE TRIGGER extra AFTER DELETE ON messages BEGIN SELECT 1; END",
	    "DROP TABLE dead; CREATE TABLE dead (id, received_ms, checksum, died_ms, attempts, code, reason, meta, "
	    "body)",
	};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct spooldir theirs, mine;
		struct store *s;
		struct error e;
		uint64_t rows;

		life_make(&theirs, 0, 20, 0);
		life_close(life_open(&theirs, NULL));
		run_sql(theirs.path, harms[i]);
		life_make(&mine, LIFE_OTHERS, 10, 0);
		s = life_open(&mine, NULL);
		assert_in_set(store_import(s, theirs.path, false, &rows, &e),
		              ((const unsigned long[]){ERR_INPUT, ERR_ENVIRONMENT}), 2);
		assert_int_equal(rows, 0);
		life_expect(s, 10, 0, 10, 0);
		life_close(s);
		spooldir_remove(&theirs);
		spooldir_remove(&mine);
	}
}

/* Another kind of thing at its name. */
static void a_copy_is_a_plain_file(void **state)
{
	struct spooldir theirs, mine;
	struct store *s;
	struct error e;
	char link[400];
	uint64_t rows = 7;

	(void)state;
	life_make(&theirs, 0, 10, 0);
	(void)snprintf(link, sizeof link, "%s.link", theirs.path);
	assert_int_equal(symlink(theirs.path, link), 0);
	s = life_begin(&mine);
	assert_int_equal(store_import(s, theirs.dir, false, &rows, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, "is not a plain file"));
	assert_int_equal(rows, 0);
	assert_int_equal(store_import(s, link, false, &rows, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, "is not a plain file"));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(store_import(s, link, false, &rows, &e), ERR_NOINPUT);
	life_expect(s, 0, 0, 0, 0);
	life_end(&mine, s);
	spooldir_remove(&theirs);
}

static void kill_one(struct store *s, uint64_t id)
{
	const struct store_settlement item = {.id = id, .kind = SETTLE_DEAD, .attempts = 1, .code = "X"};
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static uint64_t plain_sum(uint64_t id)
{
	struct message *m = spooldir_message(id, life_bytes(id));
	const struct store_row row = row_of(id, m, 0);

	message_free(m);
	return (uint64_t)row.checksum;
}

static uint64_t hash_of(uint64_t hash, uint64_t n)
{
	for (int i = 0; i < 64; i += 8) /* FNV-1a */
		hash = (hash ^ (n >> i & 255)) * UINT64_C(0x100000001b3);
	return hash;
}

/* What is noted of copies: each row but its checksum. */
static void expect_notes(struct store *s, const char *want)
{
	sqlite3_stmt *st;
	char text[4000] = "";

	assert_int_equal(
	    sqlite3_prepare_v2(
	        s->db,
	        "SELECT group_concat(hex(copy) || ' ' || imported_ms || ' ' || messages || ' ' || first_id, char(10))"
	        " FROM (SELECT * FROM imports ORDER BY messages DESC)",
	        -1, &st, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	(void)snprintf(text, sizeof text, "%s", (const char *)sqlite3_column_text(st, 0));
	(void)sqlite3_finalize(st);
	assert_string_equal(text, want);
}

static void put_hex(char *to, const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)sprintf(to + 2 * i, "%02X", bytes[i]);
}

/*
 * A row that says which copy it was, how many messages it held, and from which id on they stand here; and beside it
 * which ones came. Older and newer kspools must find each other's: byte for byte.
 */
static void a_copy_is_noted_with_what_it_held(void **state)
{
	struct spooldir theirs, mine;
	uint64_t mark[9] = {13, 12, 9, UINT64_C(0xcbf29ce484222325), 0, 0, 4, 12}, rows, died;
	unsigned char piece[48 + 2 * 12 + 9 * 4] = {0};
	char want[600], mark_text[140] = "", piece_text[2 * sizeof piece + 1] = "";
	struct store *s = life_begin(&theirs);
	struct error e;

	(void)state;
	life_append(s, 0, 12);
	life_settle(s, 1, 3);
	kill_one(s, 7);
	died = (uint64_t)life_number(s, "SELECT checksum FROM dead");
	store_identity(s, mark + 4);
	life_close(s);
	for (uint64_t id = 4; id <= 12; id++)
		if (id != 7)
			mark[3] = hash_of(hash_of(mark[3], id), plain_sum(id));
	mark[3] = hash_of(hash_of(mark[3], 7), died);
	s = life_begin(&mine);
	life_append(s, LIFE_OTHERS, 20);
	clock_test_set(50 * NS_PER_S, 1700000000 * NS_PER_S);
	assert_int_equal(store_import(s, theirs.path, false, &rows, &e), ERR_OK);
	assert_int_equal(rows, 9);
	clock_test_set(60 * NS_PER_S, 1800000000 * NS_PER_S);
	assert_int_equal(store_import(s, theirs.path, false, &rows, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, ": all 9 messages of this copy were taken in at 2023-11-14T22:13:20"));
	clock_test_end();
	put_hex(mark_text, (const unsigned char *)mark, 65);
	memcpy(piece, "ks-taken", 8);
	memcpy(piece + 8, &mark[1], 8);
	memcpy(piece + 24, &mark[3], 24);
	put_little(piece + 48, 4, 8);
	put_little(piece + 48 + 8, 9, 4);
	for (uint64_t id = 4; id <= 12; id++)
		put_little(piece + 48 + 12 + (id - 4) * 4, plain_sum(id), 4);
	put_hex(piece_text, piece, 48 + 12 + 9 * 4);
	(void)snprintf(want, sizeof want, "%s 1700000000000 9 21\n%s 1700000000000 0 21", mark_text, piece_text);
	expect_notes(s, want);
	life_end(&mine, s);
	spooldir_remove(&theirs);
}

/* Where a file system cannot rename without replacing, a copy has two names for a moment, and one in the end or none.
 */
static void a_copy_gets_its_name_by_a_link(void **state)
{
	static const struct {
		unsigned kinds;
		uint64_t at;
		int error;
		bool for_good;
		enum err err;
	} cases[] = {
	    {FAULTFS_RENAME, 1, EINVAL, false, ERR_OK},
	    {FAULTFS_RENAME, 1, ENOSYS, false, ERR_OK},
	    {FAULTFS_RENAME, 1, EPERM, false, ERR_ENVIRONMENT},
	    {FAULTFS_RENAME | FAULTFS_UNLINK, 2, EINVAL, true, ERR_ENVIRONMENT}, /* the first name stays */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir theirs, mine;
		struct store *s;
		struct stat st;
		struct error e;
		char copy[400];
		uint64_t rows;

		life_make(&theirs, 0, 10, 0);
		(void)snprintf(copy, sizeof copy, "%s.copy", theirs.path);
		s = life_open(&theirs, NULL);
		faultfs_arm(cases[i].kinds, cases[i].at, cases[i].error, cases[i].for_good);
		assert_int_equal(store_export(s, copy, &e), cases[i].err);
		assert_true(faultfs_failed() > 0);
		faultfs_arm(0, 0, 0, false);
		life_close(s);
		if (cases[i].err == ERR_OK) {
			assert_int_equal(lstat(copy, &st), 0);
			assert_int_equal(st.st_nlink, 1);
			s = life_begin(&mine);
			assert_int_equal(store_import(s, copy, false, &rows, &e), ERR_OK);
			assert_int_equal(rows, 10);
			life_end(&mine, s);
		}
		spooldir_remove(&theirs);
	}
}

/* Two exports of one spool, the later with some of the earlier's messages: these may come twice. */
static void what_copies_share_is_taken_in_once(void **state)
{
	struct spooldir theirs, mine;
	struct store *s;
	struct error e;
	char early[400], late[400];
	uint64_t rows;

	(void)state;
	life_make(&theirs, 0, 50, 0);
	(void)snprintf(early, sizeof early, "%s.early", theirs.path);
	(void)snprintf(late, sizeof late, "%s.late", theirs.path);
	s = life_open(&theirs, NULL);
	assert_int_equal(store_export(s, early, &e), ERR_OK);
	life_settle(s, 1, 30);
	life_append(s, 50, 40);
	assert_int_equal(store_export(s, late, &e), ERR_OK);
	life_close(s);
	life_make(&mine, LIFE_OTHERS, 10, 0);
	s = life_open(&mine, NULL);
	assert_int_equal(store_import(s, early, false, &rows, &e), ERR_OK);
	assert_int_equal(rows, 50);
	assert_int_equal(store_possible_duplicates(s), 0);
	assert_int_equal(store_import(s, early, false, &rows, &e), ERR_INPUT);
	assert_int_equal(store_import(s, late, false, &rows, &e), ERR_OK);
	assert_int_equal(rows, 40);
	assert_int_equal(store_import_left_out(s), 20);
	assert_int_equal(store_possible_duplicates(s), 0);
	life_expect(s, 100, 0, 100, 0);
	life_close(s);
	s = life_open(&mine, NULL); /* and the next run knows it too */
	assert_int_equal(store_import(s, late, false, &rows, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, "--again"));
	assert_int_equal(store_import(s, early, false, &rows, &e), ERR_INPUT);
	life_settle(s, 1, 100);
	assert_int_equal(store_import(s, late, false, &rows, &e), ERR_INPUT); /* it left: not once more */
	assert_int_equal(store_import(s, late, true, &rows, &e), ERR_OK);
	assert_int_equal(rows, 60);
	assert_int_equal(store_possible_duplicates(s), 60);
	life_expect(s, 160, 100, 60, 0);
	life_close(s);
	spooldir_remove(&theirs);
	spooldir_remove(&mine);
}

/* The part is ours until the end, and the copy has one name. */
static void an_export_has_one_name(void **state)
{
	struct spooldir d;
	struct store *s;
	struct error e;
	struct stat st;
	char target[400];

	(void)state;
	life_make(&d, 0, 20, 10);
	(void)snprintf(target, sizeof target, "%s.copy", d.path);
	s = life_open(&d, NULL);
	assert_int_equal(store_export(s, target, &e), ERR_OK);
	assert_int_equal(lstat(target, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(life_count_files(&d, ".kspool-part"), 0);
	assert_int_equal(store_export(s, target, &e), ERR_INPUT);
	life_close(s);
	spooldir_remove(&d);
}

/* A folder that was copied makes two spools of one name, which give one id to two messages: none is left out for that.
 */
static void two_spools_of_one_name_are_told_by_their_messages(void **state)
{
	struct spooldir one, other, mine;
	char copies[2][400];
	struct store *s;
	struct error e;
	uint64_t rows;

	(void)state;
	life_make(&one, 0, 50, 0);
	spooldir_make(&other);
	spooldir_copy(&one, &other);
	for (int i = 0; i < 2; i++) {
		const struct spooldir *d = i == 0 ? &one : &other;

		(void)snprintf(copies[i], sizeof copies[i], "%s.export", d->path);
		s = life_open(d, NULL);
		life_append(s, i == 0 ? 50 : 500, 30);
		assert_int_equal(store_export(s, copies[i], &e), ERR_OK);
		life_close(s);
	}
	life_make(&mine, LIFE_OTHERS, 10, 0);
	s = life_open(&mine, NULL);
	assert_int_equal(store_import(s, copies[0], false, &rows, &e), ERR_OK);
	assert_int_equal(rows, 80);
	assert_int_equal(store_import(s, copies[1], false, &rows, &e), ERR_OK);
	assert_int_equal(rows, 30);
	assert_int_equal(store_import_left_out(s), 50);
	life_expect(s, 120, 0, 120, 0);
	life_close(s);
	spooldir_remove(&one);
	spooldir_remove(&other);
	spooldir_remove(&mine);
}

/* Of a copy of this very spool nobody knows what became of what is not here any more: who wants it says so. */
static void a_copy_of_this_spool_brings_nothing_twice(void **state)
{
	struct spooldir d;
	struct store *s;
	struct error e;
	char copy[400];
	uint64_t rows;

	(void)state;
	life_make(&d, 0, 50, 0);
	(void)snprintf(copy, sizeof copy, "%s.export", d.path);
	s = life_open(&d, NULL);
	assert_int_equal(store_export(s, copy, &e), ERR_OK);
	assert_int_equal(store_import(s, copy, false, &rows, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, "copy of this very spool, which holds its 50"));
	life_settle(s, 1, 20);
	assert_int_equal(store_import(s, copy, false, &rows, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, "30 of its messages are here, and 20 are not any more"));
	assert_int_equal(sqlite3_txn_state(s->db, NULL), SQLITE_TXN_NONE);
	life_expect(s, 50, 20, 30, 0);
	assert_int_equal(store_import(s, copy, true, &rows, &e), ERR_OK);
	assert_int_equal(rows, 50);
	assert_int_equal(store_possible_duplicates(s), 50);
	life_close(s);
	spooldir_remove(&d);
}

/* A copy that does not say whose it is: its first message tells, and a look for it that fails is no answer. */
static void a_copy_without_a_name_is_known_by_its_first_message(void **state)
{
	struct spooldir d;
	struct store *s;
	struct error e;
	char copy[400];
	uint64_t rows;

	(void)state;
	life_make(&d, 0, 50, 0);
	(void)snprintf(copy, sizeof copy, "%s.export", d.path);
	s = life_open(&d, NULL);
	assert_int_equal(store_export(s, copy, &e), ERR_OK);
	run_sql(copy, "UPDATE ledger SET checksum = checksum + 1");
	for (uint64_t n = 1;; n++) {
		enum err err;

		faultsql_arm(n, SQLITE_NOMEM, false);
		err = store_import(s, copy, false, &rows, &e);
		if (!faultsql_failed())
			break;
		faultsql_arm(0, 0, false);
		if (err != ERR_MEMORY && strcmp(faultsql_what(), "ROLLBACK") != 0) /* it is refused anyway */
			fail_msg("call %u failed (%s): error %d: %s", (unsigned)n, faultsql_what(), (int)err, e.text);
		assert_false(store_in_group(s));
		life_expect(s, 50, 0, 50, 0);
	}
	faultsql_arm(0, 0, false);
	assert_non_null(strstr(e.text, "copy of this very spool, which holds its "));
	assert_int_equal(sqlite3_txn_state(s->db, NULL), SQLITE_TXN_NONE); /* nothing keeps the log from its end */
	life_expect(s, 50, 0, 50, 0);
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_spools_of_one_name_are_told_by_their_messages),
	    cmocka_unit_test(a_copy_of_this_spool_brings_nothing_twice),
	    cmocka_unit_test(a_copy_without_a_name_is_known_by_its_first_message),
	    cmocka_unit_test(a_copy_has_our_tables_and_nothing_else),
	    cmocka_unit_test(a_copy_is_a_plain_file),
	    cmocka_unit_test(what_copies_share_is_taken_in_once),
	    cmocka_unit_test(an_export_has_one_name),
	    cmocka_unit_test(a_copy_is_noted_with_what_it_held),
	    cmocka_unit_test(a_copy_gets_its_name_by_a_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
