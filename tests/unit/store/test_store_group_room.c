/* What a group brings beside its messages, keys and what goes to the shelf: it must fit, and takes no more than was
 * said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/ownroom.h"
#include "store/store_internal.h"

/* Keys and what goes to the shelf are of one group with the messages; what was refused is none of it. */
static void what_comes_beside_messages_must_fit_too(void **state)
{
	struct message_list none = STAILQ_HEAD_INITIALIZER(none);
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;

	(void)state;
	for (int round = 0; round < 2; round++) {
		free_bytes = 10 * MIB;
		assert_int_equal(store_checkpoint(s, true, &e), ERR_OK); /* after it the disk is looked at anew */
		assert_int_equal(store_admission(s, &e), ERR_OK);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_admit(s, &none, MIB, &e), ERR_OK);
		assert_int_equal(store_admit(s, &none, 4 * MIB, &e), ERR_FULL);
		assert_int_equal(store_admit(s, &none, 3 * MIB, &e), ERR_OK);
		assert_int_equal(store_admit(s, &none, MIB, &e), ERR_FULL);
		assert_int_equal(store_make_room(s, MIB, &e), ERR_FULL);
		store_rollback(s);
		assert_int_equal(store_admission(s, &e), ERR_OK); /* none of that is left */
		assert_true(store_has_room_for(s, 4 * MIB));
	}
	free_bytes = PLENTY;
	life_end(&d, s);
}

/* Of the file, by many of one length; the number of pages that a tree has above its leaves is not in it. */
static void what_stands_beside_messages_takes_no_more_than_was_said(void **state)
{
	static const size_t lengths[] = {0, 1, 30, 100, 400, 511, 512, 900, 1500, 3000, 4096, 9000, 70000};
	enum { MANY = 150 };

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths * 2; i++) {
		const size_t length = lengths[i / 2];
		const bool is_key = i % 2 == 0;
		struct spooldir d;
		struct store *s = life_begin(&d);
		int64_t before, after;
		char *text = mem_alloc(length + 32);
		uint64_t said = 0;
		struct error e;

		memset(text, 'k', length + 32);
		assert_int_equal(store_number(s, "SELECT page_count FROM pragma_page_count", &before, &e), ERR_OK);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (int n = 0; n < MANY; n++) {
			bool is_new;

			snprintf(text + length, 32, "%d", (n * 7919) % MANY);
			if (is_key) {
				const size_t bytes = strlen(text);

				said += store_room_of_key(s, bytes);
				assert_int_equal(store_cache_add(s, "c", text, bytes, 1000, &is_new, &e), ERR_OK);
				assert_true(is_new);
			} else {
				struct message *m = message_new("", 0, text, length, 1);

				message_fail(m, NULL, text);
				said += store_room_of_dead(m);
				assert_int_equal(store_append_dead(s, m, "set_aside", &e), ERR_OK);
				message_free(m);
			}
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(store_number(s, "SELECT page_count FROM pragma_page_count", &after, &e), ERR_OK);
		assert_true((uint64_t)(after - before) * s->page_bytes <= said + said / 2 + 8 * s->page_bytes);
		assert_true(length < 1000 || (uint64_t)(after - before) * s->page_bytes > said / 4);
		free(text);
		life_end(&d, s);
	}
}

/* Of the database's name: its bytes, and those that have blocks. */
static struct stat database(const struct spooldir *d)
{
	struct stat st;

	assert_int_equal(stat(d->path, &st), 0);
	return st;
}

