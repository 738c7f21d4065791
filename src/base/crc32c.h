/*
 * crc32c: the Castagnoli checksum (RFC 3720, appendix B.4), the one of iSCSI and ext4.
 *
 * What it is: crc32c(0, data, n) of "123456789" is 0xe3069283. A run may be cut: crc32c(crc32c(0, a, n), b, m) is the
 * checksum of a followed by b. Uses the instruction of the processor where there is one (x86 SSE4.2, ARMv8 CRC),
 * otherwise tables.
 * Promises: 8 (damage is seen).
 * Owner: nothing to own.
 * Thread: any; no state.
 * Fails: never.
 * Does not: protect against an attacker: who can write can also compute it.
 */
#ifndef KSPOOL_BASE_CRC32C_H
#define KSPOOL_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t count);
/* The table form, whatever the processor has (so that a test can compare the two). */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t count);

#endif
