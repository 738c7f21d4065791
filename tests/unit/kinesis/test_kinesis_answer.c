/* Answers: captured bytes, every cut of them, every lie; complaints in every dress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "kinesis/answer.h"

/* Captured from emulators (JSON with and without nulls, CBOR definite), and one written from the service model. */
static const char JSON_PLAIN[] =
    "{\"FailedRecordCount\":0,\"Records\":[{\"ShardId\":\"shardId-000000000001\",\"SequenceNum"
    "ber\":\"49680475893887930029194955546921549440325578115046703122\"},{\"ShardId\":\"sha"
    "rdId-000000000001\",\"SequenceNumber\":\"4968047589388793002919495554692275836614519"
    "2744221409298\"}]}";
static const char JSON_NULLS[] =
    "{\"EncryptionType\":\"NONE\",\"FailedRecordCount\":0,\"Records\":[{\"ErrorCode\":null,\"Err"
    "orMessage\":null,\"SequenceNumber\":\"4968047589460155387554793548745794597996801682"
    "5540673554\",\"ShardId\":\"shardId-000000000001\"},{\"ErrorCode\":null,\"ErrorMessage\":n"
    "ull,\"SequenceNumber\":\"49680475894601553875547935487459154905787631454715379730\","
    "\"ShardId\":\"shardId-000000000001\"}]}";
static const char JSON_PARTIAL[] =
    "{\"EncryptionType\":\"NONE\",\"FailedRecordCount\":1,\"Records\":[{\"ErrorCode\":\"InvalidA"
    "rgumentException\",\"ErrorMessage\":\"Record data size 1048577 exceeds the stream's "
    "max record size of 1048576 bytes\",\"SequenceNumber\":null,\"ShardId\":null},{\"ErrorC"
    "ode\":null,\"ErrorMessage\":null,\"SequenceNumber\":\"49680475894579253130349404864307"
    "947780958066197250703362\",\"ShardId\":\"shardId-000000000000\"}]}";
static const char JSON_THROTTLED[] =
    "{\"EncryptionType\":\"NONE\",\"FailedRecordCount\":2,\"Records\":[{\"SequenceNumber\":\"495"
    "43463076548007577105092703039560359975228518395019266\",\"ShardId\":\"shardId-000000"
    "000000\"},{\"ErrorCode\":\"ProvisionedThroughputExceededException\",\"ErrorMessage\":\"R"
    "ate exceeded for shard shardId-000000000001 in stream cap under account 00000000"
    "0000.\"},{\"ErrorCode\":\"InternalFailure\",\"ErrorMessage\":\"Internal Service Failure\""
    "}]}";
static const char CBOR_PLAIN[] =
    "a2714661696c65645265636f7264436f756e7400675265636f72647382a2675368617264496474736861726449642d30"
    "30303030303030303030316e53657175656e63654e756d62657278383439363830343735383933383837393330303239"
    "313934393535353436393331323230383436383832343937383238353033393435323334a26753686172644964747368"
    "61726449642d3030303030303030303030316e53657175656e63654e756d626572783834393638303437353839333838"
    "37393330303239313934393535353436393332343239373732373032313132343537363738363531343130";
static const char CBOR_NULLS[] =
    "a36e456e6372797074696f6e54797065644e4f4e45714661696c65645265636f7264436f756e7400675265636f726473"
    "82a4694572726f72436f6465f66c4572726f724d657373616765f66e53657175656e63654e756d626572783834393638"
    "303437353839343630313535333837353534373933353438373435343331393230323530393137323331393534313236"
    "34343032675368617264496474736861726449642d303030303030303030303031a4694572726f72436f6465f66c4572"
    "726f724d657373616765f66e53657175656e63654e756d62657278383439363830343735383934363031353533383735"
    "353437393335343837343535353238313238333238373836393438373135393730353738675368617264496474736861"
    "726449642d303030303030303030303031";
