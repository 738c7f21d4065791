/*
 * http1: a strict HTTP/1 request parser, as a function of bytes and state.
 *
 * What it is: the part of RFC 9112 that leaves no room for two readings: CRLF line ends only, exact tokens, one
 * Content-Length or one `Transfer-Encoding: chunked` (of HTTP/1.1 only) and never both, bounded head, bounded chunk
 * extensions, trailers read and dropped. What clients really send besides is taken: HTTP/1.0, a target in absolute
 * form, empty lines before a request, blanks behind a chunk size, characters that browsers leave as they are. Every
 * doubt is HTTP1_BAD with the status to answer; after it, and after a request whose connection is to close, nothing
 * more is read, so bytes can never be taken for a second request by one reader and for a body by another. The outcome
 * does not depend on how the bytes were cut into pieces. Promises: 6 (a head is bounded, a body is never kept here), 11
 * (each byte is looked at a bounded number of times). Owner: the caller; http1_fini. Thread: any. Fails: with HTTP1_BAD
 * and the status to answer; never with an error of the system. Does not: read sockets, decode bodies, know paths.
 */
#ifndef KSPOOL_SERVER_HTTP1_H
#define KSPOOL_SERVER_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	HTTP1_HEAD_MAX_BYTES = 16384, /* request line, headers and trailers together */
	HTTP1_HEADERS_MAX = 64,
	HTTP1_TRAILERS_MAX = 16,
	HTTP1_EMPTY_LINES_MAX = 4,       /* before a request */
	HTTP1_EXTENSION_MAX_BYTES = 256, /* of one chunk */
	HTTP1_EXTENSIONS_MAX_BYTES = 4096
};

/* Where the parser stands; only http1.c moves it. */
enum http1_state {
	HTTP1_IN_HEAD,
	HTTP1_IN_BODY, /* of a Content-Length */
	HTTP1_IN_CHUNK_SIZE,
	HTTP1_BEHIND_CHUNK_SIZE,
	HTTP1_IN_CHUNK_EXTENSION,
	HTTP1_AT_CHUNK_SIZE_LF,
	HTTP1_IN_CHUNK,
	HTTP1_AT_CHUNK_CR,
	HTTP1_AT_CHUNK_LF,
	HTTP1_IN_TRAILER,
	HTTP1_WHOLE,   /* the next call says HTTP1_DONE */
	HTTP1_TOLD,    /* it was said */
	HTTP1_REFUSED, /* HTTP1_BAD was said */
	HTTP1_STATES
};

enum http1_event {
	HTTP1_MORE, /* everything given was used; nothing to say yet */
	HTTP1_HEAD, /* the head is complete: method, target and headers may be read */
	HTTP1_DATA, /* a piece of the body, pointing into the bytes given */
	HTTP1_DONE, /* the request is complete; http1_reset before the next */
	HTTP1_BAD   /* `status` and `reason` say why; final */
};

struct http1_line {
	uint16_t name;  /* offsets of NUL-terminated texts in head.data */
	uint16_t value; /* without surrounding blanks */
};

struct http1 {
	/* read these after HTTP1_HEAD */
	const char *method;
	struct buf head;  /* the head's bytes, cut into texts */
	uint16_t target;  /* offset in head.data: the path and what follows */
	uint16_t host;    /* of the target in absolute form, else of the header; "" when there is none */
	bool old;         /* HTTP/1.0: no Host is needed, the connection closes */
	uint32_t headers; /* how many */
	struct http1_line header[HTTP1_HEADERS_MAX];
	bool chunked;
	bool has_length;
	uint64_t content_length;
	bool close;           /* Connection: close */
	bool expect_continue; /* wants "100 Continue" before it sends the body */
	int status;           /* HTTP1_BAD: 400, 408, 411, 413, 417, 431, 501, 505 */
	const char *reason;   /* static text */
	/* the parser's own */
	uint64_t max_body_bytes;
	uint64_t body_bytes; /* so far */
	enum http1_state state;
	uint64_t remaining; /* of the body or of the chunk */
	uint32_t empty_lines;
	uint32_t digits;
	uint32_t extension_bytes;
	uint32_t extensions_bytes;
	uint32_t trailers;
	size_t trailer_start;
};

void http1_init(struct http1 *p, uint64_t max_body_bytes);
void http1_fini(struct http1 *p);
/* Ready for the next request of the same connection. */
void http1_reset(struct http1 *p);
/* Uses up to `length` bytes and stops after the first event; call again with the rest. */
enum http1_event http1_feed(struct http1 *p, const char *data, size_t length, size_t *ret_used, const char **ret_piece,
                            size_t *ret_piece_length);
/* True between the first byte of a request and its HTTP1_DONE. */
bool http1_is_busy(const struct http1 *p);
const char *http1_header_name(const struct http1 *p, uint32_t i);
const char *http1_header_value(const struct http1 *p, uint32_t i);
/* Case-insensitive, first of that name; null when absent. */
const char *http1_header_get(const struct http1 *p, const char *name);

/* RFC 9110 5.6.2 token character. */
bool http1_is_token_char(unsigned char c);

#endif
