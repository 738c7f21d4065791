/* fuzz_folder: a folder in memory for the files of one input. */
#ifndef KSPOOL_RIG_FUZZ_FOLDER_H
#define KSPOOL_RIG_FUZZ_FOLDER_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

struct fuzz_folder {
	char path[64];
};

static inline void fuzz_folder_open(struct fuzz_folder *f)
{
	(void)snprintf(f->path, sizeof f->path, "%s/kspool-fuzz-XXXXXX",
	               access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	must(mkdtemp(f->path) != NULL);
}

static inline void fuzz_folder_write(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)close(fd);
}

static inline void fuzz_folder_remove(const struct fuzz_folder *f)
{
	DIR *d = opendir(f->path);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		(void)unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		(void)closedir(d);
	(void)rmdir(f->path);
}

#endif
