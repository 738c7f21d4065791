#include "base/failpoint.h"

#ifdef KSPOOL_FAILPOINTS

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *wanted(void)
{
	static _Atomic(const char *) cached;
	const char *text = cached;

	if (!text) {
		text = getenv("KSPOOL_FAILPOINT");
		text = text ? text : "";
		cached = text;
	}
	return text;
}

void failpoint_pass(const char *name)
{
	static _Atomic long passes;
	const char *text = wanted();
	const char *colon;

	if (*text == '\0')
		return;
	colon = strchr(text, ':');
	if (!colon || (size_t)(colon - text) != strlen(name) || strncmp(text, name, (size_t)(colon - text)) != 0)
		return;
	if (atomic_fetch_add(&passes, 1) + 1 == strtol(colon + 1, NULL, 10))
		(void)kill(getpid(), SIGKILL);
}

/* Not a loop to the compiler: each frame is written to. */
static int overflow_stack(volatile int depth)
{
	volatile char frame[4096];

	frame[0] = (char)depth;
	return depth < 0 ? 0 : overflow_stack(depth + 1) + frame[0];
}

static void hold(void)
{
	const char *path = getenv("KSPOOL_FAILPOINT_HELD");
	int fd = path ? open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) : -1;

	while (fd >= 0 && access(path, F_OK) == 0)
		(void)poll(NULL, 0, 1);
	if (fd >= 0)
		(void)close(fd);
}

void failpoint_bytes(const char *name, const void *bytes, size_t count)
{
	const char *text = getenv("KSPOOL_FAILPOINT_BYTES");
	size_t length = strlen(name);
	char *end;
	long number;

	if (!text || strncmp(text, name, length) != 0 || text[length] != ':')
		return;
	number = strtol(text + length + 1, &end, 10);
	if (*end != ':' || !memmem(bytes, count, end + 1, strlen(end + 1)))
		return;
	if (number == -2) {
		hold();
		return;
	}
	if (number < 0)
		for (;;)
			(void)pause();
	if (number == 0)
		_exit(overflow_stack(0));
	(void)raise((int)number);
}

int64_t failpoint_number(const char *name, int64_t number)
{
	const char *text = getenv("KSPOOL_FAILPOINT_NUMBER");
	size_t length = strlen(name);

	return text && strncmp(text, name, length) == 0 && text[length] == ':' ? strtoll(text + length + 1, NULL, 10)
	                                                                       : number;
}

#endif
