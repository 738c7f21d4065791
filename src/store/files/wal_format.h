/*
 * wal_format: a write-ahead log's header and frames as bytes.
 *
 * What it is: where each field stands, and the checksum that runs through a log: that of a frame is over all before it.
 * Source: sqlite.org/fileformat2.html, section 4.
 * Promises: none of its own.
 * Owner: nothing to own.
 * Thread: any.
 * Fails: never.
 * Does not: read a file (wal.h).
 */
#ifndef KSPOOL_STORE_WAL_FORMAT_H
#define KSPOOL_STORE_WAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/byte_order.h"

enum {
	WAL_HEADER_BYTES = 32,
	WAL_FRAME_HEADER_BYTES = 24,
	WAL_MAGIC = 0x377f0682, /* the lowest bit says that checksums take words as big-endian */
	WAL_VERSION = 3007000,
	/* in the header */
	WAL_AT_PAGE_SIZE = 8,
	WAL_AT_SEQUENCE = 12, /* one more each time the log begins again */
	WAL_AT_SALTS = 16,
	WAL_AT_CHECKSUM = 24,
	/* in that of a frame, behind the page's number */
	WAL_FRAME_COMMIT = 4,
	WAL_FRAME_SALTS = 8,
	WAL_FRAME_CHECKSUM = 16,
	WAL_SIGNED_FRAME_BYTES = 8, /* of a frame's header; then the page */
};

struct wal_sum {
	uint32_t a, b;
};

/* What a frame's header says. */
struct wal_frame {
	uint32_t page, commit;
	struct wal_sum sum;
};

struct wal_sum wal_sum_over(bool big_endian, struct wal_sum seed, const unsigned char *bytes, size_t count);
/* As a header or a frame has it. */
static inline struct wal_sum wal_stored_sum(const unsigned char *at)
{
	return (struct wal_sum){get_big_u32(at), get_big_u32(at + 4)};
}
static inline bool wal_sum_is(struct wal_sum x, struct wal_sum y) { return x.a == y.a && x.b == y.b; }

/* *ret_page_bytes as it stands there, sound or not. */
bool wal_header_is_sound(const unsigned char header[WAL_HEADER_BYTES], uint32_t *ret_page_bytes);
bool wal_is_page_size(uint32_t bytes);
struct wal_frame wal_frame_of(const unsigned char frame[WAL_FRAME_HEADER_BYTES]);
/* Of the log that begins with this header, as its salts say. */
bool wal_frame_is_live(const unsigned char frame[WAL_FRAME_HEADER_BYTES], const unsigned char header[WAL_HEADER_BYTES]);
/* `page` is what the frame was written with. `before`: the frame before it, null when it is the first. */
bool wal_page_follows(const unsigned char header[WAL_HEADER_BYTES], const struct wal_frame *before,
                      const struct wal_frame *frame, const unsigned char *page, uint32_t page_bytes);

#endif
