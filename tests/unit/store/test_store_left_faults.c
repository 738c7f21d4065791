/*
 * PATH.left on a disk that refuses, beside a plain array of bits: what cannot be read or written is told, what was
 * refused is written when it can be, and no bit is made at any kill.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/left_place.h"

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

/* Killed before each operation of it: what stands there then proves nothing, or all. */
static void half_of_a_new_file_proves_nothing(void **state)
{
	bool is_done = false;

	(void)state;
	for (uint64_t n = 1; !is_done; n++) {
		struct place p;
		int status;
		pid_t child;

		place_open(&p);
		left_be_whole_from(p.left, 1);
		for (uint64_t i = 0; i < 4; i++)
			set(&p, i * 32256 + 2, i * 32256 + 30000);
		keep(&p);
		assert_int_equal(unlink(spooldir_file(&p.dir, ".left")), 0);
		spooldir_store(spooldir_file(&p.dir, ".left"), "anothers", 8);
		child = fork();
		if (child == 0) {
			faultfs_arm(FAULTFS_CHANGES, n, FAULTFS_KILL, false);
			_exit(left_look(p.left) ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		is_done = WIFEXITED(status);
		assert_true(!is_done || WEXITSTATUS(status) == 0);
		open_left(&p, ours);
		assert_true(!is_done || left_whole_from(p.left) == 1);
		if (left_whole_from(p.left) > 0)
			compare(&p);
		place_close(&p);
		assert_true(n < 50);
	}
}

/* One that the new name cannot be given stays as it was. */
static void what_cannot_be_moved_away_is_not_written_to(void **state)
{
	AUTOFREE unsigned char *bytes = NULL;
	struct place p;
	size_t count;

	(void)state;
	place_open(&p);
	set(&p, 1, 50);
	keep(&p);
	assert_int_equal(unlink(spooldir_file(&p.dir, ".left")), 0);
	spooldir_store(spooldir_file(&p.dir, ".left"), "anothers", 8);
	faultfs_arm(FAULTFS_RENAME, 1, EIO, true);
	assert_false(left_look(p.left));
	ERRORWATCH_EXPECT(ERR_OK, NULL, NULL, "PATH.left in another's place, rename", 1);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(left_trouble(p.left), EIO);
	bytes = spooldir_load(spooldir_file(&p.dir, ".left"), &count);
	assert_int_equal(count, 8);
	assert_true(left_look(p.left));
	assert_int_equal(left_trouble(p.left), 0);
	assert_int_equal(access(spooldir_file(&p.dir, ".left.other"), F_OK), 0);
	place_close(&p);
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

/* What stands there cannot be moved away, or not be opened: it stays as it is, nothing is written, and that is told. */
static void what_is_in_the_way_stays(void **state)
{
	static const struct {
		unsigned kind;
		bool is_doubtful;
		struct spool_id id;
	} ways[] = {{FAULTFS_RENAME, true, {1, 3}}, {FAULTFS_OPEN, true, {1, 2}}};

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		AUTOFREE unsigned char *before = NULL, *after = NULL;
		AUTOFREE char *path = NULL;
		size_t bytes, bytes_after;
		struct place p;

		place_open(&p);
		path = mem_format("%s.left", p.dir.path);
		set(&p, 1, 40000);
		keep(&p);
		before = spooldir_load(path, &bytes);
		faultfs_arm(ways[i].kind, 1, EIO, true);
		open_left(&p, ways[i].id);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(left_trouble(p.left), EIO);
		assert_true(left_is_doubtful(p.left));
		set(&p, 50000, 50000);
		keep(&p);
		left_look(p.left);
		left_sync(p.left, p.commit);
		assert_true(left_has(p.left, 50000));
		assert_false(left_has(p.left, 7));
		after = spooldir_load(path, &bytes_after);
		assert_int_equal(bytes_after, bytes);
		assert_memory_equal(after, before, bytes);
		place_close(&p);
	}
}

/* A sector of it is dead: half of what was known is not believed, and a new file begins, as small as one that is new.
 */
static void a_dead_sector_ends_the_file(void **state)
{
	(void)state;
	for (int64_t slot = 0; slot < 5; slot++) {
		AUTOFREE char *other = NULL;
		struct place p;

		place_open(&p);
		other = mem_format("%s.left.other", p.dir.path);
		set(&p, 1, 2 * PART);
		for (uint64_t n = 3; n < 5; n++)
			set(&p, n * PART + 9, n * PART + 40);
		keep(&p);
		faultfs_dead(".left", slot * SLOT_BYTES + 512, 512);
		open_left(&p, ours);
		faultfs_dead(NULL, 0, 0);
		assert_true(left_is_doubtful(p.left));
		assert_int_equal(left_highest(p.left), 0);
		assert_int_equal(left_count(p.left, 1, IDS), 0);
		assert_int_equal(left_commit(p.left), 0);
		assert_int_equal(access(other, F_OK), 0);
		memset(p.model, 0, IDS + 1);
		set(&p, 5, 6);
		keep(&p);
		assert_int_equal(file_bytes(&p), 2 * SLOT_BYTES);
		open_left(&p, ours);
		assert_false(left_is_doubtful(p.left));
		compare(&p);
		place_close(&p);
	}
}

static void left_sync_reaches_the_disk(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	set(&p, 1, 50);
	keep(&p);
	faultfs_arm(FAULTFS_SYNC, 1, EIO, false);
	left_sync(p.left, p.commit);
	assert_int_equal(faultfs_failed(), 1);
	assert_non_null(strstr(faultfs_what(), ".left"));
	faultfs_arm(0, 0, 0, false);
	place_close(&p);
}

/* A part of it could not be written: a later run, that knows what is there alone, must not take it for all. */
static void what_lacks_a_part_is_not_whole(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	left_be_whole_from(p.left, 1);
	set(&p, 1, 100);
	keep(&p);
	open_left(&p, ours);
	assert_int_equal(left_whole_from(p.left), 1);
	set(&p, 101, 102);
	set(&p, 40000, 40000);
	faultfs_arm(FAULTFS_WRITE, 2, ENOSPC, false);
	keep(&p);
	assert_int_equal(faultfs_failed(), 1);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(left_whole_from(p.left), 1);
	left_close(p.left);
	p.left = left_open(&p.files, ours, false);
	assert_true(left_has(p.left, 101) != left_has(p.left, 40000));
	assert_int_equal(left_commit(p.left), p.commit);
	assert_int_equal(left_whole_from(p.left), 0);
	place_close(&p);
}

/* More parts than memory holds: some bits in each. */
enum { MANY = 24 };

static void set_in_each_part(struct place *p, uint64_t place)
{
	for (uint64_t n = 0; n < MANY; n++)
		left_note(p->left, n * PART + place, n * PART + place + 3);
	keep(p);
}

static uint64_t count_in_each_part(struct place *p, uint64_t place)
{
	uint64_t n = 0;

	for (uint64_t part = 0; part < MANY; part++)
		n += left_count(p->left, part * PART + place, part * PART + place + 3);
	return n;
}

/* Whichever write fails, alone or with all behind it: as long as the file lacks something it does not say that it is
 * whole, or says less than a tide mark would. */
static void what_says_it_is_whole_is(void **state)
{
	(void)state;
	for (int behind = 0; behind < 2; behind++)
		for (uint64_t n = 1, failed = 1; failed > 0; n++) {
			struct place p;
			uint64_t due;

			place_open(&p);
			left_be_whole_from(p.left, 1);
			set_in_each_part(&p, 9);
			faultfs_arm(FAULTFS_WRITE, n, ENOSPC, behind);
			set_in_each_part(&p, 90);
			(void)count_in_each_part(&p, 9);
			failed = faultfs_failed();
			faultfs_arm(0, 0, 0, false);
			due = left_commit_due(p.left);
			left_close(p.left);
			p.left = left_open(&p.files, ours, false);
			if (count_in_each_part(&p, 9) + count_in_each_part(&p, 90) < (uint64_t)2 * 4 * MANY)
				assert_true(left_whole_from(p.left) == 0 || left_commit(p.left) < due);
			else
				assert_true((left_whole_from(p.left) == 1 && left_commit(p.left) == due) || failed > 0);
			place_close(&p);
		}
}

/* A part that was written and is not there when it is needed again: it has no bit, and is said to be missing. */
static void what_cannot_be_read_again_is_not_whole(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		AUTOFREE unsigned char *bytes = NULL;
		struct place p;
		size_t count;

		place_open(&p);
		left_be_whole_from(p.left, 1);
		set_in_each_part(&p, 9);
		bytes = spooldir_load(spooldir_file(&p.dir, ".left"), &count);
		bytes[2 * SLOT_BYTES + 100] ^= 1;
		if (way == 0)
			spooldir_store(spooldir_file(&p.dir, ".left"), bytes, count);
		else if (way == 1)
			faultfs_dead(".left", 2 * SLOT_BYTES, 512);
		assert_int_equal(count_in_each_part(&p, 9), 4 * (MANY - (way < 2)));
		faultfs_dead(NULL, 0, 0);
		assert_int_equal(left_whole_from(p.left), way < 2 ? 0 : 1);
		assert_int_equal(left_trouble(p.left), way == 1 ? EIO : 0);
		left_note(p.left, 40, 40);
		keep(&p);
		open_left(&p, ours);
		assert_int_equal(left_whole_from(p.left), way < 2 ? 0 : 1);
		place_close(&p);
	}
}

/* Whose file it is: an answer, or the reason why there is none. */
static void whose_it_is_is_told(void **state)
{
	static const unsigned kinds[] = {FAULTFS_OPEN, FAULTFS_READ};
	struct spool_id id = {9, 9};
	struct place p;
	struct error e;

	(void)state;
	place_open(&p);
	assert_int_equal(left_find(&p.files, &id, &e), ERR_OK);
	assert_true(spool_id_is(id, ours));
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		faultfs_arm(kinds[i], 1, EIO, false);
		assert_int_equal(left_find(&p.files, &id, &e), ERR_DISK);
		faultfs_arm(0, 0, 0, false);
		assert_non_null(strstr(e.text, ".left"));
		assert_false(spool_id_is_known(id));
	}
	spooldir_store(spooldir_file(&p.dir, ".left"), "short", 5);
	assert_int_equal(left_find(&p.files, &id, &e), ERR_OK);
	assert_false(spool_id_is_known(id));
	assert_int_equal(unlink(spooldir_file(&p.dir, ".left")), 0);
	assert_int_equal(left_find(&p.files, &id, &e), ERR_OK);
	assert_false(spool_id_is_known(id));
	place_close(&p);
}

