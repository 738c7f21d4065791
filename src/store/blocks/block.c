/*
 * A block as bytes: filled, read, and nothing believed.
 *
 * Invariants:
 * 1. A block that is being filled has consecutive ids, at most BLOCK_MESSAGES of them and BLOCK_BYTES bytes.
 * 2. Whatever the bytes are, reading makes at most BLOCK_MESSAGES rows inside `frames`, which is at most BLOCK_MAX
 * long.
 * 3. A message's own checksum is over its id too: one that was moved, or whose neighbour lost bytes, is not sound.
 * 4. A part of a packed block is read without the others: what is wrong in one costs none of theirs.
 */
#include "store/blocks/block.h"

#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <zstd.h>

#include "base/byte_order.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "store/files/sql.h"
#include "store/files/sum.h"

enum { CODEC_RAW, CODEC_ZSTD, CODEC_PARTS };
enum { ZSTD_LEVEL = 1, VARINT_MAX = 10 };
/*
 * Packing takes 0.8 us a KiB (LZ4, JSON), and what is not written saves 1.8: checksums, search for free pages, copies.
 * A wrong bit costs the rest of its part. Parts are small enough for it to cost no more messages than in four times as
 * many bytes that were not packed.
 */
enum { PART_BYTES = 4096, PART_MESSAGES = 16, PART_HEAD = 18, PARTS_MIN_BYTES = 1 << 17, PART_SPARE = 1024 };
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

bool block_add(struct block_fill *f, const struct store_row *row)
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

static int64_t checksum_of(const int64_t numbers[6], const void *body, size_t bytes, uint32_t tag)
{
	unsigned char head[48];

	for (int i = 0; i < 6; i++)
		put_little(head + 8 * i, (uint64_t)numbers[i], 8);
	return sum_end(tag, crc32c(crc32c(sum_begin(tag, SUM_OF_BLOCK), head, sizeof head), body, bytes));
}

enum form { FORM_RAW, FORM_PARTS, FORM_WHOLE };

