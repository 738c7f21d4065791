/*
 * node: the compiled form, and what evaluates it. Internal to bloblang/.
 *
 * What it is: a tree of small nodes in the arena of its program, made by parse_*.c, never changed after, walked by
 * eval.c. Literals are folded while parsing (NODE_LITERAL is what the language calls a literal, and the language
 * shows it: in match cases, in annotations, in which failures are parse errors).
 */
#ifndef KSPOOL_BLOBLANG_LANGUAGE_NODE_H
#define KSPOOL_BLOBLANG_LANGUAGE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "message/message.h"
#include "value/json.h"
#include "value/value.h"
#include "bloblang/language/function.h"

enum node_kind {
	NODE_LITERAL,
	NODE_FIELD,      /* this.path, root.path, captured.path */
	NODE_GET,        /* target.path */
	NODE_VARIABLE,   /* $name */
	NODE_META,       /* @key, @ */
	NODE_CALL,       /* function(...) or target.method(...) */
	NODE_ARITHMETIC, /* + - * / % and comparisons */
	NODE_AND,
	NODE_OR,
	NODE_COALESCE,
	NODE_NOT,
	NODE_IF,
	NODE_MATCH,
	NODE_LAMBDA, /* name -> body */
	NODE_MAP,    /* target.(query) */
	NODE_ARRAY,
	NODE_OBJECT,
};

enum operator{
	OP_ADD,
	OP_SUBTRACT,
	OP_MULTIPLY,
	OP_DIVIDE,
	OP_MODULO,
	OP_EQUAL,
	OP_UNEQUAL,
	OP_LESS,
	OP_LESS_EQUAL,
	OP_GREATER,
	OP_GREATER_EQUAL,
	OP_AND,
	OP_OR,
	OP_COALESCE,
};

enum field_base { FIELD_THIS, FIELD_ROOT, FIELD_CAPTURED };

struct path {
	const struct json_step *steps;
	size_t count;
	bool has_each; /* a step is "*": only path_get knows it */
};

/* A query with the condition or key it belongs to. */
struct node_pair {
	const struct node *key; /* null: `_` of a match, else-branch of an if */
	const struct node *value;
	struct value text; /* object key known while parsing (STRING), else NOTHING */
};

struct node {
	uint8_t kind; /* enum node_kind */
	uint8_t op;   /* ARITHMETIC: enum operator; FIELD: enum field_base */
	uint32_t count;
	const char
	    *name; /* VARIABLE, META (null: all), LAMBDA, FIELD_CAPTURED; LITERAL: annotation of a folded query */
	size_t name_length;
	union {
		struct value literal;
		struct path path; /* FIELD, GET */
		const struct call_site *site;
		const struct node *right;
		const struct node *const *items;
		const struct node_pair *pairs; /* OBJECT, MATCH cases, IF branches */
	};
	const struct node *left; /* target, left operand, subject, lambda body */
};

/* One written call. */
struct call_site {
	const struct bloblang_row *row;
	const struct node *target; /* methods */
	const struct node **args;  /* query parameters and dynamic ones; null where `values` has it */
	struct value *values;      /* literal arguments, coerced; NOTHING where not given */
	size_t arg_count;
	bool dynamic; /* some non-query argument must be evaluated */
	const void *prepared;
	void *owned; /* released with the program */
	struct program *program;
};

enum statement_kind { ASSIGN_ROOT, ASSIGN_VARIABLE, ASSIGN_META, ASSIGN_META_ALL, STATEMENT_IF };

struct statement {
	enum statement_kind kind;
	int line;
	struct path path; /* ASSIGN_ROOT */
	const char *name; /* variable or key */
	size_t name_length;
	const struct node *query;
	const struct branch *branches; /* STATEMENT_IF */
	size_t branch_count;
};

struct statements {
	const struct statement *items;
	size_t count;
};

struct branch {
	const struct node *condition; /* null: else */
	struct statements body;
};

/* A map, or the mapping itself. */
struct map {
	const char *name;
	size_t name_length;
	struct statements body;
};

struct map_table {
	struct map **items;
	size_t count;
	size_t capacity;
};

/* Everything one text compiled to; freed at once. */
struct program {
	row_find *find; /* the library */
	struct arena arena;
	struct map main;
	struct map_table maps;
	const char *folder;
	uint32_t document_uses; /* places that read the message's document: few mean it need not be built */
	struct site_list {
		struct call_site *site;
		struct site_list *next;
	} * owners; /* sites whose objects want releasing */
};

void program_init(struct program *p, row_find *find, const char *folder);
void program_fini(struct program *p);

/* ---- evaluation ---- */

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
	bool has_new_meta;
	bool meta_changed;
	struct value new_meta;
	uint32_t epoch;
	int stacks;     /* nested applies */
	uint32_t steps; /* nodes since the clock was read */
	int64_t deadline_ns;
	const char *stack_base;
	const struct scope *alias; /* mutation: while its root_is_this holds, the document is its root */
};

struct evaluator {
	struct arena arena;
};

enum {
	STACKS_MAX = 5000,
	STACK_BYTES_MAX = 3 * 1024 * 1024, /* of the thread's stack; threads have 8 MiB */
	STEPS_A_LOOK = 256,
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
bool eval(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret);
/* True when a limit is passed; the failure is set. */
bool evaluation_spent(struct evaluation *ev);
bool eval_call(struct evaluation *ev, const struct context *ctx, const struct call_site *site, struct value *ret);
bool eval_apply(struct evaluation *ev, const struct context *ctx, struct value target, const char *name, size_t length,
                struct value *ret);
/* Runs statements; on false *ret_line is the line of the outermost one that failed. */
bool execute(struct evaluation *ev, const struct context *ctx, const struct statements *body, int *ret_line);
/* The failure as "failed assignment (line N): ...", unless one is in it already. */
bool fail_assignment(struct evaluation *ev, int line);

/* Binary operators that are not lazy. The nodes are for annotations. */
bool arithmetic(struct evaluation *ev, enum operator op, const struct node *left_node, const struct node *right_node,
                struct value left, struct value right, struct value *ret);
/* bool, or number not zero; else the type failure. */
bool value_truth(struct evaluation *ev, struct value v, bool *ret);

const char *node_annotation(struct arena *a, const struct node *n);
const char *path_text(struct arena *a, const struct path *p);

/* failure.c: all return false. */
bool fail_with(struct evaluation *ev, enum failure_kind kind, const char *text);
bool fail_format(struct evaluation *ev, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool fail_type(struct evaluation *ev, struct value v, const char *expected, const char *from);
/* Puts text before the failure's: it is no type failure any more. */
bool fail_wrap(struct evaluation *ev, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The reference's ErrFrom: adds the annotation when the failure takes one. */
bool fail_annotate(struct evaluation *ev, const struct node *from);
const char *failure_text(struct evaluation *ev);
/* "(v)" with its leading space, or "". */
const char *value_remark(struct arena *a, struct value v);

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

/* call.c */
bool call_coerce(struct evaluation *ev, const struct bloblang_parameter *parameter, struct value v, struct value *ret);
/* Runs .prepare with the literal arguments of the site; false: ev->failure. */
bool call_site_prepare(struct evaluation *ev, struct call_site *site);

#endif
