#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

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
	return e->code;
}

const char *error_name(enum err code) { return code < ERR_COUNT ? rows[code].name : "?"; }

const char *error_sentence(enum err code) { return code < ERR_COUNT ? rows[code].sentence : "?"; }

int error_exit_status(enum err code) { return code < ERR_COUNT ? rows[code].exit_status : EX_SOFTWARE; }

int error_is_retryable(enum err code) { return code < ERR_COUNT && rows[code].retry; }
