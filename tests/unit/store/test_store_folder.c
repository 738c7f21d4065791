/*
 * The folder of a spool and whole files in it: who may own them, what they may be, where they may lie; what is copied,
 * renamed and read, of every size; each failure told as what it is. Descriptors may be 0.
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
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/files/new_file.h"
#include "store/files/spool_files.h"

static uint32_t magic = 0xef53;
static int statfs_error, advised, last_advice;

int fstatfs(int fd, struct statfs *ret)
{
	(void)fd;
	*ret = (struct statfs){.f_type = magic};
	errno = statfs_error;
	return statfs_error ? -1 : 0;
}

int posix_fadvise(int fd, off_t from, off_t count, int advice)
{
	advised += fcntl(fd, F_GETFD) >= 0 && from == 0 && count == 0;
	last_advice = advice;
	return 0;
}

static int access_error;

int faccessat(int dir, const char *path, int mode, int flags)
{
	errno = access_error;
	return access_error && mode & W_OK ? -1 : (int)syscall(SYS_faccessat2, dir, path, mode, flags);
}

static struct spooldir d;
static struct files f;
static struct error e;

static int begin(void **state)
{
	(void)state;
	if (fcntl(0, F_GETFD) == -1)
		assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	spooldir_make(&d);
	e = (struct error){0};
	return files_open(&f, d.path, &e) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	files_close(&f);
	faultfs_arm(0, 0, 0, false);
	(void)chmod(d.dir, 0700);
	spooldir_remove(&d);
	return 0;
}

/* The next descriptor is 0. */
static void give_zero(void) { (void)close(0); }

static void expect(enum err want, enum err got, const char *says)
{
	if (want != got || (want != ERR_OK && !strstr(e.text, says)))
		fail_msg("error %d instead of %d: \"%s\", not \"%s\"", (int)got, (int)want, e.text, says);
}

static enum err look_again(void)
{
	files_close(&f);
	return files_open_folder(&f, d.path, &e);
}

static void each_file_system_is_judged(void **state)
{
	static const struct {
		uint32_t magic;
		const char *name; /* remote */
		bool copies, overlays;
	} all[] = {
	    {0x6969, "NFS", false, false},      {0x517b, "SMB", false, false},     {0xff534d42, "CIFS", false, false},
	    {0xfe534d42, "SMB2", false, false}, {0x01021997, "9p", false, false},  {0x65735546, "FUSE", false, false},
	    {0x00c36400, "Ceph", false, false}, {0x5346414f, "AFS", false, false}, {0x9123683e, NULL, true, false},
	    {0x2fc12fc1, NULL, true, false},    {0xca451a4e, NULL, true, false},   {0x794c7630, NULL, false, true},
	    {0xef53, NULL, false, false},       {0x58465342, NULL, false, false},  {0x01021994, NULL, false, false},
	};
	char says[100];

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		magic = all[i].magic;
		(void)snprintf(says, sizeof says, " is on %s; a spool needs a local file system",
		               all[i].name ? all[i].name : "");
		expect(all[i].name ? ERR_ENVIRONMENT : ERR_OK, look_again(), says);
		assert_int_equal(f.copy_on_write, all[i].copies);
		assert_int_equal(f.overlay, all[i].overlays);
		assert_int_equal(f.dir_fd >= 0, !all[i].name);
		assert_int_equal(f.path != NULL, !all[i].name);
	}
	magic = 0xef53;
	statfs_error = EIO;
	expect(ERR_DISK, look_again(), ": statfs: Input/output error");
	statfs_error = EACCES;
	expect(ERR_SYSTEM, look_again(), ": statfs: Permission denied");
	access_error = EROFS; /* to read it alone does not help */
	expect(ERR_SYSTEM, files_open_names(&f, d.path, &e), ": statfs: Permission denied");
	statfs_error = access_error = 0;
}

