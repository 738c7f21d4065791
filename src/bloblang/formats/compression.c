/*
 * Compression methods behind one table.
 *
 * Invariants:
 * 1. Nothing is written but through text_reserve(), and length grows by what was written: the arena's limit is the
 *    bomb's.
 * 2. A decompressor that makes no progress ends with an error: it does not spin.
 * 3. Only a row with a compressor is asked to compress.
 * 4. Each loop asks the arena for time once a piece, and no library is let allocate more than WINDOW_LOG_MAX says.
 */
#include "bloblang/formats/compression.h"

#include <string.h>

#include <bzlib.h>
#include <lz4frame.h>
#include <snappy-c.h>
#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#include "base/check.h"

enum {
	CHUNK_BYTES = 64 * 1024,
	WINDOW_FLATE = -15,
	WINDOW_ZLIB = 15,
	WINDOW_GZIP = 15 + 16,
	GZIP_OS_UNKNOWN = 255,
	MEMORY_LEVEL = 8,
	LZ4_MAGIC_BYTES = 4,
	PIECE_BYTES = 256 * 1024,
	WINDOW_LOG_MAX = 23, /* zstd's, where a frame does not say how much it holds: 8 MiB */
	ZSTD_LEVEL_MAX = 9,  /* higher ones take seconds, and a hundred times the memory */
};

struct compression {
	const char *name;
	bool (*compress)(const struct compression *c, int level, const char *in, size_t length, struct text *out,
	                 const char **ret_error);
	bool (*decompress)(const struct compression *c, const char *in, size_t length, struct text *out,
	                   const char **ret_error);
	int window; /* zlib's window bits */
};

static const char too_large[] = "the output exceeds the limit of this evaluation";
static const char too_long[] = "it takes longer than an evaluation may";

static bool fail(const char **ret_error, const char *text)
{
	*ret_error = text;
	return false;
}

