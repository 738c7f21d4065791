/*
 * What a start makes of a spool in whose folder a file is another spool's, or of another time of its own, in full: what
 * is moved, what is counted, every column of every row, and the words.
 */
#include "rig/spooldiff.h"

#include <errno.h>

static struct spooldir others, old; /* another spool; and this one as it was */

static struct store *open_and_listen(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store_report report;
	struct store *s = NULL;

	ok(store_open(&o, &s, &report, e));
	diff_say_report(d, &report);
	return s;
}

static void bring(const struct spooldir *from, const char *suffix, const struct spooldir *to)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(from, suffix), &count);

	assert_non_null(bytes);
	spooldir_store(spooldir_file(to, suffix), bytes, count);
	free(bytes);
}

/* As a kill leaves it: six messages in the file, and more in the log. */
static void fill(struct store *s, int in_log)
{
	diff_append(s, 3);
	diff_append(s, 3);
	ok(store_checkpoint(s, true, e));
	diff_append(s, in_log);
	diff_settle(s, (struct store_settlement){.id = store_next_id(s) - 1, .kind = SETTLE_DELIVERED});
}

static void begin(struct store **s, const struct spooldir *d)
{
	struct store *theirs;

	(void)d;
	spooldir_make(&others);
	spooldir_make(&old);
	theirs = open_it(&others);
	fill(theirs, 5);
	store_abandon(theirs);
	fill(*s, 2);
}

static void beside(struct store **s, const struct spooldir *d, const char *suffix)
{
	store_abandon(*s);
	bring(&others, suffix, d);
	*s = open_and_listen(d);
}

static void another_tide(struct store **s, const struct spooldir *d) { beside(s, d, ".tide"); }
static void another_lock(struct store **s, const struct spooldir *d) { beside(s, d, ".lock"); }
static void another_log(struct store **s, const struct spooldir *d) { beside(s, d, "-wal"); }
static void what_left_another(struct store **s, const struct spooldir *d) { beside(s, d, ".left"); }

static void another_database(struct store **s, const struct spooldir *d)
{
	ok(store_close(*s, e));
	bring(&others, "", d);
	*s = open_and_listen(d);
}

/* Its head is not what was written, either: what stands beside it says that it is not ours. */
static void another_database_without_head(struct store **s, const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store *none = NULL;
	unsigned char *bytes;
	struct error why = {0};
	size_t count;

	ok(store_close(*s, e));
	spooldir_copy(d, &old);
	bytes = spooldir_load(others.path, &count);
	bytes[0] ^= 1;
	bytes[68] ^= 15; /* application_id */
	spooldir_store(d->path, bytes, count);
	free(bytes);
	assert_int_equal(store_open(&o, &none, NULL, &why), ERR_ENVIRONMENT);
	assert_null(none);
	bring(&old, "", d);
	*s = open_and_listen(d);
	diff_say(d, why.text);
}

static void a_journal(struct store **s, const struct spooldir *d)
{
	ok(store_close(*s, e));
	spooldir_store(spooldir_file(d, "-journal"), "what sqlite3 left", 17);
	*s = open_and_listen(d);
}

/* The log of the time before comes back beside the file of today. */
static void an_older_log(struct store **s, const struct spooldir *d)
{
	diff_append(*s, 1);
	spooldir_copy(d, &old);
	ok(store_close(*s, e));
	*s = open_and_listen(d);
	diff_append(*s, 1);
	ok(store_close(*s, e));
	bring(&old, "-wal", d);
	*s = open_and_listen(d);
}

/* The file of the time before under the log of today. */
static void an_older_database(struct store **s, const struct spooldir *d)
{
	ok(store_checkpoint(*s, true, e));
	spooldir_copy(d, &old);
	diff_append(*s, 2);
	ok(store_checkpoint(*s, true, e));
	diff_append(*s, 1);
	store_abandon(*s);
	bring(&old, "", d);
	*s = open_and_listen(d);
}

