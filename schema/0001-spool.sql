-- The spool, version 1. Each file of this folder is one step: applied in one transaction, in the order of its number,
-- which becomes PRAGMA user_version. A released step is never edited. PRAGMA application_id is 0x4b53504c ("KSPL").

-- One row per pending message. id is allocated from ledger.next_id and never used twice.
-- checksum: CRC-32C, as a signed 32-bit number, over id and received_ms (64-bit little-endian), the lengths of meta and
-- body (32-bit little-endian), meta, body. received_ms: Unix time in milliseconds.
-- meta: null, or entries  type 's'|'b'|'j', u32le length, key, u32le length, value.
CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  received_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  meta BLOB,
  body BLOB NOT NULL
) STRICT;

-- Pending messages that failed at least once: when to try again, how often it was tried, the last answer.
CREATE TABLE failures (
  id INTEGER PRIMARY KEY,
  attempts INTEGER NOT NULL,
  next_ms INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX failures_next ON failures (next_ms);

-- Messages set aside. checksum as in messages.
CREATE TABLE dead (
  id INTEGER PRIMARY KEY,
  received_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  died_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  meta BLOB,
  body BLOB NOT NULL
) STRICT;

-- Rows whose bytes are not what was written: kept as found, never delivered.
CREATE TABLE damaged (
  id INTEGER PRIMARY KEY,
  found_ms INTEGER NOT NULL,
  received_ms INTEGER,
  checksum INTEGER,
  meta BLOB,
  body BLOB
) STRICT;

-- Where a source was read to. checksum: CRC-32C over key, a zero byte, value.
CREATE TABLE positions (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys a processor remembers (dedupe).
CREATE TABLE cache (
  cache TEXT NOT NULL,
  key BLOB NOT NULL,
  expires_ms INTEGER NOT NULL,
  PRIMARY KEY (cache, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX cache_expires ON cache (expires_ms);

-- One row, changed in the transaction of the rows it counts:
-- accepted = delivered + pending + dead + expired + evicted + damaged + filtered + purged.
-- checksum: CRC-32C over the other columns but one, in order, as 64-bit little-endian numbers.
CREATE TABLE ledger (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  next_id INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  pending INTEGER NOT NULL,
  dead INTEGER NOT NULL,
  expired INTEGER NOT NULL,
  evicted INTEGER NOT NULL,
  damaged INTEGER NOT NULL,
  filtered INTEGER NOT NULL,
  purged INTEGER NOT NULL,
  pending_bytes INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;

-- Damaged files that were moved aside and are being read back, message by message.
CREATE TABLE salvage (
  path TEXT PRIMARY KEY,
  after_id INTEGER NOT NULL,
  salvaged INTEGER NOT NULL,
  done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
