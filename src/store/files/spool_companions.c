/*
 * The companions of the database: tide mark, reserve, marker, the WAL's blocks.
 *
 * Invariants:
 * 1. A tide mark is written in one piece, within one sector; what an older kspool knows of it stands first and is whole
 *    in itself.
 * 2. A companion that cannot be read or written ends nothing here: it only advises.
 */
#include "store/files/spool_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/crc32c.h"
#include "base/byte_order.h"

enum { OLD_TIDE_BYTES = 32, OLD_TIDE_ID = 16, OLD_TIDE_CRC = 28 };
static const char old_tide_magic[8] = {'k', 's', 'p', 'l', 't', 'i', 'd', 'e'};
enum {
	TIDE_SCHEMA = 8,
	TIDE_COUNT = 12,
	TIDE_NUMBERS = 16,
	TIDE_FURTHER =
	    TIDE_NUMBERS + 8 * (6 + TIDE_FIRST_COUNTS), /* how many counts follow: 0 in one of an older kspool */
	TIDE_CRC = TIDE_FURTHER + 4,
	TIDE_FIRST_BYTES = TIDE_CRC + 4,
	FURTHER_COUNTS = TIDE_COUNTS_MAX - TIDE_FIRST_COUNTS,
	TIDE_BYTES = TIDE_FIRST_BYTES + 8 * FURTHER_COUNTS + 4,
	TIDE_BYTES_MAX = 512, /* one sector: it is written whole, or not */
	FURTHER_COUNTS_MAX = (TIDE_BYTES_MAX - TIDE_FIRST_BYTES - 4) / 8,
};
_Static_assert((int)TIDE_BYTES <= (int)TIDE_BYTES_MAX, "a tide mark is one sector");
static const char tide_magic[8] = {'k', 's', 'p', 't', 'i', 'd', 'e', '2'};
static const char lock_word[] = "kspool ", lock_of[] = " of ";
enum {
	LOCK_NAME_BYTES = sizeof lock_word - 1 + SPOOL_ID_TEXT_BYTES - 1,
	LOCK_BYTES = LOCK_NAME_BYTES + sizeof lock_of - 1 + 16 + 1, /* with the zero behind it */
};

char *files_id_text(struct spool_id id, char text[SPOOL_ID_TEXT_BYTES])
{
	(void)snprintf(text, SPOOL_ID_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, id.high, id.low);
	return text;
}

bool files_id_parse(const char *text, struct spool_id *ret)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t halves[2] = {0};

	*ret = (struct spool_id){0};
	for (int i = 0; i < SPOOL_ID_TEXT_BYTES - 1; i++) {
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

		if (!digit)
			return false;
		halves[i / 16] = halves[i / 16] << 4 | (uint64_t)(digit - digits);
	}
	*ret = (struct spool_id){.high = halves[0], .low = halves[1]};
	return true;
}

static bool is_tide(const unsigned char *bytes, size_t there, size_t size, const char magic[8], size_t crc_at)
{
	return there >= size && memcmp(bytes, magic, 8) == 0 &&
	       crc32c(0, bytes, crc_at) == (uint32_t)get_little(bytes + crc_at, 4);
}

/*
 * A companion only advises: one bad sector under it must not hold the spool for ever. What goes wrong once is tried
 * again; a disk that is gone does not give the database either, and ends the start there. True: it could not be read.
 */
