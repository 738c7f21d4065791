#include <unicase.h>

#include "base/utf8.h"
#include "bloblang/language/function.h"

static const char *find(const char *s, size_t length, const char *needle, size_t needle_length)
{
	return needle_length == 0 ? s : memmem(s, length, needle, needle_length);
}

static struct value same_kind(struct value like, const char *s, size_t length)
{
	return value_view((enum value_kind)like.kind, s, length);
}

static bool map_runes(struct call *call, uint32_t mapped(uint32_t), struct value *ret)
{
	struct value v;
	const char *s;
	const char *end;
	struct text t;

	if (!call_need_text(call, call->target, &v))
		return false;
	s = v.text;
	end = s + v.length;
	text_init(&t, call->arena);
	while (s < end) {
		char out[UTF8_MAX];
		uint32_t rune;
		bool valid;
		size_t width = utf8_decode(s, end, &rune, &valid);

		text_add(&t, out, utf8_encode(out, mapped(rune)));
		s += width;
	}
	*ret = value_from_text(&t, (enum value_kind)v.kind);
	return true;
}

static bool uppercase(struct call *call, struct value *ret) { return map_runes(call, uc_toupper, ret); }

static bool lowercase(struct call *call, struct value *ret) { return map_runes(call, uc_tolower, ret); }

static bool has_prefix(struct call *call, struct value *ret)
{
	struct value v;
	struct value prefix = call->args[0];

	if (!call_need_text(call, call->target, &v))
		return false;
	*ret = value_bool(v.length >= prefix.length && memcmp(v.text, prefix.text, prefix.length) == 0);
	return true;
}

static bool has_suffix(struct call *call, struct value *ret)
{
	struct value v;
	struct value suffix = call->args[0];

	if (!call_need_text(call, call->target, &v))
		return false;
	*ret = value_bool(v.length >= suffix.length &&
	                  memcmp(v.text + v.length - suffix.length, suffix.text, suffix.length) == 0);
	return true;
}

static bool trim_prefix(struct call *call, struct value *ret)
{
	if (!has_prefix(call, ret))
		return false;
	*ret = ret->boolean ? same_kind(call->target, call->target.text + call->args[0].length,
	                                call->target.length - call->args[0].length)
	                    : call->target;
	return true;
}

static bool trim_suffix(struct call *call, struct value *ret)
{
	if (!has_suffix(call, ret))
		return false;
	*ret = ret->boolean ? same_kind(call->target, call->target.text, call->target.length - call->args[0].length)
	                    : call->target;
	return true;
}

static bool in_cutset(struct value cutset, uint32_t rune)
{
	const char *s = cutset.text;
	const char *end = s + cutset.length;

	while (s < end) {
		uint32_t c;

		s += utf8_decode(s, end, &c, NULL);
		if (c == rune)
			return true;
	}
	return false;
}

static bool is_trimmed(struct value cutset, uint32_t rune)
{
	return cutset.kind == VALUE_NOTHING ? utf8_is_space(rune) : in_cutset(cutset, rune);
}

static bool trim(struct call *call, struct value *ret)
{
	struct value v;
	const char *s;
	const char *end;
	uint32_t rune;

	if (!call_need_text(call, call->target, &v))
		return false;
	s = v.text;
	end = s + v.length;
	while (s < end) {
		size_t width = utf8_decode(s, end, &rune, NULL);

		if (!is_trimmed(call->args[0], rune))
			break;
		s += width;
	}
	while (s < end) {
		const char *last = end - 1;

		while (last > s && end - last < UTF8_MAX && ((unsigned char)*last & 0xC0) == 0x80)
			last--;
		if (last + utf8_decode(last, end, &rune, NULL) != end) {
			last = end - 1;
			(void)utf8_decode(last, end, &rune, NULL);
		}
		if (!is_trimmed(call->args[0], rune))
			break;
		end = last;
	}
	*ret = same_kind(v, s, (size_t)(end - s));
	return true;
}

static bool index_of(struct call *call, struct value *ret)
{
	struct value v;
	const char *hit;

	if (!call_need_text(call, call->target, &v))
		return false;
	hit = find(v.text, v.length, call->args[0].text, call->args[0].length);
	*ret = value_int(hit ? hit - v.text : -1);
	return true;
}

/* An empty needle matches before each rune and at the end. */
static void replace_empty(struct text *t, struct value v, struct value with)
{
	const char *s = v.text;
	const char *end = s + v.length;
	uint32_t rune;

	text_add(t, with.text, with.length);
	while (s < end) {
		size_t width = utf8_decode(s, end, &rune, NULL);

		text_add(t, s, width);
		text_add(t, with.text, with.length);
		s += width;
	}
}

