#include "store/files/flight_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc32c.h"

/* The same file by an older kspool. */
enum { NUMBERS_BEFORE_BOOT = AT_BOOT };
static const uint64_t magic_before_boot = UINT64_C(0x6b73706c666c7432); /* "ksplflt2" */

/* By a still older one: no checksums, and in the oldest no spool. */
enum { OLD_LEAST = 9, OLD_MOST = 11 };
static const uint64_t old_magic = UINT64_C(0x6b73706c666c7431); /* "ksplflt1" */
static const uint8_t old_order[OLD_MOST] = {AT_MAGIC,   AT_POSSIBLE,   AT_SENDING,      AT_DELIVERED,
                                            AT_SETTLED, AT_STATE,      AT_NEXT_SETTLED, AT_NEXT_STATE,
                                            AT_OPENED,  AT_SPOOL_HIGH, AT_SPOOL_LOW};

/* Where they stand is part of it. */
uint64_t files_flight_sum(const uint64_t *numbers, int first, int count)
{
	const uint64_t place = (uint64_t)first;

	return crc32c(crc32c(0, &place, sizeof place), numbers, (size_t)count * sizeof *numbers);
}

static bool is_sound(const uint64_t n[FLIGHT_NUMBERS], int first, int sum)
{
	return n[sum] == files_flight_sum(n + first, first, sum - first);
}

void files_flight_sum_all(uint64_t n[FLIGHT_NUMBERS])
{
	static const struct {
		int first, sum;
	} groups[] = {{AT_MAGIC, AT_HEAD_SUM},
	              {AT_POSSIBLE, AT_DELIVERY_SUM},
	              {AT_SETTLED, AT_SETTLED_SUM},
	              {AT_NEXT_SETTLED, AT_NEXT_SUM},
	              {AT_BOOT, AT_BOOT_SUM}};

	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		n[groups[i].sum] =
		    files_flight_sum(n + groups[i].first, groups[i].first, groups[i].sum - groups[i].first);
}

/* What has no place in it nobody looks at. */
static void read_old(struct flight_found *ret)
{
	uint64_t old[OLD_MOST];

	memcpy(old, ret->n, sizeof old);
	for (size_t i = 0; i < OLD_MOST; i++)
		ret->n[old_order[i]] = old[i];
	ret->has_head = ret->has_counts = ret->has_settled = ret->has_next = ret->is_of_boot = true;
}

uint64_t files_flight_here(int fd)
{
	struct stat st = {0};

	if (fd < 0 || fstat(fd, &st) != 0)
		return clock_boot_id();
	return clock_boot_id() ^ (uint64_t)st.st_ino * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)st.st_dev << 32;
}

struct flight_found files_flight_read(int fd)
{
	struct flight_found ret = {0};
	const ssize_t there = fd >= 0 ? pread(fd, ret.n, sizeof ret.n, 0) : 0;

	ret.trouble = there < 0 ? errno : 0;
	if (there >= OLD_LEAST * (ssize_t)sizeof *ret.n && ret.n[AT_MAGIC] == old_magic) {
		read_old(&ret);
	} else if (there > 0) {
		const bool is_before =
		    there == NUMBERS_BEFORE_BOOT * sizeof *ret.n && ret.n[AT_MAGIC] == magic_before_boot;
		const bool boot_is_sound = is_before || is_sound(ret.n, AT_BOOT, AT_BOOT_SUM);

		const bool is_all = there == sizeof ret.n;

		ret.has_head = (is_before || (is_all && ret.n[AT_MAGIC] == FLIGHT_MAGIC)) &&
		               is_sound(ret.n, AT_MAGIC, AT_HEAD_SUM);
		ret.has_counts = ret.has_head && is_sound(ret.n, AT_POSSIBLE, AT_DELIVERY_SUM);
		ret.has_settled = ret.has_counts && is_sound(ret.n, AT_SETTLED, AT_SETTLED_SUM);
		ret.has_next = ret.has_counts && is_sound(ret.n, AT_NEXT_SETTLED, AT_NEXT_SUM);
		ret.has_ceiling = is_all && boot_is_sound;
		ret.is_of_boot = is_before || (boot_is_sound && ret.n[AT_BOOT] == files_flight_here(fd));
		ret.is_damaged = !ret.has_settled || !ret.has_next || !boot_is_sound;
	}
	return ret;
}

struct spool_id files_flight_names(const struct files *f)
{
	enum { TRIES = 3 };
	AUTOCLOSE int fd = -1;
	struct flight_found found = {.trouble = EIO};
	struct error why;

	for (int i = 0; i < TRIES && fd < 0; i++)
		if (files_open_read(f, ".flight", O_RDONLY, &fd, &why) == ERR_OK && fd < 0)
			break; /* there is none */
	for (int i = 0; i < TRIES && fd >= 0 && found.trouble; i++)
		found = files_flight_read(fd);
	return found.has_head ? (struct spool_id){found.n[AT_SPOOL_HIGH], found.n[AT_SPOOL_LOW]} : (struct spool_id){0};
}

bool files_flight_is_anothers(const struct flight_found *f, const uint64_t spool[2])
{
	return f->has_head && (f->n[AT_SPOOL_HIGH] || f->n[AT_SPOOL_LOW]) &&
	       (f->n[AT_SPOOL_HIGH] != spool[0] || f->n[AT_SPOOL_LOW] != spool[1]);
}
