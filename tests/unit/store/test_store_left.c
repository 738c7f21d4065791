/*
 * PATH.left beside a plain array of bits: whatever is set and taken back, read again after each kind of end, and with
 * single slots or bytes that are not what was written: it may know less then, and never more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/files/left.h"

enum { IDS = 32256 * 8, SLOT_BYTES = 4096 };
static const struct spool_id ours = {1, 2}, theirs = {1, 3};

struct place {
	struct spooldir dir;
	struct files files;
	struct left *left;
	unsigned char *model; /* a byte an id */
	uint64_t commit;
};

static void open_left(struct place *p, struct spool_id id)
{
	left_close(p->left);
	p->left = left_open(&p->files, id, true);
}

static void place_open(struct place *p)
{
	struct error e;

	*p = (struct place){.files = FILES_NONE, .model = calloc(IDS + 1, 1)};
	spooldir_make(&p->dir);
	assert_int_equal(files_open(&p->files, p->dir.path, &e), ERR_OK);
	open_left(p, ours);
	assert_int_equal(left_trouble(p->left), 0);
	assert_false(left_is_doubtful(p->left));
}

static void place_close(struct place *p)
{
	left_close(p->left);
	files_close(&p->files);
	free(p->model);
	spooldir_remove(&p->dir);
}

static void set(struct place *p, uint64_t first, uint64_t last)
{
	left_note(p->left, first, last);
	memset(p->model + first, 1, last - first + 1);
}

static void take_back(struct place *p, uint64_t id)
{
	left_note_back(p->left, id);
	p->model[id] = 0;
}

static void keep(struct place *p) { left_keep(p->left, ++p->commit); }

static uint64_t ones(const struct place *p, uint64_t first, uint64_t last)
{
	uint64_t n = 0;

	for (uint64_t id = first; id <= last; id++)
		n += p->model[id];
	return n;
}

static void compare(struct place *p)
{
	uint64_t highest = 0;

	for (uint64_t id = 1; id <= IDS; id++) {
		if (left_has(p->left, id) != p->model[id])
			fail_msg("id %lu: %d, must be %d", (unsigned long)id, !p->model[id], p->model[id]);
		highest = p->model[id] ? id : highest;
	}
	assert_int_equal(left_highest(p->left), highest);
	for (int i = 0; i < 200; i++) {
		const uint64_t first = 1 + (uint64_t)rand() % IDS, last = first + (uint64_t)rand() % (IDS - first + 1);

		assert_int_equal(left_count(p->left, first, last), ones(p, first, last));
	}
}

static off_t file_bytes(const struct place *p)
{
	AUTOFREE char *path = mem_format("%s.left", p->dir.path);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void in_order_it_stays_small(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	for (uint64_t id = 1; id + 511 <= IDS; id += 512) {
		set(&p, id, id + 511);
		keep(&p);
		assert_true(file_bytes(&p) <= 4 * SLOT_BYTES);
	}
	compare(&p);
	open_left(&p, ours);
	compare(&p);
	assert_int_equal(left_commit(p.left), p.commit);
	place_close(&p);
}

static void any_order_is_what_was_set(void **state)
{
	struct place p;

	(void)state;
	srand(20261127);
	place_open(&p);
	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < 40; i++) {
			const uint64_t first = 1 + (uint64_t)rand() % IDS;
			const uint64_t most = rand() % 4 == 0 ? 70000 : 600, last = first + (uint64_t)rand() % most;

			if (rand() % 3 == 0)
				take_back(&p, first);
			else
				set(&p, first, last < IDS ? last : IDS);
		}
		keep(&p);
		if (round % 3 == 0)
			open_left(&p, ours);
		if (round % 10 == 9)
			compare(&p);
		assert_int_equal(left_taken_back(p.left) == p.commit, 1);
	}
	set(&p, 1, IDS);
	keep(&p);
	set(&p, 5, 5);
	keep(&p);
	compare(&p);
	for (int i = 0; i < 30; i++) { /* each may move a part forward */
		take_back(&p, 7);
		keep(&p);
		set(&p, 7, 7);
		keep(&p);
	}
	assert_true(file_bytes(&p) <= 4 * SLOT_BYTES);
	open_left(&p, ours);
	compare(&p);
	place_close(&p);
}

