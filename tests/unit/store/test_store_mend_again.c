/* What is damaged beside the messages is to be mended until it is: a call that fails on the way, or a full disk at the
 * commit, leaves it due, and what failed is not told as mended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <sqlite3.h>

#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_damage.h"

static void harm(struct spooldir *d, struct store **s)
{
	struct error e;

	*s = life_begin(d);
	life_append(*s, 0, 20);
	assert_int_equal(store_begin(*s, &e), ERR_OK);
	assert_int_equal(store_position_put(*s, "a", "100", &e), ERR_OK);
	assert_int_equal(store_commit(*s, &e), ERR_OK);
	life_sql(*s, "UPDATE positions SET value = '101'");
	store_suspect(*s);
	assert_true(store_mend_is_due(*s));
}

static void what_could_not_be_mended_stays_due(void **state)
{
	static const int codes[] = {SQLITE_FULL, SQLITE_NOMEM};

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct spooldir d;
		struct store *s;
		struct store_report report;
		struct error e;
		uint64_t tries = 0;
		enum err err;

		harm(&d, &s);
		do {
			faultsql_arm(++tries, codes[i], false);
			err = store_mend(s, false, &report, &e);
			if (!faultsql_failed())
				break;
			faultsql_arm(0, 0, false);
			if (err != ERR_OK && !store_mend_is_due(s))
				fail_msg("call %d (%s): it is not due any more", (int)tries, faultsql_what());
			if (err == ERR_OK)
				break;
		} while (tries < 500);
		faultsql_arm(0, 0, false);
		assert_int_equal(err, ERR_OK);
		assert_true(tries > 5);
		assert_non_null(strstr(report.warning, "one bit of 1 positions"));
		assert_false(store_mend_is_due(s));
		life_end(&d, s);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_could_not_be_mended_stays_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
