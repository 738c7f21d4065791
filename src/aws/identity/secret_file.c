#include "aws/identity/secret_file.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/mem.h"

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
