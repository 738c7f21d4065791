/*
 * node: the compiled form.
 *
 * What it is: a tree of small nodes in the arena of its program, made by the parser and walked by the evaluator.
 * Literals are folded while parsing, and the language shows it: in match cases, in annotations, in what is a parse
 * error.
 * Promises: none of its own.
 * Owner: the program's arena has all of it; prepared objects outside are released with the program.
 * Thread: one while parsing; after that nothing changes and any thread reads.
 * Fails: never.
 * Does not: know a function or a method by its name; rows say what they want with flags.
 */
#ifndef KSPOOL_BLOBLANG_LANGUAGE_NODE_INTERNAL_H
#define KSPOOL_BLOBLANG_LANGUAGE_NODE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"
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

struct mapping_statement {
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
	const struct mapping_statement *items;
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

/* A piece of a template: text, or a query. */
struct piece {
	const char *text;
	size_t length;
	const struct node *query; /* null: text */
};

/* Everything one text compiled to; freed at once. */
struct program {
	row_find *find; /* the library */
	struct arena arena;
	struct map main; /* a mapping's statements */
	struct map_table maps;
	const struct piece *pieces; /* a template's text */
	size_t piece_count;
	const char *constant; /* not null: a template whose text is known */
	size_t constant_length;
	const char *folder;
	bool reads_batch;       /* it calls what has ROW_READS_BATCH */
	const char *varies;     /* a function or method by which results for one message are not the same each time */
	uint32_t document_uses; /* places that read the message's document: few mean it need not be built */
	struct site_list {
		struct call_site *site;
		struct site_list *next;
	} * owners; /* sites whose objects want releasing */
};

const char *node_annotation(struct arena *a, const struct node *n);
/* As the reference prints it: segments joined by dots, with dots and tildes in them escaped. */
const char *node_path_text(struct arena *a, const struct path *p);

#endif
