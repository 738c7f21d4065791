/* Checksums of rows, which name their spool and what they are of. */
#include "store/files/sum.h"

#include "base/byte_order.h"
#include "base/crc32c.h"

uint32_t sum_tag_of(struct spool_id id)
{
	const uint32_t tag = (uint32_t)id.low & INT32_MAX;

	return !spool_id_is_known(id) ? 0 : tag ? tag : 1;
}

uint32_t sum_begin(uint32_t tag, enum sum_kind kind)
{
	unsigned char bytes[5];

	put_little(bytes, tag, 4);
	bytes[4] = (unsigned char)kind;
	return tag ? crc32c(0, bytes, sizeof bytes) : 0;
}

int64_t sum_end(uint32_t tag, uint32_t crc) { return tag ? (int64_t)tag << 32 | crc : (int32_t)crc; }

uint32_t sum_tag(int64_t checksum) { return checksum > UINT32_MAX ? (uint32_t)(checksum >> 32) : 0; }

bool sum_is_ours(int64_t checksum, uint32_t tag)
{
	const uint32_t its = sum_tag(checksum);

	return its == 0 || tag == 0 || its == tag;
}

int64_t sum_numbers(uint32_t tag, enum sum_kind kind, const uint64_t *numbers, size_t count)
{
	uint32_t crc = sum_begin(tag, kind);
	unsigned char bytes[8];

	for (size_t i = 0; i < count; i++) {
		put_little(bytes, numbers[i], sizeof bytes);
		crc = crc32c(crc, bytes, sizeof bytes);
	}
	return sum_end(tag, crc);
}
