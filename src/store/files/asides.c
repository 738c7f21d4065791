/*
 * Invariants:
 * 1. Whatever stands under such a name, a directory or a link too, is listed, and nothing of it is changed.
 * 2. One set is one item: a database, its log, or both.
 */
#include "store/files/asides.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/mem.h"

#define LOG "-wal"
#define READ ".read"
enum { LOOK_BYTES = 65536 };

static int by_suffix(const void *a, const void *b)
{
	return strcmp(((const struct aside *)a)->suffix, ((const struct aside *)b)->suffix);
}

static const struct {
	const char *prefix, *outcome;
} kinds[] = {
    [ASIDE_QUARANTINE] = {ASIDE_PREFIX, ""},
    [ASIDE_STRANGER] = {STRANGER_PREFIX,
                        "of another spool, or of another time of this one: not read back; kspool import takes a"
                        " database in that was meant, else remove it"},
    [ASIDE_COPY] = {COPY_PREFIX, "as a damaged log was before it was joined again; remove it when you need it no more"},
};

static bool ends_with(const char *text, size_t length, const char *end)
{
	return length > strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* What a name says that was set aside; false for any other name. */
static bool parse_name(const struct files *f, const char *name, struct aside *ret)
{
	static const char *const others[] = {READ, READ ".new", ".head"};
	const size_t own = strlen(f->name), length = strlen(name);
	bool found = false;

	*ret = (struct aside){.has_file = true};
	if (length < own || length - own >= ASIDE_SUFFIX_BYTES || strncmp(name, f->name, own) != 0)
		return false;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !found; i++) {
		ret->kind = (enum aside_kind)i;
		found = strncmp(name + own, kinds[i].prefix, strlen(kinds[i].prefix)) == 0;
	}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		found &= !ends_with(name, length, others[i]);
	(void)snprintf(ret->suffix, ASIDE_SUFFIX_BYTES, "%s", name + own);
	ret->has_log = found && ret->kind != ASIDE_COPY && ends_with(name, length, LOG);
	ret->has_file = !ret->has_log;
	if (ret->has_log)
		ret->suffix[strlen(ret->suffix) - strlen(LOG)] = '\0';
	return found;
}

static enum err add_one(const struct files *f, struct aside_list *list, const struct aside *found, struct error *e)
{
	struct aside *item = NULL;

	for (size_t i = 0; i < list->count && !item; i++)
		if (strcmp(list->items[i].suffix, found->suffix) == 0)
			item = &list->items[i];
	if (item) {
		item->has_file |= found->has_file;
		item->has_log |= found->has_log;
		return ERR_OK;
	}
	list->items = mem_grow(list->items, list->count + 1, sizeof *list->items);
	item = &list->items[list->count++];
	*item = *found;
	item->is_read = item->kind != ASIDE_QUARANTINE;
	(void)snprintf(item->outcome, sizeof item->outcome, "%s", kinds[item->kind].outcome);
	if (item->is_read)
		return ERR_OK;
	return asides_is_read(f, item->suffix, &item->is_read, item->outcome, sizeof item->outcome, e);
}

char *asides_name(const struct files *f, const struct aside *a)
{
	return mem_format("%s%s%s", f->path, a->suffix, a->has_file ? "" : LOG);
}

/* Of one of its files. */
static void trouble_of(const struct files *f, const char *suffix, bool whole, char *out, size_t size)
{
	AUTOFREE unsigned char *bytes = mem_alloc(LOOK_BYTES);
	AUTOCLOSE int fd = -1;
	struct error e;
	size_t count = LOOK_BYTES;
	enum err err = files_open_read(f, suffix, O_RDONLY, &fd, &e);

	for (int64_t at = 0; fd >= 0 && err == ERR_OK && count == LOOK_BYTES; at += LOOK_BYTES) {
		const off_t data = lseek(fd, at, SEEK_DATA);

		if (data < 0 && errno == ENXIO) /* a hole to its end */
			break;
		at = data > at ? data : at;
		err = files_read_at(fd, bytes, LOOK_BYTES, at, &count, &e);
		if (err != ERR_OK)
			(void)error_wrap(&e, "%s%s, from byte %" PRId64 " on", f->path, suffix, at);
		if (!whole)
			break;
	}
	if (err != ERR_OK)
		(void)snprintf(out, size, "%s", e.text);
}

