/*
 * What is done to a stopped spool (a start that brings back, check, repair, peek, an import of it), while its n-th call
 * of SQLite has no memory, or its n-th file operation fails, n = 1, 2, ... until none does: that is told, never passed
 * over. The act once more, and a start, then make of it what they would have made without.
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
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "rig/spooltell.h"
#include "rig/sanitizer.h"
#include "store/store_internal.h"

enum { IN_FILE = 20, IN_LOG = 10, ROWS = IN_FILE + IN_LOG, CALLS_MAX = 6000 };
enum { SOME_ARE_BACK = 300, DEAD_FROM = 20 * 4096, TOLD_EACH = IS_SANITIZED ? 11 : 5 };

static const char aside[] = ".quarantine-20260101T000000Z-000";

/* Acts. */

static enum err start(const struct spooldir *d, struct text *t, struct error *e)
{
	struct store_options o = spooldir_options(d);
	struct store_report report;
	struct store *s = NULL;
	enum err err = store_open(&o, &s, &report, e);

	(void)t;
	if (err != ERR_OK)
		return err;
	err = bring_back(s, e);
	if (err == ERR_OK)
		return store_close(s, e);
	store_abandon(s);
	return err;
}

/* Whenever it is done, it says the same. */
static void hide_times(struct buf *out)
{
	static const char since[] = ", since ";

	for (size_t i = 0; i + sizeof since < out->len; i++)
		if (memcmp(out->data + i, since, sizeof since - 1) == 0)
			for (i += sizeof since - 1; i < out->len && out->data[i] != 'Z'; i++)
				out->data[i] = '-';
}

static enum err check(const struct spooldir *d, struct text *t, struct error *e)
{
	struct buf out;
	uint64_t problems = 0;
	enum err err;

	buf_init(&out, TEXT_BYTES / 2);
	err = store_check(d->path, &out, &problems, e);
	hide_times(&out);
	say(t, "%llu: %.*s", (unsigned long long)problems, (int)out.len, out.len ? (const char *)out.data : "");
	buf_fini(&out);
	return err;
}

static enum err repair_as(const struct spooldir *d, const char *give_up, struct text *t, struct error *e)
{
	struct buf out;
	enum err err;

	buf_init(&out, TEXT_BYTES / 2);
	err = store_repair(d->path, &(struct store_repair){.give_up = give_up}, &out, e);
	hide_times(&out);
	say(t, "%.*s", (int)out.len, out.len ? (const char *)out.data : "");
	buf_fini(&out);
	return err;
}

static enum err repair(const struct spooldir *d, struct text *t, struct error *e) { return repair_as(d, NULL, t, e); }

static enum err give_up(const struct spooldir *d, struct text *t, struct error *e)
{
	char name[400];

	(void)snprintf(name, sizeof name, "spool.db%s", aside);
	return repair_as(d, name, t, e);
}

static bool say_peeked(void *arg, const struct store_peeked *m)
{
	say(arg, "%llu:%zu:%d ", (unsigned long long)m->id, m->body_bytes, m->is_sound);
	return true;
}

static enum err peek(const struct spooldir *d, struct text *t, struct error *e)
{
	return store_peek(d->path, false, say_peeked, t, e);
}

/* Into a spool that begins. */
static enum err import_it(const struct spooldir *d, struct text *t, struct error *e)
{
	struct store_options o = {.path = spooldir_file(d, ".other"), .create = true};
	struct store *s = NULL;
	uint64_t rows = 0;
	char path[400];
	enum err err;

	(void)snprintf(path, sizeof path, "%s", o.path);
	o.path = path;
	err = store_open(&o, &s, NULL, e);
	if (err != ERR_OK)
		return err;
	err = store_import(s, d->path, true, &rows, e);
	say(t, "%llu %llu", (unsigned long long)rows, (unsigned long long)store_ledger(s)->accepted);
	if (err == ERR_OK)
		return store_close(s, e);
	store_abandon(s);
	return err;
}

/* Spools. */

static void zero_head(const struct spooldir *d, size_t from, size_t bytes)
{
	size_t count;
	unsigned char *all = spooldir_load(d->path, &count);

	must(from + bytes <= count);
	memset(all + from, 0, bytes);
	spooldir_store(d->path, all, count);
	free(all);
}

static void leave(const struct spooldir *d) { (void)d; }

static void behead(const struct spooldir *d) { zero_head(d, 0, 100); }

static void set_aside(const struct spooldir *d)
{
	char from[400], to[400];

	(void)snprintf(to, sizeof to, "%s", spooldir_file(d, aside));
	must(rename(d->path, to) == 0);
	(void)snprintf(from, sizeof from, "%s", spooldir_file(d, "-wal"));
	(void)snprintf(to, sizeof to, "%s%s-wal", d->path, aside);
	must(rename(from, to) == 0);
}

