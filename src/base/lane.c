#include "base/lane.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

struct lane {
	pthread_mutex_t mutex;
	int fd;
	int room_fd;
	bool refused; /* a put was refused since the last take */
	size_t capacity;
	size_t first;
	size_t count;
	void *items[];
};

static void signal_fd(int fd)
{
	uint64_t one = 1;

	must(write(fd, &one, sizeof one) == (ssize_t)sizeof one);
}

static void reset_fd(int fd)
{
	uint64_t value;
	ssize_t n = read(fd, &value, sizeof value);

	(void)n; /* EAGAIN: it was not set */
}

struct lane *lane_open(size_t capacity)
{
	struct lane *lane = mem_zero(sizeof *lane + capacity * sizeof(void *));

	must(capacity > 0);
	must(pthread_mutex_init(&lane->mutex, NULL) == 0);
	lane->capacity = capacity;
	lane->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	lane->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(lane->fd >= 0 && lane->room_fd >= 0);
	return lane;
}

void lane_close(struct lane *lane)
{
	if (!lane)
		return;
	must(lane->count == 0);
	(void)close(lane->fd);
	(void)close(lane->room_fd);
	must(pthread_mutex_destroy(&lane->mutex) == 0);
	free(lane);
}

bool lane_put(struct lane *lane, void *item)
{
	bool fits;

	must(pthread_mutex_lock(&lane->mutex) == 0);
	fits = lane->count < lane->capacity;
	if (fits) {
		lane->items[(lane->first + lane->count) % lane->capacity] = item;
		if (lane->count++ == 0)
			signal_fd(lane->fd);
	} else {
		lane->refused = true;
	}
	must(pthread_mutex_unlock(&lane->mutex) == 0);
	return fits;
}

size_t lane_take(struct lane *lane, void **items, size_t max)
{
	size_t n;

	must(pthread_mutex_lock(&lane->mutex) == 0);
	n = lane->count < max ? lane->count : max;
	for (size_t i = 0; i < n; i++)
		items[i] = lane->items[(lane->first + i) % lane->capacity];
	lane->first = (lane->first + n) % lane->capacity;
	lane->count -= n;
	if (lane->count == 0)
		reset_fd(lane->fd);
	if (n > 0 && lane->refused) {
		lane->refused = false;
		signal_fd(lane->room_fd);
	}
	must(pthread_mutex_unlock(&lane->mutex) == 0);
	return n;
}

size_t lane_count(struct lane *lane)
{
	size_t n;

	must(pthread_mutex_lock(&lane->mutex) == 0);
	n = lane->count;
	must(pthread_mutex_unlock(&lane->mutex) == 0);
	return n;
}

int lane_fd(const struct lane *lane) { return lane->fd; }

int lane_room_fd(const struct lane *lane) { return lane->room_fd; }

void lane_room_ack(struct lane *lane) { reset_fd(lane->room_fd); }
