/* A log without a byte, open: what comes to stand in it is not ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>

#include "rig/spooldir.h"
#include "store/files/vfs.h"

static sqlite3 *open_db(const struct spooldir *d)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open_v2(d->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs_register(NULL)),
	                 SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL", NULL, NULL, NULL),
	    SQLITE_OK);
	return db;
}

static void make(struct spooldir *d)
{
	sqlite3 *db;

	spooldir_make(d);
	db = open_db(d);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x); INSERT INTO t VALUES (1)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db); /* the layer removes no log */
}

static void what_comes_into_an_empty_log_is_anothers(void **state)
{
	static const size_t counts[] = {0, 2, 31, 32, 33, 4096}; /* SQLite takes one byte for none */
	static const unsigned char bytes[4096] = {0x37, 0x7f, 0x06, 0x82};

	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		for (int glance = 0; glance < 2; glance++) {
			struct spooldir d;
			sqlite3 *db;

			make(&d);
			spooldir_store(spooldir_file(&d, "-wal"), bytes, 0);
			db = open_db(&d);
			assert_int_equal(sqlite3_exec(db, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
			assert_int_equal(vfs_look(db, VFS_LOG, glance), VFS_SAME);
			spooldir_store(spooldir_file(&d, "-wal"), bytes, counts[i]);
			assert_int_equal(vfs_look(db, VFS_LOG, glance), counts[i] > 0 ? VFS_CHANGED : VFS_SAME);
			(void)sqlite3_close(db);
			spooldir_remove(&d);
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(what_comes_into_an_empty_log_is_anothers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
