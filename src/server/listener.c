/*
 * Invariants:
 * 1. `connections` is the sum over `shares`, and no share stands there with 0 connections.
 * 2. Every accepted connection is released exactly once; the listener is freed when no share is left.
 * 3. `socket` is null from listener_stop on: nothing is accepted any more, and the rest timer changes nothing.
 * 4. Only a socket file with the inode we made is removed: the name may belong to another daemon by now.
 * 5. `look` runs for sockets with a file; `trouble` is set while that file is not ours.
 */
#include "server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/listen_socket.h"
#include "server/listen_tls.h"

enum { REST_MS = 250, LOOK_S = 1, FOREIGN_PER_PEER = 64, DRAIN_BYTES = 65536, ASKED_MAX = 8, FIRST_SHARE = 8 };

/* Connections of one peer; a short list, as there are at most max_connections of them. */
struct share {
	LIST_ENTRY(share) link;
	unsigned char key[LISTENER_KEY_BYTES];
	uint32_t connections;
	bool was_asked; /* while one is looked for: it gives nothing up */
};

struct listener {
	struct event_base *base;
	struct evconnlistener *socket;
	struct event *rest; /* runs out: accept again */
	SSL_CTX *tls;
	listener_accept *accept;
	void *arg;
	char *address;
	struct peer_rules rules;
	int spare_fd; /* given up for a moment when descriptors run out */
	uint16_t port;
	bool is_unix;
	bool is_loopback;
	struct stat file; /* the unix socket's file as we made it */
	struct event *look;
	char *trouble;
	uint32_t unix_mode;
	char *unix_group;
	char *cert_file;
	char *key_file;
	char *client_ca_file;
	struct listener_names allowed_names;
	bool asks_clients;
	bool (*make_room)(const unsigned char *key, bool for_smaller, void *arg);
	const char *refusal;
	uint32_t connections;
	uint32_t max_connections;
	uint32_t max_per_peer;
	uint32_t max_per_local;
	LIST_HEAD(, share) shares;
};

bool listener_is_path(const char *address) { return address && (strchr(address, '/') || *address == '@'); }

const char *listener_trouble(const struct listener *l) { return l->trouble; }

bool listener_is_loopback(const struct listener *l) { return !l->is_unix && l->is_loopback; }

uint16_t listener_port(const struct listener *l) { return l->port; }

static struct share *find_share(struct listener *l, const struct peer *peer)
{
	struct share *s;

	LIST_FOREACH (s, &l->shares, link)
		if (memcmp(s->key, peer->key, sizeof s->key) == 0)
			return s;
	return NULL;
}

static bool make_room(struct listener *l, const struct share *s, bool for_smaller)
{
	unsigned char key[LISTENER_KEY_BYTES];

	memcpy(key, s->key, sizeof key); /* its last connection takes the share along */
	return l->make_room && l->make_room(key, for_smaller, l->arg);
}

/*
 * All places are taken: who has most of them is asked first, and nobody who has fewer than the newcomer. Who stays
 * larger than it gives up what is not idle too.
 */
static bool make_any_room(struct listener *l, const struct share *newcomer)
{
	uint32_t own = newcomer ? newcomer->connections : 0;
	struct share *s, *largest;

	LIST_FOREACH (s, &l->shares, link)
		s->was_asked = false;
	for (int asked = 0; asked < ASKED_MAX; asked++) {
		largest = NULL;
		LIST_FOREACH (s, &l->shares, link)
			if (!s->was_asked && s->connections >= own &&
			    (!largest || s->connections > largest->connections))
				largest = s;
		if (!largest)
			return false;
		if (make_room(l, largest, largest->connections > own + 1))
			return true;
		largest->was_asked = true;
	}
	return false;
}

