/*
 * What a look at a stopped spool, and a peek at it, answer word for word when something is not as it was, also where
 * nothing can be written; and how much room a copy of such a spool asks for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/fullspool.h"
#include "store/store_internal.h"

#define ASIDE ".quarantine-20260101T000000Z-000"
#define ELSEWHERE                                                                                                  \
	"PATH cannot be written here: to mend it, copy it with all that stands beside it (PATH*) to a folder of a" \
	" healthy disk, and use it there: "
#define REPAIR "; start kspool, or run kspool repair, to part them"

static bool is_read_only;

int faccessat(int dir, const char *path, int mode, int flags)
{
	errno = EROFS;
	return is_read_only && mode & W_OK ? -1 : (int)syscall(SYS_faccessat2, dir, path, mode, flags);
}

static uint64_t free_bytes; /* 0: as it is */

int fstatvfs(int fd, struct statvfs *ret)
{
	if (free_bytes > 0) {
		*ret = (struct statvfs){.f_bavail = free_bytes, .f_frsize = 1};
		return 0;
	}
	*ret = (struct statvfs){.f_bavail = 1 << 30, .f_frsize = 4096};
	(void)fd;
	return 0;
}

static void lose(const struct spooldir *d, const char *suffix)
{
	assert_int_equal(unlink(spooldir_file(d, suffix)), 0);
}

static void put(const struct spooldir *d, const char *suffix, const char *text)
{
	spooldir_store(spooldir_file(d, suffix), text, strlen(text));
}

static void flip(const char *path, size_t at)
{
	size_t count;
	unsigned char *bytes = spooldir_load(path, &count);

	assert_true(at < count);
	bytes[at] ^= 4;
	spooldir_store(path, bytes, count);
	free(bytes);
}

static void bring_other(const struct spooldir *d, const char *suffix)
{
	struct spooldir other;

	life_make(&other, LIFE_OTHERS, 20, 20);
	life_bring(&other, suffix, d);
	spooldir_remove(&other);
}

static void nothing(const struct spooldir *d) { (void)d; }
static void older(const struct spooldir *d)
{
	full_change(d->path, "DROP TABLE losses; ALTER TABLE imports DROP COLUMN checksum; PRAGMA user_version = 9");
}
static void older_without_a_name(const struct spooldir *d)
{
	older(d);
	lose(d, ".tide");
	lose(d, ".lock");
}
static void gone(const struct spooldir *d) { lose(d, ""); }
static void gone_with_a_byte_of_log(const struct spooldir *d)
{
	lose(d, "");
	put(d, "-wal", "x");
}
static void all_gone(const struct spooldir *d)
{
	lose(d, "");
	lose(d, "-wal");
}
static void gone_with_an_empty_log(const struct spooldir *d)
{
	lose(d, "");
	put(d, "-wal", "");
}
static void gone_and_set_aside(const struct spooldir *d)
{
	all_gone(d);
	put(d, ASIDE, "x");
}
static void gone_and_read_back(const struct spooldir *d)
{
	gone_and_set_aside(d);
	put(d, ASIDE ".read", "all of it");
}
static void beside_two_sets(const struct spooldir *d)
{
	put(d, ASIDE, "x");
	put(d, ".quarantine-20260102T000000Z-000-wal", "x");
}
static void with_a_broken_log(const struct spooldir *d) { flip(spooldir_file(d, "-wal"), 32 + 24 + 100); }
static void with_a_broken_log_beside_a_set(const struct spooldir *d)
{
	with_a_broken_log(d);
	put(d, ASIDE, "x");
}
static void with_anothers_log(const struct spooldir *d) { bring_other(d, "-wal"); }
static void with_anothers_lock(const struct spooldir *d) { bring_other(d, ".lock"); }
static void anothers(const struct spooldir *d)
{
	bring_other(d, "");
	lose(d, "-wal");
}
static void beheaded(const struct spooldir *d) { flip(d->path, 19); }
static void with_more_tables(const struct spooldir *d) { full_change(d->path, "CREATE TABLE more (x)"); }
static void with_fewer_tables(const struct spooldir *d) { full_change(d->path, "DROP TABLE losses"); }
static void without_a_page(const struct spooldir *d) { full_zero(d->path, "blocks"); }

