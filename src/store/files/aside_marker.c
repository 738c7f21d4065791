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

/* One that is there and cannot be read says no less that nothing is left to do: what came back may have been delivered.
 */
enum err asides_is_read(const struct files *f, const char *suffix, bool *ret, char *outcome, size_t size,
                        struct error *e)
{
	AUTOFREE char *marker = mem_format("%s" READ, suffix);
	char text[MARKER_BYTES];
	struct aside_parts before, now;
	uint64_t bytes;
	struct error ignored;
	char *end;
	bool has_parts;

	*ret = false;
	if (!bytes_of(f, marker, "", &bytes))
		return error_set_errno(e, ERR_DISK, "cannot look at %s%s", f->path, marker);
	if (bytes == 0)
		return ERR_OK;
	if (files_get_text(f, marker, text, sizeof text, &ignored) != ERR_OK)
		(void)snprintf(text, sizeof text, "%s%s cannot be read", f->name, marker);
	if (text[0] == '\0')
		return ERR_OK;
	end = strchr(text, '\n');
	has_parts = end && sscanf(end, PARTS, &before.file, &before.log) == 2;
	if (end)
		*end = '\0';
	(void)snprintf(outcome, size, "%.*s", (int)size - 1, text);
	*ret = !has_parts || !asides_parts(f, suffix, &now) || !asides_have_grown(&now, &before);
	return ERR_OK;
}

enum err asides_close(const struct files *f, const char *suffix, const struct aside_parts *parts, const char *outcome,
                      struct error *e)
{
	AUTOFREE char *marker = mem_format("%s" READ, suffix);
	AUTOFREE char *text = mem_format("%s" PARTS, outcome, parts->file, parts->log);

	return files_put_text(f, marker, text, e);
}
