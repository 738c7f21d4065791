/* The HTTP server on loopback: order, tokens, TLS, back-pressure, stop. */
#include "rig/httpd_world.h"

static void answers_in_order_and_keeps_alive(void **state)
{
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	char *got;
	int fd;

	(void)state;
	open_httpd(&f, &o);
	fd = client(&f);
	put(fd, "GET /ping HTTP/1.1\r\nHost: a\r\n\r\nPOST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	        "HEAD /ping HTTP/1.1\r\nHost: a\r\n\r\nGET /p%69ng HTTP/1.1\r\nHost: a\r\nConnection: "
	        "close\r\n\r\n" GET_PING);
	got = answer(&f, fd, NULL, 3000);
	assert_non_null(got);
	assert_int_equal(f.handled, 4); /* nothing behind the close */
	got = strstr(got, "\r\n\r\nGET /ping");
	assert_non_null(got);
	got = strstr(got, "\r\n\r\nPOST /post");
	assert_non_null(got);
	assert_non_null(strstr(got, "Connection: close\r\n"));
	close(fd);
	close_httpd(&f);
}

static void a_later_answer_holds_the_next_request_back(void **state)
{
	struct fixture f = {.answers_later = true};
	struct httpd_options o = options_of(&f);
	int fd;

	(void)state;
	open_httpd(&f, &o);
	fd = client(&f);
	put(fd, GET_PING GET_PING);
	while (f.waiting_count == 0)
		turn(&f);
	turn(&f);
	assert_int_equal(f.handled, 1);
	httpd_answer(f.waiting[0], 200, NULL, NULL, "one", 3);
	while (f.waiting_count == 1)
		turn(&f);
	close(fd); /* the client goes before its answer */
	turn(&f);
	httpd_answer(f.waiting[1], 200, NULL, NULL, "two", 3);
	turn(&f);
	close_httpd(&f);
}

