/* Go's quoting and Sprintf, HTML, URLs, CSV, logfmt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bloblang/golang/gofmt.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/formats/csv.h"
#include "bloblang/formats/logfmt.h"
#include "bloblang/formats/html.h"
#include "bloblang/formats/url.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static const char *as_json(struct value v)
{
	const char *error;
	struct text t;

	text_init(&t, &arena);
	return value_print_text(&t, v, &error) ? text_end(&t) : error;
}

static void prints_as_sprintf(void **state)
{
	struct value list = value_array(&arena, 3);
	struct value args[] = {value_int(5),          value_float(2.5),
	                       value_literal("a\"b"), value_bool(true),
	                       value_null(),          value_view(VALUE_NUMBER, "1.0", 3),
	                       value_bytes("hi", 2),  list,
	                       value_float(1e6)};
	static const struct {
		const char *format;
		size_t first, count;
		const char *result;
	} rows[] = {
	    {"%d|%5d|%-5d|%05d|%+d|%x|%o|%b|%c|%U", 0, 1, NULL},
	    {"%d", 0, 1, "5"},
	    {"%05d", 0, 1, "00005"},
	    {"%+d", 0, 1, "+5"},
	    {"%#x", 0, 1, "0x5"},
	    {"%s", 0, 1, "%!s(int64=5)"},
	    {"%d", 1, 1, "%!d(float64=2.5)"},
	    {"%.2f", 1, 1, "2.50"},
	    {"%8.3e", 1, 1, "2.500e+00"},
	    {"%q", 2, 1, "\"a\\\"b\""},
	    {"%x", 2, 1, "612262"},
	    {"%v", 4, 1, "<nil>"},
	    {"%d", 4, 1, "%!d(<nil>)"},
	    {"%d", 5, 1, "%!d(json.Number=1.0)"},
	    {"%v", 6, 1, "[104 105]"},
	    {"%s", 6, 1, "hi"},
	    {"%v", 7, 1, "[1 b <nil>]"},
	    {"%v", 8, 1, "1e+06"},
	    {"%v %v", 0, 1, "5 %!v(MISSING)"},
	    {"x", 0, 2, "x%!(EXTRA int64=5, float64=2.5)"},
	    {"%[2]v %[1]v", 0, 2, "2.5 5"},
	    {"%[9]d", 0, 1, "%!d(BADINDEX)"},
	    {"%!", 0, 0, "%!!(MISSING)"},
	    {"%", 0, 0, "%!(NOVERB)"},
	    {"%T %T", 4, 2, "<nil> json.Number"},
	    {"%*d", 0, 1, "%!d(MISSING)"},
	};

	(void)state;
	value_array_push(&arena, list, value_int(1));
	value_array_push(&arena, list, value_literal("b"));
	value_array_push(&arena, list, value_null());
	for (size_t i = 1; i < sizeof rows / sizeof *rows; i++) {
		struct text out;

		text_init(&out, &arena);
		go_sprintf(&out, rows[i].format, strlen(rows[i].format), args + rows[i].first, rows[i].count);
		assert_string_equal(text_end(&out), rows[i].result);
	}
}

static void quotes_and_unquotes(void **state)
{
	static const struct {
		const char *plain, *quoted;
	} rows[] = {{"a\"b\n", "\"a\\\"b\\n\""}, {"\x01\xff", "\"\\x01\\xff\""}, {"h\xc3\xa9", "\"h\xc3\xa9\""}};
	static const char *const bad[] = {"", "\"", "abc", "\"a", "\"\\q\"", "'ab'", "`a`b`", "\"\\400\"", "\"a\nb\""};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct text t;

		text_init(&t, &arena);
		go_quote(&t, rows[i].plain, strlen(rows[i].plain), false);
		assert_string_equal(text_end(&t), rows[i].quoted);
		text_init(&t, &arena);
		assert_true(go_unquote(&t, rows[i].quoted, strlen(rows[i].quoted)));
		assert_string_equal(text_end(&t), rows[i].plain);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct text t;

		text_init(&t, &arena);
		assert_false(go_unquote(&t, bad[i], strlen(bad[i])));
	}
}

static void knows_html(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {{"&lt;&amp;&#65;&#x41;&copy", "<&AA\xc2\xa9"},
	            {"&notit; &xyz; &", "\xc2\xacit; &xyz; &"},
	            {"&#0;&#128;&NotEqualTilde;", "\xef\xbf\xbd\xe2\x82\xac\xe2\x89\x82\xcc\xb8"}};
	static const char *const keep[] = {"em"};
	struct text t;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		text_init(&t, &arena);
		html_unescape(&t, rows[i].in, strlen(rows[i].in));
		assert_string_equal(text_end(&t), rows[i].out);
	}
	text_init(&t, &arena);
	html_strip(&t, "<p a='>'>x <em b>y</em><script>z</script><!-- c --> <", 53, keep, 1);
	assert_string_equal(text_end(&t), "x <em>y</em> &lt;");
}

static void knows_urls(void **state)
{
	static const struct {
		const char *in, *out; /* JSON, or the error */
	} rows[] = {
	    {"https://u:p%20w@h:80/a%2Fb?x=1#f%20g",
	     "{\"fragment\":\"f g\",\"host\":\"h:80\",\"opaque\":\"\",\"path\":\"/a/b\",\"raw_fragment\":\"\","
	     "\"raw_path\":\"/a%2Fb\",\"raw_query\":\"x=1\",\"scheme\":\"https\",\"user\":{\"name\":\"u\","
	     "\"password\":\"p w\"}}"},
	    {":nope", "parse \":nope\": missing protocol scheme"},
	    {"%zz", "parse \"%zz\": invalid URL escape \"%zz\""},
	    {"http://h:x/", "parse \"http://h:x/\": invalid port \":x\" after host"},
	    {"http://[::1", "parse \"http://[::1\": missing ']' in host"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct value v;
		const char *error;
		bool ok = url_parse(&arena, rows[i].in, strlen(rows[i].in), &v, &error);

		assert_string_equal(ok ? as_json(v) : error, rows[i].out);
	}
}

