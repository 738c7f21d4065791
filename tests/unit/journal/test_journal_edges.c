/* The store where promises meet: eviction inside a group, counts behind their rows, a start on a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sqlite3.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "rig/crashvfs.h"
#include "rig/journalrig.h"

#define ok(call)                                                                      \
	do {                                                                          \
		struct error e_ = {0};                                                \
		struct error *e = &e_;                                                \
		if ((call) != ERR_OK)                                                 \
			fail_msg("%s:%d %s: %s", __FILE__, __LINE__, #call, e_.text); \
	} while (0)

static struct store *open_it(const struct store_options *options, struct store_report *report)
{
	struct store *s = NULL;

	ok(store_open(options, &s, report, e));
	return s;
}

static struct store_ledger ledger_of(struct store *s)
{
	const struct store_ledger l = *store_ledger(s);
	uint64_t sum = 0;

#define LEDGER_STATE(id, column, meaning) sum += l.column;
#include "base/ledger.def"
	assert_int_equal(l.accepted, sum);
	return l;
}

static void append(struct store *s, uint32_t count, uint32_t bytes)
{
	ok(store_begin(s, e));
	for (uint32_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(i, bytes);

		ok(store_append(s, m, e));
		message_free(m);
	}
	ok(store_commit(s, e));
}

static void settle_all(struct store *s, uint64_t first, uint64_t last, enum settle_kind kind)
{
	ok(store_begin(s, e));
	for (uint64_t id = first; id <= last; id++)
		ok(store_settle(s, &(struct store_settlement){.id = id, .kind = kind, .code = "x"}, 1, e));
	ok(store_commit(s, e));
}

static bool all_but_7(void *arg, uint64_t id)
{
	(void)arg;
	return id != 7;
}

/* Only row 7 may go, which is not room enough: the group is refused and row 7 stays. */
static void a_refused_group_evicts_nobody(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m = message_new(NULL, 0, "0123456789012345678901234567890123456789", 40, 1);
	struct store_options o;
	struct spooldir d;
	struct error error;
	struct store *s;
	struct store_report counted;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	append(s, 10, 10);
	o.max_bytes = store_pending_bytes(s);
	o.evict_oldest = true;
	store_reconfigure(s, &o);
	store_set_claims(s, all_but_7, NULL);
	STAILQ_INSERT_TAIL(&list, m, link);
	ok(store_begin(s, e));
	assert_int_equal(store_admit(s, &list, 0, &error), ERR_FULL);
	assert_true(store_in_group(s));
	ok(store_commit(s, e));
	assert_int_equal(ledger_of(s).evicted, 0);
	assert_int_equal(ledger_of(s).pending, 10);
	assert_int_equal(store_pending_bytes(s), o.max_bytes);
	ok(store_recount(s, &counted, e));
	assert_int_equal(counted.missing_rows, 0);
	message_list_free(&list);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* What a group brought is not evicted by the same group: its yes is not yet said, and delivery gets it from memory. */
static void a_group_does_not_evict_its_own(void **state)
{
	struct message *m = message_new(NULL, 0, "0123456789", 10, 1);
	struct store_options o;
	struct spooldir d;
	struct error error;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.max_bytes = 100;
	o.evict_oldest = true;
	s = open_it(&o, NULL);
	ok(store_begin(s, e));
	for (int i = 0; i < 10; i++)
		ok(store_append(s, m, e));
	assert_int_equal(store_append(s, m, &error), ERR_FULL);
	ok(store_commit(s, e));
	assert_int_equal(ledger_of(s).evicted, 0);
	ok(store_begin(s, e));
	ok(store_append(s, m, e));
	ok(store_commit(s, e));
	assert_int_equal(ledger_of(s).evicted, 1);
	message_free(m);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* Writes a ledger row that is sound but counts fewer rows than there are. */
static void count_too_few(const struct spooldir *d, int64_t accepted, int64_t pending, int64_t dead)
{
	const int64_t n[11] = {1000, accepted, 0, pending, dead, 0, 0, 0, 0, 0, 0};
	unsigned char bytes[sizeof n];
	char *sql;
	sqlite3 *db;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)((uint64_t)n[i / 8] >> (i % 8 * 8));
	sql = sqlite3_mprintf("UPDATE ledger SET next_id=1000, accepted=%lld, delivered=0, pending=%lld, dead=%lld,"
	                      " expired=0, evicted=0, damaged=0, filtered=0, purged=0, pending_bytes=0, clock_ms=0,"
	                      " clock_boot=0, clock_offset=0, possible=0, handed=0, spool_high=0, spool_low=0,"
	                      " commits=0, epoch=0, base=0, told=0, blocks_from=0, rows_from=0, checksum=%d",
	                      accepted, pending, dead, (int)crc32c(0, bytes, sizeof bytes));
	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_changes(db), 1);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	sqlite3_free(sql);
	assert_int_equal(unlink(spooldir_file(d, ".tide")), 0); /* it knows better */
}

