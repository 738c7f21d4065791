/*
 * Space: who is admitted, and what is evicted for whom. store_drain.c is the way out of a full disk.
 *
 * Invariants:
 * 1. A group that is refused for want of room has evicted nobody.
 * 2. disk_refused ends with a commit that works and tried the disk, or brought a message: never by a number of statfs.
 * 3. store_admission changes nothing but what is known of the disk; it never says yes while disk_refused is set.
 */
#include "store/store_internal.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/clock.h"

enum {
	FREE_CHECK_MS = 100,
	EVICT_LOOK = 256,
	INSIDE_MIN_BYTES = 1 << 20, /* free inside the database, or its share: intake goes on though the disk is low */
	LEFT_PART = 16,             /* of max_bytes: the last of it */
	EMPTY_PAGES = 32,           /* of a database that holds nothing, at most */
	LITTLE_BYTES = 64 << 10,    /* who waits behind that much has not filled the disk */
	INTAKE_BYTES = 16 << 20,    /* beyond min_free, or its share of a small disk: for what comes in meanwhile */
};

/* No neighbour takes so much before the log, at its largest, is in the database. */
#define FAR_BYTES (8 * (uint64_t)WAL_HOLD_BYTES)

uint64_t store_free_inside(struct store *s)
{
	int64_t pages = 0;

	return sql_number(s->db, "PRAGMA freelist_count", &pages, NULL) == ERR_OK ? (uint64_t)pages * s->page_bytes : 0;
}

void store_look_at_disk(struct store *s)
{
	int64_t now = clock_mono_ms();

	if (s->free_checked_ms != 0 && now - s->free_checked_ms < FREE_CHECK_MS)
		return;
	s->free_checked_ms = now != 0 ? now : 1;
	s->free_bytes = files_free_bytes(&s->files);
	if (s->free_bytes < s->options.min_free_bytes)
		s->full_disk = store_free_inside(s) < files_share(&s->files, INSIDE_MIN_BYTES) * (s->full_disk ? 2 : 1);
	else if (s->free_bytes >= store_spare_bytes(s))
		s->full_disk = false;
	if (!s->full_disk && s->reserve_given)
		store_reserve(s);
}

enum err store_own_room(struct store *s, uint64_t *ret, struct error *e)
{
	uint64_t taken, room;
	int64_t pages = 0;
	enum err err = store_number(s, "PRAGMA freelist_count", &pages, e);

	store_look_at_disk(s);
	taken = store_spare_bytes(s) + files_share(&s->files, INTAKE_BYTES) + (uint64_t)s->wal_frames * s->page_bytes;
	room = s->free_bytes + (s->free_bytes < UINT64_MAX ? (uint64_t)pages * s->page_bytes : 0);
	*ret = s->disk_refused ? 0 : store_beyond(room, taken);
	return err;
}

/* Nothing is believed of a disk that refused a write but that it takes one: that is tried when there plausibly is room.
 */
bool store_may_try_disk(struct store *s)
{
	return !s->full_disk && s->free_bytes + store_free_inside(s) > s->log_least;
}

bool store_disk_refuses(const struct store *s) { return s->disk_refused; }

/* `bytes` more would pass max_bytes, or did and 10 % are not yet free again. */
static bool is_over(struct store *s, uint64_t bytes)
{
	uint64_t max = s->options.max_bytes;

	if (max == 0)
		return false;
	if (s->now.pending_bytes + bytes > max)
		s->full_bytes = true;
	else if (s->now.pending_bytes + bytes <= max - max / 10)
		s->full_bytes = false;
	return s->full_bytes;
}

static enum err refusal(struct store *s, uint64_t bytes, struct error *e)
{
	if (s->files_lost)
		return error_set(e, ERR_FULL, "%s", s->files_lost_why.text);
	store_look_at_disk(s);
	s->tries_disk = s->in_group && s->disk_refused && store_may_try_disk(s);
	if (s->disk_refused && !s->tries_disk)
		return error_set(e, ERR_FULL, "the file system of %s is full", s->path);
	if (s->full_disk)
		return error_set(e, ERR_FULL,
		                 "%" PRIu64 " bytes are free on the file system of %s, min_free is %" PRIu64,
		                 s->free_bytes, s->path, s->options.min_free_bytes);
	if (is_over(s, bytes))
		return error_set(e, ERR_FULL, "the spool holds %" PRIu64 " bytes, max_bytes is %" PRIu64,
		                 s->now.pending_bytes, s->options.max_bytes);
	return ERR_OK;
}

