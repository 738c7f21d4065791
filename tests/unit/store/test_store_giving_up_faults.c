/*
 * A person gives up a file that was set aside, and while it is read for the last time the n-th look at a file fails
 * once, or the n-th call of SQLite: that is told, or costs no more than what one page holds; what could be read comes
 * back, whatever failed. Asked once more, it is given up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/lives.h"

enum { ROWS = 40, PER_PAGE = 20, PAGE = 4096, DEAD_FROM = 19 * PAGE, MARKED = 4 };

static const char aside[] = ".quarantine-20260101T000000Z-000";

static uint64_t fails_at;
static unsigned fails; /* kinds of operations; 0: calls of SQLite */

static void arm(uint64_t n)
{
	if (fails)
		faultfs_arm(fails, n, EIO, false);
	else
		faultsql_arm(n, SQLITE_NOMEM, false);
}

/* Most of its rows cannot be read at a start; then they can. */
static enum err opened(struct store *s, const char *path, struct store_report *report, struct error *e)
{
	(void)s;
	(void)path;
	(void)report;
	(void)e;
	faultfs_dead(NULL, 0, 0);
	arm(fails_at);
	return ERR_OK;
}

/* The spool goes on beside its file. */
static void make(struct spooldir *d)
{
	struct store *s = life_begin(d);

	life_append(s, 0, ROWS);
	life_settle(s, ROWS - MARKED + 1, ROWS);
	life_close(s);
	assert_int_equal(rename(d->path, spooldir_file(d, aside)), 0);
	faultfs_dead("-000", DEAD_FROM, INT32_MAX);
	s = life_open(d, NULL);
	assert_true(store_ledger(s)->pending < ROWS / 2);
	life_close(s);
	faultfs_dead(NULL, 0, 0);
}

static enum err give_up(const struct spooldir *d, uint64_t n, char *text, size_t size, struct error *e,
                        bool *ret_failed)
{
	struct store_repair how = {.give_up = spooldir_file(d, aside), .opened = opened};
	struct buf out;
	enum err err;

	fails_at = n;
	*e = (struct error){0};
	buf_init(&out, 1 << 20);
	faultfs_dead("-000", DEAD_FROM, INT32_MAX);
	err = store_repair(d->path, &how, &out, e);
	*ret_failed = fails ? faultfs_failed() > 0 : faultsql_failed();
	faultfs_arm(0, 0, 0, false);
	faultsql_arm(0, 0, false);
	faultfs_dead(NULL, 0, 0);
	(void)snprintf(text, size, "%.*s", (int)out.len, out.len ? out.data : "");
	buf_fini(&out);
	return err;
}

static void expect_most(const struct spooldir *d, uint64_t n, uint64_t least)
{
	struct store_report report;
	struct store *s = life_open(d, &report);
	const struct store_ledger *l = store_ledger(s);

	if (l->accepted != ROWS || l->pending + l->delivered + l->damaged != ROWS || l->pending < least ||
	    report.missing_rows > 0)
		fail_msg("operation %llu (%s): accepted %u, waiting %u, damaged %u, missing %u: %s",
		         (unsigned long long)n, fails ? faultfs_what() : faultsql_what(), (unsigned)l->accepted,
		         (unsigned)l->pending, (unsigned)l->damaged, (unsigned)report.missing_rows, report.warning);
	life_waiting(s, 0);
	life_close(s);
}

/* False: nothing failed. */
static bool try(const struct spooldir *from, uint64_t n, uint64_t waiting)
{
	struct spooldir d;
	char text[4000];
	struct error e;
	bool failed, again;
	enum err err;

	spooldir_make(&d);
	spooldir_copy(from, &d);
	err = give_up(&d, n, text, sizeof text, &e, &failed);
	ERRORWATCH_EXPECT(err, &e, text, "giving up", n);
	if (err != ERR_OK && (!failed || e.code != err || !e.text[0]))
		fail_msg("operation %llu: error %d: %s", (unsigned long long)n, (int)err, e.text);
	if (access(spooldir_file(&d, aside), F_OK) == 0 && err != ERR_OK) {
		(void)give_up(&d, FAULTPOINTS_NONE, text, sizeof text, &e, &again);
		assert_false(again);
	}
	expect_most(&d, n, waiting - (fails && failed ? PER_PAGE : 0));
	spooldir_remove(&d);
	return failed;
}

static void what_fails_while_a_file_is_given_up_costs_a_page_at_most(void **state)
{
	static const unsigned kinds[] = {0, FAULTFS_READ, FAULTFS_OPEN | FAULTFS_STAT};

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct spooldir from, d;
		char text[4000];
		struct error e;
		bool failed;
		uint64_t n, waiting, tried = 0;
		struct store *s;

		fails = kinds[i];
		make(&from);
		spooldir_make(&d);
		spooldir_copy(&from, &d);
		faultpoints_forget();
		faultpoints_note();
		assert_int_equal(give_up(&d, FAULTPOINTS_NONE, text, sizeof text, &e, &failed), ERR_OK);
		faultpoints_end_firsts();
		s = life_open(&d, NULL);
		waiting = store_ledger(s)->pending;
		assert_true(waiting > ROWS / 2);
		life_close(s);

		spooldir_remove(&d);
		for (n = faultpoints_next(0); n <= faultpoints_count(); n = faultpoints_next(n), tried++)
			assert_true(try(&from, n, waiting));
		assert_true(tried > 5);
		print_message("%u of %u operations\n", (unsigned)tried, (unsigned)faultpoints_count());
		assert_false(try(&from, n, waiting));
		spooldir_remove(&from);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_fails_while_a_file_is_given_up_costs_a_page_at_most),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
