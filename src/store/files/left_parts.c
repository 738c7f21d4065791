/*
 * Bits in parts, parts in slots.
 *
 * Invariants:
 * 1. `parts` ascend by number, and none lies in the run of ones behind another.
 * 2. A part that is all ones and stands right behind another, or behind its run, becomes one more of that run; its slot
 *    is used again only when that was written: a kill at any write leaves bits out, and never makes one.
 */
#include "store/files/left_parts.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/byte_order.h"
#include "base/crc32c.h"
#include "base/mem.h"

const char left_head_magic[8] = {'k', 's', 'l', 'e', 'f', 't', '0', '1'};
const char left_part_magic[8] = {'k', 's', 'p', 'a', 'r', 't', '0', '1'};

/* Index of the last part at or below that number; l->count: none is. */
size_t left_seek(const struct left *l, uint64_t number)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (l->parts[middle].number <= number)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? low - 1 : l->count;
}

uint32_t left_ones(const unsigned char *bits, uint32_t first, uint32_t last)
{
	uint32_t n = 0;

	while (first <= last && first % 8 != 0)
		n += bits[first / 8] >> first % 8 & 1, first++;
	for (; first + 7 <= last; first += 8)
		n += (uint32_t)__builtin_popcount(bits[first / 8]);
	for (; first <= last; first++)
		n += bits[first / 8] >> first % 8 & 1;
	return n;
}

/* Writing */

bool left_write_slot(struct left *l, uint32_t slot, unsigned char bytes[SLOT_BYTES])
{
	ssize_t written;

	if (l->fd < 0)
		return false;
	put_little(bytes + SLOT_SPOOL, l->id.high, 8);
	put_little(bytes + SLOT_SPOOL + 8, l->id.low, 8);
	put_little(bytes + SLOT_CRC, crc32c(0, bytes, SLOT_CRC), 4);
	written = pwrite(l->fd, bytes, SLOT_BYTES, (off_t)slot * SLOT_BYTES);
	if (written != SLOT_BYTES)
		l->trouble = written < 0 ? errno : ENOSPC;
	return written == SLOT_BYTES;
}

void left_write_head(struct left *l)
{
	unsigned char bytes[SLOT_BYTES] = {0};

	memcpy(bytes, left_head_magic, sizeof left_head_magic);
	put_little(bytes + SLOT_NUMBERS, l->taken_back, 8);
	put_little(bytes + SLOT_NUMBERS + 8, l->is_behind ? 0 : l->whole_from, 8);
	put_little(bytes + SLOT_NUMBERS + 16, l->synced, 8);
	l->head_is_due = !left_write_slot(l, 0, bytes);
}

static void write_part(struct left *l, struct loaded *b, uint64_t commit)
{
	struct part *p = &l->parts[left_seek(l, b->number)];
	unsigned char bytes[SLOT_BYTES] = {0};

	p->commit = commit;
	memcpy(bytes, left_part_magic, sizeof left_part_magic);
	put_little(bytes + SLOT_NUMBERS, p->number, 8);
	put_little(bytes + SLOT_NUMBERS + 8, p->run, 8);
	put_little(bytes + SLOT_NUMBERS + 16, p->commit, 8);
	memcpy(bytes + SLOT_BITS, b->bits, PART_BYTES);
	b->is_dirty = !left_write_slot(l, p->slot, bytes);
}

void left_write_part(struct left *l, struct loaded *b) { write_part(l, b, l->commit); }

/* Reading */

bool left_is_slot(const unsigned char bytes[SLOT_BYTES], const char magic[8])
{
	return memcmp(bytes, magic, 8) == 0 && get_little(bytes + SLOT_CRC, 4) == crc32c(0, bytes, SLOT_CRC);
}

struct spool_id left_spool_of(const unsigned char bytes[SLOT_BYTES])
{
	return (struct spool_id){get_little(bytes + SLOT_SPOOL, 8), get_little(bytes + SLOT_SPOOL + 8, 8)};
}

