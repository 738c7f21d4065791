/*
 * What check says, word for word, of what stands beside a spool's database: its log, tide mark, lock, PATH.left, and
 * files that were set aside; of a database that is older than these, another's, or not there; and where nothing can be
 * written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/fullspool.h"
#include "store/store_internal.h"

#define MORE "messages: 42 rows, 40 of them in blocks\n"
#define MORE_LEDGER                                                                                                \
	"ledger: accepted 45 = delivered 1 + pending 42 + dead 2 + expired 0 + evicted 0 + damaged 0 + filtered 0" \
	" + purged 0\n"
#define IN_LOG "spool: *\nstructure: ok\n"
#define ASIDE ".quarantine-20260101T000000Z-000"
#define NOT_READ "problem: 1 files set aside are not read to their end; start kspool, or run kspool repair\n"
#define READ_ONLY                                                                                                  \
	"PATH cannot be written here: to mend it, copy it with all that stands beside it (PATH*) to a folder of a" \
	" healthy disk\n"

static bool is_read_only;

int faccessat(int dir, const char *path, int mode, int flags)
{
	errno = EROFS;
	return is_read_only && mode & W_OK ? -1 : (int)syscall(SYS_faccessat2, dir, path, mode, flags);
}

static struct spooldir early; /* the spool as it was ten messages before */

static void flip(const char *path, size_t at)
{
	size_t count;
	unsigned char *bytes = spooldir_load(path, &count);

	assert_true(at < count);
	bytes[at] ^= 4;
	spooldir_store(path, bytes, count);
	free(bytes);
}

static void move(const struct spooldir *d, const char *from, const char *to)
{
	char path[400];

	(void)snprintf(path, sizeof path, "%s%s", d->path, from);
	assert_int_equal(rename(path, spooldir_file(d, to)), 0);
}

static void lose(const struct spooldir *d, const char *suffix)
{
	assert_int_equal(unlink(spooldir_file(d, suffix)), 0);
}

static void copy_aside(const struct spooldir *d, const char *suffix)
{
	size_t count;
	unsigned char *bytes = spooldir_load(d->path, &count);

	spooldir_store(spooldir_file(d, suffix), bytes, count);
	free(bytes);
}

static void read_once(const struct spooldir *d, const char *suffix)
{
	spooldir_store(spooldir_file(d, suffix), "read back", 9);
}

/* Another spool's file in the place of ours. */
static void bring_other(const struct spooldir *d, const char *suffix)
{
	struct spooldir other;

	life_make(&other, LIFE_OTHERS, 20, 20);
	life_bring(&other, suffix, d);
	spooldir_remove(&other);
}

static void set_tide(const struct spooldir *d, uint64_t ids, uint64_t commits, uint64_t positions)
{
	struct files f;
	struct tide tide;
	struct error e;

	assert_int_equal(files_open(&f, d->path, &e), ERR_OK);
	assert_int_equal(files_tide_read(&f, &tide, &e), ERR_OK);
	assert_true(tide.is_valid);
	tide.id += ids;
	tide.commits += commits;
	tide.counts[TIDE_POSITIONS] += positions;
	files_tide_open(&f);
	assert_int_equal(files_tide_write(&f, &tide), 0);
	files_close(&f);
}

/* Statements of the store itself, in a run that is killed; it wrote no other tide mark. */
static void killed_after(const struct spooldir *d, const char *sql)
{
	struct store *s = life_open(d, NULL);

	life_sql(s, sql);
	store_abandon(s);
}

