#include "base/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool is_ours(uid_t uid) { return uid == 0 || uid == geteuid(); }

enum err trusted_link(const char *path, struct error *e)
{
	struct stat st;

	if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode) || is_ours(st.st_uid))
		return ERR_OK; /* what is not there is told by open */
	return error_set(e, ERR_ENVIRONMENT,
	                 "%s is a symbolic link of uid %u, neither root's nor ours: name the file itself", path,
	                 (unsigned)st.st_uid);
}

static bool is_below(const char *path, const char *folder)
{
	size_t n = folder ? strlen(folder) : 0;

	return n > 0 && strncmp(path, folder, n) == 0 && path[n] == '/';
}

bool trusted_is_mounted(const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof target - 1);

	if (is_below(path, getenv("CREDENTIALS_DIRECTORY")))
		return true;
	target[n > 0 ? n : 0] = '\0';
	return strncmp(target, "..data/", 7) == 0;
}

static enum err check(int fd, const char *path, bool *ret_lax, struct error *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "cannot look at %s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(e, ERR_ENVIRONMENT, "%s is not a regular file", path);
	if (!is_ours(st.st_uid))
		return error_set(e, ERR_ENVIRONMENT,
		                 "%s belongs to uid %u, neither to root nor to us (uid %u): chown it", path,
		                 (unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(e, ERR_ENVIRONMENT, "%s may be written by %s (mode %04o): chmod go-w it", path,
		                 st.st_mode & S_IWOTH ? "anybody" : "its group", (unsigned)st.st_mode & 07777U);
	*ret_lax = (st.st_mode & S_IROTH) != 0 && !trusted_is_mounted(path);
	return ERR_OK;
}

enum err trusted_open(const char *path, int flags, int *ret_fd, bool *ret_lax, struct error *e)
{
	AUTOCLOSE int fd = -1;
	bool lax = false;
	enum err err = trusted_link(path, e);

	if (err != ERR_OK)
		return err;
	/* a FIFO without a reader, or a device, must not keep us here */
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	if (fd < 0 && errno == ENXIO) /* a FIFO that nobody reads, a socket */
		return error_set(e, ERR_ENVIRONMENT, "%s is not a regular file", path);
	if (fd < 0)
		return error_set_errno(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOINPUT : ERR_ENVIRONMENT,
		                       "cannot open %s", path);
	err = check(fd, path, &lax, e);
	if (err != ERR_OK)
		return err;
	if (ret_lax)
		*ret_lax = lax;
	*ret_fd = fd;
	fd = -1;
	return ERR_OK;
}

enum err trusted_read(const char *path, struct buf *out, bool *ret_lax, struct error *e)
{
	AUTOCLOSE int fd = -1;
	char chunk[4096];
	ssize_t n = 1;
	enum err err;

	buf_clear(out);
	if (ret_lax)
		*ret_lax = false;
	err = trusted_open(path, O_RDONLY, &fd, ret_lax, e);
	while (err == ERR_OK && n != 0) {
		n = read(fd, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = error_set_errno(e, ERR_ENVIRONMENT, "cannot read %s", path);
		else if (buf_add(out, chunk, (size_t)n) != ERR_OK)
			err = error_set(e, ERR_TOOBIG, "%s is larger than %zu bytes", path, out->max);
	}
	explicit_bzero(chunk, sizeof chunk);
	return err;
}
