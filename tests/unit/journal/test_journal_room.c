/*
 * The journal's thread step by step on a disk without room, which is what this program's fstatvfs says: what only
 * leaves does not wait for what takes room, and what could not be settled is not sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "base/metrics.h"
#include "rig/crashvfs.h"
#include "rig/one_journal.h"

enum { MIB = 1 << 20 };

static uint64_t free_mib = 1000;

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

/* A dead letter has no room: messages that are gone leave before it and after it; it waits, and is not sent again. */
static void what_leaves_does_not_wait_for_what_takes_room(void **state)
{
	(void)state;
	for (int stops = 0; stops < 2; stops++) {
		struct store_report report;
		struct error e;

		o.store.vfs = CRASHVFS_NAME;
		begin();
		hand_out(300);
		free_mib = 0;
		crashvfs_fail(1, FAULT_ENOSPC, false);
		settle(1, 1, SETTLE_DEAD, 0);
		assert_non_null(j->growing);
		assert_int_equal(j->waiting_count, 0);
		settle(2, 99, SETTLE_DELIVERED, 0);
		settle(101, 1, SETTLE_DEAD, 0);
		settle(102, 10, SETTLE_RETRY, 0);
		settle(112, 89, SETTLE_DELIVERED, 0);
		steps_advance(1000);
		assert_int_equal(metric_get(M_LEDGER_DELIVERED), 99 + 89);
		assert_int_equal(metric_get(M_LEDGER_DEAD), 0);
		assert_int_equal(j->growing->count, 12);
		assert_int_equal(j->claims.count, 300 - 99 - 89);
		credit(100, MIB);
		assert_int_equal(take(ids), 0);
		if (stops) {
			assert_int_equal(journal_stop(j, &e), ERR_NOSPACE);
			assert_non_null(strstr(e.text, "no room to set 12 messages"));
			assert_null(strstr(e.text, "have left"));
			free_mib = 1000;
			j = steps_start(&o, &report);
			assert_int_equal(report.rows, 300 - 99 - 89);
		} else {
			free_mib = 1000;
			steps_advance(1000);
			assert_null(j->growing);
			assert_int_equal(metric_get(M_LEDGER_DEAD), 2);
			assert_int_equal(metric_get(M_LEDGER_PENDING), 300 - 99 - 89 - 2);
		}
		end();
	}
}

