/*
 * cursor: walks what the service sends, JSON (RFC 8259) or CBOR (RFC 8949), through one set of calls.
 *
 * What it is: a place in bytes that came from outside. Nothing recurses: a container is entered and left by its reader,
 * and an unknown value is skipped with a fixed stack of CURSOR_DEPTH levels. A declared length is held against the
 * bytes that are there. Definite and indefinite CBOR lengths, chunked texts and tags are taken; JSON strings are
 * checked for UTF-8, escapes and surrogate pairs. Promises: 2 (half an answer is never taken for a whole one), 11 (time
 * and depth are bounded by the bytes). Owner: the caller's struct, ended by cursor_fini; the bytes stay the caller's.
 * Thread: any. Fails: a call answers false and `wrong` says what was met; after that every further call answers false.
 * Does not: keep values, convert numbers, or know what an answer looks like.
 */
#ifndef KSPOOL_KINESIS_CURSOR_H
#define KSPOOL_KINESIS_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

enum { CURSOR_DEPTH = 32 };

enum cursor_form { CURSOR_JSON, CURSOR_CBOR, CURSOR_NEITHER };

/* Text met: into the answer itself, or into the cursor's scratch until the next text is read. */
struct cursor_text {
	const char *data; /* null: the value was null */
	size_t length;
};

struct cursor_scope {
	uint64_t left; /* CBOR definite: entries to come */
	bool indefinite;
	bool started;
	char closer; /* JSON: ']' or '}' */
};

struct cursor {
	const unsigned char *at;
	const unsigned char *end;
	struct buf scratch;
	enum cursor_form form;
	const char *wrong; /* null while all is well */
};

/* What the caller, too, may find wrong; the first is kept. Always false. */
static inline bool cursor_wrong(struct cursor *r, const char *what)
{
	if (!r->wrong)
		r->wrong = what;
	return false;
}

static inline bool cursor_text_is(const struct cursor_text *text, const char *name)
{
	return text->length == strlen(name) && memcmp(text->data, name, text->length) == 0;
}

/* By the first byte: '{' (white space before it allowed) is JSON, a CBOR map head is CBOR; all else is neither. */
enum cursor_form cursor_sniff(const void *data, size_t bytes);
void cursor_init(struct cursor *r, enum cursor_form form, const void *data, size_t bytes);
void cursor_fini(struct cursor *r);

bool cursor_map(struct cursor *r, struct cursor_scope *scope);
bool cursor_list(struct cursor *r, struct cursor_scope *scope);
/* True when another entry follows; false at the end of the container (consumed), or when something is wrong. */
bool cursor_more(struct cursor *r, struct cursor_scope *scope);
/* The name of a map's entry. */
bool cursor_key(struct cursor *r, struct cursor_text *ret);
/* A text or null; anything else is wrong. */
bool cursor_text_value(struct cursor *r, struct cursor_text *ret);
/* Is the next value null or a text? (for members whose kind is not promised) */
bool cursor_at_text(struct cursor *r);
bool cursor_skip(struct cursor *r);
/* True when nothing but white space (JSON) or nothing (CBOR) is left. */
bool cursor_at_end(struct cursor *r);

#endif
