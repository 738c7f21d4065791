/*
 * reader: walks an answer of the service, JSON (RFC 8259) or CBOR (RFC 8949), through one set of calls.
 *
 * What it is: a cursor over bytes the service sent. Nothing recurses: containers are entered and left by their reader,
 * and an unknown value is skipped with a fixed stack of READER_DEPTH levels. A length that was declared is compared
 * with the bytes that are there. Definite and indefinite CBOR lengths, chunked text and tags are taken; JSON strings
 * are checked for UTF-8, escapes and surrogate pairs. Owner: the caller's struct; reader_fini. Thread: any. Fails:
 * every call answers false and `wrong` then says what was met; after that all further calls answer false.
 */
#ifndef KSPOOL_KINESIS_READER_H
#define KSPOOL_KINESIS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { READER_DEPTH = 32 };

enum reader_form { READER_JSON, READER_CBOR, READER_NEITHER };

/* Text met: into the answer itself, or into the reader's scratch until the next text is read. */
struct reader_text {
	const char *data; /* null: the value was null */
	size_t length;
};

struct reader_scope {
	uint64_t left; /* CBOR definite: entries to come */
	bool indefinite;
	bool started;
	char closer; /* JSON: ']' or '}' */
};

struct reader {
	const unsigned char *at;
	const unsigned char *end;
	struct buf scratch;
	enum reader_form form;
	const char *wrong; /* null while all is well */
};

/* By the first byte: '{' (white space before it allowed) is JSON, a CBOR map head is CBOR; all else is neither. */
enum reader_form reader_sniff(const void *data, size_t bytes);
void reader_init(struct reader *r, enum reader_form form, const void *data, size_t bytes);
void reader_fini(struct reader *r);

bool reader_map(struct reader *r, struct reader_scope *scope);
bool reader_list(struct reader *r, struct reader_scope *scope);
/* True when another entry follows; false at the end of the container (consumed), or when something is wrong. */
bool reader_more(struct reader *r, struct reader_scope *scope);
/* The name of a map's entry. */
bool reader_key(struct reader *r, struct reader_text *ret);
/* A text or null; anything else is wrong. */
bool reader_text_value(struct reader *r, struct reader_text *ret);
/* Is the next value null or a text? (for members whose kind is not promised) */
bool reader_at_text(struct reader *r);
bool reader_skip(struct reader *r);
/* True when nothing but white space (JSON) or nothing (CBOR) is left. */
bool reader_at_end(struct reader *r);

/* The two forms, in reader_json.c and reader_cbor.c. */
bool reader_wrong(struct reader *r, const char *what);
bool json_open(struct reader *r, struct reader_scope *scope, char opener, char closer);
bool json_more(struct reader *r, struct reader_scope *scope);
bool json_text(struct reader *r, struct reader_text *ret, bool is_key);
bool json_skip(struct reader *r);
void json_space(struct reader *r);
bool cbor_open(struct reader *r, struct reader_scope *scope, unsigned major);
bool cbor_more(struct reader *r, struct reader_scope *scope);
bool cbor_text(struct reader *r, struct reader_text *ret, bool is_key);
bool cbor_skip(struct reader *r);

#endif
