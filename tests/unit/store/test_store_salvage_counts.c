/*
 * An older file of a spool is read back into it, message by message: each is one that was awaited, one that had left,
 * or one that is kept as damaged, and the ledger says so to the last of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_salvage_internal.h"

enum { MESSAGES = 40, FIRST_DAMAGED = 33 };

static const char aside[] = ".quarantine-20260101T000000Z-000";

enum leaves { FORGOTTEN, KNOWN }; /* by PATH.left, what had left since */
enum word { SOUND, LOST };        /* which says how much is awaited */

static const struct reading {
	uint64_t awaited; /* so many were counted as damaged when it was set aside */
	uint64_t kept;    /* so many of its own are damaged, and kept as found */
	uint64_t told;    /* of all these a person knows of so many */
	enum leaves left;
	enum word note;
	uint64_t accepted, delivered, damaged, possible;
} readings[] = {
    {0, 0, 0, FORGOTTEN, SOUND, 40, 0, 0, 40},   {40, 0, 0, FORGOTTEN, SOUND, 80, 40, 0, 0},
    {12, 0, 0, FORGOTTEN, SOUND, 52, 12, 0, 28}, {50, 0, 0, FORGOTTEN, SOUND, 90, 40, 10, 0},
    {12, 4, 0, FORGOTTEN, SOUND, 52, 12, 0, 24}, {0, 4, 0, FORGOTTEN, SOUND, 40, 0, 0, 36},
    {0, 0, 0, KNOWN, SOUND, 40, 0, 0, 40},       {12, 0, 0, KNOWN, SOUND, 52, 0, 12, 40},
    {12, 4, 0, FORGOTTEN, LOST, 52, 12, 0, 24},  {0, 4, 0, FORGOTTEN, LOST, 40, 0, 0, 36},
    {12, 0, 12, FORGOTTEN, LOST, 52, 0, 12, 40}, {12, 4, 8, FORGOTTEN, LOST, 52, 8, 4, 28},
    {12, 4, 12, FORGOTTEN, LOST, 52, 4, 8, 32},  {12, 4, 15, FORGOTTEN, LOST, 52, 1, 11, 35},
};