/* What a group brings, and what of the disk that takes until it is stored and settled. */
struct need {
	uint64_t comes;         /* bytes, with what stands beside messages */
	uint64_t grows;         /* the log, beyond its blocks */
	uint64_t lacks;         /* blocks that the database is short of: it must take all of the log, and what comes */
	uint64_t place;         /* its length then */
	uint64_t pages, inside; /* its length now, and what of it holds nothing */
	uint64_t all;           /* free bytes */
};

static uint64_t with_reserve(const struct store *s, uint64_t bytes)
{
	/* it has its room again first */
	return bytes + s->log_least / 4 + (s->reserve_given ? files_share(&s->files, s->options.reserve_bytes) : 0);
}

/* At most, by what is known without a look at the files. */
static void estimate_need(struct store *s, struct need *n)
{
	const uint64_t log = (uint64_t)s->wal_frames * s->page_bytes;

	n->grows = store_beyond(n->comes, store_beyond(s->log_held, log));
	n->all = with_reserve(s, n->comes + n->grows + log);
	if (s->free_bytes / 8 < n->all)
		s->free_bytes = files_free_bytes(&s->files);
}

/* Once a group: what it brings after that is told by its own counts. */
static enum err measure(struct store *s, struct error *e)
{
	int64_t pages = 0, inside = 0;
	enum err err = ERR_OK;

	if (s->in_group && s->size.is_known)
		return ERR_OK;
	err = store_number(s, "PRAGMA page_count", &pages, e);
	if (err == ERR_OK)
		err = store_number(s, "PRAGMA freelist_count", &inside, e);
	s->size = (struct spool_size){
	    .is_known = err == ERR_OK,
	    .pages = (uint64_t)pages * s->page_bytes,
	    .inside = (uint64_t)inside * s->page_bytes,
	    .held = files_held(&s->files, ""),
	    .log_room = store_log_room(s),
	};
	return err;
}

static enum err look_at_need(struct store *s, struct need *n, struct error *e)
{
	const uint64_t log = (uint64_t)s->wal_frames * s->page_bytes;
	enum err err = measure(s, e);

	n->pages = s->size.pages;
	n->inside = s->size.inside;
	n->grows = store_beyond(n->comes, store_most(store_beyond(s->log_held, log), s->size.log_room));
	n->place = n->pages + store_beyond(n->comes, n->inside);
	n->lacks = store_beyond(n->place, s->size.held);
	n->all = with_reserve(s, n->lacks + n->grows);
	return err;
}

/* *ret_far: there is so much room that no neighbour takes it meanwhile, or enough for one who only asks; then nothing
 * else is known. */
static enum err find_need(struct store *s, uint64_t bytes, struct need *n, bool *ret_far, struct error *e)
{
	n->comes = bytes + store_beyond(s->now.pending_bytes, s->durable.pending_bytes);
	n->comes += s->in_group ? s->group_beside : 0;
	n->comes += n->comes / 16;
	estimate_need(s, n);
	*ret_far = s->in_group ? n->grows == 0 && s->free_bytes >= FAR_BYTES : s->free_bytes >= n->all;
	return *ret_far ? ERR_OK : look_at_need(s, n, e);
}

/*
 * What the reserve is too small for has its place in the database now, for a neighbour may take what is free before the
 * log goes there; half of the reserve is for what leaves. Who keeps no reserve prepays nothing.
 */
static enum err hold_place(struct store *s, const struct need *n, struct error *e)
{
	if (s->options.reserve_bytes == 0 || n->lacks == 0 ||
	    (n->grows == 0 && n->lacks <= files_held(&s->files, ".reserve") / 2))
		return ERR_OK;
	s->size.is_known = false; /* a part of it may be held now, whatever comes of it */
	if (files_database_hold(&s->files, n->place))
		return ERR_OK;
	return error_set(e, ERR_FULL,
	                 "%" PRIu64 " bytes more have no room on the file system of %s; send less at a time", n->comes,
	                 s->path);
}

/*
 * Whether pages of the database that hold nothing, and the blocks of the log, make room for it: then they are given
 * back, and who comes again is taken in.
 */
static bool is_in_the_files(struct store *s, const struct need *n)
{
	const uint64_t held = store_log_room(s);
	const uint64_t inside = n->inside + store_beyond(files_held(&s->files, ""), n->pages);

	if (inside == 0 && held <= files_share(&s->files, WAL_HOLD_BYTES)) /* all that is held is held anew */
		return false;
	return s->free_bytes + held + inside >= with_reserve(s, 2 * n->comes);
}

/*
 * The group brings nothing else, the spool holds next to nothing, its files have nothing to give back, and all that
 * others have on the file system would not be enough.
 */
