/*
 * A block as bytes: filled, read, and nothing believed.
 *
 * Invariants:
 * 1. A block that is being filled has consecutive ids, at most BLOCK_MESSAGES of them and BLOCK_BYTES bytes.
 * 2. Whatever the bytes are, reading makes at most BLOCK_MESSAGES rows inside `frames`, which is at most BLOCK_MAX
 * long.
 * 3. A message's own checksum is over its id too: one that was moved, or whose neighbour lost bytes, is not sound.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/byte_order.h"

enum { CODEC_RAW, CODEC_ZSTD };
enum { ZSTD_LEVEL = 1, VARINT_MAX = 10 };
/* Made small in far less time than its commit takes; of a compressed block one wrong bit costs all messages. */
enum { SMALL_MESSAGES = 8, SMALL_BYTES = 8192 };

static unsigned char *put_varint(unsigned char *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (unsigned char)(v | 0x80);
	*p++ = (unsigned char)v;
	return p;
}

/* Null: it does not end before `end`. */
static const unsigned char *get_varint(const unsigned char *p, const unsigned char *end, uint64_t *ret)
{
	*ret = 0;
	for (int shift = 0; p < end && shift < 7 * VARINT_MAX; shift += 7) {
		*ret |= (uint64_t)(*p & 0x7f) << shift;
		if ((*p++ & 0x80) == 0)
			return p;
	}
	return NULL;
}

static uint64_t zigzag(int64_t v) { return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0); }

static int64_t unzigzag(uint64_t v) { return (int64_t)(v >> 1 ^ (0 - (v & 1))); }

bool store_block_add(struct block_fill *f, const struct store_row *row)
{
	unsigned char head[4 + 3 * VARINT_MAX];
	unsigned char *p = head + 4;
	size_t bytes = row->meta_bytes + row->body_bytes;

	if (bytes > BLOCK_BYTES - f->bytes || f->count == BLOCK_MESSAGES ||
	    (f->count > 0 && row->id != f->first + f->count))
		return false;
	put_little(head, (uint32_t)row->checksum, 4);
	p = put_varint(p, zigzag((int64_t)((uint64_t)row->received_ms - (uint64_t)(f->count ? f->last_ms : 0))));
	p = put_varint(p, row->meta_bytes);
	p = put_varint(p, row->body_bytes);
	if (!f->frames.max)
		buf_init(&f->frames, BLOCK_MAX);
	must(buf_add(&f->frames, head, (size_t)(p - head)) == ERR_OK);
	must(buf_add(&f->frames, row->meta, row->meta_bytes) == ERR_OK);
	must(buf_add(&f->frames, row->body, row->body_bytes) == ERR_OK);
	if (f->count == 0) {
		f->first = row->id;
		f->first_ms = row->received_ms;
	}
	f->last_ms = row->received_ms;
	f->bytes += bytes;
	f->count++;
	return true;
}

static int32_t checksum_of(const int64_t numbers[6], const void *body, size_t bytes)
{
	unsigned char head[48];

	for (int i = 0; i < 6; i++)
		put_little(head + 8 * i, (uint64_t)numbers[i], 8);
	return (int32_t)crc32c(crc32c(0, head, sizeof head), body, bytes);
}

static bool is_worth_packing(const struct store *s, const struct block_fill *f)
{
	switch (s->options.compress) {
	case STORE_COMPRESS_NEVER:
		return false;
	case STORE_COMPRESS_ALWAYS:
		return true;
	case STORE_COMPRESS_AUTO:
		break;
	}
	return s->backlog_waits || (f->count <= SMALL_MESSAGES && f->frames.len <= SMALL_BYTES);
}

