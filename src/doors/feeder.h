/*
 * feeder: a stream of bytes into the journal, in order, without loss.
 *
 * What it is: what stdin, file and line sockets have in common. Bytes are read straight into a block; the scanner
 * marks messages in place; a block becomes one offer. One offer is under way at a time, so that the position stored
 * with it covers everything before it (a refused offer can never be overtaken by an accepted later one); meanwhile the
 * next block fills. The bytes of the offer under way stay until its yes: when the spool is full they are offered
 * again, as these sources cannot be told no. A message over the ceiling goes to the set-aside shelf.
 * Promises: 1, 6, 7. Owner: a door. Thread: intake.
 * Fails: never; a refused offer waits, a message too long is set aside with its reason.
 * Does not: read the source itself, or know what kind it is.
 */
#ifndef KSPOOL_DOORS_FEEDER_H
#define KSPOOL_DOORS_FEEDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "doors/intake.h"
#include "doors/scanner.h"

struct event;

enum { FEEDER_BLOCK_BYTES = 2097152, FEEDER_BLOCK_ROWS = 4096, FEEDER_META_MAX_BYTES = 65536 };

struct slice {
	uint32_t offset;
	uint32_t length;
	uint32_t behind;       /* where the next one begins, its delimiter passed */
	const char *flaw;      /* it failed when it was cut; null: it did not */
	struct message *aside; /* it is none and goes to the shelf, as this, with its failure; null: it is one */
	uint64_t rows;         /* of the stream, with this one */
};

struct block {
	char *data;
	size_t length;
	size_t capacity;
	size_t scanned; /* bytes cut into messages */
	struct slice *slices;
	uint32_t count;
	uint32_t first;  /* those before it were accepted */
	uint32_t taking; /* of those behind it: in the offer under way */
	uint32_t slice_capacity;
	uint64_t aside_bytes;
	bool unfinished; /* the last message came without its end */
	uint64_t end;    /* stream offset behind its last whole message */
	size_t end_at;   /* the same place in `data` */
};

struct feeder_options {
	struct intake *intake;
	const struct config_scanner *scanner;
	struct pipeline *processors;
	struct until *until; /* null: it has none */
	const char *origin;  /* for reasons and logs: a path, a peer */
	size_t first_bytes;  /* of a block; it grows */
	bool alone;          /* its source can wait: long messages, or any though doors are full, are its by turns */
	bool is_text;        /* scanner_expect_text */
	char *(*position)(void *arg, uint64_t offset, uint64_t rows); /* null: the source has none */
	const char *position_key;
	uint64_t rows;                /* of the stream that came before */
	uint64_t again_until;         /* stream offset: what stands before it may have been sent by an earlier run */
	void (*on_answer)(void *arg); /* an offer was answered: there may be room again */
	void *arg;
};

struct feeder {
	struct feeder_options options;
	struct scanner scanner;
	struct buf meta; /* metadata of every message */
	struct block blocks[2];
	struct block *filling;
	struct block *flying; /* null: no offer under way */
	struct group *group;  /* of the flying block; null while it waits to be offered again */
	struct event *retry;
	uint64_t offset;  /* stream offset behind the last byte cut */
	uint64_t charged; /* bytes of the blocks, as counted in intake */
	uint64_t target_bytes;
	uint32_t most_rows; /* of an offer: halved by a refusal, for a small or nearly full spool may take a part */
	int wait_ms;        /* before the last offer that was refused came again; 0: none was */
	bool passes;        /* intake_has_room_for_small is enough for it */
	/* The next message alone was refused for its size: it is set aside; and then its first bytes. */
	enum feeder_fits { FITS, FITS_ON_THE_SHELF, FITS_IN_PART } never_fits;
	bool is_checked, is_last; /* the next message, which was refused, by the check of `until` */
	bool drains;              /* what the source has already is taken though kspool stops */
	bool ended;
	bool early; /* the source may have had more: what has no end is marked */
	uint64_t hole_bytes;
	uint64_t rows;      /* of the stream that were cut */
	const char *broken; /* why nothing more can be cut from it; null: it can. Then it has ended */
};

void feeder_init(struct feeder *f, const struct feeder_options *options, uint64_t offset);
void feeder_fini(struct feeder *f);
/* Where to put bytes, and how many fit; 0: wait for on_answer or doors_resume. */
size_t feeder_room(struct feeder *f, char **ret);
/* n bytes were put there. */
void feeder_filled(struct feeder *f, size_t n);
/* The source has no more bytes just now: offers what is whole. Nothing happens to a feeder that is not begun. */
void feeder_flush(struct feeder *f);
/*
 * It begins behind some of its stream, of which these are the first bytes; see scanner_take_head. Call before any byte.
 */
bool feeder_take_head(struct feeder *f, const char *data, size_t length) MUST_CHECK;
/* The source has no more bytes for ever: the rest is the last message. */
void feeder_end(struct feeder *f);
/*
 * Nobody waits for the rest of the message under way: what came of it is a message, with metadata "unfinished": true,
 * unless its end did come.
 */
void feeder_end_early(struct feeder *f);
/* kspool stops, but the source cannot give again what it has given: bytes may come until feeder_end or
 * feeder_end_early. */
void feeder_drain(struct feeder *f);
/* kspool stops: an offer that was refused is given up, with what followed it. None of it was acknowledged. */
void feeder_stop(struct feeder *f);
/* Idle, and fed nothing for a while: holds no bytes until then. How many of the last ones must come again. */
size_t feeder_put_down(struct feeder *f) MUST_CHECK;
/* Everything whole is answered; a feeder not begun, or finished, is idle too. */
bool feeder_is_idle(const struct feeder *f);
/* Bytes of a message whose end has not come. */
bool feeder_is_partial(const struct feeder *f);
uint64_t feeder_uncut_bytes(const struct feeder *f);
/* Those bytes went back to their source: they are none of ours, and the stream ends before them. */
void feeder_give_back(struct feeder *f);

/* The i-th message of the flying block; null: what is made of it is longer than a message may be. */
struct message *feeder_message(struct feeder *f, uint32_t i, int64_t now_ms);

#endif
