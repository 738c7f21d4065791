/* Connections hold no more than they may: half heads, answers that nobody takes, requests that wait. */
#include <malloc.h>

#include "rig/httpd_world.h"
#include "base/mem.h"
#include "server/held.h"

enum { BUDGET = 4 << 20, MOST = HELD_OWN_BYTES + BUDGET / 8, CLIENTS = 900, REQUESTS_MAX = 1024 };

static const char hello[] = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";

static void open_crowd(struct fixture *f)
{
	struct httpd_options o = options_of(f);
	const struct rlimit files = {4096, 4096};

	(void)setrlimit(RLIMIT_NOFILE, &files);
	o.max_connections = o.max_connections_per_peer = 2048;
	o.head_timeout_ns = o.idle_timeout_ns = 3600 * NS_PER_S;
	open_httpd(f, &o);
	budget_open(BUDGET);
}

static void close_crowd(struct fixture *f, const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		close(fds[i]);
	close_httpd(f);
	assert_int_equal(held_bytes(), 0);
	budget_open(0);
}

/* So many bytes of a head that does not end. */
static void put_head(int fd, const char *method, int bytes)
{
	char line[120];
	int sent = snprintf(line, sizeof line, "%s HTTP/1.1\r\nHost: a\r\n", method);

	put(fd, line);
	for (int i = 0; sent < bytes; i++) {
		int n = snprintf(line, sizeof line, "X-%d: %0100d", i, i);

		put(fd, line);
		sent += n;
		if (sent < bytes && i % 3 == 0) {
			put(fd, "\r\n");
			sent += 2;
		}
	}
}

static int closed(struct fixture *f, const int *fds, int count)
{
	int n = 0;
	char byte;

	for (int i = 0; i < 20; i++)
		turn(f);
	for (int i = 0; i < count; i++)
		n += recv(fds[i], &byte, 1, MSG_PEEK) == 0;
	return n;
}

static void heads_that_do_not_end(void **state)
{
	static const int sizes[] = {9500, 12000, 16000};

	(void)state;
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		struct fixture f = {0};
		int fds[CLIENTS], count = 0, quick;
		size_t before;

		open_crowd(&f);
		before = mallinfo2().uordblks;
		while (count < CLIENTS) {
			fds[count] = client(&f);
			put_head(fds[count++], "POST /post", sizes[s]);
			if (count % 8 == 0)
				turn(&f);
		}
		assert_true(closed(&f, fds, count) > 0);
		assert_in_range(held_bytes(), MOST / 2, MOST);
		assert_true(mallinfo2().uordblks - before < MOST + MOST / 4);
		quick = client(&f); /* who holds little is served */
		put(quick, hello);
		assert_non_null(answer(&f, quick, "200 OK", 2000));
		close(quick);
		close_crowd(&f, fds, count);
	}
}

static char page[30000];

static void give_page(struct httpd_request *r, void *arg)
{
	(void)arg;
	httpd_answer(r, 200, "text/plain", NULL, page, sizeof page);
}

static void answers_that_nobody_takes(void **state)
{
	static const char asks[] = "GET /page HTTP/1.1\r\nHost: a\r\n\r\nGET /page HTTP/1.1\r\nHost: a\r\n\r\n";
	struct fixture f = {0};
	int fds[CLIENTS], count = 0, quick;
	const int little = 2048;
	size_t before;

	(void)state;
	open_crowd(&f);
	httpd_route(f.httpd, "GET", "/page", give_page, &f);
	memset(page, 'p', sizeof page);
	before = mallinfo2().uordblks;
	while (count < CLIENTS) {
		fds[count] = client(&f);
		(void)setsockopt(fds[count], SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
		for (int i = 0; i < 20; i++)
			put(fds[count], asks);
		if (++count % 8 == 0)
			turn(&f);
	}
	for (int i = 0; i < 50; i++)
		turn(&f);
	assert_true(held_bytes() <= MOST);
	assert_true(mallinfo2().uordblks - before < MOST + MOST / 4);
	quick = client(&f);
	put(quick, hello);
	assert_non_null(answer(&f, quick, "200 OK", 2000));
	close(quick);
	close_crowd(&f, fds, count);
}

static struct httpd_request *waiting[REQUESTS_MAX];
static int waiting_count;

static void keep(struct httpd_request *r, void *arg)
{
	(void)arg;
	assert_true(waiting_count < REQUESTS_MAX);
	waiting[waiting_count++] = r;
}

/* Told so, or hung up on. */
static int refused(const int *fds, int count)
{
	char line[13];
	int n = 0;

	for (int i = 0; i < count; i++) {
		ssize_t got = recv(fds[i], line, sizeof line, MSG_PEEK);

		n += got == 0 || (got == sizeof line && memcmp(line, "HTTP/1.1 503 ", sizeof line) == 0);
	}
	return n;
}

/* What is under way cannot be given up: no more of it is begun. */
static void requests_that_wait(void **state)
{
	struct fixture f = {0};
	int fds[CLIENTS], count = 0, quick;

	(void)state;
	waiting_count = 0;
	open_crowd(&f);
	httpd_route(f.httpd, "GET", "/keep", keep, &f);
	while (count < CLIENTS) {
		fds[count] = client(&f);
		put_head(fds[count], "GET /keep", 12000);
		put(fds[count++], "\r\n\r\n");
		if (count % 8 == 0)
			turn(&f);
	}
	(void)closed(&f, fds, count);
	assert_in_range(waiting_count, 100, CLIENTS - 100);
	assert_in_range(held_bytes(), MOST / 2, MOST + (1 << 20));
	quick = client(&f);
	put(quick, hello);
	assert_non_null(answer(&f, quick, "200 OK", 2000));
	assert_int_equal(refused(fds, count), count - waiting_count);
	for (int i = 0; i < waiting_count; i++)
		httpd_answer(waiting[i], 200, NULL, NULL, NULL, 0);
	close(quick);
	close_crowd(&f, fds, count);
}

/*
 * Addresses in a crowd hold all that may be held, in pieces smaller than what one honest client holds, which is slow
 * besides: the crowd gives way, as often as it comes again, and the client is served.
 */
static void a_crowd_gives_way_before_who_holds_less(void **state)
{
	static const int peers[] = {1, 3, 60};

	(void)state;
	for (size_t p = 0; p < sizeof peers / sizeof *peers; p++) {
		struct fixture f = {0};
		int fds[CLIENTS], count = 0, honest;
		int64_t begun_ms;

		open_crowd(&f);
		honest = client_at(&f, 200);
		put_head(honest, "GET /ping", 15000);
		begun_ms = clock_mono_ms();
		while (count < CLIENTS) {
			fds[count] = client_at(&f, 2 + (uint32_t)(count % peers[p]));
			put_head(fds[count++], "GET /ping", 11000);
			if (count % 8 == 0)
				turn(&f);
			if (count == CLIENTS / 2) /* then it is not young any more */
				while (clock_mono_ms() - begun_ms < 1200)
					turn(&f);
		}
		assert_true(closed(&f, fds, count) > 0);
		put(honest, "\r\n\r\n");
		if (!answer(&f, honest, "200 OK", 2000))
			fail_msg("%d addresses", peers[p]);
		close(honest);
		close_crowd(&f, fds, count);
	}
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(heads_that_do_not_end),
	    cmocka_unit_test(answers_that_nobody_takes),
	    cmocka_unit_test(requests_that_wait),
	    cmocka_unit_test(a_crowd_gives_way_before_who_holds_less),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
