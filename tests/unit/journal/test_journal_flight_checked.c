/*
 * What check says of PATH.flight: of each byte that is not what was written, of each length, of another spool's, of one
 * that could not be written or read; it is what a start says of it. Repair makes it anew and says so, and check finds
 * nothing afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/flight.h"
#include "journal/journal.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/fullspool.h"
#include "store/files/flight_file.h"

#define ANEW "after a kill a start counts what the last commit knew of, as possible duplicates, and makes it anew\n"
#define NOT_WRITTEN "problem: PATH.flight, which says what was with the service, is not what was written: " ANEW
#define ANOTHERS "problem: PATH.flight, which says what was with the service, is another spool's: " ANEW
#define UNSURE                                                                                                      \
	"problem: PATH.flight, which says what was with the service, could not be written by the last run: a start" \
	" counts all that waits, as possible duplicates, and makes it anew\n"
#define UNREAD "problem: what was with the service is not known: cannot read PATH.flight: Input/output error; " ANEW
#define MADE(how) "opened: PATH.flight, which says what was with the service, was " how " and is made anew\n"

static struct spooldir whole;
static uint64_t id[2], numbers[FLIGHT_NUMBERS];

static void put(const void *bytes, size_t count) { spooldir_store(spooldir_file(&whole, ".flight"), bytes, count); }

/* A spool that a run left with messages with the service. */
static int begin(void **state)
{
	struct store_report report;
	struct store *s;
	struct error e;
	unsigned char *bytes;
	size_t count;

	(void)state;
	life_make(&whole, 0, 20, 0);
	s = life_open(&whole, &report);
	store_identity(s, id);
	assert_int_equal(journal_count_flight(s, whole.path, &report, &e), ERR_OK);
	life_close(s);
	bytes = spooldir_load(spooldir_file(&whole, ".flight"), &count);
	assert_int_equal(count, sizeof numbers);
	memcpy(numbers, bytes, sizeof numbers);
	free(bytes);
	return 0;
}

static int end(void **state)
{
	(void)state;
	spooldir_remove(&whole);
	return 0;
}

/* The problems that check names, and nothing else. */
static void check_says(const char *what, size_t nth, const char *want)
{
	char said[FULL_TEXT];
	const uint64_t problems = full_check(&whole, false, said);
	const char *at = strstr(said, "problem: ");

	if (strcmp(at ? at : "", want) != 0 || problems != (*want != '\0'))
		fail_msg("%s %zu: %s", what, nth, said);
}

/* As a start sees it. */
static const char *as_opened(void)
{
	struct flight f = {.fd = -1};
	const struct flight_start start = {.path = whole.path, .spool = {id[0], id[1]}};

	(void)flight_open(&f, &start);
	flight_close(&f);
	return f.was_damaged ? NOT_WRITTEN : f.was_anothers ? ANOTHERS : "";
}

static void repair_says(const char *what, size_t nth, const char *want)
{
	const struct store_repair how = {.opened = journal_count_flight};
	struct error e = {.text = ""};
	char said[FULL_TEXT];
	struct buf out;

	buf_init(&out, 1 << 16);
	if (store_repair(whole.path, &how, &out, &e) != ERR_OK)
		fail_msg("%s %zu: %s", what, nth, e.text);
	full_words(whole.path, (const char *)out.data, out.len, said);
	if (*want ? strncmp(said, want, strlen(want)) != 0 : strstr(said, ".flight") != NULL)
		fail_msg("%s %zu: %s", what, nth, said);
	buf_fini(&out);
	check_says(what, nth, "");
}

static void each_byte_that_is_wrong_is_named(void **state)
{
	(void)state;
	put(numbers, sizeof numbers);
	check_says("whole", 0, "");
	for (size_t i = 0; i < sizeof numbers; i++) {
		unsigned char bytes[sizeof numbers];

		memcpy(bytes, numbers, sizeof bytes);
		bytes[i] ^= (unsigned char)(1 << i % 8);
		put(bytes, sizeof bytes);
		check_says("byte", i, NOT_WRITTEN);
		assert_string_equal(as_opened(), NOT_WRITTEN);
		if (i % 8 != 0)
			continue;
		put(bytes, sizeof bytes);
		repair_says("byte", i, MADE("not what was written"));
	}
}

