/*
 * Each verb of the store while a call of SQLite fails, one after the other until none does: the answer is that error,
 * never success, and the spool is as it was. Then the verb succeeds, and at the end every count is what it must be.
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

#include "rig/faultsql.h"
#include "rig/lives.h"
#include "rig/faultfs.h"
#include "rig/verbs.h"
#include "store/store_internal.h"

enum { PER_BLOCK = 10, BYTES = 100, BIG_BYTES = 1200000 };

/* What the verbs made so far; only a verb that succeeded adds to it. */
static struct {
	struct spooldir dir;
	uint64_t block[4]; /* the first ids of blocks */
	int blocks;
	uint64_t big, dead, copy;
} now;

static const struct store_settlement *run_of(uint64_t first, size_t count, enum settle_kind kind)
{
	static struct store_settlement items[PER_BLOCK];

	for (size_t i = 0; i < count; i++)
		items[i] = (struct store_settlement){
		    .id = first + i, .kind = kind, .attempts = 1, .code = "Throttled", .reason = NULL};
	return items;
}

static enum err settle(struct store *s, uint64_t first, size_t count, enum settle_kind kind, struct error *e)
{
	enum err err = store_begin(s, e);

	if (err == ERR_OK)
		err = store_settle(s, run_of(first, count, kind), count, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

static enum err append(struct store *s, uint64_t count, uint32_t bytes, uint64_t *ret_first, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	enum err err = store_begin(s, e);

	for (uint64_t n = 0; n < count; n++) {
		struct message *m = spooldir_message(n, bytes);

		STAILQ_INSERT_TAIL(&list, m, link);
	}
	if (err == ERR_OK)
		err = store_admit(s, &list, 0, e);
	if (err == ERR_OK)
		err = store_append_list(s, &list, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	*ret_first = STAILQ_FIRST(&list)->id;
	message_list_free(&list);
	return err;
}

static enum err append_block(struct store *s, uint64_t *ret, struct error *e)
{
	enum err err = append(s, PER_BLOCK, BYTES, &now.block[now.blocks], e);

	now.blocks += err == ERR_OK;
	*ret = PER_BLOCK;
	return err;
}

static enum err append_big(struct store *s, uint64_t *ret, struct error *e)
{
	*ret = 0;
	return append(s, 1, BIG_BYTES, &now.big, e);
}

static enum err append_dead(struct store *s, uint64_t *ret, struct error *e)
{
	enum err err = store_begin(s, e);

	for (uint64_t n = 1; n <= 4 && err == ERR_OK; n++) {
		struct message *m = spooldir_message(n, BYTES);

		err = store_append_dead(s, m, "too_long", e);
		now.dead = n == 1 ? m->id : now.dead;
		message_free(m);
	}
	*ret = 0;
	if (err != ERR_OK)
		return err;
	store_count_filtered(s, 2);
	return store_commit(s, e);
}

static enum err put_keys(struct store *s, uint64_t *ret, struct error *e)
{
	bool is_new = false;
	enum err err = store_begin(s, e);

	if (err == ERR_OK)
		err = store_position_put(s, "file", "12", e);
	if (err == ERR_OK)
		err = store_cache_add(s, "cache", "k", 1, 1000000, &is_new, e);
	*ret = is_new;
	return err == ERR_OK ? store_commit(s, e) : err;
}

static enum err get_keys(struct store *s, uint64_t *ret, struct error *e)
{
	char *value = NULL;
	bool has = false;
	enum err err = store_position_get(s, "file", &value, &(bool){false}, e);

	*ret = value && strcmp(value, "12") == 0;
	free(value);
	if (err == ERR_OK)
		err = store_cache_has(s, "cache", "k", 1, &has, e);
	*ret += has;
	return err;
}

/* A group of its own, outside of any. */
static enum err add_key(struct store *s, uint64_t *ret, struct error *e)
{
	bool is_new = false;
	enum err err = store_cache_add(s, "cache", "other", 5, INT64_MAX, &is_new, e);

	*ret = is_new;
	return err;
}

/* It stands there, and is not what was written: as if it were not there. */
static enum err add_damaged_key(struct store *s, uint64_t *ret, struct error *e)
{
	faultsql_pause(true);
	life_sql(s, "UPDATE cache SET checksum = 7 WHERE key = x'6f74686572'");
	faultsql_pause(false);
	return add_key(s, ret, e);
}

static enum err move_position(struct store *s, uint64_t *ret, struct error *e)
{
	enum err err = store_begin(s, e);

	*ret = 0;
	if (err == ERR_OK)
		err = store_position_put(s, "file", "345", e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

static enum err ask_for_one(struct store *s, uint64_t *ret, struct error *e)
{
	bool waits = false;
	enum err err = store_is_pending(s, now.big, &waits, e);

	*ret = waits;
	return err;
}

static enum err put_possible(struct store *s, uint64_t *ret, struct error *e)
{
	*ret = 5;
	return store_put_possible(s, 5, e);
}

#define SETTLE(name, first, count, kind)                                      \
	static enum err name(struct store *s, uint64_t *ret, struct error *e) \
	{                                                                     \
		*ret = 0;                                                     \
		return settle(s, first, count, kind, e);                      \
	}
SETTLE(deliver_block, now.block[0], PER_BLOCK, SETTLE_DELIVERED)
SETTLE(expire_part, now.block[1] + 2, 3, SETTLE_EXPIRED)
SETTLE(fail_one, now.block[1] + 5, 1, SETTLE_RETRY)
SETTLE(fail_big, now.big, 1, SETTLE_RETRY)
SETTLE(bury_alone, now.block[1] + 6, 1, SETTLE_DEAD)
SETTLE(bury_in_block, now.block[1] + 7, 1, SETTLE_DEAD)
SETTLE(deliver_rest, now.block[1] + 8, 2, SETTLE_DELIVERED)
SETTLE(deliver_failed, now.block[1] + 5, 1, SETTLE_DELIVERED)
SETTLE(deliver_big, now.big, 1, SETTLE_DELIVERED)
SETTLE(damage_one, now.block[1], 1, SETTLE_DAMAGED)

/* Waits for long: it moves out of its block. */
static enum err fail_for_long(struct store *s, uint64_t *ret, struct error *e)
{
	const struct store_settlement items[] = {
	    {.id = now.block[1] + 6, .kind = SETTLE_RETRY, .attempts = 7, .wait_ms = 60000, .code = "x"},
	};
	enum err err = store_begin(s, e);

	*ret = 0;
	if (err == ERR_OK)
		err = store_settle(s, items, 1, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

static enum err read_due(struct store *s, uint64_t *ret, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count = 0;
	enum err err = store_read_due(s, INT64_MAX, 1000, UINT64_MAX, NULL, NULL, &list, &count, e);

	message_list_free(&list);
	*ret = count;
	return err;
}

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

static enum err recount(struct store *s, uint64_t *ret, struct error *e)
{
	struct store_report counted;
	uint64_t missing = 0;
	enum err err = store_count_missing(s, &missing, e);

	if (err == ERR_OK)
		err = store_recount(s, &counted, e);
	*ret = missing + (err == ERR_OK ? counted.missing_rows : 0);
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
	return store_dead_walk(s, 0, 100, count_visit, ret, e);
}

static enum err look_at_one(struct store *s, uint64_t *ret, struct error *e)
{
	*ret = 0;
	return store_dead_get(s, now.dead, count_visit, ret, e);
}

static enum err retry_one(struct store *s, uint64_t *ret, struct error *e)
{
	return store_dead_retry(s, now.dead, ret, &(uint64_t){0}, e);
}

static enum err purge_one(struct store *s, uint64_t *ret, struct error *e)
{
	return store_dead_purge(s, now.dead + 1, ret, e);
}

static enum err retry_rest(struct store *s, uint64_t *ret, struct error *e)
{
	return store_dead_retry(s, 0, ret, &(uint64_t){0}, e);
}

static enum err purge_rest(struct store *s, uint64_t *ret, struct error *e) { return store_dead_purge(s, 0, ret, e); }

static enum err checkpoint(struct store *s, uint64_t *ret, struct error *e)
{
	*ret = 0;
	return store_checkpoint(s, true, e);
}

static enum err give_back(struct store *s, uint64_t *ret, struct error *e)
{
	bool more = true;
	enum err err = ERR_OK;

	while (more && err == ERR_OK)
		err = store_give_back(s, &more, e);
	*ret = more;
	return err;
}

static enum err shrink(struct store *s, uint64_t *ret, struct error *e)
{
	bool more = true;
	enum err err = ERR_OK;

	while (more && err == ERR_OK)
		err = store_shrink(s, &more, e);
	*ret = more;
	return err;
}

static enum err ask_next_retry(struct store *s, uint64_t *ret, struct error *e)
{
	int64_t next_ms = 0;
	enum err err = store_next_retry_ms(s, &next_ms, e);

	*ret = next_ms != 0;
	return err;
}

static enum err drain(struct store *s, uint64_t *ret, struct error *e)
{
	size_t done = 0;
	enum err err = store_settle_full(s, run_of(now.block[2], PER_BLOCK, SETTLE_DELIVERED), PER_BLOCK, &done, e);

	*ret = done;
	return err;
}

/* The first commit finds no room, and so the reserve is asked for. */
static enum err drain_full(struct store *s, uint64_t *ret, struct error *e)
{
	size_t done = 0;
	enum err err;

	faultfs_arm(FAULTFS_WRITE, 1, ENOSPC, false);
	err = store_settle_full(s, run_of(now.block[3], PER_BLOCK, SETTLE_DELIVERED), PER_BLOCK, &done, e);
	faultfs_arm(0, 0, 0, false);
	*ret = done;
	return err;
}

static const char *copy_path(void) { return spooldir_file(&now.dir, ".copy"); }

static enum err export_it(struct store *s, uint64_t *ret, struct error *e)
{
	*ret = 0;
	(void)unlink(copy_path());
	return store_export(s, copy_path(), e);
}

static enum err import_it(struct store *s, uint64_t *ret, struct error *e)
{
	return store_import(s, copy_path(), true, ret, e);
}

/* Room for no more than there is: the oldest go. */
static enum err evict(struct store *s, uint64_t *ret, struct error *e)
{
	const struct store_options tight = {.evict_oldest = true, .max_bytes = store_pending_bytes(s) + 1};
	const uint64_t before = store_ledger(s)->evicted;
	uint64_t first;
	enum err err;

	store_reconfigure(s, &tight);
	err = append(s, 2, BYTES, &first, e);
	store_reconfigure(s, &(struct store_options){.evict_oldest = false});
	*ret = store_ledger(s)->evicted - before;
	return err;
}

static const struct verb verbs[] = {
    {"append a block", append_block, PER_BLOCK},
    {"append another", append_block, PER_BLOCK},
    {"append a third", append_block, PER_BLOCK},
    {"append one that stands alone", append_big, 0},
    {"append to the shelf", append_dead, 0},
    {"put keys", put_keys, 1},
    {"get keys", get_keys, 2},
    {"add a key", add_key, 1},
    {"add one that is damaged", add_damaged_key, 1},
    {"move a position", move_position, 0},
    {"note possible duplicates", put_possible, 5},
    {"deliver a block", deliver_block, 0},
    {"expire a part", expire_part, 0},
    {"fail one", fail_one, 0},
    {"fail one for long", fail_for_long, 0},
    {"fail it again", fail_for_long, 0},
    {"fail one that stands alone", fail_big, 0},
    {"ask when one is due", ask_next_retry, 1},
    {"ask for one that failed", ask_for_one, 1},
    {"read what is due", read_due, 3},
    {"read the rest", read_rows, 5 + PER_BLOCK},
    {"bury one that stands alone", bury_alone, 0},
    {"bury one in a block", bury_in_block, 0},
    {"deliver the rest", deliver_rest, 0},
    {"deliver one that failed", deliver_failed, 0},
    {"deliver the big one", deliver_big, 0},
    {"damage one", damage_one, 0},
    {"recount", recount, 0},
    {"walk the shelf", walk_shelf, 6},
    {"look at one of the shelf", look_at_one, 1},
    {"put one back", retry_one, 1},
    {"purge one", purge_one, 1},
    {"export", export_it, 0},
    {"import", import_it, 1 + PER_BLOCK + 1 + 4},
    {"checkpoint", checkpoint, 0},
    {"drain", drain, PER_BLOCK},
    {"evict", evict, 2},
    {"purge the rest", purge_rest, 8},
    {"shrink", shrink, 0},
    {"give back", give_back, 0},
    {"append a fourth", append_block, PER_BLOCK},
    {"append to the shelf once more", append_dead, 0},
    {"put all of them back", retry_rest, 4},
    {"drain a full disk", drain_full, PER_BLOCK},
};

static void a_call_that_fails_is_told_and_leaves_nothing(void **state)
{
	struct store_options o;
	struct store *s = NULL;
	struct buf out;
	struct error e;
	uint64_t problems;

	(void)state;
	spooldir_make(&now.dir);
	o = spooldir_options(&now.dir);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		try_verb(s, &verbs[i], verbs[i].run == give_back);
	assert_int_equal(store_ledger(s)->delivered, PER_BLOCK + 2 + 1 + 1 + 2 * PER_BLOCK);
	assert_int_equal(store_ledger(s)->expired, 3);
	assert_int_equal(store_ledger(s)->filtered, 4);
	assert_int_equal(store_ledger(s)->damaged, 1);
	assert_int_equal(store_ledger(s)->purged, 1 + 8);
	assert_int_equal(store_ledger(s)->dead, 0);
	assert_int_equal(store_ledger(s)->evicted, 2);
	assert_int_equal(store_retrying(s), 0);
	assert_int_equal(store_close(s, &e), ERR_OK);
	buf_init(&out, 1 << 16);
	assert_int_equal(store_check(now.dir.path, &out, &problems, &e), ERR_OK);
	if (problems != 1 || !memmem(out.data, out.len, "1 messages are damaged", 22))
		fail_msg("%.*s", (int)out.len, (const char *)out.data);
	buf_fini(&out);
	spooldir_remove(&now.dir);
}

static enum err merge_some(struct store *s, uint64_t *ret, struct error *e)
{
	bool more = false;
	enum err err = store_merge(s, 0, &more, e);

	*ret = more;
	return err;
}

static void a_call_that_fails_while_it_joins_is_told_and_leaves_nothing(void **state)
{
	static const struct verb verb = {"join", merge_some, 1};
	struct store_options o;
	struct store *s = NULL;
	struct error e;
	uint64_t first, rows;

	(void)state;
	spooldir_make(&now.dir);
	o = spooldir_options(&now.dir);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	for (int i = 0; i < 90; i++)
		assert_int_equal(append(s, 1, BYTES, &first, &e), ERR_OK);
	assert_int_equal(append(s, 210, BYTES, &first, &e), ERR_OK); /* a large one ends what may be joined */
	try_verb(s, &verb, false);
	assert_int_equal(read_rows(s, &rows, &e), ERR_OK);
	assert_int_equal(rows, 300);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&now.dir);
}

/* Damage that is met: what is whole of a block stands alone then, what is not of the shelf is kept as it was found. */
static enum err clear_shelf(struct store *s, uint64_t *ret, struct error *e)
{
	const enum err err = store_dead_move_damaged(s, e);

	if (err != ERR_OK)
		store_rollback(s);
	*ret = store_ledger(s)->dead;
	return err;
}

static void a_call_that_fails_while_damage_is_met_is_told_and_leaves_nothing(void **state)
{
	static const struct verb apart = {"take a block apart", read_rows, PER_BLOCK};
	static const struct verb shelf = {"clear the shelf", clear_shelf, 2};
	struct store_options o;
	struct store *s = NULL;
	struct error e;
	uint64_t none;

	(void)state;
	spooldir_make(&now.dir);
	o = spooldir_options(&now.dir);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	now.blocks = 0;
	assert_int_equal(append_block(s, &none, &e), ERR_OK);
	assert_int_equal(append_dead(s, &none, &e), ERR_OK);
	life_sql(s, "UPDATE blocks SET checksum = 7; UPDATE dead SET body = zeroblob(9) WHERE id % 2 = 0");
	try_verb(s, &apart, false);
	assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), PER_BLOCK);
	assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), 0);
	try_verb(s, &shelf, false);
	assert_int_equal(life_number(s, "SELECT count(*) FROM damaged"), 2);
	assert_int_equal(store_ledger(s)->damaged, 2);
	store_abandon(s);
	spooldir_remove(&now.dir);
}

/* A block whose messages all stand alone now, and nothing says any more that they failed. */
static void rows_become_a_block_again_or_nothing_happened(void **state)
{
	static const struct verb verb = {"join rows", merge_some, 1};
	struct store_options o;
	struct store *s = NULL;
	struct error e;
	uint64_t none;

	(void)state;
	spooldir_make(&now.dir);
	o = spooldir_options(&now.dir);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	now.blocks = 1;
	assert_int_equal(append_block(s, &none, &e), ERR_OK);
	for (int again = 0; again < 2; again++)
		for (uint64_t i = 0; i < PER_BLOCK; i++) {
			const struct store_settlement item = {
			    .id = now.block[1] + i, .kind = SETTLE_RETRY, .attempts = 7, .wait_ms = 60000};

			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
			assert_int_equal(store_commit(s, &e), ERR_OK);
		}
	life_sql(s, "DELETE FROM failures");
	assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), PER_BLOCK);
	assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), 0);
	store_abandon(s);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	try_verb(s, &verb, false);
	assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 0);
	assert_int_equal(life_number(s, "SELECT count FROM blocks"), PER_BLOCK);
	assert_int_equal(store_merge_percent(s), 100);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&now.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_call_that_fails_is_told_and_leaves_nothing),
	    cmocka_unit_test(a_call_that_fails_while_it_joins_is_told_and_leaves_nothing),
	    cmocka_unit_test(a_call_that_fails_while_damage_is_met_is_told_and_leaves_nothing),
	    cmocka_unit_test(rows_become_a_block_again_or_nothing_happened),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
