/*
 * The layer over a real file: whatever another writes into a file that SQLite has open is seen, and what cannot be read
 * is not taken for that; and the layer that only reads, method by method.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/files/sql.h"
#include "store/files/vfs.h"

enum { PAGE = 4096, HEAD = 32, FRAME = 24 + PAGE, FRAMES_LEAST = 80, LOOKS = 4 };

static struct spooldir d;
static sqlite3 *db;

static void run(const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s: %s", sql, text);
}

static int begin(void **state)
{
	(void)state;
	spooldir_make(&d);
	vfs_clear_errno();
	vfs_forget_fault();
	assert_int_equal(sqlite3_open_v2(d.path, &db,
	                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE,
	                                 vfs_register(NULL)),
	                 SQLITE_OK);
	run("PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA "
	    "wal_autocheckpoint=0;"
	    " CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)");
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultfs_arm(0, 0, 0, false);
	faultfs_dead(NULL, 0, 0);
	(void)sqlite3_close(db);
	vfs_forget_fault();
	spooldir_remove(&d);
	return 0;
}

static void fill(void)
{
	run("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT OR REPLACE INTO t"
	    " SELECT i, randomblob(3000) FROM n");
}

static off_t bytes_of(const char *suffix)
{
	struct stat st;

	assert_int_equal(stat(spooldir_file(&d, suffix), &st), 0);
	return st.st_size;
}

static void change(const char *suffix, off_t at)
{
	const int fd = open(spooldir_file(&d, suffix), O_RDWR);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x20;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	(void)close(fd);
}

/* What any of so many looks sees. */
static enum vfs_seen seen(enum vfs_file which, bool glance)
{
	enum vfs_seen found = VFS_SAME;

	for (int i = 0; i < (glance ? 1 : LOOKS) && found == VFS_SAME; i++)
		found = vfs_look(db, which, glance);
	return found;
}

static void all_is_the_same(void)
{
	for (int glance = 0; glance < 2; glance++) {
		assert_int_equal(seen(VFS_LOG, glance), VFS_SAME);
		assert_int_equal(seen(VFS_DATABASE, glance), VFS_SAME);
	}
}

static void what_another_writes_into_a_log_is_seen(void **state)
{
	off_t bytes, last;

	(void)state;
	all_is_the_same();
	fill();
	all_is_the_same();
	bytes = bytes_of("-wal");
	assert_true((bytes - HEAD) % FRAME == 0 && bytes > FRAMES_LEAST * FRAME);
	last = bytes - FRAME;
	for (off_t at = 0; at < bytes; at += at < HEAD || (at - HEAD) % FRAME < 24 ? 7 : PAGE / 2) {
		const bool is_head = at < HEAD || (at - HEAD) % FRAME < 24;

		change("-wal", at);
		assert_int_equal(seen(VFS_LOG, true), at >= last && is_head ? VFS_CHANGED : VFS_SAME);
		assert_int_equal(seen(VFS_LOG, false), is_head ? VFS_CHANGED : VFS_SAME);
		assert_int_equal(vfs_fault(), 0);
		change("-wal", at);
	}
	all_is_the_same();
	assert_int_equal(truncate(spooldir_file(&d, "-wal"), bytes - 1), 0);
	assert_int_equal(seen(VFS_LOG, true), VFS_CHANGED);
	assert_int_equal(seen(VFS_LOG, false), VFS_CHANGED);
	assert_int_equal(vfs_fault(), 0);
}

/* Zeros from a byte on: in the frame they begin in, in its page, or in the next one's head. */
static void zeros_in_a_log_are_seen(void **state)
{
	static const off_t places[] = {0, 40, HEAD, HEAD + 23, HEAD + 24, HEAD + FRAME - 1, HEAD + 3 * FRAME + 100};
	static const off_t more[] = {0, 24, 2000, FRAME, FRAME + 24, 2 * FRAME};

	(void)state;
	fill();
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		for (size_t k = 0; k < sizeof more / sizeof *more; k++) {
			const off_t frame = places[i] < HEAD ? HEAD : places[i] - (places[i] - HEAD) % FRAME;
			const off_t at = frame + more[k];

			assert_int_equal(vfs_look_at_zeros(db, places[i]), VFS_SAME);
			change("-wal", at);
			assert_int_equal(vfs_look_at_zeros(db, places[i]),
			                 at < frame + FRAME + 24 ? VFS_CHANGED : VFS_SAME);
			change("-wal", at);
		}
	faultfs_arm(FAULTFS_READ, 1, EIO, false);
	assert_int_equal(vfs_look_at_zeros(db, HEAD), VFS_UNREADABLE);
	assert_int_equal(vfs_fault(), EIO);
}

