/* Methods on regular expressions: RE2's syntax (regex.h). */
#include <string.h>

#include "base/buf.h"
#include "bloblang/golang/regex.h"
#include "bloblang/language/function.h"

static bool prepare_regex(struct call *call)
{
	char fault[REGEX_FAULT_MAX];

	call->owned = regex_compile(call->arena, call->args[0].text, call->args[0].length, fault);
	call->prepared = call->owned;
	return call->owned || call_fail_final(call, "%s", fault);
}

static void release_regex(void *prepared) { regex_free(prepared); }

static bool fail_limit(struct call *call)
{
	return call_fail(call, "the regular expression took too long on this text");
}

static bool re_match(struct call *call, struct value *ret)
{
	enum regex_result found;
	struct value text;

	if (!call_need_text(call, call->target, &text))
		return false;
	found = regex_test(call->prepared, call->arena, text.text, text.length);
	*ret = value_bool(found == REGEX_MATCH);
	return found != REGEX_LIMIT || fail_limit(call);
}

static bool re_replace_all(struct call *call, struct value *ret)
{
	struct value text, with = call->args[1];
	struct text out;
	enum err err;

	if (!call_need_text(call, call->target, &text))
		return false;
	text_init(&out, call->arena);
	err = regex_replace_all(call->prepared, text.text, text.length, with.text, with.length, &out);
	if (err == ERR_INPUT)
		return fail_limit(call);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

static struct value span_text(struct value text, struct regex_span span)
{
	return span.start == SIZE_MAX ? value_literal("") : value_string(text.text + span.start, span.end - span.start);
}

/* As the text is: of bytes bytes, and a group that took no part is Go's slice of nothing. */
static struct value span_of(struct value text, struct regex_span span)
{
	if (text.kind != VALUE_BYTES)
		return span_text(text, span);
	if (span.start == SIZE_MAX)
		return value_no_bytes();
	return value_bytes(text.text + span.start, span.end - span.start);
}

/* Groups by name, or by number where they have none. */
static struct value groups_object(struct call *call, const struct regex *re, struct value text,
                                  const struct regex_span *spans)
{
	struct value object = value_object(call->arena, regex_groups(re) + 1);

	for (uint32_t i = 0; i <= regex_groups(re); i++) {
		const char *name = regex_group_name(re, i);

		if (*name)
			name = arena_copy(call->arena, name, strlen(name)); /* the regex may go before the value */
		else
			name = arena_format(call->arena, "%u", i);
		value_object_set(call->arena, object, name, strlen(name), span_of(text, spans[i]));
	}
	return object;
}

static struct value groups_array(struct call *call, const struct regex *re, struct value text,
                                 const struct regex_span *spans)
{
	struct value array = value_array(call->arena, regex_groups(re) + 1);

	for (uint32_t i = 0; i <= regex_groups(re); i++)
		value_array_push(call->arena, array, span_text(text, spans[i]));
	return array;
}

static struct value whole_match(struct call *call, const struct regex *re, struct value text,
                                const struct regex_span *spans)
{
	(void)call;
	(void)re;
	return span_text(text, spans[0]);
}

typedef struct value shape(struct call *call, const struct regex *re, struct value text,
                           const struct regex_span *spans);

static bool find_all(struct call *call, shape *make, struct value *ret)
{
	struct regex_walk *w;
	const struct regex_span *spans;
	enum regex_result r;
	struct value text;
	bool spent = false;

	if (!call_need_text(call, call->target, &text))
		return false;
	*ret = value_array(call->arena, 4);
	w = regex_walk_new(call->prepared, call->arena, text.text, text.length);
	while (!spent && (r = regex_walk_next(w, &spans)) == REGEX_MATCH) {
		value_array_push(call->arena, *ret, make(call, call->prepared, text, spans));
		spent = call_spent(call);
	}
	if (spent)
		return false;
	return r != REGEX_LIMIT || fail_limit(call);
}

static bool re_find_all(struct call *call, struct value *ret) { return find_all(call, whole_match, ret); }
static bool re_find_all_submatch(struct call *call, struct value *ret) { return find_all(call, groups_array, ret); }
static bool re_find_all_object(struct call *call, struct value *ret) { return find_all(call, groups_object, ret); }

static bool re_find_object(struct call *call, struct value *ret)
{
	struct regex_walk *w;
	const struct regex_span *spans;
	enum regex_result r;
	struct value text;

	if (!call_need_text(call, call->target, &text))
		return false;
	w = regex_walk_new(call->prepared, call->arena, text.text, text.length);
	r = regex_walk_next(w, &spans);
	*ret = r == REGEX_MATCH ? groups_object(call, call->prepared, text, spans) : value_object(call->arena, 0);
	return r != REGEX_LIMIT || fail_limit(call);
}

/* clang-format off */
#define REGEX_METHOD(name_, evaluate_, summary_, ...) \
	{.name = name_, .kind = METHOD, .status = STABLE, .evaluate = evaluate_, .prepare = prepare_regex, \
	 .release = release_regex, .summary = summary_, .parameters = {{"pattern", PARAM_STRING, false, NULL}, __VA_ARGS__}}

const struct bloblang_row rows_methods_regex[] = {
	REGEX_METHOD("re_match", re_match, "True if the pattern occurs anywhere in the text.", {NULL}),
	REGEX_METHOD("re_replace_all", re_replace_all, "Replaces every match by a template.", {"value", PARAM_STRING, false, NULL}),
	REGEX_METHOD("re_replace", re_replace_all, "The same as re_replace_all.", {"value", PARAM_STRING, false, NULL}),
	REGEX_METHOD("re_find_all", re_find_all, "All non-overlapping matches.", {NULL}),
	REGEX_METHOD("re_find_all_submatch", re_find_all_submatch, "Each match as an array of the match and its groups.", {NULL}),
	REGEX_METHOD("re_find_object", re_find_object, "The groups of the first match as an object.", {NULL}),
	REGEX_METHOD("re_find_all_object", re_find_all_object, "The groups of each match as objects.", {NULL}),
	{.name = NULL},
};
/* clang-format on */
