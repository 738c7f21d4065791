/*
 * store_internal: what the files of the store share.
 *
 * What it is: the store's state, and the verbs one file lends to another. From below: store_transaction.c, row.c,
 * store_ledger.c, store_settle.c, store_space.c, store_commit.c; everything else stands on these.
 * Promises: 9, by these invariants:
 *  1. Between groups `now` equals `durable`, but for next_id, which never goes back. store_begin asserts it.
 *  2. accepted is the sum of the states in both. store_commit asserts it.
 *  3. Every change of a row goes with its change of `now` in one group.
 *  4. next_id is above every id that any table ever held.
 *  5. pending_bytes is 0 when nothing is pending; `recount` is set when the group cannot know it.
 *  6. The ledger's row is as `durable`, or behind it by blocks alone, whose ids are at or above the row's next_id:
 *     store_ledger_catch_up makes the one of the other.
 * Owner: the store owns its connection, statements and files.
 * Thread: the store's.
 * Fails: store_fail maps SQLite's codes and ends the group; it is the only way a statement fails.
 * Does not: appear outside this folder.
 */
#ifndef KSPOOL_STORE_STORE_INTERNAL_H
#define KSPOOL_STORE_STORE_INTERNAL_H

#include <sqlite3.h>

#include "store/blocks/block.h"
#include "store/blocks/mark.h"
#include "store/blocks/side.h"
#include "store/blocks/walk.h"
#include "store/files/asides.h"
#include "store/files/left.h"
#include "store/files/pages.h"
#include "store/files/spool_files.h"
#include "store/files/sql.h"
#include "store/files/sum.h"
#include "store/store.h"
#include "store/store_back.h"
#include "store/store_damage.h"
#include "store/store_dead.h"
#include "store/store_ledger.h"
#include "store/store_open.h"
#include "store/store_mend.h"
#include "store/store_space.h"

enum {
	APPLICATION_ID = 0x4b53504c,  /* "KSPL" */
	DEFAULT_PAGE_BYTES = 4096,    /* measured: tests/programs/bench_journal.c */
	CHECKPOINT_BYTES = 128 << 20, /* measured: tests/programs/bench_journal.c */
	MIN_CHECKPOINT_BYTES = 1 << 20,
	WAL_HOLD_BYTES = CHECKPOINT_BYTES + CHECKPOINT_BYTES / 4, /* the log at its largest */
	CACHE_KIB = 8192,
	DAMAGED_PER_READ = 256,
	MAX_RETRY_WAIT_MS = 3600 * 1000, /* at open: a clock that jumped must not hide a message longer */
};

enum store_statement {
#define STATEMENT(id, sql) ST_##id,
#include "store/statements.def"
#undef STATEMENT
	STATEMENT_COUNT
};

/* The ledger row, then what is counted anew at every open; shelf_again: what of `possible` stands on the shelf. */
struct totals {
	struct store_ledger ledger;
#define LEDGER_PLACE(column) uint64_t column; /* schema/ says what each is */
#include "base/ledger.def"
	uint64_t retrying, shelf_again;
};

/* What left blocks, as the open group has it, store_pending.c. */
struct block_marks {
	struct block_mark *items; /* ascending ids */
	size_t count, capacity;
};

/* How far the ledger's row is behind, store_commit.c. */
struct row_lag {
	bool may_wait;                        /* said of the open group */
	uint64_t group_messages, group_bytes; /* in blocks that the open group inserted */
	uint32_t commits;                     /* that the row does not have; 0: it is as `durable` */
	uint64_t clock_ms, handed;            /* as the row has them */
};

static inline struct spool_id store_totals_id(const struct totals *t)
{
	return (struct spool_id){.high = t->spool_high, .low = t->spool_low};
}

/* Where small blocks and rows of the first schema are looked for, store_merge.c. */
struct merging {
	uint64_t at;                          /* below it there is nothing to do */
	uint64_t from_id;                     /* worth a look when so many ids were given out */
	uint32_t skip;                        /* runs not worth a try: the last one did not become smaller */
	uint64_t first_row, row_at, last_row; /* ids in `messages` when the spool was opened; last_row 0: all done */
};

