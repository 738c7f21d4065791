/*
 * value: the dynamic values of Bloblang and of JSON documents.
 *
 * What it is: a 16-byte tagged value, passed by value; texts, containers and timestamps lie in an arena (or in the
 *     message). Numbers of a document stay as their source text (VALUE_NUMBER) until something computes with them.
 *     Objects keep their pairs sorted by key bytes, each key once: iteration, printing and comparing need no order of
 *     their own. Build big ones with value_object_append() and one value_object_sort().
 * Promises: 6. All of it lies in an arena with a limit.
 * Owner: the arena. Values are immutable once made and shared freely; only path_set() and path_delete() (path.h) write,
 *     and they copy what is not the writer's own.
 * Thread: the arena's.
 * Fails: going past the arena's limit (arena.h); a conversion that does not fit gives false.
 * Does not: keep the order in which keys were written.
 */
#ifndef KSPOOL_VALUE_VALUE_H
#define KSPOOL_VALUE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "value/arena.h"

enum value_kind {
	VALUE_NOTHING, /* the marker nothing(); also: an argument that was not given */
	VALUE_DELETE,  /* the marker deleted() */
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_INT,    /* integer; bits says 8, 16, 32 (made by a cast) or 64 */
	VALUE_UINT,   /* unsigned; bits as above */
	VALUE_FLOAT,  /* bits 32 or 64 */
	VALUE_NUMBER, /* JSON number text, as it came */
	VALUE_STRING, /* bytes, UTF-8 by convention only */
	VALUE_BYTES,
	VALUE_TIMESTAMP,
	VALUE_ARRAY,
	VALUE_OBJECT,
	VALUE_KIND_COUNT
};

/* An instant and the zone it is shown in. */
struct value_time {
	int64_t seconds;     /* since 1970-01-01T00:00:00Z */
	int32_t nanoseconds; /* 0..999999999 */
	int32_t offset_s;    /* east of UTC, at this instant */
	const char *zone;    /* IANA name, "UTC" or "Local"; null: a fixed offset */
};

struct value_array;
struct value_object;

struct value {
	uint8_t kind; /* enum value_kind */
	uint8_t bits; /* width of ints and floats; of BYTES 1: what Go calls nil, which is empty and prints null */
	uint8_t
	    literal; /* container: it is, or holds, an array literal nobody has assigned yet; empty it prints null */
	uint32_t length; /* bytes of NUMBER, STRING, BYTES */
	union {
		bool boolean;
		int64_t integer;
		uint64_t natural;
		double real;
		const char *text; /* NUMBER, STRING, BYTES; not NUL-terminated */
		const struct value_time *time;
		struct value_array *array;
		struct value_object *object;
	};
};

struct value_array {
	uint32_t count;
	uint32_t capacity;
	uint32_t owner; /* the epoch of the writer that may change it in place (path.h); 0: nobody */
	struct value *items;
};

struct value_pair {
	const char *key;
	uint32_t key_length;
	struct value value;
};

struct value_object {
	uint32_t count;
	uint32_t capacity;
	uint32_t owner;
	struct value_pair *pairs;
};

static inline struct value value_nothing(void) { return (struct value){.kind = VALUE_NOTHING}; }
static inline struct value value_delete(void) { return (struct value){.kind = VALUE_DELETE}; }
static inline struct value value_null(void) { return (struct value){.kind = VALUE_NULL}; }
static inline struct value value_bool(bool b) { return (struct value){.kind = VALUE_BOOL, .boolean = b}; }

static inline struct value value_int(int64_t i) { return (struct value){.kind = VALUE_INT, .bits = 64, .integer = i}; }

static inline struct value value_uint(uint64_t u)
{
	return (struct value){.kind = VALUE_UINT, .bits = 64, .natural = u};
}

static inline struct value value_float(double d) { return (struct value){.kind = VALUE_FLOAT, .bits = 64, .real = d}; }

/* A text of the given kind (STRING, BYTES, NUMBER) that lies elsewhere; length must be below 4 GiB (it is: limits). */
static inline struct value value_view(enum value_kind kind, const void *text, size_t length)
{
	return (struct value){.kind = (uint8_t)kind, .length = (uint32_t)length, .text = text};
}

static inline struct value value_string(const void *text, size_t length)
{
	return value_view(VALUE_STRING, text, length);
}

static inline struct value value_bytes(const void *bytes, size_t length)
{
	return value_view(VALUE_BYTES, bytes, length);
}

