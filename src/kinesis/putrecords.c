/*
 * putrecords: see the header.
 *
 * Invariants:
 * 1. The body never grows: what putrecords_begin reserved is what all puts together write.
 * 2. added <= count, and putrecords_finish finds them equal.
 * 3. data_at of a record lies before the body's end and stays true: nothing is inserted before it.
 * 4. accounted_bytes is the sum of putrecords_accounted over the records added.
 */
#include "kinesis/putrecords.h"

#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/hex.h"
#include "kinesis/limits.h"

/* CBOR major types (RFC 8949, section 3.1), shifted into place, and the two bytes of indefinite containers. */
enum { CBOR_BYTES = 0x40, CBOR_TEXT = 0x60, CBOR_LIST = 0x80, CBOR_MAP = 0xa0, CBOR_OPEN = 0x1f, CBOR_BREAK = 0xff };

static const char json_records[] = "\",\"Records\":[";
static const char json_data[] = "{\"Data\":\"";
static const char json_key[] = "\",\"PartitionKey\":\"";
static const char json_hash[] = "\",\"ExplicitHashKey\":\"";
static const char json_record_end[] = "\"}";
static const char json_end[] = "]}";

#define TEXT_BYTES(literal) (sizeof(literal) - 1)

static bool is_arn(const char *stream) { return strncmp(stream, "arn:", 4) == 0; }

static const char *stream_member(const char *stream) { return is_arn(stream) ? "StreamARN" : "StreamName"; }

static void put(struct buf *b, const void *data, size_t bytes)
{
	/* buf_add keeps a NUL behind the text; on this path one memcpy into reserved room is enough. */
	must(bytes <= b->max - b->len);
	if (bytes > 0)
		memcpy(b->data + b->len, data, bytes);
	b->len += bytes;
}

static void put_text(struct buf *b, const char *text) { put(b, text, strlen(text)); }

/* RFC 8259, section 7: quotes, backslash and the control characters; all else goes as it is. */
static size_t escaped_bytes(const char *text, size_t bytes)
{
	size_t total = bytes;

	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20)
			total += 5;
		else if (c == '"' || c == '\\')
			total += 1;
	}
	return total;
}

static void put_escaped(struct buf *b, const char *text, size_t bytes)
{
	size_t clean = 0;

	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		put(b, text + clean, i - clean);
		clean = i + 1;
		if (c < 0x20) {
			char form[6] = {'\\', 'u', '0', '0', hex_lower[c >> 4], hex_lower[c & 15]};

			put(b, form, sizeof form);
		} else {
			char form[2] = {'\\', (char)c};

			put(b, form, sizeof form);
		}
	}
	put(b, text + clean, bytes - clean);
}

/* How many bytes follow the first: RFC 8949, section 3, the shortest form (4.1). */
static const struct head_form {
	uint64_t most;
	unsigned info; /* of the first byte; 0: the number itself */
	size_t more;
} head_forms[] = {{23, 0, 0}, {0xff, 24, 1}, {0xffff, 25, 2}, {0xffffffff, 26, 4}, {UINT64_MAX, 27, 8}};

static const struct head_form *head_form(uint64_t n)
{
	const struct head_form *f = head_forms;

	while (n > f->most)
		f++;
	return f;
}

static size_t head_bytes(uint64_t n) { return 1 + head_form(n)->more; }

static void put_head(struct buf *b, unsigned major, uint64_t n)
{
	const struct head_form *f = head_form(n);
	unsigned char head[9];

	head[0] = (unsigned char)(major | (f->more > 0 ? f->info : (unsigned)n));
	for (size_t i = 0; i < f->more; i++)
		head[1 + i] = (unsigned char)(n >> 8 * (f->more - 1 - i));
	put(b, head, 1 + f->more);
}

static void put_byte(struct buf *b, unsigned byte)
{
	unsigned char c = (unsigned char)byte;

	put(b, &c, 1);
}

static void put_cbor_text(struct buf *b, const char *text, size_t bytes)
{
	put_head(b, CBOR_TEXT, bytes);
	put(b, text, bytes);
}

static size_t cbor_text_bytes(size_t bytes) { return head_bytes(bytes) + bytes; }

size_t putrecords_frame_bytes(enum putrecords_wire wire, const char *stream, uint32_t count)
{
	size_t member = strlen(stream_member(stream)), name = strlen(stream);

	if (wire == PUTRECORDS_JSON)
		return 2 + member + 3 + escaped_bytes(stream, name) + TEXT_BYTES(json_records) + TEXT_BYTES(json_end);
	return 1 + cbor_text_bytes(TEXT_BYTES("Records")) + (wire == PUTRECORDS_CBOR ? head_bytes(count) : 1 + 2) +
	       cbor_text_bytes(member) + cbor_text_bytes(name);
}

size_t putrecords_item_bytes(enum putrecords_wire wire, const struct putrecords_item *i)
{
	size_t bytes;

	if (wire == PUTRECORDS_JSON)
		return TEXT_BYTES(json_data) + base64_length(BASE64_STANDARD, i->data_bytes) + TEXT_BYTES(json_key) +
		       escaped_bytes(i->key, i->key_bytes) +
		       (i->hash_key ? TEXT_BYTES(json_hash) + i->hash_key_bytes : 0) + TEXT_BYTES(json_record_end) + 1;
	bytes = (wire == PUTRECORDS_CBOR ? 1u : 2u) + cbor_text_bytes(TEXT_BYTES("Data")) + head_bytes(i->data_bytes) +
	        i->data_bytes + cbor_text_bytes(TEXT_BYTES("PartitionKey")) + cbor_text_bytes(i->key_bytes);
	if (i->hash_key)
		bytes += cbor_text_bytes(TEXT_BYTES("ExplicitHashKey")) + cbor_text_bytes(i->hash_key_bytes);
	return bytes;
}

