/*
 * function: one row a function or method, and how its evaluator is called.
 *
 * How to add a family (a colleague's recipe):
 *  1. Make functions_<family>.c or methods_<family>.c. It exports one table, declared and listed in rows.def:
 *         const struct bloblang_row rows_methods_<family>[] = { { .name = "repeat", ... }, { .name = NULL } };
 *  2. A row says everything the parser needs: name, METHOD or FUNCTION, status, flags, parameters (name, kind, default
 *     written as a Bloblang literal, or optional), the evaluator, and one sentence for `kspool list`.
 *  3. The evaluator gets a struct call: call->target (methods), call->args (one per parameter in the order of the row,
 *     already coerced to the parameter's kind; an optional one that was not given is VALUE_NOTHING), call->arena for
 *     everything it makes. It sets *ret and returns true, or returns call_fail(call, "text"), or, for a wrong type,
 *     call_fail_type(call, value, "string") ("expected string value, got number from ..."): the caller adds who was
 *     asked ("field `this.a`: text"), unless the row has ROW_PLAIN (the methods of the reference's plugin API).
 *     An error text of its own, already complete, is call_fail_final().
 *  4. Kinds of parameters: PARAM_STRING accepts string or bytes and arrives as STRING; PARAM_INT any number, arrives as
 *     INT; PARAM_FLOAT as FLOAT; PARAM_BOOL as BOOL; PARAM_TIMESTAMP as TIMESTAMP; PARAM_ARRAY/PARAM_OBJECT strict;
 *     PARAM_ANY as it is. PARAM_QUERY is not evaluated: use call_query(call, i, value_to_be_this, &result);
 *     PARAM_QUERY_OR_VALUE is the same and yields plain values too. call_given(call, i) says whether it was written.
 *     ROW_VARIADIC: no parameter list; call->args has call->arg_count values of any kind.
 *  5. What can be made once from literal arguments (a regex, a schema, a check of the arguments' values) goes to
 *     .prepare: run while parsing when all arguments are literal (its failure is a parse error), else before each
 *     evaluation. What it returns is call->prepared for the evaluator. During prepare call->target is VALUE_NOTHING and
 *     call->arena lives as long as the prepared object. .release frees what does not lie in that arena (may be null).
 *     A prepared object made while parsing is shared by all threads: immutable, or guarded by itself (counter).
 *  6. ROW_FOLD: with a literal target (or none) and literal arguments the whole call is evaluated while parsing (time
 *     methods).
 *     ROW_IMPURE: touches the outer world, refused inside the method `bloblang`.
 *  7. Whatever loops over outside data asks call_spent(call) now and then (once an element is plenty) and gives up with
 *     `return false` when it says true: that is the time and memory limit. Before making something whose size an
 *     argument decides, ask arena_fits(call->arena, bytes); if not, return call_fail(call, "...").
 *  Values are immutable: build new ones (value.h), share old ones freely. Text is built in a struct text (arena.h).
 *  No malloc in evaluators except what a library needs, freed before returning.
 */
#ifndef KSPOOL_BLOBLANG_LANGUAGE_FUNCTION_H
#define KSPOOL_BLOBLANG_LANGUAGE_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/message.h"
#include "value/arena.h"
#include "value/value.h"

struct evaluation;
struct call_site;
struct context;

enum parameter_kind {
	PARAM_ANY,
	PARAM_STRING,
	PARAM_INT,
	PARAM_FLOAT,
	PARAM_BOOL,
	PARAM_TIMESTAMP,
	PARAM_ARRAY,
	PARAM_OBJECT,
	PARAM_QUERY,
	PARAM_QUERY_OR_VALUE,
};

struct bloblang_parameter {
	const char *name;
	enum parameter_kind kind;
	bool optional;
	const char *fallback; /* the default as a Bloblang literal ("1", "true", "\"IEEE\""); null: none */
};

enum row_kind { FUNCTION, METHOD };
enum row_status { STABLE, BETA, EXPERIMENTAL, DEPRECATED, HIDDEN };

