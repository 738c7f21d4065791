/*
 * Whose a file is: logs, databases and companions of another spool, of a copy that went its own way, or of another time
 * of the same spool. Nothing of another spool is ever read, nothing of this one is lost without being counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "store/store_identity_internal.h"

/* Same tables, same sizes, whatever was in the database when the logs were exchanged. */
static void the_log_of_another_spool_is_not_read(void **state)
{
	static const uint32_t in_file[] = {0, 10, 60, 300};

	(void)state;
	for (size_t i = 0; i < sizeof in_file / sizeof *in_file; i++) {
		struct store_report report;
		struct spooldir mine, others;
		char text[2000];
		struct store *s;

		life_make(&mine, 0, in_file[i], 40);
		life_make(&others, LIFE_OTHERS, in_file[i], 40);
		life_bring(&others, "-wal", &mine);
		assert_true(life_problems(&mine, text, sizeof text) > 0);
		assert_non_null(strstr(text, "problem: the log is another spool's"));
		s = life_open(&mine, &report);
		assert_true(report.strangers);
		assert_non_null(strstr(report.warning, "the log is another spool's"));
		assert_int_equal(report.missing_rows, 40);
		life_expect(s, in_file[i] + 40, 0, in_file[i], 40);
		assert_int_equal(life_waiting(s, 0), in_file[i]);
		assert_int_equal(store_next_id(s), in_file[i] + 41);
		life_append(s, 500, 30);
		life_close(s);
		assert_int_equal(life_count_files(&mine, ".stranger-"), 1);
		s = life_open(&mine, &report);
		assert_false(report.strangers);
		assert_int_equal(life_waiting(s, 0), in_file[i] + 30);
		life_close(s);
		spooldir_remove(&mine);
		spooldir_remove(&others);
	}
}

/* A log beside a database that was closed: of another spool, or of this one before it was closed. */
static void a_log_that_should_not_be_there_is_not_read(void **state)
{
	struct store_report report;
	struct spooldir mine, others, earlier;
	struct store *s;

	(void)state;
	life_make(&mine, 0, 50, 40);
	life_make(&others, LIFE_OTHERS, 50, 70);
	spooldir_make(&earlier);
	spooldir_copy(&mine, &earlier);
	life_close(life_open(&mine, NULL));
	life_bring(&others, "-wal", &mine);
	s = life_open(&mine, &report);
	assert_true(report.strangers);
	life_expect(s, 90, 0, 90, 0);
	assert_int_equal(life_waiting(s, 0), 90);
	life_settle(s, 1, 20);
	life_close(s);
	life_bring(&earlier, "-wal", &mine);
	s = life_open(&mine, &report);
	assert_non_null(strstr(report.warning, "the log is older than the database"));
	life_expect(s, 90, 20, 70, 0);
	assert_int_equal(life_waiting(s, 0), 70);
	life_close(s);
	spooldir_remove(&mine);
	spooldir_remove(&others);
	spooldir_remove(&earlier);
}

/* The beginning of a log that went into the database as a whole since. */
static void an_older_log_is_not_read(void **state)
{
	struct store_report report;
	struct spooldir d, earlier;
	struct store *s;

	(void)state;
	life_make(&d, 0, 50, 40);
	spooldir_make(&earlier);
	spooldir_copy(&d, &earlier);
	s = life_open(&d, &report);
	life_append(s, 90, 40);
	life_settle(s, 1, 60);
	life_checkpoint(s);
	store_abandon(s);
	life_bring(&earlier, "-wal", &d);
	s = life_open(&d, &report);
	assert_non_null(strstr(report.warning, "the log is older than the database"));
	life_expect(s, 130, 60, 70, 0);
	assert_int_equal(life_waiting(s, 0), 70);
	life_append(s, 130, 20); /* the next log begins, and once more an old one comes back */
	store_abandon(s);
	life_bring(&earlier, "-wal", &d);
	s = life_open(&d, &report);
	assert_true(report.strangers);
	life_expect(s, 150, 60, 70, 20);
	life_close(s);
	spooldir_remove(&d);
	spooldir_remove(&earlier);
}

