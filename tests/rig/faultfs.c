#include "rig/faultfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig/errorwatch.h"
#include "rig/faultpoints.h"

static struct {
	unsigned kinds;
	uint64_t at, calls, failed;
	int error;
	bool persistent;
} armed;

void faultfs_arm(unsigned kinds, uint64_t n, int error, bool persistent)
{
	if (n > 0)
		errorwatch_begin();
	armed.kinds = kinds;
	armed.at = n;
	armed.calls = armed.failed = 0;
	armed.error = error;
	armed.persistent = persistent;
}

uint64_t faultfs_failed(void) { return armed.failed; }

static bool skips_syncs;

void faultfs_skip_syncs(void) { skips_syncs = true; }

static char what[512];

const char *faultfs_what(void) { return what; }

/* `path`: of what; null: of this descriptor. */
static void note_what(unsigned kind, int fd, const char *path)
{
	char link[64], text[600];
	ssize_t n;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = path ? snprintf(what, sizeof what, "%s", path) : readlink(link, what, sizeof what - 1);
	what[n < 0 ? 0 : n < (ssize_t)sizeof what ? n : (ssize_t)sizeof what - 1] = '\0';
	(void)snprintf(text, sizeof text, "%s%s",
	               kind & FAULTFS_STAT   ? "stat "
	               : kind & FAULTFS_SYNC ? "sync "
	                                     : "",
	               what);
	errorwatch_fault(text);
}

static bool fails(unsigned kind, int fd, const char *path)
{
	if (armed.at == 0 || !(armed.kinds & kind))
		return false;
	armed.calls++;
	faultpoints_pass();
	if (armed.calls < armed.at || (armed.calls > armed.at && !armed.persistent))
		return false;
	if (armed.error == FAULTFS_KILL)
		(void)kill(getpid(), SIGKILL);
	/* What answers a full disk: what is there already can be read, opened, removed. */
	if (armed.error == ENOSPC && (kind & (FAULTFS_READ | FAULTFS_OPEN | FAULTFS_STAT | FAULTFS_UNLINK)))
		return false;
	armed.failed++;
	note_what(kind, fd, path);
	errno = armed.error;
	return true;
}

static bool fails_of(unsigned kind, int fd) { return fails(kind, fd, NULL); }

ssize_t pread64(int fd, void *to, size_t count, off_t offset);
ssize_t pwrite64(int fd, const void *from, size_t count, off_t offset);
int open64(const char *path, int flags, ...);
int openat64(int dir, const char *path, int flags, ...);
int ftruncate64(int fd, off_t size);
int posix_fallocate64(int fd, off_t from, off_t count);

static struct {
	const char *end;
	int64_t from, bytes;
} dead;

void faultfs_dead(const char *end, int64_t from, int64_t bytes)
{
	if (end)
		errorwatch_begin();
	dead.end = end;
	dead.from = from;
	dead.bytes = bytes;
}

static bool is_dead(int fd, size_t count, off_t offset)
{
	char link[64], path[512];
	ssize_t n;

	if (!dead.end || offset >= dead.from + dead.bytes || offset + (off_t)count <= dead.from)
		return false;
	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	if (strlen(path) < strlen(dead.end) || strcmp(path + strlen(path) - strlen(dead.end), dead.end) != 0)
		return false;
	note_what(FAULTFS_READ, fd, NULL);
	errno = EIO;
	return true;
}

static struct {
	const char *folder;
	int64_t bytes;
} disk;

