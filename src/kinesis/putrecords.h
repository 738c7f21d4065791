/*
 * putrecords: the body of a PutRecords request, built record by record.
 *
 * What it is: JSON (AWS JSON 1.1: base64 straight into the body, keys escaped) or CBOR (byte strings, definite or
 * indefinite lengths; the SDKs for Java speak the indefinite form). Two sizes are kept apart: accounting bytes (decoded
 * data plus key bytes: what the service's 5 or 10 MiB count) and wire bytes, known exactly before building.
 * Promises: 6 (a body is one allocation of exactly its size, and the only copy of its payloads).
 * Owner: the caller's struct, ended by putrecords_fini. Thread: any.
 * Fails: never, when putrecords_begin was given the right count and wire size (anything else is a bug).
 * Does not: check keys (key.h), hold limits, send.
 *
 *   JSON  {"StreamName":"s","Records":[{"Data":"...","PartitionKey":"k","ExplicitHashKey":"0"},...]}
 *   CBOR  {"Records":[{"Data":h'..',"PartitionKey":"k","ExplicitHashKey":"0"},...],"StreamName":"s"}
 *   StreamARN stands for StreamName where the stream is named by its ARN.
 */
#ifndef KSPOOL_KINESIS_PUTRECORDS_H
#define KSPOOL_KINESIS_PUTRECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum putrecords_wire { PUTRECORDS_JSON, PUTRECORDS_CBOR, PUTRECORDS_CBOR_INDEFINITE };

/* Keys must have passed key.h. */
struct putrecords_item {
	const void *data;
	size_t data_bytes;
	const char *key;
	size_t key_bytes;
	const char *hash_key; /* null: none */
	size_t hash_key_bytes;
};

struct putrecords {
	struct buf body;
	const char *stream;
	enum putrecords_wire wire;
	uint32_t count; /* announced */
	uint32_t added;
	uint64_t accounted_bytes;
};

/* Decoded data plus partition key: what limits count. The explicit hash key is not counted (model: PutRecords). */
static inline uint64_t putrecords_accounted(size_t data_bytes, size_t key_bytes)
{
	return (uint64_t)data_bytes + key_bytes;
}

/* Wire bytes of everything but the records, and of one record with the separator it may need. */
size_t putrecords_frame_bytes(enum putrecords_wire wire, const char *stream, uint32_t count);
size_t putrecords_item_bytes(enum putrecords_wire wire, const struct putrecords_item *item);
/* "application/x-amz-json-1.1" or "application/x-amz-cbor-1.1". */
const char *putrecords_content_type(enum putrecords_wire wire);

/* stream (name or ARN) must live until finish. wire_bytes: the frame and the sum of all items. */
void putrecords_begin(struct putrecords *p, enum putrecords_wire wire, const char *stream, uint32_t count,
                      size_t wire_bytes);
/* Returns where in the body the record's data stands (base64 text or bytes), for putrecords_data. */
size_t putrecords_add(struct putrecords *p, const struct putrecords_item *item);
void putrecords_finish(struct putrecords *p);
/* Gets a record's data back from a body: data_bytes bytes into out, which has room for 2 more. */
void putrecords_data(const struct putrecords *p, size_t data_at, size_t data_bytes, void *out);
void putrecords_fini(struct putrecords *p);

#endif
