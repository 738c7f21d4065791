#include "aws/transport/http.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "aws/transport/http_internal.h"

/* Beyond curl's own limit by this much the request is taken away from it: curl/curl#18252 saw look-ups of minutes. */
enum { DEADLINE_GRACE_MS = 3000, IDLE_HANDLES_MAX = 128 };

static void collect(struct http *h);

static void act(struct http *h, curl_socket_t fd, int what)
{
	int running;

	must(h->depth == 0);
	h->depth++;
	(void)curl_multi_socket_action(h->multi, fd, what, &running);
	h->depth--;
	collect(h);
}

static void on_socket(evutil_socket_t fd, short events, void *arg)
{
	struct watch *w = arg;
	int what = ((events & EV_READ) ? CURL_CSELECT_IN : 0) | ((events & EV_WRITE) ? CURL_CSELECT_OUT : 0);

	act(w->http, fd, what);
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* Called by curl, from anywhere: arms the timer and never calls back. */
static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http *h = arg;
	struct timeval tv = {.tv_sec = timeout_ms / MS_PER_S, .tv_usec = timeout_ms % MS_PER_S * 1000};

	(void)multi;
	if (timeout_ms < 0)
		(void)evtimer_del(h->timer);
	else
		(void)evtimer_add(h->timer, &tv);
	return 0;
}

static void watch_free(struct watch *w)
{
	LIST_REMOVE(w, link);
	event_free(w->event);
	free(w);
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http *h = arg;
	struct watch *w = socket_arg;
	short events = EV_PERSIST;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			watch_free(w);
		(void)curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (w) {
		event_free(w->event);
	} else {
		w = mem_zero(sizeof *w);
		w->http = h;
		w->fd = fd;
		LIST_INSERT_HEAD(&h->watches, w, link);
		(void)curl_multi_assign(h->multi, fd, w);
	}
	if (what & CURL_POLL_IN)
		events |= EV_READ;
	if (what & CURL_POLL_OUT)
		events |= EV_WRITE;
	w->event = event_new(h->base, fd, events, on_socket, w);
	must(w->event && event_add(w->event, NULL) == 0);
	return 0;
}

static void finish(struct transfer *t)
{
	struct http *h = t->http;
	struct http_request *request = t->request;

	(void)evtimer_del(t->deadline);
	TAILQ_REMOVE(&h->active, t, link);
	h->active_count--;
	if (t->answer.timed_out)
		http_drop_connections(h);
	request->internal = NULL;
	request->done(request, &t->answer);
	if (h->active_count < IDLE_HANDLES_MAX) {
		transfer_reset(t);
		TAILQ_INSERT_HEAD(&h->idle, t, link);
	} else {
		transfer_free(t);
	}
}

static void collect(struct http *h)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(h->multi, &left))) {
		CURLcode code = message->data.result;
		struct transfer *t = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		must(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t) == CURLE_OK && t);
		transfer_judge(t, code);
		(void)curl_multi_remove_handle(h->multi, t->easy);
		finish(t);
	}
}

static void on_deadline(evutil_socket_t fd, short events, void *arg)
{
	struct transfer *t = arg;
	struct http *h = t->http;

	(void)fd;
	(void)events;
	transfer_judge(t, CURLE_OPERATION_TIMEDOUT);
	(void)curl_multi_remove_handle(h->multi, t->easy);
	finish(t);
	collect(h);
}

/* Requests the library would not take end here, so that done never runs inside http_start. */
static void on_kick(evutil_socket_t fd, short events, void *arg)
{
	struct http *h = arg;
	struct transfer *t;

	(void)fd;
	(void)events;
	TAILQ_FOREACH (t, &h->active, link)
		if (t->setup_failed) {
			event_active(h->kick, 0, 0); /* one a turn: done may start or abort any other */
			transfer_judge(t, CURLE_FAILED_INIT);
			finish(t);
			return;
		}
}

static enum err setup(struct http *h, struct error *e)
{
	CURLM *m = h->multi = curl_multi_init();
	long connections = (long)h->options.max_connections;

	h->timer = evtimer_new(h->base, on_timer, h);
	h->kick = event_new(h->base, -1, 0, on_kick, h);
	if (!m || !h->timer || !h->kick)
		return error_set(e, ERR_MEMORY, "cannot set up the HTTP client");
	if (curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, set_socket) || curl_multi_setopt(m, CURLMOPT_SOCKETDATA, h) ||
	    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, set_timer) || curl_multi_setopt(m, CURLMOPT_TIMERDATA, h) ||
	    curl_multi_setopt(m, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) ||
	    curl_multi_setopt(m, CURLMOPT_MAX_HOST_CONNECTIONS, connections) ||
	    curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, connections + 8))
		return error_set(e, ERR_SYSTEM, "libcurl refuses an option this program needs");
	return ERR_OK;
}

