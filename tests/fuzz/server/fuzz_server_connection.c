/*
 * The HTTP server over real sockets, plain and TLS: bytes in any pieces, ends in the middle, answers now, later or
 * never asked for. Whatever comes, every request is handled once and answered once, every byte counted is given back,
 * and the server is idle and can be freed when its clients are gone.
 *
 *   byte 0   bit 0: TLS, bits 1-2: size of pieces, bit 3: answers wait, bit 4: the client shuts its side down at the
 * end rest     what the client sends; over TLS these are the records themselves
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "rig/fuzz.h"
#include "server/httpd.h"

enum { WAITING = 32, TURNS = 6 };

static struct event_base *base;
static struct httpd *servers[2]; /* plain, TLS */
static char addresses[2][64];
static struct httpd_request *waiting[WAITING];
static int waits;
static bool answers_later;
static int64_t held;

static void on_bytes(void *arg, int64_t change)
{
	(void)arg;
	held += change;
	must(held >= 0);
}

static void handle(struct httpd_request *r, void *arg)
{
	size_t length;

	(void)arg;
	(void)httpd_body(r, &length);
	must(length <= 2000 && httpd_path(r)[0] != '\0');
	if (answers_later && waits < WAITING)
		waiting[waits++] = r;
	else
		httpd_answer(r, 200, "text/plain", NULL, "ok", 2);
}

static void write_certificate(const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *f = fopen(path, "we");

	must(key && x && f);
	(void)X509_gmtime_adj(X509_getm_notBefore(x), -60);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	(void)X509_set_pubkey(x, key);
	must(X509_sign(x, key, EVP_sha256()) > 0);
	must(PEM_write_X509(f, x) == 1 && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
	(void)fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void open_servers(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	char path[] = "/tmp/kspool_fuzz_XXXXXX";
	int fd = mkstemp(path);

	log_configure(&quiet);
	must(fd >= 0);
	(void)close(fd);
	write_certificate(path);
	base = event_base_new();
	for (int tls = 0; tls < 2; tls++) {
		struct httpd_options o = {.address = addresses[tls],
		                          .max_connections = 8,
		                          .max_body_bytes = 2000,
		                          .head_timeout_ns = NS_PER_S,
		                          .idle_timeout_ns = NS_PER_S,
		                          .on_bytes = on_bytes};
		struct error e;

		(void)snprintf(addresses[tls], sizeof addresses[tls], "@kspool-fuzz-%d-%d", (int)getpid(), tls);
		o.cert_file = o.key_file = tls ? path : NULL;
		must(httpd_open(base, &o, &servers[tls], &e) == ERR_OK);
		httpd_route(servers[tls], "GET", "/ping", handle, NULL);
		httpd_route(servers[tls], "POST,PUT", "/in/{x}/", handle, NULL);
	}
	(void)unlink(path);
}

static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path + 1, name + 1, strlen(name + 1));
	must(connect(fd, (struct sockaddr *)&address,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	return fd;
}

static void turn(void)
{
	for (int i = 0; i < TURNS; i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
}

static void answer_all(void)
{
	while (waits > 0)
		httpd_answer(waiting[--waits], 503, NULL, "Retry-After: 1\r\n", NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1 << 20, 1, 7, 64};
	char dropped[4096];
	struct httpd *server;
	size_t piece;
	int fd;

	if (size < 1)
		return 0;
	if (!base)
		open_servers();
	server = servers[data[0] & 1];
	piece = pieces[data[0] >> 1 & 3];
	answers_later = data[0] & 8;
	fd = connect_to(addresses[data[0] & 1]);
	for (size_t at = 1; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		if (send(fd, data + at, n, MSG_NOSIGNAL) < 0)
			break;
		turn();
		while (recv(fd, dropped, sizeof dropped, 0) > 0)
			continue;
	}
	if (data[0] & 16)
		(void)shutdown(fd, SHUT_WR);
	turn();
	answer_all();
	turn();
	(void)close(fd);
	turn();
	answer_all(); /* what came with the last bytes */
	turn();
	must(httpd_is_idle(server) && held == 0);
	return 0;
}
