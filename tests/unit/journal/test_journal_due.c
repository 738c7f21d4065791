/* Rows that failed, when they are due again: whatever went wrong while they were looked for, each is handed out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdlib.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_look_that_failed_is_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
