#include "doors/door_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

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

int paths_open(const char *name, struct error *e)
{
	/* a pipe must not hold us up */
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0) {
		(void)error_set(e, ERR_NOINPUT, "%s", strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	(void)error_set(e, ERR_NOINPUT, "it is not a regular file (a pipe is read with input stdin)");
	(void)close(fd);
	return -1;
}
