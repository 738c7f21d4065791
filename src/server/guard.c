#include "server/guard.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/trusted.h"

enum { FILE_MAX_BYTES = 65536, TOKENS_MAX = 64 };

struct guard {
	size_t count;
	unsigned char hash[TOKENS_MAX][SHA256_DIGEST_LENGTH];
};

static enum err check_file(int fd, const char *path, bool lax, struct error *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_set_errno(e, ERR_CONFIG, "token file %s", path);
	/* the group may read: systemd's credentials show the mask of their ACL there */
	if (lax)
		return error_set(e, ERR_CONFIG, "token file %s has mode %04o; make it 0600", path,
		                 (unsigned)(st.st_mode & 07777));
	if (st.st_size > FILE_MAX_BYTES)
		return error_set(e, ERR_CONFIG, "token file %s is larger than %d bytes", path, FILE_MAX_BYTES);
	return ERR_OK;
}

static enum err add_line(struct guard *g, const char *line, size_t length, const char *path, struct error *e)
{
	while (length > 0 && strchr(" \t\r", line[length - 1]))
		length--;
	while (length > 0 && strchr(" \t", *line)) {
		line++;
		length--;
	}
	if (length == 0 || *line == '#')
		return ERR_OK;
	if (length < GUARD_TOKEN_MIN_BYTES || length > GUARD_TOKEN_MAX_BYTES)
		return error_set(e, ERR_CONFIG, "token file %s: a token has %zu bytes; %d to %d are wanted", path,
		                 length, GUARD_TOKEN_MIN_BYTES, GUARD_TOKEN_MAX_BYTES);
	if (g->count == TOKENS_MAX)
		return error_set(e, ERR_CONFIG, "token file %s has more than %d tokens", path, TOKENS_MAX);
	(void)SHA256((const unsigned char *)line, length, g->hash[g->count++]);
	return ERR_OK;
}

static enum err read_tokens(struct guard *g, int fd, const char *path, struct error *e)
{
	char data[FILE_MAX_BYTES];
	size_t length = 0, at = 0;
	enum err err = ERR_OK;
	ssize_t n;

	while (length < sizeof data && (n = read(fd, data + length, sizeof data - length)) > 0)
		length += (size_t)n;
	if (length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		at = 3; /* an editor's mark is no part of the first token */
	while (err == ERR_OK && at < length) {
		const char *lf = memchr(data + at, '\n', length - at);
		size_t end = lf ? (size_t)(lf - data) : length;

		err = add_line(g, data + at, end - at, path, e);
		at = end + 1;
	}
	OPENSSL_cleanse(data, sizeof data);
	if (err == ERR_OK && g->count == 0)
		return error_set(e, ERR_CONFIG, "token file %s has no token", path);
	return err;
}

enum err guard_load(const char *path, struct guard **ret, struct error *e)
{
	AUTOFREE struct guard *g = mem_zero(sizeof *g);
	AUTOCLOSE int fd = -1;
	bool lax = false;
	enum err err = trusted_open(path, O_RDONLY, &fd, &lax, e);

	if (err != ERR_OK) {
		(void)error_wrap(e, "token file");
		e->code = ERR_CONFIG;
		return ERR_CONFIG;
	}
	if ((err = check_file(fd, path, lax, e)) != ERR_OK || (err = read_tokens(g, fd, path, e)) != ERR_OK)
		return err;
	*ret = take(g);
	return ERR_OK;
}

void guard_free(struct guard *g) { free(g); }

uint64_t guard_judge(const struct guard *g, const char *token, size_t length)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	uint64_t id;
	int found = 0;

	if (length > GUARD_TOKEN_MAX_BYTES)
		return 0;
	(void)SHA256((const unsigned char *)token, length, hash);
	for (size_t i = 0; i < g->count; i++)
		found |= CRYPTO_memcmp(hash, g->hash[i], sizeof hash) == 0;
	memcpy(&id, hash, sizeof id);
	return found ? id | 1 : 0;
}

uint64_t guard_judge_header(const struct guard *g, const char *authorization)
{
	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return 0;
	authorization += 7;
	authorization += strspn(authorization, " ");
	return guard_judge(g, authorization, strlen(authorization));
}

void guard_key(uint64_t token, unsigned char ret[LISTENER_KEY_BYTES])
{
	memset(ret, 0, LISTENER_KEY_BYTES);
	ret[0] = 't';
	memcpy(ret + 1, &token, sizeof token);
}

bool guard_admits(const struct guard *g, const char *token, size_t length)
{
	return guard_judge(g, token, length) != 0;
}

bool guard_admits_header(const struct guard *g, const char *authorization)
{
	return guard_judge_header(g, authorization) != 0;
}
