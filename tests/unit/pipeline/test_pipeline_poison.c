/*
 * Who is condemned for the deaths of a process: a message that was worked on alone when it died, more than once, and
 * nobody who only was near. A run is a process of its own here, and dies as it is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/poison.h"
#include "rig/sanitizer.h"

enum { GUILTY = 77, INNOCENT = 11, RUNS_MAX = 12 };
enum end { IN_ORDER, KILLED, CRASHED };

static char spool[64];

static void begin(void)
{
	(void)snprintf(spool, sizeof spool, "/tmp/kspool-poison-XXXXXX");
	assert_non_null(mkdtemp(spool));
}

static void finish(void)
{
	char path[80];

	(void)snprintf(path, sizeof path, "%s.poison", spool);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(spool), 0);
}

static void die(enum end how)
{
	if (how == KILLED)
		(void)raise(SIGKILL);
	if (how == CRASHED)
		(void)raise(SIGSEGV);
	poison_close();
	_exit(0);
}

/* What a run meets, and how it ends. */
struct run {
	uint64_t alone; /* what it works on when it must be careful; 0: nothing comes */
	bool dies_inside;
	enum end how;
};

static void live(enum poison_place place, const struct run *run)
{
	struct error e;
	const uint64_t from = place == POISON_INTAKE ? 0 : 5, to = place == POISON_INTAKE ? UINT64_MAX : 100;
	bool is_careful;

	if (poison_open(spool, &e) != ERR_OK)
		_exit(3);
	poison_enter(place);
	is_careful = place == POISON_INTAKE ? poison_is_careful(place) : poison_suspects(place, from, to);
	if (is_careful && run->alone && poison_condemns(place, run->alone))
		_exit(2);
	if (!is_careful)
		poison_begin(place, from, to);
	else if (run->alone)
		poison_begin(place, run->alone, run->alone);
	if (run->dies_inside)
		die(run->how);
	if (!is_careful || run->alone)
		poison_end(place);
	die(run->how);
}

/* 2: what it met was condemned. */
static int lives(enum poison_place place, struct run run)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		live(place, &run);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		fail_msg("it did not open");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const enum poison_place places[] = {POISON_INTAKE, POISON_DELIVERY};

static void kills_beside_it_condemn_nobody(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin();
		for (int n = 0; n < RUNS_MAX; n++)
			assert_int_not_equal(lives(places[i], (struct run){INNOCENT, false, KILLED}), 2);
		assert_int_not_equal(lives(places[i], (struct run){INNOCENT, false, IN_ORDER}), 2);
		finish();
	}
}

static void kills_within_many_condemn_nobody(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin();
		for (uint64_t n = 0; n < RUNS_MAX; n++)
			assert_int_not_equal(lives(places[i], (struct run){INNOCENT + n, true, KILLED}), 2);
		finish();
	}
}

/* The last one hits within it, for the first time. */
static void kills_on_all_do_not_count_for_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin();
		for (int n = 0; n < RUNS_MAX; n++)
			(void)lives(places[i], (struct run){0, true, KILLED});
		assert_int_equal(lives(places[i], (struct run){INNOCENT, true, KILLED}), -1);
		assert_int_equal(lives(places[i], (struct run){INNOCENT, true, KILLED}), -1);
		assert_int_not_equal(lives(places[i], (struct run){INNOCENT, false, IN_ORDER}), 2);
		finish();
	}
}

static void who_is_at_it_alone_each_time_is_condemned(void **state)
{
	static const enum end ends[] = {KILLED, CRASHED};
	static const int most[] = {6, 3};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < (IS_SANITIZED ? 1 : 2); k++) {
			int n = 0;

			begin();
			while (lives(places[i], (struct run){GUILTY, true, ends[k]}) != 2)
				assert_true(++n < most[k]);
			assert_true(n >= 2);
			assert_int_not_equal(lives(places[i], (struct run){INNOCENT, false, IN_ORDER}), 2);
			finish();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(kills_beside_it_condemn_nobody),
	                                   cmocka_unit_test(kills_within_many_condemn_nobody),
	                                   cmocka_unit_test(kills_on_all_do_not_count_for_one),
	                                   cmocka_unit_test(who_is_at_it_alone_each_time_is_condemned)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
