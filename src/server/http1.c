/*
 * Invariants:
 * 1. A state follows another only where `moves` says so; HTTP1_REFUSED is final.
 * 2. head.len never passes HTTP1_HEAD_MAX_BYTES: request line, headers and trailers share it.
 * 3. `remaining` is what is still to come of the body, or of the chunk; it is above 0 in HTTP1_IN_BODY and
 *    HTTP1_IN_CHUNK.
 * 4. body_bytes never passes max_body_bytes; a chunk that would do so is refused before its first byte.
 * 5. Pieces of one byte give the same events and statuses as the whole: nothing is decided by where a piece ends.
 */
#include "server/http1.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/hex.h"
#include "server/http1_head.h"

/* What one step did. */
enum step { STEP_ON, STEP_EVENT, STEP_BAD };

/* Legal moves: a bit for each state that may follow. */
#define TO(state) (1u << HTTP1_##state)
static const uint32_t moves[HTTP1_STATES] = {
    [HTTP1_IN_HEAD] = TO(IN_BODY) | TO(IN_CHUNK_SIZE) | TO(WHOLE) | TO(REFUSED),
    [HTTP1_IN_BODY] = TO(WHOLE),
    [HTTP1_IN_CHUNK_SIZE] = TO(BEHIND_CHUNK_SIZE) | TO(IN_CHUNK_EXTENSION) | TO(AT_CHUNK_SIZE_LF) | TO(REFUSED),
    [HTTP1_BEHIND_CHUNK_SIZE] = TO(IN_CHUNK_EXTENSION) | TO(AT_CHUNK_SIZE_LF) | TO(REFUSED),
    [HTTP1_IN_CHUNK_EXTENSION] = TO(AT_CHUNK_SIZE_LF) | TO(REFUSED),
    [HTTP1_AT_CHUNK_SIZE_LF] = TO(IN_CHUNK) | TO(IN_TRAILER) | TO(REFUSED),
    [HTTP1_IN_CHUNK] = TO(AT_CHUNK_CR),
    [HTTP1_AT_CHUNK_CR] = TO(AT_CHUNK_LF) | TO(REFUSED),
    [HTTP1_AT_CHUNK_LF] = TO(IN_CHUNK_SIZE) | TO(REFUSED),
    [HTTP1_IN_TRAILER] = TO(WHOLE) | TO(REFUSED),
    [HTTP1_WHOLE] = TO(TOLD),
    [HTTP1_TOLD] = TO(IN_HEAD),
};
#undef TO

/* The one setter. */
static void set_state(struct http1 *p, enum http1_state state)
{
	must(moves[p->state] & 1u << state);
	p->state = state;
}

struct feed {
	const char *data;
	size_t length;
	size_t at;
	enum http1_event event;
	const char *piece;
	size_t piece_length;
};

void http1_init(struct http1 *p, uint64_t max_body_bytes)
{
	memset(p, 0, sizeof *p);
	buf_init(&p->head, HTTP1_HEAD_MAX_BYTES);
	p->max_body_bytes = max_body_bytes;
}

void http1_fini(struct http1 *p) { buf_fini(&p->head); }

void http1_reset(struct http1 *p)
{
	struct buf head = p->head;
	uint64_t max = p->max_body_bytes;

	set_state(p, HTTP1_IN_HEAD);
	memset(p, 0, sizeof *p); /* HTTP1_IN_HEAD is 0 */
	p->head = head;
	buf_clear(&p->head);
	p->max_body_bytes = max;
}

bool http1_is_busy(const struct http1 *p)
{
	return p->state != HTTP1_TOLD && p->state != HTTP1_REFUSED && (p->state != HTTP1_IN_HEAD || p->head.len > 0);
}

static enum step refuse(struct http1 *p, int status, const char *reason)
{
	(void)http1_refuse(p, status, reason);
	return STEP_BAD;
}

/*
 * Takes bytes up to the end of a line or of the data. A '\n' must follow a '\r' and a '\r' must be followed by '\n';
 * both are checked when the second byte is seen, so that pieces of one byte give the same answer.
 */
static enum step take_line_bytes(struct http1 *p, struct feed *f, bool *ret_whole)
{
	const char *from = f->data + f->at;
	const char *lf = memchr(from, '\n', f->length - f->at);
	size_t n = lf ? (size_t)(lf - from) + 1 : f->length - f->at;
	size_t room = HTTP1_HEAD_MAX_BYTES - p->head.len;
	size_t old = p->head.len;
	const char *cr;

