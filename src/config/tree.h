/*
 * tree: YAML events made into config_node trees.
 *
 * What it is: libyaml's event interface only, so that nothing is ever built from an alias. Aliases, anchors, tags,
 * merge keys, keys that are not plain text, duplicate keys, NUL in a text and a second document are faults, each with
 * its place; limits are TREE_*. Scalars stay the bytes they were: only an unquoted null, ~ or nothing becomes a null.
 * Promises: 11: depth, keys and items are bounded.
 * Owner: the caller (tree_free). Thread: any.
 * Fails: faults only; a text that is not YAML gives no tree.
 * Does not: know options.
 */
#ifndef KSPOOL_CONFIG_TREE_H
#define KSPOOL_CONFIG_TREE_H

#include "config/config.h"
#include "config/expand.h"

enum { TREE_BYTES_MAX = 1 << 20, TREE_DEPTH_MAX = 16, TREE_KEYS_MAX = 10000, TREE_ITEMS_MAX = 20000 };

/* Null when the text is not YAML or passes a limit (a fault says which); otherwise the root, perhaps with faults. */
struct config_node *tree_parse(const struct expansion *x, struct config_faults *faults);
/* Accepts null. */
void tree_free(struct config_node *node);
/* Empties a node but for its key. */
void tree_clear(struct config_node *node);
/* The member with this key; null when node is no map or has none. */
struct config_node *tree_member(const struct config_node *node, const char *key);
/* A new null at the end of a list (key null) or a map; node becomes that kind when it was null. */
struct config_node *tree_append(struct config_node *node, const char *key);
/* Takes the members with this key out of a map. */
void tree_remove(struct config_node *node, const char *key);
/* to becomes a deep copy of from but keeps its own key. */
void tree_copy(struct config_node *to, const struct config_node *from);
/* The items of a list, behind those that are there; from may be null. */
void tree_append_copies(struct config_node *to, const struct config_node *from);
/* The same keys, in the same order, and the same scalars; nothing, a null and an empty list are one. Accepts null. */
bool tree_is_equal(const struct config_node *a, const struct config_node *b);
bool tree_is_null(const struct config_node *node);
/* "a list", "a map", "a text", "nothing" */
const char *tree_kind_name(const struct config_node *node);
/* "path=value" on the tree; value is YAML. Faults have line 0. */
void tree_set(struct config_node *root, const char *assignment, struct config_faults *faults);

#endif
