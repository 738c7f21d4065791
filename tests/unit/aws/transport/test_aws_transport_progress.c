/* What moves is waited for, what does not is given up in its time, and what nobody can have whole is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "aws/transport/names.h"
#include "aws/transport/progress.h"
#include "aws/transport/transport.h"

/* A peer with the smallest buffer: it takes a piece, rests, and answers when it has the whole, or never. */
struct peer {
	pthread_t thread;
	int listener;
	uint16_t port;
	size_t takes;     /* bytes before it rests for ever; SIZE_MAX: all */
	unsigned rest_us; /* after each piece */
	bool answers;
	atomic_size_t taken;
	atomic_bool ends;
};

static void *serve(void *arg)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
	struct peer *p = arg;
	size_t head = 0, length = 0;
	char text[4096], piece[1024];
	int fd = accept(p->listener, NULL, NULL);

	while (fd >= 0 && !atomic_load(&p->ends)) {
		size_t had = atomic_load(&p->taken);
		ssize_t n = had < p->takes ? recv(fd, piece, sizeof piece, MSG_DONTWAIT) : -1;

		if (n == 0)
			break;
		if (n < 0) {
			(void)usleep(1000);
			continue;
		}
		if (head == 0) {
			char *end;

			memcpy(text + had, piece, (size_t)n < sizeof text - 1 - had ? (size_t)n : 0);
			text[had + (size_t)n] = '\0';
			end = strstr(text, "\r\n\r\n");
			if (end) {
				head = (size_t)(end + 4 - text);
				length = strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10);
			}
		}
		atomic_store(&p->taken, had + (size_t)n);
		if (head > 0 && had + (size_t)n == head + length && p->answers)
			(void)!write(fd, answer, sizeof answer - 1);
		(void)usleep(p->rest_us);
	}
	if (fd >= 0)
		(void)close(fd);
	return NULL;
}

static struct peer *peer_start(size_t takes, unsigned rest_us, bool answers)
{
	struct peer *p = mem_zero(sizeof *p);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int least = 1;

	p->takes = takes;
	p->rest_us = rest_us;
	p->answers = answers;
	p->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(setsockopt(p->listener, SOL_SOCKET, SO_RCVBUF, &least, sizeof least), 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, size), 0);
	assert_int_equal(listen(p->listener, 4), 0);
	assert_int_equal(getsockname(p->listener, (struct sockaddr *)&a, &size), 0);
	p->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
	return p;
}

static size_t peer_stop(struct peer *p)
{
	size_t taken;

	atomic_store(&p->ends, true);
	(void)shutdown(p->listener, SHUT_RDWR);
	(void)pthread_join(p->thread, NULL);
	(void)close(p->listener);
	taken = atomic_load(&p->taken);
	free(p);
	return taken;
}

static void on_done(struct transport_request *r, const struct transport_answer *a)
{
	struct transport_answer *copy = r->arg;

	*copy = *a;
	copy->body = NULL;
}

/* What the kernel would end the connection to it by; -1: none stands. */
static int kernel_timeout_ms(const struct peer *p)
{
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in a = {0};
		socklen_t size = sizeof a, ms_size = sizeof(int);
		int ms;

		if (getpeername(fd, (struct sockaddr *)&a, &size) == 0 && a.sin_family == AF_INET &&
		    ntohs(a.sin_port) == p->port && getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &ms_size) == 0)
			return ms;
	}
	return -1;
}

/* One request of so many bytes to it. */
static struct transport_answer ask(const struct peer *p, size_t bytes, int64_t timeout_ms, int64_t user_timeout_ms)
{
	const struct transport_options o = {.max_connections = 1, .user_timeout_ms = user_timeout_ms};
	struct event_base *base = event_base_new();
	struct transport_answer answer = {0};
	struct transport *http;
	char *body = mem_zero(bytes), url[64];
	struct transport_request r = {.method = "POST",
	                              .url = url,
	                              .body = body,
	                              .body_bytes = bytes,
	                              .timeout_ms = timeout_ms,
	                              .allow_plain = true,
	                              .done = on_done,
	                              .arg = &answer};
	struct error e;

	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", p->port);
	assert_int_equal(transport_open(base, &o, &http, &e), ERR_OK);
	transport_start(http, &r);
	while (transport_under_way(http) > 0) {
		assert_true(event_base_loop(base, EVLOOP_ONCE) >= 0);
		assert_true(kernel_timeout_ms(p) <=
		            0); /* it counts while the window is closed, though bytes are acknowledged */
	}
	transport_close(http);
	event_base_free(base);
	free(body);
	return answer;
}

/* False in a sandbox whose kernel does not say: then there is nothing to test. */
static bool kernel_says(void)
{
	struct peer *p = peer_start(SIZE_MAX, 0, true);
	struct transport_answer a = ask(p, 10, 5000, 0);

	(void)peer_stop(p);
	assert_int_equal(a.result, TRANSPORT_ANSWERED);
	return a.link.is_known;
}

