/*
 * What a request's head becomes as metadata, through the real server: it is valid, no key stands twice, the names that
 * are kspool's own say what is so, and it keeps to its limits. The input is a whole request head, without its line ends
 * doubled.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "message/message.h"
#include "rig/fuzz.h"
#include "server/httpd.h"
#include "doors/door_http_meta.h"

static struct event_base *base;
static struct httpd *server;
static char address[64];
static bool rest;

static bool is_ours(const struct meta_entry *e, const char *name)
{
	return e->key_length == strlen(name) && memcmp(e->key, name, e->key_length) == 0;
}

static bool says(const struct meta_entry *e, const char *text)
{
	return e->value_length == strlen(text) && memcmp(e->value, text, e->value_length) == 0;
}

static void check(const struct buf *meta, const struct httpd_request *r)
{
	struct meta_entry one, other;
	size_t at = 0, count = 0;

	must(meta->len <= HTTP_META_MAX_BYTES && meta_is_valid(meta->data, (uint32_t)meta->len));
	while (meta_next(meta->data, meta->len, &at, &one)) {
		size_t behind = at;

		count++;
		must(!is_ours(&one, "http_server_tls_version") && !is_ours(&one, "http_server_remote_ip"));
		must(!is_ours(&one, "http_server_verb") || says(&one, httpd_method(r)));
		must(!is_ours(&one, "http_server_request_path") || says(&one, httpd_path(r)));
		while (meta_next(meta->data, meta->len, &behind, &other))
			must(one.key_length != other.key_length || memcmp(one.key, other.key, one.key_length) != 0);
	}
	must(count <= HTTP_META_ENTRIES_MAX);
}

static void handle(struct httpd_request *r, void *arg)
{
	const struct http_meta_rules rules = {.keep_authorization = rest, .was_decoded = !rest};
	struct buf meta;

	(void)arg;
	buf_init(&meta, HTTP_META_MAX_BYTES);
	if (door_http_meta_add(&meta, r, &rules) == ERR_OK)
		check(&meta, r);
	buf_fini(&meta);
	httpd_answer(r, 200, NULL, NULL, NULL, 0);
}

static void open_server(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct httpd_options o = {.address = address,
	                                .max_connections = 8,
	                                .max_body_bytes = 1000,
	                                .head_timeout_ns = NS_PER_S,
	                                .idle_timeout_ns = NS_PER_S};
	struct error e;

	log_configure(&quiet);
	base = event_base_new();
	(void)snprintf(address, sizeof address, "@kspool-fuzz-meta-%d", (int)getpid());
	must(httpd_open(base, &o, &server, &e) == ERR_OK);
	httpd_route(server, "GET,POST", "/{http_server_verb}/{x}/", handle, NULL);
	httpd_route(server, "GET,POST", "/{x}", handle, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd;

	if (size < 2)
		return 0;
	if (!base)
		open_server();
	rest = data[0] & 1;
	memcpy(to.sun_path + 1, address + 1, strlen(address + 1));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	must(connect(fd, (struct sockaddr *)&to,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address))) == 0);
	(void)send(fd, data + 1, size - 1, MSG_NOSIGNAL);
	for (int i = 0; i < 6; i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
	(void)close(fd);
	for (int i = 0; i < 4; i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
	must(httpd_is_idle(server));
	return 0;
}
