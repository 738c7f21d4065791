/* Rows of CSV, JSON documents, arrays and matches: cut the same however the bytes come, and told what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "value/arena.h"
#include "value/json.h"
#include "bloblang/formats/csv.h"
#include "doors/scanner.h"

enum { MAX = 24 };

static struct arena patterns;

static struct regex *pattern_of(const struct config_scanner *config)
{
	char fault[REGEX_FAULT_MAX];

	return config->kind == SCANNER_RE_MATCH ? scanner_pattern(&patterns, config, fault) : NULL;
}

/*
 * (message) {failed: why} <set aside: why> !too long [broken: why], for bytes that come in pieces; it may rest between
 * them, as a file does.
 */
static char *cut(const struct config_scanner *config, const char *bytes, size_t length, size_t piece, uint64_t max,
                 bool rests)
{
	enum scanner_event what = SCANNER_MORE;
	struct regex *pattern = pattern_of(config);
	struct scanner s;
	struct buf log, held;
	size_t at = 0;

	scanner_init(&s, config, pattern, max, true);
	buf_init(&log, 1 << 20);
	buf_init(&held, 1 << 20);
	for (bool at_end = false; !at_end && what != SCANNER_BROKEN;) {
		size_t n = length - at < piece ? length - at : piece;

		buf_add(&held, bytes + at, n);
		at += n;
		at_end = at == length;
		do {
			struct scanner_shaped shaped = {.body = held.data};
			size_t used;
			uint64_t body;

			what = scanner_next(&s, held.data ? held.data : "", held.len, at_end, &used, &body);
			shaped.length = body;
			if ((what == SCANNER_MESSAGE || what == SCANNER_FLAWED) && scanner_shapes(&s))
				assert_true(scanner_shape(&s, held.data, body, what == SCANNER_FLAWED ? s.flaw : NULL,
				                          &shaped));
			if (what == SCANNER_MESSAGE)
				buf_addf(&log, "(%.*s)", (int)shaped.length, shaped.body);
			else if (what == SCANNER_FLAWED)
				buf_addf(&log, "{%.*s: %s}", (int)shaped.length, shaped.body, s.flaw);
			else if (what == SCANNER_REFUSED)
				buf_addf(&log, "<%.*s: %s>", (int)body, held.data, s.flaw);
			else if (what == SCANNER_TOO_LONG)
				buf_addf(&log, "!%u", (unsigned)body);
			else if (what == SCANNER_BROKEN)
				buf_addf(&log, "[%s]", s.flaw);
			if (scanner_shapes(&s))
				scanner_rest(&s);
			assert_null(s.arena.block); /* each connection has a scanner */
			buf_consume(&held, used);
		} while (what != SCANNER_MORE && what != SCANNER_BROKEN);
		if (rests)
			scanner_look_again(&s);
	}
	scanner_fini(&s);
	regex_free(pattern);
	buf_fini(&held);
	return buf_take(&log, NULL);
}

struct cut_case {
	const struct config_scanner *config;
	const char *bytes;
	const char *expected;
};

static void check_cases(const struct cut_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const size_t length = strlen(cases[i].bytes);

		for (size_t piece = 1; piece <= 2 * length + 2; piece++) {
			char *log = cut(cases[i].config, cases[i].bytes, length, (piece + 1) / 2, MAX, piece & 1);

			if (strcmp(log, cases[i].expected) != 0)
				fail_msg("%s in pieces of %zu: %s, not %s", cases[i].bytes, (piece + 1) / 2, log,
				         cases[i].expected);
			free(log);
		}
	}
}

