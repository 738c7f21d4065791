/*
 * Damage is contained: flipped bits in database and log, files cut short, swapped, emptied or gone, another's log. What
 * is delivered is what was written; what is not there any more is counted; a start is never refused; new messages are
 * taken at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "rig/faultfs.h"
#include "rig/lives.h"

enum { ROWS = 600, GROUP = 10, FLIPS = 200 };

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

struct outcome {
	struct store_report report;
	struct store_ledger ledger;
	uint64_t good;    /* rows that came back as they were written */
	uint64_t altered; /* rows that did not: must never be */
	bool position;
};

static enum err read_everything(struct store *s, struct outcome *out, struct error *e)
{
	uint64_t after = 0, last;

	out->good = 0;
	for (;;) {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		struct message *m;
		uint32_t count;
		enum err err = store_read(s, after, 50, UINT64_MAX, &list, &count, &last, e);

		STAILQ_FOREACH (m, &list, link) {
			if (spooldir_is_message(m, m->id, life_bytes(m->id)))
				out->good++;
			else
				out->altered++;
		}
		message_list_free(&list);
		if (err != ERR_OK || (count == 0 && last + 1 >= store_next_id(s)))
			return err;
		after = last;
	}
}

static void start_over(struct store *s, struct outcome *out)
{
	struct error e;
	uint64_t first, last;
	bool more = true;

	if (store_restart_damaged(s, &out->report, &e) != ERR_OK)
		fail_msg("restart: %s", e.text);
	while (more)
		if (store_salvage(s, 1000, &first, &last, &more, &e) != ERR_OK)
			fail_msg("salvage: %s", e.text);
}

/* Drains the spool as the journal would, new files and salvage included, and takes new messages. */
static struct outcome open_and_drain(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct outcome out = {0};
	struct store *s = NULL;
	struct error e;
	struct store_report counted;
	uint64_t first, last;
	char *position;
	bool more = true;
	int restarts = 0;
	struct message *extra = spooldir_message(1, 10);

	if (store_open(&o, &s, &out.report, &e) != ERR_OK)
		fail_msg("open: %s", e.text);
	while (more)
		if (store_salvage(s, 1000, &first, &last, &more, &e) != ERR_OK)
			fail_msg("salvage: %s", e.text);
	for (;;) {
		enum err err = read_everything(s, &out, &e);

		if (err == ERR_OK)
			err = store_recount(s, &counted, &e);
		if (err == ERR_OK)
			break;
		if (err != ERR_DAMAGED || restarts++ == 3)
			fail_msg("read: %s", e.text);
		start_over(s, &out);
	}
	out.ledger = *store_ledger(s);
	assert_int_equal(store_position_get(s, "file", &position, &(bool){false}, &e), ERR_OK);
	out.position = position && strcmp(position, "123") == 0;
	free(position);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	if (store_append(s, extra, &e) != ERR_OK)
		fail_msg("append: %s", e.text);
	assert_true(extra->id > ROWS || out.report.created);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	message_free(extra);
	assert_int_equal(store_close(s, &e), ERR_OK);
	return out;
}

static void flip(const struct spooldir *d, const char *suffix, uint64_t bit)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(d, suffix), &count);

	bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
	spooldir_store(spooldir_file(d, suffix), bytes, count);
	free(bytes);
}

static size_t size_of(const struct spooldir *d, const char *suffix)
{
	size_t count;

	free(spooldir_load(spooldir_file(d, suffix), &count));
	return count;
}

static void nothing_altered_and_everything_counted(const struct outcome *o, uint64_t n)
{
	if (o->altered > 0)
		fail_msg("case %llu: %llu altered rows were delivered", (unsigned long long)n,
		         (unsigned long long)o->altered);
	if (o->good + o->ledger.damaged < ROWS)
		fail_msg("case %llu: %llu rows good, %llu counted as damaged, of %d: %s", (unsigned long long)n,
		         (unsigned long long)o->good, (unsigned long long)o->ledger.damaged, ROWS, o->report.warning);
}

static void flipped_bits_in_the_database(void **state)
{
	struct spooldir original, d;
	uint64_t x = 4242, rows = 0, quarantines = 0;

	(void)state;
	spooldir_make(&original);
	life_make_halves(&original, ROWS, false);
	for (uint64_t n = 0; n < FLIPS; n++) {
		struct outcome o;

		spooldir_make(&d);
		spooldir_copy(&original, &d);
		flip(&d, "", next_random(&x) % (size_of(&d, "") * 8));
		o = open_and_drain(&d);
		nothing_altered_and_everything_counted(&o, n);
		rows += o.good;
		quarantines += o.report.quarantined;
		spooldir_remove(&d);
	}
	print_message("%d flips: %.3f %% of rows delivered, %llu quarantines\n", FLIPS,
	              (double)rows * 100 / FLIPS / ROWS, (unsigned long long)quarantines);
	assert_true(rows > (uint64_t)FLIPS * ROWS * 97 / 100);
	spooldir_remove(&original);
}

static void flipped_bits_in_the_log(void **state)
{
	struct spooldir original, d;
	uint64_t x = 777, rows = 0, mended = 0;

	(void)state;
	spooldir_make(&original);
	life_make_halves(&original, ROWS, true);
	for (uint64_t n = 0; n < FLIPS; n++) {
		struct outcome o;

		spooldir_make(&d);
		spooldir_copy(&original, &d);
		flip(&d, "-wal", next_random(&x) % (size_of(&d, "-wal") * 8));
		o = open_and_drain(&d);
		nothing_altered_and_everything_counted(&o, n);
		assert_true(o.position || o.report.quarantined);
		rows += o.good;
		mended += o.report.wal_mended;
		spooldir_remove(&d);
	}
	print_message("%d flips: %.3f %% of rows delivered, %llu logs mended\n", FLIPS,
	              (double)rows * 100 / FLIPS / ROWS, (unsigned long long)mended);
	assert_true(rows > (uint64_t)FLIPS * ROWS * 97 / 100);
	spooldir_remove(&original);
}

