/*
 * The small files beside a database, byte by byte: what is written is what their format says, what is read is what was
 * written, and what is held for a full disk is as much as may be. Descriptors may be 0: a daemon need not have a stdin.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/files/spool_files.h"

enum {
	MIB = 1 << 20,
	NUMBERS = 6 + TIDE_FIRST_COUNTS,
	TIDE = 16 + 8 * NUMBERS + 8,
	MORE = TIDE_COUNTS_MAX - TIDE_FIRST_COUNTS,
	WHOLE_TIDE = TIDE + 8 * MORE + 4,
	OLD_TIDE = 32
};

static uint64_t free_blocks = 1000, all_blocks = 1000, block_bytes = MIB;

int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	*ret = (struct statvfs){.f_bsize = 4096, .f_frsize = block_bytes};
	ret->f_blocks = all_blocks;
	ret->f_bfree = free_blocks + 7;
	ret->f_bavail = free_blocks;
	return 0;
}

static struct spooldir d;
static struct files f;

static int begin(void **state)
{
	struct error e;

	(void)state;
	if (fcntl(0, F_GETFD) == -1)
		assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	spooldir_make(&d);
	return files_open(&f, d.path, &e) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	files_close(&f);
	spooldir_remove(&d);
	free_blocks = all_blocks = 1000;
	block_bytes = MIB;
	return 0;
}

/* The next descriptor is 0. */
static void give_zero(void) { (void)close(0); }

static void ids_are_thirty_two_digits(void **state)
{
	static const struct spool_id ids[] = {
	    {0, 1}, {1, 0}, {UINT64_MAX, UINT64_MAX}, {0x0123456789abcdef, 0xfedcba9876543210}, {0, 0},
	};
	char text[SPOOL_ID_TEXT_BYTES], want[64];
	struct spool_id got;

	(void)state;
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		(void)snprintf(want, sizeof want, "%016llx%016llx", (unsigned long long)ids[i].high,
		               (unsigned long long)ids[i].low);
		assert_ptr_equal(files_id_text(ids[i], text), text);
		assert_string_equal(text, want);
		assert_true(files_id_parse(strcat(want, " and more"), &got));
		assert_true(spool_id_is(got, ids[i]));
		for (int at = 0; at < 32; at++)
			for (const char *bad = "gG/:` -`\n"; *bad; bad++) {
				char broken[SPOOL_ID_TEXT_BYTES];

				memcpy(broken, text, sizeof broken);
				broken[at] = *bad;
				assert_false(files_id_parse(broken, &got));
				assert_false(spool_id_is_known(got));
				broken[at] = '\0';
				assert_false(files_id_parse(broken, &got));
			}
	}
	assert_true(spool_id_is_known(ids[0]) && spool_id_is_known(ids[1]) && !spool_id_is_known(ids[4]));
	assert_true(spool_id_differs(ids[0], ids[1]));
	assert_false(spool_id_differs(ids[0], ids[0]) || spool_id_differs(ids[0], ids[4]) ||
	             spool_id_differs(ids[4], ids[1]));
	assert_false(spool_id_is(ids[0], (struct spool_id){1, 1}) || spool_id_is(ids[1], (struct spool_id){1, 1}));
}

static void put_number(unsigned char *p, uint64_t v, int bytes)
{
	for (; bytes > 0; bytes--, v >>= 8)
		*p++ = (unsigned char)v;
}

static uint64_t number(int i) { return UINT64_C(0xf1e2d3c4b5a60000) + (uint64_t)i * 0x101; }

static struct tide a_tide(void)
{
	struct tide t = {.is_valid = true,
	                 .has_more = true,
	                 .schema = 0xa1b2c3d4,
	                 .id = number(0),
	                 .commits = number(3),
	                 .epoch = number(4),
	                 .base = number(5),
	                 .count = 0x90817263};

	t.spool = (struct spool_id){.high = number(1), .low = number(2)};
	for (int i = 0; i < TIDE_COUNTS_MAX; i++)
		t.counts[i] = number(6 + i);
	return t;
}