#define CLOCK_LEAD_UNKNOWN INT64_MIN
enum { CLOCK_LEADS_MAX = 1 << 16 }; /* of what waits: a clock that stepped more often than that is not believed */
/* Messages from first_id on were accepted while the wall clock was so far ahead of the spool's own time. */
struct clock_lead {
	uint64_t first_id;
	int64_t lead_ms;
};

/* Why messages became damaged. */
enum loss {
#define LOSS(id, number, sentence) LOSS_##id = (number),
#include "store/losses.def"
	LOSSES,
};
struct loss_sum {
	uint64_t messages, first, last; /* ids: 0 when they are not known */
	int64_t since_ms;
};

struct put_off {
	char suffix[ASIDE_SUFFIX_BYTES];
	struct error why;
};

/* A file as it was when it was opened, or last made shorter by us. */
enum { WATCHED_FILES = 3 };
struct watched {
	dev_t device;
	ino_t inode; /* 0: not there, not watched */
	int64_t bytes;
	/* Who wrote last is not known when that was at another time than at the last look, or just before it. */
	struct timespec written;
	bool is_settled;
};

/* store_space.c: bytes of the database, of what of it holds nothing, of the blocks it has, and of those the log has
 * left.
 */
struct spool_size {
	bool is_known;
	uint64_t pages, inside, held, log_room;
};

/* Rows whose loss nothing beside them would show, store_gone.c: there are, and there were besides; the sums of their
 * checksums, and what they should be more. */
