/*
 * Text encodings behind one table.
 *
 * Invariants:
 * 1. A coder reserves all it may write before it writes, or adds through the struct text.
 * 2. What a decoder refuses leaves a sentence in *ret_error; what it wrote before does not count.
 * 3. Alphabets hold each letter once.
 */
#include "bloblang/formats/encoding.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"
#include "bloblang/golang/goquote.h"

typedef bool coder(const char *alphabet, bool padded, const char *in, size_t length, struct text *out,
                   const char **ret_error);

struct encoding {
	const char *name;
	coder *encode;
	coder *decode;
	const char *alphabet;
	bool padded;
};

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char z85_set[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

enum { BASE85 = 85, ASCII85_FIRST = '!', ASCII85_LAST = 'u' };

static bool base64_encode(const char *alphabet, bool padded, const char *in, size_t length, struct text *out,
                          const char **ret_error)
{
	const unsigned char *p = (const unsigned char *)in;
	char *room = text_reserve(out, length / 3 * 4 + 4);
	size_t i = 0;

	(void)ret_error;
	if (!room)
		return true; /* the arena has noted it */
	for (; i + 3 <= length; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];

		*room++ = alphabet[v >> 18];
		*room++ = alphabet[v >> 12 & 63];
		*room++ = alphabet[v >> 6 & 63];
		*room++ = alphabet[v & 63];
	}
	if (i < length) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < length ? (uint32_t)p[i + 1] << 8 : 0);

		*room++ = alphabet[v >> 18];
		*room++ = alphabet[v >> 12 & 63];
		if (i + 1 < length)
			*room++ = alphabet[v >> 6 & 63];
		else if (padded)
			*room++ = '=';
		if (padded)
			*room++ = '=';
	}
	out->length = (size_t)(room - out->data);
	return true;
}

static bool base64_fail(struct text *out, size_t at, const char **ret_error)
{
	*ret_error = arena_format(out->arena, "illegal base64 data at input byte %zu", at);
	return false;
}

static int base64_value(const char *alphabet, char c)
{
	const char *found = c ? strchr(alphabet, c) : NULL;

	return found ? (int)(found - alphabet) : -1;
}

/* p[0..n): the text without line breaks. */
static bool base64_decode_clean(const char *alphabet, bool padded, const char *p, size_t n, struct text *out,
                                const char **ret_error)
{
	size_t whole = padded ? n / 4 * 4 : n;

	for (size_t i = 0; i < whole;) {
		uint32_t v = 0;
		size_t j = 0, size = whole - i < 4 ? whole - i : 4;

		for (; j < size; j++) {
			int digit = base64_value(alphabet, p[i + j]);

			if (digit < 0)
				break;
			v |= (uint32_t)digit << (18 - 6 * j);
		}
		if (j < size) { /* padding, or nonsense */
			if (!padded || p[i + j] != '=' || j < 2)
				return base64_fail(out, i + j, ret_error);
			if (j == 2 && p[i + 3] != '=')
				return base64_fail(out, i + 2, ret_error);
			if (i + 4 < whole)
				return base64_fail(out, i + 4, ret_error);
		}
		if (j == 1)
			return base64_fail(out, i + 1, ret_error);
		for (size_t k = 0; k + 1 < j; k++)
			text_add_char(out, (char)(v >> (16 - 8 * k)));
		i += size;
	}
	if (whole < n) {
		*ret_error = "unexpected EOF";
		return false;
	}
	return true;
}

static bool base64_decode(const char *alphabet, bool padded, const char *in, size_t length, struct text *out,
                          const char **ret_error)
{
	struct text clean;

	text_init(&clean, out->arena);
	for (size_t i = 0, from = 0; i <= length; i++) {
		if (i == length || in[i] == '\r' || in[i] == '\n') {
			text_add(&clean, in + from, i - from);
			from = i + 1;
		}
	}
	(void)text_reserve(out, clean.length / 4 * 3 + 3);
	return clean.failed || out->failed ||
	       base64_decode_clean(alphabet, padded, text_end(&clean), clean.length, out, ret_error);
}

static bool hex_write(const char *alphabet, bool padded, const char *in, size_t length, struct text *out,
                      const char **ret_error)
{
	char *room = text_reserve(out, length * 2);

	(void)padded;
	(void)ret_error;
	if (room)
		out->length += (size_t)(hex_encode(alphabet, in, length, room) - room);
	return true;
}

/* As Go's "%#U" shows a byte as a code point. */
static const char *shown_byte(struct arena *a, unsigned char c)
{
	char utf8[4];

	if (!go_is_print(c))
		return arena_format(a, "U+%04X", c);
	return arena_format(a, "U+%04X '%.*s'", c, (int)utf8_encode(utf8, c), utf8);
}

static bool hex_read(const char *alphabet, bool padded, const char *in, size_t length, struct text *out,
                     const char **ret_error)
{
	(void)alphabet;
	(void)padded;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)in[i];

		if (hex_value(in[i]) < 0) {
			*ret_error =
			    arena_format(out->arena, "encoding/hex: invalid byte: %s", shown_byte(out->arena, c));
			return false;
		}
		if (i % 2 == 1)
			text_add_char(out, (char)(hex_value(in[i - 1]) << 4 | hex_value(in[i])));
	}
	if (length % 2 == 1) {
		*ret_error = "unexpected EOF";
		return false;
	}
	return true;
}

