/*
 * Who looks at a spool or at a copy while its n-th call of SQLite has no memory, or its n-th look at a file fails,
 * n = 1, 2, ... until none does: that is told, as what it is, and the answer is never that of a look that met no fault.
 * No descriptor stays open.
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
#include <unistd.h>

#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/fullspool.h"
#include "store/store_internal.h"

#define ASIDE ".quarantine-20260101T000000Z-000"

static char target[400];

static bool shelf(void *arg, const struct store_dead *dead)
{
	return buf_addf(arg, "dead %d %s\n", (int)dead->id, dead->code) == ERR_OK;
}

static enum err look(const struct spooldir *d, struct buf *out, struct error *e)
{
	const struct store_options o = {.path = d->path};
	struct store_report report;
	struct store *s = NULL;
	enum err err = store_look(&o, &s, &report, e);

	if (err != ERR_OK)
		return err;
	(void)buf_addf(out, "%u a page: %s\n", (unsigned)s->page_bytes, report.warning);
	if (!report.schema_is_old)
		err = store_dead_walk(s, 0, 100, shelf, out, e);
	store_abandon(s);
	return err;
}

static enum err export(const struct spooldir *d, struct buf *out, struct error *e) {
	const struct store_options o = {.path = d->path}; struct store_report report; struct store *s = NULL;
	enum err err = store_look(&o, &s, &report, e);

	(void)buf_addf(out, "%s\n", report.warning);
	if (err != ERR_OK) return err;
	(void)unlink(target);
	err = store_export(s, target, e);
	store_abandon(s);
	return err;
}

static bool show(void *arg, const struct store_peeked *m)
{
	return buf_addf(arg, "%d %d %d\n", (int)m->id, (int)m->body_bytes, m->is_sound) == ERR_OK;
}

static enum err peek(const struct spooldir *d, struct buf *out, struct error *e)
{
	return store_peek(d->path, false, show, out, e);
}

static enum err peek_copy(const struct spooldir *d, struct buf *out, struct error *e)
{
	return store_peek(d->path, true, show, out, e);
}

static enum err check(const struct spooldir *d, struct buf *out, struct error *e)
{
	uint64_t problems;

	return store_check(d->path, out, &problems, e);
}

static enum err check_copy(const struct spooldir *d, struct buf *out, struct error *e)
{
	uint64_t problems;

	return store_check_copy(d->path, out, &problems, e);
}

static const struct act {
	const char *name;
	enum err (*run)(const struct spooldir *d, struct buf *out, struct error *e);
} acts[] = {{"look", look},   {"export", export},
            {"peek", peek},   {"peek at a copy", peek_copy},
            {"check", check}, {"check of a copy", check_copy}};

static void whole(const struct spooldir *d) { (void)d; }
static void set_aside(const struct spooldir *d) { spooldir_store(spooldir_file(d, ASIDE), "x", 1); }
static void all_set_aside(const struct spooldir *d)
{
	set_aside(d);
	assert_int_equal(unlink(d->path), 0);
	assert_int_equal(unlink(spooldir_file(d, "-wal")), 0);
}
static void older(const struct spooldir *d)
{
	full_change(d->path, "DROP TABLE losses; ALTER TABLE imports DROP COLUMN checksum; PRAGMA user_version = 9");
	assert_int_equal(unlink(spooldir_file(d, ".tide")), 0);
}
static void harmed(const struct spooldir *d)
{
	full_change(d->path, "DELETE FROM blocks WHERE id = 21");
	life_close(life_open(d, NULL)); /* which counts ten as damaged: nobody was told */
	full_change(d->path, "UPDATE positions SET value = '9'; DELETE FROM cache; DELETE FROM blocks WHERE id = 11;"
	                     "UPDATE dead SET body = x'00' WHERE id = 7");
}

static const struct {
	const char *name;
	void (*harm)(const struct spooldir *d);
} harms[] = {
    {"whole", whole}, {"set aside", set_aside}, {"all set aside", all_set_aside}, {"older", older}, {"harmed", harmed}};

static const struct fault {
	const char *what;
	unsigned kinds; /* 0: calls of SQLite */
	int code;
	bool for_good; /* once, and then once more with all after it */
	enum err err;
} faults[] = {
    {"call", 0, SQLITE_NOMEM, false, ERR_MEMORY},
    {"read", FAULTFS_READ, EIO, true, ERR_DISK},
    {"open", FAULTFS_OPEN, EIO, false, ERR_DISK},
    {"stat", FAULTFS_STAT, EIO, false, ERR_DISK},
};

/* The descriptor that is free. */
static int next_descriptor(void)
{
	const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0 && close(fd) == 0);
	return fd;
}

struct outcome {
	enum err err;
	struct error e;
	struct buf out;
	bool failed;
	const char *silent;
	const char *what;
};