static bool take_share(struct listener *l, const struct peer *peer)
{
	struct share *s = find_share(l, peer);
	uint32_t most = peer->is_local ? l->max_per_local : l->max_per_peer;

	if (s && s->connections >= most && !make_room(l, s, false))
		return false;
	s = find_share(l, peer);
	most = s ? l->max_connections - l->max_connections / FIRST_SHARE : l->max_connections;
	if (l->connections >= most && !make_any_room(l, s))
		return false;
	s = find_share(l, peer);
	if (!s) {
		s = mem_zero(sizeof *s);
		memcpy(s->key, peer->key, sizeof s->key);
		LIST_INSERT_HEAD(&l->shares, s, link);
	}
	s->connections++;
	l->connections++;
	return true;
}

static void drop_share(struct listener *l, const struct peer *peer)
{
	struct share *s = find_share(l, peer);

	must(s && s->connections > 0 && l->connections > 0);
	l->connections--;
	if (--s->connections == 0) {
		LIST_REMOVE(s, link);
		free(s);
	}
}

void listener_release(struct listener *l, const struct peer *peer)
{
	drop_share(l, peer);
	metric_add(M_INPUT_CONNECTION_LOST, 1);
}

static void refuse(int fd, const struct listener *l, const char *peer, const char *reason)
{
	metric_add(M_INPUT_CONNECTION_FAILED, 1);
	LOG_LIMITED(LOG_WARN, "connection refused", LOG_S("address", l->address), LOG_S("peer", peer),
	            LOG_S("reason", reason));
	if (l->refusal && !l->tls) {
		char dropped[DRAIN_BYTES];

		(void)send(fd, l->refusal, strlen(l->refusal), MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)shutdown(fd, SHUT_WR);
		(void)recv(fd, dropped, sizeof dropped, MSG_DONTWAIT); /* bytes unread would make it a reset */
	}
	(void)close(fd);
}

static struct bufferevent *wrap(struct listener *l, int fd)
{
	const int flags = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
	struct bufferevent *bev;
	SSL *ssl;

	if (!l->tls)
		return bufferevent_socket_new(l->base, fd, flags);
	ssl = SSL_new(l->tls);
	if (!ssl)
		return NULL;
	bev = bufferevent_openssl_socket_new(l->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, flags);
	if (!bev)
		SSL_free(ssl);
	else
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *address, int length,
                      void *arg)
{
	struct listener *l = arg;
	struct bufferevent *bev;
	struct peer peer;
	int on = 1;

	(void)socket;
	(void)address;
	(void)length;
	if (!peer_identify(fd, &l->rules, &peer)) {
		metric_add(M_INPUT_REFUSED_DENIED, 1);
		refuse(fd, l, peer.text, "the peer rules do not admit it");
		return;
	}
	if (!take_share(l, &peer)) {
		refuse(fd, l, peer.text, "too many connections");
		return;
	}
	metric_add(M_INPUT_CONNECTION_UP, 1);
	if (!l->is_unix)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	bev = wrap(l, fd);
	if (!bev) {
		listener_release(l, &peer);
		refuse(fd, l, peer.text, "out of memory");
		return;
	}
	l->accept(bev, &peer, l->tls, l->arg);
}

