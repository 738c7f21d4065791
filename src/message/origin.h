/*
 * origin: what came in, shared by every message that was made of it.
 *
 * What it is: a counted node. A message points to one; pieces of a message share its node; a message joined of several
 * has a node whose parents are theirs. A node may carry a key of `dedupe`, which speaks for everything derived from it.
 * Promises: 9: by the ids it is known which of what came in nothing stands for any more; 2 for the rows of a record.
 * Owner: who holds a reference. A node owns one reference to each parent, and its key.
 * Thread: one at a time. All messages of a node travel in one offer; the journal lets go of it after the commit.
 * Fails: never; memory aborts.
 * Does not: decide whether a key is known (the journal does), look at messages.
 */
#ifndef KSPOOL_MESSAGE_ORIGIN_H
#define KSPOOL_MESSAGE_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What `dedupe` wants remembered. */
struct origin_key {
	char *cache; /* label of the cache resource */
	int64_t ttl_ms;
	size_t bytes;
	unsigned char key[];
};

/* What the commit numbered decided_in made of it: undecided, stands in a stored message, or was there before. */
enum origin_fate { ORIGIN_UNDECIDED, ORIGIN_KEPT, ORIGIN_KNOWN };

struct origin {
	uint32_t references;
	uint32_t parent_count; /* 0: came in; 1: derived; more: joined */
	struct origin **parents;
	struct origin_key *key; /* null when none of its own */
	bool keyed;             /* it or one it comes from has a key */
	enum origin_fate fate;
	uint64_t decided_in;
	uint32_t line;       /* which list `place` is a position in; 0: none */
	uint32_t place;      /* that list is put back in order by it */
	uint32_t count;      /* of ids */
	const uint64_t *ids; /* ascending; what came in: rows of the journal at flush, numbers in the offer at intake */
	struct origin *holder; /* whose they are; null: its own */
	uint64_t own_ids[];
};

/* One that came in, under a number; 0: no number. */
struct origin *origin_new(uint64_t id) __attribute__((returns_nonnull));
/* Stands for all of them: ids and keys. The first decides the place. Takes no references of the caller. */
struct origin *origin_join(struct origin *const *parents, size_t count) __attribute__((returns_nonnull));
/* As join, with the ids of the first alone. */
struct origin *origin_add(struct origin *const *parents, size_t count) __attribute__((returns_nonnull));
/* A node below parent with a key. */
struct origin *origin_with_key(struct origin *parent, const char *cache, int64_t ttl_ms, const void *key, size_t bytes)
    __attribute__((returns_nonnull));
/* A node below parent with a position in a list. */
struct origin *origin_with_place(struct origin *parent, uint32_t line, uint32_t place) __attribute__((returns_nonnull));
struct origin *origin_ref(struct origin *o) __attribute__((returns_nonnull));
void origin_unref(struct origin *o); /* accepts null */
/* The position in that list: of the nearest node that has one. */
uint32_t origin_place(const struct origin *o, uint32_t line);
/* Bytes that are gone when this reference goes: of the node and those above it that nobody else refers to. */
uint64_t origin_cost(const struct origin *o);
/* Lets go of parents that tell nothing any more: those of a node without keys. */
void origin_seal(struct origin *o);
enum origin_fate origin_fate(const struct origin *o, uint64_t commit);
/* A fate is decided once a commit. */
void origin_decide(struct origin *o, uint64_t commit, enum origin_fate fate);

#endif