static bool is_dead(int fd, void *to, size_t size, size_t *ret_count)
{
	enum { TRIES = 3, PAUSE_NS = 100000000 };

	for (int i = 0; i < TRIES; i++) {
		struct error why;

		if (files_read_at(fd, to, size, 0, ret_count, &why) == ERR_OK)
			return false;
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		(void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
	}
	*ret_count = 0;
	return true;
}

/* Over the first part too, but without its CRC-32C, behind which that of any such part is the same. */
static uint32_t further_crc(const unsigned char *bytes, size_t crc_at)
{
	return crc32c(crc32c(0, bytes, TIDE_CRC), bytes + TIDE_FIRST_BYTES, crc_at - TIDE_FIRST_BYTES);
}

/* Of this kspool, or of a younger one, of which what is known is read; false: it is not what was written. */
static bool read_further(const unsigned char *bytes, size_t there, struct tide *t)
{
	const size_t number = (size_t)get_little(bytes + TIDE_FURTHER, 4);
	const size_t crc_at = TIDE_FIRST_BYTES + 8 * number;

	if (number == 0)
		return true;
	t->has_more = true;
	for (size_t i = 0; i < number && i < FURTHER_COUNTS; i++)
		t->counts[TIDE_FIRST_COUNTS + i] = get_little(bytes + TIDE_FIRST_BYTES + 8 * i, 8);
	return number <= FURTHER_COUNTS_MAX && there >= crc_at + 4 &&
	       further_crc(bytes, crc_at) == (uint32_t)get_little(bytes + crc_at, 4);
}

static void parse_tide(const unsigned char *bytes, size_t count, struct tide *ret)
{
	if (is_tide(bytes, count, TIDE_FIRST_BYTES, tide_magic, TIDE_CRC)) {
		uint64_t *const heads[] = {&ret->id,      &ret->spool.high, &ret->spool.low,
		                           &ret->commits, &ret->epoch,      &ret->base};
		const unsigned char *at = bytes + TIDE_NUMBERS;

		ret->count = (uint32_t)get_little(bytes + TIDE_COUNT, 4);
		for (size_t i = 0; i < sizeof heads / sizeof *heads; i++, at += 8)
			*heads[i] = get_little(at, 8);
		for (size_t i = 0; i < TIDE_FIRST_COUNTS; i++, at += 8)
			ret->counts[i] = get_little(at, 8);
		ret->is_valid = read_further(bytes, count, ret);
		if (!ret->is_valid)
			*ret = (struct tide){.is_dead = ret->is_dead};
	} else if (is_tide(bytes, count, OLD_TIDE_BYTES, old_tide_magic, OLD_TIDE_CRC)) {
		ret->is_valid = true;
		ret->id = get_little(bytes + OLD_TIDE_ID, 8);
	}
	if (ret->is_valid)
		ret->schema = (uint32_t)get_little(bytes + TIDE_SCHEMA, 4);
}

/* One that could not be read may be readable today, and then nothing has counted what it knows. */
static enum err ask_unread(const struct files *f, struct tide *t, struct error *e)
{
	AUTOCLOSE int fd = -1;
	unsigned char bytes[TIDE_BYTES_MAX] = {0};
	struct tide other = {.is_broken = t->is_broken};
	size_t count = 0;
	enum err err = files_open_read(f, FILES_DEAD_TIDE, O_RDONLY, &fd, e);

	if (err != ERR_OK)
		return error_wrap(e, "%s" FILES_DEAD_TIDE, f->path);
	if (fd < 0 || is_dead(fd, bytes, sizeof bytes, &count))
		return ERR_OK;
	parse_tide(bytes, count, &other);
	if (other.is_valid && (!t->is_valid || (spool_id_is(other.spool, t->spool) && other.commits > t->commits)))
		*t = other;
	t->unread_is_read = true;
	return ERR_OK;
}

enum err files_tide_read(const struct files *f, struct tide *ret, struct error *e)
{
	AUTOCLOSE int fd = -1;
	unsigned char bytes[TIDE_BYTES_MAX] = {0};
	size_t count = 0;
	enum err err = files_open_read(f, ".tide", O_RDONLY, &fd, e);

	*ret = (struct tide){0};
	if (err != ERR_OK)
		return error_wrap(e, "%s.tide", f->path);
	ret->is_dead = fd >= 0 && is_dead(fd, bytes, sizeof bytes, &count);
	parse_tide(bytes, count, ret);
	ret->is_broken = fd >= 0 && !ret->is_valid;
	return ret->is_dead ? ERR_OK : ask_unread(f, ret, e);
}

struct spool_id files_lock_spool(const struct files *f, uint64_t *ret_print)
{
	char text[LOCK_BYTES] = "";
	const char *of = text + LOCK_NAME_BYTES;
	struct spool_id id = {0};
	size_t count;

	if (f->lock_fd >= 0 && !is_dead(f->lock_fd, text, sizeof text - 1, &count) && count >= LOCK_NAME_BYTES &&
	    memcmp(text, lock_word, sizeof lock_word - 1) == 0)
		(void)files_id_parse(text + sizeof lock_word - 1, &id);
	if (ret_print)
		*ret_print =
		    strncmp(of, lock_of, sizeof lock_of - 1) == 0 ? strtoull(of + sizeof lock_of - 1, NULL, 16) : 0;
	return id;
}

void files_lock_name(const struct files *f, struct spool_id id)
{
	char digits[SPOOL_ID_TEXT_BYTES], text[sizeof lock_word + SPOOL_ID_TEXT_BYTES];
	int count = snprintf(text, sizeof text, "%s%s\n", lock_word, files_id_text(id, digits));

	if (f->lock_fd < 0 || spool_id_is(files_lock_spool(f, NULL), id))
		return;
	if (pwrite(f->lock_fd, text, (size_t)count, 0) == count)
		(void)ftruncate(f->lock_fd, count);
}

enum err files_lock_choose(const struct files *f, struct spool_id id, uint64_t print, struct error *e)
{
	char digits[SPOOL_ID_TEXT_BYTES], text[LOCK_BYTES + 1];
	const int count =
	    snprintf(text, sizeof text, "%s%s%s%016" PRIx64 "\n", lock_word, files_id_text(id, digits), lock_of, print);
	ssize_t written = pwrite(f->lock_fd, text, (size_t)count, 0);
	int why = written < 0 ? errno : ENOSPC;

	if (written != count && files_errno_is_full(why) && files_reserve_give_up(f)) {
		written = pwrite(f->lock_fd, text, (size_t)count, 0);
		why = written < 0 ? errno : ENOSPC;
	}
	if (written == count) {
		if (ftruncate(f->lock_fd, count) == 0 && fdatasync(f->lock_fd) == 0)
			return ERR_OK;
		why = errno;
	}
	return error_set(e, files_errno_is_full(why) ? ERR_FULL : ERR_DISK,
	                 "cannot write the spool's name to %s.lock: %s", f->path, strerror(why));
}

static void open_anew(struct files *f, int *fd, const char *suffix, int flags)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = files_open_one(f, suffix, flags);
}

