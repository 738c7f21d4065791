/*
 * Invariants:
 * 1. The list of inputs is flat, in the order of the file; an entry of input_resources stands where it is used.
 * 2. `path` of an input leads to its place in the file, also where a resource stands for it.
 * 3. Whom an input waits for stands before it in the list.
 */
#include "config/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "config/components.h"
#include "config/tree.h"

static const struct {
	const char *key;
	const struct option_section *(*section)(void);
	unsigned flags;
} inputs[] = {
#define ROW(kind, member, key_, door, flags_, text) \
	[INPUT_##kind] = {.key = (key_), .section = options_input_##member, .flags = (flags_)},
    CONFIG_INPUTS(ROW)
#undef ROW
};

const char *input_key(enum input_kind kind)
{
	must(kind < INPUT_KINDS);
	return inputs[kind].key;
}

const struct option_section *input_section(enum input_kind kind)
{
	must(kind < INPUT_KINDS);
	return inputs[kind].section();
}

bool input_is_finite(const struct config_input *input)
{
	must(input->kind < INPUT_KINDS);
	return inputs[input->kind].flags & FINITE || (inputs[input->kind].flags & COUNTED && input->generate.count > 0);
}

void input_fini(struct config_input *input)
{
	options_free(input_section(input->kind), &input->file);
	input_scanner_free(&input->scanner);
	free(input->label);
	free(input->path);
	tree_free(input->merged);
}

/* What stands around an input (brokers, sequences, its use as a resource), outermost last. */
struct brokers {
	const struct config_node *processors; /* may be null */
	const struct config_node *resource;   /* the entry that is used; null: no resource is */
	const struct brokers *outer;
};

static const char *foreign_input(const char *key) { return component_foreign("input", key); }

/* A message passes its input's own processors first, then those of each broker around it. */
static void merge_processors(struct config_input *input, const struct brokers *around)
{
	for (; around; around = around->outer) {
		if (!around->processors)
			continue;
		if (!input->merged) {
			input->merged = mem_zero(sizeof *input->merged);
			input->merged->kind = NODE_LIST;
			input->merged->line = around->processors->line;
			input->merged->column = around->processors->column;
			tree_append_copies(input->merged, input->processors);
			input->processors = input->merged;
		}
		tree_append_copies(input->merged, around->processors);
	}
}

static struct config_input *add_input(struct config *config, struct options_reader *r, const struct config_node *node,
                                      enum input_kind kind)
{
	struct config_input *input;

	config->inputs = mem_grow(config->inputs, config->input_count + 1, sizeof *config->inputs);
	input = &config->inputs[config->input_count++];
	memset(input, 0, sizeof *input);
	input->kind = kind;
	input->path = mem_string(r->path);
	input->line = node->key_line;
	options_defaults(input_section(kind), &input->file);
	input_scanner_defaults(&input->scanner);
	return input;
}

/* The input csv is a file whose scanner is said by its own options. */
static void set_csv_scanner(struct config_input *input)
{
	struct config_scanner *scanner = &input->scanner;

	scanner->kind = SCANNER_CSV;
	scanner->csv_input = true;
	scanner->csv.parse_header_row = input->csv.parse_header_row;
	scanner->csv.lazy_quotes = input->csv.lazy_quotes;
	free(scanner->csv.custom_delimiter);
	scanner->csv.custom_delimiter = mem_string(input->csv.delimiter ? input->csv.delimiter : "");
}

static void read_kind(struct options_reader *r, struct config *config, const struct config_node *node,
                      enum input_kind kind)
{
	struct config_input *input = add_input(config, r, node, kind);
	size_t length = options_reader_enter(r, node->key);

	options_read(r, input_section(kind), node, &input->file, NULL);
	if (kind == INPUT_CSV)
		set_csv_scanner(input);
	if (options_find(input_section(kind), "scanner"))
		input_scanner_read(r, node, tree_member(node, "scanner"), &input->scanner);
	options_reader_leave(r, length);
}

static void read_input(struct options_reader *r, struct config *config, const struct config_node *node,
                       const struct brokers *around);

static void read_child(struct options_reader *r, struct config *config, const struct config_node *node, size_t index,
                       const struct brokers *around)
{
	char step[48];
	size_t length;

	(void)snprintf(step, sizeof step, "inputs.%zu", index);
	length = options_reader_enter(r, step);
	read_input(r, config, node, around);
	options_reader_leave(r, length);
}

static void read_broker(struct options_reader *r, struct config *config, const struct config_node *node,
                        const struct brokers *around)
{
	struct options_broker broker = {0};
	size_t length = options_reader_enter(r, "broker");

	options_defaults(options_broker(), &broker);
	options_read(r, options_broker(), node, &broker, NULL);
	if (broker.copies != 1 && tree_member(node, "copies"))
		config_faults_add(r->faults, tree_member(node, "copies")->line, tree_member(node, "copies")->column,
		                  false, "%s.copies must be 1: kspool opens each input once", r->path);
	if (broker.batching && broker.batching->count > 0)
		config_faults_add(r->faults, broker.batching->key_line, broker.batching->key_column, false,
		                  "%s.batching is not part of kspool: the journal takes messages one by one; use "
		                  "output.aws_kinesis.batching",
		                  r->path);
	for (size_t i = 0; broker.inputs && i < broker.inputs->count; i++)
		read_child(r, config, &broker.inputs->children[i], i, around);
	options_reader_leave(r, length);
}

/* Inputs from `begin` on begin when those from `after` on have ended; what waits for others of them already does so. */
static void set_after(struct config *config, size_t after, size_t begin)
{
	for (size_t i = begin; i < config->input_count; i++)
		if (config->inputs[i].after_begin == config->inputs[i].after_end) {
			config->inputs[i].after_begin = after;
			config->inputs[i].after_end = begin;
		}
}

static bool never_ends(const struct config *config, size_t begin)
{
	for (size_t i = begin; i < config->input_count; i++)
		if (!input_is_finite(&config->inputs[i]) && config->inputs[i].until == 0)
			return true;
	return false;
}

static void refuse_join(struct options_reader *r, const struct config_node *join)
{
	const struct config_node *type = join ? tree_member(join, "type") : NULL;

	if (type && type->kind == NODE_SCALAR && type->scalar && strcmp(type->scalar, "none") != 0)
		config_faults_add(r->faults, type->line, type->column, false,
		                  "%s.sharded_join is not part of kspool: messages are stored as they come, none waits "
		                  "in memory for others",
		                  r->path);
}

static void read_sequence(struct options_reader *r, struct config *config, const struct config_node *node,
                          const struct brokers *around)
{
	struct options_sequence sequence = {0};
	const size_t length = options_reader_enter(r, "sequence");
	size_t after = config->input_count;

	options_defaults(options_sequence(), &sequence);
	options_read(r, options_sequence(), node, &sequence, NULL);
	refuse_join(r, sequence.sharded_join);
	for (size_t i = 0; sequence.inputs && i < sequence.inputs->count; i++) {
		const struct config_node *child = &sequence.inputs->children[i];
		const size_t begin = config->input_count;

		read_child(r, config, child, i, around);
		if (i > 0)
			set_after(config, after, begin);
		if (i + 1 < sequence.inputs->count && never_ends(config, begin))
			config_faults_add(r->faults, child->line, child->column, true,
			                  "%s.inputs.%zu never ends: what stands behind it never begins", r->path, i);
		after = begin;
	}
	options_reader_leave(r, length);
}

/* Its clients would wait for answers that nobody gives any more. */
static void check_within(struct options_reader *r, struct config *config, const struct config_node *node, size_t begin,
                         size_t until)
{
	for (size_t i = begin; i < config->input_count; i++) {
		struct config_input *input = &config->inputs[i];

		if (input->kind == INPUT_HTTP_SERVER || input->kind == INPUT_SOCKET_SERVER)
			config_faults_add(r->faults, node->key_line, node->key_column, false,
			                  "%s: %s cannot be read until a message came: others wait for its answers",
			                  r->path, input_key(input->kind));
		if (input->until != 0)
			config_faults_add(r->faults, node->key_line, node->key_column, false,
			                  "%s: one read_until within another is not part of kspool", r->path);
		input->until = until;
	}
}

static void read_until(struct options_reader *r, struct config *config, const struct config_node *node,
                       const struct brokers *around)
{
	const size_t length = options_reader_enter(r, "read_until"), begin = config->input_count;
	struct config_until *until;
	const struct config_node *child;
	size_t inner, index;

	config->untils = mem_grow(config->untils, config->until_count + 1, sizeof *config->untils);
	until = &config->untils[config->until_count++];
	index = config->until_count;
	*until = (struct config_until){.path = mem_string(r->path)};
	options_defaults(options_read_until(), &until->options);
	options_read(r, options_read_until(), node, &until->options, NULL);
	if (!tree_member(node, "check") && !tree_member(node, "idle_timeout") && !node->unset)
		config_faults_add(r->faults, node->key_line, node->key_column, false,
		                  "%s needs check or idle_timeout: nothing would end it", r->path);
	child = until->options.input;
	if (child) {
		inner = options_reader_enter(r, "input");
		read_input(r, config, child, around);
		options_reader_leave(r, inner);
	}
	check_within(r, config, node, begin, index);
	options_reader_leave(r, length);
}

void input_untils_free(struct config *config)
{
	for (size_t i = 0; i < config->until_count; i++) {
		options_free(options_read_until(), &config->untils[i].options);
		free(config->untils[i].path);
	}
	free(config->untils);
}

/* It is the one at `path`, or within it. */
static bool is_within(const struct config_input *input, const char *path)
{
	const size_t length = strlen(path);

	return strncmp(input->path, path, length) == 0 && (input->path[length] == '\0' || input->path[length] == '.');
}

/* Every message of a resource goes one way, so it has one place. */
static bool may_use(struct options_reader *r, const struct config *config, const struct config_node *node,
                    const struct config_node *entry, const char *path, const struct brokers *around)
{
	for (; around; around = around->outer)
		if (around->resource == entry) {
			config_faults_add(r->faults, node->line, node->column, false, "%s.resource: %s uses itself",
			                  r->path, path);
			return false;
		}
	for (size_t i = 0; i < config->input_count; i++)
		if (is_within(&config->inputs[i], path)) {
			config_faults_add(
			    r->faults, node->line, node->column, false,
			    "%s.resource: %s is used before; each of its messages goes one way: use it once", r->path,
			    path);
			return false;
		}
	return true;
}

/* The label of an entry of input_resources, which stands here. */
static void read_resource(struct options_reader *r, struct config *config, const struct config_node *node,
                          const struct brokers *around)
{
	const struct config_node *entries = tree_member(config->tree, "input_resources"), *entry = NULL;
	AUTOFREE char *outside = mem_string(r->path);
	AUTOFREE char *path = NULL;
	struct brokers here = *around;

	if (node->unset)
		return;
	for (size_t i = 0; entries && entries->kind == NODE_LIST && i < entries->count && !entry; i++) {
		const struct config_node *label = tree_member(&entries->children[i], "label");

		if (!label || !label->scalar || !node->scalar || strcmp(label->scalar, node->scalar) != 0)
			continue;
		entry = &entries->children[i];
		path = mem_format("input_resources.%zu", i);
	}
	if (!entry) {
		config_faults_add(r->faults, node->line, node->column, false,
		                  "%s.resource: no entry of input_resources has this label", r->path);
		return;
	}
	if (!may_use(r, config, node, entry, path, around))
		return;
	here.resource = entry;
	(void)snprintf(r->path, sizeof r->path, "%s", path);
	read_input(r, config, entry, &here);
	(void)snprintf(r->path, sizeof r->path, "%s", outside);
}

void input_check_unused(const struct config *config, struct config_faults *faults)
{
	for (size_t i = 0; config->input_resources && i < config->input_resources->count; i++) {
		AUTOFREE char *path = mem_format("input_resources.%zu", i);
		struct config scratch = {.tree = config->tree};
		struct options_reader r = {.faults = faults};
		bool used = false;

		for (size_t k = 0; k < config->input_count; k++)
			used |= is_within(&config->inputs[k], path);
		if (used)
			continue;
		(void)snprintf(r.path, sizeof r.path, "%s", path);
		read_input(&r, &scratch, &config->input_resources->children[i], NULL);
		for (size_t k = 0; k < scratch.input_count; k++)
			input_fini(&scratch.inputs[k]);
		free(scratch.inputs);
		input_untils_free(&scratch);
	}
}

/* What holds other inputs. */
static const struct input_frame {
	const char *key;
	void (*read)(struct options_reader *r, struct config *config, const struct config_node *node,
	             const struct brokers *around);
} frames[] = {
    {"broker", read_broker}, {"sequence", read_sequence}, {"read_until", read_until}, {"resource", read_resource}};

static const struct input_frame *find_frame(const char *key)
{
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
		if (strcmp(frames[i].key, key) == 0)
			return &frames[i];
	return NULL;
}

static const struct config_node *find_component(struct options_reader *r, const struct config_node *node,
                                                size_t *ret_kind)
{
	const struct config_node *found = NULL;

	for (size_t i = 0; node->kind == NODE_MAP && i < node->count; i++) {
		const struct config_node *member = &node->children[i];
		size_t kind = 0;

		while (kind < INPUT_KINDS && strcmp(inputs[kind].key, member->key) != 0)
			kind++;
		if ((kind == INPUT_KINDS && !find_frame(member->key)) || member->repeated)
			continue;
		if (found) {
			config_faults_add(r->faults, member->key_line, member->key_column, false,
			                  "%s holds both %s and %s; several inputs go into broker.inputs", r->path,
			                  found->key, member->key);
			return found;
		}
		found = member;
		*ret_kind = kind;
	}
	return found;
}

/* Nothing but the frame: any other key was told of as unknown or foreign already. */
static bool names_nothing(const struct config_node *node)
{
	for (size_t i = 0; i < node->count; i++)
		if (!options_find(options_input(), node->children[i].key))
			return false;
	return true;
}

static void read_input(struct options_reader *r, struct config *config, const struct config_node *node,
                       const struct brokers *around)
{
#define HANDLER(kind, member, key, door, flags, text) {key, NULL},
	static const struct key_handler handlers[] = {CONFIG_INPUTS(HANDLER){"broker", NULL},
	                                              {"sequence", NULL},
	                                              {"read_until", NULL},
	                                              {"resource", NULL},
	                                              {NULL, NULL}};
	static const struct options_extras extras = {.handlers = handlers, .foreign = foreign_input};
	struct config_input frame = {0};
	struct brokers here = {.outer = around};
	const struct config_node *component;
	size_t kind = INPUT_KINDS;

	options_read(r, options_input(), node, &frame, &extras);
	component = find_component(r, node, &kind);
	here.processors = frame.processors;
	if (component && kind < INPUT_KINDS) {
		struct config_input *input;

		read_kind(r, config, component, (enum input_kind)kind);
		input = &config->inputs[config->input_count - 1];
		input->label = take(frame.label);
		input->processors = frame.processors;
		merge_processors(input, around);
		if (!input->label)
			input->label = mem_string("");
	} else if (component) {
		find_frame(component->key)->read(r, config, component, &here);
	} else if (!node->unset && (node->kind == NODE_MAP || tree_is_null(node)) && names_nothing(node)) {
		config_faults_add(r->faults, node->key_line ? node->key_line : node->line,
		                  node->key_line ? node->key_column : node->column, false,
		                  "%s names no input; write one of " INPUT_WORDS, r->path);
	}
	free(frame.label);
}

void component_read_input(struct options_reader *r, const struct config_node *node, void *base)
{
	size_t length = options_reader_enter(r, "input");

	read_input(r, base, node, NULL);
	options_reader_leave(r, length);
}
