/*
 * dispatch_settings: from the configuration to what dispatch goes by, and how the memory bound is shared out.
 *
 * What it is: the options as they are, and what follows from several of them. An option that dispatch uses as it is
 * needs nothing here.
 * Promises: 6 (the shares below). Owner: the caller's struct; its texts are the config's. Thread: any.
 * Fails: never; the config was checked. Does not: bind batching.check, which the caller does.
 */
#ifndef KSPOOL_DELIVERY_DISPATCH_SETTINGS_H
#define KSPOOL_DELIVERY_DISPATCH_SETTINGS_H

#include "config/config.h"
#include "delivery/dispatch_types.h"

/*
 * Delivery's share is three quarters of kspool.memory. Of that an eighth is for bookkeeping (records, keys,
 * settlements), the rest for payloads: as messages, or base64 in a request's body, which is four thirds of it (promise
 * 6).
 */
struct memory_share {
	uint32_t rows;
	uint64_t bytes; /* message_cost of all rows in memory */
};

struct memory_share dispatch_settings_memory(const struct config *config);
/* Everything but policy.check, which the caller sets. */
void dispatch_settings_fill(const struct config *config, struct dispatch_settings *ret);

#endif
