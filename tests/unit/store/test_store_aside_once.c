/*
 * A spool is set aside, at a start or while it runs, and the n-th rename, or sync of the folder, fails, n = 1, 2, ...
 * until none does: that is the answer, and the next start has every message. And what a start makes of the names that
 * it finds: a log without its database, an intent, nothing but what was set aside.
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
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { ROWS = 20, TRIES_MAX = 60 };

#define EARLIER ".quarantine-20260101T000000Z-000"
#define LAST ".quarantine-20260102T000000Z-000"

static void harm_head(const struct spooldir *d)
{
	size_t count;
	unsigned char *bytes = spooldir_load(d->path, &count);

	memset(bytes, 0, 100);
	spooldir_store(d->path, bytes, count);
	free(bytes);
}

static struct spooldir whole; /* ended cleanly */

static int begin(void **state)
{
	(void)state;
	life_make(&whole, 0, ROWS, 0);
	life_close(life_open(&whole, NULL));
	return 0;
}

static int end(void **state)
{
	(void)state;
	spooldir_remove(&whole);
	return 0;
}

static void make(struct spooldir *d)
{
	spooldir_make(d);
	spooldir_copy(&whole, d);
	life_bring(&whole, ".left", d);
}

static enum err start(const struct spooldir *d, struct store **ret, struct store_report *report, struct error *e)
{
	struct store_options o = spooldir_options(d);

	*ret = NULL;
	return store_open(&o, ret, report, e);
}

static void all_is_there(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);

	life_expect(s, ROWS, 0, ROWS, 0);
	assert_int_equal(life_waiting(s, 0), ROWS);
	life_close(s);
}

/* How many of them there are. */
static uint64_t try_each(unsigned kinds, bool runs)
{
	for (uint64_t n = 1; n < TRIES_MAX; n++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;
		struct error e = {.code = ERR_OK};
		bool failed;
		enum err err;

		make(&d);
		if (runs)
			s = life_open(&d, NULL);
		else
			harm_head(&d);
		faultfs_arm(kinds, n, EIO, false);
		err = runs ? store_restart_damaged(s, &report, &e) : start(&d, &s, &report, &e);
		failed = faultfs_failed() > 0;
		faultfs_arm(0, 0, 0, false);
		if (failed && (err != ERR_DISK || e.code != ERR_DISK || !strstr(e.text, strerror(EIO))))
			fail_msg("operation %d of %u: error %d: %s; %s", (int)n, kinds, (int)err, e.text,
			         report.warning);
		if (!failed)
			assert_int_equal(err, ERR_OK);
		if (err == ERR_OK)
			life_close(s);
		else if (runs)
			store_abandon(s);
		all_is_there(&d);
		spooldir_remove(&d);
		if (!failed)
			return n - 1;
	}
	fail_msg("there is no end to it");
	return 0;
}

static void a_setting_aside_that_fails_is_told(void **state)
{
	(void)state;
	for (int runs = 0; runs < 2; runs++) {
		assert_true(try_each(FAULTFS_RENAME, runs) > 2);
		assert_true(try_each(FAULTFS_SYNC_FOLDER, runs) > 2);
	}
}

static bool is_at(const struct spooldir *d, const char *suffix, const char *more)
{
	char path[400];

	(void)snprintf(path, sizeof path, "%s%s%s", d->path, suffix, more);
	return access(path, F_OK) == 0;
}

static void move(const struct spooldir *d, const char *to)
{
	char path[400];

	(void)snprintf(path, sizeof path, "%s%s", d->path, to);
	assert_int_equal(rename(d->path, path), 0);
}

