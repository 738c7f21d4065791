/*
 * The journal's thread on bad days: a full disk, a failing disk, a file that goes bad below it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/crashvfs.h"
#include "rig/journalrig.h"
#include "store/store_internal.h"

static void fill_the_disk(struct store *s)
{
	(void)s;
	crashvfs_fail(1, FAULT_ENOSPC, true);
}

static void empty_the_disk(struct store *s)
{
	(void)s;
	crashvfs_fail(0, FAULT_ENOSPC, false);
}

static void break_the_disk(struct store *s)
{
	(void)s;
	crashvfs_fail(1, FAULT_EIO, true);
}

static void a_full_disk_refuses_offers_and_keeps_settlements(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[300];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	o.store.vfs = CRASHVFS_NAME;
	j = rig_start(&o, NULL);
	rig_offer_and_wait(j, rig_offer(1, 300, 50, &a));
	journal_credit(j, 300, 1 << 20);
	rig_take_ids(j, ids, 300);
	rig_on_journal_thread(j, fill_the_disk);
	rig_settle_ids(j, ids, 200, SETTLE_DELIVERED, 0);
	rig_offer_and_wait(j, rig_offer(301, 5, 50, &a));
	assert_int_equal(a.last, OFFER_FULL);
	rig_settle_ids(j, ids + 200, 100, SETTLE_DELIVERED, 0);
	assert_false(journal_is_empty(j));
	rig_on_journal_thread(j, empty_the_disk);
	rig_wait_empty(j);
	for (int i = 0; i < 100 && a.last != OFFER_ACCEPTED; i++) {
		rig_offer_and_wait(j, rig_offer(301, 5, 50, &a));
		(void)usleep(10000);
	}
	assert_int_equal(a.last, OFFER_ACCEPTED);
	rig_stop(j);
	spooldir_remove(&d);
}

static void exit_as_the_daemon_would(const struct error *reason) { _exit(error_exit_status(reason->code)); }

/* Child: the disk fails under an offer. It must end with 74 and must not have said yes. */
static int run_on_a_broken_disk(const struct spooldir *d)
{
	struct journal_options o = {.store = spooldir_options(d)};
	struct answers a = {0};
	struct journal *j = NULL;
	struct error e;

	o.store.vfs = CRASHVFS_NAME;
	must(journal_start(&o, exit_as_the_daemon_would, &j, NULL, &e) == ERR_OK);
	rig_offer_and_wait(j, rig_offer(1, 10, 50, &a));
	rig_on_journal_thread(j, break_the_disk);
	rig_offer_and_wait(j, rig_offer(11, 10, 50, &a));
	return a.last == OFFER_ACCEPTED ? 1 : 2;
}

static void a_disk_error_ends_the_process_without_a_yes(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct store_report report;
	int status;
	pid_t pid;

	(void)state;
	spooldir_make(&d);
	pid = fork();
	if (pid == 0)
		_exit(run_on_a_broken_disk(&d));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 74);
	o.store = spooldir_options(&d);
	rig_stop(rig_start(&o, &report));
	assert_true(report.marker);
	assert_true(report.unclean);
	assert_int_equal(report.rows, 10);
	spooldir_remove(&d);
}

/* While the journal runs, pages of its file go bad below it: it sets the file aside, salvages, and flows on. */
static void scribble(struct store *s)
{
	struct error e;

	must(store_checkpoint(s, true, &e) == ERR_OK);
}