static const char CBOR_PARTIAL[] =
    "a36e456e6372797074696f6e54797065644e4f4e45714661696c65645265636f7264436f756e7401675265636f726473"
    "82a4694572726f72436f64657818496e76616c6964417267756d656e74457863657074696f6e6c4572726f724d657373"
    "616765784e5265636f726420646174612073697a6520313034383537372065786365656473207468652073747265616d"
    "2773206d6178207265636f72642073697a65206f6620313034383537362062797465736e53657175656e63654e756d62"
    "6572f66753686172644964f6a4694572726f72436f6465f66c4572726f724d657373616765f66e53657175656e63654e"
    "756d62657278383439363830343735383934353739323533313330333439343034383634333039313536373036373737"
    "363830383935313434383836323734675368617264496474736861726449642d303030303030303030303030";
static const char CBOR_ERROR[] =
    "a2665f5f7479706578195265736f757263654e6f74466f756e64457863657074696f6e676d6573736167657833537472"
    "65616d206e6f7375636820756e646572206163636f756e7420303030303030303030303030206e6f7420666f756e642e";

/* Bytes in a block of their own size, so that a sanitizer sees reads past the end. */
struct bytes {
	unsigned char *data;
	size_t length;
};

static struct bytes from_text(const char *text)
{
	struct bytes b = {malloc(strlen(text) + 1), strlen(text)};

	memcpy(b.data, text, b.length);
	b.data = realloc(b.data, b.length ? b.length : 1);
	return b;
}

static struct bytes from_hex(const char *hex)
{
	struct bytes b = {malloc(strlen(hex) / 2 + 1), strlen(hex) / 2};

	for (size_t i = 0; i < b.length; i++) {
		char two[3] = {hex[2 * i], hex[2 * i + 1], 0};

		b.data[i] = (unsigned char)strtoul(two, NULL, 16);
	}
	b.data = realloc(b.data, b.length ? b.length : 1);
	return b;
}

static enum err read_bytes(struct bytes b, uint32_t sent, struct answer *a)
{
	struct error e;
	enum err err = answer_read(b.data, b.length, sent, a, &e);

	free(b.data);
	return err;
}

static void captured_answers_are_understood(void **state)
{
	struct answer a;

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct bytes b = i == 0   ? from_text(JSON_PLAIN)
		                 : i == 1 ? from_text(JSON_NULLS)
		                 : i == 2 ? from_hex(CBOR_PLAIN)
		                          : from_hex(CBOR_NULLS);

		assert_int_equal(read_bytes(b, 2, &a), ERR_OK);
		assert_int_equal(a.stored, 2);
		answer_fini(&a);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(read_bytes(i ? from_hex(CBOR_PARTIAL) : from_text(JSON_PARTIAL), 2, &a), ERR_OK);
		assert_int_equal(a.stored, 1);
		assert_false(a.entries[0].stored);
		assert_string_equal(answer_code(&a, 0), "InvalidArgumentException");
		assert_string_equal(answer_text(&a, 0),
		                    "Record data size 1048577 exceeds the stream's max record size of "
		                    "1048576 bytes");
		assert_true(a.entries[1].stored);
		assert_string_equal(answer_shard(&a, 1), "shardId-000000000000");
		assert_memory_equal(answer_sequence(&a, 1), "496804758945792531303494048643", 30);
		assert_string_equal(answer_shard(&a, 0), "");
		answer_fini(&a);
	}
	assert_int_equal(read_bytes(from_text(JSON_THROTTLED), 3, &a), ERR_OK);
	assert_int_equal(a.stored, 1);
	assert_string_equal(answer_code(&a, 1), "ProvisionedThroughputExceededException");
	assert_string_equal(answer_code(&a, 2), "InternalFailure");
	answer_fini(&a);
}

