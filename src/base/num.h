/*
 * num: the only parser and formatter of numbers, sizes and durations.
 *
 * What it is: decimal numbers, sizes with units and Go durations, to and from text.
 * Promises: none of its own.
 * Owner: the caller owns every buffer.
 * Thread: any; no state, no locale.
 * Fails: parsers take the whole text or answer false: no leading or trailing space, no partial result, no clamping.
 * Does not: read floating-point numbers (value/number.h does).
 */
#ifndef KSPOOL_BASE_NUM_H
#define KSPOOL_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal with an optional '-'. */
bool num_parse_i64(const char *text, int64_t *ret);
bool num_parse_u64(const char *text, uint64_t *ret);
/* Bytes: digits with an optional unit B, KB/KiB, MB/MiB, GB/GiB, TB/TiB (K = 1000, Ki = 1024). */
bool num_parse_size(const char *text, uint64_t *ret_bytes);
/* Go duration text: "300ms", "1m30s", "-1.5h", "0"; units ns us µs ms s m h. */
bool num_parse_duration(const char *text, int64_t *ret_ns);

enum { NUM_DURATION_MAX = 32, NUM_SIZE_MAX = 32 };
/* "1m30s", "250ms", "0s", as Go prints it. buffer holds NUM_DURATION_MAX bytes; returns it. */
char *num_format_duration(int64_t ns, char *buffer);
/* "1.5 MiB". buffer holds NUM_SIZE_MAX bytes; returns it. */
char *num_format_size(uint64_t bytes, char *buffer);

#endif