static void refusals_close(void **state)
{
	static const struct {
		const char *request;
		const char *answer;
	} cases[] = {
	    {"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 "},
	    {"POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 "},
	    {"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n", "HTTP/1.1 413 "},
	    {"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc" GET_PING,
	     "HTTP/1.1 400 "},
	    {"GET /ping HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture f = {0};
		struct httpd_options o = options_of(&f);
		char *got;
		int fd;

		open_httpd(&f, &o);
		fd = client(&f);
		put(fd, cases[i].request);
		got = answer(&f, fd, NULL, 3000);
		assert_non_null(got);
		assert_ptr_equal(strstr(got, cases[i].answer), got);
		assert_null(strstr(got + 1, "HTTP/1.1"));
		assert_int_equal(f.handled, 0);
		close(fd);
		close_httpd(&f);
	}
}

/* A body that waits for room when the server stops was not stored, and its sender is told. */
static void who_waits_for_room_is_told_of_the_stop(void **state)
{
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	int fd;

	(void)state;
	open_httpd(&f, &o);
	f.has_room = false;
	fd = client(&f);
	put(fd, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
	assert_null(answer(&f, fd, "HTTP", 100));
	httpd_stop(f.httpd);
	assert_non_null(strstr(answer(&f, fd, NULL, 3000), "kspool is stopping; not stored"));
	(void)close(fd);
	close_httpd(&f);
}

static void expect_continue_is_answered_when_there_is_room(void **state)
{
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	int fd;

	(void)state;
	open_httpd(&f, &o);
	f.has_room = false;
	fd = client(&f);
	put(fd, "POST /post HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	for (int i = 0; i < 10; i++)
		turn(&f);
	assert_null(answer(&f, fd, "100 Continue", 50));
	f.has_room = true;
	httpd_resume(f.httpd);
	assert_non_null(answer(&f, fd, "HTTP/1.1 100 Continue\r\n\r\n", 2000));
	put(fd, "ok");
	assert_non_null(answer(&f, fd, "HTTP/1.1 200 OK", 2000));
	assert_int_equal(f.last_body, 2);
	close(fd);
	close_httpd(&f);
}

static void survives_without_descriptors(void **state)
{
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	struct rlimit old, low;
	struct rusage before, after;
	int fds[8], fillers[256], count = 0, fd;

	(void)state;
	open_httpd(&f, &o);
	for (int i = 0; i < 8; i++)
		fds[i] = client(&f);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){.rlim_cur = 200, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (count < 256 && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		fillers[count++] = fd;
	getrusage(RUSAGE_SELF, &before);
	for (int64_t end = clock_mono_ms() + 1000; clock_mono_ms() < end;)
		turn(&f);
	getrusage(RUSAGE_SELF, &after);
	assert_true((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
	                (after.ru_utime.tv_usec - before.ru_utime.tv_usec) <
	            300000);
	while (count > 0)
		close(fillers[--count]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	fd = client(&f);
	put(fd, GET_PING);
	assert_non_null(answer(&f, fd, "200 OK", 3000));
	close(fd);
	close_httpd(&f);
}

static void tokens_and_guard(void **state)
{
	char path[] = "/tmp/kspool_tokens_XXXXXX";
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	struct httpd *refused = NULL;
	struct error e;
	int fd = mkstemp(path);

	(void)state;
	assert_true(write(fd, "\xef\xbb\xbf# two\n0123456789abcdef0123\nfedcba9876543210fedc\n", 51) == 51);
	close(fd);
	f.base = event_base_new();
	o.address = "0.0.0.0:0";
	assert_int_equal(httpd_open(f.base, &o, &refused, &e), ERR_CONFIG);
	o.token_file = path;
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(httpd_open(f.base, &o, &refused, &e), ERR_ENVIRONMENT);
	assert_null(strstr(e.text, "0123456789"));
	assert_int_equal(chmod(path, 0600), 0);
	event_base_free(f.base);
	open_httpd(&f, &o);
	assert_true(httpd_has_guard(f.httpd));
	fd = client(&f);
	put(fd, GET_PING);
	assert_non_null(answer(&f, fd, "HTTP/1.1 401 ", 2000));
	close(fd);
	fd = client(&f);
	put(fd, "GET /ping HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer fedcba9876543210fedx\r\n\r\n");
	assert_non_null(answer(&f, fd, "HTTP/1.1 401 ", 2000));
	close(fd);
	fd = client(&f);
	put(fd, "GET /ping HTTP/1.1\r\nHost: a\r\nAuthorization: bearer fedcba9876543210fedc\r\n\r\n");
	assert_non_null(answer(&f, fd, "HTTP/1.1 200 ", 2000));
	close(fd);
	close_httpd(&f);
	unlink(path);
}

static void unix_sockets(void **state)
{
	char folder[] = "/tmp/kspool_httpd_XXXXXX";
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct httpd *second = NULL;
	struct stat st;
	struct error e;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(a.sun_path, sizeof a.sun_path, "%s/s", folder);
	/* a stale file of a dead process */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	close(fd);
	o.address = a.sun_path;
	o.unix_mode = 0620;
	open_httpd(&f, &o);
	assert_int_equal(stat(a.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0620);
	assert_int_equal(httpd_open(f.base, &o, &second, &e), ERR_ENVIRONMENT);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	put(fd, GET_PING);
	assert_non_null(answer(&f, fd, "200 OK", 2000));
	close(fd);
	close_httpd(&f);
	assert_int_equal(stat(a.sun_path, &st), -1);
	/* a file that is no socket stays */
	fd = open(a.sun_path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	f.base = event_base_new();
	assert_int_equal(httpd_open(f.base, &o, &second, &e), ERR_ENVIRONMENT);
	assert_int_equal(stat(a.sun_path, &st), 0);
	event_base_free(f.base);
	unlink(a.sun_path);
	rmdir(folder);
}

/* A throw-away certificate and its key, both into one file. */
static void make_certificate(const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *f = fopen(path, "we");

	assert_true(key && x && f);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"a", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(f, x), 1);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

/* In a process of its own, as it blocks: 0 when the answer came over a protocol of at most max_version. */
static int tls_client(struct fixture *f, int max_version)
{
	static const char request[] = "GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	uint16_t port = httpd_port(f->httpd);
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		SSL *ssl;
		char got[2000] = "";
		int n, at = 0;

		SSL_CTX_set_max_proto_version(ctx, max_version);
		SSL_CTX_set_security_level(ctx, 0);
		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		ssl = SSL_new(ctx);
		if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0 || SSL_set_fd(ssl, fd) != 1 ||
		    SSL_connect(ssl) != 1)
			_exit(1);
		SSL_write(ssl, request, (int)strlen(request));
		while (at < (int)sizeof got - 1 && (n = SSL_read(ssl, got + at, (int)sizeof got - 1 - at)) > 0)
			at += n;
		_exit(strstr(got, "HTTP/1.1 200 ") && strstr(got, "GET /ping") ? 0 : 2);
	}
	for (int64_t end = clock_mono_ms() + 30000; clock_mono_ms() < end && waitpid(pid, &status, WNOHANG) != pid;)
		turn(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void tls_of_today_only(void **state)
{
	char path[] = "/tmp/kspool_cert_XXXXXX";
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	struct httpd *refused = NULL;
	struct error e;
	char byte;
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	f.base = event_base_new();
	o.cert_file = o.key_file = path;
	assert_int_equal(httpd_open(f.base, &o, &refused, &e), ERR_ENVIRONMENT); /* an empty file */
	event_base_free(f.base);
	make_certificate(path);
	open_httpd(&f, &o);
	assert_int_equal(tls_client(&f, TLS1_3_VERSION), 0);
	assert_int_equal(tls_client(&f, TLS1_2_VERSION), 0);
	assert_int_equal(tls_client(&f, TLS1_1_VERSION), 1);
	/* who does not shake hands is hung up on */
	fd = client(&f);
	for (int64_t end = clock_mono_ms() + 30000; clock_mono_ms() < end && recv(fd, &byte, 1, 0) != 0;)
		turn(&f);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	close_httpd(&f);
	unlink(path);
}

static void many_slow_heads_hold_little(void **state)
{
	enum { MANY = 60 };
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	int fds[MANY];
	char big[15000];

	(void)state;
	memset(big, 'a', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	o.max_connections_per_peer = MANY;
	o.max_connections = 2 * MANY;
	open_httpd(&f, &o);
	for (int i = 0; i < MANY; i++) {
		fds[i] = client(&f);
		put(fds[i], "GET /ping HTTP/1.1\r\nHost: a\r\nX: ");
		put(fds[i], big);
	}
	for (int i = 0; i < MANY; i++) {
		assert_non_null(answer(&f, fds[i], "HTTP/1.1 408 ", 30000));
		close(fds[i]);
	}
	close_httpd(&f);
}

/* Refused at its head, a body that takes longer than a moment to send ends with the answer, and with no reset. */
static void who_sends_on_hears_the_refusal(void **state)
{
	struct fixture f = {0};
	struct httpd_options o = options_of(&f);
	char piece[500];
	int fd;

	(void)state;
	memset(piece, 'x', sizeof piece);
	open_httpd(&f, &o);
	fd = client(&f);
	put(fd, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n");
	for (int64_t end = clock_mono_ms() + 5000; clock_mono_ms() < end;) {
		assert_true(send(fd, piece, sizeof piece, MSG_NOSIGNAL) > 0 || errno == EAGAIN);
		turn(&f);
	}
	assert_non_null(answer(&f, fd, "HTTP/1.1 413 ", 30000));
	close(fd);
	close_httpd(&f);
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_in_order_and_keeps_alive),
	    cmocka_unit_test(a_later_answer_holds_the_next_request_back),
	    cmocka_unit_test(refusals_close),
	    cmocka_unit_test(who_waits_for_room_is_told_of_the_stop),
	    cmocka_unit_test(expect_continue_is_answered_when_there_is_room),
	    cmocka_unit_test(survives_without_descriptors),
	    cmocka_unit_test(tokens_and_guard),
	    cmocka_unit_test(unix_sockets),
	    cmocka_unit_test(tls_of_today_only),
	    cmocka_unit_test(many_slow_heads_hold_little),
	    cmocka_unit_test(who_sends_on_hears_the_refusal),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
