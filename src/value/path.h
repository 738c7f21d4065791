/*
 * path: reading and writing inside values by dot paths.
 *
 * What it is: what is not there reads as null (found says which). Writing follows the reference: missing levels become
 *     objects, "-" appends to arrays. Writers copy each container on the way whose owner is not `epoch`, so values
 *     shared with documents and variables never change under their readers; a reader that hands out parts of what is
 *     being written starts a new epoch. Epoch 0 owns nothing.
 * Promises: none of its own.
 * Owner: the arena owns every copy.
 * Thread: the arena's.
 * Fails: reading never; writing gives false with a sentence in arena memory, in the reference's words without its
 *     prefix.
 * Does not: know JSONPath: bloblang/formats/jsonpath.h.
 */
#ifndef KSPOOL_VALUE_PATH_H
#define KSPOOL_VALUE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"
#include "value/json.h"
#include "value/value.h"

/*
 * Splits a string path on '.', with ~1 a dot and ~0 a tilde. The steps lie in the arena; when they pass its limit,
 * `exceeded` is set and there is one empty step.
 */
struct json_step *path_split(struct arena *a, const char *text, size_t length, size_t *ret_count);

/* Null when the path leads nowhere; *ret_found (may be null) tells a stored null from a missing value. */
struct value path_get(struct arena *a, struct value v, const struct json_step *steps, size_t count, bool *ret_found);

/*
 * Sets the value at a path in *root (count > 0). On false *ret_error says why, in arena memory, in the wording of the
 * reference without its prefix.
 */
bool path_set(struct arena *a, uint32_t epoch, struct value *root, const struct json_step *steps, size_t count,
              struct value v, const char **ret_error);
/* Removes; missing targets are ignored. */
void path_delete(struct arena *a, uint32_t epoch, struct value *root, const struct json_step *steps, size_t count);

#endif
