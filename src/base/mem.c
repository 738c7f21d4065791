#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void *mem_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	must(p);
	return p;
}

void *mem_zero(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	must(p);
	return p;
}

void *mem_array(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	must(p);
	return p;
}

void *mem_grow(void *old, size_t count, size_t size)
{
	void *p;

	must(size == 0 || count <= SIZE_MAX / size);
	p = realloc(old, count > 0 && size > 0 ? count * size : 1);
	must(p);
	return p;
}

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
	must(n >= 0 && p);
	return p;
}
