/*
 * Gathered writes over another VFS.
 *
 * Invariants:
 * 1. gathered[0, used) is what belongs at file offset `at`; used is 0 when nothing is held back.
 * 2. What is held back is written before anything that could tell the difference: a sync, a truncation, a read that
 *    overlaps it, a write that does not continue it, the end of a commit, closing.
 * 3. used never passes GATHER_BYTES.
 * 4. After a failed write nothing is held back: the error stands, the write is not tried again.
 * 5. A log that is open has its name on the disk.
 * 6. An imprint knows of each write before it is held back, and of none that failed.
 */
#include "store/files/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "store/files/imprint.h"
#include "store/files/spool_files.h"

/* SQLite's unix VFS takes fewer than 2^17 bytes a call (os_unix.c: seekAndWriteFd). */
enum { GATHER_BYTES = (1 << 17) - 16 };

static _Thread_local int last_errno;
static _Thread_local int first_fault;
static _Thread_local struct vfs_counts counts;

/* The real file follows in the same block. */
struct layer_file {
	sqlite3_file head;
	struct imprint *imprint; /* null, likewise, for files that are not gathered */
	unsigned char *gathered; /* null until the first write */
	sqlite3_int64 at;        /* file offset of gathered[0] */
	int used;
	bool gathers, is_log;
	_Alignas(8) unsigned char below[];
};

static sqlite3_file *below(sqlite3_file *file)
{
	return (sqlite3_file *)(void *)((struct layer_file *)(void *)file)->below;
}

static int note(int rc)
{
	if (rc != SQLITE_OK)
		last_errno = errno;
	return rc;
}

bool vfs_is_fault(int code)
{
	static const int answers[] = {0, ENOENT, ENOTDIR, EACCES, EPERM, EROFS, EISDIR, ELOOP, ENOSPC, EDQUOT, EFBIG};

	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		if (code == answers[i])
			return false;
	return true;
}

/* A file was to be looked at, not changed. */
static int note_look(int rc)
{
	if (rc != SQLITE_OK && rc != SQLITE_OK_SYMLINK && rc != SQLITE_IOERR_SHORT_READ && first_fault == 0 &&
	    vfs_is_fault(errno))
		first_fault = errno;
	return note(rc);
}

static int write_below(struct layer_file *f, const void *data, int count, sqlite3_int64 offset)
{
	sqlite3_file *file = below(&f->head);
	int rc;

	errno = 0;
	counts.writes++;
	counts.written_bytes += (uint64_t)count;
	rc = note(file->pMethods->xWrite(file, data, count, offset));
	if (rc != SQLITE_OK && f->imprint)
		imprint_forget(f->imprint, offset);
	return rc;
}

static int flush(struct layer_file *f)
{
	int used = f->used;

	if (used == 0)
		return SQLITE_OK;
	f->used = 0;
	return write_below(f, f->gathered, used, f->at);
}

static int layer_close(sqlite3_file *file)
{
	struct layer_file *f = (struct layer_file *)(void *)file;
	int rc = flush(f);
	int rc_close = below(file)->pMethods->xClose(below(file));

	free(take(f->gathered));
	imprint_free(take(f->imprint));
	return rc != SQLITE_OK ? rc : rc_close;
}

/* Of a database SQLite and the rows themselves say whether it is sound; of a log SQLite believes each byte. */
static int compared(struct layer_file *f, const void *data, int count, sqlite3_int64 offset)
{
	if (f->is_log && !imprint_fits(f->imprint, data, (size_t)count, offset)) {
		errno = EBADMSG;
		return SQLITE_IOERR_DATA;
	}
	if (f->imprint)
		imprint_learn(f->imprint, data, (size_t)count, offset);
	return SQLITE_OK;
}

static int layer_read(sqlite3_file *file, void *data, int count, sqlite3_int64 offset)
{
	struct layer_file *f = (struct layer_file *)(void *)file;
	int rc;

	if (f->used > 0 && offset < f->at + f->used && offset + count > f->at) {
		rc = flush(f);
		if (rc != SQLITE_OK)
			return rc;
	}
	errno = 0;
	rc = below(file)->pMethods->xRead(below(file), data, count, offset);
	return note_look(rc == SQLITE_OK ? compared(f, data, count, offset) : rc);
}