/* False: there is none, or it cannot be read. */
bool left_read_slot(struct left *l, uint32_t slot, unsigned char bytes[SLOT_BYTES])
{
	ssize_t count = l->fd < 0 ? 0 : -1;

	for (int i = 0; i < TRIES && count < 0; i++)
		count = pread(l->fd, bytes, SLOT_BYTES, (off_t)slot * SLOT_BYTES);
	if (count < 0)
		l->trouble = errno;
	return count == SLOT_BYTES;
}

static void lack_some(struct left *l)
{
	l->head_is_due |= l->whole_from > 0;
	l->whole_from = 0;
}

/* The part with its bits; those that cannot be read are none. */
struct loaded *left_load(struct left *l, struct part *p)
{
	unsigned char bytes[SLOT_BYTES];
	struct loaded *b = &l->loaded[0];

	for (size_t i = 0; i < LOADED; i++) {
		if (l->loaded[i].used > 0 && l->loaded[i].number == p->number) {
			l->loaded[i].used = ++l->uses;
			return &l->loaded[i];
		}
		if (l->loaded[i].used < b->used)
			b = &l->loaded[i];
	}
	if (b->used > 0 && b->is_dirty)
		left_write_part(l, b);
	if (b->used > 0 && b->is_dirty)
		lack_some(l);
	*b = (struct loaded){.number = p->number, .used = ++l->uses};
	if (p->ones == 0)
		return b;
	if (p->ones == PART_IDS)
		memset(b->bits, 0xff, PART_BYTES);
	else if (left_read_slot(l, p->slot, bytes) && left_is_slot(bytes, left_part_magic) &&
	         get_little(bytes + SLOT_NUMBERS, 8) == p->number)
		memcpy(b->bits, bytes + SLOT_BITS, PART_BYTES);
	else
		lack_some(l);
	p->ones = left_ones(b->bits, 0, PART_IDS - 1);
	return b;
}

void left_set_dirty(struct left *l, struct part *p) { left_load(l, p)->is_dirty = true; }

static void unload(struct left *l, uint64_t number)
{
	for (size_t i = 0; i < LOADED; i++)
		if (l->loaded[i].number == number)
			l->loaded[i].used = 0;
}

/* Parts */

void left_use_slot(struct left *l, uint32_t slot, enum slot_use use)
{
	if (slot >= l->slots) {
		l->slot_uses = mem_grow(l->slot_uses, slot + 1, sizeof *l->slot_uses);
		l->slots = slot + 1;
	}
	l->slot_uses[slot] = use;
}

/* The lowest that is free, so that the file may end early. */
uint32_t left_take_slot(struct left *l)
{
	uint32_t slot = 1;

	while (slot < l->slots && l->slot_uses[slot] != SLOT_FREE)
		slot++;
	left_use_slot(l, slot, SLOT_USED);
	return slot;
}

/* As no bits of a part that is there, of before its first commit. */
bool left_fill_holes(struct left *l)
{
	bool all = true;

	for (uint32_t slot = 1; slot < l->slots; slot++) {
		unsigned char bytes[SLOT_BYTES] = {0};

		if (l->slot_uses[slot] != SLOT_HOLE)
			continue;
		memcpy(bytes, left_part_magic, sizeof left_part_magic);
		put_little(bytes + SLOT_NUMBERS, l->parts[0].number, 8);
		if (left_write_slot(l, slot, bytes))
			l->slot_uses[slot] = SLOT_LEFT;
		else
			all = false;
	}
	return all;
}

void left_free_slots(struct left *l)
{
	for (uint32_t slot = 1; slot < l->slots; slot++)
		if (l->slot_uses[slot] == SLOT_LEFT)
			l->slot_uses[slot] = SLOT_FREE;
}

void left_put_part(struct left *l, size_t at, struct part p)
{
	l->parts = mem_grow(l->parts, l->count + 1, sizeof *l->parts);
	memmove(l->parts + at + 1, l->parts + at, (l->count - at) * sizeof *l->parts);
	l->parts[at] = p;
	l->count++;
}

