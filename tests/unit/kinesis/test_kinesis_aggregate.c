/* Aggregates: bytes that three readers of other makers took apart, exact sizes, and a plain reader over random ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/random.h"
#include "kinesis/aggregate.h"

struct part {
	const void *data;
	size_t bytes;
};

static struct aggregate_writer *writer(void)
{
	struct aggregate_writer *w = NULL;
	struct error e;

	assert_int_equal(aggregate_writer_new(&w, &e), ERR_OK);
	return w;
}

/* Built with exactly the bytes that were announced; each data stands where it is said to stand. */
static unsigned char *build(struct aggregate_writer *w, const char *key, const char *hash_key, const struct part *parts,
                            size_t count, size_t *ret_bytes)
{
	size_t hash_bytes = hash_key ? strlen(hash_key) : 0;
	size_t bytes = aggregate_frame_bytes(strlen(key), hash_bytes);
	unsigned char *to;

	for (size_t i = 0; i < count; i++)
		bytes += aggregate_item_bytes(hash_key != NULL, parts[i].bytes);
	to = malloc(bytes);
	assert_non_null(to);
	aggregate_begin(w, to, key, strlen(key), hash_key, hash_bytes);
	for (size_t i = 0; i < count; i++) {
		size_t at = aggregate_add(w, parts[i].data, parts[i].bytes);

		assert_true(parts[i].bytes == 0 || memcmp(to + at, parts[i].data, parts[i].bytes) == 0);
	}
	assert_int_equal(aggregate_end(w), bytes);
	*ret_bytes = bytes;
	return to;
}

static void assert_hex(const unsigned char *bytes, size_t count, const char *hex)
{
	char *text = malloc(count * 2 + 1);

	for (size_t i = 0; i < count; i++)
		(void)sprintf(text + 2 * i, "%02x", bytes[i]);
	assert_string_equal(text, hex);
	free(text);
}

static void golden_bytes(void **state)
{
	static const struct {
		const char *key, *hash_key;
		struct part parts[2];
		size_t count;
		const char *hex;
	} rows[] = {
	    {"a",
	     NULL,
	     {{"hello", 5}, {"world", 5}},
	     2,
	     "f3899ac20a01611a0908001a0568656c6c6f1a0908001a05776f726c6495dc6567da1ab6d7868d9fce34d10c22"},
	    {"a",
	     "0",
	     {{"hello", 5}},
	     1,
	     "f3899ac20a01611201301a0b080010001a0568656c6c6f8e10a73bd993c9c28972b1ff508b1b28"},
	    {"k",
	     NULL,
	     {{"", 0}, {"x", 1}},
	     2,
	     "f3899ac20a016b1a0408001a001a0508001a01789130e86911969e5e3a8faf13d7be0f3f"},
	    {"schl\303\274ssel-\360\237\224\221",
	     NULL,
	     {{"hello", 5}},
	     1,
	     "f3899ac20a0f7363686cc3bc7373656c2df09f94911a0908001a0568656c6c6f48e34f025abdfe688415b00b67407b3d"},
	    {"k",
	     "340282366920938463463374607431768211455",
	     {{"m", 1}, {"n", 1}},
	     2,
	     "f3899ac20a016b12273334303238323336363932303933383436333436333337343630373433313736383231313435351a0708001"
	     "0001"
	     "a016d1a07080010001a016e8759e4e0c15444c0256dfe364bd645d0"},
	};
	struct aggregate_writer *w = writer();

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t bytes;
		unsigned char *to = build(w, rows[i].key, rows[i].hash_key, rows[i].parts, rows[i].count, &bytes);

		assert_hex(to, bytes, rows[i].hex);
		free(to);
	}
	aggregate_writer_free(w);
	aggregate_writer_free(NULL);
}

static void assert_sha256(const unsigned char *bytes, size_t count, const char *hex)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int n;

	assert_int_equal(EVP_Digest(bytes, count, digest, &n, EVP_sha256(), NULL), 1);
	assert_hex(digest, n, hex);
}

