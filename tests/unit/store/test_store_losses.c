/*
 * Whatever became damaged, and however it left: `check` ends badly and says how many, where and why, until `repair` has
 * told a person; then both are silent about it, and the next loss is told anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sqlite3.h>

#include "base/buf.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { MESSAGES = 60, TEXT_MAX = 16384 };

/* Each harms a spool that was closed, or has a log; how many messages of the MESSAGES must be damaged then. */
struct way {
	const char *name, *why;
	uint64_t (*harm)(const struct spooldir *d);
	bool has_log, at_start;
};

static void change(const struct spooldir *d, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t number(const struct spooldir *d, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	int64_t n;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return n;
}

static uint64_t a_message_in_a_block(const struct spooldir *d)
{
	spooldir_damage(d->path, 17);
	return 1;
}

static uint64_t a_codec(const struct spooldir *d)
{
	change(d, "UPDATE blocks SET codec = 7 WHERE id = 21");
	return 10;
}

static uint64_t rows_that_are_gone(const struct spooldir *d)
{
	change(d, "DELETE FROM blocks WHERE id IN (11, 31)");
	return 20;
}

static uint64_t a_log_that_is_gone(const struct spooldir *d)
{
	assert_int_equal(unlink(spooldir_file(d, "-wal")), 0);
	return MESSAGES / 2;
}

static uint64_t a_database_that_is_gone(const struct spooldir *d)
{
	assert_int_equal(unlink(d->path), 0);
	return MESSAGES;
}

static uint64_t pages_of_a_file_that_is_set_aside(const struct spooldir *d)
{
	const size_t page = (size_t)number(d, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'");
	size_t bytes;
	unsigned char *data = spooldir_load(d->path, &bytes);

	for (size_t at = 4096; at + 4096 <= bytes; at += 4096)
		if (at / 4096 + 1 != page)
			memset(data + at, 0xa5, 4096);
	spooldir_store(d->path, data, bytes);
	free(data);
	return MESSAGES;
}

static const struct way ways[] = {
    {"a message in a block", "not what was written", a_message_in_a_block, .has_log = false},
    {"a codec", "not what was written", a_codec, .has_log = false},
    {"rows", "no table has them", rows_that_are_gone, .at_start = true},
    {"the log", "ends before the tide mark", a_log_that_is_gone, .has_log = true, .at_start = true},
    {"the database", "ends before the tide mark", a_database_that_is_gone, .at_start = true},
    {"its pages", "did not come back", pages_of_a_file_that_is_set_aside, .at_start = true},
};

/* All that can be had is delivered. */
static void drain(struct store *s)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;
	struct error e;
	uint64_t last;
	uint32_t count;

	for (int i = 0; i < 3; i++) { /* a read that met damage may end early */
		assert_int_equal(store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
		STAILQ_FOREACH (m, &list, link)
			life_settle(s, m->id, m->id);
		message_list_free(&list);
	}
	assert_int_equal(store_ledger(s)->pending, 0);
}

static void repaired(const struct spooldir *d, char *text, size_t size)
{
	struct error e;
	struct buf out;

	buf_init(&out, 1 << 20);
	if (store_repair(d->path, &(struct store_repair){0}, &out, &e) != ERR_OK)
		fail_msg("repair: %s\n%.*s", e.text, (int)out.len, out.data);
	(void)snprintf(text, size, "%.*s", (int)out.len, out.data ? out.data : "");
	buf_fini(&out);
}

static bool says(const char *text, const char *why, uint64_t messages)
{
	char line[64];

	(void)snprintf(line, sizeof line, "damaged: %" PRIu64 " messages", messages);
	return strstr(text, line) != NULL && strstr(text, why) != NULL;
}

/* With the database its position goes, and with its pages: what check finds, but for the messages. */
static uint64_t beside(const struct way *w)
{
	return w->harm == a_database_that_is_gone || w->harm == pages_of_a_file_that_is_set_aside;
}

static void live(const struct way *w, const struct spooldir *d, uint64_t *ret_gone)
{
	char text[TEXT_MAX];
	struct store *s;

	*ret_gone = w->harm(d);
	s = life_open(d, NULL);
	drain(s);
	if (store_ledger(s)->damaged != *ret_gone || store_damaged_untold(s) != *ret_gone)
		fail_msg("%s: damaged %" PRIu64 ", untold %" PRIu64, w->name, store_ledger(s)->damaged,
		         store_damaged_untold(s));
	life_close(s);
	if (life_problems(d, text, sizeof text) != 1 + beside(w) || !says(text, w->why, *ret_gone))
		fail_msg("%s: %s", w->name, text);
	life_close(life_open(d, NULL)); /* a start is nobody */
	assert_int_equal(life_problems(d, text, sizeof text), 1 + beside(w));
}

static void what_is_damaged_is_told_until_a_person_knows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		char text[TEXT_MAX];
		struct spooldir d;
		struct store *s;
		uint64_t gone;

		spooldir_make(&d);
		life_make_halves(&d, MESSAGES, ways[i].has_log);
		live(&ways[i], &d, &gone);
		repaired(&d, text, sizeof text);
		if (!says(text, ways[i].why, gone) || !strstr(text, "nobody had confirmed"))
			fail_msg("%s: %s", ways[i].name, text);
		if (life_problems(&d, text, sizeof text) != 0)
			fail_msg("%s: %s", ways[i].name, text);
		repaired(&d, text, sizeof text);
		assert_null(strstr(text, "nobody had confirmed"));
		s = life_open(&d, NULL);
		assert_int_equal(store_ledger(s)->damaged, gone);
		assert_int_equal(store_damaged_untold(s), 0);
		life_append(s, MESSAGES, 20);
		life_close(s);
		assert_int_equal(life_problems(&d, text, sizeof text), 0);
		change(&d, "UPDATE blocks SET codec = 7 WHERE id = (SELECT max(id) FROM blocks)"); /* the next loss */
		s = life_open(&d, NULL);
		drain(s);
		life_close(s);
		if (life_problems(&d, text, sizeof text) != 1 || !says(text, "not what was written", 10))
			fail_msg("%s, and then: %s", ways[i].name, text);
		spooldir_remove(&d);
	}
}