static const struct {
	const char *name;
	void (*harm)(const struct spooldir *d);
	bool is_old;
	const char *look, *peek; /* what is said: a warning, or an error */
} cases[] = {
    {"nothing", nothing, false, "OK, 4096 a page, 2 on the shelf: ", "OK, 62"},
    {"older", older, false, "DAMAGED: PATH: the head of the file is damaged",
     "INPUT, 0: the head of PATH is damaged: start kspool, or run kspool repair, to read back what is whole"},
    {"older without a name", older_without_a_name, true, "OK, 4096 a page, 2 on the shelf: ", "OK, 62"},
    {"gone", gone, false, "DAMAGED: PATH is gone, and its log is here",
     "INPUT, 0: PATH is gone, its log is here: start kspool, or run kspool repair, to read it back"},
    {"gone with a byte of log", gone_with_a_byte_of_log, false, "DAMAGED: PATH is gone, and its log is here",
     "INPUT, 0: PATH is gone, its log is here: start kspool, or run kspool repair, to read it back"},
    {"all gone", all_gone, false, "NOINPUT: there is no spool at PATH", "NOINPUT, 0: there is no spool at PATH"},
    {"gone with an empty log", gone_with_an_empty_log, false, "NOINPUT: there is no spool at PATH",
     "NOINPUT, 0: there is no spool at PATH"},
    {"gone and set aside", gone_and_set_aside, false, "DAMAGED: PATH is gone, and files set aside are not read back",
     "INPUT, 0: PATH is gone, what was set aside is here: start kspool, or run kspool repair, to read it back"},
    {"gone and read back", gone_and_read_back, false, "NOINPUT: there is no spool at PATH",
     "NOINPUT, 0: there is no spool at PATH"},
    {"beside two sets", beside_two_sets, false,
     "OK, 4096 a page, 2 on the shelf: 2 sets of files beside it are not read back: kspool check names them", "OK, 62"},
    {"with a broken log", with_a_broken_log, false,
     "OK, 4096 a page, 2 on the shelf: the log is damaged: 3 commits behind the break are not seen",
     "INPUT, 32: PATH-wal is damaged: 3 commits stand behind the break, and cannot be seen before kspool repair has "
     "joined them again"},
    {"with a broken log beside a set", with_a_broken_log_beside_a_set, false,
     "OK, 4096 a page, 2 on the shelf: 1 sets of files beside it are not read back: kspool check names them; the log "
     "is damaged: 3 commits behind the break are not seen",
     "INPUT, 32: PATH-wal is damaged: 3 commits stand behind the break, and cannot be seen before kspool repair has "
     "joined them again"},
    {"with anothers log", with_anothers_log, false,
     "DAMAGED: the log is another spool's, or of a copy that went its own way",
     "INPUT, 0: the log is another spool's, or of a copy that went its own way; start kspool, or run kspool repair, to "
     "part them"},
    {"with anothers lock", with_anothers_lock, false,
     "OK, 4096 a page, 2 on the shelf: the lock file is of another spool than *", "OK, 62"},
    {"anothers", anothers, false, "DAMAGED: the database is of spool *, what lies beside it of *",
     "INPUT, 0: the database is of spool *, what lies beside it of *; start kspool, or run kspool repair, to part "
     "them"},
    {"beheaded", beheaded, false, "DAMAGED: PATH: the head of the file is damaged",
     "INPUT, 0: the head of PATH is damaged: start kspool, or run kspool repair, to read back what is whole"},
    {"with more tables", with_more_tables, false,
     "ENVIRONMENT: PATH holds the table more, which kspool did not make; drop it: sqlite3 PATH 'DROP table more'",
     "ENVIRONMENT, 0: PATH holds the table more, which kspool did not make; drop it: sqlite3 PATH 'DROP table more'"},
    {"with fewer tables", with_fewer_tables, false, "DAMAGED: PATH: the definition of losses is not what was written",
     "DAMAGED, 0: PATH is damaged: start kspool, or run kspool repair, to read back what is whole; kspool check says "
     "what is not: PATH: the definition of losses is not what was written"},
    {"without a page", without_a_page, false, "OK, 4096 a page, 2 on the shelf: ",
     "DAMAGED, 0: PATH is damaged: start kspool, or run kspool repair, to read back what is whole; kspool check says "
     "what is not: read the messages: database disk image is malformed (SQLite 11); log: *"},
};

static bool count(void *arg, const struct store_peeked *m)
{
	(void)m;
	++*(int *)arg;
	return true;
}

/* "OK, N pages: warning", or the error. */
static bool look(const struct spooldir *d, char text[FULL_TEXT])
{
	const struct store_options o = {.path = d->path};
	struct store_report report;
	struct store *s = NULL;
	struct error e = {.text = ""};
	char all[2 * ERROR_TEXT_MAX];
	const enum err err = store_look(&o, &s, &report, &e);

	if (err == ERR_OK) {
		(void)snprintf(all, sizeof all, "OK, %u a page, %d on the shelf: %s", (unsigned)s->page_bytes,
		               (int)store_ledger(s)->dead, report.warning);
		assert_string_equal(s->options.path, d->path);
		store_abandon(s);
	} else {
		assert_int_equal(err, e.code);
		(void)snprintf(all, sizeof all, "%s: %s", error_name(err), e.text);
	}
	assert_int_equal(report.is_read_only, is_read_only);
	full_words(d->path, all, strlen(all), text);
	return report.schema_is_old;
}

