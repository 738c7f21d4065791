/*
 * json_scan: the lexical level of the JSON reader; for json.c, json_seek.c and json_print.c only.
 *
 * What it is: functions that step over one token and validate it. Strings are crossed 16 bytes at a time where the
 *     machine has the instructions (SSE2, NEON), 8 at a time elsewhere.
 * Promises: none of its own.
 * Owner: the caller of json.h; a scan only points.
 * Thread: one scan, one thread.
 * Fails: false, or null, with `error` set in Go's words.
 * Does not: read at or past `end`; know how tokens follow each other.
 */
#ifndef KSPOOL_VALUE_JSON_SCAN_H
#define KSPOOL_VALUE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "value/arena.h"

struct json_scan {
	const char *at;
	const char *end;
	struct arena *arena;
	const char *error;
};

enum string_flags { STRING_ESCAPED = 1, STRING_HIGH = 2 };

/* Sets "invalid character 'c' <context>", or the end-of-input sentence; returns false. */
bool scan_fail(struct json_scan *s, const char *context);
/* The slow rest of a string: after a backslash or the first byte above ASCII. */
bool scan_string_rest(struct json_scan *s, unsigned *flags);
/* s->at on the first character. */
bool scan_number(struct json_scan *s);
bool scan_word_slowly(struct json_scan *s, const char *word, size_t length);
/* The text between quotes as it is meant: unescaped, invalid UTF-8 replaced. Points into the source when it can. */
const char *scan_decode(struct arena *a, const char *text, size_t length, unsigned flags, size_t *ret_length);

static inline void scan_space(struct json_scan *s)
{
	while (s->at < s->end && (unsigned char)*s->at <= ' ' &&
	       (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
}

#if defined(__SSE2__)
enum { SCAN_STEP = 16 };
/* Offset of the first byte of 16 that ends a run, or 16. high: bytes above ASCII end it too. */
static inline unsigned scan_block(const char *p, bool high)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
	__m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
	__m128i control =
	    high ? _mm_cmplt_epi8(v, _mm_set1_epi8(' ')) : _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1F)), v);
	unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), control));

	return mask != 0 ? (unsigned)__builtin_ctz(mask) : 16;
}
#elif defined(__aarch64__) && defined(__ARM_NEON)
enum { SCAN_STEP = 16 };
static inline unsigned scan_block(const char *p, bool high)
{
	uint8x16_t v = vld1q_u8((const uint8_t *)p);
	uint8x16_t hit = vorrq_u8(vceqq_u8(v, vdupq_n_u8('"')), vceqq_u8(v, vdupq_n_u8('\\')));
	uint64_t mask;

	hit = vorrq_u8(hit, vcltq_u8(v, vdupq_n_u8(' ')));
	if (high)
		hit = vorrq_u8(hit, vcgeq_u8(v, vdupq_n_u8(0x80)));
	mask = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(hit), 4)), 0);
	return mask != 0 ? (unsigned)__builtin_ctzll(mask) / 4 : 16;
}
#else
enum { SCAN_STEP = 8 };
/* Classic word tricks; exact when no byte is above ASCII, else it may only stop early, and the caller looks. */
static inline unsigned scan_block(const char *p, bool high)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t tops = UINT64_C(0x8080808080808080);
	uint64_t v;
	uint64_t quote;
	uint64_t slash;

	memcpy(&v, p, sizeof v);
	quote = v ^ (ones * '"');
	slash = v ^ (ones * '\\');
	if (((((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((v - ones * 0x20) & ~v) | v) & tops) == 0)
		return 8;
	for (unsigned i = 0; i < 8; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '"' || c == '\\' || c < 0x20 || (high && c >= 0x80))
			return i;
	}
	return 8;
}
#endif

/* Moves to the first byte that is a quote, a backslash, a control character or (high) above ASCII. */
static inline const char *scan_run(const char *p, const char *end, bool high)
{
	while (end - p >= SCAN_STEP) {
		unsigned n = scan_block(p, high);

		p += n;
		if (n != SCAN_STEP)
			return p;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20 && !(high && (unsigned char)*p >= 0x80))
		p++;
	return p;
}

static inline bool scan_word(struct json_scan *s, const char *word, size_t length)
{
	if ((size_t)(s->end - s->at) >= length && memcmp(s->at, word, length) == 0) {
		s->at += length;
		return true;
	}
	return scan_word_slowly(s, word, length);
}

static inline const char *scan_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* The end of a plain number followed by a delimiter, as most are written; null: look carefully. */
static inline const char *scan_plain_number(const char *p, const char *end)
{
	p += *p == '-' ? 1 : 0;
	if (p == end || *p < '1' || *p > '9')
		return NULL;
	p = scan_digits(p, end);
	if (p < end && *p == '.') {
		const char *fraction = p + 1;

		p = scan_digits(fraction, end);
		if (p == fraction)
			return NULL;
	}
	return p < end && (*p == ',' || *p == '}' || *p == ']') ? p : NULL;
}

/* s->at just after the opening quote; leaves it on the closing quote. */
static inline bool scan_string(struct json_scan *s, unsigned *flags)
{
	*flags = 0;
	s->at = scan_run(s->at, s->end, true);
	if (s->at < s->end && *s->at == '"')
		return true;
	return scan_string_rest(s, flags);
}

#endif
