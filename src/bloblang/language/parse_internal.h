/*
 * parse: the parser's state and its smallest pieces.
 *
 * What it is: recursive descent with ordered choice, as the reference's grammar is written. A fault is soft (the next
 * choice is tried; the one that got furthest is reported, with all that was expected there) or fatal (`message` set:
 * parsing stops).
 * Promises: 11: depth, the steps of a path, imports, memory and time have limits. 6: what is made grows with the text,
 * and no faster.
 * Owner: the caller, on its stack; everything made lies in the program's arena.
 * Thread: one.
 * Fails: false with p->fault set; p->at may then be anywhere, and whoever tries something else sets it back.
 * Does not: know a function or a method by its name.
 */
#ifndef KSPOOL_BLOBLANG_LANGUAGE_PARSE_INTERNAL_H
#define KSPOOL_BLOBLANG_LANGUAGE_PARSE_INTERNAL_H

#include "bloblang/language/eval_internal.h"

enum { FAULT_EXPECTED_MAX = 12, PARSE_DEPTH_MAX = 400, IMPORT_DEPTH_MAX = 32 };

/* As deep as a document may be: what lies deeper is in none. */
enum { PATH_STEPS_MAX = 10000 };

struct fault {
	const char *at;
	const char *message; /* not null: fatal */
	int count;
	const char *expected[FAULT_EXPECTED_MAX];
};

/* A name a lambda has given to a context. */
struct capture {
	const char *name;
	size_t length;
	const struct capture *outer;
};

/* The steps of a path that still grows; paths it grew from share their part of them. */
struct growing_steps {
	struct json_step *items;
	size_t count;
	size_t capacity;
};

/* The state of parsing one text. */
struct parse {
	const char *text;
	const char *end;
	const char *at;
	struct fault fault;
	struct program *program;
	struct evaluation *evaluation; /* for folding */
	const struct capture *captures;
	const char *folder; /* of imports; null refuses them */
	bool pure;          /* a mapping held in a string: no functions that look at messages or outside */
	int depth;
	int imports;
	struct growing_steps steps;
	const char *line_at; /* where lines were counted last */
	int line;            /* of line_at, from 0 */
};

/* Results of a DelimitedPattern-like list, grown in the arena. */
struct list {
	const void **items;
	size_t count;
	size_t capacity;
};
void list_add(struct parse *p, struct list *l, const void *item);

/* All return false. */
bool fault_expected(struct parse *p, const char *at, const char *what);
bool fault_fatal(struct parse *p, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A soft fault becomes fatal ("required"). */
bool fault_must(struct parse *p);
/* A soft fault names this instead. */
bool fault_rename(struct parse *p, const char *what);
static inline bool fault_is_fatal(const struct parse *p) { return p->fault.message; }
/* Keeps the further of two soft faults in best; equal ones are joined. */
void fault_merge(struct fault *best, const struct fault *f);
/* The sentence, without position. */
const char *fault_text(struct arena *a, const struct fault *f);
/* The line of a place in p->text, from 0; cheap near the place asked for last. */
int parse_line(struct parse *p, const char *at);
/* Memory or time is used up; the fault is set. Asked at each step of a loop over the text that makes something. */
bool parse_is_spent(struct parse *p);
/* "line L char C: sentence". */
const char *fault_with_position(struct arena *a, const char *text, const struct fault *f);
void fault_position(const char *text, const char *at, int *ret_line, int *ret_column);

/* Lexical pieces; skip_* never fail. */
bool parse_is_name_char(char c);
void parse_skip_blanks(struct parse *p);
/* Blanks, line breaks and comments that end in one. */
void parse_skip_space(struct parse *p);
bool parse_blanks(struct parse *p);
bool parse_line_break(struct parse *p);
bool parse_term(struct parse *p, const char *term);
bool parse_char(struct parse *p, char c);
bool parse_name(struct parse *p, const char **ret, size_t *ret_length, const char *what);
bool parse_snake(struct parse *p, const char **ret, size_t *ret_length, const char *what);
bool parse_quoted(struct parse *p, const char **ret, size_t *ret_length);
bool parse_triple_quoted(struct parse *p, const char **ret, size_t *ret_length);

/* Queries. */
typedef bool parse_query_function(struct parse *p, const struct node **ret);
parse_query_function parse_query;
parse_query_function parse_literal;
parse_query_function parse_match;
parse_query_function parse_if_expression;
parse_query_function parse_lambda;
parse_query_function parse_function_call;
bool parse_method_call(struct parse *p, const struct node *target, const struct node **ret);
struct node *node_new(struct parse *p, enum node_kind kind);
const struct node *node_literal(struct parse *p, struct value v, const char *annotation);
bool node_join_path(struct parse *p, struct path *path, const struct json_step *steps, size_t count);
/* target.path: joins paths where the reference does. */
bool node_get(struct parse *p, const struct node *target, const struct json_step *steps, size_t count,
              const struct node **ret);
bool node_arithmetic(struct parse *p, const char *at, enum operator op, const struct node *left,
                     const struct node *right, const struct node **ret);

/* Whole texts, into p->program. */
bool parse_mapping(struct parse *p);
bool parse_template(struct parse *p);

#endif
