/*
 * The reader keeps finished members of all open containers on one stack of pairs (arrays leave the key unused); a
 * container is allocated at its exact size when it closes.
 *
 * Invariants:
 * 1. count <= capacity of the stack, and each open container's base <= count.
 * 2. After push_item gave `beyond`, or a container had no room, scan.error is set and the reading ends.
 */
#include "value/json.h"

#include <math.h>

#include "base/utf8.h"
#include "value/json_scan.h"
#include "value/number.h"
#include "value/time.h"

struct open_container {
	uint32_t base; /* first of its members on the stack */
	bool is_object;
};

struct builder {
	struct json_scan scan;
	struct value_pair *items;
	uint32_t count;
	uint32_t capacity;
	struct open_container *open;
	uint32_t depth;
	uint32_t open_capacity;
	struct value_pair beyond; /* takes what the arena's limit has no room for */
};

static const char too_large[] = "the document needs more memory than an evaluation may have";

static struct value_pair *push_item(struct builder *b)
{
	if (b->count == b->capacity) {
		uint32_t capacity = b->capacity == 0 ? 64 : b->capacity * 2;
		struct value_pair *items =
		    arena_grow(b->scan.arena, b->items, b->capacity * sizeof *items, capacity * sizeof *items);

		if (!items) {
			b->scan.error = too_large;
			return &b->beyond;
		}
		b->items = items;
		b->capacity = capacity;
	}
	return &b->items[b->count++];
}

static bool open_container(struct builder *b, bool is_object)
{
	if (b->depth >= JSON_DEPTH_MAX) {
		b->scan.error = "exceeded max depth";
		return false;
	}
	if (b->depth == b->open_capacity) {
		uint32_t capacity = b->open_capacity == 0 ? 32 : b->open_capacity * 2;
		struct open_container *open = arena_alloc(b->scan.arena, capacity * sizeof *open);

		if (b->depth != 0)
			memcpy(open, b->open, b->depth * sizeof *open);
		b->open = open;
		b->open_capacity = capacity;
	}
	b->open[b->depth++] = (struct open_container){b->count, is_object};
	b->scan.at++;
	return true;
}

static struct value close_container(struct builder *b)
{
	struct open_container *c = &b->open[--b->depth];
	struct arena *a = b->scan.arena;
	uint32_t count = b->count - c->base;
	struct value_pair *items = count != 0 ? b->items + c->base : NULL;
	struct value v;

	b->scan.at++;
	b->count = c->base;
	if (c->is_object) {
		v = value_object_copy(a, &(struct value_object){.count = count, .pairs = items}, 0);
		value_object_sort(a, v);
		if (a->exceeded)
			b->scan.error = too_large;
		return v;
	}
	v = value_array(a, count);
	if (v.array->capacity < count) {
		b->scan.error = too_large;
		return v;
	}
	for (uint32_t i = 0; i < count; i++)
		v.array->items[i] = items[i].value;
	v.array->count = count;
	return v;
}

/* at on the opening quote; leaves it after the closing one. */
static inline bool read_string(struct json_scan *s, const char **ret, size_t *ret_length)
{
	const char *start = ++s->at;
	unsigned flags;

	if (!scan_string(s, &flags))
		return false;
	*ret = start;
	*ret_length = (size_t)(s->at - start);
	if (flags != 0)
		*ret = scan_decode(s->arena, start, *ret_length, flags, ret_length);
	s->at++;
	return true;
}

static bool read_key(struct builder *b, const char *context)
{
	struct json_scan *s = &b->scan;
	struct value_pair *pair;
	size_t length;

	scan_space(s);
	if (s->at == s->end || *s->at != '"')
		return scan_fail(s, context);
	pair = push_item(b);
	if (pair == &b->beyond || !read_string(s, &pair->key, &length))
		return false;
	pair->key_length = (uint32_t)length;
	scan_space(s);
	if (s->at == s->end || *s->at != ':')
		return scan_fail(s, "after object key");
	s->at++;
	return true;
}

