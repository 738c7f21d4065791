/*
 * What check says, word for word: of a spool that is sound, and of one where a single thing is not what it was, in its
 * tables and beside them; and of a copy in the same state. Each line is there for a reason and none is there besides.
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
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/fullspool.h"
#include "store/files/vfs.h"
#include "store/store_internal.h"

#define ZERO "ZERO " /* not a statement: the page where that begins */
#define MENDS " rows are not what was written: kspool repair mends what can be\n"

/* Of a closed spool, and of a copy of it; a copy has no companions, and says nothing of what only they know. */
#define A_QUOTE "PATH holds the index a'b, which kspool did not make; drop it: sqlite3 PATH 'DROP index \"a'\\''b\"'\n"
static const struct {
	const char *name, *sql;
	uint64_t problems;
	const char *says;
	uint64_t copy_problems;
	const char *copy_says;
} cases[] = {
    {"whole", "SELECT 1", 0,
     "log: * frames, 0 commits\n"
     "spool: *\n"
     "structure: ok\n" ROWS DEAD LEDGER,
     0, ROWS DEAD},
    {"an older schema", "DROP TABLE losses; ALTER TABLE imports DROP COLUMN checksum; PRAGMA user_version = 9", 0,
     HEAD "schema: 9, brought up at the next start\n" ROWS DEAD LEDGER, 0, ROWS DEAD},
    {"no schema", "PRAGMA user_version = 0", 1,
     "log: none\n"
     "spool: *\n"
     "problem: the head of the file is damaged\n",
     0,
     "error ENVIRONMENT: PATH holds the table messages, which kspool did not make; drop it: sqlite3 PATH 'DROP table "
     "messages'\n"},
    {"an index more", "CREATE INDEX more ON dead (attempts); UPDATE positions SET value = '9'", 1,
     HEAD "problem: schema: PATH holds the index more, which kspool did not make; drop it: sqlite3 PATH 'DROP index "
          "more'\n" ROWS DEAD LEDGER,
     0,
     "error ENVIRONMENT: PATH holds the index more, which kspool did not make; drop it: sqlite3 PATH 'DROP index "
     "more'\n"},
    {"a name with a quote", "CREATE INDEX \"a'b\" ON dead (attempts)", 1,
     HEAD "problem: schema: " A_QUOTE ROWS DEAD LEDGER, 0, "error ENVIRONMENT: " A_QUOTE},
    {"a failure", "UPDATE failures SET attempts = 9 WHERE id = 5", 1,
     HEAD ROWS DEAD "problem: failures: 1" MENDS LEDGER, 1, ROWS DEAD "problem: failures: 1" MENDS},
    {"why one is dead", "UPDATE dead SET reason = 'x' WHERE id = 7", 1, HEAD ROWS DEAD "problem: dead: 1" MENDS LEDGER,
     1, ROWS DEAD "problem: dead: 1" MENDS},
    {"the dead themselves", "UPDATE dead SET body = x'00'", 1,
     HEAD ROWS DEAD "problem: dead: 2 rows have a wrong checksum\n" LEDGER, 1,
     ROWS DEAD "problem: dead: 2 rows have a wrong checksum\n"},
    {"a mark", "UPDATE partial SET bitmap = x'ffff' WHERE block_id = 11", 3,
     HEAD "messages: 33 rows, 31 of them in blocks\n" DEAD "problem: partial: 1" MENDS LEDGER
          "problem: the ledger counts 32 pending and 2 dead, there are 33 and 2\n"
          "problem: 1 messages that had left stand here again: a start counts them, as possible duplicates, and what "
          "they hide as damaged\n",
     2,
     "messages: 33 rows, 31 of them in blocks\n" DEAD "problem: partial: 1" MENDS
     "problem: the ledger counts 32 pending and 2 dead, there are 33 and 2\n"},
    {"a mark is gone", "DELETE FROM partial WHERE block_id = 11", 2,
     HEAD "messages: 33 rows, 31 of them in blocks\n" DEAD LEDGER
          "problem: the ledger counts 32 pending and 2 dead, there are 33 and 2\n"
          "problem: 1 messages that had left stand here again: a start counts them, as possible duplicates, and what "
          "they hide as damaged\n",
     1,
     "messages: 33 rows, 31 of them in blocks\n" DEAD
     "problem: the ledger counts 32 pending and 2 dead, there are 33 and 2\n"},
    {"a position", "UPDATE positions SET value = '9' WHERE key = 'file'", 1,
     HEAD ROWS DEAD "problem: positions: 1" MENDS LEDGER, 1, ROWS DEAD "problem: positions: 1" MENDS},
    {"a key", "UPDATE cache SET expires_ms = 9 WHERE key = CAST('one' AS BLOB)", 1,
     HEAD ROWS DEAD "problem: cache: 1" MENDS LEDGER, 1, ROWS DEAD "problem: cache: 1" MENDS},
    {"a note of what is read back", "INSERT INTO salvage VALUES ('p', 3, 2, 1, 77)", 1,
     HEAD ROWS DEAD "problem: salvage: 1" MENDS LEDGER, 1, ROWS DEAD "problem: salvage: 1" MENDS},
    {"a loss", "INSERT INTO losses VALUES (2, 1, 1, 4, 5, 77)", 1, HEAD ROWS DEAD "problem: losses: 1" MENDS LEDGER, 1,
     ROWS DEAD "problem: losses: 1" MENDS},
    {"a note of a copy", "UPDATE imports SET messages = 9 WHERE messages = 5", 1,
     HEAD ROWS DEAD "problem: imports: 1" MENDS LEDGER, 1, ROWS DEAD "problem: imports: 1" MENDS},
    {"a position is gone", "DELETE FROM positions WHERE key = 'file'", 1,
     HEAD ROWS DEAD LEDGER "problem: positions: 1 rows are gone: what they are of is read again from its start, and "
                           "counted; kspool repair notes that you know\n",
     0, ROWS DEAD},
    {"positions are gone", "DELETE FROM positions", 1,
     HEAD ROWS DEAD LEDGER "problem: positions: 2 rows are gone: what they are of is read again from its start, and "
                           "counted; kspool repair notes that you know\n",
     0, ROWS DEAD},
    {"a note of a copy is gone", "DELETE FROM imports WHERE messages = 5", 1,
     HEAD ROWS DEAD LEDGER "problem: imports: 1 rows are gone: a start notes it, and what is taken in from copies "
                           "afterwards counts as possible duplicates\n",
     0, ROWS DEAD},
    {"notes of copies are gone", "DELETE FROM imports", 1,
     HEAD ROWS DEAD LEDGER "problem: imports: 2 rows are gone: a start notes it, and what is taken in from copies "
                           "afterwards counts as possible duplicates\n",
     0, ROWS DEAD},
    {"a key is gone", "DELETE FROM cache WHERE key = CAST('one' AS BLOB)", 1,
     HEAD ROWS DEAD LEDGER
     "problem: cache: 1 rows are gone: a start counts what they kept back as possible duplicates\n",
     0, ROWS DEAD},
    {"keys are gone", "DELETE FROM cache", 1,
     HEAD ROWS DEAD LEDGER
     "problem: cache: 2 rows are gone: a start counts what they kept back as possible duplicates\n",
     0, ROWS DEAD},
    {"the clock", "UPDATE clock SET lead_ms = lead_ms + 1 WHERE first_id = (SELECT max(first_id) FROM clock)", 1,
     HEAD ROWS DEAD "problem: clock: 1 rows have a wrong checksum\n" LEDGER, 1,
     ROWS DEAD "problem: clock: 1 rows have a wrong checksum\n"},
    {"one that stands in its block too",
     "INSERT INTO messages SELECT 1, received_ms, checksum, meta, body FROM messages WHERE id = 5", 0,
     HEAD ROWS DEAD LEDGER, 0, ROWS DEAD},
    {"the clock is gone", "DELETE FROM clock", 1, HEAD ROWS DEAD "problem: clock: its rows are gone\n" LEDGER, 1,
     ROWS DEAD "problem: clock: its rows are gone\n"},
    {"an id below all", "INSERT INTO messages SELECT 0, received_ms, checksum, meta, body FROM messages WHERE id = 5",
     4,
     HEAD "messages: 33 rows, 30 of them in blocks\n"
          "problem: messages: 1 rows have a wrong checksum\n" DEAD
          "problem: messages: 1 rows have numbers that none can have\n" LEDGER
          "problem: messages stand here that had left: a page is as it was at an earlier time\n"
          "problem: the ledger counts 32 pending and 2 dead, there are 33 and 2\n",
     4,
     "messages: 33 rows, 30 of them in blocks\n"
     "problem: messages: 1 rows have a wrong checksum\n" DEAD
     "problem: messages: 1 rows have numbers that none can have\n"
     "problem: messages stand here that had left: a page is as it was at an earlier time\n"
     "problem: the ledger counts 32 pending and 2 dead, there are 33 and 2\n"},
    {"a block below all",
     "INSERT INTO blocks SELECT -3, count, bytes, codec, checksum, first_ms, last_ms, data_key, route, class, origin, "
     "origin_id, body FROM blocks WHERE id = 21",
     3,
     HEAD "messages: 37 rows, 37 of them in blocks\n"
          "problem: messages: 7 rows have a wrong checksum\n" DEAD
          "problem: blocks: 1 rows have numbers that none can have\n" LEDGER
          "problem: the ledger counts 32 pending and 2 dead, there are 37 and 2\n",
     3,
     "messages: 37 rows, 37 of them in blocks\n"
     "problem: messages: 7 rows have a wrong checksum\n" DEAD
     "problem: blocks: 1 rows have numbers that none can have\n"
     "problem: the ledger counts 32 pending and 2 dead, there are 37 and 2\n"},
    {"a block of nothing", "UPDATE blocks SET count = 0 WHERE id = 21", 2,
     HEAD ROWS "problem: messages: 1 blocks have a wrong checksum, their messages none\n" DEAD
               "problem: blocks: 1 rows have numbers that none can have\n" LEDGER,
     2,
     ROWS "problem: messages: 1 blocks have a wrong checksum, their messages none\n" DEAD
          "problem: blocks: 1 rows have numbers that none can have\n"},
    {"a block of too many", "UPDATE blocks SET count = 513 WHERE id = 21", 2,
     HEAD ROWS "problem: messages: 1 blocks have a wrong checksum, their messages none\n" DEAD
               "problem: blocks: 1 rows have numbers that none can have\n" LEDGER,
     2,
     ROWS "problem: messages: 1 blocks have a wrong checksum, their messages none\n" DEAD
          "problem: blocks: 1 rows have numbers that none can have\n"},
    {"a block with a key", "UPDATE blocks SET data_key = 1 WHERE id = 21", 1,
     HEAD ROWS DEAD "problem: blocks: 1 rows have numbers that none can have\n" LEDGER, 1,
     ROWS DEAD "problem: blocks: 1 rows have numbers that none can have\n"},
    {"a block with an origin", "UPDATE blocks SET origin_id = 1 WHERE id = 21", 1,
     HEAD ROWS DEAD "problem: blocks: 1 rows have numbers that none can have\n" LEDGER, 1,
     ROWS DEAD "problem: blocks: 1 rows have numbers that none can have\n"},
    {"a block's codec", "UPDATE blocks SET codec = 7 WHERE id = 21", 1,
     HEAD ROWS "problem: messages: 10 rows have a wrong checksum\n" DEAD LEDGER, 1,
     ROWS "problem: messages: 10 rows have a wrong checksum\n" DEAD},
    {"sums of blocks", "UPDATE blocks SET checksum = checksum + 1 WHERE id IN (11, 21)", 1,
     HEAD ROWS "problem: messages: 2 blocks have a wrong checksum, their messages none\n" DEAD LEDGER, 1,
     ROWS "problem: messages: 2 blocks have a wrong checksum, their messages none\n" DEAD},
    {"one alone", "UPDATE messages SET body = x'00' WHERE id = 6", 1,
     HEAD ROWS "problem: messages: 1 rows have a wrong checksum\n" DEAD LEDGER, 1,
     ROWS "problem: messages: 1 rows have a wrong checksum\n" DEAD},
    {"one alone is gone", "DELETE FROM messages WHERE id = 6", 1,
     HEAD "messages: 31 rows, 30 of them in blocks\n" DEAD LEDGER
          "problem: the ledger counts 32 pending and 2 dead, there are 31 and 2\n",
     1,
     "messages: 31 rows, 30 of them in blocks\n" DEAD
     "problem: the ledger counts 32 pending and 2 dead, there are 31 and 2\n"},
    {"a block is gone", "DELETE FROM blocks WHERE id = 21", 1,
     HEAD "messages: 22 rows, 20 of them in blocks\n" DEAD LEDGER
          "problem: the ledger counts 32 pending and 2 dead, there are 22 and 2\n",
     1,
     "messages: 22 rows, 20 of them in blocks\n" DEAD
     "problem: the ledger counts 32 pending and 2 dead, there are 22 and 2\n"},
    {"one of the dead is gone", "DELETE FROM dead WHERE id = 8", 1,
     HEAD ROWS "dead: 1 rows\n" LEDGER "problem: the ledger counts 32 pending and 2 dead, there are 32 and 1\n", 1,
     ROWS "dead: 1 rows\n"
          "problem: the ledger counts 32 pending and 2 dead, there are 32 and 1\n"},
    {"the ledger", "UPDATE ledger SET delivered = delivered + 1, accepted = accepted + 1", 1,
     HEAD ROWS DEAD "problem: the ledger row is missing, damaged or does not balance\n", 1,
     "problem: the ledger row is missing, damaged or does not balance\n" ROWS DEAD},
    {"the ledger is gone", "DELETE FROM ledger", 1,
     HEAD ROWS DEAD "problem: the ledger row is missing, damaged or does not balance\n", 1,
     "problem: the ledger row is missing, damaged or does not balance\n" ROWS DEAD},
    {"damaged ones that no ledger counts",
     "INSERT INTO damaged VALUES (1000, 5, 5, 5, NULL, x'00'), (1001, 5, 5, 5, NULL, x'00'), (1002, 5, NULL, NULL, "
     "NULL, NULL)",
     1,
     HEAD ROWS DEAD LEDGER "damaged: 2 messages are kept as they were read, in table `damaged`\n"
                           "problem: the ledger counts 0 damaged messages, and table `damaged` has more\n",
     0, ROWS DEAD},
    {"damaged ones of which nothing is kept", "INSERT INTO damaged VALUES (1000, 5, NULL, NULL, NULL, NULL)", 1,
     HEAD ROWS DEAD LEDGER "problem: the ledger counts 0 damaged messages, and table `damaged` has more\n", 0,
     ROWS DEAD},
    {"no table of the dead", "DROP TABLE dead", 3,
     HEAD "problem: schema: PATH: the definition of dead is not what was written\n" ROWS "dead: 0 rows\n"
          "problem: dead: no such table: dead\n" LEDGER
          "problem: the ledger counts 32 pending and 2 dead, there are 32 and 0\n",
     0, "error DAMAGED: PATH: the definition of dead is not what was written\n"},
    {"no clock", "DROP TABLE clock", 1,
     HEAD "problem: schema: PATH: the definition of clock is not what was written\n" ROWS DEAD LEDGER, 0,
     "error DAMAGED: PATH: the definition of clock is not what was written\n"},
    {"no blocks", "DROP TABLE blocks", 2,
     HEAD "problem: schema: PATH: the definition of blocks is not what was written\n"
          "messages: 2 rows, 0 of them in blocks\n" DEAD LEDGER
          "problem: the ledger counts 32 pending and 2 dead, there are 2 and 2\n",
     0, "error DAMAGED: PATH: the definition of blocks is not what was written\n"},
    {"no messages", "DROP TABLE messages", 3,
     HEAD "problem: schema: PATH: the definition of messages is not what was written\n"
          "messages: 0 rows, 0 of them in blocks\n"
          "problem: messages: no such table: messages\n" DEAD LEDGER
          "problem: the ledger counts 32 pending and 2 dead, there are 0 and 2\n",
     0, "error DAMAGED: PATH: the definition of messages is not what was written\n"},
    {"no notes of what is read back", "DROP TABLE salvage", 1,
     HEAD "problem: schema: PATH: the definition of salvage is not what was written\n" ROWS DEAD LEDGER, 0,
     "error DAMAGED: PATH: the definition of salvage is not what was written\n"},
    {"no damaged ones", "DROP TABLE damaged", 2,
     HEAD
     "problem: schema: PATH: the definition of damaged is not what was written\n" ROWS DEAD
     "problem: SELECT count(*) FROM damaged WHERE body IS NOT NULL: no such table: damaged (SQLite 1); log: *\n" LEDGER,
     0, "error DAMAGED: PATH: the definition of damaged is not what was written\n"},
    {"no page of messages", "ZERO messages", 6,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n"
     "messages: 0 rows, 0 of them in blocks\n"
     "problem: messages: database disk image is malformed\n" DEAD
     "problem: messages: SELECT count(*) FROM messages WHERE id < 1: database disk image is malformed (SQLite 11); "
     "log: *\n" LEDGER "problem: the ledger counts 32 pending and 2 dead, there are 0 and 2\n"
     "problem: what waits beside what had left: database disk image is malformed\n",
     3,
     "messages: 0 rows, 0 of them in blocks\n"
     "problem: messages: database disk image is malformed\n" DEAD
     "problem: messages: SELECT count(*) FROM messages WHERE id < 1: database disk image is malformed (SQLite 11); "
     "log: *\n"
     "problem: the ledger counts 32 pending and 2 dead, there are 0 and 2\n"},
    {"no page of failures", "ZERO failures", 3,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD
     "problem: rows beside the messages: SELECT count(*) FROM failures WHERE NOT side_is_sound(6, checksum, id, "
     "attempts, next_ms, first_ms, code, reason): database disk image is malformed (SQLite 11); log: *\n" LEDGER,
     1,
     ROWS DEAD
     "problem: rows beside the messages: SELECT count(*) FROM failures WHERE NOT side_is_sound(6, checksum, id, "
     "attempts, next_ms, first_ms, code, reason): database disk image is malformed (SQLite 11); log: *\n"},
    {"no page of failures_next", "ZERO failures_next", 2,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD LEDGER,
     0, ROWS DEAD},
    {"no page of dead", "ZERO dead", 6,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS "dead: 0 rows\n"
     "problem: dead: database disk image is malformed\n"
     "problem: rows beside the messages: SELECT count(*) FROM dead WHERE NOT side_is_sound(7, note_checksum, id, "
     "died_ms, attempts, code, reason): database disk image is malformed (SQLite 11); log: *\n" LEDGER
     "problem: the ledger counts 32 pending and 2 dead, there are 32 and 0\n"
     "problem: what waits beside what had left: database disk image is malformed\n",
     3,
     ROWS "dead: 0 rows\n"
          "problem: dead: database disk image is malformed\n"
          "problem: rows beside the messages: SELECT count(*) FROM dead WHERE NOT side_is_sound(7, note_checksum, id, "
          "died_ms, attempts, code, reason): database disk image is malformed (SQLite 11); log: *\n"
          "problem: the ledger counts 32 pending and 2 dead, there are 32 and 0\n"},
    {"no page of damaged", "ZERO damaged", 3,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD "problem: SELECT count(*) FROM damaged WHERE body IS NOT NULL: database disk "
     "image is malformed (SQLite 11); log: *\n" LEDGER,
     0, ROWS DEAD},
    {"no page of positions", "ZERO positions", 3,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD
     "problem: rows beside the messages: SELECT count(*) FROM positions WHERE NOT position_is_sound(key, value, "
     "checksum): database disk image is malformed (SQLite 11); log: *\n" LEDGER,
     1,
     ROWS DEAD "problem: rows beside the messages: SELECT count(*) FROM positions WHERE NOT position_is_sound(key, "
               "value, checksum): database disk image is malformed (SQLite 11); log: *\n"},
    {"no page of cache", "ZERO cache", 3,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD
     "problem: rows beside the messages: SELECT count(*) FROM cache WHERE NOT side_is_sound(8, checksum, cache, key, "
     "expires_ms): database disk image is malformed (SQLite 11); log: *\n" LEDGER,
     1,
     ROWS DEAD "problem: rows beside the messages: SELECT count(*) FROM cache WHERE NOT side_is_sound(8, checksum, "
               "cache, key, expires_ms): database disk image is malformed (SQLite 11); log: *\n"},
    {"no page of cache_expires", "ZERO cache_expires", 2,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD LEDGER,
     0, ROWS DEAD},
    {"no page of ledger", "ZERO ledger", 3,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD "problem: the ledger row is missing, damaged or does not balance\n",
     1, "problem: the ledger row is missing, damaged or does not balance\n" ROWS DEAD},
    {"no page of salvage", "ZERO salvage", 3,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD
     "problem: rows beside the messages: SELECT count(*) FROM salvage WHERE NOT side_is_sound(9, checksum, path, "
     "after_id, salvaged, done): database disk image is malformed (SQLite 11); log: *\n" LEDGER,
     1,
     ROWS DEAD "problem: rows beside the messages: SELECT count(*) FROM salvage WHERE NOT side_is_sound(9, checksum, "
               "path, after_id, salvaged, done): database disk image is malformed (SQLite 11); log: *\n"},
    {"no page of blocks", "ZERO blocks", 7,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n"
     "messages: 0 rows, 0 of them in blocks\n"
     "problem: messages: database disk image is malformed\n" DEAD
     "problem: blocks: SELECT count(*) FROM blocks WHERE id < 1 OR count NOT BETWEEN 1 AND 512 OR coalesce(data_key, "
     "route, class, origin, origin_id) IS NOT NULL: database disk image is malformed (SQLite 11); log: *\n"
     "problem: rows beside the messages: SELECT count(*) FROM (SELECT p.block_id, p.settled, p.bytes, p.checksum, "
     "p.bitmap, b.id IS NOT NULL, b.count FROM partial AS p LEFT JOIN blocks AS b ON b.id = p.block_id WHERE b.id IS "
     "NULL OR p.settled > 512 OR NOT mark_is_sound(p.block_id, p.settled, p.bytes, p.checksum, p.bitmap)): database "
     "disk image is malformed (SQLite 11); log: *\n"
     "problem: the ledger row is missing, damaged or does not balance\n"
     "problem: what waits beside what had left: database disk image is malformed\n",
     4,
     "problem: the ledger row is missing, damaged or does not balance\n"
     "messages: 0 rows, 0 of them in blocks\n"
     "problem: messages: database disk image is malformed\n" DEAD
     "problem: blocks: SELECT count(*) FROM blocks WHERE id < 1 OR count NOT BETWEEN 1 AND 512 OR coalesce(data_key, "
     "route, class, origin, origin_id) IS NOT NULL: database disk image is malformed (SQLite 11); log: *\n"
     "problem: rows beside the messages: SELECT count(*) FROM (SELECT p.block_id, p.settled, p.bytes, p.checksum, "
     "p.bitmap, b.id IS NOT NULL, b.count FROM partial AS p LEFT JOIN blocks AS b ON b.id = p.block_id WHERE b.id IS "
     "NULL OR p.settled > 512 OR NOT mark_is_sound(p.block_id, p.settled, p.bytes, p.checksum, p.bitmap)): database "
     "disk image is malformed (SQLite 11); log: *\n"},
    {"no page of partial", "ZERO partial", 6,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n"
     "messages: 0 rows, 0 of them in blocks\n"
     "problem: messages: database disk image is malformed\n" DEAD
     "problem: rows beside the messages: SELECT count(*) FROM (SELECT p.block_id, p.settled, p.bytes, p.checksum, "
     "p.bitmap, b.id IS NOT NULL, b.count FROM partial AS p LEFT JOIN blocks AS b ON b.id = p.block_id WHERE b.id IS "
     "NULL OR p.settled > 512 OR NOT mark_is_sound(p.block_id, p.settled, p.bytes, p.checksum, p.bitmap)): database "
     "disk image is malformed (SQLite 11); log: *\n" LEDGER
     "problem: the ledger counts 32 pending and 2 dead, there are 0 and 2\n"
     "problem: what waits beside what had left: database disk image is malformed\n",
     3,
     "messages: 0 rows, 0 of them in blocks\n"
     "problem: messages: database disk image is malformed\n" DEAD
     "problem: rows beside the messages: SELECT count(*) FROM (SELECT p.block_id, p.settled, p.bytes, p.checksum, "
     "p.bitmap, b.id IS NOT NULL, b.count FROM partial AS p LEFT JOIN blocks AS b ON b.id = p.block_id WHERE b.id IS "
     "NULL OR p.settled > 512 OR NOT mark_is_sound(p.block_id, p.settled, p.bytes, p.checksum, p.bitmap)): database "
     "disk image is malformed (SQLite 11); log: *\n"
     "problem: the ledger counts 32 pending and 2 dead, there are 0 and 2\n"},
    {"no page of clock", "ZERO clock", 3,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD "problem: clock: database disk image is malformed\n" LEDGER,
     1, ROWS DEAD "problem: clock: database disk image is malformed\n"},
    {"no page of imports", "ZERO imports", 3,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD
     "problem: rows beside the messages: SELECT count(*) FROM imports WHERE NOT side_is_sound(11, checksum, copy, "
     "imported_ms, messages, first_id): database disk image is malformed (SQLite 11); log: *\n" LEDGER,
     1,
     ROWS DEAD "problem: rows beside the messages: SELECT count(*) FROM imports WHERE NOT side_is_sound(11, checksum, "
               "copy, imported_ms, messages, first_id): database disk image is malformed (SQLite 11); log: *\n"},
    {"no page of losses", "ZERO losses", 3,
     "log: none\n"
     "spool: *\n"
     "problem: structure: \n" ROWS DEAD
     "problem: rows beside the messages: SELECT count(*) FROM losses WHERE NOT side_is_sound(10, checksum, reason, "
     "messages, first_id, last_id, since_ms): database disk image is malformed (SQLite 11); log: *\n" LEDGER,
     1,
     ROWS DEAD
     "problem: rows beside the messages: SELECT count(*) FROM losses WHERE NOT side_is_sound(10, checksum, reason, "
     "messages, first_id, last_id, since_ms): database disk image is malformed (SQLite 11); log: *\n"},
};

