#include "value/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct arena_block {
	struct arena_block *older;
	size_t size;
	_Alignas(16) char bytes[];
};

enum { BLOCK_BYTES = 64 * 1024 };

void arena_init(struct arena *a, size_t limit_bytes) { *a = (struct arena){.limit = limit_bytes}; }

static void free_blocks(struct arena_block *b)
{
	while (b) {
		struct arena_block *older = b->older;

		free(b);
		b = older;
	}
}

void arena_fini(struct arena *a)
{
	free_blocks(a->block);
	*a = (struct arena){.limit = a->limit};
}

/* A block kept for the next message is not larger than this, so that one huge message does not hold memory for ever. */
enum { KEEP_BYTES = 1024 * 1024 };

void arena_reset(struct arena *a)
{
	struct arena_block *keep = NULL;

	a->used = 0;
	a->exceeded = false;
	if (!a->block)
		return;
	if (!a->block->older && a->block->size <= KEEP_BYTES) {
		a->next = a->block->bytes;
		return;
	}
	for (struct arena_block *b = a->block, *older; b; b = older) {
		older = b->older;
		if (!keep || (b->size > keep->size && b->size <= KEEP_BYTES) || keep->size > KEEP_BYTES) {
			free(keep);
			keep = b;
		} else {
			free(b);
		}
	}
	if (keep->size > KEEP_BYTES) {
		free(keep);
		keep = NULL;
	} else {
		keep->older = NULL;
	}
	a->block = keep;
	a->next = keep ? keep->bytes : NULL;
	a->end = keep ? keep->bytes + keep->size : NULL;
}

static size_t spent(const struct arena *a) { return a->used + (a->block ? (size_t)(a->next - a->block->bytes) : 0); }

bool arena_fits(struct arena *a, size_t size)
{
	size_t have = spent(a);

	if (size <= a->limit && have <= a->limit - size)
		return true;
	a->exceeded = true;
	return false;
}

void *arena_alloc_slow(struct arena *a, size_t size)
{
	size_t rounded = (size + 15) & ~(size_t)15;
	struct arena_block *b;
	size_t block_size;

	if (rounded == 0)
		rounded = 16;
	if (rounded <= (size_t)(a->end - a->next)) {
		void *p = a->next;

		a->next += rounded;
		return p;
	}
	if (spent(a) + rounded > a->limit)
		a->exceeded = true;
	block_size = a->block ? a->block->size * 2 : BLOCK_BYTES;
	if (block_size > KEEP_BYTES)
		block_size = KEEP_BYTES;
	if (block_size < rounded)
		block_size = rounded;
	b = mem_alloc(sizeof *b + block_size);
	b->size = block_size;
	b->older = a->block;
	a->used = spent(a);
	a->block = b;
	a->next = b->bytes + rounded;
	a->end = b->bytes + block_size;
	return b->bytes;
}

char *arena_copy(struct arena *a, const void *bytes, size_t length)
{
	char *copy = arena_alloc(a, length + 1);

	if (length != 0)
		memcpy(copy, bytes, length);
	copy[length] = '\0';
	return copy;
}

char *arena_format(struct arena *a, const char *format, ...)
{
	va_list ap;
	char *text = NULL;
	char *copy;
	int length;

	va_start(ap, format);
	length = vasprintf(&text, format, ap);
	va_end(ap);
	if (length < 0)
		abort();
	copy = arena_copy(a, text, (size_t)length);
	free(text);
	return copy;
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
	if (t->failed || !arena_fits(t->arena, capacity)) {
		t->failed = true;
		return NULL;
	}
	/* The newest thing in the arena grows in place. */
	if (t->data && t->data + ((t->capacity + 15) & ~(size_t)15) == t->arena->next &&
	    capacity - t->capacity + 16 < (size_t)(t->arena->end - t->arena->next)) {
		t->arena->next = t->data + ((capacity + 15) & ~(size_t)15);
		t->capacity = capacity;
		return t->data + t->length;
	}
	data = arena_alloc(t->arena, capacity);
	if (t->data)
		memcpy(data, t->data, t->length);
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