static void damage_while_running_is_set_aside_and_salvaged(void **state)
{
	enum { ROWS = 20000, BODY = 1000 };
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint8_t *seen = mem_zero(ROWS + 1001);
	uint64_t good = 0;
	uint64_t ids[ROWS];
	unsigned char junk[65536];
	FILE *f;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	for (uint64_t n = 1; n <= ROWS; n += 500)
		rig_offer_and_wait(j, rig_offer(n, 500, BODY, &a));
	rig_on_journal_thread(j, scribble);
	memset(junk, 0xee, sizeof junk);
	f = fopen(d.path, "r+b");
	assert_non_null(f);
	assert_int_equal(fseek(f, 10 << 20, SEEK_SET), 0);
	assert_int_equal(fwrite(junk, 1, sizeof junk, f), sizeof junk);
	(void)fclose(f);
	journal_credit(j, 500, 64 << 20);
	while (!journal_is_empty(j)) {
		struct journal_rows rows;
		struct message *m;
		uint32_t n = 0;

		if (!journal_take_rows(j, &rows)) {
			struct pollfd p = {.fd = journal_delivery_fd(j), .events = POLLIN};

			(void)poll(&p, 1, 20);
			continue;
		}
		STAILQ_FOREACH (m, &rows.messages, link) {
			assert_true(spooldir_is_message(m, m->id, BODY));
			good += seen[m->id]++ == 0;
			ids[n++] = m->id;
		}
		message_list_free(&rows.messages);
		rig_settle_ids(j, ids, n, SETTLE_DELIVERED, 0);
		journal_credit(j, n, 64 << 20);
	}
	print_message("%llu of %d rows survived 64 KiB of junk\n", (unsigned long long)good, ROWS);
	assert_in_range(good, ROWS - 2 * 500, ROWS - 1); /* a block or two */
	rig_offer_and_wait(j, rig_offer(ROWS + 1, 10, BODY, &a));
	assert_int_equal(a.last, OFFER_ACCEPTED);
	assert_true(a.first_id > ROWS);
	rig_stop(j);
	free(seen);
	spooldir_remove(&d);
}

static void steal_a_row(struct store *s) { spooldir_lose_in(s->db, 150); }

static struct store_ledger noted;

static void note_ledger(struct store *s) { noted = *store_ledger(s); }

static int count_files(const struct spooldir *d, const char *part)
{
	AUTOFREE char *folder = mem_string(d->path);
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	*strrchr(folder, '/') = '\0';
	dir = opendir(folder);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += strstr(entry->d_name, part) && !strstr(entry->d_name, "-wal");
	(void)closedir(dir);
	return count;
}

static void exchange_pages(const char *path, size_t bytes, long one, long other)
{
	unsigned char a[65536], b[65536];
	FILE *f = fopen(path, "r+b");

	assert_non_null(f);
	assert_int_equal(fseek(f, one * (long)bytes, SEEK_SET), 0);
	assert_int_equal(fread(a, 1, bytes, f), bytes);
	assert_int_equal(fseek(f, other * (long)bytes, SEEK_SET), 0);
	assert_int_equal(fread(b, 1, bytes, f), bytes);
	assert_int_equal(fseek(f, other * (long)bytes, SEEK_SET), 0);
	assert_int_equal(fwrite(a, 1, bytes, f), bytes);
	assert_int_equal(fseek(f, one * (long)bytes, SEEK_SET), 0);
	assert_int_equal(fwrite(b, 1, bytes, f), bytes);
	assert_int_equal(fclose(f), 0);
}

/*
 * A row that was handed over is not where it must be: the file is set aside, and what delivery settles meanwhile is
 * settled in the new file. Nothing is sent twice but what was in no settlement; the ledger counts each row once.
 */
