#include "doors/frame.h"

#include <string.h>

#include "base/check.h"

void frame_reader_init(struct frame_reader *r, uint64_t max_bytes)
{
	memset(r, 0, sizeof *r);
	r->max_bytes = max_bytes;
	buf_init(&r->payload, (size_t)max_bytes);
}

void frame_reader_fini(struct frame_reader *r) { buf_fini(&r->payload); }

size_t frame_reader_held(const struct frame_reader *r) { return r->given ? 0 : r->payload.len; }

bool frame_reader_is_partial(const struct frame_reader *r) { return r->header_bytes > 0; }

static uint32_t get_be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* Below 16 MiB a length begins with a NUL, as no line does; four of them may be a hole as well. */
bool frame_is_likely(const unsigned char *first, size_t length)
{
	size_t at = 0;

	while (length - at >= FRAME_HEADER_BYTES && get_be32(first + at) == 0)
		at += FRAME_HEADER_BYTES;
	return length - at >= FRAME_HEADER_BYTES && first[at] == 0;
}

static void put_be32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

static bool take_header(struct frame_reader *r, const char *data, size_t length, size_t *at)
{
	while (r->header_bytes < FRAME_HEADER_BYTES && *at < length)
		r->header[r->header_bytes++] = (unsigned char)data[(*at)++];
	if (r->header_bytes < FRAME_HEADER_BYTES)
		return false;
	r->length = get_be32(r->header);
	return true;
}

static enum frame_event skip_payload(struct frame_reader *r, size_t length, size_t *at)
{
	size_t n = length - *at;

	if (n > r->skip)
		n = (size_t)r->skip;
	*at += n;
	r->skip -= n;
	if (r->skip > 0)
		return FRAME_MORE;
	r->header_bytes = 0;
	return FRAME_TOO_LONG;
}

static enum frame_event take_payload(struct frame_reader *r, const char *data, size_t length, size_t *at,
                                     const char **ret_payload)
{
	size_t want = r->length - r->payload.len;
	size_t n = length - *at < want ? length - *at : want;

	if (n == want && r->payload.len == 0) { /* the usual case: all of it is in this piece */
		*ret_payload = data + *at;
		*at += n;
		r->header_bytes = 0;
		return FRAME_WHOLE;
	}
	must(buf_add(&r->payload, data + *at, n) == ERR_OK);
	*at += n;
	if (n < want)
		return FRAME_MORE;
	*ret_payload = r->payload.data;
	r->given = true;
	r->header_bytes = 0;
	return FRAME_WHOLE;
}

enum frame_event frame_read(struct frame_reader *r, const char *data, size_t length, size_t *ret_used,
                            const char **ret_payload, uint32_t *ret_length)
{
	enum frame_event event = FRAME_MORE;
	size_t at = 0;
	bool fresh;

	*ret_used = 0;
	*ret_payload = "";
	if (r->given) {
		buf_fini(&r->payload);
		buf_init(&r->payload, (size_t)r->max_bytes);
		r->given = false;
	}
	fresh = r->header_bytes < FRAME_HEADER_BYTES;
	if (take_header(r, data, length, &at)) {
		if (fresh && r->length > r->max_bytes)
			r->skip = r->length;
		event = r->length > r->max_bytes ? skip_payload(r, length, &at)
		                                 : take_payload(r, data, length, &at, ret_payload);
	}
	*ret_length = r->length;
	*ret_used = at;
	return event;
}

void frame_header_encode(uint32_t length, unsigned char ret[FRAME_HEADER_BYTES]) { put_be32(ret, length); }

enum err frame_answer_encode(struct buf *out, enum frame_status status, const char *text)
{
	size_t length = text ? strnlen(text, FRAME_TEXT_MAX_BYTES) : 0;
	unsigned char header[FRAME_ANSWER_HEADER_BYTES] = {(unsigned char)status};

	put_be32(header + 1, (uint32_t)length);
	if (buf_reserve(out, sizeof header + length, NULL) != ERR_OK)
		return ERR_TOOBIG;
	(void)buf_add(out, header, sizeof header);
	return length ? buf_add(out, text, length) : ERR_OK;
}

int frame_answer_decode(const char *data, size_t length, enum frame_status *ret_status, const char **ret_text,
                        size_t *ret_text_length)
{
	const unsigned char *bytes = (const unsigned char *)data;
	uint32_t text_length;

	if (length > 0 && bytes[0] >= FRAME_STATUS_COUNT)
		return -1;
	if (length < FRAME_ANSWER_HEADER_BYTES)
		return 0;
	text_length = get_be32(bytes + 1);
	if (text_length > FRAME_TEXT_MAX_BYTES)
		return -1;
	if (length - FRAME_ANSWER_HEADER_BYTES < text_length)
		return 0;
	*ret_status = (enum frame_status)bytes[0];
	*ret_text = data + FRAME_ANSWER_HEADER_BYTES;
	*ret_text_length = text_length;
	return FRAME_ANSWER_HEADER_BYTES + (int)text_length;
}
