/*
 * Functions of the family "general": markers, failing, counters, random numbers, identifiers.
 *
 * Invariants:
 * 1. A cell belongs to one place in a mapping and is shared by all threads: only atomics change it.
 * 2. A cell's state is 0, or its last value with the top bit set: values are never negative.
 * 3. A named counter is added at the head, once a name, and never leaves.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "bloblang/formats/ksuid.h"
#include "bloblang/formats/nanoid.h"
#include "bloblang/formats/snowflake.h"
#include "bloblang/formats/ulid.h"
#include "bloblang/formats/uuid.h"
#include "bloblang/language/function.h"

static const char *annotate_deleted(struct call *call)
{
	(void)call;
	return "delete";
}

static const char *annotate_nothing(struct call *call)
{
	(void)call;
	return "nothing";
}

static const char *annotate_variable(struct call *call)
{
	if (!call->args || call->args[0].kind != VALUE_STRING)
		return NULL;
	return arena_format(call->arena, "variable %.*s", (int)call->args[0].length, call->args[0].text);
}

static bool deleted(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_delete();
	return true;
}

static bool nothing(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_nothing();
	return true;
}

static bool throw(struct call * call, struct value *ret)
{
	(void)ret;
	return call_fail(call, "%.*s", (int)call->args[0].length, call->args[0].text);
}

static bool variable(struct call *call, struct value *ret) { return call_variable(call, call->args[0], ret); }

static bool pi(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_float(M_PI);
	return true;
}

static bool zero_bytes(struct call *call, struct value *ret)
{
	int64_t length = call->args[0].integer;
	char *out;

	if (length < 0 || length > UINT32_MAX || !arena_fits(call->arena, (size_t)length))
		return call_fail(call, "a length of %lld bytes is outside the limits", (long long)length);
	out = arena_alloc(call->arena, (size_t)length);
	memset(out, 0, (size_t)length);
	*ret = value_bytes(out, (size_t)length);
	return true;
}

/* --- range --- */

static bool prepare_range(struct call *call)
{
	int64_t start = call->args[0].integer, stop = call->args[1].integer, step = call->args[2].integer;

	if (step == 0)
		return call_fail_final(call, "step must be greater than or less than 0");
	if (step > 0 && start >= stop)
		return call_fail_final(call, "with positive step arg start (%lld) must be < stop (%lld)",
		                       (long long)start, (long long)stop);
	if (step < 0 && stop > start)
		return call_fail_final(call, "with negative step arg stop (%lld) must be <= start (%lld)",
		                       (long long)stop, (long long)start);
	return true;
}

static bool range(struct call *call, struct value *ret)
{
	int64_t start = call->args[0].integer, step = call->args[2].integer;
	__int128 count = ((__int128)call->args[1].integer - start) / step;

	if (count > UINT32_MAX || !arena_fits(call->arena, (size_t)count * sizeof *ret))
		return call_fail(call, "the range exceeds the limit of this evaluation");
	*ret = value_array(call->arena, (size_t)count);
	for (int64_t i = 0; i < (int64_t)count; i++)
		value_array_push(call->arena, *ret,
		                 value_int((int64_t)((uint64_t)start + (uint64_t)i * (uint64_t)step)));
	return true;
}

/* --- counter: one cell per call site, shared by all threads --- */

struct cell {
	_Atomic uint64_t state; /* 0: not started; else the last value, with the top bit set */
};

#define STARTED (UINT64_C(1) << 63)

static bool prepare_cell(struct call *call)
{
	(void)call;
	call->owned = mem_zero(sizeof(struct cell));
	return true;
}

static void release_cell(void *prepared) { free(prepared); }

static bool counter_bound(struct call *call, size_t i, int64_t *ret)
{
	struct value v;

	if (!call_query_here(call, i, &v))
		return false;
	return call_need_int(call, v, ret);
}

/* What the `set` query says: *ret_peek: leave as it is; *ret_to: the new value. */
static bool counter_set(struct call *call, int64_t min, bool *ret_peek, bool *ret_assign, int64_t *ret_to)
{
	struct value v;

	*ret_peek = *ret_assign = false;
	if (!call_given(call, 2))
		return true;
	if (!call_query_here(call, 2, &v))
		return false;
	switch (v.kind) {
	case VALUE_NOTHING:
		return true;
	case VALUE_NULL:
		*ret_peek = true;
		return true;
	case VALUE_DELETE:
		*ret_assign = true;
		*ret_to = min;
		return true;
	default:
		*ret_assign = true;
		if (!call_need_int(call, v, ret_to))
			return false;
		return *ret_to >= 0 || call_fail(call, "set argument must be >=0, got %lld", (long long)*ret_to);
	}
}

