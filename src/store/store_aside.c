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
 * What is another spool's, or does not fit this one (store_identity.c), is PATH.stranger-<UTC time>; a damaged log is
 * copied to PATH-wal.damaged-<time> before it is mended. Both are listed and never read back.
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
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"

#define LOG "-wal"
#define INTENT ".aside"

static enum err is_there(const struct files *f, const char *suffix, const char *more, bool *ret, struct error *e)
{
	AUTOFREE char *name = mem_format("%s%s", suffix, more);
	int64_t size;
	enum err err = files_size(f, name, &size, e);

	*ret = size >= 0;
	return err;
}

enum err store_move_part(struct store *s, const char *suffix, const char *part, struct error *e)
{
	AUTOFREE char *to = mem_format("%s%s", suffix, part);

	return files_rename(&s->files, part, to, e);
}

/* What cannot be looked at is neither free nor taken. */
static enum err look_for_free(const struct files *f, const char *suffix, bool *ret, struct error *e)
{
	AUTOFREE char *name = mem_format("%s%s", f->name, suffix);
	struct stat st;

	*ret = fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0;
	return !*ret || errno == ENOENT ? ERR_OK : error_set_errno(e, ERR_DISK, "cannot look at %s%s", f->path, suffix);
}

/* The old name goes only to a name that is free, and the log only when no new database can be its owner. */
static enum err move_one(const struct files *f, const char *suffix, const char *part, struct error *e)
{
	AUTOFREE char *to = mem_format("%s%s", suffix, part);
	bool there, owner = false, is_free = false;
	enum err err = is_there(f, part, "", &there, e);

	if (err == ERR_OK && *part)
		err = is_there(f, "", "", &owner, e);
	if (err == ERR_OK && there && !owner)
		err = look_for_free(f, to, &is_free, e);
	return err == ERR_OK && is_free ? files_rename(f, part, to, e) : err;
}

/* `why`: store_why; "": a run that died knew. */
static enum err move_all(struct store *s, const char *suffix, const char *why, struct store_report *report,
                         struct error *e)
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
	store_warn(report, "the database was damaged and moved to %s%s", report->quarantine_path, why);
	return files_sync_dir(&s->files, e);
}

void store_why(const struct error *e, char to[STORE_WHY_BYTES])
{
	(void)snprintf(to, STORE_WHY_BYTES, *e->text ? " (%s" : "%s", e->text);
	for (char *at = to; (at = strchr(at, '\n'));) /* SQLite's words may have some */
		*at = ' ';
	if (*to)
		(void)snprintf(to + store_least(strlen(to), STORE_WHY_BYTES - 2), 2, ")");
}

enum err store_set_aside(struct store *s, const struct error *why, struct store_report *report, struct error *e)
{
	char suffix[ASIDE_SUFFIX_BYTES], digits[SPOOL_ID_TEXT_BYTES], words[STORE_WHY_BYTES] = "";
	AUTOFREE char *text = NULL;
	enum err err;

	if (why)
		store_why(why, words); /* before *e says something else */
	err = asides_new_suffix(&s->files, ASIDE_PREFIX, suffix, e);
	text = mem_format("%s %s", suffix, files_id_text(s->id, digits));
	while (err == ERR_OK) {
		err = files_put_text(&s->files, INTENT, text, e);
		if (err != ERR_FULL || !files_reserve_give_up(&s->files))
			break;
		err = ERR_OK; /* once more: of the reserve there is only one */
	}
	FAILPOINT("after_intent");
	return err == ERR_OK ? move_all(s, suffix, words, report, e) : err;
}

/* A log without its database, of a run that died between two renames: it goes to the database that was moved last. */
static enum err adopt_log(struct store *s, struct store_report *report, struct error *e)
{
	struct aside_list list;
	char suffix[ASIDE_SUFFIX_BYTES] = "";
	const struct aside *last = NULL;
	enum err err = asides_find(&s->files, &list, e);

	for (size_t i = 0; i < list.count && err == ERR_OK; i++)
		if (list.items[i].kind == ASIDE_QUARANTINE)
			last = &list.items[i];
	if (last && !last->is_read && !last->has_log)
		(void)snprintf(suffix, sizeof suffix, "%s", last->suffix);
	else if (err == ERR_OK)
		err = asides_new_suffix(&s->files, ASIDE_PREFIX, suffix, e);
	asides_fini(&list);
	return err == ERR_OK ? move_all(s, suffix, "", report, e) : err;
}

/* An intent that another spool's run left: not ours to go on with. `id`: as it says. */
static enum err is_anothers(const struct files *f, const char *id, bool *ret, struct error *e)
{
	struct spool_id its, lock = files_lock_spool(f, NULL);
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
		return err == ERR_OK ? move_all(s, suffix, "", report, e) : err;
	err = asides_new_suffix(&s->files, STRANGER_PREFIX, stranger, e);
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
	if (strncmp(text, ASIDE_PREFIX, strlen(ASIDE_PREFIX)) == 0 && strlen(text) < ASIDE_SUFFIX_BYTES &&
	    !strchr(text, '/')) {
		err = go_on_with(s, text, id ? id : "", report, e);
		if (err != ERR_OK)
			return err;
	}
	err = is_there(&s->files, "", "", &there, e);
	if (err == ERR_OK)
		err = files_size(&s->files, "-wal", &log_bytes, e);
	return err == ERR_OK && !there && log_bytes > 0 ? adopt_log(s, report, e) : err;
}

enum err store_salvage_ledger(const struct files *f, struct spool_id ours, struct totals *ret, bool *ret_found,
                              struct error *e)
{
	struct ledger_found newest = {.totals = {.next_id = 1}, .of = ours};
	struct aside_list list;
	enum err err = asides_find(f, &list, e);

	for (size_t i = 0; i < list.count && err == ERR_OK; i++) {
		struct ledger_found its = newest;

		if (!list.items[i].is_read)
			err = store_ledger_find(f, list.items[i].suffix, PAGES_OF_BOTH | PAGES_TOLERATE, &its, e);
		if (err == ERR_DISK) { /* it is told when it is to be read back */
			err = ERR_OK;
			continue;
		}
		if (its.is_found && !spool_id_differs(ours, store_totals_id(&its.totals)))
			newest = its;
	}
	asides_fini(&list);
	*ret = newest.totals;
	*ret_found = newest.is_found;
	return err;
}
