#include "base/base64.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define HAVE_SSSE3_PATH 1
#else
#define HAVE_SSSE3_PATH 0
#endif

static const char alphabet_standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool is_url(enum base64_form form) { return form == BASE64_URL || form == BASE64_URL_BARE; }

static bool is_padded(enum base64_form form)
{
	return form == BASE64_STANDARD || form == BASE64_STANDARD_LOOSE || form == BASE64_URL;
}

size_t base64_length(enum base64_form form, size_t bytes)
{
	size_t rest = bytes % 3;

	if (is_padded(form))
		return (bytes / 3 + (rest != 0)) * 4;
	return bytes / 3 * 4 + (rest ? rest + 1 : 0);
}

size_t base64_room(size_t length) { return length / 4 * 3 + 3; }

#if HAVE_SSSE3_PATH
/*
 * Twelve bytes to sixteen characters a round (Mula and Lemire, "Faster Base64 Encoding and Decoding Using AVX2
 * Instructions", 2018, the 128-bit form): spread each three bytes over four lanes, cut out the six-bit fields by two
 * multiplications, then add the offset of the range that the field falls into. Reads sixteen bytes, so it stops while
 * at least sixteen are left. Returns how many bytes it took.
 */
__attribute__((target("ssse3"))) static size_t encode_ssse3(const unsigned char *in, size_t bytes, char *out, bool url)
{
	const __m128i spread = _mm_set_epi8(10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1);
	const char c62 = url ? '-' : '+', c63 = url ? '_' : '/';
	const __m128i shift =
	    _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
	                  '0' - 52, '0' - 52, (char)(c62 - 62), (char)(c63 - 63), 'A', 0, 0);
	size_t done = 0;

	for (; bytes - done >= 16; done += 12, out += 16) {
		__m128i v = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(in + done)), spread);
		__m128i high =
		    _mm_mulhi_epu16(_mm_and_si128(v, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
		__m128i low = _mm_mullo_epi16(_mm_and_si128(v, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
		__m128i field = _mm_or_si128(high, low);
		__m128i range = _mm_subs_epu8(field, _mm_set1_epi8(51));

		range = _mm_or_si128(range, _mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(26), field), _mm_set1_epi8(13)));
		_mm_storeu_si128((__m128i *)(void *)out, _mm_add_epi8(_mm_shuffle_epi8(shift, range), field));
	}
	return done;
}
#endif

static void encode_tail(const unsigned char *in, size_t rest, char *out, const char *alphabet, bool padded)
{
	unsigned first = in[0], second = rest == 2 ? in[1] : 0;

	out[0] = alphabet[first >> 2];
	out[1] = alphabet[(first & 3) << 4 | second >> 4];
	if (rest == 2)
		out[2] = alphabet[(second & 15) << 2];
	else if (padded)
		out[2] = '=';
	if (padded)
		out[3] = '=';
}

void base64_encode(enum base64_form form, const void *data, size_t bytes, char *out)
{
	const char *alphabet = is_url(form) ? alphabet_url : alphabet_standard;
	const unsigned char *in = data;
	size_t at = 0;

#if HAVE_SSSE3_PATH
	if (bytes >= 16 && __builtin_cpu_supports("ssse3")) {
		at = encode_ssse3(in, bytes, out, is_url(form));
		out += at / 3 * 4;
	}
#endif
	for (; bytes - at >= 3; at += 3, out += 4) {
		uint32_t v = (uint32_t)in[at] << 16 | (uint32_t)in[at + 1] << 8 | in[at + 2];

		out[0] = alphabet[v >> 18];
		out[1] = alphabet[v >> 12 & 63];
		out[2] = alphabet[v >> 6 & 63];
		out[3] = alphabet[v & 63];
	}
	if (at < bytes)
		encode_tail(in + at, bytes - at, out, alphabet, is_padded(form));
}

enum { NOT_A_DIGIT = 64 };

static unsigned digit(unsigned char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 0u;
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26u;
	if (c >= '0' && c <= '9')
		return c - '0' + 52u;
	if (c == (url ? '-' : '+'))
		return 62;
	return c == (url ? '_' : '/') ? 63 : NOT_A_DIGIT;
}

/* Two or three characters that end a text give one or two bytes; what is left of their bits must be zero unless loose.
 */
static bool decode_tail(const unsigned char *in, size_t digits, unsigned char *out, bool url, bool loose)
{
	unsigned a = digit(in[0], url), b = digit(in[1], url), c = digits == 3 ? digit(in[2], url) : 0;

	if ((a | b | c) & NOT_A_DIGIT)
		return false;
	out[0] = (unsigned char)(a << 2 | b >> 4);
	if (digits == 2)
		return loose || (b & 15) == 0;
	out[1] = (unsigned char)(b << 4 | c >> 2);
	return loose || (c & 3) == 0;
}

bool base64_decode(enum base64_form form, const char *text, size_t length, void *data, size_t *ret_bytes)
{
	const unsigned char *in = (const unsigned char *)text;
	unsigned char *out = data;
	bool url = is_url(form);
	size_t digits = length, at = 0;

	if (is_padded(form)) {
		if (length % 4 != 0)
			return false;
		if (length > 0 && in[length - 1] == '=')
			digits -= in[length - 2] == '=' ? 2 : 1;
	}
	if (digits % 4 == 1)
		return false;
	for (; digits - at >= 4; at += 4, out += 3) {
		unsigned a = digit(in[at], url), b = digit(in[at + 1], url);
		unsigned c = digit(in[at + 2], url), d = digit(in[at + 3], url);

		if ((a | b | c | d) & NOT_A_DIGIT)
			return false;
		out[0] = (unsigned char)(a << 2 | b >> 4);
		out[1] = (unsigned char)(b << 4 | c >> 2);
		out[2] = (unsigned char)(c << 6 | d);
	}
	if (at < digits && !decode_tail(in + at, digits - at, out, url, form == BASE64_STANDARD_LOOSE))
		return false;
	out += digits - at > 1 ? digits - at - 1 : 0;
	*ret_bytes = (size_t)(out - (unsigned char *)data);
	return true;
}
