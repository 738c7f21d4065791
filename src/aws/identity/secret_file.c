#include "aws/identity/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include <openssl/crypto.h>

#include "base/cleanup.h"
#include "base/mem.h"

static bool is_systemd_credential(const char *path)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	size_t n = folder ? strlen(folder) : 0;

	return n > 0 && strncmp(path, folder, n) == 0 && path[n] == '/';
}

static enum err check(const char *path, const struct stat *st, size_t most, bool *ret_lax, struct error *e)
{
	if (!S_ISREG(st->st_mode))
		return error_set(e, ERR_ENVIRONMENT, "%s is not a regular file", path);
	if ((size_t)st->st_size > most)
		return error_set(e, ERR_TOOBIG, "%s is larger than %zu bytes", path, most);
	if (is_systemd_credential(path))
		return ERR_OK;
	if (st->st_mode & S_IWOTH)
		return error_set(e, ERR_ENVIRONMENT, "%s may be written by anybody (mode %04o): chmod 600 it", path,
		                 (unsigned)st->st_mode & 07777U);
	if (ret_lax)
		*ret_lax = (st->st_mode & (S_IRGRP | S_IROTH)) != 0;
	return ERR_OK;
}

enum err secret_file_read(const char *path, struct buf *out, bool *ret_lax, struct error *e)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	enum err err;

	buf_clear(out);
	if (ret_lax)
		*ret_lax = false;
	if (fd < 0)
		return error_set_errno(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOINPUT : ERR_ENVIRONMENT,
		                       "cannot open %s", path);
	if (fstat(fd, &st))
		return error_set_errno(e, ERR_ENVIRONMENT, "cannot look at %s", path);
	err = check(path, &st, out->max, ret_lax, e);
	if (err)
		return err;
	for (;;) {
		char chunk[4096];
		ssize_t n = read(fd, chunk, sizeof chunk);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(e, ERR_ENVIRONMENT, "cannot read %s", path);
		if (n > 0)
			err = buf_add(out, chunk, (size_t)n);
		OPENSSL_cleanse(chunk, sizeof chunk);
		if (err)
			return error_set(e, ERR_TOOBIG, "%s is larger than %zu bytes", path, out->max);
		if (n == 0)
			return ERR_OK;
	}
}

void secret_file_is_secret(struct buf *b)
{
	if (b->len > 0)
		error_secret_add(b->data);
}

void secret_file_wipe(struct buf *b)
{
	if (b->len > 0)
		error_secret_remove(b->data);
	if (b->data)
		OPENSSL_cleanse(b->data, b->cap);
	buf_fini(b);
}

char *secret_file_expand_home(const char *path)
{
	const char *home;
	struct passwd *user;

	if (path[0] != '~' || (path[1] != '/' && path[1] != '\0'))
		return mem_string(path);
	home = getenv("HOME");
	if (!home || !*home) {
		user = getpwuid(getuid());
		home = user ? user->pw_dir : "/";
	}
	return mem_format("%s%s", home, path + 1);
}

char *secret_file_systemd_credential(const char *name)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char *path;

	if (!folder || !*folder)
		return NULL;
	path = mem_format("%s/%s", folder, name);
	if (access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}
