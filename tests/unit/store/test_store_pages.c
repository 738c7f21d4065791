/*
 * Pages read one by one: the records that SQLite has in every page size, out of file and log; logs that hold other
 * pages; disks that do not answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/logimage.h"
#include "rig/plainpages.h"
#include "rig/spooldir.h"
#include "store/files/pages.h"

/* Each row of the query: is it of an index, rowid, columns. */
static void select_lines(sqlite3 *db, const char *sql, struct lines *out)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	while (sqlite3_step(st) == SQLITE_ROW) {
		lines_begin(out, sqlite3_column_int(st, 0), sqlite3_column_int64(st, 1));
		for (int i = 2; i < sqlite3_column_count(st); i++) {
			const int type = sqlite3_column_type(st, i);

			if (type == SQLITE_INTEGER || type == SQLITE_NULL)
				lines_value(out, type == SQLITE_NULL ? 'n' : 'i', sqlite3_column_int64(st, i), NULL, 0);
			else if (type == SQLITE_FLOAT) {
				double f = sqlite3_column_double(st, i);
				unsigned char raw[8];
				uint64_t bits;

				memcpy(&bits, &f, 8);
				for (int k = 0; k < 8; k++)
					raw[k] = (unsigned char)(bits >> (56 - 8 * k));
				lines_value(out, 'f', 0, raw, 8);
			} else
				lines_value(out, type == SQLITE_TEXT ? 't' : 'b', 0, sqlite3_column_blob(st, i),
				            (size_t)sqlite3_column_bytes(st, i));
		}
	}
	sqlite3_finalize(st);
}

static void what_sqlite_says(sqlite3 *db, struct lines *out)
{
	select_lines(db, "SELECT 0, rowid, * FROM sqlite_schema", out);
	select_lines(db, "SELECT 0, id, NULL, a, b, c FROM t", out);
	select_lines(db, "SELECT 1, 0, b, id FROM t", out);
	select_lines(db, "SELECT 1, 0, k, v FROM w", out);
	select_lines(db, "SELECT 0, rowid, x FROM gone", out);
}

/* Of file, of log, of both, in each page size: the records SQLite has, and no other. */
static void records_are_what_sqlite_has(void **state)
{
	struct lines *want = new_lines(), *got = new_lines();

	(void)state;
	for (uint32_t page = 512; page <= 65536; page *= 2) {
		struct spooldir d;
		sqlite3 *db;
		struct pages *p;

		spooldir_make(&d);
		db = make_database(&d, page, "PRAGMA wal_checkpoint(PASSIVE); DELETE FROM gone;");
		lines_clear(want);
		lines_clear(got);
		what_sqlite_says(db, want);
		p = open_pages(&d, PAGES_OF_BOTH);
		assert_int_equal(pages_log(p)->page_bytes, page);
		all_records(p, got);
		lines_compare(want, got, "file and log", page);
		pages_close(p);
		run_sql(db, "PRAGMA wal_checkpoint(TRUNCATE); DROP TABLE gone; PRAGMA wal_checkpoint(TRUNCATE);"
		            "CREATE TABLE gone (x); PRAGMA wal_checkpoint(TRUNCATE)");
		lines_clear(want);
		lines_clear(got);
		what_sqlite_says(db, want);
		for (unsigned which = PAGES_OF_FILE; which <= PAGES_OF_BOTH; which += 2) {
			p = open_pages(&d, which);
			assert_int_equal(pages_log(p)->mend_frames, 0);
			lines_clear(got);
			all_records(p, got);
			lines_compare(want, got, "file", page);
			pages_close(p);
		}
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		spooldir_remove(&d);
	}
	free_lines(want);
	free_lines(got);
}

static void put_byte(const char *path, size_t at, unsigned char byte)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0 && pwrite(fd, &byte, 1, (off_t)at) == 1);
	(void)close(fd);
}

