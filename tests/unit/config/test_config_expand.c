/* Environment variables in a text, and where characters came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/expand.h"

static const struct {
	const char *in;
	const char *out;
	const char *fault; /* null for none */
	int column;        /* of the fault, on line 1 */
} rows[] = {
    {"plain", "plain", NULL, 0},
    {"a ${T_SET} b", "a value b", NULL, 0},
    {"${T_SET:other}", "value", NULL, 0},
    {"${T_EMPTY:other}", "other", NULL, 0},
    {"${T_EMPTY}", "", NULL, 0},
    {"${T_UNSET:}", "", NULL, 0},
    {"${T_UNSET:a:b c}", "a:b c", NULL, 0},
    {"${T_UNSET:x ${T_SET} y}", "x ${T_SET} y", NULL, 0},
    {"${T_LINES}", "one\\ntwo", NULL, 0},
    {"${T_UNSET:a\nb}", "a\\nb", NULL, 0},
    {"${T_B64|base64decode}", "hello", NULL, 0},
    {"${T_UNSET:aGk=|base64decode}", "hi", NULL, 0},
    {"${{T_SET}}", "${T_SET}", NULL, 0},
    {"${{T_SET:x}}", "${T_SET:x}", NULL, 0},
    {"${{T_SET}", "${{T_SET}", NULL, 0},
    {"${! json(\"a\") } ${{! x }}", "${! json(\"a\") } ${{! x }}", NULL, 0},
    {"$T_SET ${} ${a-b} $ ${", "$T_SET ${} ${a-b} $ ${", NULL, 0},
    {"${a.b_c.9:dots}", "dots", NULL, 0},
    {"\xc3\xa9 ${T_UNSET}", "\xc3\xa9 T_UNSET", "is not set", 3},
    {"${T_SET|upper}", "T_SET", "unknown transform", 1},
    {"${T_SET|base64decode}", "", "is not base64", 1},
    {"${T_BYTES}", "", "not UTF-8", 1},
    {"${T_UNSET:never", "${T_UNSET:never", "not closed", 1},
};

static void test_table(void **state)
{
	(void)state;
	(void)setenv("T_SET", "value", 1);
	(void)setenv("T_EMPTY", "", 1);
	(void)setenv("T_LINES", "one\ntwo", 1);
	(void)setenv("T_B64", "aGVsbG8=", 1);
	(void)setenv("T_BYTES", "\xff", 1);
	(void)unsetenv("T_UNSET");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config_faults faults = {0};
		struct expansion x;

		assert_true(expand(&x, rows[i].in, strlen(rows[i].in), false, &faults));
		assert_string_equal(x.text, rows[i].out);
		assert_int_equal(faults.count, rows[i].fault != NULL);
		if (rows[i].fault) {
			assert_non_null(strstr(faults.items[0].text, rows[i].fault));
			assert_int_equal(faults.items[0].line, 1);
			assert_int_equal(faults.items[0].column, rows[i].column);
		}
		config_faults_fini(&faults);
		expansion_fini(&x);
	}
}

static void test_places(void **state)
{
	/*                     1234567890 */
	static const char in[] = "\xc3\xa9: ${T_UNSET:long default} x\nb: ${T_UNSET:1\n2} y\nc";
	struct config_faults faults = {0};
	struct expansion x;
	int line, column;

	(void)state;
	assert_true(expand(&x, in, sizeof in - 1, false, &faults));
	assert_string_equal(x.text, "\xc3\xa9: long default x\nb: 1\\n2 y\nc");
	expansion_place(&x, 3, &line, &column); /* the value */
	assert_int_equal(line, 1);
	assert_int_equal(column, 4);
	expansion_place(&x, 16, &line, &column); /* x */
	assert_int_equal(line, 1);
	assert_int_equal(column, 28);
	expansion_place(&x, 26, &line, &column); /* y, which the default moved to line 3 */
	assert_int_equal(line, 3);
	assert_int_equal(column, 4);
	expansion_place(&x, 28, &line, &column); /* c */
	assert_int_equal(line, 4);
	assert_int_equal(column, 1);
	expansion_fini(&x);
}

/* Unset names do not cascade: the fault is theirs alone, and with the check off there is none. */
static void test_unset_is_not_typed(void **state)
{
	static const char text[] =
	    "input: {stdin: {}}\nbuffer: {sqlite: {path: \"${T_UNSET}\"}}\n"
	    "output: {aws_kinesis: {stream: \"a ${T_UNSET}\", partition_key: k, max_in_flight: ${T_UNSET}}}\n";
	struct config_load_options options = {.skip_env_check = true};
	struct config_faults faults;
	struct config *c;

	(void)state;
	(void)unsetenv("T_UNSET");
	assert_int_equal(config_parse("t", text, sizeof text - 1, NULL, &c, &faults, NULL), ERR_CONFIG);
	assert_int_equal(faults.count, 3);
	assert_int_equal(faults.items[2].line, 3);
	assert_int_equal(faults.items[2].column, 81);
	config_faults_fini(&faults);
	assert_int_equal(config_parse("t", text, sizeof text - 1, &options, &c, &faults, NULL), ERR_OK);
	assert_int_equal(faults.count, 0);
	config_faults_fini(&faults);
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_unset_is_not_typed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
