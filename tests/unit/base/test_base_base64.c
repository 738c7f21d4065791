/* Base64: the vectors of RFC 4648, every length against a slow encoder, canonical decoding only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/random.h"

static void rfc_vectors(void **state)
{
	static const char *const PLAIN[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
	static const char *const CODED[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		char out[16] = "", back[16];
		size_t n;

		assert_int_equal(base64_length(BASE64_STANDARD, strlen(PLAIN[i])), strlen(CODED[i]));
		base64_encode(BASE64_STANDARD, PLAIN[i], strlen(PLAIN[i]), out);
		assert_string_equal(out, CODED[i]);
		assert_true(base64_decode(BASE64_STANDARD, CODED[i], strlen(CODED[i]), back, &n));
		assert_int_equal(n, strlen(PLAIN[i]));
		assert_memory_equal(back, PLAIN[i], n);
	}
}

/* One bit at a time: too simple to be wrong. */
static void encode_slowly(enum base64_form form, const unsigned char *in, size_t bytes, char *out)
{
	bool url = form == BASE64_URL || form == BASE64_URL_BARE,
	     padded = form == BASE64_STANDARD || form == BASE64_URL;
	size_t bits = bytes * 8, n = 0;

	for (size_t at = 0; at < bits; at += 6) {
		unsigned v = 0;

		for (size_t b = at; b < at + 6; b++)
			v = v << 1 | (b < bits ? (unsigned)in[b / 8] >> (7 - b % 8) & 1u : 0u);
		out[n++] = v < 26   ? (char)('A' + v)
		           : v < 52 ? (char)('a' + v - 26)
		           : v < 62 ? (char)('0' + v - 52)
		           : v < 63 ? (url ? '-' : '+')
		                    : (url ? '_' : '/');
	}
	while (padded && n % 4)
		out[n++] = '=';
}

static void every_length_in_every_form(void **state)
{
	static const enum base64_form FORMS[] = {BASE64_STANDARD, BASE64_URL, BASE64_URL_BARE, BASE64_STANDARD_BARE};

	(void)state;
	for (size_t f = 0; f < 4; f++)
		for (size_t bytes = 0; bytes < 200; bytes++) {
			size_t length = base64_length(FORMS[f], bytes), n;
			unsigned char *in = malloc(bytes + 1), *back = malloc(base64_room(length));
			char *out = malloc(length + 1), *want = malloc(length + 4);
			unsigned char *exact = malloc(bytes ? bytes : 1); /* so that reading past the end is seen */

			random_bytes(in, bytes);
			memcpy(exact, in, bytes);
			out[length] = 'X';
			base64_encode(FORMS[f], exact, bytes, out);
			assert_int_equal(out[length], 'X');
			encode_slowly(FORMS[f], in, bytes, want);
			assert_memory_equal(out, want, length);
			assert_true(base64_decode(FORMS[f], out, length, back, &n));
			assert_int_equal(n, bytes);
			assert_memory_equal(back, in, bytes);
			free(in), free(back), free(out), free(want), free(exact);
		}
}

static void only_canonical_text_is_taken(void **state)
{
	static const struct {
		enum base64_form form;
		const char *text;
	} BAD[] = {
	    {BASE64_STANDARD, "Zg"},    {BASE64_STANDARD, "Zg="},      {BASE64_STANDARD, "Zh=="},
	    {BASE64_STANDARD, "Zm9="},  {BASE64_STANDARD, "Zm8=Zm8="}, {BASE64_STANDARD, "Zm8 "},
	    {BASE64_STANDARD, "Zm8\n"}, {BASE64_STANDARD, "===="},     {BASE64_STANDARD, "Z==="},
	    {BASE64_STANDARD, "Zm-_"},  {BASE64_URL, "Zm+/"},          {BASE64_URL_BARE, "Zg=="},
	    {BASE64_URL_BARE, "Z"},     {BASE64_URL_BARE, "Zh"},       {BASE64_STANDARD, "="},
	};

	(void)state;
	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
		char out[32];
		size_t n;

		assert_false(base64_decode(BAD[i].form, BAD[i].text, strlen(BAD[i].text), out, &n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rfc_vectors),
	    cmocka_unit_test(every_length_in_every_form),
	    cmocka_unit_test(only_canonical_text_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
