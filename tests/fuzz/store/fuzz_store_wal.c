/* Any bytes as a write-ahead log: scanning never fails on content, and a mended log scans as sound. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "store/files/wal.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("wal", MFD_CLOEXEC);
	struct wal_scan scan = {0}, again = {0};
	struct error e;
	uint64_t damaged;

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	must(wal_scan(fd, &scan, &e) == ERR_OK);
	if (wal_is_damaged(&scan)) {
		must(wal_mend(fd, &scan, &damaged, &e) == ERR_OK);
		must(wal_scan(fd, &again, &e) == ERR_OK);
		must(again.header_is_sound);
		must(again.frames >= scan.mend_frames);
	}
	(void)close(fd);
	return 0;
}
