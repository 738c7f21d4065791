/*
 * The n-th allocation of SQLite gets nothing, n = 1, 2, ... until a run meets none that fails; once and for good. What
 * it says then is never taken for damage or for another's spool: nothing is set aside, what was accepted is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rig/sanitizer.h"
#include "rig/spooldir.h"
#include "store/store_internal.h"

enum { ROWS = 60, NEW = 20, BODY_BYTES = 900, POINTS_MAX = 100000, STEP = IS_SANITIZED ? 61 : 23 };

static sqlite3_mem_methods real;
static uint64_t at, calls, failed;
static bool for_good;

static bool fails(void)
{
	if (at == 0 || ++calls < at || (calls > at && !for_good))
		return false;
	failed++;
	return true;
}

static void *take(int bytes) { return fails() ? NULL : real.xMalloc(bytes); }

static void *grow(void *p, int bytes) { return fails() ? NULL : real.xRealloc(p, bytes); }

static void arm(uint64_t n, bool persistent)
{
	at = n;
	calls = failed = 0;
	for_good = persistent;
}

static enum err append(struct store *s, uint64_t first, uint32_t count, struct error *e)
{
	enum err err = store_begin(s, e);

	for (uint64_t n = first; n < first + count && err == ERR_OK; n++) {
		struct message *m = spooldir_message(n, BODY_BYTES);

		err = store_append(s, m, e);
		message_free(m);
	}
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err != ERR_OK)
		store_rollback(s);
	return err;
}

static enum err read_all(struct store *s, uint32_t *ret, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint64_t last;
	enum err err = store_read(s, 0, 1000, UINT64_MAX, &list, ret, &last, e);

	message_list_free(&list);
	return err;
}

static enum err settle_first(struct store *s, struct error *e)
{
	const struct store_settlement item = {.id = 1, .kind = SETTLE_DELIVERED};
	size_t done;

	return store_settle_full(s, &item, 1, &done, e);
}

/* Packed blocks, the last of them only in the log. */
static void make_spool(struct spooldir *d)
{
	struct store_options o;
	struct store *s = NULL;
	struct error e;

	spooldir_make(d);
	o = spooldir_options(d);
	o.compress = STORE_COMPRESS_ALWAYS;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(append(s, 1, ROWS / 2, &e), ERR_OK);
	assert_int_equal(store_checkpoint(s, true, &e), ERR_OK);
	assert_int_equal(append(s, ROWS / 2 + 1, ROWS / 2, &e), ERR_OK);
	store_abandon(s);
}

struct outcome {
	bool accepted, settled;
};

static void must_be_told(enum err err, const struct error *e, const char *what, uint64_t n)
{
	if (err != ERR_OK && err != ERR_MEMORY)
		fail_msg("%s, allocation %u%s: error %d: %s", what, (unsigned)n, for_good ? " and all after it" : "",
		         (int)err, e->text);
}

static struct outcome run(const struct spooldir *d, uint64_t n, bool persistent)
{
	struct store_options o = spooldir_options(d);
	struct outcome outcome = {0};
	struct store_report report;
	struct store *s = NULL;
	struct error e = {0};
	uint32_t count;
	enum err err;

	arm(n, persistent);
	err = store_open(&o, &s, &report, &e);
	must_be_told(err, &e, "open", n);
	assert_false(report.quarantined);
	if (err == ERR_OK) {
		err = append(s, ROWS + 1, NEW, &e);
		must_be_told(err, &e, "append", n);
		outcome.accepted = err == ERR_OK;
		err = read_all(s, &count, &e);
		must_be_told(err, &e, "read", n);
		if (err == ERR_OK)
			assert_int_equal(count, ROWS + (outcome.accepted ? NEW : 0));
		err = settle_first(s, &e);
		must_be_told(err, &e, "settle", n);
		outcome.settled = err == ERR_OK;
		must_be_told(store_close(s, &e), &e, "close", n);
	}
	at = 0;
	return outcome;
}

static void all_is_there(const struct spooldir *d, struct outcome outcome)
{
	struct store_options o = spooldir_options(d);
	struct store_report report;
	struct store *s = NULL;
	struct error e;
	uint32_t count;

	assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
	assert_false(report.quarantined);
	assert_int_equal(read_all(s, &count, &e), ERR_OK);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(count, ROWS + (outcome.accepted ? NEW : 0) - (outcome.settled ? 1 : 0));
	assert_int_equal(store_close(s, &e), ERR_OK);
}

static void no_memory_is_not_damage(bool persistent)
{
	struct spooldir from;
	uint64_t n = 1;
	bool more = true;

	make_spool(&from);
	for (; more; n += STEP) {
		struct spooldir d;

		spooldir_make(&d);
		spooldir_copy(&from, &d);
		all_is_there(&d, run(&d, n, persistent));
		more = failed > 0;
		spooldir_remove(&d);
		assert_true(n < POINTS_MAX);
	}
	print_message("%u allocations\n", (unsigned)n);
	assert_true(n > 500);
	spooldir_remove(&from);
}

static void once(void **state)
{
	(void)state;
	no_memory_is_not_damage(false);
}

static void for_all_after(void **state)
{
	(void)state;
	no_memory_is_not_damage(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(once),
	    cmocka_unit_test(for_all_after),
	};
	sqlite3_mem_methods ours;

	(void)sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
	ours = real;
	ours.xMalloc = take;
	ours.xRealloc = grow;
	(void)sqlite3_config(SQLITE_CONFIG_MALLOC, &ours);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
