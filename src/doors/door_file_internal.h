/*
 * door_file_internal: a file input, as its two files know it.
 *
 * What it is: the door, and its readers: a file each, whose position is known. One is read at a time, the others rest.
 * Promises: 1, 12 (no file holds up those behind it). Owner: the door. Thread: intake.
 * Fails: never by itself; what happens to a file is the door's to tell. Does not: read more than one file at a time.
 */
#ifndef KSPOOL_DOORS_DOOR_FILE_INTERNAL_H
#define KSPOOL_DOORS_DOOR_FILE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "doors/door.h"
#include "doors/door_paths.h"
#include "doors/feeder.h"
#include "doors/position.h"

enum { GROW_MS = 100 };

enum file_state {
	FILE_BETWEEN,
	FILE_UNASKED,
	FILE_ASKED,
	FILE_READING,
	FILE_GROWING,
	FILE_RESTING,
	FILE_READ,
	FILE_ENDED,
	FILE_STOPPED,
};

/* The end of a file whose last message has none, as long as that lasts. */
struct growing {
	int64_t since_ns; /* first seen so; 0: not yet */
	int64_t still_ns; /* since when nothing changed */
	struct stat seen;
};

struct reader {
	STAILQ_ENTRY(reader) link; /* of those that rest */
	struct door_file *door;
	size_t path; /* of the door's */
	int fd;      /* -1: it could not be opened */
	char *key;
	char *older_key; /* asked for when there is no position under key */
	struct position position;
	bool position_is_lost; /* it had one, which is not what was written; or may have had */
	struct growing growing;
	struct feeder feeder;
	uint64_t turn_bytes; /* read in this turn */
	int64_t turn_ns;     /* when it began */
	int64_t due_ns;      /* while it rests: not before */
};

struct question;

struct door_file {
	struct door door;
	enum file_state state;
	struct paths paths;
	int64_t last_line_after_ns;
	size_t next;                   /* name to be looked at next */
	struct reader *at;             /* whose turn it is */
	STAILQ_HEAD(, reader) resting; /* in the order of their turns */
	size_t resting_count;
	bool old_before_new;   /* whose turn is next, when files rest and others were not begun */
	long absent_ms;        /* before the names that are not there are tried again */
	int64_t absent_due_ns; /* 0: it is not waited for them */
	char *trouble;
	struct event *turn; /* a timer that runs out at once: one slice, then the loop lives */
	struct question *asked;
};

/* door_file_turns.c */
struct reader *door_file_reader_new(struct door_file *f, size_t path);
/* Accepts null. */
void door_file_reader_free(struct reader *r);
/* All of them. */
void door_file_readers_free(struct door_file *f);
/* The current one is a file that rests, by another name. */
bool door_file_is_read_by_another(const struct door_file *f);
/* Besides the current one there is a file to be read. */
bool door_file_others_wait(const struct door_file *f);
bool door_file_turn_is_over(const struct door_file *f);
/* RESTING: when all of it is durable the current one rests, not before its due_ns. False: not yet. */
bool door_file_put_down(struct door_file *f) MUST_CHECK;

struct file_turn {
	enum { TURN_NEW, TURN_OLD, TURN_LATER, TURN_NONE } kind;
	size_t path;   /* of a new one, which is to be opened */
	long delay_ms; /* until there may be one */
};
/* BETWEEN: whose turn it is. One that rested is the current one now. */
struct file_turn door_file_next(struct door_file *f) MUST_CHECK;

#endif