static bool counter(struct call *call, struct value *ret)
{
	struct cell *cell = call->owned;
	int64_t min, max, to = 0;
	bool peek, assign;
	uint64_t old, next;

	if (!counter_bound(call, 0, &min) || !counter_bound(call, 1, &max))
		return false;
	if (min < 0)
		return call_fail(call, "min argument must be >0, got %lld", (long long)min);
	if (max <= min)
		return call_fail(call, "max argument must be >0 and >min, got %lld", (long long)max);
	if (!counter_set(call, min, &peek, &assign, &to))
		return false;
	old = atomic_load(&cell->state);
	do {
		int64_t last = old ? (int64_t)(old & ~STARTED) : min - 1;

		if (peek) {
			*ret = value_int(old ? last : min);
			return true;
		}
		if (assign)
			next = (uint64_t)to;
		else
			next = (uint64_t)(last >= max ? min : last + 1);
		must(next < STARTED);
	} while (!atomic_compare_exchange_weak(&cell->state, &old, next | STARTED));
	*ret = value_int((int64_t)next);
	return true;
}

/* --- count: named counters of the process; the list only grows, at the head --- */

struct named_counter {
	struct named_counter *next;
	_Atomic int64_t value;
	size_t length;
	char name[];
};

enum { COUNTERS_MAX = 10000, COUNTER_NAME_MAX = 256 };

static _Atomic(struct named_counter *) counters;
static _Atomic int counters_made;

static struct named_counter *find_counter(struct named_counter *from, const struct named_counter *until,
                                          const char *name, size_t length)
{
	for (; from != until; from = from->next)
		if (from->length == length && memcmp(from->name, name, length) == 0)
			return from;
	return NULL;
}

static struct named_counter *take_counter(const char *name, size_t length)
{
	struct named_counter *head = atomic_load(&counters), *seen = NULL;
	struct named_counter *found = find_counter(head, NULL, name, length), *made;

	if (found || atomic_load(&counters_made) >= COUNTERS_MAX)
		return found;
	made = mem_zero(sizeof *made + length);
	made->length = length;
	memcpy(made->name, name, length);
	do { /* another thread may have added the same name meanwhile */
		found = find_counter(head, seen, name, length);
		if (found) {
			free(made);
			return found;
		}
		seen = head;
		made->next = head;
	} while (!atomic_compare_exchange_weak(&counters, &head, made));
	(void)atomic_fetch_add(&counters_made, 1);
	return made;
}

static bool count(struct call *call, struct value *ret)
{
	struct named_counter *c;

	if (call->args[0].length > COUNTER_NAME_MAX)
		return call_fail(call, "the name of a count is longer than %d bytes", COUNTER_NAME_MAX);
	c = take_counter(call->args[0].text, call->args[0].length);
	if (!c)
		return call_fail(call, "more than %d names are counted", COUNTERS_MAX);
	*ret = value_int(atomic_fetch_add(&c->value, 1) + 1);
	return true;
}

/* --- random_int --- */

struct generator {
	_Atomic uint64_t state; /* 0: not seeded; splitmix64 */
	int64_t min, max;
};

static bool prepare_generator(struct call *call)
{
	struct generator *g;
	int64_t min = call->args[1].integer, max = call->args[2].integer;

	if (min < 0)
		return call_fail_final(call, "min (%lld) must be a positive number", (long long)min);
	if (min > max)
		return call_fail_final(call, "min (%lld) must be smaller or equal than max (%lld)", (long long)min,
		                       (long long)max);
	if (max == INT64_MAX)
		return call_fail_final(call, "max must be smaller than the max allowed for an int64 (%lld)",
		                       (long long)max);
	g = mem_zero(sizeof *g);
	g->min = min;
	g->max = max;
	call->owned = g;
	return true;
}

