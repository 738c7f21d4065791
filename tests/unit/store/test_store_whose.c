/*
 * Whose the files are: each database, log, tide mark and lock beside each other, of this spool, of an earlier time of
 * it, of a copy that went its own way, of another one, or none. What a look makes of them is a table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_salvage_internal.h"
#include "store/store_identity_internal.h"

/* A part of a spool: null bytes: it is not there. */
struct part {
	const char *name;
	unsigned char *bytes;
	size_t count;
};

enum { DATABASES = 6, LOGS = 5, TIDES = 5, LOCKS = 3, PAGE = 4096 };

/* Three stops of a spool, another's, and the second with the other's page over its ledger. */
static struct part databases[DATABASES] = {{.name = "none"},  {.name = "first"}, {.name = "second"},
                                           {.name = "third"}, {.name = "other"}, {.name = "page"}};
/* That which began at the first stop, at the second, at the second of a copy, another's. */
static struct part logs[LOGS] = {
    {.name = "none"}, {.name = "first"}, {.name = "second"}, {.name = "twin"}, {.name = "other"}};
/* Of the second stop, with the log of the first and of the second, another's. */
static struct part tides[TIDES] = {
    {.name = "none"}, {.name = "stop"}, {.name = "first"}, {.name = "second"}, {.name = "other"}};
static struct part locks[LOCKS] = {{.name = "none"}, {.name = "ours"}, {.name = "other"}};

static struct spool_id ours, other;
static struct spooldir emptied; /* ours, of which all has left */

static void take_part(struct part *to, const struct spooldir *d, const char *suffix)
{
	to->bytes = spooldir_load(spooldir_file(d, suffix), &to->count);
	assert_true(to->count > 0);
}

static void put_part(const struct part *from, const struct spooldir *d, const char *suffix)
{
	if (from->bytes)
		spooldir_store(spooldir_file(d, suffix), from->bytes, from->count);
	else
		(void)unlink(spooldir_file(d, suffix));
}

/* Lives on by ten messages and is killed. */
static void live_on(const struct spooldir *d, uint64_t n)
{
	struct store *s = life_open(d, NULL);

	life_append(s, n, 10);
	store_abandon(s);
}

