/*
 * Invariants:
 *  1. A body is handed to the library once: `sent` never goes back, and a rewind is refused.
 *  2. An answer is TRANSPORT_ANSWERED only with a final status, whole header lines and an announced end of the body.
 *  3. It is TRANSPORT_NOT_SENT only when no connection was ready for it and no byte of the body was taken, and
 *     TRANSPORT_CUT only when the library never asked for the body's last bytes.
 *  4. Field lines are wiped before they are freed: one of them may be a token.
 *  5. What came over a connection before the request was all there answers something else, and is never its success.
 */
#include "aws/transport/transport_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/mem.h"
#include "base/num.h"

enum {
	KEEPALIVE_S = 15,
	SLOW_PIECE_BYTES = 4 * 1024,
	UNSENT_BYTES = 16 * 1024, /* in the kernel, beside what is on its way */
	CONNECTION_LIFE_S = 600,
	CONNECTION_IDLE_S = 90, /* and longer than a batch's period: */
	BESIDE_PERIOD_S = 30,
	CA_CACHE_S = 300,
	DNS_CACHE_S = 2, /* an address that changed is found by the next connection; kept ones need no look-up */
	/* Bodies reach 7 MB. Larger than this gains nothing over TLS and costs memory per request under way. */
	UPLOAD_BUFFER_BYTES = 64 * 1024,
	BODY_KEEP_BYTES = 64 * 1024,
};

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t room = size * count;
	size_t left = t->request->body_bytes - t->sent;
	size_t n = left < room ? left : room;

	if (t->pool->is_slow && n > SLOW_PIECE_BYTES)
		n = SLOW_PIECE_BYTES;
	if (n > 0)
		memcpy(out, (const char *)t->request->body + t->sent, n);
	t->sent += n;
	return n;
}

