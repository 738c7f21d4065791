/*
 * message: one message and lists of them.
 *
 * What it is: an immutable payload with its metadata, in one allocation. A message is made by a door (or a processor),
 * travels by pointer through the lanes, and is freed by whoever holds it when its way ends. Promise 6: message_cost()
 * is what it counts against the memory bound. Thread: its owner's.
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

/*
 * Which journal rows a message stands for when it is not simply its own row: set by processors that join or cut
 * messages. Shared by reference count between the pieces of one row; used on one thread only.
 */
struct message_origins {
	uint32_t references;
	uint32_t count;
	uint64_t ids[];
};

/* Which component failed on a message; static or as long-lived as the pipeline. */
struct message_source {
	const char *name;
	const char *label; /* "" when none */
	const char *path;  /* "pipeline.processors.0" */
};

/* A key that the journal remembers together with the message; a message whose key is known is filtered instead. */
struct message_key {
	struct message_key *next;
	char *cache; /* label of the cache resource */
	int64_t ttl_ms;
	size_t bytes;
	unsigned char key[];
};

struct message {
	STAILQ_ENTRY(message) link;
	uint64_t id;         /* journal row; 0 until it has one */
	int64_t received_ms; /* wall clock, when the door had all of it */
	uint32_t attempts;   /* failed delivery attempts so far */
	uint32_t place;      /* the pipeline's: position in a batch that is put back in order; carried over */
	uint32_t meta_bytes;
	uint32_t body_bytes;
	struct message_key *keys;               /* of `dedupe`; null when none. Owned. */
	const struct message_source *failed_at; /* with failure; may be null */
	char *failure;                          /* why a processor failed on it; null when none. Owned. */
	struct message_origins *origins;        /* null: itself. One reference owned. */
	unsigned char bytes[];                  /* metadata, body, one NUL */
};

STAILQ_HEAD(message_list, message);

/* Copies body and metadata. meta may be null when meta_bytes is 0. */
struct message *message_new(const void *meta, size_t meta_bytes, const void *body, size_t body_bytes,
                            int64_t received_ms) __attribute__((returns_nonnull));
/* A message without metadata whose body_bytes bytes the caller writes (at bytes) before anybody reads them. */
struct message *message_new_room(size_t body_bytes, int64_t received_ms) __attribute__((returns_nonnull));
void message_free(struct message *m);
/* Sets or (reason null) clears the failure. */
void message_fail(struct message *m, const struct message_source *at, const char *reason);
/* A message with another body that stands for the same: time, id, attempts, origins, failure and keys carried over. */
struct message *message_with_body(const struct message *m, const void *meta, size_t meta_bytes, const void *body,
                                  size_t body_bytes) __attribute__((returns_nonnull));
void message_key_add(struct message *m, const char *cache, int64_t ttl_ms, const void *key, size_t bytes);
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

struct message_origins *message_origins_new(const uint64_t *ids, uint32_t count);
struct message_origins *message_origins_ref(struct message_origins *o);
void message_origins_unref(struct message_origins *o);

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
