#include "config/default_place.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/mem.h"

#define SYSTEM_FOLDER "/var/lib/kspool"

static bool is_absolute(const char *path) { return path && *path == '/'; }

/* The folder a user's programs keep their data in; null when nothing says so. */
static char *user_folder(void)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	const struct passwd *user;

	if (geteuid() == 0)
		return mem_string(SYSTEM_FOLDER);
	if (is_absolute(data))
		return mem_format("%s/kspool", data);
	if (!is_absolute(home)) {
		user = getpwuid(geteuid());
		home = user ? user->pw_dir : NULL;
	}
	return is_absolute(home) ? mem_format("%s/.local/share/kspool", home) : NULL;
}

/* "kspool.yaml" of "/etc/kspool/kspool.yaml"; the whole, with its folder as it really is, in *ret_path. */
static const char *name_of(const char *file, char **ret_path)
{
	const char *slash = strrchr(file, '/');
	AUTOFREE char *folder = slash ? mem_string_n(file, (size_t)(slash - file) + 1) : mem_string(".");
	AUTOFREE char *real = realpath(folder, NULL);
	const char *name = slash ? slash + 1 : file;

	*ret_path = mem_format("%s/%s", real ? real : folder, name);
	return name;
}

static bool is_there(const char *folder, const char *below, const char *name, char **ret)
{
	struct stat st;

	*ret = mem_format("%s/%s%s", folder, below, name);
	if (stat(*ret, &st) == 0)
		return true;
	free(*ret);
	*ret = NULL;
	return false;
}

enum err default_place_find(const char *config_file, char **ret, struct error *e)
{
	AUTOFREE char *path = NULL, *spool = NULL, *below = NULL, *folder = NULL;
	const char *state = getenv("STATE_DIRECTORY");
	const char *name = name_of(config_file, &path), *dot = strrchr(name, '.');
	int stem = (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name));

	spool = mem_format("%.*s-%08x.db", stem, name, (unsigned)crc32c(0, path, strlen(path)));
	if (is_absolute(state)) { /* of several the first */
		*ret = mem_format("%.*s/%s", (int)strcspn(state, ":"), state, spool);
		return ERR_OK;
	}
	folder = user_folder();
	below = mem_format("%.*s/", stem, name); /* kspool@NAME.service has a folder of its own */
	if ((folder && is_there(folder, "", spool, ret)) || is_there(SYSTEM_FOLDER, "", spool, ret) ||
	    is_there(SYSTEM_FOLDER, below, spool, ret))
		return ERR_OK;
	if (!folder)
		return error_set(e, ERR_CONFIG,
		                 "no folder for the spool is known ($STATE_DIRECTORY, $XDG_DATA_HOME, $HOME)");
	*ret = mem_format("%s/%s", folder, spool);
	return ERR_OK;
}

enum err default_place_make(const char *spool, struct error *e)
{
	AUTOFREE char *path = mem_string(spool);

	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return error_set_errno(e, ERR_ENVIRONMENT, "cannot make %s for the spool %s", path, spool);
		*slash = '/';
	}
	return ERR_OK;
}
