-- Pending messages in blocks: what one commit brought, at most 512 messages and 1 MiB. A larger message stands alone in
-- `messages`, and so does one that left its block because it waits for another try.
-- id: of the block's first message; the others follow without a gap. bytes: metadata and payload of all its messages.
-- codec: 0 body as it is, 1 body is one zstd frame. checksum: CRC-32C, as a signed 32-bit number, over id, count, bytes,
-- codec, first_ms and last_ms (64-bit little-endian), then body as stored.
-- body: a frame a message, in the order of ids: u32le checksum as in `messages`; then as varints (7 bits a byte, lowest
-- first) received_ms as zigzag difference to the frame before (the first: to 0), length of meta, length of body; meta;
-- body. Columns that are null wait for what is not built yet.
CREATE TABLE blocks (
  id INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  codec INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  data_key INTEGER,
  route TEXT,
  class INTEGER,
  origin TEXT,
  origin_id INTEGER,
  body BLOB NOT NULL
) STRICT;

-- Blocks of which some messages have left. settled, bytes: of those. bitmap: bit i, lowest first, is message id + i.
-- checksum: CRC-32C over block_id, settled and bytes (64-bit little-endian), then bitmap.
CREATE TABLE partial (
  block_id INTEGER PRIMARY KEY,
  settled INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  bitmap BLOB NOT NULL
) STRICT;