static int layer_write(sqlite3_file *file, const void *data, int count, sqlite3_int64 offset)
{
	struct layer_file *f = (struct layer_file *)(void *)file;

	if (f->used > 0 && (offset != f->at + f->used || f->used + count > GATHER_BYTES)) {
		int rc = flush(f);

		if (rc != SQLITE_OK)
			return rc;
	}
	if (f->imprint)
		imprint_wrote(f->imprint, data, (size_t)count, offset);
	if (!f->gathers || count > GATHER_BYTES)
		return write_below(f, data, count, offset);
	if (!f->gathered)
		f->gathered = mem_alloc(GATHER_BYTES);
	if (f->used == 0)
		f->at = offset;
	memcpy(f->gathered + f->used, data, (size_t)count);
	f->used += count;
	return SQLITE_OK;
}

static int layer_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct layer_file *f = (struct layer_file *)(void *)file;
	int rc = flush(f);

	if (rc != SQLITE_OK)
		return rc;
	errno = 0;
	rc = note(below(file)->pMethods->xTruncate(below(file), size));
	if (f->imprint && rc == SQLITE_OK)
		imprint_cut(f->imprint, size);
	else if (f->imprint)
		imprint_forget(f->imprint, size);
	return rc;
}

static int layer_sync(sqlite3_file *file, int flags)
{
	int rc = flush((struct layer_file *)(void *)file);

	counts.syncs++;
	errno = 0;
	return rc != SQLITE_OK ? rc : note(below(file)->pMethods->xSync(below(file), flags));
}

static int layer_size(sqlite3_file *file, sqlite3_int64 *size)
{
	const struct layer_file *f = (struct layer_file *)(void *)file;
	int rc;

	errno = 0;
	rc = note_look(below(file)->pMethods->xFileSize(below(file), size));
	if (rc == SQLITE_OK && f->used > 0 && *size < f->at + f->used)
		*size = f->at + f->used;
	return rc;
}

static int layer_lock(sqlite3_file *file, int kind) { return below(file)->pMethods->xLock(below(file), kind); }

static int layer_unlock(sqlite3_file *file, int kind) { return below(file)->pMethods->xUnlock(below(file), kind); }

static int layer_reserved(sqlite3_file *file, int *ret)
{
	return below(file)->pMethods->xCheckReservedLock(below(file), ret);
}

/* SQLITE_FCNTL_SYNC comes before a commit's sync even when that sync is left out. */
static int layer_control(sqlite3_file *file, int op, void *arg)
{
	if (op == SQLITE_FCNTL_SYNC || op == SQLITE_FCNTL_COMMIT_PHASETWO) {
		int rc = flush((struct layer_file *)(void *)file);

		if (rc != SQLITE_OK)
			return rc;
	}
	return below(file)->pMethods->xFileControl(below(file), op, arg);
}

static int layer_sector(sqlite3_file *file)
{
	return below(file)->pMethods ? below(file)->pMethods->xSectorSize(below(file)) : 0;
}

static int layer_device(sqlite3_file *file)
{
	return below(file)->pMethods ? below(file)->pMethods->xDeviceCharacteristics(below(file)) : 0;
}

static const sqlite3_io_methods layer_methods = {
    .iVersion = 1,
    .xClose = layer_close,
    .xRead = layer_read,
    .xWrite = layer_write,
    .xTruncate = layer_truncate,
    .xSync = layer_sync,
    .xFileSize = layer_size,
    .xLock = layer_lock,
    .xUnlock = layer_unlock,
    .xCheckReservedLock = layer_reserved,
    .xFileControl = layer_control,
    .xSectorSize = layer_sector,
    .xDeviceCharacteristics = layer_device,
};

static sqlite3_vfs *base_of(sqlite3_vfs *vfs) { return vfs->pAppData; }

/* The names in the folder of `path`. */
static bool sync_folder_of(const char *path)
{
	AUTOFREE char *folder = mem_string(path);
	char *slash = strrchr(folder, '/');
	AUTOCLOSE int fd = -1;

	if (slash)
		slash[1] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0;
}

