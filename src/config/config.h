/*
 * config: a configuration file, typed.
 *
 * What it is: Redpanda Connect's shape (http, input, buffer.sqlite, pipeline, output.aws_kinesis, logger, metrics,
 * shutdown_timeout) plus kspool's own `kspool` section, read from YAML events with ${NAME:default} replaced first. The
 * structs come from options.def, inputs.def and processors.def.
 * Promises: 11. Besides: every fault of a file is found in one pass, each with line and column; nothing is clamped; an
 * unknown key names its nearest neighbour.
 * Owner: the caller; immutable after config_load. Thread: any reader.
 * Fails: ERR_CONFIG with a list of faults; ERR_NOINPUT when the file cannot be read.
 * Does not: touch anything but the file. Paths, sockets and networks named in it are checked by whoever uses them.
 */
#ifndef KSPOOL_CONFIG_CONFIG_H
#define KSPOOL_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/inputs.def"
#include "config/options.def"
#include "config/processors.def"

/* A text with the place it has in the file, for errors found later (Bloblang). Lines and columns start at 1. */
struct config_text {
	char *text; /* null when not set */
	int line;
	int column;
	bool keeps_lines; /* its lines are the file's (a literal block), and all begin in its column */
};

struct config_strings {
	size_t count;
	char **items;
	int *lines; /* line of each item */
};

/* Part of the file kept as a tree: what a later room types by itself (processors, scanner, resources). */
struct config_node {
	enum { NODE_SCALAR, NODE_MAP, NODE_LIST } kind;
	char *key;    /* of a member of a map; null otherwise */
	char *scalar; /* NODE_SCALAR: bytes as written; null for an explicit null */
	bool quoted;  /* NODE_SCALAR: was in quotes or a block, so is a string whatever it looks like */
	size_t count;
	struct config_node *children; /* NODE_MAP, NODE_LIST */
	int line;                     /* where the value begins; 0 for a value that came from --set */
	int column;
	int key_line; /* where the key begins; 0 without a key */
	int key_column;
	int text_line; /* where the text of a scalar begins: past the quote, or the first line of a block */
	int text_column;
	bool keeps_lines; /* as in struct config_text */
	bool repeated;    /* a member whose key came before in its map: reported, never read */
	bool unset;       /* holds an unset ${NAME}: its text stands for anything and is not checked */
	bool from_env;    /* holds what a ${NAME} stands for: perhaps a secret, never shown in a message */
};

/* Enumerations of options.def: enum config_wire, ... */
#define CONFIG_ENUM_VALUE(name, text) name,
#define CONFIG_ENUM(name) enum config_##name{CONFIG_ENUM_##name(CONFIG_ENUM_VALUE)};
CONFIG_ENUMS(CONFIG_ENUM)

/* The structs of options.def: struct options_http, struct options_aws_kinesis, struct options_kspool, ... */
#define CONFIG_MEMBER_STRING(member, extra) char *member;
#define CONFIG_MEMBER_SECRET(member, extra) char *member;
#define CONFIG_MEMBER_BOOL(member, extra) bool member;
#define CONFIG_MEMBER_INT(member, extra) int64_t member;
#define CONFIG_MEMBER_SIZE(member, extra) uint64_t member##_bytes;
#define CONFIG_MEMBER_DURATION(member, extra) int64_t member##_ns;
#define CONFIG_MEMBER_ENUM(member, extra) int member;
#define CONFIG_MEMBER_STRINGS(member, extra) struct config_strings member;
#define CONFIG_MEMBER_TEMPLATE(member, extra) struct config_text member;
#define CONFIG_MEMBER_MAPPING(member, extra) struct config_text member;
#define CONFIG_MEMBER_NODES(member, extra) struct config_node *member;
#define CONFIG_MEMBER_OBJECT(member, extra) struct options_##extra member;
#define CONFIG_MEMBER(kind, member, key, def, least, most, flags, extra, text) CONFIG_MEMBER_##kind(member, extra)
#define CONFIG_SECTION(name)                  \
	struct options_##name {               \
		OPTIONS_##name(CONFIG_MEMBER) \
	};
OPTION_SECTIONS(CONFIG_SECTION)

/* The scanner of an input, typed by input_scanner_read(). */
#define CONFIG_SCANNER_KIND(kind, member, key, text) SCANNER_##kind,
#define CONFIG_SCANNER_MEMBER(kind, member, key, text) struct options_scanner_##member member;
enum scanner_kind { CONFIG_SCANNERS(CONFIG_SCANNER_KIND) SCANNER_KINDS };
struct config_scanner {
	enum scanner_kind kind;
	bool csv_input; /* as the input csv has it, not the scanner */
	bool skip_bom;  /* a byte order mark before the first message is none of it */
	CONFIG_SCANNERS(CONFIG_SCANNER_MEMBER)
};

