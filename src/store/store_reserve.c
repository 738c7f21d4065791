/* What the exit is prepaid with: the reserve, and the log at its largest. */
#include "store/store_internal.h"

uint64_t store_spare_bytes(const struct store *s)
{
	uint64_t least = s->options.min_free_bytes;

	return least > UINT64_MAX / 11 * 10 ? least : least + least / 10;
}

void store_reserve(struct store *s)
{
	uint64_t spare = store_spare_bytes(s);

	if (s->options.reserve_bytes == 0)
		return;
	s->reserve_given = !files_reserve_make(&s->files, files_share(&s->files, s->options.reserve_bytes), spare);
	s->log_held = files_wal_hold(&s->files, WAL_HOLD_BYTES, spare);
}