/* Five digits of a 32-bit group. */
static void digits85(uint32_t v, unsigned char digits[5])
{
	for (int i = 4; i >= 0; i--, v /= BASE85)
		digits[i] = (unsigned char)(v % BASE85);
}

static bool ascii85_encode(const char *alphabet, bool padded, const char *in, size_t length, struct text *out,
                           const char **ret_error)
{
	(void)alphabet;
	(void)padded;
	(void)ret_error;
	for (size_t i = 0; i < length; i += 4) {
		size_t n = length - i < 4 ? length - i : 4;
		unsigned char digits[5];
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++)
			v = v << 8 | (k < n ? (unsigned char)in[i + k] : 0);
		if (v == 0 && n == 4) {
			text_add_char(out, 'z');
			continue;
		}
		digits85(v, digits);
		for (size_t k = 0; k <= n; k++)
			text_add_char(out, (char)(digits[k] + ASCII85_FIRST));
	}
	return true;
}

static bool ascii85_fail(struct text *out, size_t at, const char **ret_error)
{
	*ret_error = arena_format(out->arena, "illegal ascii85 data at input byte %zu", at);
	return false;
}

static bool ascii85_decode(const char *alphabet, bool padded, const char *in, size_t length, struct text *out,
                           const char **ret_error)
{
	uint32_t v = 0;
	int digits = 0;

	(void)alphabet;
	(void)padded;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)in[i];

		if (c <= ' ')
			continue;
		if (c == 'z' && digits == 0) {
			text_add(out, "\0\0\0\0", 4);
			continue;
		}
		if (c < ASCII85_FIRST || c > ASCII85_LAST)
			return ascii85_fail(out, i, ret_error);
		v = v * BASE85 + (uint32_t)(c - ASCII85_FIRST);
		if (++digits == 5) {
			for (int k = 24; k >= 0; k -= 8)
				text_add_char(out, (char)(v >> k));
			v = 0;
			digits = 0;
		}
	}
	if (digits == 1)
		return ascii85_fail(out, length, ret_error);
	if (digits > 1) { /* the encoder cut the digits: assume the greatest */
		for (int k = digits; k < 5; k++)
			v = v * BASE85 + (BASE85 - 1);
		for (int k = 0; k < digits - 1; k++)
			text_add_char(out, (char)(v >> (24 - 8 * k)));
	}
	return true;
}

static bool z85_encode(const char *alphabet, bool padded, const char *in, size_t length, struct text *out,
                       const char **ret_error)
{
	(void)padded;
	if (length % 4 != 0) {
		*ret_error = "z85: wrongly aligned input data";
		return false;
	}
	for (size_t i = 0; i < length; i += 4) {
		unsigned char digits[5];
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++)
			v = v << 8 | (unsigned char)in[i + k];
		digits85(v, digits);
		for (size_t k = 0; k < 5; k++)
			text_add_char(out, alphabet[digits[k]]);
	}
	return true;
}

static bool z85_decode(const char *alphabet, bool padded, const char *in, size_t length, struct text *out,
                       const char **ret_error)
{
	(void)padded;
	if (length % 5 != 0) {
		*ret_error = "z85: wrongly aligned input data";
		return false;
	}
	for (size_t i = 0; i < length; i += 5) {
		uint32_t v = 0;

		for (size_t k = 0; k < 5; k++) {
			const char *found = in[i + k] ? strchr(alphabet, in[i + k]) : NULL;

			if (!found) {
				*ret_error = arena_format(out->arena, "z85: invalid input byte: %s",
				                          shown_byte(out->arena, (unsigned char)in[i + k]));
				return false;
			}
			v = v * BASE85 + (uint32_t)(found - alphabet);
		}
		for (int k = 24; k >= 0; k -= 8)
			text_add_char(out, (char)(v >> k));
	}
	return true;
}

static const struct encoding encodings[] = {
    {"base64", base64_encode, base64_decode, standard, true},
    {"base64url", base64_encode, base64_decode, url_safe, true},
    {"base64rawurl", base64_encode, base64_decode, url_safe, false},
    {"hex", hex_write, hex_read, hex_lower, false},
    {"ascii85", ascii85_encode, ascii85_decode, "", false},
    {"z85", z85_encode, z85_decode, z85_set, false},
};

const struct encoding *encoding_find(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
		if (strlen(encodings[i].name) == length && memcmp(encodings[i].name, name, length) == 0)
			return &encodings[i];
	return NULL;
}

bool encoding_encode(const struct encoding *e, const char *in, size_t length, struct text *out, const char **ret_error)
{
	return e->encode(e->alphabet, e->padded, in, length, out, ret_error);
}

bool encoding_decode(const struct encoding *e, const char *in, size_t length, struct text *out, const char **ret_error)
{
	return e->decode(e->alphabet, e->padded, in, length, out, ret_error);
}
