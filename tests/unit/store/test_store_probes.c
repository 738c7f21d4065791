/*
 * A disk that refused a write is believed again when it takes one: who tries, how often, and what ends it. The file
 * system has room all the time by its numbers (a quota, say): only a write tells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

/* Calls of SQLite of one try: prepare and step of a look at free pages, begin, the ledger's row, commit. */
enum { AT_BEGIN = 3, AT_ROW, AT_COMMIT };

static int64_t now_ms;

static void pass(int64_t ms)
{
	now_ms += ms;
	clock_test_set(now_ms * NS_PER_MS, (now_ms + 1700000000000) * NS_PER_MS);
}

static enum err append(struct store *s, struct error *e)
{
	struct message *m = spooldir_message(1, 100);
	enum err err = store_begin(s, e);

	if (err == ERR_OK)
		err = store_append(s, m, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err != ERR_OK)
		store_rollback(s);
	message_free(m);
	return err;
}

/* True when the disk was asked; it refuses. */
static bool asks(struct store *s)
{
	struct error e = {.code = ERR_OK};
	bool asked;

	faultsql_arm(AT_ROW, SQLITE_FULL, false);
	assert_int_equal(store_probe_disk(s, &e), ERR_OK); /* a refusal is no error of who tries */
	asked = faultsql_failed();
	faultsql_arm(0, 0, false);
	assert_true(s->disk_refused && !store_in_group(s));
	assert_int_equal(store_admission(s, &e), ERR_FULL);
	return asked;
}

/* With its commit: the message had its id, which is not given out again. */
static void is_refused(struct store *s)
{
	struct message *m = spooldir_message(1, 100);
	const uint64_t next_id = s->now.next_id;
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_append(s, m, &e), ERR_OK);
	message_free(m);
	faultsql_arm(1, SQLITE_FULL, false);
	assert_int_equal(store_commit(s, &e), ERR_FULL);
	assert_true(faultsql_failed());
	faultsql_arm(0, 0, false);
	assert_true(store_disk_refuses(s));
	assert_int_equal(s->now.next_id, next_id + 1);
}

static struct store *open_one(struct spooldir *d)
{
	now_ms = 0;
	pass(1000);
	return life_begin(d);
}

static void close_one(struct spooldir *d, struct store *s)
{
	life_end(d, s);
	clock_test_end();
}

static void each_refusal_makes_the_next_try_later(void **state)
{
	static const int64_t waits[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
	struct spooldir d;
	struct store *s = open_one(&d);
	struct error e;

	(void)state;
	pass(100000);
	assert_int_equal(store_probe_disk(s, &e), ERR_OK); /* nothing is wrong: nothing is written */
	assert_int_equal(s->durable.commits, s->row.commits);
	is_refused(s);
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		pass(waits[i] - 1);
		assert_false(asks(s));
		pass(1);
		assert_true(asks(s));
	}
	pass(29999);
	assert_false(asks(s));
	pass(1);
	{
		const uint64_t commits = s->durable.commits;

		assert_int_equal(store_probe_disk(s, &e), ERR_OK);
		assert_int_equal(s->durable.commits, commits + 1); /* it took a write: the ledger's row */
	}
	assert_false(store_disk_refuses(s));
	assert_int_equal(store_admission(s, &e), ERR_OK);
	close_one(&d, s);
}

/* What the disk took for a try alone is no proof that it takes messages: only a message begins the waits anew. */
static void only_a_message_begins_the_waits_anew(void **state)
{
	struct spooldir d;
	struct store *s = open_one(&d);
	struct error e;

	(void)state;
	is_refused(s);
	for (int64_t wait = 500; wait < 8000; wait *= 2) {
		pass(wait);
		assert_int_equal(store_probe_disk(s, &e), ERR_OK);
		assert_false(store_disk_refuses(s));
		is_refused(s);
	}
	pass(7999);
	assert_false(asks(s));
	pass(1);
	assert_int_equal(store_probe_disk(s, &e), ERR_OK);
	assert_int_equal(append(s, &e), ERR_OK);
	is_refused(s);
	pass(499);
	assert_false(asks(s));
	pass(1);
	assert_true(asks(s));
	pass(1000);
	assert_int_equal(append(s, &e), ERR_OK); /* who comes may try as well */
	assert_false(store_disk_refuses(s));
	close_one(&d, s);
}

/* What leaves frees room and takes little: it is no message, though its commit notes the ids that were given out. */
static void what_leaves_is_no_proof(void **state)
{
	struct spooldir d;
	struct store *s = open_one(&d);
	struct error e;

	(void)state;
	life_append(s, 0, 2);
	is_refused(s);
	life_settle(s, 1, 1);
	assert_int_equal(store_next_id(s), 4);
	assert_true(store_disk_refuses(s));
	assert_int_equal(store_admission(s, &e), ERR_FULL);
	life_settle(s, 2, 2);
	assert_true(store_disk_refuses(s));
	pass(499);
	assert_false(asks(s));
	pass(1);
	assert_true(asks(s));
	pass(1000);
	assert_int_equal(store_probe_disk(s, &e), ERR_OK);
	assert_false(store_disk_refuses(s));
	close_one(&d, s);
}

/* Where by its numbers there is no room, it is not asked. */
static void a_disk_without_room_is_not_asked(void **state)
{
	struct spooldir d;
	struct store *s = open_one(&d);
	struct store_options o = spooldir_options(&d);

	(void)state;
	is_refused(s);
	o.min_free_bytes = UINT64_C(1) << 60;
	store_reconfigure(s, &o);
	pass(100000);
	assert_false(asks(s));
	o.min_free_bytes = 0;
	store_reconfigure(s, &o);
	assert_true(asks(s));
	close_one(&d, s);
}

/* Other errors say nothing of the disk's room. */
static void what_is_no_refusal_is_told(void **state)
{
	static const struct {
		int code;
		enum err err;
	} faults[] = {{SQLITE_NOMEM, ERR_MEMORY}, {SQLITE_IOERR_WRITE, ERR_DISK}};

	(void)state;
	for (uint64_t at = AT_BEGIN; at <= AT_COMMIT; at++)
		for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
			struct error e = {.code = ERR_OK};
			struct spooldir d;
			struct store *s = open_one(&d);

			is_refused(s);
			pass(500);
			faultsql_arm(at, faults[i].code, false);
			assert_int_equal(store_probe_disk(s, &e), faults[i].err);
			assert_int_equal(e.code, faults[i].err);
			faultsql_arm(0, 0, false);
			assert_true(store_disk_refuses(s) && !store_in_group(s));
			assert_int_equal(store_trust(s, &e), faults[i].err == ERR_DISK ? ERR_DISK : ERR_OK);
			store_abandon(s);
			spooldir_remove(&d);
			clock_test_end();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_refusal_makes_the_next_try_later),
	    cmocka_unit_test(only_a_message_begins_the_waits_anew),
	    cmocka_unit_test(what_leaves_is_no_proof),
	    cmocka_unit_test(a_disk_without_room_is_not_asked),
	    cmocka_unit_test(what_is_no_refusal_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
