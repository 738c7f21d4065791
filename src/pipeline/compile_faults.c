/* What a processor says about the file it is compiled from. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/components.h"
#include "config/processors.h"
#include "pipeline/stage_internal.h"

static void add_fault(struct compiler *c, const struct config_node *node, bool warning, const char *format, va_list ap)
{
	char text[1024];

	(void)vsnprintf(text, sizeof text, format, ap);
	config_faults_add(c->faults, node ? node->line : 1, node ? node->column : 1, warning, "%s: %s", c->path, text);
}

void stage_compile_fault(struct compiler *c, const struct config_node *node, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_fault(c, node, false, format, ap);
	va_end(ap);
}

void stage_compile_warning(struct compiler *c, const struct config_node *node, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_fault(c, node, true, format, ap);
	va_end(ap);
}

void stage_warn_negative(struct compiler *c, const struct config_node *node, const char *key, int64_t value)
{
	if (value < 0)
		stage_compile_warning(c, node, "%s below 0 is no limit, as 0 is", key);
}

void stage_unknown_component(struct compiler *c, const struct config_node *node, const char *slot)
{
	const struct config_node at = stage_key_place(node);
	const char *sentence = component_foreign(slot, node->key);
	struct nearest near = {.given = node->key};

	for (const struct processor_row *row = processor_rows; row->name; row++)
		if (strcmp(row->slot, slot) == 0)
			nearest_offer(&near, row->name);
	if (sentence)
		stage_compile_fault(c, &at, "%s", sentence);
	else if (nearest_is_near(&near))
		stage_compile_fault(c, &at, "there is no %s \"%.64s\"; did you mean \"%s\"?", slot, node->key,
		                    near.best);
	else
		stage_compile_fault(c, &at, "there is no %s \"%.64s\"; see `kspool list processors`", slot, node->key);
}
