/* Where a spool may lie, and its small files: each operation on them that fails is told as what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/files/spool_files.h"

/* This program's file system. */
static uint32_t magic = 0xef53;
static int statfs_error;
static uint64_t free_mib = 1000, whole_mib = 1000;

int fstatfs(int fd, struct statfs *ret)
{
	(void)fd;
	*ret = (struct statfs){.f_type = magic};
	errno = statfs_error;
	return statfs_error ? -1 : 0;
}

int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	*ret = (struct statvfs){.f_bsize = 1 << 20, .f_frsize = 1 << 20};
	ret->f_blocks = whole_mib;
	ret->f_bfree = ret->f_bavail = free_mib;
	errno = statfs_error;
	return statfs_error ? -1 : 0;
}

static const struct {
	uint32_t magic;
	enum err err;
	bool copy_on_write;
	const char *says;
} places[] = {
    {0xef53, ERR_OK, false, ""},
    {0x6969, ERR_ENVIRONMENT, false, " is on NFS; a spool needs a local file system"},
    {0xff534d42, ERR_ENVIRONMENT, false, " is on CIFS; "},
    {0x65735546, ERR_ENVIRONMENT, false, " is on FUSE; "},
    {0x9123683e, ERR_OK, true, "the file system copies on write: only the reserve lets a full disk be drained"},
    {0x2fc12fc1, ERR_OK, true, "the file system copies on write: "},
    {0x794c7630, ERR_OK, false, "the spool is on overlayfs: it lives as long as the container"},
};

static void the_file_system_is_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		struct spooldir d;
		struct store_options o;
		struct store_report report;
		struct store *s = NULL;
		struct error e;

		spooldir_make(&d);
		o = spooldir_options(&d);
		magic = places[i].magic;
		assert_int_equal(store_open(&o, &s, &report, &e), places[i].err);
		if (places[i].err == ERR_OK) {
			assert_int_equal(report.copy_on_write, places[i].copy_on_write);
			assert_non_null(strstr(report.warning, places[i].says));
			assert_int_equal(report.warning[0] == '\0', places[i].says[0] == '\0');
			assert_int_equal(store_close(s, &e), ERR_OK);
		} else {
			assert_non_null(strstr(e.text, places[i].says));
			assert_non_null(strstr(e.text, d.dir));
		}
		spooldir_remove(&d);
	}
	magic = 0xef53;
}

static const char *name_of(const struct spooldir *d, const char *more)
{
	static char name[600];

	(void)snprintf(name, sizeof name, "%s/%s", d->dir, more);
	return name;
}

