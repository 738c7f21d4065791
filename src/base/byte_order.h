/*
 * byte_order: numbers in a fixed byte order, whatever the machine's.
 *
 * What it is: the little-endian numbers of checksums and companions, the big-endian ones of SQLite's files.
 * Promises: none of its own.
 * Owner: the caller owns the bytes.
 * Thread: any.
 * Fails: never.
 * Does not: check bounds; the caller's layout says that the bytes are there.
 */
#ifndef KSPOOL_BASE_BYTE_ORDER_H
#define KSPOOL_BASE_BYTE_ORDER_H

#include <stdint.h>

static inline void put_little(unsigned char *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

static inline uint64_t get_little(const unsigned char *p, int bytes)
{
	uint64_t v = 0;

	for (int i = bytes - 1; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static inline uint32_t get_big_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void put_big_u32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

#endif
