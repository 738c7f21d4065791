/* Arguments as the kinds their parameters ask for. */
#include "value/time.h"
#include "bloblang/language/eval_internal.h"

bool coerce_argument(struct evaluation *ev, const struct bloblang_parameter *parameter, struct value v,
                     struct value *ret)
{
	static const char *const names[] = {
	    [PARAM_STRING] = "string", [PARAM_ARRAY] = "array", [PARAM_OBJECT] = "object"};
	struct value_time time;
	const char *error;
	int64_t i;
	double d;
	bool b;

	*ret = v;
	switch (parameter->kind) {
	case PARAM_STRING:
		if (!value_is_text(v))
			break;
		ret->kind = VALUE_STRING;
		return true;
	case PARAM_INT:
		if (!value_to_int(v, &i)) {
			error = failure_number(ev->arena, v, "ParseInt");
			return error ? failure_set(ev, FAILURE_PLAIN, error) : failure_type(ev, v, "number", NULL);
		}
		*ret = value_int(i);
		return true;
	case PARAM_FLOAT:
		if (!value_to_float(v, &d))
			return failure_type(ev, v, "number", NULL);
		*ret = value_float(d);
		return true;
	case PARAM_BOOL:
		if (!eval_truth(ev, v, &b))
			return false;
		*ret = value_bool(b);
		return true;
	case PARAM_TIMESTAMP:
		if (!time_from_value(ev->arena, v, &time, &error))
			return error ? failure_set(ev, FAILURE_PLAIN, error)
			             : failure_type(ev, v, "number or string", NULL);
		*ret = value_timestamp(ev->arena, &time);
		return true;
	case PARAM_ARRAY:
		if (v.kind != VALUE_ARRAY)
			break;
		return true;
	case PARAM_OBJECT:
		if (v.kind != VALUE_OBJECT)
			break;
		return true;
	case PARAM_ANY:
	case PARAM_QUERY:
	case PARAM_QUERY_OR_VALUE:
		return true;
	}
	return failure_format(ev, "wrong argument type, expected %s, got %s", names[parameter->kind],
	                      value_type_name(v));
}
