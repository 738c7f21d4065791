/*
 * A message is on the disk when its file's name is. The n-th sync of a folder fails, n = 1, 2, ... until a run meets no
 * fault, once and for good: each is told, so that nobody was given a yes, and the next start on a well disk goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/spooldir.h"

enum { ROWS = 20, POINTS_MAX = 100 };

/* A start and a group: ERR_OK is the yes. */
static enum err accept_some(const struct spooldir *d, struct error *e)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	enum err err = store_open(&o, &s, NULL, e);

	if (err == ERR_OK)
		err = store_begin(s, e);
	for (uint64_t n = 1; n <= ROWS && err == ERR_OK; n++) {
		struct message *m = spooldir_message(n, 500);

		err = store_append(s, m, e);
		message_free(m);
	}
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err == ERR_OK)
		return store_close(s, e);
	store_abandon(s);
	return err;
}

static void make_nothing(const struct spooldir *d) { (void)d; }

static void make_filled(const struct spooldir *d)
{
	struct error e;

	assert_int_equal(accept_some(d, &e), ERR_OK);
}

static void make_without_log(const struct spooldir *d)
{
	make_filled(d);
	assert_int_equal(unlink(spooldir_file(d, "-wal")), 0);
}

/* The first page is not what was written: its files are set aside, and a new spool is made. */
static void make_damaged(const struct spooldir *d)
{
	unsigned char *bytes;
	size_t count;

	make_filled(d);
	bytes = spooldir_load(d->path, &count);
	memset(bytes + 100, 0xff, 40);
	spooldir_store(d->path, bytes, count);
	free(bytes);
}

static enum err export_it(const struct spooldir *d, struct error *e)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	enum err err = store_open(&o, &s, NULL, e);

	if (err == ERR_OK)
		err = store_export(s, spooldir_file(d, ".copy"), e);
	store_abandon(s);
	return err;
}

static enum err repair_it(const struct spooldir *d, struct error *e)
{
	struct buf report;
	enum err err;

	buf_init(&report, 1 << 20);
	err = store_repair(d->path, &(struct store_repair){0}, &report, e);
	buf_fini(&report);
	return err;
}

static const struct way {
	const char *name;
	void (*make)(const struct spooldir *d);
	enum err (*go)(const struct spooldir *d, struct error *e);
	uint64_t least; /* syncs of folders: one left out is a name that may be gone */
	uint64_t kept;  /* messages from before */
} ways[] = {
    {"a first start", make_nothing, accept_some, 5, 0},
    {"a start", make_filled, accept_some, 1, ROWS},
    {"a start without a log", make_without_log, accept_some, 1, ROWS},
    {"a start on damage", make_damaged, accept_some, 10, ROWS},
    {"an export", make_filled, export_it, 3, ROWS},
    {"a repair of damage", make_damaged, repair_it, 10, ROWS},
};

static void all_is_there(const struct spooldir *d, const struct way *w, bool was_accepted)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;
	uint64_t first, last, least = w->kept + (was_accepted ? ROWS : 0);
	bool more = true;

	if (store_open(&o, &s, NULL, &e) != ERR_OK)
		fail_msg("%s: the next start: %s", w->name, e.text);
	while (more)
		assert_int_equal(store_salvage(s, 100, &first, &last, &more, &e), ERR_OK);
	assert_int_equal(store_ledger(s)->damaged, 0);
	if (store_ledger(s)->pending < least)
		fail_msg("%s: %u of %u", w->name, (unsigned)store_ledger(s)->pending, (unsigned)least);
	assert_int_equal(store_close(s, &e), ERR_OK);
}

static bool fail_one(const struct way *w, uint64_t n, bool persistent)
{
	struct spooldir d;
	struct error e = {0};
	struct stat st;
	uint64_t failed;
	enum err err;

	spooldir_make(&d);
	w->make(&d);
	faultfs_arm(FAULTFS_SYNC_FOLDER, n, EIO, persistent);
	err = w->go(&d, &e);
	failed = faultfs_failed();
	faultfs_arm(0, 0, 0, false);
	if (failed > 0 && err != ERR_DISK)
		fail_msg("%s: sync %u of a folder failed%s, and the answer was %d: %s", w->name, (unsigned)n,
		         persistent ? " with all after it" : "", (int)err, e.text);
	if (failed == 0)
		assert_int_equal(err, ERR_OK);
	assert_true(err == ERR_OK || strstr(e.text, "Input/output error"));
	all_is_there(&d, w, err == ERR_OK && w->go == accept_some);
	assert_int_equal(stat(spooldir_file(&d, "-wal"), &st), 0);
	spooldir_remove(&d);
	return failed > 0;
}

static void a_name_that_may_be_gone_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		for (int persistent = 0; persistent < 2; persistent++) {
			uint64_t n = 1;

			while (fail_one(&ways[i], n, persistent))
				assert_true(++n < POINTS_MAX);
			if (n <= ways[i].least)
				fail_msg("%s: only %u syncs of folders", ways[i].name, (unsigned)n - 1);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_name_that_may_be_gone_is_told),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
