/*
 * What was read cannot be taken away: a tree that leads elsewhere than the walk along its leaves did. Each answer of
 * SQLite, how many rows a statement changed, is one too few in turn: that is damage, told, and nothing has happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "rig/lives.h"
#include "store/store_internal.h"

enum { BLOCKS = 12, PER_BLOCK = 10, ALONE = BLOCKS * PER_BLOCK + 1, DEAD = 3 };

static unsigned lies_in; /* answers until the one that is one too few; 0: none is */
static bool has_lied;

/* In the place of SQLite's own. */
int sqlite3_changes(sqlite3 *db)
{
	const int changes = ((__typeof__(&sqlite3_changes))dlsym(RTLD_NEXT, "sqlite3_changes"))(db);

	if (lies_in == 0 || changes == 0 || --lies_in > 0)
		return changes;
	has_lied = true;
	return changes - 1;
}

static enum err settle(struct store *s, uint64_t first, uint64_t last, struct error *e)
{
	struct store_settlement *items = calloc(last - first + 1, sizeof *items);
	enum err err = store_begin(s, e);

	assert_non_null(items);
	for (uint64_t id = first; id <= last; id++)
		items[id - first] = (struct store_settlement){.id = id, .kind = SETTLE_DELIVERED};
	if (err == ERR_OK)
		err = store_settle(s, items, last - first + 1, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err != ERR_OK)
		store_rollback(s);
	free(items);
	return err;
}

static enum err blocks_leave(struct store *s, struct error *e) { return settle(s, 1, 3 * PER_BLOCK, e); }

static enum err a_row_leaves(struct store *s, struct error *e) { return settle(s, ALONE, ALONE, e); }

/* Of which the first four have left. */
static enum err the_rest_of_a_block_leaves(struct store *s, struct error *e)
{
	return settle(s, 4 * PER_BLOCK + 5, 5 * PER_BLOCK, e);
}

static enum err small_blocks_become_one(struct store *s, struct error *e)
{
	bool more = true;
	enum err err = ERR_OK;

	for (int i = 0; i < 40 && more && err == ERR_OK; i++)
		err = store_merge(s, 0, &more, e);
	return err;
}

static enum err the_shelf_comes_back(struct store *s, struct error *e)
{
	uint64_t count, damaged;

	return store_dead_retry(s, 0, &count, &damaged, e);
}

static const struct verb {
	const char *name;
	enum err (*run)(struct store *s, struct error *e);
	const char *word;
	unsigned answers; /* that are believed for sure */
} verbs[] = {
    {"blocks leave", blocks_leave, "messages 1 to 30 were read", 1},
    {"a row leaves", a_row_leaves, "1 of them are not where they must be", 1},
    {"the rest of a block leaves", the_rest_of_a_block_leaves, "block 41 was read, and is not there", 1},
    {"small blocks become one", small_blocks_become_one, "12 rows from 1 on were read", 1},
    {"the shelf comes back", the_shelf_comes_back, "was read from the shelf and is not there", DEAD},
};

/* Twelve blocks, a message that stands alone, three on the shelf, and enough behind them for the blocks to be joined.
 */
static struct store *make(struct spooldir *d, bool part_has_left)
{
	struct store_options o;
	struct store *s = NULL;
	struct message *m;
	struct error e;

	spooldir_make(d);
	o = spooldir_options(d);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	life_append(s, 0, BLOCKS * PER_BLOCK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	m = spooldir_message(ALONE, BLOCK_BYTES + 1);
	assert_int_equal(store_append(s, m, &e), ERR_OK);
	assert_int_equal(m->id, ALONE);
	message_free(m);
	for (int i = 0; i < DEAD; i++) {
		m = spooldir_message((uint64_t)ALONE + 1 + (uint64_t)i, 100);
		assert_int_equal(store_append_dead(s, m, "code", &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_append(s, 1000, 80);
	if (part_has_left)
		life_settle(s, 4 * PER_BLOCK + 1, 4 * PER_BLOCK + 4);
	return s;
}

static void tables_of(struct store *s, int64_t out[6])
{
	static const char *const asked[] = {"SELECT count(*) + total(id) FROM blocks",
	                                    "SELECT count(*) + total(id) FROM messages",
	                                    "SELECT total(settled) FROM partial",
	                                    "SELECT count(*) FROM dead",
	                                    "SELECT next_id FROM ledger",
	                                    "SELECT commits FROM ledger"};

	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
		out[i] = life_number(s, asked[i]);
}

static void try_verb(const struct verb *v, unsigned n)
{
	int64_t before[6], after[6];
	struct totals durable;
	struct spooldir d;
	struct error e = {.code = ERR_OK};
	struct store *s = make(&d, v->run == the_rest_of_a_block_leaves);
	enum err err;

	tables_of(s, before);
	durable = s->durable;
	has_lied = false;
	lies_in = n;
	err = v->run(s, &e);
	lies_in = 0;
	if (n == 0) {
		assert_false(has_lied);
		assert_int_equal(err, ERR_OK);
		life_agrees(s);
	} else {
		if (!has_lied || err != ERR_DAMAGED || e.code != err || !strstr(e.text, v->word))
			fail_msg("%s: answer %u, and the verdict is %d: %s", v->name, n, (int)err, e.text);
		assert_false(store_in_group(s));
		tables_of(s, after);
		assert_memory_equal(before, after, sizeof before);
		assert_memory_equal(&durable.ledger, &s->durable.ledger, sizeof durable.ledger);
		life_agrees(s);
		assert_int_equal(v->run(s, &e), ERR_OK);
	}
	life_close(s);
	spooldir_remove(&d);
}

static void what_cannot_be_taken_away_is_damage(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		for (unsigned n = 0; n <= verbs[i].answers; n++)
			try_verb(&verbs[i], n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_cannot_be_taken_away_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