/* A header that names no size there could be: it is found. At a glance one that could be is believed. */
static void the_page_size_is_found(void **state)
{
	struct lines *want = new_lines(), *got = new_lines();

	(void)state;
	for (uint32_t page = 512; page <= 65536; page *= 2) {
		static const uint32_t said[] = {0, 1, 2, 256, 511, 512, 768, 1024, 4096, 32768, 40000};
		struct spooldir d;
		struct image m;

		spooldir_make(&d);
		sound_file(&d, page);
		m = image_of(d.path, page);
		lines_clear(want);
		for (uint32_t n = 1; n <= m.pages; n++)
			page_lines(&m, n, false, want);
		for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
			const uint32_t means = said[i] == 1 ? 65536 : said[i];
			const bool could_be = means >= 512 && (means & (means - 1)) == 0;
			struct pages *p;

			put_byte(d.path, 16, (unsigned char)(said[i] >> 8));
			put_byte(d.path, 17, (unsigned char)said[i]);
			if (!could_be || means == page) {
				p = open_pages(&d, PAGES_OF_FILE);
				lines_clear(got);
				all_records(p, got);
				assert_int_equal(pages_count(p), m.pages);
				lines_compare(want, got, "page size", page * 100000ull + said[i]);
				pages_close(p);
			}
			p = open_pages(&d, PAGES_OF_FILE | PAGES_AT_A_GLANCE);
			assert_int_equal(pages_count(p), could_be ? (m.count + means - 1) / means : m.pages);
			pages_close(p);
		}
		free(m.bytes);
		spooldir_remove(&d);
	}
	free_lines(want);
	free_lines(got);
}

/* A log and a file by hand: which page is whose. The pages hold one record each, that says where it stands. */
static void one_record_page(unsigned char *page, uint32_t bytes, uint32_t n, uint32_t word)
{
	const unsigned char cell[] = {7,
	                              (unsigned char)(n % 100 + 1),
	                              4,
	                              4,
	                              1,
	                              1,
	                              (unsigned char)(word >> 24),
	                              (unsigned char)(word >> 16),
	                              (unsigned char)(word >> 8),
	                              (unsigned char)word,
	                              1,
	                              2};
	unsigned char *head = page + (n == 1 ? 100 : 0);
	const size_t at = bytes - sizeof cell;

	memset(page, 0, bytes);
	head[0] = 13;
	head[4] = 1;
	head[8] = (unsigned char)(at >> 8);
	head[9] = (unsigned char)at;
	memcpy(page + at, cell, sizeof cell);
	page[at] = 10;
}

static struct logimage hand_log;

struct seen {
	uint32_t words[64];
	size_t count;
};

static enum err note_word(void *arg, const struct stored_record *r, struct error *e)
{
	struct seen *s = arg;

	(void)e;
	assert_int_equal(r->count, 3);
	assert_true(s->count < 64);
	s->words[s->count++] = (uint32_t)r->values[0].number;
	return ERR_OK;
}

static uint32_t word_in(struct pages *p, uint32_t n)
{
	struct seen s = {.count = 0};
	struct error e;

	assert_int_equal(pages_records(p, n, note_word, &s, &e), ERR_OK);
	assert_true(s.count <= 1);
	return s.count ? s.words[0] : 0;
}

/* file_pages in the file; each of the log's frames is page and commit. Words are 1000 + page, or 2000 + frame. */
static void make_by_hand(const struct spooldir *d, uint32_t file_pages, const uint32_t (*frames)[2], size_t count)
{
	enum { PAGE = 512 };
	unsigned char page[PAGE];
	unsigned char *file = mem_zero((size_t)(file_pages + 1) * PAGE);

	for (uint32_t n = 1; n <= file_pages; n++) /* 2 is the map, whatever it looks like */
		one_record_page(file + (size_t)(n - 1) * PAGE, PAGE, n, 1000 + n);
	spooldir_store(d->path, file, (size_t)file_pages * PAGE);
	free(file);
	log_begin(&hand_log, PAGE, false, 0, 4711);
	for (size_t i = 0; i < count; i++) {
		one_record_page(page, PAGE, frames[i][0], (uint32_t)(2000 + i));
		log_add(&hand_log, frames[i][0], frames[i][1], page);
	}
	spooldir_store(spooldir_file(d, "-wal"), hand_log.image, hand_log.bytes);
}

