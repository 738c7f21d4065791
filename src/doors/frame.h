/*
 * frame: the length-framed protocol of the socket door, both sides.
 *
 *   client to kspool   frame  = length payload
 *                      length = u32, big-endian: bytes of payload, 0 to 2^32 - 1
 *   kspool to client   answer = status length text
 *                      status = u8: 0 accepted: the payload is on stable storage
 *                                   1 refused: too large or not acceptable; sending it again does not help
 *                                   2 full: not stored, try later
 *                                   3 closing: not stored, kspool is stopping
 *                                   4 unknown: the answer did not come in time or the journal failed; may be stored
 *                      length = u32, big-endian: bytes of text, at most FRAME_TEXT_MAX_BYTES; 0 when accepted
 *                      text   = UTF-8, for people
 *
 * Each frame gets exactly one answer, in the order of the frames; a client may send any number before it reads one. A
 * payload over the door's ceiling is skipped and answered 1. With a token file the first frame is the token: answered
 * 0, or 1 and closed. A frame cut off by the end of the connection is dropped without an answer. What it is: a reader
 * of frames and a reader of answers, pure and incremental, with one outcome for any split. Promises: 1 (status 0), 6
 * (memory grows with bytes received, never with the length claimed). Owner: the caller; frame_reader_fini. Thread: any.
 * Fails: with -1 for an answer that is none; a frame cannot be wrong. Does not: read sockets.
 */
#ifndef KSPOOL_DOORS_FRAME_H
#define KSPOOL_DOORS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum frame_status { FRAME_ACCEPTED, FRAME_REFUSED, FRAME_FULL, FRAME_CLOSING, FRAME_UNKNOWN, FRAME_STATUS_COUNT };
enum { FRAME_HEADER_BYTES = 4, FRAME_ANSWER_HEADER_BYTES = 5, FRAME_TEXT_MAX_BYTES = 1024 };

enum frame_event {
	FRAME_MORE,
	FRAME_WHOLE,   /* payload and length are set; payload is valid until the next call */
	FRAME_TOO_LONG /* length is set; its payload was skipped */
};

/* The reader of one connection's frames. Memory grows with bytes received, never with the length claimed. */
struct frame_reader {
	uint64_t max_bytes;
	unsigned char header[FRAME_HEADER_BYTES];
	uint32_t header_bytes;
	uint32_t length;
	uint64_t skip;      /* payload bytes still to drop */
	struct buf payload; /* what came of a payload that arrives in pieces */
	bool given;         /* payload was handed out: clear it at the next call */
};

void frame_reader_init(struct frame_reader *r, uint64_t max_bytes);
void frame_reader_fini(struct frame_reader *r);
/* Uses up to `length` bytes and stops after the first whole frame. *ret_payload may point into data. */
enum frame_event frame_read(struct frame_reader *r, const char *data, size_t length, size_t *ret_used,
                            const char **ret_payload, uint32_t *ret_length);
/* A stream whose first bytes these are begins with frames, empty ones or one that a text does not look like. */
bool frame_is_likely(const unsigned char *first, size_t length);
/* Bytes of an unfinished frame held. */
size_t frame_reader_held(const struct frame_reader *r);
/* True in the middle of a frame. */
bool frame_reader_is_partial(const struct frame_reader *r);

/* The client's side: the four bytes before a payload. */
void frame_header_encode(uint32_t length, unsigned char ret[FRAME_HEADER_BYTES]);

/* One answer, ready to send; text may be null. Longer texts are cut. */
enum err frame_answer_encode(struct buf *out, enum frame_status status, const char *text);
/* The client's reader: bytes used, 0 when more are needed, -1 when this is not the protocol. text is not terminated. */
int frame_answer_decode(const char *data, size_t length, enum frame_status *ret_status, const char **ret_text,
                        size_t *ret_text_length);

#endif
