#include "base/crc32c.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

enum { SLICES = 8 };
static const uint32_t polynomial = 0x82f63b78; /* reflected */

static uint32_t table[SLICES][256];
static _Atomic bool table_ready;

/* Idempotent: two threads that meet here write the same values. */
static void fill_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? polynomial ^ c >> 1 : c >> 1;
		__atomic_store_n(&table[0][i], c, __ATOMIC_RELAXED);
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int slice = 1; slice < SLICES; slice++) {
			uint32_t c = table[slice - 1][i];

			__atomic_store_n(&table[slice][i], c >> 8 ^ table[0][c & 0xff], __ATOMIC_RELAXED);
		}
	atomic_store_explicit(&table_ready, true, memory_order_release);
}

static uint32_t little_u32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t count)
{
	const unsigned char *p = data;
	uint32_t c = ~crc;

	if (!atomic_load_explicit(&table_ready, memory_order_acquire))
		fill_table();
	for (; count >= 8; p += 8, count -= 8) {
		uint32_t low = c ^ little_u32(p);
		uint32_t high = little_u32(p + 4);

		c = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
		    table[4][low >> 24] ^ table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
		    table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
	}
	for (; count > 0; p++, count--)
		c = table[0][(c ^ *p) & 0xff] ^ c >> 8;
	return ~c;
}

#if defined(__x86_64__)

/*
 * One instruction takes three cycles and the next may begin after one: three parts of LANE bytes are taken side by
 * side, and joined by what LANE bytes of zeros do to a checksum, which is linear: lane_table[k][b] is it for byte k
 * being b.
 */
enum { LANE = 256 };
static uint32_t lane_table[4][256];

/* Before there are threads; 0.1 ms. */
__attribute__((constructor)) static void fill_lane_table(void)
{
	for (int bit = 0; bit < 32; bit++) {
		uint32_t c = UINT32_C(1) << bit;

		for (int i = 0; i < LANE * 8; i++)
			c = c & 1 ? polynomial ^ c >> 1 : c >> 1;
		lane_table[bit / 8][1 << bit % 8] = c;
	}
	for (int k = 0; k < 4; k++)
		for (unsigned b = 1; b < 256; b++)
			if (b & (b - 1))
				lane_table[k][b] = lane_table[k][b & (b - 1)] ^ lane_table[k][b & -b];
}

static uint64_t behind_lane(uint64_t c)
{
	return lane_table[0][c & 0xff] ^ lane_table[1][c >> 8 & 0xff] ^ lane_table[2][c >> 16 & 0xff] ^
	       lane_table[3][c >> 24 & 0xff];
}

__attribute__((target("sse4.2"))) static uint64_t take_lanes(uint64_t c, const unsigned char *p)
{
	uint64_t second = 0, third = 0;

	for (size_t i = 0; i < LANE; i += 8) {
		uint64_t words[3];

		for (int lane = 0; lane < 3; lane++)
			memcpy(&words[lane], p + (size_t)lane * LANE + i, 8);
		c = __builtin_ia32_crc32di(c, words[0]);
		second = __builtin_ia32_crc32di(second, words[1]);
		third = __builtin_ia32_crc32di(third, words[2]);
	}
	return behind_lane(behind_lane(c) ^ second) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const unsigned char *p, size_t count)
{
	uint64_t c = (uint32_t)~crc;

	for (; count >= 3 * LANE; p += 3 * LANE, count -= 3 * LANE)
		c = take_lanes(c, p);
	for (; count >= 8; p += 8, count -= 8) {
		uint64_t word;

		memcpy(&word, p, sizeof word);
		c = __builtin_ia32_crc32di(c, word);
	}
	for (; count > 0; p++, count--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p);
	return ~(uint32_t)c;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t count)
{
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, data, count);
	return crc32c_portable(crc, data, count);
}

#elif defined(__aarch64__) && defined(__linux__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include <arm_acle.h>
#include <sys/auxv.h>

#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif

__attribute__((target("+crc"))) static uint32_t crc32c_arm(uint32_t crc, const unsigned char *p, size_t count)
{
	uint32_t c = ~crc;

	for (; count >= 8; p += 8, count -= 8) {
		uint64_t word;

		memcpy(&word, p, sizeof word);
		c = __crc32cd(c, word);
	}
	for (; count > 0; p++, count--)
		c = __crc32cb(c, *p);
	return ~c;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t count)
{
	if (getauxval(AT_HWCAP) & HWCAP_CRC32)
		return crc32c_arm(crc, data, count);
	return crc32c_portable(crc, data, count);
}

#else

uint32_t crc32c(uint32_t crc, const void *data, size_t count) { return crc32c_portable(crc, data, count); }

#endif
