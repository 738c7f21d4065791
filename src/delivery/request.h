/*
 * request: one PutRecords request with the records in it, and the requests under way.
 *
 * What it is: records become a body, and come back out of it when the request fails.
 * Promises: 6 (a payload is in memory once: in its message or in the body, never in both for longer than the copy).
 * Owner: dispatch; whoever sends may use `aws` only. Thread: delivery.
 * Fails: never. Does not: choose records, decide when to send, or read answers.
 */
#ifndef KSPOOL_DELIVERY_REQUEST_H
#define KSPOOL_DELIVERY_REQUEST_H

#include "kinesis/putrecords.h"
#include "aws/client.h"
#include "delivery/queues/record.h"

struct isolation;

struct request {
	LIST_ENTRY(request) link;
	struct aws_request aws;
	struct putrecords put;
	struct record **records;     /* null where a record was dealt with */
	struct isolation *isolation; /* null: ordinary */
	int64_t sent_ns;
	uint32_t count;
	uint64_t messages; /* its records stand for, when it was sent */
	uint32_t hold;     /* hold.number when it was sent */
	bool probe;
	bool is_shared; /* another was under way at the same time */
	bool of_suspects, of_doubts;
	bool is_cut; /* the link gave it less than there was */
};

LIST_HEAD(request_list, request);

struct requests {
	struct request_list list;
	uint32_t count;
};

/* Takes the records over, and frees their messages. stream must live until the request ends. *memory_bytes follows. */
struct request *request_new(enum putrecords_wire wire, const char *stream, struct record *const *records,
                            uint32_t count, uint64_t *memory_bytes);
/* Brings the messages of the records that are left back out of the body. */
void request_restore(struct request *q, uint64_t *memory_bytes);
/* Its record at i, which is the caller's now. */
struct record *request_take(struct request *q, uint32_t i);
/* Every record must have been taken. */
void request_free(struct request *q, uint64_t *memory_bytes);

/* From being sent to being answered. */
void requests_begin(struct requests *all, struct request *q, int64_t now_ns);
void requests_end(struct requests *all, struct request *q);
/* Messages in requests under way. */
uint64_t requests_messages(const struct requests *all);

#endif
