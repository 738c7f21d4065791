/* merge: deep merging and selecting by paths; used by merge, assign, squash, with and without. */
#ifndef KSPOOL_BLOBLANG_LIBRARY_MERGE_H
#define KSPOOL_BLOBLANG_LIBRARY_MERGE_H

#include "bloblang/language/function.h"
#include "bloblang/language/node.h"

enum merge_mode {
	MERGE_COLLECT, /* what collides becomes an array of both */
	MERGE_REPLACE, /* the new value wins */
};

/* Two objects, or anything into anything one level down. */
struct value merge_deep(struct call *call, enum merge_mode mode, struct value into, struct value from, int depth);
/* The methods: target and first argument. */
bool merge_values(struct call *call, enum merge_mode mode, struct value *ret);

/* What of an object lies at one of the paths, looking at steps from `at`. */
struct value keep_paths(struct arena *a, struct value v, const struct path *paths, size_t count, size_t at);
struct value drop_paths(struct arena *a, struct value v, const struct path *paths, size_t count, size_t at);

#endif
