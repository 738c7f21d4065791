-- Checksums of messages, dead, blocks, partial, positions and clock name their spool from here on. A spool's tag is the
-- lower 31 bits of ledger.spool_low, 1 when these are 0. Such a checksum is tag * 2^32 + CRC-32C, and the CRC is over
-- the tag (32-bit little-endian), a byte that says of what (1 a message, waiting or dead, 2 a block, 3 partial,
-- 4 positions, 5 clock), and then what it was over before. A checksum that fits into 32 bits, signed, is of the older
-- rule. The frames of a block are of its own rule; each has the CRC alone.

-- Over first_id and lead_ms (64-bit little-endian). 0: written by an older kspool. lead_ms of -2^63: not known any more.
ALTER TABLE clock ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
