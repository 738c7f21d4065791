/* A daemon that ends while it answers a command: what came is no answer, wherever it was cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/control_call.h"

static const char whole[] = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 12\r\n\r\n{\"rows\":123}";
static const char refused[] =
    "HTTP/1.1 409 Conflict\r\nContent-Length: 34\r\n\r\n{\"error\":\"BUSY\",\"message\":\"later\"}";

struct peer {
	char dir[40], path[64];
	int listener;
};

static void begin(struct peer *p)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(p->dir, sizeof p->dir, "/tmp/kspool_control_XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof p->path, "%s/sock", p->dir);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", p->path);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(p->listener, 8), 0);
}

static void end(struct peer *p)
{
	close(p->listener);
	unlink(p->path);
	rmdir(p->dir);
}

/* A process of its own that takes one request and answers with so much of `text`. */
static enum err call(struct peer *p, const char *text, size_t bytes, struct buf *body, struct error *e)
{
	pid_t pid = fork();
	enum err err;
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		char request[4096] = "";
		size_t got = 0;
		int fd = accept(p->listener, NULL, NULL);

		while (got < sizeof request - 1 && !strstr(request, "\r\n\r\n")) {
			ssize_t n = read(fd, request + got, sizeof request - 1 - got);

			if (n <= 0)
				_exit(1);
			got += (size_t)n;
		}
		_exit(bytes > 0 && send(fd, text, bytes, MSG_NOSIGNAL) != (ssize_t)bytes);
	}
	err = control_call(p->path, "GET", "/status", body, e);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return err;
}

static void what_is_cut_is_no_answer(void **state)
{
	struct peer p;

	(void)state;
	begin(&p);
	for (size_t n = 0; n < sizeof whole; n++) {
		struct error e = {0};
		struct buf body;
		enum err err;

		buf_init(&body, 1000);
		err = call(&p, whole, n, &body, &e);
		if (err != (n < sizeof whole - 1 ? ERR_UNAVAILABLE : ERR_OK))
			fail_msg("cut at %zu: error %d: %s", n, (int)err, e.text);
		assert_int_equal(body.len, n < sizeof whole - 1 ? 0 : 12);
		buf_fini(&body);
	}
	for (size_t n = 0; n < sizeof refused; n++) {
		struct error e = {0};

		assert_int_equal(call(&p, refused, n, NULL, &e), n < sizeof refused - 1 ? ERR_UNAVAILABLE : ERR_BUSY);
	}
	end(&p);
}

static void who_speaks_otherwise_is_no_daemon(void **state)
{
	static const char *const texts[] = {"SSH-2.0-x\r\n", "H", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 x\r\n\r\n",
	                                    "HTTP/1.1 200 OK\r\n\r\nContent-Length: 3\r\n\r\nabc"};
	struct peer p;

	(void)state;
	begin(&p);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct error e = {0};

		assert_int_equal(call(&p, texts[i], strlen(texts[i]), NULL, &e), i == 1 ? ERR_UNAVAILABLE : ERR_FORMAT);
	}
	end(&p);
	assert_int_equal(control_call(p.path, "GET", "/status", NULL, &(struct error){0}), ERR_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_cut_is_no_answer),
	    cmocka_unit_test(who_speaks_otherwise_is_no_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
