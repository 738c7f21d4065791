/*
 * Invariants:
 * 1. What is written at once stands together, ends with its checksum, and is one write: a kill leaves it whole.
 * 2. At no moment is a message that may have been sent in none of the counts.
 * 3. A count that is not what was written, or is of another spool, is not believed: the last commit bounds it then.
 * 4. A file that could not be written is not believed by the next start (PATH.flight.unsure).
 * 5. Nor is one of another boot, or one that was put in its place, when the last run did not end well: what it says may
 * be of before the last sends, though no commit came since. How many were possible by answers that were lost is synced
 * first, as `ceiling`.
 * 6. Delivery waits for the journal while it makes a file anew that is not what was written; the journal never waits.
 */
#include "journal/flight.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/files/flight_file.h"

/* Where answers are lost often the ceiling goes ahead, so that the disk is waited for at most one part in so many of
 * the time. */
enum { SYNC_PART = 20 };

static const char unsure[] = ".unsure";

/* A rename needs no room. */
static bool take_away(const struct flight *f)
{
	AUTOFREE char *name = mem_format("%s%s", f->path, unsure);

	return rename(f->path, name) == 0 || unlink(f->path) == 0 || errno == ENOENT;
}

/* A file that was not written any more must not be believed by the next start. */
static void set_unsure(struct flight *f)
{
	struct error e;

	if (atomic_exchange(&f->is_unsure, true) || take_away(f))
		return;
	atomic_store(&f->is_stale, true);
	if (f->on_stale) {
		(void)flight_stale(f, &e);
		f->on_stale(&e);
	}
}

enum err flight_stale(const struct flight *f, struct error *e)
{
	return error_set(e, ERR_DISK,
	                 "%s can be neither written nor taken away: what is sent could not be counted, so nothing is",
	                 f->path);
}

/* Delivery's numbers and the descriptor change under it alone: the journal makes the file anew with all of them. */
static void hold(struct flight *f)
{
	while (atomic_exchange(&f->is_held, true))
		(void)sched_yield();
}

static void let_go(struct flight *f) { atomic_store(&f->is_held, false); }

/* All that it says, as it is known here. */
static void all_of(const struct flight *f, uint64_t n[FLIGHT_NUMBERS])
{
	const uint64_t all[FLIGHT_NUMBERS] = {[AT_MAGIC] = FLIGHT_MAGIC,
	                                      [AT_OPENED] = f->opened,
	                                      [AT_SPOOL_HIGH] = f->spool[0],
	                                      [AT_SPOOL_LOW] = f->spool[1],
	                                      [AT_POSSIBLE] = atomic_load(&f->possible),
	                                      [AT_SENDING] = f->sending,
	                                      [AT_DELIVERED] = f->delivered,
	                                      [AT_SETTLED] = f->settled,
	                                      [AT_STATE] = f->state,
	                                      [AT_NEXT_SETTLED] = f->settled,
	                                      [AT_NEXT_STATE] = f->state,
	                                      [AT_BOOT] = f->here,
	                                      [AT_CEILING] = f->ceiling};

	memcpy(n, all, sizeof all);
	files_flight_sum_all(n);
}

static bool put(struct flight *f, const uint64_t *numbers, int first, int count)
{
	const size_t bytes = (size_t)count * sizeof *numbers;
	ssize_t written;
	int trouble;

	if (f->fd < 0)
		return false;
	written = pwrite(f->fd, numbers, bytes, first * (off_t)sizeof *numbers);
	trouble = written == (ssize_t)bytes ? 0 : written < 0 ? errno : ENOSPC;
	atomic_store(&f->trouble, trouble);
	if (trouble)
		set_unsure(f);
	return trouble == 0;
}

static bool put_group(struct flight *f, const uint64_t *numbers, int first, int count)
{
	uint64_t out[AT_DELIVERY_SUM - AT_POSSIBLE + 1];

	must((size_t)count < sizeof out / sizeof *out);
	memcpy(out, numbers, (size_t)count * sizeof *numbers);
	out[count] = files_flight_sum(numbers, first, count);
	return put(f, out, first, count + 1);
}

static uint64_t found_in(const uint64_t n[FLIGHT_NUMBERS], uint64_t settled)
{
	uint64_t out = n[AT_SENDING] + n[AT_DELIVERED];

	return out > settled ? out - settled : 0;
}

