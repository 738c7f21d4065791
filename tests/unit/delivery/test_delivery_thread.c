/*
 * The delivery thread with the real journal and the real client against a small HTTP server on loopback: messages go
 * from offers to acknowledged records and leave the journal; an unreachable endpoint and a stop leave everything in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "journal/journal.h"
#include "delivery/delivery.h"
#include "delivery/outbox.h"

enum { BODY_ROOM = 8 << 20, WAIT_MS = 20000 };

struct server {
	int fd;
	int port;
	pthread_t thread;
	atomic_bool stop;
	atomic_uint records;
	atomic_uint connections; /* threads that may still look at this */
	atomic_bool denies;      /* each request is answered with AccessDenied */
};

static bool read_request(int fd, char *body, size_t *ret_bytes)
{
	char head[16384];
	size_t got = 0, length;
	char *end = NULL, *field;

	while (!end) {
		ssize_t n = read(fd, head + got, sizeof head - 1 - got);

		if (n <= 0)
			return false;
		got += (size_t)n;
		head[got] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	field = strcasestr(head, "content-length:");
	length = field ? strtoul(field + 15, NULL, 10) : 0;
	got -= (size_t)(end + 4 - head);
	memcpy(body, end + 4, got);
	while (got < length) {
		ssize_t n = read(fd, body + got, length - got);

		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	body[length] = '\0';
	*ret_bytes = length;
	return true;
}

static void answer_request(struct server *s, int fd, const char *body)
{
	static const char DENIED[] = "{\"__type\":\"AccessDeniedException\",\"message\":\"no\"}";
	char head[256];
	struct buf b;
	bool denied = atomic_load(&s->denies);

	buf_init(&b, BODY_ROOM);
	if (denied) {
		(void)buf_add_text(&b, DENIED);
	} else {
		unsigned records = 0;

		(void)buf_add_text(&b, "{\"FailedRecordCount\":0,\"Records\":[");
		for (const char *p = body; (p = strstr(p, "\"PartitionKey\"")); p++, records++)
			(void)buf_addf(&b, "%s{\"SequenceNumber\":\"1\",\"ShardId\":\"s\"}", records ? "," : "");
		(void)buf_add_text(&b, "]}");
		atomic_fetch_add(&s->records, records);
	}
	(void)snprintf(head, sizeof head,
	               "HTTP/1.1 %s\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %zu\r\n\r\n",
	               denied ? "400 Bad Request" : "200 OK", b.len);
	(void)!write(fd, head, strlen(head));
	(void)!write(fd, b.data, b.len);
	buf_fini(&b);
}

struct connection {
	struct server *server;
	int fd;
};

static void *serve_connection(void *arg)
{
	struct connection *c = arg;
	char *body = malloc(BODY_ROOM);
	size_t bytes;

	while (read_request(c->fd, body, &bytes))
		answer_request(c->server, c->fd, body);
	(void)close(c->fd);
	free(body);
	atomic_fetch_sub(&c->server->connections, 1);
	free(c);
	return NULL;
}

static void *serve(void *arg)
{
	struct server *s = arg;

	while (!atomic_load(&s->stop)) {
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		struct connection *c;
		pthread_t thread;

		if (poll(&p, 1, 50) != 1)
			continue;
		c = mem_zero(sizeof *c);
		c->server = s;
		c->fd = accept(s->fd, NULL, NULL);
		atomic_fetch_add(&s->connections, 1);
		assert_int_equal(pthread_create(&thread, NULL, serve_connection, c), 0);
		(void)pthread_detach(thread);
	}
	return NULL;
}

static void server_start(struct server *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof a;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(s->fd, 128), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &length), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	atomic_store(&s->stop, true);
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	while (atomic_load(&s->connections) > 0) /* the client has closed them */
		(void)poll(NULL, 0, 1);
	(void)close(s->fd);
}

static struct config *make_config_with(int port, const char *output, const char *more)
{
	const struct config_load_options options = {0};
	struct config_faults faults = {0};
	struct config *config = NULL;
	struct error e = {0};
	char text[2048];

	(void)snprintf(text, sizeof text,
	               "input:\n  stdin: {}\n"
	               "buffer:\n  sqlite:\n    path: /nonexistent/spool.db\n"
	               "output:\n  aws_kinesis:\n    stream: test\n    region: us-east-1\n"
	               "    endpoint: http://127.0.0.1:%d\n"
	               "    partition_key: ${! content() }\n"
	               "    credentials:\n      id: AKIDEXAMPLE\n      secret: secret\n%s"
	               "kspool:\n  probe_initial: 50ms\n%s",
	               port, output, more);
	if (config_parse("test", text, strlen(text), &options, &config, &faults, &e) != ERR_OK)
		fail_msg("%s: %s", e.text, faults.count ? faults.items[0].text : "");
	config_faults_fini(&faults);
	return config;
}

static struct config *make_config(int port, const char *more) { return make_config_with(port, "", more); }

static void condemned(const struct error *reason)
{
	(void)fprintf(stderr, "condemned: %s\n", reason->text);
	abort();
}

struct spool {
	char folder[64];
	char path[96];
	struct journal *journal;
	unsigned accepted;
};

static void spool_open(struct spool *s)
{
	struct journal_options options = {.store = {.max_message_bytes = 1 << 20, .create = true},
	                                  .commit_max_bytes = 1 << 20,
	                                  .commit_max_rows = 512,
	                                  .commit_max_wait_ns = 2 * NS_PER_MS};
	struct store_report report;
	struct error e = {0};

	(void)snprintf(s->folder, sizeof s->folder, "/tmp/kspool_delivery_XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	(void)snprintf(s->path, sizeof s->path, "%s/spool.db", s->folder);
	options.store.path = s->path;
	if (journal_start(&options, condemned, &s->journal, &report, &e) != ERR_OK)
		fail_msg("%s", e.text);
}

static void spool_close(struct spool *s)
{
	char command[160];
	struct error e = {0};

	assert_int_equal(journal_stop(s->journal, &e), ERR_OK);
	(void)snprintf(command, sizeof command, "rm -rf %s", s->folder);
	assert_int_equal(system(command), 0);
}

static void on_offered(struct offer *offer, void *arg)
{
	struct spool *s = arg;

	assert_int_equal(offer->verdict, OFFER_ACCEPTED);
	s->accepted += offer->count;
	free(offer);
}

static void spool_put(struct spool *s, unsigned count)
{
	struct offer *offer = mem_zero(sizeof *offer);
	unsigned before = s->accepted;

	STAILQ_INIT(&offer->messages);
	STAILQ_INIT(&offer->set_aside);
	for (unsigned i = 0; i < count; i++) {
		char text[32];
		int n = snprintf(text, sizeof text, "message-%u", i);
		struct message *m = message_new(NULL, 0, text, (size_t)n, clock_wall_ms());

		STAILQ_INSERT_TAIL(&offer->messages, m, link);
		offer->bytes += message_cost(m);
	}
	offer->count = count;
	offer->done = on_offered;
	offer->arg = s;
	assert_true(journal_offer(s->journal, offer));
	for (int i = 0; i < WAIT_MS / 10 && s->accepted == before; i++) {
		struct pollfd p = {.fd = journal_intake_fd(s->journal), .events = POLLIN};

		(void)poll(&p, 1, 10);
		(void)journal_intake_run(s->journal);
	}
	assert_int_equal(s->accepted, before + count);
}

static bool wait_empty(struct spool *s)
{
	for (int i = 0; i < WAIT_MS / 5 && !journal_is_empty(s->journal); i++)
		(void)poll(NULL, 0, 5);
	return journal_is_empty(s->journal);
}

/* Many turns, so that the last status is never long ago. */
static bool wait_empty_kicking(struct spool *s, struct delivery *d)
{
	for (int i = 0; i < WAIT_MS && !journal_is_empty(s->journal); i++) {
		delivery_kick(d);
		(void)poll(NULL, 0, 1);
	}
	return journal_is_empty(s->journal);
}

static bool wait_state(struct delivery *d, enum delivery_state state, struct delivery_status *ret)
{
	for (int i = 0; i < WAIT_MS / 10; i++) {
		delivery_status(d, ret);
		if (ret->state == state)
			return true;
		(void)poll(NULL, 0, 10);
	}
	return false;
}

static void messages_reach_the_service_and_leave_the_journal(void **state)
{
	struct server server = {0};
	struct delivery_status status;
	struct config *config;
	struct delivery *d;
	struct spool spool = {0};
	struct error e = {0};

	(void)state;
	server_start(&server);
	config = make_config(server.port, "");
	spool_open(&spool);
	if (delivery_start(config, spool.journal, &d, &e) != ERR_OK)
		fail_msg("%s", e.text);
	for (int i = 0; i < 20; i++)
		spool_put(&spool, 1000);
	assert_true(wait_empty(&spool));
	assert_int_equal(atomic_load(&server.records), 20000);
	delivery_status(d, &status);
	assert_int_equal(status.state, DELIVERY_FLOWING);
	assert_string_equal(status.stream, "test");
	assert_int_equal(delivery_stop(d, NS_PER_S), 0);
	spool_close(&spool);
	server_stop(&server);
	config_free(config);
}

/* Batches are prepared beside the thread: with questions and reloads from here, and a stop in the middle of one. */
static void batches_are_prepared_beside_the_thread(void **state)
{
	static const char PROCESSORS[] = "  processors:\n    - mapping: root = content().uppercase()\n";
	struct server server = {0};
	struct delivery_status status;
	struct config *config, *next;
	struct delivery *d;
	struct spool spool = {0};
	struct error e = {0};

	(void)state;
	server_start(&server);
	config = make_config_with(server.port, PROCESSORS, "");
	next = make_config_with(server.port, PROCESSORS, "  key_error: random\n");
	spool_open(&spool);
	if (delivery_start(config, spool.journal, &d, &e) != ERR_OK)
		fail_msg("%s", e.text);
	for (int i = 0; i < 20; i++) {
		spool_put(&spool, 1000);
		assert_true(delivery_prepare_ns(d) >= 0);
		assert_int_equal(delivery_reload(d, i % 2 ? config : next, &e), ERR_OK);
		delivery_kick(d);
		delivery_status(d, &status);
	}
	assert_true(wait_empty(&spool));
	assert_int_equal(atomic_load(&server.records), 20000);
	for (int i = 0; i < 5; i++)
		spool_put(&spool, 1000);
	(void)delivery_stop(d, 0);
	spool_close(&spool);
	server_stop(&server);
	config_free(config);
	config_free(next);
}

static void a_held_stream_keeps_everything_until_it_is_let_in(void **state)
{
	struct server server = {0};
	struct delivery_status status;
	struct config *config;
	struct delivery *d;
	struct spool spool = {0};
	struct error e = {0};

	(void)state;
	server_start(&server);
	config = make_config(server.port, "");
	spool_open(&spool);
	assert_int_equal(delivery_start(config, spool.journal, &d, &e), ERR_OK);
	for (int round = 1; round <= 10; round++) {
		atomic_store(&server.denies, true);
		spool_put(&spool, 100);
		assert_true(wait_state(d, DELIVERY_HELD, &status));
		assert_string_equal(status.code, "AccessDeniedException");
		atomic_store(&server.denies, false);
		assert_true(wait_empty_kicking(&spool, d));
		/* At once: whoever knows that all has left is told the state that it left in. */
		delivery_status(d, &status);
		assert_int_equal(status.state, DELIVERY_FLOWING);
		assert_string_equal(status.code, "");
	}
	assert_int_equal(atomic_load(&server.records), 1000);
	assert_int_equal(delivery_stop(d, NS_PER_S), 0);
	spool_close(&spool);
	server_stop(&server);
	config_free(config);
}

static void nobody_there_is_offline_and_a_stop_is_quick(void **state)
{
	struct delivery_status status;
	struct config *config = make_config(1, "");
	struct spool spool = {0};
	struct delivery *d;
	struct error e = {0};
	int64_t begin_ms;

	(void)state;
	spool_open(&spool);
	assert_int_equal(delivery_start(config, spool.journal, &d, &e), ERR_OK);
	spool_put(&spool, 100);
	assert_true(wait_state(d, DELIVERY_OFFLINE, &status));
	begin_ms = clock_mono_ms();
	delivery_kick(d);
	delivery_stop_now(d);
	(void)delivery_stop(d, NS_PER_S);
	assert_true(clock_mono_ms() - begin_ms < 2000);
	assert_false(journal_is_empty(spool.journal));
	spool_close(&spool);
	config_free(config);
}

static void a_reload_that_does_not_open_is_refused_and_changes_nothing(void **state)
{
	struct config *config = make_config(1, ""), *bad = make_config(1, "");
	struct spool spool = {0};
	struct delivery *d;
	struct error e = {0};

	(void)state;
	free(bad->output.partition_key.text);
	bad->output.partition_key.text = strdup("${! nonsense( }");
	spool_open(&spool);
	assert_int_equal(delivery_start(config, spool.journal, &d, &e), ERR_OK);
	assert_int_equal(delivery_reload(d, bad, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "partition_key"));
	assert_int_equal(delivery_stop(d, NS_PER_S), 0);
	spool_close(&spool);
	config_free(bad);
	config_free(config);
}

/* A few rows of a hundred that go back to disk make room for others at once, not when many have. */
static void room_of_a_few_rows_is_given_back_soon(void **state)
{
	struct spool spool;
	struct outbox o;

	(void)state;
	spool_open(&spool);
	outbox_init(&o, spool.journal, 1000, 1000 << 10);
	outbox_flush(&o, true);
	assert_int_equal(o.owed_rows, 0);
	for (uint64_t id = 1; id <= 20; id++)
		outbox_settle(&o, &(const struct store_settlement){.id = id, .kind = SETTLE_RELEASE}, 512);
	outbox_flush(&o, false);
	assert_int_equal(o.owed_rows, 0);
	assert_int_equal(o.owed_bytes, 0);
	outbox_fini(&o);
	spool_close(&spool);
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages_reach_the_service_and_leave_the_journal),
	    cmocka_unit_test(batches_are_prepared_beside_the_thread),
	    cmocka_unit_test(a_held_stream_keeps_everything_until_it_is_let_in),
	    cmocka_unit_test(a_reload_that_does_not_open_is_refused_and_changes_nothing),
	    cmocka_unit_test(nobody_there_is_offline_and_a_stop_is_quick),
	    cmocka_unit_test(room_of_a_few_rows_is_given_back_soon),
	};

	log_configure(&quiet);
	(void)signal(SIGPIPE, SIG_IGN); /* the server may answer whom a stop has cut off */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