/* Each mode of the folder: who may write in it beside us. */
static void the_folder_is_ours_alone(void **state)
{
	static const mode_t modes[] = {0700,  0755,  0711,  0770,  0775,  0707,  0702,  0777,  02700,
	                               02755, 02770, 02775, 02777, 02772, 01777, 01770, 03770, 0720};
	char says[200];

	(void)state;
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		const bool given = (modes[i] & 02022) == 02020;
		struct stat st;

		assert_int_equal(chmod(d.dir, modes[i]), 0);
		(void)snprintf(says, sizeof says,
		               (modes[i] & 01002) == 01002
		                   ? " is shared by all users (mode %04o); make a folder for the spool: install -d"
		                   : " may be written by others (mode %04o); chmod go-w /",
		               (unsigned)modes[i]);
		expect(given || !(modes[i] & 022) ? ERR_OK : ERR_ENVIRONMENT, look_again(), says);
		assert_int_equal(f.is_given, given);
		assert_int_equal(stat(d.dir, &st), 0);
		assert_int_equal(st.st_mode & 07777, given ? 0700 : modes[i]);
	}
	assert_int_equal(chmod(d.dir, 0700), 0);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(d.dir, 1, 0), 0);
	expect(ERR_ENVIRONMENT, look_again(), " belongs to uid 1, we are uid 0; chown it, or run as its owner");
	assert_int_equal(chown(d.dir, 0, 0), 0);
}

static void the_folder_is_a_folder(void **state)
{
	char path[400];
	static const struct {
		int error;
		enum err err;
	} opens[] = {{EIO, ERR_DISK}, {EMFILE, ERR_DISK}, {EACCES, ERR_ENVIRONMENT}, {EROFS, ERR_DISK}};

	(void)state;
	(void)snprintf(path, sizeof path, "%s/none/x", d.dir);
	files_close(&f);
	expect(ERR_ENVIRONMENT, files_open_folder(&f, path, &e), " is missing; make it with: install -d -m 0700 /");
	spooldir_store(spooldir_file(&d, ""), "x", 1);
	(void)snprintf(path, sizeof path, "%s/x", d.path);
	expect(ERR_ENVIRONMENT, files_open_folder(&f, path, &e), " is a link or not a folder; name the folder itself");
	assert_int_equal(symlink(d.dir, spooldir_file(&d, "-link")), 0);
	(void)snprintf(path, sizeof path, "%s-link/x", d.path);
	expect(ERR_ENVIRONMENT, files_open_folder(&f, path, &e), " is a link or not a folder; name the folder itself");
	for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
		faultfs_arm(FAULTFS_OPEN, 1, opens[i].error, false);
		expect(opens[i].err, files_open_folder(&f, d.path, &e), "cannot open the spool's folder /");
		assert_int_equal(faultfs_failed(), 1);
		faultfs_arm(FAULTFS_STAT, 1, opens[i].error, false);
		expect(opens[i].err == ERR_DISK ? ERR_DISK : ERR_SYSTEM, files_open_folder(&f, d.path, &e), ": stat");
	}
	faultfs_arm(0, 0, 0, false);
	give_zero();
	assert_int_equal(files_open_folder(&f, d.path, &e), ERR_OK);
	assert_int_equal(f.dir_fd, 0);
	assert_string_equal(f.name, "spool.db");
	assert_string_equal(f.path, d.path);
	files_close(&f);
	assert_int_equal(fcntl(0, F_GETFD), -1);
	files_close(&f);
	assert_null(f.path);
	assert_int_equal(chdir(d.dir), 0);
	assert_int_equal(files_open_folder(&f, "here.db", &e), ERR_OK);
	assert_string_equal(f.name, "here.db");
	assert_int_equal(files_bytes(&f, ""), 0);
	spooldir_store(spooldir_file(&d, ".x"), "123", 3);
	files_close(&f);
	assert_int_equal(files_open_folder(&f, "spool.db", &e), ERR_OK);
	assert_int_equal(files_bytes(&f, ".x"), 3);
	assert_int_equal(chdir("/"), 0);
	files_close(&f);
	if (geteuid() == 0) {
		assert_int_equal(files_open_folder(&f, "/x.db", &e), ERR_OK);
		assert_true(files_open_one(&f, "", O_RDONLY) < 0);
		assert_string_equal(f.name, "x.db");
	}
}

