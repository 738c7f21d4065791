/*
 * What a person gives up, be it no file at all: it is looked for no more, and nothing else is given up with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/files/asides.h"
#include "store/store_salvage_internal.h"

enum { ROWS = 300, PAGE = 4096 };
#define FRAME(n) (32 + (n) * (24 + PAGE)) /* where it begins in the log */
static const char aside[] = ".quarantine-20260101T000000Z-000";

/* A spool whose files were set aside by a run that ended there. */
static void make_aside(struct spooldir *d, uint32_t in_log)
{
	char from[400];

	life_make(d, 0, ROWS - in_log, in_log);
	if (in_log == 0) /* all of it stands in the file */
		life_close(life_open(d, NULL));
	(void)snprintf(from, sizeof from, "%s-wal", d->path);
	assert_int_equal(rename(d->path, spooldir_file(d, aside)), 0);
	(void)snprintf(from, sizeof from, "%s", spooldir_file(d, "-wal"));
	assert_int_equal(rename(from, spooldir_file(d, ".quarantine-20260101T000000Z-000-wal")), 0);
}

static enum err repair(const struct spooldir *d, const char *give_up, char *text, size_t size)
{
	struct error e = {0};
	struct buf out;
	enum err err;

	buf_init(&out, 1 << 20);
	err = store_repair(d->path, &(struct store_repair){.give_up = give_up}, &out, &e);
	(void)snprintf(text, size, "%.*s%s", (int)out.len, out.len ? out.data : "", err == ERR_OK ? "" : e.text);
	buf_fini(&out);
	return err;
}

static void expect_all(struct store *s, uint64_t waiting)
{
	const struct store_ledger *l = store_ledger(s);

	assert_int_equal(l->accepted, ROWS);
	assert_int_equal(l->pending, waiting);
	assert_int_equal(l->pending + l->delivered + l->damaged, ROWS);
	assert_int_equal(life_waiting(s, 0), waiting);
}

/* A run that ended before it could say that all was read: the next says so, and takes nothing twice; or why it cannot.
 */
static void the_mark_of_what_was_read_is_made_again(void **state)
{
	struct store_report report;
	struct spooldir d;
	char mark[400], text[4000];

	(void)state;
	make_aside(&d, 100);
	(void)snprintf(mark, sizeof mark, "%s%s.read", d.path, aside);
	for (int round = 0; round < 4; round++) {
		struct store *s = life_open(&d, &report);

		expect_all(s, ROWS);
		assert_int_equal(strstr(report.warning, "cannot be read back") != NULL, round == 2);
		assert_int_equal(access(mark, F_OK), round == 2 ? -1 : 0);
		life_close(s);
		assert_int_equal(life_problems(&d, text, sizeof text) > 0, round == 2);
		if (round != 2)
			assert_non_null(strstr(text, "read to its end, 300 messages came back"));
		(void)unlink(mark);
		(void)snprintf(text, sizeof text, "%s.new", mark);
		if (round == 1) /* in the way */
			assert_int_equal(mkdir(text, 0700), 0);
		else
			(void)rmdir(text);
	}
	spooldir_remove(&d);
}

