#include <stdio.h>
#include <string.h>

#include "pipeline/stage_internal.h"

static void lint_processors(struct compiler *c, const struct config_node *nodes, const char *path)
{
	struct stages stages;

	compiler_move(c, path);
	stages_compile(c, nodes, &stages);
	stages_free(&stages);
}

static void add_fault(struct config_faults *faults, const struct config_text *text, const char *what,
                      const struct bloblang_fault *fault)
{
	int line, column;

	config_text_place(text, fault->line, fault->column, &line, &column);
	config_faults_add(faults, line, column, false, "%s: %s", what, fault->text);
}

static void lint_template(const struct config_text *text, const char *what, struct config_faults *faults)
{
	struct bloblang_template *t = NULL;
	struct bloblang_fault fault = {0};

	if (text->text && bloblang_template_parse(text->text, &t, &fault) != ERR_OK)
		add_fault(faults, text, what, &fault);
	bloblang_template_free(t);
}

/* What keeps messages of one key together must find the same key each time. */
static void lint_key(const struct config *config, const struct config_text *text, const char *what,
                     struct config_faults *faults)
{
	const bool is_ordered = config->kspool.order != ORDER_NONE;
	struct bloblang_template *t = NULL;
	struct bloblang_fault fault = {.line = 1, .column = 1};
	const char *varies;

	lint_template(text, what, faults);
	if ((!is_ordered && config->kspool.aggregation == AGGREGATION_OFF) || !text->text ||
	    bloblang_template_parse(text->text, &t, &fault) != ERR_OK)
		return;
	varies = bloblang_template_varies(t);
	if (varies) {
		(void)snprintf(fault.text, sizeof fault.text,
		               "%s gives one message another key each time, but kspool.%s goes by the key: make it of "
		               "the message alone",
		               varies, is_ordered ? "order" : "aggregation");
		add_fault(faults, text, what, &fault);
	}
	bloblang_template_free(t);
}

static void lint_mapping(const struct config_text *text, const char *what, struct config_faults *faults)
{
	struct bloblang_mapping *m = NULL;
	struct bloblang_fault fault = {0};

	if (text->text && bloblang_mapping_parse(text->text, ".", &m, &fault) != ERR_OK)
		add_fault(faults, text, what, &fault);
	bloblang_mapping_free(m);
}

void pipeline_lint(const struct config *config, struct config_faults *faults)
{
	struct compiler c;

	lint_key(config, &config->output.partition_key, "output.aws_kinesis.partition_key", faults);
	lint_key(config, &config->output.hash_key, "output.aws_kinesis.hash_key", faults);
	if (config->kspool.order != ORDER_NONE && config->kspool.key_error == KEY_RANDOM)
		config_faults_add(
		    faults, 1, 1, false,
		    "kspool.key_error: random gives messages keys that have no order: with kspool.order it "
		    "must be set_aside");
	lint_mapping(&config->output.batching.check, "output.aws_kinesis.batching.check", faults);
	compiler_init(&c, config, "", faults);
	for (size_t i = 0; i < config->until_count; i++)
		lint_mapping(&config->untils[i].options.check, config->untils[i].path, faults);
	for (size_t i = 0; i < config->input_count; i++) {
		const struct config_input *input = &config->inputs[i];
		char path[192];

		if (input->kind == INPUT_GENERATE) {
			(void)snprintf(path, sizeof path, "%s.generate.mapping", input->path);
			lint_mapping(&input->generate.mapping, path, faults);
		}

		(void)snprintf(path, sizeof path, "%s.processors", input->path);
		lint_processors(&c, input->processors, path);
	}
	lint_processors(&c, config->pipeline_processors, "pipeline.processors");
	lint_processors(&c, config->output_processors, "output.processors");
	lint_processors(&c, config->output.batching.processors, "output.aws_kinesis.batching.processors");
	lint_processors(&c, config->buffer.pre_processors, "buffer.sqlite.pre_processors");
	lint_processors(&c, config->buffer.post_processors, "buffer.sqlite.post_processors");
	compiler_move(&c, "");
	stage_check_resources(&c);
	compiler_fini(&c);
}
