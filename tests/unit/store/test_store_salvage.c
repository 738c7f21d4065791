/* What lies in files that were set aside comes back, whatever of them is left, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"

enum { ROWS = 600 };

/* A file that was set aside by whatever run comes back at the next start, into the ledger that had forgotten it. */
static void a_start_finds_a_file_that_was_set_aside(void **state)
{
	struct store_report report;
	struct store_options o;
	struct spooldir d;
	struct store *s = NULL;
	struct buf out;
	struct error e;
	char aside[400];
	uint64_t problems, bytes = 0;

	(void)state;
	spooldir_make(&d);
	life_make_halves(&d, ROWS, false);
	(void)snprintf(aside, sizeof aside, "%s.quarantine-20260101T000000Z-000", d.path);
	assert_int_equal(rename(d.path, aside), 0);
	o = spooldir_options(&d);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
		assert_int_equal(report.salvaged_rows, round == 0 ? ROWS : 0);
		assert_int_equal(store_ledger(s)->accepted, ROWS);
		assert_int_equal(store_ledger(s)->pending, ROWS);
		assert_int_equal(store_ledger(s)->damaged, 0);
		bytes = round == 0 ? store_pending_bytes(s) : bytes;
		assert_int_equal(store_pending_bytes(s), bytes); /* later starts count them */
		assert_int_equal(store_close(s, &e), ERR_OK);
	}
	buf_init(&out, 1 << 20);
	assert_int_equal(store_check(d.path, &out, &problems, &e), ERR_OK);
	assert_int_equal(problems, 0);
	assert_non_null(strstr(out.data, "600 messages came back"));
	buf_fini(&out);
	spooldir_remove(&d);
}

/* An ordinary spool that began anew, with the same ids, beside a file nobody looked at: both are there in the end. */
static void a_forgotten_file_beside_a_spool_with_the_same_ids(void **state)
{
	struct store_options o;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;
	char aside[400];

	(void)state;
	spooldir_make(&d);
	life_make_halves(&d, ROWS, false);
	(void)snprintf(aside, sizeof aside, "%s.hidden", d.path);
	assert_int_equal(rename(d.path, aside), 0);
	assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
	o = spooldir_options(&d);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	for (uint64_t id = 1; id <= 20; id++) {
		struct message *m = spooldir_message(id + 5000, 30);

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_close(s, &e), ERR_OK);
	assert_int_equal(rename(aside, spooldir_file(&d, ".quarantine-20260101T000000Z-000")), 0);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_ledger(s)->accepted, ROWS + 20);
	assert_int_equal(store_ledger(s)->pending, ROWS + 20);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

/* Every page that holds no message of its own may go: without roots, page count or database, rows are found. */
static void rows_are_found_without_roots(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		const struct store_ledger *l;
		struct store_report report;
		struct store_options o;
		struct store *s = NULL;
		struct spooldir d;
		struct error e;
		size_t count;
		unsigned char *bytes;

		spooldir_make(&d);
		life_make_halves(&d, ROWS, kind == 3);
		bytes = spooldir_load(d.path, &count);
		if (kind == 0) /* the page count of the header */
			bytes[30] = 0, bytes[31] = 20;
		for (size_t page = 0; page + 4096 <= count && kind == 1; page += 4096)
			if (page > 0 && bytes[page] == 0x05) /* roots and inner pages of tables */
				memset(bytes + page, 0xa5, 4096);
		if (kind == 1)
			memset(bytes, 0, 4096);
		if (kind == 2) /* and the pointer map */
			memset(bytes, 0, 8192);
		spooldir_store(d.path, bytes, kind == 3 ? 0 : count);
		free(bytes);
		o = spooldir_options(&d);
		assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
		l = store_ledger(s);
		assert_int_equal(l->accepted, ROWS);
		/* Emptied: what the log alone has, the rest is counted. */
		if (l->pending < (kind == 3 ? ROWS / 2 : ROWS) || l->pending + l->damaged != ROWS)
			fail_msg("kind %d: %llu came back, %llu damaged: %s", kind, (unsigned long long)l->pending,
			         (unsigned long long)l->damaged, report.warning);
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

/* One commit of 300 messages as it came: its body is a chain of pages. Returns the database's bytes. */
static unsigned char *make_chain(struct spooldir *d, size_t *ret_count)
{
	struct store_options o;
	struct store *s = NULL;
	struct error e;

	spooldir_make(d);
	o = spooldir_options(d);
	o.page_size = 4096;
	o.compress = STORE_COMPRESS_NEVER;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = 1; id <= 300; id++) {
		struct message *m = spooldir_message(id, 1500);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_close(s, &e), ERR_OK);
	return spooldir_load(d->path, ret_count);
}