/* The library asks for this when a kept connection died under the request and it wants to send it again, unasked. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	(void)offset;
	(void)origin;
	t->answer.rewind_refused = true;
	return CURL_SEEKFUNC_FAIL;
}

/* Nobody asked for it. Over a new connection it may be what TLS says of itself. */
static bool has_spare_bytes(const struct transfer *t)
{
	long made = 0;
	char byte;

	return t->fd >= 0 && curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &made) == CURLE_OK && made == 0 &&
	       recv(t->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static int on_begin(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct transfer *t = arg;

	(void)local;
	t->fd = remote ? wires_find(&t->pool->wires, remote, remote_port, local_port) : -1;
	t->is_spoilt = has_spare_bytes(t);
	if (t->is_spoilt)
		return CURL_PREREQFUNC_ABORT;
	t->begun = true;
	t->begun_ns = t->moved_ns = t->looked_ns = clock_mono_ns();
	t->heard = 0;
	t->silent_ns = 0;
	t->steady = (struct progress){0};
	progress_look(t->fd, &t->first);
	t->last = t->first;
	if (remote)
		names_connected(&t->pool->names, t->host, remote, clock_mono_ms());
	return CURL_PREREQFUNC_OK;
}

/* A byte of the answer came. */
static void hear(struct transfer *t, size_t n)
{
	if (!t->begun) /* a proxy's answer to CONNECT */
		return;
	t->pool->moved_ns = clock_mono_ns();
	if (t->heard == 0)
		t->answer.link.heard_ns = t->pool->moved_ns - t->begun_ns;
	t->heard += n;
}

/* Whoever answers the whole of a request has acknowledged it. */
static bool is_all_there(const struct transfer *t)
{
	struct progress now;

	progress_look(t->fd, &now);
	return t->sent == t->request->body_bytes && (!now.is_known || now.queued_bytes == 0);
}

/* An answer is read as it comes, so honest ones are never many at once: what holds much while all do is given up. */
static bool has_room(const struct transfer *t, size_t n)
{
	const struct transport *pool = t->pool;

	return pool->body_bytes + n <= TRANSPORT_ANSWERS_MAX ||
	       t->body.len + n <= TRANSPORT_ANSWERS_MAX / (pool->active_count + 1);
}

static void forget_body(struct transfer *t)
{
	t->pool->body_bytes -= t->body.len;
	buf_clear(&t->body);
	if (t->body.cap > BODY_KEEP_BYTES)
		buf_fini(&t->body);
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t n = size * count;

	hear(t, n);
	if (!has_room(t, n) || buf_add(&t->body, data, n)) {
		t->refused_body = true;
		return 0;
	}
	t->pool->body_bytes += n;
	return n;
}

static void keep_text(char *out, size_t size, const char *value) { (void)snprintf(out, size, "%s", value); }

static void on_content_type(struct transfer *t, const char *value)
{
	keep_text(t->answer.content_type, sizeof t->answer.content_type, value);
}

static void on_request_id(struct transfer *t, const char *value)
{
	keep_text(t->answer.request_id, sizeof t->answer.request_id, value);
}

static void on_error_type(struct transfer *t, const char *value)
{
	const char *hash = strchr(value, '#');

	keep_text(t->answer.error_type, sizeof t->answer.error_type, hash ? hash + 1 : value);
	t->answer.error_type[strcspn(t->answer.error_type, ":,; ")] = '\0';
}

static void on_retry_after_ms(struct transfer *t, const char *value)
{
	int64_t ms;

	if (num_parse_i64(value, &ms) && ms >= 0)
		t->answer.retry_after_ms = ms;
}

static void on_retry_after(struct transfer *t, const char *value)
{
	int64_t n;

	if (t->answer.retry_after_ms >= 0) /* x-amz-retry-after is the finer one */
		return;
	if (num_parse_i64(value, &n) && n >= 0 && n <= INT64_MAX / MS_PER_S)
		t->answer.retry_after_ms = n * MS_PER_S;
	else if (dates_parse_http(value, &n) && n > clock_wall_ms())
		t->answer.retry_after_ms = n - clock_wall_ms();
}

static void on_date(struct transfer *t, const char *value)
{
	if (!dates_parse_http(value, &t->answer.date_ms))
		t->answer.date_ms = -1;
}

static void on_token_ttl(struct transfer *t, const char *value)
{
	if (!num_parse_i64(value, &t->answer.token_ttl_s))
		t->answer.token_ttl_s = -1;
}

static void on_content_length(struct transfer *t, const char *value)
{
	(void)value;
	t->framed = true;
}

static void on_transfer_encoding(struct transfer *t, const char *value)
{
	if (strcasecmp(value, "chunked") == 0)
		t->framed = true;
}

static const struct {
	const char *name;
	void (*keep)(struct transfer *t, const char *value);
} wanted_fields[] = {
    {"content-length", on_content_length}, {"transfer-encoding", on_transfer_encoding},
    {"content-type", on_content_type},     {"date", on_date},
    {"x-amzn-requestid", on_request_id},   {"x-amz-request-id", on_request_id},
    {"x-amzn-errortype", on_error_type},   {"x-amz-retry-after", on_retry_after_ms},
    {"retry-after", on_retry_after},       {"x-aws-ec2-metadata-token-ttl-seconds", on_token_ttl},
};

static void forget_response(struct transfer *t)
{
	bool rewind = t->answer.rewind_refused;
	int64_t heard_ns = t->answer.link.heard_ns;

	memset(&t->answer, 0, sizeof t->answer);
	t->answer.rewind_refused = rewind;
	t->answer.link.heard_ns = heard_ns;
	t->answer.retry_after_ms = t->answer.date_ms = t->answer.token_ttl_s = -1;
	t->framed = t->headers_whole = false;
}

/* One header line, with its end of line; a status line begins anew (100 Continue, a proxy's CONNECT). */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t n = size * count, end = n;
	char line[512];
	char *colon, *value;

	hear(t, n);
	if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) {
		forget_response(t);
		t->is_early = t->begun && !is_all_there(t);
	}
	while (end > 0 && (data[end - 1] == '\n' || data[end - 1] == '\r' || data[end - 1] == ' '))
		end--;
	if (end == 0 && n > 0) {
		t->headers_whole = true;
		return n;
	}
	if (end >= sizeof line || data[n - 1] != '\n')
		return n;
	memcpy(line, data, end);
	line[end] = '\0';
	colon = strchr(line, ':');
	if (!colon)
		return n;
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	for (size_t i = 0; i < sizeof wanted_fields / sizeof wanted_fields[0]; i++)
		if (strcasecmp(line, wanted_fields[i].name) == 0)
			wanted_fields[i].keep(t, value);
	return n;
}

