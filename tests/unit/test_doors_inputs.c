/* The doors over a real journal: what is accepted is what is in the spool, once, in order, whatever happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "config/config.h"
#include "doors/doors.h"
#include "doors/frame.h"
#include "doors/httpd.h"
#include "journal/journal.h"
#include "journal/store.h"

struct world {
	char folder[64];
	char spool[96];
	struct config *config;
	struct journal *journal;
	struct event_base *base;
	struct event *answers;
	struct doors *doors;
	bool finished;
	size_t answered;
	size_t kill_after; /* answers; 0: never */
	uint64_t max_bytes;
	uint64_t memory_bytes;
	const char *address; /* in place of the first input's: the configuration has rules of its own */
};

static void on_finished(void *arg) { ((struct world *)arg)->finished = true; }

static void on_journal(evutil_socket_t fd, short what, void *arg)
{
	struct world *w = arg;

	(void)fd;
	(void)what;
	w->answered += journal_intake_run(w->journal);
	if (w->kill_after && w->answered >= w->kill_after)
		(void)raise(SIGKILL);
	if (w->doors)
		doors_resume(w->doors);
}

static void on_condemned(const struct error *reason)
{
	(void)fprintf(stderr, "condemned: %s\n", reason->text);
	abort();
}

static void make_folder(struct world *w)
{
	memset(w, 0, sizeof *w);
	snprintf(w->folder, sizeof w->folder, "/tmp/kspool_doors_XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->spool, sizeof w->spool, "%s/spool/kspool.db", w->folder);
	char *sub = mem_format("%s/spool", w->folder);
	assert_int_equal(mkdir(sub, 0700), 0);
	free(sub);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_folder(struct world *w) { (void)nftw(w->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static struct store_options store_options_of(const struct world *w)
{
	return (struct store_options){.path = w->spool, .max_bytes = w->max_bytes, .create = true};
}

/* `input` is YAML with @ for the folder; `more` is put under kspool. */
static enum err try_open(struct world *w, const char *input, const char *more, struct error *e)
{
	char *text = mem_format("input:\n%s\nbuffer:\n  sqlite:\n    path: %s\noutput:\n  aws_kinesis:\n    stream: s\n"
	                        "    partition_key: k\n    region: eu-west-1\nhttp:\n  enabled: false\nkspool:\n  memory: 4MiB\n%s\n",
	                        input, w->spool, more);
	struct config_load_options load = {0};
	struct config_faults faults = {0};
	struct journal_options journal = {.store = store_options_of(w)};
	struct store_report report;
	struct doors_options options = {.memory_bytes = w->memory_bytes, .on_finished = on_finished, .arg = w};
	enum err r;

	for (char *at; (at = strchr(text, '@'));) {
		char *whole = mem_format("%.*s%s%s", (int)(at - text), text, w->folder, at + 1);

		free(text);
		text = whole;
	}
	if (config_parse("test", text, strlen(text), &load, &w->config, &faults, e) != ERR_OK) {
		for (size_t i = 0; i < faults.count; i++)
			print_message("%d: %s\n", faults.items[i].line, faults.items[i].text);
		fail_msg("%s", text);
	}
	config_faults_fini(&faults);
	free(text);
	if (w->address) {
		struct config_input *input = &w->config->inputs[0];
		char **address = input->kind == INPUT_HTTP_SERVER ? &input->http_server.address
		                                                  : &input->socket_server.address;

		free(*address);
		*address = mem_string(w->address);
	}
	if (journal_start(&journal, on_condemned, &w->journal, &report, e) != ERR_OK)
		fail_msg("%s", e->text);
	w->base = event_base_new();
	w->answers = event_new(w->base, journal_intake_fd(w->journal), EV_READ | EV_PERSIST, on_journal, w);
	event_add(w->answers, NULL);
	w->finished = false;
	options.base = w->base;
	options.config = w->config;
	options.journal = w->journal;
	r = doors_start(&options, &w->doors, e);
	return r;
}

static void open_world(struct world *w, const char *input, const char *more)
{
	struct error e;

	if (try_open(w, input, more, &e) != ERR_OK)
		fail_msg("%s", e.text);
}

static void turn(struct world *w)
{
	const struct timeval tick = {.tv_usec = 2000};

	event_base_loopexit(w->base, &tick);
	event_base_dispatch(w->base);
}

static void close_world(struct world *w)
{
	struct error e;
	int64_t end = clock_mono_ms() + 10000;

	if (w->doors) {
		doors_stop(w->doors);
		while (!doors_is_idle(w->doors) && clock_mono_ms() < end)
			turn(w);
		assert_true(doors_is_idle(w->doors));
		doors_free(w->doors);
		w->doors = NULL;
	}
	event_free(w->answers);
	assert_int_equal(journal_stop(w->journal, &e), ERR_OK);
	event_base_free(w->base);
	config_free(w->config);
}

static void run_until_finished(struct world *w)
{
	int64_t end = clock_mono_ms() + 20000;

	while (!w->finished && clock_mono_ms() < end)
		turn(w);
	assert_true(w->finished);
}

/* What the spool holds. */
struct rows {
	struct message_list list;
	uint32_t count;
	struct store_ledger ledger;
};

static void read_spool(struct world *w, struct rows *rows)
{
	struct store_options options = store_options_of(w);
	struct store_report report;
	struct store_state state;
	struct store *s;
	struct error e;
	uint64_t after = 0;
	uint32_t n;

	STAILQ_INIT(&rows->list);
	rows->count = 0;
	if (store_open(&options, &s, &report, &e) != ERR_OK)
		fail_msg("%s", e.text);
	do {
		struct message_list some = STAILQ_HEAD_INITIALIZER(some);

		if (store_read(s, after, 1000, 1 << 26, &some, &n, &after, &e) != ERR_OK)
			fail_msg("%s", e.text);
		rows->count += n;
		STAILQ_CONCAT(&rows->list, &some);
	} while (n > 0);
	store_state(s, &state);
	rows->ledger = state.ledger;
	assert_int_equal(store_close(s, &e), ERR_OK);
}

static void write_file(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
}

static void assert_bodies(struct rows *rows, const char *const *bodies)
{
	const struct message *m;

	STAILQ_FOREACH(m, &rows->list, link) {
		assert_non_null(*bodies);
		assert_int_equal(m->body_bytes, strlen(*bodies));
		assert_memory_equal(message_body(m), *bodies, m->body_bytes);
		bodies++;
	}
	assert_null(*bodies);
}

static void assert_meta(const struct message *m, const char *key, const char *value)
{
	struct meta_entry entry;

	if (!value) {
		assert_false(meta_find(message_meta(m), m->meta_bytes, key, strlen(key), &entry));
		return;
	}
	if (!meta_find(message_meta(m), m->meta_bytes, key, strlen(key), &entry))
		fail_msg("no metadata %s", key);
	assert_int_equal(entry.value_length, strlen(value));
	assert_memory_equal(entry.value, value, entry.value_length);
}

static void files_are_read_in_order_and_finish(void **state)
{
	static const char *const expected[] = {"one", "two", "", "last", "b1", "b2", NULL};
	struct world w;
	struct rows rows;
	char path[128], b[128];
	char text[4000] = "one\r\ntwo\n\n";

	(void)state;
	make_folder(&w);
	memset(text + strlen(text), 'x', 2000); /* over the ceiling */
	strcat(text, "\nlast");
	snprintf(path, sizeof path, "%s/a.log", w.folder);
	write_file(path, text, strlen(text));
	snprintf(b, sizeof b, "%s/b.log", w.folder);
	write_file(b, "b1\nb2\n", 6);
	open_world(&w, "  file:\n    paths: [ \"@/*.log\" ]", "  max_message_bytes: 1000");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	assert_meta(STAILQ_FIRST(&rows.list), "path", path);
	assert_int_equal(rows.ledger.dead, 1);
	assert_int_equal(rows.ledger.accepted, 7);
	message_list_free(&rows.list);
	/* nothing is read twice; what was added is read */
	int fd = open(b, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "b3\n", 3), 3);
	close(fd);
	open_world(&w, "  file:\n    paths: [ \"@/*.log\" ]", "  max_message_bytes: 1000");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_int_equal(rows.count, 7);
	message_list_free(&rows.list);
	/* a file in its place is another file */
	unlink(b);
	write_file(b, "b1\nb2\nc3\nc4\n", 12);
	open_world(&w, "  file:\n    paths: [ \"@/*.log\" ]", "  max_message_bytes: 1000");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_int_equal(rows.count, 11);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void a_missing_file_is_refused_at_start(void **state)
{
	struct world w;
	struct error e;

	(void)state;
	make_folder(&w);
	assert_int_equal(try_open(&w, "  file:\n    paths: [ \"@/none\" ]", "", &e), ERR_NOINPUT);
	assert_non_null(strstr(e.text, "/none"));
	w.doors = NULL;
	close_world(&w);
	remove_folder(&w);
}

enum { LINES = 6000 };

static void write_numbered(const char *path)
{
	FILE *f = fopen(path, "we");

	for (int i = 0; i < LINES; i++)
		fprintf(f, "%06d %0*d\n", i, 20 + i % 300, i);
	fclose(f);
}

static void assert_numbered(struct rows *rows)
{
	const struct message *m;
	int i = 0;

	STAILQ_FOREACH(m, &rows->list, link)
		assert_int_equal(atoi((const char *)message_body(m)), i++);
	assert_int_equal(i, LINES);
}

static void a_kill_at_any_offer_neither_loses_nor_repeats(void **state)
{
	struct world w;
	struct rows rows;
	char path[128];

	(void)state;
	for (size_t kill_after = 1; kill_after <= 9; kill_after += 2) {
		make_folder(&w);
		snprintf(path, sizeof path, "%s/a.log", w.folder);
		write_numbered(path);
		for (int round = 0; round < 3; round++) {
			pid_t pid = fork();
			int status;

			assert_true(pid >= 0);
			if (pid == 0) {
				w.kill_after = kill_after;
				open_world(&w, "  file:\n    paths: [ \"@/a.log\" ]", "  max_message_bytes: 1000");
				run_until_finished(&w);
				_exit(0);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_true(round > 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
		}
		open_world(&w, "  file:\n    paths: [ \"@/a.log\" ]", "  max_message_bytes: 1000");
		run_until_finished(&w);
		close_world(&w);
		read_spool(&w, &rows);
		assert_numbered(&rows);
		message_list_free(&rows.list);
		remove_folder(&w);
	}
}

static void a_full_spool_makes_files_wait(void **state)
{
	struct world w;
	struct rows rows;
	char path[128];

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/a.log", w.folder);
	write_numbered(path);
	w.max_bytes = 200000;
	open_world(&w, "  file:\n    paths: [ \"@/a.log\" ]", "  max_message_bytes: 1000");
	for (int64_t end = clock_mono_ms() + 1500; clock_mono_ms() < end;)
		turn(&w);
	assert_false(w.finished);
	assert_true(doors_memory_bytes(w.doors) < 500000);
	close_world(&w);
	read_spool(&w, &rows);
	assert_true(rows.count > 0 && rows.count < LINES);
	message_list_free(&rows.list);
	w.max_bytes = 0;
	open_world(&w, "  file:\n    paths: [ \"@/a.log\" ]", "  max_message_bytes: 1000");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_numbered(&rows);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void stdin_is_read_to_its_end(void **state)
{
	static const char *const expected[] = {"a", "b", "-", NULL};
	struct world w;
	struct rows rows;
	int pipe_fds[2], saved = dup(STDIN_FILENO);

	(void)state;
	make_folder(&w);
	assert_int_equal(pipe(pipe_fds), 0);
	dup2(pipe_fds[0], STDIN_FILENO);
	open_world(&w, "  stdin:\n    scanner:\n      lines:\n        custom_delimiter: \"--\"\n        omit_empty: true", "");
	assert_int_equal(write(pipe_fds[1], "a--b--", 6), 6);
	turn(&w);
	assert_int_equal(write(pipe_fds[1], "-", 1), 1);
	turn(&w);
	assert_false(w.finished);
	close(pipe_fds[1]);
	run_until_finished(&w);
	close_world(&w);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(pipe_fds[0]);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static int tcp_client(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static int unix_client(struct world *w, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", w->folder, name);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* Reads until `length` bytes came, or the peer's end; returns how many. */
static size_t receive(struct world *w, int fd, char *to, size_t length)
{
	int64_t end = clock_mono_ms() + 5000;
	size_t n = 0;

	while (n < length && clock_mono_ms() < end) {
		ssize_t r;

		turn(w);
		r = recv(fd, to + n, length - n, MSG_DONTWAIT);
		if (r == 0 || (r < 0 && errno != EAGAIN))
			break;
		n += r > 0 ? (size_t)r : 0;
	}
	return n;
}

static int post(struct world *w, const char *headers, const char *body)
{
	int fd = tcp_client(doors_port(w->doors, 0));
	char *request = mem_format("POST /post?q=a%%20b&q=2&bad=1;2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s"
	                           "Content-Length: %zu\r\n\r\n%s",
	                           headers, strlen(body), body);
	char got[4096] = "";

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	(void)receive(w, fd, got, sizeof got - 1);
	free(request);
	close(fd);
	assert_ptr_equal(strstr(got, "HTTP/1.1 "), got);
	return atoi(got + 9);
}

#define HTTP_INPUT "  http_server:\n    address: 127.0.0.1:0"

static void http_stores_before_it_says_yes(void **state)
{
	static const char *const expected[] = {"hello", "a", "b", "c", "p1", "p2", "", NULL};
	struct world w;
	struct rows rows;
	const struct message *m;
	char long_line[1200] = "a\n";

	(void)state;
	make_folder(&w);
	open_world(&w, HTTP_INPUT, "  max_message_bytes: 1000");
	assert_int_equal(post(&w, "x-my-header: v\r\nCookie: c1=x; q=cookie\r\nUser-Agent: t\r\n", "hello"), 200);
	assert_int_equal(metric_get(M_INPUT_LATENCY) > 0, 1);
	assert_int_equal(post(&w, "Content-Type: application/x-ndjson\r\n", "a\r\n\nb\nc"), 200);
	assert_int_equal(post(&w, "Content-Type: multipart/mixed; boundary=B\r\n",
	                      "--B\r\n\r\np1\r\n--B\r\nX: y\r\n\r\np2\r\n--B--\r\n"),
	                 200);
	assert_int_equal(post(&w, "", ""), 200);
	/* all or none */
	memset(long_line + 2, 'x', 1100);
	assert_int_equal(post(&w, "Content-Type: application/x-ndjson\r\n", long_line), 413);
	assert_int_equal(post(&w, "", long_line), 413);
	assert_int_equal(post(&w, "Content-Type: multipart/mixed; boundary=B\r\n", "--B\r\n\r\np1\r\n--B\r\n\r\ncut"), 400);
	assert_int_equal(post(&w, "Content-Type: multipart/mixed\r\n", "x"), 400);
	assert_int_equal(post(&w, "Content-Type: application/x-ndjson\r\n", "\n\n"), 200);
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	m = STAILQ_FIRST(&rows.list);
	assert_meta(m, "X-My-Header", "v");
	assert_meta(m, "http_server_user_agent", "t");
	assert_meta(m, "User-Agent", "t");
	assert_meta(m, "http_server_request_path", "/post");
	assert_meta(m, "http_server_verb", "POST");
	assert_meta(m, "http_server_remote_ip", "127.0.0.1");
	assert_meta(m, "q", "cookie");
	assert_meta(m, "c1", "x");
	assert_meta(m, "bad", NULL);
	assert_meta(m, "Host", NULL);
	assert_meta(STAILQ_NEXT(m, link), "q", "a b");
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void http_says_when_the_spool_is_full(void **state)
{
	struct world w;
	int status = 200, tries = 0;
	char body[900];

	(void)state;
	make_folder(&w);
	memset(body, 'x', sizeof body - 1);
	body[sizeof body - 1] = '\0';
	w.max_bytes = 5000;
	open_world(&w, HTTP_INPUT, "  max_message_bytes: 1000");
	while (status == 200 && tries++ < 20)
		status = post(&w, "", body);
	assert_int_equal(status, 507);
	assert_true(tries > 1);
	close_world(&w);
	remove_folder(&w);
}

static void send_frame(int fd, const char *payload, size_t length)
{
	unsigned char header[FRAME_HEADER_BYTES];

	frame_header_encode((uint32_t)length, header);
	assert_int_equal(send(fd, header, sizeof header, MSG_NOSIGNAL), sizeof header);
	assert_int_equal(send(fd, payload, length, MSG_NOSIGNAL), length);
}

static enum frame_status next_answer(struct world *w, int fd)
{
	char header[FRAME_ANSWER_HEADER_BYTES], text[FRAME_TEXT_MAX_BYTES];
	size_t length;

	assert_int_equal(receive(w, fd, header, sizeof header), sizeof header);
	length = (size_t)(unsigned char)header[3] << 8 | (unsigned char)header[4];
	assert_int_equal(receive(w, fd, text, length), length);
	return (enum frame_status)header[0];
}

#define FRAMES_INPUT "  socket_server:\n    network: unix\n    address: \"@/in.sock\"\n    framing: length\n"

static void frames_are_answered_in_order(void **state)
{
	static const char *const expected[] = {"first", "", "after", "x", NULL};
	struct world w;
	struct rows rows;
	char big[2000];
	struct stat st;
	char path[128];
	int fd, other;

	(void)state;
	make_folder(&w);
	memset(big, 'b', sizeof big);
	open_world(&w, FRAMES_INPUT "    mode: \"0600\"\n", "  max_message_bytes: 1000");
	snprintf(path, sizeof path, "%s/in.sock", w.folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	fd = unix_client(&w, "in.sock");
	send_frame(fd, "first", 5);
	send_frame(fd, "", 0);
	send_frame(fd, big, sizeof big);
	send_frame(fd, "after", 5);
	assert_int_equal(next_answer(&w, fd), FRAME_ACCEPTED);
	assert_int_equal(next_answer(&w, fd), FRAME_ACCEPTED);
	assert_int_equal(next_answer(&w, fd), FRAME_REFUSED);
	assert_int_equal(next_answer(&w, fd), FRAME_ACCEPTED);
	/* a client that ends its side still gets its answer; a cut frame is dropped */
	other = unix_client(&w, "in.sock");
	send_frame(other, "x", 1);
	assert_int_equal(send(other, "\0\0\0\5ab", 6, MSG_NOSIGNAL), 6);
	shutdown(other, SHUT_WR);
	assert_int_equal(next_answer(&w, other), FRAME_ACCEPTED);
	assert_int_equal(receive(&w, other, big, 1), 0);
	close(other);
	close(fd);
	close_world(&w);
	assert_int_equal(stat(path, &st), -1);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void frames_hear_that_the_spool_is_full(void **state)
{
	enum { MANY = 20 };
	struct world w;
	struct rows rows;
	char body[900];
	int fd, accepted = 0, full = 0;

	(void)state;
	make_folder(&w);
	memset(body, 'x', sizeof body);
	w.max_bytes = 5000;
	open_world(&w, FRAMES_INPUT, "  max_message_bytes: 1000");
	fd = unix_client(&w, "in.sock");
	for (int i = 0; i < MANY; i++) {
		enum frame_status status;

		send_frame(fd, body, sizeof body);
		status = next_answer(&w, fd);
		accepted += status == FRAME_ACCEPTED;
		full += status == FRAME_FULL;
	}
	assert_int_equal(accepted + full, MANY);
	assert_true(accepted > 0 && full > 0);
	close(fd);
	close_world(&w);
	read_spool(&w, &rows);
	assert_int_equal(rows.count, accepted);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void tokens_and_peer_rules_are_kept(void **state)
{
	struct world w;
	char path[128], byte;
	struct rows rows;
	char *input;
	int fd;

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/tokens", w.folder);
	write_file(path, "0123456789abcdef\n", 17);
	open_world(&w, FRAMES_INPUT "    token_file: \"@/tokens\"\n", "");
	fd = unix_client(&w, "in.sock");
	send_frame(fd, "wrong", 5);
	assert_int_equal(next_answer(&w, fd), FRAME_REFUSED);
	assert_int_equal(receive(&w, fd, &byte, 1), 0);
	close(fd);
	fd = unix_client(&w, "in.sock");
	send_frame(fd, "0123456789abcdef", 16);
	send_frame(fd, "data", 4);
	assert_int_equal(next_answer(&w, fd), FRAME_ACCEPTED);
	assert_int_equal(next_answer(&w, fd), FRAME_ACCEPTED);
	close(fd);
	close_world(&w);
	read_spool(&w, &rows);
	assert_int_equal(rows.count, 1);
	message_list_free(&rows.list);
	input = mem_format("%s    allow_users: [ \"%u\" ]\n", FRAMES_INPUT, (unsigned)getuid() + 1);
	open_world(&w, input, "");
	free(input);
	fd = unix_client(&w, "in.sock");
	assert_int_equal(receive(&w, fd, &byte, 1), 0);
	close(fd);
	close_world(&w);
	input = mem_format("%s    allow_users: [ \"%u\" ]\n", FRAMES_INPUT, (unsigned)getuid());
	open_world(&w, input, "");
	free(input);
	fd = unix_client(&w, "in.sock");
	send_frame(fd, "data", 4);
	assert_int_equal(next_answer(&w, fd), FRAME_ACCEPTED);
	close(fd);
	close_world(&w);
	remove_folder(&w);
}

static void lines_come_by_sockets(void **state)
{
	static const char *const expected[] = {"a", "b", "c", NULL};
	struct world w;
	struct rows rows;
	int fd;

	(void)state;
	make_folder(&w);
	open_world(&w, "  socket_server:\n    network: tcp\n    address: 127.0.0.1:0\n", "");
	fd = tcp_client(doors_port(w.doors, 0));
	assert_int_equal(send(fd, "a\nb\r\nc", 6, MSG_NOSIGNAL), 6);
	close(fd);
	for (int64_t end = clock_mono_ms() + 300; clock_mono_ms() < end;)
		turn(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void refuses_open_addresses(void **state)
{
	static const struct {
		const char *input;
		const char *address;
	} cases[] = {
	    {"  socket_server:\n    network: tcp\n    address: 127.0.0.1:0\n", "0.0.0.0:0"},
	    {"  socket_server:\n    network: tcp\n    address: 127.0.0.1:0\n", ":0"},
	    {"  socket_server:\n    network: tcp\n    address: 127.0.0.1:0\n", "no port"},
	    {HTTP_INPUT, "0.0.0.0:0"},
	    {HTTP_INPUT, "[::]:0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct world w;
		struct error e;

		make_folder(&w);
		w.address = cases[i].address;
		assert_int_equal(try_open(&w, cases[i].input, "", &e), ERR_CONFIG);
		w.doors = NULL;
		close_world(&w);
		remove_folder(&w);
	}
}

static void memory_stays_bounded(void **state)
{
	enum { CLIENTS = 30, PART = 200000 };
	struct world w;
	int fds[CLIENTS];
	char *part = mem_zero(PART);
	uint64_t most = 0;

	(void)state;
	make_folder(&w);
	w.memory_bytes = 2 << 20;
	open_world(&w, FRAMES_INPUT, "  max_message_bytes: 256KiB");
	for (int i = 0; i < CLIENTS; i++) {
		unsigned char header[FRAME_HEADER_BYTES];

		fds[i] = unix_client(&w, "in.sock");
		frame_header_encode(PART + 1, header);
		(void)send(fds[i], header, sizeof header, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < CLIENTS; i++)
			(void)send(fds[i], part, PART / 20, MSG_NOSIGNAL | MSG_DONTWAIT);
		turn(&w);
		most = doors_memory_bytes(w.doors) > most ? doors_memory_bytes(w.doors) : most;
	}
	assert_true(most >= 1 << 20);
	assert_true(most <= (2 << 20) + CLIENTS * 65536);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	close_world(&w);
	free(part);
	remove_folder(&w);
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_read_in_order_and_finish),
	    cmocka_unit_test(a_missing_file_is_refused_at_start),
	    cmocka_unit_test(a_kill_at_any_offer_neither_loses_nor_repeats),
	    cmocka_unit_test(a_full_spool_makes_files_wait),
	    cmocka_unit_test(stdin_is_read_to_its_end),
	    cmocka_unit_test(http_stores_before_it_says_yes),
	    cmocka_unit_test(http_says_when_the_spool_is_full),
	    cmocka_unit_test(frames_are_answered_in_order),
	    cmocka_unit_test(frames_hear_that_the_spool_is_full),
	    cmocka_unit_test(tokens_and_peer_rules_are_kept),
	    cmocka_unit_test(lines_come_by_sockets),
	    cmocka_unit_test(refuses_open_addresses),
	    cmocka_unit_test(memory_stays_bounded),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
