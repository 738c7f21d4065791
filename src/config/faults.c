#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/faults.h"

/* A hostile file can be wrong in every byte; nobody reads more than this. */
enum { FAULTS_MAX = 1000, FAULT_TEXT_MAX = 1000 };

static void add(struct config_faults *faults, struct config_fault fault, const char *format, va_list ap)
{
	char text[FAULT_TEXT_MAX];

	if (!faults || faults->count >= FAULTS_MAX)
		return;
	(void)vsnprintf(text, sizeof text, format, ap);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	if ((faults->count & (faults->count + 1)) == 0)
		faults->items = mem_grow(faults->items, 2 * (faults->count + 1), sizeof *faults->items);
	fault.text = fault.foreseen ? mem_format("`kspool run` will refuse %s", text) : mem_string(text);
	faults->items[faults->count++] = fault;
}

void config_faults_add(struct config_faults *faults, int line, int column, bool warning, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(faults, (struct config_fault){.line = line, .column = column, .warning = warning}, format, ap);
	va_end(ap);
}

void config_faults_foresee(struct config_faults *faults, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(faults, (struct config_fault){.line = 1, .column = 1, .warning = true, .foreseen = true}, format, ap);
	va_end(ap);
}

void config_faults_fini(struct config_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++)
		free(faults->items[i].text);
	free(faults->items);
	memset(faults, 0, sizeof *faults);
}

static int compare(const void *a, const void *b)
{
	const struct config_fault *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return strcmp(x->text, y->text);
}

void faults_sort(struct config_faults *faults)
{
	size_t kept = 0;

	if (faults->count > 1)
		qsort(faults->items, faults->count, sizeof *faults->items, compare);
	for (size_t i = 0; i < faults->count; i++) {
		if (i > 0 && compare(&faults->items[kept - 1], &faults->items[i]) == 0)
			free(faults->items[i].text);
		else
			faults->items[kept++] = faults->items[i];
	}
	faults->count = kept;
}

size_t faults_count_errors(const struct config_faults *faults)
{
	size_t count = 0;

	for (size_t i = 0; i < faults->count; i++)
		count += !faults->items[i].warning;
	return count;
}

void faults_drop_warnings(struct config_faults *faults)
{
	size_t kept = 0;

	for (size_t i = 0; i < faults->count; i++) {
		if (faults->items[i].warning)
			free(faults->items[i].text);
		else
			faults->items[kept++] = faults->items[i];
	}
	faults->count = kept;
}
