#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "value/time.h"
#include "bloblang/language/node.h"

bool call_coerce(struct evaluation *ev, const struct bloblang_parameter *parameter, struct value v, struct value *ret)
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
		if (!value_to_int(v, &i))
			return fail_type(ev, v, "number", NULL);
		*ret = value_int(i);
		return true;
	case PARAM_FLOAT:
		if (!value_to_float(v, &d))
			return fail_type(ev, v, "number", NULL);
		*ret = value_float(d);
		return true;
	case PARAM_BOOL:
		if (!value_truth(ev, v, &b))
			return false;
		*ret = value_bool(b);
		return true;
	case PARAM_TIMESTAMP:
		if (!time_from_value(ev->arena, v, &time, &error))
			return error ? fail_with(ev, FAILURE_PLAIN, error) : fail_type(ev, v, "number or string", NULL);
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
	return fail_format(ev, "wrong argument type, expected %s, got %s", names[parameter->kind], value_type_name(v));
}

static bool fail_argument(struct evaluation *ev, const struct call_site *site, const char *name)
{
	return fail_wrap(ev, "%s '%s': failed to extract input arg '%s'", site->target ? "method" : "function",
	                 site->row->name, name);
}

/* Evaluates the arguments that are not literal, in the caller's context. */
static bool resolve_arguments(struct evaluation *ev, const struct context *ctx, const struct call_site *site,
                              struct value *args)
{
	static const struct bloblang_parameter any = {.kind = PARAM_ANY};
	bool variadic = (site->row->flags & ROW_VARIADIC) != 0;
	char number[16];
	size_t dynamic = 0;

	for (size_t i = 0; i < site->arg_count; i++) {
		const struct bloblang_parameter *parameter = variadic ? &any : &site->row->parameters[i];
		const char *name = parameter->name;
		struct value v;

		args[i] = site->values[i];
		if (!site->args[i] || parameter->kind == PARAM_QUERY || parameter->kind == PARAM_QUERY_OR_VALUE)
			continue;
		if (variadic) {
			(void)snprintf(number, sizeof number, "%zu", dynamic);
			name = number;
		}
		dynamic++;
		if (!eval(ev, ctx, site->args[i], &v))
			return fail_argument(ev, site, name);
		if (!call_coerce(ev, parameter, v, &args[i]))
			return fail_argument(ev, site, name);
	}
	return true;
}

static bool run_call(struct call *call, const struct call_site *site, struct value *ret)
{
	struct evaluation *ev = call->evaluation;
	bool lazy = (site->row->flags & ROW_LAZY) != 0;

	if (site->target && !lazy && !eval(ev, call->context, site->target, &call->target))
		return false;
	if (site->row->evaluate(call, ret))
		return !evaluation_spent(ev);
	if (site->target && (site->row->flags & ROW_PLAIN) == 0)
		return fail_annotate(ev, site->target);
	return false;
}

bool eval_call(struct evaluation *ev, const struct context *ctx, const struct call_site *site, struct value *ret)
{
	struct call call = {
	    .evaluation = ev,
	    .arena = ev->arena,
	    .args = site->values,
	    .arg_count = site->arg_count,
	    .prepared = site->prepared,
	    .owned = site->owned,
	    .site = site,
	    .context = ctx,
	};
	struct value small[ROW_PARAMETERS_MAX];
	struct value *args = small;
	bool done;

	if (!site->dynamic)
		return run_call(&call, site, ret);
	if (site->arg_count > ROW_PARAMETERS_MAX)
		args = arena_alloc(ev->arena, site->arg_count * sizeof *args);
	if (!resolve_arguments(ev, ctx, site, args))
		return false;
	call.args = args;
	if (site->row->prepare && !site->row->prepare(&call))
		return false;
	done = run_call(&call, site, ret);
	if (call.owned)
		site->row->release(call.owned);
	return done;
}

bool call_site_prepare(struct evaluation *ev, struct call_site *site)
{
	struct context ctx = {0};
	struct call call = {
	    .evaluation = ev,
	    .arena = &site->program->arena,
	    .args = site->values,
	    .arg_count = site->arg_count,
	    .site = site,
	    .context = &ctx,
	};
	struct site_list *entry;

	if (!site->row->prepare(&call))
		return false;
	site->prepared = call.prepared;
	site->owned = call.owned;
	if (site->owned) {
		entry = arena_alloc(&site->program->arena, sizeof *entry);
		*entry = (struct site_list){site, site->program->owners};
		site->program->owners = entry;
	}
	return true;
}

