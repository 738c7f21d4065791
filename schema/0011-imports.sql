-- As in 0008-side-rows.sql (11), over copy, imported_ms, messages and first_id. A row whose copy is empty stands for copies
-- that are not known any more.
ALTER TABLE imports ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
