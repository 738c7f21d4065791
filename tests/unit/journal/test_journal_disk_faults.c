/*
 * The journal's thread while each statement fails in turn, each in a process of its own: a disk that does not answer
 * ends it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "rig/faultsql.h"
#include "rig/one_journal.h"
#include "rig/sanitizer.h"

enum { EACH = IS_SANITIZED ? 17 : 1 }; /* a process for each statement costs ten times as much there */

/* A life with everything in it. Settings and keys are the caller's. */
static void live(void)
{
	struct offer *one = rig_offer(1, 30, 200, &a);
	struct message *m = STAILQ_FIRST(&one->messages);
	struct origin *below = origin_new(0);
	uint64_t first;

	message_set_origin(m, origin_with_key(below, "cache", INT64_MAX, "key", 3));
	origin_unref(below);
	m = spooldir_message(99, 10);
	STAILQ_INSERT_TAIL(&one->set_aside, m, link);
	one->set_aside_count = 1;
	one->filtered = 1;
	one->position_key = mem_string("file");
	one->position = mem_string("12");
	must(journal_offer(j, one));
	steps_run();
	(void)journal_intake_run(j);
	must(a.last == OFFER_ACCEPTED);
	first = a.first_id;
	credit(100, 1 << 20);
	must(take(ids) == 30);
	settle(first, 2, SETTLE_RETRY, 30);
	settle(first + 2, 1, SETTLE_DEAD, 0);
	settle(first + 3, 20, SETTLE_DELIVERED, 0);
	steps_advance(200);
	must(take(ids) == 2);
	settle(first, 2, SETTLE_DELIVERED, 0);
	settle(first + 23, 7, SETTLE_DELIVERED, 0);
	for (uint64_t n = 0; n < 20; n++)
		offer(n, 5, 0);
	must(take(ids) > 0);
	steps_run();
	steps.now_ns += 21 * NS_PER_S; /* the machine slept: idle for so long without a look in between */
	steps_advance(1500);
	rig_stop(j);
}

/* Statements of store_state are figures for people, and the next look will tell: how old the oldest is, when the next
 * one is due (which others ask, too). */
static int how_it_lived(void)
{
	if (!faultsql_failed())
		return 3;
	if (strstr(faultsql_what(), "SELECT next_ms FROM failures"))
		return 4;
	return strstr(faultsql_what(), "received_ms FROM messages ORDER BY id LIMIT 1") ||
	               strstr(faultsql_what(), "first_ms FROM blocks ORDER BY id LIMIT 1")
	           ? 2
	           : 1;
}

/* Each statement, looked at or not: the disk does not answer, and the process ends with 74. */
static void every_disk_error_ends_the_process(void **state)
{
	int status = 0, figures = 0;
	uint64_t n = 1;

	(void)state;
	spooldir_make(&d);
	for (; WEXITSTATUS(status) != 3; n += EACH) {
		pid_t pid = fork();

		assert_true(n < 2000);
		if (pid == 0) {
			struct spooldir mine;

			(void)freopen("/dev/null", "w", stderr);
			spooldir_make(&mine);
			o.store = spooldir_options(&mine);
			j = steps_start(&o, NULL);
			steps_run();
			steps.dying = &mine;
			faultsql_arm(n, SQLITE_IOERR_READ, false);
			live();
			spooldir_remove(&mine);
			_exit(how_it_lived());
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		figures += WEXITSTATUS(status) == 4;
		if (WEXITSTATUS(status) == 1 || (WEXITSTATUS(status) != 74 && WEXITSTATUS(status) > 4) || figures > 2)
			fail_msg("statement %llu failed, and the process ended with %d", (unsigned long long)n,
			         WEXITSTATUS(status));
	}
	assert_true(n > 60);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_disk_error_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
