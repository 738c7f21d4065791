/*
 * until: a read_until while it runs: the inputs within it end when a certain message came, or none for a while.
 *
 * What it is: the check that its messages pass on the worker, behind their input's own processors, and whether it is
 * met. The message that meets it is stored, with metadata benthos_read_until, and when its yes came nothing more is
 * taken from these inputs: what they had read beyond it was not stored, and no position covers it. So that this can be
 * told exactly, an input with a check offers message by message. Promises: 1, 7 (a file goes on behind the last one).
 * Owner: the intake. Thread: intake; the check is the worker's. Fails: a check that fails on a message is not met; that
 * is logged. Does not: close doors (doors.c).
 */
#ifndef KSPOOL_DOORS_UNTIL_H
#define KSPOOL_DOORS_UNTIL_H

#include "doors/intake.h"

struct until {
	const struct config_until *config;
	struct bloblang_mapping *check; /* null: none */
	bool is_met;
	uint32_t outstanding; /* groups of its inputs */
	int64_t heard_ns;     /* when the last one was sent, or answered */
};

/* Of each read_until of the configuration, in i->untils. */
enum err until_open(struct intake *i, struct error *e) MUST_CHECK;
void until_close(struct intake *i);
/* The one around an input; null: none is. */
struct until *until_of(const struct intake *i, const struct config_input *input);
bool until_is_met(const struct until *u); /* accepts null */
bool until_has_check(const struct until *u);
/* On the worker: looks at a batch unless its group was looked at before. */
void until_look(struct group *g, struct evaluator *ev, struct pipeline_batch *batch);
void until_sent(struct group *g);
void until_answered(struct group *g);
/* Ends those that nothing came for; true when one has just been met so. */
bool until_is_idle_now(struct until *u);

#endif
