/*
 * stage: one compiled processor, and what processors need from each other.
 *
 * What it is: the inside of the pipeline room. A stage has a row (name, compile, run, free) and its own state. run
 * takes one batch, never empty, and adds zero or more batches to the output. Stages that contain processors run them
 * with stages_run; which processors there are is handed to the compiler as a table of rows.
 * Promises: none of its own; 9 needs what stage_join_origins and stage_add_origin keep.
 * Owner: a batch owns its messages, stages own their states.
 * Thread: the pipeline's.
 * Fails: compile only, with faults; a message that a stage fails on is flagged and goes on.
 * Does not: copy messages (message.h does), wait, decide whether a key is known.
 */
#ifndef KSPOOL_PIPELINE_STAGE_INTERNAL_H
#define KSPOOL_PIPELINE_STAGE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "config/options.h"
#include "bloblang/bloblang.h"
#include "pipeline/pipeline.h"

struct batches {
	struct pipeline_batch *items;
	size_t count;
	size_t capacity;
};

struct compiler;
struct runner;
struct stage;

struct stages {
	struct stage *items;
	size_t count;
};

struct stage_row {
	const char *name;
	/* Types the processor's own node into *ret_state; says its faults. A null state after faults is fine. */
	void (*compile)(struct compiler *c, const struct config_node *node, void **ret_state);
	void (*run)(const struct stage *s, struct runner *r, struct pipeline_batch *batch, struct batches *out);
	/* The same for a message by itself, without the lists: adds the one batch that it becomes. Null: only run. */
	void (*each)(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to);
	void (*free)(void *state);
	bool filters_late; /* what it filters leaves only at the commit: processors behind it still see it */
	bool needs_batch;  /* what comes of a message depends on those beside it */
	bool weighs_batch; /* what it makes of a batch depends on which messages are in it */
};

enum { COMPILER_PATH_MAX = 256 };

/* A processor resource that is being compiled, within those that use it. */
struct resource_use {
	const struct config_node *entry;
	const struct resource_use *outer;
};

/* What the metric processors of a file have named so far. */
struct metric_names {
	size_t count;
	struct metric_name {
		const struct config_node *node;
		char *name;
		int type;
		char *labels; /* their names, sorted, each with a comma behind it */
	} * items;
};

/* What a run may pass of limits, as pipeline_passes says. */
struct passing {
	int64_t most_wait_ns;
	int64_t *taken_ns; /* null: nobody gives it back */
};

/* What the rate_limit processors of a list share. */
struct rate_uses {
	size_t count;
	struct rate_use {
		const struct config_node *entry;
		struct rate *rate;
	} * items;
};

/* What compiling carries along. */
struct compiler {
	const struct config *config;
	struct config_faults *faults;
	const struct stage_row *const *rows; /* the processors there are */
	size_t row_count;
	char path[COMPILER_PATH_MAX]; /* "pipeline.processors.0.try" */
	bool at_output;               /* what is compiled runs behind the journal */
	unsigned depth;               /* of processors within processors, and of resources */
	bool filters_late;            /* a processor so far does */
	bool needs_batch;             /* the same, or what it maps looks at the batch */
	size_t stages;                /* so far, those of resources at each use */
	const struct resource_use *uses;
	struct rate_uses rates;
	struct metric_names metrics;
};

/* path begins the paths of what is compiled: "pipeline.processors". */
void compiler_init(struct compiler *c, const struct config *config, const char *path, struct config_faults *faults);
void rate_give_back(struct rate *rate, int64_t taken_ns);
/* For the next list of the same file. */
void compiler_move(struct compiler *c, const char *path);
void compiler_fini(struct compiler *c);

/* What the system adds to an allocation, and places in lists: of each message, batch and node of an origin. */
enum { STAGE_MESSAGE_BYTES = 48, STAGE_BATCH_BYTES = 96, STAGE_ORIGIN_BYTES = sizeof(struct origin) + 96 };

/* What running carries along: of one batch on its way through a whole pipeline. */
struct runner {
	struct evaluator *evaluator;
	int64_t not_before_ns;
	const struct passing *passing;
	int64_t limited_ns;      /* pipeline_limited_ns */
	uint32_t lines;          /* lists whose order a processor has kept: the number of the last one */
	int64_t live_bytes;      /* what the batches cost that the run holds now */
	int64_t kept_bytes;      /* what it made that no message holds alone: nodes of origins and keys */
	int64_t first_bytes;     /* what they did when it began: somebody else counts those */
	int64_t most_bytes;      /* what they may cost */
	int64_t charged_bytes;   /* to the budget */
	bool leaves_room;        /* budget_take's `leave` */
	bool starved;            /* the budget had no more */
	uint64_t received, sent; /* by processors, of messages by themselves; counted when the run ends */
	struct allowance time;
	int64_t hurry_ns;            /* of `time`, when that is spent: for all that is left then; 0: it was given */
	const struct stage *running; /* the innermost */
	const char *spent;           /* why no stage runs any more; null while all do */
	const struct stage *spent_at;
};

struct stage {
	const struct stage_row *row;
	void *state;
	struct message_source where;
};

#define PROCESSOR(row) extern const struct stage_row row;
#include "pipeline/stages.def"
#undef PROCESSOR

