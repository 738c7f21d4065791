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
		for (const struct bloblang_row *row = tables[t]; row->name != NULL; row++) {
			size_t length = row->summary != NULL ? strlen(row->summary) : 0;

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
		for (const struct bloblang_row *row = tables[t]; row->name != NULL; row++) {
			struct bloblang_mapping *m = NULL;
			struct bloblang_fault fault = {0};
			char text[512];
			int n =
			    snprintf(text, sizeof text, "root = %s%s(", row->kind == METHOD ? "this." : "", row->name);

			for (size_t i = 0; i < ROW_PARAMETERS_MAX && row->parameters[i].name != NULL; i++) {
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
	    cmocka_unit_test(lists_what_it_knows),
	    cmocka_unit_test(unknown_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
