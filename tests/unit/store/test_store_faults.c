/*
 * The n-th operation fails, n = 1, 2, ... until a run meets no fault; once and for good; I/O error, full disk, short
 * write. Whatever happens, what was acknowledged is there afterwards, byte for byte, and the ledger balances. A disk
 * error ends the run (as the process would end); a full disk refuses, drains and goes on.
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

#include "base/check.h"
#include "rig/crashvfs.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/lives.h"

enum { GROUPS = 6, PER_GROUP = 8, IDS = GROUPS * PER_GROUP + 1 };

struct run {
	bool accepted[IDS]; /* by the number in the message */
	bool settling[IDS];
	uint64_t id_of[IDS];
	enum err condemned; /* by this one; ERR_OK: it is not */
	struct error why;
};

static uint32_t bytes_of(uint64_t n) { return (uint32_t)(n % 5 * 1500); }

static enum err append_group(struct store *s, uint64_t first, struct run *r, struct error *e)
{
	enum err err = store_begin(s, e);

	for (uint64_t n = first; n < first + PER_GROUP && err == ERR_OK; n++) {
		struct message *m = spooldir_message(n, bytes_of(n));

		err = store_append(s, m, e);
		r->id_of[n] = m->id;
		message_free(m);
	}
	if (err == ERR_OK)
		err = store_commit(s, e);
	for (uint64_t n = first; n < first + PER_GROUP && err == ERR_OK; n++)
		r->accepted[n] = true;
	if (err != ERR_OK)
		store_rollback(s);
	return err;
}

static enum err settle_group(struct store *s, uint64_t first, struct run *r, struct error *e)
{
	struct store_settlement items[PER_GROUP];
	size_t count = 0, done;

	for (uint64_t n = first; n < first + PER_GROUP; n += 2)
		if (r->accepted[n]) {
			r->settling[n] = true;
			items[count++] = (struct store_settlement){.id = r->id_of[n], .kind = SETTLE_DELIVERED};
		}
	return store_settle_full(s, items, count, &done, e);
}

/* True when the process would have to end; who asked was told why in any case. */
static bool ends(struct run *r, enum err err, const struct error *e)
{
	if (err == ERR_OK)
		return false;
	errorwatch_hear(e->text);
	if (err == ERR_FULL || err == ERR_MEMORY)
		return false;
	r->condemned = err;
	r->why = *e;
	return true;
}

static void do_run(struct store *s, struct run *r)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct error e;
	uint32_t count;
	uint64_t last;

	for (uint64_t g = 0; g < GROUPS; g++) {
		if (ends(r, append_group(s, g * PER_GROUP + 1, r, &e), &e) ||
		    (g % 2 && ends(r, settle_group(s, g * PER_GROUP + 1, r, &e), &e)) ||
		    ends(r, store_checkpoint(s, g % 3 == 2, &e), &e) ||
		    ends(r, store_read(s, 0, 4, UINT64_MAX, &list, &count, &last, &e), &e))
			break;
		message_list_free(&list);
	}
	message_list_free(&list);
}

static void check_afterwards(const struct spooldir *d, const struct run *r, bool short_writes, const char *what,
                             uint64_t n)
{
	struct store_options o = spooldir_options(d);
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct store_report report;
	bool there[IDS] = {0};
	struct store *s = NULL;
	struct message *m;
	struct error e;
	uint32_t count;
	uint64_t last;

	if (store_open(&o, &s, &report, &e) != ERR_OK)
		fail_msg("%s at %llu: %s", what, (unsigned long long)n, e.text);
	/* Half a header over a log that is in the database already looks like damage, and mending it changes nothing.
	 */
	if (report.quarantined || report.missing_rows || (report.wal_mended && !short_writes))
		fail_msg("%s at %llu: %s", what, (unsigned long long)n, report.warning);
	if (store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, &e) != ERR_OK)
		fail_msg("%s at %llu: %s", what, (unsigned long long)n, e.text);
	STAILQ_FOREACH (m, &list, link) {
		uint64_t number = (uint64_t)(m->received_ms - 1700000000000);

		assert_in_range(number, 1, IDS - 1);
		assert_true(spooldir_is_message(m, number, bytes_of(number)));
		there[number] = true;
	}
	message_list_free(&list);
	for (uint64_t i = 1; i < IDS; i++)
		if (r->accepted[i] && !r->settling[i] && !there[i])
			fail_msg("%s at %llu: acknowledged message %llu is gone", what, (unsigned long long)n,
			         (unsigned long long)i);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(store_ledger(s)->pending, count);
	assert_int_equal(store_close(s, &e), ERR_OK);
}

