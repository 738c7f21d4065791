/*
 * scanner: cuts a stream of bytes into messages.
 *
 * What it is: a search with memory. The caller keeps the bytes; the scanner says where the next message ends and how
 * many bytes to drop from the front. It never holds more than the head of a message that is too long, and its outcome
 * does not depend on how the stream was cut into pieces. Kinds: lines ("\n", one '\r' before it is dropped, as Redpanda
 * Connect's lines scanner does), lines with a custom delimiter (nothing dropped), the whole stream, pieces of a size,
 * rows of CSV (which scanner_shape makes JSON of), JSON documents, elements of a JSON array, from match to match: a
 * match that reaches the end of what came may become another one, and waits for more, up to SCANNER_MATCH_MAX_BYTES of
 * it. What depends on the pieces all the same: a pattern that would begin earlier, had it seen more (`a.*z|b`), longer
 * matches, and in a message that is too long what looks further back than that.
 * The end of the stream ends the last message, unless that would be an empty one. Lines of a text (scanner_expect_text)
 * lose the byte order mark before the first one, and NULs before any of them: the holes that a cut log or a crash
 * leaves; skip_bom drops any mark of any stream. Promises: 6 (of a message that is too long only the head is kept).
 * Owner: the caller; scanner_fini. Thread: any. Fails: never; a message over the ceiling is an event. Does not:
 * allocate, except that head.
 */
#ifndef KSPOOL_DOORS_SCANNER_H
#define KSPOOL_DOORS_SCANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"
#include "value/arena.h"
#include "bloblang/golang/regex.h"

enum {
	SCANNER_HEAD_MAX_BYTES = 65536,
	SCANNER_MARK_BYTES = 16,
	SCANNER_HEADER_MAX_BYTES = 32768,
	SCANNER_NAMES_MAX = 1024,
	SCANNER_MATCH_MAX_BYTES = 4096
};

/* Why a foreign text is not read. */
#define SCANNER_MARK_FOREIGN "it is UTF-16 or UTF-32: make it UTF-8 (iconv -f UTF-16 -t UTF-8)"
#define SCANNER_FOREIGN SCANNER_MARK_FOREIGN ", or set scanner to_the_end"

enum scanner_event {
	SCANNER_MORE,    /* the message is not complete: drop `used` bytes, come back with more */
	SCANNER_MESSAGE, /* body at the front of the data, `length` bytes; then drop `used` */
	SCANNER_SKIPPED, /* an empty one that is to be omitted, or a byte order mark: drop `used` */
	SCANNER_HOLE, /* NULs before a line: drop `used`; as somebody may yet write there, no position covers them alone
	               */
	SCANNER_BETWEEN,  /* bytes between messages: drop `used`; no position covers them alone either */
	SCANNER_TOO_LONG, /* over the ceiling: head in s->head, whole length in `length`; drop `used` */
	SCANNER_FLAWED,   /* as MESSAGE, but it failed: s->flaw says why */
	SCANNER_REFUSED,  /* as MESSAGE, but it is none: it is set aside because of s->flaw */
	SCANNER_BROKEN    /* nothing more can be cut from this stream: s->flaw says why; no further calls */
};

/* The row that is looked at. */
struct scanner_csv {
	char delimiter[4];
	size_t delimiter_length;
	bool is_lazy, has_header;
	bool goes_on;  /* behind a row that is none */
	bool is_input; /* of the input csv, which sets such rows aside, and takes rows of any width */
	enum { CSV_FIELD_BEGIN, CSV_PLAIN, CSV_QUOTED, CSV_QUOTE, CSV_BROKEN } place;
	uint32_t fields; /* delimiters so far */
	const char *flaw;
	uint32_t width; /* of the first row; 0: it was not read */
	uint32_t name_count;
	struct csv_name {
		char *name;
		size_t length;
		char *key; /* as it stands in JSON, with its colon */
		uint32_t column;
	} * names;
	size_t *spans; /* where the values of a row begin, as many as names */
	char *header;  /* the names as a JSON array */
	size_t held;   /* bytes of all that */
};

