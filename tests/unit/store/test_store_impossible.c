/*
 * What cannot be, and what must not be: each is answered by an error of its own kind, with its place, and changes
 * nothing. A row that was read and cannot be deleted, a schema of a newer kspool, names that are all taken, a folder
 * that went away, two tables with one root, a log of another's to be looked at.
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
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/files/asides.h"
#include "store/files/sql.h"
#include "store/files/sql_schema.h"
#include "store/store_internal.h"

enum { ROWS = 40 };

static int flock_error;

int flock(int fd, int operation)
{
	if (flock_error == 0)
		return (int)syscall(SYS_flock, fd, operation);
	errno = flock_error;
	return -1;
}

static void expect_error(enum err err, const struct error *e, enum err want, const char *part)
{
	if (err != want || e->code != want || !strstr(e->text, part))
		fail_msg("error %d and not %d, \"%s\" without \"%s\"", (int)err, (int)want, e->text, part);
}

/* From now on a DELETE finds nothing there. */
static void swallow(struct store *s, const char *table)
{
	char sql[200];

	(void)snprintf(sql, sizeof sql,
	               "CREATE TEMP TRIGGER swallow BEFORE DELETE ON main.%s BEGIN SELECT RAISE(IGNORE); END", table);
	life_sql(s, sql);
}

static const struct store_settlement *delivered(uint64_t first, size_t count)
{
	static struct store_settlement items[ROWS];

	for (size_t i = 0; i < count; i++)
		items[i] = (struct store_settlement){.id = first + i, .kind = SETTLE_DELIVERED};
	return items;
}

static enum err deliver(struct store *s, uint64_t first, size_t count, struct error *e)
{
	enum err err;

