/* Which rows a message stands for, through joining and cutting. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/stage.h"

static size_t count_of(const struct message *m) { return m->origins ? m->origins->count : m->id != 0; }

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* All ids of the batch, ascending, each once. */
static uint64_t *ids_of(const struct pipeline_batch *batch, size_t *ret_count)
{
	size_t total = 0, used = 0, distinct = 0;
	uint64_t *ids;

	for (size_t i = 0; i < batch->count; i++)
		total += count_of(batch->items[i]);
	ids = mem_array(total, sizeof *ids);
	for (size_t i = 0; i < batch->count; i++) {
		const struct message *m = batch->items[i];

		if (m->origins)
			memcpy(ids + used, m->origins->ids, m->origins->count * sizeof *ids);
		else if (m->id != 0)
			ids[used] = m->id;
		used += count_of(m);
	}
	qsort(ids, total, sizeof *ids, compare_ids);
	for (size_t i = 0; i < total; i++)
		if (distinct == 0 || ids[distinct - 1] != ids[i])
			ids[distinct++] = ids[i];
	*ret_count = distinct;
	return ids;
}

void stage_join_origins(struct message *m, const struct pipeline_batch *batch)
{
	size_t count;
	uint64_t *ids = ids_of(batch, &count);

	message_origins_unref(m->origins);
	m->origins = count > 0 ? message_origins_new(ids, (uint32_t)count) : NULL;
	free(ids);
}

void stage_share_origins(struct message *piece, const struct message *whole)
{
	message_origins_unref(piece->origins);
	piece->origins = NULL;
	if (whole->origins)
		piece->origins = message_origins_ref(whole->origins);
	else if (whole->id != 0)
		piece->origins = message_origins_new(&whole->id, 1);
}

size_t pipeline_vanished(const struct pipeline_batch *batch, const uint64_t *before, size_t count, uint64_t *ret_ids)
{
	size_t left_count, at = 0, vanished = 0;
	uint64_t *left = ids_of(batch, &left_count);

	for (size_t i = 0; i < count; i++) {
		while (at < left_count && left[at] < before[i])
			at++;
		if (at == left_count || left[at] != before[i])
			ret_ids[vanished++] = before[i];
	}
	free(left);
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
