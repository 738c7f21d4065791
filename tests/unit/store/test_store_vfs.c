/*
 * The layer between SQLite and its VFS, over a VFS of this test's own: what is read is what was written, whatever is
 * held back; what is told of a failure is what failed; and nothing reaches the file later than it must.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "rig/base_vfs.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/files/vfs.h"

static sqlite3_vfs *layer;
static sqlite3_file *file;

static int setup(void **state)
{
	(void)state;
	memset(&base, 0, sizeof base);
	vfs_clear_errno();
	vfs_forget_fault();
	free(file);
	file = calloc(1, (size_t)layer->szOsFile);
	return 0;
}

static void open_as(int flags)
{
	int got = 0;

	assert_int_equal(layer->xOpen(layer, "/tmp/x", file, flags | SQLITE_OPEN_READWRITE, &got), SQLITE_OK);
	assert_non_null(file->pMethods);
	assert_int_equal(file->pMethods->iVersion, 1); /* no shared memory, no mapping */
	memset(base.asked, 0, sizeof base.asked);
}

#define DO(method, ...) file->pMethods->method(file, ##__VA_ARGS__)

static uint32_t random_below(uint32_t n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 20) % n;
}

/* Any order of operations: what is read, and how long the file is, is as if nothing were held back. */
static void it_reads_as_if_nothing_were_held_back(void **state)
{
	static unsigned char plain[ROOM], bytes[200000];
	sqlite3_int64 size = 0, at = 0, got;

	(void)state;
	open_as(SQLITE_OPEN_WAL);
	memset(plain, 0, sizeof plain);
	for (int i = 0; i < 20000; i++) {
		const int count = random_below(50) ? 1 + (int)random_below(5000) : 1 + (int)random_below(150000);

		switch (random_below(12)) {
		case 0:
			at = random_below(ROOM - 200000);
			break;
		case 1:
			if (at + count > ROOM)
				break;
			assert_int_equal(DO(xRead, bytes, count, at), SQLITE_OK);
			assert_memory_equal(bytes, plain + at, (size_t)count);
			break;
		case 2:
			got = at > 3000 ? at - random_below(3000) : 0;
			if (got + count > ROOM)
				break;
			assert_int_equal(DO(xRead, bytes, count, got), SQLITE_OK);
			assert_memory_equal(bytes, plain + got, (size_t)count);
			break;
		case 3:
			assert_int_equal(DO(xFileSize, &got), SQLITE_OK);
			assert_int_equal(got, size);
			break;
		case 4:
			if (random_below(4))
				break;
			assert_int_equal(DO(xSync, SQLITE_SYNC_NORMAL), SQLITE_OK);
			assert_int_equal(base.last_arg, SQLITE_SYNC_NORMAL);
			assert_int_equal(base.size, size);
			assert_memory_equal(base.bytes, plain, ROOM);
			break;
		case 5:
			if (random_below(8))
				break;
			size = random_below((uint32_t)size + 1);
			assert_int_equal(DO(xTruncate, size), SQLITE_OK);
			memset(plain + size, 0, (size_t)(ROOM - size));
			assert_memory_equal(base.bytes, plain, ROOM);
			at = size;
			break;
		default:
			if (at + count > ROOM - 5000)
				at = 0;
			memset(bytes, (int)random_below(256), (size_t)count);
			assert_int_equal(DO(xWrite, bytes, count, at), SQLITE_OK);
			memcpy(plain + at, bytes, (size_t)count);
			at += count;
			size = at > size ? at : size;
		}
	}
	assert_int_equal(DO(xClose), SQLITE_OK);
	assert_int_equal(base.asked[CLOSE], 1);
	assert_memory_equal(base.bytes, plain, ROOM);
}

