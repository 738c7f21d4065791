-- No block has a lower id than blocks_from, no row of `messages` a lower one than rows_from: whatever stands below had
-- left, and is of a page that is old. 0: not known.
ALTER TABLE ledger ADD COLUMN blocks_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN rows_from INTEGER NOT NULL DEFAULT 0;