/* Until it can be. */
static void what_is_written_later_is_whole_again(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	left_be_whole_from(p.left, 7);
	set(&p, 10, 100);
	faultfs_arm(FAULTFS_WRITE, 1, ENOSPC, false);
	keep(&p);
	faultfs_arm(0, 0, 0, false);
	left_sync(p.left, p.commit);
	assert_int_equal(left_synced(p.left), 0);
	left_look(p.left);
	left_sync(p.left, p.commit);
	open_left(&p, ours);
	compare(&p);
	assert_int_equal(left_whole_from(p.left), 7);
	assert_int_equal(left_synced(p.left), p.commit);
	place_close(&p);
}

/* What was taken back is on the disk before the file says so; until then it is said with the next look. */
static void what_is_taken_back_is_synced_before_it_is_said(void **state)
{
	struct place p;
	uint64_t said;

	(void)state;
	place_open(&p);
	set(&p, 1, 50);
	take_back(&p, 60);
	keep(&p);
	said = left_taken_back(p.left);
	assert_int_equal(said, p.commit);
	take_back(&p, 7);
	faultfs_arm(FAULTFS_SYNC, 1, EIO, true);
	keep(&p);
	assert_int_equal(faultfs_failed(), 1);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(left_taken_back(p.left), said);
	left_close(p.left);
	p.left = left_open(&p.files, ours, false);
	assert_int_equal(left_taken_back(p.left), said);
	compare(&p);
	open_left(&p, ours);
	take_back(&p, 8);
	faultfs_arm(FAULTFS_SYNC, 1, EIO, true);
	keep(&p);
	faultfs_arm(0, 0, 0, false);
	left_look(p.left);
	assert_int_equal(left_taken_back(p.left), p.commit);
	faultfs_arm(FAULTFS_SYNC, 1, EIO, true);
	left_look(p.left); /* nothing is due any more */
	assert_int_equal(faultfs_failed(), 0);
	faultfs_arm(0, 0, 0, false);
	open_left(&p, ours);
	assert_int_equal(left_taken_back(p.left), p.commit);
	place_close(&p);
}

