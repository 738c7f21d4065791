#include "bloblang/library/registry.h"

#include <stdlib.h>

#define ROWS(table) extern const struct bloblang_row table[];
#include "bloblang/library/rows.def"
#undef ROWS

static const struct bloblang_row *const tables[] = {
#define ROWS(table) table,
#include "bloblang/library/rows.def"
#undef ROWS
};

enum { TABLES = sizeof tables / sizeof *tables };

const struct bloblang_row *bloblang_row_find(enum row_kind kind, const char *name, size_t length)
{
	for (size_t t = 0; t < TABLES; t++) {
		for (const struct bloblang_row *row = tables[t]; row->name; row++) {
			if (row->kind == kind && strlen(row->name) == length && memcmp(row->name, name, length) == 0)
				return row;
		}
	}
	return NULL;
}

static const char *kind_name(enum parameter_kind kind)
{
	switch (kind) {
	case PARAM_ANY:
		return "any";
	case PARAM_STRING:
		return "string";
	case PARAM_INT:
		return "int";
	case PARAM_FLOAT:
		return "float";
	case PARAM_BOOL:
		return "bool";
	case PARAM_TIMESTAMP:
		return "timestamp";
	case PARAM_ARRAY:
		return "array";
	case PARAM_OBJECT:
		return "object";
	case PARAM_QUERY:
		return "query";
	case PARAM_QUERY_OR_VALUE:
		return "query or value";
	}
	return "";
}

static int compare_rows(const void *a, const void *b)
{
	const struct bloblang_row *x = *(const struct bloblang_row *const *)a;
	const struct bloblang_row *y = *(const struct bloblang_row *const *)b;

	return strcmp(x->name, y->name);
}

static void print_row(struct buf *out, const struct bloblang_row *row)
{
	static const char *const statuses[] = {
	    [STABLE] = "", [BETA] = " (beta)", [EXPERIMENTAL] = " (experimental)", [DEPRECATED] = " (deprecated)"};

	(void)buf_addf(out, "%s(", row->name);
	if ((row->flags & ROW_VARIADIC) != 0)
		(void)buf_add_text(out, "...any");
	for (size_t i = 0; i < ROW_PARAMETERS_MAX && row->parameters[i].name; i++) {
		const struct bloblang_parameter *p = &row->parameters[i];

		(void)buf_addf(out, "%s%s: %s%s", i == 0 ? "" : ", ", p->name, kind_name(p->kind),
		               p->optional ? "?" : "");
		if (p->fallback)
			(void)buf_addf(out, " = %s", p->fallback);
	}
	(void)buf_addf(out, ")%s\n    %s\n", statuses[row->status], row->summary);
}

void bloblang_rows_print(struct buf *out, enum row_kind kind)
{
	const struct bloblang_row *rows[512];
	size_t count = 0;

	for (size_t t = 0; t < TABLES; t++) {
		for (const struct bloblang_row *row = tables[t]; row->name; row++) {
			if (row->kind == kind && row->status != HIDDEN && count < sizeof rows / sizeof *rows)
				rows[count++] = row;
		}
	}
	qsort(rows, count, sizeof *rows, compare_rows);
	for (size_t i = 0; i < count; i++)
		print_row(out, rows[i]);
}
