#include "base/random.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"

enum { POOL_BYTES = 512 };

static _Thread_local struct {
	unsigned char bytes[POOL_BYTES];
	size_t left;
	bool seeded;
	uint64_t state;
} pool;

/* splitmix64, only when a test asked for repeatable bytes. */
static uint64_t next_seeded(void)
{
	uint64_t z = (pool.state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void refill(void)
{
	size_t got = 0;

	if (pool.seeded) {
		for (; got < sizeof pool.bytes; got += sizeof(uint64_t)) {
			uint64_t word = next_seeded();

			memcpy(pool.bytes + got, &word, sizeof word);
		}
	}
	while (got < sizeof pool.bytes) {
		ssize_t n = getrandom(pool.bytes + got, sizeof pool.bytes - got, 0);

		must(n > 0 || errno == EINTR);
		if (n > 0)
			got += (size_t)n;
	}
	pool.left = sizeof pool.bytes;
}

void random_bytes(void *bytes, size_t count)
{
	unsigned char *out = bytes;

	while (count > 0) {
		size_t n;

		if (pool.left == 0)
			refill();
		n = count < pool.left ? count : pool.left;
		memcpy(out, pool.bytes + (sizeof pool.bytes - pool.left), n);
		memset(pool.bytes + (sizeof pool.bytes - pool.left), 0, n);
		pool.left -= n;
		out += n;
		count -= n;
	}
}

uint64_t random_u64(void)
{
	uint64_t value;

	random_bytes(&value, sizeof value);
	return value;
}

uint64_t random_below(uint64_t bound)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
	uint64_t value;

	must(bound > 0);
	do {
		value = random_u64();
	} while (value >= limit);
	return value % bound;
}

double random_unit(void) { return (double)(random_u64() >> 11) / 9007199254740992.0; }

char *random_uuid(char *buffer)
{
	unsigned char b[16];

	random_bytes(b, sizeof b);
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	(void)snprintf(buffer, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
	               b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	return buffer;
}

void random_test_seed(uint64_t seed)
{
	pool.seeded = true;
	pool.state = seed;
	pool.left = 0;
}
