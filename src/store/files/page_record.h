/*
 * page_record: one record of a page, taken apart.
 *
 * What it is: varints and the head of a record, which says the type and length of each value.
 * Promises: nothing outside of the bytes given is read, whatever they say.
 * Owner: values point into the caller's bytes.
 * Thread: any.
 * Fails: false, 0 bytes: what stands there is none.
 * Does not: follow chains of pages.
 */
#ifndef KSPOOL_STORE_PAGE_RECORD_H
#define KSPOOL_STORE_PAGE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/files/pages.h"

/* A varint of at most 9 bytes before `end`; 0 bytes taken: there is none. */
size_t record_varint(const unsigned char *at, const unsigned char *end, uint64_t *ret);
/*
 * The head of a record says the type, and so the length, of each value: true when they fill `payload_bytes` exactly.
 * `body`: where the values begin; null when only the head is there to be looked at.
 */
bool record_read(const unsigned char *head, size_t there, uint64_t payload_bytes, const unsigned char *body,
                 struct stored_record *r);

#endif
