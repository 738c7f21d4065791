/*
 * All of the shelf is put back by steps: each is durable, on a disk with little room as much is as has some, and who
 * asked is told how many were and how many stay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

static uint64_t all_kib; /* of the disk; 0: there is plenty */
static struct spooldir d;
static struct store *s;
static struct error e;

static uint64_t used_kib(void)
{
	DIR *dir = opendir(d.dir);
	struct dirent *entry;
	uint64_t used = 0;
	struct stat st;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			used += (uint64_t)st.st_blocks / 2;
	(void)closedir(dir);
	return used;
}

/* In the place of the C library's. */
int fstatvfs(int fd, struct statvfs *ret)
{
	const uint64_t all = all_kib > 0 ? all_kib : UINT64_C(1) << 30, used = all_kib > 0 ? used_kib() : 0;

	(void)fd;
	memset(ret, 0, sizeof *ret);
	ret->f_bsize = ret->f_frsize = 1024;
	ret->f_blocks = all;
	ret->f_bfree = ret->f_bavail = all > used ? all - used : 0;
	return 0;
}

static void fill_shelf(uint64_t rows, uint32_t bytes)
{
	all_kib = 0;
	s = life_begin(&d);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t i = 1; i <= rows; i++) {
		struct message *m = spooldir_message(i, bytes);

		assert_int_equal(store_append_dead(s, m, "why", &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void reopen(void)
{
	life_close(s);
	s = life_open(&d, NULL);
}

/* Those that were put back are the first of the shelf, in their order, each once. */
static void expect(uint64_t rows, uint32_t bytes, uint64_t moved)
{
	const struct store_ledger *l = store_ledger(s);
	uint64_t last = 0, n = 0;

	assert_int_equal(l->accepted, rows);
	assert_int_equal(l->pending, moved);
	assert_int_equal(l->dead, rows - moved);
	life_adds_up(s);
	life_agrees(s);
	while (n < moved) {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		const struct message *m;
		uint32_t count;

		assert_int_equal(store_read(s, last, 128, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
		assert_true(count > 0);
		STAILQ_FOREACH (m, &list, link) {
			struct message *was = spooldir_message(++n, bytes);

			assert_int_equal(m->body_bytes, bytes);
			assert_memory_equal(message_body(m), message_body(was), bytes);
			message_free(was);
		}
		message_list_free(&list);
	}
	assert_int_equal(n, moved);
}

/* More than a step, of which one is not what was written: it stays, and is counted once. */
static void all_is_put_back_by_steps(void **state)
{
	enum { ROWS = 600, BYTES = 10, LIES = 300 };
	uint64_t count, damaged;

	(void)state;
	fill_shelf(ROWS, BYTES);
	life_sql(s, "UPDATE dead SET body = x'00' WHERE id = 300");
	assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
	assert_int_equal(count, ROWS - 1);
	assert_int_equal(damaged, 1);
	assert_int_equal(store_ledger(s)->pending, ROWS - 1);
	assert_int_equal(store_ledger(s)->accepted, ROWS);
	assert_int_equal(store_ledger(s)->dead, 1);
	assert_int_equal(life_number(s, "SELECT id FROM dead"), LIES);
	/* ids that follow each other are one note, and one span */
	assert_int_equal(life_number(s, "SELECT count(*) FROM imports"), 1);
	assert_int_equal(life_number(s, "SELECT count(*) FROM imports WHERE messages = 599 AND first_id = 601"), 1);
	assert_int_equal(s->rows.imports, 1);
	assert_true(s->rows.imports_sum == (uint64_t)life_number(s, "SELECT checksum FROM imports"));
	assert_memory_equal(&s->rows.back, &((struct put_backs){{{601, 1199, 599}}}), sizeof s->rows.back);
	assert_int_equal(life_number(s, "SELECT count(*) >= 3 FROM blocks"), 1);
	assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
	assert_int_equal(count, 0);
	assert_int_equal(damaged, 1);
	store_abandon(s);
	spooldir_remove(&d);
}

/* By steps of a megabyte; whichever call fails, what was done stands, and is told. */
static void what_was_done_stands(void **state)
{
	enum { ROWS = 5, BYTES = 600000 }; /* two a step */
	bool failed = true, in_part = false;

	(void)state;
	for (uint64_t n = 1; failed; n += 1) {
		uint64_t count, damaged;
		char text[80];
		enum err err;

		fill_shelf(ROWS, BYTES);
		faultsql_arm(n, SQLITE_NOMEM, false);
		err = store_dead_retry(s, 0, &count, &damaged, &e);
		failed = faultsql_failed();
		ERRORWATCH_EXPECT(err, &e, NULL, "put all back", n);
		faultsql_arm(0, 0, false);
		assert_int_equal(err, failed ? ERR_MEMORY : ERR_OK);
		assert_true(failed ? count == 0 || count == 2 || count == 4 : count == ROWS);
		in_part |= failed && count > 0;
		(void)snprintf(text, sizeof text, "%d messages were put back and %d stay on the shelf: ", (int)count,
		               (int)(ROWS - count));
		assert_true(!failed || strncmp(e.text, text, strlen(text)) == 0);
		assert_false(store_in_group(s));
		for (int life = 0; life < 2; life++) {
			expect(ROWS, BYTES, count);
			if (life == 0)
				reopen();
		}
		assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
		expect(ROWS, BYTES, ROWS);
		life_end(&d, s);
	}
	assert_true(in_part);
}

/* A disk that has room for few of them at once; for all, one after the other. */
static void little_room_is_enough(void **state)
{
	enum { ROWS = 400, BYTES = 3000 };
	uint64_t count, damaged;

	(void)state;
	fill_shelf(ROWS, BYTES);
	reopen();
	all_kib = used_kib() + 500;
	s->free_checked_ms = 0;
	assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
	assert_int_equal(count, ROWS);
	assert_true(used_kib() <= all_kib);
	expect(ROWS, BYTES, ROWS);
	all_kib = 0;
	life_end(&d, s);
}

/* What fits is put back, and what does not is said, with the reason. */
static void what_has_room_is_put_back(void **state)
{
	enum { ROWS = 400, BYTES = 3000, FIT = 100 };
	struct store_options o;
	uint64_t count, damaged;
	char text[80];

	(void)state;
	fill_shelf(ROWS, BYTES);
	o = spooldir_options(&d);
	o.max_bytes = (BYTES + 100) * FIT;
	store_reconfigure(s, &o);
	assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_FULL);
	assert_in_range(count, FIT / 2, FIT + 5);
	(void)snprintf(text, sizeof text, "%d messages were put back and %d stay on the shelf: the spool holds ",
	               (int)count, (int)(ROWS - count));
	assert_memory_equal(e.text, text, strlen(text));
	expect(ROWS, BYTES, count);
	o.max_bytes = 0;
	store_reconfigure(s, &o);
	assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
	expect(ROWS, BYTES, ROWS);
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_is_put_back_by_steps),
	    cmocka_unit_test(what_was_done_stands),
	    cmocka_unit_test(little_room_is_enough),
	    cmocka_unit_test(what_has_room_is_put_back),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
