-- Which spool this is: 128 random bits, given once, the same in PATH.tide, PATH.lock and PATH.flight. 0: not given yet.
-- Every commit writes this row, so that every log names its spool.
ALTER TABLE ledger ADD COLUMN spool_high INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN spool_low INTEGER NOT NULL DEFAULT 0;
-- commits: of this row, ever. epoch: random, another one for each time that the spool was opened or the log began. Both
-- make a row's print: epoch + commits * 0x9e3779b97f4a7c15. base: the print of the row that the database file had when
-- the log began. A log fits a file whose row is of that print, or is one of the log's own.
ALTER TABLE ledger ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
-- Of the damaged ones that are nowhere: so many a person was told of, by `kspool repair`.
ALTER TABLE ledger ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
