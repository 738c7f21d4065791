#include "doors/position.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/mem.h"

/* The print of `bytes` bytes from `offset`. */
static bool take_print(int fd, uint64_t offset, uint32_t bytes, struct position_print *ret)
{
	unsigned char data[POSITION_PRINT_MAX_BYTES];
	unsigned char hash[SHA256_DIGEST_LENGTH];
	size_t at = 0;

	memset(ret, 0, sizeof *ret);
	while (at < bytes) {
		ssize_t n = pread(fd, data + at, bytes - at, (off_t)(offset + at));

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	(void)SHA256(data, bytes, hash);
	for (int i = 0; i < POSITION_HASH_CHARS / 2; i++)
		(void)snprintf(ret->hash + (size_t)i * 2, 3, "%02x", hash[i]);
	ret->bytes = bytes;
	return true;
}

static bool has_print(int fd, uint64_t offset, const struct position_print *wanted)
{
	struct position_print now;

	return take_print(fd, offset, wanted->bytes, &now) && strcmp(now.hash, wanted->hash) == 0;
}

static uint32_t at_most(uint64_t bytes)
{
	return bytes < POSITION_PRINT_MAX_BYTES ? (uint32_t)bytes : (uint32_t)POSITION_PRINT_MAX_BYTES;
}

enum err position_of(int fd, struct position *ret, struct error *e)
{
	struct stat st;

	memset(ret, 0, sizeof *ret);
	if (fstat(fd, &st) != 0)
		return error_set_errno(e, ERR_SYSTEM, "fstat");
	ret->device = (uint64_t)st.st_dev;
	ret->inode = (uint64_t)st.st_ino;
	return ERR_OK;
}

void position_move(struct position *p, int fd, uint64_t offset)
{
	uint32_t bytes = at_most(offset);

	p->offset = offset;
	/* of what was read only: what stands behind it may yet be written */
	if (p->head.bytes < bytes)
		(void)take_print(fd, 0, bytes, &p->head);
	(void)take_print(fd, offset - bytes, bytes, &p->tail);
}

char *position_key(int fd)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) != 0 || fstatvfs(fd, &fs) != 0)
		return NULL;
	/* the id of the file system outlives a reboot where there is one; the number of the device may not */
	return mem_format("inode:%" PRIx64 ":%" PRIu64, fs.f_fsid ? (uint64_t)fs.f_fsid : (uint64_t)st.st_dev,
	                  (uint64_t)st.st_ino);
}

char *position_print(const struct position *p)
{
	const uint64_t again_until = p->again_until > p->offset ? p->again_until : 0;
	const char version = p->rows > 0 ? '4' : again_until > 0 ? '3' : '2';
	char until[48] = "";

	if (version == '4')
		(void)snprintf(until, sizeof until, " %" PRIu64 " %" PRIu64, again_until, p->rows);
	else if (version == '3')
		(void)snprintf(until, sizeof until, " %" PRIu64, again_until);
	return mem_format("%c %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %s %" PRIu32 " %s%s", version, p->device,
	                  p->inode, p->offset, p->head.bytes, p->head.hash, p->tail.bytes,
	                  p->tail.bytes > 0 ? p->tail.hash : "-", until);
}

static bool hash_is_whole(const struct position_print *p)
{
	return strlen(p->hash) == POSITION_HASH_CHARS && p->bytes <= POSITION_PRINT_MAX_BYTES;
}

bool position_parse(const char *text, struct position *ret)
{
	char version = '\0';
	int end = 0, known, tail = 0, until = 0;

	memset(ret, 0, sizeof *ret);
	known = sscanf(text, "%c %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32 " %32[0-9a-f]%n", &version, &ret->device,
	               &ret->inode, &ret->offset, &ret->head.bytes, ret->head.hash, &end);
	if (known != 6 || text[1] != ' ' || !hash_is_whole(&ret->head))
		return false;
	if (version == '1')
		return text[end] == '\0';
	if (version < '2' || version > '4' ||
	    sscanf(text + end, " %" SCNu32 " %32[0-9a-f-]%n", &ret->tail.bytes, ret->tail.hash, &tail) != 2)
		return false;
	end += tail;
	if (version >= '3' && sscanf(text + end, " %" SCNu64 "%n", &ret->again_until, &until) != 1)
		return false;
	end += until;
	until = 0;
	if (version == '4' && sscanf(text + end, " %" SCNu64 "%n", &ret->rows, &until) != 1)
		return false;
	return text[end + until] == '\0' && ret->tail.bytes <= ret->offset &&
	       (ret->tail.bytes == 0 ? strcmp(ret->tail.hash, "-") == 0 : hash_is_whole(&ret->tail));
}

bool position_matches(const struct position *p, int fd, const char **ret_reason)
{
	struct stat st;

	*ret_reason = NULL;
	if (fstat(fd, &st) != 0)
		*ret_reason = "it cannot be examined";
	else if ((uint64_t)st.st_ino != p->inode)
		*ret_reason = "another file has its name";
	else if ((uint64_t)st.st_size < p->offset)
		*ret_reason = "it is shorter than what was read";
	else if (!has_print(fd, 0, &p->head))
		*ret_reason = "its first bytes changed";
	else if (p->tail.bytes > 0 && !has_print(fd, p->offset - p->tail.bytes, &p->tail))
		*ret_reason = "the bytes before the place where reading ended changed";
	return !*ret_reason;
}