static void pages_are_the_newest_that_were_committed(void **state)
{
	/* 7 is beyond the file; 3 twice; 5 and 4 come last and were never committed. */
	static const uint32_t frames[][2] = {{3, 0}, {7, 7}, {3, 0}, {1, 7}, {5, 0}, {4, 0}};
	static const uint32_t want[] = {0, 2003, 0, 2002, 1004, 1005, 0, 2001};
	struct spooldir d;
	struct pages *p;

	(void)state;
	spooldir_make(&d);
	make_by_hand(&d, 5, frames, 6);
	p = open_pages(&d, PAGES_OF_BOTH);
	assert_int_equal(pages_count(p), 7);
	for (uint32_t n = 1; n <= 7; n++)
		assert_int_equal(word_in(p, n), want[n]);
	pages_close(p);
	p = open_pages(&d, PAGES_OF_FILE);
	assert_int_equal(pages_count(p), 5);
	assert_int_equal(word_in(p, 3), 1003);
	pages_close(p);
	p = open_pages(&d, PAGES_OF_LOG);
	assert_int_equal(pages_count(p), 7);
	assert_int_equal(word_in(p, 3), 2002);
	assert_int_equal(word_in(p, 4), 0);
	pages_close(p);
	/* Neither is there. */
	assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0);
	assert_int_equal(unlink(d.path), 0);
	p = open_pages(&d, PAGES_OF_BOTH);
	assert_int_equal(pages_count(p), 0);
	assert_true(pages_log(p)->is_empty || pages_log(p)->frames == 0);
	pages_close(p);
	pages_close(NULL);
	spooldir_remove(&d);
}

/* How many pages there are: what a commit says, no more than there can be. */
static void a_commit_is_believed_within_reason(void **state)
{
	static const struct {
		uint32_t file, frames[3][2], want;
	} cases[] = {
	    {5, {{3, 0}, {4, 0}, {3, 5}}, 5},    {5, {{3, 0}, {4, 0}, {3, 3}}, 5},
	    {5, {{3, 0}, {4, 0}, {3, 7}}, 7},    {5, {{3, 0}, {4, 0}, {3, 8}}, 8},
	    {5, {{3, 0}, {4, 0}, {3, 9}}, 8},    {5, {{3, 0}, {4, 0}, {3, 4000000}}, 8},
	    {0, {{9, 0}, {4, 0}, {3, 9}}, 9},    {0, {{9, 0}, {4, 0}, {3, 400}}, 9},
	    {0, {{9, 0}, {4, 0}, {3, 8}}, 8},    {1, {{3, 0}, {4, 0}, {3, 9}}, 4},
	    {20, {{3, 0}, {4, 0}, {3, 19}}, 20},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		struct pages *p;

		spooldir_make(&d);
		make_by_hand(&d, cases[i].file, cases[i].frames, 3);
		p = open_pages(&d, PAGES_OF_BOTH);
		if (pages_count(p) != cases[i].want)
			fail_msg("case %zu: %u pages", i, pages_count(p));
		for (uint32_t n = 1; n <= pages_count(p); n++)
			assert_int_equal(word_in(p, n), n == 2                       ? 0
			                                : n == 3                     ? 2002
			                                : n == 4                     ? 2001
			                                : n == cases[i].frames[0][0] ? 2000
			                                : n <= cases[i].file         ? 1000 + n
			                                                             : 0);
		pages_close(p);
		spooldir_remove(&d);
	}
}

