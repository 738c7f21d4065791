/*
 * PATH.left slot by slot, in memory and on the disk, beside a model of what each group says: after each group both are
 * exactly what the model makes, no slot is taken that is nobody's, and whoever opens the file sees what the writer has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/byte_order.h"
#include "base/crc32c.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/files/left_parts.h"

enum { PARTS = 6, IDS = PARTS * PART_IDS, SLOTS_MAX = 40 };

static const struct spool_id ours = {0x1122334455667788, 0x99aabbccddeeff01};
static struct spooldir d;
static struct files f;
static struct left *l;
static struct {
	unsigned char has[IDS + 1]; /* a byte an id */
	uint64_t commit, taken_back, whole_from, synced;
} model;

static int begin(void **state)
{
	struct error e;

	(void)state;
	memset(&model, 0, sizeof model);
	spooldir_make(&d);
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	l = left_open(&f, ours, true);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultfs_arm(0, 0, 0, false);
	left_close(l);
	files_close(&f);
	spooldir_remove(&d);
	return 0;
}

static uint32_t model_ones(uint64_t number)
{
	uint32_t n = 0;

	for (uint64_t id = number * PART_IDS + 1; id <= (number + 1) * PART_IDS; id++)
		n += model.has[id];
	return n;
}

/* The slot that a part of the model is, by the format. */
static void slot_of_model(const struct part *p, unsigned char bytes[SLOT_BYTES])
{
	memset(bytes, 0, SLOT_BYTES);
	memcpy(bytes, "kspart01", 8);
	put_little(bytes + 8, ours.high, 8);
	put_little(bytes + 16, ours.low, 8);
	put_little(bytes + 24, p->number, 8);
	put_little(bytes + 32, p->run, 8);
	put_little(bytes + 40, p->commit, 8);
	for (uint32_t i = 0; i < PART_IDS; i++)
		bytes[48 + i / 8] |= (unsigned char)(model.has[p->number * PART_IDS + i + 1] << i % 8);
	put_little(bytes + 4092, crc32c(0, bytes, 4092), 4);
}

static void head_of_model(unsigned char bytes[SLOT_BYTES])
{
	memset(bytes, 0, SLOT_BYTES);
	memcpy(bytes, "ksleft01", 8);
	put_little(bytes + 8, ours.high, 8);
	put_little(bytes + 16, ours.low, 8);
	put_little(bytes + 24, model.taken_back, 8);
	put_little(bytes + 32, model.whole_from, 8);
	put_little(bytes + 40, model.synced, 8);
	put_little(bytes + 4092, crc32c(0, bytes, 4092), 4);
}

/* Parts ascend, none in another's run, none that should be of one, and each says what the model says. */
static void check_memory(void)
{
	uint64_t due = 0, highest = 0;
	unsigned owners[SLOTS_MAX] = {0};

	for (size_t i = 0; i < l->count; i++) {
		const struct part *p = &l->parts[i];

		for (; due < p->number; due++)
			assert_int_equal(model_ones(due), 0);
		assert_int_equal(p->number, due);
		assert_int_equal(p->ones, model_ones(due));
		assert_true(p->commit <= l->commit);
		assert_true(p->slot > 0 && p->slot < l->slots);
		assert_int_equal(owners[p->slot]++, 0);
		assert_int_equal(l->slot_uses[p->slot], SLOT_USED);
		for (due++; due <= p->number + p->run; due++)
			assert_int_equal(model_ones(due), PART_IDS);
		if (i + 1 < l->count && l->parts[i + 1].number == due)
			assert_int_not_equal(l->parts[i + 1].ones, PART_IDS);
	}
	for (; due < PARTS; due++)
		assert_int_equal(model_ones(due), 0);
	for (uint32_t slot = 1; slot < l->slots; slot++)
		assert_int_equal(l->slot_uses[slot] == SLOT_USED, owners[slot] > 0);
	for (uint64_t id = 1; id <= IDS; id++)
		highest = model.has[id] ? id : highest;
	assert_int_equal(left_highest(l), highest);
	for (size_t i = 0; i < LOADED; i++)
		for (size_t k = i + 1; k < LOADED; k++)
			assert_false(l->loaded[i].used > 0 && l->loaded[k].used > 0 &&
			             l->loaded[i].number == l->loaded[k].number);
}

