/* Functions of the family "message": what is known of the message and its batch. */
#include <string.h>

#include "value/json.h"
#include "value/path.h"
#include "bloblang/language/function.h"

static bool batch_index(struct call *call, struct value *ret)
{
	*ret = value_int(call_batch_index(call));
	return true;
}

static bool batch_size(struct call *call, struct value *ret)
{
	*ret = value_int((int64_t)call_batch_count(call));
	return true;
}

static bool content(struct call *call, struct value *ret)
{
	const struct message *m = call_message(call);

	*ret = m ? value_bytes(message_body(m), m->body_bytes) : value_no_bytes();
	return true;
}

static bool error_text(struct call *call, struct value *ret)
{
	const struct message *m = call_message(call);

	*ret = m && m->failure ? value_literal(m->failure->reason) : value_null();
	return true;
}

static bool errored(struct call *call, struct value *ret)
{
	const struct message *m = call_message(call);

	*ret = value_bool(m && m->failure);
	return true;
}

static const char *annotate_json(struct call *call)
{
	if (!call->args)
		return NULL;
	return arena_format(call->arena, "json path `%.*s`", (int)call->args[0].length, call->args[0].text);
}

static const char *annotate_key(struct call *call, const char *name)
{
	if (!call->args)
		return NULL;
	if (call->args[0].length == 0)
		return arena_format(call->arena, "%s object", name);
	return arena_format(call->arena, "%s field %.*s", name, (int)call->args[0].length, call->args[0].text);
}

static const char *annotate_meta(struct call *call) { return annotate_key(call, "meta"); }

static const char *annotate_root_meta(struct call *call) { return annotate_key(call, "root_meta"); }

static const char *annotate_metadata(struct call *call) { return annotate_key(call, "metadata"); }

/* The path of json(), split once. */
static bool prepare_json(struct call *call)
{
	struct path *path = arena_alloc(call->arena, sizeof *path);

	*path = (struct path){0};
	if (call->args[0].length != 0)
		path->steps = path_split(call->arena, call->args[0].text, call->args[0].length, &path->count);
	for (size_t i = 0; i < path->count; i++)
		path->has_each = path->has_each || (path->steps[i].length == 1 && path->steps[i].text[0] == '*');
	call->prepared = path;
	return true;
}

static bool json(struct call *call, struct value *ret)
{
	const char *error;

	if (call_document(call, call->prepared, ret, &error)) {
		*ret = value_normal(*ret); /* a number by itself is computed, as in the reference */
		return true;
	}
	return call_fail(call, "%s", error ? error : "target message part does not exist");
}

