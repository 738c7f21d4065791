/*
 * A file is set aside in the middle of a commit, and a statement on the way has no memory, each in a process of its
 * own: a yes is said when it is so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "rig/errorwatch.h"
#include "rig/faultsql.h"
#include "rig/one_journal.h"
#include "rig/sanitizer.h"

enum { EACH = IS_SANITIZED ? 17 : 1 }; /* a process for each statement costs ten times as much there */

/* Child: the file is set aside in the commit of an offer, and a statement on the way has no memory. */
static int meet_both(uint64_t n)
{
	struct spooldir mine;
	int status;

	(void)freopen("/dev/null", "w", stderr);
	spooldir_make(&mine);
	o.store = spooldir_options(&mine);
	j = steps_start(&o, NULL);
	steps_run();
	steps.dying = &mine;
	hand_out(3);
	spooldir_lose_in(j->store->db, 2);
	must(journal_offer(j, rig_offer(4, 5, 10, &a)));
	rig_settle_ids(j, (uint64_t[]){2}, 1, SETTLE_DEAD, 0);
	faultsql_arm(n, SQLITE_NOMEM, false);
	steps_run();
	status = faultsql_failed() ? 1 : 3;
	faultsql_arm(0, 0, false);
	(void)journal_intake_run(j);
	if (status == 1 && errorwatch_silent(ERR_OK, NULL, NULL))
		status = 4;
	/* 3 before, 5 when it was said. */
	if (store_ledger(j->store)->accepted != 3 + (a.last == OFFER_ACCEPTED ? 5u : 0))
		status = 2;
	rig_stop(j);
	spooldir_remove(&mine);
	return status;
}

/* A yes is said when it is so, also after the second try. */
static void damage_and_no_memory_at_once(void **state)
{
	int status = 0;
	uint64_t n = 1;

	(void)state;
	for (; WEXITSTATUS(status) != 3; n += 8 * EACH) {
		pid_t pid = fork();

		assert_true(n < 1000);
		if (pid == 0)
			_exit(meet_both(n));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 2)
			fail_msg("statement %llu: a yes without a message", (unsigned long long)n);
		if (WEXITSTATUS(status) == 4)
			fail_msg("statement %llu failed in silence", (unsigned long long)n);
	}
	assert_true(n > 20); /* each eighth is enough: what is set aside has tests of its own */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(damage_and_no_memory_at_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
