-- blocks.codec may be 2. An older kspool would take such a body for damage, so it must refuse the file; nothing else
-- changes. The body is a run of parts, each of frames that follow each other, at most 16 of them; each can be read
-- without the others. A part: u32le length of its frames, u32le length of what follows as it stands, u16le how many
-- frames, u64le received_ms of the frame before (the first: 0); then the frames as one LZ4 block, or, when both lengths
-- are the same, as they are.
SELECT 1;
