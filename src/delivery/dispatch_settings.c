#include "delivery/dispatch_settings.h"

#include "message/message.h"

enum {
	LEAST_ROWS = 1024,
};

struct memory_share dispatch_settings_memory(const struct config *config)
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

static void fill_policy(const struct config *c, struct dispatch_settings *s)
{
	const struct options_batching *b = &c->output.batching;
	struct memory_share memory = dispatch_settings_memory(c);
	bool has_check = b->check.text && b->check.text[0];

	/* Redpanda Connect makes no batcher for count <= 1 alone: then the backlog fills the requests. */
	s->fills = b->count <= 1 && b->byte_size_bytes == 0 && b->period_ns <= 0 && !has_check;
	s->policy.cost_bytes = memory.bytes / 2;
	s->policy.memory_count = memory.rows / 2;
	if (s->fills && !(b->count == 1 && b->processors)) {
		s->policy.count = (uint64_t)c->kspool.max_request_records;
		s->policy.payload_bytes = c->kspool.max_request_bytes_bytes;
		s->policy.period_ns = c->kspool.linger_ns > 0 ? c->kspool.linger_ns : 1;
		return;
	}
	s->fills = false;
	s->policy.count = b->count > 0 ? (uint64_t)b->count : 0;
	s->policy.payload_bytes = b->byte_size_bytes;
	s->policy.period_ns = b->period_ns;
}

static void fill_lanes(const struct options_kspool *k, struct lanes_rules *rules)
{
	const bool is_ordered = k->order != ORDER_NONE, aggregates = k->aggregation != AGGREGATION_OFF;

	*rules = (struct lanes_rules){.is_on = is_ordered || aggregates,
	                              .is_ordered = is_ordered,
	                              .is_total = k->order == ORDER_TOTAL,
	                              .records = k->order == ORDER_KEY_CHECKED ? (uint32_t)k->max_request_records : 1,
	                              .aggregates = aggregates,
	                              .target_bytes = k->aggregation_bytes_bytes,
	                              .period_ns = k->aggregation_period_ns};
}

void dispatch_settings_fill(const struct config *c, struct dispatch_settings *s)
{
	*s = (struct dispatch_settings){.kspool = c->kspool, .output = c->output};
	s->wire = c->kspool.wire == WIRE_CBOR ? PUTRECORDS_CBOR : PUTRECORDS_JSON;
	fill_policy(c, s);
	fill_lanes(&c->kspool, &s->lanes);
}
