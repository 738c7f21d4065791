/*
 * campaign_shim: file operations of an unmodified kspool, counted, and the n-th one failed or made its last.
 *
 * What it is: a shared object for LD_PRELOAD. It follows the files below one folder: open, read, write, sync, truncate,
 * rename, unlink, allocate, close, whoever calls them (SQLite and kspool alike). Each gets a number, in order.
 *   SHIM_UNDER   the folder; nothing else is counted
 *   SHIM_COUNT   a file the number of operations is kept in (8 bytes, shared memory, so that it survives the process)
 *   SHIM_AT      the number at which it happens; SHIM_FOREVER=1: there and at every one after it
 *   SHIM_DO      kill, or eio, enospc, edquot, erofs, enomem: what the operation fails with; short: half of a write
 *   SHIM_ON      only these, with commas: open read write sync truncate rename unlink allocate; memory, which is
 *                counted only when it is named: malloc and its kin return null
 *   SHIM_NAME    only the file of this name (without its folder)
 *   SHIM_GATE    nothing is counted before this file exists
 *   SHIM_CLOCK   a file of 8 bytes, shared memory: what is added to the time of day, in milliseconds (signed)
 *   SHIM_UPTIME  the same for the time since boot, which may only be moved on
 *   SHIM_NAMES   a file: the address that every name under .test has, or: none, again (no answer from a server), hang
 *                (no answer until the file says something else)
 *   SHIM_LOG     what was hit is appended here: number, operation, path
 *
 * Thread: any. Does not: follow descriptors made by dup, or memory maps.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <sys/time.h>
#include <unistd.h>

enum { FDS = 4096 };
enum what { GO_ON, FAIL, SHORT };

static struct {
	const char *under, *act, *on, *name, *gate, *log, *names;
	size_t under_len;
	uint64_t at;
	bool forever;
	_Atomic uint64_t *count;
	_Atomic uint64_t own_count;
	_Atomic int64_t *clock_ms, *uptime_ms;
	bool counts_memory;
	atomic_bool watched[FDS];
} shim;

/* Eight bytes of a file as shared memory, or null. */
static void *share(const char *path)
{
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *shared = MAP_FAILED;

	if (fd >= 0 && syscall(SYS_ftruncate, fd, sizeof(uint64_t)) == 0)
		shared = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return shared == MAP_FAILED ? NULL : shared;
}

__attribute__((constructor)) static void set_up(void)
{
	const char *at = getenv("SHIM_AT");

	shim.under = getenv("SHIM_UNDER");
	shim.under_len = shim.under ? strlen(shim.under) : 0;
	shim.act = getenv("SHIM_DO");
	shim.on = getenv("SHIM_ON");
	shim.name = getenv("SHIM_NAME");
	shim.gate = getenv("SHIM_GATE");
	shim.log = getenv("SHIM_LOG");
	shim.names = getenv("SHIM_NAMES");
	shim.at = at ? strtoull(at, NULL, 10) : 0;
	shim.forever = getenv("SHIM_FOREVER") != NULL;
	shim.clock_ms = share(getenv("SHIM_CLOCK"));
	shim.count = share(getenv("SHIM_COUNT"));
	shim.uptime_ms = share(getenv("SHIM_UPTIME"));
	if (!shim.count)
		shim.count = &shim.own_count;
	shim.counts_memory = shim.on && strcmp(shim.on, "memory") == 0;
}

static bool is_under(const char *path)
{
	return shim.under && strncmp(path, shim.under, shim.under_len) == 0 &&
	       (path[shim.under_len] == '/' || path[shim.under_len] == '\0');
}

static void path_of_fd(int fd, char out[PATH_MAX])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX - 1);
	out[n < 0 ? 0 : n] = '\0';
}

static void path_at(int dir_fd, const char *name, char out[PATH_MAX])
{
	char folder[PATH_MAX / 2] = "";
	char link[64];
	ssize_t n;

	if (*name == '/') {
		(void)snprintf(out, PATH_MAX, "%s", name);
		return;
	}
	if (dir_fd == AT_FDCWD)
		(void)snprintf(link, sizeof link, "/proc/self/cwd");
	else
		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", dir_fd);
	n = readlink(link, folder, sizeof folder - 1);
	folder[n < 0 ? 0 : n] = '\0';
	(void)snprintf(out, PATH_MAX, "%s/%s", folder, name);
}

static bool is_asked_for(const char *operation)
{
	size_t length = strlen(operation);

	for (const char *p = shim.on; p && *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] != '\0'))
		if (strcspn(p, ",") == length && strncmp(p, operation, length) == 0)
			return true;
	return !shim.on;
}

static bool is_named(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !shim.name || strcmp(slash ? slash + 1 : path, shim.name) == 0;
}