/* Under the name that it has; one that could not be written keeps its name, and what it says, until it can be. */
static int open_file(struct flight *f, const char *not_sure)
{
	const int how = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	int fd = open(f->path, how);

	if (fd < 0 && errno == ENOENT) {
		fd = open(not_sure, how);
		atomic_store(&f->is_unsure, fd >= 0);
	}
	return fd >= 0 ? fd : open(f->path, how | O_CREAT, 0600);
}

uint64_t flight_open(struct flight *f, const struct flight_start *start)
{
	AUTOFREE char *not_sure = mem_format("%s.flight%s", start->path, unsure);
	uint64_t n[FLIGHT_NUMBERS], found = 0, at_most;
	uint64_t possible = start->possible;
	bool is_whole, is_exact, is_known = true;
	struct flight_found there;

	f->path = mem_format("%s.flight", start->path);
	atomic_store(&f->is_unsure, false);
	f->fd = open_file(f, not_sure);
	atomic_store(&f->trouble, f->fd < 0 ? errno : 0);
	there = files_flight_read(f->fd);
	is_whole = there.has_counts;
	f->was_anothers = files_flight_is_anothers(&there, start->spool);
	f->was_damaged = there.is_damaged;
	is_whole &= !f->was_anothers;
	if (is_whole && there.n[AT_POSSIBLE] > possible)
		possible = there.n[AT_POSSIBLE];
	if (!f->was_anothers && start->unclean && (!is_whole || !there.is_of_boot) && there.has_ceiling &&
	    there.n[AT_CEILING] > possible)
		possible = there.n[AT_CEILING];
	at_most = is_whole && there.has_settled ? found_in(there.n, there.n[AT_SETTLED]) : 0;
	/* What it said before it could not be written any more: the database may have had no room for that either. */
	if (atomic_load(&f->is_unsure) && start->unclean && is_whole && there.n[AT_POSSIBLE] + at_most > possible)
		possible = there.n[AT_POSSIBLE] + at_most;
	if (access(not_sure, F_OK) == 0) /* nothing bounds it but what is there */
		found = start->pending;
	else if (start->unclean && !there.is_of_boot)
		is_known = false;
	else if (is_whole && there.has_settled && there.n[AT_STATE] == start->state)
		found = found_in(there.n, there.n[AT_SETTLED]);
	else if (is_whole && there.has_next && there.n[AT_NEXT_STATE] == start->state)
		found = found_in(there.n, there.n[AT_NEXT_SETTLED]); /* it died while the commit was being synced */
	else
		is_known = false;
	is_exact = is_whole && there.has_settled && there.is_of_boot; /* whatever the database says */
	if (!is_known && (start->unclean || (start->is_anew && !is_exact)))
		found = start->handed < start->pending ? start->handed : start->pending;
	/* The database is of another time than the file, or a new one of a run that was killed before its first
	 * commit. */
	if ((start->is_anew || (!is_known && start->unclean)) && at_most > found)
		found = at_most;
	memcpy(f->spool, start->spool, sizeof f->spool);
	atomic_store(&f->possible, possible + found);
	f->opened = f->ceiling = possible + found; /* the spool says it, too */
	f->sending = f->delivered = f->settled = 0;
	f->state = start->state;
	f->here = files_flight_here(f->fd);
	f->spare = 0;
	f->raised_ns = f->sync_ns = 0;
	all_of(f, n);
	if (put(f, n, 0, FLIGHT_NUMBERS)) {
		if (atomic_load(&f->is_unsure))
			atomic_store(&f->is_unsure, rename(not_sure, f->path) != 0);
		else
			(void)unlink(not_sure);
	}
	return found;
}

/* All is known again when all of it can be written. */
static void be_sure_again(struct flight *f)
{
	AUTOFREE char *name = mem_format("%s%s", f->path, unsure);
	uint64_t n[FLIGHT_NUMBERS];

	all_of(f, n);
	if (put(f, n, 0, FLIGHT_NUMBERS))
		(void)rename(name, f->path);
}