/* Out of descriptors: the waiting peer is let in and hung up on by means of the spare, then the listener rests. */
static void on_accept_error(struct evconnlistener *socket, void *arg)
{
	struct listener *l = arg;
	const struct timeval rest = {.tv_usec = REST_MS * 1000};
	int error = errno;

	if ((error == EMFILE || error == ENFILE) && l->spare_fd >= 0) {
		int fd;

		(void)close(l->spare_fd);
		fd = accept4(evconnlistener_get_fd(socket), NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			(void)close(fd);
		l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		metric_add(M_INPUT_CONNECTION_FAILED, 1);
	}
	LOG_LIMITED(LOG_WARN, "cannot accept connections", LOG_S("address", l->address),
	            LOG_S("reason", strerror(error)));
	(void)evconnlistener_disable(socket);
	(void)event_add(l->rest, &rest);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	if (l->spare_fd < 0)
		l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (l->socket)
		(void)evconnlistener_enable(l->socket);
}

static enum err watch_socket(struct listener *l, int fd, struct error *e)
{
	l->socket = evconnlistener_new(l->base, on_accept, l, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!l->socket) {
		(void)close(fd);
		return error_set(e, ERR_SYSTEM, "cannot watch the listening socket of %s", l->address);
	}
	evconnlistener_set_error_cb(l->socket, on_accept_error);
	return ERR_OK;
}

static bool has_file(const struct listener *l) { return l->is_unix && l->address[0] != '@'; }

static bool file_is_ours(const struct listener *l)
{
	struct stat now;

	return lstat(l->address, &now) == 0 && now.st_ino == l->file.st_ino && now.st_dev == l->file.st_dev;
}

/* The name is gone or somebody else's: clients cannot find us. Whoever waits at the old socket still comes in. */
static void on_look(evutil_socket_t what, short events, void *arg)
{
	struct listener *l = arg;
	const struct listener_options options = {
	    .address = l->address, .is_unix = true, .unix_mode = l->unix_mode, .unix_group = l->unix_group};
	struct error e = {.code = ERR_OK};
	int fd = -1;

	(void)what;
	(void)events;
	if (!l->socket || file_is_ours(l)) {
		free(take(l->trouble));
		return;
	}
	if (listen_socket_unix(&options, &fd, &l->file, &e) == ERR_OK) {
		listener_take_waiting(l);
		evconnlistener_free(take(l->socket));
		if (watch_socket(l, fd, &e) == ERR_OK)
			LOG(LOG_WARN, "socket file was gone and is made again", LOG_S("address", l->address));
	}
	if (e.code != ERR_OK && (!l->trouble || strcmp(l->trouble, e.text) != 0))
		LOG(LOG_ERROR, "socket file is gone", LOG_S("address", l->address), LOG_S("reason", e.text));
	free(take(l->trouble));
	if (e.code != ERR_OK)
		l->trouble = mem_string(e.text);
}

static void watch_file(struct listener *l)
{
	const struct timeval every = {.tv_sec = LOOK_S};

	l->look = event_new(l->base, -1, EV_PERSIST, on_look, l);
	must(l->look && event_add(l->look, &every) == 0);
}

/* The key of a certificate's name: no address has such a first byte. */
static void set_name_key(struct peer *peer)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];

	(void)SHA256((const unsigned char *)peer->name, strlen(peer->name), hash);
	peer->key[0] = 'n';
	memcpy(peer->key + 1, hash, sizeof peer->key - 1);
}

static bool refuse_name(const struct listener *l, const struct peer *peer, const char *reason)
{
	metric_add(M_INPUT_REFUSED_DENIED, 1);
	LOG_LIMITED(LOG_WARN, "connection refused", LOG_S("address", l->address), LOG_S("peer", peer->text),
	            LOG_S("certificate", peer->name), LOG_S("reason", reason));
	return false;
}

bool listener_identify(struct listener *l, struct bufferevent *bev, struct peer *peer)
{
	const SSL *ssl = bufferevent_openssl_get_ssl(bev);
	struct peer named = *peer;

	if (!ssl || !l->asks_clients)
		return true;
	if (!listen_tls_name(ssl, &l->allowed_names, named.name, sizeof named.name))
		return refuse_name(l, &named, "no name of its certificate is allowed");
	set_name_key(&named);
	named.is_local = true; /* a name's share is half, wherever it comes from */
	/* its place as an address is given back first: it must not stand in its own way */
	drop_share(l, peer);
	if (!take_share(l, &named)) {
		must(take_share(l, peer));
		return refuse_name(l, &named, "too many connections with this certificate");
	}
	*peer = named;
	return true;
}

static void copy_files(struct listener *l, const struct listener_options *o)
{
	l->cert_file = o->cert_file ? mem_string(o->cert_file) : NULL;
	l->key_file = o->key_file ? mem_string(o->key_file) : NULL;
	l->client_ca_file = o->client_ca_file ? mem_string(o->client_ca_file) : NULL;
	l->allowed_names = o->allowed_names;
	l->asks_clients = o->client_ca_file && *o->client_ca_file;
}