/* Whichever look at the folder or at the lock fails: it is told, the disk's own faults as such. */
static void a_look_that_fails_is_told(void **state)
{
	static const struct {
		int error;
		enum err err;
	} looks[] = {{EIO, ERR_DISK}, {EACCES, ERR_SYSTEM}};

	(void)state;
	for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
		uint64_t n = 1;

		for (;; n++) {
			enum err err;

			files_close(&f);
			faultfs_arm(FAULTFS_STAT, n, looks[i].error, false);
			err = files_open(&f, d.path, &e);
			if (faultfs_failed() == 0)
				break;
			expect(looks[i].err, err, ": stat: ");
		}
		faultfs_arm(0, 0, 0, false);
		assert_true(n > 12); /* those beside it too */
	}
}

/* A volume that root gave to us: what its mount does to group bits is taken back, what others may write is refused. */
static void a_given_volume(void **state)
{
	struct stat st;
	int64_t size;

	(void)state;
	if (geteuid() != 0)
		skip();
	files_close(&f);
	assert_int_equal(chdir(d.dir), 0); /* the folders above may be closed to others */
	assert_int_equal(unlink("spool.db.lock") == 0 || errno == ENOENT, 1);
	assert_int_equal(chmod(d.dir, 0755), 0);
	assert_int_equal(seteuid(4711), 0);
	expect(ERR_ENVIRONMENT, files_open_folder(&f, "spool.db", &e),
	       " belongs to root and we (uid 4711) may not write in it; chown");
	expect(ERR_OK, files_open_names(&f, "spool.db", &e), "");
	files_close(&f);
	magic = 0x6969;
	expect(ERR_ENVIRONMENT, files_open_names(&f, "spool.db", &e), " is on NFS");
	magic = 0xef53;
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(d.dir, 0777), 0);
	assert_int_equal(seteuid(4711), 0);
	magic = 0x6969;
	expect(ERR_ENVIRONMENT, files_open_folder(&f, "spool.db", &e), " is on NFS");
	magic = 0xef53;
	expect(ERR_OK, files_open(&f, "spool.db", &e), "");
	assert_true(f.is_given);
	expect(ERR_OK, files_create(&f, ".file", &e), "");
	assert_int_equal(chmod("spool.db.file", 0660), 0);
	expect(ERR_OK, files_size(&f, ".file", &size, &e), "");
	assert_int_equal(stat("spool.db.file", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod("spool.db.file", 0662), 0);
	expect(ERR_ENVIRONMENT, files_size(&f, ".file", &size, &e),
	       " may be written by others (mode 0662); chmod go-w it");
	assert_int_equal(seteuid(0), 0);
	expect(ERR_ENVIRONMENT, files_size(&f, ".file", &size, &e), " belongs to uid 4711, we are uid 0; chown it");
	assert_int_equal(chdir("/"), 0);
}