/* Writes that follow each other are one, as long as the VFS below takes them in one. */
static void writes_are_gathered(void **state)
{
	static unsigned char bytes[GATHERED + 1];
	struct vfs_counts before = vfs_counts();

	(void)state;
	open_as(SQLITE_OPEN_MAIN_DB);
	for (int i = 0; i < 10; i++)
		assert_int_equal(DO(xWrite, bytes, 100, 1000 + i * 100), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 0);
	assert_int_equal(DO(xSync, 0), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 1);
	assert_int_equal(base.write_at, 1000);
	assert_int_equal(base.write_count, 1000);
	assert_int_equal(DO(xSync, 0), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 1);
	assert_int_equal(vfs_counts().writes - before.writes, 1);
	assert_int_equal(vfs_counts().written_bytes - before.written_bytes, 1000);
	assert_int_equal(vfs_counts().syncs - before.syncs, 2);
	/* Full, to the last byte; one more is the next. */
	assert_int_equal(DO(xWrite, bytes, GATHERED - 5, 0), SQLITE_OK);
	assert_int_equal(DO(xWrite, bytes, 5, GATHERED - 5), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 1);
	assert_int_equal(DO(xWrite, bytes, 1, GATHERED), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 2);
	assert_int_equal(base.write_count, GATHERED);
	/* Elsewhere: what is held goes first. */
	assert_int_equal(DO(xWrite, bytes, 3, GATHERED + 2), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 3);
	assert_int_equal(base.write_count, 1);
	assert_int_equal(DO(xWrite, bytes, GATHERED + 1, 5), SQLITE_OK); /* too much to be held */
	assert_int_equal(base.asked[WRITE], 5);
	assert_int_equal(base.write_count, GATHERED + 1);
	assert_int_equal(DO(xWrite, bytes, GATHERED, 7), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 5);
	/* Reads that touch it, and those that do not. */
	assert_int_equal(DO(xRead, bytes, 7, 0), SQLITE_OK);
	assert_int_equal(DO(xRead, bytes, 10, GATHERED + 7), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 5);
	assert_int_equal(DO(xRead, bytes, 8, 0), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 6);
	assert_int_equal(DO(xWrite, bytes, 4, 10), SQLITE_OK);
	assert_int_equal(DO(xRead, bytes, 1, 13), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 7);
	/* The end of a commit. */
	for (int op = 0; op < 60; op++) {
		const int written = base.asked[WRITE];

		assert_int_equal(DO(xWrite, bytes, 4, 10), SQLITE_OK);
		assert_int_equal(DO(xFileControl, op, NULL), SQLITE_OK);
		assert_int_equal(base.last_arg, op);
		assert_int_equal(base.asked[WRITE] - written,
		                 op == SQLITE_FCNTL_SYNC || op == SQLITE_FCNTL_COMMIT_PHASETWO);
		assert_int_equal(DO(xSync, 0), SQLITE_OK);
	}
	assert_int_equal(DO(xClose), SQLITE_OK);
	setup(NULL);
	open_as(SQLITE_OPEN_MAIN_JOURNAL); /* not held back */
	assert_int_equal(DO(xWrite, bytes, 4, 10), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 1);
	assert_int_equal(DO(xClose), SQLITE_OK);
	assert_int_equal(base.asked[WRITE], 1);
}

static int do_read(void) { return DO(xRead, (char[8]){0}, 8, 100); }
static int do_write(void) { return DO(xWrite, "abc", 3, 500); }
static int do_truncate(void) { return DO(xTruncate, 5); }
static int do_sync(void) { return DO(xSync, 0); }
static int do_control(void) { return DO(xFileControl, SQLITE_FCNTL_SYNC, NULL); }
static int do_close(void) { return DO(xClose); }