/* The bytes that Go calls nil: empty, and null as JSON. */
static inline struct value value_no_bytes(void) { return (struct value){.kind = VALUE_BYTES, .bits = 1, .text = ""}; }

/* A string from a C literal or another text that outlives the value. */
static inline struct value value_literal(const char *s) { return value_string(s, strlen(s)); }

/* Copies. */
struct value value_string_copy(struct arena *a, const void *text, size_t length);
/* The text built so far as a string or bytes; t is used up. */
struct value value_from_text(struct text *t, enum value_kind kind);
struct value value_timestamp(struct arena *a, const struct value_time *time);

/*
 * With room for so many at once. Where that passes the arena's limit it has none, `exceeded` is set, and what is pushed
 * may be left out.
 */
struct value value_array(struct arena *a, size_t capacity);
/* A copy with room for more; empty when it passes the limit. */
struct value value_array_copy(struct arena *a, const struct value_array *from, size_t more);
/* Only on an array this code has just made. */
void value_array_push(struct arena *a, struct value array, struct value item);
struct value value_object(struct arena *a, size_t capacity);
struct value value_object_copy(struct arena *a, const struct value_object *from, size_t more);
/* Only on an object this code has just made. Keeps it sorted; replaces an equal key. The key is not copied. */
void value_object_set(struct arena *a, struct value object, const char *key, size_t key_length, struct value v);
/* Faster for many: append without order, then sort once (of equal keys the last stays). */
void value_object_append(struct arena *a, struct value object, const char *key, size_t key_length, struct value v);
/* In an arena that has no room for the sorting it stays as it is, and `exceeded` is set. */
void value_object_sort(struct arena *a, struct value object);
/* Null when there is no such key. */
struct value *value_object_find(struct value object, const char *key, size_t key_length);
/* Position of the first key not below, for inserting; *ret_found says whether it is equal. */
uint32_t value_object_place(const struct value_object *o, const char *key, size_t key_length, bool *ret_found);

static inline bool value_is_nullish(struct value v) { return v.kind <= VALUE_NULL; }
static inline bool value_is_text(struct value v) { return v.kind == VALUE_STRING || v.kind == VALUE_BYTES; }
static inline bool value_is_number(struct value v) { return v.kind >= VALUE_INT && v.kind <= VALUE_NUMBER; }
static inline uint32_t value_count(struct value v)
{
	return v.kind == VALUE_ARRAY ? v.array->count : v.kind == VALUE_OBJECT ? v.object->count : 0;
}

static inline bool value_text_is(struct value v, const char *s)
{
	return value_is_text(v) && strlen(s) == v.length && memcmp(v.text, s, v.length) == 0;
}

/* "string", "number", "object", ... as .type() prints it. */
const char *value_type_name(struct value v);
/* "string", "int64", "json.Number", "[]interface {}", ...: the reference's dynamic type, for messages and Sprintf. */
const char *value_go_type(struct value v);

/* The value as it is once assigned: no literal in it any more. Shares all that is none. */
struct value value_assigned(struct arena *a, struct value v);

/*
 * NUMBER text to INT when it parses as int64, else FLOAT, and to a STRING, as the reference's, when it is beyond
 * float64; narrow widths to 64; everything else unchanged.
 */
struct value value_normal(struct value v);
/* Any number, truncated towards zero; false for other kinds and text beyond float64. Out of range: INT64_MIN. */
bool value_to_int(struct value v, int64_t *ret);
bool value_to_float(struct value v, double *ret);

/* Whether a number counts as true: not zero; of document text the reference looks at the text, so 0.0 does. */
bool value_is_truthy(struct value number);

/* Deep equality as `==` inside containers: numbers as float64, text kinds as text, markers equal nothing; a bool on
 * the left takes a number on the right as truth. */
bool value_equal(struct value a, struct value b);

/*
 * The text form (`.string()`, interpolation): texts raw, null and markers "null", containers as escaped JSON. Only of a
 * container that is no JSON there is none: then false, and *ret_error as json_print() says it.
 */
bool value_print_text(struct text *out, struct value v, const char **ret_error) MUST_CHECK;
/* The same of what is no container. */
void value_print_scalar(struct text *out, struct value v);
/* The same as a value: no copy when v is text already. */
bool value_to_text(struct arena *a, struct value v, struct value *ret, const char **ret_error) MUST_CHECK;

#endif
