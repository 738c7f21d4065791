/*
 * Invariants:
 * 1. next and end lie in the newest block; held_bytes is the sum of all blocks.
 * 2. charged_bytes is what the budget counts for this arena: what held_bytes and beside_bytes pass own_bytes by,
 *    unless it said no.
 * 3. Once `exceeded` is set it stays so until the next reset, and `late` never stands without it.
 */
#include "value/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

struct arena_block {
	struct arena_block *older;
	size_t size;
	_Alignas(16) char bytes[];
};

static size_t round_up(size_t size) { return (size + 15) & ~(size_t)15; }

enum { FORMAT_BYTES = 512 };
enum { BLOCK_BYTES = 64 * 1024, RESERVE_BYTES = 1024 * 1024 };

void arena_init(struct arena *a, size_t limit_bytes)
{
	*a = (struct arena){.limits = {.most_bytes = limit_bytes, .own_bytes = limit_bytes}};
}

void arena_limit(struct arena *a, const struct arena_limits *limits)
{
	a->limits = *limits;
	if (!a->reserve)
		a->reserve = mem_alloc(RESERVE_BYTES);
}

static void free_blocks(struct arena_block *b)
{
	while (b) {
		struct arena_block *older = b->older;

		free(b);
		b = older;
	}
}

/* What the blocks beyond its own room are charged with. */
static bool charge(struct arena *a)
{
	size_t all = a->held_bytes + a->beside_bytes;
	size_t beyond = all > a->limits.own_bytes ? all - a->limits.own_bytes : 0;

	if (beyond < a->charged_bytes)
		budget_give(a->charged_bytes - beyond);
	else if (beyond > a->charged_bytes && !budget_take(beyond - a->charged_bytes, a->limits.leaves_room))
		return false;
	a->charged_bytes = beyond;
	return true;
}

void arena_fini(struct arena *a)
{
	free_blocks(a->block);
	a->held_bytes = 0;
	(void)charge(a);
	free(a->reserve);
	*a = (struct arena){.limits = a->limits};
}

bool arena_look(struct arena *a)
{
	a->steps = 0;
	if (a->limits.time_ns == 0)
		return a->exceeded;
	if (a->time.ns == 0)
		allowance_begin(&a->time, a->limits.time_ns);
	else if (allowance_is_spent(&a->time))
		a->late = a->exceeded = true;
	return a->exceeded;
}

int64_t arena_time_left(struct arena *a)
{
	if (a->limits.time_ns == 0)
		return INT64_MAX;
	if (arena_is_spent_now(a))
		return 0;
	return allowance_left_ns(&a->time);
}

/* A block kept for the next message is not larger than this, so that one huge message does not hold memory for ever. */
enum { KEEP_BYTES = 1024 * 1024 };

static struct arena_block *keep_one(struct arena *a)
{
	struct arena_block *keep = NULL;

	for (struct arena_block *b = a->block, *older; b; b = older) {
		older = b->older;
		if (!keep || (b->size > keep->size && b->size <= KEEP_BYTES) || keep->size > KEEP_BYTES) {
			free(keep);
			keep = b;
		} else {
			free(b);
		}
	}
	keep->older = NULL;
	if (keep->size <= KEEP_BYTES)
		return keep;
	free(keep);
	return NULL;
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep;

	a->used = 0;
	a->exceeded = a->late = false;
	a->steps = 0;
	a->time.ns = 0;
	if (!a->block)
		return;
	if (!a->block->older && a->block->size <= KEEP_BYTES) {
		a->next = a->block->bytes;
		return;
	}
	keep = keep_one(a);
	a->held_bytes = keep ? keep->size : 0;
	if (!a->reserve && a->limits.time_ns != 0)
		a->reserve = mem_try(RESERVE_BYTES);
	(void)charge(a);
	a->block = keep;
	a->next = keep ? keep->bytes : NULL;
	a->end = keep ? keep->bytes + keep->size : NULL;
}

static size_t spent(const struct arena *a)
{
	return a->beside_bytes + a->used + (a->block ? (size_t)(a->next - a->block->bytes) : 0);
}

size_t arena_left(const struct arena *a)
{
	size_t have = spent(a);

	return have < a->limits.most_bytes ? a->limits.most_bytes - have : 0;
}

bool arena_fits(struct arena *a, size_t size)
{
	size_t have = spent(a), most = a->limits.most_bytes, own = a->limits.own_bytes;

	if (!a->late && size <= most && have <= most - size) {
		if (have + size <= own || budget_take(have + size - own, a->limits.leaves_room)) {
			if (have + size > own)
				budget_give(have + size - own);
			return true;
		}
	}
	a->exceeded = true;
	return false;
}

bool arena_hold(struct arena *a, size_t bytes)
{
	if (arena_is_own(a))
		return true;
	if (!arena_fits(a, bytes))
		return false;
	a->beside_bytes += bytes;
	if (charge(a))
		return true;
	a->beside_bytes -= bytes;
	a->exceeded = true;
	return false;
}

void arena_let_go(struct arena *a, size_t bytes)
{
	if (arena_is_own(a))
		return;
	must(bytes <= a->beside_bytes);
	a->beside_bytes -= bytes;
	(void)charge(a);
}