/* A run that died between the two renames: the log goes to the database that was moved last, if that has none. */
static void a_log_alone_goes_to_its_database(void **state)
{
	(void)state;
	for (int i = 0; i < 16; i++) {
		const bool is_read = i & 1, has_log = i & 2, has_others = i & 4, has_none = i & 8;
		struct store_report report;
		struct spooldir d;
		struct store *s;
		char want[400], said[600];

		life_make(&d, 0, ROWS / 2, ROWS / 2);
		if (has_none)
			assert_int_equal(unlink(d.path), 0);
		else
			move(&d, LAST);
		if (has_others) { /* one that was moved before it, and what is no set of ours, with a later name */
			spooldir_store(spooldir_file(&d, EARLIER), "x", 1);
			spooldir_store(spooldir_file(&d, ".stranger-20270101T000000Z-000"), "x", 1);
		}
		if (is_read && !has_none)
			spooldir_store(spooldir_file(&d, LAST ".read"), "read", 4);
		if (has_log && !has_none)
			spooldir_store(spooldir_file(&d, LAST "-wal"), "", 0);
		s = life_open(&d, &report);
		assert_true(report.quarantined && report.created);
		(void)snprintf(want, sizeof want, "%s" LAST, d.path);
		if (has_none && has_others)
			(void)snprintf(want, sizeof want, "%s" EARLIER, d.path);
		if ((has_none && !has_others) || (!has_none && (is_read || has_log))) {
			assert_int_equal(strlen(report.quarantine_path), strlen(want));
			assert_string_not_equal(report.quarantine_path, want);
			assert_memory_equal(report.quarantine_path, want, strlen(d.path) + strlen(".quarantine-20"));
		} else {
			assert_string_equal(report.quarantine_path, want);
		}
		(void)snprintf(said, sizeof said, "the database was damaged and moved to %s", report.quarantine_path);
		assert_memory_equal(report.warning, said, strlen(said));
		assert_true(is_at(&d, report.quarantine_path + strlen(d.path), "-wal"));
		assert_false(is_at(&d, ".aside", ""));
		life_close(s);
		if (!has_none && !is_read && !has_log)
			all_is_there(&d);
		spooldir_remove(&d);
	}
}

