/* Any value as text: above the printers, which themselves need values. */
#include "base/check.h"
#include "value/json.h"
#include "value/number.h"
#include "value/time.h"
#include "value/value.h"

static void print_number_text(struct text *out, struct value v)
{
	char digits[NUMBER_TEXT_MAX];

	if (v.kind == VALUE_INT)
		text_add(out, digits, number_print_int(digits, v.integer));
	else if (v.kind == VALUE_UINT)
		text_add(out, digits, number_print_uint(digits, v.natural));
	else if (v.bits == 32)
		text_add(out, digits, number_print_json(digits, v.real, 32));
	else
		text_add(out, digits, number_print_text(digits, v.real, 64));
}

void value_print_scalar(struct text *out, struct value v)
{
	char time[TIME_TEXT_MAX];

	switch ((enum value_kind)v.kind) {
	case VALUE_STRING:
	case VALUE_BYTES:
	case VALUE_NUMBER:
		text_add(out, v.text, v.length);
		break;
	case VALUE_INT:
	case VALUE_UINT:
	case VALUE_FLOAT:
		print_number_text(out, v);
		break;
	case VALUE_BOOL:
		text_add_string(out, v.boolean ? "true" : "false");
		break;
	case VALUE_TIMESTAMP:
		text_add(out, time, time_print(time, v.time));
		break;
	case VALUE_NOTHING:
	case VALUE_DELETE:
	case VALUE_NULL:
		text_add_string(out, "null");
		break;
	case VALUE_ARRAY:
	case VALUE_OBJECT:
	case VALUE_KIND_COUNT:
		must(false);
	}
}

bool value_print_text(struct text *out, struct value v, const char **ret_error)
{
	static const struct json_style style = {.escape_html = true, .literal_null = true};

	if (v.kind == VALUE_ARRAY || v.kind == VALUE_OBJECT)
		return json_print(out, v, &style, ret_error);
	value_print_scalar(out, v);
	return true;
}

bool value_to_text(struct arena *a, struct value v, struct value *ret, const char **ret_error)
{
	struct text t;

	if (value_is_text(v) || v.kind == VALUE_NUMBER) {
		*ret = value_string(v.text, v.length);
		return true;
	}
	text_init(&t, a);
	if (!value_print_text(&t, v, ret_error))
		return false;
	*ret = value_from_text(&t, VALUE_STRING);
	return true;
}