static void every_cut_settles_nothing(void **state)
{
	struct bytes whole[] = {from_text(JSON_THROTTLED), from_hex(CBOR_PARTIAL), from_hex(CBOR_NULLS)};

	(void)state;
	for (size_t w = 0; w < 3; w++) {
		for (size_t cut = 0; cut < whole[w].length; cut++) {
			struct bytes b = {malloc(cut ? cut : 1), cut};
			struct answer a;

			memcpy(b.data, whole[w].data, cut);
			assert_int_equal(read_bytes(b, w == 0 ? 3 : 2, &a), ERR_FORMAT);
		}
		free(whole[w].data);
	}
}

static void the_number_of_entries_must_be_right(void **state)
{
	struct answer a;

	(void)state;
	for (uint32_t sent = 0; sent < 6; sent++) {
		enum err err = read_bytes(from_text(JSON_THROTTLED), sent, &a);

		assert_int_equal(err, sent == 3 ? ERR_OK : ERR_FORMAT);
		if (err == ERR_OK)
			answer_fini(&a);
		err = read_bytes(from_hex(CBOR_PLAIN), sent, &a);
		assert_int_equal(err, sent == 2 ? ERR_OK : ERR_FORMAT);
		if (err == ERR_OK)
			answer_fini(&a);
	}
}

static void lies_in_json(void **state)
{
	static const char *const LIES[] = {
	    "",
	    "null",
	    "[]",
	    "{}",
	    "\"x\"",
	    "<html>",
	    "{\"Records\":null}",
	    "{\"Records\":{}}",
	    "{\"Records\":[]}",
	    "{\"Records\":[{}]}",
	    "{\"Records\":[null]}",
	    "{\"Records\":[{\"SequenceNumber\":null}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"\"}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"x\"}]}",
	    "{\"Records\":[{\"SequenceNumber\":1}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\",\"ErrorCode\":\"x\"}]}",
	    "{\"Records\":[{\"ErrorCode\":\"\"}]}",
	    "{\"Records\":[{\"ErrorMessage\":\"x\"}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\",\"SequenceNumber\":\"2\"}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"}],\"Records\":[{\"SequenceNumber\":\"1\"}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"}]}}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"}]}{}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"},]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\",}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"}],}",
	    "{\"Records\" [{\"SequenceNumber\":\"1\"}]}",
	    "{\"Records\":[{\"ErrorCode\":\"\\ud800\"}]}",
	    "{\"Records\":[{\"ErrorCode\":\"\\x\"}]}",
	    "{\"Records\":[{\"ErrorCode\":\"a\nb\"}]}",
	    "{\"Records\":[{\"ErrorCode\":\"\xff\"}]}",
	    "{\"A\":01,\"Records\":[{\"SequenceNumber\":\"1\"}]}",
	    "{\"A\":tru,\"Records\":[{\"SequenceNumber\":\"1\"}]}",
	    "{\"A\":1.,\"Records\":[{\"SequenceNumber\":\"1\"}]}",
	    "{\"A\":[1 2],\"Records\":[{\"SequenceNumber\":\"1\"}]}",
	    "{\"A\":{\"x\"},\"Records\":[{\"SequenceNumber\":\"1\"}]}",
	    "{\"A\":-,\"Records\":[{\"SequenceNumber\":\"1\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof LIES / sizeof *LIES; i++) {
		struct answer a;

		assert_int_equal(read_bytes(from_text(LIES[i]), 1, &a), ERR_FORMAT);
	}
}

