#include "config/rules.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

static bool label_is_valid(const char *label)
{
	return *label != '_' && *label != '-' && label[strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

static void check_labels(const struct rules *r)
{
	const struct config *c = r->config;

	for (size_t i = 0; i <= c->input_count; i++) {
		const char *label = i < c->input_count ? c->inputs[i].label : c->output_label;
		AUTOFREE char *path =
		    i < c->input_count ? mem_format("%s.label", c->inputs[i].path) : mem_string("output.label");

		if (*label == '\0')
			continue;
		if (!label_is_valid(label))
			rules_fault(r, path, "may hold a-z, 0-9, _ and -, and begins with a letter or digit");
		for (size_t k = 0; k < i; k++)
			if (strcmp(label, c->inputs[k].label) == 0) {
				rules_fault(r, path, "is the label of another component too");
				break;
			}
	}
}

static void check_static_fields(const struct rules *r)
{
	const struct config_node *fields = r->config->logger.static_fields;

	for (size_t i = 0; fields && i < fields->count; i++)
		if (fields->children[i].kind != NODE_SCALAR)
			config_faults_add(r->faults, fields->children[i].line, fields->children[i].column, false,
			                  "logger.static_fields: %.64s must be one text", fields->children[i].key);
}

void rules_check(const struct config *config, struct config_faults *faults)
{
	const struct rules r = {.config = config, .faults = faults};

	check_labels(&r);
	check_static_fields(&r);
	for (rule_check *const *rule = rules_output; *rule; rule++)
		(*rule)(&r);
	for (rule_check *const *rule = rules_doors; *rule; rule++)
		(*rule)(&r);
}
