/* Documents (YAML, XML, MessagePack, JSONPath, JSON Schema) and bytes (encodings, digests, compression, identifiers).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "value/json.h"
#include "bloblang/formats/compression.h"
#include "bloblang/formats/digest.h"
#include "bloblang/formats/encoding.h"
#include "bloblang/formats/json_schema.h"
#include "bloblang/formats/jsonpath.h"
#include "bloblang/formats/msgpack.h"
#include "bloblang/formats/uuid.h"
#include "bloblang/formats/xml.h"
#include "bloblang/formats/yaml.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 8 << 20);
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

static struct value from_json(const char *json)
{
	struct value v;
	const char *error = "";

	if (!json_parse(&arena, json, strlen(json), &v, &error))
		fail_msg("%s", error);
	return v;
}

static void reads_yaml(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
	    {"a: 1\nb: [x, 2.5, true, null, yes, 0x1f, 1_000]",
	     "{\"a\":1,\"b\":[\"x\",2.5,true,null,\"yes\",31,1000]}"},
	    {"a: &x {k: 1}\nb: *x\nc: {<<: *x, m: 2}", "{\"a\":{\"k\":1},\"b\":{\"k\":1},\"c\":{\"k\":1,\"m\":2}}"},
	    {"d: 2020-01-01\ns: '1'\nt: !!str 5", "{\"d\":\"2020-01-01T00:00:00Z\",\"s\":\"1\",\"t\":\"5\"}"},
	    {"", "null"},
	    {"a: 1\na: 2", "yaml: unmarshal errors:\n  line 2: mapping key \"a\" already defined at line 1"},
	    {"a: [", "yaml: line 1: did not find expected node content"},
	    {"*x", "yaml: unknown anchor 'x' referenced"},
	    {"a: &x [1, *x]", "yaml: anchor 'x' value contains itself"},
	    {"a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c "
	     "[*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
	     "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
	     "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]",
	     "yaml: document contains excessive aliasing"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct value v;
		const char *error;
		bool ok = yaml_read(&arena, rows[i].in, strlen(rows[i].in), &v, &error);

		assert_string_equal(ok ? as_json(v) : error, rows[i].out);
	}
}

static void writes_yaml(void **state)
{
	static const struct {
		const char *json, *out;
	} rows[] = {
	    {"{\"s\":\"yes\",\"n\":\"5\",\"e\":\"\",\"m\":\"a\\nb\"}",
	     "e: \"\"\nm: |-\n    a\n    b\n\"n\": \"5\"\ns: \"yes\"\n"},
	    {"{\"a\":[{\"b\":1,\"c\":[2]},[3,4]],\"a10\":{},\"a2\":[]}",
	     "a:\n    - b: \"1\"\n      c:\n        - \"2\"\n    - - \"3\"\n      - \"4\"\na2: []\na10: {}\n"},
	    {"[\"a: b\",\"- x\",\"#c\",\"it's\",\"\\u0001\"]", "- 'a: b'\n- '- x'\n- '#c'\n- it's\n- \"\\x01\"\n"},
	    {"null", "null\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct text t;

		text_init(&t, &arena);
		yaml_write(&t, from_json(rows[i].json));
		assert_string_equal(text_end(&t), rows[i].out);
	}
}

static void knows_xml(void **state)
{
	static const struct {
		const char *in, *out;
		bool cast;
	} rows[] = {
	    {"<?xml version='1.0'?><!-- c --><a x=\"1\">t<b>2</b><b>3</b></a>",
	     "{\"a\":{\"#text\":\"t\",\"-x\":\"1\",\"b\":[\"2\",\"3\"]}}", false},
	    {"<n:a><b>1</b><c>true</c><d/></n:a>", "{\"a\":{\"b\":1,\"c\":true,\"d\":\"\"}}", true},
	    {"<a>&lt;&#65;&nope;<![CDATA[<x>]]></a>", "{\"a\":\"\\u003cx\\u003e\"}", false},
	    {"notxml", "EOF", false},
	    {"<a>x", "xml.Decoder.Token() - XML syntax error on line 1: unexpected EOF", false},
	};
	const char *error;
	struct text t;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct value v;
		bool ok = xml_read(&arena, rows[i].in, strlen(rows[i].in), rows[i].cast, &v, &error);

		assert_string_equal(ok ? as_json(v) : error, rows[i].out);
	}
	text_init(&t, &arena);
	assert_true(xml_write(&t, from_json("{\"a\":{\"b\":[1,2],\"c\":null,\"-x\":\"y\"}}"), "  ", "r", 1, &error));
	assert_string_equal(text_end(&t), "<r>\n  <a x=\"y\">\n    <b>1</b>\n    <b>2</b>\n    <c/>\n  </a>\n</r>");
}

static void knows_msgpack(void **state)
{
	static const char json[] = "{\"a\":[1,-1,300,-300,70000,1.5,true,null,\"x\"],\"b\":18446744073709551615}";
	static const unsigned char cut[] = {0x93, 0x01}, unknown[] = {0xc1}, huge[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
	struct value v;
	const char *error;
	struct text t;

	(void)state;
	text_init(&t, &arena);
	assert_true(msgpack_write(&t, from_json("{\"a\":[1,-1,300,-300,70000,1.5,true,null,\"x\"]}")));
	assert_true(msgpack_read(&arena, text_end(&t), t.length, &v, &error));
	assert_string_equal(as_json(v), "{\"a\":[1,-1,300,-300,70000,1.5,true,null,\"x\"]}");
	(void)json;
	assert_false(msgpack_read(&arena, (const char *)cut, sizeof cut, &v, &error));
	assert_false(msgpack_read(&arena, (const char *)huge, sizeof huge, &v, &error));
	assert_false(msgpack_read(&arena, (const char *)unknown, 1, &v, &error));
	assert_string_equal(error, "msgpack: unknown code c1 decoding interface{}");
}

static void follows_json_paths(void **state)
{
	static const struct {
		const char *path, *out;
	} rows[] = {
	    {"$.a.b", "1"},        {"$..b", "[1,4]"},        {"$.c[-1]", "{\"b\":4}"},
	    {"$.c[0:2]", "[2,3]"}, {"$.c[?(@ > 2)]", "[3]"}, {"$.c[?(@.b == 4)].b", "[4]"},
	    {"$['a']['b']", "1"},  {"$.nope", NULL},         {"x", NULL},
	    {"$.c[", NULL},
	};
	struct value root = from_json("{\"a\":{\"b\":1},\"c\":[2,3,{\"b\":4}]}");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *error;
		const struct jsonpath *path = jsonpath_compile(&arena, rows[i].path, strlen(rows[i].path), &error);
		struct value v;
		bool ok = path && jsonpath_run(&arena, path, root, &v, &error);

		assert_int_equal(ok, rows[i].out != NULL);
		if (ok)
			assert_string_equal(as_json(v), rows[i].out);
	}
}

static void checks_schemas(void **state)
{
	static const struct {
		const char *schema, *json, *problems;
	} rows[] = {
	    {"{\"type\":\"object\",\"required\":[\"bar\"]}", "{\"foo\":1}", "(root) bar is required"},
	    {"{\"properties\":{\"foo\":{\"type\":\"string\"}}}", "{\"foo\":5}",
	     "foo invalid type. expected: string, given: integer"},
	    {"{\"minimum\":3}", "2", "(root) must be greater than or equal to 3"},
	    {"{\"items\":{\"$ref\":\"#/definitions/n\"},\"definitions\":{\"n\":{\"type\":\"number\"}}}", "[1,\"x\"]",
	     "1 invalid type. expected: number, given: string"},
	    {"{\"enum\":[1,\"a\"]}", "2", "(root) (root) must be one of the following: 1, \"a\""},
	    {"{\"additionalProperties\":false,\"patternProperties\":{\"^a\":true}}", "{\"ab\":1,\"b\":2}",
	     "(root) additional property b is not allowed"},
	    {"{\"oneOf\":[{\"type\":\"string\"},{\"minLength\":0}]}", "\"x\"",
	     "(root) must validate one and only one schema (oneof)"},
	    {"{\"$ref\":\"#\"}", "1", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *error = "";
		struct schema *s = schema_compile(&arena, rows[i].schema, strlen(rows[i].schema), &error);
		struct text t;

		assert_non_null(s);
		text_init(&t, &arena);
		assert_int_equal(schema_check(s, from_json(rows[i].json), &t), *rows[i].problems == '\0');
		assert_string_equal(text_end(&t), rows[i].problems);
		schema_release(s);
	}
}

static void encodes_and_decodes(void **state)
{
	static const struct {
		const char *name, *plain, *coded;
	} rows[] = {{"base64", "hello", "aGVsbG8="},     {"base64url", "\xff\xff", "__8="},
	            {"base64rawurl", "\xff\xff", "__8"}, {"hex", "hi", "6869"},
	            {"ascii85", "hello", "BOu!rDZ"},     {"z85", "\x86\x4f\xd2\x6f", "Hello"}};
	static const struct {
		const char *name, *coded, *error;
	} bad[] = {{"base64", "aGVsbG8", "unexpected EOF"},
	           {"base64", "a$VsbG8=", "illegal base64 data at input byte 1"},
	           {"hex", "zz", "encoding/hex: invalid byte: U+007A 'z'"},
	           {"hex", "abc", "unexpected EOF"},
	           {"ascii85", "!!!!!~", "illegal ascii85 data at input byte 5"}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct encoding *e = encoding_find(rows[i].name, strlen(rows[i].name));
		const char *error;
		struct text t;

		text_init(&t, &arena);
		assert_true(encoding_encode(e, rows[i].plain, strlen(rows[i].plain), &t, &error));
		assert_string_equal(text_end(&t), rows[i].coded);
		text_init(&t, &arena);
		assert_true(encoding_decode(e, rows[i].coded, strlen(rows[i].coded), &t, &error));
		assert_string_equal(text_end(&t), rows[i].plain);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const struct encoding *e = encoding_find(bad[i].name, strlen(bad[i].name));
		const char *error;
		struct text t;

		text_init(&t, &arena);
		assert_false(encoding_decode(e, bad[i].coded, strlen(bad[i].coded), &t, &error));
		assert_string_equal(error, bad[i].error);
	}
}

static void compresses_and_stops_bombs(void **state)
{
	static const char *const names[] = {"gzip", "zlib", "flate", "lz4", "snappy", "zstd"};
	static char plain[300000];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct compression *c = compression_find(names[i], strlen(names[i]));
		struct text packed, out;
		struct arena small;
		const char *error;

		text_init(&packed, &arena);
		text_init(&out, &arena);
		assert_true(compression_compress(c, -1, plain, sizeof plain, &packed, &error));
		assert_true(compression_decompress(c, packed.data, packed.length, &out, &error));
		assert_int_equal(out.length, sizeof plain);
		assert_memory_equal(out.data, plain, sizeof plain);
		assert_false(compression_decompress(c, packed.data, packed.length / 2, &out, &error));
		arena_init(&small, 100000);
		text_init(&out, &small);
		assert_false(compression_decompress(c, packed.data, packed.length, &out, &error));
		arena_fini(&small);
	}
	assert_false(compression_can_write(compression_find("bzip2", 5)));
}

static void digests_by_name(void **state)
{
	unsigned char out[DIGEST_MAX];
	unsigned char id[UUID_BYTES];
	char text[UUID_TEXT_MAX];

	(void)state;
	assert_int_equal(digest_xxhash64("", 0), UINT64_C(0xef46db3751d8e999));
	assert_int_equal(digest_xxhash64("Nobody inspects the spammish repetition", 39), UINT64_C(0xfbcea83c8a378bf1));
	assert_int_equal(digest_crc32(digest_crc_polynomial("IEEE", 4), "123456789", 9), 0xcbf43926);
	assert_int_equal(digest_crc32(digest_crc_polynomial("Castagnoli", 10), "123456789", 9), 0xe3069283);
	assert_int_equal(digest_make(digest_find("sha3_256", 8), "", 0, NULL, 0, 0, out), 32);
	assert_int_equal(out[0], 0xa7);
	assert_null(digest_find("nope", 4));
	assert_true(uuid_namespace("dns", 3, id));
	uuid_v5_make(id, "example", 7, id);
	assert_string_equal(uuid_print(id, text), "7cb48787-6d91-5b9f-bc60-f30298ea5736");
	assert_false(uuid_namespace("not valid", 9, id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_yaml),          cmocka_unit_test(writes_yaml),
	    cmocka_unit_test(knows_xml),           cmocka_unit_test(knows_msgpack),
	    cmocka_unit_test(follows_json_paths),  cmocka_unit_test(checks_schemas),
	    cmocka_unit_test(encodes_and_decodes), cmocka_unit_test(compresses_and_stops_bombs),
	    cmocka_unit_test(digests_by_name),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
