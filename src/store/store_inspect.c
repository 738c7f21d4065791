/*
 * What lies at the path, looked at with our own descriptors: before SQLite opens anything, and, by names alone, while
 * it runs; and what was found, in words.
 *
 * Invariants:
 * 1. No descriptor of the database is opened once SQLite has it: closing one would drop its locks.
 * 2. What could not be read is an error; FILE_DAMAGED was read whole.
 * 3. watched[i] is file i as it was opened, or as we left it when we made it shorter; inode 0: not there yet.
 * 4. Once files_lost is set it stays set.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/clock.h"
#include "base/byte_order.h"
#include "store/files/sql_schema.h"
#include "store/files/vfs.h"
#include "store/files/wal.h"

/* Offsets of the database header: sqlite.org/fileformat2.html, section 1.3. */
enum {
	HEADER_BYTES = 100,
	AT_PAGE_SIZE = 16,
	AT_FORMATS = 18,
	AT_USER_VERSION = 60,
	AT_APPLICATION_ID = 68,
	LOOK_BYTES = 65536,
};
static const char sqlite_magic[16] = "SQLite format 3";

/* What a spool has beside its database. */
struct beside {
	struct tide tide;
	bool is_ours; /* something that a spool alone has */
	struct spool_id spool;
};

static enum err look_beside(const struct files *f, struct beside *ret, struct error *e)
{
	enum err err = files_tide_read(f, &ret->tide, e);

	ret->spool = ret->tide.spool;
	ret->is_ours = ret->tide.is_valid;
	if (err != ERR_OK || ret->is_ours)
		return err;
	err = left_find(f, &ret->spool, e);
	ret->is_ours = spool_id_is_known(ret->spool);
	return err;
}

/* A database whose header lost bits, told from a stranger by what stands beside it. */
static bool is_one_of_ours_damaged(const struct beside *b, const unsigned char *h, uint32_t application)
{
	int wrong = 0;

	if (!b->is_ours)
		return false;
	for (size_t i = 0; i < sizeof sqlite_magic; i++)
		wrong += __builtin_popcount((unsigned char)sqlite_magic[i] ^ h[i]);
	if (wrong > 0)
		return application == APPLICATION_ID || wrong > 40; /* another kind of file would have its own id */
	return __builtin_popcount(application ^ APPLICATION_ID) == 1;
}

static bool is_better(const struct ledger_found *f, const struct totals *t)
{
	const bool is_ours = spool_id_is(f->of, store_totals_id(t));

	if (is_ours != spool_id_is(f->of, store_totals_id(&f->totals)))
		return is_ours;
	return store_ledger_is_later(t, &f->totals);
}

static enum err look_for_ledger(void *arg, const struct stored_record *r, struct error *e)
{
	struct ledger_found *f = arg;
	struct totals t;

	(void)e;
	if (store_ledger_of_record(r, &t) && (!f->is_found || is_better(f, &t))) {
		f->totals = t;
		f->is_found = true;
	}
	return ERR_OK;
}

enum err store_ledger_find(const struct files *f, const char *suffix, enum pages_of which, struct ledger_found *found,
                           struct error *e)
{
	AUTOFREE char *name = mem_format("%s%s", f->name, suffix);
	struct pages *p = NULL;
	enum err err = pages_open(f->dir_fd, name, which, &p, e);

	for (uint32_t n = 1; err == ERR_OK && n <= pages_count(p) && n <= LEDGER_PAGES; n++)
		err = pages_records(p, n, look_for_ledger, found, e);
	pages_close(p);
	return err;
}

/* Whatever its head says: a ledger stands in it, of the spool that stands beside it where one does. */
static enum err has_our_ledger(const struct files *f, struct spool_id beside, bool *ret, struct error *e)
{
	struct ledger_found found = {.of = beside};
	enum err err = store_ledger_find(f, "", PAGES_OF_FILE, &found, e);