void files_tide_open(struct files *f)
{
	open_anew(f, &f->tide_fd, ".tide", O_RDWR | O_CREAT | O_NONBLOCK);
	f->tide_trouble = f->tide_fd < 0 ? errno : 0;
}

/* Advisory: an error costs no message, but nothing proves any more what a lost database held. */
int files_tide_write(struct files *f, const struct tide *tide)
{
	const uint64_t heads[] = {tide->id, tide->spool.high, tide->spool.low, tide->commits, tide->epoch, tide->base};
	unsigned char bytes[TIDE_BYTES] = {0}, *at = bytes + TIDE_NUMBERS;
	ssize_t written;

	if (f->tide_fd < 0)
		return f->tide_trouble;
	memcpy(bytes, tide_magic, sizeof tide_magic);
	put_little(bytes + TIDE_SCHEMA, tide->schema, 4);
	put_little(bytes + TIDE_COUNT, tide->count, 4);
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++, at += 8)
		put_little(at, heads[i], 8);
	for (size_t i = 0; i < TIDE_FIRST_COUNTS; i++, at += 8)
		put_little(at, tide->counts[i], 8);
	put_little(bytes + TIDE_FURTHER, FURTHER_COUNTS, 4);
	put_little(bytes + TIDE_CRC, crc32c(0, bytes, TIDE_CRC), 4);
	at = bytes + TIDE_FIRST_BYTES;
	for (size_t i = TIDE_FIRST_COUNTS; i < TIDE_COUNTS_MAX; i++, at += 8)
		put_little(at, tide->counts[i], 8);
	put_little(at, further_crc(bytes, TIDE_BYTES - 4), 4);
	written = pwrite(f->tide_fd, bytes, sizeof bytes, 0);
	f->tide_sum = written == (ssize_t)sizeof bytes ? crc32c(0, bytes, sizeof bytes) : 0;
	return written == (ssize_t)sizeof bytes ? 0 : written < 0 ? errno : ENOSPC;
}

/* A read that fails says nothing of it. */
bool files_tide_stands(const struct files *f)
{
	AUTOFREE char *name = mem_format("%s.tide", f->name);
	unsigned char bytes[TIDE_BYTES];
	struct stat named, held;
	ssize_t count;

	if (fstatat(f->dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) != 0 || fstat(f->tide_fd, &held) != 0 ||
	    named.st_ino != held.st_ino || named.st_dev != held.st_dev)
		return false;
	count = f->tide_sum != 0 ? pread(f->tide_fd, bytes, sizeof bytes, 0) : -1;
	return count < 0 || (count == (ssize_t)sizeof bytes && crc32c(0, bytes, sizeof bytes) == f->tide_sum);
}

