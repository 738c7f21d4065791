/*
 * secret_json: a small JSON object with secrets in it (credential replies, token caches).
 *
 * What it is: a thin face of value/json.h: texts come out NUL-terminated.
 * Promises: 6 (at most SECRET_JSON_MAX bytes); secret_json_fini wipes every text of the object and of the objects in
 * it.
 * Owner: the caller; the text given must be writable and outlive the object (json.h points into it).
 * Thread: any.
 * Fails: false when the text is not one JSON object.
 * Does not: go deeper than two objects.
 */
#ifndef KSPOOL_AWS_IDENTITY_SECRET_JSON_H
#define KSPOOL_AWS_IDENTITY_SECRET_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"
#include "value/value.h"

enum { SECRET_JSON_MAX = 256 * 1024 };

struct secret_json {
	struct arena arena;
	struct value root;
	struct value here; /* root, or what secret_json_enter went into */
	char *texts[8];    /* copies handed out */
	size_t text_count;
};

bool secret_json_open(struct secret_json *d, char *text, size_t length);
/* Null when absent, not a string, empty, or with a NUL in it. Valid until secret_json_fini; at most 8 of them. */
const char *secret_json_text(struct secret_json *d, const char *key);
bool secret_json_int(const struct secret_json *d, const char *key, int64_t *ret);
/* Goes into an object below; false when there is none. */
bool secret_json_enter(struct secret_json *d, const char *key);
void secret_json_fini(struct secret_json *d);

#endif