static void note(uint64_t number, const char *operation, const char *path)
{
	char line[PATH_MAX + 64];
	int fd, n;

	if (!shim.log)
		return;
	n = snprintf(line, sizeof line, "%llu %s %s\n", (unsigned long long)number, operation, path);
	fd = (int)syscall(SYS_openat, AT_FDCWD, shim.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0 && n > 0)
		(void)syscall(SYS_write, fd, line, (size_t)n);
	if (fd >= 0)
		(void)syscall(SYS_close, fd);
}

static int errno_of(const char *act)
{
	static const struct {
		const char *name;
		int number;
	} table[] = {{"eio", EIO}, {"enospc", ENOSPC}, {"edquot", EDQUOT}, {"erofs", EROFS}, {"enomem", ENOMEM}};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(table[i].name, act) == 0)
			return table[i].number;
	return EIO;
}

static enum what decide(const char *operation, const char *path)
{
	uint64_t number;

	if (!is_asked_for(operation) || !is_named(path) || (shim.gate && access(shim.gate, F_OK) != 0))
		return GO_ON;
	number = atomic_fetch_add(shim.count, 1) + 1;
	if (!shim.act || shim.at == 0 || number < shim.at || (number > shim.at && !shim.forever))
		return GO_ON;
	note(number, operation, path);
	if (strcmp(shim.act, "kill") == 0) {
		(void)syscall(SYS_kill, getpid(), SIGKILL);
		for (;;)
			(void)syscall(SYS_pause);
	}
	if (strcmp(shim.act, "short") == 0)
		return SHORT;
	errno = errno_of(shim.act);
	return FAIL;
}

static enum what decide_fd(const char *operation, int fd)
{
	char path[PATH_MAX] = "";
	int before = errno;
	enum what what;

	if (fd < 0 || fd >= FDS || !atomic_load(&shim.watched[fd]))
		return GO_ON;
	path_of_fd(fd, path);
	if (!is_under(path)) { /* closed where we do not see it, as closedir does, and opened as something else */
		atomic_store(&shim.watched[fd], false);
		errno = before;
		return GO_ON;
	}
	what = decide(operation, path);
	if (what != FAIL)
		errno = before;
	return what;
}

static enum what decide_at(const char *operation, int dir_fd, const char *name)
{
	char path[PATH_MAX];
	int before = errno;
	enum what what = GO_ON;

	path_at(dir_fd, name, path);
	if (is_under(path))
		what = decide(operation, path);
	if (what != FAIL)
		errno = before;
	return what;
}

