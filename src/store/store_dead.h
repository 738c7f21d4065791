/*
 * store_dead: the shelf of messages that were set aside.
 *
 * What it is: look, put back, throw away, by id or all.
 * Promises: 2 (only an explicit act of a person empties it), 9.
 * Owner: what a visit sees is the store's and lasts for that visit.
 * Thread: the store's.
 * Fails: ERR_INPUT when there is no such message; otherwise as the store.
 * Does not: put back a message whose checksum is wrong; it stays on the shelf.
 */
#ifndef KSPOOL_STORE_STORE_DEAD_H
#define KSPOOL_STORE_STORE_DEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "message/message.h" /* meta_next reads metadata */

struct store;

struct store_dead {
	uint64_t id;
	int64_t received_ms;
	int64_t died_ms;
	uint32_t attempts;
	const char *code;
	const char *reason;
	const void *meta;
	size_t meta_bytes;
	const void *body;
	size_t body_bytes;
	bool is_damaged; /* the message is not what was written: it cannot be put back */
};
typedef bool store_dead_visit(void *arg, const struct store_dead *dead); /* false ends the walk */
enum err store_dead_walk(struct store *s, uint64_t after_id, uint32_t limit, store_dead_visit *visit, void *arg,
                         struct error *e) MUST_CHECK;
enum err store_dead_get(struct store *s, uint64_t id, store_dead_visit *visit, void *arg, struct error *e) MUST_CHECK;
/*
 * id 0: all, step by step. Each step its own transaction. A retried message becomes pending again under a new id.
 * *ret_count: so many did, whatever the outcome; *ret_damaged: of those that were looked at so many stay, because they
 * are not what was written.
 */
enum err store_dead_retry(struct store *s, uint64_t id, uint64_t *ret_count, uint64_t *ret_damaged,
                          struct error *e) MUST_CHECK;
enum err store_dead_purge(struct store *s, uint64_t id, uint64_t *ret_count, struct error *e) MUST_CHECK;

#endif
