/*
 * What repair says, word for word, of a spool in which one thing is not what it was, and what it makes of it: check
 * finds nothing afterwards, or repair said what is left; once more it has nothing to do and nothing to tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "rig/faultfs.h"
#include "rig/fullspool.h"
#include "store/store_internal.h"

#define ZERO "ZERO "         /* not a statement: the page where that begins */
#define EXCHANGE "EXCHANGE " /* likewise: the first two rows there */
#define NONE "rows: 0 with a wrong checksum moved to `damaged`, 0 counted as missing, 0 salvaged\n"
#define ASIDE ".quarantine-20260101T000000Z-000"

static enum err repair(const struct spooldir *d, const struct store_repair *how, char text[FULL_TEXT])
{
	struct error e = {.text = ""};
	struct buf out;
	enum err err;

	buf_init(&out, 1 << 20);
	err = store_repair(d->path, how, &out, &e);
	if (err != ERR_OK)
		assert_int_equal(buf_addf(&out, "error %s: %s\n", error_name(err), e.text), ERR_OK);
	full_words(d->path, (const char *)out.data, out.len, text);
	full_mask(text, ".quarantine-", ": \n;,");
	full_mask(text, " (PATH: *** ", ";\n");                   /* SQLite's own words */
	for (char *at = text; (at = strstr(at, " pages ")); at++) /* how many is SQLite's doing */
		while (at > text && isdigit((unsigned char)at[-1]))
			*--at = '#';
	buf_fini(&out);
	return err;
}

/* accepted, delivered, pending, dead, damaged; possible duplicates; positions, keys, notes of copies. */
static void tell_counts(const struct spooldir *d, char text[FULL_TEXT])
{
	struct store *s = life_open(d, NULL);
	const struct store_ledger *l = store_ledger(s);

	(void)snprintf(text, FULL_TEXT, "%d = %d + %d + %d + %d, %d; %d %d %d", (int)l->accepted, (int)l->delivered,
	               (int)l->pending, (int)l->dead, (int)l->damaged, (int)store_possible_duplicates(s),
	               (int)life_number(s, "SELECT count(*) FROM positions"),
	               (int)life_number(s, "SELECT count(*) FROM cache"),
	               (int)life_number(s, "SELECT count(*) FROM imports"));
	life_close(s);
}