/* What has left and could not be written is told before what only stays. */
static void a_stop_says_what_has_left(void **state)
{
	struct error e;

	(void)state;
	o.store.vfs = CRASHVFS_NAME;
	begin();
	hand_out(20);
	free_mib = 0;
	crashvfs_fail(1, FAULT_ENOSPC, true);
	settle(1, 1, SETTLE_DEAD, 0);
	settle(2, 5, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	assert_int_equal(journal_stop(j, &e), ERR_NOSPACE);
	assert_non_null(strstr(e.text, "no room to write that 5 messages of "));
	assert_non_null(strstr(e.text, " have left"));
	crashvfs_fail(0, FAULT_ENOSPC, false);
	free_mib = 1000;
	j = steps_start(&o, NULL);
	end();
}

/* Dead letters for which there is hardly any room do not fill the log first: its blocks are the way out of all others.
 */
static void what_takes_room_leaves_the_log_its_own(void **state)
{
	enum { DEAD = 2000, STEPS = 3 }; /* blocks but one */

	(void)state;
	for (int is_low = 0; is_low < 2; is_low++) {
		uint64_t before;

		begin();
		hand_out(DEAD);
		free_mib = is_low ? 1 : 1000;
		steps_advance(1000);
		before = j->store->checkpoints;
		settle(1, DEAD, SETTLE_DEAD, 0);
		steps_advance(1000);
		assert_int_equal(metric_get(M_LEDGER_DEAD), DEAD);
		assert_null(j->growing);
		assert_true((j->store->checkpoints - before > STEPS) == is_low);
		free_mib = 1000;
		end();
	}
}

/* A start without a byte for the log: nothing is sent, it says so, and goes on when there is room. */
static void what_could_not_be_settled_is_not_sent(void **state)
{
	(void)state;
	for (int is_kept = 0; is_kept < 2; is_kept++) {
		struct store_report report;
		struct stat st;

		free_mib = 1000;
		begin();
		hand_out(100);
		rig_stop(j);
		o.store.reserve_bytes = MIB;
		o.store.create = false;
		if (is_kept) { /* the exit is prepaid */
			j = steps_start(&o, NULL);
			rig_stop(j);
			assert_int_equal(stat(spooldir_file(&d, ".reserve"), &st), 0);
			assert_int_equal(st.st_blocks * 512, MIB);
		}
		free_mib = 0;
		j = steps_start(&o, &report);
		credit(200, MIB);
		steps_advance(1000);
		assert_int_equal(take(ids), is_kept ? 100 : 0);
		assert_int_equal(strstr(report.warning, "none is sent until there is some") != NULL, !is_kept);
		free_mib = 1000;
		steps_advance(1000);
		assert_int_equal(take(ids), is_kept ? 0 : 100);
		settle(1, 100, SETTLE_DELIVERED, 0);
		end();
	}
}

/* A node below `below` with a key of so many bytes, all of them `letter`. */
static struct origin *keyed(struct origin *below, char letter, size_t bytes)
{
	static char text[MIB];

	memset(text, letter, bytes);
	return origin_with_key(below, "c", 1000000, text, bytes);
}

/* One for the shelf; a key; one that three messages share; one that is above the keys of three; three above one. */
enum { SHELF, KEY, SHARED, ABOVE, JOINED, KINDS };

static struct offer *with_more(int kind)
{
	struct offer *offer = rig_offer(1, kind == SHARED || kind == ABOVE ? 3 : 1, 10, &a);
	struct origin *base = origin_new(0), *above = keyed(base, 'a', MIB);
	struct origin *many[3] = {above, keyed(base, 'b', MIB), keyed(base, 'c', MIB)};
	static const char body[3 * MIB];
	struct message *m;
	char letter = 'p';

	if (kind == SHELF) {
		m = message_new("", 0, body, sizeof body, 1);
		message_fail(m, NULL, "too long");
		STAILQ_INSERT_TAIL(&offer->set_aside, m, link);
		offer->set_aside_count = 1;
	} else {
		STAILQ_FOREACH (m, &offer->messages, link)
			message_set_origin(m, kind == ABOVE    ? keyed(above, letter++, 10)
			                      : kind == JOINED ? origin_join(many, 3)
			                                       : origin_ref(above));
	}
	for (int i = 0; i < 3; i++)
		origin_unref(many[i]);
	origin_unref(base);
	return offer;
}

/* What an offer brings beside its messages has room, or it is refused: it could be sent else, and not settled. */
static void keys_and_the_shelf_need_room_as_well(void **state)
{
	static const uint64_t least_mib[KINDS] = {7, 5, 5, 5, 14};

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct error e;
		uint64_t mib = 0;

		begin();
		do {
			free_mib = ++mib;
			assert_int_equal(store_checkpoint(j->store, true, &e), ERR_OK); /* it is looked at anew */
			must(journal_offer(j, with_more(kind)));
			steps_run();
			(void)journal_intake_run(j);
		} while (a.last != OFFER_ACCEPTED && mib < 100);
		assert_int_equal(mib, least_mib[kind]);
		free_mib = 1000;
		end();
	}
}

/* An offer that is refused for what the file holds and does not use comes in when it comes again: it is no reason to
 * wait until nothing happens. */
static void who_is_refused_comes_again(void **state)
{
	enum { HELD = 10 * MIB, BYTES = 3 * MIB };
	struct stat st;
	struct error e;

	(void)state;
	free_mib = 1000;
	begin();
	must(journal_offer(j, rig_offer(1, 1, HELD, &a)));
	steps_run();
	(void)journal_intake_run(j);
	credit(1, HELD);
	steps_run();
	assert_int_equal(take(ids), 1);
	settle(1, 1, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
	assert_int_equal(store_checkpoint(j->store, true, &e), ERR_OK);
	assert_int_equal(stat(d.path, &st), 0);
	assert_true(st.st_size > HELD);
	assert_int_equal(store_cut_log(j->store), SQLITE_OK);
	j->store->log_held = 0;
	free_mib = 2;
	must(journal_offer(j, rig_offer(2, 1, BYTES, &a)));
	steps_run();
	(void)journal_intake_run(j);
	assert_int_equal(a.last, OFFER_FULL);
	steps_advance(10);
	assert_int_equal(stat(d.path, &st), 0);
	assert_true(st.st_size < MIB);
	free_mib = 2 + HELD / MIB;
	must(journal_offer(j, rig_offer(2, 1, BYTES, &a)));
	steps_run();
	(void)journal_intake_run(j);
	assert_int_equal(a.last, OFFER_ACCEPTED);
	free_mib = 1000;
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_leaves_does_not_wait_for_what_takes_room),
	    cmocka_unit_test(a_stop_says_what_has_left),
	    cmocka_unit_test(what_takes_room_leaves_the_log_its_own),
	    cmocka_unit_test(what_could_not_be_settled_is_not_sent),
	    cmocka_unit_test(keys_and_the_shelf_need_room_as_well),
	    cmocka_unit_test(who_is_refused_comes_again),
	};

	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
