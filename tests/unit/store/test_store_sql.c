/* A setting that SQLite does not take is an error, not a quiet weakening (promise 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "store/sql.h"

static void a_setting_that_is_not_taken_is_refused(void **state)
{
	static const struct {
		const char *name, *value, *want;
		enum err err;
	} cases[] = {
	    {"journal_mode", "wal", "wal", ERR_ENVIRONMENT}, /* a database in memory has no log */
	    {"synchronous", "2", "3", ERR_ENVIRONMENT},
	    {"no_such_setting", "1", "1", ERR_ENVIRONMENT},
	    {"synchronous", "2", "2", ERR_OK},
	    {"journal_mode", "memory", "MEMORY", ERR_OK},
	};
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error e = {0};

		assert_int_equal(sql_pragma(db, cases[i].name, cases[i].value, cases[i].want, &e), cases[i].err);
		if (cases[i].err != ERR_OK)
			assert_non_null(strstr(e.text, cases[i].name));
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_setting_that_is_not_taken_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
