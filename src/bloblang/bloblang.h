/*
 * bloblang: the language of keys, checks and mappings, with its library.
 *
 * What it is: three compiled forms made at load and never changed after: a template (text with ${! query }), a query
 * used as a check, and a mapping. They run in a struct evaluator, whose arena is reset for every message.
 * Behaviour is that of Redpanda Connect's Bloblang; where it differs, src/README.md says so.
 * Promises: 11: neither a mapping nor a message holds a thread or takes the process down: depth, output and time have
 * limits.
 * Owner: the caller.
 * Thread: compiled forms any, an evaluator its own.
 * Fails: parsing with ERR_CONFIG and line and column within the text; running with ERR_INPUT and the reference's words.
 * Does not: change the message it runs on.
 */
#ifndef KSPOOL_BLOBLANG_BLOBLANG_H
#define KSPOOL_BLOBLANG_BLOBLANG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "message/message.h"

struct arena;
struct evaluator;
struct bloblang_template;
struct bloblang_mapping;

/* What an evaluator of the daemon may always have; what it needs beyond is charged to the budget (mem.h). */
enum { EVALUATOR_OWN_BYTES = 16 * 1024 * 1024 };

struct evaluator *evaluator_new(void);
/* Asked before a mapping's result of so many bytes is made, null for none: false fails the run. */
void evaluator_ask(struct evaluator *ev, bool (*may_make)(void *arg, uint64_t bytes), void *arg);
/* For other work of the same thread, empty, within the same limits; until the next run. */
struct arena *evaluator_arena(struct evaluator *ev);
/* memory_bytes: kspool.memory, of which it may have three eighths; time_ns: for one message. leaves_room:
 * budget_take's. */
void evaluator_limit(struct evaluator *ev, uint64_t memory_bytes, int64_t time_ns, bool leaves_room);
/* For each message from now on, in place of evaluator_limit's. */
void evaluator_hurry(struct evaluator *ev, int64_t time_ns);
bool evaluator_leaves_room(const struct evaluator *ev);
void evaluator_free(struct evaluator *ev);

/* Where parsing stopped: 1-based, counted in code points from the start of the text given. */
struct bloblang_fault {
	int line;
	int column;
	char text[512];
};

/* Parse errors: ERR_CONFIG with *fault filled. */
enum err bloblang_template_parse(const char *text, struct bloblang_template **ret,
                                 struct bloblang_fault *fault) MUST_CHECK;
void bloblang_template_free(struct bloblang_template *t);
/* True when the template has no query left to run; then its text is constant. */
bool bloblang_template_constant(const struct bloblang_template *t, const char **ret_text, size_t *ret_length);
bool bloblang_template_reads_batch(const struct bloblang_template *t);
/* What makes it differ for one message from time to time, a name of a function or method; null: nothing. */
const char *bloblang_template_varies(const struct bloblang_template *t);
/*
 * True when it costs no more than a look at the message: constants, fields, metadata, and functions that read the
 * message or take nothing.
 */
bool bloblang_template_is_plain(const struct bloblang_template *t);
/* Appends the text for the current message to out. */
enum err bloblang_template_render(const struct bloblang_template *t, struct evaluator *ev,
                                  const struct message_batch *batch, struct buf *out, struct error *e) MUST_CHECK;

/* import_folder: where `import` and `from` look; null refuses them. */
enum err bloblang_mapping_parse(const char *text, const char *import_folder, struct bloblang_mapping **ret,
                                struct bloblang_fault *fault) MUST_CHECK;
void bloblang_mapping_free(struct bloblang_mapping *m);
/* It looks at the messages beside its own, or at where it stands among them. */
bool bloblang_mapping_reads_batch(const struct bloblang_mapping *m);
/* As bloblang_template_varies. */
const char *bloblang_mapping_varies(const struct bloblang_mapping *m);

/*
 * Runs a mapping on the current message. *ret is a new message (message_derive: it stands for the same), or null when
 * the mapping deleted it. `mutate`: the semantics of the mutation processor.
 */
enum err bloblang_mapping_run(const struct bloblang_mapping *m, struct evaluator *ev, const struct message_batch *batch,
                              bool mutate, struct message **ret, struct error *e) MUST_CHECK;
/* Runs a mapping as a check: its resulting body must be a JSON bool. */
enum err bloblang_mapping_check(const struct bloblang_mapping *m, struct evaluator *ev,
                                const struct message_batch *batch, bool *ret, struct error *e) MUST_CHECK;

/* Prints the table of functions or methods (`kspool list`). */
void bloblang_list_functions(struct buf *out);
void bloblang_list_methods(struct buf *out);

#endif
