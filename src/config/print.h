/*
 * print: what the example, the man page and the schema share about the order of a file.
 *
 * What it is: the parts of a file in order, and a row's default, kind and sentence as text.
 * Promises: none of its own.
 * Owner: static data. Thread: any.
 * Fails: never; a full buffer is the caller's to see.
 * Does not: write files.
 */
#ifndef KSPOOL_CONFIG_PRINT_H
#define KSPOOL_CONFIG_PRINT_H

#include "config/options.h"

/* A part of a file in the order it is shown. */
struct print_part {
	const char *slot; /* root key that holds it: "input"; null when the part is a root key itself */
	const char *key;  /* "http_server"; null: the rows belong to the slot (label, processors) */
	const struct option_section *(*section)(void);
	bool one_of; /* shown in comments: one alternative of several */
	const char *text;
};

/* Ended by a null section. */
extern const struct print_part print_parts[];

/* The default as YAML: 5s, "", [], {}; of a required option the example's value. */
void print_option_default(const struct option_row *row, struct buf *out);
/* "text", "bytes", "duration", "refuse | evict_oldest", ... */
void print_option_kind(const struct option_row *row, struct buf *out);
/* The sentence, then range, required, own, not yet, no effect. */
void print_option_sentence(const struct option_row *row, struct buf *out);

#endif
