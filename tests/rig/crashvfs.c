#include "rig/crashvfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/spooldir.h"
#include "rig/errorwatch.h"
#include "rig/faultpoints.h"

enum { NAMES_MAX = 16, SECTOR = 512 };

static struct {
	bool recording;
	struct crash_op *ops;
	size_t count, capacity, base_count;
	char *names[NAMES_MAX]; /* whole paths */
	int name_count;
	uint64_t calls, fail_at, failed;
	enum fault fault;
	bool persistent;
	void (*deed)(void *arg);
	void *deed_arg;
	uint64_t deed_in;
} now;

struct crash_file {
	sqlite3_file head;
	int id;
	_Alignas(8) unsigned char below[];
};

static sqlite3_file *below(sqlite3_file *file) { return (sqlite3_file *)((struct crash_file *)file)->below; }

static int id_of(sqlite3_file *file) { return ((struct crash_file *)file)->id; }

static int name_id(const char *name)
{
	for (int i = 0; i < now.name_count; i++)
		if (strcmp(now.names[i], name) == 0)
			return i;
	must(now.name_count < NAMES_MAX);
	now.names[now.name_count] = mem_string(name);
	return now.name_count++;
}

static struct crash_op *add_op(enum crash_kind kind, int file)
{
	static struct crash_op unused;

	if (!now.recording)
		return &unused;
	if (now.count == now.capacity) {
		now.capacity = now.capacity ? now.capacity * 2 : 1024;
		now.ops = mem_grow(now.ops, now.capacity, sizeof *now.ops);
	}
	now.ops[now.count] = (struct crash_op){.kind = kind, .file = file};
	return &now.ops[now.count++];
}

/* True when this call is to fail; errno says how. */
static bool fails(void)
{
	now.calls++;
	if (now.fail_at > 0)
		faultpoints_pass();
	if (now.fail_at == 0 || now.calls < now.fail_at || (now.calls > now.fail_at && !now.persistent))
		return false;
	now.failed++;
	errorwatch_fault("");
	errno = now.fault == FAULT_ENOSPC ? ENOSPC : EIO;
	return true;
}

static int file_close(sqlite3_file *file) { return below(file)->pMethods->xClose(below(file)); }

static int file_read(sqlite3_file *file, void *data, int count, sqlite3_int64 offset)
{
	if (now.fault != FAULT_ENOSPC && fails())
		return SQLITE_IOERR_READ;
	return below(file)->pMethods->xRead(below(file), data, count, offset);
}