enum err listener_read_keys(struct listener *l, struct error *e)
{
	const struct listener_options options = {.cert_file = l->cert_file,
	                                         .key_file = l->key_file,
	                                         .client_ca_file = l->client_ca_file,
	                                         .allowed_names = l->allowed_names};
	SSL_CTX *fresh = NULL;
	enum err err = listen_tls_open(&options, &fresh, e);

	if (err != ERR_OK)
		return err;
	SSL_CTX_free(l->tls); /* connections hold it as long as they live */
	l->tls = fresh;
	return ERR_OK;
}

static enum err start(struct listener *l, const struct listener_options *o, struct error *e)
{
	int fd = -1;
	enum err err;

	if ((err = peer_rules_load(o, &l->rules, e)) != ERR_OK || (err = listen_tls_open(o, &l->tls, e)) != ERR_OK)
		return err;
	err = l->is_unix ? listen_socket_unix(o, &fd, &l->file, e)
	                 : listen_socket_tcp(o, &fd, &l->port, &l->is_loopback, e);
	if (err != ERR_OK)
		return err;
	err = watch_socket(l, fd, e);
	if (err == ERR_OK && has_file(l))
		watch_file(l);
	return err;
}

static void set_limits(struct listener *l, const struct listener_options *o)
{
	uint32_t half = (o->max_connections + 1) / 2, named = o->max_connections_per_peer;

	l->max_connections = o->max_connections;
	l->max_per_local = named ? named : half;
	l->max_per_peer = named ? named : half < FOREIGN_PER_PEER ? half : FOREIGN_PER_PEER;
	l->make_room = o->make_room;
	l->refusal = o->refusal;
}

enum err listener_open(struct event_base *base, const struct listener_options *options, listener_accept *accept,
                       void *arg, struct listener **ret, struct error *e)
{
	struct listener *l = mem_zero(sizeof *l);
	enum err err;

	(void)signal(SIGPIPE, SIG_IGN); /* a peer that hung up is an error of its connection */
	l->base = base;
	l->accept = accept;
	l->arg = arg;
	l->address = mem_string(options->address);
	l->is_unix = options->is_unix || listener_is_path(options->address);
	l->unix_mode = options->unix_mode;
	l->unix_group = options->unix_group ? mem_string(options->unix_group) : NULL;
	set_limits(l, options);
	copy_files(l, options);
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	LIST_INIT(&l->shares);
	l->rest = evtimer_new(base, on_rested, l);
	must(l->rest);
	err = start(l, options, e);
	if (err != ERR_OK) {
		listener_free(l);
		return err;
	}
	*ret = l;
	return ERR_OK;
}

void listener_take_waiting(struct listener *l)
{
	int fd;

	while (l->socket && !l->tls &&
	       (fd = accept4(evconnlistener_get_fd(l->socket), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		on_accept(l->socket, fd, NULL, 0, l);
}

void listener_stop(struct listener *l)
{
	(void)event_del(l->rest);
	if (!l->socket)
		return;
	/* only the file we made: another daemon may have taken the name since */
	if (has_file(l) && file_is_ours(l))
		(void)unlink(l->address);
	evconnlistener_free(l->socket);
	l->socket = NULL;
}

void listener_free(struct listener *l)
{
	if (!l)
		return;
	listener_stop(l);
	must(LIST_EMPTY(&l->shares));
	event_free(l->rest);
	if (l->look)
		event_free(l->look);
	free(l->trouble);
	free(l->unix_group);
	free(l->cert_file);
	free(l->key_file);
	free(l->client_ca_file);
	SSL_CTX_free(l->tls);
	peer_rules_fini(&l->rules);
	if (l->spare_fd >= 0)
		(void)close(l->spare_fd);
	free(l->address);
	free(l);
}
