/*
 * The journal's thread step by step on bad days: a disk that is full, each statement failing, files taken away, rows
 * that are gone from the file below it. Nothing is sent twice without a word, nothing is forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "rig/crashvfs.h"
#include "rig/faultsql.h"
#include "rig/one_journal.h"

#ifdef __SANITIZE_THREAD__
enum { EACH = 17 }; /* a process for each statement costs ten times as much */
#else
enum { EACH = 1 };
#endif

static int random_state = 1;

static uint32_t random_below(uint32_t n)
{
	random_state = (int)((uint32_t)random_state * 1103515245u + 12345u);
	return ((uint32_t)random_state >> 8) % n;
}

/* What is settled on a full disk waits, is tried every tenth of a second, and keeps its order and its neighbours. */
static void settlements_wait_for_a_full_disk(void **state)
{
	(void)state;
	for (int stops = 0; stops < 3; stops++) {
		uint64_t failed, dead;
		struct store_report report;

		o.store.vfs = CRASHVFS_NAME;
		begin();
		hand_out(300);
		dead = (uint64_t)metric_get(M_DEAD_LETTERS);
		settle(1, 100, SETTLE_DELIVERED, 0);
		crashvfs_fail(1, FAULT_ENOSPC, true);
		settle(101, 70, SETTLE_DELIVERED, 0);
		settle(171, 1, SETTLE_DEAD, 0);
		assert_int_equal(j->waiting_count, 3);
		assert_int_equal(j->held_count, 0);
		assert_int_equal(metric_get(M_LEDGER_PENDING), 300);
		settle(172, 10, SETTLE_DELIVERED, 0); /* behind the others */
		assert_int_equal(lane_count(j->settlements), 1);
		assert_int_equal(j->waiting_count, 3);
		assert_int_equal(steps.timeout_ms, 100);
		failed = crashvfs_failed();
		steps_advance(99);
		assert_int_equal(crashvfs_failed(), failed);
		steps_advance(1);
		assert_true(crashvfs_failed() > failed);
		offer(1000, 2, 10);
		assert_int_equal(a.last, OFFER_FULL);
		assert_int_equal(metric_get(M_LEDGER_PENDING), 300);
		assert_int_equal(metric_get(M_DEAD_LETTERS), dead);
		if (stops == 2) { /* full to the end: what waits is sent again by the next run, and the end says so */
			struct error e;

			assert_int_equal(journal_stop(j, &e), ERR_NOSPACE);
			assert_non_null(strstr(e.text, "181 messages"));
			crashvfs_fail(0, FAULT_ENOSPC, false);
			j = steps_start(&o, &report);
			assert_int_equal(report.rows, 300);
			end();
			continue;
		}
		crashvfs_fail(0, FAULT_ENOSPC, false);
		if (stops == 0) {
			steps_advance(100);
			assert_int_equal(j->waiting_count, 0);
			assert_int_equal(lane_count(j->settlements), 0);
			steps_advance(100);
		} else {
			rig_stop(j);
		}
		assert_int_equal(metric_get(M_LEDGER_PENDING), 300 - 181);
		assert_int_equal(metric_get(M_LEDGER_DELIVERED), 180);
		assert_int_equal(metric_get(M_LEDGER_DEAD), 1);
		assert_int_equal(metric_get(M_DEAD_LETTERS), dead + 1);
		if (stops == 1)
			j = steps_start(&o, &report);
		else
			assert_int_equal(j->claims.count, 300 - 181);
		end();
	}
}

/* Two failures of memory are lived through, as often as something works between them. */
static void memory_that_comes_back_is_forgiven(void **state)
{
	(void)state;
	begin();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2; i++) {
			faultsql_arm(1, SQLITE_NOMEM, false);
			offer(1, 2, 10);
			assert_true(faultsql_failed());
			assert_int_equal(a.last, OFFER_FAILED);
		}
		faultsql_arm(0, 0, false);
		offer(1, 2, 10);
		assert_int_equal(a.last, OFFER_ACCEPTED);
	}
	assert_int_equal(metric_get(M_LEDGER_ACCEPTED), 6);
	end();
}