static void run(const struct spooldir *d, const struct act *a, const struct fault *f, uint64_t n, bool for_good,
                struct outcome *ret)
{
	const int fd = next_descriptor();

	*ret = (struct outcome){.e = {.code = ERR_OK, .text = ""}};
	buf_init(&ret->out, 1 << 20);
	if (f->kinds)
		faultfs_arm(f->kinds, n, f->code, for_good);
	else
		faultsql_arm(n, f->code, for_good);
	ret->err = a->run(d, &ret->out, &ret->e);
	assert_int_equal(buf_add_char(&ret->out, '\0'), ERR_OK);
	ret->failed = f->kinds ? faultfs_failed() > 0 : faultsql_failed();
	ret->what = f->kinds ? faultfs_what() : faultsql_what();
	ret->silent = errorwatch_silent(ret->err, &ret->e, (char *)ret->out.data);
	faultfs_arm(0, 0, 0, false);
	faultsql_arm(0, 0, false);
	if (ret->err != ERR_OK)
		assert_int_equal(ret->err, ret->e.code);
	if (next_descriptor() != fd)
		fail_msg("%s: %s %u: a descriptor stays open", a->name, f->what, (unsigned)n);
}

static unsigned problems_in(const struct buf *out)
{
	unsigned count = 0;

	for (const char *at = (const char *)out->data; (at = strstr(at, "problem: ")); at++)
		count++;
	return count;
}

static void judge(const char *harm, const struct act *a, const struct fault *f, uint64_t n, bool for_good,
                  const struct outcome *calm, const struct outcome *got)
{
	const bool is_alike = strcmp((char *)got->out.data, (char *)calm->out.data) == 0;

	if (!got->failed) /* an earlier one had what is done once */
		assert_true(is_alike && got->err == calm->err);
	else if (got->silent && got->err == calm->err && problems_in(&got->out) <= problems_in(&calm->out))
		fail_msg("%s of %s: %s %u (%s), in silence: %s", a->name, harm, f->what, (unsigned)n, got->what,
		         got->silent);
	if (for_good && calm->err == ERR_OK && got->err == ERR_OK && is_alike)
		fail_msg("%s of %s: %s %u (%s): all the same", a->name, harm, f->what, (unsigned)n, got->what);
	/* A page that could not be read is not one that is damaged. */
	if (got->failed && f->kinds == FAULTFS_READ && calm->err == ERR_OK && got->err == ERR_OK && !is_alike &&
	    strcmp(strrchr(got->what, '.'), ".db") == 0)
		fail_msg("%s of %s: %s %u (%s): not called a fault of the disk: %s", a->name, harm, f->what,
		         (unsigned)n, got->what, (char *)got->out.data);
	/* Told as what it is: by the error, or a problem more; or, of what does without it, all the same. */
	if (got->err != calm->err && got->err != f->err)
		fail_msg("%s of %s: %s %u (%s): error %d and not %d: %s", a->name, harm, f->what, (unsigned)n,
		         got->what, (int)got->err, (int)f->err, got->e.text);
}

static void each_fault(const struct spooldir *d, const char *harm, const struct act *a, const struct fault *f)
{
	struct outcome calm, got;

	faultpoints_note();
	run(d, a, f, FAULTPOINTS_NONE, false, &calm);
	faultpoints_end();
	for (int for_good = 0; for_good <= f->for_good; for_good++)
		for (uint64_t n = faultpoints_next(0); n <= faultpoints_count(); n = faultpoints_next(n)) {
			run(d, a, f, n, for_good, &got);
			judge(harm, a, f, n, for_good, &calm, &got);
			buf_fini(&got.out);
		}
	if (f->kinds == 0) { /* after all that: as before */
		run(d, a, f, FAULTPOINTS_NONE, false, &got);
		assert_false(got.failed);
		judge(harm, a, f, 0, false, &calm, &got);
		buf_fini(&got.out);
	}
	buf_fini(&calm.out);
}

static void what_fails_is_told(void **state)
{
	struct spooldir d[sizeof harms / sizeof *harms]; /* nobody who looks changes one */

	(void)state;
	for (size_t h = 0; h < sizeof harms / sizeof *harms; h++) {
		life_close(full_open(&d[h]));
		harms[h].harm(&d[h]);
	}
	for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
		faultpoints_forget();
		for (size_t h = 0; h < sizeof harms / sizeof *harms; h++) {
			(void)snprintf(target, sizeof target, "%s.copy", d[h].path);
			for (size_t a = 0; a < sizeof acts / sizeof *acts; a++)
				each_fault(&d[h], harms[h].name, &acts[a], &faults[f]);
			(void)unlink(target);
		}
	}
	for (size_t h = 0; h < sizeof harms / sizeof *harms; h++)
		spooldir_remove(&d[h]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(what_fails_is_told)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