/* No TCP_USER_TIMEOUT: the kernel counts it through a closed window, whatever is acknowledged; transfer_look looks. */
static int on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct transport *pool = arg;
	int count = (int)pool->options.keepalive_count, unsent = UNSENT_BYTES;

	(void)purpose;
	wires_add(&pool->wires, fd);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
	if (count > 0 && pool->options.keepalive_idle_s >= 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
	return CURL_SOCKOPT_OK;
}

/* libcurl may close a socket it still watches: our event goes first, or the loop would spin on a reused number. */
static int on_socket_close(void *arg, curl_socket_t fd)
{
	struct transport *pool = arg;
	struct transfer *t;
	struct watch *w;

	TAILQ_FOREACH (t, &pool->active, link)
		if (t->fd == fd) {
			progress_look(fd, &t->last);
			t->fd = -1;
		}
	LIST_FOREACH (w, &pool->watches, link)
		if (w->fd == fd)
			(void)event_del(w->event);
	wires_remove(&pool->wires, fd);
	return close(fd);
}

#define SET(option, value) must(curl_easy_setopt(t->easy, (option), (value)) == CURLE_OK)

static void set_limits(struct transfer *t)
{
	const struct transport_options *o = &t->pool->options;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver thread */
	SET(CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, o->keepalive_idle_s < 0 ? 0L : 1L);
	SET(CURLOPT_TCP_KEEPIDLE, (long)(o->keepalive_idle_s > 0 ? o->keepalive_idle_s : KEEPALIVE_S));
	SET(CURLOPT_TCP_KEEPINTVL, (long)(o->keepalive_interval_s > 0 ? o->keepalive_interval_s : KEEPALIVE_S));
	SET(CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	SET(CURLOPT_SOCKOPTDATA, t->pool);
	SET(CURLOPT_CLOSESOCKETFUNCTION, on_socket_close);
	SET(CURLOPT_CLOSESOCKETDATA, t->pool);
}

static void set_protocol(struct transfer *t)
{
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CA_CACHE_TIMEOUT, (long)CA_CACHE_S); /* a rotated bundle is seen within five minutes */
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https"); /* 7.88 takes no empty list */
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_USERAGENT, "kspool/" KSPOOL_VERSION);
	SET(CURLOPT_SHARE, t->pool->share);
}

static void set_callbacks(struct transfer *t)
{
	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_ERRORBUFFER, t->error);
	SET(CURLOPT_READFUNCTION, on_read);
	SET(CURLOPT_READDATA, t);
	SET(CURLOPT_SEEKFUNCTION, on_seek);
	SET(CURLOPT_SEEKDATA, t);
	SET(CURLOPT_PREREQFUNCTION, on_begin);
	SET(CURLOPT_PREREQDATA, t);
	SET(CURLOPT_WRITEFUNCTION, on_write);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
}

struct transfer *transfer_new(struct transport *pool)
{
	struct transfer *t = mem_zero(sizeof *t);

	t->pool = pool;
	t->easy = curl_easy_init();
	must(t->easy);
	buf_init(&t->body, TRANSPORT_RESPONSE_MAX);
	set_callbacks(t);
	set_limits(t);
	set_protocol(t);
	return t;
}

/* Fields may hold a session token. */
static void wipe_fields(struct transfer *t)
{
	for (struct curl_slist *f = t->fields; f; f = f->next)
		explicit_bzero(f->data, strlen(f->data));
	curl_slist_free_all(t->fields);
	t->fields = NULL;
}

bool transfer_may_begin_again(const struct transfer *t, CURLcode code)
{
	return code == CURLE_ABORTED_BY_CALLBACK && t->is_spoilt && !t->begun && !t->fresh;
}

void transfer_begin_again(struct transfer *t)
{
	t->is_spoilt = false;
	t->fresh = true;
	SET(CURLOPT_FRESH_CONNECT, 1L);
}

void transfer_free(struct transfer *t)
{
	if (t->watch)
		event_free(t->watch);
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->known);
	wipe_fields(t);
	forget_body(t);
	buf_fini(&t->body);
	free(t);
}

