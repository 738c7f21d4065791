/*
 * The folder and its files: what is refused and how, that a refused file keeps every byte, one owner at a time, copies
 * out and in, and that a full disk can be drained.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "rig/spooldir.h"

static void run_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	char *text = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s: %s", sql, text);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void fill(struct store *s, uint64_t first, uint64_t count, uint32_t bytes)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = first; n < first + count; n++) {
		struct message *m = spooldir_message(n, bytes);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void make_spool(const struct spooldir *d, uint64_t count)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;

	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	if (count)
		fill(s, 1, count, 100);
	assert_int_equal(store_close(s, &e), ERR_OK);
}

static void loosen_folder(const struct spooldir *d) { assert_int_equal(chmod(d->dir, 0770), 0); }
static void loosen_file(const struct spooldir *d)
{
	make_spool(d, 1);
	assert_int_equal(chmod(d->path, 0660), 0);
}
static void link_file(const struct spooldir *d) { assert_int_equal(symlink("/etc/hostname", d->path), 0); }
static void two_names(const struct spooldir *d)
{
	make_spool(d, 1);
	assert_int_equal(link(d->path, spooldir_file(d, ".other")), 0);
}
static void a_folder(const struct spooldir *d) { assert_int_equal(mkdir(d->path, 0700), 0); }
static void a_pipe(const struct spooldir *d) { assert_int_equal(mkfifo(d->path, 0600), 0); }
static void link_lock(const struct spooldir *d)
{
	assert_int_equal(symlink("/etc/hostname", spooldir_file(d, ".lock")), 0);
}
static void pipe_lock(const struct spooldir *d) { assert_int_equal(mkfifo(spooldir_file(d, ".lock"), 0600), 0); }
static void pipe_log(const struct spooldir *d) { assert_int_equal(mkfifo(spooldir_file(d, "-wal"), 0600), 0); }
static void text_file(const struct spooldir *d)
{
	spooldir_store(d->path,
	               "this is a text of somebody else, longer than a hundred bytes, so that it could be a head of "
	               "a database but is not one",
	               118);
}
static void short_file(const struct spooldir *d) { spooldir_store(d->path, "x", 1); }
static void other_database(const struct spooldir *d)
{
	run_sql(d->path, "CREATE TABLE t (x); PRAGMA application_id=7");
}
static void redpanda_buffer(const struct spooldir *d)
{
	run_sql(d->path, "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, content TEXT NOT NULL,"
	                 " requeue INTEGER NOT NULL); INSERT INTO messages (content, requeue) VALUES (x'00', 1)");
}
static void newer_schema(const struct spooldir *d)
{
	run_sql(d->path, "CREATE TABLE t (x); PRAGMA application_id=1263751244; PRAGMA user_version=99");
}
static void planted_trigger(const struct spooldir *d)
{
	make_spool(d, 1);
	run_sql(d->path, "CREATE TRIGGER t AFTER DELETE ON messages BEGIN DELETE FROM dead; END");
}
static void planted_index(const struct spooldir *d)
{
	make_spool(d, 1);
	run_sql(d->path, "CREATE INDEX i ON messages (received_ms)");
}

static const struct {
	const char *name;
	void (*make)(const struct spooldir *d);
	enum err err;
	const char *says;
} refusals[] = {
    {"folder others may write", loosen_folder, ERR_ENVIRONMENT, "chmod go-w"},
    {"file others may write", loosen_file, ERR_ENVIRONMENT, "chmod go-w"},
    {"link", link_file, ERR_ENVIRONMENT, "not a plain file"},
    {"two names", two_names, ERR_ENVIRONMENT, "hard links"},
    {"folder", a_folder, ERR_ENVIRONMENT, "not a plain file"},
    {"pipe", a_pipe, ERR_ENVIRONMENT, "not a plain file"},
    {"lock is a link", link_lock, ERR_ENVIRONMENT, ".lock"},
    {"lock is a pipe", pipe_lock, ERR_ENVIRONMENT, ".lock"},
    {"log is a pipe", pipe_log, ERR_ENVIRONMENT, "-wal"},
    {"text file", text_file, ERR_ENVIRONMENT, "not a spool"},
    {"one byte", short_file, ERR_ENVIRONMENT, "not a spool"},
    {"other database", other_database, ERR_ENVIRONMENT, "another program"},
    {"Redpanda Connect's buffer", redpanda_buffer, ERR_ENVIRONMENT, "Redpanda Connect"},
    {"newer schema", newer_schema, ERR_CONFIG, "newer kspool"},
    {"planted trigger", planted_trigger, ERR_ENVIRONMENT, "did not make"},
    {"planted index", planted_index, ERR_ENVIRONMENT, "did not make"},
};

static void what_is_refused_keeps_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct spooldir d;
		struct store_options o;
		struct store *s = NULL;
		struct error e = {0};
		struct stat st;
		size_t before_size = 0, after_size = 0;
		unsigned char *before = NULL, *after = NULL;
		enum err err;
		bool plain;

		spooldir_make(&d);
		refusals[i].make(&d);
		o = spooldir_options(&d);
		plain = lstat(d.path, &st) == 0 && S_ISREG(st.st_mode);
		if (plain)
			before = spooldir_load(d.path, &before_size);
		err = store_open(&o, &s, NULL, &e);
		if (err != refusals[i].err || !strstr(e.text, refusals[i].says) || !strstr(e.text, d.dir))
			fail_msg("%s: %s: %s", refusals[i].name, error_name(err), e.text);
		if (plain) {
			after = spooldir_load(d.path, &after_size);
			assert_int_equal(before_size, after_size);
			assert_memory_equal(before, after, before_size);
		}
		free(before);
		free(after);
		(void)rmdir(d.path);
		spooldir_remove(&d);
	}
}

static void the_folder_must_be_there_and_be_itself(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s = NULL;
	struct error e;
	char link_dir[300], link_path[400];

	(void)state;
	spooldir_make(&d);
	(void)snprintf(link_dir, sizeof link_dir, "%s-link", d.dir);
	(void)snprintf(link_path, sizeof link_path, "%s/spool.db", link_dir);
	o = spooldir_options(&d);
	o.create = false;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_NOINPUT);
	o.create = true;
	o.path = link_path;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "install -d -m 0700"));
	assert_int_equal(symlink(d.dir, link_dir), 0);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_ENVIRONMENT);
	assert_non_null(strstr(e.text, "link"));
	(void)unlink(link_dir);
	o.path = "/proc/spool.db";
	assert_int_not_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	o.path = d.path;
	o.page_size = 1000;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_CONFIG);
	spooldir_remove(&d);
}

/* Child: opens at the same moment as its twin, says so, and holds the spool until it is let go; tells what it got by
 * its status. */