static void what_another_writes_into_a_database_is_seen(void **state)
{
	off_t pages;

	(void)state;
	fill();
	run("PRAGMA wal_checkpoint(TRUNCATE)");
	all_is_the_same();
	pages = bytes_of("") / PAGE;
	assert_true(pages > FRAMES_LEAST);
	for (off_t page = 0; page < pages; page++) {
		change("", page * PAGE + 99);
		assert_int_equal(seen(VFS_DATABASE, true), page < 16 ? VFS_CHANGED : VFS_SAME);
		assert_int_equal(seen(VFS_DATABASE, false), VFS_CHANGED);
		change("", page * PAGE + 99);
	}
	all_is_the_same();
	assert_int_equal(truncate(d.path, pages * PAGE - 1), 0);
	assert_int_equal(seen(VFS_DATABASE, true), VFS_SAME);
	assert_int_equal(seen(VFS_DATABASE, false), VFS_CHANGED);
	assert_int_equal(vfs_fault(), 0);
}

/* No answer is not another's. */
static void what_cannot_be_looked_at_is_told(void **state)
{
	static const struct {
		enum vfs_file which;
		unsigned kind;
		bool glance;
	} cases[] = {
	    {VFS_LOG, FAULTFS_READ, true},       {VFS_LOG, FAULTFS_READ, false},
	    {VFS_LOG, FAULTFS_STAT, false},      {VFS_DATABASE, FAULTFS_READ, true},
	    {VFS_DATABASE, FAULTFS_READ, false}, {VFS_DATABASE, FAULTFS_STAT, false},
	};
	sqlite3 *other;

	(void)state;
	fill();
	run("PRAGMA wal_checkpoint(FULL)");
	fill();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		vfs_forget_fault();
		faultfs_arm(cases[i].kind, 1, EIO, false);
		assert_int_equal(vfs_look(db, cases[i].which, cases[i].glance), VFS_UNREADABLE);
		assert_int_equal(faultfs_failed(), 1);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(vfs_fault(), EIO);
	}
	vfs_forget_fault();
	faultfs_arm(FAULTFS_STAT, 1, EIO, false);
	assert_int_equal(vfs_look(db, VFS_LOG, true), VFS_SAME); /* a commit's look asks for no more than its frame */
	assert_int_equal(faultfs_failed(), 0);
	faultfs_arm(0, 0, 0, false);
	for (int is_file = 0; is_file < 2; is_file++) { /* none of this layer's */
		assert_int_equal(sqlite3_open(is_file ? spooldir_file(&d, ".plain") : ":memory:", &other), SQLITE_OK);
		assert_int_equal(sqlite3_exec(other, "PRAGMA journal_mode=WAL; CREATE TABLE t (a)", NULL, NULL, NULL),
		                 SQLITE_OK);
		assert_int_equal(vfs_look(other, VFS_DATABASE, false), VFS_SAME);
		assert_int_equal(vfs_look(other, VFS_LOG, false), VFS_SAME);
		assert_int_equal(vfs_look_at_zeros(other, 0), VFS_SAME);
		assert_int_equal(sqlite3_close(other), SQLITE_OK);
	}
}

/* SQLite is not given another's bytes of a log. */
static void another_log_is_not_read(void **state)
{
	(void)state;
	fill();
	run("PRAGMA cache_size=0");
	for (off_t at = HEAD + 24; at < bytes_of("-wal"); at += FRAME)
		change("-wal", at + 100);
	(void)sqlite3_db_release_memory(db);
	assert_int_equal(sqlite3_exec(db, "SELECT sum(length(b)) FROM t", NULL, NULL, NULL), SQLITE_IOERR_DATA);
	assert_int_equal(vfs_fault(), EBADMSG);
	assert_int_equal(vfs_errno(), EBADMSG);
}

