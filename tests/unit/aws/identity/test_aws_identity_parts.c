/* The pure parts: dates, INI files, words, XML, replies, URLs and ARNs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dates.h"
#include "aws/signing/endpoint.h"
#include "aws/identity/credential_reply.h"
#include "aws/identity/ini.h"
#include "aws/identity/shell_words.h"
#include "aws/identity/sts_xml.h"

static void reads_dates(void **state)
{
	static const struct {
		bool (*parse)(const char *, int64_t *);
		const char *text;
		int64_t ms; /* -1: refused */
	} rows[] = {
	    {dates_parse_http, "Thu, 01 Jan 1970 00:00:00 GMT", 0},
	    {dates_parse_http, "Sun, 06 Nov 1994 08:49:37 GMT", INT64_C(784111777000)},
	    {dates_parse_http, "Tue, 29 Feb 2028 23:59:59 GMT", INT64_C(1835481599000)},
	    {dates_parse_http, "Tue, 19 Jan 2038 03:14:08 GMT", INT64_C(2147483648000)},
	    {dates_parse_http, "Sun, 07 Feb 2106 06:28:16 GMT", INT64_C(4294967296000)},
	    {dates_parse_http, "Sun, 06 Nov 1994 08:49:37 GMT ", -1},
	    {dates_parse_http, "Sun, 31 Feb 1994 08:49:37 GMT", -1},
	    {dates_parse_http, "Sun, 06 Nov 1994 24:49:37 GMT", -1},
	    {dates_parse_http, "Sunday, 06-Nov-94 08:49:37 GMT", -1},
	    {dates_parse_http, "Sun, 6 Nov 1994 08:49:37 GMT", -1},
	    {dates_parse_http, "", -1},
	    {dates_parse_iso, "2026-11-23T07:08:31Z", INT64_C(1795417711000)},
	    {dates_parse_iso, "2026-11-23T07:08:31.276049Z", INT64_C(1795417711276)},
	    {dates_parse_iso, "2026-11-23T09:08:31+02:00", INT64_C(1795417711000)},
	    {dates_parse_iso, "2026-11-23T07:08:31UTC", INT64_C(1795417711000)},
	    {dates_parse_iso, "2026-11-23T07:08:31", -1},
	    {dates_parse_iso, "2026-11-23T07:08:31.Z", -1},
	    {dates_parse_iso, "2026-11-23T07:08:31.1234567890Z", -1},
	    {dates_parse_iso, "2026-13-23T07:08:31Z", -1},
	    {dates_parse_iso, "1969-12-31T23:59:59Z", -1},
	    {dates_parse_iso, "2026-11-23 07:08:31Z", -1},
	    {dates_parse_short, "2026-11-23T07:08:31Z", INT64_C(1795417711000)},
	    {dates_parse_short, "2026-11-23 09:08:31.5+02:00", INT64_C(1795417711500)},
	    {dates_parse_short, "2026-11-23T07:08:31", INT64_C(1795417711000)},
	    {dates_parse_short, "2026-11-23T07:08", INT64_C(1795417680000)},
	    {dates_parse_short, "2026-11-23 07:08", INT64_C(1795417680000)},
	    {dates_parse_short, "2026-11-23 07:08Z", INT64_C(1795417680000)},
	    {dates_parse_short, "2026-11-23", INT64_C(1795392000000)},
	    {dates_parse_short, "2028-02-29", INT64_C(1835395200000)},
	    {dates_parse_short, "2026-02-29", -1},
	    {dates_parse_short, "2026-11-23Z", -1},
	    {dates_parse_short, "2026-11-23 ", -1},
	    {dates_parse_short, "2026-11-23T", -1},
	    {dates_parse_short, "2026-11-23 07", -1},
	    {dates_parse_short, "2026-11-23 07:08:", -1},
	    {dates_parse_short, "2026-11-23 24:00", -1},
	    {dates_parse_short, "2026-11-23  07:08", -1},
	    {dates_parse_short, "2026-11-23 07:08 ", -1},
	    {dates_parse_short, "23.11.2026", -1},
	    {dates_parse_short, "", -1},
	    {dates_parse_amz, "20150830T123600Z", INT64_C(1440938160000)},
	    {dates_parse_amz, "20150830T123600", -1},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t ms = -1;

		if (rows[i].parse(rows[i].text, &ms) != (rows[i].ms >= 0) || (rows[i].ms >= 0 && ms != rows[i].ms))
			fail_msg("%s gave %lld", rows[i].text, (long long)ms);
	}
	assert_string_equal(dates_format_amz(INT64_C(1440938160999), text), "20150830T123600Z");
	assert_string_equal(dates_format_iso(INT64_C(1795417711276), text), "2026-11-23T07:08:31Z");
	assert_string_equal(dates_format_iso(-5, text), "1970-01-01T00:00:00Z");
	assert_string_equal(dates_format_iso(INT64_MAX, text), "9999-12-31T23:59:59Z");
	for (int64_t ms = 0; ms < INT64_C(253402300800000); ms += INT64_C(86399999937)) {
		int64_t back;

		assert_true(dates_parse_iso(dates_format_iso(ms, text), &back));
		assert_true(back == ms / 1000 * 1000);
	}
}

