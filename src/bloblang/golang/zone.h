/*
 * zone: time zones from the system's tz database.
 *
 * What it is: TZif files (RFC 8536) read once and kept, local mean time and the footer's rule for the far future
 *     included.
 * Promises: 6. Zones live for the life of the process, and the database bounds their number. 11. A name cannot leave
 *     the database's folders.
 * Owner: the process; nobody frees a zone.
 * Thread: any; the list only grows, at its head.
 * Fails: a name the database does not have gives null.
 * Does not: see that files of the database have changed.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_ZONE_H
#define KSPOOL_BLOBLANG_GOLANG_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zone;

enum { ZONE_ABBREVIATION_MAX = 16 };

/* What holds at one instant. */
struct zone_period {
	int32_t offset_s; /* east of UTC */
	int64_t start;    /* unix seconds, inclusive; INT64_MIN: always */
	int64_t end;      /* exclusive; INT64_MAX: for ever */
	char abbreviation[ZONE_ABBREVIATION_MAX];
};

/* "" and "UTC" are UTC, "Local" is the zone of the process; otherwise an IANA name. */
const struct zone *zone_find(const char *name, size_t length);
/* Lives for ever: usable as struct value_time's zone. */
const char *zone_name(const struct zone *z);
void zone_lookup(const struct zone *z, int64_t unix_s, struct zone_period *ret);
/* Seconds since the epoch of a wall clock reading given as if it were UTC; the earlier of two, as Go's Date. */
int64_t zone_from_local(const struct zone *z, int64_t local_s);

#endif