static pid_t racer(const struct spooldir *d, int start_fd, int done_fd, int end_fd)
{
	pid_t pid = fork();
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;
	enum err err;
	char byte;

	if (pid != 0)
		return pid;
	(void)!read(start_fd, &byte, 1);
	err = store_open(&o, &s, NULL, &e);
	(void)!write(done_fd, "x", 1);
	(void)!read(end_fd, &byte, 1);
	if (err == ERR_OK) {
		err = store_close(s, &e);
		_exit(err == ERR_OK ? 0 : 99);
	}
	_exit(error_exit_status(err));
}

static void of_two_daemons_one_serves(void **state)
{
	enum { PAIRS = 15 };

	(void)state;
	for (int pair = 0; pair < PAIRS; pair++) {
		struct spooldir d;
		int start[2], done[2], end[2], status[2];
		pid_t pids[2];
		char byte;

		spooldir_make(&d);
		if (pair % 2)
			make_spool(&d, 5);
		assert_int_equal(pipe(start), 0);
		assert_int_equal(pipe(done), 0);
		assert_int_equal(pipe(end), 0);
		for (int i = 0; i < 2; i++)
			pids[i] = racer(&d, start[0], done[1], end[0]);
		assert_int_equal(write(start[1], "xx", 2), 2);
		for (int i = 0; i < 2; i++)
			assert_int_equal(read(done[0], &byte, 1), 1);
		assert_int_equal(write(end[1], "xx", 2), 2);
		for (int i = 0; i < 2; i++)
			assert_int_equal(waitpid(pids[i], &status[i], 0), pids[i]);
		assert_int_equal(WEXITSTATUS(status[0]) + WEXITSTATUS(status[1]), 75);
		assert_true(WEXITSTATUS(status[0]) == 0 || WEXITSTATUS(status[1]) == 0);
		for (int i = 0; i < 2; i++)
			assert_int_equal(close(start[i]) + close(done[i]) + close(end[i]), 0);
		spooldir_remove(&d);
	}
}

