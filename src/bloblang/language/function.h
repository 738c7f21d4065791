/*
 * function: one row a function or method, and how its evaluator is called.
 *
 * What it is: the contract between the language and its library. A row says all the parser must know: name, kind,
 * flags, parameters (a default is a literal of the language), hooks. The recipe for a new one is in src/README.md.
 * Promises: 11: whatever loops over outside data asks call_spent() once an element and gives up when it says true;
 * before making what an argument sizes, it asks arena_fits().
 * Owner: rows are static. Values lie in call->arena; while preparing, that is the program's arena. What lies elsewhere
 * is call->owned and freed by .release.
 * Thread: evaluators any; a prepared object is shared by all threads, so it is immutable or guards itself.
 * Fails: false, after one of call_fail_*(). The caller adds who was asked, unless the row is ROW_PLAIN.
 * Does not: change a value: values are immutable and shared.
 */
#ifndef KSPOOL_BLOBLANG_LANGUAGE_FUNCTION_H
#define KSPOOL_BLOBLANG_LANGUAGE_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"
#include "value/json.h"
#include "value/value.h"
#include "message/message.h"

struct evaluation;
struct call_site;
struct context;
struct program;

/* What an argument is made into before the evaluator sees it. */
enum parameter_kind {
	PARAM_ANY,
	PARAM_STRING, /* from string or bytes */
	PARAM_INT,    /* from any number */
	PARAM_FLOAT,
	PARAM_BOOL,
	PARAM_TIMESTAMP,
	PARAM_ARRAY,
	PARAM_OBJECT,
	PARAM_QUERY,          /* not evaluated: call_query() */
	PARAM_QUERY_OR_VALUE, /* the same; a plain value is a query too */
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
	ROW_VARIES = 256,        /* for one message not the same each time: clocks, chance, the batch it is in */
	ROW_READS_BATCH = 512,   /* looks at the messages beside it, or at where it stands among them */
	ROW_NOT_WITHIN = 1024,   /* not in a mapping held in a string */
	/* What a mapping that must be pure (the method bloblang) may not call. */
	ROW_NOT_PURE = ROW_READS_MESSAGE | ROW_READS_DOCUMENT | ROW_IMPURE | ROW_NOT_WITHIN,
};

enum { ROW_PARAMETERS_MAX = 6 };

/* Steps to a place in a value. */
struct path {
	const struct json_step *steps;
	size_t count;
	bool has_each; /* a step is "*": only path_get knows it */
};

/* What an evaluator sees. */
struct call {
	struct evaluation *evaluation; /* opaque to families */
	struct arena *arena;
	struct value target;      /* methods; not with ROW_LAZY, not while preparing */
	const struct value *args; /* one a parameter; NOTHING where an optional one is missing */
	size_t arg_count;
	const void *prepared;          /* what .prepare made, to be read */
	void *owned;                   /* what .prepare made and .release frees; may change if it guards itself */
	const struct call_site *site;  /* opaque to families */
	const struct context *context; /* opaque to families */
};

typedef bool bloblang_evaluate(struct call *call, struct value *ret);
/* Makes once what literal arguments decide: while parsing (failing is a parse error), else before each evaluation. */
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
/* As call_fail_type, of a value that came from `from`; nobody adds an annotation. */
bool call_fail_type_from(struct call *call, struct value v, const char *expected, const char *from);
/* Puts text before the failure that a callee has just left. */
bool call_fail_within(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The failure of query argument i, with the query's annotation when it takes one. */
bool call_fail_query(struct call *call, size_t i);
/* The failure is another's: the caller adds nothing. */
bool call_fail_settled(struct call *call);
/* The failure a callee has left is a limit: nobody may catch it. */
bool call_failed_for_good(const struct call *call);
/* The same text, to be used within a larger one; lies in the arena. */
const char *call_type_text(struct call *call, struct value v, const char *expected);
/* The text of the failure that a callee (call_query, call_target) has just left; lies in the arena. */
const char *call_failure(struct call *call);
/* The same as a value, for a mapping to look at. */
struct value call_failure_value(struct call *call);
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

/* ROW_LAZY methods: evaluates the target as message `index` of the batch sees it; negative counts from the end. */
bool call_target_at(struct call *call, int64_t index, struct value *ret);
/* Runs a named map with `this` = self. */
bool call_map(struct call *call, struct value name, struct value self, struct value *ret);
bool call_variable(struct call *call, struct value name, struct value *ret);

/* The message functions look at (honours .from()); null when there is none at that index or while parsing. */
const struct message *call_message(struct call *call);
/* As .from() gave it; it may be negative or lead nowhere. */
int64_t call_batch_index(struct call *call);
size_t call_batch_count(struct call *call);
/* What lies at a path of the message's document (a path without steps: all of it). False: *ret_error, null for an
 * empty or missing message; no failure is set. */
bool call_document(struct call *call, const struct path *path, struct value *ret, const char **ret_error);
/* The metadata of the message, and of the message being made: objects. */
struct value call_meta(struct call *call);
struct value call_new_meta(struct call *call);
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

/* A mapping held in a string: only pure functions, no imports. It becomes call->prepared and call->owned. */
bool call_mapping_prepare(struct call *call, struct value text);
bloblang_release call_mapping_release;
/* Runs it with `this` = self; the result may lie in the mapping's own arena. */
bool call_mapping_run(struct call *call, struct value self, struct value *ret);

/* Finds a row by its name, null when there is none: how the parser is handed its library. */
typedef const struct bloblang_row *row_find(enum row_kind kind, const char *name, size_t length);

#endif
