/*
 * What the store makes of an error, and of a group that ends badly: each code, each word, each number that goes back to
 * what it was; how much of the reserve comes back; and lists of settlements.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/ownroom.h"
#include "rig/sanitizer.h"
#include "store/files/vfs.h"
#include "store/store_internal.h"

enum { PAGE = 4096 };

static struct spooldir d;
static struct store *s;
static struct error e;

static int begin(void **state)
{
	(void)state;
	free_bytes = all_bytes = PLENTY;
	s = life_begin(&d);
	life_append(s, 0, 30);
	life_checkpoint(s);
	vfs_forget_fault();
	(void)sql_lacked_memory();
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultfs_arm(0, 0, 0, false);
	vfs_forget_fault();
	clock_test_end();
	free_bytes = all_bytes = PLENTY;
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

/* SQLite asks for memory that there is not. */
static void lack_memory(void)
{
	struct rlimit was, none;

	assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
	none = was;
	none.rlim_cur = 1 << 20;
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	assert_null(sqlite3_malloc(1 << 30));
	assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
}

/* Nothing is set aside because of what could not be read. */
static void what_could_not_be_read_proves_nothing(void **state)
{
	static const int errors[] = {0, EIO, EBADMSG};

	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		for (int lacks = 0; lacks < (IS_SANITIZED ? 1 : 2); lacks++) {
			char want[600] = "";

			vfs_forget_fault();
			if (errors[i]) {
				faultfs_arm(FAULTFS_READ, 1, errors[i], false);
				assert_int_equal(vfs_look(s->db, VFS_DATABASE, false), VFS_UNREADABLE);
				faultfs_arm(0, 0, 0, false);
			}
			assert_int_equal(vfs_fault(), errors[i]);
			if (lacks)
				lack_memory();
			if (errors[i])
				(void)snprintf(want, sizeof want,
				               "PATH could not be read: %s; nothing was set aside, a restart is safe%s",
				               strerror(errors[i]), errors[i] == EIO ? FILES_DEAD_WAY : "");
			else if (lacks)
				(void)snprintf(want, sizeof want,
				               "PATH: there was no memory to look at it; nothing was set aside, a"
				               " restart is safe");
			e = (struct error){.text = ""};
			assert_int_equal(store_no_fault("PATH", &e), errors[i] ? ERR_DISK
			                                             : lacks   ? ERR_MEMORY
			                                                       : ERR_OK);
			assert_string_equal(e.text, want);
			assert_int_equal(sql_lacked_memory(), errors[i] && lacks); /* it was not asked */
		}
}

/* Where nobody brings anything, a full disk asks nobody for patience. */
static void a_full_disk_is_no_producers(void **state)
{
	(void)state;
	for (int code = 0; code < ERR_COUNT; code++) {
		(void)error_set(&e, (enum err)code, "it failed");
		assert_int_equal(store_is_no_producer((enum err)code, NULL), code == ERR_FULL ? ERR_NOSPACE : code);
		assert_int_equal(store_is_no_producer((enum err)code, &e), code == ERR_FULL ? ERR_NOSPACE : code);
		assert_int_equal(e.code, code == ERR_FULL ? ERR_NOSPACE : code);
		assert_string_equal(e.text, code == ERR_FULL ? "no room for it; make some and try again: it failed"
		                                             : "it failed");
	}
}

/* Only a disk error is the end of all trust; only a full disk is counted, once, and for each try. */
static void each_failure_is_what_it_is(void **state)
{
	(void)state;
	clock_test_set(INT64_C(77000) * NS_PER_MS, clock_wall_ns());
	for (int code = 1; code < ERR_COUNT; code++)
		for (int how = 0; how < 8; how++) {
			const bool refused = how & 1, tries = how & 2, in_group = how & 4;
			char want[600];
			struct error trust;

			s->disk_refused = refused;
			s->refusals = 5;
			s->refused_ms = 9;
			if (in_group)
				assert_int_equal(store_begin(s, &e), ERR_OK);
			s->tries_disk = tries;
			(void)snprintf(want, sizeof want, "spool %s: it failed", s->path);
			(void)error_set(&e, (enum err)code, "it failed");
			assert_int_equal(store_failed(s, (enum err)code, &e), code);
			assert_string_equal(e.text, want);
			assert_false(store_in_group(s));
			assert_int_equal(s->disk_refused, refused || code == ERR_FULL);
			assert_int_equal(s->refusals, 5 + (code == ERR_FULL && (!refused || tries)));
			assert_int_equal(s->refused_ms, code == ERR_FULL ? 77000 : 9);
			assert_int_equal(s->tries_disk, tries && code != ERR_FULL);
			assert_int_equal(store_trust(s, &trust), code == ERR_DISK ? ERR_DISK : ERR_OK);
			assert_int_equal(files_marker_exists(&s->files), code == ERR_DISK);
			if (code == ERR_DISK)
				assert_string_equal(trust.text, want);
			s->untrusted = s->disk_refused = s->tries_disk = false;
			(void)unlink(spooldir_file(&d, ".unsafe"));
		}
	s->is_looked_at = true; /* nothing is written */
	(void)error_set(&e, ERR_DISK, "it failed");
	assert_int_equal(store_distrust(s, &e), ERR_DISK);
	assert_true(s->untrusted);
	assert_false(files_marker_exists(&s->files));
	s->untrusted = s->is_looked_at = false;
}