/* A life with everything in it. Settings and keys are the caller's. */
static void live(void)
{
	struct offer *one = rig_offer(1, 30, 200, &a);
	struct message *m = STAILQ_FIRST(&one->messages);
	struct origin *below = origin_new(0);
	uint64_t first;

	message_set_origin(m, origin_with_key(below, "cache", INT64_MAX, "key", 3));
	origin_unref(below);
	m = spooldir_message(99, 10);
	STAILQ_INSERT_TAIL(&one->set_aside, m, link);
	one->set_aside_count = 1;
	one->filtered = 1;
	one->position_key = mem_string("file");
	one->position = mem_string("12");
	must(journal_offer(j, one));
	steps_run();
	(void)journal_intake_run(j);
	must(a.last == OFFER_ACCEPTED);
	first = a.first_id;
	credit(100, 1 << 20);
	must(take(ids) == 30);
	settle(first, 2, SETTLE_RETRY, 30);
	settle(first + 2, 1, SETTLE_DEAD, 0);
	settle(first + 3, 20, SETTLE_DELIVERED, 0);
	steps_advance(200);
	must(take(ids) == 2);
	settle(first, 2, SETTLE_DELIVERED, 0);
	settle(first + 23, 7, SETTLE_DELIVERED, 0);
	for (uint64_t n = 0; n < 20; n++)
		offer(n, 5, 0);
	must(take(ids) > 0);
	steps_advance(21500);
	rig_stop(j);
}

/* Each statement, looked at or not: the disk does not answer, and the process ends with 74. */
static void every_disk_error_ends_the_process(void **state)
{
	int status = 0;
	uint64_t n = 1;

	(void)state;
	spooldir_make(&d);
	for (; WEXITSTATUS(status) != 3; n += EACH) {
		pid_t pid = fork();

		assert_true(n < 2000);
		if (pid == 0) {
			struct spooldir mine;

			(void)freopen("/dev/null", "w", stderr);
			spooldir_make(&mine);
			o.store = spooldir_options(&mine);
			j = steps_start(&o, NULL);
			steps_run();
			steps.dying = &mine;
			faultsql_arm(n, SQLITE_IOERR_READ, false);
			live();
			spooldir_remove(&mine);
			/* How old the oldest is, is a figure for people: the next look will tell. */
			_exit(!faultsql_failed() ? 3 : strstr(faultsql_what(), "_ms FROM") ? 2 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) != 74 && WEXITSTATUS(status) != 3 && WEXITSTATUS(status) != 2)
			fail_msg("statement %llu failed, and the process ended with %d", (unsigned long long)n,
			         WEXITSTATUS(status));
	}
	assert_true(n > 60);
	spooldir_remove(&d);
}

static int times_lost, times_damaged;
static char told[200];

static void note_lost(const struct error *why)
{
	times_lost++;
	(void)snprintf(told, sizeof told, "%.190s", why->text);
}

static void note_damaged(const struct error *why, const struct store_report *report)
{
	times_damaged++;
	(void)snprintf(told, sizeof told, "%.190s", why->text);
	must(report->quarantined);
}

/* Twice a second the files are looked at; once it is told. What they hold is still sent. */
static void files_taken_away_are_told_once(void **state)
{
	struct error e;

	(void)state;
	times_lost = 0;
	o.on_lost = note_lost;
	begin();
	offer(1, 10, 10);
	steps_advance(1000 - (steps.now_ns / NS_PER_MS - j->watched_ms));
	while (steps.now_ns / NS_PER_MS != j->watched_ms)
		steps_advance(1);
	assert_int_equal(unlink(d.path), 0);
	steps_advance(499);
	assert_int_equal(times_lost, 0);
	steps_advance(1);
	credit(1, 1); /* somebody wakes it */
	assert_int_equal(times_lost, 1);
	assert_non_null(strstr(told, "was deleted"));
	assert_int_equal(journal_admission(j, &e), ERR_DISK);
	assert_true(journal_is_lost(j, &e));
	assert_non_null(strstr(e.text, "was deleted"));
	credit(20, 1 << 20);
	assert_int_equal(take(ids), 10);
	settle(1, 10, SETTLE_DELIVERED, 0);
	steps_advance(5000);
	assert_int_equal(times_lost, 1);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
	assert_int_equal(journal_stop(j, &e), ERR_DISK); /* though all of it was sent */
	assert_non_null(strstr(e.text, "was deleted"));
	spooldir_remove(&d);
	o = (struct journal_options){0};
}

