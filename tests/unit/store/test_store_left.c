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

#include "rig/faultfs.h"
#include "rig/left_place.h"

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
		if (round % 3 == 0) {
			const uint64_t commit = left_commit(p.left);

			open_left(&p, ours);
			assert_int_equal(left_commit(p.left), commit); /* as the file has it */
		}
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

/* Some bytes of each slot, and of the numbers of one of them every third. */
static off_t next_byte(off_t at)
{
	enum { FROM = 2 * SLOT_BYTES + 7, TO = FROM + 43 };

	if (at >= FROM && at < TO)
		return at + 3;
	return at < FROM && at + 701 > FROM ? FROM : at + 701;
}

/* One byte anywhere: what it knows is true, what it knows no more is told. */
static void a_wrong_byte_makes_no_bit(void **state)
{
	(void)state;
	for (off_t at = 3; at < 4 * SLOT_BYTES; at = next_byte(at)) {
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

/* Whichever half of its id is another's. */
static void another_spools_is_put_away(void **state)
{
	static const struct spool_id others[] = {{1, 3}, {2, 2}};

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		AUTOFREE char *other = NULL;
		struct place p;

		place_open(&p);
		set(&p, 1, 40000);
		keep(&p);
		other = mem_format("%s.left.other", p.dir.path);
		assert_int_equal(access(other, F_OK), -1);
		open_left(&p, others[i]);
		assert_true(left_is_doubtful(p.left));
		assert_int_equal(left_highest(p.left), 0);
		assert_int_equal(left_commit(p.left), 0);
		assert_int_equal(access(other, F_OK), 0);
		open_left(&p, others[i]);
		assert_false(left_is_doubtful(p.left));
		left_close(p.left);
		p.left = left_open(&p.files, ours, false); /* whoever only looks moves nothing */
		assert_int_equal(left_highest(p.left), 0);
		place_close(&p);
	}
}

/* A part far behind, when those before it became one: it moves forward, and is there still when the file ends earlier.
 * Written by a look, it stands in two slots for a while. */
static void what_moves_forward_is_not_lost(void **state)
{
	(void)state;
	for (int looks = 0; looks < 2; looks++) {
		struct place p;

		place_open(&p);
		for (uint64_t n = 0; n < 7; n++)
			set(&p, n * PART + 9, n * PART + 40);
		keep(&p);
		assert_int_equal(file_bytes(&p), 8 * SLOT_BYTES);
		set(&p, 1, 6 * PART);
		keep(&p);
		assert_int_equal(file_bytes(&p), 8 * SLOT_BYTES);
		if (looks) {
			left_look(p.left);
			open_left(&p, ours);
			compare(&p);
		}
		take_back(&p, 1);
		keep(&p);
		assert_int_equal(file_bytes(&p), 3 * SLOT_BYTES);
		open_left(&p, ours);
		compare(&p);
		set(&p, 7 * PART + 5, 7 * PART + 6); /* takes a slot that is free */
		keep(&p);
		assert_int_equal(file_bytes(&p), 4 * SLOT_BYTES);
		open_left(&p, ours);
		compare(&p);
		place_close(&p);
	}
}

/* Parts that are all ones without one before them, read again: what comes between them makes one of all. */
static void what_is_whole_joins_after_a_start(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	for (uint64_t n = 1; n < 8; n += 2)
		set(&p, n * PART + 1, (n + 1) * PART);
	keep(&p);
	compare(&p);
	open_left(&p, ours);
	compare(&p);
	open_left(&p, ours);
	for (uint64_t n = 0; n < 8; n += 2) {
		set(&p, n * PART + 1, (n + 1) * PART);
		keep(&p);
	}
	for (uint64_t i = 0; i < 2; i++) {
		take_back(&p, 9 + i);
		keep(&p);
	}
	assert_int_equal(file_bytes(&p), 2 * SLOT_BYTES);
	open_left(&p, ours);
	compare(&p);
	place_close(&p);
}

/* Several parts become whole in one group: what stands behind a slot that was never written is read again. */
static void what_is_whole_at_once_leaves_no_doubt(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	set(&p, 1, 3 * PART);
	set(&p, 5 * PART + 1, 5 * PART + 9);
	keep(&p);
	open_left(&p, ours);
	assert_false(left_is_doubtful(p.left));
	compare(&p);
	place_close(&p);
}

/* Notes that touch each other, of either kind, in the order in which they came. */
static void notes_of_one_group_count_in_turn(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	set(&p, 1, 5);
	set(&p, 6, 9);
	take_back(&p, 10);
	set(&p, 11, 12);
	take_back(&p, 4);
	take_back(&p, 5);
	set(&p, 6, 6);
	set(&p, 30, 40);
	take_back(&p, 35);
	set(&p, 35, 35);
	take_back(&p, 36);
	keep(&p);
	compare(&p);
	open_left(&p, ours);
	compare(&p);
	place_close(&p);
}

/* A group that changes nothing writes nothing, and is not the commit that wrote last; nor does a look. */
static void what_changes_nothing_is_not_written(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	set(&p, 5, 900);
	keep(&p);
	faultfs_arm(FAULTFS_CHANGES, 1, EIO, true);
	set(&p, 7, 20);
	keep(&p);
	set(&p, 900, 900);
	keep(&p);
	left_look(p.left);
	assert_int_equal(faultfs_failed(), 0);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(left_commit(p.left), 1);
	open_left(&p, ours);
	assert_int_equal(left_commit(p.left), 1);
	compare(&p);
	place_close(&p);
}

/* One that has no byte is as none; one that is too short is not what was written. One without a part is whole. */
static void a_short_file_is_told(void **state)
{
	AUTOFREE char *path = NULL;
	struct place p;

	(void)state;
	place_open(&p);
	path = mem_format("%s.left", p.dir.path);
	left_close(take(p.left));
	spooldir_store(path, "", 0);
	open_left(&p, ours);
	assert_false(left_is_doubtful(p.left));
	left_close(take(p.left));
	spooldir_store(path, "short", 5);
	open_left(&p, ours);
	assert_true(left_is_doubtful(p.left));
	open_left(&p, ours);
	assert_false(left_is_doubtful(p.left));
	assert_int_equal(file_bytes(&p), SLOT_BYTES);
	assert_int_equal(unlink(path), 0);
	left_look(p.left);
	assert_int_equal(file_bytes(&p), SLOT_BYTES);
	open_left(&p, ours);
	assert_false(left_is_doubtful(p.left));
	place_close(&p);
}

/* More parts than are held in memory change in one group, and again in the next. */
static void more_parts_than_memory_holds(void **state)
{
	enum { PARTS = 40 };
	struct place p;

	(void)state;
	place_open(&p);
	for (uint64_t round = 0; round < 3; round++) {
		for (uint64_t n = 0; n < PARTS; n++)
			left_note(p.left, n * PART + 10 + round * 100, n * PART + 19 + round * 100 + n);
		for (uint64_t n = 0; n < PARTS; n += 3)
			left_note_back(p.left, n * PART + 12 + round * 100);
		keep(&p);
		if (round == 1)
			open_left(&p, ours);
		for (uint64_t n = 0; n < PARTS; n++) {
			const uint64_t each = 10 + n - (n % 3 == 0);

			assert_int_equal(left_count(p.left, n * PART + 1, (n + 1) * PART), (round + 1) * each);
			for (uint64_t r = 0; r <= round; r++) {
				const uint64_t first = n * PART + 10 + r * 100;

				assert_true(left_has(p.left, first));
				assert_true(left_has(p.left, first + 9 + n));
				assert_int_equal(left_has(p.left, first + 2), n % 3 != 0);
				assert_false(left_has(p.left, first - 1));
				assert_false(left_has(p.left, first + 10 + n));
			}
		}
	}
	assert_int_equal(file_bytes(&p), (PARTS + 1) * SLOT_BYTES);
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
	for (int i = 0; i < 2; i++) { /* they stand in nobody's way, and go */
		take_back(&p, 3 * 32256 + 6 + (uint64_t)i);
		keep(&p);
	}
	assert_true(file_bytes(&p) <= 6 * SLOT_BYTES);
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
		assert_false(left_look(p.left));
		assert_int_equal(file_bytes(&p), bytes);
		if (exchanged < 2)
			assert_int_equal(unlink(path), 0);
		if (exchanged == 1)
			spooldir_store(path, "another", 7);
		assert_int_equal(left_look(p.left), exchanged < 2);
		assert_int_equal(left_trouble(p.left), 0);
		assert_int_equal(file_bytes(&p), bytes);
		assert_int_equal(access(spooldir_file(&p.dir, ".left.other"), F_OK) == 0, exchanged == 1);
		set(&p, 50, 60);
		keep(&p);
		open_left(&p, ours);
		assert_false(left_is_doubtful(p.left));
		compare(&p);
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
	    cmocka_unit_test(what_moves_forward_is_not_lost),
	    cmocka_unit_test(what_is_whole_joins_after_a_start),
	    cmocka_unit_test(what_is_whole_at_once_leaves_no_doubt),
	    cmocka_unit_test(notes_of_one_group_count_in_turn),
	    cmocka_unit_test(what_changes_nothing_is_not_written),
	    cmocka_unit_test(a_short_file_is_told),
	    cmocka_unit_test(more_parts_than_memory_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
