/* Rows that failed, when they are due again: whatever went wrong while they were looked for, each is handed out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/faultsql.h"
#include "rig/one_journal.h"

enum { CALLS_MAX = 500, ROWS = 5 };

/* No other event comes that would make it look again. */
static void a_look_that_failed_is_made_again(void **state)
{
	bool failed = true;
	uint64_t n = 1;

	(void)state;
	for (; failed; n++) {
		assert_true(n < CALLS_MAX);
		begin();
		hand_out(ROWS);
		credit(10, 1 << 20);
		faultsql_arm(n, SQLITE_NOMEM, false);
		settle(1, 2, SETTLE_RETRY, 50);
		steps_advance(3000);
		failed = faultsql_failed();
		faultsql_arm(0, 0, false);
		if (take(ids) != 2 || ids[0] != 1 || ids[1] != 2)
			fail_msg("call %u (%s) failed, and they stay where they are", (unsigned)n, faultsql_what());
		settle(1, ROWS, SETTLE_DELIVERED, 0);
		end();
	}
	assert_true(n > 10);
}

/* One row that failed, and what else there is. What is not due ever, and with nobody, is suspicious. */
static const struct {
	const char *name;
	const char *sql;
	bool is_out;     /* delivery has another message */
	bool is_away;    /* it gave one back, and did not ask for it again */
	bool is_settled; /* the row that failed left meanwhile */
	bool is_suspicious;
} waits[] = {
    {"its row is there", "SELECT 1", false, false, false, false},
    {"its row is gone", "DELETE FROM failures", false, false, false, true},
    {"its row is gone, another is out", "DELETE FROM failures", true, false, false, false},
    {"its row is gone, another is away", "DELETE FROM failures", false, true, false, false},
    {"it has left", "DELETE FROM failures", false, false, true, false},
};

static void what_is_never_due_is_suspicious(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		begin();
		hand_out(2);
		settle(1, 1, SETTLE_RETRY, waits[i].is_settled ? 0 : 3600000);
		if (waits[i].is_settled) {
			credit(10, 1 << 20);
			assert_int_equal(take(ids), 1);
			settle(1, 1, SETTLE_DELIVERED, 0);
		}
		if (!waits[i].is_out)
			settle(2, 1, waits[i].is_away ? SETTLE_RELEASE : SETTLE_DELIVERED, 0);
		steps_advance(200);
		assert_int_equal(j->store->suspected_ms, 0);
		assert_int_equal(sqlite3_exec(j->store->db, waits[i].sql, NULL, NULL, NULL), SQLITE_OK);
		j->store->due_ms = 0; /* as after any change of theirs */
		j->next_retry_known = false;
		credit(1000, 1 << 20);
		steps_advance(50);
		if ((j->store->suspected_ms != 0) != waits[i].is_suspicious)
			fail_msg("%s: suspected at %d", waits[i].name, (int)j->store->suspected_ms);
		end();
	}
}

/* The first thing that a look for rows asks, and the disk does not answer: whatever it knew before. */
static void a_look_that_the_disk_did_not_answer_ends_the_process(void **state)
{
	(void)state;
	for (int is_due = 0; is_due < 2; is_due++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			struct spooldir mine;

			(void)freopen("/dev/null", "w", stderr);
			spooldir_make(&mine);
			o.store = spooldir_options(&mine);
			j = steps_start(&o, NULL);
			steps_run();
			steps.dying = &mine;
			hand_out(3);
			settle(1, 1, SETTLE_RETRY, 3600000);
			steps_advance(10);
			j->store->due_ms = 0;
			j->next_retry_known = false;
			if (is_due)
				j->next_retry_ms = 1;
			faultsql_arm(1, SQLITE_IOERR_READ, false);
			credit(1000, 1 << 20);
			_exit(1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 74);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_look_that_failed_is_made_again),
	    cmocka_unit_test(what_is_never_due_is_suspicious),
	    cmocka_unit_test(a_look_that_the_disk_did_not_answer_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
