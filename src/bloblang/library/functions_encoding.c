/* Functions of the family "encoding". */
#include <string.h>

#include "bloblang/language/function.h"

static bool with_schema_registry_header(struct call *call, struct value *ret)
{
	struct value id = call->args[0], body = call->args[1];
	char *out;
	int64_t n;

	if (id.kind != VALUE_INT && id.kind != VALUE_UINT && id.kind != VALUE_FLOAT)
		return call_fail_final(call, "schema ID must be a number, got %s", value_go_type(id));
	(void)value_to_int(id, &n);
	if (n < 0 || n > UINT32_MAX)
		return call_fail_final(call, "schema ID %lld is out of range", (long long)n);
	if (!value_is_text(body))
		return call_fail_final(call, "message must be bytes or a string, got %s", value_go_type(body));
	out = arena_alloc(call->arena, body.length + 5U);
	out[0] = '\0';
	for (int i = 0; i < 4; i++)
		out[1 + i] = (char)((uint32_t)n >> (24 - 8 * i));
	memcpy(out + 5, body.text, body.length);
	*ret = value_bytes(out, body.length + 5U);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_functions_encoding[] = {
	{.name = "with_schema_registry_header", .kind = FUNCTION, .evaluate = with_schema_registry_header,
	 .parameters = {{"schema_id", PARAM_ANY, false, NULL}, {"message", PARAM_ANY, false, NULL}},
	 .summary = "Prefixes bytes with a schema registry header."},
	{.name = NULL},
};
/* clang-format on */