static void oddities_that_are_true(void **state)
{
	static const char *const TRUE_JSON[] = {
	    " {\"Records\" : [ {\"SequenceNumber\" : \"1\"} ] } \n",
	    "{\"X\":{\"a\":[1,-2.5e+3,true,false,null,\"\\u00e9\\ud83d\\ude00\",{\"Records\":[]}]},\"Records\":[{"
	    "\"New\":[[]],"
	    "\"SequenceNumber\":\"1\",\"ErrorCode\":null}],\"FailedRecordCount\":7}",
	    "{\"Rec\\u006frds\":[{\"SequenceNumber\":\"1\"}]}",
	};
	static const char *const TRUE_CBOR[] = {
	    /* indefinite everywhere, chunked text, a tag, an unknown member holding containers */
	    "bf675265636f7264739fbf6e53657175656e63654e756d626572"
	    "7f61316132ffffffff",
	    "a2615882a16161f6c1fb0000000000000000675265636f72647381a16e53657175656e63654e756d6265726131",
	};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof TRUE_JSON / sizeof *TRUE_JSON; i++) {
		assert_int_equal(read_bytes(from_text(TRUE_JSON[i]), 1, &a), ERR_OK);
		assert_int_equal(a.stored, 1);
		answer_fini(&a);
	}
	for (size_t i = 0; i < sizeof TRUE_CBOR / sizeof *TRUE_CBOR; i++) {
		assert_int_equal(read_bytes(from_hex(TRUE_CBOR[i]), 1, &a), ERR_OK);
		assert_int_equal(a.stored, 1);
		answer_fini(&a);
	}
}

static void lies_in_cbor(void **state)
{
	static const char *const LIES[] = {
	    "a1675265636f7264739bffffffffffffffff",                                     /* a list of 2^64 - 1 */
	    "a1675265636f72647381a16e53657175656e63654e756d6265727bffffffffffffffff31", /* a text of 2^64 - 1 */
	    "a1675265636f72647381a16e53657175656e63654e756d626572613100",               /* a byte more */
	    "a1675265636f72647381a16e53657175656e63654e756d62657201",                   /* a number */
	    "a1675265636f72647381a16e53657175656e63654e756d6265724131",                 /* bytes for text */
	    "bf675265636f72647381a16e53657175656e63654e756d6265726131",                 /* no break */
	    "a2615dff675265636f72647381a16e53657175656e63654e756d6265726131",
	    "a1675265636f72647381a16e53657175656e63654e756d6265721c", /* reserved */
	    "bf6158bf6161ff675265636f72647381a16e53657175656e63654e756d6265726131ff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof LIES / sizeof *LIES; i++) {
		struct answer a;

		assert_int_equal(read_bytes(from_hex(LIES[i]), 1, &a), ERR_FORMAT);
	}
}

static void depth_is_bounded(void **state)
{
	static const struct {
		const char *begin, *open, *close, *end;
	} FORMS[] = {{"{\"X\":", "[", "]", ",\"Records\":[{\"SequenceNumber\":\"1\"}]}"},
	             {"{\"X\":", "{\"a\":", "", ""}};

	(void)state;
	for (size_t f = 0; f < 2; f++)
		for (int depth = 1; depth < 100000; depth = depth < 64 ? depth + 1 : depth * 10) {
			struct buf b;
			struct answer a;
			enum err err;
			struct error e;

			buf_init(&b, 10000000);
			(void)buf_add_text(&b, FORMS[f].begin);
			for (int i = 0; i < depth; i++)
				(void)buf_add_text(&b, FORMS[f].open);
			for (int i = 0; i < depth; i++)
				(void)buf_add_text(&b, FORMS[f].close);
			(void)buf_add_text(&b, FORMS[f].end);
			err = answer_read(b.data, b.len, 1, &a, &e);
			assert_int_equal(err, f == 0 && depth <= 32 ? ERR_OK : ERR_FORMAT);
			if (err == ERR_OK)
				answer_fini(&a);
			buf_fini(&b);
		}
}

