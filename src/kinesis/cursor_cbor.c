#include "kinesis/cursor_internal.h"

#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

/* Major types and additional information (RFC 8949, sections 3 and 3.1). */
enum { MAJOR_BYTES = 2, MAJOR_TEXT = 3, MAJOR_LIST = 4, MAJOR_MAP = 5, MAJOR_TAG = 6, MAJOR_SIMPLE = 7 };
enum { INFO_INDEFINITE = 31, BREAK = 0xff, SIMPLE_NULL = 22 };

struct head {
	unsigned major;
	unsigned info;
	uint64_t argument;
	bool indefinite;
};

/* One head; tags in front of it are passed over (their meaning changes nothing here). */
static bool read_head(struct cursor *r, struct head *h)
{
	do {
		size_t more = 0;

		if (r->at == r->end)
			return cursor_wrong(r, "the CBOR answer is cut off");
		h->major = *r->at >> 5;
		h->info = *r->at++ & 31;
		h->argument = h->info;
		h->indefinite = h->info == INFO_INDEFINITE;
		if (h->info >= 24 && h->info <= 27)
			more = (size_t)1 << (h->info - 24);
		else if (h->info > 27 && !h->indefinite)
			return cursor_wrong(r, "a CBOR head that is reserved");
		if (h->indefinite && (h->major < MAJOR_BYTES || h->major == MAJOR_TAG))
			return cursor_wrong(r, "a CBOR head that is reserved");
		if ((size_t)(r->end - r->at) < more)
			return cursor_wrong(r, "the CBOR answer is cut off");
		if (more > 0)
			h->argument = 0;
		for (size_t i = 0; i < more; i++)
			h->argument = h->argument << 8 | *r->at++;
	} while (h->major == MAJOR_TAG);
	return true;
}

bool cursor_cbor_open(struct cursor *r, struct cursor_scope *scope, unsigned major)
{
	struct head h;

	if (!read_head(r, &h))
		return false;
	if (h.major != major)
		return cursor_wrong(r, "not the CBOR value that belongs here");
	scope->indefinite = h.indefinite;
	scope->left = h.argument;
	/* Every entry takes a byte at least (a map's two): a longer claim is a lie. */
	if (!h.indefinite && h.argument > (uint64_t)(r->end - r->at))
		return cursor_wrong(r, "a CBOR length beyond the answer's end");
	return true;
}

bool cursor_cbor_more(struct cursor *r, struct cursor_scope *scope)
{
	if (!scope->indefinite) {
		if (scope->left == 0)
			return false;
		scope->left--;
		return true;
	}
	if (r->at == r->end)
		return cursor_wrong(r, "the CBOR answer is cut off");
	if (*r->at != BREAK)
		return true;
	r->at++;
	return false;
}

static bool take_bytes(struct cursor *r, uint64_t length, const char **ret)
{
	if (length > (uint64_t)(r->end - r->at))
		return cursor_wrong(r, "a CBOR length beyond the answer's end");
	*ret = (const char *)r->at;
	r->at += length;
	return true;
}

/* Chunks of a text of indefinite length: definite texts up to a break (RFC 8949, section 3.2.3). */
static bool read_chunks(struct cursor *r, unsigned major, struct buf *b)
{
	for (;;) {
		const char *data = NULL;
		struct head h;

		if (r->at < r->end && *r->at == BREAK) {
			r->at++;
			return true;
		}
		if (!read_head(r, &h))
			return false;
		if (h.major != major || h.indefinite)
			return cursor_wrong(r, "a CBOR chunk of another kind");
		if (!take_bytes(r, h.argument, &data))
			return false;
		if (b)
			must(buf_add(b, data, (size_t)h.argument) == ERR_OK); /* b may grow to the answer's size */
	}
}

bool cursor_cbor_text(struct cursor *r, struct cursor_text *ret, bool is_key)
{
	struct head h;

	if (!read_head(r, &h))
		return false;
	if (!is_key && h.major == MAJOR_SIMPLE && h.info == SIMPLE_NULL) {
		ret->data = NULL;
		ret->length = 0;
		return true;
	}
	if (h.major != MAJOR_TEXT)
		return cursor_wrong(r, "not a CBOR text where one belongs");
	if (h.indefinite) {
		buf_clear(&r->scratch);
		if (!read_chunks(r, MAJOR_TEXT, &r->scratch))
			return false;
		ret->data = r->scratch.data ? r->scratch.data : "";
		ret->length = r->scratch.len;
	} else {
		ret->length = (size_t)h.argument;
		if (!take_bytes(r, h.argument, &ret->data))
			return false;
	}
	return utf8_is_valid(ret->data, ret->length) || cursor_wrong(r, "a CBOR text that is not UTF-8");
}

/* An open container while skipping: `left` values to come (a map's entries count twice), or until a break. */
struct open {
	uint64_t left;
	bool indefinite;
	bool map;
	bool odd; /* indefinite map: a name was read and its value is due */
};

static bool skip_open(struct cursor *r, const struct head *h, struct open *open)
{
	uint64_t room = (uint64_t)(r->end - r->at);

	if (!h->indefinite && h->argument > room)
		return cursor_wrong(r, "a CBOR length beyond the answer's end");
	memset(open, 0, sizeof *open);
	open->map = h->major == MAJOR_MAP;
	open->indefinite = h->indefinite;
	open->left = open->map ? h->argument * 2 : h->argument;
	return true;
}

/* Leaves the containers that are complete. */
static bool skip_close(struct cursor *r, struct open *open, size_t *depth)
{
	while (*depth > 0) {
		struct open *top = &open[*depth - 1];

		if (!top->indefinite && top->left > 0) {
			top->left--;
			return true;
		}
		if (top->indefinite) {
			if (r->at == r->end)
				return cursor_wrong(r, "the CBOR answer is cut off");
			if (*r->at != BREAK) {
				top->odd = !top->odd;
				return true;
			}
			if (top->map && top->odd)
				return cursor_wrong(r, "a CBOR map that ends after a name");
			r->at++;
		}
		--*depth;
	}
	return true;
}

bool cursor_cbor_skip(struct cursor *r)
{
	struct open open[CURSOR_DEPTH] = {0};
	const char *ignored;
	size_t depth = 0;

	do {
		struct head h = {0};

		if (!read_head(r, &h))
			return false;
		if (h.major == MAJOR_LIST || h.major == MAJOR_MAP) {
			if (depth == CURSOR_DEPTH)
				return cursor_wrong(r, "CBOR nested too deep");
			if (!skip_open(r, &h, &open[depth]))
				return false;
			depth++;
		} else if (h.major == MAJOR_SIMPLE && h.indefinite) {
			return cursor_wrong(r, "a CBOR break where none belongs");
		} else if (h.major == MAJOR_BYTES || h.major == MAJOR_TEXT) {
			if (h.indefinite ? !read_chunks(r, h.major, NULL) : !take_bytes(r, h.argument, &ignored))
				return false;
		}
		if (!skip_close(r, open, &depth))
			return false;
	} while (depth > 0);
	return true;
}
