#include "store/store_back.h"

#include <string.h>

#include "base/cleanup.h"
#include "store/store_internal.h"

static size_t number_of(const struct put_backs *p)
{
	size_t n = 0;

	while (n < TIDE_BACK_SPANS && p->spans[n].count > 0)
		n++;
	return n;
}

/* Frees the last place. */
static void join_closest(struct put_backs *p)
{
	struct put_back *b = p->spans;
	size_t at = 0;

	for (size_t i = 1; i + 1 < TIDE_BACK_SPANS; i++)
		if (b[i + 1].first - b[i].last < b[at + 1].first - b[at].last)
			at = i;
	b[at].last = b[at + 1].last;
	b[at].count += b[at + 1].count;
	memmove(&b[at + 1], &b[at + 2], (TIDE_BACK_SPANS - at - 2) * sizeof *b);
}

void put_backs_add(struct put_backs *p, uint64_t first, uint64_t count)
{
	size_t n = number_of(p);

	if (n > 0 && p->spans[n - 1].last + 1 == first) {
		p->spans[n - 1].last += count;
		p->spans[n - 1].count += count;
		return;
	}
	if (n == TIDE_BACK_SPANS) {
		join_closest(p);
		n--;
	}
	p->spans[n] = (struct put_back){.first = first, .last = first + count - 1, .count = count};
}

void put_backs_into(const struct put_backs *p, struct tide *t)
{
	for (size_t i = 0; i < TIDE_BACK_SPANS; i++) {
		uint64_t *const to = &t->counts[TIDE_BACK + i * TIDE_BACK_NUMBERS];

		to[0] = p->spans[i].first;
		to[1] = p->spans[i].last;
		to[2] = p->spans[i].count;
	}
}

enum err store_put_backs(struct store *s, struct put_backs *ret, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db,
	                            "SELECT first_id, messages FROM imports"
	                            " WHERE substr(copy, 1, 8) = x'7075742d6261636b' AND substr(copy, 33, 16) = ?1"
	                            " AND messages > 0 AND " IMPORT_IS_SOUND " ORDER BY first_id",
	                            -1, &st, NULL);

	*ret = (struct put_backs){0};
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_blob(st, 1, &s->id, sizeof s->id, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW)
			put_backs_add(ret, sql_column_u64(st, 0), sql_column_u64(st, 1));
	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read what was put back from the shelf");
}

/* Of these that the file has. */
static uint64_t known_of(const struct put_back *b, const struct put_backs *here)
{
	uint64_t known = 0;

	for (size_t i = 0; i < TIDE_BACK_SPANS; i++)
		if (here->spans[i].count > 0 && here->spans[i].first >= b->first && here->spans[i].first <= b->last)
			known += here->spans[i].count;
	return known;
}

enum err store_put_backs_lost(struct store *s, uint64_t *ret, struct error *e)
{
	struct put_backs here;
	const enum err err = store_put_backs(s, &here, e);

	*ret = 0;
	for (size_t i = 0; i < TIDE_BACK_SPANS && err == ERR_OK; i++) {
		const uint64_t *const of = &s->tide.counts[TIDE_BACK + i * TIDE_BACK_NUMBERS];
		const struct put_back b = {of[0], of[1], of[2]};
		const uint64_t first = store_most(s->row.next_id, b.first);
		const uint64_t ended = first <= b.last ? left_count(s->left, first, b.last) : 0;

		*ret += store_beyond(b.count, known_of(&b, &here) + ended);
	}
	return err;
}
