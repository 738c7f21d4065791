/*
 * message: one message and lists of them; the only place that copies one.
 *
 * What it is: an immutable payload with its metadata, in one allocation. A message is made by a door, or derived from
 * another by a processor, and travels by pointer through the lanes.
 * Promises: 6: message_cost() is what it counts against the memory bound.
 * Owner: whoever holds it, until its way ends; it owns its failure and one reference to its origin.
 * Thread: its owner's.
 * Fails: meta_* only, with ERR_TOOBIG or false; memory aborts.
 * Does not: know what a key, a row or a processor is: that is its origin's (origin.h) and its failure's.
 *
 * Metadata is a run of entries in the bytes before the body, the same in memory and on disk:
 *   u8 type ('s' text, 'b' bytes, 'j' JSON text of any other value) | u32le key length | key | u32le length | value
 */
#ifndef KSPOOL_MESSAGE_MESSAGE_H
#define KSPOOL_MESSAGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/error.h"
#include "message/origin.h"

/* Which component failed on a message; static or as long-lived as the pipeline. */
struct message_source {
	const char *name;
	const char *label; /* "" when none */
	const char *path;  /* "pipeline.processors.0" */
};

struct message_failure {
	uint32_t references;             /* what is made of a message shares its failure */
	const struct message_source *at; /* null: no processor */
	char reason[];
};

struct message {
	STAILQ_ENTRY(message) link;
	uint64_t id;         /* journal row; 0 until it has one */
	int64_t received_ms; /* wall clock, when the door had all of it: for people, and for the journal */
	int64_t accepted_ms; /* the same moment by the monotonic clock, for its age; may be negative */
	uint32_t attempts;   /* failed delivery attempts so far */
	uint32_t meta_bytes;
	uint32_t body_bytes;
	struct message_failure *failure; /* why a processor failed on it; null when none */
	struct origin *origin;           /* null: itself */
	unsigned char bytes[];           /* metadata, body, one NUL */
};

STAILQ_HEAD(message_list, message);

/* Copies body and metadata; accepted now. meta may be null when meta_bytes is 0. */
struct message *message_new(const void *meta, size_t meta_bytes, const void *body, size_t body_bytes,
                            int64_t received_ms) __attribute__((returns_nonnull));
/* A message without metadata whose body_bytes bytes the caller writes (at bytes) before anybody reads them. */
struct message *message_new_room(size_t body_bytes, int64_t accepted_ms) __attribute__((returns_nonnull));
void message_free(struct message *m);
/* Sets or (reason null) clears the failure; at may be null. */
void message_fail(struct message *m, const struct message_source *at, const char *reason);
/* Gives m the failure of `from`. Both, and what is made of them, belong to one thread at a time, as an origin does. */
void message_fail_like(struct message *m, const struct message *from);
/* Another body for the same: time, id and attempts are copied, failure and origin are shared. */
struct message *message_derive(const struct message *m, const void *meta, size_t meta_bytes, const void *body,
                               size_t body_bytes) __attribute__((returns_nonnull));
struct message *message_copy(const struct message *m) __attribute__((returns_nonnull));
/* Takes the reference over, in place of the one it had; null: it stands for itself again. */
void message_set_origin(struct message *m, struct origin *origin);
void message_list_free(struct message_list *list);

static inline const unsigned char *message_meta(const struct message *m) { return m->bytes; }

static inline const unsigned char *message_body(const struct message *m) { return m->bytes + m->meta_bytes; }

/* Bytes counted against the memory bound: payload, metadata and the struct. */
static inline uint64_t message_cost(const struct message *m) { return sizeof *m + m->meta_bytes + m->body_bytes; }

/* The messages a query may look at; `index` is the current one. */
struct message_batch {
	struct message *const *messages;
	size_t count;
	size_t index;
};

/* One metadata entry; pointers into the message. */
struct meta_entry {
	char type; /* 's', 'b', 'j' */
	const char *key;
	size_t key_length;
	const char *value;
	size_t value_length;
};

/* Walks entries: start with *cursor = 0; false at the end, or where the bytes are not well formed. */
bool meta_next(const void *meta, size_t meta_bytes, size_t *cursor, struct meta_entry *ret);
bool meta_find(const void *meta, size_t meta_bytes, const char *key, size_t key_length, struct meta_entry *ret);
/* True when the whole run is well formed. */
bool meta_is_valid(const void *meta, size_t meta_bytes);
enum err meta_add(struct buf *b, char type, const char *key, size_t key_length, const void *value, size_t value_length);

#endif
