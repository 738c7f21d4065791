/* Hostile mappings and messages end in an error, soon, with the process alive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "bloblang/bloblang.h"

static char *filled(const char *before, char open, size_t count, char close, const char *after)
{
	size_t length = strlen(before) + count * (close != '\0' ? 2 : 1) + strlen(after);
	char *text = malloc(length + 1);
	char *at = text;

	at = stpcpy(at, before);
	memset(at, open, count);
	at += count;
	if (close != '\0') {
		memset(at, close, count);
		at += count;
	}
	strcpy(at, after);
	return text;
}

/* Runs a mapping; the text of its error, or of what it made (at most a few bytes are looked at). Freed by the caller.
 */
static char *run(const char *mapping, const char *body)
{
	struct message *source = message_new(NULL, 0, body, strlen(body), 0);
	struct message_batch batch = {.messages = &source, .count = 1};
	struct evaluator *ev = evaluator_new();
	struct bloblang_fault fault = {0};
	struct bloblang_mapping *m = NULL;
	struct message *made = NULL;
	struct error e = {0};
	char *result;

	if (bloblang_mapping_parse(mapping, NULL, &m, &fault) != ERR_OK)
		result = strdup(fault.text);
	else if (bloblang_mapping_run(m, ev, &batch, false, &made, &e) != ERR_OK)
		result = strdup(e.text);
	else
		result = strdup((const char *)message_body(made));
	message_free(made);
	message_free(source);
	bloblang_mapping_free(m);
	evaluator_free(ev);
	return result;
}

static void expect(const char *mapping, const char *body, const char *part)
{
	int64_t start = clock_mono_ms();
	char *result = run(mapping, body);

	if (strstr(result, part) == NULL)
		fail_msg("%.60s: %.200s", mapping, result);
	assert_true(clock_mono_ms() - start < 60 * MS_PER_S);
	free(result);
}

static void recursion_ends(void **state)
{
	(void)state;
	expect("map f { root = this.apply(\"f\") }\nroot = 1.apply(\"f\")", "{}", "unbounded recursion");
	expect("map f { root.a = this.apply(\"f\").catch(this.apply(\"f\")) }\nroot = 1.apply(\"f\")", "{}", "");
	expect("map f { root = if this > 0 { (this - 1).apply(\"f\") } else { \"bottom\" } }\nroot = 300.apply(\"f\")",
	       "{}", "bottom");
}

static void deep_documents_pass(void **state)
{
	char *fits = filled("", '[', 10000, ']', "");
	char *deep = filled("", '[', 10001, ']', "");

	(void)state;
	expect("root = this", fits, "[[[[");
	expect("root = this", deep, "exceeded max depth");
	expect("root = this.bloblang(\"root = this\") == this", fits, "true");
	expect("root.a.b.c = this\nroot = root.bloblang(\"root = this\")", fits, "exceeded max depth");
	expect("root.a = this\nroot.b = this == this\nroot.c = this.string().parse_json() == this", fits, "\"c\":true");
	expect("root.a = json(\"0.0.0\").type()", fits, "array");
	free(fits);
	free(deep);
}

static void deep_values_are_refused(void **state)
{
	char *list = malloc(2 * 200000 + 8);
	char *at = list;

	(void)state;
	*at++ = '[';
	for (int i = 0; i < 200000; i++) {
		*at++ = '1';
		*at++ = ',';
	}
	strcpy(at, "1]");
	expect("root = this.fold([], x -> [x.tally]).string().length()", list, "");
	expect("root.a = this.slice(0, 50000).fold({}, x -> {\"a\": x.tally}) == this.slice(0, 50000).fold({}, x -> "
	       "{\"a\": x.tally})",
	       list, "false");
	expect("root = this.slice(0, 50000).fold(0, x -> [x.tally]).format_msgpack().length()", list,
	       "nested more than 1000 deep");
	expect("root = this.slice(0, 999).fold(0, x -> [x.tally]).format_msgpack().length()", list, "1008");
	free(list);
}

