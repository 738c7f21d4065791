/*
 * Invariants:
 * 1. A descriptor is the caller's only after ERR_OK; on every other way out it is closed here.
 * 2. A unix socket has mode 0600 until its group and its mode are what the options say: nobody comes in before.
 * 3. A socket file is removed only when it is a socket, ours, and nobody answers on it.
 * 4. With peer rules, a peer whose credentials cannot be read is not admitted.
 * 5. A peer's key is its family and what one host commonly owns: an IPv4 address, an IPv6 /64, a uid.
 */
#include "server/listen_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/num.h"
#include "server/resolve.h"

enum { BACKLOG = 512, PEER_GROUPS_MAX = 256 };

/* "host:port" in Go's form: an empty host is every address. */
static enum err split_address(const char *address, char *host, size_t host_size, const char **ret_port, struct error *e)
{
	const char *colon = strrchr(address, ':');
	const char *from = address;
	size_t n;
	uint64_t port;

	if (!colon || !num_parse_u64(colon + 1, &port) || port > UINT16_MAX)
		return error_set(e, ERR_CONFIG, "address \"%s\" is not host:port", address);
	n = (size_t)(colon - from);
	if (n >= 2 && *from == '[' && from[n - 1] == ']') {
		from++;
		n -= 2;
	} else if (memchr(from, ':', n)) {
		return error_set(e, ERR_CONFIG, "address \"%s\": an IPv6 host stands in brackets", address);
	}
	if (n >= host_size)
		return error_set(e, ERR_CONFIG, "address \"%s\": the host is too long", address);
	memcpy(host, from, n);
	host[n] = '\0';
	*ret_port = colon + 1;
	return ERR_OK;
}

static bool is_loopback(const struct sockaddr *address)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (address->sa_family == AF_INET) {
		memcpy(&in, address, sizeof in);
		return (ntohl(in.sin_addr.s_addr) >> 24) == 127;
	}
	if (address->sa_family != AF_INET6)
		return false;
	memcpy(&in6, address, sizeof in6);
	return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) && in6.sin6_addr.s6_addr[12] == 127);
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	socklen_t length = sizeof address;

	if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		return 0;
	memcpy(&in, &address, sizeof in);
	memcpy(&in6, &address, sizeof in6);
	return ntohs(address.ss_family == AF_INET ? in.sin_port : in6.sin6_port);
}

static enum err bind_tcp(const struct resolved *to, bool every, const char *address, int *ret_fd, struct error *e)
{
	const struct sockaddr *sa = (const struct sockaddr *)&to->address;
	AUTOCLOSE int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, only6 = every ? 0 : 1;

	if (fd < 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "socket for %s", address);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (sa->sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof only6);
	if (bind(fd, sa, to->length) != 0 || listen(fd, BACKLOG) != 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "cannot listen on %s", address);
	*ret_fd = fd;
	fd = -1;
	return ERR_OK;
}

enum err listen_socket_tcp(const struct listener_options *options, int *ret_fd, uint16_t *ret_port,
                           bool *ret_is_loopback, struct error *e)
{
	struct resolved to;
	char host[256] = "";
	const char *port = NULL;
	bool has_guard = options->has_token || (options->cert_file && *options->cert_file);
	enum err err = split_address(options->address, host, sizeof host, &port, e);

	if (err == ERR_OK && (err = resolve(host, port, &to, e)) != ERR_OK)
		(void)error_wrap(e, "address \"%s\"", options->address);
	if (err != ERR_OK)
		return err;
	*ret_is_loopback = is_loopback((const struct sockaddr *)&to.address);
	if (options->require_guard && !has_guard && !*ret_is_loopback)
		err = error_set(e, ERR_CONFIG,
		                "address \"%s\" is reachable from the network: it needs cert_file and key_file, or "
		                "token_file, or a loopback host",
		                options->address);
	else
		err = bind_tcp(&to, !*host, options->address, ret_fd, e);
	if (err == ERR_OK)
		*ret_port = bound_port(*ret_fd);
	return err;
}

/* A full disk may have room later. */
static enum err no_room(int number) { return number == ENOSPC || number == EDQUOT ? ERR_FULL : ERR_ENVIRONMENT; }

/* A socket file left by a dead process is removed when it is ours and nobody answers; anything else stays. */
static enum err remove_stale(const struct sockaddr_un *address, struct error *e)
{
	AUTOCLOSE int probe = -1;
	struct stat st;