static uint64_t splitmix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool random_int(struct call *call, struct value *ret)
{
	struct generator *g = call->owned;
	uint64_t width = (uint64_t)g->max - (uint64_t)g->min + 1, limit, draw;

	if (atomic_load(&g->state) == 0) { /* the seed is asked for once */
		uint64_t none = 0;
		struct value seed;
		int64_t n;

		if (!call_query_here(call, 0, &seed) || !call_need_int(call, seed, &n))
			return false;
		(void)atomic_compare_exchange_strong(&g->state, &none, splitmix((uint64_t)n) | 1);
	}
	limit = width ? UINT64_MAX - (UINT64_MAX % width + 1) % width : UINT64_MAX;
	do {
		draw = splitmix(atomic_fetch_add(&g->state, UINT64_C(0x9e3779b97f4a7c16)));
	} while (draw > limit);
	*ret = value_int((int64_t)((uint64_t)g->min + (width ? draw % width : draw)));
	return true;
}

/* --- identifiers --- */

static bool uuid_v4(struct call *call, struct value *ret)
{
	char text[37];

	*ret = value_string_copy(call->arena, random_uuid(text), sizeof text - 1);
	return true;
}

static struct value text_of(struct call *call, const char *s) { return value_string_copy(call->arena, s, strlen(s)); }

/* 48 bits of milliseconds. */
#define UUID_V7_SECONDS_MAX ((INT64_C(1) << 48) / MS_PER_S - 1)

static bool uuid_v7(struct call *call, struct value *ret)
{
	unsigned char id[UUID_BYTES];
	char text[UUID_TEXT_MAX];
	int64_t ms = clock_wall_ms();

	if (call->args[0].kind == VALUE_TIMESTAMP) {
		if (call->args[0].time->seconds < 0 || call->args[0].time->seconds > UUID_V7_SECONDS_MAX)
			return call_fail(call, "a version 7 UUID holds no time before 1970 or after 10889");
		ms = call->args[0].time->seconds * MS_PER_S + call->args[0].time->nanoseconds / NS_PER_MS;
	}
	uuid_v7_make(ms, id);
	*ret = text_of(call, uuid_print(id, text));
	return true;
}

static bool ksuid(struct call *call, struct value *ret)
{
	char text[KSUID_TEXT_MAX];

	*ret = text_of(call, ksuid_make(text));
	return true;
}

static bool ulid(struct call *call, struct value *ret)
{
	char text[ULID_HEX_MAX];

	if (!value_text_is(call->args[1], "secure_random") && !value_text_is(call->args[1], "pseudo_random"))
		return call_fail(call, "invalid randomness source: %.*s", (int)call->args[1].length,
		                 call->args[1].text);
	if (value_text_is(call->args[0], "crockford"))
		*ret = text_of(call, ulid_make(text));
	else if (value_text_is(call->args[0], "hex"))
		*ret = text_of(call, ulid_make_hex(text));
	else
		return call_fail(call, "invalid ulid encoding: %.*s", (int)call->args[0].length, call->args[0].text);
	return true;
}

static bool prepare_nanoid(struct call *call)
{
	return !call_given(call, 1) || call_given(call, 0) ||
	       call_fail(call, "field length must be specified when an alphabet is specified");
}

static bool nanoid(struct call *call, struct value *ret)
{
	static const char usual[] = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct value alphabet = call->args[1];
	int64_t length = call_given(call, 0) ? call->args[0].integer : NANOID_LENGTH;
	char text[NANOID_LENGTH_MAX];

	if (alphabet.kind == VALUE_STRING && (alphabet.length == 0 || alphabet.length > 255))
		return call_fail(call, "alphabet must not be empty and contain no more than 255 chars");
	if (alphabet.kind == VALUE_STRING && length < 1)
		return call_fail(call, "size must be positive integer");
	if (length < 0)
		return call_fail(call, "negative id length");
	if (length > NANOID_LENGTH_MAX)
		return call_fail(call, "the length must be at most %d, got %lld", NANOID_LENGTH_MAX, (long long)length);
	if (alphabet.kind != VALUE_STRING)
		alphabet = value_string(usual, sizeof usual - 1);
	nanoid_make(text, (size_t)length, alphabet.text, alphabet.length);
	*ret = value_string_copy(call->arena, text, (size_t)length);
	return true;
}