enum row_flags {
	ROW_VARIADIC = 1,        /* any number of positional arguments of any kind */
	ROW_PLAIN = 2,           /* errors carry no annotation of the target */
	ROW_FOLD = 4,            /* literal target and arguments: evaluated while parsing */
	ROW_LAZY = 8,            /* the evaluator evaluates the target itself: call_target() */
	ROW_IS_PATH = 16,        /* a method of one path; with a literal one the call is that path */
	ROW_READS_MESSAGE = 32,  /* looks at the message or its batch: only such a function may use call_message() */
	ROW_READS_DOCUMENT = 64, /* reads the body as JSON; implies the one above */
	ROW_IMPURE = 128,        /* touches the outer world */
	/* What a mapping that must be pure (the method bloblang) may not call. */
	ROW_NOT_PURE = ROW_READS_MESSAGE | ROW_READS_DOCUMENT | ROW_IMPURE,
};

enum { ROW_PARAMETERS_MAX = 6 };

/* What an evaluator sees. */
struct call {
	struct evaluation *evaluation; /* opaque to families */
	struct arena *arena;
	struct value target;      /* methods; not with ROW_LAZY */
	const struct value *args; /* see above */
	size_t arg_count;
	const void *prepared;          /* what .prepare made, to be read */
	void *owned;                   /* what .prepare made and .release frees; may change if it guards itself */
	const struct call_site *site;  /* opaque to families */
	const struct context *context; /* opaque to families */
};

typedef bool bloblang_evaluate(struct call *call, struct value *ret);
typedef bool bloblang_prepare(struct call *call);
typedef void bloblang_release(void *owned);
/* What failures call the call. call->args is null when an argument is not known while parsing. Null: the usual text. */
typedef const char *bloblang_annotate(struct call *call);

struct bloblang_row {
	const char *name;
	enum row_kind kind;
	enum row_status status;
	unsigned flags;
	struct bloblang_parameter parameters[ROW_PARAMETERS_MAX]; /* up to the first without a name */
	bloblang_evaluate *evaluate;
	bloblang_prepare *prepare;
	bloblang_release *release;
	bloblang_annotate *annotate; /* null: "function x", "method x" */
	const char *summary;         /* one sentence */
};

/* Failing: always returns false, so that `return call_fail(...)` reads well. */
bool call_fail(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As call_fail, but nobody adds an annotation. */
bool call_fail_final(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "expected <expected> value, got <type of v>[ from <target>][ (v)]". expected: "string", "array or object", ... */
bool call_fail_type(struct call *call, struct value v, const char *expected);
/* The same text, to be used within a larger one; lies in the arena. */
const char *call_type_text(struct call *call, struct value v, const char *expected);
/* The text of the failure that a callee (call_query, call_target) has just left; lies in the arena. */
const char *call_failure(struct call *call);
/* "field `this.a`", "string literal", "method uppercase": the annotation of the target. */
const char *call_annotation(struct call *call);

bool call_given(const struct call *call, size_t i);
/* The arguments are the same at every evaluation. */
bool call_is_constant(const struct call *call);
/* Evaluates query argument i with `this` = self; false leaves its failure in place. */
bool call_query(struct call *call, size_t i, struct value self, struct value *ret);
/* Evaluates query argument i in the caller's own context. */
bool call_query_here(struct call *call, size_t i, struct value *ret);
/* ROW_LAZY methods: evaluates the target. */
bool call_target(struct call *call, struct value *ret);
/* The annotation of query argument i ("field `x.nope`"). */
const char *call_query_annotation(struct call *call, size_t i);
/* True when the time or memory of this evaluation is used up; the failure is set. */
bool call_spent(struct call *call);

/* The message functions look at (honours .from()); null when there is none at that index or while parsing. */
const struct message *call_message(struct call *call);
size_t call_batch_index(struct call *call);
size_t call_batch_count(struct call *call);
/* Folder of the mapping file, for file_rel; null when there is none. */
const char *call_folder(struct call *call);

/* Coercions of the reference, for targets. True, or the type failure is set ("expected ... value, got ..."). */
bool call_need_text(struct call *call, struct value v, struct value *ret);   /* string or bytes, as it is */
bool call_need_string(struct call *call, struct value v, struct value *ret); /* also timestamp as RFC3339 text */
bool call_need_number(struct call *call, struct value v, struct value *ret); /* INT, UINT or FLOAT of 64 bits */
bool call_need_float(struct call *call, struct value v, double *ret);
bool call_need_int(struct call *call, struct value v, int64_t *ret); /* any number, truncated */

/* Timestamp, number (unix seconds) or RFC 3339 text; see value/time.h for more. */
bool call_need_time(struct call *call, struct value v, struct value_time *ret);

/* Finds a row by its name, null when there is none: how the parser is handed its library. */
typedef const struct bloblang_row *row_find(enum row_kind kind, const char *name, size_t length);

#endif
