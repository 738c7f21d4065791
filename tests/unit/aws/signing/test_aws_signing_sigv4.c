/* SigV4: the golden vector for PutRecords, canonicalisation cases, and the key cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/dates.h"
#include "aws/signing/sigv4.h"

static const struct sigv4_scope example = {"us-east-1", "kinesis", "AKIDEXAMPLE",
                                           "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};

static int64_t amz_ms(const char *text)
{
	int64_t ms;

	assert_true(dates_parse_amz(text, &ms));
	return ms;
}

static void signs_the_golden_put_records(void **state)
{
	static const char body[] =
	    "{\"StreamName\":\"test\",\"Records\":[{\"Data\":\"aGVsbG8=\",\"PartitionKey\":\"k\"}]}";
	static const struct header_field fields[] = {
	    {"Host", "kinesis.us-east-1.amazonaws.com"},
	    {"X-Amz-Target", "Kinesis_20131202.PutRecords"},
	    {"X-Amz-Date", "20150830T123600Z"},
	    {"X-Amz-Security-Token", "TOKENEXAMPLE"},
	    {"Content-Type", "application/x-amz-json-1.1"},
	};
	unsigned char hash[SIGV4_HASH_BYTES];
	char hex[SIGV4_HEX_BYTES];
	struct canonical_request request = {
	    .method = "POST", .path = "/", .fields = fields, .field_count = 5, .payload_hash = hex};
	struct sigv4 *s;
	struct buf out;
	struct error e;

	(void)state;
	assert_int_equal(sigv4_open(&s, &e), ERR_OK);
	buf_init(&out, 4096);
	sigv4_hash(s, body, strlen(body), hash);
	sigv4_hex(hash, hex);
	assert_string_equal(hex, "9fd2916ed917688bfb687dc712ba16e90b9caca8a1875070e7e8736313eaa78d");
	for (int again = 0; again < 3; again++) {
		assert_int_equal(sigv4_sign(s, &example, &request, amz_ms("20150830T123600Z"), &out, &e), ERR_OK);
		assert_string_equal(out.data,
		                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request, "
		                    "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, "
		                    "Signature=0c7fff37b996a673bb8dcf6180a5684aa2fdda420be00d3cc8927c42bcf5b71f");
	}
	assert_non_null(
	    strstr(sigv4_last_string_to_sign(s), "111a8e1cd8d5a573ca7578b980db7497c8c91e197efcff702a319fb51dd98a62"));
	sigv4_hash(s, sigv4_last_canonical(s), strlen(sigv4_last_canonical(s)), hash);
	sigv4_hex(hash, hex);
	assert_string_equal(hex, "111a8e1cd8d5a573ca7578b980db7497c8c91e197efcff702a319fb51dd98a62");
	buf_fini(&out);
	sigv4_close(s);
}

/* Each row changes one thing the derived key depends on; the cached key must not survive it. */
static void derives_a_new_key_for_each_change(void **state)
{
	static const struct {
		struct sigv4_scope scope;
		const char *stamp;
		const char *signature; /* computed with botocore's SigV4Auth */
	} rows[] = {
	    {{"us-east-1", "service", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
	     "20150830T123600Z",
	     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	    {{"us-east-1", "service", "AKIDEXAMPLE", "other-secret"},
	     "20150830T123600Z",
	     "7b68d88763487d0addf2633a41979d20a078321e3c6ff0623ad8059fe6886e96"},
	    {{"us-east-1", "service", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
	     "20150831T000000Z",
	     "fa3fba94187bf15a4fd1e2522dc0dc411d682bdd6ad70439810e6a51e24715a3"},
	    {{"us-east-1", "kinesis", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
	     "20150830T123600Z",
	     "03abec3247e5cb26df9cd89c0988b5e14fcdca91ed43c5cac30ed610bcddf947"},
	    {{"eu-west-1", "service", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
	     "20150830T123600Z",
	     "c2247dd8625f9b1ca6e790cef12e752a4a4707fb14ecedede65539e6fd15f772"},
	    {{"us-east-1", "service", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
	     "20150830T235959Z",
	     "f1e56d41656220792b3e2fff083515f2c4b7550ef6f82dfbfb6179174236566e"},
	    {{"us-east-1", "service", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
	     "20380119T031408Z",
	     "4af66f4549bb97e2672369e80a38c8f8c1d2857aecb79e8653e10e625fb77647"},
	};
	struct sigv4 *s;
	struct buf out;
	struct error e;

	(void)state;
	assert_int_equal(sigv4_open(&s, &e), ERR_OK);
	buf_init(&out, 4096);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
			struct header_field fields[] = {{"Host", "example.amazonaws.com"},
			                                {"X-Amz-Date", rows[i].stamp}};
			struct canonical_request request = {
			    .method = "GET",
			    .path = "/",
			    .fields = fields,
			    .field_count = 2,
			    .payload_hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};

			assert_int_equal(sigv4_sign(s, &rows[i].scope, &request, amz_ms(rows[i].stamp), &out, &e),
			                 ERR_OK);
			assert_string_equal(out.data + out.len - 64, rows[i].signature);
		}
	buf_fini(&out);
	sigv4_close(s);
}

static void canonicalises(void **state)
{
	static const struct {
		const char *path, *query;
		bool keep;
		const char *expect_path, *expect_query;
	} rows[] = {
	    {"/", "", false, "/", ""},
	    {"", NULL, false, "/", ""},
	    {"//", NULL, false, "/", ""},
	    {"/./", NULL, false, "/", ""},
	    {"/example/..", NULL, false, "/", ""},
	    {"/example1/example2/../..", NULL, false, "/", ""},
	    {"/../../x", NULL, false, "/x", ""},
	    {"/a/../b/", NULL, false, "/b/", ""},
	    {"/./example", NULL, false, "/example", ""},
	    {"//example//", NULL, false, "/example/", ""},
	    {"//example//", NULL, true, "//example//", ""},
	    {"/example space/", NULL, false, "/example%20space/", ""},
	    {"/\xe1\x88\xb4", NULL, false, "/%E1%88%B4", ""},
	    {"/a%20b", NULL, false, "/a%2520b", ""},
	    {"/-._~0azAZ", NULL, false, "/-._~0azAZ", ""},
	    {"/", "Param2=v2&Param1=v1", false, "/", "Param1=v1&Param2=v2"},
	    {"/", "Param1=v2&Param1=v1", false, "/", "Param1=v1&Param1=v2"},
	    {"/", "Param-3=V&Param=V2&%E1%88%B4=V1", false, "/", "%E1%88%B4=V1&Param=V2&Param-3=V"},
	    {"/", "a", false, "/", "a="},
	    {"/", "a=b=c&&d", false, "/", "a=b%3Dc&d="},
	    {"/", "\xe1\x88\xb4=bar", false, "/", "%E1%88%B4=bar"},
	    {"/", "x=%2f%7e", false, "/", "x=%2F~"},
	    {"/", "x=%zz%4", false, "/", "x=%25zz%254"},
	};
	static const struct header_field fields[] = {
	    {"Zed", " a   b \t c "}, {"my-header", "v4"}, {"My-Header", "v1"}, {"A", ""}, {"my-header", "v3"}};
	struct buf out, names;
	struct error e;

	(void)state;
	buf_init(&out, 65536);
	buf_init(&names, 65536);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct canonical_request r = {.method = "GET",
		                              .path = rows[i].path,
		                              .query = rows[i].query,
		                              .fields = fields,
		                              .field_count = 5,
		                              .payload_hash = "H",
		                              .keep_path = rows[i].keep};
		char expect[512];

		(void)snprintf(expect, sizeof expect,
		               "GET\n%s\n%s\na:\nmy-header:v4,v1,v3\nzed:a b c\n\na;my-header;zed\nH",
		               rows[i].expect_path, rows[i].expect_query);
		assert_int_equal(canonical_build(&r, &out, &names, &e), ERR_OK);
		assert_string_equal(out.data, expect);
		assert_string_equal(names.data, "a;my-header;zed");
	}
	buf_fini(&out);
	buf_fini(&names);
}

static void refuses_what_does_not_fit(void **state)
{
	struct header_field many[CANONICAL_FIELDS_MAX + 1];
	char query[2 * CANONICAL_QUERY_MAX + 8] = "";
	struct canonical_request r = {.method = "GET", .path = "/", .fields = many, .payload_hash = "H"};
	struct buf out, names;
	struct error e;

	(void)state;
	for (size_t i = 0; i <= CANONICAL_FIELDS_MAX; i++)
		many[i] = (struct header_field){"a", "b"};
	for (size_t i = 0; i <= CANONICAL_QUERY_MAX; i++)
		strcat(query, "q&");
	buf_init(&out, 65536);
	buf_init(&names, 65536);
	r.field_count = CANONICAL_FIELDS_MAX + 1;
	assert_int_equal(canonical_build(&r, &out, &names, &e), ERR_TOOBIG);
	r.field_count = 1;
	r.query = query;
	assert_int_equal(canonical_build(&r, &out, &names, &e), ERR_TOOBIG);
	buf_fini(&out);
	buf_fini(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(signs_the_golden_put_records),
	    cmocka_unit_test(derives_a_new_key_for_each_change),
	    cmocka_unit_test(canonicalises),
	    cmocka_unit_test(refuses_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
