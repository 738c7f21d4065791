/*
 * Methods on instants and durations.
 *
 * Invariants:
 * 1. Every row is ROW_FOLD: no method here looks at the clock or at the message.
 * 2. What is prepared is a zone, null for none, or a period, as the row's .prepare makes it.
 * 3. A deprecated name has the evaluator of the new one.
 */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "bloblang/golang/gotime.h"
#include "bloblang/golang/period.h"
#include "bloblang/language/function.h"

/* The optional argument i as a zone, prepared; null when it was not given. */
static bool take_zone(struct call *call, size_t i)
{
	struct value name = call->args[i];
	const struct zone *zone;

	if (name.kind != VALUE_STRING)
		return true;
	zone = zone_find(name.text, name.length);
	if (!zone)
		return call_fail_final(call, "failed to parse timezone location name: unknown time zone %.*s",
		                       (int)name.length, name.text);
	call->prepared = zone;
	return true;
}

static bool prepare_format(struct call *call) { return take_zone(call, 1); }
static bool prepare_zone(struct call *call) { return take_zone(call, 0); }

static bool target_in_zone(struct call *call, struct value_time *ret)
{
	if (!call_need_time(call, call->target, ret))
		return false;
	if (call->prepared)
		*ret = gotime_in_zone(ret, call->prepared);
	return true;
}

