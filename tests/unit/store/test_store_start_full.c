/* A start that finds another's files, on a full disk: rig/starts.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/faultfs.h"
#include "rig/starts.h"

static void a_full_disk_beside_anothers_files_is_told_or_does_not_matter(void **state)
{
	(void)state;
	starts_try(START_FULL, 0, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_full_disk_beside_anothers_files_is_told_or_does_not_matter)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
