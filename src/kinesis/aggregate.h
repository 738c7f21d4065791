/*
 * aggregate: several user records of one partition key in the data of one record.
 *
 * What it is: the format of the Kinesis Producer Library, which the Kinesis Client Library, the deaggregation modules
 * for Lambda and Firehose take apart: four magic bytes, a protobuf message, its MD5. All records in one have the same
 * key and hash key: a reader that finds one of another shard drops them all. Sizes are known exactly before building.
 * Promises: none of its own. Owner: the caller's struct and bytes. Thread: any, a writer each.
 * Fails: aggregate_writer_new only, ERR_CONFIG where MD5 may not be used (FIPS).
 * Does not: decide what goes together, or take an aggregate apart but for one that it wrote.
 * Source: awslabs/amazon-kinesis-producer, aggregation-format.md.
 *
 *   f3 89 9a c2 | 0a key | 12 hash key | (1a (08 00 | 10 00 | 1a data))... | md5
 *   each text and record with its length before it; 12 and 10 only with a hash key
 */
#ifndef KSPOOL_KINESIS_AGGREGATE_H
#define KSPOOL_KINESIS_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct aggregate_writer;

enum err aggregate_writer_new(struct aggregate_writer **ret, struct error *e) MUST_CHECK;
/* Accepts null. */
void aggregate_writer_free(struct aggregate_writer *w);

/* Bytes of everything but the records; of a record. hash_key_bytes 0: none. */
size_t aggregate_frame_bytes(size_t key_bytes, size_t hash_key_bytes);
size_t aggregate_item_bytes(bool has_hash_key, size_t data_bytes);

/* `to` has room for the frame and all items. */
void aggregate_begin(struct aggregate_writer *w, void *to, const char *key, size_t key_bytes, const char *hash_key,
                     size_t hash_key_bytes);
/* Returns where its data stands, from `to` on. */
size_t aggregate_add(struct aggregate_writer *w, const void *data, size_t bytes);
/* Returns the bytes of all. */
size_t aggregate_end(struct aggregate_writer *w);

#endif
