#include "aws/transport/progress.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifdef __linux__
#include <linux/sockios.h>
#include <linux/tcp.h> /* the C library's own has less */
#endif

#include "base/clock.h"
#include "base/mem.h"

void progress_look(int fd, struct progress *ret)
{
	memset(ret, 0, sizeof *ret);
#ifdef __linux__
	struct tcp_info info;
	socklen_t size = sizeof info;
	int queued;

	memset(&info, 0, sizeof info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || ioctl(fd, SIOCOUTQ, &queued) != 0 ||
	    size < offsetof(struct tcp_info, tcpi_busy_time) + sizeof info.tcpi_busy_time)
		return;
	ret->acked_bytes = info.tcpi_bytes_acked;
	ret->busy_ns = (int64_t)info.tcpi_busy_time * NS_PER_US;
	ret->rtt_ns = (int64_t)info.tcpi_min_rtt * NS_PER_US;
	ret->queued_bytes = queued > 0 ? (uint64_t)queued : 0;
	/* A sandbox may hand out a struct of zeros: a connection that stands had its own opening acknowledged. */
	ret->is_known = info.tcpi_rtt > 0 || info.tcpi_bytes_acked > 0;
#else
	(void)fd;
#endif
}

void wires_add(struct wires *all, int fd)
{
	struct wire *w = mem_zero(sizeof *w);

	w->fd = fd;
	LIST_INSERT_HEAD(all, w, link);
}

void wires_remove(struct wires *all, int fd)
{
	struct wire *w;

	LIST_FOREACH (w, all, link)
		if (w->fd == fd) {
			LIST_REMOVE(w, link);
			free(w);
			return;
		}
}

static int port_of(const struct sockaddr_storage *a, char text[static 64])
{
	struct sockaddr_in four = {0};
	struct sockaddr_in6 six = {0};
	const bool is_six = a->ss_family == AF_INET6;

	memcpy(&four, a, sizeof four);
	memcpy(&six, a, sizeof six);
	if (!inet_ntop(a->ss_family, is_six ? (const void *)&six.sin6_addr : &four.sin_addr, text, 64))
		text[0] = '\0';
	return ntohs(is_six ? six.sin6_port : four.sin_port);
}

static void ask(struct wire *w)
{
	struct sockaddr_storage near = {0}, far = {0};
	socklen_t near_size = sizeof near, far_size = sizeof far;
	char text[64];

	if (getsockname(w->fd, (struct sockaddr *)&near, &near_size) != 0 ||
	    getpeername(w->fd, (struct sockaddr *)&far, &far_size) != 0)
		return; /* it does not stand yet */
	w->local_port = port_of(&near, text);
	w->remote_port = port_of(&far, w->remote);
}

int wires_find(struct wires *all, const char *remote, int remote_port, int local_port)
{
	struct wire *w;

	LIST_FOREACH (w, all, link) {
		if (w->local_port == 0)
			ask(w);
		if (w->local_port == local_port && w->remote_port == remote_port && strcmp(w->remote, remote) == 0)
			return w->fd;
	}
	return -1;
}