static const char *format_arguments(struct call *call, const char *format, va_list ap)
{
	char *text = NULL;
	const char *copy;

	if (vasprintf(&text, format, ap) < 0)
		abort();
	copy = arena_copy(call->evaluation->arena, text, strlen(text));
	free(text);
	return copy;
}

bool call_fail(struct call *call, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fail_with(call->evaluation, FAILURE_PLAIN, format_arguments(call, format, ap));
	va_end(ap);
	return false;
}

bool call_fail_final(struct call *call, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fail_with(call->evaluation, FAILURE_MISMATCH, format_arguments(call, format, ap));
	va_end(ap);
	return false;
}

bool call_fail_type(struct call *call, struct value v, const char *expected)
{
	return fail_type(call->evaluation, v, expected, NULL);
}

const char *call_type_text(struct call *call, struct value v, const char *expected)
{
	return arena_format(call->arena, "expected %s value, got %s%s", expected, value_type_name(v),
	                    value_remark(call->arena, v));
}

const char *call_failure(struct call *call) { return failure_text(call->evaluation); }

const char *call_annotation(struct call *call)
{
	return call->site->target ? node_annotation(call->arena, call->site->target) : call->site->row->name;
}

bool call_given(const struct call *call, size_t i)
{
	return i < call->arg_count && (call->site->args[i] || call->args[i].kind != VALUE_NOTHING);
}

bool call_is_constant(const struct call *call) { return !call->site->dynamic; }

bool call_query(struct call *call, size_t i, struct value self, struct value *ret)
{
	struct context inner = context_push(call->context, self);

	return eval(call->evaluation, &inner, call->site->args[i], ret);
}

bool call_query_here(struct call *call, size_t i, struct value *ret)
{
	return eval(call->evaluation, call->context, call->site->args[i], ret);
}

bool call_target(struct call *call, struct value *ret)
{
	if (eval(call->evaluation, call->context, call->site->target, ret))
		return true;
	call->evaluation->failure.settled = true;
	return false;
}

const char *call_query_annotation(struct call *call, size_t i)
{
	return node_annotation(call->arena, call->site->args[i]);
}

bool call_spent(struct call *call) { return evaluation_spent(call->evaluation); }

/* A function that looks at messages says so in its row; else a pure mapping could call it. */
static void check_reader(const struct call *call)
{
	must(call->site->row->kind == METHOD || (call->site->row->flags & ROW_NOT_PURE) != 0);
}

const struct message *call_message(struct call *call)
{
	size_t i;

	check_reader(call);
	return view_message(call->evaluation, call->context->index, &i);
}

size_t call_batch_index(struct call *call)
{
	size_t i = 0;

	check_reader(call);
	return view_message(call->evaluation, call->context->index, &i) ? i : (size_t)call->context->index;
}

size_t call_batch_count(struct call *call)
{
	check_reader(call);
	return call->evaluation->batch ? call->evaluation->batch->count : 0;
}

const char *call_folder(struct call *call) { return call->site->program->folder; }

bool call_need_text(struct call *call, struct value v, struct value *ret)
{
	*ret = v;
	return value_is_text(v) || call_fail_type(call, v, "string");
}

bool call_need_string(struct call *call, struct value v, struct value *ret)
{
	char time[TIME_TEXT_MAX];

	if (v.kind == VALUE_TIMESTAMP)
		v = value_string_copy(call->arena, time, time_print(time, v.time));
	return call_need_text(call, v, ret);
}

bool call_need_number(struct call *call, struct value v, struct value *ret)
{
	*ret = value_normal(v);
	return value_is_number(v) || call_fail_type(call, v, "number");
}

bool call_need_float(struct call *call, struct value v, double *ret)
{
	return value_to_float(v, ret) || call_fail_type(call, v, "number");
}

bool call_need_int(struct call *call, struct value v, int64_t *ret)
{
	return value_to_int(v, ret) || call_fail_type(call, v, "number");
}

bool call_need_time(struct call *call, struct value v, struct value_time *ret)
{
	const char *error;

	if (time_from_value(call->arena, v, ret, &error))
		return true;
	return error ? call_fail(call, "%s", error) : call_fail_type(call, v, "number or string");
}
