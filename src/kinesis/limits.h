/*
 * limits: what Kinesis Data Streams takes.
 *
 * What it is: numbers of the service model kinesis/2013-12-02 (botocore, service-2.json) and of the developer guide's
 * page "Quotas and limits". Promises: none of its own. Owner: nobody. Thread: any. Fails: never.
 * Does not: say what kspool uses: its ceilings are configured (kspool.max_record_bytes, kspool.max_request_bytes);
 * these are the largest values the service can be made to take.
 */
#ifndef KSPOOL_KINESIS_LIMITS_H
#define KSPOOL_KINESIS_LIMITS_H

enum {
	KINESIS_REQUEST_RECORDS = 500,    /* model: PutRecordsRequestEntryList, max 500 */
	KINESIS_REQUEST_BYTES = 10485760, /* model: PutRecords, data and partition keys, decoded */
	KINESIS_RECORD_BYTES = 10485760,  /* model: Data max; a stream's own maximum is 1 MiB unless raised */
	KINESIS_KEY_CHARACTERS = 256,     /* model: PartitionKey, 1..256 Unicode characters, not bytes */
	KINESIS_KEY_BYTES = 4 * KINESIS_KEY_CHARACTERS,
	KINESIS_HASH_KEY_DIGITS = 39,         /* model: ExplicitHashKey 0|([1-9]\d{0,38}), at most 2^128 - 1 */
	KINESIS_SEQUENCE_DIGITS = 129,        /* model: SequenceNumber 0|([1-9]\d{0,128}) */
	KINESIS_STREAM_NAME_CHARACTERS = 128, /* model: StreamName */
	KINESIS_ANSWER_BYTES = 2097152,       /* more than 500 entries with two full texts each can need */
};

#define KINESIS_HASH_KEY_MAX "340282366920938463463374607431768211455" /* 2^128 - 1 */
#define KINESIS_PUT_RECORDS "Kinesis_20131202.PutRecords"              /* X-Amz-Target */
#define KINESIS_TYPE_JSON "application/x-amz-json-1.1"
#define KINESIS_TYPE_CBOR "application/x-amz-cbor-1.1"

#endif
