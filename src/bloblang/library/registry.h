/*
 * registry: every function and method of the language, by name.
 *
 * What it is: the families of rows.def as one table. The language is handed bloblang_row_find and knows no family.
 * Promises: none of its own.
 * Owner: static tables.
 * Thread: any.
 * Fails: never; an unknown name is null.
 * Does not: know what a row does.
 */
#ifndef KSPOOL_BLOBLANG_LIBRARY_REGISTRY_H
#define KSPOOL_BLOBLANG_LIBRARY_REGISTRY_H

#include "base/buf.h"
#include "bloblang/language/function.h"

row_find bloblang_row_find;
/* Appends name, parameters and summary of every row that is not hidden, by name. */
void bloblang_rows_print(struct buf *out, enum row_kind kind);

#endif
