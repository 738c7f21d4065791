/*
 * Invariants:
 *  1. Every transfer is in exactly one list: active with a request, or idle without.
 *  2. active_count is the length of the active list.
 *  3. curl is never called from inside its own callbacks (depth is 0 at every entry).
 *  4. done runs from the loop only, after the transfer left the active list.
 *  5. A watch exists exactly for the sockets that curl asked to be watched.
 */
#include "aws/transport/transport.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "aws/transport/transport_internal.h"

enum { IDLE_HANDLES_MAX = 128 };

static void collect(struct transport *pool);

static void act(struct transport *pool, curl_socket_t fd, int what)
{
	int running;

	must(pool->depth == 0);
	pool->depth++;
	(void)curl_multi_socket_action(pool->multi, fd, what, &running);
	pool->depth--;
	collect(pool);
}

static void on_socket(evutil_socket_t fd, short events, void *arg)
{
	struct watch *w = arg;
	int what = ((events & EV_READ) ? CURL_CSELECT_IN : 0) | ((events & EV_WRITE) ? CURL_CSELECT_OUT : 0);

	act(w->pool, fd, what);
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
	struct transport *pool = arg;
	struct timeval tv = {.tv_sec = timeout_ms / MS_PER_S, .tv_usec = timeout_ms % MS_PER_S * 1000};

	(void)multi;
	if (timeout_ms < 0)
		(void)evtimer_del(pool->timer);
	else
		(void)evtimer_add(pool->timer, &tv);
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
	struct transport *pool = arg;
	struct watch *w = socket_arg;
	short events = EV_PERSIST;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			watch_free(w);
		(void)curl_multi_assign(pool->multi, fd, NULL);
		return 0;
	}
	if (w) {
		event_free(w->event);
	} else {
		w = mem_zero(sizeof *w);
		w->pool = pool;
		w->fd = fd;
		LIST_INSERT_HEAD(&pool->watches, w, link);
		(void)curl_multi_assign(pool->multi, fd, w);
	}
	if (what & CURL_POLL_IN)
		events |= EV_READ;
	if (what & CURL_POLL_OUT)
		events |= EV_WRITE;
	w->event = event_new(pool->base, fd, events, on_socket, w);
	must(w->event && event_add(w->event, NULL) == 0);
	return 0;
}

static void finish(struct transfer *t)
{
	struct transport *pool = t->pool;
	struct transport_request *request = t->request;

	(void)evtimer_del(t->watch);
	TAILQ_REMOVE(&pool->active, t, link);
	pool->active_count--;
	if (t->answer.timed_out)
		transport_drop_connections(pool);
	request->internal = NULL;
	request->done(request, &t->answer);
	if (pool->active_count < IDLE_HANDLES_MAX) {
		transfer_reset(t);
		TAILQ_INSERT_HEAD(&pool->idle, t, link);
	} else {
		transfer_free(t);
	}
}

static void collect(struct transport *pool)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(pool->multi, &left))) {
		CURLcode code = message->data.result;
		struct transfer *t = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		must(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t) == CURLE_OK && t);
		if (transfer_may_begin_again(t, code)) {
			(void)curl_multi_remove_handle(pool->multi, t->easy);
			transfer_begin_again(t);
			must(curl_multi_add_handle(pool->multi, t->easy) == CURLM_OK);
			continue;
		}
		transfer_judge(t, code);
		(void)curl_multi_remove_handle(pool->multi, t->easy);
		finish(t);
	}
}

static void look(struct transfer *t)
{
	struct transport *pool = t->pool;
	int64_t ms = transfer_look(t);
	struct timeval tv = {.tv_sec = ms / MS_PER_S, .tv_usec = ms % MS_PER_S * 1000};

	if (ms > 0) {
		(void)evtimer_add(t->watch, &tv);
		return;
	}
	transfer_judge(t, CURLE_OPERATION_TIMEDOUT);
	(void)curl_multi_remove_handle(pool->multi, t->easy);
	finish(t);
	collect(pool);
}

static void on_watch(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	look(arg);
}

/* Requests the library would not take end here, so that done never runs inside transport_start. */
static void on_kick(evutil_socket_t fd, short events, void *arg)
{
	struct transport *pool = arg;
	struct transfer *t;

	(void)fd;
	(void)events;
	TAILQ_FOREACH (t, &pool->active, link)
		if (t->setup_failed) {
			event_active(pool->kick, 0, 0); /* one a turn: done may start or abort any other */
			transfer_judge(t, CURLE_FAILED_INIT);
			finish(t);
			return;
		}
}

static enum err setup(struct transport *pool, struct error *e)
{
	CURLM *m = pool->multi = curl_multi_init();
	long connections = (long)pool->options.max_connections;

	pool->share = curl_share_init();
	pool->timer = evtimer_new(pool->base, on_timer, pool);
	pool->kick = event_new(pool->base, -1, 0, on_kick, pool);
	if (!m || !pool->share || !pool->timer || !pool->kick)
		return error_set(e, ERR_MEMORY, "cannot set up the HTTP client");
	if (curl_share_setopt(pool->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) ||
	    curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, set_socket) ||
	    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, pool) ||
	    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, set_timer) || curl_multi_setopt(m, CURLMOPT_TIMERDATA, pool) ||
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

	if (!atomic_exchange(&ready, true) &&
	    curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_alloc, free, mem_resize, mem_string, mem_array) != CURLE_OK)
		return error_set(e, ERR_SYSTEM, "libcurl cannot be initialised");
	v = curl_version_info(CURLVERSION_NOW);
	if (!(v->features & CURL_VERSION_ASYNCHDNS) || !(v->features & CURL_VERSION_SSL))
		return error_set(e, ERR_UNSUPPORTED, "libcurl %s has no asynchronous name look-up or no TLS",
		                 v->version);
	return ERR_OK;
}