static void refuse_own_copy(struct store *s, const char *copy)
{
	struct store_ledger before = *store_ledger(s);
	struct error e;
	uint64_t rows;

	assert_int_equal(store_import(s, copy, false, &rows, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, "this is a copy of this very spool"));
	assert_int_equal(rows, 0);
	assert_memory_equal(&before, store_ledger(s), sizeof before);
}

static void copies_go_out_and_come_in(void **state)
{
	struct spooldir a, b, c;
	struct store_options o;
	struct store *s = NULL;
	struct store_report report;
	struct error e;
	uint64_t rows, last;
	uint32_t count;
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m;

	(void)state;
	spooldir_make(&a);
	spooldir_make(&b);
	spooldir_make(&c);
	o = spooldir_options(&a);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	fill(s, 1, 50, 400);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s,
	                              (struct store_settlement[]){
	                                  {.id = 1, .kind = SETTLE_DELIVERED},
	                                  {.id = 2, .kind = SETTLE_DEAD, .code = "old", .attempts = 3},
	                                  {.id = 3, .kind = SETTLE_RETRY, .code = "T", .attempts = 2, .wait_ms = 1}},
	                              3, &e),
	                 ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	if (store_export(s, c.path, &e) != ERR_OK)
		fail_msg("export: %s", e.text);
	assert_int_equal(store_export(s, c.path, &e), ERR_INPUT);
	refuse_own_copy(s, c.path);
	fill(s, 51, 5, 10); /* the spool goes on */
	assert_int_equal(store_close(s, &e), ERR_OK);

	o = spooldir_options(&b);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	fill(s, 1, 3, 10);
	if (store_import(s, c.path, false, &rows, &e) != ERR_OK)
		fail_msg("import: %s", e.text);
	assert_int_equal(rows, 49);
	assert_int_equal(store_ledger(s)->accepted, 52);
	assert_int_equal(store_ledger(s)->dead, 1);
	assert_int_equal(store_retrying(s), 1);
	assert_int_equal(store_read(s, 3, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	assert_int_equal(count, 47);
	STAILQ_FOREACH (m, &list, link)
		assert_true(spooldir_is_message(m, m->id == 4 ? 3 : m->id - 1, 400));
	message_list_free(&list);
	assert_int_equal(store_import(s, c.path, false, &rows, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, "all 49 messages of this copy were taken in"));
	assert_false(store_in_group(s));
	assert_int_equal(store_ledger(s)->accepted, 52);
	assert_int_equal(store_import(s, c.path, true, &rows, &e), ERR_OK);
	assert_int_equal(rows, 49);
	assert_int_equal(store_ledger(s)->accepted, 101);
	assert_int_equal(store_possible_duplicates(s), 49);
	assert_int_equal(store_import(s, "/etc/hostname", false, &rows, &e), ERR_INPUT);
	assert_int_equal(store_import(s, "/nowhere/x", false, &rows, &e), ERR_NOINPUT);
	assert_int_equal(store_close(s, &e), ERR_OK);

	o = spooldir_options(&c); /* a copy is a spool */
	if (store_open(&o, &s, &report, &e) != ERR_OK)
		fail_msg("open the copy: %s", e.text);
	assert_false(report.quarantined);
	assert_int_equal(report.rows, 48);
	assert_int_equal(store_next_id(s), 51);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&a);
	spooldir_remove(&b);
	spooldir_remove(&c);
}

static void a_copy_gives_all_but_what_is_not_what_was_written(void **state)
{
	struct spooldir a, b;
	struct store_options o;
	struct store *s = NULL;
	struct error e;
	uint64_t rows;

	(void)state;
	spooldir_make(&a);
	spooldir_make(&b);
	make_spool(&a, 20);
	spooldir_damage(a.path, 15);
	o = spooldir_options(&b);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_import(s, a.path, false, &rows, &e), ERR_OK);
	assert_int_equal(rows, 19);
	assert_int_equal(store_import_damaged(s), 1);
	assert_int_equal(store_ledger(s)->accepted, 19);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&a);
	spooldir_remove(&b);
}

static void fill_up(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char block[4096] = {0};
	size_t n = sizeof block;

	assert_true(fd >= 0);
	while (n > 0)
		if (write(fd, block, n) < (ssize_t)n)
			n /= 2;
	(void)close(fd);
}

