#include "base/clock.h"
#include "base/random.h"
#include "value/time.h"
#include "bloblang/language/node.h"

static const char *annotate_deleted(struct call *call)
{
	(void)call;
	return "delete";
}

static const char *annotate_nothing(struct call *call)
{
	(void)call;
	return "nothing";
}

static const char *annotate_variable(struct call *call)
{
	if (!call->args || call->args[0].kind != VALUE_STRING)
		return NULL;
	return arena_format(call->arena, "variable %.*s", (int)call->args[0].length, call->args[0].text);
}

static bool deleted(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_delete();
	return true;
}

static bool nothing(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_nothing();
	return true;
}

static bool throw(struct call * call, struct value *ret)
{
	(void)ret;
	return call_fail(call, "%.*s", (int)call->args[0].length, call->args[0].text);
}

static bool variable(struct call *call, struct value *ret)
{
	struct node n = {.kind = NODE_VARIABLE, .name = call->args[0].text, .name_length = call->args[0].length};

	return eval(call->evaluation, call->context, &n, ret);
}

static bool now(struct call *call, struct value *ret)
{
	int64_t ns = clock_wall_ns();
	struct value_time t = time_local(ns / NS_PER_S, (int32_t)(ns % NS_PER_S));
	char text[TIME_TEXT_MAX];

	*ret = value_string_copy(call->arena, text, time_print(text, &t));
	return true;
}

static bool unix_seconds(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_int(clock_wall_ns() / NS_PER_S);
	return true;
}

static bool unix_milli(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_int(clock_wall_ns() / NS_PER_MS);
	return true;
}

static bool unix_micro(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_int(clock_wall_ns() / NS_PER_US);
	return true;
}

static bool unix_nano(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_int(clock_wall_ns());
	return true;
}

static bool uuid_v4(struct call *call, struct value *ret)
{
	char text[37];

	*ret = value_string_copy(call->arena, random_uuid(text), sizeof text - 1);
	return true;
}

const struct bloblang_row rows_functions_core[] = {
    {.name = "deleted",
     .kind = FUNCTION,
     .flags = ROW_FOLD,
     .evaluate = deleted,
     .annotate = annotate_deleted,
     .summary = "Marks its target for deletion: a field, an element, a variable, a metadata key, or the message."},
    {.name = "nothing",
     .kind = FUNCTION,
     .status = HIDDEN,
     .flags = ROW_FOLD,
     .evaluate = nothing,
     .annotate = annotate_nothing,
     .summary = "Makes the assignment around it do nothing."},
    {.name = "throw",
     .kind = FUNCTION,
     .parameters = {{"why", PARAM_STRING, false, NULL}},
     .evaluate = throw,
     .summary = "Fails with the given text."},
    {.name = "var",
     .kind = FUNCTION,
     .status = HIDDEN,
     .parameters = {{"name", PARAM_STRING, false, NULL}},
     .evaluate = variable,
     .annotate = annotate_variable,
     .summary = "The variable of a name, which may be computed."},
    {.name = "now", .kind = FUNCTION, .evaluate = now, .summary = "The local time as RFC 3339 text."},
    {.name = "timestamp_unix", .kind = FUNCTION, .evaluate = unix_seconds, .summary = "Seconds since 1970."},
    {.name = "timestamp_unix_milli", .kind = FUNCTION, .evaluate = unix_milli, .summary = "Milliseconds since 1970."},
    {.name = "timestamp_unix_micro", .kind = FUNCTION, .evaluate = unix_micro, .summary = "Microseconds since 1970."},
    {.name = "timestamp_unix_nano", .kind = FUNCTION, .evaluate = unix_nano, .summary = "Nanoseconds since 1970."},
    {.name = "uuid_v4", .kind = FUNCTION, .evaluate = uuid_v4, .summary = "A random UUID in lower case."},
    {.name = NULL},
};
