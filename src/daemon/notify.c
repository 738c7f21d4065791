#include "daemon/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"

void notify_send(const char *format, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTOCLOSE int fd = -1;
	char text[1024];
	va_list ap;
	size_t length;
	int n;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
		return;
	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n < 0)
		return;
	length = strlen(path);
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
}

void notify_reloading(void) { notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_ns() / NS_PER_US); }

int64_t notify_watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	int64_t value;

	if (!usec || !num_parse_i64(usec, &value) || value <= 0)
		return 0;
	if (pid) {
		int64_t wanted;

		if (!num_parse_i64(pid, &wanted) || wanted != (int64_t)getpid())
			return 0;
	}
	return value * NS_PER_US / 2;
}
