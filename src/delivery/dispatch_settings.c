#include "delivery/dispatch_settings.h"

#include <string.h>

#include "message/message.h"

enum {
	ROW_BOOKKEEPING = 192, /* a record, its allocation, a settlement */
	LEAST_ROWS = 1024,
};

struct memory_share settings_memory(const struct config *config)
{
	uint64_t share = config->kspool.memory_bytes / 8 * 5, least;
	struct memory_share m;

	m.bytes = share / 4 * 3; /* in flight a message is its JSON body, a third larger, and no longer itself */
	/* One message of the largest kind must fit, whatever the bound says. */
	least = config->kspool.max_record_bytes_bytes;
	if (config->kspool.max_message_bytes_bytes > least)
		least = config->kspool.max_message_bytes_bytes;
	least += sizeof(struct message) + (64 << 10);
	if (m.bytes < least)
		m.bytes = least;
	m.rows = (uint32_t)(share / 8 / ROW_BOOKKEEPING);
	if (m.rows < LEAST_ROWS)
		m.rows = LEAST_ROWS;
	return m;
}

static uint64_t not_negative(int64_t n) { return n > 0 ? (uint64_t)n : 0; }

static void fill_policy(const struct config *c, struct dispatch_settings *s)
{
	const struct options_batching *b = &c->output.batching;
	struct memory_share memory = settings_memory(c);
	bool has_check = b->check.text && b->check.text[0];

	/* Redpanda Connect makes no batcher for count <= 1 alone: then the backlog fills the requests. */
	s->fills = b->count <= 1 && b->byte_size_bytes == 0 && b->period_ns <= 0 && !has_check;
	s->policy.cost_bytes = memory.bytes / 2;
	s->policy.memory_count = memory.rows / 2;
	if (s->fills && !(b->count == 1 && b->processors)) {
		s->policy.count = s->request_records;
		s->policy.payload_bytes = s->request_bytes;
		s->policy.period_ns = s->linger_ns > 0 ? s->linger_ns : 1;
		return;
	}
	s->fills = false;
	s->policy.count = not_negative(b->count);
	s->policy.payload_bytes = b->byte_size_bytes;
	s->policy.period_ns = b->period_ns;
}

void settings_fill(const struct config *c, struct dispatch_settings *s)
{
	const struct options_kspool *k = &c->kspool;
	const struct options_aws_kinesis *o = &c->output;

	memset(s, 0, sizeof *s);
	s->stream = o->stream;
	s->wire = k->wire == WIRE_CBOR ? PUTRECORDS_CBOR : PUTRECORDS_JSON;
	s->max_in_flight = (uint32_t)o->max_in_flight;
	s->request_records = (uint32_t)k->max_request_records;
	s->request_bytes = k->max_request_bytes_bytes;
	s->linger_ns = k->linger_ns;
	s->max_retries = not_negative(o->max_retries);
	s->backoff_initial_ns = o->backoff.initial_interval_ns;
	s->backoff_max_ns = o->backoff.max_interval_ns;
	s->backoff_elapsed_ns = o->backoff.max_elapsed_time_ns;
	s->throttle_max_ns = k->throttle_max_ns;
	s->request_timeout_ns = k->request_timeout_ns;
	s->probe_initial_ns = k->probe_initial_ns;
	s->probe_max_ns = k->probe_max_ns;
	s->dead_after_attempts = not_negative(k->dead_after_attempts);
	s->dead_after_age_ns = k->dead_after_age_ns;
	fill_policy(c, s);
}
