/* What other threads and /metrics may know of the journal. */
#include "journal/journal_internal.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "store/files/asides.h"

static void publish_state(struct journal *j)
{
	struct store_state state;

	store_state(j->store, &state);
	metric_set(M_BACKLOG_OLDEST_MS, state.oldest_received_ms);
	metric_set(M_DISK_DATABASE_BYTES, (int64_t)state.database_bytes);
	metric_set(M_DISK_WAL_BYTES, (int64_t)state.wal_bytes);
	metric_set(M_DISK_FREE_BYTES, (int64_t)state.free_bytes);
	metric_set(M_UPGRADED, store_merge_percent(j->store));
	metric_set(M_ASIDE_FILES, (int64_t)state.aside_files);
	metric_set(M_ASIDE_UNREAD, (int64_t)state.aside_unread);
	metric_set(M_ASIDE_WAITS, state.aside_waits);
	metric_set(M_UPGRADE_WAITS, state.upgrade_waits);
	metric_add(M_DISK_WRITTEN, state.written_bytes - (uint64_t)metric_get(M_DISK_WRITTEN));
	metric_add(M_DISK_STORED, state.stored_bytes - (uint64_t)metric_get(M_DISK_STORED));
	metric_add(M_CHECKPOINTS, state.checkpoints - (uint64_t)metric_get(M_CHECKPOINTS));
	atomic_store(&j->published.free_bytes, state.free_bytes);
}

/* By the mean of all that waits. What delivery had and put back (its shard or key takes nothing) is not among it. */
static uint64_t ahead_bytes(const struct journal *j, uint64_t pending)
{
	const uint64_t ahead = store_next_id(j->store) - 1 - j->cursor, bytes = store_pending_bytes(j->store);

	return ahead < pending ? (uint64_t)((double)bytes * (double)ahead / (double)pending) : bytes;
}

static void publish_ledger(struct journal *j)
{
	const struct store_ledger *l = store_ledger(j->store);
	const struct metric_value gauges[] = {
#define LEDGER_SUM(id, column, meaning) {M_LEDGER_##id, (int64_t)l->column},
#define LEDGER_STATE(id, column, meaning) {M_LEDGER_##id, (int64_t)l->column},
#include "base/ledger.def"
	    {M_UNTOLD, (int64_t)store_damaged_untold(j->store)},
	    {M_BACKLOG_ROWS, (int64_t)l->pending},
	    {M_BACKLOG_BYTES, (int64_t)store_pending_bytes(j->store)},
	    {M_BACKLOG_RETRYING, (int64_t)store_retrying(j->store)},
	};

	metric_set_together(gauges, sizeof gauges / sizeof *gauges);
	atomic_store(&j->published.pending_bytes, store_pending_bytes(j->store));
	atomic_store(&j->published.ahead_bytes, ahead_bytes(j, l->pending));
	atomic_store(&j->published.pending, l->pending);
}

void journal_publish_now(struct journal *j)
{
	struct error ignored;
	enum err full = store_admission(j->store, &ignored);

	publish_ledger(j);
	metric_set(M_SETTLEMENTS_HELD, j->held_rows);
	atomic_store(&j->published.held, j->held_rows);
	atomic_store(&j->published.tide_trouble, store_tide_trouble(j->store));
	atomic_store(&j->published.left_trouble, store_left_trouble(j->store));
	atomic_store(&j->published.refused, store_disk_refuses(j->store));
	atomic_store(&j->published.full, full);
	atomic_store(&j->published.max_bytes, j->options.store.max_bytes);
	metric_set(M_DISK_FULL, full == ERR_FULL);
}

void journal_publish(struct journal *j, bool force)
{
	int64_t now = clock_mono_ms();

	journal_publish_now(j);
	if (!force && now - j->published_ms < PUBLISH_MS)
		return;
	j->published_ms = now;
	publish_state(j);
}

enum err journal_each_aside(const char *path,
                            void (*each)(void *arg, const char *name, bool is_read, const char *words), void *arg,
                            struct error *e)
{
	return asides_each(path, each, arg, e);
}
