/* The table of functions and methods: every row complete, every name once, every default a literal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "bloblang/library/registry.h"
#include "bloblang/bloblang.h"

#define ROWS(table) extern const struct bloblang_row table[];
#include "bloblang/library/rows.def"
#undef ROWS

static const struct bloblang_row *const tables[] = {
#define ROWS(table) table,
#include "bloblang/library/rows.def"
#undef ROWS
};

static void rows_are_complete(void **state)
{
	(void)state;
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
		for (const struct bloblang_row *row = tables[t]; row->name; row++) {
			size_t length = row->summary ? strlen(row->summary) : 0;

			if (row->evaluate == NULL && row->status == HIDDEN)
				continue; /* refused by name, with a reason */
			if (row->evaluate == NULL || length < 8 || row->summary[length - 1] != '.')
				fail_msg("%s is not complete", row->name);
			if (bloblang_row_find(row->kind, row->name, strlen(row->name)) != row)
				fail_msg("%s is there twice", row->name);
			if ((row->flags & ROW_LAZY) != 0 && row->kind != METHOD)
				fail_msg("%s is lazy without a target", row->name);
		}
	}
}

/* Calling with the required arguments only makes the parser read every default. */
static void defaults_are_literals(void **state)
{
	(void)state;
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
		for (const struct bloblang_row *row = tables[t]; row->name; row++) {
			struct bloblang_mapping *m = NULL;
			struct bloblang_fault fault = {0};
			char text[512];
			int n =
			    snprintf(text, sizeof text, "root = %s%s(", row->kind == METHOD ? "this." : "", row->name);

			for (size_t i = 0; i < ROW_PARAMETERS_MAX && row->parameters[i].name; i++) {
				if (!row->parameters[i].optional && row->parameters[i].fallback == NULL)
					n +=
					    snprintf(text + n, sizeof text - (size_t)n, "%sthis.x", i == 0 ? "" : ", ");
			}
			(void)snprintf(text + n, sizeof text - (size_t)n, ")");
			if (bloblang_mapping_parse(text, NULL, &m, &fault) != ERR_OK &&
			    strstr(fault.text, "literal") != NULL)
				fail_msg("%s: %s", text, fault.text);
			bloblang_mapping_free(m);
		}
	}
}

/* The functions a mapping in a string may call. A new one is refused there until somebody has thought and adds it. */
static const char *const pure[] = {
    "bytes",
    "counter",
    "deleted",
    "ksuid",
    "nanoid",
    "nothing",
    "now",
    "pi",
    "random_int",
    "range",
    "snowflake_id",
    "throw",
    "timestamp_unix",
    "timestamp_unix_micro",
    "timestamp_unix_milli",
    "timestamp_unix_nano",
    "ulid",
    "uuid_v4",
    "uuid_v7",
    "var",
    "with_schema_registry_header",
};

static bool is_pure(const char *name)
{
	for (size_t i = 0; i < sizeof pure / sizeof *pure; i++)
		if (strcmp(pure[i], name) == 0)
			return true;
	return false;
}

/* name(...) with its required arguments as literals. */
static void write_call(char *out, size_t size, const struct bloblang_row *row)
{
	static const char *const literals[] = {
	    [PARAM_ANY] = "1",     [PARAM_STRING] = "'x'",       [PARAM_INT] = "1",    [PARAM_FLOAT] = "1",
	    [PARAM_BOOL] = "true", [PARAM_TIMESTAMP] = "0",      [PARAM_ARRAY] = "[]", [PARAM_OBJECT] = "{}",
	    [PARAM_QUERY] = "1",   [PARAM_QUERY_OR_VALUE] = "1",
	};
	int n = snprintf(out, size, "%s(", row->name);

	for (size_t i = 0; i < ROW_PARAMETERS_MAX && row->parameters[i].name; i++)
		if (!row->parameters[i].optional && !row->parameters[i].fallback)
			n += snprintf(out + n, size - (size_t)n, "%s%s", i == 0 ? "" : ", ",
			              literals[row->parameters[i].kind]);
	(void)snprintf(out + n, size - (size_t)n, ")");
	for (char *c = strchr(out, '\''); c; c = strchr(c, '\''))
		*c = '"';
}