static void reads_ini(void **state)
{
	static const char text[] =
	    "# comment\n[default]\nAws_Key = a=b#c ; note\r\n  empty=\n[profile  \"my p\" ] ; x\n"
	    "k: v\n\tw\n[services s]\nkinesis =\n  endpoint_url = https://x ; y\n  other=1\nplain = 2\n"
	    "[default]\naws_key = second";
	static const char *const bad[] = {"[a\n", "k = v\n", "[a]\nnonsense\n", "[a]\n= v\n", "[a]\nk\n"};
	struct ini ini;
	struct error e;

	(void)state;
	assert_int_equal(ini_parse("f", text, strlen(text), &ini, &e), ERR_OK);
	assert_string_equal(ini_get(&ini, "default", "aws_key"), "second");
	assert_string_equal(ini_get(&ini, "profile my p", "k"), "v\nw");
	assert_string_equal(ini_get_below(&ini, "services s", "kinesis", "endpoint_url"), "https://x");
	assert_string_equal(ini_get(&ini, "services s", "plain"), "2");
	assert_string_equal(ini_get(&ini, "services s", "kinesis"), "");
	assert_null(ini_get(&ini, "services s", "endpoint_url"));
	assert_null(ini_get(&ini, "nope", "k"));
	assert_true(ini_has_section(&ini, "profile my p"));
	assert_false(ini_has_section(&ini, "my p"));
	ini_fini(&ini);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(ini_parse("f", bad[i], strlen(bad[i]), &ini, &e), ERR_INPUT);
		assert_non_null(strstr(e.text, "f line "));
		assert_int_equal(ini.count, 0);
	}
	assert_int_equal(ini_parse("f", "[a]\nk\0=v", 9, &ini, &e), ERR_INPUT);
}

static void splits_words(void **state)
{
	static const struct {
		const char *text;
		const char *joined; /* with '|'; null: refused */
	} rows[] = {
	    {"a b  c", "a|b|c"},
	    {"  /x/y 'a b' \"c d\" e\\ f ", "/x/y|a b|c d|e f"},
	    {"a'b'\"c\"", "abc"},
	    {"'' \"\"", "|"},
	    {"\"a\\\"b\\$c\\d\"", "a\"b$c\\d"},
	    {"'a\\b'", "a\\b"},
	    {"$HOME *", "$HOME|*"},
	    {"a;b|c", "a;b|c"},
	    {"'open", NULL},
	    {"\"open", NULL},
	    {"end\\", NULL},
	    {"", NULL},
	    {"   ", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char **words = shell_words_split(rows[i].text);
		char joined[256] = "";

		assert_int_equal(words != NULL, rows[i].joined != NULL);
		for (size_t w = 0; words && words[w]; w++) {
			if (w)
				strcat(joined, "|");
			strcat(joined, words[w]);
		}
		if (words)
			assert_string_equal(joined, rows[i].joined);
		shell_words_free(words);
	}
}

static void finds_xml(void **state)
{
	static const struct {
		const char *text;
		const char *found; /* null: not */
	} rows[] = {
	    {"<A><B>x</B></A>", "x"},
	    {"<?xml version=\"1.0\"?>\n<A xmlns=\"u\" b='c'><Z/><B >x &amp;&lt;&gt;&quot;&apos;&#65;&#x42;</B ></A>\n",
	     "x &<>\"'AB"},
	    {"<A><B/></A>", ""},
	    {"<A><B>first</B><B>second</B></A>", "first"},
	    {"<A><C><B>no</B></C></A>", NULL},
	    {"<B>x</B>", NULL},
	    {"<A><B>x</B>", NULL},
	    {"<A><B>x</C></A>", NULL},
	    {"<A><B>x<C/></B></A>", NULL},
	    {"<A><B>x</B></A>y", NULL},
	    {"<A><B>x</B></A><A/>", NULL},
	    {"<A><!-- c --><B>x</B></A>", NULL},
	    {"<!DOCTYPE a><A><B>x</B></A>", NULL},
	    {"<A><B><![CDATA[x]]></B></A>", NULL},
	    {"<A><B>&unknown;</B></A>", NULL},
	    {"<A><B>&#0;</B></A>", NULL},
	    {"<A><B>&#xD800;</B></A>", NULL},
	    {"<A b=\"></A>", NULL},
	    {"<A b></A>", NULL},
	    {"<A/", NULL},
	    {"", NULL},
	    {"<A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A>", NULL},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 64);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		bool found = sts_xml_find(rows[i].text, strlen(rows[i].text), "A/B", &out);

		if (found != (rows[i].found != NULL))
			fail_msg("row %zu", i);
		if (found)
			assert_string_equal(out.data ? out.data : "", rows[i].found);
	}
	buf_fini(&out);
}