/* One run with the n-th operation failing; false when no operation failed. */
static bool one_run(uint64_t n, enum fault fault, bool persistent, const char *what)
{
	struct spooldir d;
	struct store_options o;
	struct run r = {0};
	struct store_report report;
	struct store *s = NULL;
	struct error e;
	uint64_t failed;
	enum err err;

	spooldir_make(&d);
	o = spooldir_options(&d);
	o.vfs = CRASHVFS_NAME;
	o.page_size = 4096;
	crashvfs_fail(n, fault, persistent);
	err = store_open(&o, &s, &report, &e);
	if (err == ERR_OK) {
		errorwatch_hear(report.warning);
		do_run(s, &r);
		if (r.condemned != ERR_OK) {
			store_abandon(s);
			err = r.condemned;
			e = r.why;
		} else {
			err = store_close(s, &e);
			assert_true(err == ERR_OK || crashvfs_failed() > 0);
		}
	}
	failed = crashvfs_failed();
	ERRORWATCH_EXPECT(err, &e, NULL, what, n);
	crashvfs_fail(0, FAULT_EIO, false);
	check_afterwards(&d, &r, fault == FAULT_SHORT, what, n);
	spooldir_remove(&d);
	if (failed == 0)
		for (uint64_t i = 1; i < IDS; i++)
			assert_true(r.accepted[i]);
	return failed > 0;
}

static void fail_everywhere(enum fault fault, bool persistent, const char *what)
{
	uint64_t n, tried = 0;

	faultpoints_forget();
	faultpoints_note();
	assert_false(one_run(FAULTPOINTS_NONE, fault, persistent, what));
	faultpoints_end();
	for (n = faultpoints_next(0); one_run(n, fault, persistent, what); n = faultpoints_next(n))
		tried++;
	print_message("%s: %llu of %llu points\n", what, (unsigned long long)tried, (unsigned long long)n - 1);
	assert_true(tried > 10);
}

static void io_error_once(void **state)
{
	(void)state;
	fail_everywhere(FAULT_EIO, false, "EIO once");
}

static void io_error_for_good(void **state)
{
	(void)state;
	fail_everywhere(FAULT_EIO, true, "EIO for good");
}

static void full_disk_once(void **state)
{
	(void)state;
	fail_everywhere(FAULT_ENOSPC, false, "ENOSPC once");
}

static void full_disk_for_good(void **state)
{
	(void)state;
	fail_everywhere(FAULT_ENOSPC, true, "ENOSPC for good");
}

static void short_write_once(void **state)
{
	(void)state;
	fail_everywhere(FAULT_SHORT, false, "short write once");
}

static void short_write_for_good(void **state)
{
	(void)state;
	fail_everywhere(FAULT_SHORT, true, "short writes for good");
}

