/* Methods of the family "encoding": encodings, digests, compression, names as UUIDs. */
#include <string.h>

#include "bloblang/golang/goquote.h"
#include "bloblang/formats/compression.h"
#include "bloblang/formats/digest.h"
#include "bloblang/formats/encoding.h"
#include "bloblang/formats/uuid.h"
#include "bloblang/language/function.h"

static bool prepare_encoding(struct call *call)
{
	struct value name = call->args[0];

	call->prepared = encoding_find(name.text, name.length);
	return call->prepared || call_fail_final(call, "unrecognized encoding type: %.*s", (int)name.length, name.text);
}

static bool encode(struct call *call, struct value *ret)
{
	struct value in;
	struct text out;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	if (!encoding_encode(call->prepared, in.text, in.length, &out, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

static bool decode(struct call *call, struct value *ret)
{
	struct value in;
	struct text out;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	if (!encoding_decode(call->prepared, in.text, in.length, &out, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

static bool prepare_hash(struct call *call)
{
	struct value name = call->args[0];
	const struct digest *d = digest_find(name.text, name.length);

	if (!d)
		return call_fail_final(call, "unrecognized hash type: %.*s", (int)name.length, name.text);
	if (digest_needs_key(d) && call->args[1].length == 0)
		return call_fail_final(call, "hash algorithm %.*s requires a key argument", (int)name.length,
		                       name.text);
	call->prepared = d;
	return true;
}

static bool hash(struct call *call, struct value *ret)
{
	const struct digest *d = call->prepared;
	struct value key = call->args[1], polynomial = call->args[2], in;
	uint32_t reversed = digest_crc_polynomial(polynomial.text, polynomial.length);
	unsigned char out[DIGEST_MAX];
	size_t n;

	if (!call_need_text(call, call->target, &in))
		return false;
	if (digest_is_crc(d) && reversed == 0)
		return call_fail(call, "unsupported crc32 hash key \"%.*s\"", (int)polynomial.length, polynomial.text);
	n = digest_make(d, in.text, in.length, key.kind == VALUE_STRING ? key.text : "",
	                key.kind == VALUE_STRING ? key.length : 0, reversed, out);
	*ret = value_bytes(arena_copy(call->arena, out, n), n);
	return true;
}

static bool prepare_compress(struct call *call)
{
	struct value name = call->args[0];
	const struct compression *c = compression_find(name.text, name.length);

	if (!c || !compression_can_write(c))
		return call_fail_final(call, "compression type not recognised: %.*s", (int)name.length, name.text);
	call->prepared = c;
	return true;
}

static bool prepare_decompress(struct call *call)
{
	struct value name = call->args[0];

	call->prepared = compression_find(name.text, name.length);
	return call->prepared ||
	       call_fail_final(call, "compression type not recognised: %.*s", (int)name.length, name.text);
}

/* Of text, bytes, or a timestamp's text. */
static bool need_bytes(struct call *call, struct value *ret)
{
	if (!value_is_text(call->target) && call->target.kind != VALUE_TIMESTAMP)
		return call_fail_type(call, call->target, "bytes");
	return call_need_string(call, call->target, ret);
}

static bool compress_target(struct call *call, struct value *ret)
{
	int64_t level = call->args[1].integer;
	struct value in = value_null();
	struct text out;
	const char *error;

	if (!need_bytes(call, &in))
		return false;
	text_init(&out, call->arena);
	if (!compression_compress(call->prepared, level < -9 || level > 99 ? 100 : (int)level, in.text, in.length, &out,
	                          &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

static bool decompress_target(struct call *call, struct value *ret)
{
	struct value in = value_null();
	struct text out;
	const char *error;

	if (!need_bytes(call, &in))
		return false;
	text_init(&out, call->arena);
	if (!compression_decompress(call->prepared, in.text, in.length, &out, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

static bool uuid_v5(struct call *call, struct value *ret)
{
	struct value namespace = call->args[0], in;
	unsigned char id[UUID_BYTES] = {0};

	if (call->target.kind == VALUE_NULL) {
		*ret = call->target;
		return true;
	}
	if (namespace.kind == VALUE_STRING && !uuid_namespace(namespace.text, namespace.length, id)) {
		struct text t;

		text_init(&t, call->arena);
		go_quote(&t, namespace.text, namespace.length, false);
		return call_fail(call, "invalid ns uuid: %s", text_end(&t));
	}
	if (!call_need_text(call, call->target, &in))
		return false;
	uuid_v5_make(id, in.text, in.length, id);
	*ret = value_string(uuid_print(id, arena_alloc(call->arena, UUID_TEXT_MAX)), UUID_TEXT_MAX - 1);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_encoding[] = {
	{.name = "encode", .kind = METHOD, .evaluate = encode, .prepare = prepare_encoding,
	 .parameters = {{"scheme", PARAM_STRING, false, NULL}},
	 .summary = "Bytes as text: base64, base64url, base64rawurl, hex, ascii85 or z85."},
	{.name = "decode", .kind = METHOD, .evaluate = decode, .prepare = prepare_encoding,
	 .parameters = {{"scheme", PARAM_STRING, false, NULL}}, .summary = "The bytes of an encoded text."},
	{.name = "hash", .kind = METHOD, .evaluate = hash, .prepare = prepare_hash,
	 .parameters = {{"algorithm", PARAM_STRING, false, NULL}, {"key", PARAM_STRING, true, NULL},
	 {"polynomial", PARAM_STRING, false, "\"IEEE\""}}, .summary = "A digest, HMAC or check sum of the bytes."},
	{.name = "compress", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = compress_target,
	 .prepare = prepare_compress,
	 .parameters = {{"algorithm", PARAM_STRING, false, NULL}, {"level", PARAM_INT, false, "-1"}},
	 .summary = "Compresses bytes: flate, gzip, pgzip, lz4, snappy, zlib or zstd."},
	{.name = "decompress", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = decompress_target,
	 .prepare = prepare_decompress, .parameters = {{"algorithm", PARAM_STRING, false, NULL}},
	 .summary = "Decompresses bytes: gzip, pgzip, zlib, bzip2, flate, snappy, lz4 or zstd."},
	{.name = "uuid_v5", .kind = METHOD, .evaluate = uuid_v5, .parameters = {{"ns", PARAM_STRING, true, NULL}},
	 .summary = "The version 5 UUID of the text in a namespace."},
	{.name = NULL},
};
/* clang-format on */