	if (lstat(address->sun_path, &st) != 0)
		return errno == ENOENT ? ERR_OK : error_set_errno(e, ERR_ENVIRONMENT, "socket %s", address->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(e, ERR_ENVIRONMENT,
		                 "%s exists and is not a socket: move it away, or name another path",
		                 address->sun_path);
	if (st.st_uid != geteuid())
		return error_set(e, ERR_ENVIRONMENT, "socket %s belongs to uid %u", address->sun_path,
		                 (unsigned)st.st_uid);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "socket");
	if (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0 || errno != ECONNREFUSED)
		return error_set(e, ERR_ENVIRONMENT, "another process listens on %s", address->sun_path);
	if (unlink(address->sun_path) != 0)
		return error_set_errno(e, no_room(errno), "cannot remove the stale socket %s", address->sun_path);
	return ERR_OK;
}

static enum err set_group(const char *path, const char *group, struct error *e)
{
	uint64_t number;
	gid_t gid;

	if (!group || !*group)
		return ERR_OK;
	if (num_parse_u64(group, &number) && number < UINT32_MAX) {
		gid = (gid_t)number;
	} else {
		struct group *g = getgrnam(group);

		if (!g)
			return error_set(e, ERR_ENVIRONMENT, "group \"%s\" does not exist", group);
		gid = g->gr_gid;
	}
	if (chown(path, (uid_t)-1, gid) != 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "cannot give socket %s to group %s", path, group);
	return ERR_OK;
}

static enum err bind_unix(int fd, const struct sockaddr_un *address, const struct listener_options *options,
                          struct error *e)
{
	mode_t old = umask(0177); /* nobody comes in before mode and group are what they must be */
	int bound = bind(fd, (const struct sockaddr *)address, sizeof *address);
	int saved = errno;
	enum err err;

	(void)umask(old);
	errno = saved;
	if (bound != 0)
		return error_set_errno(e, no_room(saved), "cannot make socket %s", address->sun_path);
	err = set_group(address->sun_path, options->unix_group, e);
	if (err == ERR_OK && chmod(address->sun_path, (mode_t)options->unix_mode) != 0)
		err = error_set_errno(e, ERR_ENVIRONMENT, "cannot set the mode of socket %s", address->sun_path);
	if (err == ERR_OK && listen(fd, BACKLOG) != 0)
		err = error_set_errno(e, ERR_ENVIRONMENT, "cannot listen on %s", address->sun_path);
	if (err != ERR_OK)
		(void)unlink(address->sun_path);
	return err;
}

/* "@name" has no file (unix(7)): nothing is left behind, and no mode keeps anybody out. */
static enum err listen_abstract(const char *name, int *ret_fd, struct error *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	AUTOCLOSE int fd = -1;

	if (n < 2 || n > sizeof address.sun_path)
		return error_set(e, ERR_CONFIG, "abstract address \"%s\" has no name, or more than %zu bytes", name,
		                 sizeof address.sun_path);
	memcpy(address.sun_path + 1, name + 1, n - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    bind(fd, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) != 0 ||
	    listen(fd, BACKLOG) != 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "cannot listen on %s", name);
	*ret_fd = fd;
	fd = -1;
	return ERR_OK;
}

enum err listen_socket_unix(const struct listener_options *options, int *ret_fd, struct stat *ret_file, struct error *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTOCLOSE int fd = -1;
	enum err err;

	if (*options->address == '@')
		return listen_abstract(options->address, ret_fd, e);
	if (!*options->address || strlen(options->address) >= sizeof address.sun_path)
		return error_set(e, ERR_CONFIG, "socket path \"%s\" is empty or longer than %zu bytes",
		                 options->address, sizeof address.sun_path - 1);
	memcpy(address.sun_path, options->address, strlen(options->address));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "socket for %s", options->address);
	if ((err = remove_stale(&address, e)) != ERR_OK || (err = bind_unix(fd, &address, options, e)) != ERR_OK)
		return err;
	if (lstat(options->address, ret_file) != 0)
		return error_set_errno(e, ERR_ENVIRONMENT, "socket %s", options->address);
	*ret_fd = fd;
	fd = -1;
	return ERR_OK;
}

/* In a user namespace with a partial map every foreign uid reads as the overflow uid: rules would judge blindly. */
static enum err check_uid_map(struct error *e)
{
	unsigned long inside = 1, outside = 1, count = 0;
	FILE *f = fopen("/proc/self/uid_map", "re");
	int n;

	if (!f)
		return error_set_errno(e, ERR_CONFIG, "allow_users and allow_groups need /proc/self/uid_map");
	n = fscanf(f, "%lu %lu %lu", &inside, &outside, &count);
	(void)fclose(f);
	if (n != 3 || inside != 0 || outside != 0 || count != 4294967295UL)
		return error_set(
		    e, ERR_CONFIG,
		    "allow_users and allow_groups cannot be judged inside a user namespace (PrivateUsers=yes)");
	return ERR_OK;
}

static enum err find_user(const char *name, uid_t *ret, struct error *e)
{
	uint64_t number;
	struct passwd *p;

