/* settings: from the configuration to what dispatch goes by, and how the memory bound is shared out. */
#ifndef KSPOOL_DELIVERY_DISPATCH_SETTINGS_H
#define KSPOOL_DELIVERY_DISPATCH_SETTINGS_H

#include "config/config.h"
#include "delivery/dispatch.h"

/*
 * Delivery's share is three quarters of kspool.memory. Of that an eighth is for bookkeeping (records, keys,
 * settlements), the rest for payloads: as messages, or base64 in a request's body, which is four thirds of it (promise
 * 6).
 */
struct memory_share {
	uint32_t rows;
	uint64_t bytes; /* message_cost of all rows in memory */
};

struct memory_share settings_memory(const struct config *config);
/* Everything but policy.check, which the caller sets. */
void settings_fill(const struct config *config, struct dispatch_settings *ret);

#endif
