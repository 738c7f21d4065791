/*
 * In one table after the other stand the rows of another spool that lived the same life: same numbers, same bytes,
 * sound by themselves. Check says so of a spool and of a copy, and repair leaves nothing that check finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig/faultfs.h"
#include "rig/fullspool.h"
#include "store/store_internal.h"
#include "store/store_identity_internal.h"

#define WRONG(table, count) "problem: " table ": " count " rows have a wrong checksum\n"
#define MENDED(table) "problem: " table ": 2 rows are not what was written: kspool repair mends what can be\n"
#define COUNTS "problem: the ledger counts 32 pending and 2 dead, there are 35 and 2\n"

static const struct {
	const char *table, *spool, *copy; /* what is wrong of each; null: the same */
} cases[] = {
    {"blocks", WRONG("messages", "30"), NULL},
    {"messages", WRONG("messages", "2"), NULL},
    {"dead", WRONG("dead", "2") MENDED("dead"), NULL},
    {"partial",
     MENDED("partial") COUNTS "problem: 1 messages that had left stand here again: a start counts them, as possible "
                              "duplicates, and what they hide as damaged\n",
     MENDED("partial") COUNTS},
    {"failures", MENDED("failures"), NULL},
    {"cache", MENDED("cache"), NULL},
    {"positions", MENDED("positions"), NULL},
    {"imports", MENDED("imports"), NULL},
    {"ledger",
     "problem: a page of spool * stands over the ledger; the rows are of *; start kspool, or run kspool repair, to "
     "part "
     "them\n",
     WRONG("messages", "35") WRONG("dead", "2") MENDED("failures") MENDED("partial") MENDED("positions") MENDED("cache")
         MENDED("dead") MENDED("imports") COUNTS},
};

/* Only the lines that begin with "problem: ". */
static void problems_of(const struct spooldir *d, bool is_copy, char text[FULL_TEXT])
{
	char all[FULL_TEXT];

	(void)full_check(d, is_copy, all);
	text[0] = '\0';
	for (const char *at = all; (at = strstr(at, "problem: ")); at += strcspn(at, "\n"))
		(void)snprintf(text + strlen(text), FULL_TEXT - strlen(text), "%.*s\n", (int)strcspn(at, "\n"), at);
}

static void repair(const struct spooldir *d)
{
	struct error e = {.text = ""};
	struct buf out;

	buf_init(&out, 1 << 20);
	if (store_repair(d->path, &(struct store_repair){0}, &out, &e) != ERR_OK)
		fail_msg("%s", e.text);
	buf_fini(&out);
}

static void rows_of_another_spool_are_not_ours(void **state)
{
	struct spooldir ours, other;
	int wrong = 0;

	(void)state;
	life_close(full_open(&ours));
	life_close(full_open(&other));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir harmed;
		char sql[500], spool[FULL_TEXT], copy[FULL_TEXT];

		spooldir_make(&harmed);
		spooldir_copy(&ours, &harmed);
		life_bring(&ours, ".left", &harmed);
		(void)snprintf(sql, sizeof sql,
		               "ATTACH '%s' AS other; DELETE FROM %s; INSERT INTO %s SELECT * FROM other.%s",
		               other.path, cases[i].table, cases[i].table, cases[i].table);
		full_change(harmed.path, sql);
		problems_of(&harmed, false, spool);
		problems_of(&harmed, true, copy);
		if (strcmp(spool, cases[i].spool) != 0 ||
		    strcmp(copy, cases[i].copy ? cases[i].copy : cases[i].spool) != 0) {
			(void)fprintf(stderr, "%s:\n%s\ncopy:\n%s\n", cases[i].table, spool, copy);
			wrong++;
		}
		repair(&harmed);
		problems_of(&harmed, false, spool);
		assert_string_equal(spool, "");
		spooldir_remove(&harmed);
	}
	assert_int_equal(wrong, 0);
	spooldir_remove(&ours);
	spooldir_remove(&other);
}

/* A row that is not what was written says of no spool that it is its, whatever its tag would be. */
static void rows_that_are_not_sound_prove_nothing(void **state)
{
	static const char *const harms[] = {"UPDATE messages SET received_ms = received_ms + 1",
	                                    "UPDATE dead SET received_ms = received_ms + 1",
	                                    "UPDATE blocks SET first_ms = first_ms + 1, body = zeroblob(length(body))",
	                                    "UPDATE clock SET lead_ms = lead_ms + 1"};
	const struct spool_id none = {.low = 1}, other = {.low = 2};
	struct files f = FILES_NONE;
	struct spooldir d;
	struct store *s = full_open(&d);
	const struct spool_id ours = s->id;
	struct error e;
	bool is_ours;

	(void)state;
	life_close(s);
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	assert_int_equal(store_rows_are_of(&f, "", ours, none, &is_ours, &e), ERR_OK);
	assert_true(is_ours);
	assert_int_equal(store_rows_are_of(&f, "", none, ours, &is_ours, &e), ERR_OK);
	assert_false(is_ours);
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++)
		full_change(d.path, harms[i]);
	assert_int_equal(store_rows_are_of(&f, "", none, other, &is_ours, &e), ERR_OK);
	assert_false(is_ours);
	assert_int_equal(store_rows_are_of(&f, "", ours, none, &is_ours, &e), ERR_OK);
	assert_false(is_ours);
	files_close(&f);
	spooldir_remove(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(rows_of_another_spool_are_not_ours),
	                                          cmocka_unit_test(rows_that_are_not_sound_prove_nothing)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
