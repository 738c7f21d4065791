/* What is generated from options.def: the example loads, the man page is whole, the schema in the tree is fresh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/components.h"
#include "config/inputs.h"
#include "config/processors.h"

enum { OUT_MAX = 1 << 20 };

/* Takes the # off "#key: value" lines: of the required options, or of all that stand alone. */
static char *uncomment(const char *example, bool all)
{
	struct buf b;
	bool required = false;
	const char *line = example;

	buf_init(&b, OUT_MAX);
	while (*line) {
		size_t length = strcspn(line, "\n"), indent = strspn(line, " ");
		bool comment = strncmp(line + indent, "# ", 2) == 0;
		bool option = line[indent] == '#' && line[indent + 1] >= 'a' && line[indent + 1] <= 'z' &&
		              memchr(line, ':', length) && line[length - 1] != ':';

		if (comment)
			required = memmem(line, length, "Required.", 9) != NULL;
		if (option && (required || all) && !(comment))
			(void)buf_addf(&b, "%.*s%.*s\n", (int)indent, line, (int)(length - indent - 1),
			               line + indent + 1);
		else
			(void)buf_addf(&b, "%.*s\n", (int)length, line);
		line += length + (line[length] == '\n');
	}
	return buf_take(&b, NULL);
}

static void test_example_loads(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct config_load_options options = {.for_run = true};
		struct config_faults faults;
		struct config *c;
		struct buf b;
		char *text;

		buf_init(&b, OUT_MAX);
		config_print_example(&b, i & 1);
		assert_false(b.overflow);
		text = uncomment(b.data, i & 2);
		if (config_parse("example", text, strlen(text), &options, &c, &faults, NULL) != ERR_OK)
			fail_msg("(%d,%d) %s\n%s", faults.items[0].line, faults.items[0].column, faults.items[0].text,
			         text);
		assert_int_equal(faults.count, 0);
		assert_string_equal(c->output.stream, "my-stream");
		config_free(c);
		config_faults_fini(&faults);
		free(text);
		buf_fini(&b);
	}
}

static void test_example_wants_required(void **state)
{
	struct config_faults faults;
	struct config *c;
	struct buf b;

	(void)state;
	buf_init(&b, OUT_MAX);
	config_print_example(&b, true);
	assert_null(strstr(b.data, "root_path"));
	assert_int_equal(config_parse("example", b.data, b.len, NULL, &c, &faults, NULL), ERR_CONFIG);
	assert_int_equal(faults.count, 3);
	config_faults_fini(&faults);
	buf_fini(&b);
}

static void test_man_is_whole(void **state)
{
	static const char *const wanted[] = {
	    "\\fBoutput.aws_kinesis.tcp.keep_alive\\&.idle\\fR (duration such as 300ms or 1m30s; default 15s)\n",
	    "\\fBkspool\\&.memory\\fR (bytes, also as 64KiB or 5MiB; default 32MiB)\n",
	    ".SS input.socket_server\n",
	    "\\fBshutdown_timeout\\fR",
	    "\\fBscanner.chunker\\&.size\\fR",
	    "\\fBkspool\\&.when_full\\fR (refuse or evict_oldest;"};
	struct buf b;

	(void)state;
	buf_init(&b, OUT_MAX);
	config_print_man(&b);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		if (!strstr(b.data, wanted[i]))
			fail_msg("no %s", wanted[i]);
	buf_fini(&b);
}

static void test_schema_is_fresh(void **state)
{
	static char stored[OUT_MAX];
	FILE *f = fopen(KSPOOL_SOURCE_DIR "/schema/config.schema.json", "rb");
	struct buf b;
	size_t n;

	(void)state;
	assert_non_null(f);
	n = fread(stored, 1, sizeof stored - 1, f);
	(void)fclose(f);
	buf_init(&b, OUT_MAX);
	config_print_schema(&b);
	if (n != b.len || memcmp(stored, b.data, n) != 0) {
		FILE *fresh = fopen("config.schema.json", "wb");

		if (fresh) {
			(void)fwrite(b.data, 1, b.len, fresh);
			(void)fclose(fresh);
		}
		fail_msg(
		    "schema/config.schema.json is stale; a fresh one is config.schema.json in the working directory");
	}
	buf_fini(&b);
}

/* A processor, and one of its fields, in all that is generated from processors.def. */
static void test_processors_are_everywhere(void **state)
{
	struct buf example, man, schema, list;

	(void)state;
	buf_init(&example, OUT_MAX);
	buf_init(&man, OUT_MAX);
	buf_init(&schema, OUT_MAX);
	buf_init(&list, OUT_MAX);
	config_print_example(&example, false);
	config_print_man(&man);
	config_print_schema(&schema);
	config_print_components(&list, "processor");
	config_print_components(&list, "rate_limit");
	config_print_components(&list, "cache");
	for (const struct processor_row *row = processor_rows; row->name; row++) {
		const struct option_section *s = row->section ? row->section() : NULL;
		const char *key = s && s->count > 0 ? s->rows[s->count - 1].key : row->name;
		char in_example[64], in_schema[64];

		(void)snprintf(in_example, sizeof in_example, "#     %s%s: ", row->shape == PROCESSOR_CASES ? "  " : "",
		               key);
		(void)snprintf(in_schema, sizeof in_schema, "\"%s\": {", key);
		assert_non_null(strstr(man.data, row->text));
		assert_non_null(strstr(list.data, row->text));
		assert_non_null(strstr(example.data, row->text));
		assert_non_null(strstr(schema.data, in_schema));
		if (s && s->count > 0)
			assert_non_null(strstr(example.data, in_example));
		if (strcmp(row->slot, "processor") == 0)
			assert_non_null(memmem(schema.data, schema.len, row->name, strlen(row->name)));
	}
	buf_fini(&example);
	buf_fini(&man);
	buf_fini(&schema);
	buf_fini(&list);
}

/* components.def holds what kspool lacks: a name that inputs.def took over has to go there. */
static void test_no_input_is_foreign(void **state)
{
	(void)state;
	for (int kind = 0; kind < INPUT_KINDS; kind++)
		assert_null(component_foreign("input", input_key((enum input_kind)kind)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example_loads),
	    cmocka_unit_test(test_example_wants_required),
	    cmocka_unit_test(test_man_is_whole),
	    cmocka_unit_test(test_schema_is_fresh),
	    cmocka_unit_test(test_processors_are_everywhere),
	    cmocka_unit_test(test_no_input_is_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