/* Without an error to write to, too. */
static void nobody_has_to_ask_why(void **state)
{
	int64_t n = 7;

	(void)state;
	for (int asks = 0; asks < 2; asks++) {
		struct error *to = asks ? &e : NULL;

		e.text[0] = '\0';
		assert_int_equal(store_number(s, "SELECT 5", &n, to), ERR_OK);
		assert_int_equal(n, 5);
		assert_int_equal(store_exec(s, "SELECT 5", to, "ask"), ERR_OK);
		assert_int_equal(store_number(s, "SELECT nowhere", &n, to), ERR_DAMAGED);
		assert_int_equal(strstr(e.text, "no such column: nowhere") != NULL, asks);
		assert_int_equal(store_exec(s, "SELECT nowhere", to, "ask"), ERR_DAMAGED);
		assert_int_equal(strstr(e.text, ": ask: no such column: nowhere") != NULL, asks);
		assert_int_equal(store_fail(s, SQLITE_BUSY, to, "wait"), ERR_BUSY);
		assert_int_equal(strstr(e.text, ": wait: ") != NULL, asks);
	}
}

/* All that a group changed is as it was, but for ids that were given out. */
static void a_group_that_is_undone_changes_nothing(void **state)
{
	const struct totals before = s->now;
	const struct side_rows rows = s->rows;
	const size_t leads = s->lead_count;
	struct message *m = spooldir_message(31, 10);

	(void)state;
	assert_memory_equal(&s->durable, &before, sizeof before);
	for (int by_itself = 0; by_itself < 2; by_itself++) { /* SQLite may have ended it */
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		assert_int_equal(store_settle(s, &(struct store_settlement){.id = 4, .kind = SETTLE_DELIVERED}, 1, &e),
		                 ERR_OK);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		assert_int_equal(store_position_put(s, "a", "b", &e), ERR_OK);
		s->lead_is_noted = false;
		assert_int_equal(store_leads_note_as(s, 123456789, &e), ERR_OK);
		store_lose(s, LOSS_BYTES, 1, 5, 5);
		s->evict_after = 9;
		s->clock_is_due = true;
		s->came_back = 3;
		assert_true(s->fill.count > 0 && s->marks.count > 0 && left_noted(s->left).count > 0);
		assert_int_equal(s->lead_count, leads + 1);
		assert_true(memcmp(&s->rows, &rows, sizeof rows) != 0);
		if (by_itself)
			life_sql(s, "ROLLBACK");
		store_rollback(s);
		assert_false(store_in_group(s));
		assert_int_equal(s->now.next_id, before.next_id + 2 * (uint64_t)(by_itself + 1));
		s->now.next_id = before.next_id;
		assert_memory_equal(&s->now, &before, sizeof before);
		s->now.next_id = before.next_id + 2 * (uint64_t)(by_itself + 1);
		assert_memory_equal(&s->rows, &rows, sizeof rows);
		assert_int_equal(s->lead_count, leads);
		assert_true(s->evict_after == 0 && !s->clock_is_due && s->came_back == 0);
		assert_true(s->fill.count == 0 && s->fill.bytes == 0 && s->marks.count == 0);
		assert_int_equal(left_noted(s->left).count, 0);
		for (int i = 0; i < LOSSES; i++)
			assert_true(s->losses[i].messages == 0 && s->losses[i].first == 0);
		assert_int_equal(life_waiting(s, 0), 30);
	}
	s->evict_after = 9; /* outside a group there is nothing to undo */
	store_rollback(s);
	assert_int_equal(s->evict_after, 9);
	message_free(m);
}

/* What the last group left behind is not the next one's. */
static void a_group_begins_with_nothing(void **state)
{
	(void)state;
	s->options.reserve_bytes = PAGE;
	for (int given = 0; given < 2; given++) {
		s->recount = s->left_low = s->lead_is_noted = s->tries_disk = s->lag.may_wait = true;
		s->possible_in_group = 4;
		s->lag.group_messages = s->lag.group_bytes = 5;
		s->came_back = 6;
		s->losses[LOSS_BYTES].messages = 7;
		left_note(s->left, 3, 3);
		s->log_given = given;
		s->log_held = 0;
		s->reserve_given = true;
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_true(store_in_group(s));
		assert_false(s->recount || s->left_low || s->lead_is_noted || s->tries_disk || s->lag.may_wait);
		assert_true(s->possible_in_group + s->lag.group_messages + s->lag.group_bytes + s->came_back == 0);
		assert_int_equal(s->losses[LOSS_BYTES].messages, 0);
		assert_int_equal(left_noted(s->left).count, 0);
		assert_false(s->log_given);
		assert_int_equal(s->log_held > 0, given); /* it is held anew */
		assert_int_equal(s->reserve_given, !given);
		assert_int_equal(s->changes_before, sqlite3_total_changes(s->db));
		store_rollback(s);
	}
}