/* A block of at least `rounded` bytes. What is past a limit still gets one: whoever asked ends soon. */
static struct arena_block *new_block(struct arena *a, size_t rounded)
{
	size_t size = a->block ? a->block->size * 2 : BLOCK_BYTES;
	struct arena_block *b;

	if (size > KEEP_BYTES)
		size = KEEP_BYTES;
	if (size < rounded)
		size = rounded;
	b = mem_try(sizeof *b + size);
	if (!b && a->reserve && sizeof *b + rounded <= RESERVE_BYTES) {
		a->exceeded = true;
		size = RESERVE_BYTES - sizeof *b;
		b = (struct arena_block *)(void *)a->reserve;
		a->reserve = NULL;
	}
	must(b);
	b->size = size;
	a->held_bytes += size;
	if (!charge(a))
		a->exceeded = true;
	return b;
}

void *arena_alloc_slow(struct arena *a, size_t size)
{
	size_t rounded = round_up(size);
	struct arena_block *b;

	if (rounded == 0)
		rounded = 16;
	if (rounded <= (size_t)(a->end - a->next)) {
		void *p = a->next;

		a->next += rounded;
		return p;
	}
	if (spent(a) + rounded > a->limits.most_bytes)
		a->exceeded = true;
	b = new_block(a, rounded);
	b->older = a->block;
	a->used = spent(a) - a->beside_bytes;
	a->block = b;
	a->next = b->bytes + rounded;
	a->end = b->bytes + b->size;
	return b->bytes;
}

/* The newest block holds nothing but this: the system makes it larger, mostly without a copy. */
static void *grow_block(struct arena *a, size_t size)
{
	struct arena_block *b = realloc(a->block, sizeof *b + size);

	if (!b)
		return NULL;
	a->held_bytes += size - b->size;
	b->size = size;
	a->block = b;
	if (!charge(a))
		a->exceeded = true;
	a->next = a->end = b->bytes + size;
	return b->bytes;
}

void *arena_grow(struct arena *a, void *old, size_t old_size, size_t size)
{
	size_t had = round_up(old_size), want = round_up(size);
	bool is_last = old && (char *)old + had == a->next;
	char *made;

	must(size >= old_size && (old || old_size == 0));
	if (is_last && want - had <= (size_t)(a->end - a->next)) {
		a->next += want - had;
		return old;
	}
	if (!arena_fits(a, is_last ? want - had : want))
		return NULL;
	if (is_last && old == a->block->bytes) {
		made = grow_block(a, want);
		if (made)
			return made;
	}
	made = arena_alloc(a, size);
	if (old)
		memcpy(made, old, old_size);
	return made;
}

char *arena_copy(struct arena *a, const void *bytes, size_t length)
{
	char *copy = arena_alloc(a, length + 1);

	if (length != 0)
		memcpy(copy, bytes, length);
	copy[length] = '\0';
	return copy;
}

char *arena_vformat(struct arena *a, const char *format, va_list ap)
{
	char small[FORMAT_BYTES];
	char *text = small;
	va_list again;
	int length;

	va_copy(again, ap);
	length = vsnprintf(small, sizeof small, format, ap);
	if (length < 0)
		abort();
	if ((size_t)length >= sizeof small && arena_fits(a, (size_t)length + 1)) {
		text = arena_alloc(a, (size_t)length + 1);
		(void)vsnprintf(text, (size_t)length + 1, format, again);
	}
	va_end(again);
	return text == small ? arena_copy(a, small, strlen(small)) : text;
}

char *arena_format(struct arena *a, const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	text = arena_vformat(a, format, ap);
	va_end(ap);
	return text;
}

char *text_reserve(struct text *t, size_t more)
{
	size_t capacity;
	char *data;

	if (t->data && more <= t->capacity - t->length)
		return t->data + t->length;
	capacity = t->capacity < 64 ? 64 : t->capacity * 2;
	if (capacity - t->length < more)
		capacity = t->length + more;
	data = t->failed ? NULL : arena_grow(t->arena, t->data, t->capacity, capacity);
	if (!data) {
		t->failed = true;
		return NULL;
	}
	t->data = data;
	t->capacity = capacity;
	return data + t->length;
}

void text_add_slow(struct text *t, const void *bytes, size_t length)
{
	if (length == 0 || !text_reserve(t, length))
		return;
	memcpy(t->data + t->length, bytes, length);
	t->length += length;
}

void text_addf(struct text *t, const char *format, ...)
{
	char small[256];
	va_list ap;
	va_list again;
	int length;

	va_start(ap, format);
	va_copy(again, ap);
	length = vsnprintf(small, sizeof small, format, ap);
	va_end(ap);
	if (length < 0)
		abort();
	if ((size_t)length < sizeof small) {
		text_add(t, small, (size_t)length);
	} else if (text_reserve(t, (size_t)length + 1)) {
		(void)vsnprintf(t->data + t->length, (size_t)length + 1, format, again);
		t->length += (size_t)length;
	}
	va_end(again);
}

char *text_end(struct text *t)
{
	static const char nothing[16] = "";

	if (!text_reserve(t, 1)) {
		if (!t->data || t->length == 0)
			return arena_copy(t->arena, nothing, 0);
		t->length--;
	}
	t->data[t->length] = '\0';
	return t->data;
}