/* A start that ended when some of it was back. */
static void set_aside_and_begin(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;

	set_aside(d);
	faultsql_arm(SOME_ARE_BACK, SQLITE_NOMEM, false);
	must(store_open(&o, &s, NULL, &e) == ERR_MEMORY);
	faultsql_arm(0, 0, false);
}

/* On a disk of which the half cannot be read. */
static void set_aside_on_a_bad_disk(const struct spooldir *d)
{
	set_aside(d);
	faultfs_dead(aside, DEAD_FROM, INT32_MAX);
	life_close(life_open(d, NULL));
}

static void harm_rows(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);

	life_close(s);
	spooldir_damage(d->path, 8);
	spooldir_lose(d->path, 17);
}

/* Whose copy it is only its rows say; what waits in its log too. */
static void harm_ledger(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);

	life_sql(s, "UPDATE ledger SET checksum = 5");
	store_abandon(s);
}

static void lose_log(const struct spooldir *d) { must(unlink(spooldir_file(d, "-wal")) == 0); }

static void lose_file(const struct spooldir *d) { must(unlink(d->path) == 0); }

static void make(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);
	static const struct store_settlement some[] = {
	    {.id = 3, .kind = SETTLE_DEAD, .attempts = 1, .code = "a"},
	    {.id = 5, .kind = SETTLE_DELIVERED},
	    {.id = 6, .kind = SETTLE_EXPIRED},
	    {.id = 12, .kind = SETTLE_RETRY, .attempts = 2, .wait_ms = 7, .code = "b"},
	    {.id = 13, .kind = SETTLE_RETRY, .attempts = 9, .wait_ms = 3600001, .code = "c"},
	};
	struct message *m = spooldir_message(7, 50);
	struct spooldir other;
	uint64_t taken;
	bool is_new;
	struct error e;

	life_append(s, 0, IN_FILE);
	life_make(&other, LIFE_OTHERS, 1, 0); /* whoever takes in a copy of ours notes what it had taken in */
	must(store_import(s, other.path, false, &taken, &e) == ERR_OK && taken == 1);
	spooldir_remove(&other);
	must(store_begin(s, &e) == ERR_OK && store_position_put(s, "file", "12", &e) == ERR_OK &&
	     store_cache_add(s, "cache", "k", 1, INT64_MAX, &is_new, &e) == ERR_OK &&
	     store_append_dead(s, m, "too_long", &e) == ERR_OK);
	store_count_filtered(s, 2);
	must(store_commit(s, &e) == ERR_OK);
	message_free(m);
	life_checkpoint(s);
	life_append(s, IN_FILE + 1, IN_LOG);
	must(store_begin(s, &e) == ERR_OK && store_settle(s, some, sizeof some / sizeof *some, &e) == ERR_OK &&
	     store_commit(s, &e) == ERR_OK);
	store_abandon(s);
}

static const struct act {
	const char *name;
	enum err (*run)(const struct spooldir *d, struct text *t, struct error *e);
} acts[] = {
    {"start", start}, {"check", check}, {"repair", repair}, {"peek", peek}, {"import", import_it}, {"give up", give_up},
};

/* `acts`: what is tried on it. */
static const struct harm {
	const char *name;
	void (*make)(const struct spooldir *d);
	const char *acts;
	bool reads; /* all reads are of the spool itself: none of them may be passed over */
} harms[] = {
    {"whole", leave, "start check repair peek import", true},
    {"beheaded", behead, "start repair", false},
    {"set aside", set_aside, "start", false},
    {"set aside and begun", set_aside_and_begin, "start check", false},
    {"set aside on a bad disk", set_aside_on_a_bad_disk, "repair, give up", false},
    {"rows harmed", harm_rows, "check repair", true},
    {"ledger harmed", harm_ledger, "check import", false},
    {"no log", lose_log, "start", false},
    {"no file", lose_file, "start", false},
};

static const struct fault {
	unsigned kinds; /* 0: calls of SQLite */
	int code;
	enum err err;
} faults[] = {{0, SQLITE_NOMEM, ERR_MEMORY}, {FAULTFS_READ, EIO, ERR_DISK}};

struct outcome {
	enum err err;
	struct error e;
	struct text answer;
	bool failed;
};

static void run(const struct spooldir *d, const struct act *a, const struct fault *f, uint64_t n, struct outcome *ret)
{
	memset(ret, 0, sizeof *ret);
	if (f->kinds)
		faultfs_arm(f->kinds, n, f->code, false);
	else
		faultsql_arm(n, f->code, false);
	ret->err = a->run(d, &ret->answer, &ret->e);
	ret->failed = f->kinds ? faultfs_failed() > 0 : faultsql_failed();
	faultfs_arm(0, 0, 0, false);
	faultsql_arm(0, 0, false);
}

