#include "kinesis/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/mem.h"

/* Field number and wire type of protobuf, in one byte. */
enum {
	TABLE_KEY = 0x0a,
	TABLE_HASH_KEY = 0x12,
	RECORD = 0x1a,
	RECORD_KEY_INDEX = 0x08,
	RECORD_HASH_KEY_INDEX = 0x10,
	RECORD_DATA = 0x1a,
	MD5_BYTES = 16,
};
static const unsigned char magic[] = {0xf3, 0x89, 0x9a, 0xc2};

struct aggregate_writer {
	EVP_MD *md5;
	EVP_MD_CTX *context;
	unsigned char *begin, *at;
	bool has_hash_key;
};

enum err aggregate_writer_new(struct aggregate_writer **ret, struct error *e)
{
	struct aggregate_writer *w = mem_zero(sizeof *w);

	w->md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	w->context = EVP_MD_CTX_new();
	must(w->context);
	*ret = w;
	if (w->md5)
		return ERR_OK;
	aggregate_writer_free(w);
	*ret = NULL;
	return error_set(e, ERR_CONFIG,
	                 "MD5, which the format of aggregates needs, is not allowed by OpenSSL here (FIPS)");
}

void aggregate_writer_free(struct aggregate_writer *w)
{
	if (!w)
		return;
	EVP_MD_CTX_free(w->context);
	EVP_MD_free(w->md5);
	free(w);
}

static size_t varint_bytes(size_t v)
{
	size_t n = 1;

	while (v >>= 7)
		n++;
	return n;
}

static size_t text_bytes(size_t bytes) { return 1 + varint_bytes(bytes) + bytes; }

static size_t record_bytes(bool has_hash_key, size_t data_bytes)
{
	return (has_hash_key ? 4 : 2) + text_bytes(data_bytes);
}

size_t aggregate_frame_bytes(size_t key_bytes, size_t hash_key_bytes)
{
	return sizeof magic + text_bytes(key_bytes) + (hash_key_bytes ? text_bytes(hash_key_bytes) : 0) + MD5_BYTES;
}

size_t aggregate_item_bytes(bool has_hash_key, size_t data_bytes)
{
	return text_bytes(record_bytes(has_hash_key, data_bytes));
}

static void put_length(struct aggregate_writer *w, int tag, size_t v)
{
	*w->at++ = (unsigned char)tag;
	for (; v > 0x7f; v >>= 7)
		*w->at++ = (unsigned char)(v | 0x80);
	*w->at++ = (unsigned char)v;
}

static void put_text(struct aggregate_writer *w, int tag, const void *bytes, size_t count)
{
	put_length(w, tag, count);
	if (count > 0)
		memcpy(w->at, bytes, count);
	w->at += count;
}

void aggregate_begin(struct aggregate_writer *w, void *to, const char *key, size_t key_bytes, const char *hash_key,
                     size_t hash_key_bytes)
{
	w->begin = to;
	w->has_hash_key = hash_key_bytes > 0;
	memcpy(w->begin, magic, sizeof magic);
	w->at = w->begin + sizeof magic;
	put_text(w, TABLE_KEY, key, key_bytes);
	if (w->has_hash_key)
		put_text(w, TABLE_HASH_KEY, hash_key, hash_key_bytes);
}

size_t aggregate_add(struct aggregate_writer *w, const void *data, size_t bytes)
{
	put_length(w, RECORD, record_bytes(w->has_hash_key, bytes));
	put_length(w, RECORD_KEY_INDEX, 0);
	if (w->has_hash_key)
		put_length(w, RECORD_HASH_KEY_INDEX, 0);
	put_text(w, RECORD_DATA, data, bytes);
	return (size_t)(w->at - w->begin) - bytes;
}

size_t aggregate_end(struct aggregate_writer *w)
{
	const unsigned char *message = w->begin + sizeof magic;
	unsigned int written = 0;

	must(EVP_DigestInit_ex2(w->context, w->md5, NULL) == 1 &&
	     EVP_DigestUpdate(w->context, message, (size_t)(w->at - message)) == 1 &&
	     EVP_DigestFinal_ex(w->context, w->at, &written) == 1 && written == MD5_BYTES);
	w->at += written;
	return (size_t)(w->at - w->begin);
}