/* A real file system without a free byte: intake is refused, the drain goes to its end, intake comes back. */
static void a_full_disk_is_drained(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s = NULL;
	struct message *m = spooldir_message(1, 1000);
	struct store_settlement items[100];
	struct error e;
	uint64_t id = 0, settled = 0;
	size_t done;
	enum err err = ERR_OK;

	(void)state;
	spooldir_make(&d);
	if (mount("tmpfs", d.dir, "tmpfs", 0, "size=8m,mode=0700") != 0) {
		message_free(m);
		(void)rmdir(d.dir);
		print_message("cannot mount: not tried\n");
		skip();
	}
	o = spooldir_options(&d);
	o.reserve_bytes = 1 << 20;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	while (err == ERR_OK) {
		err = store_begin(s, &e);
		for (int i = 0; i < 50 && err == ERR_OK; i++)
			err = store_append(s, m, &e);
		if (err == ERR_OK)
			err = store_commit(s, &e);
		if (err == ERR_OK)
			err = store_checkpoint(s, false, &e);
		id = store_next_id(s) - 1;
	}
	assert_int_equal(err, ERR_FULL);
	store_rollback(s);
	fill_up(spooldir_file(&d, ".foreign"));
	assert_int_equal(store_admission(s, &e), ERR_FULL);
	assert_true(id > 1000);
	id = store_ledger(s)->pending;
	while (settled < id) {
		size_t n = 0;

		for (; n < 100 && settled + n < id; n++)
			items[n] = (struct store_settlement){.id = settled + n + 1, .kind = SETTLE_DELIVERED};
		if (store_settle_full(s, items, n, &done, &e) != ERR_OK)
			fail_msg("drain at %llu of %llu: %s", (unsigned long long)(settled + done),
			         (unsigned long long)id, e.text);
		settled += done;
	}
	assert_int_equal(store_ledger(s)->pending, 0);
	(void)unlink(spooldir_file(&d, ".foreign"));
	for (int i = 0; i < 60000 && store_admission(s, &e) != ERR_OK; i++) {
		(void)usleep(1000); /* the disk is looked at now and then */
		assert_int_equal(store_probe_disk(s, &e), ERR_OK);
	}
	if (store_admission(s, &e) != ERR_OK)
		fail_msg("after the drain: %s", e.text);
	fill(s, 1, 10, 1000);
	assert_int_equal(store_close(s, &e), ERR_OK);
	assert_int_equal(umount(d.dir), 0);
	message_free(m);
	spooldir_remove(&d);
}

/* What happens to the files under an open spool is seen by their names; what waits can be read to the end. */
static void files_taken_away_are_noticed(void **state)
{
	static const struct {
		const char *suffix, *what, *said;
		bool lost;
	} harms[] = {
	    {"", "delete", "was deleted", true},       {"-wal", "delete", "was deleted", true},
	    {".lock", "delete", "was deleted", true},  {"", "replace", "was replaced", true},
	    {"-wal", "empty", "was cut short", false}, {"", "empty", "was cut short", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct message *m = spooldir_message(1, 500), *refused = spooldir_message(2, 500);
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		struct spooldir d;
		struct store_options o;
		struct store *s = NULL;
		struct error e;
		const char *file;
		uint64_t last;
		uint32_t count;
		bool lost;

		spooldir_make(&d);
		o = spooldir_options(&d);
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		file = spooldir_file(&d, harms[i].suffix);
		if (strcmp(harms[i].what, "empty") == 0)
			assert_int_equal(truncate(file, 0), 0);
		else
			assert_int_equal(unlink(file), 0);
		if (strcmp(harms[i].what, "replace") == 0)
			spooldir_store(file, "x", 1);
		assert_int_equal(store_watch(s, &lost, &e), ERR_DISK);
		assert_non_null(strstr(e.text, harms[i].said));
		assert_int_equal(lost, harms[i].lost);
		if (lost) {
			assert_int_equal(store_admission(s, &e), ERR_DISK);
			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_append(s, refused, &e), ERR_FULL);
			store_rollback(s);
			assert_int_equal(store_read(s, 0, 10, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
			assert_int_equal(count, 1);
			message_list_free(&list);
			assert_int_equal(store_close(s, &e), ERR_DISK);
		} else {
			store_abandon(s);
		}
		message_free(m);
		message_free(refused);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_refused_keeps_every_byte),
	    cmocka_unit_test(the_folder_must_be_there_and_be_itself),
	    cmocka_unit_test(of_two_daemons_one_serves),
	    cmocka_unit_test(copies_go_out_and_come_in),
	    cmocka_unit_test(a_copy_gives_all_but_what_is_not_what_was_written),
	    cmocka_unit_test(a_full_disk_is_drained),
	    cmocka_unit_test(files_taken_away_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
