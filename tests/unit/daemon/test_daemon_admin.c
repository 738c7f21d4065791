/* The endpoints over a real server and a real journal: what shows, what acts, and what each refuses. */
#include "rig/daemon_world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/event.h>

#include "daemon/admin.h"
#include "daemon/admin_shelf.h"

enum { ANSWER_MAX = 1 << 16, PATH_BYTES = 400 };

struct served {
	struct world world;
	struct event_base *base;
	struct httpd *shown;  /* as http.address serves it */
	struct httpd *acting; /* as the control socket does */
	struct admin_shelf *shelf;
	char shown_path[PATH_BYTES];
	char acting_path[PATH_BYTES];
	char answer[ANSWER_MAX]; /* the last one, head and body */
};

static struct httpd *serve(struct event_base *base, const char *path)
{
	const struct httpd_options options = {
	    .address = path,
	    .unix_mode = 0600,
	    .max_connections = 4,
	    .max_connections_per_peer = 4,
	    .max_body_bytes = 1000,
	    .head_timeout_ns = 10 * NS_PER_S,
	    .idle_timeout_ns = 10 * NS_PER_S,
	};
	struct httpd *h = NULL;
	struct error e = {.code = ERR_OK};

	if (httpd_open(base, &options, &h, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return h;
}

static void open_served(struct served *s, const char *config)
{
	memset(s, 0, sizeof *s);
	world_open(&s->world, config);
	s->base = event_base_new();
	(void)snprintf(s->shown_path, sizeof s->shown_path, "%s/shown", s->world.dir.dir);
	(void)snprintf(s->acting_path, sizeof s->acting_path, "%s/acting", s->world.dir.dir);
	s->shown = serve(s->base, s->shown_path);
	s->acting = serve(s->base, s->acting_path);
	admin_show(s->shown, &s->world.source);
	admin_show(s->acting, &s->world.source);
	s->shelf = admin_shelf_open(s->acting, s->world.journal, NULL);
}

static void close_served(struct served *s)
{
	httpd_free(s->shown);
	httpd_free(s->acting);
	admin_shelf_free(s->shelf);
	event_base_free(s->base);
	world_close(&s->world);
}

/* One request; returns the status. */
static int ask(struct served *s, const char *socket_path, const char *method, const char *target)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char *request = mem_format("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, target,
	                           strcmp(method, "POST") == 0 ? "Content-Length: 0\r\n" : "");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t end_ms = clock_mono_ms() + 20000;
	size_t have = 0;
	ssize_t n = -1;

	assert_true(strlen(socket_path) < sizeof address.sun_path);
	memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (n != 0 && have + 1 < sizeof s->answer) {
		assert_true(clock_mono_ms() < end_ms);
		(void)journal_intake_run(s->world.journal);
		(void)event_base_loop(s->base, EVLOOP_NONBLOCK);
		n = read(fd, s->answer + have, sizeof s->answer - 1 - have);
		assert_true(n >= 0 || errno == EAGAIN);
		have += n > 0 ? (size_t)n : 0;
	}
	s->answer[have] = '\0';
	(void)close(fd);
	free(request);
	assert_int_equal(strncmp(s->answer, "HTTP/1.1 ", 9), 0);
	return atoi(s->answer + 9);
}

static void expect(struct served *s, const char *socket_path, const char *method, const char *target, int status,
                   const char *part)
{
	int got = ask(s, socket_path, method, target);

	if (got != status || !strstr(s->answer, part))
		fail_msg("%s %s: %d expected with %s: %s", method, target, status, part, s->answer);
}

static void what_is_shown_is_shown_below_the_root_too(void **state)
{
	static const struct {
		const char *path;
		const char *part;
	} rows[] = {
	    {"/ping", "pong"},      {"/ready", "statuses"}, {"/version", "\"version\":"}, {"/endpoints", "/status"},
	    {"/metrics", "# HELP"}, {"/stats", "# HELP"},   {"/status", "\"ledger\":"},
	};
	struct served s;

	(void)state;
	open_served(&s, WORLD_CONFIG "http: {root_path: /root}\n");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char below[64];

		(void)snprintf(below, sizeof below, "/root%s", rows[i].path);
		expect(&s, s.shown_path, "GET", rows[i].path, 200, rows[i].part);
		expect(&s, s.shown_path, "GET", below, 200, rows[i].part);
		expect(&s, s.acting_path, "GET", rows[i].path, 200, rows[i].part);
		expect(&s, s.shown_path, "POST", rows[i].path, 405, "Allow: GET");
	}
	expect(&s, s.shown_path, "GET", "/endpoints", 200, "\"/ready\":");
	expect(&s, s.shown_path, "GET", "/", 404, "");
	close_served(&s);
}

static void what_acts_is_on_the_control_socket_only(void **state)
{
	static const char *const posts[] = {"/dead/retry", "/dead/purge", "/export", "/drain"};
	struct served s;

	(void)state;
	open_served(&s, WORLD_CONFIG);
	for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
		expect(&s, s.shown_path, "POST", posts[i], 404, "");
		expect(&s, s.acting_path, "GET", posts[i], 405, "Allow: POST");
	}
	expect(&s, s.shown_path, "GET", "/dead", 404, "");
	expect(&s, s.acting_path, "POST", "/dead", 405, "Allow: GET");
	close_served(&s);
}