/* What a run that died had said that it sets aside: gone on with, unless it is no name of a set. */
static void an_intent_is_gone_on_with(void **state)
{
	static const struct {
		const char *intent;
		bool is_none;
	} cases[] = {
	    {LAST, false},
	    {LAST " 0123", false}, /* whose it is it does not say */
	    {LAST " 00112233445566778899aabbccddeeff", true},
	    {".quarantine-", false},
	    {".quarantine-789012345678901234567890123456789012345678901234567", false},
	    {".quarantine-7890123456789012345678901234567890123456789012345678", true}, /* longer than a name */
	    {".quarantine-/x", true},
	    {"-wal", true},
	    {"", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *intent = cases[i].intent;
		const bool is_anothers = cases[i].is_none && strchr(intent, ' ');
		char want[400] = "";
		struct store_report report;
		struct spooldir d;
		struct store *s;

		life_make(&d, 0, ROWS / 2, ROWS / 2);
		spooldir_store(spooldir_file(&d, ".aside"), intent, strlen(intent));
		s = life_open(&d, &report);
		if (!cases[i].is_none)
			(void)snprintf(want, sizeof want, "%s%.*s", d.path, (int)strcspn(intent, " "), intent);
		assert_string_equal(report.quarantine_path, want);
		assert_int_equal(report.quarantined, !cases[i].is_none);
		assert_int_equal(report.created, !cases[i].is_none);
		assert_int_equal(is_at(&d, ".aside", ""), cases[i].is_none && !is_anothers);
		assert_int_equal(life_count_files(&d, ".stranger-"), is_anothers);
		(void)snprintf(want, sizeof want, "%s.aside was another spool's: moved away, nothing was set aside",
		               d.path);
		assert_int_equal(strstr(report.warning, want) != NULL, is_anothers);
		life_expect(s, ROWS, 0, ROWS, 0);
		assert_int_equal(life_waiting(s, 0), ROWS);
		life_end(&d, s);
	}
}

/* On a full disk the reserve is given up for the word that says what is set aside. */
static void a_full_disk_does_not_keep_it_from_being_set_aside(void **state)
{
	static const unsigned char reserve[65536];
	unsigned tried = 0;

	(void)state;
	for (uint64_t n = 1, goes_on = 1; goes_on; n++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;
		struct error e;
		enum err err;
		bool is_met;

		make(&d);
		harm_head(&d);
		spooldir_store(spooldir_file(&d, ".reserve"), reserve, sizeof reserve);
		faultfs_arm(FAULTFS_WRITE | FAULTFS_SYNC, n, ENOSPC, false);
		err = start(&d, &s, &report, &e);
		is_met = faultfs_failed() > 0 && strstr(faultfs_what(), ".aside");
		goes_on = faultfs_failed() > 0 && (is_met || tried == 0);
		faultfs_arm(0, 0, 0, false);
		if (is_met && err != ERR_OK)
			fail_msg("%s: %s", faultfs_what(), e.text);
		tried += is_met;
		if (err == ERR_OK) {
			assert_true(report.quarantined);
			life_close(s);
		}
		all_is_there(&d);
		spooldir_remove(&d);
	}
	assert_true(tried >= 2); /* its bytes, and that they stay */
}

static void have_intent(const struct spooldir *d, const char *intent)
{
	spooldir_store(spooldir_file(d, ".aside"), intent, strlen(intent));
}

static void about_to_be_aside(const struct spooldir *d)
{
	harm_head(d);
	have_intent(d, LAST);
}

static void another_about_to_be_aside(const struct spooldir *d)
{
	have_intent(d, LAST " 00112233445566778899aabbccddeeff");
}

static void log_alone(const struct spooldir *d)
{
	move(d, LAST);
	spooldir_store(spooldir_file(d, "-wal"), "a log", 5);
}

static void a_journal(const struct spooldir *d) { spooldir_store(spooldir_file(d, "-journal"), "a journal", 9); }

static void bring_anothers(const struct spooldir *d, const char *suffix)
{
	struct spooldir other;

	life_make(&other, LIFE_OTHERS, ROWS, ROWS);
	life_bring(&other, suffix, d);
	spooldir_remove(&other);
}

static void another_log(const struct spooldir *d) { bring_anothers(d, "-wal"); }

/* A folder that has no room for one more name: the reserve is given up for it, whatever is moved, and without one the
 * start says so. */
static void a_name_that_has_no_room_takes_the_reserve(void **state)
{
	static const unsigned char reserve[65536];
	static void (*const harms[])(const struct spooldir *) = {
	    harm_head, about_to_be_aside, another_about_to_be_aside, log_alone, a_journal, another_log};
	unsigned refused[sizeof harms / sizeof *harms] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++)
		for (int has_reserve = 0; has_reserve < 2; has_reserve++)
			for (uint64_t n = 1, failed = 1; failed > 0; n++) {
				struct store_report report;
				struct spooldir d;
				struct store *s;
				struct error e;
				struct stat st;
				enum err err;

				make(&d);
				harms[i](&d);
				if (has_reserve)
					spooldir_store(spooldir_file(&d, ".reserve"), reserve, sizeof reserve);
				faultfs_arm(FAULTFS_RENAME, n, ENOSPC, false);
				err = start(&d, &s, &report, &e);
				failed = faultfs_failed();
				faultfs_arm(0, 0, 0, false);
				if (err != ERR_OK && (err != ERR_NOSPACE || has_reserve || failed == 0))
					fail_msg("%d, rename %d of %s: error %d: %s", (int)i, (int)n, faultfs_what(),
					         (int)err, e.text);
				refused[i] += err != ERR_OK;
				if (has_reserve) {
					assert_int_equal(stat(spooldir_file(&d, ".reserve"), &st), 0);
					assert_int_equal(st.st_size == 0, failed > 0);
				}
				if (err == ERR_OK)
					life_close(s);
				all_is_there(&d);
				spooldir_remove(&d);
			}
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++)
		assert_true(refused[i] > 0);
}

