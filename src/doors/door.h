/*
 * door: what doors.c needs to know of an input.
 *
 * What it is: one table of functions a kind. Each kind is one file (door_stdin.c, door_file.c, ...) that embeds struct
 * door first. Promises: 12 (a door that cannot read on says so and leaves the others alone). Owner: doors.c owns every
 * door from open to free. Thread: intake. Fails: at open, naming the address or path; afterwards has_failed tells it.
 * Does not: know other doors.
 */
#ifndef KSPOOL_DOORS_DOOR_H
#define KSPOOL_DOORS_DOOR_H

#include "doors/intake.h"

struct door {
	const struct door_kind *kind;
	struct intake *intake;
	const struct config_input *input;
	struct pipeline *processors; /* of the input; null when none */
	bool has_failed;             /* it was not read to its end */
	void (*on_ended)(void *arg); /* a finite input came to its end, everything it gave is durable */
	void *arg;
};

struct door_kind {
	const char *name;
	enum err (*open)(struct intake *i, const struct config_input *input, struct pipeline *processors,
	                 struct door **ret, struct error *e);
	/* The port it listens on; 0 when it has none. Null: it never has one. */
	uint16_t (*port)(const struct door *d);
	/* Why it does only a part of its work just now; null: it does all of it. A null pointer: it always does. */
	const char *(*trouble)(const struct door *d);
	/* Reads may go on: memory or lane room came; also about once a second. */
	void (*resume)(struct door *d);
	/* No new bytes; what is whole is offered. */
	void (*stop)(struct door *d);
	bool (*is_idle)(const struct door *d);
	/* Reads the files of tokens and of TLS again; null: it never has any. */
	enum err (*read_files)(struct door *d, struct error *e);
	/* Of a finite input; null for the others. */
	bool (*has_ended)(const struct door *d);
	void (*free)(struct door *d);
};

/* door_stdin_kind, door_file_kind, ...: one for each row of config/inputs.def. */
#define DOOR_DECLARE(kind, member, key, door, flags, text) extern const struct door_kind door##_kind;
CONFIG_INPUTS(DOOR_DECLARE)

#endif
