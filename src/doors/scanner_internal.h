/*
 * scanner_internal: the machines inside a scanner: CSV rows and JSON documents, where a newline is no end.
 *
 * What it is: each machine goes on where it was (`looked` of the scanner) when more bytes come, so that no byte is
 * looked at twice, and says where the message at the front ends. Promises: 6 (a row, a document that is too long is
 * passed over piece by piece), 11 (linear). Owner: the struct scanner. Thread: any. Fails: a stream that cannot be cut
 * is SCANNER_BROKEN, with s->flaw. Does not: hold bytes, but the names of a header row.
 */
#ifndef KSPOOL_DOORS_SCANNER_INTERNAL_H
#define KSPOOL_DOORS_SCANNER_INTERNAL_H

#include "bloblang/golang/regex.h"
#include "doors/scanner.h"

void scanner_csv_init(struct scanner *s, const struct config_scanner *config);
/* One character. */
bool scanner_is_rune(const char *text);
void scanner_csv_fini(struct scanner *s);
/* The row at the front begins anew. */
void scanner_csv_rewind(struct scanner *s);
enum scanner_event scanner_csv_next(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                    uint64_t *ret_length);

void scanner_json_init(struct scanner *s, bool at_start);
void scanner_json_rewind(struct scanner *s);
enum scanner_event scanner_json_next(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                     uint64_t *ret_length);

/* scanner_ends.c: nothing ends in these bytes, of which `keep` at the end were not searched, or may begin an end. */
enum scanner_event scanner_need_more(struct scanner *s, const char *data, size_t length, size_t keep, size_t *ret_used);
/* Nothing ends in these bytes; those up to `looked` may be dropped once the message is too long. */
enum scanner_event scanner_wait(struct scanner *s, const char *data, size_t length, size_t *ret_used);
/* A message of n bytes ends at `used`; SCANNER_MESSAGE or SCANNER_TOO_LONG. */
enum scanner_event scanner_end(struct scanner *s, const char *data, size_t n, size_t used, size_t *ret_used,
                               uint64_t *ret_length);

#endif
