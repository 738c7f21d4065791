#include "config/components.h"

#include <string.h>

#include "config/inputs.h"
#include "config/tree.h"

static const char *const buffers[] = {"sqlite", "none", "memory"};

struct component {
	const char *slot;
	const char *name;
	const char *sentence;
};

static const struct component special[] = {
    {"output", "aws_kinesis_firehose",
     "output.aws_kinesis_firehose is not part of kspool, which writes to aws_kinesis"},
};

static const struct component all[] = {
#define C(slot_, name_)   \
	{.slot = #slot_,  \
	 .name = (name_), \
	 .sentence = #slot_ "." name_ " is a component of Redpanda Connect that is not part of kspool; " HAS_##slot_},
#define HAS_input "it has " INPUT_WORDS
#define HAS_output "it writes to aws_kinesis only"
#define HAS_buffer "it has sqlite only"
#define HAS_metrics "it has prometheus and none"
#define HAS_tracer "it has none"
#define HAS_scanner "it has " SCANNER_KEYS "skip_bom"
#define HAS_processor "`kspool list processors` shows what it has"
#define HAS_cache "it has memory, ttlru and lru"
#define HAS_rate_limit "it has local"
#include "config/components.def"
#undef C
};

static const char *find(const struct component *table, size_t count, const char *slot, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(table[i].slot, slot) == 0 && strcmp(table[i].name, name) == 0)
			return table[i].sentence;
	return NULL;
}

const char *component_foreign(const char *slot, const char *name)
{
	const char *sentence = find(special, sizeof special / sizeof *special, slot, name);

	return sentence ? sentence : find(all, sizeof all / sizeof *all, slot, name);
}

static const char *foreign_buffer(const char *key) { return component_foreign("buffer", key); }
static const char *foreign_output(const char *key) { return component_foreign("output", key); }
static const char *foreign_metrics(const char *key) { return component_foreign("metrics", key); }
static const char *foreign_tracer(const char *key) { return component_foreign("tracer", key); }

/* True when a member of the slot is a component told of as foreign: then its own one is not also missing. */
static bool has_foreign(const struct config_node *node, const char *slot)
{
	for (size_t i = 0; node->kind == NODE_MAP && i < node->count; i++)
		if (component_foreign(slot, node->children[i].key))
			return true;
	return false;
}

static void read_slot(struct options_reader *r, const char *slot, const struct option_section *s,
                      const struct config_node *node, void *base, const struct options_extras *extras)
{
	size_t length = options_reader_enter(r, slot);

	options_read(r, s, node, base, extras);
	options_reader_leave(r, length);
}

static bool lacks(const struct config_node *node, const char *slot, const char *component)
{
	return !node->unset && (node->kind == NODE_MAP || tree_is_null(node)) && !tree_member(node, component) &&
	       !has_foreign(node, slot);
}

/* They mean what no buffer at all means here: the spool in its default place. */
static void read_no_buffer(struct options_reader *r, const struct config_node *node, void *base)
{
	(void)base;
	if (!node->unset && !tree_is_null(node) && node->kind != NODE_MAP)
		config_faults_add(r->faults, node->line, node->column, false, "%s.%s: expected a map, not %s", r->path,
		                  node->key, tree_kind_name(node));
	else if (node->count > 0)
		config_faults_add(r->faults, node->key_line, node->key_column, true,
		                  "%s.%s has no effect: kspool keeps messages on disk, and makes batches as "
		                  "output.aws_kinesis.batching says",
		                  r->path, node->key);
}

void component_read_buffer(struct options_reader *r, const struct config_node *node, void *base)
{
	static const struct key_handler handlers[] = {
	    {"none", read_no_buffer}, {"memory", read_no_buffer}, {NULL, NULL}};
	static const struct options_extras extras = {.handlers = handlers, .foreign = foreign_buffer};
	size_t count = 0;

	read_slot(r, "buffer", options_buffer(), node, base, &extras);
	for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
		count += tree_member(node, buffers[i]) != NULL;
	if (count > 1)
		config_faults_add(r->faults, node->key_line, node->key_column, false,
		                  "buffer holds several of sqlite, none and memory; keep one");
}

void component_read_output(struct options_reader *r, const struct config_node *node, void *base)
{
	static const struct options_extras extras = {.foreign = foreign_output};

	read_slot(r, "output", options_output(), node, base, &extras);
	if (lacks(node, "output", "aws_kinesis"))
		config_faults_add(r->faults, node->key_line, node->key_column, false,
		                  "output.aws_kinesis is required: kspool writes to a Kinesis stream");
}

/* `none` has no options. */
static void read_none(struct options_reader *r, const struct config_node *node, void *base)
{
	(void)base;
	if (!node->unset && !tree_is_null(node) && node->kind != NODE_MAP)
		config_faults_add(r->faults, node->line, node->column, false, "%s.none: expected a map, not %s",
		                  r->path, tree_kind_name(node));
}

static void read_metrics_none(struct options_reader *r, const struct config_node *node, void *base)
{
	struct config *config = base;

	read_none(r, node, base);
	config->metrics_prometheus = false;
}

void component_read_metrics(struct options_reader *r, const struct config_node *node, void *base)
{
	static const struct key_handler handlers[] = {{"none", read_metrics_none}, {NULL, NULL}};
	static const struct options_extras extras = {.handlers = handlers, .foreign = foreign_metrics};

	read_slot(r, "metrics", options_metrics(), node, base, &extras);
	if (tree_member(node, "none") && tree_member(node, "prometheus"))
		config_faults_add(r->faults, node->key_line, node->key_column, false,
		                  "metrics holds both prometheus and none; keep one");
}

void component_read_tracer(struct options_reader *r, const struct config_node *node, void *base)
{
	static const struct option_section nothing = {.name = "tracer"};
	static const struct key_handler handlers[] = {{"none", read_none}, {NULL, NULL}};
	static const struct options_extras extras = {.handlers = handlers, .foreign = foreign_tracer};

	read_slot(r, "tracer", &nothing, node, base, &extras);
}