static int64_t bytes_of(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	struct stat st;
	int64_t sum = 0;

	while (dir && (entry = readdir(dir)))
		if (syscall(SYS_newfstatat, dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			sum += st.st_size;
	if (dir)
		(void)closedir(dir);
	return sum;
}

void faultfs_disk(const char *folder, int64_t free_bytes)
{
	disk.folder = folder;
	disk.bytes = folder ? bytes_of(folder) + free_bytes : 0;
}

/* Whether a write that ends at `end` finds no room. */
static bool is_full(int fd, int64_t end)
{
	struct stat st;

	if (!disk.folder || syscall(SYS_fstat, fd, &st) != 0 || end <= st.st_size ||
	    bytes_of(disk.folder) + end - st.st_size <= disk.bytes)
		return false;
	errno = ENOSPC;
	return true;
}

ssize_t pread(int fd, void *to, size_t count, off_t offset)
{
	if (is_dead(fd, count, offset))
		return -1;
	return fails_of(FAULTFS_READ, fd) ? -1 : syscall(SYS_pread64, fd, to, count, offset);
}

ssize_t pread64(int fd, void *to, size_t count, off_t offset) { return pread(fd, to, count, offset); }

ssize_t read(int fd, void *to, size_t count)
{
	return fails_of(FAULTFS_READ, fd) ? -1 : syscall(SYS_read, fd, to, count);
}

ssize_t pwrite(int fd, const void *from, size_t count, off_t offset)
{
	if (is_full(fd, offset + (int64_t)count))
		return -1;
	return fails_of(FAULTFS_WRITE, fd) ? -1 : syscall(SYS_pwrite64, fd, from, count, offset);
}

ssize_t pwrite64(int fd, const void *from, size_t count, off_t offset) { return pwrite(fd, from, count, offset); }

ssize_t write(int fd, const void *from, size_t count)
{
	if (is_full(fd, syscall(SYS_lseek, fd, 0, SEEK_CUR) + (int64_t)count))
		return -1;
	return fails_of(FAULTFS_WRITE, fd) ? -1 : syscall(SYS_write, fd, from, count);
}

static int open_at(int dir, const char *path, int flags, unsigned mode)
{
	/* Making a file needs a block of the folder. */
	enum faultfs_kind kind = flags & O_CREAT && faccessat(dir, path, F_OK, 0) != 0 ? FAULTFS_WRITE : FAULTFS_OPEN;

	return fails(kind, -1, path) ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

static unsigned mode_of(int flags, va_list ap) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, unsigned) : 0; }

#define OPEN(at)                   \
	va_list ap;                \
	unsigned mode;             \
                                   \
	va_start(ap, flags);       \
	mode = mode_of(flags, ap); \
	va_end(ap);                \
	return open_at(at, path, flags, mode)

int open(const char *path, int flags, ...) { OPEN(AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN(AT_FDCWD); }
int openat(int dir, const char *path, int flags, ...) { OPEN(dir); }
int openat64(int dir, const char *path, int flags, ...) { OPEN(dir); }

static int stat_at(int dir, const char *path, void *st, int flags)
{
	return fails(FAULTFS_STAT, dir, *path ? path : NULL) ? -1 : (int)syscall(SYS_newfstatat, dir, path, st, flags);
}

int fstat(int fd, struct stat *st) { return stat_at(fd, "", st, AT_EMPTY_PATH); }
int fstat64(int fd, struct stat64 *st) { return stat_at(fd, "", st, AT_EMPTY_PATH); }
int stat(const char *path, struct stat *st) { return stat_at(AT_FDCWD, path, st, 0); }
int stat64(const char *path, struct stat64 *st) { return stat_at(AT_FDCWD, path, st, 0); }
int lstat(const char *path, struct stat *st) { return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW); }
int lstat64(const char *path, struct stat64 *st) { return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW); }
int fstatat(int dir, const char *path, struct stat *st, int flags) { return stat_at(dir, path, st, flags); }

static void (*on_sync)(int fd);

void faultfs_on_sync(void (*each)(int fd)) { on_sync = each; }

static int synced(int fd, long call)
{
	if (on_sync)
		on_sync(fd);
	return skips_syncs ? 0 : (int)syscall(call, fd);
}

int fsync(int fd)
{
	struct stat st;
	bool is_folder = syscall(SYS_fstat, fd, &st) == 0 && S_ISDIR(st.st_mode);

	if (fails_of(FAULTFS_SYNC | (is_folder ? FAULTFS_SYNC_FOLDER : 0), fd))
		return -1;
	return synced(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	if (fails_of(FAULTFS_SYNC, fd))
		return -1;
	return synced(fd, SYS_fdatasync);
}

int ftruncate(int fd, off_t size)
{
	const unsigned kind = armed.error == ENOSPC ? FAULTFS_SHORTEN : FAULTFS_TRUNCATE;

	return fails_of(kind, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

int rename(const char *from, const char *to)
{
	return fails(FAULTFS_RENAME, -1, from) ? -1 : (int)syscall(SYS_rename, from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails(FAULTFS_RENAME, -1, from) ? -1 : (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return fails(FAULTFS_RENAME, -1, from) ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int unlink(const char *path) { return fails(FAULTFS_UNLINK, -1, path) ? -1 : (int)syscall(SYS_unlink, path); }

int unlinkat(int dir, const char *path, int flags)
{
	return fails(FAULTFS_UNLINK, -1, path) ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int fallocate(int fd, int mode, off_t from, off_t count)
{
	return fails_of(FAULTFS_ALLOCATE, fd) ? -1 : (int)syscall(SYS_fallocate, fd, mode, from, count);
}

int posix_fallocate(int fd, off_t from, off_t count)
{
	if (fails_of(FAULTFS_ALLOCATE, fd))
		return errno;
	return syscall(SYS_fallocate, fd, 0, from, count) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off_t from, off_t count) { return posix_fallocate(fd, from, count); }
