/* What the exit of a full disk is prepaid with, over a stop: this program's fstatvfs says what is free. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { MIB = 1 << 20 };

static uint64_t free_mib;

/* In the place of the C library's. */
int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	memset(ret, 0, sizeof *ret);
	ret->f_bsize = ret->f_frsize = 4096;
	ret->f_blocks = UINT64_C(1) << 20;
	ret->f_bfree = ret->f_bavail = free_mib << 8;
	return 0;
}

/* A new spool, with its reserve. */
static struct store *open_with_room(struct spooldir *d)
{
	struct store_options o;
	struct store *s = NULL;
	struct error e;

	free_mib = 1000;
	spooldir_make(d);
	o = spooldir_options(d);
	o.reserve_bytes = MIB;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	return s;
}

/* Its bytes. */
static uint32_t append(struct store *s, uint64_t n)
{
	struct message *m = spooldir_message(n, 20000);
	const uint32_t bytes = m->meta_bytes + m->body_bytes;
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_append(s, m, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	message_free(m);
	return bytes;
}

/* The log is cut to nothing by a stop, and a neighbour waits for its blocks: what was the exit's stays. */
static void a_stop_keeps_the_exit(void **state)
{
	enum { ROWS = 40 };

	(void)state;
	for (int closes = 0; closes < 2; closes++) {
		struct store_options o;
		struct spooldir d;
		struct store *s = NULL;
		struct stat st;
		struct error e;
		bool more;

		free_mib = 1000;
		spooldir_make(&d);
		o = spooldir_options(&d);
		o.reserve_bytes = MIB;
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		for (uint64_t i = 0; i < ROWS; i++)
			(void)append(s, i);
		assert_true(files_reserve_give_up(&s->files));
		s->reserve_given = true;
		free_mib = 2;
		s->options.min_free_bytes = 100 * MIB;
		s->options.min_free_is_default = false;
		if (closes)
			life_close(s);
		else
			assert_int_equal(store_give_back(s, &more, &e), ERR_OK);
		assert_int_equal(stat(spooldir_file(&d, ".reserve"), &st), 0);
		assert_in_range(st.st_blocks * 512, MIB / 2, MIB);
		if (!closes)
			life_close(s);
		spooldir_remove(&d);
	}
}

/* What was given up is held again when there is room. */
static void what_was_given_is_held_again(void **state)
{
	struct spooldir d;
	struct store *s;
	struct error e;
	bool more = true;

	(void)state;
	s = open_with_room(&d);
	(void)append(s, 0);
	while (more)
		assert_int_equal(store_give_back(s, &more, &e), ERR_OK);
	assert_true(files_held(&s->files, "-wal") < MIB);
	(void)append(s, 1);
	assert_true(s->log_held > MIB);
	assert_true(files_held(&s->files, "-wal") >= s->log_held);
	assert_true(files_reserve_give_up(&s->files));
	s->reserve_given = true;
	store_take_back(s, 0);
	assert_false(s->reserve_given);
	assert_int_equal(files_held(&s->files, ".reserve"), MIB);
	life_close(s);
	spooldir_remove(&d);
}

/* A log full of what the database has not taken is no way out, until it has; it is not asked to where it has no room.
 */
static void a_full_log_is_no_exit(void **state)
{
	enum { ROWS = 40, MORE = 10 };

	(void)state;
	for (int has_room = 0; has_room < 2; has_room++) {
		struct store_settlement items[ROWS + MORE];
		struct spooldir d;
		struct stat st;
		struct error e;
		struct store *s = open_with_room(&d);
		size_t done;

		for (uint64_t i = 0; has_room && i < ROWS + MORE; i++)
			items[i] =
			    (struct store_settlement){.id = i + 1, .kind = SETTLE_DELIVERED, .bytes = append(s, i)};
		assert_int_equal(store_checkpoint(s, true, &e), ERR_OK);
		if (has_room)
			assert_int_equal(store_settle_full(s, items, ROWS + MORE, &done, &e), ERR_OK);
		for (uint64_t i = 0; i < ROWS; i++)
			(void)append(s, i);
		assert_false(store_is_shut(s));
		assert_true(files_reserve_give_up(&s->files));
		s->reserve_given = true;
		assert_int_equal(stat(spooldir_file(&d, "-wal"), &st), 0);
		/* What is held beyond its end, or its last commit, goes. */
		st.st_size = 32 + (off_t)s->wal_frames * (24 + (off_t)s->page_bytes);
		assert_int_equal(truncate(spooldir_file(&d, "-wal"), st.st_size), 0);
		free_mib = 0;
		s->free_checked_ms = 0;
		assert_true(files_held(&s->files, "-wal") > EXIT_PAGES * (uint64_t)s->page_bytes);
		assert_true(store_is_shut(s));
		s->refused_ms = -MIB;
		assert_int_equal(store_probe_disk(s, &e), ERR_OK);
		assert_true((s->wal_frames == 0) == has_room);
		assert_true(store_is_shut(s) == !has_room);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* The log holds more than the database can grow by: what it holds leaves by the little room there is, and then it fits.
 */
static void what_the_database_cannot_take_leaves(void **state)
{
	enum { ROWS = 20, LITTLE = 256 << 10 };
	struct store_settlement items[ROWS];
	struct spooldir d;
	struct store *s;
	struct stat st;
	struct error e;
	size_t done;

	(void)state;
	s = open_with_room(&d);
	for (uint64_t i = 0; i < ROWS; i++) {
		items[i] = (struct store_settlement){.id = i + 1, .kind = SETTLE_DELIVERED, .bytes = append(s, i)};
	}
	assert_int_equal(stat(spooldir_file(&d, "-wal"), &st), 0);
	assert_true(st.st_size > 2 * LITTLE);
	assert_int_equal(truncate(spooldir_file(&d, "-wal"), st.st_size), 0);
	assert_int_equal(truncate(spooldir_file(&d, ".reserve"), LITTLE), 0);
	free_mib = 0;
	s->free_checked_ms = 0;
	faultfs_disk(d.dir, 0);
	assert_int_equal(store_settle_full(s, items, ROWS, &done, &e), ERR_OK);
	assert_int_equal(done, ROWS);
	assert_int_equal(store_ledger(s)->delivered, ROWS);
	assert_int_equal(store_checkpoint(s, true, &e), ERR_OK);
	faultfs_disk(NULL, 0);
	life_close(s);
	spooldir_remove(&d);
}

/* The shelf is what fills the disk: it can be thrown away all the same. */
static void a_shelf_that_fills_the_disk_can_be_purged(void **state)
{
	enum { ROWS = 400, BYTES = 1000, LITTLE = 256 << 10 };
	struct spooldir d;
	struct store *s;
	struct stat st;
	struct error e;
	uint64_t count;

	(void)state;
	s = open_with_room(&d);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t i = 0; i < ROWS; i++) {
		struct message *m = spooldir_message(i, BYTES);

		assert_int_equal(store_append_dead(s, m, "why", &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_cut_log(s), SQLITE_OK);
	s->wal_frames = 0;
	assert_int_equal(truncate(spooldir_file(&d, ".reserve"), LITTLE), 0);
	free_mib = 0;
	s->free_checked_ms = 0;
	faultfs_disk(d.dir, 0);
	assert_int_equal(store_dead_purge(s, 0, &count, &e), ERR_OK);
	assert_int_equal(count, ROWS);
	assert_int_equal(store_ledger(s)->purged, ROWS);
	assert_int_equal(store_ledger(s)->dead, 0);
	assert_int_equal(stat(spooldir_file(&d, "-wal"), &st), 0);
	assert_true(st.st_size <= LITTLE);
	faultfs_disk(NULL, 0);
	life_close(s);
	spooldir_remove(&d);
}

/* So many messages of a length, in one commit. */
static void append_many(struct store *s, uint64_t count, uint32_t length)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 0; n < count; n++) {
		struct message *m = spooldir_message(n, length);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* A disk full to its last byte: blocks of which a part is delivered and the rest goes to the shelf, and what stands
 * alone, take no page of the database that they do not leave. */
static void the_shelf_takes_the_room_that_it_is_left(void **state)
{
	enum { MANY = 90, LITTLE = 64 << 10 };
	static const struct {
		uint32_t length;
		uint64_t count, delivered;
	} cases[] = {{9000, MANY, 60}, {20000, MANY, 60}, {3 * MIB, 1, 0}, {300, MANY, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct store_settlement items[MANY];
		struct spooldir d;
		struct store *s = open_with_room(&d);
		uint64_t n = 0, blocks = 0;
		int64_t pages;
		struct error e;
		size_t done;

		s->options.compress = STORE_COMPRESS_NEVER;
		append_many(s, cases[i].count, cases[i].length);
		assert_int_equal(store_checkpoint(s, true, &e), ERR_OK);
		pages = life_number(s, "PRAGMA page_count");
		blocks = files_held(&s->files, "");
		assert_int_equal(truncate(spooldir_file(&d, ".reserve"), LITTLE), 0);
		free_mib = 0;
		s->free_checked_ms = 0;
		faultfs_disk(d.dir, 0);
		if (cases[i].delivered > 0) {
			for (; n < cases[i].delivered; n++) /* of each block some */
				items[n] = (struct store_settlement){
				    .id = 1 + n + n / 2, .kind = SETTLE_DELIVERED, .bytes = cases[i].length};
			assert_int_equal(store_settle_full(s, items, n, &done, &e), ERR_OK);
		}
		for (n = 0; n < cases[i].count - cases[i].delivered; n++)
			items[n] = (struct store_settlement){.id = cases[i].delivered ? 3 + 3 * n : 1 + n,
			                                     .kind = SETTLE_DEAD,
			                                     .bytes = cases[i].length,
			                                     .attempts = 1,
			                                     .code = "why"};
		assert_int_equal(store_settle_full(s, items, n, &done, &e), ERR_OK);
		assert_int_equal(done, n);
		assert_int_equal(store_ledger(s)->dead, n);
		assert_int_equal(store_ledger(s)->pending, 0);
		assert_in_range(life_number(s, "PRAGMA page_count"), 1, (uint64_t)pages + 8);
		assert_in_range(files_held(&s->files, ""), 1, blocks + 8 * s->page_bytes);
		faultfs_disk(NULL, 0);
		life_adds_up(s);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* A greedy neighbour gets no more of the reserve than what leaves just then needs. */
static void the_reserve_is_given_up_by_parts(void **state)
{
	struct spooldir d;
	struct files f;
	struct error e;

	(void)state;
	spooldir_make(&d);
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	free_mib = 1000;
	assert_false(files_reserve_leave(&f, 0));
	assert_true(files_reserve_make(&f, MIB, 0));
	assert_false(files_reserve_leave(&f, MIB));
	assert_true(files_reserve_leave(&f, MIB / 2));
	assert_int_equal(files_held(&f, ".reserve"), MIB / 2);
	assert_true(files_reserve_make(&f, MIB, 0));
	assert_int_equal(files_held(&f, ".reserve"), MIB);
	assert_true(files_reserve_give_up(&f));
	assert_int_equal(files_held(&f, ".reserve"), 0);
	files_close(&f);
	spooldir_remove(&d);
}

/* The disk refuses to shorten a file as well: who tries for as long as there is some of the reserve never ends. */
static void a_reserve_that_cannot_be_given_up_is_none(void **state)
{
	enum { ROWS = 20 };
	struct store_settlement items[ROWS];
	struct spooldir d;
	struct error e;
	struct store *s;
	size_t done;
	uint64_t gone;

	(void)state;
	s = open_with_room(&d);
	for (uint64_t i = 0; i < ROWS; i++)
		items[i] = (struct store_settlement){
		    .id = i + 1, .kind = i < ROWS / 2 ? SETTLE_DELIVERED : SETTLE_DEAD, .bytes = append(s, i)};
	assert_int_equal(store_settle_full(s, items + ROWS / 2, ROWS / 2, &done, &e), ERR_OK);
	assert_int_equal(store_checkpoint(s, true, &e), ERR_OK); /* nothing has to go into the database */
	s->options.reserve_bytes = 4 * MIB;
	assert_true(files_reserve_make(&s->files, 4 * MIB, 0));
	assert_true(2 * MIB >= EXIT_PAGES * s->page_bytes);
	(void)alarm(60);
	faultfs_arm(FAULTFS_WRITE | FAULTFS_SHORTEN, 1, ENOSPC, true);
	assert_int_equal(store_settle_full(s, items, ROWS / 2, &done, &e), ERR_FULL);
	assert_int_equal(done, 0);
	assert_int_equal(store_dead_purge(s, 0, &gone, &e), ERR_FULL);
	assert_int_equal(gone, 0);
	faultfs_arm(0, 0, 0, false);
	(void)alarm(0);
	assert_int_equal(files_held(&s->files, ".reserve"), 4 * MIB);
	assert_int_equal(store_settle_full(s, items, ROWS / 2, &done, &e), ERR_OK);
	assert_int_equal(done, ROWS / 2);
	life_close(s);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stop_keeps_the_exit),
	    cmocka_unit_test(what_was_given_is_held_again),
	    cmocka_unit_test(a_full_log_is_no_exit),
	    cmocka_unit_test(what_the_database_cannot_take_leaves),
	    cmocka_unit_test(a_shelf_that_fills_the_disk_can_be_purged),
	    cmocka_unit_test(the_shelf_takes_the_room_that_it_is_left),
	    cmocka_unit_test(the_reserve_is_given_up_by_parts),
	    cmocka_unit_test(a_reserve_that_cannot_be_given_up_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
