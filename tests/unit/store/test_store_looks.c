/* Looks at a stopped spool: check says what is wrong and only that, peek shows what waits, and neither changes a byte.
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
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/spooldir.h"
#include "store/files/asides.h"
#include "store/files/spool_files.h"

enum { PER_BLOCK = 10, PENDING = 2 * PER_BLOCK + 1, BIG_ID = PENDING, DEAD = 2, ALL = PENDING + DEAD, BYTES = 100 };

static uint32_t bytes_of(uint64_t id) { return id == BIG_ID ? 1200000 : BYTES; }

/* Two blocks, one message that stands alone, two on the shelf; in the log, or in the database. */
static void make_spool(const struct spooldir *d, bool in_log)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;

	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	for (uint64_t id = 1; id <= ALL; id++) {
		struct message *m = spooldir_message(id, bytes_of(id));

		if (id % PER_BLOCK == 1)
			assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(id > PENDING ? store_append_dead(s, m, "x", &e) : store_append(s, m, &e), ERR_OK);
		assert_int_equal(m->id, id);
		message_free(m);
		if (id % PER_BLOCK == 0 || id == ALL)
			assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	if (in_log)
		store_abandon(s);
	else
		assert_int_equal(store_close(s, &e), ERR_OK);
}

static void run_sql(const struct spooldir *d, const char *sql)
{
	sqlite3 *db = NULL;
	char *why = NULL;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void flip(const char *path, size_t at, unsigned char bits)
{
	size_t count;
	unsigned char *bytes = spooldir_load(path, &count);

	assert_true(at < count);
	bytes[at] ^= bits;
	spooldir_store(path, bytes, count);
	free(bytes);
}

static void leave_it(const struct spooldir *d) { (void)d; }
static void no_log(const struct spooldir *d) { assert_int_equal(unlink(spooldir_file(d, "-wal")), 0); }
static void damage_dead(const struct spooldir *d) { run_sql(d, "UPDATE dead SET body = x'00' WHERE id = 22"); }
static void damage_one(const struct spooldir *d) { spooldir_damage(d->path, 15); }
static void damage_alone(const struct spooldir *d) { spooldir_damage(d->path, BIG_ID); }
static void damage_blocks(const struct spooldir *d) { run_sql(d, "UPDATE blocks SET checksum = checksum + 1"); }
static void lose_ledger(const struct spooldir *d) { run_sql(d, "DELETE FROM ledger"); }
static void lose_one(const struct spooldir *d) { spooldir_lose(d->path, 3); }
static void lose_dead(const struct spooldir *d) { run_sql(d, "DELETE FROM dead WHERE id = 22"); }
static void older_schema(const struct spooldir *d)
{
	run_sql(d, "PRAGMA user_version = 1");
	assert_int_equal(unlink(spooldir_file(d, ".tide")), 0); /* it knows who wrote last */
}
static void strange_index(const struct spooldir *d) { run_sql(d, "CREATE INDEX strange ON dead (attempts)"); }
static void no_head(const struct spooldir *d)
{
	for (size_t i = 0; i < 16; i++)
		flip(d->path, i, 0xff);
}
static void hide_as(const struct spooldir *d, const char *suffix)
{
	char to[400];

	(void)snprintf(to, sizeof to, "%s%s", d->path, suffix);
	assert_int_equal(rename(d->path, to), 0);
}
static void hide(const struct spooldir *d) { hide_as(d, ".quarantine-20260101T000000Z-000"); }
static void hide_beside_a_new_one(const struct spooldir *d)
{
	char from[400];

	hide_as(d, ".hidden");
	assert_int_equal(unlink(spooldir_file(d, ".tide")), 0);
	make_spool(d, false);
	(void)snprintf(from, sizeof from, "%s.hidden", d->path);
	assert_int_equal(rename(from, spooldir_file(d, ".quarantine-20260101T000000Z-000")), 0);
}
static void set_tide(const struct spooldir *d, uint64_t id)
{
	struct files f;
	struct tide tide;
	struct error e;

	assert_int_equal(files_open(&f, d->path, &e), ERR_OK);
	assert_int_equal(files_tide_read(&f, &tide, &e), ERR_OK);
	assert_int_equal(tide.id, ALL);
	tide.id = id;
	files_tide_open(&f);
	files_tide_write(&f, &tide);
	files_close(&f);
}
static void later_tide(const struct spooldir *d) { set_tide(d, 1000); }
static void last_tide(const struct spooldir *d) { set_tide(d, ALL); } /* as it is */
static void break_log(const struct spooldir *d) { flip(spooldir_file(d, "-wal"), 32 + 24 + 100, 1); }
static void swap_pages(const struct spooldir *d)
{
	size_t count;
	unsigned char *bytes = spooldir_load(d->path, &count), page[4096];

	assert_true(count > 30 * sizeof page);
	memcpy(page, bytes + 20 * sizeof page, sizeof page);
	memcpy(bytes + 20 * sizeof page, bytes + 2 * sizeof page, sizeof page);
	memcpy(bytes + 2 * sizeof page, page, sizeof page);
	spooldir_store(d->path, bytes, count);
	free(bytes);
}

static const char sound[] =
    "messages: 21 rows, 20 of them in blocks\ndead: 2 rows\nledger: accepted 23 = delivered 0 + "
    "pending 21 + dead 2 + expired 0 + evicted 0 + damaged 0 + filtered 0 + purged 0\n";

static const struct {
	const char *name;
	bool in_log;
	void (*spoil)(const struct spooldir *d);
	uint64_t problems;
	const char *says; /* "": nothing but `sound` and heads */
} cases[] = {
    {"whole", false, leave_it, 0, "log: 0 frames, 0 commits\n"},
    {"whole, without a log", false, no_log, 0, "log: none\n"},
    {"whole, in the log", true, leave_it, 0, " frames, 3 commits\n"},
    {"tide where it is", false, last_tide, 0, sound},
    {"one of the shelf", false, damage_dead, 1, "problem: dead: 1 rows have a wrong checksum\n"},
    {"one in a block", false, damage_one, 1, "problem: messages: 1 rows have a wrong checksum\n"},
    {"one alone", false, damage_alone, 1, "problem: messages: 1 rows have a wrong checksum\n"},
    {"blocks by themselves", false, damage_blocks, 1,
     "problem: messages: 2 blocks have a wrong checksum, their messages none\n"},
    {"no ledger", false, lose_ledger, 1, "problem: the ledger row is missing, damaged or does not balance\n"},
    {"one gone", false, lose_one, 1, "problem: the ledger counts 21 pending and 2 dead, there are 20 and 2\n"},
    {"one of the shelf gone", false, lose_dead, 1,
     "problem: the ledger counts 21 pending and 2 dead, there are 21 and 1\n"},
    {"older", false, older_schema, 1, "schema: 1, brought up at the next start\n"},
    {"strange", false, strange_index, 1, "holds the index strange, which kspool did not make"},
    {"no head", false, no_head, 1, "problem: the head of the file is damaged\n"},
    {"hidden", false, hide, 1, "problem: 1 files set aside are not read to their end; start kspool"},
    {"hidden beside a new one", false, hide_beside_a_new_one, 1, ": not read to its end yet\n"},
    {"later tide", false, later_tide, 1, "problem: acknowledged messages up to id 1000 are gone: the next id is 24\n"},
    {"broken log", true, break_log, 2,
     "problem: the log is damaged: 3 commits stand behind the break, 3 can be joined again\n"},
    {"swapped pages", false, swap_pages, UINT64_MAX, "problem: structure: "},
};

/* All files of the folder but the lock, one after the other. */
static unsigned char *load_all(const struct spooldir *d, size_t *ret_count)
{
	static const char *const suffixes[] = {"", "-wal", ".tide", ".quarantine-20260101T000000Z-000", "-shm"};
	unsigned char *all = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t count;
		unsigned char *bytes = spooldir_load(spooldir_file(d, suffixes[i]), &count);

		all = realloc(all, *ret_count + count + 1);
		assert_non_null(all);
		if (bytes)
			memcpy(all + *ret_count, bytes, count);
		*ret_count += count;
		all[(*ret_count)++] = count > 0; /* an empty log is as good as none */
		free(bytes);
	}
	return all;
}