static void each_word_of_a_check_is_expected(void **state)
{
	struct spooldir d, copy;
	struct store *s;
	struct error e;
	int wrong = 0;

	(void)state;
	spooldir_make(&copy);
	s = full_open(&d);
	assert_int_equal(store_export(s, copy.path, &e), ERR_OK);
	life_close(s);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int is_copy = 0; is_copy < 2; is_copy++) {
			const uint64_t problems = is_copy ? cases[i].copy_problems : cases[i].problems;
			const char *says = is_copy ? cases[i].copy_says : cases[i].says;
			struct spooldir harmed;
			char text[FULL_TEXT];
			uint64_t found;

			spooldir_make(&harmed);
			spooldir_copy(is_copy ? &copy : &d, &harmed);
			if (!is_copy)
				life_bring(&d, ".left", &harmed);
			if (strncmp(cases[i].sql, ZERO, strlen(ZERO)) == 0)
				full_zero(harmed.path, cases[i].sql + strlen(ZERO));
			else
				full_change(harmed.path, cases[i].sql);
			if (strstr(cases[i].sql, "user_version = 9")) /* the tide mark knows who wrote last */
				(void)unlink(spooldir_file(&harmed, ".tide"));
			found = full_check(&harmed, is_copy, text);
			if (found != problems || strcmp(text, says) != 0) {
				(void)fprintf(stderr, "%s%s: %d problems\n%s\n", cases[i].name,
				              is_copy ? ", a copy" : "", (int)found, text);
				wrong++;
			}
			spooldir_remove(&harmed);
		}
	assert_int_equal(wrong, 0);
	spooldir_remove(&d);
	spooldir_remove(&copy);
}