/* What a broken chain leaves of a block proves itself message by message; the rest is counted. */
static void the_beginning_of_a_broken_chain_comes_back(void **state)
{
	static const unsigned char ends[][4] = {{0}, {0x7f, 0xff, 0xff, 0xff}, {0, 0, 0, 1}};

	(void)state;
	for (size_t round = 0; round < 3 * (sizeof ends / sizeof *ends); round++) {
		const struct store_ledger *l;
		struct store_report report;
		struct spooldir d;
		struct store_options o;
		struct store *s = NULL;
		struct error e;
		char text[2000];
		size_t count, last;
		unsigned char *bytes = make_chain(&d, &count);
		const size_t place = round % 3; /* near the chain's beginning, in its middle, its last page */
		struct buf out;
		uint64_t problems;

		last = count / 4096 - 1;
		memcpy(bytes + (place == 0 ? last - 90 : place == 1 ? last - 40 : last - 1) * 4096, ends[round / 3], 4);
		spooldir_store(d.path, bytes, count);
		free(bytes);
		o = spooldir_options(&d);
		buf_init(&out, sizeof text);
		assert_int_equal(store_check(d.path, &out, &problems, &e), ERR_OK);
		assert_true(problems > 0);
		buf_fini(&out);
		assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
		l = store_ledger(s);
		if (l->accepted != 300 || l->pending + l->damaged != 300 ||
		    l->pending < (place == 0   ? 20
		                  : place == 1 ? 150
		                               : 290))
			fail_msg("place %zu: %llu came back, %llu damaged", place, (unsigned long long)l->pending,
			         (unsigned long long)l->damaged);
		assert_int_equal(store_close(s, &e), ERR_OK);
		spooldir_remove(&d);
	}
}

/* Pages that are free hold what was delivered: it does not come back. */
static void what_was_delivered_does_not_come_back(void **state)
{
	struct store_report report;
	struct store_options o;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;
	size_t count;
	unsigned char *bytes;

	(void)state;
	spooldir_make(&d);
	life_make_halves(&d, ROWS, false);
	o = spooldir_options(&d);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	for (uint64_t id = 1; id <= ROWS - 100; id += 5) {
		struct store_settlement items[5];

		for (uint64_t i = 0; i < 5; i++)
			items[i] = (struct store_settlement){.id = id + i, .kind = SETTLE_DELIVERED};
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_settle(s, items, 5, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	assert_int_equal(store_close(s, &e), ERR_OK);
	bytes = spooldir_load(d.path, &count);
	memset(bytes, 0xa5, 4096);
	spooldir_store(d.path, bytes, count);
	free(bytes);
	assert_int_equal(store_open(&o, &s, &report, &e), ERR_OK);
	assert_int_equal(report.salvaged_rows, 100);
	assert_int_equal(store_ledger(s)->delivered, ROWS - 100);
	assert_int_equal(store_ledger(s)->pending, 100);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_start_finds_a_file_that_was_set_aside),
	    cmocka_unit_test(a_forgotten_file_beside_a_spool_with_the_same_ids),
	    cmocka_unit_test(rows_are_found_without_roots),
	    cmocka_unit_test(the_beginning_of_a_broken_chain_comes_back),
	    cmocka_unit_test(what_was_delivered_does_not_come_back),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
