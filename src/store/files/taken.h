/*
 * taken: which messages of another spool were taken in, by their ids there and the checksums of what they are.
 *
 * What it is: a set, and its form on the disk: pieces of runs, each u64le first id, u32le count, and a u32le checksum a
 * message. The checksum is there because a copied folder makes two spools of one name, that give one id to two
 * messages. Promises: 1 (what is not surely the same is not left out). Owner: the caller. Thread: any. Fails: never; a
 * piece that is not what was written only makes messages unknown. Does not: know whose ids they are.
 */
#ifndef KSPOOL_STORE_TAKEN_H
#define KSPOOL_STORE_TAKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAKEN_PIECE = 8192, TAKEN_PIECE_BYTES = TAKEN_PIECE * 16 };

struct taken {
	struct taken_one {
		uint64_t id;
		uint32_t sum;
	} * items;
	size_t count, capacity;
	bool is_unsorted;
};

void taken_fini(struct taken *t);
void taken_add(struct taken *t, uint64_t id, uint32_t sum);
bool taken_has(struct taken *t, uint64_t id, uint32_t sum);
/* It was not, though later ones were: it has left that spool since, or stands there under a new id. */
bool taken_went_by(struct taken *t, uint64_t id);
/* The next piece from *at on, at most TAKEN_PIECE_BYTES; its bytes, 0: there is no more. */
size_t taken_write(struct taken *t, size_t *at, unsigned char *out);
void taken_read(struct taken *t, const unsigned char *bytes, size_t count);

#endif
