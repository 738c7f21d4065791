/* HTTP: what counts as answered, what surely never left, no silent resend, limits, connections kept and dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>
#include <netdb.h>
#include <poll.h>

#include "base/clock.h"
#include "aws/transport/transport.h"
#include "rig/aws_script.h"

struct bench {
	struct event_base *base;
	struct transport *http;
	struct transport_answer answer;
	char body[4096];
	unsigned done;
};

static void on_done(struct transport_request *r, const struct transport_answer *a)
{
	struct bench *b = r->arg;

	b->answer = *a;
	(void)snprintf(b->body, sizeof b->body, "%s", a->body);
	b->done++;
	event_base_loopbreak(b->base);
}

static void bench_open(struct bench *b, const struct transport_options *o)
{
	struct error e;

	memset(b, 0, sizeof *b);
	b->base = event_base_new();
	assert_int_equal(transport_open(b->base, o, &b->http, &e), ERR_OK);
}

static void bench_close(struct bench *b)
{
	transport_close(b->http);
	event_base_free(b->base);
}

static void exchange_to(struct bench *b, const char *url, const char *method, const void *body, size_t size,
                        int64_t timeout_ms)
{
	struct header_field fields[] = {{"X-Test", "1"}};
	struct transport_request r = {.method = method,
	                              .url = url,
	                              .fields = fields,
	                              .field_count = 1,
	                              .body = body,
	                              .body_bytes = size,
	                              .timeout_ms = timeout_ms,
	                              .allow_plain = true,
	                              .done = on_done,
	                              .arg = b};
	unsigned before = b->done;

	transport_start(b->http, &r);
	assert_int_equal(b->done, before); /* never from inside */
	while (b->done == before)
		assert_true(event_base_loop(b->base, EVLOOP_ONCE) >= 0);
	assert_int_equal(b->done, before + 1);
}

static void exchange(struct bench *b, uint16_t port, const char *method, const void *body, size_t size,
                     int64_t timeout_ms)
{
	char url[64];

	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
	exchange_to(b, url, method, body, size, timeout_ms);
}

static const struct transport_options plain = {.max_connections = 4};

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\n"