/* What stands under the name of a file that was set aside, which waits elsewhere. */
static void put_in_its_place(const char *path, int what)
{
	char kept[400];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	(void)snprintf(kept, sizeof kept, "%.*s/kept", (int)(strrchr(path, '/') - path), path);
	assert_int_equal(rename(path, kept), 0);
	if (what == 0) {
		assert_int_equal(mkdir(path, 0700), 0);
	} else if (what == 1) {
		assert_int_equal(mkfifo(path, 0600), 0);
	} else if (what == 2) {
		assert_int_equal(symlink(kept, path), 0);
	} else if (what == 3) {
		assert_int_equal(symlink("/nowhere", path), 0);
	} else {
		(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
		(void)close(fd);
	}
}

static void put_back(const char *path)
{
	char kept[400];

	(void)snprintf(kept, sizeof kept, "%.*s/kept", (int)(strrchr(path, '/') - path), path);
	assert_int_equal(remove(path), 0);
	assert_int_equal(rename(kept, path), 0);
}

static const char *const companions[] = {".tide", ".lock", ".flight", ".reserve"};

/* A directory, a fifo, a link, a socket under the name of a file that was set aside: told with its name and what to do,
 * by the start, the list, check and repair; when the file is back, all of it comes back, whatever the spool is called
 * by then. */
static void what_is_no_file_ends_no_start(void **state)
{
	static const char *const words[] = {"a directory", "a fifo", "a symbolic link", "a symbolic link", "a socket"};

	(void)state;
	for (int round = 0; round < 10; round++) {
		const bool is_named = round < 5;
		struct store_report report;
		char text[8000], path[400];
		struct spooldir d;
		struct store *s;

		make_aside(&d, 0);
		for (size_t i = 0; i < sizeof companions / sizeof *companions && !is_named; i++)
			(void)unlink(spooldir_file(&d, companions[i]));
		(void)snprintf(path, sizeof path, "%s", spooldir_file(&d, aside));
		put_in_its_place(path, round % 5);
		for (int start = 0; start < 2; start++) {
			s = life_open(&d, &report);
			if (store_ledger(s)->accepted != (is_named ? ROWS : 0) || store_ledger(s)->pending != 0)
				fail_msg("round %d, start %d: %s", round, start, report.warning);
			life_close(s);
			if (!strstr(report.warning, words[round % 5]) || !strstr(report.warning, path) ||
			    !strstr(report.warning, "kspool repair --give-up /"))
				fail_msg("%s: %s", words[round % 5], report.warning);
		}
		assert_true(life_problems(&d, text, sizeof text) > 0);
		assert_non_null(strstr(text, words[round % 5]));
		assert_non_null(strstr(text, "--give-up /"));
		assert_int_equal(repair(&d, NULL, text, sizeof text), ERR_DAMAGED);
		assert_non_null(strstr(text, words[round % 5]));
		put_back(path);
		s = life_open(&d, &report);
		expect_all(s, ROWS);
		life_close(s);
		assert_int_equal(life_problems(&d, text, sizeof text), 0);
		spooldir_remove(&d);
	}
}

static void what_is_no_file_can_be_given_up(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		struct store_report report;
		char text[8000], path[400];
		struct spooldir d;

		make_aside(&d, 0);
		for (size_t i = 0; i < sizeof companions / sizeof *companions && round >= 5; i++)
			(void)unlink(spooldir_file(&d, companions[i]));
		(void)snprintf(path, sizeof path, "%s", spooldir_file(&d, aside));
		put_in_its_place(path, round % 5);
		if (repair(&d, path, text, sizeof text) != ERR_OK)
			fail_msg("round %d: %s", round, text);
		assert_non_null(strstr(text, "given up"));
		assert_int_equal(life_problems(&d, text, sizeof text), 0);
		life_close(life_open(&d, &report));
		assert_string_equal(report.warning, "");
		put_back(path);
		spooldir_remove(&d);
	}
}

/* Each loss anew: check is silent only of what repair told. */
static void check_ends_well_when_a_person_knows(void **state)
{
	struct store_report report;
	struct spooldir d;
	char text[4000];
	struct store *s;

	(void)state;
	life_make(&d, 0, 100, 0);
	for (int round = 0; round < 2; round++) {
		life_close(life_open(&d, NULL));
		spooldir_lose(d.path, 20 + (uint64_t)round);
		assert_true(life_problems(&d, text, sizeof text) > 0);
		s = life_open(&d, &report);
		assert_int_equal(store_ledger(s)->damaged, round + 1);
		life_close(s);
		assert_int_equal(life_problems(&d, text, sizeof text), 1); /* a start counted it, and nobody was told */
		assert_non_null(strstr(text, "1 messages are damaged, and nobody has confirmed it"));
		assert_int_equal(repair(&d, NULL, text, sizeof text), ERR_OK);
		assert_non_null(strstr(text, "noted that you know"));
		assert_int_equal(life_problems(&d, text, sizeof text), 0);
		assert_int_equal(repair(&d, NULL, text, sizeof text), ERR_OK);
		assert_null(strstr(text, "noted that you know"));
	}
	spooldir_remove(&d);
}

static enum err fill_disk(struct store *s, const char *path, struct store_report *report, struct error *e)
{
	(void)e;
	(void)s;
	(void)path;
	assert_non_null(strstr(report->warning, "--give-up"));
	faultfs_dead("-000", 30 * PAGE, 9 * PAGE);
	faultfs_arm(FAULTFS_WRITE | FAULTFS_ALLOCATE, 1, ENOSPC, true);
	return ERR_OK;
}

