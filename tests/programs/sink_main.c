/*
 * sink: a PutRecords endpoint that counts, for tools/bench.
 *
 * What it is: one thread, epoll, HTTP/1.1 with keep-alive, plain or TLS. Reads requests in JSON or CBOR just far enough
 * to count records and to answer each correctly; may answer late (--latency-ms) and refuse records for rate
 * (--throttle-permille, repeatable by --seed). Keys are spread over --shards as the service does, and a shard can
 * refuse all from some record on (--fault-shard SHARD:FAULT[:FROM], FAULT one of throttle, fail, silent and
 * slow=RECORDS a second; silent: no request with a record of it is answered), until SIGUSR1. With --verify it finds
 * "seq":N in each accepted record's data and keeps a bitmap, so that losses and duplicates are known. Prints "ready
 * PORT" when it listens and one line of JSON on SIGTERM. Does not: check signatures, limits or stream names
 * (tests/e2e/fake_kinesis.py does), or store anything.
 */
#include "sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

struct sink sink;

_Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
	exit(1);
}

int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- requests */

static void put_big_endian(char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (char)(value >> (24 - 8 * i));
}

static void count_time(uint64_t accepted)
{
	int64_t now = now_ns();
	uint32_t bucket;

	if (!sink.first_ns)
		sink.first_ns = now;
	sink.last_ns = now;
	bucket = (uint32_t)((now - sink.first_ns) / NS_PER_MS / BUCKET_MS);
	if (bucket < BUCKETS) {
		sink.timeline[bucket] += (uint32_t)accepted;
		if (bucket >= sink.buckets)
			sink.buckets = bucket + 1;
	}
}

/* Builds the whole answer: room for the head is left in front and filled in once lengths are known. */
static void answer(struct connection *c)
{
	char *body = c->in + c->head_len, head[512];
	uint32_t count = 0, failed = 0;
	size_t space = 256, start;
	int length;
	uint64_t before = sink.verify ? sink.unique : sink.records;

	c->out = grow(c->out, &c->out_cap, space);
	c->out_len = space;
	start = c->out_len;
	if (c->cbor) {
		ADD(c, "\xa2\x71"
		       "FailedRecordCount\x1a....\x67Records\x9a....");
		if (!take_cbor_body(c, body, c->body_len, &count, &failed))
			sink.unreadable++;
		put_big_endian(c->out + start + 20, failed);
		put_big_endian(c->out + start + 33, count);
	} else {
		ADD(c, "{\"Records\":[");
		count = take_json(c, body, body + c->body_len, &failed);
		if (count)
			c->out_len--;
		length = snprintf(head, sizeof head, "],\"FailedRecordCount\":%" PRIu32 "}", failed);
		add(c, head, (size_t)length);
	}
	length = snprintf(head, sizeof head,
	                  "HTTP/1.1 200 OK\r\nx-amzn-RequestId: 00000000-0000-0000-0000-%012" PRIu64
	                  "\r\nContent-Type: application/x-amz-%s-1.1\r\nContent-Length: %zu\r\n\r\n",
	                  ++sink.requests, c->cbor ? "cbor" : "json", c->out_len - start);
	c->out_off = start - (size_t)length;
	memcpy(c->out + c->out_off, head, (size_t)length);
	sink.bytes_in += c->head_len + c->body_len;
	sink.bytes_out += c->out_len - c->out_off;
	count_time((sink.verify ? sink.unique : sink.records) - before);
	c->in_len -= c->head_len + c->body_len;
	memmove(c->in, body + c->body_len, c->in_len);
	c->head_len = 0;
}

