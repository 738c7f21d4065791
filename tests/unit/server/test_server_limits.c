/* The HTTP server keeps itself open: connections, rates, guesses. */
#include "rig/httpd_world.h"

static void connections_are_limited(void **state)
{
	struct fixture f = {.answers_later = true};
	struct httpd_options o = options_of(&f);
	int fds[4];
	char byte;

	(void)state;
	o.max_connections_per_peer = 3;
	open_httpd(&f, &o);
	for (int i = 0; i < 4; i++) {
		fds[i] = client(&f);
		put(fds[i], GET_PING);
		for (int n = 0; n < 5; n++)
			turn(&f);
	}
	assert_int_equal(f.waiting_count, 3);
	assert_non_null(answer(&f, fds[3], "HTTP/1.1 503 ", 2000)); /* nobody gives way: it is told so */
	assert_int_equal(recv(fds[0], &byte, 1, 0), -1);
	for (int i = 0; i < 3; i++)
		httpd_answer(f.waiting[i], 200, NULL, NULL, NULL, 0);
	f.answers_later = false;
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	for (int n = 0; n < 10; n++)
		turn(&f);
	fds[0] = client(&f);
	put(fds[0], GET_PING);
	assert_non_null(answer(&f, fds[0], "200 OK", 2000));
	close(fds[0]);
	close_httpd(&f);
}

/* By the peer, or by all places: the oldest that nothing is lost with gives way; one under way never does. */
static void a_new_connection_takes_the_place_of_an_idle_one(void **state)
{
	static const struct {
		uint32_t per_peer, max;
	} limits[] = {{2, 64}, {64, 2}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture f = {.answers_later = true};
		struct httpd_options o = options_of(&f);
		int busy, idle, fresh;
		char byte;

		o.max_connections_per_peer = limits[i].per_peer;
		o.max_connections = limits[i].max;
		open_httpd(&f, &o);
		busy = client(&f);
		put(busy, GET_PING);
		while (f.waiting_count < 1)
			turn(&f);
		idle = client(&f);
		put(idle, "GET /pi"); /* begun, and no more */
		for (int n = 0; n < 5; n++)
			turn(&f);
		fresh = client(&f);
		put(fresh, GET_PING);
		while (f.waiting_count < 2)
			turn(&f);
		assert_int_equal(recv(idle, &byte, 1, 0), 0);
		httpd_answer(f.waiting[0], 200, NULL, NULL, "one", 3);
		httpd_answer(f.waiting[1], 200, NULL, NULL, "two", 3);
		assert_non_null(answer(&f, busy, "one", 2000));
		assert_non_null(answer(&f, fresh, "two", 2000));
		close(busy);
		close(idle);
		close(fresh);
		close_httpd(&f);
	}
}

/* What holds a place of a server that is full: nothing, half a head, half a body, answers that nobody takes. */
static const char *const holds[] = {
    "",
    "GET /pi",
    "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
    "pages",
};

static char page[200000];

static void give_page(struct httpd_request *r, void *arg)
{
	(void)arg;
	httpd_answer(r, 200, "text/plain", NULL, page, sizeof page);
}

