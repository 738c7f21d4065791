/* The lane keeps order, refuses when full, and wakes both sides; two threads lose nothing (run under TSan). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "base/lane.h"

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void refuses_when_full_and_tells_when_room_came(void **state)
{
	struct lane *lane = lane_open(2);
	void *out[3];
	int a, b, c;

	(void)state;
	assert_false(is_readable(lane_fd(lane)));
	assert_true(lane_put(lane, &a));
	assert_true(is_readable(lane_fd(lane)));
	assert_true(lane_put(lane, &b));
	assert_false(is_readable(lane_room_fd(lane)));
	assert_false(lane_put(lane, &c));
	assert_int_equal(lane_take(lane, out, 1), 1);
	assert_ptr_equal(out[0], &a);
	assert_true(is_readable(lane_room_fd(lane)));
	lane_room_ack(lane);
	assert_false(is_readable(lane_room_fd(lane)));
	assert_true(lane_put(lane, &c));
	assert_int_equal(lane_take(lane, out, 3), 2);
	assert_ptr_equal(out[0], &b);
	assert_ptr_equal(out[1], &c);
	assert_false(is_readable(lane_fd(lane)));
	lane_close(lane);
}

enum { MANY = 200000 };

static void *produce(void *arg)
{
	struct lane *lane = arg;

	for (uintptr_t i = 1; i <= MANY; i++)
		while (!lane_put(lane, (void *)i)) {
			struct pollfd p = {.fd = lane_room_fd(lane), .events = POLLIN};

			(void)poll(&p, 1, 1000);
			lane_room_ack(lane);
		}
	return NULL;
}

static void two_threads_lose_nothing(void **state)
{
	struct lane *lane = lane_open(64);
	uintptr_t expected = 1;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, produce, lane), 0);
	while (expected <= MANY) {
		struct pollfd p = {.fd = lane_fd(lane), .events = POLLIN};
		void *items[16];
		size_t n;

		assert_true(poll(&p, 1, 10000) == 1);
		n = lane_take(lane, items, 16);
		for (size_t i = 0; i < n; i++)
			assert_int_equal((uintptr_t)items[i], expected++);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	lane_close(lane);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses_when_full_and_tells_when_room_came),
	    cmocka_unit_test(two_threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