/* Three hundred records of one key. */
static void golden_digest(void **state)
{
	static char texts[300][16];
	static struct part parts[300];
	struct aggregate_writer *w = writer();
	unsigned char *to;
	size_t bytes;

	(void)state;
	for (size_t i = 0; i < 300; i++)
		parts[i] = (struct part){texts[i], (size_t)sprintf(texts[i], "{\"n\":%zu}", i)};
	to = build(w, "device-0001", NULL, parts, 300, &bytes);
	assert_int_equal(bytes, 4423);
	assert_sha256(to, bytes, "06b1bf812180d0a69aba8c3ac23c0c734ab8369035c5bfc6d7275d7646ebeb75");
	free(to);
	aggregate_writer_free(w);
}

static void fill(unsigned char *to, size_t bytes, size_t n)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = (unsigned char)(i * 7 + n * 13 + bytes);
}

/*
 * Filled to the byte: 31 KiB, what is paid as one and as two, what the producers' library allows, a record's most. The
 * digests are of what aws_kinesis_agg's own protobuf writes (PyPI).
 */
static void golden_at_each_bound(void **state)
{
	static char long_key[257];
	static const char last_hash[] = "340282366920938463463374607431768211455";
	static const struct {
		const char *key, *hash_key;
		size_t each, count, last, bytes;
		const char *hex;
	} rows[] = {
	    {"device-0001", NULL, 300, 102, 287, 31744,
	     "321fd5c233e07961e9f945065190348d14dc8cc8ce0aa79257cdc810d4f76879"},
	    {"device-0001", last_hash, 300, 101, 350, 31744,
	     "9f3d057a860b5e91c3b175d77c6bba046a1c6b901a07a99a935754c438dc8d73"},
	    {"device-0001", NULL, 9000, 3, 4679, 31744,
	     "3da7ac5324fce59ac3cb3095bdee4c303e412016963551d454edffe9b0146a2e"},
	    {"device-0001", NULL, 300, 82, 303, 25600,
	     "529aa750fb32a5cdd83745489389b87b74c2480351f7f0d92cc4695e0ca9dd2b"},
	    {"device-0001", NULL, 300, 82, 304, 25601,
	     "0981e50c3498b25b881e142b909a72e3babb4cd804bf05213e8c78bec41f2541"},
	    {long_key, NULL, 125, 384, 225, 51200, "9d506aa8c49b666afaccdeea7018d24c5fd760124d2209061b195eeeb497e9d5"},
	    {"device-0001", "0", 121, 395, 199, 51200,
	     "89b644f7b664bb21434d89577850dab453bda4d8acd0502de4b5e1cd8fac0e57"},
	    {"k", NULL, 16380, 63, 16038, 1 << 20, "8dacc208308239a531a788a57e20aeb5e91ac4df086fdb0d32a885d04af186ec"},
	    {"k", "0", 2097145, 4, 2097090, 10 << 20,
	     "4bec80f10a443cd6fdd976e4a6016dcc29c17447b0254e978fe39087ad48266d"},
	};
	struct aggregate_writer *w = writer();
	static struct part parts[400];

	(void)state;
	memset(long_key, 'd', 256);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t bytes;
		unsigned char *to, *data = malloc(rows[i].each * rows[i].count + rows[i].last);

		assert_non_null(data);
		for (size_t n = 0; n <= rows[i].count; n++) {
			size_t size = n < rows[i].count ? rows[i].each : rows[i].last;

			fill(data + n * rows[i].each, size, n);
			parts[n] = (struct part){data + n * rows[i].each, size};
		}
		to = build(w, rows[i].key, rows[i].hash_key, parts, rows[i].count + 1, &bytes);
		assert_int_equal(bytes, rows[i].bytes);
		assert_sha256(to, bytes, rows[i].hex);
		free(to);
		free(data);
	}
	aggregate_writer_free(w);
}

