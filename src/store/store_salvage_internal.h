/*
 * store_salvage_internal: what reading files back is made of.
 *
 * What it is: the file that is being read, and how far; store_sources.c finds, opens and closes files, store_salvage.c
 * reads
 * them in steps, store_salvage_rows.c makes rows of them. Promises: 8, by the invariants of both. Owner: the store.
 * Thread: the store's. Fails: an error while reading a file that was set aside puts it off until the next start; only
 * errors of the spool itself travel up. Does not: appear outside these three files.
 */
#ifndef KSPOOL_STORE_STORE_SALVAGE_INTERNAL_H
#define KSPOOL_STORE_STORE_SALVAGE_INTERNAL_H

#include "store/store_internal.h"

enum { FAILURES_MAX = 65536, MARKS_MAX = 65536, BAD_PARTS_MAX = 4096 };

/* What could not be read: left out, and read at the next start. */
struct bad_part {
	uint32_t page;
	uint32_t record; /* 1 + its cell, when it goes on elsewhere and that cannot be read; 0: the page */
};

/* How often a message of the file was tried. */
struct tried {
	uint64_t id;
	uint32_t attempts;
	char code[52];
};

/* A message in a page: of a block, or 0 where it stands alone. */
struct place {
	uint32_t page, cell, message;
};

struct salvage {
	char suffix[ASIDE_SUFFIX_BYTES];
	struct aside_parts parts; /* as they were when it was opened */
	bool parts_noted;
	struct pages *pages;
	uint32_t after_page;
	bool tolerates; /* a person gave it up: what cannot be read is left out */
	uint64_t rows;
	uint64_t expected;
	uint64_t gone;        /* damaged ones that are nowhere, as far as anything here tells */
	uint64_t next_id;     /* of ids below it is known that they were given out: what stands above is not missed */
	uint64_t first, last; /* messages that came back in this step */
	uint64_t step_rows, step_bytes, step_parts;
	uint64_t room_bytes;    /* that this step may write */
	uint64_t most_bytes;    /* no more: a step that was larger was refused */
	bool ends_here;         /* there is no room for what stands at `at` */
	uint32_t page;          /* the one being read */
	struct place at;        /* what is being read */
	struct place reached;   /* all before it was taken; page 0: that are whole pages */
	struct tried *failures; /* of the whole file, by id */
	size_t failure_count;
	struct bad_part bad[BAD_PARTS_MAX];
	size_t bad_count, bad_noted;
	struct bad_part again[BAD_PARTS_MAX]; /* of earlier starts: still to be read in this one */
	size_t again_count;
	uint32_t only;        /* the one record of the page that is read again, as in bad_part; 0: all */
	uint32_t stop_before; /* a page that could not be read: what stands before it is kept first; 0: none */
	struct stored_block *block;
	uint64_t blocks_from, rows_from; /* of the file's own ledger; 0: not known */
	uint64_t counted;                /* ids below were accepted once, and counted; 0: not known */
	struct block_mark *marks;        /* what left its block, of the whole file */
	size_t mark_count;
	/* Messages of which it is forgotten that they left their block: they come back too, as possible duplicates. */
	uint64_t marks_lost;
	bool marks_counted; /* by an earlier step */
	bool is_repeat;     /* how far it was read is forgotten: whatever comes back may have come back before */
	bool marks_unread;  /* a page that may hold some cannot be read: what left its block may come back */
};

struct note {
	uint64_t after, rows;
	bool done;
	bool is_lost; /* it is not what was written, and says nothing */
};

#define SALVAGE_PLACE \
	"part:%s:" /* a suffix; the next page, and how far it was read: 32 bits of a cell, and of a message */
#define SALVAGE_PARTS "size:%s:"  /* bytes of its database and of its log, when it began to be read */
#define SALVAGE_KNOWN "known:%s:" /* next_id, as far as it was known when the file was set aside */
#define SALVAGE_UNCOUNTED "uncounted"
#define SALVAGE_EXPECTED "expected"
#define SALVAGE_POSITIONS "positions"
#define SALVAGE_KEYS "keys"
#define SALVAGE_LEFT "left"
enum err store_note_get(struct store *s, const char *key, struct note *ret, struct error *e) MUST_CHECK;
enum err store_note_put(struct store *s, const char *key, const struct note *note, struct error *e) MUST_CHECK;

/* store_salvage_rows.c */
/* ERR_FULL, with what is waited for. */
enum err store_salvage_waits(const struct store *s, struct error *e) MUST_CHECK;
/* What a record of the page being read holds comes back. */
enum err store_salvage_record(void *arg, const struct stored_record *r, struct error *e) MUST_CHECK;
/* A message's attempts, if it is that; then, when all are noted, by id. */
void store_salvage_note_failure(struct store *s, const struct stored_record *r);
void store_salvage_sort_failures(struct salvage *v);

/* store_sources.c */
/* True when `err` says that a file set aside could not be read, and not that the spool could not. */
bool store_source_failed(const struct store *s, enum err err);
/* Finds a file that is not done, and opens it; s->salvage stays null when there is none. */
enum err store_source_next(struct store *s, struct error *e) MUST_CHECK;
/* It was read to its end. */
enum err store_source_done(struct store *s, struct error *e) MUST_CHECK;
/* Opens this one so that what cannot be read of it is left out; none is open afterwards when nothing of it can. */
enum err store_source_give_up(struct store *s, const char *suffix, struct error *e) MUST_CHECK;
/* Not in this run. */
void store_source_put_off(struct store *s, const char *suffix, const struct error *why);

#endif