/* Nothing is given up before what can be read has come back, and that needs room. */
static void a_full_disk_gives_nothing_up(void **state)
{
	struct spooldir d;
	struct error e = {0};
	struct store *s;
	struct buf out;
	char text[4000], path[400];

	(void)state;
	make_aside(&d, 0);
	(void)snprintf(path, sizeof path, "%s", spooldir_file(&d, aside));
	faultfs_dead("-000", 0, INT32_MAX);
	s = life_open(&d, NULL);
	expect_all(s, 0);
	life_close(s);
	buf_init(&out, 1 << 20);
	(void)clock_test_stop(); /* its start reads back until it has to wait */
	assert_int_not_equal(
	    store_repair(d.path, &(struct store_repair){.give_up = path, .opened = fill_disk}, &out, &e), ERR_OK);
	clock_test_go_on();
	ERRORWATCH_EXPECT(e.code, &e, NULL, "giving up on a full disk, write", 1);
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(buf_add(&out, "", 1), ERR_OK);
	if (e.code != ERR_NOSPACE || !strstr(e.text, "free some space") || strstr(out.data, "given up: "))
		fail_msg("error %d: %s; %s", (int)e.code, e.text, out.data);
	buf_fini(&out);
	assert_int_equal(repair(&d, path, text, sizeof text), ERR_OK);
	assert_non_null(strstr(text, "given up: "));
	faultfs_dead(NULL, 0, 0);
	s = life_open(&d, NULL);
	expect_all(s, 270);
	life_end(&d, s);
}

/* Only of the file that is given up less than all is enough: another waits until it can be read. */
static void one_file_is_given_up_and_no_other(void **state)
{
	static const char other[] = ".quarantine-20260101T000002Z-000";
	struct spooldir d;
	struct store *s;
	char text[4000], path[400];
	size_t count;
	unsigned char *bytes;

	(void)state;
	make_aside(&d, 0);
	bytes = spooldir_load(spooldir_file(&d, aside), &count);
	spooldir_store(spooldir_file(&d, other), bytes, count);
	free(bytes);
	(void)snprintf(path, sizeof path, "%s", spooldir_file(&d, aside));
	faultfs_dead("-000", 30 * PAGE, 9 * PAGE);
	if (repair(&d, path, text, sizeof text) == ERR_OK || !strstr(text, "given up: ") ||
	    !strstr(text, "cannot be read: ") || !strstr(text, "--give-up") || !strstr(text, other))
		fail_msg("%s", text);
	s = life_open(&d, NULL);
	expect_all(s, 270);
	life_close(s);
	faultfs_dead(NULL, 0, 0);
	s = life_open(&d, NULL);
	expect_all(s, ROWS);
	life_end(&d, s);
}

/* Where in a file, so that a person can look at that place. */
static void a_place_that_cannot_be_read_is_named(void **state)
{
	enum { BYTES = 200000, LOOK = 65536 };
	static const struct {
		int64_t dead;
		bool whole;
		int64_t from; /* -1: nothing is told */
	} cases[] = {{-1, true, -1}, {150000, true, 2 * LOOK},    {150000, false, -1}, {7, false, 0},
	             {7, true, 0},   {BYTES - 1, true, 3 * LOOK}, {LOOK, true, LOOK},  {LOOK, false, -1}};
	struct aside a = {.suffix = ".quarantine-x", .has_file = true},
	             log = {.suffix = ".quarantine-x", .has_log = true};
	unsigned char *bytes = calloc(1, BYTES);
	struct spooldir d;
	struct files f = {0};
	struct error e;

	(void)state;
	spooldir_make(&d);
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	spooldir_store(spooldir_file(&d, ".quarantine-x"), bytes, BYTES);
	spooldir_store(spooldir_file(&d, ".quarantine-x-wal"), bytes, BYTES);
	for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
		char text[600] = "-", want[80];
		const size_t n = i / 2;

		faultfs_dead(i % 2 ? "-x-wal" : "-x", cases[n].dead, cases[n].dead < 0 ? 0 : 1);
		asides_trouble(&f, i % 2 ? &log : &a, cases[n].whole, text, sizeof text);
		(void)snprintf(want, sizeof want, "%s, from byte %d on: ", i % 2 ? "-x-wal" : "-x", (int)cases[n].from);
		if (cases[n].from < 0 ? text[0] != '\0' : !strstr(text, want) || !strstr(text, strerror(EIO)))
			fail_msg("case %zu: %s", n, text);
	}
	faultfs_dead(NULL, 0, 0);
	files_close(&f);
	free(bytes);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_mark_of_what_was_read_is_made_again),
	    cmocka_unit_test(what_is_no_file_ends_no_start),
	    cmocka_unit_test(what_is_no_file_can_be_given_up),
	    cmocka_unit_test(check_ends_well_when_a_person_knows),
	    cmocka_unit_test(a_full_disk_gives_nothing_up),
	    cmocka_unit_test(one_file_is_given_up_and_no_other),
	    cmocka_unit_test(a_place_that_cannot_be_read_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
