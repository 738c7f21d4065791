/*
 * What comes back of a file that was set aside, row by row: one column of one of its rows is not what was written, and
 * what is then other than if it had been is said in full.
 */
#include "rig/rowharms.h"

#include "rig/faultfs.h"

static const struct row_harm harms[] = {
    {{"SELECT 1"},
     "+messages 1: T-1000 meta 0\n"
     "+messages 3: T-1000 meta 012\n"
     "+messages 4: T-1000 meta 0123\n"
     "+messages 5: T-1000 meta 0\n"
     "+messages 6: T-1000 meta 01\n"
     "+messages 7: T-1000 meta 012\n"
     "+messages 8: T-1000 meta 0123\n"
     "+messages 9: T-1000 meta 0\n"
     "+messages 12: T-1000 meta 0123\n"
     "+messages 13: T+4000 meta 0\n"
     "+messages 14: T+4000 meta 01\n"
     "+failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "+failures 14: 3 T+4000 T+9000 'Slow' ''\n"
     "+dead 10: T-1000 T+5000 2 'x' 'why' meta 01\n"
     "+positions 'file': '10'\n"
     "+positions 'other': '20'\n"
     "+cache 'c' one: T+500000\n"
     "+cache 'c' two: T+600000\n"
     "+imports first0000000000..64: 1 2 3\n"
     "+imports other0000000000..64: 4 5 6\n"
     "+clock 0: 0\n"
     "+clock 13: 5000\n"
     "+salvage 'bad:x': 6 7 0\n"
     "+salvage 'expected': 0 0 0\n"
     "+salvage 'known:.quarantine-20260101T000000Z-000:': 15 0 1\n"
     "+salvage 'pages:.quarantine-20250101T000000Z-000': 3 2 1\n"
     "+salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1\n"
     "+salvage 'part:x': 4 5 0\n"
     "+salvage 'size:.quarantine-20260101T000000Z-000:': as they are\n"
     "+salvage 'size:x': 8 9 1\n"
     "+losses 1: 1 11 11 T+5000\n"
     "+losses 4: 0 0 0 T+9000\n"
     "+ledger.next_id: 15\n"
     "+ledger.accepted: 14\n"
     "+ledger.delivered: 1\n"
     "+ledger.pending: 11\n"
     "+ledger.dead: 1\n"
     "+ledger.damaged: 1\n"
     "+ledger.pending_bytes: 70\n"
     "+ledger.clock_ms: T+4000\n"
     "+ledger.clock_offset: T-5000\n"
     "+ledger.commits: 13\n"
     "+ledger.blocks_from: 1\n"
     "+ledger.rows_from: 1\n"
     "+tide.positions: 2\n"
     "+tide.keys: 2\n"
     "+tide.imports: 2\n"
     "+tide.left: 5\n"
     "+tide.clock: T+4000\n"
     "+tide.offset: T-5000\n"
     "+tide.has the clock's row: 1\n"
     "+state.retrying: 2\n"
     "+state.oldest: T+4000\n"
     "+state.next_retry: T+9000\n"
     "+state.checkpoints: 1\n"
     "+state.aside: 1\n"
     "+state.untold: 1\n"
     "+state.mend: 1\n"
     "+state.failures_max_id: 14\n"
     "+state.left: 5\n"
     "+state.left synced: 12\n"
     "+state.left whole from: 1\n"
     "+state.left knows: 11\n"
     "+state.last_commits: 11\n"
     "+lead from 0: 0\n"
     "+lead from 13: 5000\n"
     "+left: 2\n"},
    {{"UPDATE messages SET received_ms = received_ms + 1 WHERE id = 13"},
     "-messages 13: T+4000 meta 0\n"
     "-failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 1: 1 11 11 T+5000 > 2 11 13 T+5000\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "state.retrying: 2 > 1\n"
     "state.untold: 1 > 2\n"
     "+damaged 13: T+9000 T+4001 meta 0\n"},
    {{"UPDATE messages SET checksum = checksum + 1 WHERE id = 13"},
     "-messages 13: T+4000 meta 0\n"
     "-failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 1: 1 11 11 T+5000 > 2 11 13 T+5000\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "state.retrying: 2 > 1\n"
     "state.untold: 1 > 2\n"
     "+damaged 13: T+9000 T+4000 meta 0\n"},
    {{"UPDATE messages SET checksum = checksum + 4294967296 WHERE id = 13"},
     "-messages 13: T+4000 meta 0\n"
     "-failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 4: 0 0 0 T+9000 > 1 0 0 T+9000\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "state.retrying: 2 > 1\n"
     "state.untold: 1 > 2\n"},
    {{"UPDATE messages SET meta = x'01' WHERE id = 13"},
     "-messages 13: T+4000 meta 0\n"
     "-failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 1: 1 11 11 T+5000 > 2 11 13 T+5000\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "state.retrying: 2 > 1\n"
     "state.untold: 1 > 2\n"
     "+damaged 13: T+9000 T+4000 01 0\n"},
    {{"UPDATE messages SET body = x'01' WHERE id = 13"},
     "-messages 13: T+4000 meta 0\n"
     "-failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 1: 1 11 11 T+5000 > 2 11 13 T+5000\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "state.retrying: 2 > 1\n"
     "state.untold: 1 > 2\n"
     "+damaged 13: T+9000 T+4000 meta 01\n"},
    {{"UPDATE messages SET id = 99, body = x'01' WHERE id = 13",
      "UPDATE messages SET id = 2, body = x'01' WHERE id = 13",
      "UPDATE messages SET id = 3, body = x'01' WHERE id = 13"},
     "-messages 13: T+4000 meta 0\n"
     "-failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 4: 0 0 0 T+9000 > 1 0 0 T+9000\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "state.retrying: 2 > 1\n"
     "state.untold: 1 > 2\n"},
    {{"UPDATE blocks SET count = count + 1 WHERE id = 5", "UPDATE blocks SET checksum = checksum + 1 WHERE id = 5"},
     ""},
    {{"UPDATE blocks SET body = zeroblob(20) WHERE id = 5"},
     "-messages 5: T-1000 meta 0\n"
     "-messages 6: T-1000 meta 01\n"
     "-messages 7: T-1000 meta 012\n"
     "-messages 8: T-1000 meta 0123\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 8 1\n"
     "losses 1: 1 11 11 T+5000 > 3 5 11 T+5000\n"
     "losses 4: 0 0 0 T+9000 > 2 0 0 T+9000\n"
     "ledger.pending: 11 > 7\n"
     "ledger.damaged: 1 > 5\n"
     "ledger.pending_bytes: 70 > 44\n"
     "state.untold: 1 > 5\n"
     "+damaged 5: T+9000 0 - \n"
     "+damaged 6: T+9000 0 - \n"},
    {{"DELETE FROM blocks WHERE id = 5"},
     "-messages 5: T-1000 meta 0\n"
     "-messages 6: T-1000 meta 01\n"
     "-messages 7: T-1000 meta 012\n"
     "-messages 8: T-1000 meta 0123\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 8 1\n"
     "losses 4: 0 0 0 T+9000 > 4 0 0 T+9000\n"
     "ledger.pending: 11 > 7\n"
     "ledger.damaged: 1 > 5\n"
     "ledger.pending_bytes: 70 > 44\n"
     "state.untold: 1 > 5\n"},
    {{"UPDATE partial SET settled = settled + 1 WHERE block_id = 1"},
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 13 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "tide.left: 5 > 13\n"
     "state.left: 5 > 13\n"
     "left: 2 > \n"
     "+messages 2: T-1000 meta 01\n"
     "+salvage 'left': 13 0 0\n"
     "+ledger.possible: 2\n"
     "+tide.possible: 2\n"
     "+state.left took back: 13\n"},
    {{"UPDATE partial SET bytes = bytes + 1 WHERE block_id = 1",
      "UPDATE partial SET bitmap = zeroblob(64) WHERE block_id = 1",
      "UPDATE partial SET bitmap = zeroblob(63) WHERE block_id = 1"},
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 13 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "tide.left: 5 > 13\n"
     "state.left: 5 > 13\n"
     "left: 2 > \n"
     "+messages 2: T-1000 meta 01\n"
     "+salvage 'left': 13 0 0\n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"
     "+state.left took back: 13\n"},
    {{"UPDATE partial SET settled = 600 WHERE block_id = 1"},
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 13 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "tide.left: 5 > 13\n"
     "state.left: 5 > 13\n"
     "left: 2 > \n"
     "+messages 2: T-1000 meta 01\n"
     "+salvage 'left': 13 0 0\n"
     "+ledger.possible: 512\n"
     "+tide.possible: 512\n"
     "+state.left took back: 13\n"},
    {{"DELETE FROM partial WHERE block_id = 1"},
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 13 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "tide.left: 5 > 13\n"
     "state.left: 5 > 13\n"
     "left: 2 > \n"
     "+messages 2: T-1000 meta 01\n"
     "+salvage 'left': 13 0 0\n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"
     "+state.left took back: 13\n"},
    {{"UPDATE failures SET attempts = 5 WHERE id = 13", "UPDATE failures SET next_ms = 5 WHERE id = 13",
      "UPDATE failures SET first_ms = 5 WHERE id = 13", "UPDATE failures SET code = 'y' WHERE id = 13",
      "UPDATE failures SET reason = 'y' WHERE id = 13", "UPDATE failures SET checksum = checksum + 1 WHERE id = 13"},
     "-failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "state.retrying: 2 > 1\n"},
    {{"UPDATE dead SET received_ms = received_ms + 1"},
     "-dead 10: T-1000 T+5000 2 'x' 'why' meta 01\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 1: 1 11 11 T+5000 > 2 10 11 T+5000\n"
     "-ledger.dead: 1\n"
     "ledger.damaged: 1 > 2\n"
     "state.untold: 1 > 2\n"
     "+damaged 10: T+9000 T-999 meta 01\n"},
    {{"UPDATE dead SET checksum = checksum + 1"},
     "-dead 10: T-1000 T+5000 2 'x' 'why' meta 01\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 1: 1 11 11 T+5000 > 2 10 11 T+5000\n"
     "-ledger.dead: 1\n"
     "ledger.damaged: 1 > 2\n"
     "state.untold: 1 > 2\n"
     "+damaged 10: T+9000 T-1000 meta 01\n"},
    {{"UPDATE dead SET died_ms = died_ms + 1"},
     "dead 10: T-1000 T+5000 2 'x' 'why' meta 01 > T-1000 T+5001 0 'damaged_note' 'why it was set aside, and after how "
     "many attempts, is not what was written' meta 01\n"},
    {{"UPDATE dead SET attempts = 5", "UPDATE dead SET code = 'y'", "UPDATE dead SET reason = 'y'"},
     "dead 10: T-1000 T+5000 2 'x' 'why' meta 01 > T-1000 T+5000 0 'damaged_note' 'why it was set aside, and after how "
     "many attempts, is not what was written' meta 01\n"},
    {{"UPDATE dead SET body = x'01'"},
     "-dead 10: T-1000 T+5000 2 'x' 'why' meta 01\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 1: 1 11 11 T+5000 > 2 10 11 T+5000\n"
     "-ledger.dead: 1\n"
     "ledger.damaged: 1 > 2\n"
     "state.untold: 1 > 2\n"
     "+damaged 10: T+9000 T-1000 meta 01\n"},
    {{"UPDATE dead SET note_checksum = note_checksum + 1"},
     "dead 10: T-1000 T+5000 2 'x' 'why' meta 01 > T-1000 T+5000 0 'damaged_note' 'why it was set aside, and after how "
     "many attempts, is not what was written' meta 01\n"},
    {{"UPDATE positions SET value = '11' WHERE key = 'file'"}, "positions 'file': '10' > '11'\n"},
    {{"UPDATE positions SET checksum = checksum + 1 WHERE key = 'file'"},
     "1 positions of inputs are not those that were written last: what they are of is read on from where they say, and "
     "counted as possible duplicates\n"
     "ledger.commits: 13 > 14\n"},
    {{"DELETE FROM positions WHERE key = 'file'"},
     "1 positions of inputs are not those that were written last: what they are of is read on from where they say, and "
     "counted as possible duplicates; 1 positions of inputs are gone: what they are of is read again from its start, "
     "and counted as possible duplicates\n"
     "-positions 'file': '10'\n"
     "ledger.commits: 13 > 14\n"
     "+state.positions gone: 1\n"},
    {{"UPDATE cache SET cache = 'd' WHERE key = x'6f6e65'", "UPDATE cache SET key = x'6f6e66' WHERE key = x'6f6e65'",
      "UPDATE cache SET expires_ms = expires_ms + 1 WHERE key = x'6f6e65'",
      "UPDATE cache SET checksum = checksum + 1 WHERE key = x'6f6e65'"},
     "-cache 'c' one: T+500000\n"
     "tide.keys: 2 > 1\n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"},
    {{"UPDATE imports SET copy = CAST('third' || zeroblob(59) AS BLOB) WHERE messages = 2",
      "UPDATE imports SET imported_ms = 9 WHERE messages = 2", "UPDATE imports SET messages = 9 WHERE messages = 2",
      "UPDATE imports SET first_id = 9 WHERE messages = 2",
      "UPDATE imports SET checksum = checksum + 1 WHERE messages = 2"},
     "2 notes of copies that were taken in, or of what was put back from the shelf, are not those that were written "
     "last: what is taken in from a copy from now on may have been before, and counts as possible duplicates\n"
     "-imports first0000000000..64: 1 2 3\n"
     "ledger.commits: 13 > 14\n"
     "+imports : 0 0 0\n"},
    {{"UPDATE salvage SET path = 'pages:x' WHERE path LIKE 'pages:.%'",
      "UPDATE salvage SET after_id = 9 WHERE path LIKE 'pages:.%'",
      "UPDATE salvage SET salvaged = 9 WHERE path LIKE 'pages:.%'",
      "UPDATE salvage SET done = 0 WHERE path LIKE 'pages:.%'",
      "UPDATE salvage SET checksum = checksum + 1 WHERE path LIKE 'pages:.%'"},
     "-salvage 'pages:.quarantine-20250101T000000Z-000': 3 2 1\n"},
    {{"UPDATE clock SET lead_ms = 7 WHERE first_id = 13", "UPDATE clock SET first_id = 12 WHERE first_id = 13",
      "UPDATE clock SET checksum = checksum + 1 WHERE first_id = 13"},
     "rows of the clock did not come back: no message that waits now is too old\n"
     "clock 0: 0 > -9223372036854775808\n"
     "-clock 13: 5000\n"
     "ledger.commits: 13 > 14\n"
     "state.oldest: T+4000 > T+9000\n"
     "lead from 0: 0 > -9223372036854775808\n"
     "-lead from 13: 5000\n"},
    {{"UPDATE losses SET messages = 9", "UPDATE losses SET first_id = 9", "UPDATE losses SET last_id = 19",
      "UPDATE losses SET since_ms = 9", "UPDATE losses SET checksum = checksum + 1"},
     "-losses 1: 1 11 11 T+5000\n"},
    {{"UPDATE damaged SET body = x'01'", "DELETE FROM damaged"}, ""},
    {{"UPDATE ledger SET checksum = checksum + 1", "UPDATE ledger SET checksum = checksum + 1, damaged = 0",
      "UPDATE ledger SET spool_low = spool_low + 1", "DELETE FROM ledger"},
     "the database was gone: the tide mark had counted 12 more that waited\n"
     "-losses 4: 0 0 0 T+9000\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 1\n"
     "+losses 3: 0 1 14 T+9000\n"},
    {{"DELETE FROM messages WHERE id = 13"},
     "-messages 13: T+4000 meta 0\n"
     "-failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 4: 0 0 0 T+9000 > 1 0 0 T+9000\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "state.retrying: 2 > 1\n"
     "state.untold: 1 > 2\n"},
    {{"DELETE FROM failures WHERE id = 13"},
     "-failures 13: 3 T+4000 T+9000 'Slow' ''\n"
     "state.retrying: 2 > 1\n"},
    {{"DELETE FROM dead"},
     "-dead 10: T-1000 T+5000 2 'x' 'why' meta 01\n"
     "salvage 'pages:.quarantine-20260101T000000Z-000': 17 12 1 > 17 11 1\n"
     "losses 4: 0 0 0 T+9000 > 1 0 0 T+9000\n"
     "-ledger.dead: 1\n"
     "ledger.damaged: 1 > 2\n"
     "state.untold: 1 > 2\n"},
    {{"DELETE FROM losses"}, "-losses 1: 1 11 11 T+5000\n"},
    {{"DELETE FROM cache"},
     "2 dedupe keys are gone: what they kept back may be sent, and is counted as possible duplicates\n"
     "-cache 'c' one: T+500000\n"
     "-cache 'c' two: T+600000\n"
     "ledger.commits: 13 > 14\n"
     "-tide.keys: 2\n"
     "+salvage 'keys': 14 0 0\n"
     "+ledger.possible: 2\n"
     "+tide.possible: 2\n"},
    {{"DELETE FROM positions"},
     "2 positions of inputs are gone: what they are of is read again from its start, and counted as possible "
     "duplicates\n"
     "-positions 'file': '10'\n"
     "-positions 'other': '20'\n"
     "ledger.commits: 13 > 14\n"
     "+state.positions gone: 2\n"},
    {{"DELETE FROM imports"},
     "2 notes of copies that were taken in, or of what was put back from the shelf, are gone: what is taken in from a "
     "copy from now on may have been before, and counts as possible duplicates\n"
     "-imports first0000000000..64: 1 2 3\n"
     "-imports other0000000000..64: 4 5 6\n"
     "ledger.commits: 13 > 14\n"
     "tide.imports: 2 > 1\n"
     "+imports : 0 0 0\n"},
    {{"DELETE FROM salvage"},
     "-salvage 'bad:x': 6 7 0\n"
     "-salvage 'pages:.quarantine-20250101T000000Z-000': 3 2 1\n"
     "-salvage 'part:x': 4 5 0\n"
     "-salvage 'size:x': 8 9 1\n"},
    {{"DELETE FROM clock WHERE first_id = 13", "DELETE FROM clock"},
     "rows of the clock did not come back: no message that waits now is too old\n"
     "clock 0: 0 > -9223372036854775808\n"
     "-clock 13: 5000\n"
     "ledger.commits: 13 > 14\n"
     "state.oldest: T+4000 > T+9000\n"
     "lead from 0: 0 > -9223372036854775808\n"
     "-lead from 13: 5000\n"},
};

static void each_row_that_comes_back(void **state)
{
	(void)state;
	rows_expect(harms, sizeof harms / sizeof *harms, true);
}

/* A start that could not read the file knows of that row still when one comes that can. */
static void a_row_of_the_clock_is_missed_later(void **state)
{
	(void)state;
	for (int is_gone = 0; is_gone < 2; is_gone++) {
		struct store_report report;
		struct spooldir d;
		char path[400], text[4096];

		set_clocks(5000, NOW_MS);
		rows_fill(&d);
		rows_change(&d, is_gone ? "DELETE FROM clock WHERE first_id = 13" : "SELECT 1");
		(void)snprintf(path, sizeof path, "%s%s", d.path, rows_aside);
		assert_int_equal(rename(d.path, path), 0);
		faultfs_dead(rows_aside, 0, 1 << 20);
		for (int start = 0; start < 2; start++) {
			life_close(life_open(&d, &report));
			assert_non_null(strstr(report.warning, "cannot be read back"));
			assert_null(strstr(report.warning, "clock"));
		}
		faultfs_dead(NULL, 0, 0);
		life_close(life_open(&d, &report));
		assert_int_equal(strstr(report.warning, "rows of the clock did not come back") != NULL, is_gone);
		assert_int_equal(life_problems(&d, text, sizeof text), 1);
		assert_non_null(strstr(text, "1 messages are damaged"));
		life_close(life_open(&d, &report));
		assert_string_equal(report.warning, "");
		clock_test_end();
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_row_that_comes_back),
	    cmocka_unit_test(a_row_of_the_clock_is_missed_later),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
