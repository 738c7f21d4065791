/*
 * door: what doors.c needs to know of an input.
 *
 * Each kind is one file (door_stdin.c, door_file.c, door_http.c, door_socket.c) that embeds struct door first and
 * fills a table of its functions. Thread: intake.
 */
#ifndef KSPOOL_DOORS_DOOR_H
#define KSPOOL_DOORS_DOOR_H

#include "doors/intake.h"

struct httpd;

struct door {
	TAILQ_ENTRY(door) link;
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
	bool is_finite;
	/* Reads may go on: memory or lane room came. */
	void (*resume)(struct door *d);
	/* No new bytes; what is whole is offered. */
	void (*stop)(struct door *d);
	bool (*is_idle)(const struct door *d);
	bool (*has_ended)(const struct door *d);
	void (*free)(struct door *d);
};

enum err door_stdin_open(struct intake *i, const struct config_input *input, struct pipeline *processors,
                         struct door **ret, struct error *e) MUST_CHECK;
enum err door_file_open(struct intake *i, const struct config_input *input, struct pipeline *processors,
                        struct door **ret, struct error *e) MUST_CHECK;
/* shared: the admin server, used when the input has no address of its own; may be null. */
enum err door_http_open(struct intake *i, const struct config_input *input, struct pipeline *processors,
                        struct httpd *shared, struct door **ret, struct error *e) MUST_CHECK;
enum err door_socket_open(struct intake *i, const struct config_input *input, struct pipeline *processors,
                          struct door **ret, struct error *e) MUST_CHECK;
/* The port of a listening door; 0 when it has none. */
uint16_t door_http_port(const struct door *d);
uint16_t door_socket_port(const struct door *d);

extern const struct door_kind door_stdin_kind;
extern const struct door_kind door_file_kind;
extern const struct door_kind door_http_kind;
extern const struct door_kind door_socket_kind;

#endif