static void peek(const struct spooldir *d, char text[FULL_TEXT])
{
	struct error e = {.text = ""};
	char all[2 * ERROR_TEXT_MAX];
	int seen = 0;
	const enum err err = store_peek(d->path, false, count, &seen, &e);

	if (err == ERR_OK)
		(void)snprintf(all, sizeof all, "OK, %d", seen);
	else
		(void)snprintf(all, sizeof all, "%s, %d: %s", error_name(err), seen, e.text);
	full_words(d->path, all, strlen(all), text);
}

static void make(struct spooldir *d)
{
	struct store *s = full_open(d);

	life_checkpoint(s);
	life_append(s, 40, 30);
	store_abandon(s);
}

static void what_is_looked_at_says_what_it_is(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		char seen[FULL_TEXT], shown[FULL_TEXT], without[FULL_TEXT];
		bool is_old;

		make(&d);
		cases[i].harm(&d);
		is_old = look(&d, seen);
		peek(&d, shown);
		if (is_old != cases[i].is_old || strcmp(seen, cases[i].look) != 0 ||
		    strcmp(shown, cases[i].peek) != 0) {
			(void)fprintf(stderr, "%s: %d\n%s\n%s\n", cases[i].name, is_old, seen, shown);
			wrong++;
		}
		is_read_only = true;
		(void)look(&d, without);
		is_read_only = false;
		if (strncmp(seen, "DAMAGED: ", 9) == 0) { /* where it lies nothing can be done about it */
			assert_int_equal(strncmp(without, "DAMAGED: " ELSEWHERE, strlen("DAMAGED: " ELSEWHERE)), 0);
			memmove(without + 9, without + strlen("DAMAGED: " ELSEWHERE),
			        strlen(without + strlen("DAMAGED: " ELSEWHERE)) + 1);
		}
		assert_string_equal(without, seen);
		spooldir_remove(&d);
	}
	assert_int_equal(wrong, 0);
}

/* Nor is there one where there is no folder; where that may not be used, its mode is why. */
static void a_peek_at_no_folder(void **state)
{
	struct spooldir d, nowhere;
	char text[FULL_TEXT];

	(void)state;
	spooldir_make(&d);
	(void)snprintf(nowhere.path, sizeof nowhere.path, "%.200s/not/spool.db", d.dir);
	peek(&nowhere, text);
	assert_string_equal(text, "NOINPUT, 0: there is no spool at PATH");
	assert_int_equal(mkdir(spooldir_file(&d, ".open"), 0700), 0);
	assert_int_equal(chmod(spooldir_file(&d, ".open"), 0777), 0);
	(void)snprintf(nowhere.path, sizeof nowhere.path, "%.200s.open/spool.db", d.path);
	spooldir_store(nowhere.path, "x", 1);
	peek(&nowhere, text);
	assert_non_null(strstr(text, "ENVIRONMENT, 0: "));
	assert_non_null(strstr(text, "may be written by others"));
	spooldir_remove(&d);
}

static struct store *look_with(const struct spooldir *d, uint64_t min_free)
{
	const struct store_options o = {.path = d->path, .min_free_bytes = min_free};
	struct store_report report;
	struct store *s = NULL;
	struct error e;

	assert_int_equal(store_look(&o, &s, &report, &e), ERR_OK);
	return s;
}

/* A copy beside the spool leaves free what is to stay free, to the byte; pages that are free are not copied. */
static void a_copy_leaves_room(void **state)
{
	enum { SPARE = 1000000 };
	struct spooldir d;
	struct store *s;
	struct error e = {.text = ""};
	char want[400];
	uint64_t needs;

	(void)state;
	make(&d);
	for (int opened = 0; opened < 2; opened++) {
		AUTOFREE char *target = mem_format("%s.copy%d", d.path, opened);
		const uint64_t wrong[] = {SPARE - 1, SPARE + 1, 0};
		struct stat st;

		s = opened ? life_open(&d, NULL) : look_with(&d, SPARE);
		if (opened)
			s->options.min_free_bytes = SPARE;
		needs =
		    4096 * (uint64_t)(life_number(s, "PRAGMA page_count") - life_number(s, "PRAGMA freelist_count"));
		for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
			free_bytes = wrong[i] ? wrong[i] : SPARE + needs - 1;
			assert_int_equal(store_export(s, target, &e), ERR_INPUT);
			(void)snprintf(
			    want, sizeof want,
			    "a copy needs %llu bytes beside the %d that stay free for the spool (kspool.min_free),"
			    " and %llu are free; name a file on another file system, or free some space",
			    (unsigned long long)needs, SPARE, (unsigned long long)free_bytes);
			assert_string_equal(e.text, want);
			assert_int_equal(life_count_files(&d, ".copy"), opened);
		}
		free_bytes = SPARE + needs;
		put(&d, opened ? ".copy1.kspool-part" : ".copy0.kspool-part", "of one that was cut short");
		if (store_export(s, target, &e) != ERR_OK)
			fail_msg("%s", e.text);
		assert_int_equal(sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, -1), 0);
		assert_int_equal(stat(target, &st), 0);
		assert_in_range(st.st_size, 4096, needs);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(store_export(s, target, &e), ERR_INPUT);
		(void)snprintf(want, sizeof want, "%s is there already; name a new file", target);
		assert_string_equal(e.text, want);
		free_bytes = 0;
		store_abandon(s);
	}
	spooldir_remove(&d);
}