	*ret_whole = false;
	if (n > room) { /* whatever the rest says, the bytes that fit are judged first: splits must not matter */
		n = room;
		lf = NULL;
	}
	must(buf_add(&p->head, from, n) == ERR_OK);
	f->at += n;
	for (size_t i = old > 0 ? old - 1 : 0; i + 1 < p->head.len; i++)
		if (p->head.data[i] == '\r' && p->head.data[i + 1] != '\n')
			return refuse(p, 400, "bare CR");
	cr = lf && p->head.len >= 2 ? p->head.data + p->head.len - 2 : NULL;
	if (lf && (!cr || *cr != '\r'))
		return refuse(p, 400, "line does not end in CRLF");
	if (!lf && f->at < f->length)
		return refuse(p, 431, "head too large");
	*ret_whole = lf;
	return STEP_ON;
}

static enum step step_head(struct http1 *p, struct feed *f)
{
	bool whole;
	enum step s = take_line_bytes(p, f, &whole);

	if (s != STEP_ON || !whole)
		return s;
	if (p->head.len == 2) { /* RFC 9112 2.2: some clients end a body with one too many */
		if (++p->empty_lines > HTTP1_EMPTY_LINES_MAX)
			return refuse(p, 400, "empty request line");
		buf_clear(&p->head);
		return STEP_ON;
	}
	if (p->head.len < 4 || memcmp(p->head.data + p->head.len - 4, "\r\n\r\n", 4) != 0)
		return STEP_ON;
	p->trailer_start = p->head.len;
	if (!http1_head_read(p))
		return STEP_BAD;
	p->remaining = p->content_length;
	if (p->chunked)
		set_state(p, HTTP1_IN_CHUNK_SIZE);
	else
		set_state(p, p->remaining > 0 ? HTTP1_IN_BODY : HTTP1_WHOLE);
	f->event = HTTP1_HEAD;
	return STEP_EVENT;
}

static enum step give_piece(struct http1 *p, struct feed *f)
{
	size_t n = f->length - f->at;

	if (n > p->remaining)
		n = (size_t)p->remaining;
	f->piece = f->data + f->at;
	f->piece_length = n;
	f->at += n;
	p->remaining -= n;
	p->body_bytes += n;
	f->event = HTTP1_DATA;
	return STEP_EVENT;
}

static enum step step_length_body(struct http1 *p, struct feed *f)
{
	enum step s = give_piece(p, f);

	if (p->remaining == 0)
		set_state(p, HTTP1_WHOLE);
	return s;
}

static enum step step_chunk_size(struct http1 *p, struct feed *f)
{
	char c = f->data[f->at++];
	int digit = hex_value(c);

	if (digit >= 0) {
		if (++p->digits > 15)
			return refuse(p, 400, "chunk size too long");
		p->remaining = p->remaining * 16 + (uint64_t)digit;
		if (p->remaining > p->max_body_bytes - p->body_bytes)
			return refuse(p, 413, "body too large");
		return STEP_ON;
	}
	if (p->digits == 0 || (c != ';' && c != '\r' && c != ' ' && c != '\t'))
		return refuse(p, 400, "malformed chunk size");
	p->extension_bytes = 0;
	set_state(p, c == ';'    ? HTTP1_IN_CHUNK_EXTENSION
	             : c == '\r' ? HTTP1_AT_CHUNK_SIZE_LF
	                         : HTTP1_BEHIND_CHUNK_SIZE);
	return STEP_ON;
}

/* Blanks, up to an extension or the end of the line. */
static enum step step_behind_chunk_size(struct http1 *p, struct feed *f)
{
	char c = f->data[f->at++];

	if (c == ' ' || c == '\t') {
		if (++p->extension_bytes > HTTP1_EXTENSION_MAX_BYTES ||
		    ++p->extensions_bytes > HTTP1_EXTENSIONS_MAX_BYTES)
			return refuse(p, 400, "chunk extension too long");
		return STEP_ON;
	}
	if (c != ';' && c != '\r')
		return refuse(p, 400, "malformed chunk size");
	set_state(p, c == ';' ? HTTP1_IN_CHUNK_EXTENSION : HTTP1_AT_CHUNK_SIZE_LF);
	return STEP_ON;
}

static enum step step_chunk_extension(struct http1 *p, struct feed *f)
{
	unsigned char c = (unsigned char)f->data[f->at++];

	if (c == '\r') {
		set_state(p, HTTP1_AT_CHUNK_SIZE_LF);
		return STEP_ON;
	}
	if ((c < ' ' && c != '\t') || c == 0x7f)
		return refuse(p, 400, "malformed chunk extension");
	if (++p->extension_bytes > HTTP1_EXTENSION_MAX_BYTES || ++p->extensions_bytes > HTTP1_EXTENSIONS_MAX_BYTES)
		return refuse(p, 400, "chunk extension too long");
	return STEP_ON;
}

