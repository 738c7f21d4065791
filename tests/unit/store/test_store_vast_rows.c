/*
 * Rows larger than any kspool writes, in a file that somebody made or harmed: whoever looks at it needs no memory for
 * them, says that they are damaged, and sees what is sound beside them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/store_internal.h"
#include "store/upkeep/store_copy.h"
#include "store/upkeep/store_upkeep.h"

enum { SOUND = 30, MORE_MIB = 90 };

#define VAST "zeroblob(120000000)"
#define VAST_TEXT "hex(zeroblob(60000000))"

static const struct {
	const char *name, *sql;
	bool is_skipped; /* what is sound beside it is seen */
} cases[] = {
    {"body", "INSERT INTO messages VALUES (100, 1, 7, NULL, " VAST ")", true},
    {"meta", "INSERT INTO messages VALUES (100, 1, 7, " VAST ", x'41')", true},
    {"block",
     "INSERT INTO blocks (id, count, bytes, codec, checksum, first_ms, last_ms, body)"
     " VALUES (100, 1, 7, 0, 7, 1, 1, " VAST ")",
     true},
    {"shelf",
     "INSERT INTO dead (id, received_ms, checksum, died_ms, attempts, code, reason, meta, body)"
     " VALUES (100, 1, 7, 1, 1, 'c', 'r', NULL, " VAST ")",
     true},
    {"reason",
     "INSERT INTO dead (id, received_ms, checksum, died_ms, attempts, code, reason, meta, body)"
     " VALUES (100, 1, 7, 1, 1, 'c', " VAST_TEXT ", NULL, x'41')",
     false},
    {"failure",
     "INSERT INTO failures (id, attempts, next_ms, first_ms, code, reason)"
     " VALUES (3, 1, 1, 1, 'c', " VAST_TEXT ")",
     false},
    {"import", "INSERT INTO imports (copy, imported_ms, messages, first_id) VALUES (" VAST ", 1, 1, 1)", false},
    {"position", "INSERT INTO positions (key, value, checksum) VALUES ('k', " VAST_TEXT ", 1)", false},
    {"marks", "INSERT INTO partial SELECT min(id), 1, 1, 1, " VAST " FROM blocks", false},
    {"salvage", "INSERT INTO salvage (path, after_id, salvaged, done) VALUES (hex(zeroblob(20000000)), 1, 1, 1)",
     false}, /* a seek holds it */
    {"rows a little too large",
     "INSERT INTO messages WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4)"
     " SELECT 99 + i, 1, 7, zeroblob(1000000), zeroblob(34000000) FROM n",
     false},
};

static void harm(const char *path, const char *sql)
{
	char *said = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &said) != SQLITE_OK)
		fail_msg("%s: %s", sql, said);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* In the child: no more than so much beside what it has. */
static void limit_memory(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	struct rlimit limit;

	must(f && fscanf(f, "%lu", &pages) == 1);
	(void)fclose(f);
	limit.rlim_cur = limit.rlim_max = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)MORE_MIB << 20);
	must(setrlimit(RLIMIT_AS, &limit) == 0);
}

static bool count_sound(void *arg, const struct store_peeked *m)
{
	*(int *)arg += m->is_sound;
	return true;
}

/* What is wrong with it; null: nothing. */
static const char *look_at(const char *path, const struct spooldir *mine, bool is_skipped)
{
	struct store_options o = spooldir_options(mine);
	uint64_t problems = 0, rows = 0;
	struct store *s;
	struct error e;
	struct buf out;
	int sound = 0;
	enum err err;

	buf_init(&out, 1 << 20);
	if (store_check(path, &out, &problems, &e) != ERR_OK)
		return mem_string(e.text);
	if (problems == 0)
		return "check";
	buf_fini(&out);
	err = store_peek(path, true, count_sound, &sound, &e);
	if (is_skipped && (err != ERR_OK || sound != SOUND))
		return "peek";
	if (store_open(&o, &s, NULL, &e) != ERR_OK)
		return "open";
	err = store_import(s, path, false, &rows, &e);
	if (is_skipped ? err != ERR_OK || rows != SOUND || store_import_damaged(s) != 1
	               : err != ERR_OK && err != ERR_INPUT)
		return e.text[0] ? mem_string(e.text) : "import";
	return store_close(s, &e) == ERR_OK ? NULL : "close";
}

/* As the daemon does; then nothing is left to say. */
static const char *run_on(const char *path, const struct spooldir *d)
{
	const struct store_repair how = {0};
	struct store_options o = spooldir_options(d);
	struct store_report report;
	uint64_t first, last, problems = 0, missing;
	struct buf out;
	struct store *s;
	bool more = true;
	struct error e;
	enum err err = store_open(&o, &s, NULL, &e);

	if (err != ERR_OK)
		return mem_string(e.text);
	for (int again = 0; again < 2; again++) {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		uint32_t count = 0;

		while (err == ERR_OK && more)
			err = store_salvage(s, 20, &first, &last, &more, &e);
		if (err == ERR_OK)
			err = store_read(s, 0, 10000, UINT64_MAX, &list, &count, &last, &e);
		message_list_free(&list);
		if (err == ERR_OK && count == SOUND)
			break;
		if (err == ERR_DAMAGED)
			err = store_restart_damaged(s, &report, &e);
		more = true;
	}
	if (err != ERR_OK)
		return mem_string(e.text);
	if (store_ledger(s)->pending != SOUND || store_count_missing(s, &missing, &e) != ERR_OK || missing > 0)
		return "not all of it waits";
	if (store_close(s, &e) != ERR_OK)
		return "close";
	buf_init(&out, 1 << 20);
	if (store_repair(path, &how, &out, &e) != ERR_OK)
		return mem_string(e.text);
	if (store_check(path, &out, &problems, &e) != ERR_OK || problems > 0)
		return mem_format("%.*s", (int)out.len, (const char *)out.data);
	buf_fini(&out);
	return NULL;
}

static void what_is_vast_takes_no_memory(void **state)
{
	(void)state;
	if (IS_SANITIZED) /* its shadow is larger */
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d, mine;
		int status;
		pid_t pid;

		life_make(&d, 0, SOUND, 0);
		life_close(life_open(&d, NULL));
		harm(d.path, cases[i].sql);
		spooldir_make(&mine);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			const char *wrong;

			limit_memory();
			wrong = look_at(d.path, &mine, cases[i].is_skipped);
			wrong = wrong ? wrong : run_on(d.path, &d);
			if (wrong)
				(void)fprintf(stderr, "%s: %s\n", cases[i].name, wrong);
			_exit(wrong ? 1 : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("%s: %x", cases[i].name, (unsigned)status);
		spooldir_remove(&mine);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_vast_takes_no_memory)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
