/*
 * The folder, the lock, and whole files in it.
 *
 * Invariants:
 * 1. Every file is reached from dir_fd by its own name: a folder renamed while we run stays our folder, and
 *    files_is_at_path tells that nobody else will find it there.
 * 2. Nothing is opened through a link, and nothing that is not a plain file of our user with one name.
 * 3. The lock file is never removed: removing it would let two processes hold two locks.
 * 4. A descriptor is -1 or open; files_close may be called on any of them.
 */
#include "store/files/spool_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "store/files/vfs.h"

/* statfs(2) f_type values of file systems on which a local database does not belong, or must be spoken of. */
enum kind_of_fs { FS_REMOTE, FS_COPY_ON_WRITE, FS_OVERLAY };
static const struct {
	uint32_t magic;
	enum kind_of_fs kind;
	const char *name;
} file_systems[] = {
    {0x6969, FS_REMOTE, "NFS"},
    {0x517b, FS_REMOTE, "SMB"},
    {0xff534d42, FS_REMOTE, "CIFS"},
    {0xfe534d42, FS_REMOTE, "SMB2"},
    {0x01021997, FS_REMOTE, "9p"},
    {0x65735546, FS_REMOTE, "FUSE"},
    {0x00c36400, FS_REMOTE, "Ceph"},
    {0x5346414f, FS_REMOTE, "AFS"},
    {0x9123683e, FS_COPY_ON_WRITE, "btrfs"},
    {0x2fc12fc1, FS_COPY_ON_WRITE, "ZFS"},
    {0xca451a4e, FS_COPY_ON_WRITE, "bcachefs"},
    {0x794c7630, FS_OVERLAY, "overlayfs"},
};

/* The disk has no room, did not answer, or takes no writes any more (ERR_DISK); or it did, and the answer is no. */
static enum err kind_of(enum err no)
{
	if (files_errno_is_full(errno))
		return ERR_FULL;
	return vfs_is_fault(errno) || errno == EROFS ? ERR_DISK : no;
}

static void name_of(const struct files *f, const char *suffix, char out[NAME_MAX + 1])
{
	(void)snprintf(out, NAME_MAX + 1, "%s%s", f->name, suffix);
}

static enum err check_file_system(struct files *f, const char *folder, struct error *e)
{
	struct statfs fs;

	if (fstatfs(f->dir_fd, &fs) != 0)
		return error_set_errno(e, kind_of(ERR_SYSTEM), "%s: statfs", folder);
	for (size_t i = 0; i < sizeof file_systems / sizeof *file_systems; i++) {
		if ((uint32_t)fs.f_type != file_systems[i].magic)
			continue;
		if (file_systems[i].kind == FS_REMOTE)
			return error_set(e, ERR_ENVIRONMENT, "%s is on %s; a spool needs a local file system", folder,
			                 file_systems[i].name);
		f->copy_on_write = file_systems[i].kind == FS_COPY_ON_WRITE;
		f->overlay = file_systems[i].kind == FS_OVERLAY;
	}
	return ERR_OK;
}

/*
 * A folder of root's is a volume that was given to us: fsGroup (root:GID 2775), an emptyDir (0777), OpenShift's group
 * 0. Root decided who may write in it beside us; each file in it is still ours alone or refused. kubelet also gives its
 * group to what we made there, at every mount: that is taken back.
 */
static enum err open_given_folder(struct files *f, const char *folder, bool to_read, struct error *e)
{
	if (f->is_read_only && to_read)
		return check_file_system(f, folder, e);
	if (f->is_read_only)
		return error_set(
		    e, ERR_ENVIRONMENT,
		    "%s belongs to root and we (uid %u) may not write in it; chown it (a pod: set fsGroup)", folder,
		    (unsigned)geteuid());
	f->is_given = true;
	return check_file_system(f, folder, e);
}

/* Whether we may write there is asked only when nothing is to be written. */
static enum err open_folder(struct files *f, const char *folder, bool to_read, struct error *e)
{
	AUTOFREE char *word = mem_shell_word(folder);
	struct stat st;

