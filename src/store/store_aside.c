/*
 * Setting aside as a transaction with the file system, and the files that were: found by their names at every start.
 *
 * What belongs together has one suffix, .quarantine-<UTC time>: PATH<suffix> is the database, PATH<suffix>-wal its log;
 * either may be missing. PATH<suffix>.read says that nothing is left to do: all was read, or a person gave it up.
 *
 * Invariants:
 * 1. PATH.aside names a suffix: it is durable before the first rename and gone after the last one is.
 * 2. A new database is made only when neither PATH nor PATH-wal is left of the old one.
 * 3. Nothing here deletes or changes what was set aside.
 *
 * What is another spool's, or does not fit this one (store_identity.c), is PATH.stranger-<UTC time>: never read back.
 */
#include "store/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/failpoint.h"
#include "base/mem.h"

#define PREFIX ".quarantine-"
#define STRANGER ".stranger-"
#define INTENT ".aside"
#define READ ".read"

static enum err is_there(const struct files *f, const char *suffix, const char *more, bool *ret, struct error *e)
{
	AUTOFREE char *name = mem_format("%s%s", suffix, more);
	int64_t size;
	enum err err = files_size(f, name, &size, e);

	*ret = size >= 0;
	return err;
}

static enum err new_suffix(const struct files *f, const char *prefix, char out[ASIDE_SUFFIX_BYTES], struct error *e)
{
	bool there = true;
	enum err err = ERR_OK;

	for (int64_t ms = clock_wall_ms(); there && err == ERR_OK; ms++) {
		char text[DATES_AMZ_BYTES];

		(void)snprintf(out, ASIDE_SUFFIX_BYTES, "%s%s-%03d", prefix, dates_format_amz(ms, text),
		               (int)(ms % MS_PER_S));
		err = is_there(f, out, "", &there, e);
		if (err == ERR_OK && !there)
			err = is_there(f, out, "-wal", &there, e);
	}
	return err;
}

enum err store_aside_suffix(const struct files *f, char out[ASIDE_SUFFIX_BYTES], struct error *e)
{
	return new_suffix(f, PREFIX, out, e);
}

enum err store_stranger_suffix(const struct files *f, char out[ASIDE_SUFFIX_BYTES], struct error *e)
{
	return new_suffix(f, STRANGER, out, e);
}

enum err store_move_part(struct store *s, const char *suffix, const char *part, struct error *e)
{
	AUTOFREE char *to = mem_format("%s%s", suffix, part);

	return files_rename(&s->files, part, to, e);
}

/* The old name goes only to a name that is free, and the log only when no new database can be its owner. */
static enum err move_one(const struct files *f, const char *suffix, const char *part, struct error *e)
{
	AUTOFREE char *to = mem_format("%s%s", suffix, part);
	bool there, taken, owner = false;
	enum err err = is_there(f, part, "", &there, e);

	if (err == ERR_OK)
		err = is_there(f, to, "", &taken, e);
	if (err == ERR_OK && *part)
		err = is_there(f, "", "", &owner, e);
	return err == ERR_OK && there && !taken && !owner ? files_rename(f, part, to, e) : err;
}

static enum err move_all(struct store *s, const char *suffix, struct store_report *report, struct error *e)
{
	enum err err = move_one(&s->files, suffix, "", e);

	FAILPOINT("mid_quarantine");
	if (err == ERR_OK)
		err = move_one(&s->files, suffix, "-wal", e);
	if (err == ERR_OK)
		err = files_sync_dir(&s->files, e);
	if (err != ERR_OK)
		return err;
	files_remove(&s->files, INTENT);
	report->quarantined = true;
	(void)snprintf(report->quarantine_path, sizeof report->quarantine_path, "%s%s", s->path, suffix);
	store_warn(report, "the database was damaged and moved to %s", report->quarantine_path);
	return files_sync_dir(&s->files, e);
}

enum err store_set_aside(struct store *s, struct store_report *report, struct error *e)
{
	char suffix[ASIDE_SUFFIX_BYTES], digits[SPOOL_ID_TEXT_BYTES];
	enum err err = new_suffix(&s->files, PREFIX, suffix, e);
	AUTOFREE char *text = mem_format("%s %s", suffix, files_id_text(s->id, digits));

