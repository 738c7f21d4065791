/*
 * PATH.quarantine-<time>.read: the word that nothing is left to do with a set, and of which parts.
 *
 * A part that is smaller than it was, or gone, was read: people remove what they need no more.
 */
#include "store/files/asides.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define LOG "-wal"
#define READ ".read"
/* Behind the outcome; an older kspool wrote none. */
#define PARTS "\nof a database of %" PRIu64 " bytes and a log of %" PRIu64 "\n"

enum { MARKER_BYTES = 256 };

static bool bytes_of(const struct files *f, const char *suffix, const char *part, uint64_t *ret)
{
	AUTOFREE char *name = mem_format("%s%s%s", f->name, suffix, part);
	struct stat st;
	const bool is_there = fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;

	*ret = is_there && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	return is_there || errno == ENOENT;
}

bool asides_parts(const struct files *f, const char *suffix, struct aside_parts *ret)
{
	return bytes_of(f, suffix, "", &ret->file) && bytes_of(f, suffix, LOG, &ret->log);
}

bool asides_is_read(const struct files *f, const char *suffix, char *outcome, size_t size)
{
	AUTOFREE char *marker = mem_format("%s" READ, suffix);
	char text[MARKER_BYTES];
	struct aside_parts before, now;
	struct error ignored;
	char *end;
	bool has_parts;

	if (files_get_text(f, marker, text, sizeof text, &ignored) != ERR_OK || text[0] == '\0')
		return false;
	end = strchr(text, '\n');
	has_parts = end && sscanf(end, PARTS, &before.file, &before.log) == 2;
	if (end)
		*end = '\0';
	(void)snprintf(outcome, size, "%.*s", (int)size - 1, text);
	return !has_parts || !asides_parts(f, suffix, &now) || !asides_have_grown(&now, &before);
}

enum err asides_close(const struct files *f, const char *suffix, const struct aside_parts *parts, const char *outcome,
                      struct error *e)
{
	AUTOFREE char *marker = mem_format("%s" READ, suffix);
	AUTOFREE char *text = mem_format("%s" PARTS, outcome, parts->file, parts->log);

	return files_put_text(f, marker, text, e);
}