struct side_rows {
	uint64_t positions, keys, imports;
	uint64_t positions_gone, keys_gone, imports_gone;
	uint64_t positions_sum, imports_sum;
	uint64_t positions_off, imports_off;
	struct put_backs back; /* from the shelf */
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	struct store_options options;
	char *path;
	char *vfs;
	struct files files;
	int tide_trouble;                              /* errno of the last write of PATH.tide; 0: it worked */
	bool tide_is_dead, tide_is_anew, left_is_anew; /* made anew by store_watch, and not told yet */
	struct tide tide; /* as it stood when the spool was opened; not valid: none of ours */
	struct left *left;
	bool left_is_behind;   /* it does not know yet what came back and was counted */
	uint64_t left_knows;   /* what ended in commits up to this one, when the spool was opened; 0: not known */
	uint64_t last_commits; /* the last one that anything told of when it was opened; 0: nothing did */
	bool is_uncounted;     /* it was new when it was opened, and nothing told what was accepted before */
	bool is_exact;         /* when it was opened all that was accepted waited here, or had had its end; */
	bool is_counted;       /* and so said the rows, each of which was counted */
	bool came_again;       /* a row was read that had left */
	struct spool_id id;
	uint32_t tag;     /* of `id` */
	bool log_is_live; /* it was not empty when the spool was opened: what is committed goes on behind it */
	struct totals durable, now;
	int changes_before;  /* of the connection, when the group began */
	uint64_t id_before;  /* now.next_id then: what the group gave out begins here */
	struct totals row;   /* the ledger's row as it was last written */
	uint64_t file_print; /* of the row in the file alone, when the spool was opened */
	uint64_t unnumbered; /* rows alone for which the ledger had no ids when it was opened */
	bool in_group;
	bool recount;  /* the group met rows it did not expect: count pending_bytes anew before its commit */
	bool left_low; /* the group took away what may have had the lowest id of a table */
	struct row_lag lag;
	uint64_t unexpected_settlements;
	uint64_t failures_max_id;
	/* Failed rows up to this place of the order (next_ms, id) were handed out or are claimed. */
	int64_t due_ms;
	uint64_t due_id;
	uint32_t page_bytes;
	uint32_t wal_frames;
	uint64_t checkpoints;
	uint64_t stored_bytes;
	/* blocks */
	struct block_fill fill;     /* empty outside a group */
	struct block_marks marks;   /* likewise, or as `partial` says */
	struct stored_block *block; /* the one that was read last */
	bool backlog_waits;         /* what comes will wait: worth being made small */
	size_t stored_block_bytes;  /* of the body that was written last */
	struct merging merging;     /* store_merge.c */
	struct block_packer packer;
	/* the clock: store_ledger.c, store_keys.c */
	struct clock_lead *leads;
	size_t lead_count, lead_capacity, leads_durable;
	bool lead_is_noted;                    /* by this group */
	bool leads_are_lost;                   /* the table has rows that are not what was written */
	uint64_t lead_untold;                  /* the last row as the tide mark had it: a file set aside may; 0: none */
	bool clock_is_due;                     /* a retry was noted: the commit notes the time it waits from */
	uint64_t possible_noted, handed_noted; /* store_note_flight */
	/* space */
	bool full_bytes, full_disk; /* max_bytes, or min_free, was reached and 10 % are not yet free again */
	bool disk_refused;          /* a write met a full disk, and none like it has worked since */
	bool tries_disk;            /* the open group may, though it is: only a try tells */
	uint32_t refusals;          /* since an append worked */
	int64_t refused_ms;         /* monotonic: the last of them */
	bool reserve_given;         /* or never made: made as soon as there is space */
	uint64_t log_least; /* of a log that is worth a checkpoint: less on a small disk, whose file must take it */
	bool log_is_due, room_is_due; /* refused: it fits when the log is in the database; what is unused given back */
	uint64_t log_held;            /* bytes of the log that own their blocks */
	bool is_shrinking;            /* free pages were cut off that the file still has */
	bool log_given;               /* the log was cut to nothing: held anew with the next group */
	bool is_looked_at;            /* store_look: nothing is written */
	bool untrusted;               /* a disk error: nothing that the file says may be believed before a restart */
	struct error untrusted_why;
	uint64_t free_bytes, group_beside; /* the latter by store_admit: what the open group brings beside messages */
	struct spool_size size;            /* as the open group first met it */
	int64_t free_checked_ms;
	uint64_t evict_after;
	uint64_t evict_end; /* from that id on nothing gives its place to another; 0: all may */
	bool (*is_claimed)(void *arg, uint64_t id);
	void *is_claimed_arg;
	struct watched watched[WATCHED_FILES];
	off_t hole_at;   /* of the log: where the next look for holes begins */
	bool files_lost; /* deleted or replaced under us: nothing more is accepted into them */
	struct error files_lost_why;
	uint64_t aside_files, aside_unread; /* as of the last look */
	struct salvage *salvage;            /* null: not known yet, or nothing to do */
	bool salvage_is_done;
	bool salvage_waits;      /* for room */
	bool id_is_new;          /* nothing said whose a database that begins is */
	struct put_off *put_off; /* files that cannot be read: not in this run */
	size_t put_off_count;
	/* Of the open group, store_losses.c. */
	struct loss_sum losses[LOSSES];
	uint64_t came_back; /* damaged messages that are not any more */
	/* Rows beside the messages that are not what was written, store_mend.c: */
	bool mend_is_due;         /* one was met, and waits for the end of the group */
	int64_t suspected_ms;     /* monotonic: store_suspect was heard */
	uint64_t import_left_out; /* by the last import */
	uint64_t import_damaged;  /* likewise: of the copy, that were not taken in */
	uint64_t import_by_way;   /* likewise: messages that may have come by way of another spool before */
	uint64_t possible_in_group;
	uint64_t possible_untold;            /* counted by ourselves; the journal asks for them */
	uint64_t positions_lost;             /* of sources: whatever has none may have been read */
	struct side_rows rows, rows_durable; /* with the open group; as of the last commit */
	bool positions_are_untold;           /* gone, or old, and not yet told in this run */
	bool tolerates; /* what is opened next was given up by a person: what cannot be read is left out */
};

