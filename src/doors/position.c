#include "doors/position.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/mem.h"

static bool hash_head(int fd, uint32_t bytes, char ret[POSITION_HASH_CHARS + 1])
{
	unsigned char head[POSITION_HEAD_MAX_BYTES];
	unsigned char hash[SHA256_DIGEST_LENGTH];
	size_t at = 0;

	while (at < bytes) {
		ssize_t n = pread(fd, head + at, bytes - at, (off_t)at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	(void)SHA256(head, bytes, hash);
	for (int i = 0; i < POSITION_HASH_CHARS / 2; i++)
		(void)snprintf(ret + (size_t)i * 2, 3, "%02x", hash[i]);
	return true;
}

enum err position_of(int fd, uint64_t offset, struct position *ret, struct error *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_set_errno(e, ERR_SYSTEM, "fstat");
	ret->device = (uint64_t)st.st_dev;
	ret->inode = (uint64_t)st.st_ino;
	ret->offset = offset;
	ret->head_bytes =
	    st.st_size < POSITION_HEAD_MAX_BYTES ? (uint32_t)st.st_size : (uint32_t)POSITION_HEAD_MAX_BYTES;
	if (!hash_head(fd, ret->head_bytes, ret->head_hash))
		return error_set_errno(e, ERR_SYSTEM, "cannot read the head of the file");
	return ERR_OK;
}

char *position_print(const struct position *p)
{
	return mem_format("1 %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %s", p->device, p->inode, p->offset,
	                  p->head_bytes, p->head_hash);
}

bool position_parse(const char *text, struct position *ret)
{
	int end = 0;

	memset(ret, 0, sizeof *ret);
	return sscanf(text, "1 %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32 " %32[0-9a-f]%n", &ret->device,
	              &ret->inode, &ret->offset, &ret->head_bytes, ret->head_hash, &end) == 5 &&
	       text[end] == '\0' && strlen(ret->head_hash) == POSITION_HASH_CHARS &&
	       ret->head_bytes <= POSITION_HEAD_MAX_BYTES;
}

bool position_matches(const struct position *p, int fd, const char **ret_reason)
{
	char hash[POSITION_HASH_CHARS + 1] = "";
	struct stat st;

	*ret_reason = NULL;
	if (fstat(fd, &st) != 0)
		*ret_reason = "it cannot be examined";
	else if ((uint64_t)st.st_ino != p->inode)
		*ret_reason = "another file has its name";
	else if ((uint64_t)st.st_size < p->offset)
		*ret_reason = "it is shorter than what was read";
	else if (!hash_head(fd, p->head_bytes, hash) || strcmp(hash, p->head_hash) != 0)
		*ret_reason = "its first bytes changed";
	return !*ret_reason;
}
