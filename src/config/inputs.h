/*
 * inputs: the rows of inputs.def at run time.
 *
 * What it is: what can be said of an input by its kind: its word in a file, its options, whether it ends by itself.
 * Promises: none of its own.
 * Owner: static tables; the options belong to the struct config_input. Thread: any.
 * Fails: never; a kind out of range is a bug.
 * Does not: open anything. doors/doors.c expands the same rows to its doors.
 */
#ifndef KSPOOL_CONFIG_INPUTS_H
#define KSPOOL_CONFIG_INPUTS_H

#include "config/options.h"

enum input_flags { FINITE = 1, SHOWN = 2, COUNTED = 4 };

/* "stdin, file, http_server, socket_server, ": the beginning of a list that ends in those that hold others. */
#define INPUT_KEY_IN_LIST(kind, member, key, door, flags, text) key ", "
#define INPUT_KEYS CONFIG_INPUTS(INPUT_KEY_IN_LIST)

#define INPUT_WORDS INPUT_KEYS "resource, read_until, sequence, broker"

/* "lines, to_the_end, ": the beginning of a list that ends in skip_bom. */
#define SCANNER_KEY_IN_LIST(kind, member, key, text) key ", "
#define SCANNER_KEYS CONFIG_SCANNERS(SCANNER_KEY_IN_LIST)

/* The word of a kind in a file: "http_server". */
const char *input_key(enum input_kind kind);
const struct option_section *input_section(enum input_kind kind);
bool input_is_finite(const struct config_input *input);
/* What its frames may still end: a read_until. */
void input_untils_free(struct config *config);
/* The options of an input's kind, a struct of input_section: every member of the union begins in the same place. */
/* Its options, in the struct of input_section. */
static inline void *input_options_edit(struct config_input *input) { return &input->file; }

static inline const void *input_options(const struct config_input *input) { return &input->file; }
/* Every entry of input_resources that no input uses, read for its faults alone; after the inputs. */
void input_check_unused(const struct config *config, struct config_faults *faults);
/* Frees what an input holds. */
void input_fini(struct config_input *input);

#endif