static bool is_at_path(const struct flight *f)
{
	struct stat held, named;

	return fstat(f->fd, &held) != 0 ||
	       (lstat(f->path, &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino);
}

/* What stands under its name is none of ours, and may have another name: it is not written to. On the disk before
 * anything else is sent, for the ceiling in the old one was. 0, or errno: the old one goes on. */
static int make_anew(struct flight *f)
{
	const uint64_t before = f->here;
	uint64_t n[FLIGHT_NUMBERS];
	int fd, trouble;

	(void)unlink(f->path);
	fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	f->here = files_flight_here(fd);
	all_of(f, n);
	errno = ENOSPC; /* of a short write */
	trouble = pwrite(fd, n, sizeof n, 0) == (ssize_t)sizeof n && fsync(fd) == 0 ? 0 : errno;
	if (trouble) {
		(void)unlink(f->path);
		(void)close(fd);
		f->here = before;
		return trouble;
	}
	(void)close(f->fd);
	f->fd = fd;
	return 0;
}

/* What stands in it is what was written; a read that fails says nothing of it. Delivery writes nothing meanwhile. */
static bool is_as_written(const struct flight *f)
{
	const struct flight_found is = files_flight_read(f->fd);
	uint64_t n[FLIGHT_NUMBERS];

	all_of(f, n);
	n[AT_NEXT_SETTLED] = is.n[AT_NEXT_SETTLED]; /* of a commit under way */
	n[AT_NEXT_STATE] = is.n[AT_NEXT_STATE];
	n[AT_POSSIBLE] = is.n[AT_POSSIBLE]; /* more of them go there with what delivery sends next */
	files_flight_sum_all(n);
	return is.trouble != 0 || memcmp(n, is.n, sizeof n) == 0;
}

bool flight_look(struct flight *f)
{
	int trouble = 0;
	bool is_gone;

	if (f->fd < 0 || atomic_load(&f->is_unsure) || atomic_exchange(&f->is_held, true))
		return false; /* delivery may wait for the disk: the next look */
	is_gone = !is_at_path(f) || !is_as_written(f);
	if (is_gone && !atomic_load(&f->is_unsure))
		trouble = make_anew(f);
	let_go(f);
	atomic_store(&f->name_trouble, trouble);
	return is_gone && trouble == 0;
}

void flight_close(struct flight *f)
{
	if (f->fd >= 0 && atomic_load(&f->is_unsure))
		be_sure_again(f);
	free(take(f->path));
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
}

/* One write: at no moment is a message in neither count. */
static void put_delivery(struct flight *f)
{
	const uint64_t n[] = {atomic_load(&f->possible), f->sending, f->delivered};

	(void)put_group(f, n, AT_POSSIBLE, 3);
}

/* What is sent from now on may be there already: a power cut must not forget that. */
static void raise_ceiling(struct flight *f)
{
	const int64_t began_ns = clock_mono_ns();
	const uint64_t possible = atomic_load(&f->possible);
	uint64_t n[] = {f->here, 0};
	bool is_first;

	if (f->fd < 0 || possible <= f->ceiling)
		return;
	is_first = f->raised_ns == 0; /* its name may be new */
	f->spare = began_ns - f->raised_ns < SYNC_PART * f->sync_ns ? f->spare * 2 + 1 : f->spare / 2;
	f->ceiling = n[1] = possible + f->spare;
	if (!put_group(f, n, AT_BOOT, 2))
		return;
	if ((is_first ? fsync(f->fd) : fdatasync(f->fd)) != 0) {
		atomic_store(&f->trouble, errno);
		set_unsure(f);
	}
	f->raised_ns = clock_mono_ns();
	f->sync_ns = f->raised_ns - began_ns;
}

void flight_send(struct flight *f, uint64_t messages)
{
	hold(f);
	f->sending += messages;
	put_delivery(f);
	raise_ceiling(f);
	let_go(f);
}

void flight_end(struct flight *f, uint64_t messages, uint64_t delivered, uint64_t possible)
{
	hold(f);
	f->sending -= messages;
	f->delivered += delivered;
	atomic_fetch_add(&f->possible, possible);
	put_delivery(f);
	let_go(f);
	if (possible > 0 && f->on_doubt)
		f->on_doubt(f->arg);
}

void flight_settling(struct flight *f, uint64_t messages, uint64_t state)
{
	(void)put_group(f, (const uint64_t[]){f->settled + messages, state}, AT_NEXT_SETTLED, 2);
}

void flight_settled(struct flight *f, uint64_t messages, uint64_t state)
{
	f->settled += messages;
	f->state = state;
	(void)put_group(f, (const uint64_t[]){f->settled, state}, AT_SETTLED, 2);
}
