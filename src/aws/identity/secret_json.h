/*
 * document: a small JSON object with secrets in it (credential replies, token caches).
 *
 * A thin face of value/json.h: texts come out NUL-terminated, and document_fini wipes every text of the object and of
 * the objects in it. Owner: the caller; the text given must be writable and outlive the document (json.h points into
 * it). Thread: any. Fails: false when the text is not one JSON object of at most DOCUMENT_MAX bytes.
 */
#ifndef KSPOOL_AWS_IDENTITY_SECRET_JSON_H
#define KSPOOL_AWS_IDENTITY_SECRET_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"
#include "value/value.h"

enum { DOCUMENT_MAX = 256 * 1024 };

struct document {
	struct arena arena;
	struct value root;
	struct value here; /* root, or what document_enter went into */
	char *texts[8];    /* copies handed out */
	size_t text_count;
};

bool document_open(struct document *d, char *text, size_t length);
/* Null when absent, not a string, empty, or with a NUL in it. Valid until document_fini; at most 8 of them. */
const char *document_text(struct document *d, const char *key);
bool document_int(const struct document *d, const char *key, int64_t *ret);
/* Goes into an object below; false when there is none. */
bool document_enter(struct document *d, const char *key);
void document_fini(struct document *d);

#endif
