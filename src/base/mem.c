#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"

/* No thread can go on, and none of them is asked: what was not answered was not accepted. A restart may help. */
_Noreturn static void out_of_memory(size_t size)
{
	(void)fprintf(stderr, "level=fatal msg=\"out of memory\" bytes=%zu\n", size);
	_exit(error_exit_status(ERR_MEMORY));
}

static void *given(void *p, size_t size)
{
	if (!p)
		out_of_memory(size);
	return p;
}

void mem_exhausted(void) { out_of_memory(0); }

void *mem_given(void *p) { return given(p, 0); }

void *mem_alloc(size_t size) { return given(malloc(size ? size : 1), size); }

void *mem_zero(size_t size) { return mem_array(1, size); }

void *mem_array(size_t count, size_t size) { return given(calloc(count ? count : 1, size ? size : 1), count * size); }

void *mem_grow(void *old, size_t count, size_t size)
{
	must(size == 0 || count <= SIZE_MAX / size);
	return given(realloc(old, count > 0 && size > 0 ? count * size : 1), count * size);
}

void *mem_resize(void *old, size_t size) { return mem_grow(old, size, 1); }

char *mem_string_n(const char *s, size_t length)
{
	char *p = mem_alloc(length + 1);

	memcpy(p, s, length);
	p[length] = '\0';
	return p;
}

char *mem_string(const char *s) { return mem_string_n(s, strlen(s)); }

char *mem_format(const char *format, ...)
{
	va_list ap;
	char *p = NULL;
	int n;

	va_start(ap, format);
	n = vasprintf(&p, format, ap);
	va_end(ap);
	must(n >= 0 || errno == ENOMEM);
	return given(n < 0 ? NULL : p, strlen(format));
}

char *mem_shell_word(const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";
	char *ret, *to;

	if (*s && s[strspn(s, plain)] == '\0')
		return mem_string(s);
	ret = to = mem_alloc(4 * strlen(s) + 3);
	*to++ = '\'';
	for (; *s; s++)
		if (*s == '\'')
			to = stpcpy(to, "'\\''");
		else
			*to++ = *s;
	*to++ = '\'';
	*to = '\0';
	return ret;
}

void *mem_try(size_t size) { return malloc(size ? size : 1); }

/* An eighth of the budget is left for who cannot refuse. */
enum { LEFT_SHARE = 8 };

static _Atomic uint64_t budget_bytes, told[BUDGET_SHARES], taken;

void budget_open(uint64_t bytes) { atomic_store(&budget_bytes, bytes); }

uint64_t budget_size(void) { return atomic_load(&budget_bytes); }

void budget_tell(enum budget_share share, uint64_t bytes)
{
	atomic_store_explicit(&told[share], bytes, memory_order_relaxed);
}

static _Thread_local bool (*wait_by)(void *arg);
static _Thread_local void *wait_arg;

void budget_wait_by(bool (*wait)(void *arg), void *arg)
{
	wait_by = wait;
	wait_arg = arg;
}

static bool try_take(uint64_t bytes, uint64_t most)
{
	uint64_t held = 0, before;

	for (int i = 0; i < BUDGET_SHARES; i++)
		held += atomic_load_explicit(&told[i], memory_order_relaxed);
	before = atomic_fetch_add(&taken, bytes);
	if (atomic_load(&budget_bytes) == 0 || (bytes <= most && held + before <= most - bytes))
		return true;
	(void)atomic_fetch_sub(&taken, bytes);
	return false;
}

bool budget_take(uint64_t bytes, bool leave)
{
	const uint64_t most = budget_size();

	if (leave)
		return try_take(bytes, most - most / LEFT_SHARE);
	while (!try_take(bytes, most))
		if (bytes > most || !wait_by || !wait_by(wait_arg))
			return false;
	return true;
}

void budget_give(uint64_t bytes) { must(atomic_fetch_sub(&taken, bytes) >= bytes); }

uint64_t budget_taken(void) { return atomic_load(&taken); }
