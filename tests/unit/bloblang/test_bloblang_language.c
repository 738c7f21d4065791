#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "bloblang/bloblang.h"

static struct evaluator *evaluator;

static int setup(void **state)
{
	(void)state;
	evaluator = evaluator_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	evaluator_free(evaluator);
	return 0;
}

/* The body a mapping makes, "(deleted)", or the error; the caller frees it. */
static char *mapped(const char *mapping, const char *body, bool mutate)
{
	struct message *source = message_new(NULL, 0, body, strlen(body), 7);
	struct message_batch batch = {.messages = &source, .count = 1};
	struct bloblang_fault fault = {0};
	struct bloblang_mapping *m = NULL;
	struct message *made = NULL;
	struct error e = {0};
	char *result;

	if (bloblang_mapping_parse(mapping, NULL, &m, &fault) != ERR_OK)
		result = strdup(fault.text);
	else if (bloblang_mapping_run(m, evaluator, &batch, mutate, &made, &e) != ERR_OK)
		result = strdup(e.text);
	else
		result = strdup(made == NULL ? "(deleted)" : (const char *)message_body(made));
	assert_true(made == NULL || made->received_ms == 7);
	assert_string_equal((const char *)message_body(source), body); /* the input never changes */
	bloblang_mapping_free(m);
	message_free(made);
	message_free(source);
	return result;
}

static char *rendered(const char *template, const char *body)
{
	struct message *source = message_new(NULL, 0, body, strlen(body), 0);
	struct message_batch batch = {.messages = &source, .count = 1};
	struct bloblang_fault fault = {0};
	struct bloblang_template *t = NULL;
	struct error e = {0};
	struct buf out;
	char *result;

	buf_init(&out, 1 << 16);
	if (bloblang_template_parse(template, &t, &fault) != ERR_OK)
		result = strdup(fault.text);
	else if (bloblang_template_render(t, evaluator, &batch, &out, &e) != ERR_OK)
		result = strdup(e.text);
	else
		result = strdup(out.data != NULL ? out.data : "");
	bloblang_template_free(t);
	message_free(source);
	buf_fini(&out);
	return result;
}

/* What is no JSON fails wherever bytes are made of it: never an empty body. */
static void refuses_what_is_no_json(void **state)
{
	static const struct {
		const char *mapping;
		const char *why;
	} cases[] = {
	    {"root.v = this.t.number()", "json: unsupported value: NaN"},
	    {"root = this.t.number()", "json: unsupported value: NaN"},
	    {"root.v = [{\"a\": 0.0.log()}]", "json: unsupported value: -Inf"},
	    {"root.v = 10.pow(1000)", "json: unsupported value: +Inf"},
	    {"root.v = 10.pow(1000).float32()", "json: unsupported value: +Inf"},
	    {"meta k = this.t.number()\nroot = this", "json: unsupported value: NaN"},
	    {"meta k = [this.t.number()]\nroot = this", "json: unsupported value: NaN"},
	    {"root = [this.t.number()].string()", "json: unsupported value: NaN"},
	    {"root = [this.t.number()].bytes()", "json: unsupported value: NaN"},
	    {"root = {\"a\": this.t.number()}.format_json()", "json: unsupported value: NaN"},
	    {"root = \"a\".contains([this.t.number()])", "json: unsupported value: NaN"},
	    {"root = {\"a\": {\"-k\": [this.t.number()]}}.format_xml()", "json: unsupported value: NaN"},
	    {"root = {\"a\": this.t.number()}.sign_jwt_hs256(\"k\")", "json: unsupported value: NaN"},
	    {"meta k = [this.t.number()]\nroot.v = root_meta(\"k\")", "json: unsupported value: NaN"},
	};
	char *made;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (int mutate = 0; mutate < 2; mutate++) {
			made = mapped(cases[i].mapping, "{\"t\":\"nan\"}", mutate == 1);
			if (!strstr(made, cases[i].why))
				fail_msg("%s: %s", cases[i].mapping, made);
			free(made);
		}
	}
	made = rendered("${! [this.t.number()] }", "{\"t\":\"nan\"}");
	assert_string_equal(made, "json: unsupported value: NaN");
	free(made);
	made = rendered("${! this.t.number() }", "{\"t\":\"nan\"}"); /* by itself it has a text */
	assert_string_equal(made, "NaN");
	free(made);
}

