/*
 * ownroom: a file system that has as much room as a test says.
 *
 * What it is: fstatvfs under its own name, so that what is free is a number of the test's, to the byte; nothing of it
 * is taken by what is written. Thread: one.
 */
#ifndef KSPOOL_TESTS_OWNROOM_H
#define KSPOOL_TESTS_OWNROOM_H

#include <stdint.h>
#include <string.h>
#include <sys/statvfs.h>

#define MIB (UINT64_C(1) << 20)
#define PLENTY (UINT64_C(1) << 40)

static uint64_t free_bytes = PLENTY, all_bytes = PLENTY;

/* In the place of the C library's. */
int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	memset(ret, 0, sizeof *ret);
	ret->f_bsize = ret->f_frsize = 1;
	ret->f_blocks = all_bytes;
	ret->f_bfree = ret->f_bavail = free_bytes;
	return 0;
}

#endif