	assert_int_equal(store_begin(s, e), ERR_OK);
	err = store_settle(s, delivered(first, count), count, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

static enum err deliver_blocks(struct store *s, struct error *e) { return deliver(s, 1, 20, e); }
static enum err deliver_end_of_block(struct store *s, struct error *e) { return deliver(s, 34, 7, e); }
static enum err deliver_alone(struct store *s, struct error *e) { return deliver(s, 31, 1, e); }
static enum err deliver_both(struct store *s, struct error *e) { return deliver(s, 21, 12, e); }
static enum err deliver_two_alone(struct store *s, struct error *e) { return deliver(s, 31, 2, e); }

/* Blocks of ten, of which 31, 32 and 33 stand alone. */
static struct store *make(struct spooldir *d)
{
	struct store *s = life_begin(d);
	struct error e;

	life_append(s, 0, ROWS);
	for (uint64_t id = 31; id <= 33; id++) {
		const struct store_settlement waits = {
		    .id = id, .kind = SETTLE_RETRY, .attempts = 5, .wait_ms = 3600000, .code = "Slow"};

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_settle(s, &waits, 1, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	return s;
}

static void what_was_read_and_cannot_leave_is_damage(void **state)
{
	static const struct {
		const char *table;
		enum err (*run)(struct store *s, struct error *e);
		const char *says;
	} cases[] = {
	    {"blocks", deliver_blocks, "messages 1 to 20 were read, and 20 of them are not where they must be"},
	    {"blocks", deliver_both, "messages 21 to 30 were read, and 10 of them are not where they must be"},
	    {"blocks", deliver_end_of_block, "block 31 was read, and is not there"},
	    {"messages", deliver_alone, "messages 31 to 31 were read, and 1 of them are not where they must be"},
	    {"messages", deliver_two_alone, "messages 31 to 32 were read, and 2 of them are not where they must be"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		struct store *s = make(&d);
		struct error e = {0};

		swallow(s, cases[i].table);
		expect_error(cases[i].run(s, &e), &e, ERR_DAMAGED, cases[i].says);
		store_rollback(s);
		life_expect(s, ROWS, 0, ROWS, 0);
		life_sql(s, "DROP TRIGGER swallow");
		assert_int_equal(cases[i].run(s, &e), ERR_OK);
		life_end(&d, s);
	}
}

/* Two blocks, each of them sound, that have the same ids. */
static void a_message_that_stands_twice_is_damage(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct spooldir d;
	struct store *s = life_begin(&d);
	uint32_t count = 0;
	uint64_t last = 0;
	struct error e;

	(void)state;
	life_append(s, 0, ROWS);
	s->now.next_id = s->durable.next_id = ROWS - 4;
	life_append(s, ROWS, 10);
	assert_int_equal(store_read(s, 0, ROWS - 10, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	assert_int_equal(count, ROWS - 10);
	message_list_free(&list);
	expect_error(store_read(s, 0, 2 * ROWS, UINT64_MAX, &list, &count, &last, &e), &e, ERR_DAMAGED,
	             "message 36 stands behind message 40");
	message_list_free(&list);
	expect_error(deliver(s, 1, ROWS, &e), &e, ERR_DAMAGED, d.path);
	store_rollback(s);
	store_abandon(s);
	spooldir_remove(&d);
}

/* Blocks that are joined are written anew, and must go. */
static void what_is_joined_and_cannot_leave_is_damage(void **state)
{
	enum { BLOCKS = 400, IN_EACH = 10 };
	struct spooldir d;
	struct store *s = life_begin(&d);
	bool more = true;
	struct error e = {0};
	enum err err = ERR_OK;

	(void)state;
	for (int i = 0; i < BLOCKS; i++) {
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (int k = 0; k < IN_EACH; k++) {
			struct message *m = message_new(NULL, 0, "the same words each time, so that they pack", 43, 1);

			assert_int_equal(store_append(s, m, &e), ERR_OK);
			message_free(m);
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	swallow(s, "blocks");
	while (err == ERR_OK && more)
		err = store_merge(s, 0, &more, &e);
	expect_error(err, &e, ERR_DAMAGED, "could be deleted");
	assert_false(store_in_group(s));
	life_sql(s, "DROP TRIGGER swallow");
	assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), BLOCKS);
	for (more = true; more;)
		assert_int_equal(store_merge(s, 0, &more, &e), ERR_OK);
	assert_in_range(life_number(s, "SELECT count(*) FROM blocks"), 1, BLOCKS / 4);
	life_expect(s, BLOCKS * IN_EACH, 0, BLOCKS * IN_EACH, 0);
	life_end(&d, s);
}

static enum err open_again(const struct spooldir *d, struct error *e)
{
	struct store_options o = spooldir_options(d);
	struct store_report report;
	struct store *s = NULL;
	enum err err = store_open(&o, &s, &report, e);

	store_abandon(s);
	return err;
}

/* The newer kspool was killed: its step is in the log. */
static void a_newer_schema_is_for_a_newer_kspool(void **state)
{
	struct spooldir d;
	struct store *s = make(&d);
	struct error e;

	(void)state;
	life_sql(s, "PRAGMA user_version = 999");
	store_abandon(s);
	expect_error(open_again(&d, &e), &e, ERR_CONFIG, "schema 999");
	assert_int_equal(life_count_files(&d, "quarantine"), 0);
	spooldir_remove(&d);
}

/* Each row of the schema is one that kspool made, and yet two trees are one. */
static void two_tables_with_one_root_are_damage(void **state)
{
	struct spooldir d;
	struct store *s = make(&d);
	struct error e;

	(void)state;
	assert_int_equal(sql_schema_check(s->db, d.path, (int)life_number(s, "PRAGMA user_version"), &e), ERR_OK);
	assert_int_equal(sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL), SQLITE_OK);
	life_sql(s, "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET rootpage ="
	            " (SELECT rootpage FROM sqlite_schema WHERE name = 'cache') WHERE name = 'positions'");
	expect_error(sql_schema_check(s->db, d.path, (int)life_number(s, "PRAGMA user_version"), &e), &e, ERR_DAMAGED,
	             "one root");
	store_abandon(s);
	spooldir_remove(&d);
}

/* Two that write into one spool would be the end of it. */
static void where_nothing_can_be_locked_nothing_is_opened(void **state)
{
	static const struct {
		int error;
		enum err err;
	} cases[] = {{EWOULDBLOCK, ERR_BUSY}, {ENOLCK, ERR_SYSTEM}, {EINVAL, ERR_SYSTEM}};
	struct spooldir d;
	struct error e;

	(void)state;
	life_close(make(&d));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		flock_error = cases[i].error;
		expect_error(open_again(&d, &e), &e, cases[i].err, ".lock");
		flock_error = 0;
		assert_int_equal(open_again(&d, &e), ERR_OK);
	}
	spooldir_remove(&d);
}

/* What the last run had out is counted before what may repeat now. */
static void what_may_repeat_adds_up(void **state)
{
	struct spooldir d;
	struct store *s = make(&d);
	struct error e;

	(void)state;
	store_note_flight(s, 10, 0);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(store_begin(s, &e), ERR_OK);
		store_count_possible(s, i);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(store_possible_duplicates(s), 10 + i * (i + 1) / 2);
	}
	assert_int_equal(store_take_possible(s), 1 + 2 + 3);
	assert_int_equal(store_take_possible(s), 0);
	life_end(&d, s);
}

/* A name that cannot be looked at may be somebody's. */
static void where_no_name_is_free_nothing_is_moved(void **state)
{
	char suffix[ASIDE_SUFFIX_BYTES];
	struct spooldir d;
	struct store *s = make(&d);
	struct error e;

	(void)state;
	assert_int_equal(asides_new_suffix(&s->files, ".quarantine-", suffix, &e), ERR_OK);
	faultfs_arm(FAULTFS_STAT, 1, EACCES, true);
	expect_error(asides_new_suffix(&s->files, ".quarantine-", suffix, &e), &e, ERR_DISK, d.path);
	faultfs_arm(0, 0, 0, false);
	life_end(&d, s);
}

/* Between the look at its size and its opening. */
static void a_file_that_goes_while_it_is_looked_at_is_no_damage(void **state)
{
	struct spooldir d;
	struct files f;
	struct error e;
	int told = 0;

	(void)state;
	life_close(make(&d));
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	for (uint64_t n = 1, failed = 1; failed > 0; n++) {
		enum file_kind kind = FILE_OURS;
		enum err err;

		faultfs_arm(FAULTFS_OPEN, n, ENOENT, false);
		err = store_inspect(&f, &kind, &e);
		failed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		if (err == ERR_OK)
			assert_int_equal(kind, FILE_OURS);
		else
			expect_error(err, &e, ERR_ENVIRONMENT, "went away");
		told += err != ERR_OK;
	}
	assert_int_equal(told, 1);
	files_close(&f);
	spooldir_remove(&d);
}

static void a_folder_that_went_takes_the_spool_with_it(void **state)
{
	struct spooldir d, moved;
	struct store *s = make(&d);
	struct error e;
	bool lost = false;

	(void)state;
	assert_int_equal(store_watch_names(s, &lost, &e), ERR_OK);
	assert_false(lost);
	moved = d;
	(void)snprintf(moved.dir, sizeof moved.dir, "%.200s-moved", d.dir);
	assert_int_equal(rename(d.dir, moved.dir), 0);
	for (int i = 0; i < 2; i++) { /* and it stays so */
		lost = false;
		expect_error(store_watch_names(s, &lost, &e), &e, ERR_DISK, "moved away with its folder");
		assert_true(lost);
		expect_error(store_admission(s, &e), &e, ERR_DISK, "moved away with its folder");
	}
	store_abandon(s);
	spooldir_remove(&moved);
}

/* Frames that were given back to the disk under a log that is as long as before: no glance meets each of them. */
static void a_hole_in_the_log_is_noticed(void **state)
{
	enum { FRAME = 24 + 4096, PAGE = 4096, TRIES = 6 };
	int cut = 0;

	(void)state;
	for (int i = 0; i < TRIES; i++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct error e;
		bool lost = false;
		int fd;

		life_append(s, 0, 600);
		assert_true(s->wal_frames > 100);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		fd = open(spooldir_file(&d, "-wal"), O_RDWR);
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		              (off_t)s->wal_frames * FRAME / PAGE * (i + 1) / (TRIES + 1) * PAGE, PAGE) != 0)
			skip(); /* this file system knows no holes */
		assert_int_equal(close(fd), 0);
		assert_int_equal(store_watch(s, &lost, &e), ERR_DISK);
		assert_false(lost);
		cut += strstr(e.text, "was cut while") != NULL;
		store_abandon(s);
		spooldir_remove(&d);
	}
	assert_true(cut > 0);
}

static bool count_peeked(void *arg, const struct store_peeked *m)
{
	(void)m;
	++*(uint64_t *)arg;
	return true;
}

/* The ledger's page of another spool. */
static void bring_ledger_page(const struct spooldir *from, const struct spooldir *to)
{
	enum { PAGE = 4096 };
	struct store *s = life_open(to, NULL);
	const int64_t page = life_number(s, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'");
	unsigned char *ours, *theirs;
	size_t bytes, count;

	life_close(s);
	ours = spooldir_load(to->path, &bytes);
	theirs = spooldir_load(from->path, &count);
	memcpy(ours + (page - 1) * PAGE, theirs + (page - 1) * PAGE, PAGE);
	spooldir_store(to->path, ours, bytes);
	free(ours);
	free(theirs);
}

/* Each of what there is may be another's. What is only a witness is passed over. */
static void a_look_parts_nothing_and_shows_nothing_of_two(void **state)
{
	static const struct {
		const char *brings; /* null: the ledger's page */
		bool has_log, is_shown;
	} cases[] = {
	    {"-wal", true, false}, {"", true, false},      {"", false, false},
	    {NULL, false, false},  {".tide", false, true}, {".lock", false, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir ours, other;
		uint64_t seen = 0;
		struct error e;
		enum err err;

		life_make(&ours, 0, 20, 10);
		life_make(&other, LIFE_OTHERS, 20, 10);
		if (!cases[i].has_log) {
			life_close(life_open(&ours, NULL));
			life_close(life_open(&other, NULL));
		}
		if (cases[i].brings)
			life_bring(&other, cases[i].brings, &ours);
		else
			bring_ledger_page(&other, &ours);
		err = store_peek(ours.path, false, count_peeked, &seen, &e);
		if (cases[i].is_shown && (err != ERR_OK || seen != 30))
			fail_msg("case %zu: %llu messages, %s", i, (unsigned long long)seen, e.text);
		if (!cases[i].is_shown) {
			expect_error(err, &e, ERR_INPUT, "to part them");
			assert_int_equal(seen, 0);
		}
		spooldir_remove(&ours);
		spooldir_remove(&other);
	}
}

/* An older kspool noted whole paths, and that it was done with one. */
static void what_an_older_kspool_read_back_is_done(void **state)
{
	static const char aside[] = ".quarantine-20260101T000000Z-000";

	(void)state;
	for (int is_done = 0; is_done < 2; is_done++) {
		struct spooldir d, old;
		struct store *s = life_begin(&d);
		char to[400], sql[300];
		struct error e;

		life_append(s, 0, 20);
		(void)snprintf(sql, sizeof sql, "INSERT INTO salvage VALUES ('/var/old/spool.db%s', 10, 10, %d, 0)",
		               aside, is_done);
		life_sql(s, sql);
		life_close(s);
		life_make(&old, LIFE_OTHERS, 10, 0);
		(void)snprintf(to, sizeof to, "%s%s", d.path, aside);
		assert_int_equal(rename(old.path, to), 0);
		s = life_open(&d, NULL);
		for (bool more = true; more;)
			assert_int_equal(store_salvage(s, 7, &(uint64_t){0}, &(uint64_t){0}, &more, &e), ERR_OK);
		(void)snprintf(to, sizeof to, "%s.read", aside);
		{
			size_t count;
			char *words = (char *)spooldir_load(spooldir_file(&d, to), &count);

			assert_non_null(words);
			words[count] = '\0';
			if (is_done ? strstr(words, "another spool") != NULL : strstr(words, "another spool") == NULL)
				fail_msg("done %d: %s", is_done, words);
			free(words);
		}
		life_end(&d, s);
		spooldir_remove(&old);
	}
}

/* By whoever is at work there, in a way that locks it: by no kspool. */
static void a_spool_that_another_process_has_is_busy(void **state)
{
	struct spooldir d;
	struct error e;
	sqlite3 *other, *db = NULL;

	(void)state;
	spooldir_make(&d);
	assert_int_equal(sqlite3_open(d.path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "CREATE TABLE t(x); BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	expect_error(sql_reader_open(d.path, NULL, &db, &e), &e, ERR_BUSY, "kspool export");
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	assert_int_equal(sql_reader_open(d.path, NULL, &db, &e), ERR_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	spooldir_remove(&d);
}

static void a_copy_leaves_the_room_that_stays_free(void **state)
{
	struct spooldir d;
	struct store *s = make(&d);
	struct store_options o = spooldir_options(&d);
	char copy[400];
	struct error e;

	(void)state;
	(void)snprintf(copy, sizeof copy, "%s", spooldir_file(&d, ".copy"));
	o.min_free_bytes = UINT64_C(1) << 60;
	store_reconfigure(s, &o);
	expect_error(store_export(s, copy, &e), &e, ERR_INPUT, "kspool.min_free");
	o.min_free_bytes = 0;
	store_reconfigure(s, &o);
	assert_int_equal(store_export(s, copy, &e), ERR_OK);
	life_end(&d, s);
}

static void a_spool_is_no_copy_of_itself(void **state)
{
	struct spooldir d;
	struct store *s = make(&d);
	char name[400];
	uint64_t rows = 7;
	struct error e;

	(void)state;
	(void)snprintf(name, sizeof name, "%s", spooldir_file(&d, ".hard"));
	assert_int_equal(link(d.path, name), 0);
	expect_error(store_import(s, d.path, false, &rows, &e), &e, ERR_INPUT, "this very spool");
	expect_error(store_import(s, name, false, &rows, &e), &e, ERR_INPUT, "this very spool");
	assert_int_equal(rows, 0);
	assert_int_equal(unlink(name), 0);
	life_end(&d, s);
}

/* A file system that cannot rename without replacing gives the copy two names for a moment, and then one. */
static void a_copy_has_one_name_on_any_file_system(void **state)
{
	struct spooldir d;
	struct store *s = make(&d);
	char copy[400];
	struct error e;

	(void)state;
	(void)snprintf(copy, sizeof copy, "%s", spooldir_file(&d, ".copy"));
	for (int i = 0; i < 3; i++) {
		static const struct {
			unsigned kinds;
			int error;
			bool works;
		} cases[] = {
		    {FAULTFS_RENAME, EINVAL, true}, {FAULTFS_RENAME, ENOSYS, true}, {FAULTFS_RENAME, EPERM, false}};
		enum err err;
		struct stat st;

		faultfs_arm(cases[i].kinds, 1, cases[i].error, false);
		err = store_export(s, copy, &e);
		assert_int_equal(faultfs_failed(), 1);
		faultfs_arm(0, 0, 0, false);
		if (cases[i].works) {
			assert_int_equal(err, ERR_OK);
			assert_int_equal(stat(copy, &st), 0);
			assert_int_equal(st.st_nlink, 1);
			assert_int_equal(unlink(copy), 0);
		} else {
			expect_error(err, &e, ERR_ENVIRONMENT, copy);
			assert_int_not_equal(stat(copy, &st), 0);
		}
		assert_int_equal(life_count_files(&d, ".kspool-part"), 0);
	}
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_read_and_cannot_leave_is_damage),
	    cmocka_unit_test(a_message_that_stands_twice_is_damage),
	    cmocka_unit_test(what_is_joined_and_cannot_leave_is_damage),
	    cmocka_unit_test(a_newer_schema_is_for_a_newer_kspool),
	    cmocka_unit_test(two_tables_with_one_root_are_damage),
	    cmocka_unit_test(where_nothing_can_be_locked_nothing_is_opened),
	    cmocka_unit_test(what_may_repeat_adds_up),
	    cmocka_unit_test(where_no_name_is_free_nothing_is_moved),
	    cmocka_unit_test(a_file_that_goes_while_it_is_looked_at_is_no_damage),
	    cmocka_unit_test(a_folder_that_went_takes_the_spool_with_it),
	    cmocka_unit_test(a_hole_in_the_log_is_noticed),
	    cmocka_unit_test(a_look_parts_nothing_and_shows_nothing_of_two),
	    cmocka_unit_test(what_an_older_kspool_read_back_is_done),
	    cmocka_unit_test(a_spool_that_another_process_has_is_busy),
	    cmocka_unit_test(a_copy_leaves_the_room_that_stays_free),
	    cmocka_unit_test(a_spool_is_no_copy_of_itself),
	    cmocka_unit_test(a_copy_has_one_name_on_any_file_system),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
