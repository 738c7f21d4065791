/*
 * outcome: the one place that knows what an error of the service means.
 *
 * What it is: a table (outcomes.def) and a lookup. A new meaning is a row; a new action is a row with its function.
 * Promises: 2 (only a row says that a record is refused for itself), 7 (a row says whether it may be stored).
 * Owner: nobody, all of it is constant. Thread: any. Fails: never; every input meets a row.
 * Does not: act, wait or count.
 */
#ifndef KSPOOL_KINESIS_OUTCOME_H
#define KSPOOL_KINESIS_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/metrics.h"

enum outcome_scope {
	OUTCOME_RECORD,
	OUTCOME_REQUEST,
	OUTCOME_UNREADABLE,
	OUTCOME_NOT_SENT,
	OUTCOME_UNKNOWN,
	OUTCOME_NO_CREDENTIALS,
	OUTCOME_CANCELLED,
};

enum outcome_wire { OUTCOME_ANY, OUTCOME_CBOR };

enum outcome_action {
#define ACTION(name, word, function) ACTION_##name,
#include "kinesis/outcomes.def"
};

struct outcome {
	enum outcome_scope scope;
	enum outcome_wire wire;
	int least_status, most_status;
	const char *code; /* static storage */
	const char *text;
	enum outcome_action action;
	bool may_be_stored;
	bool counts_as_attempt;
	enum metric metric;
};

/* status: HTTP, 0 where there is none. code and text: what the service said, "" where it said nothing. */
const struct outcome *outcome_find(enum outcome_scope scope, bool cbor, int status, const char *code, const char *text);
const char *outcome_action_name(enum outcome_action action);
/* The table itself, for tests and documentation. */
const struct outcome *outcome_table(size_t *ret_count);

#endif
