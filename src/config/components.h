/*
 * components: the slots of a file that hold one component by name (input, buffer, output, metrics, tracer, scanner).
 *
 * What it is: a reader for each slot, which types its node into struct config, and the keys that every component has.
 * Promises: none of its own.
 * Owner: the struct config that is read into. Thread: any.
 * Fails: faults only; a component that Redpanda Connect has and kspool does not is told of in a sentence.
 * Does not: check what one component cannot say of itself (rules).
 */
#ifndef KSPOOL_CONFIG_COMPONENTS_H
#define KSPOOL_CONFIG_COMPONENTS_H

#include "config/options.h"

/* A sentence about a component of a slot that kspool does not have; null when the name is not known. */
const char *component_foreign(const char *slot, const char *name);

/*
 * Checks label, type, plugin and meta of every component of a file, and writes type the newer way: `type: NAME` becomes
 * `NAME:`, what cannot stay is taken out. Labels are of one file: no two are the same.
 */
void component_keys_settle(struct config_node *root, struct config_faults *faults);

/* key_handler readers of the root; base is the struct config. */
void component_read_input(struct options_reader *r, const struct config_node *node, void *base);
void component_read_buffer(struct options_reader *r, const struct config_node *node, void *base);
void component_read_output(struct options_reader *r, const struct config_node *node, void *base);
void component_read_metrics(struct options_reader *r, const struct config_node *node, void *base);
void component_read_tracer(struct options_reader *r, const struct config_node *node, void *base);

/* `scanner`, or the older `codec` text, of an input; both may be null (lines). */
void input_scanner_read(struct options_reader *r, const struct config_node *input, const struct config_node *scanner,
                        struct config_scanner *ret);
void input_scanner_defaults(struct config_scanner *ret);
void input_scanner_free(struct config_scanner *scanner);

#endif