/* What is held back meets a full disk, whoever makes it go: that one is told, and it is not tried again. */
static void a_late_write_that_fails_is_told(void **state)
{
	static int (*const acts[])(void) = {do_read, do_write, do_truncate, do_sync, do_control, do_close};
	static const enum op ops[] = {READ, WRITE, TRUNCATE, SYNC, CONTROL, CLOSE};

	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		setup(state);
		open_as(SQLITE_OPEN_WAL);
		assert_int_equal(DO(xWrite, "0123456789", 10, 100), SQLITE_OK);
		base.fails = WRITE;
		base.rc = SQLITE_FULL;
		base.with_errno = ENOSPC;
		assert_int_equal(acts[i](), SQLITE_FULL);
		assert_int_equal(vfs_errno(), ENOSPC);
		assert_int_equal(vfs_fault(), 0);
		assert_int_equal(base.asked[WRITE], 1);
		assert_int_equal(base.asked[ops[i]], ops[i] == WRITE || ops[i] == CLOSE);
		base.fails = NO_OP;
		if (ops[i] == CLOSE)
			continue;
		assert_int_equal(DO(xSync, 0), SQLITE_OK);
		assert_int_equal(base.asked[WRITE], 1);
		assert_int_equal(DO(xClose), SQLITE_OK);
	}
	/* And what fails by itself. */
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		setup(state);
		open_as(SQLITE_OPEN_MAIN_JOURNAL);
		base.fails = ops[i];
		base.rc = SQLITE_IOERR;
		base.with_errno = EIO;
		assert_int_equal(acts[i](), SQLITE_IOERR);
		assert_int_equal(vfs_errno(), ops[i] == CONTROL || ops[i] == CLOSE ? 0 : EIO);
		assert_int_equal(vfs_fault(), ops[i] == READ ? EIO : 0);
		base.fails = NO_OP;
		if (ops[i] != CLOSE)
			assert_int_equal(DO(xClose), SQLITE_OK);
	}
}

/* An errno of before is not that of a failure that sets none. */
static void an_old_errno_is_not_told(void **state)
{
	static int (*const acts[])(void) = {do_read, do_write, do_truncate, do_sync};
	static const enum op ops[] = {READ, WRITE, TRUNCATE, SYNC};
	sqlite3_int64 size;
	char name[32];
	int found;

	base.rc = SQLITE_IOERR;
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		setup(state);
		open_as(SQLITE_OPEN_MAIN_JOURNAL);
		base.rc = SQLITE_IOERR;
		base.with_errno = -1;
		base.fails = ops[i];
		errno = EBUSY;
		assert_int_equal(acts[i](), SQLITE_IOERR);
		assert_int_equal(vfs_errno(), 0);
		assert_int_equal(vfs_fault(), 0);
		base.fails = SIZE;
		errno = EBUSY;
		assert_int_equal(DO(xFileSize, &size), SQLITE_IOERR);
		base.fails = DELETE;
		errno = EBUSY;
		assert_int_equal(layer->xDelete(layer, "n", 0), SQLITE_IOERR);
		base.fails = ACCESS;
		errno = EBUSY;
		assert_int_equal(layer->xAccess(layer, "n", 0, &found), SQLITE_IOERR);
		base.fails = FULL;
		errno = EBUSY;
		assert_int_equal(layer->xFullPathname(layer, "n", sizeof name, name), SQLITE_IOERR);
		assert_int_equal(vfs_errno(), 0);
		assert_int_equal(vfs_fault(), 0);
		base.fails = NO_OP;
		assert_int_equal(do_close(), SQLITE_OK);
	}
	setup(state);
	base.rc = SQLITE_CANTOPEN;
	base.with_errno = -1;
	base.fails = OPEN;
	errno = EBUSY;
	assert_int_equal(layer->xOpen(layer, "/tmp/x", file, SQLITE_OPEN_READWRITE, &found), SQLITE_CANTOPEN);
	assert_int_equal(vfs_errno(), 0);
	assert_int_equal(vfs_fault(), 0);
}