/* Somebody put an earlier database back and left the log: what the log holds comes back, and nothing is forged. */
static void an_older_database_beside_its_log(void **state)
{
	struct store_report report;
	struct spooldir d, earlier;
	char text[2000];
	struct store *s;

	(void)state;
	life_make(&d, 0, 50, 0);
	spooldir_make(&earlier);
	spooldir_copy(&d, &earlier);
	s = life_open(&d, NULL);
	life_append(s, 50, 40);
	life_settle(s, 1, 30);
	life_checkpoint(s);
	life_append(s, 90, 60);
	store_abandon(s);
	life_bring(&earlier, "", &d);
	assert_true(life_problems(&d, text, sizeof text) > 0);
	s = life_open(&d, &report);
	assert_non_null(strstr(report.warning, "the database is older than its log"));
	assert_non_null(strstr(report.warning, "-wal, which is read back"));
	assert_true(life_waiting(s, 0) >=
	            50 + 60); /* of the 40 between, which were in the database alone, some may be seen */
	assert_int_equal(store_ledger(s)->accepted, 150);
	assert_int_equal(store_possible_duplicates(s), 30);
	assert_true(store_ledger(s)->damaged >= 150 - life_waiting(s, 0));
	life_close(s);
	s = life_open(&d, &report);
	assert_string_equal(report.warning, "");
	life_close(s);
	spooldir_remove(&d);
	spooldir_remove(&earlier);
}

/* The whole folder but the tide mark is of an earlier time. */
static void an_earlier_copy_is_told_by_the_tide_mark(void **state)
{
	struct store_report report;
	struct spooldir d, earlier;
	struct store *s;

	(void)state;
	life_make(&d, 0, 50, 50);
	spooldir_make(&earlier);
	spooldir_copy(&d, &earlier);
	s = life_open(&d, NULL);
	life_append(s, 100, 50);
	life_settle(s, 1, 120);
	life_close(s);
	life_bring(&earlier, "", &d);
	life_bring(&earlier, "-wal", &d);
	s = life_open(&d, &report);
	/* 100 wait here, all of which may have been sent; of the 50 that are gone 20 must have been. */
	life_expect(s, 150, 20, 100, 30);
	assert_int_equal(report.missing_rows, 30);
	assert_int_equal(store_possible_duplicates(s), 100);
	life_settle(s, 1, 100);
	life_expect(s, 150, 120, 0, 30);
	life_close(s);
	spooldir_remove(&d);
	spooldir_remove(&earlier);
}

/* Another spool's database in the place of ours, with its log or with ours or with none. */
static void the_database_of_another_spool_is_put_away(void **state)
{
	(void)state;
	for (int log = 0; log < 3; log++) {
		struct store_report report;
		struct spooldir mine, others;
		char text[2000], name[600];
		struct store_options o;
		struct store *s;
		struct dirent *entry;
		struct error e;
		uint64_t rows;
		DIR *dir;

		life_make(&mine, 0, 50, 40);
		life_make(&others, LIFE_OTHERS, 50, 30);
		life_bring(&others, "", &mine);
		if (log == 1)
			life_bring(&others, "-wal", &mine);
		if (log == 2)
			assert_int_equal(unlink(spooldir_file(&mine, "-wal")), 0);
		assert_true(life_problems(&mine, text, sizeof text) > 0);
		assert_non_null(strstr(text, "problem: the database is of spool "));
		s = life_open(&mine, &report);
		assert_true(report.strangers);
		if (!strstr(report.warning, "moved away: ") ||
		    (strstr(report.warning, "-wal, which is read back") != NULL) != (log == 0))
			fail_msg("log %d: %s", log, report.warning);
		/* Our own log is read back, as far as it goes; what was in our database alone is damaged. */
		life_expect(s, 90, 0, log == 0 ? 40 : 0, log == 0 ? 50 : 90);
		assert_int_equal(life_waiting(s, 0), log == 0 ? 40 : 0);
		assert_int_equal(store_next_id(s), 91);
		/* What was put away is whole: it can be taken in by hand. */
		dir = opendir(mine.dir);
		name[0] = '\0';
		while ((entry = readdir(dir)))
			if (strstr(entry->d_name, ".stranger-") && !strstr(entry->d_name, "-wal"))
				(void)snprintf(name, sizeof name, "%s/%s", mine.dir, entry->d_name);
		(void)closedir(dir);
		assert_non_null(strstr(report.warning, name)); /* and is told by its name */
		if (log == 1) {
			assert_int_equal(store_import(s, name, false, &rows, &e), ERR_OK);
			assert_int_equal(rows, 80);
		}
		life_close(s);
		o = spooldir_options(&mine);
		assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
		assert_false(report.strangers);
		life_close(s);
		spooldir_remove(&mine);
		spooldir_remove(&others);
	}
}

