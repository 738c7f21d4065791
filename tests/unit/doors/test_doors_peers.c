/* HTTP and socket clients over a real journal: a yes means stored, a no means not stored. */
#include "rig/doors_world.h"

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
	assert_int_equal(post(&w, "Content-Type: multipart/mixed; boundary=B\r\n", "--B\r\n\r\np1\r\n--B\r\n\r\ncut"),
	                 400);
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
	    cmocka_unit_test(http_stores_before_it_says_yes), cmocka_unit_test(http_says_when_the_spool_is_full),
	    cmocka_unit_test(frames_are_answered_in_order),   cmocka_unit_test(frames_hear_that_the_spool_is_full),
	    cmocka_unit_test(tokens_and_peer_rules_are_kept), cmocka_unit_test(lines_come_by_sockets),
	    cmocka_unit_test(refuses_open_addresses),         cmocka_unit_test(memory_stays_bounded),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