/* The document that is looked at. */
struct scanner_json {
	bool in_array;
	/* JSON_OUTSIDE: an array is due; FIRST: a value or its end; NEXT: a comma or its end; DUE: a value */
	enum scanner_json_place { JSON_OUTSIDE, JSON_FIRST, JSON_NEXT, JSON_DUE, JSON_IN } place, before;
	uint32_t depth;
	bool in_string, escaped, is_word;
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
	bool drops_bom;
	bool may_be_bom; /* the same, of a stream whose byte order mark is dropped */
	struct scanner_csv csv;
	struct scanner_json json;
	const struct regex *pattern; /* its owner's */
	struct arena arena;          /* of one row, document or search */
	const char *flaw;
	char flaw_text[REGEX_FAULT_MAX];
};

/* What scanner_shape made; it lies in the scanner until its next call. */
struct scanner_shaped {
	const char *body;
	size_t length;
	bool is_object;
	bool is_numbered;   /* its number is the metadata csv_row */
	const char *header; /* the metadata header; null: none */
};

/*
 * Of at most SCANNER_MARK_BYTES of a text: it is UTF-16 or UTF-32, and would be cut at newlines, which are two or four
 * bytes there. Told by its mark, or without one by eight bytes and more that are one byte of each character and NULs
 * beside it. by_mark_alone: what may be no text, but is none that begins so.
 */
bool scanner_mark_is_foreign(const void *text, size_t length, bool by_mark_alone);
/* How many bytes of UTF-8's own mark stand there: 3, or 0. */
size_t scanner_mark_utf8(const void *text, size_t length);
/* The same of a stream that is cut so; with a delimiter of its own it may be no text, and a mark alone says so. */
bool scanner_is_foreign(const struct config_scanner *config, const unsigned char *mark, size_t length);
/* pattern: scanner_pattern of re_match, which outlives it. at_start: of the stream; else behind a message. */
void scanner_init(struct scanner *s, const struct config_scanner *config, const struct regex *pattern,
                  uint64_t max_bytes, bool at_start);
/* Null with fault filled when it is none; the arena outlives it. One for all streams of an input. */
struct regex *scanner_pattern(struct arena *a, const struct config_scanner *config, char fault[REGEX_FAULT_MAX]);
void scanner_fini(struct scanner *s);
/* The stream is a text, at its start or somewhere in it. Nothing changes unless it is cut at newlines. */
void scanner_expect_text(struct scanner *s, bool at_start);
/*
 * Would these bytes, the last of a message, be its end by themselves? Of lines, rows and documents; pieces, wholes and
 * what ends at a match have none.
 */
bool scanner_is_delimited(const struct scanner *s, const char *data, size_t length);
/* `data` begins where the last call's `used` ended. at_end: no byte will ever follow `length`. */
enum scanner_event scanner_next(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                uint64_t *ret_length);
/* What scanner_shape made is not needed any more: there is one scanner a connection, and none keeps memory for its next
 * row. */
void scanner_rest(struct scanner *s);
/* The begin of the message under way is given no more: the next call begins with another one. */
void scanner_forget(struct scanner *s);
/* The next call begins where the last call's `used` ended, but with other bytes behind it, or fewer. */
void scanner_look_again(struct scanner *s);
/* Does what it cuts become something else? Then each message is given to scanner_shape. */
bool scanner_shapes(const struct scanner *s);
/* flaw: as it was cut. False when the message is longer than the ceiling. */
bool scanner_shape(struct scanner *s, const char *row, size_t length, const char *flaw,
                   struct scanner_shaped *ret) MUST_CHECK;
/*
 * It begins behind the first row of its stream, of which these bytes are the first. False: the names are not in them.
 * Without names, and when no sound row ends in them, the next one says how many values each has.
 */
bool scanner_take_head(struct scanner *s, const char *data, size_t length) MUST_CHECK;
/* What it keeps of its stream. */
uint64_t scanner_held_bytes(const struct scanner *s);
/* True between messages: nothing of the next one was dropped. */
bool scanner_is_between(const struct scanner *s);

#endif