static bool read_scalar(struct json_scan *s, struct value *ret)
{
	const char *start = s->at;
	const char *text;
	size_t length;

	switch (*s->at) {
	case '"':
		if (!read_string(s, &text, &length))
			return false;
		*ret = value_string(text, length);
		return true;
	case 't':
		*ret = value_bool(true);
		return scan_word(s, "true", 4);
	case 'f':
		*ret = value_bool(false);
		return scan_word(s, "false", 5);
	case 'n':
		*ret = value_null();
		return scan_word(s, "null", 4);
	default:
		if (*s->at != '-' && (*s->at < '0' || *s->at > '9'))
			return scan_fail(s, "looking for beginning of value");
		s->at = scan_plain_number(start, s->end);
		if (!s->at) {
			s->at = start;
			if (!scan_number(s))
				return false;
		}
		*ret = value_view(VALUE_NUMBER, start, (size_t)(s->at - start));
		return true;
	}
}

enum begun { BEGUN_FAILED, BEGUN_OPEN, BEGUN_DONE };

/* Reads a scalar, or opens a container and reads up to its first member; an empty container is done at once. */
static enum begun begin_value(struct builder *b, struct value *ret)
{
	struct json_scan *s = &b->scan;
	bool is_object;

	scan_space(s);
	if (s->at == s->end)
		return scan_fail(s, "") ? BEGUN_DONE : BEGUN_FAILED;
	if (*s->at != '{' && *s->at != '[')
		return read_scalar(s, ret) ? BEGUN_DONE : BEGUN_FAILED;
	is_object = *s->at == '{';
	if (!open_container(b, is_object))
		return BEGUN_FAILED;
	scan_space(s);
	if (s->at < s->end && *s->at == (is_object ? '}' : ']')) {
		*ret = close_container(b);
		return BEGUN_DONE;
	}
	if (is_object && !read_key(b, "looking for beginning of object key string"))
		return BEGUN_FAILED;
	return BEGUN_OPEN;
}

static bool build(struct builder *b, struct value *ret)
{
	struct json_scan *s = &b->scan;

	for (;;) {
		struct value v;
		enum begun begun = begin_value(b, &v);

		if (begun == BEGUN_FAILED)
			return false;
		if (begun == BEGUN_OPEN)
			continue;
		for (;;) {
			bool in_object;

			if (b->depth == 0) {
				*ret = v;
				return true;
			}
			in_object = b->open[b->depth - 1].is_object;
			if (in_object)
				b->items[b->count - 1].value = v;
			else
				push_item(b)->value = v;
			if (s->error)
				return false;
			scan_space(s);
			if (s->at < s->end && *s->at == ',') {
				s->at++;
				if (in_object && !read_key(b, "looking for beginning of object key string"))
					return false;
				break;
			}
			if (s->at == s->end || *s->at != (in_object ? '}' : ']'))
				return scan_fail(s, in_object ? "after object key:value pair" : "after array element");
			if (arena_is_spent(b->scan.arena)) {
				s->error = too_large;
				return false;
			}
			v = close_container(b);
			if (s->error)
				return false;
		}
	}
}

bool json_parse_first(struct arena *a, const char *text, size_t length, struct value *ret, size_t *ret_end,
                      const char **ret_error)
{
	struct builder b = {.scan = {.at = text, .end = text + length, .arena = a}};
	bool built = build(&b, ret);

	*ret_end = (size_t)(b.scan.at - text);
	*ret_error = b.scan.error;
	return built;
}

/*
 * What is wrong with what follows a document, in the words of a reader of a stream of documents, which the reference
 * uses: it tries to read one more, and after that another one.
 */
static const char *trailing_fault(struct arena *a, const char *text, const char *end)
{
	const char *error = NULL;
	struct value v;
	size_t used;

	for (int more = 0; more < 2; more++) {
		struct json_scan s = {.at = text, .end = end, .arena = a};

		scan_space(&s);
		if (s.at == end)
			break;
		if (!json_parse_first(a, s.at, (size_t)(end - s.at), &v, &used, &error))
			return error;
		text = s.at + used;
	}
	return "message contains multiple valid documents";
}

bool json_parse(struct arena *a, const char *text, size_t length, struct value *ret, const char **ret_error)
{
	struct builder b = {.scan = {.at = text, .end = text + length, .arena = a}};
	bool built = build(&b, ret);

	*ret_error = b.scan.error;
	if (!built)
		return false;
	scan_space(&b.scan);
	if (b.scan.at == b.scan.end)
		return true;
	*ret_error = trailing_fault(a, b.scan.at, b.scan.end);
	return false;
}