static void a_look_that_fails_is_remembered(void **state)
{
	sqlite3_int64 size;
	char name[64];
	int found;

	(void)state;
	open_as(SQLITE_OPEN_WAL);
	base.fails = READ;
	base.rc = SQLITE_IOERR_SHORT_READ; /* that is how a file ends */
	base.with_errno = EIO;
	assert_int_equal(do_read(), SQLITE_IOERR_SHORT_READ);
	assert_int_equal(vfs_fault(), 0);
	base.rc = SQLITE_IOERR_READ;
	base.with_errno = ENOENT; /* an answer */
	assert_int_equal(do_read(), SQLITE_IOERR_READ);
	assert_int_equal(vfs_fault(), 0);
	assert_int_equal(vfs_errno(), ENOENT);
	base.with_errno = ETIMEDOUT;
	assert_int_equal(do_read(), SQLITE_IOERR_READ);
	assert_int_equal(vfs_fault(), ETIMEDOUT);
	base.with_errno = EIO; /* the first one stays */
	assert_int_equal(do_read(), SQLITE_IOERR_READ);
	assert_int_equal(vfs_fault(), ETIMEDOUT);
	assert_int_equal(vfs_errno(), EIO);
	vfs_clear_errno();
	assert_int_equal(vfs_errno(), 0);
	assert_int_equal(vfs_fault(), ETIMEDOUT);
	vfs_forget_fault();
	assert_int_equal(vfs_fault(), 0);
	base.fails = SIZE;
	assert_int_equal(DO(xFileSize, &size), SQLITE_IOERR_READ);
	assert_int_equal(vfs_fault(), EIO);
	vfs_forget_fault();
	assert_int_equal(DO(xWrite, "abc", 3, 100), SQLITE_OK);
	base.size = 7;
	assert_int_equal(DO(xFileSize, &size), SQLITE_IOERR_READ);
	assert_int_equal(size, 7);
	vfs_forget_fault();
	base.fails = FULL;
	base.rc = SQLITE_OK_SYMLINK;
	assert_int_equal(layer->xFullPathname(layer, "n", sizeof name, name), SQLITE_OK_SYMLINK);
	assert_string_equal(name, "/full/n");
	assert_int_equal(vfs_fault(), 0);
	base.rc = SQLITE_CANTOPEN;
	assert_int_equal(layer->xFullPathname(layer, "n", sizeof name, name), SQLITE_CANTOPEN);
	assert_int_equal(vfs_fault(), EIO);
	vfs_forget_fault();
	base.fails = NO_OP;
	/* "Is it there?" */
	assert_int_equal(layer->xAccess(layer, "n", SQLITE_ACCESS_EXISTS, &found), SQLITE_OK);
	assert_int_equal(found, 1);
	base.finds_nothing = true;
	base.with_errno = ENOENT;
	assert_int_equal(layer->xAccess(layer, "n", SQLITE_ACCESS_READWRITE, &found), SQLITE_OK);
	assert_int_equal(base.last_arg, SQLITE_ACCESS_READWRITE);
	assert_int_equal(found, 0);
	assert_int_equal(vfs_fault(), 0);
	base.with_errno = EIO;
	assert_int_equal(layer->xAccess(layer, "n", 0, &found), SQLITE_IOERR_ACCESS);
	assert_int_equal(vfs_fault(), EIO);
	vfs_forget_fault();
	base.fails = ACCESS;
	base.rc = SQLITE_IOERR;
	assert_int_equal(layer->xAccess(layer, "n", 0, &found), SQLITE_IOERR);
	base.fails = NO_OP;
	assert_int_equal(DO(xClose), SQLITE_OK);
}

static void which_errno_is_an_answer(void **state)
{
	static const int answers[] = {0, ENOENT, ENOTDIR, EACCES, EPERM, EROFS, EISDIR, ELOOP, ENOSPC, EDQUOT, EFBIG};

	(void)state;
	for (int code = 0; code < 134; code++) {
		bool is_answer = false;

		for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
			is_answer |= code == answers[i];
		assert_int_equal(vfs_is_fault(code), !is_answer);
	}
}

static int open_with(const char *name, int flags)
{
	int got = 0;

	setup(NULL);
	return layer->xOpen(layer, name, file, flags, &got);
}

