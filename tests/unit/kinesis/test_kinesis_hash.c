/* Where a key goes: against MD5 as RFC 1321 gives it, and numbers of 128 bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "kinesis/hash.h"

static void a_key_is_its_md5(void **state)
{
	static const struct {
		const char *key;
		uint64_t upper;
	} rows[] = {
	    /* RFC 1321, appendix A.5 */
	    {"", UINT64_C(0xd41d8cd98f00b204)},
	    {"a", UINT64_C(0x0cc175b9c0f1b6a8)},
	    {"abc", UINT64_C(0x900150983cd24fb0)},
	    {"message digest", UINT64_C(0xf96b697d7cb7938d)},
	    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", UINT64_C(0xd174ab98d277d9f5)},
	};
	struct hasher *h = hasher_new();

	(void)state;
	for (int twice = 0; twice < 2; twice++)
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
			assert_true(hasher_key(h, rows[i].key, strlen(rows[i].key)) == rows[i].upper);
	hasher_free(h);
	hasher_free(NULL);
}

static void a_number_is_itself(void **state)
{
	static const struct {
		const char *digits;
		uint64_t upper;
	} rows[] = {
	    {"0", 0},
	    {"18446744073709551615", 0},
	    {"18446744073709551616", 1},
	    {"170141183460469231731687303715884105728", UINT64_C(1) << 63}, /* 2^127 */
	    {"340282366920938463463374607431768211455", UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_true(hash_of_number(rows[i].digits, strlen(rows[i].digits)) == rows[i].upper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_key_is_its_md5),
	    cmocka_unit_test(a_number_is_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
