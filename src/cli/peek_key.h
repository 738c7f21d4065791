/*
 * peek_key: the partition keys of messages that wait.
 *
 * What it is: output.aws_kinesis.partition_key of a configuration, made of a stored message as delivery would make it.
 * Promises: none of its own.
 * Owner: the caller, until peek_key_free. The configuration must outlive it.
 * Thread: the command's.
 * Fails: peek_key_new with ERR_CONFIG and the place; a message whose key cannot be made has none.
 * Does not: run processors of the output: what they would change is not in the spool.
 */
#ifndef KSPOOL_CLI_PEEK_KEY_H
#define KSPOOL_CLI_PEEK_KEY_H

#include "config/config.h"
#include "store/upkeep/store_copy.h"

struct peek_key;

enum err peek_key_new(const struct config *config, struct peek_key **ret, struct error *e) MUST_CHECK;
/* Accepts null. */
void peek_key_free(struct peek_key *k);
/* Null: it cannot be made, *e says why; or it is another each time (ERR_UNSUPPORTED). Lasts until the next call. */
const char *peek_key_of(struct peek_key *k, const struct store_peeked *m, size_t *ret_bytes, struct error *e);

#endif