#define ROWS(...)                                           \
	{                                                   \
		.kind = SCANNER_CSV, .csv = { __VA_ARGS__ } \
	}
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void rows_become_json(void **state)
{
	char semicolon[] = ";", wide[] = "\xe2\x82\xac";
	const struct config_scanner named = ROWS(.parse_header_row = true), plain = ROWS(.lazy_quotes = false);
	const struct config_scanner lazy = ROWS(.lazy_quotes = true), other = ROWS(.custom_delimiter = semicolon);
	const struct config_scanner euro = ROWS(.custom_delimiter = wide);
	const struct config_scanner goes_on = ROWS(.continue_on_error = true);
	const struct config_scanner named_on = ROWS(.parse_header_row = true, .continue_on_error = true);
	struct config_scanner input = ROWS(.parse_header_row = true);
	const struct cut_case cases[] = {
	    {&named, "b,a\n1,2\n3,4", "({\"a\":\"2\",\"b\":\"1\"})({\"a\":\"4\",\"b\":\"3\"})"},
	    {&named, "b,a\r\n1,2\r\n\r\n\n", "({\"a\":\"2\",\"b\":\"1\"})"},
	    {&named, "a,a\n1,2\n", "({\"a\":\"2\"})"},
	    {&named, "a\n", ""},
	    {&named, "", ""},
	    {&plain, "a,\"b,\"\"c\"\"\nd\"\n,\n", "([\"a\",\"b,\\\"c\\\"\\nd\"])([\"\",\"\"])"},
	    {&plain, "\"a\r\nb\"\r\n\"\"\r\n", "([\"a\\nb\"])([\"\"])"},
	    {&plain, "a\rb\r\nc\r", "([\"a\\rb\"])([\"c\"])"},
	    {&plain, "a,b\nc\nd,e\n", "([\"a\",\"b\"])[wrong number of fields]"},
	    {&plain, "a\nb\"c\nd\n", "([\"a\"])[bare \" in non-quoted-field]"},
	    {&plain, "a\n\"b\"c\nd\n", "([\"a\"])[extraneous or missing \" in quoted-field]"},
	    {&plain, "a\n\"b\nd\n", "([\"a\"])[extraneous or missing \" in quoted-field]"},
	    {&plain, "1234567890123456789012345\nb\n", "!25([\"b\"])"},
	    {&plain, "\"12345678901234567890\n1234\"\nb\n", "!27([\"b\"])"},
	    {&named, "1234567890123456789012345\nb\n", "[its header row is longer than 32 KiB]"},
	    {&lazy, "a\"b,\"c\"d\",e\nx,,\"f\ng", "([\"a\\\"b\",\"c\\\"d\",\"e\"])([\"x\",\"\",\"f\\ng\"])"},
	    {&other, "a;b,c\n", "([\"a\",\"b,c\"])"},
	    {&euro,
	     "a\xe2\x82\xac\xe2\x82"
	     "b\n",
	     "([\"a\",\"\\ufffd\\ufffdb\"])"},
	    {&euro,
	     "1234567890123456789012345\xe2\x82\xac\"a\nb\"\n"
	     "c\n",
	     "!33([\"c\"])"},
	    {&goes_on, "a,b\nc\n\"d\"e\nf,g\n",
	     "([\"a\",\"b\"]){[\"c\"]: wrong number of fields}{[]: extraneous or missing \" in "
	     "quoted-field}([\"f\",\"g\"])"},
	    {&named_on, "a,b\nc\nx\"\n1,2,3\n",
	     "{{\"a\":\"c\"}: wrong number of fields}{{}: bare \" in non-quoted-field}{{\"a\":\"1\",\"b\":\"2\"}: "
	     "wrong "
	     "number of fields}"},
	    {&input, "a,b\nc\nx\"\n1,2,3\n4,5\n",
	     "({\"a\":\"c\"})<x\": bare \" in non-quoted-field>([\"1\",\"2\",\"3\"])({\"a\":\"4\",\"b\":\"5\"})"},
	};

	(void)state;
	input.csv_input = true;
	check_cases(cases, COUNT(cases));
}

static void documents_are_cut(void **state)
{
	const struct config_scanner documents = {.kind = SCANNER_JSON_DOCUMENTS}, array = {.kind = SCANNER_JSON_ARRAY};
	const struct cut_case cases[] = {
	    {&documents, "{\"a\":[1,{}]} {}\n\n[2]\t\"x\\\"}\"", "({\"a\":[1,{}]})({})([2])(\"x\\\"}\")"},
	    {&documents, "{}{}1 2 true[null]", "({})({})(1)(2)(true)([null])"},
	    {&documents, "12", "(12)"},
	    {&documents, " \n ", ""},
	    {&documents, "{} {\"a\":1", "({})[unexpected EOF]"},
	    {&documents, "{} tru {}", "({})[unexpected EOF]"},
	    {&documents, "{\"a\" 1} {}", "[invalid character '1' after object key]"},
	    {&documents, "{} [1}", "({})[invalid character '}' after array element]"},
	    {&documents, "{\"a\":\"12345678901234567890123\"} {}", "!31({})"},
	    {&documents, "[[[\"12345678901234567890]123\"],2],{}] {}", "!37({})"},
	    {&array, "[{\"a\":1},2, \"]\" ,[3]]", "({\"a\":1})(2)(\"]\")([3])"},
	    {&array, " [ ] [1] \n", "(1)"},
	    {&array, "", ""},
	    {&array, "{\"a\":1}", "[expected opening '[' of an array]"},
	    {&array, "[1 2]", "(1)[expected ',' or ']' behind an element]"},
	    {&array, "[1,]", "(1)[invalid character ']' looking for beginning of value]"},
	};

	(void)state;
	check_cases(cases, COUNT(cases));
}

