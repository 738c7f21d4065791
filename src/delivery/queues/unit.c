#include "delivery/queues/unit.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

static size_t bytes_of(struct record *const *parts, uint32_t count)
{
	size_t bytes = aggregate_frame_bytes(parts[0]->key_bytes, parts[0]->hash_key_bytes);

	for (uint32_t i = 0; i < count; i++)
		bytes += aggregate_item_bytes(parts[i]->hash_key_bytes > 0, parts[i]->data_bytes);
	return bytes;
}

static void drop_message(struct record *r, uint64_t *memory_bytes)
{
	*memory_bytes -= message_cost(r->message);
	message_free(r->message);
	r->message = NULL;
}

struct record *unit_join(struct aggregate_writer *w, struct record *const *parts, uint32_t count,
                         uint64_t *memory_bytes)
{
	const struct record *first = parts[0];
	struct message *m = message_new_room(bytes_of(parts, count), first->accepted_ms);
	struct record *unit;

	must(count > 1);
	m->id = first->id;
	aggregate_begin(w, m->bytes, first->key, first->key_bytes, record_hash_key(first), first->hash_key_bytes);
	for (uint32_t i = 0; i < count; i++)
		parts[i]->data_at = aggregate_add(w, message_body(parts[i]->message), parts[i]->data_bytes);
	must(aggregate_end(w) == m->body_bytes);
	*memory_bytes += message_cost(m);
	unit = record_new(m, first->key, first->key_bytes, first->key != first->own, record_hash_key(first),
	                  first->hash_key_bytes);
	unit->since_ns = first->since_ns;
	unit->parts = mem_array(count, sizeof *unit->parts);
	unit->part_count = count;
	unit->lane = first->lane;
	for (uint32_t i = 0; i < count; i++) {
		struct record *part = unit->parts[i] = parts[i];

		must(!part->parts); /* each is settled by itself */
		drop_message(part, memory_bytes);
		part->lane = NULL;
		unit->rows += record_rows(part);
		unit->attempts = part->attempts > unit->attempts ? part->attempts : unit->attempts;
		unit->is_back |= part->is_back;
	}
	return unit;
}

struct record **unit_split(struct record *unit, uint32_t *ret_count, uint64_t *memory_bytes)
{
	struct record **parts = unit->parts;

	must(unit->message && parts);
	*ret_count = unit->part_count;
	for (uint32_t i = 0; i < unit->part_count; i++) {
		struct record *part = parts[i];

		part->message = message_new_room(part->data_bytes, part->accepted_ms);
		part->message->id = part->id;
		memcpy(part->message->bytes, message_body(unit->message) + part->data_at, part->data_bytes);
		*memory_bytes += message_cost(part->message);
		part->attempts = unit->attempts;
		part->tries = unit->tries;
		part->first_failure_ns = unit->first_failure_ns;
	}
	unit->parts = NULL;
	unit->part_count = 0;
	drop_message(unit, memory_bytes);
	record_free(unit);
	return parts;
}
