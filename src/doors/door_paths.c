#include "doors/door_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
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
enum { LINKS_MAX = 40 }; /* as the kernel */

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

/* How a name is walked whose links somebody else may have made. */
struct walk {
	int at;         /* the folder that the rest begins in */
	char *rest;     /* of the name */
	unsigned links; /* followed */
	bool has_stranger, is_mixed;
	uid_t stranger; /* a maker of a link, neither root nor we; mixed: others too */
	bool is_closed; /* behind such a link, a folder that is neither theirs nor everybody's to enter */
};

static void note_link(struct walk *w, uid_t maker)
{
	if (maker == 0 || maker == geteuid())
		return;
	w->is_mixed |= w->has_stranger && w->stranger != maker;
	w->has_stranger = true;
	w->stranger = maker;
}

static void enter(struct walk *w, int folder)
{
	(void)close(w->at);
	w->at = folder;
}

/* False with errno. */
static bool follow(struct walk *w, int link, const char *behind)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(link, "", target, sizeof target - 1);
	char *rest;

	if (n < 0)
		return false;
	errno = ELOOP;
	if (++w->links > LINKS_MAX)
		return false;
	target[n] = '\0';
	rest = mem_format("%s%s", target, behind);
	free(w->rest);
	w->rest = rest;
	if (*target == '/')
		enter(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	return w->at >= 0;
}

/* The next word of the name. The file that it ends at in *ret, -1 before. False with errno. */
static bool step(struct walk *w, int *ret)
{
	char *word = w->rest + strspn(w->rest, "/"), *behind = word + strcspn(word, "/");
	AUTOFREE char *name = mem_string_n(word, (size_t)(behind - word));
	AUTOCLOSE int fd = openat(w->at, *name ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	*ret = -1;
	if (fd < 0 || fstat(fd, &st) != 0)
		return false;
	if (S_ISLNK(st.st_mode)) {
		note_link(w, st.st_uid);
		return follow(w, fd, behind);
	}
	if (behind[strspn(behind, "/")] == '\0') {
		*ret = openat(w->at, *name ? name : ".", OPEN_FLAGS | O_NOFOLLOW);
		return *ret >= 0;
	}
	w->is_closed |= w->has_stranger && !(st.st_mode & S_IXOTH) && st.st_uid != w->stranger;
	enter(w, fd);
	fd = -1;
	memmove(w->rest, behind, strlen(behind) + 1);
	return true;
}

/* A link of somebody else's leads only to what its maker could read too: his own files, and those for all. */
static bool is_honest(const struct walk *w, const struct stat *file)
{
	return !w->has_stranger || (!w->is_mixed && file->st_uid == w->stranger) ||
	       ((file->st_mode & S_IROTH) && !w->is_closed);
}

/* Word by word, so that what was judged is what is opened. -1 with errno; EPERM: *ret_maker's link is none to follow.
 */
static int open_by_steps(const char *name, uid_t *ret_maker)
{
	struct walk w = {.rest = mem_string(name)};
	struct stat st;
	int fd = -1;

	w.at = open(*name == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (w.at >= 0 && fd < 0)
		if (!step(&w, &fd))
			break;
	if (fd >= 0 && (fstat(fd, &st) != 0 || !is_honest(&w, &st))) {
		(void)close(fd);
		fd = -1;
		errno = EPERM;
	}
	*ret_maker = w.stranger;
	if (w.at >= 0) {
		int saved = errno;

		(void)close(w.at);
		errno = saved;
	}
	free(w.rest);
	return fd;
}

int paths_open(const char *name, struct error *e)
{
	int fd = open_without_links(name);
	uid_t maker = 0;
	struct stat st;

	if (fd < 0 && errno != ENOENT && errno != EACCES)
		fd = open_by_steps(name, &maker);
	if (fd < 0 && errno == EPERM && maker != 0)
		(void)error_set(e, ERR_NOINPUT,
		                "a link of uid %u's leads to it, and it is neither theirs nor for everybody to read",
		                (unsigned)maker);
	else if (fd < 0)
		(void)error_set(e, ERR_NOINPUT, "%s", strerror(errno));
	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		return fd;
	(void)error_set(e, ERR_NOINPUT, "it is not a regular file (a pipe is read with input stdin)");
	(void)close(fd);
	return -1;
}