enum err transport_proxy_check(const char *proxy, struct error *e)
{
	static const char *const schemes[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"};
	CURLU *url = proxy && *proxy ? curl_url() : NULL;
	char *scheme = NULL;
	bool is_known = !url;

	if (url &&
	    curl_url_set(url, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME | CURLU_DEFAULT_SCHEME) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
		for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
			is_known |= strcasecmp(scheme, schemes[i]) == 0;
	curl_free(scheme);
	curl_url_cleanup(url);
	if (is_known)
		return ERR_OK;
	return error_set(e, ERR_CONFIG,
	                 "the proxy's URL (kspool.proxy, HTTPS_PROXY, ALL_PROXY) is none that can be used: it must be"
	                 " http://[user:password@]host[:port], with what is no letter or digit in them as %%XX");
}

static char *copy(const char *s) { return s && *s ? mem_string(s) : NULL; }

enum err transport_open(struct event_base *base, const struct transport_options *options, struct transport **ret,
                        struct error *e)
{
	struct transport *pool;
	enum err err = check_library(e);

	*ret = NULL;
	if (err == ERR_OK)
		err = transport_proxy_check(options->proxy, e);
	if (err)
		return err;
	pool = mem_zero(sizeof *pool);
	pool->base = base;
	pool->options = *options;
	authorities_init(&pool->authorities, options->ca_file);
	pool->proxy = copy(options->proxy);
	pool->no_proxy = copy(options->no_proxy);
	pool->dropped_at_ms = -1;
	LIST_INIT(&pool->watches);
	TAILQ_INIT(&pool->active);
	TAILQ_INIT(&pool->idle);
	LIST_INIT(&pool->wires);
	LIST_INIT(&pool->names);
	if (pool->options.max_connections == 0)
		pool->options.max_connections = 1;
	err = setup(pool, e);
	if (err) {
		transport_close(pool);
		return err;
	}
	*ret = pool;
	return ERR_OK;
}

void transport_close(struct transport *pool)
{
	struct transfer *t;

	if (!pool)
		return;
	while ((t = TAILQ_FIRST(&pool->active)))
		transport_abort(pool, t->request);
	while ((t = TAILQ_FIRST(&pool->idle))) {
		TAILQ_REMOVE(&pool->idle, t, link);
		transfer_free(t);
	}
	if (pool->multi)
		(void)curl_multi_cleanup(pool->multi);
	while (!LIST_EMPTY(&pool->watches))
		watch_free(LIST_FIRST(&pool->watches));
	while (!LIST_EMPTY(&pool->wires))
		wires_remove(&pool->wires, LIST_FIRST(&pool->wires)->fd);
	names_clear(&pool->names);
	if (pool->share)
		(void)curl_share_cleanup(pool->share);
	if (pool->timer)
		event_free(pool->timer);
	if (pool->kick)
		event_free(pool->kick);
	authorities_fini(&pool->authorities);
	free(pool->proxy);
	free(pool->no_proxy);
	free(pool);
}

static struct transfer *take_transfer(struct transport *pool)
{
	struct transfer *t = TAILQ_FIRST(&pool->idle);

	if (t) {
		TAILQ_REMOVE(&pool->idle, t, link);
		return t;
	}
	t = transfer_new(pool);
	t->watch = evtimer_new(pool->base, on_watch, t);
	must(t->watch);
	return t;
}

void transport_start(struct transport *pool, struct transport_request *request)
{
	struct transfer *t = take_transfer(pool);
	enum err err;

	must(pool->depth == 0 && !request->internal && request->timeout_ms > 0);
	request->internal = t;
	TAILQ_INSERT_TAIL(&pool->active, t, link);
	pool->active_count++;
	err = transfer_prepare(t, request, &t->answer.error);
	look(t);
	if (err == ERR_OK && curl_multi_add_handle(pool->multi, t->easy) != CURLM_OK)
		err = error_set(&t->answer.error, ERR_SYSTEM, "the HTTP client takes no more requests");
	if (err) {
		t->setup_failed = true;
		event_active(pool->kick, 0, 0);
	}
}

void transport_abort(struct transport *pool, struct transport_request *request)
{
	struct transfer *t = request->internal;

	if (!t)
		return;
	must(pool->depth == 0 && t->pool == pool);
	(void)evtimer_del(t->watch);
	if (!t->setup_failed)
		(void)curl_multi_remove_handle(pool->multi, t->easy);
	TAILQ_REMOVE(&pool->active, t, link);
	pool->active_count--;
	request->internal = NULL;
	transfer_free(t);
}

void transport_set_period(struct transport *pool, int64_t period_s) { pool->options.period_s = period_s; }

void transport_drop_connections(struct transport *pool) { pool->dropped_at_ms = clock_mono_ms(); }

size_t transport_under_way(const struct transport *pool) { return pool->active_count; }
