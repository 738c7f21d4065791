/* Methods that read text formats: CSV, logfmt, URLs and form bodies. */
#include <string.h>

#include "base/utf8.h"
#include "bloblang/formats/csv.h"
#include "bloblang/formats/url.h"
#include "bloblang/language/function.h"

static bool prepare_csv(struct call *call)
{
	struct value delimiter = call->args[1];

	return utf8_count(delimiter.text, delimiter.length) == 1 ||
	       call_fail_final(call, "delimiter value must be exactly one character");
}

static struct value row_object(struct call *call, struct value headers, struct value row)
{
	struct value object = value_object(call->arena, value_count(row));

	for (uint32_t i = 0; i < value_count(row); i++) {
		struct value key = headers.array->items[i];

		value_object_append(call->arena, object, key.text, key.length, row.array->items[i]);
	}
	value_object_sort(object);
	return object;
}

static bool parse_csv(struct call *call, struct value *ret)
{
	struct value in, rows, delimiter = call->args[1];
	struct csv_options options = {.lazy_quotes = call->args[2].boolean};
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	(void)utf8_decode(delimiter.text, delimiter.text + delimiter.length, &options.delimiter, NULL);
	if (!csv_parse(call->arena, in.text, in.length, &options, &rows, &error))
		return call_fail(call, "%s", error);
	if (value_count(rows) == 0)
		return call_fail(call, "zero records were parsed");
	if (!call->args[0].boolean) {
		*ret = rows;
		return true;
	}
	*ret = value_array(call->arena, value_count(rows));
	for (uint32_t i = 1; i < value_count(rows); i++) {
		value_array_push(call->arena, *ret, row_object(call, rows.array->items[0], rows.array->items[i]));
		if (call_spent(call))
			return false;
	}
	return true;
}

static bool parse_logfmt(struct call *call, struct value *ret)
{
	struct value in;
	const char *error;

	if (!call_need_string(call, call->target, &in))
		return false;
	return logfmt_parse(call->arena, in.text, in.length, ret, &error) || call_fail(call, "%s", error);
}

static bool parse_url(struct call *call, struct value *ret)
{
	struct value in;
	const char *error;

	if (!call_need_string(call, call->target, &in))
		return false;
	return url_parse(call->arena, in.text, in.length, ret, &error) || call_fail(call, "%s", error);
}

static bool parse_form_url_encoded(struct call *call, struct value *ret)
{
	struct value in;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	return url_parse_form(call->arena, in.text, in.length, ret, &error) ||
	       call_fail(call, "failed to parse value as url-encoded data: %s", error);
}

/* clang-format off */
const struct bloblang_row rows_methods_parse[] = {
	{.name = "parse_csv", .kind = METHOD, .status = STABLE, .evaluate = parse_csv, .prepare = prepare_csv,
	 .parameters = {{"parse_header_row", PARAM_BOOL, false, "true"}, {"delimiter", PARAM_STRING, false, "\",\""},
	                {"lazy_quotes", PARAM_BOOL, false, "false"}},
	 .summary = "Rows of CSV as objects by the header row, or as arrays."},
	{.name = "parse_logfmt", .kind = METHOD, .status = STABLE, .evaluate = parse_logfmt,
	 .summary = "The key=value pairs of a logfmt line."},
	{.name = "parse_url", .kind = METHOD, .status = STABLE, .evaluate = parse_url,
	 .summary = "The parts of a URL as an object."},
	{.name = "parse_form_url_encoded", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN,
	 .evaluate = parse_form_url_encoded, .summary = "A form body as an object."},
	{.name = NULL},
};
/* clang-format on */
