/*
 * dispatch_types: what goes into the dispatcher and comes out of it.
 *
 * What it is: settings, what prepare makes of a batch, and the ports.
 * Promises: 6 (settings share out the memory bound). Owner: each struct says. Thread: delivery.
 * Fails: never. Does not: act.
 */
#ifndef KSPOOL_DELIVERY_DISPATCH_TYPES_H
#define KSPOOL_DELIVERY_DISPATCH_TYPES_H

#include "kinesis/putrecords.h"
#include "journal/flight.h"
#include "store/store_settlement.h"
#include "config/config.h"
#include "delivery/batcher.h"
#include "delivery/queues/lanes.h"
#include "delivery/request.h"

enum { ROW_BOOKKEEPING = 192 /* bytes: a record, its allocation, a settlement */ };

/* The options as they are, and what follows from several of them. Texts are the config's, which must live longer. */
struct dispatch_settings {
	struct options_kspool kspool;
	struct options_aws_kinesis output;
	enum putrecords_wire wire;
	bool fills; /* no batching policy: fill requests from what is there */
	struct batcher_policy policy;
	struct lanes_rules lanes;
};

/* A record to send, or one that may not be sent. */
struct prepared_record {
	struct record *record;
	const char *code; /* null: it may be sent; else why not, with the reason */
	char *reason;
};

/* A row as it came in. */
struct prepared_row {
	uint64_t id;
	uint32_t row_bytes;
};

/*
 * What a batch became. Rows are listed when processors ran over it (and only then): a row that no record stands for any
 * more has vanished.
 */
struct prepared {
	struct prepared_record *records;
	size_t count;
	struct prepared_row *rows;
	size_t row_count;
	int64_t not_before_ns;  /* monotonic: no other batch is wanted before (a rate limit); 0: none */
	uint64_t charged_bytes; /* to the budget, until the records are counted */
};

struct dispatch_ports {
	void *arg;
	/* Must end in exactly one dispatch_answered, not from inside. */
	void (*send)(void *arg, struct request *request);
	/* The reason (may be null) changes hands. */
	void (*settle)(void *arg, const struct store_settlement *settlement, uint32_t row_bytes);
	/*
	 * True: messages were taken out of the batch, all or the first, and what *ret points to is dispatch's. False,
	 * later: the batch is the preparer's until exactly one dispatch_prepared, not from inside; no other is given
	 * before.
	 */
	bool (*prepare)(void *arg, struct batch *batch, struct prepared *ret);
	/* A row that was released (SETTLE_RELEASE) is wanted again; it comes as any other, if it still is there. */
	void (*fetch)(void *arg, uint64_t id);
	double (*unit)(void *arg); /* uniform in [0, 1) */
	void (*credentials_stale)(void *arg);
	void (*clock_learn)(void *arg, int64_t server_wall_ms);
	void (*connections_suspect)(void *arg);
	/* What it waits for, and when it last moved (aws_client_moved). Null: nobody says. */
	enum transport_wait (*moved)(void *arg, const struct request *request, int64_t *at_ns);
	bool tells_way;        /* answers say what their way to the service was (link.h) */
	struct flight *flight; /* null: nobody counts what a crash would double */
};

#endif
