/*
 * aws_script: a loopback HTTP server in a thread that plays a list of steps, one per request, and keeps what it read.
 *
 * Each step reads one whole request (head and Content-Length body), writes its bytes and then keeps the connection,
 * closes it, resets it or goes silent. The server stops when its steps are used up. For unit tests only.
 */
#ifndef KSPOOL_TESTS_AWS_SCRIPT_H
#define KSPOOL_TESTS_AWS_SCRIPT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Steps are written with what matters of them. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum script_after { THEN_KEEP, THEN_FIN, THEN_RST, THEN_SILENCE };

struct script_step {
	const char *response; /* null: nothing */
	enum script_after after;
	bool unread; /* acts right after accepting, without reading a request */
	bool drip;   /* a byte at a time */
};

enum { SCRIPT_REQUESTS_MAX = 64, SCRIPT_TEXT_MAX = 16384 };

struct script {
	const struct script_step *steps;
	size_t step_count;
	int listener;
	uint16_t port;
	pthread_t thread;
	atomic_size_t requests; /* whole requests read */
	atomic_size_t connections;
	char text[SCRIPT_REQUESTS_MAX][SCRIPT_TEXT_MAX]; /* as read, cut */
};

/* Reads one request; false when the peer closed first. */
static bool script_read(struct script *s, int fd)
{
	size_t used = 0, need = 0;
	char *data = calloc(1, 16 * 1024 * 1024);
	bool whole = false;

	while (!whole && used < 16 * 1024 * 1024 - 1) {
		ssize_t n = read(fd, data + used, 16 * 1024 * 1024 - 1 - used);
		char *end;

		if (n <= 0)
			break;
		used += (size_t)n;
		end = strstr(data, "\r\n\r\n");
		if (end && !need) {
			char *length = strcasestr(data, "\r\ncontent-length:");

			need = (size_t)(end + 4 - data);
			if (length && length < end)
				need += strtoul(length + 17, NULL, 10);
		}
		whole = need && used >= need;
	}
	if (whole) {
		size_t i = atomic_fetch_add(&s->requests, 1) % SCRIPT_REQUESTS_MAX;

		memcpy(s->text[i], data, used < SCRIPT_TEXT_MAX ? used : SCRIPT_TEXT_MAX - 1);
	}
	free(data);
	return whole;
}

static void script_write(int fd, const struct script_step *step)
{
	size_t length = step->response ? strlen(step->response) : 0;

	for (size_t sent = 0; sent < length;) {
		size_t n = step->drip ? 1 : length - sent;
		ssize_t w = send(fd, step->response + sent, n, MSG_NOSIGNAL);

		if (w <= 0)
			return;
		sent += (size_t)w;
		if (step->drip)
			usleep(2000);
	}
}

static void *script_run(void *arg)
{
	struct script *s = arg;
	int fd = -1, silent[16], silent_count = 0;

	for (size_t i = 0; i < s->step_count; i++) {
		const struct script_step *step = &s->steps[i];

		for (;;) {
			if (fd < 0) {
				fd = accept(s->listener, NULL, NULL);
				if (fd < 0)
					goto out;
				atomic_fetch_add(&s->connections, 1);
			}
			if (step->unread || script_read(s, fd))
				break;
			close(fd);
			fd = -1;
		}
		script_write(fd, step);
		if (step->after == THEN_KEEP)
			continue;
		if (step->after == THEN_RST)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
		if (step->after == THEN_SILENCE && silent_count < 16)
			silent[silent_count++] = fd;
		else
			close(fd);
		fd = -1;
	}
	/* connections beyond the steps are taken and never answered; silent ones stay so until the end */
	for (int more; (more = accept(s->listener, NULL, NULL)) >= 0;)
		if (silent_count < 16)
			silent[silent_count++] = more;
out:
	if (fd >= 0)
		close(fd);
	while (silent_count > 0)
		close(silent[--silent_count]);
	return NULL;
}

static inline struct script *script_start(const struct script_step *steps, size_t count)
{
	struct script *s = calloc(1, sizeof *s);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof a;

	s->steps = steps;
	s->step_count = count;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->listener, (struct sockaddr *)&a, sizeof a) || listen(s->listener, 128) ||
	    getsockname(s->listener, (struct sockaddr *)&a, &length))
		abort();
	s->port = ntohs(a.sin_port);
	if (pthread_create(&s->thread, NULL, script_run, s))
		abort();
	return s;
}

static inline void script_stop(struct script *s)
{
	(void)shutdown(s->listener, SHUT_RDWR);
	(void)pthread_join(s->thread, NULL);
	close(s->listener);
	free(s);
}

#endif