static bool ts_format(struct call *call, struct value *ret)
{
	struct value_time t;
	struct text out;

	if (!target_in_zone(call, &t))
		return false;
	text_init(&out, call->arena);
	gotime_format(&out, &t, call->args[0].text, call->args[0].length);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

static bool ts_strftime(struct call *call, struct value *ret)
{
	struct value_time t;
	struct text out;

	if (!target_in_zone(call, &t))
		return false;
	text_init(&out, call->arena);
	gotime_strftime(&out, &t, call->args[0].text, call->args[0].length);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

static bool ts_tz(struct call *call, struct value *ret)
{
	struct value_time t;

	if (!target_in_zone(call, &t))
		return false;
	*ret = value_timestamp(call->arena, &t);
	return true;
}

typedef bool parser(struct arena *a, const char *format, size_t format_length, const char *value, size_t value_length,
                    struct value_time *ret, const char **ret_error);

static bool parse_with(struct call *call, parser *parse, struct value_time *ret)
{
	struct value text;
	const char *error;

	if (!call_need_string(call, call->target, &text))
		return false;
	if (!parse(call->arena, call->args[0].text, call->args[0].length, text.text, text.length, ret, &error))
		return call_fail(call, "%s", error);
	return true;
}

static bool ts_parse(struct call *call, struct value *ret)
{
	struct value_time t;

	if (!parse_with(call, gotime_parse, &t))
		return false;
	*ret = value_timestamp(call->arena, &t);
	return true;
}

static bool ts_strptime(struct call *call, struct value *ret)
{
	struct value_time t;

	if (!parse_with(call, gotime_strptime, &t))
		return false;
	*ret = value_timestamp(call->arena, &t);
	return true;
}

static bool as_rfc3339(struct call *call, const struct value_time *t, struct value *ret)
{
	struct text out;

	text_init(&out, call->arena);
	gotime_format(&out, t, GOTIME_RFC3339_NANO, sizeof GOTIME_RFC3339_NANO - 1);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

static bool parse_timestamp(struct call *call, struct value *ret)
{
	struct value_time t;

	return parse_with(call, gotime_parse, &t) && as_rfc3339(call, &t, ret);
}

static bool parse_timestamp_strptime(struct call *call, struct value *ret)
{
	struct value_time t;

	return parse_with(call, gotime_strptime, &t) && as_rfc3339(call, &t, ret);
}

/* Units since the epoch, rounded down; wraps like the reference. */
static bool unix_units(struct call *call, int64_t per_second, struct value *ret)
{
	struct value_time t;

	if (!call_need_time(call, call->target, &t))
		return false;
	*ret = value_int((int64_t)((uint64_t)t.seconds * (uint64_t)per_second +
	                           (uint64_t)(t.nanoseconds / (NS_PER_S / per_second))));
	return true;
}

static bool ts_unix(struct call *call, struct value *ret) { return unix_units(call, 1, ret); }
static bool ts_unix_milli(struct call *call, struct value *ret) { return unix_units(call, 1000, ret); }
static bool ts_unix_micro(struct call *call, struct value *ret) { return unix_units(call, 1000000, ret); }
static bool ts_unix_nano(struct call *call, struct value *ret) { return unix_units(call, NS_PER_S, ret); }

static bool ts_round(struct call *call, struct value *ret)
{
	struct value_time t;

	if (!call_need_time(call, call->target, &t))
		return false;
	t = gotime_round(&t, call->args[0].integer);
	*ret = value_timestamp(call->arena, &t);
	return true;
}

static bool ts_sub(struct call *call, struct value *ret)
{
	struct value_time t;

	if (!call_need_time(call, call->target, &t))
		return false;
	*ret = value_int(gotime_sub_ns(&t, call->args[0].time));
	return true;
}

static bool prepare_period(struct call *call)
{
	struct period *p = arena_alloc(call->arena, sizeof *p);
	const char *error;

	if (!period_parse(call->arena, call->args[0].text, call->args[0].length, p, &error))
		return call_fail_final(call, "%s", error);
	call->prepared = p;
	return true;
}

static bool add_period(struct call *call, bool subtract, struct value *ret)
{
	struct value_time t;

	if (!call_need_time(call, call->target, &t))
		return false;
	must(call->prepared);
	t = period_add(call->prepared, &t, subtract);
	*ret = value_timestamp(call->arena, &t);
	return true;
}

static bool ts_add_iso8601(struct call *call, struct value *ret) { return add_period(call, false, ret); }
static bool ts_sub_iso8601(struct call *call, struct value *ret) { return add_period(call, true, ret); }

static bool parse_duration(struct call *call, struct value *ret)
{
	struct value text;
	const char *error;
	int64_t ns;

	if (!call_need_string(call, call->target, &text))
		return false;
	if (!period_parse_duration(call->arena, text.text, text.length, &ns, &error))
		return call_fail(call, "%s", error);
	*ret = value_int(ns);
	return true;
}

static bool parse_duration_iso8601(struct call *call, struct value *ret)
{
	struct value text;
	struct period p;
	const char *error;

	if (!call_need_string(call, call->target, &text))
		return false;
	if (!period_parse(call->arena, text.text, text.length, &p, &error))
		return call_fail(call, "%s", error);
	*ret = value_int(period_ns(&p));
	return true;
}

/* clang-format off */
#define TIME_METHOD(name_, status_, evaluate_, summary_, ...) \
	{.name = name_, .kind = METHOD, .status = status_, .flags = ROW_PLAIN | ROW_FOLD, .evaluate = evaluate_, \
	 .summary = summary_, __VA_ARGS__}
#define FORMAT_PARAMETERS .parameters = {{"format", PARAM_STRING, false, "\"" GOTIME_RFC3339_NANO "\""}, \
	{"tz", PARAM_STRING, true, NULL}}, .prepare = prepare_format
#define STRFTIME_PARAMETERS .parameters = {{"format", PARAM_STRING, false, NULL}, \
	{"tz", PARAM_STRING, true, NULL}}, .prepare = prepare_format
#define PARSE_PARAMETERS .parameters = {{"format", PARAM_STRING, false, NULL}}

const struct bloblang_row rows_methods_time[] = {
	TIME_METHOD("ts_format", BETA, ts_format, "Formats a timestamp by a Go layout, optionally in a zone.", FORMAT_PARAMETERS),
	TIME_METHOD("format_timestamp", DEPRECATED, ts_format, "The old name of ts_format.", FORMAT_PARAMETERS),
	TIME_METHOD("ts_strftime", BETA, ts_strftime, "Formats a timestamp by a strftime format, optionally in a zone.", STRFTIME_PARAMETERS),
	TIME_METHOD("format_timestamp_strftime", DEPRECATED, ts_strftime, "The old name of ts_strftime.", STRFTIME_PARAMETERS),
	TIME_METHOD("ts_tz", BETA, ts_tz, "The same instant in another IANA zone.", .parameters = {{"tz", PARAM_STRING, false, NULL}}, .prepare = prepare_zone),
	TIME_METHOD("ts_parse", BETA, ts_parse, "Reads a timestamp by a Go layout.", PARSE_PARAMETERS),
	TIME_METHOD("ts_strptime", BETA, ts_strptime, "Reads a timestamp by a strptime format.", PARSE_PARAMETERS),
	TIME_METHOD("parse_timestamp", DEPRECATED, parse_timestamp, "Like ts_parse, but yields an RFC 3339 string.", PARSE_PARAMETERS),
	TIME_METHOD("parse_timestamp_strptime", DEPRECATED, parse_timestamp_strptime, "Like ts_strptime, but yields an RFC 3339 string.", PARSE_PARAMETERS),
	TIME_METHOD("ts_unix", BETA, ts_unix, "Seconds since the epoch.", .prepare = NULL),
	TIME_METHOD("ts_unix_milli", BETA, ts_unix_milli, "Milliseconds since the epoch.", .prepare = NULL),
	TIME_METHOD("ts_unix_micro", BETA, ts_unix_micro, "Microseconds since the epoch.", .prepare = NULL),
	TIME_METHOD("ts_unix_nano", BETA, ts_unix_nano, "Nanoseconds since the epoch.", .prepare = NULL),
	TIME_METHOD("format_timestamp_unix", DEPRECATED, ts_unix, "The old name of ts_unix.", .prepare = NULL),
	TIME_METHOD("format_timestamp_unix_milli", DEPRECATED, ts_unix_milli, "The old name of ts_unix_milli.", .prepare = NULL),
	TIME_METHOD("format_timestamp_unix_micro", DEPRECATED, ts_unix_micro, "The old name of ts_unix_micro.", .prepare = NULL),
	TIME_METHOD("format_timestamp_unix_nano", DEPRECATED, ts_unix_nano, "The old name of ts_unix_nano.", .prepare = NULL),
	TIME_METHOD("ts_round", BETA, ts_round, "Rounds to a multiple of a number of nanoseconds, half up.", .parameters = {{"duration", PARAM_INT, false, NULL}}),
	TIME_METHOD("ts_sub", BETA, ts_sub, "The signed difference to another timestamp in nanoseconds.", .parameters = {{"t2", PARAM_TIMESTAMP, false, NULL}}),
	TIME_METHOD("ts_add_iso8601", BETA, ts_add_iso8601, "Adds an ISO 8601 period by the calendar.", .parameters = {{"duration", PARAM_STRING, false, NULL}}, .prepare = prepare_period),
	TIME_METHOD("ts_sub_iso8601", BETA, ts_sub_iso8601, "Subtracts an ISO 8601 period by the calendar.", .parameters = {{"duration", PARAM_STRING, false, NULL}}, .prepare = prepare_period),
	TIME_METHOD("parse_duration", STABLE, parse_duration, "Nanoseconds of a Go duration text.", .prepare = NULL),
	TIME_METHOD("parse_duration_iso8601", BETA, parse_duration_iso8601, "Nanoseconds of an ISO 8601 period, on average lengths.", .prepare = NULL),
	{.name = NULL},
};
/* clang-format on */