const char *putrecords_content_type(enum putrecords_wire wire)
{
	return wire == PUTRECORDS_JSON ? KINESIS_TYPE_JSON : KINESIS_TYPE_CBOR;
}

void putrecords_begin(struct putrecords *p, enum putrecords_wire wire, const char *stream, uint32_t count,
                      size_t wire_bytes)
{
	struct buf *b = &p->body;

	memset(p, 0, sizeof *p);
	p->wire = wire;
	p->stream = stream;
	p->count = count;
	buf_init(b, wire_bytes);
	must(buf_reserve(b, wire_bytes, NULL) == ERR_OK);
	if (wire == PUTRECORDS_JSON) {
		put_text(b, "{\"");
		put_text(b, stream_member(stream));
		put_text(b, "\":\"");
		put_escaped(b, stream, strlen(stream));
		put(b, json_records, TEXT_BYTES(json_records));
		return;
	}
	if (wire == PUTRECORDS_CBOR)
		put_head(b, CBOR_MAP, 2);
	else
		put_byte(b, CBOR_MAP | CBOR_OPEN);
	put_cbor_text(b, "Records", TEXT_BYTES("Records"));
	if (wire == PUTRECORDS_CBOR)
		put_head(b, CBOR_LIST, count);
	else
		put_byte(b, CBOR_LIST | CBOR_OPEN);
}

static size_t add_json(struct putrecords *p, const struct putrecords_item *i)
{
	size_t length = base64_length(BASE64_STANDARD, i->data_bytes);
	struct buf *b = &p->body;
	size_t data_at;

	if (p->added > 0)
		put_byte(b, ',');
	put(b, json_data, TEXT_BYTES(json_data));
	data_at = b->len;
	must(length <= b->max - b->len);
	base64_encode(BASE64_STANDARD, i->data, i->data_bytes, b->data + b->len);
	b->len += length;
	put(b, json_key, TEXT_BYTES(json_key));
	put_escaped(b, i->key, i->key_bytes);
	if (i->hash_key) {
		put(b, json_hash, TEXT_BYTES(json_hash));
		put(b, i->hash_key, i->hash_key_bytes);
	}
	put(b, json_record_end, TEXT_BYTES(json_record_end));
	return data_at;
}

static size_t add_cbor(struct putrecords *p, const struct putrecords_item *i)
{
	struct buf *b = &p->body;
	size_t data_at;

	if (p->wire == PUTRECORDS_CBOR)
		put_head(b, CBOR_MAP, i->hash_key ? 3 : 2);
	else
		put_byte(b, CBOR_MAP | CBOR_OPEN);
	put_cbor_text(b, "Data", TEXT_BYTES("Data"));
	put_head(b, CBOR_BYTES, i->data_bytes);
	data_at = b->len;
	put(b, i->data, i->data_bytes);
	put_cbor_text(b, "PartitionKey", TEXT_BYTES("PartitionKey"));
	put_cbor_text(b, i->key, i->key_bytes);
	if (i->hash_key) {
		put_cbor_text(b, "ExplicitHashKey", TEXT_BYTES("ExplicitHashKey"));
		put_cbor_text(b, i->hash_key, i->hash_key_bytes);
	}
	if (p->wire == PUTRECORDS_CBOR_INDEFINITE)
		put_byte(b, CBOR_BREAK);
	return data_at;
}

size_t putrecords_add(struct putrecords *p, const struct putrecords_item *item)
{
	size_t data_at;

	must(p->added < p->count);
	data_at = p->wire == PUTRECORDS_JSON ? add_json(p, item) : add_cbor(p, item);

	p->added++;
	p->accounted_bytes += putrecords_accounted(item->data_bytes, item->key_bytes);
	return data_at;
}

void putrecords_finish(struct putrecords *p)
{
	struct buf *b = &p->body;
	const char *member = stream_member(p->stream);

	must(p->added == p->count);
	if (p->wire == PUTRECORDS_JSON) {
		put(b, json_end, TEXT_BYTES(json_end));
	} else {
		if (p->wire == PUTRECORDS_CBOR_INDEFINITE)
			put_byte(b, CBOR_BREAK);
		put_cbor_text(b, member, strlen(member));
		put_cbor_text(b, p->stream, strlen(p->stream));
		if (p->wire == PUTRECORDS_CBOR_INDEFINITE)
			put_byte(b, CBOR_BREAK);
	}
	b->data[b->len] = '\0';
}

void putrecords_data(const struct putrecords *p, size_t data_at, size_t data_bytes, void *out)
{
	size_t got = data_bytes;

	if (p->wire == PUTRECORDS_JSON)
		must(base64_decode(BASE64_STANDARD, p->body.data + data_at, base64_length(BASE64_STANDARD, data_bytes),
		                   out, &got) &&
		     got == data_bytes);
	else if (data_bytes > 0)
		memcpy(out, p->body.data + data_at, data_bytes);
}

void putrecords_fini(struct putrecords *p) { buf_fini(&p->body); }