static int file_write(sqlite3_file *file, const void *data, int count, sqlite3_int64 offset)
{
	struct crash_op *op;

	if (now.deed && --now.deed_in == 0)
		take(now.deed)(now.deed_arg);
	if (fails()) {
		int system = errno;

		if (now.fault == FAULT_SHORT && count > 1)
			(void)below(file)->pMethods->xWrite(below(file), data, count / 2, offset);
		errno = system;
		return now.fault == FAULT_ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	}
	op = add_op(CRASH_WRITE, id_of(file));
	if (now.recording) {
		op->offset = offset;
		op->count = (size_t)count;
		op->bytes = mem_alloc((size_t)count);
		memcpy(op->bytes, data, (size_t)count);
	}
	return below(file)->pMethods->xWrite(below(file), data, count, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	if (fails())
		return SQLITE_IOERR_TRUNCATE;
	add_op(CRASH_TRUNCATE, id_of(file))->offset = size;
	return below(file)->pMethods->xTruncate(below(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
	(void)flags;
	if (fails())
		return SQLITE_IOERR_FSYNC;
	(void)add_op(CRASH_SYNC, id_of(file));
	return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	if (now.fault != FAULT_ENOSPC && fails())
		return SQLITE_IOERR_FSTAT;
	return below(file)->pMethods->xFileSize(below(file), size);
}

static int file_lock(sqlite3_file *file, int kind) { return below(file)->pMethods->xLock(below(file), kind); }
static int file_unlock(sqlite3_file *file, int kind) { return below(file)->pMethods->xUnlock(below(file), kind); }
static int file_reserved(sqlite3_file *file, int *ret)
{
	return below(file)->pMethods->xCheckReservedLock(below(file), ret);
}
static int file_control(sqlite3_file *file, int op, void *arg)
{
	return below(file)->pMethods->xFileControl(below(file), op, arg);
}
static int file_sector(sqlite3_file *file) { return below(file)->pMethods->xSectorSize(below(file)); }
static int file_device(sqlite3_file *file) { return below(file)->pMethods->xDeviceCharacteristics(below(file)); }

static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_device,
};

static sqlite3_vfs *base_of(sqlite3_vfs *vfs) { return vfs->pAppData; }

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct crash_file *f = (struct crash_file *)file;
	int rc;

	f->head.pMethods = NULL;
	((sqlite3_file *)f->below)->pMethods = NULL;
	if (!(now.fault == FAULT_ENOSPC && name && access(name, F_OK) == 0) &&
	    fails()) /* what is there needs no room */
		return now.fault == FAULT_ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN;
	rc = base_of(vfs)->xOpen(base_of(vfs), name, below(file), flags, ret_flags);
	if (below(file)->pMethods)
		f->head.pMethods = &file_methods;
	f->id = !now.recording ? -1 : name_id(name ? name : "(temporary)");
	return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	if (fails())
		return SQLITE_IOERR_DELETE;
	if (now.recording)
		(void)add_op(CRASH_DELETE, name_id(name));
	(void)sync_dir;
	return base_of(vfs)->xDelete(base_of(vfs), name, 0);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	return base_of(vfs)->xAccess(base_of(vfs), name, flags, ret);
}
static int vfs_full(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	return base_of(vfs)->xFullPathname(base_of(vfs), name, size, out);
}
static int vfs_random(sqlite3_vfs *vfs, int count, char *out)
{
	return base_of(vfs)->xRandomness(base_of(vfs), count, out);
}
static int vfs_sleep(sqlite3_vfs *vfs, int us) { return base_of(vfs)->xSleep(base_of(vfs), us); }
static int vfs_time(sqlite3_vfs *vfs, double *ret) { return base_of(vfs)->xCurrentTime(base_of(vfs), ret); }
static int vfs_error(sqlite3_vfs *vfs, int size, char *out)
{
	return base_of(vfs)->xGetLastError(base_of(vfs), size, out);
}
static int vfs_time64(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
	return base_of(vfs)->xCurrentTimeInt64(base_of(vfs), ret);
}

void crashvfs_register(void)
{
	static sqlite3_vfs vfs;
	sqlite3_vfs *base = sqlite3_vfs_find(NULL);

	if (vfs.zName)
		return;
	vfs = (sqlite3_vfs){
	    .iVersion = 2,
	    .szOsFile = (int)sizeof(struct crash_file) + base->szOsFile,
	    .mxPathname = base->mxPathname,
	    .zName = CRASHVFS_NAME,
	    .pAppData = base,
	    .xOpen = vfs_open,
	    .xDelete = vfs_delete,
	    .xAccess = vfs_access,
	    .xFullPathname = vfs_full,
	    .xRandomness = vfs_random,
	    .xSleep = vfs_sleep,
	    .xCurrentTime = vfs_time,
	    .xGetLastError = vfs_error,
	    .xCurrentTimeInt64 = vfs_time64,
	};
	must(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

static void record_file(const char *path, const char *suffix)
{
	AUTOFREE char *name = mem_format("%s%s", path, suffix);
	size_t count;
	unsigned char *bytes = spooldir_load(name, &count);
	struct crash_op *op;

	if (!bytes)
		return;
	op = add_op(CRASH_WRITE, name_id(name));
	op->bytes = bytes;
	op->count = count;
	(void)add_op(CRASH_SYNC, name_id(name));
}

void crashvfs_record(const char *path)
{
	for (size_t i = 0; i < now.count; i++)
		free(now.ops[i].bytes);
	for (int i = 0; i < now.name_count; i++)
		free(now.names[i]);
	now.name_count = 0;
	now.count = 0;
	now.recording = true;
	record_file(path, "");
	record_file(path, "-wal");
	now.base_count = now.count;
}

void crashvfs_stop(void) { now.recording = false; }

void crashvfs_note(int note, uint64_t first, uint64_t last)
{
	struct crash_op *op = add_op(CRASH_NOTE, -1);

	op->note = note;
	op->first = first;
	op->last = last;
}

size_t crashvfs_count(void) { return now.count; }

const struct crash_op *crashvfs_op(size_t i) { return &now.ops[i]; }

const char *crashvfs_name(int file)
{
	static const char *const suffixes[] = {"-wal", "-journal"};
	size_t length = strlen(now.names[file]);

	for (size_t i = 0; i < 2; i++)
		if (length > strlen(suffixes[i]) &&
		    strcmp(now.names[file] + length - strlen(suffixes[i]), suffixes[i]) == 0)
			return suffixes[i];
	return "";
}

struct image {
	unsigned char *bytes;
	size_t size, room;
	bool exists;
};

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void image_size(struct image *im, size_t size)
{
	if (size > im->room) {
		im->bytes = mem_grow(im->bytes, size * 2, 1);
		memset(im->bytes + im->room, 0, size * 2 - im->room);
		im->room = size * 2;
	}
	if (size < im->size && im->bytes)
		memset(im->bytes + size, 0, im->size - size);
	im->size = size;
	im->exists = true;
}

static void image_write(struct image *im, const struct crash_op *op, size_t from, size_t count)
{
	size_t end = (size_t)op->offset + from + count;

	if (count == 0)
		return;
	if (end > im->size)
		image_size(im, end);
	memcpy(im->bytes + op->offset + from, op->bytes + from, count);
	im->exists = true;
}

/* Whole sectors of the file survive or do not. */
static void write_sectors(struct image *im, const struct crash_op *op, uint64_t *x, unsigned lose_of_8)
{
	size_t at = 0;

	while (at < op->count) {
		size_t sector_end = SECTOR - ((size_t)op->offset + at) % SECTOR;
		size_t n = sector_end < op->count - at ? sector_end : op->count - at;

		if (next_random(x) % 8 >= lose_of_8)
			image_write(im, op, at, n);
		at += n;
	}
}

static void apply(struct image *im, const struct crash_op *op, bool durable, enum crash_strategy strategy, uint64_t *x)
{
	if (op->kind == CRASH_DELETE) {
		im->exists = false;
		im->size = 0;
		return;
	}
	if (!durable && (strategy == KEEP_NOTHING || (strategy == KEEP_SOME && next_random(x) % 2)))
		return;
	if (op->kind == CRASH_TRUNCATE)
		image_size(im, (size_t)op->offset);
	else if (durable || strategy == KEEP_ALL || strategy == KEEP_SOME)
		image_write(im, op, 0, op->count);
	else if (strategy == LOSE_SECTORS)
		write_sectors(im, op, x, 4);
	else if (next_random(x) % 4 == 0)
		image_write(im, op, 0, next_random(x) % (op->count + 1));
	else
		image_write(im, op, 0, op->count);
}

void crashvfs_build(const char *path, size_t cut, enum crash_strategy strategy, uint64_t seed)
{
	struct image images[NAMES_MAX] = {0};
	size_t synced[NAMES_MAX] = {0}; /* operations before this index are durable */
	uint64_t x = seed * 2 + 1;

	cut = cut < now.base_count ? now.base_count : cut;
	for (size_t i = 0; i < cut; i++)
		if (now.ops[i].kind == CRASH_SYNC)
			synced[now.ops[i].file] = i;
	for (size_t i = 0; i < cut; i++) {
		const struct crash_op *op = &now.ops[i];

		if (op->kind != CRASH_SYNC && op->kind != CRASH_NOTE)
			apply(&images[op->file], op, i < synced[op->file], strategy, &x);
	}
	for (int f = 0; f < now.name_count; f++) {
		AUTOFREE char *name = mem_format("%s%s", path, crashvfs_name(f));

		if (images[f].exists)
			spooldir_store(name, images[f].bytes, images[f].size);
		free(images[f].bytes);
	}
}

void crashvfs_meanwhile(uint64_t n, void (*deed)(void *arg), void *arg)
{
	now.deed = deed;
	now.deed_arg = arg;
	now.deed_in = n;
}

void crashvfs_fail(uint64_t n, enum fault fault, bool persistent)
{
	if (n > 0)
		errorwatch_begin();
	now.calls = 0;
	now.failed = 0;
	now.fail_at = n;
	now.fault = fault;
	now.persistent = persistent;
}

uint64_t crashvfs_failed(void) { return now.failed; }
