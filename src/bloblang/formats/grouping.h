/*
 * grouping: pairs in the order they come, made into an object at once: repeated keys become arrays.
 *
 * What it is: what readers of forms, XML and YAML need.
 * Promises: 11. n log n steps, whatever the keys. 6. What it makes lies in the arena given, whose limit holds.
 * Owner: the arena; keys must live as long as it.
 * Thread: the arena's.
 * Fails: going past the arena's limit (arena.h): what does not fit is left out.
 * Does not: look a key up while pairs are being added.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_GROUPING_H
#define KSPOOL_BLOBLANG_FORMATS_GROUPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"
#include "value/value.h"

struct grouping_pair {
	const char *key;
	uint32_t length;
	uint32_t order;
	bool replaces; /* takes the place of earlier ones instead of joining them */
	struct value value;
};

struct grouping {
	struct arena *arena;
	struct grouping_pair *pairs;
	uint32_t count;
	uint32_t capacity;
};

/* The key must live as long as the arena. False when memory or time of the arena is used up: whoever reads stops. */
bool grouping_add(struct grouping *g, const char *key, size_t length, struct value v, bool replaces);
struct value grouping_object(struct grouping *g);

#endif
