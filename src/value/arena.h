/*
 * arena: memory that is given back all at once, and text built in it.
 *
 * What it is: a chain of blocks; arena_reset() keeps the largest one, so that evaluating message after message settles
 *     at no malloc at all. Whoever makes something whose size one number decides (repeat, range, padding) asks
 *     arena_fits() first.
 * Promises: 6. Each evaluation has one limit, and what goes beyond its own room is charged to the budget (mem.h);
 * whoever goes past either is told. 11. It has one allowance of time, which loops over outside data ask for. Owner:
 * whoever holds the struct; everything in it goes with arena_fini() or arena_reset(). Thread: any, one at a time.
 * Fails: arena_alloc() never gives null: past the limit it sets `exceeded`, which the evaluator reads after every call.
 *     A struct text refuses adds past the limit by itself and sets `exceeded` too. What a system without memory is
 *     asked for lies in the reserve of an arena that has one, so that the run may end; without one it aborts.
 * Does not: give back single pieces.
 */
#ifndef KSPOOL_VALUE_ARENA_H
#define KSPOOL_VALUE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"

struct arena_block;

struct arena_limits {
	size_t most_bytes;
	size_t own_bytes; /* what lies beyond is charged to the budget */
	int64_t time_ns;  /* of the thread, from the first look after a reset on; 0: without end */
	bool leaves_room; /* budget_take's `leave` */
};

enum { ARENA_STEPS_A_LOOK = 256 };

struct arena {
	struct arena_block *block; /* newest */
	char *next;
	char *end;
	size_t used;   /* bytes of all blocks but the newest, plus big ones */
	bool exceeded; /* of memory or, when late, of time */
	bool late;
	uint32_t steps; /* since the clock was read */
	struct allowance time;
	struct arena_limits limits;
	size_t held_bytes;    /* of all blocks */
	size_t beside_bytes;  /* what libraries hold for it */
	size_t charged_bytes; /* to the budget */
	char *reserve;
};

/* Without time and without the budget. */
void arena_init(struct arena *a, size_t limit_bytes);
/* Before its first use, and after a reset; gives it a reserve. */
void arena_limit(struct arena *a, const struct arena_limits *limits);
void arena_fini(struct arena *a);
void arena_reset(struct arena *a);
void *arena_alloc_slow(struct arena *a, size_t size) __attribute__((returns_nonnull));
/* True when size more bytes stay within the limit; sets exceeded when not. */
bool arena_fits(struct arena *a, size_t size);

/*
 * Before a library allocates so many bytes for the run, and after it gave them back: false, and exceeded set, when they
 * pass a limit. An arena without a limit of time is the house's own: it counts none.
 */
bool arena_hold(struct arena *a, size_t bytes);
void arena_let_go(struct arena *a, size_t bytes);
static inline bool arena_is_own(const struct arena *a) { return a->limits.time_ns == 0; }

/* How much more its limit lets it hold; the budget may have less. */
size_t arena_left(const struct arena *a);

bool arena_look(struct arena *a);

/* True when memory or time is used up: asked at each step of a loop over outside data. */
static inline bool arena_is_spent(struct arena *a)
{
	return a->exceeded || (++a->steps >= ARENA_STEPS_A_LOOK && arena_look(a));
}

/* The same after a step that may have taken long. */
static inline bool arena_is_spent_now(struct arena *a) { return a->exceeded || arena_look(a); }

/* How long the thread may still work here, in ns; never less than 0. */
int64_t arena_time_left(struct arena *a);

/* 16-byte aligned, not zeroed. */
static inline void *arena_alloc(struct arena *a, size_t size)
{
	size_t rounded = (size + 15) & ~(size_t)15;

	if (__builtin_expect(rounded <= (size_t)(a->end - a->next) && size != 0, 1)) {
		void *p = a->next;

		a->next += rounded;
		return p;
	}
	return arena_alloc_slow(a, size);
}

/*
 * Makes what was allocated last larger where it lies, when it is that; else a larger copy. Null, and exceeded set, when
 * the new size passes a limit: then the old one stays as it is.
 */
void *arena_grow(struct arena *a, void *old, size_t old_size, size_t size);

/* Copies length bytes and adds a NUL. */
char *arena_copy(struct arena *a, const void *bytes, size_t length) __attribute__((returns_nonnull));
/* Cut after some hundred bytes when the whole passes a limit. */
char *arena_format(struct arena *a, const char *format, ...) __attribute__((returns_nonnull, format(printf, 2, 3)));
char *arena_vformat(struct arena *a, const char *format, va_list ap)
    __attribute__((returns_nonnull, format(printf, 2, 0)));

/* Text that grows in an arena; data is NUL-terminated only after text_end(). */
struct text {
	struct arena *arena;
	char *data;
	size_t length;
	size_t capacity;
	bool failed; /* an add was refused */
};

static inline void text_init(struct text *t, struct arena *a) { *t = (struct text){.arena = a}; }

/* Makes room for `more` bytes; null when past the limit. */
char *text_reserve(struct text *t, size_t more);
void text_add_slow(struct text *t, const void *bytes, size_t length);
void text_addf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds the NUL (not counted) and returns data, never null. */
char *text_end(struct text *t) __attribute__((returns_nonnull));

static inline void text_add(struct text *t, const void *bytes, size_t length)
{
	if (length != 0 && length <= t->capacity - t->length) {
		memcpy(t->data + t->length, bytes, length);
		t->length += length;
	} else {
		text_add_slow(t, bytes, length);
	}
}

static inline void text_add_char(struct text *t, char c) { text_add(t, &c, 1); }
static inline void text_add_string(struct text *t, const char *s) { text_add(t, s, strlen(s)); }

#endif