static void what_is_not_committed_is_forgotten(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	left_note(p.left, 1, 100);
	left_note_back(p.left, 50);
	assert_true(left_takes_back(p.left));
	left_forget(p.left);
	assert_false(left_takes_back(p.left));
	keep(&p);
	compare(&p);
	place_close(&p);
}

static void change_byte(const struct place *p, off_t at)
{
	AUTOFREE char *path = mem_format("%s.left", p->dir.path);
	int fd = open(path, O_RDWR);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte = (unsigned char)(byte ^ 1U << at % 8);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	(void)close(fd);
}

/* One byte anywhere: what it knows is true, what it knows no more is told. */
static void a_wrong_byte_makes_no_bit(void **state)
{
	(void)state;
	for (off_t at = 3; at < 4 * SLOT_BYTES; at += 701) {
		struct place p;
		uint64_t known = 0;

		place_open(&p);
		for (uint64_t id = 1; id < (uint64_t)3 * 32256; id += 3)
			set(&p, id, id + 1);
		keep(&p);
		assert_int_equal(file_bytes(&p), 4 * SLOT_BYTES);
		change_byte(&p, at);
		open_left(&p, ours);
		assert_true(left_is_doubtful(p.left));
		for (uint64_t id = 1; id <= IDS; id++)
			if (left_has(p.left, id)) {
				known++;
				assert_int_equal(p.model[id], 1);
			}
		assert_true(at < SLOT_BYTES ? known == 0 : known >= 2 * 32256 / 3 * 2 - 2);
		set(&p, 1, 3 * 32256); /* and it goes on */
		keep(&p);
		open_left(&p, ours);
		assert_int_equal(left_count(p.left, 1, 3 * 32256), 3 * 32256);
		place_close(&p);
	}
}

static void another_spools_is_put_away(void **state)
{
	struct place p;
	AUTOFREE char *other = NULL;

	(void)state;
	place_open(&p);
	set(&p, 1, 40000);
	keep(&p);
	other = mem_format("%s.left.other", p.dir.path);
	assert_int_equal(access(other, F_OK), -1);
	open_left(&p, theirs);
	assert_true(left_is_doubtful(p.left));
	assert_int_equal(left_highest(p.left), 0);
	assert_int_equal(access(other, F_OK), 0);
	open_left(&p, theirs);
	assert_false(left_is_doubtful(p.left));
	left_close(p.left);
	p.left = left_open(&p.files, ours, false); /* whoever only looks moves nothing */
	assert_int_equal(left_highest(p.left), 0);
	place_close(&p);
}

/* Slots of another time between those of today: the later of two counts, and none lies in a run. */
static void old_slots_make_no_bit(void **state)
{
	struct place p;
	AUTOFREE char *path = NULL;
	unsigned char *old;
	off_t bytes;
	int fd;

	(void)state;
	place_open(&p);
	path = mem_format("%s.left", p.dir.path);
	for (uint64_t n = 0; n < 6; n++)
		set(&p, n * 32256 + 9, n * 32256 + 40);
	keep(&p);
	bytes = file_bytes(&p);
	old = malloc((size_t)bytes);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, old, (size_t)bytes, 0), bytes);
	set(&p, 1, (uint64_t)5 * 32256);
	keep(&p);
	take_back(&p, 3 * 32256 + 5);
	keep(&p);
	for (off_t slot = 1; slot < bytes / SLOT_BYTES; slot++) /* behind the file's end: as if it had not been cut */
		assert_int_equal(pwrite(fd, old + slot * SLOT_BYTES, SLOT_BYTES, (slot + 20) * SLOT_BYTES), SLOT_BYTES);
	open_left(&p, ours);
	compare(&p);
	(void)close(fd);
	free(old);
	place_close(&p);
}

/* Deleted or exchanged under a spool that runs: it comes back whole, and what is noted from then on stands in it. */
static void a_file_that_goes_comes_back(void **state)
{
	(void)state;
	for (int exchanged = 0; exchanged < 3; exchanged++) {
		struct place p;
		AUTOFREE char *path = NULL;
		off_t bytes;

		place_open(&p);
		path = mem_format("%s.left", p.dir.path);
		for (uint64_t n = 0; n < 6; n++)
			set(&p, n * 32256 + 9 + n, n * 32256 + 40);
		take_back(&p, 20);
		keep(&p);
		bytes = file_bytes(&p);
		left_look(p.left);
		assert_int_equal(file_bytes(&p), bytes);
		if (exchanged < 2)
			assert_int_equal(unlink(path), 0);
		if (exchanged == 1)
			spooldir_store(path, "another", 7);
		left_look(p.left);
		assert_int_equal(left_trouble(p.left), 0);
		assert_int_equal(file_bytes(&p), bytes);
		set(&p, 50, 60);
		keep(&p);
		open_left(&p, ours);
		assert_false(left_is_doubtful(p.left));
		compare(&p);
		place_close(&p);
	}
}