static int begin(void **state)
{
	struct spooldir d, twin, strange;
	struct store *s;
	size_t root;

	(void)state;
	s = life_begin(&d);
	ours = s->id;
	root = (size_t)life_number(s, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'");
	life_append(s, 0, 10);
	life_close(s);
	take_part(&databases[1], &d, "");
	live_on(&d, 10);
	take_part(&logs[1], &d, "-wal");
	take_part(&tides[2], &d, ".tide");
	life_close(life_open(&d, NULL));
	take_part(&databases[2], &d, "");
	take_part(&tides[1], &d, ".tide");
	take_part(&locks[1], &d, ".lock");
	spooldir_make(&twin);
	spooldir_copy(&d, &twin);
	live_on(&twin, 500);
	take_part(&logs[3], &twin, "-wal");
	live_on(&d, 20);
	take_part(&logs[2], &d, "-wal");
	take_part(&tides[3], &d, ".tide");
	live_on(&d, 30);
	life_close(life_open(&d, NULL));
	take_part(&databases[3], &d, "");
	s = life_open(&d, NULL);
	life_settle(s, 1, 40);
	life_close(s);
	spooldir_make(&emptied);
	spooldir_copy(&d, &emptied);
	life_bring(&d, ".left", &emptied);
	s = life_begin(&strange);
	other = s->id;
	life_append(s, LIFE_OTHERS, 20);
	life_close(s);
	take_part(&databases[4], &strange, "");
	live_on(&strange, LIFE_OTHERS + 20);
	take_part(&logs[4], &strange, "-wal");
	take_part(&tides[4], &strange, ".tide");
	take_part(&locks[2], &strange, ".lock");
	databases[5].count = databases[2].count;
	databases[5].bytes = malloc(databases[5].count);
	assert_non_null(databases[5].bytes);
	memcpy(databases[5].bytes, databases[2].bytes, databases[5].count);
	memcpy(databases[5].bytes + (root - 1) * PAGE, databases[4].bytes + (root - 1) * PAGE, PAGE);
	spooldir_remove(&d);
	spooldir_remove(&twin);
	spooldir_remove(&strange);
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (int i = 0; i < DATABASES; i++)
		free(databases[i].bytes);
	for (int i = 0; i < LOGS; i++)
		free(logs[i].bytes);
	for (int i = 0; i < TIDES; i++)
		free(tides[i].bytes);
	for (int i = 0; i < LOCKS; i++)
		free(locks[i].bytes);
	spooldir_remove(&emptied);
	return 0;
}

static char letter_of(struct spool_id id)
{
	return spool_id_is(id, ours) ? 'o' : spool_id_is(id, other) ? 'x' : spool_id_is_known(id) ? '?' : '-';
}

/* Whose, and what is strange: the f(ile), the ledger's p(age), the t(ide mark), the l(ock), which are then whose; the
 * tide mark is m(issing); and how the log fits. */
static void say_look(const struct spooldir *d, bool has_file, bool has_tide, bool has_log, char *to, size_t size)
{
	static const char fits[] = {[LOG_FITS] = '=', [LOG_OF_ANOTHER] = '!', [LOG_OLDER] = '<', [LOG_NEWER] = '>'};
	struct files f = FILES_NONE;
	struct identity id;
	struct error e;

	assert_int_equal(files_open(&f, d->path, &e), ERR_OK);
	assert_int_equal(store_identity_look(&f, has_file ? FILE_OURS : FILE_MISSING, &id, &e), ERR_OK);
	assert_false(id.has_journal || id.tide_is_dead);
	assert_int_equal(id.tide.is_valid, has_tide && !id.tide_is_strange);
	assert_int_equal(id.file_print != 0, has_file && !id.page_is_strange);
	assert_int_equal(id.scan.frames > 0, has_log);
	(void)snprintf(to, size, " %c%c%s%s%s%s%s%c", letter_of(id.ours), letter_of(id.theirs),
	               id.file_is_strange ? "f" : "", id.page_is_strange ? "p" : "", id.tide_is_strange ? "t" : "",
	               id.lock_is_strange ? "l" : "", id.tide_is_lost ? "m" : "", fits[id.log]);
	files_close(&f);
}

/* Database, tide mark, lock; then beside each log in turn. */
static const char *const looks[] = {
    "none none none: --= o-= o-= o-= x-=",
    "none none ours: oo= oo= oo= oo= oo!",
    "none none other: xx= xx! xx! xx! xx=",
    "none stop none: o-= o-= o-= o-= o-!",
    "none stop ours: oo= oo= oo= oo= oo!",
    "none stop other: oxl= oxl= oxl= oxl= xot=",
    "none first none: o-= o-= o-= o-= o-!",
    "none first ours: oo= oo= oo= oo= oo!",
    "none first other: oxl= oxl= oxl= oxl= xot=",
    "none second none: o-= o-= o-= o-= o-!",
    "none second ours: oo= oo= oo= oo= oo!",
    "none second other: oxl= oxl= oxl= oxl= xot=",
    "none other none: x-= x-! x-! x-! x-=",
    "none other ours: xol= oxt= oxt= oxt= xol=",
    "none other other: xx= xx! xx! xx! xx=",
    "first none none: o-= o-= o-> o-> o-!",
    "first none ours: oom= oom= oom> oom> oom!",
    "first none other: oxlm= oxlm= oxlm> oxlm> xofm=",
    "first stop none: o-= o-= o-! o-! o-!",
    "first stop ours: oo= oo= oo! oo! oo!",
    "first stop other: oxl= oxl= oxl! oxl! oxl!",
    "first first none: o-= o-= o-! o-! o-!",
    "first first ours: oo= oo= oo! oo! oo!",
    "first first other: oxl= oxl= oxl! oxl! oxl!",
    "first second none: o-= o-= o-> o-> o-!",
    "first second ours: oo= oo= oo> oo> oo!",
    "first second other: oxl= oxl= oxl> oxl> oxl!",
    "first other none: xof= oxt= oxt> oxt> xof=",
    "first other ours: oxt= oxt= oxt> oxt> oxt!",
    "first other other: xof= xof! xof! xof! xof=",
    "second none none: o-= o-= o-= o-= o-!",
    "second none ours: oom= oom= oom= oom= oom!",
    "second none other: oxlm= oxlm= oxlm= oxlm= xofm=",
    "second stop none: o-= o-= o-= o-= o-!",
    "second stop ours: oo= oo= oo= oo= oo!",
    "second stop other: oxl= oxl= oxl= oxl= oxl!",
    "second first none: o-= o-= o-= o-= o-!",
    "second first ours: oo= oo= oo= oo= oo!",
    "second first other: oxl= oxl= oxl= oxl= oxl!",
    "second second none: o-= o-= o-= o-! o-!",
    "second second ours: oo= oo= oo= oo! oo!",
    "second second other: oxl= oxl= oxl= oxl! oxl!",
    "second other none: xof= oxt= oxt= oxt= xof=",
    "second other ours: oxt= oxt= oxt= oxt= oxt!",
    "second other other: xof= xof! xof! xof! xof=",
    "third none none: o-= o-< o-< o-< o-!",
    "third none ours: oom= oom< oom< oom< oom!",
    "third none other: oxlm= oxlm< oxlm< oxlm< xofm=",
    "third stop none: o-= o-< o-< o-< o-!",
    "third stop ours: oo= oo< oo< oo< oo!",
    "third stop other: oxl= oxl< oxl< oxl< oxl!",
    "third first none: o-= o-< o-< o-< o-!",
    "third first ours: oo= oo< oo< oo< oo!",
    "third first other: oxl= oxl< oxl< oxl< oxl!",
    "third second none: o-= o-< o-< o-< o-!",
    "third second ours: oo= oo< oo< oo< oo!",
    "third second other: oxl= oxl< oxl< oxl< oxl!",
    "third other none: xof= oxt< oxt< oxt< xof=",
    "third other ours: oxt= oxt< oxt< oxt< oxt!",
    "third other other: xof= xof! xof! xof! xof=",
    "other none none: x-= x-! x-! x-! x-=",
    "other none ours: xolm= oxfm= oxfm= oxfm= xolm=",
    "other none other: xxm= xxm! xxm! xxm! xxm=",
    "other stop none: oxf= oxf= oxf= oxf= xot=",
    "other stop ours: oxf= oxf= oxf= oxf= oxf!",
    "other stop other: xot= xot! xot! xot! xot=",
    "other first none: oxf= oxf= oxf= oxf= xot=",
    "other first ours: oxf= oxf= oxf= oxf= oxf!",
    "other first other: xot= xot! xot! xot! xot=",
    "other second none: oxf= oxf= oxf= oxf= xot=",
    "other second ours: oxf= oxf= oxf= oxf= oxf!",
    "other second other: xot= xot! xot! xot! xot=",
    "other other none: x-= x-! x-! x-! x-=",
    "other other ours: xol= xol! xol! xol! xol=",
    "other other other: xx= xx! xx! xx! xx=",
    "page none none: x-= oxp= oxp= oxp= x-=",
    "page none ours: oxpm= oxpm= oxpm= oxpm= oxpm!",
    "page none other: xxm= oxplm= oxplm= oxplm= xxm=",
    "page stop none: oxp= oxp= oxp= oxp= oxp!",
    "page stop ours: oxp= oxp= oxp= oxp= oxp!",
    "page stop other: oxpl= oxpl= oxpl= oxpl= oxpl!",
    "page first none: oxp= oxp= oxp= oxp= oxp!",
    "page first ours: oxp= oxp= oxp= oxp= oxp!",
    "page first other: oxpl= oxpl= oxpl= oxpl= oxpl!",
    "page second none: oxp= oxp= oxp= oxp= oxp!",
    "page second ours: oxp= oxp= oxp= oxp= oxp!",
    "page second other: oxpl= oxpl= oxpl= oxpl= oxpl!",
    "page other none: x-= oxpt= oxpt= oxpt= x-=",
    "page other ours: oxpt= oxpt= oxpt= oxpt= oxpt!",
    "page other other: xx= xx! xx! xx! xx=",
};

static void what_lies_together_is_whose(void **state)
{
	struct spooldir d;
	size_t row = 0;
	int wrong = 0;

	(void)state;
	spooldir_make(&d);
	for (int i = 0; i < DATABASES * TIDES * LOCKS; i++, row++) {
		const struct part *database = &databases[i / (TIDES * LOCKS)], *tide = &tides[i / LOCKS % TIDES],
		                  *lock = &locks[i % LOCKS];
		char is[300], one[40];
		size_t used = (size_t)snprintf(is, sizeof is, "%s %s %s:", database->name, tide->name, lock->name);

		for (int log = 0; log < LOGS; log++) {
			put_part(database, &d, "");
			put_part(tide, &d, ".tide");
			put_part(lock, &d, ".lock");
			put_part(&logs[log], &d, "-wal");
			say_look(&d, database->bytes, tide->bytes, logs[log].bytes, one, sizeof one);
			used += (size_t)snprintf(is + used, sizeof is - used, "%s", one);
		}
		if (getenv("KSPOOL_SHOW_DIFFS")) {
			(void)fprintf(stderr, "    \"%s\",\n", is);
		} else if (row >= sizeof looks / sizeof *looks || strcmp(is, looks[row]) != 0) {
			(void)fprintf(stderr, "%s\nand not\n%s\n", is,
			              row < sizeof looks / sizeof *looks ? looks[row] : "");
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
	spooldir_remove(&d);
}

#define ASIDE ".quarantine-20260101T000000Z-000"

/* That it is ours, when it could not be asked; the same, and the note is not what was written. */
enum note_of_ours { NO_NOTE, NOTED, NOTE_LOST };

/* What came of it: messages that wait, where they stand, its outcome in words. */
static void say_source(const struct part *database, const struct part *log, enum note_of_ours note, char *to,
                       size_t size)
{
	struct aside_list list;
	const char *outcome;
	struct spooldir d;
	char all[80];
	uint64_t first, last;
	bool more = true;
	struct store *s;
	struct error e;

	spooldir_make(&d);
	spooldir_copy(&emptied, &d);
	life_bring(&emptied, ".left", &d);
	s = life_open(&d, NULL);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	if (note != NO_NOTE)
		assert_int_equal(store_note_put(s, "ours:" ASIDE ":", &(struct note){.done = true}, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	if (note == NOTE_LOST)
		life_sql(s, "UPDATE salvage SET checksum = 5");
	put_part(database, &d, ASIDE);
	put_part(log, &d, ASIDE "-wal");
	s->salvage_is_done = false;
	while (more)
		if (store_salvage(s, 4096, &first, &last, &more, &e) != ERR_OK)
			fail_msg("%s", e.text);
	assert_int_equal(asides_find(&s->files, &list, &e), ERR_OK);
	(void)snprintf(all, sizeof all, "read to its end, %u messages came back", (unsigned)store_ledger(s)->pending);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(store_possible_duplicates(s), store_ledger(s)->pending); /* all of it had left */
	outcome = list.count == 0 ? NULL : list.items[0].outcome;
	(void)snprintf(to, size, "%u of %lld to %lld, %s", (unsigned)store_ledger(s)->pending,
	               (long long)life_number(s, "SELECT ifnull(min(id), 0) FROM messages"),
	               (long long)life_number(s, "SELECT ifnull(max(id), 0) FROM messages"),
	               !outcome                    ? "none"
	               : strcmp(outcome, all) == 0 ? "read"
	                                           : outcome);
	asides_fini(&list);
	life_close(s);
	spooldir_remove(&d);
}

/* Database, log; then what of it comes back, and what does when it is known to be ours, whatever it says. */
static const char *const sources[] = {
    "none none: 0 of 0 to 0, none; 0 of 0 to 0, none",
    "none first: 13 of 1 to 20, read; 13 of 1 to 20, read",
    "none second: 11 of 11 to 30, read; 11 of 11 to 30, read",
    "none twin: 10 of 21 to 30, read; 10 of 21 to 30, read",
    "none other: 0 of 0 to 0, of another spool: nothing of it is taken in; 13 of 1 to 30, read",
    "first none: 10 of 1 to 10, read; 10 of 1 to 10, read",
    "first first: 20 of 1 to 20, read; 20 of 1 to 20, read",
    "first second: 21 of 1 to 30, read; 21 of 1 to 30, read",
    "first twin: 10 of 21 to 30, read; 10 of 21 to 30, read",
    "first other: 10 of 1 to 10, read; 10 of 1 to 10, read",
    "second none: 20 of 1 to 20, read; 20 of 1 to 20, read",
    "second first: 20 of 1 to 20, read; 20 of 1 to 20, read",
    "second second: 30 of 1 to 30, read; 30 of 1 to 30, read",
    "second twin: 30 of 1 to 30, read; 30 of 1 to 30, read",
    "second other: 20 of 1 to 20, read; 20 of 1 to 20, read",
    "third none: 40 of 1 to 40, read; 40 of 1 to 40, read",
    "third first: 30 of 1 to 40, read; 30 of 1 to 40, read",
    "third second: 40 of 1 to 40, read; 40 of 1 to 40, read",
    "third twin: 33 of 1 to 43, read; 33 of 1 to 43, read",
    "third other: 40 of 1 to 40, read; 40 of 1 to 40, read",
    "other none: 0 of 0 to 0, of another spool: nothing of it is taken in; 20 of 1 to 20, read",
    "other first: 13 of 1 to 20, read; 13 of 1 to 20, read",
    "other second: 11 of 11 to 30, read; 11 of 11 to 30, read",
    "other twin: 10 of 21 to 30, read; 10 of 21 to 30, read",
    "other other: 0 of 0 to 0, of another spool: nothing of it is taken in; 30 of 1 to 30, read",
    "page none: 20 of 1 to 20, read; 20 of 1 to 20, read",
    "page first: 20 of 1 to 20, read; 20 of 1 to 20, read",
    "page second: 30 of 1 to 30, read; 30 of 1 to 30, read",
    "page twin: 30 of 1 to 30, read; 30 of 1 to 30, read",
    "page other: 20 of 1 to 20, read; 20 of 1 to 20, read",
};

static void what_is_ours_comes_back(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < (size_t)DATABASES * LOGS; i++) {
		const struct part *database = &databases[i / LOGS], *log = &logs[i % LOGS];
		char is[500], one[200], lost[200];
		size_t used = (size_t)snprintf(is, sizeof is, "%s %s", database->name, log->name);

		say_source(database, log, NO_NOTE, one, sizeof one);
		used += (size_t)snprintf(is + used, sizeof is - used, ": %s", one);
		say_source(database, log, NOTED, one, sizeof one);
		(void)snprintf(is + used, sizeof is - used, "; %s", one);
		say_source(database, log, NOTE_LOST, lost, sizeof lost);
		if (database->bytes || log->bytes)
			assert_string_equal(lost, one);
		if (getenv("KSPOOL_SHOW_DIFFS")) {
			(void)fprintf(stderr, "    \"%s\",\n", is);
		} else if (i >= sizeof sources / sizeof *sources || strcmp(is, sources[i]) != 0) {
			(void)fprintf(stderr, "%s\nand not\n%s\n", is,
			              i < sizeof sources / sizeof *sources ? sources[i] : "");
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/* The spool's own files must be readable; of those that were set aside what can be is. */
static void a_dead_sector_in_what_was_set_aside_costs_only_itself(void **state)
{
	const struct part *log = &logs[2], *database = &databases[5];
	struct files f = FILES_NONE;
	unsigned found = 0, failed = 0;
	struct spooldir d;
	struct error e;

	(void)state;
	spooldir_make(&d);
	put_part(log, &d, "-wal");
	put_part(log, &d, ASIDE "-wal");
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	for (size_t at = 32; at < log->count; at += 24 + PAGE) {
		struct log_ledgers whole = {0}, aside = {0};

		faultfs_dead("-wal", (int64_t)at + 100, 1);
		assert_int_equal(store_ledgers_of_log(&f, "", &whole, &e), ERR_DISK);
		assert_int_equal(store_ledgers_of_log(&f, ASIDE, &aside, &e), ERR_OK);
		found += aside.last.is_found && spool_id_is(store_totals_id(&aside.last.totals), ours);
		faultfs_dead(NULL, 0, 0);
	}
	assert_int_equal(found, 5); /* where it stands before it, too */
	put_part(database, &d, "");
	put_part(database, &d, ASIDE);
	for (size_t at = PAGE; at < database->count; at += PAGE) {
		bool is_ours = false;

		faultfs_dead("spool.db", (int64_t)at + 100, 1);
		failed += store_rows_are_of(&f, "", ours, other, &is_ours, &e) == ERR_DISK;
		faultfs_dead(ASIDE, (int64_t)at + 100, 1);
		assert_int_equal(store_rows_are_of(&f, ASIDE, ours, other, &is_ours, &e), ERR_OK);
		assert_true(is_ours);
		assert_int_equal(store_rows_are_of(&f, ASIDE, other, ours, &is_ours, &e), ERR_OK);
		assert_false(is_ours);
		faultfs_dead(NULL, 0, 0);
	}
	assert_true(failed > 10);
	files_close(&f);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_lies_together_is_whose),
	    cmocka_unit_test(what_is_ours_comes_back),
	    cmocka_unit_test(a_dead_sector_in_what_was_set_aside_costs_only_itself),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, begin, end);
}
