#include "aws/transport/authorities.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/trusted.h"

enum { MOST_BYTES = 4 << 20 };

void authorities_init(struct authorities *a, const char *path)
{
	a->path = path && *path ? mem_string(path) : NULL;
	buf_init(&a->text, MOST_BYTES);
}

void authorities_fini(struct authorities *a)
{
	free(a->path);
	buf_fini(&a->text);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_uid == b->st_uid &&
	       a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static enum err look(struct authorities *a, struct error *e)
{
	struct stat now = {0};
	enum err err;

	if (!a->path)
		return ERR_OK;
	if (stat(a->path, &now) == 0 && a->edition > 0 && is_same(&now, &a->seen))
		return ERR_OK;
	err = trusted_read(a->path, &a->text, NULL, e);
	if (err == ERR_OK && a->text.len == 0)
		err = error_set(e, ERR_ENVIRONMENT, "%s is empty", a->path);
	if (err != ERR_OK) {
		a->seen = (struct stat){0};
		return error_wrap(e, "certificate authorities (kspool.ca_file, AWS_CA_BUNDLE)");
	}
	a->seen = now;
	a->edition++;
	return ERR_OK;
}

enum err authorities_give(struct authorities *a, CURL *easy, uint64_t *edition, struct error *e)
{
	struct curl_blob blob = {.flags = CURL_BLOB_COPY};
	enum err err = look(a, e);

	if (err != ERR_OK || *edition == a->edition)
		return err;
	blob.data = a->text.data;
	blob.len = a->text.len;
	must(curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK);
	*edition = a->edition;
	return ERR_OK;
}