static enum step step_chunk_size_lf(struct http1 *p, struct feed *f)
{
	if (f->data[f->at++] != '\n')
		return refuse(p, 400, "malformed chunk size");
	p->digits = 0;
	set_state(p, p->remaining > 0 ? HTTP1_IN_CHUNK : HTTP1_IN_TRAILER);
	return STEP_ON;
}

static enum step step_chunk_data(struct http1 *p, struct feed *f)
{
	enum step s = give_piece(p, f);

	if (p->remaining == 0)
		set_state(p, HTTP1_AT_CHUNK_CR);
	return s;
}

static enum step step_chunk_end(struct http1 *p, struct feed *f)
{
	if (f->data[f->at++] != (p->state == HTTP1_AT_CHUNK_CR ? '\r' : '\n'))
		return refuse(p, 400, "chunk longer than its size");
	set_state(p, p->state == HTTP1_AT_CHUNK_CR ? HTTP1_AT_CHUNK_LF : HTTP1_IN_CHUNK_SIZE);
	return STEP_ON;
}

/* Trailers count as head bytes, are checked by the same grammar and then forgotten: they never become headers. */
static enum step step_trailer(struct http1 *p, struct feed *f)
{
	bool whole;
	enum step s = take_line_bytes(p, f, &whole);
	size_t length;

	if (s != STEP_ON || !whole)
		return s;
	length = p->head.len - p->trailer_start - 2;
	p->head.data[p->trailer_start + length] = '\0';
	if (length == 0) {
		set_state(p, HTTP1_WHOLE);
		return STEP_ON;
	}
	if (++p->trailers > HTTP1_TRAILERS_MAX)
		return refuse(p, 431, "too many trailers");
	if (!http1_trailer_check(p, p->head.data + p->trailer_start, length))
		return STEP_BAD;
	p->trailer_start = p->head.len;
	return STEP_ON;
}

static enum step step(struct http1 *p, struct feed *f)
{
	switch (p->state) {
	case HTTP1_IN_HEAD:
		return step_head(p, f);
	case HTTP1_IN_BODY:
		return step_length_body(p, f);
	case HTTP1_IN_CHUNK_SIZE:
		return step_chunk_size(p, f);
	case HTTP1_BEHIND_CHUNK_SIZE:
		return step_behind_chunk_size(p, f);
	case HTTP1_IN_CHUNK_EXTENSION:
		return step_chunk_extension(p, f);
	case HTTP1_AT_CHUNK_SIZE_LF:
		return step_chunk_size_lf(p, f);
	case HTTP1_IN_CHUNK:
		return step_chunk_data(p, f);
	case HTTP1_AT_CHUNK_CR:
	case HTTP1_AT_CHUNK_LF:
		return step_chunk_end(p, f);
	case HTTP1_IN_TRAILER:
		return step_trailer(p, f);
	case HTTP1_WHOLE:
	case HTTP1_TOLD:
	case HTTP1_REFUSED:
	case HTTP1_STATES:
		break;
	}
	never("http1_feed after the end of a request");
}

enum http1_event http1_feed(struct http1 *p, const char *data, size_t length, size_t *ret_used, const char **ret_piece,
                            size_t *ret_piece_length)
{
	struct feed f = {.data = data, .length = length, .event = HTTP1_MORE};
	enum step s = STEP_ON;

	must(p->state != HTTP1_TOLD && p->state < HTTP1_STATES);
	if (p->state == HTTP1_REFUSED)
		s = STEP_BAD;
	while (s == STEP_ON && p->state != HTTP1_WHOLE && f.at < f.length)
		s = step(p, &f);
	if (s == STEP_ON && p->state == HTTP1_WHOLE) {
		set_state(p, HTTP1_TOLD);
		f.event = HTTP1_DONE;
	}
	if (s == STEP_BAD && p->state != HTTP1_REFUSED)
		set_state(p, HTTP1_REFUSED);
	if (s == STEP_BAD)
		f.event = HTTP1_BAD;
	*ret_used = f.at;
	*ret_piece = f.piece;
	*ret_piece_length = f.piece_length;
	return f.event;
}

const char *http1_header_name(const struct http1 *p, uint32_t i) { return p->head.data + p->header[i].name; }

const char *http1_header_value(const struct http1 *p, uint32_t i) { return p->head.data + p->header[i].value; }

const char *http1_header_get(const struct http1 *p, const char *name)
{
	for (uint32_t i = 0; i < p->headers; i++)
		if (strcasecmp(http1_header_name(p, i), name) == 0)
			return http1_header_value(p, i);
	return NULL;
}