#define OTHER_CLOCK "problem: clock: rows are gone: no message that waits now will be too old for a start\n"
#define WRONG_CLOCK "problem: clock: 1 rows have a wrong checksum\n"

/* A row of the clock with a checksum that is right: what it says must be possible, and what the tide mark says. */
static void a_clock_says_what_can_be(void **state)
{
	static const struct {
		int64_t first_id, lead_ms;
		bool can_be;
	} leads[] = {{1, 300000000000000, true},
	             {1, 300000000000001, false},
	             {1, -300000000000000, true},
	             {1, -300000000000001, false},
	             {1, INT64_MIN, true},
	             {1, INT64_MIN + 1, false},
	             {0, 1, true},
	             {-1, 1, false},
	             {INT64_MAX / 2, 1, true},
	             {INT64_MAX / 2 + 1, 1, false}};
	struct spooldir d;
	char sql[200], text[FULL_TEXT];

	(void)state;
	life_make(&d, 0, 10, 0);
	for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
		const uint64_t numbers[] = {(uint64_t)leads[i].first_id, (uint64_t)leads[i].lead_ms};

		(void)snprintf(sql, sizeof sql,
		               "DELETE FROM clock; INSERT INTO clock (first_id, lead_ms, checksum)"
		               " VALUES (%lld, %lld + 0, %lld)",
		               (long long)leads[i].first_id, (long long)leads[i].lead_ms,
		               (long long)sum_numbers(0, SUM_OF_LEAD, numbers, 2));
		full_change(d.path, sql);
		if (full_check(&d, false, text) != 1 || !strstr(text, leads[i].can_be ? OTHER_CLOCK : WRONG_CLOCK))
			fail_msg("%s: %s", sql, text);
	}
	spooldir_remove(&d);
}