/* The name of a log is on the disk before the log is used. */
static void a_log_is_made_with_its_name(void **state)
{
	const int make = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	struct spooldir d;

	(void)state;
	spooldir_make(&d);
	for (int log = 0; log < 2; log++) {
		const int flags = make | (log ? SQLITE_OPEN_WAL : SQLITE_OPEN_MAIN_JOURNAL);

		assert_int_equal(open_with(d.path, flags), SQLITE_OK);
		assert_int_equal(base.asked[OPEN], 2);
		assert_int_equal(base.asked[CLOSE], 1);
		assert_int_equal(base.first_flags, flags);
		assert_int_equal(base.last_flags, flags & ~SQLITE_OPEN_CREATE);
		assert_int_equal(do_close(), SQLITE_OK);
		faultfs_arm(FAULTFS_SYNC_FOLDER, 1, EIO, false);
		assert_int_equal(open_with(d.path, flags), SQLITE_IOERR_DIR_FSYNC);
		assert_null(file->pMethods);
		assert_int_equal(faultfs_failed(), 1);
		assert_int_equal(vfs_fault(), EIO);
		faultfs_arm(FAULTFS_OPEN, 1, EMFILE, false);
		assert_int_equal(open_with(d.path, flags), SQLITE_IOERR_DIR_FSYNC);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(open_with("a-name", flags), SQLITE_OK);
		assert_int_equal(do_close(), SQLITE_OK);
		assert_int_equal(open_with("/a-name", flags), SQLITE_OK);
		assert_int_equal(do_close(), SQLITE_OK);
		assert_int_equal(open_with("/nowhere-at-all/a-name", flags), SQLITE_IOERR_DIR_FSYNC);
		assert_int_equal(open_with(d.path, flags & ~SQLITE_OPEN_CREATE), SQLITE_OK);
		assert_int_equal(base.asked[OPEN], 1);
		assert_int_equal(do_close(), SQLITE_OK);
		setup(NULL);
		base.fails = CLOSE;
		base.rc = SQLITE_IOERR_CLOSE;
		assert_int_equal(layer->xOpen(layer, d.path, file, flags, NULL), SQLITE_IOERR_CLOSE);
		assert_null(file->pMethods);
	}
	assert_int_equal(open_with("/nowhere-at-all/a-name", make | SQLITE_OPEN_MAIN_DB), SQLITE_OK);
	assert_int_equal(base.asked[OPEN], 1);
	assert_int_equal(do_close(), SQLITE_OK);
	spooldir_remove(&d);
}

static void an_open_that_fails_is_told(void **state)
{
	static const struct {
		int flags, with_errno, rc, fault;
	} cases[] = {
	    {SQLITE_OPEN_READWRITE, EIO, SQLITE_CANTOPEN, EIO}, /* opened for reading, for writing did not answer */
	    {SQLITE_OPEN_READWRITE, EACCES, SQLITE_OK, 0},
	    {SQLITE_OPEN_READWRITE, EROFS, SQLITE_OK, 0},
	    {SQLITE_OPEN_READONLY, EIO, SQLITE_OK, 0},
	};
	int got;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		setup(NULL);
		base.opens_read_only = true;
		base.with_errno = cases[i].with_errno;
		assert_int_equal(layer->xOpen(layer, "/tmp/x", file, cases[i].flags, &got), cases[i].rc);
		assert_int_equal(vfs_fault(), cases[i].fault);
		assert_int_equal(base.asked[CLOSE], cases[i].rc != SQLITE_OK);
		assert_int_equal(file->pMethods != NULL, cases[i].rc == SQLITE_OK);
		if (file->pMethods)
			assert_int_equal(do_close(), SQLITE_OK);
		setup(NULL);
		base.opens_read_only = true;
		base.with_errno = cases[i].with_errno;
		assert_int_equal(layer->xOpen(layer, "/tmp/x", file, cases[i].flags, NULL), SQLITE_OK);
		assert_int_equal(do_close(), SQLITE_OK);
	}
	setup(NULL);
	base.fails = OPEN;
	base.rc = SQLITE_CANTOPEN;
	base.with_errno = EMFILE;
	assert_int_equal(
	    layer->xOpen(layer, "/tmp/x", file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL | SQLITE_OPEN_CREATE, &got),
	    SQLITE_CANTOPEN);
	assert_null(file->pMethods);
	assert_int_equal(vfs_fault(), EMFILE);
	assert_int_equal(vfs_errno(), EMFILE);
}

