/*
 * program: a text of the language, compiled, and its runs.
 *
 * What it is: what the language shows to those above it. A program is a mapping or a template; it is parsed with the
 * library it is given and then never changes.
 * Promises: 11: parsing and running have limits of depth, memory and time.
 * Owner: whoever parsed it frees it; a result lies in the evaluator until its next run.
 * Thread: a program any, an evaluator its own.
 * Fails: parsing with ERR_CONFIG and a place in the text; running with ERR_INPUT and the reference's wording.
 * Does not: make messages, or know what functions there are.
 */
#ifndef KSPOOL_BLOBLANG_LANGUAGE_PROGRAM_H
#define KSPOOL_BLOBLANG_LANGUAGE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "value/arena.h"
#include "message/message.h"
#include "bloblang/language/function.h"

struct program;

enum program_form { PROGRAM_MAPPING, PROGRAM_TEMPLATE };

struct program_source {
	enum program_form form;
	const char *text;
	size_t length;
	row_find *find;                    /* the library */
	const char *folder;                /* where `import` looks; null refuses it */
	const struct arena_limits *limits; /* null: those of a mapping in the configuration */
	bool pure;                         /* no functions that look at messages or outside */
};

/* Where parsing stopped, from 1, in code points. */
struct program_fault {
	int line;
	int column;
	const char *text;   /* without the place; in the arena given */
	const char *placed; /* with the place as the reference writes it */
};

/* Where values of a run lie; used by one thread, run after run. */
struct evaluator {
	struct arena arena;
	bool (*may_make)(void *arg, uint64_t bytes); /* null: anything */
	void *arg;
};

/* False: *fault is filled, its texts in the arena `a`. */
bool program_parse(const struct program_source *source, struct program **ret, struct arena *a,
                   struct program_fault *fault);
void program_free(struct program *p);
/* What it holds. */
size_t program_bytes(const struct program *p);

/* True when a template has no query left to run. */
bool program_constant(const struct program *p, const char **ret_text, size_t *ret_length);
/* It looks at the messages beside it, or at where it stands among them. */
bool program_reads_batch(const struct program *p);
/* What makes its results for one message differ, a name of a function or method; null: nothing. */
const char *program_varies(const struct program *p);
/* A template that costs no more than a look at the message. */
bool program_is_plain(const struct program *p);
/* Appends the text of a template for the current message. */
enum err program_render(const struct program *p, struct evaluator *evaluator, const struct message_batch *batch,
                        struct buf *out, struct error *e) MUST_CHECK;

/* What a mapping made of the current message. */
struct program_result {
	bool deleted;
	bool meta_changed; /* then `meta` has all of it */
	const char *body;
	size_t body_bytes;
};

/* mutate: the semantics of the mutation processor. meta: empty before. */
enum err program_run(const struct program *p, struct evaluator *evaluator, const struct message_batch *batch,
                     bool mutate, struct buf *meta, struct program_result *ret, struct error *e) MUST_CHECK;
/* Runs a mapping as a check: its resulting body must be a JSON bool. */
enum err program_check(const struct program *p, struct evaluator *evaluator, const struct message_batch *batch,
                       bool *ret, struct error *e) MUST_CHECK;

#endif