/* Frame by frame, newest or not, committed or not; the log at a glance, with its own page size. */
static void frames_are_read_one_by_one(void **state)
{
	static const uint32_t frames[][2] = {{3, 0}, {7, 7}, {3, 0}, {1, 7}, {5, 0}, {8, 0}};
	struct spooldir d;
	struct pages *p;
	struct error e;

	(void)state;
	spooldir_make(&d);
	make_by_hand(&d, 5, frames, 6);
	p = open_pages(&d, PAGES_OF_LOG | PAGES_AT_A_GLANCE);
	assert_int_equal(pages_log(p)->frames, 6);
	assert_int_equal(pages_log(p)->mend_frames, 4);
	for (uint32_t last = 5; last <= 8; last++)
		for (uint64_t i = 0; i < 6; i++) {
			struct seen s = {.count = 0};
			uint32_t page = 0;

			assert_int_equal(pages_frame_records(p, i, last, &page, note_word, &s, &e), ERR_OK);
			assert_int_equal(page, frames[i][0]);
			assert_int_equal(s.count, page <= last);
			if (s.count > 0)
				assert_int_equal(s.words[0], 2000 + i);
		}
	faultfs_arm(FAULTFS_READ, 1, EIO, false);
	assert_int_equal(pages_frame_records(p, 0, 9, &(uint32_t){0}, note_word, &(struct seen){.count = 0}, &e),
	                 ERR_DISK);
	faultfs_arm(FAULTFS_READ, 2, EIO, false);
	assert_int_equal(pages_frame_records(p, 0, 9, &(uint32_t){0}, note_word, &(struct seen){.count = 0}, &e),
	                 ERR_DISK);
	faultfs_arm(0, 0, 0, false);
	pages_close(p);
	spooldir_remove(&d);
}

/* What is no leaf has no record, though its bytes look like one of an index. */
static void a_frame_of_another_kind_has_no_record(void **state)
{
	struct spooldir d;
	unsigned char page[512];
	struct error e;

	(void)state;
	spooldir_make(&d);
	for (int kind = 0; kind < 256; kind++) {
		struct seen s = {.count = 0};
		struct pages *p;

		one_record_page(page, sizeof page, 3, 2000);
		page[0] = (unsigned char)kind;
		memcpy(page + sizeof page - 12, "\12\4\4\1\1\0\0\7\320\1\2", 11);
		log_begin(&hand_log, sizeof page, false, 0, 4711);
		log_add(&hand_log, 3, 3, page);
		spooldir_store(spooldir_file(&d, "-wal"), hand_log.image, hand_log.bytes);
		p = open_pages(&d, PAGES_OF_LOG | PAGES_AT_A_GLANCE);
		assert_int_equal(pages_frame_records(p, 0, 3, &(uint32_t){0}, note_word, &s, &e), ERR_OK);
		assert_int_equal(s.count, kind == 10);
		pages_close(p);
	}
	spooldir_remove(&d);
}

static enum err refuse_second(void *arg, const struct stored_record *r, struct error *e)
{
	(void)r;
	return ++*(int *)arg == 2 ? error_set(e, ERR_INPUT, "enough") : ERR_OK;
}

/* Each read that fails is told, from the opening on; what `found` refuses ends the page. */
static void a_read_that_fails_is_told(void **state)
{
	struct spooldir d;
	int dir;

	(void)state;
	spooldir_make(&d);
	sound_file(&d, 512);
	dir = folder_of(&d);
	for (int round = 0; round < 3; round++) {
		static const uint32_t frames[][2] = {{3, 0}, {7, 7}, {3, 0}, {1, 7}};
		uint64_t n = 1, failed = 1;

		if (round == 2) /* with a log */
			make_by_hand(&d, 5, frames, 4);
		for (; failed > 0; n += n < 40 ? 1 : 13) {
			struct lines *got = new_lines();
			struct pages *p = NULL;
			struct error e = {0};
			enum err err;

			faultfs_arm(FAULTFS_LOOKS, n, EIO, false);
			err = pages_open(
			    dir, "spool.db",
			    round == 1 ? (enum pages_of)(PAGES_OF_FILE | PAGES_AT_A_GLANCE) : PAGES_OF_BOTH, &p, &e);
			for (uint32_t i = 1; err == ERR_OK && i <= pages_count(p); i++)
				err = pages_records(p, i, collect, got, &e);
			failed = faultfs_failed();
			faultfs_arm(0, 0, 0, false);
			assert_int_equal(err, failed > 0 ? ERR_DISK : ERR_OK);
			if (failed > 0)
				assert_non_null(strstr(e.text, strerror(EIO)));
			pages_close(p);
			free_lines(got);
		}
		assert_true(n > (round < 2 ? 60 : 20));
	}
	(void)close(dir);
	spooldir_remove(&d);
}