void left_remove_part(struct left *l, size_t at)
{
	unload(l, l->parts[at].number);
	left_use_slot(l, l->parts[at].slot, SLOT_LEFT);
	l->count--;
	memmove(l->parts + at, l->parts + at + 1, (l->count - at) * sizeof *l->parts);
}

/* What is all ones right behind it becomes its run. Its slot is written once more, for one that never was looks like a
 * damaged one; any other of its number counts more. */
static void join(struct left *l, size_t at)
{
	while (at + 1 < l->count && l->parts[at + 1].number == left_end(&l->parts[at]) + 1 &&
	       l->parts[at + 1].ones == PART_IDS) {
		const struct part next = l->parts[at + 1];
		struct loaded *b = left_load(l, &l->parts[at + 1]);

		write_part(l, b, 0);
		l->parts[at].run += 1 + next.run;
		left_remove_part(l, at + 1);
		if (b->is_dirty)
			left_use_slot(l, next.slot, SLOT_HOLE);
		left_set_dirty(l, &l->parts[at]);
	}
}

/* The part that has the bits of that number, made when there is none; l->count: they are all ones already. */
static size_t part_for(struct left *l, uint64_t number)
{
	const size_t below = left_seek(l, number);
	size_t at = below == l->count ? 0 : below + 1;

	if (below < l->count && l->parts[below].number == number)
		return below;
	if (below < l->count && number <= left_end(&l->parts[below]))
		return l->count;
	left_put_part(l, at, (struct part){.number = number, .slot = left_take_slot(l)});
	return at;
}

static void set_in_part(struct left *l, uint64_t number, uint32_t first, uint32_t last)
{
	const size_t at = part_for(l, number);
	struct loaded *b;
	uint32_t new = 0;

	if (at == l->count)
		return;
	b = left_load(l, &l->parts[at]);
	for (uint32_t i = first, n; i <= last; i += n) {
		unsigned char *byte = &b->bits[i / 8];
		const unsigned char before = *byte;

		n = i % 8 == 0 && last - i >= 7 ? 8 : 1;
		*byte = (unsigned char)(n == 8 ? 0xff : before | 1U << i % 8);
		new += (uint32_t)__builtin_popcount(*byte) - (uint32_t)__builtin_popcount(before);
	}
	if (new == 0)
		return;
	l->parts[at].ones += new;
	b->is_dirty = true;
	join(l, at);
	if (at > 0)
		join(l, at - 1);
}

/* One of a run stands alone again. */
static void split(struct left *l, size_t at, uint64_t number)
{
	struct part *p = &l->parts[at];
	const struct part new = {
	    .number = number, .run = left_end(p) - number, .ones = PART_IDS, .slot = left_take_slot(l)};

	p->run = number - p->number - 1;
	left_set_dirty(l, p);
	left_put_part(l, at + 1, new); /* whose bits change next */
}

void left_clear(struct left *l, uint64_t id)
{
	const unsigned char bit = (unsigned char)(1U << left_place(id) % 8);
	const uint64_t number = left_number(id);
	size_t at = left_seek(l, number);
	struct loaded *b;

	if (at == l->count || number > left_end(&l->parts[at]))
		return;
	if (l->parts[at].number != number)
		split(l, at++, number);
	b = left_load(l, &l->parts[at]);
	l->parts[at].ones -= (b->bits[left_place(id) / 8] & bit) != 0;
	b->bits[left_place(id) / 8] &= (unsigned char)~bit;
	b->is_dirty = true;
}

void left_set(struct left *l, uint64_t first, uint64_t last)
{
	for (uint64_t n = left_number(first); n <= left_number(last); n++)
		set_in_part(l, n, n == left_number(first) ? left_place(first) : 0,
		            n == left_number(last) ? left_place(last) : PART_IDS - 1);
}