/* Two addresses, or eight, hold all places: who comes from another one gets in, and they lose no more than that. */
static void a_crowd_keeps_no_other_address_out(void **state)
{
	enum { PLACES = 16, FIRST = 2, OTHER = 200 };
	const int little = 2048;

	(void)state;
	for (size_t kind = 0; kind < sizeof holds / sizeof *holds; kind++)
		for (int addresses = 2; addresses <= 8; addresses += 6) {
			struct fixture f = {0};
			struct httpd_options o = options_of(&f);
			int fds[PLACES], fresh, lost = 0;
			char byte;

			o.max_connections = PLACES;
			o.max_connections_per_peer = PLACES / 2;
			o.head_timeout_ns = o.idle_timeout_ns = 3600 * NS_PER_S;
			open_httpd(&f, &o);
			httpd_route(f.httpd, "GET", "/page", give_page, NULL);
			for (int i = 0; i < PLACES; i++) {
				fds[i] = client_at(&f, (uint32_t)(FIRST + i % addresses));
				(void)setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
				for (int n = 0; strcmp(holds[kind], "pages") == 0 && n < 40; n++)
					put(fds[i], "GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
				if (strcmp(holds[kind], "pages") != 0)
					put(fds[i], holds[kind]);
				for (int n = 0; n < 4; n++)
					turn(&f);
			}
			for (int times = 0; times < 3; times++) {
				fresh = client_at(&f, OTHER);
				put(fresh, GET_PING);
				if (!answer(&f, fresh, "200 OK", 2000))
					fail_msg("\"%s\" of %d addresses", holds[kind], addresses);
				close(fresh);
				for (int n = 0; n < 4; n++)
					turn(&f);
			}
			for (int i = 0; i < PLACES; i++) {
				ssize_t got;

				while ((got = recv(fds[i], &byte, 1, 0)) > 0)
					continue;
				lost += got == 0 || errno == ECONNRESET;
				close(fds[i]);
			}
			assert_in_range(lost, 1, 3);
			close_httpd(&f);
		}
}

/* Not even for it: what is under way to the disk is never lost, and the smaller one gives nothing to the larger. */
static void what_must_stay_stays(void **state)
{
	struct fixture f = {.answers_later = true};
	struct httpd_options o = options_of(&f);
	int busy[3], idle, fresh;
	char byte;

	(void)state;
	o.max_connections = 4;
	o.max_connections_per_peer = 4;
	open_httpd(&f, &o);
	for (int i = 0; i < 3; i++) {
		busy[i] = client_at(&f, 2);
		put(busy[i], GET_PING);
		while (f.waiting_count < i + 1)
			turn(&f);
	}
	idle = client_at(&f, 3);
	put(idle, "GET /pi");
	for (int n = 0; n < 4; n++)
		turn(&f);
	fresh = client_at(&f, 2); /* the largest */
	put(fresh, GET_PING);
	assert_non_null(answer(&f, fresh, "HTTP/1.1 503 ", 2000));
	assert_int_equal(recv(idle, &byte, 1, 0), -1);
	close(fresh);
	for (int i = 0; i < 3; i++) {
		httpd_answer(f.waiting[i], 200, NULL, NULL, "done", 4);
		assert_non_null(answer(&f, busy[i], "done", 2000));
		close(busy[i]);
	}
	close(idle);
	close_httpd(&f);
}

static void guesses_are_answered_late_and_the_right_token_at_once(void **state)
{
	static const char wrong[] = "GET /ping HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer no\r\n\r\n";
	static const char right[] =
	    "GET /ping HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer 0123456789abcdef0123\r\n\r\n";
	char path[] = "/tmp/kspool_tokens_XXXXXX";
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	int fd = mkstemp(path), late, good;
	int64_t begun_ms;

	(void)state;
	assert_true(write(fd, "0123456789abcdef0123\n", 21) == 21);
	close(fd);
	o.token_file = path;
	open_httpd(&f, &o);
	for (int i = 0; i < 10; i++) {
		fd = client(&f);
		put(fd, wrong);
		assert_non_null(answer(&f, fd, "HTTP/1.1 401 ", 500));
		close(fd);
	}
	late = client(&f);
	put(late, wrong);
	begun_ms = clock_mono_ms();
	for (int n = 0; n < 5; n++)
		turn(&f);
	good = client(&f); /* of the same address */
	put(good, right);
	assert_non_null(answer(&f, good, "HTTP/1.1 200 ", 500));
	close(good);
	assert_non_null(answer(&f, late, "HTTP/1.1 401 ", 5000));
	assert_true(clock_mono_ms() - begun_ms >= 900);
	close(late);
	close_httpd(&f);
	unlink(path);
}

/* All but one byte of a large body, and then nothing: by the mean rate it could be silent for an hour. */
static void a_body_sent_at_once_pays_for_no_silence(void **state)
{
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	static char body[90000];
	int fd;

	(void)state;
	o.min_body_rate = 100;
	open_httpd(&f, &o);
	fd = client(&f);
	put(fd, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n");
	for (size_t at = 0; at < sizeof body - 1;) {
		ssize_t n = send(fd, body + at, sizeof body - 1 - at, MSG_NOSIGNAL);

		at += n > 0 ? (size_t)n : 0;
		turn(&f);
	}
	assert_non_null(answer(&f, fd, "HTTP/1.1 408 ", 15000));
	close(fd);
	close_httpd(&f);
}

static void slow_clients_are_ended(void **state)
{
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	int slow_head, slow_body, starved;
	char *got;

	(void)state;
	open_httpd(&f, &o);
	slow_head = client(&f);
	put(slow_head, "GET /pi");
	got = answer(&f, slow_head, NULL, 5000);
	assert_non_null(got);
	assert_non_null(strstr(got, "HTTP/1.1 408 "));
	close(slow_head);
	starved = client(&f);
	f.has_room = false;
	put(starved, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
	got = answer(&f, starved, NULL, 5000);
	assert_non_null(got);
	assert_non_null(strstr(got, "HTTP/1.1 503 "));
	assert_non_null(strstr(got, "Retry-After: "));
	close(starved);
	f.has_room = true;
	slow_body = client(&f);
	put(slow_body, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\na");
	got = answer(&f, slow_body, NULL, 9000);
	assert_non_null(got);
	assert_non_null(strstr(got, "HTTP/1.1 408 "));
	close(slow_body);
	close_httpd(&f);
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(connections_are_limited),
	    cmocka_unit_test(a_new_connection_takes_the_place_of_an_idle_one),
	    cmocka_unit_test(a_crowd_keeps_no_other_address_out),
	    cmocka_unit_test(what_must_stay_stays),
	    cmocka_unit_test(guesses_are_answered_late_and_the_right_token_at_once),
	    cmocka_unit_test(a_body_sent_at_once_pays_for_no_silence),
	    cmocka_unit_test(slow_clients_are_ended),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
