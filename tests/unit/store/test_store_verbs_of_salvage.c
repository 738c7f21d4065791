/*
 * What reading back a file that was set aside makes of a spool, step by step and in full: every column of every row,
 * the notes of how far it came, the counts that are told; from sound files and dead sectors, over restarts, for a
 * person who gives up.
 */
#include "rig/spooldiff.h"

#include <errno.h>
#include <inttypes.h>

#include "base/buf.h"
#include "rig/faultfs.h"
#include "store/store_salvage_internal.h"
#include "store/upkeep/store_upkeep.h"

enum { BODY = 1500, PAGE = 4096 };

static const char aside[] = ".quarantine-20260101T000000Z-000";

static struct spool_id first_id;

static struct store *open_and_listen(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store_report report;
	struct store *s = NULL;

	o.compress = STORE_COMPRESS_NEVER;
	ok(store_open(&o, &s, &report, e));
	diff_say_report(d, &report);
	return s;
}

static void restart(struct store **s, const struct spooldir *d)
{
	ok(store_close(*s, e));
	*s = open_and_listen(d);
}

/* Its first bytes are found in the file. */
static const char *name_of(uint64_t id)
{
	static char name[24];

	(void)snprintf(name, sizeof name, "message-%03" PRIu64 "-", id);
	return name;
}

static void append(struct store *s, uint64_t first, int count, size_t bytes)
{
	ok(store_begin(s, e));
	for (int i = 0; i < count; i++) {
		char body[9000];
		struct message *m;

		memset(body, 'x', sizeof body);
		memcpy(body, name_of(first + (uint64_t)i), strlen(name_of(1)));
		m = message_new("meta", 4, body, bytes, clock_wall_ms());
		ok(store_append(s, m, e));
		assert_int_equal(m->id, first + (uint64_t)i);
		message_free(m);
	}
	ok(store_commit(s, e));
}

/*
 * Blocks 1 to 4, 5 to 8, 9 to 12; 13 and 14 stand alone. 2 and 6 have left, 7 failed, 10 is on the shelf, 11 damaged;
 * a position, a key, a step of the clock before 9.
 */
static void fill(struct store **s, const struct spooldir *d)
{
	bool was_new;

	restart(s, d);
	*diff_words = '\0';
	first_id = (*s)->id;
	append(*s, 1, 4, BODY);
	append(*s, 5, 4, BODY);
	set_wall(wall_ms + 5000);
	append(*s, 9, 4, BODY);
	append(*s, 13, 2, 8000);
	diff_settle(*s, (struct store_settlement){.id = 2, .kind = SETTLE_DELIVERED});
	diff_settle(*s, (struct store_settlement){.id = 6, .kind = SETTLE_EXPIRED});
	diff_settle(*s, (struct store_settlement){
	                    .id = 7, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = 800, .code = "Slow"});
	for (uint64_t id = 13; id <= 14; id++)
		diff_settle(*s, (struct store_settlement){
		                    .id = id, .kind = SETTLE_RETRY, .attempts = 3, .wait_ms = 70000, .code = "Slow"});
	diff_settle(*s, (struct store_settlement){.id = 10, .kind = SETTLE_DEAD, .attempts = 1, .code = "x"});
	diff_settle(*s, (struct store_settlement){.id = 11, .kind = SETTLE_DAMAGED});
	ok(store_begin(*s, e));
	ok(store_position_put(*s, "file", "10", e));
	ok(store_cache_add(*s, "c", "one", 3, 500000, &was_new, e));
	ok(store_commit(*s, e));
}

/* The spool's file is one that was set aside, read again by a new one. */
static void put_aside(struct store **s, const struct spooldir *d)
{
	char to[400];

	ok(store_close(*s, e));
	(void)snprintf(to, sizeof to, "%s%s", d->path, aside);
	assert_int_equal(rename(d->path, to), 0);
}

/* Where these bytes stand in a row of a leaf: what was deleted is left in other pages. */
static size_t place_of(const unsigned char *data, size_t count, const char *bytes)
{
	size_t at = 0;

	for (const unsigned char *p = data; (p = memmem(p, count - (size_t)(p - data), bytes, strlen(bytes))); p++)
		if (data[(size_t)(p - data) / PAGE * PAGE] == 13)
			at = (size_t)(p - data);
	assert_true(at > 0);
	return at;
}