	*ret = found.is_found && !spool_id_differs(store_totals_id(&found.totals), beside);
	return err;
}

/* It is of an older schema than its tide mark: it lost bits, or the mark is of another spool, for its own row, which is
 * what was written, has no name. */
static enum err is_behind_its_tide(const struct files *f, const struct tide *tide, bool *ret, struct error *e)
{
	struct ledger_found found = {0};
	enum err err = store_ledger_find(f, "", PAGES_OF_FILE, &found, e);

	*ret = !found.is_found || found.totals.epoch != 0 || !spool_id_is_known(tide->spool);
	return err;
}

/* What is the same in every spool: with any of it wrong, SQLite refuses to write, or reads what is not there. */
static bool has_our_fields(const unsigned char *h)
{
	static const struct {
		unsigned char at, count;
		const char *value;
	} fixed[] = {
	    {20, 4, "\x00\x40\x20\x20"}, /* no reserved bytes; payload fractions */
	    {44, 4, "\x00\x00\x00\x04"}, /* schema format */
	    {56, 4, "\x00\x00\x00\x01"}, /* UTF-8 */
	    {64, 4, "\x00\x00\x00\x01"}, /* incremental vacuum */
	    {72, 20, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
	};
	const unsigned page = (unsigned)h[AT_PAGE_SIZE] << 8 | h[AT_PAGE_SIZE + 1];

	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		if (memcmp(h + fixed[i].at, fixed[i].value, fixed[i].count) != 0)
			return false;
	/* 1: a rollback journal, in a copy that was exported; 2: a log. */
	if (h[AT_FORMATS] != h[AT_FORMATS + 1] || h[AT_FORMATS] < 1 || h[AT_FORMATS] > 2)
		return false;
	return page == 1 || (page >= 512 && (page & (page - 1)) == 0);
}

static enum err refuse_stranger(const struct files *f, const unsigned char *bytes, size_t count, uint32_t application,
                                struct error *e)
{
	if (memcmp(bytes, sqlite_magic, sizeof sqlite_magic) != 0)
		return error_set(e, ERR_ENVIRONMENT,
		                 "%s is not a spool (not an SQLite file); move it away or name another path", f->path);
	if (memmem(bytes, count, "requeue", 7))
		return error_set(e, ERR_ENVIRONMENT,
		                 "%s is a buffer of Redpanda Connect; let it drain there, or name another path",
		                 f->path);
	return error_set(e, ERR_ENVIRONMENT,
	                 "%s is a database of another program (application_id %#x); name another path", f->path,
	                 (unsigned)application);
}

static enum err inspect_header(const struct files *f, const unsigned char *bytes, size_t count, bool has_log,
                               enum file_kind *ret, struct error *e)
{
	uint32_t application, version;
	struct beside beside = {0};
	const struct tide *tide = &beside.tide;
	uint32_t newest = (uint32_t)schema_steps[schema_step_count - 1].version;
	enum err err = look_beside(f, &beside, e);

	if (err != ERR_OK)
		return err;
	if (count < HEADER_BYTES) {
		*ret = FILE_DAMAGED;
		return beside.is_ours ? ERR_OK
		                      : error_set(e, ERR_ENVIRONMENT,
		                                  "%s is not a spool; move it away or name another path", f->path);
	}
	application = get_big_u32(bytes + AT_APPLICATION_ID);
	version = get_big_u32(bytes + AT_USER_VERSION);
	*ret = FILE_OURS;
	if (memcmp(bytes, sqlite_magic, sizeof sqlite_magic) != 0 || application != APPLICATION_ID) {
		bool is_ours = is_one_of_ours_damaged(&beside, bytes, application);

		*ret = FILE_DAMAGED;
		err = is_ours ? ERR_OK : has_our_ledger(f, beside.spool, &is_ours, e);
		return err != ERR_OK || is_ours ? err : refuse_stranger(f, bytes, count, application, e);
	}
	if (version <= newest) {
		/* A schema number below the last writer's lost bits, too, unless the newer one is still in the log. */
		bool is_damaged = !has_our_fields(bytes) || version == 0;

		if (!is_damaged && !has_log && tide->is_valid && tide->schema <= newest && version < tide->schema)
			err = is_behind_its_tide(f, tide, &is_damaged, e);
		if (is_damaged)
			*ret = FILE_DAMAGED;
		return err;
	}
	if (!tide->is_valid || tide->schema > newest)
		return error_set(e, ERR_CONFIG, "%s has schema %u, this kspool knows %u; run the newer kspool", f->path,
		                 version, newest);
	*ret = FILE_DAMAGED; /* the last writer was no newer than we are: the number lost bits */
	return ERR_OK;
}

enum err store_inspect(const struct files *f, enum file_kind *ret, struct error *e)
{
	AUTOCLOSE int fd = -1;
	unsigned char bytes[LOOK_BYTES];
	int64_t size, wal_size;
	size_t n = 0;
	enum err err = files_size(f, "", &size, e);

	if (err == ERR_OK)
		err = files_size(f, "-wal", &wal_size, e);
	if (err != ERR_OK)
		return err;
	*ret = FILE_MISSING;
	if (size < 0)
		return ERR_OK;
	*ret = FILE_DAMAGED;
	if (size == 0)
		return ERR_OK; /* a spool is never empty */
	err = files_open_read(f, "", O_RDONLY, &fd, e);
	if (err == ERR_OK && fd < 0)
		return error_set(e, ERR_ENVIRONMENT, "%s went away while it was looked at", f->path);
	if (err == ERR_OK)
		err = files_read_at(fd, bytes, sizeof bytes, 0, &n, e);
	if (err != ERR_OK)
		return error_wrap(e, "%s", f->path);
	return inspect_header(f, bytes, n, wal_size > 0, ret, e);
}

enum err store_look_at_free(const struct files *f, struct error *e)
{
	struct pages *p = NULL;
	bool is_sound = true;
	enum err err = pages_open(f->dir_fd, f->name, PAGES_OF_BOTH | PAGES_OF_A_SPOOL, &p, e);

	if (err == ERR_OK)
		err = pages_free_list(p, &is_sound, e);
	pages_close(p);
	if (err != ERR_OK || is_sound)
		return err;
	return error_set(e, ERR_DAMAGED, "%s: the list of free pages is not what was written", f->path);
}

enum err store_mend_wal(const struct files *f, const struct wal_scan *scan, struct store_report *report,
                        struct error *e)
{
	AUTOCLOSE int fd = -1;
	char aside[WAL_COPY_BYTES] = "";
	uint64_t damaged = 0;
	enum err err = wal_is_damaged(scan) ? files_open_read(f, "-wal", O_RDWR, &fd, e) : ERR_OK;

	if (err != ERR_OK || fd < 0)
		return err;
	if (scan->header_is_torn && scan->commits_mended == scan->commits_lost)
		return wal_mend(fd, scan, &damaged, e);
	report->wal_mended = true;
	report->wal_frames_lost = scan->commits_lost - scan->commits_mended;
	err = wal_mend_file(f, scan, aside, &damaged, e);
	store_warn(report,
	           "the write-ahead log was damaged in the middle: %llu commits stood behind %llu bad frames; it was"
	           " joined again; as it was: %s%s",
	           (unsigned long long)scan->commits_mended, (unsigned long long)damaged,
	           *aside ? f->path : "not kept, there was no room", aside);
	return err;
}

void store_warn(struct store_report *report, const char *format, ...)
{
	size_t used = strlen(report->warning);
	va_list ap;

	if (used > 0 && used + 2 < sizeof report->warning)
		used += (size_t)snprintf(report->warning + used, sizeof report->warning - used, "; ");
	va_start(ap, format);
	(void)vsnprintf(report->warning + used, sizeof report->warning - used, format, ap);
	va_end(ap);
}

static const char *const suffixes[WATCHED_FILES] = {[VFS_DATABASE] = "", [VFS_LOG] = "-wal", ".lock"};

static int look(const struct store *s, int which, struct stat *st)
{
	char name[NAME_MAX + 1];

	(void)snprintf(name, sizeof name, "%s%s", s->files.name, suffixes[which]);
	return fstatat(s->files.dir_fd, name, st, AT_SYMLINK_NOFOLLOW);
}

static void note_one(struct store *s, int which)
{
	struct stat st;

	s->watched[which] = look(s, which, &st) != 0
	                        ? (struct watched){0}
	                        : (struct watched){.device = st.st_dev, .inode = st.st_ino, .bytes = st.st_size};
}

/* The database only shrinks at a checkpoint, the log never below what was committed to it since. */
static int64_t least_bytes(const struct store *s, int which)
{
	enum { WAL_HEADER = 32, FRAME_HEADER = 24 };

	if (which == 0)
		return s->watched[0].bytes;
	return which == 1 && s->wal_frames > 0
	           ? WAL_HEADER + (int64_t)s->wal_frames * (FRAME_HEADER + (int64_t)s->page_bytes)
	           : 0;
}

void store_watch_note(struct store *s)
{
	for (int i = 0; i < WATCHED_FILES; i++)
		note_one(s, i);
}

static enum err tell(struct store *s, enum vfs_file which, enum vfs_seen seen, struct error *e)
{
	struct error why;

	if (seen == VFS_SAME)
		return ERR_OK;
	if (seen == VFS_UNREADABLE)
		(void)error_set(&why, ERR_DISK, "%s%s cannot be read: %s", s->path, suffixes[which],
		                strerror(vfs_fault()));
	else
		(void)error_set(&why, ERR_DISK,
		                "%s%s was overwritten or cut while kspool had it open; start kspool again: it sets"
		                " aside what is another's and counts what is gone",
		                s->path, suffixes[which]);
	if (e)
		*e = why;
	return store_distrust(s, &why);
}

static enum err look_inside(struct store *s, enum vfs_file which, bool glance, struct error *e)
{
	return tell(s, which, vfs_look(s->db, which, glance), e);
}

enum err store_watch_log(struct store *s, struct error *e) { return look_inside(s, VFS_LOG, true, e); }

enum err store_watch_inside(struct store *s, struct error *e)
{
	enum err err = look_inside(s, VFS_DATABASE, false, e);

	return err == ERR_OK ? look_inside(s, VFS_LOG, false, e) : err;
}

/*
 * A log that was cut and grew again behind the cut has a hole there, as far as the file system tells of holes: with it
 * frames are gone that no glance would meet. One that was copied may have holes where we wrote zeros. Of many some are
 * looked at each time.
 */
static enum err look_at_holes(struct store *s, struct error *e)
{
	enum { HOLES = 64 };
	AUTOCLOSE int fd = s->wal_frames > 0 ? files_open_one(&s->files, "-wal", O_RDONLY) : -1;
	enum vfs_seen seen = VFS_SAME;
	off_t at = s->hole_at;

	for (int n = 0; fd >= 0 && seen == VFS_SAME && n < HOLES; n++) {
		at = lseek(fd, at, SEEK_HOLE);
		if (at < 0 || at >= (off_t)least_bytes(s, 1)) {
			at = 0;
			break;
		}
		seen = vfs_look_at_zeros(s->db, at);
		at = lseek(fd, at, SEEK_DATA);
	}
	s->hole_at = at > 0 ? at : 0; /* behind the last hole nothing may follow */
	if (seen == VFS_CHANGED)
		return error_set(e, ERR_DISK, "%s-wal was cut while kspool had it open", s->path);
	return tell(s, VFS_LOG, seen, e);
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Nobody wrote since the last look: the stamps of files are coarse, so a fresh one says nothing. */
static bool is_quiet(const struct store *s, int which, struct stat *st)
{
	if (look(s, which, st) != 0)
		*st = (struct stat){0};
	return s->watched[which].is_settled && is_same_time(&st->st_mtim, &s->watched[which].written);
}

/* A glance always; more when somebody wrote, be it ourselves: our own writes may hide another's. */
static enum err watch_inside(struct store *s, enum vfs_file which, struct error *e)
{
	enum { COARSE_MS = 1000 };
	struct watched *w = &s->watched[which];
	struct stat st;
	const bool quiet = is_quiet(s, (int)which, &st);
	enum err err = look_inside(s, which, quiet, e);

	if (err == ERR_OK && !quiet && which == VFS_LOG)
		err = look_at_holes(s, e);
	w->written = st.st_mtim;
	w->is_settled = clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * MS_PER_S > COARSE_MS + MS_PER_S;
	return err;
}

/* The tide mark goes on under its name. */
static void look_at_tide(struct store *s)
{
	if (files_tide_stands(&s->files))
		return;
	files_tide_open(&s->files);
	store_tide_write(s);
	s->tide_is_anew |= s->tide_trouble == 0;
}

static enum err is_lost(struct store *s, const char *suffix, const char *what, struct error *e)
{
	s->files_lost = true;
	(void)error_set(
	    &s->files_lost_why, ERR_DISK,
	    "%s%s was %s while kspool had it open; nothing more is accepted, what waits is still sent, and kspool"
	    " export saves it; then start kspool again",
	    s->path, suffix, what);
	*e = s->files_lost_why;
	return ERR_DISK;
}

/* What became of a file, in a word; null: nothing. */
static const char *changed(const struct store *s, int which, bool *ret_lost)
{
	struct stat st;

	*ret_lost = true;
	if (look(s, which, &st) != 0)
		return errno == ENOENT ? "deleted" : "taken away";
	if (st.st_dev != s->watched[which].device || st.st_ino != s->watched[which].inode)
		return "replaced";
	*ret_lost = false;
	return st.st_size < least_bytes(s, which) ? "cut short" : NULL;
}

enum err store_watch_names(struct store *s, bool *ret_lost, struct error *e)
{
	*ret_lost = s->files_lost;
	if (!s->files_lost && !files_is_at_path(&s->files)) {
		*ret_lost = true;
		return is_lost(s, "", "moved away with its folder", e);
	}
	for (int i = 0; i < WATCHED_FILES && !s->files_lost; i++) {
		const char *what = NULL;

		if (s->watched[i].inode == 0) /* the log may come with the first commit */
			note_one(s, i);
		else
			what = changed(s, i, ret_lost);
		if (what && *ret_lost)
			return is_lost(s, suffixes[i], what, e);
		if (what)
			return error_set(e, ERR_DISK, "%s%s was %s while kspool had it open", s->path, suffixes[i],
			                 what);
	}
	if (s->files_lost)
		*e = s->files_lost_why;
	return s->files_lost ? ERR_DISK : ERR_OK;
}

enum err store_watch(struct store *s, bool *ret_lost, struct error *e)
{
	enum err err = store_watch_names(s, ret_lost, e);

	if (err != ERR_OK)
		return err;
	look_at_tide(s);
	s->reserve_given |= s->options.reserve_bytes > 0 && files_held(&s->files, ".reserve") == 0; /* by whomever */
	s->left_is_anew |= left_look(s->left);
	err = watch_inside(s, VFS_DATABASE, e);
	return err == ERR_OK ? watch_inside(s, VFS_LOG, e) : err;
}

const char *store_take_companion(struct store *s)
{
	const bool is_tide = s->tide_is_anew, is_left = !is_tide && s->left_is_anew;

	s->tide_is_anew = false;
	s->left_is_anew &= is_tide;
	return is_tide ? ".tide" : is_left ? ".left" : NULL;
}
