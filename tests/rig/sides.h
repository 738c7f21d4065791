/*
 * sides: a spool with rows in every table beside its messages.
 *
 * Included after cmocka.h; everything fails the test by itself.
 */
#ifndef KSPOOL_TESTS_SIDES_H
#define KSPOOL_TESTS_SIDES_H

#include <stdlib.h>
#include <string.h>

#include "rig/lives.h"

enum { SIDES_MESSAGES = 40, SIDES_WAIT_MS = 30 * 60 * 1000 };

static inline void settle(struct store *s, struct store_settlement item)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* Blocks of ten. 3 to 7 and 24 to 28 have left; 9 stands alone, 10 and 11 are on the shelf, 31 and 32 failed. */
static inline struct store *make_sides(struct spooldir *d)
{
	struct store *s = life_begin(d);
	struct spooldir other;
	struct error e;
	uint64_t rows;
	bool is_new;

	life_append(s, 0, SIDES_MESSAGES);
	life_settle(s, 3, 7);
	life_settle(s, 24, 28);
	settle(s, (struct store_settlement){
	              .id = 9, .kind = SETTLE_RETRY, .attempts = 4, .wait_ms = SIDES_WAIT_MS, .code = "Slow"});
	for (uint64_t id = 31; id <= 32; id++)
		settle(s, (struct store_settlement){
		              .id = id, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = 100, .code = "Slow"});
	for (uint64_t id = 10; id <= 11; id++)
		settle(s, (struct store_settlement){.id = id, .kind = SETTLE_DEAD, .attempts = 2, .code = "Refused"});
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, "a", "100", &e), ERR_OK);
	assert_int_equal(store_position_put(s, "b", "200", &e), ERR_OK);
	assert_int_equal(store_cache_add(s, "cache", "k", 1, 1000000, &is_new, &e), ERR_OK);
	assert_int_equal(store_cache_add(s, "cache", "m", 1, 2000000, &is_new, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_make(&other, LIFE_OTHERS, 1, 0);
	assert_int_equal(store_import(s, other.path, false, &rows, &e), ERR_OK);
	assert_int_equal(rows, 1);
	spooldir_remove(&other);
	return s;
}

/* Blocks of ten: 3 to 7 have left, 24 to 28 too; 9 stands alone (it waits for long), 10 is on the shelf. */
static inline struct store *with_marks(struct spooldir *d)
{
	struct store *s = life_begin(d);

	life_append(s, 0, SIDES_MESSAGES);
	life_settle(s, 3, 7);
	life_settle(s, 24, 28);
	settle(s, (struct store_settlement){
	              .id = 9, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = SIDES_WAIT_MS, .code = "Slow"});
	settle(s, (struct store_settlement){.id = 10, .kind = SETTLE_DEAD, .code = "x"});
	life_expect(s, SIDES_MESSAGES, 10, 29, 0);
	assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 1);
	return s;
}

static inline void put_position(struct store *s, const char *key, const char *value)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, key, value, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* "": there is none. */
static inline bool position_is(struct store *s, const char *key, const char *want, bool *ret_damaged)
{
	char *value = NULL;
	struct error e;
	bool is;

	assert_int_equal(store_position_get(s, key, &value, ret_damaged, &e), ERR_OK);
	is = strcmp(value ? value : "", want) == 0;
	free(value);
	return is;
}

#endif