/* Whole where min_free allows it; else what was the exit's, as far as there is room. */
static void what_was_the_exits_comes_back(void **state)
{
	enum { RESERVE = 64 * PAGE };
	static const struct {
		uint64_t has, had, free, min_free, want;
		bool given, is_given;
	} cases[] = {
	    {10 * PAGE, 0, PLENTY, 0, RESERVE, true, false},
	    {10 * PAGE, 0, PLENTY, 0, 10 * PAGE, false, false},
	    {10 * PAGE, 0, 54 * PAGE, 0, RESERVE, true, false},
	    {10 * PAGE, 20 * PAGE, 54 * PAGE - 1, 0, 20 * PAGE, true, true},
	    {10 * PAGE, 0, 54 * PAGE, PAGE, 10 * PAGE, true, true},
	    {10 * PAGE, 20 * PAGE, PLENTY, PLENTY, 20 * PAGE, true, true},
	    {10 * PAGE, 90 * PAGE, PLENTY, PLENTY, RESERVE, true, true},
	    {10 * PAGE, 9 * PAGE, PLENTY, PLENTY, 10 * PAGE, true, true},
	    {10 * PAGE, 40 * PAGE, 5 * PAGE, PLENTY, 15 * PAGE, true, true},
	    {10 * PAGE, 40 * PAGE, 0, PLENTY, 10 * PAGE, true, true},
	    {0, 40 * PAGE, 3 * PAGE, PLENTY, 3 * PAGE, true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		free_bytes = PLENTY;
		(void)files_reserve_give_up(&s->files);
		assert_true(files_reserve_make(&s->files, cases[i].has, 0) || cases[i].has == 0);
		s->options.reserve_bytes = RESERVE;
		s->options.min_free_bytes = cases[i].min_free;
		s->reserve_given = cases[i].given;
		s->free_checked_ms = 5;
		free_bytes = cases[i].free;
		store_take_back(s, cases[i].had);
		if (files_held(&s->files, ".reserve") != cases[i].want)
			fail_msg("case %zu: %d", i, (int)files_held(&s->files, ".reserve"));
		assert_int_equal(s->reserve_given, cases[i].is_given);
		assert_int_equal(s->free_checked_ms, cases[i].given ? 0 : 5);
	}
	for (int always = 0; always < 2; always++) { /* a disk that has less than it says: a 32nd less is tried */
		const uint64_t all = 40 * PAGE, less = all - all / 32 - 1;

		(void)files_reserve_give_up(&s->files);
		s->options.min_free_bytes = free_bytes = PLENTY;
		s->reserve_given = true;
		faultfs_arm(FAULTFS_ALLOCATE, 1, ENOSPC, always);
		store_take_back(s, all);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(files_held(&s->files, ".reserve"), always ? 0 : (less + PAGE - 1) / PAGE * PAGE);
		assert_true(s->reserve_given);
	}
	s->options.reserve_bytes = 0;
}

/* Room is made as it is needed, and what was noted stays. */
static void settlements_are_listed(void **state)
{
	struct store_settlements *list = NULL;

	(void)state;
	for (uint32_t n = 0; n < 40; n++) {
		char *reason = strdup("why");
		const struct store_settlement item = {.id = n + 1, .kind = SETTLE_DEAD, .reason = reason};

		assert_non_null(reason);
		list = store_settlements_add(list, &item);
		assert_int_equal(list->count, n + 1);
		assert_true(list->capacity >= list->count);
		if (n == 0)
			assert_int_equal(list->capacity, 2);
		for (uint32_t i = 0; i <= n; i++)
			assert_int_equal(list->items[i].id, i + 1);
		assert_ptr_equal(list->items[n].reason, reason);
	}
	store_settlements_free(list);
	store_settlements_free(NULL);
	list = store_settlements_new(3);
	assert_int_equal(list->capacity, 3);
	assert_int_equal(list->count, 0);
	for (uint32_t n = 0; n < 3; n++) {
		assert_int_equal(list->items[n].id, 0);
		list = store_settlements_add(list, &(struct store_settlement){.id = n + 1});
		assert_int_equal(list->capacity, 3); /* there was room */
		assert_int_equal(list->count, n + 1);
	}
	list = store_settlements_add(list, &(struct store_settlement){.id = 4});
	assert_int_equal(list->capacity, 8);
	assert_int_equal(list->items[3].id, 4);
	store_settlements_free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_could_not_be_read_proves_nothing, begin, end),
	    cmocka_unit_test_setup_teardown(a_full_disk_is_no_producers, begin, end),
	    cmocka_unit_test_setup_teardown(each_failure_is_what_it_is, begin, end),
	    cmocka_unit_test_setup_teardown(nobody_has_to_ask_why, begin, end),
	    cmocka_unit_test_setup_teardown(a_group_that_is_undone_changes_nothing, begin, end),
	    cmocka_unit_test_setup_teardown(a_group_begins_with_nothing, begin, end),
	    cmocka_unit_test_setup_teardown(what_was_the_exits_comes_back, begin, end),
	    cmocka_unit_test_setup_teardown(settlements_are_listed, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