#define CONFIG_INPUT_KIND(kind, member, key, door, flags, text) INPUT_##kind,
enum input_kind { CONFIG_INPUTS(CONFIG_INPUT_KIND) INPUT_KINDS };

/* One input; `broker` and `sequence` are flattened into their children, `resource` into what it stands for. */
struct config_input {
	enum input_kind kind;
	char *label; /* "" when none */
	char *path;  /* "input", "input.broker.inputs.0" */
	int line;
	/* It begins when these, of the same list, were read to their end; none when they are equal. */
	size_t after_begin, after_end;
	size_t until;                   /* of the configuration's, from 1: it ends too when that is met; 0: none */
	struct config_scanner scanner;  /* stdin, file, socket_server */
	struct config_node *processors; /* of this input, then of its brokers; null when none */
	struct config_node *merged;     /* what processors points to when brokers have some too; null otherwise */
#define CONFIG_INPUT_MEMBER(kind, member, key, door, flags, text) struct options_input_##member member;
	union {
		CONFIG_INPUTS(CONFIG_INPUT_MEMBER)
	};
};

/* A read_until. */
struct config_until {
	struct options_read_until options;
	char *path;
};

struct config {
	char *file; /* as named by the user */
	struct options_http http;
	struct options_logger logger;
	struct options_prometheus prometheus;
	bool metrics_prometheus; /* false: metrics.none */
	struct config_text metrics_mapping;
	size_t input_count;
	struct config_input *inputs;
	size_t until_count;
	struct config_until *untils;
	struct options_buffer_sqlite buffer;
	bool has_default_place; /* buffer.path is default_place's, whose folder may have to be made */
	int64_t pipeline_threads;
	struct config_node *pipeline_processors;
	struct config_node *intake_processors; /* the buffer's before and after it, then the pipeline's; null: none */
	struct options_aws_kinesis output;
	char *output_label;
	struct config_node *output_processors;
	struct config_node *processor_resources;
	struct config_node *input_resources;
	struct config_node *rate_limit_resources;
	struct config_node *cache_resources;
	struct options_kspool kspool;
	int64_t shutdown_timeout_ns; /* default 20s */
	int64_t shutdown_delay_ns;   /* default 0s */
	struct config_node *tree;    /* the whole file; every config_node above points into it */
};

/* One thing wrong with a file. `kspool lint` prints "path(line,column) message". */
struct config_fault {
	int line;
	int column;
	bool warning;  /* run goes on as far as it can */
	bool foreseen; /* not of the text but of what it names here: run will refuse that, so it is a finding of lint */
	char *text;
};

struct config_faults {
	size_t count;
	struct config_fault *items;
};

/* for_run: only a file that nobody else can write is obeyed. */
struct config_load_options {
	bool for_run;
	bool skip_env_check;     /* unset ${NAME} without default is not a fault */
	const char *const *sets; /* "path=value" overrides, null-terminated; may be null */
	size_t set_count;
	/* What rooms above have to say (Bloblang, processors, identity), so that all faults come at once; may be null.
	 */
	void (*inspect)(const struct config *config, struct config_faults *faults);
};

/*
 * Reads and checks a file. On ERR_CONFIG *ret is null and faults has at least one row; faults may hold warnings on
 * success. ERR_NOINPUT when the file cannot be read. Free both with config_free / config_faults_fini.
 */
enum err config_load(const char *path, const struct config_load_options *options, struct config **ret,
                     struct config_faults *faults, struct error *e) MUST_CHECK;
/* The same from memory; `name` stands for the path in messages. */
enum err config_parse(const char *name, const char *text, size_t length, const struct config_load_options *options,
                      struct config **ret, struct config_faults *faults, struct error *e) MUST_CHECK;
void config_free(struct config *config);
void config_faults_fini(struct config_faults *faults);
void config_faults_add(struct config_faults *faults, int line, int column, bool warning, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* A warning of what `kspool run` will refuse, which stands behind these words. */
void config_faults_foresee(struct config_faults *faults, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Where line and column of a text (from 1; 0: not known) stand in its file. Of a text that does not keep its lines only
 * the first is known; what is behind it is told of where the text begins. A text that came from --set has line 0.
 */
void config_text_place(const struct config_text *text, int line, int column, int *ret_line, int *ret_column);
/* The text of a scalar; it stays the node's. */
struct config_text config_node_text(const struct config_node *node);

/* A commented configuration (`kspool create`), the man page's option section (roff), and the JSON Schema. */
void config_print_example(struct buf *out, bool small);
void config_print_man(struct buf *out);
void config_print_schema(struct buf *out);
/* Every component of a slot ("input", "rate_limit"), processors and resources with their fields (`kspool list`). */
void config_print_components(struct buf *out, const char *slot);
/* Their names, at most `most`; returns how many. */
size_t config_component_names(const char *slot, const char **ret, size_t most);

#endif