	if (err == ERR_OK)
		err = files_put_text(&s->files, INTENT, text, e);
	FAILPOINT("after_intent");
	return err == ERR_OK ? move_all(s, suffix, report, e) : err;
}

/* A log without its database, of a run that died between two renames: it goes to the database that was moved last. */
static enum err adopt_log(struct store *s, struct store_report *report, struct error *e)
{
	struct aside_list list;
	char suffix[ASIDE_SUFFIX_BYTES] = "";
	bool has_log = true;
	enum err err = store_aside_list(&s->files, &list, e);

	if (err == ERR_OK && list.count > 0 && !list.items[list.count - 1].is_read) {
		(void)snprintf(suffix, sizeof suffix, "%s", list.items[list.count - 1].suffix);
		err = is_there(&s->files, suffix, "-wal", &has_log, e);
	}
	if (err == ERR_OK && has_log)
		err = new_suffix(&s->files, PREFIX, suffix, e);
	store_aside_list_fini(&list);
	return err == ERR_OK ? move_all(s, suffix, report, e) : err;
}

/* An intent that another spool's run left: not ours to go on with. `id`: as it says. */
static enum err is_anothers(const struct files *f, const char *id, bool *ret, struct error *e)
{
	struct spool_id its, lock = files_lock_spool(f);
	struct tide tide;
	enum err err = files_tide_read(f, &tide, e);

	*ret = files_id_parse(id, &its) && !spool_id_is(its, lock) && !spool_id_is(its, tide.spool) &&
	       (spool_id_differs(its, lock) || spool_id_differs(its, tide.spool));
	return err;
}

static enum err go_on_with(struct store *s, const char *suffix, const char *id, struct store_report *report,
                           struct error *e)
{
	char stranger[ASIDE_SUFFIX_BYTES];
	bool anothers = false;
	enum err err = is_anothers(&s->files, id, &anothers, e);

	if (err != ERR_OK || !anothers)
		return err == ERR_OK ? move_all(s, suffix, report, e) : err;
	err = new_suffix(&s->files, STRANGER, stranger, e);
	if (err == ERR_OK)
		err = store_move_part(s, stranger, INTENT, e);
	store_warn(report, "%s%s was another spool's: moved away, nothing was set aside", s->path, INTENT);
	return err;
}

enum err store_aside_go_on(struct store *s, struct store_report *report, struct error *e)
{
	char text[ASIDE_SUFFIX_BYTES + SPOOL_ID_TEXT_BYTES], *id;
	bool there = false;
	int64_t log_bytes = 0;
	enum err err = files_get_text(&s->files, INTENT, text, sizeof text, e);

	if (err != ERR_OK)
		return err;
	id = strchr(text, ' ');
	if (id)
		*id++ = '\0';
	if (strncmp(text, PREFIX, strlen(PREFIX)) == 0 && strlen(text) < ASIDE_SUFFIX_BYTES && !strchr(text, '/')) {
		err = go_on_with(s, text, id ? id : "", report, e);
		if (err != ERR_OK)
			return err;
	}
	err = is_there(&s->files, "", "", &there, e);
	if (err == ERR_OK)
		err = files_size(&s->files, "-wal", &log_bytes, e);
	return err == ERR_OK && !there && log_bytes > 0 ? adopt_log(s, report, e) : err;
}

static int by_suffix(const void *a, const void *b)
{
	return strcmp(((const struct aside *)a)->suffix, ((const struct aside *)b)->suffix);
}