static void reads_csv(void **state)
{
	static const struct {
		const char *in, *out;
		bool lazy;
	} rows[] = {
	    {"a,b\r\n\r\n1,\"x \"\"y\"\"\nz\"\n", "[[\"a\",\"b\"],[\"1\",\"x \\\"y\\\"\\nz\"]]", false},
	    {"a\"b,c\"d", "[[\"a\\\"b\",\"c\\\"d\"]]", true},
	    {"a,b\n1", "record on line 2: wrong number of fields", false},
	    {"a,b\nx\"y,z", "parse error on line 2, column 2: bare \" in non-quoted-field", false},
	    {"\"a\" b", "parse error on line 1, column 3: extraneous or missing \" in quoted-field", false},
	    {"\"a\nb", "record on line 1; parse error on line 2, column 2: extraneous or missing \" in quoted-field",
	     false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct csv_options options = {.delimiter = ',', .lazy_quotes = rows[i].lazy};
		struct value v;
		const char *error;
		bool ok = csv_parse(&arena, rows[i].in, strlen(rows[i].in), &options, &v, &error);

		assert_string_equal(ok ? as_json(v) : error, rows[i].out);
	}
}

static void reads_logfmt(void **state)
{
	struct value v;
	const char *error;

	(void)state;
	assert_true(logfmt_parse(&arena, "a=1 b=\"x \\\"y\\\"\" c a=2 =d", 24, &v, &error));
	assert_string_equal(as_json(v), "{\"a\":\"2\",\"b\":\"x \\\"y\\\"\",\"c\":true,\"d\":true}");
	assert_false(logfmt_parse(&arena, "a=\"x", 4, &v, &error));
	assert_string_equal(error, "logfmt: unterminated quoted value for key \"a\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prints_as_sprintf), cmocka_unit_test(quotes_and_unquotes), cmocka_unit_test(knows_html),
	    cmocka_unit_test(knows_urls),        cmocka_unit_test(reads_csv),           cmocka_unit_test(reads_logfmt),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