static enum form form_of(enum block_wish wish, const struct block_fill *f)
{
	switch (wish) {
	case BLOCK_AS_IS:
		return FORM_RAW;
	case BLOCK_SMALL:
		return FORM_WHOLE;
	case BLOCK_QUICK:
		break;
	}
	if (f->count <= SMALL_MESSAGES && f->frames.len <= SMALL_BYTES)
		return FORM_WHOLE;
	return f->frames.len >= PARTS_MIN_BYTES ? FORM_PARTS : FORM_RAW;
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

/* Frames of neighbours, and when they were received: differences begin at `ms`. */
struct part {
	uint32_t frames_bytes, packed_bytes, count;
	int64_t ms;
	const unsigned char *packed; /* as they are when packed_bytes is frames_bytes */
};

static void put_part_head(unsigned char *head, const struct part *p)
{
	put_little(head, p->frames_bytes, 4);
	put_little(head + 4, p->packed_bytes, 4);
	put_little(head + 8, p->count, 2);
	put_little(head + 10, (uint64_t)p->ms, 8);
}

/* False: what stands at *at is not the head of a part that can be. */
static bool next_part(const unsigned char **at, const unsigned char *end, struct part *ret)
{
	const unsigned char *head = *at;

	if (end - head < PART_HEAD)
		return false;
	*ret = (struct part){.frames_bytes = (uint32_t)get_little(head, 4),
	                     .packed_bytes = (uint32_t)get_little(head + 4, 4),
	                     .count = (uint32_t)get_little(head + 8, 2),
	                     .ms = (int64_t)get_little(head + 10, 8),
	                     .packed = head + PART_HEAD};
	if (ret->packed_bytes > end - ret->packed || ret->packed_bytes > ret->frames_bytes || ret->frames_bytes == 0 ||
	    ret->frames_bytes > BLOCK_MAX || ret->count == 0 || ret->count > PART_MESSAGES)
		return false;
	*at = ret->packed + ret->packed_bytes;
	return true;
}

/* One part from *at on, into `out`, which has room for it as it is. Returns the bytes it takes there. */
static size_t pack_part(const unsigned char **at, const unsigned char *end, int64_t *ms, unsigned char *out)
{
	const unsigned char *first = *at;
	struct part p = {.ms = *ms};
	struct store_row row;
	int n;

	while (*at < end && *at - first < PART_BYTES && p.count < PART_MESSAGES) {
		must(read_frame(at, end, ms, &row));
		p.count++;
	}
	p.frames_bytes = (uint32_t)(*at - first);
	n = LZ4_compress_default((const char *)first, (char *)out + PART_HEAD, (int)p.frames_bytes,
	                         (int)p.frames_bytes - 1);
	p.packed_bytes = n > 0 ? (uint32_t)n : p.frames_bytes;
	if (n <= 0)
		memcpy(out + PART_HEAD, first, p.frames_bytes);
	put_part_head(out, &p);
	return PART_HEAD + p.packed_bytes;
}

/* 0: that is not worth its time. The first parts tell: they must lose half, but for PART_SPARE. */
static size_t pack_parts(const struct block_fill *f, unsigned char *out)
{
	const unsigned char *first = (const unsigned char *)f->frames.data, *at = first, *end = at + f->frames.len;
	size_t used = 0;
	int64_t ms = 0;

	while (at < end) {
		used += pack_part(&at, end, &ms, out + used);
		if (used > (size_t)(at - first) / 2 + PART_SPARE)
			return 0;
	}
	return used;
}

static size_t pack_whole(struct block_packer *p, const struct block_fill *f, size_t room)
{
	size_t n;

	if (!p->zstd)
		p->zstd = ZSTD_createCCtx();
	n = p->zstd ? ZSTD_compressCCtx(p->zstd, p->packed, room, f->frames.data, f->frames.len, ZSTD_LEVEL) : 0;
	return ZSTD_isError(n) ? 0 : n;
}

/* The form that it is worth to have. *ret_bytes is its length. */
static const void *pack(struct block_packer *p, const struct block_fill *f, enum block_wish wish, int64_t *ret_codec,
                        size_t *ret_bytes)
{
	const enum form form = form_of(wish, f);
	size_t room = ZSTD_compressBound(BLOCK_MAX), n = 0;

	_Static_assert(PART_SPARE + PART_HEAD <= BLOCK_MAX >> 8, "what zstd may need beyond the frames is enough here");
	*ret_codec = CODEC_RAW;
	*ret_bytes = f->frames.len;
	if (form != FORM_RAW && !p->packed)
		p->packed = mem_alloc(room);
	if (form == FORM_PARTS)
		n = pack_parts(f, p->packed);
	else if (form == FORM_WHOLE)
		n = pack_whole(p, f, room);
	if (n == 0 || n >= f->frames.len)
		return f->frames.data;
	*ret_codec = form == FORM_PARTS ? CODEC_PARTS : CODEC_ZSTD;
	*ret_bytes = n;
	return p->packed;
}

void block_pack(struct block_packer *p, const struct block_fill *f, enum block_wish wish, uint32_t tag,
                struct packed_block *ret)
{
	*ret = (struct packed_block){
	    .numbers = {(int64_t)f->first, f->count, (int64_t)f->bytes, 0, f->first_ms, f->last_ms}};
	ret->body = pack(p, f, wish, &ret->numbers[3], &ret->body_bytes);
	ret->checksum = checksum_of(ret->numbers, ret->body, ret->body_bytes, tag);
}

void block_fill_clear(struct block_fill *f)
{
	f->count = 0;
	f->bytes = 0;
	buf_clear(&f->frames);
}

void block_packer_fini(struct block_packer *p)
{
	free(take(p->packed));
	(void)ZSTD_freeCCtx(take(p->zstd));
}

struct stored_block *block_new(void) { return mem_zero(sizeof(struct stored_block)); }

void block_forget(struct stored_block *b)
{
	free(take(b->frames));
	b->id = 0;
	b->count = b->framed = 0;
}

void block_free(struct stored_block *b)
{
	if (!b)
		return;
	block_forget(b);
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

/* The column that names the rule of the frames may be what is damaged: a frame is believed by any rule of ours. */
static void read_by_any_rule(const struct stored_block *b, struct store_row *row)
{
	const uint32_t tags[] = {sum_tag(b->checksum), b->tag, 0};
	const uint32_t crc = (uint32_t)row->checksum;

	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
		row->checksum = sum_end(tags[i], crc);
		if (row_is_sound(row, b->tag))
			return;
	}
	row->checksum = sum_end(tags[0], crc);
}

/* Rows from the frames up to `end`, at most until there are `upto`. False: the frames do not end there. */
static bool read_rows(struct stored_block *b, const unsigned char *at, const unsigned char *end, uint32_t upto,
                      int64_t ms)
{
	for (; b->framed < upto && at < end; b->framed++) {
		struct store_row *row = &b->rows[b->framed];

		row->id = b->id + b->framed;
		if (!read_frame(&at, end, &ms, row))
			break;
		row->checksum = sum_end(sum_tag(b->checksum), (uint32_t)row->checksum);
		if (!b->is_sound)
			read_by_any_rule(b, row);
	}
	return at == end;
}

/*
 * `all`: the frames end where the bytes end. Then they are all of them when they weigh what the block says, or are more
 * than it says; fewer and lighter ones were cut between two frames.
 */
static void judge_frames(struct stored_block *b, bool all)
{
	uint64_t bytes = 0;

	b->is_sound &= all && b->framed == b->count;
	for (uint32_t i = 0; i < b->framed && b->framed < b->count; i++)
		bytes += b->rows[i].meta_bytes + b->rows[i].body_bytes;
	if (all && (b->framed > b->count || bytes == b->bytes))
		b->count = b->framed;
	b->framed = b->framed < b->count ? b->framed : b->count;
}

/* What the parts would be together, as far as their heads make sense. *ret_whole: they do up to the end. */
static size_t measure_parts(const unsigned char *at, const unsigned char *end, bool *ret_whole)
{
	uint32_t count = 0;
	size_t bytes = 0;
	struct part p;

	*ret_whole = true;
	while (at < end && *ret_whole) {
		*ret_whole =
		    next_part(&at, end, &p) && count + p.count <= BLOCK_MESSAGES && bytes + p.frames_bytes <= BLOCK_MAX;
		if (*ret_whole) {
			count += p.count;
			bytes += p.frames_bytes;
		}
	}
	return bytes;
}

/* What cannot be unpacked leaves zeros, of which no message has the checksum. False: the part is not what it was. */
static bool unpack_part(struct stored_block *b, const struct part *p, unsigned char *frames)
{
	const uint32_t upto = b->framed + p->count;
	bool whole = true;

	if (p->packed_bytes == p->frames_bytes)
		memcpy(frames, p->packed, p->frames_bytes);
	else
		whole = LZ4_decompress_safe((const char *)p->packed, (char *)frames, (int)p->packed_bytes,
		                            (int)p->frames_bytes) == (int)p->frames_bytes;
	whole &= read_rows(b, frames, frames + p->frames_bytes, upto, p->ms);
	whole &= b->framed == upto;
	for (; b->framed < upto; b->framed++)
		b->rows[b->framed] = (struct store_row){.id = b->id + b->framed};
	return whole;
}

static void read_parts(struct stored_block *b, const unsigned char *at, size_t body_bytes)
{
	const unsigned char *end = at + body_bytes;
	bool all;
	size_t bytes = measure_parts(at, end, &all), used = 0;
	struct part p;

	b->frames = mem_zero(bytes + 1);
	while (used < bytes && next_part(&at, end, &p)) {
		all &= unpack_part(b, &p, b->frames + used);
		used += p.frames_bytes;
	}
	judge_frames(b, all);
}

static void read_whole(struct stored_block *b, int64_t codec, const void *body, size_t body_bytes)
{
	size_t bytes = 0;
	bool all;

	b->frames = unpack(codec, body, body_bytes, &bytes);
	all = b->frames && read_rows(b, b->frames, b->frames + bytes, BLOCK_MESSAGES, 0);
	judge_frames(b, all);
}

void block_take(struct stored_block *b, const int64_t numbers[6], int64_t checksum, const void *body, size_t bytes)
{
	block_forget(b);
	b->id = (uint64_t)numbers[0];
	b->count = block_count(numbers[1]);
	b->bytes = (uint64_t)numbers[2];
	b->checksum = checksum;
	b->is_sound = checksum_of(numbers, body, bytes, sum_tag(checksum)) == checksum &&
	              sum_is_ours(checksum, b->tag) && b->count == numbers[1];
	if (numbers[3] == CODEC_PARTS && body)
		read_parts(b, body, bytes);
	else
		read_whole(b, numbers[3], body, bytes);
}

void block_of_record(struct stored_block *b, const struct stored_record *r)
{
	const struct stored_value *v = r->values, *body = &v[12];
	const int64_t numbers[6] = {r->rowid, v[1].number, v[2].number, v[3].number, v[5].number, v[6].number};

	block_take(b, numbers, v[4].number, body->bytes, body->count);
}

void block_read(struct stored_block *b, sqlite3_stmt *st)
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
	block_take(b, numbers, checksum, body, (size_t)sqlite3_column_bytes(st, 7));
}
