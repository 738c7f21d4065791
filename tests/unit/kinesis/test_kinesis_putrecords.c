/* Request bodies: golden bytes, exact sizes, keys and their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "kinesis/key.h"
#include "kinesis/limits.h"
#include "kinesis/putrecords.h"

static void build(struct putrecords *p, enum putrecords_wire wire, const char *stream,
                  const struct putrecords_item *items, uint32_t count, size_t *at)
{
	size_t bytes = putrecords_frame_bytes(wire, stream, count);

	for (uint32_t i = 0; i < count; i++)
		bytes += putrecords_item_bytes(wire, &items[i]);
	putrecords_begin(p, wire, stream, count, bytes);
	for (uint32_t i = 0; i < count; i++) {
		size_t data_at = putrecords_add(p, &items[i]);

		if (at)
			at[i] = data_at;
	}
	putrecords_finish(p);
	/* The estimate is exact but for JSON's one comma too many. */
	assert_true(p->body.len == bytes || (wire == PUTRECORDS_JSON && p->body.len == bytes - 1));
}

static void assert_hex(const struct putrecords *p, const char *hex)
{
	char *text = malloc(p->body.len * 2 + 1);

	for (size_t i = 0; i < p->body.len; i++)
		(void)sprintf(text + 2 * i, "%02x", (unsigned char)p->body.data[i]);
	assert_string_equal(text, hex);
	free(text);
}

/* One record "hello" with key "k" for stream "test": computed independently. */
static void golden_bytes(void **state)
{
	const struct putrecords_item item = {"hello", 5, "k", 1, NULL, 0};
	struct putrecords p;

	(void)state;
	build(&p, PUTRECORDS_JSON, "test", &item, 1, NULL);
	assert_string_equal(p.body.data,
	                    "{\"StreamName\":\"test\",\"Records\":[{\"Data\":\"aGVsbG8=\",\"PartitionKey\":\"k\"}]}");
	assert_int_equal(p.body.len, 72);
	assert_int_equal(p.accounted_bytes, 6);
	putrecords_fini(&p);
	build(&p, PUTRECORDS_CBOR, "test", &item, 1, NULL);
	assert_hex(&p,
	           "a2675265636f72647381a264446174614568656c6c6f6c506172746974696f6e4b6579616b6a53747265616d4e616d65"
	           "6474657374");
	putrecords_fini(&p);
	build(&p, PUTRECORDS_CBOR_INDEFINITE, "test", &item, 1, NULL);
	assert_hex(&p,
	           "bf675265636f7264739fbf64446174614568656c6c6f6c506172746974696f6e4b6579616bffff6a53747265616d4e61"
	           "6d656474657374ff");
	putrecords_fini(&p);
}

/* The bodies that AWS' own clients sent for the same two records, members in their order. */
static void several_records_hash_keys_and_an_arn(void **state)
{
	const struct putrecords_item items[] = {
	    {"hello", 5, "pk-1", 4, NULL, 0},
	    {"\0\xff\x01", 3, "p\"\\\x01\xc3\xa9", 6, "170141183460469231731687303715884105728", 39},
	};
	struct putrecords p;

	(void)state;
	build(&p, PUTRECORDS_JSON, "arn:aws:kinesis:us-east-1:123456789012:stream/cap", items, 2, NULL);
	assert_string_equal(p.body.data,
	                    "{\"StreamARN\":\"arn:aws:kinesis:us-east-1:123456789012:stream/cap\",\"Records\":["
	                    "{\"Data\":\"aGVsbG8=\",\"PartitionKey\":\"pk-1\"},"
	                    "{\"Data\":\"AP8B\",\"PartitionKey\":\"p\\\"\\\\\\u0001\xc3\xa9\","
	                    "\"ExplicitHashKey\":\"170141183460469231731687303715884105728\"}]}");
	assert_int_equal(p.accounted_bytes, 5 + 4 + 3 + 6);
	putrecords_fini(&p);
}

static void data_comes_back_out_of_the_body(void **state)
{
	enum { COUNT = 500 };
	static struct putrecords_item items[COUNT];
	static size_t at[COUNT];
	static unsigned char data[70000], out[70002];

	(void)state;
	random_test_seed(7);
	random_bytes(data, sizeof data);
	for (int wire = PUTRECORDS_JSON; wire <= PUTRECORDS_CBOR_INDEFINITE; wire++) {
		struct putrecords p;

		for (size_t i = 0; i < COUNT; i++)
			items[i] = (struct putrecords_item){data, i == 7 ? sizeof data : i, "key",
			                                    3,    i % 2 ? "12" : NULL,      i % 2 ? 2 : 0};
		build(&p, (enum putrecords_wire)wire, "test", items, COUNT, at);
		for (size_t i = 0; i < COUNT; i++) {
			memset(out, 0, sizeof out);
			putrecords_data(&p, at[i], items[i].data_bytes, out);
			assert_memory_equal(out, data, items[i].data_bytes);
		}
		putrecords_fini(&p);
	}
}

static void partition_keys_count_characters(void **state)
{
	char key[2000];
	struct error e;

	(void)state;
	memset(key, 'a', sizeof key);
	assert_int_equal(key_check_partition(key, 256, &e), ERR_OK);
	assert_int_equal(key_check_partition(key, 257, &e), ERR_INPUT);
	assert_int_equal(key_check_partition(key, 0, &e), ERR_INPUT);
	for (int i = 0; i < 257; i++)
		memcpy(key + 4 * i, "\xf0\x9f\x98\x80", 4);
	assert_int_equal(key_check_partition(key, 1024, &e), ERR_OK); /* 256 four-byte characters */
	assert_int_equal(key_check_partition(key, 1028, &e), ERR_INPUT);
	assert_int_equal(key_check_partition(key, 3, &e), ERR_INPUT);
}

static void utf8_is_checked(void **state)
{
	static const char *const BAD[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x80\x80",
	                                  "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
	                                  "\xff",         "abcdefgh\xc3",     "\xe2\x82"};
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
		assert_int_equal(key_check_partition(BAD[i], strlen(BAD[i]), &e), ERR_INPUT);
	assert_int_equal(key_check_partition("abcdefghij\xc3\xa9\xe2\x82\xac\xf4\x8f\xbf\xbf", 19, &e), ERR_OK);
}

static void hash_keys_are_128_bit_numbers(void **state)
{
	static const char *const GOOD[] = {"0", "7", KINESIS_HASH_KEY_MAX, "170141183460469231731687303715884105728"};
	static const char *const BAD[] = {"",
	                                  "00",
	                                  "007",
	                                  "-1",
	                                  "1x",
	                                  " 1",
	                                  "340282366920938463463374607431768211456",
	                                  "1000000000000000000000000000000000000000"};

	(void)state;
	for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++)
		assert_int_equal(key_check_hash(GOOD[i], strlen(GOOD[i]), NULL), ERR_OK);
	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
		assert_int_equal(key_check_hash(BAD[i], strlen(BAD[i]), NULL), ERR_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_bytes),
	    cmocka_unit_test(several_records_hash_keys_and_an_arn),
	    cmocka_unit_test(data_comes_back_out_of_the_body),
	    cmocka_unit_test(partition_keys_count_characters),
	    cmocka_unit_test(utf8_is_checked),
	    cmocka_unit_test(hash_keys_are_128_bit_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