	f->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (f->dir_fd < 0 && errno == ENOENT)
		return error_set(e, ERR_ENVIRONMENT,
		                 "the spool's folder %s is missing; make it with: install -d -m 0700 %s", folder, word);
	if (f->dir_fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return error_set(e, ERR_ENVIRONMENT, "%s is a link or not a folder; name the folder itself", folder);
	if (f->dir_fd < 0)
		return error_set_errno(e, kind_of(ERR_ENVIRONMENT), "cannot open the spool's folder %s", folder);
	if (fstat(f->dir_fd, &st) != 0)
		return error_set_errno(e, kind_of(ERR_SYSTEM), "%s: stat", folder);
	f->is_read_only = faccessat(f->dir_fd, ".", W_OK | X_OK, AT_EACCESS) != 0;
	if (f->is_read_only && !to_read && (errno == EROFS || st.st_uid == geteuid()))
		return error_set(
		    e, kind_of(ERR_ENVIRONMENT),
		    "%s cannot be written: %s; look at its disk (dmesg, mount) and its mode, and mend that, or"
		    " copy the spool with all that stands beside it to another folder. kspool check, peek,"
		    " dead list and export read it as it is",
		    folder, strerror(errno));
	if (st.st_uid == 0 && geteuid() != 0)
		return open_given_folder(f, folder, to_read, e);
	if (st.st_uid != geteuid())
		return error_set(e, ERR_ENVIRONMENT,
		                 "%s belongs to uid %u, we are uid %u; chown it, or run as its owner", folder,
		                 (unsigned)st.st_uid, (unsigned)geteuid());
	if (f->is_read_only)
		return check_file_system(f, folder, e);
	if ((st.st_mode & (S_ISGID | S_IWGRP | S_IWOTH)) == (S_ISGID | S_IWGRP) && fchmod(f->dir_fd, 0700) == 0) {
		f->is_given = true;
		st.st_mode = 0700;
	}
	if (st.st_mode & S_ISVTX && st.st_mode & S_IWOTH)
		return error_set(
		    e, ERR_ENVIRONMENT,
		    "%s is shared by all users (mode %04o); make a folder for the spool: install -d -m 0700"
		    " %s/kspool, and let buffer.sqlite.path be a file in it",
		    folder, (unsigned)st.st_mode & 07777, word);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(e, ERR_ENVIRONMENT, "%s may be written by others (mode %04o); chmod go-w %s", folder,
		                 (unsigned)st.st_mode & 07777, word);
	return check_file_system(f, folder, e);
}

const char *files_kind_word(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory, not a file";
	case S_IFLNK:
		return "a symbolic link, not a file";
	case S_IFIFO:
		return "a fifo, not a file";
	case S_IFSOCK:
		return "a socket, not a file";
	default:
		return "a device, not a file";
	}
}

static enum err check_plain(const struct files *f, const char *suffix, const struct stat *st, struct error *e)
{
	if (!S_ISREG(st->st_mode))
		return error_set(e, ERR_ENVIRONMENT, "%s%s is not a plain file; move it away", f->path, suffix);
	if (f->is_read_only && (st->st_uid == geteuid() || st->st_uid == 0))
		return ERR_OK;
	if (st->st_nlink > 1)
		return error_set(e, ERR_ENVIRONMENT, "%s%s has %u names (hard links); copy it instead", f->path, suffix,
		                 (unsigned)st->st_nlink);
	if (st->st_uid != geteuid())
		return error_set(e, ERR_ENVIRONMENT, "%s%s belongs to uid %u, we are uid %u; chown it", f->path, suffix,
		                 (unsigned)st->st_uid, (unsigned)geteuid());
	if (f->is_given && (st->st_mode & (S_IWGRP | S_IWOTH)) == S_IWGRP) {
		char name[NAME_MAX + 1];

		name_of(f, suffix, name);
		if (fchmodat(f->dir_fd, name, 0600, 0) == 0)
			return ERR_OK;
	}
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return error_set(e, ERR_ENVIRONMENT, "%s%s may be written by others (mode %04o); chmod go-w it",
		                 f->path, suffix, (unsigned)st->st_mode & 07777);
	return ERR_OK;
}