/* Of an older kspool: no counts follow. */
static void tide_bytes(unsigned char to[TIDE])
{
	memset(to, 0, TIDE);
	memcpy(to, "ksptide2", 8);
	put_number(to + 8, 0xa1b2c3d4, 4);
	put_number(to + 12, 0x90817263, 4);
	for (int i = 0; i < NUMBERS; i++)
		put_number(to + 16 + 8 * i, number(i), 8);
	put_number(to + TIDE - 4, crc32c(0, to, TIDE - 4), 4);
}

/* `further` counts follow; those that this kspool does not know are 7. */
static size_t further_bytes(unsigned char *to, size_t further)
{
	unsigned char *at = to + TIDE;

	put_number(to + TIDE - 8, further, 4);
	put_number(to + TIDE - 4, crc32c(0, to, TIDE - 4), 4);
	for (size_t i = 0; i < further; i++, at += 8)
		put_number(at, i < MORE ? number(NUMBERS + (int)i) : 7, 8);
	put_number(at, crc32c(crc32c(0, to, TIDE - 4), to + TIDE, (size_t)(at - to) - TIDE), 4);
	return (size_t)(at - to) + 4;
}

static struct tide without_more(struct tide t, size_t kept)
{
	t.has_more = kept > 0;
	for (size_t i = TIDE_FIRST_COUNTS + kept; i < TIDE_COUNTS_MAX; i++)
		t.counts[i] = 0;
	return t;
}

static void expect_tide(const struct tide *want)
{
	struct tide got;
	struct error e;

	memset(&got, 0x77, sizeof got);
	if (files_tide_read(&f, &got, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_int_equal(got.is_valid, want->is_valid);
	assert_int_equal(got.has_more, want->has_more);
	assert_int_equal(got.schema, want->schema);
	assert_int_equal(got.id, want->id);
	assert_true(spool_id_is(got.spool, want->spool));
	assert_int_equal(got.commits, want->commits);
	assert_int_equal(got.epoch, want->epoch);
	assert_int_equal(got.base, want->base);
	assert_int_equal(got.count, want->count);
	assert_memory_equal(got.counts, want->counts, sizeof got.counts);
}

static void the_tide_is_as_its_format_says(void **state)
{
	const struct tide t = a_tide(), none = {.is_valid = false};
	unsigned char want[WHOLE_TIDE + 10] = {0}, *bytes;
	size_t count;

	(void)state;
	files_tide_write(&f, &t); /* it is not open: nothing */
	assert_int_equal(files_bytes(&f, ".tide"), 0);
	expect_tide(&none);
	give_zero();
	files_tide_open(&f);
	assert_int_equal(f.tide_fd, 0);
	expect_tide(&none);
	files_tide_write(&f, &t);
	tide_bytes(want);
	bytes = spooldir_load(spooldir_file(&d, ".tide"), &count);
	assert_int_equal(further_bytes(want, MORE), WHOLE_TIDE);
	assert_int_equal(count, WHOLE_TIDE);
	assert_memory_equal(bytes, want, WHOLE_TIDE);
	free(bytes);
	expect_tide(&t);
	assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
	files_tide_open(&f); /* another file of that name */
	files_tide_write(&f, &t);
	expect_tide(&t);
	files_close(&f);
	assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), 0); /* it was closed */
	assert_int_equal(files_open(&f, d.path, &(struct error){0}), ERR_OK);
	give_zero();
	expect_tide(&t); /* its own descriptor is 0 */
	for (size_t at = 0; at < WHOLE_TIDE; at++)
		for (int bit = 0; bit < 8; bit += 7) {
			want[at] ^= (unsigned char)(1 << bit);
			spooldir_store(spooldir_file(&d, ".tide"), want, WHOLE_TIDE);
			expect_tide(&none);
			want[at] ^= (unsigned char)(1 << bit);
		}
	for (count = 0; count < WHOLE_TIDE; count++) {
		spooldir_store(spooldir_file(&d, ".tide"), want, count);
		expect_tide(&none);
	}
	spooldir_store(spooldir_file(&d, ".tide"), want, WHOLE_TIDE + 10); /* what stands behind it is another's */
	expect_tide(&t);
}

