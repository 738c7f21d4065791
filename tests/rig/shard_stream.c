#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "delivery/request.h"
#include "rig/shard_world.h"

bool world_takes(struct world *w, struct world_shard *s, double bytes)
{
	if (s->mood != WORLD_TAKES || (w->random_refused > 0 && world_random(w) < w->random_refused))
		return false;
	if (s->records_s <= 0)
		return true;
	if (s->burst_s > 0) {
		double lasted = (double)(w->now_ns - s->at_ns) / (double)NS_PER_S;

		s->records += lasted * s->records_s;
		s->bytes += lasted * s->bytes_s;
		if (s->records > s->burst_s * s->records_s)
			s->records = s->burst_s * s->records_s;
		if (s->bytes > s->burst_s * s->bytes_s)
			s->bytes = s->burst_s * s->bytes_s;
		s->at_ns = w->now_ns;
		if (s->records < 1 || s->bytes < bytes)
			return false;
		s->records--;
		s->bytes -= bytes;
		return true;
	}
	if (w->now_ns / NS_PER_S != s->at_ns / NS_PER_S)
		s->records = s->bytes = 0;
	s->at_ns = w->now_ns;
	if (s->records + 1 > s->records_s || s->bytes + bytes > s->bytes_s)
		return false;
	s->records++;
	s->bytes += bytes;
	return true;
}

struct world_shard *world_shard_of(struct world *w, uint64_t hash)
{
	size_t low = 0, high = w->shard_count;

	while (low + 1 < high) {
		size_t middle = (low + high) / 2;

		if (w->shards[middle].first <= hash)
			low = middle;
		else
			high = middle;
	}
	return &w->shards[low];
}

void world_part_evenly(struct world *w)
{
	for (size_t i = 0; i < w->shard_count; i++) {
		struct world_shard *s = &w->shards[i];

		s->first = (uint64_t)(((unsigned __int128)i << 64) / w->shard_count);
		s->last = (uint64_t)(((unsigned __int128)(i + 1) << 64) / w->shard_count - 1);
		(void)snprintf(s->name, sizeof s->name, "shardId-%012zu", w->first_name + i);
	}
}

void world_reshard(struct world *w, size_t count)
{
	struct world_shard like = w->shards[0];

	w->first_name += w->shard_count;
	w->shards = mem_grow(w->shards, count, sizeof *w->shards);
	w->shard_count = count;
	like.records = like.bytes = 0;
	like.stored = like.offered = like.refused = 0;
	for (size_t i = 0; i < count; i++)
		w->shards[i] = like;
	world_part_evenly(w);
}

void world_split(struct world *w, size_t at)
{
	struct world_shard *s;

	w->shards = mem_grow(w->shards, w->shard_count + 1, sizeof *w->shards);
	memmove(&w->shards[at + 1], &w->shards[at], (w->shard_count - at) * sizeof *w->shards);
	s = &w->shards[at];
	s[0].last = s[0].first + (s[0].last - s[0].first) / 2;
	s[1].first = s[0].last + 1;
	for (int i = 0; i < 2; i++)
		(void)snprintf(s[i].name, sizeof s[i].name, "shardId-%012zu", 1000 + 2 * w->shard_count + (size_t)i);
	w->shard_count++;
}

void world_tell_stored(struct world *w, const struct record *r)
{
	if (!w->on_stored)
		return;
	if (!r->parts)
		w->on_stored(w->arg, r);
	for (uint32_t i = 0; i < r->part_count; i++)
		w->on_stored(w->arg, r->parts[i]);
}

bool world_is_poisoned(struct world *w, const struct record *r)
{
	bool is = w->is_poison && !r->parts && w->is_poison(w->arg, r);

	for (uint32_t i = 0; w->is_poison && i < r->part_count; i++)
		is |= w->is_poison(w->arg, r->parts[i]);
	return is;
}

bool world_is_barred(struct world *w, const struct request *q)
{
	bool is = false;

	for (uint32_t i = 0; w->bars && i < q->count; i++)
		is |= world_is_poisoned(w, q->records[i]);
	return is;
}

char *world_refusal_body(struct world *w, const struct request *q, const struct world_refusal *refusal)
{
	uint32_t named = 0;
	struct buf b;

	if (refusal != w->bars || w->bars_name == 0)
		return mem_string(refusal->body);
	buf_init(&b, 1 << 20);
	(void)buf_add_text(&b, "{\"__type\":\"ValidationException\",\"message\":\"");
	for (uint32_t i = 0; i < q->count && named < w->bars_name; i++)
		if (world_is_poisoned(w, q->records[i])) {
			(void)buf_addf(&b, "%sValue at 'records.%" PRIu32 ".member.data' failed", named ? "; " : "",
			               i + 1);
			named++;
		}
	(void)buf_add_text(&b, "\"}");
	must(!b.overflow);
	return buf_take(&b, NULL);
}
