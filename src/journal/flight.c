#include "journal/flight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* Numbers of the file, in the machine's order: it never leaves the machine. AT_OPENED: what possible was when this run
 * began (tools/crashrun reads the file). */
enum {
	AT_MAGIC,
	AT_POSSIBLE,
	AT_SENDING,
	AT_DELIVERED,
	AT_SETTLED,
	AT_STATE,
	AT_NEXT_SETTLED,
	AT_NEXT_STATE,
	AT_OPENED,
	OLD_NUMBERS, /* an older kspool's file ends here */
	AT_SPOOL_HIGH = OLD_NUMBERS,
	AT_SPOOL_LOW,
	NUMBERS
};
static const uint64_t magic = UINT64_C(0x6b73706c666c7431); /* "ksplflt1" */

static const char unsure[] = ".unsure";

/* A file that was not written any more must not be believed by the next start. A rename needs no room. */
static void set_unsure(struct flight *f)
{
	AUTOFREE char *name = mem_format("%s%s", f->path, unsure);

	if (!atomic_exchange(&f->is_unsure, true) && rename(f->path, name) != 0)
		(void)unlink(f->path);
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

static uint64_t found_in(const uint64_t n[NUMBERS], uint64_t settled)
{
	uint64_t out = n[AT_SENDING] + n[AT_DELIVERED];

	return out > settled ? out - settled : 0;
}

uint64_t flight_open(struct flight *f, const struct flight_start *start)
{
	AUTOFREE char *not_sure = mem_format("%s.flight%s", start->path, unsure);
	uint64_t n[NUMBERS] = {0}, found = 0;
	uint64_t possible = start->possible;
	bool is_whole, is_known = true;
	ssize_t there;

	f->path = mem_format("%s.flight", start->path);
	atomic_store(&f->is_unsure, false);
	f->fd = open(f->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	atomic_store(&f->trouble, f->fd < 0 ? errno : 0);
	there = f->fd >= 0 ? pread(f->fd, n, sizeof n, 0) : 0;
	is_whole = there >= OLD_NUMBERS * (ssize_t)sizeof *n && n[AT_MAGIC] == magic;
	f->was_anothers = is_whole && (n[AT_SPOOL_HIGH] || n[AT_SPOOL_LOW]) &&
	                  (n[AT_SPOOL_HIGH] != start->spool[0] || n[AT_SPOOL_LOW] != start->spool[1]);
	is_whole &= !f->was_anothers;
	if (is_whole && n[AT_POSSIBLE] > possible)
		possible = n[AT_POSSIBLE];
	if (access(not_sure, F_OK) == 0) /* nothing bounds it but what is there */
		found = start->pending;
	else if (is_whole && n[AT_STATE] == start->state)
		found = found_in(n, n[AT_SETTLED]);
	else if (is_whole && n[AT_NEXT_STATE] == start->state) /* it died while the commit was being synced */
		found = found_in(n, n[AT_NEXT_SETTLED]);
	else
		is_known = false;
	if (!is_known && start->unclean)
		found = start->handed < start->pending ? start->handed : start->pending;
	/* The database is of another time than the file, or a new one of this run that was killed before its first
	 * commit. */
	if (is_whole && (start->is_anew || (!is_known && start->unclean)) && found_in(n, n[AT_SETTLED]) > found)
		found = found_in(n, n[AT_SETTLED]);
	memset(n, 0, sizeof n);
	n[AT_MAGIC] = magic;
	n[AT_SPOOL_HIGH] = start->spool[0];
	n[AT_SPOOL_LOW] = start->spool[1];
	n[AT_POSSIBLE] = n[AT_OPENED] = possible + found;
	n[AT_STATE] = n[AT_NEXT_STATE] = start->state;
	f->state = start->state;
	if (put(f, n, 0, NUMBERS))
		(void)unlink(not_sure);
	atomic_store(&f->possible, possible + found);
	f->sending = f->delivered = f->settled = 0;
	return found;
}

/* All is known again when all of it can be written. */
static void be_sure_again(struct flight *f)
{
	AUTOFREE char *name = mem_format("%s%s", f->path, unsure);
	const uint64_t n[] = {
	    atomic_load(&f->possible), f->sending, f->delivered, f->settled, f->state, f->settled, f->state};

	if (put(f, n, AT_POSSIBLE, sizeof n / sizeof *n))
		(void)rename(name, f->path);
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

	(void)put(f, n, AT_POSSIBLE, 3);
}

void flight_send(struct flight *f, uint64_t messages)
{
	f->sending += messages;
	put_delivery(f);
}

void flight_end(struct flight *f, uint64_t messages, uint64_t delivered, uint64_t possible)
{
	f->sending -= messages;
	f->delivered += delivered;
	atomic_fetch_add(&f->possible, possible);
	put_delivery(f);
}

void flight_settling(struct flight *f, uint64_t messages, uint64_t state)
{
	(void)put(f, (const uint64_t[]){f->settled + messages, state}, AT_NEXT_SETTLED, 2);
}

void flight_settled(struct flight *f, uint64_t messages, uint64_t state)
{
	f->settled += messages;
	f->state = state;
	(void)put(f, (const uint64_t[]){f->settled, state}, AT_SETTLED, 2);
}