enum { ROWS = 600 };

/* Delivery, as it is seen from outside. */
static struct {
	uint8_t with[ROWS * 2], settled[ROWS * 2];
	uint64_t order[ROWS * 2];
	uint32_t held;
	uint64_t last, lost;
} out;

static void take_each_once(void)
{
	const uint32_t count = take(ids);

	for (uint32_t i = 0; i < count; i++) {
		assert_false(out.with[ids[i]]); /* delivery has it */
		assert_false(out.settled[ids[i]]);
		out.with[ids[i]] = 1;
		out.order[out.held++] = ids[i];
	}
}

/* Some of them, in any order, one in twenty again later when `fails`; and one that nobody has. */
static void settle_some(bool fails)
{
	const uint32_t count = out.held ? random_below(out.held + 1) : 0;
	struct store_settlements *group = store_settlements_new(count + 1);

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t at = random_below(4) ? 0 : random_below(out.held);
		const uint64_t id = out.order[at];
		const bool again = fails && random_below(20) == 0;

		memmove(out.order + at, out.order + at + 1, (--out.held - at) * sizeof *out.order);
		group->items[group->count++] = (struct store_settlement){
		    .id = id, .kind = again ? SETTLE_RETRY : SETTLE_DELIVERED, .sent = 1, .attempts = 1, .code = "T"};
		out.with[id] = 0;
		out.settled[id] = !again;
	}
	group->items[group->count++] = (struct store_settlement){.id = 1000000, .sent = 1};
	assert_true(journal_settle(j, group));
	steps_run();
}

static void lose_one(bool of_delivery)
{
	const uint64_t id = of_delivery ? out.order[random_below(out.held)] : 1 + random_below((uint32_t)out.last);

	if (out.settled[id])
		return;
	out.lost = id;
	spooldir_lose_in(j->store->db, id);
}

static void drain_with_a_loss(int round)
{
	for (int step = 0; step < 4000 && (out.last < ROWS || metric_get(M_LEDGER_PENDING) > 0); step++) {
		if (out.last < ROWS && random_below(3) == 0) {
			offer(out.last + 1, 1 + random_below(60), 30);
			out.last = store_next_id(j->store) - 1;
		}
		credit(random_below(50), 1 << 20);
		take_each_once();
		if (out.lost == 0 && out.last > ROWS / 3 && out.held > 0)
			lose_one(round % 3 == 0);
		settle_some(round % 4 == 3);
		steps_advance(random_below(3) ? 0 : random_below(700));
		if (out.last >= ROWS)
			(void)journal_is_empty(j);
	}
	steps_advance(200);
}

/* Whatever is gone from the file while the journal has it open: all else arrives once, and the books say what is lost.
 */
static void rows_that_vanish_are_damage_and_nothing_else_is(void **state)
{
	int losses = 0;

	(void)state;
	for (int round = 0; round < 24; round++) {
		memset(&out, 0, sizeof out);
		times_damaged = 0;
		o.on_damaged = note_damaged;
		begin();
		drain_with_a_loss(round);
		for (uint64_t id = 1; id <= out.last; id++)
			assert_true(out.settled[id] || id == out.lost);
		if (metric_get(M_LEDGER_PENDING) != 0)
			fail_msg("round %d: %lld wait for ever, %llu is lost", round,
			         (long long)metric_get(M_LEDGER_PENDING), (unsigned long long)out.lost);
		assert_int_equal(metric_get(M_LEDGER_DAMAGED), out.lost > 0);
		assert_int_equal(metric_get(M_LEDGER_DELIVERED) + metric_get(M_LEDGER_DAMAGED), out.last);
		assert_int_equal(times_damaged, out.lost > 0);
		assert_int_equal(j->claims.count + (uint64_t)j->claimed_bytes + j->late_count, 0);
		assert_true(j->unknown_settlements > 0);
		losses += out.lost > 0;
		end();
	}
	assert_true(losses > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(settlements_wait_for_a_full_disk),
	    cmocka_unit_test(memory_that_comes_back_is_forgiven),
	    cmocka_unit_test(every_disk_error_ends_the_process),
	    cmocka_unit_test(files_taken_away_are_told_once),
	    cmocka_unit_test(rows_that_vanish_are_damage_and_nothing_else_is),
	};

	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
