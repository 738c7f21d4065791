/* What left a block: as a row, and whether it is what was written. */
#include "store/blocks/mark.h"

#include <string.h>

#include "base/byte_order.h"
#include "base/crc32c.h"
#include "store/files/sql.h"
#include "store/files/sum.h"

int64_t mark_checksum(const struct block_mark *m, uint32_t tag)
{
	unsigned char head[24];

	put_little(head, m->id, 8);
	put_little(head + 8, m->settled, 8);
	put_little(head + 16, m->bytes, 8);
	return sum_end(tag, crc32c(crc32c(sum_begin(tag, SUM_OF_MARK), head, sizeof head), m->bits, sizeof m->bits));
}

bool mark_is_sound(const struct block_mark *m, int64_t checksum, uint32_t tag)
{
	return sum_is_ours(checksum, tag) && mark_checksum(m, sum_tag(checksum)) == checksum;
}

struct block_mark mark_read(sqlite3_stmt *st, int first, uint64_t id, uint32_t count, uint32_t tag)
{
	struct block_mark m = {.id = id, .count = count};
	const void *bits = sqlite3_column_blob(st, first + 3);

	if (!bits)
		return m;
	if ((size_t)sqlite3_column_bytes(st, first + 3) == sizeof m.bits) {
		m.settled = (uint32_t)sqlite3_column_int64(st, first);
		m.bytes = sql_column_u64(st, first + 1);
		memcpy(m.bits, bits, sizeof m.bits);
	}
	/* Sent again is better than lost. */
	if (!mark_is_sound(&m, sqlite3_column_int64(st, first + 2), tag) || m.settled > count)
		m = (struct block_mark){.id = id, .count = count, .is_lost = true};
	m.is_stored = true;
	return m;
}

void mark_set(struct block_mark *m, uint64_t id, uint64_t bytes)
{
	m->bits[(id - m->id) / 8] |= (unsigned char)(1 << (id - m->id) % 8);
	m->settled++;
	m->bytes += bytes;
	m->is_dirty = true;
}