static void a_file_is_plain_and_ours(void **state)
{
	static const mode_t modes[] = {0600, 0644, 0400, 0660, 0602, 0666, 0755, 0711};
	int64_t size = 5;
	char says[100];

	(void)state;
	expect(ERR_OK, files_size(&f, ".none", &size, &e), "");
	assert_int_equal(size, -1);
	spooldir_store(spooldir_file(&d, ".file"), "1234567", 7);
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		assert_int_equal(chmod(spooldir_file(&d, ".file"), modes[i]), 0);
		(void)snprintf(says, sizeof says, ".file may be written by others (mode %04o); chmod go-w it",
		               (unsigned)modes[i]);
		expect(modes[i] & 022 ? ERR_ENVIRONMENT : ERR_OK, files_size(&f, ".file", &size, &e), says);
		assert_int_equal(size, 7);
	}
	assert_int_equal(chmod(spooldir_file(&d, ".file"), 0600), 0);
	{
		char other[400];

		(void)snprintf(other, sizeof other, "%s.name", d.path);
		assert_int_equal(link(spooldir_file(&d, ".file"), other), 0);
		expect(ERR_ENVIRONMENT, files_size(&f, ".file", &size, &e),
		       ".file has 2 names (hard links); copy it instead");
		assert_int_equal(unlink(other), 0);
		assert_int_equal(mkdir(other, 0700), 0);
		expect(ERR_ENVIRONMENT, files_size(&f, ".name", &size, &e), ".name is not a plain file; move it away");
		assert_int_equal(rmdir(other), 0);
		assert_int_equal(symlink("/etc/hostname", other), 0);
		expect(ERR_ENVIRONMENT, files_size(&f, ".name", &size, &e), ".name is not a plain file; move it away");
	}
	faultfs_arm(FAULTFS_STAT, 1, EIO, false);
	expect(ERR_DISK, files_size(&f, ".file", &size, &e), ".file: stat: Input/output error");
	assert_int_equal(size, -1);
	faultfs_arm(FAULTFS_STAT, 1, EACCES, false);
	expect(ERR_SYSTEM, files_size(&f, ".file", &size, &e), ".file: stat: Permission denied");
	faultfs_arm(FAULTFS_STAT, 1, EIO, false);
	assert_int_equal(files_bytes(&f, ".file"), 0);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(files_bytes(&f, ".file"), 7);
	assert_int_equal(files_bytes(&f, ".none"), 0);
}

static void the_lock_is_a_file_of_ours(void **state)
{
	(void)state;
	files_close(&f);
	assert_int_equal(chmod(spooldir_file(&d, ".lock"), 0666), 0);
	expect(ERR_ENVIRONMENT, files_open(&f, d.path, &e), ".lock may be written by others");
	assert_int_equal(f.dir_fd, -1);
	assert_int_equal(chmod(spooldir_file(&d, ".lock"), 0600), 0);
	faultfs_arm(FAULTFS_STAT, 2, EIO, false);
	expect(ERR_DISK, files_open(&f, d.path, &e), ".lock: stat: Input/output error");
	faultfs_arm(FAULTFS_OPEN, 2, EIO, false);
	expect(ERR_DISK, files_open(&f, d.path, &e), ".lock: Input/output error");
	faultfs_arm(FAULTFS_OPEN, 2, EACCES, false);
	expect(ERR_ENVIRONMENT, files_open(&f, d.path, &e), ".lock: Permission denied");
	faultfs_arm(FAULTFS_OPEN, 2, ENXIO, false); /* a socket */
	expect(ERR_ENVIRONMENT, files_open(&f, d.path, &e), ".lock is not a plain file; move it away");
	faultfs_arm(0, 0, 0, false);
	expect(ERR_OK, files_open(&f, d.path, &e), "");
	files_close(&f);
	assert_int_equal(files_open_folder(&f, d.path, &e), ERR_OK);
	give_zero();
	f.lock_fd = files_open_one(&f, ".lock", O_RDWR);
	assert_int_equal(f.lock_fd, 0);
	files_close(&f);
	assert_int_equal(fcntl(0, F_GETFD), -1);
}