static void a_claimed_row_that_is_not_there_is_damage(void **state)
{
	enum { ROWS = 3000, FIRST = 300 };
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[ROWS];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	for (uint64_t n = 1; n <= ROWS; n += 500)
		rig_offer_and_wait(j, rig_offer(n, 500, 100, &a));
	journal_credit(j, FIRST, 64 << 20);
	rig_take_ids(j, ids, FIRST);
	rig_on_journal_thread(j, steal_a_row);
	rig_settle_ids(j, ids + 100, 100, SETTLE_DELIVERED, 0); /* one of them is gone */
	rig_settle_ids(j, ids, 100, SETTLE_DELIVERED, 0);
	rig_settle_ids(j, ids + 200, 100, SETTLE_DELIVERED, 0);
	rig_settle_ids(j, ids, 100, SETTLE_DELIVERED, 0); /* once more: nobody has them any more */
	journal_credit(j, ROWS - FIRST, 64 << 20);
	rig_take_ids(j, ids + FIRST, ROWS - FIRST);
	for (uint64_t i = 0; i < ROWS; i++)
		assert_int_equal(ids[i], i + 1);
	rig_settle_ids(j, ids + FIRST, ROWS - FIRST, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	rig_on_journal_thread(j, note_ledger);
	assert_int_equal(noted.accepted, ROWS);
	assert_int_equal(noted.delivered, ROWS - 1);
	assert_int_equal(noted.damaged, 1);
	rig_stop(j);
	assert_int_equal(count_files(&d, ".quarantine-") - count_files(&d, ".read"), 1);
	spooldir_remove(&d);
}

/* Two leaves exchanged while nobody looks: the next start sees it, and no row is handed over twice. */
static void exchanged_pages_are_set_aside(void **state)
{
	enum { ROWS = 2000, BODY = 1000, PAGE = 4096 };
	struct spooldir d;
	struct journal_options o = {0};
	struct store_report report;
	struct answers a = {0};
	struct journal *j;
	uint64_t ids[ROWS];
	uint8_t seen[ROWS + 1] = {0};

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	for (uint64_t n = 1; n <= ROWS; n += 500)
		rig_offer_and_wait(j, rig_offer(n, 500, BODY, &a));
	rig_stop(j);
	exchange_pages(d.path, PAGE, 100, 150);
	j = rig_start(&o, &report);
	assert_true(report.quarantined);
	journal_credit(j, ROWS, 64 << 20);
	while (!journal_is_empty(j)) {
		struct journal_rows rows;
		struct message *m;
		uint32_t n = 0;

		if (!journal_take_rows(j, &rows)) {
			(void)usleep(1000);
			continue;
		}
		STAILQ_FOREACH (m, &rows.messages, link) {
			assert_true(spooldir_is_message(m, m->id, BODY));
			assert_int_equal(seen[m->id]++, 0);
			ids[n++] = m->id;
		}
		message_list_free(&rows.messages);
		rig_settle_ids(j, ids, n, SETTLE_DELIVERED, 0);
	}
	rig_on_journal_thread(j, note_ledger);
	assert_int_equal(noted.accepted, ROWS);
	assert_int_equal(noted.delivered + noted.damaged, ROWS);
	rig_stop(j);
	spooldir_remove(&d);
}

/* The same of the shelf, in a spool too large to be looked through: no row is put back, and nobody aborts. */
static void exchanged_pages_of_the_shelf_refuse(void **state)
{
	enum { ROWS = 2000, BODY = 1000, PAGE = 4096 };
	struct spooldir d;
	struct store_options o;
	struct store *s = NULL;
	struct error e;
	uint64_t count;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.page_size = PAGE;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 1; n <= ROWS; n++) {
		struct message *m = spooldir_message(n, BODY);

		assert_int_equal(store_append_dead(s, m, "x", &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_close(s, &e), ERR_OK);
	exchange_pages(d.path, PAGE, 100, 150);
	assert_int_equal(truncate(d.path, 70 << 20), 0);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(store_dead_retry(s, 0, &count, &(uint64_t){0}, &e), ERR_DAMAGED);
	assert_int_equal(store_ledger(s)->dead, ROWS);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_full_disk_refuses_offers_and_keeps_settlements),
	    cmocka_unit_test(a_disk_error_ends_the_process_without_a_yes),
	    cmocka_unit_test(damage_while_running_is_set_aside_and_salvaged),
	    cmocka_unit_test(a_claimed_row_that_is_not_there_is_damage),
	    cmocka_unit_test(exchanged_pages_are_set_aside),
	    cmocka_unit_test(exchanged_pages_of_the_shelf_refuse),
	};

	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