/* Sizes at which a length becomes a byte longer, of the record or of its data, one after the other in one digest. */
static void golden_where_lengths_grow(void **state)
{
	static const size_t sizes[] = {123,     124,     125,     126,     127,     128,     16377,   16378,   16379,
	                               16380,   16381,   16382,   16383,   16384,   31000,   31744,   2097143, 2097144,
	                               2097145, 2097146, 2097147, 2097148, 2097149, 2097150, 2097151, 2097152};
	static const struct {
		const char *hash_key, *hex;
	} rows[] = {
	    {NULL, "6432f974c6a0bfb5dbbf0f8d10a6a40138dfbd13d17557dd8d86bfb4be63b15e"},
	    {"0", "3aefecf8663499ec29c00e0cdda2a3ad6a21aa7cff4a34080339cb325682da70"},
	};
	struct aggregate_writer *w = writer();
	unsigned char *data = malloc(2097152);

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		unsigned char *all = NULL;
		size_t count = 0;

		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
			const struct part part = {data, sizes[k]};
			size_t bytes;
			unsigned char *to;

			fill(data, sizes[k], 0);
			to = build(w, "k", rows[i].hash_key, &part, 1, &bytes);
			all = realloc(all, count + bytes);
			assert_non_null(all);
			memcpy(all + count, to, bytes);
			count += bytes;
			free(to);
		}
		assert_sha256(all, count, rows[i].hex);
		free(all);
	}
	aggregate_writer_free(w);
	free(data);
}

/* The plain reader: lengths of any size, in the order of the format. */
static uint64_t varint(const unsigned char **at)
{
	uint64_t v = 0;

	for (int shift = 0;; shift += 7) {
		v |= (uint64_t)(**at & 0x7f) << shift;
		if (!(*(*at)++ & 0x80))
			return v;
	}
}

static void assert_text(const unsigned char **at, int tag, const void *want, size_t bytes)
{
	assert_int_equal(*(*at)++, tag);
	assert_int_equal(varint(at), bytes);
	assert_true(bytes == 0 || memcmp(*at, want, bytes) == 0);
	*at += bytes;
}

static void read_back(const unsigned char *to, size_t bytes, const char *key, const char *hash_key,
                      const struct part *parts, size_t count)
{
	const unsigned char *at = to + 4, *end = to + bytes - 16;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int n;

	assert_memory_equal(to, "\xf3\x89\x9a\xc2", 4);
	assert_text(&at, 0x0a, key, strlen(key));
	if (hash_key)
		assert_text(&at, 0x12, hash_key, strlen(hash_key));
	for (size_t i = 0; i < count; i++) {
		const unsigned char *record_end;
		uint64_t size;

		assert_int_equal(*at++, 0x1a);
		size = varint(&at);
		record_end = at + size;
		assert_memory_equal(at, "\x08", 2);
		at += 2;
		if (hash_key) {
			assert_memory_equal(at, "\x10", 2);
			at += 2;
		}
		assert_text(&at, 0x1a, parts[i].data, parts[i].bytes);
		assert_ptr_equal(at, record_end);
	}
	assert_ptr_equal(at, end);
	assert_int_equal(EVP_Digest(to + 4, (size_t)(end - to) - 4, digest, &n, EVP_md5(), NULL), 1);
	assert_memory_equal(digest, end, 16);
}

/* Sizes around each length of a length. */
static void any_sizes(void **state)
{
	static const size_t edges[] = {0,   1,   100,   122,   123,   124,   125,   126,
	                               127, 128, 16377, 16380, 16383, 16384, 70000, 2097152};
	unsigned char *data = malloc(2097152);
	struct aggregate_writer *w = writer();
	struct part parts[40];

	(void)state;
	assert_non_null(data);
	random_test_seed(7);
	random_bytes(data, 2097152);
	for (int round = 0; round < 60; round++) {
		const char *hash_key = round % 3 == 0 ? "170141183460469231731687303715884105728" : NULL;
		size_t count = 1 + random_below(40), bytes;
		char key[300] = "";
		unsigned char *to;

		for (size_t i = 0; i < count; i++)
			parts[i] = (struct part){data + random_below(100),
			                         random_below(3) ? edges[random_below(round == 0 ? 16 : 15)] % 2097000
			                                         : random_below(40000)};
		memset(key, 'k', 1 + random_below(256));
		to = build(w, key, hash_key, parts, count, &bytes);
		read_back(to, bytes, key, hash_key, parts, count);
		free(to);
	}
	aggregate_writer_free(w);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_bytes),
	    cmocka_unit_test(golden_digest),
	    cmocka_unit_test(golden_at_each_bound),
	    cmocka_unit_test(golden_where_lengths_grow),
	    cmocka_unit_test(any_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
