#include "daemon/daemon_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Secrets stay out of core files and of other users' debuggers. A sanitizer's leak check needs the latter. */
void daemon_limits_guard_memory(void)
{
	struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* Many clients must not take the descriptors that journal and delivery need. */
void daemon_limits_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

enum err daemon_limits_check_descriptors(struct error *e)
{
	enum { NEEDED = 64 };
	int fds[NEEDED], count = 0, why = 0;
	enum err err = ERR_OK;

	while (count < NEEDED && why == 0) {
		fds[count] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
		why = fds[count] < 0 ? errno : 0;
		count += why == 0;
	}
	if (why != 0)
		err = error_set(
		    e, ERR_SYSTEM,
		    "only %d more files may be opened, and %d are needed (%s): raise ulimit -n, or LimitNOFILE= "
		    "of the unit",
		    count, NEEDED, strerror(why));
	while (count > 0)
		(void)close(fds[--count]);
	return err;
}