static void a_check_says_what_is_wrong_and_changes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		struct buf out;
		struct error e;
		uint64_t problems = 0;
		size_t before_bytes, after_bytes;
		unsigned char *before, *after;

		spooldir_make(&d);
		make_spool(&d, cases[i].in_log);
		cases[i].spoil(&d);
		before = load_all(&d, &before_bytes);
		buf_init(&out, 1 << 20);
		if (store_check(d.path, &out, &problems, &e) != ERR_OK)
			fail_msg("%s: %s", cases[i].name, e.text);
		after = load_all(&d, &after_bytes);
		assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
		if ((problems != cases[i].problems && cases[i].problems != UINT64_MAX) ||
		    (problems == 0) != (strstr((char *)out.data, "problem") == NULL) ||
		    !strstr((char *)out.data, cases[i].says) ||
		    (problems == 0 && cases[i].spoil == leave_it && !strstr((char *)out.data, sound)))
			fail_msg("%s: %u problems\n%s", cases[i].name, (unsigned)problems, (char *)out.data);
		if (before_bytes != after_bytes || memcmp(before, after, before_bytes) != 0)
			fail_msg("%s: a file is not what it was", cases[i].name);
		buf_fini(&out);
		free(before);
		free(after);
		spooldir_remove(&d);
	}
}

