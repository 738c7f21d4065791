#include "store/files/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/files/spool_files.h"

static enum err sync_path(const char *path, int flags, struct error *e)
{
	AUTOCLOSE int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0)
		return error_set_errno(e, ERR_DISK, "cannot sync %s", path);
	return ERR_OK;
}

/* One name at every moment, where the file system can do that; otherwise two for a moment. 0, or -1 with errno. */
static int move_without_replacing(const char *part, const char *target)
{
	if (renameat2(AT_FDCWD, part, AT_FDCWD, target, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (link(part, target) != 0)
		return -1;
	if (unlink(part) == 0)
		return 0;
	(void)unlink(target); /* a copy with two names is refused by whoever reads it */
	return -1;
}

enum err new_file_begin(const char *part, int *ret_fd, struct error *e)
{
	(void)unlink(part); /* of one that was cut short: nobody else has such names */
	*ret_fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*ret_fd >= 0)
		return ERR_OK;
	return error_set_errno(e,
	                       files_errno_is_full(errno) ? ERR_FULL
	                       : errno == EIO             ? ERR_DISK
	                                                  : ERR_ENVIRONMENT,
	                       "cannot make %s", part);
}

enum err new_file_publish(const char *part, const char *target, struct error *e)
{
	AUTOFREE char *folder = mem_string(target);
	char *slash = strrchr(folder, '/');
	enum err err = sync_path(part, O_RDONLY, e);

	if (err != ERR_OK)
		return err;
	if (move_without_replacing(part, target) != 0)
		return error_set_errno(e,
		                       errno == EEXIST ? ERR_INPUT
		                       : errno == EIO  ? ERR_DISK
		                                       : ERR_ENVIRONMENT,
		                       "cannot make %s", target);
	if (slash)
		slash[1] = '\0'; /* behind it: of a file at the root it is all of the folder's name */
	return sync_path(slash ? folder : ".", O_RDONLY | O_DIRECTORY, e);
}

enum err new_file_is_still(const char *path, int fd, struct error *e)
{
	struct stat named, made;

	if (fstat(fd, &made) != 0 || lstat(path, &named) != 0)
		return error_set_errno(e, errno == EIO ? ERR_DISK : ERR_ENVIRONMENT, "cannot look at %s", path);
	if (named.st_ino == made.st_ino && named.st_dev == made.st_dev && named.st_nlink == 1)
		return ERR_OK;
	return error_set(e, ERR_ENVIRONMENT,
	                 "%s was exchanged while it was written; name a folder that only you can write to", path);
}

enum err new_file_finish(enum err err, const char *part, const char *target, int fd, struct error *e)
{
	if (err == ERR_OK)
		err = new_file_is_still(part, fd, e);
	if (err == ERR_OK)
		err = new_file_publish(part, target, e);
	if (err == ERR_OK)
		return new_file_is_still(target, fd, e);
	(void)unlink(part);
	return err;
}
