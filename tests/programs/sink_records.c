/* The bodies: JSON and CBOR requests read just far enough, and the entries of their answers. */
#include "sink.h"

#include <stdlib.h>
#include <string.h>

#define CODE "ProvisionedThroughputExceededException"
#define SEQUENCE "49546986683135544286507457936321625675700000000000000000" /* the last 20 digits count */
#define SHARD "shardId-000000000000"

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

/* Counts one record and adds its entry to the answer; false when it was refused. */
static bool take_record(struct connection *c, const char *data, size_t count)
{
	if (is_throttled()) {
		sink.throttled++;
		if (c->cbor)
			ADD(c, "\xa2\x69"
			       "ErrorCode\x78\x26" CODE "\x6c"
			       "ErrorMessage\x6d"
			       "Rate exceeded");
		else
			ADD(c, "{\"ErrorCode\":\"" CODE "\",\"ErrorMessage\":\"Rate exceeded\"},");
		return false;
	}
	sink.records++;
	sink.payload += c->cbor ? count : count / 4 * 3;
	if (sink.verify)
		verify(data, count, !c->cbor);
	if (c->cbor)
		ADD(c, "\xa2\x6eSequenceNumber\x78\x38");
	else
		ADD(c, "{\"SequenceNumber\":\"");
	add_sequence(c);
	if (c->cbor)
		ADD(c, "\x67ShardId\x74" SHARD);
	else
		ADD(c, "\",\"ShardId\":\"" SHARD "\"},");
	return true;
}

/* Walks the strings of a JSON body: a string `Data` followed by a colon names the string after it. */
uint32_t take_json(struct connection *c, const char *p, const char *end, uint32_t *ret_failed)
{
	uint32_t count = 0;
	bool is_data = false;

	while (p < end && (p = memchr(p, '"', (size_t)(end - p)))) {
		const char *start = ++p;

		for (;;) {
			p = memchr(p, '"', (size_t)(end - p));
			if (!p)
				return count;
			if (p == start || p[-1] != '\\')
				break;
			p++; /* an escaped quote; data is base64 and has none, and keys here end in no backslash */
		}
		if (is_data) {
			count++;
			*ret_failed += !take_record(c, start, (size_t)(p - start));
		}
		is_data = false;
		if (p - start == 4 && memcmp(start, "Data", 4) == 0) {
			const char *q = p + 1;

			while (q < end && *q == ' ')
				q++;
			is_data = q < end && *q == ':';
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

/* One item of any kind; records of definite or indefinite containers are taken where a text `Data` names them. */
static bool take_cbor(struct connection *c, struct cbor *s, int depth, uint32_t *count, uint32_t *failed)
{
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
		const uint8_t *key = s->p;

		if (major == 5) {
			struct cbor value;
			uint64_t length;

			if (!take_cbor(c, s, depth + 1, count, failed))
				return false;
			value = *s;
			if (s->p - key == 5 &&
			    memcmp(key,
			           "\x64"
			           "Data",
			           5) == 0 &&
			    cbor_head(&value, &length) == 2 && length <= (uint64_t)(value.end - value.p)) {
				++*count;
				*failed += !take_record(c, (const char *)value.p, length);
			}
		}
		if (!take_cbor(c, s, depth + 1, count, failed))
			return false;
	}
	s->p += open;
	return s->p <= s->end;
}

bool take_cbor_body(struct connection *c, const char *body, size_t bytes, uint32_t *ret_count, uint32_t *ret_failed)
{
	struct cbor s = {(const uint8_t *)body, (const uint8_t *)body + bytes};

	return take_cbor(c, &s, 0, ret_count, ret_failed);
}