/* The smaller of the two forms. *ret_bytes is its length. */
static const void *pack(struct store *s, const struct block_fill *f, int64_t *ret_codec, size_t *ret_bytes)
{
	size_t room, n;

	*ret_codec = CODEC_RAW;
	*ret_bytes = f->frames.len;
	if (!is_worth_packing(s, f))
		return f->frames.data;
	room = ZSTD_compressBound(BLOCK_MAX);
	if (!s->packed)
		s->packed = mem_alloc(room);
	if (!s->packer)
		s->packer = ZSTD_createCCtx();
	n = s->packer ? ZSTD_compressCCtx(s->packer, s->packed, room, f->frames.data, f->frames.len, ZSTD_LEVEL) : 0;
	if (n == 0 || ZSTD_isError(n) || n >= f->frames.len)
		return f->frames.data;
	*ret_codec = CODEC_ZSTD;
	*ret_bytes = n;
	return s->packed;
}

void store_set_waits(struct store *s, bool waits) { s->backlog_waits = waits; }

enum err store_block_flush(struct store *s, struct error *e)
{
	struct block_fill *f = &s->fill;
	sqlite3_stmt *st;
	int64_t numbers[6] = {(int64_t)f->first, f->count, (int64_t)f->bytes, 0, f->first_ms, f->last_ms};
	const void *body;
	size_t bytes;
	enum err err;

	if (f->count == 0)
		return ERR_OK;
	must(s->in_group);
	body = pack(s, f, &numbers[3], &bytes);
	st = store_statement(s, ST_BLOCK_INSERT);
	for (int i = 0; i < 4; i++)
		(void)sqlite3_bind_int64(st, i + 1, numbers[i]);
	(void)sqlite3_bind_int64(st, 5, checksum_of(numbers, body, bytes));
	(void)sqlite3_bind_int64(st, 6, f->first_ms);
	(void)sqlite3_bind_int64(st, 7, f->last_ms);
	(void)sqlite3_bind_blob64(st, 8, body, bytes, SQLITE_STATIC);
	err = store_run(s, st, e, "insert");
	s->stored_block_bytes = bytes;
	s->lag.group_messages += f->count;
	s->lag.group_bytes += f->bytes;
	f->count = 0;
	f->bytes = 0;
	buf_clear(&f->frames);
	FAILPOINT("after_insert");
	return err;
}

struct stored_block *store_block_new(void) { return mem_zero(sizeof(struct stored_block)); }

void store_block_forget(struct stored_block *b)
{
	free(take(b->frames));
	b->id = 0;
	b->count = b->framed = 0;
}

void store_block_free(struct stored_block *b)
{
	if (!b)
		return;
	store_block_forget(b);
	free(b);
}

/* The frames of a body as stored; null when there are none to be had. */
static unsigned char *unpack(int64_t codec, const void *body, size_t bytes, size_t *ret_bytes)
{
	unsigned char *frames;
	unsigned long long size = bytes;
	size_t n = bytes;

	if (codec == CODEC_ZSTD)
		size = ZSTD_getFrameContentSize(body, bytes); /* above BLOCK_MAX when it is unknown or an error */
	if (!body || size > BLOCK_MAX || size == 0 || (codec != CODEC_RAW && codec != CODEC_ZSTD))
		return NULL;
	frames = mem_alloc((size_t)size);
	if (codec == CODEC_ZSTD) {
		ZSTD_DCtx *unpacker = mem_given(ZSTD_createDCtx()); /* or no memory would look like a wrong body */

		n = ZSTD_decompressDCtx(unpacker, frames, (size_t)size, body, bytes);
		(void)ZSTD_freeDCtx(unpacker);
	} else {
		memcpy(frames, body, bytes);
	}
	if (n == size) {
		*ret_bytes = n;
		return frames;
	}
	free(frames);
	return NULL;
}

