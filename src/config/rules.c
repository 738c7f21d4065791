#include "config/rules.h"

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
	static rule_check *const *const tables[] = {rules_output, rules_spool, rules_doors};
	const struct rules r = {.config = config, .faults = faults};

	check_static_fields(&r);
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (rule_check *const *rule = tables[i]; *rule; rule++)
			(*rule)(&r);
}