static void bytes_are_read_where_they_are(void **state)
{
	char got[12];
	size_t count = 99;
	int fd = -2;

	(void)state;
	expect(ERR_OK, files_open_read(&f, ".none", O_RDONLY, &fd, &e), "");
	assert_int_equal(fd, -1);
	spooldir_store(spooldir_file(&d, ".ten"), "0123456789", 10);
	give_zero();
	expect(ERR_OK, files_open_read(&f, ".ten", O_RDONLY, &fd, &e), "");
	assert_int_equal(fd, 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	for (size_t want = 0; want <= 12; want++)
		for (int64_t at = 0; at <= 12; at++) {
			const size_t there = at >= 10 ? 0 : want < 10 - (size_t)at ? want : 10 - (size_t)at;

			memset(got, 'x', sizeof got);
			expect(ERR_OK, files_read_at(fd, got, want, at, &count, &e), "");
			assert_int_equal(count, there);
			assert_memory_equal(got, "0123456789" + (at < 10 ? at : 0), there);
			if (there < sizeof got)
				assert_int_equal(got[there], 'x');
		}
	faultfs_arm(FAULTFS_READ, 1, EINTR, false);
	expect(ERR_OK, files_read_at(fd, got, 4, 3, &count, &e), "");
	assert_int_equal(faultfs_failed(), 1);
	assert_int_equal(count, 4);
	assert_memory_equal(got, "3456", 4);
	faultfs_arm(FAULTFS_READ, 1, EIO, false);
	expect(ERR_DISK, files_read_at(fd, got, 4, 3, &count, &e), "cannot read /");
	assert_int_equal(count, 0);
	faultfs_arm(FAULTFS_READ, 2, EIO, false); /* behind the end */
	expect(ERR_DISK, files_read_at(fd, got, 12, 0, &count, &e), "cannot read /");
	assert_int_equal(count, 10);
	(void)close(fd);
	faultfs_arm(FAULTFS_OPEN, 1, EIO, false);
	expect(ERR_DISK, files_open_read(&f, ".ten", O_RDONLY, &fd, &e), "cannot open ");
	faultfs_arm(FAULTFS_OPEN, 1, EACCES, false);
	expect(ERR_ENVIRONMENT, files_open_read(&f, ".ten", O_RDONLY, &fd, &e), "cannot open ");
}

static void what_cannot_be_written_is_not_opened_to_write(void **state)
{
	struct files other;

	(void)state;
	access_error = EROFS;
	expect(ERR_DISK, files_open_folder(&other, d.path, &e), "cannot be written: Read-only file system");
	access_error = EACCES;
	expect(ERR_ENVIRONMENT, files_open_folder(&other, d.path, &e), "cannot be written: Permission denied");
	expect(ERR_OK, files_open_names(&other, d.path, &e), "");
	files_close(&other);
	access_error = 0;
}

static void files_are_copied_as_they_are(void **state)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000};
	static unsigned char bytes[200000];
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 251);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		unsigned char *copy;
		size_t count;

		spooldir_store(spooldir_file(&d, ".from"), bytes, sizes[i]);
		give_zero();
		expect(ERR_OK, files_copy(&f, ".from", ".to", &e), "");
		copy = spooldir_load(spooldir_file(&d, ".to"), &count);
		assert_int_equal(count, sizes[i]);
		assert_memory_equal(copy, bytes, count);
		free(copy);
		expect(ERR_DISK, files_copy(&f, ".from", ".to", &e), "cannot copy ");
		files_remove(&f, ".to");
		assert_int_equal(files_bytes(&f, ".to"), 0);
	}
	expect(ERR_DISK, files_copy(&f, ".none", ".to", &e), "cannot copy ");
	assert_int_equal(access(spooldir_file(&d, ".to"), F_OK), -1);
	for (int n = 1; n <= 4; n++) {
		faultfs_arm(FAULTFS_WRITE, (uint64_t)n, ENOSPC, false);
		expect(ERR_FULL, files_copy(&f, ".from", ".to", &e), n == 1 ? "cannot copy " : "cannot write ");
		assert_int_equal(access(spooldir_file(&d, ".to"), F_OK), -1); /* no piece of it stays */
		faultfs_arm(FAULTFS_WRITE, (uint64_t)n, EIO, false);
		expect(ERR_DISK, files_copy(&f, ".from", ".to", &e), n == 1 ? "cannot copy " : "cannot write ");
		assert_int_equal(access(spooldir_file(&d, ".to"), F_OK), -1);
	}
	faultfs_arm(0, 0, 0, false);
	/* New files: ours alone, and new. */
	give_zero();
	expect(ERR_OK, files_create(&f, ".made", &e), "");
	assert_int_equal(stat(spooldir_file(&d, ".made"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	expect(ERR_ENVIRONMENT, files_create(&f, ".made", &e), "cannot make ");
	faultfs_arm(FAULTFS_WRITE, 1, ENOSPC, false);
	expect(ERR_FULL, files_create(&f, ".more", &e), "cannot make ");
	faultfs_arm(FAULTFS_WRITE, 1, EIO, false);
	expect(ERR_DISK, files_create(&f, ".more", &e), "cannot make ");
}

static void names_change_as_they_are_told(void **state)
{
	static const struct {
		int error;
		enum err err;
	} renames[] = {{ENOSPC, ERR_FULL}, {EDQUOT, ERR_FULL}, {EIO, ERR_DISK}, {EACCES, ERR_DISK}, {ENOENT, ERR_OK}};

	(void)state;
	expect(ERR_OK, files_rename(&f, ".none", ".other", &e), "");
	spooldir_store(spooldir_file(&d, ".from"), "abc", 3);
	for (size_t i = 0; i < sizeof renames / sizeof *renames; i++) {
		faultfs_arm(FAULTFS_RENAME, 1, renames[i].error, false);
		expect(renames[i].err, files_rename(&f, ".from", ".other", &e), ".from to spool.db.other: ");
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(files_bytes(&f, ".from"), 3);
	}
	expect(ERR_OK, files_rename(&f, ".from", ".other", &e), "");
	assert_int_equal(files_bytes(&f, ".other"), 3);
	give_zero();
	expect(ERR_OK, files_publish(&f, ".other", &e), "");
	assert_int_equal(files_bytes(&f, ""), 3);
	assert_int_equal(files_bytes(&f, ".other"), 0);
	expect(ERR_DISK, files_publish(&f, ".other", &e), ".other: fsync: ");
	/* The folder above may be one that cannot be synced: that is not ours to answer for. */
	spooldir_store(spooldir_file(&d, ".other"), "abcd", 4);
	faultfs_arm(FAULTFS_SYNC, 2, EINVAL, false);
	expect(ERR_OK, files_publish(&f, ".other", &e), "");
	assert_int_equal(faultfs_failed(), 1);
	spooldir_store(spooldir_file(&d, ".other"), "abcd", 4);
	faultfs_arm(FAULTFS_SYNC, 2, EROFS, false);
	expect(ERR_OK, files_publish(&f, ".other", &e), "");
	spooldir_store(spooldir_file(&d, ".other"), "abcd", 4);
	faultfs_arm(FAULTFS_SYNC, 2, EIO, false);
	expect(ERR_DISK, files_publish(&f, ".other", &e), "fsync of the folder above that of /");
	faultfs_arm(FAULTFS_OPEN, 2, EACCES, false);
	expect(ERR_OK, files_publish(&f, ".other", &e), "");
	spooldir_store(spooldir_file(&d, ".other"), "abcd", 4);
	faultfs_arm(FAULTFS_SYNC, 3, EIO, false);
	expect(ERR_DISK, files_publish(&f, ".other", &e), "fsync of the folder of /");
	faultfs_arm(FAULTFS_SYNC, 1, EIO, false);
	expect(ERR_DISK, files_sync_dir(&f, &e), "fsync of the folder of /");
	faultfs_arm(0, 0, 0, false);
	expect(ERR_OK, files_sync_dir(&f, &e), "");
}

static void small_texts_are_whole_or_not_there(void **state)
{
	static const int full[] = {ENOSPC, EDQUOT, EIO};
	char got[8];

	(void)state;
	give_zero();
	expect(ERR_OK, files_put_text(&f, ".text", "words", &e), "");
	give_zero();
	expect(ERR_OK, files_get_text(&f, ".text", got, sizeof got, &e), "");
	assert_string_equal(got, "words");
	for (size_t i = 0; i < 3; i++)
		for (int n = 1; n <= 2; n++) {
			faultfs_arm(FAULTFS_WRITE, (uint64_t)n, full[i], false);
			expect(full[i] == EIO ? ERR_DISK : ERR_FULL, files_put_text(&f, ".text", "others", &e),
			       "cannot write ");
			faultfs_arm(0, 0, 0, false);
			files_remove(&f, ".text.new");
			expect(ERR_OK, files_get_text(&f, ".text", got, sizeof got, &e), "");
			assert_string_equal(got, "words");
		}
	expect(ERR_OK, files_put_text(&f, ".text", "", &e), "");
	expect(ERR_OK, files_get_text(&f, ".text", got, sizeof got, &e), "");
	assert_string_equal(got, "");
	for (size_t size = 1; size <= sizeof got; size++) {
		expect(ERR_OK, files_put_text(&f, ".text", "0123456789", &e), "");
		memset(got, 'x', sizeof got);
		expect(ERR_OK, files_get_text(&f, ".text", got, size, &e), "");
		assert_int_equal(strlen(got), size - 1);
		assert_memory_equal(got, "0123456789", size - 1);
	}
	faultfs_arm(FAULTFS_READ, 1, EIO, false);
	expect(ERR_DISK, files_get_text(&f, ".text", got, sizeof got, &e), ".text: cannot read /");
	assert_string_equal(got, "");
}

static void both_files_leave_the_cache(void **state)
{
	(void)state;
	advised = 0;
	spooldir_store(spooldir_file(&d, ""), "x", 1);
	files_drop_cache(&f);
	assert_int_equal(advised, 1);
	spooldir_store(spooldir_file(&d, "-wal"), "x", 1);
	give_zero();
	files_drop_cache(&f);
	assert_int_equal(advised, 3);
	assert_int_equal(last_advice, POSIX_FADV_DONTNEED);
}

/* Nobody put another in its place while it was written. */
static void a_new_file_is_the_one_that_was_made(void **state)
{
	char other[400];
	int fd;

	(void)state;
	(void)snprintf(other, sizeof other, "%s.other", d.path);
	fd = open(d.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(new_file_is_still(d.path, fd, &e), ERR_OK);
	assert_int_equal(link(d.path, other), 0);
	assert_int_equal(new_file_is_still(d.path, fd, &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "was exchanged"));
	assert_int_equal(unlink(other), 0);
	assert_int_equal(new_file_is_still(d.path, fd, &e), ERR_OK);
	assert_int_equal(rename(d.path, other), 0);
	assert_int_equal(new_file_is_still(d.path, fd, &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "cannot look at"));
	spooldir_store(d.path, "x", 1);
	assert_int_equal(new_file_is_still(d.path, fd, &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "was exchanged"));
	assert_int_equal(new_file_is_still(d.path, -1, &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "cannot look at"));
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_file_system_is_judged, begin, end),
	    cmocka_unit_test_setup_teardown(the_folder_is_ours_alone, begin, end),
	    cmocka_unit_test_setup_teardown(the_folder_is_a_folder, begin, end),
	    cmocka_unit_test_setup_teardown(a_look_that_fails_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(a_given_volume, begin, end),
	    cmocka_unit_test_setup_teardown(a_file_is_plain_and_ours, begin, end),
	    cmocka_unit_test_setup_teardown(the_lock_is_a_file_of_ours, begin, end),
	    cmocka_unit_test_setup_teardown(bytes_are_read_where_they_are, begin, end),
	    cmocka_unit_test_setup_teardown(what_cannot_be_written_is_not_opened_to_write, begin, end),
	    cmocka_unit_test_setup_teardown(files_are_copied_as_they_are, begin, end),
	    cmocka_unit_test_setup_teardown(names_change_as_they_are_told, begin, end),
	    cmocka_unit_test_setup_teardown(small_texts_are_whole_or_not_there, begin, end),
	    cmocka_unit_test_setup_teardown(both_files_leave_the_cache, begin, end),
	    cmocka_unit_test_setup_teardown(a_new_file_is_the_one_that_was_made, begin, end),
	};

	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
