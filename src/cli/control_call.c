#include "cli/control_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "value/json.h"
#include "value/path.h"

#define VERSION_AND_BLANK "HTTP/1.1 "
#define LENGTH_IS "\r\nContent-Length: "

enum { ANSWER_MAX_BYTES = 80 << 20, READ_BYTES = 64 << 10, ARENA_MAX_BYTES = 1 << 20 };

static enum err connect_to(const char *path, int *ret_fd, struct error *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof address.sun_path)
		return error_set(e, ERR_CONFIG, "the path of the control socket is too long: %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(e, ERR_SYSTEM, "socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		(void)error_set_errno(e, ERR_UNAVAILABLE, "no daemon answers at %s", path);
		(void)close(fd);
		return ERR_UNAVAILABLE;
	}
	*ret_fd = fd;
	return ERR_OK;
}

static enum err exchange(int fd, const char *request, size_t length, struct buf *answer, struct error *e)
{
	while (length > 0) {
		ssize_t n = send(fd, request, length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(e, ERR_UNAVAILABLE, "the daemon went away");
		request += n;
		length -= (size_t)n;
	}
	for (;;) {
		char *room;
		ssize_t n;

		if (buf_reserve(answer, READ_BYTES, &room) != ERR_OK)
			return error_set(e, ERR_TOOBIG, "the daemon's answer is too large");
		n = read(fd, room, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(e, ERR_UNAVAILABLE, "the daemon went away");
		if (n == 0)
			return ERR_OK;
		buf_advance(answer, (size_t)n);
	}
}

/* {"error":"BUSY","message":"..."} as the error it names. */
static enum err refusal(const char *body, size_t length, int status, struct error *e)
{
	const struct json_step steps[] = {{"error", 5}, {"message", 7}};
	enum err code = ERR_UNAVAILABLE;
	const char *wrong;
	struct arena arena;
	struct value document;

	arena_init(&arena, ARENA_MAX_BYTES);
	(void)error_set(e, code, "the daemon answered %d", status);
	if (json_parse(&arena, body, length, &document, &wrong)) {
		struct value name = path_get(&arena, document, &steps[0], 1, NULL);
		struct value message = path_get(&arena, document, &steps[1], 1, NULL);

		for (int i = ERR_OK + 1; i < ERR_COUNT; i++)
			if (value_text_is(name, error_name((enum err)i)))
				code = (enum err)i;
		if (value_is_text(message))
			(void)error_set(e, code, "%.*s", (int)message.length, message.text);
	}
	arena_fini(&arena);
	return code;
}

struct parsed {
	int status;
	const char *body;
	size_t length;
};

/* A daemon that ends while it answers leaves the begin of an answer: never taken for one. */
static enum err parse(const struct buf *answer, const char *socket_path, struct parsed *ret, struct error *e)
{
	const size_t begin = sizeof VERSION_AND_BLANK - 1;
	const char *end = answer->data ? strstr(answer->data, "\r\n\r\n") : NULL, *length;

	if (answer->data && strncmp(answer->data, VERSION_AND_BLANK, answer->len < begin ? answer->len : begin) != 0)
		return error_set(e, ERR_FORMAT, "%s does not answer as kspool does", socket_path);
	if (end) {
		ret->status = (int)strtol(answer->data + begin, NULL, 10);
		length = strstr(answer->data, LENGTH_IS);
		if (ret->status < 100 || !length || length > end)
			return error_set(e, ERR_FORMAT, "%s does not answer as kspool does", socket_path);
		ret->body = end + 4;
		ret->length = (size_t)strtoull(length + sizeof LENGTH_IS - 1, NULL, 10);
	}
	if (!end || answer->len - (size_t)(ret->body - answer->data) < ret->length)
		return error_set(e, ERR_UNAVAILABLE, "the daemon at %s went away before it had answered", socket_path);
	return ERR_OK;
}

enum err control_call(const char *socket_path, const char *method, const char *target, struct buf *ret_body,
                      struct error *e)
{
	AUTOCLOSE int fd = -1;
	struct buf request, answer;
	struct parsed got = {0};
	enum err err = connect_to(socket_path, &fd, e);

	if (err != ERR_OK)
		return err;
	buf_init(&request, ARENA_MAX_BYTES);
	buf_init(&answer, ANSWER_MAX_BYTES);
	(void)buf_addf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", method, target,
	               strcmp(method, "POST") == 0 ? "Content-Length: 0\r\n" : "");
	err = exchange(fd, request.data, request.len, &answer, e);
	if (err == ERR_OK)
		err = parse(&answer, socket_path, &got, e);
	if (err == ERR_OK && got.status != 200)
		err = refusal(got.body, got.length, got.status, e);
	else if (err == ERR_OK && ret_body)
		(void)buf_add(ret_body, got.body, got.length);
	buf_fini(&request);
	buf_fini(&answer);
	return err;
}