/* A start would take it for what it keeps under that name, or away; any other name beside the spool is free. */
static void a_copy_takes_no_name_of_the_spools(void **state)
{
	static const struct {
		const char *suffix;
		bool is_taken;
	} names[] = {{"-wal", true},       {"-journal", true},      {"-shm", true},
	             {".new", true},       {".new-wal", true},      {".tide", true},
	             {".left", true},      {".flight", true},       {".flight.unsure", true},
	             {".poison", true},    {".reserve", true},      {".aside", true},
	             {".aside.new", true}, {".unsafe", true},       {".lock", true},
	             {".sock", true},      {".quarantine-1", true}, {".newest", false},
	             {"-walk", false},     {".copy", false},        {"", false}};
	struct spooldir d, elsewhere;
	struct store *s = life_begin(&d);
	char target[400], want[600];
	struct error e;

	(void)state;
	spooldir_make(&elsewhere);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *suffix = names[i].suffix;

		(void)snprintf(target, sizeof target, "%s", spooldir_file(&d, suffix));
		if (names[i].is_taken) {
			assert_int_equal(store_export(s, target, &e), ERR_INPUT);
			(void)snprintf(want, sizeof want,
			               "%s is a name that the spool keeps for files of its own; name another", target);
			assert_string_equal(e.text, want);
		} else if (*suffix) {
			assert_int_equal(store_export(s, target, &e), ERR_OK);
			assert_int_equal(unlink(target), 0);
		}
		if (*suffix) { /* in another folder it is nobody's */
			(void)snprintf(target, sizeof target, "%s", spooldir_file(&elsewhere, suffix));
			assert_int_equal(store_export(s, target, &e), ERR_OK);
		}
	}
	spooldir_remove(&elsewhere);
	life_end(&d, s);
}

/* By a path of any form; a folder that is not there is told, and nothing is left behind. */
static void a_copy_goes_where_it_is_told_to(void **state)
{
	struct spooldir d;
	struct store *s;
	struct error e;
	char here[400], path[400];

	(void)state;
	assert_non_null(getcwd(here, sizeof here));
	make(&d);
	s = look_with(&d, 0);
	assert_int_equal(chdir(d.dir), 0);
	assert_int_equal(store_export(s, "one.copy", &e), ERR_OK);
	assert_int_equal(store_export(s, "./two.copy", &e), ERR_OK);
	assert_int_equal(chdir(here), 0);
	(void)snprintf(path, sizeof path, "%s/one.copy", d.dir);
	assert_int_equal(access(path, F_OK), 0);
	(void)snprintf(path, sizeof path, "%s/not/there.copy", d.dir);
	assert_int_equal(store_export(s, path, &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "cannot make "));
	assert_non_null(strstr(e.text, "/not/there.copy.kspool-part"));
	assert_int_equal(symlink("/nowhere", spooldir_file(&d, ".link")), 0);
	(void)snprintf(path, sizeof path, "%s.link", d.path);
	assert_int_equal(store_export(s, path, &e), ERR_INPUT); /* whatever it leads to */
	free_bytes = 1;
	s->options.min_free_bytes = 1000;
	(void)snprintf(path, sizeof path, "/proc/kspool.copy"); /* another file system: its room is not asked about */
	assert_int_equal(store_export(s, path, &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "cannot make /proc/kspool.copy.kspool-part"));
	free_bytes = 0;
	store_abandon(s);
	assert_int_equal(life_count_files(&d, ".part"), 0);
	spooldir_remove(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_looked_at_says_what_it_is),
	    cmocka_unit_test(a_peek_at_no_folder),
	    cmocka_unit_test(a_copy_leaves_room),
	    cmocka_unit_test(a_copy_takes_no_name_of_the_spools),
	    cmocka_unit_test(a_copy_goes_where_it_is_told_to),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
