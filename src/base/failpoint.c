#include "base/failpoint.h"

#ifdef KSPOOL_FAILPOINTS

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

#endif