void asides_trouble(const struct files *f, const struct aside *a, bool whole, char *out, size_t size)
{
	AUTOFREE char *log = mem_format("%s" LOG, a->suffix);

	*out = '\0';
	if (a->has_file)
		trouble_of(f, a->suffix, whole, out, size);
	if (a->has_log && *out == '\0')
		trouble_of(f, log, whole, out, size);
}

/* Null: it cannot be listed, errno says why. */
static DIR *open_folder(const struct files *f)
{
	const int fd = openat(f->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		(void)close(fd);
	return dir;
}

enum err asides_find(const struct files *f, struct aside_list *ret, struct error *e)
{
	DIR *dir = open_folder(f);
	struct dirent *entry;
	enum err err = ERR_OK;

	*ret = (struct aside_list){0};
	if (!dir)
		return error_set_errno(e, ERR_DISK, "cannot list the folder of %s", f->path);
	errno = 0;
	while (err == ERR_OK && (entry = readdir(dir))) {
		struct aside found;

		if (parse_name(f, entry->d_name, &found))
			err = add_one(f, ret, &found, e);
		errno = 0;
	}
	if (err == ERR_OK && errno != 0)
		err = error_set_errno(e, ERR_DISK, "cannot list the folder of %s", f->path);
	(void)closedir(dir);
	if (ret->count > 0)
		qsort(ret->items, ret->count, sizeof *ret->items, by_suffix);
	return err;
}

/* Half of a small file, of a run that died or had no room: its whole never came. */
static bool is_half(const struct files *f, const char *name)
{
	const size_t own = strlen(f->name);

	if (strncmp(name, f->name, own) != 0)
		return false;
	name += own;
	return strcmp(name, ".aside.new") == 0 ||
	       (strncmp(name, ASIDE_PREFIX, strlen(ASIDE_PREFIX)) == 0 && ends_with(name, strlen(name), READ ".new"));
}

static bool is_peeked(const struct files *f, const char *name)
{
	static const char word[] = ".peek-"; /* ".part" is of an older kspool */
	static const char *const ends[] = {"", ".kspool-part", ".kspool-part-journal", ".part", ".part-journal"};
	const size_t own = strlen(f->name);
	const char *end;
	bool found = false;

	if (strncmp(name, f->name, own) != 0 || strncmp(name + own, word, sizeof word - 1) != 0)
		return false;
	end = name + own + sizeof word - 1;
	end += strspn(end, "0123456789");
	for (size_t i = 0; i < sizeof ends / sizeof *ends && !found; i++)
		found = end[-1] != '-' && strcmp(end, ends[i]) == 0;
	return found;
}

void asides_sweep_copies(const struct files *f)
{
	DIR *dir = open_folder(f);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (is_peeked(f, entry->d_name) || is_half(f, entry->d_name))
			(void)unlinkat(f->dir_fd, entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
}

void asides_fini(struct aside_list *list)
{
	free(list->items);
	*list = (struct aside_list){0};
}

enum err asides_named(const struct files *f, const char *file, char suffix[ASIDE_SUFFIX_BYTES], bool *ret_is_read,
                      struct error *e)
{
	const char *slash = strrchr(file, '/');
	struct aside_list list;
	enum err err = asides_find(f, &list, e);
	bool found = false;

	for (size_t i = 0; i < list.count && err == ERR_OK && !found; i++) {
		struct aside its;

		found = parse_name(f, slash ? slash + 1 : file, &its) && strcmp(its.suffix, list.items[i].suffix) == 0;
		if (found) {
			(void)snprintf(suffix, ASIDE_SUFFIX_BYTES, "%s", its.suffix);
			*ret_is_read = list.items[i].is_read;
		}
	}
	asides_fini(&list);
	if (err != ERR_OK || found)
		return err;
	return error_set(e, ERR_INPUT, "%s is none of the files that were set aside; kspool check lists them", file);
}

enum err asides_print(const struct files *f, struct buf *out, uint64_t *ret_unread, struct error *e)
{
	struct aside_list list;
	enum err err = asides_find(f, &list, e);

	*ret_unread = 0;
	for (size_t i = 0; i < list.count && err == ERR_OK; i++) {
		const struct aside *a = &list.items[i];
		AUTOFREE char *name = asides_name(f, a);
		char why[ERROR_TEXT_MAX] = "";

		*ret_unread += !a->is_read;
		if (!a->is_read)
			asides_trouble(f, a, true, why, sizeof why);
		(void)buf_addf(out, "set aside: %s: %s%s%s\n", name,
		               a->is_read ? a->outcome : "not read to its end yet", *why ? ": " : "", why);
		if (*why) {
			AUTOFREE char *word = mem_shell_word(name);

			(void)buf_addf(out, "put it right, or, when it is lost for good: kspool repair --give-up %s\n",
			               word);
		}
	}
	asides_fini(&list);
	return err;
}

bool asides_is_taken(const struct files *f, const char *suffix, const char *more)
{
	AUTOFREE char *name = mem_format("%s%s%s", f->name, suffix, more);
	struct stat st;

	return fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

enum err asides_new_suffix(const struct files *f, const char *prefix, char out[ASIDE_SUFFIX_BYTES], struct error *e)
{
	enum { TRIES = 100000 };
	const int64_t now = clock_wall_ms();

	for (int64_t ms = now; ms < now + TRIES; ms++) {
		char text[DATES_AMZ_BYTES];

		(void)snprintf(out, ASIDE_SUFFIX_BYTES, "%s%s-%03d", prefix, dates_format_amz(ms, text),
		               (int)(ms % MS_PER_S));
		if (!asides_is_taken(f, out, "") && !asides_is_taken(f, out, LOG))
			return ERR_OK;
	}
	return error_set(e, ERR_DISK, "%s%s and each name after it is taken, or cannot be looked at", f->path, out);
}

/* Not read to its end: why, and what to do. */
static void put_words(const struct files *f, const struct aside *a, const char *name, char *out, size_t size)
{
	AUTOFREE char *word = mem_shell_word(name);
	char why[ERROR_TEXT_MAX];

	asides_trouble(f, a, false, why, sizeof why);
	if (*why)
		(void)snprintf(
		    out, size,
		    "cannot be read: %s; put it right and start again, or, when it is lost for good: kspool repair"
		    " --give-up %s",
		    why, word);
	else
		(void)snprintf(
		    out, size,
		    "being read back; where that does not end, the log says why, and kspool repair --give-up %s"
		    " ends it",
		    word);
}

enum err asides_each(const char *path, asides_visit *each, void *arg, struct error *e)
{
	struct aside_list list = {0};
	struct files f;
	enum err err = files_open_names(&f, path, e);

	if (err == ERR_OK)
		err = asides_find(&f, &list, e);
	for (size_t i = 0; i < list.count && err == ERR_OK; i++) {
		const struct aside *a = &list.items[i];
		AUTOFREE char *name = asides_name(&f, a);
		char words[2 * ERROR_TEXT_MAX];

		if (!a->is_read)
			put_words(&f, a, name, words, sizeof words);
		each(arg, name, a->is_read, a->is_read ? a->outcome : words);
	}
	asides_fini(&list);
	files_close(&f);
	return err;
}

enum err asides_count(const struct files *f, uint64_t *ret_all, uint64_t *ret_unread, struct error *e)
{
	struct aside_list list;
	enum err err = asides_find(f, &list, e);

	*ret_all = list.count;
	*ret_unread = 0;
	for (size_t i = 0; i < list.count; i++)
		*ret_unread += !list.items[i].is_read;
	asides_fini(&list);
	return err;
}
