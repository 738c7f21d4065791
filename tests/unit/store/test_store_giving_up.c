/*
 * Files set aside on a dead sector: no start ends by them, what can be read comes back once, the rest when it can be
 * read; or a person gives it up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/files/asides.h"
#include "store/store_salvage_internal.h"

enum { ROWS = 300, PAGE = 4096 };
#define FRAME(n) (32 + (n) * (24 + PAGE)) /* where it begins in the log */
static const char aside[] = ".quarantine-20260101T000000Z-000";

/* A spool whose files were set aside by a run that ended there. */
static void make_aside(struct spooldir *d, uint32_t in_log)
{
	char from[400];

	life_make(d, 0, ROWS - in_log, in_log);
	if (in_log == 0) /* all of it stands in the file */
		life_close(life_open(d, NULL));
	(void)snprintf(from, sizeof from, "%s-wal", d->path);
	assert_int_equal(rename(d->path, spooldir_file(d, aside)), 0);
	(void)snprintf(from, sizeof from, "%s", spooldir_file(d, "-wal"));
	assert_int_equal(rename(from, spooldir_file(d, ".quarantine-20260101T000000Z-000-wal")), 0);
}

static enum err repair(const struct spooldir *d, const char *give_up, char *text, size_t size)
{
	struct error e = {0};
	struct buf out;
	enum err err;

	buf_init(&out, 1 << 20);
	err = store_repair(d->path, &(struct store_repair){.give_up = give_up}, &out, &e);
	(void)snprintf(text, size, "%.*s%s", (int)out.len, out.len ? out.data : "", err == ERR_OK ? "" : e.text);
	buf_fini(&out);
	return err;
}

static void expect_all(struct store *s, uint64_t waiting)
{
	const struct store_ledger *l = store_ledger(s);

	assert_int_equal(l->accepted, ROWS);
	assert_int_equal(l->pending, waiting);
	assert_int_equal(l->pending + l->delivered + l->damaged, ROWS);
	assert_int_equal(life_waiting(s, 0), waiting);
}

/* Where the sector lies: in the file, in pages; in the log, in bytes. */
static const struct sector {
	const char *part;
	int64_t from, bytes;
	uint32_t in_log;
	uint64_t back; /* of ROWS, although it is dead */
	bool is_told;
} sectors[] = {
    {"-000", 0, PAGE, 0, ROWS, true},
    {"-000", 20 * PAGE, 512, 0, 290, true}, /* one block goes on there */
    {"-000", 7 * PAGE + 5, 1, 0, ROWS, true},
    {"-000", 30 * PAGE, 9 * PAGE, 0, 270, true},
    {"-000", 0, INT32_MAX, 0, 0, true},
    {"-000-wal", 0, 512, 100, 0, true},         /* a frame whose page is not known: any may be older than it was */
    {"-000-wal", 60000, 512, 100, ROWS, false}, /* a later frame has that page too */
    {"-000-wal", FRAME(15) + 100, 512, 100, ROWS, false},
    {"-000-wal", FRAME(20) + 100, 512, 100, 290, true},
    {"-000-wal", FRAME(32) + 100, 512, 100, 290, true},
    {"-000-wal", 0, INT32_MAX, 100, 0, true},
    {"-000", PAGE, PAGE, 0, ROWS, false}, /* the pointer map: the free list says the same */
};

static void a_dead_sector_ends_no_start(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof sectors / sizeof *sectors; i++) {
		struct store_report report;
		struct spooldir d;
		char text[4000];
		struct store *s;
		uint64_t back, sent;

		make_aside(&d, sectors[i].in_log);
		faultfs_dead(sectors[i].part, sectors[i].from, sectors[i].bytes);
		s = life_open(&d, &report);
		ERRORWATCH_EXPECT(ERR_OK, NULL, report.warning, "a start beside a dead sector, number", i);
		back = store_ledger(s)->pending;
		expect_all(s, back);
		if (back != sectors[i].back || (strstr(report.warning, "--give-up") != NULL) != sectors[i].is_told)
			fail_msg("sector %zu: %d back; %s", i, (int)back, report.warning);
		sent = back > 40 ? 40 : back;
		for (uint64_t id = 1, left = sent; left > 0; id++) { /* what is sent does not come back */
			struct error e;
			const struct store_settlement item = {.id = id, .kind = SETTLE_DELIVERED, .may_be_gone = true};

			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
			assert_int_equal(store_commit(s, &e), ERR_OK);
			left = sent - store_ledger(s)->delivered;
		}
		life_close(s);
		if (sectors[i].is_told)
			assert_true(life_problems(&d, text, sizeof text) > 0);
		s = life_open(&d, &report);
		expect_all(s, back - sent);
		life_close(s);
		faultfs_dead(NULL, 0, 0);
		s = life_open(&d, &report);
		assert_string_equal(report.warning, "");
		expect_all(s, ROWS - sent);
		life_close(s);
		if (life_problems(&d, text, sizeof text) > 0)
			fail_msg("sector %zu: %s", i, text);
		spooldir_remove(&d);
	}
}