static const struct {
	const char *name, *sql;
	const char *says, *again, *counts;
} cases[] = {
    {"whole", "SELECT 1", NONE, NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no schema", "PRAGMA user_version = 0",
     "opened: the database was damaged and moved to PATH.quarantine-* (its head or its ledger is not what was "
     "written)\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"an index more", "CREATE INDEX more ON dead (attempts); UPDATE positions SET value = '9'",
     "error ENVIRONMENT: spool PATH: PATH holds the index more, which kspool did not make; drop it: sqlite3 PATH 'DROP "
     "index more'\n",
     "error ENVIRONMENT: spool PATH: PATH holds the index more, which kspool did not make; drop it: sqlite3 PATH 'DROP "
     "index more'\n",
     ""},
    {"a failure", "UPDATE failures SET attempts = 9 WHERE id = 5",
     "opened: of 1 messages the attempts were damaged: they are sent at once, as if anew\n" NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"why one is dead", "UPDATE dead SET reason = 'x' WHERE id = 7",
     "shelf: of 1 messages it is forgotten why they were set aside\n" NONE, NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the dead themselves", "UPDATE dead SET body = x'00'",
     "rows: 2 with a wrong checksum moved to `damaged`, 0 counted as missing, 0 salvaged\n"
     "told: 2 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 2 messages, ids 7 to 8, since *Z: what stands in their place is not what was written, and is kept in "
     "the table `damaged`\n",
     NONE, "35 = 1 + 32 + 0 + 2, 0; 2 2 2"},
    {"a mark", "UPDATE partial SET bitmap = x'ffff' WHERE block_id = 11",
     "opened: what left 1 blocks was damaged and is forgotten; 1 messages that had left stand here again, and may be "
     "sent again: possible duplicates\n" NONE,
     NONE, "35 = 0 + 33 + 2 + 0, 1; 2 2 2"},
    {"a mark is gone", "DELETE FROM partial WHERE block_id = 11",
     "opened: 1 messages that had left stand here again, and may be sent again: possible duplicates\n" NONE, NONE,
     "35 = 0 + 33 + 2 + 0, 1; 2 2 2"},
    {"a position", "UPDATE positions SET value = '9' WHERE key = 'file'",
     "opened: 1 positions of inputs are damaged: what they are of is read again from its start\n"
     "rows beside the messages: 1 positions of inputs are damaged: what they are of is read again from its start\n"
     "positions: 1 are forgotten: what they are of is read again from its start, and counted as possible "
     "duplicates\n" NONE,
     NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a key", "UPDATE cache SET expires_ms = 9 WHERE key = CAST('one' AS BLOB)",
     "opened: 1 dedupe keys were damaged and are forgotten: what they kept back may be sent\n" NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 1; 2 1 2"},
    {"a note of what is read back", "INSERT INTO salvage VALUES ('p', 3, 2, 1, 77)", NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a loss", "INSERT INTO losses VALUES (2, 1, 1, 4, 5, 77)",
     "opened: 1 rows that say why messages are damaged were not what was written\n" NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a note of a copy", "UPDATE imports SET messages = 9 WHERE messages = 5",
     "imports: of 1 copies it is forgotten that they were taken in: what is taken in from now on is counted as "
     "possible duplicates\n" NONE,
     NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a position is gone", "DELETE FROM positions WHERE key = 'file'",
     "opened: 1 positions of inputs are not those that were written last: what they are of is read on from where they "
     "say, and counted as possible duplicates; 1 positions of inputs are gone: what they are of is read again from its "
     "start, and counted as possible duplicates\n"
     "positions: 1 are gone: what they are of is read again from its start, and counted as possible duplicates; noted "
     "that you know\n" NONE,
     NONE, "35 = 1 + 32 + 2 + 0, 0; 1 2 2"},
    {"positions are gone", "DELETE FROM positions",
     "opened: 2 positions of inputs are gone: what they are of is read again from its start, and counted as possible "
     "duplicates\n"
     "positions: 2 are gone: what they are of is read again from its start, and counted as possible duplicates; noted "
     "that you know\n" NONE,
     NONE, "35 = 1 + 32 + 2 + 0, 0; 0 2 2"},
    {"a note of a copy is gone", "DELETE FROM imports WHERE messages = 5",
     "opened: 1 notes of copies that were taken in, or of what was put back from the shelf, are gone: what is taken in "
     "from a copy from now on may have been "
     "before, and counts as possible duplicates\n" NONE,
     NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"notes of copies are gone", "DELETE FROM imports",
     "opened: 2 notes of copies that were taken in, or of what was put back from the shelf, are gone: what is taken in "
     "from a copy from now on may have been "
     "before, and counts as possible duplicates\n" NONE,
     NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 1"},
    {"a key is gone", "DELETE FROM cache WHERE key = CAST('one' AS BLOB)",
     "opened: 1 dedupe keys are gone: what they kept back may be sent, and is counted as possible duplicates\n" NONE,
     NONE, "35 = 1 + 32 + 2 + 0, 1; 2 1 2"},
    {"keys are gone", "DELETE FROM cache",
     "opened: 2 dedupe keys are gone: what they kept back may be sent, and is counted as possible duplicates\n" NONE,
     NONE, "35 = 1 + 32 + 2 + 0, 2; 2 0 2"},
    {"the clock", "UPDATE clock SET lead_ms = lead_ms + 1 WHERE first_id = (SELECT max(first_id) FROM clock)",
     "opened: a row of the clock was damaged: no message that waits now is too old\n" NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"one that stands in its block too",
     "INSERT INTO messages SELECT 1, received_ms, checksum, meta, body FROM messages WHERE id = 5",
     "opened: 1 rows of what had left stood there again, from an old page: taken away\n" NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the clock is gone", "DELETE FROM clock",
     "opened: a row of the clock was damaged: no message that waits now is too old\n" NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"an id below all", "INSERT INTO messages SELECT 0, received_ms, checksum, meta, body FROM messages WHERE id = 5",
     "opened: 1 rows of what had left stood there again, from an old page: taken away\n" NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a block below all",
     "INSERT INTO blocks SELECT -3, count, bytes, codec, checksum, first_ms, last_ms, data_key, route, class, origin, "
     "origin_id, body FROM blocks WHERE id = 21",
     "opened: 1 rows of what had left stood there again, from an old page: taken away\n" NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a block of nothing", "UPDATE blocks SET count = 0 WHERE id = 21", NONE, NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a block of too many", "UPDATE blocks SET count = 513 WHERE id = 21", NONE, NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a block with a key", "UPDATE blocks SET data_key = 1 WHERE id = 21",
     "blocks: 1 said what no kspool has written yet: cleared\n" NONE, NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a block with an origin", "UPDATE blocks SET origin_id = 1 WHERE id = 21",
     "blocks: 1 said what no kspool has written yet: cleared\n" NONE, NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"a block's codec", "UPDATE blocks SET codec = 7 WHERE id = 21",
     "rows: 10 with a wrong checksum moved to `damaged`, 0 counted as missing, 0 salvaged\n"
     "told: 10 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 10 messages, ids 21 to 30, since *Z: what stands in their place is not what was written, and is kept in "
     "the table `damaged`\n",
     NONE, "35 = 1 + 22 + 2 + 10, 0; 2 2 2"},
    {"sums of blocks", "UPDATE blocks SET checksum = checksum + 1 WHERE id IN (11, 21)", NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"one alone", "UPDATE messages SET body = x'00' WHERE id = 6",
     "rows: 1 with a wrong checksum moved to `damaged`, 0 counted as missing, 0 salvaged\n"
     "told: 1 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 1 messages, ids 6 to 6, since *Z: what stands in their place is not what was written, and is kept in "
     "the table `damaged`\n",
     NONE, "35 = 1 + 31 + 2 + 1, 0; 2 2 2"},
    {"one alone is gone", "DELETE FROM messages WHERE id = 6",
     "opened: 1 messages of the ledger have no row\n" NONE
     "told: 1 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 1 messages, since *Z: the ledger counted them, and no table has them\n",
     NONE, "35 = 1 + 31 + 2 + 1, 0; 2 2 2"},
    {"a block is gone", "DELETE FROM blocks WHERE id = 21",
     "opened: 10 messages of the ledger have no row\n" NONE
     "told: 10 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 10 messages, since *Z: the ledger counted them, and no table has them\n",
     NONE, "35 = 1 + 22 + 2 + 10, 0; 2 2 2"},
    {"one of the dead is gone", "DELETE FROM dead WHERE id = 8",
     "opened: 1 messages of the ledger have no row\n" NONE
     "told: 1 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 1 messages, since *Z: the ledger counted them, and no table has them\n",
     NONE, "35 = 1 + 32 + 1 + 1, 0; 2 2 2"},
    {"the ledger", "UPDATE ledger SET delivered = delivered + 1, accepted = accepted + 1",
     "opened: the ledger row was damaged and was counted anew\n" NONE, NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the ledger is gone", "DELETE FROM ledger", "opened: the ledger row was damaged and was counted anew\n" NONE, NONE,
     "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"damaged ones that no ledger counts",
     "INSERT INTO damaged VALUES (1000, 5, 5, 5, NULL, x'00'), (1001, 5, 5, 5, NULL, x'00'), (1002, 5, NULL, NULL, "
     "NULL, NULL)",
     "opened: the ledger's next id was behind the rows; the database was damaged and moved to PATH.quarantine-* (PATH: "
     "table `damaged` has rows that nobody counted)\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"damaged ones of which nothing is kept", "INSERT INTO damaged VALUES (1000, 5, NULL, NULL, NULL, NULL)",
     "opened: the ledger's next id was behind the rows; the database was damaged and moved to PATH.quarantine-* (PATH: "
     "table `damaged` has rows that nobody counted)\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no table of the dead", "DROP TABLE dead",
     "opened: the database was damaged and moved to PATH.quarantine-* (spool PATH: PATH: the definition of dead is not "
     "what was written)\n"
     "set aside: PATH.quarantine-*: read to its end, 32 messages came back\n" NONE
     "told: 2 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 2 messages, since *Z: they waited in a file that was set aside, and did not come back\n",
     "set aside: PATH.quarantine-*: read to its end, 32 messages came back\n" NONE, "35 = 1 + 32 + 0 + 2, 0; 2 2 2"},
    {"no clock", "DROP TABLE clock",
     "opened: the database was damaged and moved to PATH.quarantine-* (spool PATH: PATH: the definition of clock is "
     "not what was written)\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no blocks", "DROP TABLE blocks",
     "opened: the database was damaged and moved to PATH.quarantine-* (spool PATH: PATH: the definition of blocks is "
     "not what was written)\n"
     "set aside: PATH.quarantine-*: read to its end, 4 messages came back\n" NONE
     "told: 30 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 30 messages, since *Z: they waited in a file that was set aside, and did not come back\n",
     "set aside: PATH.quarantine-*: read to its end, 4 messages came back\n" NONE, "35 = 1 + 2 + 2 + 30, 0; 2 2 2"},
    {"no messages", "DROP TABLE messages",
     "opened: the database was damaged and moved to PATH.quarantine-* (spool PATH: PATH: the definition of messages is "
     "not what was written)\n"
     "set aside: PATH.quarantine-*: read to its end, 32 messages came back\n" NONE
     "told: 2 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 2 messages, since *Z: they waited in a file that was set aside, and did not come back\n",
     "set aside: PATH.quarantine-*: read to its end, 32 messages came back\n" NONE, "35 = 1 + 30 + 2 + 2, 0; 2 2 2"},
    {"no notes of what is read back", "DROP TABLE salvage",
     "opened: the database was damaged and moved to PATH.quarantine-* (spool PATH: PATH: the definition of salvage is "
     "not what was written)\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no damaged ones", "DROP TABLE damaged",
     "opened: the database was damaged and moved to PATH.quarantine-* (spool PATH: PATH: the definition of damaged is "
     "not what was written)\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of messages", "ZERO messages",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of failures", "ZERO failures",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of failures_next", "ZERO failures_next",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of dead", "ZERO dead",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 32 messages came back\n" NONE
     "told: 2 messages are damaged, which nobody had confirmed; noted that you know\n"
     "damaged: 2 messages, since *Z: they waited in a file that was set aside, and did not come back\n",
     "set aside: PATH.quarantine-*: read to its end, 32 messages came back\n" NONE, "35 = 1 + 32 + 0 + 2, 0; 2 2 2"},
    {"no page of damaged", "ZERO damaged",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of positions", "ZERO positions",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *; 2 positions of inputs are gone: "
     "what they are "
     "of is read again from its start, and counted as possible duplicates\n"
     "positions: 2 are gone: what they are of is read again from its start, and counted as possible duplicates; noted "
     "that you know\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 0 2 2"},
    {"no page of cache", "ZERO cache",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *; 2 dedupe keys are gone: what they "
     "kept back may "
     "be sent, and is counted as possible duplicates\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 2; 2 0 2"},
    {"no page of cache_expires", "ZERO cache_expires",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of ledger", "ZERO ledger",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *; the database was gone: the tide "
     "mark had "
     "counted 34 more that waited\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of salvage", "ZERO salvage",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of blocks", "ZERO blocks",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of partial", "ZERO partial",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 35 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 35 messages came back\n" NONE, "35 = 0 + 33 + 2 + 0, 1; 2 2 2"},
    {"no page of clock", "ZERO clock",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"no page of imports", "ZERO imports",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *; 2 notes of copies that were taken "
     "in, or of "
     "what was put back from the shelf, are gone: "
     "what is taken in from a copy from now on may have been before, and counts as possible duplicates\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 1"},
    {"no page of losses", "ZERO losses",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the order of positions", EXCHANGE "positions",
     NONE "structure: the database was damaged and moved to PATH.quarantine-* (PATH: row not in PRIMARY KEY order for "
          "positions)\n"
          "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the order of cache", EXCHANGE "cache",
     NONE "structure: the database was damaged and moved to PATH.quarantine-* (PATH: row not in PRIMARY KEY order for "
          "cache)\n"
          "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the order of imports", EXCHANGE "imports",
     NONE "structure: the database was damaged and moved to PATH.quarantine-* (PATH: row not in PRIMARY KEY order for "
          "imports)\n"
          "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the order of failures_next", EXCHANGE "failures_next",
     "opened: the index of retry times was damaged and was made anew\n" NONE, NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the order of cache_expires", EXCHANGE "cache_expires",
     "opened: the index of dedupe keys was damaged and was made anew\n" NONE, NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the order of failures", EXCHANGE "failures",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the order of dead", EXCHANGE "dead",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
    {"the order of blocks", EXCHANGE "blocks",
     "opened: the database was damaged and moved to PATH.quarantine-* (PATH: *** *\n"
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE,
     "set aside: PATH.quarantine-*: read to its end, 34 messages came back\n" NONE, "35 = 1 + 32 + 2 + 0, 0; 2 2 2"},
};

static void each_word_of_a_repair_is_expected(void **state)
{
	struct spooldir d;
	int wrong = 0;

	(void)state;
	life_close(full_open(&d));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir harmed;
		char says[FULL_TEXT], again[FULL_TEXT], left[FULL_TEXT], counts[FULL_TEXT] = "";
		enum err err;

		spooldir_make(&harmed);
		spooldir_copy(&d, &harmed);
		life_bring(&d, ".left", &harmed);
		if (strncmp(cases[i].sql, ZERO, strlen(ZERO)) == 0)
			full_zero(harmed.path, cases[i].sql + strlen(ZERO));
		else if (strncmp(cases[i].sql, EXCHANGE, strlen(EXCHANGE)) == 0)
			full_exchange(harmed.path, cases[i].sql + strlen(EXCHANGE));
		else
			full_change(harmed.path, cases[i].sql);
		err = repair(&harmed, &(struct store_repair){0}, says);
		if ((full_check(&harmed, false, left) > 0) != (err != ERR_OK))
			fail_msg("%s: %s, and then: %s", cases[i].name, says, left);
		if (repair(&harmed, &(struct store_repair){0}, again) != err)
			fail_msg("%s: %s, and then: %s", cases[i].name, says, again);
		if (err == ERR_OK)
			tell_counts(&harmed, counts);
		if (strcmp(says, cases[i].says) != 0 || strcmp(again, cases[i].again) != 0 ||
		    strcmp(counts, cases[i].counts) != 0) {
			(void)fprintf(stderr, "%s:\n%s\nagain: %s\n%s\n", cases[i].name, says, again, counts);
			wrong++;
		}
		spooldir_remove(&harmed);
	}
	assert_int_equal(wrong, 0);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_word_of_a_repair_is_expected),
	};

	faultfs_skip_syncs();
	(void)clock_test_stop(); /* it says how much a start reads back: all there is */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