static void deep_mappings_do_not_parse(void **state)
{
	char *brackets = filled("root = ", '(', 100000, '\0', "");
	char *arrays = filled("root = ", '[', 100000, ']', "");
	char *minus = filled("root = ", '-', 100000, '\0', "1");
	char *blocks = malloc(12 * 50000 + 1);
	char *at = blocks;

	(void)state;
	for (int i = 0; i < 50000; i++)
		at = stpcpy(at, "if true {\n");
	expect(brackets, "{}", "nested too deeply");
	expect(arrays, "{}", "nested too deeply");
	expect(minus, "{}", "expected");
	expect(blocks, "{}", "nested too deeply");
	free(brackets);
	free(arrays);
	free(minus);
	free(blocks);
}

static void memory_is_bounded(void **state)
{
	(void)state;
	expect("root = this.fold(\"xxxxxxxxxxxxxxxx\", x -> x.tally + x.tally)",
	       "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "memory limit");
	expect("let a = this.map_each(x -> this)\nlet b = $a.map_each(x -> $a)\nlet c = $b.map_each(x -> $b)\n"
	       "let d = $c.map_each(x -> $c)\nroot = $d.map_each(x -> $d).string().length()",
	       "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "");
}

static void time_is_bounded(void **state)
{
	char body[3000] = "[";
	char *at = body + 1;

	(void)state;
	for (int i = 0; i < 999; i++)
		at = stpcpy(at, "1,");
	strcpy(at, "1]");
	expect("root = this.map_each(a -> this.map_each(b -> this.map_each(c -> this.fold(0, d -> d.tally + "
	       "1)).length()))",
	       body, "limit");
}

/* What decompresses, prints, sorts, compares or checks stops at the same limits. */
static void every_loop_stops(void **state)
{
	static const struct {
		const char *mapping, *part;
	} rows[] = {
	    {"root = {\"a\": range(0, "
	     "40000)}.json_schema(\"{\\\"properties\\\":{\\\"a\\\":{\\\"uniqueItems\\\":true}}}\")",
	     "time limit"},
	    {"root = range(0, 40000).map_each(i -> [i]).unique(i -> i.string() + \"x\").length()", ""},
	    {"root = \"x\".repeat(4000000).compress(\"gzip\", 9).decompress(\"gzip\").repeat(9)",
	     "limit of this evaluation"},
	    {"root = range(0, 200000).fold([], i -> i.tally.append(i.value)).length()", "limit"},
	    {"root = 0.ts_strftime(\"%c\".repeat(4000000)).length()", "limit"},
	    {"root = \"%[1]v\".repeat(20000).format(range(0, 100000)).length()", "limit"},
	    {"root = \"%[1]q\".repeat(20000).format(\"\\u0001\".repeat(100000)).length()", "limit"},
	    {"root = \"%v\".format(range(0, 60).fold([1], i -> [i.tally, i.tally])).length()", "limit"},
	    {"root = range(0, 60).fold([1], i -> [i.tally, i.tally])", "limit"},
	    {"root.a = range(0, 60).fold({}, i -> {\"a\": i.tally, \"b\": i.tally})", "limit"},
	    {"meta a = range(0, 60).fold([1], i -> [i.tally, i.tally])", "limit"},
	    {"root = range(0, 60).fold([1], i -> [i.tally, i.tally]).json_path(\"$..a\")", "limit"},
	    {"root = range(0, 60).fold({}, i -> {\"a\": i.tally, \"b\": i.tally}).collapse()", "limit"},
	    {"root = \"a\".repeat(1000000).trim(\"b\".repeat(1000000) + \"a\").length()", "limit"},
	    {"root = (\"b\" + \"a\".repeat(1000000)).trim(\"c\".repeat(1000000) + \"a\").length()", "limit"},
	    {"root = uuid_v7(\"9999-01-01T00:00:00Z\".ts_parse(\"2006-01-02T15:04:05Z07:00\")).length()", "36"},
	    {"root = uuid_v7(9223372036854775807)", "no time before 1970"},
	    {"root = uuid_v7(\"1969-01-01T00:00:00Z\".ts_parse(\"2006-01-02T15:04:05Z07:00\"))", "no time before 1970"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		expect(rows[i].mapping, "{}", rows[i].part);
}

/* `before`, `piece` so many times, `after`. */
static char *repeated(const char *before, const char *piece, size_t count, const char *after)
{
	char *text = malloc(strlen(before) + count * strlen(piece) + strlen(after) + 1);
	char *at = stpcpy(text, before);

	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, piece);
	strcpy(at, after);
	return text;
}

/* What a message's own mapping becomes grows with its text and ends at a limit; in the configuration the same. */
static void texts_of_strangers_are_bounded(void **state)
{
	static const struct {
		const char *before, *piece, *after, *part;
		size_t count;
	} rows[] = {
	    {"root", ".a", " = 1", "", 9999},
	    {"root", ".a", " = 1", "more than 10000 segments", 10001},
	    {"root.x", ".'a'", " = deleted()", "more than 10000 segments", 20000},
	    {"root = this", ".a", "", "more than 10000 segments", 10001},
	    {"root = this", ".a", "", "null", 10000},
	    {"root = this", ".'a'", "", "more than 10000 segments", 30000},
	    {"root = @", ".a", "", "more than 10000 segments", 30000},
	    {"let v = {}\nroot = $v", ".a", "", "more than 10000 segments", 30000},
	    {"root = this", ".get('a')", "", "more than 10000 segments", 30000},
	    {"root = this.get('a", ".a", "')", "more than 10000 segments", 30000},
	    {"root = [this].map_each(q -> q", ".a", ")", "more than 10000 segments", 30000},
	    {"root = [", "'x'.repeat(4000).uppercase(),", "1]", "", 3000},
	    {"root = 'x'", "+'xxxxxxxxxxxxxxxxxxxxxxxx'", "", "needs more memory", 9000},
	    {"root = [", "[],", "1].length()", "needs more memory", 400000},
	    {"", "root.a = 1\n", "", "needs more memory", 90000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *mapping = repeated(rows[i].before, rows[i].piece, rows[i].count, rows[i].after), *body, *at;

		for (char *quote = mapping; (quote = strchr(quote, '\''));)
			*quote = '"';
		body = malloc(2 * strlen(mapping) + 3);
		at = body;
		*at++ = '"';
		for (const char *c = mapping; *c; c++) {
			if (*c == '"' || *c == '\n')
				*at++ = '\\';
			*at++ = *c == '\n' ? 'n' : *c;
		}
		strcpy(at, "\"");
		expect("root = {}.bloblang(json())", body, rows[i].part);
		free(mapping);
		free(body);
	}
}

/* The line of a statement counts from its text, or from the map it is in. */
static void faults_have_their_line(void **state)
{
	(void)state;
	expect("map f {\n\n  root.a = 1\n  root.b = throw(\"x\")\n}\n# c\nroot.a = 1\nroot.b = 1.apply(\"f\")", "{}",
	       "(line 4): x");
	expect("root.a = 1\nif true {\n  root.b = 2\n  root.c = throw(\"x\")\n}", "{}", "(line 2): x");
	expect("root.a = if true {\n  1\n}\n\nroot.c = throw(\"x\")", "{}", "(line 5): x");
	expect("map f { root = 1 }\nmap g {\n root = this\n root = throw(\"x\") }\nroot = this\nroot = 1.apply(\"g\")",
	       "{}", "(line 3): x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(recursion_ends),          cmocka_unit_test(deep_documents_pass),
	    cmocka_unit_test(deep_values_are_refused), cmocka_unit_test(deep_mappings_do_not_parse),
	    cmocka_unit_test(memory_is_bounded),       cmocka_unit_test(time_is_bounded),
	    cmocka_unit_test(every_loop_stops),        cmocka_unit_test(texts_of_strangers_are_bounded),
	    cmocka_unit_test(faults_have_their_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