static void matches_begin_messages(void **state)
{
	char pattern[] = "(?m)^\\d:", wide[] = "(?m)^-+ \\w+\\b", ends[] = ";|\\n$";
	const struct config_scanner match = {.kind = SCANNER_RE_MATCH, .re_match.pattern = pattern};
	const struct config_scanner words = {.kind = SCANNER_RE_MATCH, .re_match.pattern = wide};
	const struct config_scanner at_ends = {.kind = SCANNER_RE_MATCH, .re_match.pattern = ends};
	const struct cut_case cases[] = {
	    {&match, "1:a\nb\n2:c\n3:d", "(1:a\nb\n)(2:c\n)(3:d)"},
	    {&match, "x\n1:a\n", "(x\n)(1:a\n)"},
	    {&match, "x", "(x)"},
	    {&match, "", ""},
	    {&match, "1:4567890123456789012345\n2:b", "!25(2:b)"},
	    {&match, "1:456789012345678901234\n2:b", "(1:456789012345678901234\n)(2:b)"},
	    {&match, "1:4567890123456789012341:\n1:\n2:b", "!26(1:\n)(2:b)"},
	    {&words, "- a\n-- ab\n--- abc", "(- a\n)(-- ab\n)(--- abc)"},
	    {&words, "- a456789012345678901234\n-- ab", "!25(-- ab)"},
	    {&at_ends, "a\nb\n;c\n", "(a\nb\n)(;c)(\n)"},
	};

	(void)state;
	check_cases(cases, COUNT(cases));
}

/* Messages of up to 12 KiB and some that are longer, which begin with a long mark. */
static void long_matches_are_found_in_pieces(void **state)
{
	static const size_t sizes[] = {10, 5000, 12000, 40000, 12200, 3, 20000, 7, 7};
	char pattern[] = "(?m)^<m+>";
	const struct config_scanner match = {.kind = SCANNER_RE_MATCH, .re_match.pattern = pattern};
	struct buf bytes, expected;

	(void)state;
	buf_init(&bytes, 1 << 20);
	buf_init(&expected, 1 << 20);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		const size_t begin = bytes.len;

		buf_add_text(&bytes, "<");
		for (int n = 0; n < 800; n++)
			buf_add_text(&bytes, "m");
		buf_add_text(&bytes, ">");
		for (size_t n = 0; n < sizes[i]; n++)
			buf_add_text(&bytes, n % 70 == 69 ? "\n" : "x");
		buf_add_text(&bytes, "\n");
		if (bytes.len - begin > 13000)
			buf_addf(&expected, "!%u", (unsigned)(bytes.len - begin));
		else
			buf_addf(&expected, "(%.*s)", (int)(bytes.len - begin), bytes.data + begin);
	}
	for (size_t piece = 97; piece < 100000; piece = piece * 5 + 4) {
		char *log = cut(&match, bytes.data, bytes.len, piece, 13000, piece & 1);

		if (strlen(log) != expected.len || memcmp(log, expected.data, expected.len) != 0)
			fail_msg("in pieces of %zu: not the same", piece);
		free(log);
	}
	buf_fini(&bytes);
	buf_fini(&expected);
}

static void what_may_go_on_is_not_whole(void **state)
{
	static const struct {
		enum scanner_kind kind;
		const char *bytes;
		bool is_whole;
	} cases[] = {
	    {SCANNER_JSON_DOCUMENTS, "{}", true},     {SCANNER_JSON_DOCUMENTS, "12", false},
	    {SCANNER_JSON_DOCUMENTS, "null", true},   {SCANNER_JSON_ARRAY, "[\"1\"", true},
	    {SCANNER_JSON_ARRAY, "[[1],-1.5", false}, {SCANNER_RE_MATCH, "1:a\n", false},
	};
	char pattern[] = "1:";

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct config_scanner config = {.kind = cases[i].kind, .re_match.pattern = pattern};
		struct scanner s;

		struct regex *compiled = pattern_of(&config);

		scanner_init(&s, &config, compiled, MAX, true);
		assert_int_equal(scanner_is_delimited(&s, cases[i].bytes, strlen(cases[i].bytes)), cases[i].is_whole);
		scanner_fini(&s);
		regex_free(compiled);
	}
}

/* Who begins behind flawed rows, or one that is too long, knows how many values a row has, or learns it. */
static void a_first_row_that_is_none_is_passed_over(void **state)
{
	static const struct {
		const char *head;
		bool has_header, is_input, is_known;
		uint32_t width;
	} cases[] = {
	    {"a\"\n1,2\n3\n", false, false, true, 2},
	    {"a\"\nb\"", false, false, true, 0},
	    {"a\"\n1,2\n", false, true, true, 2},
	    {"1234567890123456789012345\n1,2\n", false, false, true, 2},
	    {"1234567890123456789012345", false, false, true, 0},
	    {"a,b", true, false, false, 0},
	    {"a,b\n", true, false, true, 2},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct config_scanner config = {
		    .kind = SCANNER_CSV,
		    .csv_input = cases[i].is_input,
		    .csv = {.parse_header_row = cases[i].has_header, .continue_on_error = !cases[i].is_input}};
		struct scanner s;
		uint64_t length;
		size_t used;

		scanner_init(&s, &config, NULL, MAX, false);
		assert_int_equal(scanner_take_head(&s, cases[i].head, strlen(cases[i].head)), cases[i].is_known);
		assert_int_equal(s.csv.width, cases[i].width);
		assert_true(scanner_is_between(&s));
		if (cases[i].is_known)
			assert_int_equal(scanner_next(&s, "5,6\n", 4, false, &used, &length), SCANNER_MESSAGE);
		scanner_fini(&s);
	}
}

