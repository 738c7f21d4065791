#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "value/path.h"
#include "value/time.h"
#include "bloblang/language/eval_internal.h"

bool call_fail(struct call *call, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	failure_set(call->evaluation, FAILURE_PLAIN, arena_vformat(call->evaluation->arena, format, ap));
	va_end(ap);
	return false;
}

bool call_fail_final(struct call *call, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	failure_set(call->evaluation, FAILURE_MISMATCH, arena_vformat(call->evaluation->arena, format, ap));
	va_end(ap);
	return false;
}

bool call_fail_type(struct call *call, struct value v, const char *expected)
{
	return failure_type(call->evaluation, v, expected, NULL);
}

bool call_fail_type_from(struct call *call, struct value v, const char *expected, const char *from)
{
	return failure_type(call->evaluation, v, expected, from);
}

bool call_fail_within(struct call *call, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	failure_wrap(call->evaluation, "%s", arena_vformat(call->evaluation->arena, format, ap));
	va_end(ap);
	return false;
}

bool call_fail_query(struct call *call, size_t i) { return failure_annotate(call->evaluation, call->site->args[i]); }

bool call_fail_settled(struct call *call)
{
	call->evaluation->failure.settled = true;
	return false;
}

bool call_failed_for_good(const struct call *call) { return call->evaluation->failure.final; }

const char *call_type_text(struct call *call, struct value v, const char *expected)
{
	const char *beyond = strcmp(expected, "number") == 0 ? failure_number(call->arena, v, "ParseFloat") : NULL;

	if (beyond)
		return beyond;
	return arena_format(call->arena, "expected %s value, got %s%s", expected, value_type_name(v),
	                    failure_remark(call->arena, v));
}

const char *call_failure(struct call *call) { return failure_text(call->evaluation); }

struct value call_failure_value(struct call *call) { return failure_value(call->evaluation); }

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

	return eval_query(call->evaluation, &inner, call->site->args[i], ret);
}

bool call_query_here(struct call *call, size_t i, struct value *ret)
{
	return eval_query(call->evaluation, call->context, call->site->args[i], ret);
}

bool call_target(struct call *call, struct value *ret)
{
	return eval_query(call->evaluation, call->context, call->site->target, ret) || call_fail_settled(call);
}

bool call_target_at(struct call *call, int64_t index, struct value *ret)
{
	struct context inner = *call->context;

	inner.index = index;
	return eval_query(call->evaluation, &inner, call->site->target, ret) || call_fail_settled(call);
}

bool call_map(struct call *call, struct value name, struct value self, struct value *ret)
{
	return eval_apply(call->evaluation, call->context, self, name.text, name.length, ret);
}

bool call_variable(struct call *call, struct value name, struct value *ret)
{
	struct node n = {.kind = NODE_VARIABLE, .name = name.text, .name_length = name.length};

	return eval_query(call->evaluation, call->context, &n, ret);
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

int64_t call_batch_index(struct call *call)
{
	check_reader(call);
	return call->context->index;
}

size_t call_batch_count(struct call *call)
{
	check_reader(call);
	return call->evaluation->batch ? call->evaluation->batch->count : 0;
}

/* Few readers of the document: the path is sought in its text. */
bool call_document(struct call *call, const struct path *path, struct value *ret, const char **ret_error)
{
	struct evaluation *ev = call->evaluation;

	must((call->site->row->flags & ROW_READS_DOCUMENT) != 0);
	if (path->count != 0 && !path->has_each && !ev->alias && ev->program->document_uses <= SEEK_USES_MAX)
		return view_seek(ev, call->context->index, path, ret, ret_error);
	if (!view_document(ev, call->context->index, ret, ret_error))
		return false;
	if (path->count != 0)
		*ret = path_get(call->arena, *ret, path->steps, path->count, NULL);
	return true;
}

struct value call_meta(struct call *call)
{
	check_reader(call);
	return view_meta(call->evaluation, call->context->index);
}

struct value call_new_meta(struct call *call)
{
	check_reader(call);
	return view_new_meta(call->evaluation);
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
	const char *beyond;

	if (value_to_int(v, ret))
		return true;
	beyond = failure_number(call->arena, v, "ParseInt");
	return beyond ? call_fail(call, "%s", beyond) : call_fail_type(call, v, "number");
}

bool call_need_time(struct call *call, struct value v, struct value_time *ret)
{
	const char *error;

	if (time_from_value(call->arena, v, ret, &error))
		return true;
	return error ? call_fail(call, "%s", error) : call_fail_type(call, v, "number or string");
}