/* Some of it finds no room: until all of it does, nothing that was taken back is said to have been. */
static void what_is_taken_back_is_said_when_all_is_written(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	set(&p, 1, 50);
	keep(&p);
	faultfs_disk(p.dir.dir, 0);
	set(&p, 3 * PART + 1, 3 * PART + 9);
	take_back(&p, 7);
	keep(&p);
	assert_int_equal(left_trouble(p.left), ENOSPC);
	left_look(p.left);
	assert_int_equal(left_trouble(p.left), ENOSPC);
	assert_int_equal(left_taken_back(p.left), 0);
	faultfs_disk(NULL, 0);
	left_look(p.left);
	assert_int_equal(left_trouble(p.left), 0);
	assert_int_equal(left_taken_back(p.left), p.commit);
	open_left(&p, ours);
	assert_int_equal(left_taken_back(p.left), p.commit);
	compare(&p);
	place_close(&p);
}

/*
 * A kill before the n-th write: whatever the file knows then is true, but for what was taken back and is not said to
 * have been.
 */
static void a_kill_at_any_write_makes_no_bit(void **state)
{
	(void)state;
	for (uint64_t n = 1, was_killed = 1; was_killed && n < 400; n++) {
		uint64_t back_at[200] = {0};
		struct place p;

		srand(7);
		place_open(&p);
		faultfs_arm(FAULTFS_WRITE, n, EIO, true);
		for (int round = 0; round < 30; round++) {
			const uint64_t first = 1 + (uint64_t)rand() % (6 * PART), id = 1 + (uint64_t)rand() % 199;
			const uint64_t last = first + (uint64_t)rand() % (3 * PART);

			set(&p, first, last);
			if (round % 3 == 1) {
				take_back(&p, id);
				back_at[id] = p.commit + 1;
			}
			keep(&p);
			if (faultfs_failed() > 0)
				break;
		}
		was_killed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		open_left(&p, ours);
		for (uint64_t id = 1; id <= IDS; id++)
			if (left_has(p.left, id) && !p.model[id])
				assert_true(id < 200 && back_at[id] > left_taken_back(p.left));
		if (!was_killed)
			compare(&p);
		place_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_refused_is_written_when_there_is_room),
	    cmocka_unit_test(a_new_file_is_whole_or_tried_again),
	    cmocka_unit_test(half_of_a_new_file_proves_nothing),
	    cmocka_unit_test(what_cannot_be_moved_away_is_not_written_to),
	    cmocka_unit_test(a_write_that_fails_is_told),
	    cmocka_unit_test(what_is_in_the_way_stays),
	    cmocka_unit_test(a_dead_sector_ends_the_file),
	    cmocka_unit_test(left_sync_reaches_the_disk),
	    cmocka_unit_test(what_lacks_a_part_is_not_whole),
	    cmocka_unit_test(whose_it_is_is_told),
	    cmocka_unit_test(what_says_it_is_whole_is),
	    cmocka_unit_test(what_cannot_be_read_again_is_not_whole),
	    cmocka_unit_test(what_is_written_later_is_whole_again),
	    cmocka_unit_test(what_is_taken_back_is_synced_before_it_is_said),
	    cmocka_unit_test(what_is_taken_back_is_said_when_all_is_written),
	    cmocka_unit_test(a_kill_at_any_write_makes_no_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