/* False: the bytes from *at on are no frame. */
static bool read_frame(const unsigned char **at, const unsigned char *end, int64_t *ms, struct store_row *row)
{
	const unsigned char *p = *at;
	uint64_t delta, meta = 0, body = 0;

	if (end - p < 4)
		return false;
	row->checksum = (int32_t)(uint32_t)get_little(p, 4);
	p = get_varint(p + 4, end, &delta);
	p = p ? get_varint(p, end, &meta) : NULL;
	p = p ? get_varint(p, end, &body) : NULL;
	if (!p || meta > (uint64_t)(end - p) || body > (uint64_t)(end - p) - meta)
		return false;
	*ms = (int64_t)((uint64_t)*ms + (uint64_t)unzigzag(delta));
	row->received_ms = *ms;
	row->meta = p;
	row->meta_bytes = (size_t)meta;
	row->body = p + meta;
	row->body_bytes = (size_t)body;
	*at = p + meta + body;
	return true;
}

/* Frames that end where the bytes end are all of them, whatever a block that is not sound says of their count. */
static void read_frames(struct stored_block *b, size_t bytes)
{
	const unsigned char *at = b->frames, *end = b->frames + bytes;
	int64_t ms = 0;

	for (b->framed = 0; b->framed < BLOCK_MESSAGES && at < end; b->framed++) {
		struct store_row *row = &b->rows[b->framed];

		row->id = b->id + b->framed;
		if (!read_frame(&at, end, &ms, row))
			break;
	}
	b->is_sound = b->is_sound && at == end && b->framed == b->count;
	if (at == end)
		b->count = b->framed;
	b->framed = b->framed < b->count ? b->framed : b->count;
}

void store_block_take(struct stored_block *b, const int64_t numbers[6], int64_t checksum, const void *body,
                      size_t bytes)
{
	size_t frames_bytes = 0;

	store_block_forget(b);
	b->id = (uint64_t)numbers[0];
	b->count = store_block_count(numbers[1]);
	b->bytes = (uint64_t)numbers[2];
	b->checksum = checksum;
	b->is_sound = checksum_of(numbers, body, bytes) == checksum && b->count == numbers[1];
	b->frames = unpack(numbers[3], body, bytes, &frames_bytes);
	if (b->frames)
		read_frames(b, frames_bytes);
	else
		b->is_sound = false;
}

void store_block_read(struct stored_block *b, sqlite3_stmt *st)
{
	const uint64_t id = sql_column_u64(st, 0);
	const int64_t count = sqlite3_column_int64(st, 1), checksum = sqlite3_column_int64(st, 4);
	const void *body;
	int64_t numbers[6];

	if (b->frames && b->is_sound && b->id == id && b->count == count && b->checksum == checksum)
		return;
	body = sqlite3_column_blob(st, 7);
	for (int i = 0; i < 6; i++) /* all but the checksum */
		numbers[i] = sqlite3_column_int64(st, i < 4 ? i : i + 1);
	store_block_take(b, numbers, checksum, body, (size_t)sqlite3_column_bytes(st, 7));
}

int32_t store_block_mark_checksum(const struct block_mark *m)
{
	unsigned char head[24];

	put_little(head, m->id, 8);
	put_little(head + 8, m->settled, 8);
	put_little(head + 16, m->bytes, 8);
	return (int32_t)crc32c(crc32c(0, head, sizeof head), m->bits, sizeof m->bits);
}

struct block_mark store_block_mark_read(sqlite3_stmt *st, int first, uint64_t id, uint32_t count)
{
	struct block_mark m = {.id = id, .count = count};
	const void *bits = sqlite3_column_blob(st, first + 3);

	if (!bits)
		return m;
	if ((size_t)sqlite3_column_bytes(st, first + 3) == sizeof m.bits) {
		m.settled = (uint32_t)sqlite3_column_int64(st, first);
		m.bytes = sql_column_u64(st, first + 1);
		memcpy(m.bits, bits, sizeof m.bits);
	}
	/* Sent again is better than lost. */
	if (store_block_mark_checksum(&m) != sqlite3_column_int64(st, first + 2) || m.settled > count)
		m = (struct block_mark){.id = id, .count = count};
	m.is_stored = true;
	return m;
}
