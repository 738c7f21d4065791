/*
 * scanner: cuts a stream of bytes into messages.
 *
 * What it is: a search with memory. The caller keeps the bytes; the scanner says where the next message ends and how
 * many bytes to drop from the front. It never holds more than the head of a message that is too long, and its outcome
 * does not depend on how the stream was cut into pieces. Kinds: lines ("\n", one '\r' before it is dropped, as Redpanda
 * Connect's lines scanner does), lines with a custom delimiter (nothing dropped), the whole stream, pieces of a size.
 * The end of the stream ends the last message, unless that would be an empty one. Lines of a text (scanner_expect_text)
 * lose the byte order mark before the first one, and NULs before any of them: the holes that a cut log or a crash
 * leaves. Promises: 6 (of a message that is too long only the head is kept). Owner: the caller; scanner_fini. Thread:
 * any. Fails: never; a message over the ceiling is an event. Does not: allocate, except that head.
 */
#ifndef KSPOOL_DOORS_SCANNER_H
#define KSPOOL_DOORS_SCANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"

enum { SCANNER_HEAD_MAX_BYTES = 65536, SCANNER_MARK_BYTES = 16 };

/* Why a foreign text is not read. */
#define SCANNER_FOREIGN "it is UTF-16: make it UTF-8 (iconv -f UTF-16 -t UTF-8), or set scanner to_the_end"

enum scanner_event {
	SCANNER_MORE,    /* the message is not complete: drop `used` bytes, come back with more */
	SCANNER_MESSAGE, /* body at the front of the data, `length` bytes; then drop `used` */
	SCANNER_SKIPPED, /* an empty one that is to be omitted, or a byte order mark: drop `used` */
	SCANNER_HOLE, /* NULs before a line: drop `used`; as somebody may yet write there, no position covers them alone
	               */
	SCANNER_TOO_LONG /* over the ceiling: head in s->head, whole length in `length`; drop `used` */
};

struct scanner {
	enum scanner_kind kind;
	bool strip_cr;
	bool omit_empty;
	char *delimiter;
	size_t delimiter_length;
	uint64_t chunk_bytes;
	uint64_t max_bytes; /* ceiling of one message */
	size_t looked;      /* bytes at the front already searched */
	bool skipping;      /* inside a message that is too long */
	uint64_t skipped;   /* its bytes so far, the delimiter's bytes excluded */
	struct buf head;    /* its first bytes */
	bool last_is_cr;    /* the last skipped byte was a '\r' */
	bool is_text;       /* NULs before a line are a hole */
	bool may_be_mark;   /* no byte of the text was looked at yet */
};

/* A stream whose first bytes (up to SCANNER_MARK_BYTES of them) are so is UTF-16 and would be cut at newlines, which
 * are two bytes there: each line but the first would be no text any more. Told by its mark, or by eight bytes of which
 * each second one is a NUL and no other. */
bool scanner_is_foreign(const struct config_scanner *config, const unsigned char *mark, size_t length);
void scanner_init(struct scanner *s, const struct config_scanner *config, uint64_t max_bytes);
void scanner_fini(struct scanner *s);
/* The stream is a text, at its start or somewhere in it. Nothing changes unless it is cut at newlines. */
void scanner_expect_text(struct scanner *s, bool at_start);
/* Would these bytes, the last of a message, be its end by themselves? Of lines only; pieces and wholes have none. */
bool scanner_is_delimited(const struct scanner *s, const char *data, size_t length);
/* `data` begins where the last call's `used` ended. at_end: no byte will ever follow `length`. */
enum scanner_event scanner_next(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                uint64_t *ret_length);
/* The begin of the message under way is given no more: the next call begins with another one. */
void scanner_forget(struct scanner *s);
/* The next call begins where the last call's `used` ended, but with other bytes behind it, or fewer. */
void scanner_look_again(struct scanner *s);
/* True between messages: nothing of the next one was dropped. */
bool scanner_is_between(const struct scanner *s);

#endif