/* Its page is on a dead sector; or the one on which what stands there goes on. */
static void kill_page_of(const struct spooldir *d, const char *bytes, bool next)
{
	char path[400];
	size_t count, at;
	unsigned char *data;

	(void)snprintf(path, sizeof path, "%s%s", d->path, aside);
	data = spooldir_load(path, &count);
	at = place_of(data, count, bytes);
	while (next && data[at] != 'x')
		at++;
	while (next && data[at] == 'x')
		at++;
	if (next)
		at = ((size_t)data[at + 2] << 8 | data[at + 3]) * PAGE - 1;
	free(data);
	faultfs_dead(aside + 16, (int64_t)(at / PAGE * PAGE), 1);
}

static void go_on_without_the_end_of_13(struct store **s, const struct spooldir *d)
{
	put_aside(s, d);
	kill_page_of(d, "message-013-", true);
	*s = open_and_listen(d);
}

static void read_the_rest(struct store **s, const struct spooldir *d)
{
	faultfs_dead(NULL, 0, 0);
	restart(s, d);
}

static void set_aside_again_without_a_leaf(struct store **s, const struct spooldir *d)
{
	char mark[400];

	ok(store_close(*s, e));
	(void)snprintf(mark, sizeof mark, "%s%s.read", d->path, aside);
	assert_int_equal(unlink(mark), 0);
	(void)snprintf(mark, sizeof mark, "%s%s", d->path, aside);
	assert_int_equal(unlink(mark), 0);
	*s = open_and_listen(d);
	*diff_words = '\0';
	put_aside(s, d);
	kill_page_of(d, "message-003-", false);
	*s = open_and_listen(d);
}

static void give_it_up(struct store **s, const struct spooldir *d)
{
	char path[400];
	struct buf out;

	ok(store_close(*s, e));
	(void)snprintf(path, sizeof path, "%s%s", d->path, aside);
	buf_init(&out, 1 << 16);
	ok(store_repair(d->path, &(struct store_repair){.give_up = path}, &out, e));
	buf_fini(&out);
	faultfs_dead(NULL, 0, 0);
	*s = open_and_listen(d);
}

/* It was not there at a start, which counts all of it as damaged, and then it is: read in steps of one row. */
static void read_in_steps(struct store **s, const struct spooldir *d)
{
	char mark[400], hidden[400], text[300] = "";
	uint64_t first, last;
	bool more = true;
	size_t used = 0;

	ok(store_close(*s, e));
	(void)snprintf(hidden, sizeof hidden, "%s.hidden", d->path);
	assert_int_equal(rename(d->path, hidden), 0);
	*s = open_and_listen(d);
	(void)snprintf(mark, sizeof mark, "%s%s.read", d->path, aside);
	assert_int_equal(unlink(mark), 0);
	assert_int_equal(rename(hidden, spooldir_file(d, aside)), 0);
	(*s)->salvage_is_done = false;
	for (int i = 0; more; i++) {
		ok(store_salvage(*s, 1, &first, &last, &more, e));
		used += (size_t)snprintf(text + used, sizeof text - used, " %" PRIu64 "-%" PRIu64, first, last);
		assert_true(used < sizeof text && i < 100);
	}
	*diff_words = '\0';
	diff_say(d, text);
}

/* A run that ended before it was there. */
static void make_its_mark_again(struct store **s, const struct spooldir *d)
{
	char mark[400];

	ok(store_close(*s, e));
	(void)snprintf(mark, sizeof mark, "%s%s.read", d->path, aside);
	assert_int_equal(unlink(mark), 0);
	*s = open_and_listen(d);
	assert_int_equal(access(mark, F_OK), 0);
}