/* Why a spool is set aside stands on one line, in brackets, however long it is. */
static void the_reason_is_one_line(void **state)
{
	struct error e = {.text = ""};
	char words[STORE_WHY_BYTES];

	(void)state;
	store_why(&e, words);
	assert_string_equal(words, "");
	(void)error_set(&e, ERR_DAMAGED, "a\nb\n\nc");
	store_why(&e, words);
	assert_string_equal(words, " (a b  c)");
	for (size_t length = STORE_WHY_BYTES - 6; length < STORE_WHY_BYTES + 3; length++) {
		const size_t shown = length < STORE_WHY_BYTES - 4 ? length : STORE_WHY_BYTES - 4;

		memset(e.text, 'x', length);
		e.text[length] = '\0';
		store_why(&e, words);
		assert_int_equal(strlen(words), shown + strlen(" ()"));
		assert_memory_equal(words, " (xxx", 5);
		assert_string_equal(words + shown + 1, "x)");
	}
}

/* Where nothing is, none is made unasked; where something is still to be read back, there is a spool. */
static void what_was_set_aside_is_a_spool(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct store_report report = {.warning = ""};
		struct store_options o;
		struct store *s = NULL;
		struct spooldir d;
		struct error e = {0};
		char want[400];

		make(&d);
		if (i == 0)
			assert_int_equal(unlink(d.path), 0);
		else
			move(&d, LAST);
		if (i == 1)
			spooldir_store(spooldir_file(&d, LAST ".read"), "read", 4);
		spooldir_store(spooldir_file(&d, ".peek-12"), "x", 1);
		o = spooldir_options(&d);
		o.create = false;
		assert_int_equal(store_open(&o, &s, &report, &e), i == 2 ? ERR_OK : ERR_NOINPUT);
		assert_int_equal(is_at(&d, ".peek-12", ""), i < 2);
		(void)snprintf(want, sizeof want, "there is no spool at %s", d.path);
		if (i < 2) {
			assert_string_equal(e.text, want);
		} else {
			assert_true(report.created);
			life_expect(s, ROWS, 0, ROWS, 0);
			life_close(s);
		}
		spooldir_remove(&d);
	}
}

/* What cannot be listed is no empty folder: whose the files are that lie there, nobody would ask any more. */
static void a_folder_that_cannot_be_listed_is_told(void **state)
{
	static const char *const companions[] = {".tide", ".lock", ".left", ".reserve"};
	unsigned told = 0, swept = 0;

	(void)state;
	for (uint64_t n = 1, failed = 1; failed > 0; n++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;
		struct error e = {0};
		char want[400];
		enum err err;

		make(&d);
		move(&d, LAST);
		for (size_t i = 0; i < sizeof companions / sizeof *companions; i++)
			(void)unlink(spooldir_file(&d, companions[i]));
		faultfs_arm(FAULTFS_OPEN, n, EIO, false);
		err = start(&d, &s, &report, &e);
		failed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		(void)snprintf(want, sizeof want, "cannot list the folder of %s: %s", d.path, strerror(EIO));
		if (failed > 0 && strcmp(faultfs_what(), ".") == 0) {
			told += err != ERR_OK;
			swept += err == ERR_OK; /* what is left over may stay */
			if (err != ERR_OK && (err != ERR_DISK || !strstr(e.text, want)))
				fail_msg("open %u: %s", (unsigned)n, e.text);
		}
		if (err == ERR_OK)
			life_close(s);
		spooldir_remove(&d);
	}
	assert_true(told > 3);
	assert_int_equal(swept, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_setting_aside_that_fails_is_told),
	    cmocka_unit_test(a_log_alone_goes_to_its_database),
	    cmocka_unit_test(an_intent_is_gone_on_with),
	    cmocka_unit_test(a_full_disk_does_not_keep_it_from_being_set_aside),
	    cmocka_unit_test(a_name_that_has_no_room_takes_the_reserve),
	    cmocka_unit_test(the_reason_is_one_line),
	    cmocka_unit_test(what_was_set_aside_is_a_spool),
	    cmocka_unit_test(a_folder_that_cannot_be_listed_is_told),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, begin, end);
}