static enum err check_library(struct error *e)
{
	static atomic_bool ready;
	const curl_version_info_data *v;

	if (!atomic_exchange(&ready, true) && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(e, ERR_SYSTEM, "libcurl cannot be initialised");
	v = curl_version_info(CURLVERSION_NOW);
	if (!(v->features & CURL_VERSION_ASYNCHDNS) || !(v->features & CURL_VERSION_SSL))
		return error_set(e, ERR_UNSUPPORTED, "libcurl %s has no asynchronous name look-up or no TLS",
		                 v->version);
	return ERR_OK;
}

static char *copy(const char *s) { return s && *s ? mem_string(s) : NULL; }

enum err http_open(struct event_base *base, const struct http_options *options, struct http **ret, struct error *e)
{
	struct http *h;
	enum err err = check_library(e);

	*ret = NULL;
	if (err)
		return err;
	h = mem_zero(sizeof *h);
	h->base = base;
	h->options = *options;
	h->ca_file = copy(options->ca_file);
	h->proxy = copy(options->proxy);
	h->no_proxy = copy(options->no_proxy);
	h->dropped_at_ms = -1;
	LIST_INIT(&h->watches);
	TAILQ_INIT(&h->active);
	TAILQ_INIT(&h->idle);
	if (h->options.max_connections == 0)
		h->options.max_connections = 1;
	err = setup(h, e);
	if (err) {
		http_close(h);
		return err;
	}
	*ret = h;
	return ERR_OK;
}

void http_close(struct http *h)
{
	struct transfer *t;

	if (!h)
		return;
	while ((t = TAILQ_FIRST(&h->active)))
		http_abort(h, t->request);
	while ((t = TAILQ_FIRST(&h->idle))) {
		TAILQ_REMOVE(&h->idle, t, link);
		transfer_free(t);
	}
	if (h->multi)
		(void)curl_multi_cleanup(h->multi);
	while (!LIST_EMPTY(&h->watches))
		watch_free(LIST_FIRST(&h->watches));
	if (h->timer)
		event_free(h->timer);
	if (h->kick)
		event_free(h->kick);
	free(h->ca_file);
	free(h->proxy);
	free(h->no_proxy);
	free(h);
}

static struct transfer *take_transfer(struct http *h)
{
	struct transfer *t = TAILQ_FIRST(&h->idle);

	if (t) {
		TAILQ_REMOVE(&h->idle, t, link);
		return t;
	}
	t = transfer_new(h);
	t->deadline = evtimer_new(h->base, on_deadline, t);
	must(t->deadline);
	return t;
}

static void arm_deadline(struct transfer *t, const struct http_request *request)
{
	int64_t ms = transfer_longest_ms(request) + DEADLINE_GRACE_MS;
	struct timeval tv = {.tv_sec = ms / MS_PER_S, .tv_usec = ms % MS_PER_S * 1000};

	(void)evtimer_add(t->deadline, &tv);
}

void http_start(struct http *h, struct http_request *request)
{
	struct transfer *t = take_transfer(h);

	must(h->depth == 0 && !request->internal && request->timeout_ms > 0);
	request->internal = t;
	TAILQ_INSERT_TAIL(&h->active, t, link);
	h->active_count++;
	arm_deadline(t, request);
	if (!transfer_prepare(t, request) || curl_multi_add_handle(h->multi, t->easy) != CURLM_OK) {
		t->setup_failed = true;
		event_active(h->kick, 0, 0);
	}
}

void http_abort(struct http *h, struct http_request *request)
{
	struct transfer *t = request->internal;

	if (!t)
		return;
	must(h->depth == 0 && t->http == h);
	(void)evtimer_del(t->deadline);
	if (!t->setup_failed)
		(void)curl_multi_remove_handle(h->multi, t->easy);
	TAILQ_REMOVE(&h->active, t, link);
	h->active_count--;
	request->internal = NULL;
	transfer_free(t);
}

void http_drop_connections(struct http *h) { h->dropped_at_ms = clock_mono_ms(); }

size_t http_under_way(const struct http *h) { return h->active_count; }