static void what_is_not_pure_is_refused_in_a_string(void **state)
{
	(void)state;
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
		for (const struct bloblang_row *row = tables[t]; row->name; row++) {
			struct bloblang_mapping *m = NULL;
			struct bloblang_fault fault = {0};
			char call[256];
			char text[512];
			char wanted[256];
			bool refused;

			if (row->kind != FUNCTION || !row->evaluate)
				continue;
			if (((row->flags & ROW_NOT_PURE) == 0) != is_pure(row->name))
				fail_msg("%s: its flags and this test's list disagree", row->name);
			write_call(call, sizeof call, row);
			(void)snprintf(text, sizeof text, "root = this.bloblang(\"\"\"root = %s\"\"\")", call);
			(void)snprintf(wanted, sizeof wanted, "unrecognised function '%s'", row->name);
			refused =
			    bloblang_mapping_parse(text, NULL, &m, &fault) != ERR_OK && strstr(fault.text, wanted);
			if (refused == is_pure(row->name))
				fail_msg("%s: %s", text, refused ? fault.text : "accepted");
			bloblang_mapping_free(m);
		}
	}
}

/* A function that reads the message without the flag for it ends here: must() in call.c. */
static void functions_that_read_the_message_say_so(void **state)
{
	struct message *m = message_new(NULL, 0, "{}", 2, 0);
	struct message_batch batch = {.messages = &m, .count = 1};
	struct evaluator *ev = evaluator_new();

	(void)state;
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
		for (const struct bloblang_row *row = tables[t]; row->name; row++) {
			struct bloblang_mapping *mapping = NULL;
			struct message *made = NULL;
			char call[256];
			char text[512];
			struct error e = {0};

			if (row->kind != FUNCTION || !row->evaluate)
				continue;
			write_call(call, sizeof call, row);
			(void)snprintf(text, sizeof text, "root = %s.catch(0)", call);
			if (bloblang_mapping_parse(text, NULL, &mapping, NULL) == ERR_OK &&
			    bloblang_mapping_run(mapping, ev, &batch, false, &made, &e) == ERR_OK)
				message_free(made);
			bloblang_mapping_free(mapping);
		}
	}
	evaluator_free(ev);
	message_free(m);
}

static void lists_what_it_knows(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	bloblang_list_functions(&out);
	assert_non_null(strstr(out.data, "json(path: string = \"\")"));
	assert_null(strstr(out.data, "nothing("));
	buf_clear(&out);
	bloblang_list_methods(&out);
	assert_non_null(strstr(out.data, "slice(low: int, high: int?)"));
	assert_non_null(strstr(out.data, "append(...any)"));
	buf_fini(&out);
}

static void unknown_names_are_refused(void **state)
{
	static const struct {
		const char *mapping;
		const char *text;
	} cases[] = {
	    {"root = geoip_city(\"x\")", "line 1 char 23: unrecognised function 'geoip_city'"},
	    {"root = this.nope()", "line 1 char 19: unrecognised method 'nope'"},
	    {"root = this.slice()", "line 1 char 20: missing parameter: low"},
	    {"root = this.slice(1, 2, 3)", "line 1 char 27: wrong number of arguments, expected 2, got 3"},
	    {"root = this.slice(lo: 1)", "line 1 char 25: unknown parameter lo, did you mean low?"},
	    {"root = this.slice(\"x\")", "line 1 char 23: field low: expected number value, got string (\"x\")"},
	    {"root = this.slice(low: 1, low: 2)", "line 1 char 34: duplicate named arg: low"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bloblang_mapping *m = NULL;
		struct bloblang_fault fault = {0};

		assert_int_equal(bloblang_mapping_parse(cases[i].mapping, NULL, &m, &fault), ERR_CONFIG);
		assert_string_equal(fault.text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_complete),
	    cmocka_unit_test(defaults_are_literals),
	    cmocka_unit_test(what_is_not_pure_is_refused_in_a_string),
	    cmocka_unit_test(functions_that_read_the_message_say_so),
	    cmocka_unit_test(lists_what_it_knows),
	    cmocka_unit_test(unknown_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