/* Of a structure that is wrong in many places twenty lines are enough. */
static void a_structure_has_twenty_lines(void **state)
{
	static const char open_up[] = "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql,"
	                              " 'code TEXT%s', 'code TEXT%s') WHERE name = 'failures'";
	struct spooldir d;
	struct store *s = life_begin(&d);
	char sql[300], text[FULL_TEXT];
	size_t found = 0;

	(void)state;
	life_append(s, 0, FULL_MESSAGES);
	for (uint64_t id = 1; id <= 25; id++)
		full_group(s, &(struct store_settlement){.id = id, .kind = SETTLE_RETRY, .wait_ms = 9, .code = "X"});
	life_close(s);
	(void)snprintf(sql, sizeof sql, open_up, " NOT NULL", "");
	full_change(d.path, sql);
	full_change(d.path, "UPDATE failures SET code = NULL");
	(void)snprintf(sql, sizeof sql, open_up, "", " NOT NULL");
	full_change(d.path, sql);
	found = full_check(&d, false, text);
	assert_int_equal(found, 20 + 1);
	assert_non_null(strstr(text, "problem: failures: 25" MENDS));
	spooldir_remove(&d);
}

static sqlite3_mem_methods real;
static bool no_memory;

static void *take_memory(int bytes) { return no_memory ? NULL : real.xMalloc(bytes); }

