/*
 * dates: the spellings of an instant that kspool reads and writes.
 *
 * What it is: milliseconds since 1970-01-01T00:00:00Z to and from text, always UTC, years 1970 to 9999.
 * Promises: 11 (a broken clock gives a well-formed stamp: outside these years the nearest of them is written).
 * Owner: the caller owns every buffer.
 * Thread: any; no time zone of the C library.
 * Fails: parsers take the whole text or answer false; writing never fails.
 * Does not: know zones but fixed offsets; the layouts of mappings are bloblang/golang's.
 */
#ifndef KSPOOL_BASE_DATES_H
#define KSPOOL_BASE_DATES_H

#include <stdbool.h>
#include <stdint.h>

enum { DATES_AMZ_BYTES = 17, DATES_ISO_BYTES = 25, DATES_ISO_MS_BYTES = 29, DATES_HTTP_BYTES = 30 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7, IMF-fixdate: the only form AWS sends). */
bool dates_parse_http(const char *text, int64_t *ret_ms);
/* "2026-11-23T07:08:31Z"; a fraction, "UTC" and "+00:00" style offsets are taken too (SSO caches, STS). */
bool dates_parse_iso(const char *text, int64_t *ret_ms);
/* As a person writes it, UTC: likewise, or "2026-11-23 07:08", with or without seconds and zone, or the day alone. */
bool dates_parse_short(const char *text, int64_t *ret_ms);
/* "20150830T123600Z", as SigV4 and the texts of clock-skew errors spell it. */
bool dates_parse_amz(const char *text, int64_t *ret_ms);
/* buffer holds DATES_AMZ_BYTES; returns it. */
char *dates_format_amz(int64_t ms, char *buffer);
/* "2026-11-23T07:08:31Z"; buffer holds DATES_ISO_BYTES; returns it. */
char *dates_format_iso(int64_t ms, char *buffer);
/* "2026-11-23T07:08:31.042Z"; buffer holds DATES_ISO_MS_BYTES; returns it. */
char *dates_format_iso_ms(int64_t ms, char *buffer);
/* "Sun, 06 Nov 1994 08:49:37 GMT"; buffer holds DATES_HTTP_BYTES; returns it. */
char *dates_format_http(int64_t ms, char *buffer);

#endif