static void each_length_is_looked_at(void **state)
{
	unsigned char bytes[sizeof numbers + 8] = {0};

	(void)state;
	memcpy(bytes, numbers, sizeof numbers);
	for (size_t length = 0; length <= sizeof bytes; length += 8) {
		const bool is_sound = length == 0 || length >= sizeof numbers;

		put(bytes, length);
		check_says("length", length, is_sound ? "" : NOT_WRITTEN);
		assert_string_equal(as_opened(), is_sound ? "" : NOT_WRITTEN);
	}
	assert_int_equal(unlink(spooldir_file(&whole, ".flight")), 0);
	check_says("none", 0, "");
	repair_says("none", 0, "");
}

static void another_spools_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < 5; i++) {
		const bool has_none = i == 4; /* an older kspool's names no spool */
		uint64_t other[FLIGHT_NUMBERS];

		memcpy(other, numbers, sizeof other);
		if (i < 2)
			other[AT_SPOOL_HIGH + i]++;
		else
			other[AT_SPOOL_HIGH] = other[AT_SPOOL_LOW] = 0;
		if (!has_none && i >= 2)
			other[AT_SPOOL_HIGH + i - 2] = 7;
		files_flight_sum_all(other);
		put(other, sizeof other);
		check_says("another", i, has_none ? "" : ANOTHERS);
		assert_string_equal(as_opened(), has_none ? "" : ANOTHERS);
		put(other, sizeof other);
		repair_says("another", i, has_none ? "" : MADE("another spool's"));
	}
}

static void what_could_not_be_written_or_read_is_named(void **state)
{
	unsigned read = 0;

	(void)state;
	put(numbers, sizeof numbers);
	for (uint64_t n = 1, failed = 1; failed > 0; n++) {
		char said[FULL_TEXT];

		faultfs_arm(FAULTFS_READ, n, EIO, false);
		(void)full_check(&whole, false, said);
		failed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		if (failed == 0 || !strstr(faultfs_what(), ".flight"))
			continue;
		read++;
		full_replace(said, "cannot read *", "cannot read PATH.flight: Input/output error; " ANEW);
		if (!strstr(said, UNREAD))
			fail_msg("%s", said);
	}
	assert_int_equal(read, 1);
	spooldir_store(spooldir_file(&whole, ".flight.unsure"), numbers, sizeof numbers);
	check_says("unsure", 0, UNSURE);
	repair_says("unsure", 0, "");
	assert_int_equal(access(spooldir_file(&whole, ".flight.unsure"), F_OK), -1);
}

/* What was with the service is counted in the file where the database has no room for it. */
static void a_full_disk_refuses_no_start_for_it(void **state)
{
	enum { SENT = 5 };
	unsigned refused = 0;
	uint64_t sent[FLIGHT_NUMBERS];

	(void)state;
	memcpy(sent, numbers, sizeof sent);
	sent[AT_SENDING] = SENT;
	files_flight_sum_all(sent);
	for (uint64_t n = 1, failed = 1; failed; n++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;
		struct error e;
		uint64_t before;
		enum err err;

		spooldir_make(&d);
		spooldir_copy(&whole, &d);
		spooldir_store(spooldir_file(&d, ".flight"), sent, sizeof sent);
		s = life_open(&d, &report);
		before = store_possible_duplicates(s);
		faultsql_arm(n, SQLITE_FULL, false);
		err = journal_count_flight(s, d.path, &report, &e);
		failed = faultsql_failed();
		faultsql_arm(0, 0, false);
		if (err != ERR_OK)
			fail_msg("call %d: %s", (int)n, e.text);
		refused += store_possible_duplicates(s) == before;
		store_abandon(s);
		s = life_open(&d, &report);
		assert_int_equal(journal_count_flight(s, d.path, &report, &e), ERR_OK);
		assert_in_range(store_possible_duplicates(s), before + SENT, before + SENT + 20); /* all that waits */
		life_close(s);
		spooldir_remove(&d);
	}
	assert_true(refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_byte_that_is_wrong_is_named),
	    cmocka_unit_test(each_length_is_looked_at),
	    cmocka_unit_test(another_spools_is_named),
	    cmocka_unit_test(what_could_not_be_written_or_read_is_named),
	    cmocka_unit_test(a_full_disk_refuses_no_start_for_it),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, begin, end);
}
