/*
 * What a start makes of its own rows, one by one: a column of one of them is not what was written, and what is then
 * other than if it had been is said in full.
 */
#include "rig/rowharms.h"

#include "rig/faultfs.h"

static const struct row_harm harms[] = {
    {{"SELECT 1"},
     "+messages 13: T+4000 meta 0\n"
     "+messages 14: T+4000 meta 01\n"
     "+blocks 1: 4 26 0 T-1000 T-1000\n"
     "+blocks 5: 4 26 0 T-1000 T-1000\n"
     "+blocks 9: 4 26 0 T-1000 T-1000\n"
     "+partial 1: 1 6 1\n"
     "+partial 9: 2 13 1-2\n"
     "+failures 13: 3 T+70000 T+5000 'Slow' ''\n"
     "+failures 14: 3 T+70000 T+5000 'Slow' ''\n"
     "+dead 10: T-1000 T+5000 2 'x' 'why' meta 01\n"
     "+damaged 11: T+5000 T-1000 meta 012\n"
     "+positions 'file': '10'\n"
     "+positions 'other': '20'\n"
     "+cache 'c' one: T+500000\n"
     "+cache 'c' two: T+600000\n"
     "+imports first0000000000..64: 1 2 3\n"
     "+imports other0000000000..64: 4 5 6\n"
     "+clock 0: 0\n"
     "+clock 13: 5000\n"
     "+salvage 'bad:x': 6 7 0\n"
     "+salvage 'known:x': 8 0 1\n"
     "+salvage 'paged:x': 3 2 1\n"
     "+salvage 'pages:': 3 2 1\n"
     "+salvage 'pages:.quarantine-20250101T000000Z-000': 3 2 1\n"
     "+salvage 'part:x': 4 5 0\n"
     "+salvage 'size:x': 8 9 1\n"
     "+losses 1: 1 11 11 T+5000\n"
     "+ledger.next_id: 15\n"
     "+ledger.accepted: 14\n"
     "+ledger.delivered: 1\n"
     "+ledger.pending: 11\n"
     "+ledger.dead: 1\n"
     "+ledger.damaged: 1\n"
     "+ledger.pending_bytes: 70\n"
     "+ledger.clock_ms: T+0\n"
     "+ledger.clock_offset: T-5000\n"
     "+ledger.commits: 11\n"
     "+ledger.blocks_from: 1\n"
     "+ledger.rows_from: 13\n"
     "+tide.positions: 2\n"
     "+tide.keys: 2\n"
     "+tide.imports: 2\n"
     "+tide.left: 5\n"
     "+tide.clock: T+0\n"
     "+tide.offset: T-5000\n"
     "+tide.has the clock's row: 1\n"
     "+state.retrying: 2\n"
     "+state.oldest: T+4000\n"
     "+state.next_retry: T+75000\n"
     "+state.untold: 1\n"
     "+state.failures_max_id: 14\n"
     "+state.left: 5\n"
     "+state.left synced: 11\n"
     "+state.left whole from: 1\n"
     "+state.left knows: 11\n"
     "+state.last_commits: 11\n"
     "+state.is_exact: 1\n"
     "+lead from 0: 0\n"
     "+lead from 13: 5000\n"
     "+left: 2\n"},
    {{"UPDATE messages SET received_ms = received_ms + 1 WHERE id = 13"},
     "messages 13: T+4000 meta 0 > T+4001 meta 0\n"},
    {{"UPDATE messages SET checksum = checksum + 1 WHERE id = 13",
      "UPDATE messages SET checksum = checksum + 4294967296 WHERE id = 13"},
     ""},
    {{"UPDATE messages SET meta = x'01' WHERE id = 13"},
     "messages 13: T+4000 meta 0 > T+4000 01 0\n"
     "ledger.pending_bytes: 70 > 67\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"},
    {{"UPDATE messages SET body = x'01' WHERE id = 13"}, "messages 13: T+4000 meta 0 > T+4000 meta 01\n"},
    {{"UPDATE messages SET id = 99, body = x'01' WHERE id = 13"},
     "the ledger's next id was behind the rows; 1 rows were not in the ledger; 1 messages of the ledger have no row\n"
     "-messages 13: T+4000 meta 0\n"
     "ledger.next_id: 15 > 100\n"
     "ledger.accepted: 14 > 15\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.untold: 1 > 2\n"
     "-state.is_exact: 1\n"
     "+messages 99: T+4000 meta 01\n"
     "+losses 2: 1 0 0 T+9000\n"
     "+state.joins from: 14\n"
     "+state.joins to: 99\n"},
    {{"UPDATE messages SET id = 2, body = x'01' WHERE id = 13",
      "UPDATE messages SET id = 3, body = x'01' WHERE id = 13"},
     "1 rows of what had left stood there again, from an old page: taken away; 1 messages of the ledger have no row\n"
     "-messages 13: T+4000 meta 0\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.untold: 1 > 2\n"
     "-state.is_exact: 1\n"
     "+losses 2: 1 0 0 T+9000\n"},
    {{"UPDATE blocks SET count = count + 1 WHERE id = 5"}, "blocks 5: 4 26 0 T-1000 T-1000 > 5 26 0 T-1000 T-1000\n"},
    {{"UPDATE blocks SET checksum = checksum + 1 WHERE id = 5", "UPDATE blocks SET body = zeroblob(20) WHERE id = 5"},
     ""},
    {{"DELETE FROM blocks WHERE id = 5"},
     "4 messages of the ledger have no row\n"
     "-blocks 5: 4 26 0 T-1000 T-1000\n"
     "ledger.pending: 11 > 7\n"
     "ledger.damaged: 1 > 5\n"
     "ledger.pending_bytes: 70 > 44\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.untold: 1 > 5\n"
     "-state.is_exact: 1\n"
     "+losses 2: 4 0 0 T+9000\n"},
    {{"UPDATE partial SET settled = settled + 1 WHERE block_id = 1"},
     "what left 1 blocks was damaged and is forgotten; 1 messages that had left stand here again, and may be sent "
     "again: possible duplicates\n"
     "-partial 1: 1 6 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.left: 5 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.left: 5 > 12\n"
     "-state.is_exact: 1\n"
     "left: 2 > \n"
     "+salvage 'left': 12 0 0\n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"
     "+state.left took back: 12\n"},
    {{"UPDATE partial SET bytes = bytes + 1 WHERE block_id = 1",
      "UPDATE partial SET bitmap = zeroblob(64) WHERE block_id = 1"},
     "one bit of 1 rows that say what left its block was wrong and was mended\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"},
    {{"UPDATE partial SET bitmap = zeroblob(63) WHERE block_id = 1",
      "UPDATE partial SET settled = 600 WHERE block_id = 1"},
     "what left 1 blocks was damaged and is forgotten; 1 messages that had left stand here again, and may be sent "
     "again: possible duplicates\n"
     "-partial 1: 1 6 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.left: 5 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.left: 5 > 12\n"
     "-state.is_exact: 1\n"
     "left: 2 > \n"
     "+salvage 'left': 12 0 0\n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"
     "+state.left took back: 12\n"},
    {{"DELETE FROM partial WHERE block_id = 1"},
     "1 messages that had left stand here again, and may be sent again: possible duplicates\n"
     "-partial 1: 1 6 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.left: 5 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.left: 5 > 12\n"
     "-state.is_exact: 1\n"
     "left: 2 > \n"
     "+salvage 'left': 12 0 0\n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"
     "+state.left took back: 12\n"},
    {{"UPDATE failures SET attempts = 5 WHERE id = 13", "UPDATE failures SET next_ms = 5 WHERE id = 13",
      "UPDATE failures SET first_ms = 5 WHERE id = 13", "UPDATE failures SET code = 'y' WHERE id = 13",
      "UPDATE failures SET reason = 'y' WHERE id = 13", "UPDATE failures SET checksum = checksum + 1 WHERE id = 13"},
     "of 1 messages the attempts were damaged: they are sent at once, as if anew\n"
     "-failures 13: 3 T+70000 T+5000 'Slow' ''\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.retrying: 2 > 1\n"
     "+state.joins from: 13\n"
     "+state.joins to: 14\n"},
    {{"UPDATE dead SET received_ms = received_ms + 1"},
     "dead 10: T-1000 T+5000 2 'x' 'why' meta 01 > T-999 T+5000 2 'x' 'why' meta 01\n"},
    {{"UPDATE dead SET checksum = checksum + 1"}, ""},
    {{"UPDATE dead SET died_ms = died_ms + 1"},
     "dead 10: T-1000 T+5000 2 'x' 'why' meta 01 > T-1000 T+5001 2 'x' 'why' meta 01\n"},
    {{"UPDATE dead SET attempts = 5"},
     "dead 10: T-1000 T+5000 2 'x' 'why' meta 01 > T-1000 T+5000 5 'x' 'why' meta 01\n"},
    {{"UPDATE dead SET code = 'y'"},
     "dead 10: T-1000 T+5000 2 'x' 'why' meta 01 > T-1000 T+5000 2 'y' 'why' meta 01\n"},
    {{"UPDATE dead SET reason = 'y'"},
     "dead 10: T-1000 T+5000 2 'x' 'why' meta 01 > T-1000 T+5000 2 'x' 'y' meta 01\n"},
    {{"UPDATE dead SET body = x'01'", "UPDATE dead SET note_checksum = note_checksum + 1"}, ""},
    {{"UPDATE positions SET value = '11' WHERE key = 'file'",
      "UPDATE positions SET checksum = checksum + 1 - 2 * (checksum & 1) WHERE key = 'file'"},
     "one bit of 1 positions of inputs was wrong and was mended\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"},
    {{"DELETE FROM positions WHERE key = 'file'"},
     "1 positions of inputs are not those that were written last: what they are of is read on from where they say, and "
     "counted as possible duplicates; 1 positions of inputs are gone: what they are of is read again from its start, "
     "and counted as possible duplicates\n"
     "-positions 'file': '10'\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "+state.mend: 1\n"
     "+state.positions gone: 1\n"},
    {{"UPDATE cache SET cache = 'd' WHERE key = x'6f6e65'", "UPDATE cache SET key = x'6f6e66' WHERE key = x'6f6e65'",
      "UPDATE cache SET expires_ms = expires_ms + 1 WHERE key = x'6f6e65'",
      "UPDATE cache SET checksum = checksum + 1 WHERE key = x'6f6e65'"},
     "1 dedupe keys were damaged and are forgotten: what they kept back may be sent\n"
     "-cache 'c' one: T+500000\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.keys: 2 > 1\n"
     "tide.clock: T+0 > T+4000\n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"},
    {{"UPDATE imports SET copy = CAST('third' || zeroblob(59) AS BLOB) WHERE messages = 2"},
     "-imports first0000000000..64: 1 2 3\n"
     "+imports third0000000000..64: 1 2 3\n"},
    {{"UPDATE imports SET imported_ms = 9 WHERE messages = 2"}, "imports first0000000000..64: 1 2 3 > 9 2 3\n"},
    {{"UPDATE imports SET messages = 9 WHERE messages = 2"}, "imports first0000000000..64: 1 2 3 > 1 9 3\n"},
    {{"UPDATE imports SET first_id = 9 WHERE messages = 2"}, "imports first0000000000..64: 1 2 3 > 1 2 9\n"},
    {{"UPDATE imports SET checksum = checksum + 1 WHERE messages = 2"}, ""},
    {{"UPDATE salvage SET path = 'pages:x' WHERE path LIKE 'pages:.%'",
      "UPDATE salvage SET after_id = 9 WHERE path LIKE 'pages:.%'",
      "UPDATE salvage SET salvaged = 9 WHERE path LIKE 'pages:.%'",
      "UPDATE salvage SET done = 0 WHERE path LIKE 'pages:.%'",
      "UPDATE salvage SET checksum = checksum + 1 WHERE path LIKE 'pages:.%'"},
     "-salvage 'pages:.quarantine-20250101T000000Z-000': 3 2 1\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "+salvage 'expected': 0 0 0\n"
     "+state.left took back: 11\n"},
    {{"UPDATE clock SET lead_ms = 7 WHERE first_id = 13", "UPDATE clock SET first_id = 12 WHERE first_id = 13",
      "UPDATE clock SET checksum = checksum + 1 WHERE first_id = 13"},
     "a row of the clock was damaged: no message that waits now is too old\n"
     "clock 0: 0 > -9223372036854775808\n"
     "-clock 13: 5000\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.oldest: T+4000 > T+9000\n"
     "lead from 0: 0 > -9223372036854775808\n"
     "-lead from 13: 5000\n"},
    {{"UPDATE losses SET messages = 9", "UPDATE losses SET first_id = 9", "UPDATE losses SET last_id = 19",
      "UPDATE losses SET since_ms = 9", "UPDATE losses SET checksum = checksum + 1"},
     "1 rows that say why messages are damaged were not what was written\n"
     "-losses 1: 1 11 11 T+5000\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"},
    {{"UPDATE damaged SET body = x'01'"}, "damaged 11: T+5000 T-1000 meta 012 > T+5000 T-1000 meta 01\n"},
    {{"DELETE FROM damaged"}, "-damaged 11: T+5000 T-1000 meta 012\n"},
    {{"UPDATE ledger SET checksum = checksum + 1", "UPDATE ledger SET checksum = checksum + 1, damaged = 0",
      "UPDATE ledger SET spool_low = spool_low + 1", "DELETE FROM ledger"},
     "the ledger row was damaged and was counted anew\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.clock: T+0 > T+4000\n"
     "-state.is_exact: 1\n"},
    {{"DELETE FROM messages WHERE id = 13"},
     "1 messages of the ledger have no row\n"
     "-messages 13: T+4000 meta 0\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.untold: 1 > 2\n"
     "-state.is_exact: 1\n"
     "+losses 2: 1 0 0 T+9000\n"},
    {{"DELETE FROM failures WHERE id = 13"},
     "-failures 13: 3 T+70000 T+5000 'Slow' ''\n"
     "state.retrying: 2 > 1\n"
     "+state.joins from: 13\n"
     "+state.joins to: 14\n"},
    {{"DELETE FROM dead"},
     "1 messages of the ledger have no row\n"
     "-dead 10: T-1000 T+5000 2 'x' 'why' meta 01\n"
     "-ledger.dead: 1\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.untold: 1 > 2\n"
     "-state.is_exact: 1\n"
     "+losses 2: 1 0 0 T+9000\n"},
    {{"DELETE FROM losses"}, "-losses 1: 1 11 11 T+5000\n"},
    {{"DELETE FROM cache"},
     "2 dedupe keys are gone: what they kept back may be sent, and is counted as possible duplicates\n"
     "-cache 'c' one: T+500000\n"
     "-cache 'c' two: T+600000\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "-tide.keys: 2\n"
     "tide.clock: T+0 > T+4000\n"
     "+salvage 'keys': 12 0 0\n"
     "+ledger.possible: 2\n"
     "+tide.possible: 2\n"
     "+state.mend: 1\n"},
    {{"DELETE FROM positions"},
     "2 positions of inputs are gone: what they are of is read again from its start, and counted as possible "
     "duplicates\n"
     "-positions 'file': '10'\n"
     "-positions 'other': '20'\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "+state.mend: 1\n"
     "+state.positions gone: 2\n"},
    {{"DELETE FROM imports"},
     "2 notes of copies that were taken in, or of what was put back from the shelf, are gone: what is taken in from a "
     "copy from now on may have been before, and counts as possible duplicates\n"
     "-imports first0000000000..64: 1 2 3\n"
     "-imports other0000000000..64: 4 5 6\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.imports: 2 > 1\n"
     "tide.clock: T+0 > T+4000\n"
     "+imports : 0 0 0\n"
     "+state.mend: 1\n"},
    {{"DELETE FROM salvage"},
     "-salvage 'bad:x': 6 7 0\n"
     "-salvage 'known:x': 8 0 1\n"
     "-salvage 'paged:x': 3 2 1\n"
     "-salvage 'pages:': 3 2 1\n"
     "-salvage 'pages:.quarantine-20250101T000000Z-000': 3 2 1\n"
     "-salvage 'part:x': 4 5 0\n"
     "-salvage 'size:x': 8 9 1\n"},
    {{"DELETE FROM clock WHERE first_id = 13"},
     "rows of the clock were gone: no message that waits now is too old\n"
     "clock 0: 0 > -9223372036854775808\n"
     "-clock 13: 5000\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.oldest: T+4000 > T+9000\n"
     "lead from 0: 0 > -9223372036854775808\n"
     "-lead from 13: 5000\n"},
    {{"DELETE FROM clock"},
     "a row of the clock was damaged: no message that waits now is too old\n"
     "clock 0: 0 > -9223372036854775808\n"
     "-clock 13: 5000\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.oldest: T+4000 > T+9000\n"
     "lead from 0: 0 > -9223372036854775808\n"
     "-lead from 13: 5000\n"},
    {{"UPDATE ledger SET checksum = checksum + 1; UPDATE blocks SET count = count + 1 WHERE id = 5"},
     "the ledger row was damaged and was counted anew\n"
     "-blocks 5: 4 26 0 T-1000 T-1000\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.clock: T+0 > T+4000\n"
     "-state.is_exact: 1\n"
     "+messages 5: T-1000 meta 0\n"
     "+messages 6: T-1000 meta 01\n"
     "+messages 7: T-1000 meta 012\n"
     "+messages 8: T-1000 meta 0123\n"
     "+state.joins from: 5\n"
     "+state.joins to: 14\n"},
    {{"UPDATE ledger SET checksum = checksum + 1; DELETE FROM messages WHERE id = 13"},
     "the ledger row was damaged and was counted anew; 1 messages of the ledger have no row\n"
     "-messages 13: T+4000 meta 0\n"
     "ledger.pending: 11 > 10\n"
     "ledger.damaged: 1 > 2\n"
     "ledger.pending_bytes: 70 > 65\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.clock: T+0 > T+4000\n"
     "state.untold: 1 > 2\n"
     "-state.is_exact: 1\n"
     "+losses 2: 1 0 0 T+9000\n"},
    {{"UPDATE ledger SET checksum = checksum + 1; UPDATE blocks SET body = x'' WHERE id = 5"},
     "the ledger row was damaged and was counted anew; 4 messages of the ledger have no row\n"
     "-blocks 5: 4 26 0 T-1000 T-1000\n"
     "losses 1: 1 11 11 T+5000 > 5 5 11 T+5000\n"
     "ledger.pending: 11 > 7\n"
     "ledger.damaged: 1 > 5\n"
     "ledger.pending_bytes: 70 > 44\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.clock: T+0 > T+4000\n"
     "state.untold: 1 > 5\n"
     "-state.is_exact: 1\n"
     "+damaged 5: T+9000 0 - \n"
     "+damaged 6: T+9000 0 - \n"
     "+damaged 7: T+9000 0 - \n"
     "+damaged 8: T+9000 0 - \n"},
    {{"UPDATE ledger SET checksum = checksum + 1; UPDATE blocks SET body = x'' WHERE id = 9"},
     "the ledger row was damaged and was counted anew; 2 messages of the ledger have no row\n"
     "-blocks 9: 4 26 0 T-1000 T-1000\n"
     "-partial 9: 2 13 1-2\n"
     "losses 1: 1 11 11 T+5000 > 3 9 12 T+5000\n"
     "ledger.pending: 11 > 9\n"
     "ledger.damaged: 1 > 3\n"
     "ledger.pending_bytes: 70 > 57\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.clock: T+0 > T+4000\n"
     "state.untold: 1 > 3\n"
     "-state.is_exact: 1\n"
     "+damaged 9: T+9000 0 - \n"
     "+damaged 12: T+9000 0 - \n"},
    {{"UPDATE ledger SET checksum = checksum + 1; DELETE FROM partial", "DELETE FROM ledger; DELETE FROM partial"},
     "the ledger row was damaged and was counted anew; 1 messages that had left stand here again, and may be sent "
     "again: possible duplicates\n"
     "-partial 1: 1 6 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.left: 5 > 12\n"
     "tide.clock: T+0 > T+4000\n"
     "state.left: 5 > 12\n"
     "-state.is_exact: 1\n"
     "left: 2 > \n"
     "+salvage 'left': 12 0 0\n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"
     "+state.left took back: 12\n"},
    {{"UPDATE ledger SET checksum = checksum + 1; DELETE FROM partial WHERE block_id = 9"},
     "the ledger row was damaged and was counted anew\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.clock: T+0 > T+4000\n"
     "-state.is_exact: 1\n"},
    {{WITHOUT ".tide\nDELETE FROM ledger"},
     "the ledger row was damaged and was counted anew\n"
     "ledger.clock_ms: T+0 > T+9000\n"
     "ledger.clock_offset: T-5000 > T+0\n"
     "ledger.commits: 11 > 1\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.clock: T+0 > T+9000\n"
     "tide.offset: T-5000 > T+0\n"
     "state.oldest: T+4000 > T-1000\n"
     "state.next_retry: T+75000 > T+70000\n"
     "state.left whole from: 1 > 15\n"
     "-state.last_commits: 11\n"
     "-state.is_exact: 1\n"},
    {{WITHOUT ".tide\nDELETE FROM ledger; DELETE FROM partial",
      WITHOUT ".tide\nDELETE FROM ledger; DELETE FROM partial WHERE block_id = 1"},
     "the ledger row was damaged and was counted anew\n"
     "-partial 1: 1 6 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "ledger.clock_ms: T+0 > T+9000\n"
     "ledger.clock_offset: T-5000 > T+0\n"
     "ledger.commits: 11 > 1\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.left: 5 > 1\n"
     "tide.clock: T+0 > T+9000\n"
     "tide.offset: T-5000 > T+0\n"
     "state.oldest: T+4000 > T-1000\n"
     "state.next_retry: T+75000 > T+70000\n"
     "state.left: 5 > 1\n"
     "state.left whole from: 1 > 15\n"
     "-state.last_commits: 11\n"
     "-state.is_exact: 1\n"
     "left: 2 > \n"
     "+salvage 'left': 1 0 0\n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"
     "+state.left took back: 1\n"},
    {{WITHOUT ".tide\nDELETE FROM ledger; UPDATE blocks SET body = x'' WHERE id = 9"},
     "the ledger row was damaged and was counted anew\n"
     "-blocks 9: 4 26 0 T-1000 T-1000\n"
     "-partial 9: 2 13 1-2\n"
     "losses 1: 1 11 11 T+5000 > 3 9 12 T+5000\n"
     "ledger.pending: 11 > 9\n"
     "ledger.damaged: 1 > 3\n"
     "ledger.pending_bytes: 70 > 57\n"
     "ledger.clock_ms: T+0 > T+9000\n"
     "ledger.clock_offset: T-5000 > T+0\n"
     "ledger.commits: 11 > 1\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "tide.clock: T+0 > T+9000\n"
     "tide.offset: T-5000 > T+0\n"
     "state.oldest: T+4000 > T-1000\n"
     "state.next_retry: T+75000 > T+70000\n"
     "state.untold: 1 > 3\n"
     "state.left whole from: 1 > 15\n"
     "-state.last_commits: 11\n"
     "-state.is_exact: 1\n"
     "+damaged 9: T+9000 0 - \n"
     "+damaged 12: T+9000 0 - \n"},
    {{WITHOUT ".left\nDELETE FROM ledger; DELETE FROM partial"},
     "PATH.left, which tells what had left from what is gone, was gone, old, or not what was written: of what left "
     "before, less can be told; the ledger row was damaged and was counted anew; 1 messages that had left may be sent "
     "again, and are possible duplicates\n"
     "-partial 1: 1 6 1\n"
     "-ledger.delivered: 1\n"
     "ledger.pending: 11 > 12\n"
     "ledger.pending_bytes: 70 > 76\n"
     "ledger.clock_ms: T+0 > T+4000\n"
     "ledger.commits: 11 > 12\n"
     "-ledger.blocks_from: 1\n"
     "-ledger.rows_from: 13\n"
     "-tide.left: 5\n"
     "tide.clock: T+0 > T+4000\n"
     "-state.left: 5\n"
     "-state.left synced: 11\n"
     "state.left whole from: 1 > 15\n"
     "-state.left knows: 11\n"
     "-state.is_exact: 1\n"
     "left: 2 > \n"
     "+ledger.possible: 1\n"
     "+tide.possible: 1\n"},
    {{"UPDATE positions SET checksum = checksum + 3 WHERE key = 'file'"},
     "1 positions of inputs are damaged: what they are of is read again from its start\n"
     "+state.positions_lost: 1\n"},
};

static void each_row_that_a_start_finds(void **state)
{
	(void)state;
	rows_expect(harms, sizeof harms / sizeof *harms, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_row_that_a_start_finds),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
