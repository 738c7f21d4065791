/*
 * error: the one error type.
 *
 * What it is: a code from errors.def with a text of fixed size and the place where the failure was first noticed. A
 * function that can fail returns `enum err` and takes a `struct error *` last.
 * Promises: none of its own.
 * Owner: the caller's stack; failing allocates nothing. A null `struct error *` is allowed.
 * Thread: any, one at a time.
 * Fails: a text longer than ERROR_TEXT_MAX is cut at its end. What fills an error returns its code for `return
 * error_set(...)`, so it is not MUST_CHECK; everything else is.
 * Does not: log, or get written on success. Context is added on the way up with error_wrap().
 */
#ifndef KSPOOL_BASE_ERROR_H
#define KSPOOL_BASE_ERROR_H

enum err {
	ERR_OK = 0,
#define ERR(name, exit_status, retry, text) ERR_##name,
#include "base/errors.def"
#undef ERR
	ERR_COUNT
};

enum { ERROR_TEXT_MAX = 1000 };

struct error {
	enum err code;
	int line;         /* where it was first noticed */
	const char *file; /* static storage */
	char text[ERROR_TEXT_MAX];
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* Fills e (when not null) and returns code, so that `return error_set(e, ...)` reads well. */
#define error_set(e, code, ...) error_set_at((e), (code), __FILE__, __LINE__, __VA_ARGS__)
enum err error_set_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* As error_set with ": <strerror(errno)>" appended. */
#define error_set_errno(e, code, ...) error_set_errno_at((e), (code), __FILE__, __LINE__, __VA_ARGS__)
enum err error_set_errno_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Puts "context: " before the text already in e. Returns e's code (ERR_SYSTEM when e is null). */
enum err error_wrap(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Texts that must never be shown. What becomes a struct error, a log line or a kept answer of a service goes through
 * error_redact: where a known secret stands in it, plain, percent-encoded, in base64, in hex or with escaped slashes,
 * the word it is part of becomes "***". Only hashes of pieces of a secret are remembered; shorter than 12 characters is
 * none. add and remove are pairs. Any thread.
 */
void error_secret_add(const char *secret);
void error_secret_remove(const char *secret);
/* In place; never longer. */
void error_redact(char *text);

/* "FULL", "DISK", ... */
const char *error_name(enum err code);
/* The sentence of errors.def. */
const char *error_sentence(enum err code);
/* sysexits.h status; 0 for ERR_OK. */
int error_exit_status(enum err code);
/* Non-zero when trying again later can help by itself. */
int error_is_retryable(enum err code);

#endif
