/*
 * PATH.left as a whole: opened, looked at, and written with each group.
 *
 * Invariants:
 * 1. Nothing of an open group is known before it was committed, and nothing of it is when it was undone.
 * 2. A bit that is taken back is on the disk before the first slot says so; before that a reader believes none of those
 *    that wait.
 * 3. A file that cannot be opened is left as it stands, for a later run: this one writes nothing then.
 */
#include "store/files/left_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/byte_order.h"
#include "base/cleanup.h"
#include "base/mem.h"

/* Opening */

/* Of two of one number the later one counts. */
static void take_slot_of_file(struct left *l, uint32_t slot, const unsigned char bytes[SLOT_BYTES])
{
	const struct part p = {.number = get_little(bytes + SLOT_NUMBERS, 8),
	                       .run = get_little(bytes + SLOT_NUMBERS + 8, 8),
	                       .commit = get_little(bytes + SLOT_NUMBERS + 16, 8),
	                       .slot = slot,
	                       .ones = left_ones(bytes + SLOT_BITS, 0, PART_IDS - 1)};
	const size_t at = left_seek(l, p.number);
	bool is_later;

	l->commit = p.commit > l->commit ? p.commit : l->commit;
	if (at == l->count || l->parts[at].number != p.number) {
		left_put_part(l, at == l->count ? 0 : at + 1, p);
		return;
	}
	is_later = p.commit > l->parts[at].commit;
	left_use_slot(l, is_later ? l->parts[at].slot : slot, SLOT_FREE);
	if (is_later)
		l->parts[at] = p;
}

static void read_all(struct left *l)
{
	const off_t end = lseek(l->fd, 0, SEEK_END);
	unsigned char bytes[SLOT_BYTES];

	for (uint32_t slot = 1; slot * (off_t)SLOT_BYTES < end; slot++) {
		const bool is_whole = left_read_slot(l, slot, bytes) && left_is_slot(bytes, left_part_magic);
		const bool is_ours = is_whole && spool_id_is(left_spool_of(bytes), l->id);

		l->is_damaged |= !is_whole;
		left_use_slot(l, slot, is_ours ? SLOT_USED : SLOT_FREE);
		if (is_ours)
			take_slot_of_file(l, slot, bytes);
	}
	for (size_t i = 0; i + 1 < l->count;) {
		if (l->parts[i + 1].number <= left_end(&l->parts[i])) /* it became one of that run */
			left_remove_part(l, i + 1);
		else
			i++;
	}
}

/* False: there is none of this spool. */
static bool read_head(struct left *l)
{
	unsigned char bytes[SLOT_BYTES];
	const bool is_whole = left_read_slot(l, 0, bytes);

	if (!is_whole && (l->fd < 0 || lseek(l->fd, 0, SEEK_END) == 0))
		return false;
	l->is_damaged = !is_whole || !left_is_slot(bytes, left_head_magic);
	l->was_anothers = !l->is_damaged && !spool_id_is(left_spool_of(bytes), l->id);
	if (l->is_damaged || l->was_anothers)
		return false;
	l->taken_back = get_little(bytes + SLOT_NUMBERS, 8);
	l->whole_from = get_little(bytes + SLOT_NUMBERS + 8, 8);
	l->synced = get_little(bytes + SLOT_NUMBERS + 16, 8);
	return true;
}

/* What was there goes to another name: a person may want to look at it. */
static void begin(struct left *l)
{
	struct error unused;

	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
	if (files_rename(l->files, ".left", ".left.other", &unused) == ERR_OK)
		l->fd = files_open_one(l->files, ".left", O_RDWR | O_CREAT | O_NONBLOCK);
	l->trouble = l->fd < 0 ? errno : 0;
	left_write_head(l);
}

struct left *left_open(const struct files *f, struct spool_id id, bool writes)
{
	struct left *l = mem_zero(sizeof *l);
	bool is_there;

