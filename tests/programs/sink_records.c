/* The bodies: JSON and CBOR requests read just far enough, and the entries of their answers. */
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define CODE "ProvisionedThroughputExceededException"
#define SEQUENCE "49546986683135544286507457936321625675700000000000000000" /* the last 20 digits count */
#define FAILURE "InternalFailure"

void *grow(void *memory, size_t *capacity, size_t need)
{
	if (need <= *capacity)
		return memory;
	*capacity = need * 3 / 2;
	memory = realloc(memory, *capacity);
	if (!memory)
		die("memory");
	return memory;
}

void add(struct connection *c, const void *bytes, size_t count)
{
	c->out = grow(c->out, &c->out_cap, c->out_len + count);
	memcpy(c->out + c->out_len, bytes, count);
	c->out_len += count;
}

static size_t decode_base64(const char *text, size_t count, char *out)
{
	uint32_t bits = 0, held = 0;
	size_t length = 0;

	for (size_t i = 0; i < count; i++) {
		unsigned char ch = (unsigned char)text[i];
		uint32_t value = ch >= 'A' && ch <= 'Z'   ? (uint32_t)(ch - 'A')
		                 : ch >= 'a' && ch <= 'z' ? (uint32_t)(ch - 'a' + 26)
		                 : ch >= '0' && ch <= '9' ? (uint32_t)(ch - '0' + 52)
		                 : ch == '+'              ? 62
		                 : ch == '/'              ? 63
		                                          : 64;

		if (value == 64)
			break;
		bits = bits << 6 | value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[length++] = (char)(bits >> held);
		}
	}
	return length;
}

