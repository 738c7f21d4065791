-- Rows beside the messages say of themselves whether they are what was written. checksum, note_checksum: by the rule of
-- 0006-binding.sql (6 failures, 7 the note of a dead message, 8 a key of a processor, 9 a note of salvage), over the
-- table's other columns in their order: a number as 64 bits, little-endian; a text or bytes as their length, 32 bits,
-- then what they are. 0: written by an older kspool, and believed.
ALTER TABLE failures ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
-- Over id, died_ms, attempts, code and reason: what `checksum` does not cover.
ALTER TABLE dead ADD COLUMN note_checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cache ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE salvage ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