uint64_t files_share(const struct files *f, uint64_t bytes)
{
	struct statvfs fs;
	uint64_t share = 0;

	if (fstatvfs(f->dir_fd, &fs) == 0)
		share = (uint64_t)fs.f_blocks * fs.f_frsize / FILES_SHARE;
	return bytes < share ? bytes : share;
}

uint64_t files_of_others(const struct files *f)
{
	const uint64_t ours = files_held(f, "") + files_held(f, "-wal") + files_held(f, ".reserve");
	struct statvfs fs;
	uint64_t taken;

	if (fstatvfs(f->dir_fd, &fs) != 0)
		return UINT64_MAX;
	taken = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	return taken > ours ? taken - ours : 0;
}

uint64_t files_wal_hold(struct files *f, uint64_t bytes, uint64_t spare_bytes)
{
	uint64_t free_bytes = files_free_bytes(f), room, held;
	struct stat st;

	open_anew(f, &f->wal_fd, "-wal", O_RDWR); /* after damage the name stands for a new file */
	if (f->wal_fd < 0 || fstat(f->wal_fd, &st) != 0)
		return 0;
	held = (uint64_t)st.st_blocks * 512;
	room = held + (free_bytes > spare_bytes ? free_bytes - spare_bytes : 0);
	bytes = files_share(f, bytes);
	if (bytes > room / 2) /* what it holds goes into the database, which needs as much */
		bytes = room / 2;
	if (bytes <= held)
		return held;
	if (fallocate(f->wal_fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0)
		return bytes;
	(void)ftruncate(f->wal_fd,
	                st.st_size); /* ext4 keeps the blocks it found: this gives back those behind the end */
	return held;
}

bool files_database_hold(struct files *f, uint64_t bytes)
{
	struct stat st;

	if (f->database_fd < 0)
		f->database_fd = files_open_one(f, "", O_RDWR);
	if (f->database_fd < 0 || fstat(f->database_fd, &st) != 0)
		return false;
	if ((uint64_t)st.st_blocks * 512 >= bytes ||
	    fallocate(f->database_fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0 || errno == EOPNOTSUPP)
		return true;
	(void)ftruncate(f->database_fd, st.st_size); /* gives back what was found behind the end */
	return false;
}

bool files_reserve_make(const struct files *f, uint64_t bytes, uint64_t spare_bytes)
{
	AUTOCLOSE int fd = -1;
	struct stat st;
	uint64_t free_bytes = files_free_bytes(f), held;

	if (bytes == 0)
		return false;
	fd = files_open_one(f, ".reserve", O_RDWR | O_CREAT | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	held = (uint64_t)st.st_blocks * 512;
	if (held >= bytes)
		return true;
	if (free_bytes < spare_bytes || free_bytes - spare_bytes < bytes - held)
		return false;
	if (posix_fallocate(fd, 0, (off_t)bytes) == 0)
		return true;
	(void)ftruncate(fd, st.st_size); /* a part is better than nothing */
	return false;
}

uint64_t files_held(const struct files *f, const char *suffix)
{
	AUTOFREE char *name = mem_format("%s%s", f->name, suffix);
	struct stat st;

	return fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

bool files_reserve_leave(const struct files *f, uint64_t bytes)
{
	AUTOCLOSE int fd = files_open_one(f, ".reserve", O_RDWR | O_NONBLOCK);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 > bytes &&
	       ftruncate(fd, (off_t)bytes) == 0;
}

bool files_reserve_give_up(const struct files *f) { return files_reserve_leave(f, 0); }

bool files_marker_exists(const struct files *f)
{
	AUTOCLOSE int fd = files_open_one(f, ".unsafe", O_RDONLY | O_NONBLOCK);

	return fd >= 0 || errno != ENOENT; /* in doubt there is one: it costs a checkpoint */
}

void files_marker_put(const struct files *f, const char *reason)
{
	AUTOCLOSE int fd = files_open_one(f, ".unsafe", O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK);

	if (fd >= 0)
		(void)!write(fd, reason, strlen(reason)); /* a hint; a read-only file system loses nothing by it */
}