void transfer_reset(struct transfer *t)
{
	wipe_fields(t);
	t->request = NULL;
	forget_body(t);
}

static void add_field(struct transfer *t, const char *line)
{
	t->fields = curl_slist_append(t->fields, line);
	must(t->fields);
}

static enum err set_fields(struct transfer *t, const struct transport_request *r, struct error *e)
{
	bool has_accept = false, has_type = false;

	for (size_t i = 0; i < r->field_count; i++) {
		struct buf line;

		if (strpbrk(r->fields[i].value, "\r\n"))
			return error_set(e, ERR_INPUT, "the value of field %s holds a line break", r->fields[i].name);
		has_accept = has_accept || strcasecmp(r->fields[i].name, "accept") == 0;
		has_type = has_type || strcasecmp(r->fields[i].name, "content-type") == 0;
		buf_init(&line, SIZE_MAX / 2);
		/* curl's spelling of a field without a value ends in a semicolon */
		(void)buf_addf(&line, r->fields[i].value[0] ? "%s: %s" : "%s;", r->fields[i].name, r->fields[i].value);
		add_field(t, line.data);
		explicit_bzero(line.data, line.len); /* may be a token */
		buf_fini(&line);
	}
	add_field(t, "Expect:"); /* else a body over 1 MB waits a second for a leave nobody gives */
	if (!has_accept)
		add_field(t, "Accept:");
	if (!has_type)
		add_field(t, "Content-Type:");
	SET(CURLOPT_HTTPHEADER, t->fields);
	return ERR_OK;
}

static void set_method(struct transfer *t, const struct transport_request *r)
{
	if (strcmp(r->method, "GET") == 0) {
		SET(CURLOPT_HTTPGET, 1L);
	} else if (strcmp(r->method, "PUT") == 0) {
		SET(CURLOPT_UPLOAD, 1L);
		SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body_bytes);
	} else {
		must(strcmp(r->method, "POST") == 0);
		SET(CURLOPT_UPLOAD, 0L);
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_bytes);
	}
}

static int64_t longer(int64_t a, int64_t b) { return a > b ? a : b; }

static void set_times(struct transfer *t, const struct transport_request *r)
{
	struct transport *pool = t->pool;
	int64_t connect_ms = transfer_connect_ms(pool, r);
	int64_t since_drop_s = pool->dropped_at_ms < 0 ? -1 : (clock_mono_ms() - pool->dropped_at_ms) / MS_PER_S;
	int64_t idle_s = longer(CONNECTION_IDLE_S, pool->options.period_s + BESIDE_PERIOD_S);
	int64_t life_s = longer(CONNECTION_LIFE_S, idle_s);

	/* No time for the whole, and no least speed: transfer_look asks the kernel what moves. */
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	if (since_drop_s > life_s)
		pool->dropped_at_ms = since_drop_s = -1;
	/* In the first second a connection's age in whole seconds cannot tell which side of the drop it is on. */
	t->fresh = since_drop_s == 0;
	SET(CURLOPT_FRESH_CONNECT, t->fresh ? 1L : 0L);
	SET(CURLOPT_MAXAGE_CONN, (long)idle_s);
	SET(CURLOPT_MAXLIFETIME_CONN, (long)(since_drop_s > 0 ? since_drop_s : life_s));
}

/* A proxy looks names up by itself. */
static void set_name(struct transfer *t, const struct transport_request *r)
{
	char known[NAME_BYTES + ADDRESS_BYTES];

	curl_slist_free_all(t->known);
	t->known = NULL;
	t->host[0] = '\0';
	if (!t->pool->proxy)
		names_of_url(r->url, t->host);
	names_known(&t->pool->names, t->host, clock_mono_ms(), known);
	if (known[0]) {
		t->known = curl_slist_append(NULL, known);
		must(t->known);
	}
	SET(CURLOPT_RESOLVE, t->known);
}

enum err transfer_prepare(struct transfer *t, struct transport_request *r, struct error *e)
{
	struct transport *pool = t->pool;
	enum err err;