static void judges_responses(void **state)
{
	static const struct {
		struct script_step step;
		enum transport_result result;
		int status;
		const char *body; /* or part of the reason */
	} rows[] = {
	    {{OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_KEEP}, TRANSPORT_ANSWERED, 200, "{}"},
	    {{OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_FIN}, TRANSPORT_ANSWERED, 200, "{}"},
	    {{OK_HEAD "Content-Length: 0\r\n\r\n", THEN_KEEP}, TRANSPORT_ANSWERED, 200, ""},
	    {{OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", THEN_KEEP},
	     TRANSPORT_ANSWERED,
	     200,
	     "{}"},
	    {{"HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_KEEP},
	     TRANSPORT_ANSWERED,
	     200,
	     "{}"},
	    {{"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad", THEN_KEEP}, TRANSPORT_ANSWERED, 400, "bad"},
	    {{"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n", THEN_KEEP}, TRANSPORT_ANSWERED, 503, ""},
	    {{OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_KEEP, .drip = true}, TRANSPORT_ANSWERED, 200, "{}"},
	    /* a redirect is an answer, and is not followed */
	    {{"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", THEN_KEEP},
	     TRANSPORT_ANSWERED,
	     307,
	     ""},
	    /* cut or unframed */
	    {{OK_HEAD "\r\n{}", THEN_FIN}, TRANSPORT_UNKNOWN, 0, "announce its length"},
	    {{OK_HEAD "Content-Length: 5\r\n\r\n{}", THEN_FIN}, TRANSPORT_UNKNOWN, 0, ""},
	    {{OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", THEN_FIN}, TRANSPORT_UNKNOWN, 0, ""},
	    {{"HTTP/1.1 200 OK\r\nContent-Le", THEN_FIN}, TRANSPORT_UNKNOWN, 0, "cut inside"},
	    {{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", THEN_FIN}, TRANSPORT_UNKNOWN, 0, "cut inside"},
	    {{"HTTP/1.1 200 OK\r\n", THEN_FIN}, TRANSPORT_UNKNOWN, 0, ""},
	    {{"HTTP/1.1 20", THEN_FIN}, TRANSPORT_UNKNOWN, 0, ""},
	    {{"HTTP/1.1 100 Continue\r\n\r\n", THEN_FIN}, TRANSPORT_UNKNOWN, 0, ""},
	    {{NULL, THEN_FIN}, TRANSPORT_UNKNOWN, 0, ""},
	    {{NULL, THEN_RST}, TRANSPORT_UNKNOWN, 0, ""},
	    {{NULL, THEN_SILENCE}, TRANSPORT_UNKNOWN, 0, "timed out"},
	    {{OK_HEAD "Content-Length: 5\r\n\r\n{}", THEN_SILENCE}, TRANSPORT_UNKNOWN, 0, "timed out"},
	    {{"hello", THEN_FIN}, TRANSPORT_UNKNOWN, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct script *s = script_start(&rows[i].step, 1);
		struct bench b;

		bench_open(&b, &plain);
		exchange(&b, s->port, "POST", "body", 4, 400);
		if (b.answer.result != rows[i].result)
			print_message("row %zu: %s\n", i, b.answer.error.text);
		assert_int_equal(b.answer.result, rows[i].result);
		assert_int_equal(b.answer.status, rows[i].status);
		if (rows[i].result == TRANSPORT_ANSWERED)
			assert_string_equal(b.body, rows[i].body);
		else
			assert_non_null(strstr(b.answer.error.text, rows[i].body));
		assert_int_equal(atomic_load(&s->requests), 1);
		bench_close(&b);
		script_stop(s);
	}
}

/* A whole response cut after each of its bytes: only the last one may count. */
static void takes_no_cut_response(void **state)
{
	static const char whole[] = OK_HEAD "x-amzn-RequestId: r\r\nContent-Length: 12\r\n\r\n{\"Records\":1";

	(void)state;
	for (size_t n = 0; n < sizeof whole; n++) {
		char *cut = strndup(whole, n);
		struct script_step step = {cut, THEN_FIN};
		struct script *s = script_start(&step, 1);
		struct bench b;

		bench_open(&b, &plain);
		exchange(&b, s->port, "POST", "body", 4, 2000);
		assert_int_equal(b.answer.result, n == sizeof whole - 1 ? TRANSPORT_ANSWERED : TRANSPORT_UNKNOWN);
		bench_close(&b);
		script_stop(s);
		free(cut);
	}
}

static void reads_fields(void **state)
{
	static const struct script_step step = {
	    "HTTP/1.1 400 x\r\nX-Amzn-RequestId:  abc \r\nx-amzn-ErrorType: com.amazon#Throttled:http://x/\r\n"
	    "Retry-After: 7\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/xml\r\n"
	    "Content-Length: 0\r\n\r\n",
	    THEN_FIN};
	struct script *s = script_start(&step, 1);
	struct bench b;

	(void)state;
	bench_open(&b, &plain);
	exchange(&b, s->port, "GET", NULL, 0, 2000);
	assert_string_equal(b.answer.request_id, "abc");
	assert_string_equal(b.answer.error_type, "Throttled");
	assert_string_equal(b.answer.content_type, "text/xml");
	assert_int_equal(b.answer.retry_after_ms, 7000);
	assert_true(b.answer.date_ms == INT64_C(784111777000));
	assert_non_null(strstr(s->text[0], "GET / HTTP/1.1\r\n"));
	assert_non_null(strstr(s->text[0], "X-Test: 1\r\n"));
	assert_null(strstr(s->text[0], "Expect"));
	assert_null(strstr(s->text[0], "Accept"));
	bench_close(&b);
	script_stop(s);
}

/* The first exchange keeps its connection; the second finds it dead after its body left. */
static void refuses_the_silent_resend(void **state)
{
	static const struct script_step fin[] = {{OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_KEEP},
	                                         {NULL, THEN_FIN},
	                                         {OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_FIN}};
	static const struct script_step rst[] = {{OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_KEEP},
	                                         {NULL, THEN_RST},
	                                         {OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_FIN}};
	const struct script_step *scripts[] = {fin, rst};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct script *s = script_start(scripts[i], 3);
		struct bench b;

		bench_open(&b, &plain);
		exchange(&b, s->port, "POST", "first", 5, 2000);
		assert_int_equal(b.answer.result, TRANSPORT_ANSWERED);
		exchange(&b, s->port, "POST", "second", 6, 2000);
		assert_int_equal(b.answer.result, TRANSPORT_UNKNOWN);
		assert_true(b.answer.rewind_refused || i == 1);
		assert_int_equal(atomic_load(&s->requests), 2);
		exchange(&b, s->port, "POST", "third", 5, 2000);
		assert_int_equal(b.answer.result, TRANSPORT_ANSWERED);
		assert_int_equal(atomic_load(&s->requests), 3);
		bench_close(&b);
		script_stop(s);
	}
}

static void bounds_the_response(void **state)
{
	char *huge = malloc(3 * 1024 * 1024 + 256);
	struct script_step step = {huge, THEN_FIN};
	int n = sprintf(huge, OK_HEAD "Content-Length: %d\r\n\r\n", 3 * 1024 * 1024);
	struct script *s;
	struct bench b;

	(void)state;
	memset(huge + n, 'x', 3 * 1024 * 1024);
	huge[n + 3 * 1024 * 1024] = '\0';
	s = script_start(&step, 1);
	bench_open(&b, &plain);
	exchange(&b, s->port, "POST", "b", 1, 5000);
	assert_int_equal(b.answer.result, TRANSPORT_UNKNOWN);
	assert_non_null(strstr(b.answer.error.text, "larger than allowed"));
	bench_close(&b);
	script_stop(s);
	free(huge);
}

static void sends_large_bodies_whole(void **state)
{
	static const struct script_step steps[] = {{OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_KEEP},
	                                           {OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_KEEP}};
	size_t size = 7 * 1024 * 1024;
	char *body = malloc(size);
	struct script *s = script_start(steps, 2);
	struct bench b;
	int64_t start = clock_mono_ms();

	(void)state;
	memset(body, 'b', size);
	bench_open(&b, &plain);
	exchange(&b, s->port, "POST", body, size, 5000);
	assert_int_equal(b.answer.result, TRANSPORT_ANSWERED);
	exchange(&b, s->port, "POST", body, size, 5000);
	assert_int_equal(b.answer.result, TRANSPORT_ANSWERED);
	assert_int_equal(atomic_load(&s->connections), 1);
	assert_true(clock_mono_ms() - start < 4000); /* nobody waited for 100 Continue */
	bench_close(&b);
	script_stop(s);
	free(body);
}

/* The server answers and then falls silent on that connection, as after a network change. */
static void drops_connections_when_told(void **state)
{
	static const struct script_step steps[] = {{OK_HEAD "Content-Length: 0\r\n\r\n", THEN_SILENCE},
	                                           {OK_HEAD "Content-Length: 0\r\n\r\n", THEN_SILENCE}};

	(void)state;
	for (int drop = 0; drop < 2; drop++) {
		struct script *s = script_start(steps, 2);
		struct bench b;

		bench_open(&b, &plain);
		exchange(&b, s->port, "POST", "b", 1, 2000);
		assert_int_equal(b.answer.result, TRANSPORT_ANSWERED);
		if (drop)
			transport_drop_connections(b.http);
		exchange(&b, s->port, "POST", "b", 1, 300);
		assert_int_equal(b.answer.result, drop ? TRANSPORT_ANSWERED : TRANSPORT_UNKNOWN);
		if (!drop) /* a time-out drops them by itself */
			exchange(&b, s->port, "POST", "b", 1, 2000);
		assert_int_equal(b.answer.result, TRANSPORT_ANSWERED);
		assert_int_equal(atomic_load(&s->connections), 2);
		bench_close(&b);
		script_stop(s);
	}
}

static void uses_the_configured_proxy_but_for_its_exceptions(void **state)
{
	static const struct script_step step = {OK_HEAD "Content-Length: 0\r\n\r\n", THEN_FIN};
	char proxy[64];
	struct transport_options o = {.max_connections = 2, .proxy = proxy};
	struct script *s, *p;
	struct bench b;

	(void)state;
	for (int excepted = 0; excepted < 2; excepted++) {
		s = script_start(&step, 1);
		p = script_start(&step, 1);
		(void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", p->port);
		o.no_proxy = excepted ? "example.com,127.0.0.1" : "example.com";
		bench_open(&b, &o);
		exchange(&b, s->port, "POST", "b", 1, 2000);
		assert_int_equal(b.answer.result, TRANSPORT_ANSWERED);
		assert_int_equal(atomic_load(&s->requests), excepted);
		assert_int_equal(atomic_load(&p->requests), !excepted);
		bench_close(&b);
		script_stop(s);
		script_stop(p);
	}
}

static void says_what_was_surely_not_sent(void **state)
{
	struct script *s = script_start(NULL, 0);
	uint16_t dead = s->port;
	char proxy[64];
	struct transport_options by_proxy = {.max_connections = 2, .proxy = proxy};
	static const struct script_step reset = {NULL, THEN_RST};
	static const struct script_step refuse = {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", THEN_FIN};
	struct bench b;

	(void)state;
	script_stop(s);
	bench_open(&b, &plain);
	exchange(&b, dead, "POST", "b", 1, 2000);
	assert_int_equal(b.answer.result, TRANSPORT_NOT_SENT);
	exchange_to(&b, "ftp://127.0.0.1/", "POST", "b", 1, 2000);
	assert_int_equal(b.answer.result, TRANSPORT_NOT_SENT);
	exchange_to(&b, "http://", "POST", "b", 1, 2000);
	assert_int_equal(b.answer.result, TRANSPORT_NOT_SENT);
	exchange_to(&b, "http://no.such.host.invalid/", "POST", "b", 1, 2000);
	assert_int_equal(b.answer.result, TRANSPORT_NOT_SENT);
	bench_close(&b);
	/* no body need have left: a request line that did is enough not to know */
	s = script_start(&reset, 1);
	bench_open(&b, &plain);
	exchange(&b, s->port, "GET", NULL, 0, 2000);
	assert_int_equal(b.answer.result, TRANSPORT_UNKNOWN);
	bench_close(&b);
	script_stop(s);
	/* a TLS handshake that meets plain text, and a proxy that refuses the tunnel */
	s = script_start(&(struct script_step){"HTTP/1.1 400 no\r\n\r\n", THEN_FIN, .unread = true}, 1);
	bench_open(&b, &plain);
	(void)snprintf(proxy, sizeof proxy, "https://127.0.0.1:%u/", s->port);
	exchange_to(&b, proxy, "POST", "b", 1, 2000);
	assert_int_equal(b.answer.result, TRANSPORT_NOT_SENT);
	bench_close(&b);
	script_stop(s);
	s = script_start(&refuse, 1);
	(void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u/", s->port);
	bench_open(&b, &by_proxy);
	exchange_to(&b, "https://kinesis.example/", "POST", "b", 1, 2000);
	assert_int_equal(b.answer.result, TRANSPORT_NOT_SENT);
	assert_non_null(strstr(s->text[0], "CONNECT kinesis.example:443"));
	assert_non_null(strstr(b.answer.error.text, "the proxy answered with status 4"));
	bench_close(&b);
	script_stop(s);
}

static void ignores_the_proxy_of_the_environment(void **state)
{
	static const struct script_step step = {OK_HEAD "Content-Length: 0\r\n\r\n", THEN_FIN};
	struct script *s = script_start(&step, 1);
	struct bench b;

	(void)state;
	(void)setenv("http_proxy", "http://127.0.0.1:1/", 1);
	(void)setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
	bench_open(&b, &plain);
	exchange(&b, s->port, "POST", "b", 1, 2000);
	assert_int_equal(b.answer.result, TRANSPORT_ANSWERED);
	bench_close(&b);
	script_stop(s);
	(void)unsetenv("http_proxy");
	(void)unsetenv("ALL_PROXY");
}

/* The library's resolver thread calls this one: a look-up that hangs, curl/curl#18252. */
static atomic_bool lookups_hang;
static _Atomic uint32_t moving_address; /* of moving.test */

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	struct sockaddr_in *a;

	(void)hints;
	if (atomic_load(&lookups_hang) && node && strcmp(node, "slow.test") == 0)
		sleep(5);
	if (!node || (strcmp(node, "127.0.0.1") && (strcmp(node, "moving.test") || !atomic_load(&moving_address))))
		return EAI_NONAME;
	*res = calloc(1, sizeof **res + sizeof *a);
	a = (struct sockaddr_in *)(*res + 1);
	a->sin_family = AF_INET;
	a->sin_port = htons((uint16_t)(service ? atoi(service) : 0));
	a->sin_addr.s_addr =
	    htonl(strcmp(node, "moving.test") == 0 ? atomic_load(&moving_address) : (uint32_t)INADDR_LOOPBACK);
	**res = (struct addrinfo){
	    .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof *a, .ai_addr = (struct sockaddr *)a};
	return 0;
}

void freeaddrinfo(struct addrinfo *res) { free(res); }

/* The name's address changes while the old one is dead: found within seconds, whatever failed before. */
static void finds_an_address_that_changed(void **state)
{
	static const struct script_step yes = {OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_FIN};
	struct script *s = script_start(&yes, 1);
	int64_t began_ms;
	struct bench b;
	char url[64];

	(void)state;
	(void)snprintf(url, sizeof url, "http://moving.test:%u/", s->port);
	atomic_store(&moving_address, INADDR_LOOPBACK + 1); /* nobody listens there */
	bench_open(&b, &plain);
	exchange_to(&b, url, "POST", "b", 1, 2000);
	assert_int_equal(b.answer.result, TRANSPORT_NOT_SENT);
	atomic_store(&moving_address, INADDR_LOOPBACK);
	for (began_ms = clock_mono_ms(); b.answer.result != TRANSPORT_ANSWERED;) {
		assert_true(clock_mono_ms() - began_ms < 10000);
		(void)poll(NULL, 0, 100);
		exchange_to(&b, url, "POST", "b", 1, 2000);
	}
	bench_close(&b);
	script_stop(s);
}

/* The resolver fails after a connection that was good. What the library keeps for two seconds may serve the first. */
static void the_last_good_address_serves_while_the_resolver_does_not(void **state)
{
	static const struct script_step yes[3] = {[0 ... 2] = {OK_HEAD "Content-Length: 2\r\n\r\n{}", THEN_FIN}};
	struct script *s = script_start(yes, 3);
	struct bench b;
	char url[64];

	(void)state;
	(void)snprintf(url, sizeof url, "http://moving.test:%u/", s->port);
	atomic_store(&moving_address, INADDR_LOOPBACK);
	bench_open(&b, &plain);
	for (unsigned answered = 0, tries = 0; answered < 3; answered += b.answer.result == TRANSPORT_ANSWERED) {
		assert_true(tries++ < 4);
		exchange_to(&b, url, "POST", "b", 1, 2000);
		atomic_store(&moving_address, 0), (void)poll(NULL, 0, 2500);
	}
	bench_close(&b);
	script_stop(s);
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
	int64_t *longest = arg;
	static int64_t last;
	int64_t now = clock_mono_ms();

	(void)fd;
	(void)events;
	if (last && now - last > *longest)
		*longest = now - last;
	last = now;
}

static void a_hanging_lookup_blocks_nothing(void **state)
{
	struct bench b;
	int64_t longest = 0, start = clock_mono_ms();
	struct timeval tick = {0, 10000};
	struct event *ticker;

	(void)state;
	atomic_store(&lookups_hang, true);
	bench_open(&b, &plain);
	ticker = event_new(b.base, -1, EV_PERSIST, on_tick, &longest);
	event_add(ticker, &tick);
	exchange_to(&b, "http://slow.test/", "POST", "b", 1, 500);
	assert_int_equal(b.answer.result, TRANSPORT_NOT_SENT);
	assert_true(b.answer.timed_out);
	event_free(ticker);
	bench_close(&b);
	assert_true(clock_mono_ms() - start < 2000);
	assert_true(longest < 200);
	atomic_store(&lookups_hang, false);
}

static void aborts_without_a_call(void **state)
{
	static const struct script_step step = {NULL, THEN_SILENCE};
	struct script *s = script_start(&step, 1);
	struct bench b;
	char url[64];
	struct transport_request r = {
	    .method = "POST", .url = url, .timeout_ms = 2000, .allow_plain = true, .done = on_done, .arg = &b};

	(void)state;
	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", s->port);
	bench_open(&b, &plain);
	transport_start(b.http, &r);
	for (int i = 0; i < 5; i++)
		event_base_loop(b.base, EVLOOP_NONBLOCK);
	assert_int_equal(transport_under_way(b.http), 1);
	transport_abort(b.http, &r);
	transport_abort(b.http, &r);
	assert_int_equal(transport_under_way(b.http), 0);
	transport_start(b.http, &r); /* and one more that transport_close ends */
	bench_close(&b);
	assert_int_equal(b.done, 0);
	script_stop(s);
}

static void a_line_break_in_a_field_is_not_sent(void **state)
{
	static const char *const values[] = {"x\r\nX-Forged: 1", "x\n", "\rx"};
	struct script *s = script_start(NULL, 0);
	struct bench b;
	char url[64];

	(void)state;
	bench_open(&b, &plain);
	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", s->port);
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		struct header_field fields[] = {{"X-Test", values[i]}, {"X-Later", "1"}};
		struct transport_request r = {.method = "GET",
		                              .url = url,
		                              .fields = fields,
		                              .field_count = 2,
		                              .timeout_ms = 1000,
		                              .allow_plain = true,
		                              .done = on_done,
		                              .arg = &b};

		transport_start(b.http, &r);
		assert_int_equal(b.done, i);
		while (b.done == i)
			assert_true(event_base_loop(b.base, EVLOOP_ONCE) >= 0);
		assert_int_equal(b.answer.result, TRANSPORT_NOT_SENT);
		assert_string_equal(b.answer.error.text, "the value of field X-Test holds a line break");
	}
	assert_int_equal(atomic_load(&s->connections), 0);
	bench_close(&b);
	script_stop(s);
}

static void a_date_of_retry_after_is_a_time_from_now(void **state)
{
	static const struct script_step steps[] = {
	    {"HTTP/1.1 503 x\r\nRetry-After: Sun, 06 Nov 1994 08:49:40 GMT\r\nContent-Length: 0\r\n\r\n", THEN_KEEP},
	    {"HTTP/1.1 503 x\r\nRetry-After: Sun, 06 Nov 1994 08:49:30 GMT\r\nContent-Length: 0\r\n\r\n", THEN_KEEP},
	    {"HTTP/1.1 503 x\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", THEN_KEEP}};
	static const int64_t expected_ms[] = {3000, -1, -1}; /* a date that has passed says nothing */
	struct script *s = script_start(steps, 3);
	struct bench b;

	(void)state;
	bench_open(&b, &plain);
	clock_test_set(clock_mono_ns(), INT64_C(784111777000) * NS_PER_MS); /* 08:49:37 */
	for (size_t i = 0; i < 3; i++) {
		exchange(&b, s->port, "GET", NULL, 0, 2000);
		assert_int_equal(b.answer.status, 503);
		assert_int_equal(b.answer.retry_after_ms, expected_ms[i]);
	}
	clock_test_end();
	bench_close(&b);
	script_stop(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(judges_responses),
	    cmocka_unit_test(takes_no_cut_response),
	    cmocka_unit_test(reads_fields),
	    cmocka_unit_test(refuses_the_silent_resend),
	    cmocka_unit_test(bounds_the_response),
	    cmocka_unit_test(sends_large_bodies_whole),
	    cmocka_unit_test(drops_connections_when_told),
	    cmocka_unit_test(finds_an_address_that_changed),
	    cmocka_unit_test(the_last_good_address_serves_while_the_resolver_does_not),
	    cmocka_unit_test(uses_the_configured_proxy_but_for_its_exceptions),
	    cmocka_unit_test(says_what_was_surely_not_sent),
	    cmocka_unit_test(ignores_the_proxy_of_the_environment),
	    cmocka_unit_test(a_hanging_lookup_blocks_nothing),
	    cmocka_unit_test(aborts_without_a_call),
	    cmocka_unit_test(a_line_break_in_a_field_is_not_sent),
	    cmocka_unit_test(a_date_of_retry_after_is_a_time_from_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