static void no_count_goes_below_nothing(void **state)
{
	struct store_options o;
	struct spooldir d;
	struct store *s;
	uint64_t count;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	append(s, 10, 10);
	settle_all(s, 1, 4, SETTLE_DEAD);
	ok(store_close(s, e));
	count_too_few(&d, 3, 2, 1);
	assert_int_equal(truncate(d.path, 70 << 20), 0); /* too large to be counted at its start */
	s = open_it(&o, NULL);
	ok(store_dead_purge(s, 1, &count, e));
	ok(store_dead_purge(s, 2, &count, e));
	ok(store_dead_retry(s, 3, &count, &(uint64_t){0}, e)); /* id 1000 */
	assert_int_equal(ledger_of(s).dead, 0);
	settle_all(s, 5, 10, SETTLE_DELIVERED);
	settle_all(s, 1000, 1000, SETTLE_DELIVERED);
	assert_int_equal(ledger_of(s).delivered, 7);
	assert_int_equal(ledger_of(s).pending, 0);
	assert_int_equal(ledger_of(s).purged, 2);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* Nothing of the old file can be read; the run that knew its counts keeps them, and its ids. */
static void counts_of_this_run_outlive_its_file(void **state)
{
	static unsigned char junk[1 << 20];
	struct store_options o;
	struct store_report report;
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	append(s, 20, 10);
	settle_all(s, 1, 5, SETTLE_DELIVERED);
	settle_all(s, 6, 7, SETTLE_DEAD);
	memset(junk, 0x55, sizeof junk);
	spooldir_store(d.path, junk, sizeof junk);
	spooldir_store(spooldir_file(&d, "-wal"), junk, sizeof junk);
	ok(store_restart_damaged(s, &report, e));
	assert_int_equal(ledger_of(s).accepted, 20);
	assert_int_equal(ledger_of(s).delivered, 5);
	assert_int_equal(ledger_of(s).damaged, 15);
	append(s, 1, 10);
	assert_int_equal(store_next_id(s), 22);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* Promise 5: what waits can still be drained by a process that starts on a full disk. */
static void a_full_disk_does_not_refuse_a_start(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct store_options o;
	struct store_report report;
	struct spooldir d;
	struct store *s;
	uint32_t count;
	uint64_t last;

	(void)state;
	for (int unclean = 0; unclean < 2; unclean++) {
		spooldir_make(&d);
		o = spooldir_options(&d);
		o.vfs = CRASHVFS_NAME;
		s = open_it(&o, NULL);
		append(s, 20, 10);
		settle_all(s, 1, 2, SETTLE_RETRY);
		if (unclean)
			store_abandon(s);
		else
			ok(store_close(s, e));
		crashvfs_fail(1, FAULT_ENOSPC, true);
		s = open_it(&o, &report);
		assert_false(report.quarantined);
		assert_int_equal(report.unclean, unclean);
		ok(store_read(s, 0, 100, 1 << 20, &list, &count, &last, e));
		assert_int_equal(count, 18);
		message_list_free(&list);
		ok(store_close(s, e));
		crashvfs_fail(0, FAULT_ENOSPC, false);
		spooldir_remove(&d);
	}
}

static bool nothing_is_claimed(void *arg, uint64_t id)
{
	(void)arg;
	(void)id;
	return false;
}

/* A read of due rows that fails half-way hands out nothing, so all of them stay due. */
static void failed_reads_leave_rows_due(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct store_options o;
	struct spooldir d;
	struct error error;
	struct store *s;
	uint32_t count;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	s = open_it(&o, NULL);
	append(s, 4, 10);
	settle_all(s, 1, 4, SETTLE_RETRY);
	ok(store_close(s, e));
	spooldir_damage(d.path, 3); /* it must be set aside, which fails */
	o.vfs = CRASHVFS_NAME;
	s = open_it(&o, NULL);
	crashvfs_fail(1, FAULT_EIO, true);
	assert_int_equal(
	    store_read_due(s, clock_wall_ms(), 10, 1 << 20, nothing_is_claimed, NULL, &list, &count, &error), ERR_DISK);
	message_list_free(&list);
	crashvfs_fail(0, FAULT_EIO, false);
	assert_int_equal(store_trust(s, &error), ERR_DISK);
	ok(store_read_due(s, clock_wall_ms(), 10, 1 << 20, nothing_is_claimed, NULL, &list, &count, e));
	assert_int_equal(count, 3);
	message_list_free(&list);
	store_abandon(s);
	spooldir_remove(&d);
}

static void exit_as_the_daemon_would(const struct error *reason) { _exit(error_exit_status(reason->code)); }

/* The operator's own command meets the disk error: its caller is told, and the run must end all the same. */
static void purge_on_a_broken_disk(struct store *s)
{
	struct error e;
	uint64_t count;

	crashvfs_fail(1, FAULT_EIO, false);
	must(store_dead_purge(s, 0, &count, &e) == ERR_DISK);
}

static void a_disk_error_in_a_question_ends_the_process(void **state)
{
	struct spooldir d;
	int status;
	pid_t pid;

	(void)state;
	spooldir_make(&d);
	pid = fork();
	if (pid == 0) {
		struct journal_options o = {.store = spooldir_options(&d)};
		struct answers a = {0};
		struct journal *j = NULL;
		struct offer *offer;
		struct error e;

		o.store.vfs = CRASHVFS_NAME;
		must(journal_start(&o, exit_as_the_daemon_would, &j, NULL, &e) == ERR_OK);
		offer = rig_offer(1, 1, 10, &a);
		STAILQ_INSERT_TAIL(&offer->set_aside, spooldir_message(2, 10), link);
		offer->set_aside_count = 1;
		rig_offer_and_wait(j, offer);
		rig_on_journal_thread(j, purge_on_a_broken_disk);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 74);
	spooldir_remove(&d);
}

static void the_reserve_is_made_when_space_comes(void **state)
{
	struct store_options o;
	struct spooldir d;
	struct error error;
	struct store *s;
	struct stat st;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.reserve_bytes = 1 << 20;
	o.min_free_bytes = UINT64_MAX / 2; /* never so much: the start finds no room for it */
	s = open_it(&o, NULL);
	assert_int_equal(store_admission(s, &error), ERR_FULL);
	o.min_free_bytes = 0;
	store_reconfigure(s, &o);
	assert_int_equal(store_admission(s, &error), ERR_OK);
	assert_int_equal(stat(spooldir_file(&d, ".reserve"), &st), 0);
	assert_true(st.st_blocks * 512 >= 1 << 20);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_refused_group_evicts_nobody),
	    cmocka_unit_test(a_group_does_not_evict_its_own),
	    cmocka_unit_test(no_count_goes_below_nothing),
	    cmocka_unit_test(counts_of_this_run_outlive_its_file),
	    cmocka_unit_test(a_full_disk_does_not_refuse_a_start),
	    cmocka_unit_test(failed_reads_leave_rows_due),
	    cmocka_unit_test(a_disk_error_in_a_question_ends_the_process),
	    cmocka_unit_test(the_reserve_is_made_when_space_comes),
	};

	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
