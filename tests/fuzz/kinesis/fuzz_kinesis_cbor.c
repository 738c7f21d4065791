/*
 * Any bytes as a CBOR answer to two records, against a second reader that shares nothing with the first: it walks items
 * by RFC 8949 and knows only maps, arrays and texts by name. What the first understood, the second must find: an entry
 * that is stored has a sequence number there, and one that is not has an error code.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "kinesis/answer.h"
#include "rig/fuzz.h"

enum { SENT = 2, DEPTH_MAX = 40 };

struct reader {
	const uint8_t *at, *end;
};

/* What an entry holds; texts of no length and nulls count as not there. */
struct entry {
	bool has_sequence, has_code;
};

struct found {
	struct entry entries[SENT];
	uint32_t count;
};

struct head {
	unsigned major;
	uint64_t value;
	bool indefinite;
};

/* Tags before an item say nothing about its bytes. */
static bool read_head(struct reader *r, struct head *h)
{
	do {
		unsigned info;

		if (r->at == r->end)
			return false;
		h->major = *r->at >> 5;
		info = *r->at++ & 31;
		h->indefinite = info == 31;
		h->value = info;
		if (info < 24 || info == 31)
			continue;
		if (info > 27 || r->end - r->at < 1 << (info - 24))
			return false;
		h->value = 0;
		for (int i = 0; i < 1 << (info - 24); i++)
			h->value = h->value << 8 | *r->at++;
	} while (h->major == 6);
	return true;
}

static bool at_break(struct reader *r)
{
	if (r->at == r->end || *r->at != 0xff)
		return false;
	r->at++;
	return true;
}

/* Begins where the head was read; copies what fits of a text. */
static bool read_string(struct reader *r, const struct head *h, char *out, size_t room, size_t *length)
{
	struct head part = *h;

	*length = 0;
	for (bool more = true; more; more = h->indefinite) {
		if (h->indefinite) {
			if (at_break(r))
				break;
			if (!read_head(r, &part) || part.major != h->major || part.indefinite)
				return false;
		}
		if (part.value > (uint64_t)(r->end - r->at))
			return false;
		for (uint64_t i = 0; i < part.value; i++)
			if (*length + i < room)
				out[*length + i] = (char)r->at[i];
		*length += part.value;
		r->at += part.value;
	}
	return true;
}

static bool skip(struct reader *r, int depth)
{
	struct head h;
	size_t length;
	char none[1];

	if (depth > DEPTH_MAX || !read_head(r, &h))
		return false;
	if (h.major == 2 || h.major == 3)
		return read_string(r, &h, none, 0, &length);
	if (h.major != 4 && h.major != 5)
		return h.major == 7 ? !h.indefinite : true;
	for (uint64_t left = h.value; h.indefinite ? !at_break(r) : left > 0; left--)
		if (!skip(r, depth + 1) || (h.major == 5 && !skip(r, depth + 1)))
			return false;
	return true;
}

static bool read_key(struct reader *r, char key[40])
{
	struct head h;
	size_t length;

	memset(key, 0, 40);
	return read_head(r, &h) && h.major == 3 && read_string(r, &h, key, 39, &length);
}

static bool read_entry(struct reader *r, struct entry *e)
{
	struct head map, h;
	char key[40], text[2];
	size_t length;

	if (!read_head(r, &map) || map.major != 5)
		return false;
	for (uint64_t left = map.value; map.indefinite ? !at_break(r) : left > 0; left--) {
		struct reader value;

		if (!read_key(r, key))
			return false;
		value = *r;
		if (!skip(r, 0))
			return false;
		if (!read_head(&value, &h) || h.major != 3 || !read_string(&value, &h, text, 1, &length) || length == 0)
			continue;
		e->has_sequence = e->has_sequence || strcmp(key, "SequenceNumber") == 0;
		e->has_code = e->has_code || strcmp(key, "ErrorCode") == 0;
	}
	return true;
}

static bool read_answer(struct reader *r, struct found *f)
{
	struct head map, list;
	char key[40];

	if (!read_head(r, &map) || map.major != 5)
		return false;
	for (uint64_t left = map.value; map.indefinite ? !at_break(r) : left > 0; left--) {
		if (!read_key(r, key))
			return false;
		if (strcmp(key, "Records") != 0) {
			if (!skip(r, 0))
				return false;
			continue;
		}
		if (!read_head(r, &list) || list.major != 4)
			return false;
		for (uint64_t n = list.value; list.indefinite ? !at_break(r) : n > 0; n--)
			if (f->count == SENT || !read_entry(r, &f->entries[f->count++]))
				return false;
	}
	return r->at == r->end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = {data, data + size};
	struct found found = {0};
	struct answer a;
	struct error e;

	if (size == 0 || data[0] >> 5 != 5 || answer_read(data, size, SENT, &a, &e) != ERR_OK)
		return 0;
	must(read_answer(&r, &found));
	must(found.count == SENT && a.count == SENT);
	for (uint32_t i = 0; i < SENT; i++)
		must(a.entries[i].stored ? found.entries[i].has_sequence : found.entries[i].has_code);
	answer_fini(&a);
	return 0;
}