/* All of it as it was, but for the tide mark and PATH.left. */
static void an_older_spool(struct store **s, const struct spooldir *d)
{
	ok(store_close(*s, e));
	spooldir_copy(d, &old);
	*s = open_and_listen(d);
	diff_append(*s, 2);
	diff_settle(*s, (struct store_settlement){.id = 1, .kind = SETTLE_DELIVERED});
	diff_settle(*s, (struct store_settlement){.id = 2, .kind = SETTLE_DEAD, .code = "x"});
	ok(store_close(*s, e));
	bring(&old, "", d);
	*s = open_and_listen(d);
}

/* The same, and PATH.left is gone. */
static void an_older_spool_without_what_left(struct store **s, const struct spooldir *d)
{
	ok(store_close(*s, e));
	spooldir_copy(d, &old);
	*s = open_and_listen(d);
	diff_append(*s, 2);
	diff_settle(*s, (struct store_settlement){.id = 3, .kind = SETTLE_DELIVERED});
	ok(store_close(*s, e));
	bring(&old, "", d);
	assert_int_equal(unlink(spooldir_file(d, ".left")), 0);
	*s = open_and_listen(d);
}

/* A copy of this spool that went its own way, under the same salts: its log here. */
static void the_log_of_a_twin(struct store **s, const struct spooldir *d)
{
	struct store *twin;

	ok(store_close(*s, e));
	spooldir_copy(d, &old);
	*s = open_it(d);
	diff_append(*s, 1);
	store_abandon(*s);
	twin = open_it(&old);
	diff_append(twin, 3);
	diff_append(twin, 3);
	store_abandon(twin);
	bring(&old, "-wal", d);
	*s = open_and_listen(d);
}

static void what_is_aside_is_anothers(struct store **s, const struct spooldir *d)
{
	char to[400];

	ok(store_close(*s, e));
	(void)snprintf(to, sizeof to, "%s.quarantine-20260101T000000Z-000", d->path);
	assert_int_equal(rename(others.path, to), 0);
	*s = open_and_listen(d);
	spooldir_remove(&others);
	spooldir_remove(&old);
}

