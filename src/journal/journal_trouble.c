/* Where the journal's life turns: what an error means for it, and which phase follows which. */
#include "journal/journal_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void journal_enter(struct journal *j, enum journal_phase phase)
{
	static const unsigned moves[] = {
	    [JOURNAL_RUNNING] = 1u << JOURNAL_DRAINING | 1u << JOURNAL_CONDEMNED,
	    [JOURNAL_DRAINING] = 1u << JOURNAL_CLOSED | 1u << JOURNAL_CONDEMNED,
	    [JOURNAL_CLOSED] = 0,
	    [JOURNAL_CONDEMNED] = 0,
	};

	must(moves[j->phase] & 1u << phase);
	j->phase = phase;
}

void journal_look(struct journal *j, enum journal_looking looking)
{
	static const unsigned moves[] = {
	    [LOOKING_FOR_SALVAGE] = 1u << LOOKING_FOR_SALVAGE | 1u << LOOKING_FOR_ROWS,
	    [LOOKING_FOR_ROWS] = 1u << LOOKING_FOR_SALVAGE | 1u << LOOKING_FOR_NOTHING,
	    [LOOKING_FOR_NOTHING] = 1u << LOOKING_FOR_SALVAGE | 1u << LOOKING_FOR_ROWS,
	};

	must(moves[j->looking] & 1u << looking);
	j->looking = looking;
}

void journal_look_again(struct journal *j)
{
	if (j->looking == LOOKING_FOR_NOTHING)
		journal_look(j, LOOKING_FOR_ROWS);
}

/* Intake is refused before anybody else can ask. */
void journal_condemn(struct journal *j, const struct error *e)
{
	journal_enter(j, JOURNAL_CONDEMNED);
	atomic_store(&j->published.full, ERR_DISK);
	j->on_condemned(e);
	never("on_condemned returned");
}

void journal_defer(struct journal *j, struct store_settlements *group)
{
	for (uint32_t i = 0; i < group->count; i++) {
		const struct claim_slot *claim = claims_find(&j->claims, group->items[i].id);

		group->items[i].may_be_gone = claim && claim->is_orphan;
	}
	if (j->late_count == j->late_capacity) {
		j->late_capacity = j->late_capacity ? j->late_capacity * 2 : LANE_SETTLEMENTS;
		j->late = mem_grow(j->late, j->late_capacity, sizeof *j->late);
	}
	j->late[j->late_count++] = group;
}

/* What was settled and not committed was in the file that is set aside. */
static void defer_settlements(struct journal *j)
{
	for (size_t i = 0; i < j->held_count; i++)
		journal_defer(j, j->held[i]);
	j->held_count = 0;
	j->held_rows = 0;
	j->held_bytes = 0;
	j->held_is_urgent = false;
	for (size_t i = 0; i < j->waiting_count; i++) {
		struct store_settlements *group = j->waiting[i];
		uint32_t done = i == 0 ? (uint32_t)j->waiting_done : 0;

		for (uint32_t k = 0; k < done; k++)
			free(group->items[k].reason);
		group->count -= done;
		memmove(group->items, group->items + done, group->count * sizeof *group->items);
		journal_defer(j, group);
	}
	j->waiting_count = 0;
	j->waiting_done = 0;
	if (j->growing)
		journal_defer(j, j->growing);
	j->growing = NULL;
}

/* Damage found while running: new files in place of the old ones. */
static void restart_damaged(struct journal *j, const struct error *why)
{
	struct store_report report;
	struct error e;
	enum err err = store_restart_damaged(j->store, &report, &e);

	if (err != ERR_OK)
		journal_condemn(j, &e);
	if (j->options.on_damaged)
		j->options.on_damaged(why, &report);
	/* Everything is read again from the first id; what delivery has is skipped by its claim. */
	claims_orphan(&j->claims);
	defer_settlements(j);
	j->cursor = 0;
	ranges_fini(&j->returned);
	journal_look(j, LOOKING_FOR_SALVAGE); /* each step of which asks anew what fails and when it is due */
}

/* Files deleted or exchanged under us: nothing more is accepted into them, what they hold is still sent. */
void journal_watch(struct journal *j, enum err (*watch)(struct store *s, bool *ret_lost, struct error *e))
{
	struct error e;
	bool lost;

	if (atomic_load(&j->published.lost) || watch(j->store, &lost, &e) == ERR_OK)
		return;
	if (!lost)
		journal_condemn(j, &e);
	j->published.lost_why = e;
	atomic_store(&j->published.lost, true);
	if (j->options.on_lost)
		j->options.on_lost(&e);
	journal_publish(j, true);
}

/* Of a group, from one on: those that have left, and those that stay: for the shelf, or for another try. */
struct unwritten {
	uint64_t left, stay;
};

static void count_unwritten(struct unwritten *u, const struct store_settlements *group, size_t from)
{
	for (size_t i = from; group && i < group->count; i++) {
		if (store_room_of(&group->items[i]) == 0)
			u->left++;
		else
			u->stay++;
	}
}

enum err journal_unwritten(struct journal *j, struct error *e)
{
	struct unwritten u = {0};
	void *group;

	while (lane_take(j->settlements, &group, 1) == 1) { /* they came behind those that wait */
		count_unwritten(&u, group, 0);
		store_settlements_free(group);
	}
	for (size_t i = 0; i < j->held_count; i++)
		count_unwritten(&u, j->held[i], 0);
	for (size_t i = 0; i < j->waiting_count; i++)
		count_unwritten(&u, j->waiting[i], i == 0 ? j->waiting_done : 0);
	count_unwritten(&u, j->growing, 0);
	if (u.left > 0)
		return error_set(
		    e, ERR_NOSPACE,
		    "there was no room to write that %" PRIu64
		    " messages of %s have left: the next start sends them again, and counts them as possible"
		    " duplicates",
		    u.left, j->options.store.path);
	if (u.stay > 0)
		return error_set(e, ERR_NOSPACE,
		                 "there was no room to set %" PRIu64
		                 " messages of %s aside, or to note that they failed: they wait, and the next start"
		                 " looks at them anew",
		                 u.stay, j->options.store.path);
	return ERR_OK;
}

bool journal_survives(struct journal *j, enum err err, const struct error *e)
{
	if (err == ERR_OK)
		return true;
	if (err == ERR_DAMAGED)
		restart_damaged(j, e);
	else if (err != ERR_FULL && err != ERR_MEMORY)
		journal_condemn(j, e);
	return false;
}