static void cut_file(const struct spooldir *d, const char *suffix, double part)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(d, suffix), &count);

	spooldir_store(spooldir_file(d, suffix), bytes, (size_t)((double)count * part));
	free(bytes);
}

static void swap_pages(const struct spooldir *d, uint64_t *x)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(d, ""), &count);
	size_t pages = count / 4096;
	unsigned char page[4096];
	size_t a = 1 + next_random(x) % (pages - 1), b = 1 + next_random(x) % (pages - 1);

	memcpy(page, bytes + a * 4096, 4096);
	memcpy(bytes + a * 4096, bytes + b * 4096, 4096);
	memcpy(bytes + b * 4096, page, 4096);
	spooldir_store(spooldir_file(d, ""), bytes, count);
	free(bytes);
}

static void zero_sector(const struct spooldir *d, const char *suffix, uint64_t *x)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(d, suffix), &count);

	memset(bytes + next_random(x) % (count / 512) * 512, 0, 512);
	spooldir_store(spooldir_file(d, suffix), bytes, count);
	free(bytes);
}

static void garbage_head(const struct spooldir *d, uint64_t *x)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(d, ""), &count);

	for (int i = 0; i < 100; i++)
		bytes[i] = (unsigned char)next_random(x);
	spooldir_store(spooldir_file(d, ""), bytes, count);
	free(bytes);
}

/* Each kind of harm, ten times; with a log and without. */
static void harm(const struct spooldir *d, int kind, uint64_t *x)
{
	switch (kind) {
	case 0:
		cut_file(d, "", (double)(next_random(x) % 100) / 100);
		break;
	case 1:
		cut_file(d, "-wal", (double)(next_random(x) % 100) / 100);
		break;
	case 2:
		spooldir_store(spooldir_file(d, ""), "", 0);
		break;
	case 3:
		(void)unlink(spooldir_file(d, "-wal"));
		break;
	case 4:
		(void)unlink(spooldir_file(d, ""));
		break;
	case 5:
		garbage_head(d, x);
		break;
	case 6:
		swap_pages(d, x);
		break;
	case 7:
		zero_sector(d, "", x);
		break;
	case 8:
		zero_sector(d, "-wal", x);
		break;
	default:
		break;
	}
}

enum { HARMS = 9, TIMES = 10 };

static void harmed_files(void **state)
{
	struct spooldir original, d;
	uint64_t x = 99;

	(void)state;
	spooldir_make(&original);
	life_make_halves(&original, ROWS, true);
	for (int kind = 0; kind < HARMS; kind++)
		for (int i = 0; i < TIMES; i++) {
			struct outcome o;

			spooldir_make(&d);
			spooldir_copy(&original, &d);
			harm(&d, kind, &x);
			o = open_and_drain(&d);
			assert_int_equal(o.altered, 0);
			if (o.good + o.ledger.damaged < ROWS && !strstr(o.report.warning, "damaged") &&
			    !strstr(o.report.warning, "gone"))
				fail_msg("harm %d: %llu good, %llu damaged, nothing said: '%s'", kind,
				         (unsigned long long)o.good, (unsigned long long)o.ledger.damaged,
				         o.report.warning);
			spooldir_remove(&d);
		}
	spooldir_remove(&original);
}

static void a_log_of_another_database_is_not_applied(void **state)
{
	struct spooldir a, b;
	struct outcome o;
	size_t count;
	unsigned char *bytes;

	(void)state;
	spooldir_make(&a);
	spooldir_make(&b);
	life_make_halves(&a, ROWS, false);
	life_make_halves(&b, ROWS, true);
	bytes = spooldir_load(spooldir_file(&b, "-wal"), &count);
	spooldir_store(spooldir_file(&a, "-wal"), bytes, count);
	free(bytes);
	o = open_and_drain(&a);
	assert_int_equal(o.altered, 0);
	spooldir_remove(&a);
	spooldir_remove(&b);
}

/* A break early in the log, and a bad page in its last transaction: the commits between come back, the last does not.
 */
static void commits_that_cannot_be_joined_are_reported(void **state)
{
	enum { FRAME = 24 + 4096, CHECKSUM_OF_FIRST = 32 + 16 };
	struct store_report report;
	struct store_options o;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;
	size_t frames;

	(void)state;
	spooldir_make(&d);
	life_make_halves(&d, ROWS, true);
	frames = (size_of(&d, "-wal") - 32) / FRAME;
	flip(&d, "-wal", (CHECKSUM_OF_FIRST + 4) * 8);
	flip(&d, "-wal", (32 + (frames - 5) * FRAME + 24 + 1000) * 8); /* what stands behind it is of an older log */
	o = spooldir_options(&d);
	assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
	assert_true(report.wal_mended);
	assert_int_equal(report.wal_frames_lost, 1);
	assert_int_equal(report.missing_rows, GROUP);
	assert_int_equal(store_ledger(s)->pending, ROWS - GROUP);
	assert_int_equal(store_ledger(s)->damaged, GROUP);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(flipped_bits_in_the_database),
	    cmocka_unit_test(flipped_bits_in_the_log),
	    cmocka_unit_test(harmed_files),
	    cmocka_unit_test(a_log_of_another_database_is_not_applied),
	    cmocka_unit_test(commits_that_cannot_be_joined_are_reported),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
