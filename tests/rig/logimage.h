/*
 * logimage: a database's write-ahead log made byte by byte in memory, and read by rules written down a second time.
 *
 * What it is: what src/store/files/wal.c is held against. sqlite.org/fileformat2.html, section 4.
 */
#ifndef KSPOOL_TESTS_LOGIMAGE_H
#define KSPOOL_TESTS_LOGIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LOG_HEAD = 32, LOG_FRAME = 24, LOG_IMAGE_MAX = 3 << 20 };

struct logimage {
	uint32_t page_bytes;
	bool big;
	uint32_t salts[2];
	uint32_t sum[2]; /* of the last frame, or of the header */
	size_t frames, bytes;
	unsigned char image[LOG_IMAGE_MAX];
};

static inline void log_put(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static inline uint32_t log_get(const unsigned char *p)
{
	return ((uint32_t)p[0] << 24) + ((uint32_t)p[1] << 16) + ((uint32_t)p[2] << 8) + p[3];
}

static inline void log_sum(bool big, uint32_t sum[2], const unsigned char *p, size_t count)
{
	for (const unsigned char *end = p + count; p < end; p += 4) {
		uint32_t word =
		    big ? log_get(p)
		        : (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
		uint32_t *mine = &sum[(end - p) / 4 % 2];

		*mine += word + *(mine == sum ? sum + 1 : sum);
	}
}

/* `sequence` counts how often the log began again. */
static inline void log_begin(struct logimage *l, uint32_t page_bytes, bool big, uint32_t sequence, uint32_t salt)
{
	const uint32_t words[] = {0x377f0682u + big, 3007000, page_bytes, sequence, salt, salt * 2654435761u};

	*l = (struct logimage){.page_bytes = page_bytes, .big = big, .salts = {words[4], words[5]}, .bytes = LOG_HEAD};
	for (int i = 0; i < 6; i++)
		log_put(l->image + 4 * i, words[i]);
	log_sum(big, l->sum, l->image, 24);
	log_put(l->image + 24, l->sum[0]);
	log_put(l->image + 28, l->sum[1]);
}

static inline unsigned char *log_frame(struct logimage *l, size_t i)
{
	return l->image + LOG_HEAD + i * (LOG_FRAME + (size_t)l->page_bytes);
}

/* commit: the pages of the database when this frame ends a transaction, else 0. */
static inline void log_add(struct logimage *l, uint32_t page, uint32_t commit, const void *content)
{
	unsigned char *f = log_frame(l, l->frames++);

	log_put(f, page);
	log_put(f + 4, commit);
	log_put(f + 8, l->salts[0]);
	log_put(f + 12, l->salts[1]);
	memcpy(f + LOG_FRAME, content, l->page_bytes);
	log_sum(l->big, l->sum, f, 8);
	log_sum(l->big, l->sum, f + LOG_FRAME, l->page_bytes);
	log_put(f + 16, l->sum[0]);
	log_put(f + 20, l->sum[1]);
	l->bytes += LOG_FRAME + l->page_bytes;
}

/* Frame i of `image` is of this log and follows from what stands before it. */
static inline bool log_is_sound(struct logimage *l, size_t i)
{
	const unsigned char *f = log_frame(l, i), *before = i == 0 ? l->image + 24 : log_frame(l, i - 1) + 16;
	uint32_t sum[2] = {log_get(before), log_get(before + 4)};

	log_sum(l->big, sum, f, 8);
	log_sum(l->big, sum, f + LOG_FRAME, l->page_bytes);
	return log_get(f) != 0 && log_get(f + 8) == l->salts[0] && log_get(f + 12) == l->salts[1] &&
	       log_get(f + 16) == sum[0] && log_get(f + 20) == sum[1];
}

#endif
