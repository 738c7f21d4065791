/*
 * processors: the rows of processors.def at run time.
 *
 * What it is: the name, shape, fields and sentence of each processor and of each resource, for what is generated from
 * them; the structs their fields are read into are in config.h.
 * Promises: none of its own.
 * Owner: static tables. Thread: any.
 * Fails: never.
 * Does not: run processors (pipeline/) or check what one option cannot say alone.
 */
#ifndef KSPOOL_CONFIG_PROCESSORS_H
#define KSPOOL_CONFIG_PROCESSORS_H

#include "config/options.h"

enum processor_shape { PROCESSOR_FIELDS, PROCESSOR_CASES, PROCESSOR_MAPPING, PROCESSOR_CHILDREN, PROCESSOR_LABEL };

struct processor_row {
	const char *slot; /* "processor", "rate_limit", "cache" */
	const char *name;
	enum processor_shape shape;
	const struct option_section *(*section)(void); /* of FIELDS and CASES; null otherwise */
	const char *text;
};

/* Processors, then resources; ended by a null name. */
extern const struct processor_row processor_rows[];

#endif
