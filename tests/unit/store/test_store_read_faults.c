/*
 * Each question to the store, with a cold cache, while its n-th read fails, n = 1, 2, ... until none does: the answer
 * is an error, never a shorter list, a missing key or a count of nothing; and the spool is as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/store_internal.h"

enum { ROWS = 60, SHELF = 20, FAILED = 5, PENDING = ROWS + FAILED, BODY_BYTES = 3000, POINTS_MAX = 1000 };

static enum err read_rows(struct store *s, uint64_t *ret, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count = 0;
	uint64_t last = 0;
	enum err err = store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, e);

	message_list_free(&list);
	*ret = count;
	return err;
}

static bool nothing_is_claimed(void *arg, uint64_t id)
{
	(void)arg;
	(void)id;
	return false;
}

static enum err read_due(struct store *s, uint64_t *ret, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count = 0;
	enum err err = store_read_due(s, INT64_MAX, 1000, UINT64_MAX, nothing_is_claimed, NULL, &list, &count, e);

	message_list_free(&list);
	*ret = count;
	return err;
}

static bool count_visit(void *arg, const struct store_dead *dead)
{
	(void)dead;
	++*(uint64_t *)arg;
	return true;
}

static enum err walk_shelf(struct store *s, uint64_t *ret, struct error *e)
{
	*ret = 0;
	return store_dead_walk(s, 0, 1000, count_visit, ret, e);
}

static enum err look_at_one(struct store *s, uint64_t *ret, struct error *e)
{
	*ret = 0;
	return store_dead_get(s, PENDING + SHELF / 2, count_visit, ret, e);
}

static enum err retry_shelf(struct store *s, uint64_t *ret, struct error *e)
{
	return store_dead_retry(s, 0, ret, &(uint64_t){0}, e);
}

static enum err purge_shelf(struct store *s, uint64_t *ret, struct error *e) { return store_dead_purge(s, 0, ret, e); }

static enum err get_position(struct store *s, uint64_t *ret, struct error *e)
{
	char *value = NULL;
	enum err err = store_position_get(s, "key", &value, &(bool){false}, e);

	*ret = value && strcmp(value, "there") == 0;
	free(value);
	return err;
}

static enum err has_key(struct store *s, uint64_t *ret, struct error *e)
{
	bool has = false;
	enum err err = store_cache_has(s, "cache", "k", 1, &has, e);

	*ret = has;
	return err;
}

static enum err recount(struct store *s, uint64_t *ret, struct error *e)
{
	struct store_report report;
	enum err err = store_recount(s, &report, e);

	*ret = report.missing_rows;
	return err;
}

/* What each answers when nothing fails. */
static const struct question {
	const char *name;
	enum err (*ask)(struct store *s, uint64_t *ret, struct error *e);
	uint64_t answer;
} questions[] = {
    {"the rows that wait", read_rows, ROWS},
    {"the rows that failed", read_due, FAILED},
    {"the shelf", walk_shelf, SHELF},
    {"one of the shelf", look_at_one, 1},
    {"retry the shelf", retry_shelf, SHELF},
    {"purge the shelf", purge_shelf, SHELF},
    {"a position", get_position, 1},
    {"a key", has_key, 1},
    {"a recount", recount, 0},
};

static void make_spool(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;
	bool is_new;

	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 1; n <= PENDING + SHELF; n++) {
		struct message *m = spooldir_message(n, BODY_BYTES);

		assert_int_equal(n > PENDING ? store_append_dead(s, m, "x", &e) : store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_position_put(s, "key", "there", &e), ERR_OK);
	assert_int_equal(store_cache_add(s, "cache", "k", 1, INT64_MAX, &is_new, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = 1; id <= FAILED; id++) {
		const struct store_settlement again = {
		    .id = id * 10, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = 1, .code = "x"};

		assert_int_equal(store_settle(s, &again, 1, &e), ERR_OK);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_close(s, &e), ERR_OK);
}

/* One question to a copy of the spool, n: the read that fails (0: none). False when no read failed. */
static bool ask(const struct spooldir *from, const struct question *q, uint64_t n)
{
	struct spooldir d;
	struct store_options o;
	struct store *s = NULL;
	struct error e = {.code = ERR_OK};
	struct store_ledger before;
	uint64_t answer = 0, failed;
	enum err err;

	spooldir_make(&d);
	spooldir_copy(from, &d);
	o = spooldir_options(&d);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	before = *store_ledger(s);
	(void)sqlite3_db_release_memory(s->db);
	faultfs_arm(FAULTFS_READ, n, EIO, false);
	err = q->ask(s, &answer, &e);
	ERRORWATCH_EXPECT(err, &e, NULL, q->name, n);
	failed = faultfs_failed();
	faultfs_arm(0, 0, 0, false);
	if (failed == 0 && (err != ERR_OK || answer != q->answer))
		fail_msg("%s: error %d, answer %u", q->name, (int)err, (unsigned)answer);
	if (failed > 0 && err != ERR_DISK)
		fail_msg("%s: read %u failed; error %d, answer %u", q->name, (unsigned)n, (int)err, (unsigned)answer);
	if (failed > 0 && e.text[0] == '\0')
		fail_msg("%s: read %u failed and nothing says why", q->name, (unsigned)n);
	if (failed > 0)
		assert_memory_equal(&before, store_ledger(s), sizeof before);
	store_abandon(s);
	s = NULL;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	if (failed > 0)
		assert_memory_equal(&before, store_ledger(s), sizeof before);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
	return failed > 0;
}

static void a_read_that_fails_is_no_answer(void **state)
{
	struct spooldir from;

	(void)state;
	spooldir_make(&from);
	make_spool(&from);
	for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
		uint64_t n = 1;

		assert_false(ask(&from, &questions[i], 0));
		while (ask(&from, &questions[i], n))
			assert_true(++n < POINTS_MAX);
		if (n == 1)
			fail_msg("%s: it read nothing, so nothing was tried", questions[i].name);
	}
	spooldir_remove(&from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_read_that_fails_is_no_answer)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