/* errno: why there can be no such file. The unix VFS tries to open it for reading then, which hides that. */
static void say_why_not(const char *name)
{
	const int before = errno;
	AUTOCLOSE int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)unlink(name);
	/* It was refused a moment ago: SQLite's second try, without making it, says only that it is not there. */
	if (fd >= 0)
		errno = before == ENOENT ? EIO : before;
	else if (errno == EEXIST)
		errno = before;
}

/*
 * SQLite syncs the folder of a log that it was allowed to make, and drops the error. So it may make the file, but not
 * keep it: the folder is synced here, and the file opened as one that was there.
 */
static int open_below(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	int rc = base->xOpen(base, name, file, flags, ret_flags);

	if (rc != SQLITE_OK && name && (flags & SQLITE_OPEN_CREATE))
		say_why_not(name);
	if (rc != SQLITE_OK || !(flags & SQLITE_OPEN_CREATE) || !(flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)))
		return rc;
	rc = file->pMethods->xClose(file);
	if (rc != SQLITE_OK || !sync_folder_of(name)) {
		file->pMethods = NULL;
		return rc != SQLITE_OK ? rc : SQLITE_IOERR_DIR_FSYNC;
	}
	return base->xOpen(base, name, file, flags & ~SQLITE_OPEN_CREATE, ret_flags);
}

static int layer_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct layer_file *f = (struct layer_file *)(void *)file;
	sqlite3_int64 size;
	int rc;

	memset(f, 0, sizeof *f);
	f->is_log = (flags & SQLITE_OPEN_WAL) != 0;
	f->gathers = f->is_log || (flags & SQLITE_OPEN_MAIN_DB);
	errno = 0;
	rc = note_look(open_below(base_of(vfs), name, below(file), flags, ret_flags));
	if (rc == SQLITE_OK && (flags & SQLITE_OPEN_READWRITE) && ret_flags && (*ret_flags & SQLITE_OPEN_READONLY) &&
	    (vfs_is_fault(errno) ||
	     files_errno_is_full(errno))) { /* the unix VFS opens for reading what it failed to open for writing */
		int failed = errno;

		(void)below(file)->pMethods->xClose(below(file));
		errno = failed;
		return note_look(SQLITE_CANTOPEN);
	}
	if (!below(file)->pMethods)
		return rc;
	f->head.pMethods = &layer_methods; /* SQLite closes what has methods, also after a failed open */
	if (f->gathers)
		f->imprint = imprint_new(f->is_log ? IMPRINT_OF_LOG : IMPRINT_OF_DATABASE);
	if (f->is_log && below(file)->pMethods->xFileSize(below(file), &size) == SQLITE_OK && size == 0)
		imprint_cut(f->imprint, 0);
	return rc;
}

static int layer_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	const size_t length = strlen(name);

	if (length > 4 && strcmp(name + length - 4, "-wal") == 0)
		return SQLITE_IOERR_DELETE; /* it would that of an empty file; ours are removed by name, by us */
	errno = 0;
	return note(base_of(vfs)->xDelete(base_of(vfs), name, sync_dir));
}

static int layer_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	const size_t length = strlen(name);
	int rc;

	*ret = 0;
	if (length > 8 && strcmp(name + length - 8, "-journal") == 0)
		return SQLITE_OK; /* a spool has none: one that lies there is another's, and would be played back over
		                     it */
	errno = 0;
	rc = base_of(vfs)->xAccess(base_of(vfs), name, flags, ret);
	if (rc == SQLITE_OK && !*ret && vfs_is_fault(errno))
		rc = SQLITE_IOERR_ACCESS; /* "I could not look" is not "it is not there" */
	return note_look(rc);
}

static int layer_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	errno = 0;
	return note_look(base_of(vfs)->xFullPathname(base_of(vfs), name, size, out));
}

static int layer_random(sqlite3_vfs *vfs, int count, char *out)
{
	return base_of(vfs)->xRandomness(base_of(vfs), count, out);
}

static int layer_sleep(sqlite3_vfs *vfs, int microseconds) { return base_of(vfs)->xSleep(base_of(vfs), microseconds); }