static bool fits_never(struct store *s, const struct need *n)
{
	const uint64_t others = files_of_others(&s->files);
	const uint64_t live = store_beyond(n->pages, n->inside);
	/* of a shelf that could be thrown away, and of keys, beyond a little */
	const uint64_t more =
	    store_beyond(live, EMPTY_PAGES * (uint64_t)s->page_bytes + files_share(&s->files, INSIDE_MIN_BYTES));

	return s->in_group && s->now.ledger.pending == 0 && s->wal_frames == 0 && !s->room_is_due &&
	       sqlite3_total_changes(s->db) == s->changes_before &&
	       store_beyond(store_beyond(n->all, s->free_bytes), more) > others;
}

/*
 * What a group brings stands in the log first, and then in the database too, which must take all of the log before that
 * begins anew: one that got in and leaves no room for that could be sent, but not settled, at each start again.
 */
static enum err must_fit(struct store *s, uint64_t bytes, struct error *e)
{
	struct need n = {0};
	bool is_far;
	enum err err = find_need(s, bytes, &n, &is_far, e);

	if (err != ERR_OK || is_far)
		return err;
	if (s->free_bytes >= n.all)
		err = hold_place(s, &n, e);
	else
		err = error_set(e, ERR_FULL,
		                "%" PRIu64 " bytes at once need %" PRIu64 " on the file system of %s until they are"
		                " stored and settled, and %" PRIu64 " are free; send less at a time",
		                bytes, n.all, s->path, s->free_bytes);
	if (err == ERR_FULL) {
		s->log_is_due |= s->wal_frames > 0;
		s->room_is_due |= s->in_group && is_in_the_files(s, &n);
		if (fits_never(s, &n))
			err =
			    error_set(e, ERR_TOOBIG,
			              "%" PRIu64 " bytes at once can never fit: they need %" PRIu64
			              " on the file system of %s until they are stored and settled, which has %" PRIu64
			              " for them; send less at a time",
			              bytes, n.all, s->path, s->free_bytes);
	}
	return err;
}

static enum err leave_disk(struct store *s, uint64_t bytes, struct error *e)
{
	struct need n = {0};
	bool is_far;
	enum err err = find_need(s, bytes, &n, &is_far, e);

	if (err != ERR_OK || is_far || s->free_bytes >= n.all + store_spare_bytes(s) + s->log_least)
		return err;
	return error_set(e, ERR_FULL,
	                 "%" PRIu64 " bytes are free on the file system of %s, and the last before min_free, %" PRIu64
	                 ", are left to those who cannot wait",
	                 s->free_bytes, s->path, s->options.min_free_bytes);
}

enum err store_leave_some(struct store *s, uint64_t bytes, struct error *e)
{
	const uint64_t max = s->options.max_bytes, holds = s->now.pending_bytes;

	if (s->options.evict_oldest || (max > 0 && bytes > max)) /* that fits never */
		return ERR_OK;
	if (max > 0 && holds > 0 && holds + bytes > max - max / LEFT_PART)
		return error_set(e, ERR_FULL,
		                 "the spool holds %" PRIu64 " bytes, and the last of max_bytes, %" PRIu64
		                 ", is left to those who cannot wait",
		                 holds, max);
	return holds <= LITTLE_BYTES ? ERR_OK : leave_disk(s, bytes, e);
}

bool store_has_room_for(struct store *s, uint64_t bytes)
{
	if (bytes == 0)
		return true;
	store_look_at_disk(s);
	return !s->disk_refused && must_fit(s, bytes, NULL) == ERR_OK;
}

enum err store_admission(struct store *s, struct error *e)
{
	enum err err;

	if (s->files_lost)
		return error_set(e, ERR_DISK, "%s", s->files_lost_why.text);
	if (s->options.evict_oldest && !s->disk_refused && s->now.ledger.pending > 0)
		return ERR_OK;
	err = refusal(s, 0, e);
	return err == ERR_OK ? must_fit(s, 0, e) : err;
}

void store_set_claims(struct store *s, bool (*is_claimed)(void *arg, uint64_t id), void *arg)
{
	s->is_claimed = is_claimed;
	s->is_claimed_arg = arg;
}

struct victim {
	uint64_t id;
	uint64_t bytes;
};

/* Up to `max` of the oldest rows that are not on their way; none of this group, whose yes is still to be said. */
static enum err find_victims(struct store *s, struct victim *victims, size_t max, size_t *ret_count, struct error *e)
{
	struct block_walk w;
	struct block_message m;
	const uint64_t end = s->evict_end > 0 ? s->evict_end : s->durable.next_id;
	enum err err = store_marks_flush(s, e);
	int rc = SQLITE_ROW;