/* What only one of the map and the list of free pages calls free is read, and said to be in doubt. */
static void two_that_disagree_are_doubted(void **state)
{
	enum { PAGE = 512, APART = PAGE / 5 + 1 };
	struct spooldir d;
	struct image m;
	uint32_t freed = 0;

	(void)state;
	spooldir_make(&d);
	sound_file(&d, PAGE);
	m = image_of(d.path, PAGE);
	for (uint32_t n = 3; n <= m.pages; n++) {
		const uint32_t map = (n - 2) / APART * APART + 2;
		const size_t at = (size_t)(map - 1) * PAGE + (size_t)(n - map - 1) * 5;
		const bool was_free = is_free_page(&m, n);
		struct pages *p;

		if (n == map)
			continue;
		freed += was_free;
		put_byte(d.path, at, was_free ? 1 : 2);
		p = open_pages(&d, PAGES_OF_FILE | PAGES_TOLERATE);
		for (uint32_t i = n > 2 ? n - 2 : 1; i <= n + 2 && i <= m.pages; i++) {
			const unsigned char kind = m.bytes[at + 5 * ((size_t)i - n)];

			if (i != n && (i <= 2 || (i - 2) / APART != (n - 2) / APART || (i - 2) % APART == 0))
				continue;
			assert_int_equal(pages_may_hold_rows(p, i), i == n || (kind != 2 && kind != 3 && kind != 4));
			assert_int_equal(pages_map_is_lost(p), i == n);
		}
		pages_close(p);
		put_byte(d.path, at, m.bytes[at]);
	}
	assert_true(freed > 3);
	free(m.bytes);
	spooldir_remove(&d);
}

static void a_refusal_ends_the_page(void **state)
{
	struct spooldir d;
	struct pages *p;
	struct error e = {0};
	uint32_t n = 1;
	int calls = 0;

	(void)state;
	spooldir_make(&d);
	sound_file(&d, 4096);
	p = open_pages(&d, PAGES_OF_FILE);
	while (calls < 2) {
		calls = 0;
		assert_true(n <= pages_count(p));
		if (pages_records(p, n++, refuse_second, &calls, &e) != ERR_OK)
			assert_string_equal(e.text, "enough");
	}
	assert_int_equal(calls, 2);
	assert_int_equal(e.code, ERR_INPUT);
	pages_close(p);
	spooldir_remove(&d);
}

/* Of a page in the log alike. */
static void a_refusal_ends_a_frame(void **state)
{
	struct spooldir d;
	sqlite3 *db;
	struct pages *p;
	struct error e = {0};
	uint32_t page;
	int calls = 0;

	(void)state;
	spooldir_make(&d);
	db = make_database(&d, 4096, "");
	p = open_pages(&d, PAGES_OF_LOG | PAGES_AT_A_GLANCE);
	for (uint64_t i = 0; calls < 2; i++) {
		enum err err;

		calls = 0;
		err = pages_frame_records(p, i, INT32_MAX, &page, refuse_second, &calls, &e);
		assert_int_equal(err, calls < 2 ? ERR_OK : ERR_INPUT);
		assert_true(i < 1000);
	}
	assert_string_equal(e.text, "enough");
	pages_close(p);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	spooldir_remove(&d);
}

