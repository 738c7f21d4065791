#include "store/files/wal_format.h"

#include <string.h>

static uint32_t little_u32(const unsigned char *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

struct wal_sum wal_sum_over(bool big, struct wal_sum s, const unsigned char *p, size_t count)
{
	for (size_t i = 0; i + 8 <= count; i += 8) {
		s.a += (big ? get_big_u32(p + i) : little_u32(p + i)) + s.b;
		s.b += (big ? get_big_u32(p + i + 4) : little_u32(p + i + 4)) + s.a;
	}
	return s;
}

bool wal_is_page_size(uint32_t n) { return n >= 512 && n <= 65536 && (n & (n - 1)) == 0; }

bool wal_header_is_sound(const unsigned char h[WAL_HEADER_BYTES], uint32_t *ret_page_bytes)
{
	const struct wal_sum sum = wal_sum_over(get_big_u32(h) & 1, (struct wal_sum){0, 0}, h, WAL_AT_CHECKSUM);

	*ret_page_bytes = get_big_u32(h + WAL_AT_PAGE_SIZE);
	return (get_big_u32(h) & ~1u) == WAL_MAGIC && get_big_u32(h + 4) == WAL_VERSION &&
	       wal_is_page_size(*ret_page_bytes) && wal_sum_is(sum, wal_stored_sum(h + WAL_AT_CHECKSUM));
}

struct wal_frame wal_frame_of(const unsigned char frame[WAL_FRAME_HEADER_BYTES])
{
	return (struct wal_frame){.page = get_big_u32(frame),
	                          .commit = get_big_u32(frame + WAL_FRAME_COMMIT),
	                          .sum = wal_stored_sum(frame + WAL_FRAME_CHECKSUM)};
}

bool wal_frame_is_live(const unsigned char frame[WAL_FRAME_HEADER_BYTES], const unsigned char header[WAL_HEADER_BYTES])
{
	return memcmp(frame + WAL_FRAME_SALTS, header + WAL_AT_SALTS, 8) == 0;
}

bool wal_page_follows(const unsigned char header[WAL_HEADER_BYTES], const struct wal_frame *before,
                      const struct wal_frame *frame, const unsigned char *page, uint32_t page_bytes)
{
	const bool big = get_big_u32(header) & 1;
	struct wal_sum sum = before ? before->sum : wal_stored_sum(header + WAL_AT_CHECKSUM);
	unsigned char signed_part[WAL_SIGNED_FRAME_BYTES];

	put_big_u32(signed_part, frame->page);
	put_big_u32(signed_part + 4, frame->commit);
	sum = wal_sum_over(big, sum, signed_part, sizeof signed_part);
	return wal_sum_is(wal_sum_over(big, sum, page, page_bytes), frame->sum);
}