static int layer_time(sqlite3_vfs *vfs, double *ret) { return base_of(vfs)->xCurrentTime(base_of(vfs), ret); }

static int layer_last_error(sqlite3_vfs *vfs, int size, char *out)
{
	return base_of(vfs)->xGetLastError ? base_of(vfs)->xGetLastError(base_of(vfs), size, out) : 0;
}

static int layer_time64(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
	return base_of(vfs)->xCurrentTimeInt64(base_of(vfs), ret);
}

/* Opened for reading alone: the database, and its log, which SQLite never asks for in that way. */
static int reader_close(sqlite3_file *file)
{
	return below(file)->pMethods ? below(file)->pMethods->xClose(below(file)) : SQLITE_OK;
}

static int reader_read(sqlite3_file *file, void *data, int count, sqlite3_int64 offset)
{
	errno = 0;
	if (below(file)->pMethods)
		return note_look(below(file)->pMethods->xRead(below(file), data, count, offset));
	memset(data, 0, (size_t)count);
	return SQLITE_IOERR_SHORT_READ;
}

static int reader_write(sqlite3_file *file, const void *data, int count, sqlite3_int64 offset)
{
	(void)file;
	(void)data;
	(void)count;
	(void)offset;
	return SQLITE_READONLY;
}

static int reader_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	(void)file;
	(void)size;
	return SQLITE_READONLY;
}

static int reader_sync(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return SQLITE_OK;
}

static int reader_size(sqlite3_file *file, sqlite3_int64 *size)
{
	*size = 0;
	errno = 0;
	return below(file)->pMethods ? note_look(below(file)->pMethods->xFileSize(below(file), size)) : SQLITE_OK;
}

static int reader_lock(sqlite3_file *file, int kind)
{
	return below(file)->pMethods && kind == SQLITE_LOCK_SHARED ? below(file)->pMethods->xLock(below(file), kind)
	                                                           : SQLITE_OK;
}

static int reader_unlock(sqlite3_file *file, int kind)
{
	return below(file)->pMethods ? below(file)->pMethods->xUnlock(below(file), kind) : SQLITE_OK;
}

static int reader_reserved(sqlite3_file *file, int *ret)
{
	(void)file;
	*ret = 0;
	return SQLITE_OK;
}

static int reader_control(sqlite3_file *file, int op, void *arg)
{
	return below(file)->pMethods ? below(file)->pMethods->xFileControl(below(file), op, arg) : SQLITE_NOTFOUND;
}

static const sqlite3_io_methods reader_methods = {
    .iVersion = 1,
    .xClose = reader_close,
    .xRead = reader_read,
    .xWrite = reader_write,
    .xTruncate = reader_truncate,
    .xSync = reader_sync,
    .xFileSize = reader_size,
    .xLock = reader_lock,
    .xUnlock = reader_unlock,
    .xCheckReservedLock = reader_reserved,
    .xFileControl = reader_control,
    .xSectorSize = layer_sector,
    .xDeviceCharacteristics = layer_device,
};

static int reader_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	const bool is_log = (flags & SQLITE_OPEN_WAL) != 0;
	struct layer_file *f = (struct layer_file *)(void *)file;
	int rc;

	if (!is_log && !(flags & SQLITE_OPEN_READONLY)) /* what the database is copied into */
		return layer_open(vfs, name, file, flags, ret_flags);
	memset(f, 0, sizeof *f);
	flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
	errno = 0;
	rc = base_of(vfs)->xOpen(base_of(vfs), name, below(file), flags, ret_flags);
	if (rc != SQLITE_OK && is_log && errno == ENOENT) { /* there is none: no error, and nobody's reason for one */
		below(file)->pMethods = NULL;
		rc = SQLITE_OK;
	}
	if (note_look(rc) == SQLITE_OK)
		f->head.pMethods = &reader_methods;
	return rc;
}