static const struct diff_step steps[] = {
    {"it begins", begin,
     "+blocks 1: 3 18 0 T-1000 T-1000\n+blocks 4: 3 18 0 T-1000 T-1000\n+blocks 7: 2 11 0 T-1000 T-1000\n"
     "+partial 7: 1 6 1\n+clock 0: 0\n+ledger.next_id: 9\n+ledger.accepted: 8\n+ledger.delivered: 1\n"
     "+ledger.pending: 7\n+ledger.pending_bytes: 41\n+ledger.clock_ms: T+0\n+ledger.clock_offset: T-5000\n"
     "+ledger.commits: 4\n+ledger.blocks_from: 1\n+ledger.rows_from: 9\n+tide.left: 4\n+tide.clock: T+0\n"
     "+tide.offset: T-5000\n+tide.has the clock's row: 1\n+state.oldest: T-1000\n+state.checkpoints: 2\n"
     "+state.stored: 15\n+state.left: 4\n+state.left synced: 2\n+state.left whole from: 1\n+state.is_exact: 1\n"
     "+lead from 0: 0\n+left: 8\n"},
    {"another's tide mark", another_tide,
     "report: unclean 1 rows 7 strangers 1\nthe tide mark is of spool ID, this is ID\n-state.checkpoints: 2\n"
     "-state.stored: 15\n+state.left knows: 2\n+state.last_commits: 4\n"},
    {"another's lock", another_lock,
     "report: unclean 1 rows 7 strangers 1\nthe lock file is of another spool than ID\nstate.left knows: 2 > 4\n"},
    {"another's log", another_log,
     "report: older 1 rows 6 damaged 1 missing 1 strangers 1\n"
     "the log is another spool's, or of a copy that went its own way; moved away: "
     "PATH.stranger-20260921T141320Z-000-wal; the ledger's row was older than what it counts: the tide mark knows; 1 "
     "messages of the ledger have no row\n"
     "-blocks 7: 2 11 0 T-1000 T-1000\n-partial 7: 1 6 1\nledger.pending: 7 > 6\nledger.pending_bytes: 41 > 36\n"
     "ledger.commits: 4 > 5\n-ledger.blocks_from: 1\n-ledger.rows_from: 9\n-state.is_exact: 1\n"
     "+losses 2: 1 0 0 T+0\n+ledger.damaged: 1\n+state.aside: 1\n+state.untold: 1\n"},
    {"what left another", what_left_another,
     "report: unclean 1 rows 6 damaged 1\n"
     "PATH.left, which tells what had left from what is gone, was gone, old, or not what was written: of what left "
     "before, less can be told\n"
     "tide.left: 4 > 5\nstate.left: 4 > 5\n-state.left synced: 2\nstate.left whole from: 1 > 9\n"
     "-state.left knows: 4\nstate.last_commits: 4 > 5\nleft: 8 > 7-8\n+state.is_exact: 1\n"},
    {"a rollback journal", a_journal,
     "report: rows 6 damaged 1 strangers 1\n"
     "a rollback journal lies here, which no spool has; moved away: PATH.stranger-20260921T141320Z-001-journal\n"
     "state.aside: 1 > 2\nstate.left whole from: 9 > 1\n+state.left synced: 5\n+state.left knows: 5\n"},
    {"an older log", an_older_log,
     "report: rows 8 damaged 1 strangers 1\n"
     "the log is older than the database; moved away: PATH.stranger-20260921T141320Z-001-wal\n"
     "ledger.next_id: 9 > 11\nledger.accepted: 8 > 10\nledger.pending: 6 > 8\nledger.pending_bytes: 36 > 46\n"
     "ledger.commits: 5 > 7\nstate.aside: 2 > 3\nstate.left synced: 5 > 7\nstate.left knows: 5 > 7\n"
     "state.last_commits: 5 > 7\n+blocks 9: 1 5 0 T-1000 T-1000\n+blocks 10: 1 5 0 T-1000 T-1000\n"},
    {"an older database under its log", an_older_database,
     "report: older 1 rows 11 salvaged 3 damaged 1 missing 3 strangers 1\n"
     "the database is older than its log: somebody put an earlier copy in its place; moved away: "
     "PATH.quarantine-20260921T141320Z-000-wal, which is read back; the ledger's row was older than what it counts: "
     "the tide mark knows; 3 messages of the ledger have no row\n"
     "ledger.next_id: 11 > 14\nledger.accepted: 10 > 13\nledger.pending: 8 > 11\nledger.pending_bytes: 46 > 62\n"
     "ledger.commits: 7 > 11\nstate.aside: 3 > 4\nstate.left synced: 7 > 8\nstate.left knows: 7 > 9\n"
     "state.last_commits: 7 > 9\n-state.is_exact: 1\n+messages 11: T-1000 meta 0\n+messages 12: T-1000 meta 01\n"
     "+messages 13: T-1000 meta 0\n+salvage 'expected': 0 0 0\n"
     "+salvage 'known:.quarantine-20260921T141320Z-000:': 14 0 1\n"
     "+salvage 'pages:.quarantine-20260921T141320Z-000': 13 3 1\n"
     "+salvage 'size:.quarantine-20260921T141320Z-000:': as they are\n"},
    {"an older spool", an_older_spool,
     "report: older 1 rows 11 damaged 3 missing 2\n"
     "the ledger's row was older than what it counts: the tide mark knows; 1 messages that had left stand here again, "
     "and may be sent again: possible duplicates; 2 messages of the ledger have no row\n"
     "losses 2: 1 0 0 T+0 > 3 0 0 T+0\nledger.next_id: 14 > 16\nledger.accepted: 13 > 15\nledger.damaged: 1 > 3\n"
     "ledger.commits: 11 > 15\ntide.left: 5 > 15\nstate.untold: 1 > 3\nstate.left: 5 > 15\n"
     "state.left synced: 8 > 14\nstate.left knows: 9 > 14\nstate.last_commits: 9 > 14\n+salvage 'left': 15 0 0\n"
     "+ledger.possible: 1\n+tide.possible: 1\n+state.left took back: 15\n+state.joins from: 11\n"
     "+state.joins to: 13\n"},
    {"an older spool without what left", an_older_spool_without_what_left,
     "report: older 1 rows 11 damaged 5 missing 2\n"
     "PATH.left, which tells what had left from what is gone, was gone, old, or not what was written: of what left "
     "before, less can be told; what is here is older than what was counted: up to 1 messages may be sent twice; 2 "
     "acknowledged messages are gone: what is here ends before the tide mark\n"
     "ledger.next_id: 16 > 18\nledger.accepted: 15 > 17\nledger.damaged: 3 > 5\nledger.possible: 1 > 2\n"
     "ledger.commits: 15 > 18\n-tide.left: 15\ntide.possible: 1 > 2\nstate.untold: 3 > 5\n-state.left: 15\n"
     "-state.left synced: 14\nstate.left whole from: 1 > 18\nstate.left took back: 15 > 18\n"
     "-state.left knows: 14\nstate.last_commits: 14 > 17\nleft: 7-8 > \n+losses 3: 2 16 17 T+0\n"},
    {"the log of a twin", the_log_of_a_twin,
     "report: older 1 rows 11 damaged 6 missing 1 strangers 1\n"
     "the log is another spool's, or of a copy that went its own way; moved away: "
     "PATH.stranger-20260921T141320Z-002-wal; 1 acknowledged messages are gone: what is here ends before the tide "
     "mark\n"
     "losses 3: 2 16 17 T+0 > 3 16 18 T+0\nledger.next_id: 18 > 19\nledger.accepted: 17 > 18\n"
     "ledger.damaged: 5 > 6\nledger.commits: 18 > 20\nstate.aside: 4 > 5\nstate.untold: 5 > 6\n"
     "state.last_commits: 17 > 19\n+state.left synced: 18\n+state.left knows: 19\n"},
    {"another's database without its head", another_database_without_head,
     "PATH is not a spool (not an SQLite file); move it away or name another path\nstate.left synced: 18 > 20\n"
     "state.left knows: 19 > 20\nstate.last_commits: 19 > 20\n+state.is_exact: 1\n"},
    {"another's database", another_database,
     "report: created 1 older 1 damaged 17 missing 11 strangers 1\n"
     "the database is of spool ID, what lies beside it of ID; moved away: PATH.stranger-20260921T141320Z-003; kspool "
     "import takes in a database that was meant; the database was gone: the tide mark had counted 11 more that waited\n"
     "-messages 11: T-1000 meta 0\n-messages 12: T-1000 meta 01\n-messages 13: T-1000 meta 0\n"
     "-blocks 1: 3 18 0 T-1000 T-1000\n-blocks 4: 3 18 0 T-1000 T-1000\n-blocks 9: 1 5 0 T-1000 T-1000\n"
     "-blocks 10: 1 5 0 T-1000 T-1000\n-salvage 'expected': 0 0 0\n"
     "-salvage 'known:.quarantine-20260921T141320Z-000:': 14 0 1\n-salvage 'left': 15 0 0\n"
     "-salvage 'pages:.quarantine-20260921T141320Z-000': 13 3 1\n"
     "-salvage 'size:.quarantine-20260921T141320Z-000:': as they are\n-losses 2: 3 0 0 T+0\n"
     "losses 3: 3 16 18 T+0 > 11 1 18 T+0\n-ledger.pending: 11\nledger.damaged: 6 > 17\n"
     "-ledger.pending_bytes: 62\nledger.commits: 20 > 21\n-state.oldest: T-1000\nstate.aside: 5 > 6\n"
     "state.untold: 6 > 17\nstate.left synced: 20 > 21\n-state.is_exact: 1\n-state.joins from: 11\n"
     "-state.joins to: 13\n+state.checkpoints: 1\n"},
    {"another's file that was set aside", what_is_aside_is_anothers,
     "report: damaged 17\n-state.checkpoints: 1\nstate.aside: 6 > 7\nstate.left knows: 20 > 21\n"
     "state.last_commits: 20 > 21\n"},
};

static void what_is_strange_is_moved_and_what_is_gone_is_counted(void **state)
{
	(void)state;
	diff_steps(steps, sizeof steps / sizeof *steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_strange_is_moved_and_what_is_gone_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
