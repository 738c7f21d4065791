/*
 * left_parts: PATH.left as parts in slots.
 *
 * What it is: where the bits of an id stand, in memory and in the file; left.h has the format. Promises: 8, by the
 * invariants of left_parts.c. Owner: left.c. Thread: the store's. Fails: never; `trouble` has the errno of what could
 * not be read or written. Does not: appear outside these two files.
 */
#ifndef KSPOOL_STORE_FILES_LEFT_PARTS_H
#define KSPOOL_STORE_FILES_LEFT_PARTS_H

#include <stddef.h>

#include "store/files/left.h"

enum {
	SLOT_BYTES = 4096,
	SLOT_SPOOL = 8,
	SLOT_NUMBERS = 24,
	SLOT_BITS = 48,
	SLOT_CRC = SLOT_BYTES - 4,
	PART_BYTES = 4032,
	PART_IDS = PART_BYTES * 8,
	TRIES = 3,   /* one refusal of the disk is not yet a reason to know less */
	LOADED = 16, /* parts whose bits are in memory */
};

enum slot_use {
	SLOT_FREE,
	SLOT_USED,
	SLOT_LEFT, /* free when all is written */
	SLOT_HOLE  /* likewise, and was never written whole: it would be taken for a damaged one */
};

struct part {
	uint64_t number, run, commit;
	uint32_t slot;
	uint32_t ones;
};

struct loaded {
	uint64_t number;
	uint64_t used; /* 0: empty */
	bool is_dirty;
	unsigned char bits[PART_BYTES];
};

struct change {
	uint64_t first, last;
	bool is_back;
};

struct left {
	const struct files *files;
	struct spool_id id;
	int fd; /* -1: nothing is written */
	int trouble;
	bool was_anothers, is_damaged;
	int unread; /* errno of what could not be read when it was opened; 0: all was */
	bool head_is_due;
	uint64_t taken_back, commit;
	uint64_t whole_from, synced;
	size_t looked;        /* parts up to this one were held against the file, left_look */
	bool is_behind;       /* some of it could not be written: the file is not whole */
	uint64_t unconfirmed; /* took something back, and was not written whole yet; 0: none */
	struct part *parts;
	size_t count;
	uint32_t slots; /* of the file */
	enum slot_use *slot_uses;
	struct change *changes; /* of the open group */
	size_t change_count, change_capacity;
	bool takes_back;
	uint64_t uses;
	struct loaded loaded[LOADED];
};

static inline uint64_t left_number(uint64_t id) { return (id - 1) / PART_IDS; }
static inline uint32_t left_place(uint64_t id) { return (uint32_t)((id - 1) % PART_IDS); }
static inline uint64_t left_end(const struct part *p) { return p->number + p->run; }

/* Index of the last part at or below that number; l->count: none is. */
size_t left_seek(const struct left *l, uint64_t number);
/* How many of the bits first to last are ones. */
uint32_t left_ones(const unsigned char *bits, uint32_t first, uint32_t last);

extern const char left_head_magic[8], left_part_magic[8];
bool left_is_slot(const unsigned char bytes[SLOT_BYTES], const char magic[8]);
struct spool_id left_spool_of(const unsigned char bytes[SLOT_BYTES]);
/* False: there is none, or it cannot be read. */
bool left_read_slot(struct left *l, uint32_t slot, unsigned char bytes[SLOT_BYTES]);
/* False: not all of it. */
bool left_write_slot(struct left *l, uint32_t slot, unsigned char bytes[SLOT_BYTES]);
void left_write_head(struct left *l);
void left_write_part(struct left *l, struct loaded *b);
void left_use_slot(struct left *l, uint32_t slot, enum slot_use use);
/* The lowest that is free, so that the file may end early. */
uint32_t left_take_slot(struct left *l);
/* False: some are holes still. */
bool left_fill_holes(struct left *l);
/* All is written: what left its slot needs it no more. */
void left_free_slots(struct left *l);

/* The part with its bits; those that cannot be read are none. */
struct loaded *left_load(struct left *l, struct part *p);
void left_set_dirty(struct left *l, struct part *p);
void left_put_part(struct left *l, size_t at, struct part p);
void left_remove_part(struct left *l, size_t at);

void left_set(struct left *l, uint64_t first, uint64_t last);
void left_clear(struct left *l, uint64_t id);

#endif
