/*
 * Queries of the control socket, over a real server and a real journal with a shelf: the first byte chooses who is
 * asked, the rest is the target's query, sent as it is. Oracles: each request is answered once, by a whole answer of a
 * known status; what is refused or listed changes no count; the journal goes on.
 */
#include "rig/daemon_world.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/admin.h"
#include "daemon/admin_shelf.h"
#include "rig/fuzz.h"

enum { QUERY_MAX = 6000, ANSWER_MAX = 1 << 17, SHELVED = 5 };

static struct world world;
static struct event_base *base;
static char address[64];
static char answer[ANSWER_MAX];

/* The rig's temporary folder goes with the process. */
static void remove_world(void)
{
	rig_stop(world.journal);
	spooldir_remove(&world.dir);
}

static void open_all(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	struct httpd_options o = {.address = address,
	                          .max_connections = 8,
	                          .max_connections_per_peer = 8,
	                          .max_body_bytes = 100,
	                          .head_timeout_ns = 10 * NS_PER_S,
	                          .idle_timeout_ns = 10 * NS_PER_S};
	struct httpd *server = NULL;
	uint64_t ids[SHELVED];
	struct error e;

	world_open(&world, WORLD_CONFIG);
	log_configure(&quiet);
	world_store(&world, SHELVED);
	journal_credit(world.journal, SHELVED, 1 << 20);
	rig_take_ids(world.journal, ids, SHELVED);
	rig_settle_ids(world.journal, ids, SHELVED, SETTLE_DEAD, 0);
	rig_wait_empty(world.journal);
	base = event_base_new();
	(void)snprintf(address, sizeof address, "@kspool-fuzz-shelf-%d", (int)getpid());
	must(httpd_open(base, &o, &server, &e) == ERR_OK);
	admin_show(server, &world.source);
	(void)admin_shelf_open(server, world.journal, NULL);
	must(atexit(remove_world) == 0);
}

static int connect_to(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(to.sun_path + 1, address + 1, strlen(address + 1));
	must(connect(fd, (struct sockaddr *)&to,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address))) == 0);
	return fd;
}

/* Until the server closes; returns the status. */
static int talk(int fd, const char *request, size_t length)
{
	size_t have = 0;
	ssize_t n = -1;
	int status;

	must(send(fd, request, length, MSG_NOSIGNAL) == (ssize_t)length);
	while (n != 0 && have + 1 < sizeof answer) {
		(void)journal_intake_run(world.journal);
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		n = recv(fd, answer + have, sizeof answer - 1 - have, 0);
		must(n >= 0 || errno == EAGAIN);
		have += n > 0 ? (size_t)n : 0;
	}
	answer[have] = '\0';
	must(have > 12 && sscanf(answer, "HTTP/1.1 %d", &status) == 1);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const asked[] = {"GET /dead",   "POST /dead/retry", "POST /dead/purge", "POST /export",
	                                    "GET /status", "GET /metrics",     "GET /dead/retry",  "POST /dead"};
	static const int known[] = {200, 400, 404, 405, 409, 414, 431, 503};
	char request[QUERY_MAX + 200];
	bool is_known = false;
	int fd, n, status;

	if (size < 1 || size > QUERY_MAX)
		return 0;
	if (memmem(data, size, "to=", 3)) /* a path would be written to */
		return 0;
	if (!base)
		open_all();
	n = snprintf(request, sizeof request, "%s?", asked[data[0] % 8]);
	for (size_t i = 1; i < size; i++) /* what ends the line is the server's own target */
		request[n++] = (char)(data[i] <= ' ' || data[i] >= 127 ? '+' : data[i]);
	n += snprintf(request + n, sizeof request - (size_t)n,
	              " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	fd = connect_to();
	status = talk(fd, request, (size_t)n);
	(void)close(fd);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		is_known |= known[i] == status;
	must(is_known);
	must(strstr(answer, "\r\n\r\n"));
	return 0;
}