	l->files = f;
	l->id = id;
	l->slots = 1;
	l->fd = files_open_one(f, ".left", (writes ? O_RDWR : O_RDONLY) | O_NONBLOCK);
	l->trouble = l->fd < 0 && errno != ENOENT ? errno : 0;
	is_there = read_head(l);
	if (is_there)
		read_all(l);
	l->unread = l->trouble;
	l->is_damaged |= l->trouble != 0;
	if (l->fd >= 0 && l->trouble != 0) /* half of it is worth no more than none: a new file gets other sectors */
		is_there = false;
	if (!is_there) {
		l->count = 0;
		l->slots = 1;
		l->commit = l->whole_from = l->synced = 0;
	}
	if (!is_there && writes && (l->fd >= 0 || l->trouble == 0))
		begin(l);
	return l;
}

enum err left_find(const struct files *f, struct spool_id *ret, struct error *e)
{
	AUTOCLOSE int fd = -1;
	unsigned char bytes[SLOT_BYTES];
	size_t count = 0;
	enum err err = files_open_read(f, ".left", O_RDONLY, &fd, e);

	*ret = (struct spool_id){0};
	if (err == ERR_OK && fd >= 0)
		err = files_read_at(fd, bytes, sizeof bytes, 0, &count, e);
	if (err == ERR_OK && count == sizeof bytes && left_is_slot(bytes, left_head_magic))
		*ret = left_spool_of(bytes);
	return err == ERR_OK ? ERR_OK : error_wrap(e, "%s.left", f->path);
}

struct spool_id left_names(const struct files *f)
{
	struct spool_id id = {0};
	struct error why;

	for (int i = 0; i < TRIES && left_find(f, &id, &why) != ERR_OK; i++)
		;
	return id;
}

void left_close(struct left *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		(void)close(l->fd);
	free(l->parts);
	free(l->slot_uses);
	free(l->changes);
	free(l);
}

int left_trouble(const struct left *l) { return l->trouble; }

int left_unread(const struct left *l) { return l->unread; }

bool left_is_doubtful(const struct left *l) { return l->is_damaged || l->was_anothers; }

uint64_t left_commit(const struct left *l) { return l->commit; }

/* What is missing is said by the first slot, or, where that was refused too, by a commit that the file has not. */
uint64_t left_commit_due(const struct left *l) { return l->commit + (l->is_behind && l->head_is_due); }

uint64_t left_taken_back(const struct left *l) { return l->taken_back; }

uint64_t left_whole_from(const struct left *l) { return l->whole_from; }

uint64_t left_synced(const struct left *l) { return l->synced; }

void left_sync(struct left *l, uint64_t commit)
{
	if (l->fd < 0 || l->synced == commit || fdatasync(l->fd) != 0 || l->is_behind)
		return;
	l->synced = commit;
	left_write_head(l);
}

void left_be_whole_from(struct left *l, uint64_t id)
{
	if (l->whole_from == id || (l->fd >= 0 && fdatasync(l->fd) != 0))
		return;
	l->whole_from = id;
	left_write_head(l);
}

/* Looking */

uint64_t left_count(struct left *l, uint64_t first, uint64_t last)
{
	const uint64_t low = left_number(first), high = left_number(last);
	const size_t below = left_seek(l, low);
	uint64_t n = 0;

	for (size_t i = below == l->count ? 0 : below; i < l->count && l->parts[i].number <= high; i++) {
		struct part *p = &l->parts[i];
		const uint64_t run_first = p->number + 1 > low ? (p->number + 1) * PART_IDS + 1 : first;
		const uint64_t run_last = left_end(p) < high ? (left_end(p) + 1) * PART_IDS : last;

		if (p->number >= low)
			n += left_ones(left_load(l, p)->bits, p->number == low ? left_place(first) : 0,
			               p->number == high ? left_place(last) : PART_IDS - 1);
		if (p->run > 0 && run_first <= run_last && left_end(p) >= low)
			n += run_last - run_first + 1;
	}
	return n;
}

bool left_has(struct left *l, uint64_t id) { return left_count(l, id, id) > 0; }

uint64_t left_highest(struct left *l)
{
	for (size_t i = l->count; i-- > 0;) {
		struct part *p = &l->parts[i];

		if (p->run > 0)
			return (left_end(p) + 1) * PART_IDS;
		for (uint32_t at = PART_IDS; at-- > 0;)
			if (left_load(l, p)->bits[at / 8] >> at % 8 & 1)
				return p->number * PART_IDS + at + 1;
	}
	return 0;
}

/* Of the open group */

