/*
 * components: the slots of a file that hold one component by name (input, buffer, output, metrics, tracer, scanner).
 *
 * Each reader types a slot's node into struct config, or says in a sentence why the component is not part of kspool.
 * Owner, thread, failing: as options.h.
 */
#ifndef KSPOOL_CONFIG_COMPONENTS_H
#define KSPOOL_CONFIG_COMPONENTS_H

#include "config/options.h"

/* A sentence about a component of a slot that kspool does not have; null when the name is not known. */
const char *component_foreign(const char *slot, const char *name);

#define MISSING_BUFFER                                                                                         \
	"buffer.sqlite.path is required: kspool always keeps messages on disk; add buffer: { sqlite: { path: " \
	"/var/lib/kspool/spool.db } }"

/* key_handler readers of the root; base is the struct config. */
void component_read_input(struct reader *r, const struct config_node *node, void *base);
void component_read_buffer(struct reader *r, const struct config_node *node, void *base);
void component_read_output(struct reader *r, const struct config_node *node, void *base);
void component_read_metrics(struct reader *r, const struct config_node *node, void *base);
void component_read_tracer(struct reader *r, const struct config_node *node, void *base);

/* `scanner`, or the older `codec` text, of an input; both may be null (lines). */
void scanner_read(struct reader *r, const struct config_node *input, const struct config_node *scanner,
                  struct config_scanner *ret);
void scanner_free(struct config_scanner *scanner);

#endif