	*ret_count = 0;
	if (err != ERR_OK || end <= s->evict_after + 1)
		return err;
	walk_start(&w, store_statement(s, ST_READ), store_statement(s, ST_BLOCKS), s->block, s->evict_after + 1,
	           end - 1);
	for (int looked = 0; looked < EVICT_LOOK && *ret_count < max; looked++) {
		rc = walk_next(&w, &m);
		if (rc != SQLITE_ROW)
			break;
		if (s->is_claimed && s->is_claimed(s->is_claimed_arg, m.row.id))
			s->evict_after = *ret_count == 0 ? m.row.id : s->evict_after;
		else
			victims[(*ret_count)++] =
			    (struct victim){.id = m.row.id, .bytes = m.row.meta_bytes + m.row.body_bytes};
	}
	walk_end(&w);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for the oldest rows");
}

static enum err evict_one(struct store *s, const struct victim *v, struct error *e)
{
	const struct store_settlement gone = {.id = v->id, .kind = SETTLE_EVICTED, .bytes = (uint32_t)v->bytes};

	return store_settle(s, &gone, 1, e);
}

/* Frees `bytes` of the oldest rows; ERR_FULL when only rows on their way are left. */
static enum err evict(struct store *s, uint64_t bytes, struct error *e)
{
	const uint64_t target = store_beyond(s->now.pending_bytes, bytes);

	while (s->now.pending_bytes > target) {
		struct victim victims[16];
		uint64_t from = s->evict_after;
		size_t count;
		enum err err = find_victims(s, victims, sizeof victims / sizeof *victims, &count, e);

		for (size_t i = 0; i < count && err == ERR_OK && s->now.pending_bytes > target; i++)
			err = evict_one(s, &victims[i], e);
		if (err != ERR_OK)
			return err;
		if (count == 0 && s->evict_after == from) {
			s->evict_after = 0;
			return error_set(e, ERR_FULL, "the spool is full and every row of it is on its way");
		}
	}
	return ERR_OK;
}

/* All or none: a group that is refused in the end must not have cost others their place. */
static enum err evict_or_undo(struct store *s, uint64_t bytes, struct error *e)
{
	struct totals before;
	struct left_place left;
	enum err evicted, err = store_block_flush(s, e);

	if (err == ERR_OK)
		err = store_marks_flush(s, e);
	before = s->now;
	left = left_noted(s->left);
	if (err == ERR_OK)
		err = store_run(s, store_statement(s, ST_SAVEPOINT), e, "savepoint");
	if (err != ERR_OK)
		return err;
	evicted = evict(s, bytes, e);
	if (!s->in_group)
		return evicted;
	if (evicted != ERR_OK) {
		err = store_run(s, store_statement(s, ST_SAVEPOINT_UNDO), e, "undo evictions");
		if (err != ERR_OK) /* the group is gone, and its counts with it */
			return err;
		s->now = before;
		s->marks.count = 0; /* what the group settled before stands in the tables */
		left_forget_since(s->left, left);
	}
	err = store_run(s, store_statement(s, ST_SAVEPOINT_END), e, "release evictions");
	return err == ERR_OK ? evicted : err;
}

enum err store_make_room(struct store *s, uint64_t bytes, struct error *e)
{
	uint64_t max = s->options.max_bytes;
	uint64_t over = 0;
	enum err err;

	if (max && bytes > max)
		return error_set(e, ERR_TOOBIG,
		                 "%" PRIu64 " bytes at once can never fit: kspool.max_bytes is %" PRIu64
		                 "; send less at a time or raise it",
		                 bytes, max);
	err = refusal(s, bytes, e);
	if (err == ERR_OK)
		return must_fit(s, bytes, e);
	if (!s->options.evict_oldest || s->disk_refused || s->files_lost || s->now.ledger.pending == 0)
		return err;
	if (max && s->now.pending_bytes + bytes > max)
		over = s->now.pending_bytes + bytes - max;
	if (s->full_disk && over < bytes)
		over = bytes; /* what goes makes room inside the file for what comes */
	return over == 0 ? ERR_OK : evict_or_undo(s, over, e);
}

void store_space_after_commit(struct store *s, bool has_appended)
{
	if (s->full_bytes)
		(void)is_over(s, 0);
	if (s->tries_disk || (s->refusals > 0 && has_appended)) {
		s->disk_refused = false;
		s->refusals = has_appended ? 0 : s->refusals;
	}
	s->tries_disk = false;
	s->evict_after = 0;
}