/* A failed sync is never tried again, and leaves the marker. */
static void a_failed_sync_condemns_and_leaves_the_marker(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store_report report;
	struct run r = {0};
	struct store *s = NULL;
	struct error e;
	uint64_t n = 0;
	enum err err = ERR_OK;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.vfs = CRASHVFS_NAME;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	while (err == ERR_OK && ++n < 10) { /* the n-th call of a commit is its sync: the last one */
		crashvfs_fail(n, FAULT_EIO, false);
		err = append_group(s, n % GROUPS * PER_GROUP + 1, &r, &e);
	}
	assert_int_equal(err, ERR_DISK);
	assert_non_null(strstr(e.text, "Input/output error"));
	store_abandon(s);
	crashvfs_fail(0, FAULT_EIO, false);
	o.vfs = NULL;
	assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
	assert_true(report.marker);
	assert_int_equal(store_close(s, &e), ERR_OK);
	assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
	assert_false(report.marker);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* What recovery found stands in the database before the marker goes; a full disk puts both off. */
static void a_full_disk_keeps_the_marker(void **state)
{
	struct store_report report;
	struct spooldir d;
	struct store *s;

	(void)state;
	life_make(&d, 0, 20, 200);
	spooldir_store(spooldir_file(&d, ".unsafe"), "fsync", 5);
	faultfs_disk(d.dir, 0);
	s = life_open(&d, &report);
	faultfs_disk(NULL, 0);
	assert_true(report.marker);
	store_abandon(s);
	assert_int_equal(access(spooldir_file(&d, ".unsafe"), F_OK), 0);
	life_close(life_open(&d, &report));
	assert_true(report.marker);
	assert_int_equal(access(spooldir_file(&d, ".unsafe"), F_OK), -1);
	spooldir_remove(&d);
}

/*
 * Failures with long reasons outgrow SQLite's cache, so that a write fails in the middle of the settlements. Nothing of
 * the group may have happened: what came after the failure least of all.
 */
static void a_failed_note_of_a_failure_undoes_the_group(void **state)
{
	enum { ROWS = 8000, REASON_BYTES = 2000 };
	struct store_settlements *group = store_settlements_new(ROWS);
	struct spooldir d;
	struct store_options o;
	struct store *s = NULL;
	struct error e;
	struct store_report counted;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.vfs = CRASHVFS_NAME;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = 1; id <= ROWS; id++) {
		struct message *m = spooldir_message(id, 10);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
		group->items[group->count++] =
		    (struct store_settlement){.id = id, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = 1, .code = "x"};
		group->items[id - 1].reason = malloc(REASON_BYTES);
		memset(group->items[id - 1].reason, 'r', REASON_BYTES - 1);
		group->items[id - 1].reason[REASON_BYTES - 1] = '\0';
	}
	group->items[ROWS - 1].kind = SETTLE_DELIVERED;
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	crashvfs_fail(1, FAULT_ENOSPC, false);
	assert_int_equal(store_settle(s, group->items, group->count, &e), ERR_FULL);
	assert_int_equal(crashvfs_failed(), 1);
	crashvfs_fail(0, FAULT_EIO, false);
	assert_false(store_in_group(s));
	assert_int_equal(store_ledger(s)->pending, ROWS);
	assert_int_equal(store_recount(s, &counted, &e), ERR_OK);
	assert_int_equal(counted.missing_rows, 0);
	assert_int_equal(store_close(s, &e), ERR_OK);
	store_settlements_free(group);
	spooldir_remove(&d);
}

static bool count_visit(void *arg, const struct store_dead *dead)
{
	(void)dead;
	++*(uint32_t *)arg;
	return true;
}

/* A page that cannot be read is an error, not the end of the list. */
static void a_shelf_that_cannot_be_read_is_not_a_short_one(void **state)
{
	enum { ROWS = 3000 }; /* more than SQLite's cache, which the look at a start has filled */
	struct spooldir d;
	struct store_options o;
	struct store *s = NULL;
	struct error e;
	uint32_t seen = 0;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.vfs = CRASHVFS_NAME;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 1; n <= ROWS; n++) {
		struct message *m = spooldir_message(n, 5000);

		assert_int_equal(store_append_dead(s, m, "x", &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_close(s, &e), ERR_OK);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	crashvfs_fail(5, FAULT_EIO, false);
	assert_int_equal(store_dead_walk(s, 0, ROWS, count_visit, &seen, &e), ERR_DISK);
	assert_in_range(seen, 1, ROWS - 1);
	crashvfs_fail(0, FAULT_EIO, false);
	store_abandon(s);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(io_error_once),
	    cmocka_unit_test(io_error_for_good),
	    cmocka_unit_test(full_disk_once),
	    cmocka_unit_test(full_disk_for_good),
	    cmocka_unit_test(short_write_once),
	    cmocka_unit_test(short_write_for_good),
	    cmocka_unit_test(a_failed_sync_condemns_and_leaves_the_marker),
	    cmocka_unit_test(a_full_disk_keeps_the_marker),
	    cmocka_unit_test(a_shelf_that_cannot_be_read_is_not_a_short_one),
	    cmocka_unit_test(a_failed_note_of_a_failure_undoes_the_group),
	};

	crashvfs_register();
	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
