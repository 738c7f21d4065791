/* A start that finds a stranger, and calls of SQLite without memory: rig/starts.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/faultfs.h"
#include "rig/starts.h"

static void a_call_that_fails_beside_a_stranger_is_told(void **state)
{
	(void)state;
	starts_try(START_CALLS, 1, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_call_that_fails_beside_a_stranger_is_told)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
