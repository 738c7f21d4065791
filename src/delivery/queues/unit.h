/*
 * unit: several records that are sent as one, an aggregate.
 *
 * What it is: a record whose message is an aggregate (kinesis/aggregate.h) of the data of its parts; a part keeps all
 * that is known of it but its message. Promises: 2 (each part is settled for itself), 6 (a payload is in memory once).
 * Owner: dispatch; a unit owns its parts. Thread: delivery. Fails: never. Does not: choose what goes together.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_UNIT_H
#define KSPOOL_DELIVERY_QUEUES_UNIT_H

#include "delivery/queues/record.h"
#include "kinesis/aggregate.h"

/* Of 2 records or more with one key and hash key, ascending, each with its message. *memory_bytes follows. */
struct record *unit_join(struct aggregate_writer *w, struct record *const *parts, uint32_t count,
                         uint64_t *memory_bytes);
/* Each part has its message again. The parts are the caller's, in an array to be freed; the unit is gone. */
struct record **unit_split(struct record *unit, uint32_t *ret_count, uint64_t *memory_bytes);

#endif
