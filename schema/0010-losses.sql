-- Why messages became damaged, a row a reason (src/store/losses.def), until a person was told: ledger.damaged less
-- ledger.told of them. since_ms: Unix time in milliseconds of the first; first_id, last_id: between which they were; 0:
-- not known. checksum: as in 0008-side-rows.sql (10). ledger.told counts all damaged messages of which a person was told
-- from here on, not only those that are nowhere.
CREATE TABLE losses (
  reason INTEGER PRIMARY KEY,
  messages INTEGER NOT NULL,
  first_id INTEGER NOT NULL,
  last_id INTEGER NOT NULL,
  since_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
