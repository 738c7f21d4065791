#include "kinesis/outcome.h"

#include <string.h>

#include "base/check.h"

static const struct outcome table[] = {
#define OUTCOME(scope, wire, least, most, code, text, action, stored, counts, metric) \
	{OUTCOME_##scope, OUTCOME_##wire, least, most, code, text, ACTION_##action, stored, counts, M_##metric},
#include "kinesis/outcomes.def"
};

static bool code_fits(const char *wanted, const char *code)
{
	if (wanted[0] == '\0')
		return true;
	if (strcmp(wanted, "-") == 0)
		return code[0] == '\0';
	return strcmp(wanted, code) == 0;
}

const struct outcome *outcome_find(enum outcome_scope scope, bool cbor, int status, const char *code, const char *text)
{
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		const struct outcome *o = &table[i];

		if (o->scope == scope && (o->wire == OUTCOME_ANY || cbor) && status >= o->least_status &&
		    status <= o->most_status && code_fits(o->code, code) && strstr(text, o->text))
			return o;
	}
	never("an outcome without a row");
}

const char *outcome_action_name(enum outcome_action action)
{
	static const char *const names[] = {
#define ACTION(name, word, function) [ACTION_##name] = word,
#include "kinesis/outcomes.def"
	};

	return names[action];
}

const struct outcome *outcome_table(size_t *ret_count)
{
	*ret_count = sizeof table / sizeof table[0];
	return table;
}
