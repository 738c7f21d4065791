/* What lies at the path, looked at with our own descriptors before SQLite opens anything; and what was found, in words.
 */
#include "store/store_internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "store/byte_order_internal.h"
#include "store/schema.h"
#include "store/wal.h"

/* Offsets of the database header: sqlite.org/fileformat2.html, section 1.3. */
enum { HEADER_BYTES = 100, AT_USER_VERSION = 60, AT_APPLICATION_ID = 68, LOOK_BYTES = 65536 };
static const char sqlite_magic[16] = "SQLite format 3";

/* A database whose header lost bits, told from a stranger by the tide mark beside it. */
static bool is_one_of_ours_damaged(const struct tide *tide, const unsigned char *h, uint32_t application)
{
	int wrong = 0;

	if (!tide->is_valid)
		return false;
	for (size_t i = 0; i < sizeof sqlite_magic; i++)
		wrong += __builtin_popcount((unsigned char)sqlite_magic[i] ^ h[i]);
	if (wrong > 0)
		return application == APPLICATION_ID || wrong > 40; /* another kind of file would have its own id */
	return __builtin_popcount(application ^ APPLICATION_ID) == 1;
}

static enum err refuse_stranger(const struct files *f, const unsigned char *bytes, size_t count, uint32_t application,
                                struct error *e)
{
	if (memcmp(bytes, sqlite_magic, sizeof sqlite_magic) != 0)
		return error_set(e, ERR_ENVIRONMENT,
		                 "%s is not a spool (not an SQLite file); move it away or name another path", f->path);
	if (memmem(bytes, count, "requeue", 7))
		return error_set(e, ERR_ENVIRONMENT,
		                 "%s is a buffer of Redpanda Connect; let it drain there, or name another path",
		                 f->path);
	return error_set(e, ERR_ENVIRONMENT,
	                 "%s is a database of another program (application_id %#x); name another path", f->path,
	                 (unsigned)application);
}

static enum err inspect_header(const struct files *f, const unsigned char *bytes, size_t count, enum file_kind *ret,
                               struct error *e)
{
	uint32_t application, version;
	struct tide tide;
	uint32_t newest = (uint32_t)schema_steps[schema_step_count - 1].version;
	enum err err = files_tide_read(f, &tide, e);

	if (err != ERR_OK)
		return err;
	if (count < HEADER_BYTES) {
		*ret = FILE_DAMAGED;
		return tide.is_valid ? ERR_OK
		                     : error_set(e, ERR_ENVIRONMENT,
		                                 "%s is not a spool; move it away or name another path", f->path);
	}
	application = get_big_u32(bytes + AT_APPLICATION_ID);
	version = get_big_u32(bytes + AT_USER_VERSION);
	*ret = FILE_OURS;
	if (memcmp(bytes, sqlite_magic, sizeof sqlite_magic) != 0 || application != APPLICATION_ID) {
		if (!is_one_of_ours_damaged(&tide, bytes, application))
			return refuse_stranger(f, bytes, count, application, e);
		*ret = FILE_DAMAGED;
		return ERR_OK;
	}
	if (version <= newest)
		return ERR_OK;
	if (!tide.is_valid || tide.schema > newest)
		return error_set(e, ERR_CONFIG, "%s has schema %u, this kspool knows %u; run the newer kspool", f->path,
		                 version, newest);
	*ret = FILE_DAMAGED; /* the last writer was no newer than we are: the number lost bits */
	return ERR_OK;
}

enum err store_inspect(const struct files *f, enum file_kind *ret, struct error *e)
{
	AUTOCLOSE int fd = -1;
	unsigned char bytes[LOOK_BYTES];
	int64_t size, wal_size;
	size_t n = 0;
	enum err err = files_size(f, "", &size, e);

	if (err == ERR_OK)
		err = files_size(f, "-wal", &wal_size, e);
	if (err != ERR_OK)
		return err;
	*ret = FILE_MISSING;
	if (size < 0)
		return ERR_OK;
	*ret = FILE_DAMAGED;
	if (size == 0)
		return ERR_OK; /* a spool is never empty */
	err = files_open_read(f, "", O_RDONLY, &fd, e);
	if (err == ERR_OK && fd < 0)
		return error_set(e, ERR_ENVIRONMENT, "%s went away while it was looked at", f->path);
	if (err == ERR_OK)
		err = files_read_at(fd, bytes, sizeof bytes, 0, &n, e);
	if (err != ERR_OK)
		return error_wrap(e, "%s", f->path);
	return inspect_header(f, bytes, n, ret, e);
}

enum err store_mend_wal(const struct files *f, struct store_report *report, struct error *e)
{
	AUTOCLOSE int fd = -1;
	struct wal_scan scan;
	char aside[64];
	uint64_t damaged = 0;
	enum err err = files_open_read(f, "-wal", O_RDWR, &fd, e);

	if (err != ERR_OK || fd < 0)
		return err;
	err = wal_scan(fd, &scan, e);
	if (err != ERR_OK || !wal_is_damaged(&scan))
		return err;
	if (scan.header_is_torn && scan.commits_mended == scan.commits_lost)
		return wal_mend(fd, &scan, &damaged, e);
	report->wal_mended = true;
	report->wal_frames_lost = scan.commits_lost - scan.commits_mended;
	(void)snprintf(aside, sizeof aside, "-wal.damaged-%lld", (long long)clock_wall_ms());
	err = files_copy(f, "-wal", aside, e);
	if (err == ERR_OK)
		err = files_sync_dir(f, e);
	if (err == ERR_OK)
		err = wal_mend(fd, &scan, &damaged, e);
	store_warn(report,
	           "the write-ahead log was damaged in the middle: %llu commits stood behind %llu bad frames; it was"
	           " copied to %s%s and joined again",
	           (unsigned long long)scan.commits_mended, (unsigned long long)damaged, f->path, aside);
	return err;
}

void store_warn(struct store_report *report, const char *format, ...)
{
	size_t used = strlen(report->warning);
	va_list ap;

	if (used > 0 && used + 2 < sizeof report->warning)
		used += (size_t)snprintf(report->warning + used, sizeof report->warning - used, "; ");
	va_start(ap, format);
	if (used + 1 < sizeof report->warning)
		(void)vsnprintf(report->warning + used, sizeof report->warning - used, format, ap);
	va_end(ap);
}