/* Sectors that do not answer are taken for zeros and counted, when that was asked for; all else is as it was. */
static void what_does_not_answer_is_left_out(void **state)
{
	struct lines *want = new_lines(), *got = new_lines();
	struct spooldir d;
	struct image m;

	(void)state;
	spooldir_make(&d);
	sound_file(&d, 512);
	m = image_of(d.path, 512);
	for (uint32_t n = 3; n <= m.pages; n += n < 12 ? 1 : 7) {
		unsigned char old[512];
		struct pages *p = open_pages(&d, PAGES_OF_FILE | PAGES_TOLERATE);
		struct error e;

		memcpy(old, page_of(&m, n), 512);
		memset(m.bytes + (size_t)(n - 1) * 512, 0, 512);
		faultfs_dead("spool.db", (int64_t)(n - 1) * 512, 512);
		lines_clear(want);
		lines_clear(got);
		assert_int_equal(pages_unreadable(p), 0);
		for (uint32_t i = 1; i <= m.pages; i++) {
			page_lines(&m, i, false, want);
			assert_int_equal(pages_records(p, i, collect, got, &e), ERR_OK);
			if (i == n)
				assert_true(pages_unreadable(p) >= !is_free_page(&m, i));
		}
		lines_compare(want, got, "unreadable page", n);
		pages_close(p);
		p = NULL;
		faultfs_dead("spool.db", 0, 100);
		p = open_pages(&d, PAGES_OF_FILE | PAGES_TOLERATE);
		assert_int_equal(pages_count(p), m.pages);
		assert_int_equal(pages_unreadable(p), 0); /* of those that are read now */
		faultfs_dead(NULL, 0, 0);
		pages_close(p);
		memcpy(m.bytes + (size_t)(n - 1) * 512, old, 512);
	}
	free(m.bytes);
	free_lines(want);
	free_lines(got);
	spooldir_remove(&d);
}

/* A file that is mostly a hole is read as fast as what it holds. */
static void holes_are_passed_over(void **state)
{
	const off_t far = (off_t)1 << 40;
	struct spooldir d;
	struct pages *p;
	struct error e;
	uint32_t of_file;
	int dir, fd;

	(void)state;
	spooldir_make(&d);
	sound_file(&d, 4096);
	dir = folder_of(&d);
	fd = open(d.path, O_RDWR);
	of_file = (uint32_t)(lseek(fd, 0, SEEK_END) / 4096);
	assert_int_equal(ftruncate(fd, far), 0);
	assert_int_equal(pwrite(fd, "x", 1, far / 2), 1);
	assert_int_equal(pages_open(dir, "spool.db", (enum pages_of)(PAGES_OF_FILE | PAGES_OF_A_SPOOL), &p, &e),
	                 ERR_OK);
	assert_int_equal(pages_count(p), far / 4096);
	for (uint32_t n = 1; n <= of_file; n++)
		assert_int_equal(pages_next(p, n), n);
	assert_int_equal(pages_next(p, of_file + 1), far / 2 / 4096 + 1);
	assert_int_equal(pages_next(p, (uint32_t)(far / 2 / 4096) + 2), far / 4096 + 1);
	assert_int_equal(pages_next(p, (uint32_t)(far / 4096) + 1), far / 4096 + 1);
	pages_close(p);
	(void)close(fd);
	(void)close(dir);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(holes_are_passed_over),
	    cmocka_unit_test(records_are_what_sqlite_has),
	    cmocka_unit_test(the_page_size_is_found),
	    cmocka_unit_test(pages_are_the_newest_that_were_committed),
	    cmocka_unit_test(a_commit_is_believed_within_reason),
	    cmocka_unit_test(frames_are_read_one_by_one),
	    cmocka_unit_test(a_frame_of_another_kind_has_no_record),
	    cmocka_unit_test(a_read_that_fails_is_told),
	    cmocka_unit_test(two_that_disagree_are_doubted),
	    cmocka_unit_test(a_refusal_ends_the_page),
	    cmocka_unit_test(what_does_not_answer_is_left_out),
	    cmocka_unit_test(a_refusal_ends_a_frame),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
