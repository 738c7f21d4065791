#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
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
	(void)fprintf(stderr, "level=FATAL msg=\"out of memory\" bytes=%zu\n", size);
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