static bool snowflake_id(struct call *call, struct value *ret)
{
	int64_t node = call->args[0].integer;

	if (node < 0 || node > 1023)
		return call_fail(call, "Node number must be between 0 and 1023");
	*ret = text_of(call, arena_format(call->arena, "%lld", (long long)snowflake_make((uint32_t)node)));
	return true;
}

/* clang-format off */
const struct bloblang_row rows_functions_general[] = {
	{.name = "deleted", .kind = FUNCTION, .flags = ROW_FOLD, .evaluate = deleted, .annotate = annotate_deleted,
	 .summary = "Marks its target for deletion: a field, an element, a variable, a metadata key, or the message."},
	{.name = "nothing", .kind = FUNCTION, .status = HIDDEN, .flags = ROW_FOLD, .evaluate = nothing,
	 .annotate = annotate_nothing, .summary = "Makes the assignment around it do nothing."},
	{.name = "throw", .kind = FUNCTION, .evaluate = throw, .parameters = {{"why", PARAM_STRING, false, NULL}},
	 .summary = "Fails with the given text."},
	{.name = "var", .kind = FUNCTION, .status = HIDDEN, .evaluate = variable, .annotate = annotate_variable,
	 .parameters = {{"name", PARAM_STRING, false, NULL}},
	 .summary = "The variable of a name, which may be computed."},
	{.name = "pi", .kind = FUNCTION, .evaluate = pi, .summary = "3.141592653589793."},
	{.name = "bytes", .kind = FUNCTION, .evaluate = zero_bytes,
	 .parameters = {{"length", PARAM_INT, false, NULL}}, .summary = "A number of zero bytes."},
	{.name = "range", .kind = FUNCTION, .evaluate = range, .prepare = prepare_range,
	 .parameters = {{"start", PARAM_INT, false, NULL}, {"stop", PARAM_INT, false, NULL},
	 {"step", PARAM_INT, false, "1"}}, .summary = "An array of integers from start to before stop."},
	{.name = "counter", .kind = FUNCTION, .status = EXPERIMENTAL, .flags = ROW_VARIES, .evaluate = counter, .prepare = prepare_cell,
	 .release = release_cell, .parameters = {{"min", PARAM_QUERY_OR_VALUE, false, "1"},
	 {"max", PARAM_QUERY_OR_VALUE, false, "9223372036854775807"}, {"set", PARAM_QUERY, true, NULL}},
	 .summary = "Counts up from min to max and starts again, once for each place it is written at."},
	{.name = "count", .kind = FUNCTION, .status = DEPRECATED, .flags = ROW_IMPURE | ROW_VARIES, .evaluate = count,
	 .parameters = {{"name", PARAM_STRING, false, NULL}}, .summary = "Counts up a named counter of the process."},
	{.name = "random_int", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = random_int, .prepare = prepare_generator,
	 .release = release_cell, .parameters = {{"seed", PARAM_QUERY_OR_VALUE, false, "0"},
	 {"min", PARAM_INT, false, "0"}, {"max", PARAM_INT, false, "9223372036854775806"}},
	 .summary = "A random integer between min and max, both included."},
	{.name = "uuid_v4", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = uuid_v4, .summary = "A random UUID in lower case."},
	{.name = "uuid_v7", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = uuid_v7,
	 .parameters = {{"time", PARAM_TIMESTAMP, true, NULL}},
	 .summary = "A version 7 UUID of now or of a given time."},
	{.name = "ksuid", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = ksuid,
	 .summary = "A K-sortable identifier of 27 characters."},
	{.name = "ulid", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = ulid,
	 .parameters = {{"encoding", PARAM_STRING, false, "\"crockford\""},
	 {"random_source", PARAM_STRING, false, "\"secure_random\""}},
	 .summary = "A sortable identifier, in crockford or hex."},
	{.name = "nanoid", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = nanoid, .prepare = prepare_nanoid,
	 .parameters = {{"length", PARAM_INT, true, NULL}, {"alphabet", PARAM_STRING, true, NULL}},
	 .summary = "A random identifier safe in URLs."},
	{.name = "snowflake_id", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = snowflake_id,
	 .parameters = {{"node_id", PARAM_INT, false, "1"}}, .summary = "A snowflake identifier as decimal text."},
	{.name = NULL},
};
/* clang-format on */