static void a_check_of_nothing_is_no_check(void **state)
{
	struct spooldir d;
	struct buf out;
	struct error e;
	uint64_t problems = 7;

	(void)state;
	spooldir_make(&d);
	buf_init(&out, 1 << 20);
	assert_int_equal(store_check(d.path, &out, &problems, &e), ERR_NOINPUT);
	assert_non_null(strstr(e.text, "there is no spool at "));
	assert_int_equal(problems, 0);
	problems = 7;
	assert_int_equal(store_check("/nowhere/spool.db", &out, &problems, &e), ERR_ENVIRONMENT);
	assert_int_equal(problems, 0);
	buf_fini(&out);
	spooldir_remove(&d);
}

struct seen {
	uint64_t count, stop_at, wrong;
};

static bool see(void *arg, const struct store_peeked *p)
{
	struct seen *seen = arg;
	uint64_t id = ++seen->count;
	struct message *m = spooldir_message(id, bytes_of(id));

	assert_int_equal(p->id, id);
	assert_int_equal(p->block_id, id == BIG_ID ? 0 : id <= PER_BLOCK ? 1 : PER_BLOCK + 1);
	assert_int_equal(p->received_ms, m->received_ms);
	assert_int_equal(p->meta_bytes, m->meta_bytes);
	assert_memory_equal(p->meta, m->bytes, m->meta_bytes);
	assert_int_equal(p->body_bytes, m->body_bytes);
	if (p->is_sound)
		assert_memory_equal(p->body, m->bytes + m->meta_bytes, m->body_bytes);
	seen->wrong += !p->is_sound;
	message_free(m);
	return id != seen->stop_at;
}