static void add_change(struct left *l, uint64_t first, uint64_t last, bool is_back)
{
	struct change *before = l->change_count > 0 ? &l->changes[l->change_count - 1] : NULL;

	if (before && before->is_back == is_back && before->last + 1 == first) {
		before->last = last;
		return;
	}
	if (!l->changes || l->change_count == l->change_capacity) {
		l->change_capacity = l->change_capacity ? l->change_capacity * 2 : 16;
		l->changes = mem_grow(l->changes, l->change_capacity, sizeof *l->changes);
	}
	l->changes[l->change_count++] = (struct change){.first = first, .last = last, .is_back = is_back};
}

void left_note(struct left *l, uint64_t first, uint64_t last) { add_change(l, first, last, false); }

void left_note_back(struct left *l, uint64_t id)
{
	add_change(l, id, id, true);
	l->takes_back = true;
}

bool left_takes_back(const struct left *l) { return l->takes_back; }

void left_forget(struct left *l)
{
	l->change_count = 0;
	l->takes_back = false;
}

struct left_place left_noted(const struct left *l)
{
	return (struct left_place){l->change_count, l->change_count > 0 ? l->changes[l->change_count - 1].last : 0};
}

void left_forget_since(struct left *l, struct left_place place)
{
	l->change_count = place.count;
	if (place.count > 0) /* a neighbour's end is one with it */
		l->changes[place.count - 1].last = place.last;
}

static bool is_dirty(const struct left *l)
{
	bool found = false;

	for (size_t i = 0; i < LOADED && !found; i++)
		found = l->loaded[i].used > 0 && l->loaded[i].is_dirty;
	return found;
}

/* What left its slot needs it no more when all is written. */
static bool write_all(struct left *l)
{
	bool all = true;

	l->trouble = 0;
	if (l->head_is_due)
		left_write_head(l);
	for (size_t i = 0; i < LOADED; i++)
		if (l->loaded[i].used > 0 && l->loaded[i].is_dirty) {
			left_write_part(l, &l->loaded[i]);
			all &= !l->loaded[i].is_dirty;
		}
	all &= left_fill_holes(l);
	if (l->is_behind != !all) {
		l->is_behind = !all;
		left_write_head(l);
	}
	if (!all || l->head_is_due)
		return false;
	left_free_slots(l);
	return true;
}

/* The file ends with its last part; one that stands behind more free ones than there are parts moves forward. */
static void shorten(struct left *l)
{
	const uint32_t had = l->slots;

	while (l->slots > 1 && l->slot_uses[l->slots - 1] == SLOT_FREE)
		l->slots--;
	if (l->slots < had && l->fd >= 0)
		(void)!ftruncate(l->fd, (off_t)l->slots * SLOT_BYTES);
	for (size_t i = 0; i < l->count && l->slots > 2 * l->count + 1; i++)
		if (l->parts[i].slot == l->slots - 1) {
			left_use_slot(l, l->parts[i].slot, SLOT_LEFT);
			l->parts[i].slot = left_take_slot(l);
			left_set_dirty(l, &l->parts[i]);
			break;
		}
}

/* What was refused before. */
static void write_what_is_due(struct left *l)
{
	if (l->fd < 0 || (!l->head_is_due && l->unconfirmed == 0 && !l->is_behind && !is_dirty(l)) || !write_all(l))
		return;
	if (l->unconfirmed > 0)
		left_confirm(l, l->unconfirmed);
}

/* The first slot says what the others prove: it is written when they are on the disk. */
static void copy_slots(struct left *l, int fd)
{
	unsigned char bytes[SLOT_BYTES];

	l->trouble = 0;
	for (uint32_t slot = l->slots; slot-- > 0 && l->trouble == 0;) {
		if (slot == 0 && fdatasync(fd) != 0) {
			l->trouble = errno;
		} else if (left_read_slot(l, slot, bytes)) {
			const ssize_t written = pwrite(fd, bytes, SLOT_BYTES, (off_t)slot * SLOT_BYTES);

			l->trouble = written == SLOT_BYTES ? 0 : written < 0 ? errno : ENOSPC;
		}
	}
}