/* A read that failed, and memory that was not there, when something else was looked at. */
static void leave_faults(void)
{
	struct spooldir other;
	char text[FULL_TEXT];

	life_make(&other, LIFE_OTHERS, 10, 0);
	for (uint64_t n = 1; n < 100 && vfs_fault() == 0; n++) {
		faultfs_arm(FAULTFS_READ, n, EIO, true);
		(void)full_check(&other, false, text);
	}
	assert_int_equal(vfs_fault(), EIO);
	faultfs_arm(0, 0, 0, false);
	spooldir_remove(&other);
	no_memory = true;
	assert_null(sqlite3_malloc(100));
	no_memory = false;
}

static bool pass(void *arg, const struct store_dead *dead)
{
	(void)arg, (void)dead;
	return true;
}

static bool show(void *arg, const struct store_peeked *message)
{
	(void)arg, (void)message;
	return true;
}

/* What went wrong before says nothing of this spool: it is as it is, and what is damaged is damaged. */
static void what_failed_before_is_forgotten(void **state)
{
	struct spooldir d, copy;
	char calm[2][FULL_TEXT], text[FULL_TEXT];
	struct store *s;
	struct error e;
	uint64_t problems[2];

	(void)state;
	spooldir_make(&copy);
	s = full_open(&d);
	assert_int_equal(store_export(s, copy.path, &e), ERR_OK);
	life_close(s);
	for (int harmed = 0; harmed < 2; harmed++) {
		for (int is_copy = 0; is_copy < 2; is_copy++) {
			problems[is_copy] = full_check(is_copy ? &copy : &d, is_copy, calm[is_copy]);
			assert_int_equal(problems[is_copy] > 0, harmed);
			leave_faults();
			assert_int_equal(full_check(is_copy ? &copy : &d, is_copy, text), problems[is_copy]);
			assert_string_equal(text, calm[is_copy]);
		}
		full_zero(d.path, "salvage");
		full_zero(copy.path, "salvage");
	}
	for (int harmed = 0; harmed < 2; harmed++) {
		const struct store_options o = {.path = d.path};
		struct store_report report;

		leave_faults();
		assert_int_equal(store_look(&o, &s, &report, &e), ERR_OK);
		assert_int_equal(store_dead_walk(s, 0, 100, pass, NULL, &e), harmed ? ERR_DAMAGED : ERR_OK);
		store_abandon(s);
		full_zero(d.path, "dead");
	}
	for (int harmed = 0; harmed < 2; harmed++) {
		for (int is_copy = 0; is_copy < 2; is_copy++) {
			leave_faults();
			assert_int_equal(store_peek(is_copy ? copy.path : d.path, is_copy, show, NULL, &e),
			                 harmed ? ERR_DAMAGED : ERR_OK);
		}
		full_zero(d.path, "blocks");
		full_zero(copy.path, "blocks");
	}
	spooldir_remove(&d);
	spooldir_remove(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_word_of_a_check_is_expected),
	    cmocka_unit_test(a_clock_says_what_can_be),
	    cmocka_unit_test(a_structure_has_twenty_lines),
	    cmocka_unit_test(what_failed_before_is_forgotten),
	};
	sqlite3_mem_methods ours;

	(void)sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
	ours = real;
	ours.xMalloc = take_memory;
	(void)sqlite3_config(SQLITE_CONFIG_MALLOC, &ours);

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
