/*
 * Files that were set aside, by their names alone: which are one set, which are none, what is said of each, which one a
 * person means, which name is free, and which halves are swept away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/spooldir.h"
#include "store/files/asides.h"

#define OLD ".quarantine-20260101T000000Z-000"
#define NEW ".quarantine-20260102T000000Z-000"

static int folder_error, entry_error;

/* The folder's descriptor cannot become a stream; or its entries end with an error. */
DIR *fdopendir(int fd)
{
	errno = folder_error;
	return folder_error ? NULL : ((DIR * (*)(int)) dlsym(RTLD_NEXT, "fdopendir"))(fd);
}

struct dirent *readdir(DIR *dir)
{
	if (entry_error)
		errno = entry_error;
	return entry_error ? NULL : ((struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir"))(dir);
}

static struct spooldir d;
static struct files f;
static struct error e;

static int begin(void **state)
{
	(void)state;
	spooldir_make(&d);
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultfs_dead(NULL, 0, 0);
	faultfs_arm(0, 0, 0, false);
	files_close(&f);
	spooldir_remove(&d);
	return 0;
}

static void put(const char *suffix, const char *text) { spooldir_store(spooldir_file(&d, suffix), text, strlen(text)); }

/* One line a set: suffix, kind, F(ile) L(og) R(ead), outcome. */
static void expect_sets(const char *want)
{
	static const char *const kinds[] = {
	    [ASIDE_QUARANTINE] = "quarantine", [ASIDE_STRANGER] = "stranger", [ASIDE_COPY] = "copy"};
	struct aside_list list;
	uint64_t all = 7, unread = 7, left = 0;
	struct buf out;

	buf_init(&out, 1 << 16);
	assert_int_equal(asides_find(&f, &list, &e), ERR_OK);
	for (size_t i = 0; i < list.count; i++) {
		const struct aside *a = &list.items[i];
		char *name = asides_name(&f, a);

		left += !a->is_read;
		assert_int_equal(strncmp(name, d.path, strlen(d.path)), 0);
		assert_int_equal(buf_addf(&out, "%s %s %s%s%s %.20s\n", name + strlen(d.path), kinds[a->kind],
		                          a->has_file ? "F" : "", a->has_log ? "L" : "", a->is_read ? "R" : "",
		                          a->outcome),
		                 ERR_OK);
		free(name);
	}
	assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
	assert_string_equal((char *)out.data, want);
	assert_int_equal(asides_count(&f, &all, &unread, &e), ERR_OK);
	assert_int_equal(all, list.count);
	assert_int_equal(unread, left);
	asides_fini(&list);
	assert_null(list.items);
	buf_fini(&out);
}

static void names_that_are_none(void **state)
{
	static const char *const others[] = {"x" OLD,         ".quarantine", ".quarantin-1", OLD ".read",
	                                     OLD ".read.new", OLD ".head",   ".read",        ".head",
	                                     "-wal",          ".tide",       ".strange-1"};
	char path[400];

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		put(others[i], "x");
	(void)snprintf(path, sizeof path, "%s/spool.d" OLD, d.dir); /* shorter, and another's */
	spooldir_store(path, "x", 1);
	/* one byte more than a suffix may have, and as long as it may be */
	put(".quarantine-000000000000000000000000000000000000000000000000000X", "x");
	expect_sets("");
	put(".quarantine-00000000000000000000000000000000000000000000000000X", "x");
	expect_sets(".quarantine-00000000000000000000000000000000000000000000000000X quarantine F \n");
}

static void each_name_is_what_it_says(void **state)
{
	(void)state;
	put(NEW, "x");
	put(OLD "-wal", "x");
	put(".stranger-20260103T000000Z-000", "x");
	put(".stranger-20260104T000000Z-000-wal", "x");
	put("-wal.damaged-17", "x");
	put("-wal.damaged-18-wal", "x"); /* of a log there is no log */
	assert_int_equal(mkdir(spooldir_file(&d, ".quarantine-a-folder"), 0700), 0);
	assert_int_equal(symlink("/nowhere", spooldir_file(&d, ".quarantine-a-link")), 0);
	put(".quarantine-read", "x");
	put(".quarantine-read.read", "it came back");
	put(".quarantine-said-nothing", "x");
	put(".quarantine-said-nothing.read", "");
	expect_sets("-wal.damaged-17 copy FR as a damaged log was\n"
	            "-wal.damaged-18-wal copy FR as a damaged log was\n" OLD "-wal quarantine L \n" NEW
	            " quarantine F \n"
	            ".quarantine-a-folder quarantine F \n"
	            ".quarantine-a-link quarantine F \n"
	            ".quarantine-read quarantine FR it came back\n"
	            ".quarantine-said-nothing quarantine F \n"
	            ".stranger-20260103T000000Z-000 stranger FR of another spool, or\n"
	            ".stranger-20260104T000000Z-000-wal stranger LR of another spool, or\n");
}

/* A database and its log, in whichever order the folder names them; of either what cannot be read is told. */
static void a_database_and_its_log_are_one(void **state)
{
	(void)state;
	for (int log_first = 0; log_first < 2; log_first++)
		for (int log_is_dead = 0; log_is_dead < 2; log_is_dead++) {
			struct buf out;
			char want[1200];
			uint64_t unread = 7;

			put(log_first ? OLD "-wal" : OLD, "x");
			put(log_first ? OLD : OLD "-wal", "x");
			put(NEW "-wal", "x"); /* alone */
			expect_sets(OLD " quarantine FL \n" NEW "-wal quarantine L \n");
			faultfs_dead(log_is_dead ? OLD "-wal" : OLD, 0, 1);
			buf_init(&out, 1 << 16);
			assert_int_equal(asides_print(&f, &out, &unread, &e), ERR_OK);
			assert_int_equal(unread, 2);
			assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
			(void)snprintf(want, sizeof want,
			               "set aside: %s" OLD ": not read to its end yet: %s" OLD
			               "%s, from byte 0 on: cannot read",
			               d.path, d.path, log_is_dead ? "-wal" : "");
			assert_int_equal(strncmp(out.data, want, strlen(want)), 0);
			(void)snprintf(want, sizeof want,
			               "\nput it right, or, when it is lost for good: kspool repair --give-up %s" OLD
			               "\nset aside: %s" NEW "-wal: not read to its end yet\n",
			               d.path, d.path);
			assert_ptr_equal(strstr(out.data, want) + strlen(want), (char *)out.data + out.len - 1);
			buf_fini(&out);
			faultfs_dead(NULL, 0, 0);
			assert_int_equal(unlink(spooldir_file(&d, OLD)), 0);
			assert_int_equal(unlink(spooldir_file(&d, OLD "-wal")), 0);
		}
}

/* A part that came since, or grew, is to be read; one that is gone, or smaller, was. */
static void what_has_grown_is_read_again(void **state)
{
	static const struct {
		struct aside_parts parts;
		bool is_read;
	} cases[] = {{{3, 4}, true},
	             {{2, 4}, false},
	             {{3, 3}, false},
	             {{3, 0}, false},
	             {{0, 4}, false},
	             {{5, 5}, true},
	             {{UINT64_MAX, UINT64_MAX}, true}};

	(void)state;
	put(NEW, "123");
	put(NEW "-wal", "1234");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(asides_close(&f, NEW, &cases[i].parts, "done with", &e), ERR_OK);
		expect_sets(cases[i].is_read ? NEW " quarantine FLR done with\n" : NEW " quarantine FL done with\n");
	}
	put(NEW ".read", "as older ones say");
	expect_sets(NEW " quarantine FLR as older ones say\n");
}

/* By a path, or its last part; by its log; not by what is no set, or is not there. */
static void a_person_names_a_set(void **state)
{
	static const struct {
		const char *file, *suffix; /* null: none */
		bool is_read;
	} cases[] = {
	    {"spool.db" OLD, OLD, false},
	    {"/some/where/spool.db" OLD, OLD, false},
	    {"spool.db" OLD "-wal", OLD, false},
	    {"./spool.db" NEW, NEW, true},
	    {"spool.db" NEW ".read", NULL, false},
	    {"spool.db", NULL, false},
	    {"other.db" OLD, NULL, false},
	    {"spool.db" OLD "/", NULL, false},
	    {"spool.db.quarantine-20260103T000000Z-000", NULL, false},
	};

	const struct aside_parts parts = {.file = 1};

	(void)state;
	put(OLD, "x");
	put(NEW, "x");
	assert_int_equal(asides_close(&f, NEW, &parts, "done with", &e), ERR_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char suffix[ASIDE_SUFFIX_BYTES] = "";
		bool is_read = !cases[i].is_read;
		char want[200];
		const enum err err = asides_named(&f, cases[i].file, suffix, &is_read, &e);

		assert_int_equal(err, cases[i].suffix ? ERR_OK : ERR_INPUT);
		if (cases[i].suffix) {
			assert_string_equal(suffix, cases[i].suffix);
			assert_int_equal(is_read, cases[i].is_read);
			continue;
		}
		(void)snprintf(want, sizeof want,
		               "%s is none of the files that were set aside; kspool check lists them", cases[i].file);
		assert_string_equal(e.text, want);
	}
}

static void a_new_name_is_free(void **state)
{
	char suffix[ASIDE_SUFFIX_BYTES];

	(void)state;
	clock_test_set(INT64_C(1000000000000), INT64_C(1800000000007000000));
	assert_int_equal(asides_new_suffix(&f, STRANGER_PREFIX, suffix, &e), ERR_OK);
	assert_string_equal(suffix, ".stranger-20270115T080000Z-007");
	put(suffix, "x");
	put(".stranger-20270115T080000Z-008-wal", "x");
	assert_int_equal(symlink("/nowhere", spooldir_file(&d, ".stranger-20270115T080000Z-009")), 0);
	assert_int_equal(asides_new_suffix(&f, STRANGER_PREFIX, suffix, &e), ERR_OK);
	assert_string_equal(suffix, ".stranger-20270115T080000Z-010");
	assert_int_equal(asides_new_suffix(&f, ASIDE_PREFIX, suffix, &e), ERR_OK);
	assert_string_equal(suffix, ".quarantine-20270115T080000Z-007");
	assert_true(asides_is_taken(&f, ".stranger-20270115T080000Z", "-007"));
	assert_false(asides_is_taken(&f, ".stranger-20270115T080000Z", "-011"));
	faultfs_arm(FAULTFS_STAT, 1, EIO, true); /* what cannot be looked at is not free */
	assert_int_equal(asides_new_suffix(&f, ASIDE_PREFIX, suffix, &e), ERR_DISK);
	assert_non_null(strstr(e.text, "and each name after it is taken, or cannot be looked at"));
	assert_int_equal(faultfs_failed(), 100000);
	faultfs_arm(0, 0, 0, false);
	clock_test_end();
}

static void halves_are_swept_away(void **state)
{
	static const char *const stay[] = {OLD,
	                                   OLD ".read",
	                                   ".read.new",
	                                   ".peek-",
	                                   ".peek-x",
	                                   ".peek-12.par",
	                                   ".peek-12x",
	                                   ".peek-12.part-journal2",
	                                   "x.peek-12",
	                                   ".aside.new2",
	                                   ".aside",
	                                   OLD ".new",
	                                   ".stranger-1.read.new"};
	static const char *const go[] = {".peek-12", ".peek-1.part", ".peek-9.part-journal", ".aside.new",
	                                 OLD ".read.new"};

	(void)state;
	for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
		put(stay[i], "x");
	for (size_t i = 0; i < sizeof go / sizeof *go; i++)
		put(go[i], "x");
	asides_sweep_copies(&f);
	for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
		if (access(spooldir_file(&d, stay[i]), F_OK) != 0)
			fail_msg("%s is gone", stay[i]);
	for (size_t i = 0; i < sizeof go / sizeof *go; i++)
		if (access(spooldir_file(&d, go[i]), F_OK) == 0)
			fail_msg("%s is there", go[i]);
}

static void tell(void *arg, const char *name, bool is_read, const char *outcome)
{
	const enum err err = buf_addf(arg, "%s %d %.100s\n", name + strlen(d.path), is_read, outcome);

	assert_int_equal(err, ERR_OK);
}

/* What a running kspool's status says of each. */
static void each_is_told_with_what_to_do(void **state)
{
	static const char waits[] =
	    "being read back; where that does not end, the log says why, and kspool repair --give-up ";
	char want[1000];
	struct buf out;

	(void)state;
	put(OLD, "x");
	put(NEW, "x");
	put(NEW ".read", "it came back");
	buf_init(&out, 1 << 16);
	assert_int_equal(asides_each(d.path, tell, &out, &e), ERR_OK);
	assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
	(void)snprintf(want, sizeof want, OLD " 0 %s%.*s\n" NEW " 1 it came back\n", waits, (int)(101 - sizeof waits),
	               d.path);
	assert_string_equal((char *)out.data, want);
	buf_clear(&out);
	faultfs_dead(OLD, 0, 1);
	assert_int_equal(asides_each(d.path, tell, &out, &e), ERR_OK);
	assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
	assert_int_equal(strncmp(out.data, OLD " 0 cannot be read: ", strlen(OLD " 0 cannot be read: ")), 0);
	buf_fini(&out);
}

/* A hole has no sector that could be dead. What stands behind one is looked at. */
static void holes_are_passed_by(void **state)
{
	AUTOFREE char *name = mem_format("%s%s", d.path, OLD);
	struct buf out;
	uint64_t unread;

	(void)state;
	put(OLD, "x");
	put(NEW, "x");
	assert_int_equal(truncate(name, (off_t)1 << 38), 0);
	for (int has_end = 0; has_end < 2; has_end++) {
		if (has_end) {
			FILE *file = fopen(name, "r+");

			assert_int_equal(fseeko(file, ((off_t)1 << 38) - 1, SEEK_SET), 0);
			assert_int_equal(fputc('x', file), 'x');
			assert_int_equal(fclose(file), 0);
			faultfs_dead(OLD, ((int64_t)1 << 38) - 1, 1);
		}
		buf_init(&out, 1 << 16);
		faultfs_arm(FAULTFS_READ, 20, EIO, true);
		assert_int_equal(asides_print(&f, &out, &unread, &e), ERR_OK);
		assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
		assert_int_equal(strstr(out.data, "from byte") != NULL, has_end);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(unread, 2);
		buf_fini(&out);
	}
	faultfs_dead(NULL, 0, 0);
}

/* A folder that cannot be listed has sets that nobody knows of: whoever asks hears that, and not that there is none. */
static void a_folder_that_cannot_be_listed_is_told(void **state)
{
	(void)state;
	put(OLD, "x");
	for (int way = 0; way < 5; way++) {
		char suffix[ASIDE_SUFFIX_BYTES] = "as it was";
		char want[800];
		bool is_read = true;
		uint64_t all = 7, unread = 7;
		struct aside_list list;
		struct buf out;
		enum err err = ERR_OK;

		buf_init(&out, 1 << 16);
		e = (struct error){0};
		faultfs_arm(FAULTFS_OPEN, way == 4 ? 2 : 1, EIO, true); /* it opens the folder for itself first */
		if (way == 0)
			err = asides_named(&f, OLD, suffix, &is_read, &e);
		else if (way == 1)
			err = asides_print(&f, &out, &unread, &e);
		else if (way == 2)
			err = asides_count(&f, &all, &unread, &e);
		else if (way == 3)
			err = asides_find(&f, &list, &e);
		else
			err = asides_each(d.path, tell, &out, &e);
		assert_int_equal(faultfs_failed(), 1);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(err, ERR_DISK);
		(void)snprintf(want, sizeof want, "cannot list the folder of %s: %s", d.path, strerror(EIO));
		assert_string_equal(e.text, want);
		assert_string_equal(suffix, "as it was");
		assert_true(is_read);
		assert_int_equal(out.len, 0);
		if (way == 1 || way == 2)
			assert_int_equal(unread, 0);
		if (way == 2)
			assert_int_equal(all, 0);
		if (way == 3)
			assert_int_equal(list.count, 0);
		buf_fini(&out);
	}
	for (int way = 0; way < 3; way++) {
		struct aside_list list;
		int *const errors[] = {&folder_error, &entry_error};

		put(".aside.new", "x");
		if (way < 2)
			*errors[way] = EIO;
		else
			faultfs_arm(FAULTFS_OPEN, 1, EIO, true);
		assert_int_equal(asides_find(&f, &list, &e), ERR_DISK);
		assert_non_null(strstr(e.text, "cannot list the folder of "));
		assert_int_equal(list.count, 0);
		asides_sweep_copies(&f); /* another time */
		folder_error = entry_error = 0;
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(access(spooldir_file(&d, ".aside.new"), F_OK), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(names_that_are_none, begin, end),
	    cmocka_unit_test_setup_teardown(each_name_is_what_it_says, begin, end),
	    cmocka_unit_test_setup_teardown(a_database_and_its_log_are_one, begin, end),
	    cmocka_unit_test_setup_teardown(what_has_grown_is_read_again, begin, end),
	    cmocka_unit_test_setup_teardown(a_person_names_a_set, begin, end),
	    cmocka_unit_test_setup_teardown(a_new_name_is_free, begin, end),
	    cmocka_unit_test_setup_teardown(halves_are_swept_away, begin, end),
	    cmocka_unit_test_setup_teardown(each_is_told_with_what_to_do, begin, end),
	    cmocka_unit_test_setup_teardown(holes_are_passed_by, begin, end),
	    cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_listed_is_told, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
