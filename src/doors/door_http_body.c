/*
 * Invariants:
 * 1. What a decoder is about to allocate was charged: `charged` is its tables and window and the capacity of `decoded`.
 * 2. A body is decoded to its last byte, and nothing stands behind that, or there is no body.
 * 3. At most one byte over the limit is ever made: it tells that there is more.
 */
#include "doors/door_http_body.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ZLIB_CONST
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* for the size of a decoder, which the frame decides */
#include <zstd.h>

#include "base/mem.h"
#include "doors/scanner.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_ZSTD, CODING_UNKNOWN };
enum { FIRST_BYTES = 16384, GZIP_WINDOW = 15 + 16, ZLIB_WINDOW = 15, RAW_WINDOW = -15 };

static const char known_codings[] = "Accept-Encoding: gzip, deflate, zstd, identity\r\n";

/* Of all its Content-Encoding headers together: nothing but identity, or identity and one coding. */
static enum coding coding_of(const struct httpd_request *r)
{
	static const struct {
		const char *name;
		enum coding coding;
	} names[] = {
	    {"identity", CODING_IDENTITY}, {"gzip", CODING_GZIP}, {"x-gzip", CODING_GZIP},
	    {"deflate", CODING_DEFLATE},   {"zstd", CODING_ZSTD},
	};
	const struct httpd_header *headers;
	size_t count = httpd_headers(r, &headers);
	enum coding found = CODING_IDENTITY;

	for (size_t i = 0; i < count; i++) {
		const char *at = headers[i].value;

		if (strcasecmp(headers[i].name, "Content-Encoding") != 0)
			continue;
		while (*(at += strspn(at, ", \t"))) {
			size_t n = strcspn(at, ", \t");
			enum coding this = CODING_UNKNOWN;

			for (size_t k = 0; k < sizeof names / sizeof *names; k++)
				if (strlen(names[k].name) == n && strncasecmp(at, names[k].name, n) == 0)
					this = names[k].coding;
			if (this != CODING_IDENTITY && found != CODING_IDENTITY)
				this = CODING_UNKNOWN; /* one inside the other */
			if (this != CODING_IDENTITY)
				found = this;
			at += n;
		}
	}
	return found;
}

bool http_body_is_encoded(const struct httpd_request *r) { return coding_of(r) != CODING_IDENTITY; }

bool http_body_look(const struct httpd_request *r, struct refusal *refusal)
{
	if (coding_of(r) != CODING_UNKNOWN)
		return true;
	*refusal = (struct refusal){415, "this Content-Encoding is not known; nothing was stored", known_codings};
	return false;
}

enum http_body_cut http_body_cut_of(const struct httpd_request *r, bool cuts_lines)
{
	static const char ndjson[] = "application/x-ndjson";
	const char *type = httpd_header_get(r, "Content-Type");
	size_t n = sizeof ndjson - 1;

	if (type && strncasecmp(type, "multipart/", 10) == 0)
		return HTTP_BODY_PARTS;
	return cuts_lines && type && strncasecmp(type, ndjson, n) == 0 && (type[n] == '\0' || strchr("; \t", type[n]))
	           ? HTTP_BODY_LINES
	           : HTTP_BODY_WHOLE;
}

/* Charges before anything is allocated. */
static bool charge(struct http_body *b, uint64_t bytes, struct refusal *refusal)
{
	if (b->intake->memory_bytes + bytes > b->intake->memory_limit_bytes) {
		*refusal = (struct refusal){503, "no memory to decode it just now; not stored", "Retry-After: 1\r\n"};
		return false;
	}
	intake_charge(b->intake, bytes);
	b->charged += bytes;
	return true;
}

/* What comes out of a decoder: grows up to the limit, and one byte more to see that something is over it. */
struct sink {
	struct http_body *body;
	size_t capacity;
	uint64_t limit;
};

static bool make_room(struct sink *s, struct refusal *refusal)
{
	struct http_body *b = s->body;
	size_t want = s->capacity ? s->capacity * 2 : FIRST_BYTES;

	if (b->length > s->limit) {
		*refusal = (struct refusal){413, "decoded it is over the limit of a body; nothing was stored", NULL};
		return false;
	}
	if (b->length < s->capacity)
		return true;
	if (want > s->limit + 1)
		want = (size_t)s->limit + 1;
	if (!charge(b, want - s->capacity, refusal))
		return false;
	b->decoded = mem_grow(b->decoded, want, 1);
	s->capacity = want;
	return true;
}

static bool damaged(struct refusal *refusal)
{
	*refusal = (struct refusal){400, "the body is not what its Content-Encoding says; nothing was stored", NULL};
	return false;
}

/* "deflate" is zlib's form (RFC 9110 8.4.1.2), but many send it without that header. */
static int window_of(enum coding coding, const unsigned char *data, size_t length)
{
	bool has_header = length >= 2 && (data[0] & 15) == 8 && (data[0] * 256 + data[1]) % 31 == 0;

	if (coding == CODING_GZIP)
		return GZIP_WINDOW;
	return has_header ? ZLIB_WINDOW : RAW_WINDOW;
}

