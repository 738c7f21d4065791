#include "aws/identity/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/trusted.h"

enum err secret_file_read(const char *path, struct buf *out, bool *ret_lax, struct error *e)
{
	AUTOCLOSE int fd = -1;
	enum err err;

	buf_clear(out);
	if (ret_lax)
		*ret_lax = false;
	err = trusted_open(path, O_RDONLY, &fd, ret_lax, e);
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
