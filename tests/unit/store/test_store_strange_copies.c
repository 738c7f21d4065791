/*
 * An import that is killed anywhere is run again; and of the log's checksums one wrong bit looks like one of the frame
 * behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/store_internal.h"

/* Each bit of a checksum in the log, the header's and two frames': all is there, and each message as it was written. */
static void a_wrong_bit_of_a_checksum_harms_nothing(void **state)
{
	static const size_t places[] = {24, 32 + 16, 32 + 4 * (24 + 4096) + 16};
	struct spooldir original;

	(void)state;
	life_make(&original, 0, 30, 60);
	for (size_t place = 0; place < sizeof places / sizeof *places; place++)
		for (size_t bit = 0; bit < 64; bit++) {
			struct store_report report;
			struct spooldir d;
			struct store *s;
			size_t count;
			unsigned char *bytes;

			spooldir_make(&d);
			spooldir_copy(&original, &d);
			bytes = spooldir_load(spooldir_file(&d, "-wal"), &count);
			bytes[places[place] + bit / 8] ^= (unsigned char)(1 << bit % 8);
			spooldir_store(spooldir_file(&d, "-wal"), bytes, count);
			free(bytes);
			s = life_open(&d, &report);
			if (report.quarantined || report.missing_rows > 0 || store_ledger(s)->damaged > 0)
				fail_msg("place %zu bit %zu: %s", place, bit, report.warning);
			life_expect(s, 90, 0, 90, 0);
			assert_int_equal(life_waiting(s, 0), 90);
			life_close(s);
			spooldir_remove(&d);
		}
	spooldir_remove(&original);
}

enum { MANY = 30 };

/* The import is killed before its n-th operation on a file. False: there was none. */
static bool kill_import(const struct spooldir *mine, const char *copy, uint64_t n)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct store_options o = spooldir_options(mine);
		struct store *s = NULL;
		uint64_t rows;

		faultfs_arm(FAULTFS_ALL, n, FAULTFS_KILL, false);
		if (store_open(&o, &s, NULL, NULL) == ERR_OK && store_import(s, copy, false, &rows, NULL) == ERR_OK)
			(void)store_close(s, NULL);
		faultfs_arm(0, 0, 0, false);
		_exit(7);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return !(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* An import that was killed at any point is run again: then all is there, and nothing twice. */
static void an_import_that_was_killed_is_run_again(void **state)
{
	struct spooldir theirs;
	char early[400], late[400];
	bool was_killed = true;
	struct store *s;
	struct error e;

	(void)state;
	life_make(&theirs, 0, MANY, 0);
	(void)snprintf(early, sizeof early, "%s.early", theirs.path);
	(void)snprintf(late, sizeof late, "%s.late", theirs.path);
	s = life_open(&theirs, NULL);
	assert_int_equal(store_export(s, early, &e), ERR_OK);
	life_append(s, MANY, MANY);
	assert_int_equal(store_export(s, late, &e), ERR_OK);
	life_close(s);
	for (uint64_t n = 1; was_killed; n += SANITIZED_EACH) {
		struct spooldir mine;
		enum err err;
		uint64_t rows;

		life_make(&mine, LIFE_OTHERS, 10, 0);
		s = life_open(&mine, NULL);
		assert_int_equal(store_import(s, early, false, &rows, &e), ERR_OK);
		life_close(s);
		was_killed = kill_import(&mine, late, n);
		s = life_open(&mine, NULL);
		err = store_import(s, late, false, &rows, &e);
		if (err != ERR_OK && (err != ERR_INPUT || !strstr(e.text, "were taken in")))
			fail_msg("operation %u: error %d: %s", (unsigned)n, (int)err, e.text);
		life_expect(s, 10 + 2 * MANY, 0, 10 + 2 * MANY, 0);
		assert_int_equal(store_possible_duplicates(s), 0);
		life_close(s);
		spooldir_remove(&mine);
		assert_true(n < 2000);
	}
	spooldir_remove(&theirs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_import_that_was_killed_is_run_again),
	    cmocka_unit_test(a_wrong_bit_of_a_checksum_harms_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