static int open_it(const struct files *f, const char *suffix, int flags)
{
	char name[NAME_MAX + 1];

	name_of(f, suffix, name);
	return openat(f->dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static enum err take_lock(struct files *f, bool to_read, struct error *e)
{
	struct stat st;
	enum err err;

	f->lock_fd = open_it(f, ".lock", (to_read ? O_RDONLY : O_RDWR | O_CREAT) | O_NONBLOCK);
	if (f->lock_fd < 0 && to_read && errno == ENOENT)
		return ERR_OK;
	if (f->lock_fd < 0 && errno == ENXIO) /* a socket */
		return error_set(e, ERR_ENVIRONMENT, "%s.lock is not a plain file; move it away", f->path);
	if (f->lock_fd < 0)
		return error_set_errno(e, kind_of(ERR_ENVIRONMENT), "cannot open %s.lock", f->path);
	if (fstat(f->lock_fd, &st) != 0)
		return error_set_errno(e, kind_of(ERR_SYSTEM), "%s.lock: stat", f->path);
	err = check_plain(f, ".lock", &st, e);
	if (err != ERR_OK)
		return err;
	if (flock(f->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return ERR_OK;
	if (errno == EWOULDBLOCK)
		return error_set(e, ERR_BUSY, "another process owns the spool %s (it holds %s.lock)", f->path, f->path);
	return error_set_errno(e, ERR_SYSTEM, "%s.lock: flock", f->path);
}

/* The folder's part of a path, cut off in place. */
static const char *folder_of(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		slash[slash == path ? 1 : 0] = '\0';
	return slash ? path : ".";
}

bool files_is_at_path(const struct files *f)
{
	AUTOFREE char *path = mem_string(f->path);
	struct stat named, held;

	if (stat(folder_of(path), &named) != 0)
		return errno != ENOENT && errno != ENOTDIR && errno != ELOOP; /* another error says nothing of it */
	return fstat(f->dir_fd, &held) != 0 || (named.st_dev == held.st_dev && named.st_ino == held.st_ino);
}

static enum err open_path(struct files *f, const char *path, bool to_read, struct error *e)
{
	AUTOFREE char *folder = mem_string(path);
	const char *slash = strrchr(path, '/');
	enum err err;

	*f = FILES_NONE;
	f->path = mem_string(path);
	f->name = mem_string(slash ? slash + 1 : path);
	if (*f->name == '\0' || strlen(f->name) > NAME_MAX - 64)
		err = error_set(e, ERR_ENVIRONMENT, "%s does not name a file", path);
	else
		err = open_folder(f, folder_of(folder), to_read, e);
	if (err != ERR_OK)
		files_close(f);
	return err;
}

enum err files_open_folder(struct files *f, const char *path, struct error *e) { return open_path(f, path, false, e); }

enum err files_open_names(struct files *f, const char *path, struct error *e) { return open_path(f, path, true, e); }

/* Those that kspool writes, or believes: one rule for all, so that none is written through a link or taken for damage.
 */
static enum err check_companions(const struct files *f, struct error *e)
{
	static const char *const suffixes[] = {".tide",  ".left",    ".flight", ".flight.unsure", ".poison",
	                                       ".aside", ".reserve", ".unsafe", ".new",           ".aside.new"};
	enum err err = ERR_OK;
	int64_t size;

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && err == ERR_OK; i++)
		err = files_size(f, suffixes[i], &size, e);
	return err;
}

static enum err open_all(struct files *f, const char *path, bool to_read, struct error *e)
{
	enum err err = open_path(f, path, to_read, e);

	if (err != ERR_OK)
		return err;
	err = take_lock(f, to_read, e);
	if (err == ERR_OK)
		err = check_companions(f, e);
	if (err != ERR_OK)
		files_close(f);
	return err;
}

enum err files_open(struct files *f, const char *path, struct error *e) { return open_all(f, path, false, e); }

enum err files_open_reader(struct files *f, const char *path, struct error *e) { return open_all(f, path, true, e); }

static void close_one(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

void files_database_let_go(struct files *f) { close_one(&f->database_fd); }

void files_close(struct files *f)
{
	files_database_let_go(f);
	close_one(&f->wal_fd);
	close_one(&f->tide_fd);
	close_one(&f->lock_fd);
	close_one(&f->dir_fd);
	free(take(f->path));
	free(take(f->name));
}

int files_open_one(const struct files *f, const char *suffix, int flags)
{
	const int fd = open_it(f, suffix, flags & ~O_TRUNC);
	struct stat st;

	if (fd < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return fd;
	if (fstat(fd, &st) == 0) {
		if (st.st_nlink > 1)
			errno = EMLINK; /* to write it would change another's file */
		else if (!(flags & O_TRUNC) || ftruncate(fd, 0) == 0)
			return fd;
	}
	(void)close(fd);
	return -1;
}

enum err files_size(const struct files *f, const char *suffix, int64_t *ret, struct error *e)
{
	char name[NAME_MAX + 1];
	struct stat st;

	name_of(f, suffix, name);
	*ret = -1;
	if (fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? ERR_OK
		                       : error_set_errno(e, kind_of(ERR_SYSTEM), "%s%s: stat", f->path, suffix);
	*ret = st.st_size;
	return check_plain(f, suffix, &st, e);
}

enum err files_open_read(const struct files *f, const char *suffix, int flags, int *ret_fd, struct error *e)
{
	char name[NAME_MAX + 1];
	struct stat st;

	name_of(f, suffix, name);
	*ret_fd = -1;
	if (fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
		return error_set(e, ERR_ENVIRONMENT, "%s%s is %s; move it away", f->path, suffix,
		                 files_kind_word(st.st_mode));
	*ret_fd = files_open_one(f, suffix, flags | O_NONBLOCK);
	if (*ret_fd >= 0 || errno == ENOENT)
		return ERR_OK;
	return error_set_errno(e, kind_of(ERR_ENVIRONMENT), "cannot open %s%s", f->path, suffix);
}

/* The system knows by which name a descriptor was opened, wherever it came from. */
static enum err refuse_read(int fd, int64_t offset, struct error *e)
{
	const int number = errno;
	char link[40], name[PATH_MAX] = "a file of the spool";
	ssize_t length;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, name, sizeof name - 1);
	if (length > 0)
		name[length] = '\0';
	return error_set(e, ERR_DISK,
	                 "cannot read %s at byte %" PRId64 ": %s; look at its disk (dmesg), then start again%s", name,
	                 offset, strerror(number), number == EIO ? FILES_DEAD_WAY : "");
}

enum err files_read_at(int fd, void *to, size_t count, int64_t offset, size_t *ret_count, struct error *e)
{
	*ret_count = 0;
	while (*ret_count < count) {
		ssize_t n = pread(fd, (char *)to + *ret_count, count - *ret_count, (off_t)offset + (off_t)*ret_count);

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return refuse_read(fd, offset + (int64_t)*ret_count, e);
		*ret_count += n > 0 ? (size_t)n : 0;
	}
	return ERR_OK;
}

uint64_t files_bytes(const struct files *f, const char *suffix)
{
	char name[NAME_MAX + 1];
	struct stat st;

	name_of(f, suffix, name);
	return fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
}

enum err files_create(const struct files *f, const char *suffix, struct error *e)
{
	AUTOCLOSE int fd = files_open_one(f, suffix, O_RDWR | O_CREAT | O_EXCL);

	if (fd < 0)
		return error_set_errno(e, errno == EEXIST ? ERR_ENVIRONMENT : kind_of(ERR_ENVIRONMENT),
		                       "cannot make %s%s", f->path, suffix);
	return ERR_OK;
}

static enum err copy_bytes(const struct files *f, int in, int out, const char *suffix, const char *new_suffix,
                           struct error *e)
{
	char block[65536];
	ssize_t n;

	errno = ENOSPC; /* a short write says nothing else */
	while ((n = read(in, block, sizeof block)) > 0)
		if (write(out, block, (size_t)n) != n)
			return error_set_errno(e, files_errno_is_full(errno) ? ERR_FULL : ERR_DISK, "cannot write %s%s",
			                       f->path, new_suffix);
	if (n < 0 || fsync(out) != 0)
		return error_set_errno(e, n >= 0 && files_errno_is_full(errno) ? ERR_FULL : ERR_DISK,
		                       "cannot copy %s%s", f->path, suffix);
	return ERR_OK;
}

/* Whole, or not there: each start of a full disk would leave one more piece. */
enum err files_copy(const struct files *f, const char *suffix, const char *new_suffix, struct error *e)
{
	AUTOCLOSE int in = files_open_one(f, suffix, O_RDONLY);
	AUTOCLOSE int out = in < 0 ? -1 : files_open_one(f, new_suffix, O_WRONLY | O_CREAT | O_EXCL);
	enum err err;

	if (in < 0 || out < 0)
		return error_set_errno(e, out < 0 && files_errno_is_full(errno) ? ERR_FULL : ERR_DISK,
		                       "cannot copy %s%s", f->path, suffix);
	err = copy_bytes(f, in, out, suffix, new_suffix, e);
	if (err != ERR_OK)
		files_remove(f, new_suffix);
	return err;
}

enum err files_get_text(const struct files *f, const char *suffix, char *to, size_t size, struct error *e)
{
	AUTOCLOSE int fd = -1;
	size_t count = 0;
	enum err err = files_open_read(f, suffix, O_RDONLY, &fd, e);

	if (err == ERR_OK && fd >= 0)
		err = files_read_at(fd, to, size - 1, 0, &count, e);
	to[count] = '\0';
	return err == ERR_OK ? ERR_OK : error_wrap(e, "%s%s", f->path, suffix);
}

enum err files_sync_dir(const struct files *f, struct error *e)
{
	return fsync(f->dir_fd) == 0 ? ERR_OK : error_set_errno(e, ERR_DISK, "fsync of the folder of %s", f->path);
}

void files_remove(const struct files *f, const char *suffix)
{
	char name[NAME_MAX + 1];

	name_of(f, suffix, name);
	(void)unlinkat(f->dir_fd, name, 0);
}

void files_drop_cache(const struct files *f)
{
	static const char *const suffixes[] = {"", "-wal"};

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		AUTOCLOSE int fd = files_open_one(f, suffixes[i], O_RDONLY);

		if (fd >= 0)
			(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	}
}

uint64_t files_free_bytes(const struct files *f)
{
	struct statvfs fs;

	if (fstatvfs(f->dir_fd, &fs) != 0)
		return UINT64_MAX; /* unknown is not full: a write that fails says so */
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}