/* All that is there is what the model makes; what is nobody's is a slot that is whole. */
static void check_disk(void)
{
	size_t count;
	unsigned char *file = spooldir_load(spooldir_file(&d, ".left"), &count), want[SLOT_BYTES];

	assert_int_equal(count, (size_t)l->slots * SLOT_BYTES);
	head_of_model(want);
	assert_memory_equal(file, want, SLOT_BYTES);
	for (size_t i = 0; i < l->count; i++) {
		slot_of_model(&l->parts[i], want);
		assert_memory_equal(file + (size_t)l->parts[i].slot * SLOT_BYTES, want, SLOT_BYTES);
	}
	for (uint32_t slot = 1; slot < l->slots; slot++)
		assert_true(left_is_slot(file + (size_t)slot * SLOT_BYTES, left_part_magic));
	free(file);
}

/* Whoever opens it sees what the writer has. */
static void check_reader(bool writes)
{
	struct left *other = left_open(&f, ours, writes);
	uint64_t latest = 0;

	assert_int_equal(left_trouble(other), 0);
	assert_false(left_is_doubtful(other));
	assert_int_equal(other->count, l->count);
	for (size_t i = 0; i < l->count; i++) {
		assert_memory_equal(&other->parts[i], &l->parts[i], sizeof *l->parts);
		latest = l->parts[i].commit > latest ? l->parts[i].commit : latest;
	}
	assert_int_equal(other->slots, l->slots);
	for (uint32_t slot = 1; slot < l->slots; slot++)
		assert_int_equal(other->slot_uses[slot] == SLOT_USED, l->slot_uses[slot] == SLOT_USED);
	assert_true(left_commit(other) >= latest && left_commit(other) <= left_commit(l));
	assert_int_equal(left_taken_back(other), model.taken_back);
	assert_int_equal(left_whole_from(other), model.whole_from);
	assert_int_equal(left_synced(other), model.synced);
	if (!writes) {
		left_close(other);
		return;
	}
	left_close(l);
	l = other;
}

static void check(void)
{
	unsigned moved = 0;

	check_memory();
	for (size_t i = 0; i < LOADED; i++)
		moved += l->loaded[i].used > 0 && l->loaded[i].is_dirty;
	assert_true(moved <= 1 && !l->head_is_due); /* what moves forward in the file is written with the next group */
	left_look(l);
	check_disk();
	check_reader(false);
}

static bool set(uint64_t first, uint64_t last)
{
	bool is_new = false;

	left_note(l, first, last);
	for (uint64_t id = first; id <= last; id++) {
		is_new |= !model.has[id];
		model.has[id] = 1;
	}
	return is_new;
}

static bool take_back(uint64_t id)
{
	const bool had = model.has[id];

	left_note_back(l, id);
	model.has[id] = 0;
	return had;
}

static void keep(bool changed, bool takes_back)
{
	const uint64_t before = left_commit(l);

	left_keep(l, ++model.commit);
	if (takes_back)
		model.taken_back = model.commit;
	assert_true(left_commit(l) == model.commit || (!changed && left_commit(l) == before));
	assert_int_equal(left_trouble(l), 0);
	assert_false(left_takes_back(l));
	assert_int_equal(left_noted(l).count, 0);
}

/* An id near the edge of a part, or of a byte in it. */
static uint64_t some_id(void)
{
	static const uint64_t places[] = {1, 2, 8, 9, 16, 17, PART_IDS - 8, PART_IDS - 7, PART_IDS - 1, PART_IDS};
	const uint64_t base = (uint64_t)(rand() % PARTS) * PART_IDS;

	if (rand() % 4 == 0)
		return base + 1 + (uint64_t)rand() % PART_IDS;
	return base + places[(size_t)rand() % (sizeof places / sizeof *places)];
}

static void each_group_is_what_stands_there(void **state)
{
	(void)state;
	srand(71);
	for (int round = 0; round < 120; round++) {
		bool changed = false, takes_back = false;

		for (int i = rand() % 5; i >= 0; i--) {
			const uint64_t first = some_id(), last = some_id();

			if (rand() % 3 == 0) {
				changed |= take_back(first);
				takes_back = true;
			} else if (first <= last && last - first < 3 * PART_IDS) {
				changed |= set(first, last);
			} else {
				changed |= set(first, first);
			}
		}
		keep(changed, takes_back);
		check();
		if (round % 4 == 3)
			check_reader(true);
		if (round % 7 == 6) {
			model.synced = left_commit(l);
			left_sync(l, model.synced);
			model.whole_from = (uint64_t)rand() % IDS;
			left_be_whole_from(l, model.whole_from);
			check_disk();
		}
	}
	for (int i = 0; i < PARTS; i++) { /* all that is known becomes one part, and the file as small as that */
		keep(set(1, IDS), false);
		keep(take_back(7), true);
		keep(set(7, 7), false);
	}
	check();
	assert_int_equal(l->count, 1);
	assert_true(l->slots <= 4);
}

