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

static struct regex *compiled(const char *pattern)
{
	char fault[REGEX_FAULT_MAX] = "";
	struct regex *re = regex_compile(pattern, strlen(pattern), fault);

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

		assert_null(regex_compile(rows[i].pattern, strlen(rows[i].pattern), fault));
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

		assert_int_equal(regex_test(re, rows[i].subject, strlen(rows[i].subject)), rows[i].matches);
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

static void reports_groups(void **state)
{
	struct regex *re = compiled("(?P<a>x)(y)?");
	struct regex_walk *w = regex_walk_new(re, "axb", 3);
	const struct regex_span *spans;

	(void)state;
	assert_int_equal(regex_groups(re), 2);
	assert_string_equal(regex_group_name(re, 1), "a");
	assert_string_equal(regex_group_name(re, 2), "");
	assert_int_equal(regex_walk_next(w, &spans), REGEX_MATCH);
	assert_int_equal(spans[1].start, 1);
	assert_int_equal(spans[1].end, 2);
	assert_true(spans[2].start == SIZE_MAX);
	assert_int_equal(regex_walk_next(w, &spans), REGEX_NONE);
	regex_walk_free(w);
	regex_free(re);
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
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct regex *re = compiled(rows[i]);
		int64_t start = clock_mono_ns();

		assert_false(regex_test(re, subject, length));
		assert_true(clock_mono_ns() - start < NS_PER_S);
		regex_free(re);
	}
	free(subject);
}

/* FindAll is quadratic when each search looks at all that is left: the walk ends, and says so. */
static void long_walks_stop(void **state)
{
	struct regex *re = compiled("a[^b]*b|a");
	size_t length = 1 << 20;
	char *subject = malloc(length);
	struct regex_walk *w;
	const struct regex_span *spans;
	enum regex_result r;

	(void)state;
	memset(subject, 'a', length);
	w = regex_walk_new(re, subject, length);
	while ((r = regex_walk_next(w, &spans)) == REGEX_MATCH) {
	}
	assert_int_equal(r, REGEX_LIMIT);
	regex_walk_free(w);
	free(subject);
	regex_free(re);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses_what_re2_refuses),
	    cmocka_unit_test(matches_as_re2),
	    cmocka_unit_test(replaces),
	    cmocka_unit_test(reports_groups),
	    cmocka_unit_test(hostile_patterns_are_linear),
	    cmocka_unit_test(long_walks_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
