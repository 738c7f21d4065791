/*
 * flight_file: what PATH.flight says of what was with the service, and what of it is what was written.
 *
 * What it is: the numbers of the file in the machine's order, for it never leaves the machine; journal/flight.h writes
 * them, and `kspool check` looks at them. Promises: 7, 8. Owner: the caller. Thread: any.
 * Fails: never; what cannot be read says nothing. Does not: count.
 */
#ifndef KSPOOL_STORE_FILES_FLIGHT_FILE_H
#define KSPOOL_STORE_FILES_FLIGHT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/files/spool_files.h"

#define FLIGHT_MAGIC UINT64_C(0x6b73706c666c7434) /* "ksplflt4": two bits from any other */

/* AT_OPENED: what possible was when this run began (tools/crashrun reads the file). */
enum {
	AT_MAGIC,
	AT_OPENED,
	AT_SPOOL_HIGH,
	AT_SPOOL_LOW,
	AT_HEAD_SUM,
	AT_POSSIBLE,
	AT_SENDING,
	AT_DELIVERED,
	AT_DELIVERY_SUM,
	AT_SETTLED,
	AT_STATE,
	AT_SETTLED_SUM,
	AT_NEXT_SETTLED,
	AT_NEXT_STATE,
	AT_NEXT_SUM,
	AT_BOOT,    /* of the machine, in which all this was written, and the file that it was written to */
	AT_CEILING, /* on the disk: possible was at most this whenever anything was sent */
	AT_BOOT_SUM,
	FLIGHT_NUMBERS
};

struct flight_found {
	uint64_t n[FLIGHT_NUMBERS];
	bool has_head;   /* whose it is */
	bool has_counts; /* and these are its */
	bool has_settled, has_next;
	bool is_of_boot;  /* as far as it says */
	bool has_ceiling; /* whatever else is damaged */
	bool is_damaged;  /* something in it is not what was written */
	int trouble;      /* errno, when it cannot be read */
};

/* fd -1: there is none. An empty file is one that is not there. */
struct flight_found files_flight_read(int fd);
/* Of which spool the file there is; unknown: there is none, or it is not what was written, or cannot be read. */
struct spool_id files_flight_names(const struct files *f);
/* What it says it is of is another spool's. spool: high, low. */
bool files_flight_is_anothers(const struct flight_found *f, const uint64_t spool[2]);
/* This boot, and this file: a copy is of the moment at which it was made. */
uint64_t files_flight_here(int fd);
/* Of `count` numbers, the first of which stands at `first`. */
uint64_t files_flight_sum(const uint64_t *numbers, int first, int count);
/* Each sum of a whole file. */
void files_flight_sum_all(uint64_t n[FLIGHT_NUMBERS]);

#endif
