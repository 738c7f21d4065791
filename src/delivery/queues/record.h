/*
 * record: one entry of a PutRecords request to be, and what it stands for.
 *
 * What it is: usually one journal row. Processors may make several records of a row or one of several rows: then
 * `tracked` is set and tracked.h keeps the count. Several can go as one: then it has `parts` (unit.h). While a request
 * is under way its body holds the data and `message` is null; a failure brings the message back out of the body.
 * Promises: 6 (a payload is in memory once). Owner: dispatch; one queue or request at a time. Thread: delivery.
 * Fails: never. Does not: know in which queue it is.
 */
#ifndef KSPOOL_DELIVERY_RECORD_H
#define KSPOOL_DELIVERY_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/mem.h"
#include "message/message.h"
#include "kinesis/putrecords.h"

struct lane;

struct record {
	TAILQ_ENTRY(record) link;
	struct message *message; /* null while a request's body, or its unit, holds the data */
	struct origin *origin;   /* null: the row `id` */
	struct lane *lane;       /* it keeps order: those behind it wait there; null: it does not */
	struct record **parts;   /* null: one by itself */
	uint64_t id;
	int64_t accepted_ms;      /* monotonic: its message's */
	int64_t since_ns;         /* monotonic: when it became ready */
	int64_t due_ns;           /* monotonic, while it waits for its next try */
	int64_t first_failure_ns; /* dispatch's active clock; -1: none */
	const char *key;          /* into `own`, or a constant that outlives the record */
	size_t data_at;           /* in the request's body, or its unit's */
	uint64_t hash;            /* hash.h, when is_hashed */
	uint32_t key_bytes;
	uint32_t hash_key_bytes; /* in `own`, behind the key; 0: none */
	uint32_t data_bytes;
	uint32_t part_count;
	uint32_t rows;      /* of the parts */
	uint32_t row_bytes; /* metadata and body of the row as the journal handed it over */
	uint32_t attempts;  /* all its life */
	uint32_t tries;     /* since it came into memory */
	bool tracked;       /* tracked.h knows its rows */
	bool ends_batch;    /* the batching policy closed a batch here */
	bool throttled;     /* waits because of throttling */
	bool refused;       /* alone, by something on the way */
	bool is_hashed;
	bool is_back;   /* it was parked, and was asked for */
	bool was_lost;  /* on disk when its shard was forgotten */
	bool is_noted;  /* its row failed before, and the journal knows that */
	bool is_late;   /* it failed where one behind it did not: that one was counted */
	bool holds_key; /* it is refused, and its key waits for it */
	uint32_t hash_key_at;
	char own[];
};

TAILQ_HEAD(record_queue, record);

static inline const char *record_hash_key(const struct record *r)
{
	return r->hash_key_bytes ? r->own + r->hash_key_at : NULL;
}

/* Takes the message over. key: constant (outlives the record) when key_is_constant, else copied. */
static inline struct record *record_new(struct message *m, const char *key, uint32_t key_bytes, bool key_is_constant,
                                        const char *hash_key, uint32_t hash_key_bytes)
{
	uint32_t own_key = key_is_constant ? 0 : key_bytes;
	struct record *r = mem_alloc(sizeof *r + own_key + hash_key_bytes);

	*r = (struct record){.message = m,
	                     .id = m->id,
	                     .accepted_ms = m->accepted_ms,
	                     .first_failure_ns = -1,
	                     .key = key_is_constant ? key : r->own,
	                     .key_bytes = key_bytes,
	                     .hash_key_bytes = hash_key_bytes,
	                     .hash_key_at = own_key,
	                     .data_bytes = m->body_bytes,
	                     .row_bytes = m->meta_bytes + m->body_bytes,
	                     .attempts = m->attempts,
	                     .is_noted = m->attempts > 0};
	r->origin = m->origin;
	m->origin = NULL;
	if (own_key)
		__builtin_memcpy(r->own, key, own_key);
	if (hash_key_bytes)
		__builtin_memcpy(r->own + own_key, hash_key, hash_key_bytes);
	return r;
}

static inline void record_free_one(struct record *r)
{
	message_free(r->message);
	origin_unref(r->origin);
	free(r->parts);
	free(r);
}

static inline void record_free(struct record *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; r->parts && i < r->part_count; i++)
		record_free_one(r->parts[i]);
	record_free_one(r);
}

/* What limits count of it. */
static inline uint64_t record_accounted(const struct record *r)
{
	return putrecords_accounted(r->data_bytes, r->key_bytes);
}

/* Messages it stands for. */
static inline uint32_t record_rows(const struct record *r)
{
	return r->parts ? r->rows : r->origin ? r->origin->count : 1;
}

#endif
