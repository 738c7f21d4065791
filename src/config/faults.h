/*
 * faults: what the config room does with a list of faults besides adding to it (config.h).
 *
 * What it is: their order, each said once, their number, and warnings taken out.
 * Promises: none of its own.
 * Owner: the caller. Thread: any.
 * Fails: never.
 * Does not: print.
 */
#ifndef KSPOOL_CONFIG_FAULTS_H
#define KSPOOL_CONFIG_FAULTS_H

#include "config/config.h"

/* By line, column, text; what is said twice is kept once. */
void faults_sort(struct config_faults *faults);
/* Faults that are not warnings. */
size_t faults_count_errors(const struct config_faults *faults);
void faults_drop_warnings(struct config_faults *faults);

#endif