/* An older kspool writes over the first part alone; of what a younger one has more, what is known is read. */
static void further_counts_are_of_the_same_tide(void **state)
{
	const struct tide t = a_tide(), first = without_more(t, 0), none = {.is_valid = false};
	unsigned char bytes[600] = {0};
	size_t count = 0;

	(void)state;
	tide_bytes(bytes);
	for (size_t there = 1; there <= 38; there++) {
		const struct tide want = without_more(t, there < MORE ? there : MORE);

		spooldir_store(spooldir_file(&d, ".tide"), bytes, further_bytes(bytes, there));
		expect_tide(&want);
	}
	for (size_t there = 39; there < 49; there++) { /* more than a sector */
		spooldir_store(spooldir_file(&d, ".tide"), bytes, further_bytes(bytes, there));
		expect_tide(&none);
	}
	count = further_bytes(bytes, MORE);
	put_number(bytes + 16, number(0) + 1, 8);
	put_number(bytes + TIDE - 4, crc32c(0, bytes, TIDE - 4), 4);
	spooldir_store(spooldir_file(&d, ".tide"), bytes, count); /* of two tide marks */
	expect_tide(&none);
	tide_bytes(bytes);
	spooldir_store(spooldir_file(&d, ".tide"), bytes, count);
	expect_tide(&first);
	for (; count >= TIDE; count--) {
		spooldir_store(spooldir_file(&d, ".tide"), bytes, count);
		expect_tide(&first);
	}
}

static void an_older_tide_is_read(void **state)
{
	const struct tide none = {.is_valid = false};
	struct tide t = {.is_valid = true, .schema = 0xa1b2c3d4, .id = UINT64_C(0x8877665544332211)};
	unsigned char old[OLD_TIDE + 400] = "kspltide";

	(void)state;
	put_number(old + 8, t.schema, 4);
	put_number(old + 16, t.id, 8);
	put_number(old + 28, crc32c(0, old, 28), 4);
	for (size_t count = 0; count < OLD_TIDE; count++) {
		spooldir_store(spooldir_file(&d, ".tide"), old, count);
		expect_tide(&none);
	}
	spooldir_store(spooldir_file(&d, ".tide"), old, OLD_TIDE);
	expect_tide(&t);
	spooldir_store(spooldir_file(&d, ".tide"), old, sizeof old);
	expect_tide(&t);
	for (size_t at = 0; at < OLD_TIDE; at++) {
		old[at] ^= 0x81;
		spooldir_store(spooldir_file(&d, ".tide"), old, OLD_TIDE);
		expect_tide(&none);
		old[at] ^= 0x81;
	}
}

static int advised, waited;

/* What the kernel still has of it is asked for no more; and a moment passes. */
int posix_fadvise(int fd, off_t from, off_t count, int advice)
{
	advised += fcntl(fd, F_GETFD) >= 0 && from == 0 && count == 0 && advice == POSIX_FADV_DONTNEED;
	return 0;
}

int nanosleep(const struct timespec *time, struct timespec *rest)
{
	(void)rest;
	waited += time->tv_sec == 0 && time->tv_nsec == 100000000;
	return 0;
}

static void a_tide_that_cannot_be_read_advises_no_more(void **state)
{
	struct tide t;
	struct error e;

	(void)state;
	files_tide_open(&f);
	faultfs_arm(FAULTFS_READ, 1, EIO, true); /* time and again: it advises no more */
	assert_int_equal(files_tide_read(&f, &t, &e), ERR_OK);
	assert_true(t.is_dead && t.is_broken && !t.is_valid);
	assert_int_equal(faultfs_failed(), 3);
	assert_int_equal(advised, 3);
	assert_int_equal(waited, 3);
	faultfs_arm(FAULTFS_READ, 1, EIO, false);
	assert_int_equal(files_tide_read(&f, &t, &e), ERR_OK);
	assert_int_equal(faultfs_failed(), 1);
	assert_false(t.is_dead);
	faultfs_arm(FAULTFS_OPEN, 1, EIO, false);
	assert_int_equal(files_tide_read(&f, &t, &e), ERR_DISK);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
	assert_int_equal(symlink("/etc/hostname", spooldir_file(&d, ".tide")), 0);
	assert_int_equal(files_tide_read(&f, &t, &e), ERR_ENVIRONMENT);
	assert_false(t.is_valid);
}

