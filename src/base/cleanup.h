/*
 * cleanup: the cleanup attribute and take().
 *
 * What it is: variables that free or close themselves when they leave their scope.
 * Promises: none of its own.
 * Owner: the variable, until take() moves the pointer out.
 * Thread: any.
 * Fails: a close(2) that fails is not told: for descriptors that were only read.
 * Does not: log or report.
 */
#ifndef KSPOOL_BASE_CLEANUP_H
#define KSPOOL_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

/* Moves a pointer out of a variable that would otherwise be cleaned up. */
#define take(p)                             \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

static inline void cleanup_free(void *p) { free(*(void **)p); }

static inline void cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#define AUTOFREE CLEANUP(cleanup_free)
#define AUTOCLOSE CLEANUP(cleanup_fd)

#endif