static bool parse_head(struct connection *c)
{
	char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4), *length;

	if (!end)
		return c->in_len <= HEAD_MAX;
	*end = '\0';
	length = strcasestr(c->in, "\r\nContent-Length:");
	if (!length || strncmp(c->in, "POST ", 5) != 0)
		return false;
	c->body_len = strtoull(length + 17, NULL, 10);
	c->cbor = strcasestr(c->in, "x-amz-cbor-1.1") != NULL;
	c->wants_continue = strcasestr(c->in, "\r\nExpect: 100") != NULL;
	*end = '\r';
	c->head_len = (size_t)(end - c->in) + 4;
	c->in = grow(c->in, &c->in_cap, c->head_len + c->body_len + 1);
	return c->body_len <= BODY_MAX;
}

/* ---- connections */

static void drop(struct connection *c)
{
	if (c->due_ns)
		STAILQ_REMOVE(&sink.late, c, connection, link);
	SSL_free(c->ssl);
	(void)close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

static void watch(struct connection *c, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = c};

	if (epoll_ctl(sink.epoll, EPOLL_CTL_MOD, c->fd, &e) != 0)
		die("epoll");
}

/* > 0 bytes moved, 0 try later, < 0 the connection is over. */
static ssize_t tls_result(struct connection *c, int done)
{
	int why;

	if (done > 0)
		return done;
	why = SSL_get_error(c->ssl, done);
	ERR_clear_error();
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static ssize_t plain_result(ssize_t done)
{
	if (done > 0)
		return done;
	return done < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t receive(struct connection *c, char *to, size_t room)
{
	return c->ssl ? tls_result(c, SSL_read(c->ssl, to, (int)room)) : plain_result(recv(c->fd, to, room, 0));
}

static bool send_answer(struct connection *c)
{
	while (c->out_off < c->out_len) {
		size_t left = c->out_len - c->out_off;
		ssize_t done = c->ssl ? tls_result(c, SSL_write(c->ssl, c->out + c->out_off, (int)left))
		                      : plain_result(send(c->fd, c->out + c->out_off, left, MSG_NOSIGNAL));

		if (done < 0)
			return false;
		if (done == 0) {
			watch(c, EPOLLIN | EPOLLOUT);
			return true;
		}
		c->out_off += (size_t)done;
	}
	c->out_len = c->out_off = 0;
	watch(c, EPOLLIN);
	return true;
}

static bool on_request(struct connection *c)
{
	c->unanswered = false;
	answer(c);
	if (c->unanswered) {
		c->out_off = c->out_len = 0;
		return true;
	}
	if (!sink.latency_ns)
		return send_answer(c);
	c->due_ns = now_ns() + sink.latency_ns;
	STAILQ_INSERT_TAIL(&sink.late, c, link);
	watch(c, 0);
	return true;
}

/* One answer at a time: what a client pipelines waits in the buffer. */
static bool on_readable(struct connection *c)
{
	while (c->out_len == 0 && !c->due_ns) {
		ssize_t done;

		if (c->in_len && !c->head_len && !parse_head(c))
			return false;
		if (c->head_len && c->in_len >= c->head_len + c->body_len) {
			if (!on_request(c))
				return false;
			continue;
		}
		if (c->head_len && c->wants_continue) {
			ADD(c, "HTTP/1.1 100 Continue\r\n\r\n");
			c->wants_continue = false;
			if (!send_answer(c))
				return false;
		}
		c->in = grow(c->in, &c->in_cap, c->in_len + 65536);
		done = receive(c, c->in + c->in_len, c->in_cap - c->in_len - 1);
		if (done < 0)
			return false;
		if (done == 0)
			return true;
		c->in_len += (size_t)done;
		c->in[c->in_len] = '\0';
	}
	return true;
}

static void accept_all(void)
{
	for (;;) {
		int fd = accept4(sink.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
		struct connection *c;
		struct epoll_event e = {.events = EPOLLIN};

		if (fd < 0)
			return;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		c = calloc(1, sizeof *c);
		if (!c)
			die("memory");
		c->fd = fd;
		if (sink.tls) {
			c->ssl = SSL_new(sink.tls);
			SSL_set_fd(c->ssl, fd);
			SSL_set_accept_state(c->ssl);
			SSL_set_read_ahead(c->ssl, 1);
		}
		e.data.ptr = c;
		if (epoll_ctl(sink.epoll, EPOLL_CTL_ADD, fd, &e) != 0)
			die("epoll");
	}
}

/* Sends what is due; milliseconds until the next, -1 when none waits. */
static int send_due(void)
{
	struct connection *c;

	while ((c = STAILQ_FIRST(&sink.late))) {
		int64_t left = c->due_ns - now_ns();

		if (left > 0)
			return (int)(left / NS_PER_MS) + 1;
		STAILQ_REMOVE_HEAD(&sink.late, link);
		c->due_ns = 0;
		if (!send_answer(c) || (c->out_len == 0 && !on_readable(c)))
			drop(c);
	}
	return -1;
}

/* ---- life */

static void print_summary(void)
{
	printf("{\"records\":%" PRIu64 ",\"unique\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"unreadable\":%" PRIu64
	       ",\"throttled\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64
	       ",\"payload_bytes\":%" PRIu64 ",\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64
	       ",\"bucket_ms\":%d,\"timeline\":[",
	       sink.records, sink.unique, sink.duplicates, sink.unreadable, sink.throttled, sink.requests,
	       sink.bytes_in, sink.bytes_out, sink.payload, sink.first_ns, sink.last_ns, BUCKET_MS);
	for (uint32_t i = 0; i < sink.buckets; i++)
		printf("%s%" PRIu32, i ? "," : "", sink.timeline[i]);
	printf("],\"shards\":[");
	for (uint32_t i = 0; i < sink.shard_count; i++)
		printf("%s{\"records\":%" PRIu64 ",\"refused\":%" PRIu64 "}", i ? "," : "", sink.shards[i].records,
		       sink.shards[i].refused);
	printf("]}\n");
}

static void listen_on(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t size = sizeof address;
	int one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sink.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sink.listener < 0 || setsockopt(sink.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
	    bind(sink.listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(sink.listener, 1024) != 0 ||
	    getsockname(sink.listener, (struct sockaddr *)&address, &size) != 0)
		die("listen");
	printf("ready %u\n", (unsigned)ntohs(address.sin_port));
	(void)fflush(stdout);
}

static void use_tls(const char *cert, const char *key)
{
	sink.tls = SSL_CTX_new(TLS_server_method());
	if (!sink.tls || SSL_CTX_use_certificate_chain_file(sink.tls, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(sink.tls, key, SSL_FILETYPE_PEM) != 1)
		die("certificate");
	SSL_CTX_set_mode(sink.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

/* A signal: the end, or that of all faults. */
static bool is_over(void)
{
	struct signalfd_siginfo s;

	if (read(sink.signals, &s, sizeof s) != sizeof s || s.ssi_signo != SIGUSR1)
		return true;
	for (uint32_t i = 0; i < sink.shard_count; i++)
		sink.shards[i].fault = FAULT_NONE;
	return false;
}

static void run(void)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int wait_ms = send_due();
		int count = epoll_wait(sink.epoll, events, EVENTS, wait_ms);

		for (int i = 0; i < count; i++) {
			struct connection *c = events[i].data.ptr;

			if (events[i].data.ptr == &sink.signals) {
				if (is_over())
					return;
				continue;
			}
			if (events[i].data.ptr == &sink.listener) {
				accept_all();
			} else if ((events[i].events & (EPOLLERR | EPOLLHUP)) ||
			           (c->out_len && !c->due_ns && !send_answer(c)) || !on_readable(c)) {
				drop(c);
			}
		}
	}
}

static void begin(uint16_t port)
{
	struct epoll_event e = {.events = EPOLLIN};
	sigset_t set;

	for (uint32_t i = 0; i < sink.shard_count; i++)
		(void)snprintf(sink.shards[i].name, sizeof sink.shards[i].name, "shardId-%012" PRIu32, i);
	STAILQ_INIT(&sink.late);
	sink.seen = sink.verify ? calloc(SEQ_LIMIT / 8, 1) : NULL;
	sink.epoll = epoll_create1(EPOLL_CLOEXEC);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	sink.signals = signalfd(-1, &set, SFD_CLOEXEC);
	listen_on(port);
	e.data.ptr = &sink.signals;
	if (epoll_ctl(sink.epoll, EPOLL_CTL_ADD, sink.signals, &e) != 0)
		die("epoll");
	e.data.ptr = &sink.listener;
	if (epoll_ctl(sink.epoll, EPOLL_CTL_ADD, sink.listener, &e) != 0)
		die("epoll");
}

/* SHARD:FAULT[:FROM] */
static bool read_fault(char *text)
{
	static const char *const names[] = {
	    [FAULT_THROTTLE] = "throttle", [FAULT_FAIL] = "fail", [FAULT_SILENT] = "silent", [FAULT_SLOW] = "slow"};
	char *save, *shard = strtok_r(text, ":", &save), *fault = strtok_r(NULL, ":", &save),
	            *from = strtok_r(NULL, ":", &save), *speed = fault ? strchr(fault, '=') : NULL;
	struct sink_shard *s;

	if (!fault || strtoul(shard, NULL, 10) >= sink.shard_count)
		return false;
	s = &sink.shards[strtoul(shard, NULL, 10)];
	if (speed)
		*speed++ = '\0';
	s->slow_s = speed ? strtod(speed, NULL) : 0;
	s->from = from ? strtoull(from, NULL, 10) : 0;
	for (int i = FAULT_THROTTLE; i <= FAULT_SLOW; i++)
		if (strcmp(fault, names[i]) == 0)
			s->fault = (enum fault)i;
	return s->fault != FAULT_NONE && (s->fault == FAULT_SLOW) == (s->slow_s > 0);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"port", required_argument, NULL, 'p'},
	    {"cert", required_argument, NULL, 'c'},
	    {"key", required_argument, NULL, 'k'},
	    {"latency-ms", required_argument, NULL, 'l'},
	    {"seed", required_argument, NULL, 's'},
	    {"throttle-permille", required_argument, NULL, 't'},
	    {"verify", no_argument, NULL, 'V'},
	    {"shards", required_argument, NULL, 'n'},
	    {"fault-shard", required_argument, NULL, 'f'},
	    {NULL, 0, NULL, 0},
	};
	const char *cert = NULL, *key = NULL;
	uint16_t port = 0;
	int option;
	bool good = true;

	sink.random = 1;
	sink.shard_count = 1;
	while ((option = getopt_long(argc, argv, "V", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			port = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			cert = optarg;
			break;
		case 'k':
			key = optarg;
			break;
		case 'l':
			sink.latency_ns = strtoll(optarg, NULL, 10) * NS_PER_MS;
			break;
		case 's':
			sink.random = strtoull(optarg, NULL, 10) | 1;
			break;
		case 't':
			sink.throttle_permille = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'V':
			sink.verify = true;
			break;
		case 'n':
			sink.shard_count = (uint32_t)strtoul(optarg, NULL, 10);
			good &= sink.shard_count >= 1 && sink.shard_count <= SHARDS_MOST;
			break;
		case 'f':
			good &= good && read_fault(optarg);
			break;
		default:
			good = false;
		}
	}
	if (!good) {
		(void)fprintf(stderr, "usage: sink [--port N] [--cert FILE --key FILE] [--latency-ms N]"
		                      " [--throttle-permille N] [--seed N] [--verify] [--shards N]"
		                      " [--fault-shard SHARD:throttle|fail|silent|slow=N[:FROM]]...\n");
		return 64;
	}
	if (cert && key)
		use_tls(cert, key);
	begin(port);
	run();
	print_summary();
	return 0;
}
