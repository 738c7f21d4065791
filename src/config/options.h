/*
 * options: the rows of options.def and processors.def at run time, and the one walker that types a YAML object by them.
 *
 * What it is: struct option_section (name, rows, size of its struct) for each section, values set, freed and compared
 * by row, and options_read: a config_node map into the struct at base. There is no code per field.
 * Promises: none of its own.
 * Owner: sections are static; values belong to the struct (strings are its own, NODES point into the tree).
 * Thread: any.
 * Fails: faults only, all of them in one pass.
 * Does not: know rules over several options (rules).
 */
#ifndef KSPOOL_CONFIG_OPTIONS_H
#define KSPOOL_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"

enum option_kind {
	OPTION_STRING,
	OPTION_SECRET,
	OPTION_BOOL,
	OPTION_INT,
	OPTION_SIZE,
	OPTION_DURATION,
	OPTION_ENUM,
	OPTION_STRINGS,
	OPTION_TEMPLATE,
	OPTION_MAPPING,
	OPTION_NODES,
	OPTION_OBJECT,
};

enum option_flags { OWN = 1, REQUIRED = 2, RELOAD = 4, ADVANCED = 8, LATER = 16, INERT = 32, BLANK = 64 };

/* What a NODES row keeps: N(shape, whether it is a list, what a reader is told). */
#define OPTION_SHAPES(N)                            \
	N(list, true, "list")                       \
	N(map, false, "map")                        \
	N(input, false, "map")                      \
	N(inputs, true, "list of inputs")           \
	N(input_resources, true, "list of inputs")  \
	N(scanner, false, "map")                    \
	N(processors, true, "list of processors")   \
	N(resources, true, "list of processors")    \
	N(rate_limits, true, "list of rate limits") \
	N(caches, true, "list of caches")           \
	N(templates, false, "map of texts with ${! } interpolation")
#define OPTION_SHAPE(name, is_list, words) SHAPE_##name,
enum option_shape { OPTION_SHAPES(OPTION_SHAPE) };

struct option_word {
	int value;
	const char *text;
};

struct option_row {
	enum option_kind kind;
	const char *key;
	const char *fallback; /* default as text; "" is none */
	int64_t least, most;  /* both 0: no bounds */
	unsigned flags;
	const char *text;
	size_t offset;
	const struct option_word *words;               /* OPTION_ENUM, ended by a null text */
	enum option_shape shape;                       /* OPTION_NODES */
	const struct option_section *(*section)(void); /* OPTION_OBJECT */
};

struct option_section {
	const char *name;
	const struct option_row *rows;
	size_t count;
	size_t size; /* bytes of the struct the rows live in */
};

/* One accessor a section: options_http(), options_aws_kinesis(), options_root(), ... */
#define OPTION_DECLARE(name) const struct option_section *options_##name(void);
#define OPTION_DECLARE_FRAME(name, base) OPTION_DECLARE(name)
OPTION_SECTIONS(OPTION_DECLARE)
OPTION_FRAMES(OPTION_DECLARE_FRAME)

/* What the reading of one file carries along. */
struct options_reader {
	struct config_faults *faults;
	char path[256]; /* of the object being read, for messages: "output.aws_kinesis.tcp" */
};

/* Lengthens r->path; give the returned length to options_reader_leave. */
size_t options_reader_enter(struct options_reader *r, const char *key);
void options_reader_leave(struct options_reader *r, size_t length);

/* A key of an object that no row describes. read may be null: known and ignored. */
struct key_handler {
	const char *key;
	void (*read)(struct options_reader *r, const struct config_node *node, void *base);
};

struct options_extras {
	const struct key_handler *handlers; /* ended by a null key; may be null */
	/* A sentence about a key that Redpanda Connect knows and kspool does not; null for none. May be null. */
	const char *(*foreign)(const char *key);
};

/* Every row's default into the struct at base (zeroed before). */
void options_defaults(const struct option_section *s, void *base);
/* Types node, a map or nothing, into base, which holds the defaults. extras may be null. */
void options_read(struct options_reader *r, const struct option_section *s, const struct config_node *node, void *base,
                  const struct options_extras *extras);
void options_free(const struct option_section *s, void *base);
const struct option_row *options_find(const struct option_section *s, const char *key);

/* Text into the member of a scalar row; null, or a sentence about what was expected ("expected ..."). */
const char *option_set_text(const struct option_row *row, void *base, const char *text, struct buf *why);
void option_free(const struct option_row *row, void *base);
/* Of an OPTION_NODES row. */
bool option_is_list(const struct option_row *row);
/* "list of processors" */
const char *option_shape_words(const struct option_row *row);
bool option_is_equal(const struct option_row *row, const void *a, const void *b);
/* Gives the row's value of one struct to another of its section. Nodes stay the first one's. */
void option_copy(const struct option_row *row, const void *from, void *to);
/* "1MiB", "1m30s", "500": a bound or a default, as one would write it. */
void option_print_number(enum option_kind kind, int64_t number, struct buf *out);

/* The nearest of the words by edit distance when it is near enough to be a slip; null otherwise. */
struct nearest {
	const char *given;
	const char *best;
	size_t distance;
};
void nearest_offer(struct nearest *n, const char *word);
bool nearest_is_near(const struct nearest *n);

#endif