static void a_name_must_be_one(void **state)
{
	struct spooldir d;
	struct files f;
	struct error e;
	char longest[300];
	int fd;

	(void)state;
	spooldir_make(&d);
	assert_int_equal(files_open(&f, name_of(&d, ""), &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "does not name a file"));
	memset(longest, 'x', sizeof longest);
	longest[NAME_MAX - 64 + 1] = '\0';
	assert_int_equal(files_open(&f, name_of(&d, longest), &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "does not name a file"));
	longest[NAME_MAX - 64] = '\0';
	assert_int_equal(files_open(&f, name_of(&d, longest), &e), ERR_OK);
	files_close(&f);
	assert_int_equal(f.dir_fd, -1);
	assert_int_equal(f.lock_fd, -1);
	/* Another's lock. */
	fd = open(spooldir_file(&d, ".lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(files_open(&f, d.path, &e), ERR_BUSY);
	assert_non_null(strstr(e.text, "another process owns the spool"));
	assert_int_equal(files_open_folder(&f, d.path, &e), ERR_OK);
	files_close(&f);
	(void)close(fd);
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	files_close(&f);
	assert_int_equal(unlink(name_of(&d, longest)) == 0 || errno == ENOENT, 1);
	spooldir_remove(&d);
}

static enum err get_a_size(struct files *f, struct error *e)
{
	int64_t size = 0;
	enum err err = files_size(f, ".text", &size, e);

	if (err == ERR_OK)
		assert_int_equal(size, 5);
	return err;
}

static enum err get_a_text(struct files *f, struct error *e)
{
	char text[20];
	enum err err = files_get_text(f, ".text", text, sizeof text, e);

	if (err == ERR_OK)
		assert_string_equal(text, "words");
	return err;
}

static enum err put_a_text(struct files *f, struct error *e) { return files_put_text(f, ".text", "words", e); }

static enum err copy_a_file(struct files *f, struct error *e)
{
	files_remove(f, ".copy");
	return files_copy(f, ".big", ".copy", e);
}

static enum err publish(struct files *f, struct error *e)
{
	files_remove(f, ".made");
	must(files_create(f, ".made", e) == ERR_OK || faultfs_failed() > 0);
	return faultfs_failed() > 0 ? error_set(e, ERR_DISK, "not made: %s %s", f->path, strerror(EIO))
	                            : files_publish(f, ".made", e);
}

static enum err read_the_tide(struct files *f, struct error *e)
{
	struct tide tide;
	enum err err = files_tide_read(f, &tide, e);

	if (err == ERR_OK) {
		assert_true(tide.is_valid);
		assert_int_equal(tide.schema, 3);
		assert_int_equal(tide.id, 77);
	}
	return err;
}

static enum err open_beside(struct files *f, struct error *e)
{
	char path[400];
	struct files other;
	enum err err;

	(void)snprintf(path, sizeof path, "%s.beside", f->path);
	err = files_open(&other, path, e);
	if (err == ERR_OK)
		files_close(&other);
	return err;
}

static const struct {
	const char *name;
	enum err (*run)(struct files *f, struct error *e);
	unsigned kinds;
	int least; /* so many operations are there to fail */
	bool may_be_full;
} acts[] = {
    {"size", get_a_size, FAULTFS_STAT, 1, false},
    {"get text", get_a_text, FAULTFS_OPEN | FAULTFS_READ, 3, false},
    {"put text", put_a_text, FAULTFS_ALL & ~FAULTFS_STAT, 4, true},
    {"copy", copy_a_file, FAULTFS_OPEN | FAULTFS_READ | FAULTFS_WRITE | FAULTFS_SYNC, 6, true},
    {"publish", publish, FAULTFS_SYNC | FAULTFS_RENAME, 3, false},
    {"read the tide", read_the_tide, FAULTFS_OPEN, 1, false}, /* a read is made again */
    {"open beside", open_beside, FAULTFS_OPEN | FAULTFS_STAT, 3, false},
};

static void make_files(const struct spooldir *d, struct files *f)
{
	static char big[200000];
	struct error e;

	assert_int_equal(files_open(f, d->path, &e), ERR_OK);
	assert_int_equal(files_put_text(f, ".text", "words", &e), ERR_OK);
	memset(big, 'b', sizeof big);
	spooldir_store(spooldir_file(d, ".big"), big, sizeof big);
	spooldir_store(spooldir_file(d, ".beside.lock"), "", 0);
	files_tide_open(f);
	files_tide_write(f, &(struct tide){.schema = 3, .id = 77});
}

static void what_fails_is_told(void **state)
{
	struct spooldir d;
	struct files f;

	(void)state;
	spooldir_make(&d);
	make_files(&d, &f);
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
		for (int is_full = 0; is_full <= acts[i].may_be_full; is_full++) {
			int n = 1;

			for (;; n++) {
				struct error e = {.code = ERR_OK};
				uint64_t failed;
				enum err err;

				faultfs_arm(is_full ? acts[i].kinds & ~(unsigned)FAULTFS_LOOKS : acts[i].kinds,
				            (uint64_t)n, is_full ? ENOSPC : EIO, false);
				err = acts[i].run(&f, &e);
				failed = faultfs_failed();
				faultfs_arm(0, 0, 0, false);
				if (failed == 0)
					assert_int_equal(err, ERR_OK);
				if (failed == 0)
					break;
				if ((err != ERR_DISK && !(is_full && err == ERR_FULL)) ||
				    !strstr(e.text, "/kspool-test-") ||
				    !strstr(e.text, strerror(is_full ? ENOSPC : EIO)))
					fail_msg("%s, operation %d: error %d, %s", acts[i].name, n, (int)err, e.text);
				assert_int_equal(get_a_text(&f, &e), ERR_OK); /* it is whole all the time */
			}
			if (n - 1 < (is_full ? 1 : acts[i].least))
				fail_msg("%s: only %d operations were tried", acts[i].name, n - 1);
		}
	files_close(&f);
	spooldir_remove(&d);
}

static void each_kind_of_file_has_its_word(void **state)
{
	static const struct {
		mode_t mode;
		const char *word;
	} kinds[] = {
	    {S_IFDIR | 0700, "a directory, not a file"},
	    {S_IFLNK | 0777, "a symbolic link, not a file"},
	    {S_IFIFO, "a fifo, not a file"},
	    {S_IFSOCK, "a socket, not a file"},
	    {S_IFCHR, "a device, not a file"},
	    {S_IFBLK, "a device, not a file"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		assert_string_equal(files_kind_word(kinds[i].mode), kinds[i].word);
}

/* A folder that cannot be opened for want of room, or whose text cannot be looked at before it is written. */
static void what_is_in_the_way_is_told_first(void **state)
{
	struct spooldir d;
	struct files f;
	struct error e;

	(void)state;
	spooldir_make(&d);
	faultfs_arm(FAULTFS_OPEN, 1, EDQUOT, false);
	assert_int_equal(files_open(&f, d.path, &e), ERR_FULL);
	faultfs_arm(0, 0, 0, false);
	make_files(&d, &f);
	for (uint64_t n = 1; n <= 2; n++) {
		faultfs_arm(FAULTFS_STAT, n, EIO, false);
		assert_int_equal(files_put_text(&f, ".text", "other", &e), ERR_DISK);
		assert_non_null(strstr(e.text, n == 1 ? ".text.new: stat" : ".text: stat"));
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(access(spooldir_file(&d, ".text.new"), F_OK), -1);
	}
	files_close(&f);
	spooldir_remove(&d);
}

static void a_text_that_is_too_long_is_cut(void **state)
{
	struct spooldir d;
	struct files f;
	struct error e;
	char text[4];

	(void)state;
	spooldir_make(&d);
	make_files(&d, &f);
	assert_int_equal(files_get_text(&f, ".text", text, sizeof text, &e), ERR_OK);
	assert_string_equal(text, "wor");
	assert_int_equal(files_get_text(&f, ".nothing", text, sizeof text, &e), ERR_OK);
	assert_string_equal(text, "");
	files_close(&f);
	spooldir_remove(&d);
}

static void a_tide_that_was_not_written_is_none(void **state)
{
	struct spooldir d;
	struct files f;
	struct tide tide;
	struct error e;
	size_t count;
	unsigned char *bytes;

	(void)state;
	spooldir_make(&d);
	make_files(&d, &f);
	bytes = spooldir_load(spooldir_file(&d, ".tide"), &count);
	assert_true(count > 32);
	for (size_t i = 0; i < count; i++) {
		bytes[i] ^= 16;
		spooldir_store(spooldir_file(&d, ".tide"), bytes, count);
		assert_int_equal(files_tide_read(&f, &tide, &e), ERR_OK);
		assert_false(tide.is_valid);
		bytes[i] ^= 16;
	}
	spooldir_store(spooldir_file(&d, ".tide"), bytes, count - 1);
	assert_int_equal(files_tide_read(&f, &tide, &e), ERR_OK);
	assert_false(tide.is_valid);
	assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
	assert_int_equal(files_tide_read(&f, &tide, &e), ERR_OK);
	assert_false(tide.is_valid);
	free(bytes);
	files_close(&f);
	spooldir_remove(&d);
}

static uint64_t blocks_of(const struct spooldir *d, const char *suffix)
{
	struct stat st;

	return stat(spooldir_file(d, suffix), &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

enum { MIB = 1 << 20 };

static void what_is_held_leaves_the_others_theirs(void **state)
{
	struct spooldir d;
	struct files f;

	(void)state;
	spooldir_make(&d);
	make_files(&d, &f);
	spooldir_store(spooldir_file(&d, "-wal"), "x", 1);
	whole_mib = 80;
	free_mib = 40;
	assert_int_equal(files_share(&f, 100 * MIB), 10 * MIB);
	assert_int_equal(files_share(&f, 9 * MIB), 9 * MIB);
	assert_int_equal(files_free_bytes(&f), 40 * MIB);
	/* The reserve: all of it or nothing. */
	assert_false(files_reserve_make(&f, 0, 0));
	assert_int_equal(access(spooldir_file(&d, ".reserve"), F_OK), -1);
	assert_false(files_reserve_make(&f, 2 * MIB, 38 * MIB + 1));
	assert_false(files_reserve_make(&f, 2 * MIB, 41 * MIB));
	assert_int_equal(blocks_of(&d, ".reserve"), 0);
	assert_false(files_reserve_give_up(&f));
	faultfs_arm(FAULTFS_ALLOCATE, 1, ENOSPC, false);
	assert_false(files_reserve_make(&f, 2 * MIB, 38 * MIB));
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(blocks_of(&d, ".reserve"), 0);
	assert_true(files_reserve_make(&f, 2 * MIB, 38 * MIB));
	assert_in_range(blocks_of(&d, ".reserve"), 2 * MIB, 3 * MIB);
	free_mib = 0;
	assert_true(files_reserve_make(&f, 2 * MIB, 38 * MIB)); /* it is there */
	assert_true(files_reserve_give_up(&f));
	assert_int_equal(blocks_of(&d, ".reserve"), 0);
	assert_false(files_reserve_give_up(&f));
	/* The log: as much as may be, half of what is free and not spare. */
	assert_in_range(files_wal_hold(&f, 8 * MIB, 0), 0, 8192);
	free_mib = 40;
	faultfs_arm(FAULTFS_ALLOCATE, 1, ENOSPC, false);
	assert_in_range(files_wal_hold(&f, 8 * MIB, 0), 0, 8192);
	faultfs_arm(0, 0, 0, false);
	assert_in_range(files_wal_hold(&f, 8 * MIB, 36 * MIB), 2 * MIB, 2 * MIB + 8192);
	assert_in_range(blocks_of(&d, "-wal"), 2 * MIB, 3 * MIB);
	assert_in_range(files_wal_hold(&f, 8 * MIB, 40 * MIB), 2 * MIB, 3 * MIB); /* what it has, it keeps */
	assert_int_equal(files_wal_hold(&f, 8 * MIB, 0), 8 * MIB);
	assert_in_range(files_wal_hold(&f, 100 * MIB, 0), 10 * MIB, 10 * MIB);
	assert_in_range(files_wal_hold(&f, MIB, 0), 10 * MIB, 11 * MIB);
	assert_int_equal(files_bytes(&f, "-wal"), 1);
	assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0);
	assert_int_equal(files_wal_hold(&f, 8 * MIB, 0), 0);
	statfs_error = EIO;
	assert_int_equal(files_share(&f, MIB), 0);
	assert_true(files_free_bytes(&f) == UINT64_MAX); /* a write that fails says so */
	statfs_error = 0;
	whole_mib = free_mib = 1000;
	files_close(&f);
	spooldir_remove(&d);
}

static void a_marker_is_there_until_it_is_removed(void **state)
{
	struct spooldir d;
	struct files f;

	(void)state;
	spooldir_make(&d);
	make_files(&d, &f);
	assert_false(files_marker_exists(&f));
	faultfs_arm(FAULTFS_OPEN, 1, EIO, false);
	assert_true(files_marker_exists(&f)); /* in doubt */
	faultfs_arm(0, 0, 0, false);
	files_marker_put(&f, "why");
	assert_true(files_marker_exists(&f));
	files_remove(&f, ".unsafe");
	assert_false(files_marker_exists(&f));
	files_close(&f);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_file_system_is_judged),
	    cmocka_unit_test(a_name_must_be_one),
	    cmocka_unit_test(what_fails_is_told),
	    cmocka_unit_test(each_kind_of_file_has_its_word),
	    cmocka_unit_test(what_is_in_the_way_is_told_first),
	    cmocka_unit_test(a_text_that_is_too_long_is_cut),
	    cmocka_unit_test(a_tide_that_was_not_written_is_none),
	    cmocka_unit_test(what_is_held_leaves_the_others_theirs),
	    cmocka_unit_test(a_marker_is_there_until_it_is_removed),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
