#include "store/files/taken.h"

#include <stdlib.h>

#include "base/byte_order.h"
#include "base/mem.h"

enum { HEAD_BYTES = 12, SUM_BYTES = 4, FIRST_CAPACITY = 256 };

static int by_id_and_sum(const void *a, const void *b)
{
	const struct taken_one *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->sum > y->sum) - (x->sum < y->sum);
}

static void sort(struct taken *t)
{
	if (t->is_unsorted)
		qsort(t->items, t->count, sizeof *t->items, by_id_and_sum);
	t->is_unsorted = false;
}

void taken_fini(struct taken *t)
{
	free(t->items);
	*t = (struct taken){0};
}

void taken_add(struct taken *t, uint64_t id, uint32_t sum)
{
	if (t->count == t->capacity) {
		t->capacity = t->capacity ? 2 * t->capacity : FIRST_CAPACITY;
		t->items = mem_grow(t->items, t->capacity, sizeof *t->items);
	}
	t->items[t->count++] = (struct taken_one){.id = id, .sum = sum};
	t->is_unsorted = true;
}

bool taken_has(struct taken *t, uint64_t id, uint32_t sum)
{
	const struct taken_one wanted = {.id = id, .sum = sum};

	sort(t);
	return t->count > 0 && bsearch(&wanted, t->items, t->count, sizeof *t->items, by_id_and_sum);
}

bool taken_went_by(struct taken *t, uint64_t id)
{
	size_t low = 0, high = t->count;

	sort(t);
	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (t->items[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < t->count && t->items[low].id != id;
}

size_t taken_write(struct taken *t, size_t *at, unsigned char *out)
{
	const size_t end = t->count - *at < TAKEN_PIECE ? t->count : *at + TAKEN_PIECE;
	unsigned char *to = out;

	sort(t);
	while (*at < end) {
		const uint64_t first = t->items[*at].id;
		uint32_t count = 0;

		for (; *at < end && t->items[*at].id == first + count; ++*at, count++)
			put_little(to + HEAD_BYTES + (size_t)count * SUM_BYTES, t->items[*at].sum, SUM_BYTES);
		put_little(to, first, 8);
		put_little(to + 8, count, SUM_BYTES);
		to += HEAD_BYTES + (size_t)count * SUM_BYTES;
	}
	return (size_t)(to - out);
}

void taken_read(struct taken *t, const unsigned char *bytes, size_t count)
{
	while (count >= HEAD_BYTES) {
		const uint64_t first = get_little(bytes, 8), run = get_little(bytes + 8, SUM_BYTES);

		bytes += HEAD_BYTES;
		count -= HEAD_BYTES;
		for (uint64_t i = 0; i < run && count >= SUM_BYTES; i++, bytes += SUM_BYTES, count -= SUM_BYTES)
			taken_add(t, first + i, (uint32_t)get_little(bytes, SUM_BYTES));
	}
}