/* Compiles a list of processors; node may be null (an empty list). */
void stages_compile(struct compiler *c, const struct config_node *node, struct stages *ret);
/* The same of processors that are no list of their own; step: what stands for an index in the path, or null. */
void stages_compile_items(struct compiler *c, const struct config_node *items, size_t count, const char *step,
                          struct stages *ret);
void stages_free(struct stages *s);
/* Every batch through every stage, in order. */
void stages_run(const struct stages *s, struct runner *r, struct batches *batches);
/* One message by itself through every stage; what it becomes is added to *to. */
void stages_run_one(const struct stages *s, struct runner *r, struct message *m, struct pipeline_batch *to);
/* The same for a batch, which is emptied. */
void stages_run_batch(const struct stages *s, struct runner *r, struct pipeline_batch *batch,
                      struct pipeline_batch *to);

void batches_add(struct batches *b, struct pipeline_batch *batch); /* empties *batch */
/* Adds a batch of one message. */
void batches_add_one(struct batches *b, struct message *m);
/* All messages of all batches, in order, behind what stands there; leaves b empty. */
void batches_append(struct batches *b, struct pipeline_batch *to);
void batches_fini(struct batches *b);

/* Hands the whole batch on as it is. */
void stage_pass(struct pipeline_batch *batch, struct batches *out);
/* Flags a message as failed here and counts it; when there is no room for the reason the run is spent instead. */
void stage_fail(const struct stage *s, struct runner *r, struct message *m, const char *reason);
/* From here on every message passes every stage as it is, and all are flagged at the end. The first reason counts. */
void stage_spend(const struct stage *s, struct runner *r, const char *why);
/* Before so many bytes are made: false when they pass the run's limit, or the budget, which ends the run too. */
extern const char stage_too_much[]; /* why */
bool stage_make(const struct stage *s, struct runner *r, size_t bytes);
/* The same for what stays until the end of the run; false ends the run too. */
bool stage_keep(const struct stage *s, struct runner *r, size_t bytes);
/* What a batch costs with its messages. */
int64_t stage_batch_cost(const struct pipeline_batch *b);
/* What a message costs here: its bytes, its failure, and STAGE_MESSAGE_BYTES. */
uint64_t stage_cost(const struct message *m);
/* Bytes the run may still make, at most `most`: for what is known only when it is made. */
size_t stage_room(const struct runner *r, size_t most);
/* It may take `time_ns`, then `hurry_ns` more in a hurry; of both together it has used `used_ns`. */
void runner_begin(struct runner *r, int64_t time_ns, int64_t hurry_ns, int64_t used_ns);
/* Between two messages: true when the run is spent, of its time too. */
bool stage_is_spent(const struct stage *s, struct runner *r);
/* The same as stage_make for the evaluator, which knows no stage; arg is the runner. */
bool runner_make(void *arg, uint64_t bytes);
/* The context of message i of a batch. */
struct message_batch stage_batch(const struct pipeline_batch *batch, size_t i);

/* Makes m stand for everything the batch stands for: ids and keys. */
void stage_join_origins(struct message *m, const struct pipeline_batch *batch);
/* Makes m, an addition to the batch, stand for the first one's ids: it goes when all of the batch are duplicates. */
void stage_add_origin(struct message *m, const struct pipeline_batch *batch);
/* Metadata of m with one text entry set. The result is new memory in *ret. */
void stage_meta_with(const struct message *m, const char *key, const char *value, size_t value_length, struct buf *ret);

/* Types the fields of node into the struct of a section (config/processors.def); options_free frees it, faults or not.
 */
void fields_read(struct compiler *c, const struct option_section *s, const struct config_node *node, void *ret);
/* Null after a fault, and when the text is empty. */
struct bloblang_mapping *stage_compile_mapping(struct compiler *c, const struct config_text *text);
/* Null after a fault; a text that is not set is the empty one. */
struct bloblang_template *stage_compile_template(struct compiler *c, const struct config_text *text);
/* The processors of a field; node may be null. */
void stage_compile_children(struct compiler *c, const char *key, const struct config_node *node, struct stages *ret);
void stage_compile_fault(struct compiler *c, const struct config_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, but the file is taken all the same. */
void stage_compile_warning(struct compiler *c, const struct config_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Of a number of which Redpanda Connect takes every one below 0 as no limit. */
void stage_warn_negative(struct compiler *c, const struct config_node *node, const char *key, int64_t value);
/* For a fault that is told of where the key of a node stands. */
static inline struct config_node stage_key_place(const struct config_node *node)
{
	return (struct config_node){.line = node->key_line, .column = node->key_column};
}
/* Tells of a key that is no component of the slot: "processor", "cache", "rate_limit". */
void stage_unknown_component(struct compiler *c, const struct config_node *node, const char *slot);

/* The entry of a list of resources with this label; null when there is none. */
const struct config_node *stage_find_resource(const struct config_node *resources, const char *label);
/* False after a fault that leaves *ret unset. */
bool stage_read_rate_limit(struct compiler *c, const struct config_node *entry, struct options_rate_limit_local *ret);
/* How long a cache's entries live: wherever they would live elsewhere, here they live in the spool. 0 after a fault. */
int64_t stage_read_cache_ttl_ns(struct compiler *c, const struct config_node *entry);
/* The one processor of an entry, at the place of its user. */
void stage_compile_resource(struct compiler *c, const struct config_node *user, const struct config_node *entry,
                            struct stages *ret);
/* Every resource once, used or not. */
void stage_check_resources(struct compiler *c);

#endif
