/*
 * Invariants:
 * 1. A record in a request under way has no message; its data stands in the body at data_at.
 * 2. A request holds 1 to KINESIS_REQUEST_RECORDS records when it begins, and none when it is freed.
 * 3. requests.count is the length of the list.
 */
#include "delivery/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "kinesis/limits.h"

static struct putrecords_item item_of(const struct record *r)
{
	return (struct putrecords_item){.data = message_body(r->message),
	                                .data_bytes = r->data_bytes,
	                                .key = r->key,
	                                .key_bytes = r->key_bytes,
	                                .hash_key = record_hash_key(r),
	                                .hash_key_bytes = r->hash_key_bytes};
}

static void encode(struct request *q, enum putrecords_wire wire, const char *stream, uint64_t *memory_bytes)
{
	size_t wire_bytes = putrecords_frame_bytes(wire, stream, q->count);

	for (uint32_t i = 0; i < q->count; i++) {
		struct putrecords_item item = item_of(q->records[i]);

		wire_bytes += putrecords_item_bytes(wire, &item);
	}
	putrecords_begin(&q->put, wire, stream, q->count, wire_bytes);
	for (uint32_t i = 0; i < q->count; i++) {
		struct record *r = q->records[i];
		struct putrecords_item item = item_of(r);

		r->data_at = putrecords_add(&q->put, &item);
		*memory_bytes -= message_cost(r->message);
		message_free(r->message);
		r->message = NULL;
	}
	putrecords_finish(&q->put);
	*memory_bytes += q->put.body.cap;
}

struct request *request_new(enum putrecords_wire wire, const char *stream, struct record *const *records,
                            uint32_t count, uint64_t *memory_bytes)
{
	struct request *q = mem_zero(sizeof *q);

	must(count > 0 && count <= KINESIS_REQUEST_RECORDS);
	q->records = mem_array(count, sizeof(struct record *));
	memcpy(q->records, records, count * sizeof(struct record *));
	q->count = count;
	encode(q, wire, stream, memory_bytes);
	q->aws.target = KINESIS_PUT_RECORDS;
	q->aws.content_type = putrecords_content_type(wire);
	q->aws.body = q->put.body.data;
	q->aws.body_bytes = q->put.body.len;
	return q;
}

void request_restore(struct request *q, uint64_t *memory_bytes)
{
	for (uint32_t i = 0; i < q->count; i++) {
		struct record *r = q->records[i];

		if (!r || r->message)
			continue;
		r->message = message_new_room(r->data_bytes, r->accepted_ms);
		r->message->id = r->id;
		putrecords_data(&q->put, r->data_at, r->data_bytes, r->message->bytes);
		*memory_bytes += message_cost(r->message);
	}
}

struct record *request_take(struct request *q, uint32_t i)
{
	struct record *r = q->records[i];

	must(i < q->count && r);
	q->records[i] = NULL;
	return r;
}

void request_free(struct request *q, uint64_t *memory_bytes)
{
	for (uint32_t i = 0; i < q->count; i++)
		must(!q->records[i]);
	*memory_bytes -= q->put.body.cap;
	putrecords_fini(&q->put);
	free(q->records);
	free(q);
}

void requests_begin(struct requests *all, struct request *q, int64_t now_ns)
{
	must(all->count > 0 || LIST_EMPTY(&all->list));
	q->sent_ns = now_ns;
	q->is_shared = all->count > 0;
	if (all->count == 1)
		LIST_FIRST(&all->list)->is_shared = true;
	LIST_INSERT_HEAD(&all->list, q, link);
	all->count++;
}

void requests_end(struct requests *all, struct request *q)
{
	must(all->count > 0);
	LIST_REMOVE(q, link);
	all->count--;
	must(all->count > 0 || LIST_EMPTY(&all->list));
}

uint64_t requests_messages(const struct requests *all)
{
	const struct request *q;
	uint64_t messages = 0;

	LIST_FOREACH (q, &all->list, link)
		for (uint32_t i = 0; i < q->count; i++)
			messages += record_rows(q->records[i]);
	return messages;
}
