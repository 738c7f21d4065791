#include "doors/door_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

/* A pipe must not hold us up. */
enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static void add(struct paths *p, const char *name, bool is_plain)
{
	p->items = mem_grow(p->items, p->count + 1, sizeof *p->items);
	p->items[p->count++] = (struct path_entry){.name = mem_string(name), .is_plain = is_plain};
}

/* What a pattern found. */
static void add_found(struct paths *p, const char *name)
{
	struct stat st;
	const char *reason = NULL;

	if (stat(name, &st) != 0)
		reason = errno == ENOENT ? "it is a link to nothing" : strerror(errno);
	else if (!S_ISREG(st.st_mode))
		reason = S_ISDIR(st.st_mode) ? "it is a folder" : "it is not a regular file";
	if (reason)
		LOG(LOG_WARN, "name left out", LOG_S("path", name), LOG_S("reason", reason));
	else
		add(p, name, false);
}

static enum err expand(struct paths *p, const char *pattern, struct error *e)
{
	glob_t found;
	int failed;

	if (strstr(pattern, "**"))
		return error_set(e, ERR_CONFIG, "%s: kspool does not expand ** (name the folders with *)", pattern);
	if (!strpbrk(pattern, "*?[")) {
		add(p, pattern, true);
		return ERR_OK;
	}
	failed = glob(pattern, 0, NULL, &found);
	if (failed == GLOB_NOMATCH) {
		LOG(LOG_WARN, "no file matches", LOG_S("pattern", pattern));
		return ERR_OK;
	}
	if (failed)
		return error_set(e, ERR_SYSTEM, "%s cannot be expanded", pattern);
	for (size_t i = 0; i < found.gl_pathc; i++)
		add_found(p, found.gl_pathv[i]);
	globfree(&found);
	return ERR_OK;
}

enum err paths_expand(struct paths *p, const struct config_strings *patterns, struct error *e)
{
	enum err err = ERR_OK;

	for (size_t n = 0; err == ERR_OK && n < patterns->count; n++)
		err = expand(p, patterns->items[n], e);
	return err;
}

void paths_fini(struct paths *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->items[i].name);
	free(p->items);
	memset(p, 0, sizeof *p);
}

size_t paths_next(const struct paths *p, size_t from)
{
	while (from < p->count && (p->items[from].is_begun || p->items[from].is_done))
		from++;
	return from;
}

/* Where no link is followed, whoever made the name could read the file himself; hard links are the kernel's business.
 */
static int open_without_links(const char *name)
{
	const struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_NO_SYMLINKS};

	return (int)syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof how);
}

static bool may_follow(const struct stat *link, const struct stat *target)
{
	return link->st_uid == 0 || link->st_uid == geteuid() || link->st_uid == target->st_uid ||
	       (target->st_mode & S_IROTH) != 0;
}

/* A link of somebody else's leads only to what its maker could read too: his own files, and those for all. */
static bool links_are_honest(const char *name, const struct stat *target, struct error *e)
{
	AUTOFREE char *path = mem_string(name);
	struct stat st;

	for (char *end = path;;) {
		char last;

		end += strspn(end, "/");
		end += strcspn(end, "/");
		last = *end;
		*end = '\0';
		if (lstat(path, &st) != 0 || (S_ISLNK(st.st_mode) && !may_follow(&st, target))) {
			(void)error_set(e, ERR_NOINPUT,
			                "%s is a link of uid %u's to what is not for everybody to read, and not theirs",
			                path, (unsigned)st.st_uid);
			return false;
		}
		*end = last;
		if (last == '\0')
			break;
	}
	if (stat(name, &st) == 0 && st.st_dev == target->st_dev && st.st_ino == target->st_ino)
		return true;
	(void)error_set(e, ERR_NOINPUT, "it was exchanged while it was opened");
	return false;
}

int paths_open(const char *name, struct error *e)
{
	int fd = open_without_links(name);
	bool has_links = fd < 0;
	struct stat st;

	if (has_links)
		fd = open(name, OPEN_FLAGS);
	if (fd < 0) {
		(void)error_set(e, ERR_NOINPUT, "%s", strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		(void)error_set(e, ERR_NOINPUT, "it is not a regular file (a pipe is read with input stdin)");
	else if (!has_links || links_are_honest(name, &st, e))
		return fd;
	(void)close(fd);
	return -1;
}
