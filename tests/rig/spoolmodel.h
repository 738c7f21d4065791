/*
 * spoolmodel: what a spool must be, kept beside it message by message.
 *
 * What it is: an array of all messages with what became of each, and the numbers that follow from it. Verbs do to a
 * store and to the model what a test asks for; model_expect compares everything that can be asked of the store, and
 * what stands in its tables, with the model. Clocks stand still but for model_pass.
 * Owner: the test. Thread: one. Fails: a difference fails the test; a store's error is returned, and the model is then
 * as it was before the group.
 * Does not: share code with the store, but for what it is asked.
 */
#ifndef KSPOOL_TESTS_SPOOLMODEL_H
#define KSPOOL_TESTS_SPOOLMODEL_H

#include "rig/spooldir.h"
#include "store/store_internal.h"

enum model_place { MODEL_NEVER, MODEL_WAITS, MODEL_DEAD, MODEL_GONE };

enum model_harm_kind { UNHARMED, HARMED_ALONE, HARMED_IN_BLOCK, LOST };

struct model_message {
	uint64_t n; /* what its bytes follow from */
	uint32_t meta_bytes, body_bytes;
	enum model_place place;
	bool failed;
	bool moved_out;            /* of its block: it waits for long, or failed often */
	bool has_left;             /* as PATH.left must know */
	enum model_harm_kind harm; /* in the file, and nobody noticed so far */
	uint32_t attempts;
	int64_t due_ms, received_ms, lead_ms, died_ms;
	char code[12], reason[12];
};

enum { MODEL_IDS = 14000, MODEL_KEYS = 6 };

/* What an undone group gives back. */
struct model_state {
	struct store_ledger ledger;
	uint64_t next_id; /* that the next message gets */
	uint64_t unexpected, stored_bytes;
	uint64_t possible;     /* duplicates */
	uint64_t damaged_rows; /* that were kept */
	int64_t lead_ms;
	int64_t expires_ms[MODEL_KEYS]; /* of a key; 0: not there */
	int positions[MODEL_KEYS];      /* 0: none */
	struct model_message items[MODEL_IDS];
};

struct model {
	struct spooldir dir;
	struct store_options options;
	struct store *s;
	struct model_state now, before;
	bool in_group;
	uint64_t durable_next; /* next_id as of the last commit */
	uint64_t n;            /* messages made so far */
	int64_t uptime_ms, wall_ms, offset_ms;
	int64_t due_ms; /* up to here failed messages were handed out */
	uint64_t due_id;
	bool is_over;
	bool disk_failed;        /* the next start finds the marker */
	uint64_t asides;         /* files that were set aside */
	struct model_copy *copy; /* that was made last; null: none */
	uint64_t orphans;        /* failures whose messages are gone */
	bool no_metadata;        /* of any message */
	bool claims;             /* every seventh message is on its way */
};

struct model *model_open(const struct store_options *options);
/* Stops it, cleanly or as a kill does, and opens it again. */
void model_reopen(struct model *m, bool clean);
/* Between two lives: a message is not what was written, or is gone; `alone`: model_is_alone, before the stop. */
void model_stop(struct model *m);
bool model_is_alone(const struct model *m, uint64_t id);
void model_harm(struct model *m, uint64_t id, bool alone);
void model_lose(struct model *m, uint64_t id, bool alone);
/* A start after it, and what reading all that is pending makes of it; or repair and a start; or a start of a file whose
 * head is gone. */
void model_start_harmed(struct model *m);
enum err model_read_harmed(struct model *m, struct error *e);
void model_repair(struct model *m);
void model_behead(struct model *m);
/* `keys`: so many had it, and no note of a copy that was taken in. */
void model_take_away(struct model *m, uint64_t keys);
void model_close(struct model *m);
/*
 * A life of so many random verbs, each compared; before it succeeds most fail at some call of SQLite, which must be
 * told and leave nothing. LARGE: blocks at their limits. HARMED: files are damaged between runs.
 */
enum { MODEL_LARGE = 1, MODEL_HARMED = 2 };
void model_live(uint64_t seed, int steps, unsigned ways, const struct store_options *options);
void model_pass(struct model *m, int64_t uptime_ms, int64_t wall_ms);
void model_limit(struct model *m, uint64_t max_bytes, bool evict);
int64_t model_own_ms(const struct model *m);
/* Of what waits. */
uint64_t model_bytes(const struct model *m);

/* Everything agrees. */
void model_expect(struct model *m);
/* After an error: what the store keeps in memory alone is taken over, where it may be so. */
void model_undo(struct model *m);

enum err model_begin(struct model *m, struct error *e);
enum err model_commit(struct model *m, struct error *e);
/* `body_bytes` of a new message; every fifth has no metadata. */
enum err model_append(struct model *m, uint32_t body_bytes, struct error *e);
enum err model_append_list(struct model *m, const uint32_t *body_bytes, size_t count, struct error *e);
enum err model_append_dead(struct model *m, uint32_t body_bytes, struct error *e);
enum err model_settle(struct model *m, const struct store_settlement *items, size_t count, struct error *e);
/* What store_settle_full settled, of a disk that had room when it began, or had none. */
void model_take_drained(struct model *m, const struct store_settlement *items, size_t count, bool has_room);
/* Groups of their own. */
enum err model_retry_dead(struct model *m, uint64_t id, struct error *e);
enum err model_purge_dead(struct model *m, uint64_t id, struct error *e);
enum err model_read(struct model *m, uint64_t first, uint64_t last, uint32_t max_rows, uint64_t max_bytes,
                    struct error *e);
enum err model_read_due(struct model *m, int64_t now_ms, uint32_t max_rows, uint64_t max_bytes, struct error *e);
enum err model_walk_dead(struct model *m, uint64_t after, uint32_t limit, struct error *e);
enum err model_add_key(struct model *m, int key, int64_t ttl_ms, struct error *e);
enum err model_has_key(struct model *m, int key, struct error *e);
enum err model_put_position(struct model *m, int key, int value, struct error *e);
enum err model_get_position(struct model *m, int key, struct error *e);

/* Copies out and in, and a look at what waits in a spool that is stopped. */
enum err model_export(struct model *m, struct error *e);
enum err model_import(struct model *m, bool again, struct error *e);
/* How many messages the copy has. */
uint64_t model_copied(const struct model *m);
void model_peek(struct model *m);

static inline uint32_t model_weight(const struct model_message *x) { return x->meta_bytes + x->body_bytes; }

/* The first number of the first row. */
int64_t model_count(const struct model *m, const char *sql);
bool model_is_claimed(void *arg, uint64_t id);

#endif