/*
 * The disk refuses each write from the n-th on while bits are set and taken back: that is known for as long as
 * something is missing, and with the first look that finds room all is there, what was taken back too.
 */
static void what_was_refused_is_written_when_there_is_room(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 8; n++) {
		struct place p;

		place_open(&p);
		set(&p, 40, 40 + n * 5000);
		keep(&p);
		faultfs_arm(FAULTFS_WRITE, n, ENOSPC, true);
		for (uint64_t i = 0; i < 4; i++) {
			set(&p, 1 + i * 33000, i * 33000 + 100 * n);
			if (i % 2 == n % 2)
				take_back(&p, 45 + i);
			keep(&p);
			left_look(p.left);
			assert_int_equal(left_trouble(p.left), faultfs_failed() > 0 ? ENOSPC : 0);
		}
		assert_int_equal(left_trouble(p.left), ENOSPC);
		ERRORWATCH_EXPECT(ERR_OK, NULL, NULL, "PATH.left on a full disk, write", n);
		faultfs_arm(0, 0, 0, false);
		left_look(p.left);
		assert_int_equal(left_trouble(p.left), 0);
		compare(&p);
		open_left(&p, ours);
		assert_false(left_is_doubtful(p.left));
		assert_int_equal(left_commit(p.left), p.commit);
		assert_int_equal(left_taken_back(p.left), n % 2 == 1 ? p.commit : p.commit - 1);
		compare(&p);
		place_close(&p);
	}
}

/* Likewise where its name went to another file, or to none, and the new one is refused in the middle. */
static void a_new_file_is_whole_or_tried_again(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 4; n++) {
		struct place p;

		place_open(&p);
		set(&p, 7, 60000);
		keep(&p);
		set(&p, 3 * 32256 + 5, 3 * 32256 + 9);
		keep(&p);
		assert_int_equal(unlink(spooldir_file(&p.dir, ".left")), 0);
		faultfs_arm(FAULTFS_WRITE, n, ENOSPC, true);
		left_look(p.left);
		left_look(p.left);
		assert_int_equal(left_trouble(p.left), ENOSPC);
		ERRORWATCH_EXPECT(ERR_OK, NULL, NULL, "PATH.left on a full disk, write", n);
		faultfs_arm(0, 0, 0, false);
		left_look(p.left);
		assert_int_equal(left_trouble(p.left), 0);
		open_left(&p, ours);
		assert_false(left_is_doubtful(p.left));
		assert_int_equal(left_commit(p.left), p.commit);
		compare(&p);
		place_close(&p);
	}
}

/* What cannot be written is told, with the reason. */
static void a_write_that_fails_is_told(void **state)
{
	static const int codes[] = {EIO, ENOSPC, EDQUOT};

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct place p;

		place_open(&p);
		set(&p, 1, 50);
		keep(&p);
		assert_int_equal(left_trouble(p.left), 0);
		set(&p, 60, 40000);
		faultfs_arm(FAULTFS_WRITE, 1, codes[i], true);
		keep(&p);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(left_trouble(p.left), codes[i]);
		place_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_order_it_stays_small),
	    cmocka_unit_test(any_order_is_what_was_set),
	    cmocka_unit_test(what_is_not_committed_is_forgotten),
	    cmocka_unit_test(a_wrong_byte_makes_no_bit),
	    cmocka_unit_test(another_spools_is_put_away),
	    cmocka_unit_test(old_slots_make_no_bit),
	    cmocka_unit_test(a_file_that_goes_comes_back),
	    cmocka_unit_test(what_was_refused_is_written_when_there_is_room),
	    cmocka_unit_test(a_new_file_is_whole_or_tried_again),
	    cmocka_unit_test(a_write_that_fails_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