static void settle(struct store *s, uint64_t first, uint64_t last, enum settle_kind kind)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id <= last; id++)
		assert_int_equal(store_settle(s, &(struct store_settlement){.id = id, .kind = kind}, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* All of it has left, or is damaged; a file of the time before lies beside it. */
static struct store *make(struct spooldir *d, const struct reading *r)
{
	struct store *s = life_begin(d);
	unsigned char *bytes;
	struct error e;
	size_t count;

	life_append(s, 0, MESSAGES);
	life_close(s);
	bytes = spooldir_load(d->path, &count);
	s = life_open(d, NULL);
	if (r->kept > 0)
		settle(s, FIRST_DAMAGED, FIRST_DAMAGED + r->kept - 1, SETTLE_DAMAGED);
	settle(s, 1, FIRST_DAMAGED - 1, SETTLE_DELIVERED);
	settle(s, FIRST_DAMAGED + r->kept, MESSAGES, SETTLE_DELIVERED);
	if (r->left == FORGOTTEN) {
		assert_int_equal(unlink(spooldir_file(d, ".left")), 0);
		left_close(s->left);
		s->left = left_open(&s->files, s->id, true);
	}
	assert_int_equal(store_begin(s, &e), ERR_OK);
	s->now.ledger.accepted += r->awaited;
	s->now.ledger.damaged += r->awaited;
	s->now.told = r->told;
	store_lose(s, LOSS_ASIDE, r->awaited, 0, 0);
	assert_int_equal(store_salvage_expect_more(s, r->awaited, store_next_id(s), &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	if (r->note == LOST)
		life_sql(s, "UPDATE salvage SET checksum = 5 WHERE path = 'expected'");
	spooldir_store(spooldir_file(d, aside), bytes, count);
	free(bytes);
	s->salvage_is_done = false;
	return s;
}

static void each_that_comes_back_is_counted_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof readings / sizeof *readings; i++) {
		const struct reading *r = &readings[i / 2];
		struct spooldir d;
		struct store *s = make(&d, r);
		uint64_t first, last;
		bool more = true;
		struct error e;

		s->tide.is_valid &= i % 2 == 0; /* without one the file's own ledger says what was counted */
		for (int steps = 0; more; steps++) {
			assert_int_equal(store_salvage(s, 7, &first, &last, &more, &e), ERR_OK);
			assert_true(steps < 100);
		}
		if (store_possible_duplicates(s) != r->possible || store_ledger(s)->delivered != r->delivered ||
		    store_ledger(s)->damaged != r->damaged)
			fail_msg("reading %u.%u: delivered %u, damaged %u, possible %u", (unsigned)i / 2,
			         (unsigned)i % 2, (unsigned)store_ledger(s)->delivered,
			         (unsigned)store_ledger(s)->damaged, (unsigned)store_possible_duplicates(s));
		assert_true(s->durable.told <= r->damaged);
		life_expect(s, r->accepted, r->delivered, MESSAGES, r->damaged);
		assert_int_equal(life_waiting(s, 0), MESSAGES);
		assert_int_equal(life_number(s, "SELECT count(*) FROM damaged"), 0);
		assert_int_equal(life_number(s, "SELECT ifnull(sum(messages), 0) FROM losses"), r->damaged);
		life_adds_up(s);
		life_end(&d, s);
	}
}

/* Puts block 1 of the one file into the other, as a page of an earlier time would. */
static void put_first_block(const char *from, const char *to)
{
	AUTOFREE char *sql =
	    mem_format("ATTACH '%s' AS earlier; INSERT INTO blocks SELECT * FROM earlier.blocks WHERE id = 1", from);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(to, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The file's own ledger says below which id nothing stood when it was set aside: what stands there is of an old page.
 */
static void what_stands_below_all_that_waited_had_left(void **state)
{
	enum { HALF = MESSAGES / 2 };
	struct spooldir d, earlier;
	struct store *s = life_begin(&d);
	unsigned char *bytes;
	uint64_t first, last;
	bool more = true;
	struct error e;
	size_t count;

	(void)state;
	life_append(s, 0, HALF);
	life_append(s, HALF, HALF);
	life_close(s);
	spooldir_make(&earlier);
	spooldir_copy(&d, &earlier);
	s = life_open(&d, NULL);
	settle(s, 1, HALF, SETTLE_DELIVERED);
	life_close(s);
	assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0);
	put_first_block(earlier.path, d.path);
	bytes = spooldir_load(d.path, &count);
	spooldir_remove(&d);
	s = life_begin(&d);
	life_close(s);
	spooldir_copy(&earlier, &d); /* the spool of that file goes on */
	s = life_open(&d, NULL);
	settle(s, 1, MESSAGES, SETTLE_DELIVERED);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_salvage_expect_more(s, 0, store_next_id(s), &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	spooldir_store(spooldir_file(&d, aside), bytes, count);
	free(bytes);
	s->salvage_is_done = false;
	while (more)
		assert_int_equal(store_salvage(s, 7, &first, &last, &more, &e), ERR_OK);
	assert_int_equal(life_waiting(s, HALF), HALF);
	assert_int_equal(store_ledger(s)->pending, HALF);
	assert_int_equal(life_number(s, "SELECT min(id) FROM messages"), HALF + 1);
	life_end(&d, s);
	spooldir_remove(&earlier);
}

/*
 * Of the last eight the rows are gone: six that had no end, of which two count as damaged and four as delivered, and
 * two that are kept as damaged. PATH.left proves of each of the six that it waits; so many as are damaged and nowhere
 * are taken out of these, and no more: what is kept comes back as what it was.
 */
static void what_is_proven_is_taken_out_of_the_damaged(void **state)
{
	enum { ENDED = 32, NOWHERE = 2, KEPT = 2, LATER = 2 };
	struct spooldir d;
	struct store *s = life_begin(&d);
	uint64_t first, last;
	unsigned char *bytes;
	bool more = true;
	struct error e;
	size_t count;

	(void)state;
	life_append(s, 0, MESSAGES);
	life_close(s);
	bytes = spooldir_load(d.path, &count);
	s = life_open(&d, NULL);
	life_append(s, MESSAGES, LATER);
	settle(s, 1, ENDED, SETTLE_DELIVERED);
	settle(s, MESSAGES - KEPT + 1, MESSAGES + LATER, SETTLE_DAMAGED);
	life_sql(s, "DELETE FROM blocks; DELETE FROM partial");
	assert_int_equal(store_begin(s, &e), ERR_OK);
	s->now.ledger.pending = s->now.pending_bytes = 0;
	s->now.ledger.damaged += NOWHERE;
	s->now.ledger.delivered += MESSAGES - ENDED - KEPT - NOWHERE;
	store_lose(s, LOSS_ROWS, NOWHERE, 0, 0);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	spooldir_store(spooldir_file(&d, aside), bytes, count);
	free(bytes);
	s->salvage_is_done = false;
	while (more)
		assert_int_equal(store_salvage(s, 7, &first, &last, &more, &e), ERR_OK);
	life_expect(s, MESSAGES + LATER, 0, MESSAGES, LATER);
	assert_int_equal(store_possible_duplicates(s), MESSAGES - KEPT - NOWHERE);
	assert_int_equal(life_waiting(s, 0), MESSAGES);
	assert_int_equal(life_number(s, "SELECT count(*) FROM damaged"), LATER);
	life_adds_up(s);
	life_end(&d, s);
}

/*
 * A step that the disk refuses left nothing: a smaller one is tried, where it was of more than one message and not of a
 * page that is read again, else it waits.
 */
static void a_step_that_is_refused_left_nothing(void **state)
{
	enum { ONE, MANY, AGAIN, WAYS };

	(void)state;
	for (int way = 0; way < WAYS; way++) {
		const uint32_t all = way == ONE ? 1 : MESSAGES;
		struct spooldir d;
		struct store *s = life_begin(&d);
		uint64_t first, last;
		const struct salvage *v;
		struct totals before;
		unsigned char *bytes;
		bool more = true;
		struct error e;
		size_t count;
		enum err err;

		life_append(s, 0, all);
		life_close(s);
		bytes = spooldir_load(d.path, &count);
		s = life_open(&d, NULL);
		settle(s, 1, all, SETTLE_DELIVERED);
		spooldir_store(spooldir_file(&d, aside), bytes, count);
		free(bytes);
		s->salvage_is_done = false;
		if (way == AGAIN)
			assert_int_equal(store_salvage(s, 1, &first, &last, &more, &e), ERR_OK);
		before = s->durable;
		if (way == AGAIN) { /* what an earlier start could not read */
			s->salvage->again[0] =
			    (struct bad_part){.page = pages_next(s->salvage->pages, s->salvage->after_page + 1)};
			s->salvage->again_count = 1;
		}
		first = last = 7;
		faultfs_arm(FAULTFS_WRITE, 1, ENOSPC, false);
		err = store_salvage(s, 1, &first, &last, &more, &e);
		assert_int_equal(faultfs_failed(), 1);
		faultfs_arm(0, 0, 0, false);
		v = s->salvage;
		assert_int_equal(err, way == MANY ? ERR_OK : ERR_FULL);
		assert_int_equal(s->salvage_waits, way != MANY);
		assert_true(more);
		assert_int_equal(first | last, 0);
		assert_int_equal(v->step_parts > 1, way != ONE);
		assert_int_equal(v->most_bytes, way == ONE ? UINT64_MAX : v->step_bytes / 2);
		assert_int_equal(v->again_count, way == AGAIN);
		assert_memory_equal(&s->durable, &before, sizeof before);
		assert_false(store_in_group(s));
		if (way != AGAIN) { /* else some wait already, and make room when they leave */
			assert_int_equal(store_salvage(s, 1, &first, &last, &more, &e), ERR_OK);
			assert_false(s->salvage_waits);
			assert_int_equal(first, 1);
		}
		life_close(s);
		s = life_open(&d, NULL);
		life_expect(s, all, 0, all, 0);
		assert_int_equal(life_waiting(s, 0), all);
		life_end(&d, s);
	}
}

static struct stored_value number(int64_t n) { return (struct stored_value){.type = VALUE_INT, .number = n}; }

static struct stored_value bytes_of(enum value_type type, const char *text)
{
	return (struct stored_value){.type = type, .bytes = (const unsigned char *)text, .count = strlen(text)};
}

/* While messages wait, a row beside them waits for room as they do: it is where the step ends, and it is not taken. */
static void a_row_beside_the_messages_waits_for_room(void **state)
{
	const struct stored_record rows[] = {
	    {.is_index = true,
	     .count = 3,
	     .values = {bytes_of(VALUE_TEXT, "file"), bytes_of(VALUE_TEXT, "12"), number(7)}},
	    {.is_index = true,
	     .count = 3,
	     .values = {bytes_of(VALUE_TEXT, "cache"), bytes_of(VALUE_BLOB, "k"), number(INT64_MAX)}},
	    {.is_index = true, .count = 4, .values = {bytes_of(VALUE_BLOB, "copy"), number(1), number(2), number(3)}},
	    {.is_index = true,
	     .count = 4,
	     .values = {bytes_of(VALUE_TEXT, "pages:x"), number(1), number(2), number(1)}},
	};
	static const char *const counts[] = {"SELECT count(*) FROM positions", "SELECT count(*) FROM cache",
	                                     "SELECT count(*) FROM imports",
	                                     "SELECT count(*) FROM salvage WHERE path = 'pages:x'"};
	struct spooldir d;
	struct store *s = make(&d, &readings[0]);
	struct salvage *v;
	uint64_t first, last;
	struct error e;
	bool more;

	(void)state;
	assert_int_equal(store_salvage(s, 1, &first, &last, &more, &e), ERR_OK);
	v = s->salvage;
	assert_true(v && store_ledger(s)->pending > 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int has_room = 0; has_room < 2; has_room++) {
			assert_int_equal(store_begin(s, &e), ERR_OK);
			v->step_bytes = v->step_parts = 0;
			v->room_bytes = has_room ? 1000 : 64; /* a row takes as much beside what it holds */
			assert_int_equal(store_salvage_record(s, &rows[i], &e), has_room ? ERR_OK : ERR_FULL);
			assert_int_equal(v->ends_here, !has_room);
			assert_int_equal(v->step_parts, has_room);
			assert_int_equal(life_number(s, counts[i]), has_room);
			store_rollback(s);
		}
	store_salvage_end(s);
	while (more)
		assert_int_equal(store_salvage(s, 7, &first, &last, &more, &e), ERR_OK);
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_that_comes_back_is_counted_once),
	    cmocka_unit_test(what_stands_below_all_that_waited_had_left),
	    cmocka_unit_test(what_is_proven_is_taken_out_of_the_damaged),
	    cmocka_unit_test(a_step_that_is_refused_left_nothing),
	    cmocka_unit_test(a_row_beside_the_messages_waits_for_room),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