static const char *register_layer(const char *base_name, const char *prefix, bool is_reader)
{
	sqlite3_vfs *base = sqlite3_vfs_find(base_name);
	sqlite3_vfs *layer;
	char name[128];

	must(base && base->iVersion >= 2);
	(void)snprintf(name, sizeof name, "%s-%s", prefix, base->zName);
	layer = sqlite3_vfs_find(name);
	if (layer)
		return layer->zName;
	layer = mem_zero(sizeof *layer); /* lives as long as the process */
	layer->iVersion = 2;
	layer->szOsFile = (int)sizeof(struct layer_file) + base->szOsFile;
	layer->mxPathname = base->mxPathname;
	layer->zName = mem_string(name);
	layer->pAppData = base;
	layer->xOpen = is_reader ? reader_open : layer_open;
	layer->xDelete = layer_delete;
	layer->xAccess = layer_access;
	layer->xFullPathname = layer_full_path;
	layer->xRandomness = layer_random;
	layer->xSleep = layer_sleep;
	layer->xCurrentTime = layer_time;
	layer->xGetLastError = layer_last_error;
	layer->xCurrentTimeInt64 = layer_time64;
	must(sqlite3_vfs_register(layer, 0) == SQLITE_OK);
	return layer->zName;
}

const char *vfs_register(const char *base) { return register_layer(base, "kspool", false); }

const char *vfs_register_reader(const char *base) { return register_layer(base, "kspool-reader", true); }

/* Null: it is not open. */
static struct layer_file *file_of(sqlite3 *db, enum vfs_file which)
{
	sqlite3_file *file = NULL;
	int op = which == VFS_LOG ? SQLITE_FCNTL_JOURNAL_POINTER : SQLITE_FCNTL_FILE_POINTER;

	if (sqlite3_file_control(db, "main", op, &file) != SQLITE_OK || !file || file->pMethods != &layer_methods)
		return NULL;
	return (struct layer_file *)(void *)file;
}

/* Null: there is nothing to compare it with. */
static struct layer_file *known_file(sqlite3 *db, enum vfs_file which)
{
	struct layer_file *f = file_of(db, which);

	if (!f || !f->imprint || f->used > 0)
		return NULL;
	if (!f->gathered)
		f->gathered = mem_alloc(GATHER_BYTES);
	return f;
}

static enum vfs_seen look_at_piece(struct layer_file *f, int64_t offset, size_t count)
{
	int rc;

	errno = 0;
	rc = below(&f->head)->pMethods->xRead(below(&f->head), f->gathered, (int)count, offset);
	if (rc == SQLITE_IOERR_SHORT_READ)
		return VFS_CHANGED;
	if (note_look(rc) != SQLITE_OK)
		return VFS_UNREADABLE;
	return imprint_fits(f->imprint, f->gathered, count, offset) ? VFS_SAME : VFS_CHANGED;
}

enum vfs_seen vfs_look(struct sqlite3 *db, enum vfs_file which, bool glance)
{
	struct layer_file *f = known_file(db, which);
	enum vfs_seen seen = VFS_SAME;
	sqlite3_int64 size;
	int64_t offset;
	size_t count;

	if (!f)
		return VFS_SAME;
	if (!imprint_piece(f->imprint, glance, 0, &offset, &count) || !glance) {
		if (layer_size(&f->head, &size) != SQLITE_OK)
			return VFS_UNREADABLE;
		if (!imprint_fits_size(f->imprint, size))
			return VFS_CHANGED;
	}
	for (unsigned n = 0; seen == VFS_SAME && imprint_piece(f->imprint, glance, n, &offset, &count); n++)
		seen = look_at_piece(f, offset, count);
	return seen;
}

enum vfs_seen vfs_look_at_zeros(struct sqlite3 *db, int64_t offset)
{
	struct layer_file *f = known_file(db, VFS_LOG);
	enum vfs_seen seen = VFS_SAME;
	int64_t at;
	size_t count;

	for (unsigned n = 0; f && seen == VFS_SAME && imprint_piece_at(f->imprint, offset, n, &at, &count); n++)
		seen = look_at_piece(f, at, count);
	return seen;
}

int vfs_errno(void) { return last_errno; }

void vfs_clear_errno(void) { last_errno = 0; }

int vfs_fault(void) { return first_fault; }

void vfs_forget_fault(void) { first_fault = 0; }

struct vfs_counts vfs_counts(void) { return counts; }