static bool shown_to_nobody(const char *text, size_t length)
{
	(void)text, (void)length;
	errno = ENOSPC;
	return false;
}

static int times_shown;

/* What came before it; not what is lost. */
static bool shown_but_the_last(const char *text, size_t length)
{
	(void)text, (void)length;
	errno = EPIPE;
	return times_shown++ == 0;
}

static bool ends_while_it_is_shown(const char *text, size_t length)
{
	(void)text, (void)length;
	_exit(7);
}

static enum err repaired_so(const struct spooldir *d, bool (*show)(const char *, size_t))
{
	enum err err;
	struct error e;
	struct buf out;

	buf_init(&out, 1 << 20);
	err = store_repair(d->path, &(struct store_repair){.show = show}, &out, &e);
	buf_fini(&out);
	return err;
}

/* Noted as known is what was shown: not what went to a closed pipe, or was being written when the process ended. */
static void who_was_shown_nothing_does_not_know(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		char text[TEXT_MAX];
		struct spooldir d;
		uint64_t gone;
		int status;
		pid_t child;

		spooldir_make(&d);
		life_make_halves(&d, MESSAGES, ways[i].has_log);
		live(&ways[i], &d, &gone);
		assert_int_equal(repaired_so(&d, shown_to_nobody), ERR_SYSTEM);
		if (life_problems(&d, text, sizeof text) == 0 || !says(text, ways[i].why, gone))
			fail_msg("%s, not shown: %s", ways[i].name, text);
		times_shown = 0;
		assert_int_equal(repaired_so(&d, shown_but_the_last), ERR_SYSTEM);
		assert_int_equal(times_shown, 2);
		if (life_problems(&d, text, sizeof text) == 0 || !says(text, ways[i].why, gone))
			fail_msg("%s, shown in part: %s", ways[i].name, text);
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			_exit((int)repaired_so(&d, ends_while_it_is_shown));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
		if (life_problems(&d, text, sizeof text) == 0 || !says(text, ways[i].why, gone))
			fail_msg("%s, ended: %s", ways[i].name, text);
		repaired(&d, text, sizeof text);
		if (!says(text, ways[i].why, gone) || life_problems(&d, text, sizeof text) != 0)
			fail_msg("%s: %s", ways[i].name, text);
		spooldir_remove(&d);
	}
}