/* What makes the log longer than what it owns has its place in the database before it is taken in. */
static void a_long_log_has_its_place_in_the_database(void **state)
{
	enum { BYTES = 3 << 20 };
	struct message_list none = STAILQ_HEAD_INITIALIZER(none);
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct stat before, st;
	struct error e;

	(void)state;
	before = database(&d);
	s->options.reserve_bytes = 1 << 20;
	s->log_held = BYTES + BYTES / 16;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_admit(s, &none, BYTES, &e), ERR_OK); /* the log has blocks for it */
	store_rollback(s);
	assert_int_equal(database(&d).st_blocks, before.st_blocks);
	for (int n = 0; n < 3; n++) {
		const int fault = n == 0 ? ENOSPC : n == 1 ? EOPNOTSUPP : 0;

		s->log_held = BYTES;
		assert_int_equal(store_begin(s, &e), ERR_OK);
		if (fault)
			faultfs_arm(FAULTFS_ALLOCATE, 1, fault, false);
		assert_int_equal(store_admit(s, &none, BYTES, &e), fault == ENOSPC ? ERR_FULL : ERR_OK);
		faultfs_arm(0, 0, 0, false);
		store_rollback(s);
		st = database(&d);
		assert_int_equal(st.st_size, before.st_size);
		if (fault)
			assert_int_equal(st.st_blocks, before.st_blocks);
		else
			assert_in_range(st.st_blocks * 512, before.st_size + BYTES + BYTES / 16,
			                before.st_size + BYTES + BYTES / 16 + 65536);
	}
	assert_int_equal(store_begin(s, &e), ERR_OK);
	faultfs_arm(FAULTFS_ALLOCATE, 1, ENOSPC, false);
	s->options.reserve_bytes = 0; /* nothing is prepaid */
	assert_int_equal(store_admit(s, &none, 2 * BYTES, &e), ERR_OK);
	store_rollback(s);
	s->options.reserve_bytes = 1 << 20;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_admit(s, &none, BYTES, &e), ERR_OK); /* it is held already */
	assert_int_equal(store_admit(s, &none, BYTES, &e), ERR_FULL);
	assert_non_null(strstr(e.text, " bytes more have no room on the file system of "));
	faultfs_arm(0, 0, 0, false);
	store_rollback(s);
	life_end(&d, s); /* closing lets go of it, or the rig says so */
}

/* Pages of the database that hold nothing are its place: it grows by no more than they are short of. */
static void a_place_is_first_what_is_free_inside(void **state)
{
	enum { BYTES = 2 << 20 };
	struct message_list none = STAILQ_HEAD_INITIALIZER(none);
	struct spooldir d;
	struct store *s = life_begin(&d);
	static const char body[BYTES];
	struct message *m = message_new("", 0, body, sizeof body, 1);
	uint64_t inside, pages;
	struct stat st;
	struct error e;

	(void)state;
	s->options.reserve_bytes = 1 << 20;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_append(s, m, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	message_free(m);
	life_checkpoint(s);
	life_settle(s, 1, 1);
	life_checkpoint(s);
	inside = store_free_inside(s);
	pages = (uint64_t)life_number(s, "PRAGMA page_count") * s->page_bytes;
	if (inside < BYTES / 2)
		fail_msg("%llu", (unsigned long long)inside);
	s->log_held = 0;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	faultfs_arm(FAULTFS_ALLOCATE, 1, ENOSPC, true);
	assert_int_equal(store_admit(s, &none, inside / 17 * 16, &e), ERR_OK); /* no block more is asked for */
	store_rollback(s);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_admit(s, &none, inside + BYTES, &e), ERR_FULL);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(store_admit(s, &none, inside, &e), ERR_OK);
	store_rollback(s);
	st = database(&d);
	assert_in_range(st.st_blocks * 512, pages + inside / 16, pages + inside / 16 + 65536);
	life_end(&d, s);
}

/* On a disk that a neighbour may fill, what the log has blocks for has its place too, where the reserve is too small to
 * take it: once, for all that the log holds. */
static void what_the_reserve_cannot_take_has_its_place(void **state)
{
	enum { BYTES = 1 << 20 };

	(void)state;
	for (int case_ = 0; case_ < 4; case_++) {
		const bool is_far = case_ == 1, has_reserve = case_ == 2, keeps_none = case_ == 3;
		struct message_list none = STAILQ_HEAD_INITIALIZER(none);
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct stat before;
		struct error e;

		s->options.reserve_bytes = keeps_none ? 0 : has_reserve ? 4 * MIB : MIB;
		if (has_reserve)
			assert_true(store_make_reserve(s));
		s->log_held = 100 * MIB;
		free_bytes = is_far ? PLENTY : 50 * MIB;
		s->free_checked_ms = 0;
		before = database(&d);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_admit(s, &none, BYTES, &e), ERR_OK);
		store_rollback(s);
		if (case_ == 0)
			assert_in_range(database(&d).st_blocks * 512, before.st_size + BYTES,
			                before.st_size + 2 * BYTES);
		else
			assert_int_equal(database(&d).st_blocks, before.st_blocks);
		if (has_reserve) { /* half of it is for what leaves */
			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_admit(s, &none, 2 * BYTES, &e), ERR_OK);
			store_rollback(s);
			assert_true(database(&d).st_blocks * 512 >= before.st_size + 2 * BYTES);
		}
		free_bytes = PLENTY;
		life_end(&d, s);
	}
}