static bool ends_with(const char *s, const char *end)
{
	return strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

/* What is known otherwise: by the other one of the two witnesses of a spool's name. */
static bool may_be_passed_over(const struct fault *f)
{
	if (f->kinds == 0)
		return strcmp(faultsql_what(), "ROLLBACK") == 0;
	return ends_with(faultfs_what(), ".lock") || ends_with(faultfs_what(), ".tide") ||
	       ends_with(faultfs_what(), ".left"); /* by a look at what was written: the next one reads it again */
}

/* Each spool has a folder of its own. */
static bool is_same_text(const char *a, const char *b)
{
	static const char folder[] = "kspool-test-";
	const size_t own = sizeof folder - 1 + 6;

	while (*a && *a == *b) {
		const bool is_folder = strncmp(a, folder, sizeof folder - 1) == 0 && strlen(a) > own && strlen(b) > own;

		a += is_folder ? own : 1;
		b += is_folder ? own : 1;
	}
	return *a == *b;
}

static void must_be_told(const struct fault *f, const struct act *a, const char *harm, uint64_t n,
                         const struct outcome *got, const struct outcome *clean)
{
	const bool is_same = got->err == clean->err && is_same_text(got->answer.bytes, clean->answer.bytes);

	if (got->err == f->err && got->e.code == f->err && got->e.text[0])
		return;
	if (is_same && may_be_passed_over(f))
		return;
	if (got->err == clean->err && strstr(got->answer.bytes, ".left, which tells")) /* it ends no start */
		return;
	if (a->run == repair && got->err == clean->err && got->err != ERR_OK)
		return; /* it looks for what is wrong twice, and ends with it, or with one more problem */
	if (!is_same && a->run == check && got->err == ERR_OK)
		return; /* as a problem */
	fail_msg("%s of %s: %s %llu (%s): error %d: %s\n%s", a->name, harm, f->kinds ? "read" : "call",
	         (unsigned long long)n, f->kinds ? faultfs_what() : faultsql_what(), (int)got->err, got->e.text,
	         got->answer.bytes);
}

/* False: nothing failed. */
static bool try(const struct spooldir *from, const struct act *a, const char *harm, const struct fault *f, uint64_t n,
                const struct outcome *clean, const struct text *want)
{
	static struct outcome got;
	static struct text is;
	static int tries;
	const bool is_told = ++tries % TOLD_EACH == 0;
	struct spooldir d;
	bool failed;

	spooldir_make(&d);
	spooldir_copy(from, &d);
	run(&d, a, f, n, &got);
	failed = got.failed;
	if (failed)
		must_be_told(f, a, harm, n, &got, clean);
	if (failed && is_same_text(got.answer.bytes, clean->answer.bytes))
		ERRORWATCH_EXPECT(got.err, &got.e, got.answer.bytes, a->name, n);
	if (got.err != clean->err)
		run(&d, a, f, 0, &got);
	if (got.err != clean->err)
		fail_msg("%s of %s: after call %llu error %d: %s", a->name, harm, (unsigned long long)n, (int)got.err,
		         got.e.text);
	if (is_told)
		tell(&d, &is);
	if (is_told && strcmp(is.bytes, want->bytes) != 0)
		fail_msg("%s of %s: after call %llu it is\n%s\nand not\n%s", a->name, harm, (unsigned long long)n,
		         is.bytes, want->bytes);
	spooldir_remove(&d);
	return failed;
}

static void try_all(const struct spooldir *from, const struct act *a, const struct harm *h, const struct fault *f)
{
	static struct outcome clean;
	static struct text want;
	struct spooldir d;
	uint64_t n, tried = 0;

	spooldir_make(&d);
	spooldir_copy(from, &d);
	faultpoints_note();
	run(&d, a, f, FAULTPOINTS_NONE, &clean);
	if (f->kinds)
		faultpoints_end();
	else
		faultpoints_end_firsts();
	tell(&d, &want);
	spooldir_remove(&d);
	for (n = faultpoints_next(0); try(from, a, h->name, f, n, &clean, &want); n = faultpoints_next(n)) {
		assert_true(n < CALLS_MAX);
		tried++;
	}
	print_message("%s of %s: %llu of %llu fail\n", a->name, h->name, (unsigned long long)tried,
	              (unsigned long long)n);
}

static void what_fails_is_told(void **state)
{
	struct spooldir whole;

	(void)state;
	spooldir_make(&whole);
	make(&whole);
	for (size_t h = 0; h < sizeof harms / sizeof *harms; h++) {
		struct spooldir from;

		spooldir_make(&from);
		spooldir_copy(&whole, &from);
		harms[h].make(&from);
		for (size_t k = 0; k < sizeof acts / sizeof *acts; k++)
			for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
				if (strstr(harms[h].acts, acts[k].name) && (faults[i].kinds == 0 || harms[h].reads))
					try_all(&from, &acts[k], &harms[h], &faults[i]);
		faultfs_dead(NULL, 0, 0);
		spooldir_remove(&from);
	}
	spooldir_remove(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_fails_is_told)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
