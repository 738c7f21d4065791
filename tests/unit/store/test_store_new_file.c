/* A file gets its name when it is whole and synced, replaces none, and is still the one that was made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/files/new_file.h"

static struct spooldir d;
static char part[400], target[400];

static int begin(void **state)
{
	(void)state;
	spooldir_make(&d);
	(void)snprintf(part, sizeof part, "%s.part", d.path);
	(void)snprintf(target, sizeof target, "%s", d.path);
	spooldir_store(part, "whole", 5);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultfs_arm(0, 0, 0, false);
	spooldir_remove(&d);
	return 0;
}

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

/* One name, whichever way the file system has for it. */
static void it_has_its_own_name(void **state)
{
	static const int ways[] = {0, EINVAL, ENOSYS};

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct error e;
		struct stat st;

		if (ways[i])
			faultfs_arm(FAULTFS_RENAME, 1, ways[i], true);
		assert_int_equal(new_file_publish(part, target, &e), ERR_OK);
		faultfs_arm(0, 0, 0, false);
		assert_false(is_there(part));
		assert_int_equal(stat(target, &st), 0);
		assert_int_equal(st.st_nlink, 1);
		assert_int_equal(rename(target, part), 0);
	}
}

/* The part cannot lose its name: both are there, which is told, for whoever reads such a file refuses it. */
static void two_names_are_told(void **state)
{
	struct error e;

	(void)state;
	faultfs_arm(FAULTFS_RENAME | FAULTFS_UNLINK, 1, ENOSYS, true);
	assert_int_equal(new_file_publish(part, target, &e), ERR_ENVIRONMENT);
	assert_int_equal(faultfs_failed(), 3); /* the move, the part's name, and the new one */
	assert_non_null(strstr(e.text, target));
}

static void none_is_replaced(void **state)
{
	static const int ways[] = {0, EINVAL};

	(void)state;
	spooldir_store(target, "another", 7);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct error e;
		struct stat st;

		if (ways[i])
			faultfs_arm(FAULTFS_RENAME, 1, ways[i], true);
		assert_int_equal(new_file_publish(part, target, &e), ERR_INPUT);
		faultfs_arm(0, 0, 0, false);
		assert_non_null(strstr(e.text, target));
		assert_true(is_there(part));
		assert_int_equal(stat(target, &st), 0);
		assert_int_equal(st.st_size, 7);
	}
}

static void what_fails_is_told(void **state)
{
	static const struct {
		unsigned kind;
		uint64_t n;
		int error;
		enum err want;
		bool has_name;
	} faults[] = {
	    {FAULTFS_OPEN, 1, EMFILE, ERR_DISK, false},         {FAULTFS_SYNC, 1, EIO, ERR_DISK, false},
	    {FAULTFS_SYNC_FOLDER, 1, EIO, ERR_DISK, true},      {FAULTFS_OPEN, 2, EMFILE, ERR_DISK, true},
	    {FAULTFS_RENAME, 1, EIO, ERR_DISK, false},          {FAULTFS_RENAME, 1, EACCES, ERR_ENVIRONMENT, false},
	    {FAULTFS_RENAME, 1, EROFS, ERR_ENVIRONMENT, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct error e;

		faultfs_arm(faults[i].kind, faults[i].n, faults[i].error, false);
		assert_int_equal(new_file_publish(part, target, &e), faults[i].want);
		assert_int_equal(faultfs_failed(), 1);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(is_there(target), faults[i].has_name);
		if (faults[i].has_name)
			assert_int_equal(rename(target, part), 0);
	}
}

/* A name without a folder is one of this folder, and one at the root is one there. */
static void names_without_a_folder(void **state)
{
	char back[400];
	struct error e;

	(void)state;
	assert_non_null(getcwd(back, sizeof back));
	assert_int_equal(chdir(d.dir), 0);
	spooldir_store("a.part", "x", 1);
	faultfs_arm(FAULTFS_SYNC, 9, EIO, false);
	assert_int_equal(new_file_publish("a.part", "a", &e), ERR_OK);
	faultfs_arm(FAULTFS_SYNC_FOLDER, 1, EIO, false);
	assert_int_equal(rename("a", "a.part"), 0);
	assert_int_equal(new_file_publish("a.part", "a", &e), ERR_DISK);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(chdir(back), 0);
	if (geteuid() == 0) {
		const pid_t child = fork(); /* for whom that folder is the root */
		int status = 1;

		if (child == 0) {
			const bool is_made =
			    chroot(d.dir) == 0 && chdir("/") == 0 && new_file_publish("/a", "/b", &e) == ERR_OK;

			_exit(is_made && is_there("/b") ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

static void it_is_the_one_that_was_made(void **state)
{
	char second[420];
	struct error e;
	int fd;

	(void)state;
	fd = open(part, O_RDONLY);
	assert_int_equal(new_file_is_still(part, fd, &e), ERR_OK);
	for (uint64_t n = 1; n <= 2; n++) {
		faultfs_arm(FAULTFS_STAT, n, EIO, false);
		assert_int_equal(new_file_is_still(part, fd, &e), ERR_DISK);
		faultfs_arm(FAULTFS_STAT, n, EACCES, false);
		assert_int_equal(new_file_is_still(part, fd, &e), ERR_ENVIRONMENT);
		faultfs_arm(0, 0, 0, false);
	}
	(void)snprintf(second, sizeof second, "%s.second", part);
	assert_int_equal(link(part, second), 0);
	assert_int_equal(new_file_is_still(part, fd, &e), ERR_ENVIRONMENT);
	assert_int_equal(unlink(part), 0);
	assert_int_equal(new_file_is_still(part, fd, &e), ERR_ENVIRONMENT);
	spooldir_store(part, "whole", 5);
	assert_int_equal(new_file_is_still(part, fd, &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "exchanged"));
	assert_int_equal(unlink(part), 0);
	assert_int_equal(symlink(second, part), 0);
	assert_int_equal(new_file_is_still(part, fd, &e), ERR_ENVIRONMENT);
	assert_int_equal(new_file_is_still(second, fd, &e), ERR_OK);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(it_has_its_own_name, begin, end),
	    cmocka_unit_test_setup_teardown(two_names_are_told, begin, end),
	    cmocka_unit_test_setup_teardown(none_is_replaced, begin, end),
	    cmocka_unit_test_setup_teardown(what_fails_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(names_without_a_folder, begin, end),
	    cmocka_unit_test_setup_teardown(it_is_the_one_that_was_made, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