static bool find_seq(const char *data, size_t count, uint64_t *ret)
{
	const char *at = memmem(data, count, "\"seq\":", 6);
	const char *end = data + count;
	uint64_t number = 0;

	if (!at)
		return false;
	at += 6;
	if (at == end || *at < '0' || *at > '9')
		return false;
	for (; at < end && *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	*ret = number;
	return at < end && number < SEQ_LIMIT; /* a number at the very end may be cut off */
}

static void mark(uint64_t number)
{
	uint8_t bit = (uint8_t)(1U << (number & 7));

	if (sink.seen[number >> 3] & bit)
		sink.duplicates++;
	else
		sink.unique++;
	sink.seen[number >> 3] |= bit;
}

static void verify(const char *data, size_t count, bool is_base64)
{
	static char *plain;
	static size_t capacity;
	size_t prefix = PREFIX_BYTES / 3 * 4, length;
	uint64_t number;
	bool found;

	if (!is_base64) {
		found = find_seq(data, count, &number);
	} else {
		plain = grow(plain, &capacity, count + PREFIX_BYTES);
		length = decode_base64(data, count < prefix ? count : prefix, plain);
		found = find_seq(plain, length, &number);
		if (!found && count > prefix)
			found = find_seq(plain, decode_base64(data, count, plain), &number);
	}
	if (found)
		mark(number);
	else
		sink.unreadable++;
}

static bool is_throttled(void)
{
	if (!sink.throttle_permille)
		return false;
	sink.random ^= sink.random << 13;
	sink.random ^= sink.random >> 7;
	sink.random ^= sink.random << 17;
	return (sink.random >> 20) % 1000 < sink.throttle_permille;
}

static void add_sequence(struct connection *c)
{
	char digits[] = SEQUENCE;
	uint64_t number = sink.records;

	for (size_t i = sizeof digits - 2; number; i--, number /= 10)
		digits[i] = (char)('0' + number % 10);
	ADD(c, digits);
}

struct text {
	const char *at; /* null: it was not seen */
	size_t bytes;
};

/* As the service does: by the first bits of the key's MD5. A key with JSON escapes is taken as it stands. */
static struct sink_shard *shard_of(const struct text *key)
{
	static EVP_MD_CTX *context;
	static EVP_MD *md5;
	unsigned char digest[EVP_MAX_MD_SIZE];
	uint32_t top;

	if (sink.shard_count == 1)
		return &sink.shards[0];
	if (!context) {
		context = EVP_MD_CTX_new();
		md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	}
	if (EVP_DigestInit_ex2(context, md5, NULL) != 1 || EVP_DigestUpdate(context, key->at, key->bytes) != 1 ||
	    EVP_DigestFinal_ex(context, digest, NULL) != 1)
		die("MD5");
	top = (uint32_t)digest[0] << 16 | (uint32_t)digest[1] << 8 | digest[2];
	return &sink.shards[top * sink.shard_count >> 24];
}

/* The shard's records come faster than it takes them. */
static bool is_full(struct sink_shard *s)
{
	int64_t now = now_ns();

	s->tokens += s->slow_s * (double)(now - s->filled_ns) / 1e9;
	s->tokens = s->tokens < s->slow_s ? s->tokens : s->slow_s > 1 ? s->slow_s : 1; /* a second's, one at least */
	s->filled_ns = now;
	if (s->tokens < 1)
		return true;
	s->tokens--;
	return false;
}

static enum fault fault_of(struct sink_shard *s)
{
	enum fault f = s->records < s->from ? FAULT_NONE : s->fault;

	if (f == FAULT_SLOW)
		f = is_full(s) ? FAULT_THROTTLE : FAULT_NONE;
	return f == FAULT_NONE && is_throttled() ? FAULT_THROTTLE : f;
}

static void add_refused(struct connection *c, const char *shard, bool fails)
{
	const char *code = fails ? FAILURE : CODE;
	char message[128], entry[256];
	int n =
	    fails ? snprintf(message, sizeof message, "Internal service failure.")
	          : snprintf(message, sizeof message, "Rate exceeded for shard %s in stream s under account 1.", shard);

	if (c->cbor) {
		ADD(c, "\xa2\x69"
		       "ErrorCode\x78");
		entry[0] = (char)strlen(code);
		add(c, entry, 1);
		add(c, code, strlen(code));
		ADD(c, "\x6c"
		       "ErrorMessage\x78");
		entry[0] = (char)n;
		add(c, entry, 1);
		add(c, message, (size_t)n);
	} else {
		n = snprintf(entry, sizeof entry, "{\"ErrorCode\":\"%s\",\"ErrorMessage\":\"%s\"},", code, message);
		add(c, entry, (size_t)n);
	}
}

/* Counts one record and adds its entry to the answer; false when it was refused. */
static bool take_record(struct connection *c, const struct text *data, const struct text *key)
{
	struct sink_shard *s = shard_of(key);
	enum fault fault = fault_of(s);

	if (fault != FAULT_NONE) {
		sink.throttled += fault == FAULT_THROTTLE;
		s->refused++;
		c->unanswered |= fault == FAULT_SILENT;
		add_refused(c, s->name, fault == FAULT_FAIL);
		return false;
	}
	sink.records++;
	s->records++;
	sink.payload += c->cbor ? data->bytes : data->bytes / 4 * 3;
	if (sink.verify)
		verify(data->at, data->bytes, !c->cbor);
	if (c->cbor)
		ADD(c, "\xa2\x6eSequenceNumber\x78\x38");
	else
		ADD(c, "{\"SequenceNumber\":\"");
	add_sequence(c);
	if (c->cbor) {
		ADD(c, "\x67ShardId\x74");
		add(c, s->name, SHARD_BYTES);
	} else {
		ADD(c, "\",\"ShardId\":\"");
		add(c, s->name, SHARD_BYTES);
		ADD(c, "\"},");
	}
	return true;
}

static bool is_word(const struct text *t, const char *word)
{
	return t->bytes == strlen(word) && memcmp(t->at, word, t->bytes) == 0;
}

/* Walks the strings of a JSON body: `Data` and `PartitionKey` with a colon behind them name the string that follows. */
uint32_t take_json(struct connection *c, const char *p, const char *end, uint32_t *ret_failed)
{
	struct text data = {0}, key = {0}, *next = NULL;
	uint32_t count = 0;

	while (p < end && (p = memchr(p, '"', (size_t)(end - p)))) {
		struct text string = {.at = ++p};

		for (;;) {
			p = memchr(p, '"', (size_t)(end - p));
			if (!p)
				return count;
			if (p == string.at || p[-1] != '\\')
				break;
			p++; /* an escaped quote; data is base64 and has none, and keys here end in no backslash */
		}
		string.bytes = (size_t)(p - string.at);
		if (next) {
			*next = string;
			next = NULL;
		} else {
			const char *q = p + 1;

			while (q < end && *q == ' ')
				q++;
			if (q < end && *q == ':')
				next = is_word(&string, "Data")           ? &data
				       : is_word(&string, "PartitionKey") ? &key
				                                          : NULL;
		}
		if (data.at && key.at) {
			count++;
			*ret_failed += !take_record(c, &data, &key);
			data = key = (struct text){0};
		}
		p++;
	}
	return count;
}

struct cbor {
	const uint8_t *p, *end;
};

/* Head of one item: its major type, and its number in *ret; UINT64_MAX is an indefinite length. -1: cut off. */
static int cbor_head(struct cbor *s, uint64_t *ret)
{
	int first, low;

	if (s->p >= s->end)
		return -1;
	first = *s->p++;
	low = first & 31;
	*ret = (uint64_t)low;
	if (low == 31) {
		*ret = UINT64_MAX;
	} else if (low >= 24) {
		int bytes = 1 << (low - 24);

		if (low > 27 || s->end - s->p < bytes)
			return -1;
		for (*ret = 0; bytes--;)
			*ret = *ret << 8 | *s->p++;
	}
	return first >> 5;
}

/* A string of that major type, of a known length. */
static bool cbor_string(struct cbor *s, int major, struct text *ret)
{
	uint64_t bytes;

	if (cbor_head(s, &bytes) != major || bytes > (uint64_t)(s->end - s->p))
		return false;
	*ret = (struct text){.at = (const char *)s->p, .bytes = bytes};
	return true;
}

/* One item of any kind; what has `Data` and a `PartitionKey` is a record. */
static bool take_cbor(struct connection *c, struct cbor *s, int depth, uint32_t *count, uint32_t *failed)
{
	struct text data = {0}, key = {0}, word;
	uint64_t number;
	int major = cbor_head(s, &number);
	bool open = number == UINT64_MAX;

	if (major < 0 || depth > 8)
		return false;
	if (major < 2 || major == 7)
		return true;
	if (major < 4) {
		if (open || number > (uint64_t)(s->end - s->p))
			return false;
		s->p += number;
		return true;
	}
	if (major == 6)
		return take_cbor(c, s, depth + 1, count, failed);
	for (uint64_t i = 0; open ? s->p < s->end && *s->p != 0xff : i < number; i++) {
		struct cbor name = *s, value;

		if (major == 5 && !take_cbor(c, s, depth + 1, count, failed))
			return false;
		value = *s;
		if (!take_cbor(c, s, depth + 1, count, failed))
			return false;
		if (major == 5 && cbor_string(&name, 3, &word))
			(void)cbor_string(&value, is_word(&word, "Data") ? 2 : 3,
			                  is_word(&word, "Data")           ? &data
			                  : is_word(&word, "PartitionKey") ? &key
			                                                   : &word);
	}
	if (data.at && key.at) {
		++*count;
		*failed += !take_record(c, &data, &key);
	}
	s->p += open;
	return s->p <= s->end;
}

bool take_cbor_body(struct connection *c, const char *body, size_t bytes, uint32_t *ret_count, uint32_t *ret_failed)
{
	struct cbor s = {(const uint8_t *)body, (const uint8_t *)body + bytes};

	return take_cbor(c, &s, 0, ret_count, ret_failed);
}
