/*
 * door_file_turns: whose turn it is.
 *
 * A file has its turn until it was read to its end, or for a second or 64 MiB when another one can be read: then it
 * rests, open, with its place in the message under way, and without bytes: those of a message whose end has not come
 * are read again. New names and files that rest take turns. At most READERS_MAX files are begun; what is behind them
 * waits.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "doors/door_file_internal.h"

enum { READERS_MAX = 64, TURN_BYTES = 64 << 20, ABSENT_FIRST_MS = 250, ABSENT_MAX_MS = 5000 };

struct reader *door_file_reader_new(struct door_file *f, size_t path)
{
	struct reader *r = mem_zero(sizeof *r);

	r->door = f;
	r->path = path;
	r->fd = -1;
	r->turn_ns = clock_mono_ns();
	return r;
}

void door_file_reader_free(struct reader *r)
{
	if (!r)
		return;
	feeder_fini(&r->feeder);
	if (r->fd >= 0)
		(void)close(r->fd);
	free(r->key);
	free(r->older_key);
	free(r);
}

void door_file_readers_free(struct door_file *f)
{
	struct reader *r;

	door_file_reader_free(take(f->at));
	while ((r = STAILQ_FIRST(&f->resting))) {
		STAILQ_REMOVE_HEAD(&f->resting, link);
		door_file_reader_free(r);
	}
}

bool door_file_is_read_by_another(const struct door_file *f)
{
	const struct reader *r;

	STAILQ_FOREACH (r, &f->resting, link)
		if (r->position.device == f->at->position.device && r->position.inode == f->at->position.inode)
			return true;
	return false;
}

/* A name that was not begun, and may be. */
static bool has_new(const struct door_file *f)
{
	return f->resting_count < READERS_MAX && paths_next(&f->paths, f->next) < f->paths.count;
}

bool door_file_others_wait(const struct door_file *f)
{
	return !STAILQ_EMPTY(&f->resting) || paths_next(&f->paths, 0) < f->paths.count;
}

/* While most of what was read is a message without its end, the turn goes on: to read that again would lead nowhere. */
bool door_file_turn_is_over(const struct door_file *f)
{
	const struct reader *r = f->at;
	const uint64_t again = r->feeder.filling->length - r->feeder.filling->scanned;

	return (r->turn_bytes >= TURN_BYTES || clock_mono_ns() - r->turn_ns >= NS_PER_S) &&
	       r->turn_bytes / 2 >= again && door_file_others_wait(f);
}

bool door_file_put_down(struct door_file *f)
{
	struct reader *r = f->at;

	if (!feeder_is_idle(&r->feeder))
		return false; /* an answer gives the next turn */
	(void)lseek(r->fd, -(off_t)feeder_put_down(&r->feeder), SEEK_CUR);
	STAILQ_INSERT_TAIL(&f->resting, r, link);
	f->resting_count++;
	f->at = NULL;
	return true;
}

static void take_up(struct door_file *f, struct reader *r)
{
	STAILQ_REMOVE(&f->resting, r, reader, link);
	f->resting_count--;
	f->at = r;
	r->turn_bytes = 0;
	r->turn_ns = clock_mono_ns();
}

/* The first that rests and is due; else *ret_due_ns is the earliest time that one is. */
static struct reader *find_due(struct door_file *f, int64_t now_ns, int64_t *ret_due_ns)
{
	struct reader *r;

	*ret_due_ns = INT64_MAX;
	STAILQ_FOREACH (r, &f->resting, link) {
		if (r->due_ns <= now_ns)
			return r;
		*ret_due_ns = r->due_ns < *ret_due_ns ? r->due_ns : *ret_due_ns;
	}
	return NULL;
}

/* After the last name, those that were not begun have their turn again, later each time. */
static void look_for_absent(struct door_file *f, int64_t now_ns)
{
	if (paths_next(&f->paths, f->next) < f->paths.count || paths_next(&f->paths, 0) == f->paths.count)
		return;
	if (f->absent_due_ns == 0) {
		f->absent_ms = f->absent_ms == 0 ? ABSENT_FIRST_MS : 2 * f->absent_ms;
		f->absent_ms = f->absent_ms > ABSENT_MAX_MS ? ABSENT_MAX_MS : f->absent_ms;
		f->absent_due_ns = now_ns + f->absent_ms * NS_PER_MS;
	} else if (f->absent_due_ns <= now_ns) {
		f->absent_due_ns = 0;
		f->next = 0;
	}
}

struct file_turn door_file_next(struct door_file *f)
{
	const int64_t now_ns = clock_mono_ns();
	int64_t due_ns;
	struct reader *r = find_due(f, now_ns, &due_ns);

	must(!f->at);
	look_for_absent(f, now_ns);
	if (has_new(f) && !(r && f->old_before_new)) {
		const size_t path = paths_next(&f->paths, f->next);

		f->old_before_new = true;
		f->next = path + 1;
		return (struct file_turn){.kind = TURN_NEW, .path = path};
	}
	if (r) {
		f->old_before_new = false;
		take_up(f, r);
		return (struct file_turn){.kind = TURN_OLD};
	}
	if (STAILQ_EMPTY(&f->resting) && paths_next(&f->paths, 0) == f->paths.count)
		return (struct file_turn){.kind = TURN_NONE};
	if (f->absent_due_ns != 0 && f->absent_due_ns < due_ns)
		due_ns = f->absent_due_ns;
	return (struct file_turn){.kind = TURN_LATER, .delay_ms = (long)((due_ns - now_ns) / NS_PER_MS) + 1};
}