/* What the database holds and does not use is given back as soon as somebody was refused whom it lets in, and only
 * then.
 */
static void who_is_refused_gets_what_is_not_used(void **state)
{
	enum { BYTES = 3 << 20, HELD = 10 << 20 };
	struct message_list none = STAILQ_HEAD_INITIALIZER(none);
	static const char body[HELD];
	struct message *m = message_new("", 0, body, sizeof body, 1);
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	bool more;

	(void)state;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_append(s, m, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	message_free(m);
	life_checkpoint(s);
	life_settle(s, 1, 1);
	life_append(s, 0, 10); /* it need not be empty */
	life_checkpoint(s);
	assert_int_equal(store_cut_log(s), SQLITE_OK);
	all_bytes = 16 * MIB;
	for (int case_ = 0; case_ < 3; case_++) {
		const bool is_too_much = case_ == 0, is_asked = case_ == 1, helps = case_ == 2;

		free_bytes = MIB;
		s->log_held = 0;
		if (is_asked)
			assert_false(store_has_room_for(s, BYTES)); /* of what leaves, which has ways of its own */
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_admit(s, &none,
		                             is_too_much ? 10 * BYTES
		                             : is_asked  ? 0
		                                         : BYTES,
		                             &e),
		                 is_asked ? ERR_OK : ERR_FULL);
		store_rollback(s);
		assert_true(s->room_is_due == helps);
		more = true;
		for (int steps = 0; more; steps++) {
			assert_int_equal(store_give_room(s, &more, &e), ERR_OK);
			assert_true(steps < 30);
		}
		assert_true((store_free_inside(s) == 0) == helps);
		assert_true((database(&d).st_size < BYTES) == helps);
		assert_false(s->room_is_due);
	}
	assert_true(files_held(&s->files, "-wal") < MIB / 2);
	free_bytes = all_bytes = PLENTY;
	life_adds_up(s);
	life_end(&d, s);
}

/* Whose source can wait leaves the last sixteenth of max_bytes, and more than a tenth beyond min_free: so much that a
 * small one has room when all that was let in is taken. */