static void ready_says_503_and_why(void **state)
{
	struct served s;

	(void)state;
	open_served(&s, WORLD_CONFIG);
	s.world.source.closing = true;
	expect(&s, s.shown_path, "GET", "/ready", 503, "\"error\":\"shutting down\"");
	close_served(&s);
}

static void metrics_that_are_off_are_not_there(void **state)
{
	struct served s;

	(void)state;
	open_served(&s, WORLD_CONFIG "metrics: {none: {}}\n");
	expect(&s, s.shown_path, "GET", "/metrics", 404, "metrics are off");
	close_served(&s);
}

static void a_query_is_read_whole_or_refused(void **state)
{
	static const char *const wrong[] = {"/dead?id=x",
	                                    "/dead?after=-1",
	                                    "/dead?limit=1001",
	                                    "/dead?limit=",
	                                    "/dead?id=1%20",
	                                    "/dead?id=1&after=y",
	                                    "/dead?id=00000000000000000000000000000000000000001"};
	struct served s;
	char *target;

	(void)state;
	open_served(&s, WORLD_CONFIG);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		expect(&s, s.acting_path, "GET", wrong[i], 400, "\"error\":\"USAGE\"");
	expect(&s, s.acting_path, "GET", "/dead", 200, "\r\n\r\n[]");
	expect(&s, s.acting_path, "GET", "/dead?xid=y&after=0&limit=%31", 200, "\r\n\r\n[]");
	/* a path that does not fit must not become another path */
	target = mem_format("/export?to=%s/%05000d", s.world.dir.dir, 1);
	expect(&s, s.acting_path, "POST", target, 400, "\"error\":\"USAGE\"");
	free(target);
	close_served(&s);
}

static void set_aside(struct served *s, uint32_t count)
{
	uint64_t ids[10];

	world_store(&s->world, count);
	journal_credit(s->world.journal, count, 1 << 20);
	rig_take_ids(s->world.journal, ids, count);
	rig_settle_ids(s->world.journal, ids, count, SETTLE_DEAD, 0);
	rig_wait_empty(s->world.journal);
}

static void the_shelf_is_listed_shown_retried_and_purged(void **state)
{
	struct served s;

	(void)state;
	open_served(&s, WORLD_CONFIG);
	set_aside(&s, 4);
	expect(&s, s.acting_path, "GET", "/dead", 200, "\"id\":4");
	expect(&s, s.acting_path, "GET", "/dead?limit=2", 200, "\"id\":2");
	assert_has_not(s.answer, "\"id\":3");
	assert_has_not(s.answer, "body_base64");
	expect(&s, s.acting_path, "GET", "/dead?after=2", 200, "\"id\":3");
	assert_has_not(s.answer, "\"id\":2");
	expect(&s, s.acting_path, "GET", "/dead?id=3&body=1", 200, "\"body_base64\":");
	assert_has(s.answer, "\"metadata\":{\"n\":\"3\"}");
	assert_has(s.answer, "\"reason\":\"why\"");
	expect(&s, s.acting_path, "POST", "/dead/purge?id=1", 200, "{\"count\":1}");
	expect(&s, s.acting_path, "POST", "/dead/purge?id=1", 409, "\"message\":");
	expect(&s, s.acting_path, "POST", "/dead/retry?id=2", 200, "{\"count\":1}");
	expect(&s, s.acting_path, "POST", "/dead/retry", 200, "{\"count\":2}"); /* no id: all */
	expect(&s, s.acting_path, "GET", "/dead", 200, "\r\n\r\n[]");
	close_served(&s);
}

static void an_export_is_where_the_escaped_path_says(void **state)
{
	struct served s;
	char target[PATH_BYTES + 40], path[PATH_BYTES];

	(void)state;
	open_served(&s, WORLD_CONFIG);
	world_store(&s.world, 3);
	(void)snprintf(target, sizeof target, "/export?to=%s%%2Fa%%20%%26b", s.world.dir.dir);
	(void)snprintf(path, sizeof path, "%s/a &b", s.world.dir.dir);
	expect(&s, s.acting_path, "POST", target, 200, "{\"count\":0}");
	assert_int_equal(access(path, R_OK), 0);
	expect(&s, s.acting_path, "POST", target, 409, "\"error\":");
	close_served(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_shown_is_shown_below_the_root_too),
	    cmocka_unit_test(what_acts_is_on_the_control_socket_only),
	    cmocka_unit_test(ready_says_503_and_why),
	    cmocka_unit_test(metrics_that_are_off_are_not_there),
	    cmocka_unit_test(a_query_is_read_whole_or_refused),
	    cmocka_unit_test(the_shelf_is_listed_shown_retried_and_purged),
	    cmocka_unit_test(an_export_is_where_the_escaped_path_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
