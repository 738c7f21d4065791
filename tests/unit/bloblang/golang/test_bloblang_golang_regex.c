/* Go's regexp: what matches, what is refused and in which words, templates, bad bytes, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "bloblang/golang/regex.h"

/* Without a limit of time: it counts nothing. */
static struct arena house;

static struct regex *compiled(const char *pattern)
{
	char fault[REGEX_FAULT_MAX] = "";
	struct regex *re = regex_compile(&house, pattern, strlen(pattern), fault);

	if (!re)
		fail_msg("%s: %s", pattern, fault);
	return re;
}

static void refuses_what_re2_refuses(void **state)
{
	static const struct {
		const char *pattern;
		const char *fault;
	} rows[] = {
	    {"[", "error parsing regexp: missing closing ]: `[`"},
	    {"a(?!b)", "error parsing regexp: invalid or unsupported Perl syntax: `(?!`"},
	    {"(?=x)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
	    {"(?<=x)", "error parsing regexp: invalid named capture: `(?<=x)`"},
	    {"a{1001}", "error parsing regexp: invalid repeat count: `{1001}`"},
	    {"(a{100}){100}", "error parsing regexp: invalid repeat count: `{100}`"},
	    {"a{2,1}", "error parsing regexp: invalid repeat count: `{2,1}`"},
	    {"a**", "error parsing regexp: invalid nested repetition operator: `**`"},
	    {"a*+", "error parsing regexp: invalid nested repetition operator: `*+`"},
	    {"*a", "error parsing regexp: missing argument to repetition operator: `*`"},
	    {"(a", "error parsing regexp: missing closing ): `(a`"},
	    {"a)", "error parsing regexp: unexpected ): `a)`"},
	    {"(a)\\1", "error parsing regexp: invalid escape sequence: `\\1`"},
	    {"\\C", "error parsing regexp: invalid escape sequence: `\\C`"},
	    {"\\Z", "error parsing regexp: invalid escape sequence: `\\Z`"},
	    {"[z-a]", "error parsing regexp: invalid character class range: `z-a`"},
	    {"[[:foo:]]", "error parsing regexp: invalid character class range: `[:foo:]`"},
	    {"\\p{Foo}", "error parsing regexp: invalid character class range: `\\p{Foo}`"},
	    {"\\", "error parsing regexp: trailing backslash at end of expression: ``"},
	    {"(?P<>a)", "error parsing regexp: invalid named capture: `(?P<>`"},
	    {"(?<\xc3\xa9>a)", "error parsing regexp: invalid named capture: `(?<\xc3\xa9>`"},
	    {"\xc3\xa9(?P<\xc3\xa9>a)", "error parsing regexp: invalid named capture: `(?P<\xc3\xa9>`"},
	    {"(?<n", "error parsing regexp: invalid named capture: `(?<n`"},
	    {"\\E\\C", "error parsing regexp: invalid escape sequence: `\\E`"},
	    {"a\xff(", "error parsing regexp: invalid UTF-8: `\xff(`"},
	    {"\\pL{1000}\\pL{1000}", "error parsing regexp: expression too large: `\\pL{1000}\\pL{1000}`"},
	    {"\xff", "error parsing regexp: invalid UTF-8: `\xff`"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char fault[REGEX_FAULT_MAX] = "";

		assert_null(regex_compile(&house, rows[i].pattern, strlen(rows[i].pattern), fault));
		assert_string_equal(fault, rows[i].fault);
	}
}

static void matches_as_re2(void **state)
{
	static const struct {
		const char *pattern, *subject;
		bool matches;
	} rows[] = {
	    {"a$", "a\n", false},
	    {"(?m)a$", "a\n", true},
	    {"\\d", "\xd9\xa3", false},
	    {"\\s", "\v", false},
	    {"\\S", "\v", true},
	    {"(?i)straSSe", "STRASSE", true},
	    {"[[:alpha:]]", "\xc3\xa9", false},
	    {"\\pL", "\xc3\xa9", true},
	    {"\\p{Greek}", "\xce\xb1", true},
	    {".", "\n", false},
	    {"(?s).", "\n", true},
	    {"a{,2}", "a{,2}", true},
	    {"a{,2}", "aa", false},
	    {"\\Qa.b\\E", "a.b", true},
	    {"\\Qa.b\\E", "axb", false},
	    {"^b", "a\nb", false},
	    {"(?m)^b", "a\nb", true},
	    {"\\bfoo\\b", "a foo b", true},
	    {"(?i)k", "\xe2\x84\xaa", true},
	    {"\\B", "a\xc3\xa9", true},
	    {"^\\B$|x\\By", "\xc3\xa9", false},
	    {"[(?<]", "(", true},
	    {"[]\\](?<]", "<", true},
	    {"\\Q(?<\\E", "(?<", true},
	    {"\\(?<", "(<", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct regex *re = compiled(rows[i].pattern);

		struct arena a;

		arena_init(&a, 1 << 20);
		assert_int_equal(regex_test(re, &a, rows[i].subject, strlen(rows[i].subject)),
		                 rows[i].matches ? REGEX_MATCH : REGEX_NONE);
		arena_fini(&a);
		regex_free(re);
	}
}

static void replaces(void **state)
{
	static const struct {
		const char *pattern, *subject, *with, *result;
	} rows[] = {
	    {"a*", "baaac", "X", "XbXcX"},
	    {"(\\w+) (\\w+)", "ab cd", "$2 ${1}x $$ $1x $", "cd abx $  $"},
	    {"(?P<first>a)", "ab", "<${first}>", "<a>b"},
	    {"(a)|b", "ab", "[$1]", "[a][]"},
	    {"", "ab", "-", "-a-b-"},
	    {"x", "a\xff", "-", "a\xff"},
	    {".", "a\xff\xc3\xa9", "-", "---"},
	    {"$", "ab", "!", "ab!"},
	    {"(?<first>a)(?P<first>b)?", "ab a", "<${first}>", "<a> <a>"},
	    {"(a*)*", "aa", "<$1>", "<aa>"},
	    {"\\B", "\xc3\xa9\xc3\xa9.", "|", "|\xc3\xa9|\xc3\xa9|.|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct regex *re = compiled(rows[i].pattern);
		struct arena a;
		struct text out;

		arena_init(&a, 1 << 20);
		text_init(&out, &a);
		assert_int_equal(regex_replace_all(re, rows[i].subject, strlen(rows[i].subject), rows[i].with,
		                                   strlen(rows[i].with), &out),
		                 ERR_OK);
		assert_string_equal(text_end(&out), rows[i].result);
		arena_fini(&a);
		regex_free(re);
	}
}

static const struct arena_limits quick = {
    .most_bytes = 32 << 20, .own_bytes = 32 << 20, .time_ns = 300 * (int64_t)NS_PER_MS};

static void reports_groups(void **state)
{
	struct regex *re = compiled("(?P<a>x)(y)?");
	const struct regex_span *spans;
	struct regex_walk *w;
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20);
	w = regex_walk_new(re, &a, "axb", 3);
	assert_int_equal(regex_groups(re), 2);
	assert_string_equal(regex_group_name(re, 1), "a");
	assert_string_equal(regex_group_name(re, 2), "");
	assert_int_equal(regex_walk_next(w, &spans), REGEX_MATCH);
	assert_int_equal(spans[1].start, 1);
	assert_int_equal(spans[1].end, 2);
	assert_true(spans[2].start == SIZE_MAX);
	assert_int_equal(regex_walk_next(w, &spans), REGEX_NONE);
	arena_fini(&a);
	regex_free(re);
}

static enum regex_result tested(const char *pattern, const char *subject, size_t length)
{
	struct regex *re = compiled(pattern);
	enum regex_result r;
	struct arena a;

	arena_init(&a, 0);
	arena_limit(&a, &quick);
	r = regex_test(re, &a, subject, length);
	arena_fini(&a);
	regex_free(re);
	return r;
}

/* Each would take a backtracking matcher hours. */
static void hostile_patterns_are_linear(void **state)
{
	static const char *const rows[] = {"(a+)+$", "(a|aa)+$", "(a|a?)+b", "(.*)(.*)(.*)(.*)(.*)!x",
	                                   "(x+x+)+y|(a*)*b"};
	size_t length = 100000;
	char *subject = malloc(length);

	(void)state;
	memset(subject, 'a', length);
	subject[length - 1] = '!';
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(tested(rows[i], subject, length), REGEX_NONE);
	free(subject);
}

static char *letters(const char *set, size_t length)
{
	char *subject = malloc(length);
	uint32_t seed = 1;

	for (size_t i = 0; i < length; i++) {
		seed = seed * 1664525 + 1013904223;
		subject[i] = set[(seed >> 16) % strlen(set)];
	}
	return subject;
}

/* Linear, but seconds for a megabyte: a state of the automaton for each byte. Long patterns that are not so pass. */
static void slow_searches_are_not_begun(void **state)
{
	static const char *const slow[] = {"a[ab]{900}c", "(a|b)*a[ab]{700}$c", "(?i)a[ab]{400}[cd]{400}z"};
	static const char *const fast[] = {"x[ab]{900}c", "[\\p{L}\\p{N}_.+-]+@[\\p{L}\\p{N}-]+[.][\\p{L}]{2,24}",
	                                   "(?:abc|bcd|cde|def){50}!"};
	size_t length = 2 << 20;
	char *subject = letters("ab", length);

	(void)state;
	for (size_t i = 0; i < sizeof slow / sizeof *slow; i++)
		assert_int_equal(tested(slow[i], subject, length), REGEX_LIMIT);
	for (size_t i = 0; i < sizeof fast / sizeof *fast; i++)
		assert_int_equal(tested(fast[i], subject, length / 64), REGEX_NONE);
	free(subject);
}

/* FindAll is quadratic when each search looks at all that is left: the walk ends, and says so. */
static void long_walks_stop(void **state)
{
	struct regex *re = compiled("a[^b]*b|a");
	size_t length = 1 << 20;
	char *subject = malloc(length);
	const struct regex_span *spans;
	struct regex_walk *w;
	enum regex_result r;
	struct arena a;

	(void)state;
	memset(subject, 'a', length);
	arena_init(&a, 0);
	arena_limit(&a, &quick);
	w = regex_walk_new(re, &a, subject, length);
	while ((r = regex_walk_next(w, &spans)) == REGEX_MATCH) {
	}
	assert_int_equal(r, REGEX_LIMIT);
	arena_fini(&a);
	free(subject);
	regex_free(re);
}

/* The groups of a long match are walked instruction by instruction. */
static void groups_of_long_matches_have_a_limit(void **state)
{
	struct regex *re = compiled("^(?:(a)|(b)|[ab]{1,300}?)*(.)$");
	size_t length = 4 << 20;
	char *subject = letters("ab", length);
	const struct regex_span *spans;
	struct regex_walk *w;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	arena_limit(&a, &quick);
	w = regex_walk_new(re, &a, subject, length);
	assert_int_equal(regex_walk_next(w, &spans), REGEX_LIMIT);
	arena_fini(&a);
	free(subject);
	regex_free(re);
}

/* A class of Unicode's takes 31 KB for its three bytes: what does not fit, or takes too long, is not begun. */
static void what_strangers_compile_is_counted(void **state)
{
	static const struct {
		const char *piece;
		size_t times;
		bool compiles;
	} rows[] = {{"a", 1, true},           {"a|", 1000, true},     {"\\pL", 100, true},    {"\\pL", 1000, false},
	            {"[^\\pL]", 3000, false}, {"\\PN", 90000, false}, {"(a)", 300000, false}, {"(", 1, false}};
	static const struct arena_limits limits = {
	    .most_bytes = 32 << 20, .own_bytes = 32 << 20, .time_ns = 500 * NS_PER_MS};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t piece = strlen(rows[i].piece), length = piece * rows[i].times;
		char *pattern = malloc(length), fault[REGEX_FAULT_MAX] = "";
		struct regex *re;
		struct arena a;

		for (size_t k = 0; k < length; k++)
			pattern[k] = rows[i].piece[k % piece];
		arena_init(&a, 0);
		arena_limit(&a, &limits);
		re = regex_compile(&a, pattern, length, fault);
		assert_int_equal(re != NULL, rows[i].compiles);
		assert_int_equal(fault[0] == '\0', rows[i].compiles);
		assert_int_equal(a.beside_bytes > 0, rows[i].compiles);
		regex_free(re);
		assert_int_equal(a.beside_bytes, 0);
		arena_fini(&a);
		free(pattern);
	}
}

/* Each of many patterns takes its part until there is none left. */
static void many_patterns_are_counted_together(void **state)
{
	static const struct arena_limits limits = {
	    .most_bytes = 4 << 20, .own_bytes = 4 << 20, .time_ns = 500 * NS_PER_MS};
	char fault[REGEX_FAULT_MAX];
	struct regex *all[100];
	size_t count = 0;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	arena_limit(&a, &limits);
	while (count < 100 && (all[count] = regex_compile(&a, "x+y", 3, fault)))
		count++;
	assert_in_range(count, 8, 40);
	assert_true(a.exceeded);
	while (count > 0)
		regex_free(all[--count]);
	assert_int_equal(a.beside_bytes, 0);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses_what_re2_refuses),
	    cmocka_unit_test(matches_as_re2),
	    cmocka_unit_test(replaces),
	    cmocka_unit_test(reports_groups),
	    cmocka_unit_test(hostile_patterns_are_linear),
	    cmocka_unit_test(slow_searches_are_not_begun),
	    cmocka_unit_test(long_walks_stop),
	    cmocka_unit_test(groups_of_long_matches_have_a_limit),
	    cmocka_unit_test(what_strangers_compile_is_counted),
	    cmocka_unit_test(many_patterns_are_counted_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
