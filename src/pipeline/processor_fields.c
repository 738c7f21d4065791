/* Reading a processor's fields from its part of the configuration. */
#include <stdio.h>
#include <string.h>

#include "pipeline/stage_internal.h"

void fields_read(struct compiler *c, const struct option_section *s, const struct config_node *node, void *ret)
{
	struct options_reader r = {.faults = c->faults};

	memset(ret, 0, s->size);
	options_defaults(s, ret);
	(void)snprintf(r.path, sizeof r.path, "%s", c->path);
	options_read(&r, s, node, ret, NULL);
}

static void language_fault(struct compiler *c, const struct config_text *text, const struct bloblang_fault *fault)
{
	int line, column;

	config_text_place(text, fault->line, fault->column, &line, &column);
	config_faults_add(c->faults, line, column, false, "%s: %s", c->path, fault->text);
}

/* Behind the journal it runs once more for a message that is sent again: no key may come of that. */
static void look_at_key(struct compiler *c, const struct config_text *text, const char *varies)
{
	const struct config *config = c->config;
	const char *key = config->output.partition_key.text;
	int line, column;

	if (!varies || !c->at_output || config->kspool.order == ORDER_NONE || !key || !strstr(key, "${!"))
		return;
	config_text_place(text, 1, 1, &line, &column);
	config_faults_add(c->faults, line, column, true,
	                  "%s: %s gives one message something else each time it is sent, and kspool.order goes by the "
	                  "key: the key must not be made of it",
	                  c->path, varies);
}

struct bloblang_mapping *stage_compile_mapping(struct compiler *c, const struct config_text *text)
{
	struct bloblang_mapping *m = NULL;
	struct bloblang_fault fault = {0};

	if (text->text && bloblang_mapping_parse(text->text, ".", &m, &fault) != ERR_OK)
		language_fault(c, text, &fault);
	c->needs_batch |= m && bloblang_mapping_reads_batch(m);
	if (m)
		look_at_key(c, text, bloblang_mapping_varies(m));
	return m;
}

struct bloblang_template *stage_compile_template(struct compiler *c, const struct config_text *text)
{
	struct bloblang_template *t = NULL;
	struct bloblang_fault fault = {0};

	if (bloblang_template_parse(text->text ? text->text : "", &t, &fault) != ERR_OK)
		language_fault(c, text, &fault);
	c->needs_batch |= t && bloblang_template_reads_batch(t);
	return t;
}

void stage_compile_children(struct compiler *c, const char *key, const struct config_node *node, struct stages *ret)
{
	size_t length = strlen(c->path);

	(void)snprintf(c->path + length, sizeof c->path - length, ".%s", key);
	stages_compile(c, node, ret);
	c->path[length] = '\0';
}
