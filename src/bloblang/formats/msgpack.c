/*
 * MessagePack, by its first byte.
 *
 * Invariants:
 * 1. p <= end; nothing is allocated by a length that the bytes left cannot fill.
 * 2. depth <= MSGPACK_DEPTH_MAX both ways.
 * 3. The writer takes the shortest form that holds a value, as the reference does.
 */
#include "bloblang/formats/msgpack.h"

#include <stdint.h>
#include <string.h>

#include "base/check.h"

enum { EXTENSION_TIME = 0xff };

struct msgpack_reader {
	struct arena *arena;
	const unsigned char *p;
	const unsigned char *end;
	const char *error;
	int depth;
};

static bool read_value(struct msgpack_reader *r, struct value *ret);

static bool fail(struct msgpack_reader *r, const char *what)
{
	r->error = what;
	return false;
}

static bool take(struct msgpack_reader *r, size_t bytes, uint64_t *ret)
{
	*ret = 0;
	if ((size_t)(r->end - r->p) < bytes)
		return fail(r, "EOF");
	for (size_t i = 0; i < bytes; i++)
		*ret = *ret << 8 | *r->p++;
	return true;
}

static bool read_text(struct msgpack_reader *r, uint64_t length, enum value_kind kind, struct value *ret)
{
	if (length > (uint64_t)(r->end - r->p))
		return fail(r, "unexpected EOF");
	*ret = value_view(kind, r->p, (size_t)length);
	r->p += length;
	return true;
}

static bool read_array(struct msgpack_reader *r, uint64_t count, struct value *ret)
{
	if (count > (uint64_t)(r->end - r->p)) /* every element takes a byte at least */
		return fail(r, "unexpected EOF");
	*ret = value_array(r->arena, (size_t)count);
	for (uint64_t i = 0; i < count; i++) {
		struct value item;

		if (!read_value(r, &item))
			return false;
		value_array_push(r->arena, *ret, item);
	}
	return true;
}

static bool read_map(struct msgpack_reader *r, uint64_t count, struct value *ret)
{
	if (count > (uint64_t)(r->end - r->p) / 2)
		return fail(r, "unexpected EOF");
	*ret = value_object(r->arena, (size_t)count);
	for (uint64_t i = 0; i < count; i++) {
		struct value key, item;

		if (!read_value(r, &key) || !read_value(r, &item))
			return false;
		if (!value_is_text(key))
			return fail(r, "msgpack: a map key is not a string");
		value_object_append(r->arena, *ret, key.text, key.length, item);
	}
	value_object_sort(r->arena, *ret);
	return true;
}

static bool read_float(struct msgpack_reader *r, size_t bytes, struct value *ret)
{
	uint64_t raw;
	uint32_t raw32;
	float f;
	double d;

	if (!take(r, bytes, &raw))
		return false;
	if (bytes == 8) {
		memcpy(&d, &raw, sizeof d);
		*ret = value_float(d);
	} else {
		raw32 = (uint32_t)raw;
		memcpy(&f, &raw32, sizeof f);
		*ret = value_float((double)f);
		ret->bits = 32;
	}
	return true;
}

static bool read_integer(struct msgpack_reader *r, size_t bytes, bool negative, struct value *ret)
{
	uint64_t raw;

	must(bytes >= 1 && bytes <= sizeof raw);
	if (!take(r, bytes, &raw))
		return false;
	if (negative)
		*ret = value_int((int64_t)(raw << (64 - 8 * bytes)) >> (64 - 8 * bytes));
	else
		*ret = raw <= INT64_MAX ? value_int((int64_t)raw) : value_uint(raw);
	return true;
}

/* Timestamps are the only extension with a meaning. */
static bool read_extension(struct msgpack_reader *r, uint64_t length, struct value *ret)
{
	struct value_time t = {.zone = "UTC"};
	uint64_t type, high = 0, low;

	if (!take(r, 1, &type))
		return false;
	if (type != EXTENSION_TIME || (length != 4 && length != 8 && length != 12)) {
		r->error = arena_format(r->arena, "msgpack: unknown ext id=%d", (int)(int8_t)type);
		return false;
	}
	if ((length == 12 && !take(r, 4, &high)) || !take(r, length == 4 ? 4 : 8, &low))
		return false;
	t.seconds = (int64_t)(length == 8 ? low & ((UINT64_C(1) << 34) - 1) : low);
	t.nanoseconds = (int32_t)((length == 8 ? low >> 34 : high) % 1000000000);
	*ret = value_timestamp(r->arena, &t);
	return true;
}