static bool zlib_compress(const struct compression *c, int level, const char *in, size_t length, struct text *out,
                          const char **ret_error)
{
	gz_header header = {.os = GZIP_OS_UNKNOWN};
	z_stream z = {0};
	size_t bound;
	char *room;
	int r = Z_OK;

	if (level < -1 || level > 9)
		return fail(ret_error, arena_format(out->arena, "invalid compression level: %d", level));
	if (deflateInit2(&z, level, Z_DEFLATED, c->window, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return fail(ret_error, "out of memory");
	if (c->window == WINDOW_GZIP)
		(void)deflateSetHeader(&z, &header);
	bound = deflateBound(&z, length);
	room = text_reserve(out, bound);
	if (room) {
		z.next_in = (const Bytef *)in;
		z.next_out = (Bytef *)room;
		z.avail_out = (uInt)bound; /* a message is far below 4 GiB */
		while (r == Z_OK && !arena_is_spent_now(out->arena)) {
			size_t left = length - z.total_in;

			z.avail_in = (uInt)(left < PIECE_BYTES ? left : PIECE_BYTES);
			r = deflate(&z, left <= PIECE_BYTES ? Z_FINISH : Z_NO_FLUSH);
		}
		out->length += z.total_out;
	}
	(void)deflateEnd(&z);
	return r == Z_STREAM_END || fail(ret_error, room ? too_long : too_large);
}

static const char *zlib_error(struct arena *a, const struct compression *c, const z_stream *z, size_t length, int r)
{
	enum { GZIP_HEADER_BYTES = 10, ZLIB_HEADER_BYTES = 2 };
	size_t header = c->window == WINDOW_GZIP ? GZIP_HEADER_BYTES : c->window == WINDOW_ZLIB ? ZLIB_HEADER_BYTES : 0;

	if (r == Z_BUF_ERROR || r == Z_OK || length < header)
		return length == 0 && c->window == WINDOW_GZIP ? "EOF" : "unexpected EOF";
	if (z->total_out == 0 && c->window == WINDOW_GZIP)
		return "gzip: invalid header";
	if (z->total_out == 0 && c->window == WINDOW_ZLIB)
		return "zlib: invalid header";
	if (c->window == WINDOW_GZIP)
		return "gzip: invalid checksum";
	return arena_format(a, "flate: corrupt input before offset %lu", z->total_in);
}

/* A gzip file may be several members in a row. */
static bool zlib_decompress(const struct compression *c, const char *in, size_t length, struct text *out,
                            const char **ret_error)
{
	z_stream z = {.next_in = (const Bytef *)in, .avail_in = (uInt)length};
	const char *error = NULL;
	int r;

	if (inflateInit2(&z, c->window) != Z_OK)
		return fail(ret_error, "out of memory");
	do {
		char *room = text_reserve(out, CHUNK_BYTES);

		if (!room || arena_is_spent(out->arena)) {
			error = room ? too_long : too_large;
			break;
		}
		z.next_out = (Bytef *)room;
		z.avail_out = CHUNK_BYTES;
		r = inflate(&z, Z_NO_FLUSH);
		out->length += CHUNK_BYTES - z.avail_out;
		if (r == Z_STREAM_END && c->window == WINDOW_GZIP && z.avail_in > 0)
			r = inflateReset(&z);
		else if (r != Z_OK && r != Z_STREAM_END)
			error = zlib_error(out->arena, c, &z, length, r);
		else if (r == Z_OK && z.avail_in == 0 && z.avail_out > 0)
			error = zlib_error(out->arena, c, &z, length, r);
	} while (!error && r != Z_STREAM_END);
	(void)inflateEnd(&z);
	return !error || fail(ret_error, error);
}

static bool lz4_compress(const struct compression *c, int level, const char *in, size_t length, struct text *out,
                         const char **ret_error)
{
	LZ4F_preferences_t preferences = {.compressionLevel = level < 0 ? 0 : level,
	                                  .frameInfo = {.contentChecksumFlag = LZ4F_contentChecksumEnabled}};
	size_t bound = LZ4F_compressFrameBound(length, &preferences), n;
	char *room = text_reserve(out, bound);

	(void)c;
	if (!room)
		return fail(ret_error, too_large);
	n = LZ4F_compressFrame(room, bound, in, length, &preferences);
	if (LZ4F_isError(n))
		return fail(ret_error, LZ4F_getErrorName(n));
	out->length += n;
	return true;
}

static bool lz4_decompress(const struct compression *c, const char *in, size_t length, struct text *out,
                           const char **ret_error)
{
	LZ4F_dctx *context;
	const char *error = NULL;
	size_t used = 0, hint = 1;

	(void)c;
	if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
		return fail(ret_error, "out of memory");
	if (length == 0)
		hint = 0;
	else if (length < LZ4_MAGIC_BYTES)
		error = "unexpected EOF";
	else if (memcmp(in, "\x04\x22\x4d\x18", LZ4_MAGIC_BYTES) != 0)
		error = "lz4: bad magic number";
	while (!error && (used < length || hint != 0)) {
		size_t source = length - used, room_size = CHUNK_BYTES;
		char *room = text_reserve(out, CHUNK_BYTES);

		if (!room || arena_is_spent(out->arena)) {
			error = room ? too_long : too_large;
			break;
		}
		hint = LZ4F_decompress(context, room, &room_size, in + used, &source, NULL);
		if (LZ4F_isError(hint))
			error = used == 0 ? "lz4: bad magic number" : "lz4: corrupt input";
		else if (source == 0 && room_size == 0)
			error = "unexpected EOF";
		used += source;
		out->length += LZ4F_isError(hint) ? 0 : room_size;
	}
	(void)LZ4F_freeDecompressionContext(context);
	return !error || fail(ret_error, error);
}

static bool snappy_pack(const struct compression *c, int level, const char *in, size_t length, struct text *out,
                        const char **ret_error)
{
	size_t n = snappy_max_compressed_length(length);
	char *room = text_reserve(out, n);

	(void)c;
	(void)level;
	if (!room || snappy_compress(in, length, room, &n) != SNAPPY_OK)
		return fail(ret_error, too_large);
	out->length += n;
	return true;
}

static bool snappy_unpack(const struct compression *c, const char *in, size_t length, struct text *out,
                          const char **ret_error)
{
	size_t n;
	char *room;

	(void)c;
	if (snappy_uncompressed_length(in, length, &n) != SNAPPY_OK)
		return fail(ret_error, "s2: corrupt input");
	room = text_reserve(out, n);
	if (!room)
		return fail(ret_error, too_large);
	if (snappy_uncompress(in, length, room, &n) != SNAPPY_OK)
		return fail(ret_error, "s2: corrupt input");
	out->length += n;
	return true;
}

static bool zstd_compress(const struct compression *c, int level, const char *in, size_t length, struct text *out,
                          const char **ret_error)
{
	size_t bound = ZSTD_compressBound(length), n;
	char *room = text_reserve(out, bound);

	(void)c;
	if (!room)
		return fail(ret_error, too_large);
	if (level < 0)
		level = ZSTD_CLEVEL_DEFAULT;
	n = ZSTD_compress(room, bound, in, length, level < ZSTD_LEVEL_MAX ? level : ZSTD_LEVEL_MAX);
	if (ZSTD_isError(n))
		return fail(ret_error, ZSTD_getErrorName(n));
	out->length += n;
	return true;
}

static const char *zstd_error(bool at_start)
{
	return at_start ? "invalid input: magic number mismatch" : "corrupt input";
}

/* A frame that says how much it holds needs no window of its own. */
static const char *zstd_known(ZSTD_DCtx *context, ZSTD_inBuffer *source, size_t holds, struct text *out)
{
	const char *in = (const char *)source->src + source->pos;
	size_t length = ZSTD_findFrameCompressedSize(in, source->size - source->pos), n;
	char *room = text_reserve(out, holds);

	if (!room)
		return too_large;
	if (ZSTD_isError(length))
		return "unexpected EOF";
	n = ZSTD_decompressDCtx(context, room, holds, in, length);
	if (ZSTD_isError(n))
		return zstd_error(source->pos == 0);
	source->pos += length;
	out->length += n;
	return NULL;
}

static const char *zstd_unknown(ZSTD_DCtx *context, ZSTD_inBuffer *source, struct text *out)
{
	size_t r = 1;

	while (r != 0) {
		char *room = text_reserve(out, CHUNK_BYTES);
		ZSTD_outBuffer sink = {room, CHUNK_BYTES, 0};
		size_t before = source->pos;

		if (!room || arena_is_spent(out->arena))
			return room ? too_long : too_large;
		r = ZSTD_decompressStream(context, &sink, source);
		if (ZSTD_isError(r))
			return zstd_error(before == 0);
		if (source->pos == before && sink.pos == 0 && r != 0)
			return "unexpected EOF";
		out->length += sink.pos;
	}
	return NULL;
}

static bool zstd_decompress(const struct compression *c, const char *in, size_t length, struct text *out,
                            const char **ret_error)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	ZSTD_inBuffer source = {in, length, 0};
	const char *error = context ? NULL : "out of memory";
	bool begun = false;

	(void)c;
	if (context)
		(void)ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	while (!error && (!begun || source.pos < source.size)) {
		unsigned long long holds = ZSTD_getFrameContentSize(in + source.pos, length - source.pos);
		bool known = holds != ZSTD_CONTENTSIZE_UNKNOWN && holds != ZSTD_CONTENTSIZE_ERROR;

		begun = true;
		if (known && holds > SIZE_MAX / 2)
			error = too_large;
		else
			error = known ? zstd_known(context, &source, (size_t)holds, out)
			              : zstd_unknown(context, &source, out);
		if (!error && arena_is_spent(out->arena))
			error = too_long;
	}
	(void)ZSTD_freeDCtx(context);
	return !error || fail(ret_error, error);
}

static bool bzip2_decompress(const struct compression *c, const char *in, size_t length, struct text *out,
                             const char **ret_error)
{
	bz_stream z = {0};
	const char *error = NULL;
	int r = BZ_OK;

	(void)c;
	if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
		return fail(ret_error, "out of memory");
	z.next_in = arena_copy(out->arena, in, length); /* bzlib's input is not const */
	z.avail_in = (unsigned)length;
	while (!error && r != BZ_STREAM_END) {
		char *room = text_reserve(out, CHUNK_BYTES);

		if (!room || arena_is_spent(out->arena)) {
			error = room ? too_long : too_large;
			break;
		}
		z.next_out = room;
		z.avail_out = CHUNK_BYTES;
		r = BZ2_bzDecompress(&z);
		out->length += CHUNK_BYTES - z.avail_out;
		if (r == BZ_DATA_ERROR_MAGIC)
			error = "bzip2 data invalid: bad magic value";
		else if (r != BZ_OK && r != BZ_STREAM_END)
			error = "bzip2 data invalid: corrupt input";
		else if (r == BZ_OK && z.avail_in == 0 && z.avail_out > 0)
			error = "unexpected EOF";
	}
	(void)BZ2_bzDecompressEnd(&z);
	return !error || fail(ret_error, error);
}

static const struct compression compressions[] = {
    {"gzip", zlib_compress, zlib_decompress, WINDOW_GZIP},
    {"pgzip", zlib_compress, zlib_decompress, WINDOW_GZIP},
    {"zlib", zlib_compress, zlib_decompress, WINDOW_ZLIB},
    {"flate", zlib_compress, zlib_decompress, WINDOW_FLATE},
    {"lz4", lz4_compress, lz4_decompress, 0},
    {"snappy", snappy_pack, snappy_unpack, 0},
    {"zstd", zstd_compress, zstd_decompress, 0},
    {"bzip2", NULL, bzip2_decompress, 0},
};

const struct compression *compression_find(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof compressions / sizeof *compressions; i++)
		if (strlen(compressions[i].name) == length && memcmp(compressions[i].name, name, length) == 0)
			return &compressions[i];
	return NULL;
}

bool compression_can_write(const struct compression *c) { return c->compress; }

bool compression_compress(const struct compression *c, int level, const char *in, size_t length, struct text *out,
                          const char **ret_error)
{
	must(c->compress);
	return c->compress(c, level, in, length, out, ret_error);
}

bool compression_decompress(const struct compression *c, const char *in, size_t length, struct text *out,
                            const char **ret_error)
{
	return c->decompress(c, in, length, out, ret_error);
}
