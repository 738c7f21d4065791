#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "value/json.h"
#include "value/path.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 256 * 1024 * 1024);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static const char *printed(struct value v)
{
	static const struct json_style style = {0};
	const char *error;
	struct text t;

	text_init(&t, &arena);
	return json_print(&t, v, &style, &error) ? text_end(&t) : error;
}

static const char *round_trip(const char *text)
{
	struct value v;
	const char *error;

	return json_parse(&arena, text, strlen(text), &v, &error) ? printed(v) : error;
}

static void prints_what_it_read(void **state)
{
	static const char *const cases[][2] = {
	    {"{\"b\":1.0,\"a\":-0}", "{\"a\":-0,\"b\":1.0}"},
	    {" [ 1e5 , 123456789012345678901234567890 ] ", "[1e5,123456789012345678901234567890]"},
	    {"{\"k\":1,\"k\":2}", "{\"k\":2}"},
	    {"\"a\\u0041\\n\\ud83d\\ude00\"", "\"aA\\n\xF0\x9F\x98\x80\""},
	    {"\"\\ud800\"", "\"\xEF\xBF\xBD\""},
	    {"\"\xFFx\"", "\"\xEF\xBF\xBDx\""},
	    {"\"<&>\\u2028\"", "\"<&>\\u2028\""},
	    {"[[],{},\"\"]", "[[],{},\"\"]"},
	    {"{\"long key that needs more than sixteen bytes\":\"long text \\\" with a quote in it\"}",
	     "{\"long key that needs more than sixteen bytes\":\"long text \\\" with a quote in it\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(round_trip(cases[i][0]), cases[i][1]);
}

static void refuses_what_is_not_json(void **state)
{
	static const char *const cases[][2] = {
	    {"", "unexpected EOF"},
	    {"{", "unexpected EOF"},
	    {"[1,]", "invalid character ']' looking for beginning of value"},
	    {"{@", "invalid character '@' looking for beginning of object key string"},
	    {"not", "invalid character 'o' in literal null (expecting 'u')"},
	    {"01", "message contains multiple valid documents"},
	    {"1.", "unexpected EOF"},
	    {"1.x", "invalid character 'x' after decimal point in numeric literal"},
	    {"\"\n\"", "invalid character '\\n' in string literal"},
	    {"\"\\x\"", "invalid character 'x' in string escape code"},
	    {"{\"a\" 1}", "invalid character '1' after object key"},
	    {"{\"a\":1 2}", "invalid character '2' after object key:value pair"},
	    {"[1 2]", "invalid character '2' after array element"},
	    {"{} {}", "message contains multiple valid documents"},
	    {"{} x", "invalid character 'x' looking for beginning of value"},
	    {"{} [1] y", "invalid character 'y' looking for beginning of value"},
	    {"{} [1", "unexpected EOF"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct json_step step = {"zz", 2};
		struct value v;
		const char *error = NULL;

		assert_string_equal(round_trip(cases[i][0]), cases[i][1]);
		assert_false(json_seek(&arena, cases[i][0], strlen(cases[i][0]), &step, 1, &v, &error));
		assert_string_equal(error, cases[i][1]);
	}
}

static void seeks_paths(void **state)
{
	static const char document[] = "{\"a\":{\"b\":[10,{\"c\":\"x\\ny\"},[]]},\"a.b\":1,\"d\":1,\"d\":{\"e\":2},"
	                               "\"f\":{\"g\":1},\"f\":3,\"\\u0068\":true}";
	static const char *const cases[][2] = {
	    {"a.b.1.c", "\"x\\ny\""},
	    {"a.b.0", "10"},
	    {"a.b.2", "[]"},
	    {"a.b.3", "null"},
	    {"a.b", "[10,{\"c\":\"x\\ny\"},[]]"},
	    {"a~1b", "1"},
	    {"d.e", "2"},
	    {"f.g", "null"},
	    {"f", "3"},
	    {"h", "true"},
	    {"nope.x", "null"},
	    {"a.b.x", "null"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct value v;
		const char *error;
		size_t count;
		struct json_step *steps = path_split(&arena, cases[i][0], strlen(cases[i][0]), &count);

		assert_true(json_seek(&arena, document, sizeof document - 1, steps, count, &v, &error));
		assert_string_equal(printed(v), cases[i][1]);
	}
}

static char *nested(size_t depth, char open, char close)
{
	char *text = arena_alloc(&arena, depth * 2 + 1);

	memset(text, open, depth);
	memset(text + depth, close, depth);
	text[depth * 2] = '\0';
	return text;
}

static void bounds_depth(void **state)
{
	char *fits = nested(JSON_DEPTH_MAX, '[', ']');
	char *deep = nested(JSON_DEPTH_MAX + 1, '[', ']');
	struct json_step step = {"0", 1};
	struct value v;
	const char *error;

	(void)state;
	assert_string_equal(round_trip(fits), fits);
	assert_string_equal(round_trip(deep), "exceeded max depth");
	assert_true(json_parse(&arena, fits, strlen(fits), &v, &error));
	assert_true(value_equal(v, v));
	assert_true(json_seek(&arena, fits, strlen(fits), &step, 1, &v, &error));
	assert_false(json_seek(&arena, deep, strlen(deep), &step, 1, &v, &error));
}

static void sorts_many_keys(void **state)
{
	struct value o = value_object(&arena, 0);
	char key[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int n = i * 7919 % 500;

		(void)snprintf(key, sizeof key, "key%03d", n);
		value_object_append(&arena, o, arena_copy(&arena, key, strlen(key)), strlen(key), value_int(i));
	}
	value_object_sort(&arena, o);
	assert_int_equal(o.object->count, 500);
	for (int i = 0; i < 500; i++) {
		struct value *v;

		(void)snprintf(key, sizeof key, "key%03d", i);
		v = value_object_find(o, key, strlen(key));
		assert_non_null(v);
		assert_int_equal(v->integer * 7919 % 500, i);
		assert_true(v->integer >= 500); /* of equal keys the last */
		assert_memory_equal(o.object->pairs[i].key, key, strlen(key));
	}
}

/* A document that grows past its limit ends in an error, whatever grows. */
static void writes_stop_at_the_limit(void **state)
{
	static const char *const names[] = {"a", "-"};

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct value root = value_nothing(), v;
		const char *error = NULL;
		bool ok = true;
		struct arena a;

		arena_init(&a, 128 * 1024);
		if (kind == 1)
			root = value_array(&a, 0);
		for (int i = 0; i < 20000 && ok; i++) {
			const char *key = kind == 1 ? names[1] : arena_format(&a, "%s%d", names[0], i);
			struct json_step step = {key, (uint32_t)strlen(key)};

			v = root;
			ok = path_set(&a, 1, &v, &step, 1, value_int(i), &error);
			root = v;
		}
		assert_false(ok);
		assert_non_null(error);
		assert_true(a.exceeded);
		arena_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(prints_what_it_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(refuses_what_is_not_json, setup, teardown),
	    cmocka_unit_test_setup_teardown(seeks_paths, setup, teardown),
	    cmocka_unit_test_setup_teardown(bounds_depth, setup, teardown),
	    cmocka_unit_test_setup_teardown(sorts_many_keys, setup, teardown),
	    cmocka_unit_test(writes_stop_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
