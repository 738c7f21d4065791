#include "delivery/queues/parked.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_PIECES = 8 };

/* Index of the first piece at or above base. */
static size_t seek(const struct parked *p, uint64_t base)
{
	size_t low = p->first, high = p->first + p->count;

	if (p->count > 0 && p->pieces[high - 1].base < base)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->pieces[middle].base < base)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct parked_piece *insert(struct parked *p, size_t at, uint64_t base)
{
	if (p->first + p->count == p->capacity && p->first > p->capacity / 2) {
		memmove(p->pieces, p->pieces + p->first, p->count * sizeof *p->pieces);
		at -= p->first;
		p->first = 0;
	} else if (p->first + p->count == p->capacity) {
		p->capacity = p->capacity ? p->capacity * 2 : FIRST_PIECES;
		p->pieces = mem_grow(p->pieces, p->capacity, sizeof *p->pieces);
	}
	memmove(p->pieces + at + 1, p->pieces + at, (p->first + p->count - at) * sizeof *p->pieces);
	p->count++;
	p->pieces[at] = (struct parked_piece){.base = base};
	return &p->pieces[at];
}

bool parked_add(struct parked *p, uint64_t id)
{
	uint64_t base = id / PARKED_PIECE, bit = UINT64_C(1) << (id % 64);
	size_t at = seek(p, base), word = id % PARKED_PIECE / 64;
	struct parked_piece *piece;

	piece = at < p->first + p->count && p->pieces[at].base == base ? &p->pieces[at] : insert(p, at, base);
	if (piece->bits[word] & bit)
		return false;
	piece->bits[word] |= bit;
	p->ids++;
	return true;
}

bool parked_remove(struct parked *p, uint64_t id)
{
	uint64_t base = id / PARKED_PIECE, bit = UINT64_C(1) << (id % 64);
	size_t at = seek(p, base), word = id % PARKED_PIECE / 64;

	if (at == p->first + p->count || p->pieces[at].base != base || !(p->pieces[at].bits[word] & bit))
		return false;
	p->pieces[at].bits[word] &= ~bit;
	if (--p->ids == 0)
		parked_fini(p);
	return true;
}

/* Of one piece. */
static size_t take_some(struct parked_piece *piece, uint64_t *ret, size_t most)
{
	size_t taken = 0;

	for (size_t word = 0; word < PARKED_PIECE / 64; word++)
		while (piece->bits[word] && taken < most) {
			int bit = __builtin_ctzll(piece->bits[word]);

			piece->bits[word] &= piece->bits[word] - 1;
			ret[taken++] = piece->base * PARKED_PIECE + word * 64 + (uint64_t)bit;
		}
	return taken;
}

static bool is_empty(const struct parked_piece *piece)
{
	for (size_t word = 0; word < PARKED_PIECE / 64; word++)
		if (piece->bits[word])
			return false;
	return true;
}

size_t parked_take(struct parked *p, uint64_t *ret, size_t most)
{
	size_t taken = 0;

	while (taken < most && p->count > 0) {
		struct parked_piece *piece = &p->pieces[p->first];

		taken += take_some(piece, ret + taken, most - taken);
		if (!is_empty(piece))
			break;
		p->first++;
		p->count--;
	}
	must(taken <= p->ids);
	p->ids -= taken;
	if (p->ids == 0)
		parked_fini(p);
	return taken;
}

void parked_join(struct parked *p, struct parked *from)
{
	uint64_t ids[PARKED_PIECE];
	size_t n;

	while ((n = parked_take(from, ids, PARKED_PIECE)) > 0)
		for (size_t i = 0; i < n; i++)
			(void)parked_add(p, ids[i]);
}

uint64_t parked_smallest(const struct parked *p)
{
	for (size_t i = p->first; i < p->first + p->count; i++)
		for (size_t word = 0; word < PARKED_PIECE / 64; word++)
			if (p->pieces[i].bits[word])
				return p->pieces[i].base * PARKED_PIECE + word * 64 +
				       (uint64_t)__builtin_ctzll(p->pieces[i].bits[word]);
	return UINT64_MAX;
}

size_t parked_bytes(const struct parked *p) { return p->capacity * sizeof *p->pieces; }

void parked_fini(struct parked *p)
{
	free(p->pieces);
	*p = (struct parked){0};
}
