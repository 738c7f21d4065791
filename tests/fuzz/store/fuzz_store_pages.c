/*
 * Any bytes as a database that was set aside: each page is read, and every record of it lies within what was read. The
 * part of fuzz_store_file that looks at bytes, without SQLite, journal and folder: thousands a second instead of tens.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "store/files/pages.h"
#include "rig/fuzz.h"

static unsigned long sum; /* so that nothing read is optimised away */

static enum err visit(void *arg, const struct stored_record *r, struct error *e)
{
	(void)arg, (void)e;
	must(r->count >= 0 && r->count <= RECORD_COLUMNS_MAX);
	for (int i = 0; i < r->count; i++)
		if (r->values[i].type == VALUE_TEXT || r->values[i].type == VALUE_BLOB)
			for (size_t at = 0; at < r->values[i].count; at++)
				sum += r->values[i].bytes[at];
	return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int folder = -1;
	static char name[40];
	struct pages *p = NULL;
	struct error e;
	int fd;

	if (folder < 0) {
		folder = open(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)snprintf(name, sizeof name, "kspool-fuzz-pages-%d", (int)getpid());
	}
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)close(fd);
	if (pages_open(folder, name, PAGES_OF_BOTH, &p, &e) == ERR_OK)
		for (uint32_t n = 1; n <= pages_count(p) && n < 256; n++)
			if (pages_records(p, n, visit, NULL, &e) != ERR_OK)
				break;
	pages_close(p);
	(void)unlinkat(folder, name, 0);
	return 0;
}
