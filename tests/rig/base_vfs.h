/*
 * base_vfs: a VFS whose only file is in memory; it notes what it is asked, and one operation of it can fail.
 */
#ifndef KSPOOL_TESTS_BASE_VFS_H
#define KSPOOL_TESTS_BASE_VFS_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sqlite3.h>

enum { ROOM = 1 << 20, GATHERED = (1 << 17) - 16 };

enum op {
	NO_OP,
	READ,
	WRITE,
	TRUNCATE,
	SYNC,
	SIZE,
	LOCK,
	UNLOCK,
	RESERVED,
	CONTROL,
	SECTOR,
	DEVICE,
	CLOSE,
	OPEN,
	DELETE,
	ACCESS,
	FULL,
	RANDOM,
	SLEEP,
	TIME,
	LAST,
	TIME64,
	OPS
};

/* The file below, and what was asked of it. */
static struct {
	unsigned char bytes[ROOM];
	sqlite3_int64 size;
	int asked[OPS];
	enum op fails;
	int rc, with_errno;
	int last_flags, first_flags, last_arg;
	sqlite3_int64 write_at;
	int write_count;
	bool opens_read_only, finds_nothing;
} base;

static inline int answer(enum op op)
{
	base.asked[op]++;
	if (base.fails != op)
		return SQLITE_OK;
	errno = base.with_errno < 0 ? errno : base.with_errno; /* it may leave errno as it was */
	return base.rc;
}

static inline int base_close(sqlite3_file *f)
{
	f->pMethods = NULL;
	return answer(CLOSE);
}

static inline int base_read(sqlite3_file *f, void *to, int count, sqlite3_int64 at)
{
	(void)f;
	memcpy(to, base.bytes + at, (size_t)count);
	return answer(READ);
}

static inline int base_write(sqlite3_file *f, const void *from, int count, sqlite3_int64 at)
{
	int rc = answer(WRITE);

	(void)f;
	base.write_at = at;
	base.write_count = count;
	if (rc != SQLITE_OK)
		return rc;
	memcpy(base.bytes + at, from, (size_t)count);
	base.size = at + count > base.size ? at + count : base.size;
	return rc;
}

static inline int base_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	(void)f;
	memset(base.bytes + size, 0, (size_t)(ROOM - size));
	base.size = size;
	return answer(TRUNCATE);
}

static inline int base_sync(sqlite3_file *f, int flags)
{
	(void)f;
	base.last_arg = flags;
	return answer(SYNC);
}

static inline int base_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	(void)f;
	*ret = base.size;
	return answer(SIZE);
}

static inline int base_lock(sqlite3_file *f, int kind)
{
	(void)f;
	base.last_arg = kind;
	return answer(LOCK);
}

static inline int base_unlock(sqlite3_file *f, int kind)
{
	(void)f;
	base.last_arg = kind;
	return answer(UNLOCK);
}

static inline int base_reserved(sqlite3_file *f, int *ret)
{
	(void)f;
	*ret = 17;
	return answer(RESERVED);
}

static inline int base_control(sqlite3_file *f, int op, void *arg)
{
	(void)f, (void)arg;
	base.last_arg = op;
	return answer(CONTROL);
}

static inline int base_sector(sqlite3_file *f)
{
	(void)f;
	return answer(SECTOR) + 512;
}

static inline int base_device(sqlite3_file *f)
{
	(void)f;
	return answer(DEVICE) + 77;
}

static const sqlite3_io_methods base_methods = {
    1,         base_close,  base_read,     base_write,   base_truncate, base_sync,   base_size,
    base_lock, base_unlock, base_reserved, base_control, base_sector,   base_device, NULL,
    NULL,      NULL,        NULL,          NULL,         NULL};

static inline int base_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *ret_flags)
{
	int rc;

	(void)v, (void)name;
	rc = answer(OPEN);
	if (base.asked[OPEN] == 1)
		base.first_flags = flags;
	base.last_flags = flags;
	f->pMethods = rc == SQLITE_OK ? &base_methods : NULL;
	if (ret_flags)
		*ret_flags = base.opens_read_only ? SQLITE_OPEN_READONLY : flags;
	if (base.opens_read_only)
		errno = base.with_errno;
	return rc;
}

static inline int base_delete(sqlite3_vfs *v, const char *name, int sync_folder)
{
	(void)v, (void)name;
	base.last_arg = sync_folder;
	return answer(DELETE);
}

static inline int base_access(sqlite3_vfs *v, const char *name, int flags, int *ret)
{
	(void)v, (void)name;
	base.last_arg = flags;
	*ret = !base.finds_nothing;
	if (base.finds_nothing)
		errno = base.with_errno;
	return answer(ACCESS);
}

static inline int base_full(sqlite3_vfs *v, const char *name, int size, char *out)
{
	(void)v;
	(void)sqlite3_snprintf(size, out, "/full/%s", name);
	return answer(FULL);
}

static inline int base_random(sqlite3_vfs *v, int count, char *out)
{
	(void)v;
	memset(out, 'r', (size_t)count);
	return answer(RANDOM) + count;
}

static inline int base_sleep(sqlite3_vfs *v, int us)
{
	(void)v;
	return answer(SLEEP) + us;
}

static inline int base_time(sqlite3_vfs *v, double *ret)
{
	(void)v;
	*ret = 2.5;
	return answer(TIME);
}

static inline int base_last(sqlite3_vfs *v, int size, char *out)
{
	(void)v, (void)size, (void)out;
	return answer(LAST) + 5;
}

static inline int base_time64(sqlite3_vfs *v, sqlite3_int64 *ret)
{
	(void)v;
	*ret = 99;
	return answer(TIME64);
}

static sqlite3_vfs base_vfs = {.iVersion = 2,
                               .szOsFile = sizeof(sqlite3_file),
                               .mxPathname = 333,
                               .zName = "base",
                               .xOpen = base_open,
                               .xDelete = base_delete,
                               .xAccess = base_access,
                               .xFullPathname = base_full,
                               .xRandomness = base_random,
                               .xSleep = base_sleep,
                               .xCurrentTime = base_time,
                               .xGetLastError = base_last,
                               .xCurrentTimeInt64 = base_time64};

#endif
