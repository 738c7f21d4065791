/* Full disks, without filling one: this program's fstatvfs says what is free. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "rig/errorwatch.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

static uint64_t free_mib = 1000, all_mib = 1 << 20;
static const char *disk; /* a folder whose files take room on a disk of all_mib; null: free_mib are free */

static uint64_t used_bytes(void)
{
	DIR *dir = opendir(disk);
	struct dirent *entry;
	uint64_t used = 0;
	struct stat st;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			used += (uint64_t)st.st_blocks * 512;
	(void)closedir(dir);
	return used;
}

/* In the place of the C library's. */
int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	memset(ret, 0, sizeof *ret);
	ret->f_bsize = ret->f_frsize = 4096;
	ret->f_blocks = all_mib << 8;
	ret->f_bfree = ret->f_bavail = free_mib << 8;
	if (disk)
		ret->f_bfree = ret->f_bavail = ret->f_blocks - used_bytes() / 4096;
	return 0;
}

static enum err admission_at(struct store *s, uint64_t mib)
{
	struct error e;

	free_mib = mib;
	assert_int_equal(store_checkpoint(s, true, &e), ERR_OK); /* after it the disk is looked at anew */
	return store_admission(s, &e);
}

static void a_full_disk_is_full_until_a_tenth_more_is_free(void **state)
{
	struct store_options o;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.min_free_bytes = UINT64_C(100) << 20;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(admission_at(s, 101), ERR_OK);
	assert_int_equal(admission_at(s, 99), ERR_FULL);
	assert_int_equal(admission_at(s, 101), ERR_FULL);
	assert_int_equal(admission_at(s, 109), ERR_FULL);
	assert_int_equal(admission_at(s, 111), ERR_OK);
	assert_int_equal(admission_at(s, 101), ERR_OK);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

static void fill_and_empty(struct store *s, uint64_t messages, uint32_t bytes)
{
	struct store_settlements *g = store_settlements_new((uint32_t)messages);
	uint64_t first = store_next_id(s);
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 0; n < messages; n++) {
		struct message *m = spooldir_message(n, bytes);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
		g->items[g->count++] = (struct store_settlement){.id = first + n, .kind = SETTLE_DELIVERED};
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_checkpoint(s, true, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, g->items, g->count, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	store_settlements_free(g);
}

static void an_idle_spool_gives_its_file_and_its_log_back(void **state)
{
	struct store_options o;
	struct store_state st;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;
	bool more = true;

	(void)state;
	free_mib = 1000;
	spooldir_make(&d);
	o = spooldir_options(&d);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	for (int round = 0; round < 2; round++) {
		fill_and_empty(s, 100, 100000);
		store_state(s, &st);
		assert_in_range(st.database_bytes, 9 << 20, 20 << 20);
		for (int i = 0; more && i < 1000; i++)
			assert_int_equal(store_give_back(s, &more, &e), ERR_OK);
		assert_false(more);
		more = true;
		store_state(s, &st);
		assert_in_range(st.database_bytes, 1, 1 << 20);
		assert_int_equal(st.wal_bytes, 0);
	}
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* To cut the file takes room for the log: of a disk that has none, or refuses, nothing is taken. */
static void a_full_disk_is_not_asked_for_room_to_give_some_back(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;

	(void)state;
	free_mib = 1000;
	fill_and_empty(s, 20, 100000);
	for (int i = 0; i < 3; i++) {
		const int64_t pages = life_number(s, "PRAGMA page_count");
		bool more = true;

		s->free_checked_ms = clock_mono_ms() + 1000000; /* what is known of the disk stays so */
		s->full_disk = i == 0;
		s->disk_refused = i == 1;
		for (int k = 0; k < 100 && more; k++)
			assert_int_equal(store_give_back(s, &more, &e), ERR_OK);
		assert_false(more);
		if (i < 2)
			assert_int_equal(life_number(s, "PRAGMA page_count"), pages);
		else
			assert_in_range(life_number(s, "PRAGMA page_count"), 1, pages / 4);
	}
	life_end(&d, s);
}

/* While messages come, only what is much is cut, step by step, and the file is shorter when it is done. */
static void much_that_is_free_is_cut_while_it_runs(void **state)
{
	enum { ROWS = 80, BYTES = 1000000, SHRINKS_FROM = 64 << 20 };

	(void)state;
	free_mib = 1000;
	for (int is_much = 0; is_much < 2; is_much++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		const uint64_t whole = is_much ? (uint64_t)ROWS * BYTES : 20 * BYTES;
		uint64_t before, frames;
		struct error e;
		bool more = true;
		int steps = 0;

		fill_and_empty(s, (uint32_t)(whole / BYTES), BYTES);
		before = files_bytes(&s->files, "");
		frames = s->wal_frames;
		assert_in_range(before, whole, whole * 2);
		while (more) {
			if (steps == 1) { /* what fails between two steps is told, and they go on */
				faultsql_arm(1, SQLITE_NOMEM, false);
				assert_int_equal(store_shrink(s, &more, &e), ERR_MEMORY);
				faultsql_arm(0, 0, false);
				assert_true(s->is_shrinking);
			}
			assert_int_equal(store_shrink(s, &more, &e), ERR_OK);
			assert_int_equal(s->is_shrinking, more);
			assert_true(++steps < 1000);
		}
		if (is_much) /* as far as it is worth it */
			assert_in_range(files_bytes(&s->files, ""), SHRINKS_FROM / 2, SHRINKS_FROM + (1 << 20));
		else
			assert_int_equal(files_bytes(&s->files, ""), before);
		assert_int_equal(s->wal_frames == frames, !is_much); /* no checkpoint is made of nothing */
		assert_int_equal(steps > 1, is_much);
		life_end(&d, s);
	}
}

#define MIB (UINT64_C(1) << 20)

/* What may change while it is open does, and what was judged by the old limits is judged anew. */
static void new_limits_hold_at_once(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	free_mib = 900;
	all_mib = 1000;
	s = life_begin(&d);
	for (int is_default = 0; is_default < 2; is_default++) {
		s->full_bytes = s->full_disk = true;
		s->free_checked_ms = 5;
		store_reconfigure(s, &(struct store_options){.max_bytes = 7,
		                                             .min_free_bytes = 800 * MIB,
		                                             .min_free_is_default = is_default,
		                                             .evict_oldest = is_default,
		                                             .max_message_bytes = 9,
		                                             .compress = STORE_COMPRESS_NEVER});
		assert_int_equal(s->options.max_bytes, 7);
		assert_true(files_share(&s->files, 800 * MIB) < 800 * MIB);
		assert_int_equal(s->options.min_free_bytes, is_default ? files_share(&s->files, 800 * MIB) : 800 * MIB);
		assert_int_equal(s->options.min_free_is_default, is_default);
		assert_int_equal(s->options.evict_oldest, is_default);
		assert_int_equal(s->options.max_message_bytes, 9);
		assert_int_equal(s->options.compress, STORE_COMPRESS_NEVER);
		assert_true(!s->full_bytes && !s->full_disk && s->free_checked_ms == 0);
	}
	all_mib = 1 << 20;
	life_end(&d, s);
}

/* Free pages inside the file take what comes though the file system is low: from one MiB on, from two when it was full.
 */
static void room_inside_the_file_is_room(void **state)
{
	struct store_options o;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;

	(void)state;
	free_mib = 1000;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.min_free_bytes = 100 * MIB;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	fill_and_empty(s, 5, 100000);
	assert_int_equal(admission_at(s, 99), ERR_FULL);
	assert_int_equal(admission_at(s, 111), ERR_OK);
	fill_and_empty(s, 15, 100000); /* in the pages of the five */
	assert_in_range(life_number(s, "PRAGMA freelist_count") * 4096, MIB + 1, 2 * MIB - 1);
	assert_int_equal(admission_at(s, 99), ERR_OK);
	s->full_disk = true;
	assert_int_equal(admission_at(s, 99), ERR_FULL);
	assert_int_equal(admission_at(s, 111), ERR_OK);
	fill_and_empty(s, 25, 100000);
	s->full_disk = true;
	assert_int_equal(admission_at(s, 99), ERR_OK);
	life_end(&d, s);
}

/* A disk that is full in the middle: the reserve goes, once, and the rest is settled; for good, nothing is. */
static void the_reserve_lets_a_full_disk_be_drained(void **state)
{
	enum { ROWS = 200 };

	(void)state;
	for (int for_good = 0; for_good < 2; for_good++) {
		struct store_settlement items[ROWS];
		struct store_options o;
		struct spooldir d;
		struct store *s = NULL;
		struct error e;
		uint64_t before;
		size_t done = 7;

		free_mib = 1000;
		spooldir_make(&d);
		o = spooldir_options(&d);
		o.reserve_bytes = MIB;
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		assert_int_equal(files_bytes(&s->files, ".reserve"), MIB);
		life_append(s, 0, ROWS);
		for (uint64_t i = 0; i < ROWS; i++)
			items[i] = (struct store_settlement){.id = i + 1, .kind = SETTLE_DELIVERED};
		before = s->checkpoints;
		faultsql_arm(for_good ? 2 : 1, SQLITE_FULL, for_good);
		e.code = store_settle_full(s, items, ROWS, &done, &e);
		assert_int_equal(e.code, for_good ? ERR_FULL : ERR_OK);
		ERRORWATCH_EXPECT(e.code, &e, NULL, "settled on a full disk", 1);
		faultsql_arm(0, 0, false);
		assert_int_equal(done, for_good ? 0 : ROWS);
		assert_int_equal(s->checkpoints - before,
		                 for_good ? 0 : 3); /* with the reserve, and after every second step */
		assert_true(s->disk_refused);
		assert_int_equal(files_bytes(&s->files, ".reserve"), MIB); /* what is left of it is not a neighbour's */
		assert_true(files_reserve_give_up(&s->files));
		s->reserve_given = true;
		life_expect(s, ROWS, done, ROWS - done, 0);
		s->free_checked_ms = 0;
		s->full_disk = true;
		s->options.min_free_bytes = 2000 * MIB;
		assert_int_equal(store_admission(s, &e), ERR_FULL);
		assert_true(s->reserve_given); /* what is free is not for the reserve now */
		s->free_checked_ms = 0;
		s->options.min_free_bytes = 0;
		assert_int_equal(store_admission(s, &e), ERR_FULL);
		assert_false(s->reserve_given);
		assert_int_equal(files_bytes(&s->files, ".reserve"), MIB);
		life_end(&d, s);
	}
}

static enum err append_one(struct store *s, uint32_t bytes)
{
	struct message *m = spooldir_message(1, bytes);
	struct error e;
	enum err err;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	err = store_append(s, m, &e);
	message_free(m);
	if (err == ERR_OK)
		err = store_commit(s, &e);
	else
		store_rollback(s);
	return err;
}

/* A drain gave it up: intake waits until it has its room again. It has that too when the spool is closed, if it may. */
static void the_reserve_comes_before_intake(void **state)
{
	struct store_options o;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;
	struct stat st;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.reserve_bytes = 4 * MIB;
	for (int may = 0; may < 2; may++) {
		free_mib = 1000;
		o.min_free_bytes = 0;
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		assert_true(files_reserve_give_up(&s->files));
		s->reserve_given = true;
		assert_int_equal(admission_at(s, 3), ERR_FULL);
		assert_int_equal(append_one(s, 1000), ERR_FULL);
		assert_int_equal(admission_at(s, 6), ERR_OK);
		assert_false(s->reserve_given);
		assert_int_equal(append_one(s, 1000), ERR_OK);
		assert_true(files_reserve_give_up(&s->files));
		s->reserve_given = true;
		s->options.min_free_bytes = may ? MIB : 6 * MIB;
		assert_int_equal(store_close(s, &e), ERR_OK);
		assert_int_equal(stat(spooldir_file(&d, ".reserve"), &st), 0);
		assert_int_equal(st.st_size, 4 * MIB); /* not of min_free: out of the log */
	}
	spooldir_remove(&d);
}

/* Blocks that the log owns are no room for the database, which must take what stands in it. */
static void the_room_of_the_log_is_not_the_files(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);

	(void)state;
	free_mib = 1;
	s->free_checked_ms = 0;
	s->log_held = 9 * MIB;
	assert_int_equal(append_one(s, 3 * MIB), ERR_FULL);
	assert_int_equal(append_one(s, MIB / 2), ERR_OK);
	free_mib = 5;
	s->log_held = 0;
	assert_int_equal(append_one(s, 3 * MIB), ERR_FULL);
	s->log_held = 9 * MIB;
	assert_int_equal(append_one(s, 3 * MIB), ERR_OK);
	free_mib = 1000;
	life_end(&d, s);
}

/* Nothing waits, and the log does not fit into the file: the reserve takes it, and the log's room is the reserve again.
 */
static void the_reserve_lets_the_log_be_given_back(void **state)
{
	bool checkpoint_failed = false;

	(void)state;
	for (uint64_t n = 1; n < 40; n++) {
		struct store_options o;
		struct spooldir d;
		struct store *s = NULL;
		struct error e;
		bool more = true, failed;
		enum err err = ERR_OK;

		free_mib = 1000;
		spooldir_make(&d);
		o = spooldir_options(&d);
		o.reserve_bytes = MIB;
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		life_append(s, 0, 50);
		life_settle(s, 1, 50);
		faultsql_arm(n, SQLITE_FULL, false);
		for (int i = 0; i < 100 && more && err == ERR_OK; i++)
			err = store_give_back(s, &more, &e);
		ERRORWATCH_EXPECT(err, &e, NULL, "given back", n);
		failed = faultsql_failed();
		faultsql_arm(0, 0, false);
		if (failed && !*faultsql_what() && err == ERR_OK) {
			checkpoint_failed = true;
			assert_int_equal(files_bytes(&s->files, "-wal"), 0);
			assert_false(s->reserve_given);
			assert_int_equal(files_bytes(&s->files, ".reserve"), MIB);
		}
		life_end(&d, s);
	}
	assert_true(checkpoint_failed);
}

/* Of the bodies of `rows` messages, which may be so alike that a page holds a thousand of them. */
static void fill(struct store *s, uint32_t rows, uint32_t bytes, bool alike)
{
	struct error e;

	store_set_waits(s, alike);
	for (uint32_t n = 0; n < rows;) {
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (uint32_t end = n + 100; n < end && n < rows; n++) {
			struct message *m = spooldir_message(alike ? 0 : n, bytes);

			assert_int_equal(store_append(s, m, &e), ERR_OK);
			message_free(m);
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(store_checkpoint(s, false, &e), ERR_OK);
	}
}

/* The lowest that waits leave; how many did. */
static uint64_t deliver(struct store *s, uint32_t most)
{
	struct store_settlements *g = store_settlements_new(most);
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;
	struct error e;
	uint64_t last;
	uint32_t count;

	assert_int_equal(store_read(s, 0, most, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	STAILQ_FOREACH (m, &list, link)
		g->items[g->count++] = (struct store_settlement){.id = m->id, .kind = SETTLE_DELIVERED};
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, g->items, g->count, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	message_list_free(&list);
	store_settlements_free(g);
	return count;
}

/*
 * A file that was set aside takes most of a small disk. What comes back leaves min_free to intake, whatever it holds,
 * waits when there is no more, goes on when messages leave, and all of it comes in the end.
 */
static void reading_back_leaves_min_free(void **state)
{
	enum { SMALL_MIB = 48, LEFT_MIB = 2 };

	(void)state;
	for (int alike = 0; alike < 2; alike++) {
		const uint32_t rows = alike ? 20000 : 14000, bytes = 2000;
		struct store_options o;
		struct store_report report;
		struct spooldir d;
		struct store_state st;
		struct store *s = NULL;
		struct error e;
		uint64_t delivered = 0, first, last;
		bool more = true, waited = false;

		spooldir_make(&d);
		o = spooldir_options(&d);
		o.compress = alike ? STORE_COMPRESS_ALWAYS : STORE_COMPRESS_NEVER;
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		fill(s, rows, bytes, alike);
		life_close(s);
		assert_int_equal(rename(d.path, spooldir_file(&d, ".quarantine-20260101T000000Z-000")), 0);
		disk = d.dir;
		all_mib = SMALL_MIB;
		o.min_free_bytes = 4 * MIB;
		o.reserve_bytes = MIB;
		assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
		while (more) {
			enum err err = store_salvage(s, 1000, &first, &last, &more, &e);

			assert_true(err == ERR_OK || err == ERR_FULL);
			assert_int_equal(store_checkpoint(s, true, &e), ERR_OK);
			assert_true(used_bytes() + o.min_free_bytes <= SMALL_MIB * MIB);
			assert_int_equal(store_admission(s, &e), ERR_OK);
			store_state(s, &st);
			assert_int_equal(st.aside_waits, err == ERR_FULL);
			if (err != ERR_FULL)
				continue;
			waited = true;
			assert_non_null(strstr(e.text, "min_free"));
			assert_true(store_ledger(s)->pending > 0);
			delivered += deliver(s, 500);
		}
		assert_true(waited);
		store_state(s, &st);
		assert_int_equal(st.aside_waits + st.aside_unread, 0);
		while (store_ledger(s)->pending > 0)
			delivered += deliver(s, 500);
		assert_int_equal(delivered, rows);
		disk = NULL;
		all_mib = 1 << 20;
		life_end(&d, s);
	}
}

/* What comes must find room twice, in the log and in the database, or it could not be settled. */
static void more_than_the_disk_can_settle_is_refused(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	const uint64_t mib = 1 << 20;
	uint64_t most;

	(void)state;
	assert_int_equal(admission_at(s, 10), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_make_room(s, mib, &e), ERR_OK);
	assert_int_equal(store_make_room(s, 6 * mib, &e), ERR_FULL);
	assert_non_null(strstr(e.text, "6291456 bytes at once need 13"));
	assert_non_null(strstr(e.text, "send less at a time"));
	for (most = mib; store_make_room(s, most + 4096, &e) == ERR_OK; most += 4096)
		continue;
	assert_true(most > 4 * mib && most * 17 / 8 <= 10 * mib);
	store_rollback(s);
	assert_int_equal(admission_at(s, 30), ERR_OK);
	assert_int_equal(store_make_room(s, 6 * mib, &e), ERR_OK); /* it is looked at again */
	free_mib = 1000;
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_full_disk_is_full_until_a_tenth_more_is_free),
	    cmocka_unit_test(an_idle_spool_gives_its_file_and_its_log_back),
	    cmocka_unit_test(a_full_disk_is_not_asked_for_room_to_give_some_back),
	    cmocka_unit_test(much_that_is_free_is_cut_while_it_runs),
	    cmocka_unit_test(new_limits_hold_at_once),
	    cmocka_unit_test(room_inside_the_file_is_room),
	    cmocka_unit_test(reading_back_leaves_min_free),
	    cmocka_unit_test(the_reserve_lets_a_full_disk_be_drained),
	    cmocka_unit_test(the_reserve_lets_the_log_be_given_back),
	    cmocka_unit_test(more_than_the_disk_can_settle_is_refused),
	    cmocka_unit_test(the_reserve_comes_before_intake),
	    cmocka_unit_test(the_room_of_the_log_is_not_the_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