/* What is not read says nothing of it. */
static bool is_other(struct left *l, uint32_t slot, const char magic[8], uint64_t number)
{
	const int before = l->trouble;
	unsigned char bytes[SLOT_BYTES] = {0};
	bool is_read;

	l->trouble = 0;
	is_read = left_read_slot(l, slot, bytes) || l->trouble == 0;
	l->trouble = before;
	return is_read && (!left_is_slot(bytes, magic) || !spool_id_is(left_spool_of(bytes), l->id) ||
	                   (slot > 0 && get_little(bytes + SLOT_NUMBERS, 8) != number));
}

/* Something that we did not write stands in it, or what we wrote does not. Of many parts some are looked at each time,
 * but for the first slot. */
static bool is_overwritten(struct left *l, off_t bytes)
{
	enum { PARTS_AT_ONCE = 256 };
	const size_t end = l->looked + PARTS_AT_ONCE < l->count ? l->looked + PARTS_AT_ONCE : l->count;
	bool found = bytes > (off_t)l->slots * SLOT_BYTES || is_other(l, 0, left_head_magic, 0);

	for (size_t i = l->looked; i < end && !found; i++)
		found = is_other(l, l->parts[i].slot, left_part_magic, l->parts[i].number);
	l->looked = end < l->count ? end : 0;
	return found;
}

/* What is in memory is written first: room there is needed for the rest, which may be gone. */
static bool mend_inside(struct left *l)
{
	l->slots = l->count == 0 ? 1 : l->slots;
	for (uint32_t slot = 1; slot < l->slots; slot++)
		if (l->slot_uses[slot] != SLOT_USED) /* whatever stands there now */
			l->slot_uses[slot] = SLOT_HOLE;
	for (size_t i = 0; i < LOADED; i++)
		l->loaded[i].is_dirty |= l->loaded[i].used > 0;
	l->head_is_due = true;
	(void)!ftruncate(l->fd, (off_t)l->slots * SLOT_BYTES);
	if (!write_all(l))
		return false;
	for (size_t i = 0; i < l->count; i++)
		if (is_other(l, l->parts[i].slot, left_part_magic, l->parts[i].number))
			left_set_dirty(l, &l->parts[i]);
	return write_all(l);
}

bool left_look(struct left *l)
{
	AUTOFREE char *name = mem_format("%s.left", l->files->name);
	struct stat held, named = {0};
	struct error e;
	enum err moved = ERR_OK;
	int fd;

	write_what_is_due(l);
	if (l->fd < 0 || fstat(l->fd, &held) != 0)
		return false;
	if (fstatat(l->files->dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && held.st_dev == named.st_dev &&
	    held.st_ino == named.st_ino)
		return !l->head_is_due && !l->is_behind && !is_dirty(l) && is_overwritten(l, held.st_size) &&
		       mend_inside(l);
	if (S_ISREG(named.st_mode)) /* a person may want to look at it */
		moved = files_rename(l->files, ".left", ".left.other", &e);
	fd = moved == ERR_OK ? files_open_one(l->files, ".left", O_RDWR | O_CREAT | O_EXCL) : -1;
	if (fd < 0) {
		l->trouble = errno;
		return false;
	}
	copy_slots(l, fd);
	if (l->trouble != 0) { /* half of it is none: the next look tries again */
		(void)close(fd);
		files_remove(l->files, ".left");
		return false;
	}
	(void)close(l->fd);
	l->fd = fd;
	return true;
}

void left_keep(struct left *l, uint64_t commit)
{
	const bool takes_back = l->takes_back;
	const uint64_t before = l->commit;

	if (l->change_count == 0)
		return;
	l->commit = commit;
	for (size_t i = 0; i < l->change_count; i++) {
		const struct change *c = &l->changes[i];

		for (uint64_t id = c->first; c->is_back && id <= c->last; id++)
			left_clear(l, id);
		if (!c->is_back)
			left_set(l, c->first, c->last);
	}
	left_forget(l);
	if (takes_back)
		l->unconfirmed = commit;
	if (!is_dirty(l))
		l->commit = before;
	if (!write_all(l))
		return;
	shorten(l);
	if (l->unconfirmed > 0)
		left_confirm(l, l->unconfirmed);
}

void left_confirm(struct left *l, uint64_t commit)
{
	if (l->fd < 0 || !write_all(l) || fdatasync(l->fd) != 0)
		return;
	l->taken_back = commit;
	l->unconfirmed = 0;
	left_write_head(l);
}
