/*
 * Files that were set aside are read back in a spool that runs, and the n-th call of SQLite has no memory, n = 1, 2,
 * ... until none fails: that is told, its group is over, and every row of every table and every count are what they
 * were. Then it succeeds, and comes to what it comes to without a fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "rig/sides.h"
#include "rig/spooltell.h"
#include "rig/tableprint.h"
#include "store/store_salvage_internal.h"

enum { CALLS_MAX = 2000 };

static bool every_fault(void) { return getenv("KSPOOL_EVERY_FAULT") != NULL; }

static const char aside[] = ".quarantine-20260101T000000Z-000";

static const struct reading {
	const char *harm;  /* of the file */
	const char *notes; /* likewise of the spool that reads it */
	uint64_t expected; /* so many were counted as damaged when it was set aside */
	bool stands;       /* other messages have its ids */
	uint64_t damaged;  /* of other messages, whose bytes are kept */
	uint64_t room;     /* for one step; 0: plenty */
} readings[] = {
    {"SELECT 1", "SELECT 1", 0, false, 0, 0},
    {"SELECT 1", "SELECT 1", 30, false, 0, 0},
    {"SELECT 1", "SELECT 1", 20, true, 0, 0},
    {"UPDATE dead SET attempts = 99 WHERE id = 10; UPDATE failures SET attempts = 7 WHERE id = 31", "SELECT 1", 30,
     false, 0, 0},
    {"UPDATE partial SET bitmap = zeroblob(64) WHERE block_id = 1", "SELECT 1", 30, false, 0, 0},
    {"UPDATE partial SET settled = 60000", "SELECT 1", 40, false, 0, 0},
    {"UPDATE cache SET checksum = 7; UPDATE imports SET checksum = 7; UPDATE positions SET value = '7'", "SELECT 1", 30,
     false, 0, 0},
    {"UPDATE dead SET body = zeroblob(9); UPDATE messages SET body = zeroblob(7)", "SELECT 1", 30, false, 0, 0},
    {"UPDATE blocks SET body = CAST(zeroblob(800) || substr(body, 801) AS BLOB)", "SELECT 1", 30, false, 0, 0},
    {"INSERT INTO clock (first_id, lead_ms, checksum) VALUES (15, 77, 5)", "SELECT 1", 0, false, 0, 0},
    {"SELECT 1", "UPDATE salvage SET checksum = 5", 32, false, 0, 0},
    {"SELECT 1", "UPDATE salvage SET checksum = 5", 12, false, 4, 0},
    {"SELECT 1", "INSERT INTO salvage VALUES ('bad:x:1', 1, 2, 0, 5)", 32, false, 0, 0},
    {"SELECT 1", "SELECT 1", 30, false, 0, 3000}, /* steps end within pages, and within blocks */
};