static void reads_replies(void **state)
{
	static const struct {
		enum err (*reply)(char *, size_t, struct aws_keys *, struct error *);
		const char *text;
		const char *token; /* when taken */
		const char *fault;
	} rows[] = {
	    {credential_reply_container, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\"}", "t",
	     NULL},
	    {credential_reply_container, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\\u002f\"}", NULL, NULL},
	    {credential_reply_container, "{\"AccessKeyId\":1,\"SecretAccessKey\":\"s\"}", NULL, "no access key id"},
	    {credential_reply_container, "{\"AccessKeyId\":\"A B\",\"SecretAccessKey\":\"s\"}", NULL, "not one"},
	    {credential_reply_container, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"a\\nb\"}", NULL,
	     "session token"},
	    {credential_reply_process,
	     "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\"}", "t", NULL},
	    {credential_reply_process, "{\"Version\":\"1\",\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\"}", NULL,
	     "Version"},
	    {credential_reply_process, "", NULL, "not a JSON object"},
	    {credential_reply_imds, "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", NULL, "Code"},
	    {credential_reply_sso_role,
	     "{\"roleCredentials\":{\"accessKeyId\":\"A\",\"secretAccessKey\":\"s\",\"sessionToken\":\"t\","
	     "\"expiration\":5}}",
	     "t", NULL},
	    {credential_reply_sso_role, "{\"roleCredentials\":{\"accessKeyId\":\"A\",\"secretAccessKey\":\"s\"}}", NULL,
	     "not a time"},
	    {credential_reply_sso_role, "{}", NULL, "no access key id"},
	    {credential_reply_sts_keys, "<AssumeRoleResponse/>", NULL, "no access key id"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct aws_keys keys = {0};
		size_t length = strlen(rows[i].text);
		char *text = strdup(rows[i].text);
		struct error e;
		enum err err = rows[i].reply(text, length, &keys, &e);

		if (rows[i].fault) {
			assert_int_not_equal(err, ERR_OK);
			if (!strstr(e.text, rows[i].fault))
				fail_msg("row %zu: %s", i, e.text);
			assert_null(keys.id);
		} else {
			assert_int_equal(err, ERR_OK);
			assert_string_equal(keys.id, "A");
			if (rows[i].token)
				assert_string_equal(keys.token, rows[i].token);
			else
				assert_null(keys.token);
			for (size_t at = 0; at + 3 < length; at++) /* wiped behind us */
				assert_true(memcmp(text + at, "\"s\"", 3) != 0);
		}
		keys_wipe(&keys);
		free(text);
	}
}

static void resolves_hosts(void **state)
{
	static const char *const arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/s";
	static const struct {
		struct endpoint_wish wish;
		const char *host; /* null: refused */
	} rows[] = {
	    {{"kinesis", "us-east-1", "s", NULL, false, false}, "kinesis.us-east-1.amazonaws.com"},
	    {{"kinesis", "us-east-1", "s", NULL, true, false}, "kinesis-fips.us-east-1.amazonaws.com"},
	    {{"kinesis", "us-east-1", "s", NULL, false, true}, "kinesis.us-east-1.api.aws"},
	    {{"kinesis", "us-east-1", "s", NULL, true, true}, "kinesis-fips.us-east-1.api.aws"},
	    {{"kinesis", "us-gov-west-1", "s", NULL, true, false}, "kinesis.us-gov-west-1.amazonaws.com"},
	    {{"kinesis", "us-gov-west-1", "s", NULL, true, true}, "kinesis-fips.us-gov-west-1.api.aws"},
	    {{"kinesis", "cn-north-1", "s", NULL, false, true}, "kinesis.cn-north-1.api.amazonwebservices.com.cn"},
	    {{"kinesis", "eusc-de-east-1", "s", NULL, false, false}, "kinesis.eusc-de-east-1.amazonaws.eu"},
	    {{"kinesis", "us-iso-east-1", "s", NULL, false, false}, "kinesis.us-iso-east-1.c2s.ic.gov"},
	    {{"kinesis", "us-isob-east-1", "s", NULL, false, false}, "kinesis.us-isob-east-1.sc2s.sgov.gov"},
	    {{"kinesis", "eu-isoe-west-1", "s", NULL, false, false}, "kinesis.eu-isoe-west-1.cloud.adc-e.uk"},
	    {{"kinesis", "us-isof-south-1", "s", NULL, false, false}, "kinesis.us-isof-south-1.csp.hci.ic.gov"},
	    {{"kinesis", "eu-west-1", arn, NULL, false, false}, "123456789012.data-kinesis.eu-west-1.amazonaws.com"},
	    {{"kinesis", "eu-west-1", arn, NULL, true, true}, "123456789012.data-kinesis-fips.eu-west-1.api.aws"},
	    {{"kinesis", "us-iso-east-1", "arn:aws-iso:kinesis:us-iso-east-1:123456789012:stream/s", NULL, false,
	      false},
	     "kinesis.us-iso-east-1.c2s.ic.gov"},
	    {{"sts", "eu-west-1", NULL, NULL, false, false}, "sts.eu-west-1.amazonaws.com"},
	    {{"portal.sso", "eu-west-1", NULL, NULL, false, false}, "portal.sso.eu-west-1.amazonaws.com"},
	    {{"kinesis", "eu-west-1", "s", "https://EXAMPLE.com:443/x", false, false}, "EXAMPLE.com"},
	    {{"kinesis", "eu-west-1", "s", "http://localhost:80", false, false}, "localhost"},
	    {{"kinesis", "eu-west-1", "s", "http://127.9.9.9:4567", false, false}, "127.9.9.9:4567"},
	    {{"kinesis", "eu-west-1", "s", "https://[2001:db8::1]:4567/", false, false}, "[2001:db8::1]:4567"},
	    {{"kinesis", "eu-west-1", "s", "https://x.example", true, false}, NULL},
	    {{"kinesis", "eu_west", "s", NULL, false, false}, NULL},
	    {{"kinesis", "evil.example/", "s", NULL, false, false}, NULL},
	    {{"kinesis", "cn-north-1", arn, NULL, false, false}, NULL},
	    {{"kinesis", "eu-west-1", "arn:aws:kinesis:eu-west-1::stream/s", NULL, false, false}, NULL},
	    {{"kinesis", "eu-west-1", "arn:aws:s3:eu-west-1:123456789012:stream/s", NULL, false, false}, NULL},
	    {{"kinesis", "eu-west-1", "s", "http://10.0.0.1", false, false}, NULL},
	    {{"kinesis", "eu-west-1", "s", "http://localhost.evil.example", false, false}, NULL},
	    {{"kinesis", "eu-west-1", "s", "https://", false, false}, NULL},
	    {{"kinesis", "eu-west-1", "s", "https://a b", false, false}, NULL},
	    {{"kinesis", "eu-west-1", "s", "https://x:0", false, false}, NULL},
	    {{"kinesis", "eu-west-1", "s", "https://[::1", false, false}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct endpoint place;
		struct error e;
		enum err err = endpoint_resolve(&rows[i].wish, &place, &e);

		if ((err == ERR_OK) != (rows[i].host != NULL))
			fail_msg("row %zu", i);
		if (err == ERR_OK)
			assert_string_equal(place.host, rows[i].host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_dates), cmocka_unit_test(reads_ini),     cmocka_unit_test(splits_words),
	    cmocka_unit_test(finds_xml),   cmocka_unit_test(reads_replies), cmocka_unit_test(resolves_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