static inline uint64_t store_least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t store_most(uint64_t a, uint64_t b) { return a > b ? a : b; }
/* How much more `a` is; 0: it is no more. */
static inline uint64_t store_beyond(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* store_transaction.c */
/* The statement, reset and ready to bind. */
sqlite3_stmt *store_statement(struct store *s, enum store_statement id);
/* Steps a statement that gives no rows; resets it. */
enum err store_run(struct store *s, sqlite3_stmt *st, struct error *e, const char *what) MUST_CHECK;
/* Maps a failure; a group that is open is rolled back. */
enum err store_fail(struct store *s, int rc, struct error *e, const char *what) MUST_CHECK;
/* A disk error: the open group ends, and nothing that the file says is believed before a restart. Returns why->code. */
enum err store_distrust(struct store *s, const struct error *why);
/* sql_exec and sql_number of an open spool; they fail like any statement. */
enum err store_exec(struct store *s, const char *sql, struct error *e, const char *what) MUST_CHECK;
enum err store_number(struct store *s, const char *sql, int64_t *ret, struct error *e) MUST_CHECK;
/* What failed beside a statement of ours, likewise. Returns `code`. */
enum err store_failed(struct store *s, enum err code, struct error *e) MUST_CHECK;
/* ERR_DAMAGED: a tree shows ids that do not ascend. */
enum err store_out_of_order(struct store *s, struct error *e) MUST_CHECK;
/*
 * ERR_DISK when a read failed since the spool was opened. What looks like damage after that may be whole: only a later
 * run, on a well disk, can tell.
 */
enum err store_no_fault(const char *path, struct error *e) MUST_CHECK;
/* One that SQLite lived with, or took for something else; or `err` as it is. */
enum err store_told_fault(const struct store *s, enum err err, struct error *e) MUST_CHECK;

/* What was filled and marked for a group that is over, or never began. */
void store_forget_group(struct store *s);

/* A row of that id is inserted: no lower than it say blocks_from and rows_from. */
static inline void store_stands_from(uint64_t *from, uint64_t id) { *from = id < *from ? id : *from; }

/* store_settle.c */
struct pending {
	struct store_row row;    /* of `block` or of ST_READ, until either moves */
	struct block_mark *mark; /* null: it stands alone in `messages` */
	bool is_there;
	bool is_sound;
};
/* One pending message by its id, as the open group sees it. */
enum err store_find(struct store *s, uint64_t id, struct pending *ret, struct error *e) MUST_CHECK;
/*
 * *ret_taken: the id stands already; *ret_same: for this message, which came back before, not for one that began anew.
 * One that died stands in its block too, when the mark of that is lost: it comes back once.
 */
enum err store_is_here(struct store *s, const struct store_row *row, bool is_dead, bool *ret_taken, bool *ret_same,
                       struct error *e) MUST_CHECK;
/* It came back whole; *ret: it was kept, and counted, as damaged, from a page that is not what it was. */
enum err store_forget_kept(struct store *s, uint64_t id, bool *ret, struct error *e) MUST_CHECK;

/* store_pending.c: the mark of a block, from memory or `partial`; holds until the next call. */
enum err store_marks_get(struct store *s, uint64_t block_id, uint32_t count, struct block_mark **ret,
                         struct error *e) MUST_CHECK;
bool store_marks_has(const struct store *s, uint64_t block_id);
/* Writes them, and deletes blocks of which nothing is left. */
enum err store_marks_flush(struct store *s, struct error *e) MUST_CHECK;
/* Writes what was filled, and begins anew. */
enum err store_block_flush(struct store *s, struct error *e) MUST_CHECK;

/* store_mend.c: how many messages failed and wait, when a spool is opened. */
enum err store_failures_load(struct store *s, struct error *e) MUST_CHECK;

/* store_dead.c */
/* Messages of the shelf that are not what was written: kept as found, and no longer on it. */
enum err store_dead_move_damaged(struct store *s, struct error *e) MUST_CHECK;

/* store_keys.c */
/* Before a message gets its id: notes how the wall clock stands when that has changed. */
enum err store_leads_note(struct store *s, struct error *e) MUST_CHECK;
/* The same for messages that were accepted elsewhere, and so for all that follow in this group. */
enum err store_leads_note_as(struct store *s, int64_t lead, struct error *e) MUST_CHECK;
/* report: null, or where a damaged row is told. print: of the last one, as the tide mark knows it; 0: it does not. */
enum err store_leads_load(struct store *s, uint64_t print, struct store_report *report, struct error *e) MUST_CHECK;
/* Of a row with first_id, lead_ms and checksum. */
bool store_lead_is_sound(sqlite3_stmt *st, uint32_t tag);
/* Inside a group: what was found damaged is cleared away. */
enum err store_leads_mend(struct store *s, struct error *e) MUST_CHECK;
/* What the tide mark says of a row. */
uint64_t store_lead_print(uint64_t first_id, int64_t lead_ms);
/* Of the last one; 0: not known, for it may come back. */
uint64_t store_lead_told(const struct store *s);
/* When all is read back: whether that row is there; else, inside a group, it is told and all of them are forgotten. */
enum err store_leads_look(struct store *s, struct error *e) MUST_CHECK;
enum err store_leads_tell(struct store *s, struct store_report *report, struct error *e) MUST_CHECK;
static inline bool store_lead_is_untold(const struct store *s)
{
	return s->lead_untold != 0 && s->salvage_is_done && s->put_off_count == 0;
}

/* store_gone.c */
/* When a spool is opened, inside a group: what there is against the tide mark. `found`: the ledger, before the tide
 * mark was believed; keys_mended: of these nothing is to be told any more; not `all`: whether there are keys. */
enum err store_rows_load(struct store *s, const struct totals *found, uint64_t keys_mended, bool all,
                         struct error *e) MUST_CHECK;
/* Into the counts of a tide mark. */
static inline void store_rows_into(const struct side_rows *r, struct tide *t)
{
	t->counts[TIDE_POSITIONS] = r->positions + r->positions_gone;
	t->counts[TIDE_KEYS] = r->keys + r->keys_gone;
	t->counts[TIDE_IMPORTS] = r->imports + r->imports_gone;
	t->counts[TIDE_POSITIONS_SUM] = r->positions_sum + r->positions_off;
	t->counts[TIDE_IMPORTS_SUM] = r->imports_sum + r->imports_off;
	put_backs_into(&r->back, t);
	t->has_more = true;
}
/* What this run knows, for store_rows_load: nothing else is valid in it. */
struct tide store_tide_of_run(const struct store *s);
/* Inside a group: each row is counted, and what was there and is not is gone. */
enum err store_rows_recount(struct store *s, struct error *e) MUST_CHECK;
static inline void store_rows_come_back(uint64_t *there, uint64_t *gone)
{
	++*there;
	*gone -= *gone > 0;
}
/* By ST_POSITION_KEEP, ST_CACHE_KEEP or ST_IMPORT_KEEP, if it has just put this one there; `is_forgotten`: as a note of
 * copies that are not known any more. */
void store_rows_came_back(struct store *s, enum store_statement id, const struct stored_record *r, bool is_forgotten);
/* Inside a group: we put, or took away, positions or notes of imports in numbers. */
enum err store_rows_changed(struct store *s, struct error *e) MUST_CHECK;
/* Notes of imports are gone, or old, and no row says so yet. */
static inline bool store_imports_are_lost(const struct store *s)
{
	return s->rows.imports_gone > 0 || s->rows.imports_off != 0;
}
static inline bool store_rows_are_untold(const struct store *s)
{
	return s->positions_are_untold || s->rows.positions_off != 0 || s->rows.keys_gone > 0 ||
	       store_imports_are_lost(s) || store_lead_is_untold(s);
}
/* Inside a group, once nothing is left to read back: what is gone, in the report; keys are counted. */
enum err store_rows_tell(struct store *s, struct store_report *report, struct error *e) MUST_CHECK;
enum err store_rows_tell_now(struct store *s, struct store_report *report, struct error *e) MUST_CHECK; /* in its own */
/* So many positions are gone of which no person knows; and: a person knows now. */
enum err store_rows_gone(struct store *s, uint64_t *ret_positions, struct error *e) MUST_CHECK;
enum err store_rows_told(struct store *s, struct error *e) MUST_CHECK;

/* store_correct.c */
/* So many wait more than were counted: as far as any had left, by whichever way, they leave again. Returns how many. */
uint64_t store_take_back_ends(const struct store *s, struct totals *t, uint64_t waiting);
/* From `purged`, of so many on the shelf, where nothing else is an end of what stood there. */
uint64_t store_take_back_purged(struct totals *t, uint64_t on_shelf);

/* store_left.c */
/* It is not what was written, or gone: the tide mark knows that there was one. */
bool store_left_is_doubtful(const struct left *left, const struct tide *tide);
/* The tide mark has the counts of after this row, and PATH.left the ids: whatever is older, the difference is exact. */
bool store_left_knows(const struct store *s, const struct totals *t);
/* PATH.left as it stands, when a spool is opened; `known`: null, or the counts of this run. */
enum err store_left_open(struct store *s, const struct totals *known, struct store_report *report,
                         struct error *e) MUST_CHECK;
/* Once the ledger is loaded: from which id on it has a bit for whatever had its end. Where all else is here, what is
 * not had its end, and gets its bit. */
enum err store_left_begin(struct store *s, struct error *e) MUST_CHECK;
/* How many ids from there on are neither here nor kept as damaged, and had no end. */
enum err store_left_absent(struct store *s, uint64_t from, uint64_t *ret, struct error *e) MUST_CHECK;
/* It did not have its end. */
bool store_left_denies(const struct store *s, uint64_t id);
/* Of what waits, or is on the shelf, in any database of that tag, how many had left. SQLITE_DONE, or what failed. */
int store_left_among(sqlite3 *db, uint32_t tag, struct left *left, uint64_t *ret);
/* Ids that nothing here knows of had left: they were accepted, and those between are gone. */
void store_left_beyond(struct store *s, struct totals *t, struct store_report *report);
/* How many messages that had left wait, or are on the shelf: `possible`, and `shelf_again` of them. */
enum err store_left_count(struct store *s, struct totals *found, struct error *e) MUST_CHECK;
/* Inside a group, which counts them: they have not left. */
enum err store_left_take_back(struct store *s, struct error *e) MUST_CHECK;
/* Inside a group: so many wait more than were counted, and none of them had left. Where PATH.left knows of whatever
 * had, they were taken for damaged, when an older file stood here. */
enum err store_left_undamage(struct store *s, struct totals *t, uint64_t waiting, struct store_report *report,
                             struct error *e) MUST_CHECK;
/* Inside a group: what is on the shelf has its end. */
enum err store_left_note_shelf(struct store *s, uint64_t first, uint64_t last, struct error *e) MUST_CHECK;
/* Before a group is committed. */
enum err store_left_note_commit(struct store *s, struct error *e) MUST_CHECK;

/* store_ledger.c */
/* Own time goes on where the ledger left it. */
void store_clock_begin(struct totals *t);
/* What the last durable row of the clock says; 0: there is none. */
uint64_t store_leads_last(const struct store *s);
void store_clock_into(const struct totals *t, struct tide *tide);
/* Own time goes on where no ledger is left: what comes back was received in it. */
void store_clock_inherit(struct totals *t, const struct tide *tide);
/* How far the wall clock is ahead of own time. */
int64_t store_clock_lead(const struct store *s);
enum { HANDED_SPARE = 8 };     /* an eighth more may be handed out before the row must say so */
enum { CLOCK_STEP_MS = 1000 }; /* less is the drift of a clock, and its correction */
extern const char store_ledger_put_sql[];
/* A row of `SELECT * FROM ledger`; false when it is not what was written. */
bool store_ledger_parse(sqlite3_stmt *st, struct totals *ret);
/* The ledger of any database; *ret_found: there is one and it is what was written. */
enum err store_ledger_of(sqlite3 *db, struct totals *ret, bool *ret_found, struct error *e) MUST_CHECK;
/* Likewise; SQLITE_OK, or the code of what failed. */
int store_ledger_read(sqlite3 *db, struct totals *ret, bool *ret_found);
bool store_ledger_balances(const struct totals *t);
/* Counts blocks that the row did not wait for; *ret_behind: there are some. SQLITE_OK, or the code of what failed. */
int store_ledger_catch_up(sqlite3 *db, struct totals *t, bool *ret_behind);
/* walk_open over all that is pending in any database. */
int store_walk_whole(struct block_walk *w, sqlite3 *db);
enum err store_ledger_put(struct store *s, struct error *e) MUST_CHECK;
/* What a log that begins at this row calls its base: of its counts, where an older kspool wrote it. 0: it is none. */
uint64_t store_ledger_print(const struct totals *t);
/* The next commit begins a log: the database file has all that was committed. */
void store_ledger_log_begins(struct store *s);
void store_tide_write(struct store *s);
/* Where no producer waits for room: ERR_FULL, which asks for patience, becomes ERR_NOSPACE. */
enum err store_is_no_producer(enum err err, struct error *e);
/* The counts as the tide mark has them. */
void store_ledger_of_tide(struct totals *t, const struct tide *tide);
/* Possible duplicates that commits counted which are gone; what comes back with them is counted besides. */
void store_ledger_keep_possible(struct totals *t, const struct tide *tide);
/* The tide mark saw commits that this row, and the blocks behind it, do not have. */
bool store_tide_is_ahead(const struct tide *tide, const struct totals *t);
/* This row, with the blocks behind it, has commits that the tide mark did not see. */
bool store_tide_is_behind(const struct tide *tide, const struct totals *t);
/* Takes over what the tide mark counted after `t` was written; what must be gone is damaged: how many. Of what waits so
 * many, at most, had left since: they may be sent twice. */
uint64_t store_ledger_follow(struct totals *t, const struct tide *tide, uint64_t waits);
/* Takes `rows` out of pending or dead; ones that nobody had counted become accepted, so that no count goes below 0. */
void store_count_out(struct store *s, uint64_t *counter, uint64_t rows);
/* What waited in a file that was set aside is damaged until it comes back: how many did. */
uint64_t store_ledger_succeed(struct totals *t);
/* Of two states of one spool. */
bool store_ledger_is_later(const struct totals *t, const struct totals *than);
bool store_ledger_of_record(const struct stored_record *r, struct totals *ret);

/* store_losses.c: so many more are damaged in the open group, between these ids; 0: not known. */
void store_lose(struct store *s, enum loss why, uint64_t messages, uint64_t first, uint64_t last);
enum err store_losses_flush(struct store *s, struct error *e) MUST_CHECK;
/* Damaged messages of which no person was told. */
uint64_t store_untold(const struct totals *t);
/* Why they are, a line each. The connection has the functions of store_side.h. */
enum err store_losses_print(sqlite3 *db, uint64_t untold, struct buf *out, struct error *e) MUST_CHECK;
/* A row of a file that was set aside. */
enum err store_losses_keep(struct store *s, const struct stored_record *r, struct error *e) MUST_CHECK;
/* store_open.c: the statements of the hot path. */
enum err store_prepare(struct store *s, struct error *e) MUST_CHECK;

/* store_merge.c: when a spool is opened. */
enum err store_merge_begin(struct store *s, struct error *e) MUST_CHECK;

/* store_commit.c */
/* The ledger's row as `durable`, in a group of its own. */
enum err store_put_ledger(struct store *s, struct error *e) MUST_CHECK;

/* store_space.c */
enum err store_make_room(struct store *s, uint64_t bytes, struct error *e) MUST_CHECK;
void store_space_after_commit(struct store *s, bool has_appended);
void store_look_at_disk(struct store *s);
/* What the store may write on its own account: min_free, and something beyond it, is left to what comes and leaves. */
enum err store_own_room(struct store *s, uint64_t *ret, struct error *e) MUST_CHECK;
/* By the numbers there is room. */
bool store_may_try_disk(struct store *s);

/* store_transaction.c, again */
/* The exit is prepaid: the reserve, and the log at its largest, as far as min_free and the disk's size allow. */
void store_reserve(struct store *s);
/* True when the reserve is whole. */
bool store_make_reserve(const struct store *s);
/* What must be free for intake to begin again: a tenth more than min_free, so that it does not flap. */
uint64_t store_spare_bytes(const struct store *s);

/* store_read.c */
/* Inside a group: each block that is not what was written is taken apart, so that what is counted is there. */
enum err store_dissolve_all(struct store *s, struct error *e) MUST_CHECK;
/* Each its own transaction. */
enum err store_move_damaged(struct store *s, const uint64_t *ids, size_t count, struct error *e) MUST_CHECK;
/* A block that is not what was written (the one read last): its sound messages stand alone then, the rest is damaged.
 */
enum err store_dissolve_block(struct store *s, struct error *e) MUST_CHECK;

/* store_recount.c: the ledger when a spool is opened. */
/* The row of a database that is being made: it says whose it is. */
enum err store_ledger_first(struct store *s, struct error *e) MUST_CHECK;
/* `known`: the counts of the file that this one takes the place of, when this run had them; else null. */
enum err store_ledger_load(struct store *s, const struct totals *known, struct store_report *report,
                           struct error *e) MUST_CHECK;

/* store_inspect.c */
enum file_kind { FILE_MISSING, FILE_OURS, FILE_DAMAGED };
enum err store_inspect(const struct files *f, enum file_kind *ret, struct error *e) MUST_CHECK;
enum { LEDGER_PAGES = 64 }; /* the tables' first pages are at the beginning of the file */
struct ledger_found {
	bool is_found;
	struct totals totals;
	struct spool_id of; /* one of this spool is taken before any other; not known: the latest */
};
enum err store_ledger_find(const struct files *f, const char *suffix, enum pages_of which, struct ledger_found *found,
                           struct error *e) MUST_CHECK;
/* ERR_DAMAGED: what SQLite would write over, as free, may not be. No connection may be open. */
enum err store_look_at_free(const struct files *f, struct error *e) MUST_CHECK;
/* `scan`: what store_identity_look found of the log. */
enum err store_mend_wal(const struct files *f, const struct wal_scan *scan, struct store_report *report,
                        struct error *e) MUST_CHECK;

/* store_identity.c */
/* ERR_DAMAGED: one that waits or is on the shelf proves to be another spool's; of a wrong bit none does. Not `all`: of
 * the shelf alone, up to 10,000. */
enum err store_no_strange_rows(struct store *s, bool all, struct error *e) MUST_CHECK;

/* store_aside.c: no connection may be open. */
enum { STORE_WHY_BYTES = 300 };
/* What was found, behind a sentence: " (words)", on one line; or nothing. */
void store_why(const struct error *e, char to[STORE_WHY_BYTES]);
/* why: null: whoever asks says it; it may be e. */
enum err store_set_aside(struct store *s, const struct error *why, struct store_report *report,
                         struct error *e) MUST_CHECK;
/* PATH + part becomes PATH + suffix + part. */
enum err store_move_part(struct store *s, const char *suffix, const char *part, struct error *e) MUST_CHECK;
/* Ends what a run that died began, before anything else looks at the files. */
enum err store_aside_go_on(struct store *s, struct store_report *report, struct error *e) MUST_CHECK;
/* The counts of the newest file that is not read yet, as far as its first pages show them; false: none. */
enum err store_salvage_ledger(const struct files *f, struct spool_id ours, struct totals *ret, bool *ret_found,
                              struct error *e) MUST_CHECK;

/* store_sources.c */
/* What is set aside and not read yet is this spool's, which begins under a new name. */
enum err store_sources_adopt(struct store *s, struct error *e) MUST_CHECK;
/* Inside a group: nothing says what was accepted from that id on; it is counted when all files are read. */
enum err store_sources_uncounted(struct store *s, uint64_t from_id, struct error *e) MUST_CHECK;
/* How many of the damaged may come back; of ids below next_id, as far as is known now. Inside a group. */
enum err store_salvage_expect(struct store *s, uint64_t rows, struct error *e) MUST_CHECK;
enum err store_salvage_expect_more(struct store *s, uint64_t rows, uint64_t next_id, struct error *e) MUST_CHECK;
/* Salvages for at most budget_ms. */
enum err store_salvage_for(struct store *s, int64_t budget_ms, uint64_t *ret_rows, struct error *e) MUST_CHECK;
void store_salvage_end(struct store *s);

/* Damaged messages whose bytes are there for a person to look at. */
#define STORE_NOTED_SQL "SELECT count(*) FROM damaged"
#define STORE_KEPT_SQL "SELECT count(*) FROM damaged WHERE body IS NOT NULL"

/* store_inspect.c: after the files were opened, or made shorter by us. */
void store_watch_note(struct store *s);
/* ERR_DISK: what the open files hold is not what this process wrote. Of the log alone, at a glance; of both. */
enum err store_watch_log(struct store *s, struct error *e) MUST_CHECK;
enum err store_watch_inside(struct store *s, struct error *e) MUST_CHECK;
/* One more sentence of the report's warning. */
void store_warn(struct store_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