static void a_peek_shows_what_waits(void **state)
{
	(void)state;
	for (int in_log = 0; in_log < 2; in_log++) {
		struct spooldir d;
		struct seen seen = {0};
		struct error e;
		size_t before_bytes, after_bytes;
		unsigned char *before, *after;

		spooldir_make(&d);
		assert_int_equal(store_peek(d.path, false, see, &seen, &e), ERR_NOINPUT);
		assert_non_null(strstr(e.text, d.path));
		make_spool(&d, in_log);
		before = load_all(&d, &before_bytes);
		assert_int_equal(store_peek(d.path, false, see, &seen, &e), ERR_OK);
		assert_int_equal(seen.count, PENDING);
		assert_int_equal(seen.wrong, 0);
		seen = (struct seen){.stop_at = 7};
		assert_int_equal(store_peek(d.path, false, see, &seen, &e), ERR_OK);
		assert_int_equal(seen.count, 7);
		after = load_all(&d, &after_bytes);
		assert_int_equal(before_bytes, after_bytes);
		assert_memory_equal(before, after, before_bytes);
		assert_int_equal(unlink(spooldir_file(&d, ".lock")), 0);
		seen = (struct seen){0};
		assert_int_equal(store_peek(d.path, true, see, &seen, &e), ERR_OK);
		assert_int_equal(seen.count, PENDING);
		assert_int_equal(access(spooldir_file(&d, ".lock"), F_OK), -1); /* a copy has none */
		spooldir_damage(d.path, 4);
		seen = (struct seen){0};
		assert_int_equal(store_peek(d.path, false, see, &seen, &e), ERR_OK);
		assert_int_equal(seen.count, PENDING);
		assert_int_equal(seen.wrong, 1);
		run_sql(&d, "PRAGMA application_id = 7");
		assert_int_equal(store_peek(d.path, false, see, &seen, &e), ERR_INPUT);
		assert_non_null(strstr(e.text, "the head of"));
		assert_int_equal(store_peek(d.path, true, see, &seen, &e), ERR_INPUT);
		assert_non_null(strstr(e.text, "is not a spool"));
		run_sql(&d, "PRAGMA application_id = 0x4b53504c; PRAGMA user_version = 9999");
		assert_int_equal(store_peek(d.path, false, see, &seen, &e), ERR_INPUT);
		assert_int_equal(store_peek(d.path, true, see, &seen, &e), ERR_CONFIG);
		assert_non_null(strstr(e.text, "schema 9999"));
		free(before);
		free(after);
		spooldir_remove(&d);
	}
}

static uint64_t brought_back(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;
	uint64_t count, first, last;
	bool more = true;

	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	while (more)
		assert_int_equal(store_salvage(s, 100, &first, &last, &more, &e), ERR_OK);
	count = store_ledger(s)->accepted;
	assert_int_equal(store_close(s, &e), ERR_OK);
	return count;
}