/* There is one set of names for each connection: they have a bound, and are charged. */
static void names_have_a_bound(void **state)
{
	const struct config_scanner named = ROWS(.parse_header_row = true);

	(void)state;
	for (int names = 1024; names <= 1025; names++) {
		struct scanner s;
		struct buf row;
		uint64_t length;
		size_t used;

		buf_init(&row, 1 << 16);
		for (int i = 1; i < names; i++)
			buf_add_text(&row, "a,");
		buf_add_text(&row, "a\n");
		scanner_init(&s, &named, NULL, 1 << 16, true);
		assert_int_equal(scanner_next(&s, row.data, row.len, false, &used, &length),
		                 names <= 1024 ? SCANNER_SKIPPED : SCANNER_BROKEN);
		if (names <= 1024)
			assert_true(scanner_held_bytes(&s) > 1024 * sizeof *s.csv.names);
		else
			assert_string_equal(s.flaw, "its header row has more than 1024 names");
		scanner_fini(&s);
		buf_fini(&row);
	}
}

static void a_mark_is_dropped_before_the_first(void **state)
{
	struct config_scanner lines = {.kind = SCANNER_LINES, .skip_bom = true};
	struct config_scanner whole = {.kind = SCANNER_TO_THE_END, .skip_bom = true};
	const struct cut_case cases[] = {
	    {&lines,
	     "\xef\xbb\xbf"
	     "a\n\xef\xbb\xbf"
	     "b",
	     "(a)(\xef\xbb\xbf"
	     "b)"},
	    {&whole,
	     "\xfe\xff"
	     "a",
	     "(a)"},
	    {&whole,
	     "\xff\xfe"
	     "a",
	     "(a)"},
	    {&whole,
	     "\xef\xbb"
	     "a",
	     "(\xef\xbb"
	     "a)"},
	    {&whole, "\xff", "(\xff)"},
	};

	(void)state;
	check_cases(cases, COUNT(cases));
}

/* What Bloblang's parse_csv, which is Go's reader, makes of the whole, row by row. */
static void rows_are_those_of_go(void **state)
{
	static const char letters[] = "ab,\"\n\r,\"\n ";
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 60000; round++) {
		const struct config_scanner config = ROWS(.lazy_quotes = round & 1);
		const struct csv_options options = {.delimiter = ',', .lazy_quotes = round & 1};
		char bytes[24], *mine;
		size_t length = 0;
		struct arena arena;
		struct value rows;
		struct buf go;
		const char *error;
		bool is_good;

		while (length < sizeof bytes && (length == 0 || rand_r(&seed) % 12 != 0))
			bytes[length++] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
		arena_init(&arena, 1 << 20);
		buf_init(&go, 1 << 16);
		is_good = csv_parse(&arena, bytes, length, &options, &rows, &error);
		for (uint32_t i = 0; is_good && i < rows.array->count; i++) {
			const struct json_style style = {0};
			struct text row;

			text_init(&row, &arena);
			assert_true(json_print(&row, rows.array->items[i], &style, NULL));
			buf_addf(&go, "(%.*s)", (int)row.length, row.data);
		}
		mine = cut(&config, bytes, length, 1 + (size_t)round % 5, 1000, false);
		if (is_good ? strcmp(mine, go.data ? go.data : "") != 0 : mine[strlen(mine) - 1] != ']')
			fail_msg("%.*s: %s, not %s", (int)length, bytes, mine, is_good ? go.data : error);
		free(mine);
		buf_fini(&go);
		arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_become_json),
	    cmocka_unit_test(documents_are_cut),
	    cmocka_unit_test(matches_begin_messages),
	    cmocka_unit_test(a_mark_is_dropped_before_the_first),
	    cmocka_unit_test(rows_are_those_of_go),
	    cmocka_unit_test(long_matches_are_found_in_pieces),
	    cmocka_unit_test(names_have_a_bound),
	    cmocka_unit_test(what_may_go_on_is_not_whole),
	    cmocka_unit_test(a_first_row_that_is_none_is_passed_over),
	};

	arena_init(&patterns, 1 << 20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
