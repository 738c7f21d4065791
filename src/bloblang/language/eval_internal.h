/*
 * eval: what evaluates the compiled form.
 *
 * What it is: one evaluation over one message of a batch: its arena, its limits, its failure; contexts (what `this`
 * is), scopes (variables, root), and views (what is known of each message).
 * Promises: 11: depth, memory and time of an evaluation have limits.
 * Owner: the caller, on its stack; all values lie in the evaluation's arena.
 * Thread: one an evaluation.
 * Fails: false with ev->failure set. It is the language's own type, because the reference adds to a failure on its way
 * up (annotations, "failed assignment"), and catch() shows the text.
 * Does not: change a message.
 */
#ifndef KSPOOL_BLOBLANG_LANGUAGE_EVAL_INTERNAL_H
#define KSPOOL_BLOBLANG_LANGUAGE_EVAL_INTERNAL_H

#include "message/message.h"
#include "bloblang/language/node_internal.h"

enum failure_kind {
	FAILURE_PLAIN,
	FAILURE_TYPE,      /* "expected T value, got T[ from A][ (v)]": `from` may still be added */
	FAILURE_MISMATCH,  /* operand types: nobody adds anything */
	FAILURE_ANNOTATED, /* somebody's annotation is in it */
};

struct failure {
	enum failure_kind kind;
	bool settled; /* comes from a target: the method called adds nothing */
	bool final;   /* limits: catch and | do not swallow it */
	const char *text;
	const char *tail;       /* TYPE: what follows "from A" */
	const char *no_context; /* not null: `this` was missing; the path asked for ("" for all) */
	const char *assignment; /* not null: the innermost "failed assignment" text */
	const char *stacks;     /* not null: the recursion limit's text */
};

struct variable {
	const char *name;
	size_t name_length;
	struct value value;
};

/* What a map (or the mapping) works on. */
struct scope {
	const struct map_table *maps; /* null: no mapping (interpolation) */
	struct variable *variables;
	size_t variable_count;
	size_t variable_capacity;
	bool has_variables;
	struct value *root; /* null: no root here */
	bool writes_meta;
	bool root_is_this; /* mutation: `this` is the root while this holds */
};

struct named_value {
	const char *name;
	size_t name_length;
	struct value value;
	const struct named_value *outer;
};

struct context {
	struct scope *scope;
	const struct named_value *named;
	int64_t index; /* of the message functions look at */
	bool has_value;
	bool has_next;
	struct value value;
	struct value next;
};

enum document_state { DOCUMENT_UNREAD, DOCUMENT_READ, DOCUMENT_BROKEN };

/* What is known of one message of the batch. */
struct view {
	enum document_state state;
	struct value document;
	const char *error;
	bool meta_read;
	struct value meta;
};

struct evaluation {
	struct arena *arena;
	const struct program *program;
	const struct message_batch *batch;
	struct view *views; /* one a message, made when first asked for; `first` for the current one */
	struct view first;
	struct failure failure;
	bool meta_changed; /* somebody wrote: new_meta is set */
	struct value new_meta;
	uint32_t epoch;
	int stacks; /* nested applies */
	const char *stack_base;
	const struct scope *alias; /* mutation: while its root_is_this holds, the document is its root */
};

enum {
	STACKS_MAX = 5000,
	STACK_BYTES_MAX = 3 * 1024 * 1024, /* of the thread's stack; threads have 8 MiB */
	SEEK_USES_MAX = 2,                 /* readers of a document, up to which each seeks in its text */
};

/* The context of a query that runs with `this` = v. Only one outer `this` is remembered, as in the reference. */
static inline struct context context_push(const struct context *ctx, struct value v)
{
	struct context inner = *ctx;

	inner.has_next = ctx->has_value;
	inner.next = ctx->value;
	inner.has_value = true;
	inner.value = v;
	return inner;
}

void evaluation_init(struct evaluation *ev, struct arena *a, const struct program *program,
                     const struct message_batch *batch);
bool eval_query(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret);
/* True when a limit is passed; the failure is set. */
bool evaluation_spent(struct evaluation *ev);
bool eval_call(struct evaluation *ev, const struct context *ctx, const struct call_site *site, struct value *ret);
/* Runs .prepare with the literal arguments of the site. */
bool eval_prepare(struct evaluation *ev, struct call_site *site);
bool eval_apply(struct evaluation *ev, const struct context *ctx, struct value target, const char *name, size_t length,
                struct value *ret);
/* Runs statements; on false *ret_line is the line of the outermost one that failed. */
bool eval_statements(struct evaluation *ev, const struct context *ctx, const struct statements *body, int *ret_line);
/* The failure as "failed assignment (line N): ...", unless one is in it already. */
bool failure_assignment(struct evaluation *ev, int line);

/* Binary operators that are not lazy. The nodes are for annotations. */
bool arithmetic_apply(struct evaluation *ev, enum operator op, const struct node *left_node,
                      const struct node *right_node, struct value left, struct value right, struct value *ret);
/* bool, or number not zero; else the type failure. */
bool eval_truth(struct evaluation *ev, struct value v, bool *ret);

/* failure.c: all return false. */
bool failure_set(struct evaluation *ev, enum failure_kind kind, const char *text);
bool failure_format(struct evaluation *ev, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool failure_type(struct evaluation *ev, struct value v, const char *expected, const char *from);
/* What the reference says of a number of a document that is beyond float64; null when it is not. */
const char *failure_number(struct arena *a, struct value v, const char *parser);
/* An `if` that has v, of `from`, for a condition. */
bool failure_condition(struct evaluation *ev, const struct node *from, struct value v);
/* Puts text before the failure's: it is no type failure any more. */
bool failure_wrap(struct evaluation *ev, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The reference's ErrFrom: adds the annotation when the failure takes one. */
bool failure_annotate(struct evaluation *ev, const struct node *from);
const char *failure_text(struct evaluation *ev);
/* The same for a mapping. */
struct value failure_value(struct evaluation *ev);
/* "(v)" with its leading space, or "". */
const char *failure_remark(struct arena *a, struct value v);

/* view.c */
const struct message *view_message(const struct evaluation *ev, int64_t index, size_t *ret_index);
/* The parsed body; on false *ret_error says why, null when there is no body. */
bool view_document(struct evaluation *ev, int64_t index, struct value *ret, const char **ret_error);
struct value view_meta(struct evaluation *ev, int64_t index);
struct value view_new_meta(struct evaluation *ev);
/* Reads a path without building the document when that is likely to pay. */
bool view_seek(struct evaluation *ev, int64_t index, const struct path *path, struct value *ret,
               const char **ret_error);
/* `this` in a context; false when there is none. */
bool context_this(struct evaluation *ev, const struct context *ctx, struct value *ret);

/* A literal or an evaluated argument as its parameter wants it. */
bool coerce_argument(struct evaluation *ev, const struct bloblang_parameter *parameter, struct value v,
                     struct value *ret);

#endif
