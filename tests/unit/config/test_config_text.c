/* Where a fault inside a text stands in the file, for every way YAML has to write the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

#define REST "\ninput: {stdin: {}}\nbuffer: {sqlite: {path: /s}}\noutput:\n  aws_kinesis:\n    stream: s\n"

static void test_places(void **state)
{
	static const struct {
		const char *key; /* begins in line 7 */
		const char *text;
		int line, column;       /* in the text */
		int in_line, in_column; /* in the file */
	} rows[] = {
	    {"k", "k", 1, 1, 7, 20},
	    {"abc", "abc", 1, 3, 7, 22},
	    {"\"abc\"", "abc", 1, 3, 7, 23},
	    {"'abc'", "abc", 1, 3, 7, 23},
	    {"abc", "abc", 0, 0, 7, 20},
	    /* a literal block keeps its lines, and each begins in its column */
	    {"|\n      abc\n      def", "abc\ndef\n", 1, 2, 8, 8},
	    {"|\n      abc\n      def", "abc\ndef\n", 2, 2, 9, 8},
	    {"|-\n      abc\n        def", "abc\n  def", 2, 3, 9, 9},
	    {"|\n      abc\n      def", "abc\ndef\n", 2, 0, 9, 7},
	    /* these lines are not the file's: only the first is where it seems */
	    {">\n      abc\n\n      def", "abc\ndef\n", 1, 2, 8, 8},
	    {">\n      abc\n\n      def", "abc\ndef\n", 2, 2, 8, 7},
	    {"\"abc\\ndef\"", "abc\ndef", 2, 2, 7, 21},
	    {"abc\n\n      def", "abc\ndef", 2, 2, 7, 20},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config_faults faults;
		struct config *c;
		struct buf b;
		int line, column;

		buf_init(&b, 4096);
		(void)buf_addf(&b, "#%s    partition_key: %s\n", REST, rows[i].key);
		assert_int_equal(config_parse("t", b.data, b.len, NULL, &c, &faults, NULL), ERR_OK);
		assert_string_equal(c->output.partition_key.text, rows[i].text);
		config_text_place(&c->output.partition_key, rows[i].line, rows[i].column, &line, &column);
		if (line != rows[i].in_line || column != rows[i].in_column)
			fail_msg("row %zu: (%d,%d), not (%d,%d)", i, line, column, rows[i].in_line, rows[i].in_column);
		config_free(c);
		config_faults_fini(&faults);
		buf_fini(&b);
	}
}

static void test_set_has_no_place(void **state)
{
	static const char *const sets[] = {"output.aws_kinesis.partition_key=\"abc\\ndef\""};
	const struct config_load_options options = {.sets = sets, .set_count = 1};
	const char text[] = "#" REST "    partition_key: k\n";
	struct config_faults faults;
	struct config *c;
	int line, column;

	(void)state;
	assert_int_equal(config_parse("t", text, strlen(text), &options, &c, &faults, NULL), ERR_OK);
	config_text_place(&c->output.partition_key, 2, 3, &line, &column);
	assert_int_equal(line, 0);
	assert_int_equal(column, 0);
	config_free(c);
	config_faults_fini(&faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_set_has_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