static void the_lock_names_its_spool(void **state)
{
	static const char digits[] = "0123456789abcdef1122334455667788";
	const struct spool_id id = {0x0123456789abcdef, 0x1122334455667788}, other = {5, 6};
	char text[80];
	size_t count;
	unsigned char *bytes;

	(void)state;
	assert_false(spool_id_is_known(files_lock_spool(&f, NULL)));
	files_close(&f);
	give_zero();
	assert_int_equal(fcntl(0, F_GETFD), -1);
	assert_int_equal(files_open_folder(&f, d.path, &(struct error){0}), ERR_OK); /* its folder is 0 */
	files_lock_name(&f, id);                                                     /* there is no lock */
	assert_false(spool_id_is_known(files_lock_spool(&f, NULL)));
	f.lock_fd = fcntl(f.dir_fd, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(close(f.dir_fd), 0);
	f.dir_fd = f.lock_fd;
	f.lock_fd = files_open_one(&f, ".lock", O_RDWR);
	assert_int_equal(f.lock_fd, 0);
	files_lock_name(&f, id);
	assert_true(spool_id_is(files_lock_spool(&f, NULL), id));
	bytes = spooldir_load(spooldir_file(&d, ".lock"), &count);
	(void)snprintf(text, sizeof text, "kspool %s\n", digits);
	assert_int_equal(count, strlen(text));
	assert_memory_equal(bytes, text, count);
	free(bytes);
	faultfs_arm(FAULTFS_WRITE | FAULTFS_TRUNCATE, 1, EIO, true);
	files_lock_name(&f, id); /* it does already */
	assert_int_equal(faultfs_failed(), 0);
	files_lock_name(&f, other);
	assert_int_equal(faultfs_failed(), 1); /* what could not be written is not cut either */
	faultfs_arm(0, 0, 0, false);
	assert_true(spool_id_is(files_lock_spool(&f, NULL), id));
	(void)strcat(text, "old words\n");
	spooldir_store(spooldir_file(&d, ".lock"), text, strlen(text));
	assert_true(spool_id_is(files_lock_spool(&f, NULL), id));
	files_lock_name(&f, other);
	assert_true(spool_id_is(files_lock_spool(&f, NULL), other));
	assert_int_equal(files_bytes(&f, ".lock"), 40);
	for (count = 0; count < 42; count++) {
		spooldir_store(spooldir_file(&d, ".lock"), text, count);
		assert_int_equal(spool_id_is(files_lock_spool(&f, NULL), id), count >= 39);
		assert_int_equal(spool_id_is_known(files_lock_spool(&f, NULL)), count >= 39);
	}
	for (size_t at = 0; at < 7; at++) {
		text[at] ^= 1;
		spooldir_store(spooldir_file(&d, ".lock"), text, 40);
		assert_false(spool_id_is_known(files_lock_spool(&f, NULL)));
		text[at] ^= 1;
	}
}

static uint64_t blocks_of(const char *suffix)
{
	struct stat st;

	return stat(spooldir_file(&d, suffix), &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static void what_is_free_and_what_may_be_taken(void **state)
{
	(void)state;
	block_bytes = 4096;
	free_blocks = 3000;
	all_blocks = 8000;
	assert_int_equal(files_free_bytes(&f), 3000 * 4096);
	assert_int_equal(files_share(&f, 1000 * 4096), 1000 * 4096);
	assert_int_equal(files_share(&f, 1000 * 4096 + 1), 1000 * 4096);
	assert_int_equal(files_share(&f, 1000 * 4096 - 1), 1000 * 4096 - 1);
}

/* The log gets half of what it and the database may grow by beyond what is spare, to the byte, however often it is
 * asked for: what it holds goes into the database, which needs as much. */
static void the_log_holds_what_there_is_room_for(void **state)
{
	uint64_t has;

	(void)state;
	assert_int_equal(files_wal_hold(&f, MIB, 0), 0); /* there is no log */
	assert_int_equal(f.wal_fd, -1);
	spooldir_store(spooldir_file(&d, "-wal"), "0123456789", 10);
	has = blocks_of("-wal");
	give_zero();
	free_blocks = 10;
	assert_int_equal(files_wal_hold(&f, MIB, 10 * MIB), has); /* nothing is free */
	assert_int_equal(f.wal_fd, 0);
	assert_int_equal(files_wal_hold(&f, MIB, 10 * MIB - has - 8192), has + 4096);
	assert_int_equal(files_wal_hold(&f, MIB, 10 * MIB - has - 4096), has + 4096); /* now less is free */
	has = blocks_of("-wal");
	assert_int_equal(files_wal_hold(&f, has + 4096, 10 * MIB - has - 8192), has + 4096); /* exactly the room */
	has = blocks_of("-wal");
	assert_int_equal(files_wal_hold(&f, has, 0), has);
	assert_int_equal(files_wal_hold(&f, has - 1, 0), has);
	faultfs_arm(FAULTFS_ALLOCATE, 1, ENOSPC, false);
	assert_int_equal(files_wal_hold(&f, 4 * MIB, 0), has);
	assert_int_equal(faultfs_failed(), 1);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(files_wal_hold(&f, 4 * MIB, 0), 4 * MIB);
	assert_int_equal(blocks_of("-wal"), 4 * MIB);
	assert_int_equal(files_bytes(&f, "-wal"), 10);
	assert_int_equal(f.wal_fd, 0);
	faultfs_arm(FAULTFS_STAT, 1, EIO, false);
	(void)files_wal_hold(&f, 8 * MIB, 0);
	faultfs_arm(0, 0, 0, false);
	files_close(&f);
	assert_int_equal(f.wal_fd, -1);
	assert_int_equal(fcntl(0, F_GETFD), -1);
}

/* The reserve is made as a whole, and a part that it has stays. */
static void the_reserve_is_made_whole(void **state)
{
	int fd;

	(void)state;
	free_blocks = 5;
	give_zero();
	assert_false(files_reserve_make(&f, 2 * MIB, 3 * MIB + 1));
	assert_int_equal(files_bytes(&f, ".reserve"), 0);
	give_zero();
	assert_true(files_reserve_make(&f, 2 * MIB, 3 * MIB));
	assert_int_equal(blocks_of(".reserve"), 2 * MIB);
	free_blocks = 0;
	assert_true(files_reserve_make(&f, 2 * MIB, 0));      /* it has them already, to the byte */
	assert_false(files_reserve_make(&f, 2 * MIB + 1, 0)); /* and what is not enough is better than nothing */
	assert_int_equal(blocks_of(".reserve"), 2 * MIB);
	assert_int_equal(files_held(&f, ".reserve"), 2 * MIB);
	assert_true(files_reserve_give_up(&f));
	free_blocks = 5;
	assert_true(files_reserve_make(&f, MIB, 4 * MIB));
	give_zero();
	assert_true(files_reserve_give_up(&f));
	assert_int_equal(files_bytes(&f, ".reserve"), 0);
	assert_false(files_reserve_give_up(&f));
	/* Bytes that own no blocks are nothing to give up. */
	fd = open(spooldir_file(&d, ".reserve"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, MIB), 0);
	(void)close(fd);
	assert_false(files_reserve_give_up(&f));
	assert_true(files_reserve_make(&f, MIB, 0));
	assert_int_equal(blocks_of(".reserve"), MIB);
	assert_int_equal(unlink(spooldir_file(&d, ".reserve")), 0);
	assert_false(files_reserve_give_up(&f));
	assert_int_equal(mkfifo(spooldir_file(&d, ".reserve"), 0600), 0);
	assert_false(files_reserve_make(&f, MIB, 0));
	assert_false(files_reserve_give_up(&f));
}

static void the_marker_says_why(void **state)
{
	unsigned char *bytes;
	size_t count;

	(void)state;
	give_zero();
	files_marker_put(&f, "a long reason");
	give_zero();
	files_marker_put(&f, "short");
	bytes = spooldir_load(spooldir_file(&d, ".unsafe"), &count);
	assert_int_equal(count, 5);
	assert_memory_equal(bytes, "short", 5);
	free(bytes);
	give_zero();
	assert_true(files_marker_exists(&f));
	assert_int_equal(unlink(spooldir_file(&d, ".unsafe")), 0);
	assert_false(files_marker_exists(&f));
	assert_int_equal(symlink("nothing", spooldir_file(&d, ".unsafe")), 0);
	assert_true(files_marker_exists(&f)); /* in doubt */
	files_marker_put(&f, "nowhere");
	assert_int_equal(access(spooldir_file(&d, "nothing"), F_OK), -1);
}

/* One that was exchanged for another's file by a second name, in the middle of a run too. */
static void another_s_file_is_not_written_by_a_second_name(void **state)
{
	static const char *const suffixes[] = {".tide", ".left", ".flight", ".unsafe", ".new"};
	char other[400], text[10];

	(void)state;
	(void)snprintf(other, sizeof other, "%s", spooldir_file(&d, ".other"));
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		FILE *file = fopen(other, "w");
		struct stat st;
		int fd;

		assert_int_equal(fputs("theirs", file), 1);
		assert_int_equal(fclose(file), 0);
		(void)unlink(spooldir_file(&d, suffixes[i]));
		assert_int_equal(link(other, spooldir_file(&d, suffixes[i])), 0);
		errno = 0;
		assert_int_equal(files_open_one(&f, suffixes[i], O_WRONLY | O_CREAT | O_TRUNC), -1);
		assert_int_equal(errno, EMLINK);
		assert_int_equal(files_open_one(&f, suffixes[i], O_RDWR), -1);
		fd = files_open_one(&f, suffixes[i], O_RDONLY);
		assert_int_equal(read(fd, text, sizeof text), 6);
		assert_int_equal(close(fd), 0);
		assert_int_equal(unlink(other), 0);
		fd = files_open_one(&f, suffixes[i], O_RDWR);
		assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 6);
		assert_int_equal(close(fd), 0);
		fd = files_open_one(&f, suffixes[i], O_WRONLY | O_CREAT | O_TRUNC);
		assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 0);
		assert_int_equal(close(fd), 0);
	}
	files_tide_open(&f);
	assert_int_equal(f.tide_trouble, 0);
	assert_int_equal(link(spooldir_file(&d, ".tide"), other), 0);
	files_tide_open(&f);
	assert_int_equal(f.tide_trouble, EMLINK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(ids_are_thirty_two_digits, begin, end),
	    cmocka_unit_test_setup_teardown(the_tide_is_as_its_format_says, begin, end),
	    cmocka_unit_test_setup_teardown(further_counts_are_of_the_same_tide, begin, end),
	    cmocka_unit_test_setup_teardown(an_older_tide_is_read, begin, end),
	    cmocka_unit_test_setup_teardown(a_tide_that_cannot_be_read_advises_no_more, begin, end),
	    cmocka_unit_test_setup_teardown(the_lock_names_its_spool, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_free_and_what_may_be_taken, begin, end),
	    cmocka_unit_test_setup_teardown(the_log_holds_what_there_is_room_for, begin, end),
	    cmocka_unit_test_setup_teardown(the_reserve_is_made_whole, begin, end),
	    cmocka_unit_test_setup_teardown(the_marker_says_why, begin, end),
	    cmocka_unit_test_setup_teardown(another_s_file_is_not_written_by_a_second_name, begin, end),
	};

	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