static void maps(void **state)
{
	static const struct {
		const char *mapping;
		const char *body;
		const char *result;
	} cases[] = {
	    {"root = this", "{\"b\":1.0,\"a\":1e5}", "{\"a\":1e5,\"b\":1.0}"},
	    {"root.a = this.n + 1", "{\"n\":9223372036854775807}", "{\"a\":-9223372036854775808}"},
	    {"root.a = true || false && false", "{}", "{\"a\":false}"},
	    {"root.a = 1 + null | 2", "{}", "{\"a\":3}"},
	    {"root.a = -2.abs()", "{}", "{\"a\":-2}"},
	    {"root = deleted()", "{}", "(deleted)"},
	    {"root.a = {\"x\": [[], this.n]}.string()", "{\"n\":1}", "{\"a\":\"{\\\"x\\\":[null,1]}\"}"},
	    {"root.a = {\"x\": [[], this.n]}\nroot.b = root.a.string()", "{\"n\":1}",
	     "{\"a\":{\"x\":[[],1]},\"b\":\"{\\\"x\\\":[[],1]}\"}"},
	    {"meta x = 1", "not json", "not json"},
	    {"root.a = this.b\nroot.a.c = 2\nroot.d = this.b", "{\"b\":{\"c\":1}}",
	     "{\"a\":{\"c\":2},\"d\":{\"c\":1}}"},
	    {"let v = this.b\nroot = $v\nroot.c = 2\nroot.d = $v", "{\"b\":{\"c\":1}}", "{\"c\":2,\"d\":{\"c\":1}}"},
	    {"root.a = {}\nroot.b = root\nroot.a.x = 1", "{}", "{\"a\":{\"x\":1},\"b\":{\"a\":{}}}"},
	    {"root.a.0 = 1", "{}", "{\"a\":{\"0\":1}}"},
	    {"root = this\nroot.a.\"-\" = 3", "{\"a\":[1,2]}", "{\"a\":[1,2,3]}"},
	    {"root.a = this.xs.map_each(x -> this.n)", "{\"xs\":[1,2],\"n\":5}", "{\"a\":[5,5]}"},
	    {"root.a = throw(\"x\").catch(this)", "{}", "{\"a\":\"x\"}"},
	    {"root.a = match { true => 1, _ => 2 }", "true", "{\"a\":1}"},
	    {"map f { root = this * 2 }\nroot = this.n.apply(\"f\")", "{\"n\":4}", "8"},
	    {"root.a = 5 / 0", "{}", "line 1 char 10: number literal: attempted to divide by zero"},
	    {"root.a = this.n / this.z", "{\"n\":1,\"z\":0}",
	     "failed assignment (line 1): field `this.z`: attempted to divide by zero"},
	    {"\nroot.a = this.s.uppercase()", "{\"s\":1}",
	     "failed assignment (line 2): expected string value, got number from field `this.s` (1)"},
	    {"root.a = this.x", "nope",
	     "failed assignment (line 1): unable to reference message as structured (with 'this.x'): parse as json: "
	     "invalid "
	     "character 'o' in literal null (expecting 'u')"},
	    {"root = 1 +", "{}", "line 1 char 11: expected query"},
	    {"import \"x.blobl\"", "{}", "line 1 char 1: failed to read import: imports are disabled in this context"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *result = mapped(cases[i].mapping, cases[i].body, false);

		assert_string_equal(result, cases[i].result);
		free(result);
	}
}

static void mutates(void **state)
{
	static const struct {
		const char *mapping;
		const char *body;
		const char *result;
	} cases[] = {
	    {"root.a = 1\nroot.b = this.a", "{\"a\":0}", "{\"a\":1,\"b\":1}"},
	    {"root.c = this.a\nroot.a.x = 2", "{\"a\":{\"x\":1}}", "{\"a\":{\"x\":2},\"c\":{\"x\":1}}"},
	    {"root.b = 1\nroot = {}\nroot.c = this.b", "{}", "{\"c\":1}"},
	    {"root.a = 1", "text", "{\"a\":1}"},
	    {"root.a = deleted()", "{\"a\":1,\"b\":2}", "{\"b\":2}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *result = mapped(cases[i].mapping, cases[i].body, true);

		assert_string_equal(result, cases[i].result);
		free(result);
	}
}

static void interpolates(void **state)
{
	static const struct {
		const char *template;
		const char *body;
		const char *result;
	} cases[] = {
	    {"a${! this.x }b", "{\"x\":\"-\"}", "a-b"},
	    {"${!json(\"id\")}", "{\"id\":\"dev-1\"}", "dev-1"},
	    {"${! this.nope }", "{}", "null"},
	    {"${! 1000000.0 }", "{}", "1e+06"},
	    {"${{!x}} $$ ${x}", "{}", "${!x} $$ ${x}"},
	    {"${! {\"h\":\"<&>\"} }", "{}", "{\"h\":\"\\u003c\\u0026\\u003e\"}"},
	    {"${! this.a + }", "{}", "char 14: required: expected query"},
	    {"${! $x }", "{}", "variables were undefined"},
	    {"${! json(\"x\").or(\"none\") }", "not json", "none"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *result = rendered(cases[i].template, cases[i].body);

		assert_string_equal(result, cases[i].result);
		free(result);
	}
}

static void knows_constant_templates(void **state)
{
	static const struct {
		const char *template;
		const char *text;
	} cases[] = {
	    {"plain", "plain"}, {"a${! 1 + 2 }b", "a3b"}, {"${{!x}}", "${!x}"}, {"${! this }", NULL}, {"", ""}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bloblang_template *t = NULL;
		const char *text = NULL;
		size_t length;

		assert_int_equal(bloblang_template_parse(cases[i].template, &t, NULL), ERR_OK);
		assert_int_equal(bloblang_template_constant(t, &text, &length), cases[i].text != NULL);
		if (cases[i].text != NULL)
			assert_string_equal(text, cases[i].text);
		bloblang_template_free(t);
	}
}

/* Delivery makes these on the thread that reads answers. */
static void knows_templates_that_are_a_look_at_the_message(void **state)
{
	static const struct {
		const char *template;
		bool is_plain;
	} cases[] = {
	    {"plain", true},
	    {"${! this.a.b }-${! json(\"id\") }", true},
	    {"${! json(\"a.*.b\") }", true},
	    {"${! @k }${! meta(\"k\") }${! metadata(\"k\") }${! content() }", true},
	    {"${! uuid_v4() }${! batch_index() }", true},
	    {"${! 1 + 2 }", true},
	    {"${! content().hash(\"sha256\") }", false},
	    {"${! json(\"id\").uppercase() }", false},
	    {"${! json(this.path) }", false},
	    {"${! range(0, this.n) }", false},
	    {"${! bytes(this.n) }", false},
	    {"${! env(this.name) }", false},
	    {"${! hostname() }", false},
	    {"a ${! @k } ${! if this.a { 1 } else { 2 } }", false},
	    {"${! this.a.map_each(x -> x) }", false},
	    {"${! [ this.a ] }", false},
	    {"${! this.a + 1 }", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bloblang_template *t = NULL;
		struct bloblang_fault fault = {0};

		if (bloblang_template_parse(cases[i].template, &t, &fault) != ERR_OK)
			fail_msg("%s: %s", cases[i].template, fault.text);
		if (bloblang_template_is_plain(t) != cases[i].is_plain)
			fail_msg("%s", cases[i].template);
		bloblang_template_free(t);
	}
}

static void carries_metadata(void **state)
{
	struct bloblang_mapping *m = NULL;
	struct message_batch batch = {.count = 1};
	struct message *source;
	struct message *made;
	struct meta_entry entry;
	struct buf meta;

	(void)state;
	buf_init(&meta, 1000);
	assert_int_equal(meta_add(&meta, 's', "k", 1, "old", 3), ERR_OK);
	assert_int_equal(meta_add(&meta, 'j', "n", 1, "7", 1), ERR_OK);
	source = message_new(meta.data, meta.len, "{}", 2, 0);
	batch.messages = &source;
	assert_int_equal(bloblang_mapping_parse(
	                     "meta m = @n + 1\nmeta k = meta(\"k\") + \"!\"\nmeta b = content()\nmeta gone = deleted()",
	                     NULL, &m, NULL),
	                 ERR_OK);
	assert_int_equal(bloblang_mapping_run(m, evaluator, &batch, false, &made, NULL), ERR_OK);
	assert_true(meta_find(message_meta(made), made->meta_bytes, "m", 1, &entry));
	assert_int_equal(entry.type, 'j');
	assert_memory_equal(entry.value, "8", 1);
	assert_true(meta_find(message_meta(made), made->meta_bytes, "k", 1, &entry));
	assert_int_equal(entry.value_length, 4);
	assert_memory_equal(entry.value, "old!", 4);
	assert_true(meta_find(message_meta(made), made->meta_bytes, "b", 1, &entry));
	assert_int_equal(entry.type, 'b');
	assert_true(meta_find(message_meta(made), made->meta_bytes, "n", 1, &entry));
	message_free(made);
	message_free(source);
	bloblang_mapping_free(m);
	buf_fini(&meta);
}

static void checks(void **state)
{
	static const struct {
		const char *mapping;
		const char *body;
		int result; /* -1: an error */
	} cases[] = {
	    {"this.n > 3", "{\"n\":5}", 1}, {"this.n > 3", "{\"n\":2}", 0}, {"this.nope > 3", "{}", -1},
	    {"root = \"true\"", "{}", 1},   {"nothing()", "true", 1},       {"nothing()", "{}", -1},
	    {"batch_size() >= 2", "{}", 0}, {"root = deleted()", "{}", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct message *source = message_new(NULL, 0, cases[i].body, strlen(cases[i].body), 0);
		struct message_batch batch = {.messages = &source, .count = 1};
		struct bloblang_mapping *m = NULL;
		bool truth = false;
		enum err err;

		assert_int_equal(bloblang_mapping_parse(cases[i].mapping, NULL, &m, NULL), ERR_OK);
		err = bloblang_mapping_check(m, evaluator, &batch, &truth, NULL);
		assert_int_equal(err != ERR_OK ? -1 : truth, cases[i].result);
		bloblang_mapping_free(m);
		message_free(source);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(maps, setup, teardown),
	    cmocka_unit_test_setup_teardown(refuses_what_is_no_json, setup, teardown),
	    cmocka_unit_test_setup_teardown(mutates, setup, teardown),
	    cmocka_unit_test_setup_teardown(interpolates, setup, teardown),
	    cmocka_unit_test_setup_teardown(knows_constant_templates, setup, teardown),
	    cmocka_unit_test(knows_templates_that_are_a_look_at_the_message),
	    cmocka_unit_test_setup_teardown(carries_metadata, setup, teardown),
	    cmocka_unit_test_setup_teardown(checks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