/* One by one: a companion of another spool is told, and changes nothing. */
static void companions_of_another_spool_change_nothing(void **state)
{
	static const char *const companions[] = {".tide", ".lock"};

	(void)state;
	for (size_t i = 0; i < sizeof companions / sizeof *companions; i++) {
		struct store_report report;
		struct spooldir mine, others;
		struct store *s;

		life_make(&mine, 0, 50, 40);
		life_make(&others, LIFE_OTHERS, 200, 300);
		life_bring(&others, companions[i], &mine);
		s = life_open(&mine, &report);
		assert_true(report.strangers);
		life_expect(s, 90, 0, 90, 0);
		assert_int_equal(life_waiting(s, 0), 90);
		assert_int_equal(store_next_id(s), 91);
		life_close(s);
		s = life_open(&mine, &report);
		assert_false(report.strangers);
		assert_string_equal(report.warning, "");
		life_close(s);
		spooldir_remove(&mine);
		spooldir_remove(&others);
	}
}

/* An intent to set files aside, of another spool: this one's stay where they are. */
static void the_intent_of_another_spool_is_not_gone_on_with(void **state)
{
	static const struct {
		const char *suffix, *id; /* null: our own */
		bool tide_is_gone;
		bool goes_on, is_moved;
	} intents[] = {
	    {".quarantine-20260101T000000Z-000", " 0123456789abcdef0123456789abcdef", false, false, true},
	    {".quarantine-20260101T000000Z-000", " 0123456789abcdef0123456789abcdef", true, false,
	     true}, /* by the lock */
	    {".quarantine-20260101T000000Z-000", NULL, false, true, false},
	    {".quarantine-20260101T000000Z-000", " nobody's", false, true, false},
	    {".quarantine-20260101T000000Z-000", "", false, true, false}, /* of an older kspool */
	    {".quarantine-2026/0101T000000Z-000", "", false, false, false},
	    {".stranger-20260101T000000Z-000", "", false, false, false},
	    {".quarantine-20260101T000000Z-000-and-more-than-a-suffix-may-have", "", false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof intents / sizeof *intents; i++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;
		char text[200], ours[40];
		struct tide tide;
		struct error e;

		life_make(&d, 0, 50, 40);
		s = life_open(&d, NULL);
		assert_int_equal(files_tide_read(&s->files, &tide, &e), ERR_OK);
		(void)snprintf(text, sizeof text, "%s%s%s", intents[i].suffix, intents[i].id ? intents[i].id : " ",
		               intents[i].id ? "" : files_id_text(tide.spool, ours));
		life_close(s);
		spooldir_store(spooldir_file(&d, ".aside"), text, strlen(text));
		if (intents[i].tide_is_gone)
			assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		s = life_open(&d, &report);
		if (report.quarantined != intents[i].goes_on ||
		    (strstr(report.warning, ".aside was another spool's: moved away, nothing was set aside") != NULL) !=
		        intents[i].is_moved)
			fail_msg("%s: %s", text, report.warning);
		life_expect(s, 90, 0, 90, 0);
		assert_int_equal(life_waiting(s, 0), 90);
		life_close(s);
		assert_int_equal(life_count_files(&d, ".quarantine-") > 0, intents[i].goes_on);
		assert_int_equal(life_count_files(&d, ".stranger-"), intents[i].is_moved);
		s = life_open(&d, &report); /* it is told once */
		assert_string_equal(report.warning, "");
		life_close(s);
		spooldir_remove(&d);
	}
}

/* A file under the name of one that was set aside: of another spool, it is not read back. */
static void a_file_set_aside_by_another_spool_is_not_read_back(void **state)
{
	static const char *const names[] = {".quarantine-20260101T000000Z-000", ".quarantine-20260101T000000Z-000-wal"};

	(void)state;
	for (int both = 0; both < 3; both++) { /* the database, the log, both */
		struct store_report report;
		struct spooldir mine, others;
		char text[2000], from[400];
		struct store *s;

		life_make(&mine, 0, 50, 40);
		life_make(&others, LIFE_OTHERS, 60, 30);
		for (int i = 0; i < 2; i++) {
			(void)snprintf(from, sizeof from, "%s", spooldir_file(&others, i ? "-wal" : ""));
			if (both == 2 || both == i)
				assert_int_equal(rename(from, spooldir_file(&mine, names[i])), 0);
		}
		s = life_open(&mine, &report);
		life_expect(s, 90, 0, 90, 0);
		assert_int_equal(life_waiting(s, 0), 90);
		life_close(s);
		(void)life_problems(&mine, text, sizeof text);
		assert_non_null(strstr(text, "of another spool"));
		spooldir_remove(&mine);
		spooldir_remove(&others);
	}
}

/* Two folders of one copy, each with its own messages since. */
static void the_log_of_a_copy_that_went_its_own_way(void **state)
{
	(void)state;
	for (int closed = 0; closed < 2; closed++) {
		struct store_report report;
		struct spooldir mine, twin;
		struct store *s;

		life_make(&mine, 0, 50, 0);
		spooldir_make(&twin);
		spooldir_copy(&mine, &twin);
		s = life_open(&mine, NULL);
		life_append(s, 50, 20);
		if (closed)
			life_checkpoint(s);
		life_append(s, 70, 20);
		store_abandon(s);
		s = life_open(&twin, NULL);
		life_append(s, LIFE_OTHERS, 60);
		store_abandon(s);
		life_bring(&twin, "-wal", &mine);
		s = life_open(&mine, &report);
		assert_non_null(strstr(report.warning, "the log is another spool's"));
		assert_int_equal(life_waiting(s, 0), closed ? 70 : 50);
		life_expect(s, 90, 0, closed ? 70 : 50, closed ? 20 : 40);
		life_close(s);
		spooldir_remove(&mine);
		spooldir_remove(&twin);
	}
}

/* Database and log are gone: what became of what was accepted is known all the same. */
static void a_database_that_is_gone_keeps_its_counts(void **state)
{
	(void)state;
	for (int emptied = 0; emptied < 2; emptied++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;

		life_make(&d, 0, 50, 40);
		s = life_open(&d, NULL);
		life_settle(s, 1, 60);
		store_abandon(s);
		assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0);
		if (emptied)
			spooldir_store(d.path, "", 0);
		else
			assert_int_equal(unlink(d.path), 0);
		s = life_open(&d, &report);
		life_expect(s, 90, 60, 0, 30);
		assert_int_equal(report.missing_rows, 30);
		assert_int_equal(store_next_id(s), 91);
		life_append(s, 90, 10);
		life_close(s);
		s = life_open(&d, &report);
		life_expect(s, 100, 60, 10, 30);
		assert_int_equal(report.missing_rows, 0);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* Every state of a healthy spool that a kill can leave is one history: nothing is told. */
static void a_spool_is_never_a_stranger_to_itself(void **state)
{
	struct store_report report;
	struct spooldir d;
	uint64_t n = 0;

	(void)state;
	spooldir_make(&d);
	for (int round = 0; round < 60; round++) {
		struct store *s = life_open(&d, &report);

		if (report.strangers || report.missing_rows || report.quarantined)
			fail_msg("round %d: %s", round, report.warning);
		for (int i = 0; i < round % 5; i++, n += 10) {
			life_append(s, n, 10);
			if ((round + i) % 3 == 0)
				life_checkpoint(s);
		}
		if (round % 4 == 3)
			life_checkpoint(s);
		if (round % 7 == 6)
			life_close(s);
		else
			store_abandon(s);
		if (round % 11 == 5)
			assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		if (round % 13 == 7)
			assert_int_equal(unlink(spooldir_file(&d, ".lock")), 0);
	}
	spooldir_remove(&d);
}

/* sqlite3 in the hands of a person leaves a log without a ledger: what kspool adds to it fits the file. */
static void a_log_that_a_person_began_is_gone_on_with(void **state)
{
	struct store_report report;
	struct spooldir d;
	struct store *s;

	(void)state;
	life_make(&d, 0, 50, 40);
	s = life_open(&d, NULL);
	life_close(s);
	spooldir_lose(d.path, 7); /* its log stays */
	s = life_open(&d, &report);
	assert_true(report.unclean && !report.strangers);
	life_expect(s, 90, 0, 89, 1);
	life_append(s, 90, 10);
	store_abandon(s);
	s = life_open(&d, &report);
	if (report.strangers || report.missing_rows || report.warning[0])
		fail_msg("%s", report.warning);
	life_expect(s, 100, 0, 99, 1);
	life_close(s);
	spooldir_remove(&d);
}

enum { PAGE = 4096 };

/* A spool with no message left, whose clock was set once, and where the page of its ledger lies. */
static int64_t make_drained(struct spooldir *d, uint64_t n)
{
	struct store *s;
	struct error e;
	int64_t page;

	life_make(d, n, 20, 0);
	s = life_open(d, NULL);
	life_settle(s, 1, 20);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_leads_note_as(s, 3600000, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	page = life_number(s, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'");
	life_close(s);
	return (page - 1) * PAGE;
}

/* No message says whose it is: how the clock stood does. */
static void a_drained_spool_is_known_by_its_clock(void **state)
{
	struct store_report report;
	struct spooldir mine, other;
	const int64_t at = make_drained(&mine, 0);
	size_t count;
	unsigned char *bytes, *its;
	struct store *s;

	(void)state;
	assert_int_equal(make_drained(&other, LIFE_OTHERS), at);
	its = spooldir_load(other.path, &count);
	bytes = spooldir_load(mine.path, &count);
	memcpy(bytes + at, its + at, PAGE);
	spooldir_store(mine.path, bytes, count);
	free(bytes);
	free(its);
	s = life_open(&mine, &report);
	if (!strstr(report.warning, "stands over the ledger"))
		fail_msg("%s", report.warning);
	life_expect(s, 20, 20, 0, 0);
	life_close(s);
	spooldir_remove(&mine);
	spooldir_remove(&other);
}

/* Each in a sentence, with the names of both spools. */
static void what_is_strange_is_told_in_words(void **state)
{
	static const char *const want[] = {
	    "the database is of spool 00000000000000030000000000000004, what lies beside it of "
	    "00000000000000010000000000000002",
	    "a page of spool 00000000000000030000000000000004 stands over the ledger; the rows are of "
	    "00000000000000010000000000000002",
	    "the tide mark is of spool 00000000000000030000000000000004, this is 00000000000000010000000000000002",
	    "the lock file is of another spool than 00000000000000010000000000000002",
	    "the log is older than the database",
	    "a rollback journal lies here, which no spool has",
	};
	struct identity id = {.ours = {1, 2}, .theirs = {3, 4}, .tide_of = {3, 4}};
	char words[IDENTITY_WORDS_MAX][IDENTITY_TEXT_BYTES];

	(void)state;
	assert_int_equal(store_identity_words(&id, words), 0);
	id.file_is_strange = id.page_is_strange = id.tide_is_strange = id.lock_is_strange = id.has_journal = true;
	id.log = LOG_OLDER;
	assert_int_equal(store_identity_words(&id, words), sizeof want / sizeof *want);
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		assert_string_equal(words[i], want[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_log_of_another_spool_is_not_read),
	    cmocka_unit_test(a_log_that_should_not_be_there_is_not_read),
	    cmocka_unit_test(an_older_log_is_not_read),
	    cmocka_unit_test(an_older_database_beside_its_log),
	    cmocka_unit_test(an_earlier_copy_is_told_by_the_tide_mark),
	    cmocka_unit_test(the_database_of_another_spool_is_put_away),
	    cmocka_unit_test(companions_of_another_spool_change_nothing),
	    cmocka_unit_test(the_intent_of_another_spool_is_not_gone_on_with),
	    cmocka_unit_test(a_file_set_aside_by_another_spool_is_not_read_back),
	    cmocka_unit_test(the_log_of_a_copy_that_went_its_own_way),
	    cmocka_unit_test(a_database_that_is_gone_keeps_its_counts),
	    cmocka_unit_test(a_spool_is_never_a_stranger_to_itself),
	    cmocka_unit_test(a_log_that_a_person_began_is_gone_on_with),
	    cmocka_unit_test(a_drained_spool_is_known_by_its_clock),
	    cmocka_unit_test(what_is_strange_is_told_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
