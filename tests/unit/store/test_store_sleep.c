/*
 * The machine sleeps while a spool is open and while it is not, between starts and kills, with its clock set meanwhile:
 * no retry, key or message is older for it.
 */
#include "rig/ownclock.h"

static uint64_t boots = 1;

enum stop { RUNS, ENDS, DIES, BOOTS };

static struct store *again(struct store *s, const struct spooldir *d, enum stop stop)
{
	if (stop == RUNS)
		return s;
	if (stop == ENDS)
		ok(store_close(s, e));
	else
		store_abandon(s);
	if (stop == BOOTS) {
		clock_test_boot(++boots);
		set_clocks(3000, wall_ms);
		asleep_ms = 0;
	}
	return open_it(d);
}

/* n says how the spool goes on before, while and after the machine sleeps, and whether its clock is set then. */
static void the_time_a_machine_sleeps_is_none(void **state)
{
	(void)state;
	for (int n = 0; n < 4 * 4 * 4 * 2; n++) {
		struct spooldir d;
		struct store *s;
		bool is_new;

		spooldir_make(&d);
		clock_test_boot(boots);
		asleep_ms = 70000;
		set_clocks(5000, NOW_MS);
		s = open_it(&d);
		append_now(s);
		append_now(s);
		fail_for(s, 1, 2000);
		ok(store_cache_add(s, "c", "k", 1, 60000, &is_new, e));
		s = again(s, &d, n & 3);
		let_pass(500);
		append_now(s);
		let_pass(100);
		append_now(s); /* a commit of now: what passed before another boot is known */
		let_sleep(5000000);
		s = again(s, &d, n >> 2 & 3);
		if (n >> 6)
			set_wall(wall_ms - DAY_MS);
		append_now(s);
		let_sleep(5000000);
		s = again(s, &d, n >> 4 & 3);
		assert_int_equal(waits_ms(s), 1400);
		assert_int_equal(age_ms(s, 2), 600);
		assert_int_equal(age_ms(s, 3), 100);
		assert_int_equal(last_age_ms(s), 0);
		assert_true(is_known(s));
		let_pass(400);
		assert_int_equal(waits_ms(s), 1000);
		assert_int_equal(last_age_ms(s), 400);
		ok(store_close(s, e));
		clock_test_end();
		spooldir_remove(&d);
	}
}

/* What an older kspool wrote in this boot has the sleep in it, and one in a container another uptime. */
static void own_time_does_not_go_back(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	set_clocks(100000, NOW_MS);
	s = open_it(&d);
	append_now(s);
	append_now(s);
	fail_for(s, 1, 2000);
	ok(store_close(s, e));
	set_clocks(20000, NOW_MS);
	s = open_it(&d);
	assert_int_equal(waits_ms(s), 2000);
	assert_int_equal(age_ms(s, 2), 0);
	let_pass(1500);
	assert_int_equal(waits_ms(s), 500);
	assert_int_equal(age_ms(s, 2), 1500);
	ok(store_close(s, e));
	clock_test_end();
	spooldir_remove(&d);
}

/* Each sleep is a step of the wall clock: a machine that sleeps each minute has that many in weeks. */
static void any_number_of_sleeps_is_believed(void **state)
{
	(void)state;
	for (int waits = 0; waits < 2; waits++) {
		struct store_report report;
		struct store_options o;
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		set_clocks(5000, NOW_MS);
		s = open_it(&d);
		ok(store_begin(s, e));
		for (int i = 0; i <= CLOCK_LEADS_MAX; i++) {
			s->now.next_id++;
			ok(store_leads_note_as(s, i % 2 * 5000, e));
		}
		ok(store_commit(s, e));
		if (waits)
			append_now(s);
		ok(store_close(s, e));
		o = spooldir_options(&d);
		ok(store_open(&o, &s, &report, e));
		assert_string_equal(report.warning, "");
		assert_int_equal(s->lead_count, 1);
		let_pass(700);
		if (waits)
			assert_int_equal(last_age_ms(s), 700);
		append_now(s);
		let_pass(300);
		assert_int_equal(last_age_ms(s), 300);
		ok(store_close(s, e));
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_time_a_machine_sleeps_is_none),
	    cmocka_unit_test(own_time_does_not_go_back),
	    cmocka_unit_test(any_number_of_sleeps_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