#define REAL(name)                 \
	static typeof(&name) real; \
	if (!real)                 \
	real = (typeof(&name))dlsym(RTLD_NEXT, #name)

static int open_file(int dir_fd, const char *name, int flags, mode_t mode)
{
	int fd;

	if (decide_at("open", dir_fd, name) == FAIL)
		return -1;
	fd = (int)syscall(SYS_openat, dir_fd, name, flags, mode);
	if (fd >= 0 && fd < FDS) {
		char path[PATH_MAX];
		int before = errno;

		path_of_fd(fd, path);
		atomic_store(&shim.watched[fd], is_under(path));
		errno = before;
	}
	return fd;
}

static bool takes_mode(int flags) { return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE; }

#define MODE_OF(flags)                       \
	mode_t mode = 0;                     \
	if (takes_mode(flags)) {             \
		va_list more;                \
		va_start(more, flags);       \
		mode = va_arg(more, mode_t); \
		va_end(more);                \
	}

int open(const char *name, int flags, ...)
{
	MODE_OF(flags)
	return open_file(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
	MODE_OF(flags)
	return open_file(AT_FDCWD, name, flags, mode);
}

int openat(int dir_fd, const char *name, int flags, ...)
{
	MODE_OF(flags)
	return open_file(dir_fd, name, flags, mode);
}

int openat64(int dir_fd, const char *name, int flags, ...)
{
	MODE_OF(flags)
	return open_file(dir_fd, name, flags, mode);
}

int close(int fd)
{
	if (fd >= 0 && fd < FDS)
		atomic_store(&shim.watched[fd], false);
	return (int)syscall(SYS_close, fd);
}

ssize_t read(int fd, void *out, size_t size)
{
	return decide_fd("read", fd) == FAIL ? -1 : syscall(SYS_read, fd, out, size);
}

ssize_t pread64(int fd, void *out, size_t size, off64_t at)
{
	return decide_fd("read", fd) == FAIL ? -1 : syscall(SYS_pread64, fd, out, size, at);
}

ssize_t pread(int fd, void *out, size_t size, off_t at) { return pread64(fd, out, size, at); }

static size_t cut(enum what what, size_t size) { return what == SHORT && size > 1 ? size / 2 : size; }

ssize_t write(int fd, const void *bytes, size_t size)
{
	enum what what = decide_fd("write", fd);

	return what == FAIL ? -1 : syscall(SYS_write, fd, bytes, cut(what, size));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
	enum what what = decide_fd("write", fd);

	return what == FAIL ? -1 : syscall(SYS_pwrite64, fd, bytes, cut(what, size), at);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return pwrite64(fd, bytes, size, at); }

int fsync(int fd) { return decide_fd("sync", fd) == FAIL ? -1 : (int)syscall(SYS_fsync, fd); }

int fdatasync(int fd) { return decide_fd("sync", fd) == FAIL ? -1 : (int)syscall(SYS_fdatasync, fd); }

int ftruncate64(int fd, off64_t size)
{
	return decide_fd("truncate", fd) == FAIL ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	REAL(renameat);
	return decide_at("rename", from_fd, from) == FAIL ? -1 : real(from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	REAL(renameat2);
	return decide_at("rename", from_fd, from) == FAIL ? -1 : real(from_fd, from, to_fd, to, flags);
}

int rename(const char *from, const char *to)
{
	REAL(rename);
	return decide_at("rename", AT_FDCWD, from) == FAIL ? -1 : real(from, to);
}

int unlinkat(int dir_fd, const char *name, int flags)
{
	REAL(unlinkat);
	return decide_at("unlink", dir_fd, name) == FAIL ? -1 : real(dir_fd, name, flags);
}

int unlink(const char *name)
{
	REAL(unlink);
	return decide_at("unlink", AT_FDCWD, name) == FAIL ? -1 : real(name);
}

int fallocate64(int fd, int mode, off64_t at, off64_t size)
{
	return decide_fd("allocate", fd) == FAIL ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, size);
}

int fallocate(int fd, int mode, off_t at, off_t size) { return fallocate64(fd, mode, at, size); }

int posix_fallocate64(int fd, off64_t at, off64_t size) { return fallocate64(fd, 0, at, size) == 0 ? 0 : errno; }

int posix_fallocate(int fd, off_t at, off_t size) { return posix_fallocate64(fd, at, size); }

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool has_no_memory(void) { return shim.counts_memory && decide("memory", "") == FAIL; }

void *malloc(size_t size) { return has_no_memory() ? NULL : __libc_malloc(size); }

void *calloc(size_t count, size_t size) { return has_no_memory() ? NULL : __libc_calloc(count, size); }

void *realloc(void *old, size_t size) { return has_no_memory() ? NULL : __libc_realloc(old, size); }

void *aligned_alloc(size_t alignment, size_t size) { return has_no_memory() ? NULL : __libc_memalign(alignment, size); }

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	*ret = aligned_alloc(alignment, size);
	return *ret ? 0 : ENOMEM;
}

static void move_clock(struct timespec *t, int64_t ms)
{
	t->tv_sec += ms / 1000;
	t->tv_nsec += ms % 1000 * 1000000;
	if (t->tv_nsec < 0 || t->tv_nsec >= 1000000000) {
		t->tv_sec += t->tv_nsec < 0 ? -1 : 1;
		t->tv_nsec += t->tv_nsec < 0 ? 1000000000 : -1000000000;
	}
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int status = (int)syscall(SYS_clock_gettime, clock, t);

	if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		move_clock(t, shim.clock_ms ? atomic_load(shim.clock_ms) : 0);
	else if (status == 0 &&
	         (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_BOOTTIME))
		move_clock(t, shim.uptime_ms ? atomic_load(shim.uptime_ms) : 0);
	return status;
}

time_t time(time_t *ret)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	ret->tv_sec = t.tv_sec;
	ret->tv_usec = t.tv_nsec / 1000;
	return 0;
}

/* What the file says of all names now; false: they are looked up as ever. */
static bool say_of_names(const char *name, char out[128])
{
	size_t length = name ? strlen(name) : 0;
	ssize_t n;
	int fd;

	if (!shim.names || length < 5 || strcmp(name + length - 5, ".test") != 0)
		return false;
	fd = (int)syscall(SYS_openat, AT_FDCWD, shim.names, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : syscall(SYS_read, fd, out, 127);
	if (fd >= 0)
		(void)syscall(SYS_close, fd);
	out[n < 0 ? 0 : n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return true;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	const struct timespec moment = {.tv_nsec = 50000000};
	char said[128];

	REAL(getaddrinfo);
	if (!say_of_names(name, said))
		return real(name, service, hints, ret);
	while (strcmp(said, "hang") == 0) {
		(void)nanosleep(&moment, NULL);
		(void)say_of_names(name, said);
	}
	if (strcmp(said, "none") == 0)
		return EAI_NONAME;
	return strcmp(said, "again") == 0 ? EAI_AGAIN : real(said, service, hints, ret);
}