/* All members of a gzip file, one after the other; of deflate there is one stream. */
static bool inflate_all(struct sink *s, z_stream *z, enum coding coding, struct refusal *refusal)
{
	int rc = Z_OK;

	while (true) {
		struct http_body *b = s->body;
		size_t room;

		if (!make_room(s, refusal))
			return false;
		room = s->capacity - b->length;
		z->next_out = (unsigned char *)b->decoded + b->length;
		z->avail_out = (unsigned)room;
		rc = inflate(z, Z_NO_FLUSH);
		b->length += room - z->avail_out;
		if (rc == Z_STREAM_END && z->avail_in == 0)
			return true;
		if (rc == Z_STREAM_END && (coding != CODING_GZIP || inflateReset(z) != Z_OK))
			return damaged(refusal);
		if (rc != Z_OK && rc != Z_STREAM_END && !(rc == Z_BUF_ERROR && z->avail_out == 0))
			return damaged(refusal); /* Z_BUF_ERROR with room left: it was cut off */
		if (rc == Z_OK && z->avail_in == 0 && z->avail_out > 0)
			return damaged(refusal);
	}
}

static bool decode_zlib(struct sink *s, enum coding coding, const char *data, size_t length, struct refusal *refusal)
{
	z_stream z = {.next_in = (const unsigned char *)data, .avail_in = (unsigned)length};
	bool ok;

	if (!charge(s->body, 1 << 16, refusal)) /* its window and tables */
		return false;
	if (inflateInit2(&z, window_of(coding, z.next_in, length)) != Z_OK) {
		*refusal = (struct refusal){503, "no memory to decode it just now; not stored", "Retry-After: 1\r\n"};
		return false;
	}
	ok = inflate_all(s, &z, coding, refusal);
	(void)inflateEnd(&z);
	return ok;
}

static bool zstd_all(struct sink *s, ZSTD_DStream *z, ZSTD_inBuffer *in, struct refusal *refusal)
{
	size_t left = 1; /* of the frame; 0 at its end */

	while (in->pos < in->size || left > 0) {
		struct http_body *b = s->body;
		ZSTD_outBuffer out;
		size_t before = in->pos;

		if (!make_room(s, refusal))
			return false;
		out = (ZSTD_outBuffer){.dst = b->decoded + b->length, .size = s->capacity - b->length};
		left = ZSTD_decompressStream(z, &out, in);
		b->length += out.pos;
		if (ZSTD_isError(left) || (left > 0 && in->pos == before && out.pos == 0))
			return damaged(refusal);
	}
	return true;
}

/* How many bytes frames take that hold no data (RFC 8878 3.1.2): the size of a decoder stands in none of them. */
static size_t skippable(const char *data, size_t length)
{
	size_t at = 0;

	while (ZSTD_isSkippableFrame(data + at, length - at)) {
		const size_t frame = ZSTD_findFrameCompressedSize(data + at, length - at);

		if (ZSTD_isError(frame))
			break;
		at += frame;
	}
	return at;
}

static bool decode_zstd(struct sink *s, const char *data, size_t length, struct refusal *refusal)
{
	const size_t skipped = skippable(data, length);
	ZSTD_inBuffer in = {.src = data, .size = length, .pos = skipped};
	size_t window = ZSTD_estimateDStreamSize_fromFrame(data + skipped, length - skipped);
	ZSTD_DStream *z;
	bool ok;

	if (skipped == length)
		return true;
	if (ZSTD_isError(window))
		return damaged(refusal);
	if (window > s->limit * 2 + (1 << 18)) {
		*refusal =
		    (struct refusal){413, "its zstd window is over the limit of a body; nothing was stored", NULL};
		return false;
	}
	if (!charge(s->body, window, refusal))
		return false;
	z = ZSTD_createDStream();
	if (!z || ZSTD_isError(ZSTD_DCtx_setMaxWindowSize(z, window))) {
		(void)ZSTD_freeDStream(z);
		*refusal = (struct refusal){503, "no memory to decode it just now; not stored", "Retry-After: 1\r\n"};
		return false;
	}
	ok = zstd_all(s, z, &in, refusal);
	(void)ZSTD_freeDStream(z);
	return ok;
}

bool http_body_open(struct http_body *b, struct intake *i, const struct httpd_request *r, uint64_t limit,
                    struct refusal *refusal)
{
	struct sink s = {.body = b, .limit = limit};
	enum coding coding = coding_of(r);
	const char *data;
	size_t length;
	bool ok;

	*b = (struct http_body){.intake = i};
	data = httpd_body(r, &length);
	if (coding == CODING_IDENTITY || length == 0) { /* nothing is nothing, whatever it is called */
		b->data = data;
		b->length = length;
		return coding != CODING_UNKNOWN || http_body_look(r, refusal);
	}
	if (coding == CODING_UNKNOWN)
		return http_body_look(r, refusal);
	ok = coding == CODING_ZSTD ? decode_zstd(&s, data, length, refusal)
	                           : decode_zlib(&s, coding, data, length, refusal);
	if (!ok)
		http_body_fini(b);
	b->data = b->decoded;
	return ok;
}

bool http_body_begin_lines(struct http_body *b, struct refusal *refusal)
{
	const size_t mark = scanner_mark_utf8(b->data, b->length);

	if (scanner_mark_is_foreign(b->data, b->length, false)) {
		*refusal = (struct refusal){415, SCANNER_MARK_FOREIGN "; nothing was stored", NULL};
		return false;
	}
	b->data += mark;
	b->length -= mark;
	return true;
}

void http_body_fini(struct http_body *b)
{
	free(b->decoded);
	if (b->intake)
		intake_release(b->intake, b->charged);
	*b = (struct http_body){0};
}
