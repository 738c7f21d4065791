/* PATH.flight cannot be written any more: the next start does not believe what it says, whatever stands in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/flight.h"
#include "rig/spooldir.h"

static bool is_there(const struct spooldir *d, const char *suffix)
{
	return access(spooldir_file(d, suffix), F_OK) == 0;
}

/* Its descriptor takes no writes from now on, or takes them again. */
static void set_writable(struct flight *f, const struct spooldir *d, bool is_writable)
{
	const char *suffix = is_there(d, ".flight") ? ".flight" : ".flight.unsure";
	const int fd = open(spooldir_file(d, suffix), is_writable ? O_RDWR : O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(dup2(fd, f->fd), f->fd);
	(void)close(fd);
}

static void what_cannot_be_written_is_not_believed(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		const bool in_the_way = i & 1, is_written_again = i & 2;
		struct spooldir d;
		struct flight f = {.fd = -1};
		struct flight_start start = {.pending = 700, .handed = 50, .state = 1};

		if (in_the_way && is_written_again)
			continue; /* it has no name any more */
		spooldir_make(&d);
		start.path = d.path;
		assert_int_equal(flight_open(&f, &start), 0);
		flight_send(&f, 20);
		if (in_the_way)
			assert_int_equal(mkdir(spooldir_file(&d, ".flight.unsure"), 0700), 0);
		set_writable(&f, &d, false);
		flight_send(&f, 5);
		assert_int_equal(atomic_load(&f.trouble), EBADF);
		assert_true(atomic_load(&f.is_unsure));
		assert_false(atomic_load(&f.is_stale)); /* it is gone, one way or the other */
		assert_false(is_there(&d, ".flight"));
		assert_true(is_there(&d, ".flight.unsure"));
		flight_send(&f, 5); /* once is enough */
		assert_true(is_there(&d, ".flight.unsure"));
		if (is_written_again)
			set_writable(&f, &d, true);
		flight_close(&f);
		assert_int_equal(is_there(&d, ".flight"), is_written_again);
		assert_int_equal(is_there(&d, ".flight.unsure"), !is_written_again);
		start.unclean = true;
		assert_int_equal(flight_open(&f, &start), is_written_again ? 30 : 700);
		assert_int_equal(atomic_load(&f.trouble), 0);
		flight_close(&f);
		spooldir_remove(&d);
	}
}

/* A start that cannot write it, nor the database, is killed too: what the run before it had in flight is not forgotten,
 * however often that happens.
 */
static void what_it_said_before_is_kept(void **state)
{
	struct spooldir d;
	struct flight f = {.fd = -1};
	struct flight_start start = {.pending = 700, .handed = 700, .state = 1};
	struct rlimit none, old;

	(void)state;
	spooldir_make(&d);
	start.path = d.path;
	assert_int_equal(flight_open(&f, &start), 0);
	flight_send(&f, 30);
	flight_end(&f, 10, 0, 10);
	flight_close(&f);
	start.unclean = true;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
	(void)signal(SIGXFSZ, SIG_IGN);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
		assert_int_equal(flight_open(&f, &start), i == 0 ? 20 : 700);
		assert_int_equal(atomic_load(&f.trouble), EFBIG);
		assert_int_equal(atomic_load(&f.possible), i == 0 ? 30 : 730);
		assert_false(is_there(&d, ".flight"));
		assert_true(is_there(&d, ".flight.unsure"));
		flight_close(&f);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	}
	assert_int_equal(flight_open(&f, &start), 700);
	assert_int_equal(atomic_load(&f.possible), 730);
	assert_true(is_there(&d, ".flight"));
	assert_false(is_there(&d, ".flight.unsure"));
	flight_send(&f, 5); /* and it is believed again */
	flight_close(&f);
	start.possible = 730;
	assert_int_equal(flight_open(&f, &start), 5);
	flight_close(&f);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_cannot_be_written_is_not_believed),
	    cmocka_unit_test(what_it_said_before_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
