/*
 * calendar: days and dates of the proleptic Gregorian calendar.
 *
 * What it is: the one conversion between a count of days and year, month, day.
 * Promises: none of its own.
 * Owner: nothing to own.
 * Thread: any; no state, no time zone of the C library.
 * Fails: never; a month or day outside its range gives a day that is not asked for.
 * Does not: know hours, zones or leap seconds.
 */
#ifndef KSPOOL_BASE_CALENDAR_H
#define KSPOOL_BASE_CALENDAR_H

#include <stdint.h>

/* Days since 1970-01-01; month 1..12, day 1..31, any year that an int64_t of seconds can hold. */
int64_t calendar_days(int64_t year, int month, int day);
void calendar_date(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day);
/* Days of the month 1..12. */
int calendar_month_days(int64_t year, int month);

#endif