/* One write of a group is refused, or its sync: the next look makes up for it, and nothing is written in another's
 * place.
 */
static void a_write_that_fails_is_made_up_for(void **state)
{
	unsigned failed = 0;

	(void)state;
	srand(72);
	for (int round = 0; round < 150; round++) {
		bool takes_back = false;

		for (int i = rand() % 5; i >= 0; i--) {
			const uint64_t first = some_id(), last = some_id();

			if (rand() % 3 == 0) {
				(void)take_back(first);
				takes_back = true;
			} else {
				(void)set(first, first <= last ? last : first);
			}
		}
		faultfs_arm(FAULTFS_WRITE | FAULTFS_SYNC, 1 + (uint64_t)rand() % 4, ENOSPC, rand() % 3 == 0);
		left_keep(l, ++model.commit);
		failed += faultfs_failed() > 0;
		faultfs_arm(0, 0, 0, false);
		if (takes_back)
			model.taken_back = model.commit;
		left_look(l);
		assert_int_equal(left_trouble(l), 0);
		check_memory();
		left_keep(l, model.commit); /* which changes nothing */
		(void)set(IDS, IDS);
		left_keep(l, ++model.commit);
		check();
	}
	assert_true(failed > 60);
}

/* A slot that is not what it was when it is asked for: nothing of it is known, and the file says that it lacks some. */
static void what_cannot_be_read_any_more_is_none(void **state)
{
	const uint64_t rounds[][2] = {{1, 8}, {PART_IDS + 1, 2 * PART_IDS - 1}};

	(void)state;
	for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++)
		keep(set(rounds[i][0], rounds[i][1]), false);
	left_be_whole_from(l, 1);
	for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
		size_t count;
		unsigned char *file;

		left_close(l);
		l = left_open(&f, ours, true);
		assert_int_equal(left_whole_from(l), i == 0);
		assert_int_equal(l->parts[i].ones, rounds[i][1] - rounds[i][0] + 1);
		file = spooldir_load(spooldir_file(&d, ".left"), &count);
		file[l->parts[i].slot * SLOT_BYTES + SLOT_BITS + 100] ^= 16;
		spooldir_store(spooldir_file(&d, ".left"), file, count);
		free(file);
		left_note(l, rounds[i][0] + 2, rounds[i][0] + 3);
		left_keep(l, ++model.commit);
		assert_int_equal(l->parts[i].ones, 2);
		assert_int_equal(left_whole_from(l), 0);
	}
}

/* What becomes one with the part before it, and finds no room for its slot: the slot is filled, and is no part's. */
static void a_slot_that_was_not_written_is_filled(void **state)
{
	(void)state;
	keep(set(PART_IDS + 1, 2 * PART_IDS), false);
	(void)set(2 * PART_IDS + 1, 3 * PART_IDS);
	(void)set(4 * PART_IDS + 1, 4 * PART_IDS + 9); /* behind it in the file */
	faultfs_arm(FAULTFS_WRITE, 1, ENOSPC, false);
	left_keep(l, ++model.commit);
	assert_int_equal(faultfs_failed(), 1);
	faultfs_arm(0, 0, 0, false);
	check();
	assert_int_equal(l->count, 2);
	assert_int_equal(l->parts[0].number, 1);
	assert_int_equal(l->parts[0].run, 1);
	check_reader(true);
}

/* A part moves forward in the file: until it was written there it stands where it stood. */
static void what_moves_stays_until_it_was_written(void **state)
{
	struct left *other;

	(void)state;
	for (uint64_t n = 0; n < PARTS; n++)
		(void)set(n * PART_IDS + 9, n * PART_IDS + 40);
	keep(true, false);
	keep(set(1, (PARTS - 1) * PART_IDS), false);
	faultfs_arm(FAULTFS_WRITE, 1, ENOSPC, false);
	left_look(l);
	assert_int_equal(faultfs_failed(), 1);
	faultfs_arm(0, 0, 0, false);
	other = left_open(&f, ours, false);
	assert_false(left_is_doubtful(other));
	assert_int_equal(left_count(other, 1, IDS), (PARTS - 1) * PART_IDS + 32);
	left_close(other);
	check();
}

