/* What a message stands for, through joining and cutting. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/stage_internal.h"

static void set_common_origin(struct message *m, const struct pipeline_batch *batch,
                              struct origin *(*common)(struct origin *const *, size_t))
{
	struct origin **parents = mem_array(batch->count, sizeof(struct origin *));

	for (size_t i = 0; i < batch->count; i++)
		parents[i] = batch->items[i]->origin;
	message_set_origin(m, common(parents, batch->count));
	free(parents);
}

void stage_join_origins(struct message *m, const struct pipeline_batch *batch)
{
	set_common_origin(m, batch, origin_join);
}

void stage_add_origin(struct message *m, const struct pipeline_batch *batch)
{
	set_common_origin(m, batch, origin_add);
}

size_t pipeline_vanished(const struct pipeline_batch *batch, const uint64_t *before, size_t count, uint64_t *ret_ids)
{
	struct message all = {.id = 0};
	size_t left_count = 0, at = 0, vanished = 0;

	if (batch->count > 0) {
		stage_join_origins(&all, batch);
		left_count = all.origin->count;
	}
	for (size_t i = 0; i < count; i++) {
		while (at < left_count && all.origin->ids[at] < before[i])
			at++;
		if (at == left_count || all.origin->ids[at] != before[i])
			ret_ids[vanished++] = before[i];
	}
	origin_unref(all.origin);
	return vanished;
}

void stage_meta_with(const struct message *m, const char *key, const char *value, size_t value_length, struct buf *ret)
{
	size_t key_length = strlen(key), cursor = 0;
	struct meta_entry entry;

	buf_init(ret, (size_t)m->meta_bytes + key_length + value_length + 64);
	while (meta_next(message_meta(m), m->meta_bytes, &cursor, &entry))
		if (entry.key_length != key_length || memcmp(entry.key, key, key_length) != 0)
			(void)meta_add(ret, entry.type, entry.key, entry.key_length, entry.value, entry.value_length);
	(void)meta_add(ret, 's', key, key_length, value, value_length);
}
