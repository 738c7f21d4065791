/*
 * Keys of `dedupe`, decided in the transaction that stores the messages.
 *
 * Invariants:
 * 1. A key is remembered if and only if a message that stands for its origin is stored by the same commit as a row.
 * 2. An origin is known when its own key is, or when it has parents and all of them are known. Every message of a known
 *    origin is filtered and counted so, those for the shelf too; no other message is.
 * 3. So what was joined of several origins is kept as long as one of them is new: a duplicate inside it is better than
 *    a loss.
 * 4. A fate is asked once a commit. Undecided is no fate: while nothing of an origin is stored, another one with the
 *    same key may still be first.
 * 5. A known origin adds no key, neither its own nor its parents': they would speak of a message that is nowhere.
 * 6. What was filtered is gone, and was filtered for what this commit was to hold. So an offer of which something was
 *    filtered is not written a second time when the commit fails: its door brings it again.
 * 7. After the commit no message of an accepted offer has an origin: the count of references is one thread's.
 */
#include "journal/journal_internal.h"

#include "base/check.h"
#include "base/clock.h"

static enum err ask(struct journal *j, struct origin *o, bool *ret_known, struct error *e);

static enum err ask_all(struct journal *j, const struct origin *o, bool *ret_known, struct error *e)
{
	enum err err = ERR_OK;

	*ret_known = o->parent_count > 0;
	for (uint32_t i = 0; i < o->parent_count && err == ERR_OK && *ret_known; i++)
		err = ask(j, o->parents[i], ret_known, e);
	return err;
}

/* Chains are walked, joins recursed into; known nodes say so afterwards. */
static enum err ask(struct journal *j, struct origin *o, bool *ret_known, struct error *e)
{
	enum err err = ERR_OK;
	struct origin *at = o;

	for (;; at = at->parents[0]) {
		enum origin_fate fate = origin_fate(at, j->commits);

		*ret_known = fate == ORIGIN_KNOWN;
		if (!at->keyed || fate != ORIGIN_UNDECIDED)
			break;
		if (at->key)
			err = store_cache_has(j->store, at->key->cache, at->key->key, at->key->bytes, ret_known, e);
		if (err == ERR_OK && !*ret_known && at->parent_count != 1)
			err = ask_all(j, at, ret_known, e);
		if (err != ERR_OK || *ret_known || at->parent_count != 1)
			break;
	}
	if (err != ERR_OK || !*ret_known)
		return err;
	for (struct origin *n = o; origin_fate(n, j->commits) == ORIGIN_UNDECIDED; n = n->parents[0]) {
		origin_decide(n, j->commits, ORIGIN_KNOWN);
		if (n == at)
			break;
	}
	return ERR_OK;
}

/* o is not known: remembers its keys, and those of parents that are not. */
static enum err remember(struct journal *j, struct origin *o, struct error *e)
{
	enum err err = ERR_OK;

	while (err == ERR_OK && o->keyed && origin_fate(o, j->commits) == ORIGIN_UNDECIDED) {
		bool is_new;

		origin_decide(o, j->commits, ORIGIN_KEPT);
		if (o->key)
			err = store_cache_add(j->store, o->key->cache, o->key->key, o->key->bytes, o->key->ttl_ms,
			                      &is_new, e);
		for (uint32_t i = 0; o->parent_count > 1 && i < o->parent_count && err == ERR_OK; i++) {
			bool known;

			err = ask(j, o->parents[i], &known, e);
			if (err == ERR_OK && !known)
				err = remember(j, o->parents[i], e);
		}
		if (o->parent_count != 1)
			break;
		o = o->parents[0];
	}
	return err;
}

/* Takes the messages of known origins out of the list; what stays is remembered when it will be rows. */
static enum err filter_list(struct journal *j, struct message_list *list, bool rows, uint32_t *filtered,
                            uint64_t *filtered_bytes, struct error *e)
{
	struct message_list kept = STAILQ_HEAD_INITIALIZER(kept);
	enum err err = ERR_OK;
	struct message *m;

	while ((m = STAILQ_FIRST(list))) {
		bool known = false;

		STAILQ_REMOVE_HEAD(list, link);
		if (m->origin && m->origin->keyed && err == ERR_OK)
			err = ask(j, m->origin, &known, e);
		if (rows && m->origin && !known && err == ERR_OK)
			err = remember(j, m->origin, e);
		if (known) {
			(*filtered)++;
			*filtered_bytes += message_cost(m);
			message_free(m);
		} else {
			STAILQ_INSERT_TAIL(&kept, m, link);
		}
	}
	STAILQ_CONCAT(list, &kept);
	return err;
}

static bool has_keys(const struct message_list *list)
{
	const struct message *m;

	STAILQ_FOREACH (m, list, link)
		if (m->origin && m->origin->keyed)
			return true;
	return false;
}

static uint64_t room_of(const struct journal *j, const struct origin *o)
{
	return o->keyed && o->key ? store_room_of_key(j->store, o->key->bytes) : 0;
}

uint64_t journal_keys_room(const struct journal *j, const struct message_list *list)
{
	const struct origin *before = NULL, *seen = NULL, *o;
	const struct message *m;
	uint64_t room = 0;

	STAILQ_FOREACH (m, list, link) {
		if (!m->origin || !m->origin->keyed || m->origin == before)
			continue;
		before = m->origin;
		for (o = before; o && o != seen; o = o->parent_count == 1 ? o->parents[0] : NULL) {
			room += room_of(j, o);
			for (uint32_t i = 0; o->parent_count > 1 && i < o->parent_count; i++)
				room += room_of(j, o->parents[i]);
		}
		seen = before->parent_count == 1 ? before->parents[0] : before;
	}
	return room;
}

enum err journal_keys_filter(struct journal *j, struct offer *offer, struct error *e)
{
	uint32_t filtered = 0, shelf = 0;
	uint64_t bytes = 0, shelf_bytes = 0;
	enum err err = ERR_OK;

	must(j->commits > 0 && store_in_group(j->store));
	if (has_keys(&offer->messages))
		err = filter_list(j, &offer->messages, true, &filtered, &bytes, e);
	if (err == ERR_OK && has_keys(&offer->set_aside))
		err = filter_list(j, &offer->set_aside, false, &shelf, &shelf_bytes, e);
	offer->count -= filtered;
	offer->bytes -= bytes;
	offer->set_aside_count -= shelf;
	offer->filtered += filtered + shelf;
	offer->known += filtered + shelf;
	return err;
}

void journal_keys_release(struct offer *offer)
{
	struct message *m;

	STAILQ_FOREACH (m, &offer->messages, link)
		message_set_origin(m, NULL);
}
