/*
 * What a repair says of files that were set aside, and of many wrong messages, word for word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "rig/faultfs.h"
#include "rig/fullspool.h"
#include "store/store_internal.h"

#define ZERO "ZERO "         /* not a statement: the page where that begins */
#define EXCHANGE "EXCHANGE " /* likewise: the first two rows there */
#define NONE "rows: 0 with a wrong checksum moved to `damaged`, 0 counted as missing, 0 salvaged\n"
#define ASIDE ".quarantine-20260101T000000Z-000"

static enum err repair(const struct spooldir *d, const struct store_repair *how, char text[FULL_TEXT])
{
	struct error e = {.text = ""};
	struct buf out;
	enum err err;

	buf_init(&out, 1 << 20);
	err = store_repair(d->path, how, &out, &e);
	if (err != ERR_OK)
		assert_int_equal(buf_addf(&out, "error %s: %s\n", error_name(err), e.text), ERR_OK);
	full_words(d->path, (const char *)out.data, out.len, text);
	full_mask(text, ".quarantine-", ": \n;,");
	for (char *at = text; (at = strstr(at, " pages ")); at++) /* how many is SQLite's doing */
		while (at > text && isdigit((unsigned char)at[-1]))
			*--at = '#';
	buf_fini(&out);
	return err;
}

/* accepted, delivered, pending, dead, damaged; possible duplicates; positions, keys, notes of copies. */
static void tell_counts(const struct spooldir *d, char text[FULL_TEXT])
{
	struct store *s = life_open(d, NULL);
	const struct store_ledger *l = store_ledger(s);

	(void)snprintf(text, FULL_TEXT, "%d = %d + %d + %d + %d, %d; %d %d %d", (int)l->accepted, (int)l->delivered,
	               (int)l->pending, (int)l->dead, (int)l->damaged, (int)store_possible_duplicates(s),
	               (int)life_number(s, "SELECT count(*) FROM positions"),
	               (int)life_number(s, "SELECT count(*) FROM cache"),
	               (int)life_number(s, "SELECT count(*) FROM imports"));
	life_close(s);
}

static int wrong;

static void expect(const char *what, const char *text, const char *says)
{
	if (strcmp(text, says) != 0) {
		(void)fprintf(stderr, "%s:\n%s\n", what, text);
		wrong++;
	}
}

