/*
 * heavy: which keys weigh most, in little memory.
 *
 * What it is: the "space saving" count of Metwally, Agrawal and Abbadi (2005) over HEAVY_KEYS places: a key with more
 * than its share of all records is always among them, its count too high by at most that share. Promises: 6 (bounded).
 * Owner: the caller's struct. Thread: one. Fails: never. Does not: keep more of a key than HEAVY_TEXT bytes.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_HEAVY_H
#define KSPOOL_DELIVERY_QUEUES_HEAVY_H

#include <stddef.h>
#include <stdint.h>

enum { HEAVY_KEYS = 8, HEAVY_TEXT = 64, HEAVY_FADES = 20000, HEAVY_PART = 20 };

struct heavy_key {
	uint64_t hash;
	uint32_t count;
	uint32_t error;        /* of count, at most: what the key had whose place it took */
	char text[HEAVY_TEXT]; /* cut at a character, NUL-terminated */
};

struct heavy {
	struct heavy_key keys[HEAVY_KEYS];
	uint32_t sum;
};

void heavy_add(struct heavy *h, uint64_t hash, const char *key, size_t bytes);
/* The heaviest, and its part of all in *ret_share (0..1), its error apart; null: none surely has a HEAVY_PART-th. */
const struct heavy_key *heavy_first(const struct heavy *h, double *ret_share);

#endif