static void a_person_gives_a_file_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof sectors / sizeof *sectors; i++) {
		struct store_report report;
		struct spooldir d;
		char text[4000];
		struct store *s;
		uint64_t back;

		make_aside(&d, sectors[i].in_log);
		faultfs_dead(sectors[i].part, sectors[i].from, sectors[i].bytes);
		assert_int_equal(repair(&d, NULL, text, sizeof text), sectors[i].is_told ? ERR_DAMAGED : ERR_OK);
		ERRORWATCH_EXPECT(ERR_OK, NULL, text, "a repair beside a dead sector, number", i);
		assert_int_equal(strstr(text, "kspool repair --give-up") != NULL, sectors[i].is_told);
		if (!sectors[i].is_told) {
			faultfs_dead(NULL, 0, 0);
			spooldir_remove(&d);
			continue;
		}
		s = life_open(&d, &report);
		back = store_ledger(s)->pending;
		life_close(s);
		assert_int_equal(repair(&d, "/nowhere/spool.db.quarantine-x", text, sizeof text), ERR_INPUT);
		if (repair(&d, spooldir_file(&d, aside), text, sizeof text) != ERR_OK)
			fail_msg("sector %zu: %s", i, text);
		assert_non_null(strstr(text, "given up"));
		if (life_problems(&d, text, sizeof text) > 0)
			fail_msg("sector %zu: %s", i, text);
		assert_int_equal(
		    access(spooldir_file(&d, sectors[i].in_log ? ".quarantine-20260101T000000Z-000-wal" : aside), F_OK),
		    0);
		faultfs_dead(NULL, 0, 0);
		s = life_open(&d, &report);
		assert_string_equal(report.warning, "");
		assert_true(store_ledger(s)->pending >= back);
		expect_all(s, store_ledger(s)->pending);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* So much of a file cannot be read that no more of it is noted: it is put off as a whole, once. */
static void one_with_more_bad_pages_than_are_noted_is_put_off(void **state)
{
	struct spooldir d;
	struct store *s;
	struct error e;
	uint64_t first, last;
	bool more = true;

	(void)state;
	make_aside(&d, 0);
	faultfs_dead(sectors[0].part, 0, INT32_MAX);
	s = life_open(&d, NULL);
	assert_int_equal(s->put_off_count, 1);
	s->put_off_count = 0;
	s->salvage_is_done = false;
	assert_int_equal(store_source_next(s, &e), ERR_OK);
	assert_non_null(s->salvage);
	s->salvage->again_count = 0;
	s->salvage->after_page = 0;
	while (s->salvage->bad_count < BAD_PARTS_MAX)
		s->salvage->bad[s->salvage->bad_count++] = (struct bad_part){.page = 1000000};
	assert_int_equal(store_salvage(s, 10, &first, &last, &more, &e), ERR_OK);
	assert_null(s->salvage);
	assert_int_equal(s->put_off_count, 1);
	assert_string_equal(s->put_off[0].suffix, aside);
	assert_non_null(strstr(s->put_off[0].why.text, strerror(EIO)));
	assert_int_equal(store_salvage(s, 10, &first, &last, &more, &e), ERR_OK);
	assert_false(more);
	store_abandon(s);
	faultfs_dead(NULL, 0, 0);
	spooldir_remove(&d);
}

/* As if as much of it could not be read as can be noted: one part more, and the rest of the file waits for a better
 * disk.
 */
static void more_cannot_be_read_than_can_be_noted(void **state)
{
	static const struct {
		int64_t from, bytes;
	} dead[] = {{30 * PAGE, 9 * PAGE}, {20 * PAGE, 512}}; /* pages, and one that a block goes on in */

	(void)state;
	for (size_t i = 0; i < sizeof dead / sizeof *dead; i++) {
		uint64_t first, last;
		struct spooldir d;
		struct error e = {0};
		struct store *s;
		bool more = true;

		make_aside(&d, 0);
		faultfs_dead("-000", 0, INT32_MAX);
		s = life_open(&d, NULL);
		faultfs_dead("-000", dead[i].from, dead[i].bytes);
		s->put_off_count = 0;
		s->salvage_is_done = false;
		for (int step = 0; more; step++) {
			assert_int_equal(store_salvage(s, 16, &first, &last, &more, &e), ERR_OK);
			if (step == 0)
				s->salvage->bad_count = s->salvage->bad_noted = BAD_PARTS_MAX;
			assert_true(step < 100);
		}
		assert_int_equal(s->put_off_count, 1);
		assert_string_equal(s->put_off[0].suffix, aside);
		assert_non_null(strstr(s->put_off[0].why.text, "cannot"));
		assert_in_range(store_ledger(s)->pending, 16, 270);
		expect_all(s, store_ledger(s)->pending);
		life_close(s);
		faultfs_dead(NULL, 0, 0);
		s = life_open(&d, NULL);
		expect_all(s, ROWS);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_dead_sector_ends_no_start),
	    cmocka_unit_test(one_with_more_bad_pages_than_are_noted_is_put_off),
	    cmocka_unit_test(a_person_gives_a_file_up),
	    cmocka_unit_test(more_cannot_be_read_than_can_be_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