static bool read_sized(struct msgpack_reader *r, unsigned code, struct value *ret)
{
	static const struct {
		unsigned char first; /* of a run of codes whose length field doubles */
		unsigned char count;
		unsigned char least; /* bytes of the first's length field */
		char shape;
	} runs[] = {{0xc4, 3, 1, 'b'}, {0xc7, 3, 1, 'e'}, {0xd9, 3, 1, 's'}, {0xdc, 2, 2, 'a'}, {0xde, 2, 2, 'm'}};
	uint64_t length;

	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		if (code < runs[i].first || code >= (unsigned)(runs[i].first + runs[i].count))
			continue;
		if (!take(r, (size_t)runs[i].least << (code - runs[i].first), &length))
			return false;
		switch (runs[i].shape) {
		case 'b':
			return read_text(r, length, VALUE_BYTES, ret);
		case 's':
			return read_text(r, length, VALUE_STRING, ret);
		case 'a':
			return read_array(r, length, ret);
		case 'm':
			return read_map(r, length, ret);
		default:
			return read_extension(r, length, ret);
		}
	}
	r->error = arena_format(r->arena, "msgpack: unknown code %x decoding interface{}", code);
	return false;
}

static bool read_coded(struct msgpack_reader *r, unsigned code, struct value *ret)
{
	if (code <= 0x7f || code >= 0xe0) {
		*ret = value_int((int8_t)code);
		return true;
	}
	if (code <= 0x8f)
		return read_map(r, code & 15, ret);
	if (code <= 0x9f)
		return read_array(r, code & 15, ret);
	if (code <= 0xbf)
		return read_text(r, code & 31, VALUE_STRING, ret);
	if (code >= 0xcc && code <= 0xcf)
		return read_integer(r, (size_t)1 << (code - 0xcc), false, ret);
	if (code >= 0xd0 && code <= 0xd3)
		return read_integer(r, (size_t)1 << (code - 0xd0), true, ret);
	if (code >= 0xd4 && code <= 0xd8)
		return read_extension(r, UINT64_C(1) << (code - 0xd4), ret);
	switch (code) {
	case 0xc0:
		*ret = value_null();
		return true;
	case 0xc2:
	case 0xc3:
		*ret = value_bool(code == 0xc3);
		return true;
	case 0xca:
		return read_float(r, 4, ret);
	case 0xcb:
		return read_float(r, 8, ret);
	default:
		return read_sized(r, code, ret);
	}
}

static bool read_value(struct msgpack_reader *r, struct value *ret)
{
	uint64_t code;
	bool ok;

	must(r->p <= r->end);
	if (++r->depth > MSGPACK_DEPTH_MAX || arena_is_spent(r->arena))
		return fail(r, "msgpack: nested too deeply or too large");
	if (!take(r, 1, &code))
		return false;
	ok = read_coded(r, (unsigned)code, ret);
	r->depth--;
	return ok;
}

bool msgpack_read(struct arena *a, const char *bytes, size_t length, struct value *ret, const char **ret_error)
{
	struct msgpack_reader r = {
	    .arena = a, .p = (const unsigned char *)bytes, .end = (const unsigned char *)bytes + length};

	if (read_value(&r, ret))
		return true;
	*ret_error = r.error;
	return false;
}

static void put(struct text *out, unsigned code, uint64_t v, int bytes)
{
	text_add_char(out, (char)code);
	for (int i = bytes - 1; i >= 0; i--)
		text_add_char(out, (char)(v >> (8 * i)));
}

/* code8 0: there is no form with one byte of length. */
static void put_length(struct text *out, size_t length, unsigned fixed, size_t fixed_max, unsigned code8,
                       unsigned code16)
{
	if (length <= fixed_max && fixed)
		text_add_char(out, (char)(fixed | length));
	else if (length <= UINT8_MAX && code8)
		put(out, code8, length, 1);
	else if (length <= UINT16_MAX)
		put(out, code16, length, 2);
	else
		put(out, code16 + 1, length, 4);
}