static void who_can_wait_leaves_some(void **state)
{
	enum { MAX = 160000, LENGTH = 10000 };
	struct message_list list = STAILQ_HEAD_INITIALIZER(list), none = STAILQ_HEAD_INITIALIZER(none);
	struct spooldir d;
	struct store *s = life_begin(&d);
	static const char body[LENGTH];
	struct message *m = message_new("", 0, body, LENGTH, 1);
	struct store_options o = s->options;
	struct error e;
	uint64_t low = 100 * MIB, high = 200 * MIB;

	(void)state;
	STAILQ_INSERT_TAIL(&list, m, link);
	o.max_bytes = MAX;
	o.min_free_bytes = 100 * MIB;
	store_reconfigure(s, &o);
	for (int n = 0; n < 20; n++) {
		const uint64_t holds = s->now.pending_bytes;
		const bool is_left = holds > 0 && holds + LENGTH > MAX - MAX / 16;

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_leave_some(s, LENGTH, &e), is_left ? ERR_FULL : ERR_OK);
		assert_true(!is_left || strstr(e.text, "of max_bytes, 160000, is left to those who cannot wait"));
		s->options.evict_oldest = true; /* it makes its room */
		assert_int_equal(store_leave_some(s, LENGTH, &e), ERR_OK);
		s->options.evict_oldest = false;
		s->options.max_bytes = LENGTH - 1; /* fits never: store_admit says so */
		assert_int_equal(store_leave_some(s, LENGTH, &e), ERR_OK);
		s->options.max_bytes = MAX;
		assert_int_equal(store_admit(s, &list, 0, &e), n < MAX / LENGTH ? ERR_OK : ERR_FULL);
		if (n < MAX / LENGTH)
			assert_int_equal(store_append_list(s, &list, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	assert_int_equal(s->now.pending_bytes, MAX);
	s->options.max_bytes = 0;
	life_checkpoint(s);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	s->log_held = 0;
	while (low + 1 < high) {
		free_bytes = (low + high) / 2;
		s->free_checked_ms = 0;
		s->free_bytes = 0;
		if (store_leave_some(s, 10 * MIB, &e) == ERR_OK)
			high = free_bytes;
		else
			low = free_bytes;
	}
	store_rollback(s);
	assert_non_null(strstr(e.text, ", are left to those who cannot wait"));
	assert_in_range(low, 130 * MIB, 140 * MIB);
	free_bytes = low - 2 * (10 * MIB + 10 * MIB / 16); /* it is taken */
	s->free_checked_ms = 0;
	s->free_bytes = 0;
	assert_int_equal(store_admission(s, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_admit(s, &none, 50000, &e), ERR_OK);
	store_rollback(s);
	life_settle(s, 1, MAX / LENGTH - 1); /* behind next to nothing nobody is kept out */
	free_bytes = 105 * MIB;
	s->free_checked_ms = 0;
	assert_int_equal(store_leave_some(s, 10 * MIB, &e), ERR_OK);
	free_bytes = PLENTY;
	message_list_free(&list);
	life_end(&d, s);
}

/* What would not fit if nothing else were on the file system is too big, and all else waits. */
static void what_fits_never_is_told(void **state)
{
	(void)state;
	for (int case_ = 0; case_ < 6; case_++) {
		const bool is_smaller = case_ == 1, has_others = case_ == 2, holds = case_ == 3, has_shelf = case_ == 4,
		           comes_second = case_ == 5;
		struct message_list none = STAILQ_HEAD_INITIALIZER(none);
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct error e;
		uint64_t ours;

		if (holds || has_shelf)
			life_append(s, 0, 10);
		if (has_shelf) { /* it may be thrown away */
			static const char body[3 * MIB];
			struct message *m = message_new("", 0, body, sizeof body, 1);

			life_settle(s, 1, 10);
			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_append_dead(s, m, "set_aside", &e), ERR_OK);
			assert_int_equal(store_commit(s, &e), ERR_OK);
			message_free(m);
		}
		life_checkpoint(s);
		assert_int_equal(store_cut_log(s), SQLITE_OK);
		s->log_held = 0;
		ours = files_held(&s->files, "") + files_held(&s->files, "-wal") + files_held(&s->files, ".reserve");
		free_bytes = 10 * MIB;
		all_bytes = free_bytes + ours + (has_others ? 10 * MIB : 0);
		s->free_checked_ms = 0;
		assert_int_equal(store_begin(s, &e), ERR_OK);
		s->log_held = 0;
		if (comes_second) {
			struct message *m = spooldir_message(1, 100);

			assert_int_equal(store_append(s, m, &e), ERR_OK);
			message_free(m);
		}
		assert_int_equal(store_admit(s, &none, is_smaller ? 4 * MIB : 5 * MIB, &e),
		                 is_smaller                                         ? ERR_OK
		                 : has_others || holds || has_shelf || comes_second ? ERR_FULL
		                                                                    : ERR_TOOBIG);
		assert_true(case_ != 0 || strstr(e.text, " bytes at once can never fit: "));
		store_rollback(s);
		free_bytes = all_bytes = PLENTY;
		life_end(&d, s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_comes_beside_messages_must_fit_too),
	    cmocka_unit_test(what_stands_beside_messages_takes_no_more_than_was_said),
	    cmocka_unit_test(a_long_log_has_its_place_in_the_database),
	    cmocka_unit_test(a_place_is_first_what_is_free_inside),
	    cmocka_unit_test(who_is_refused_gets_what_is_not_used),
	    cmocka_unit_test(who_can_wait_leaves_some),
	    cmocka_unit_test(what_fits_never_is_told),
	    cmocka_unit_test(what_the_reserve_cannot_take_has_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