static void run_raw(const struct spooldir *d, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* All of it leaves. */
static void drain(struct store *s)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;
	struct error e;
	uint32_t count;
	uint64_t last;

	assert_int_equal(store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	assert_int_equal(store_read_due(s, INT64_MAX, 1000, UINT64_MAX, NULL, NULL, &list, &count, &e), ERR_OK);
	STAILQ_FOREACH (m, &list, link)
		settle(s, (struct store_settlement){.id = m->id, .kind = SETTLE_DELIVERED});
	message_list_free(&list);
	assert_int_equal(store_dead_purge(s, 0, &last, &e), ERR_OK);
	assert_int_equal(store_ledger(s)->pending + store_ledger(s)->dead, 0);
}

/* A spool that goes on beside an older file of its own. */
static struct store *make_beside(struct spooldir *d, const struct reading *r)
{
	struct store *s = make_sides(d);
	struct spooldir old;
	char to[400];
	struct error e;

	settle(s, (struct store_settlement){.id = 40, .kind = SETTLE_DAMAGED}); /* with the reason for it */
	life_close(s);
	spooldir_make(&old);
	spooldir_copy(d, &old);
	run_raw(&old, r->harm);
	s = life_open(d, NULL);
	for (uint64_t i = 0; i < r->damaged; i++)
		settle(s, (struct store_settlement){.id = 33 + i, .kind = SETTLE_DAMAGED});
	if (!r->stands)
		drain(s);
	assert_int_equal(unlink(spooldir_file(d, ".left")), 0); /* what is expected must not have left */
	left_close(s->left);
	s->left = left_open(&s->files, s->id, true);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	s->now.ledger.accepted += r->expected;
	s->now.ledger.damaged += r->expected;
	store_lose(s, LOSS_ASIDE, r->expected, 0, 0);
	assert_int_equal(store_salvage_expect_more(s, r->expected, store_next_id(s), &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_sql(s, r->notes);
	(void)snprintf(to, sizeof to, "%s%s", d->path, aside);
	assert_int_equal(rename(old.path, to), 0);
	spooldir_remove(&old);
	s->salvage_is_done = false;
	return s;
}

/* What the last step brought is committed before its file is closed, with the place that it reached. */
static bool is_at_the_end(const struct store *s)
{
	return s->salvage && s->salvage->after_page == pages_count(s->salvage->pages);
}

/* A full disk: a smaller step is tried at once, or later; what stands is what stood, or another commit. */
static bool meet_full_disk(struct store *s, const struct totals *before, uint64_t rows, enum err err,
                           const struct error *e)
{
	if (err != ERR_OK && (err != ERR_FULL || e->code != ERR_FULL))
		fail_msg("a full disk (%s): error %d: %s", faultsql_what(), (int)err, e->text);
	if (store_in_group(s) || s->put_off_count > 0)
		fail_msg("a full disk (%s): it goes on", faultsql_what());
	if (s->durable.commits == before->commits && !is_at_the_end(s) &&
	    (print_of(s) != rows || memcmp(before, &s->durable, sizeof *before) != 0))
		fail_msg("a full disk (%s) left something", faultsql_what());
	s->disk_refused = s->full_disk = false; /* there is room again */
	s->free_checked_ms = 0;
	return false;
}

/* One step; true: it went well, with no call that failed. */
static bool step(struct store *s, const struct reading *r, uint64_t n, int code, bool *ret_more)
{
	const struct totals before = s->durable;
	const uint64_t rows = print_of(s);
	struct error e = {.code = ERR_OK};
	uint64_t first, last;
	bool failed;
	enum err err;

	if (r->room > 0 && !s->salvage)
		assert_int_equal(store_source_next(s, &e), ERR_OK);
	if (r->room > 0 && s->salvage)
		s->salvage->most_bytes = r->room;
	if (n == 0 || every_fault())
		faultsql_arm(n, code, false);
	else
		faultsql_arm_new(code);
	err = store_salvage(s, 16, &first, &last, ret_more, &e);
	if (code == SQLITE_FULL && err == ERR_OK)
		(void)errorwatch_silent(err, &e, NULL); /* a smaller step had room */
	else
		ERRORWATCH_EXPECT(err, &e, NULL, r->harm, n);
	failed = faultsql_failed();
	faultsql_arm(0, 0, false);
	if (!failed && err == ERR_FULL &&
	    code == SQLITE_FULL) /* less than one message: the next step has all there is */
		return false;
	if (!failed && err != ERR_OK)
		fail_msg("%s; %s: %s", r->harm, r->notes, e.text);
	if (!failed)
		return true;
	if (code == SQLITE_FULL)
		return meet_full_disk(s, &before, rows, err, &e);
	if (err != ERR_MEMORY || e.code != ERR_MEMORY || !e.text[0])
		fail_msg("%s; %s: call %u failed (%s): error %d: %s", r->harm, r->notes, (unsigned)n, faultsql_what(),
		         (int)err, e.text);
	if (store_in_group(s) || s->put_off_count > 0)
		fail_msg("%s; %s: call %u failed (%s): it goes on", r->harm, r->notes, (unsigned)n, faultsql_what());
	if (s->durable.commits == before.commits + 1 || is_at_the_end(s))
		return false;
	if (print_of(s) != rows || memcmp(&before, &s->durable, sizeof before) != 0)
		fail_msg("%s; %s: call %u failed (%s) and left something", r->harm, r->notes, (unsigned)n,
		         faultsql_what());
	return false;
}

/* From what was noted at each step, as after a fault; with faults; or by who remembers what it read. */
enum manner { FROM_NOTES, WITH_FAULTS, ON_A_FULL_DISK, AT_ONCE };

/* What became of it, in words. */
static void read_back(const struct reading *r, enum manner manner, struct text *ret, char *problems, size_t size)
{
	struct spooldir d;
	struct store *s = make_beside(&d, r);
	int64_t came;
	bool more = true;

	faultpoints_forget();
	for (int steps = 0; more; steps++) {
		uint64_t n = manner == WITH_FAULTS || manner == ON_A_FULL_DISK ? 1 : 0;

		if (manner == FROM_NOTES)
			store_salvage_end(s);
		while (!step(s, r, n, manner == ON_A_FULL_DISK ? SQLITE_FULL : SQLITE_NOMEM, &more)) {
			n++;
			assert_true(n < CALLS_MAX);
		}
		assert_true(steps < 100);
	}
	assert_int_equal(s->put_off_count, 0);
	/* What is whole in the file is not damaged any more. */
	if (store_ledger(s)->damaged + store_ledger(s)->pending < r->damaged)
		fail_msg("%s; %s: damaged %u", r->harm, r->notes, (unsigned)store_ledger(s)->damaged);
	came = life_number(s, "SELECT total(salvaged) FROM salvage WHERE path LIKE 'pages:%'");
	life_close(s);
	(void)life_problems(&d, problems, size);
	if (strstr(problems, ", since ")) /* a time */
		*strstr(problems, ", since ") = '\0';
	tell(&d, ret);
	say(ret, " came %lld", (long long)came);
	spooldir_remove(&d);
}

static void a_call_that_fails_while_it_reads_back_leaves_nothing(void **state)
{
	static struct text want, got;
	static char asked[4000], told[4000];
	(void)state;

	for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
		const struct reading *r = &readings[i];

		read_back(r, FROM_NOTES, &want, asked, sizeof asked);
		for (enum manner manner = WITH_FAULTS; manner <= AT_ONCE; manner++) {
			if (manner == ON_A_FULL_DISK && i % 4 != 1) /* some of them: it takes long */
				continue;
			read_back(r, manner, &got, told, sizeof told);
			if (strcmp(want.bytes, got.bytes) != 0)
				fail_msg("%s; %s, %d:\n%s\nand not\n%s", r->harm, r->notes, (int)manner, got.bytes,
				         want.bytes);
			assert_non_null(strstr(asked, "structure: "));
			assert_non_null(strstr(told, "structure: "));
			if (strcmp(strstr(asked, "structure: "), strstr(told, "structure: ")) != 0)
				fail_msg("%s; %s, %d:\n%s\nand not\n%s", r->harm, r->notes, (int)manner, told, asked);
		}
	}
}

/* A file is read on from where it was: what came back and has left since does not come back once more. */
static void what_came_back_and_left_does_not_come_again(void **state)
{
	const struct reading *r = &readings[1];
	struct spooldir d;
	struct store *s = make_beside(&d, r);
	const struct store_ledger before = *store_ledger(s);
	uint64_t came = 0;
	bool more = true;
	(void)state;

	while (more) {
		assert_true(step(s, r, 0, 0, &more));
		came += store_ledger(s)->pending + store_ledger(s)->dead;
		drain(s);
		store_salvage_end(s);
		assert_true(came < 100);
	}
	assert_int_equal(came, r->expected);
	assert_int_equal(store_ledger(s)->accepted, before.accepted);
	assert_int_equal(store_ledger(s)->damaged, 1); /* 40, which is so in the file */
	assert_int_equal(store_possible_duplicates(s), 0);
	life_end(&d, s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_call_that_fails_while_it_reads_back_leaves_nothing),
	    cmocka_unit_test(what_came_back_and_left_does_not_come_again),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