/* All of it is in the log; SQLite deletes that of a database without a page, and reads none before a break. */
static void what_only_the_log_holds_outlives_a_look(void **state)
{
	static const struct {
		const char *what, *says;
		off_t size;       /* of the database; -1: it is removed; -2: it stays */
		int log_bit_from; /* -1: the log is whole */
		enum err err;
	} harms[] = {
	    {"empty", "the head of", 0, -1, ERR_INPUT},
	    {"one byte", "the head of", 1, -1, ERR_INPUT},
	    {"no whole header", "the head of", 99, -1, ERR_INPUT},
	    {"gone", "its log is here", -1, -1, ERR_INPUT},
	    {"a bit of the log's first frame", "stand behind the break", -2, 32 + 24 + 700, ERR_INPUT},
	    {"a bit of a later one", "stand behind the break", -2, 10 * 1024, ERR_INPUT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct spooldir d, other;
		struct seen seen = {0};
		struct store_options o;
		struct store *s = NULL;
		struct error e;
		struct buf out;
		uint64_t problems, rows;
		size_t bytes, left;

		print_message("%s\n", harms[i].what);
		spooldir_make(&d);
		make_spool(&d, true);
		if (harms[i].size >= 0)
			assert_int_equal(truncate(d.path, harms[i].size), 0);
		if (harms[i].size == -1)
			assert_int_equal(unlink(d.path), 0);
		if (harms[i].log_bit_from >= 0)
			flip(spooldir_file(&d, "-wal"), (size_t)harms[i].log_bit_from, 4);
		free(spooldir_load(spooldir_file(&d, "-wal"), &bytes));
		assert_int_equal(store_peek(d.path, false, see, &seen, &e), harms[i].err);
		if (!strstr(e.text, harms[i].says))
			fail_msg("%s: %s", harms[i].what, e.text);
		buf_init(&out, 1 << 16);
		assert_int_equal(store_check(d.path, &out, &problems, &e), ERR_OK);
		assert_true(problems > 0);
		buf_fini(&out);
		spooldir_make(&other);
		o = spooldir_options(&other);
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		assert_true(store_import(s, d.path, false, &rows, &e) != ERR_OK); /* all or nothing */
		assert_int_equal(store_ledger(s)->accepted, 0);
		assert_int_equal(store_close(s, &e), ERR_OK);
		free(spooldir_load(spooldir_file(&d, "-wal"), &left));
		assert_int_equal(left, bytes);
		assert_int_equal(brought_back(&d), ALL); /* or counted as damaged: what stood in the frame */
		spooldir_remove(&other);
		spooldir_remove(&d);
	}
}

static void note_aside(void *arg, const char *name, bool is_read, const char *outcome)
{
	const char *from = strstr(name, ".quarantine-");

	assert_non_null(from);
	assert_int_equal(buf_addf(arg, "%s=%s;", from + strlen(".quarantine-"), is_read ? outcome : ""), ERR_OK);
}

static void what_was_set_aside_is_listed_oldest_first(void **state)
{
	static const char *const names[] = {"20260103T000000Z-000",     "20260101T000000Z-000",
	                                    "20260104T000000Z-000-wal", "20260102T000000Z-000",
	                                    "20260102T000000Z-000-wal", "20260102T000000Z-000.head"};
	struct spooldir d;
	struct buf out;
	struct error e;
	char path[400];

	(void)state;
	spooldir_make(&d);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		(void)snprintf(path, sizeof path, "%s.quarantine-%s", d.path, names[i]);
		spooldir_store(path, "x", 1);
	}
	(void)snprintf(path, sizeof path, "%s.quarantine-%s.read", d.path, names[0]);
	spooldir_store(path, "given up", 8);
	(void)snprintf(path, sizeof path, "%sx.quarantine-%s", d.path, names[0]); /* another's */
	spooldir_store(path, "x", 1);
	buf_init(&out, 1 << 16);
	assert_int_equal(asides_each(d.path, note_aside, &out, &e), ERR_OK);
	assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
	assert_string_equal((char *)out.data, "20260101T000000Z-000=;20260102T000000Z-000=;"
	                                      "20260103T000000Z-000=given up;20260104T000000Z-000-wal=;");
	buf_fini(&out);
	assert_int_equal(asides_each("/nowhere/at/all", note_aside, &out, &e), ERR_ENVIRONMENT);
	spooldir_remove(&d);
}

/* Pages of an earlier time: of blocks that had left; of the whole file, which the tide mark outlived. */
static void a_check_knows_what_is_older(void **state)
{
	struct spooldir d, early;
	struct store *s;
	char text[4000];

	(void)state;
	life_make(&d, 0, 30, 0);
	s = life_open(&d, NULL);
	life_sql(s, "CREATE TABLE kept AS SELECT * FROM blocks WHERE id = 1");
	life_settle(s, 1, 10);
	life_sql(s, "INSERT INTO blocks SELECT * FROM kept; DROP TABLE kept");
	life_close(s);
	assert_true(life_problems(&d, text, sizeof text) > 0);
	assert_non_null(strstr(text, "problem: messages stand here that had left"));
	spooldir_remove(&d);

	life_make(&d, 0, 30, 0);
	spooldir_make(&early);
	life_close(life_open(&d, NULL));
	spooldir_copy(&d, &early);
	s = life_open(&d, NULL);
	life_settle(s, 1, 10); /* no id tells */
	life_close(s);
	assert_int_equal(life_problems(&d, text, sizeof text), 0);
	life_bring(&early, "", &d);
	assert_true(life_problems(&d, text, sizeof text) > 0);
	assert_non_null(strstr(text, "problem: what is here is older than the tide mark"));
	spooldir_remove(&d);
	spooldir_remove(&early);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_check_says_what_is_wrong_and_changes_nothing),
	    cmocka_unit_test(a_check_of_nothing_is_no_check),
	    cmocka_unit_test(a_peek_shows_what_waits),
	    cmocka_unit_test(what_only_the_log_holds_outlives_a_look),
	    cmocka_unit_test(what_was_set_aside_is_listed_oldest_first),
	    cmocka_unit_test(a_check_knows_what_is_older),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