/* A row of another spool stands in it, whole; and one note is not what was written: which one that was nobody knows. */
static void read_one_with_a_strange_row(struct store **s, const struct spooldir *d)
{
	struct spooldir other;
	struct store *theirs;
	char sql[900];
	sqlite3 *db = NULL;

	spooldir_make(&other);
	theirs = open_it(&other);
	append(theirs, 1, 100, 20);
	diff_settle(theirs, (struct store_settlement){
	                        .id = 100, .kind = SETTLE_RETRY, .attempts = 3, .wait_ms = 70000, .code = "Slow"});
	ok(store_close(theirs, e));
	diff_do(
	    *s,
	    "UPDATE salvage SET checksum = 5 WHERE path = 'expected'; DELETE FROM salvage WHERE path LIKE 'pages:%'");
	ok(store_close(*s, e));
	assert_int_equal(sqlite3_open(spooldir_file(d, aside), &db), SQLITE_OK);
	(void)snprintf(sql, sizeof sql,
	               "ATTACH '%s' AS other; DELETE FROM messages; INSERT INTO messages SELECT * FROM other.messages",
	               other.path);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_changes(db), 1);
	assert_int_equal(sqlite3_exec(db, "DETACH other; PRAGMA journal_mode=DELETE", NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	(void)snprintf(sql, sizeof sql, "%s%s.read", d->path, aside);
	(void)unlink(sql);
	*s = open_and_listen(d);
	spooldir_remove(&other);
}

/* It has more bytes than when it was read. */
static void let_it_grow(struct store **s, const struct spooldir *d)
{
	char path[400];
	unsigned char *bytes;
	size_t count;

	ok(store_close(*s, e));
	(void)snprintf(path, sizeof path, "%s%s", d->path, aside);
	bytes = spooldir_load(path, &count);
	bytes = realloc(bytes, count + PAGE);
	memset(bytes + count, 0, PAGE);
	spooldir_store(path, bytes, count + PAGE);
	free(bytes);
	*s = open_and_listen(d);
}

/* Nothing is left but the file beside it. */
static void begin_anew(struct store **s, const struct spooldir *d)
{
	static const char *const companions[] = {".tide", ".lock", ".left", ".reserve"};
	char mark[400];

	ok(store_close(*s, e));
	(void)snprintf(mark, sizeof mark, "%s%s.read", d->path, aside);
	assert_int_equal(unlink(mark), 0);
	assert_int_equal(unlink(d->path), 0);
	for (size_t i = 0; i < sizeof companions / sizeof *companions; i++)
		(void)unlink(spooldir_file(d, companions[i]));
	*s = open_and_listen(d);
}

/* Nothing says whose it is, and the file cannot be read. */
static void begin_anew_beside_it(struct store **s, const struct spooldir *d)
{
	faultfs_dead(aside + 16, 0, INT32_MAX);
	begin_anew(s, d);
}

/* Nothing else says whose it is: the spool goes on under the name that stands in the file. */
static void begin_anew_by_its_name(struct store **s, const struct spooldir *d)
{
	const struct spool_id was = (*s)->id;

	begin_anew(s, d);
	assert_true(spool_id_is_known((*s)->id) && spool_id_differs((*s)->id, was));
	assert_true(spool_id_is((*s)->id, first_id));
}

static const struct diff_step steps[] = {
    {"it is filled", fill,
     "+messages 13: T+5000 meta message-01..8000\n+messages 14: T+5000 meta message-01..8000\n"
     "+blocks 1: 4 6016 0 T+0 T+0\n+blocks 5: 4 6016 0 T+0 T+0\n+blocks 9: 4 6016 0 T+5000 T+5000\n"
     "+partial 1: 1 1504 1\n+partial 5: 1 1504 1\n+partial 9: 2 3008 1-2\n+failures 7: 1 T+800 T+5000 'Slow' ''\n"
     "+failures 13: 3 T+70000 T+5000 'Slow' ''\n+failures 14: 3 T+70000 T+5000 'Slow' ''\n"
     "+dead 10: T+5000 T+5000 1 'x' '' meta message-01..1500\n+damaged 11: T+5000 T+5000 meta message-01..1500\n"
     "+positions 'file': '10'\n+cache 'c' one: T+500000\n+clock 0: 0\n+clock 9: 5000\n+losses 1: 1 11 11 T+5000\n"
     "+ledger.next_id: 15\n+ledger.accepted: 14\n+ledger.delivered: 1\n+ledger.pending: 10\n+ledger.dead: 1\n"
     "+ledger.expired: 1\n+ledger.damaged: 1\n+ledger.pending_bytes: 28040\n+ledger.clock_ms: T+0\n"
     "+ledger.clock_offset: T-5000\n+ledger.commits: 12\n+ledger.blocks_from: 1\n+ledger.rows_from: 13\n"
     "+tide.positions: 1\n+tide.keys: 1\n+tide.left: 6\n+tide.clock: T+0\n+tide.offset: T-5000\n"
     "+tide.has the clock's row: 1\n+state.retrying: 3\n+state.oldest: T+5000\n+state.next_retry: T+5800\n"
     "+state.stored: 34000\n+state.untold: 1\n+state.failures_max_id: 14\n+state.left: 6\n"
     "+state.left whole from: 1\n+state.is_exact: 1\n+lead from 0: 0\n+lead from 9: 5000\n+left: 2,6\n"},
    {"the end of 13 cannot be read", go_on_without_the_end_of_13,
     "report: created 1 rows 9 salvaged 10 damaged 2\n"
     "PATH.quarantine-20260101T000000Z-000 cannot be read back: 1 pages of it cannot be read; the next start tries "
     "again, until kspool repair --give-up PATH.quarantine-20260101T000000Z-000\n"
     "-messages 13: T+5000 meta message-01..8000\n-blocks 1: 4 6016 0 T+0 T+0\n-blocks 5: 4 6016 0 T+0 T+0\n"
     "-blocks 9: 4 6016 0 T+5000 T+5000\n-partial 1: 1 1504 1\n-partial 5: 1 1504 1\n-partial 9: 2 3008 1-2\n"
     "failures 7: 1 T+800 T+5000 'Slow' '' > 1 T+0 T+5000 'Slow' ''\n-failures 13: 3 T+70000 T+5000 'Slow' ''\n"
     "failures 14: 3 T+70000 T+5000 'Slow' '' > 3 T+0 T+5000 'Slow' ''\n"
     "-damaged 11: T+5000 T+5000 meta message-01..1500\nledger.pending: 10 > 9\nledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 28040 > 20036\nledger.commits: 12 > 14\nledger.rows_from: 13 > 1\n"
     "state.retrying: 3 > 2\nstate.next_retry: T+5800 > T+5000\n-state.stored: 34000\nstate.untold: 1 > 2\n"
     "-state.is_exact: 1\n+messages 1: T+0 meta message-00..1500\n+messages 3: T+0 meta message-00..1500\n"
     "+messages 4: T+0 meta message-00..1500\n+messages 5: T+0 meta message-00..1500\n"
     "+messages 7: T+0 meta message-00..1500\n+messages 8: T+0 meta message-00..1500\n"
     "+messages 9: T+5000 meta message-00..1500\n+messages 12: T+5000 meta message-01..1500\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:29:1': 29 1 0\n+salvage 'expected': 2 0 0\n"
     "+salvage 'known:.quarantine-20260101T000000Z-000:': 15 0 1\n"
     "+salvage 'pages:.quarantine-20260101T000000Z-000': 30 10 0\n"
     "+salvage 'size:.quarantine-20260101T000000Z-000:': as they are\n+losses 4: 1 0 0 T+5000\n"
     "+state.checkpoints: 1\n+state.aside: 1\n+state.unread: 1\n+state.mend: 1\n+state.left synced: 13\n"
     "+state.left knows: 12\n+state.last_commits: 12\n"},
    {"nor at the next start", restart,
     "report: rows 9 damaged 2\n"
     "PATH.quarantine-20260101T000000Z-000 cannot be read back: 1 pages of it cannot be read; the next start tries "
     "again, until kspool repair --give-up PATH.quarantine-20260101T000000Z-000\n"
     "ledger.commits: 14 > 15\n-state.checkpoints: 1\n-state.mend: 1\nstate.left synced: 13 > 14\n"
     "state.left knows: 12 > 14\nstate.last_commits: 12 > 14\n+state.joins from: 1\n+state.joins to: 14\n"},
    {"it can", read_the_rest,
     "report: rows 10 salvaged 1 damaged 1\nsalvage 'bad:.quarantine-20260101T000000Z-000:29:1': 29 1 0 > 29 1 1\n"
     "salvage 'expected': 2 0 0 > 0 0 0\nsalvage 'pages:.quarantine-20260101T000000Z-000': 30 10 0 > 30 11 1\n"
     "losses 4: 1 0 0 T+5000 > 0 0 0 T+5000\nledger.pending: 9 > 10\nledger.damaged: 2 > 1\n"
     "ledger.pending_bytes: 20036 > 28040\nledger.commits: 15 > 16\nstate.retrying: 2 > 3\n-state.unread: 1\n"
     "state.untold: 2 > 1\nstate.left synced: 14 > 15\nstate.left knows: 14 > 15\nstate.last_commits: 14 > 15\n"
     "+messages 13: T+5000 meta message-01..8000\n+failures 13: 3 T+0 T+5000 'Slow' ''\n"},
    {"a leaf cannot be read", set_aside_again_without_a_leaf,
     "report: created 1 rows 8 salvaged 9 damaged 3\n"
     "PATH.quarantine-20260101T000000Z-000 cannot be read back: 1 pages of it cannot be read; the next start tries "
     "again, until kspool repair --give-up PATH.quarantine-20260101T000000Z-000\n"
     "-messages 1: T+0 meta message-00..1500\n-messages 3: T+0 meta message-00..1500\n"
     "salvage 'expected': 0 0 0 > 3 0 0\nsalvage 'pages:.quarantine-20260101T000000Z-000': 30 11 1 > 25 9 0\n"
     "losses 4: 0 0 0 T+5000 > 2 0 0 T+5000\nledger.pending: 10 > 8\nledger.damaged: 1 > 3\n"
     "ledger.pending_bytes: 28040 > 25032\nledger.commits: 16 > 19\nstate.untold: 1 > 3\n"
     "state.left synced: 15 > 17\nstate.left knows: 15 > 16\nstate.last_commits: 15 > 16\n-state.joins from: 1\n"
     "-state.joins to: 14\n+salvage 'bad:.quarantine-20260101T000000Z-000:18': 18 0 0\n+ledger.possible: 8\n"
     "+tide.possible: 8\n+state.checkpoints: 1\n+state.unread: 1\n+state.mend: 1\n"},
    {"a person gives it up", give_it_up,
     "report: rows 8 damaged 3\nsalvage 'bad:.quarantine-20260101T000000Z-000:18': 18 0 0 > 18 0 1\n"
     "salvage 'expected': 3 0 0 > 0 0 0\nsalvage 'pages:.quarantine-20260101T000000Z-000': 25 9 0 > 25 9 1\n"
     "-losses 1: 1 11 11 T+5000\n-losses 4: 2 0 0 T+5000\nledger.commits: 19 > 21\n-state.checkpoints: 1\n"
     "-state.unread: 1\n-state.untold: 3\n-state.mend: 1\nstate.left synced: 17 > 21\nstate.left knows: 16 > 21\n"
     "state.last_commits: 16 > 21\n+ledger.told: 3\n+state.is_exact: 1\n+state.joins from: 4\n"
     "+state.joins to: 14\n"},
    {"it is read in steps", read_in_steps,
     " 0-0 4-5 7-8 9-12 13-13 14-14 0-0\n-salvage 'known:.quarantine-20260101T000000Z-000:': 15 0 1\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 25 9 1 > 24 9 1\nledger.possible: 8 > 9\n"
     "ledger.commits: 21 > 29\n-ledger.told: 3\n-ledger.blocks_from: 1\n-ledger.rows_from: 1\n"
     "tide.possible: 8 > 9\nstate.left synced: 21 > 22\n-state.is_exact: 1\n-state.joins from: 4\n"
     "-state.joins to: 14\n+salvage 'keys': 23 0 0\n+losses 3: 0 1 14 T+5000\n+state.checkpoints: 1\n"
     "+state.untold: 3\n+state.mend: 1\n"},
    {"a start after that", restart,
     "report: rows 8 damaged 3\n-state.checkpoints: 1\n-state.mend: 1\nstate.left synced: 22 > 29\n"
     "state.left knows: 21 > 29\nstate.last_commits: 21 > 29\n+state.is_exact: 1\n+state.joins from: 4\n"
     "+state.joins to: 14\n"},
    {"the file grows", let_it_grow,
     "report: rows 8 damaged 3\nsalvage 'pages:.quarantine-20260101T000000Z-000': 24 9 1 > 25 9 1\n"
     "ledger.commits: 29 > 30\n-state.is_exact: 1\n"},
    {"its mark is made again", make_its_mark_again,
     "report: rows 8 damaged 3\nstate.left synced: 29 > 30\nstate.left knows: 29 > 30\n"
     "state.last_commits: 29 > 30\n"},
    {"there is a strange row in it", read_one_with_a_strange_row,
     "report: rows 8 damaged 3\nsalvage 'pages:.quarantine-20260101T000000Z-000': 25 9 1 > 25 0 1\n"
     "ledger.commits: 30 > 31\n"},
    {"a new spool begins beside it", begin_anew_beside_it,
     "report: created 1\n"
     "PATH.quarantine-20260101T000000Z-000 cannot be read back: 24 pages of it cannot be read; the next start tries "
     "again, until kspool repair --give-up PATH.quarantine-20260101T000000Z-000\n"
     "-messages 4: T+0 meta message-00..1500\n-messages 5: T+0 meta message-00..1500\n"
     "-messages 7: T+0 meta message-00..1500\n-messages 8: T+0 meta message-00..1500\n"
     "-messages 9: T+5000 meta message-00..1500\n-messages 12: T+5000 meta message-01..1500\n"
     "-messages 13: T+5000 meta message-01..8000\n-messages 14: T+5000 meta message-01..8000\n"
     "-failures 7: 1 T+0 T+5000 'Slow' ''\n-failures 13: 3 T+0 T+5000 'Slow' ''\n"
     "-failures 14: 3 T+0 T+5000 'Slow' ''\n-dead 10: T+5000 T+5000 1 'x' '' meta message-01..1500\n"
     "-positions 'file': '10'\n-cache 'c' one: T+500000\n-clock 9: 5000\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:18': 18 0 1 > 18 0 0\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:29:1': 29 1 1\n-salvage 'keys': 23 0 0\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 25 0 1 > 25 0 0\n-losses 3: 0 1 14 T+5000\n"
     "ledger.next_id: 15 > 1\n-ledger.accepted: 14\n-ledger.delivered: 1\n-ledger.pending: 8\n-ledger.dead: 1\n"
     "-ledger.expired: 1\n-ledger.damaged: 3\n-ledger.pending_bytes: 25032\nledger.clock_ms: T+0 > T+5000\n"
     "ledger.clock_offset: T-5000 > T+0\n-ledger.possible: 9\nledger.commits: 31 > 1\n-tide.positions: 1\n"
     "-tide.keys: 1\n-tide.left: 6\n-tide.possible: 9\ntide.clock: T+0 > T+5000\ntide.offset: T-5000 > T+0\n"
     "-state.retrying: 3\n-state.oldest: T+5000\n-state.next_retry: T+5000\n-state.untold: 3\n"
     "-state.failures_max_id: 14\n-state.left: 6\n-state.left synced: 30\n-state.left knows: 30\n"
     "-state.last_commits: 30\n-state.joins from: 4\n-state.joins to: 14\n-lead from 9: 5000\nleft: 2,6 > \n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:1': 1 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:10': 10 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:11': 11 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:12': 12 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:13': 13 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:14': 14 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:15': 15 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:16': 16 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:17': 17 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:19': 19 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:20': 20 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:21': 21 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:22': 22 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:23': 23 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:24': 24 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:25': 25 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:3': 3 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:4': 4 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:5': 5 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:6': 6 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:7': 7 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:8': 8 0 0\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:9': 9 0 0\n"
     "+salvage 'ours:.quarantine-20260101T000000Z-000:': 0 0 1\n+salvage 'uncounted': 1 0 1\n"
     "+state.checkpoints: 1\n+state.unread: 1\n"},
    {"and can read it", read_the_rest,
     "report: rows 1 salvaged 2 damaged 98\n"
     "rows of the clock did not come back: no message that waits now is too old\n"
     "clock 0: 0 > -9223372036854775808\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:1': 1 0 0 > 1 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:10': 10 0 0 > 10 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:11': 11 0 0 > 11 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:12': 12 0 0 > 12 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:13': 13 0 0 > 13 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:14': 14 0 0 > 14 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:15': 15 0 0 > 15 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:16': 16 0 0 > 16 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:17': 17 0 0 > 17 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:18': 18 0 0 > 18 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:19': 19 0 0 > 19 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:20': 20 0 0 > 20 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:21': 21 0 0 > 21 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:22': 22 0 0 > 22 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:23': 23 0 0 > 23 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:24': 24 0 0 > 24 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:25': 25 0 0 > 25 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:3': 3 0 0 > 3 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:4': 4 0 0 > 4 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:5': 5 0 0 > 5 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:6': 6 0 0 > 6 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:7': 7 0 0 > 7 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:8': 8 0 0 > 8 0 1\n"
     "salvage 'bad:.quarantine-20260101T000000Z-000:9': 9 0 0 > 9 0 1\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 25 0 0 > 25 2 1\nsalvage 'uncounted': 1 0 1 > 0 0 0\n"
     "ledger.next_id: 1 > 101\nledger.commits: 1 > 7\n-state.checkpoints: 1\n-state.unread: 1\n"
     "lead from 0: 0 > -9223372036854775808\n+messages 100: T+5000 meta message-10..20\n"
     "+dead 10: T+5000 T+5000 1 'x' '' meta message-01..1500\n+positions 'file': '10'\n+cache 'c' one: T+500000\n"
     "+losses 2: 98 0 0 T+5000\n+ledger.accepted: 100\n+ledger.pending: 1\n+ledger.dead: 1\n+ledger.damaged: 98\n"
     "+ledger.pending_bytes: 24\n+tide.positions: 1\n+tide.keys: 1\n+state.oldest: T+5000\n+state.untold: 98\n"
     "+state.mend: 1\n+state.left synced: 1\n+state.left knows: 1\n+state.last_commits: 1\n"},
    {"a new spool begins by its name", begin_anew_by_its_name,
     "report: created 1 salvaged 1 damaged 11\n-messages 100: T+5000 meta message-10..20\n"
     "clock 0: -9223372036854775808 > 0\n-salvage 'bad:.quarantine-20260101T000000Z-000:1': 1 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:10': 10 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:11': 11 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:12': 12 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:13': 13 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:14': 14 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:15': 15 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:16': 16 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:17': 17 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:19': 19 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:20': 20 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:21': 21 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:22': 22 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:23': 23 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:24': 24 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:25': 25 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:3': 3 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:4': 4 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:5': 5 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:6': 6 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:7': 7 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:8': 8 0 1\n"
     "-salvage 'bad:.quarantine-20260101T000000Z-000:9': 9 0 1\n"
     "-salvage 'ours:.quarantine-20260101T000000Z-000:': 0 0 1\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 25 2 1 > 25 1 1\n-salvage 'uncounted': 0 0 0\n"
     "-losses 2: 98 0 0 T+5000\nledger.next_id: 101 > 15\nledger.accepted: 100 > 14\n-ledger.pending: 1\n"
     "ledger.damaged: 98 > 11\n-ledger.pending_bytes: 24\nledger.clock_ms: T+5000 > T+0\n"
     "ledger.clock_offset: T+0 > T-5000\nledger.commits: 7 > 23\ntide.clock: T+5000 > T+0\n"
     "tide.offset: T+0 > T-5000\n-state.oldest: T+5000\nstate.untold: 98 > 8\n-state.mend: 1\nstate.left synced: 1 > "
     "22\n"
     "state.left whole from: 1 > 15\n-state.left knows: 1\nstate.last_commits: 1 > 21\n"
     "-lead from 0: -9223372036854775808\n+clock 9: 5000\n"
     "+salvage 'bad:.quarantine-20260101T000000Z-000:29:1': 29 1 1\n"
     "+salvage 'known:.quarantine-20260101T000000Z-000:': 15 0 1\n+losses 4: 8 0 0 T+5000\n+ledger.delivered: 1\n"
     "+ledger.expired: 1\n+ledger.possible: 8\n+ledger.told: 3\n+ledger.blocks_from: 1\n+ledger.rows_from: 1\n"
     "+tide.possible: 8\n+state.checkpoints: 1\n+lead from 9: 5000\n"},
};

static void what_comes_back_and_how_far_is_noted(void **state)
{
	(void)state;
	diff_steps(steps, sizeof steps / sizeof *steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_comes_back_and_how_far_is_noted),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