	if (num_parse_u64(name, &number) && number < UINT32_MAX) {
		*ret = (uid_t)number;
		return ERR_OK;
	}
	p = getpwnam(name);
	if (!p)
		return error_set(e, ERR_ENVIRONMENT, "allow_users: user \"%s\" does not exist", name);
	*ret = p->pw_uid;
	return ERR_OK;
}

static enum err find_group(const char *name, gid_t *ret, struct error *e)
{
	uint64_t number;
	struct group *g;

	if (num_parse_u64(name, &number) && number < UINT32_MAX) {
		*ret = (gid_t)number;
		return ERR_OK;
	}
	g = getgrnam(name);
	if (!g)
		return error_set(e, ERR_ENVIRONMENT, "allow_groups: group \"%s\" does not exist", name);
	*ret = g->gr_gid;
	return ERR_OK;
}

enum err peer_rules_load(const struct listener_options *options, struct peer_rules *ret, struct error *e)
{
	size_t users = options->allow_users.count;
	size_t groups = options->allow_groups.count;
	enum err err = ERR_OK;

	memset(ret, 0, sizeof *ret);
	if (users + groups == 0)
		return ERR_OK;
	if ((err = check_uid_map(e)) != ERR_OK)
		return err;
	ret->uid = mem_array(users + 1, sizeof *ret->uid);
	ret->gid = mem_array(groups + 1, sizeof *ret->gid);
	for (; err == ERR_OK && ret->users < users; ret->users++)
		err = find_user(options->allow_users.items[ret->users], &ret->uid[ret->users], e);
	for (; err == ERR_OK && ret->groups < groups; ret->groups++)
		err = find_group(options->allow_groups.items[ret->groups], &ret->gid[ret->groups], e);
	if (err != ERR_OK)
		peer_rules_fini(ret);
	return err;
}

void peer_rules_fini(struct peer_rules *rules)
{
	free(rules->uid);
	free(rules->gid);
	memset(rules, 0, sizeof *rules);
}

static bool group_is_listed(const struct peer_rules *rules, gid_t gid)
{
	for (size_t i = 0; i < rules->groups; i++)
		if (rules->gid[i] == gid)
			return true;
	return false;
}

static bool rules_admit(int fd, const struct peer_rules *rules, const struct ucred *cred)
{
	gid_t groups[PEER_GROUPS_MAX];
	socklen_t length = sizeof groups;

	if (rules->users + rules->groups == 0)
		return true;
	for (size_t i = 0; i < rules->users; i++)
		if (rules->uid[i] == cred->uid)
			return true;
	if (group_is_listed(rules, cred->gid))
		return true;
#ifdef SO_PEERGROUPS
	if (rules->groups > 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) == 0)
		for (size_t i = 0; i < length / sizeof *groups; i++)
			if (group_is_listed(rules, groups[i]))
				return true;
#endif
	return false;
}

static bool identify_unix(int fd, const struct peer_rules *rules, struct peer *ret)
{
	struct ucred cred;
	socklen_t length = sizeof cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) != 0)
		return false;
	(void)snprintf(ret->text, sizeof ret->text, "unix uid=%u", (unsigned)cred.uid);
	memcpy(ret->key, &cred.uid, sizeof cred.uid);
	return rules_admit(fd, rules, &cred);
}

bool peer_identify(int fd, const struct peer_rules *rules, struct peer *ret)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in6 in6;
	const unsigned char *bytes;
	socklen_t length = sizeof address;

	memset(ret, 0, sizeof *ret);
	if (getpeername(fd, (struct sockaddr *)&address, &length) != 0)
		return false;
	ret->is_local = address.ss_family == AF_UNIX || is_loopback((const struct sockaddr *)&address);
	if (address.ss_family == AF_UNIX)
		return identify_unix(fd, rules, ret);
	if (address.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&address;

		ret->key[0] = 4;
		memcpy(ret->key + 1, &in->sin_addr, 4);
		(void)inet_ntop(AF_INET, &in->sin_addr, ret->host, sizeof ret->host);
		(void)snprintf(ret->text, sizeof ret->text, "%s:%u", ret->host, ntohs(in->sin_port));
		return true;
	}
	memcpy(&in6, &address, sizeof in6);
	bytes = in6.sin6_addr.s6_addr;
	if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
		ret->key[0] = 4;
		memcpy(ret->key + 1, bytes + 12, 4);
		(void)inet_ntop(AF_INET, bytes + 12, ret->host, sizeof ret->host);
		(void)snprintf(ret->text, sizeof ret->text, "%s:%u", ret->host, ntohs(in6.sin6_port));
		return true;
	}
	ret->key[0] = 6;
	memcpy(ret->key + 1, bytes, 8); /* one host commonly owns its /64 */
	(void)inet_ntop(AF_INET6, bytes, ret->host, sizeof ret->host);
	(void)snprintf(ret->text, sizeof ret->text, "[%s]:%u", ret->host, ntohs(in6.sin6_port));
	return true;
}