static void put_integer(struct text *out, int64_t i)
{
	if (i >= 0 && i <= 127)
		text_add_char(out, (char)i);
	else if (i < 0 && i >= -32)
		text_add_char(out, (char)i);
	else if (i >= 0 && i <= UINT8_MAX)
		put(out, 0xcc, (uint64_t)i, 1);
	else if (i >= 0 && i <= UINT16_MAX)
		put(out, 0xcd, (uint64_t)i, 2);
	else if (i >= 0 && i <= UINT32_MAX)
		put(out, 0xce, (uint64_t)i, 4);
	else if (i >= INT8_MIN && i < 0)
		put(out, 0xd0, (uint64_t)i, 1);
	else if (i >= INT16_MIN && i < 0)
		put(out, 0xd1, (uint64_t)i, 2);
	else if (i >= INT32_MIN && i < 0)
		put(out, 0xd2, (uint64_t)i, 4);
	else
		put(out, 0xd3, (uint64_t)i, 8);
}

static void put_float(struct text *out, struct value v)
{
	uint64_t raw;
	uint32_t raw32;
	float f = (float)v.real;

	memcpy(&raw, &v.real, sizeof raw);
	memcpy(&raw32, &f, sizeof raw32);
	if (v.bits == 32)
		put(out, 0xca, raw32, 4);
	else
		put(out, 0xcb, raw, 8);
}

static void put_time(struct text *out, const struct value_time *t)
{
	put(out, 0xc7, 12, 1);
	put(out, EXTENSION_TIME, (uint64_t)(uint32_t)t->nanoseconds << 32 | ((uint64_t)t->seconds >> 32), 8);
	for (int i = 3; i >= 0; i--)
		text_add_char(out, (char)((uint64_t)t->seconds >> (8 * i)));
}

static void put_string(struct text *out, const char *text, size_t length)
{
	put_length(out, length, 0xa0, 31, 0xd9, 0xda);
	text_add(out, text, length);
}

/* False when it is nested too deeply. */
static bool write_value(struct text *out, struct value v, unsigned depth)
{
	if (depth > MSGPACK_DEPTH_MAX || arena_is_spent(out->arena))
		return false;
	if (v.kind == VALUE_INT &&
	    v.bits == 64) { /* what a mapping computed has its whole width, as in the reference */
		put(out, 0xd3, (uint64_t)v.integer, 8);
		return true;
	}
	v = value_normal(v);
	switch ((enum value_kind)v.kind) {
	case VALUE_BOOL:
		text_add_char(out, (char)(v.boolean ? 0xc3 : 0xc2));
		break;
	case VALUE_INT:
		put_integer(out, v.integer);
		break;
	case VALUE_UINT:
		if (v.natural <= INT64_MAX)
			put_integer(out, (int64_t)v.natural);
		else
			put(out, 0xcf, v.natural, 8);
		break;
	case VALUE_FLOAT:
		put_float(out, v);
		break;
	case VALUE_STRING:
		put_string(out, v.text, v.length);
		break;
	case VALUE_BYTES:
		put_length(out, v.length, 0, 0, 0xc4, 0xc5);
		text_add(out, v.text, v.length);
		break;
	case VALUE_TIMESTAMP:
		put_time(out, v.time);
		break;
	case VALUE_ARRAY:
		put_length(out, value_count(v), 0x90, 15, 0, 0xdc);
		for (uint32_t i = 0; i < value_count(v) && !out->failed; i++)
			if (!write_value(out, v.array->items[i], depth + 1))
				return false;
		break;
	case VALUE_OBJECT:
		put_length(out, value_count(v), 0x80, 15, 0, 0xde);
		for (uint32_t i = 0; i < value_count(v) && !out->failed; i++) {
			put_string(out, v.object->pairs[i].key, v.object->pairs[i].key_length);
			if (!write_value(out, v.object->pairs[i].value, depth + 1))
				return false;
		}
		break;
	default:
		text_add_char(out, (char)0xc0);
		break;
	}
	return true;
}

bool msgpack_write(struct text *out, struct value v) { return write_value(out, v, 1); }