static void complaints_in_every_dress(void **state)
{
	static const struct {
		const char *body, *header, *code, *text;
	} ROWS[] = {
	    {"{\"__type\":\"X\",\"message\":\"m\"}", "", "X", "m"},
	    {"{\"__type\":\"com.amazonaws.kinesis#X\",\"Message\":\"m\"}", "", "X", "m"},
	    {"{\"__type\":\"X:http://internal/\",\"message\":\"m\"}", "", "X", "m"},
	    {"{\"message\":\"m\"}", "Y", "Y", "m"},
	    {"{\"message\":null,\"__type\":\"X\"}", "", "X", ""},
	    {"{\"message\":7,\"__type\":\"X\",\"more\":[1]}", "", "X", ""},
	    {"{\"__type\":\"X\",\"message\":\"a\\nb\\u0000c\"}", "", "X", "a?b?c"},
	    {"", "Y", "Y", ""},
	    {"", "", "", ""},
	    {"<html><h1>Login</h1></html>", "", "", ""},
	    {"<AccessDeniedException/>", "", "", ""},
	    {"{\"__type\":\"X\",\"message\":\"m\"", "", "", ""},
	    {"plain words", "", "", ""},
	};
	struct complaint c;
	struct bytes b = from_hex(CBOR_ERROR);

	(void)state;
	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		complaint_read(ROWS[i].body, strlen(ROWS[i].body), ROWS[i].header, &c);
		assert_string_equal(c.code, ROWS[i].code);
		assert_string_equal(c.text, ROWS[i].text);
	}
	complaint_read(b.data, b.length, "", &c);
	assert_string_equal(c.code, "ResourceNotFoundException");
	assert_string_equal(c.text, "Stream nosuch under account 000000000000 not found.");
	free(b.data);
}

static void positions_and_server_times_are_found(void **state)
{
	uint32_t at[4];
	int64_t ms;
	static const struct {
		const char *text;
		size_t found;
		uint32_t first, second;
	} CASES[] = {
	    {"2 validation errors detected: Value at 'records.17.member.data' failed; Value at "
	     "'records.4.member.partitionKey' failed",
	     2, 17, 4},
	    {"Value at 'Records.member.3.data' failed", 1, 3, 0},
	    {"Value at 'records[12].data' failed; records[0]", 2, 12, 0},
	    {"Value at 'records.5' is wrong, records.499 too", 2, 5, 499},
	    {"Value '[]' at 'records' failed, records.x.member, records.5", 0, 0, 0}, /* the last may be cut */
	    {"Records size exceeds 5 MB limit", 0, 0, 0},
	    {"records.99999999999.member", 0, 0, 0},
	    {"", 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		memset(at, 0, sizeof at);
		assert_int_equal(complaint_positions(CASES[i].text, strlen(CASES[i].text), at, 4), CASES[i].found);
		assert_int_equal(at[0], CASES[i].found > 0 ? CASES[i].first : at[0]);
		assert_int_equal(at[1], CASES[i].found > 1 ? CASES[i].second : at[1]);
		for (size_t cut = 0; cut < strlen(CASES[i].text); cut++) /* never beyond its end */
			(void)complaint_positions(CASES[i].text, cut, at, 4);
	}
	assert_true(complaint_server_time(
	    "Signature expired: 20150830T123600Z is now earlier than 20150830T124100Z (20150830T124600Z - 5 min.)",
	    &ms));
	assert_true(ms == INT64_C(1440938760000));
	assert_true(complaint_server_time("Signature not yet current: 20150830T123600Z is still later than "
	                                  "20150830T123000Z (20150830T122500Z + 5 min.)",
	                                  &ms));
	assert_true(ms == INT64_C(1440937500000));
	assert_false(complaint_server_time("Signature expired: (yesterday)", &ms));
	assert_false(complaint_server_time("the signature does not match", &ms));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(captured_answers_are_understood),
	    cmocka_unit_test(every_cut_settles_nothing),
	    cmocka_unit_test(the_number_of_entries_must_be_right),
	    cmocka_unit_test(lies_in_json),
	    cmocka_unit_test(oddities_that_are_true),
	    cmocka_unit_test(lies_in_cbor),
	    cmocka_unit_test(depth_is_bounded),
	    cmocka_unit_test(complaints_in_every_dress),
	    cmocka_unit_test(positions_and_server_times_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