/* A part in the middle, at the front and at the end of what is one goes, and comes back. */
static void a_run_is_cut_and_joined_anywhere(void **state)
{
	(void)state;
	for (uint64_t number = 0; number < PARTS; number++) {
		keep(set(1, IDS), false);
		check();
		assert_int_equal(l->count, 1);
		for (uint64_t other = 0; other < PARTS; other++) {
			keep(take_back(number * PART_IDS + 9), true);
			check();
			assert_int_equal(l->count, number == 0 ? 1 : 2);
			keep(take_back(other * PART_IDS + 10), true);
			check();
			keep(set(number * PART_IDS + 9, number * PART_IDS + 9), false);
			check();
			keep(set(other * PART_IDS + 10, other * PART_IDS + 10), false);
			check();
			assert_int_equal(l->count, 1);
		}
	}
	for (uint64_t id = 1; id <= IDS; id += 1000) { /* of what is not there nothing is taken */
		const uint64_t first = left_count(l, id, id);

		assert_int_equal(first, 1);
	}
	left_clear(l, IDS + 5);
	check_memory();
}

/* Notes that touch are one; and a place among them is the state they had then. */
static void notes_are_gathered(void **state)
{
	static const struct {
		uint64_t first, last;
		bool is_back;
		size_t count;
	} notes[] = {{1, 5, false, 1},   {6, 9, false, 1},   {10, 10, true, 2},  {11, 11, true, 2},
	             {12, 13, false, 3}, {15, 16, false, 4}, {16, 20, false, 5}, {21, 21, true, 6},
	             {23, 23, true, 7},  {22, 22, true, 8},  {24, 24, false, 9}, {25, 30, false, 9}};
	enum { NOTES = sizeof notes / sizeof *notes };
	struct left_place places[NOTES + 1];

	(void)state;
	places[0] = left_noted(l);
	assert_int_equal(places[0].count, 0);
	assert_int_equal(places[0].last, 0);
	for (size_t i = 0; i < NOTES; i++) {
		if (notes[i].is_back)
			left_note_back(l, notes[i].first);
		else
			left_note(l, notes[i].first, notes[i].last);
		places[i + 1] = left_noted(l);
		assert_int_equal(places[i + 1].count, notes[i].count);
		assert_int_equal(places[i + 1].last, notes[i].last);
	}
	for (size_t i = NOTES + 1; i-- > 0;) {
		left_forget_since(l, places[i]);
		assert_int_equal(left_noted(l).count, places[i].count);
		assert_int_equal(left_noted(l).last, places[i].last);
	}
	left_forget(l);
	for (uint64_t n = 0; n < 300; n++) /* more than there was room for */
		(void)set(5 + n * 2, 5 + n * 2);
	assert_int_equal(left_noted(l).count, 300);
	keep(true, false);
	check();
	assert_int_equal(left_count(l, 1, IDS), 300);
	assert_int_equal(left_count(l, 1, 603), 300);
	assert_int_equal(left_count(l, 6, 602), 298);
}

/* A sync, a place from which on it is whole, and a group are written where they say something new, and nowhere else. */
static void what_says_nothing_new_is_not_written(void **state)
{
	(void)state;
	keep(set(3, 4), false);
	left_sync(l, 1);
	model.synced = 1;
	left_be_whole_from(l, 3);
	model.whole_from = 3;
	check();
	faultfs_arm(FAULTFS_CHANGES, 1, EIO, true);
	left_sync(l, 1);
	left_be_whole_from(l, 3);
	left_keep(l, 9);
	left_look(l);
	assert_int_equal(faultfs_failed(), 0);
	left_sync(l, 2);
	assert_int_equal(faultfs_failed(), 1);
	left_be_whole_from(l, 4);
	assert_int_equal(faultfs_failed(), 2);
	faultfs_arm(0, 0, 0, false);
	check();
	left_sync(l, 2);
	model.synced = 2;
	left_be_whole_from(l, 0);
	model.whole_from = 0;
	left_confirm(l, 5);
	model.taken_back = 5;
	check();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_group_is_what_stands_there, begin, end),
	    cmocka_unit_test_setup_teardown(a_write_that_fails_is_made_up_for, begin, end),
	    cmocka_unit_test_setup_teardown(what_cannot_be_read_any_more_is_none, begin, end),
	    cmocka_unit_test_setup_teardown(a_slot_that_was_not_written_is_filled, begin, end),
	    cmocka_unit_test_setup_teardown(what_moves_stays_until_it_was_written, begin, end),
	    cmocka_unit_test_setup_teardown(a_run_is_cut_and_joined_anywhere, begin, end),
	    cmocka_unit_test_setup_teardown(notes_are_gathered, begin, end),
	    cmocka_unit_test_setup_teardown(what_says_nothing_new_is_not_written, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