/* A metadata value as the text-only readers see it: containers as plain JSON. */
static bool meta_text(struct call *call, struct value v, struct value *ret)
{
	static const struct json_style style = {0};
	const char *error;
	struct text t;

	text_init(&t, call->arena);
	if (v.kind == VALUE_ARRAY || v.kind == VALUE_OBJECT ? !json_print(&t, v, &style, &error)
	                                                    : !value_print_text(&t, v, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&t, VALUE_STRING);
	return true;
}

static bool all_texts(struct call *call, struct value meta, struct value *ret)
{
	*ret = value_object(call->arena, value_count(meta));
	for (uint32_t i = 0; i < meta.object->count; i++) {
		const struct value_pair *pair = &meta.object->pairs[i];
		struct value text = value_null();

		if (!meta_text(call, pair->value, &text))
			return false;
		value_object_append(call->arena, *ret, pair->key, pair->key_length, text);
	}
	return true;
}

/* Text of a key; missing and empty are null. */
static bool one_text(struct call *call, struct value meta, struct value *ret)
{
	const struct value *v = value_object_find(meta, call->args[0].text, call->args[0].length);

	if (v && !meta_text(call, *v, ret))
		return false;
	if (!v || ret->length == 0)
		*ret = value_null();
	return true;
}

static bool meta_function(struct call *call, struct value *ret)
{
	struct value meta = call_meta(call);

	return call->args[0].length == 0 ? all_texts(call, meta, ret) : one_text(call, meta, ret);
}

static bool root_meta(struct call *call, struct value *ret)
{
	struct value meta = call_new_meta(call);

	return call->args[0].length == 0 ? all_texts(call, meta, ret) : one_text(call, meta, ret);
}

static bool metadata(struct call *call, struct value *ret)
{
	struct value meta = call_meta(call);
	const struct value *v;

	if (call->args[0].length == 0) {
		*ret = meta;
		return true;
	}
	v = value_object_find(meta, call->args[0].text, call->args[0].length);
	*ret = v ? *v : value_null();
	return true;
}

#define KEY                                        \
	{                                          \
		"key", PARAM_STRING, false, "\"\"" \
	}

/* Messages carry no trace spans. */
static bool no_spans(struct call *call, struct value *ret)
{
	*ret = value_object(call->arena, 0);
	return true;
}

/* The component that failed the message, as the pipeline noted it; null when none did. */
static const struct message_source *failed_at(struct call *call)
{
	const struct message *m = call_message(call);

	return m && m->failure ? m->failure->at : NULL;
}

static struct value text_or_null(const char *text) { return text ? value_literal(text) : value_null(); }

static bool source_label(struct call *call, struct value *ret)
{
	const struct message_source *at = failed_at(call);

	*ret = text_or_null(at ? at->label : NULL);
	return true;
}

static bool source_name(struct call *call, struct value *ret)
{
	const struct message_source *at = failed_at(call);

	*ret = text_or_null(at ? at->name : NULL);
	return true;
}

static bool source_path(struct call *call, struct value *ret)
{
	const struct message_source *at = failed_at(call);

	*ret = text_or_null(at ? at->path : NULL);
	return true;
}

static bool no_trace(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_literal("00000000000000000000000000000000");
	return true;
}

/* clang-format off */
const struct bloblang_row rows_functions_message[] = {
	{.name = "batch_index", .kind = FUNCTION, .flags = ROW_READS_MESSAGE | ROW_READS_BATCH | ROW_VARIES, .evaluate = batch_index,
	 .summary = "The position of the message in its batch, from 0."},
	{.name = "batch_size", .kind = FUNCTION, .flags = ROW_READS_MESSAGE | ROW_READS_BATCH | ROW_VARIES, .evaluate = batch_size,
	 .summary = "The number of messages in the batch."},
	{.name = "content", .kind = FUNCTION, .flags = ROW_READS_MESSAGE, .evaluate = content,
	 .summary = "The raw bytes of the message."},
	{.name = "error", .kind = FUNCTION, .flags = ROW_READS_MESSAGE, .evaluate = error_text,
	 .summary = "Why an earlier processor failed on the message; null when none did."},
	{.name = "errored", .kind = FUNCTION, .flags = ROW_READS_MESSAGE, .evaluate = errored,
	 .summary = "True when an earlier processor failed on the message."},
	{.name = "json", .kind = FUNCTION, .flags = ROW_READS_MESSAGE | ROW_READS_DOCUMENT, .evaluate = json,
	 .prepare = prepare_json, .annotate = annotate_json, .parameters = {{"path", PARAM_STRING, false, "\"\""}},
	 .summary = "The message as JSON, or what lies at a dot path of it."},
	{.name = "meta", .kind = FUNCTION, .status = DEPRECATED, .flags = ROW_READS_MESSAGE,
	 .evaluate = meta_function, .annotate = annotate_meta, .parameters = {{"key", PARAM_STRING, false, "\"\""}},
	 .summary = "A metadata value of the source message as text; null when missing or empty."},
	{.name = "root_meta", .kind = FUNCTION, .status = DEPRECATED, .flags = ROW_READS_MESSAGE,
	 .evaluate = root_meta, .annotate = annotate_root_meta, .parameters = {{"key", PARAM_STRING, false, "\"\""}},
	 .summary = "As meta, of the message being made."},
	{.name = "metadata", .kind = FUNCTION, .flags = ROW_READS_MESSAGE, .evaluate = metadata,
	 .annotate = annotate_metadata, .parameters = {{"key", PARAM_STRING, false, "\"\""}},
	 .summary = "A metadata value of the source message with its own type; null when missing."},
	{.name = "error_source_label", .kind = FUNCTION, .flags = ROW_READS_MESSAGE, .evaluate = source_label,
	 .summary = "The label of the component that failed the message; null when none did."},
	{.name = "error_source_name", .kind = FUNCTION, .flags = ROW_READS_MESSAGE, .evaluate = source_name,
	 .summary = "The type of the component that failed the message; null when none did."},
	{.name = "error_source_path", .kind = FUNCTION, .flags = ROW_READS_MESSAGE, .evaluate = source_path,
	 .summary = "The path of the component that failed the message; null when none did."},
	{.name = "tracing_id", .kind = FUNCTION, .status = EXPERIMENTAL, .flags = ROW_READS_MESSAGE,
	 .evaluate = no_trace, .summary = "The trace id; zeros: messages carry no spans."},
	{.name = "tracing_span", .kind = FUNCTION, .status = EXPERIMENTAL, .flags = ROW_READS_MESSAGE,
	 .evaluate = no_spans, .summary = "The trace headers; none: messages carry no spans."},
	{.name = NULL},
};
/* clang-format on */
