/*
 * sum: the checksum of a row (schema/0006-binding.sql).
 *
 * What it is: a spool's tag is 31 bits of its id, never 0; 0: no spool's, or any. A checksum of a tag is
 * self-contained: it has its tag, and begins with it and with what kind of row it is of. One without is of an older
 * kspool. Promises: 8 (a page of another spool, or of another table, is told from what was written). Owner: nobody; all
 * are numbers. Thread: any. Fails: never. Does not: know what a row looks like.
 */
#ifndef KSPOOL_STORE_FILES_SUM_H
#define KSPOOL_STORE_FILES_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/files/spool_files.h"

enum sum_kind { SUM_OF_MESSAGE = 1, SUM_OF_BLOCK, SUM_OF_MARK, SUM_OF_POSITION, SUM_OF_LEAD };
uint32_t sum_tag_of(struct spool_id id);
uint32_t sum_begin(uint32_t tag, enum sum_kind kind);
int64_t sum_end(uint32_t tag, uint32_t crc);
uint32_t sum_tag(int64_t checksum);
/* False: it is another spool's. */
bool sum_is_ours(int64_t checksum, uint32_t tag);
int64_t sum_numbers(uint32_t tag, enum sum_kind kind, const uint64_t *numbers, size_t count);

#endif