/* 300 ms are for the answer: the two seconds or more of the body's way do not count. */
static void what_moves_is_not_given_up(void **state)
{
	struct peer *p;
	struct transport_answer a;

	(void)state;
	if (!kernel_says())
		skip();
	p = peer_start(SIZE_MAX, 20000, true);
	a = ask(p, 100 * 1024, 300, 400);
	assert_int_equal(a.result, TRANSPORT_ANSWERED);
	assert_true(a.took_ns >= 100 * 20 * NS_PER_MS);
	assert_true(a.link.wire_bytes > 100 * 1024 && a.link.wire_bytes < 101 * 1024);
	assert_true(a.link.upload_ns < a.took_ns + 100 * NS_PER_MS); /* the kernel counts in its ticks */
	assert_true(a.link.upload_ns > a.took_ns / 2);
	assert_true(a.link.heard_ns > 0 && a.link.heard_ns <= a.took_ns);
	assert_true(a.link.steady_ns < a.link.upload_ns && a.link.steady_bytes < a.link.wire_bytes);
	assert_true(a.link.steady_bytes > 10 * 1024);
	(void)peer_stop(p);
}

/* It stops in the middle: nobody has the whole, and what the kernel still has never arrives. */
static void what_stops_on_its_way_is_cut(void **state)
{
	struct peer *p;
	struct transport_answer a;

	(void)state;
	if (!kernel_says())
		skip();
	p = peer_start(50 * 1024, 100, true);
	a = ask(p, 8 << 20, 20000, 700);
	assert_int_equal(a.result, TRANSPORT_CUT);
	assert_true(a.timed_out);
	assert_non_null(strstr(a.error.text, "nothing was acknowledged"));
	assert_true(peer_stop(p) < 100 * 1024);
}

static void what_left_whole_is_waited_for_and_then_unknown(void **state)
{
	struct peer *p;
	struct transport_answer a;

	(void)state;
	if (!kernel_says())
		skip();
	p = peer_start(SIZE_MAX, 0, false);
	a = ask(p, 20 * 1024, 500, 100000);
	assert_int_equal(a.result, TRANSPORT_UNKNOWN);
	assert_true(a.timed_out);
	assert_non_null(strstr(a.error.text, "all was acknowledged and nothing answered"));
	assert_true(a.took_ns >= 500 * NS_PER_MS);
	(void)peer_stop(p);
}

static void a_socket_that_is_none_says_nothing(void **state)
{
	struct progress look;
	int ends[2];

	(void)state;
	progress_look(-1, &look);
	assert_false(look.is_known);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	progress_look(ends[0], &look);
	assert_false(look.is_known);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void an_address_is_used_after_a_failed_look_up_and_while_it_works(void **state)
{
	static const char host[] = "k.example:443";
	char text[NAME_BYTES + ADDRESS_BYTES], read[NAME_BYTES];
	struct names all = LIST_HEAD_INITIALIZER(all);

	(void)state;
	names_of_url("https://k.example/x", read);
	assert_string_equal(read, host);
	names_of_url("http://127.0.0.1:80/", read);
	assert_string_equal(read, "");
	names_of_url("https://[::1]:80/", read);
	assert_string_equal(read, "");
	names_not_found(&all, host, 1000); /* never connected: nothing to use */
	names_known(&all, host, 1001, text);
	assert_string_equal(text, "");
	names_connected(&all, host, "192.0.2.1", 1000);
	names_known(&all, host, 1001, text); /* the resolver is asked */
	assert_string_equal(text, "");
	names_not_found(&all, host, 2000);
	names_known(&all, host, 2001, text);
	assert_string_equal(text, "+k.example:443:192.0.2.1");
	names_known(&all, host, 2000 + 60000, text); /* it is asked again */
	assert_string_equal(text, "");
	names_not_found(&all, host, 70000);
	names_not_connected(&all, host);
	names_known(&all, host, 70001, text); /* and at once when the address is dead */
	assert_string_equal(text, "");
	names_connected(&all, host, "2001:db8::1", 80000);
	names_not_found(&all, host, 80001);
	names_known(&all, host, 80002, text);
	assert_string_equal(text, "+k.example:443:[2001:db8::1]");
	names_not_found(&all, host, INT64_C(80000) + 25 * 3600 * 1000); /* too old */
	names_known(&all, host, INT64_C(80000) + 25 * 3600 * 1000 + 1, text);
	assert_string_equal(text, "");
	for (int i = 0; i < 100; i++) {
		(void)snprintf(read, sizeof read, "h%d:1", i);
		names_connected(&all, read, "192.0.2.1", 1);
	}
	names_clear(&all);
	assert_true(LIST_EMPTY(&all));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_moves_is_not_given_up),
	    cmocka_unit_test(what_stops_on_its_way_is_cut),
	    cmocka_unit_test(what_left_whole_is_waited_for_and_then_unknown),
	    cmocka_unit_test(a_socket_that_is_none_says_nothing),
	    cmocka_unit_test(an_address_is_used_after_a_failed_look_up_and_while_it_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
