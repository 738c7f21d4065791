/* schema: the steps of schema/NNNN-name.sql, made by schema.cmake. The last step's version is the newest schema. */
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
