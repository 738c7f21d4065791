/*
 * schema: the steps of schema/NNNN-name.sql as a table, made by schema.cmake.
 *
 * What it is: constants. The last step's version is the newest schema that this kspool knows.
 * Promises: none of its own.
 * Owner: static.
 * Thread: any.
 * Fails: never; a gap in the numbers fails the build's configuration.
 * Does not: apply a step (store_open does, one transaction each).
 */
#ifndef KSPOOL_STORE_SCHEMA_H
#define KSPOOL_STORE_SCHEMA_H

struct schema_step {
	int version;
	const char *name;
	const char *sql;
};

extern const struct schema_step schema_steps[];
extern const int schema_step_count;

#endif