/* The suffix of a database or a log that was set aside; false for any other name. */
static bool suffix_of(const struct files *f, const char *name, char out[ASIDE_SUFFIX_BYTES])
{
	static const char *const others[] = {READ, READ ".new", ".head"};
	size_t own = strlen(f->name), length = strlen(name);

	if (length - own >= ASIDE_SUFFIX_BYTES || strncmp(name, f->name, own) != 0 ||
	    strncmp(name + own, PREFIX, strlen(PREFIX)) != 0)
		return false;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (length > strlen(others[i]) && strcmp(name + length - strlen(others[i]), others[i]) == 0)
			return false;
	(void)snprintf(out, ASIDE_SUFFIX_BYTES, "%s", name + own);
	length = strlen(out);
	if (length > 4 && strcmp(out + length - 4, "-wal") == 0)
		out[length - 4] = '\0';
	return true;
}

static enum err add_one(const struct files *f, struct aside_list *list, const char *suffix, struct error *e)
{
	AUTOFREE char *marker = mem_format("%s" READ, suffix);
	struct aside *item;
	enum err err;

	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].suffix, suffix) == 0)
			return ERR_OK;
	list->items = mem_grow(list->items, list->count + 1, sizeof *list->items);
	item = &list->items[list->count++];
	*item = (struct aside){0};
	(void)snprintf(item->suffix, sizeof item->suffix, "%s", suffix);
	/* Where it cannot be read, the notes of the database say what was done. */
	err = files_get_text(f, marker, item->outcome, sizeof item->outcome, e);
	item->is_read = err == ERR_OK && item->outcome[0] != '\0';
	return err == ERR_DISK ? ERR_OK : err;
}

enum err store_aside_list(const struct files *f, struct aside_list *ret, struct error *e)
{
	int fd = openat(f->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	enum err err = ERR_OK;

	*ret = (struct aside_list){0};
	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return error_set_errno(e, ERR_DISK, "cannot list the folder of %s", f->path);
	}
	errno = 0;
	while (err == ERR_OK && (entry = readdir(dir))) {
		char suffix[ASIDE_SUFFIX_BYTES];

		if (suffix_of(f, entry->d_name, suffix))
			err = add_one(f, ret, suffix, e);
		errno = 0;
	}
	if (err == ERR_OK && errno != 0)
		err = error_set_errno(e, ERR_DISK, "cannot list the folder of %s", f->path);
	(void)closedir(dir);
	if (ret->count > 0)
		qsort(ret->items, ret->count, sizeof *ret->items, by_suffix);
	return err;
}

void store_aside_list_fini(struct aside_list *list)
{
	free(list->items);
	*list = (struct aside_list){0};
}

enum err store_each_aside(const char *path, void (*each)(void *arg, const char *name, const char *outcome), void *arg,
                          struct error *e)
{
	struct aside_list list = {0};
	struct files f = FILES_NONE;
	enum err err = files_open_folder(&f, path, e);

	if (err == ERR_OK)
		err = store_aside_list(&f, &list, e);
	for (size_t i = 0; i < list.count && err == ERR_OK; i++) {
		AUTOFREE char *name = mem_format("%s%s", path, list.items[i].suffix);

		each(arg, name, list.items[i].outcome);
	}
	store_aside_list_fini(&list);
	files_close(&f);
	return err;
}

enum err store_aside_named(const struct files *f, const char *file, char suffix[ASIDE_SUFFIX_BYTES], bool *ret_is_read,
                           struct error *e)
{
	const char *slash = strrchr(file, '/');
	struct aside_list list;
	enum err err = store_aside_list(f, &list, e);
	bool found = false;

	for (size_t i = 0; i < list.count && err == ERR_OK && !found; i++) {
		char its[ASIDE_SUFFIX_BYTES];

		found = suffix_of(f, slash ? slash + 1 : file, its) && strcmp(its, list.items[i].suffix) == 0;
		if (found) {
			(void)snprintf(suffix, ASIDE_SUFFIX_BYTES, "%s", its);
			*ret_is_read = list.items[i].is_read;
		}
	}
	store_aside_list_fini(&list);
	if (err != ERR_OK || found)
		return err;
	return error_set(e, ERR_INPUT, "%s is none of the files that were set aside; kspool check lists them", file);
}

enum err store_aside_close(const struct files *f, const char *suffix, const char *outcome, struct error *e)
{
	AUTOFREE char *marker = mem_format("%s" READ, suffix);

	return files_put_text(f, marker, outcome, e);
}