static void the_rest_is_the_base(void **state)
{
	const char *name = vfs_register("base");
	char out[16] = "";
	double time = 0;
	sqlite3_int64 time64 = 0;
	int ret = 0;

	(void)state;
	assert_string_equal(name, "kspool-base");
	assert_ptr_equal(vfs_register("base"), name);
	assert_ptr_equal(sqlite3_vfs_find(name), layer);
	assert_int_equal(layer->iVersion, 2);
	assert_int_equal(layer->mxPathname, 333);
	assert_ptr_not_equal(sqlite3_vfs_find(NULL), layer);
	open_as(SQLITE_OPEN_WAL);
	assert_int_equal(DO(xLock, 3), SQLITE_OK);
	assert_int_equal(base.last_arg, 3);
	assert_int_equal(DO(xUnlock, 1), SQLITE_OK);
	assert_int_equal(base.last_arg, 1);
	assert_int_equal(DO(xCheckReservedLock, &ret), SQLITE_OK);
	assert_int_equal(ret, 17);
	assert_int_equal(DO(xSectorSize), 512);
	assert_int_equal(DO(xDeviceCharacteristics), 77);
	assert_int_equal(layer->xDelete(layer, "n", 1), SQLITE_OK);
	assert_int_equal(base.last_arg, 1);
	base.fails = DELETE;
	base.rc = SQLITE_IOERR_DELETE;
	base.with_errno = EIO;
	assert_int_equal(layer->xDelete(layer, "n", 0), SQLITE_IOERR_DELETE);
	assert_int_equal(vfs_errno(), EIO);
	assert_int_equal(vfs_fault(), 0);
	assert_int_equal(layer->xRandomness(layer, 3, out), 3);
	assert_string_equal(out, "rrr");
	assert_int_equal(layer->xSleep(layer, 42), 42);
	assert_int_equal(layer->xCurrentTime(layer, &time), SQLITE_OK);
	assert_true(time > 2.4 && time < 2.6);
	assert_int_equal(layer->xGetLastError(layer, sizeof out, out), 5);
	base_vfs.xGetLastError = NULL;
	assert_int_equal(layer->xGetLastError(layer, sizeof out, out), 0);
	base_vfs.xGetLastError = base_last;
	assert_int_equal(layer->xCurrentTimeInt64(layer, &time64), SQLITE_OK);
	assert_int_equal(time64, 99);
	for (int op = LOCK; op <= TIME64; op++)
		assert_true(base.asked[op] > 0 || op == CONTROL || op == CLOSE || op == OPEN || op == ACCESS ||
		            op == FULL);
	assert_int_equal(do_close(), SQLITE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(it_reads_as_if_nothing_were_held_back, setup),
	    cmocka_unit_test_setup(writes_are_gathered, setup),
	    cmocka_unit_test_setup(a_late_write_that_fails_is_told, setup),
	    cmocka_unit_test_setup(an_old_errno_is_not_told, setup),
	    cmocka_unit_test_setup(a_look_that_fails_is_remembered, setup),
	    cmocka_unit_test_setup(which_errno_is_an_answer, setup),
	    cmocka_unit_test_setup(a_log_is_made_with_its_name, setup),
	    cmocka_unit_test_setup(an_open_that_fails_is_told, setup),
	    cmocka_unit_test_setup(the_rest_is_the_base, setup),
	};
	int failed;

	faultfs_skip_syncs();
	if (sqlite3_vfs_register(&base_vfs, 0) != SQLITE_OK)
		return 1;
	layer = sqlite3_vfs_find(vfs_register("base"));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(file);
	return failed;
}