/* A file that was set aside cannot be read: that is said each time, until it can, or a person gives it up. */
static void what_cannot_be_read_is_said(void **state)
{
	static const char still[] =
	    "opened: PATH.quarantine-* cannot be read back: ## pages of it cannot be read; the next start tries again, "
	    "until kspool repair --give-up PATH.quarantine-*\n"
	    "set aside: PATH.quarantine-*: not read to its end yet: PATH.quarantine-*, from byte 0 on: cannot read *\n"
	    "put it right, or, when it is lost for good: kspool repair --give-up PATH.quarantine-*\n"
	    "cannot be read: PATH.quarantine-*: ## pages of it cannot be read; when it is lost for good: kspool repair "
	    "--give-up PATH.quarantine-*\n" NONE
	    "set aside: PATH.quarantine-*: not read to its end yet: PATH.quarantine-*, from byte 0 on: cannot read *\n"
	    "put it right, or, when it is lost for good: kspool repair --give-up PATH.quarantine-*\n"
	    "problem: 1 files set aside are not read to their end; start kspool, or run kspool repair\n"
	    "log: * frames, 0 commits\n"
	    "spool: *\n"
	    "structure: ok\n"
	    "messages: 0 rows, 0 of them in blocks\n"
	    "dead: 0 rows\n"
	    "ledger: accepted 35 = delivered 1 + pending 0 + dead 0 + expired 0 + evicted 0 + damaged 34 + filtered 0 "
	    "+ purged 0\n"
	    "error DAMAGED: 1 problems are left, which the lines above name\n";
	struct spooldir d;
	char text[FULL_TEXT], counts[FULL_TEXT], path[400];
	struct store_repair how = {.give_up = path};

	(void)state;
	for (int gives_up = 0; gives_up < 2; gives_up++) {
		life_close(full_open(&d));
		(void)snprintf(path, sizeof path, "%s" ASIDE, d.path);
		assert_int_equal(rename(d.path, path), 0);
		assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0);
		faultfs_dead(ASIDE, 0, INT32_MAX);
		assert_int_equal(repair(&d, &(struct store_repair){0}, text), ERR_DAMAGED);
		assert_int_equal(repair(&d, &(struct store_repair){0}, text), ERR_DAMAGED);
		expect("STILL", text, still);
		if (!gives_up)
			faultfs_dead(NULL, 0, 0);
		assert_int_equal(repair(&d, gives_up ? &how : &(struct store_repair){0}, text), ERR_OK);
		expect(gives_up ? "GIVEN" : "READ", text,
		       gives_up ? "opened: PATH.quarantine-* cannot be read back: ## pages of it cannot be read; the "
		                  "next start tries again, until kspool repair --give-up PATH.quarantine-*\n"
		                  "given up: PATH.quarantine-*; 0 messages came back before\n"
		                  "set aside: PATH.quarantine-*: given up, 0 messages came back, ## pages could not be "
		                  "read\n" NONE
		                  "told: 34 messages are damaged, which nobody had confirmed; noted that you know\n"
		                  "damaged: 34 messages, ids 1 to 35, since *Z: what is here ends before the tide "
		                  "mark: the last commits are gone\n"
		                : "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE);
		assert_int_equal(repair(&d, &how, text), ERR_OK);
		expect(gives_up ? "NOTHING_GIVEN" : "NOTHING", text,
		       gives_up ? "nothing is left to do with PATH.quarantine-*\n"
		                  "set aside: PATH.quarantine-*: given up, 0 messages came back, ## pages could not be "
		                  "read\n" NONE
		                : "nothing is left to do with PATH.quarantine-*\n"
		                  "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE);
		(void)snprintf(path, sizeof path, "%s.other", d.path);
		assert_int_equal(repair(&d, &how, text), ERR_INPUT);
		expect("another", text,
		       "error INPUT: PATH.other is none of the files that were set aside; kspool check"
		       " lists them\n");
		tell_counts(&d, counts);
		expect(gives_up ? "COUNTS_GIVEN" : "COUNTS", counts,
		       gives_up ? "35 = 1 + 0 + 0 + 34, 2; 0 0 1" : "35 = 1 + 32 + 2 + 0, 2; 2 2 3");
		faultfs_dead(NULL, 0, 0);
		spooldir_remove(&d);
	}
	assert_int_equal(wrong, 0);
}

/* Where the path is long the sentence that leads out is there to its end. */
static void a_long_path_cuts_no_sentence(void **state)
{
	struct spooldir d, deep;
	struct store *s;
	struct error e;
	struct buf out;
	uint64_t problems;

	(void)state;
	spooldir_make(&d);
	(void)snprintf(deep.dir, sizeof deep.dir, "%.100s/%0120d", d.dir, 7);
	(void)snprintf(deep.path, sizeof deep.path, "%s/spool.db", deep.dir);
	assert_int_equal(mkdir(deep.dir, 0700), 0);
	s = life_open(&deep, NULL);
	life_append(s, 0, 20);
	life_close(s);
	spooldir_store(spooldir_file(&deep, ASIDE), "x", 1);
	faultfs_dead(ASIDE, 0, INT32_MAX);
	buf_init(&out, 1 << 16);
	assert_int_equal(store_check(deep.path, &out, &problems, &e), ERR_OK);
	assert_non_null(memmem(out.data, out.len, "and run kspool repair there\nput it right", 40));
	buf_fini(&out);
	faultfs_dead(NULL, 0, 0);
	spooldir_remove(&deep);
	spooldir_remove(&d);
}

/* Of two files that cannot be read one is given up: the other one is looked for as before. */
static void only_what_is_given_up_is(void **state)
{
	static const char other[] = ".quarantine-20260102T000000Z-000";
	struct spooldir d;
	char text[FULL_TEXT], path[400];
	const struct store_repair how = {.give_up = path};
	struct store *s;

	(void)state;
	life_close(full_open(&d));
	(void)snprintf(path, sizeof path, "%s" ASIDE, d.path);
	assert_int_equal(rename(d.path, path), 0);
	faultfs_dead("Z-000", 0, INT32_MAX);
	s = life_open(&d, NULL);
	life_append(s, 100, 10);
	life_close(s);
	assert_int_equal(rename(d.path, spooldir_file(&d, other)), 0);
	assert_int_equal(repair(&d, &how, text), ERR_DAMAGED);
	assert_non_null(strstr(text, "given up: PATH.quarantine-*; 0 messages came back before\n"));
	assert_non_null(strstr(text, "\nerror DAMAGED: 1 problems are left, which the lines above name\n"));
	assert_non_null(strstr(text, "\nproblem: 1 files set aside are not read to their end"));
	faultfs_dead(NULL, 0, 0);
	assert_int_equal(repair(&d, &(struct store_repair){0}, text), ERR_OK);
	s = life_open(&d, NULL);
	assert_int_equal(store_ledger(s)->pending, 10);
	assert_int_equal(store_ledger(s)->accepted, 45);
	life_end(&d, s);
}

/* More than are moved at once, with whole ones between. */
static void many_wrong_messages_are_moved(void **state)
{
	static const uint32_t counts[] = {255, 256, 257, 600};
	char text[FULL_TEXT], want[100];

	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct spooldir d;
		struct store *s = life_begin(&d);

		life_append(s, 0, counts[i] + 50);
		life_close(s);
		full_change(d.path, "UPDATE blocks SET codec = 7 WHERE id NOT IN (11, 21, 31, 41, 51)");
		assert_int_equal(repair(&d, &(struct store_repair){0}, text), ERR_OK);
		(void)snprintf(want, sizeof want, "rows: %u with a wrong checksum moved to `damaged`, 0 counted",
		               counts[i]);
		if (strncmp(text, want, strlen(want)) != 0)
			fail_msg("%s", text);
		s = life_open(&d, NULL);
		life_expect(s, counts[i] + 50, 0, 50, counts[i]);
		life_end(&d, s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_cannot_be_read_is_said),
	    cmocka_unit_test(a_long_path_cuts_no_sentence),
	    cmocka_unit_test(only_what_is_given_up_is),
	    cmocka_unit_test(many_wrong_messages_are_moved),
	};

	faultfs_skip_syncs();
	(void)clock_test_stop(); /* it says how much a start reads back: all there is */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
