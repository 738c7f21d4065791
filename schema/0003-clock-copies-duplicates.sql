-- The spool's own time, in milliseconds: it goes on with the machine's uptime, whatever the wall clock does, and stands
-- still while the machine is off. failures.next_ms and cache.expires_ms are in it. clock_ms: at the last commit that
-- changed the ledger; 0: no time yet, the wall clock is taken once. clock_boot, clock_offset: in that boot of the
-- machine, own time is the uptime plus this.
ALTER TABLE ledger ADD COLUMN clock_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN clock_boot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN clock_offset INTEGER NOT NULL DEFAULT 0;
-- Messages that were sent and might be stored already when they are sent again, ever. handed: the most that may be with
-- the service before the next commit.
ALTER TABLE ledger ADD COLUMN possible INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN handed INTEGER NOT NULL DEFAULT 0;

-- How far the wall clock was ahead of the spool's own time when messages from first_id on were accepted; a row for each
-- time that it was set.
CREATE TABLE clock (
  first_id INTEGER PRIMARY KEY,
  lead_ms INTEGER NOT NULL
) STRICT;
INSERT INTO clock (first_id, lead_ms) VALUES (0, 0);

-- Copies whose messages were taken in. copy: what tells one from another (store_copy.c).
CREATE TABLE imports (
  copy BLOB PRIMARY KEY,
  imported_ms INTEGER NOT NULL,
  messages INTEGER NOT NULL,
  first_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