static void nothing(const struct spooldir *d) { (void)d; }
static void nothing_can_be_written(const struct spooldir *d) { (void)d, is_read_only = true; }
static void no_tide(const struct spooldir *d) { lose(d, ".tide"); }
static void broken_tide(const struct spooldir *d) { flip(spooldir_file(d, ".tide"), 30); }
static void dead_tide(const struct spooldir *d) { (void)d, faultfs_dead(".tide", 0, 512); }
static void tide_of_more_ids(const struct spooldir *d) { set_tide(d, 1, 1, 0); }
static void tide_of_more_commits(const struct spooldir *d) { set_tide(d, 0, 1, 0); }
static void tide_of_an_earlier_time(const struct spooldir *d) { life_bring(&early, ".tide", d); }
static void database_of_an_earlier_time(const struct spooldir *d)
{
	life_bring(&early, "", d);
	lose(d, "-wal");
}
static void left_of_a_later_time(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);

	life_settle(s, 45, 45);
	life_close(s);
	database_of_an_earlier_time(d);
	tide_of_an_earlier_time(d);
}
static void no_left(const struct spooldir *d) { lose(d, ".left"); }
static void broken_left(const struct spooldir *d) { flip(spooldir_file(d, ".left"), 4096 + 48); }
static void left_of_an_earlier_time(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);

	life_settle(s, 22, 22);
	life_close(s);
	life_bring(&early, ".left", d);
}
static void earlier_position(const struct spooldir *d)
{
	killed_after(d, "UPDATE positions SET value = '9', checksum = position_sum(key, '9') WHERE key = 'file'");
}
static void earlier_note_of_a_copy(const struct spooldir *d)
{
	killed_after(d, "UPDATE imports SET messages = 9, checksum = side_sum(11, copy, imported_ms, 9, first_id)"
	                " WHERE messages = 5");
}
static void earlier_rows_and_tide(const struct spooldir *d)
{
	earlier_position(d);
	earlier_note_of_a_copy(d);
	tide_of_an_earlier_time(d);
}
static void rows_gone_and_an_earlier_tide(const struct spooldir *d)
{
	full_change(d->path,
	            "DELETE FROM positions WHERE key = 'file'; DELETE FROM cache WHERE key = CAST('one' AS BLOB)");
	tide_of_an_earlier_time(d);
}
static void all_rows_gone_and_an_earlier_tide(const struct spooldir *d)
{
	full_change(d->path, "DELETE FROM positions; DELETE FROM cache; DELETE FROM imports");
	tide_of_an_earlier_time(d);
}
static void more_positions_in_the_tide(const struct spooldir *d) { set_tide(d, 0, 0, 3); }
static void no_log(const struct spooldir *d) { lose(d, "-wal"); }
static void broken_log(const struct spooldir *d) { flip(spooldir_file(d, "-wal"), 32 + 24 + 100); }
static void others_log(const struct spooldir *d) { bring_other(d, "-wal"); }
static void others_database(const struct spooldir *d)
{
	bring_other(d, "");
	lose(d, "-wal");
}
static void others_lock(const struct spooldir *d) { bring_other(d, ".lock"); }
static void others_tide(const struct spooldir *d) { bring_other(d, ".tide"); }
static void no_head(const struct spooldir *d) { flip(d->path, 19); }
static void no_head_to_read(const struct spooldir *d)
{
	no_head(d);
	is_read_only = true;
}
static void no_ledger_to_read(const struct spooldir *d)
{
	full_change(d->path, "DELETE FROM ledger");
	is_read_only = true;
}
static void no_database(const struct spooldir *d) { lose(d, ""); }
static void no_database_to_read(const struct spooldir *d)
{
	lose(d, "");
	is_read_only = true;
}
static void no_database_no_log(const struct spooldir *d)
{
	lose(d, "");
	lose(d, "-wal");
}
static void set_aside(const struct spooldir *d) { copy_aside(d, ASIDE); }
static void set_aside_and_read(const struct spooldir *d)
{
	copy_aside(d, ASIDE);
	read_once(d, ASIDE ".read");
}
static void set_aside_twice(const struct spooldir *d)
{
	copy_aside(d, ASIDE);
	copy_aside(d, ".quarantine-20260101T000000Z-001-wal");
	copy_aside(d, ".quarantine-20260101T000000Z-002");
	read_once(d, ".quarantine-20260101T000000Z-002.read");
	copy_aside(d, ".foreign-20260101T000000Z-000");
}
static void set_aside_on_dead_sectors(const struct spooldir *d)
{
	copy_aside(d, ASIDE);
	faultfs_dead(ASIDE, 65536, 512);
}
static void all_set_aside(const struct spooldir *d)
{
	move(d, "", ASIDE);
	lose(d, "-wal");
}
static void all_set_aside_but_the_log(const struct spooldir *d) { move(d, "", ASIDE); }
static void all_set_aside_and_read(const struct spooldir *d)
{
	all_set_aside(d);
	read_once(d, ASIDE ".read");
}
/* What waits in a file that cannot be read is counted as damaged, and expected back. */
static void expected_back(const struct spooldir *d)
{
	all_set_aside(d);
	faultfs_dead(ASIDE, 0, INT32_MAX);
	life_close(life_open(d, NULL));
}
static void expected_back_and_more(const struct spooldir *d)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count;
	uint64_t last;
	struct error e;
	struct store *s;

	expected_back(d);
	s = life_open(d, NULL);
	life_append(s, 900, 10);
	life_close(s);
	full_change(d->path, "UPDATE blocks SET codec = 7");
	s = life_open(d, NULL);
	assert_int_equal(store_read(s, 0, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	message_list_free(&list);
	life_close(s);
}
static void read_and_damaged(const struct spooldir *d)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count;
	uint64_t last;
	struct error e;
	struct store *s;

	full_change(d->path, "UPDATE blocks SET codec = 7 WHERE id = 21");
	s = life_open(d, NULL);
	assert_int_equal(store_read(s, 0, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	message_list_free(&list);
	life_close(s);
}
static void damaged_ones_of_a_strange_schema(const struct spooldir *d)
{
	read_and_damaged(d);
	full_change(d->path, "CREATE INDEX more ON dead (attempts)");
}
static void damaged_ones_without_reasons(const struct spooldir *d)
{
	read_and_damaged(d);
	full_zero(d->path, "losses");
}
static void damaged_ones_whose_reason_is_old(const struct spooldir *d)
{
	read_and_damaged(d);
	killed_after(d,
	             "UPDATE losses SET messages = 4, checksum = side_sum(10, reason, 4, first_id, last_id, since_ms)");
}
static void what_had_left_stands_here(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);

	life_sql(s, "CREATE TABLE kept AS SELECT * FROM blocks WHERE id IN (1, 11)");
	for (uint64_t id = 1; id <= 20; id++)
		if (id != 12 && (id < 5 || id > 8))
			life_settle(s, id, id);
	life_settle(s, 5, 6);
	life_sql(s, "INSERT INTO blocks SELECT * FROM kept; DROP TABLE kept");
	life_close(s);
}

static const struct {
	const char *name;
	bool in_log;
	void (*harm)(const struct spooldir *d);
	uint64_t problems;
	const char *says;
} cases[] = {
    {"nothing", false, nothing, 0, "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER},
    {"nothing", true, nothing, 0, "log: * frames, 1 commits\n" IN_LOG MORE DEAD MORE_LEDGER},
    {"nothing can be written", false, nothing_can_be_written, 0,
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER},
    {"no tide", false, no_tide, 1,
     "log: * frames, 0 commits\n"
     "spool: *\n"
     "problem: PATH.tide, which says what was acknowledged last, is gone or damaged: whether the end of what was "
     "accepted is here cannot be told; a start makes it anew\n"
     "structure: ok\n" MORE DEAD MORE_LEDGER},
    {"broken tide", false, broken_tide, 1,
     "log: * frames, 0 commits\n"
     "spool: *\n"
     "problem: PATH.tide, which says what was acknowledged last, is gone or damaged: whether the end of what was "
     "accepted is here cannot be told; a start makes it anew\n"
     "structure: ok\n" MORE DEAD MORE_LEDGER},
    {"dead tide", false, dead_tide, 1,
     "log: * frames, 0 commits\n"
     "spool: *\n"
     "problem: PATH.tide, which says what was acknowledged last, cannot be read: whether the end of what was accepted "
     "is here cannot be told; a start makes it anew\n"
     "structure: ok\n" MORE DEAD MORE_LEDGER},
    {"tide of more ids", false, tide_of_more_ids, 1,
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER
     "problem: acknowledged messages up to id 46 are gone: the next id is 46\n"},
    {"tide of more commits", false, tide_of_more_commits, 1,
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER
     "problem: what is here is older than the tide mark: commits are gone\n"},
    {"tide of an earlier time", false, tide_of_an_earlier_time, 0,
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER},
    {"database of an earlier time", false, database_of_an_earlier_time, 1,
     HEAD ROWS DEAD LEDGER "problem: acknowledged messages up to id 45 are gone: the next id is 36\n"},
    {"left of a later time", false, left_of_a_later_time, 1,
     HEAD ROWS DEAD LEDGER "problem: messages up to id 45 had left, and the next id is 36\n"},
    {"no left", false, no_left, 1,
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER
     "problem: PATH.left, which tells what had left from what is gone, is gone, old, or not what was written; a start "
     "makes it anew\n"},
    {"broken left", false, broken_left, 1,
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER
     "problem: PATH.left, which tells what had left from what is gone, is gone, old, or not what was written; a start "
     "makes it anew\n"},
    {"left of an earlier time", false, left_of_an_earlier_time, 1,
     "log: * frames, 0 commits\n" IN_LOG "messages: 41 rows, 39 of them in blocks\n" DEAD
     "ledger: accepted 45 = delivered 2 + pending 41 + dead 2 + expired 0 + evicted 0 + damaged 0 + filtered 0 + "
     "purged 0\n"
     "problem: PATH.left, which tells what had left from what is gone, is gone, old, or not what was written; a start "
     "makes it anew\n"},
    {"earlier position", false, earlier_position, 1,
     "log: * frames, 1 commits\n" IN_LOG MORE DEAD MORE_LEDGER
     "problem: positions: its rows are not those that were written last, but of an earlier time: a start notes it, and "
     "what comes because of it is counted as possible duplicates\n"},
    {"earlier note of a copy", false, earlier_note_of_a_copy, 1,
     "log: * frames, 1 commits\n" IN_LOG MORE DEAD MORE_LEDGER
     "problem: imports: its rows are not those that were written last, but of an earlier time: a start notes it, and "
     "what comes because of it is counted as possible duplicates\n"},
    {"earlier rows and tide", false, earlier_rows_and_tide, 0,
     "log: * frames, 3 commits\n" IN_LOG MORE DEAD MORE_LEDGER},
    {"rows gone and an earlier tide", false, rows_gone_and_an_earlier_tide, 1,
     HEAD MORE DEAD MORE_LEDGER "problem: positions: 1 rows are gone: what they are of is read again from its start, "
                                "and counted; kspool repair notes that you know\n"},
    {"all rows gone and an earlier tide", false, all_rows_gone_and_an_earlier_tide, 3,
     HEAD MORE DEAD MORE_LEDGER
     "problem: positions: 2 rows are gone: what they are of is read again from its start, and counted; kspool repair "
     "notes that you know\n"
     "problem: imports: 2 rows are gone: a start notes it, and what is taken in from copies afterwards counts as "
     "possible duplicates\n"
     "problem: cache: 2 rows are gone: a start counts what they kept back as possible duplicates\n"},
    {"more positions in the tide", false, more_positions_in_the_tide, 1,
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER
     "problem: positions: 3 rows are gone: what they are of is read again from its start, and counted; kspool repair "
     "notes that you know\n"},
    {"no log", true, no_log, 1,
     HEAD ROWS DEAD LEDGER "problem: acknowledged messages up to id 45 are gone: the next id is 36\n"},
    {"broken log", true, broken_log, 1,
     "log: * frames, 0 commits\n" IN_LOG ROWS DEAD LEDGER
     "problem: acknowledged messages up to id 45 are gone: the next id is 36\n"},
    {"others log", true, others_log, 1,
     "log: * frames, 2 commits\n"
     "spool: *\n"
     "problem: the log is another spool's, or of a copy that went its own way; start kspool, or run kspool repair, to "
     "part them\n"},
    {"others database", false, others_database, 1,
     "log: none\n"
     "spool: *\n"
     "problem: the database is of spool *, what lies beside it of *; start kspool, or run kspool repair, to part "
     "them\n"},
    {"others lock", false, others_lock, 1,
     "log: * frames, 0 commits\n"
     "spool: *\n"
     "problem: the lock file is of another spool than *; start kspool, or run kspool repair, to part them\n"
     "structure: ok\n" MORE DEAD MORE_LEDGER},
    {"others tide", false, others_tide, 1,
     "log: * frames, 0 commits\n"
     "spool: *\n"
     "problem: the tide mark is of spool *, this is *; start kspool, or run kspool repair, to part them\n"
     "structure: ok\n" MORE DEAD MORE_LEDGER},
    {"no head", false, no_head, 1,
     "log: * frames, 0 commits\n"
     "spool: *\n"
     "problem: the head of the file is damaged\n"},
    {"no head", true, no_head, 1,
     "log: * frames, 1 commits\n"
     "spool: *\n"
     "problem: the head of the file is damaged\n"},
    {"no head to read", false, no_head_to_read, 1,
     "log: * frames, 0 commits\n"
     "spool: *\n"
     "problem: the head of the file is damaged\n" READ_ONLY},
    {"no ledger to read", false, no_ledger_to_read, 1,
     HEAD MORE DEAD "problem: the ledger row is missing, damaged or does not balance\n" READ_ONLY},
    {"no database", true, no_database, 1,
     "problem: the database is gone, its log is here; start kspool, or run kspool repair, to read it back\n"},
    {"no database to read", true, no_database_to_read, 1,
     "problem: the database is gone, its log is here; start kspool, or run kspool repair, to read it back\n" READ_ONLY},
    {"no database no log", false, no_database_no_log, 0, "error NOINPUT: there is no spool at PATH\n"},
    {"set aside", false, set_aside, 1,
     "set aside: PATH.quarantine-20260101T000000Z-000: not read to its end yet\n" NOT_READ
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER},
    {"set aside and read", false, set_aside_and_read, 0,
     "set aside: PATH.quarantine-20260101T000000Z-000: read back\n"
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER},
    {"set aside twice", false, set_aside_twice, 1,
     "set aside: PATH.quarantine-20260101T000000Z-000: not read to its end yet\n"
     "set aside: PATH.quarantine-20260101T000000Z-001-wal: not read to its end yet\n"
     "set aside: PATH.quarantine-20260101T000000Z-002: read back\n"
     "problem: 2 files set aside are not read to their end; start kspool, or run kspool repair\n"
     "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER},
    {"set aside on dead sectors", false, set_aside_on_dead_sectors, 1,
     "set aside: PATH.quarantine-20260101T000000Z-000: not read to its end yet: PATH.quarantine-20260101T000000Z-000, "
     "from byte 65536 on: cannot read *\n"
     "put it right, or, when it is lost for good: kspool repair --give-up "
     "PATH.quarantine-20260101T000000Z-000\n" NOT_READ "log: * frames, 0 commits\n" IN_LOG MORE DEAD MORE_LEDGER},
    {"all set aside", false, all_set_aside, 1,
     "set aside: PATH.quarantine-20260101T000000Z-000: not read to its end yet\n" NOT_READ},
    {"all set aside but the log", true, all_set_aside_but_the_log, 2,
     "set aside: PATH.quarantine-20260101T000000Z-000: not read to its end yet\n" NOT_READ
     "problem: the database is gone, its log is here; start kspool, or run kspool repair, to read it back\n"},
    {"all set aside and read", false, all_set_aside_and_read, 0,
     "set aside: PATH.quarantine-20260101T000000Z-000: read back\n"
     "error NOINPUT: there is no spool at PATH\n"},
    {"expected back", false, expected_back, 1,
     "set aside: PATH.quarantine-20260101T000000Z-000: not read to its end yet: PATH.quarantine-20260101T000000Z-000, "
     "from byte 0 on: cannot read *\n"
     "put it right, or, when it is lost for good: kspool repair --give-up "
     "PATH.quarantine-20260101T000000Z-000\n" NOT_READ "log: * frames, 0 commits\n" IN_LOG
     "messages: 0 rows, 0 of them in blocks\n"
     "dead: 0 rows\n"
     "ledger: accepted 45 = delivered 1 + pending 0 + dead 0 + expired 0 + evicted 0 + damaged 44 + filtered 0 + "
     "purged 0\n"},
    {"expected back and more", false, expected_back_and_more, 2,
     "set aside: PATH.quarantine-20260101T000000Z-000: not read to its end yet: PATH.quarantine-20260101T000000Z-000, "
     "from byte 0 on: cannot read *\n"
     "put it right, or, when it is lost for good: kspool repair --give-up "
     "PATH.quarantine-20260101T000000Z-000\n" NOT_READ "log: * frames, 0 commits\n" IN_LOG
     "messages: 0 rows, 0 of them in blocks\n"
     "dead: 0 rows\n"
     "ledger: accepted 55 = delivered 1 + pending 0 + dead 0 + expired 0 + evicted 0 + damaged 54 + filtered 0 + "
     "purged 0\n"
     "damaged: 10 messages are kept as they were read, in table `damaged`\n"
     "problem: 10 messages are damaged, and nobody has confirmed it: kspool repair says which, and notes that you "
     "know\n"
     "damaged: 10 messages, ids 46 to 55, since *Z: what stands in their place is not what was written, and is kept in "
     "the table `damaged`\n"
     "damaged: 44 messages, ids 1 to 45, since *Z: what is here ends before the tide mark: the last commits are "
     "gone\n"},
    {"read and damaged", false, read_and_damaged, 1,
     "log: * frames, 0 commits\n" IN_LOG ROWS DEAD "ledger: accepted 45 = delivered 1 + pending 32 + dead 2 + expired "
     "0 + evicted 0 + damaged 10 + filtered 0 + purged 0\n"
     "damaged: 10 messages are kept as they were read, in table `damaged`\n"
     "problem: 10 messages are damaged, and nobody has confirmed it: kspool repair says which, and notes that you "
     "know\n"
     "damaged: 10 messages, ids 21 to 30, since *Z: what stands in their place is not what was written, and is kept in "
     "the table `damaged`\n"},
    {"damaged ones of a strange schema", false, damaged_ones_of_a_strange_schema, 2,
     HEAD "problem: schema: PATH holds the index more, which kspool did not make; drop it: sqlite3 PATH 'DROP index "
          "more'\n" ROWS DEAD "ledger: accepted 45 = delivered 1 + pending 32 + dead 2 + expired 0 + evicted 0 + "
          "damaged 10 + filtered 0 + purged 0\n"
          "damaged: 10 messages are kept as they were read, in table `damaged`\n"
          "problem: 10 messages are damaged, and nobody has confirmed it: kspool repair says which, and notes that you "
          "know\n"},
    {"damaged ones without reasons", false, damaged_ones_without_reasons, 5,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD
     "problem: rows beside the messages: SELECT count(*) FROM losses WHERE NOT side_is_sound(10, checksum, reason, "
     "messages, first_id, last_id, since_ms): database disk image is malformed (SQLite 11); log: *\n"
     "ledger: accepted 45 = delivered 1 + pending 32 + dead 2 + expired 0 + evicted 0 + damaged 10 + filtered 0 + "
     "purged 0\n"
     "damaged: 10 messages are kept as they were read, in table `damaged`\n"
     "problem: 10 messages are damaged, and nobody has confirmed it: kspool repair says which, and notes that you "
     "know\n"
     "problem: losses: see what is damaged: database disk image is malformed (SQLite 11); log: *\n"},
    {"damaged ones whose reason is old", false, damaged_ones_whose_reason_is_old, 1,
     "log: * frames, 1 commits\n" IN_LOG ROWS DEAD "ledger: accepted 45 = delivered 1 + pending 32 + dead 2 + expired "
     "0 + evicted 0 + damaged 10 + filtered 0 + purged 0\n"
     "damaged: 10 messages are kept as they were read, in table `damaged`\n"
     "problem: 10 messages are damaged, and nobody has confirmed it: kspool repair says which, and notes that you "
     "know\n"
     "damaged: 4 messages, ids 21 to 30, since *Z: what stands in their place is not what was written, and is kept in "
     "the table `damaged`\n"
     "damaged: 6 messages: why and since when is not known any more\n"},
    {"what had left stands here", false, what_had_left_stands_here, 3,
     "log: * frames, 0 commits\n" IN_LOG "messages: 45 rows, 45 of them in blocks\n" DEAD
     "ledger: accepted 45 = delivered 18 + pending 25 + dead 2 + expired 0 + evicted 0 + damaged 0 + filtered 0 + "
     "purged 0\n"
     "problem: messages stand here that had left: a page is as it was at an earlier time\n"
     "problem: the ledger counts 25 pending and 2 dead, there are 45 and 2\n"
     "problem: 18 messages that had left stand here again: a start counts them, as possible duplicates, and what they "
     "hide as damaged\n"},
};

/* All files of the folder, one number: to look changes none and makes none. */
static uint64_t print_of(const struct spooldir *d)
{
	static const char *const suffixes[] = {"", "-wal", ".tide", ".left", ".lock", ASIDE, "-shm", "-journal"};
	uint64_t print = (uint64_t)life_count_files(d, "spool");

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t count = 0;
		unsigned char *bytes = spooldir_load(spooldir_file(d, suffixes[i]), &count);

		for (size_t at = 0; at < count; at++)
			print = (print ^ bytes[at]) * 1099511628211u;
		print = print * 31 + count;
		free(bytes);
	}
	return print;
}

static void each_word_of_a_check_is_expected(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		struct store *s = full_open(&d);
		char text[FULL_TEXT];
		uint64_t found, before;

		life_close(s);
		spooldir_make(&early);
		spooldir_copy(&d, &early);
		life_bring(&d, ".left", &early);
		s = life_open(&d, NULL);
		life_append(s, 40, 10);
		if (cases[i].in_log)
			store_abandon(s);
		else
			life_close(s);
		cases[i].harm(&d);
		before = print_of(&d);
		found = full_check(&d, false, text);
		assert_int_equal(print_of(&d), before);
		if (found != cases[i].problems || strcmp(text, cases[i].says) != 0) {
			(void)fprintf(stderr, "%s%s: %d problems\n%s\n", cases[i].name,
			              cases[i].in_log ? ", in the log" : "", (int)found, text);
			wrong++;
		}
		is_read_only = false;
		faultfs_dead(NULL, 0, 0);
		spooldir_remove(&d);
		spooldir_remove(&early);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_word_of_a_check_is_expected),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
