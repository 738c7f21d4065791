/*
 * Invariants:
 * 1. A slot of `hashes` is 0 or the hash of one piece of a secret that was added and not removed.
 * 2. A text that goes out of here was redacted after its last change.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base64.h"

static const struct {
	const char *name;
	const char *sentence;
	int exit_status;
	int retry;
} rows[ERR_COUNT] = {
    [ERR_OK] = {"OK", "no error", EX_OK, 0},
#define ERR(name, exit_status, retry, text) [ERR_##name] = {#name, text, exit_status, retry},
#include "base/errors.def"
#undef ERR
};

enum { PIECE = 12, BUCKETS = 256, BUCKET_SLOTS = 8, MASK = 3, SECRET_MAX_BYTES = 32768 };

static _Atomic uint64_t hashes[BUCKETS][BUCKET_SLOTS];
static _Atomic uint32_t hash_count;

static uint64_t hash_piece(const char *piece)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (int i = 0; i < PIECE; i++)
		hash = (hash ^ (unsigned char)piece[i]) * UINT64_C(1099511628211);
	hash ^= hash >> 29;
	return hash ? hash : 1;
}

/* Exchanges one slot; a full bucket loses this piece of several. */
static void exchange(const char *piece, bool add)
{
	uint64_t hash = hash_piece(piece);

	for (int i = 0; i < BUCKET_SLOTS; i++) {
		uint64_t expected = add ? 0 : hash;

		if (atomic_compare_exchange_strong(&hashes[hash % BUCKETS][i], &expected, add ? hash : 0)) {
			if (add)
				atomic_fetch_add(&hash_count, 1);
			else
				atomic_fetch_sub(&hash_count, 1);
			return;
		}
	}
}

/* Beginning, middle and end: what echoes a part of a secret is likely to have one of them. */
static void exchange_form(const char *form, size_t length, bool add)
{
	if (length < PIECE)
		return;
	exchange(form, add);
	if (length >= 2 * PIECE)
		exchange(form + length - PIECE, add);
	if (length >= 4 * PIECE)
		exchange(form + length / 2, add);
}

static bool is_plain(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("-_.~", c);
}

enum escape { PERCENT_UPPER, PERCENT_LOWER, HEX_UPPER, HEX_LOWER, SLASHES, ESCAPES };

/* "%2F", "%2f"; "2F", "2f" of each; or, for JSON, "\\/". */
static void exchange_escaped(const char *secret, enum escape how, bool add)
{
	const char *digits = how == PERCENT_UPPER || how == HEX_UPPER ? "0123456789ABCDEF" : "0123456789abcdef";
	bool is_hex = how == HEX_UPPER || how == HEX_LOWER;
	char *form = malloc(3 * strlen(secret) + 1), *end = form;

	for (const char *p = secret; form && *p; p++)
		if (!is_hex && (is_plain(*p) || (how == SLASHES && *p != '/'))) {
			*end++ = *p;
		} else if (how == SLASHES) {
			*end++ = '\\';
			*end++ = *p;
		} else {
			if (!is_hex)
				*end++ = '%';
			*end++ = digits[(unsigned char)*p >> 4];
			*end++ = digits[*p & 15];
		}
	if (form && (size_t)(end - form) > strlen(secret))
		exchange_form(form, (size_t)(end - form), add);
	free(form);
}

/* At each of the three places where it may begin in what is encoded, without the characters it shares with others. */
static void exchange_base64(const char *secret, size_t length, enum base64_form kind, bool add)
{
	char *text = malloc(base64_length(kind, length + 2));
	char *plain = malloc(length + 2);

	for (size_t shift = 0; text && plain && shift < 3; shift++) {
		size_t n, cut = shift == 0 ? 0 : shift + 1;

		memset(plain, 0, shift);
		memcpy(plain + shift, secret, length);
		base64_encode(kind, plain, shift + length, text);
		n = (shift + length) / 3 * 4;
		exchange_form(text + cut, n > cut ? n - cut : 0, add);
	}
	free(text);
	free(plain);
}

static void exchange_secret(const char *secret, bool add)
{
	size_t length = strlen(secret);

	if (length < PIECE || length > SECRET_MAX_BYTES / 3)
		return;
	exchange_form(secret, length, add);
	for (enum escape how = 0; how < ESCAPES; how++)
		exchange_escaped(secret, how, add);
	exchange_base64(secret, length, BASE64_STANDARD_BARE, add);
	exchange_base64(secret, length, BASE64_URL_BARE, add);
}

void error_secret_add(const char *secret) { exchange_secret(secret, true); }

void error_secret_remove(const char *secret) { exchange_secret(secret, false); }

static bool is_secret(const char *piece)
{
	uint64_t hash = hash_piece(piece);

	for (int i = 0; i < BUCKET_SLOTS; i++)
		if (atomic_load_explicit(&hashes[hash % BUCKETS][i], memory_order_relaxed) == hash)
			return true;
	return false;
}

static bool is_of_word(char c) { return c != '\0' && (is_plain(c) || strchr("+/=%\\", c)); }

void error_redact(char *text)
{
	size_t length = strlen(text);

	if (atomic_load_explicit(&hash_count, memory_order_relaxed) == 0)
		return;
	for (size_t at = 0; at + PIECE <= length; at++) {
		size_t begin = at, end = at + PIECE;

		if (!is_secret(text + at))
			continue;
		while (begin > 0 && is_of_word(text[begin - 1]))
			begin--;
		while (end < length && is_of_word(text[end]))
			end++;
		memcpy(text + begin, "***", MASK);
		memmove(text + begin + MASK, text + end, length - end + 1);
		length -= end - begin - MASK;
		at = begin + MASK - 1;
	}
}

static void fill(struct error *e, enum err code, const char *file, int line)
{
	e->code = code;
	e->file = file;
	e->line = line;
}

enum err error_set_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
{
	if (e) {
		va_list ap;

		fill(e, code, file, line);
		va_start(ap, format);
		(void)vsnprintf(e->text, sizeof e->text, format, ap);
		va_end(ap);
		error_redact(e->text);
	}
	return code;
}

enum err error_set_errno_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
{
	int saved = errno;

	if (e) {
		va_list ap;
		size_t used;

		fill(e, code, file, line);
		va_start(ap, format);
		(void)vsnprintf(e->text, sizeof e->text, format, ap);
		va_end(ap);
		used = strlen(e->text);
		(void)snprintf(e->text + used, sizeof e->text - used, ": %s", strerror(saved));
		error_redact(e->text);
	}
	errno = saved;
	return code;
}

enum err error_wrap(struct error *e, const char *format, ...)
{
	char context[sizeof e->text];
	char whole[sizeof e->text + sizeof context + 3];
	va_list ap;

	if (!e)
		return ERR_SYSTEM;
	va_start(ap, format);
	(void)vsnprintf(context, sizeof context, format, ap);
	va_end(ap);
	(void)snprintf(whole, sizeof whole, "%s: %s", context, e->text);
	memcpy(e->text, whole, sizeof e->text - 1);
	e->text[sizeof e->text - 1] = '\0';
	error_redact(e->text);
	return e->code;
}

const char *error_name(enum err code) { return code < ERR_COUNT ? rows[code].name : "?"; }

const char *error_sentence(enum err code) { return code < ERR_COUNT ? rows[code].sentence : "?"; }

int error_exit_status(enum err code) { return code < ERR_COUNT ? rows[code].exit_status : EX_SOFTWARE; }

int error_is_retryable(enum err code) { return code < ERR_COUNT && rows[code].retry; }
