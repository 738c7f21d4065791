/* A start that sets aside, and operations on files that fail: rig/starts.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/faultfs.h"
#include "rig/starts.h"

static void what_fails_where_it_sets_aside_is_told_or_does_not_matter(void **state)
{
	(void)state;
	starts_try(START_OPERATIONS, 2, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_fails_where_it_sets_aside_is_told_or_does_not_matter)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