/* A log that was to be cut, and was not, is anything; one that was is empty. */
static void a_log_that_is_cut_is_empty(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 2; n++) { /* the database is cut first */
		fill();
		faultfs_arm(FAULTFS_TRUNCATE, n, EIO, true);
		(void)sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
		assert_true(faultfs_failed() > 0);
		assert_int_equal(vfs_errno(), EIO);
		faultfs_arm(0, 0, 0, false);
		all_is_the_same();
		assert_true(bytes_of("-wal") > 0);
		change("-wal", 5);
		assert_int_equal(seen(VFS_LOG, false), n == 1 ? VFS_CHANGED : VFS_SAME);
		change("-wal", 5);
	}
	run("PRAGMA wal_checkpoint(TRUNCATE)");
	assert_int_equal(bytes_of("-wal"), 0);
	all_is_the_same();
	spooldir_store(spooldir_file(&d, "-wal"), "xx", 2); /* of one byte SQLite says that it is none */
	assert_int_equal(seen(VFS_LOG, false), VFS_CHANGED);
	assert_int_equal(seen(VFS_LOG, true), VFS_CHANGED);
}

/* The layer for reading alone, method by method; of a log that is not there too. */
static void a_reader_changes_nothing(void **state)
{
	sqlite3_vfs *reader = sqlite3_vfs_find(vfs_register_reader(NULL));
	sqlite3_file *file = mem_zero((size_t)reader->szOsFile);
	const off_t bytes = bytes_of("");
	unsigned char page[100], want[100] = {0};
	sqlite3_int64 size = 7;
	int reserved = 7, got = 0;

	(void)state;
	assert_string_equal(reader->zName, "kspool-reader-unix");
	run("PRAGMA wal_checkpoint(TRUNCATE)");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	db = NULL;
	assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0);
	for (int is_there = 0; is_there < 2; is_there++) {
		const char *name = is_there ? d.path : spooldir_file(&d, "-wal");
		const int flags = is_there ? SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READONLY
		                           : SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;

		assert_int_equal(reader->xOpen(reader, name, file, flags, &got), SQLITE_OK);
		assert_non_null(file->pMethods);
		memset(page, 9, sizeof page);
		assert_int_equal(file->pMethods->xRead(file, page, sizeof page, 0),
		                 is_there ? SQLITE_OK : SQLITE_IOERR_SHORT_READ);
		if (is_there)
			assert_memory_equal(page, "SQLite format 3", 16);
		else
			assert_memory_equal(page, want, sizeof page);
		assert_int_equal(file->pMethods->xFileSize(file, &size), SQLITE_OK);
		assert_true(is_there ? size >= bytes : size == 0);
		assert_int_equal(file->pMethods->xWrite(file, want, sizeof want, 0), SQLITE_READONLY);
		assert_int_equal(file->pMethods->xTruncate(file, 0), SQLITE_READONLY);
		assert_int_equal(file->pMethods->xSync(file, 0), SQLITE_OK);
		assert_int_equal(file->pMethods->xLock(file, SQLITE_LOCK_SHARED), SQLITE_OK);
		assert_int_equal(file->pMethods->xLock(file, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
		assert_int_equal(file->pMethods->xCheckReservedLock(file, &reserved), SQLITE_OK);
		assert_int_equal(reserved, 0);
		assert_int_equal(file->pMethods->xUnlock(file, SQLITE_LOCK_NONE), SQLITE_OK);
		assert_int_equal(file->pMethods->xFileControl(file, SQLITE_FCNTL_LOCKSTATE, &reserved),
		                 is_there ? SQLITE_OK : SQLITE_NOTFOUND);
		assert_int_equal(file->pMethods->xSectorSize(file) > 0, is_there);
		assert_int_equal(file->pMethods->xDeviceCharacteristics(file) > 0, is_there);
		assert_int_equal(file->pMethods->xClose(file), SQLITE_OK);
		assert_int_equal(bytes_of(""), size > 0 ? size : bytes_of(""));
		assert_int_equal(access(spooldir_file(&d, "-wal"), F_OK), -1);
	}
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_another_writes_into_a_log_is_seen, begin, end),
	    cmocka_unit_test_setup_teardown(zeros_in_a_log_are_seen, begin, end),
	    cmocka_unit_test_setup_teardown(what_another_writes_into_a_database_is_seen, begin, end),
	    cmocka_unit_test_setup_teardown(what_cannot_be_looked_at_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(another_log_is_not_read, begin, end),
	    cmocka_unit_test_setup_teardown(a_log_that_is_cut_is_empty, begin, end),
	    cmocka_unit_test_setup_teardown(a_reader_changes_nothing, begin, end),
	};

	sql_global_setup();
	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