/* Losses of several kinds before a person looks: each with its own line, ids and time. */
static void losses_of_several_kinds_add_up(void **state)
{
	char text[TEXT_MAX];
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	life_make_halves(&d, MESSAGES, false);
	change(&d, "DELETE FROM blocks WHERE id = 1; UPDATE blocks SET codec = 9 WHERE id = 41");
	s = life_open(&d, NULL);
	drain(s);
	life_append(s, MESSAGES, 20);
	life_close(s);
	spooldir_damage(d.path, MESSAGES + 3);
	s = life_open(&d, NULL);
	drain(s);
	life_expect(s, MESSAGES + 20, MESSAGES + 20 - 21, 0, 21);
	life_close(s);
	assert_int_equal(life_problems(&d, text, sizeof text), 1);
	assert_non_null(strstr(text, "problem: 21 messages are damaged"));
	if (!says(text, "no table has them", 10) || !says(text, ", ids 41 to 63, since 20", 11))
		fail_msg("%s", text);
	change(&d, "UPDATE losses SET messages = 99 WHERE reason = 1"); /* not what was written: it says nothing */
	assert_int_equal(life_problems(&d, text, sizeof text), 2);
	if (!says(text, "is not known any more", 11) || !says(text, "no table has them", 10))
		fail_msg("%s", text);
	repaired(&d, text, sizeof text);
	assert_int_equal(life_problems(&d, text, sizeof text), 0);
	spooldir_remove(&d);
}

/* Of one kind, one after the other: from the lowest to the highest, in whichever order they are found. */
static void losses_of_one_kind_are_one_span(void **state)
{
	static const struct {
		uint64_t lost[3];
		const char *span;
	} cases[] = {{{25, 7, 44}, "ids 7 to 44"}, {{7, 25, 44}, "ids 7 to 44"}, {{44, 25, 7}, "ids 7 to 44"}};
	char text[TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;

		spooldir_make(&d);
		life_make_halves(&d, MESSAGES, false);
		for (int n = 0; n < 3; n++) {
			struct store *s;
			struct error e;

			spooldir_damage(d.path, cases[i].lost[n]);
			s = life_open(&d, NULL);
			assert_int_equal(store_move_damaged(s, &cases[i].lost[n], 1, &e), ERR_OK);
			life_close(s);
		}
		assert_true(life_problems(&d, text, sizeof text) > 0);
		if (!says(text, cases[i].span, 3))
			fail_msg("case %u: %s", (unsigned)i, text);
		spooldir_remove(&d);
	}
}

/* A file that was set aside is read back: what comes back is damaged no more, and its own losses come with it. */
static void what_comes_back_is_not_damaged(void **state)
{
	char text[TEXT_MAX];
	struct spooldir d;
	struct store *s;
	char *aside;

	(void)state;
	spooldir_make(&d);
	life_make_halves(&d, MESSAGES, false);
	spooldir_damage(d.path, 5);
	s = life_open(&d, NULL);
	assert_int_equal(life_waiting(s, 0), MESSAGES - 1);
	life_close(s);
	aside = mem_format("%s.quarantine-20260101T000000Z-000", d.path);
	assert_int_equal(rename(d.path, aside), 0);
	s = life_open(&d, NULL);
	life_expect(s, MESSAGES, 0, MESSAGES - 1, 1);
	assert_int_equal(store_damaged_untold(s), 1);
	drain(s);
	life_close(s);
	if (life_problems(&d, text, sizeof text) != 1 || !says(text, "ids 5 to 5", 1))
		fail_msg("%s", text);
	repaired(&d, text, sizeof text);
	assert_int_equal(life_problems(&d, text, sizeof text), 0);
	free(aside);
	spooldir_remove(&d);
}

/* What a person was told of by an older kspool: not what is kept in the table; nothing has been noted of either. */
static void an_older_spool_says_what_nobody_confirmed(void **state)
{
	char text[TEXT_MAX];
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	life_make_halves(&d, MESSAGES, false);
	spooldir_damage(d.path, 5);
	s = life_open(&d, NULL);
	drain(s);
	life_close(s);
	change(&d, "DROP TABLE losses; ALTER TABLE imports DROP COLUMN checksum; PRAGMA user_version = 9");
	assert_int_equal(life_problems(&d, text, sizeof text), 1);
	s = life_open(&d, NULL);
	assert_int_equal(store_damaged_untold(s), 1);
	life_close(s);
	if (life_problems(&d, text, sizeof text) != 1 || !says(text, "is not known any more", 1))
		fail_msg("%s", text);
	repaired(&d, text, sizeof text);
	assert_int_equal(life_problems(&d, text, sizeof text), 0);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_damaged_is_told_until_a_person_knows),
	    cmocka_unit_test(who_was_shown_nothing_does_not_know),
	    cmocka_unit_test(losses_of_several_kinds_add_up),
	    cmocka_unit_test(losses_of_one_kind_are_one_span),
	    cmocka_unit_test(what_comes_back_is_not_damaged),
	    cmocka_unit_test(an_older_spool_says_what_nobody_confirmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