	t->request = r;
	t->sent = t->heard = 0;
	t->fd = -1;
	t->first = t->steady = t->last = (struct progress){0};
	t->started_ns = clock_mono_ns();
	t->begun = t->refused_body = t->setup_failed = t->given_up = t->is_spoilt = t->is_early = false;
	t->answer.link.heard_ns = 0;
	t->error[0] = '\0';
	t->body.max = r->response_max ? r->response_max : TRANSPORT_RESPONSE_MAX;
	forget_response(t);
	t->answer.rewind_refused = false;
	SET(CURLOPT_PROTOCOLS_STR, r->allow_plain ? "http,https" : "https");
	if (curl_easy_setopt(t->easy, CURLOPT_URL, r->url) != CURLE_OK)
		return error_set(e, ERR_CONFIG, "the URL is not valid");
	/* "" also keeps the library from reading the proxy variables of the environment */
	SET(CURLOPT_PROXY, pool->proxy && !r->direct ? pool->proxy : "");
	SET(CURLOPT_NOPROXY, r->direct ? "*" : pool->no_proxy ? pool->no_proxy : "");
	set_name(t, r);
	set_times(t, r);
	set_method(t, r);
	err = authorities_give(&pool->authorities, t->easy, &t->edition, e);
	return err == ERR_OK ? set_fields(t, r, e) : err;
}

/* Why a response the library is content with is not whole; null when it is. */
static const char *incomplete(const struct transfer *t, long status)
{
	if (status < 200)
		return "the response has no final status";
	if (!t->headers_whole)
		return "the response was cut inside its header lines";
	if (t->is_early && status < 300)
		return "the answer came before the request was all there: it is to something else";
	if (!t->framed && status != 204 && status != 304)
		return "the response does not announce its length, so a cut one could not be told from a whole one";
	return NULL;
}

/* Whether the name was found, and the address that it had could be reached. */
static void learn_name(struct transfer *t, CURLcode code)
{
	curl_off_t looked_up_us = 0;

	if (t->begun || t->setup_failed)
		return;
	(void)curl_easy_getinfo(t->easy, CURLINFO_NAMELOOKUP_TIME_T, &looked_up_us);
	if (t->known)
		names_not_connected(&t->pool->names, t->host);
	else if (code == CURLE_COULDNT_RESOLVE_HOST || (code == CURLE_OPERATION_TIMEDOUT && looked_up_us == 0))
		names_not_found(&t->pool->names, t->host, clock_mono_ms());
}

void transfer_judge(struct transfer *t, CURLcode code)
{
	struct transport_answer *a = &t->answer;
	const char *fault = NULL;
	long status = 0, proxy_status = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	transfer_report(t, code == CURLE_OPERATION_TIMEDOUT);
	learn_name(t, code);
	a->took_ns = clock_mono_ns() - t->started_ns;
	a->timed_out = code == CURLE_OPERATION_TIMEDOUT;
	if (code == CURLE_OK) {
		fault = incomplete(t, status);
		if (t->is_early)
			t->pool->dropped_at_ms = clock_mono_ms(); /* its connection says what nobody asked for */
		if (!fault) {
			a->result = TRANSPORT_ANSWERED;
			a->status = (int)status;
			a->body = t->body.data ? t->body.data : "";
			a->body_bytes = t->body.len;
			return;
		}
	}
	a->result = !t->begun && t->sent == 0          ? TRANSPORT_NOT_SENT
	            : t->sent < t->request->body_bytes ? TRANSPORT_CUT
	                                               : TRANSPORT_UNKNOWN;
	a->body = "";
	if (t->setup_failed)
		return; /* its error was told where it was noticed */
	if (t->refused_body)
		fault = "the response is larger than allowed";
	else if (a->rewind_refused)
		fault = "the kept connection died under the request; the library's silent resend was refused";
	else if (!fault)
		fault = t->error[0] ? t->error : curl_easy_strerror(code);
	(void)error_set(&a->error, a->timed_out ? ERR_TIMEOUT : ERR_NETWORK, "%s", fault);
	if (a->result == TRANSPORT_NOT_SENT && proxy_status >= 300)
		(void)error_set(&a->error, ERR_NETWORK, "the proxy answered with status %ld%s", proxy_status,
		                proxy_status == 407 ? ": it wants a name and password in its URL (kspool.proxy)" : "");
}