static bool replace_all(struct call *call, struct value *ret)
{
	struct value old = call->args[0];
	struct value with = call->args[1];
	struct value v;
	const char *s;
	const char *end;
	struct text t;

	if (!call_need_text(call, call->target, &v))
		return false;
	text_init(&t, call->arena);
	s = v.text;
	end = s + v.length;
	if (old.length == 0) {
		replace_empty(&t, v, with);
	} else {
		const char *hit;

		while ((hit = find(s, (size_t)(end - s), old.text, old.length))) {
			text_add(&t, s, (size_t)(hit - s));
			text_add(&t, with.text, with.length);
			s = hit + old.length;
		}
		text_add(&t, s, (size_t)(end - s));
	}
	*ret = value_from_text(&t, (enum value_kind)v.kind);
	return true;
}

static void push_piece(struct call *call, struct value array, struct value like, const char *s, size_t length,
                       bool empty_as_null)
{
	value_array_push(call->arena, array, length == 0 && empty_as_null ? value_null() : same_kind(like, s, length));
}

static bool split(struct call *call, struct value *ret)
{
	struct value delimiter = call->args[0];
	bool empty_as_null = call->args[1].boolean;
	struct value v;
	const char *s;
	const char *end;

	if (!call_need_text(call, call->target, &v))
		return false;
	*ret = value_array(call->arena, 4);
	s = v.text;
	end = s + v.length;
	if (delimiter.length == 0) {
		while (s < end && !call_spent(call)) {
			uint32_t rune;
			size_t width = utf8_decode(s, end, &rune, NULL);

			push_piece(call, *ret, v, s, width, empty_as_null);
			s += width;
		}
		return true;
	}
	for (;;) {
		const char *hit = find(s, (size_t)(end - s), delimiter.text, delimiter.length);

		if (!hit || call_spent(call))
			break;
		push_piece(call, *ret, v, s, (size_t)(hit - s), empty_as_null);
		s = hit + delimiter.length;
	}
	push_piece(call, *ret, v, s, (size_t)(end - s), empty_as_null);
	return true;
}

const struct bloblang_row rows_methods_strings[] = {
    {.name = "uppercase", .kind = METHOD, .evaluate = uppercase, .summary = "Upper case, code point by code point."},
    {.name = "lowercase", .kind = METHOD, .evaluate = lowercase, .summary = "Lower case, code point by code point."},
    {.name = "has_prefix",
     .kind = METHOD,
     .evaluate = has_prefix,
     .parameters = {{"value", PARAM_STRING, false, NULL}},
     .summary = "True when the text begins with another."},
    {.name = "has_suffix",
     .kind = METHOD,
     .evaluate = has_suffix,
     .parameters = {{"value", PARAM_STRING, false, NULL}},
     .summary = "True when the text ends with another."},
    {.name = "trim_prefix",
     .kind = METHOD,
     .evaluate = trim_prefix,
     .parameters = {{"prefix", PARAM_STRING, false, NULL}},
     .summary = "Removes a prefix once."},
    {.name = "trim_suffix",
     .kind = METHOD,
     .evaluate = trim_suffix,
     .parameters = {{"suffix", PARAM_STRING, false, NULL}},
     .summary = "Removes a suffix once."},
    {.name = "trim",
     .kind = METHOD,
     .evaluate = trim,
     .parameters = {{"cutset", PARAM_STRING, true, NULL}},
     .summary = "Removes white space, or the characters of a set, from both ends."},
    {.name = "index_of",
     .kind = METHOD,
     .evaluate = index_of,
     .parameters = {{"value", PARAM_STRING, false, NULL}},
     .summary = "The byte offset of another text, or -1."},
    {.name = "replace_all",
     .kind = METHOD,
     .evaluate = replace_all,
     .parameters = {{"old", PARAM_STRING, false, NULL}, {"new", PARAM_STRING, false, NULL}},
     .summary = "Replaces every occurrence of a text."},
    {.name = "replace",
     .kind = METHOD,
     .status = HIDDEN,
     .evaluate = replace_all,
     .parameters = {{"old", PARAM_STRING, false, NULL}, {"new", PARAM_STRING, false, NULL}},
     .summary = "Another name of replace_all."},
    {.name = "split",
     .kind = METHOD,
     .evaluate = split,
     .parameters = {{"delimiter", PARAM_STRING, false, NULL}, {"empty_as_null", PARAM_BOOL, false, "false"}},
     .summary = "Cuts a text at a delimiter; an empty one cuts between code points."},
    {.name = NULL},
};
